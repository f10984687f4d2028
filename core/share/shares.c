/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* All shares: the database, the published table, changes. */
#include "share/shares-private.h"

#include <lares/log.h>
#include <string.h>
#include <sys/stat.h>

static const char *const schema[] = {
    /* AUTOINCREMENT: an id is never given again, because it stands in clients' file handles. */
    "CREATE TABLE shares(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, folded TEXT NOT NULL UNIQUE,"
    " pseudo TEXT NOT NULL UNIQUE, path TEXT NOT NULL, store TEXT NOT NULL, enabled INTEGER NOT NULL,"
    " read_only INTEGER NOT NULL, sync_metadata INTEGER NOT NULL, sec TEXT NOT NULL, squash TEXT NOT NULL,"
    " anonymous_uid INTEGER NOT NULL, anonymous_gid INTEGER NOT NULL, hosts TEXT NOT NULL);"
    "CREATE TABLE share_meta(one INTEGER PRIMARY KEY CHECK(one = 1), change INTEGER NOT NULL, time INTEGER NOT NULL);"
    "INSERT INTO share_meta(one, change, time) VALUES(1, 1, CAST(strftime('%s', 'now') AS INTEGER));",
    "ALTER TABLE shares ADD COLUMN access_based INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE shares ADD COLUMN smb_encrypt INTEGER NOT NULL DEFAULT 0;",
    "ALTER TABLE shares ADD COLUMN smb_bypass_traverse INTEGER NOT NULL DEFAULT 0;",
    "ALTER TABLE shares ADD COLUMN smb_short_names INTEGER NOT NULL DEFAULT 0;", NULL};

/* ---- Reading --------------------------------------------------------------------------------------------------- */

static LaresShareRecord *
read_record(sqlite3_stmt *q)
{
    LaresShareRecord *r = g_new0(LaresShareRecord, 1);
    r->id = (uint32_t)sqlite3_column_int64(q, 0);
    r->name = g_strdup(lares_db_text(q, 1));
    r->pseudo = g_strdup(lares_db_text(q, 2));
    r->path = g_strdup(lares_db_text(q, 3));
    r->store_type = g_strdup(lares_db_text(q, 4));
    r->enabled = sqlite3_column_int(q, 5) != 0;
    r->read_only = sqlite3_column_int(q, 6) != 0;
    r->sync_metadata = sqlite3_column_int(q, 7) != 0;
    r->sec = g_strsplit(lares_db_text(q, 8), ",", -1);
    if (!lares_squash_parse(lares_db_text(q, 9), &r->squash))
        r->squash = LARES_SQUASH_ALL; /* unreadable: the narrowest */
    r->anonymous_uid = (uint32_t)sqlite3_column_int64(q, 10);
    r->anonymous_gid = (uint32_t)sqlite3_column_int64(q, 11);
    r->hosts = lares_db_text(q, 12)[0] ? g_strsplit(lares_db_text(q, 12), ",", -1) : g_new0(char *, 1);
    r->access_based = sqlite3_column_int(q, 13) != 0;
    r->smb_encrypt = sqlite3_column_int(q, 14) != 0;
    r->smb_bypass_traverse = sqlite3_column_int(q, 15) != 0;
    r->smb_short_names = sqlite3_column_int(q, 16) != 0;
    r->folded = g_strdup(lares_db_text(q, 17));
    return r;
}

#define COLUMNS                                                                                                        \
    "SELECT id, name, pseudo, path, store, enabled, read_only, sync_metadata, sec, squash, anonymous_uid,"             \
    " anonymous_gid, hosts, access_based, smb_encrypt, smb_bypass_traverse, smb_short_names, folded FROM shares"

/* The record of one share, if it is there, or of all with `id` 0. */
static GPtrArray *
read_records(LaresShares *s, uint32_t id, uint64_t *change, gint64 *when, GError **error)
{
    g_autoptr(GError) problem = NULL;
    g_autoptr(GPtrArray) records = g_ptr_array_new_with_free_func((GDestroyNotify)lares_share_record_free);
    lares_db_lock(s->db);
    sqlite3_stmt *q = id ? lares_db_query(s->db, &problem, COLUMNS " WHERE id=?1", "i", (gint64)id)
                         : lares_db_query(s->db, &problem, COLUMNS " ORDER BY name", NULL);
    while (q && lares_db_next(s->db, q, &problem))
        g_ptr_array_add(records, read_record(q));
    if (!problem)
        q = lares_db_query(s->db, &problem, "SELECT change, time FROM share_meta", NULL);
    while (!problem && lares_db_next(s->db, q, &problem)) {
        *change = (uint64_t)sqlite3_column_int64(q, 0);
        *when = sqlite3_column_int64(q, 1);
    }
    lares_db_unlock(s->db);
    if (!problem)
        return g_steal_pointer(&records);
    g_propagate_error(error, g_steal_pointer(&problem));
    return NULL;
}

