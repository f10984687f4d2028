/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The files that MIT's programs read: krb5.conf, kdc.conf, kadm5.acl, and the environment that
 * makes them read these and no others.
 *
 * Spec: RFC 3962 and RFC 8009 (the AES encryption types), RFC 8429 (DES and RC4 are over).
 */
#include "realm.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* SHA-1 types first: every client has them, and they are the fastest on the wire; the RFC 8009
 * types follow. */
#define ENCTYPES                                                                                                       \
    "aes256-cts-hmac-sha1-96 aes128-cts-hmac-sha1-96 "                                                                 \
    "aes256-cts-hmac-sha384-192 aes128-cts-hmac-sha256-128"
#define KEYSALTS                                                                                                       \
    "aes256-cts-hmac-sha1-96:normal aes128-cts-hmac-sha1-96:normal "                                                   \
    "aes256-cts-hmac-sha384-192:normal aes128-cts-hmac-sha256-128:normal"

static char *
endpoint(const char *address, guint16 port)
{
    return strchr(address, ':') ? g_strdup_printf("[%s]:%u", address, port) : g_strdup_printf("%s:%u", address, port);
}

/* "88" means every address of both families. */
static char *
listen_value(const RealmConf *conf, guint16 port)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (char **p = conf->listen; *p; p++) {
        g_autofree char *one = endpoint(*p, port);
        g_string_append_printf(text, "%s%s", text->len ? ", " : "", one);
    }
    if (!text->len)
        g_string_printf(text, "%u", port);
    return g_string_free(g_steal_pointer(&text), FALSE);
}

/* The address at which this machine reaches its own KDC. */
static const char *
own_address(const RealmConf *conf)
{
    return conf->listen[0] ? conf->listen[0] : "127.0.0.1";
}

static char *
krb5_conf(const RealmConf *conf)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_autofree char *kdc = endpoint(own_address(conf), conf->kdc_port);
    g_autofree char *admin = endpoint(own_address(conf), conf->kadmin_port);
    g_autofree char *kpasswd = endpoint(own_address(conf), conf->kpasswd_port);
    g_autofree char *domain = g_ascii_strdown(conf->name, -1);
    g_auto(GStrv) names = realm_conf_host_names(conf);

    g_string_append_printf(text,
                           "# Written by laresd at every start; settings are in realm.conf.\n"
                           "[libdefaults]\n"
                           "    default_realm = %s\n"
                           "    dns_lookup_kdc = false\n"
                           "    dns_lookup_realm = false\n"
                           "    dns_uri_lookup = false\n"
                           "    dns_canonicalize_hostname = false\n"
                           "    rdns = false\n"
                           "    qualify_shortname = \"\"\n"
                           "    ignore_acceptor_hostname = true\n"
                           "    allow_weak_crypto = false\n"
                           "    permitted_enctypes = " ENCTYPES "\n"
                           "    spake_preauth_groups = edwards25519\n"
                           "    default_ccache_name = FILE:/tmp/krb5cc_%%{uid}\n"
                           "    default_keytab_name = FILE:%s/" REALM_KEYTAB "\n"
                           "    forwardable = true\n\n",
                           conf->name, conf->dir);
    g_string_append_printf(text,
                           "[realms]\n"
                           "    %s = {\n"
                           "        kdc = %s\n"
                           "        admin_server = %s\n"
                           "        kpasswd_server = %s\n"
                           "    }\n\n"
                           "[domain_realm]\n"
                           "    %s = %s\n"
                           "    .%s = %s\n",
                           conf->name, kdc, admin, kpasswd, domain, conf->name, domain, conf->name);
    for (char **p = names; *p; p++)
        g_string_append_printf(text, "    %s = %s\n", *p, conf->name);
    return g_string_free(g_steal_pointer(&text), FALSE);
}

