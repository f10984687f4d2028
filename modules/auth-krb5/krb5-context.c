/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One login by Kerberos, and the protected messages after it.
 *
 * MIT's library takes the tokens; when it is content, our own rules are applied, the keys are exported and MIT's
 * context is gone. Rules: mutual authentication was asked for where nothing else proves the server, the ticket is for
 * the service that was called, it has not ended, no authenticator twice, keys of an AES type.
 *
 * Spec: RFC 4121, RFC 4178, RFC 4120 3.2.3.
 * Thread: step() one at a time; after it the object is immutable but for the atomic sequence number inside Krb5Keys. */
#include "krb5-message.h"
#include "krb5-pac.h"
#include "krb5-provider.h"
#include "krb5-token.h"

#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>
#include <krb5/krb5.h>
#include <lares/log.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

struct _LaresKrb5Context {
    GObject parent;
    LaresKrb5Provider *provider;
    Krb5Keytab *keytab; /* until established */
    char *service;
    gss_ctx_id_t gss;
    gboolean failed;
    OM_uint32 major, minor;
    gboolean has_authenticator;
    uint8_t authenticator[KRB5_REPLAY_TAG]; /* its digest, of the last token that had one */

    Krb5Keys *keys; /* NULL until established */
    LaresAuthPeer peer;
    char *principal;
    char *vouching;     /* the realm of the service's ticket */
    Krb5Logon *logon;   /* NULL: no PAC, or one that says nothing of the user's groups */
    LaresAuthSids sids; /* of `logon` */
    gint64 expiry;
    GBytes *session_key;
};

