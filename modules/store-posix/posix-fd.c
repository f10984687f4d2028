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

typedef struct {
    uint64_t moment;
    const PosixNode *node; /* not to be followed: it may be gone */
    uint64_t dev, ino;
    uint64_t change; /* the node's before */
    struct statx st;
    PosixAclKind kind;
} Seen;
static _Thread_local Seen seen[SEEN];
static _Thread_local guint seen_next;

static uint64_t
change_now(PosixNode *node)
{
    g_mutex_lock(&node->lock);
    uint64_t change = node->change;
    g_mutex_unlock(&node->lock);
    return change;
}

void
posix_seen(const PosixNode *node, const struct statx *st, uint64_t change)
{
    uint64_t moment = lares_store_moment();
    if (!moment)
        return;
    guint at = seen_next++ % SEEN;
    seen[at].moment = moment;
    seen[at].node = node;
    seen[at].dev = node->dev;
    seen[at].ino = node->ino;
    seen[at].change = change;
    seen[at].st = *st;
    seen[at].kind = POSIX_ACL_UNKNOWN;
}

/* NULL: not in this moment. */
static Seen *
find_seen(const PosixNode *node)
{
    uint64_t moment = lares_store_moment();
    for (guint i = 0; moment && i < SEEN; i++)
        if (seen[i].moment == moment && seen[i].node == node && seen[i].ino == node->ino && seen[i].dev == node->dev)
            return &seen[i];
    return NULL;
}

void
posix_seen_kind(const PosixNode *node, PosixAclKind kind)
{
    Seen *s = find_seen(node);
    if (s)
        s->kind = kind;
}

PosixAclKind
posix_kind_seen(const PosixNode *node)
{
    const Seen *s = find_seen(node);
    return s ? s->kind : POSIX_ACL_UNKNOWN;
}

static gboolean
was_seen(const PosixNode *node, struct statx *st)
{
    const Seen *s = find_seen(node);
    if (s)
        *st = s->st;
    return s != NULL;
}

void
posix_unseen(const PosixNode *node)
{
    for (guint i = 0; i < SEEN; i++)
        if (seen[i].node == node)
            seen[i].moment = 0;
}

void
posix_forget_disturbed(PosixNode *node)
{
    const Seen *s = find_seen(node);
    if (s && (g_atomic_int_get(&node->changed) || s->change != change_now(node)))
        posix_unseen(node);
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
    uint64_t change = lares_store_moment() ? change_now(node) : 0;
    if (G_UNLIKELY(fd < 0) && (err = look_through_lent(node, st)) == EBADF && (fd = posix_node_fd(node)) < 0)
        return errno;
    if (fd >= 0)
        err = look(fd, st);
    if (!err)
        posix_seen(node, st, change);
    return err;
}
