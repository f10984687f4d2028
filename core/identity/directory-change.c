/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Changing users; numbers for new ones; the first login. */
#include "identity/directory-private.h"

#include <string.h>

static gboolean
refuse(GError **error, LaresError code, const char *why, const char *name)
{
    g_set_error(error, LARES_ERROR, code, "\"%s\" %s", name, why);
    return FALSE;
}

gboolean
lares_directory_owns_group(LaresDirectory *d, const char *name)
{
    g_rw_lock_reader_lock(&d->lock);
    gboolean there = g_hash_table_contains(d->tables.groups, name);
    g_rw_lock_reader_unlock(&d->lock);
    return there;
}

/* ---- Numbers --------------------------------------------------------------------------------------------------- */

/* A row's name, or of a tombstone that keeps a number somebody had before a change: "NAME:NUMBER". */
static gboolean
is_of(const char *row, const char *name)
{
    size_t len = strlen(name);
    return strncmp(row, name, len) == 0 && (row[len] == '\0' || row[len] == ':');
}

gboolean
lares_directory_id_taken(LaresDirectory *d, char kind, gint64 id, const char *name, gboolean *taken, GError **error)
{
    const char kind_text[2] = {kind, '\0'};
    const char *sql = kind == 'u' ? "SELECT name FROM users WHERE uid=?1 UNION ALL"
                                    " SELECT name FROM tombstones WHERE kind=?2 AND id=?1"
                                  : "SELECT name FROM groups WHERE gid=?1 UNION ALL"
                                    " SELECT name FROM tombstones WHERE kind=?2 AND id=?1";
    g_autoptr(GError) problem = NULL;
    sqlite3_stmt *q = lares_db_query(d->db, error, sql, "is", id, kind_text);
    if (!q)
        return FALSE;
    *taken = FALSE;
    while (lares_db_next(d->db, q, &problem))
        *taken = *taken || !is_of(lares_db_text(q, 0), name);
    if (problem) {
        g_propagate_error(error, g_steal_pointer(&problem));
        return FALSE;
    }
    LaresNssEntry entry;
    LaresNssAnswer answer = kind == 'u' ? lares_nss_user_by_uid(d->nss, (uint32_t)id, &entry)
                                        : lares_nss_group_by_gid(d->nss, (uint32_t)id, &entry);
    if (answer == LARES_NSS_ERROR) {
        g_set_error(
            error, LARES_ERROR, LARES_ERROR_FAILED,
            "the host's name service does not answer, so it is not known whose the number %" G_GINT64_FORMAT " is", id);
        return FALSE;
    }
    *taken = *taken || (answer == LARES_NSS_FOUND && !g_str_equal(entry.name, name));
    return TRUE;
}

/* One number of a one-row query; `fallback` when there is no row or it is NULL. */
static gboolean
one_number(LaresDirectory *d, sqlite3_stmt *q, gint64 fallback, gint64 *number, GError **error)
{
    g_autoptr(GError) problem = NULL;
    if (!q)
        return FALSE;
    *number = fallback;
    while (lares_db_next(d->db, q, &problem)) {
        if (sqlite3_column_type(q, 0) != SQLITE_NULL)
            *number = sqlite3_column_int64(q, 0);
    }
    if (!problem)
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&problem));
    return FALSE;
}

/* The highest number of the range that was ever given out; two looks into an index. */
#define HIGHEST(table, column, kind)                                                                                   \
    "SELECT max(ifnull((SELECT max(" column ") FROM " table " WHERE " column " BETWEEN ?1 AND ?2), ?1 - 1),"           \
    " ifnull((SELECT max(id) FROM tombstones WHERE kind=" kind " AND id BETWEEN ?1 AND ?2), ?1 - 1))"

