/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The store in memory keeps the rules that tests rely on. */
#include "memstore.h"
#include "store-test.h"

static void
test_names(void)
{
    g_autoptr(GObject) object = G_OBJECT(memstore_new());
    LaresStore *s = (LaresStore *)object;
    LaresCred ada = cred_of(1000, 1000), bob = cred_of(1001, 1001);
    LaresNode *root = store_root(s), *dir = must_make(s, &ada, root, "d", LARES_TYPE_DIRECTORY, 0700), *node;
    LaresNode *file = must_make(s, &ada, dir, "f", LARES_TYPE_REGULAR, 0644);
    assert_status(try_lookup(s, &bob, dir, "f"), LARES_ACCESS);
    assert_status(IFACE(s)->remove(s, &ada, root, "d"), LARES_NOTEMPTY);
    assert_ok(IFACE(s)->link(s, &ada, file, root, "hard"));
    g_assert_cmpuint(attrs_of(s, file).nlink, ==, 2);
    assert_status(try_open(s, &bob, file, RW), LARES_ACCESS);
    assert_ok(try_open(s, &bob, file, LARES_ACCESS_READ));
    assert_ok(IFACE(s)->rename(s, &ada, dir, "f", root, "g", FALSE));
    assert_status(IFACE(s)->rename(s, &ada, root, "d", dir, "x", FALSE), LARES_INVAL);
    assert_ok(IFACE(s)->remove(s, &ada, root, "g"));
    assert_ok(IFACE(s)->remove(s, &ada, root, "hard"));
    assert_status(IFACE(s)->from_handle(s, file->handle.bytes, file->handle.len, &node), LARES_STALE);
    assert_status(IFACE(s)->from_handle(s, (const uint8_t *)"xx", 2, &node), LARES_BADHANDLE);
    assert_ok(IFACE(s)->remove(s, &ada, root, "d"));
    memstore_fail_next(s, "lookup", LARES_IO);
    assert_status(try_lookup(s, &ada, root, "q"), LARES_IO);
    assert_status(try_lookup(s, &ada, root, "q"), LARES_NOENT);
    lares_node_unref(file);
    lares_node_unref(dir);
    lares_node_unref(root);
}

static void
test_data(void)
{
    g_autoptr(GObject) object = G_OBJECT(memstore_new());
    LaresStore *s = (LaresStore *)object;
    LaresCred ada = cred_of(1000, 1000);
    LaresNode *root = store_root(s), *node = must_make(s, &ada, root, "f", LARES_TYPE_REGULAR, 0600);
    LaresFile *file = must_open(s, &ada, node, RW);
    uint8_t buf[16];
    size_t done;
    uint64_t found, before = attrs_of(s, node).change;
    gboolean eof;
    must_write(s, file, 10000, "hello", 5);
    g_assert_cmpuint(attrs_of(s, node).change, >, before);
    assert_ok(IFACE(s)->read(s, file, 9999, buf, sizeof buf, &done));
    g_assert_cmpmem(buf, done, "\0hello", 6);
    assert_ok(IFACE(s)->seek(s, file, LARES_SEEK_DATA, 0, &found, &eof));
    g_assert_cmpuint(found, ==, 8192);
    assert_ok(IFACE(s)->copy(s, file, 10000, file, 0, 5, &found));
    assert_ok(IFACE(s)->read(s, file, 0, buf, 5, &done));
    g_assert_cmpmem(buf, done, "hello", 5);
    assert_ok(IFACE(s)->set_size(s, file, 3));
    g_assert_cmpuint(attrs_of(s, node).size, ==, 3);
    lares_file_unref(file);
    lares_node_unref(node);
    lares_node_unref(root);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/memstore/names", test_names);
    g_test_add_func("/memstore/data", test_data);
    return g_test_run();
}
