/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* LOCK: a byte range, for a lock owner that is new to the file or known already.
 *
 * Waiting kinds (READW, WRITEW) are answered at once too: clients ask again (RFC 7530 9.4).
 *
 * Spec: RFC 7530 16.10, RFC 8881 18.10 */
#include "nfs4-lock.h"
#include "nfs4-ops.h"

typedef struct {
    LaresRange range;
    gboolean reclaim, new_owner;
    uint32_t open_seqid, lock_seqid;
    Nfs4Stateid stateid; /* of the open for a new owner, of the lock otherwise */
    uint64_t clientid;
    const uint8_t *owner;
    size_t owner_len;
} Args;

static void
get_args(LaresReader *in, Args *args)
{
    nfs4_get_lock_type(in, &args->range.write);
    args->reclaim = lares_get_bool(in);
    args->range.start = lares_get_u64(in);
    args->range.length = lares_get_u64(in);
    args->new_owner = lares_get_bool(in);
    if (args->new_owner) {
        args->open_seqid = lares_get_u32(in);
        nfs4_get_stateid(in, &args->stateid);
        args->lock_seqid = lares_get_u32(in);
        args->clientid = lares_get_u64(in);
        args->owner = lares_get_opaque(in, NFS4_OPAQUE_LIMIT, &args->owner_len);
    } else {
        nfs4_get_stateid(in, &args->stateid);
        args->lock_seqid = lares_get_u32(in);
    }
}

static uint32_t
check_grace(Nfs4Client *client, gboolean reclaim)
{
    Nfs4Recovery *recovery = client->state->recovery;
    if (!reclaim)
        return nfs4_recovery_in_grace(recovery) ? NFS4ERR_GRACE : NFS4_OK;
    g_mutex_lock(&client->lock);
    gboolean complete = client->reclaim_complete;
    g_mutex_unlock(&client->lock);
    if (complete || !nfs4_recovery_in_grace(recovery))
        return NFS4ERR_NO_GRACE;
    return nfs4_recovery_may_reclaim(recovery, client) ? NFS4_OK : NFS4ERR_RECLAIM_BAD;
}

static uint32_t
set_lock(Nfs4Compound *c, Nfs4Owner *owner, LaresOpen *open, const Args *args)
{
    uint32_t status = check_grace(owner->client, args->reclaim);
    if (status == NFS4_OK)
        status = nfs4_check_range(args->range.start, args->range.length);
    if (status != NFS4_OK)
        return status;
    LaresLockOwner who = nfs4_owner_for_lock(owner);
    LaresLockConflict conflict;
    g_autoptr(GBytes) name = NULL;
    LaresStatus set = lares_lock_set_named(open, &who, &args->range, &conflict, &name);
    if (set == LARES_DENIED && args->reclaim)
        return NFS4ERR_RECLAIM_CONFLICT;
    if (set == LARES_DENIED) {
        nfs4_put_denied(c, &conflict, name);
        return NFS4ERR_DENIED;
    }
    if (set == LARES_TOO_MANY)
        return nfs4_client_full(c, owner->client, "max-locks");
    if (set == LARES_STALE) /* closed meanwhile: the stateid is bad, not the file's handle */
        return NFS4ERR_BAD_STATEID;
    return nfs4_lock_status(c, set);
}

/* Was the stateid freed while the lock was set? Its owner may go any moment: the lock must not outlive it. */
static gboolean
freed_meanwhile(Nfs4Grant *grant)
{
    g_mutex_lock(&grant->client->lock);
    gboolean gone = grant->gone;
    g_mutex_unlock(&grant->client->lock);
    if (gone)
        lares_lock_drop_owner(grant->open, grant->owner);
    return gone;
}

static void
put_result(Nfs4Compound *c, const Nfs4Stateid *stateid)
{
    nfs4_put_stateid(c->out, stateid);
    nfs4_set_current_stateid(c, stateid);
}

/* The lock owner's stateid for the open's file. BAD_STATEID when the open was closed meanwhile, and the lock with it: a
 * stateid that hangs on it now would never end. */
