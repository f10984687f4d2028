/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Making RPCSEC_GSS contexts: INIT and CONTINUE_INIT.
 *
 * Spec: RFC 2203 5.2, RFC 2743 3.1 and 1.2.1.1 */
#include "nfs4-gss.h"

/* Calling errors of RFC 2744 3.9.1 in their place in the major status. */
#define GSS_MAJOR_COMPLETE        0u
#define GSS_MAJOR_CONTINUE        1u
#define GSS_MAJOR_BAD_MECH        (1u << 16)
#define GSS_MAJOR_DEFECTIVE_TOKEN (9u << 16)
#define GSS_MAJOR_FAILURE         (13u << 16)
#define GSS_MAJOR_UNAUTHORIZED    (15u << 16)

/* DER length octets; FALSE for indefinite or oversized ones. */
static gboolean
get_der_length(LaresReader *in, size_t *len)
{
    uint8_t first = lares_get_u8(in);
    *len = first;
    if (first < 0x80)
        return !in->failed;
    if (first == 0x80 || first > 0x84)
        return FALSE;
    *len = 0;
    for (int i = 0; i < (first & 0x7f); i++)
        *len = *len << 8 | lares_get_u8(in);
    return !in->failed;
}

/* A Kerberos AP-REQ (RFC 4120 5.5.1: [APPLICATION 14]) that comes without the header of RFC 2743: the first token of a
 * context in DCE style, of three legs ([MS-KILE] 3.4.5.1). MIT's and Windows's acceptors know it by this octet too. */
static gboolean
is_bare_kerberos(const uint8_t *token, size_t len)
{
    return len > 0 && token[0] == 0x6e;
}

gboolean
nfs4_gss_token_mechanism(const uint8_t *token, size_t len, const uint8_t **oid, size_t *oid_len)
{
    static const uint8_t krb5[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02};
    size_t whole;
    LaresReader in = lares_reader(token, len);
    if (is_bare_kerberos(token, len)) {
        *oid = krb5;
        *oid_len = sizeof krb5;
        return TRUE;
    }
    if (lares_get_u8(&in) != 0x60 || !get_der_length(&in, &whole) || whole != lares_reader_left(&in))
        return FALSE;
    if (lares_get_u8(&in) != 0x06 || !get_der_length(&in, oid_len))
        return FALSE;
    *oid = lares_get_bytes(&in, *oid_len);
    return *oid != NULL && *oid_len > 0;
}

/* rpc_gss_init_res. Without `context` it carries no handle. */
static void
put_result(Nfs4Call *call, const Nfs4GssContext *context, uint32_t major, uint32_t minor, GBytes *token)
{
    LaresWriter *out = &call->request->reply.out;
    lares_put_opaque(out, context ? context->handle : NULL, context ? GSS_HANDLE_SIZE : 0);
    lares_put_u32(out, major);
    lares_put_u32(out, minor);
    lares_put_u32(out, GSS_WINDOW);
    lares_put_opaque(out, token ? g_bytes_get_data(token, NULL) : NULL, token ? g_bytes_get_size(token) : 0);
}

static void
answer_plain(Nfs4Call *call, const Nfs4GssContext *context, uint32_t major, uint32_t minor, GBytes *token)
{
    nfs4_rpc_accepted(call, RPC_FLAVOR_NONE, NULL, 0, RPC_SUCCESS);
    put_result(call, context, major, minor, token);
}

/* The verifier proves that the answer's window is ours: a MIC over it (RFC 2203 5.2.3.1). */
static void
answer_established(Nfs4Call *call, const Nfs4GssContext *context, GBytes *token)
{
    uint32_t window = GUINT32_TO_BE(GSS_WINDOW);
    struct iovec iov = {&window, sizeof window};
    uint8_t mic[RPC_MAX_AUTH];
    size_t mic_len = sizeof mic;
    if (lares_auth_context_mic_size(context->auth) > sizeof mic ||
        lares_auth_context_get_mic(context->auth, &iov, 1, mic, &mic_len) != LARES_OK) {
        answer_plain(call, NULL, GSS_MAJOR_FAILURE, 0, NULL);
        return;
    }
    nfs4_rpc_accepted(call, RPC_FLAVOR_GSS, mic, mic_len, RPC_SUCCESS);
    put_result(call, context, GSS_MAJOR_COMPLETE, 0, token);
}

static const LaresFlavor *
any_flavor(const Nfs4GssContext *context, uint32_t service)
{
    if (service >= 1 && service <= 3 && context->flavor[service])
        return context->flavor[service];
    for (int i = 1; i <= 3; i++)
        if (context->flavor[i])
            return context->flavor[i];
    return NULL;
}

