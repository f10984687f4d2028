/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The realm's management verbs: arguments of the control contract into calls of realm.h and answers back.
 *
 * Thread: main thread. Verbs wait for the helper and MIT's programs as slow verbs do (lares_control_call_async());
 * behind that wait the realm may be another one, or gone.
 */
#include "realm-module.h"

#include <lares/share.h>

#include <string.h>

static const LaresParam create_params[] = {
    {"name", "s", TRUE, "Name of the realm, in capitals: HOME.LAN"},
    {"aliases", "as", FALSE, "Further names of this server"},
    {"listen", "as", FALSE, "Addresses to listen on; none: all"},
    {"kdc-port", "x", FALSE, "Port of the KDC (88)"},
    {"kadmin-port", "x", FALSE, "Port of kadmind (749)"},
    {"kpasswd-port", "x", FALSE, "Port for password changes (464)"},
    {NULL},
};
static const LaresParam remove_params[] = {
    {"name", "s", TRUE, "Name of the realm that goes"},
    {"confirm", "b", FALSE, "Must be true: nothing of the realm can be brought back"},
    {"force", "b", FALSE, "Also while shares ask for Kerberos"},
    {NULL},
};
static const LaresParam password_params[] = {
    {"name", "s", TRUE, "User, or USER/admin"},
    {"password", "s", TRUE, "The password; never logged"},
    {NULL},
};
static const LaresParam user_params[] = {
    {"name", "s", TRUE, "User, or USER/admin"},
    {NULL},
};
static const LaresParam host_params[] = {
    {"name", "s", TRUE, "Full name of the machine: laptop.home.lan"},
    {"services", "as", FALSE, "Services besides host: nfs, cifs, HTTP"},
    {NULL},
};
static const LaresParam machine_params[] = {
    {"name", "s", TRUE, "Full name of the machine: laptop.home.lan"},
    {NULL},
};
static const LaresParam kit_params[] = {
    {"platform", "s", TRUE, "linux, macos or windows"},
    {NULL},
};

static const char *
text_arg(GVariant *args, const char *key)
{
    const char *value = NULL;

    g_variant_lookup(args, key, "&s", &value);
    return value;
}

/* The realm must be there. */
static gboolean
need_realm(RealmModule *self, GError **error)
{
    if (self->conf)
        return TRUE;
    g_set_error_literal(error, LARES_ERROR, LARES_ERROR_NOT_FOUND,
                        "there is no realm here yet: laresctl realm create HOME.LAN makes one");
    return FALSE;
}

/* One call of the helper with args.name and args.services; the answer or NULL with a contract's error. */
static JsonObject *
call(RealmModule *self, const char *op, GVariant *args, const char *secret, GError **error)
{
    JsonObject *json;
    JsonObject *answer;
    g_autofree const char **services = NULL;
    g_autoptr(RealmConf) conf = NULL;
    RealmPrograms programs;
    GError *own = NULL;

    if (!need_realm(self, error))
        return NULL;
    json = json_object_new();
    if (text_arg(args, "name"))
        json_object_set_string_member(json, "name", text_arg(args, "name"));
    if (g_variant_lookup(args, "services", "^a&s", &services))
        json_object_set_array_member(json, "services", realm_json_strv(services));
    /* What the helper is asked with is a copy: others go on meanwhile. */
    conf = realm_conf_copy(self->conf);
    programs = self->programs;
    lares_control_wait_begin();
    answer = realm_admin_call(conf, &programs, op, json, secret, &own);
    lares_control_wait_end();
    if (!answer)
        realm_propagate(error, own);
    return answer;
}

/* For verbs without an answer of their own: an empty one. */
static GVariant *
done(RealmModule *self, const char *op, GVariant *args, const char *secret, GError **error)
{
    g_autoptr(JsonObject) answer = call(self, op, args, secret, error);

    return answer ? realm_variant_object(answer) : NULL;
}

static GVariant *
list(RealmModule *self, const char *op, const char *member, GVariant *args, GError **error)
{
    g_autoptr(JsonObject) answer = call(self, op, args, NULL, error);
    JsonArray *array;

    if (!answer)
        return NULL;
    array = json_object_get_array_member(answer, member);
    if (json_array_get_length(array) == 0)
        return g_variant_new_array(G_VARIANT_TYPE_VARDICT, NULL, 0);
    return realm_variant_array(array);
}

