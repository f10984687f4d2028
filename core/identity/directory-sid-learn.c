/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a login tells about SIDs, and what an administrator says of them. See directory-sid.h. */
#include "identity/directory-sid.h"

#include <lares/log.h>
#include <string.h>

/* ---- Whose word counts ----------------------------------------------------------------------------------------- */

static gboolean
realm_has_domain(const LaresTables *t, const char *realm)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, t->domains);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        if (g_str_equal(((const LaresDomainEntry *)value)->realm, realm))
            return TRUE;
    }
    return FALSE;
}

static gboolean
is_in(const LaresSid *sid, const LaresSid *domain)
{
    LaresSid its = *sid;
    its.n = its.n ? its.n - 1 : 0;
    return lares_sid_equal(&its, domain);
}

/* The groups that count. */
static GArray *
believed(LaresDirectory *d, const char *realm, const LaresAuthSids *sids)
{
    GArray *list = g_array_new(FALSE, FALSE, sizeof(LaresSid));
    g_rw_lock_reader_lock(&d->lock);
    gboolean all = g_str_equal(realm, sids->vouching) || realm_has_domain(&d->tables, sids->vouching);
    g_rw_lock_reader_unlock(&d->lock);
    for (size_t i = 0; i < sids->n_groups; i++) {
        if (all || is_in(&sids->groups[i], &sids->domain_sid))
            g_array_append_val(list, sids->groups[i]);
    }
    return list;
}

LaresStatus
lares_sid_check(LaresDirectory *d, const char *realm, const LaresAuthSids *sids, const char **reason)
{
    g_rw_lock_reader_lock(&d->lock);
    const LaresDomainEntry *domain = g_hash_table_lookup(d->tables.domains, &sids->domain_sid);
    gboolean ok = !domain || g_str_equal(domain->realm, realm);
    g_rw_lock_reader_unlock(&d->lock);
    if (!ok)
        *reason = "the ticket claims the SIDs of another realm's domain";
    return ok ? LARES_OK : LARES_ACCESS;
}

/* ---- Learning -------------------------------------------------------------------------------------------------- */

typedef struct {
    LaresDirectory *d;
    const char *realm;
    const LaresAuthSids *sids;
    const char *user;
    GPtrArray *made;    /* LaresGroup, new ones */
    GPtrArray *entries; /* LaresSidEntry, the same */
    LaresDomainEntry *domain;
} Learn;

/* Is everything known already? Then *gids is whole. With the reader lock. */
static gboolean
all_known(LaresDirectory *d, const LaresAuthSids *sids, const char *user, const GArray *groups, GArray *gids)
{
    const LaresTables *t = &d->tables;
    guint before = gids->len;
    const LaresDomainEntry *domain = g_hash_table_lookup(t->domains, &sids->domain_sid);
    const LaresSidEntry *own = user ? g_hash_table_lookup(t->sids, &sids->user) : NULL;
    gboolean known = domain && g_str_equal(domain->name, sids->domain) &&
                     (!user || (own && !own->group && g_str_equal(own->name, user)));
    for (guint i = 0; i < groups->len && known; i++) {
        const LaresGroup *group = lares_sid_group(t, &g_array_index(groups, LaresSid, i));
        known = group != NULL;
        if (group)
            g_array_append_val(gids, group->gid);
    }
    if (!known)
        g_array_set_size(gids, before);
    return known;
}

static gboolean
group_name_free(LaresDirectory *d, const char *name)
{
    LaresNssEntry entry;
    g_rw_lock_reader_lock(&d->lock);
    gboolean taken = g_hash_table_contains(d->tables.groups, name);
    g_rw_lock_reader_unlock(&d->lock);
    return !taken && lares_nss_group_by_name(d->nss, name, &entry) == LARES_NSS_ABSENT;
}

/* "REALM/Domain Users" where the name is known and nobody else has it, else the SID itself. Inside a change. */
static char *
name_for(Learn *l, const LaresSid *sid)
{
    char text[LARES_SID_TEXT];
    const char *known = lares_sid_known_group(sid->sub[sid->n - 1]);
    g_autofree char *realm = NULL;
    g_rw_lock_reader_lock(&l->d->lock);
    const LaresSidEntry *entry = g_hash_table_lookup(l->d->tables.sids, sid);
    const LaresDomainEntry *domain = lares_sid_domain(&l->d->tables, sid);
    char *old = entry && entry->group ? g_strdup(entry->name) : NULL;
    if (domain)
        realm = g_strdup(domain->realm);
    g_rw_lock_reader_unlock(&l->d->lock);
    if (old && group_name_free(l->d, old)) /* the group was deleted: it comes back as it was */
        return old;
    g_free(old);
    if (!realm && is_in(sid, &l->sids->domain_sid))
        realm = g_strdup(l->realm);
    if (known && realm) {
        g_autofree char *name = g_strdup_printf("%s/%s", realm, known);
        if (group_name_free(l->d, name))
            return g_steal_pointer(&name);
    }
    lares_sid_print(sid, text, sizeof text);
    return g_strdup(text);
}

