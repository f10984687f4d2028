/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The life of a connection: made by a listener, armed in the epoll set while nobody works on it, over when it is
 * closing and the last request has returned.
 *
 * Thread: any. Locks: a connection's own; the net's inside it, for lists. */
#include "net/net-private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static LaresConnection *
take_spare(LaresNet *net)
{
    g_mutex_lock(&net->lock);
    LaresConnection *c = net->spare;
    if (c)
        net->spare = c->link.data;
    g_mutex_unlock(&net->lock);
    if (!c) {
        c = g_new0(LaresConnection, 1);
        g_mutex_init(&c->lock);
        c->event = LARES_EVENT_CONNECTION; /* for good: an event that is late may still be read in recycled memory */
    }
    g_atomic_int_inc(&net->held);
    return c;
}

/* For the caller, who ends with lares_connection_leave(); until then it counts as a running request. */
LaresConnection *
lares_connection_new(LaresListener *listener, int fd, const LaresPeer *peer)
{
    LaresNet *net = listener->net;
    LaresConnection *c = take_spare(net);
    g_mutex_lock(&c->lock);
    c->net = net;
    c->listener = listener;
    c->service = listener->service;
    c->data = NULL;
    c->id = __atomic_add_fetch(&net->last_id, 1, __ATOMIC_RELAXED);
    c->fd = fd;
    c->peer = *peer;
    c->local = (LaresPeer){0};
    __atomic_store_n(&c->on_ready, FALSE, __ATOMIC_RELAXED);
    c->alive = TRUE;
    c->welcomed = FALSE;
    c->added = c->closing = c->finalized = c->eof = c->readable = c->reading = c->sending = c->blocked = FALSE;
    c->large = c->partial = FALSE;
    c->armed = 0;
    c->in_flight = 1;
    c->frames = (LaresFrames){0};
    c->need = 4;
    c->in = NULL;
    c->out_head = c->out_tail = NULL;
    c->out_bytes = c->in_send = c->out_memory = c->counted = 0;
    c->record_since = 0;
    c->received = c->sent = 0;
    c->last_done = 0;
    c->cost = UINT32_MAX; /* until it is known to be cheap */
    c->held_since = 0;
    c->partial_since = c->blocked_since = 0;
    c->partial_bytes = c->blocked_bytes = 0;
    g_atomic_int_set(&c->ref, 2); /* the net's, until it is over, and the caller's */
    g_mutex_unlock(&c->lock);

    g_mutex_lock(&net->lock);
    c->link = (GList){.data = c};
    g_queue_push_tail_link(&listener->connections, &c->link);
    gboolean late = listener->closed;
    g_mutex_unlock(&net->lock);
    g_atomic_int_inc(&net->connections);
    __atomic_add_fetch(&net->accepted, 1, __ATOMIC_RELAXED);
    lares_net_count_connection(listener);
    if (late)
        lares_connection_close(c);
    return c;
}

LaresConnection *
lares_connection_ref(LaresConnection *c)
{
    g_atomic_int_inc(&c->ref);
    return c;
}

void
lares_connection_unref(LaresConnection *c)
{
    if (!g_atomic_int_dec_and_test(&c->ref))
        return;
    LaresNet *net = c->net;
    g_mutex_lock(&net->lock);
    c->link.data = net->spare;
    net->spare = c;
    g_mutex_unlock(&net->lock);
    g_atomic_int_add(&net->held, -1);
}

gboolean
lares_connection_enter(LaresConnection *c, uint32_t events)
{
    g_mutex_lock(&c->lock);
    gboolean alive = c->alive && c->welcomed;
    if (alive) {
        lares_connection_ref(c);
        c->armed = 0;
        if (events & ~(uint32_t)EPOLLOUT)
            c->readable = TRUE;
        if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
            c->blocked = FALSE;
    }
    g_mutex_unlock(&c->lock);
    return alive;
}

gboolean
lares_connection_take_over(LaresConnection *c)
{
    g_mutex_lock(&c->lock);
    gboolean unread = !c->armed && !c->reading && !c->eof && !lares_connection_paused(c);
    gboolean unsent = c->out_head && !c->sending && !c->blocked;
    gboolean take = c->alive && c->welcomed && !c->closing && (unread || unsent);
    if (take) {
        lares_connection_ref(c);
        c->readable |= unread;
    }
    g_mutex_unlock(&c->lock);
    return take;
}

