/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One login by NTLMv2: NEGOTIATE, CHALLENGE, AUTHENTICATE.
 *
 * A client without a name or with one that nobody here has is a guest: it proves nothing and shares no key with us. A
 * known user has to have an NT hash and answer with NTLMv2 in extended session security; LM and NTLMv1 are never looked
 * at. Our challenge carries the time, so a client of this century adds a MIC over all three messages; whether it did is
 * itself covered by its proof, so it cannot be taken off.
 *
 * Spec: [MS-NLMP] 3.2.5 (server), 3.3.2 (NTLMv2), 3.4 (session security).
 * Thread: step() one at a time; after it MICs may be made by many threads.
 * Locks: one, around the two RC4 streams and sequence numbers; a leaf. */
#include "ntlm-crypto.h"
#include "ntlm-provider.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <string.h>

#define OFFERED                                                                                                        \
    (NTLM_UNICODE | NTLM_TARGET | NTLM_SIGN | NTLM_SEAL | NTLM_NTLM | NTLM_ALWAYS_SIGN | NTLM_ESS | NTLM_VERSION |     \
     NTLM_128 | NTLM_KEY_EXCH | NTLM_56 | NTLM_ANONYMOUS)

typedef struct {
    uint8_t sign[16];
    NtlmRc4 seal;
    uint32_t seq;
} Direction;

typedef enum { STATE_NEGOTIATE, STATE_AUTHENTICATE, STATE_DONE, STATE_FAILED } State;

struct _LaresNtlmContext {
    GObject parent_instance;
    LaresNtlmProvider *provider;
    LaresPeer from;
    State state;
    gboolean malformed; /* it failed because a message was none */
    GByteArray *sent;   /* NEGOTIATE and CHALLENGE, for the MIC */
    uint32_t flags;     /* offered in CHALLENGE, then what both agreed on */
    uint8_t challenge[8];
    LaresAuthPeer peer;
    char *user, *claimed;
    GBytes *session_key; /* NULL: guest */
    uint64_t credential;
    LaresRefused refused;
    GMutex lock;
    Direction in, out;
};

static void context_interface_init(LaresAuthContextInterface *iface);
G_DEFINE_FINAL_TYPE_WITH_CODE(LaresNtlmContext, lares_ntlm_context, G_TYPE_OBJECT,
                              G_IMPLEMENT_INTERFACE(LARES_TYPE_AUTH_CONTEXT, context_interface_init))

static void
lares_ntlm_context_init(LaresNtlmContext *self)
{
    g_mutex_init(&self->lock);
    self->sent = g_byte_array_new();
}

static void
context_finalize(GObject *object)
{
    LaresNtlmContext *self = LARES_NTLM_CONTEXT(object);
    OPENSSL_cleanse(&self->in, sizeof self->in);
    OPENSSL_cleanse(&self->out, sizeof self->out);
    g_clear_pointer(&self->session_key, g_bytes_unref);
    g_byte_array_unref(self->sent);
    g_free(self->user);
    g_free(self->claimed);
    g_object_unref(self->provider);
    g_mutex_clear(&self->lock);
    G_OBJECT_CLASS(lares_ntlm_context_parent_class)->finalize(object);
}

static void
lares_ntlm_context_class_init(LaresNtlmContextClass *class)
{
    G_OBJECT_CLASS(class)->finalize = context_finalize;
}

LaresAuthContext *
lares_ntlm_context_new(LaresNtlmProvider *provider, const LaresPeer *peer)
{
    LaresNtlmContext *self = g_object_new(LARES_TYPE_NTLM_CONTEXT, NULL);
    self->provider = g_object_ref(provider);
    self->from = *peer;
    return LARES_AUTH_CONTEXT(self);
}

/* ---- Keys ------------------------------------------------------------------------------------------------------ */

