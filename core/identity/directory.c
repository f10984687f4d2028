/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The directory's life: tables on disk and in memory, configuration, the frame of a change. */
#include "identity/directory-private.h"
#include "identity/directory-sid.h"

#include <string.h>

static const char *const schema[] = {
    "CREATE TABLE users(name TEXT PRIMARY KEY, uid INTEGER NOT NULL, gid INTEGER NOT NULL, source TEXT NOT NULL,"
    " disabled INTEGER NOT NULL DEFAULT 0, full_name TEXT NOT NULL DEFAULT '', principal TEXT NOT NULL DEFAULT '',"
    " created INTEGER NOT NULL);"
    "CREATE TABLE groups(name TEXT PRIMARY KEY, gid INTEGER NOT NULL UNIQUE);"
    "CREATE TABLE members(grp TEXT NOT NULL REFERENCES groups(name) ON DELETE CASCADE, user TEXT NOT NULL,"
    " PRIMARY KEY(grp, user));"
    "CREATE TABLE mappings(pattern TEXT PRIMARY KEY, user TEXT NOT NULL);"
    "CREATE TABLE tombstones(kind TEXT NOT NULL, name TEXT NOT NULL, id INTEGER NOT NULL, PRIMARY KEY(kind, name));",
    "CREATE TABLE secrets(user TEXT NOT NULL, kind TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY(user, kind));",
    "CREATE INDEX users_by_uid ON users(uid); CREATE INDEX tombstones_by_id ON tombstones(kind, id);",
    "CREATE TABLE domains(sid TEXT PRIMARY KEY, realm TEXT NOT NULL, name TEXT NOT NULL);"
    "CREATE TABLE sids(sid TEXT PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL);",
    NULL};

static const char *const sources[] = {"local", "kerberos", "host"};

static guint generation = 1; /* atomic */

guint
lares_directory_generation(void)
{
    return __atomic_load_n(&generation, __ATOMIC_ACQUIRE);
}

const char *
lares_user_source_name(LaresUserSource source)
{
    return sources[source];
}

gboolean
lares_user_source_is(const char *name)
{
    for (guint i = 0; i < G_N_ELEMENTS(sources); i++)
        if (g_str_equal(sources[i], name))
            return TRUE;
    return FALSE;
}

/* ---- Tables ---------------------------------------------------------------------------------------------------- */

static void
user_free(gpointer data)
{
    LaresUser *user = data;
    g_free(user->name);
    g_free(user->full_name);
    g_free(user->principal);
    g_free(user);
}

static void
group_free(gpointer data)
{
    LaresGroup *group = data;
    g_free(group->name);
    g_hash_table_unref(group->members);
    g_free(group);
}

static void
mapping_free(gpointer data)
{
    LaresMapping *mapping = data;
    g_free(mapping->pattern);
    g_free(mapping->user);
    g_free(mapping);
}

static int
compare_keys(gconstpointer a, gconstpointer b, gpointer user)
{
    return strcmp(a, b);
}

static void
tables_init(LaresTables *t)
{
    t->users = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, user_free);
    t->by_uid = g_hash_table_new(NULL, NULL);
    t->groups = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, group_free);
    t->by_gid = g_hash_table_new(NULL, NULL);
    t->mappings = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, mapping_free);
    t->patterns = g_ptr_array_new();
    t->users_sorted = g_tree_new_full(compare_keys, NULL, NULL, NULL);
    t->groups_sorted = g_tree_new_full(compare_keys, NULL, NULL, NULL);
    t->mappings_sorted = g_tree_new_full(compare_keys, NULL, NULL, NULL);
    t->memberships = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_ptr_array_unref);
    lares_sid_tables_init(t);
}

static void
tables_clear(LaresTables *t)
{
    if (!t->users)
        return;
    lares_sid_tables_clear(t);
    g_ptr_array_unref(t->patterns);
    g_tree_unref(t->users_sorted);
    g_tree_unref(t->groups_sorted);
    g_tree_unref(t->mappings_sorted);
    g_hash_table_unref(t->memberships);
    g_hash_table_unref(t->by_uid);
    g_hash_table_unref(t->by_gid);
    g_hash_table_unref(t->users);
    g_hash_table_unref(t->groups);
    g_hash_table_unref(t->mappings);
    memset(t, 0, sizeof *t);
}

