/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sessions on their connections, as the engine itself sees them.
 *
 * | state       | event                              | then                                                    |
 * |-------------|------------------------------------|---------------------------------------------------------|
 * | (none)      | SESSION_SETUP, id 0                | IN_PROGRESS                                             |
 * | IN_PROGRESS | the login is complete              | VALID                                                   |
 * | IN_PROGRESS | the login failed                   | ENDED                                                   |
 * | VALID       | SESSION_SETUP again                | VALID; a new login runs beside it                       |
 * | VALID       | the ticket ends                    | EXPIRED                                                 |
 * | EXPIRED     | SESSION_SETUP of the same user     | VALID                                                   |
 * | any         | LOGOFF, user disabled, end_session,| ENDED                                                   |
 * |             | last connection lost, reconnect    |                                                         |
 *
 * Spec: [MS-SMB2] 3.3.1.8, 3.3.1.14, 3.3.5.5.
 * Locks: smb2.h. */
#pragma once

#include "smb2-crypto.h"

#include <openssl/crypto.h>

/* A session on one connection. */
struct _Smb2Channel {
    gint ref;                   /* atomic */
    Smb2Session *session;       /* a reference */
    Smb2Connection *connection; /* a reference */
    gint established;           /* atomic: the fields from here to `sign` are constant afterwards */
    Smb2SignKey sign;           /* serial 0: nothing is signed (guests) */
    /* Of a login under way; one SESSION_SETUP of a channel runs at a time (`busy`, guarded by the connection's lock).
     */
    gboolean busy;
    gboolean binding;
    LaresAuthContext *context;
    uint8_t preauth[SMB2_HASH_SIZE];
};

Smb2Channel *smb2_channel_new(Smb2Session *session, Smb2Connection *connection);
Smb2Channel *smb2_channel_ref(Smb2Channel *channel);
void smb2_channel_unref(Smb2Channel *channel);
/* A new reference or NULL. */
Smb2Channel *smb2_channel_find(Smb2Connection *connection, uint64_t session_id);

/* A new reference or NULL; any session of the service, of any connection. */
Smb2Session *smb2_session_find(Smb2Service *service, uint64_t id);
/* Takes the session out of every table, closes its opens and trees, ends its waiting commands. Idempotent; no locks. */
void smb2_session_end(Smb2Session *session, const char *reason);
/* The same, but durable opens stay for their time: LOGOFF, a lost connection, a client that comes back. */
void smb2_session_leave(Smb2Session *session, const char *reason);
/* Who it is now, a new reference; NULL ends the session: the directory, or the way it logged in, refuses. */
LaresIdentity *smb2_session_fresh(Smb2Session *session);
/* Why who logged in so may not stay; NULL: he may, and *fresh is who he is now. */
const char *smb2_login_objection(Smb2Service *service, LaresIdentity *who, const LaresFlavor *login,
                                 uint64_t credential, LaresIdentity **fresh);
/* The state, after a look at the clock. */
Smb2SessionState smb2_session_state(Smb2Session *session);
/* The last request of the connection has returned: its channels go, and the sessions that have no other. */
void smb2_sessions_disconnect(Smb2Connection *connection);
/* Looks at every session and tree whose user or share has changed. Main thread. */
void smb2_sessions_sweep(Smb2Service *service);
/* The client encrypts: unasked messages of this session are encrypted from now on. */
void smb2_session_note_encryption(Smb2Session *session);
GVariant *smb2_sessions_list(Smb2Service *service);
/* When the first of their tickets ends (wall-clock second; INT64_MAX: never); how many there are, as
 * smb2_sessions_list() has them. */
gint64 smb2_sessions_look(Smb2Service *service, guint *sessions);
gboolean smb2_sessions_end(Smb2Service *service, const char *id);

/* ---- Trees: smb2-tree.c ------------------------------------------------------------------------------------------ */

/* New references or NULL. */
Smb2Tree *smb2_tree_find(Smb2Session *session, uint32_t id);
/* Takes it out of its session and closes its opens. FALSE: somebody else did. */
gboolean smb2_tree_end(Smb2Tree *tree, const char *reason);
/* Whether the shares of all its trees are for this host, too. */
gboolean smb2_session_may_come_from(Smb2Session *session, const LaresPeer *peer);
/* Something about the session has changed that its trees' policies may depend on. */
void smb2_session_look_again(Smb2Session *session);
/* Whether TREE_CONNECT would let the session use the share: what it may be told of. */
gboolean smb2_share_visible(Smb2Session *session, const LaresShare *share, const LaresPeer *peer);
/* By its name, else by the only one that differs in case alone. A new reference or NULL. */
LaresShare *smb2_share_by_name(Smb2Service *service, const char *name);
/* The share as it is now (a new reference; NULL for IPC$), after its policy was checked again where it has changed.
 * FALSE: the tree was ended. */
gboolean smb2_tree_fresh(Smb2Tree *tree, LaresShare **share);