/* ---- Publishing ------------------------------------------------------------------------------------------------ */

static LaresShare *
publish_root(LaresShares *s, const GPtrArray *sorted)
{
    LaresShareFull *full = g_new0(LaresShareFull, 1);
    g_weak_ref_init(&full->last, NULL);
    full->record = lares_share_record_new();
    full->record->name = g_strdup("/");
    full->record->pseudo = g_strdup("/");
    full->record->path = g_strdup("/");
    full->pub = (LaresShare){.ref = 1,
                             .name = full->record->name,
                             .pseudo = full->record->pseudo,
                             .path = full->record->path,
                             .store_type = "pseudo",
                             .store = g_object_ref(LARES_STORE(s->pseudo)),
                             .enabled = TRUE,
                             .read_only = TRUE,
                             .squash = LARES_SQUASH_ALL,
                             .anonymous_uid = 65534,
                             .anonymous_gid = 65534,
                             .hosts = (const char *const *)full->record->hosts};
    full->pub.n_flavors = lares_pseudo_union_flavors(sorted, full->pub.flavor);
    return &full->pub;
}

static void
swap_table(LaresShares *s, GPtrArray *sorted, uint64_t change, gint64 when)
{
    GHashTable *by_id = g_hash_table_new(NULL, NULL);
    GHashTable *by_name = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint i = 0; i < sorted->len; i++) {
        LaresShare *share = g_ptr_array_index(sorted, i);
        g_hash_table_insert(by_id, GUINT_TO_POINTER(share->id), share);
        g_hash_table_insert(by_name, (gpointer)share->name, share);
    }
    lares_pseudo_update(s->pseudo, sorted, change, when);
    LaresShare *root = publish_root(s, sorted);
    g_rw_lock_writer_lock(&s->lock);
    GHashTable *old_id = s->by_id, *old_name = s->by_name;
    GPtrArray *old_sorted = s->sorted;
    LaresShare *old_root = s->root;
    s->by_id = by_id;
    s->by_name = by_name;
    s->sorted = sorted;
    s->root = root;
    __atomic_fetch_add(&s->generation, 1, __ATOMIC_ACQ_REL);
    g_rw_lock_writer_unlock(&s->lock);
    g_clear_pointer(&old_id, g_hash_table_unref);
    g_clear_pointer(&old_name, g_hash_table_unref);
    g_clear_pointer(&old_sorted, g_ptr_array_unref);
    lares_share_unref(old_root);
}

/* Publishes what the database says; with the change lock held. */
static gboolean
publish(LaresShares *s, GError **error)
{
    uint64_t change = 1;
    gint64 when = 0;
    GPtrArray *records = read_records(s, 0, &change, &when, error);
    if (!records)
        return FALSE;
    g_clear_pointer(&s->records, g_ptr_array_unref);
    s->records = records;
    GPtrArray *sorted = g_ptr_array_new_with_free_func((GDestroyNotify)lares_share_unref);
    for (guint i = 0; i < records->len; i++) {
        const LaresShareRecord *r = g_ptr_array_index(records, i);
        g_autoptr(LaresShare) old = r->id ? lares_shares_by_id(s, r->id) : NULL;
        g_ptr_array_add(sorted, lares_share_publish(s, lares_share_record_copy(r), old, s->open));
    }
    swap_table(s, sorted, change, when);
    return TRUE;
}

static void
put_record(GPtrArray *records, LaresShareRecord *r)
{
    guint at = 0;
    while (at < records->len && strcmp(((LaresShareRecord *)records->pdata[at])->name, r->name) < 0)
        at++;
    g_ptr_array_insert(records, (int)at, r);
}