gboolean
lares_directory_allocate(LaresDirectory *d, char kind, const char *name, uint32_t *id, GError **error)
{
    const char kind_text[2] = {kind, '\0'};
    gint64 number;
    gboolean taken = FALSE;
    g_rw_lock_reader_lock(&d->lock);
    gint64 min = d->config->id_min, max = d->config->id_max;
    g_rw_lock_reader_unlock(&d->lock);

    sqlite3_stmt *q =
        lares_db_query(d->db, error, "SELECT id FROM tombstones WHERE kind=?1 AND name=?2", "ss", kind_text, name);
    if (!one_number(d, q, -1, &number, error))
        return FALSE;
    if (number >= 0) {
        if (!lares_directory_id_taken(d, kind, number, name, &taken, error))
            return FALSE;
        if (!taken) {
            *id = (uint32_t)number;
            return TRUE;
        }
    }

    const char *sql = kind == 'u' ? HIGHEST("users", "uid", "'u'") : HIGHEST("groups", "gid", "'g'");
    q = lares_db_query(d->db, error, sql, "ii", min, max);
    gint64 highest;
    if (!one_number(d, q, min - 1, &highest, error))
        return FALSE;
    /* Above the highest first; once the range's end was reached, whatever is free. */
    for (gint64 tried = 0, n = highest + 1; tried <= max - min; tried++, n++) {
        if (n > max)
            n = min;
        if (!lares_directory_id_taken(d, kind, n, name, &taken, error))
            return FALSE;
        if (!taken) {
            *id = (uint32_t)n;
            return TRUE;
        }
    }
    g_set_error(error, LARES_ERROR, LARES_ERROR_CONFLICT,
                "no free number between uid-min and uid-max (group [identity] of lares.conf)");
    return FALSE;
}

gboolean
lares_directory_default_group(LaresDirectory *d, uint32_t *gid, GError **error)
{
    LaresNssEntry entry;
    g_rw_lock_reader_lock(&d->lock);
    g_autofree char *name = g_strdup(d->config->default_group);
    const LaresGroup *group = g_hash_table_lookup(d->tables.groups, name);
    gboolean found = group != NULL;
    if (found)
        *gid = group->gid;
    g_rw_lock_reader_unlock(&d->lock);
    if (found)
        return TRUE;
    LaresNssAnswer answer = lares_nss_group_by_name(d->nss, name, &entry);
    if (answer == LARES_NSS_FOUND) {
        *gid = entry.id;
        return TRUE;
    }
    if (answer == LARES_NSS_ERROR) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_FAILED, "the host's name service does not answer");
        return FALSE;
    }
    return lares_directory_allocate(d, 'g', name, gid, error) &&
           lares_db_run(d->db, error, "INSERT OR IGNORE INTO groups(name, gid) VALUES(?1, ?2)", "si", name,
                        (gint64)*gid);
}

/* Adds one user to the tables in memory. The generation stays: nobody's identity depends on a user who was not there,
 * and a busy morning of first logins must not make every session ask again. */
static void
remember_user(LaresDirectory *d, const LaresUserCopy *copy, const char *full_name, const char *principal)
{
    LaresUser *user = g_new0(LaresUser, 1);
    user->name = g_strdup(copy->name);
    user->uid = copy->uid;
    user->gid = copy->gid;
    user->source = copy->source;
    user->full_name = g_strdup(full_name ? full_name : "");
    user->principal = g_strdup(principal ? principal : "");
    user->created = d->created;
    g_rw_lock_writer_lock(&d->lock);
    lares_tables_put_user(&d->tables, user);
    g_rw_lock_writer_unlock(&d->lock);
}

static gboolean
ensure_default_group(LaresDirectory *d, GError **error)
{
    uint32_t gid;
    g_rw_lock_reader_lock(&d->lock);
    g_autofree char *name = g_strdup(d->config->default_group);
    g_rw_lock_reader_unlock(&d->lock);
    if (lares_directory_owns_group(d, name))
        return TRUE;
    return lares_directory_begin(d, error) &&
           lares_directory_end(d, lares_directory_default_group(d, &gid, error), error);
}

/* ---- Users ----------------------------------------------------------------------------------------------------- */

