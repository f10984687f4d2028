/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The data plane as the daemon sees it: made once, started, stopped.
 *
 * Thread: main, except where said. */
#pragma once

#include <lares/net.h>

G_BEGIN_DECLS

typedef struct _LaresNet LaresNet;

/* The data plane of a host; set by the daemon (module/host.c). */
LaresNet *lares_host_net(LaresHost *host);

/* `workers` 0: one per core, at least 4. More are started, up to `max_workers`, while all of them hang. A peer that
 * sends half a record or does not read is given `stall_timeout` seconds, and all such peers together `memory` bytes. */
LaresNet *lares_net_new(guint workers, guint max_workers, guint stall_timeout, size_t memory, GError **error);
/* Closes all listeners and connections (callbacks are delivered), runs what was deferred, ends the workers. */
void lares_net_free(LaresNet *net);

typedef struct {
    guint workers, idle, connections;
    guint64 accepted, requests;
} LaresNetStatus;
void lares_net_status(LaresNet *net, LaresNetStatus *status); /* any thread */

/* What the data plane counts, for /metrics. Once. */
gboolean lares_net_add_metrics(LaresHost *host, GError **error);

/* Takes the sockets that the service manager passed, once, before threads start. */
void lares_net_inherit(void);
/* Says which of them nobody took; when all modules are loaded. */
void lares_net_warn_about_left(void);
/* Raises the limit of open files to what is allowed; returns it. */
guint64 lares_net_raise_files(void);

G_END_DECLS
