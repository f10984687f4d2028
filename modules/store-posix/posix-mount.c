/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The file systems at and below a share's root.
 *
 * A mount is found by the kernel's id when something in it is seen, by its key when a handle comes back. The key is a
 * hash of the mount point's path inside the share, so it means the same after a restart.
 *
 * Locks: mounts_lock for adding; entries are published by n_mounts and never change afterwards. */
#include "posix.h"

#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif
#ifndef BCACHEFS_SUPER_MAGIC
#define BCACHEFS_SUPER_MAGIC 0xca451a4e
#endif

typedef struct {
    uint64_t id;
    gboolean whole; /* shows the file system from its top */
    char path[PATH_MAX];
} MountLine;

/* mountinfo writes blanks and backslashes as \ooo (proc(5)). */
static void
unescape(const char *in, char *out, size_t size)
{
    size_t n = 0;
    for (; *in && n + 1 < size; in++) {
        if (in[0] == '\\' && in[1] >= '0' && in[1] <= '3' && in[2] && in[3]) {
            out[n++] = (char)((in[1] - '0') << 6 | (in[2] - '0') << 3 | (in[3] - '0'));
            in += 3;
        } else {
            out[n++] = *in;
        }
    }
    out[n] = '\0';
}

static gboolean
parse_line(char *line, MountLine *out)
{
    /* id parent major:minor root mount-point … */
    char *save = NULL, *field[5];
    for (int i = 0; i < 5; i++)
        if (!(field[i] = strtok_r(i ? NULL : line, " ", &save)))
            return FALSE;
    out->id = g_ascii_strtoull(field[0], NULL, 10);
    out->whole = g_str_equal(field[3], "/");
    unescape(field[4], out->path, sizeof out->path);
    return TRUE;
}

/* The path below the root, "" for the root itself, NULL outside. */
static const char *
below_root(PosixStore *store, const char *path)
{
    size_t n = strlen(store->root_path);
    if (n == 1)
        return path + 1;
    if (strncmp(path, store->root_path, n) != 0 || (path[n] != '/' && path[n] != '\0'))
        return NULL;
    return path[n] ? path + n + 1 : "";
}

static uint32_t
key_of_path(const char *path)
{
    uint32_t h = 2166136261u;
    for (const char *p = path; *p; p++)
        h = (h ^ (uint8_t)*p) * 16777619u;
    return h ? h : 1; /* 0 is the root's */
}

static gboolean
is_plain(int fd)
{
    struct statfs fs;
    if (fstatfs(fd, &fs) != 0)
        return FALSE;
    switch ((uint32_t)fs.f_type) {
    case EXT4_SUPER_MAGIC:
    case XFS_SUPER_MAGIC:
    case BTRFS_SUPER_MAGIC:
    case TMPFS_MAGIC:
    case F2FS_SUPER_MAGIC:
    case BCACHEFS_SUPER_MAGIC:
        return TRUE;
    default:
        return FALSE;
    }
}

/* Whether a handle of this directory can be opened again by this process. */
static gboolean
handles_work(int fd)
{
    union {
        struct file_handle handle;
        uint8_t room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
    } k;
    int id;
    k.handle.handle_bytes = MAX_HANDLE_SZ;
    if (name_to_handle_at(fd, "", &k.handle, &id, AT_EMPTY_PATH) != 0 || k.handle.handle_bytes > LARES_HANDLE_MAX - 8)
        return FALSE;
    int again = open_by_handle_at(fd, &k.handle, O_PATH | O_CLOEXEC);
    if (again < 0)
        return FALSE;
    close(again);
    return TRUE;
}

static PosixMount *
mount_new(PosixStore *store, int fd, const char *path, gboolean whole)
{
    struct statx st;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_MNT_ID, &st) != 0)
        return NULL;
    PosixMount *mount = g_new0(PosixMount, 1);
    mount->id = st.stx_mnt_id;
    mount->fd = fd;
    mount->top_dev = (uint64_t)st.stx_dev_major << 32 | st.stx_dev_minor;
    mount->top_ino = st.stx_ino;
    mount->handles = !store->no_handles && handles_work(fd);
    mount->plain = is_plain(fd);
    mount->whole =
        whole && (st.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) && (st.stx_attributes & STATX_ATTR_MOUNT_ROOT);
    mount->path = g_strdup(path);
    mount->key = *path ? key_of_path(path) : 0;
    return mount;
}

/* mounts_lock is held. */
static PosixMount *
publish(PosixStore *store, PosixMount *mount)
{
    gint n = store->n_mounts;
    if (!mount || n >= POSIX_MAX_MOUNTS)
        return NULL;
    store->mounts[n] = mount;
    g_atomic_int_set(&store->n_mounts, n + 1);
    return mount;
}

