/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See ntlm-provider.h. */
#include "ntlm-provider.h"
#include "ntlm-crypto.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <string.h>

#define FAILURES_MAX  10
#define WAIT_SECONDS  60
#define FAILURES_KEPT 4096

struct _LaresNtlmProvider {
    GObject parent_instance;
    char *computer, *host, *domain;
    NtlmNames names;
    gboolean guest;
    LaresStatus (*find)(const char *user, uint8_t hash[16], gpointer data);
    gpointer data;
    uint8_t secret[16]; /* of the credentials' numbers; constant */
    GMutex lock;
    GHashTable *failures; /* "user address" -> Failure; guarded by lock */
};

typedef struct {
    guint n;
    gint64 last;
} Failure;

/* 1.3.6.1.4.1.311.2.2.10 ([MS-SPNG] 1.9) */
static const uint8_t oid[] = {0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x02, 0x02, 0x0a};

/* No RPC form: NFS has no NTLM. */
static const LaresFlavor flavors[] = {
    {"ntlm", LARES_PROTECT_AUTHENTICATED, LARES_RPC_FLAVOR_NONE, oid, sizeof oid, 0, 1, TRUE},
};

static void provider_interface_init(LaresAuthProviderInterface *iface);
G_DEFINE_FINAL_TYPE_WITH_CODE(LaresNtlmProvider, lares_ntlm_provider, G_TYPE_OBJECT,
                              G_IMPLEMENT_INTERFACE(LARES_TYPE_AUTH_PROVIDER, provider_interface_init))

static void
lares_ntlm_provider_init(LaresNtlmProvider *self)
{
    g_mutex_init(&self->lock);
    if (RAND_bytes(self->secret, sizeof self->secret) != 1)
        g_error("no random numbers");
    self->failures = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
}

static void
provider_finalize(GObject *object)
{
    LaresNtlmProvider *self = LARES_NTLM_PROVIDER(object);
    g_hash_table_unref(self->failures);
    g_free(self->computer);
    g_free(self->host);
    g_free(self->domain);
    g_mutex_clear(&self->lock);
    G_OBJECT_CLASS(lares_ntlm_provider_parent_class)->finalize(object);
}

static void
lares_ntlm_provider_class_init(LaresNtlmProviderClass *class)
{
    G_OBJECT_CLASS(class)->finalize = provider_finalize;
}

LaresNtlmProvider *
lares_ntlm_provider_new(void)
{
    return g_object_new(LARES_TYPE_NTLM_PROVIDER, NULL);
}

void
lares_ntlm_provider_configure(LaresNtlmProvider *self, const NtlmConfig *config)
{
    /* The names do not change while the process lives; a reload changes who may be a guest. */
    if (!self->host) {
        self->host = g_strdup(config->host);
        self->domain = g_strdup(config->domain);
        g_autofree char *first = g_strndup(config->host, strcspn(config->host, "."));
        first[MIN(strlen(first), 15)] = '\0';
        self->computer = g_ascii_strup(first, -1);
        self->names = (NtlmNames){self->computer, self->host, self->domain};
        self->find = config->find;
        self->data = config->data;
    }
    __atomic_store_n(&self->guest, config->guest, __ATOMIC_RELAXED);
}

/* ---- What contexts ask ----------------------------------------------------------------------------------------- */

const NtlmNames *
lares_ntlm_provider_names(LaresNtlmProvider *self)
{
    return &self->names;
}

gboolean
lares_ntlm_provider_guest(LaresNtlmProvider *self)
{
    return __atomic_load_n(&self->guest, __ATOMIC_RELAXED);
}

LaresStatus
lares_ntlm_provider_find(LaresNtlmProvider *self, const char *given, char **name, uint8_t hash[16])
{
    LaresStatus status = self->find(given, hash, self->data);
    *name = g_strdup(given);
    if (status != LARES_NOENT)
        return status;
    g_autofree char *lower = g_utf8_strdown(given, -1);
    if (g_str_equal(lower, given))
        return status;
    status = self->find(lower, hash, self->data);
    g_free(*name);
    *name = g_steal_pointer(&lower);
    return status;
}

