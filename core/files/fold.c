/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finding a name whatever its case, in a file system that minds it.
 *
 * A directory in which an exact name was missing gets a table of its names by their upper case. The table is good as
 * long as the directory's change attribute is the one it was read at. What this server changes goes into the table as
 * it happens; such a change moves the attribute like a local program's would, so behind the first one the table is
 * trusted for a while whatever the attribute says, and then read again: a name that a local program makes in that while
 * is found by its exact name only.
 *
 * Folding is NTFS's: one character of the basic plane at a time, to upper case.
 *
 * Thread: any. Locks: one for the list of tables, one per table; the store is read under a table's lock (whoever wants
 * the same table would have to read the same directory). */
#include "files/files-private.h"

#define MAX_TABLES   64u
#define MAX_BYTES    (64u << 20) /* names in all tables together: some 2 million */
#define TRUST_USEC   (2 * G_USEC_PER_SEC)
#define TRUST_FACTOR 50 /* … and at least that many times what reading took */
#define NONE         UINT32_MAX

typedef struct {
    uint32_t hash, next; /* next in the bucket; NONE ends */
    uint32_t name;       /* offset in the names; NONE: free */
} Entry;

typedef struct {
    gint ref; /* atomic */
    LaresStore *store;
    LaresHandle handle;
    GMutex lock;
    gboolean filled;
    uint64_t change;
    gint64 trusted_until; /* 0: as long as change holds */
    gint64 read_usec;
    uint32_t *buckets;
    uint32_t n_buckets;
    GArray *entries; /* Entry */
    GByteArray *names;
    size_t bytes; /* as counted in `used` */
} Table;

static GMutex list_lock;
static GQueue tables; /* Table, most recently used first; guarded by list_lock */
static gint n_tables; /* atomic */
static gsize used;    /* guarded by list_lock */

/* ---- Folding ------------------------------------------------------------------------------------------------------
 */

static uint32_t
next_folded(const char **p)
{
    uint8_t c = (uint8_t) * *p;
    if (c < 0x80) {
        *p += 1;
        return c >= 'a' && c <= 'z' ? c - 32u : c;
    }
    gunichar u = g_utf8_get_char_validated(*p, -1);
    if (u == (gunichar)-1 || u == (gunichar)-2) {
        *p += 1;
        return 0x80000000u | c;
    }
    *p = g_utf8_next_char(*p);
    if (u >= 0x10000)
        return u;
    gunichar up = g_unichar_toupper(u);
    return up < 0x10000 ? up : u;
}

static uint32_t
hash_of(const char *name)
{
    uint32_t h = 2166136261u;
    while (*name)
        h = (h ^ next_folded(&name)) * 16777619u;
    return h ^ h >> 15;
}

static gboolean
equal(const char *a, const char *b)
{
    while (*a && *b)
        if (next_folded(&a) != next_folded(&b))
            return FALSE;
    return !*a && !*b;
}

/* ---- A table ------------------------------------------------------------------------------------------------------
 */

static void
table_unref(Table *table)
{
    if (!g_atomic_int_dec_and_test(&table->ref))
        return;
    g_free(table->buckets);
    g_array_unref(table->entries);
    g_byte_array_unref(table->names);
    g_mutex_clear(&table->lock);
    g_free(table);
}

static const char *
name_at(const Table *table, const Entry *entry)
{
    return (const char *)table->names->data + entry->name;
}

static void
rehash(Table *table, uint32_t n)
{
    g_free(table->buckets);
    table->buckets = g_new(uint32_t, n);
    table->n_buckets = n;
    memset(table->buckets, 0xff, n * sizeof(uint32_t));
    for (guint i = 0; i < table->entries->len; i++) {
        Entry *entry = &g_array_index(table->entries, Entry, i);
        if (entry->name == NONE)
            continue;
        entry->next = table->buckets[entry->hash & (n - 1)];
        table->buckets[entry->hash & (n - 1)] = i;
    }
}

/* The entry with exactly this name. */
static Entry *
find_exact(Table *table, const char *name, uint32_t hash)
{
    for (uint32_t i = table->buckets[hash & (table->n_buckets - 1)]; i != NONE;) {
        Entry *entry = &g_array_index(table->entries, Entry, i);
        if (entry->hash == hash && entry->name != NONE && g_str_equal(name_at(table, entry), name))
            return entry;
        i = entry->next;
    }
    return NULL;
}

