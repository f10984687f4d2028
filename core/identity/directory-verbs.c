/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Users, groups and mappings as management sees them. */
#include "identity/directory-private.h"

#include <string.h>

static const char *
text_arg(GVariant *args, const char *name)
{
    const char *text = NULL;
    return g_variant_lookup(args, name, "&s", &text) ? text : NULL;
}

static gint64
number_arg(GVariant *args, const char *name)
{
    gint64 number = -1;
    return g_variant_lookup(args, name, "x", &number) ? number : -1;
}

static void
add_text(GVariantBuilder *b, const char *key, const char *value)
{
    g_variant_builder_add(b, "{sv}", key, g_variant_new_string(value));
}

static int
compare_text(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The keys of a table, sorted; borrowed. */
static GPtrArray *
sorted_keys(GHashTable *table)
{
    GHashTableIter iter;
    gpointer key;
    GPtrArray *keys = g_ptr_array_new();
    g_hash_table_iter_init(&iter, table);
    while (g_hash_table_iter_next(&iter, &key, NULL))
        g_ptr_array_add(keys, key);
    g_ptr_array_sort(keys, compare_text);
    return keys;
}

static GVariant *
strings_variant(GPtrArray *strings)
{
    return g_variant_new_strv((const char *const *)strings->pdata, strings->len);
}

/* With the lock held. */
static GVariant *
user_variant(LaresDirectory *d, const LaresUser *user)
{
    GVariantBuilder b;
    GHashTableIter iter;
    gpointer value;
    g_autoptr(GPtrArray) groups = g_ptr_array_new();
    g_hash_table_iter_init(&iter, d->tables.groups);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        LaresGroup *group = value;
        if (g_hash_table_contains(group->members, user->name))
            g_ptr_array_add(groups, group->name);
    }
    g_ptr_array_sort(groups, compare_text);
    g_variant_builder_init(&b, G_VARIANT_TYPE_VARDICT);
    add_text(&b, "name", user->name);
    g_variant_builder_add(&b, "{sv}", "uid", g_variant_new_int64(user->uid));
    g_variant_builder_add(&b, "{sv}", "gid", g_variant_new_int64(user->gid));
    add_text(&b, "source", lares_user_source_name(user->source));
    g_variant_builder_add(&b, "{sv}", "disabled", g_variant_new_boolean(user->disabled));
    add_text(&b, "full-name", user->full_name);
    add_text(&b, "principal", user->principal);
    g_variant_builder_add(&b, "{sv}", "created", g_variant_new_int64(user->created));
    g_variant_builder_add(&b, "{sv}", "groups", strings_variant(groups));
    return g_variant_builder_end(&b);
}

static GVariant *
user_list(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    LaresDirectory *d = user;
    GVariantBuilder list;
    g_variant_builder_init(&list, G_VARIANT_TYPE("aa{sv}"));
    g_rw_lock_reader_lock(&d->lock);
    g_autoptr(GPtrArray) names = sorted_keys(d->tables.users);
    for (guint i = 0; i < names->len; i++)
        g_variant_builder_add_value(&list,
                                    user_variant(d, g_hash_table_lookup(d->tables.users, g_ptr_array_index(names, i))));
    g_rw_lock_reader_unlock(&d->lock);
    return g_variant_builder_end(&list);
}

static GVariant *
show_user(LaresDirectory *d, const char *name, GError **error)
{
    g_rw_lock_reader_lock(&d->lock);
    const LaresUser *found = g_hash_table_lookup(d->tables.users, name);
    GVariant *variant = found ? user_variant(d, found) : NULL;
    g_rw_lock_reader_unlock(&d->lock);
    if (!variant)
        g_set_error(error, LARES_ERROR, LARES_ERROR_NOT_FOUND, "\"%s\" is not in the directory", name);
    return variant;
}

static GVariant *
user_show(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    return show_user(user, text_arg(args, "name"), error);
}

