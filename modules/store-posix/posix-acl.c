/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ACLs on disk: one extended attribute, kept in step with the mode, remembered per node until ctime moves.
 *
 * An ACL that says no more than the mode is not stored at all, so ordinary files never pay for it.
 *
 * Making and removing entries moves a directory's ctime all the time. That a directory has none of our ACLs is believed
 * for a second nevertheless: where the attribute is in the "trusted" namespace only this process writes it (writes are
 * counted, for the node of another share may show the same inode), or the administrator by hand. The mode, a POSIX ACL
 * and an ACL of ours that is there are never taken from memory in this way.
 *
 * Spec: RFC 8881 6.4. */
#include "posix.h"

#include <sys/xattr.h>

#define ACL_BYTES_MAX (16 * 1024) /* LARES_ACL_MAX entries of 10 bytes, and some */
#define KERNEL_ACL    "system.posix_acl_access"
#define BELIEVED_MS   1000
#define WRITES        256

static gint writes[WRITES]; /* atomic, by inode: how often this process wrote an ACL */

static gint *
writes_of(const PosixNode *node)
{
    return &writes[(node->ino ^ node->ino >> 8) % WRITES];
}

static gint64
now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return (gint64)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static ssize_t
get_attribute(PosixNode *node, const char *name, void *buf, size_t size)
{
    char path[POSIX_FD_PATH];
    if (node->fd_reads)
        return fgetxattr(g_atomic_int_get(&node->fd), name, buf, size);
    int fd = posix_node_fd(node);
    if (fd < 0)
        return -1;
    posix_fd_path(fd, path);
    return getxattr(path, name, buf, size);
}

/* An attribute that is there but cannot be read must not open the file to everybody: an ACL without entries. */
static LaresAcl *
load(PosixStore *store, PosixNode *node)
{
    uint8_t small[512];
    g_autofree uint8_t *large = NULL;
    uint8_t *bytes = small;
    ssize_t n = get_attribute(node, store->acl_name, small, sizeof small);
    if (n < 0 && errno == ERANGE) {
        bytes = large = g_malloc(ACL_BYTES_MAX);
        n = get_attribute(node, store->acl_name, large, ACL_BYTES_MAX);
    }
    if (n < 0 && (errno == ENODATA || errno == EOPNOTSUPP || errno == EPERM || errno == EACCES))
        return NULL;
    LaresAcl *acl = n >= 0 ? lares_acl_parse(bytes, (size_t)n) : NULL;
    if (!acl) {
        lares_log_limited(LARES_LOG_WARNING, "store-posix", "inode %" G_GUINT64_FORMAT " has a damaged ACL", node->ino);
        acl = lares_acl_new(0);
    }
    return acl;
}

/* What is remembered, if it still holds; *acl gets a copy of ours. */
static PosixAclKind
recall(PosixNode *node, uint64_t ctime, LaresAcl **acl)
{
    g_mutex_lock(&node->lock);
    gboolean same = node->acl_ctime == ctime && node->acl_writes == g_atomic_int_get(writes_of(node));
    PosixAclKind kind = same ? node->acl_kind : POSIX_ACL_UNKNOWN;
    if (acl && kind == POSIX_ACL_OURS)
        *acl = lares_acl_copy(node->acl);
    g_mutex_unlock(&node->lock);
    return kind;
}

typedef struct {
    gint writes;
    gint64 when;
    gboolean settled; /* the clock that ctime is taken from has moved on: the next change gets another ctime */
} Moment;

/* Before looking. */
static Moment
moment_of(const PosixNode *node, uint64_t ctime)
{
    return (Moment){g_atomic_int_get(writes_of(node)), now_ms(), posix_clock() > ctime};
}

/* Takes `acl`. */
static void
remember(PosixNode *node, uint64_t ctime, const Moment *moment, PosixAclKind kind, LaresAcl *acl)
{
    g_mutex_lock(&node->lock);
    lares_acl_free(node->acl);
    node->acl = acl;
    node->acl_kind = kind;
    node->acl_ctime = moment->settled ? ctime : 0;
    node->acl_writes = moment->writes;
    node->acl_seen = moment->when;
    g_mutex_unlock(&node->lock);
}

/* *seen (may be NULL) gets when that was looked at. */
static gboolean
had_none_lately(PosixNode *node, gint64 *seen)
{
    gint64 now = now_ms();
    g_mutex_lock(&node->lock);
    gboolean none = node->acl_kind != POSIX_ACL_UNKNOWN && node->acl_kind != POSIX_ACL_OURS &&
                    now - node->acl_seen < BELIEVED_MS && node->acl_writes == g_atomic_int_get(writes_of(node));
    if (none && seen)
        *seen = node->acl_seen;
    g_mutex_unlock(&node->lock);
    return none;
}