/* Everything about the realm but its secrets. */
static GVariant *
describe(RealmModule *self)
{
    RealmConf *conf = self->conf;
    g_autoptr(JsonObject) json = json_object_new();
    g_auto(GStrv) names = realm_conf_host_names(conf);
    g_autofree char *keytab = realm_conf_path(conf, REALM_KEYTAB);
    g_autofree char *krb5 = realm_conf_path(conf, "krb5.conf");

    json_object_set_string_member(json, "name", conf->name);
    json_object_set_int_member(json, "created", conf->created);
    json_object_set_int_member(json, "rotated", conf->rotated);
    json_object_set_boolean_member(json, "rotating", self->commit != 0 || self->committing);
    json_object_set_array_member(json, "names", realm_json_strv((const char *const *)names));
    json_object_set_array_member(json, "listen", realm_json_strv((const char *const *)conf->listen));
    json_object_set_int_member(json, "kdc-port", conf->kdc_port);
    json_object_set_int_member(json, "kadmin-port", conf->kadmin_port);
    json_object_set_int_member(json, "kpasswd-port", conf->kpasswd_port);
    json_object_set_string_member(json, "keytab", keytab);
    json_object_set_string_member(json, "krb5-conf", krb5);
    json_object_set_boolean_member(json, "running", self->supervisor && realm_supervisor_is_ready(self->supervisor));
    if (self->problem)
        json_object_set_string_member(json, "problem", self->problem);
    if (self->supervisor)
        json_object_set_array_member(json, "daemons", realm_supervisor_status(self->supervisor));
    return realm_variant_object(json);
}

/* One argument of realm.create as the text that realm_conf_set() takes. */
static char *
arg_text(GVariant *value)
{
    if (g_variant_is_of_type(value, G_VARIANT_TYPE_STRING_ARRAY)) {
        g_autofree const char **strv = g_variant_get_strv(value, NULL);
        return g_strjoinv(",", (char **)strv);
    }
    if (g_variant_is_of_type(value, G_VARIANT_TYPE_INT64))
        return g_strdup_printf("%" G_GINT64_FORMAT, g_variant_get_int64(value));
    return g_variant_dup_string(value, NULL);
}

static gboolean
take_args(RealmConf *conf, GVariant *args, GError **error)
{
    for (const LaresParam *param = create_params; param->name; param++) {
        g_autoptr(GVariant) value = g_variant_lookup_value(args, param->name, G_VARIANT_TYPE(param->signature));
        g_autofree char *text = value ? arg_text(value) : NULL;

        if (text && realm_conf_known_key(param->name) && !realm_conf_set(conf, param->name, text, error))
            return FALSE;
    }
    return realm_conf_check(conf, error);
}

/* What others may do meanwhile: a reload finds the realm as soon as it is whole. */
static gboolean
make_realm(RealmModule *self, const RealmConf *conf, gboolean *created, GError **error)
{
    RealmPrograms programs = self->programs;
    gboolean good;

    lares_control_wait_begin();
    good = realm_create(conf, &programs, created, error);
    lares_control_wait_end();
    return good;
}

static GVariant *
verb_create(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    RealmModule *self = user;
    const char *name = text_arg(args, "name");
    g_autoptr(RealmConf) conf = NULL;
    g_autoptr(GVariant) description = NULL;
    RealmConf *made;
    gboolean created = FALSE;
    GVariantDict answer;
    GError *own = NULL;

    if (!realm_name_check(name, &own) || !(conf = realm_module_conf(self, name, &own)) ||
        !take_args(conf, args, &own) ||
        /* Before anything is made: a realm whose KDC cannot run helps nobody. */
        (!self->conf && lares_settings_boolean(self->settings, "supervise") && !realm_ports_check(conf, NULL, &own)) ||
        !make_realm(self, conf, &created, &own)) {
        realm_propagate(error, own);
        return NULL;
    }
    if (!self->conf) {
        made = realm_module_conf(self, NULL, &own);
        if (!made) {
            realm_propagate(error, own);
            return NULL;
        }
        if (created)
            lares_info(REALM_ROOM, "the realm %s is made", name);
        realm_module_begin(self, made);
    }
    description = g_variant_ref_sink(describe(self));
    g_variant_dict_init(&answer, description);
    g_variant_dict_insert(&answer, "created", "b", created);
    return g_variant_dict_end(&answer);
}