void
lares_tables_put_user(LaresTables *t, LaresUser *user)
{
    g_tree_replace(t->users_sorted, user->name, user);
    g_hash_table_replace(t->users, user->name, user);
    const LaresUser *other = g_hash_table_lookup(t->by_uid, GUINT_TO_POINTER(user->uid));
    if (!other || !other->disabled)
        g_hash_table_insert(t->by_uid, GUINT_TO_POINTER(user->uid), user);
}

void
lares_tables_put_group(LaresTables *t, LaresGroup *group)
{
    g_tree_replace(t->groups_sorted, group->name, group);
    g_hash_table_replace(t->groups, group->name, group);
    g_hash_table_insert(t->by_gid, GUINT_TO_POINTER(group->gid), group);
}

/* Groups come in the order of their names. */
static void
put_member(LaresTables *t, LaresGroup *group, const char *user)
{
    GPtrArray *groups = g_hash_table_lookup(t->memberships, user);
    if (!groups) {
        groups = g_ptr_array_new();
        g_hash_table_insert(t->memberships, g_strdup(user), groups);
    }
    g_ptr_array_add(groups, group);
    g_hash_table_add(group->members, g_strdup(user));
}

static gboolean
load_users(LaresDirectory *d, LaresTables *t, GError **error)
{
    g_autoptr(GError) problem = NULL;
    sqlite3_stmt *q = lares_db_query(
        d->db, error, "SELECT name, uid, gid, source, disabled, full_name, principal, created FROM users", NULL);
    while (q && lares_db_next(d->db, q, &problem)) {
        LaresUser *user = g_new0(LaresUser, 1);
        user->name = g_strdup(lares_db_text(q, 0));
        user->uid = (uint32_t)sqlite3_column_int64(q, 1);
        user->gid = (uint32_t)sqlite3_column_int64(q, 2);
        for (guint i = 0; i < G_N_ELEMENTS(sources); i++) {
            if (g_str_equal(lares_db_text(q, 3), sources[i]))
                user->source = (LaresUserSource)i;
        }
        user->disabled = sqlite3_column_int(q, 4) != 0;
        user->full_name = g_strdup(lares_db_text(q, 5));
        user->principal = g_strdup(lares_db_text(q, 6));
        user->created = sqlite3_column_int64(q, 7);
        lares_tables_put_user(t, user);
    }
    if (!problem)
        return q != NULL;
    g_propagate_error(error, g_steal_pointer(&problem));
    return FALSE;
}

static gboolean
load_groups(LaresDirectory *d, LaresTables *t, GError **error)
{
    g_autoptr(GError) problem = NULL;
    sqlite3_stmt *q = lares_db_query(d->db, error, "SELECT name, gid FROM groups", NULL);
    while (q && lares_db_next(d->db, q, &problem)) {
        LaresGroup *group = g_new0(LaresGroup, 1);
        group->name = g_strdup(lares_db_text(q, 0));
        group->gid = (uint32_t)sqlite3_column_int64(q, 1);
        group->members = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        lares_tables_put_group(t, group);
    }
    if (q && !problem)
        q = lares_db_query(d->db, error, "SELECT grp, user FROM members ORDER BY grp", NULL);
    while (q && !problem && lares_db_next(d->db, q, &problem)) {
        LaresGroup *group = g_hash_table_lookup(t->groups, lares_db_text(q, 0));
        if (group)
            put_member(t, group, lares_db_text(q, 1));
    }
    if (!problem)
        return q != NULL;
    g_propagate_error(error, g_steal_pointer(&problem));
    return FALSE;
}

static int
compare_specific(gconstpointer a, gconstpointer b)
{
    const LaresMapping *x = *(LaresMapping *const *)a, *y = *(LaresMapping *const *)b;
    if (x->literal != y->literal)
        return x->literal > y->literal ? -1 : 1;
    return strcmp(x->pattern, y->pattern);
}

