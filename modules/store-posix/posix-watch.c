/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What others than this process change in directories: fanotify(7), one group for the process.
 *
 * The kernel says who did it, and what this process does itself is told by core/files, so its own events are dropped. A
 * directory is marked until the first event of others (whoever asked reads it again before asking anew), so that a
 * local program at work costs one event. Data written through a mapping, or through another name of a file (hard
 * links; their directories are not kept, lares_leases_linked()), is not seen until a writer closes it by this name.
 * File systems that others can change without this kernel are not watched.
 *
 * Thread: events are read by the main loop. Locks: one, over the table; nobody is told while it is held. */
#include "posix.h"

#include <glib-unix.h>
#include <sys/fanotify.h>
#include <sys/vfs.h>

#define EVENTS                                                                                                         \
    (FAN_CREATE | FAN_DELETE | FAN_MOVED_FROM | FAN_MOVED_TO | FAN_ATTRIB | FAN_MODIFY | FAN_CLOSE_WRITE |             \
     FAN_EVENT_ON_CHILD | FAN_ONDIR)
#define BATCH_SIZE  (16 * 1024)
#define MAX_WATCHED 4096u /* directories: each keeps a descriptor */
#define KEY_MAX     (sizeof(__kernel_fsid_t) + sizeof(struct file_handle) + MAX_HANDLE_SZ)

/* A directory somebody asked about. */
struct _LaresDirWatch {
    GBytes *key; /* as events name it: file system, then handle */
    guint users;
    gboolean marked;
    int fd; /* the directory, to find it again */
    uint64_t fileid;
    LaresDirChangedFunc changed;
};

static GMutex lock;
static int group = -1;      /* guarded by lock */
static GHashTable *watched; /* key → LaresDirWatch; guarded by lock */

static void
watch_free(gpointer data)
{
    LaresDirWatch *watch = data;
    close(watch->fd);
    g_bytes_unref(watch->key);
    g_free(watch);
}

static gboolean
mark(const LaresDirWatch *watch, guint how)
{
    char path[POSIX_FD_PATH];
    posix_fd_path(watch->fd, path);
    return fanotify_mark(group, how | FAN_MARK_ONLYDIR, EVENTS, AT_FDCWD, path) == 0;
}

/* ---- Events ------------------------------------------------------------------------------------------------------ */

static GBytes *
key_of(const __kernel_fsid_t *fsid, const struct file_handle *handle)
{
    uint8_t key[KEY_MAX];
    size_t len = sizeof *handle + handle->handle_bytes;
    memcpy(key, fsid, sizeof *fsid);
    memcpy(key + sizeof *fsid, handle, len);
    return g_bytes_new(key, sizeof *fsid + len);
}

typedef struct {
    LaresDirChangedFunc changed;
    uint64_t fileid;
} Told;

/* No more events of this directory. */
static void
note(LaresDirWatch *watch, GArray *told)
{
    Told one = {watch->changed, watch->fileid};
    if (!watch->marked)
        return;
    mark(watch, FAN_MARK_REMOVE);
    watch->marked = FALSE;
    g_array_append_val(told, one);
}

static void
note_all(GArray *told)
{
    GHashTableIter i;
    LaresDirWatch *watch;
    g_hash_table_iter_init(&i, watched);
    while (g_hash_table_iter_next(&i, NULL, (gpointer *)&watch))
        note(watch, told);
}

/* `event` is the head of the event that begins at `bytes`. */
static void
note_event(const struct fanotify_event_metadata *event, const uint8_t *bytes, GArray *told)
{
    const struct fanotify_event_info_fid *info = (const void *)(bytes + event->metadata_len);
    if (event->mask & FAN_Q_OVERFLOW) {
        note_all(told);
        return;
    }
    if (event->pid == getpid() || event->event_len < event->metadata_len + sizeof *info + sizeof(struct file_handle))
        return;
    if (info->hdr.info_type != FAN_EVENT_INFO_TYPE_DFID_NAME)
        return;
    const struct file_handle *handle = (const void *)info->handle;
    if (handle->handle_bytes > MAX_HANDLE_SZ)
        return;
    g_autoptr(GBytes) key = key_of(&info->fsid, handle);
    LaresDirWatch *watch = g_hash_table_lookup(watched, key);
    if (watch)
        note(watch, told);
}

static gboolean
read_events(int fd, GIOCondition condition, gpointer user)
{
    _Alignas(struct fanotify_event_metadata) uint8_t batch[BATCH_SIZE];
    g_autoptr(GArray) told = g_array_new(FALSE, FALSE, sizeof(Told));
    g_mutex_lock(&lock);
    ssize_t n = read(fd, batch, sizeof batch);
    for (ssize_t at = 0; n - at >= (ssize_t)sizeof(struct fanotify_event_metadata);) {
        struct fanotify_event_metadata event; /* those behind the first one may begin at any multiple of 4 */
        memcpy(&event, batch + at, sizeof event);
        if (event.event_len < sizeof event || event.event_len > n - at)
            break;
        note_event(&event, batch + at, told);
        at += event.event_len;
    }
    g_mutex_unlock(&lock);
    for (guint i = 0; i < told->len; i++) {
        const Told *one = &g_array_index(told, Told, i);
        one->changed(one->fileid);
    }
    return G_SOURCE_CONTINUE;
}

