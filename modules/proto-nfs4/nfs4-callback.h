/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Calls from the server to a client: over a connection the client made (4.1) or one we make (4.0).
 *
 * Spec: RFC 8881 2.10.3.1, 20; RFC 7530 10.2, 15
 * Thread: any. */
#pragma once

#include "nfs4-compound.h"

typedef struct {
    uint32_t flavor; /* RPC_FLAVOR_NONE or RPC_FLAVOR_SYS */
    const uint8_t *body;
    size_t len;
} Nfs4CallbackCred;

/* Called once from a worker: `reply` stands at the procedure's results; NULL when the call failed (connection lost,
 * refused, no answer). */
typedef void (*Nfs4CallbackDone)(gpointer user, LaresReader *reply);

/* Sends one call over the connection. FALSE: not sent, `done` will not be called. proc 0 is CB_NULL, 1 CB_COMPOUND with
 * `args` being its encoded arguments. */
gboolean nfs4_callback_call(Nfs4Connection *connection, uint32_t program, const Nfs4CallbackCred *cred, uint32_t proc,
                            const uint8_t *args, size_t len, Nfs4CallbackDone done, gpointer user);

/* For nfs4-rpc.c */
Nfs4Callbacks *nfs4_callbacks_new(void);
void nfs4_callbacks_free(Nfs4Callbacks *callbacks); /* all waiting calls fail */
/* A record of type REPLY came in; `in` stands behind the message type. */
void nfs4_callback_reply(Nfs4Connection *connection, uint32_t xid, LaresReader *in);
