/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The responses of a record in one chain: headers, credits, signatures, encryption.
 *
 * Spec: [MS-SMB2] 3.3.4.1 (sending any message), 3.3.4.2 (interim responses), 3.3.4.4 (errors).
 * Thread: the message's. */
#include "smb2-credits.h"
#include "smb2-message.h"

/* ---- Responses ----------------------------------------------------------------------------------------------------
 */

/* Everything about the last response is known now but its signature, which covers its padding. */
static void
seal_previous(Smb2Message *m)
{
    LaresWriter *out = &m->reply->out;
    if (m->previous == SMB2_NO_RESPONSE || out->failed)
        return;
    uint8_t *response = out->base + m->previous;
    size_t len = out->len - m->previous;
    if (len < SMB2_HEADER_SIZE)
        return;
    if (m->previous_sign) {
        smb2_set_u32(response + SMB2_H_FLAGS, smb2_get_u32(response + SMB2_H_FLAGS) | SMB2_FLAGS_SIGNED);
        if (!smb2_signature(m->previous_key, response, len, response + SMB2_H_SIGNATURE))
            lares_connection_close(m->connection->net);
    }
    if (m->previous_hash)
        smb2_preauth_update(m->previous_hash, response, len);
    g_clear_pointer(&m->sealed_sign, smb2_channel_unref);
    m->sealed_sign = g_steal_pointer(&m->previous_sign);
    m->sealed_key = m->previous_key;
    m->sealed = m->previous_hash ? SMB2_NO_RESPONSE : m->previous; /* what was hashed stays as it is */
    g_clear_pointer(&m->previous_hash_owner, smb2_channel_unref);
    m->previous_hash = NULL;
    m->previous = SMB2_NO_RESPONSE;
}

void
smb2_response_begin(Smb2Message *m, Smb2Op *op)
{
    LaresWriter *out = &m->reply->out;
    if (m->previous != SMB2_NO_RESPONSE) {
        m->sealed_end = out->len;
        smb2_align(out, m->first, 8);
        smb2_patch_u32(out, m->previous + SMB2_H_NEXT, (uint32_t)(out->len - m->previous));
        seal_previous(m);
    }
    op->response = out->len;
    smb2_put_zeros(out, SMB2_HEADER_SIZE);
}

/* An interim response goes alone: Linux 6.1 drops a whole encrypted record when one of its responses is such a one. */
void
smb2_response_apart(Smb2Message *m, Smb2Op *op)
{
    LaresWriter *out = &m->reply->out;
    if (m->sealed == SMB2_NO_RESPONSE || out->failed)
        return;
    lares_reply_rewind(m->reply, m->sealed_end, m->reply->n_ranges);
    smb2_patch_u32(out, m->sealed + SMB2_H_NEXT, 0);
    m->previous = m->sealed;
    m->previous_key = m->sealed_key;
    m->previous_sign = g_steal_pointer(&m->sealed_sign);
    smb2_message_flush(m);
    smb2_response_begin(m, op);
}

static uint16_t
grant_credits(Smb2Connection *connection, const uint8_t *request)
{
    uint32_t wanted = smb2_get_u16(request + SMB2_H_CREDITS);
    /* One NEGOTIATE at a time, however often it fails: it writes into the connection. */
    if (connection->dialect == 0 || connection->dialect == SMB2_DIALECT_WILDCARD)
        wanted = 1;
    g_mutex_lock(&connection->lock);
    uint16_t granted = smb2_credits_grant(connection->credits, wanted);
    g_mutex_unlock(&connection->lock);
    return granted;
}

static void
put_error_body(LaresWriter *out)
{
    smb2_put_u16(out, 9);
    smb2_put_zeros(out, 7); /* no error data: one byte stands for it, [MS-SMB2] 2.2.2 */
}

static void
finish_header(Smb2Message *m, Smb2Op *op, uint32_t status, uint64_t async_id, gboolean credits)
{
    LaresWriter *out = &m->reply->out;
    if (out->failed || out->len < op->response + SMB2_HEADER_SIZE)
        return;
    uint8_t *h = out->base + op->response;
    uint32_t flags = SMB2_FLAGS_SERVER_TO_REDIR | (op->flags & SMB2_FLAGS_PRIORITY_MASK);
    smb2_set_u32(h, SMB2_PROTOCOL_ID);
    smb2_set_u16(h + SMB2_H_STRUCTURE_SIZE, SMB2_HEADER_SIZE);
    memcpy(h + SMB2_H_CREDIT_CHARGE, op->header + SMB2_H_CREDIT_CHARGE, 2);
    smb2_set_u32(h + SMB2_H_STATUS, status);
    smb2_set_u16(h + SMB2_H_COMMAND, op->command);
    smb2_set_u16(h + SMB2_H_CREDITS, credits ? grant_credits(op->connection, op->header) : 0);
    if (op->related)
        flags |= SMB2_FLAGS_RELATED_OPERATIONS;
    if (op->flags & SMB2_FLAGS_REPLAY_OPERATION)
        flags |= SMB2_FLAGS_REPLAY_OPERATION;
    smb2_set_u64(h + SMB2_H_MESSAGE_ID, op->message_id);
    if (async_id) {
        flags |= SMB2_FLAGS_ASYNC_COMMAND;
        smb2_set_u64(h + SMB2_H_ASYNC_ID, async_id);
    } else {
        memcpy(h + SMB2_H_PROCESS_ID, op->header + SMB2_H_PROCESS_ID, 4);
        if (op->tree)
            smb2_set_u32(h + SMB2_H_TREE_ID, op->tree->id);
        else
            memcpy(h + SMB2_H_TREE_ID, op->header + SMB2_H_TREE_ID, 4);
    }
    if (op->session)
        smb2_set_u64(h + SMB2_H_SESSION_ID, op->session->id);
    else
        memcpy(h + SMB2_H_SESSION_ID, op->header + SMB2_H_SESSION_ID, 8);
    smb2_set_u32(h + SMB2_H_FLAGS, flags);
    m->n_responses++;
}

