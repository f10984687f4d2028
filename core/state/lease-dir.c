/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Leases of directories: who may keep a listing, and what changes end that.
 *
 * A change is told by the number of its directory, not by the node: the same directory may be in several shares, and a
 * break too many (another file system has the number, too) does no harm. What this process changes comes from
 * core/files, what others change comes from the store that watches; either way nobody waits for the holder.
 *
 * A file with several names changes by any of them, which the others' directories are not told by the kernel, and no
 * entry of SMB's says how many there are (Linux takes it for one): a directory that shows such a file is not kept.
 *
 * A file that is written all the time would have its directory looked up all the time: its state keeps at which grant
 * that was done last, and whose lease was spared then. Until the next grant there is nothing to tell.
 *
 * Spec: [MS-FSA] 2.1.4.12 (PARENT_OBJECT), 2.1.4.12.2; [MS-SMB2] 3.3.4.7.
 * Locks: `lock` guards the table and is an inner one, also of the shards': nothing is locked or called while it is
 * held. */
#include "state/file-state.h"

#include <string.h>

#define MAX_LEASES 65536u /* of all clients; a client keeps some dozens */

static GMutex lock;
static GHashTable *dirs;    /* number → GPtrArray of LaresLease, no references; guarded by lock */
static gint n_leases;       /* atomic: in the table */
static guint64 granted = 1; /* atomic: counts grants, and moves of names */
static __thread const uint8_t *spared;
static __thread gboolean deferred;
static const uint8_t nobody[LARES_LEASE_KEY];

void
lares_leases_spare(const uint8_t key[LARES_LEASE_KEY])
{
    spared = key;
}

void
lares_leases_defer(gboolean on)
{
    deferred = on;
}

gboolean
lares_leases_deferred(void)
{
    return deferred;
}

void
lares_lease_dir_granted(void)
{
    __atomic_add_fetch(&granted, 1, __ATOMIC_SEQ_CST);
}

void
lares_leases_names_moved(void)
{
    if (g_atomic_int_get(&n_leases))
        lares_lease_dir_granted();
}

/* ---- Table ------------------------------------------------------------------------------------------------------- */

static gboolean
remember(LaresLease *lease, const uint8_t key[LARES_LEASE_KEY])
{
    gboolean ok = TRUE;
    g_mutex_lock(&lock);
    if (!lease->in_dirs && (guint)n_leases >= MAX_LEASES) {
        ok = FALSE;
    } else if (!lease->in_dirs) {
        if (!dirs)
            dirs = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, (GDestroyNotify)g_ptr_array_unref);
        GPtrArray *of_dir = g_hash_table_lookup(dirs, &lease->node->fileid);
        if (!of_dir) {
            of_dir = g_ptr_array_new();
            g_hash_table_insert(dirs, g_memdup2(&lease->node->fileid, sizeof lease->node->fileid), of_dir);
        }
        g_ptr_array_add(of_dir, lease);
        memcpy(lease->key, key, LARES_LEASE_KEY);
        lease->in_dirs = TRUE;
        g_atomic_int_inc(&n_leases);
    }
    g_mutex_unlock(&lock);
    return ok;
}

static LaresDirWatch *
exchange_watch(LaresLease *lease, LaresDirWatch *watch)
{
    g_mutex_lock(&lock);
    LaresDirWatch *old = lease->watch;
    lease->watch = watch;
    g_mutex_unlock(&lock);
    return old;
}

static void
end_watch(const LaresLease *lease, LaresDirWatch *watch)
{
    LaresStore *store = lease->node->store;
    if (watch)
        LARES_STORE_GET_IFACE(store)->dir_unwatch(store, watch);
}

static LaresDirWatch *
forget(LaresLease *lease)
{
    g_mutex_lock(&lock);
    LaresDirWatch *watch = g_steal_pointer(&lease->watch);
    if (lease->in_dirs) {
        GPtrArray *of_dir = g_hash_table_lookup(dirs, &lease->node->fileid);
        g_ptr_array_remove_fast(of_dir, lease);
        if (of_dir->len == 0)
            g_hash_table_remove(dirs, &lease->node->fileid);
        lease->in_dirs = FALSE;
        g_atomic_int_add(&n_leases, -1);
    }
    g_mutex_unlock(&lock);
    return watch;
}

void
lares_lease_dir_forget(LaresLease *lease)
{
    LaresDirWatch *watch = NULL;
    if (lease->node->type != LARES_TYPE_DIRECTORY)
        return;
    lares_state_shard_lock(lease->node);
    if (lease->opens == 0) {
        lease->armed = FALSE;
        lease->disarms++;
        watch = forget(lease);
    }
    lares_state_shard_unlock(lease->node);
    end_watch(lease, watch);
}

/* A reference, unless the last one is just going. */
static gboolean
try_ref(LaresLease *lease)
{
    gint n = g_atomic_int_get(&lease->ref);
    while (n > 0)
        if (g_atomic_int_compare_and_exchange_full(&lease->ref, n, n + 1, &n))
            return TRUE;
    return FALSE;
}

static void
take_all(GPtrArray *of_dir, GPtrArray *found)
{
    for (guint i = 0; i < of_dir->len; i++)
        if (try_ref(of_dir->pdata[i]))
            g_ptr_array_add(found, of_dir->pdata[i]);
}

/* References to the leases of a directory, of all with number 0; NULL: there are none. */
static GPtrArray *
find(uint64_t fileid)
{
    GPtrArray *found = NULL, *of_dir;
    g_mutex_lock(&lock);
    of_dir = dirs && fileid ? g_hash_table_lookup(dirs, &fileid) : NULL;
    if (of_dir || (!fileid && dirs))
        found = g_ptr_array_new_with_free_func((GDestroyNotify)lares_lease_unref);
    if (of_dir) {
        take_all(of_dir, found);
    } else if (found) {
        GHashTableIter i;
        g_hash_table_iter_init(&i, dirs);
        while (g_hash_table_iter_next(&i, NULL, (gpointer *)&of_dir))
            take_all(of_dir, found);
    }
    g_mutex_unlock(&lock);
    return found;
}

