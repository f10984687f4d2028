/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* store-posix over a real directory: names, attributes, data, handles. Runs as whoever calls it; the folder to work in
 * is the first argument (a fresh one below the temporary directory otherwise). */
#include "store-fixture.h"

#include <sys/resource.h>

static void
test_names(Fixture *f, gconstpointer data)
{
    LaresNode *dir = must_make(f->s, &f->me, f->root, "d", LARES_TYPE_DIRECTORY, 0755), *node, *up;
    LaresNode *file = must_make(f->s, &f->me, dir, "f", LARES_TYPE_REGULAR, 0640);
    char target[64];
    size_t len;
    assert_status(try_make(f->s, &f->me, dir, "f", LARES_TYPE_REGULAR, 0640, NULL), LARES_EXIST);
    assert_status(try_make(f->s, &f->me, dir, "f", LARES_TYPE_DIRECTORY, 0640, NULL), LARES_EXIST);
    g_assert_cmpuint(attrs_of(f->s, file).mode, ==, 0640);
    g_assert_cmpint(attrs_of(f->s, file).type, ==, LARES_TYPE_REGULAR);
    assert_ok(IFACE(f->s)->lookup(f->s, &f->me, dir, "f", &node));
    g_assert_true(node == file);
    lares_node_unref(node);
    assert_ok(IFACE(f->s)->parent(f->s, &f->me, dir, &up));
    g_assert_true(up == f->root);
    lares_node_unref(up);
    assert_status(IFACE(f->s)->parent(f->s, &f->me, f->root, &up), LARES_NOENT);

    assert_ok(IFACE(f->s)->link(f->s, &f->me, file, f->root, "hard"));
    node = must_lookup(f->s, &f->me, f->root, "hard");
    g_assert_true(node == file);
    lares_node_unref(node);
    g_assert_cmpuint(attrs_of(f->s, file).nlink, ==, 2);
    assert_status(IFACE(f->s)->link(f->s, &f->me, dir, f->root, "dirlink"), LARES_ISDIR);

    node = must_make(f->s, &f->me, dir, "sym", LARES_TYPE_SYMLINK, 0777);
    assert_ok(IFACE(f->s)->readlink(f->s, &f->me, node, target, sizeof target, &len));
    g_assert_cmpmem(target, len, "target", 6);
    assert_status(try_lookup(f->s, &f->me, node, "x"), LARES_SYMLINK);
    assert_ok(IFACE(f->s)->link(f->s, &f->me, node, dir, "sym2"));
    lares_node_unref(node);
    lares_node_unref(must_make(f->s, &f->me, dir, "pipe", LARES_TYPE_FIFO, 0600));
    lares_node_unref(must_make(f->s, &f->me, dir, "sock", LARES_TYPE_SOCKET, 0600));

    assert_status(IFACE(f->s)->rename(f->s, &f->me, dir, "f", f->root, "hard", FALSE), LARES_EXIST);
    assert_ok(IFACE(f->s)->rename(f->s, &f->me, dir, "f", f->root, "g", FALSE));
    assert_status(try_lookup(f->s, &f->me, dir, "f"), LARES_NOENT);
    node = must_lookup(f->s, &f->me, f->root, "g");
    g_assert_true(node == file);
    lares_node_unref(node);
    assert_status(IFACE(f->s)->rename(f->s, &f->me, f->root, "g", f->root, "d", TRUE), LARES_EXIST);
    assert_status(IFACE(f->s)->rename(f->s, &f->me, f->root, "d", dir, "inside", TRUE), LARES_INVAL);
    assert_status(IFACE(f->s)->remove(f->s, &f->me, f->root, "d"), LARES_NOTEMPTY);
    assert_ok(IFACE(f->s)->remove(f->s, &f->me, f->root, "g"));
    g_assert_cmpuint(attrs_of(f->s, file).nlink, ==, 1);
    assert_ok(IFACE(f->s)->remove(f->s, &f->me, f->root, "hard"));
    LaresAttrs a;
    assert_status(IFACE(f->s)->getattr(f->s, file, LARES_ATTR_STAT, &a), LARES_STALE);
    lares_node_unref(file);
    for (const char *const *name = (const char *const[]){"sym", "sym2", "pipe", "sock", NULL}; *name; name++)
        assert_ok(IFACE(f->s)->remove(f->s, &f->me, dir, *name));
    assert_ok(IFACE(f->s)->remove(f->s, &f->me, f->root, "d"));
    assert_status(IFACE(f->s)->remove(f->s, &f->me, f->root, "d"), LARES_NOENT);
    lares_node_unref(dir);
}

