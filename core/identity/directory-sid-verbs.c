/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The domains of Active Directory and their accounts as management sees them. */
#include "identity/directory-sid.h"

#include <string.h>

static void
add_text(GVariantBuilder *b, const char *key, const char *value)
{
    g_variant_builder_add(b, "{sv}", key, g_variant_new_string(value));
}

static void
add_sid(GVariantBuilder *b, const char *key, const LaresSid *sid)
{
    char text[LARES_SID_TEXT];
    lares_sid_print(sid, text, sizeof text);
    add_text(b, key, text);
}

static GVariant *
domain_list(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    GVariantBuilder list, b;
    g_autoptr(GPtrArray) all = lares_directory_domains(user);
    g_variant_builder_init(&list, G_VARIANT_TYPE("aa{sv}"));
    for (guint i = 0; i < all->len; i++) {
        const LaresDomain *domain = all->pdata[i];
        g_variant_builder_init(&b, G_VARIANT_TYPE_VARDICT);
        add_sid(&b, "sid", &domain->sid);
        add_text(&b, "realm", domain->realm);
        add_text(&b, "name", domain->name);
        g_variant_builder_add_value(&list, g_variant_builder_end(&b));
    }
    return g_variant_builder_end(&list);
}

static gint
by_sid(gconstpointer a, gconstpointer b)
{
    const LaresSid *x = &(*(LaresSidEntry *const *)a)->sid, *y = &(*(LaresSidEntry *const *)b)->sid;
    for (guint i = 0; i < MIN(x->n, y->n); i++)
        if (x->sub[i] != y->sub[i])
            return x->sub[i] < y->sub[i] ? -1 : 1;
    return (gint)x->n - y->n;
}

/* With the lock held. An account that is deleted has no number at the moment. */
static GVariant *
entry_variant(LaresDirectory *d, const LaresSidEntry *entry)
{
    GVariantBuilder b;
    const LaresGroup *group = lares_sid_group(&d->tables, &entry->sid);
    const LaresUser *user = entry->group ? NULL : g_hash_table_lookup(d->tables.users, entry->name);
    g_variant_builder_init(&b, G_VARIANT_TYPE_VARDICT);
    add_sid(&b, "sid", &entry->sid);
    add_text(&b, "kind", entry->group ? "group" : "user");
    add_text(&b, "name", entry->name);
    g_variant_builder_add(&b, "{sv}", "id",
                          g_variant_new_int64(group  ? (gint64)group->gid
                                              : user ? (gint64)user->uid
                                                     : -1));
    return g_variant_builder_end(&b);
}

static GVariant *
sid_list(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    LaresDirectory *d = user;
    GVariantBuilder list;
    GHashTableIter iter;
    gpointer value;
    g_autoptr(GPtrArray) all = g_ptr_array_new();
    g_variant_builder_init(&list, G_VARIANT_TYPE("aa{sv}"));
    g_rw_lock_reader_lock(&d->lock);
    g_hash_table_iter_init(&iter, d->tables.sids);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        g_ptr_array_add(all, value);
    g_ptr_array_sort(all, by_sid);
    for (guint i = 0; i < all->len; i++)
        g_variant_builder_add_value(&list, entry_variant(d, all->pdata[i]));
    g_rw_lock_reader_unlock(&d->lock);
    return g_variant_builder_end(&list);
}

static GVariant *
sid_name(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    const char *sid = NULL, *name = NULL;
    g_variant_lookup(args, "sid", "&s", &sid);
    g_variant_lookup(args, "name", "&s", &name);
    lares_sid_set_name(user, sid, name, error);
    return NULL;
}

static const LaresParam sid_and_name[] = {
    {"sid", "s", TRUE, "the group's SID"}, {"name", "s", TRUE, "its name in the domain"}, {NULL}};

const LaresVerb lares_domain_verbs[] = {
    {"domain.list", LARES_RIGHT_READ, "List the Active Directory domains whose users have logged in", NULL,
     domain_list},
    {"sid.list", LARES_RIGHT_READ, "List the users and groups of those domains with their SIDs", NULL, sid_list},
    {"sid.name", LARES_RIGHT_ADMIN, "Give a group of a domain its name", sid_and_name, sid_name},
    {NULL}};
