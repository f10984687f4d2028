/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the realm is: read and written as DIR/realm.conf, changed key by key, and checked as a
 * whole.
 */
#include "realm.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define GROUP              "realm"
#define DEFAULT_MAX_LIFE   (24 * 3600)
#define DEFAULT_MAX_RENEW  (7 * 24 * 3600)
#define DEFAULT_MIN_LENGTH 8
#define DEFAULT_GUESSES    20 /* clients ask twice with one wrong password */
#define DEFAULT_PAUSE      300

/* Only until the module puts the server's name here: no question to a resolver, which would hold up every start of a
 * machine whose name servers do not answer. */
static char *
own_host_name(void)
{
    char host[HOST_NAME_MAX + 1] = "";

    gethostname(host, sizeof host - 1);
    char *name = realm_host_normalize(host, NULL);
    return name ? name : g_strdup("localhost");
}

RealmConf *
realm_conf_new(const char *state_dir, const char *name)
{
    static const char *const services[] = {"nfs", "cifs", "HTTP", "host", NULL};
    RealmConf *conf = g_new0(RealmConf, 1);
    g_autofree char *absolute = g_canonicalize_filename(state_dir, NULL);

    conf->dir = g_build_filename(absolute, "realm", NULL);
    conf->name = g_strdup(name);
    conf->kdc_port = 88;
    conf->kadmin_port = 749;
    conf->kpasswd_port = 464;
    conf->listen = g_new0(char *, 1);
    conf->hostname = own_host_name();
    conf->aliases = g_new0(char *, 1);
    conf->services = g_strdupv((char **)services);
    conf->database = g_strdup("db2");
    conf->max_life = DEFAULT_MAX_LIFE;
    conf->max_renew = DEFAULT_MAX_RENEW;
    conf->min_length = DEFAULT_MIN_LENGTH;
    conf->max_guesses = DEFAULT_GUESSES;
    conf->guess_pause = DEFAULT_PAUSE;
    return conf;
}

RealmConf *
realm_conf_copy(const RealmConf *conf)
{
    RealmConf *copy = g_memdup2(conf, sizeof *conf);

    copy->dir = g_strdup(conf->dir);
    copy->name = g_strdup(conf->name);
    copy->listen = g_strdupv(conf->listen);
    copy->hostname = g_strdup(conf->hostname);
    copy->aliases = g_strdupv(conf->aliases);
    copy->services = g_strdupv(conf->services);
    copy->database = g_strdup(conf->database);
    return copy;
}

void
realm_conf_free(RealmConf *conf)
{
    if (!conf)
        return;
    g_free(conf->dir);
    g_free(conf->name);
    g_strfreev(conf->listen);
    g_free(conf->hostname);
    g_strfreev(conf->aliases);
    g_strfreev(conf->services);
    g_free(conf->database);
    g_free(conf);
}

char *
realm_conf_path(const RealmConf *conf, const char *leaf)
{
    return g_build_filename(conf->dir, leaf, NULL);
}

static char **
split_list(const char *value)
{
    g_auto(GStrv) raw = g_strsplit_set(value, ",; \t", -1);
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(g_free);

    for (char **p = raw; *p; p++)
        if (**p)
            g_ptr_array_add(list, g_strdup(*p));
    g_ptr_array_add(list, NULL);
    return (char **)g_ptr_array_free(g_steal_pointer(&list), FALSE);
}

static void
take_list(char ***list, const char *value)
{
    g_strfreev(*list);
    *list = split_list(value);
}

static gboolean
parse_number(const char *key, const char *value, guint low, guint high, guint *number, GError **error)
{
    guint64 parsed;

    if (g_ascii_string_to_unsigned(value, 10, low, high, &parsed, NULL)) {
        *number = (guint)parsed;
        return TRUE;
    }
    g_set_error(error, REALM_ERROR, REALM_ERROR_INVALID, "%s must be a number from %u to %u, not \"%s\"", key, low,
                high, value);
    return FALSE;
}

