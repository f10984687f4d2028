/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Accounts of the host become users that the directory knows, before they log in and only when somebody asks for it.
 *
 * An import by names is done as a whole or not at all; one of all takes what can be taken and says what cannot. */
#include "identity/directory-private.h"

#include <lares/log.h>
#include <string.h>

/* Above are nobody, containers and what directory services hand out (Debian policy 9.2). */
#define LAST_UID 59999
/* Somebody who has more wants a range, or names. */
#define ACCOUNTS_MAX 100000

typedef struct {
    LaresDirectory *d;
    gint64 min, max;     /* of all */
    GPtrArray *imported; /* names */
    GPtrArray *known;
    GVariantBuilder refused; /* aa{sv} */
    GArray *entries;         /* of all: LaresNssEntry */
} Import;

/* Somebody else of the directory has the number, or had it. Several accounts of the host may share one. */
static gboolean
number_owner(LaresDirectory *d, uint32_t uid, const char *name, char **owner, GError **error)
{
    g_autoptr(GError) problem = NULL;
    sqlite3_stmt *q = lares_db_query(d->db, error,
                                     "SELECT name FROM users WHERE uid=?1 AND source<>'host' UNION ALL"
                                     " SELECT name FROM tombstones WHERE kind='u' AND id=?1",
                                     "i", (gint64)uid);
    if (!q)
        return FALSE;
    while (lares_db_next(d->db, q, &problem)) {
        const char *row = lares_db_text(q, 0);
        if (!*owner && !g_str_equal(row, name))
            *owner = g_strndup(row, strcspn(row, ":"));
    }
    if (!problem)
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&problem));
    return FALSE;
}

/* NULL: the account can be taken. FALSE: the directory cannot be asked. */
static gboolean
obstacle(LaresDirectory *d, const LaresNssEntry *entry, gboolean *known, char **why, GError **error)
{
    LaresUserCopy copy;
    g_autofree char *owner = NULL;
    *why = NULL;
    *known = lares_directory_copy_user(d, entry->name, &copy);
    if (*known && copy.source == LARES_USER_HOST)
        return TRUE;
    if (!number_owner(d, entry->id, entry->name, &owner, error))
        return FALSE;
    if (*known)
        *why = g_strdup_printf("the directory has another user of this name (%s, uid %u)",
                               lares_user_source_name(copy.source), copy.uid);
    else if (!lares_directory_check_name("user", entry->name, NULL))
        *why = g_strdup("the name cannot be a user's");
    else if (!lares_directory_host_uid_allowed(d, entry->id))
        *why = g_strdup_printf("a system account of the host (uid %u; host-uid-min in lares.conf)", entry->id);
    else if (owner)
        *why = g_strdup_printf("its uid %u is or was %s's in the directory", entry->id, owner);
    *known = FALSE;
    return TRUE;
}

static gboolean
take(Import *import, const LaresNssEntry *entry, gboolean strict, GError **error)
{
    gboolean known;
    g_autofree char *why = NULL;
    if (!obstacle(import->d, entry, &known, &why, error))
        return FALSE;
    if (why && strict) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_CONFLICT, "%s: %s; nothing was imported", entry->name, why);
        return FALSE;
    }
    if (why) {
        g_variant_builder_open(&import->refused, G_VARIANT_TYPE_VARDICT);
        g_variant_builder_add(&import->refused, "{sv}", "name", g_variant_new_string(entry->name));
        g_variant_builder_add(&import->refused, "{sv}", "reason", g_variant_new_string(why));
        g_variant_builder_close(&import->refused);
        return TRUE;
    }
    g_ptr_array_add(known ? import->known : import->imported, g_strdup(entry->name));
    return known || lares_directory_insert_host_user(import->d, entry, error);
}

static gboolean
take_named(Import *import, const char *const *names, GError **error)
{
    LaresNssEntry entry;
    for (; *names; names++) {
        LaresNssAnswer answer = lares_nss_user_by_name(import->d->nss, *names, &entry);
        if (answer == LARES_NSS_FOUND && g_str_equal(entry.name, *names)) {
            if (!take(import, &entry, TRUE, error))
                return FALSE;
            continue;
        }
        if (answer == LARES_NSS_ERROR)
            g_set_error(error, LARES_ERROR, LARES_ERROR_FAILED,
                        "%s: the host's name service does not answer; nothing was imported", *names);
        else
            g_set_error(error, LARES_ERROR, LARES_ERROR_NOT_FOUND,
                        "this host has no account \"%s\"; nothing was imported", *names);
        return FALSE;
    }
    return TRUE;
}

