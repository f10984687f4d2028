/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* OPEN: its arguments, its claims, and the checks that stand before opening (nfs4-open.c).
 *
 * Spec: RFC 7530 16.16, RFC 8881 18.16 */
#include "nfs4-open.h"
#include "nfs4-ops.h"

#define WANT_BITS                                                                                                      \
    (OPEN4_SHARE_ACCESS_WANT_DELEG_MASK | OPEN4_SHARE_ACCESS_WANT_SIGNAL_DELEG_WHEN_RESRC_AVAIL |                      \
     OPEN4_SHARE_ACCESS_WANT_PUSH_DELEG_WHEN_UNCONTENDED)

static void
get_how(Nfs4Compound *c, Nfs4OpenArgs *args)
{
    LaresReader *in = c->in;
    args->how = lares_get_u32(in);
    switch (args->how) {
    case UNCHECKED4:
    case GUARDED4:
        args->attr_status = nfs4_fattr_decode(c, NFS4_FATTR_CREATE, &args->attrs);
        break;
    case EXCLUSIVE4:
        args->verifier = lares_get_bytes(in, NFS4_VERIFIER_SIZE);
        break;
    case EXCLUSIVE4_1:
        if (c->minor == 0) {
            in->failed = TRUE;
            break;
        }
        args->verifier = lares_get_bytes(in, NFS4_VERIFIER_SIZE);
        args->attr_status = nfs4_fattr_decode(c, NFS4_FATTR_EXCLUSIVE, &args->attrs);
        break;
    default:
        in->failed = TRUE;
    }
}

static void
get_claim(Nfs4Compound *c, Nfs4OpenArgs *args)
{
    LaresReader *in = c->in;
    args->claim = lares_get_u32(in);
    switch (args->claim) {
    case CLAIM_NULL:
    case CLAIM_DELEGATE_PREV:
        nfs4_get_name_bytes(in, &args->name, &args->name_len);
        break;
    case CLAIM_PREVIOUS:
        args->delegate_type = lares_get_u32(in);
        break;
    case CLAIM_DELEGATE_CUR:
        nfs4_get_stateid(in, &args->delegate_stateid);
        nfs4_get_name_bytes(in, &args->name, &args->name_len);
        break;
    case CLAIM_DELEG_CUR_FH:
        nfs4_get_stateid(in, &args->delegate_stateid);
        /* fall through */
    case CLAIM_FH:
    case CLAIM_DELEG_PREV_FH:
        if (c->minor == 0)
            in->failed = TRUE;
        break;
    default:
        in->failed = TRUE;
    }
}

static uint32_t
get_args(Nfs4Compound *c, Nfs4OpenArgs *args)
{
    LaresReader *in = c->in;
    args->seqid = lares_get_u32(in);
    args->access = lares_get_u32(in);
    args->deny = lares_get_u32(in);
    args->clientid = lares_get_u64(in);
    args->owner = lares_get_opaque(in, NFS4_OPAQUE_LIMIT, &args->owner_len);
    uint32_t opentype = lares_get_u32(in);
    if (opentype == OPEN4_CREATE) {
        args->create = TRUE;
        get_how(c, args);
    } else if (opentype != OPEN4_NOCREATE) {
        in->failed = TRUE;
    }
    if (args->attr_status != NFS4ERR_BADXDR)
        get_claim(c, args);
    if (in->failed)
        return NFS4ERR_BADXDR;
    return args->attr_status == NFS4ERR_BADXDR ? NFS4ERR_BADXDR : NFS4_OK;
}

static uint32_t
check_modes(const Nfs4Compound *c, Nfs4OpenArgs *args)
{
    if (c->minor > 0)
        args->access &= ~(uint32_t)WANT_BITS;
    if (args->access == 0 || args->access > OPEN4_SHARE_ACCESS_BOTH || args->deny > OPEN4_SHARE_DENY_BOTH)
        return NFS4ERR_INVAL;
    return NFS4_OK;
}

/* Reclaims in the grace period, everything else outside it (RFC 7530 9.6.2, RFC 8881 8.4.2.1). */
static uint32_t
check_grace(const Nfs4Compound *c, Nfs4Client *client, gboolean reclaim)
{
    Nfs4Recovery *recovery = client->state->recovery;
    g_mutex_lock(&client->lock);
    gboolean complete = client->reclaim_complete;
    g_mutex_unlock(&client->lock);
    if (reclaim) {
        if (complete || !nfs4_recovery_in_grace(recovery))
            return NFS4ERR_NO_GRACE;
        return nfs4_recovery_may_reclaim(recovery, client) ? NFS4_OK : NFS4ERR_RECLAIM_BAD;
    }
    if (nfs4_recovery_in_grace(recovery) || (c->minor > 0 && !complete))
        return NFS4ERR_GRACE;
    return NFS4_OK;
}

