/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Making and ending the data plane, and what the main thread looks after every now and then: stalled peers, more
 * workers while all of them hang, spare memory after a while without work.
 *
 * Thread: main. Locks: the net's. */
#include "net/net-private.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <unistd.h>

#define GROW_MS   10
#define GROW_CALM 20
#define CALM_RATE 4    /* requests a second that are as good as none … */
#define CALM_WORK 1000 /* … but so many of them, however slow they came, are worth a look at what they left */

guint64
lares_net_raise_files(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 0;
    if (limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
            lares_warning("net", "cannot raise the limit of open files: %s", g_strerror(errno));
        getrlimit(RLIMIT_NOFILE, &limit);
    }
    return limit.rlim_cur;
}

/* net lock held */
static guint64
count_requests(LaresNet *net)
{
    guint64 n = net->retired;
    for (guint i = 0; i < net->workers->len; i++)
        n += __atomic_load_n(&((LaresWorker *)net->workers->pdata[i])->completed, __ATOMIC_RELAXED);
    return n;
}

static void
worker_free(LaresWorker *worker)
{
    if (worker->thread)
        g_thread_join(worker->thread);
    if (worker->spare)
        g_free(worker->spare);
    lares_arena_free(worker->arena);
    g_free(worker);
}

/* Joins workers that ended because there was nothing left to do for so many. */
static void
reap(LaresNet *net)
{
    g_autoptr(GPtrArray) ended = g_ptr_array_new_with_free_func((GDestroyNotify)worker_free);
    g_mutex_lock(&net->lock);
    for (guint i = net->workers->len; i-- > 0;)
        if (((LaresWorker *)net->workers->pdata[i])->finished)
            g_ptr_array_add(ended, g_ptr_array_steal_index_fast(net->workers, i));
    g_mutex_unlock(&net->lock);
}

/* ---- More workers --------------------------------------------------------------------------------------------- */

static gboolean
is_computing(pid_t tid)
{
    char path[64], text[256];
    g_snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)tid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return FALSE;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[MAX(n, 0)] = '\0';
    const char *name_end = strrchr(text, ')');
    return name_end && g_str_has_prefix(name_end, ") R");
}

/* Whether as many workers compute, or would if they were let, as there are processors: sealing large replies on a busy
 * machine looks like waiting by the number of requests alone, and more threads would only stand in each other's way. */
static gboolean
processors_are_taken(LaresNet *net)
{
    g_autoptr(GArray) tids = g_array_new(FALSE, FALSE, sizeof(pid_t));
    guint left = g_get_num_processors();
    g_mutex_lock(&net->lock);
    for (guint i = 0; i < net->workers->len; i++) {
        pid_t tid = (pid_t)g_atomic_int_get(&((LaresWorker *)net->workers->pdata[i])->tid);
        if (tid)
            g_array_append_val(tids, tid);
    }
    g_mutex_unlock(&net->lock);
    for (guint i = 0; i < tids->len && left; i++)
        left -= is_computing(g_array_index(tids, pid_t, i)) ? 1 : 0;
    return left == 0;
}

/* All workers are busy; if hardly any request ends meanwhile and they do not compute, they are waiting for something.
 */
static gboolean
on_grow_tick(gpointer data)
{
    LaresNet *net = data;
    g_mutex_lock(&net->lock);
    guint64 done = count_requests(net);
    guint n = net->n_workers;
    g_mutex_unlock(&net->lock);
    gboolean all_busy = g_atomic_int_get(&net->idle) == 0;
    gboolean slow = done - net->grow_seen < n;
    net->grow_seen = done;
    if (all_busy && slow && n < net->max_workers && !processors_are_taken(net)) {
        g_autoptr(GError) error = NULL;
        if (!lares_net_add_worker(net, &error))
            lares_log_limited(LARES_LOG_WARNING, "net", "cannot start another worker: %s", error->message);
    }
    net->grow_calm = all_busy ? 0 : net->grow_calm + 1;
    if (net->grow_calm < GROW_CALM)
        return G_SOURCE_CONTINUE;
    net->grow_source = 0;
    g_atomic_int_set(&net->growing, 0);
    return G_SOURCE_REMOVE;
}

static gboolean
start_growing(gpointer data)
{
    LaresNet *net = data;
    net->grow_calm = 0;
    if (!net->grow_source)
        net->grow_source = g_timeout_add(GROW_MS, on_grow_tick, net);
    return G_SOURCE_REMOVE;
}

/* Any thread. */
void
lares_net_watch_growth(LaresNet *net)
{
    g_idle_add_full(G_PRIORITY_DEFAULT, start_growing, net, NULL);
}

/* ---- The slow tick -------------------------------------------------------------------------------------------- */

gboolean
lares_calm_step(LaresCalm *calm, guint64 work, guint seconds)
{
    gboolean was_calm = calm->calm;
    /* What was counted late may look like less. */
    calm->calm = work < calm->seen + CALM_RATE * (guint64)seconds;
    calm->seen = work;
    if (!calm->calm || (was_calm && work < calm->trimmed + CALM_WORK))
        return FALSE;
    calm->trimmed = work;
    return TRUE;
}

