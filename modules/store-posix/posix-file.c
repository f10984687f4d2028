/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Open files: opening by node, reading, writing, making durable.
 *
 * Permission is decided before the descriptor is opened (posix-perm.c); afterwards I/O goes through unchecked, so the
 * owner's later chmod does not end an open. The descriptor of a file that was open for reading stays with its node for
 * some seconds: the next reader needs no system call to open it. Descriptors for writing are closed at once, because
 * they would keep others from executing the file. */
#include "posix.h"

#include <sys/uio.h>

#ifndef RWF_DSYNC
#define RWF_DSYNC 0x2
#endif
#ifndef RWF_SYNC
#define RWF_SYNC 0x4
#endif
#define IOV_LIMIT 1024 /* UIO_MAXIOV of Linux */

static PosixFile *
posix_file(LaresFile *file)
{
    return (PosixFile *)file;
}

LaresFile *
posix_file_new(PosixNode *node, int fd, uint32_t access, gboolean as_root)
{
    PosixFile *file = g_new0(PosixFile, 1);
    lares_node_ref(&node->base);
    file->base = (LaresFile){.ref = 1, .access = access, .node = &node->base};
    file->fd = fd;
    file->as_root = as_root;
    g_atomic_int_inc(&node->opens);
    return &file->base;
}

static LaresStatus
check_type(const LaresNode *node)
{
    switch (node->type) {
    case LARES_TYPE_REGULAR:
        return LARES_OK;
    case LARES_TYPE_DIRECTORY:
        return LARES_ISDIR;
    case LARES_TYPE_SYMLINK:
        return LARES_SYMLINK;
    default:
        return LARES_WRONG_TYPE;
    }
}

/* A program that may be executed may be read by a client that wants to execute it: clients have no other way. *caps
 * tells what the kernel must overlook when the file is opened as the caller. */
static LaresStatus
check_permission(PosixStore *store, const LaresCred *cred, PosixNode *node, uint32_t access, uint32_t *caps)
{
    struct statx st;
    uint32_t wanted = (access & LARES_ACCESS_READ ? LARES_MASK_READ_DATA : 0u) |
                      (access & LARES_ACCESS_WRITE ? LARES_MASK_WRITE_DATA : 0u);
    uint32_t ask = access == LARES_ACCESS_READ ? wanted | LARES_MASK_EXECUTE : wanted, got;
    int err = posix_stat(node, &st);
    if (err)
        return lares_status_from_errno(err);
    if (st.stx_nlink == 0 && g_atomic_int_get(&node->opens) == 0)
        return LARES_STALE;
    LaresStatus status = posix_allowed(store, cred, node, &st, ask, &got);
    if (status != LARES_OK || (got & wanted) == wanted)
        return status;
    *caps = POSIX_CAP_DAC;
    return access == LARES_ACCESS_READ && got & LARES_MASK_EXECUTE ? LARES_OK : LARES_ACCESS;
}

