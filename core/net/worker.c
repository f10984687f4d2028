/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Workers: each takes a request from the socket to the reply.
 *
 * A connection is armed one-shot; the worker that gets its event takes one record. While requests of a connection take
 * long ("eager") it is armed again before the request runs, so that another worker reads the next record, and records
 * that are already there wake one. While they are cheap, one worker serves them in a row, which costs fewer system
 * calls and no switches, and their replies leave together. So that a request that suddenly hangs does not hold up those
 * behind it, somebody looks after what was left lying (lookout.c).
 *
 * Thread: workers. Locks: see net-private.h. */
#include "net/net-private.h"

#include "base/thread.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#define RECENT_NS     5000000
#define SURPLUS_MS    10000
#define REPLY_INITIAL 1024
#define SERIAL_SHARE  8 /* so much less is what only one can do at a time worth another worker */

/* Wakes one idle worker, if any is not on its way already. */
void
lares_net_poke(LaresNet *net)
{
    if (g_atomic_int_get(&net->idle) <= g_atomic_int_get(&net->waking))
        return;
    g_atomic_int_inc(&net->waking);
    uint64_t one = 1;
    if (write(net->wake_fd, &one, sizeof one) < 0)
        g_atomic_int_add(&net->waking, -1); /* the counter is full: events enough */
}

void
lares_net_push(LaresConnection *c, gboolean wake)
{
    LaresNet *net = c->net;
    if (!__atomic_load_n(&c->on_ready, __ATOMIC_RELAXED)) {
        g_mutex_lock(&net->lock);
        if (!c->on_ready) {
            __atomic_store_n(&c->on_ready, TRUE, __ATOMIC_RELAXED);
            c->ready_link = (GList){.data = lares_connection_ref(c)};
            g_queue_push_tail_link(&net->ready, &c->ready_link);
            g_atomic_int_inc(&net->jobs);
        }
        g_mutex_unlock(&net->lock);
    }
    if (wake)
        lares_net_poke(net);
}

void
lares_net_defer(LaresHost *host, void (*work)(gpointer data), gpointer data)
{
    LaresNet *net = lares_host_net(host);
    g_return_if_fail(net != NULL); /* not in unload(): the workers have ended */
    LaresDeferred *job = g_new(LaresDeferred, 1);
    *job = (LaresDeferred){work, data};
    g_mutex_lock(&net->lock);
    g_queue_push_tail(&net->deferred, job);
    g_atomic_int_inc(&net->jobs);
    g_mutex_unlock(&net->lock);
    lares_net_poke(net);
}

/* ---- One request ---------------------------------------------------------------------------------------------- */

/* XDR and structures in records are read as 32-bit words. */
static uint8_t *
align_record(LaresWorker *worker, const LaresRecord *record)
{
    if (((uintptr_t)record->data & 3) == 0)
        return record->data;
    return lares_arena_memdup(worker->arena, record->data, record->len);
}

typedef enum {
    RUN_CALL_ANOTHER = 1 << 0, /* there is more for another worker */
    RUN_WATCHED = 1 << 1,      /* others wait for its end, which is probably soon */
    RUN_HOLD = 1 << 2,         /* its reply may wait for the next one */
    RUN_FIRST = 1 << 3         /* the clock was read just now, not before the last reply was sent */
} RunFlags;

/* lock held. Whether to keep a small reply for a moment, so that those of several requests leave in one call: the next
 * request is there already and this worker takes it at once, and neither that one nor the oldest reply that waits lets
 * the peer wait long. If it does take long, the lookout sends what was left. A lone request's reply never waits. */
static gboolean
may_wait(const LaresConnection *c, gint64 now)
{
    return !c->reading && lares_frames_pending(&c->frames) && c->cost <= LARES_NET_HOLD_NS &&
           (!c->out_head || now - c->held_since <= LARES_NET_HOLD_NS);
}

/* lock held. An average in which one long request among short ones counts little: it is probably one whose thread had
 * to wait for a processor, and other threads would wait for the same one. A row of them counts soon. */
static void
note_cost(LaresConnection *c, uint32_t took)
{
    uint32_t cost = c->cost;
    if (cost == UINT32_MAX)
        c->cost = MIN(took, UINT32_MAX / 8);
    else if (took < cost)
        c->cost = cost - (cost - took) / 8;
    else
        c->cost = cost + (MIN(took, 4 * cost + LARES_NET_EAGER_NS / 4) - cost) / 8;
}

