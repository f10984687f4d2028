/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* RPCSEC_GSS calls with an established context: header check, sequence window, opening arguments, sealing results.
 *
 * Arguments are opened in place in the record; results are encoded behind room for what wrapping puts before them and
 * sealed in place, so that the reply is one buffer.
 *
 * Spec: RFC 2203 5.3 and 5.4 */
#include "nfs4-gss.h"

/* Kept free behind the results for the trailer of a token or a checksum, more than any mechanism needs. */
#define TRAILER_ROOM 512u

static gboolean
parse_cred(const Nfs4Call *call, Nfs4GssCred *cred)
{
    LaresReader in = lares_reader(call->cred, call->cred_len);
    uint32_t version = lares_get_u32(&in);
    cred->proc = lares_get_u32(&in);
    cred->seq = lares_get_u32(&in);
    cred->service = lares_get_u32(&in);
    cred->handle = lares_get_opaque(&in, lares_reader_left(&in), &cred->handle_len);
    return !in.failed && version == 1 && lares_reader_left(&in) == 0;
}

static gboolean
header_is_genuine(const Nfs4Call *call, Nfs4GssContext *context)
{
    struct iovec iov = {call->request->data, call->header_len};
    return call->verf_flavor == RPC_FLAVOR_GSS &&
           lares_auth_context_verify_mic(context->auth, &iov, 1, call->verf, call->verf_len) == LARES_OK;
}

/* Who calls; takes a reference of the context for it. FALSE with an auth_stat. */
static gboolean
log_in(Nfs4Service *service, Nfs4GssContext *context, const LaresFlavor *flavor, Nfs4Login *login)
{
    g_mutex_lock(&context->lock);
    LaresIdentity *identity = lares_identity_ref(context->identity);
    g_mutex_unlock(&context->lock);
    LaresIdentity *fresh = nfs4_fresh_identity(service, identity);
    if (!fresh) {
        lares_auth_count_refused(flavor->name, "nfs4", LARES_REFUSED_DISABLED);
        return FALSE;
    }
    if (fresh != identity) {
        LaresIdentity *kept = lares_identity_ref(fresh);
        g_mutex_lock(&context->lock);
        LaresIdentity *old = context->identity;
        context->identity = kept;
        g_mutex_unlock(&context->lock);
        lares_identity_unref(old);
    }
    *login = (Nfs4Login){fresh, flavor, context->principal, context->machine, NULL, NULL};
    return TRUE;
}

/* ---- Arguments -------------------------------------------------------------------------------------------------- */

/* Moves call->in to the arguments inside their protection. */
static gboolean
open_arguments(Nfs4Call *call, Nfs4GssContext *context, const Nfs4GssCred *cred)
{
    size_t len, mic_len;
    if (cred->service == GSS_SERVICE_NONE)
        return TRUE;
    const uint8_t *body = lares_get_opaque(&call->in, lares_reader_left(&call->in), &len);
    if (cred->service == GSS_SERVICE_INTEGRITY) {
        const uint8_t *mic = lares_get_opaque(&call->in, lares_reader_left(&call->in), &mic_len);
        if (call->in.failed)
            return FALSE;
        struct iovec iov = {(void *)(uintptr_t)body, len};
        if (lares_auth_context_verify_mic(context->auth, &iov, 1, mic, mic_len) != LARES_OK)
            return FALSE;
        call->in = lares_reader(body, len);
    } else {
        uint8_t *message;
        size_t message_len;
        if (call->in.failed)
            return FALSE;
        /* The record is ours to change (net.h). */
        uint8_t *token = call->request->data + (body - call->request->data);
        if (lares_auth_context_unwrap(context->auth, TRUE, token, len, &message, &message_len) != LARES_OK)
            return FALSE;
        call->in = lares_reader(message, message_len);
    }
    return lares_get_u32(&call->in) == cred->seq && !call->in.failed; /* RFC 2203 5.3.2.2 */
}

/* ---- Results ---------------------------------------------------------------------------------------------------- */

typedef struct {
    size_t length_at; /* of the protected body's length word */
    size_t head;      /* room left for the token's header */
    size_t body;      /* where the sequence number stands */
} Frame;

static void
begin_results(Nfs4Call *call, Nfs4GssContext *context, const Nfs4GssCred *cred, Frame *frame)
{
    LaresWriter *out = &call->request->reply.out;
    size_t tail;
    *frame = (Frame){out->len, 0, out->len};
    if (cred->service == GSS_SERVICE_NONE)
        return;
    lares_put_u32(out, 0);
    if (cred->service == GSS_SERVICE_PRIVACY) {
        lares_auth_context_wrap_size(context->auth, TRUE, 0, &frame->head, &tail);
        lares_put_space(out, frame->head);
    }
    frame->body = out->len;
    lares_put_u32(out, cred->seq);
}

