/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What core/files has for SMB, over real directories: names whatever their case, watches, streams, attributes. */
#include "files/files-private.h"
#include "store-fixture.h"

typedef struct {
    Fixture f;
    LaresFiles files;
    LaresShare share;
    LaresIdentity identity;
    LaresFlavor flavor;
    LaresArena *arena;
    LaresCaller caller;
    LaresObject root;
} Rig;

static void
set_up(Rig *r, gconstpointer data)
{
    fixture_set_up(&r->f, NULL);
    r->arena = lares_arena_new();
    r->identity.uid = r->f.me.uid;
    r->identity.gid = r->f.me.gid;
    r->share.ref = 1;
    r->share.id = 7;
    r->share.name = "test";
    r->share.store = r->f.s;
    r->share.enabled = TRUE;
    r->share.squash = LARES_SQUASH_NONE;
    r->caller = (LaresCaller){&r->identity, &r->flavor, NULL, "test", r->arena};
    r->root = (LaresObject){&r->share, r->f.root};
}

static void
tear_down(Rig *r, gconstpointer data)
{
    lares_fold_forget(NULL);
    lares_files_streams_free(&r->files);
    g_clear_pointer(&r->files.watches, g_ptr_array_unref);
    lares_arena_free(r->arena);
    fixture_tear_down(&r->f, NULL);
}

static void
make(Rig *r, const LaresObject *dir, const char *name, LaresFileType type, LaresObject *out)
{
    LaresCreate how = {.type = type, .attrs = {.mask = LARES_ATTR_MODE, .mode = 0755}, .exclusive = TRUE};
    LaresChangeInfo info;
    g_assert_cmpint(lares_files_create(&r->files, &r->caller, dir, name, &how, out, &info), ==, LARES_OK);
}

static void
drop(LaresObject *o)
{
    g_clear_pointer(&o->node, lares_node_unref);
    if (o->share)
        g_atomic_int_add(&o->share->ref, -1);
    o->share = NULL;
}

static LaresStatus
fold(Rig *r, const char *name, char *real)
{
    return lares_files_lookup_fold(&r->files, &r->caller, &r->root, name, real);
}

static void
test_fold(Rig *r, gconstpointer data)
{
    char real[LARES_NAME_LIMIT + 1];
    LaresObject o;
    LaresChangeInfo info;
    g_assert_cmpint(fold(r, "hello", real), ==, LARES_NOENT);
    make(r, &r->root, "Hello", LARES_TYPE_DIRECTORY, &o);
    drop(&o);
    g_assert_cmpint(fold(r, "hELLO", real), ==, LARES_OK);
    g_assert_cmpstr(real, ==, "Hello");
    make(r, &r->root, "Gr\xc3\xbcn", LARES_TYPE_DIRECTORY, &o);
    drop(&o);
    g_assert_cmpint(fold(r, "GR\xc3\x9cN", real), ==, LARES_OK);
    LaresChangeInfo info2;
    g_assert_cmpint(lares_files_rename(&r->files, &r->caller, &r->root, "Hello", &r->root, "World", &info, &info2), ==,
                    LARES_OK);
    g_assert_cmpint(fold(r, "hello", real), ==, LARES_NOENT);
    g_assert_cmpint(fold(r, "world", real), ==, LARES_OK);
    g_assert_cmpint(lares_files_remove(&r->files, &r->caller, &r->root, "World", &info), ==, LARES_OK);
    g_assert_cmpint(fold(r, "world", real), ==, LARES_NOENT);
}

/* A local program's name is found too, as soon as the directory is not changed by us any more. */
static void
test_fold_local(Rig *r, gconstpointer data)
{
    char real[LARES_NAME_LIMIT + 1];
    g_assert_cmpint(fold(r, "local", real), ==, LARES_NOENT);
    g_usleep(20000); /* the kernel's clock moves */
    g_autofree char *path = g_build_filename(r->f.dir, "LOCAL", NULL);
    g_assert_cmpint(g_mkdir(path, 0755), ==, 0);
    g_assert_cmpint(fold(r, "local", real), ==, LARES_OK);
    g_assert_cmpstr(real, ==, "LOCAL");
}