static PosixAclKind
find_kind(PosixStore *store, PosixNode *node, const struct statx *st, gboolean ours_only, LaresAcl **acl)
{
    struct statx own;
    if (acl)
        *acl = NULL;
    if (node->base.type == LARES_TYPE_SYMLINK)
        return POSIX_ACL_NONE;
    PosixAclKind kind = posix_kind_seen(node);
    if (kind == POSIX_ACL_NONE || kind == POSIX_ACL_KERNEL || (ours_only && kind == POSIX_ACL_NOT_OURS))
        return kind;
    if (!st) {
        if (posix_stat(node, &own) != 0)
            return POSIX_ACL_NONE; /* the operation itself will fail */
        st = &own;
    }
    uint64_t ctime = posix_ctime(st);
    kind = recall(node, ctime, acl);
    if (kind != POSIX_ACL_UNKNOWN && (ours_only || kind != POSIX_ACL_NOT_OURS))
        return kind;
    Moment moment = moment_of(node, ctime);
    gboolean believed =
        kind == POSIX_ACL_UNKNOWN && posix_is_dir(node) && store->privileged && had_none_lately(node, &moment.when);
    if (believed)
        moment.settled = FALSE; /* not looked at: neither for this ctime nor for another second */
    LaresAcl *fresh = kind == POSIX_ACL_NOT_OURS || believed ? NULL : load(store, node);
    if (fresh)
        kind = POSIX_ACL_OURS;
    else if (ours_only)
        kind = POSIX_ACL_NOT_OURS;
    else
        kind = get_attribute(node, KERNEL_ACL, NULL, 0) > 0 ? POSIX_ACL_KERNEL : POSIX_ACL_NONE;
    if (acl && fresh)
        *acl = lares_acl_copy(fresh);
    remember(node, ctime, &moment, kind, fresh);
    if (kind != POSIX_ACL_OURS)
        posix_seen_kind(node, kind);
    return kind;
}

PosixAclKind
posix_acl_kind(PosixStore *store, PosixNode *node, const struct statx *st, LaresAcl **acl)
{
    return find_kind(store, node, st, FALSE, acl);
}

gboolean
posix_acl_is_ours(PosixStore *store, PosixNode *node, LaresAcl **acl)
{
    if (acl)
        *acl = NULL;
    if (store->privileged && had_none_lately(node, NULL))
        return FALSE;
    return find_kind(store, node, NULL, TRUE, acl) == POSIX_ACL_OURS;
}

static void
forget(PosixNode *node)
{
    g_mutex_lock(&node->lock);
    node->acl_kind = POSIX_ACL_UNKNOWN;
    g_clear_pointer(&node->acl, lares_acl_free);
    g_mutex_unlock(&node->lock);
}

int
posix_acl_write(PosixStore *store, PosixNode *node, const LaresAcl *acl)
{
    char path[POSIX_FD_PATH];
    int err = 0, fd = posix_node_fd(node);
    if (fd < 0)
        return errno;
    posix_fd_path(fd, path);
    if (acl) {
        g_autoptr(GBytes) bytes = lares_acl_serialize(acl);
        gsize size;
        const void *data = g_bytes_get_data(bytes, &size);
        if (setxattr(path, store->acl_name, data, size, 0) != 0)
            err = errno;
    } else if (removexattr(path, store->acl_name) != 0 && errno != ENODATA && errno != EOPNOTSUPP) {
        err = errno;
    }
    g_atomic_int_inc(writes_of(node));
    forget(node);
    posix_node_changed(node);
    return err;
}

LaresStatus
posix_get_acl(LaresStore *base, LaresNode *node, LaresAcl **acl)
{
    struct statx st;
    int err = posix_stat(posix_node(node), &st);
    if (err)
        return lares_status_from_errno(err);
    if (posix_acl_kind(POSIX_STORE(base), posix_node(node), &st, acl) != POSIX_ACL_OURS)
        *acl = lares_acl_from_mode(st.stx_mode, node->type == LARES_TYPE_DIRECTORY);
    return LARES_OK;
}

static gboolean
can_be_kept(const LaresAcl *acl)
{
    if (acl->n > LARES_ACL_MAX)
        return FALSE;
    for (uint32_t i = 0; i < acl->n; i++)
        if (acl->ace[i].flags & ~0xffu || acl->ace[i].type > LARES_ACE_ALARM || acl->ace[i].who > LARES_WHO_EVERYONE)
            return FALSE;
    return TRUE;
}

/* The order matters: while the two differ, the stricter reading must hold. The attribute decides for our callers, so it
 * is written first when it is there to stay, and the mode is put in step behind it. */
LaresStatus
posix_set_acl(LaresStore *base, const LaresCred *cred, LaresNode *node, const LaresAcl *acl)
{
    PosixStore *store = POSIX_STORE(base);
    PosixNode *pn = posix_node(node);
    gboolean directory = node->type == LARES_TYPE_DIRECTORY;
    struct statx st;
    if (node->type == LARES_TYPE_SYMLINK || !can_be_kept(acl))
        return node->type == LARES_TYPE_SYMLINK ? LARES_NOTSUPP : LARES_INVAL;
    int err = posix_stat(pn, &st);
    if (err)
        return lares_status_from_errno(err);
    gboolean owner = posix_is_owner(store, cred, &st);
    if (!owner) {
        LaresStatus status = posix_may(store, cred, pn, LARES_MASK_WRITE_ACL);
        if (status != LARES_OK)
            return status == LARES_ACCESS ? LARES_PERM : status;
    }
    uint32_t mode = lares_acl_to_mode(acl);
    g_autoptr(LaresAcl) trivial = lares_acl_from_mode(mode, directory);
    const LaresAcl *kept = lares_acl_equal(trivial, acl) ? NULL : acl;
    LaresStatus status = posix_node_ready(pn);
    if (status == LARES_OK)
        status = posix_cred_enter(store, cred);
    if (status != LARES_OK)
        return status;
    if (!owner)
        status = posix_cred_raise(store, POSIX_CAP_OWNER | POSIX_CAP_DAC);
    if (status == LARES_OK && kept)
        status = lares_status_from_errno(posix_acl_write(store, pn, kept));
    if (status == LARES_OK && posix_chmod(store, pn, (st.stx_mode & 07000) | mode) != 0)
        status = lares_status_from_errno(errno);
    if (status == LARES_OK && !kept)
        status = lares_status_from_errno(posix_acl_write(store, pn, NULL));
    posix_cred_leave(store);
    forget(pn);
    posix_node_changed(pn);
    return status;
}
