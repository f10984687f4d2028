/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The server's own principals and their keytab, and the rotation of their keys without a break: new
 * keys are written to the keytab first (stage) and given to the KDC later (commit), so that there
 * is no moment at which a ticket exists that the server cannot read; old keys stay in both until
 * the last ticket under them has ended (purge).
 *
 *   state            keytab          database        next
 *   steady           1..n            1..n            stage
 *   staged           1..n, n+1       1..n            commit (also after a crash)
 *   committed        1..n, n+1       1..n, n+1       purge after max-life: n+1 alone
 */
#include "helper.h"

#include <kadm5/kadm_err.h>

#include <string.h>

/* Beyond a ticket's end a peer may still accept it: twice the usual clock skew. */
#define SKEW_MARGIN 600

typedef gboolean (*EachPrincipal)(Helper *h, krb5_principal principal, GPtrArray *db, GPtrArray *file, gpointer data,
                                  GError **error);

/* The principal with this name, made with random keys when it is missing; its keys go into db. */
static gboolean
ensure(Helper *h, krb5_principal principal, GPtrArray *db, GError **error)
{
    krb5_error_code code = helper_create(h, principal, NULL, NULL);
    guint first = db->len;
    krb5_kvno newest;

    if (code != 0 && code != KADM5_DUP)
        return helper_fail(h, code, "a service principal cannot be made", error);
    if (!helper_keys_from_db(h, db, principal, error))
        return FALSE;
    newest = helper_keys_newest(h, db, principal);
    if (newest == 0) {
        g_set_error_literal(error, REALM_ERROR, REALM_ERROR_FAILED, "a service principal has no keys");
        return FALSE;
    }
    if (helper_stamp_get(h, principal, newest) == 0) {
        guint32 now = (guint32)(g_get_real_time() / G_USEC_PER_SEC);
        if (!helper_stamp_set(h, principal, newest, now, error))
            return FALSE;
        for (guint i = first; i < db->len; i++) {
            HelperKey *key = g_ptr_array_index(db, i);
            if (key->kvno == newest)
                key->stamp = now;
        }
    }
    return TRUE;
}

/* Runs each over every service of every name and writes the keytab; keys of all go into it. */
static gboolean
for_services(Helper *h, JsonObject *args, EachPrincipal each, gpointer data, gboolean *changed, GError **error)
{
    const char *path = helper_arg(args, "path", error);
    g_auto(GStrv) services = helper_arg_list(args, "services");
    g_auto(GStrv) hosts = helper_arg_list(args, "hosts");
    g_autoptr(GPtrArray) file = helper_keys_new();
    g_autoptr(GPtrArray) keys = helper_keys_new();
    g_autoptr(GError) local = NULL;

    if (!path)
        return FALSE;
    /* An unreadable keytab is rebuilt from the database, which is the truth. */
    if (!helper_keys_from_file(h, file, path, &local))
        g_ptr_array_set_size(file, 0);
    for (char **host = hosts; *host; host++) {
        for (char **service = services; *service; service++) {
            krb5_principal principal = helper_principal(h, *service, *host, error);
            gboolean good = principal && ensure(h, principal, keys, error) &&
                            (!each || each(h, principal, keys, file, data, error));
            krb5_free_principal(h->ctx, principal);
            if (!good)
                return FALSE;
        }
    }
    return helper_keys_write(keys, path, changed, error);
}

/* Takes over from the file what a stage wrote and no commit used yet; returns how many keys. */
static guint
keep_staged(Helper *h, krb5_principal principal, GPtrArray *keys, GPtrArray *file)
{
    krb5_kvno newest = helper_keys_newest(h, keys, principal);
    guint n = 0;

    for (guint i = 0; i < file->len; i++) {
        HelperKey *key = g_ptr_array_index(file, i);
        if (key->kvno <= newest || !krb5_principal_compare(h->ctx, key->principal, principal))
            continue;
        helper_keys_add(h, keys, principal, key->kvno, key->stamp, &key->key);
        n++;
    }
    return n;
}

static gboolean
sync_one(Helper *h, krb5_principal principal, GPtrArray *keys, GPtrArray *file, gpointer data, GError **error)
{
    keep_staged(h, principal, keys, file);
    return TRUE;
}

gboolean
helper_service_sync(Helper *h, JsonObject *args, JsonObject *result, GError **error)
{
    gboolean changed = FALSE;

    if (!for_services(h, args, sync_one, NULL, &changed, error))
        return FALSE;
    json_object_set_boolean_member(result, "changed", changed);
    return TRUE;
}

