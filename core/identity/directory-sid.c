/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The tables of SIDs and domains, and looking into them. See directory-sid.h. */
#include "identity/directory-sid.h"

#include <string.h>

/* ---- Tables ---------------------------------------------------------------------------------------------------- */

static guint
sid_hash(gconstpointer key)
{
    const LaresSid *sid = key;
    guint hash = (guint)sid->authority;
    for (guint i = 0; i < sid->n; i++)
        hash = hash * 31 + sid->sub[i];
    return hash;
}

static gboolean
sid_equal(gconstpointer a, gconstpointer b)
{
    return lares_sid_equal(a, b);
}

static void
sid_free(gpointer data)
{
    LaresSidEntry *entry = data;
    g_free(entry->name);
    g_free(entry);
}

static void
domain_free(gpointer data)
{
    LaresDomainEntry *domain = data;
    g_free(domain->realm);
    g_free(domain->name);
    g_free(domain);
}

LaresSidEntry *
lares_sid_entry_new(const LaresSid *sid, gboolean group, const char *name)
{
    LaresSidEntry *entry = g_new0(LaresSidEntry, 1);
    *entry = (LaresSidEntry){*sid, group, g_strdup(name)};
    return entry;
}

LaresDomainEntry *
lares_domain_entry_new(const LaresSid *sid, const char *realm, const char *name)
{
    LaresDomainEntry *domain = g_new0(LaresDomainEntry, 1);
    *domain = (LaresDomainEntry){*sid, g_strdup(realm), g_strdup(name)};
    return domain;
}

void
lares_sid_tables_init(LaresTables *t)
{
    t->sids = g_hash_table_new_full(sid_hash, sid_equal, NULL, sid_free);
    t->user_sids = g_hash_table_new(g_str_hash, g_str_equal);
    t->group_sids = g_hash_table_new(g_str_hash, g_str_equal);
    t->sid_names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_ptr_array_unref);
    t->domains = g_hash_table_new_full(sid_hash, sid_equal, NULL, domain_free);
}

void
lares_sid_tables_clear(LaresTables *t)
{
    g_hash_table_unref(t->user_sids);
    g_hash_table_unref(t->group_sids);
    g_hash_table_unref(t->sid_names);
    g_hash_table_unref(t->sids);
    g_hash_table_unref(t->domains);
}

static void
index_name(LaresTables *t, LaresSidEntry *entry)
{
    char *key = g_ascii_strdown(entry->name, -1);
    GPtrArray *entries = g_hash_table_lookup(t->sid_names, key);
    if (!entries) {
        entries = g_ptr_array_new();
        g_hash_table_insert(t->sid_names, g_steal_pointer(&key), entries);
    }
    g_ptr_array_add(entries, entry);
    g_free(key);
}

static void
forget_name(LaresTables *t, LaresSidEntry *entry)
{
    g_autofree char *key = g_ascii_strdown(entry->name, -1);
    GPtrArray *entries = g_hash_table_lookup(t->sid_names, key);
    if (entries)
        g_ptr_array_remove(entries, entry);
}

void
lares_sid_tables_put(LaresTables *t, LaresSidEntry *entry)
{
    GHashTable *names = entry->group ? t->group_sids : t->user_sids;
    LaresSidEntry *old = g_hash_table_lookup(t->sids, &entry->sid);
    if (old)
        forget_name(t, old);
    index_name(t, entry);
    if (old && g_hash_table_lookup(old->group ? t->group_sids : t->user_sids, old->name) == old)
        g_hash_table_remove(old->group ? t->group_sids : t->user_sids, old->name);
    g_hash_table_replace(names, entry->name, entry);
    g_hash_table_replace(t->sids, &entry->sid, entry);
}

