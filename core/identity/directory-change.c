/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Changing users, groups and mappings; numbers for new ones; the first login. */
#include "identity/directory-private.h"

#include <string.h>

static gboolean
refuse(GError **error, LaresError code, const char *why, const char *name)
{
    g_set_error(error, LARES_ERROR, code, "\"%s\" %s", name, why);
    return FALSE;
}

static gboolean
has_group(LaresDirectory *d, const char *name)
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

/* Taken by the directory (also in the past, by another name) or by the host? */
static gboolean
id_taken(LaresDirectory *d, char kind, gint64 id, const char *name, gboolean *taken, GError **error)
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
        if (!id_taken(d, kind, number, name, &taken, error))
            return FALSE;
        if (!taken) {
            *id = (uint32_t)number;
            return TRUE;
        }
    }

    const char *sql = kind == 'u'
                          ? "SELECT max(n) FROM (SELECT uid AS n FROM users UNION ALL SELECT id FROM tombstones"
                            " WHERE kind='u') WHERE n BETWEEN ?1 AND ?2"
                          : "SELECT max(n) FROM (SELECT gid AS n FROM groups UNION ALL SELECT id FROM tombstones"
                            " WHERE kind='g') WHERE n BETWEEN ?1 AND ?2";
    q = lares_db_query(d->db, error, sql, "ii", min, max);
    gint64 highest;
    if (!one_number(d, q, min - 1, &highest, error))
        return FALSE;
    /* Above the highest first; once the range's end was reached, whatever is free. */
    for (gint64 tried = 0, n = highest + 1; tried <= max - min; tried++, n++) {
        if (n > max)
            n = min;
        if (!id_taken(d, kind, n, name, &taken, error))
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
    if (!id_taken(d, 'u', uid, name, &taken, error))
        return FALSE;
    if (taken)
        g_set_error(error, LARES_ERROR, LARES_ERROR_CONFLICT, "uid: %" G_GINT64_FORMAT " is or was somebody else's",
                    uid);
    return !taken;
}

static gboolean
check_gid(gint64 gid, GError **error)
{
    if (gid > 0 && gid < UINT32_MAX)
        return TRUE;
    g_set_error(error, LARES_ERROR, LARES_ERROR_INVALID, "gid: %" G_GINT64_FORMAT " is not for a group", gid);
    return FALSE;
}

static gboolean
insert_user(LaresDirectory *d, const char *name, uint32_t uid, uint32_t gid, LaresUserSource source, gboolean disabled,
            const char *full_name, const char *principal, GError **error)
{
    return lares_db_run(d->db, error,
                        "INSERT OR REPLACE INTO users(name, uid, gid, source, disabled, full_name, principal, created)"
                        " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                        "siisissi", name, (gint64)uid, (gint64)gid, lares_user_source_name(source), (gint64)disabled,
                        full_name ? full_name : "", principal ? principal : "", g_get_real_time() / G_USEC_PER_SEC) &&
           lares_db_run(d->db, error, "DELETE FROM tombstones WHERE kind='u' AND name=?1", "s", name);
}

static gboolean
add_user(LaresDirectory *d, const LaresUserValues *v, GError **error)
{
    uint32_t uid = (uint32_t)v->uid, gid = (uint32_t)v->gid;
    if (!check_new_user(d, v, error))
        return FALSE;
    if (v->uid >= 0 ? !check_uid(d, v->name, v->uid, error) : !lares_directory_allocate(d, 'u', v->name, &uid, error))
        return FALSE;
    if (v->gid >= 0 ? !check_gid(v->gid, error) : !lares_directory_default_group(d, &gid, error))
        return FALSE;
    return insert_user(d, v->name, uid, gid, LARES_USER_LOCAL, FALSE, v->full_name, NULL, error);
}

