/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The file operations of NFS version 4 over a store in memory: what each refuses and how, per minor version.
 *
 * Spec: RFC 7530 13 and 16, RFC 8881 15 and 18 */
#include "memstore.h"
#include "nfs4-proto.h"
#include "nfs4rig.h"

/* A COMPOUND being written. 4.1 needs a session, so these tests speak 4.0, where every operation can stand alone. */
typedef struct {
    Nfs4Rig *rig;
    LaresArena *arena;
    LaresWriter ops;
    uint32_t n;
    LaresReader reply; /* behind the number of results */
    uint32_t status, results;
} T;

static T
begin(void)
{
    T t = {.rig = nfs4_rig_new(), .arena = lares_arena_new()};
    lares_writer_init(&t.ops, t.arena, 1024, 1 << 20);
    return t;
}

static void
end(T *t)
{
    nfs4_rig_free(t->rig);
    lares_arena_free(t->arena);
}

static void
op(T *t, uint32_t number)
{
    lares_put_u32(&t->ops, number);
    t->n++;
}

static void
op_name(T *t, uint32_t number, const char *name)
{
    op(t, number);
    lares_put_string(&t->ops, name);
}

/* Runs what was written; the status of the whole is that of its last operation. */
static uint32_t
run_as(T *t, uint32_t uid)
{
    t->reply = nfs4_rig_compound(t->rig, 0, uid, uid, t->ops.base, t->ops.len, t->n, &t->status);
    t->results = lares_get_u32(&t->reply);
    t->ops.len = 0;
    t->n = 0;
    return t->status;
}

static uint32_t
run(T *t)
{
    return run_as(t, 0);
}

/* PUTROOTFH and LOOKUP of the share. */
static void
top(T *t)
{
    op(t, OP_PUTROOTFH);
    op_name(t, OP_LOOKUP, "share");
}

static void
put_no_attributes(T *t)
{
    lares_put_u32(&t->ops, 0);
    lares_put_u32(&t->ops, 0);
}

static void
put_bitmap1(T *t, uint32_t attr)
{
    lares_put_u32(&t->ops, attr / 32 + 1);
    for (uint32_t i = 0; i < attr / 32; i++)
        lares_put_u32(&t->ops, 0);
    lares_put_u32(&t->ops, 1u << (attr % 32));
}

static void
op_create_dir(T *t, const char *name)
{
    op(t, OP_CREATE);
    lares_put_u32(&t->ops, NF4DIR);
    lares_put_string(&t->ops, name);
    put_no_attributes(t);
}

static void
op_create_link(T *t, const char *name, const char *target)
{
    op(t, OP_CREATE);
    lares_put_u32(&t->ops, NF4LNK);
    lares_put_string(&t->ops, target);
    lares_put_string(&t->ops, name);
    put_no_attributes(t);
}

static void
put_anonymous(T *t)
{
    for (int i = 0; i < 4; i++)
        lares_put_u32(&t->ops, 0);
}

static void
op_setattr32(T *t, uint32_t attr, uint32_t value)
{
    op(t, OP_SETATTR);
    put_anonymous(t);
    put_bitmap1(t, attr);
    lares_put_u32(&t->ops, 4);
    lares_put_u32(&t->ops, value);
}

static void
op_readdir(T *t, uint64_t cookie, uint32_t maxcount)
{
    op(t, OP_READDIR);
    lares_put_u64(&t->ops, cookie);
    lares_put_u64(&t->ops, 0);
    lares_put_u32(&t->ops, 0);
    lares_put_u32(&t->ops, maxcount);
    put_bitmap1(t, FATTR4_TYPE);
}

#define EXPECT(t, code)                                                                                                \
    G_STMT_START                                                                                                       \
    {                                                                                                                  \
        uint32_t status_ = run(t);                                                                                     \
        g_assert_cmpuint(status_, ==, (code));                                                                         \
    }                                                                                                                  \
    G_STMT_END

/* ---- The loop -----------------------------------------------------------------------------------------------------
 */