static gboolean
write_group(LaresDirectory *d, const LaresSid *sid, const char *name, uint32_t *gid, GError **error)
{
    char text[LARES_SID_TEXT];
    lares_sid_print(sid, text, sizeof text);
    return lares_directory_allocate(d, 'g', name, gid, error) &&
           lares_db_run(d->db, error, "INSERT INTO groups(name, gid) VALUES(?1, ?2)", "si", name, (gint64)*gid) &&
           lares_db_run(d->db, error, "DELETE FROM tombstones WHERE kind='g' AND name=?1", "s", name) &&
           lares_db_run(d->db, error, "INSERT OR REPLACE INTO sids(sid, kind, name) VALUES(?1, 'g', ?2)", "ss", text,
                        name);
}

static LaresGroup *
group_new(const char *name, uint32_t gid)
{
    LaresGroup *group = g_new0(LaresGroup, 1);
    group->name = g_strdup(name);
    group->gid = gid;
    group->members = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    return group;
}

/* Inside a change; a SID that comes twice, or that another login was faster with, is there already. */
static gboolean
learn_group(Learn *l, const LaresSid *sid, GError **error)
{
    uint32_t gid;
    g_rw_lock_reader_lock(&l->d->lock);
    gboolean there = lares_sid_group(&l->d->tables, sid) != NULL;
    g_rw_lock_reader_unlock(&l->d->lock);
    for (guint i = 0; i < l->entries->len && !there; i++)
        there = lares_sid_equal(&((const LaresSidEntry *)l->entries->pdata[i])->sid, sid);
    if (there)
        return TRUE;
    g_autofree char *name = name_for(l, sid);
    if (!write_group(l->d, sid, name, &gid, error))
        return FALSE;
    g_ptr_array_add(l->made, group_new(name, gid));
    g_ptr_array_add(l->entries, lares_sid_entry_new(sid, TRUE, name));
    return TRUE;
}

static gboolean
learn_domain(Learn *l, GError **error)
{
    char text[LARES_SID_TEXT];
    lares_sid_print(&l->sids->domain_sid, text, sizeof text);
    l->domain = lares_domain_entry_new(&l->sids->domain_sid, l->realm, l->sids->domain);
    return lares_db_run(l->d->db, error, "INSERT OR REPLACE INTO domains(sid, realm, name) VALUES(?1, ?2, ?3)", "sss",
                        text, l->realm, l->sids->domain);
}

static gboolean
learn_user(Learn *l, GError **error)
{
    char text[LARES_SID_TEXT];
    if (!l->user || !is_in(&l->sids->user, &l->sids->domain_sid))
        return TRUE;
    lares_sid_print(&l->sids->user, text, sizeof text);
    g_ptr_array_add(l->entries, lares_sid_entry_new(&l->sids->user, FALSE, l->user));
    return lares_db_run(l->d->db, error, "INSERT OR REPLACE INTO sids(sid, kind, name) VALUES(?1, 'u', ?2)", "ss", text,
                        l->user);
}

/* Into the tables in memory. The generation stays: nobody's identity depends on a group that was not there. */
static void
remember(Learn *l)
{
    LaresTables *t = &l->d->tables;
    g_rw_lock_writer_lock(&l->d->lock);
    g_hash_table_replace(t->domains, &l->domain->sid, l->domain);
    for (guint i = 0; i < l->made->len; i++)
        lares_tables_put_group(t, l->made->pdata[i]);
    for (guint i = 0; i < l->entries->len; i++)
        lares_sid_tables_put(t, l->entries->pdata[i]);
    g_rw_lock_writer_unlock(&l->d->lock);
}

static void
forget(Learn *l)
{
    for (guint i = 0; i < l->made->len; i++) {
        LaresGroup *group = l->made->pdata[i];
        g_free(group->name);
        g_hash_table_unref(group->members);
        g_free(group);
    }
    for (guint i = 0; i < l->entries->len; i++) {
        LaresSidEntry *entry = l->entries->pdata[i];
        g_free(entry->name);
        g_free(entry);
    }
    if (l->domain) {
        g_free(l->domain->realm);
        g_free(l->domain->name);
        g_free(l->domain);
    }
}

static gboolean
learn(Learn *l, const GArray *groups, GError **error)
{
    LaresDirectory *d = l->d;
    const char *reason;
    gboolean ok = FALSE;
    g_mutex_lock(&d->change);
    /* Again: another realm's user may have brought the domain in the meantime. */
    if (lares_sid_check(d, l->realm, l->sids, &reason) != LARES_OK) {
        g_set_error_literal(error, LARES_ERROR, LARES_ERROR_CONFLICT, reason);
    } else if (lares_db_begin(d->db, error)) {
        ok = learn_domain(l, error) && learn_user(l, error);
        for (guint i = 0; i < groups->len && ok; i++)
            ok = learn_group(l, &g_array_index(groups, LaresSid, i), error);
        if (ok)
            ok = lares_db_commit(d->db, error);
        else
            lares_db_rollback(d->db);
    }
    if (ok)
        remember(l);
    else
        forget(l);
    g_mutex_unlock(&d->change);
    return ok;
}

