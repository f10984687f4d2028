/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pages of long lists: what a verb asks when it can make a part of its list, and the cut when it cannot.
 *
 * Thread: main. */
#include "control/control-private.h"

#include <lares/host.h>
#include <string.h>

LaresControlPage *
lares_control_wanted_page(LaresHost *host)
{
    LaresControl *control = host ? lares_host_control(host) : NULL;
    if (!control || !control->page)
        return NULL;
    control->page->taken = TRUE;
    return control->page;
}

gboolean
lares_control_page_has(LaresControlPage *page, const char *key)
{
    if (!page)
        return TRUE;
    page->total++;
    if (page->after && strcmp(key, page->after) <= 0)
        return FALSE;
    if (page->given == page->limit) {
        page->more = TRUE;
        return FALSE;
    }
    page->given++;
    return TRUE;
}

/* ---- The cut --------------------------------------------------------------------------------------------------- */

typedef struct {
    char *key;
    GVariant *value;
} Item;

static void
item_clear(gpointer data)
{
    Item *item = data;
    g_free(item->key);
    g_variant_unref(item->value);
}

static gint
by_key(gconstpointer a, gconstpointer b)
{
    return strcmp(((const Item *)a)->key, ((const Item *)b)->key);
}

static GArray *
sorted_items(GVariant *list, const char *key)
{
    GArray *items = g_array_sized_new(FALSE, FALSE, sizeof(Item), (guint)g_variant_n_children(list));
    GVariantIter iter;
    GVariant *value;
    g_array_set_clear_func(items, item_clear);
    g_variant_iter_init(&iter, list);
    while ((value = g_variant_iter_next_value(&iter))) {
        Item item = {NULL, value};
        if (!g_variant_lookup(value, key, "s", &item.key))
            item.key = g_strdup("");
        g_array_append_val(items, item);
    }
    g_array_sort(items, by_key);
    return items;
}

GVariant *
lares_control_cut(GVariant *list, LaresControlPage *page)
{
    g_autoptr(GVariant) all = g_variant_take_ref(list);
    if (!g_variant_is_of_type(all, G_VARIANT_TYPE("aa{sv}")))
        return g_steal_pointer(&all);
    GVariantBuilder cut;
    g_autoptr(GArray) items = sorted_items(all, page->key);
    g_variant_builder_init(&cut, G_VARIANT_TYPE("aa{sv}"));
    for (guint i = 0; i < items->len; i++) {
        const Item *item = &g_array_index(items, Item, i);
        if (lares_control_page_has(page, item->key))
            g_variant_builder_add_value(&cut, item->value);
    }
    return g_variant_builder_end(&cut);
}
