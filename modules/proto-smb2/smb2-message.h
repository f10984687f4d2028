/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One record on its way: the chain of commands, the responses, and how they leave.
 *
 * Thread: a message belongs to one thread at a time; while a command of it waits, its copy belongs to the Smb2Parked.
 */
#pragma once

#include "smb2-session.h"

/* The command of a record that runs now; guarded by the connection's lock. */
typedef struct {
    uint64_t message_id;
    gboolean cancelled; /* CANCEL came while it ran */
} Smb2Running;

typedef struct {
    Smb2Connection *connection; /* a reference where `detached` */
    LaresArena *arena;
    LaresReply *reply;
    uint8_t *record; /* the commands, decrypted */
    size_t len;
    size_t at;         /* of the command that runs or comes next */
    size_t dropped;    /* bytes of commands before `record` that were over when the message was detached */
    size_t charged;    /* of connection->parked_bytes */
    gboolean detached; /* no request stands behind it any more: `record` is its own, replies are sent from here */
    gboolean encrypted;
    Smb2Running running;
    GList running_link;     /* in connection->running while a command runs */
    Smb2Channel *transform; /* a reference; whose keys encrypt the responses */
    Smb2Chain chain;
    /* What related commands take over, references or NULL. */
    Smb2Channel *channel;
    Smb2Tree *tree;
    uint32_t inherit_failed; /* status of a command that could not give its session or tree to related ones */
    /* The responses so far: where the first one and the last one begin in the writer, and what is owed to the last. */
    size_t first, previous;
    guint n_responses;
    Smb2Channel *previous_sign; /* a reference that keeps the key to sign it with, or NULL */
    const Smb2SignKey *previous_key;
    uint8_t *previous_hash;           /* update this hash with it, or NULL */
    Smb2Channel *previous_hash_owner; /* a reference that keeps it */
    /* The last response that was completed because another one began behind it, for smb2_response_apart(): where it
     * begins and ends without padding, and its key as above. */
    size_t sealed, sealed_end;
    Smb2Channel *sealed_sign;
    const Smb2SignKey *sealed_key;
} Smb2Message;

#define SMB2_NO_RESPONSE SIZE_MAX

/* Nothing of the record stands before the command that runs. */
static inline gboolean
smb2_message_is_first(const Smb2Message *m)
{
    return m->at == 0 && m->dropped == 0;
}

/* ---- Before the handler: smb2-check.c ---------------------------------------------------------------------------- */

/* Reads the header at m->at into `op`. FALSE: this is no chain of commands, the connection must end. */
gboolean smb2_check_header(Smb2Message *m, Smb2Op *op);
/* Uses up the command's message ids. FALSE: they are out of sequence, the connection must end. */
gboolean smb2_check_sequence(Smb2Message *m, Smb2Op *op);
uint32_t smb2_check_signature(Smb2Message *m, Smb2Op *op);
/* No session of this connection: the status, which is signed for a client that has the session's key on another one. */
uint32_t smb2_check_elsewhere(Smb2Op *op);
/* Everything else; gives `op` its references. */
uint32_t smb2_check_command(Smb2Message *m, Smb2Op *op, const Smb2Command *row);

/* ---- Responses: smb2-response.c ---------------------------------------------------------------------------------- */

/* The writer starts over, with room for a transform header where one is needed. */
void smb2_message_start(Smb2Message *m);
/* Room for a response's header: op->response. */
void smb2_response_begin(Smb2Message *m, Smb2Op *op);
/* What is complete leaves in a record of its own; the response that was begun starts over behind it. */
void smb2_response_apart(Smb2Message *m, Smb2Op *op);
/* The body stands behind it: completes the header; `credits`: grants some. */
void smb2_response_end(Smb2Message *m, Smb2Op *op, uint32_t status, uint64_t async_id, gboolean credits);
/* The chain is complete: what is in the writer may leave. FALSE: nothing is to be sent. */
gboolean smb2_message_seal(Smb2Message *m);
/* Sends what is there now, whoever runs; the writer starts over. */
void smb2_message_flush(Smb2Message *m);

/* ---- Records ------------------------------------------------------------------------------------------------------
 */

/* LaresService.request. */
void smb2_message_request(LaresRequest *request, gpointer data);
/* Runs the parked command of `m` again (`parked`), then the rest. Takes over the message. Worker. */
void smb2_message_retry(Smb2Message *m, Smb2Parked *parked);
/* Ends the parked command of `m` with that status and body, then runs the rest. Takes over the message. */
void smb2_message_finish(Smb2Message *m, uint64_t async_id, uint32_t status, const uint8_t *body, size_t len);
/* A copy that outlives the request: takes the references of `m` over. */
Smb2Message *smb2_message_detach(Smb2Message *m);
void smb2_message_free(Smb2Message *m); /* a detached one */

/* An encrypted record (NULL keys: plain) with these bytes, for unasked messages. FALSE: the connection is closed. */
gboolean smb2_message_send(Smb2Connection *connection, Smb2Keys *keys, uint64_t session_id, const uint8_t *bytes,
                           size_t len);

/* SMB_COM_NEGOTIATE of SMB 1, which leads to SMB 2: smb2-negotiate.c. TRUE: a response was written to `out`. */
gboolean smb2_negotiate_smb1(Smb2Connection *connection, const uint8_t *record, size_t len, LaresWriter *out);

/* ---- smb2-async.c -------------------------------------------------------------------------------------------------
 */

/* What a handler's STATUS_PENDING means now. */
typedef enum {
    SMB2_PENDING_WAIT,  /* an interim response is owed; then call smb2_parked_wait() */
    SMB2_PENDING_RETRY, /* run the handler again at once */
    SMB2_PENDING_RESULT /* finished already: take the result */
} Smb2Pending;
Smb2Pending smb2_parked_pending(Smb2Parked *parked, uint32_t *status, const uint8_t **body, size_t *len);
uint64_t smb2_parked_async_id(Smb2Parked *parked);
/* Whether an interim response was sent for it. */
gboolean smb2_parked_announced(Smb2Parked *parked);
/* Hands the detached message over and lets events end the wait (at once, if one came meanwhile). */
void smb2_parked_wait(Smb2Parked *parked, Smb2Message *m);
/* The handler returned something else than STATUS_PENDING: no event matters any more. */
void smb2_parked_over(Smb2Parked *parked);
Smb2Parked *smb2_parked_ref(Smb2Parked *parked);
/* The channel its command came on: a new reference or NULL. */
Smb2Channel *smb2_parked_channel(Smb2Parked *parked);
/* CANCEL for a message id or an async id. */
void smb2_async_cancel(Smb2Connection *connection, uint64_t session_id, gboolean async, uint64_t id);
/* Ends everything that waits on a connection, for a session or (both NULL) nothing. */
void smb2_async_end(Smb2Connection *connection, Smb2Session *session);