/* The first one behind `name` in the order of names. */
static guint
first_behind(const GPtrArray *sorted, const char *name)
{
    guint from = 0, to = sorted->len;
    while (from < to) {
        guint middle = from + (to - from) / 2;
        if (strcmp(((const LaresShare *)sorted->pdata[middle])->name, name) <= 0)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

/* `old`, of which the caller has a reference, goes; `share`, which is taken over, comes; each may be NULL. */
static void
swap_one(LaresShares *s, LaresShare *old, LaresShare *share, uint64_t change, gint64 when)
{
    lares_pseudo_change(s->pseudo, old, share, change, when);
    g_rw_lock_writer_lock(&s->lock);
    if (old) {
        g_hash_table_remove(s->by_id, GUINT_TO_POINTER(old->id));
        g_hash_table_remove(s->by_name, old->name);
        g_ptr_array_remove(s->sorted, old);
    }
    if (share) {
        g_hash_table_insert(s->by_id, GUINT_TO_POINTER(share->id), share);
        g_hash_table_insert(s->by_name, (gpointer)share->name, share);
        g_ptr_array_insert(s->sorted, (int)first_behind(s->sorted, share->name), share);
    }
    LaresShare *old_root = s->root;
    s->root = publish_root(s, s->sorted);
    __atomic_fetch_add(&s->generation, 1, __ATOMIC_ACQ_REL);
    g_rw_lock_writer_unlock(&s->lock);
    lares_share_unref(old_root);
}

/* The same after a change of one share: the others are what they were. */
static gboolean
publish_one(LaresShares *s, uint32_t id, GError **error)
{
    uint64_t change = 1;
    gint64 when = 0;
    g_autoptr(GPtrArray) fresh = read_records(s, id, &change, &when, error);
    if (!fresh)
        return FALSE;
    for (guint i = 0; i < s->records->len; i++) {
        if (((LaresShareRecord *)s->records->pdata[i])->id == id)
            g_ptr_array_remove_index(s->records, i--);
    }
    g_autoptr(LaresShare) old = lares_shares_by_id(s, id);
    LaresShareRecord *r = fresh->len ? g_ptr_array_steal_index(fresh, 0) : NULL;
    if (r)
        put_record(s->records, r);
    swap_one(s, old, r ? lares_share_publish(s, lares_share_record_copy(r), old, s->open) : NULL, change, when);
    return TRUE;
}

static guint
count_missing(LaresShares *s)
{
    guint n = 0;
    g_rw_lock_reader_lock(&s->lock);
    for (guint i = 0; i < s->sorted->len; i++) {
        const LaresShare *share = g_ptr_array_index(s->sorted, i);
        n += share->enabled && !share->store;
    }
    g_rw_lock_reader_unlock(&s->lock);
    return n;
}

/* ---- Life ------------------------------------------------------------------------------------------------------ */

LaresShares *
lares_shares_open(const char *database, LaresHost *host, GError **error)
{
    g_autoptr(LaresDb) db = lares_db_open(database, error);
    if (!db || !lares_db_migrate(db, "share", schema, error))
        return NULL;
    LaresShares *s = g_new0(LaresShares, 1);
    s->host = host;
    s->db = g_steal_pointer(&db);
    s->pseudo = lares_pseudo_new();
    s->generation = 1;
    s->mounts_fd = -1;
    s->suspect = -1; /* nothing is watched yet */
    g_mutex_init(&s->change);
    g_rw_lock_init(&s->lock);
    s->by_id = g_hash_table_new(NULL, NULL);
    s->sorted = g_ptr_array_new();
    if (!publish(s, error)) {
        lares_shares_free(s);
        return NULL;
    }
    return s;
}

void
lares_shares_free(LaresShares *s)
{
    if (!s)
        return;
    lares_shares_unwatch(s);
    g_clear_pointer(&s->by_id, g_hash_table_unref);
    g_clear_pointer(&s->by_name, g_hash_table_unref);
    g_clear_pointer(&s->sorted, g_ptr_array_unref);
    g_clear_pointer(&s->records, g_ptr_array_unref);
    lares_share_unref(s->root);
    g_object_unref(s->pseudo);
    lares_db_close(s->db);
    g_mutex_clear(&s->change);
    g_rw_lock_clear(&s->lock);
    g_free(s);
}

gboolean
lares_shares_open_all(LaresShares *s, GError **error)
{
    g_mutex_lock(&s->change);
    s->open = TRUE;
    gboolean ok = publish(s, error);
    g_mutex_unlock(&s->change);
    if (!ok)
        return FALSE;
    g_autoptr(GPtrArray) list = lares_shares_list(s);
    for (guint i = 0; i < list->len; i++) {
        const LaresShare *share = g_ptr_array_index(list, i);
        if (share->enabled && !share->store && !lares_share_full(share)->trouble)
            lares_warning("share", "share %s: %s is not there (yet)", share->name, share->path);
        if (share->enabled && share->n_flavors == 0)
            lares_warning("share", "share %s: no module offers any of its flavors: nobody may use it", share->name);
    }
    lares_shares_watch(s, count_missing(s));
    return TRUE;
}

/* Does the path lead somewhere else than when the store was opened? */
static gboolean
needs_opening(const LaresShare *share)
{
    struct stat st;
    if (!share->enabled || stat(share->path, &st) < 0 || !S_ISDIR(st.st_mode))
        return FALSE;
    const LaresShareFull *full = lares_share_full(share);
    return !share->store || st.st_dev != full->dev || st.st_ino != full->ino;
}

guint
lares_shares_recheck(LaresShares *s)
{
    gboolean moved = FALSE;
    g_mutex_lock(&s->change);
    GPtrArray *sorted = g_ptr_array_new_with_free_func((GDestroyNotify)lares_share_unref);
    g_autoptr(GPtrArray) list = lares_shares_list(s);
    for (guint i = 0; i < list->len; i++) {
        LaresShare *share = g_ptr_array_index(list, i);
        LaresShare *fresh = s->open && needs_opening(share) ? lares_share_reopen(s, share) : NULL;
        if (fresh) {
            moved = TRUE;
            lares_info("share", "share %s: %s is there now", fresh->name, fresh->path);
        }
        g_ptr_array_add(sorted, fresh ? fresh : lares_share_ref(share));
    }
    uint64_t change = 1;
    gint64 when = 0;
    g_autoptr(GPtrArray) records = moved ? read_records(s, 0, &change, &when, NULL) : NULL;
    if (records)
        swap_table(s, sorted, change, when);
    else
        g_ptr_array_unref(sorted);
    g_mutex_unlock(&s->change);
    return count_missing(s);
}

/* ---- Looking up ------------------------------------------------------------------------------------------------ */

LaresShare *
lares_shares_by_id(LaresShares *s, uint32_t id)
{
    g_rw_lock_reader_lock(&s->lock);
    LaresShare *share = id ? g_hash_table_lookup(s->by_id, GUINT_TO_POINTER(id)) : s->root;
    if (share)
        lares_share_ref(share);
    g_rw_lock_reader_unlock(&s->lock);
    return share;
}

LaresShare *
lares_shares_pseudo(LaresShares *s)
{
    return lares_shares_by_id(s, 0);
}

LaresShare *
lares_shares_by_name(LaresShares *s, const char *name)
{
    g_rw_lock_reader_lock(&s->lock);
    LaresShare *share = g_hash_table_lookup(s->by_name, name);
    if (share)
        lares_share_ref(share);
    g_rw_lock_reader_unlock(&s->lock);
    return share;
}

GPtrArray *
lares_shares_page(LaresShares *s, LaresControlPage *page)
{
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)lares_share_unref);
    g_rw_lock_reader_lock(&s->lock);
    for (guint i = page && page->after ? first_behind(s->sorted, page->after) : 0; i < s->sorted->len; i++) {
        LaresShare *share = g_ptr_array_index(s->sorted, i);
        if (!lares_control_page_has(page, share->name))
            break;
        g_ptr_array_add(list, lares_share_ref(share));
    }
    if (page)
        page->total = s->sorted->len;
    g_rw_lock_reader_unlock(&s->lock);
    return list;
}