/* 3.4.5: the constants count with their NUL. */
static gboolean
derive(Direction *d, const uint8_t key[16], uint32_t flags, const char *sign, const char *seal)
{
    uint8_t sealing[16];
    size_t len = (flags & NTLM_128) ? 16 : (flags & NTLM_56) ? 7 : 5;
    d->seq = 0;
    if (!ntlm_md5(key, 16, sign, strlen(sign) + 1, d->sign) || !ntlm_md5(key, len, seal, strlen(seal) + 1, sealing))
        return FALSE;
    ntlm_rc4_init(&d->seal, sealing, sizeof sealing);
    OPENSSL_cleanse(sealing, sizeof sealing);
    return TRUE;
}

static void
wiped_free(gpointer data)
{
    OPENSSL_cleanse(data, 16);
    g_free(data);
}

static gboolean
take_key(LaresNtlmContext *self, const uint8_t key[16])
{
    uint8_t *copy = g_memdup2(key, 16);
    self->session_key = g_bytes_new_with_free_func(copy, 16, wiped_free, copy);
    return derive(&self->in, key, self->flags, "session key to client-to-server signing key magic constant",
                  "session key to client-to-server sealing key magic constant") &&
           derive(&self->out, key, self->flags, "session key to server-to-client signing key magic constant",
                  "session key to server-to-client sealing key magic constant");
}

/* ---- NEGOTIATE ------------------------------------------------------------------------------------------------- */

static LaresAuthState
fail(LaresNtlmContext *self, LaresRefused refused, char **reason, const char *why)
{
    self->state = STATE_FAILED;
    self->refused = refused;
    *reason = g_strdup(why);
    return LARES_AUTH_FAILED;
}

static LaresAuthState
fail_malformed(LaresNtlmContext *self, char **reason, const char *why)
{
    self->malformed = TRUE;
    return fail(self, LARES_REFUSED_MALFORMED, reason, why);
}

static uint64_t
filetime_now(void)
{
    return ((uint64_t)g_get_real_time() + UINT64_C(11644473600000000)) * 10;
}

static LaresAuthState
negotiate(LaresNtlmContext *self, const uint8_t *token, size_t len, GBytes **out, char **reason)
{
    uint32_t asked;
    if (!ntlm_read_negotiate(token, len, &asked))
        return fail_malformed(self, reason, "a malformed NTLM NEGOTIATE");
    if (!(asked & NTLM_UNICODE))
        return fail(self, LARES_REFUSED_POLICY, reason, "an NTLM client without Unicode");
    if (RAND_bytes(self->challenge, sizeof self->challenge) != 1)
        return fail(self, LARES_REFUSED_UNAVAILABLE, reason, "no random numbers");
    self->flags = (asked & OFFERED) | NTLM_NTLM | NTLM_TARGET_INFO | NTLM_TARGET_SERVER;
    g_autoptr(GByteArray) message =
        ntlm_write_challenge(self->flags, self->challenge, filetime_now(), lares_ntlm_provider_names(self->provider));
    g_byte_array_append(self->sent, token, (guint)len);
    g_byte_array_append(self->sent, message->data, message->len);
    *out = g_bytes_new(message->data, message->len);
    self->state = STATE_AUTHENTICATE;
    return LARES_AUTH_CONTINUE;
}

/* ---- AUTHENTICATE ---------------------------------------------------------------------------------------------- */

static LaresAuthState
guest(LaresNtlmContext *self, const char *claimed)
{
    self->claimed = g_strdup(claimed);
    self->peer = (LaresAuthPeer){.anonymous = TRUE, .machine_name = self->claimed};
    self->state = STATE_DONE;
    return LARES_AUTH_ESTABLISHED;
}

/* The client's copy of our names must be ours: else somebody passes on what was meant for another server. */
static gboolean
names_are_ours(LaresNtlmContext *self, const NtlmField *pairs, gboolean *broken)
{
    NtlmField value;
    size_t len;
    if (!ntlm_av_find(pairs, NTLM_AV_NB_COMPUTER, &value, broken))
        return !*broken;
    g_autofree uint8_t *ours = ntlm_utf16(lares_ntlm_provider_names(self->provider)->computer, &len);
    return value.len == len && memcmp(value.at, ours, len) == 0;
}