static LaresStatus
seal_integrity(Nfs4GssContext *context, LaresWriter *out, const Frame *frame)
{
    size_t body_len = out->len - frame->body;
    size_t mic_len = lares_auth_context_mic_size(context->auth);
    size_t at = out->len;
    lares_put_u32(out, 0);
    uint8_t *mic = lares_put_space(out, mic_len);
    if (!mic)
        return LARES_SERVERFAULT;
    struct iovec iov = {out->base + frame->body, body_len};
    LaresStatus status = lares_auth_context_get_mic(context->auth, &iov, 1, mic, &mic_len);
    if (status != LARES_OK)
        return status;
    lares_writer_rewind(out, at + 4 + mic_len);
    lares_put_bytes(out, "\0\0\0", -mic_len & 3);
    lares_patch_u32(out, at, (uint32_t)mic_len);
    lares_patch_u32(out, frame->length_at, (uint32_t)body_len);
    return out->failed ? LARES_SERVERFAULT : LARES_OK;
}

static LaresStatus
seal_privacy(Nfs4GssContext *context, LaresWriter *out, const Frame *frame)
{
    size_t head, tail, len = out->len - frame->body, body = frame->length_at + 4;
    lares_auth_context_wrap_size(context->auth, TRUE, len, &head, &tail);
    size_t token_len = head + len + tail;
    size_t more = body + token_len > out->len ? body + token_len - out->len : 0;
    if (more && !lares_put_space(out, more))
        return LARES_SERVERFAULT;
    if (head != frame->head) /* a mechanism whose header depends on the length */
        memmove(out->base + body + head, out->base + frame->body, len);
    LaresStatus status = lares_auth_context_wrap(context->auth, TRUE, out->base + body + head, len);
    if (status != LARES_OK)
        return status;
    lares_writer_rewind(out, body + token_len);
    lares_put_bytes(out, "\0\0\0", -token_len & 3);
    lares_patch_u32(out, frame->length_at, (uint32_t)token_len);
    return out->failed ? LARES_SERVERFAULT : LARES_OK;
}

static LaresStatus
seal_results(Nfs4Call *call, Nfs4GssContext *context, const Nfs4GssCred *cred, const Frame *frame)
{
    LaresWriter *out = &call->request->reply.out;
    if (cred->service == GSS_SERVICE_NONE)
        return LARES_OK;
    if (out->failed)
        return LARES_SERVERFAULT;
    return cred->service == GSS_SERVICE_INTEGRITY ? seal_integrity(context, out, frame)
                                                  : seal_privacy(context, out, frame);
}

/* ---- Serving ---------------------------------------------------------------------------------------------------- */

/* The reply's verifier: a MIC over the sequence number (RFC 2203 5.3.3.2). */
typedef struct {
    uint8_t mic[RPC_MAX_AUTH];
    size_t len;
} Verifier;

static gboolean
make_verifier(Nfs4GssContext *context, uint32_t seq, Verifier *v)
{
    uint32_t word = GUINT32_TO_BE(seq);
    struct iovec iov = {&word, sizeof word};
    v->len = sizeof v->mic;
    return lares_auth_context_mic_size(context->auth) <= sizeof v->mic &&
           lares_auth_context_get_mic(context->auth, &iov, 1, v->mic, &v->len) == LARES_OK;
}

static Nfs4Run
run_protected(Nfs4Call *call, Nfs4GssContext *context, const Nfs4GssCred *cred, const Nfs4Login *login)
{
    LaresWriter *out = &call->request->reply.out;
    Frame frame;
    size_t limit = out->limit;
    begin_results(call, context, cred, &frame);
    out->limit -= MIN(TRAILER_ROOM, limit);
    Nfs4Run run = nfs4_rpc_run(call, login, cred->service == GSS_SERVICE_NONE);
    out->limit = limit;
    if (run != NFS4_RUN_ANSWER)
        return run;
    if (seal_results(call, context, cred, &frame) != LARES_OK) {
        lares_log_limited(LARES_LOG_ERROR, "nfs4", "cannot protect a reply for %s; it is not sent", login->principal);
        return NFS4_RUN_DROP;
    }
    return NFS4_RUN_ANSWER;
}