static gboolean
open_group(void)
{
    if (group < 0) {
        group =
            fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_DFID_NAME | FAN_NONBLOCK | FAN_CLOEXEC, O_RDONLY | O_CLOEXEC);
        if (group >= 0)
            g_unix_fd_add(group, G_IO_IN, read_events, NULL);
    }
    if (!watched)
        watched = g_hash_table_new_full(g_bytes_hash, g_bytes_equal, NULL, watch_free);
    return group >= 0;
}

/* ---- Asking ------------------------------------------------------------------------------------------------------ */

static GBytes *
key_of_dir(const PosixNode *dir)
{
    struct {
        struct file_handle head;
        uint8_t bytes[MAX_HANDLE_SZ];
    } handle = {.head.handle_bytes = MAX_HANDLE_SZ};
    struct statfs fs;
    __kernel_fsid_t fsid;
    int mount;
    if (fstatfs(dir->fd, &fs) != 0 || name_to_handle_at(dir->fd, "", &handle.head, &mount, AT_EMPTY_PATH) != 0)
        return NULL;
    G_STATIC_ASSERT(sizeof fsid == sizeof fs.f_fsid);
    memcpy(&fsid, &fs.f_fsid, sizeof fsid);
    return key_of(&fsid, &handle.head);
}

static LaresDirWatch *
watch_new(const PosixNode *dir, GBytes *key, LaresDirChangedFunc changed)
{
    int fd = g_hash_table_size(watched) < MAX_WATCHED ? fcntl(dir->fd, F_DUPFD_CLOEXEC, 0) : -1;
    if (fd < 0)
        return NULL;
    LaresDirWatch *watch = g_new0(LaresDirWatch, 1);
    watch->key = g_bytes_ref(key);
    watch->fd = fd;
    watch->fileid = dir->base.fileid;
    watch->changed = changed;
    g_hash_table_insert(watched, watch->key, watch);
    return watch;
}

LaresStatus
posix_dir_watch(LaresStore *base, LaresNode *lnode, LaresDirChangedFunc changed, LaresDirWatch **out)
{
    PosixNode *dir = posix_node(lnode);
    if (!posix_is_dir(dir) || posix_node_ready(dir) != LARES_OK || !posix_sees_all_changes(dir))
        return LARES_NOTSUPP;
    g_autoptr(GBytes) key = key_of_dir(dir);
    if (!key)
        return LARES_NOTSUPP;
    g_mutex_lock(&lock);
    LaresDirWatch *watch = open_group() ? g_hash_table_lookup(watched, key) : NULL;
    if (!watch && group >= 0)
        watch = watch_new(dir, key, changed);
    if (watch) {
        watch->users++;
        watch->marked = watch->marked || mark(watch, FAN_MARK_ADD);
    }
    gboolean marked = watch && watch->marked;
    g_mutex_unlock(&lock);
    if (marked)
        *out = watch;
    else if (watch)
        posix_dir_unwatch(base, watch);
    return marked ? LARES_OK : LARES_NOTSUPP;
}

void
posix_dir_unwatch(LaresStore *base, LaresDirWatch *watch)
{
    g_mutex_lock(&lock);
    if (--watch->users == 0) {
        if (watch->marked)
            mark(watch, FAN_MARK_REMOVE);
        g_hash_table_remove(watched, watch->key);
    }
    g_mutex_unlock(&lock);
}

/* ---- Where an object is ------------------------------------------------------------------------------------------ */

LaresStatus
posix_parent_fileid(LaresStore *base, LaresNode *lnode, uint64_t *fileid)
{
    PosixStore *store = POSIX_STORE(base);
    PosixNode *node = posix_node(lnode);
    char link[POSIX_FD_PATH], path[PATH_MAX];
    struct statx stx;
    struct stat st;
    if (lnode == &store->root->base)
        return LARES_NOENT;
    if (!posix_is_dir(node)) {
        if (posix_stat(node, &stx) != 0)
            return LARES_NOTSUPP;
        if (stx.stx_nlink != 1)
            return stx.stx_nlink ? LARES_NOTSUPP : LARES_STALE;
    }
    int fd = posix_node_fd(node);
    if (fd < 0)
        return LARES_NOTSUPP;
    posix_fd_path(fd, link);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n <= 0 || n == sizeof path - 1)
        return LARES_NOTSUPP;
    path[n] = '\0';
    char *slash = strrchr(path, '/');
    if (!slash)
        return LARES_NOTSUPP;
    slash[slash == path] = '\0';
    if (stat(path, &st) != 0)
        return LARES_NOTSUPP;
    *fileid = st.st_ino;
    return LARES_OK;
}