static void
test_loop(void)
{
    T t = begin();
    EXPECT(&t, NFS4_OK); /* no operation at all */
    g_assert_cmpuint(t.results, ==, 0);
    op(&t, 2);
    EXPECT(&t, NFS4ERR_OP_ILLEGAL);
    g_assert_cmpuint(lares_get_u32(&t.reply), ==, OP_ILLEGAL);
    op(&t, OP_SEQUENCE); /* not in 4.0 */
    EXPECT(&t, NFS4ERR_OP_ILLEGAL);
    op(&t, OP_GETFH);
    EXPECT(&t, NFS4ERR_NOFILEHANDLE);
    op(&t, OP_RESTOREFH);
    EXPECT(&t, NFS4ERR_RESTOREFH);
    op(&t, OP_PUTROOTFH);
    op(&t, OP_OPENATTR);
    lares_put_u32(&t.ops, 0);
    EXPECT(&t, NFS4ERR_NOTSUPP);
    op(&t, OP_SETATTR); /* its bitmap follows every status */
    EXPECT(&t, NFS4ERR_NOFILEHANDLE);
    lares_get_u64(&t.reply);
    g_assert_cmpuint(lares_get_u32(&t.reply), ==, 0);
    g_assert_cmpuint(lares_reader_left(&t.reply), ==, 0);
    for (int i = 0; i < 200; i++)
        op(&t, OP_PUTROOTFH);
    EXPECT(&t, NFS4ERR_RESOURCE);
    end(&t);
}

static void
test_minor_version(void)
{
    T t = begin();
    uint32_t status;
    LaresReader r = nfs4_rig_compound(t.rig, 3, 0, 0, "", 0, 0, &status);
    g_assert_cmpuint(status, ==, NFS4ERR_MINOR_VERS_MISMATCH);
    g_assert_cmpuint(lares_get_u32(&r), ==, 0);
    op(&t, OP_PUTROOTFH);
    nfs4_rig_compound(t.rig, 1, 0, 0, t.ops.base, t.ops.len, 1, &status);
    g_assert_cmpuint(status, ==, NFS4ERR_OP_NOT_IN_SESSION);
    end(&t);
}

/* ---- Names --------------------------------------------------------------------------------------------------------
 */

static void
test_names(void)
{
    T t = begin();
    static const struct {
        const char *name;
        uint32_t status;
    } cases[] = {
        {"", NFS4ERR_INVAL},     {".", NFS4ERR_BADNAME},      {"..", NFS4ERR_BADNAME},        {"a/b", NFS4ERR_BADNAME},
        {"\xff", NFS4ERR_INVAL}, {"\xc0\x80", NFS4ERR_INVAL}, {"\xed\xa0\x80", NFS4ERR_INVAL}};
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        top(&t);
        op_name(&t, OP_LOOKUP, cases[i].name);
        EXPECT(&t, cases[i].status);
        top(&t);
        op_create_dir(&t, cases[i].name);
        EXPECT(&t, cases[i].status);
        top(&t);
        op_name(&t, OP_REMOVE, cases[i].name);
        EXPECT(&t, cases[i].status);
    }
    g_autofree char *longest = g_strnfill(256, 'x');
    top(&t);
    op_create_dir(&t, longest);
    EXPECT(&t, NFS4ERR_NAMETOOLONG);
    longest[255] = '\0';
    top(&t);
    op_create_dir(&t, longest);
    EXPECT(&t, NFS4_OK);
    end(&t);
}

/* ---- Types --------------------------------------------------------------------------------------------------------
 */

static void
test_types(void)
{
    T t = begin();
    top(&t);
    op_create_dir(&t, "dir");
    EXPECT(&t, NFS4_OK);
    top(&t);
    op_create_link(&t, "link", "dir");
    EXPECT(&t, NFS4_OK);
    top(&t);
    op_create_link(&t, "empty", "");
    EXPECT(&t, NFS4ERR_INVAL);
    top(&t);
    op_name(&t, OP_LOOKUP, "link");
    op_name(&t, OP_LOOKUP, "x");
    EXPECT(&t, NFS4ERR_SYMLINK);
    top(&t);
    op_name(&t, OP_LOOKUP, "link");
    op(&t, OP_LOOKUPP);
    EXPECT(&t, NFS4ERR_NOTDIR);
    top(&t);
    op(&t, OP_READLINK);
    EXPECT(&t, NFS4ERR_INVAL);
    for (int i = 0; i < 2; i++) { /* a directory, then a link */
        top(&t);
        op_name(&t, OP_LOOKUP, i ? "link" : "dir");
        op(&t, OP_READ);
        put_anonymous(&t);
        lares_put_u64(&t.ops, 0);
        lares_put_u32(&t.ops, 10);
        EXPECT(&t, i ? NFS4ERR_INVAL : NFS4ERR_ISDIR);
        top(&t);
        op_name(&t, OP_LOOKUP, i ? "link" : "dir");
        op(&t, OP_COMMIT);
        lares_put_u64(&t.ops, 0);
        lares_put_u32(&t.ops, 0);
        EXPECT(&t, i ? NFS4ERR_INVAL : NFS4ERR_ISDIR);
    }
    top(&t);
    op(&t, OP_CREATE);
    lares_put_u32(&t.ops, NF4REG);
    lares_put_string(&t.ops, "file");
    put_no_attributes(&t);
    EXPECT(&t, NFS4ERR_BADTYPE);
    op(&t, OP_PUTROOTFH);
    op(&t, OP_LOOKUPP);
    EXPECT(&t, NFS4ERR_NOENT);
    end(&t);
}

