/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See krb5-provider.h. */
#include "krb5-provider.h"
#include "krb5-crypto.h"
#include "krb5-watch.h"

#include <lares/log.h>
#include <openssl/crypto.h>
#include <string.h>

struct _LaresKrb5Provider {
    GObject parent;
    Krb5Replays *replays;
    GPtrArray *watches; /* main thread */
    char **keytabs, **services, **hosts;
    char *base64, *base64_source;

    GMutex lock;
    Krb5Keytab *keytab; /* NULL until the first that loads */
    char *error;        /* why there is none, or why the newer one is not used */
    guint reloads, failures;

    void (*realm_found)(const char *realm, gpointer user);
    gpointer user;

    gint64 clock_skew; /* atomic from here on */
    gboolean iakerb, pac;
    guint accepted, refused, replayed, contexts;
    gint64 last_accepted, last_refused; /* wall clock, seconds; 0: never */
};

/* 1.2.840.113554.1.2.2 (RFC 1964 1) */
static const uint8_t krb5_oid[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02};

/* RFC 2623 2.2.1 */
static const LaresFlavor flavors[] = {
    {"krb5", LARES_PROTECT_AUTHENTICATED, 390003, krb5_oid, sizeof krb5_oid, 0, 1, TRUE},
    {"krb5i", LARES_PROTECT_INTEGRITY, 390004, krb5_oid, sizeof krb5_oid, 0, 2, TRUE},
    {"krb5p", LARES_PROTECT_PRIVACY, 390005, krb5_oid, sizeof krb5_oid, 0, 3, TRUE},
};

/* Inside SPNEGO: the name Windows' first clients had for it ([MS-SPNG] 1.9), the right one, and IAKERB
 * (draft-ietf-kitten-iakerb) for a client that reaches the KDC only through us. */
static const LaresOid mechanisms[] = {
    {(const uint8_t *)"\x2a\x86\x48\x82\xf7\x12\x01\x02\x02", 9},
    {krb5_oid, sizeof krb5_oid},
    {(const uint8_t *)"\x2b\x06\x01\x05\x02\x05", 6},
};