static void
add(Table *table, const char *name, gboolean is_new)
{
    uint32_t hash = hash_of(name);
    if (!is_new && find_exact(table, name, hash))
        return;
    if (table->entries->len >= table->n_buckets)
        rehash(table, table->n_buckets * 2);
    uint32_t *bucket = &table->buckets[hash & (table->n_buckets - 1)];
    Entry entry = {hash, *bucket, table->names->len};
    g_byte_array_append(table->names, (const uint8_t *)name, (guint)strlen(name) + 1);
    *bucket = table->entries->len;
    g_array_append_val(table->entries, entry);
}

static void
take_out(Table *table, const char *name)
{
    Entry *entry = find_exact(table, name, hash_of(name));
    if (entry)
        entry->name = NONE; /* stays in its bucket until the table is read again */
}

static gboolean
add_entry(const LaresDirEntry *entry, gpointer user)
{
    Table *table = user;
    add(table, entry->name, TRUE);
    return table->names->len < MAX_BYTES / 2;
}

static LaresStatus
change_of(LaresStore *store, LaresNode *dir, uint64_t *change)
{
    LaresAttrs attrs = {0};
    LaresStatus status = STORE_IFACE(store)->getattr(store, dir, LARES_ATTR_CHANGE, &attrs);
    *change = attrs.change;
    return status;
}

static LaresStatus
fill(Table *table, LaresNode *dir, uint64_t change)
{
    const LaresCred server = lares_files_server_cred();
    gint64 start = g_get_monotonic_time();
    gboolean eof = FALSE;
    g_array_set_size(table->entries, 0);
    g_byte_array_set_size(table->names, 0);
    rehash(table, 64);
    table->filled = FALSE;
    LaresStatus status = STORE_IFACE(table->store)->readdir(table->store, &server, dir, 0, add_entry, table, &eof);
    if (status != LARES_OK || !eof)
        return status != LARES_OK ? status : LARES_NOTSUPP; /* too large for a table */
    table->read_usec = g_get_monotonic_time() - start;
    table->change = change;
    table->trusted_until = 0;
    table->filled = TRUE;
    return LARES_OK;
}

/* ---- The list -----------------------------------------------------------------------------------------------------
 */

/* A reference, or NULL. list_lock is held. */
static Table *
find_table(const LaresObject *dir)
{
    for (GList *l = tables.head; l; l = l->next) {
        Table *table = l->data;
        if (table->store != dir->share->store || table->handle.len != dir->node->handle.len ||
            memcmp(table->handle.bytes, dir->node->handle.bytes, table->handle.len) != 0)
            continue;
        g_queue_unlink(&tables, l);
        g_queue_push_head_link(&tables, l);
        g_atomic_int_inc(&table->ref);
        return table;
    }
    return NULL;
}

static Table *
get_table(const LaresObject *dir)
{
    g_mutex_lock(&list_lock);
    Table *table = find_table(dir);
    if (!table) {
        table = g_new0(Table, 1);
        table->ref = 2;
        table->store = dir->share->store;
        table->handle = dir->node->handle;
        g_mutex_init(&table->lock);
        table->entries = g_array_new(FALSE, FALSE, sizeof(Entry));
        table->names = g_byte_array_new();
        g_queue_push_head(&tables, table);
        g_atomic_int_inc(&n_tables);
    }
    g_mutex_unlock(&list_lock);
    return table;
}

/* Counts what the table takes now and lets go of the ones not used for longest. */
static void
account(Table *table)
{
    size_t bytes =
        sizeof *table + table->names->len + table->entries->len * sizeof(Entry) + table->n_buckets * sizeof(uint32_t);
    GSList *old = NULL;
    g_mutex_lock(&list_lock);
    if (g_queue_find(&tables, table)) {
        used += bytes - table->bytes;
        table->bytes = bytes;
    }
    while (tables.length > 1 && (tables.length > MAX_TABLES || used > MAX_BYTES)) {
        Table *last = g_queue_pop_tail(&tables);
        used -= last->bytes;
        g_atomic_int_add(&n_tables, -1);
        old = g_slist_prepend(old, last);
    }
    g_mutex_unlock(&list_lock);
    g_slist_free_full(old, (GDestroyNotify)table_unref);
}

/* The table's lock is held. */
static LaresStatus
make_good(Table *table, LaresNode *dir)
{
    uint64_t change;
    LaresStatus status = change_of(table->store, dir, &change);
    if (status != LARES_OK)
        return status;
    if (table->filled && table->trusted_until ? g_get_monotonic_time() < table->trusted_until
                                              : table->filled && table->change == change)
        return LARES_OK;
    return fill(table, dir, change);
}

