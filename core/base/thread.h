/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Threads of the server that are not the main thread. */
#pragma once

#include <lares/types.h>

G_BEGIN_DECLS

/* Like g_thread_try_new(), with every signal blocked: signals belong to the main thread, which alone can answer a
 * SIGTERM. A thread that waits in a condition would only be woken by it (and never under the thread sanitizer, which
 * keeps a signal until the thread's next call that it knows). What the thread starts as a child must unblock them.
 * Without `error` a thread that cannot be made ends the program, as with g_thread_new(). */
GThread *lares_thread_new(const char *name, GThreadFunc function, gpointer data, GError **error);

G_END_DECLS