static gboolean
load_mappings(LaresDirectory *d, LaresTables *t, GError **error)
{
    g_autoptr(GError) problem = NULL;
    sqlite3_stmt *q = lares_db_query(d->db, error, "SELECT pattern, user FROM mappings", NULL);
    while (q && lares_db_next(d->db, q, &problem)) {
        LaresMapping *mapping = g_new0(LaresMapping, 1);
        mapping->pattern = g_strdup(lares_db_text(q, 0));
        mapping->user = g_strdup(lares_db_text(q, 1));
        mapping->literal = strlen(mapping->pattern) - 1;
        g_hash_table_insert(t->mappings, mapping->pattern, mapping);
        g_tree_insert(t->mappings_sorted, mapping->pattern, mapping);
        if (strchr(mapping->pattern, '*'))
            g_ptr_array_add(t->patterns, mapping);
    }
    g_ptr_array_sort(t->patterns, compare_specific);
    if (!problem)
        return q != NULL;
    g_propagate_error(error, g_steal_pointer(&problem));
    return FALSE;
}

/* The tables as the database has them now, in place of those in memory. */
static gboolean
reload(LaresDirectory *d, GError **error)
{
    LaresTables fresh;
    g_autoptr(GError) problem = NULL;
    tables_init(&fresh);
    lares_db_lock(d->db);
    gboolean ok = load_users(d, &fresh, &problem) && load_groups(d, &fresh, &problem) &&
                  load_mappings(d, &fresh, &problem) && lares_sid_tables_load(d, &fresh, &problem);
    lares_db_unlock(d->db);
    if (ok) {
        g_rw_lock_writer_lock(&d->lock);
        LaresTables old = d->tables;
        d->tables = fresh;
        /* Inside the lock: whoever sees the new number and asks again sees the new tables. */
        __atomic_fetch_add(&generation, 1, __ATOMIC_ACQ_REL);
        g_rw_lock_writer_unlock(&d->lock);
        fresh = old;
    } else {
        g_propagate_error(error, g_steal_pointer(&problem));
    }
    tables_clear(&fresh);
    return ok;
}

gboolean
lares_directory_begin(LaresDirectory *d, GError **error)
{
    g_mutex_lock(&d->change);
    if (lares_db_begin(d->db, error))
        return TRUE;
    g_mutex_unlock(&d->change);
    return FALSE;
}

gboolean
lares_directory_end(LaresDirectory *d, gboolean ok, GError **error)
{
    if (ok) {
        ok = lares_db_commit(d->db, error) && reload(d, error);
    } else {
        lares_db_rollback(d->db);
    }
    g_mutex_unlock(&d->change);
    return ok;
}

void
lares_directory_moved(LaresDirectory *d)
{
    g_rw_lock_writer_lock(&d->lock);
    __atomic_fetch_add(&generation, 1, __ATOMIC_ACQ_REL);
    g_rw_lock_writer_unlock(&d->lock);
}

static gboolean
copy_user(const LaresUser *user, LaresUserCopy *copy)
{
    if (!user)
        return FALSE;
    g_strlcpy(copy->name, user->name, sizeof copy->name);
    copy->uid = user->uid;
    copy->gid = user->gid;
    copy->source = user->source;
    copy->disabled = user->disabled;
    return TRUE;
}

gboolean
lares_directory_copy_user(LaresDirectory *d, const char *name, LaresUserCopy *copy)
{
    g_rw_lock_reader_lock(&d->lock);
    gboolean found = copy_user(g_hash_table_lookup(d->tables.users, name), copy);
    g_rw_lock_reader_unlock(&d->lock);
    return found;
}

gboolean
lares_directory_copy_user_by_uid(LaresDirectory *d, uint32_t uid, LaresUserCopy *copy)
{
    g_rw_lock_reader_lock(&d->lock);
    gboolean found = copy_user(g_hash_table_lookup(d->tables.by_uid, GUINT_TO_POINTER(uid)), copy);
    g_rw_lock_reader_unlock(&d->lock);
    return found;
}

gboolean
lares_directory_check_name(const char *what, const char *name, GError **error)
{
    size_t len = strlen(name);
    gboolean bad = len == 0 || len >= LARES_NSS_NAME_MAX || !g_utf8_validate(name, (gssize)len, NULL) ||
                   strpbrk(name, ":\\*") || g_str_equal(name, ".") || g_str_equal(name, "..") ||
                   strspn(name, "0123456789") == len || name[0] == '-' || name[0] == '/';
    for (const char *p = name; *p && !bad; p = g_utf8_next_char(p))
        bad = g_unichar_iscntrl(g_utf8_get_char(p)) || g_unichar_isspace(g_utf8_get_char(p));
    if (bad)
        g_set_error(error, LARES_ERROR, LARES_ERROR_INVALID, "\"%s\" cannot be the name of a %s", name, what);
    return !bad;
}

