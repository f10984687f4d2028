/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A program of libnfs, a client that shares no line with ours: libnfs-ops URL, and the share must be empty.
 *
 * Spec: RFC 7530, as libnfs 4.0 speaks it (NFS version 4.0, AUTH_SYS). */
#include <glib.h>
#include <errno.h>
#include <fcntl.h>
#include <nfsc/libnfs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define ENTRIES   1000
#define WRITE_MAX 3000 /* libnfs 4.0.0 cannot encode a longer WRITE of version 4 than fits into a 4 KB call */

static struct nfs_context *nfs;

/* A call of the library that must give `wanted` (a negative errno for a refusal). */
#define EXPECT(call, wanted)                                                                                           \
    G_STMT_START                                                                                                       \
    {                                                                                                                  \
        int got_ = (int)(call);                                                                                        \
        if (got_ != (wanted))                                                                                          \
            g_error("%s gave %d (%s), not %d", #call, got_, nfs_get_error(nfs), (int)(wanted));                        \
    }                                                                                                                  \
    G_STMT_END

static void
connect_to(const char *text)
{
    static int number;
    g_autofree char *name = g_strdup_printf("libnfs-ops %d", number++); /* its own is the same within a second */
    nfs = nfs_init_context();
    nfs4_set_client_name(nfs, name);
    struct nfs_url *url = nfs_parse_url_dir(nfs, text);
    g_assert_nonnull(url);
    EXPECT(nfs_mount(nfs, url->server, url->path), 0);
    nfs_destroy_url(url);
}

/* A second client, until it leaves. libnfs 4.0.0 has one open-owner: two opens of one file are one to the server, and
 * the first close ends both (RFC 7530 9.1.4). */
static struct nfs_context *
enter_other(void)
{
    struct nfs_context *first = nfs;
    connect_to(g_getenv("LIBNFS_URL"));
    return first;
}

static void
leave_other(struct nfs_context *first)
{
    nfs_umount(nfs);
    nfs_destroy_context(nfs);
    nfs = first;
}

/* By another client: libnfs does not count an OPEN that was refused, and is then out of step with the server (RFC 7530
 * 9.1.7: the same seqid again gets the same answer again). */
static void
expect_refused_open(const char *path, int flags, int wanted)
{
    struct nfs_context *first = enter_other();
    struct nfsfh *fh;
    EXPECT(nfs_open2(nfs, path, flags, 0600, &fh), wanted);
    leave_other(first);
}

static uint64_t
size_of(const char *path)
{
    struct nfs_stat_64 st;
    EXPECT(nfs_stat64(nfs, path, &st), 0);
    return st.nfs_size;
}

static void
test_data(void)
{
    const size_t size = 700 * 1000 + 17;
    g_autofree char *out = g_malloc(size), *in = g_malloc0(size);
    struct nfsfh *fh;
    for (size_t i = 0; i < size; i++)
        out[i] = (char)(i * 31 + i / 4096);
    EXPECT(nfs_open2(nfs, "/data", O_CREAT | O_RDWR, 0640, &fh), 0);
    for (size_t at = 0; at < size;) {
        int n = nfs_pwrite(nfs, fh, at, MIN(size - at, WRITE_MAX), out + at);
        if (n <= 0)
            g_error("%s", nfs_get_error(nfs));
        at += (size_t)n;
    }
    EXPECT(nfs_fsync(nfs, fh), 0);
    EXPECT(nfs_close(nfs, fh), 0);
    g_assert_cmpuint(size_of("/data"), ==, size);

    EXPECT(nfs_open(nfs, "/data", O_RDWR, &fh), 0);
    for (size_t at = 0; at < size;) {
        int n = nfs_pread(nfs, fh, at, MIN(size - at, 400000), in + at);
        if (n <= 0)
            g_error("%s", nfs_get_error(nfs));
        at += (size_t)n;
    }
    g_assert_true(memcmp(in, out, size) == 0);
    EXPECT(nfs_pread(nfs, fh, size, 100, in), 0); /* the end */
    EXPECT(nfs_ftruncate(nfs, fh, 5000), 0);
    EXPECT(nfs_pwrite(nfs, fh, 9000, 3, "end"), 3);
    EXPECT(nfs_pread(nfs, fh, 4999, 4002, in), 4002); /* what lies between is a hole of zeros */
    g_assert_true(in[0] == out[4999] && in[1] == 0 && in[4000] == 0 && in[4001] == 'e');
    EXPECT(nfs_close(nfs, fh), 0);
    g_assert_cmpuint(size_of("/data"), ==, 9003);
    EXPECT(nfs_truncate(nfs, "/data", 1), 0);
    g_assert_cmpuint(size_of("/data"), ==, 1);
}

static void
test_open_flags(void)
{
    struct nfsfh *fh, *second;
    char byte;
    EXPECT(nfs_open2(nfs, "/exclusive", O_CREAT | O_EXCL | O_RDWR, 0600, &fh), 0);
    expect_refused_open("/exclusive", O_CREAT | O_EXCL | O_RDWR, -EEXIST);
    EXPECT(nfs_write(nfs, fh, 5, "hello"), 5);
    struct nfs_context *first = enter_other();
    EXPECT(nfs_open(nfs, "/exclusive", O_RDONLY, &second), 0);
    EXPECT(nfs_pread(nfs, second, 4, 1, &byte), 1);
    g_assert_cmpint(byte, ==, 'o');
    EXPECT(nfs_close(nfs, second), 0);
    leave_other(first);
    EXPECT(nfs_close(nfs, fh), 0);
    EXPECT(nfs_open2(nfs, "/exclusive", O_TRUNC | O_WRONLY, 0600, &fh), 0);
    EXPECT(nfs_close(nfs, fh), 0);
    g_assert_cmpuint(size_of("/exclusive"), ==, 0);
    expect_refused_open("/nothing", O_RDONLY, -ENOENT);
    EXPECT(nfs_unlink(nfs, "/exclusive"), 0);
}

static void
test_names(void)
{
    struct nfs_stat_64 st;
    struct nfsfh *fh;
    char target[256];
    EXPECT(nfs_mkdir2(nfs, "/dir", 0750), 0);
    EXPECT(nfs_mkdir(nfs, "/dir"), -EEXIST);
    EXPECT(nfs_mkdir(nfs, "/dir/inner"), 0);
    EXPECT(nfs_stat64(nfs, "/dir", &st), 0);
    g_assert_cmpuint(st.nfs_mode & 07777, ==, 0750);
    g_assert_true(S_ISDIR(st.nfs_mode));
    EXPECT(nfs_creat(nfs, "/dir/a", 0644, &fh), 0);
    EXPECT(nfs_close(nfs, fh), 0);
    EXPECT(nfs_rename(nfs, "/dir/a", "/dir/inner/\xc3\xa4\xe2\x82\xac"), 0); /* to another folder, not ASCII */
    EXPECT(nfs_stat64(nfs, "/dir/a", &st), -ENOENT);
    EXPECT(nfs_stat64(nfs, "/dir/inner/\xc3\xa4\xe2\x82\xac", &st), 0);
    EXPECT(nfs_link(nfs, "/dir/inner/\xc3\xa4\xe2\x82\xac", "/dir/hard"), 0);
    EXPECT(nfs_stat64(nfs, "/dir/hard", &st), 0);
    g_assert_cmpuint(st.nfs_nlink, ==, 2);
    EXPECT(nfs_symlink(nfs, "inner/none", "/dir/soft"), 0);
    EXPECT(nfs_readlink(nfs, "/dir/soft", target, sizeof target), 0);
    g_assert_cmpstr(target, ==, "inner/none");
    EXPECT(nfs_lstat64(nfs, "/dir/soft", &st), 0);
    g_assert_true(S_ISLNK(st.nfs_mode));
    EXPECT(nfs_rmdir(nfs, "/dir/inner"), -ENOTEMPTY);
    EXPECT(nfs_unlink(nfs, "/dir/inner/\xc3\xa4\xe2\x82\xac"), 0);
    EXPECT(nfs_unlink(nfs, "/dir/hard"), 0);
    EXPECT(nfs_unlink(nfs, "/dir/soft"), 0);
    EXPECT(nfs_unlink(nfs, "/dir/soft"), -ENOENT);
    EXPECT(nfs_rmdir(nfs, "/dir/inner"), 0);
    EXPECT(nfs_rmdir(nfs, "/dir"), 0);
}

static void
test_attributes(void)
{
    struct nfs_stat_64 st;
    struct nfsfh *fh;
    struct timeval times[2] = {{1000000000, 250000}, {1100000000, 500000}};
    EXPECT(nfs_creat(nfs, "/attributes", 0600, &fh), 0);
    EXPECT(nfs_fchmod(nfs, fh, 0604), 0);
    EXPECT(nfs_close(nfs, fh), 0);
    EXPECT(nfs_stat64(nfs, "/attributes", &st), 0);
    g_assert_cmpuint(st.nfs_mode & 07777, ==, 0604);
    EXPECT(nfs_utimes(nfs, "/attributes", times), 0); /* this client opens for writing to do it */
    EXPECT(nfs_chmod(nfs, "/attributes", 0444), 0);
    EXPECT(nfs_stat64(nfs, "/attributes", &st), 0);
    g_assert_cmpuint(st.nfs_mode & 07777, ==, 0444);
    g_assert_cmpuint(st.nfs_atime, ==, 1000000000);
    g_assert_cmpuint(st.nfs_mtime, ==, 1100000000);
    g_assert_cmpuint(st.nfs_mtime_nsec, ==, 500000000);
    EXPECT(nfs_access(nfs, "/attributes", R_OK), 0);
    EXPECT(nfs_unlink(nfs, "/attributes"), 0);
}

static void
test_many_entries(void)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    struct nfsdir *dir;
    struct nfsdirent *entry;
    struct nfsfh *fh;
    EXPECT(nfs_mkdir(nfs, "/many"), 0);
    for (int i = 0; i < ENTRIES; i++) {
        g_autofree char *name = g_strdup_printf("/many/a name of middling length, number %d", i);
        EXPECT(nfs_creat(nfs, name, 0600, &fh), 0);
        EXPECT(nfs_close(nfs, fh), 0);
    }
    EXPECT(nfs_opendir(nfs, "/many", &dir), 0);
    while ((entry = nfs_readdir(nfs, dir))) {
        if (entry->name[0] == '.')
            continue;
        g_assert_true(S_ISREG(entry->mode));
        g_assert_true(g_hash_table_add(seen, g_strdup(entry->name))); /* never twice */
    }
    nfs_closedir(nfs, dir);
    g_assert_cmpuint(g_hash_table_size(seen), ==, ENTRIES);
    for (int i = 0; i < ENTRIES; i++) {
        g_autofree char *name = g_strdup_printf("/many/a name of middling length, number %d", i);
        EXPECT(nfs_unlink(nfs, name), 0);
    }
    EXPECT(nfs_rmdir(nfs, "/many"), 0);
}