static const struct {
    const char *key;
    gsize offset;
} port_keys[] = {
    {"kdc-port", G_STRUCT_OFFSET(RealmConf, kdc_port)},
    {"kadmin-port", G_STRUCT_OFFSET(RealmConf, kadmin_port)},
    {"kpasswd-port", G_STRUCT_OFFSET(RealmConf, kpasswd_port)},
};
static const struct {
    const char *key;
    gsize offset;
    guint low, high;
} number_keys[] = {
    {"max-life", G_STRUCT_OFFSET(RealmConf, max_life), 300, 30 * 24 * 3600},
    {"max-renew", G_STRUCT_OFFSET(RealmConf, max_renew), 0, 365 * 24 * 3600},
    {"min-password", G_STRUCT_OFFSET(RealmConf, min_length), 1, 128},
    {"max-guesses", G_STRUCT_OFFSET(RealmConf, max_guesses), 3, 1000000},
    {"guess-pause", G_STRUCT_OFFSET(RealmConf, guess_pause), 1, 24 * 3600},
};
static const struct {
    const char *key;
    gsize offset;
} list_keys[] = {
    {"listen", G_STRUCT_OFFSET(RealmConf, listen)},
    {"aliases", G_STRUCT_OFFSET(RealmConf, aliases)},
    {"services", G_STRUCT_OFFSET(RealmConf, services)},
};

gboolean
realm_conf_known_key(const char *key)
{
    for (gsize i = 0; i < G_N_ELEMENTS(port_keys); i++)
        if (strcmp(key, port_keys[i].key) == 0)
            return TRUE;
    for (gsize i = 0; i < G_N_ELEMENTS(number_keys); i++)
        if (strcmp(key, number_keys[i].key) == 0)
            return TRUE;
    for (gsize i = 0; i < G_N_ELEMENTS(list_keys); i++)
        if (strcmp(key, list_keys[i].key) == 0)
            return TRUE;
    return strcmp(key, "hostname") == 0 || strcmp(key, "database") == 0;
}

gboolean
realm_conf_set(RealmConf *conf, const char *key, const char *value, GError **error)
{
    guint number = 0;

    for (gsize i = 0; i < G_N_ELEMENTS(port_keys); i++) {
        if (strcmp(key, port_keys[i].key) != 0)
            continue;
        if (!parse_number(key, value, 1, 65535, &number, error))
            return FALSE;
        G_STRUCT_MEMBER(guint16, conf, port_keys[i].offset) = (guint16)number;
        return TRUE;
    }
    for (gsize i = 0; i < G_N_ELEMENTS(number_keys); i++)
        if (strcmp(key, number_keys[i].key) == 0)
            return parse_number(key, value, number_keys[i].low, number_keys[i].high,
                                &G_STRUCT_MEMBER(guint, conf, number_keys[i].offset), error);
    for (gsize i = 0; i < G_N_ELEMENTS(list_keys); i++) {
        if (strcmp(key, list_keys[i].key) != 0)
            continue;
        take_list(&G_STRUCT_MEMBER(char **, conf, list_keys[i].offset), value);
        return TRUE;
    }
    if (strcmp(key, "hostname") == 0) {
        char *host = realm_host_normalize(value, error);
        if (!host)
            return FALSE;
        g_free(conf->hostname);
        conf->hostname = host;
        return TRUE;
    }
    if (strcmp(key, "database") == 0) {
        g_free(conf->database);
        conf->database = g_strdup(strcmp(value, "lmdb") == 0 ? "klmdb" : value);
        return TRUE;
    }
    g_set_error(error, REALM_ERROR, REALM_ERROR_INVALID, "the realm has no setting \"%s\"", key);
    return FALSE;
}

static gboolean
check_services(const RealmConf *conf, GError **error)
{
    for (char **p = conf->services; *p; p++)
        if (!realm_service_check(*p, error))
            return FALSE;
    return TRUE;
}

gboolean
realm_conf_check(const RealmConf *conf, GError **error)
{
    if (!realm_name_check(conf->name, error) || !check_services(conf, error))
        return FALSE;
    for (char **p = conf->listen; *p; p++) {
        if (!g_hostname_is_ip_address(*p)) {
            g_set_error(error, REALM_ERROR, REALM_ERROR_INVALID, "listen takes addresses, and \"%s\" is none", *p);
            return FALSE;
        }
    }
    g_autofree char *own = realm_machine_check(conf->hostname, error);
    if (!own)
        return FALSE;
    for (char **p = conf->aliases; *p; p++) {
        g_autofree char *host = realm_machine_check(*p, error);
        if (!host)
            return FALSE;
    }
    if (conf->kdc_port == conf->kadmin_port || conf->kdc_port == conf->kpasswd_port ||
        conf->kadmin_port == conf->kpasswd_port) {
        g_set_error_literal(error, REALM_ERROR, REALM_ERROR_INVALID,
                            "kdc-port, kadmin-port and kpasswd-port must differ");
        return FALSE;
    }
    if (strcmp(conf->database, "db2") != 0 && strcmp(conf->database, "klmdb") != 0) {
        g_set_error(error, REALM_ERROR, REALM_ERROR_INVALID, "database is db2 or lmdb, not \"%s\"", conf->database);
        return FALSE;
    }
    /* The path stands unquoted in kdc.conf, where a blank or a brace would end it. */
    if (strpbrk(conf->dir, " \t\n\r\"{}#;")) {
        g_set_error(error, REALM_ERROR, REALM_ERROR_INVALID,
                    "the state directory \"%s\" has a character that krb5.conf cannot hold", conf->dir);
        return FALSE;
    }
    return TRUE;
}

