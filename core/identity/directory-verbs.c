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
    /* -1 is for what is left out; who says it is told that it is no number of anybody. */
    return g_variant_lookup(args, name, "x", &number) ? MAX(number, 0) : -1;
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

/* The names of the directory's groups that somebody is in. With the lock held; borrowed. */
static GPtrArray *
groups_of(LaresDirectory *d, const char *name)
{
    const GPtrArray *groups = g_hash_table_lookup(d->tables.memberships, name);
    GPtrArray *names = g_ptr_array_new();
    for (guint i = 0; groups && i < groups->len; i++)
        g_ptr_array_add(names, ((const LaresGroup *)groups->pdata[i])->name);
    return names;
}

/* ---- Lists ----------------------------------------------------------------------------------------------------- */

/* How one item of a table is told, and whether it is among those that are asked for. With the lock held. */
typedef GVariant *(*Tell)(LaresDirectory *d, gconstpointer item);
typedef gboolean (*Takes)(LaresDirectory *d, gconstpointer filter, gconstpointer item);

/* A page costs its own items. Only what a filter leaves has to be looked for, and counted, in the whole table. */
static GVariant *
list_of(LaresDirectory *d, GTree *table, LaresControlPage *page, Takes takes, gconstpointer filter, Tell tell)
{
    GVariantBuilder list;
    gboolean seek = page && page->after && !takes;
    GTreeNode *at = seek ? g_tree_upper_bound(table, page->after) : g_tree_node_first(table);
    g_variant_builder_init(&list, G_VARIANT_TYPE("aa{sv}"));
    for (; at; at = g_tree_node_next(at)) {
        gconstpointer item = g_tree_node_value(at);
        if (takes && !takes(d, filter, item))
            continue;
        if (lares_control_page_has(page, g_tree_node_key(at)))
            g_variant_builder_add_value(&list, tell(d, item));
        else if (page->more && !takes)
            break;
    }
    if (page && !takes)
        page->total = g_tree_nnodes(table);
    return g_variant_builder_end(&list);
}

/* With the lock held. */
static GVariant *
user_variant(LaresDirectory *d, const LaresUser *user, GPtrArray *groups)
{
    GVariantBuilder b;
    const LaresGroup *primary = g_hash_table_lookup(d->tables.by_gid, GUINT_TO_POINTER(user->gid));
    g_variant_builder_init(&b, G_VARIANT_TYPE_VARDICT);
    add_text(&b, "name", user->name);
    g_variant_builder_add(&b, "{sv}", "uid", g_variant_new_int64(user->uid));
    g_variant_builder_add(&b, "{sv}", "gid", g_variant_new_int64(user->gid));
    add_text(&b, "primary-group", primary ? primary->name : "");
    add_text(&b, "source", lares_user_source_name(user->source));
    g_variant_builder_add(&b, "{sv}", "disabled", g_variant_new_boolean(user->disabled));
    add_text(&b, "full-name", user->full_name);
    add_text(&b, "principal", user->principal);
    g_variant_builder_add(&b, "{sv}", "created", g_variant_new_int64(user->created));
    g_variant_builder_add(&b, "{sv}", "groups", strings_variant(groups));
    return g_variant_builder_end(&b);
}

/* What a list is narrowed to; NULL and -1: not by this. */
typedef struct {
    char *match; /* folded */
    const char *source, *group;
    int disabled;
} Filter;

static gboolean
filter_is_empty(const Filter *filter)
{
    return !filter->match && !filter->source && !filter->group && filter->disabled < 0;
}

static gboolean
filter_init(Filter *filter, GVariant *args, GError **error)
{
    gboolean disabled;
    const char *match = text_arg(args, "match");
    *filter = (Filter){.source = text_arg(args, "source"), .group = text_arg(args, "group"), .disabled = -1};
    if (g_variant_lookup(args, "disabled", "b", &disabled))
        filter->disabled = disabled;
    if (filter->source && !lares_user_source_is(filter->source)) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_INVALID, "source: \"%s\" is none of local, kerberos, host",
                    filter->source);
        return FALSE;
    }
    filter->match = match && *match ? g_utf8_casefold(match, -1) : NULL;
    return TRUE;
}