static LaresStatus
look_in_table(const LaresObject *dir, const char *name, char real[LARES_NAME_LIMIT + 1])
{
    Table *table = get_table(dir);
    g_mutex_lock(&table->lock);
    LaresStatus status = make_good(table, dir->node);
    if (status == LARES_OK) {
        uint32_t hash = hash_of(name);
        const char *found = NULL;
        for (uint32_t i = table->buckets[hash & (table->n_buckets - 1)]; i != NONE && !found;) {
            const Entry *entry = &g_array_index(table->entries, Entry, i);
            if (entry->hash == hash && entry->name != NONE && equal(name_at(table, entry), name))
                found = name_at(table, entry);
            i = entry->next;
        }
        status = found && strlen(found) <= LARES_NAME_LIMIT ? LARES_OK : LARES_NOENT;
        if (status == LARES_OK)
            memcpy(real, found, strlen(found) + 1);
    }
    g_mutex_unlock(&table->lock);
    account(table);
    table_unref(table);
    return status;
}

/* ---- Without a table: directories too large for one ----------------------------------------------------------------
 */

typedef struct {
    const char *name;
    char *real;
} Search;

static gboolean
compare_entry(const LaresDirEntry *entry, gpointer user)
{
    Search *search = user;
    if (strlen(entry->name) > LARES_NAME_LIMIT || !equal(entry->name, search->name))
        return TRUE;
    memcpy(search->real, entry->name, strlen(entry->name) + 1);
    return FALSE;
}

static LaresStatus
look_through(const LaresObject *dir, const char *name, char real[LARES_NAME_LIMIT + 1])
{
    const LaresCred server = lares_files_server_cred();
    Search search = {name, real};
    gboolean eof = FALSE;
    LaresStore *store = dir->share->store;
    real[0] = '\0';
    LaresStatus status = STORE_IFACE(store)->readdir(store, &server, dir->node, 0, compare_entry, &search, &eof);
    return status == LARES_OK && !real[0] ? LARES_NOENT : status;
}

LaresStatus
lares_fold_find(const LaresObject *dir, const char *name, char real[LARES_NAME_LIMIT + 1])
{
    LaresStatus status = look_in_table(dir, name, real);
    return status == LARES_NOTSUPP ? look_through(dir, name, real) : status;
}

LaresStatus
lares_files_lookup_fold(LaresFiles *files, const LaresCaller *caller, const LaresObject *dir, const char *name,
                        char real[LARES_NAME_LIMIT + 1])
{
    if (dir->node->type != LARES_TYPE_DIRECTORY)
        return LARES_NOTDIR;
    /* Who may not look names up learns nothing. */
    uint32_t allowed = 0;
    LaresStatus status = lares_files_access(files, caller, dir, LARES_ACCESS_EXECUTE, &allowed);
    if (status != LARES_OK)
        return status;
    if (!(allowed & LARES_ACCESS_EXECUTE))
        return LARES_ACCESS;
    status = lares_fold_find(dir, name, real);
    if (status == LARES_OK && g_str_equal(real, LARES_HIDDEN_NAME))
        status = LARES_NOENT;
    return status;
}

void
lares_fold_changed(LaresFiles *files, const LaresObject *dir, const char *name, LaresChangeAction action,
                   uint32_t filter)
{
    if (G_LIKELY(g_atomic_int_get(&n_tables) == 0) || !(filter & (LARES_FILTER_FILE_NAME | LARES_FILTER_DIR_NAME)) ||
        action == LARES_CHANGE_MODIFIED)
        return;
    g_mutex_lock(&list_lock);
    Table *table = find_table(dir);
    g_mutex_unlock(&list_lock);
    if (!table)
        return;
    g_mutex_lock(&table->lock);
    if (table->filled) {
        if (action == LARES_CHANGE_ADDED || action == LARES_CHANGE_NEW_NAME)
            add(table, name, FALSE);
        else
            take_out(table, name);
        if (!table->trusted_until)
            table->trusted_until = g_get_monotonic_time() + MAX(TRUST_USEC, table->read_usec * TRUST_FACTOR);
    }
    g_mutex_unlock(&table->lock);
    table_unref(table);
}

void
lares_fold_forget(const LaresStore *store)
{
    g_mutex_lock(&list_lock);
    for (GList *l = tables.head; l;) {
        GList *next = l->next;
        Table *table = l->data;
        if (!store || table->store == store) {
            used -= table->bytes;
            g_atomic_int_add(&n_tables, -1);
            g_queue_delete_link(&tables, l);
            table_unref(table);
        }
        l = next;
    }
    g_mutex_unlock(&list_lock);
}