/* ---- Attributes ---------------------------------------------------------------------------------------------------
 */

static void
test_attributes(void)
{
    T t = begin();
    top(&t);
    op_create_dir(&t, "dir");
    EXPECT(&t, NFS4_OK);
    static const struct {
        uint32_t attr, value, status;
    } sets[] = {{FATTR4_MODE, 0700, NFS4_OK},
                {FATTR4_MODE, 010000, NFS4ERR_INVAL}, /* RFC 8881 6.2.4 */
                {FATTR4_TYPE, NF4REG, NFS4ERR_INVAL}, /* read-only */
                {FATTR4_ARCHIVE, 1, NFS4ERR_ATTRNOTSUPP},
                {FATTR4_MODE_UMASK, 0, NFS4ERR_ATTRNOTSUPP}, /* 4.2 */
                {FATTR4_SIZE, 0, NFS4ERR_BADXDR},            /* half a size */
                {FATTR4_TIME_MODIFY_SET, 0, NFS4_OK},
                {FATTR4_TIME_MODIFY_SET, 1, NFS4ERR_BADXDR}}; /* without the time */
    for (size_t i = 0; i < G_N_ELEMENTS(sets); i++) {
        top(&t);
        op_name(&t, OP_LOOKUP, "dir");
        op_setattr32(&t, sets[i].attr, sets[i].value);
        EXPECT(&t, sets[i].status);
    }
    top(&t);
    op(&t, OP_GETATTR);
    put_bitmap1(&t, FATTR4_TIME_ACCESS_SET);
    EXPECT(&t, NFS4ERR_INVAL);
    top(&t);
    op(&t, OP_GETATTR); /* unknown attributes are left out */
    put_bitmap1(&t, 94);
    EXPECT(&t, NFS4_OK);
    end(&t);
}

static void
op_compare(T *t, uint32_t number, uint32_t attr, uint32_t value)
{
    op(t, number);
    put_bitmap1(t, attr);
    lares_put_u32(&t->ops, 4);
    lares_put_u32(&t->ops, value);
}

static void
test_verify(void)
{
    T t = begin();
    static const struct {
        uint32_t op, attr, value, status;
    } cases[] = {
        {OP_VERIFY, FATTR4_TYPE, NF4DIR, NFS4_OK},          {OP_VERIFY, FATTR4_TYPE, NF4REG, NFS4ERR_NOT_SAME},
        {OP_NVERIFY, FATTR4_TYPE, NF4DIR, NFS4ERR_SAME},    {OP_NVERIFY, FATTR4_TYPE, NF4REG, NFS4_OK},
        {OP_VERIFY, FATTR4_RDATTR_ERROR, 0, NFS4ERR_INVAL}, {OP_VERIFY, FATTR4_TIME_ACCESS_SET, 0, NFS4ERR_INVAL},
        {OP_VERIFY, FATTR4_HIDDEN, 0, NFS4ERR_ATTRNOTSUPP}, {OP_VERIFY, FATTR4_SIZE, 0, NFS4ERR_BADXDR},
        {OP_VERIFY, FATTR4_MODE, 0200000, NFS4ERR_INVAL}};
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        top(&t);
        op_compare(&t, cases[i].op, cases[i].attr, cases[i].value);
        EXPECT(&t, cases[i].status);
    }
    end(&t);
}