static gboolean
stage_one(Helper *h, krb5_principal principal, GPtrArray *keys, GPtrArray *file, gpointer data, GError **error)
{
    guint *staged = data;
    krb5_kvno next = helper_keys_newest(h, keys, principal) + 1;
    guint32 now = (guint32)(g_get_real_time() / G_USEC_PER_SEC);
    guint kept = keep_staged(h, principal, keys, file);

    *staged += kept;
    for (int i = 0; kept == 0 && i < h->params.num_keysalts; i++) {
        krb5_keyblock key = {0};
        krb5_error_code code = krb5_c_make_random_key(h->ctx, h->params.keysalts[i].ks_enctype, &key);
        if (!helper_fail(h, code, "a new key cannot be made", error))
            return FALSE;
        helper_keys_add(h, keys, principal, next, now, &key);
        krb5_free_keyblock_contents(h->ctx, &key);
        (*staged)++;
    }
    return TRUE;
}

gboolean
helper_service_stage(Helper *h, JsonObject *args, JsonObject *result, GError **error)
{
    gboolean changed;
    guint staged = 0;

    if (!for_services(h, args, stage_one, &staged, &changed, error))
        return FALSE;
    json_object_set_int_member(result, "staged", staged);
    return TRUE;
}

static gboolean
commit_one(Helper *h, krb5_principal principal, GPtrArray *keys, GPtrArray *file, gpointer data, GError **error)
{
    guint *committed = data;
    guint before = keys->len;
    guint n = keep_staged(h, principal, keys, file);
    guint32 now = (guint32)(g_get_real_time() / G_USEC_PER_SEC);
    krb5_kvno kvno;

    if (n == 0)
        return TRUE;
    kvno = ((HelperKey *)g_ptr_array_index(keys, before))->kvno;
    for (guint i = 0; i < n; i++)
        ((HelperKey *)g_ptr_array_index(keys, before + i))->stamp = now;
    if (!helper_keys_append(h, principal, keys, before, error))
        return FALSE;
    *committed += n;
    return helper_stamp_set(h, principal, kvno, now, error);
}

gboolean
helper_service_commit(Helper *h, JsonObject *args, JsonObject *result, GError **error)
{
    gboolean changed;
    guint committed = 0;

    if (!for_services(h, args, commit_one, &committed, &changed, error))
        return FALSE;
    json_object_set_int_member(result, "committed", committed);
    return TRUE;
}

typedef struct {
    gint64 at, max_life;
    guint purged;
} Purge;

static gboolean
purge_one(Helper *h, krb5_principal principal, GPtrArray *keys, GPtrArray *file, gpointer data, GError **error)
{
    Purge *purge = data;
    krb5_kvno keep = 0;
    guint old = 0;

    /* A ticket under an older key was given out before the key that replaced it came into use. */
    for (guint i = 0; i < keys->len; i++) {
        HelperKey *key = g_ptr_array_index(keys, i);
        if (krb5_principal_compare(h->ctx, key->principal, principal) && key->stamp != 0 &&
            key->stamp + purge->max_life + SKEW_MARGIN <= purge->at)
            keep = MAX(keep, key->kvno);
    }
    for (guint i = keys->len; i-- > 0;) {
        HelperKey *key = g_ptr_array_index(keys, i);
        if (key->kvno >= keep || !krb5_principal_compare(h->ctx, key->principal, principal))
            continue;
        if (!helper_stamp_set(h, principal, key->kvno, 0, error))
            return FALSE;
        g_ptr_array_remove_index(keys, i);
        old++;
    }
    keep_staged(h, principal, keys, file);
    if (old == 0)
        return TRUE;
    purge->purged += old;
    return helper_fail(h, kadm5_purgekeys(h->kadm, principal, (int)keep), "old keys cannot be removed", error);
}

gboolean
helper_service_purge(Helper *h, JsonObject *args, JsonObject *result, GError **error)
{
    Purge purge = {.max_life = json_object_get_int_member_with_default(args, "max-life", 86400),
                   .at = json_object_get_int_member_with_default(args, "at", 0)};
    gboolean changed;

    if (purge.at == 0)
        purge.at = g_get_real_time() / G_USEC_PER_SEC;
    if (!for_services(h, args, purge_one, &purge, &changed, error))
        return FALSE;
    json_object_set_int_member(result, "purged", purge.purged);
    return TRUE;
}
