/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The accepting side of SPNEGO over whatever providers are registered.
 *
 * The client's order decides: the first mechanism of its list that a provider can accept is taken. When that is not the
 * first one of the list, its optimistic token is for somebody else and is dropped, and the list has to be confirmed:
 *
 *   phase     token                          answer
 *   START     NegTokenInit, mech first       feed its token; without one: accept-incomplete
 *   START     NegTokenInit, mech later       request-mic; the MIC is needed from here on
 *   START     a mechanism's own token        RAW: fed as it is, answered as it is
 *   MECH      NegTokenResp                   feed its token
 *     mechanism goes on                      accept-incomplete, token; a MIC this early is refused
 *     established, MIC there                 verify; accept-completed, token, our MIC
 *     established, MIC needed, not there     accept-incomplete, token, our MIC; phase MIC
 *     established, no MIC needed             accept-completed, token
 *   MIC       NegTokenResp, MIC only         verify; accept-completed
 *
 * A login that proved nobody (guest, anonymous) has no key that both sides know, so nothing can be confirmed
 * (RFC 4178 5: mechanisms without integrity have no mechListMIC); it gives nothing away that needs a login.
 *
 * Spec: RFC 4178 4, 5; [MS-SPNG] 3.3.5.
 * Thread: step() one at a time; established, everything goes to the mechanism's own context. */
#include "auth/der.h"
#include "auth/registry.h"
#include "auth/spnego-token.h"

#include <lares/spnego.h>

#define MECHS_MAX 32 /* of the server */
#define STEPS_MAX 64 /* tokens in one negotiation: IAKERB needs some ten */
#define MIC_MAX   256

typedef enum { PHASE_START, PHASE_MECH, PHASE_RAW, PHASE_MIC, PHASE_DONE, PHASE_FAILED } Phase;

#define LARES_TYPE_SPNEGO_CONTEXT (lares_spnego_context_get_type())
G_DECLARE_FINAL_TYPE(LaresSpnegoContext, lares_spnego_context, LARES, SPNEGO_CONTEXT, GObject)

struct _LaresSpnegoContext {
    GObject parent_instance;
    char *service;
    LaresPeer peer;
    Phase phase;
    guint steps;
    LaresAuthProvider *provider; /* borrowed: providers stay for ever */
    LaresAuthContext *inner;
    LaresRefused refused; /* while there is no inner one */
    GBytes *list;         /* the client's MechTypeList */
    LaresOid supported;   /* to be named in the first answer; points into the provider */
    gboolean mic_needed;  /* the chosen mechanism was not the client's first */
    gboolean defective;   /* it failed because a token was none */
};

static void context_interface_init(LaresAuthContextInterface *iface);
G_DEFINE_FINAL_TYPE_WITH_CODE(LaresSpnegoContext, lares_spnego_context, G_TYPE_OBJECT,
                              G_IMPLEMENT_INTERFACE(LARES_TYPE_AUTH_CONTEXT, context_interface_init))

static void
lares_spnego_context_init(LaresSpnegoContext *self)
{
}

static void
context_finalize(GObject *object)
{
    LaresSpnegoContext *self = LARES_SPNEGO_CONTEXT(object);
    g_clear_object(&self->inner);
    g_clear_pointer(&self->list, g_bytes_unref);
    g_free(self->service);
    G_OBJECT_CLASS(lares_spnego_context_parent_class)->finalize(object);
}

static void
lares_spnego_context_class_init(LaresSpnegoContextClass *class)
{
    G_OBJECT_CLASS(class)->finalize = context_finalize;
}

LaresAuthContext *
lares_spnego_accept(LaresHost *host, const char *service, const LaresPeer *peer)
{
    LaresSpnegoContext *self = g_object_new(LARES_TYPE_SPNEGO_CONTEXT, NULL);
    self->service = g_strdup(service);
    self->peer = *peer;
    return LARES_AUTH_CONTEXT(self);
}

/* ---- The mechanisms of the server ------------------------------------------------------------------------------ */

typedef struct {
    LaresOid oid;
    LaresAuthProvider *provider;
    LaresProtection best; /* what the provider can protect at most */
} Mech;