uint64_t
lares_ntlm_provider_credential(LaresNtlmProvider *self, const uint8_t hash[16])
{
    const NtlmPiece piece = {hash, 16};
    uint8_t digest[16];
    uint64_t number;
    if (!ntlm_hmac(self->secret, &piece, 1, digest))
        return 0;
    memcpy(&number, digest, sizeof number);
    return number;
}

gboolean
lares_ntlm_provider_may_try(LaresNtlmProvider *self, const char *user, const char *address)
{
    g_autofree char *key = g_strdup_printf("%s %s", user, address);
    gint64 now = g_get_monotonic_time() / G_USEC_PER_SEC;
    g_mutex_lock(&self->lock);
    const Failure *failure = g_hash_table_lookup(self->failures, key);
    gboolean may = !failure || failure->n < FAILURES_MAX || now - failure->last >= WAIT_SECONDS;
    g_mutex_unlock(&self->lock);
    return may;
}

void
lares_ntlm_provider_tried(LaresNtlmProvider *self, const char *user, const char *address, gboolean ok)
{
    g_autofree char *key = g_strdup_printf("%s %s", user, address);
    g_mutex_lock(&self->lock);
    if (ok) {
        g_hash_table_remove(self->failures, key);
    } else {
        Failure *failure = g_hash_table_lookup(self->failures, key);
        if (!failure) {
            if (g_hash_table_size(self->failures) >= FAILURES_KEPT)
                g_hash_table_remove_all(self->failures);
            failure = g_new0(Failure, 1);
            g_hash_table_insert(self->failures, g_steal_pointer(&key), failure);
        }
        failure->n++;
        failure->last = g_get_monotonic_time() / G_USEC_PER_SEC;
    }
    g_mutex_unlock(&self->lock);
}

/* ---- LaresAuthProvider ----------------------------------------------------------------------------------------- */

static const char *
provider_get_name(LaresAuthProvider *provider)
{
    return "ntlm";
}

static const LaresFlavor *
provider_get_flavors(LaresAuthProvider *provider, size_t *n)
{
    *n = G_N_ELEMENTS(flavors);
    return flavors;
}

static LaresAuthContext *
provider_accept(LaresAuthProvider *provider, const char *service, const LaresPeer *peer, GError **error)
{
    /* HTTP would authenticate a connection that a proxy may share: SMB only. */
    if (g_strcmp0(service, "cifs") != 0) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_DENIED, "NTLM is for SMB only");
        return NULL;
    }
    return lares_ntlm_context_new(LARES_NTLM_PROVIDER(provider), peer);
}

/* What cannot be read now ends nothing. */
static gboolean
provider_stands(LaresAuthProvider *provider, const char *principal, uint64_t credential)
{
    LaresNtlmProvider *self = LARES_NTLM_PROVIDER(provider);
    uint8_t hash[16];
    LaresStatus status = self->find(principal, hash, self->data);
    gboolean same = status == LARES_OK && lares_ntlm_provider_credential(self, hash) == credential;
    OPENSSL_cleanse(hash, sizeof hash);
    return same || (status != LARES_OK && status != LARES_ACCESS && status != LARES_NOENT);
}

static GVariant *
provider_get_status(LaresAuthProvider *provider)
{
    GVariantBuilder b;
    g_variant_builder_init(&b, G_VARIANT_TYPE_VARDICT);
    g_variant_builder_add(&b, "{sv}", "guests",
                          g_variant_new_boolean(lares_ntlm_provider_guest(LARES_NTLM_PROVIDER(provider))));
    return g_variant_builder_end(&b);
}

static void
provider_interface_init(LaresAuthProviderInterface *iface)
{
    iface->get_name = provider_get_name;
    iface->get_flavors = provider_get_flavors;
    iface->accept = provider_accept;
    iface->get_status = provider_get_status;
    iface->stands = provider_stands;
}
