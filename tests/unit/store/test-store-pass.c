/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Directories passed without the right to search them (lares_store_pass()): what is let go and, above all, what is not.
 * Needs root (skipped otherwise). */
#include "store-fixture.h"

#include <fcntl.h>

#define ADA 41001
#define BOB 41002

static const LaresCred ada = {ADA, ADA, NULL, 0}, bob = {BOB, BOB, NULL, 0}, root = {0, 0, NULL, 0};

static LaresStatus
try_remove(LaresStore *s, const LaresCred *cred, LaresNode *dir, const char *name)
{
    return IFACE(s)->remove(s, cred, dir, name);
}

static LaresStatus
try_rename(LaresStore *s, const LaresCred *cred, LaresNode *from, const char *name, LaresNode *to, const char *new_name)
{
    return IFACE(s)->rename(s, cred, from, name, to, new_name, TRUE);
}

static gboolean
note_entry(const LaresDirEntry *entry, gpointer user)
{
    (*(guint *)user)++;
    return TRUE;
}

static LaresStatus
try_list(LaresStore *s, const LaresCred *cred, LaresNode *dir)
{
    guint n = 0;
    gboolean eof;
    LaresStatus status = IFACE(s)->readdir(s, cred, dir, 0, note_entry, &n, &eof);
    g_assert_true(status == LARES_OK || n == 0);
    return status;
}

static void
test_only_the_way(Fixture *f, gconstpointer data)
{
    if (!need_root())
        return;
    assert_ok(try_chmod(f->s, &root, f->root, 0777));
    LaresNode *dir = must_make(f->s, &ada, f->root, "d", LARES_TYPE_DIRECTORY, 0700), *found, *up;
    LaresNode *open = must_make(f->s, &ada, dir, "open", LARES_TYPE_REGULAR, 0644);
    LaresNode *closed = must_make(f->s, &ada, dir, "closed", LARES_TYPE_REGULAR, 0600);
    LaresNode *mine = must_make(f->s, &bob, f->root, "mine", LARES_TYPE_REGULAR, 0666);
    assert_status(try_lookup(f->s, &bob, dir, "open"), LARES_ACCESS);
    assert_status(IFACE(f->s)->parent(f->s, &bob, dir, &up), LARES_ACCESS);
    g_assert_false(lares_store_pass(TRUE));
    found = must_lookup(f->s, &bob, dir, "open");
    g_assert_true(found == open);
    lares_node_unref(found);
    assert_ok(IFACE(f->s)->parent(f->s, &bob, dir, &up));
    lares_node_unref(up);
    assert_status(try_lookup(f->s, &bob, dir, "none"), LARES_NOENT);
    assert_ok(try_open(f->s, &bob, open, LARES_ACCESS_READ));
    /* what is there, and the directory, are no more open than they were */
    assert_status(try_open(f->s, &bob, open, LARES_ACCESS_WRITE), LARES_ACCESS);
    assert_status(try_open(f->s, &bob, closed, LARES_ACCESS_READ), LARES_ACCESS);
    g_assert_cmpuint(access_of(f->s, &bob, dir, 0x3f), ==, 0);
    assert_status(try_list(f->s, &bob, dir), LARES_ACCESS);
    assert_status(try_make(f->s, &bob, dir, "new", LARES_TYPE_REGULAR, 0600, NULL), LARES_ACCESS);
    assert_status(try_make(f->s, &bob, dir, "new", LARES_TYPE_DIRECTORY, 0700, NULL), LARES_ACCESS);
    assert_status(try_make(f->s, &bob, dir, "open", LARES_TYPE_REGULAR, 0600, NULL), LARES_EXIST);
    assert_status(try_remove(f->s, &bob, dir, "open"), LARES_ACCESS);
    assert_status(try_rename(f->s, &bob, dir, "open", f->root, "gone"), LARES_ACCESS);
    assert_status(try_rename(f->s, &bob, f->root, "mine", dir, "mine"), LARES_ACCESS);
    assert_status(IFACE(f->s)->link(f->s, &bob, mine, dir, "mine"), LARES_ACCESS);
    g_assert_true(lares_store_pass(FALSE));
    assert_status(try_lookup(f->s, &bob, dir, "open"), LARES_ACCESS);
    lares_node_unref(mine);
    lares_node_unref(closed);
    lares_node_unref(open);
    lares_node_unref(dir);
}