static void
test_bad_names(Fixture *f, gconstpointer data)
{
    char longest[258];
    memset(longest, 'n', sizeof longest);
    longest[257] = '\0';
    longest[256] = '\0';
    assert_status(try_lookup(f->s, &f->me, f->root, longest), LARES_NAMETOOLONG);
    assert_status(try_make(f->s, &f->me, f->root, longest, LARES_TYPE_REGULAR, 0600, NULL), LARES_NAMETOOLONG);
    longest[255] = '\0';
    lares_node_unref(must_make(f->s, &f->me, f->root, longest, LARES_TYPE_REGULAR, 0600));
    for (const char *const *name = (const char *const[]){"..", ".", "a/b", "/etc", "../x", NULL}; *name; name++) {
        assert_status(try_lookup(f->s, &f->me, f->root, *name), LARES_BADNAME);
        assert_status(try_make(f->s, &f->me, f->root, *name, LARES_TYPE_REGULAR, 0600, NULL), LARES_BADNAME);
        assert_status(IFACE(f->s)->remove(f->s, &f->me, f->root, *name), LARES_BADNAME);
    }
    assert_status(try_lookup(f->s, &f->me, f->root, ""), LARES_INVAL);
}

static void
test_io(Fixture *f, gconstpointer data)
{
    LaresCreate how = {.type = LARES_TYPE_REGULAR, .attrs = {.mask = LARES_ATTR_MODE, .mode = 0}};
    LaresNode *node;
    LaresFile *file, *reader;
    gboolean created, eof;
    uint8_t buf[64];
    size_t done;
    uint64_t found;
    assert_ok(IFACE(f->s)->create(f->s, &f->me, f->root, "f", &how, RW, &node, &file, &created));
    g_assert_true(created);
    g_assert_cmpuint(must_write(f->s, file, 0, "hello world", 11), ==, 11);
    struct iovec iov[3] = {{(void *)"AB", 2}, {(void *)"", 0}, {(void *)"CDE", 3}};
    for (LaresStable stable = LARES_STABLE_NONE; stable <= LARES_STABLE_FILE; stable++) {
        assert_ok(IFACE(f->s)->write(f->s, file, 6, iov, 3, stable, &done));
        g_assert_cmpuint(done, ==, 5);
    }
    assert_ok(IFACE(f->s)->commit(f->s, file, 0, 0));
    assert_ok(IFACE(f->s)->read(f->s, file, 0, buf, sizeof buf, &done));
    g_assert_cmpmem(buf, done, "hello ABCDE", 11);
    assert_ok(IFACE(f->s)->read(f->s, file, 11, buf, sizeof buf, &done));
    g_assert_cmpuint(done, ==, 0);
    assert_ok(IFACE(f->s)->read(f->s, file, UINT64_MAX - 5, buf, sizeof buf, &done));
    g_assert_cmpuint(done, ==, 0);
    assert_status(IFACE(f->s)->write(f->s, file, UINT64_MAX - 1, iov, 1, LARES_STABLE_NONE, &done), LARES_FBIG);
    assert_ok(IFACE(f->s)->set_size(f->s, file, 1 << 20));
    g_assert_cmpuint(attrs_of(f->s, node).size, ==, 1 << 20);
    assert_ok(IFACE(f->s)->deallocate(f->s, file, 4096, 1 << 19));
    assert_ok(IFACE(f->s)->seek(f->s, file, LARES_SEEK_HOLE, 0, &found, &eof));
    g_assert_cmpuint(found, <=, 4096);
    must_write(f->s, file, 1 << 19, "x", 1);
    assert_ok(IFACE(f->s)->seek(f->s, file, LARES_SEEK_DATA, 65536, &found, &eof));
    g_assert_false(eof);
    assert_status(IFACE(f->s)->seek(f->s, file, LARES_SEEK_DATA, 2 << 20, &found, &eof), LARES_NXIO);
    assert_ok(try_chmod(f->s, &f->me, node, 0600));
    reader = must_open(f->s, &f->me, node, LARES_ACCESS_READ);
    assert_status(IFACE(f->s)->write(f->s, reader, 0, iov, 1, LARES_STABLE_NONE, &done), LARES_OPENMODE);
    assert_ok(IFACE(f->s)->copy(f->s, reader, 0, file, 2 << 20, 11, &found));
    g_assert_cmpuint(found, ==, 11);
    assert_ok(IFACE(f->s)->read(f->s, file, 2 << 20, buf, sizeof buf, &done));
    g_assert_cmpmem(buf, done, "hello ABCDE", 11);
    lares_file_unref(reader);
    reader = must_open(f->s, &f->me, node, LARES_ACCESS_READ); /* the spare one */
    assert_ok(IFACE(f->s)->read(f->s, reader, 0, buf, 5, &done));
    g_assert_cmpmem(buf, done, "hello", 5);
    /* unlinked but open: still there; then gone */
    assert_ok(IFACE(f->s)->remove(f->s, &f->me, f->root, "f"));
    g_assert_cmpuint(attrs_of(f->s, node).nlink, ==, 0);
    assert_ok(IFACE(f->s)->read(f->s, reader, 0, buf, 5, &done));
    lares_file_unref(reader);
    lares_file_unref(file);
    LaresHandle handle = node->handle;
    lares_node_unref(node);
    assert_status(IFACE(f->s)->from_handle(f->s, handle.bytes, handle.len, &node), LARES_STALE);
    /* not exclusive: opens what is there */
    lares_node_unref(must_make(f->s, &f->me, f->root, "e", LARES_TYPE_REGULAR, 0600));
    assert_ok(IFACE(f->s)->create(f->s, &f->me, f->root, "e", &how, RW, &node, &file, &created));
    g_assert_false(created);
    lares_file_unref(file);
    lares_node_unref(node);
    lares_node_unref(must_make(f->s, &f->me, f->root, "l", LARES_TYPE_SYMLINK, 0600));
    assert_status(IFACE(f->s)->create(f->s, &f->me, f->root, "l", &how, RW, &node, &file, &created), LARES_SYMLINK);
}