static void
serve_data(Nfs4Call *call, Nfs4GssContext *context, const Nfs4GssCred *cred)
{
    Nfs4Service *service = call->connection->service;
    Nfs4Login login = {NULL};
    Verifier v;
    Nfs4Run run = NFS4_RUN_GARBAGE;
    uint32_t stat = nfs4_rpc_check_procedure(call);
    if (!make_verifier(context, cred->seq, &v)) {
        nfs4_rpc_denied(call, RPC_GSS_CTXPROBLEM);
        return;
    }
    nfs4_rpc_accepted(call, RPC_FLAVOR_GSS, v.mic, v.len, stat);
    if (stat != RPC_SUCCESS)
        return;
    if (cred->proc == GSS_PROC_DESTROY) {
        nfs4_gss_table_remove(service->gss, context);
        return;
    }
    if (!log_in(service, context, context->flavor[cred->service], &login)) {
        nfs4_rpc_denied(call, RPC_GSS_CREDPROBLEM);
        return;
    }
    if (open_arguments(call, context, cred))
        run = run_protected(call, context, cred, &login);
    else
        lares_auth_count_refused(login.flavor->name, "nfs4", LARES_REFUSED_CREDENTIAL);
    nfs4_login_clear(&login);
    if (run == NFS4_RUN_GARBAGE)
        nfs4_rpc_accepted(call, RPC_FLAVOR_GSS, v.mic, v.len, RPC_GARBAGE_ARGS);
    else if (run == NFS4_RUN_DROP)
        lares_reply_rewind(&call->request->reply, LARES_REPLY_HEAD, 0);
}

static const char *
flavor_name(const Nfs4GssContext *context, const Nfs4GssCred *cred)
{
    const LaresFlavor *flavor = cred->service <= GSS_SERVICE_PRIVACY ? context->flavor[cred->service] : NULL;
    return flavor ? flavor->name : NULL;
}

/* RFC 2203 5.3.3.1 in its order: context, header checksum, sequence number. RPC_AUTH_OK, an auth_stat, or *drop. */
static uint32_t
admit(Nfs4Call *call, Nfs4GssContext *context, const Nfs4GssCred *cred, gboolean *drop)
{
    *drop = FALSE;
    if (context->expiry <= g_get_real_time() / G_USEC_PER_SEC) { /* ends with its ticket */
        lares_auth_count_refused(flavor_name(context, cred), "nfs4", LARES_REFUSED_EXPIRED);
        nfs4_gss_table_remove(call->connection->service->gss, context);
        return RPC_GSS_CTXPROBLEM;
    }
    if (!header_is_genuine(call, context)) {
        lares_auth_count_refused(flavor_name(context, cred), "nfs4", LARES_REFUSED_CREDENTIAL);
        return RPC_GSS_CREDPROBLEM;
    }
    if (cred->seq >= GSS_MAXSEQ)
        return RPC_GSS_CTXPROBLEM;
    g_mutex_lock(&context->lock);
    *drop = !nfs4_gss_window_accept(&context->window, cred->seq);
    g_mutex_unlock(&context->lock);
    if (cred->service < GSS_SERVICE_NONE || cred->service > GSS_SERVICE_PRIVACY || !context->flavor[cred->service])
        return RPC_AUTH_BADCRED;
    if (cred->proc == GSS_PROC_DESTROY && call->proc != NFS4_PROC_NULL)
        return RPC_AUTH_BADCRED;
    return RPC_AUTH_OK;
}

void
nfs4_gss_serve(Nfs4Call *call)
{
    Nfs4GssCred cred;
    gboolean drop;
    if (!parse_cred(call, &cred) || cred.proc > GSS_PROC_DESTROY) {
        nfs4_rpc_denied(call, RPC_AUTH_BADCRED);
        return;
    }
    if (cred.proc == GSS_PROC_INIT || cred.proc == GSS_PROC_CONTINUE_INIT) {
        nfs4_gss_init(call, &cred);
        return;
    }
    Nfs4GssContext *context = nfs4_gss_table_find(call->connection->service->gss, cred.handle, cred.handle_len);
    if (!context) {
        nfs4_rpc_denied(call, RPC_GSS_CREDPROBLEM);
        return;
    }
    uint32_t stat = admit(call, context, &cred, &drop);
    if (drop)
        lares_debug("nfs4", "sequence number %u of %s dropped", cred.seq, context->principal);
    else if (stat != RPC_AUTH_OK)
        nfs4_rpc_denied(call, stat);
    else
        serve_data(call, context, &cred);
    nfs4_gss_context_unref(context);
}