static gboolean
on_tick(gpointer data)
{
    LaresNet *net = data;
    if (g_atomic_int_get(&net->stalled) > 0)
        lares_connections_check(net);
    reap(net);
    g_mutex_lock(&net->lock);
    guint64 work = count_requests(net);
    g_mutex_unlock(&net->lock);
    guint64 accepted = __atomic_load_n(&net->accepted, __ATOMIC_RELAXED);
    guint open = (guint)MAX(g_atomic_int_get(&net->connections), 0);
    work += accepted > open ? accepted - open : 0; /* the end of a connection frees as much as a request does */
    if (lares_calm_step(&net->calm, work, net->tick_seconds)) {
        lares_buffers_trim(net);
#ifdef __GLIBC__
        malloc_trim(0); /* what sessions, opens and listings took goes back to the system */
#endif
    }
    return G_SOURCE_CONTINUE;
}

/* ---- Life ----------------------------------------------------------------------------------------------------- */

static gboolean
add_eventfd(LaresNet *net, int *fd, LaresEventKind *kind, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = kind};
    *fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return *fd >= 0 && epoll_ctl(net->epoll, EPOLL_CTL_ADD, *fd, &e) == 0;
}

LaresNet *
lares_net_new(guint workers, guint max_workers, guint stall_timeout, size_t memory, GError **error)
{
    LaresNet *net = g_new0(LaresNet, 1);
    net->base_workers = workers ? workers : MAX(4, g_get_num_processors());
    net->max_workers = MAX(max_workers, net->base_workers);
    net->stall_timeout = (gint64)stall_timeout * 1000000000;
    net->memory_limit = memory;
    net->workers = g_ptr_array_new();
    net->arenas = g_ptr_array_new_with_free_func((GDestroyNotify)lares_arena_free);
    net->wake_event = LARES_EVENT_WAKE;
    net->stop_event = LARES_EVENT_STOP;
    g_mutex_init(&net->lock);
    g_cond_init(&net->changed);
    net->wake_fd = net->stop_fd = -1;
    net->epoll = epoll_create1(EPOLL_CLOEXEC);
    /* Edge-triggered: each write wakes one worker and nobody has to read. */
    if (net->epoll < 0 || !add_eventfd(net, &net->wake_fd, &net->wake_event, EPOLLIN | EPOLLET) ||
        !add_eventfd(net, &net->stop_fd, &net->stop_event, EPOLLIN)) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_FAILED, "cannot make an epoll set: %s", g_strerror(errno));
        lares_net_free(net);
        return NULL;
    }
    if (!(net->lookout = lares_lookout_new(net, error))) {
        lares_net_free(net);
        return NULL;
    }
    for (guint i = 0; i < net->base_workers; i++) {
        if (!lares_net_add_worker(net, error)) {
            lares_net_free(net);
            return NULL;
        }
    }
    net->tick_seconds = CLAMP(stall_timeout / 4, 1, 15);
    net->tick = g_timeout_add_seconds(net->tick_seconds, on_tick, net);
    return net;
}

static void
stop_workers(LaresNet *net)
{
    uint64_t one = 1;
    g_atomic_int_set(&net->stopping, 1);
    if (net->stop_fd >= 0 && write(net->stop_fd, &one, sizeof one) < 0)
        lares_error("net", "cannot stop the workers: %s", g_strerror(errno));
    for (guint i = 0; i < net->workers->len; i++) {
        LaresWorker *worker = net->workers->pdata[i];
        g_thread_join(g_steal_pointer(&worker->thread));
    }
    g_clear_pointer(&net->lookout, lares_lookout_free); /* it looks at the workers */
    for (guint i = 0; i < net->workers->len; i++)
        worker_free(net->workers->pdata[i]);
    g_ptr_array_unref(net->workers);
}

static LaresNet *kept;

void
lares_net_free(LaresNet *net)
{
    if (!net)
        return;
    for (LaresListener *l = net->listeners; l; l = l->next)
        lares_listener_close(l);
    stop_workers(net);
    g_clear_handle_id(&net->tick, g_source_remove);
    g_clear_handle_id(&net->grow_source, g_source_remove);
    while (g_source_remove_by_user_data(net)) /* what workers asked for just now */
        ;
    for (LaresListener *l = net->listeners, *next; l; l = next) {
        next = l->next;
        while (g_source_remove_by_user_data(l))
            ;
        lares_listener_free(l);
    }
    lares_buffers_trim(net);
    g_ptr_array_unref(net->arenas);
    if (net->wake_fd >= 0)
        close(net->wake_fd);
    if (net->stop_fd >= 0)
        close(net->stop_fd);
    if (net->epoll >= 0)
        close(net->epoll);
    if (g_atomic_int_get(&net->held) > 0) { /* a module has not let go yet; what it refers to stays */
        kept = net;
        return;
    }
    lares_connections_free(net);
    g_cond_clear(&net->changed);
    g_mutex_clear(&net->lock);
    g_free(net);
}

void
lares_net_status(LaresNet *net, LaresNetStatus *status)
{
    g_mutex_lock(&net->lock);
    *status = (LaresNetStatus){.workers = net->n_workers,
                               .idle = (guint)MAX(g_atomic_int_get(&net->idle), 0),
                               .connections = (guint)MAX(g_atomic_int_get(&net->connections), 0),
                               .accepted = __atomic_load_n(&net->accepted, __ATOMIC_RELAXED),
                               .requests = count_requests(net)};
    g_mutex_unlock(&net->lock);
}
