/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The auth-krb5 module: its settings, and the one provider it registers.
 *
 * Thread: main. */
#include "krb5-doctor.h"
#include "krb5-init.h"
#include "krb5-profile.h"
#include "krb5-provider.h"

#include <lares/control.h>
#include <lares/host.h>
#include <lares/identity.h>
#include <lares/log.h>
#include <lares/module.h>
#include <lares/settings.h>
#include <openssl/crypto.h>
#include <string.h>

#define KEYTAB_VARIABLE "LARES_KERBEROS_KEYTAB_BASE64"
#define MACHINE_KEYTAB  "/etc/krb5.keytab"

static const LaresKey keys[] = {
    {"keytab", LARES_KEY_PATH, NULL, 0, 0,
     "The server's keys. Unset: the variable " KEYTAB_VARIABLE
     ", then the home realm's keytab, then what `laresctl kerberos "
     "init` made, then " MACHINE_KEYTAB "."},
    {"clock-skew", LARES_KEY_DURATION, "5m", 1, 86400, "How far a client's clock may be off."},
    {"iakerb", LARES_KEY_BOOLEAN, "true", 0, 0,
     "Let SMB and HTTP clients that cannot reach the KDC log on through this server."},
    {"pac", LARES_KEY_BOOLEAN, "true", 0, 0,
     "Take the groups of Active Directory's users from their tickets; false: as if there were none in them."},
    {"services", LARES_KEY_LIST, "nfs,cifs,HTTP,host", 0, 0,
     "Services that should have a key; a missing one is warned about at start."},
    {"helper", LARES_KEY_PATH, NULL, 0, 0, "lares-keytab-helper, when it is not in its place."},
    {"replay-cache", LARES_KEY_INTEGER, "100000", 1000, 10000000,
     "Logins that are remembered to refuse replays of them; some 80 bytes each."},
    {NULL},
};

static LaresKrb5Provider *provider;

static void
realm_found(const char *realm, gpointer user)
{
    LaresHost *host = user;

    lares_directory_add_local_realm(lares_host_directory(host), realm);
}

/* The keytab of the environment, or NULL. Taken once and wiped where it was: what stays in the environment is inherited
 * by every child and shown in /proc to whoever may look into this process. */
static const char *
keytab_of_environment(void)
{
    static char *taken;
    char *value = (char *)g_getenv(KEYTAB_VARIABLE);

    if (value != NULL) {
        g_free(taken);
        taken = *value != '\0' ? g_strdup(value) : NULL;
        OPENSSL_cleanse(value, strlen(value));
        g_unsetenv(KEYTAB_VARIABLE);
    }
    return taken;
}

static gboolean
apply(LaresHost *host, LaresSettings *settings, GError **error)
{
    g_autofree char *home_keytab = g_build_filename(lares_host_state_dir(host), "realm", "service.keytab", NULL);
    g_autofree char *home_conf = g_build_filename(lares_host_state_dir(host), "realm", "krb5.conf", NULL);
    const char *path = lares_settings_string(settings, "keytab");
    g_autofree char *made_keytab = krb5_init_keytab(host);
    const char *by_default[] = {home_keytab, made_keytab, MACHINE_KEYTAB, NULL}, *chosen[] = {path, NULL};
    const char *variable = keytab_of_environment(), *base64 = path == NULL ? variable : NULL;
    gint64 skew = lares_settings_integer(settings, "clock-skew");

    if (!krb5_profile_write(lares_host_run_dir(host), home_conf, skew, error))
        return FALSE;
    lares_krb5_provider_configure(provider, &(Krb5Config){
                                                .keytabs = path != NULL ? chosen : by_default,
                                                .base64 = base64,
                                                .base64_source = KEYTAB_VARIABLE,
                                                .services = lares_settings_list(settings, "services"),
                                                .hosts = lares_host_aliases(host),
                                                .clock_skew = skew,
                                                .iakerb = lares_settings_boolean(settings, "iakerb"),
                                                .pac = lares_settings_boolean(settings, "pac"),
                                                .realm_found = realm_found,
                                                .user = host,
                                            });
    krb5_init_configure(host, provider, lares_settings_string(settings, "helper"));
    return TRUE;
}

static GVariant *
verb_status(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    return lares_auth_provider_get_status(LARES_AUTH_PROVIDER(provider));
}

/* The doctor, for what belongs to Kerberos. */
static GVariant *
verb_test(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    static const char *const areas[] = {"names", "kerberos", "clients", NULL};
    GVariantDict only;

    g_variant_dict_init(&only, NULL);
    g_variant_dict_insert(&only, "only", "^as", areas);
    return lares_control_call(lares_host_control(host), caller, "doctor", g_variant_dict_end(&only), error);
}

static const LaresVerb verbs[] = {
    {"kerberos.status", LARES_RIGHT_READ, "The server's keys, and how logins with tickets go", NULL, verb_status},
    {"kerberos.test", LARES_RIGHT_OPERATE, "Looks for what is wrong with Kerberos; doctor.show tells what was found",
     NULL, verb_test},
    {NULL}};

static gboolean
module_load(LaresHost *host, LaresSettings *settings, GError **error)
{
    provider = lares_krb5_provider_new((guint)lares_settings_integer(settings, "replay-cache"));
    if (!apply(host, settings, error) || !lares_host_add_auth_provider(host, LARES_AUTH_PROVIDER(provider), error) ||
        !lares_control_add(lares_host_control(host), verbs, NULL, error) ||
        !lares_krb5_provider_add_metrics(provider, error) ||
        !lares_control_add(lares_host_control(host), krb5_init_verbs, NULL, error) ||
        !lares_doctor_add(lares_host_control(host), krb5_checks, provider, error)) {
        lares_krb5_provider_stop(provider);
        g_clear_object(&provider);
        return FALSE;
    }
    return TRUE;
}

static void
module_unload(LaresHost *host)
{
    krb5_init_stop();
    lares_krb5_provider_stop(provider);
}

LARES_MODULE(LARES_MODULE_AUTH, "auth-krb5", .version = "1.0",
             .description = "Kerberos 5: flavors krb5, krb5i and krb5p, alone and inside SPNEGO", .keys = keys,
             .load = module_load, .unload = module_unload, .reload = apply);
