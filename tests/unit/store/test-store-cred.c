/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* store-posix acting as several users: needs root (skipped otherwise). */
#include "store-fixture.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#define ADA  41001
#define BOB  41002
#define EVE  41003
#define TEAM 42000

static void
test_ownership(Fixture *f, gconstpointer data)
{
    LaresCred ada = cred_of(ADA, ADA), bob = cred_of(BOB, BOB), root = cred_of(0, 0);
    if (!need_root())
        return;
    LaresNode *dir = must_make(f->s, &ada, f->root, "ada", LARES_TYPE_DIRECTORY, 0700);
    LaresNode *file = must_make(f->s, &ada, dir, "f", LARES_TYPE_REGULAR, 0644), *node;
    g_assert_cmpuint(attrs_of(f->s, file).uid, ==, ADA);
    g_assert_cmpuint(attrs_of(f->s, file).gid, ==, ADA);
    assert_status(try_lookup(f->s, &bob, dir, "f"), LARES_ACCESS);
    assert_status(try_make(f->s, &bob, dir, "x", LARES_TYPE_REGULAR, 0600, NULL), LARES_ACCESS);
    assert_status(IFACE(f->s)->remove(f->s, &bob, dir, "f"), LARES_ACCESS);
    assert_status(IFACE(f->s)->rename(f->s, &bob, dir, "f", f->root, "g", TRUE), LARES_ACCESS);
    assert_status(IFACE(f->s)->link(f->s, &bob, f->root, dir, "l"), LARES_ISDIR);
    assert_status(try_chmod(f->s, &bob, file, 0777), LARES_PERM);
    assert_status(try_open(f->s, &bob, file, RW), LARES_ACCESS);
    assert_ok(try_open(f->s, &bob, file, LARES_ACCESS_READ));
    assert_ok(try_open(f->s, &ada, file, RW));
    assert_ok(try_open(f->s, &root, file, RW));
    assert_ok(try_chmod(f->s, &ada, file, 0));
    assert_status(try_open(f->s, &ada, file, LARES_ACCESS_READ), LARES_ACCESS);
    assert_ok(try_open(f->s, &root, file, RW));
    /* only root gives files away; nobody acts as uid -1 */
    LaresSetAttrs set = {.mask = LARES_ATTR_UID, .uid = BOB};
    assert_status(IFACE(f->s)->setattr(f->s, &ada, file, &set), LARES_PERM);
    assert_ok(IFACE(f->s)->setattr(f->s, &root, file, &set));
    g_assert_cmpuint(attrs_of(f->s, file).uid, ==, BOB);
    LaresCred nobody = cred_of(UINT32_MAX, 5);
    assert_status(try_make(f->s, &nobody, f->root, "n", LARES_TYPE_REGULAR, 0600, NULL), LARES_SERVERFAULT);
    /* the size of one's own file, whatever the mode says */
    set = (LaresSetAttrs){.mask = LARES_ATTR_SIZE, .size = 10};
    assert_ok(IFACE(f->s)->setattr(f->s, &bob, file, &set));
    assert_status(IFACE(f->s)->setattr(f->s, &ada, file, &set), LARES_ACCESS);
    lares_node_unref(file);
    /* the sticky bit */
    assert_ok(try_chmod(f->s, &root, f->root, 01777));
    file = must_make(f->s, &ada, f->root, "s", LARES_TYPE_REGULAR, 0666);
    assert_status(IFACE(f->s)->remove(f->s, &bob, f->root, "s"), LARES_PERM);
    assert_ok(IFACE(f->s)->remove(f->s, &ada, f->root, "s"));
    lares_node_unref(file);
    /* devices are root's */
    assert_status(try_make(f->s, &ada, f->root, "dev", LARES_TYPE_BLOCK, 0600, NULL), LARES_PERM);
    assert_status(IFACE(f->s)->parent(f->s, &bob, dir, &node), LARES_ACCESS);
    lares_node_unref(dir);
}

