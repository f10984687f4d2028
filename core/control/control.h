/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The registry of verbs, as the daemon makes it.
 *
 * Thread: main. */
#pragma once

#include <lares/control.h>

G_BEGIN_DECLS

LaresControl *lares_control_new(LaresHost *host);
void lares_control_free(LaresControl *control);
/* status, module.*, session.*, server.reload, verb.list. */
gboolean lares_control_add_builtin(LaresControl *control, GError **error);

G_END_DECLS
