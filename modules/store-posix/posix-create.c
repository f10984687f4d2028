/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Making objects: files (opened in the same step), directories, symlinks and special files.
 *
 * An object that gets an ACL is made with nothing for anybody but its owner and gets its real mode behind the ACL, so
 * that nobody slips in between.
 *
 * Spec: RFC 8881 6.4.3 (inheritance). */
#include "posix.h"

#include <sys/sysmacros.h>

#define RETRIES 8 /* another client removes and makes the same name all the time */

typedef struct {
    uint32_t mode;
    LaresAcl *acl;    /* NULL: the mode says it all */
    gboolean masked;  /* the process's umask took part in making it */
    gboolean dir_has; /* the directory has an ACL of ours */
} Protection;

static Protection
protection_of(PosixStore *store, PosixNode *dir, const LaresCreate *how)
{
    gboolean directory = how->type == LARES_TYPE_DIRECTORY;
    gboolean given = (how->attrs.mask & LARES_ATTR_MODE) != 0;
    Protection p = {given ? how->attrs.mode & 07777u : directory ? 0755u : 0644u, NULL, FALSE, FALSE};
    g_autoptr(LaresAcl) parent = NULL;
    p.dir_has = posix_acl_is_ours(store, dir, &parent);
    if (how->type == LARES_TYPE_SYMLINK)
        return p;
    if (how->acl) {
        p.acl = lares_acl_copy(how->acl);
    } else if (parent) {
        p.acl = lares_acl_inherit(parent, directory);
        if (p.acl && given) {
            LaresAcl *limited = lares_acl_chmod(p.acl, p.mode, directory);
            lares_acl_free(p.acl);
            p.acl = limited;
        }
    }
    if (!p.acl)
        return p;
    p.mode = (p.mode & 07000) | lares_acl_to_mode(p.acl);
    g_autoptr(LaresAcl) trivial = lares_acl_from_mode(p.mode, directory);
    if (lares_acl_equal(trivial, p.acl))
        g_clear_pointer(&p.acl, lares_acl_free);
    return p;
}

static int
open_flags(uint32_t access)
{
    if (access & LARES_ACCESS_WRITE)
        return access & LARES_ACCESS_READ ? O_RDWR : O_WRONLY;
    return O_RDONLY;
}

/* As the caller. errno value or 0; *fd for regular files. */
static int
make(PosixNode *dir, const char *name, const LaresCreate *how, uint32_t mode, uint32_t access, int *fd)
{
    int result;
    switch (how->type) {
    case LARES_TYPE_REGULAR:
        result = *fd =
            openat(dir->fd, name, open_flags(access) | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY, mode);
        break;
    case LARES_TYPE_DIRECTORY:
        result = mkdirat(dir->fd, name, mode);
        break;
    case LARES_TYPE_SYMLINK:
        result = symlinkat(how->target, dir->fd, name);
        break;
    case LARES_TYPE_FIFO:
        result = mknodat(dir->fd, name, S_IFIFO | mode, 0);
        break;
    case LARES_TYPE_SOCKET:
        result = mknodat(dir->fd, name, S_IFSOCK | mode, 0);
        break;
    case LARES_TYPE_BLOCK:
    case LARES_TYPE_CHARACTER:
        result = mknodat(dir->fd, name, (how->type == LARES_TYPE_BLOCK ? S_IFBLK : S_IFCHR) | mode,
                         makedev(how->rdev_major, how->rdev_minor));
        break;
    default:
        return EINVAL;
    }
    return result < 0 ? errno : 0;
}

/* Something may have been put in the place of what was made before it could be opened. What the caller did not make now
 * must get nothing that was meant for the new one: another object of the same owner would be opened to those whom the
 * directory's ACL names. `since`: nanoseconds, before it was made. */
