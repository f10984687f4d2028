/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Replies to the byte, as the XDR of the specifications has them: written here word by word from RFC 7531 and RFC 5662,
 * so that our own encoder is not its own witness.
 *
 * Spec: RFC 7531 (4.0), RFC 5662 (4.1) */
#include "memstore.h"
#include "nfs4-state-private.h"
#include "nfs4talk.h"
#include "sealauth.h"

/* What is expected: big-endian words and bytes, as they stand in the specification. */
typedef struct {
    GByteArray *bytes;
} Golden;

static Golden
golden(void)
{
    return (Golden){g_byte_array_new()};
}

static void
word(Golden *g, uint32_t value)
{
    uint8_t b[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8), (uint8_t)value};
    g_byte_array_append(g->bytes, b, sizeof b);
}

static void
words(Golden *g, guint n, const uint32_t *value)
{
    for (guint i = 0; i < n; i++)
        word(g, value[i]);
}
#define WORDS(g, ...) words((g), sizeof((const uint32_t[]){__VA_ARGS__}) / 4, (const uint32_t[]){__VA_ARGS__})

/* opaque<>: length, bytes, zeros up to four. */
static void
opaque(Golden *g, const void *data, guint len)
{
    static const uint8_t zero[4];
    word(g, len);
    g_byte_array_append(g->bytes, data, len);
    g_byte_array_append(g->bytes, zero, (4 - len % 4) % 4);
}

/* The rest of the reply is this and nothing else. Consumes `g`. */
static void
assert_rest(Talk *t, Golden *g)
{
    g_assert_cmpmem(t->reply.at, lares_reader_left(&t->reply), g->bytes->data, g->bytes->len);
    g_byte_array_unref(g->bytes);
}

/* Behind the results of PUTROOTFH and so many LOOKUPs. */
static void
skip_lookups(Talk *t, guint n)
{
    g_assert_cmpuint(talk_result(t, OP_PUTROOTFH), ==, NFS4_OK);
    for (guint i = 0; i < n; i++)
        g_assert_cmpuint(talk_result(t, OP_LOOKUP), ==, NFS4_OK);
}

static Nfs4Stateid
make_file(Talk *t, const char *name, const char *content)
{
    Nfs4Stateid stateid;
    g_assert_cmpuint(talk_open(t, "maker", 0, name, &stateid), ==, NFS4_OK);
    talk_begin(t);
    talk_go(t, name);
    talk_op(t, OP_WRITE);
    nfs4_put_stateid(&t->ops, &stateid);
    lares_put_u64(&t->ops, 0);
    lares_put_u32(&t->ops, FILE_SYNC4);
    lares_put_string(&t->ops, content);
    g_assert_cmpuint(talk_run(t), ==, NFS4_OK);
    return stateid;
}

/* ---- GETATTR: type, size, mode, numlinks ------------------------------------------------------------------------- */

static void
test_getattr(void)
{
    Nfs4Rig *rig = nfs4_rig_new();
    Talk *t = talk_as(rig, 1, "client");
    make_file(t, "f", "hello");
    talk_begin(t);
    talk_go(t, "f");
    talk_op(t, OP_GETATTR);
    lares_put_u32(&t->ops, 2);
    lares_put_u32(&t->ops, 1u << 1 | 1u << 4);                 /* type, size */
    lares_put_u32(&t->ops, 1u << (33 - 32) | 1u << (35 - 32)); /* mode, numlinks */
    g_assert_cmpuint(talk_run(t), ==, NFS4_OK);
    skip_lookups(t, 2);
    Golden g = golden();
    WORDS(&g, 9, 0);             /* OP_GETATTR, NFS4_OK */
    WORDS(&g, 2, 0x12, 0x0a);    /* attrmask */
    WORDS(&g, 4 + 8 + 4 + 4);    /* attr_vals */
    WORDS(&g, 1, 0, 5, 0600, 1); /* NF4REG, a hyper of 5, mode, numlinks */
    assert_rest(t, &g);
    talk_free(t);
    nfs4_rig_free(rig);
}