static void context_interface_init(LaresAuthContextInterface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE(LaresKrb5Context, lares_krb5_context, G_TYPE_OBJECT,
                              G_IMPLEMENT_INTERFACE(LARES_TYPE_AUTH_CONTEXT, context_interface_init))

static void
lares_krb5_context_init(LaresKrb5Context *self)
{
    self->gss = GSS_C_NO_CONTEXT;
}

static void
drop_handshake(LaresKrb5Context *self)
{
    OM_uint32 minor;

    if (self->gss != GSS_C_NO_CONTEXT)
        gss_delete_sec_context(&minor, &self->gss, NULL);
    self->gss = GSS_C_NO_CONTEXT;
    g_clear_pointer(&self->keytab, krb5_keytab_unref);
}

static void
context_finalize(GObject *object)
{
    LaresKrb5Context *self = LARES_KRB5_CONTEXT(object);

    drop_handshake(self);
    if (self->keys != NULL)
        lares_krb5_provider_count_context(self->provider, FALSE);
    krb5_keys_unref(self->keys);
    g_clear_pointer(&self->session_key, g_bytes_unref);
    g_free(self->principal);
    g_free(self->vouching);
    krb5_logon_free(self->logon);
    g_free(self->service);
    g_object_unref(self->provider);
    G_OBJECT_CLASS(lares_krb5_context_parent_class)->finalize(object);
}

static void
lares_krb5_context_class_init(LaresKrb5ContextClass *klass)
{
    G_OBJECT_CLASS(klass)->finalize = context_finalize;
}

/* Takes the reference to `keytab`. */
LaresAuthContext *
lares_krb5_context_new(LaresKrb5Provider *provider, Krb5Keytab *keytab, const char *service)
{
    LaresKrb5Context *self = g_object_new(LARES_TYPE_KRB5_CONTEXT, NULL);

    self->provider = g_object_ref(provider);
    self->keytab = keytab;
    self->service = g_strdup(service);
    return LARES_AUTH_CONTEXT(self);
}

/* ---- reasons ---- */

static void
append_status(GString *text, OM_uint32 code, int type)
{
    OM_uint32 minor, more = 0;

    do {
        gss_buffer_desc b = GSS_C_EMPTY_BUFFER;

        if (GSS_ERROR(gss_display_status(&minor, code, type, gss_mech_krb5, &more, &b)))
            break;
        if (text->len > 0)
            g_string_append(text, ": ");
        g_string_append_len(text, b.value, (gssize)b.length);
        gss_release_buffer(&minor, &b);
    } while (more != 0);
}

/* What an administrator can do about the common ones. */
static const char *
hint_for(krb5_error_code code)
{
    switch (code) {
    case KRB5KRB_AP_ERR_SKEW:
        return "set the clocks of client and server, or raise clock-skew in auth-krb5.module";
    case KRB5KRB_AP_ERR_TKT_EXPIRED:
        return "the client needs a new ticket (kinit)";
    case KRB5_KT_NOTFOUND:
    case KRB5_KT_KVNONOTFOUND:
    case KRB5KRB_AP_ERR_NOKEY:
    case KRB5KRB_AP_ERR_BADKEYVER:
    case KRB5KRB_AP_ERR_NOT_US:
    case KRB5KRB_AP_WRONG_PRINC:
        return "the ticket is for a principal or key version that the server's keytab does not have";
    case KRB5KRB_AP_ERR_BAD_INTEGRITY:
        return "the server's key is not the one the KDC has: write the keytab again";
    case KRB5_NOPERM_ETYPE:
        return "only AES keys are accepted: give the account AES keys and change its password once";
    default:
        return NULL;
    }
}

/* The class under which a refusal is counted. */
static LaresRefused
class_of(OM_uint32 major, OM_uint32 minor)
{
    switch ((krb5_error_code)minor) {
    case KRB5KRB_AP_ERR_SKEW:
    case KRB5KRB_AP_ERR_TKT_NYV:
        return LARES_REFUSED_CLOCK;
    case KRB5KRB_AP_ERR_TKT_EXPIRED:
        return LARES_REFUSED_EXPIRED;
    case KRB5KRB_AP_ERR_REPEAT:
        return LARES_REFUSED_REPLAY;
    case KRB5_KT_NOTFOUND:
    case KRB5_KT_KVNONOTFOUND:
    case KRB5KRB_AP_ERR_NOKEY:
    case KRB5KRB_AP_ERR_BADKEYVER:
    case KRB5KRB_AP_ERR_NOT_US:
    case KRB5KRB_AP_WRONG_PRINC:
        return LARES_REFUSED_NO_KEY;
    case KRB5KRB_AP_ERR_BAD_INTEGRITY:
    case KRB5KRB_AP_ERR_MODIFIED:
        return LARES_REFUSED_CREDENTIAL;
    case KRB5_NOPERM_ETYPE:
        return LARES_REFUSED_POLICY;
    default:
        break;
    }
    switch (GSS_ROUTINE_ERROR(major)) {
    case GSS_S_CREDENTIALS_EXPIRED:
        return LARES_REFUSED_EXPIRED;
    case GSS_S_DUPLICATE_TOKEN:
        return LARES_REFUSED_REPLAY;
    case GSS_S_DEFECTIVE_TOKEN:
        return LARES_REFUSED_MALFORMED;
    case GSS_S_BAD_SIG:
        return LARES_REFUSED_CREDENTIAL;
    case GSS_S_NO_CRED:
        return LARES_REFUSED_NO_KEY;
    default: /* without a minor code it was one of our own rules */
        return minor == 0 && major != GSS_S_COMPLETE ? LARES_REFUSED_POLICY : LARES_REFUSED_OTHER;
    }
}

static char *
mit_reason(OM_uint32 major, OM_uint32 minor)
{
    GString *text = g_string_new(NULL);
    const char *hint = hint_for((krb5_error_code)minor);

    if (minor != 0)
        append_status(text, minor, GSS_C_MECH_CODE);
    if (text->len == 0)
        append_status(text, major, GSS_C_GSS_CODE);
    if (hint != NULL)
        g_string_append_printf(text, " (%s)", hint);
    return g_string_free(text, FALSE);
}

/* ---- our rules ---- */

static char *
name_text(gss_name_t name)
{
    gss_buffer_desc b = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor;
    char *text = NULL;

    if (name != GSS_C_NO_NAME && gss_display_name(&minor, name, &b, NULL) == GSS_S_COMPLETE) {
        /* A NUL inside a name would make it look like another one. */
        if (memchr(b.value, '\0', b.length) == NULL && g_utf8_validate(b.value, (gssize)b.length, NULL))
            text = g_strndup(b.value, b.length);
        gss_release_buffer(&minor, &b);
    }
    return text;
}

static gboolean
first_component_is(const char *principal, const char *word)
{
    size_t n = strlen(word);
    return g_ascii_strncasecmp(principal, word, n) == 0 && principal[n] == '/';
}

/* Clients of SMB and HTTP may fall back to the host's own principal, as Windows lets them. */
static gboolean
service_matches(const char *service, const char *target)
{
    if (service == NULL || first_component_is(target, service))
        return TRUE;
    return strcmp(service, "nfs") != 0 && first_component_is(target, "host");
}

static gboolean
is_machine(const char *principal, const char *at)
{
    return first_component_is(principal, "host") || first_component_is(principal, "nfs") ||
           (at > principal && at[-1] == '$');
}

static gboolean
take_names(LaresKrb5Context *self, gss_name_t source, char **reason)
{
    gss_name_t target = GSS_C_NO_NAME;
    gss_OID mech = GSS_C_NO_OID;
    OM_uint32 minor;

    gss_inquire_context(&minor, self->gss, NULL, &target, NULL, &mech, NULL, NULL, NULL);
    g_autofree char *target_text = name_text(target);
    gss_release_name(&minor, &target);
    self->principal = name_text(source);
    char *at = self->principal != NULL ? strrchr(self->principal, '@') : NULL;
    if (at == NULL || target_text == NULL) {
        *reason = g_strdup("the ticket's names are not text");
        return FALSE;
    }
    if (!service_matches(self->service, target_text) &&
        !krb5_keytab_shares_key(self->keytab, target_text, self->service)) {
        *reason = g_strdup_printf("the ticket is for %s, not for the service %s", target_text, self->service);
        return FALSE;
    }
    const char *target_realm = strrchr(target_text, '@');
    self->vouching = g_strdup(target_realm != NULL ? target_realm + 1 : "");
    self->peer.principal = self->principal;
    self->peer.realm = at + 1;
    self->peer.machine = is_machine(self->principal, at);
    return TRUE;
}

static gboolean
take_pac(LaresKrb5Context *self, gss_name_t source, char **reason)
{
    if (!lares_krb5_provider_uses_pac(self->provider))
        return TRUE;
    if (!krb5_pac_take(self->gss, source, self->peer.realm, &self->logon, reason))
        return FALSE;
    if (self->logon != NULL)
        self->sids = (LaresAuthSids){.vouching = self->vouching,
                                     .domain = self->logon->domain,
                                     .account = self->logon->account,
                                     .domain_sid = self->logon->domain_sid,
                                     .user = self->logon->user,
                                     .groups = (const LaresSid *)self->logon->groups->data,
                                     .n_groups = self->logon->groups->len};
    return TRUE;
}

/* Kept until the library has accepted it: then it must be its first use. */
static void
note_authenticator(LaresKrb5Context *self, const uint8_t *token, size_t len)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    size_t n = 0;
    const uint8_t *authenticator = krb5_token_authenticator(token, len, &n);

    if (authenticator == NULL || EVP_Digest(authenticator, n, digest, NULL, EVP_sha256(), NULL) != 1)
        return;
    memcpy(self->authenticator, digest, sizeof self->authenticator);
    self->has_authenticator = TRUE;
}