/* Where the kernel has to step back it must do so for nothing else. */
static void
test_where_the_directory_lets_write(Fixture *f, gconstpointer data)
{
    if (!need_root())
        return;
    assert_ok(try_chmod(f->s, &root, f->root, 0777));
    LaresNode *drop = must_make(f->s, &ada, f->root, "drop", LARES_TYPE_DIRECTORY, 0702);
    LaresNode *hers = must_make(f->s, &ada, drop, "hers", LARES_TYPE_REGULAR, 0600), *his;
    LaresNode *secret = must_make(f->s, &ada, f->root, "secret", LARES_TYPE_REGULAR, 0644);
    assert_ok(try_chmod(f->s, &root, drop, 01702));
    assert_status(try_make(f->s, &bob, drop, "his", LARES_TYPE_REGULAR, 0600, NULL), LARES_ACCESS);
    lares_store_pass(TRUE);
    his = must_make(f->s, &bob, drop, "his", LARES_TYPE_REGULAR, 0600);
    g_assert_cmpuint(attrs_of(f->s, his).uid, ==, BOB);
    assert_ok(try_rename(f->s, &bob, drop, "his", drop, "still-his"));
    /* the sticky bit, and links to what one could not write to */
    assert_status(try_remove(f->s, &bob, drop, "hers"), LARES_PERM);
    assert_status(try_rename(f->s, &bob, drop, "hers", f->root, "taken"), LARES_PERM);
    assert_status(IFACE(f->s)->link(f->s, &bob, secret, drop, "l"), LARES_PERM);
    assert_ok(IFACE(f->s)->link(f->s, &bob, his, drop, "l"));
    assert_ok(try_remove(f->s, &bob, drop, "l"));
    /* a folder of somebody else's that would get another parent */
    assert_ok(try_chmod(f->s, &root, drop, 0702));
    LaresNode *folder = must_make(f->s, &ada, drop, "folder", LARES_TYPE_DIRECTORY, 0755);
    LaresNode *other = must_make(f->s, &ada, f->root, "other", LARES_TYPE_DIRECTORY, 0755);
    assert_status(try_rename(f->s, &bob, drop, "folder", f->root, "folder"), LARES_ACCESS);
    assert_status(try_rename(f->s, &bob, f->root, "other", drop, "other"), LARES_ACCESS);
    assert_ok(try_rename(f->s, &bob, drop, "folder", drop, "renamed"));
    assert_ok(try_chmod(f->s, &root, folder, 0777));
    assert_ok(try_rename(f->s, &bob, drop, "renamed", f->root, "folder"));
    lares_node_unref(other);
    lares_node_unref(folder);
    assert_ok(try_remove(f->s, &bob, drop, "still-his"));
    lares_store_pass(FALSE);
    lares_node_unref(his);
    lares_node_unref(secret);
    lares_node_unref(hers);
    lares_node_unref(drop);
}

/* An ACL that lets nobody pass, its owner neither. */
static void
test_acls(Fixture *f, gconstpointer data)
{
    if (!need_root())
        return;
    assert_ok(try_chmod(f->s, &root, f->root, 0777));
    LaresNode *dir = must_make(f->s, &ada, f->root, "d", LARES_TYPE_DIRECTORY, 0700), *node;
    g_autoptr(LaresAcl) acl = lares_acl_new(2);
    acl->ace[0] = (LaresAce){.who = LARES_WHO_OWNER, .mask = LARES_MASK_WRITE_DATA};
    acl->ace[1] = (LaresAce){.who = LARES_WHO_EVERYONE, .mask = LARES_MASK_READ_ATTRIBUTES};
    assert_ok(IFACE(f->s)->set_acl(f->s, &ada, dir, acl));
    assert_status(try_make(f->s, &ada, dir, "f", LARES_TYPE_REGULAR, 0644, NULL), LARES_ACCESS);
    lares_store_pass(TRUE);
    node = must_make(f->s, &ada, dir, "f", LARES_TYPE_REGULAR, 0644);
    assert_ok(try_lookup(f->s, &bob, dir, "f"));
    assert_status(try_make(f->s, &ada, dir, "sub", LARES_TYPE_DIRECTORY, 0755, NULL),
                  LARES_ACCESS); /* ADD_SUBDIRECTORY */
    assert_status(try_make(f->s, &bob, dir, "g", LARES_TYPE_REGULAR, 0644, NULL), LARES_ACCESS);
    assert_status(try_list(f->s, &ada, dir), LARES_ACCESS);
    assert_status(try_remove(f->s, &ada, dir, "f"), LARES_ACCESS); /* neither DELETE_CHILD nor an ACL that lets it go */
    acl->n = 1;
    acl->ace[0] = (LaresAce){.who = LARES_WHO_OWNER, .mask = LARES_MASK_DELETE};
    assert_ok(IFACE(f->s)->set_acl(f->s, &ada, node, acl));
    assert_status(try_remove(f->s, &bob, dir, "f"), LARES_ACCESS);
    lares_store_pass(FALSE);
    assert_status(try_remove(f->s, &ada, dir, "f"), LARES_ACCESS);
    lares_store_pass(TRUE);
    assert_ok(try_remove(f->s, &ada, dir, "f"));
    lares_store_pass(FALSE);
    lares_node_unref(node);
    lares_node_unref(dir);
}

static gpointer
look_from_elsewhere(gpointer dir)
{
    return GUINT_TO_POINTER(try_lookup(((LaresNode *)dir)->store, &bob, dir, "f"));
}

static void
test_the_thread_only(Fixture *f, gconstpointer data)
{
    if (!need_root())
        return;
    assert_ok(try_chmod(f->s, &root, f->root, 0777));
    LaresNode *dir = must_make(f->s, &ada, f->root, "d", LARES_TYPE_DIRECTORY, 0700);
    lares_node_unref(must_make(f->s, &ada, dir, "f", LARES_TYPE_REGULAR, 0644));
    lares_store_pass(TRUE);
    assert_ok(try_lookup(f->s, &bob, dir, "f"));
    gpointer elsewhere = g_thread_join(g_thread_new("elsewhere", look_from_elsewhere, dir));
    assert_status(GPOINTER_TO_UINT(elsewhere), LARES_ACCESS);
    lares_store_pass(FALSE);
    lares_node_unref(dir);
}

#define ADD(name, func) g_test_add("/store-pass/" name, Fixture, NULL, fixture_set_up, func, fixture_tear_down)

static void
add_tests(void)
{
    ADD("only-the-way", test_only_the_way);
    ADD("where-the-directory-lets-write", test_where_the_directory_lets_write);
    ADD("acls", test_acls);
    ADD("the-thread-only", test_the_thread_only);
}

int
main(int argc, char **argv)
{
    return fixture_main(&argc, &argv, add_tests);
}