static void
test_groups(Fixture *f, gconstpointer data)
{
    uint32_t many[40];
    LaresCred ada = cred_of(ADA, ADA), bob = cred_of(BOB, BOB);
    if (!need_root())
        return;
    for (guint i = 0; i < G_N_ELEMENTS(many); i++)
        many[i] = TEAM - 39 + i;
    LaresNode *dir = must_make(f->s, &ada, f->root, "team", LARES_TYPE_DIRECTORY, 0770);
    LaresSetAttrs set = {.mask = LARES_ATTR_GID, .gid = TEAM};
    assert_status(IFACE(f->s)->setattr(f->s, &ada, dir, &set), LARES_PERM); /* not a member */
    ada.groups = bob.groups = many;
    ada.n_groups = G_N_ELEMENTS(many);
    assert_ok(IFACE(f->s)->setattr(f->s, &ada, dir, &set));
    assert_ok(try_chmod(f->s, &ada, dir, 02770));
    assert_status(try_make(f->s, &bob, dir, "b", LARES_TYPE_REGULAR, 0660, NULL), LARES_ACCESS);
    bob.n_groups = G_N_ELEMENTS(many) - 1;
    assert_status(try_make(f->s, &bob, dir, "b", LARES_TYPE_REGULAR, 0660, NULL), LARES_ACCESS);
    bob.n_groups = G_N_ELEMENTS(many); /* the fortieth is it */
    LaresNode *file = must_make(f->s, &bob, dir, "b", LARES_TYPE_REGULAR, 0660);
    g_assert_cmpuint(attrs_of(f->s, file).gid, ==, TEAM); /* setgid directory */
    assert_ok(try_open(f->s, &ada, file, RW));
    bob.n_groups = 0;
    assert_ok(try_open(f->s, &bob, file, RW)); /* the owner */
    LaresNode *sub = must_make(f->s, &ada, dir, "sub", LARES_TYPE_DIRECTORY, 0750);
    g_assert_cmpuint(attrs_of(f->s, sub).mode, ==, 02750);
    lares_node_unref(sub);
    lares_node_unref(file);
    lares_node_unref(dir);
}

static void
test_set_id_bits(Fixture *f, gconstpointer data)
{
    LaresCred ada = cred_of(ADA, ADA), bob = cred_of(BOB, BOB), root = cred_of(0, 0);
    if (!need_root())
        return;
    LaresNode *file = must_make(f->s, &ada, f->root, "f", LARES_TYPE_REGULAR, 04777);
    g_assert_cmpuint(attrs_of(f->s, file).mode, ==, 04777);
    LaresFile *open = must_open(f->s, &bob, file, RW);
    must_write(f->s, open, 0, "x", 1);
    g_assert_cmpuint(attrs_of(f->s, file).mode, ==, 0777);
    assert_ok(try_chmod(f->s, &ada, file, 06777));
    must_write(f->s, open, 0, "x", 1);
    g_assert_cmpuint(attrs_of(f->s, file).mode, ==, 0777);
    lares_file_unref(open);
    open = must_open(f->s, &root, file, RW);
    assert_ok(try_chmod(f->s, &ada, file, 04777));
    must_write(f->s, open, 0, "x", 1);
    g_assert_cmpuint(attrs_of(f->s, file).mode, ==, 04777);
    lares_file_unref(open);
    LaresSetAttrs set = {.mask = LARES_ATTR_SIZE, .size = 0};
    assert_ok(IFACE(f->s)->setattr(f->s, &bob, file, &set));
    g_assert_cmpuint(attrs_of(f->s, file).mode, ==, 0777);
    lares_node_unref(file);
}

/* What is done behind our back counts too, and what root needs is there again afterwards. */
static void
test_set_id_bits_appear(Fixture *f, gconstpointer data)
{
    LaresCred ada = cred_of(ADA, ADA), bob = cred_of(BOB, BOB), root = cred_of(0, 0);
    uint64_t done;
    if (!need_root())
        return;
    g_autofree char *path = g_build_filename(f->dir, "f", NULL);
    g_autofree char *sub = g_build_filename(f->dir, "sub", NULL);
    LaresNode *file = must_make(f->s, &ada, f->root, "f", LARES_TYPE_REGULAR, 0777);
    LaresNode *other = must_make(f->s, &bob, f->root, "g", LARES_TYPE_REGULAR, 0777);
    LaresFile *open = must_open(f->s, &bob, file, RW), *from = must_open(f->s, &bob, other, RW);
    LaresFile *roots = must_open(f->s, &root, file, RW);
    must_write(f->s, from, 0, "hello", 5);
    for (guint way = 0; way < 5; way++) {
        must_write(f->s, open, 0, "x", 1);
        assert_ok(posix_cred_writes((PosixStore *)f->s, TRUE)); /* the local user is another thread's */
        g_assert_cmpint(chmod(path, 06777), ==, 0);
        switch (way) {
        case 0:
            must_write(f->s, open, 0, "y", 1);
            break;
        case 1:
            assert_ok(IFACE(f->s)->set_size(f->s, open, 3));
            break;
        case 2:
            assert_ok(IFACE(f->s)->copy(f->s, from, 0, open, 0, 5, &done));
            break;
        case 3: /* kept; and the next one is not mistaken for root */
            must_write(f->s, roots, 0, "z", 1);
            g_assert_cmpuint(attrs_of(f->s, file).mode, ==, 06777);
            must_write(f->s, open, 0, "y", 1);
            break;
        default: /* after having acted as somebody */
            lares_node_unref(must_make(f->s, &ada, f->root, "n", LARES_TYPE_REGULAR, 0600));
            must_write(f->s, open, 0, "y", 1);
        }
        g_assert_cmpuint(attrs_of(f->s, file).mode, ==, 0777);
    }
    LaresNode *dir = must_make(f->s, &root, f->root, "sub", LARES_TYPE_DIRECTORY, 0777);
    g_assert_cmpint(chown(sub, ADA, TEAM), ==, 0);
    assert_ok(try_chmod(f->s, &root, dir, 02777)); /* a group that root is not in */
    g_assert_cmpuint(attrs_of(f->s, dir).mode, ==, 02777);
    lares_file_unref(open);
    lares_file_unref(from);
    lares_file_unref(roots);
    lares_node_unref(dir);
    lares_node_unref(other);
    lares_node_unref(file);
}