static uint32_t
run_claim(Nfs4Compound *c, Nfs4Owner *owner, Nfs4OpenArgs *args, Nfs4OpenResult *result)
{
    uint32_t status = check_grace(c, owner->client, args->claim == CLAIM_PREVIOUS);
    if (status != NFS4_OK)
        return status;
    switch (args->claim) {
    case CLAIM_NULL:
        return nfs4_open_name(c, owner, args, result);
    case CLAIM_PREVIOUS:
        if (args->create)
            return NFS4ERR_INVAL;
        if (args->delegate_type != OPEN_DELEGATE_NONE)
            return NFS4ERR_RECLAIM_BAD; /* none was ever given */
        return nfs4_open_object(c, owner, args, &c->current, result);
    case CLAIM_FH:
        return args->create ? NFS4ERR_INVAL : nfs4_open_object(c, owner, args, &c->current, result);
    case CLAIM_DELEGATE_CUR:
    case CLAIM_DELEG_CUR_FH:
        return NFS4ERR_BAD_STATEID; /* no stateid of ours is a delegation */
    default:
        return NFS4ERR_NOTSUPP;
    }
}

static void
put_result(Nfs4Compound *c, const Nfs4Owner *owner, const Nfs4OpenResult *result)
{
    uint32_t flags = OPEN4_RESULT_LOCKTYPE_POSIX;
    if (c->minor == 0 && !owner->confirmed)
        flags |= OPEN4_RESULT_CONFIRM;
    nfs4_put_stateid(c->out, &result->stateid);
    nfs4_put_change_info(c->out, &result->info);
    lares_put_u32(c->out, flags);
    nfs4_bitmap_put(c->out, &result->attrset);
    lares_put_u32(c->out, OPEN_DELEGATE_NONE);
}

static uint32_t
run(Nfs4Compound *c, Nfs4Owner *owner, Nfs4OpenArgs *args)
{
    Nfs4OpenResult result = {0};
    uint32_t status = check_modes(c, args);
    if (status == NFS4_OK)
        status = args->attr_status;
    if (status == NFS4_OK)
        status = run_claim(c, owner, args, &result);
    if (status == NFS4_OK) {
        if (c->minor == 0 && args->claim == CLAIM_PREVIOUS) /* confirmed before the restart (RFC 7530 9.1.11) */
            owner->confirmed = TRUE;
        put_result(c, owner, &result);
        nfs4_set_current_within(c, &result.object);
        nfs4_set_current_stateid(c, &result.stateid);
    }
    lares_object_clear(&result.object);
    if (result.grant)
        nfs4_grant_unref(result.grant);
    return status;
}

/* 4.0: requests of one owner in sequence. */
static uint32_t
run_in_sequence(Nfs4Compound *c, Nfs4Client *client, Nfs4OpenArgs *args)
{
    if (!client->v40 || !g_atomic_int_get(&client->confirmed))
        return NFS4ERR_STALE_CLIENTID;
    nfs4_client_renew(client);
    Nfs4Owner *owner = nfs4_owner_get(c, client, FALSE, args->owner, args->owner_len, TRUE);
    if (!owner)
        return nfs4_client_full(c, client, "max-owners");
    size_t body_at = c->out->len;
    uint32_t status = nfs4_owner_begin_open(c, owner, args->seqid);
    if (status == NFS4_OK)
        status = nfs4_owner_end(c, owner, args->seqid, body_at, run(c, owner, args));
    else if (status == NFS4_OWNER_REPLAYED)
        status = NFS4_OK;
    nfs4_owner_unref(owner);
    return status;
}

static uint32_t
open_with_client(Nfs4Compound *c, Nfs4OpenArgs *args)
{
    if (c->session) {
        Nfs4Owner *owner = nfs4_owner_get(c, c->session->client, FALSE, args->owner, args->owner_len, TRUE);
        if (!owner)
            return nfs4_client_full(c, c->session->client, "max-owners");
        uint32_t status = run(c, owner, args);
        nfs4_owner_unref(owner);
        return status;
    }
    Nfs4Client *client;
    uint32_t status = nfs4_client_by_id(c->service->state, args->clientid, &client);
    if (status != NFS4_OK)
        return status;
    status = run_in_sequence(c, client, args);
    nfs4_client_unref(client);
    return status;
}

uint32_t
nfs4_op_open(Nfs4Compound *c)
{
    Nfs4OpenArgs args = {0};
    uint32_t status = get_args(c, &args);
    if (status == NFS4_OK)
        status = open_with_client(c, &args);
    nfs4_fattr_clear(&args.attrs);
    return status;
}
