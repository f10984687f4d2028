/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of RPCSEC_GSS contexts: handles are random, found by their bytes, shared by all connections.
 *
 * Spec: RFC 2203 5.2.2, 5.3.3.1 */
#include "nfs4-gss.h"
#include "nfs4-metrics.h"

#include <sys/random.h>

#define SHARDS 16

/* What one principal has. */
struct _Nfs4GssOwner {
    char *principal;
    GQueue recent; /* its contexts by their own_link, last used first */
};

struct _Nfs4GssTable {
    struct {
        GMutex lock;
        GHashTable *by_handle; /* handle -> context, a reference */
    } shard[SHARDS];
    guint max, max_each;
    GMutex order_lock;
    /* Under order_lock: who goes when there are too many. */
    GQueue recent;      /* all contexts by their link, last used first */
    GHashTable *owners; /* principal -> Nfs4GssOwner with at least one context */
    GMutex pending_lock;
    GQueue pending; /* contexts, oldest first, a reference each */
};

/* ---- The sequence window ---------------------------------------------------------------------------------------- */

static void
window_advance(Nfs4GssWindow *w, uint32_t seq)
{
    if (!w->any || seq - w->highest >= GSS_WINDOW) {
        memset(w->seen, 0, sizeof w->seen);
    } else {
        for (uint32_t s = w->highest + 1; s <= seq; s++)
            w->seen[s % GSS_WINDOW / 64] &= ~(UINT64_C(1) << (s % 64));
    }
    w->highest = seq;
    w->any = TRUE;
}

gboolean
nfs4_gss_window_accept(Nfs4GssWindow *w, uint32_t seq)
{
    if (!w->any || seq > w->highest)
        window_advance(w, seq);
    else if (w->highest - seq >= GSS_WINDOW)
        return FALSE;
    uint64_t bit = UINT64_C(1) << (seq % 64);
    uint64_t *word = &w->seen[seq % GSS_WINDOW / 64];
    if (*word & bit)
        return FALSE;
    *word |= bit;
    return TRUE;
}

/* ---- Contexts --------------------------------------------------------------------------------------------------- */

static gint64
now_seconds(void)
{
    return g_get_monotonic_time() / G_USEC_PER_SEC;
}

Nfs4GssContext *
nfs4_gss_context_new(LaresAuthContext *auth)
{
    Nfs4GssContext *context = g_new0(Nfs4GssContext, 1);
    context->ref = 1;
    context->auth = auth;
    context->created = now_seconds();
    context->link.data = context->own_link.data = context;
    g_mutex_init(&context->lock);
    g_mutex_init(&context->stepping);
    if (getrandom(context->handle, sizeof context->handle, 0) != (ssize_t)sizeof context->handle)
        g_error("getrandom failed");
    return context;
}

void
nfs4_gss_context_unref(gpointer data)
{
    Nfs4GssContext *context = data;
    if (!g_atomic_int_dec_and_test(&context->ref))
        return;
    g_clear_object(&context->auth);
    g_clear_pointer(&context->identity, lares_identity_unref);
    g_mutex_clear(&context->lock);
    g_mutex_clear(&context->stepping);
    g_free(context->principal);
    g_free(context);
}

/* ---- The table -------------------------------------------------------------------------------------------------- */

/* Handles are random bytes of our own, so any part of them is a good hash. */
static guint
handle_hash(gconstpointer handle)
{
    guint hash;
    memcpy(&hash, handle, sizeof hash);
    return hash;
}

static gboolean
handle_equal(gconstpointer a, gconstpointer b)
{
    return memcmp(a, b, GSS_HANDLE_SIZE) == 0;
}

static guint
shard_of(const uint8_t *handle)
{
    return handle[GSS_HANDLE_SIZE - 1] % SHARDS;
}

static void
owner_free(gpointer data)
{
    Nfs4GssOwner *owner = data;
    g_free(owner->principal);
    g_free(owner);
}