static LaresProtection
best_of(LaresAuthProvider *provider, gboolean *spnego)
{
    size_t n;
    const LaresFlavor *flavors = lares_auth_provider_get_flavors(provider, &n);
    LaresProtection best = LARES_PROTECT_NONE;
    *spnego = FALSE;
    for (size_t i = 0; i < n; i++) {
        *spnego = *spnego || flavors[i].spnego;
        if (flavors[i].spnego && flavors[i].protection > best)
            best = flavors[i].protection;
    }
    return best;
}

static guint
add_mech(Mech *mechs, guint n, Mech mech)
{
    for (guint i = 0; i < n; i++) {
        if (spnego_oid_equal(&mechs[i].oid, &mech.oid))
            return n;
    }
    if (n < MECHS_MAX)
        mechs[n++] = mech;
    return n;
}

static guint
mechs_of(LaresAuthProvider *provider, LaresProtection best, Mech *mechs, guint n)
{
    LaresAuthProviderInterface *iface = LARES_AUTH_PROVIDER_GET_IFACE(provider);
    size_t count;
    if (iface->get_mechanisms) {
        const LaresOid *oids = iface->get_mechanisms(provider, &count);
        for (size_t i = 0; i < count; i++)
            n = add_mech(mechs, n, (Mech){oids[i], provider, best});
        return n;
    }
    const LaresFlavor *flavors = lares_auth_provider_get_flavors(provider, &count);
    for (size_t i = 0; i < count; i++) {
        if (flavors[i].spnego && flavors[i].gss_oid)
            n = add_mech(mechs, n, (Mech){{flavors[i].gss_oid, flavors[i].gss_oid_len}, provider, best});
    }
    return n;
}

/* All of them, those that can protect more first. */
static guint
server_mechs(Mech mechs[MECHS_MAX])
{
    g_autoptr(GPtrArray) providers = lares_auth_registry_providers();
    guint n = 0;
    for (int level = LARES_PROTECT_PRIVACY; level >= LARES_PROTECT_NONE; level--) {
        for (guint i = 0; i < providers->len; i++) {
            gboolean spnego;
            LaresProtection best = best_of(providers->pdata[i], &spnego);
            if (spnego && (int)best == level)
                n = mechs_of(providers->pdata[i], best, mechs, n);
        }
    }
    return n;
}

static const Mech *
find_mech(const Mech *mechs, guint n, const LaresOid *oid)
{
    for (guint i = 0; i < n; i++) {
        if (spnego_oid_equal(&mechs[i].oid, oid))
            return &mechs[i];
    }
    return NULL;
}

GBytes *
lares_spnego_init_token(LaresHost *host, const char *service)
{
    const LaresPeer nobody = {.address = "unix"};
    Mech mechs[MECHS_MAX];
    LaresOid offered[MECHS_MAX];
    guint n = server_mechs(mechs), n_offered = 0;
    LaresAuthProvider *last = NULL;
    gboolean last_works = FALSE;
    for (guint i = 0; i < n; i++) {
        if (mechs[i].provider != last) {
            LaresAuthContext *probe = lares_auth_provider_accept(mechs[i].provider, service, &nobody, NULL);
            last = mechs[i].provider;
            last_works = probe != NULL;
            g_clear_object(&probe);
        }
        if (last_works)
            offered[n_offered++] = mechs[i].oid;
    }
    return spnego_write_init2(offered, n_offered);
}

/* ---- Answers --------------------------------------------------------------------------------------------------- */

static LaresAuthState
fail(LaresSpnegoContext *self, char **reason, char *why)
{
    self->phase = PHASE_FAILED;
    *reason = why;
    return LARES_AUTH_FAILED;
}

static LaresAuthState
fail_defective(LaresSpnegoContext *self, char **reason, const char *why)
{
    self->defective = TRUE;
    return fail(self, reason, g_strdup(why));
}

