/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What peers make the server keep between their requests: halves of requests and answers that they do not read. Each
 * connection has limits of its own, but there may be any number of connections; so all together have one, and past it
 * those that keep the most for the longest are closed.
 *
 * A connection is counted when it is left waiting; what is being received or computed is bounded by the number of
 * workers. Below one address the oldest go first, among addresses the one that holds the most: who completes requests
 * is never old.
 *
 * Thread: any. Locks: a connection's, one at a time. */
#include "net/net-private.h"

#include "base/arena-private.h"

/* After a round that could close nothing: all of it are answers that were blocked just now. */
#define LOOK_AGAIN_MS 100
/* A socket is full every now and then; who has not read anything for so long may have to go, and everybody when it is
 * urgent: at twice the limit. */
#define UNREAD_NS ((gint64)500 * 1000000)

typedef struct {
    LaresConnection *c;
    size_t bytes;  /* its own */
    size_t *whole; /* of its address; owned by the table */
    gint64 since;
} Holder;

size_t
lares_out_memory(const LaresOut *list)
{
    size_t n = 0;
    for (; list; list = list->next)
        n += list->place == LARES_OUT_HEAP    ? sizeof(LaresOut) + list->cap
             : list->place == LARES_OUT_ARENA ? lares_arena_size(list->arena)
                                              : 0;
    return n;
}

void
lares_connection_count(LaresConnection *c)
{
    size_t now = 0;
    if (!c->closing) {
        if (!c->reading && lares_frames_size(&c->frames) > 0)
            now += c->in->kind == LARES_BUFFER_BIG ? c->in->touched : c->in->cap;
        if (c->blocked)
            now += c->out_memory;
    }
    if (now != c->counted)
        __atomic_fetch_add(&c->net->memory, now - c->counted, __ATOMIC_RELAXED); /* wraps round where it is less */
    if (now && !c->record_since)
        c->record_since = lares_net_clock();
    c->counted = now;
}

/* lock held: what it may be closed for; 0: nothing. */
static size_t
held_too_long(const LaresConnection *c, gint64 now, gboolean urgent, gint64 *since)
{
    if (!c->alive || c->closing || c->reading || c->counted == 0)
        return 0;
    if (c->blocked) {
        *since = c->blocked_since;
        return urgent || now - c->blocked_since > UNREAD_NS ? c->counted : 0;
    }
    if (lares_frames_size(&c->frames) == 0 || lares_frames_pending(&c->frames) || c->readable ||
        lares_connection_paused(c)) /* it is our turn, not the peer's */
        return 0;
    *since = c->record_since;
    return c->counted;
}

static gint
worst_first(gconstpointer a, gconstpointer b)
{
    const Holder *x = a, *y = b;
    if (*x->whole != *y->whole)
        return *x->whole > *y->whole ? -1 : 1;
    return x->since < y->since ? -1 : x->since > y->since;
}

/* Takes a reference of each. */
static GArray *
list_holders(LaresNet *net, GHashTable *whole, gboolean urgent)
{
    GArray *holders = g_array_new(FALSE, FALSE, sizeof(Holder));
    g_autoptr(GPtrArray) all = lares_connections_list(net);
    gint64 now = lares_net_clock();
    for (guint i = 0; i < all->len; i++) {
        Holder h = {.c = all->pdata[i]};
        g_mutex_lock(&h.c->lock);
        h.bytes = held_too_long(h.c, now, urgent, &h.since);
        if (h.bytes) {
            if (!(h.whole = g_hash_table_lookup(whole, h.c->peer.address))) {
                h.whole = g_new0(size_t, 1);
                g_hash_table_insert(whole, g_strdup(h.c->peer.address), h.whole);
            }
            *h.whole += h.bytes;
        }
        g_mutex_unlock(&h.c->lock);
        if (h.bytes)
            g_array_append_val(holders, h);
        else
            lares_connection_unref(h.c);
    }
    return holders;
}

/* FALSE: it went on meanwhile. */
static gboolean
give_up(LaresConnection *c, gboolean urgent)
{
    gint64 since;
    g_mutex_lock(&c->lock);
    gboolean over = held_too_long(c, lares_net_clock(), urgent, &since) > 0;
    if (over) {
        lares_input_drop(c);
        lares_connection_shut(c);
        lares_connection_count(c);
    }
    g_mutex_unlock(&c->lock);
    if (over)
        lares_net_push(c, TRUE); /* a worker frees the rest and calls closed() */
    return over;
}

static gboolean
on_look_again(gpointer data)
{
    LaresNet *net = data;
    g_atomic_int_set(&net->look_again, 0);
    if (lares_net_crowded(net))
        lares_net_relieve(net);
    return G_SOURCE_REMOVE;
}

void
lares_net_relieve(LaresNet *net)
{
    gboolean urgent = __atomic_load_n(&net->memory, __ATOMIC_RELAXED) / 2 > net->memory_limit;
    gint64 now = lares_net_clock();
    if ((!urgent && now < __atomic_load_n(&net->relief_next, __ATOMIC_RELAXED)) ||
        !g_atomic_int_compare_and_exchange(&net->relieving, 0, 1))
        return;
    /* What others come to hold meanwhile is for the next round: who is at the end of the list must not pay for it. Some
     * room more is made, so that the next round is not soon, but not at the cost of who was blocked just now. */
    size_t memory = __atomic_load_n(&net->memory, __ATOMIC_RELAXED), freed = 0;
    size_t target = urgent ? net->memory_limit : net->memory_limit / 4 * 3;
    g_autoptr(GHashTable) whole = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_autoptr(GArray) holders = list_holders(net, whole, urgent);
    guint closed = 0;
    g_array_sort(holders, worst_first);
    for (guint i = 0; i < holders->len; i++) {
        const Holder *h = &g_array_index(holders, Holder, i);
        if (memory > target + freed && give_up(h->c, urgent)) {
            freed += h->bytes;
            closed++;
        }
        lares_connection_unref(h->c);
    }
    if (closed)
        lares_log_limited(LARES_LOG_WARNING, "net",
                          "unfinished requests and unread answers take more than peer-memory (%zu bytes): %u "
                          "connections closed",
                          net->memory_limit, closed);
    __atomic_store_n(&net->relief_next, closed ? 0 : now + LOOK_AGAIN_MS * (gint64)1000000, __ATOMIC_RELAXED);
    if (lares_net_crowded(net) && g_atomic_int_compare_and_exchange(&net->look_again, 0, 1))
        g_timeout_add(LOOK_AGAIN_MS, on_look_again, net); /* in the main thread, whoever calls */
    g_atomic_int_set(&net->relieving, 0);
}