static uint32_t
give_stateid(Nfs4Owner *owner, Nfs4Grant *open_grant, Nfs4Stateid *stateid)
{
    Nfs4Client *client = owner->client;
    g_mutex_lock(&client->lock);
    if (open_grant->gone) {
        g_mutex_unlock(&client->lock);
        return NFS4ERR_BAD_STATEID;
    }
    Nfs4Grant *grant = nfs4_grant_of(owner, open_grant);
    gboolean known = grant != NULL;
    if (!known) {
        grant = nfs4_grant_add(owner, NFS4_GRANT_LOCK, open_grant->open, open_grant);
    }
    g_mutex_unlock(&client->lock);
    *stateid = known ? nfs4_grant_bump(grant) : nfs4_grant_stateid(grant);
    nfs4_grant_unref(grant);
    return NFS4_OK;
}

static gboolean
has_state(Nfs4Owner *owner)
{
    g_mutex_lock(&owner->client->lock);
    gboolean has = owner->grants.length > 0;
    g_mutex_unlock(&owner->client->lock);
    return has;
}

/* RFC 7530 16.10.5: a lock owner that has state for the file already must use that. The owner is busy. */
static uint32_t
check_new_owner(const Nfs4Compound *c, Nfs4Owner *owner, Nfs4Grant *open_grant, const Args *args)
{
    if (c->minor > 0)
        return NFS4_OK;
    g_mutex_lock(&owner->client->lock);
    Nfs4Grant *known = nfs4_grant_of(owner, open_grant);
    g_mutex_unlock(&owner->client->lock);
    if (known)
        nfs4_grant_unref(known);
    if (known || (owner->used && has_state(owner) && args->lock_seqid != owner->seqid + 1))
        return NFS4ERR_BAD_SEQID;
    return NFS4_OK;
}

/* The owner is busy: in 4.0 nothing else of its sequence runs meanwhile. */
static uint32_t
lock_first(Nfs4Compound *c, Nfs4Owner *owner, Nfs4Grant *open_grant)
{
    const Args *args = c->op_data;
    uint32_t status = check_new_owner(c, owner, open_grant, args);
    if (status == NFS4_OK) {
        status = set_lock(c, owner, open_grant->open, args);
        /* One that was refused its first lock may be forgotten by the client and come back with any number. */
        if (c->minor == 0 && (status == NFS4_OK || has_state(owner))) {
            owner->used = TRUE;
            owner->seqid = args->lock_seqid;
            owner->last_op = OP_ILLEGAL; /* a retry comes under the open owner's number */
        }
    }
    if (status == NFS4_OK) {
        Nfs4Stateid stateid;
        status = give_stateid(owner, open_grant, &stateid);
        if (status == NFS4_OK)
            put_result(c, &stateid);
    }
    return status;
}

/* First lock of an owner in this file: comes with the open's stateid. */
static uint32_t
lock_new_owner(Nfs4Compound *c, Nfs4Grant *open_grant)
{
    const Args *args = c->op_data;
    Nfs4Owner *owner = nfs4_owner_get(c, open_grant->client, TRUE, args->owner, args->owner_len, TRUE);
    if (!owner)
        return nfs4_client_full(c, open_grant->client, "max-owners");
    g_mutex_lock(&owner->busy); /* below the open owner, which is busy with this request too */
    uint32_t status = lock_first(c, owner, open_grant);
    g_mutex_unlock(&owner->busy);
    nfs4_owner_unref(owner);
    return status;
}

static uint32_t
lock_known_owner(Nfs4Compound *c, Nfs4Grant *grant)
{
    uint32_t status = set_lock(c, grant->owner, grant->open, c->op_data);
    if (status == NFS4_OK && freed_meanwhile(grant))
        status = NFS4ERR_BAD_STATEID;
    if (status == NFS4_OK) {
        Nfs4Stateid stateid = nfs4_grant_bump(grant);
        put_result(c, &stateid);
    }
    return status;
}

uint32_t
nfs4_op_lock(Nfs4Compound *c)
{
    Args args = {0};
    get_args(c->in, &args);
    if (c->in->failed)
        return NFS4ERR_BADXDR;
    uint32_t status = nfs4_need_regular(c, &c->current);
    if (status != NFS4_OK)
        return status;
    c->op_data = &args;
    if (args.new_owner)
        return nfs4_seqid_op(c, &args.stateid, args.open_seqid, NFS4_GRANT_OPEN, lock_new_owner);
    return nfs4_seqid_op(c, &args.stateid, args.lock_seqid, NFS4_GRANT_LOCK, lock_known_owner);
}
