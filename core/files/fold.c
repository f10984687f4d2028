/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finding a name whatever its case, in a file system that minds it.
 *
 * A directory in which an exact name was missing gets a table of its names by their upper case. Where the store tells
 * what names come and go (names_watch), the table follows that and is true without the directory being read again,
 * whoever changes it: this server by any protocol or a local program.
 *
 * Elsewhere the table is good as long as the directory's change attribute is the one it was read at. What this server
 * changes goes into the table as it happens; such a change moves the attribute like anybody's would, so behind the
 * first one the table is trusted for a while whatever the attribute says, and then read again: there, a name that
 * somebody else makes in that while is found by its exact name only.
 *
 * Tables are bounded in number and in bytes over all; who is not asked for a minute goes.
 *
 * Thread: any. Locks: one, for all tables; below that of the store's names_poll. It is not held while a store works. */
#include "files/fold-names.h"

#define MAX_TABLES   64u
#define MAX_BYTES    (64u << 20)         /* in all tables together: some 2 million names */
#define MAX_TABLE    (MAX_BYTES / 4 * 3) /* in one */
#define MAX_LOG      (1u << 20)          /* bytes of names that come and go while a directory is read */
#define TRUST_USEC   (2 * G_USEC_PER_SEC)
#define TRUST_FACTOR 50 /* … and at least that many times what reading took */
#define IDLE_USEC    (60 * G_USEC_PER_SEC)
#define TICK_SECONDS 5

typedef struct {
    guint ref;         /* guarded by lock, like all that follows */
    LaresStore *store; /* a reference */
    LaresHandle handle;
    LaresNames names;
    gboolean filled;
    gboolean filling; /* somebody reads the directory; who wants it too waits */
    gboolean dirty;   /* something was missed meanwhile */
    GByteArray *log;  /* what came (1) or went (0) meanwhile: that byte, the name, NUL */
    uint32_t watch;   /* 0: none */
    gboolean lost;    /* the watch's end */
    gboolean unwatchable;
    uint64_t change;      /* without a watch */
    gint64 trusted_until; /* 0: as long as change holds */
    gint64 read_usec;
    gint64 too_large_until;
    gint64 used_at;
    size_t bytes; /* as counted in `used` */
} Table;

static GMutex lock;
static GCond read_to_end; /* a table was filled, or could not be */
static GQueue tables;     /* Table, most recently used first; guarded by lock */
static gsize used;        /* guarded by lock */
static guint ticking;     /* a GSource id of the main context; guarded by lock */
static gint n_watched;    /* atomic */
static gint n_unwatched;  /* atomic: tables that must be told by this server */
static gint n_reads;      /* atomic */

guint
lares_fold_reads(void)
{
    return (guint)g_atomic_int_get(&n_reads);
}

gsize
lares_fold_bytes(void)
{
    g_mutex_lock(&lock);
    gsize bytes = used;
    g_mutex_unlock(&lock);
    return bytes;
}

/* ---- The list -----------------------------------------------------------------------------------------------------
 */

/* What is to be let go of when the lock is not held any more. */
typedef struct {
    GSList *tables;
} Ending;

/* lock is held. */
static void
table_unref(Table *table, Ending *ending)
{
    if (--table->ref == 0)
        ending->tables = g_slist_prepend(ending->tables, table);
}

/* lock is not held. */
static void
end(Ending *ending)
{
    for (GSList *l = ending->tables; l; l = l->next) {
        Table *table = l->data;
        if (table->watch) {
            STORE_IFACE(table->store)->names_unwatch(table->store, table->watch);
            g_atomic_int_add(&n_watched, -1);
        }
        if (table->unwatchable)
            g_atomic_int_add(&n_unwatched, -1);
        lares_names_clear(&table->names);
        g_byte_array_unref(table->log);
        g_object_unref(table->store);
        g_free(table);
    }
    g_clear_pointer(&ending->tables, g_slist_free);
}

/* lock is held. */
static void
take_from_list(GList *link, Ending *ending)
{
    Table *table = link->data;
    used -= table->bytes;
    table->bytes = 0;
    g_queue_delete_link(&tables, link);
    table_unref(table, ending);
}

/* Counts what a table of the list takes now. lock is held. */
static void
count(Table *table)
{
    size_t bytes = sizeof *table + lares_names_bytes(&table->names) + table->log->len;
    used += bytes - table->bytes;
    table->bytes = bytes;
}

/* Lets go of the ones not used for longest. lock is held. */
static void
trim(Ending *ending)
{
    while (tables.length > MAX_TABLES || (used > MAX_BYTES && tables.length > 0))
        take_from_list(tables.tail, ending);
}