gboolean
lares_directory_host_uid_allowed(LaresDirectory *d, uint32_t uid)
{
    g_rw_lock_reader_lock(&d->lock);
    uint32_t min = d->config->host_uid_min;
    g_rw_lock_reader_unlock(&d->lock);
    return uid >= min && uid != LARES_NOBODY_ID && uid != UINT32_MAX;
}

/* ---- Configuration --------------------------------------------------------------------------------------------- */

LaresDirectoryConfig *
lares_directory_config_new(const char *domain)
{
    LaresDirectoryConfig *c = g_new0(LaresDirectoryConfig, 1);
    c->realms = g_new0(char *, 1);
    c->domain = g_strdup(domain ? domain : "");
    c->provision = TRUE;
    c->id_min = 600000;
    c->id_max = 699999;
    c->default_group = g_strdup("kerberos-users");
    c->host_accounts = TRUE;
    c->host_uid_min = 1000;
    c->machine_account = g_strdup("");
    c->server_groups = TRUE;
    c->cache_ttl = 600;
    return c;
}

void
lares_directory_config_free(LaresDirectoryConfig *c)
{
    if (!c)
        return;
    g_strfreev(c->realms);
    g_free(c->domain);
    g_free(c->default_group);
    g_free(c->machine_account);
    g_free(c);
}

gboolean
lares_directory_config_check(const LaresDirectoryConfig *c, GError **error)
{
    if (c->id_min == 0 || c->id_max <= c->id_min || c->id_max == UINT32_MAX ||
        (c->id_min <= LARES_NOBODY_ID && c->id_max >= LARES_NOBODY_ID)) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_CONFIG, "identity: uid-min %u and uid-max %u are no usable range",
                    c->id_min, c->id_max);
        return FALSE;
    }
    return lares_directory_check_name("group", c->default_group, error);
}

gboolean
lares_directory_set_config(LaresDirectory *d, LaresDirectoryConfig *config, GError **error)
{
    g_autoptr(LaresDirectoryConfig) c = config;
    if (!lares_directory_config_check(c, error))
        return FALSE;
    lares_nss_set_ttl(d->nss, c->cache_ttl);
    lares_nss_forget(d->nss);
    g_rw_lock_writer_lock(&d->lock);
    LaresDirectoryConfig *old = d->config;
    d->config = g_steal_pointer(&c);
    __atomic_fetch_add(&generation, 1, __ATOMIC_ACQ_REL);
    g_rw_lock_writer_unlock(&d->lock);
    lares_directory_config_free(old);
    return TRUE;
}

void
lares_directory_add_local_realm(LaresDirectory *d, const char *realm)
{
    g_rw_lock_writer_lock(&d->lock);
    if (*realm && !g_ptr_array_find_with_equal_func(d->local_realms, realm, g_str_equal, NULL)) {
        g_ptr_array_add(d->local_realms, g_strdup(realm));
        __atomic_fetch_add(&generation, 1, __ATOMIC_ACQ_REL);
    }
    g_rw_lock_writer_unlock(&d->lock);
}

LaresDirectory *
lares_directory_open(const char *database, const char *domain, const LaresNssBackend *nss, GError **error)
{
    g_autoptr(LaresDb) db = lares_db_open(database, error);
    if (!db || !lares_db_migrate(db, "identity", schema, error))
        return NULL;
    LaresDirectory *d = g_new0(LaresDirectory, 1);
    d->db = g_steal_pointer(&db);
    d->host_domain = g_strdup(domain);
    d->config = lares_directory_config_new(domain);
    d->nss = lares_nss_new(nss, d->config->cache_ttl);
    d->local_realms = g_ptr_array_new_with_free_func(g_free);
    g_mutex_init(&d->change);
    g_rw_lock_init(&d->lock);
    if (!reload(d, error)) {
        lares_directory_free(d);
        return NULL;
    }
    return d;
}

void
lares_directory_free(LaresDirectory *d)
{
    if (!d)
        return;
    tables_clear(&d->tables);
    g_ptr_array_unref(d->local_realms);
    lares_directory_config_free(d->config);
    lares_nss_free(d->nss);
    lares_db_close(d->db);
    g_free(d->host_domain);
    g_mutex_clear(&d->change);
    g_rw_lock_clear(&d->lock);
    g_free(d);
}
