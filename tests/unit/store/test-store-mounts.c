/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* store-posix and what is mounted: file systems below the root, shares that are a part of one, ways out. Makes its
 * mounts in a namespace of its own (root only, skipped otherwise). */
#include "store-fixture.h"

#include <sched.h>
#include <sys/mount.h>

static gboolean isolated;

/* Before anything is opened: what is open stays in the namespace it came from. */
static gboolean
isolate(void)
{
    return geteuid() == 0 && unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

static gboolean
own_mounts(void)
{
    if (!isolated)
        g_test_skip("needs root and mount namespaces");
    return isolated;
}

static void
test_nested(Fixture *f, gconstpointer data)
{
    if (!own_mounts())
        return;
    LaresNode *dir = must_make(f->s, &f->me, f->root, "below", LARES_TYPE_DIRECTORY, 0777), *top, *file, *node;
    g_autofree char *path = g_build_filename(f->dir, "below", NULL);
    g_autofree char *proc = g_build_filename(f->dir, "proc", NULL);
    g_assert_cmpint(mount("none", path, "tmpfs", 0, "size=1m"), ==, 0);
    top = must_lookup(f->s, &f->me, f->root, "below");
    g_assert_true(top != dir);
    g_assert_true(attrs_of(f->s, top).fsid_major != attrs_of(f->s, f->root).fsid_major ||
                  attrs_of(f->s, top).fsid_minor != attrs_of(f->s, f->root).fsid_minor);
    assert_ok(try_chmod(f->s, &f->me, top, 0777));
    file = must_make(f->s, &f->me, top, "f", LARES_TYPE_REGULAR, 0644);
    assert_ok(IFACE(f->s)->parent(f->s, &f->me, top, &node));
    g_assert_true(node == f->root);
    lares_node_unref(node);
    assert_status(IFACE(f->s)->rename(f->s, &f->me, top, "f", f->root, "f", TRUE), LARES_XDEV);
    assert_status(IFACE(f->s)->link(f->s, &f->me, file, f->root, "f"), LARES_XDEV);
    assert_status(IFACE(f->s)->remove(f->s, &f->me, f->root, "below"), LARES_FILE_OPEN);
    LaresHandle hf = file->handle;
    uint64_t fileid = file->fileid;
    lares_node_unref(file);
    lares_node_unref(top);
    lares_node_unref(dir);
    fixture_reopen(f, FALSE);
    assert_ok(IFACE(f->s)->from_handle(f->s, hf.bytes, hf.len, &file));
    g_assert_cmpuint(file->fileid, ==, fileid);
    lares_node_unref(file);
    /* a file system without handles is not entered */
    lares_node_unref(must_make(f->s, &f->me, f->root, "proc", LARES_TYPE_DIRECTORY, 0777));
    g_assert_cmpint(mount("none", proc, "proc", 0, NULL), ==, 0);
    assert_status(try_lookup(f->s, &f->me, f->root, "proc"), LARES_ACCESS);
    umount(proc);
    lares_node_unref(f->root); /* the store keeps what it entered mounted */
    g_assert_finalize_object(f->s);
    umount(path);
    f->s = fixture_open_store(f, FALSE);
    f->root = store_root(f->s);
    assert_status(IFACE(f->s)->from_handle(f->s, hf.bytes, hf.len, &file), LARES_STALE);
}

/* The share is a folder of a larger file system: handles of its neighbours are genuine, and refused. */
static void
test_neighbours(Fixture *f, gconstpointer data)
{
    if (!own_mounts())
        return;
    g_autoptr(GError) error = NULL;
    g_autofree char *inner = g_build_filename(f->dir, "inner", NULL);
    g_autofree char *sub = g_build_filename(f->dir, "inner", "sub", NULL);
    g_autofree char *away = g_build_filename(f->dir, "away", NULL);
    LaresNode *dir = must_make(f->s, &f->me, f->root, "inner", LARES_TYPE_DIRECTORY, 0777);
    LaresNode *outside = must_make(f->s, &f->me, f->root, "outside", LARES_TYPE_DIRECTORY, 0777), *node, *up;
    LaresNode *file = must_make(f->s, &f->me, outside, "f", LARES_TYPE_REGULAR, 0644);
    LaresNode *secret = must_make(f->s, &f->me, f->root, "secret", LARES_TYPE_REGULAR, 0644);
    PosixOptions options = {.path = inner, .state_dir = f->state, .privileged = TRUE};
    LaresStore *s = (LaresStore *)posix_store_new(&options, &error);
    g_assert_no_error(error);
    LaresNode *root = store_root(s);
    assert_status(IFACE(s)->from_handle(s, outside->handle.bytes, outside->handle.len, &node), LARES_STALE);
    assert_status(IFACE(s)->from_handle(s, file->handle.bytes, file->handle.len, &node), LARES_STALE);
    assert_status(IFACE(s)->from_handle(s, secret->handle.bytes, secret->handle.len, &node), LARES_STALE);
    assert_status(IFACE(s)->from_handle(s, f->root->handle.bytes, f->root->handle.len, &node), LARES_STALE);
    assert_status(IFACE(s)->parent(s, &f->me, root, &up), LARES_NOENT);
    /* a directory that is moved out while a client is in it does not lead on */
    LaresNode *walker = must_make(s, &f->me, root, "sub", LARES_TYPE_DIRECTORY, 0777);
    assert_ok(IFACE(s)->parent(s, &f->me, walker, &up));
    g_assert_true(up == root);
    lares_node_unref(up);
    g_assert_cmpint(g_rename(sub, away), ==, 0);
    assert_status(IFACE(s)->parent(s, &f->me, walker, &up), LARES_STALE);
    lares_node_unref(walker);
    lares_node_unref(root);
    g_assert_finalize_object(s);
    lares_node_unref(secret);
    lares_node_unref(file);
    lares_node_unref(outside);
    lares_node_unref(dir);
}

static void
add_tests(void)
{
    g_test_add("/store-mounts/nested", Fixture, NULL, fixture_set_up, test_nested, fixture_tear_down);
    g_test_add("/store-mounts/neighbours", Fixture, NULL, fixture_set_up, test_neighbours, fixture_tear_down);
}

int
main(int argc, char **argv)
{
    isolated = isolate();
    return fixture_main(&argc, &argv, add_tests);
}