static void
established(Nfs4Call *call, Nfs4GssContext *context, const LaresFlavor *flavor, GBytes *token)
{
    Nfs4Service *service = call->connection->service;
    const LaresPeer *peer = lares_connection_peer(call->connection->net);
    if (lares_auth_login(service->host, context->auth, flavor, "nfs4", peer, &context->identity) != LARES_OK) {
        answer_plain(call, NULL, GSS_MAJOR_UNAUTHORIZED, 0, NULL);
        return;
    }
    const LaresAuthPeer *who = lares_auth_context_get_peer(context->auth);
    context->principal =
        g_strdup_printf("%s:%s", lares_auth_provider_get_name(lares_flavor_provider(flavor)), who->principal);
    context->machine = who->machine;
    context->expiry = lares_auth_context_get_expiry(context->auth);
    /* Before the answer: the client's first call may come on another connection at once. */
    nfs4_gss_table_add(service->gss, context);
    answer_established(call, context, token);
}

static void
step(Nfs4Call *call, Nfs4GssContext *context, uint32_t service, const uint8_t *token, size_t len)
{
    const LaresFlavor *flavor = any_flavor(context, service);
    g_autoptr(GBytes) out = NULL;
    g_autofree char *reason = NULL;
    uint32_t major = 0, minor = 0;
    g_mutex_lock(&context->stepping);
    LaresAuthState state = lares_auth_context_step(context->auth, token, len, &out, &reason);
    if (state == LARES_AUTH_FAILED)
        lares_auth_context_get_gss_status(context->auth, &major, &minor);
    g_mutex_unlock(&context->stepping);
    switch (state) {
    case LARES_AUTH_ESTABLISHED:
        established(call, context, flavor, out);
        break;
    case LARES_AUTH_CONTINUE:
        nfs4_gss_table_add_pending(call->connection->service->gss, context);
        answer_plain(call, context, GSS_MAJOR_CONTINUE, 0, out);
        break;
    default:
        lares_auth_refused_as(flavor->name, "nfs4", lares_connection_peer(call->connection->net), NULL,
                              lares_auth_context_get_refused(context->auth), reason ? reason : "token refused");
        answer_plain(call, NULL, major ? major : GSS_MAJOR_FAILURE, minor, out);
    }
}

/* A context for the mechanism of an initial token, or NULL after answering. */
static Nfs4GssContext *
new_context(Nfs4Call *call, const uint8_t *token, size_t len)
{
    const uint8_t *oid;
    size_t oid_len;
    const LaresFlavor *flavor[4] = {NULL}, *one = NULL;
    g_autoptr(GError) error = NULL;
    const LaresPeer *peer = lares_connection_peer(call->connection->net);
    if (!nfs4_gss_token_mechanism(token, len, &oid, &oid_len)) {
        answer_plain(call, NULL, GSS_MAJOR_DEFECTIVE_TOKEN, 0, NULL);
        return NULL;
    }
    for (uint32_t i = 1; i <= 3; i++)
        if ((flavor[i] = lares_flavor_by_gss(oid, oid_len, i)) != NULL)
            one = flavor[i];
    if (!one) {
        answer_plain(call, NULL, GSS_MAJOR_BAD_MECH, 0, NULL);
        return NULL;
    }
    LaresAuthContext *auth = lares_auth_provider_accept(lares_flavor_provider(one), "nfs", peer, &error);
    if (!auth) {
        lares_auth_refused_as(one->name, "nfs4", peer, NULL, LARES_REFUSED_UNAVAILABLE,
                              error ? error->message : "provider unavailable");
        answer_plain(call, NULL, GSS_MAJOR_FAILURE, 0, NULL);
        return NULL;
    }
    Nfs4GssContext *context = nfs4_gss_context_new(auth);
    memcpy(context->flavor, flavor, sizeof flavor);
    return context;
}

void
nfs4_gss_init(Nfs4Call *call, const Nfs4GssCred *cred)
{
    size_t len;
    Nfs4GssContext *context;
    if (call->proc != NFS4_PROC_NULL) { /* RFC 2203 5.2.2: control messages go to the NULL procedure */
        nfs4_rpc_denied(call, RPC_AUTH_BADCRED);
        return;
    }
    const uint8_t *token = lares_get_opaque(&call->in, GSS_MAX_TOKEN, &len);
    if (call->in.failed) {
        nfs4_rpc_accepted(call, RPC_FLAVOR_NONE, NULL, 0, RPC_GARBAGE_ARGS);
        return;
    }
    if (cred->proc == GSS_PROC_INIT) {
        context = new_context(call, token, len);
    } else {
        context = nfs4_gss_table_take_pending(call->connection->service->gss, cred->handle, cred->handle_len);
        if (!context)
            nfs4_rpc_denied(call, RPC_GSS_CREDPROBLEM);
    }
    if (!context)
        return;
    step(call, context, cred->service, token, len);
    nfs4_gss_context_unref(context);
}
