/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * People and machines in the realm's database: added, changed, listed, switched off and removed.
 */
#include "helper.h"

#include <kadm5/kadm_err.h>
#include <kdb.h>

#include <string.h>

#define POLICY "lares-users"

krb5_error_code
helper_create(Helper *h, krb5_principal principal, const char *password, const char *policy)
{
    kadm5_principal_ent_rec entry = {.principal = principal,
                                     .policy = (char *)policy,
                                     .max_life = HELPER_MAX_LIFE,
                                     .max_renewable_life = HELPER_MAX_RENEW};
    long mask = KADM5_PRINCIPAL | KADM5_MAX_LIFE | KADM5_MAX_RLIFE | (policy ? KADM5_POLICY : 0);

    /* Nobody needs a ticket *for* a person, sealed with a key that is made of the password: who had one could try
     * passwords on it at leisure. A request from user to user still works. */
    if (password) {
        entry.attributes = h->params.flags | KRB5_KDB_DISALLOW_SVR;
        mask |= KADM5_ATTRIBUTES;
    }
    return kadm5_create_principal(h->kadm, &entry, mask, (char *)password);
}

/* The ticket-granting principal was made by kdb5_util with the limits of that day. */
static gboolean
widen_tgt(Helper *h, GError **error)
{
    kadm5_principal_ent_rec entry = {.max_life = HELPER_MAX_LIFE, .max_renewable_life = HELPER_MAX_RENEW};
    kadm5_principal_ent_rec present = {0};
    krb5_error_code code;

    entry.principal = helper_principal(h, KRB5_TGS_NAME, h->realm, error);
    if (!entry.principal)
        return FALSE;
    code = kadm5_get_principal(h->kadm, entry.principal, &present, KADM5_PRINCIPAL_NORMAL_MASK);
    if (code == 0 && (present.max_life != entry.max_life || present.max_renewable_life != entry.max_renewable_life))
        code = kadm5_modify_principal(h->kadm, &entry, KADM5_MAX_LIFE | KADM5_MAX_RLIFE);
    kadm5_free_principal_ent(h->kadm, &present);
    krb5_free_principal(h->ctx, entry.principal);
    return helper_fail(h, code, "the ticket-granting principal cannot be set up", error);
}

static gboolean
same_policy(const kadm5_policy_ent_rec *a, const kadm5_policy_ent_rec *b)
{
    return a->pw_min_length == b->pw_min_length && a->pw_max_fail == b->pw_max_fail &&
           a->pw_failcnt_interval == b->pw_failcnt_interval && a->pw_lockout_duration == b->pw_lockout_duration;
}

/* Guessing is slowed down, not ended: a lock that only an administrator opens would let anybody who knows a name shut
 * its owner out for good. While it lasts the KDC does not look at passwords, so not even the right one is told from a
 * wrong one. The count falls back when the lock does. */
gboolean
helper_prepare(Helper *h, JsonObject *args, JsonObject *result, GError **error)
{
    kadm5_policy_ent_rec policy = {.policy = (char *)POLICY, .pw_min_classes = 1, .pw_history_num = 1};
    kadm5_policy_ent_rec present = {0};
    long mask = KADM5_POLICY | KADM5_PW_MIN_LENGTH | KADM5_PW_MIN_CLASSES | KADM5_PW_MAX_FAILURE |
                KADM5_PW_FAILURE_COUNT_INTERVAL | KADM5_PW_LOCKOUT_DURATION;
    krb5_error_code code;

    policy.pw_min_length = (long)json_object_get_int_member_with_default(args, "min-length", 8);
    policy.pw_max_fail = (krb5_kvno)json_object_get_int_member_with_default(args, "max-guesses", 20);
    policy.pw_lockout_duration = (krb5_deltat)json_object_get_int_member_with_default(args, "guess-pause", 300);
    policy.pw_failcnt_interval = policy.pw_lockout_duration;
    code = kadm5_get_policy(h->kadm, (char *)POLICY, &present);
    if (code == KADM5_UNK_POLICY)
        code = kadm5_create_policy(h->kadm, &policy, mask);
    else if (code == 0 && !same_policy(&present, &policy))
        code = kadm5_modify_policy(h->kadm, &policy, mask & ~KADM5_POLICY);
    kadm5_free_policy_ent(h->kadm, &present);
    return helper_fail(h, code, "the password policy cannot be set", error) && widen_tgt(h, error);
}

