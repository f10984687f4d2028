/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names: finding, linking, removing and renaming them. Single components only, symlinks never followed. */
#include "posix.h"

LaresStatus
posix_name_check(const char *name)
{
    size_t n = strlen(name);
    if (n == 0)
        return LARES_INVAL;
    if (n > LARES_NAME_LIMIT)
        return LARES_NAMETOOLONG;
    if (strchr(name, '/') || g_str_equal(name, ".") || g_str_equal(name, ".."))
        return LARES_BADNAME;
    return LARES_OK;
}

static LaresStatus
check(LaresNode *dir, const char *name)
{
    if (dir->type != LARES_TYPE_DIRECTORY)
        return dir->type == LARES_TYPE_SYMLINK ? LARES_SYMLINK : LARES_NOTDIR;
    return posix_name_check(name);
}

/* The handle a name has now; FALSE when there is nothing or it cannot be known. */
static gboolean
peek(PosixStore *store, PosixNode *dir, const char *name, LaresHandle *handle)
{
    PosixMount *mount;
    struct statx st;
    if (!store->no_handles)
        return posix_handle_at(store, dir->fd, name, handle, &mount) == 0;
    if (statx(dir->fd, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID, &st) != 0 ||
        !(mount = posix_mount_by_id(store, st.stx_mnt_id)))
        return FALSE;
    posix_handle_from_inode(mount, &st, handle);
    return TRUE;
}

