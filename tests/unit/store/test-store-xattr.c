/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* store-posix over a real directory: extended attributes of users. */
#include "store-fixture.h"

#include <sys/xattr.h>

static void
test_xattrs(Fixture *f, gconstpointer data)
{
    LaresNode *node = must_make(f->s, &f->me, f->root, "f", LARES_TYPE_REGULAR, 0600);
    uint8_t buf[64];
    char list[64];
    size_t len;
    LaresStatus status =
        IFACE(f->s)->setxattr(f->s, &f->me, node, "color", (const uint8_t *)"red", 3, LARES_XATTR_CREATE);
    if (status == LARES_NOTSUPP) {
        g_test_skip("no user attributes here");
        lares_node_unref(node);
        return;
    }
    assert_ok(status);
    assert_status(IFACE(f->s)->setxattr(f->s, &f->me, node, "color", buf, 3, LARES_XATTR_CREATE), LARES_EXIST);
    assert_status(IFACE(f->s)->setxattr(f->s, &f->me, node, "shape", buf, 3, LARES_XATTR_REPLACE), LARES_NOXATTR);
    assert_ok(IFACE(f->s)->getxattr(f->s, &f->me, node, "color", buf, sizeof buf, &len));
    g_assert_cmpmem(buf, len, "red", 3);
    assert_ok(IFACE(f->s)->getxattr(f->s, &f->me, node, "color", NULL, 0, &len));
    g_assert_cmpuint(len, ==, 3);
    assert_status(IFACE(f->s)->getxattr(f->s, &f->me, node, "color", buf, 2, &len), LARES_TOOSMALL);
    assert_ok(IFACE(f->s)->setxattr(f->s, &f->me, node, "b", (const uint8_t *)"", 0, LARES_XATTR_EITHER));
    assert_ok(IFACE(f->s)->listxattr(f->s, &f->me, node, list, sizeof list, &len));
    g_assert_cmpuint(len, ==, 8);
    assert_status(IFACE(f->s)->listxattr(f->s, &f->me, node, list, 3, &len), LARES_TOOSMALL);
    g_assert_cmpuint(len, ==, 8);
    assert_ok(IFACE(f->s)->removexattr(f->s, &f->me, node, "color"));
    assert_status(IFACE(f->s)->removexattr(f->s, &f->me, node, "color"), LARES_NOXATTR);
    lares_node_unref(node);
}

static void
assert_names(Fixture *f, LaresNode *node, const char *names, size_t n)
{
    char list[64];
    size_t len;
    /* What is remembered must be as true as what is looked at, in the same tick of the clock and later. */
    for (int i = 0; i < 20; i++, g_usleep(1000)) {
        assert_ok(IFACE(f->s)->listxattr(f->s, &f->me, node, list, sizeof list, &len));
        g_assert_cmpmem(list, len, names, n);
    }
}

/* That a file has no attributes is remembered, and forgotten when somebody else gives it one. */
static void
test_xattrs_of_others(Fixture *f, gconstpointer data)
{
    LaresNode *node = must_make(f->s, &f->me, f->root, "f", LARES_TYPE_REGULAR, 0600);
    g_autofree char *path = g_build_filename(f->dir, "f", NULL);
    char list[64];
    size_t len;
    assert_names(f, node, "", 0);
    if (setxattr(path, "user.theirs", "x", 1, 0) != 0) {
        g_test_skip("no user attributes here");
    } else {
        assert_names(f, node, "theirs", 7);
        g_assert_cmpint(removexattr(path, "user.theirs"), ==, 0);
        for (int i = 0; i < 50; i++) { /* without a pause: within one tick of ctime's clock */
            assert_ok(IFACE(f->s)->listxattr(f->s, &f->me, node, list, sizeof list, &len));
            g_assert_cmpuint(len, ==, 0);
            g_assert_cmpint(setxattr(path, "user.theirs", "x", 1, 0), ==, 0);
            assert_ok(IFACE(f->s)->listxattr(f->s, &f->me, node, list, sizeof list, &len));
            g_assert_cmpuint(len, ==, 7);
            g_assert_cmpint(removexattr(path, "user.theirs"), ==, 0);
        }
        assert_names(f, node, "", 0);
    }
    lares_node_unref(node);
}

static void
add_tests(void)
{
    g_test_add("/store-xattr/ours", Fixture, NULL, fixture_set_up, test_xattrs, fixture_tear_down);
    g_test_add("/store-xattr/of-others", Fixture, NULL, fixture_set_up, test_xattrs_of_others, fixture_tear_down);
}

int
main(int argc, char **argv)
{
    return fixture_main(&argc, &argv, add_tests);
}