/* ---- READDIR ------------------------------------------------------------------------------------------------------
 */

/* Lists everything with that maxcount; returns how many entries came, and checks that no answer is too long. */
static guint
list_with(T *t, uint32_t maxcount)
{
    guint n = 0;
    uint64_t cookie = 0;
    gboolean eof = FALSE;
    while (!eof) {
        size_t len;
        top(t);
        op_readdir(t, cookie, maxcount);
        EXPECT(t, NFS4_OK);
        lares_get_bytes(&t->reply, 3 * 8);
        g_assert_cmpuint(lares_reader_left(&t->reply), <=, maxcount);
        lares_get_u64(&t->reply);
        while (lares_get_bool(&t->reply)) {
            cookie = lares_get_u64(&t->reply);
            lares_get_opaque(&t->reply, 255, &len);
            g_assert_cmpuint(lares_get_u32(&t->reply), ==, 1);
            lares_get_u32(&t->reply);
            g_assert_cmpuint(lares_get_u32(&t->reply), ==, 4);
            g_assert_cmpuint(lares_get_u32(&t->reply), ==, NF4DIR);
            n++;
        }
        eof = lares_get_bool(&t->reply);
        g_assert_false(t->reply.failed);
        g_assert_cmpuint(lares_reader_left(&t->reply), ==, 0);
    }
    return n;
}

static void
test_readdir(void)
{
    T t = begin();
    for (int i = 0; i < 50; i++) {
        g_autofree char *name = g_strdup_printf("directory-%d", i);
        top(&t);
        op_create_dir(&t, name);
        EXPECT(&t, NFS4_OK);
    }
    for (uint32_t maxcount = 64; maxcount < 4096; maxcount += 37)
        g_assert_cmpuint(list_with(&t, maxcount), ==, 50);
    for (uint32_t maxcount = 0; maxcount < 44; maxcount += 4) {
        top(&t);
        op_readdir(&t, 0, maxcount);
        EXPECT(&t, NFS4ERR_TOOSMALL);
    }
    for (uint64_t cookie = 1; cookie <= 2; cookie++) {
        top(&t);
        op_readdir(&t, cookie, 4096);
        EXPECT(&t, NFS4ERR_BAD_COOKIE);
    }
    end(&t);
}

/* ---- Others -------------------------------------------------------------------------------------------------------
 */

static void
test_access(void)
{
    T t = begin();
    top(&t);
    op_create_dir(&t, "private");
    op_setattr32(&t, FATTR4_MODE, 0750);
    EXPECT(&t, NFS4_OK);
    top(&t);
    op_name(&t, OP_LOOKUP, "private");
    op(&t, OP_ACCESS);
    lares_put_u32(&t.ops, 0x3f);
    g_assert_cmpuint(run_as(&t, 4242), ==, NFS4_OK);
    lares_get_bytes(&t.reply, 4 * 8);
    g_assert_cmpuint(lares_get_u32(&t.reply), ==, 0x1f); /* EXECUTE means nothing for a directory */
    g_assert_cmpuint(lares_get_u32(&t.reply), ==, 0);
    top(&t);
    op(&t, OP_ACCESS);
    lares_put_u32(&t.ops, 0x40);
    EXPECT(&t, NFS4ERR_INVAL);
    end(&t);
}

static void
test_secinfo(void)
{
    T t = begin();
    op(&t, OP_PUTROOTFH);
    op_name(&t, OP_SECINFO, "share");
    op(&t, OP_GETFH); /* 4.0 keeps the file handle */
    EXPECT(&t, NFS4_OK);
    lares_get_bytes(&t.reply, 2 * 8);
    g_assert_cmpuint(lares_get_u32(&t.reply), ==, 1);
    g_assert_cmpuint(lares_get_u32(&t.reply), ==, RPC_FLAVOR_SYS);
    op(&t, OP_PUTROOTFH);
    op_name(&t, OP_SECINFO, "absent");
    EXPECT(&t, NFS4ERR_NOENT);
    end(&t);
}

