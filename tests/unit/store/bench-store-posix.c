/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Microseconds of CPU per operation of store-posix, one thread, as one user (uid 1000 when run by root). The folder to
 * work in is the first argument. */
#include "posix.h"
#include "store-test.h"

#include <glib/gstdio.h>
#include <time.h>

#define FILES 5000

static double
cpu(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void
report(const char *what, double start)
{
    g_print("%-28s %6.2f us\n", what, (cpu() - start) / FILES);
}

static const char *
name_of(guint i)
{
    static char name[16];
    g_snprintf(name, sizeof name, "file-%05u", i);
    return name;
}

static void
bench(LaresStore *s, LaresNode *dir, const LaresCred *cred, const LaresCred *other)
{
    LaresCreate how = {.type = LARES_TYPE_REGULAR, .exclusive = TRUE, .attrs = {.mask = LARES_ATTR_MODE, .mode = 0644}};
    LaresNode *node;
    LaresFile *file;
    LaresAttrs attrs;
    gboolean created;
    uint8_t buf[4096] = {0};
    struct iovec iov = {buf, sizeof buf};
    size_t done;
    double t = cpu();
    for (guint i = 0; i < FILES; i++) {
        assert_ok(IFACE(s)->create(s, cred, dir, name_of(i), &how, RW, &node, &file, &created));
        lares_file_unref(file);
        lares_node_unref(node);
    }
    report("create + close", t);
    t = cpu();
    for (guint i = 0; i < FILES; i++)
        lares_node_unref(must_lookup(s, cred, dir, name_of(i)));
    report("lookup", t);
    node = must_lookup(s, cred, dir, name_of(0));
    t = cpu();
    for (guint i = 0; i < FILES; i++)
        IFACE(s)->getattr(s, node, LARES_ATTR_STAT, &attrs);
    report("getattr", t);
    t = cpu();
    for (guint i = 0; i < FILES; i++)
        access_of(s, cred, node, 0x1f);
    report("access", t);
    t = cpu();
    for (guint i = 0; i < FILES; i++)
        assert_ok(try_open(s, cred, node, LARES_ACCESS_READ));
    report("open + close, to read", t);
    t = cpu();
    for (guint i = 0; i < FILES; i++)
        assert_ok(try_open(s, cred, node, RW));
    report("open + close, to write", t);
    file = must_open(s, cred, node, RW);
    t = cpu();
    for (guint i = 0; i < FILES; i++)
        IFACE(s)->write(s, file, 0, &iov, 1, LARES_STABLE_NONE, &done);
    report("write 4 KiB", t);
    t = cpu();
    for (guint i = 0; i < FILES; i++)
        IFACE(s)->read(s, file, 0, buf, sizeof buf, &done);
    report("read 4 KiB", t);
    lares_file_unref(file);
    t = cpu();
    for (guint i = 0; i < FILES; i++)
        assert_ok(try_chmod(s, cred, node, 0600 | (i & 077)));
    report("chmod", t);
    LaresHandle handle = node->handle;
    lares_node_unref(node);
    t = cpu();
    for (guint i = 0; i < FILES; i++) {
        assert_ok(IFACE(s)->from_handle(s, handle.bytes, handle.len, &node));
        lares_node_unref(node);
    }
    report("from_handle, cached", t);
    t = cpu();
    for (guint i = 0; i < FILES; i++)
        assert_ok(IFACE(s)->remove(s, cred, dir, name_of(i)));
    report("unlink", t);
    t = cpu();
    for (guint i = 0; i < FILES; i++)
        lares_node_unref(must_make(s, i & 1 ? cred : other, dir, name_of(i), LARES_TYPE_REGULAR, 0666));
    report("create, two users in turn", t);
    for (guint i = 0; i < FILES; i++)
        assert_ok(IFACE(s)->remove(s, cred, dir, name_of(i)));
}

int
main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    gboolean root = geteuid() == 0;
    g_autofree char *made = argc > 1 ? NULL : g_dir_make_tmp("lares-bench-XXXXXX", NULL);
    g_autofree char *share = g_build_filename(argc > 1 ? argv[1] : made, "share", NULL);
    LaresCred cred = cred_of(root ? 1000 : geteuid(), root ? 1000 : getegid());
    LaresCred other = cred_of(root ? 1001 : geteuid(), root ? 1001 : getegid());
    g_mkdir(share, 0777);
    g_chmod(share, 0777);
    PosixOptions options = {.path = share, .state_dir = argc > 1 ? argv[1] : made, .privileged = root};
    LaresStore *s = (LaresStore *)posix_store_new(&options, &error);
    if (!s) {
        g_printerr("%s\n", error->message);
        return 1;
    }
    LaresNode *dir = store_root(s);
    bench(s, dir, &cred, &other);
    lares_node_unref(dir);
    g_object_unref(s);
    g_rmdir(share);
    if (made)
        g_rmdir(made);
    return 0;
}
