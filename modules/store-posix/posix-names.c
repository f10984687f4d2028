/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names that come to directories and leave them, whoever makes them do so: inotify(7), one instance for the process.
 *
 * The kernel queues an event before the system call that caused it returns, and in the order of the changes of one
 * directory, which are made under its lock. So what was read from the queue is all that happened until then.
 * File systems that others can change without this kernel (network file systems, FUSE) are not watched.
 *
 * Locks: one, over the watches and held while events are read and told: who polls while another one does waits until
 * what happened before has been told. Callers must not hold a lock that their `emit` takes. */
#include "posix.h"

#include <linux/magic.h>
#include <sys/inotify.h>
#include <sys/vfs.h>

#define EVENTS     (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR)
#define ZFS_MAGIC  0x2fc12fc1u
#define JFS_MAGIC  0x3153464au
#define BATCH_SIZE (16 * 1024)
#define EVENT_MAX  (sizeof(struct inotify_event) + NAME_MAX + 1)

typedef struct {
    guint users;
    int fd; /* the directory, to look again */
} Watch;

static GMutex lock;
static int queue = -1;      /* guarded by lock */
static GHashTable *watches; /* descriptor → Watch; guarded by lock */

gboolean
posix_sees_all_changes(const PosixNode *dir)
{
    struct statfs fs;
    if (dir->mount->plain)
        return TRUE;
    if (fstatfs(dir->fd, &fs) != 0)
        return FALSE;
    switch ((uint32_t)fs.f_type) {
    case OVERLAYFS_SUPER_MAGIC:
    case MSDOS_SUPER_MAGIC:
    case EXFAT_SUPER_MAGIC:
    case ZFS_MAGIC:
    case JFS_MAGIC:
        return TRUE;
    default:
        return FALSE;
    }
}

static void
watch_free(gpointer data)
{
    Watch *watch = data;
    if (watch->fd >= 0)
        close(watch->fd);
    g_free(watch);
}

static gboolean
open_queue(void)
{
    if (queue >= 0)
        return TRUE;
    queue = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (queue >= 0 && !watches)
        watches = g_hash_table_new_full(NULL, NULL, NULL, watch_free);
    return queue >= 0;
}

LaresStatus
posix_names_watch(LaresStore *base, LaresNode *lnode, uint32_t *out)
{
    PosixNode *dir = posix_node(lnode);
    char path[POSIX_FD_PATH];
    int wd = -1;
    if (!posix_is_dir(dir) || posix_node_ready(dir) != LARES_OK || !posix_sees_all_changes(dir))
        return LARES_NOTSUPP;
    posix_fd_path(dir->fd, path);
    g_mutex_lock(&lock);
    if (open_queue())
        wd = inotify_add_watch(queue, path, EVENTS);
    if (wd > 0) {
        Watch *watch = g_hash_table_lookup(watches, GINT_TO_POINTER(wd));
        if (!watch) {
            watch = g_new0(Watch, 1);
            watch->fd = fcntl(dir->fd, F_DUPFD_CLOEXEC, 0);
            g_hash_table_insert(watches, GINT_TO_POINTER(wd), watch);
        }
        watch->users++;
    }
    g_mutex_unlock(&lock);
    if (wd <= 0)
        return LARES_NOTSUPP;
    *out = (uint32_t)wd;
    return LARES_OK;
}

void
posix_names_unwatch(LaresStore *base, uint32_t number)
{
    g_mutex_lock(&lock);
    Watch *watch = watches ? g_hash_table_lookup(watches, GINT_TO_POINTER((int)number)) : NULL;
    if (watch && --watch->users == 0) {
        inotify_rm_watch(queue, (int)number); /* fails when the directory went; then the watch did, too */
        g_hash_table_remove(watches, GINT_TO_POINTER((int)number));
    }
    g_mutex_unlock(&lock);
}

/* An exchange of two names looks like four moves, of which the last to be told need not be the last word. */
static gboolean
is_there(const Watch *watch, const char *name)
{
    struct stat st;
    return fstatat(watch->fd, name, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) == 0;
}

static void
tell(const struct inotify_event *event, LaresNamesFunc emit, gpointer user)
{
    if (event->mask & IN_Q_OVERFLOW) {
        emit(0, NULL, FALSE, user);
        return;
    }
    const Watch *watch = g_hash_table_lookup(watches, GINT_TO_POINTER(event->wd));
    if (!watch)
        return;
    if (event->mask & (IN_IGNORED | IN_UNMOUNT))
        emit((uint32_t)event->wd, NULL, FALSE, user);
    else if (event->len && event->mask & (IN_CREATE | IN_MOVED_TO))
        emit((uint32_t)event->wd, event->name, TRUE, user);
    else if (event->len && event->mask & IN_MOVED_FROM)
        emit((uint32_t)event->wd, event->name, is_there(watch, event->name), user);
    else if (event->len && event->mask & IN_DELETE)
        emit((uint32_t)event->wd, event->name, FALSE, user);
}

void
posix_names_poll(LaresStore *base, LaresNamesFunc emit, gpointer user)
{
    _Alignas(struct inotify_event) char batch[BATCH_SIZE];
    ssize_t n;
    g_mutex_lock(&lock);
    do {
        n = queue >= 0 ? read(queue, batch, sizeof batch) : 0;
        for (ssize_t at = 0; at < n;) {
            const struct inotify_event *event = (const struct inotify_event *)(batch + at);
            tell(event, emit, user);
            at += (ssize_t)(sizeof *event + event->len);
        }
        /* Where another event would have had room there was none. */
    } while (n > (ssize_t)(sizeof batch - EVENT_MAX) || (n < 0 && errno == EINTR));
    g_mutex_unlock(&lock);
}