Nfs4GssTable *
nfs4_gss_table_new(guint max_contexts, guint max_each)
{
    Nfs4GssTable *table = g_new0(Nfs4GssTable, 1);
    table->max = MAX(1, max_contexts);
    table->max_each = CLAMP(max_each, 1, table->max);
    table->owners = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, owner_free);
    g_mutex_init(&table->order_lock);
    g_mutex_init(&table->pending_lock);
    for (guint i = 0; i < SHARDS; i++) {
        g_mutex_init(&table->shard[i].lock);
        table->shard[i].by_handle = g_hash_table_new_full(handle_hash, handle_equal, NULL, nfs4_gss_context_unref);
    }
    return table;
}

void
nfs4_gss_table_free(Nfs4GssTable *table)
{
    if (!table)
        return;
    for (guint i = 0; i < SHARDS; i++) {
        g_hash_table_unref(table->shard[i].by_handle);
        g_mutex_clear(&table->shard[i].lock);
    }
    g_hash_table_unref(table->owners);
    g_mutex_clear(&table->order_lock);
    g_queue_clear_full(&table->pending, nfs4_gss_context_unref);
    g_mutex_clear(&table->pending_lock);
    g_free(table);
}

guint
nfs4_gss_table_size(Nfs4GssTable *table)
{
    g_mutex_lock(&table->order_lock);
    guint n = table->recent.length;
    g_mutex_unlock(&table->order_lock);
    return n;
}

gint64
nfs4_gss_table_look(Nfs4GssTable *table, guint *n)
{
    gint64 soonest = INT64_MAX, now = g_get_real_time() / G_USEC_PER_SEC;
    g_mutex_lock(&table->order_lock);
    *n = table->recent.length;
    for (GList *l = table->recent.head; l; l = l->next) {
        gint64 expiry = ((Nfs4GssContext *)l->data)->expiry;
        if (expiry > now) /* the others are not used any more */
            soonest = MIN(soonest, expiry);
    }
    g_mutex_unlock(&table->order_lock);
    return soonest;
}

/* ---- Who goes. order_lock held. ------------------------------------------------------------------------------------
 */

static Nfs4GssOwner *
owner_of(Nfs4GssTable *table, const char *principal)
{
    Nfs4GssOwner *owner = g_hash_table_lookup(table->owners, principal);
    if (!owner) {
        owner = g_new0(Nfs4GssOwner, 1);
        owner->principal = g_strdup(principal);
        g_hash_table_insert(table->owners, owner->principal, owner);
    }
    return owner;
}

static void
take_out(Nfs4GssTable *table, Nfs4GssContext *context)
{
    Nfs4GssOwner *owner = g_steal_pointer(&context->owner);
    g_queue_unlink(&table->recent, &context->link);
    g_queue_unlink(&owner->recent, &context->own_link);
    if (owner->recent.length == 0)
        g_hash_table_remove(table->owners, owner->principal);
}

/* Of whoever has more than twice what everybody could have the context that was not used for longest, else that of all:
 * who makes many pushes out their own. */
static Nfs4GssContext *
least_missed(Nfs4GssTable *table)
{
    GHashTableIter iter;
    gpointer value;
    Nfs4GssOwner *most = NULL;
    guint fair = 2 * table->max / g_hash_table_size(table->owners);
    g_hash_table_iter_init(&iter, table->owners);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        Nfs4GssOwner *owner = value;
        if (!most || owner->recent.length > most->recent.length)
            most = owner;
    }
    return most->recent.length > MAX(fair, 1) ? most->recent.tail->data : table->recent.tail->data;
}

/* Forgets one if there is no room for another of this owner; it is the caller's to take out of its shard. */
static Nfs4GssContext *
make_room(Nfs4GssTable *table, const Nfs4GssOwner *owner)
{
    Nfs4GssContext *victim = NULL;
    if (owner->recent.length >= table->max_each)
        victim = owner->recent.tail->data;
    else if (table->recent.length >= table->max)
        victim = least_missed(table);
    return victim;
}

/* ---- In and out ----------------------------------------------------------------------------------------------------
 */

/* Out of its shard, with the table's reference. */
static void
forget(Nfs4GssTable *table, Nfs4GssContext *context)
{
    guint i = shard_of(context->handle);
    g_mutex_lock(&table->shard[i].lock);
    gboolean there = g_hash_table_lookup(table->shard[i].by_handle, context->handle) == context;
    if (there)
        g_hash_table_steal(table->shard[i].by_handle, context->handle);
    g_mutex_unlock(&table->shard[i].lock);
    if (there)
        nfs4_gss_context_unref(context);
}

