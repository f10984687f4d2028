/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shares as management sees them. */
#include "share/shares-private.h"

#include <lares/host.h>

static void
add_text(GVariantBuilder *b, const char *key, const char *value)
{
    g_variant_builder_add(b, "{sv}", key, g_variant_new_string(value));
}

static void
add_boolean(GVariantBuilder *b, const char *key, gboolean value)
{
    g_variant_builder_add(b, "{sv}", key, g_variant_new_boolean(value));
}

static void
add_strings(GVariantBuilder *b, const char *key, const char *const *value)
{
    g_variant_builder_add(b, "{sv}", key, g_variant_new_strv(value, -1));
}

static void
add_security(GVariantBuilder *b, const LaresShare *share)
{
    const char *usable[LARES_SHARE_MAX_FLAVORS + 1] = {NULL};
    for (guint i = 0; i < share->n_flavors; i++)
        usable[i] = share->flavor[i]->name;
    add_strings(b, "sec", (const char *const *)lares_share_full(share)->record->sec);
    add_strings(b, "usable-sec", usable);
    add_text(b, "squash", lares_squash_name(share->squash));
    g_variant_builder_add(b, "{sv}", "anonymous-uid", g_variant_new_int64(share->anonymous_uid));
    g_variant_builder_add(b, "{sv}", "anonymous-gid", g_variant_new_int64(share->anonymous_gid));
    add_strings(b, "hosts", share->hosts);
}

static void
add_warnings(GVariantBuilder *b, GPtrArray *warnings)
{
    if (warnings && warnings->len)
        g_variant_builder_add(b, "{sv}", "warnings",
                              g_variant_new_strv((const char *const *)warnings->pdata, warnings->len));
}

static GVariant *
share_variant(const LaresShare *share, gboolean security_only, GPtrArray *warnings)
{
    GVariantBuilder b;
    g_variant_builder_init(&b, G_VARIANT_TYPE_VARDICT);
    add_text(&b, "name", share->name);
    if (!security_only) {
        g_variant_builder_add(&b, "{sv}", "id", g_variant_new_int64(share->id));
        add_text(&b, "path", share->path);
        add_text(&b, "pseudo", share->pseudo);
        add_text(&b, "store", share->store_type);
        add_boolean(&b, "enabled", share->enabled);
        add_boolean(&b, "available", share->enabled && share->store != NULL);
        if (share->enabled && lares_share_full(share)->trouble)
            add_text(&b, "problem", lares_share_full(share)->trouble);
        add_boolean(&b, "read-only", share->read_only);
        add_boolean(&b, "sync-metadata", share->sync_metadata);
        add_boolean(&b, "access-based", (share->options & LARES_SHARE_ACCESS_BASED) != 0);
        add_boolean(&b, "smb-encrypt", (share->options & LARES_SHARE_SMB_ENCRYPT) != 0);
        add_boolean(&b, "smb-bypass-traverse", (share->options & LARES_SHARE_SMB_BYPASS_TRAVERSE) != 0);
        add_boolean(&b, "smb-short-names", (share->options & LARES_SHARE_SMB_SHORT_NAMES) != 0);
    }
    add_security(&b, share);
    add_warnings(&b, warnings);
    return g_variant_builder_end(&b);
}

static GVariant *
describe(LaresShares *shares, GVariant *args, gboolean security_only, GPtrArray *warnings, GError **error)
{
    const char *name = "";
    g_variant_lookup(args, "name", "&s", &name);
    g_autoptr(LaresShare) share = lares_shares_by_name(shares, name);
    if (share)
        return share_variant(share, security_only, warnings);
    g_set_error(error, LARES_ERROR, LARES_ERROR_NOT_FOUND, "there is no share \"%s\"", name);
    return NULL;
}

static GVariant *
share_list(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    GVariantBuilder list;
    g_autoptr(GPtrArray) shares = lares_shares_page(user, lares_control_wanted_page(host));
    g_variant_builder_init(&list, G_VARIANT_TYPE("aa{sv}"));
    for (guint i = 0; i < shares->len; i++)
        g_variant_builder_add_value(&list, share_variant(g_ptr_array_index(shares, i), FALSE, NULL));
    return g_variant_builder_end(&list);
}

static GVariant *
share_show(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    return describe(user, args, FALSE, NULL, error);
}

static GVariant *
share_create(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
    return lares_shares_create(user, args, warnings, error) ? describe(user, args, FALSE, warnings, error) : NULL;
}

static GVariant *
share_set(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
    return lares_shares_change(user, args, warnings, error) ? describe(user, args, FALSE, warnings, error) : NULL;
}

static GVariant *
share_remove(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    const char *name = "";
    g_variant_lookup(args, "name", "&s", &name);
    lares_shares_remove(user, name, error);
    return NULL;
}

