/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Our tokens against MIT's, both ways, for every AES type, role and subkey choice.
 *
 * Spec: RFC 4121 4.2; MIT krb5 is the independent implementation. */
#include "krb5-message.h"
#include "krb5-pair.h"

#include <string.h>

static Realm *realm;

static const size_t sizes[] = {0, 1, 15, 16, 17, 31, 32, 33, 4095, 4096, 65535, 1048576};
static const int enctypes[] = {17, 18, 19, 20};

/* DCE style adds a block of filler. */
#define MAX_TOKEN (1048576 + KRB5_WRAP_HEAD + KRB5_WRAP_TAIL + 16)

typedef struct {
    int enctype;
    gboolean subkey; /* mutual authentication: the acceptor answers with a subkey */
    gboolean we_initiate;
    gboolean dce;
} Case;

/* MIT's context on one side; on the other ours, and MIT's copy of the very same context. */
typedef struct {
    Krb5Keys *ours;
    gss_ctx_id_t twin, peer;
    uint8_t *data, *buffer;
} Sides;

static Krb5Keys *
keys_from(gss_ctx_id_t *context, gboolean dce)
{
    g_autoptr(GError) error = NULL;
    OM_uint32 major, minor;
    void *lucid = NULL;

    major = gss_krb5_export_lucid_sec_context(&minor, context, 1, &lucid);
    g_assert_cmpuint(major, ==, GSS_S_COMPLETE);
    Krb5Keys *keys = krb5_keys_new_from_lucid(lucid, dce, &error);
    g_assert_no_error(error);
    gss_krb5_free_lucid_sec_context(&minor, lucid);
    return keys;
}

static OM_uint32
case_flags(const Case *c)
{
    return GSS_C_CONF_FLAG | GSS_C_INTEG_FLAG | GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG |
           (c->subkey ? GSS_C_MUTUAL_FLAG : 0) | (c->dce ? GSS_C_DCE_STYLE : 0);
}

static void
sides_start(Sides *s, const Case *c)
{
    gss_ctx_id_t initiator, acceptor, copy = GSS_C_NO_CONTEXT;
    gss_buffer_desc exported = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor;

    realm_pair(realm, c->enctype, case_flags(c), &initiator, &acceptor);
    gss_ctx_id_t *mine = c->we_initiate ? &initiator : &acceptor;
    s->peer = c->we_initiate ? acceptor : initiator;
    s->twin = GSS_C_NO_CONTEXT;
    g_assert_cmpuint(gss_export_sec_context(&minor, mine, &exported), ==, GSS_S_COMPLETE);
    g_assert_cmpuint(gss_import_sec_context(&minor, &exported, &copy), ==, GSS_S_COMPLETE);
    g_assert_cmpuint(gss_import_sec_context(&minor, &exported, &s->twin), ==, GSS_S_COMPLETE);
    gss_release_buffer(&minor, &exported);
    s->ours = keys_from(&copy, c->dce);
    s->data = g_malloc(sizes[G_N_ELEMENTS(sizes) - 1]);
    for (size_t i = 0; i < sizes[G_N_ELEMENTS(sizes) - 1]; i++)
        s->data[i] = (uint8_t)(i * 131 + (i >> 8) * 7);
    s->buffer = g_malloc(MAX_TOKEN);
}

static void
sides_stop(Sides *s)
{
    OM_uint32 minor;

    krb5_keys_unref(s->ours);
    gss_delete_sec_context(&minor, &s->twin, NULL);
    gss_delete_sec_context(&minor, &s->peer, NULL);
    g_free(s->data);
    g_free(s->buffer);
}

static void
peer_opens(Sides *s, const uint8_t *token, size_t token_len, size_t len, gboolean sealed)
{
    gss_buffer_desc in = {token_len, (void *)token}, out = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor, major;
    int conf = -1;

    major = gss_unwrap(&minor, s->peer, &in, &out, &conf, NULL);
    g_assert_cmpuint(major, ==, GSS_S_COMPLETE); /* also: in sequence */
    g_assert_cmpint(conf, ==, sealed);
    g_assert_cmpmem(out.value, out.length, s->data, len);
    gss_release_buffer(&minor, &out);
}

