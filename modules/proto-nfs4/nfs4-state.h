/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Clients, sessions, opens and locks, as the wire side sees them.
 *
 * Thread: any worker, unless said otherwise. */
#pragma once

#include "nfs4-compound.h"

/* Main thread. Opens what survived, starts the grace period. NULL with error. */
Nfs4State *nfs4_state_new(Nfs4Service *service, GError **error);
/* Main thread, after the listeners are closed and the last request has ended. */
void nfs4_state_free(Nfs4State *state);

/* A connection begins / ends: sets and drops connection->state. */
void nfs4_state_connected(Nfs4Connection *connection);
void nfs4_state_closed(Nfs4Connection *connection);

/* May this stateid do I/O (LARES_ACCESS_READ, LARES_ACCESS_WRITE or 0) on *object (&c->current or &c->saved)? Resolves
 * the special stateids (RFC 8881 8.2.3) incl. the current stateid. On NFS4_OK *open is a reference (lares_open_unref),
 * or NULL for the anonymous and the READ bypass stateid. BAD_STATEID, OLD_STATEID, STALE_STATEID, EXPIRED, OPENMODE,
 * ADMIN_REVOKED, GRACE. Renews the lease in 4.0. */
uint32_t nfs4_state_io(Nfs4Compound *c, const LaresObject *object, const Nfs4Stateid *stateid, uint32_t access,
                       LaresOpen **open);

/* After a compound that has a session: `result` is the COMPOUND result as sent, from the status on (NULL with len 0:
 * it holds file ranges and cannot be cached). The slot is free for the next request afterwards. Also called after
 * NFS4_REPLAY and after failed SEQUENCEs when c->session is set. */
void nfs4_session_finish(Nfs4Compound *c, const uint8_t *result, size_t len);

/* Main thread: for LaresProtocol. */
GVariant *nfs4_state_list(Nfs4State *state);
gboolean nfs4_state_end(Nfs4State *state, const char *id);
guint nfs4_state_count_clients(Nfs4State *state); /* confirmed ones, as nfs4_state_list() has them */
void nfs4_state_status(Nfs4State *state, GVariantBuilder *builder);