static guint
count_descriptors(void)
{
    guint n = 0;
    g_autoptr(GDir) dir = g_dir_open("/proc/self/fd", 0, NULL);
    while (g_dir_read_name(dir))
        n++;
    return n;
}

/* A file that was made and closed keeps no descriptor, and is the same file to everything that comes later. */
static void
test_made_and_closed(Fixture *f, gconstpointer data)
{
    const guint total = 20;
    LaresCreate how = {.type = LARES_TYPE_REGULAR, .attrs = {.mask = LARES_ATTR_MODE, .mode = 0640}};
    LaresHandle handle[20];
    LaresNode *node;
    LaresFile *file;
    gboolean created;
    char name[16];
    guint before = count_descriptors();
    for (guint i = 0; i < total; i++) {
        g_snprintf(name, sizeof name, "f%u", i);
        assert_ok(IFACE(f->s)->create(f->s, &f->me, f->root, name, &how, RW, &node, &file, &created));
        must_write(f->s, file, 0, name, strlen(name));
        g_assert_cmpuint(attrs_of(f->s, node).size, ==, strlen(name));
        g_assert_cmpuint(attrs_of(f->s, node).mode, ==, 0640);
        handle[i] = node->handle;
        lares_file_unref(file);
        lares_node_unref(node);
    }
    if (!data && ((PosixStore *)f->s)->mounts[0]->handles)
        g_assert_cmpuint(count_descriptors(), ==, before);
    for (guint i = 0; i < total; i++) {
        uint8_t buf[16];
        size_t done;
        LaresSpace space;
        LaresAcl *acl = NULL;
        g_snprintf(name, sizeof name, "f%u", i);
        assert_ok(IFACE(f->s)->from_handle(f->s, handle[i].bytes, handle[i].len, &node));
        switch (i % 7) {
        case 0:
            assert_ok(try_chmod(f->s, &f->me, node, 0600));
            break;
        case 1:
            g_assert_cmpuint(access_of(f->s, &f->me, node, LARES_ACCESS_READ), ==, LARES_ACCESS_READ);
            break;
        case 2:
            assert_ok(IFACE(f->s)->statfs(f->s, node, &space));
            break;
        case 3:
            assert_ok(IFACE(f->s)->link(f->s, &f->me, node, f->root, "another"));
            g_assert_cmpuint(attrs_of(f->s, node).nlink, ==, 2);
            assert_ok(IFACE(f->s)->remove(f->s, &f->me, f->root, "another"));
            g_assert_cmpuint(attrs_of(f->s, node).nlink, ==, 1);
            break;
        case 4:
            assert_ok(IFACE(f->s)->get_acl(f->s, node, &acl));
            lares_acl_free(acl);
            break;
        case 5:
            assert_ok(IFACE(f->s)->sync(f->s, node));
            break;
        default:
            assert_status(IFACE(f->s)->getxattr(f->s, &f->me, node, "none", buf, sizeof buf, &done), LARES_NOXATTR);
        }
        LaresNode *found = must_lookup(f->s, &f->me, f->root, name);
        g_assert_true(found == node);
        lares_node_unref(found);
        file = must_open(f->s, &f->me, node, LARES_ACCESS_READ);
        assert_ok(IFACE(f->s)->read(f->s, file, 0, buf, sizeof buf, &done));
        g_assert_cmpmem(buf, done, name, strlen(name));
        lares_file_unref(file);
        lares_node_unref(node);
    }
    /* removed without having been needed again, by us and by others */
    for (guint i = 0; i < 2; i++) {
        assert_ok(IFACE(f->s)->create(f->s, &f->me, f->root, "gone", &how, RW, &node, &file, &created));
        LaresHandle last = node->handle;
        lares_file_unref(file);
        if (i)
            lares_node_unref(node);
        if (i == 0) {
            g_autofree char *path = g_build_filename(f->dir, "gone", NULL);
            g_assert_cmpint(g_unlink(path), ==, 0);
            lares_node_unref(node);
        } else {
            assert_ok(IFACE(f->s)->remove(f->s, &f->me, f->root, "gone"));
            assert_status(IFACE(f->s)->from_handle(f->s, last.bytes, last.len, &node), LARES_STALE);
        }
    }
}