static void
test_execute_only(Fixture *f, gconstpointer data)
{
    LaresCred ada = cred_of(ADA, ADA), bob = cred_of(BOB, BOB);
    if (!need_root())
        return;
    LaresNode *file = must_make(f->s, &ada, f->root, "f", LARES_TYPE_REGULAR, 0711);
    assert_ok(try_open(f->s, &bob, file, LARES_ACCESS_READ)); /* to execute it */
    assert_status(try_open(f->s, &bob, file, RW), LARES_ACCESS);
    g_assert_cmpuint(access_of(f->s, &bob, file, 0x1ff), ==, LARES_ACCESS_EXECUTE);
    assert_ok(try_chmod(f->s, &ada, file, 0700));
    assert_status(try_open(f->s, &bob, file, LARES_ACCESS_READ), LARES_ACCESS); /* no spare descriptor helps */
    lares_node_unref(file);
}

/* The permissions that we compute must be the kernel's, for every mode and relation; and those of a POSIX ACL. */
static void
test_access_is_the_kernels(Fixture *f, gconstpointer data)
{
    uint32_t team[] = {TEAM};
    LaresCred ada = cred_of(ADA, ADA), root = cred_of(0, 0);
    LaresCred callers[] = {ada, {BOB, BOB, team, 1}, {BOB, TEAM, NULL, 0}, {EVE, EVE, NULL, 0}};
    if (!need_root())
        return;
    LaresNode *node = must_make(f->s, &ada, f->root, "f", LARES_TYPE_REGULAR, 0);
    LaresSetAttrs set = {.mask = LARES_ATTR_GID, .gid = TEAM};
    assert_ok(IFACE(f->s)->setattr(f->s, &root, node, &set));
    for (uint32_t mode = 0; mode <= 0777; mode += 1) {
        assert_ok(try_chmod(f->s, &ada, node, mode));
        for (guint i = 0; i < G_N_ELEMENTS(callers); i++) {
            uint32_t shift = i == 0 ? 6 : i == 3 ? 0 : 3, bits = mode >> shift & 7;
            uint32_t want = (bits & 4 ? LARES_ACCESS_READ : 0u) | (bits & 2 ? LARES_ACCESS_WRITE : 0u) |
                            (bits & 1 ? LARES_ACCESS_EXECUTE : 0u);
            g_assert_cmpuint(access_of(f->s, &callers[i], node, 7), ==, want);
        }
    }
    /* user:EVE:--- and group mask: the mode alone would say yes */
    static const uint8_t acl[] = {2,          0,        0,    0,    1,  0, 6, 0, 0xff, 0xff, 0xff, 0xff, 2,  0, 0, 0,
                                  EVE & 0xff, EVE >> 8, 0,    0,    4,  0, 4, 0, 0xff, 0xff, 0xff, 0xff, 16, 0, 6, 0,
                                  0xff,       0xff,     0xff, 0xff, 32, 0, 4, 0, 0xff, 0xff, 0xff, 0xff};
    g_autofree char *path = g_build_filename(f->dir, "f", NULL);
    if (setxattr(path, "system.posix_acl_access", acl, sizeof acl, 0) == 0) {
        g_assert_cmpuint(access_of(f->s, &callers[3], node, 7), ==, 0);
        g_assert_cmpuint(access_of(f->s, &callers[1], node, 7), ==, LARES_ACCESS_READ);
        assert_status(try_open(f->s, &callers[3], node, LARES_ACCESS_READ), LARES_ACCESS);
        assert_status(try_open(f->s, &callers[1], node, RW), LARES_ACCESS);
        assert_ok(try_open(f->s, &ada, node, RW));
    } else {
        g_test_message("no POSIX ACLs here");
    }
    lares_node_unref(node);
}

/* ---- Our ACLs ---------------------------------------------------------------------------------------------------- */

#define READ_BITS                                                                                                      \
    (LARES_MASK_READ_DATA | LARES_MASK_EXECUTE | LARES_MASK_READ_ATTRIBUTES | LARES_MASK_READ_ACL |                    \
     LARES_MASK_SYNCHRONIZE)
#define WRITE_BITS (LARES_MASK_WRITE_DATA | LARES_MASK_APPEND_DATA | LARES_MASK_DELETE_CHILD)

static LaresAcl *
acl_with(uint32_t uid, LaresAceType type, uint32_t mask, uint32_t flags, uint32_t everyone)
{
    LaresAcl *acl = lares_acl_new(3);
    acl->ace[0] = (LaresAce){.type = type, .who = LARES_WHO_ID, .flags = flags, .mask = mask, .id = uid};
    acl->ace[1] = (LaresAce){.who = LARES_WHO_OWNER, .mask = READ_BITS | WRITE_BITS};
    acl->ace[2] = (LaresAce){.who = LARES_WHO_EVERYONE, .mask = everyone};
    return acl;
}