/* 2.2.2.1: a list of names without an end is no message, whatever its proof says. */
static gboolean
pairs_are_broken(const NtlmAuthenticate *m)
{
    NtlmField pairs, ignored;
    gboolean broken = FALSE;
    if (ntlm_response_pairs(&m->nt, &pairs))
        ntlm_av_find(&pairs, NTLM_AV_EOL, &ignored, &broken);
    return broken;
}

/* 3.3.2: the proof over our challenge and what the client says; *key is the session base key. */
static gboolean
proof_is_right(LaresNtlmContext *self, const NtlmAuthenticate *m, const char *user, const uint8_t hash[16],
               uint8_t key[16])
{
    uint8_t owf[16], proof[16];
    const NtlmPiece said[] = {{self->challenge, 8}, {m->nt.at + 16, m->nt.len - 16}}, ours[] = {{proof, 16}};
    gboolean ok = ntlm_owf2(hash, user, m->domain.at, m->domain.len, owf) && ntlm_hmac(owf, said, 2, proof) &&
                  CRYPTO_memcmp(proof, m->nt.at, 16) == 0 && ntlm_hmac(owf, ours, 1, key);
    OPENSSL_cleanse(owf, sizeof owf);
    OPENSSL_cleanse(proof, sizeof proof);
    return ok;
}

/* The key both use: the client's own choice under the base key, where key exchange was agreed on. */
static gboolean
exported_key(const NtlmAuthenticate *m, uint8_t key[16])
{
    NtlmRc4 rc4;
    if (!(m->flags & NTLM_KEY_EXCH))
        return TRUE;
    if (m->session_key.len != 16)
        return FALSE;
    ntlm_rc4_init(&rc4, key, 16);
    ntlm_rc4(&rc4, m->session_key.at, key, 16);
    OPENSSL_cleanse(&rc4, sizeof rc4);
    return TRUE;
}

static gboolean
mic_is_right(LaresNtlmContext *self, const NtlmAuthenticate *m, const NtlmField *pairs, const uint8_t *token,
             size_t len, const uint8_t key[16])
{
    static const uint8_t zero[16];
    uint8_t mic[16];
    NtlmField value;
    gboolean broken;
    if (!ntlm_av_find(pairs, NTLM_AV_FLAGS, &value, &broken))
        return !broken;
    if (value.len != 4)
        return FALSE;
    if (!(value.at[0] & NTLM_AV_FLAG_MIC))
        return TRUE;
    const NtlmPiece pieces[] = {{self->sent->data, self->sent->len},
                                {token, NTLM_MIC_AT},
                                {zero, 16},
                                {token + NTLM_MIC_AT + 16, len - NTLM_MIC_AT - 16}};
    return m->room_for_mic && ntlm_hmac(key, pieces, 4, mic) && CRYPTO_memcmp(mic, token + NTLM_MIC_AT, 16) == 0;
}

/* NULL: fine, and the key is taken. */
static const char *
check(LaresNtlmContext *self, const NtlmAuthenticate *m, const char *user, const uint8_t hash[16], const uint8_t *token,
      size_t len)
{
    uint8_t key[16] = {0};
    NtlmField pairs;
    gboolean broken = FALSE;
    const char *why = NULL;
    self->refused = LARES_REFUSED_POLICY;
    if (!ntlm_response_pairs(&m->nt, &pairs))
        return "an answer of LM or NTLMv1, which are not accepted";
    if (!(m->flags & NTLM_ESS) || (m->flags & NTLM_LM_KEY) || (m->flags & ~self->flags & OFFERED & ~NTLM_ANONYMOUS))
        return "an NTLM client that changed what was agreed on";
    self->refused = LARES_REFUSED_CREDENTIAL;
    if (!proof_is_right(self, m, user, hash, key))
        why = "wrong password";
    else if (!names_are_ours(self, &pairs, &broken) || broken)
        why = "the answer was meant for another server";
    else if (!exported_key(m, key))
        why = "no session key where one was agreed on";
    else if (!mic_is_right(self, m, &pairs, token, len, key))
        why = "the messages were changed on their way (MIC)";
    self->flags &= m->flags;
    if (!why && !take_key(self, key))
        why = "the system forbids MD5";
    OPENSSL_cleanse(key, sizeof key);
    return why;
}

