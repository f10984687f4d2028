/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Starts the realm's daemons in a thread that lives as long as the process, whoever asks: the kernel's death signal
 * (PR_SET_PDEATHSIG of prctl(2)) comes when the thread that started a child ends, and a verb's thread ends soon.
 *
 * Thread: any; waits for fork and exec. Locks: each request's own.
 */
#include "realm.h"

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

typedef struct {
    GSubprocessLauncher *launcher;
    const char *const *argv;
    GMutex lock;
    GCond done_cond;
    gboolean done;
    GSubprocess *process;
    GError *error;
} Start;

/* Runs in the child between fork and exec: async-signal-safe calls only. */
static void
child_setup(gpointer user_data)
{
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    /* Its own group: a Ctrl-C in our terminal is ours to handle. */
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != GPOINTER_TO_INT(user_data))
        _exit(1);
}

static gpointer
serve(gpointer data)
{
    GAsyncQueue *starts = data;

    for (;;) {
        Start *start = g_async_queue_pop(starts);
        g_mutex_lock(&start->lock);
        start->process = g_subprocess_launcher_spawnv(start->launcher, start->argv, &start->error);
        start->done = TRUE;
        g_cond_signal(&start->done_cond);
        g_mutex_unlock(&start->lock);
    }
    return NULL;
}

static gpointer
begin(gpointer data)
{
    GAsyncQueue *starts = g_async_queue_new();
    sigset_t all, before;

    /* Signals are the main thread's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    g_thread_unref(g_thread_new("realm-start", serve, starts));
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return starts;
}

GSubprocess *
realm_start(const char *const *argv, char **env, GError **error)
{
    static GOnce once = G_ONCE_INIT;
    GAsyncQueue *starts = g_once(&once, begin, NULL);
    g_autoptr(GSubprocessLauncher) launcher =
        g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_MERGE);
    Start start = {.launcher = launcher, .argv = argv};

    g_subprocess_launcher_set_environ(launcher, env);
    g_subprocess_launcher_set_cwd(launcher, "/");
    g_subprocess_launcher_set_child_setup(launcher, child_setup, GINT_TO_POINTER(getpid()), NULL);
    g_mutex_init(&start.lock);
    g_cond_init(&start.done_cond);
    g_mutex_lock(&start.lock);
    g_async_queue_push(starts, &start);
    while (!start.done)
        g_cond_wait(&start.done_cond, &start.lock);
    g_mutex_unlock(&start.lock);
    g_cond_clear(&start.done_cond);
    g_mutex_clear(&start.lock);
    if (!start.process)
        g_propagate_error(error, start.error);
    return start.process;
}