static void provider_interface_init(LaresAuthProviderInterface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE(LaresKrb5Provider, lares_krb5_provider, G_TYPE_OBJECT,
                              G_IMPLEMENT_INTERFACE(LARES_TYPE_AUTH_PROVIDER, provider_interface_init))

static void
lares_krb5_provider_init(LaresKrb5Provider *self)
{
    g_mutex_init(&self->lock);
    self->watches = g_ptr_array_new_with_free_func((GDestroyNotify)krb5_watch_free);
    self->clock_skew = 300;
}

/* A keytab as text. */
static void
wipe(char *text)
{
    if (text != NULL)
        OPENSSL_cleanse(text, strlen(text));
    g_free(text);
}

static void
provider_finalize(GObject *object)
{
    LaresKrb5Provider *self = LARES_KRB5_PROVIDER(object);

    g_ptr_array_unref(self->watches);
    krb5_replays_free(self->replays);
    krb5_keytab_unref(self->keytab);
    g_strfreev(self->keytabs);
    g_strfreev(self->services);
    g_strfreev(self->hosts);
    wipe(self->base64);
    g_free(self->base64_source);
    g_free(self->error);
    g_mutex_clear(&self->lock);
    G_OBJECT_CLASS(lares_krb5_provider_parent_class)->finalize(object);
}

static void
lares_krb5_provider_class_init(LaresKrb5ProviderClass *klass)
{
    G_OBJECT_CLASS(klass)->finalize = provider_finalize;
}

LaresKrb5Provider *
lares_krb5_provider_new(guint max_replays)
{
    LaresKrb5Provider *self = g_object_new(LARES_TYPE_KRB5_PROVIDER, NULL);
    self->replays = krb5_replays_new(max_replays);
    return self;
}

/* ---- keys ---- */

/* Under any of the server's names. */
static gboolean
has_service(LaresKrb5Provider *self, const Krb5Keytab *k, const char *service)
{
    for (char **host = self->hosts; host != NULL && *host != NULL; host++)
        if (krb5_keytab_has(k, service, *host))
            return TRUE;
    return FALSE;
}

static void
warn_about(LaresKrb5Provider *self, const Krb5Keytab *k)
{
    if (k->exposed)
        lares_warning(KRB5_ROOM,
                      "keytab %s is open to everybody on this machine, who can become any user with it: chmod 600 it, "
                      "then give the services new keys",
                      k->source);
    for (guint i = 0; i < k->refused->len; i++)
        lares_warning(KRB5_ROOM, "keytab %s: %s", k->source, (char *)k->refused->pdata[i]);
    for (char **service = self->services; service != NULL && *service != NULL; service++) {
        if (!has_service(self, k, *service))
            lares_warning(KRB5_ROOM,
                          "keytab %s has no key for %s/%s: clients cannot log in to that service by Kerberos",
                          k->source, *service, self->hosts != NULL && self->hosts[0] != NULL ? self->hosts[0] : "HOST");
    }
}

static Krb5Keytab *
load_any(LaresKrb5Provider *self, GError **error)
{
    g_autoptr(GError) first = NULL;

    if (self->base64 != NULL)
        return krb5_keytab_load_base64(self->base64, self->base64_source, error);
    for (char **path = self->keytabs; path != NULL && *path != NULL; path++) {
        g_autoptr(GError) local = NULL;
        Krb5Keytab *k = krb5_keytab_load_file(*path, &local);

        if (k != NULL)
            return k;
        /* Only a missing file sends us to the next; a broken one has to be mended. */
        if (!g_error_matches(local, LARES_ERROR, LARES_ERROR_UNAVAILABLE)) {
            g_propagate_error(error, g_steal_pointer(&local));
            return NULL;
        }
        if (first == NULL)
            first = g_steal_pointer(&local);
    }
    if (first != NULL && self->keytabs[1] == NULL) {
        g_propagate_error(error, g_steal_pointer(&first));
    } else {
        g_autofree char *all = g_strjoinv(", ", self->keytabs);
        g_set_error(error, LARES_ERROR, LARES_ERROR_UNAVAILABLE,
                    "no Kerberos keys yet (looked for %s): make a realm with `laresctl realm create`, or name the "
                    "keytab of an existing realm as `keytab` in auth-krb5.module",
                    all);
    }
    return NULL;
}

static void
keys_failed(LaresKrb5Provider *self, const GError *error)
{
    g_mutex_lock(&self->lock);
    gboolean news = g_strcmp0(self->error, error->message) != 0, kept = self->keytab != NULL;
    g_free(self->error);
    self->error = g_strdup(error->message);
    /* A server that was never given a keytab has nothing to mend. */
    gboolean given = self->base64 != NULL || (self->keytabs[0] != NULL && self->keytabs[1] == NULL);
    self->failures += given || kept;
    g_mutex_unlock(&self->lock);
    if (news)
        lares_log(given || kept ? LARES_LOG_ERROR : LARES_LOG_WARNING, KRB5_ROOM, "%s%s", error->message,
                  kept ? " (the keys loaded before stay in use)" : "");
}

/* Users of a realm that trusts us with keys are ours too. */
static void
announce_realms(LaresKrb5Provider *self, const Krb5Keytab *k)
{
    for (guint i = 0; self->realm_found != NULL && i < k->entries->len; i++) {
        const Krb5KeytabEntry *entry = k->entries->pdata[i];
        const char *at = strrchr(entry->principal, '@');
        if (at != NULL)
            self->realm_found(at + 1, self->user);
    }
}

/* A keytab that is just being written stays in use; one that went away with its folder (a realm that was removed) is
 * not to open anything any more. Returns what to give back. */
static Krb5Keytab *
take_gone(LaresKrb5Provider *self, const GError *error)
{
    Krb5Keytab *gone = NULL;

    g_mutex_lock(&self->lock);
    if (self->keytab != NULL && self->base64 == NULL && g_path_is_absolute(self->keytab->source) &&
        g_error_matches(error, LARES_ERROR, LARES_ERROR_UNAVAILABLE)) {
        g_autofree char *folder = g_path_get_dirname(self->keytab->source);

        if (!g_file_test(folder, G_FILE_TEST_IS_DIR))
            gone = g_steal_pointer(&self->keytab);
    }
    g_mutex_unlock(&self->lock);
    return gone;
}

gboolean
lares_krb5_provider_reload(LaresKrb5Provider *self)
{
    g_autoptr(GError) error = NULL;
    Krb5Keytab *fresh = load_any(self, &error), *old;

    if (fresh == NULL) {
        Krb5Keytab *gone = take_gone(self, error);

        if (gone != NULL) {
            lares_info(KRB5_ROOM, "keytab %s is gone with its folder: its keys are not used any more", gone->source);
            krb5_keytab_unref(gone);
        }
        keys_failed(self, error);
        return FALSE;
    }
    g_mutex_lock(&self->lock);
    gboolean news = self->keytab == NULL || strcmp(self->keytab->digest, fresh->digest) != 0 ||
                    strcmp(self->keytab->source, fresh->source) != 0;
    g_clear_pointer(&self->error, g_free);
    old = news ? self->keytab : fresh;
    if (news)
        self->keytab = krb5_keytab_ref(fresh);
    self->reloads += news;
    g_mutex_unlock(&self->lock);
    krb5_keytab_unref(old);
    if (news) {
        lares_info(KRB5_ROOM, "%u keys from keytab %s", fresh->entries->len, fresh->source);
        warn_about(self, fresh);
        announce_realms(self, fresh);
        krb5_keytab_unref(fresh);
    }
    return news;
}

static void
file_changed(gpointer data)
{
    lares_krb5_provider_reload(data);
}

void
lares_krb5_provider_configure(LaresKrb5Provider *self, const Krb5Config *config)
{
    lares_krb5_provider_stop(self);
    g_strfreev(self->keytabs);
    g_strfreev(self->services);
    g_strfreev(self->hosts);
    char *old = self->base64;
    g_free(self->base64_source);
    self->keytabs = g_strdupv((char **)config->keytabs);
    self->services = g_strdupv((char **)config->services);
    self->hosts = g_strdupv((char **)config->hosts);
    self->base64 = g_strdup(config->base64);
    wipe(old);
    self->base64_source = g_strdup(config->base64_source);
    self->realm_found = config->realm_found;
    self->user = config->user;
    __atomic_store_n(&self->clock_skew, config->clock_skew, __ATOMIC_RELAXED);
    __atomic_store_n(&self->iakerb, config->iakerb, __ATOMIC_RELAXED);
    __atomic_store_n(&self->pac, config->pac, __ATOMIC_RELAXED);
    lares_krb5_provider_reload(self);
    if (self->base64 == NULL)
        for (char **path = self->keytabs; path != NULL && *path != NULL; path++)
            g_ptr_array_add(self->watches, krb5_watch_new(*path, file_changed, self));
}

void
lares_krb5_provider_stop(LaresKrb5Provider *self)
{
    g_ptr_array_set_size(self->watches, 0);
}

void
lares_krb5_provider_snapshot(LaresKrb5Provider *self, Krb5Snapshot *snapshot)
{
    g_mutex_lock(&self->lock);
    *snapshot = (Krb5Snapshot){
        .keytab = self->keytab != NULL ? krb5_keytab_ref(self->keytab) : NULL,
        .error = g_strdup(self->error),
        .services = g_strdupv(self->services),
        .hosts = g_strdupv(self->hosts),
        .clock_skew = lares_krb5_provider_clock_skew(self),
        .named = self->base64 != NULL || (self->keytabs[0] != NULL && self->keytabs[1] == NULL),
    };
    if (snapshot->named && self->base64 == NULL)
        snapshot->path = g_strdup(self->keytabs[0]);
    g_mutex_unlock(&self->lock);
}

void
krb5_snapshot_clear(Krb5Snapshot *snapshot)
{
    krb5_keytab_unref(snapshot->keytab);
    g_free(snapshot->error);
    g_free(snapshot->path);
    g_strfreev(snapshot->services);
    g_strfreev(snapshot->hosts);
}

/* ---- what contexts ask ---- */

gint64
lares_krb5_provider_clock_skew(LaresKrb5Provider *self)
{
    return __atomic_load_n(&self->clock_skew, __ATOMIC_RELAXED);
}

gboolean
lares_krb5_provider_uses_pac(LaresKrb5Provider *self)
{
    return __atomic_load_n(&self->pac, __ATOMIC_RELAXED);
}

gboolean
lares_krb5_provider_first_use(LaresKrb5Provider *self, const uint8_t tag[KRB5_REPLAY_TAG])
{
    gboolean crowded;
    /* An authenticator is good from its time minus the skew to its time plus the skew, so a copy of one that came
     * early can come twice the skew later. */
    gint64 window = 2 * lares_krb5_provider_clock_skew(self);
    gboolean first = krb5_replays_add(self->replays, tag, g_get_real_time() / G_USEC_PER_SEC, window, &crowded);

    if (crowded)
        lares_log_limited(LARES_LOG_WARNING, KRB5_ROOM,
                          "the replay cache is full: authenticators are forgotten before their time");
    if (!first)
        __atomic_add_fetch(&self->replayed, 1, __ATOMIC_RELAXED);
    return first;
}

void
lares_krb5_provider_count(LaresKrb5Provider *self, gboolean accepted)
{
    gint64 now = g_get_real_time() / G_USEC_PER_SEC;
    __atomic_add_fetch(accepted ? &self->accepted : &self->refused, 1, __ATOMIC_RELAXED);
    __atomic_store_n(accepted ? &self->last_accepted : &self->last_refused, now, __ATOMIC_RELAXED);
}

void
lares_krb5_provider_count_context(LaresKrb5Provider *self, gboolean begins)
{
    if (begins)
        __atomic_add_fetch(&self->contexts, 1, __ATOMIC_RELAXED);
    else
        __atomic_sub_fetch(&self->contexts, 1, __ATOMIC_RELAXED);
}

Krb5Keytab *
lares_krb5_provider_look(LaresKrb5Provider *self, Krb5Counts *counts)
{
    g_mutex_lock(&self->lock);
    Krb5Keytab *keytab = self->keytab != NULL ? krb5_keytab_ref(self->keytab) : NULL;
    *counts = (Krb5Counts){.reloads = self->reloads, .failures = self->failures};
    g_mutex_unlock(&self->lock);
    counts->replays = krb5_replays_size(self->replays);
    counts->contexts = __atomic_load_n(&self->contexts, __ATOMIC_RELAXED);
    return keytab;
}

/* ---- LaresAuthProvider ---- */

static const char *
provider_get_name(LaresAuthProvider *provider)
{
    return "krb5";
}

static const LaresFlavor *
provider_get_flavors(LaresAuthProvider *provider, size_t *n)
{
    *n = G_N_ELEMENTS(flavors);
    return flavors;
}

static const LaresOid *
provider_get_mechanisms(LaresAuthProvider *provider, size_t *n)
{
    LaresKrb5Provider *self = LARES_KRB5_PROVIDER(provider);
    *n = G_N_ELEMENTS(mechanisms) - (__atomic_load_n(&self->iakerb, __ATOMIC_RELAXED) ? 0 : 1);
    return mechanisms;
}

static LaresAuthContext *
provider_accept(LaresAuthProvider *provider, const char *service, const LaresPeer *peer, GError **error)
{
    LaresKrb5Provider *self = LARES_KRB5_PROVIDER(provider);
    LaresAuthContext *context = NULL;
    Krb5Keytab *keytab = NULL;

    g_mutex_lock(&self->lock);
    if (self->keytab != NULL)
        keytab = krb5_keytab_ref(self->keytab);
    else
        g_set_error(error, LARES_ERROR, LARES_ERROR_UNAVAILABLE, "%s",
                    self->error != NULL ? self->error : "no Kerberos keys are loaded");
    g_mutex_unlock(&self->lock);
    if (keytab != NULL)
        context = lares_krb5_context_new(self, keytab, service);
    return context;
}

static void
add_number(GVariantBuilder *status, const char *name, gint64 value)
{
    g_variant_builder_add(status, "{sv}", name, g_variant_new_int64(value));
}

static void
add_realms(GVariantBuilder *status, const Krb5Keytab *k)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    GVariantBuilder realms;

    g_variant_builder_init(&realms, G_VARIANT_TYPE_STRING_ARRAY);
    for (guint i = 0; i < k->entries->len; i++) {
        const Krb5KeytabEntry *e = k->entries->pdata[i];
        const char *at = strrchr(e->principal, '@');
        if (at != NULL && g_hash_table_add(seen, (gpointer)(at + 1)))
            g_variant_builder_add(&realms, "s", at + 1);
    }
    g_variant_builder_add(status, "{sv}", "realms", g_variant_builder_end(&realms));
}

