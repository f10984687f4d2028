/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Attributes: reading them, and setting them in the order size, owner, mode, times.
 *
 * The change attribute is ctime in nanoseconds, pushed by one when we changed something and the kernel's clock had not
 * moved; it never goes back while the process lives (posix-node.c keeps it for nodes that leave the cache). */
#include "posix.h"

#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <linux/magic.h>

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif

static LaresTime
time_of(const struct statx_timestamp *t)
{
    return (LaresTime){t->tv_sec, t->tv_nsec};
}

static uint64_t
change_of(PosixNode *node, const struct statx *st)
{
    uint64_t ctime = posix_ctime(st);
    g_mutex_lock(&node->lock);
    gboolean changed = g_atomic_int_compare_and_exchange(&node->changed, 1, 0);
    uint64_t change = MAX(ctime, node->change + (changed ? 1 : 0));
    node->change = change;
    node->ctime = ctime;
    g_mutex_unlock(&node->lock);
    return change;
}

LaresFileType
posix_type_of(uint32_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return LARES_TYPE_REGULAR;
    case S_IFDIR:
        return LARES_TYPE_DIRECTORY;
    case S_IFLNK:
        return LARES_TYPE_SYMLINK;
    case S_IFBLK:
        return LARES_TYPE_BLOCK;
    case S_IFCHR:
        return LARES_TYPE_CHARACTER;
    case S_IFIFO:
        return LARES_TYPE_FIFO;
    case S_IFSOCK:
        return LARES_TYPE_SOCKET;
    default:
        return LARES_TYPE_NONE;
    }
}

void
posix_attrs_from_stat(const PosixNode *like, const struct statx *st, LaresAttrs *attrs)
{
    *attrs = (LaresAttrs){
        .mask = LARES_ATTR_STAT & ~(st->stx_mask & STATX_BTIME ? 0u : (uint32_t)LARES_ATTR_BTIME),
        .type = posix_type_of(st->stx_mode),
        .mode = st->stx_mode & 07777u,
        .nlink = st->stx_nlink,
        .uid = st->stx_uid,
        .gid = st->stx_gid,
        .size = st->stx_size,
        .used = st->stx_blocks * 512,
        .atime = time_of(&st->stx_atime),
        .mtime = time_of(&st->stx_mtime),
        .ctime = time_of(&st->stx_ctime),
        .btime = time_of(&st->stx_btime),
        .fileid = st->stx_ino,
        .fsid_major = like->fsid_major,
        .fsid_minor = like->fsid_minor,
        .rdev_major = st->stx_rdev_major,
        .rdev_minor = st->stx_rdev_minor,
    };
}

LaresStatus
posix_getattr(LaresStore *base, LaresNode *lnode, uint32_t mask, LaresAttrs *attrs)
{
    PosixNode *node = posix_node(lnode);
    struct statx st;
    if (mask & LARES_ATTR_CHANGE)
        posix_forget_disturbed(node);
    int err = posix_stat(node, &st);
    if (err)
        return lares_status_from_errno(err);
    if (G_UNLIKELY(st.stx_nlink == 0 && g_atomic_int_get(&node->opens) == 0)) {
        g_atomic_int_set(&node->dead, 1);
        return LARES_STALE;
    }
    posix_attrs_from_stat(node, &st, attrs);
    if (mask & LARES_ATTR_CHANGE)
        attrs->change = change_of(node, &st);
    else
        attrs->mask &= ~(uint32_t)LARES_ATTR_CHANGE;
    return LARES_OK;
}

static uint64_t
largest_file(const struct statfs *fs)
{
    if ((uint32_t)fs->f_type == EXT4_SUPER_MAGIC) /* 2^32 - 1 blocks */
        return (uint64_t)fs->f_bsize * UINT32_MAX;
    return INT64_MAX;
}

LaresStatus
posix_statfs(LaresStore *base, LaresNode *lnode, LaresSpace *space)
{
    PosixNode *node = posix_node(lnode);
    struct statfs fs;
    struct statx st;
    LaresStatus status = posix_node_ready(node);
    if (status != LARES_OK)
        return status;
    if (fstatfs(g_atomic_int_get(&node->fd), &fs) != 0)
        return lares_status_from_errno(errno);
    uint64_t unit = fs.f_frsize ? (uint64_t)fs.f_frsize : (uint64_t)fs.f_bsize;
    uint32_t type = (uint32_t)fs.f_type;
    *space = (LaresSpace){
        .total_bytes = fs.f_blocks * unit,
        .free_bytes = fs.f_bfree * unit,
        .avail_bytes = fs.f_bavail * unit,
        .total_files = fs.f_files,
        .free_files = fs.f_ffree,
        .avail_files = fs.f_ffree,
        .block_size = (uint32_t)unit,
        .name_max = (uint32_t)CLAMP(fs.f_namelen, 1, LARES_NAME_LIMIT),
        .max_file_size = largest_file(&fs),
        .max_link = type == EXT4_SUPER_MAGIC    ? 65000
                    : type == BTRFS_SUPER_MAGIC ? 65535
                                                : INT32_MAX,
        .read_only = (fs.f_flags & ST_RDONLY) != 0,
        .can_xattr = node->mount->plain,
        .can_clone = type == BTRFS_SUPER_MAGIC || type == XFS_SUPER_MAGIC,
        .can_allocate = node->mount->plain,
        .can_btime = posix_stat(node, &st) == 0 && (st.stx_mask & STATX_BTIME),
    };
    return LARES_OK;
}

