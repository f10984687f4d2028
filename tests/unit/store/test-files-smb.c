/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What core/files has for SMB, over real directories: names whatever their case, streams, attributes. */
#include "store-fixture.h"

typedef FilesFixture Rig;

static void
set_up(Rig *r, gconstpointer data)
{
    files_fixture_set_up(r);
}

static void
tear_down(Rig *r, gconstpointer data)
{
    files_fixture_tear_down(r);
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
    files_fixture_make(r, &r->root, "Hello", LARES_TYPE_DIRECTORY, &o);
    files_fixture_drop(&o);
    g_assert_cmpint(fold(r, "hELLO", real), ==, LARES_OK);
    g_assert_cmpstr(real, ==, "Hello");
    files_fixture_make(r, &r->root, "Gr\xc3\xbcn", LARES_TYPE_DIRECTORY, &o);
    files_fixture_drop(&o);
    g_assert_cmpint(fold(r, "GR\xc3\x9cN", real), ==, LARES_OK);
    LaresChangeInfo info2;
    g_assert_cmpint(lares_files_rename(&r->files, &r->caller, &r->root, "Hello", &r->root, "World", &info, &info2), ==,
                    LARES_OK);
    g_assert_cmpint(fold(r, "hello", real), ==, LARES_NOENT);
    g_assert_cmpint(fold(r, "world", real), ==, LARES_OK);
    g_assert_cmpint(lares_files_remove(&r->files, &r->caller, &r->root, "World", &info), ==, LARES_OK);
    g_assert_cmpint(fold(r, "world", real), ==, LARES_NOENT);
}

static void
local(Rig *r, const char *name, gboolean there)
{
    g_autofree char *path = g_build_filename(r->f.dir, name, NULL);
    if (there)
        g_assert_cmpint(g_mkdir(path, 0755), ==, 0);
    else
        g_assert_cmpint(g_rmdir(path), ==, 0);
}

/* What a local program does is seen at once, also while we change the directory ourselves. */
static void
test_fold_local(Rig *r, gconstpointer data)
{
    char real[LARES_NAME_LIMIT + 1];
    LaresObject o;
    uint32_t watch;
    if (STORE_IFACE(r->f.s)->names_watch(r->f.s, r->f.root, &watch) != LARES_OK) {
        g_test_skip("names cannot be watched here");
        return;
    }
    STORE_IFACE(r->f.s)->names_unwatch(r->f.s, watch);
    g_assert_cmpint(fold(r, "local", real), ==, LARES_NOENT);
    for (guint i = 0; i < 20; i++) {
        files_fixture_make(r, &r->root, "Ours", LARES_TYPE_DIRECTORY, &o);
        files_fixture_drop(&o);
        g_assert_cmpint(fold(r, "local", real), ==, LARES_NOENT);
        local(r, "LOCAL", TRUE);
        g_assert_cmpint(fold(r, "local", real), ==, LARES_OK);
        g_assert_cmpstr(real, ==, "LOCAL");
        local(r, "Ours", FALSE);
        g_assert_cmpint(fold(r, "ours", real), ==, LARES_NOENT);
        local(r, "LOCAL", FALSE);
    }
    /* An exchange of names leaves both there. */
    local(r, "One", TRUE);
    local(r, "Two", TRUE);
    g_assert_cmpint(fold(r, "two", real), ==, LARES_OK);
    g_autofree char *one = g_build_filename(r->f.dir, "One", NULL), *two = g_build_filename(r->f.dir, "Two", NULL);
    if (renameat2(AT_FDCWD, one, AT_FDCWD, two, RENAME_EXCHANGE) == 0) {
        g_assert_cmpint(fold(r, "one", real), ==, LARES_OK);
        g_assert_cmpint(fold(r, "two", real), ==, LARES_OK);
    }
}