/* Rows that are no SIDs were not written by this server: they say nothing. */
gboolean
lares_sid_tables_load(LaresDirectory *d, LaresTables *t, GError **error)
{
    g_autoptr(GError) problem = NULL;
    LaresSid sid;
    /* Of several SIDs of one user (an account that was made anew) the youngest is the one that is told. */
    sqlite3_stmt *q = lares_db_query(d->db, error, "SELECT sid, kind, name FROM sids ORDER BY rowid", NULL);
    while (q && lares_db_next(d->db, q, &problem))
        if (lares_sid_parse(lares_db_text(q, 0), &sid))
            lares_sid_tables_put(t,
                                 lares_sid_entry_new(&sid, g_str_equal(lares_db_text(q, 1), "g"), lares_db_text(q, 2)));
    if (q && !problem)
        q = lares_db_query(d->db, error, "SELECT sid, realm, name FROM domains", NULL);
    while (q && !problem && lares_db_next(d->db, q, &problem))
        if (lares_sid_parse(lares_db_text(q, 0), &sid)) {
            LaresDomainEntry *domain = lares_domain_entry_new(&sid, lares_db_text(q, 1), lares_db_text(q, 2));
            g_hash_table_replace(t->domains, &domain->sid, domain);
        }
    if (!problem)
        return q != NULL;
    g_propagate_error(error, g_steal_pointer(&problem));
    return FALSE;
}

const LaresDomainEntry *
lares_sid_domain(const LaresTables *t, const LaresSid *sid)
{
    LaresSid domain = *sid;
    if (domain.n == 0)
        return NULL;
    domain.n--;
    return g_hash_table_lookup(t->domains, &domain);
}

const LaresGroup *
lares_sid_group(const LaresTables *t, const LaresSid *sid)
{
    const LaresSidEntry *entry = g_hash_table_lookup(t->sids, sid);
    return entry && entry->group ? g_hash_table_lookup(t->groups, entry->name) : NULL;
}

const char *
lares_sid_known_group(uint32_t rid)
{
    /* [MS-DTYP] 2.4.2.4; an administrator may have named them otherwise, and can say so here. */
    static const struct {
        uint32_t rid;
        const char *name;
    } known[] = {{498, "Enterprise Read-only Domain Controllers"},
                 {512, "Domain Admins"},
                 {513, "Domain Users"},
                 {514, "Domain Guests"},
                 {515, "Domain Computers"},
                 {516, "Domain Controllers"},
                 {517, "Cert Publishers"},
                 {518, "Schema Admins"},
                 {519, "Enterprise Admins"},
                 {520, "Group Policy Creator Owners"},
                 {521, "Read-only Domain Controllers"},
                 {522, "Cloneable Domain Controllers"},
                 {525, "Protected Users"},
                 {526, "Key Admins"},
                 {527, "Enterprise Key Admins"},
                 {553, "RAS and IAS Servers"},
                 {571, "Allowed RODC Password Replication Group"},
                 {572, "Denied RODC Password Replication Group"}};
    for (size_t i = 0; i < G_N_ELEMENTS(known); i++)
        if (known[i].rid == rid)
            return known[i].name;
    return NULL;
}

/* ---- For protocols --------------------------------------------------------------------------------------------- */

gboolean
lares_directory_sid(LaresDirectory *d, uint32_t id, gboolean group, LaresSid *sid)
{
    g_rw_lock_reader_lock(&d->lock);
    const LaresTables *t = &d->tables;
    const LaresUser *user = group ? NULL : g_hash_table_lookup(t->by_uid, GUINT_TO_POINTER(id));
    const LaresGroup *of_group = group ? g_hash_table_lookup(t->by_gid, GUINT_TO_POINTER(id)) : NULL;
    const LaresSidEntry *entry = user       ? g_hash_table_lookup(t->user_sids, user->name)
                                 : of_group ? g_hash_table_lookup(t->group_sids, of_group->name)
                                            : NULL;
    if (entry)
        *sid = entry->sid;
    g_rw_lock_reader_unlock(&d->lock);
    return entry != NULL;
}

gboolean
lares_directory_sid_id(LaresDirectory *d, const LaresSid *sid, uint32_t *id, gboolean *group)
{
    gboolean found = FALSE;
    g_rw_lock_reader_lock(&d->lock);
    const LaresSidEntry *entry = g_hash_table_lookup(d->tables.sids, sid);
    const LaresUser *user = entry && !entry->group ? g_hash_table_lookup(d->tables.users, entry->name) : NULL;
    const LaresGroup *of_group = lares_sid_group(&d->tables, sid);
    if (user || of_group) {
        *group = of_group != NULL;
        *id = user ? user->uid : of_group->gid;
        found = TRUE;
    }
    g_rw_lock_reader_unlock(&d->lock);
    return found;
}

