/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See krb5-replays.h. A hash table finds tags; a queue in order of arrival, which is also the order of expiry as
 * long as the window does not shrink, forgets them. */
#include "krb5-replays.h"

#include <string.h>

typedef struct {
    uint8_t tag[KRB5_REPLAY_TAG];
    gint64 until;
} Entry;

struct Krb5Replays {
    GMutex lock;
    GHashTable *seen;
    GQueue order;
    guint max;
};

static guint
entry_hash(gconstpointer p)
{
    guint h;
    memcpy(&h, ((const Entry *)p)->tag, sizeof h); /* tags are digests */
    return h;
}

static gboolean
entry_equal(gconstpointer a, gconstpointer b)
{
    return memcmp(((const Entry *)a)->tag, ((const Entry *)b)->tag, KRB5_REPLAY_TAG) == 0;
}

Krb5Replays *
krb5_replays_new(guint max)
{
    Krb5Replays *r = g_new0(Krb5Replays, 1);

    g_mutex_init(&r->lock);
    r->seen = g_hash_table_new_full(entry_hash, entry_equal, g_free, NULL);
    g_queue_init(&r->order);
    r->max = max;
    return r;
}

void
krb5_replays_free(Krb5Replays *r)
{
    if (r == NULL)
        return;
    g_queue_clear(&r->order);
    g_hash_table_destroy(r->seen);
    g_mutex_clear(&r->lock);
    g_free(r);
}

static void
forget_oldest(Krb5Replays *r)
{
    g_hash_table_remove(r->seen, g_queue_pop_head(&r->order));
}

gboolean
krb5_replays_add(Krb5Replays *r, const uint8_t tag[KRB5_REPLAY_TAG], gint64 now, gint64 window, gboolean *crowded)
{
    Entry *e = g_new(Entry, 1);
    gboolean fresh;

    memcpy(e->tag, tag, KRB5_REPLAY_TAG);
    e->until = now + window;
    *crowded = FALSE;
    g_mutex_lock(&r->lock);
    for (Entry *old; (old = g_queue_peek_head(&r->order)) != NULL && old->until < now;)
        forget_oldest(r);
    fresh = !g_hash_table_contains(r->seen, e);
    if (fresh) {
        if (r->order.length >= r->max) {
            forget_oldest(r);
            *crowded = TRUE;
        }
        g_hash_table_add(r->seen, e);
        g_queue_push_tail(&r->order, e);
    }
    g_mutex_unlock(&r->lock);
    if (!fresh)
        g_free(e);
    return fresh;
}

guint
krb5_replays_size(Krb5Replays *r)
{
    g_mutex_lock(&r->lock);
    guint n = r->order.length;
    g_mutex_unlock(&r->lock);
    return n;
}
