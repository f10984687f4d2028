/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the server keeps with objects ("notes") and where objects are.
 *
 * Notes are extended attributes that users cannot see or set (trusted.lares.NAME; user.lares.NAME, hidden from them by
 * posix-xattr.c, where the daemon has no privileges). They are read and written as the daemon itself. */
#include "posix.h"

#include <sys/xattr.h>

#define NAME_BYTES 64
#define NOTE_MAX   (64 * 1024)

static void
full_name(const PosixStore *store, const char *name, char full[NAME_BYTES])
{
    g_snprintf(full, NAME_BYTES, "%s.lares.%s", store->privileged ? "trusted" : "user", name);
}

LaresStatus
posix_get_note(LaresStore *base, LaresNode *node, const char *entry, const char *name, uint8_t *buf, size_t size,
               size_t *len)
{
    char full[NAME_BYTES], path[POSIX_FD_PATH + 2 + LARES_NAME_LIMIT];
    full_name(POSIX_STORE(base), name, full);
    int fd = posix_node_fd(posix_node(node));
    ssize_t n;
    if (fd < 0)
        return lares_status_from_errno(errno);
    if (entry) {
        if (strlen(entry) > LARES_NAME_LIMIT)
            return LARES_NAMETOOLONG;
        g_snprintf(path, sizeof path, "/proc/self/fd/%d/%s", fd, entry);
        n = lgetxattr(path, full, buf, size);
    } else if (posix_node(node)->fd_reads) {
        n = fgetxattr(fd, full, buf, size);
    } else {
        posix_fd_path(fd, path);
        n = getxattr(path, full, buf, size);
    }
    if (n >= 0) {
        *len = (size_t)n;
        return LARES_OK;
    }
    if (errno == ERANGE) {
        *len = NOTE_MAX;
        return LARES_TOOSMALL;
    }
    return errno == ENODATA || errno == EPERM || errno == EOPNOTSUPP ? LARES_NOXATTR : lares_status_from_errno(errno);
}

LaresStatus
posix_set_note(LaresStore *base, LaresNode *node, const char *name, const uint8_t *value, size_t len)
{
    char full[NAME_BYTES], path[POSIX_FD_PATH];
    full_name(POSIX_STORE(base), name, full);
    int fd = posix_node_fd(posix_node(node));
    if (fd < 0)
        return lares_status_from_errno(errno);
    posix_fd_path(fd, path);
    int result = value ? setxattr(path, full, value, len, 0) : removexattr(path, full);
    if (result != 0 && !(errno == ENODATA && !value))
        return errno == EPERM || errno == EOPNOTSUPP ? LARES_NOTSUPP
               : errno == ENOSPC                     ? LARES_NOSPC
                                                     : lares_status_from_errno(errno);
    posix_node_changed(posix_node(node));
    return LARES_OK;
}

LaresStatus
posix_path(LaresStore *base, LaresNode *node, char *buf, size_t size)
{
    PosixStore *store = POSIX_STORE(base);
    char link[POSIX_FD_PATH], root[PATH_MAX], path[PATH_MAX];
    int fd = posix_node_fd(posix_node(node));
    if (fd < 0)
        return lares_status_from_errno(errno);
    posix_fd_path(fd, link);
    ssize_t n = readlink(link, path, sizeof path - 1);
    posix_fd_path(store->root_fd, link);
    ssize_t n_root = readlink(link, root, sizeof root - 1);
    if (n < 0 || n_root < 0)
        return lares_status_from_errno(errno);
    path[n] = root[n_root] = '\0';
    if (n_root == 1)
        n_root = 0; /* "/" */
    if (strncmp(path, root, (size_t)n_root) != 0 || (path[n_root] && path[n_root] != '/'))
        return LARES_STALE;
    const char *below = path + n_root + (path[n_root] == '/');
    if (g_str_has_suffix(below, " (deleted)") && posix_node(node)->base.type != LARES_TYPE_NONE) {
        struct statx st;
        if (posix_stat(posix_node(node), &st) != 0 || st.stx_nlink == 0)
            return LARES_STALE;
    }
    if (strlen(below) + 1 > size)
        return LARES_TOOSMALL;
    memcpy(buf, below, strlen(below) + 1);
    return LARES_OK;
}