/* A refusal the client can read; `token` may be NULL. */
static LaresAuthState
reject(LaresSpnegoContext *self, GBytes *token, GBytes **out, char **reason, char *why)
{
    SpnegoResp resp = {.state = SPNEGO_REJECT};
    if (token)
        resp.token.at = g_bytes_get_data(token, &resp.token.len);
    *out = spnego_write_resp(&resp);
    return fail(self, reason, why);
}

/* Names the mechanism in the first answer only (RFC 4178 4.2.2). */
static void
name_mech(LaresSpnegoContext *self, SpnegoResp *resp)
{
    resp->mech = self->supported;
    self->supported.der = NULL;
}

/* ---- The list's MIC -------------------------------------------------------------------------------------------- */

static struct iovec
covered(LaresSpnegoContext *self)
{
    gsize len;
    const void *list = g_bytes_get_data(self->list, &len);
    return (struct iovec){(void *)list, len};
}

static gboolean
can_confirm(LaresSpnegoContext *self)
{
    const LaresAuthPeer *peer = lares_auth_context_get_peer(self->inner);
    size_t size = lares_auth_context_mic_size(self->inner);
    return peer && !peer->anonymous && size > 0 && size <= MIC_MAX;
}

static gboolean
mic_is_right(LaresSpnegoContext *self, const SpnegoBytes *mic)
{
    const struct iovec list = covered(self);
    return lares_auth_context_verify_mic(self->inner, &list, 1, mic->at, mic->len) == LARES_OK;
}

static LaresAuthState
established(LaresSpnegoContext *self, const SpnegoBytes *mic, GBytes *token, GBytes **out, char **reason)
{
    uint8_t own[MIC_MAX];
    size_t own_len = sizeof own;
    SpnegoResp resp = {.state = SPNEGO_ACCEPT_COMPLETED};
    gboolean confirm = can_confirm(self);
    if (confirm && mic->at && !mic_is_right(self, mic))
        return reject(self, NULL, out, reason, g_strdup("the list of mechanisms was changed on its way (mechListMIC)"));
    if (confirm && (mic->at || self->mic_needed)) {
        const struct iovec list = covered(self);
        if (lares_auth_context_get_mic(self->inner, &list, 1, own, &own_len) != LARES_OK)
            return reject(self, NULL, out, reason, g_strdup("no MIC over the list of mechanisms could be made"));
        resp.mic = (SpnegoBytes){own, own_len};
    }
    gboolean wait = confirm && self->mic_needed && !mic->at;
    if (wait)
        resp.state = SPNEGO_ACCEPT_INCOMPLETE;
    if (token)
        resp.token.at = g_bytes_get_data(token, &resp.token.len);
    name_mech(self, &resp);
    *out = spnego_write_resp(&resp);
    self->phase = wait ? PHASE_MIC : PHASE_DONE;
    return wait ? LARES_AUTH_CONTINUE : LARES_AUTH_ESTABLISHED;
}

/* ---- Steps ----------------------------------------------------------------------------------------------------- */

/* A framed token inside names its mechanism: it must be one of the provider's, not a negotiation of its own. */
static gboolean
frame_is_fine(LaresSpnegoContext *self, const SpnegoBytes *token)
{
    Mech mechs[MECHS_MAX];
    LaresReader after;
    LaresOid oid;
    if (token->len == 0 || token->at[0] != DER_APPLICATION_0)
        return TRUE;
    if (!der_gss_frame(token->at, token->len, &oid.der, &oid.len, &after))
        return FALSE;
    const Mech *mech = find_mech(mechs, server_mechs(mechs), &oid);
    return mech && mech->provider == self->provider;
}

static LaresAuthState
feed(LaresSpnegoContext *self, const SpnegoBytes *token, const SpnegoBytes *mic, GBytes **out, char **reason)
{
    g_autoptr(GBytes) answer = NULL;
    if (!frame_is_fine(self, token))
        return reject(self, NULL, out, reason, g_strdup("a token of another mechanism than the chosen one"));
    LaresAuthState state = lares_auth_context_step(self->inner, token->at, token->len, &answer, reason);
    if (state == LARES_AUTH_FAILED)
        return reject(self, answer, out, reason, g_steal_pointer(reason));
    if (state == LARES_AUTH_ESTABLISHED)
        return established(self, mic, answer, out, reason);
    if (mic->at)
        return reject(self, NULL, out, reason, g_strdup("a mechListMIC before there is a key"));
    SpnegoResp resp = {.state = SPNEGO_ACCEPT_INCOMPLETE};
    if (answer)
        resp.token.at = g_bytes_get_data(answer, &resp.token.len);
    name_mech(self, &resp);
    *out = spnego_write_resp(&resp);
    self->phase = PHASE_MECH;
    return LARES_AUTH_CONTINUE;
}