/* lock is held. */
static GList *
find_link(const LaresStore *store, const LaresHandle *handle)
{
    for (GList *l = tables.head; l; l = l->next) {
        const Table *table = l->data;
        if (table->store == store && table->handle.len == handle->len &&
            memcmp(table->handle.bytes, handle->bytes, handle->len) == 0)
            return l;
    }
    return NULL;
}

static void on_names(uint32_t watch, const char *name, gboolean there, gpointer user);

static gboolean
on_tick(gpointer user)
{
    Ending ending = {NULL};
    gint64 before = g_get_monotonic_time() - IDLE_USEC;
    LaresStore *store = NULL;
    g_mutex_lock(&lock);
    for (GList *l = tables.tail, *previous; l; l = previous) {
        const Table *table = l->data;
        previous = l->prev;
        if (table->used_at < before && !table->filling)
            take_from_list(l, &ending);
        else if (table->watch && !store)
            store = g_object_ref(table->store);
    }
    gboolean more = tables.length > 0;
    if (!more)
        ticking = 0;
    g_mutex_unlock(&lock);
    end(&ending);
    if (store) {
        STORE_IFACE(store)->names_poll(store, on_names, NULL); /* the kernel's queue has a bound, and so have we */
        g_object_unref(store);
        g_mutex_lock(&lock);
        trim(&ending);
        g_mutex_unlock(&lock);
        end(&ending);
    }
    return more ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

/* A reference. lock is held. */
static Table *
get_table(const LaresObject *dir)
{
    GList *link = find_link(dir->share->store, &dir->node->handle);
    Table *table;
    if (link) {
        table = link->data;
        g_queue_unlink(&tables, link);
        g_queue_push_head_link(&tables, link);
    } else {
        table = g_new0(Table, 1);
        table->ref = 1;
        table->store = g_object_ref(dir->share->store);
        table->handle = dir->node->handle;
        table->log = g_byte_array_new();
        g_queue_push_head(&tables, table);
        if (!ticking)
            ticking = g_timeout_add_seconds(TICK_SECONDS, on_tick, NULL);
    }
    table->ref++;
    table->used_at = g_get_monotonic_time();
    return table;
}

/* ---- What comes and goes ------------------------------------------------------------------------------------------
 */

/* lock is held. */
static void
apply(Table *table, const char *name, gboolean there)
{
    if (table->filling) {
        uint8_t what = there ? 1 : 0;
        if (table->log->len > MAX_LOG) {
            table->dirty = TRUE;
            return;
        }
        g_byte_array_append(table->log, &what, 1);
        g_byte_array_append(table->log, (const uint8_t *)name, (guint)strlen(name) + 1);
    } else if (table->filled && there) {
        lares_names_add(&table->names, name);
    } else if (table->filled) {
        lares_names_take_out(&table->names, name);
    }
}

/* From the store's names_poll. */
static void
on_names(uint32_t watch, const char *name, gboolean there, gpointer user)
{
    g_mutex_lock(&lock);
    for (GList *l = tables.head; l; l = l->next) {
        Table *table = l->data;
        if (table->watch == 0 || (watch != 0 && table->watch != watch))
            continue;
        if (name) {
            apply(table, name, there);
            count(table);
        } else {
            table->lost = table->dirty = TRUE;
            table->filled = FALSE;
        }
    }
    g_mutex_unlock(&lock);
}

static void
poll_names(LaresStore *store)
{
    if (g_atomic_int_get(&n_watched) > 0 && STORE_IFACE(store)->names_poll)
        STORE_IFACE(store)->names_poll(store, on_names, NULL);
}

/* ---- Reading a directory ------------------------------------------------------------------------------------------
 */

static gboolean
add_entry(const LaresDirEntry *entry, gpointer user)
{
    LaresNames *names = user;
    lares_names_append(names, entry->name);
    return lares_names_bytes(names) < MAX_TABLE;
}

static LaresStatus
change_of(LaresStore *store, LaresNode *dir, uint64_t *change)
{
    LaresAttrs attrs = {0};
    LaresStatus status = STORE_IFACE(store)->getattr(store, dir, LARES_ATTR_CHANGE, &attrs);
    *change = attrs.change;
    return status;
}

static void
replay(Table *table, LaresNames *names)
{
    for (guint at = 0; at < table->log->len;) {
        const char *name = (const char *)table->log->data + at + 1;
        if (table->log->data[at])
            lares_names_add(names, name);
        else
            lares_names_take_out(names, name);
        at += 2 + (guint)strlen(name);
    }
    g_byte_array_set_size(table->log, 0);
}

/* Watches before it is read, so that nothing falls between. lock is not held. */
static void
start_watching(Table *table, LaresNode *dir)
{
    const LaresStoreInterface *iface = STORE_IFACE(table->store);
    uint32_t watch = 0, old = 0;
    g_mutex_lock(&lock);
    if (table->watch && table->lost) {
        old = table->watch;
        table->watch = 0;
    }
    gboolean ask = !table->watch && !table->unwatchable;
    g_mutex_unlock(&lock);
    if (old) {
        iface->names_unwatch(table->store, old);
        g_atomic_int_add(&n_watched, -1);
    }
    if (!ask)
        return;
    gboolean watched = iface->names_watch && iface->names_watch(table->store, dir, &watch) == LARES_OK;
    g_atomic_int_inc(watched ? &n_watched : &n_unwatched);
    g_mutex_lock(&lock);
    table->watch = watch;
    table->unwatchable = !watched;
    table->lost = table->dirty = FALSE;
    g_mutex_unlock(&lock);
}

/* lock is held before and after, and not while the directory is read. */
static LaresStatus
fill(Table *table, LaresNode *dir, Ending *ending)
{
    const LaresCred server = lares_files_server_cred();
    LaresNames names, old;
    uint64_t change = 0;
    gboolean eof = FALSE;
    table->filling = TRUE;
    table->filled = table->dirty = FALSE;
    g_byte_array_set_size(table->log, 0);
    g_mutex_unlock(&lock);

    start_watching(table, dir);
    lares_names_init(&names);
    gint64 start = g_get_monotonic_time();
    g_atomic_int_inc(&n_reads);
    LaresStatus status = change_of(table->store, dir, &change);
    if (status == LARES_OK)
        status = STORE_IFACE(table->store)->readdir(table->store, &server, dir, 0, add_entry, &names, &eof);
    gint64 now = g_get_monotonic_time();

    g_mutex_lock(&lock);
    if (status == LARES_OK && !eof) {
        table->too_large_until = now + IDLE_USEC;
        status = LARES_NOTSUPP;
    }
    if (status == LARES_OK) {
        replay(table, &names);
        old = table->names;
        table->names = names;
        names = old;
        table->filled = TRUE;
        table->change = change;
        table->trusted_until = 0;
        table->read_usec = now - start;
    }
    table->filling = FALSE;
    g_cond_broadcast(&read_to_end);
    if (g_queue_find(&tables, table)) {
        count(table);
        trim(ending);
    }
    lares_names_clear(&names);
    return status;
}

/* lock is held. `change` is the directory's now, or older. */
static gboolean
is_good(const Table *table, uint64_t change)
{
    if (!table->filled)
        return FALSE;
    if (table->watch)
        return !table->dirty;
    return table->trusted_until ? g_get_monotonic_time() < table->trusted_until : table->change == change;
}

typedef const char *(*FindFunc)(const LaresNames *names, const char *name);

static LaresStatus
look_in_table(const LaresObject *dir, const char *name, FindFunc find, char real[LARES_NAME_LIMIT + 1])
{
    LaresStore *store = dir->share->store;
    Ending ending = {NULL};
    uint64_t change = 0;
    LaresStatus status = LARES_OK;
    poll_names(store);
    g_mutex_lock(&lock);
    Table *table = get_table(dir);
    if (!table->watch) {
        g_mutex_unlock(&lock);
        status = change_of(store, dir->node, &change);
        g_mutex_lock(&lock);
    }
    while (table->filling)
        g_cond_wait(&read_to_end, &lock);
    if (status == LARES_OK && g_get_monotonic_time() < table->too_large_until)
        status = LARES_NOTSUPP;
    if (status == LARES_OK && !is_good(table, change))
        status = fill(table, dir->node, &ending);
    if (status == LARES_OK) {
        const char *found = table->names.names ? find(&table->names, name) : NULL;
        status = found && strlen(found) <= LARES_NAME_LIMIT ? LARES_OK : LARES_NOENT;
        if (status == LARES_OK)
            memcpy(real, found, strlen(found) + 1);
    }
    trim(&ending);
    table_unref(table, &ending);
    g_mutex_unlock(&lock);
    end(&ending);
    return status;
}

/* ---- Without a table: directories too large for one ----------------------------------------------------------------
 */

typedef gboolean (*SameFunc)(const char *name, const char *real);

typedef struct {
    const char *name;
    SameFunc same;
    gboolean only; /* it must be the only one */
    guint n;
    char *real;
} Search;

static gboolean
compare_entry(const LaresDirEntry *entry, gpointer user)
{
    Search *search = user;
    if (strlen(entry->name) > LARES_NAME_LIMIT || !search->same(search->name, entry->name))
        return TRUE;
    memcpy(search->real, entry->name, strlen(entry->name) + 1);
    return ++search->n < 2 && search->only;
}

static LaresStatus
look_through(const LaresObject *dir, const char *name, SameFunc same, gboolean only, char real[LARES_NAME_LIMIT + 1])
{
    const LaresCred server = lares_files_server_cred();
    Search search = {name, same, only, 0, real};
    gboolean eof = FALSE;
    LaresStore *store = dir->share->store;
    LaresStatus status = STORE_IFACE(store)->readdir(store, &server, dir->node, 0, compare_entry, &search, &eof);
    return status == LARES_OK && search.n != 1 ? LARES_NOENT : status;
}

LaresStatus
lares_fold_find(const LaresObject *dir, const char *name, char real[LARES_NAME_LIMIT + 1])
{
    LaresStatus status = look_in_table(dir, name, lares_names_find, real);
    return status == LARES_NOTSUPP ? look_through(dir, name, lares_fold_equal, FALSE, real) : status;
}

static LaresStatus
find_short(const LaresObject *dir, const char *name, char real[LARES_NAME_LIMIT + 1])
{
    uint32_t hash;
    if (!lares_short_hash(name, &hash))
        return LARES_NOENT;
    LaresStatus status = look_in_table(dir, name, lares_names_find_short, real);
    return status == LARES_NOTSUPP ? look_through(dir, name, lares_short_is_of, TRUE, real) : status;
}

/* The name that its short one finds: the names themselves are looked for before. */
static const char *
find_unless_taken(const LaresNames *names, const char *name)
{
    return lares_names_find(names, name) ? NULL : lares_names_find_short(names, name);
}

gboolean
lares_files_short_name(const LaresObject *dir, const char *name, char out[LARES_SHORT_NAME_SIZE])
{
    char found[LARES_NAME_LIMIT + 1];
    if (lares_files_name_is_short(name))
        return FALSE;
    lares_short_make(name, out);
    return look_in_table(dir, out, find_unless_taken, found) == LARES_OK && g_str_equal(found, name);
}

/* Who may not look names up learns nothing. */
static LaresStatus
may_look(LaresFiles *files, const LaresCaller *caller, const LaresObject *dir, uint32_t wanted)
{
    uint32_t allowed = 0;
    LaresStatus status = LARES_OK;
    if (dir->node->type != LARES_TYPE_DIRECTORY)
        return LARES_NOTDIR;
    if (lares_store_passes())
        wanted &= ~(uint32_t)LARES_ACCESS_EXECUTE;
    if (wanted)
        status = lares_files_access(files, caller, dir, wanted, &allowed);
    return status != LARES_OK || allowed == wanted ? status : LARES_ACCESS;
}

LaresStatus
lares_files_lookup_short(LaresFiles *files, const LaresCaller *caller, const LaresObject *dir, const char *name,
                         char real[LARES_NAME_LIMIT + 1])
{
    LaresStatus status = may_look(files, caller, dir, LARES_ACCESS_EXECUTE | LARES_ACCESS_READ);
    if (status == LARES_ACCESS) /* there is no such name for them */
        status = LARES_NOENT;
    return status == LARES_OK ? find_short(dir, name, real) : status;
}

LaresStatus
lares_files_lookup_fold(LaresFiles *files, const LaresCaller *caller, const LaresObject *dir, const char *name,
                        char real[LARES_NAME_LIMIT + 1])
{
    LaresStatus status = may_look(files, caller, dir, LARES_ACCESS_EXECUTE);
    if (status != LARES_OK)
        return status;
    status = lares_fold_find(dir, name, real);
    if (status == LARES_OK && lares_files_is_hidden(real))
        status = LARES_NOENT;
    return status;
}

void
lares_fold_changed(LaresFiles *files, const LaresObject *dir, const char *name, LaresChangeAction action,
                   uint32_t filter)
{
    if (G_LIKELY(g_atomic_int_get(&n_unwatched) == 0) || !(filter & (LARES_FILTER_FILE_NAME | LARES_FILTER_DIR_NAME)) ||
        action == LARES_CHANGE_MODIFIED)
        return;
    Ending ending = {NULL};
    g_mutex_lock(&lock);
    GList *link = find_link(dir->share->store, &dir->node->handle);
    Table *table = link ? link->data : NULL;
    if (table && !table->watch) {
        apply(table, name, action == LARES_CHANGE_ADDED || action == LARES_CHANGE_NEW_NAME);
        if (table->filled && !table->trusted_until)
            table->trusted_until = g_get_monotonic_time() + MAX(TRUST_USEC, table->read_usec * TRUST_FACTOR);
        count(table);
        trim(&ending);
    }
    g_mutex_unlock(&lock);
    end(&ending);
}

void
lares_fold_forget(const LaresStore *store)
{
    Ending ending = {NULL};
    guint source = 0;
    g_mutex_lock(&lock);
    for (GList *l = tables.head, *next; l; l = next) {
        next = l->next;
        if (!store || ((Table *)l->data)->store == store)
            take_from_list(l, &ending);
    }
    if (tables.length == 0) {
        source = ticking;
        ticking = 0;
    }
    g_mutex_unlock(&lock);
    end(&ending);
    if (source)
        g_source_remove(source);
}