static void
test_attributes(Fixture *f, gconstpointer data)
{
    LaresNode *node = must_make(f->s, &f->me, f->root, "f", LARES_TYPE_REGULAR, 0644);
    LaresAttrs before = attrs_of(f->s, node), after;
    LaresSetAttrs set = {.mask = LARES_ATTR_SIZE | LARES_ATTR_ATIME | LARES_ATTR_MTIME | LARES_ATTR_MODE,
                         .size = 12345,
                         .mode = 0604,
                         .atime = {1000, 5},
                         .mtime = {-7, 999999999}};
    g_assert_cmpuint(before.change, >, 0);
    assert_ok(IFACE(f->s)->setattr(f->s, &f->me, node, &set));
    after = attrs_of(f->s, node);
    g_assert_cmpuint(after.change, >, before.change);
    g_assert_cmpuint(after.size, ==, 12345);
    g_assert_cmpuint(after.mode, ==, 0604);
    g_assert_cmpint(after.mtime.sec, ==, -7);
    g_assert_cmpint(after.atime.sec, ==, 1000);
    g_assert_cmpuint(after.fileid, ==, node->fileid);
    set = (LaresSetAttrs){.mask = LARES_SET_ATIME_NOW | LARES_SET_MTIME_NOW};
    assert_ok(IFACE(f->s)->setattr(f->s, &f->me, node, &set));
    g_assert_cmpint(attrs_of(f->s, node).mtime.sec, >, 1000000);
    set = (LaresSetAttrs){.mask = LARES_ATTR_MTIME, .mtime = {0, 1000000000}};
    assert_status(IFACE(f->s)->setattr(f->s, &f->me, node, &set), LARES_INVAL);
    set = (LaresSetAttrs){.mask = LARES_ATTR_SIZE, .size = 5};
    assert_status(IFACE(f->s)->setattr(f->s, &f->me, f->root, &set), LARES_ISDIR);
    set.size = UINT64_MAX;
    assert_status(IFACE(f->s)->setattr(f->s, &f->me, node, &set), LARES_FBIG);
    LaresSpace space;
    assert_ok(IFACE(f->s)->statfs(f->s, node, &space));
    g_assert_cmpuint(space.total_bytes, >, 0);
    g_assert_cmpuint(space.name_max, ==, 255);
    lares_node_unref(node);
}

/* Each change that a client can see must move the attribute, however fast they follow each other. */
static void
test_change_always_moves_in(Fixture *f, const char *file_name)
{
    LaresNode *node = must_make(f->s, &f->me, f->root, file_name, LARES_TYPE_REGULAR, 0644);
    LaresFile *file = must_open(f->s, &f->me, node, RW);
    uint64_t last = attrs_of(f->s, node).change, dir = attrs_of(f->s, f->root).change;
    for (int i = 0; i < 500; i++) {
        must_write(f->s, file, 0, "x", 1);
        uint64_t now = attrs_of(f->s, node).change;
        g_assert_cmpuint(now, >, last);
        last = now;
        g_assert_cmpuint(attrs_of(f->s, node).change, ==, last);
        char name[16];
        g_snprintf(name, sizeof name, "n%d", i);
        lares_node_unref(must_make(f->s, &f->me, f->root, name, LARES_TYPE_REGULAR, 0600));
        now = attrs_of(f->s, f->root).change;
        g_assert_cmpuint(now, >, dir);
        dir = now;
    }
    lares_file_unref(file);
    lares_node_unref(node);
}

