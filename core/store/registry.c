/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The store types that modules have registered. */
#include "store/registry.h"

#include <string.h>

static GMutex lock;
static GHashTable *types; /* char* → LaresStoreOpenFunc */

gboolean
lares_store_registry_add(const char *type, LaresStoreOpenFunc open, GError **error)
{
    if (!type || !*type || !open) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_MODULE, "a store type needs a name and an open function");
        return FALSE;
    }
    g_mutex_lock(&lock);
    if (!types)
        types = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    gboolean taken = g_hash_table_contains(types, type);
    if (!taken)
        g_hash_table_insert(types, g_strdup(type), (gpointer)open);
    g_mutex_unlock(&lock);
    if (taken)
        g_set_error(error, LARES_ERROR, LARES_ERROR_EXISTS, "store type \"%s\" is registered already", type);
    return !taken;
}

LaresStoreOpenFunc
lares_store_registry_find(const char *type)
{
    g_mutex_lock(&lock);
    LaresStoreOpenFunc open = types && type ? (LaresStoreOpenFunc)g_hash_table_lookup(types, type) : NULL;
    g_mutex_unlock(&lock);
    return open;
}

static int
compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char **
lares_store_registry_list(void)
{
    g_mutex_lock(&lock);
    guint n = 0;
    const char **names = types ? (const char **)g_hash_table_get_keys_as_array(types, &n) : g_new0(const char *, 1);
    g_mutex_unlock(&lock);
    if (n > 1)
        qsort(names, n, sizeof *names, compare_names);
    return names;
}