static LaresAuthState
authenticate(LaresNtlmContext *self, const uint8_t *token, size_t len, char **reason)
{
    NtlmAuthenticate m;
    uint8_t hash[16];
    g_autofree char *name = NULL;
    if (!ntlm_read_authenticate(token, len, &m))
        return fail_malformed(self, reason, "a malformed NTLM AUTHENTICATE");
    if (pairs_are_broken(&m))
        return fail_malformed(self, reason, "a malformed list of names in an NTLM AUTHENTICATE");
    if (m.user.len == 0 && m.nt.len == 0) /* 3.2.5.1.2: anonymous */
        return lares_ntlm_provider_guest(self->provider)
                   ? guest(self, NULL)
                   : fail(self, LARES_REFUSED_POLICY, reason, "guests are switched off");
    g_autofree char *given = ntlm_utf8(m.user.at, m.user.len);
    if (!given || !*given || m.user.len > 512 || m.domain.len > 512)
        return fail(self, LARES_REFUSED_MALFORMED, reason, "a name that is not text");
    LaresStatus status = lares_ntlm_provider_find(self->provider, given, &name, hash);
    if (status == LARES_NOENT && lares_ntlm_provider_guest(self->provider))
        return guest(self, given);
    if (status != LARES_OK) {
        g_autofree char *why =
            g_strdup_printf(status == LARES_NOENT    ? "unknown user %s"
                            : status == LARES_ACCESS ? "NTLM is not switched on for %s (laresctl user ntlm enable)"
                                                     : "the directory cannot be read for %s",
                            given);
        return fail(self,
                    status == LARES_NOENT || status == LARES_ACCESS ? LARES_REFUSED_NO_USER : LARES_REFUSED_UNAVAILABLE,
                    reason, why);
    }
    if (!lares_ntlm_provider_may_try(self->provider, name, self->from.address)) {
        OPENSSL_cleanse(hash, sizeof hash);
        return fail(self, LARES_REFUSED_LIMIT, reason, "too many wrong passwords from this address; wait a minute");
    }
    const char *why = check(self, &m, given, hash, token, len);
    self->credential = lares_ntlm_provider_credential(self->provider, hash);
    OPENSSL_cleanse(hash, sizeof hash);
    lares_ntlm_provider_tried(self->provider, name, self->from.address, !why);
    if (why) {
        g_autofree char *text = g_strdup_printf("%s (user %s)", why, name);
        return fail(self, self->refused, reason, text);
    }
    self->user = g_steal_pointer(&name);
    self->peer = (LaresAuthPeer){.principal = self->user};
    self->state = STATE_DONE;
    return LARES_AUTH_ESTABLISHED;
}

/* ---- LaresAuthContext ------------------------------------------------------------------------------------------ */

static LaresAuthState
context_step(LaresAuthContext *context, const uint8_t *token, size_t len, GBytes **out, char **reason)
{
    LaresNtlmContext *self = LARES_NTLM_CONTEXT(context);
    switch (self->state) {
    case STATE_NEGOTIATE:
        return negotiate(self, token, len, out, reason);
    case STATE_AUTHENTICATE:
        return authenticate(self, token, len, reason);
    case STATE_DONE:
    case STATE_FAILED:
        break;
    }
    *reason = g_strdup("a message after the last one");
    return LARES_AUTH_FAILED;
}

