/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The directory as a room of the running server: its file, its settings, its verbs. */
#include "identity/directory-private.h"

#include <lares/host.h>

const LaresKey lares_directory_keys[] = {
    {"realms", LARES_KEY_LIST, NULL, 0, 0,
     "Kerberos realms whose users are this server's own; when empty, every realm the server holds keys of."},
    {"domain", LARES_KEY_STRING, NULL, 0, 0, "Domain of NFSv4 owner names; when unset, that of the host's name."},
    {"owner-names", LARES_KEY_STRING, "names", 0, 0, "How owners are sent to NFSv4 clients: names or numeric."},
    {"provision", LARES_KEY_BOOLEAN, "true", 0, 0, "Make a user at the first Kerberos login of an unknown one."},
    {"provision-foreign", LARES_KEY_BOOLEAN, "false", 0, 0,
     "Also for users of other realms, under their full principal name."},
    {"uid-min", LARES_KEY_INTEGER, "600000", 1, G_MAXUINT32 - 1, "First uid and gid the directory gives out."},
    {"uid-max", LARES_KEY_INTEGER, "699999", 1, G_MAXUINT32 - 1, "Last uid and gid the directory gives out."},
    {"default-group", LARES_KEY_STRING, "kerberos-users", 0, 0, "Primary group of provisioned users; made on demand."},
    {"host-accounts", LARES_KEY_BOOLEAN, "true", 0, 0, "Principals may be accounts of this host of the same name."},
    {"host-uid-min", LARES_KEY_INTEGER, "1000", 0, G_MAXUINT32 - 1,
     "Accounts of this host with a lower uid are the system's and no principal becomes one unless it is mapped."},
    {"machine-account", LARES_KEY_STRING, "", 0, 0,
     "The user that machines (host/, nfs/, NAME$) act as; empty: nobody."},
    {"server-groups", LARES_KEY_BOOLEAN, "true", 0, 0,
     "Look up the groups of AUTH_SYS users here instead of believing the client, where the user is known."},
    {"cache-ttl", LARES_KEY_DURATION, "10m", 1, 86400, "How long accounts and groups of this host are remembered."},
    {NULL}};

static gboolean
read_settings(LaresDirectoryConfig *c, const LaresSettings *s, GError **error)
{
    const char *owners = lares_settings_string(s, "owner-names");
    const char *domain = lares_settings_string(s, "domain");
    const char *machine = lares_settings_string(s, "machine-account");
    if (!g_str_equal(owners, "names") && !g_str_equal(owners, "numeric")) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_CONFIG, "identity: owner-names: \"%s\" is not names or numeric",
                    owners);
        return FALSE;
    }
    g_strfreev(c->realms);
    c->realms = g_strdupv((char **)lares_settings_list(s, "realms"));
    if (domain) {
        g_free(c->domain);
        c->domain = g_strdup(domain);
    }
    c->numeric_owners = g_str_equal(owners, "numeric");
    c->provision = lares_settings_boolean(s, "provision");
    c->provision_foreign = lares_settings_boolean(s, "provision-foreign");
    c->id_min = (uint32_t)lares_settings_integer(s, "uid-min");
    c->id_max = (uint32_t)lares_settings_integer(s, "uid-max");
    g_free(c->default_group);
    c->default_group = g_strdup(lares_settings_string(s, "default-group"));
    c->host_accounts = lares_settings_boolean(s, "host-accounts");
    c->host_uid_min = (uint32_t)lares_settings_integer(s, "host-uid-min");
    g_free(c->machine_account);
    c->machine_account = g_strdup(machine ? machine : "");
    c->server_groups = lares_settings_boolean(s, "server-groups");
    c->cache_ttl = (guint)lares_settings_integer(s, "cache-ttl");
    return TRUE;
}

gboolean
lares_directory_settings_check(const LaresSettings *settings, GError **error)
{
    g_autoptr(LaresDirectoryConfig) config = lares_directory_config_new("");
    return read_settings(config, settings, error) && lares_directory_config_check(config, error);
}

gboolean
lares_directory_configure(LaresDirectory *d, const LaresSettings *settings, GError **error)
{
    g_autoptr(LaresDirectoryConfig) config = lares_directory_config_new(d->host_domain);
    return read_settings(config, settings, error) && lares_directory_set_config(d, g_steal_pointer(&config), error);
}

LaresDirectory *
lares_directory_new(LaresHost *host, GError **error)
{
    g_autofree char *file = g_build_filename(lares_host_state_dir(host), "lares.db", NULL);
    g_autoptr(LaresDirectory) d = lares_directory_open(file, lares_host_domain(host), &lares_nss_host, error);
    LaresControl *control = lares_host_control(host);
    if (!d || (control && (!lares_control_add(control, lares_directory_verbs, d, error) ||
                           !lares_control_add(control, lares_domain_verbs, d, error))))
        return NULL;
    return g_steal_pointer(&d);
}
