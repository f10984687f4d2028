/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A node's descriptor, and looking at a node through it.
 *
 * A file that was just made needs none of its own: while it is open the descriptor of the open file serves to look at
 * it, and most are closed without anybody having needed more. Where kernel handles work it is opened by the handle when
 * something needs it. */
#include "posix.h"

void
posix_fd_path(int fd, char path[POSIX_FD_PATH])
{
    snprintf(path, POSIX_FD_PATH, "/proc/self/fd/%d", fd);
}

int
posix_node_fd(PosixNode *node)
{
    int fd = g_atomic_int_get(&node->fd);
    if (G_LIKELY(fd >= 0))
        return fd;
    fd = posix_handle_open(node->mount, &node->base.handle);
    if (fd < 0) {
        errno = errno == ENOENT ? ESTALE : errno;
        return -1;
    }
    if (g_atomic_int_compare_and_exchange(&node->fd, -1, fd))
        return fd;
    close(fd);
    return g_atomic_int_get(&node->fd);
}

LaresStatus
posix_node_ready(PosixNode *node)
{
    return posix_node_fd(node) >= 0 ? LARES_OK : lares_status_from_errno(errno);
}

void
posix_node_lend(PosixNode *node, int fd)
{
    if (g_atomic_int_get(&node->fd) >= 0)
        return;
    g_mutex_lock(&node->lock);
    if (node->lent < 0)
        node->lent = fd;
    g_mutex_unlock(&node->lock);
}

void
posix_node_take_back(PosixNode *node, int fd)
{
    g_mutex_lock(&node->lock);
    if (node->lent == fd)
        node->lent = -1;
    g_mutex_unlock(&node->lock);
}

/* ---- What was seen in this moment --------------------------------------------------------------------------------
 */

#define SEEN 4 /* a CREATE looks at a folder, the one above it, and a file */

static _Thread_local struct {
    uint64_t moment;
    const PosixNode *node; /* not to be followed: it may be gone */
    uint64_t dev, ino;
    struct statx st;
} seen[SEEN];
static _Thread_local guint seen_next;

void
posix_seen(const PosixNode *node, const struct statx *st)
{
    uint64_t moment = lares_store_moment();
    if (!moment)
        return;
    guint at = seen_next++ % SEEN;
    seen[at].moment = moment;
    seen[at].node = node;
    seen[at].dev = node->dev;
    seen[at].ino = node->ino;
    seen[at].st = *st;
}

static gboolean
was_seen(const PosixNode *node, struct statx *st)
{
    uint64_t moment = lares_store_moment();
    for (guint i = 0; moment && i < SEEN; i++) {
        if (seen[i].moment == moment && seen[i].node == node && seen[i].ino == node->ino && seen[i].dev == node->dev) {
            *st = seen[i].st;
            return TRUE;
        }
    }
    return FALSE;
}

void
posix_unseen(const PosixNode *node)
{
    for (guint i = 0; i < SEEN; i++)
        if (seen[i].node == node)
            seen[i].moment = 0;
}

static int
look(int fd, struct statx *st)
{
    return statx(fd, "", AT_EMPTY_PATH | AT_STATX_SYNC_AS_STAT, STATX_BASIC_STATS | STATX_BTIME, st) == 0 ? 0 : errno;
}

/* Through the file that was made with the node, while it is open; EBADF when there is none. */
static int
look_through_lent(PosixNode *node, struct statx *st)
{
    g_mutex_lock(&node->lock);
    int err = node->lent >= 0 ? look(node->lent, st) : EBADF;
    g_mutex_unlock(&node->lock);
    return err;
}

int
posix_stat(PosixNode *node, struct statx *st)
{
    int fd = g_atomic_int_get(&node->fd), err = EBADF;
    if (was_seen(node, st))
        return 0;
    if (G_UNLIKELY(fd < 0) && (err = look_through_lent(node, st)) == EBADF && (fd = posix_node_fd(node)) < 0)
        return errno;
    if (fd >= 0)
        err = look(fd, st);
    if (!err)
        posix_seen(node, st);
    return err;
}