static void
test_acl_gives_and_takes(Fixture *f, gconstpointer data)
{
    LaresCred ada = cred_of(ADA, ADA), bob = cred_of(BOB, BOB), eve = cred_of(EVE, EVE), root = cred_of(0, 0);
    if (!need_root())
        return;
    LaresNode *dir = must_make(f->s, &ada, f->root, "d", LARES_TYPE_DIRECTORY, 0700), *node;
    g_autoptr(LaresAcl) acl = acl_with(BOB, LARES_ACE_ALLOW, READ_BITS | WRITE_BITS, 0, 0);
    LaresAcl *back = NULL;
    assert_status(IFACE(f->s)->set_acl(f->s, &bob, dir, acl), LARES_PERM);
    assert_ok(IFACE(f->s)->set_acl(f->s, &ada, dir, acl));
    assert_ok(IFACE(f->s)->get_acl(f->s, dir, &back));
    g_assert_true(lares_acl_equal(acl, back));
    lares_acl_free(back);
    g_assert_cmpuint(attrs_of(f->s, dir).mode, ==, 0700);
    /* bob may do everything in it, as himself */
    node = must_make(f->s, &bob, dir, "b", LARES_TYPE_REGULAR, 0600);
    g_assert_cmpuint(attrs_of(f->s, node).uid, ==, BOB);
    lares_node_unref(node);
    lares_node_unref(must_make(f->s, &bob, dir, "sub", LARES_TYPE_DIRECTORY, 0700));
    assert_ok(IFACE(f->s)->rename(f->s, &bob, dir, "b", dir, "c", FALSE));
    lares_node_unref(must_lookup(f->s, &bob, dir, "c"));
    assert_status(try_lookup(f->s, &eve, dir, "c"), LARES_ACCESS);
    assert_status(try_make(f->s, &eve, dir, "e", LARES_TYPE_REGULAR, 0600, NULL), LARES_ACCESS);
    /* the right on one directory is none on another */
    LaresNode *other = must_make(f->s, &ada, f->root, "o", LARES_TYPE_DIRECTORY, 0755);
    assert_status(IFACE(f->s)->rename(f->s, &bob, dir, "c", other, "c", FALSE), LARES_ACCESS);
    lares_node_unref(other);
    assert_ok(IFACE(f->s)->remove(f->s, &bob, dir, "c"));
    assert_ok(IFACE(f->s)->remove(f->s, &bob, dir, "sub"));
    /* an entry that denies wins over the mode */
    node = must_make(f->s, &ada, f->root, "f", LARES_TYPE_REGULAR, 0644);
    g_autoptr(LaresAcl) deny = acl_with(BOB, LARES_ACE_DENY, LARES_MASK_READ_DATA, 0, READ_BITS);
    assert_ok(IFACE(f->s)->set_acl(f->s, &ada, node, deny));
    g_assert_cmpuint(attrs_of(f->s, node).mode & 0777, ==, 0755);
    assert_status(try_open(f->s, &bob, node, RW), LARES_ACCESS);
    g_assert_cmpuint(access_of(f->s, &bob, node, 7), ==, LARES_ACCESS_EXECUTE);
    assert_ok(try_open(f->s, &eve, node, LARES_ACCESS_READ));
    /* chmod limits it, and is seen in it */
    assert_ok(try_chmod(f->s, &ada, node, 0600));
    assert_ok(IFACE(f->s)->get_acl(f->s, node, &back));
    g_assert_cmpuint(lares_acl_to_mode(back), ==, 0600);
    lares_acl_free(back);
    assert_status(try_open(f->s, &eve, node, LARES_ACCESS_READ), LARES_ACCESS);
    /* an ACL that says what a mode says leaves nothing behind */
    back = lares_acl_from_mode(0640, FALSE);
    assert_ok(IFACE(f->s)->set_acl(f->s, &ada, node, back));
    g_autofree char *path = g_build_filename(f->dir, "f", NULL);
    g_assert_cmpint(getxattr(path, "trusted.lares.acl", NULL, 0), ==, -1);
    g_assert_cmpuint(attrs_of(f->s, node).mode, ==, 0640);
    /* taken away behind our back: ctime moves, we look again */
    assert_ok(IFACE(f->s)->set_acl(f->s, &ada, node, deny));
    assert_status(try_open(f->s, &bob, node, RW), LARES_ACCESS);
    g_assert_cmpint(removexattr(path, "trusted.lares.acl"), ==, 0);
    assert_ok(try_open(f->s, &bob, node, LARES_ACCESS_READ));
    /* a damaged one opens nothing */
    g_assert_cmpint(setxattr(path, "trusted.lares.acl", "\x01\xff", 2, 0), ==, 0);
    assert_status(try_open(f->s, &eve, node, LARES_ACCESS_READ), LARES_ACCESS);
    assert_ok(try_open(f->s, &root, node, LARES_ACCESS_READ));
    lares_acl_free(back);
    back = NULL;
    lares_node_unref(node);
    lares_node_unref(dir);
}