GPtrArray *
lares_shares_list(LaresShares *s)
{
    return lares_shares_page(s, NULL);
}

guint
lares_shares_generation(LaresShares *s)
{
    return __atomic_load_n(&s->generation, __ATOMIC_ACQUIRE);
}

LaresStatus
lares_pseudo_node_of_share(LaresShares *s, const LaresShare *share, LaresNode **node)
{
    return lares_pseudo_find(s->pseudo, share->pseudo, node);
}

/* ---- Changing -------------------------------------------------------------------------------------------------- */

static gboolean
is_below(const char *path, const char *top)
{
    size_t len = strlen(top);
    return g_str_has_prefix(path, top) && (path[len] == '\0' || path[len] == '/' || (len == 1 && top[0] == '/'));
}

static char *
fold(const char *name)
{
    g_autofree char *normal = g_utf8_normalize(name, -1, G_NORMALIZE_NFC);
    return g_utf8_casefold(normal, -1);
}

/* Names differ in more than case; no share hangs inside another one, where nobody could reach it. */
static gboolean
check_against_others(LaresShares *s, const LaresShareRecord *r, gboolean new_path, GPtrArray *warnings, GError **error)
{
    g_autofree char *folded = fold(r->name);
    const LaresShareRecord *same = NULL;
    guint n_same = 0;
    for (guint i = 0; i < s->records->len; i++) {
        const LaresShareRecord *other = g_ptr_array_index(s->records, i);
        if (other->id == r->id)
            continue;
        if (g_str_equal(folded, other->folded)) {
            g_set_error(error, LARES_ERROR, LARES_ERROR_EXISTS, "name: there is a share \"%s\"", other->name);
            return FALSE;
        }
        if (is_below(r->pseudo, other->pseudo) || is_below(other->pseudo, r->pseudo)) {
            g_set_error(error, LARES_ERROR, LARES_ERROR_CONFLICT, "pseudo: %s and %s of share \"%s\" cover each other",
                        r->pseudo, other->pseudo, other->name);
            return FALSE;
        }
        if (is_below(r->path, other->path) || is_below(other->path, r->path)) {
            same = same ? same : other;
            n_same++;
        }
    }
    if (warnings && new_path && same) {
        g_autofree char *more = n_same > 1 ? g_strdup_printf(" and %u more", n_same - 1) : g_strdup("");
        g_ptr_array_add(warnings,
                        g_strdup_printf("%s overlaps with %s of share \"%s\"%s: the same files under several policies",
                                        r->path, same->path, same->name, more));
    }
    if (warnings && !g_file_test(r->path, G_FILE_TEST_IS_DIR))
        g_ptr_array_add(warnings, g_strdup_printf("%s is not a directory (yet)", r->path));
    if (warnings && (r->anonymous_uid == 0 || r->anonymous_gid == 0))
        g_ptr_array_add(warnings, g_strdup("anonymous callers become the superuser here"));
    for (guint i = 0; warnings && r->sec[i]; i++) {
        if (!lares_flavor_by_name(r->sec[i]))
            g_ptr_array_add(warnings, g_strdup_printf("no loaded module offers the flavor %s", r->sec[i]));
    }
    return TRUE;
}