/* What an account is called inside its domain: without "REALM/" or "@REALM". */
static char *
name_in_domain(const LaresSidEntry *entry, const LaresDomainEntry *domain)
{
    size_t realm = strlen(domain->realm), len = strlen(entry->name);
    if (entry->group && strncmp(entry->name, domain->realm, realm) == 0 && entry->name[realm] == '/')
        return g_strdup(entry->name + realm + 1);
    if (!entry->group && len > realm + 1 && g_str_has_suffix(entry->name, domain->realm) &&
        entry->name[len - realm - 1] == '@')
        return g_strndup(entry->name, len - realm - 1);
    return g_strdup(entry->name);
}

char *
lares_directory_sid_name(LaresDirectory *d, const LaresSid *sid, LaresSid *domain_sid, gboolean *group)
{
    char *name = NULL, text[LARES_SID_TEXT];
    g_rw_lock_reader_lock(&d->lock);
    const LaresSidEntry *entry = g_hash_table_lookup(d->tables.sids, sid);
    const LaresDomainEntry *domain = entry ? lares_sid_domain(&d->tables, sid) : NULL;
    lares_sid_print(sid, text, sizeof text);
    if (domain && !g_str_equal(entry->name, text)) {
        name = name_in_domain(entry, domain);
        *domain_sid = domain->sid;
        *group = entry->group;
    }
    g_rw_lock_reader_unlock(&d->lock);
    return name;
}

/* The youngest of the entries with this whole name that is called `name` in the domain. */
static const LaresSidEntry *
find_in_domain(const LaresTables *t, const LaresDomainEntry *domain, const char *whole, const char *name)
{
    g_autofree char *key = g_ascii_strdown(whole, -1);
    const GPtrArray *entries = g_hash_table_lookup(t->sid_names, key);
    for (guint i = entries ? entries->len : 0; i-- > 0;) {
        const LaresSidEntry *entry = entries->pdata[i];
        if (lares_sid_domain(t, &entry->sid) != domain)
            continue;
        g_autofree char *own = name_in_domain(entry, domain);
        if (g_ascii_strcasecmp(own, name) == 0)
            return entry;
    }
    return NULL;
}

/* Any user may ask for a thousand names at once: what is found goes by the index, in each of the forms that
 * name_in_domain() takes apart. */
gboolean
lares_directory_find_sid(LaresDirectory *d, const LaresSid *domain_sid, const char *name, LaresSid *sid,
                         gboolean *group)
{
    const LaresSidEntry *entry = NULL;
    g_rw_lock_reader_lock(&d->lock);
    const LaresDomainEntry *domain = g_hash_table_lookup(d->tables.domains, domain_sid);
    g_autofree char *user = domain ? g_strdup_printf("%s@%s", name, domain->realm) : NULL;
    g_autofree char *of_group = domain ? g_strdup_printf("%s/%s", domain->realm, name) : NULL;
    const char *const forms[] = {name, user, of_group};
    for (guint i = 0; domain && i < G_N_ELEMENTS(forms) && !entry; i++)
        entry = find_in_domain(&d->tables, domain, forms[i], name);
    if (entry) {
        *sid = entry->sid;
        *group = entry->group;
    }
    g_rw_lock_reader_unlock(&d->lock);
    return entry != NULL;
}

static void
public_domain_free(gpointer data)
{
    LaresDomain *domain = data;
    g_free(domain->realm);
    g_free(domain->name);
    g_free(domain);
}

static gint
by_realm(gconstpointer a, gconstpointer b)
{
    return strcmp((*(LaresDomain *const *)a)->realm, (*(LaresDomain *const *)b)->realm);
}

GPtrArray *
lares_directory_domains(LaresDirectory *d)
{
    GPtrArray *all = g_ptr_array_new_with_free_func(public_domain_free);
    GHashTableIter iter;
    gpointer value;
    g_rw_lock_reader_lock(&d->lock);
    g_hash_table_iter_init(&iter, d->tables.domains);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const LaresDomainEntry *entry = value;
        LaresDomain *domain = g_new0(LaresDomain, 1);
        *domain =
            (LaresDomain){entry->sid, g_strdup(entry->realm), g_strdup(*entry->name ? entry->name : entry->realm)};
        g_ptr_array_add(all, domain);
    }
    g_rw_lock_reader_unlock(&d->lock);
    g_ptr_array_sort(all, by_realm);
    return all;
}