/* A right given by an ACL is no way to act as the owner: only the owner makes a program run under the owner's name. */
static void
test_set_id_is_the_owners(Fixture *f, gconstpointer data)
{
    LaresCred ada = cred_of(ADA, ADA), bob = cred_of(BOB, BOB);
    if (!need_root())
        return;
    LaresNode *node = must_make(f->s, &ada, f->root, "f", LARES_TYPE_REGULAR, 0644);
    g_autoptr(LaresAcl) acl =
        acl_with(BOB, LARES_ACE_ALLOW, READ_BITS | WRITE_BITS | LARES_MASK_WRITE_ACL, 0, READ_BITS);
    assert_ok(IFACE(f->s)->set_acl(f->s, &ada, node, acl));
    assert_status(try_chmod(f->s, &bob, node, 04755), LARES_PERM);
    assert_status(try_chmod(f->s, &bob, node, 02755), LARES_PERM);
    g_assert_cmpuint(attrs_of(f->s, node).mode & 06000, ==, 0);
    assert_ok(try_chmod(f->s, &bob, node, 0755));
    assert_ok(try_chmod(f->s, &ada, node, 04755));
    lares_node_unref(node);
}

static void
test_acl_inheritance(Fixture *f, gconstpointer data)
{
    LaresCred ada = cred_of(ADA, ADA), bob = cred_of(BOB, BOB), eve = cred_of(EVE, EVE);
    if (!need_root())
        return;
    LaresNode *dir = must_make(f->s, &ada, f->root, "d", LARES_TYPE_DIRECTORY, 0755);
    g_autoptr(LaresAcl) acl = acl_with(BOB, LARES_ACE_ALLOW, READ_BITS | WRITE_BITS,
                                       LARES_ACE_FILE_INHERIT | LARES_ACE_DIRECTORY_INHERIT, READ_BITS);
    acl->ace[1].flags = acl->ace[2].flags = LARES_ACE_FILE_INHERIT | LARES_ACE_DIRECTORY_INHERIT;
    assert_ok(IFACE(f->s)->set_acl(f->s, &ada, dir, acl));
    LaresNode *file = must_make(f->s, &ada, dir, "f", LARES_TYPE_REGULAR, 0770);
    g_assert_cmpuint(attrs_of(f->s, file).mode, ==, 0770);
    assert_ok(try_open(f->s, &bob, file, RW));
    assert_status(try_open(f->s, &eve, file, LARES_ACCESS_READ), LARES_ACCESS);
    LaresNode *sub = must_make(f->s, &ada, dir, "sub", LARES_TYPE_DIRECTORY, 0775);
    lares_node_unref(must_make(f->s, &bob, sub, "deep", LARES_TYPE_REGULAR, 0664));
    /* the owner may remove bob's entry by DELETE of the object though the directory refuses */
    LaresNode *mine = must_make(f->s, &bob, f->root, "closed", LARES_TYPE_DIRECTORY, 0755);
    LaresNode *inner = must_make(f->s, &bob, mine, "x", LARES_TYPE_REGULAR, 0644);
    g_autoptr(LaresAcl) deletable = acl_with(EVE, LARES_ACE_ALLOW, LARES_MASK_DELETE, 0, READ_BITS);
    assert_status(IFACE(f->s)->remove(f->s, &eve, mine, "x"), LARES_ACCESS);
    assert_ok(IFACE(f->s)->set_acl(f->s, &bob, inner, deletable));
    assert_ok(IFACE(f->s)->remove(f->s, &eve, mine, "x"));
    lares_node_unref(inner);
    lares_node_unref(mine);
    lares_node_unref(sub);
    lares_node_unref(file);
    lares_node_unref(dir);
}

/* The right to add files is none to add directories, whether we happen to remember what is moved or not. */
static void
test_rename_asks_for_the_right_thing(Fixture *f, gconstpointer data)
{
    LaresCred ada = cred_of(ADA, ADA), bob = cred_of(BOB, BOB);
    if (!need_root())
        return;
    LaresNode *to = must_make(f->s, &ada, f->root, "to", LARES_TYPE_DIRECTORY, 0700);
    g_autoptr(LaresAcl) files = acl_with(BOB, LARES_ACE_ALLOW, READ_BITS | LARES_MASK_WRITE_DATA, 0, READ_BITS);
    assert_ok(IFACE(f->s)->set_acl(f->s, &ada, to, files));
    LaresNode *mine = must_make(f->s, &bob, f->root, "mine", LARES_TYPE_DIRECTORY, 0755);
    g_autofree char *sub = g_build_filename(f->dir, "mine", "sub", NULL);
    g_autofree char *file = g_build_filename(f->dir, "mine", "file", NULL);
    g_autofree char *there = g_build_filename(f->dir, "to", "there", NULL);
    g_assert_cmpint(g_mkdir(sub, 0755), ==, 0); /* never seen by the store */
    g_assert_cmpint(chown(sub, BOB, BOB), ==, 0);
    g_assert_true(g_file_set_contents(file, "x", 1, NULL));
    g_assert_true(g_file_set_contents(there, "x", 1, NULL));
    assert_status(IFACE(f->s)->rename(f->s, &bob, mine, "sub", to, "sub", TRUE), LARES_ACCESS);
    assert_status(IFACE(f->s)->rename(f->s, &bob, mine, "file", to, "there", TRUE), LARES_ACCESS);
    assert_ok(IFACE(f->s)->rename(f->s, &bob, mine, "file", to, "new", TRUE));
    lares_node_unref(mine);
    lares_node_unref(to);
}

