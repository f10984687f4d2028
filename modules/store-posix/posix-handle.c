/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Handles: bytes that find an inode again after a restart.
 *
 * Kind 1, kernel handle: 1, 0, mount key (4 bytes LE), type (2 LE), the kernel's bytes.
 * Kind 2, inode table:   2, 0, mount key (4 LE), inode (8 LE), birth seconds (8 LE), birth nanoseconds (4 LE).
 *
 * Confinement: handles reach us only through core/files, which seals them, so nobody can make one up; what is checked
 * here is that the object (still) lies below the share's root. Where the share is a whole file system there is nothing
 * to check. A directory is followed up to the root. For other objects the kernel knows a path or it does not (a file
 * is found without its directory): a known path outside the share makes the handle stale; with an unknown one, and for
 * files with several links, the handle is served: it was given out when the file was inside. That is what knfsd does
 * with no_subtree_check, its default, and for the same reason: the alternative breaks handles on every rename. */
#include "posix.h"

#define KIND_KERNEL  1
#define KIND_INODE   2
#define KERNEL_HEAD  8
#define INODE_BYTES  26
#define KERNEL_MAX   (LARES_HANDLE_MAX - KERNEL_HEAD)
#define HANDLE_TRIES 6
#define DEPTH_MAX    1024

typedef union {
    struct file_handle handle;
    uint8_t room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
} KernelHandle;

static void
put_le(uint8_t *at, uint64_t v, int n)
{
    for (int i = 0; i < n; i++)
        at[i] = (uint8_t)(v >> (8 * i));
}

static uint64_t
get_le(const uint8_t *at, int n)
{
    uint64_t v = 0;
    for (int i = 0; i < n; i++)
        v |= (uint64_t)at[i] << (8 * i);
    return v;
}

int
posix_handle_at(PosixStore *store, int fd, const char *name, LaresHandle *handle, PosixMount **mount)
{
    KernelHandle k;
    int id;
    if (store->no_handles)
        return EOPNOTSUPP;
    k.handle.handle_bytes = MAX_HANDLE_SZ;
    if (name_to_handle_at(fd, name, &k.handle, &id, *name ? 0 : AT_EMPTY_PATH) != 0)
        return errno == EOVERFLOW ? EOPNOTSUPP : errno;
    *mount = posix_mount_by_id(store, (uint64_t)id);
    if (!*mount)
        return EACCES;
    if (!(*mount)->handles || k.handle.handle_bytes > KERNEL_MAX || k.handle.handle_type < 0 ||
        k.handle.handle_type > UINT16_MAX)
        return EOPNOTSUPP;
    memset(handle, 0, sizeof *handle);
    handle->bytes[0] = KIND_KERNEL;
    put_le(handle->bytes + 2, (*mount)->key, 4);
    put_le(handle->bytes + 6, (uint64_t)k.handle.handle_type, 2);
    memcpy(handle->bytes + KERNEL_HEAD, k.handle.f_handle, k.handle.handle_bytes);
    handle->len = (uint8_t)(KERNEL_HEAD + k.handle.handle_bytes);
    return 0;
}

void
posix_handle_from_inode(const PosixMount *mount, const struct statx *st, LaresHandle *handle)
{
    memset(handle, 0, sizeof *handle);
    handle->bytes[0] = KIND_INODE;
    handle->len = INODE_BYTES;
    put_le(handle->bytes + 2, mount->key, 4);
    put_le(handle->bytes + 6, st->stx_ino, 8);
    if (st->stx_mask & STATX_BTIME) {
        put_le(handle->bytes + 14, (uint64_t)st->stx_btime.tv_sec, 8);
        put_le(handle->bytes + 22, st->stx_btime.tv_nsec, 4);
    }
}

gboolean
posix_handle_is_inode(const LaresHandle *handle)
{
    return handle->bytes[0] == KIND_INODE;
}

/* The kernel's own types (FILEID_* of its exportfs.h), numbers in the byte order of the machine; tmpfs has the
 * generation first. */
gboolean
posix_handle_has_number(const LaresHandle *handle, uint64_t ino)
{
    const uint8_t *bytes = handle->bytes + KERNEL_HEAD;
    uint32_t half;
    uint64_t whole;
    if (handle->bytes[0] != KIND_KERNEL || handle->len < KERNEL_HEAD + 8)
        return FALSE;
    size_t n = handle->len - KERNEL_HEAD;
    switch (get_le(handle->bytes + 6, 2)) {
    case 0x01: /* ext4, f2fs …: inode, generation; tmpfs: generation, inode */
        memcpy(&half, bytes, sizeof half);
        if (n == 8)
            return half == ino;
        memcpy(&whole, bytes + 4, sizeof whole);
        return n == 12 && whole == ino;
    case 0x81: /* xfs: inode, generation */
    case 0x4d: /* btrfs: inode, subvolume, generation */
        memcpy(&whole, bytes, sizeof whole);
        return whole == ino;
    default:
        return FALSE;
    }
}

