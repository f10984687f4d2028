/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who may do what to a node: our ACL if it has one, else what the kernel says or would say.
 *
 * Privileged: uid 0 passes as in the kernel. On local file systems without a POSIX ACL the mode decides, by the
 * kernel's rule (the first class that matches, path_resolution(7)); everything else is asked of the kernel as the
 * caller. Unprivileged: the daemon's own user has what the kernel gives the daemon. Anybody else gets what "other" has
 * (and the group's bits too, if in the group): the kernel cannot tell them apart, so the least is given.
 *
 * Spec: RFC 8881 6.2.1. */
#include "posix.h"

#include <sys/syscall.h>

#ifndef AT_EACCESS
#define AT_EACCESS 0x200
#endif

#define W_BITS (LARES_MASK_WRITE_DATA | LARES_MASK_APPEND_DATA | LARES_MASK_DELETE_CHILD)
/* What the owner always has, so that nobody is locked out of their own ACL (RFC 8881 6.2.1.3.1 allows it). */
#define OWNER_BITS                                                                                                     \
    (LARES_MASK_READ_ATTRIBUTES | LARES_MASK_WRITE_ATTRIBUTES | LARES_MASK_READ_ACL | LARES_MASK_WRITE_ACL |           \
     LARES_MASK_SYNCHRONIZE)
#define ANYBODY_BITS (LARES_MASK_READ_ATTRIBUTES | LARES_MASK_READ_ACL | LARES_MASK_SYNCHRONIZE)

gboolean
posix_is_root(const PosixStore *store, const LaresCred *cred)
{
    return store->privileged && cred->uid == 0;
}

gboolean
posix_is_owner(const PosixStore *store, const LaresCred *cred, const struct statx *st)
{
    return cred->uid == st->stx_uid || posix_is_root(store, cred);
}

gboolean
posix_in_group(const LaresCred *cred, uint32_t gid)
{
    if (cred->gid == gid)
        return TRUE;
    for (uint32_t i = 0; i < cred->n_groups; i++)
        if (cred->groups[i] == gid)
            return TRUE;
    return FALSE;
}

static uint32_t
mask_of_rwx(uint32_t rwx)
{
    return (rwx & 4 ? LARES_MASK_READ_DATA | LARES_MASK_READ_NAMED_ATTRS : 0) |
           (rwx & 2 ? W_BITS | LARES_MASK_WRITE_NAMED_ATTRS : 0) | (rwx & 1 ? LARES_MASK_EXECUTE : 0);
}

static uint32_t
class_bits(const LaresCred *cred, const struct statx *st)
{
    if (cred->uid == st->stx_uid)
        return st->stx_mode >> 6 & 7;
    if (posix_in_group(cred, st->stx_gid))
        return st->stx_mode >> 3 & 7;
    return st->stx_mode & 7;
}

/* Unprivileged and not the daemon's own user. */
static uint32_t
stranger_bits(const LaresCred *cred, const struct statx *st)
{
    uint32_t bits = st->stx_mode & 7;
    if (posix_in_group(cred, st->stx_gid))
        bits &= st->stx_mode >> 3 & 7;
    return bits;
}

static uint32_t
root_bits(const struct statx *st)
{
    return S_ISDIR(st->stx_mode) || st->stx_mode & 0111 ? 7 : 6;
}

/* Asks the kernel, as the caller. */
static LaresStatus
kernel_bits(PosixStore *store, const LaresCred *cred, PosixNode *node, uint32_t wanted, uint32_t *bits)
{
    static const struct {
        uint32_t mask;
        int mode;
        uint32_t bit;
    } ask[] = {{LARES_MASK_READ_DATA | LARES_MASK_READ_NAMED_ATTRS, R_OK, 4},
               {W_BITS | LARES_MASK_WRITE_NAMED_ATTRS, W_OK, 2},
               {LARES_MASK_EXECUTE, X_OK, 1}};
    LaresStatus status = posix_node_ready(node);
    if (status == LARES_OK)
        status = posix_cred_enter(store, cred);
    if (status != LARES_OK)
        return status;
    *bits = 0;
    for (guint i = 0; i < G_N_ELEMENTS(ask); i++)
        if (wanted & ask[i].mask &&
            syscall(SYS_faccessat2, g_atomic_int_get(&node->fd), "", ask[i].mode, AT_EACCESS | AT_EMPTY_PATH) == 0)
            *bits |= ask[i].bit;
    posix_cred_leave(store);
    return LARES_OK;
}

/* What our ACL gives. */
static uint32_t
acl_allowed(const LaresCred *cred, const struct statx *st, const LaresAcl *acl, uint32_t wanted)
{
    uint32_t allowed =
        lares_acl_allowed(acl, st->stx_uid, st->stx_gid, cred->uid, cred->gid, cred->groups, cred->n_groups, wanted);
    if (cred->uid == st->stx_uid)
        allowed |= wanted & OWNER_BITS;
    return allowed;
}

LaresStatus
posix_allowed(PosixStore *store, const LaresCred *cred, PosixNode *node, const struct statx *st, uint32_t wanted,
              uint32_t *allowed)
{
    if (posix_is_root(store, cred)) {
        uint32_t bits = root_bits(st);
        *allowed = wanted & (mask_of_rwx(bits) | (LARES_MASK_ALL & ~mask_of_rwx(7)));
        return LARES_OK;
    }
    g_autoptr(LaresAcl) acl = NULL;
    PosixAclKind kind = posix_acl_kind(store, node, st, &acl);
    uint32_t bits;
    LaresStatus status = LARES_OK;
    if (kind == POSIX_ACL_OURS) {
        *allowed = acl_allowed(cred, st, acl, wanted);
        return LARES_OK;
    }
    if (!store->privileged && cred->uid != store->self_uid)
        bits = stranger_bits(cred, st);
    else if (kind == POSIX_ACL_NONE && node->mount->plain && store->privileged)
        bits = class_bits(cred, st);
    else
        status = kernel_bits(store, cred, node, wanted, &bits);
    if (status != LARES_OK)
        return status;
    *allowed = wanted & (mask_of_rwx(bits) | ANYBODY_BITS | (cred->uid == st->stx_uid ? OWNER_BITS : 0));
    return LARES_OK;
}

LaresStatus
posix_may(PosixStore *store, const LaresCred *cred, PosixNode *node, uint32_t wanted)
{
    struct statx st;
    uint32_t allowed;
    int err = posix_stat(node, &st);
    if (err)
        return lares_status_from_errno(err);
    LaresStatus status = posix_allowed(store, cred, node, &st, wanted, &allowed);
    if (status == LARES_OK && allowed != wanted)
        status = LARES_ACCESS;
    return status;
}

LaresStatus
posix_may_search(PosixStore *store, const LaresCred *cred, PosixNode *dir)
{
    return lares_store_passes() ? LARES_OK : posix_may(store, cred, dir, LARES_MASK_EXECUTE);
}

gboolean
posix_passes(PosixStore *store, const LaresCred *cred, PosixNode *dir)
{
    return lares_store_passes() && posix_may(store, cred, dir, LARES_MASK_EXECUTE) == LARES_ACCESS;
}

gboolean
posix_decides(const PosixStore *store, const LaresCred *cred, gboolean ours)
{
    if (posix_is_root(store, cred))
        return FALSE;
    return ours || (!store->privileged && cred->uid != store->self_uid);
}

static gboolean
decided_here(PosixStore *store, const LaresCred *cred, PosixNode *node)
{
    return node && !posix_is_root(store, cred) && posix_decides(store, cred, posix_acl_is_ours(store, node, NULL));
}

LaresStatus
posix_guard_decided(PosixStore *store, const LaresCred *cred, gboolean here, PosixNode *a, uint32_t mask_a,
                    PosixNode *b, uint32_t mask_b)
{
    LaresStatus status = LARES_OK;
    if (here) {
        /* The kernel steps back for both, so both must be judged. */
        uint32_t asked = lares_store_passes() ? ~(uint32_t)LARES_MASK_EXECUTE : ~0u;
        status = posix_may(store, cred, a, mask_a & asked);
        if (status == LARES_OK && b)
            status = posix_may(store, cred, b, mask_b & asked);
    }
    if (status == LARES_OK)
        status = posix_cred_enter(store, cred);
    if (status == LARES_OK && here) {
        status = posix_cred_raise(store, POSIX_CAP_DAC);
        if (status != LARES_OK)
            posix_cred_leave(store);
    }
    return status;
}

LaresStatus
posix_guard(PosixStore *store, const LaresCred *cred, PosixNode *a, uint32_t mask_a, PosixNode *b, uint32_t mask_b)
{
    gboolean here = decided_here(store, cred, a) || (b != a && decided_here(store, cred, b)) ||
                    (mask_a & LARES_MASK_EXECUTE && posix_passes(store, cred, a)) ||
                    (b != a && mask_b & LARES_MASK_EXECUTE && posix_passes(store, cred, b));
    return posix_guard_decided(store, cred, here, a, mask_a, b, mask_b);
}

/* The rights that each bit of LaresAccess stands for. With a plain mode DELETE has a meaning for directories only:
 * entries in them may be removed. */
static uint32_t
mask_of_access(uint32_t access, gboolean directory)
{
    switch (access) {
    case LARES_ACCESS_READ:
    case LARES_ACCESS_XAREAD:
    case LARES_ACCESS_XALIST:
        return LARES_MASK_READ_DATA;
    case LARES_ACCESS_WRITE:
    case LARES_ACCESS_XAWRITE:
        return LARES_MASK_WRITE_DATA;
    case LARES_ACCESS_EXECUTE:
        return LARES_MASK_EXECUTE;
    case LARES_ACCESS_DELETE:
        return directory ? LARES_MASK_DELETE_CHILD : LARES_MASK_DELETE;
    case LARES_ACCESS_MODIFY:
        return directory ? LARES_MASK_DELETE_CHILD : LARES_MASK_WRITE_DATA;
    case LARES_ACCESS_EXTEND:
        return directory ? LARES_MASK_WRITE_DATA : LARES_MASK_APPEND_DATA;
    default:
        return 0;
    }
}

LaresStatus
posix_access(LaresStore *base, const LaresCred *cred, LaresNode *node, uint32_t wanted, uint32_t *allowed)
{
    PosixStore *store = POSIX_STORE(base);
    gboolean directory = node->type == LARES_TYPE_DIRECTORY;
    struct statx st;
    uint32_t mask = 0, got = 0;
    *allowed = 0;
    int err = posix_stat(posix_node(node), &st);
    if (err)
        return lares_status_from_errno(err);
    for (uint32_t bit = 1; bit <= LARES_ACCESS_XALIST; bit <<= 1)
        mask |= wanted & bit ? mask_of_access(bit, directory) : 0;
    LaresStatus status = posix_allowed(store, cred, posix_node(node), &st, mask, &got);
    for (uint32_t bit = 1; status == LARES_OK && bit <= LARES_ACCESS_XALIST; bit <<= 1) {
        uint32_t needs = mask_of_access(bit, directory);
        if (wanted & bit && needs && (got & needs) == needs)
            *allowed |= bit;
    }
    return status;
}