static gboolean
is_the_made(const PosixStore *store, const LaresCred *cred, PosixNode *node, const LaresCreate *how, uint64_t since)
{
    struct statx st;
    if (posix_stat(node, &st) != 0 || node->base.type != how->type)
        return FALSE;
    uint64_t born = (uint64_t)st.stx_btime.tv_sec * 1000000000u + st.stx_btime.tv_nsec;
    if (st.stx_mask & STATX_BTIME && node->mount->plain && born < since)
        return FALSE;
    return !node->mount->plain || st.stx_uid == (store->privileged ? cred->uid : store->self_uid);
}

/* The node of what was just made: for a file the very inode that was opened, whatever the name means by now. */
static LaresStatus
node_of_new(PosixStore *store, PosixNode *dir, const char *name, int file_fd, PosixNode **node)
{
    if (file_fd >= 0)
        return posix_node_of_file(store, file_fd, dir, name, node);
    int fd = openat(dir->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? lares_status_from_errno(errno) : posix_node_from_fd(store, fd, dir, name, node);
}

/* Everything that the making call could not do. */
static LaresStatus
finish(PosixStore *store, const LaresCred *cred, PosixNode *node, const LaresCreate *how, const Protection *p)
{
    LaresSetAttrs rest = how->attrs;
    LaresStatus status = LARES_OK;
    rest.mask &= ~(uint32_t)LARES_ATTR_MODE;
    if (rest.size == 0 || how->type != LARES_TYPE_REGULAR)
        rest.mask &= ~(uint32_t)LARES_ATTR_SIZE;
    if (rest.mask)
        status = posix_setattr((LaresStore *)store, cred, &node->base, &rest);
    /* mkdir ignores set-id bits, and a change of owner takes them away again. */
    gboolean lost =
        p->mode & 06000 && (how->type == LARES_TYPE_DIRECTORY || rest.mask & (LARES_ATTR_UID | LARES_ATTR_GID));
    lost |= p->masked && how->type != LARES_TYPE_SYMLINK;
    if (status != LARES_OK || !(p->acl || lost))
        return status;
    status = posix_node_ready(node);
    if (status == LARES_OK && p->acl)
        status = lares_status_from_errno(posix_acl_write(store, node, p->acl));
    if (status == LARES_OK)
        status = posix_cred_enter(store, cred);
    if (status != LARES_OK)
        return status;
    struct statx st;
    uint32_t inherited = posix_stat(node, &st) == 0 && posix_is_dir(node) ? st.stx_mode & S_ISGID : 0;
    if (posix_chmod(store, node, p->mode | inherited) != 0)
        status = lares_status_from_errno(errno);
    posix_cred_leave(store);
    posix_node_changed(node);
    return status;
}

/* If it is still there. */
static void
take_back(PosixStore *store, const LaresCred *cred, PosixNode *dir, const char *name, const PosixNode *node)
{
    LaresFileType type = node->base.type;
    struct stat st;
    if (fstatat(dir->fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || st.st_ino != node->ino ||
        posix_cred_enter(store, cred) != LARES_OK)
        return;
    unlinkat(dir->fd, name, type == LARES_TYPE_DIRECTORY ? AT_REMOVEDIR : 0);
    posix_cred_leave(store);
}

static LaresStatus
make_new(PosixStore *store, const LaresCred *cred, PosixNode *dir, const char *name, const LaresCreate *how,
         uint32_t access, PosixNode **node, LaresFile **file)
{
    int fd = -1;
    uint64_t since = 0;
    uint32_t right = how->type == LARES_TYPE_DIRECTORY ? LARES_MASK_APPEND_DATA : LARES_MASK_WRITE_DATA;
    Protection p = protection_of(store, dir, how);
    gboolean here = posix_decides(store, cred, p.dir_has) || posix_passes(store, cred, dir);
    LaresStatus status = posix_guard_decided(store, cred, here, dir, right | LARES_MASK_EXECUTE, NULL, 0);
    if (status == LARES_OK) {
        uint32_t mode = p.acl ? p.mode & 0700 : p.mode;
        mode_t old;
        p.masked = !posix_umask_clear(mode, &old);
        if (how->type != LARES_TYPE_REGULAR)
            since = posix_clock();
        int err = make(dir, name, how, mode, access, &fd);
        posix_umask_restore(old);
        posix_cred_leave(store);
        status = lares_status_from_errno(err);
    }
    if (status != LARES_OK) {
        lares_acl_free(p.acl);
        return status;
    }
    posix_node_changed(dir);
    status = node_of_new(store, dir, name, fd, node);
    if (status == LARES_OK && (p.acl || p.masked || how->attrs.mask & ~(uint32_t)LARES_ATTR_MODE || p.mode & 06000)) {
        gboolean made = fd >= 0 || is_the_made(store, cred, *node, how, since);
        status = made ? finish(store, cred, *node, how, &p) : LARES_NOENT;
        if (made && status != LARES_OK)
            take_back(store, cred, dir, name, *node);
        if (status != LARES_OK)
            lares_node_unref(&(*node)->base);
    }
    lares_acl_free(p.acl);
    if (status == LARES_OK && access && fd >= 0) {
        *file = posix_file_new(*node, fd, access, cred->uid == 0);
        posix_node_lend(*node, fd);
    } else if (fd >= 0) {
        close(fd);
    }
    return status;
}

static LaresStatus
open_existing(PosixStore *store, const LaresCred *cred, PosixNode *dir, const char *name, uint32_t access,
              PosixNode **node, LaresFile **file)
{
    LaresStatus status = posix_may_search(store, cred, dir);
    if (status == LARES_OK)
        status = posix_find(store, dir, name, node);
    if (status != LARES_OK)
        return status;
    switch ((*node)->base.type) {
    case LARES_TYPE_REGULAR:
        status = access ? posix_open((LaresStore *)store, cred, &(*node)->base, access, file) : LARES_OK;
        break;
    case LARES_TYPE_DIRECTORY:
        status = LARES_ISDIR;
        break;
    case LARES_TYPE_SYMLINK:
        status = LARES_SYMLINK;
        break;
    default:
        status = LARES_WRONG_TYPE;
    }
    if (status != LARES_OK)
        lares_node_unref(&(*node)->base);
    return status;
}

/* Nobody may make anything here, but what is there answers first, as open(2) has it. */
static LaresStatus
refused(PosixStore *store, const LaresCred *cred, PosixNode *dir, const char *name, LaresStatus why)
{
    PosixNode *there;
    if (posix_may_search(store, cred, dir) != LARES_OK || posix_find(store, dir, name, &there) != LARES_OK)
        return why;
    lares_node_unref(&there->base);
    return LARES_EXIST;
}

LaresStatus
posix_create(LaresStore *base, const LaresCred *cred, LaresNode *ldir, const char *name, const LaresCreate *how,
             uint32_t access, LaresNode **out, LaresFile **file, gboolean *created)
{
    PosixStore *store = POSIX_STORE(base);
    PosixNode *dir = posix_node(ldir), *node = NULL;
    gboolean regular = how->type == LARES_TYPE_REGULAR;
    LaresStatus status = posix_name_check(name);
    if (!posix_is_dir(dir))
        return ldir->type == LARES_TYPE_SYMLINK ? LARES_SYMLINK : LARES_NOTDIR;
    if (status != LARES_OK)
        return status;
    if (how->type == LARES_TYPE_NONE)
        return LARES_BADTYPE;
    if (how->type == LARES_TYPE_SYMLINK && (!how->target || !*how->target))
        return LARES_INVAL;
    if (!regular)
        access = 0;
    for (int try = 0; try < RETRIES; try++) {
        *created = TRUE;
        status = make_new(store, cred, dir, name, how, access, &node, file);
        if (status == LARES_ACCESS || status == LARES_ROFS)
            status = refused(store, cred, dir, name, status);
        if (status != LARES_EXIST || !regular || how->exclusive)
            break;
        *created = FALSE;
        status = open_existing(store, cred, dir, name, access, &node, file);
        if (status != LARES_NOENT)
            break;
        status = LARES_DELAY;
    }
    if (status == LARES_OK)
        *out = &node->base;
    return status;
}
