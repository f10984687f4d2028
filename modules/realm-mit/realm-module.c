/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the server loads: settings, the start of an existing realm, and the end of it. Without a realm the
 * module only offers its verbs.
 */
#include "realm-module.h"

#include <string.h>

/* A port may be free later: an old daemon that is just ending, an administrator who stops another KDC. */
#define RETRY_SECONDS 30

const LaresKey realm_keys[] = {
    {"hostname", LARES_KEY_STRING, NULL, 0, 0, "The name clients use for this server; default: the server's name."},
    {"aliases", LARES_KEY_LIST, NULL, 0, 0, "Further names of this server; each gets its service principals."},
    {"listen", LARES_KEY_LIST, NULL, 0, 0, "Addresses the KDC listens on; default: all, IPv4 and IPv6."},
    {"kdc-port", LARES_KEY_INTEGER, NULL, 1, 65535, "Port of the KDC; default 88."},
    {"kadmin-port", LARES_KEY_INTEGER, NULL, 1, 65535, "Port of kadmind; default 749."},
    {"kpasswd-port", LARES_KEY_INTEGER, NULL, 1, 65535, "Port for password changes; default 464."},
    {"max-life", LARES_KEY_DURATION, NULL, 300, 30 * 86400, "Longest life of a ticket; default 24h."},
    {"max-renew", LARES_KEY_DURATION, NULL, 0, 365 * 86400, "How long a ticket can be renewed; default 7d."},
    {"min-password", LARES_KEY_INTEGER, NULL, 1, 128, "Fewest characters of a password; default 8."},
    {"max-guesses", LARES_KEY_INTEGER, NULL, 3, 1000000,
     "Wrong passwords after which the KDC refuses a user for a while; default 20 (many clients try one twice)."},
    {"guess-pause", LARES_KEY_DURATION, NULL, 1, 86400,
     "How long that is, and how long a wrong one counts; default 5m."},
    {"rotate-every", LARES_KEY_DURATION, "30d", 0, 3650 * 86400,
     "How often the service keys are replaced; 0 means never."},
    {"rotate-grace", LARES_KEY_DURATION, "10s", 1, 3600,
     "Time between new keys in the keytab and their use by the KDC."},
    {"supervise", LARES_KEY_BOOLEAN, "true", 0, 0, "Run krb5kdc and kadmind as children of the server."},
    {"nfs-port", LARES_KEY_INTEGER, "2049", 1, 65535, "NFS port printed in client kits while NFS does not run."},
    {"smb-port", LARES_KEY_INTEGER, "445", 1, 65535, "SMB port printed in client kits while SMB does not run."},
    {"helper", LARES_KEY_PATH, NULL, 0, 0, "lares-realm-helper, when it is not in its place."},
    {"kdb5-util", LARES_KEY_PATH, NULL, 0, 0, "MIT's kdb5_util, when it is not in its place."},
    {"krb5kdc", LARES_KEY_PATH, NULL, 0, 0, "MIT's krb5kdc, when it is not in its place."},
    {"kadmind", LARES_KEY_PATH, NULL, 0, 0, "MIT's kadmind, when it is not in its place."},
    {NULL},
};

static RealmModule module;

static void
child_line(GLogLevelFlags level, const char *program, const char *line, gpointer user_data)
{
    if (level & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_WARNING))
        lares_warning(REALM_ROOM, "%s: %s", program, line);
    else if (level & (G_LOG_LEVEL_INFO | G_LOG_LEVEL_MESSAGE))
        lares_info(REALM_ROOM, "%s: %s", program, line);
    else
        lares_debug(REALM_ROOM, "%s: %s", program, line);
}

/* Names of the server that the realm does not know yet become aliases of it. */
static void
add_aliases(RealmConf *conf, const char *const *names)
{
    GStrvBuilder *builder = g_strv_builder_new();

    g_strv_builder_addv(builder, (const char **)conf->aliases);
    for (; names && *names; names++)
        if (g_ascii_strcasecmp(*names, conf->hostname) != 0 &&
            !g_strv_contains((const char *const *)conf->aliases, *names))
            g_strv_builder_add(builder, *names);
    g_strfreev(conf->aliases);
    conf->aliases = g_strv_builder_end(builder);
    g_strv_builder_unref(builder);
}

