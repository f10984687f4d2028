/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who a principal is, and why: the ladder of directory-resolve.c, only asked about (the verb mapping.test). */
#include "identity/directory-private.h"

#include <string.h>

#define PRINCIPAL_MAX 1024

static const char *
rule_words(const LaresLadder *ladder)
{
    static const struct {
        const char *rule, *words;
    } table[] = {{"mapping", "mapped by name"},
                 {"pattern", "mapped by a pattern"},
                 {"machine", "a machine"},
                 {"name", "the user of the same name"},
                 {"foreign", "of another realm: only a user of the full name"}};
    for (guint i = 0; ladder->rule && i < G_N_ELEMENTS(table); i++)
        if (g_str_equal(table[i].rule, ladder->rule))
            return table[i].words;
    return "not a usable principal";
}

char *
lares_directory_group_label(LaresDirectory *d, uint32_t gid)
{
    LaresNssEntry entry;
    g_rw_lock_reader_lock(&d->lock);
    const LaresGroup *found = g_hash_table_lookup(d->tables.by_gid, GUINT_TO_POINTER(gid));
    char *name = found ? g_strdup(found->name) : NULL;
    g_rw_lock_reader_unlock(&d->lock);
    if (!name && lares_nss_group_by_gid(d->nss, gid, &entry) == LARES_NSS_FOUND)
        name = g_strdup(entry.name);
    return name ? name : g_strdup_printf("%u", gid);
}

static void
add(GVariantBuilder *b, const char *key, GVariant *value)
{
    g_variant_builder_add(b, "{sv}", key, value);
}

/* What the identity is: its numbers, and the groups by name, the primary one first. */
static void
add_identity(LaresDirectory *d, const LaresIdentity *identity, const LaresLadder *ladder, GVariantBuilder *b)
{
    g_autoptr(GPtrArray) groups = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(groups, lares_directory_group_label(d, identity->gid));
    for (uint32_t i = 0; i < identity->n_groups; i++)
        g_ptr_array_add(groups, lares_directory_group_label(d, identity->groups[i]));
    add(b, "user", g_variant_new_string(identity->name));
    add(b, "uid", g_variant_new_int64(identity->uid));
    add(b, "gid", g_variant_new_int64(identity->gid));
    add(b, "groups", g_variant_new_strv((const char *const *)groups->pdata, groups->len));
    if (ladder->source)
        add(b, "source", g_variant_new_string(ladder->source));
    add(b, "new", g_variant_new_boolean(ladder->is_new));
    add(b, "machine", g_variant_new_boolean(identity->machine));
}

GVariant *
lares_verb_mapping_test(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user,
                        GError **error)
{
    LaresDirectory *d = user;
    GVariantBuilder b;
    const char *principal = "";
    g_auto(LaresLadder) ladder = {0};
    g_autoptr(LaresIdentity) identity = NULL;
    g_variant_lookup(args, "principal", "&s", &principal);
    if (!*principal || strlen(principal) > PRINCIPAL_MAX) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_INVALID, "principal: 1 to %d letters, like ada@HOME.LAN",
                    PRINCIPAL_MAX);
        return NULL;
    }
    lares_directory_explain(d, principal, &ladder, &identity);
    g_variant_builder_init(&b, G_VARIANT_TYPE_VARDICT);
    add(&b, "principal", g_variant_new_string(principal));
    add(&b, "verdict", g_variant_new_string(identity ? "accepted" : "refused"));
    if (ladder.reason)
        add(&b, "reason", g_variant_new_string(ladder.reason));
    add(&b, "rule", g_variant_new_string(ladder.rule ? ladder.rule : "none"));
    add(&b, "because", g_variant_new_string(rule_words(&ladder)));
    if (ladder.pattern)
        add(&b, "mapping", g_variant_new_string(ladder.pattern));
    if (identity)
        add_identity(d, identity, &ladder, &b);
    else if (ladder.name)
        add(&b, "user", g_variant_new_string(ladder.name));
    return g_variant_builder_end(&b);
}