/* More changes than the kernel keeps for us: the directory is read again. */
static void
test_fold_overflow(Rig *r, gconstpointer data)
{
    char real[LARES_NAME_LIMIT + 1];
    g_autofree char *text = NULL;
    guint bound = 16384;
    if (g_file_get_contents("/proc/sys/fs/inotify/max_queued_events", &text, NULL, NULL))
        bound = (guint)g_ascii_strtoull(text, NULL, 10);
    if (bound > 100000) {
        g_test_skip("the kernel's queue is long");
        return;
    }
    g_assert_cmpint(fold(r, "none", real), ==, LARES_NOENT);
    local(r, "X1", TRUE);
    for (guint i = 0; i < bound / 2 + 100; i++) {
        g_autofree char *one = g_build_filename(r->f.dir, i % 2 ? "X2" : "X1", NULL);
        g_autofree char *two = g_build_filename(r->f.dir, i % 2 ? "X1" : "X2", NULL);
        g_assert_cmpint(g_rename(one, two), ==, 0);
    }
    local(r, "Last", TRUE);
    g_assert_cmpint(fold(r, "last", real), ==, LARES_OK);
    local(r, "Last", FALSE);
    g_assert_cmpint(fold(r, "last", real), ==, LARES_NOENT);
}

/* Names that come and go without anybody looking for them take no memory. */
static void
test_fold_bounded(Rig *r, gconstpointer data)
{
    char real[LARES_NAME_LIMIT + 1], name[160];
    LaresObject o;
    LaresChangeInfo info;
    g_assert_cmpint(fold(r, "none", real), ==, LARES_NOENT);
    for (guint i = 0; i < 1000; i++) {
        g_snprintf(name, sizeof name, "%0120u", i);
        files_fixture_make(r, &r->root, name, LARES_TYPE_DIRECTORY, &o);
        files_fixture_drop(&o);
        g_assert_cmpint(lares_files_remove(&r->files, &r->caller, &r->root, name, &info), ==, LARES_OK);
    }
    g_assert_cmpint(fold(r, "none", real), ==, LARES_NOENT);
    g_assert_cmpuint(lares_fold_bytes(), <, 32 * 1024);
    lares_fold_forget(NULL);
    g_assert_cmpuint(lares_fold_bytes(), ==, 0);
}

/* In a large directory neither hit nor miss reads it, whoever changes it in between. */
static void
test_fold_large(Rig *r, gconstpointer data)
{
    guint n = g_test_slow() ? 100000 : 2000, looked = 0;
    char real[LARES_NAME_LIMIT + 1], name[32];
    LaresObject o;
    uint32_t watch;
    if (STORE_IFACE(r->f.s)->names_watch(r->f.s, r->f.root, &watch) != LARES_OK) {
        g_test_skip("names cannot be watched here");
        return;
    }
    STORE_IFACE(r->f.s)->names_unwatch(r->f.s, watch);
    for (guint i = 0; i < n; i++) {
        g_snprintf(name, sizeof name, "File%u", i);
        g_autofree char *path = g_build_filename(r->f.dir, name, NULL);
        int fd = open(path, O_CREAT | O_WRONLY, 0644);
        g_assert_cmpint(fd, >=, 0);
        close(fd);
    }
    gint64 start = g_get_monotonic_time();
    g_assert_cmpint(fold(r, "none", real), ==, LARES_NOENT);
    gint64 first = g_get_monotonic_time() - start;
    guint reads = lares_fold_reads();
    start = g_get_monotonic_time();
    for (guint i = 0; i < 500; i++) {
        g_snprintf(name, sizeof name, "Local%u", i);
        local(r, name, TRUE);
        g_snprintf(name, sizeof name, "lOCAL%u", i);
        g_assert_cmpint(fold(r, name, real), ==, LARES_OK);
        g_snprintf(name, sizeof name, "fILE%u", i * 4);
        g_assert_cmpint(fold(r, name, real), ==, LARES_OK);
        g_snprintf(name, sizeof name, "Nothing%u", i);
        g_assert_cmpint(fold(r, name, real), ==, LARES_NOENT);
        looked += 3;
        files_fixture_make(r, &r->root, name, LARES_TYPE_DIRECTORY, &o);
        files_fixture_drop(&o);
    }
    gint64 rest = g_get_monotonic_time() - start;
    g_test_message("%u names: first %d us, then %.1f us each with a change for each", n, (int)first,
                   (double)rest / looked);
    g_assert_cmpuint(lares_fold_reads(), ==, reads);
    g_test_message("%zu bytes", lares_fold_bytes());
}

