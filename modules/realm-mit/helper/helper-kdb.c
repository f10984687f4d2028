/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Adds given keys to a principal and keeps those it has. kadm5_setkey_principal_4() promises that with
 * keepold, but MIT krb5 1.20 forgets to count the old keys and loses them, so this is done one layer
 * below, on the same open database.
 */
#include "helper.h"

#include <kdb.h>

#include <errno.h>
#include <stdlib.h>

/* Newest first, as the KDC takes the first key of a type; the order of types is the given one. */
static krb5_error_code
append(Helper *h, krb5_db_entry *entry, GPtrArray *keys, guint first)
{
    guint n = keys->len - first;
    krb5_keyblock *master = NULL;
    krb5_key_data *all;
    /* The master key its other keys are under, so that the entry's note of it stays true. */
    krb5_error_code code = krb5_dbe_find_mkey(h->ctx, entry, &master);

    if (code != 0)
        return code;
    all = calloc(n + (guint)entry->n_key_data, sizeof *all);
    if (!all)
        return ENOMEM;
    for (guint i = 0; i < n && code == 0; i++) {
        HelperKey *key = g_ptr_array_index(keys, first + i);
        code = krb5_dbe_encrypt_key_data(h->ctx, master, &key->key, NULL, (int)key->kvno, &all[i]);
    }
    if (code != 0) {
        for (guint i = 0; i < n; i++)
            krb5_dbe_free_key_data_contents(h->ctx, &all[i]);
        free(all);
        return code;
    }
    for (int i = 0; i < entry->n_key_data; i++)
        all[n + (guint)i] = entry->key_data[i];
    free(entry->key_data);
    entry->key_data = all;
    entry->n_key_data = (krb5_int16)(entry->n_key_data + (krb5_int16)n);
    return 0;
}

gboolean
helper_keys_append(Helper *h, krb5_principal principal, GPtrArray *keys, guint first, GError **error)
{
    krb5_db_entry *entry = NULL;
    krb5_timestamp now = 0;
    krb5_error_code code = krb5_db_get_principal(h->ctx, principal, 0, &entry);

    if (code == 0)
        code = append(h, entry, keys, first);
    if (code == 0)
        code = krb5_timeofday(h->ctx, &now);
    if (code == 0)
        code = krb5_dbe_update_last_pwd_change(h->ctx, entry, now);
    if (code == 0) {
        entry->mask = KADM5_KEY_DATA | KADM5_TL_DATA;
        code = krb5_db_put_principal(h->ctx, entry);
    }
    if (entry)
        krb5_db_free_principal(h->ctx, entry);
    return helper_fail(h, code, "new keys cannot be taken into use", error);
}