static gboolean
is_first_use(LaresKrb5Context *self, char **reason)
{
    if (self->has_authenticator && lares_krb5_provider_first_use(self->provider, self->authenticator))
        return TRUE;
    self->major = self->has_authenticator ? GSS_S_DUPLICATE_TOKEN : GSS_S_DEFECTIVE_TOKEN;
    *reason = g_strdup(self->has_authenticator ? "the same authenticator came a second time (a replay)"
                                               : "the login has no authenticator that replays could be told by");
    return FALSE;
}

static void
wiped_free(gpointer data)
{
    GByteArray *bytes = data;

    OPENSSL_cleanse(bytes->data, bytes->len);
    g_byte_array_unref(bytes);
}

/* A key for SMB's derivations: the acceptor's subkey where there is one ([MS-SMB2] 3.3.5.5.3). */
static GBytes *
session_key_from(const gss_krb5_lucid_context_v1_t *lucid)
{
    const gss_krb5_lucid_key_t *key =
        lucid->cfx_kd.have_acceptor_subkey ? &lucid->cfx_kd.acceptor_subkey : &lucid->cfx_kd.ctx_key;
    GByteArray *bytes = g_byte_array_sized_new(key->length);

    g_byte_array_append(bytes, key->data, key->length);
    return g_bytes_new_with_free_func(bytes->data, bytes->len, wiped_free, bytes);
}

static gboolean
take_keys(LaresKrb5Context *self, const gss_krb5_lucid_context_v1_t *lucid, gboolean dce, char **reason)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Krb5Keys) keys = krb5_keys_new_from_lucid(lucid, dce, &error);

    if (keys == NULL) {
        *reason = g_strdup(error->message);
        return FALSE;
    }
    if (lucid->endtime <= g_get_real_time() / G_USEC_PER_SEC) {
        self->major = GSS_S_CREDENTIALS_EXPIRED;
        *reason = g_strdup("the ticket has ended (the client needs a new one: kinit)");
        return FALSE;
    }
    if (!is_first_use(self, reason))
        return FALSE;
    self->session_key = session_key_from(lucid);
    self->expiry = lucid->endtime;
    self->keys = g_steal_pointer(&keys);
    return TRUE;
}

