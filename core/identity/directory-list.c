/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The directory's users and groups for protocols that list them. */
#include "identity/directory-private.h"

static void
account_free(gpointer data)
{
    LaresAccount *account = data;
    g_free(account->name);
    g_free(account->full_name);
    g_free(account);
}

static gint
by_id(gconstpointer a, gconstpointer b)
{
    const LaresAccount *x = *(LaresAccount *const *)a, *y = *(LaresAccount *const *)b;
    return x->id < y->id ? -1 : x->id > y->id;
}

static LaresAccount *
account_of(gpointer value, gboolean group)
{
    LaresAccount *account = g_new0(LaresAccount, 1);
    if (group) {
        const LaresGroup *from = value;
        account->name = g_strdup(from->name);
        account->full_name = g_strdup("");
        account->id = account->gid = from->gid;
    } else {
        const LaresUser *from = value;
        account->name = g_strdup(from->name);
        account->full_name = g_strdup(from->full_name ? from->full_name : "");
        account->id = from->uid;
        account->gid = from->gid;
        account->disabled = from->disabled;
    }
    return account;
}

GPtrArray *
lares_directory_accounts(LaresDirectory *d, gboolean groups)
{
    GPtrArray *all = g_ptr_array_new_with_free_func(account_free);
    GHashTableIter iter;
    gpointer value;
    g_rw_lock_reader_lock(&d->lock);
    g_hash_table_iter_init(&iter, groups ? d->tables.groups : d->tables.users);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        g_ptr_array_add(all, account_of(value, groups));
    g_rw_lock_reader_unlock(&d->lock);
    g_ptr_array_sort(all, by_id);
    return all;
}
