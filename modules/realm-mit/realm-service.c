/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The database's standing parts from the daemon's side: the password policy and the service keytab: which principals
 * this server needs, and the steps of a rotation (their order and why: helper/helper-service.c).
 */
#include "realm.h"

static JsonObject *
call(const RealmConf *conf, const RealmPrograms *programs, const char *op, gint64 at, GError **error)
{
    JsonObject *args = json_object_new();
    g_autofree char *path = realm_conf_path(conf, REALM_KEYTAB);
    g_auto(GStrv) hosts = realm_conf_host_names(conf);

    json_object_set_string_member(args, "path", path);
    json_object_set_array_member(args, "services", realm_json_strv((const char *const *)conf->services));
    json_object_set_array_member(args, "hosts", realm_json_strv((const char *const *)hosts));
    json_object_set_int_member(args, "max-life", conf->max_life);
    json_object_set_int_member(args, "at", at);
    return realm_admin_call(conf, programs, op, args, NULL, error);
}

static gboolean
count(JsonObject *result, const char *key, guint *n)
{
    if (!result)
        return FALSE;
    if (n)
        *n = (guint)json_object_get_int_member_with_default(result, key, 0);
    json_object_unref(result);
    return TRUE;
}

gboolean
realm_prepare(const RealmConf *conf, const RealmPrograms *programs, GError **error)
{
    JsonObject *args = json_object_new();

    json_object_set_int_member(args, "min-length", conf->min_length);
    json_object_set_int_member(args, "max-guesses", conf->max_guesses);
    json_object_set_int_member(args, "guess-pause", conf->guess_pause);
    return count(realm_admin_call(conf, programs, "prepare", args, NULL, error), "", NULL);
}

gboolean
realm_service_sync(const RealmConf *conf, const RealmPrograms *programs, GError **error)
{
    return count(call(conf, programs, "service-sync", 0, error), "changed", NULL);
}

gboolean
realm_service_stage(const RealmConf *conf, const RealmPrograms *programs, GError **error)
{
    return count(call(conf, programs, "service-stage", 0, error), "staged", NULL);
}

gboolean
realm_service_commit(const RealmConf *conf, const RealmPrograms *programs, guint *n_keys, GError **error)
{
    return count(call(conf, programs, "service-commit", 0, error), "committed", n_keys);
}

gboolean
realm_service_purge(const RealmConf *conf, const RealmPrograms *programs, gint64 at, guint *n_keys, GError **error)
{
    return count(call(conf, programs, "service-purge", at, error), "purged", n_keys);
}