/* By a client of its own, as for opens. It leaves without a CLOSE: libnfs does not count the seqid of the open-owner in
 * a LOCK either (RFC 7530 16.10), so that its CLOSE is rightly refused. */
static int
try_lock(const char *path, int64_t offset, uint64_t length)
{
    struct nfs_context *first = enter_other();
    struct nfsfh *fh;
    EXPECT(nfs_open(nfs, path, O_RDWR, &fh), 0);
    EXPECT(nfs_lseek(nfs, fh, offset, SEEK_SET, NULL), 0);
    int result = nfs_lockf(nfs, fh, NFS4_F_TLOCK, length);
    if (result == 0)
        EXPECT(nfs_lockf(nfs, fh, NFS4_F_ULOCK, length), 0);
    leave_other(first);
    return result;
}

static void
test_locks(void)
{
    struct nfs_context *first = enter_other();
    struct nfsfh *fh;
    EXPECT(nfs_open2(nfs, "/locked", O_CREAT | O_RDWR, 0600, &fh), 0);
    EXPECT(nfs_lseek(nfs, fh, 10, SEEK_SET, NULL), 0);
    EXPECT(nfs_lockf(nfs, fh, NFS4_F_LOCK, 20), 0);
    EXPECT(nfs_lockf(nfs, fh, NFS4_F_TEST, 20), 0); /* its own */
    g_assert_cmpint(try_lock("/locked", 15, 2), <, 0);
    EXPECT(try_lock("/locked", 40, 2), 0);
    EXPECT(nfs_lockf(nfs, fh, NFS4_F_ULOCK, 20), 0);
    EXPECT(try_lock("/locked", 15, 2), 0);
    leave_other(first);
    EXPECT(nfs_unlink(nfs, "/locked"), 0);
}

static void
test_statvfs(void)
{
    struct statvfs st;
    EXPECT(nfs_statvfs(nfs, "/", &st), 0);
    g_assert_cmpuint(st.f_blocks, >, 0);
    g_assert_cmpuint(st.f_bavail, <=, st.f_blocks);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_assert_nonnull(g_getenv("LIBNFS_URL"));
    connect_to(g_getenv("LIBNFS_URL"));
    g_test_add_func("/libnfs/data", test_data);
    g_test_add_func("/libnfs/open-flags", test_open_flags);
    g_test_add_func("/libnfs/names", test_names);
    g_test_add_func("/libnfs/attributes", test_attributes);
    g_test_add_func("/libnfs/many-entries", test_many_entries);
    g_test_add_func("/libnfs/locks", test_locks);
    g_test_add_func("/libnfs/statvfs", test_statvfs);
    int result = g_test_run();
    nfs_umount(nfs);
    nfs_destroy_context(nfs);
    return result;
}