static LaresRefused
context_get_refused(LaresAuthContext *context)
{
    return LARES_NTLM_CONTEXT(context)->refused;
}

static const LaresAuthPeer *
context_get_peer(LaresAuthContext *context)
{
    LaresNtlmContext *self = LARES_NTLM_CONTEXT(context);
    return self->state == STATE_DONE ? &self->peer : NULL;
}

static void
context_get_gss_status(LaresAuthContext *context, uint32_t *major, uint32_t *minor)
{
    LaresNtlmContext *self = LARES_NTLM_CONTEXT(context);
    *major = self->state != STATE_FAILED ? 0 : self->malformed ? 9u << 16 : 13u << 16; /* RFC 2744 5.1 */
    *minor = 0;
}

static GBytes *
context_get_session_key(LaresAuthContext *context)
{
    return LARES_NTLM_CONTEXT(context)->session_key;
}

static uint64_t
context_get_credential(LaresAuthContext *context)
{
    return LARES_NTLM_CONTEXT(context)->credential;
}

static size_t
context_mic_size(LaresAuthContext *context)
{
    return LARES_NTLM_CONTEXT(context)->session_key ? 16 : 0;
}

static void
put_le32(uint8_t *to, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(v >> (8 * i));
}

/* 3.4.4.2: with extended session security. Moves the direction one message on. */
static LaresStatus
make_mic(LaresNtlmContext *self, Direction *d, const struct iovec *iov, int n, uint8_t mic[16])
{
    uint8_t seq[4], digest[16];
    g_autofree NtlmPiece *pieces = g_new(NtlmPiece, (gsize)n + 1);
    g_mutex_lock(&self->lock);
    put_le32(seq, d->seq++);
    pieces[0] = (NtlmPiece){seq, 4};
    for (int i = 0; i < n; i++)
        pieces[i + 1] = (NtlmPiece){iov[i].iov_base, iov[i].iov_len};
    gboolean ok = ntlm_hmac(d->sign, pieces, (size_t)n + 1, digest);
    if (self->flags & NTLM_KEY_EXCH)
        ntlm_rc4(&d->seal, digest, digest, 8);
    g_mutex_unlock(&self->lock);
    put_le32(mic, 1);
    memcpy(mic + 4, digest, 8);
    memcpy(mic + 12, seq, 4);
    return ok ? LARES_OK : LARES_SERVERFAULT;
}

static LaresStatus
context_get_mic(LaresAuthContext *context, const struct iovec *iov, int n, uint8_t *mic, size_t *mic_len)
{
    LaresNtlmContext *self = LARES_NTLM_CONTEXT(context);
    if (!self->session_key)
        return LARES_ACCESS;
    *mic_len = 16;
    return make_mic(self, &self->out, iov, n, mic);
}

static LaresStatus
context_verify_mic(LaresAuthContext *context, const struct iovec *iov, int n, const uint8_t *mic, size_t mic_len)
{
    LaresNtlmContext *self = LARES_NTLM_CONTEXT(context);
    uint8_t right[16];
    if (!self->session_key || mic_len != sizeof right)
        return LARES_ACCESS;
    LaresStatus status = make_mic(self, &self->in, iov, n, right);
    return status != LARES_OK ? status : CRYPTO_memcmp(right, mic, sizeof right) == 0 ? LARES_OK : LARES_ACCESS;
}

static void
context_interface_init(LaresAuthContextInterface *iface)
{
    iface->step = context_step;
    iface->get_peer = context_get_peer;
    iface->get_session_key = context_get_session_key;
    iface->get_gss_status = context_get_gss_status;
    iface->mic_size = context_mic_size;
    iface->get_mic = context_get_mic;
    iface->verify_mic = context_verify_mic;
    iface->get_refused = context_get_refused;
    iface->get_credential = context_get_credential;
}
