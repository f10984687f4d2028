/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The last refused logins, for whoever explains them.
 *
 * Thread: any. Locks: its own; nothing is called while it is held. */
#pragma once

#include <lares/auth.h>

G_BEGIN_DECLS

typedef struct {
    gint64 last; /* wall-clock second */
    guint times;
    char client[48], protocol[16];
    char principal[128], reason[256]; /* cut off where they are longer */
} LaresRefusal;

/* The same once more counts only. */
void lares_refusals_add(const char *client, const char *protocol, const char *principal, const char *reason);
/* Of LaresRefusal, the latest last; a bounded number. */
GArray *lares_refusals_list(void);

G_END_DECLS