/* lock held, dropped while the request runs. */
static void
run_request(LaresWorker *worker, LaresConnection *c, LaresRecord *record, RunFlags flags)
{
    LaresRequest request = {.connection = c, .arena = worker->arena, .len = record->len};
    g_mutex_unlock(&c->lock);
    /* Not with the lock held: whoever wakes may take this processor at once, and would only wait for the lock. */
    if (flags & RUN_CALL_ANOTHER)
        lares_net_poke(c->net);
    if (flags & RUN_WATCHED)
        lares_lookout_wanted(c->net);
    gint64 start = worker->now ? worker->now : lares_net_clock();
    __atomic_store_n(&worker->since, start, __ATOMIC_RELAXED);

    /* What is told about the time of requests does not have the sending of the reply before it in it. */
    gint64 began = flags & RUN_FIRST ? start : lares_net_clock();
    request.data = align_record(worker, record);
    lares_writer_init(&request.reply.out, worker->arena, MIN(REPLY_INITIAL, c->service->max_reply + LARES_REPLY_HEAD),
                      c->service->max_reply + LARES_REPLY_HEAD);
    lares_put_space(&request.reply.out, LARES_REPLY_HEAD);
    c->service->request(&request, c->data);
    lares_buffer_unref(c->net, worker, record->buffer);
    lares_output_settle(worker, &request.reply);

    worker->now = lares_net_clock();
    __atomic_store_n(&worker->since, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&worker->completed, worker->completed + 1, __ATOMIC_RELAXED);
    lares_operations_time(request.operations, request.operation, (uint64_t)(worker->now - began));
    g_mutex_lock(&c->lock);
    uint32_t took = (uint32_t)MIN(worker->now - start, (gint64)UINT32_MAX);
    if (request.reply.serial && took < LARES_NET_HANGS_NS)
        took /= SERIAL_SHARE;
    note_cost(c, took);
    c->last_done = worker->now;
    lares_output_reply(worker, c, &request.reply, (flags & RUN_HOLD) && may_wait(c, worker->now));
    c->in_flight--;
}

/* Takes records of one connection, one after the other, until there is none or others should have their turn. */
void
lares_net_serve(LaresWorker *worker, LaresConnection *c)
{
    __atomic_store_n(&worker->current, c, __ATOMIC_RELEASE);
    worker->now = 0;
    g_mutex_lock(&c->lock);
    if (c->out_head)
        lares_output_flush(c);
    for (guint n = 0; n < LARES_NET_RUN; n++) {
        LaresRecord record;
        if (!lares_input_take(worker, c, &record))
            break;
        if (!worker->now)
            worker->now = lares_net_clock();
        gboolean pending = !c->reading && lares_frames_pending(&c->frames);
        gboolean eager =
            c->cost > LARES_NET_EAGER_NS || record.len > LARES_NET_CHUNK || worker->now - c->last_done > RECENT_NS;
        gboolean more = pending || (c->readable && !c->eof && !c->reading);
        if (more)
            lares_net_push(c, FALSE);
        else if (eager)
            lares_connection_arm(c);
        run_request(worker, c, &record,
                    (more && eager ? RUN_CALL_ANOTHER : 0) | (eager && !c->out_head ? 0 : RUN_WATCHED) |
                        (n + 1 < LARES_NET_RUN ? RUN_HOLD : 0) | (n == 0 ? RUN_FIRST : 0));
        lares_arena_reset(worker->arena);
    }
    lares_connection_leave(c);
    __atomic_store_n(&worker->current, NULL, __ATOMIC_RELEASE);
    if (lares_net_crowded(worker->net))
        lares_net_relieve(worker->net);
}

/* ---- The loop ------------------------------------------------------------------------------------------------- */

static gboolean
run_job(LaresWorker *worker)
{
    LaresNet *net = worker->net;
    if (g_atomic_int_get(&net->jobs) == 0)
        return FALSE;
    g_mutex_lock(&net->lock);
    LaresDeferred *deferred = g_queue_pop_head(&net->deferred);
    GList *link = deferred ? NULL : g_queue_pop_head_link(&net->ready);
    LaresConnection *c = link ? link->data : NULL;
    if (c)
        __atomic_store_n(&c->on_ready, FALSE, __ATOMIC_RELAXED);
    if (c || deferred)
        g_atomic_int_add(&net->jobs, -1);
    gboolean more = deferred && !g_queue_is_empty(&net->deferred);
    g_mutex_unlock(&net->lock);
    if (more)
        lares_net_poke(net);
    if (deferred) {
        deferred->work(deferred->data);
        g_free(deferred);
    } else if (c) {
        lares_net_serve(worker, c);
        lares_connection_unref(c);
    }
    return c || deferred;
}