/* An address is no name for a principal, nor is "admin" (realm_machine_check()); such an alias is left out. */
static void
drop_addresses(RealmConf *conf)
{
    char **to = conf->aliases;

    for (char **from = conf->aliases; *from; from++) {
        g_autofree char *host = realm_machine_check(*from, NULL);
        if (host)
            *to++ = *from;
        else
            g_free(*from);
    }
    *to = NULL;
}

/* The setting, or else the server's name of today; a name of yesterday keeps its keys as an alias. */
static gboolean
take_hostname(RealmModule *self, RealmConf *conf, GError **error)
{
    const char *set = lares_settings_string(self->settings, "hostname");
    g_autofree char *name = realm_host_normalize(set ? set : lares_host_name(self->host), set ? error : NULL);
    g_autofree char *old = g_strdup(conf->hostname);
    const char *const past[] = {old, NULL};

    if (!name)
        return set == NULL;
    if (!realm_conf_set(conf, "hostname", name, error))
        return FALSE;
    /* A realm that is only being made has no past. */
    if (conf->created > 0)
        add_aliases(conf, past);
    return TRUE;
}

static gboolean
apply_settings(RealmModule *self, RealmConf *conf, GError **error)
{
    static const char *const numbers[] = {"kdc-port",  "kadmin-port",  "kpasswd-port", "max-life",
                                          "max-renew", "min-password", "max-guesses",  "guess-pause"};
    const LaresSettings *s = self->settings;
    const char *const *listen = lares_settings_list(s, "listen");

    for (gsize i = 0; i < G_N_ELEMENTS(numbers); i++) {
        gint64 number = lares_settings_integer(s, numbers[i]);
        g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT, number);
        if (number > 0 && !realm_conf_set(conf, numbers[i], text, error))
            return FALSE;
    }
    if (!take_hostname(self, conf, error))
        return FALSE;
    if (listen[0]) {
        g_autofree char *joined = g_strjoinv(",", (char **)listen);
        if (!realm_conf_set(conf, "listen", joined, error))
            return FALSE;
    }
    add_aliases(conf, lares_settings_list(s, "aliases"));
    add_aliases(conf, lares_host_aliases(self->host));
    drop_addresses(conf);
    return TRUE;
}

RealmConf *
realm_module_conf(RealmModule *self, const char *name, GError **error)
{
    const char *state = lares_host_state_dir(self->host);
    g_autoptr(RealmConf) conf = name ? realm_conf_new(state, name) : realm_conf_load(state, error);

    if (!conf)
        return NULL;
    if (!apply_settings(self, conf, error) || !realm_conf_check(conf, error))
        return NULL;
    return g_steal_pointer(&conf);
}

static gboolean start_again(gpointer user_data);

static void
start_daemons(RealmModule *self)
{
    g_autoptr(GError) error = NULL;
    RealmSupervisor *supervisor;

    if (!lares_settings_boolean(self->settings, "supervise"))
        return;
    g_clear_pointer(&self->problem, g_free);
    supervisor = realm_supervisor_new(self->conf, &self->programs, child_line, self);
    if (realm_supervisor_start(supervisor, &error)) {
        self->supervisor = supervisor;
        return;
    }
    realm_supervisor_free(supervisor);
    self->problem = g_strdup(error->message);
    lares_warning(REALM_ROOM, "the KDC of %s does not run: %s; trying again in %d s", self->conf->name, error->message,
                  RETRY_SECONDS);
    self->retry = g_timeout_add_seconds(RETRY_SECONDS, start_again, self);
}

static gboolean
start_again(gpointer user_data)
{
    RealmModule *self = user_data;

    self->retry = 0;
    start_daemons(self);
    return G_SOURCE_REMOVE;
}