/* Names of the shares that a client enters with a ticket, separated by commas; NULL: none. */
static char *
shares_with_kerberos(LaresHost *host)
{
    g_autoptr(GPtrArray) shares = lares_shares_list(lares_host_shares(host));
    g_autoptr(GString) names = g_string_new(NULL);

    g_ptr_array_set_free_func(shares, (GDestroyNotify)lares_share_unref);
    for (guint i = 0; i < shares->len; i++) {
        const LaresShare *share = g_ptr_array_index(shares, i);
        gboolean kerberos = FALSE;
        for (guint k = 0; k < share->n_flavors; k++)
            kerberos |= g_str_has_prefix(share->flavor[k]->name, "krb5");
        if (kerberos)
            g_string_append_printf(names, "%s%s", names->len ? ", " : "", share->name);
    }
    return names->len ? g_strdup(names->str) : NULL;
}

static gboolean
may_remove(RealmModule *self, GVariant *args, GError **error)
{
    const char *name = text_arg(args, "name");
    gboolean confirmed = FALSE, force = FALSE;
    g_autofree char *shares = NULL;

    g_variant_lookup(args, "confirm", "b", &confirmed);
    g_variant_lookup(args, "force", "b", &force);
    if (!need_realm(self, error))
        return FALSE;
    if (strcmp(name, self->conf->name) != 0) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_NOT_FOUND, "the realm of this server is %s, not %s",
                    self->conf->name, name);
        return FALSE;
    }
    if (!confirmed) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_INVALID,
                    "every user, machine and key of %s would be gone for good: say --yes (confirm) if that is meant",
                    name);
        return FALSE;
    }
    shares = force ? NULL : shares_with_kerberos(self->host);
    if (shares) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_CONFLICT,
                    "shares ask for Kerberos (%s): change that first (laresctl share security set), or say --force",
                    shares);
        return FALSE;
    }
    return TRUE;
}

static GVariant *
verb_remove(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    RealmModule *self = user;
    g_autoptr(RealmConf) conf = NULL;
    RealmFarewell *farewell;
    GError *own = NULL;
    gboolean good;

    if (!may_remove(self, args, error))
        return NULL;
    conf = realm_conf_copy(self->conf);
    farewell = realm_module_dismiss(self);
    self->removing = TRUE;
    lares_control_wait_begin();
    if (farewell)
        realm_farewell_wait(farewell);
    realm_rotate_allow(FALSE); /* a job that runs still writes into the directory */
    good = realm_remove(conf, &own);
    realm_rotate_allow(TRUE);
    lares_control_wait_end();
    self->removing = FALSE;
    if (!good) {
        RealmConf *there = realm_module_conf(self, NULL, NULL);
        if (there)
            realm_module_begin(self, there);
        realm_propagate(error, own);
        return NULL;
    }
    lares_info(REALM_ROOM, "the realm %s is removed", conf->name);
    return g_variant_new_array(G_VARIANT_TYPE("{sv}"), NULL, 0);
}

static GVariant *
verb_status(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    return need_realm(user, error) ? describe(user) : NULL;
}

/* The directory's user of that name: made now, so that the user can be put into groups and given rights before the
 * first login. One that is there already, or an account of the host, is as good. */
