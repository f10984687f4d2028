/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of RPCSEC_GSS contexts: handles are random, found by their bytes, shared by all connections.
 *
 * Spec: RFC 2203 5.2.2, 5.3.3.1 */
#include "nfs4-gss.h"

#include <sys/random.h>

#define SHARDS 16

typedef struct {
    GMutex lock;
    GHashTable *by_handle; /* handle -> context, a reference */
    GQueue recent;         /* contexts by their link, last used first */
} Shard;

struct _Nfs4GssTable {
    Shard shard[SHARDS];
    guint max_per_shard;
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
    context->link.data = context;
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

static Shard *
shard_of(Nfs4GssTable *table, const uint8_t *handle)
{
    return &table->shard[handle[GSS_HANDLE_SIZE - 1] % SHARDS];
}

Nfs4GssTable *
nfs4_gss_table_new(guint max_contexts)
{
    Nfs4GssTable *table = g_new0(Nfs4GssTable, 1);
    table->max_per_shard = MAX(1, max_contexts / SHARDS);
    g_mutex_init(&table->pending_lock);
    for (guint i = 0; i < SHARDS; i++) {
        g_mutex_init(&table->shard[i].lock);
        table->shard[i].by_handle = g_hash_table_new(handle_hash, handle_equal);
    }
    return table;
}

void
nfs4_gss_table_free(Nfs4GssTable *table)
{
    if (!table)
        return;
    for (guint i = 0; i < SHARDS; i++) {
        Shard *shard = &table->shard[i];
        for (GList *l = shard->recent.head, *next; l; l = next) {
            next = l->next;
            nfs4_gss_context_unref(l->data);
        }
        g_hash_table_unref(shard->by_handle);
        g_mutex_clear(&shard->lock);
    }
    g_queue_clear_full(&table->pending, nfs4_gss_context_unref);
    g_mutex_clear(&table->pending_lock);
    g_free(table);
}

guint
nfs4_gss_table_size(Nfs4GssTable *table)
{
    guint n = 0;
    for (guint i = 0; i < SHARDS; i++) {
        g_mutex_lock(&table->shard[i].lock);
        n += table->shard[i].recent.length;
        g_mutex_unlock(&table->shard[i].lock);
    }
    return n;
}

void
nfs4_gss_table_add(Nfs4GssTable *table, Nfs4GssContext *context)
{
    Shard *shard = shard_of(table, context->handle);
    Nfs4GssContext *dropped = NULL;
    g_atomic_int_inc(&context->ref);
    g_mutex_lock(&shard->lock);
    if (shard->recent.length >= table->max_per_shard) {
        dropped = shard->recent.tail->data;
        g_queue_unlink(&shard->recent, &dropped->link);
        g_hash_table_remove(shard->by_handle, dropped->handle);
    }
    context->touched = now_seconds();
    g_hash_table_insert(shard->by_handle, context->handle, context);
    g_queue_push_head_link(&shard->recent, &context->link);
    g_mutex_unlock(&shard->lock);
    if (dropped)
        nfs4_gss_context_unref(dropped);
}

Nfs4GssContext *
nfs4_gss_table_find(Nfs4GssTable *table, const uint8_t *handle, size_t len)
{
    if (len != GSS_HANDLE_SIZE)
        return NULL;
    Shard *shard = shard_of(table, handle);
    gint64 now = now_seconds();
    g_mutex_lock(&shard->lock);
    Nfs4GssContext *context = g_hash_table_lookup(shard->by_handle, handle);
    if (context) {
        g_atomic_int_inc(&context->ref);
        if (context->touched != now) { /* once a second is order enough */
            context->touched = now;
            g_queue_unlink(&shard->recent, &context->link);
            g_queue_push_head_link(&shard->recent, &context->link);
        }
    }
    g_mutex_unlock(&shard->lock);
    return context;
}

void
nfs4_gss_table_remove(Nfs4GssTable *table, Nfs4GssContext *context)
{
    Shard *shard = shard_of(table, context->handle);
    g_mutex_lock(&shard->lock);
    gboolean there = g_hash_table_lookup(shard->by_handle, context->handle) == context;
    if (there) {
        g_hash_table_remove(shard->by_handle, context->handle);
        g_queue_unlink(&shard->recent, &context->link);
    }
    g_mutex_unlock(&shard->lock);
    if (there)
        nfs4_gss_context_unref(context);
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
