/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Only in builds with the thread sanitizer: tells it what GLib's locks do, which it cannot see because GLib itself is
 * not built with it. Each function here stands before GLib's own of the same name, calls it, and notes the order it
 * makes.
 *
 * Thread: any. */
#include <dlfcn.h>
#include <glib-object.h>
#include <pthread.h>

void __tsan_acquire(void *address);
void __tsan_release(void *address);

#define REAL(name)                                                                                                     \
    static __typeof__(name) *real;                                                                                     \
    __typeof__(name) *known = __atomic_load_n(&real, __ATOMIC_RELAXED);                                                \
    if (!known) {                                                                                                      \
        known = (__typeof__(name) *)dlsym(RTLD_NEXT, #name);                                                           \
        __atomic_store_n(&real, known, __ATOMIC_RELAXED);                                                              \
    }

#define TAKES(name, Type)                                                                                              \
    __attribute__((visibility("default"), no_sanitize("thread"))) void name(Type *lock)                                \
    {                                                                                                                  \
        REAL(name)                                                                                                     \
        known(lock);                                                                                                   \
        __tsan_acquire(lock);                                                                                          \
    }
#define TRIES(name, Type)                                                                                              \
    __attribute__((visibility("default"), no_sanitize("thread"))) gboolean name(Type *lock)                            \
    {                                                                                                                  \
        REAL(name)                                                                                                     \
        gboolean taken = known(lock);                                                                                  \
        if (taken)                                                                                                     \
            __tsan_acquire(lock);                                                                                      \
        return taken;                                                                                                  \
    }
#define GIVES(name, Type)                                                                                              \
    __attribute__((visibility("default"), no_sanitize("thread"))) void name(Type *lock)                                \
    {                                                                                                                  \
        REAL(name)                                                                                                     \
        __tsan_release(lock);                                                                                          \
        known(lock);                                                                                                   \
    }

#undef g_mutex_lock
#undef g_mutex_trylock
#undef g_mutex_unlock

TAKES(g_mutex_lock, GMutex)
TRIES(g_mutex_trylock, GMutex)
GIVES(g_mutex_unlock, GMutex)
TAKES(g_rec_mutex_lock, GRecMutex)
TRIES(g_rec_mutex_trylock, GRecMutex)
GIVES(g_rec_mutex_unlock, GRecMutex)
TAKES(g_rw_lock_reader_lock, GRWLock)
TRIES(g_rw_lock_reader_trylock, GRWLock)
GIVES(g_rw_lock_reader_unlock, GRWLock)
TAKES(g_rw_lock_writer_lock, GRWLock)
TRIES(g_rw_lock_writer_trylock, GRWLock)
GIVES(g_rw_lock_writer_unlock, GRWLock)

__attribute__((visibility("default"), no_sanitize("thread"))) void
g_cond_wait(GCond *cond, GMutex *mutex)
{
    REAL(g_cond_wait)
    __tsan_release(mutex);
    known(cond, mutex);
    __tsan_acquire(mutex);
}

__attribute__((visibility("default"), no_sanitize("thread"))) gboolean
g_cond_wait_until(GCond *cond, GMutex *mutex, gint64 end)
{
    REAL(g_cond_wait_until)
    __tsan_release(mutex);
    gboolean signalled = known(cond, mutex, end);
    __tsan_acquire(mutex);
    return signalled;
}

/* The last reference meets what all others did. */
__attribute__((visibility("default"), no_sanitize("thread"))) void(g_object_unref)(gpointer object)
{
    REAL(g_object_unref)
    __tsan_release(object);
    if (((GObject *)object)->ref_count == 1)
        __tsan_acquire(object);
    known(object);
}

/* Likewise; which reference is the last one is not to be seen from here. */
__attribute__((visibility("default"), no_sanitize("thread"))) void
g_bytes_unref(GBytes *bytes)
{
    REAL(g_bytes_unref)
    if (bytes) {
        __tsan_release(bytes);
        __tsan_acquire(bytes);
    }
    known(bytes);
}

/* What a worker leaves to the main loop: GLib frees in one thread what it allocated in the other. The flag is an order
 * that both threads and the sanitizer see. */
typedef struct {
    gint added; /* atomic */
    GSourceFunc function;
    gpointer data;
    GDestroyNotify notify;
    guint id;
} Left;
static pthread_mutex_t lefts_lock = PTHREAD_MUTEX_INITIALIZER;
static GSList *lefts;

static Left *
left_new(GSourceFunc function, gpointer data, GDestroyNotify notify)
{
    Left *left = g_new(Left, 1);
    *left = (Left){.function = function, .data = data, .notify = notify};
    pthread_mutex_lock(&lefts_lock);
    lefts = g_slist_prepend(lefts, left);
    pthread_mutex_unlock(&lefts_lock);
    return left;
}

static guint
left_added(Left *left, guint id)
{
    left->id = id;
    __atomic_store_n(&left->added, 1, __ATOMIC_RELEASE);
    return id;
}

static gboolean
left_run(gpointer data)
{
    Left *left = data;
    while (!__atomic_load_n(&left->added, __ATOMIC_ACQUIRE))
        g_thread_yield();
    return left->function(left->data);
}

static void
left_free(gpointer data)
{
    Left *left = data;
    while (!__atomic_load_n(&left->added, __ATOMIC_ACQUIRE))
        g_thread_yield();
    pthread_mutex_lock(&lefts_lock);
    lefts = g_slist_remove(lefts, left);
    pthread_mutex_unlock(&lefts_lock);
    if (left->notify)
        left->notify(left->data);
    g_free(left);
}

__attribute__((visibility("default"))) gboolean
g_source_remove_by_user_data(gpointer data)
{
    guint id = 0;
    pthread_mutex_lock(&lefts_lock);
    for (GSList *l = lefts; l && !id; l = l->next) {
        Left *left = l->data;
        if (left->data == data && __atomic_load_n(&left->added, __ATOMIC_ACQUIRE))
            id = left->id;
    }
    pthread_mutex_unlock(&lefts_lock);
    return id && g_source_remove(id);
}

__attribute__((visibility("default"))) guint
g_idle_add_full(gint priority, GSourceFunc function, gpointer data, GDestroyNotify notify)
{
    REAL(g_idle_add_full)
    Left *left = left_new(function, data, notify);
    return left_added(left, known(priority, left_run, left, left_free));
}

__attribute__((visibility("default"))) guint(g_idle_add)(GSourceFunc function, gpointer data)
{
    return g_idle_add_full(G_PRIORITY_DEFAULT_IDLE, function, data, NULL);
}

__attribute__((visibility("default"))) guint
g_timeout_add_full(gint priority, guint interval, GSourceFunc function, gpointer data, GDestroyNotify notify)
{
    REAL(g_timeout_add_full)
    Left *left = left_new(function, data, notify);
    return left_added(left, known(priority, interval, left_run, left, left_free));
}

__attribute__((visibility("default"))) guint
g_timeout_add(guint interval, GSourceFunc function, gpointer data)
{
    return g_timeout_add_full(G_PRIORITY_DEFAULT, interval, function, data, NULL);
}