gboolean
lares_connection_paused(const LaresConnection *c)
{
    /* Whose answers wait is not read on while all peers together make the server keep too much; more room for this one
     * comes with an event of its own socket. */
    return c->in_flight >= c->service->max_in_flight ||
           c->out_bytes > (lares_net_crowded(c->net) ? 0 : LARES_NET_OUT_BOUND);
}

void
lares_connection_shut(LaresConnection *c)
{
    if (c->closing)
        return;
    c->closing = TRUE;
    shutdown(c->fd, SHUT_RDWR);
}

void
lares_connection_close(LaresConnection *c)
{
    g_mutex_lock(&c->lock);
    gboolean push = c->alive && !c->closing;
    if (push)
        lares_connection_shut(c);
    g_mutex_unlock(&c->lock);
    if (push) /* closed() is called by a worker, never in the caller */
        lares_net_push(c, TRUE);
}

void
lares_connection_abort(LaresConnection *c)
{
    const struct sockaddr nobody = {.sa_family = AF_UNSPEC};
    g_mutex_lock(&c->lock);
    if (c->alive && !c->listener->local)
        (void)connect(c->fd, &nobody, sizeof nobody); /* unlike a FIN, what this sends waits for nothing */
    g_mutex_unlock(&c->lock);
    lares_connection_close(c);
}

/* Waits for what is wanted now; one event only. */
void
lares_connection_arm(LaresConnection *c)
{
    if (c->closing)
        return;
    uint32_t want = 0;
    if (!c->eof && !c->reading && !c->readable && !lares_connection_paused(c))
        want |= EPOLLIN | EPOLLRDHUP;
    if (c->blocked)
        want |= EPOLLOUT;
    if (want == 0 || want == c->armed)
        return;
    struct epoll_event e = {.events = want | EPOLLONESHOT, .data.ptr = c};
    if (epoll_ctl(c->net->epoll, c->added ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, c->fd, &e) < 0) {
        lares_log_limited(LARES_LOG_ERROR, "net", "cannot wait for a connection: %s", g_strerror(errno));
        lares_connection_shut(c);
        return;
    }
    c->added = TRUE;
    c->armed = want;
}

/* Counts the connections that somebody must look after while no event comes. */
static void
watch(LaresConnection *c)
{
    gboolean partial = !c->closing && (c->blocked || (!c->reading && !lares_connection_paused(c) && !c->readable &&
                                                      lares_frames_size(&c->frames) > 0));
    if (partial && c->partial_since == 0)
        c->partial_since = lares_net_clock();
    if (partial != c->partial)
        g_atomic_int_add(&c->net->stalled, partial ? 1 : -1);
    c->partial = partial;
    lares_connection_count(c);
}

/* Called once, by a worker (or by whoever closes last), nothing of the connection runs any more. */
static void
finalize(LaresConnection *c, LaresOut *unsent)
{
    LaresNet *net = c->net;
    if (c->service->closed)
        c->service->closed(c, c->data);
    lares_output_drop(net, unsent);
    close(c->fd);
    g_atomic_int_add(&net->connections, -1);
    g_mutex_lock(&net->lock);
    g_queue_unlink(&c->listener->connections, &c->link);
    g_cond_broadcast(&net->changed);
    g_mutex_unlock(&net->lock);
    lares_connection_unref(c);
}

static void
leave_closing(LaresConnection *c)
{
    gboolean over = !c->finalized && c->in_flight == 0 && !c->reading && !c->sending;
    LaresOut *unsent = NULL;
    if (over) {
        c->finalized = TRUE;
        c->alive = FALSE;
        unsent = g_steal_pointer(&c->out_head);
        c->out_tail = NULL;
        lares_input_drop(c);
        watch(c);
    }
    g_mutex_unlock(&c->lock);
    if (over)
        finalize(c, unsent);
}