void
nfs4_gss_table_add(Nfs4GssTable *table, Nfs4GssContext *context)
{
    guint i = shard_of(context->handle);
    g_atomic_int_inc(&context->ref);
    __atomic_store_n(&context->touched, now_seconds(), __ATOMIC_RELAXED);
    g_mutex_lock(&table->order_lock);
    const char *principal = context->principal ? context->principal : "";
    Nfs4GssContext *victim = make_room(table, owner_of(table, principal));
    if (victim) {
        g_atomic_int_inc(&victim->ref);
        take_out(table, victim);
    }
    context->owner = owner_of(table, principal); /* the victim may have been its last one */
    g_queue_push_head_link(&table->recent, &context->link);
    g_queue_push_head_link(&context->owner->recent, &context->own_link);
    g_mutex_lock(&table->shard[i].lock);
    g_hash_table_insert(table->shard[i].by_handle, context->handle, context);
    g_mutex_unlock(&table->shard[i].lock);
    g_mutex_unlock(&table->order_lock);
    if (victim) {
        lares_meter_add(nfs4_evictions, 0, 1);
        forget(table, victim);
        nfs4_gss_context_unref(victim);
    }
}

/* Once a second is order enough. */
static void
touch(Nfs4GssTable *table, Nfs4GssContext *context)
{
    gint64 now = now_seconds();
    if (__atomic_load_n(&context->touched, __ATOMIC_RELAXED) == now)
        return;
    __atomic_store_n(&context->touched, now, __ATOMIC_RELAXED);
    g_mutex_lock(&table->order_lock);
    if (context->owner) { /* else it was forgotten meanwhile */
        g_queue_unlink(&table->recent, &context->link);
        g_queue_push_head_link(&table->recent, &context->link);
        g_queue_unlink(&context->owner->recent, &context->own_link);
        g_queue_push_head_link(&context->owner->recent, &context->own_link);
    }
    g_mutex_unlock(&table->order_lock);
}

Nfs4GssContext *
nfs4_gss_table_find(Nfs4GssTable *table, const uint8_t *handle, size_t len)
{
    if (len != GSS_HANDLE_SIZE)
        return NULL;
    guint i = shard_of(handle);
    g_mutex_lock(&table->shard[i].lock);
    Nfs4GssContext *context = g_hash_table_lookup(table->shard[i].by_handle, handle);
    if (context)
        g_atomic_int_inc(&context->ref);
    g_mutex_unlock(&table->shard[i].lock);
    if (context)
        touch(table, context);
    return context;
}

void
nfs4_gss_table_remove(Nfs4GssTable *table, Nfs4GssContext *context)
{
    g_mutex_lock(&table->order_lock);
    if (context->owner)
        take_out(table, context);
    g_mutex_unlock(&table->order_lock);
    forget(table, context);
}

void
nfs4_gss_table_add_pending(Nfs4GssTable *table, Nfs4GssContext *context)
{
    GQueue old = G_QUEUE_INIT;
    gint64 limit = now_seconds() - GSS_PENDING_SECONDS;
    g_atomic_int_inc(&context->ref);
    g_mutex_lock(&table->pending_lock);
    while (table->pending.length > 0) {
        Nfs4GssContext *oldest = table->pending.head->data;
        if (table->pending.length < GSS_MAX_PENDING && oldest->created >= limit)
            break;
        g_queue_push_tail(&old, g_queue_pop_head(&table->pending));
    }
    g_queue_push_tail(&table->pending, context);
    g_mutex_unlock(&table->pending_lock);
    g_queue_clear_full(&old, nfs4_gss_context_unref);
}

Nfs4GssContext *
nfs4_gss_table_take_pending(Nfs4GssTable *table, const uint8_t *handle, size_t len)
{
    Nfs4GssContext *found = NULL;
    if (len != GSS_HANDLE_SIZE)
        return NULL;
    g_mutex_lock(&table->pending_lock);
    for (GList *l = table->pending.head; l && !found; l = l->next) {
        Nfs4GssContext *context = l->data;
        if (handle_equal(context->handle, handle)) {
            found = context;
            g_queue_delete_link(&table->pending, l);
            break;
        }
    }
    g_mutex_unlock(&table->pending_lock);
    return found;
}
