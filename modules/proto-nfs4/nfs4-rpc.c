/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* RPC calls: parsing, refusing, plain flavors, and the two procedures of NFS version 4.
 *
 * Spec: RFC 5531 8 and 9, RFC 7530 15 */
#include "nfs4-rpc.h"
#include "nfs4-callback.h"
#include "nfs4-gss.h"
#include "nfs4-metrics.h"
#include "nfs4-state.h"

/* ---- Connections ------------------------------------------------------------------------------------------------ */

gpointer
nfs4_rpc_connected(LaresConnection *net, gpointer user)
{
    Nfs4Connection *connection = g_new0(Nfs4Connection, 1);
    connection->service = user;
    connection->net = lares_connection_ref(net);
    g_mutex_init(&connection->lock);
    connection->creds = nfs4_cred_cache_new();
    connection->callbacks = nfs4_callbacks_new();
    nfs4_state_connected(connection);
    g_atomic_int_inc(&connection->service->n_connections);
    return connection;
}

void
nfs4_rpc_closed(LaresConnection *net, gpointer data)
{
    Nfs4Connection *connection = data;
    Nfs4Service *service = connection->service;
    nfs4_callbacks_free(connection->callbacks);
    nfs4_state_closed(connection);
    nfs4_cred_cache_free(connection->creds);
    g_mutex_clear(&connection->lock);
    lares_connection_unref(connection->net);
    g_free(connection);
    g_atomic_int_add(&service->n_connections, -1);
}

/* ---- Replies ---------------------------------------------------------------------------------------------------- */

static LaresWriter *
start_reply(Nfs4Call *call, uint32_t reply_stat)
{
    LaresReply *reply = &call->request->reply;
    lares_reply_rewind(reply, LARES_REPLY_HEAD, 0);
    lares_put_u32(&reply->out, call->xid);
    lares_put_u32(&reply->out, RPC_REPLY);
    lares_put_u32(&reply->out, reply_stat);
    return &reply->out;
}

void
nfs4_rpc_accepted(Nfs4Call *call, uint32_t verf_flavor, const uint8_t *verf, size_t verf_len, uint32_t stat)
{
    LaresWriter *out = start_reply(call, RPC_MSG_ACCEPTED);
    lares_put_u32(out, verf_flavor);
    lares_put_opaque(out, verf, verf_len);
    lares_put_u32(out, stat);
    if (stat == RPC_PROG_MISMATCH) {
        lares_put_u32(out, NFS4_VERSION);
        lares_put_u32(out, NFS4_VERSION);
    }
}

void
nfs4_rpc_denied(Nfs4Call *call, uint32_t auth_stat)
{
    LaresWriter *out = start_reply(call, RPC_MSG_DENIED);
    lares_put_u32(out, RPC_AUTH_ERROR);
    lares_put_u32(out, auth_stat);
}

static void
answer_rpc_mismatch(Nfs4Call *call)
{
    LaresWriter *out = start_reply(call, RPC_MSG_DENIED);
    lares_put_u32(out, RPC_MISMATCH);
    lares_put_u32(out, 2);
    lares_put_u32(out, 2);
}

/* ---- Procedures ------------------------------------------------------------------------------------------------- */

uint32_t
nfs4_rpc_check_procedure(const Nfs4Call *call)
{
    if (call->program != NFS4_PROGRAM)
        return RPC_PROG_UNAVAIL;
    if (call->version != NFS4_VERSION)
        return RPC_PROG_MISMATCH;
    return call->proc > NFS4_PROC_COMPOUND ? RPC_PROC_UNAVAIL : RPC_SUCCESS;
}

static void
count_null(LaresRequest *request)
{
    lares_operations_count(nfs4_operations, NFS4_COUNT_NULL, LARES_OUTCOME_OK);
    request->operations = nfs4_operations;
    request->operation = NFS4_COUNT_NULL;
}

