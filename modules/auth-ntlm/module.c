/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The auth-ntlm module: settings, the provider, and the verbs by which users get and lose an NT hash.
 *
 * Nobody can log in by NTLM until an administrator says so for a user and for a share.
 *
 * Thread: main, but for find_hash(). */
#include "ntlm-crypto.h"
#include "ntlm-provider.h"

#include <lares/control.h>
#include <lares/host.h>
#include <lares/identity.h>
#include <lares/log.h>
#include <lares/module.h>
#include <lares/settings.h>
#include <string.h>

static const LaresKey keys[] = {
    {"guest", LARES_KEY_BOOLEAN, "true", 0, 0,
     "Let SMB clients that give no name, or one that nobody has, in as guests: they see only shares with sys."},
    {NULL},
};

static LaresNtlmProvider *provider;

static LaresStatus
find_hash(const char *user, uint8_t hash[16], gpointer data)
{
    size_t len = 16;
    LaresStatus status = lares_directory_get_secret(data, user, NTLM_KIND, hash, &len);
    return status == LARES_OK && len != 16 ? LARES_SERVERFAULT : status;
}

/* ---- Verbs ----------------------------------------------------------------------------------------------------- */

static const char *
text_arg(GVariant *args, const char *name)
{
    const char *text = "";
    g_variant_lookup(args, name, "&s", &text);
    return text;
}

static GVariant *
verb_enable(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    uint8_t hash[16];
    const char *password = text_arg(args, "password");
    if (strlen(password) < 8) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_INVALID,
                    "password: at least 8 letters; NTLM lets everybody who hears a login guess at it");
        return NULL;
    }
    if (!ntlm_hash(password, hash)) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_INVALID, "password: not UTF-8");
        return NULL;
    }
    lares_directory_set_secret(lares_host_directory(host), text_arg(args, "name"), NTLM_KIND, hash, sizeof hash, error);
    explicit_bzero(hash, sizeof hash);
    return NULL;
}

static GVariant *
verb_disable(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    lares_directory_set_secret(lares_host_directory(host), text_arg(args, "name"), NTLM_KIND, NULL, 0, error);
    return NULL;
}

static GVariant *
verb_list(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    g_autoptr(GPtrArray) names = lares_directory_secret_users(lares_host_directory(host), NTLM_KIND);
    GVariantBuilder list;
    g_variant_builder_init(&list, G_VARIANT_TYPE("aa{sv}"));
    for (guint i = 0; i < names->len; i++) {
        GVariantBuilder b;
        g_variant_builder_init(&b, G_VARIANT_TYPE_VARDICT);
        g_variant_builder_add(&b, "{sv}", "name", g_variant_new_string(names->pdata[i]));
        g_variant_builder_add_value(&list, g_variant_builder_end(&b));
    }
    return g_variant_builder_end(&list);
}

static const LaresParam user_param[] = {{"name", "s", TRUE, "the user's name"}, {NULL}};
static const LaresParam password_params[] = {
    {"name", "s", TRUE, "the user's name"}, {"password", "s", TRUE, "the password for NTLM; never logged"}, {NULL}};

static const LaresVerb verbs[] = {
    {"user.ntlm.enable", LARES_RIGHT_ADMIN, "Let a user log in by NTLM with this password", password_params,
     verb_enable},
    {"user.ntlm.disable", LARES_RIGHT_ADMIN, "Forget a user's NTLM password", user_param, verb_disable},
    {"user.ntlm.list", LARES_RIGHT_READ, "List the users who can log in by NTLM", NULL, verb_list},
    {NULL}};

/* ---- The module ------------------------------------------------------------------------------------------------ */

static gboolean
apply(LaresHost *host, LaresSettings *settings, GError **error)
{
    lares_ntlm_provider_configure(provider, &(NtlmConfig){.host = lares_host_name(host),
                                                          .domain = lares_host_domain(host),
                                                          .guest = lares_settings_boolean(settings, "guest"),
                                                          .find = find_hash,
                                                          .data = lares_host_directory(host)});
    return TRUE;
}

static gboolean
module_load(LaresHost *host, LaresSettings *settings, GError **error)
{
    provider = lares_ntlm_provider_new();
    apply(host, settings, NULL);
    return lares_host_add_auth_provider(host, LARES_AUTH_PROVIDER(provider), error) &&
           lares_control_add(lares_host_control(host), verbs, NULL, error);
}

LARES_MODULE(LARES_MODULE_AUTH, "auth-ntlm", .version = "1.0",
             .description = "NTLMv2 for users who were given a password for it, and SMB guests", .keys = keys,
             .load = module_load, .reload = apply);