/* proc(5), protected_hardlinks: also in a directory where an ACL of ours decides. */
static void
test_links_to_others(Fixture *f, gconstpointer data)
{
    LaresCred ada = cred_of(ADA, ADA), bob = cred_of(BOB, BOB);
    if (!need_root())
        return;
    LaresNode *dir = must_make(f->s, &ada, f->root, "d", LARES_TYPE_DIRECTORY, 0700);
    g_autoptr(LaresAcl) acl = acl_with(BOB, LARES_ACE_ALLOW, READ_BITS | WRITE_BITS, 0, 0);
    assert_ok(IFACE(f->s)->set_acl(f->s, &ada, dir, acl));
    LaresNode *readable = must_make(f->s, &ada, f->root, "r", LARES_TYPE_REGULAR, 0644);
    LaresNode *writable = must_make(f->s, &ada, f->root, "w", LARES_TYPE_REGULAR, 0666);
    LaresNode *setuid = must_make(f->s, &ada, f->root, "s", LARES_TYPE_REGULAR, 04777);
    LaresNode *own = must_make(f->s, &bob, f->root, "o", LARES_TYPE_REGULAR, 0400);
    assert_status(IFACE(f->s)->link(f->s, &bob, readable, dir, "r"), LARES_PERM);
    assert_status(IFACE(f->s)->link(f->s, &bob, setuid, dir, "s"), LARES_PERM);
    assert_ok(IFACE(f->s)->link(f->s, &bob, writable, dir, "w"));
    assert_ok(IFACE(f->s)->link(f->s, &bob, own, dir, "o"));
    assert_ok(IFACE(f->s)->link(f->s, &ada, readable, dir, "r"));
    lares_node_unref(own);
    lares_node_unref(setuid);
    lares_node_unref(writable);
    lares_node_unref(readable);
    lares_node_unref(dir);
}

/* ---- Behind our back --------------------------------------------------------------------------------------------- */

typedef struct {
    char *made, *precious;
    gint stop;
} Swapper;

static gpointer
swap_on_and_on(gpointer data)
{
    Swapper *swapper = data;
    while (!g_atomic_int_get(&swapper->stop))
        renameat2(AT_FDCWD, swapper->made, AT_FDCWD, swapper->precious, RENAME_EXCHANGE);
    return NULL;
}

/* Between mkdir and the inherited ACL another directory of the same owner may get the name: nothing is written to it.
 */
static void
test_swapped_directory(Fixture *f, gconstpointer data)
{
    LaresCred ada = cred_of(ADA, ADA), bob = cred_of(BOB, BOB);
    if (!need_root())
        return;
    LaresNode *dir = must_make(f->s, &ada, f->root, "d", LARES_TYPE_DIRECTORY, 0777);
    LaresNode *precious = must_make(f->s, &bob, f->root, "precious", LARES_TYPE_DIRECTORY, 0700);
    lares_node_unref(must_make(f->s, &bob, precious, "letter", LARES_TYPE_REGULAR, 0600));
    g_usleep(20000); /* older than the clock of birth times can tell from now */
    g_autoptr(LaresAcl) acl = acl_with(EVE, LARES_ACE_ALLOW, READ_BITS | WRITE_BITS, LARES_ACE_DIRECTORY_INHERIT, 0);
    acl->ace[1].flags = LARES_ACE_DIRECTORY_INHERIT;
    acl->ace[2] = (LaresAce){.who = LARES_WHO_ID, .mask = READ_BITS | WRITE_BITS, .id = BOB};
    assert_ok(IFACE(f->s)->set_acl(f->s, &ada, dir, acl));
    Swapper swapper = {g_build_filename(f->dir, "d", "n", NULL), g_build_filename(f->dir, "precious", NULL), 0};
    g_autoptr(GThread) thread = g_thread_new("swapper", swap_on_and_on, &swapper);
    guint refused = 0;
    for (guint i = 0; i < 1500 && refused < 20; i++) {
        LaresStatus status = try_make(f->s, &bob, dir, "n", LARES_TYPE_DIRECTORY, 0755, NULL);
        refused += status == LARES_NOENT;
        if (status != LARES_OK && status != LARES_NOENT)
            assert_status(status, LARES_EXIST);
        g_assert_cmpint(fgetxattr(posix_node(precious)->fd, "trusted.lares.acl", NULL, 0), ==, -1);
        g_assert_cmpuint(attrs_of(f->s, precious).mode, ==, 0700);
        g_rmdir(swapper.made); /* the new one is empty, wherever it is */
        g_rmdir(swapper.precious);
        if (!g_file_test(swapper.precious, G_FILE_TEST_EXISTS))
            g_assert_cmpint(g_rename(swapper.made, swapper.precious), ==, 0);
    }
    g_atomic_int_set(&swapper.stop, 1);
    g_thread_join(g_steal_pointer(&thread));
    g_test_message("%u times something else was there", refused);
    g_free(swapper.made);
    g_free(swapper.precious);
    lares_node_unref(precious);
    lares_node_unref(dir);
}