/* Is `part` (folded) somewhere in the text? */
static gboolean
has_part(const char *text, const char *part)
{
    g_autofree char *folded = g_utf8_casefold(text, -1);
    return strstr(folded, part) != NULL;
}

static gboolean
filter_takes(LaresDirectory *d, gconstpointer data, gconstpointer item)
{
    const Filter *filter = data;
    const LaresUser *user = item;
    const LaresGroup *group = filter->group ? g_hash_table_lookup(d->tables.groups, filter->group) : NULL;
    if (filter->source && !g_str_equal(filter->source, lares_user_source_name(user->source)))
        return FALSE;
    if (filter->disabled >= 0 && filter->disabled != user->disabled)
        return FALSE;
    if (group && user->gid != group->gid && !g_hash_table_contains(group->members, user->name))
        return FALSE;
    return !filter->match || has_part(user->name, filter->match) || has_part(user->full_name, filter->match);
}

static GVariant *
tell_user(LaresDirectory *d, gconstpointer item)
{
    const LaresUser *user = item;
    g_autoptr(GPtrArray) groups = groups_of(d, user->name);
    return user_variant(d, user, groups);
}

static GVariant *
user_list(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    LaresDirectory *d = user;
    Filter filter;
    if (!filter_init(&filter, args, error))
        return NULL;
    if (filter.group && !lares_directory_owns_group(d, filter.group)) {
        g_free(filter.match);
        g_set_error(error, LARES_ERROR, LARES_ERROR_NOT_FOUND, "there is no group \"%s\"", filter.group);
        return NULL;
    }
    g_rw_lock_reader_lock(&d->lock);
    GVariant *list = list_of(d, d->tables.users_sorted, lares_control_wanted_page(host),
                             filter_is_empty(&filter) ? NULL : filter_takes, &filter, tell_user);
    g_rw_lock_reader_unlock(&d->lock);
    g_free(filter.match);
    return list;
}

/* The groups that the host says an account is in, behind those of the directory. */
static void
add_host_groups(LaresDirectory *d, const LaresUserCopy *user, GPtrArray *names)
{
    g_autoptr(GArray) gids = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    lares_nss_groups_of(d->nss, user->name, user->gid, gids);
    for (guint i = 0; i < gids->len; i++) {
        g_autofree char *name = lares_directory_group_label(d, g_array_index(gids, uint32_t, i));
        if (!g_ptr_array_find_with_equal_func(names, name, g_str_equal, NULL))
            g_ptr_array_add(names, g_steal_pointer(&name));
    }
}

GVariant *
lares_directory_show_user(LaresDirectory *d, const char *name, GError **error)
{
    LaresUserCopy copy;
    GVariant *variant = NULL;
    g_autoptr(GPtrArray) groups = g_ptr_array_new_with_free_func(g_free);
    g_rw_lock_reader_lock(&d->lock);
    g_autoptr(GPtrArray) own = groups_of(d, name);
    for (guint i = 0; i < own->len; i++)
        g_ptr_array_add(groups, g_strdup(own->pdata[i]));
    g_rw_lock_reader_unlock(&d->lock);
    /* Not under the lock: the host may take its time. */
    if (lares_directory_copy_user(d, name, &copy) && copy.source == LARES_USER_HOST)
        add_host_groups(d, &copy, groups);
    g_rw_lock_reader_lock(&d->lock);
    const LaresUser *found = g_hash_table_lookup(d->tables.users, name);
    if (found)
        variant = user_variant(d, found, groups);
    g_rw_lock_reader_unlock(&d->lock);
    if (!variant)
        g_set_error(error, LARES_ERROR, LARES_ERROR_NOT_FOUND, "\"%s\" is not in the directory", name);
    return variant;
}

static GVariant *
user_show(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    return lares_directory_show_user(user, text_arg(args, "name"), error);
}

