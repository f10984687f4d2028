/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Operations on ranges of open files: holes, allocation, cloning, copying on the server. */
#include "posix.h"

#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#define COPY_STEP (256 * 1024)
#define COPY_LIMIT                                                                                                     \
    (32 * 1024 * 1024) /* per call: a worker must not be away for minutes; callers go on with the rest                 \
                        */

static int
fd_of(LaresFile *file)
{
    return ((PosixFile *)file)->fd;
}

static gboolean
range_is_valid(uint64_t offset, uint64_t len)
{
    return offset <= INT64_MAX && len <= INT64_MAX - offset;
}

LaresStatus
posix_seek(LaresStore *base, LaresFile *file, LaresSeek what, uint64_t offset, uint64_t *found, gboolean *eof)
{
    struct stat st;
    if (fstat(fd_of(file), &st) != 0)
        return lares_status_from_errno(errno);
    if (offset >= (uint64_t)st.st_size)
        return LARES_NXIO;
    off_t at = lseek(fd_of(file), (off_t)offset, what == LARES_SEEK_DATA ? SEEK_DATA : SEEK_HOLE);
    if (at < 0 && errno != ENXIO)
        return lares_status_from_errno(errno);
    *eof = at < 0 || at >= st.st_size;
    *found = *eof ? (uint64_t)st.st_size : (uint64_t)at;
    return LARES_OK;
}

static LaresStatus
do_fallocate(LaresStore *base, LaresFile *file, int mode, uint64_t offset, uint64_t len)
{
    int result;
    if (!(file->access & LARES_ACCESS_WRITE))
        return LARES_OPENMODE;
    if (len == 0 || !range_is_valid(offset, len))
        return len == 0 ? LARES_INVAL : LARES_FBIG;
    LaresStatus status = posix_file_writes(POSIX_STORE(base), (PosixFile *)file);
    if (status != LARES_OK)
        return status;
    do
        result = fallocate(fd_of(file), mode, (off_t)offset, (off_t)len);
    while (result != 0 && errno == EINTR);
    if (result != 0)
        return lares_status_from_errno(errno);
    posix_file_written(POSIX_STORE(base), (PosixFile *)file);
    return LARES_OK;
}

LaresStatus
posix_allocate(LaresStore *base, LaresFile *file, uint64_t offset, uint64_t len)
{
    return do_fallocate(base, file, 0, offset, len);
}

LaresStatus
posix_deallocate(LaresStore *base, LaresFile *file, uint64_t offset, uint64_t len)
{
    /* A hole to the end of all offsets is what some clients ask for. */
    if (offset <= INT64_MAX)
        len = MIN(len, (uint64_t)INT64_MAX - offset);
    return do_fallocate(base, file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, len);
}

static LaresStatus
check_pair(LaresFile *from, LaresFile *to)
{
    return from->access & LARES_ACCESS_READ && to->access & LARES_ACCESS_WRITE ? LARES_OK : LARES_OPENMODE;
}

LaresStatus
posix_clone(LaresStore *base, LaresFile *from, uint64_t from_offset, LaresFile *to, uint64_t to_offset, uint64_t len)
{
    struct file_clone_range range = {fd_of(from), from_offset, len, to_offset};
    LaresStatus status = check_pair(from, to);
    if (status != LARES_OK)
        return status;
    if (!range_is_valid(from_offset, len) || !range_is_valid(to_offset, len))
        return LARES_INVAL;
    status = posix_file_writes(POSIX_STORE(base), (PosixFile *)to);
    if (status != LARES_OK)
        return status;
    if (ioctl(fd_of(to), FICLONERANGE, &range) != 0)
        return errno == ENOTTY ? LARES_NOTSUPP : lares_status_from_errno(errno);
    posix_file_written(POSIX_STORE(base), (PosixFile *)to);
    return LARES_OK;
}

static gboolean
kernel_cannot(int err)
{
    return err == EXDEV || err == EINVAL || err == ENOSYS || err == EOPNOTSUPP || err == EBADF || err == ETXTBSY;
}

/* -1 with errno, 0 at the end of the source. */
static ssize_t
copy_by_hand(int in, off_t from, int out, off_t to, size_t len, uint8_t *buf)
{
    ssize_t n, w = 0;
    do
        n = pread(in, buf, MIN(len, COPY_STEP), from);
    while (n < 0 && errno == EINTR);
    for (ssize_t at = 0; at < n; at += w) {
        w = pwrite(out, buf + at, (size_t)(n - at), to + at);
        if (w < 0 && errno == EINTR)
            w = 0;
        else if (w < 0)
            return at ? at : -1;
    }
    return n;
}

static gboolean
overlap(LaresFile *from, uint64_t a, LaresFile *to, uint64_t b, uint64_t len)
{
    return from->node == to->node && a < b + len && b < a + len;
}

LaresStatus
posix_copy(LaresStore *base, LaresFile *from, uint64_t from_offset, LaresFile *to, uint64_t to_offset, uint64_t len,
           uint64_t *done)
{
    g_autofree uint8_t *buf = NULL;
    LaresStatus status = check_pair(from, to);
    struct stat st;
    *done = 0;
    if (status != LARES_OK)
        return status;
    if (fstat(fd_of(from), &st) != 0)
        return lares_status_from_errno(errno);
    /* RFC 7862 15.2.3: a source range beyond the end is an error, 0 means up to the end. */
    if (!range_is_valid(from_offset, len) || !range_is_valid(to_offset, len) || from_offset > (uint64_t)st.st_size ||
        len > (uint64_t)st.st_size - from_offset)
        return LARES_INVAL;
    if (len == 0)
        len = (uint64_t)st.st_size - from_offset;
    if (overlap(from, from_offset, to, to_offset, len))
        return LARES_INVAL;
    status = posix_file_writes(POSIX_STORE(base), (PosixFile *)to);
    if (status != LARES_OK)
        return status;
    len = MIN(len, COPY_LIMIT);
    while (*done < len) {
        off_t in = (off_t)(from_offset + *done), out = (off_t)(to_offset + *done);
        ssize_t n = -1;
        if (!buf)
            n = copy_file_range(fd_of(from), &in, fd_of(to), &out, len - *done, 0);
        if (n < 0 && !buf && kernel_cannot(errno))
            buf = g_malloc(COPY_STEP);
        if (n < 0 && buf)
            n = copy_by_hand(fd_of(from), in, fd_of(to), out, len - *done, buf);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            status = *done ? LARES_OK : lares_status_from_errno(errno);
        if (n <= 0)
            break;
        *done += (uint64_t)n;
    }
    if (*done)
        posix_file_written(POSIX_STORE(base), (PosixFile *)to);
    return status;
}