gboolean
lares_directory_user_add(LaresDirectory *d, const LaresUserValues *v, GError **error)
{
    return lares_directory_begin(d, error) && lares_directory_end(d, add_user(d, v, error), error);
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
    if (v->gid >= 0 && (!check_gid(v->gid, error) ||
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

/* Adds one user to the tables in memory. The generation stays: nobody's identity depends on a user who was not there,
 * and a busy morning of first logins must not make every session ask again. */
static void
remember_user(LaresDirectory *d, const LaresUserCopy *copy, const char *principal)
{
    LaresUser *user = g_new0(LaresUser, 1);
    user->name = g_strdup(copy->name);
    user->uid = copy->uid;
    user->gid = copy->gid;
    user->source = copy->source;
    user->full_name = g_strdup("");
    user->principal = g_strdup(principal ? principal : "");
    user->created = g_get_real_time() / G_USEC_PER_SEC;
    g_rw_lock_writer_lock(&d->lock);
    g_hash_table_replace(d->tables.users, user->name, user);
    const LaresUser *other = g_hash_table_lookup(d->tables.by_uid, GUINT_TO_POINTER(user->uid));
    if (!other || !other->disabled)
        g_hash_table_insert(d->tables.by_uid, GUINT_TO_POINTER(user->uid), user);
    g_rw_lock_writer_unlock(&d->lock);
}

static gboolean
ensure_default_group(LaresDirectory *d, GError **error)
{
    uint32_t gid;
    g_rw_lock_reader_lock(&d->lock);
    g_autofree char *name = g_strdup(d->config->default_group);
    g_rw_lock_reader_unlock(&d->lock);
    if (has_group(d, name))
        return TRUE;
    return lares_directory_begin(d, error) &&
           lares_directory_end(d, lares_directory_default_group(d, &gid, error), error);
}

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
        if (ok)
            ok = lares_db_commit(d->db, error);
        else
            lares_db_rollback(d->db);
        if (ok)
            remember_user(d, copy, principal);
    }
    g_mutex_unlock(&d->change);
    return ok;
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
        ok = insert_user(d, entry->name, entry->id, entry->gid, LARES_USER_HOST, FALSE, NULL, NULL, error);
        if (ok)
            remember_user(d, &copy, NULL);
    }
    g_mutex_unlock(&d->change);
    return ok;
}

/* ---- Groups and mappings --------------------------------------------------------------------------------------- */

static gboolean
add_group(LaresDirectory *d, const char *name, gint64 gid, GError **error)
{
    LaresNssEntry entry;
    uint32_t id = (uint32_t)gid;
    gboolean taken = FALSE;
    if (!lares_directory_check_name("group", name, error))
        return FALSE;
    if (has_group(d, name))
        return refuse(error, LARES_ERROR_EXISTS, "exists already", name);
    if (lares_nss_group_by_name(d->nss, name, &entry) == LARES_NSS_FOUND) {
        /* A group of the host may have members of the directory: an entry of the same number joins the two. */
        if (gid >= 0 && gid != entry.id)
            return refuse(error, LARES_ERROR_CONFLICT, "is a group of this host with another number", name);
        id = entry.id;
        gid = entry.id;
        if (id == 0)
            return refuse(error, LARES_ERROR_INVALID, "is the superuser's group", name);
    } else if (gid >= 0) {
        if (!check_gid(gid, error) || !id_taken(d, 'g', gid, name, &taken, error))
            return FALSE;
        if (taken)
            return refuse(error, LARES_ERROR_CONFLICT, "would have a number that is or was another group's", name);
    } else if (!lares_directory_allocate(d, 'g', name, &id, error)) {
        return FALSE;
    }
    return lares_db_run(d->db, error, "INSERT INTO groups(name, gid) VALUES(?1, ?2)", "si", name, (gint64)id) &&
           lares_db_run(d->db, error, "DELETE FROM tombstones WHERE kind='g' AND name=?1", "s", name);
}

gboolean
lares_directory_group_add(LaresDirectory *d, const char *name, gint64 gid, GError **error)
{
    return lares_directory_begin(d, error) && lares_directory_end(d, add_group(d, name, gid, error), error);
}