/* The response to `op` stands in the writer: header, and what must happen to it when it is complete. */
void
smb2_response_end(Smb2Message *m, Smb2Op *op, uint32_t status, uint64_t async_id, gboolean credits)
{
    LaresWriter *out = &m->reply->out;
    /* A handler that gave up may have rewound the writer, and with it that the header did not fit. */
    if (out->failed || out->len < op->response + SMB2_HEADER_SIZE) { /* longer than any reply may be */
        lares_reply_rewind(m->reply, op->response, 0);
        smb2_put_zeros(out, SMB2_HEADER_SIZE + 9);
        if (out->failed) { /* not even an error fits: nothing leaves */
            lares_connection_close(m->connection->net);
            return;
        }
        lares_reply_rewind(m->reply, op->response + SMB2_HEADER_SIZE, 0);
        status = STATUS_INSUFFICIENT_RESOURCES;
    }
    gboolean empty = out->len == op->response + SMB2_HEADER_SIZE && m->reply->n_ranges == 0;
    gboolean error = SMB2_STATUS_IS_ERROR(status) && status != STATUS_MORE_PROCESSING_REQUIRED;
    if ((error && !op->keep_error_body) || status == STATUS_PENDING) {
        lares_reply_rewind(m->reply, op->response + SMB2_HEADER_SIZE, 0);
        put_error_body(out);
    } else if (empty) {
        put_error_body(out);
    }
    finish_header(m, op, status, async_id, credits);
    m->previous = op->response;
    gboolean want = (op->is_signed || op->sign || op->sign_first) && status != STATUS_PENDING && !m->encrypted;
    m->previous_key = NULL;
    if (want && op->channel)
        m->previous_key = op->sign_first ? op->session->first_sign : &op->channel->sign;
    m->previous_sign = m->previous_key && m->previous_key->serial ? smb2_channel_ref(op->channel) : NULL;
    m->previous_hash = op->hash;
    m->previous_hash_owner = g_steal_pointer(&op->hash_owner);
}

/* The chain is complete: what is in the writer may leave. FALSE: nothing is to be sent. */
gboolean
smb2_message_seal(Smb2Message *m)
{
    LaresWriter *out = &m->reply->out;
    if (m->n_responses > 1) /* the last of a chain is as long as the others would be, as Windows has it */
        smb2_align(out, m->first, 8);
    seal_previous(m);
    if (m->n_responses == 0 || out->failed) {
        lares_reply_rewind(m->reply, LARES_REPLY_HEAD, 0);
        return FALSE;
    }
    if (m->encrypted &&
        !smb2_encrypt(m->transform->session->keys, m->transform->session->id, out->base + LARES_REPLY_HEAD,
                      out->len - LARES_REPLY_HEAD - SMB2_TRANSFORM_SIZE)) {
        lares_reply_rewind(m->reply, LARES_REPLY_HEAD, 0);
        lares_connection_close(m->connection->net);
        return FALSE;
    }
    return TRUE;
}

void
smb2_message_start(Smb2Message *m)
{
    lares_reply_rewind(m->reply, LARES_REPLY_HEAD, 0);
    if (m->encrypted)
        smb2_put_zeros(&m->reply->out, SMB2_TRANSFORM_SIZE);
    m->first = m->reply->out.len;
    m->previous = m->sealed = SMB2_NO_RESPONSE;
    g_clear_pointer(&m->sealed_sign, smb2_channel_unref);
    m->n_responses = 0;
}

/* Sends now what is there, whoever runs; the writer starts over. */
void
smb2_message_flush(Smb2Message *m)
{
    if (smb2_message_seal(m))
        lares_connection_send(m->connection->net, m->reply->out.base + LARES_REPLY_HEAD,
                              m->reply->out.len - LARES_REPLY_HEAD);
    smb2_message_start(m);
}

gboolean
smb2_message_send(Smb2Connection *connection, Smb2Keys *keys, uint64_t session_id, const uint8_t *bytes, size_t len)
{
    if (!keys)
        return lares_connection_send(connection->net, bytes, len);
    g_autofree uint8_t *sealed = g_malloc(SMB2_TRANSFORM_SIZE + len);
    memcpy(sealed + SMB2_TRANSFORM_SIZE, bytes, len);
    return smb2_encrypt(keys, session_id, sealed, len) &&
           lares_connection_send(connection->net, sealed, SMB2_TRANSFORM_SIZE + len);
}