static gboolean
begin(LaresSpnegoContext *self, const Mech *mech, GError **error)
{
    self->inner = lares_auth_provider_accept(mech->provider, self->service, &self->peer, error);
    self->provider = mech->provider;
    self->refused = LARES_REFUSED_UNAVAILABLE;
    return self->inner != NULL;
}

/* The first of the client's list that works now; its place in the list, or -1. */
static int
choose(LaresSpnegoContext *self, const SpnegoInit *init, char **why)
{
    Mech mechs[MECHS_MAX];
    guint n = server_mechs(mechs);
    for (guint i = 0; i < init->n_mechs; i++) {
        g_autoptr(GError) error = NULL;
        const Mech *mech = find_mech(mechs, n, &init->mechs[i]);
        if (!mech)
            continue;
        if (begin(self, mech, &error)) {
            self->supported = mech->oid;
            g_clear_pointer(why, g_free);
            return (int)i;
        }
        if (!*why)
            *why = g_strdup(error ? error->message : "the mechanism cannot be used now");
    }
    if (!*why) {
        self->refused = LARES_REFUSED_POLICY;
        *why = g_strdup("none of the client's mechanisms is offered here");
    }
    return -1;
}

static LaresAuthState
first_token(LaresSpnegoContext *self, LaresReader *body, GBytes **out, char **reason)
{
    SpnegoInit init;
    char *why = NULL;
    if (!spnego_read_init(body, &init))
        return fail_defective(self, reason, "a malformed NegTokenInit");
    int place = choose(self, &init, &why);
    if (place < 0)
        return reject(self, NULL, out, reason, why);
    self->list = g_bytes_new(init.list.at, init.list.len);
    self->mic_needed = place > 0;
    if (place == 0 && init.token.at)
        return feed(self, &init.token, &init.mic, out, reason);
    if (init.mic.at)
        return reject(self, NULL, out, reason, g_strdup("a mechListMIC before there is a key"));
    SpnegoResp resp = {.state = place > 0 ? SPNEGO_REQUEST_MIC : SPNEGO_ACCEPT_INCOMPLETE};
    name_mech(self, &resp);
    *out = spnego_write_resp(&resp);
    self->phase = PHASE_MECH;
    return LARES_AUTH_CONTINUE;
}

static LaresAuthState
raw_token(LaresSpnegoContext *self, const uint8_t *token, size_t len, GBytes **out, char **reason)
{
    LaresAuthState state = lares_auth_context_step(self->inner, token, len, out, reason);
    self->phase = state == LARES_AUTH_CONTINUE ? PHASE_RAW : state == LARES_AUTH_FAILED ? PHASE_FAILED : PHASE_DONE;
    return state;
}

static LaresAuthState
start(LaresSpnegoContext *self, const uint8_t *token, size_t len, GBytes **out, char **reason)
{
    /* 1.3.6.1.4.1.311.2.2.10: the one mechanism whose tokens have no frame ([MS-NLMP] 2.2.1). */
    static const LaresOid ntlm = {(const uint8_t *)"\x2b\x06\x01\x04\x01\x82\x37\x02\x02\x0a", 10};
    g_autoptr(GError) error = NULL;
    Mech mechs[MECHS_MAX];
    LaresOid oid = ntlm;
    LaresReader body;
    if (len < 8 || memcmp(token, "NTLMSSP", 8) != 0) {
        if (!der_gss_frame(token, len, &oid.der, &oid.len, &body))
            return fail_defective(self, reason, "neither SPNEGO nor a mechanism's own token");
        if (spnego_oid_equal(&oid, &spnego_oid))
            return first_token(self, &body, out, reason);
    }
    const Mech *mech = find_mech(mechs, server_mechs(mechs), &oid);
    self->refused = mech ? LARES_REFUSED_UNAVAILABLE : LARES_REFUSED_POLICY;
    if (!mech)
        return fail(self, reason, g_strdup("the client's mechanism is not offered here"));
    if (!begin(self, mech, &error))
        return fail(self, reason, g_strdup(error ? error->message : "the mechanism cannot be used now"));
    return raw_token(self, token, len, out, reason);
}