static gboolean
join_directory(RealmModule *self, const LaresControlCaller *caller, GVariant *args, GError **error)
{
    LaresControl *control = lares_host_control(self->host);
    g_autoptr(GVariant) named = g_variant_ref_sink(g_variant_new_parsed("{'name': <%s>}", text_arg(args, "name")));
    g_autoptr(GError) local = NULL;
    g_autoptr(GVariant) there = lares_control_call(control, caller, "user.show", named, NULL);
    g_autoptr(GVariant) made = there ? NULL : lares_control_call(control, caller, "user.add", named, &local);

    if (made || !local || g_error_matches(local, LARES_ERROR, LARES_ERROR_EXISTS))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

static GVariant *
verb_user_add(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    g_autoptr(GVariant) answer = done(user, "user-add", args, text_arg(args, "password"), error);
    g_autoptr(GVariant) undone = NULL;

    if (!answer)
        return NULL;
    g_variant_ref_sink(answer);
    /* NAME/admin administers the realm and is no user of files. */
    if (strchr(text_arg(args, "name"), '/') || join_directory(user, caller, args, error))
        return g_steal_pointer(&answer);
    undone = done(user, "user-remove", args, NULL, NULL);
    if (undone)
        g_variant_ref_sink(undone);
    else
        g_prefix_error(error, "the principal is made, but not its user: ");
    return NULL;
}

static GVariant *
verb_user_show(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    return done(user, "user-show", args, NULL, error);
}

static GVariant *
verb_user_passwd(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    return done(user, "user-passwd", args, text_arg(args, "password"), error);
}

static GVariant *
verb_user_remove(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    return done(user, "user-remove", args, NULL, error);
}

static GVariant *
verb_user_disable(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    return done(user, "user-disable", args, NULL, error);
}

static GVariant *
verb_user_enable(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    return done(user, "user-enable", args, NULL, error);
}

static GVariant *
verb_user_list(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    return list(user, "user-list", "users", args, error);
}

static GVariant *
verb_host_add(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    return done(user, "host-add", args, NULL, error);
}

static GVariant *
verb_host_keytab(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    return done(user, "host-keytab", args, NULL, error);
}

/* The server's own principals are made again by the next sync; their removal would only break tickets. */
static GVariant *
verb_host_remove(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    RealmModule *self = user;
    g_autofree char *name = realm_host_normalize(text_arg(args, "name"), NULL);

    if (!need_realm(self, error))
        return NULL;
    if (name) {
        g_auto(GStrv) own = realm_conf_host_names(self->conf);
        if (g_strv_contains((const char *const *)own, name)) {
            g_set_error(error, LARES_ERROR, LARES_ERROR_CONFLICT, "%s is this server itself", name);
            return NULL;
        }
    }
    return done(self, "host-remove", args, NULL, error);
}

static GVariant *
verb_host_list(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    return list(user, "host-list", "hosts", args, error);
}

static GVariant *
verb_rotate(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    RealmModule *self = user;
    GVariantDict answer;
    GError *own = NULL;
    guint grace = 0;

    if (!need_realm(self, error))
        return NULL;
    if (!realm_module_rotate(self, &grace, &own)) {
        realm_propagate(error, own);
        return NULL;
    }
    g_variant_dict_init(&answer, NULL);
    g_variant_dict_insert(&answer, "in-use-after", "x", (gint64)grace);
    return g_variant_dict_end(&answer);
}

/* Rotations and their like run one at a time, by the helper's own lock. */
static gboolean
sync_keys(RealmModule *self, const RealmConf *conf, GError **error)
{
    RealmPrograms programs = self->programs;
    gboolean good;

    lares_control_wait_begin();
    good = realm_service_sync(conf, &programs, error);
    lares_control_wait_end();
    return good;
}

static GVariant *
verb_keytab(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    RealmModule *self = user;
    g_autoptr(RealmConf) conf = NULL;
    g_auto(GStrv) names = NULL;
    g_autofree char *keytab = NULL;
    g_autofree char *before = NULL, *after = NULL;
    gsize before_len = 0, after_len = 0;
    GVariantDict answer;
    GError *own = NULL;

    if (!need_realm(self, error))
        return NULL;
    conf = realm_conf_copy(self->conf);
    keytab = realm_conf_path(conf, REALM_KEYTAB);
    g_file_get_contents(keytab, &before, &before_len, NULL);
    if (!sync_keys(self, conf, &own)) {
        realm_propagate(error, own);
        return NULL;
    }
    g_file_get_contents(keytab, &after, &after_len, NULL);
    names = realm_conf_host_names(conf);
    g_variant_dict_init(&answer, NULL);
    g_variant_dict_insert(&answer, "name", "s", conf->name);
    g_variant_dict_insert(&answer, "keytab", "s", keytab);
    g_variant_dict_insert(&answer, "names", "^as", names);
    g_variant_dict_insert(&answer, "changed", "b",
                          !before || before_len != after_len || memcmp(before, after, after_len) != 0);
    if (before)
        explicit_bzero(before, before_len);
    if (after)
        explicit_bzero(after, after_len);
    return g_variant_dict_end(&answer);
}

/* The strongest protection first in the administrator's list is what a kit proposes, if it is Kerberos. */
static const char *
kit_flavor(const LaresShare *share)
{
    for (guint i = 0; i < share->n_flavors; i++)
        if (g_str_has_prefix(share->flavor[i]->name, "krb5"))
            return share->flavor[i]->name;
    return share->n_flavors ? share->flavor[0]->name : NULL;
}

/* The port on which a protocol serves now, for a kit that is true; the setting when it does not run. */
static guint16
live_port(RealmModule *self, const LaresControlCaller *caller, const char *protocol, const char *setting)
{
    LaresControl *control = lares_host_control(self->host);
    g_autoptr(GVariant) status = lares_control_call(control, caller, "status", NULL, NULL);
    g_autoptr(GVariant) all = NULL;
    gsize n;

    if (status)
        all = g_variant_lookup_value(status, "protocols", G_VARIANT_TYPE("aa{sv}"));
    n = all ? g_variant_n_children(all) : 0;
    for (gsize i = 0; i < n; i++) {
        g_autoptr(GVariant) one = g_variant_get_child_value(all, i);
        g_autoptr(GVariant) details = NULL;
        g_autoptr(GVariant) ports = NULL;
        const char *name = "";
        gint32 port = 0;

        g_variant_lookup(one, "name", "&s", &name);
        details = g_variant_lookup_value(one, "details", G_VARIANT_TYPE_VARDICT);
        if (strcmp(name, protocol) != 0 || !details)
            continue;
        ports = g_variant_lookup_value(details, "ports", G_VARIANT_TYPE("ai"));
        if (ports && g_variant_n_children(ports) > 0)
            g_variant_get_child(ports, 0, "i", &port);
        if (port > 0 && port < 65536)
            return (guint16)port;
    }
    return (guint16)lares_settings_integer(self->settings, setting);
}

static GVariant *
verb_client_config(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    RealmModule *self = user;
    RealmClientInfo info = {.nfs_domain = lares_host_domain(host)};
    g_autoptr(GPtrArray) shares = NULL;
    g_autofree RealmShare *rows = NULL;
    g_autoptr(JsonObject) kit = NULL;
    GError *own = NULL;

    if (!need_realm(self, error))
        return NULL;
    info.nfs_port = live_port(self, caller, "nfs4", "nfs-port");
    info.smb_port = live_port(self, caller, "smb2", "smb-port");
    shares = lares_shares_list(lares_host_shares(host));
    g_ptr_array_set_free_func(shares, (GDestroyNotify)lares_share_unref);
    rows = g_new0(RealmShare, shares->len + 1);
    for (guint i = 0; i < shares->len; i++) {
        LaresShare *share = g_ptr_array_index(shares, i);
        if (share->enabled)
            rows[info.n_shares++] = (RealmShare){.name = share->name, .path = share->pseudo, .sec = kit_flavor(share)};
    }
    info.shares = rows;
    kit = realm_client_config(self->conf, text_arg(args, "platform"), &info, &own);
    if (!kit) {
        realm_propagate(error, own);
        return NULL;
    }
    return realm_variant_object(kit);
}

const LaresVerb realm_verbs[] = {
    {"realm.create", LARES_RIGHT_ADMIN, "Make this server's own realm", create_params, verb_create},
    {"realm.remove", LARES_RIGHT_ADMIN, "Remove this server's own realm with all its keys", remove_params, verb_remove},
    {"realm.status", LARES_RIGHT_READ, "Show the realm and its daemons", NULL, verb_status},
    {"realm.rotate", LARES_RIGHT_ADMIN, "Replace the service keys without a break", NULL, verb_rotate},
    {"realm.keytab", LARES_RIGHT_ADMIN, "Make the server's keys and its keytab whole", NULL, verb_keytab},
    {"realm.client-config", LARES_RIGHT_READ, "Files and commands for a client", kit_params, verb_client_config},
    {"realm.user.add", LARES_RIGHT_ADMIN, "Add a user who can get tickets, also to the directory", password_params,
     verb_user_add},
    {"realm.user.passwd", LARES_RIGHT_ADMIN, "Set a user's password", password_params, verb_user_passwd},
    {"realm.user.remove", LARES_RIGHT_ADMIN, "Remove a user from the realm", user_params, verb_user_remove},
    {"realm.user.disable", LARES_RIGHT_ADMIN, "Give a user no more tickets", user_params, verb_user_disable},
    {"realm.user.enable", LARES_RIGHT_ADMIN, "Give a user tickets again", user_params, verb_user_enable},
    {"realm.user.show", LARES_RIGHT_READ, "Show whether a user can get tickets", user_params, verb_user_show},
    {"realm.user.list", LARES_RIGHT_READ, "List users", NULL, verb_user_list},
    {"realm.host.add", LARES_RIGHT_ADMIN, "Add a machine; answers with its keytab", host_params, verb_host_add},
    {"realm.host.keytab", LARES_RIGHT_ADMIN, "A machine's keytab once more", host_params, verb_host_keytab},
    {"realm.host.remove", LARES_RIGHT_ADMIN, "Remove a machine", machine_params, verb_host_remove},
    {"realm.host.list", LARES_RIGHT_READ, "List machines", NULL, verb_host_list},
    {NULL},
};