/* That a directory has no ACL is believed for a while: not when another share's store writes one, and never longer than
 * a second when the administrator does. */
static void
test_acl_that_comes_unseen(Fixture *f, gconstpointer data)
{
    LaresCred ada = cred_of(ADA, ADA), bob = cred_of(BOB, BOB);
    if (!need_root())
        return;
    LaresNode *dir = must_make(f->s, &ada, f->root, "d", LARES_TYPE_DIRECTORY, 0777);
    lares_node_unref(must_make(f->s, &bob, dir, "one", LARES_TYPE_REGULAR, 0600));
    LaresStore *other = fixture_open_store(f, FALSE);
    LaresNode *root = store_root(other), *same = must_lookup(other, &ada, root, "d");
    g_autoptr(LaresAcl) deny = acl_with(BOB, LARES_ACE_DENY, WRITE_BITS, 0, READ_BITS | WRITE_BITS);
    assert_ok(IFACE(other)->set_acl(other, &ada, same, deny));
    assert_status(try_make(f->s, &bob, dir, "two", LARES_TYPE_REGULAR, 0600, NULL), LARES_ACCESS);
    assert_status(IFACE(f->s)->remove(f->s, &bob, dir, "one"), LARES_ACCESS);
    g_autoptr(GBytes) bytes = lares_acl_serialize(deny);
    gsize len;
    gconstpointer raw = g_bytes_get_data(bytes, &len);
    g_autofree char *path = g_build_filename(f->dir, "d", NULL);
    g_assert_cmpint(removexattr(path, "trusted.lares.acl"), ==, 0);
    lares_node_unref(must_make(f->s, &bob, dir, "two", LARES_TYPE_REGULAR, 0600));
    g_assert_cmpint(setxattr(path, "trusted.lares.acl", raw, len, 0), ==, 0);
    g_usleep(20 * 1000);                            /* the clock of ctime has moved on */
    access_of(f->s, &bob, dir, LARES_ACCESS_WRITE); /* what this believes it must not keep */
    g_usleep(1100 * 1000);
    g_assert_cmpuint(access_of(f->s, &bob, dir, LARES_ACCESS_MODIFY), ==, 0);
    assert_status(try_make(f->s, &bob, dir, "three", LARES_TYPE_REGULAR, 0600, NULL), LARES_ACCESS);
    lares_node_unref(same);
    lares_node_unref(root);
    g_assert_finalize_object(other);
    lares_node_unref(dir);
}

/* A child process without privileges. */
static void
test_unprivileged_daemon(Fixture *f, gconstpointer data)
{
    if (!need_root())
        return;
    g_assert_cmpint(chown(f->dir, ADA, ADA), ==, 0);
    g_assert_cmpint(chown(f->state, ADA, ADA), ==, 0);
    g_assert_cmpint(chmod(f->dir, 0755), ==, 0);
    pid_t child = fork();
    if (child == 0) {
        if (setgid(ADA) != 0 || setuid(ADA) != 0)
            _exit(1);
        g_autoptr(GError) error = NULL;
        PosixOptions options = {.path = f->dir, .state_dir = f->state, .privileged = FALSE};
        LaresStore *s = (LaresStore *)posix_store_new(&options, &error);
        g_assert_no_error(error);
        LaresCred ada = cred_of(ADA, ADA), eve = cred_of(EVE, EVE);
        LaresNode *root = store_root(s), *node = must_make(s, &ada, root, "f", LARES_TYPE_REGULAR, 0604);
        assert_ok(try_open(s, &ada, node, RW));
        assert_ok(try_open(s, &eve, node, LARES_ACCESS_READ));
        assert_status(try_open(s, &eve, node, RW), LARES_ACCESS);
        assert_status(try_make(s, &eve, root, "g", LARES_TYPE_REGULAR, 0600, NULL), LARES_ACCESS);
        assert_status(try_chmod(s, &eve, node, 0777), LARES_PERM);
        assert_status(IFACE(s)->remove(s, &eve, root, "f"), LARES_ACCESS);
        LaresHandle handle = node->handle;
        lares_node_unref(node);
        assert_ok(IFACE(s)->from_handle(s, handle.bytes, handle.len, &node));
        lares_node_unref(node);
        assert_ok(IFACE(s)->remove(s, &ada, root, "f"));
        lares_node_unref(root);
        g_object_unref(s);
        _exit(0);
    }
    int status;
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    g_assert_cmpint(status, ==, 0);
}