static void
add_keys(GVariantBuilder *status, const Krb5Keytab *k)
{
    GVariantBuilder keys;

    g_variant_builder_init(&keys, G_VARIANT_TYPE("aa{sv}"));
    for (guint i = 0; i < k->entries->len; i++) {
        const Krb5KeytabEntry *e = k->entries->pdata[i];
        GVariantBuilder key;

        g_variant_builder_init(&key, G_VARIANT_TYPE_VARDICT);
        g_variant_builder_add(&key, "{sv}", "principal", g_variant_new_string(e->principal));
        add_number(&key, "kvno", e->kvno);
        g_variant_builder_add(&key, "{sv}", "enctype", g_variant_new_string(krb5_enctype_find(e->enctype)->name));
        g_variant_builder_add_value(&keys, g_variant_builder_end(&key));
    }
    g_variant_builder_add(status, "{sv}", "keytab", g_variant_new_string(k->source));
    add_number(status, "loaded", k->loaded);
    g_variant_builder_add(status, "{sv}", "keys", g_variant_builder_end(&keys));
}

static void
add_services(LaresKrb5Provider *self, GVariantBuilder *status)
{
    GVariantBuilder found, missing;
    const char *host = self->hosts != NULL && self->hosts[0] != NULL ? self->hosts[0] : "HOST";

    g_variant_builder_init(&found, G_VARIANT_TYPE_STRING_ARRAY);
    g_variant_builder_init(&missing, G_VARIANT_TYPE_STRING_ARRAY);
    for (char **service = self->services; service != NULL && *service != NULL; service++) {
        gboolean has = self->keytab != NULL && has_service(self, self->keytab, *service);
        g_autofree char *name = g_strdup_printf("%s/%s", *service, host);

        g_variant_builder_add(has ? &found : &missing, "s", name);
    }
    g_variant_builder_add(status, "{sv}", "found", g_variant_builder_end(&found));
    g_variant_builder_add(status, "{sv}", "missing", g_variant_builder_end(&missing));
}