/* Creating many names one after the other, each looked for first, is not quadratic. */
static void
test_fold_many(Rig *r, gconstpointer data)
{
    char real[LARES_NAME_LIMIT + 1], name[32];
    LaresObject o;
    gint64 start = g_get_monotonic_time(), half = 0;
    for (guint i = 0; i < 4000; i++) {
        if (i == 2000)
            half = g_get_monotonic_time() - start;
        g_snprintf(name, sizeof name, "Name%u", i);
        g_assert_cmpint(fold(r, name, real), ==, LARES_NOENT);
        make(r, &r->root, name, LARES_TYPE_DIRECTORY, &o);
        drop(&o);
    }
    gint64 rest = g_get_monotonic_time() - start - half;
    g_test_message("first half %d ms, second %d ms", (int)(half / 1000), (int)(rest / 1000));
    g_assert_cmpint(fold(r, "NAME1999", real), ==, LARES_OK);
}

static void
test_dos(Rig *r, gconstpointer data)
{
    LaresObject o;
    LaresAttrs attrs;
    LaresDos dos = {.set = TRUE, .attributes = 0x21, .has_birth = TRUE, .birth = {-5, 7}}, got;
    make(r, &r->root, "d", LARES_TYPE_DIRECTORY, &o);
    g_assert_cmpint(lares_files_getattr(&r->files, &r->caller, &o, LARES_ATTR_STAT, &attrs, NULL), ==, LARES_OK);
    lares_files_get_dos(&r->files, &o, NULL, &attrs, &got);
    g_assert_false(got.set || got.has_birth);
    LaresStatus status = lares_files_set_dos(&r->files, &o, &dos);
    if (status == LARES_NOTSUPP) {
        g_test_skip("no extended attributes here");
        drop(&o);
        return;
    }
    g_assert_cmpint(status, ==, LARES_OK);
    g_assert_cmpint(lares_files_getattr(&r->files, &r->caller, &o, LARES_ATTR_STAT, &attrs, NULL), ==, LARES_OK);
    lares_files_get_dos(&r->files, &o, NULL, &attrs, &got);
    g_assert_true(got.set && got.has_birth);
    g_assert_cmphex(got.attributes, ==, 0x21);
    g_assert_cmpint(got.birth.sec, ==, -5);
    g_assert_cmpuint(got.birth.nsec, ==, 7);
    attrs.change = 0; /* by its name, without what is remembered */
    lares_files_get_dos(&r->files, &r->root, "d", &attrs, &got);
    g_assert_cmphex(got.attributes, ==, 0x21);
    /* Users neither see nor set it. */
    LaresChangeInfo info;
    char names[256];
    size_t len = 0;
    g_assert_cmpint(lares_files_listxattr(&r->files, &r->caller, &o, names, sizeof names, &len), ==, LARES_OK);
    g_assert_cmpuint(len, ==, 0);
    g_assert_cmpint(lares_files_setxattr(&r->files, &r->caller, &o, "lares.dos", (const uint8_t *)"x", 1,
                                         LARES_XATTR_EITHER, &info),
                    ==, LARES_ACCESS);
    drop(&o);
}

static gboolean
count_stream(const char *name, uint64_t size, uint64_t used, gpointer user)
{
    g_string_append_printf(user, "%s=%u;", name, (guint)size);
    return TRUE;
}