/* The twin made a token that ours could have made: it keeps the twin's sequence number in step, and
 * what is not random must be the same to the byte. */
static void
twin_agrees(Sides *s, const uint8_t *token, size_t token_len, size_t len, gboolean sealed)
{
    gss_buffer_desc in = {len, s->data}, out = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor;

    g_assert_cmpuint(gss_wrap(&minor, s->twin, sealed, 0, &in, NULL, &out), ==, GSS_S_COMPLETE);
    if (sealed) {
        g_assert_cmpuint(out.length, ==, token_len);
        g_assert_cmpmem(out.value, 16, token, 16);
    } else {
        g_assert_cmpmem(out.value, out.length, token, token_len);
    }
    gss_release_buffer(&minor, &out);
}

static void
wrap_both_forms(Sides *s, size_t len, gboolean sealed)
{
    uint8_t *data = s->buffer + KRB5_WRAP_HEAD, *token;
    size_t token_len, cut = len / 3, cut2 = len / 2;
    struct iovec pieces[] = {{s->data, cut}, {NULL, 0}, {s->data + cut, cut2 - cut}, {s->data + cut2, len - cut2}};

    memcpy(data, s->data, len);
    g_assert_cmpint(krb5_wrap_in_place(s->ours, sealed, data, len, &token, &token_len), ==, KRB5_MSG_OK);
    twin_agrees(s, token, token_len, len, sealed);
    peer_opens(s, token, token_len, len, sealed);

    g_assert_cmpint(krb5_wrap_iov(s->ours, sealed, pieces, 4, s->buffer, MAX_TOKEN, &token_len), ==, KRB5_MSG_OK);
    twin_agrees(s, s->buffer, token_len, len, sealed);
    peer_opens(s, s->buffer, token_len, len, sealed);
    g_assert_cmpint(krb5_wrap_iov(s->ours, sealed, pieces, 4, s->buffer, token_len - 1, &token_len), ==,
                    KRB5_MSG_NO_ROOM);
}

static void
we_open(Sides *s, const void *token, size_t token_len, size_t len, gboolean want_sealed)
{
    uint8_t *plain;
    size_t plain_len;
    gboolean sealed;
    uint64_t seq;

    memcpy(s->buffer, token, token_len);
    g_assert_cmpstr(
        krb5_msg_status_name(krb5_unwrap_in_place(s->ours, s->buffer, token_len, &plain, &plain_len, &sealed, &seq)),
        ==, "ok");
    g_assert_cmpint(sealed, ==, want_sealed);
    g_assert_cmpmem(plain, plain_len, s->data, len);
}

static void
unwrap_plain_form(Sides *s, size_t len, gboolean sealed)
{
    gss_buffer_desc in = {len, s->data}, out = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor;

    g_assert_cmpuint(gss_wrap(&minor, s->peer, sealed, 0, &in, NULL, &out), ==, GSS_S_COMPLETE);
    we_open(s, out.value, out.length, len, sealed);
    gss_release_buffer(&minor, &out);
}

/* gss_wrap_iov with and without a trailer: without one everything behind the data goes in front,
 * which is what RRC is for. */
static void
unwrap_iov_form(Sides *s, size_t len, gboolean sealed, gboolean trailer)
{
    g_autofree uint8_t *copy = g_memdup2(s->data, len);
    gss_iov_buffer_desc iov[] = {
        {GSS_IOV_BUFFER_TYPE_HEADER | GSS_IOV_BUFFER_FLAG_ALLOCATE, {0, NULL}},
        {GSS_IOV_BUFFER_TYPE_DATA, {len, copy}},
        {GSS_IOV_BUFFER_TYPE_PADDING | GSS_IOV_BUFFER_FLAG_ALLOCATE, {0, NULL}},
        {GSS_IOV_BUFFER_TYPE_TRAILER | GSS_IOV_BUFFER_FLAG_ALLOCATE, {0, NULL}},
    };
    int n = trailer ? 4 : 3;
    g_autoptr(GByteArray) token = g_byte_array_new();
    OM_uint32 minor;

    g_assert_cmpuint(gss_wrap_iov(&minor, s->peer, sealed, 0, NULL, iov, n), ==, GSS_S_COMPLETE);
    for (int i = 0; i < n; i++)
        if (iov[i].buffer.length > 0)
            g_byte_array_append(token, iov[i].buffer.value, (guint)iov[i].buffer.length);
    we_open(s, token->data, token->len, len, sealed);
    gss_release_iov_buffer(&minor, iov, n);
}