/* ---- READDIR: rdattr_error and type of two entries ----------------------------------------------------------------
 */

static void
test_readdir(void)
{
    Nfs4Rig *rig = nfs4_rig_new();
    Talk *t = talk_as(rig, 1, "client");
    make_file(t, "a", "");
    make_file(t, "bcdef", "");
    talk_begin(t);
    talk_go(t, NULL);
    talk_op(t, OP_READDIR);
    lares_put_u64(&t->ops, 0);
    lares_put_u64(&t->ops, 0);
    lares_put_u32(&t->ops, 1024);
    lares_put_u32(&t->ops, 4096);
    lares_put_u32(&t->ops, 1);
    lares_put_u32(&t->ops, 1u << 1 | 1u << 11);
    g_assert_cmpuint(talk_run(t), ==, NFS4_OK);
    skip_lookups(t, 1);
    /* The store gives the cookies; what the protocol asks of them is that they are none of 0, 1 and 2. */
    LaresReader look = t->reply;
    lares_get_bytes(&look, 8 + 8 + 4);
    uint64_t first = lares_get_u64(&look);
    lares_get_bytes(&look, 4 + 4 + 8 + 4 + 8 + 4);
    uint64_t second = lares_get_u64(&look);
    g_assert_cmpuint(first, >, 2);
    g_assert_cmpuint(second, >, first);
    Golden g = golden();
    WORDS(&g, 26, 0); /* OP_READDIR, NFS4_OK */
    WORDS(&g, 0, 0);  /* cookieverf */
    WORDS(&g, 1, (uint32_t)(first >> 32), (uint32_t)first);
    opaque(&g, "a", 1);
    WORDS(&g, 1, 0x802, 8, 1, 0); /* attributes in the order of their numbers: type, rdattr_error */
    WORDS(&g, 1, (uint32_t)(second >> 32), (uint32_t)second);
    opaque(&g, "bcdef", 5);
    WORDS(&g, 1, 0x802, 8, 1, 0);
    WORDS(&g, 0, 1); /* no more entries, eof */
    assert_rest(t, &g);
    talk_free(t);
    nfs4_rig_free(rig);
}

/* ---- SECINFO: plain flavors in the administrator's order (of RPCSEC_GSS: tests/wire/test-wrongsec.py) -------------
 */

static void
test_secinfo(void)
{
    Nfs4Rig *rig = nfs4_rig_new();
    Talk *t = talk_as(rig, 0, "client");
    nfs4_rig_set_sec(rig, "seal,sys,none");
    talk_begin(t);
    talk_op(t, OP_PUTROOTFH);
    talk_name(t, OP_SECINFO, "share");
    g_assert_cmpuint(talk_run(t), ==, NFS4_OK);
    skip_lookups(t, 0);
    Golden g = golden();
    WORDS(&g, 33, 0);                    /* OP_SECINFO, NFS4_OK */
    WORDS(&g, 3, SEAL_RPC_FLAVOR, 1, 0); /* secinfo4<> */
    assert_rest(t, &g);
    talk_free(t);
    nfs4_rig_free(rig);
}

/* ---- LOCK: who is in the way, with the longest name there is ------------------------------------------------------
 */

#define LONGEST 1024 /* NFS4_OPAQUE_LIMIT */

static void
put_denied(Golden *g, uint32_t op, uint64_t client, const char *owner)
{
    WORDS(g, op, 10010);    /* NFS4ERR_DENIED */
    WORDS(g, 0, 100, 0, 7); /* offset, length */
    WORDS(g, 2);            /* WRITE_LT */
    WORDS(g, (uint32_t)(client >> 32), (uint32_t)client);
    opaque(g, owner, (guint)strlen(owner));
}