/* ---- Confinement ------------------------------------------------------------------------------------------------- */

/* What keeps us from looking is no reason to call the object gone: clients throw away what is stale. */
static LaresStatus
stale_unless_short(int err)
{
    LaresStatus status = lares_status_from_errno(err);
    return status == LARES_DELAY ? status : LARES_STALE;
}

static LaresStatus
directory_is_inside(const PosixMount *mount, int fd)
{
    struct statx st;
    uint64_t last_dev = 0, last_ino = 0;
    LaresStatus status = LARES_STALE;
    int at = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (at < 0)
        return errno == EINVAL ? LARES_DELAY : stale_unless_short(errno); /* EINVAL: no descriptor is allowed at all */
    for (int depth = 0; depth < DEPTH_MAX; depth++) {
        if (statx(at, "", AT_EMPTY_PATH, STATX_INO, &st) != 0) {
            status = stale_unless_short(errno);
            break;
        }
        uint64_t dev = (uint64_t)st.stx_dev_major << 32 | st.stx_dev_minor;
        if (dev == mount->top_dev && st.stx_ino == mount->top_ino) {
            status = LARES_OK;
            break;
        }
        if (depth && dev == last_dev && st.stx_ino == last_ino)
            break; /* the top of the file system */
        last_dev = dev;
        last_ino = st.stx_ino;
        int up = openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (up < 0) {
            status = stale_unless_short(errno);
            break;
        }
        close(at);
        at = up;
    }
    close(at);
    return status;
}

static gboolean
path_of(int fd, char *buf, size_t size)
{
    char link[POSIX_FD_PATH];
    posix_fd_path(fd, link);
    ssize_t n = readlink(link, buf, size - 1);
    if (n <= 0)
        return FALSE;
    buf[n] = '\0';
    return TRUE;
}

static gboolean
file_is_inside(const PosixMount *mount, int fd, const struct statx *st)
{
    char path[PATH_MAX], top[PATH_MAX];
    if (st->stx_nlink != 1 || !path_of(fd, path, sizeof path) || !path_of(mount->fd, top, sizeof top))
        return TRUE;
    size_t n = strlen(top);
    if (n == 1 || (strncmp(path, top, n) == 0 && path[n] == '/'))
        return TRUE;
    /* A file that was found without its directory has no slash behind the first. */
    return path[0] != '/' || strchr(path + 1, '/') == NULL;
}

LaresStatus
posix_is_inside(const PosixMount *mount, int fd)
{
    struct statx st;
    if (mount->whole)
        return LARES_OK;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_TYPE | STATX_NLINK, &st) != 0)
        return stale_unless_short(errno);
    if (S_ISDIR(st.stx_mode))
        return directory_is_inside(mount, fd);
    return file_is_inside(mount, fd, &st) ? LARES_OK : LARES_STALE;
}

/* btrfs opens a removed file by its handle as long as its inode is in memory. */
static gboolean
has_no_name(int fd)
{
    struct statx st;
    return statx(fd, "", AT_EMPTY_PATH, STATX_NLINK, &st) != 0 || st.stx_nlink == 0;
}

/* ---- Bytes → node ------------------------------------------------------------------------------------------------ */