/* Calls for each mount below the root until TRUE; mounts_lock is held. */
static PosixMount *
scan(PosixStore *store, gboolean (*wanted)(const MountLine *line, const char *path, const void *what), const void *what)
{
    g_autofree char *text = NULL;
    g_autofree MountLine *line = g_new(MountLine, 1);
    char *save = NULL;
    PosixMount *found = NULL;
    if (!g_file_get_contents("/proc/self/mountinfo", &text, NULL, NULL))
        return NULL;
    for (char *at = strtok_r(text, "\n", &save); at && !found; at = strtok_r(NULL, "\n", &save)) {
        const char *path;
        if (!parse_line(at, line) || !(path = below_root(store, line->path)) || !*path || !wanted(line, path, what))
            continue;
        struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
                               .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
        int fd = (int)syscall(SYS_openat2, store->root_fd, path, &how, sizeof how);
        if (fd < 0)
            continue;
        PosixMount *mount = mount_new(store, fd, path, line->whole);
        if (mount && mount->id == line->id) {
            found = publish(store, mount);
        }
        if (!found) { /* covered by another mount, or the table is full */
            close(fd);
            if (mount)
                g_free(mount->path);
            g_free(mount);
        }
    }
    return found;
}

static gboolean
has_id(const MountLine *line, const char *path, const void *what)
{
    return line->id == *(const uint64_t *)what;
}

static gboolean
has_key(const MountLine *line, const char *path, const void *what)
{
    return key_of_path(path) == *(const uint32_t *)what;
}

static PosixMount *
find_id(PosixStore *store, uint64_t id)
{
    gint n = g_atomic_int_get(&store->n_mounts);
    for (gint i = 0; i < n; i++)
        if (store->mounts[i]->id == id)
            return store->mounts[i];
    return NULL;
}

PosixMount *
posix_mount_by_id(PosixStore *store, uint64_t id)
{
    PosixMount *mount = find_id(store, id);
    if (mount)
        return mount;
    g_mutex_lock(&store->mounts_lock);
    mount = find_id(store, id);
    if (!mount)
        mount = scan(store, has_id, &id);
    g_mutex_unlock(&store->mounts_lock);
    return mount;
}

/* The newest mount with this key: an older one with the same path may have been unmounted. */
static PosixMount *
find_key(PosixStore *store, uint32_t key)
{
    for (gint i = g_atomic_int_get(&store->n_mounts); i-- > 0;)
        if (store->mounts[i]->key == key)
            return store->mounts[i];
    return NULL;
}

PosixMount *
posix_mount_by_key(PosixStore *store, uint32_t key)
{
    PosixMount *mount = find_key(store, key);
    if (mount)
        return mount;
    g_mutex_lock(&store->mounts_lock);
    mount = find_key(store, key);
    if (!mount)
        mount = scan(store, has_key, &key);
    g_mutex_unlock(&store->mounts_lock);
    return mount;
}

/* Does the mount that holds the root show its file system from the top? */
static gboolean
root_mount_is_whole(uint64_t id)
{
    g_autofree char *text = NULL;
    g_autofree MountLine *line = g_new(MountLine, 1);
    char *save = NULL;
    if (!g_file_get_contents("/proc/self/mountinfo", &text, NULL, NULL))
        return FALSE;
    for (char *at = strtok_r(text, "\n", &save); at; at = strtok_r(NULL, "\n", &save))
        if (parse_line(at, line) && line->id == id)
            return line->whole;
    return FALSE;
}

gboolean
posix_mount_add_root(PosixStore *store, GError **error)
{
    struct statx st;
    if (statx(store->root_fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &st) != 0) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_FAILED, "cannot read %s: %s", store->root_path, g_strerror(errno));
        return FALSE;
    }
    g_mutex_lock(&store->mounts_lock);
    PosixMount *mount = publish(store, mount_new(store, store->root_fd, "", root_mount_is_whole(st.stx_mnt_id)));
    g_mutex_unlock(&store->mounts_lock);
    if (!mount)
        g_set_error(error, LARES_ERROR, LARES_ERROR_FAILED, "cannot read %s", store->root_path);
    return mount != NULL;
}

void
posix_mounts_free(PosixStore *store)
{
    for (gint i = 0; i < store->n_mounts; i++) {
        if (store->mounts[i]->key != 0) /* else it is root_fd */
            close(store->mounts[i]->fd);
        g_free(store->mounts[i]->path);
        g_free(store->mounts[i]);
    }
    store->n_mounts = 0;
}