static void
mic_both_ways(Sides *s, size_t len)
{
    struct iovec pieces[] = {{s->data, len / 2}, {s->data + len / 2, len - len / 2}};
    gss_buffer_desc message = {len, s->data}, mic = GSS_C_EMPTY_BUFFER;
    uint8_t token[KRB5_MIC_MAX];
    size_t token_len;
    OM_uint32 minor;

    g_assert_cmpint(krb5_get_mic(s->ours, pieces, 2, token, sizeof token, &token_len), ==, KRB5_MSG_OK);
    g_assert_cmpuint(gss_get_mic(&minor, s->twin, 0, &message, &mic), ==, GSS_S_COMPLETE);
    g_assert_cmpmem(mic.value, mic.length, token, token_len);
    g_assert_cmpuint(gss_verify_mic(&minor, s->peer, &message, &mic, NULL), ==, GSS_S_COMPLETE);
    gss_release_buffer(&minor, &mic);

    g_assert_cmpuint(gss_get_mic(&minor, s->peer, 0, &message, &mic), ==, GSS_S_COMPLETE);
    g_assert_cmpint(krb5_verify_mic(s->ours, pieces, 2, mic.value, mic.length, NULL), ==, KRB5_MSG_OK);
    if (len > 0) {
        s->data[len - 1] ^= 1;
        g_assert_cmpint(krb5_verify_mic(s->ours, pieces, 2, mic.value, mic.length, NULL), ==, KRB5_MSG_BAD_MIC);
        s->data[len - 1] ^= 1;
    }
    gss_release_buffer(&minor, &mic);
}

static void
test_agrees(gconstpointer data)
{
    Sides s;

    sides_start(&s, data);
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        for (int sealed = 0; sealed < 2; sealed++) {
            wrap_both_forms(&s, sizes[i], sealed);
            unwrap_plain_form(&s, sizes[i], sealed);
            unwrap_iov_form(&s, sizes[i], sealed, TRUE);
            unwrap_iov_form(&s, sizes[i], sealed, FALSE);
        }
        mic_both_ways(&s, sizes[i]);
    }
    sides_stop(&s);
}

/* DCE style contexts: MIT counts EC into the rotation as Windows does. */
static void
test_dce(gconstpointer data)
{
    Sides s;

    sides_start(&s, data);
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        unwrap_iov_form(&s, sizes[i], TRUE, FALSE);
        unwrap_iov_form(&s, sizes[i], FALSE, FALSE);
        mic_both_ways(&s, sizes[i]);
    }
    sides_stop(&s);
}

static void
add(const char *prefix, Case c, GTestDataFunc f)
{
    g_autofree char *path =
        g_strdup_printf("/krb5-message/%s/enctype-%d/%s/%s", prefix, c.enctype,
                        c.subkey ? "acceptor-subkey" : "no-subkey", c.we_initiate ? "initiator" : "acceptor");
    g_test_add_data_func_full(path, g_memdup2(&c, sizeof c), f, g_free);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    realm = realm_start();
    if (realm == NULL)
        return 77;
    for (size_t i = 0; i < G_N_ELEMENTS(enctypes); i++) {
        for (int bits = 0; bits < 4; bits++)
            add("agrees", (Case){enctypes[i], (bits & 1) != 0, (bits & 2) != 0, FALSE}, test_agrees);
        for (int initiate = 0; initiate < 2; initiate++)
            add("dce-style", (Case){enctypes[i], TRUE, initiate, TRUE}, test_dce);
    }
    int status = g_test_run();
    realm_stop(realm);
    return status;
}
