/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Authenticators that were accepted already, kept as long as a copy of one could still be accepted.
 *
 * MIT's own cache is a file that is locked and flushed per login; this one is shared by all services of the server,
 * lives in memory and has a bound. A restart forgets it, which is why each entry's window stays the clock skew only.
 *
 * Spec: RFC 4120 3.2.3 (replay cache). Thread: any. Locks: one mutex inside, a leaf. */
#pragma once

#include <glib.h>
#include <stdint.h>

#define KRB5_REPLAY_TAG 16u

typedef struct Krb5Replays Krb5Replays;

/* `max` entries of some 80 bytes each. */
Krb5Replays *krb5_replays_new(guint max);
void krb5_replays_free(Krb5Replays *replays);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Krb5Replays, krb5_replays_free)

/* Remember `tag` until `now` + `window` seconds. FALSE: it is remembered already, this is a replay. When the cache is
 * full the oldest entry makes room and *crowded is set: logins that come that fast are worth a line in the log. */
gboolean krb5_replays_add(Krb5Replays *replays, const uint8_t tag[KRB5_REPLAY_TAG], gint64 now, gint64 window,
                          gboolean *crowded);
guint krb5_replays_size(Krb5Replays *replays);
