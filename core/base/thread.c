/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A thread inherits the mask of the one that starts it, so there is no moment without it. */
#include "base/thread.h"

#include <signal.h>

GThread *
lares_thread_new(const char *name, GThreadFunc function, gpointer data, GError **error)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    GThread *thread = error ? g_thread_try_new(name, function, data, error) : g_thread_new(name, function, data);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return thread;
}