static void
test_denied(void)
{
    Nfs4Rig *rig = nfs4_rig_new();
    Talk *holder = talk_as(rig, 0, "holder"), *asker = talk_as(rig, 1, "asker");
    Nfs4Stateid open, lock, theirs;
    char name[LONGEST + 1] = {0};
    for (guint i = 0; i < LONGEST; i++)
        name[i] = (char)('A' + i % 53);
    g_assert_cmpuint(talk_open(holder, "o", 1, "f", &open), ==, NFS4_OK);
    g_assert_cmpuint(talk_confirm(holder, 2, "f", &open), ==, NFS4_OK);
    g_assert_cmpuint(talk_lock(holder, name, 3, 1, "f", &open, 100, 7, &lock), ==, NFS4_OK);

    g_assert_cmpuint(talk_open(asker, "o", 0, "f", &theirs), ==, NFS4_OK);
    g_assert_cmpuint(talk_lock(asker, "l", 0, 0, "f", &theirs, 0, 200, &lock), ==, NFS4ERR_DENIED);
    skip_lookups(asker, 2);
    Golden g = golden();
    put_denied(&g, 12, holder->id, name);
    assert_rest(asker, &g);

    talk_begin(asker);
    talk_go(asker, "f");
    talk_op(asker, OP_LOCKT);
    lares_put_u32(&asker->ops, READ_LT);
    lares_put_u64(&asker->ops, 106);
    lares_put_u64(&asker->ops, UINT64_MAX);
    lares_put_u64(&asker->ops, 0);
    lares_put_string(&asker->ops, "l");
    g_assert_cmpuint(talk_run(asker), ==, NFS4ERR_DENIED);
    skip_lookups(asker, 2);
    g = golden();
    put_denied(&g, 13, holder->id, name);
    assert_rest(asker, &g);
    talk_free(holder);
    talk_free(asker);
    nfs4_rig_free(rig);
}

/* ---- EXCHANGE_ID ---------------------------------------------------------------------------------------------------
 */

static void
put_exchange_id(Golden *g, Nfs4State *state, uint64_t client, uint32_t sequence, uint32_t flags)
{
    WORDS(g, 42, 0); /* OP_EXCHANGE_ID, NFS4_OK */
    WORDS(g, (uint32_t)(client >> 32), (uint32_t)client, sequence, flags);
    WORDS(g, 0);    /* SP4_NONE */
    WORDS(g, 0, 0); /* so_minor_id */
    opaque(g, state->server_id, 16);
    opaque(g, state->server_id, 16); /* scope */
    WORDS(g, 0);                     /* no nfs_impl_id4 */
}

static void
test_exchange_id(void)
{
    Nfs4Rig *rig = nfs4_rig_new();
    Nfs4State *state = nfs4_rig_service(rig)->state;
    for (int confirmed = 0; confirmed < 2; confirmed++) {
        Talk *t = confirmed ? talk_as(rig, 1, "client") : talk_new(rig, 1);
        t->slots = 0;
        talk_begin(t);
        talk_op(t, OP_EXCHANGE_ID);
        lares_put_u64(&t->ops, 7);
        lares_put_string(&t->ops, confirmed ? "client" : "new one");
        lares_put_u32(&t->ops, 0);
        lares_put_u32(&t->ops, SP4_NONE);
        lares_put_u32(&t->ops, 0);
        g_assert_cmpuint(talk_run(t), ==, NFS4_OK);
        LaresReader look = t->reply;
        lares_get_bytes(&look, 8);
        uint64_t id = lares_get_u64(&look);
        g_assert_cmpuint(id >> 32, ==, state->boot);
        Golden g = golden();
        /* EXCHGID4_FLAG_USE_NON_PNFS, EXCHGID4_FLAG_CONFIRMED_R */
        put_exchange_id(&g, state, confirmed ? t->id : id, confirmed ? 2 : 1, confirmed ? 0x80010000 : 0x00010000);
        assert_rest(t, &g);
        talk_free(t);
    }
    nfs4_rig_free(rig);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/nfs4/golden/getattr", test_getattr);
    g_test_add_func("/nfs4/golden/readdir", test_readdir);
    g_test_add_func("/nfs4/golden/secinfo", test_secinfo);
    g_test_add_func("/nfs4/golden/denied", test_denied);
    g_test_add_func("/nfs4/golden/exchange-id", test_exchange_id);
    return g_test_run();
}