typedef struct {
    Fixture *f;
    int up, down;
} Small;

/* Where uid BOB does not exist, setfsuid(2) cannot become BOB and cannot say so. */
static gpointer
make_as_ada_and_bob(gpointer data)
{
    const Small *small = data;
    g_autoptr(GError) error = NULL;
    PosixOptions options = {.path = small->f->dir, .state_dir = small->f->state, .privileged = TRUE};
    LaresStore *s = (LaresStore *)posix_store_new(&options, &error);
    g_assert_no_error(error);
    LaresCred ada = cred_of(ADA, ADA), bob = cred_of(BOB, BOB);
    LaresNode *root = store_root(s);
    for (int i = 0; i < 3; i++) {
        g_autofree char *name = g_strdup_printf("f%d", i);
        LaresNode *node = must_make(s, &ada, root, name, LARES_TYPE_REGULAR, 0644);
        g_assert_cmpuint(attrs_of(s, node).uid, ==, ADA);
        lares_node_unref(node);
        assert_status(try_make(s, &bob, root, "bob", LARES_TYPE_REGULAR, 0644, NULL), LARES_SERVERFAULT);
        assert_status(try_lookup(s, &ada, root, "bob"), LARES_NOENT);
    }
    lares_node_unref(root);
    g_object_unref(s);
    return NULL;
}

static void
run_in_small_namespace(const Small *small)
{
    char byte = 0;
    if (unshare(CLONE_NEWUSER) != 0)
        _exit(77);
    if (write(small->up, &byte, 1) != 1 || read(small->down, &byte, 1) != 1)
        _exit(2);
    /* In a thread that has been nobody yet. */
    g_thread_join(g_thread_new("small", make_as_ada_and_bob, (gpointer)small));
    _exit(0);
}

static void
test_uid_that_does_not_exist(Fixture *f, gconstpointer data)
{
    int up[2], down[2], status;
    char byte = 0;
    if (!need_root())
        return;
    g_assert_cmpint(chmod(f->dir, 0777), ==, 0);
    g_assert_true(pipe(up) == 0 && pipe(down) == 0);
    pid_t child = fork();
    if (child == 0) {
        close(up[0]);
        close(down[1]);
        run_in_small_namespace(&(Small){f, up[1], down[0]});
    }
    close(up[1]);
    close(down[0]);
    if (read(up[0], &byte, 1) == 1) {
        g_autofree char *uids = g_strdup_printf("/proc/%d/uid_map", child);
        g_autofree char *gids = g_strdup_printf("/proc/%d/gid_map", child);
        g_autofree char *map = g_strdup_printf("0 0 1\n%d %d 1\n65534 65534 1\n", ADA, ADA);
        int fd = open(gids, O_WRONLY | O_CLOEXEC);
        g_assert_cmpint(write(fd, "0 0 65536\n", 10), ==, 10);
        close(fd);
        fd = open(uids, O_WRONLY | O_CLOEXEC);
        g_assert_cmpint(write(fd, map, strlen(map)), ==, strlen(map));
        close(fd);
        g_assert_cmpint(write(down[1], &byte, 1), ==, 1);
    }
    close(up[0]);
    close(down[1]);
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        g_test_skip("no user namespace can be made here");
    else
        g_assert_cmpint(status, ==, 0);
}

#define ADD(name, func) g_test_add("/store-cred/" name, Fixture, NULL, fixture_set_up, func, fixture_tear_down)

static void
add_tests(void)
{
    ADD("ownership", test_ownership);
    ADD("groups", test_groups);
    ADD("set-id-bits", test_set_id_bits);
    ADD("set-id-bits-appear", test_set_id_bits_appear);
    ADD("rename-asks-for-the-right-thing", test_rename_asks_for_the_right_thing);
    ADD("links-to-others", test_links_to_others);
    ADD("execute-only", test_execute_only);
    ADD("access-is-the-kernels", test_access_is_the_kernels);
    ADD("acl-gives-and-takes", test_acl_gives_and_takes);
    ADD("set-id-is-the-owners", test_set_id_is_the_owners);
    ADD("acl-inheritance", test_acl_inheritance);
    ADD("swapped-directory", test_swapped_directory);
    ADD("acl-that-comes-unseen", test_acl_that_comes_unseen);
    ADD("unprivileged-daemon", test_unprivileged_daemon);
    ADD("uid-that-does-not-exist", test_uid_that_does_not_exist);
}

int
main(int argc, char **argv)
{
    return fixture_main(&argc, &argv, add_tests);
}