static gboolean
check_new_user(LaresDirectory *d, const LaresUserValues *v, GError **error)
{
    LaresUserCopy copy;
    LaresNssEntry entry;
    if (!lares_directory_check_name("user", v->name, error))
        return FALSE;
    if (lares_directory_copy_user(d, v->name, &copy))
        return refuse(error, LARES_ERROR_EXISTS, "exists already", v->name);
    if (lares_nss_user_by_name(d->nss, v->name, &entry) == LARES_NSS_FOUND)
        return refuse(error, LARES_ERROR_EXISTS, "is an account of this host and needs no entry", v->name);
    return TRUE;
}

static gboolean
check_uid(LaresDirectory *d, const char *name, gint64 uid, GError **error)
{
    gboolean taken;
    if (uid <= 0 || uid >= UINT32_MAX || uid == LARES_NOBODY_ID) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_INVALID, "uid: %" G_GINT64_FORMAT " is not for a user", uid);
        return FALSE;
    }
    if (!lares_directory_id_taken(d, 'u', uid, name, &taken, error))
        return FALSE;
    if (taken)
        g_set_error(error, LARES_ERROR, LARES_ERROR_CONFLICT, "uid: %" G_GINT64_FORMAT " is or was somebody else's",
                    uid);
    return !taken;
}

gboolean
lares_directory_check_gid(gint64 gid, GError **error)
{
    if (gid > 0 && gid < UINT32_MAX)
        return TRUE;
    g_set_error(error, LARES_ERROR, LARES_ERROR_INVALID, "gid: %" G_GINT64_FORMAT " is not for a group", gid);
    return FALSE;
}

gboolean
lares_directory_settle(LaresDirectory *d, const char *kind, const char *name, uint32_t id, GError **error)
{
    return lares_db_run(
               d->db, error,
               "UPDATE OR REPLACE tombstones SET name = name || ':' || id WHERE kind=?1 AND name=?2 AND id<>?3", "ssi",
               kind, name, (gint64)id) &&
           lares_db_run(d->db, error, "DELETE FROM tombstones WHERE kind=?1 AND name=?2", "ss", kind, name);
}

static gboolean
insert_user(LaresDirectory *d, const char *name, uint32_t uid, uint32_t gid, LaresUserSource source, gboolean disabled,
            const char *full_name, const char *principal, GError **error)
{
    d->created = g_get_real_time() / G_USEC_PER_SEC;
    return lares_db_run(d->db, error,
                        "INSERT OR REPLACE INTO users(name, uid, gid, source, disabled, full_name, principal, created)"
                        " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                        "siisissi", name, (gint64)uid, (gint64)gid, lares_user_source_name(source), (gint64)disabled,
                        full_name ? full_name : "", principal ? principal : "", d->created) &&
           lares_directory_settle(d, "u", name, uid, error);
}

/* The end of a change that made one user and nothing else: the tables in memory get it and are not read again, or ten
 * thousand users could not be added one by one. */
static gboolean
end_with_user(LaresDirectory *d, gboolean ok, const LaresUserCopy *copy, const char *full_name, const char *principal,
              GError **error)
{
    if (ok)
        ok = lares_db_commit(d->db, error);
    else
        lares_db_rollback(d->db);
    if (ok)
        remember_user(d, copy, full_name, principal);
    g_mutex_unlock(&d->change);
    return ok;
}

static gboolean
add_user(LaresDirectory *d, const LaresUserValues *v, LaresUserCopy *copy, GError **error)
{
    *copy = (LaresUserCopy){.uid = (uint32_t)v->uid, .gid = (uint32_t)v->gid, .source = LARES_USER_LOCAL};
    if (!check_new_user(d, v, error))
        return FALSE;
    g_strlcpy(copy->name, v->name, sizeof copy->name);
    if (v->uid >= 0 ? !check_uid(d, v->name, v->uid, error)
                    : !lares_directory_allocate(d, 'u', v->name, &copy->uid, error))
        return FALSE;
    if (v->gid >= 0 ? !lares_directory_check_gid(v->gid, error) : !lares_directory_default_group(d, &copy->gid, error))
        return FALSE;
    return insert_user(d, v->name, copy->uid, copy->gid, LARES_USER_LOCAL, FALSE, v->full_name, NULL, error);
}

