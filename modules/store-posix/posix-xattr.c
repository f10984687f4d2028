/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Extended attributes of users: the kernel's "user." names, without the prefix.
 *
 * Spec: RFC 8276 (the kernel's own permission rules hold: reading and writing the data). */
#include "posix.h"

#include <sys/xattr.h>

#define PREFIX     "user."
#define PREFIX_LEN 5
#define OWN_PREFIX "user.lares."
#define NAME_BYTES 256         /* XATTR_NAME_MAX and the NUL */
#define VALUE_MAX  (64 * 1024) /* XATTR_SIZE_MAX */
#define LIST_MAX   (64 * 1024) /* XATTR_LIST_MAX */

static LaresStatus
full_name(PosixStore *store, const char *name, char full[NAME_BYTES])
{
    size_t n = strlen(name);
    if (n == 0)
        return LARES_INVAL;
    if (n + PREFIX_LEN >= NAME_BYTES)
        return LARES_NAMETOOLONG;
    memcpy(full, PREFIX, PREFIX_LEN);
    memcpy(full + PREFIX_LEN, name, n + 1);
    return g_str_has_prefix(full, OWN_PREFIX) ? LARES_ACCESS
                                              : LARES_OK; /* the store's own, where it has no better place */
}

static LaresStatus
status_of(int err)
{
    switch (err) {
    case EPERM: /* neither a file nor a directory, or a sticky directory of somebody else */
        return LARES_PERM;
    case ENOSPC: /* ext4 says so when the inode's one block is full, whatever the disk has */
        return LARES_NOSPC;
    default:
        return lares_status_from_errno(err);
    }
}

LaresStatus
posix_getxattr(LaresStore *base, const LaresCred *cred, LaresNode *node, const char *name, uint8_t *buf, size_t size,
               size_t *len)
{
    PosixStore *store = POSIX_STORE(base);
    char full[NAME_BYTES], path[POSIX_FD_PATH];
    LaresStatus status = full_name(store, name, full);
    if (status == LARES_OK)
        status = posix_node_ready(posix_node(node));
    if (status == LARES_OK)
        status = posix_guard(store, cred, posix_node(node), LARES_MASK_READ_DATA, NULL, 0);
    if (status != LARES_OK)
        return status;
    posix_fd_path(posix_node(node)->fd, path);
    ssize_t n = getxattr(path, full, buf, size);
    if (n < 0 && errno == ERANGE) {
        n = getxattr(path, full, NULL, 0);
        status = LARES_TOOSMALL;
    }
    if (n < 0)
        status = errno == EPERM || errno == EOPNOTSUPP ? LARES_NOXATTR : status_of(errno);
    else
        *len = (size_t)n;
    posix_cred_leave(store);
    return status;
}

LaresStatus
posix_setxattr(LaresStore *base, const LaresCred *cred, LaresNode *node, const char *name, const uint8_t *value,
               size_t len, LaresXattrMode mode)
{
    PosixStore *store = POSIX_STORE(base);
    char full[NAME_BYTES], path[POSIX_FD_PATH];
    if (len > VALUE_MAX)
        return LARES_XATTR2BIG;
    LaresStatus status = full_name(store, name, full);
    if (status == LARES_OK)
        status = posix_node_ready(posix_node(node));
    if (status == LARES_OK)
        status = posix_guard(store, cred, posix_node(node), LARES_MASK_WRITE_DATA, NULL, 0);
    if (status != LARES_OK)
        return status;
    int flags = mode == LARES_XATTR_CREATE ? XATTR_CREATE : mode == LARES_XATTR_REPLACE ? XATTR_REPLACE : 0;
    posix_fd_path(posix_node(node)->fd, path);
    if (setxattr(path, full, value, len, flags) != 0)
        status = status_of(errno);
    posix_cred_leave(store);
    posix_node_changed(posix_node(node));
    return status;
}

LaresStatus
posix_removexattr(LaresStore *base, const LaresCred *cred, LaresNode *node, const char *name)
{
    PosixStore *store = POSIX_STORE(base);
    char full[NAME_BYTES], path[POSIX_FD_PATH];
    LaresStatus status = full_name(store, name, full);
    if (status == LARES_OK)
        status = posix_node_ready(posix_node(node));
    if (status == LARES_OK)
        status = posix_guard(store, cred, posix_node(node), LARES_MASK_WRITE_DATA, NULL, 0);
    if (status != LARES_OK)
        return status;
    posix_fd_path(posix_node(node)->fd, path);
    if (removexattr(path, full) != 0)
        status = status_of(errno);
    posix_cred_leave(store);
    posix_node_changed(posix_node(node));
    return status;
}

/* Keeps what starts with the prefix, without it; never reads beyond `n`. */
static LaresStatus
filter(PosixStore *store, const char *all, size_t n, char *buf, size_t size, size_t *len)
{
    size_t need = 0;
    for (size_t at = 0; at < n; at += strlen(all + at) + 1) {
        const char *name = all + at;
        if (strncmp(name, PREFIX, PREFIX_LEN) != 0 || g_str_has_prefix(name, OWN_PREFIX))
            continue;
        size_t bytes = strlen(name + PREFIX_LEN) + 1;
        if (need + bytes <= size)
            memcpy(buf + need, name + PREFIX_LEN, bytes);
        need += bytes;
    }
    *len = need;
    return need <= size ? LARES_OK : LARES_TOOSMALL;
}

/* Who has no attributes is remembered until ctime moves. */
static gboolean
has_none(PosixNode *node, const struct statx *st)
{
    g_mutex_lock(&node->lock);
    gboolean none = node->bare_ctime != 0 && node->bare_ctime == posix_ctime(st);
    g_mutex_unlock(&node->lock);
    return none;
}

/* `settled`: before it was looked, ctime's clock had moved on, so that an attribute set since has moved ctime. */
static void
note_none(PosixNode *node, const struct statx *st, gboolean settled)
{
    g_mutex_lock(&node->lock);
    node->bare_ctime = settled ? posix_ctime(st) : 0;
    g_mutex_unlock(&node->lock);
}

/* A local kernel tells everybody the names; only where that is not so, or an ACL of ours decides, it matters who asks.
 */
static gboolean
may_be_refused(PosixStore *store, const LaresCred *cred, PosixNode *node)
{
    return !node->mount->plain || posix_decides(store, cred, posix_acl_is_ours(store, node, NULL));
}

LaresStatus
posix_listxattr(LaresStore *base, const LaresCred *cred, LaresNode *lnode, char *buf, size_t size, size_t *len)
{
    PosixStore *store = POSIX_STORE(base);
    PosixNode *node = posix_node(lnode);
    char few[1024], path[POSIX_FD_PATH], *all = few;
    g_autofree char *many = NULL;
    struct statx st;
    int err = posix_stat(node, &st);
    if (err)
        return lares_status_from_errno(err);
    gboolean entered = may_be_refused(store, cred, node);
    if (!entered && has_none(node, &st)) {
        *len = 0;
        return LARES_OK;
    }
    gboolean settled = posix_clock() > posix_ctime(&st);
    LaresStatus status = posix_node_ready(node);
    if (status == LARES_OK && entered)
        status = posix_guard(store, cred, node, LARES_MASK_READ_DATA, NULL, 0);
    if (status != LARES_OK)
        return status;
    posix_fd_path(g_atomic_int_get(&node->fd), path);
    ssize_t n = listxattr(path, few, sizeof few);
    if (n < 0 && errno == ERANGE) {
        all = many = g_malloc(LIST_MAX);
        n = listxattr(path, all, LIST_MAX);
    }
    if (n < 0)
        status = status_of(errno);
    if (entered)
        posix_cred_leave(store);
    if (n < 0)
        return status;
    status = filter(store, all, (size_t)n, buf, size, len);
    if (status == LARES_OK && *len == 0)
        note_none(node, &st, settled);
    return status;
}