static GVariant *
switch_share(LaresShares *shares, GVariant *args, gboolean on, GError **error)
{
    GVariantDict dict;
    g_variant_dict_init(&dict, args);
    g_variant_dict_insert(&dict, "enabled", "b", on);
    g_autoptr(GVariant) change = g_variant_ref_sink(g_variant_dict_end(&dict));
    lares_shares_change(shares, change, NULL, error);
    return NULL;
}

static GVariant *
share_enable(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    return switch_share(user, args, TRUE, error);
}

static GVariant *
share_disable(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    return switch_share(user, args, FALSE, error);
}

static GVariant *
security_show(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    return describe(user, args, TRUE, NULL, error);
}

static GVariant *
security_set(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
    return lares_shares_change(user, args, warnings, error) ? describe(user, args, TRUE, warnings, error) : NULL;
}

/* ---- The table ------------------------------------------------------------------------------------------------- */

#define NAME_PARAM                                                                                                     \
    {                                                                                                                  \
        "name", "s", TRUE, "the share's name"                                                                          \
    }
#define PLACE_PARAMS                                                                                                   \
    {"pseudo", "s", FALSE, "path in the NFS name space; /NAME by default"},                                            \
        {"store", "s", FALSE, "kind of store; posix by default"},                                                      \
        {"read-only", "b", FALSE, "nobody may change anything"}, {"enabled", "b", FALSE, "clients may use it"},        \
        {"sync-metadata", "b", FALSE, "directory changes reach the disk before they are answered"},                    \
        {"access-based", "b", FALSE, "SMB listings leave out what the caller may not read"},                           \
        {"smb-encrypt", "b", FALSE, "SMB clients must encrypt, whatever their login"},                                 \
        {"smb-bypass-traverse", "b", FALSE, "SMB clients pass folders that they may not search, as on Windows"},       \
    {                                                                                                                  \
        "smb-short-names", "b", FALSE, "SMB clients find long names by short ones (8.3), too"                          \
    }
#define SECURITY_PARAMS                                                                                                \
    {"sec", "as", FALSE, "the flavors that may be used, in order of preference"},                                      \
        {"squash", "s", FALSE, "whose rights are taken away: root, all or none"},                                      \
        {"anonymous-uid", "x", FALSE, "uid of those whose rights are taken away"},                                     \
        {"anonymous-gid", "x", FALSE, "gid of those whose rights are taken away"},                                     \
    {                                                                                                                  \
        "hosts", "as", FALSE, "addresses, networks and host names that may use it; empty: all"                         \
    }

static const LaresParam just_name[] = {NAME_PARAM, {NULL}};
static const LaresParam create_params[] = {
    NAME_PARAM, {"path", "s", TRUE, "the directory on this host"}, PLACE_PARAMS, SECURITY_PARAMS, {NULL}};
static const LaresParam set_params[] = {
    NAME_PARAM, {"path", "s", FALSE, "the directory on this host"}, PLACE_PARAMS, SECURITY_PARAMS, {NULL}};
static const LaresParam security_params[] = {NAME_PARAM, SECURITY_PARAMS, {NULL}};

const LaresVerb lares_shares_verbs[] = {
    {"share.list", LARES_RIGHT_READ, "List the shares", NULL, share_list},
    {"share.show", LARES_RIGHT_READ, "Show one share", just_name, share_show},
    {"share.create", LARES_RIGHT_ADMIN, "Share a directory", create_params, share_create},
    {"share.set", LARES_RIGHT_ADMIN, "Change a share", set_params, share_set},
    {"share.remove", LARES_RIGHT_ADMIN, "Stop sharing a directory; its files stay", just_name, share_remove},
    {"share.enable", LARES_RIGHT_ADMIN, "Let clients use a share again", just_name, share_enable},
    {"share.disable", LARES_RIGHT_ADMIN, "Refuse a share to all clients from now on", just_name, share_disable},
    {"share.security.show", LARES_RIGHT_READ, "Show who may use a share, and how", just_name, security_show},
    {"share.security.set", LARES_RIGHT_ADMIN, "Change who may use a share, and how; true at once", security_params,
     security_set},
    {NULL}};

LaresShares *
lares_shares_new(LaresHost *host, GError **error)
{
    g_autofree char *file = g_build_filename(lares_host_state_dir(host), "lares.db", NULL);
    g_autoptr(LaresShares) shares = lares_shares_open(file, host, error);
    LaresControl *control = lares_host_control(host);
    if (!shares || (control && (!lares_control_add(control, lares_shares_verbs, shares, error) ||
                                !lares_doctor_add(control, lares_shares_checks, shares, error))))
        return NULL;
    return g_steal_pointer(&shares);
}