static gboolean
store_record(LaresShares *s, const LaresShareRecord *r, GError **error)
{
    g_autofree char *sec = g_strjoinv(",", r->sec);
    g_autofree char *hosts = g_strjoinv(",", r->hosts);
    g_autofree char *folded = fold(r->name);
    if (r->id == 0)
        return lares_db_run(s->db, error,
                            "INSERT INTO shares(name, folded, pseudo, path, store, enabled, read_only, sync_metadata,"
                            " sec, squash, anonymous_uid, anonymous_gid, hosts, access_based, smb_encrypt,"
                            " smb_bypass_traverse, smb_short_names)"
                            " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
                            "sssssiiissiisiiii", r->name, folded, r->pseudo, r->path, r->store_type, (gint64)r->enabled,
                            (gint64)r->read_only, (gint64)r->sync_metadata, sec, lares_squash_name(r->squash),
                            (gint64)r->anonymous_uid, (gint64)r->anonymous_gid, hosts, (gint64)r->access_based,
                            (gint64)r->smb_encrypt, (gint64)r->smb_bypass_traverse, (gint64)r->smb_short_names);
    return lares_db_run(s->db, error,
                        "UPDATE shares SET pseudo=?2, path=?3, store=?4, enabled=?5, read_only=?6, sync_metadata=?7,"
                        " sec=?8, squash=?9, anonymous_uid=?10, anonymous_gid=?11, hosts=?12, access_based=?13,"
                        " smb_encrypt=?14, smb_bypass_traverse=?15, smb_short_names=?16 WHERE id=?1",
                        "isssiiissiisiiii", (gint64)r->id, r->pseudo, r->path, r->store_type, (gint64)r->enabled,
                        (gint64)r->read_only, (gint64)r->sync_metadata, sec, lares_squash_name(r->squash),
                        (gint64)r->anonymous_uid, (gint64)r->anonymous_gid, hosts, (gint64)r->access_based,
                        (gint64)r->smb_encrypt, (gint64)r->smb_bypass_traverse, (gint64)r->smb_short_names);
}