/* Who asked for an answer gets one from the library. Who did not may still be sure of the server where the protocol
 * sees to it: SMB signs the answer to the login with the ticket's key ([MS-SMB2] 3.3.5.5.3), and Linux' cifs relies on
 * that; HTTP's server is proven by TLS. RPCSEC_GSS has neither. */
static gboolean
needs_mutual(const char *service)
{
    return g_strcmp0(service, "cifs") != 0 && g_strcmp0(service, "HTTP") != 0;
}

static gboolean
establish(LaresKrb5Context *self, gss_name_t source, gss_OID mech, OM_uint32 flags, char **reason)
{
    void *lucid = NULL;
    OM_uint32 minor;

    self->major = GSS_S_FAILURE; /* unless a rule below knows better */
    self->minor = 0;
    if ((flags & GSS_C_MUTUAL_FLAG) == 0 && needs_mutual(self->service)) {
        *reason = g_strdup("the client did not ask for mutual authentication");
        return FALSE;
    }
    if ((flags & GSS_C_ANON_FLAG) != 0) {
        *reason = g_strdup("anonymous Kerberos tickets are not accepted");
        return FALSE;
    }
    if (!take_names(self, source, reason) || !take_pac(self, source, reason))
        return FALSE;
    OM_uint32 major = gss_krb5_export_lucid_sec_context(&minor, &self->gss, 1, &lucid);
    if (GSS_ERROR(major)) {
        *reason = mit_reason(major, minor);
        return FALSE;
    }
    gboolean ok = take_keys(self, lucid, (flags & GSS_C_DCE_STYLE) != 0, reason);
    gss_krb5_free_lucid_sec_context(&minor, lucid);
    if (ok)
        self->major = GSS_S_COMPLETE;
    return ok;
}

/* ---- LaresAuthContext ---- */

static LaresAuthState
refuse(LaresKrb5Context *self)
{
    self->failed = TRUE;
    drop_handshake(self);
    lares_krb5_provider_count(self->provider, FALSE);
    return LARES_AUTH_FAILED;
}

static LaresAuthState
context_step(LaresAuthContext *context, const uint8_t *token, size_t len, GBytes **out, char **reason)
{
    LaresKrb5Context *self = LARES_KRB5_CONTEXT(context);
    gss_buffer_desc in = {len, (void *)token}, answer = GSS_C_EMPTY_BUFFER;
    gss_name_t source = GSS_C_NO_NAME;
    gss_OID mech = GSS_C_NO_OID;
    OM_uint32 flags = 0, ignored;

    *out = NULL;
    *reason = NULL;
    if (self->failed || self->keys != NULL || len > KRB5_MAX_TOKEN) {
        self->major = GSS_S_DEFECTIVE_TOKEN;
        *reason = g_strdup(len > KRB5_MAX_TOKEN ? "a token of more than 64 KiB" : "a token after the last one");
        /* An established context stays what it is: whoever sends too much cannot end somebody else's session. */
        return self->keys != NULL ? LARES_AUTH_FAILED : refuse(self);
    }
    if (!krb5_token_may_be_carried(self->keytab, token, len)) {
        self->major = GSS_S_FAILURE;
        *reason = g_strdup("the client asked to be connected (IAKERB) with a realm that is not ours");
        return refuse(self);
    }
    note_authenticator(self, token, len);
    self->major = gss_accept_sec_context(&self->minor, &self->gss, self->keytab->cred, &in, GSS_C_NO_CHANNEL_BINDINGS,
                                         &source, &mech, &answer, &flags, NULL, NULL);
    LaresAuthState state = LARES_AUTH_CONTINUE;
    if (GSS_ERROR(self->major)) {
        *reason = mit_reason(self->major, self->minor);
        state = refuse(self);
    } else if ((self->major & GSS_S_CONTINUE_NEEDED) == 0) {
        state = establish(self, source, mech, flags, reason) ? LARES_AUTH_ESTABLISHED : refuse(self);
        /* What MIT made is a yes; we said no. */
        if (state == LARES_AUTH_FAILED)
            gss_release_buffer(&ignored, &answer);
    }
    if (answer.length > 0)
        *out = g_bytes_new(answer.value, answer.length);
    gss_release_buffer(&ignored, &answer);
    gss_release_name(&ignored, &source);
    if (state == LARES_AUTH_ESTABLISHED) {
        drop_handshake(self);
        lares_krb5_provider_count(self->provider, TRUE);
        lares_krb5_provider_count_context(self->provider, TRUE);
    }
    return state;
}