static void
test_streams(Rig *r, gconstpointer data)
{
    LaresObject o, s, again;
    LaresChangeInfo info;
    gboolean created;
    make(r, &r->root, "file", LARES_TYPE_DIRECTORY, &o);
    g_assert_cmpint(lares_files_stream(&r->files, &r->caller, &o, "s", 0, FALSE, FALSE, &s, NULL), ==, LARES_NOENT);
    LaresStatus status = lares_files_stream(&r->files, &r->caller, &o, "Stream", 0, TRUE, TRUE, &s, &created);
    if (status == LARES_NOTSUPP) {
        g_test_skip("no extended attributes here");
        drop(&o);
        return;
    }
    g_assert_cmpint(status, ==, LARES_OK);
    g_assert_true(created);
    g_assert_cmpint(lares_files_stream(&r->files, &r->caller, &o, "sTREAM", 0, TRUE, FALSE, &again, &created), ==,
                    LARES_OK);
    g_assert_true(s.node == again.node && !created);
    drop(&again);
    g_assert_cmpint(lares_files_stream(&r->files, &r->caller, &o, "STREAM", 0, TRUE, TRUE, &again, &created), ==,
                    LARES_EXIST);
    LaresSetAttrs size = {.mask = LARES_ATTR_SIZE, .size = 42};
    g_assert_cmpint(lares_files_setattr(&r->files, &r->caller, &s, NULL, &size), ==, LARES_OK);
    g_autoptr(GString) list = g_string_new(NULL);
    g_assert_cmpint(lares_files_streams(&r->files, &o, count_stream, list), ==, LARES_OK);
    g_assert_cmpstr(list->str, ==, "Stream=42;");
    g_assert_cmpint(lares_files_stream_rename(&r->files, &r->caller, &o, "stream", "other", FALSE), ==, LARES_OK);
    g_string_truncate(list, 0);
    lares_files_streams(&r->files, &o, count_stream, list);
    g_assert_cmpstr(list->str, ==, "other=42;");
    /* The folder is not there for anybody. */
    LaresObject hidden;
    g_assert_cmpint(lares_files_lookup(&r->files, &r->caller, &r->root, LARES_HIDDEN_NAME, FALSE, &hidden), ==,
                    LARES_NOENT);
    g_assert_cmpint(lares_files_remove(&r->files, &r->caller, &r->root, LARES_HIDDEN_NAME, &info), ==, LARES_ACCESS);
    /* Streams go with their file. */
    drop(&s);
    drop(&o);
    g_assert_cmpint(lares_files_remove(&r->files, &r->caller, &r->root, "file", &info), ==, LARES_OK);
    g_autofree char *path = g_build_filename(r->f.dir, LARES_HIDDEN_NAME, NULL);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    g_assert_nonnull(dir);
    g_assert_cmpstr(g_dir_read_name(dir), ==, NULL);
}

static void
note(LaresChangeAction action, const char *path, gpointer user)
{
    g_string_append_printf(user, "%d %s;", action, path ? path : "?");
}

static void
expect(GString *seen, const char *what)
{
    g_assert_cmpstr(seen->str, ==, what);
    g_string_truncate(seen, 0);
}

static void
test_watch(Rig *r, gconstpointer data)
{
    g_autoptr(GString) flat = g_string_new(NULL), deep = g_string_new(NULL);
    LaresObject a, b;
    LaresChangeInfo info, info2;
    uint32_t names = LARES_FILTER_DIR_NAME | LARES_FILTER_FILE_NAME;
    LaresWatch *one = lares_files_watch(&r->files, &r->root, FALSE, names, note, flat, NULL);
    LaresWatch *tree = lares_files_watch(&r->files, &r->root, TRUE, names | LARES_FILTER_LAST_WRITE, note, deep, NULL);
    make(r, &r->root, "a", LARES_TYPE_DIRECTORY, &a);
    expect(flat, "1 a;");
    expect(deep, "1 a;");
    make(r, &a, "b", LARES_TYPE_DIRECTORY, &b);
    expect(flat, "");
    expect(deep, "1 a/b;");
    g_assert_cmpint(lares_files_rename(&r->files, &r->caller, &a, "b", &a, "c", &info, &info2), ==, LARES_OK);
    expect(deep, "4 a/b;5 a/c;");
    g_assert_cmpint(lares_files_rename(&r->files, &r->caller, &a, "c", &r->root, "d", &info, &info2), ==, LARES_OK);
    expect(flat, "1 d;");
    expect(deep, "2 a/c;1 d;");
    /* A change of an object, by where it is now. */
    LaresSetAttrs times = {.mask = LARES_SET_MTIME_NOW};
    g_assert_cmpint(lares_files_setattr(&r->files, &r->caller, &b, NULL, &times), ==, LARES_OK);
    expect(deep, "3 d;");
    expect(flat, ""); /* not asked for */
    drop(&b);
    g_assert_cmpint(lares_files_remove(&r->files, &r->caller, &r->root, "d", &info), ==, LARES_OK);
    expect(flat, "2 d;");
    expect(deep, "2 d;");
    lares_watch_unref(one);
    lares_watch_unref(tree);
    g_assert_cmpint(lares_files_remove(&r->files, &r->caller, &r->root, "a", &info), ==, LARES_OK);
    expect(deep, "");
    drop(&a);
}

#define ADD(name, func) g_test_add("/files-smb/" name, Rig, NULL, set_up, func, tear_down)

static void
add_tests(void)
{
    ADD("fold", test_fold);
    ADD("fold-local", test_fold_local);
    ADD("fold-many", test_fold_many);
    ADD("dos", test_dos);
    ADD("streams", test_streams);
    ADD("watch", test_watch);
}

int
main(int argc, char **argv)
{
    return fixture_main(&argc, &argv, add_tests);
}