/* ---- Changes ----------------------------------------------------------------------------------------------------- */

static void
end_lease(LaresLease *lease, gboolean disarm)
{
    GArray *notices = NULL;
    lares_state_shard_lock(lease->node);
    if (disarm) {
        lease->armed = FALSE;
        lease->disarms++;
    }
    lares_lease_break_all(lease, &notices);
    lares_state_shard_unlock(lease->node);
    lares_leases_notify(notices);
}

/* FALSE: one was spared. */
static gboolean
dir_changed(uint64_t fileid)
{
    g_autoptr(GPtrArray) found = find(fileid);
    gboolean all = TRUE;
    for (guint i = 0; found && i < found->len; i++) {
        LaresLease *lease = found->pdata[i];
        if (spared && memcmp(lease->key, spared, LARES_LEASE_KEY) == 0)
            all = FALSE;
        else
            end_lease(lease, FALSE);
    }
    return all;
}

void
lares_leases_dir_changed(uint64_t fileid)
{
    if (G_UNLIKELY(g_atomic_int_get(&n_leases)))
        dir_changed(fileid);
}

/* Noted before it is looked who has a lease: who gets one meanwhile is found, or finds the note. */
void
lares_leases_linked(LaresNode *dir)
{
    lares_state_shard_lock(dir);
    LaresFileState *state = lares_state_peek(dir);
    if (state)
        state->linked = TRUE;
    lares_state_shard_unlock(dir);
    g_autoptr(GPtrArray) found = find(dir->fileid);
    for (guint i = 0; found && i < found->len; i++)
        end_lease(found->pdata[i], TRUE);
}

/* The shard is locked. */
static gboolean
is_linked(LaresNode *dir)
{
    const LaresFileState *state = lares_state_peek(dir);
    return state && state->linked;
}

/* By others than this process: LaresDirChangedFunc. */
static void
changed_locally(uint64_t fileid)
{
    g_autoptr(GPtrArray) found = find(fileid);
    for (guint i = 0; found && i < found->len; i++)
        end_lease(found->pdata[i], TRUE);
}

static gboolean
was_told(LaresNode *node, uint64_t now)
{
    gboolean told = FALSE;
    if (!__atomic_load_n(&node->state, __ATOMIC_RELAXED))
        return FALSE;
    lares_state_shard_lock(node);
    const LaresFileState *state = lares_state_peek(node);
    if (state && state->told == now)
        told = memcmp(state->told_spared, nobody, LARES_LEASE_KEY) == 0 ||
               (spared && memcmp(state->told_spared, spared, LARES_LEASE_KEY) == 0);
    lares_state_shard_unlock(node);
    return told;
}

static void
set_told(LaresNode *node, uint64_t now, gboolean all)
{
    lares_state_shard_lock(node);
    LaresFileState *state = lares_state_peek(node);
    if (state) {
        state->told = now;
        memcpy(state->told_spared, all ? nobody : spared, LARES_LEASE_KEY);
    }
    lares_state_shard_unlock(node);
}

gboolean
lares_leases_where(LaresNode *node, uint64_t *fileid)
{
    const LaresStoreInterface *iface = LARES_STORE_GET_IFACE(node->store);
    *fileid = 0;
    if (G_LIKELY(!g_atomic_int_get(&n_leases)))
        return TRUE;
    LaresStatus status = iface->parent_fileid ? iface->parent_fileid(node->store, node, fileid) : LARES_NOTSUPP;
    if (status != LARES_OK)
        *fileid = 0;
    return status != LARES_STALE && status != LARES_NOENT;
}

void
lares_leases_tell(LaresNode *node)
{
    uint64_t fileid, now;
    if (G_LIKELY(!g_atomic_int_get(&n_leases)))
        return;
    now = __atomic_load_n(&granted, __ATOMIC_SEQ_CST);
    if (!was_told(node, now) && lares_leases_where(node, &fileid))
        set_told(node, now, dir_changed(fileid));
}

/* ---- Granting ---------------------------------------------------------------------------------------------------- */

LaresStatus
lares_lease_watch_directory(LaresLease *lease, const uint8_t key[LARES_LEASE_KEY])
{
    LaresStore *store = lease->node->store;
    const LaresStoreInterface *iface = LARES_STORE_GET_IFACE(store);
    LaresDirWatch *watch;
    if (lease->node->type != LARES_TYPE_DIRECTORY || !iface->dir_watch)
        return LARES_NOTSUPP;
    lares_state_shard_lock(lease->node);
    gboolean armed = lease->armed;
    guint disarms = lease->disarms;
    gboolean linked = is_linked(lease->node);
    lares_state_shard_unlock(lease->node);
    if (armed)
        return LARES_OK;
    if (linked)
        return LARES_NOTSUPP;
    if (!remember(lease, key)) /* before it is watched, so that no change is missed */
        return LARES_TOO_MANY;
    LaresStatus status = iface->dir_watch(store, lease->node, changed_locally, &watch);
    if (status != LARES_OK)
        return status;
    end_watch(lease, exchange_watch(lease, watch));
    lares_state_shard_lock(lease->node);
    lease->armed = lease->disarms == disarms &&
                   !is_linked(lease->node); /* else it has changed, or its last open was closed, meanwhile */
    lares_state_shard_unlock(lease->node);
    return LARES_OK;
}