static GVariant *
user_add(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    LaresUserValues values = {text_arg(args, "name"), number_arg(args, "uid"), number_arg(args, "gid"),
                              text_arg(args, "full-name")};
    return lares_directory_user_add(user, &values, error) ? show_user(user, values.name, error) : NULL;
}

static GVariant *
user_set(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    LaresUserValues values = {text_arg(args, "name"), number_arg(args, "uid"), number_arg(args, "gid"),
                              text_arg(args, "full-name")};
    return lares_directory_user_set(user, &values, error) ? show_user(user, values.name, error) : NULL;
}

static GVariant *
user_disable(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    lares_directory_user_disable(user, text_arg(args, "name"), TRUE, error);
    return NULL;
}

static GVariant *
user_enable(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    lares_directory_user_disable(user, text_arg(args, "name"), FALSE, error);
    return NULL;
}

static GVariant *
user_delete(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    lares_directory_user_delete(user, text_arg(args, "name"), error);
    return NULL;
}

/* ---- Groups ---------------------------------------------------------------------------------------------------- */

/* With the lock held. */
static GVariant *
group_variant(const LaresGroup *group)
{
    GVariantBuilder b;
    g_autoptr(GPtrArray) members = sorted_keys(group->members);
    g_variant_builder_init(&b, G_VARIANT_TYPE_VARDICT);
    add_text(&b, "name", group->name);
    g_variant_builder_add(&b, "{sv}", "gid", g_variant_new_int64(group->gid));
    g_variant_builder_add(&b, "{sv}", "members", strings_variant(members));
    return g_variant_builder_end(&b);
}

static GVariant *
group_list(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    LaresDirectory *d = user;
    GVariantBuilder list;
    g_variant_builder_init(&list, G_VARIANT_TYPE("aa{sv}"));
    g_rw_lock_reader_lock(&d->lock);
    g_autoptr(GPtrArray) names = sorted_keys(d->tables.groups);
    for (guint i = 0; i < names->len; i++)
        g_variant_builder_add_value(&list, group_variant(g_hash_table_lookup(d->tables.groups, names->pdata[i])));
    g_rw_lock_reader_unlock(&d->lock);
    return g_variant_builder_end(&list);
}

static GVariant *
group_show(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    LaresDirectory *d = user;
    const char *name = text_arg(args, "name");
    g_rw_lock_reader_lock(&d->lock);
    const LaresGroup *found = g_hash_table_lookup(d->tables.groups, name);
    GVariant *variant = found ? group_variant(found) : NULL;
    g_rw_lock_reader_unlock(&d->lock);
    if (!variant)
        g_set_error(error, LARES_ERROR, LARES_ERROR_NOT_FOUND, "there is no group \"%s\"", name);
    return variant;
}

static GVariant *
group_add(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    lares_directory_group_add(user, text_arg(args, "name"), number_arg(args, "gid"), error);
    return NULL;
}

static GVariant *
group_delete(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    lares_directory_group_delete(user, text_arg(args, "name"), error);
    return NULL;
}

static GVariant *
group_add_member(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    lares_directory_group_member(user, text_arg(args, "name"), text_arg(args, "member"), TRUE, error);
    return NULL;
}

static GVariant *
group_remove_member(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    lares_directory_group_member(user, text_arg(args, "name"), text_arg(args, "member"), FALSE, error);
    return NULL;
}

/* ---- Mappings -------------------------------------------------------------------------------------------------- */

static GVariant *
mapping_list(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    LaresDirectory *d = user;
    GVariantBuilder list;
    g_variant_builder_init(&list, G_VARIANT_TYPE("aa{sv}"));
    g_rw_lock_reader_lock(&d->lock);
    g_autoptr(GPtrArray) patterns = sorted_keys(d->tables.mappings);
    for (guint i = 0; i < patterns->len; i++) {
        GVariantBuilder b;
        const LaresMapping *mapping = g_hash_table_lookup(d->tables.mappings, g_ptr_array_index(patterns, i));
        g_variant_builder_init(&b, G_VARIANT_TYPE_VARDICT);
        add_text(&b, "principal", mapping->pattern);
        add_text(&b, "user", mapping->user);
        g_variant_builder_add_value(&list, g_variant_builder_end(&b));
    }
    g_rw_lock_reader_unlock(&d->lock);
    return g_variant_builder_end(&list);
}