static void
handle_event(LaresWorker *worker, const struct epoll_event *e)
{
    LaresEventKind kind = *(LaresEventKind *)e->data.ptr;
    if (kind == LARES_EVENT_WAKE) {
        g_atomic_int_set(&worker->net->waking, 0); /* two writes may have become one event */
    } else if (kind == LARES_EVENT_LISTENER) {
        lares_listener_accept(e->data.ptr);
    } else if (kind == LARES_EVENT_CONNECTION) {
        LaresConnection *c = e->data.ptr;
        if (lares_connection_enter(c, e->events)) {
            lares_net_serve(worker, c);
            lares_connection_unref(c);
        }
    }
}

/* Starts watching whether all workers hang; timers belong to the main thread. */
static void
last_idle_left(LaresNet *net)
{
    if (g_atomic_int_compare_and_exchange(&net->growing, 0, 1))
        lares_net_watch_growth(net);
}

typedef enum { WAITED_EVENT, WAITED_NOTHING, WAITED_STOP, WAITED_SURPLUS } Waited;

static Waited
wait_for_event(LaresWorker *worker, struct epoll_event *e)
{
    LaresNet *net = worker->net;
    gboolean surplus = __atomic_load_n(&net->n_workers, __ATOMIC_RELAXED) > net->base_workers;
    g_atomic_int_inc(&net->idle);
    int n = epoll_wait(net->epoll, e, 1, g_atomic_int_get(&net->jobs) ? 0 : surplus ? SURPLUS_MS : -1);
    if (g_atomic_int_add(&net->idle, -1) == 1 && (n > 0 || g_atomic_int_get(&net->jobs)))
        last_idle_left(net);
    if (n > 0)
        return *(LaresEventKind *)e->data.ptr == LARES_EVENT_STOP ? WAITED_STOP : WAITED_EVENT;
    return surplus && n == 0 && !g_atomic_int_get(&net->jobs) ? WAITED_SURPLUS : WAITED_NOTHING;
}

/* TRUE: this thread ends. */
static gboolean
may_end(LaresNet *net, Waited why)
{
    g_mutex_lock(&net->lock);
    gboolean end = why == WAITED_STOP ? g_queue_is_empty(&net->ready) && g_queue_is_empty(&net->deferred)
                                      : net->n_workers > net->base_workers;
    if (end)
        __atomic_store_n(&net->n_workers, net->n_workers - 1, __ATOMIC_RELAXED);
    g_mutex_unlock(&net->lock);
    return end;
}

static gpointer
worker_main(gpointer data)
{
    LaresWorker *worker = data;
    LaresNet *net = worker->net;
    g_atomic_int_set(&worker->tid, (gint)gettid());
    for (guint turn = 0;; turn++) {
        struct epoll_event e;
        /* Now and then a look at the others, so that the ready list does not starve them. */
        if ((turn & 7) != 7 && run_job(worker))
            continue;
        Waited why = wait_for_event(worker, &e);
        if (why == WAITED_EVENT)
            handle_event(worker, &e);
        else if (why >= WAITED_STOP && !run_job(worker) && may_end(net, why))
            break;
    }
    g_mutex_lock(&net->lock);
    net->retired += worker->completed;
    worker->completed = 0;
    worker->finished = TRUE;
    g_cond_broadcast(&net->changed);
    g_mutex_unlock(&net->lock);
    return NULL;
}

gboolean
lares_net_add_worker(LaresNet *net, GError **error)
{
    LaresWorker *worker = g_new0(LaresWorker, 1);
    worker->net = net;
    worker->arena = lares_arena_new();
    g_mutex_lock(&net->lock);
    worker->number = net->next_number++;
    __atomic_store_n(&net->n_workers, net->n_workers + 1, __ATOMIC_RELAXED);
    g_ptr_array_add(net->workers, worker);
    g_mutex_unlock(&net->lock);

    g_autofree char *name = g_strdup_printf("worker-%u", worker->number);
    worker->thread = lares_thread_new(name, worker_main, worker, error);
    if (worker->thread)
        return TRUE;
    g_mutex_lock(&net->lock);
    __atomic_store_n(&net->n_workers, net->n_workers - 1, __ATOMIC_RELAXED);
    g_ptr_array_remove(net->workers, worker);
    g_mutex_unlock(&net->lock);
    lares_arena_free(worker->arena);
    g_free(worker);
    return FALSE;
}
