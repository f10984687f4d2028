/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Listing directories by getdents64. The cookie is the kernel's d_off moved by three, so that 0, 1 and 2 never appear;
 * it is the file system's own position (a hash or an index on disk) and means the same after a restart.
 *
 * Locks: list_lock around seek and read; entries are handed out without it, so emit may call the store. */
#include "posix.h"

#include <dirent.h>
#include <sys/syscall.h>

#define COOKIE_SHIFT 3u
#define BATCH        (8 * 1024)

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

typedef struct {
    PosixStore *store;
    PosixNode *dir;
    LaresDirFunc plain; /* or: */
    LaresDirAttrsFunc emit;
    gpointer user;
    gboolean search; /* the caller may look at entries */
    gboolean nodes;
    uint32_t mask;
} Listing;

/* What getattr would tell of an entry, by its name alone. FALSE: its node must be asked. */
static gboolean
look(const Listing *l, const KernelEntry *entry, LaresAttrs *attrs)
{
    struct statx st;
    if (statx(l->dir->fd, entry->name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_SYNC_AS_STAT,
              STATX_BASIC_STATS | STATX_MNT_ID | (l->mask & LARES_ATTR_BTIME ? STATX_BTIME : 0), &st) != 0)
        return FALSE;
    /* Something mounted there is judged by lookup. */
    if (!(st.stx_mask & STATX_MNT_ID) || st.stx_mnt_id != l->dir->mount->id ||
        ((uint64_t)st.stx_dev_major << 32 | st.stx_dev_minor) != l->dir->dev)
        return FALSE;
    if (l->mask & LARES_ATTR_CHANGE && posix_may_be_ahead(l->store, st.stx_ino))
        return FALSE;
    posix_attrs_from_stat(l->dir, &st, attrs);
    attrs->change = posix_ctime(&st);
    return TRUE;
}

static gboolean
emit_entry(const Listing *l, const KernelEntry *entry)
{
    LaresDirEntry out = {entry->name, (uint64_t)entry->off + COOKIE_SHIFT, entry->ino, type_of(entry->type)};
    if (l->plain)
        return l->plain(&out, l->user);
    LaresAttrs attrs;
    PosixNode *node = NULL;
    if (!l->search)
        return l->emit(&out, NULL, NULL, l->user);
    /* What is in the cache is asked by its descriptor, four times as fast as by name. Something may be mounted on a
     * directory, then its number is not that of what the name leads to. */
    if (l->dir->mount->plain && entry->type != DT_DIR && entry->type != DT_UNKNOWN)
        node = posix_cache_get_inode(l->store, l->dir->mount, l->dir->dev, entry->ino);
    if (!node && !l->nodes && look(l, entry, &attrs))
        return l->emit(&out, &attrs, NULL, l->user);
    if (!node && posix_find(l->store, l->dir, entry->name, &node) != LARES_OK)
        return l->emit(&out, NULL, NULL, l->user);
    gboolean known = posix_getattr((LaresStore *)l->store, &node->base, l->mask, &attrs) == LARES_OK;
    gboolean more = l->emit(&out, known ? &attrs : NULL, known ? &node->base : NULL, l->user);
    lares_node_unref(&node->base);
    return more;
}

static LaresStatus
list(const Listing *l, uint64_t cookie, gboolean *eof)
{
    _Alignas(KernelEntry) uint8_t buf[BATCH];
    int64_t off = cookie ? (int64_t)(cookie - COOKIE_SHIFT) : 0;
    for (;;) {
        ssize_t n = read_batch(l->dir, off, buf);
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
            if (!is_dots(entry->name) && !emit_entry(l, entry))
                return LARES_OK;
        }
    }
}

static LaresStatus
check(const Listing *l, const LaresCred *cred, uint64_t cookie, gboolean *search)
{
    struct statx st;
    uint32_t allowed;
    if (!posix_is_dir(l->dir))
        return LARES_NOTDIR;
    if (cookie && cookie < COOKIE_SHIFT)
        return LARES_BAD_COOKIE;
    int err = posix_stat(l->dir, &st);
    if (err)
        return lares_status_from_errno(err);
    LaresStatus status =
        posix_allowed(l->store, cred, l->dir, &st, LARES_MASK_READ_DATA | LARES_MASK_EXECUTE, &allowed);
    *search = allowed & LARES_MASK_EXECUTE || lares_store_passes();
    return status != LARES_OK || allowed & LARES_MASK_READ_DATA ? status : LARES_ACCESS;
}

LaresStatus
posix_readdir(LaresStore *base, const LaresCred *cred, LaresNode *dir, uint64_t cookie, LaresDirFunc emit,
              gpointer user, gboolean *eof)
{
    Listing l = {.store = POSIX_STORE(base), .dir = posix_node(dir), .plain = emit, .user = user};
    *eof = FALSE;
    LaresStatus status = check(&l, cred, cookie, &l.search);
    return status == LARES_OK ? list(&l, cookie, eof) : status;
}

/* Two looks at a name may see two objects. Both have to show the same number; then they differ in their generation at
 * most, which is to say that the first one was removed that very moment. */
LaresStatus
posix_entry_handle(LaresStore *base, LaresNode *ldir, const char *name, uint64_t fileid, LaresHandle *handle)
{
    PosixNode *dir = posix_node(ldir);
    PosixMount *mount;
    int err = posix_handle_at(POSIX_STORE(base), dir->fd, name, handle, &mount);
    if (err)
        return err == EOPNOTSUPP ? LARES_NOTSUPP : lares_status_from_errno(err);
    return mount == dir->mount && posix_handle_has_number(handle, fileid) ? LARES_OK : LARES_STALE;
}

LaresStatus
posix_readdir_attrs(LaresStore *base, const LaresCred *cred, LaresNode *dir, uint64_t cookie, uint32_t mask,
                    gboolean nodes, LaresDirAttrsFunc emit, gpointer user, gboolean *eof)
{
    Listing l = {
        .store = POSIX_STORE(base), .dir = posix_node(dir), .emit = emit, .user = user, .nodes = nodes, .mask = mask};
    if (mask & LARES_ATTR_HANDLE && !posix_handle_has_number(&dir->handle, dir->fileid))
        l.nodes = TRUE;
    *eof = FALSE;
    LaresStatus status = check(&l, cred, cookie, &l.search);
    return status == LARES_OK ? list(&l, cookie, eof) : status;
}