static LaresAuthState
next_token(LaresSpnegoContext *self, const uint8_t *token, size_t len, GBytes **out, char **reason)
{
    SpnegoResp resp;
    if (!spnego_read_resp(token, len, &resp))
        return fail_defective(self, reason, "a malformed NegTokenResp");
    if (resp.state == SPNEGO_REJECT)
        return fail(self, reason, g_strdup("the client gave the negotiation up"));
    if (self->phase == PHASE_MECH) {
        /* A client whose context needs nothing more may confirm the list alone; the mechanism judges an empty token. */
        if (!resp.token.at)
            return reject(self, NULL, out, reason, g_strdup("a NegTokenResp without the mechanism's token"));
        return feed(self, &resp.token, &resp.mic, out, reason);
    }
    if (!resp.mic.at || resp.token.len > 0)
        return reject(self, NULL, out, reason, g_strdup("the mechListMIC that was asked for is missing"));
    if (!mic_is_right(self, &resp.mic))
        return reject(self, NULL, out, reason, g_strdup("the list of mechanisms was changed on its way (mechListMIC)"));
    *out = spnego_write_resp(&(SpnegoResp){.state = SPNEGO_ACCEPT_COMPLETED});
    self->phase = PHASE_DONE;
    return LARES_AUTH_ESTABLISHED;
}

static LaresAuthState
context_step(LaresAuthContext *context, const uint8_t *token, size_t len, GBytes **out, char **reason)
{
    LaresSpnegoContext *self = LARES_SPNEGO_CONTEXT(context);
    *out = NULL;
    *reason = NULL;
    if (self->phase == PHASE_DONE) {
        /* Whoever sends too much does not end an established context. */
        *reason = g_strdup("a token after the last one");
        return LARES_AUTH_FAILED;
    }
    if (self->phase == PHASE_FAILED)
        return fail(self, reason, g_strdup("a token after the negotiation failed"));
    if (len > SPNEGO_TOKEN_MAX || ++self->steps > STEPS_MAX)
        return fail(self, reason, g_strdup(len > SPNEGO_TOKEN_MAX ? "a token of more than 64 KiB" : "too many tokens"));
    if (self->phase == PHASE_START)
        return start(self, token, len, out, reason);
    if (self->phase == PHASE_RAW)
        return raw_token(self, token, len, out, reason);
    return next_token(self, token, len, out, reason);
}

/* ---- The rest is the mechanism's ------------------------------------------------------------------------------- */

static LaresAuthContext *
inner_of(LaresAuthContext *context)
{
    LaresSpnegoContext *self = LARES_SPNEGO_CONTEXT(context);
    return self->phase == PHASE_DONE ? self->inner : NULL;
}

const LaresFlavor *
lares_spnego_flavor(LaresAuthContext *context)
{
    LaresAuthContext *inner = LARES_IS_SPNEGO_CONTEXT(context) ? inner_of(context) : NULL;
    const LaresFlavor *weakest = NULL;
    size_t n;
    if (!inner)
        return NULL;
    if (lares_auth_context_get_peer(inner)->anonymous)
        return lares_flavor_by_name("sys");
    const LaresFlavor *flavors = lares_auth_provider_get_flavors(LARES_SPNEGO_CONTEXT(context)->provider, &n);
    for (size_t i = 0; i < n; i++) {
        if (flavors[i].spnego && (!weakest || flavors[i].protection < weakest->protection))
            weakest = &flavors[i];
    }
    return weakest;
}

static const LaresAuthPeer *
context_get_peer(LaresAuthContext *context)
{
    LaresAuthContext *inner = inner_of(context);
    return inner ? lares_auth_context_get_peer(inner) : NULL;
}