static gboolean
same_object(const LaresHandle *a, const LaresHandle *b)
{
    return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

LaresStatus
posix_find(PosixStore *store, PosixNode *dir, const char *name, PosixNode **node)
{
    LaresHandle handle;
    PosixMount *mount;
    if (!store->no_handles) {
        int err = posix_handle_at(store, dir->fd, name, &handle, &mount);
        if (err)
            return err == EOPNOTSUPP ? LARES_ACCESS : lares_status_from_errno(err);
        if ((*node = posix_cache_get(store, &handle)))
            return LARES_OK;
    }
    int fd = openat(dir->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return lares_status_from_errno(errno);
    return posix_node_from_fd(store, fd, dir, name, node);
}

LaresStatus
posix_lookup(LaresStore *base, const LaresCred *cred, LaresNode *dir, const char *name, LaresNode **node)
{
    PosixStore *store = POSIX_STORE(base);
    PosixNode *found;
    LaresStatus status = check(dir, name);
    if (status == LARES_OK)
        status = posix_may_search(store, cred, posix_node(dir));
    if (status == LARES_OK)
        status = posix_find(store, posix_node(dir), name, &found);
    if (status == LARES_OK)
        *node = &found->base;
    return status;
}

/* A directory that was moved out of the share by somebody else must not lead there. */
LaresStatus
posix_parent(LaresStore *base, const LaresCred *cred, LaresNode *node, LaresNode **parent)
{
    PosixStore *store = POSIX_STORE(base);
    PosixNode *found;
    if (node == &store->root->base)
        return LARES_NOENT;
    if (node->type != LARES_TYPE_DIRECTORY)
        return node->type == LARES_TYPE_SYMLINK ? LARES_SYMLINK : LARES_NOTDIR;
    LaresStatus status = posix_may_search(store, cred, posix_node(node));
    if (status != LARES_OK)
        return status;
    int fd = openat(posix_node(node)->fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return lares_status_from_errno(errno);
    status = posix_is_inside(store->mounts[0], fd);
    if (status != LARES_OK) {
        close(fd);
        return status;
    }
    status = posix_node_from_fd(store, fd, NULL, NULL, &found);
    if (status == LARES_OK)
        *parent = &found->base;
    return status;
}

LaresStatus
posix_readlink(LaresStore *base, const LaresCred *cred, LaresNode *node, char *buf, size_t size, size_t *len)
{
    if (node->type != LARES_TYPE_SYMLINK)
        return LARES_INVAL;
    ssize_t n = readlinkat(posix_node(node)->fd, "", buf, size);
    if (n < 0)
        return lares_status_from_errno(errno);
    if ((size_t)n == size)
        return LARES_TOOSMALL;
    *len = (size_t)n;
    return LARES_OK;
}

/* ---- Changing ---------------------------------------------------------------------------------------------------- */

/* Where the kernel has to step back, nobody is there to refuse what protected_hardlinks (proc(5)) is about: a name for
 * a file that one could not write to anyway, which would keep it from being replaced or removed. */
static LaresStatus
may_link(PosixStore *store, const LaresCred *cred, PosixNode *node)
{
    struct statx st;
    int err = posix_stat(node, &st);
    if (err)
        return lares_status_from_errno(err);
    if (posix_is_owner(store, cred, &st))
        return LARES_OK;
    if (!S_ISREG(st.stx_mode) || st.stx_mode & S_ISUID || (st.stx_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP))
        return LARES_PERM;
    LaresStatus status = posix_may(store, cred, node, LARES_MASK_READ_DATA | LARES_MASK_WRITE_DATA);
    return status == LARES_ACCESS ? LARES_PERM : status;
}

LaresStatus
posix_link(LaresStore *base, const LaresCred *cred, LaresNode *node, LaresNode *dir, const char *name)
{
    PosixStore *store = POSIX_STORE(base);
    char number[16];
    LaresStatus status = check(dir, name);
    if (status != LARES_OK)
        return status;
    if (node->type == LARES_TYPE_DIRECTORY)
        return LARES_ISDIR;
    status = posix_node_ready(posix_node(node));
    if (status != LARES_OK)
        return status;
    gboolean here = posix_decides(store, cred, posix_acl_is_ours(store, posix_node(dir), NULL)) ||
                    posix_passes(store, cred, posix_node(dir));
    if (here)
        status = may_link(store, cred, posix_node(node));
    if (status == LARES_OK)
        status = posix_guard_decided(store, cred, here, posix_node(dir), LARES_MASK_WRITE_DATA | LARES_MASK_EXECUTE,
                                     NULL, 0);
    if (status != LARES_OK)
        return status;
    snprintf(number, sizeof number, "%d", posix_node(node)->fd);
    if (linkat(store->proc_fd, number, posix_node(dir)->fd, name, AT_SYMLINK_FOLLOW) != 0)
        status = lares_status_from_errno(errno);
    posix_cred_leave(store);
    if (status == LARES_OK) {
        posix_node_changed(posix_node(dir));
        posix_node_changed(posix_node(node));
        if (store->table)
            posix_table_put(store->table, &node->handle, &dir->handle, name);
    }
    return status;
}

/* Nothing keeps the inode of such a node. To see whether there is another name it would have to be found again, and so
 * will whoever comes with its handle. */
static void
let_go(PosixNode *node)
{
    g_mutex_lock(&node->lock);
    gboolean settled = posix_clock() > MAX(node->change, node->ctime) + 1;
    g_mutex_unlock(&node->lock);
    if (settled)
        g_atomic_int_set(&node->settled, 1);
    else
        posix_node_changed(node);
    g_atomic_int_set(&node->leaving, 1);
}

void
posix_node_unlinked(PosixStore *store, PosixNode *node)
{
    struct statx st;
    posix_unseen(node);
    if (g_atomic_int_get(&node->fd) < 0 && g_atomic_int_get(&node->opens) == 0) {
        let_go(node);
        return;
    }
    posix_node_changed(node);
    int err = posix_stat(node, &st);
    if (err ? err != ESTALE : st.stx_nlink > 0)
        return;
    g_atomic_int_set(&node->dead, 1);
    PosixFile *spare = posix_node_take_spare(store, node);
    if (spare)
        posix_file_close(spare);
    if (store->table && posix_handle_is_inode(&node->base.handle))
        posix_table_remove(store->table, &node->base.handle);
}

static LaresStatus
status_of_remove(int err)
{
    switch (err) {
    case EBUSY: /* something is mounted there */
        return LARES_FILE_OPEN;
    case EEXIST:
        return LARES_NOTEMPTY;
    default:
        return lares_status_from_errno(err);
    }
}

static LaresStatus
unlink_as_caller(PosixStore *store, PosixNode *dir, const char *name)
{
    if (unlinkat(dir->fd, name, 0) == 0)
        return LARES_OK;
    if (errno != EISDIR)
        return status_of_remove(errno);
    return unlinkat(dir->fd, name, AT_REMOVEDIR) == 0 ? LARES_OK : status_of_remove(errno);
}

/* The object's own ACL may allow what the directory does not (RFC 8881 6.2.1.3.2). */
static LaresStatus
remove_by_own_acl(PosixStore *store, const LaresCred *cred, PosixNode *dir, const char *name)
{
    PosixNode *victim;
    LaresStatus status = posix_may_search(store, cred, dir);
    if (status == LARES_OK)
        status = posix_find(store, dir, name, &victim);
    if (status != LARES_OK)
        return status;
    if (posix_acl_kind(store, victim, NULL, NULL) != POSIX_ACL_OURS)
        status = LARES_ACCESS;
    else
        status = posix_may(store, cred, victim, LARES_MASK_DELETE);
    LaresHandle judged = victim->base.handle, now;
    lares_node_unref(&victim->base);
    /* The kernel removes names, not objects; at least the time in which it could become another's is kept short. */
    if (status == LARES_OK && !(peek(store, dir, name, &now) && same_object(&judged, &now)))
        status = LARES_ACCESS;
    if (status == LARES_OK)
        status = posix_cred_enter(store, cred);
    if (status != LARES_OK)
        return status;
    status = posix_cred_raise(store, POSIX_CAP_DAC);
    if (status == LARES_OK)
        status = unlink_as_caller(store, dir, name);
    posix_cred_leave(store);
    return status;
}

LaresStatus
posix_remove(LaresStore *base, const LaresCred *cred, LaresNode *ldir, const char *name)
{
    PosixStore *store = POSIX_STORE(base);
    PosixNode *dir = posix_node(ldir), *victim = NULL;
    LaresHandle handle;
    LaresStatus status = check(ldir, name);
    if (status != LARES_OK)
        return status;
    gboolean known = peek(store, dir, name, &handle);
    if (known)
        victim = posix_cache_get(store, &handle);
    status = posix_guard(store, cred, dir, LARES_MASK_DELETE_CHILD | LARES_MASK_EXECUTE, NULL, 0);
    if (status == LARES_OK) {
        status = unlink_as_caller(store, dir, name);
        posix_cred_leave(store);
    }
    if (status == LARES_ACCESS && known)
        status = remove_by_own_acl(store, cred, dir, name);
    if (status == LARES_OK) {
        posix_node_changed(dir);
        if (victim)
            posix_node_unlinked(store, victim);
    }
    if (victim)
        lares_node_unref(&victim->base);
    return status;
}

static LaresStatus
status_of_rename(int err)
{
    switch (err) {
    case EBUSY:
        return LARES_FILE_OPEN;
    case EISDIR: /* a file onto a directory and the reverse: RFC 7530 16.27.4 */
    case ENOTDIR:
        return LARES_EXIST;
    default:
        return lares_status_from_errno(err);
    }
}

/* 0: there is nothing, or it cannot be seen. */
static mode_t
mode_of(PosixNode *dir, const char *name)
{
    struct stat st;
    return fstatat(dir->fd, name, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) == 0 ? st.st_mode : 0;
}

static LaresStatus
rename_as_caller(PosixNode *from, const char *name, PosixNode *to, const char *new_name, gboolean replace)
{
    if (replace) {
        if (renameat(from->fd, name, to->fd, new_name) == 0)
            return LARES_OK;
    } else if (renameat2(from->fd, name, to->fd, new_name, RENAME_NOREPLACE) == 0) {
        return LARES_OK;
    }
    return status_of_rename(errno);
}

/* A directory that gets another parent is written to (its ".."), which the kernel asks of the caller, too, unless it
 * has to step back. An ACL of ours on the directories says all that is asked. */
static LaresStatus
may_move(PosixStore *store, const LaresCred *cred, PosixNode *from, const char *name, PosixNode *to)
{
    PosixNode *moved;
    if (from == to || !(posix_passes(store, cred, from) || posix_passes(store, cred, to)))
        return LARES_OK;
    LaresStatus status = posix_find(store, from, name, &moved);
    if (status != LARES_OK)
        return status;
    status = posix_may(store, cred, moved, LARES_MASK_WRITE_DATA);
    lares_node_unref(&moved->base);
    return status;
}

LaresStatus
posix_rename(LaresStore *base, const LaresCred *cred, LaresNode *lfrom, const char *name, LaresNode *lto,
             const char *new_name, gboolean replace)
{
    PosixStore *store = POSIX_STORE(base);
    PosixNode *from = posix_node(lfrom), *to = posix_node(lto), *moved = NULL, *victim = NULL;
    LaresHandle old, over;
    LaresStatus status = check(lfrom, name);
    if (status == LARES_OK)
        status = check(lto, new_name);
    if (status != LARES_OK)
        return status;
    gboolean known = peek(store, from, name, &old), covers = peek(store, to, new_name, &over);
    if (known)
        moved = posix_cache_get(store, &old);
    if (covers)
        victim = posix_cache_get(store, &over);
    /* What is not in the cache, or has no handle, is what it is all the same. */
    gboolean directory = moved ? posix_is_dir(moved) : S_ISDIR(mode_of(from, name));
    gboolean replaces = replace && (covers || mode_of(to, new_name) != 0);
    uint32_t add = directory ? LARES_MASK_APPEND_DATA : LARES_MASK_WRITE_DATA;
    if (directory)
        status = may_move(store, cred, from, name, to);
    if (status == LARES_OK)
        status = posix_guard(store, cred, from, LARES_MASK_DELETE_CHILD | LARES_MASK_EXECUTE, to,
                             add | LARES_MASK_EXECUTE | (replaces ? LARES_MASK_DELETE_CHILD : 0u));
    if (status == LARES_OK) {
        status = rename_as_caller(from, name, to, new_name, replace);
        posix_cred_leave(store);
    }
    /* Two names of one file: the kernel does nothing then (RFC 7530 16.27.4 asks for that), and nothing changed. */
    gboolean same = known && covers && same_object(&old, &over);
    if (status == LARES_OK && !same) {
        posix_node_changed(from);
        posix_node_changed(to);
        if (moved)
            posix_node_changed(moved);
        if (victim)
            posix_node_unlinked(store, victim);
        if (store->table && known)
            posix_table_put(store->table, &old, &lto->handle, new_name);
    }
    if (moved)
        lares_node_unref(&moved->base);
    if (victim)
        lares_node_unref(&victim->base);
    return status;
}