LaresStatus
lares_sid_learn(LaresDirectory *d, const char *realm, const LaresAuthSids *sids, const char *user, GArray *gids,
                const char **reason)
{
    g_autoptr(GArray) groups = believed(d, realm, sids);
    g_autoptr(GError) error = NULL;
    g_rw_lock_reader_lock(&d->lock);
    gboolean known = all_known(d, sids, user, groups, gids);
    g_rw_lock_reader_unlock(&d->lock);
    if (known)
        return LARES_OK;

    g_autoptr(GPtrArray) made = g_ptr_array_new(), entries = g_ptr_array_new();
    Learn l = {.d = d, .realm = realm, .sids = sids, .user = user, .made = made, .entries = entries};
    if (!learn(&l, groups, &error)) {
        lares_log_limited(LARES_LOG_ERROR, "identity", "the groups of a user of %s: %s", realm, error->message);
        *reason = "the user's groups cannot be kept in the directory";
        return LARES_ACCESS;
    }
    g_rw_lock_reader_lock(&d->lock);
    for (guint i = 0; i < groups->len; i++) {
        const LaresGroup *group = lares_sid_group(&d->tables, &g_array_index(groups, LaresSid, i));
        if (group)
            g_array_append_val(gids, group->gid);
    }
    g_rw_lock_reader_unlock(&d->lock);
    return LARES_OK;
}

/* ---- An administrator's word ----------------------------------------------------------------------------------- */

/* The full name, or NULL with error. */
static char *
check_name(LaresDirectory *d, const LaresSid *sid, const char *text, const char *name, GError **error)
{
    g_rw_lock_reader_lock(&d->lock);
    const LaresDomainEntry *domain = lares_sid_domain(&d->tables, sid);
    const LaresSidEntry *entry = g_hash_table_lookup(d->tables.sids, sid);
    gboolean user = entry && !entry->group;
    g_autofree char *prefix = domain ? g_strdup_printf("%s/", domain->realm) : NULL;
    g_rw_lock_reader_unlock(&d->lock);
    if (!prefix) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_NOT_FOUND,
                    "\"%s\" is of no domain that is known: one is from the first login of a user of it", text);
        return NULL;
    }
    if (user) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_CONFLICT, "\"%s\" is a user, not a group", text);
        return NULL;
    }
    const char *plain = g_str_has_prefix(name, prefix) ? name + strlen(prefix) : name;
    gboolean bad = !*plain || strlen(prefix) + strlen(plain) >= LARES_NSS_NAME_MAX || strpbrk(plain, "/\\:@*") ||
                   !g_utf8_validate(plain, -1, NULL) || *plain == ' ' || plain[strlen(plain) - 1] == ' ';
    for (const char *p = plain; *p && !bad; p = g_utf8_next_char(p))
        bad = g_unichar_iscntrl(g_utf8_get_char(p));
    if (bad) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_INVALID, "\"%s\" cannot be the name of a group of a domain", plain);
        return NULL;
    }
    return g_strconcat(prefix, plain, NULL);
}

/* Inside a change: the group goes on under its new name, with its number and its members. */
static gboolean
rename_group(LaresDirectory *d, const char *from, const char *to, const char *sid, GError **error)
{
    return lares_db_run(d->db, error, "PRAGMA defer_foreign_keys=ON", NULL) &&
           lares_db_run(d->db, error, "UPDATE groups SET name=?2 WHERE name=?1", "ss", from, to) &&
           lares_db_run(d->db, error, "UPDATE members SET grp=?2 WHERE grp=?1", "ss", from, to) &&
           lares_db_run(d->db, error, "UPDATE sids SET name=?2 WHERE sid=?1", "ss", sid, to);
}

static gboolean
set_name(LaresDirectory *d, const LaresSid *sid, const char *text, const char *name, GError **error)
{
    uint32_t gid;
    g_autofree char *full = check_name(d, sid, text, name, error);
    if (!full)
        return FALSE;
    g_rw_lock_reader_lock(&d->lock);
    const LaresGroup *group = lares_sid_group(&d->tables, sid);
    g_autofree char *now = group ? g_strdup(group->name) : NULL;
    g_rw_lock_reader_unlock(&d->lock);
    if (now && g_str_equal(now, full))
        return TRUE;
    if (!group_name_free(d, full)) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_EXISTS, "\"%s\" exists already", full);
        return FALSE;
    }
    return now ? rename_group(d, now, full, text, error) : write_group(d, sid, full, &gid, error);
}

gboolean
lares_sid_set_name(LaresDirectory *d, const char *text, const char *name, GError **error)
{
    LaresSid sid;
    if (!lares_sid_parse(text, &sid) || sid.n != 5 || sid.authority != 5 || sid.sub[0] != 21) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_INVALID, "\"%s\" is not the SID of an account of a domain", text);
        return FALSE;
    }
    return lares_directory_begin(d, error) && lares_directory_end(d, set_name(d, &sid, text, name, error), error);
}