int
posix_handle_open(const PosixMount *mount, const LaresHandle *handle)
{
    KernelHandle k;
    k.handle.handle_type = (int)get_le(handle->bytes + 6, 2);
    k.handle.handle_bytes = handle->len - KERNEL_HEAD;
    memcpy(k.handle.f_handle, handle->bytes + KERNEL_HEAD, k.handle.handle_bytes);
    /* Of an object that is just being removed Linux says for a moment that there is no memory. */
    int fd = -1;
    for (int tries = 0; fd < 0 && tries < HANDLE_TRIES && (tries == 0 || errno == ENOMEM); tries++)
        fd = open_by_handle_at(mount->fd, &k.handle, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    return fd;
}

static LaresStatus
open_kernel_handle(PosixStore *store, const LaresHandle *handle, PosixNode **node)
{
    PosixMount *mount = posix_mount_by_key(store, (uint32_t)get_le(handle->bytes + 2, 4));
    if (!mount)
        return LARES_STALE;
    if (!mount->handles)
        return LARES_STALE; /* from a time when the daemon had more rights */
    int fd = posix_handle_open(mount, handle);
    if (fd < 0)
        return errno == EINVAL ? LARES_BADHANDLE : errno == ENOENT ? LARES_STALE : lares_status_from_errno(errno);
    LaresStatus status = has_no_name(fd) ? LARES_STALE : posix_is_inside(mount, fd);
    if (status != LARES_OK) {
        close(fd);
        return status;
    }
    status = posix_node_from_fd(store, fd, NULL, NULL, node);
    if (status == LARES_OK && ((*node)->base.handle.len != handle->len ||
                               memcmp((*node)->base.handle.bytes, handle->bytes, handle->len) != 0)) {
        lares_node_unref(&(*node)->base);
        status = LARES_BADHANDLE;
    }
    return status;
}

static gboolean
fd_has_handle(PosixStore *store, int fd, const LaresHandle *handle)
{
    struct statx st;
    LaresHandle own;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID, &st) != 0)
        return FALSE;
    PosixMount *mount = posix_mount_by_id(store, st.stx_mnt_id);
    if (!mount)
        return FALSE;
    posix_handle_from_inode(mount, &st, &own);
    return own.len == handle->len && memcmp(own.bytes, handle->bytes, own.len) == 0;
}

typedef struct {
    uint64_t ino;
    char *name;
} Search;

static gboolean
match_inode(const LaresDirEntry *entry, gpointer user)
{
    Search *search = user;
    if (entry->fileid != search->ino)
        return TRUE;
    search->name = g_strdup(entry->name);
    return FALSE;
}

/* It was renamed behind our back: look for the inode in the directory where it was last seen. */
static char *
search_parent(PosixStore *store, PosixNode *parent, const LaresHandle *handle)
{
    Search search = {get_le(handle->bytes + 6, 8), NULL};
    LaresCred self = {.uid = store->self_uid, .gid = (uint32_t)getegid()};
    gboolean eof;
    posix_readdir((LaresStore *)store, &self, &parent->base, 0, match_inode, &search, &eof);
    return search.name;
}

static LaresStatus resolve(PosixStore *store, const LaresHandle *handle, int depth, PosixNode **node);

static LaresStatus
open_recorded(PosixStore *store, const LaresHandle *handle, int depth, PosixNode **node)
{
    LaresHandle up;
    g_autofree char *name = NULL;
    PosixNode *parent;
    if (!store->table || !posix_table_get(store->table, handle, &up, &name))
        return LARES_STALE;
    LaresStatus status = resolve(store, &up, depth + 1, &parent);
    if (status != LARES_OK)
        return status;
    int fd = openat(parent->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && stale_unless_short(errno) == LARES_DELAY) {
        lares_node_unref(&parent->base);
        return LARES_DELAY;
    }
    if (fd < 0 || !fd_has_handle(store, fd, handle)) {
        if (fd >= 0)
            close(fd);
        g_free(name);
        name = search_parent(store, parent, handle);
        fd = name ? openat(parent->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC) : -1;
        if (fd >= 0 && !fd_has_handle(store, fd, handle)) {
            close(fd);
            fd = -1;
        }
    }
    status = fd >= 0 ? posix_node_from_fd(store, fd, parent, name, node) : LARES_STALE;
    lares_node_unref(&parent->base);
    return status;
}

static LaresStatus
resolve(PosixStore *store, const LaresHandle *handle, int depth, PosixNode **node)
{
    if (depth > DEPTH_MAX)
        return LARES_STALE;
    *node = posix_cache_get(store, handle);
    if (*node) {
        if (!g_atomic_int_get(&(*node)->dead) || g_atomic_int_get(&(*node)->opens))
            return LARES_OK;
        lares_node_unref(&(*node)->base);
        return LARES_STALE;
    }
    if (handle->bytes[0] == KIND_KERNEL)
        return open_kernel_handle(store, handle, node);
    return open_recorded(store, handle, depth, node);
}

LaresStatus
posix_from_handle(LaresStore *store, const uint8_t *bytes, size_t len, LaresNode **node)
{
    LaresHandle handle = {.len = (uint8_t)len};
    PosixNode *found;
    if (len < 2 || len > LARES_HANDLE_MAX || bytes[1] != 0)
        return LARES_BADHANDLE;
    if (bytes[0] == KIND_KERNEL ? len <= KERNEL_HEAD : bytes[0] != KIND_INODE || len != INODE_BYTES)
        return LARES_BADHANDLE;
    memcpy(handle.bytes, bytes, len);
    LaresStatus status = resolve(POSIX_STORE(store), &handle, 0, &found);
    if (status == LARES_OK)
        *node = &found->base;
    return status;
}
