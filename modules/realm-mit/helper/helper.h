/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lares-realm-helper: the one process that opens the realm's database. It runs one operation and
 * ends, so that MIT's locks, global state and environment never enter laresd.
 *
 * Protocol: standard input holds one line of JSON, {"op", "realm", "dir", "args": {}}, and after
 * its line end, up to the end of the input, the secret (a password) when the operation takes one.
 * Standard output gets one line of JSON: {"ok": true, "result": {}} or {"ok": false, "code",
 * "message"}. Exit status 0 when an answer was written.
 *
 * op               args                          result
 * prepare          min-length, max-guesses,      -                  (password policy)
 *                  guess-pause
 * user-add         name, secret                  -
 * user-passwd      name, secret                  -
 * user-remove      name                          -
 * user-disable     name                          -
 * user-enable      name                          -
 * user-list        -                             users: [{name, disabled, changed, kvno}]
 * user-show        name                          name, disabled, changed, kvno
 * host-add         name, services                keytab (base64), principals
 * host-keytab      name, services                keytab (base64), principals
 * host-remove      name                          removed
 * host-list        -                             hosts: [{name, principals, disabled, changed}]
 * service-sync     path, services, hosts         principals, changed
 * service-stage    path, services, hosts         staged
 * service-commit   path, services, hosts         committed
 * service-purge    path, services, hosts, max-life, at   purged
 */
#pragma once

#include "../realm.h"

#include <kadm5/admin.h>
#include <krb5.h>

typedef struct {
    krb5_context ctx;
    void *kadm; /* kadm5 server handle over the local database */
    kadm5_config_params params;
    const char *realm;
    const char *secret; /* NULL when none was sent */
} Helper;

typedef gboolean (*HelperOp)(Helper *h, JsonObject *args, JsonObject *result, GError **error);

/* The realm's settings decide how long tickets live, not what a principal was made with: these are only the
 * widest limits those settings can reach. */
#define HELPER_MAX_LIFE  (30 * 24 * 3600)
#define HELPER_MAX_RENEW (365 * 24 * 3600)
/* Makes principal with these limits; password NULL means random keys; policy may be NULL. */
krb5_error_code helper_create(Helper *h, krb5_principal principal, const char *password, const char *policy);

gboolean helper_fail(Helper *h, krb5_error_code code, const char *what, GError **error);
/* {first/second@realm} or {first@realm}; never NULL on success; free with krb5_free_principal. */
krb5_principal helper_principal(Helper *h, const char *first, const char *second, GError **error);
const char *helper_arg(JsonObject *args, const char *key, GError **error);
GStrv helper_arg_list(JsonObject *args, const char *key);

/* Keys on their way into a keytab (helper-keytab.c). */
typedef struct {
    krb5_principal principal;
    krb5_kvno kvno;
    guint32 stamp;
    krb5_keyblock key;
    krb5_context ctx;
} HelperKey;
GPtrArray *helper_keys_new(void);
void helper_keys_add(Helper *h, GPtrArray *keys, krb5_const_principal principal, krb5_kvno kvno, guint32 stamp,
                     const krb5_keyblock *key);
/* Highest kvno of principal among keys, 0 when there is none. */
krb5_kvno helper_keys_newest(Helper *h, GPtrArray *keys, krb5_const_principal principal);
gboolean helper_keys_from_db(Helper *h, GPtrArray *keys, krb5_principal principal, GError **error);
/* A missing file gives no keys and no error. */
gboolean helper_keys_from_file(Helper *h, GPtrArray *keys, const char *path, GError **error);
/* Gives the database keys first.. of keys, all of principal, beside those it has (helper-kdb.c). */
gboolean helper_keys_append(Helper *h, krb5_principal principal, GPtrArray *keys, guint first, GError **error);
/* The keytab file's bytes; caller wipes and frees with helper_bytes_free(). */
GByteArray *helper_keys_serialize(GPtrArray *keys);
gboolean helper_keys_write(GPtrArray *keys, const char *path, gboolean *changed, GError **error);
void helper_bytes_free(GByteArray *bytes);

/* When a key came into use: kept with the principal, because the database keeps no date per key. */
guint32 helper_stamp_get(Helper *h, krb5_principal principal, krb5_kvno kvno);
gboolean helper_stamp_set(Helper *h, krb5_principal principal, krb5_kvno kvno, guint32 stamp, GError **error);

gboolean helper_prepare(Helper *h, JsonObject *args, JsonObject *result, GError **error);
gboolean helper_user_add(Helper *h, JsonObject *args, JsonObject *result, GError **error);
gboolean helper_user_passwd(Helper *h, JsonObject *args, JsonObject *result, GError **error);
gboolean helper_user_remove(Helper *h, JsonObject *args, JsonObject *result, GError **error);
gboolean helper_user_disable(Helper *h, JsonObject *args, JsonObject *result, GError **error);
gboolean helper_user_enable(Helper *h, JsonObject *args, JsonObject *result, GError **error);
gboolean helper_user_list(Helper *h, JsonObject *args, JsonObject *result, GError **error);
gboolean helper_user_show(Helper *h, JsonObject *args, JsonObject *result, GError **error);
gboolean helper_host_add(Helper *h, JsonObject *args, JsonObject *result, GError **error);
gboolean helper_host_keytab(Helper *h, JsonObject *args, JsonObject *result, GError **error);
gboolean helper_host_remove(Helper *h, JsonObject *args, JsonObject *result, GError **error);
gboolean helper_host_list(Helper *h, JsonObject *args, JsonObject *result, GError **error);
gboolean helper_service_sync(Helper *h, JsonObject *args, JsonObject *result, GError **error);
gboolean helper_service_stage(Helper *h, JsonObject *args, JsonObject *result, GError **error);
gboolean helper_service_commit(Helper *h, JsonObject *args, JsonObject *result, GError **error);
gboolean helper_service_purge(Helper *h, JsonObject *args, JsonObject *result, GError **error);