static void
test_change_always_moves(Fixture *f, gconstpointer data)
{
    test_change_always_moves_in(f, "f");
}

/* What the thread itself changes it sees within the moment, what others change in the next one. */
static void
test_moments(Fixture *f, gconstpointer data)
{
    LaresNode *node = must_make(f->s, &f->me, f->root, "f", LARES_TYPE_REGULAR, 0644), *other = NULL;
    g_autofree char *path = g_build_filename(f->dir, "f", NULL);
    lares_store_moment_begin();
    g_assert_cmpuint(attrs_of(f->s, node).mode, ==, 0644);
    assert_ok(try_chmod(f->s, &f->me, node, 0600));
    g_assert_cmpuint(attrs_of(f->s, node).mode, ==, 0600);
    assert_ok(IFACE(f->s)->link(f->s, &f->me, node, f->root, "g"));
    g_assert_cmpuint(attrs_of(f->s, node).nlink, ==, 2);
    assert_ok(IFACE(f->s)->remove(f->s, &f->me, f->root, "g"));
    g_assert_cmpuint(attrs_of(f->s, node).nlink, ==, 1);
    test_change_always_moves_in(f, "h");
    g_assert_cmpint(g_chmod(path, 0640), ==, 0);
    lares_store_moment_begin();
    g_assert_cmpuint(attrs_of(f->s, node).mode, ==, 0640);
    other = must_make(f->s, &f->me, f->root, "other", LARES_TYPE_REGULAR, 0611);
    g_assert_cmpuint(attrs_of(f->s, other).mode, ==, 0611);
    g_assert_cmpint(g_chmod(path, 0644), ==, 0);
    lares_store_moment_end();
    g_assert_cmpuint(attrs_of(f->s, node).mode, ==, 0644);
    lares_node_unref(other);
    lares_node_unref(node);
}

typedef struct {
    GHashTable *names;
    guint limit, taken;
    uint64_t cookie;
} Listing;

static gboolean
take_entry(const LaresDirEntry *entry, gpointer user)
{
    Listing *l = user;
    if (l->taken == l->limit)
        return FALSE;
    g_assert_cmpuint(entry->cookie, >, 2);
    g_assert_true(g_hash_table_add(l->names, g_strdup(entry->name)));
    l->cookie = entry->cookie;
    l->taken++;
    return TRUE;
}

static void
test_readdir(Fixture *f, gconstpointer data)
{
    const guint total = 3000;
    for (guint i = 0; i < total; i++) {
        char name[32];
        g_snprintf(name, sizeof name, "file-%u", i);
        lares_node_unref(must_make(f->s, &f->me, f->root, name, LARES_TYPE_REGULAR, 0600));
    }
    Listing l = {g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL), 70, 0, 0};
    gboolean eof = FALSE;
    for (guint page = 0; !eof; page++) {
        l.taken = 0;
        assert_ok(IFACE(f->s)->readdir(f->s, &f->me, f->root, l.cookie, take_entry, &l, &eof));
        if (page == 10)
            fixture_reopen(f, data != NULL); /* cookies survive a restart */
    }
    g_assert_cmpuint(g_hash_table_size(l.names), ==, total);
    assert_status(IFACE(f->s)->readdir(f->s, &f->me, f->root, 1, take_entry, &l, &eof), LARES_BAD_COOKIE);
    g_hash_table_unref(l.names);
}

typedef struct {
    Fixture *f;
    gboolean nodes;
    guint seen;
    guint by_name;
} Comparison;

/* emit may call the store, so what was told is compared at once with what getattr tells. */
static gboolean
compare_entry(const LaresDirEntry *entry, const LaresAttrs *told, LaresNode *told_node, gpointer user)
{
    Comparison *c = user;
    g_autoptr(LaresNode) node = must_lookup(c->f->s, &c->f->me, c->f->root, entry->name);
    LaresAttrs real = attrs_of(c->f->s, node);
    g_assert_nonnull(told);
    if (c->nodes)
        g_assert_true(told_node == node);
    g_assert_cmpuint(told->mask & LARES_ATTR_CHANGE, !=, 0);
    g_assert_cmpuint(told->change, ==, real.change);
    g_assert_cmpuint(told->fileid, ==, real.fileid);
    g_assert_cmpuint(told->type, ==, real.type);
    g_assert_cmpuint(told->mode, ==, real.mode);
    g_assert_cmpuint(told->size, ==, real.size);
    g_assert_cmpuint(told->fsid_major, ==, real.fsid_major);
    g_assert_cmpint(told->btime.sec, ==, real.btime.sec);
    c->seen++;
    return TRUE;
}