Nfs4Run
nfs4_rpc_run(Nfs4Call *call, const Nfs4Login *login, gboolean allow_ranges)
{
    LaresRequest *request = call->request;
    if (call->proc == NFS4_PROC_NULL) {
        count_null(request);
        return NFS4_RUN_ANSWER;
    }
    Nfs4Compound c = {
        .service = call->connection->service,
        .connection = call->connection,
        .arena = request->arena,
        .caller = {login->identity, login->flavor, lares_connection_peer(call->connection->net), "nfs4",
                   request->arena},
        .principal = login->principal,
        .machine_principal = login->machine,
        .in = &call->in,
        .reply = &request->reply,
        .out = &request->reply.out,
        .allow_ranges = allow_ranges,
        .call_overhead = (size_t)(call->in.at - request->data),
        .reply_overhead = request->reply.out.len - LARES_REPLY_HEAD,
    };
    Nfs4Run run = nfs4_compound_run(&c);
    request->reply.serial = c.serial;
    request->operations = nfs4_operations;
    request->operation = c.about;
    return run;
}

static void
serve_plain(Nfs4Call *call)
{
    Nfs4Login login = {NULL};
    uint32_t auth_stat;
    uint32_t stat = nfs4_rpc_check_procedure(call);
    nfs4_rpc_accepted(call, RPC_FLAVOR_NONE, NULL, 0, stat);
    if (stat == RPC_SUCCESS && call->proc == NFS4_PROC_NULL)
        count_null(call->request);
    if (stat != RPC_SUCCESS || call->proc == NFS4_PROC_NULL)
        return; /* the NULL procedure asks for no credential: RFC 5531 12.1 */
    if (!nfs4_cred_login(call, &login, &auth_stat)) {
        nfs4_rpc_denied(call, auth_stat);
        return;
    }
    Nfs4Run run = nfs4_rpc_run(call, &login, TRUE);
    nfs4_login_clear(&login);
    if (run == NFS4_RUN_GARBAGE)
        nfs4_rpc_accepted(call, RPC_FLAVOR_NONE, NULL, 0, RPC_GARBAGE_ARGS);
    else if (run == NFS4_RUN_DROP)
        lares_reply_rewind(&call->request->reply, LARES_REPLY_HEAD, 0);
}

/* ---- The way in ------------------------------------------------------------------------------------------------- */

/* FALSE: this is no RPC call at all. *rpc_version is told apart because it has an answer of its own. */
static gboolean
parse_call(Nfs4Call *call, uint32_t *rpc_version)
{
    LaresReader *in = &call->in;
    *rpc_version = lares_get_u32(in);
    if (in->failed || *rpc_version != 2)
        return !in->failed;
    call->program = lares_get_u32(in);
    call->version = lares_get_u32(in);
    call->proc = lares_get_u32(in);
    call->flavor = lares_get_u32(in);
    call->cred = lares_get_opaque(in, RPC_MAX_AUTH, &call->cred_len);
    call->header_len = (size_t)(in->at - call->request->data);
    call->verf_flavor = lares_get_u32(in);
    call->verf = lares_get_opaque(in, RPC_MAX_AUTH, &call->verf_len);
    return !in->failed;
}

void
nfs4_rpc_request(LaresRequest *request, gpointer data)
{
    uint32_t rpc_version;
    Nfs4Call call = {.connection = data, .request = request, .in = lares_reader(request->data, request->len)};
    call.xid = lares_get_u32(&call.in);
    uint32_t type = lares_get_u32(&call.in);
    if (!call.in.failed && type == RPC_REPLY) {
        nfs4_callback_reply(call.connection, call.xid, &call.in);
        return;
    }
    if (call.in.failed || type != RPC_CALL || !parse_call(&call, &rpc_version)) {
        lares_log_limited(LARES_LOG_INFO, "nfs4", "%s sent something that is no RPC call; connection closed",
                          lares_connection_peer(call.connection->net)->address);
        lares_connection_close(call.connection->net);
        return;
    }
    if (rpc_version != 2)
        answer_rpc_mismatch(&call);
    else if (call.flavor == RPC_FLAVOR_GSS)
        nfs4_gss_serve(&call);
    else
        serve_plain(&call);
}