/* ---- Setting ------------------------------------------------------------------------------------------------------
 */

#define TIMES (LARES_ATTR_ATIME | LARES_ATTR_MTIME | LARES_SET_ATIME_NOW | LARES_SET_MTIME_NOW)

static gboolean
time_is_valid(const LaresTime *t)
{
    return t->nsec < 1000000000u;
}

static LaresStatus
check(PosixNode *node, const LaresSetAttrs *set)
{
    if ((set->mask & LARES_ATTR_ATIME && !time_is_valid(&set->atime)) ||
        (set->mask & LARES_ATTR_MTIME && !time_is_valid(&set->mtime)))
        return LARES_INVAL;
    if (set->mask & LARES_ATTR_MODE && (set->mode & ~07777u || node->base.type == LARES_TYPE_SYMLINK))
        return set->mode & ~07777u ? LARES_INVAL : LARES_NOTSUPP;
    if (set->mask & LARES_ATTR_SIZE && node->base.type != LARES_TYPE_REGULAR)
        return posix_is_dir(node) ? LARES_ISDIR : LARES_INVAL;
    if ((set->mask & LARES_ATTR_UID && set->uid == UINT32_MAX) ||
        (set->mask & LARES_ATTR_GID && set->gid == UINT32_MAX))
        return LARES_INVAL;
    return LARES_OK;
}

/* What an ACL allows somebody who is not the owner to do beyond the kernel's rules: capabilities to raise. */
static LaresStatus
rights_of_stranger(PosixStore *store, const LaresCred *cred, PosixNode *node, const struct statx *st,
                   const LaresSetAttrs *set, uint32_t *caps)
{
    uint32_t wanted = 0, got;
    if (set->mask & LARES_ATTR_MODE)
        wanted |= LARES_MASK_WRITE_ACL;
    if (set->mask & (LARES_ATTR_ATIME | LARES_ATTR_MTIME))
        wanted |= LARES_MASK_WRITE_ATTRIBUTES;
    if (set->mask & (LARES_ATTR_UID | LARES_ATTR_GID))
        wanted |= LARES_MASK_WRITE_OWNER;
    if (!wanted)
        return LARES_OK;
    LaresStatus status = posix_allowed(store, cred, node, st, wanted, &got);
    if (status != LARES_OK)
        return status;
    if (got != wanted)
        return LARES_PERM;
    /* To make a program run under the owner's name is no right an ACL can give. */
    if (set->mask & LARES_ATTR_MODE && set->mode & 06000u & ~st->stx_mode)
        return LARES_PERM;
    /* WRITE_OWNER takes an object, it does not give it away (RFC 8881 6.2.1.3.1). */
    if ((set->mask & LARES_ATTR_UID && set->uid != st->stx_uid && set->uid != cred->uid) ||
        (set->mask & LARES_ATTR_GID && set->gid != st->stx_gid && !posix_in_group(cred, set->gid)))
        return LARES_PERM;
    *caps |= POSIX_CAP_OWNER | (wanted & LARES_MASK_WRITE_OWNER ? POSIX_CAP_CHOWN : 0);
    return LARES_OK;
}