/* An entry's handle is its object's, whether it came with the object or is asked for; of another number it is none. */
static gboolean
compare_handle(const LaresDirEntry *entry, const LaresAttrs *told, LaresNode *told_node, gpointer user)
{
    Comparison *c = user;
    LaresHandle handle = {0};
    g_assert_nonnull(told);
    if (told_node) {
        handle = told_node->handle;
    } else {
        assert_ok(IFACE(c->f->s)->entry_handle(c->f->s, c->f->root, entry->name, told->fileid, &handle));
        c->by_name++;
        LaresHandle other;
        g_assert_cmpint(IFACE(c->f->s)->entry_handle(c->f->s, c->f->root, entry->name, told->fileid + 1, &other), ==,
                        LARES_STALE);
    }
    g_autoptr(LaresNode) node = must_lookup(c->f->s, &c->f->me, c->f->root, entry->name);
    g_assert_cmpmem(handle.bytes, handle.len, node->handle.bytes, node->handle.len);
    c->seen++;
    return TRUE;
}

static void
test_readdir_handles(Fixture *f, gconstpointer data)
{
    static const LaresFileType types[] = {LARES_TYPE_REGULAR, LARES_TYPE_DIRECTORY, LARES_TYPE_SYMLINK,
                                          LARES_TYPE_FIFO};
    const guint total = 40;
    LaresHandle handle;
    for (guint i = 0; i < total; i++) {
        char name[32];
        g_snprintf(name, sizeof name, "entry-%u", i);
        lares_node_unref(must_make(f->s, &f->me, f->root, name, types[i % G_N_ELEMENTS(types)], 0600));
    }
    fixture_reopen(f, data != NULL); /* nothing is cached */
    gboolean kernel = f->root->handle.bytes[0] == 1;
    for (guint round = 0; round < 2; round++) {
        Comparison c = {f, FALSE, 0, 0};
        gboolean eof = FALSE;
        assert_ok(IFACE(f->s)->readdir_attrs(f->s, &f->me, f->root, 0, LARES_ATTR_STAT | LARES_ATTR_HANDLE, FALSE,
                                             compare_handle, &c, &eof));
        g_assert_true(eof);
        g_assert_cmpuint(c.seen, ==, total);
        /* On what the tests run on no object is made for it, and what is cached is asked. */
        if (!kernel)
            g_assert_cmpuint(c.by_name, ==, 0);
        else if (round == 0)
            g_assert_cmpuint(c.by_name, ==, total);
    }
    g_assert_cmpint(IFACE(f->s)->entry_handle(f->s, f->root, "nothing", 1, &handle), ==,
                    kernel ? LARES_NOENT : LARES_NOTSUPP);
}

static void
test_readdir_attrs(Fixture *f, gconstpointer data)
{
    static const LaresFileType types[] = {LARES_TYPE_REGULAR, LARES_TYPE_DIRECTORY, LARES_TYPE_SYMLINK,
                                          LARES_TYPE_FIFO};
    const guint total = 200;
    for (guint i = 0; i < total; i++) {
        char name[32];
        g_snprintf(name, sizeof name, "entry-%u", i);
        g_autoptr(LaresNode) node = must_make(f->s, &f->me, f->root, name, types[i % G_N_ELEMENTS(types)], 0600);
        for (guint turn = 0; i % 8 == 0 && turn < 3; turn++) { /* faster than the clock of ctime */
            LaresFile *file = must_open(f->s, &f->me, node, LARES_ACCESS_WRITE);
            must_write(f->s, file, turn, "x", 1);
            lares_file_unref(file);
            attrs_of(f->s, node);
        }
    }
    for (guint round = 0; round < 4; round++) {
        Comparison c = {f, round & 1, 0, 0};
        gboolean eof = FALSE;
        if (round == 2)
            fixture_reopen(f, data != NULL); /* nothing is cached */
        assert_ok(
            IFACE(f->s)->readdir_attrs(f->s, &f->me, f->root, 0, LARES_ATTR_STAT, c.nodes, compare_entry, &c, &eof));
        g_assert_true(eof);
        g_assert_cmpuint(c.seen, ==, total);
    }
}