static GVariant *
mapping_set(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    lares_directory_mapping_set(user, text_arg(args, "principal"), text_arg(args, "user"), error);
    return NULL;
}

static GVariant *
mapping_delete(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    lares_directory_mapping_delete(user, text_arg(args, "principal"), error);
    return NULL;
}

/* ---- The table ------------------------------------------------------------------------------------------------- */

static const LaresParam just_user[] = {{"name", "s", TRUE, "the user's name"}, {NULL}};
static const LaresParam user_values[] = {{"name", "s", TRUE, "the user's name"},
                                         {"uid", "x", FALSE, "number of the user; chosen when left out"},
                                         {"gid", "x", FALSE, "primary group; the default group when left out"},
                                         {"full-name", "s", FALSE, "name in full"},
                                         {NULL}};
static const LaresParam just_group[] = {{"name", "s", TRUE, "the group's name"}, {NULL}};
static const LaresParam group_values[] = {
    {"name", "s", TRUE, "the group's name"}, {"gid", "x", FALSE, "number of the group; chosen when left out"}, {NULL}};
static const LaresParam group_and_member[] = {
    {"name", "s", TRUE, "the group's name"}, {"member", "s", TRUE, "the user's name"}, {NULL}};
static const LaresParam just_principal[] = {{"principal", "s", TRUE, "the principal or pattern"}, {NULL}};
static const LaresParam mapping_values[] = {
    {"principal", "s", TRUE, "a principal, or a pattern with one '*' (*@PARTNER.ORG)"},
    {"user", "s", TRUE, "the user, or with one '*' what the pattern's '*' stood for"},
    {NULL}};

const LaresVerb lares_directory_verbs[] = {
    {"user.list", LARES_RIGHT_READ, "List the users of the directory", NULL, user_list},
    {"user.show", LARES_RIGHT_READ, "Show one user", just_user, user_show},
    {"user.add", LARES_RIGHT_ADMIN, "Add a user to the directory", user_values, user_add},
    {"user.set", LARES_RIGHT_ADMIN, "Change a user", user_values, user_set},
    {"user.disable", LARES_RIGHT_ADMIN, "Refuse a user from now on, also where they are logged in", just_user,
     user_disable},
    {"user.enable", LARES_RIGHT_ADMIN, "Let a disabled user in again", just_user, user_enable},
    {"user.delete", LARES_RIGHT_ADMIN, "Remove a user; a later login makes them anew with the same number", just_user,
     user_delete},
    {"group.list", LARES_RIGHT_READ, "List the groups of the directory", NULL, group_list},
    {"group.show", LARES_RIGHT_READ, "Show one group", just_group, group_show},
    {"group.add", LARES_RIGHT_ADMIN, "Add a group", group_values, group_add},
    {"group.delete", LARES_RIGHT_ADMIN, "Remove a group", just_group, group_delete},
    {"group.add-member", LARES_RIGHT_ADMIN, "Add a user to a group", group_and_member, group_add_member},
    {"group.remove-member", LARES_RIGHT_ADMIN, "Take a user out of a group", group_and_member, group_remove_member},
    {"mapping.list", LARES_RIGHT_READ, "List which principals are mapped to which users", NULL, mapping_list},
    {"mapping.set", LARES_RIGHT_ADMIN, "Map a principal (or a pattern of principals) to a user", mapping_values,
     mapping_set},
    {"mapping.delete", LARES_RIGHT_ADMIN, "Remove a mapping", just_principal, mapping_delete},
    {NULL}};