static void
add_time(GVariantBuilder *status, const char *name, const gint64 *when)
{
    gint64 seconds = __atomic_load_n(when, __ATOMIC_RELAXED);

    if (seconds != 0)
        add_number(status, name, seconds);
}

static GVariant *
provider_get_status(LaresAuthProvider *provider)
{
    LaresKrb5Provider *self = LARES_KRB5_PROVIDER(provider);
    GVariantBuilder b;

    g_variant_builder_init(&b, G_VARIANT_TYPE_VARDICT);
    g_mutex_lock(&self->lock);
    if (self->keytab != NULL) {
        add_keys(&b, self->keytab);
        add_realms(&b, self->keytab);
    }
    if (self->error != NULL)
        g_variant_builder_add(&b, "{sv}", "problem", g_variant_new_string(self->error));
    add_services(self, &b);
    g_mutex_unlock(&self->lock);
    add_number(&b, "clock-skew", lares_krb5_provider_clock_skew(self));
    add_number(&b, "accepted", __atomic_load_n(&self->accepted, __ATOMIC_RELAXED));
    add_number(&b, "refused", __atomic_load_n(&self->refused, __ATOMIC_RELAXED));
    add_number(&b, "replayed", __atomic_load_n(&self->replayed, __ATOMIC_RELAXED));
    add_time(&b, "last-accepted", &self->last_accepted);
    add_time(&b, "last-refused", &self->last_refused);
    add_number(&b, "contexts", __atomic_load_n(&self->contexts, __ATOMIC_RELAXED));
    add_number(&b, "replay-cache", krb5_replays_size(self->replays));
    return g_variant_builder_end(&b);
}

static void
provider_interface_init(LaresAuthProviderInterface *iface)
{
    iface->get_name = provider_get_name;
    iface->get_flavors = provider_get_flavors;
    iface->accept = provider_accept;
    iface->get_status = provider_get_status;
    iface->get_mechanisms = provider_get_mechanisms;
}