static const LaresAuthPeer *
context_get_peer(LaresAuthContext *context)
{
    LaresKrb5Context *self = LARES_KRB5_CONTEXT(context);
    return self->keys != NULL ? &self->peer : NULL;
}

static const LaresAuthSids *
context_get_sids(LaresAuthContext *context)
{
    LaresKrb5Context *self = LARES_KRB5_CONTEXT(context);
    return self->keys != NULL && self->logon != NULL ? &self->sids : NULL;
}

static gint64
context_get_expiry(LaresAuthContext *context)
{
    return LARES_KRB5_CONTEXT(context)->expiry;
}

static GBytes *
context_get_session_key(LaresAuthContext *context)
{
    return LARES_KRB5_CONTEXT(context)->session_key;
}

static LaresRefused
context_get_refused(LaresAuthContext *context)
{
    LaresKrb5Context *self = LARES_KRB5_CONTEXT(context);
    return class_of(self->major, self->minor);
}

static void
context_get_gss_status(LaresAuthContext *context, uint32_t *major, uint32_t *minor)
{
    *major = LARES_KRB5_CONTEXT(context)->major;
    *minor = LARES_KRB5_CONTEXT(context)->minor;
}

static LaresStatus
status_of(Krb5MsgStatus status)
{
    switch (status) {
    case KRB5_MSG_OK:
        return LARES_OK;
    case KRB5_MSG_FAILED:
        return LARES_SERVERFAULT;
    case KRB5_MSG_NO_ROOM:
        return LARES_TOOSMALL;
    case KRB5_MSG_TOO_LARGE:
        return LARES_FBIG;
    default:
        return LARES_ACCESS;
    }
}

/* NULL before the context is established: then nothing can be protected. */
static Krb5Keys *
keys_of(LaresAuthContext *context)
{
    return LARES_KRB5_CONTEXT(context)->keys;
}

static void
context_wrap_size(LaresAuthContext *context, gboolean conf, size_t len, size_t *head, size_t *tail)
{
    *head = *tail = 0;
    if (keys_of(context) != NULL)
        krb5_wrap_overhead(keys_of(context), conf, head, tail);
}

static LaresStatus
context_wrap(LaresAuthContext *context, gboolean conf, uint8_t *message, size_t len)
{
    uint8_t *token;
    size_t token_len;

    if (keys_of(context) == NULL)
        return LARES_ACCESS;
    return status_of(krb5_wrap_in_place(keys_of(context), conf, message, len, &token, &token_len));
}

static LaresStatus
context_unwrap(LaresAuthContext *context, gboolean conf, uint8_t *token, size_t token_len, uint8_t **message,
               size_t *len)
{
    gboolean sealed = FALSE;

    if (keys_of(context) == NULL)
        return LARES_ACCESS;
    Krb5MsgStatus status = krb5_unwrap_in_place(keys_of(context), token, token_len, message, len, &sealed, NULL);
    if (status == KRB5_MSG_OK && conf && !sealed)
        return LARES_ACCESS;
    return status_of(status);
}

static size_t
context_mic_size(LaresAuthContext *context)
{
    return keys_of(context) != NULL ? krb5_mic_size(keys_of(context)) : 0;
}

static LaresStatus
context_get_mic(LaresAuthContext *context, const struct iovec *iov, int n, uint8_t *mic, size_t *mic_len)
{
    if (keys_of(context) == NULL)
        return LARES_ACCESS;
    return status_of(krb5_get_mic(keys_of(context), iov, (size_t)n, mic, KRB5_MIC_MAX, mic_len));
}

static LaresStatus
context_verify_mic(LaresAuthContext *context, const struct iovec *iov, int n, const uint8_t *mic, size_t mic_len)
{
    if (keys_of(context) == NULL)
        return LARES_ACCESS;
    return status_of(krb5_verify_mic(keys_of(context), iov, (size_t)n, mic, mic_len, NULL));
}

static void
context_interface_init(LaresAuthContextInterface *iface)
{
    iface->step = context_step;
    iface->get_peer = context_get_peer;
    iface->get_expiry = context_get_expiry;
    iface->get_session_key = context_get_session_key;
    iface->get_gss_status = context_get_gss_status;
    iface->get_refused = context_get_refused;
    iface->wrap_size = context_wrap_size;
    iface->wrap = context_wrap;
    iface->unwrap = context_unwrap;
    iface->mic_size = context_mic_size;
    iface->get_mic = context_get_mic;
    iface->verify_mic = context_verify_mic;
    iface->get_sids = context_get_sids;
}