static void
test_handles(void)
{
    T t = begin();
    for (size_t len = 0; len <= 128; len += 16) {
        uint8_t handle[128];
        memset(handle, 0x5a, sizeof handle);
        op(&t, OP_PUTFH);
        lares_put_opaque(&t.ops, handle, len);
        EXPECT(&t, NFS4ERR_BADHANDLE);
    }
    op(&t, OP_PUTFH);
    lares_put_u32(&t.ops, 132);
    lares_put_space(&t.ops, 132);
    EXPECT(&t, NFS4ERR_BADXDR);
    end(&t);
}

/* Whatever a store says becomes a status that 4.0 knows. */
static void
test_store_errors(void)
{
    T t = begin();
    static const struct {
        LaresStatus store;
        uint32_t wire;
    } cases[] = {{LARES_IO, NFS4ERR_IO},       {LARES_NOSPC, NFS4ERR_NOSPC}, {LARES_DQUOT, NFS4ERR_DQUOT},
                 {LARES_ROFS, NFS4ERR_ROFS},   {LARES_MLINK, NFS4ERR_MLINK}, {LARES_DELAY, NFS4ERR_DELAY},
                 {LARES_STALE, NFS4ERR_STALE}, {LARES_PERM, NFS4ERR_PERM},   {LARES_NXIO, NFS4ERR_IO}};
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        memstore_fail_next(nfs4_rig_store(t.rig), "create", cases[i].store);
        top(&t);
        op_create_dir(&t, "dir");
        EXPECT(&t, cases[i].wire);
    }
    end(&t);
}

static void
op_openattr(T *t, gboolean create)
{
    top(t);
    op_name(t, OP_LOOKUP, "dir");
    op(t, OP_OPENATTR);
    lares_put_u32(&t->ops, create != FALSE);
}

/* The directory with named attributes: where the store fails, that is said; nothing is there then. */
static void
test_named(void)
{
    T t = begin();
    static const struct {
        const char *operation;
        LaresStatus store;
        uint32_t wire;
    } cases[] = {{"set_note", LARES_NOSPC, NFS4ERR_NOSPC},
                 {"set_note", LARES_NOTSUPP, NFS4ERR_NOTSUPP},
                 {"create", LARES_DQUOT, NFS4ERR_DQUOT},
                 {"access", LARES_IO, NFS4ERR_IO}};
    top(&t);
    op_create_dir(&t, "dir");
    EXPECT(&t, NFS4_OK);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        op_openattr(&t, FALSE);
        EXPECT(&t, NFS4ERR_NOENT);
        memstore_fail_next(nfs4_rig_store(t.rig), cases[i].operation, cases[i].store);
        op_openattr(&t, TRUE);
        EXPECT(&t, cases[i].wire);
    }
    op_openattr(&t, TRUE);
    op(&t, OP_GETATTR);
    put_bitmap1(&t, FATTR4_TYPE);
    EXPECT(&t, NFS4_OK);
    op_openattr(&t, TRUE);
    op(&t, OP_OPENATTR);
    lares_put_u32(&t.ops, 1);
    EXPECT(&t, NFS4ERR_NOTSUPP);
    op_openattr(&t, TRUE);
    op_create_dir(&t, "sub");
    EXPECT(&t, NFS4ERR_INVAL);
    op_openattr(&t, TRUE);
    op_name(&t, OP_LOOKUP, "x:$DATA");
    EXPECT(&t, NFS4ERR_BADNAME);
    op_openattr(&t, TRUE);
    op_name(&t, OP_LOOKUP, "x");
    EXPECT(&t, NFS4ERR_NOENT);
    op_openattr(&t, TRUE);
    op(&t, OP_LOOKUPP);
    op_name(&t, OP_REMOVE, "x");
    EXPECT(&t, NFS4ERR_NOENT);
    end(&t);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/nfs4/loop", test_loop);
    g_test_add_func("/nfs4/minor-version", test_minor_version);
    g_test_add_func("/nfs4/names", test_names);
    g_test_add_func("/nfs4/types", test_types);
    g_test_add_func("/nfs4/attributes", test_attributes);
    g_test_add_func("/nfs4/verify", test_verify);
    g_test_add_func("/nfs4/readdir", test_readdir);
    g_test_add_func("/nfs4/access", test_access);
    g_test_add_func("/nfs4/secinfo", test_secinfo);
    g_test_add_func("/nfs4/handles", test_handles);
    g_test_add_func("/nfs4/store-errors", test_store_errors);
    g_test_add_func("/nfs4/named", test_named);
    return g_test_run();
}