typedef struct {
    Rig *r;
    const char *dir;
    gint stop;
} Churn;

static gpointer
churn(gpointer data)
{
    Churn *c = data;
    char name[32];
    for (guint i = 0; !g_atomic_int_get(&c->stop); i++) {
        g_snprintf(name, sizeof name, "Churn%u", i % 7);
        g_autofree char *path = g_build_filename(c->dir, name, NULL);
        g_mkdir(path, 0755);
        g_rmdir(path);
    }
    return NULL;
}

static gpointer
look(gpointer data)
{
    Churn *c = data;
    char real[LARES_NAME_LIMIT + 1], name[32];
    LaresObject root;
    lares_object_copy(&root, &c->r->root);
    for (guint i = 0; !g_atomic_int_get(&c->stop); i++) {
        g_assert_cmpint(lares_fold_find(&root, "sTAYS", real), ==, LARES_OK);
        g_snprintf(name, sizeof name, "cHURN%u", i % 7);
        LaresStatus status = lares_fold_find(&root, name, real);
        g_assert_true(status == LARES_OK || status == LARES_NOENT);
    }
    lares_node_unref(root.node);
    g_atomic_int_add(&root.share->ref, -1);
    return NULL;
}

/* Many look, some change, tables are dropped meanwhile: what stays is always found. */
static void
test_fold_threads(Rig *r, gconstpointer data)
{
    Churn c = {r, r->f.dir, 0};
    GThread *threads[4];
    local(r, "Stays", TRUE);
    for (guint i = 0; i < 4; i++)
        threads[i] = g_thread_new("fold", i % 2 ? look : churn, &c);
    for (guint i = 0; i < 30; i++) {
        g_usleep(10000);
        lares_fold_forget(NULL);
    }
    g_atomic_int_set(&c.stop, 1);
    for (guint i = 0; i < 4; i++)
        g_thread_join(threads[i]);
    for (guint i = 0; i < 7; i++) {
        char name[32], real[LARES_NAME_LIMIT + 1];
        g_snprintf(name, sizeof name, "churn%u", i);
        g_assert_cmpint(fold(r, name, real), ==, LARES_NOENT);
    }
}

/* Creating many names one after the other, each looked for first, is not quadratic. */
static void
test_fold_many(Rig *r, gconstpointer data)
{
    char real[LARES_NAME_LIMIT + 1], name[32];
    LaresObject o;
    gint64 start = g_get_monotonic_time(), half = 0;
    for (guint i = 0; i < 1000; i++) {
        if (i == 500)
            half = g_get_monotonic_time() - start;
        g_snprintf(name, sizeof name, "Name%u", i);
        g_assert_cmpint(fold(r, name, real), ==, LARES_NOENT);
        files_fixture_make(r, &r->root, name, LARES_TYPE_DIRECTORY, &o);
        files_fixture_drop(&o);
    }
    gint64 rest = g_get_monotonic_time() - start - half;
    g_test_message("first half %d ms, second %d ms", (int)(half / 1000), (int)(rest / 1000));
    g_assert_cmpint(fold(r, "NAME499", real), ==, LARES_OK);
}