/* The principal of args.name, a person; NULL with the reason. */
static krb5_principal
user_principal(Helper *h, JsonObject *args, GError **error)
{
    const char *name = helper_arg(args, "name", error);
    g_auto(GStrv) parts = NULL;
    krb5_principal principal;

    if (!name || !realm_user_check(name, error))
        return NULL;
    parts = g_strsplit(name, "/", 2);
    principal = helper_principal(h, parts[0], parts[1], error);
    if (principal)
        principal->type = KRB5_NT_PRINCIPAL;
    return principal;
}

static gboolean
need_secret(Helper *h, GError **error)
{
    if (h->secret && h->secret[0])
        return TRUE;
    g_set_error_literal(error, REALM_ERROR, REALM_ERROR_INVALID, "a password is needed");
    return FALSE;
}

/* What to call the failure of one user's operation, in words for people. */
static gboolean
user_result(Helper *h, krb5_error_code code, JsonObject *args, GError **error)
{
    const char *name = json_object_get_string_member(args, "name");

    if (code == KADM5_DUP)
        g_set_error(error, REALM_ERROR, REALM_ERROR_EXISTS, "the user %s exists already", name);
    else if (code == KADM5_UNK_PRINC)
        g_set_error(error, REALM_ERROR, REALM_ERROR_NOT_FOUND, "there is no user %s", name);
    else
        return helper_fail(h, code, name, error);
    return FALSE;
}

gboolean
helper_user_add(Helper *h, JsonObject *args, JsonObject *result, GError **error)
{
    krb5_principal principal = NULL;
    krb5_error_code code;

    if (!need_secret(h, error) || !(principal = user_principal(h, args, error)))
        return FALSE;
    code = helper_create(h, principal, h->secret, POLICY);
    krb5_free_principal(h->ctx, principal);
    return user_result(h, code, args, error);
}

/* Wrong passwords until now do not count any more. */
static krb5_error_code
forgive(Helper *h, krb5_principal principal)
{
    kadm5_principal_ent_rec entry = {.principal = principal, .fail_auth_count = 0};

    return kadm5_modify_principal(h->kadm, &entry, KADM5_FAIL_AUTH_COUNT);
}

gboolean
helper_user_passwd(Helper *h, JsonObject *args, JsonObject *result, GError **error)
{
    krb5_principal principal = NULL;
    krb5_error_code code;

    if (!need_secret(h, error) || !(principal = user_principal(h, args, error)))
        return FALSE;
    code = kadm5_chpass_principal(h->kadm, principal, (char *)h->secret);
    if (code == 0)
        code = forgive(h, principal);
    krb5_free_principal(h->ctx, principal);
    return user_result(h, code, args, error);
}

gboolean
helper_user_remove(Helper *h, JsonObject *args, JsonObject *result, GError **error)
{
    krb5_principal principal = user_principal(h, args, error);
    krb5_error_code code;

    if (!principal)
        return FALSE;
    code = kadm5_delete_principal(h->kadm, principal);
    krb5_free_principal(h->ctx, principal);
    return user_result(h, code, args, error);
}

static gboolean
user_switch(Helper *h, JsonObject *args, gboolean off, GError **error)
{
    kadm5_principal_ent_rec entry = {0};
    krb5_principal principal = user_principal(h, args, error);
    krb5_error_code code;

    if (!principal)
        return FALSE;
    code = kadm5_get_principal(h->kadm, principal, &entry, KADM5_PRINCIPAL | KADM5_ATTRIBUTES);
    if (code == 0) {
        if (off)
            entry.attributes |= KRB5_KDB_DISALLOW_ALL_TIX;
        else
            entry.attributes &= ~KRB5_KDB_DISALLOW_ALL_TIX;
        code = kadm5_modify_principal(h->kadm, &entry, KADM5_ATTRIBUTES);
        if (code == 0 && !off)
            code = forgive(h, principal);
        kadm5_free_principal_ent(h->kadm, &entry);
    }
    krb5_free_principal(h->ctx, principal);
    return user_result(h, code, args, error);
}

gboolean
helper_user_disable(Helper *h, JsonObject *args, JsonObject *result, GError **error)
{
    return user_switch(h, args, TRUE, error);
}

gboolean
helper_user_enable(Helper *h, JsonObject *args, JsonObject *result, GError **error)
{
    return user_switch(h, args, FALSE, error);
}