static gint64
context_get_expiry(LaresAuthContext *context)
{
    LaresAuthContext *inner = inner_of(context);
    return inner ? lares_auth_context_get_expiry(inner) : 0;
}

static GBytes *
context_get_session_key(LaresAuthContext *context)
{
    LaresAuthContext *inner = inner_of(context);
    return inner ? lares_auth_context_get_session_key(inner) : NULL;
}

static void
context_get_gss_status(LaresAuthContext *context, uint32_t *major, uint32_t *minor)
{
    LaresSpnegoContext *self = LARES_SPNEGO_CONTEXT(context);
    *major = (self->defective ? 9u : 13u) << 16; /* GSS_S_DEFECTIVE_TOKEN, GSS_S_FAILURE: RFC 2744 5.1 */
    *minor = 0;
    if (self->inner && !self->defective)
        lares_auth_context_get_gss_status(self->inner, major, minor);
}

static void
context_wrap_size(LaresAuthContext *context, gboolean conf, size_t len, size_t *head, size_t *tail)
{
    LaresAuthContext *inner = inner_of(context);
    *head = *tail = 0;
    if (inner)
        lares_auth_context_wrap_size(inner, conf, len, head, tail);
}

static LaresStatus
context_wrap(LaresAuthContext *context, gboolean conf, uint8_t *message, size_t len)
{
    LaresAuthContext *inner = inner_of(context);
    return inner ? lares_auth_context_wrap(inner, conf, message, len) : LARES_ACCESS;
}

static LaresStatus
context_unwrap(LaresAuthContext *context, gboolean conf, uint8_t *token, size_t token_len, uint8_t **message,
               size_t *len)
{
    LaresAuthContext *inner = inner_of(context);
    return inner ? lares_auth_context_unwrap(inner, conf, token, token_len, message, len) : LARES_ACCESS;
}

static size_t
context_mic_size(LaresAuthContext *context)
{
    LaresAuthContext *inner = inner_of(context);
    return inner ? lares_auth_context_mic_size(inner) : 0;
}

static LaresStatus
context_get_mic(LaresAuthContext *context, const struct iovec *iov, int n, uint8_t *mic, size_t *mic_len)
{
    LaresAuthContext *inner = inner_of(context);
    return inner ? lares_auth_context_get_mic(inner, iov, n, mic, mic_len) : LARES_ACCESS;
}

static LaresStatus
context_verify_mic(LaresAuthContext *context, const struct iovec *iov, int n, const uint8_t *mic, size_t mic_len)
{
    LaresAuthContext *inner = inner_of(context);
    return inner ? lares_auth_context_verify_mic(inner, iov, n, mic, mic_len) : LARES_ACCESS;
}

static uint64_t
context_get_credential(LaresAuthContext *context)
{
    LaresAuthContext *inner = inner_of(context);
    return inner ? lares_auth_context_get_credential(inner) : 0;
}

static LaresRefused
context_get_refused(LaresAuthContext *context)
{
    LaresSpnegoContext *self = LARES_SPNEGO_CONTEXT(context);
    return self->inner ? lares_auth_context_get_refused(self->inner) : self->refused;
}

static const LaresAuthSids *
context_get_sids(LaresAuthContext *context)
{
    LaresAuthContext *inner = inner_of(context);
    return inner ? lares_auth_context_get_sids(inner) : NULL;
}

static void
context_interface_init(LaresAuthContextInterface *iface)
{
    iface->step = context_step;
    iface->get_peer = context_get_peer;
    iface->get_expiry = context_get_expiry;
    iface->get_session_key = context_get_session_key;
    iface->get_gss_status = context_get_gss_status;
    iface->wrap_size = context_wrap_size;
    iface->wrap = context_wrap;
    iface->unwrap = context_unwrap;
    iface->mic_size = context_mic_size;
    iface->get_mic = context_get_mic;
    iface->verify_mic = context_verify_mic;
    iface->get_credential = context_get_credential;
    iface->get_refused = context_get_refused;
    iface->get_sids = context_get_sids;
}