static void
test_dos(Rig *r, gconstpointer data)
{
    LaresObject o;
    LaresAttrs attrs;
    LaresDos dos = {.set = TRUE, .attributes = 0x21, .has_birth = TRUE, .birth = {-5, 7}}, got;
    files_fixture_make(r, &r->root, "d", LARES_TYPE_DIRECTORY, &o);
    g_assert_cmpint(lares_files_getattr(&r->files, &r->caller, &o, LARES_ATTR_STAT, &attrs, NULL), ==, LARES_OK);
    lares_files_get_dos(&r->files, &o, NULL, &attrs, &got);
    g_assert_false(got.set || got.has_birth);
    LaresStatus status = lares_files_set_dos(&r->files, &o, &dos);
    if (status == LARES_NOTSUPP) {
        g_test_skip("no extended attributes here");
        files_fixture_drop(&o);
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
    files_fixture_drop(&o);
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
    files_fixture_make(r, &r->root, "file", LARES_TYPE_DIRECTORY, &o);
    g_assert_cmpint(lares_files_stream(&r->files, &r->caller, &o, "s", 0, FALSE, FALSE, &s, NULL), ==, LARES_NOENT);
    LaresStatus status = lares_files_stream(&r->files, &r->caller, &o, "Stream", 0, TRUE, TRUE, &s, &created);
    if (status == LARES_NOTSUPP) {
        g_test_skip("no extended attributes here");
        files_fixture_drop(&o);
        return;
    }
    g_assert_cmpint(status, ==, LARES_OK);
    g_assert_true(created);
    g_assert_cmpint(lares_files_stream(&r->files, &r->caller, &o, "sTREAM", 0, TRUE, FALSE, &again, &created), ==,
                    LARES_OK);
    g_assert_true(s.node == again.node && !created);
    files_fixture_drop(&again);
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
    /* The folder is not there for anybody, in no case. */
    char real[LARES_NAME_LIMIT + 1];
    g_assert_cmpint(fold(r, ".LARES.Streams", real), ==, LARES_NOENT);
    g_assert_cmpint(fold(r, ".lare\xc5\xbf.Streams", real), ==, LARES_NOENT); /* long s */
    LaresCreate how = {.type = LARES_TYPE_DIRECTORY, .attrs = {.mask = LARES_ATTR_MODE, .mode = 0755}};
    g_assert_cmpint(lares_files_create(&r->files, &r->caller, &r->root, ".Lares.STREAMS", &how, &again, &info), ==,
                    LARES_ACCESS);
    LaresObject hidden;
    g_assert_cmpint(lares_files_lookup(&r->files, &r->caller, &r->root, LARES_HIDDEN_NAME, FALSE, &hidden), ==,
                    LARES_NOENT);
    g_assert_cmpint(lares_files_remove(&r->files, &r->caller, &r->root, LARES_HIDDEN_NAME, &info), ==, LARES_ACCESS);
    /* Streams go with their file. */
    files_fixture_drop(&s);
    files_fixture_drop(&o);
    g_assert_cmpint(lares_files_remove(&r->files, &r->caller, &r->root, "file", &info), ==, LARES_OK);
    g_autofree char *path = g_build_filename(r->f.dir, LARES_HIDDEN_NAME, NULL);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    g_assert_nonnull(dir);
    g_assert_cmpstr(g_dir_read_name(dir), ==, NULL);
}

/* Makes a regular file with one stream and gives the file; FALSE where there cannot be any. */
static gboolean
with_stream(Rig *r, const char *name, LaresObject *o)
{
    LaresObject s;
    files_fixture_make(r, &r->root, name, LARES_TYPE_REGULAR, o);
    LaresStatus status = lares_files_stream(&r->files, &r->caller, o, "s", 0, TRUE, FALSE, &s, NULL);
    if (status == LARES_NOTSUPP) {
        g_test_skip("no extended attributes here");
        files_fixture_drop(o);
        return FALSE;
    }
    g_assert_cmpint(status, ==, LARES_OK);
    files_fixture_drop(&s);
    return TRUE;
}

static char *
list_of(Rig *r, const LaresObject *o)
{
    GString *list = g_string_new(NULL);
    lares_files_streams(&r->files, o, count_stream, list);
    return g_string_free(list, FALSE);
}

static guint
folders(Rig *r)
{
    g_autofree char *path = g_build_filename(r->f.dir, LARES_HIDDEN_NAME, NULL);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    guint n = 0;
    while (dir && g_dir_read_name(dir))
        n++;
    return n;
}

/* A folder of that name that is not the daemon's alone is not trusted, whoever made it first. */
static void
test_streams_strangers(Rig *r, gconstpointer data)
{
    LaresObject o, s;
    g_autofree char *path = g_build_filename(r->f.dir, LARES_HIDDEN_NAME, NULL);
    g_assert_cmpint(g_mkdir(path, 0700), ==, 0);
    if (!with_stream(r, "mine", &o))
        return;
    files_fixture_drop(&o);
    g_assert_cmpint(g_chmod(path, 0755), ==, 0);
    files_fixture_make(r, &r->root, "f", LARES_TYPE_REGULAR, &o);
    g_assert_cmpint(lares_files_stream(&r->files, &r->caller, &o, "s", 0, TRUE, FALSE, &s, NULL), ==, LARES_ACCESS);
    g_assert_cmpint(g_chmod(path, 0700), ==, 0);
    if (geteuid() == 0 && chown(path, 4711, 4711) == 0) {
        g_assert_cmpint(lares_files_stream(&r->files, &r->caller, &o, "s", 0, TRUE, FALSE, &s, NULL), ==, LARES_ACCESS);
        g_assert_cmpint(chown(path, 0, 0), ==, 0);
    }
    g_autofree char *aside = g_strconcat(path, ".aside", NULL);
    g_assert_cmpint(g_rename(path, aside), ==, 0);
    g_assert_cmpint(symlink(aside, path), ==, 0);
    g_assert_cmpint(lares_files_stream(&r->files, &r->caller, &o, "s", 0, TRUE, FALSE, &s, NULL), ==, LARES_ACCESS);
    g_assert_cmpint(g_unlink(path), ==, 0);
    g_assert_cmpint(g_rename(aside, path), ==, 0);
    g_assert_cmpint(lares_files_stream(&r->files, &r->caller, &o, "s", 0, TRUE, FALSE, &s, NULL), ==, LARES_OK);
    files_fixture_drop(&s);
    files_fixture_drop(&o);
}

/* They follow rename and link, go with the last name, and with what is replaced. */
static void
test_streams_follow(Rig *r, gconstpointer data)
{
    LaresObject o, found;
    LaresChangeInfo info, info2;
    if (!with_stream(r, "a", &o))
        return;
    g_assert_cmpint(lares_files_rename(&r->files, &r->caller, &r->root, "a", &r->root, "b", &info, &info2), ==,
                    LARES_OK);
    g_assert_cmpint(lares_files_link(&r->files, &r->caller, &o, &r->root, "c", &info), ==, LARES_OK);
    files_fixture_drop(&o);
    g_assert_cmpint(lares_files_remove(&r->files, &r->caller, &r->root, "b", &info), ==, LARES_OK);
    g_assert_cmpint(lares_files_lookup(&r->files, &r->caller, &r->root, "c", FALSE, &found), ==, LARES_OK);
    g_autofree char *list = list_of(r, &found);
    g_assert_cmpstr(list, ==, "s=0;");
    files_fixture_drop(&found);
    g_assert_true(with_stream(r, "d", &o));
    files_fixture_drop(&o);
    g_assert_cmpuint(folders(r), ==, 2);
    g_assert_cmpint(lares_files_rename(&r->files, &r->caller, &r->root, "d", &r->root, "c", &info, &info2), ==,
                    LARES_OK);
    g_assert_cmpuint(folders(r), ==, 1);
    g_assert_cmpint(lares_files_remove(&r->files, &r->caller, &r->root, "c", &info), ==, LARES_OK);
    g_assert_cmpuint(folders(r), ==, 0);
}

/* A local copy with all attributes has none of the streams, and its end costs the first file nothing. */
static void
test_streams_copy(Rig *r, gconstpointer data)
{
    LaresObject o, copy, s;
    LaresChangeInfo info;
    uint8_t id[64];
    size_t n;
    if (!with_stream(r, "a", &o))
        return;
    files_fixture_make(r, &r->root, "copy", LARES_TYPE_REGULAR, &copy);
    g_assert_cmpint(lares_files_get_note(&r->files, &o, "streams", id, sizeof id, &n), ==, LARES_OK);
    g_assert_cmpint(lares_files_set_note(&r->files, &copy, "streams", id, n), ==, LARES_OK);
    g_autofree char *none = list_of(r, &copy);
    g_assert_cmpstr(none, ==, "");
    g_assert_cmpint(lares_files_stream(&r->files, &r->caller, &copy, "own", 0, TRUE, FALSE, &s, NULL), ==, LARES_OK);
    files_fixture_drop(&s);
    g_autofree char *own = list_of(r, &copy);
    g_assert_cmpstr(own, ==, "own=0;");
    g_assert_cmpint(lares_files_set_note(&r->files, &copy, "streams", id, n), ==, LARES_OK);
    files_fixture_drop(&copy);
    g_assert_cmpint(lares_files_remove(&r->files, &r->caller, &r->root, "copy", &info), ==, LARES_OK);
    g_autofree char *still = list_of(r, &o);
    g_assert_cmpstr(still, ==, "s=0;");
    /* Restored from a backup when the first is gone: they are its own. */
    files_fixture_make(r, &r->root, "copy", LARES_TYPE_REGULAR, &copy);
    g_assert_cmpint(lares_files_set_note(&r->files, &copy, "streams", id, n), ==, LARES_OK);
    files_fixture_drop(&o);
    g_autofree char *path = g_build_filename(r->f.dir, "a", NULL);
    g_assert_cmpint(g_unlink(path), ==, 0);
    g_autofree char *taken = list_of(r, &copy);
    g_assert_cmpstr(taken, ==, "s=0;");
    files_fixture_drop(&copy);
}

/* What a local program removed leaves streams that go after a while; others stay. */
static void
test_streams_sweep(Rig *r, gconstpointer data)
{
    LaresObject o;
    gboolean lasting = STORE_IFACE(r->f.s)->handles_last(r->f.s);
    if (!with_stream(r, "stays", &o))
        return;
    files_fixture_drop(&o);
    g_assert_true(with_stream(r, "goes", &o));
    files_fixture_drop(&o);
    g_autofree char *path = g_build_filename(r->f.dir, "goes", NULL);
    g_assert_cmpint(g_unlink(path), ==, 0);
    g_assert_cmpuint(lares_files_streams_sweep(r->f.s, 1000, 100, NULL), ==, 0);
    g_assert_cmpuint(lares_files_streams_sweep(r->f.s, 1050, 100, NULL), ==, 0);
    g_assert_cmpuint(lares_files_streams_sweep(r->f.s, 1100, 100, NULL), ==, lasting ? 1 : 0);
    g_assert_cmpuint(lares_files_streams_sweep(r->f.s, 9000, 100, NULL), ==, 0);
    g_assert_cmpuint(folders(r), ==, lasting ? 1 : 2);
    g_assert_cmpint(lares_files_lookup(&r->files, &r->caller, &r->root, "stays", FALSE, &o), ==, LARES_OK);
    g_autofree char *list = list_of(r, &o);
    g_assert_cmpstr(list, ==, "s=0;");
    files_fixture_drop(&o);
}

#define ADD(name, func) g_test_add("/files-smb/" name, Rig, NULL, set_up, func, tear_down)

static void
add_tests(void)
{
    ADD("fold", test_fold);
    ADD("fold-local", test_fold_local);
    ADD("fold-many", test_fold_many);
    ADD("fold-overflow", test_fold_overflow);
    ADD("fold-bounded", test_fold_bounded);
    ADD("fold-large", test_fold_large);
    ADD("fold-threads", test_fold_threads);
    ADD("dos", test_dos);
    ADD("streams", test_streams);
    ADD("streams-strangers", test_streams_strangers);
    ADD("streams-follow", test_streams_follow);
    ADD("streams-copy", test_streams_copy);
    ADD("streams-sweep", test_streams_sweep);
}

int
main(int argc, char **argv)
{
    return fixture_main(&argc, &argv, add_tests);
}
