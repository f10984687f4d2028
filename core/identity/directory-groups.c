/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Changing groups, their members, and mappings. */
#include "identity/directory-private.h"

#include <string.h>

static gboolean
refuse(GError **error, LaresError code, const char *why, const char *name)
{
    g_set_error(error, LARES_ERROR, code, "\"%s\" %s", name, why);
    return FALSE;
}

/* ---- Groups ---------------------------------------------------------------------------------------------------- */

static gboolean
add_group(LaresDirectory *d, const char *name, gint64 gid, GError **error)
{
    LaresNssEntry entry;
    uint32_t id = (uint32_t)gid;
    gboolean taken = FALSE;
    if (!lares_directory_check_name("group", name, error))
        return FALSE;
    if (lares_directory_owns_group(d, name))
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
        if (!lares_directory_check_gid(gid, error) || !lares_directory_id_taken(d, 'g', gid, name, &taken, error))
            return FALSE;
        if (taken)
            return refuse(error, LARES_ERROR_CONFLICT, "would have a number that is or was another group's", name);
    } else if (!lares_directory_allocate(d, 'g', name, &id, error)) {
        return FALSE;
    }
    return lares_db_run(d->db, error, "INSERT INTO groups(name, gid) VALUES(?1, ?2)", "si", name, (gint64)id) &&
           lares_directory_settle(d, "g", name, id, error);
}

gboolean
lares_directory_group_add(LaresDirectory *d, const char *name, gint64 gid, GError **error)
{
    return lares_directory_begin(d, error) && lares_directory_end(d, add_group(d, name, gid, error), error);
}

static gboolean
is_default_group(LaresDirectory *d, const char *name)
{
    g_rw_lock_reader_lock(&d->lock);
    gboolean is = g_str_equal(d->config->default_group, name);
    g_rw_lock_reader_unlock(&d->lock);
    return is;
}

#define NAMED_MAX 3

/* Whose primary group it is: "ada, bob and 7 more"; NULL: nobody's. */
static char *
users_of_primary(LaresDirectory *d, const char *group)
{
    GHashTableIter iter;
    gpointer value;
    guint n = 0;
    g_autoptr(GString) names = g_string_new(NULL);
    g_rw_lock_reader_lock(&d->lock);
    const LaresGroup *found = g_hash_table_lookup(d->tables.groups, group);
    g_hash_table_iter_init(&iter, d->tables.users);
    while (found && g_hash_table_iter_next(&iter, NULL, &value)) {
        const LaresUser *user = value;
        /* An account of the host has its group from there. */
        if (user->gid == found->gid && user->source != LARES_USER_HOST && n++ < NAMED_MAX)
            g_string_append_printf(names, "%s%s", n > 1 ? ", " : "", user->name);
    }
    g_rw_lock_reader_unlock(&d->lock);
    if (n > NAMED_MAX)
        g_string_append_printf(names, " and %u more", n - NAMED_MAX);
    return n ? g_strdup(names->str) : NULL;
}

static gboolean
delete_group(LaresDirectory *d, const char *name, GError **error)
{
    if (!lares_directory_owns_group(d, name))
        return refuse(error, LARES_ERROR_NOT_FOUND, "is not a group of the directory", name);
    if (is_default_group(d, name))
        return refuse(error, LARES_ERROR_CONFLICT,
                      "is the group of users who are made at their first login: name another one first "
                      "(default-group in [identity] of lares.conf)",
                      name);
    g_autofree char *users = users_of_primary(d, name);
    if (users) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_CONFLICT,
                    "\"%s\" is the primary group of %s: give them another first (laresctl user set NAME --gid GID)",
                    name, users);
        return FALSE;
    }
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

/* A group of the host of that name joins its members with ours: name and number are the host's. */
static gboolean
not_the_hosts(LaresDirectory *d, const char *name, const char *why, GError **error)
{
    LaresNssEntry entry;
    switch (lares_nss_group_by_name(d->nss, name, &entry)) {
    case LARES_NSS_ABSENT:
        return TRUE;
    case LARES_NSS_FOUND:
        return refuse(error, LARES_ERROR_CONFLICT, why, name);
    default:
        return refuse(error, LARES_ERROR_FAILED, "may be a group of this host, but its name service does not answer",
                      name);
    }
}

static gboolean
rename_group(LaresDirectory *d, const char *name, const char *new_name, GError **error)
{
    if (is_default_group(d, name))
        return refuse(error, LARES_ERROR_CONFLICT,
                      "is the default-group in [identity] of lares.conf: change it there first", name);
    if (!lares_directory_check_name("group", new_name, error) ||
        !not_the_hosts(d, name, "is a group of this host and has its name from there", error) ||
        !not_the_hosts(d, new_name, "is a group of this host", error))
        return FALSE;
    if (lares_directory_owns_group(d, new_name))
        return refuse(error, LARES_ERROR_EXISTS, "exists already", new_name);
    return lares_db_run(d->db, error, "PRAGMA defer_foreign_keys=ON", NULL) &&
           lares_db_run(d->db, error, "UPDATE groups SET name=?2 WHERE name=?1", "ss", name, new_name) &&
           lares_db_run(d->db, error, "UPDATE members SET grp=?2 WHERE grp=?1", "ss", name, new_name) &&
           /* A number that a deleted group of the new name had stays out of use. */
           lares_db_run(d->db, error,
                        "UPDATE OR REPLACE tombstones SET name = name || ':' || id WHERE kind='g' AND name=?1", "s",
                        new_name);
}

/* The files of the old number stay: nobody else may be given it. Whoever has the group as primary one follows. */
static gboolean
renumber_group(LaresDirectory *d, const char *name, gint64 gid, GError **error)
{
    gboolean taken;
    if (!lares_directory_check_gid(gid, error) ||
        !not_the_hosts(d, name, "is a group of this host and has its number from there", error) ||
        !lares_directory_id_taken(d, 'g', gid, name, &taken, error))
        return FALSE;
    if (taken)
        return refuse(error, LARES_ERROR_CONFLICT, "would have a number that is or was another group's", name);
    return lares_db_run(d->db, error,
                        "INSERT OR REPLACE INTO tombstones(kind, name, id)"
                        " SELECT 'g', name || ':' || gid, gid FROM groups WHERE name=?1 AND gid<>?2",
                        "si", name, gid) &&
           lares_db_run(d->db, error,
                        "UPDATE users SET gid=?2 WHERE source<>'host' AND gid=(SELECT gid FROM groups WHERE name=?1)",
                        "si", name, gid) &&
           lares_db_run(d->db, error, "UPDATE groups SET gid=?2 WHERE name=?1", "si", name, gid);
}

static gboolean
set_group(LaresDirectory *d, const char *name, const char *new_name, gint64 gid, GError **error)
{
    if (!lares_directory_owns_group(d, name))
        return refuse(error, LARES_ERROR_NOT_FOUND, "is not a group of the directory", name);
    return (gid < 0 || renumber_group(d, name, gid, error)) &&
           (!new_name || g_str_equal(name, new_name) || rename_group(d, name, new_name, error));
}

gboolean
lares_directory_group_set(LaresDirectory *d, const char *name, const char *new_name, gint64 gid, GError **error)
{
    return lares_directory_begin(d, error) && lares_directory_end(d, set_group(d, name, new_name, gid, error), error);
}

static gboolean
set_member(LaresDirectory *d, const char *group, const char *user, gboolean add, GError **error)
{
    LaresUserCopy copy;
    LaresNssEntry entry;
    if (!lares_directory_owns_group(d, group))
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

/* ---- Mappings -------------------------------------------------------------------------------------------------- */

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
