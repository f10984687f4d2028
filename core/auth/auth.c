/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The two interfaces of authentication: what an incomplete implementation answers, and the limits all share. */
#include <lares/auth.h>

#define TOKEN_MAX (64 * 1024) /* RFC 2203 leaves it open; the largest Kerberos tokens (PAC) stay below */

/* GSS-API major codes for contexts that have no words of their own (RFC 2744 3.9.1). */
#define GSS_COMPLETE 0u
#define GSS_FAILURE  (13u << 16)

G_DEFINE_INTERFACE(LaresAuthContext, lares_auth_context, G_TYPE_OBJECT)
G_DEFINE_INTERFACE(LaresAuthProvider, lares_auth_provider, G_TYPE_OBJECT)

static void
lares_auth_context_default_init(LaresAuthContextInterface *iface)
{
}

static void
lares_auth_provider_default_init(LaresAuthProviderInterface *iface)
{
}

LaresAuthState
lares_auth_context_step(LaresAuthContext *self, const uint8_t *token, size_t len, GBytes **out, char **reason)
{
    LaresAuthContextInterface *iface = LARES_AUTH_CONTEXT_GET_IFACE(self);
    *out = NULL;
    *reason = NULL;
    if (len <= TOKEN_MAX && iface->step && iface->get_peer)
        return iface->step(self, token, len, out, reason);
    *reason = g_strdup(len > TOKEN_MAX ? "token longer than 64 KiB" : "the module's context is incomplete");
    return LARES_AUTH_FAILED;
}

const LaresAuthPeer *
lares_auth_context_get_peer(LaresAuthContext *self)
{
    LaresAuthContextInterface *iface = LARES_AUTH_CONTEXT_GET_IFACE(self);
    return iface->get_peer ? iface->get_peer(self) : NULL;
}

gint64
lares_auth_context_get_expiry(LaresAuthContext *self)
{
    LaresAuthContextInterface *iface = LARES_AUTH_CONTEXT_GET_IFACE(self);
    return iface->get_expiry ? iface->get_expiry(self) : INT64_MAX;
}

GBytes *
lares_auth_context_get_session_key(LaresAuthContext *self)
{
    LaresAuthContextInterface *iface = LARES_AUTH_CONTEXT_GET_IFACE(self);
    return iface->get_session_key ? iface->get_session_key(self) : NULL;
}

void
lares_auth_context_get_gss_status(LaresAuthContext *self, uint32_t *major, uint32_t *minor)
{
    LaresAuthContextInterface *iface = LARES_AUTH_CONTEXT_GET_IFACE(self);
    if (iface->get_gss_status) {
        iface->get_gss_status(self, major, minor);
        return;
    }
    *major = lares_auth_context_get_peer(self) ? GSS_COMPLETE : GSS_FAILURE;
    *minor = 0;
}

void
lares_auth_context_wrap_size(LaresAuthContext *self, gboolean conf, size_t len, size_t *head, size_t *tail)
{
    LaresAuthContextInterface *iface = LARES_AUTH_CONTEXT_GET_IFACE(self);
    *head = *tail = 0;
    if (iface->wrap_size)
        iface->wrap_size(self, conf, len, head, tail);
}

LaresStatus
lares_auth_context_wrap(LaresAuthContext *self, gboolean conf, uint8_t *message, size_t len)
{
    LaresAuthContextInterface *iface = LARES_AUTH_CONTEXT_GET_IFACE(self);
    return iface->wrap ? iface->wrap(self, conf, message, len) : LARES_NOTSUPP;
}

LaresStatus
lares_auth_context_unwrap(LaresAuthContext *self, gboolean conf, uint8_t *token, size_t token_len, uint8_t **message,
                          size_t *len)
{
    LaresAuthContextInterface *iface = LARES_AUTH_CONTEXT_GET_IFACE(self);
    return iface->unwrap ? iface->unwrap(self, conf, token, token_len, message, len) : LARES_NOTSUPP;
}

size_t
lares_auth_context_mic_size(LaresAuthContext *self)
{
    LaresAuthContextInterface *iface = LARES_AUTH_CONTEXT_GET_IFACE(self);
    return iface->mic_size ? iface->mic_size(self) : 0;
}

LaresStatus
lares_auth_context_get_mic(LaresAuthContext *self, const struct iovec *iov, int n, uint8_t *mic, size_t *mic_len)
{
    LaresAuthContextInterface *iface = LARES_AUTH_CONTEXT_GET_IFACE(self);
    return iface->get_mic ? iface->get_mic(self, iov, n, mic, mic_len) : LARES_NOTSUPP;
}

LaresStatus
lares_auth_context_verify_mic(LaresAuthContext *self, const struct iovec *iov, int n, const uint8_t *mic,
                              size_t mic_len)
{
    LaresAuthContextInterface *iface = LARES_AUTH_CONTEXT_GET_IFACE(self);
    return iface->verify_mic ? iface->verify_mic(self, iov, n, mic, mic_len) : LARES_NOTSUPP;
}

uint64_t
lares_auth_context_get_credential(LaresAuthContext *self)
{
    LaresAuthContextInterface *iface = LARES_AUTH_CONTEXT_GET_IFACE(self);
    return iface->get_credential ? iface->get_credential(self) : 0;
}

LaresRefused
lares_auth_context_get_refused(LaresAuthContext *self)
{
    LaresAuthContextInterface *iface = LARES_AUTH_CONTEXT_GET_IFACE(self);
    LaresRefused refused = iface->get_refused ? iface->get_refused(self) : LARES_REFUSED_OTHER;
    return refused < LARES_REFUSED_LAST ? refused : LARES_REFUSED_OTHER;
}

const LaresAuthSids *
lares_auth_context_get_sids(LaresAuthContext *self)
{
    LaresAuthContextInterface *iface = LARES_AUTH_CONTEXT_GET_IFACE(self);
    return iface->get_sids ? iface->get_sids(self) : NULL;
}

const char *
lares_auth_provider_get_name(LaresAuthProvider *self)
{
    LaresAuthProviderInterface *iface = LARES_AUTH_PROVIDER_GET_IFACE(self);
    return iface->get_name ? iface->get_name(self) : NULL;
}

const LaresFlavor *
lares_auth_provider_get_flavors(LaresAuthProvider *self, size_t *n)
{
    LaresAuthProviderInterface *iface = LARES_AUTH_PROVIDER_GET_IFACE(self);
    *n = 0;
    return iface->get_flavors ? iface->get_flavors(self, n) : NULL;
}

LaresAuthContext *
lares_auth_provider_accept(LaresAuthProvider *self, const char *service, const LaresPeer *peer, GError **error)
{
    LaresAuthProviderInterface *iface = LARES_AUTH_PROVIDER_GET_IFACE(self);
    if (iface->accept)
        return iface->accept(self, service, peer, error);
    g_set_error(error, LARES_ERROR, LARES_ERROR_MODULE, "the module accepts no logins");
    return NULL;
}

GVariant *
lares_auth_provider_get_status(LaresAuthProvider *self)
{
    LaresAuthProviderInterface *iface = LARES_AUTH_PROVIDER_GET_IFACE(self);
    return iface->get_status ? iface->get_status(self) : NULL;
}

gboolean
lares_auth_provider_stands(LaresAuthProvider *self, const char *principal, uint64_t credential)
{
    LaresAuthProviderInterface *iface = LARES_AUTH_PROVIDER_GET_IFACE(self);
    return !iface->stands || iface->stands(self, principal, credential);
}