static void
leave_ready(LaresConnection *c)
{
    LaresNet *net = c->net;
    g_mutex_lock(&net->lock);
    gboolean was = c->on_ready;
    if (was) {
        g_queue_unlink(&net->ready, &c->ready_link);
        __atomic_store_n(&c->on_ready, FALSE, __ATOMIC_RELAXED);
        g_atomic_int_add(&net->jobs, -1);
    }
    g_mutex_unlock(&net->lock);
    if (was)
        lares_connection_unref(c); /* never the last: the caller has one */
}

void
lares_connection_leave(LaresConnection *c)
{
    lares_output_flush(c);
    if (c->eof && c->in_flight == 0 && !c->reading && !c->sending && !c->out_head && !lares_frames_pending(&c->frames))
        lares_connection_shut(c);
    if (!c->closing && !c->reading && !lares_connection_paused(c) &&
        (lares_frames_pending(&c->frames) || (c->readable && !c->eof))) {
        g_mutex_unlock(&c->lock);
        lares_net_push(c, FALSE);
        return;
    }
    lares_connection_arm(c);
    watch(c);
    if (c->closing) {
        leave_closing(c);
        return;
    }
    gboolean listed = __atomic_load_n(&c->on_ready, __ATOMIC_RELAXED) && !c->reading;
    if (listed)
        leave_ready(c);
    g_mutex_unlock(&c->lock);
}

GPtrArray *
lares_connections_list(LaresNet *net)
{
    GPtrArray *all = g_ptr_array_new();
    g_mutex_lock(&net->lock);
    for (LaresListener *l = net->listeners; l; l = l->next)
        for (GList *at = l->connections.head; at; at = at->next)
            g_ptr_array_add(all, lares_connection_ref(at->data));
    g_mutex_unlock(&net->lock);
    return all;
}

/* Main thread, every few seconds while any is stalled: ends those that make no progress. */
void
lares_connections_check(LaresNet *net)
{
    g_autoptr(GPtrArray) late = g_ptr_array_new_with_free_func((GDestroyNotify)lares_connection_unref);
    g_autoptr(GPtrArray) all = lares_connections_list(net);
    gint64 now = lares_net_clock();
    for (guint i = 0; i < all->len; i++) {
        LaresConnection *c = all->pdata[i];
        g_mutex_lock(&c->lock);
        gint64 since = c->blocked ? c->blocked_since : c->partial_since;
        gboolean stalled = c->alive && c->partial && since && now - since > net->stall_timeout;
        g_mutex_unlock(&c->lock);
        if (stalled)
            g_ptr_array_add(late, c);
        else
            lares_connection_unref(c);
    }
    for (guint i = 0; i < late->len; i++) {
        LaresConnection *c = late->pdata[i];
        lares_log_limited(LARES_LOG_INFO, "net", "%s: %s makes no progress: closed", c->service->name, c->peer.address);
        lares_connection_close(c);
    }
}

/* All workers have ended and all connections are over; what a module still refers to stays. */
void
lares_connections_free(LaresNet *net)
{
    for (LaresConnection *c = net->spare, *next; c; c = next) {
        next = c->link.data;
        g_mutex_clear(&c->lock);
        g_free(c);
    }
    net->spare = NULL;
}

/* ---- What protocols ask --------------------------------------------------------------------------------------- */

const LaresPeer *
lares_connection_peer(LaresConnection *c)
{
    return &c->peer;
}

const LaresPeer *
lares_connection_local(LaresConnection *c)
{
    g_mutex_lock(&c->lock);
    if (!c->local.address[0]) {
        struct sockaddr_storage sa;
        socklen_t len = sizeof sa;
        if (c->alive && getsockname(c->fd, (struct sockaddr *)&sa, &len) == 0)
            lares_peer_from_sockaddr(&c->local, (struct sockaddr *)&sa);
        else
            c->local = c->listener->here;
    }
    g_mutex_unlock(&c->lock);
    return &c->local;
}

uint64_t
lares_connection_id(LaresConnection *c)
{
    return c->id;
}

void
lares_connection_traffic(LaresConnection *c, uint64_t *received, uint64_t *sent)
{
    if (received)
        *received = __atomic_load_n(&c->received, __ATOMIC_RELAXED);
    if (sent)
        *sent = __atomic_load_n(&c->sent, __ATOMIC_RELAXED);
}
