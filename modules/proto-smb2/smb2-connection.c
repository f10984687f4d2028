/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The life of a connection.
 *
 * Thread: workers. Locks: smb2.h. */
#include "smb2-connection.h"
#include "smb2-credits.h"
#include "smb2-message.h"

Smb2Connection *
smb2_connection_ref(Smb2Connection *c)
{
    g_atomic_int_inc(&c->ref);
    return c;
}

void
smb2_connection_unref(Smb2Connection *c)
{
    if (!g_atomic_int_dec_and_test(&c->ref))
        return;
    g_hash_table_unref(c->channels);
    g_hash_table_unref(c->parked);
    smb2_credits_free(c->credits);
    g_mutex_clear(&c->lock);
    lares_connection_unref(c->net);
    gint *count = &c->service->n_connections;
    g_free(c);
    g_atomic_int_add(count, -1);
}

gpointer
smb2_connected(LaresConnection *net, gpointer user)
{
    Smb2Service *service = user;
    Smb2Connection *c = g_new0(Smb2Connection, 1);
    static uint64_t serial;
    c->ref = 1;
    c->serial = __atomic_add_fetch(&serial, 1, __ATOMIC_RELAXED);
    c->service = service;
    c->net = lares_connection_ref(net);
    c->since = g_get_monotonic_time() / G_USEC_PER_SEC;
    g_mutex_init(&c->lock);
    c->credits = smb2_credits_new(service->settings.max_credits);
    c->channels = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, (GDestroyNotify)smb2_channel_unref);
    c->parked = g_hash_table_new(g_int64_hash, g_int64_equal);
    g_queue_init(&c->running);
    g_queue_init(&c->breaks);
    g_atomic_int_inc(&service->n_connections);
    g_mutex_lock(&service->lock);
    g_hash_table_add(service->connections, c);
    g_mutex_unlock(&service->lock);
    return c;
}

void
smb2_closed(LaresConnection *net, gpointer data)
{
    Smb2Connection *c = data;
    g_mutex_lock(&c->service->lock);
    g_hash_table_remove(c->service->connections, c);
    g_mutex_unlock(&c->service->lock);
    g_mutex_lock(&c->lock);
    c->closed = TRUE;
    g_mutex_unlock(&c->lock);
    smb2_async_end(c, NULL);
    smb2_breaks_move(c);
    smb2_sessions_disconnect(c);
    smb2_connection_unref(c);
}