gboolean
lares_directory_user_add(LaresDirectory *d, const LaresUserValues *v, GError **error)
{
    LaresUserCopy copy;
    if (!lares_directory_check_name("user", v->name, error) || (v->gid < 0 && !ensure_default_group(d, error)) ||
        !lares_directory_begin(d, error) ||
        !end_with_user(d, add_user(d, v, &copy, error), &copy, v->full_name, NULL, error))
        return FALSE;
    /* The number may be one that AUTH_SYS clients use already. */
    lares_directory_moved(d);
    return TRUE;
}

static gboolean
set_user(LaresDirectory *d, const LaresUserValues *v, GError **error)
{
    LaresUserCopy copy;
    if (!lares_directory_copy_user(d, v->name, &copy))
        return refuse(error, LARES_ERROR_NOT_FOUND, "is not in the directory", v->name);
    if (copy.source == LARES_USER_HOST && (v->uid >= 0 || v->gid >= 0))
        return refuse(error, LARES_ERROR_CONFLICT, "has the numbers that the host gives", v->name);
    /* The files of the old number stay: nobody else may be given it. */
    if (v->uid >= 0 && (!check_uid(d, v->name, v->uid, error) ||
                        !lares_db_run(d->db, error,
                                      "INSERT OR REPLACE INTO tombstones(kind, name, id)"
                                      " SELECT 'u', name || ':' || uid, uid FROM users WHERE name=?1 AND uid<>?2",
                                      "si", v->name, v->uid) ||
                        !lares_db_run(d->db, error, "UPDATE users SET uid=?2 WHERE name=?1", "si", v->name, v->uid)))
        return FALSE;
    if (v->gid >= 0 && (!lares_directory_check_gid(v->gid, error) ||
                        !lares_db_run(d->db, error, "UPDATE users SET gid=?2 WHERE name=?1", "si", v->name, v->gid)))
        return FALSE;
    return !v->full_name ||
           lares_db_run(d->db, error, "UPDATE users SET full_name=?2 WHERE name=?1", "ss", v->name, v->full_name);
}

gboolean
lares_directory_user_set(LaresDirectory *d, const LaresUserValues *v, GError **error)
{
    return lares_directory_begin(d, error) && lares_directory_end(d, set_user(d, v, error), error);
}

static gboolean
disable_user(LaresDirectory *d, const char *name, gboolean disable, GError **error)
{
    LaresUserCopy copy;
    LaresNssEntry entry;
    if (lares_directory_copy_user(d, name, &copy))
        return lares_db_run(d->db, error, "UPDATE users SET disabled=?2 WHERE name=?1", "si", name, (gint64)disable);
    LaresNssAnswer answer = lares_nss_user_by_name(d->nss, name, &entry);
    if (answer == LARES_NSS_ERROR)
        return refuse(error, LARES_ERROR_FAILED, "may be an account of this host, but its name service does not answer",
                      name);
    if (answer == LARES_NSS_ABSENT)
        return refuse(error, LARES_ERROR_NOT_FOUND, "is neither in the directory nor an account of this host", name);
    return !disable || insert_user(d, entry.name, entry.id, entry.gid, LARES_USER_HOST, TRUE, NULL, NULL, error);
}

gboolean
lares_directory_user_disable(LaresDirectory *d, const char *name, gboolean disable, GError **error)
{
    return lares_directory_begin(d, error) && lares_directory_end(d, disable_user(d, name, disable, error), error);
}