char **
realm_conf_host_names(const RealmConf *conf)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();

    g_ptr_array_add(names, g_strdup(conf->hostname));
    for (char **p = conf->aliases; *p; p++) {
        char *host = realm_host_normalize(*p, NULL);
        if (host && !g_ptr_array_find_with_equal_func(names, host, g_str_equal, NULL))
            g_ptr_array_add(names, host);
        else
            g_free(host);
    }
    g_ptr_array_add(names, NULL);
    return (char **)g_ptr_array_free(g_steal_pointer(&names), FALSE);
}

RealmConf *
realm_conf_load(const char *state_dir, GError **error)
{
    g_autoptr(RealmConf) conf = realm_conf_new(state_dir, NULL);
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autoptr(GError) local = NULL;
    g_autofree char *path = realm_conf_path(conf, "realm.conf");
    g_auto(GStrv) keys = NULL;

    if (!g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, &local)) {
        if (g_error_matches(local, G_FILE_ERROR, G_FILE_ERROR_NOENT))
            g_set_error_literal(error, REALM_ERROR, REALM_ERROR_NOT_FOUND,
                                "there is no realm here yet: laresctl realm create HOME.LAN makes one");
        else
            g_set_error(error, REALM_ERROR, REALM_ERROR_FAILED, "%s: %s", path, local->message);
        return NULL;
    }
    conf->name = g_key_file_get_string(file, GROUP, "name", NULL);
    conf->created = g_key_file_get_int64(file, GROUP, "created", NULL);
    conf->rotated = g_key_file_get_int64(file, GROUP, "rotated", NULL);
    keys = g_key_file_get_keys(file, GROUP, NULL, NULL);
    for (char **key = keys; key && *key; key++) {
        g_autofree char *value = g_key_file_get_string(file, GROUP, *key, NULL);
        if (!realm_conf_known_key(*key))
            continue;
        if (!realm_conf_set(conf, *key, value ? value : "", &local)) {
            g_set_error(error, REALM_ERROR, REALM_ERROR_INVALID, "%s: %s", path, local->message);
            return NULL;
        }
    }
    if (!realm_conf_check(conf, &local)) {
        g_set_error(error, REALM_ERROR, REALM_ERROR_INVALID, "%s: %s", path, local->message);
        return NULL;
    }
    return g_steal_pointer(&conf);
}

gboolean
realm_conf_save(const RealmConf *conf, GError **error)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autofree char *path = realm_conf_path(conf, "realm.conf");
    g_autofree char *now = NULL;
    g_autofree char *text = NULL;
    gsize length;

    g_key_file_set_string(file, GROUP, "name", conf->name);
    g_key_file_set_int64(file, GROUP, "created", conf->created);
    g_key_file_set_int64(file, GROUP, "rotated", conf->rotated);
    g_key_file_set_string(file, GROUP, "hostname", conf->hostname);
    g_key_file_set_string(file, GROUP, "database", conf->database);
    for (gsize i = 0; i < G_N_ELEMENTS(port_keys); i++)
        g_key_file_set_integer(file, GROUP, port_keys[i].key, G_STRUCT_MEMBER(guint16, conf, port_keys[i].offset));
    for (gsize i = 0; i < G_N_ELEMENTS(number_keys); i++)
        g_key_file_set_integer(file, GROUP, number_keys[i].key,
                               (int)G_STRUCT_MEMBER(guint, conf, number_keys[i].offset));
    for (gsize i = 0; i < G_N_ELEMENTS(list_keys); i++) {
        g_autofree char *joined = g_strjoinv(", ", G_STRUCT_MEMBER(char **, conf, list_keys[i].offset));
        g_key_file_set_string(file, GROUP, list_keys[i].key, joined);
    }
    text = g_key_file_to_data(file, &length, NULL);
    /* Every start comes through here; an unchanged file costs no write to the disk. */
    if (g_file_get_contents(path, &now, NULL, NULL) && strcmp(now, text) == 0)
        return TRUE;
    return g_file_set_contents_full(path, text, (gssize)length,
                                    G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0600, error);
}