/* On file systems that judge by themselves the caller opens; elsewhere it was judged already. */
static LaresStatus
open_fd(PosixStore *store, const LaresCred *cred, PosixNode *node, uint32_t access, uint32_t caps, int *fd)
{
    char number[16];
    LaresStatus status = posix_node_ready(node);
    int flags = access & LARES_ACCESS_WRITE ? (access & LARES_ACCESS_READ ? O_RDWR : O_WRONLY) : O_RDONLY;
    if (status != LARES_OK)
        return status;
    snprintf(number, sizeof number, "%d", g_atomic_int_get(&node->fd));
    if (!node->mount->plain) {
        status = posix_cred_enter(store, cred);
        if (status == LARES_OK)
            status = posix_cred_raise(store, caps);
    }
    if (status == LARES_OK) {
        *fd = openat(store->proc_fd, number, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (*fd < 0)
            status = lares_status_from_errno(errno);
    }
    if (!node->mount->plain)
        posix_cred_leave(store);
    return status;
}

LaresStatus
posix_open(LaresStore *base, const LaresCred *cred, LaresNode *lnode, uint32_t access, LaresFile **file)
{
    PosixStore *store = POSIX_STORE(base);
    PosixNode *node = posix_node(lnode);
    uint32_t caps = 0;
    int fd;
    LaresStatus status = check_type(lnode);
    if (status == LARES_OK && !(access & (LARES_ACCESS_READ | LARES_ACCESS_WRITE)))
        status = LARES_INVAL;
    if (status == LARES_OK)
        status = check_permission(store, cred, node, access, &caps);
    if (status != LARES_OK)
        return status;
    if (access == LARES_ACCESS_READ) {
        PosixFile *spare = posix_node_take_spare(store, node);
        if (spare) {
            lares_node_ref(lnode);
            spare->base.ref = 1;
            g_atomic_int_inc(&node->opens);
            *file = &spare->base;
            return LARES_OK;
        }
    }
    status = open_fd(store, cred, node, access, caps, &fd);
    if (status == LARES_OK)
        *file = posix_file_new(node, fd, access, cred->uid == 0);
    return status;
}

void
posix_file_close(PosixFile *file)
{
    close(file->fd);
    g_free(file);
}

/* FALSE when there is a spare already or there are too many. */
static gboolean
keep_spare(PosixStore *store, PosixNode *node, PosixFile *file)
{
    if (file->base.access != LARES_ACCESS_READ || !node->mount->plain || g_atomic_int_get(&node->dead) ||
        g_atomic_int_get(&store->n_spare) >= store->max_spare)
        return FALSE;
    file->spare_since = g_get_monotonic_time();
    g_mutex_lock(&node->lock);
    gboolean kept = node->spare == NULL;
    if (kept)
        g_atomic_pointer_set(&node->spare, file);
    g_mutex_unlock(&node->lock);
    if (kept)
        g_atomic_int_inc(&store->n_spare);
    return kept;
}

void
posix_file_free(LaresStore *base, LaresFile *lfile)
{
    PosixStore *store = POSIX_STORE(base);
    PosixFile *file = posix_file(lfile);
    PosixNode *node = posix_node(lfile->node);
    g_atomic_int_add(&node->opens, -1);
    posix_node_take_back(node, file->fd);
    if (!keep_spare(store, node, file))
        posix_file_close(file);
    lares_node_unref(&node->base);
}

int
posix_file_fd(LaresStore *base, LaresFile *file)
{
    return posix_file(file)->fd;
}

/* ---- I/O --------------------------------------------------------------------------------------------------------- */

LaresStatus
posix_read(LaresStore *base, LaresFile *file, uint64_t offset, uint8_t *buf, size_t len, size_t *done)
{
    *done = 0;
    if (!(file->access & LARES_ACCESS_READ))
        return LARES_OPENMODE;
    if (offset > INT64_MAX)
        return LARES_OK; /* nothing is there */
    len = MIN(len, (size_t)(INT64_MAX - offset));
    while (*done < len) {
        ssize_t n = pread(posix_file(file)->fd, buf + *done, len - *done, (off_t)(offset + *done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return *done ? LARES_OK : lares_status_from_errno(errno);
        if (n == 0)
            break;
        *done += (size_t)n;
    }
    return LARES_OK;
}

/* A daemon that is root and cannot become somebody else has no other way; elsewhere the kernel does it while it writes.
 */
static void
drop_set_bits(PosixStore *store, PosixFile *file)
{
    struct stat st;
    if (G_LIKELY(store->privileged || store->self_uid != 0) || file->as_root || fstat(file->fd, &st) != 0)
        return;
    mode_t drop = st.st_mode & S_ISUID;
    if (st.st_mode & S_IXGRP)
        drop |= st.st_mode & S_ISGID;
    if (drop)
        fchmod(file->fd, st.st_mode & 07777u & ~drop);
}

LaresStatus
posix_file_writes(PosixStore *store, PosixFile *file)
{
    return posix_cred_writes(store, file->as_root);
}

void
posix_file_written(PosixStore *store, PosixFile *file)
{
    posix_node_changed(posix_node(file->base.node));
    drop_set_bits(store, file);
}

/* Steps over `n` written bytes. */
static void
advance(struct iovec **iov, int *count, size_t n)
{
    while (*count && n >= (*iov)->iov_len) {
        n -= (*iov)->iov_len;
        (*iov)++;
        (*count)--;
    }
    if (*count && n) {
        (*iov)->iov_base = (uint8_t *)(*iov)->iov_base + n;
        (*iov)->iov_len -= n;
    }
}

static LaresStatus
write_all(int fd, uint64_t offset, struct iovec *iov, int n, int flags, size_t *done)
{
    while (n) {
        ssize_t w = pwritev2(fd, iov, MIN(n, IOV_LIMIT), (off_t)(offset + *done), flags);
        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0 && flags && errno == EOPNOTSUPP) {
            LaresStatus status = write_all(fd, offset, iov, n, 0, done);
            if (*done && (flags & RWF_SYNC ? fsync(fd) : fdatasync(fd)) != 0)
                return lares_status_from_errno(errno);
            return status;
        }
        if (w < 0)
            return lares_status_from_errno(errno);
        if (w == 0 && iov->iov_len)
            return LARES_IO;
        *done += (size_t)w;
        advance(&iov, &n, (size_t)w);
    }
    return LARES_OK;
}

/* What was written before an error counts, unless it had to be durable; the next write meets the error again. */
LaresStatus
posix_write(LaresStore *base, LaresFile *file, uint64_t offset, const struct iovec *iov, int n, LaresStable stable,
            size_t *done)
{
    struct iovec few[16], *copy = few;
    g_autofree struct iovec *many = NULL;
    size_t total = 0;
    *done = 0;
    if (!(file->access & LARES_ACCESS_WRITE))
        return LARES_OPENMODE;
    if (n > (int)G_N_ELEMENTS(few))
        copy = many = g_new(struct iovec, n);
    for (int i = 0; i < n; i++) {
        copy[i] = iov[i];
        total += iov[i].iov_len;
    }
    if (offset > INT64_MAX || total > INT64_MAX - offset)
        return LARES_FBIG;
    int flags = stable == LARES_STABLE_DATA ? RWF_DSYNC : stable == LARES_STABLE_FILE ? RWF_SYNC : 0;
    LaresStatus status = posix_file_writes(POSIX_STORE(base), posix_file(file));
    if (status == LARES_OK && total)
        status = write_all(posix_file(file)->fd, offset, copy, n, flags, done);
    if (*done) {
        posix_file_written(POSIX_STORE(base), posix_file(file));
        if (status != LARES_IO)
            status = LARES_OK;
    }
    return status;
}

LaresStatus
posix_commit(LaresStore *base, LaresFile *file, uint64_t offset, uint64_t len)
{
    int result;
    do
        result = fdatasync(posix_file(file)->fd);
    while (result != 0 && errno == EINTR);
    return result == 0 ? LARES_OK : lares_status_from_errno(errno);
}

LaresStatus
posix_set_size(LaresStore *base, LaresFile *file, uint64_t size)
{
    if (!(file->access & LARES_ACCESS_WRITE))
        return LARES_OPENMODE;
    if (size > INT64_MAX)
        return LARES_FBIG;
    LaresStatus status = posix_file_writes(POSIX_STORE(base), posix_file(file));
    if (status != LARES_OK)
        return status;
    if (ftruncate(posix_file(file)->fd, (off_t)size) != 0)
        return errno == EINVAL ? LARES_FBIG : lares_status_from_errno(errno);
    posix_file_written(POSIX_STORE(base), posix_file(file));
    return LARES_OK;
}

LaresStatus
posix_sync(LaresStore *base, LaresNode *lnode)
{
    PosixNode *node = posix_node(lnode);
    char number[16];
    if (node->fd_reads)
        return fsync(g_atomic_int_get(&node->fd)) == 0 ? LARES_OK : lares_status_from_errno(errno);
    if (lnode->type != LARES_TYPE_REGULAR && lnode->type != LARES_TYPE_DIRECTORY)
        return LARES_OK;
    int own = posix_node_fd(node);
    if (own < 0)
        return lares_status_from_errno(errno);
    snprintf(number, sizeof number, "%d", own);
    int fd = openat(POSIX_STORE(base)->proc_fd, number, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return lares_status_from_errno(errno);
    LaresStatus status = fsync(fd) == 0 ? LARES_OK : lares_status_from_errno(errno);
    close(fd);
    return status;
}
