/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CREATE_SESSION: confirms a client record and makes a session.
 *
 * Spec: RFC 8881 18.36 */
#include "nfs4-ops.h"
#include "nfs4-state-private.h"

#define VALID_FLAGS                                                                                                    \
    (CREATE_SESSION4_FLAG_PERSIST | CREATE_SESSION4_FLAG_CONN_BACK_CHAN | CREATE_SESSION4_FLAG_CONN_RDMA)

typedef struct {
    uint64_t clientid;
    uint32_t seqid, flags, cb_program;
    Nfs4Channel fore, back;
} Args;

/* callback_sec_parms4<>: read and forgotten, as nothing is called back. */
static void
skip_sec_parms(LaresReader *in)
{
    size_t len;
    uint32_t n = lares_get_u32(in);
    for (uint32_t i = 0; i < n && !in->failed; i++) {
        switch (lares_get_u32(in)) {
        case RPC_FLAVOR_NONE:
            break;
        case RPC_FLAVOR_SYS: {
            lares_get_u32(in);
            lares_get_opaque(in, 255, &len);
            lares_get_u32(in);
            lares_get_u32(in);
            uint32_t groups = lares_get_u32(in);
            if (groups > 16)
                in->failed = TRUE;
            else
                lares_get_bytes(in, groups * 4);
            break;
        }
        case RPC_FLAVOR_GSS:
            lares_get_u32(in);
            lares_get_opaque(in, NFS4_OPAQUE_LIMIT, &len);
            lares_get_opaque(in, NFS4_OPAQUE_LIMIT, &len);
            break;
        default:
            in->failed = TRUE;
        }
    }
}

void
nfs4_skip_callback_sec_parms(LaresReader *in)
{
    skip_sec_parms(in);
}

static uint32_t
agree_fore(const Nfs4Settings *settings, Nfs4Channel *channel)
{
    if (channel->max_requests == 0 || channel->max_ops == 0)
        return NFS4ERR_INVAL;
    if (channel->max_request < NFS4_MIN_REQUEST || channel->max_response < NFS4_MIN_RESPONSE)
        return NFS4ERR_TOOSMALL;
    channel->max_request = MIN(channel->max_request, NFS4_MAX_RECORD);
    channel->max_response = MIN(channel->max_response, NFS4_MAX_REPLY);
    channel->max_cached = MIN(channel->max_cached, NFS4_MAX_CACHED);
    channel->max_ops = MIN(channel->max_ops, NFS4_MAX_OPS);
    channel->max_requests = MIN(channel->max_requests, settings->max_slots);
    return NFS4_OK;
}

static void
agree_back(Nfs4Channel *channel)
{
    channel->max_request = MIN(channel->max_request, 64u * 1024u);
    channel->max_response = MIN(channel->max_response, 64u * 1024u);
    channel->max_cached = MIN(channel->max_cached, NFS4_MAX_CACHED);
    channel->max_ops = MIN(channel->max_ops, 16u);
    channel->max_requests = MIN(channel->max_requests, 16u);
}

static void
bind_back(Nfs4Compound *c, Nfs4Session *session)
{
    g_atomic_pointer_set(&c->connection->state, c->service->state); /* so that its end is noticed */
    g_mutex_lock(&session->lock);
    session->backchannel = lares_connection_id(c->connection->net);
    g_mutex_unlock(&session->lock);
}

static void
put_result(Nfs4Compound *c, const Nfs4Session *session, const Args *args)
{
    lares_put_bytes(c->out, session->id, NFS4_SESSIONID);
    lares_put_u32(c->out, args->seqid);
    lares_put_u32(c->out, args->flags & CREATE_SESSION4_FLAG_CONN_BACK_CHAN);
    nfs4_channel_put(c->out, &args->fore);
    nfs4_channel_put(c->out, &args->back);
}

/* The answer to a retry: a lone CREATE_SESSION has no slot (RFC 8881 18.36.4). NFS4_OK: go on. */
static uint32_t
judge_seqid(Nfs4Compound *c, Nfs4Client *client, uint32_t seqid, gboolean *done)
{
    uint32_t status = NFS4_OK;
    g_mutex_lock(&client->lock);
    if (client->create_seen && seqid == client->create_seqid) {
        lares_put_bytes(c->out, client->create_reply, client->create_reply_len);
        status = client->create_status;
        *done = TRUE;
    } else if (seqid != client->create_seqid + 1) {
        status = NFS4ERR_SEQ_MISORDERED;
    } else if (client->create_runs) {
        status = NFS4ERR_DELAY;
    } else {
        client->create_runs = TRUE; /* until keep_result() */
    }
    g_mutex_unlock(&client->lock);
    return status;
}

static void
keep_result(Nfs4Compound *c, Nfs4Client *client, uint32_t seqid, size_t body_at, uint32_t status)
{
    size_t len = status == NFS4_OK ? c->out->len - body_at : 0;
    g_mutex_lock(&client->lock);
    client->create_runs = FALSE;
    client->create_seen = TRUE;
    client->create_seqid = seqid;
    client->create_status = status;
    client->create_reply_len = MIN(len, sizeof client->create_reply);
    memcpy(client->create_reply, c->out->base + body_at, client->create_reply_len);
    g_mutex_unlock(&client->lock);
}

static uint32_t
make_session(Nfs4Compound *c, Nfs4Client *client, Args *args)
{
    Nfs4Session *session;
    uint32_t status = nfs4_session_new(client, &args->fore, &args->back, args->cb_program, &session);
    if (status == NFS4ERR_NOSPC)
        nfs4_client_full(c, client, "max-sessions, max-kept-replies");
    if (status != NFS4_OK)
        return status;
    nfs4_client_confirm(client);
    nfs4_client_renew(client);
    if (args->flags & CREATE_SESSION4_FLAG_CONN_BACK_CHAN)
        bind_back(c, session);
    put_result(c, session, args);
    nfs4_session_unref(session);
    return NFS4_OK;
}

static uint32_t
create(Nfs4Compound *c, Nfs4Client *client, Args *args)
{
    if (client->v40)
        return NFS4ERR_STALE_CLIENTID;
    if (strcmp(client->principal, c->principal) != 0)
        return NFS4ERR_CLID_INUSE;
    uint32_t status = nfs4_client_check_cred(c, client);
    if (status != NFS4_OK)
        return status;
    gboolean done = FALSE;
    status = judge_seqid(c, client, args->seqid, &done);
    if (status != NFS4_OK || done)
        return status;
    size_t body_at = c->out->len;
    if (args->flags & ~(uint32_t)VALID_FLAGS)
        status = NFS4ERR_INVAL;
    if (status == NFS4_OK)
        status = agree_fore(&c->service->settings, &args->fore);
    if (status == NFS4_OK) {
        agree_back(&args->back);
        status = make_session(c, client, args);
    }
    keep_result(c, client, args->seqid, body_at, status);
    return status;
}

uint32_t
nfs4_op_create_session(Nfs4Compound *c)
{
    Args args = {0};
    args.clientid = lares_get_u64(c->in);
    args.seqid = lares_get_u32(c->in);
    args.flags = lares_get_u32(c->in);
    nfs4_channel_get(c->in, &args.fore);
    nfs4_channel_get(c->in, &args.back);
    args.cb_program = lares_get_u32(c->in);
    skip_sec_parms(c->in);
    if (c->in->failed)
        return NFS4ERR_BADXDR;
    Nfs4Client *client;
    uint32_t status = nfs4_client_by_id(c->service->state, args.clientid, &client);
    if (status != NFS4_OK)
        return status;
    status = create(c, client, &args);
    nfs4_client_unref(client);
    return status;
}