/* Calls each for every principal of the realm with its name without the realm. */
static gboolean
for_each(Helper *h, void (*each)(Helper *h, krb5_principal principal, const char *name, JsonArray *out), JsonArray *out,
         GError **error)
{
    char **names = NULL;
    int n = 0;
    krb5_error_code code = kadm5_get_principals(h->kadm, (char *)"*", &names, &n);

    if (!helper_fail(h, code, "the principals cannot be listed", error))
        return FALSE;
    for (int i = 0; i < n; i++) {
        krb5_principal principal = NULL;
        char *name = NULL;
        if (krb5_parse_name(h->ctx, names[i], &principal) != 0)
            continue;
        if (krb5_unparse_name_flags(h->ctx, principal, KRB5_PRINCIPAL_UNPARSE_NO_REALM, &name) == 0) {
            each(h, principal, name, out);
            krb5_free_unparsed_name(h->ctx, name);
        }
        krb5_free_principal(h->ctx, principal);
    }
    kadm5_free_name_list(h->kadm, names, n);
    return TRUE;
}

static krb5_error_code
describe_into(Helper *h, krb5_principal principal, const char *name, JsonObject *object)
{
    kadm5_principal_ent_rec entry = {0};
    krb5_error_code code = kadm5_get_principal(h->kadm, principal, &entry, KADM5_PRINCIPAL_NORMAL_MASK);

    if (code != 0)
        return code;
    json_object_set_string_member(object, "name", name);
    json_object_set_boolean_member(object, "disabled", (entry.attributes & KRB5_KDB_DISALLOW_ALL_TIX) != 0);
    json_object_set_int_member(object, "changed", (guint32)entry.last_pwd_change);
    json_object_set_int_member(object, "kvno", entry.kvno);
    kadm5_free_principal_ent(h->kadm, &entry);
    return 0;
}

static JsonObject *
describe(Helper *h, krb5_principal principal, const char *name)
{
    g_autoptr(JsonObject) object = json_object_new();

    return describe_into(h, principal, name, object) == 0 ? g_steal_pointer(&object) : NULL;
}

gboolean
helper_user_show(Helper *h, JsonObject *args, JsonObject *result, GError **error)
{
    krb5_principal principal = user_principal(h, args, error);
    krb5_error_code code;

    if (!principal)
        return FALSE;
    code = describe_into(h, principal, json_object_get_string_member(args, "name"), result);
    krb5_free_principal(h->ctx, principal);
    return user_result(h, code, args, error);
}

static void
list_user(Helper *h, krb5_principal principal, const char *name, JsonArray *out)
{
    JsonObject *object = realm_user_check(name, NULL) ? describe(h, principal, name) : NULL;

    if (object)
        json_array_add_object_element(out, object);
}

gboolean
helper_user_list(Helper *h, JsonObject *args, JsonObject *result, GError **error)
{
    JsonArray *users = json_array_new();

    json_object_set_array_member(result, "users", users);
    return for_each(h, list_user, users, error);
}

/* The services of a machine; "host" is always the first. NULL: one of them is none. */
static GStrv
host_services(JsonObject *args, GError **error)
{
    g_auto(GStrv) given = helper_arg_list(args, "services");
    GStrvBuilder *builder = g_strv_builder_new();
    GStrv services;
    gboolean good = TRUE;

    g_strv_builder_add(builder, "host");
    for (char **p = given; *p && good; p++) {
        good = realm_service_check(*p, error);
        if (good && strcmp(*p, "host") != 0)
            g_strv_builder_add(builder, *p);
    }
    services = g_strv_builder_end(builder);
    g_strv_builder_unref(builder);
    if (!good)
        g_clear_pointer(&services, g_strfreev);
    return services;
}

/* The machine of args.name and its services; FALSE with the reason. */
static gboolean
host_args(JsonObject *args, char **name, GStrv *services, GError **error)
{
    const char *given = helper_arg(args, "name", error);

    *name = given ? realm_machine_check(given, error) : NULL;
    *services = *name ? host_services(args, error) : NULL;
    return *services != NULL;
}