static void
test_handles(Fixture *f, gconstpointer data)
{
    LaresNode *dir = must_make(f->s, &f->me, f->root, "d", LARES_TYPE_DIRECTORY, 0755), *node;
    LaresNode *file = must_make(f->s, &f->me, dir, "f", LARES_TYPE_REGULAR, 0600);
    LaresNode *link = must_make(f->s, &f->me, dir, "l", LARES_TYPE_SYMLINK, 0600);
    LaresHandle hr = f->root->handle, hd = dir->handle, hf = file->handle, hl = link->handle;
    uint64_t fileid = file->fileid;
    lares_node_unref(dir);
    lares_node_unref(file);
    lares_node_unref(link);
    assert_ok(IFACE(f->s)->rename(f->s, &f->me, f->root, "d", f->root, "renamed", FALSE));
    fixture_reopen(f, data != NULL);
    assert_ok(IFACE(f->s)->from_handle(f->s, hf.bytes, hf.len, &node));
    g_assert_cmpuint(node->fileid, ==, fileid);
    g_assert_cmpint(node->type, ==, LARES_TYPE_REGULAR);
    g_assert_cmpmem(node->handle.bytes, node->handle.len, hf.bytes, hf.len);
    lares_node_unref(node);
    assert_ok(IFACE(f->s)->from_handle(f->s, hd.bytes, hd.len, &node));
    g_assert_cmpint(node->type, ==, LARES_TYPE_DIRECTORY);
    lares_node_unref(node);
    assert_ok(IFACE(f->s)->from_handle(f->s, hl.bytes, hl.len, &node));
    g_assert_cmpint(node->type, ==, LARES_TYPE_SYMLINK);
    lares_node_unref(node);
    assert_ok(IFACE(f->s)->from_handle(f->s, hr.bytes, hr.len, &node));
    g_assert_true(node == f->root);
    lares_node_unref(node);
    /* renamed behind our back, within its directory */
    g_autofree char *old = g_build_filename(f->dir, "renamed", "f", NULL);
    g_autofree char *new = g_build_filename(f->dir, "renamed", "other", NULL);
    g_assert_cmpint(g_rename(old, new), ==, 0);
    fixture_reopen(f, data != NULL);
    assert_ok(IFACE(f->s)->from_handle(f->s, hf.bytes, hf.len, &node));
    g_assert_cmpuint(node->fileid, ==, fileid);
    lares_node_unref(node);
    /* gone, and another in its place */
    g_assert_cmpint(g_unlink(new), ==, 0);
    g_assert_true(g_file_set_contents(new, "x", 1, NULL));
    fixture_reopen(f, data != NULL);
    assert_status(IFACE(f->s)->from_handle(f->s, hf.bytes, hf.len, &node), LARES_STALE);
    /* out of the share: a directory */
    g_autofree char *inside = g_build_filename(f->dir, "renamed", NULL);
    g_autofree char *outside = g_build_filename(f->state, "renamed", NULL);
    g_assert_cmpint(g_rename(inside, outside), ==, 0);
    fixture_reopen(f, data != NULL);
    assert_status(IFACE(f->s)->from_handle(f->s, hd.bytes, hd.len, &node), LARES_STALE);
    assert_status(IFACE(f->s)->from_handle(f->s, hl.bytes, hl.len, &node), LARES_STALE);
}

/* "Stale" makes clients forget the file; that we are short of descriptors is no reason to say so. */
static void
test_handles_without_descriptors(Fixture *f, gconstpointer data)
{
    struct rlimit limit, none;
    LaresNode *dir = must_make(f->s, &f->me, f->root, "d", LARES_TYPE_DIRECTORY, 0755), *node;
    LaresNode *file = must_make(f->s, &f->me, dir, "f", LARES_TYPE_REGULAR, 0600);
    LaresHandle hd = dir->handle, hf = file->handle;
    lares_node_unref(dir);
    lares_node_unref(file);
    fixture_reopen(f, data != NULL);
    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &limit), ==, 0);
    none = limit;
    none.rlim_cur = 0;
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &none), ==, 0);
    LaresStatus of_dir = IFACE(f->s)->from_handle(f->s, hd.bytes, hd.len, &node);
    LaresStatus of_file = IFACE(f->s)->from_handle(f->s, hf.bytes, hf.len, &node);
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);
    assert_status(of_dir, LARES_DELAY);
    assert_status(of_file, LARES_DELAY);
    assert_ok(IFACE(f->s)->from_handle(f->s, hd.bytes, hd.len, &node));
    lares_node_unref(node);
    assert_ok(IFACE(f->s)->from_handle(f->s, hf.bytes, hf.len, &node));
    lares_node_unref(node);
}