static char *
kdc_conf(const RealmConf *conf)
{
    g_autofree char *kdc = listen_value(conf, conf->kdc_port);
    g_autofree char *kadmin = listen_value(conf, conf->kadmin_port);
    g_autofree char *kpasswd = listen_value(conf, conf->kpasswd_port);

    return g_strdup_printf("# Written by laresd at every start; settings are in realm.conf.\n"
                           "[kdcdefaults]\n"
                           "    kdc_listen = %1$s\n"
                           "    kdc_tcp_listen = %1$s\n"
                           "    spake_preauth_kdc_challenge = edwards25519\n\n"
                           "[realms]\n"
                           "    %2$s = {\n"
                           "        database_module = home\n"
                           "        key_stash_file = %3$s/stash\n"
                           "        acl_file = %3$s/kadm5.acl\n"
                           "        kadmind_listen = %4$s\n"
                           "        kpasswd_listen = %5$s\n"
                           "        max_life = %6$us\n"
                           "        max_renewable_life = %7$us\n"
                           "        master_key_type = aes256-cts-hmac-sha1-96\n"
                           "        supported_enctypes = " KEYSALTS "\n"
                           "        default_principal_flags = +preauth, -postdateable\n"
                           "    }\n\n"
                           "[dbmodules]\n"
                           "    home = {\n"
                           "        db_library = %8$s\n"
                           "        database_name = %3$s/principal\n"
                           "        disable_last_success = true\n"
                           "        disable_lockout = false\n"
                           "    }\n\n"
                           "[logging]\n"
                           "    default = STDERR\n",
                           kdc, conf->name, conf->dir, kadmin, kpasswd, conf->max_life, conf->max_renew,
                           conf->database);
}

static gboolean
write_private(const char *into, const char *leaf, const char *text, GError **error)
{
    g_autofree char *path = g_build_filename(into, leaf, NULL);
    g_autofree char *now = NULL;

    /* An unchanged file keeps its time stamp: MIT programs reread a profile whose stamp moves. */
    if (g_file_get_contents(path, &now, NULL, NULL) && strcmp(now, text) == 0) {
        if (chmod(path, 0600) == 0)
            return TRUE;
        g_set_error(error, REALM_ERROR, REALM_ERROR_FAILED, "%s: %s", path, g_strerror(errno));
        return FALSE;
    }
    return g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0600,
                                    error);
}

gboolean
realm_conf_render(const RealmConf *conf, const char *into, GError **error)
{
    g_autofree char *krb5 = krb5_conf(conf);
    g_autofree char *kdc = kdc_conf(conf);
    g_autofree char *acl_path = g_build_filename(into, "kadm5.acl", NULL);
    g_autofree char *acl = g_strdup_printf("# Who may administer the realm over the network with kadmin.\n"
                                           "*/admin@%s *\n",
                                           conf->name);

    if (chmod(into, 0700) != 0) {
        g_set_error(error, REALM_ERROR, REALM_ERROR_FAILED, "%s: %s", into, g_strerror(errno));
        return FALSE;
    }
    if (!write_private(into, "krb5.conf", krb5, error) || !write_private(into, "kdc.conf", kdc, error))
        return FALSE;
    /* The administrator may have changed the access list: it is made once and then left alone. */
    return g_file_test(acl_path, G_FILE_TEST_EXISTS) || write_private(into, "kadm5.acl", acl, error);
}

char **
realm_conf_environ(const RealmConf *conf)
{
    /* Only what a sanitizer or a test needs is let through; nothing may redirect the MIT libraries.
     */
    static const char *const kept[] = {"ASAN_OPTIONS", "LSAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "TZ"};
    g_autofree char *krb5 = realm_conf_path(conf, "krb5.conf");
    g_autofree char *kdc = realm_conf_path(conf, "kdc.conf");
    char **env = g_new0(char *, 1);

    env = g_environ_setenv(env, "PATH", "/usr/sbin:/usr/bin:/sbin:/bin", TRUE);
    env = g_environ_setenv(env, "LC_ALL", "C.UTF-8", TRUE);
    env = g_environ_setenv(env, "KRB5_CONFIG", krb5, TRUE);
    env = g_environ_setenv(env, "KRB5_KDC_PROFILE", kdc, TRUE);
    env = g_environ_setenv(env, "KRB5RCACHEDIR", conf->dir, TRUE);
    for (gsize i = 0; i < G_N_ELEMENTS(kept); i++)
        if (g_getenv(kept[i]))
            env = g_environ_setenv(env, kept[i], g_getenv(kept[i]), TRUE);
    return env;
}
