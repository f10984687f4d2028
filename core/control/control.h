/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The registry of verbs, as the daemon makes it.
 *
 * Thread: main. */
#pragma once

#include <lares/control.h>
#include <lares/settings.h>

G_BEGIN_DECLS

LaresControl *lares_control_new(LaresHost *host);
void lares_control_free(LaresControl *control);
/* The [control] group of lares.conf. */
extern const LaresKey lares_control_keys[];
/* Applies it; may be called again. LARES_ERROR_CONFIG names the key. */
gboolean lares_control_configure(LaresControl *control, const LaresSettings *settings, GError **error);

/* Opens the bearer tokens in `database` and adds their verbs. */
gboolean lares_control_open_tokens(LaresControl *control, const char *database, GError **error);

/* Before faces go: what waits is answered, what runs is waited for. */
void lares_control_stop_slow(LaresControl *control);

/* status, health, version, metrics, module.*, session.*, open.list, lock.list, server.reload, verb.list. */
gboolean lares_control_add_builtin(LaresControl *control, GError **error);

G_END_DECLS