static GVariant *
user_set(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    LaresUserValues values = {text_arg(args, "name"), number_arg(args, "uid"), number_arg(args, "gid"),
                              text_arg(args, "full-name")};
    return lares_directory_user_set(user, &values, error) ? lares_directory_show_user(user, values.name, error) : NULL;
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

typedef struct {
    const char *part /* folded */, *member;
} GroupFilter;

static gboolean
group_filter_takes(LaresDirectory *d, gconstpointer data, gconstpointer item)
{
    const GroupFilter *filter = data;
    const LaresGroup *group = item;
    return (!filter->part || has_part(group->name, filter->part)) &&
           (!filter->member || g_hash_table_contains(group->members, filter->member));
}

static GVariant *
tell_group(LaresDirectory *d, gconstpointer item)
{
    return group_variant(item);
}

static GVariant *
group_list(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    LaresDirectory *d = user;
    const char *match = text_arg(args, "match");
    g_autofree char *part = match && *match ? g_utf8_casefold(match, -1) : NULL;
    GroupFilter filter = {part, text_arg(args, "member")};
    g_rw_lock_reader_lock(&d->lock);
    GVariant *list = list_of(d, d->tables.groups_sorted, lares_control_wanted_page(host),
                             filter.part || filter.member ? group_filter_takes : NULL, &filter, tell_group);
    g_rw_lock_reader_unlock(&d->lock);
    return list;
}

static GVariant *
show_group(LaresDirectory *d, const char *name, GError **error)
{
    g_rw_lock_reader_lock(&d->lock);
    const LaresGroup *found = g_hash_table_lookup(d->tables.groups, name);
    GVariant *variant = found ? group_variant(found) : NULL;
    g_rw_lock_reader_unlock(&d->lock);
    if (!variant)
        g_set_error(error, LARES_ERROR, LARES_ERROR_NOT_FOUND, "there is no group \"%s\"", name);
    return variant;
}

static GVariant *
group_show(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    return show_group(user, text_arg(args, "name"), error);
}

static GVariant *
group_set(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    const char *name = text_arg(args, "name"), *new_name = text_arg(args, "new-name");
    if (!lares_directory_group_set(user, name, new_name, number_arg(args, "gid"), error))
        return NULL;
    return show_group(user, new_name ? new_name : name, error);
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
tell_mapping(LaresDirectory *d, gconstpointer item)
{
    const LaresMapping *mapping = item;
    GVariantBuilder b;
    g_variant_builder_init(&b, G_VARIANT_TYPE_VARDICT);
    add_text(&b, "principal", mapping->pattern);
    add_text(&b, "user", mapping->user);
    return g_variant_builder_end(&b);
}

static GVariant *
mapping_list(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    LaresDirectory *d = user;
    g_rw_lock_reader_lock(&d->lock);
    GVariant *list = list_of(d, d->tables.mappings_sorted, lares_control_wanted_page(host), NULL, NULL, tell_mapping);
    g_rw_lock_reader_unlock(&d->lock);
    return list;
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
static const LaresParam new_user[] = {
    {"name", "s", TRUE, "the user's name"},
    {"uid", "x", FALSE, "number of the user; chosen when left out"},
    {"gid", "x", FALSE, "primary group; the default group when left out"},
    {"full-name", "s", FALSE, "name in full"},
    {"password", "s", FALSE, "a password: the user becomes a principal of this server's own realm, too; never logged"},
    {NULL}};
static const LaresParam user_filter[] = {{"match", "s", FALSE, "only users with this in their name or full name"},
                                         {"source", "s", FALSE, "only users from here: local, kerberos or host"},
                                         {"disabled", "b", FALSE, "only those that are disabled, or that are not"},
                                         {"group", "s", FALSE, "only users of this group"},
                                         {NULL}};
static const LaresParam user_password[] = {
    {"name", "s", TRUE, "the user's name"}, {"password", "s", TRUE, "the new password; never logged"}, {NULL}};
static const LaresParam user_removal[] = {
    {"name", "s", TRUE, "the user's name"},
    {"with-principal", "b", FALSE, "remove the user from this server's own realm, too"},
    {NULL}};
static const LaresParam import_values[] = {{"names", "as", FALSE, "accounts of the host"},
                                           {"all", "b", FALSE, "all accounts of the host within a range of uids"},
                                           {"uid-min", "x", FALSE, "first uid of all; host-uid-min when left out"},
                                           {"uid-max", "x", FALSE, "last uid of all; 59999 when left out"},
                                           {NULL}};
static const LaresParam group_filter[] = {{"match", "s", FALSE, "only groups with this in their name"},
                                          {"member", "s", FALSE, "only groups that have this member"},
                                          {NULL}};
static const LaresParam group_changes[] = {{"name", "s", TRUE, "the group's name"},
                                           {"new-name", "s", FALSE, "the name it gets"},
                                           {"gid", "x", FALSE, "the number it gets"},
                                           {NULL}};
static const LaresParam just_group[] = {{"name", "s", TRUE, "the group's name"}, {NULL}};
static const LaresParam group_values[] = {
    {"name", "s", TRUE, "the group's name"}, {"gid", "x", FALSE, "number of the group; chosen when left out"}, {NULL}};
static const LaresParam group_and_member[] = {
    {"name", "s", TRUE, "the group's name"}, {"member", "s", TRUE, "the user's name"}, {NULL}};
static const LaresParam just_principal[] = {{"principal", "s", TRUE, "the principal or pattern"}, {NULL}};
static const LaresParam test_principal[] = {{"principal", "s", TRUE, "a principal, like ada@HOME.LAN"}, {NULL}};
static const LaresParam mapping_values[] = {
    {"principal", "s", TRUE, "a principal, or a pattern with one '*' (*@PARTNER.ORG)"},
    {"user", "s", TRUE, "the user, or with one '*' what the pattern's '*' stood for"},
    {NULL}};

const LaresVerb lares_directory_verbs[] = {
    {"user.list", LARES_RIGHT_READ, "List the users of the directory", user_filter, user_list},
    {"user.show", LARES_RIGHT_READ, "Show one user", just_user, user_show},
    {"user.add", LARES_RIGHT_ADMIN, "Add a user, with a password also to this server's own realm", new_user,
     lares_verb_user_add},
    {"user.passwd", LARES_RIGHT_ADMIN, "Set a user's password in this server's own realm", user_password,
     lares_verb_user_passwd},
    {"user.import", LARES_RIGHT_ADMIN, "Make accounts of the host known as users before they log in", import_values,
     lares_verb_user_import},
    {"user.set", LARES_RIGHT_ADMIN, "Change a user", user_values, user_set},
    {"user.disable", LARES_RIGHT_ADMIN,
     "Refuse a user from now on, also where they are logged in, and give no more tickets", just_user,
     lares_verb_user_disable},
    {"user.enable", LARES_RIGHT_ADMIN, "Let a disabled user in again", just_user, lares_verb_user_enable},
    {"user.delete", LARES_RIGHT_ADMIN, "Remove a user; a later login makes them anew with the same number",
     user_removal, lares_verb_user_delete},
    {"group.list", LARES_RIGHT_READ, "List the groups of the directory", group_filter, group_list},
    {"group.show", LARES_RIGHT_READ, "Show one group", just_group, group_show},
    {"group.add", LARES_RIGHT_ADMIN, "Add a group", group_values, group_add},
    {"group.set", LARES_RIGHT_ADMIN, "Change a group's name or number", group_changes, group_set},
    {"group.delete", LARES_RIGHT_ADMIN, "Remove a group", just_group, group_delete},
    {"group.add-member", LARES_RIGHT_ADMIN, "Add a user to a group", group_and_member, group_add_member},
    {"group.remove-member", LARES_RIGHT_ADMIN, "Take a user out of a group", group_and_member, group_remove_member},
    {"mapping.list", LARES_RIGHT_READ, "List which principals are mapped to which users", NULL, mapping_list},
    {"mapping.set", LARES_RIGHT_ADMIN, "Map a principal (or a pattern of principals) to a user", mapping_values,
     mapping_set},
    {"mapping.test", LARES_RIGHT_READ, "Tell who a principal is here, and why", test_principal,
     lares_verb_mapping_test},
    {"mapping.delete", LARES_RIGHT_ADMIN, "Remove a mapping", just_principal, mapping_delete},
    {NULL}};
