/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SEQUENCE: the request's place in its session; a retry gets the kept reply.
 *
 * Spec: RFC 8881 18.46, 2.10.6 */
#include "nfs4-ops.h"
#include "nfs4-session-step.h"
#include "nfs4-state-private.h"

typedef struct {
    const uint8_t *id;
    uint32_t seqid, slot, highest;
    gboolean cachethis;
} Args;

/* A digest can be made to match, a name cannot. */
static gboolean
same_caller(const Nfs4Compound *c, const Nfs4Slot *slot)
{
    return slot->principal && slot->flavor == c->caller.flavor && strcmp(slot->principal, c->principal) == 0;
}

static void
note_caller(const Nfs4Compound *c, Nfs4Slot *slot)
{
    if (same_caller(c, slot))
        return;
    g_free(slot->principal);
    slot->principal = g_strdup(c->principal);
    slot->flavor = c->caller.flavor;
}

/* The same number again: the kept reply, if it is the same request of the same caller. Session locked. */
static uint32_t
retry(Nfs4Compound *c, const Nfs4Slot *slot, uint64_t request)
{
    if (slot->digest != request || !same_caller(c, slot))
        return NFS4ERR_SEQ_FALSE_RETRY;
    if (!slot->has_reply)
        return NFS4ERR_RETRY_UNCACHED_REP;
    c->replay = lares_arena_memdup(c->arena, slot->reply, slot->reply_len);
    c->replay_len = slot->reply_len;
    return NFS4_REPLAY;
}

static uint32_t
take_slot(Nfs4Compound *c, Nfs4Session *session, const Args *args)
{
    uint32_t status = NFS4_OK;
    uint64_t request = nfs4_digest(c->op_count, c->request, c->request_len);
    g_mutex_lock(&session->lock);
    Nfs4Slot *slot = &session->slot[args->slot];
    switch (nfs4_slot_step(slot->busy, slot->seqid, args->seqid)) {
    case NFS4_SLOT_RUN:
        slot->busy = TRUE;
        slot->seqid = args->seqid;
        slot->has_reply = FALSE;
        slot->digest = request;
        note_caller(c, slot);
        c->slot = slot;
        break;
    case NFS4_SLOT_RETRY:
        status = retry(c, slot, request);
        break;
    case NFS4_SLOT_BUSY:
        status = NFS4ERR_DELAY;
        break;
    case NFS4_SLOT_MISORDERED:
        status = NFS4ERR_SEQ_MISORDERED;
        break;
    }
    g_mutex_unlock(&session->lock);
    return status;
}

/* What the session agreed on (RFC 8881 18.46.3). */
static uint32_t
check_limits(const Nfs4Compound *c, const Nfs4Session *session, const Args *args)
{
    if (args->slot >= session->n_slots)
        return NFS4ERR_BADSLOT;
    if (c->op_count > session->fore.max_ops)
        return NFS4ERR_TOO_MANY_OPS;
    if (c->request_len + c->call_overhead > session->fore.max_request)
        return NFS4ERR_REQ_TOO_BIG;
    return NFS4_OK;
}

static void
put_result(Nfs4Compound *c, const Nfs4Session *session, const Args *args)
{
    lares_put_bytes(c->out, args->id, NFS4_SESSIONID);
    lares_put_u32(c->out, args->seqid);
    lares_put_u32(c->out, args->slot);
    lares_put_u32(c->out, session->n_slots - 1);
    lares_put_u32(c->out, session->n_slots - 1);
    lares_put_u32(c->out, 0);
}

static size_t
less(size_t limit, size_t overhead)
{
    return limit > overhead ? limit - overhead : 0;
}

uint32_t
nfs4_op_sequence(Nfs4Compound *c)
{
    Args args;
    args.id = lares_get_bytes(c->in, NFS4_SESSIONID);
    args.seqid = lares_get_u32(c->in);
    args.slot = lares_get_u32(c->in);
    args.highest = lares_get_u32(c->in);
    args.cachethis = lares_get_bool(c->in);
    if (c->in->failed)
        return NFS4ERR_BADXDR;
    if (c->op_index != 0)
        return NFS4ERR_SEQUENCE_POS;
    Nfs4Session *session = nfs4_session_find(c->service->state, args.id);
    if (!session)
        return NFS4ERR_BADSESSION;
    uint32_t status = check_limits(c, session, &args);
    if (status == NFS4_OK)
        status = take_slot(c, session, &args);
    if (status != NFS4_OK) {
        nfs4_session_unref(session);
        return status;
    }
    nfs4_client_renew(session->client);
    c->session = session;
    c->cachethis = args.cachethis;
    c->reply_limit = less(session->fore.max_response, c->reply_overhead);
    c->cache_limit = less(session->fore.max_cached, c->reply_overhead);
    put_result(c, session, &args);
    return NFS4_OK;
}