/* The pseudo-root's change attribute must move, and never back, whatever the clock does. */
static gboolean
move_change(LaresShares *s, GError **error)
{
    return lares_db_run(s->db, error,
                        "UPDATE share_meta SET change=change+1, time=CAST(strftime('%s', 'now') AS INTEGER)", NULL);
}

static gboolean
begin(LaresShares *s, GError **error)
{
    g_mutex_lock(&s->change);
    if (lares_db_begin(s->db, error))
        return TRUE;
    g_mutex_unlock(&s->change);
    return FALSE;
}

/* `id` 0: of the share that was made. */
static gboolean
end(LaresShares *s, gboolean ok, uint32_t id, GError **error)
{
    if (ok && !id)
        id = (uint32_t)lares_db_last_id(s->db);
    if (ok && move_change(s, error)) {
        ok = lares_db_commit(s->db, error) && publish_one(s, id, error);
    } else {
        ok = FALSE;
        lares_db_rollback(s->db);
    }
    gboolean open = s->open;
    g_mutex_unlock(&s->change);
    if (ok && open)
        lares_shares_watch(s, count_missing(s));
    return ok;
}

/* Who made the share is told at once why nobody can use it yet. */
static void
add_trouble(LaresShares *s, const char *name, GPtrArray *warnings)
{
    g_autoptr(LaresShare) share = lares_shares_by_name(s, name);
    const char *trouble = share ? lares_share_full(share)->trouble : NULL;
    if (warnings && trouble)
        g_ptr_array_add(warnings, g_strdup_printf("it cannot be used: %s", trouble));
}

static void
log_warnings(const char *share, GPtrArray *warnings, guint from)
{
    for (guint i = from; warnings && i < warnings->len; i++)
        lares_warning("share", "share %s: %s", share, (char *)g_ptr_array_index(warnings, i));
}

gboolean
lares_shares_create(LaresShares *s, GVariant *args, GPtrArray *warnings, GError **error)
{
    guint from = warnings ? warnings->len : 0;
    g_autoptr(LaresShareRecord) r = lares_share_record_new();
    if (!lares_share_record_apply(r, args, error))
        return FALSE;
    if (!r->name || !r->path) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_INVALID, "name and path are needed");
        return FALSE;
    }
    if (!begin(s, error))
        return FALSE;
    gboolean ok = end(s, check_against_others(s, r, TRUE, warnings, error) && store_record(s, r, error), 0, error);
    if (ok)
        log_warnings(r->name, warnings, from);
    if (ok)
        add_trouble(s, r->name, warnings);
    return ok;
}

static const LaresShareRecord *
find_record(LaresShares *s, const char *name, GError **error)
{
    for (guint i = 0; name && i < s->records->len; i++) {
        const LaresShareRecord *r = g_ptr_array_index(s->records, i);
        if (g_str_equal(r->name, name))
            return r;
    }
    g_set_error(error, LARES_ERROR, LARES_ERROR_NOT_FOUND, "there is no share \"%s\"", name ? name : "");
    return NULL;
}

gboolean
lares_shares_change(LaresShares *s, GVariant *args, GPtrArray *warnings, GError **error)
{
    const char *name = NULL;
    guint from = warnings ? warnings->len : 0;
    g_variant_lookup(args, "name", "&s", &name);
    if (!begin(s, error))
        return FALSE;
    const LaresShareRecord *old = find_record(s, name, error);
    g_autoptr(LaresShareRecord) r = old ? lares_share_record_copy(old) : NULL;
    gboolean ok = end(s,
                      r && lares_share_record_apply(r, args, error) &&
                          check_against_others(s, r, !g_str_equal(r->path, old->path), warnings, error) &&
                          store_record(s, r, error),
                      r ? r->id : 0, error);
    if (ok)
        log_warnings(name, warnings, from);
    if (ok)
        add_trouble(s, name, warnings);
    return ok;
}

gboolean
lares_shares_remove(LaresShares *s, const char *name, GError **error)
{
    if (!begin(s, error))
        return FALSE;
    const LaresShareRecord *r = find_record(s, name, error);
    return end(s, r && lares_db_run(s->db, error, "DELETE FROM shares WHERE id=?1", "i", (gint64)r->id), r ? r->id : 0,
               error);
}
