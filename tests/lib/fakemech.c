/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See fakemech.h. */
#include "fakemech.h"

#include <string.h>

const LaresOid fake_oid = {(const uint8_t *)"\x2a\x03\x04", 3};
const LaresOid fake_alias = {(const uint8_t *)"\x2a\x03\x05", 3};
const LaresOid unknown_oid = {(const uint8_t *)"\x2a\x03\x06", 3};

/* ---- The context ----------------------------------------------------------------------------------------------- */

#define FAKE_TYPE_CONTEXT (fake_context_get_type())
G_DECLARE_FINAL_TYPE(FakeContext, fake_context, FAKE, CONTEXT, GObject)
struct _FakeContext {
    GObject parent_instance;
    gboolean established;
    LaresAuthPeer peer;
    GBytes *key;
};

static void context_iface_init(LaresAuthContextInterface *iface);
G_DEFINE_FINAL_TYPE_WITH_CODE(FakeContext, fake_context, G_TYPE_OBJECT,
                              G_IMPLEMENT_INTERFACE(LARES_TYPE_AUTH_CONTEXT, context_iface_init))

static void
fake_context_init(FakeContext *self)
{
    self->key = g_bytes_new_static("0123456789abcdef", 16);
}

static void
context_finalize(GObject *object)
{
    g_bytes_unref(FAKE_CONTEXT(object)->key);
    G_OBJECT_CLASS(fake_context_parent_class)->finalize(object);
}

static void
fake_context_class_init(FakeContextClass *class)
{
    G_OBJECT_CLASS(class)->finalize = context_finalize;
}

static gboolean
says(const uint8_t *token, size_t len, const char *word)
{
    return len == strlen(word) && memcmp(token, word, len) == 0;
}

static LaresAuthState
context_step(LaresAuthContext *context, const uint8_t *token, size_t len, GBytes **out, char **reason)
{
    FakeContext *self = FAKE_CONTEXT(context);
    if (says(token, len, "go on")) {
        *out = g_bytes_new_static("yes", 3);
        return LARES_AUTH_CONTINUE;
    }
    self->peer.anonymous = says(token, len, "guest");
    self->established = self->peer.anonymous || says(token, len, "last") || says(token, len, "end");
    if (!self->established) {
        *reason = g_strdup("not a word of this mechanism");
        return LARES_AUTH_FAILED;
    }
    if (!self->peer.anonymous)
        self->peer.principal = "ada@FAKE.TEST";
    if (says(token, len, "last"))
        *out = g_bytes_new_static("bye", 3);
    return LARES_AUTH_ESTABLISHED;
}

static const LaresAuthPeer *
context_get_peer(LaresAuthContext *context)
{
    return FAKE_CONTEXT(context)->established ? &FAKE_CONTEXT(context)->peer : NULL;
}

static GBytes *
context_get_session_key(LaresAuthContext *context)
{
    return FAKE_CONTEXT(context)->key;
}

void
fake_mic(const uint8_t *message, size_t len, uint8_t mic[FAKE_MIC])
{
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    gsize n = FAKE_MIC;
    g_checksum_update(sum, (const guchar *)"mic", 3);
    g_checksum_update(sum, message, (gssize)len);
    g_checksum_get_digest(sum, mic, &n);
}

static size_t
context_mic_size(LaresAuthContext *context)
{
    return FAKE_MIC;
}

static LaresStatus
context_get_mic(LaresAuthContext *context, const struct iovec *iov, int n, uint8_t *mic, size_t *mic_len)
{
    fake_mic(iov[0].iov_base, iov[0].iov_len, mic);
    *mic_len = FAKE_MIC;
    return LARES_OK;
}

static LaresStatus
context_verify_mic(LaresAuthContext *context, const struct iovec *iov, int n, const uint8_t *mic, size_t mic_len)
{
    uint8_t right[FAKE_MIC];
    fake_mic(iov[0].iov_base, iov[0].iov_len, right);
    return mic_len == FAKE_MIC && memcmp(mic, right, FAKE_MIC) == 0 ? LARES_OK : LARES_ACCESS;
}

static void
context_iface_init(LaresAuthContextInterface *iface)
{
    iface->step = context_step;
    iface->get_peer = context_get_peer;
    iface->get_session_key = context_get_session_key;
    iface->mic_size = context_mic_size;
    iface->get_mic = context_get_mic;
    iface->verify_mic = context_verify_mic;
}

/* ---- The provider ---------------------------------------------------------------------------------------------- */

#define FAKE_TYPE_PROVIDER (fake_provider_get_type())
G_DECLARE_FINAL_TYPE(FakeProvider, fake_provider, FAKE, PROVIDER, GObject)
struct _FakeProvider {
    GObject parent_instance;
    const gboolean *busy;
};

static void provider_iface_init(LaresAuthProviderInterface *iface);
G_DEFINE_FINAL_TYPE_WITH_CODE(FakeProvider, fake_provider, G_TYPE_OBJECT,
                              G_IMPLEMENT_INTERFACE(LARES_TYPE_AUTH_PROVIDER, provider_iface_init))

static void
fake_provider_init(FakeProvider *self)
{
}

static void
fake_provider_class_init(FakeProviderClass *class)
{
}

static const char *
provider_get_name(LaresAuthProvider *provider)
{
    return "fake";
}

static const LaresFlavor *
provider_get_flavors(LaresAuthProvider *provider, size_t *n)
{
    static const LaresFlavor flavors[] = {
        {"fake", LARES_PROTECT_AUTHENTICATED, LARES_RPC_FLAVOR_NONE, (const uint8_t *)"\x2a\x03\x04", 3, 0, 1, TRUE},
    };
    *n = G_N_ELEMENTS(flavors);
    return flavors;
}

static const LaresOid *
provider_get_mechanisms(LaresAuthProvider *provider, size_t *n)
{
    static LaresOid both[2];
    both[0] = fake_oid;
    both[1] = fake_alias;
    *n = G_N_ELEMENTS(both);
    return both;
}

static LaresAuthContext *
provider_accept(LaresAuthProvider *provider, const char *service, const LaresPeer *peer, GError **error)
{
    if (*FAKE_PROVIDER(provider)->busy) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_UNAVAILABLE, "busy now");
        return NULL;
    }
    return g_object_new(FAKE_TYPE_CONTEXT, NULL);
}

static void
provider_iface_init(LaresAuthProviderInterface *iface)
{
    iface->get_name = provider_get_name;
    iface->get_flavors = provider_get_flavors;
    iface->get_mechanisms = provider_get_mechanisms;
    iface->accept = provider_accept;
}

LaresAuthProvider *
fake_provider_new(const gboolean *busy)
{
    FakeProvider *self = g_object_new(FAKE_TYPE_PROVIDER, NULL);
    self->busy = busy;
    return LARES_AUTH_PROVIDER(self);
}