static void
test_handle_garbage(Fixture *f, gconstpointer data)
{
    LaresNode *file = must_make(f->s, &f->me, f->root, "f", LARES_TYPE_REGULAR, 0600), *node;
    LaresHandle good = file->handle;
    g_autoptr(GRand) rand = g_rand_new_with_seed(7);
    for (int i = 0; i < 20000; i++) {
        uint8_t bytes[LARES_HANDLE_MAX + 4];
        size_t len = (size_t)g_rand_int_range(rand, 0, sizeof bytes + 1);
        if (i % 3) {
            len = good.len;
            memcpy(bytes, good.bytes, len);
            for (int n = g_rand_int_range(rand, 1, 4); n; n--)
                bytes[g_rand_int_range(rand, 0, (int)len)] ^= (uint8_t)g_rand_int_range(rand, 1, 256);
            if (i % 3 == 2)
                len = (size_t)g_rand_int_range(rand, 0, (int)len);
        } else {
            for (size_t b = 0; b < len; b++)
                bytes[b] = (uint8_t)g_rand_int(rand);
            if (len)
                bytes[0] = (uint8_t)g_rand_int_range(rand, 0, 4);
        }
        LaresStatus status = IFACE(f->s)->from_handle(f->s, bytes, len, &node);
        if (status == LARES_OK) /* some other file of the same file system that lies inside, or the very bytes */
            lares_node_unref(node);
        else if (status != LARES_STALE)
            assert_status(status, LARES_BADHANDLE);
    }
    lares_node_unref(file);
}

/* Descriptors are the process's: what nobody uses is bounded over all stores. */
static void
test_idle_everywhere(Fixture *f, gconstpointer data)
{
    PosixStore *stores[4];
    char name[16];
    for (guint s = 0; s < G_N_ELEMENTS(stores); s++) {
        PosixOptions options = {.path = f->dir, .state_dir = f->state, .privileged = geteuid() == 0, .max_nodes = 64};
        stores[s] = posix_store_new(&options, NULL);
        g_assert_nonnull(stores[s]);
    }
    for (guint i = 0; i < 100; i++) {
        g_snprintf(name, sizeof name, "d%u", i);
        g_autofree char *path = g_build_filename(f->dir, name, NULL);
        g_assert_cmpint(g_mkdir(path, 0755), ==, 0);
        for (guint s = 0; s < G_N_ELEMENTS(stores); s++) {
            LaresStore *store = (LaresStore *)stores[s];
            LaresNode *root = store_root(store);
            lares_node_unref(must_lookup(store, &f->me, root, name));
            lares_node_unref(root);
        }
    }
    g_assert_cmpuint(posix_cache_idle(), <=, 64 + G_N_ELEMENTS(stores) + 1); /* roots stay */
    for (guint s = 0; s < G_N_ELEMENTS(stores); s++)
        g_assert_finalize_object(stores[s]);
    g_assert_cmpuint(posix_cache_idle(), <=, 2);
    posix_cache_limit(1024);
}

#define ADD(name, func)                                                                                                \
    G_STMT_START                                                                                                       \
    {                                                                                                                  \
        g_test_add("/store-posix/" name, Fixture, NULL, fixture_set_up, func, fixture_tear_down);                      \
        g_test_add("/store-posix/inode-table/" name, Fixture, GINT_TO_POINTER(1), fixture_set_up, func,                \
                   fixture_tear_down);                                                                                 \
    }                                                                                                                  \
    G_STMT_END

static void
add_tests(void)
{
    ADD("names", test_names);
    ADD("bad-names", test_bad_names);
    ADD("io", test_io);
    ADD("made-and-closed", test_made_and_closed);
    ADD("attributes", test_attributes);
    ADD("change-always-moves", test_change_always_moves);
    ADD("moments", test_moments);
    ADD("readdir", test_readdir);
    ADD("readdir-attrs", test_readdir_attrs);
    ADD("readdir-handles", test_readdir_handles);
    ADD("handles", test_handles);
    ADD("handles-without-descriptors", test_handles_without_descriptors);
    ADD("handle-garbage", test_handle_garbage);
    ADD("idle-everywhere", test_idle_everywhere);
}

int
main(int argc, char **argv)
{
    return fixture_main(&argc, &argv, add_tests);
}