/* Answers with the keys of services/name as a keytab. */
static gboolean
give_keytab(Helper *h, const char *name, GStrv services, JsonObject *result, GError **error)
{
    g_autoptr(GPtrArray) keys = helper_keys_new();
    JsonArray *principals = json_array_new();
    GByteArray *bytes;
    char *text;

    json_object_set_array_member(result, "principals", principals);
    for (char **p = services; *p; p++) {
        g_autofree char *full = g_strdup_printf("%s/%s@%s", *p, name, h->realm);
        krb5_principal principal = helper_principal(h, *p, name, error);
        gboolean good = principal && helper_keys_from_db(h, keys, principal, error);
        krb5_free_principal(h->ctx, principal);
        if (!good)
            return FALSE;
        json_array_add_string_element(principals, full);
    }
    bytes = helper_keys_serialize(keys);
    text = g_base64_encode(bytes->data, bytes->len);
    json_object_set_string_member(result, "keytab", text);
    explicit_bzero(text, strlen(text));
    g_free(text);
    helper_bytes_free(bytes);
    return TRUE;
}

gboolean
helper_host_add(Helper *h, JsonObject *args, JsonObject *result, GError **error)
{
    g_autofree char *name = NULL;
    g_auto(GStrv) services = NULL;

    if (!host_args(args, &name, &services, error))
        return FALSE;
    for (char **p = services; *p; p++) {
        krb5_principal principal = helper_principal(h, *p, name, error);
        krb5_error_code code;
        if (!principal)
            return FALSE;
        code = helper_create(h, principal, NULL, NULL);
        krb5_free_principal(h->ctx, principal);
        if (code == KADM5_DUP && p == services) {
            g_set_error(error, REALM_ERROR, REALM_ERROR_EXISTS, "the host %s exists already", name);
            return FALSE;
        }
        if (code != KADM5_DUP && !helper_fail(h, code, name, error))
            return FALSE;
    }
    return give_keytab(h, name, services, result, error);
}

gboolean
helper_host_keytab(Helper *h, JsonObject *args, JsonObject *result, GError **error)
{
    g_autofree char *name = NULL;
    g_auto(GStrv) services = NULL;
    g_autoptr(GError) local = NULL;

    if (!host_args(args, &name, &services, error))
        return FALSE;
    if (give_keytab(h, name, services, result, &local))
        return TRUE;
    if (g_error_matches(local, REALM_ERROR, REALM_ERROR_NOT_FOUND))
        g_set_error(error, REALM_ERROR, REALM_ERROR_NOT_FOUND, "there is no host %s", name);
    else
        g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

/* out: the machine's name, then the services found for it. */
static void
find_service(Helper *h, krb5_principal principal, const char *name, JsonArray *out)
{
    const char *slash = strchr(name, '/');
    const char *machine = json_array_get_string_element(out, 0);
    g_autofree char *service = slash ? g_strndup(name, (gsize)(slash - name)) : NULL;

    if (principal->length == 2 && service && strcmp(slash + 1, machine) == 0 && realm_service_check(service, NULL))
        json_array_add_string_element(out, service);
}

/* All the services of the machine: a key that was forgotten would still open it. */
gboolean
helper_host_remove(Helper *h, JsonObject *args, JsonObject *result, GError **error)
{
    const char *given = helper_arg(args, "name", error);
    g_autofree char *name = given ? realm_machine_check(given, error) : NULL;
    g_autoptr(JsonArray) services = json_array_new();
    int removed = 0;

    if (!name)
        return FALSE;
    json_array_add_string_element(services, name);
    if (!for_each(h, find_service, services, error))
        return FALSE;
    for (guint i = 1; i < json_array_get_length(services); i++) {
        krb5_principal principal = helper_principal(h, json_array_get_string_element(services, i), name, error);
        krb5_error_code code;
        if (!principal)
            return FALSE;
        code = kadm5_delete_principal(h->kadm, principal);
        krb5_free_principal(h->ctx, principal);
        if (code == 0)
            removed++;
        else if (code != KADM5_UNK_PRINC)
            return helper_fail(h, code, name, error);
    }
    json_object_set_int_member(result, "removed", removed);
    if (removed == 0)
        g_set_error(error, REALM_ERROR, REALM_ERROR_NOT_FOUND, "there is no host %s", name);
    return removed > 0;
}

static void
list_host(Helper *h, krb5_principal principal, const char *name, JsonArray *out)
{
    JsonObject *object;

    if (principal->length != 2 || !g_str_has_prefix(name, "host/"))
        return;
    object = describe(h, principal, name + 5);
    if (object)
        json_array_add_object_element(out, object);
}

gboolean
helper_host_list(Helper *h, JsonObject *args, JsonObject *result, GError **error)
{
    JsonArray *hosts = json_array_new();

    json_object_set_array_member(result, "hosts", hosts);
    return for_each(h, list_host, hosts, error);
}