static LaresStatus
set_size(PosixStore *store, PosixNode *node, const char *number, uint64_t size)
{
    if (size > INT64_MAX)
        return LARES_FBIG;
    int fd = openat(store->proc_fd, number, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return lares_status_from_errno(errno);
    LaresStatus status = LARES_OK;
    if (ftruncate(fd, (off_t)size) != 0)
        status = errno == EINVAL ? LARES_FBIG : lares_status_from_errno(errno);
    close(fd);
    return status;
}

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

/* Linux 6.6 can do it without the way through /proc. */
int
posix_chmod(PosixStore *store, PosixNode *node, uint32_t mode)
{
    char number[16];
    if (node->fd_reads)
        return fchmod(g_atomic_int_get(&node->fd), mode);
    if (syscall(SYS_fchmodat2, g_atomic_int_get(&node->fd), "", mode, AT_EMPTY_PATH) == 0)
        return 0;
    if (errno != ENOSYS && errno != EPERM && errno != EINVAL)
        return -1;
    snprintf(number, sizeof number, "%d", g_atomic_int_get(&node->fd));
    return fchmodat(store->proc_fd, number, mode, 0);
}

static LaresStatus
set_mode(PosixStore *store, PosixNode *node, uint32_t mode, const LaresAcl *acl)
{
    if (acl) {
        g_autoptr(LaresAcl) fresh = lares_acl_chmod(acl, mode, posix_is_dir(node));
        if (!lares_acl_equal(fresh, acl)) {
            int err = posix_acl_write(store, node, fresh);
            if (err)
                return lares_status_from_errno(err);
        }
    }
    return posix_chmod(store, node, mode) == 0 ? LARES_OK : lares_status_from_errno(errno);
}

static struct timespec
timespec_of(uint32_t mask, uint32_t now, uint32_t given, const LaresTime *t)
{
    if (mask & now)
        return (struct timespec){0, UTIME_NOW};
    if (mask & given)
        return (struct timespec){t->sec, t->nsec};
    return (struct timespec){0, UTIME_OMIT};
}

static LaresStatus
set_times(PosixNode *node, const LaresSetAttrs *set)
{
    struct timespec times[2] = {timespec_of(set->mask, LARES_SET_ATIME_NOW, LARES_ATTR_ATIME, &set->atime),
                                timespec_of(set->mask, LARES_SET_MTIME_NOW, LARES_ATTR_MTIME, &set->mtime)};
    return utimensat(g_atomic_int_get(&node->fd), "", times, AT_EMPTY_PATH) == 0 ? LARES_OK
                                                                                 : lares_status_from_errno(errno);
}

/* As the caller already. */
static LaresStatus
apply(PosixStore *store, PosixNode *node, const LaresSetAttrs *set, const LaresAcl *acl)
{
    char number[16];
    LaresStatus status = LARES_OK;
    snprintf(number, sizeof number, "%d", g_atomic_int_get(&node->fd));
    if (set->mask & LARES_ATTR_SIZE)
        status = set_size(store, node, number, set->size);
    if (status == LARES_OK && set->mask & (LARES_ATTR_UID | LARES_ATTR_GID)) {
        uid_t uid = set->mask & LARES_ATTR_UID ? (uid_t)set->uid : (uid_t)-1;
        gid_t gid = set->mask & LARES_ATTR_GID ? (gid_t)set->gid : (gid_t)-1;
        if (fchownat(g_atomic_int_get(&node->fd), "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) != 0)
            status = lares_status_from_errno(errno);
    }
    if (status == LARES_OK && set->mask & LARES_ATTR_MODE)
        status = set_mode(store, node, set->mode, acl);
    if (status == LARES_OK && set->mask & TIMES)
        status = set_times(node, set);
    return status;
}

LaresStatus
posix_setattr(LaresStore *base, const LaresCred *cred, LaresNode *lnode, const LaresSetAttrs *set)
{
    PosixStore *store = POSIX_STORE(base);
    PosixNode *node = posix_node(lnode);
    g_autoptr(LaresAcl) acl = NULL;
    struct statx st;
    uint32_t caps = 0;
    LaresStatus status = check(node, set);
    if (status != LARES_OK)
        return status;
    int err = posix_stat(node, &st);
    if (err)
        return lares_status_from_errno(err);
    status = posix_node_ready(node);
    if (status != LARES_OK)
        return status;
    PosixAclKind kind = posix_acl_kind(store, node, &st, &acl);
    gboolean owner = posix_is_owner(store, cred, &st);
    gboolean stranger = !store->privileged && cred->uid != store->self_uid;
    if (!owner && (kind == POSIX_ACL_OURS || stranger)) {
        status = rights_of_stranger(store, cred, node, &st, set, &caps);
        /* "Now" needs no more than the right to write. */
        if (status == LARES_OK && set->mask & (LARES_SET_ATIME_NOW | LARES_SET_MTIME_NOW))
            status = posix_may(store, cred, node, LARES_MASK_WRITE_DATA);
        if (status == LARES_OK && set->mask & LARES_ATTR_SIZE)
            status = posix_may(store, cred, node, LARES_MASK_WRITE_DATA);
        if (status != LARES_OK)
            return status;
        caps |= POSIX_CAP_DAC;
    }
    /* The owner may set the size whatever the mode says, as knfsd has it: the file may be open for writing. */
    if (owner && set->mask & LARES_ATTR_SIZE && cred->uid != 0)
        caps |= POSIX_CAP_DAC;
    status = posix_cred_enter(store, cred);
    if (status == LARES_OK) {
        status = posix_cred_raise(store, caps);
        if (status == LARES_OK)
            status = apply(store, node, set, acl);
        posix_cred_leave(store);
    }
    posix_node_changed(node);
    return status;
}
