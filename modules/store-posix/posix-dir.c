/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Listing directories by getdents64. The cookie is the kernel's d_off moved by three, so that 0, 1 and 2 never appear;
 * it is the file system's own position (a hash or an index on disk) and means the same after a restart.
 *
 * Locks: list_lock around seek and read; entries are handed out without it, so emit may call the store. */
#include "posix.h"

#include <dirent.h>
#include <sys/syscall.h>

#define COOKIE_SHIFT 3u
#define BATCH        (16 * 1024)

typedef struct {
    uint64_t ino;
    int64_t off;
    unsigned short reclen;
    unsigned char type;
    char name[];
} KernelEntry;

static LaresFileType
type_of(unsigned char type)
{
    switch (type) {
    case DT_REG:
        return LARES_TYPE_REGULAR;
    case DT_DIR:
        return LARES_TYPE_DIRECTORY;
    case DT_LNK:
        return LARES_TYPE_SYMLINK;
    case DT_BLK:
        return LARES_TYPE_BLOCK;
    case DT_CHR:
        return LARES_TYPE_CHARACTER;
    case DT_FIFO:
        return LARES_TYPE_FIFO;
    case DT_SOCK:
        return LARES_TYPE_SOCKET;
    default:
        return LARES_TYPE_NONE;
    }
}

static gboolean
is_dots(const char *name)
{
    return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

/* The number of bytes read at `off`; minus errno on failure. */
static ssize_t
read_batch(PosixNode *dir, int64_t off, uint8_t *buf)
{
    ssize_t n = -1;
    g_mutex_lock(&dir->list_lock);
    int fd = dir->fd_reads ? dir->fd : dir->list_fd;
    if (fd < 0)
        fd = dir->list_fd = openat(dir->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0 && lseek(fd, off, SEEK_SET) >= 0)
        n = syscall(SYS_getdents64, fd, buf, BATCH);
    int err = errno;
    g_mutex_unlock(&dir->list_lock);
    return n < 0 ? -err : n;
}

LaresStatus
posix_readdir(LaresStore *base, const LaresCred *cred, LaresNode *ldir, uint64_t cookie, LaresDirFunc emit,
              gpointer user, gboolean *eof)
{
    _Alignas(KernelEntry) uint8_t buf[BATCH];
    PosixNode *dir = posix_node(ldir);
    *eof = FALSE;
    if (!posix_is_dir(dir))
        return LARES_NOTDIR;
    if (cookie && cookie < COOKIE_SHIFT)
        return LARES_BAD_COOKIE;
    LaresStatus status = posix_may(POSIX_STORE(base), cred, dir, LARES_MASK_READ_DATA);
    if (status != LARES_OK)
        return status;
    int64_t off = cookie ? (int64_t)(cookie - COOKIE_SHIFT) : 0;
    for (;;) {
        ssize_t n = read_batch(dir, off, buf);
        if (n < 0)
            return n == -EINVAL ? LARES_BAD_COOKIE : n == -ENOENT ? LARES_STALE : lares_status_from_errno((int)-n);
        if (n == 0) {
            *eof = TRUE;
            return LARES_OK;
        }
        for (ssize_t at = 0; at < n;) {
            const KernelEntry *entry = (const KernelEntry *)(buf + at);
            at += entry->reclen;
            off = entry->off;
            LaresDirEntry out = {entry->name, (uint64_t)entry->off + COOKIE_SHIFT, entry->ino, type_of(entry->type)};
            if (!is_dots(entry->name) && !emit(&out, user))
                return LARES_OK;
        }
    }
}