static gboolean
collect(const LaresNssEntry *entry, gpointer data)
{
    Import *import = data;
    if (entry->id >= import->min && entry->id <= import->max)
        g_array_append_vals(import->entries, entry, 1);
    return import->entries->len < ACCOUNTS_MAX;
}

/* The host is asked for all before the change begins: it may take its time. */
static gboolean
take_all(Import *import, GError **error)
{
    for (guint i = 0; i < import->entries->len; i++)
        if (!take(import, &g_array_index(import->entries, LaresNssEntry, i), FALSE, error))
            return FALSE;
    return TRUE;
}

static gboolean
read_args(Import *import, GVariant *args, const char *const *names, gboolean all, GError **error)
{
    const char *wrong = NULL;
    g_rw_lock_reader_lock(&import->d->lock);
    gboolean accounts = import->d->config->host_accounts;
    import->min = import->d->config->host_uid_min;
    import->max = LAST_UID;
    g_rw_lock_reader_unlock(&import->d->lock);
    gboolean range = g_variant_lookup(args, "uid-min", "x", &import->min);
    range |= g_variant_lookup(args, "uid-max", "x", &import->max);
    if (!accounts) {
        g_set_error_literal(error, LARES_ERROR, LARES_ERROR_CONFLICT,
                            "accounts of the host are switched off (host-accounts in [identity] of lares.conf)");
        return FALSE;
    }
    if (all == (names && *names))
        wrong = all ? "names, or all: not both" : "names of accounts, or all";
    else if (range && !all)
        wrong = "uid-min and uid-max belong to an import of all";
    else if (import->min < 0 || import->max < import->min || import->max >= UINT32_MAX)
        wrong = "uid-min and uid-max are no range";
    if (wrong)
        g_set_error_literal(error, LARES_ERROR, LARES_ERROR_INVALID, wrong);
    return !wrong;
}

static void
log_imported(const GPtrArray *imported)
{
    if (!imported->len)
        return;
    lares_info("identity", "%u accounts of this host are users of the directory now, %s%s", imported->len,
               (const char *)imported->pdata[0], imported->len > 1 ? " and others" : "");
}

static GVariant *
report(Import *import)
{
    GVariantDict answer;
    g_variant_dict_init(&answer, NULL);
    g_variant_dict_insert_value(
        &answer, "imported", g_variant_new_strv((const char *const *)import->imported->pdata, import->imported->len));
    g_variant_dict_insert_value(&answer, "known",
                                g_variant_new_strv((const char *const *)import->known->pdata, import->known->len));
    g_variant_dict_insert_value(&answer, "refused", g_variant_builder_end(&import->refused));
    return g_variant_dict_end(&answer);
}

GVariant *
lares_verb_user_import(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    g_autofree const char **names = NULL;
    gboolean all = FALSE;
    g_autoptr(GPtrArray) imported = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) known = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GArray) entries = g_array_new(FALSE, FALSE, sizeof(LaresNssEntry));
    Import import = {.d = user, .imported = imported, .known = known, .entries = entries};
    g_variant_lookup(args, "names", "^a&s", &names);
    g_variant_lookup(args, "all", "b", &all);
    if (!read_args(&import, args, names, all, error))
        return NULL;
    if (all && !lares_nss_each_user(import.d->nss, collect, &import)) {
        g_set_error_literal(error, LARES_ERROR, LARES_ERROR_FAILED, "the host does not list its accounts");
        return NULL;
    }
    if (!lares_directory_begin(import.d, error))
        return NULL;
    g_variant_builder_init(&import.refused, G_VARIANT_TYPE("aa{sv}"));
    gboolean ok = all ? take_all(&import, error) : take_named(&import, names, error);
    if (!lares_directory_end(import.d, ok, error)) {
        g_variant_builder_clear(&import.refused);
        return NULL;
    }
    log_imported(imported);
    return report(&import);
}