void
realm_module_begin(RealmModule *self, RealmConf *conf)
{
    g_autoptr(GError) error = NULL;

    self->conf = conf;
    if (!realm_conf_save(conf, &error) || !realm_conf_render(conf, conf->dir, &error)) {
        lares_warning(REALM_ROOM, "the files of %s cannot be written: %s", conf->name, error->message);
        self->problem = g_strdup(error->message);
        return;
    }
    start_daemons(self);
    realm_rotate_begin(self);
}

RealmFarewell *
realm_module_dismiss(RealmModule *self)
{
    RealmSupervisor *supervisor = g_steal_pointer(&self->supervisor);

    realm_rotate_end(self);
    if (self->retry)
        g_source_remove(self->retry);
    self->retry = 0;
    g_clear_pointer(&self->conf, realm_conf_free);
    g_clear_pointer(&self->problem, g_free);
    return supervisor ? realm_supervisor_dismiss(supervisor) : NULL;
}

void
realm_module_end(RealmModule *self)
{
    RealmFarewell *farewell = realm_module_dismiss(self);

    if (farewell)
        realm_farewell_wait(farewell);
}

static void
take_programs(RealmModule *self)
{
    const LaresSettings *s = self->settings;

    self->programs = (RealmPrograms){
        .helper = lares_settings_string(s, "helper"),
        .kdb5_util = lares_settings_string(s, "kdb5-util"),
        .krb5kdc = lares_settings_string(s, "krb5kdc"),
        .kadmind = lares_settings_string(s, "kadmind"),
    };
}

/* FALSE only when there is a realm whose description cannot be read. */
static gboolean
take_realm(RealmModule *self, GError **error)
{
    GError *own = NULL;
    RealmConf *conf = self->removing ? NULL : realm_module_conf(self, NULL, &own);

    if (self->removing)
        return TRUE;
    if (conf) {
        realm_module_begin(self, conf);
        return TRUE;
    }
    if (g_error_matches(own, REALM_ERROR, REALM_ERROR_NOT_FOUND)) {
        g_error_free(own);
        return TRUE;
    }
    realm_propagate(error, own);
    return FALSE;
}

/* Those that ask MIT's programs, which may take their time; the directory's do when a person has a principal. */
static const char *const slow_verbs[] = {"realm.create",      "realm.remove",       "realm.rotate",
                                         "realm.keytab",      "realm.user.add",     "realm.user.passwd",
                                         "realm.user.remove", "realm.user.disable", "realm.user.enable",
                                         "realm.user.show",   "realm.user.list",    "realm.host.add",
                                         "realm.host.keytab", "realm.host.remove",  "realm.host.list",
                                         "user.add",          "user.passwd",        "user.delete",
                                         "user.disable",      "user.enable",        NULL};

static gboolean
load(LaresHost *host, LaresSettings *settings, GError **error)
{
    module.host = host;
    module.settings = settings;
    realm_clean_up(lares_host_state_dir(host));
    realm_rotate_allow(TRUE);
    take_programs(&module);
    lares_control_mark_slow(lares_host_control(host), slow_verbs);
    return lares_control_add(lares_host_control(host), realm_verbs, &module, error) &&
           lares_doctor_add(lares_host_control(host), realm_checks, &module, error) &&
           realm_rotate_add_metrics(&module, error) && take_realm(&module, error);
}

static void
unload(LaresHost *host)
{
    realm_module_end(&module);
    realm_rotate_allow(FALSE);
}

static gboolean
reload(LaresHost *host, LaresSettings *settings, GError **error)
{
    module.settings = settings;
    take_programs(&module);
    realm_module_end(&module);
    return take_realm(&module, error);
}

LARES_MODULE(LARES_MODULE_SERVICE, "realm-mit", .version = "1",
             .description = "The home realm: MIT krb5kdc and kadmind, principals, keys and client kits",
             .keys = realm_keys, .load = load, .unload = unload, .reload = reload);