static gboolean
delete_user(LaresDirectory *d, const char *name, GError **error)
{
    LaresUserCopy copy;
    if (!lares_directory_copy_user(d, name, &copy))
        return refuse(error, LARES_ERROR_NOT_FOUND, "is not in the directory", name);
    return (copy.source == LARES_USER_HOST ||
            lares_db_run(d->db, error, "INSERT OR REPLACE INTO tombstones(kind, name, id) VALUES('u', ?1, ?2)", "si",
                         name, (gint64)copy.uid)) &&
           lares_db_run(d->db, error, "DELETE FROM users WHERE name=?1", "s", name) &&
           lares_db_run(d->db, error, "DELETE FROM secrets WHERE user=?1", "s", name) &&
           lares_db_run(d->db, error, "DELETE FROM members WHERE user=?1", "s", name);
}

gboolean
lares_directory_user_delete(LaresDirectory *d, const char *name, GError **error)
{
    return lares_directory_begin(d, error) && lares_directory_end(d, delete_user(d, name, error), error);
}

/* ---- The first login ------------------------------------------------------------------------------------------- */

gboolean
lares_directory_provision(LaresDirectory *d, const char *name, const char *principal, LaresUserCopy *copy,
                          GError **error)
{
    if (!lares_directory_check_name("user", name, error) || !ensure_default_group(d, error))
        return FALSE;
    g_mutex_lock(&d->change);
    if (lares_directory_copy_user(d, name, copy)) {
        g_mutex_unlock(&d->change);
        return TRUE;
    }
    gboolean ok = lares_db_begin(d->db, error);
    if (ok) {
        *copy = (LaresUserCopy){.source = LARES_USER_KERBEROS};
        g_strlcpy(copy->name, name, sizeof copy->name);
        ok = lares_directory_allocate(d, 'u', name, &copy->uid, error) &&
             lares_directory_default_group(d, &copy->gid, error) &&
             insert_user(d, name, copy->uid, copy->gid, LARES_USER_KERBEROS, FALSE, NULL, principal, error);
        return end_with_user(d, ok, copy, NULL, principal, error);
    }
    g_mutex_unlock(&d->change);
    return FALSE;
}

gboolean
lares_directory_foresee(LaresDirectory *d, const char *name, LaresUserCopy *copy, GError **error)
{
    *copy = (LaresUserCopy){.source = LARES_USER_KERBEROS};
    if (!lares_directory_check_name("user", name, error) || !lares_directory_begin(d, error))
        return FALSE;
    g_strlcpy(copy->name, name, sizeof copy->name);
    gboolean ok = lares_directory_allocate(d, 'u', name, &copy->uid, error) &&
                  lares_directory_default_group(d, &copy->gid, error);
    lares_directory_end(d, FALSE, NULL);
    return ok;
}

gboolean
lares_directory_insert_host_user(LaresDirectory *d, const LaresNssEntry *entry, GError **error)
{
    return insert_user(d, entry->name, entry->id, entry->gid, LARES_USER_HOST, FALSE, NULL, NULL, error);
}

gboolean
lares_directory_note_host_user(LaresDirectory *d, const LaresNssEntry *entry, GError **error)
{
    LaresUserCopy copy;
    g_mutex_lock(&d->change);
    gboolean known = lares_directory_copy_user(d, entry->name, &copy);
    if (known && copy.source == LARES_USER_HOST && (copy.uid != entry->id || copy.gid != entry->gid)) {
        g_mutex_unlock(&d->change);
        return lares_directory_begin(d, error) &&
               lares_directory_end(d,
                                   lares_db_run(d->db, error,
                                                "UPDATE users SET uid=?2, gid=?3 WHERE name=?1 AND source='host'",
                                                "sii", entry->name, (gint64)entry->id, (gint64)entry->gid),
                                   error);
    }
    gboolean ok = TRUE;
    if (!known) {
        copy = (LaresUserCopy){.uid = entry->id, .gid = entry->gid, .source = LARES_USER_HOST};
        g_strlcpy(copy.name, entry->name, sizeof copy.name);
        ok = lares_directory_insert_host_user(d, entry, error);
        if (ok)
            remember_user(d, &copy, NULL, NULL);
    }
    g_mutex_unlock(&d->change);
    return ok;
}