static gboolean
delete_group(LaresDirectory *d, const char *name, GError **error)
{
    if (!has_group(d, name))
        return refuse(error, LARES_ERROR_NOT_FOUND, "is not a group of the directory", name);
    return lares_db_run(d->db, error,
                        "INSERT OR REPLACE INTO tombstones(kind, name, id) SELECT 'g', name, gid FROM groups"
                        " WHERE name=?1",
                        "s", name) &&
           lares_db_run(d->db, error, "DELETE FROM groups WHERE name=?1", "s", name);
}

gboolean
lares_directory_group_delete(LaresDirectory *d, const char *name, GError **error)
{
    return lares_directory_begin(d, error) && lares_directory_end(d, delete_group(d, name, error), error);
}

static gboolean
set_member(LaresDirectory *d, const char *group, const char *user, gboolean add, GError **error)
{
    LaresUserCopy copy;
    LaresNssEntry entry;
    if (!has_group(d, group))
        return refuse(error, LARES_ERROR_NOT_FOUND, "is not a group of the directory", group);
    if (!add)
        return lares_db_run(d->db, error, "DELETE FROM members WHERE grp=?1 AND user=?2", "ss", group, user);
    if (!lares_directory_copy_user(d, user, &copy) && lares_nss_user_by_name(d->nss, user, &entry) != LARES_NSS_FOUND)
        return refuse(error, LARES_ERROR_NOT_FOUND, "is neither in the directory nor an account of this host", user);
    return lares_db_run(d->db, error, "INSERT OR IGNORE INTO members(grp, user) VALUES(?1, ?2)", "ss", group, user);
}

gboolean
lares_directory_group_member(LaresDirectory *d, const char *group, const char *user, gboolean add, GError **error)
{
    return lares_directory_begin(d, error) && lares_directory_end(d, set_member(d, group, user, add, error), error);
}

static gboolean
check_mapping(const char *pattern, const char *user, GError **error)
{
    const char *star = strchr(pattern, '*');
    size_t len = strlen(pattern);
    if (len == 0 || len > 512 || !g_utf8_validate(pattern, (gssize)len, NULL) || (star && strchr(star + 1, '*')))
        return refuse(error, LARES_ERROR_INVALID, "is not a principal with at most one '*'", pattern);
    if (strchr(user, '*')) {
        if (!star || strchr(strchr(user, '*') + 1, '*'))
            return refuse(error, LARES_ERROR_INVALID, "has a '*' that stands for nothing", user);
        return TRUE;
    }
    return lares_directory_check_name("user", user, error);
}

static gboolean
set_mapping(LaresDirectory *d, const char *pattern, const char *user, GError **error)
{
    return check_mapping(pattern, user, error) &&
           lares_db_run(d->db, error, "INSERT OR REPLACE INTO mappings(pattern, user) VALUES(?1, ?2)", "ss", pattern,
                        user);
}

gboolean
lares_directory_mapping_set(LaresDirectory *d, const char *pattern, const char *user, GError **error)
{
    return lares_directory_begin(d, error) && lares_directory_end(d, set_mapping(d, pattern, user, error), error);
}

static gboolean
delete_mapping(LaresDirectory *d, const char *pattern, GError **error)
{
    g_rw_lock_reader_lock(&d->lock);
    gboolean there = g_hash_table_contains(d->tables.mappings, pattern);
    g_rw_lock_reader_unlock(&d->lock);
    if (!there)
        return refuse(error, LARES_ERROR_NOT_FOUND, "is not mapped", pattern);
    return lares_db_run(d->db, error, "DELETE FROM mappings WHERE pattern=?1", "s", pattern);
}

gboolean
lares_directory_mapping_delete(LaresDirectory *d, const char *pattern, GError **error)
{
    return lares_directory_begin(d, error) && lares_directory_end(d, delete_mapping(d, pattern, error), error);
}
