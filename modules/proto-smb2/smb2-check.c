/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What must hold before a command's handler runs: header, sequence, signature, session, tree, lengths.
 *
 * Spec: [MS-SMB2] 3.3.5.2 (receiving any message).
 * Thread: the message's. */
#include "smb2-credits.h"
#include "smb2-message.h"

const uint8_t *
smb2_op_buffer(const Smb2Op *op, size_t offset, size_t len)
{
    if (len == 0)
        return op->body;
    if (offset < SMB2_HEADER_SIZE || offset > op->message_len || len > op->message_len - offset)
        return NULL;
    return op->header + offset;
}

uint32_t
smb2_op_output_limit(const Smb2Op *op, uint32_t wanted, size_t *limit)
{
    *limit = wanted;
    return wanted > op->connection->max_io ? STATUS_INVALID_PARAMETER : STATUS_SUCCESS;
}

/* ---- Before the handler -------------------------------------------------------------------------------------------
 */

static gboolean
is_smb3(const Smb2Connection *connection)
{
    return connection->dialect >= SMB2_DIALECT_300 && connection->dialect <= SMB2_DIALECT_311;
}

/* [MS-SMB2] 3.3.5.2.6, 3.3.5.2.7: a record that is no chain of commands ends the connection. */
gboolean
smb2_check_header(Smb2Message *m, Smb2Op *op)
{
    size_t left = m->len - m->at;
    const uint8_t *h = m->record + m->at;
    if (left < SMB2_HEADER_SIZE || smb2_get_u32(h) != SMB2_PROTOCOL_ID ||
        smb2_get_u16(h + SMB2_H_STRUCTURE_SIZE) != SMB2_HEADER_SIZE)
        return FALSE;
    size_t next = smb2_get_u32(h + SMB2_H_NEXT);
    if (next && (next < SMB2_HEADER_SIZE || next & 7 || next > left - SMB2_HEADER_SIZE))
        return FALSE;
    op->header = h;
    op->message_len = next ? next : left;
    op->body = h + SMB2_HEADER_SIZE;
    op->body_len = op->message_len - SMB2_HEADER_SIZE;
    op->command = smb2_get_u16(h + SMB2_H_COMMAND);
    op->flags = smb2_get_u32(h + SMB2_H_FLAGS);
    op->message_id = smb2_get_u64(h + SMB2_H_MESSAGE_ID);
    op->related = (op->flags & SMB2_FLAGS_RELATED_OPERATIONS) != 0;
    op->last = next == 0;
    op->encrypted = m->encrypted;
    uint16_t charge = smb2_get_u16(h + SMB2_H_CREDIT_CHARGE);
    op->credit_charge = op->connection->multi_credit && charge ? charge : 1;
    op->channel_sequence = is_smb3(op->connection) ? smb2_get_u16(h + SMB2_H_STATUS) : 0;
    return !(op->flags & SMB2_FLAGS_SERVER_TO_REDIR);
}

/* [MS-SMB2] 3.3.5.2.3. The ids are used up, and the command can be found by CANCEL. */
gboolean
smb2_check_sequence(Smb2Message *m, Smb2Op *op)
{
    Smb2Connection *c = m->connection;
    g_mutex_lock(&c->lock);
    gboolean ok = smb2_credits_take(c->credits, op->message_id, op->credit_charge, &m->running.cancelled);
    m->running.message_id = op->message_id;
    g_mutex_unlock(&c->lock);
    return ok;
}

uint32_t
smb2_check_elsewhere(Smb2Op *op)
{
    if (!(op->flags & SMB2_FLAGS_SIGNED) || op->encrypted)
        return STATUS_USER_SESSION_DELETED;
    Smb2Session *s = smb2_session_find(op->service, smb2_get_u64(op->header + SMB2_H_SESSION_ID));
    if (!s)
        return STATUS_USER_SESSION_DELETED;
    /* Whoever has not the key is told the same, so that nobody learns which ids there are. */
    if (g_atomic_int_get(&s->state) != SMB2_SESSION_IN_PROGRESS && s->first_sign &&
        smb2_signature_is_right(s->first_sign, op->header, op->message_len)) {
        op->channel = smb2_channel_new(s, op->connection); /* keeps the key for the response */
        op->session = smb2_session_ref(s);
        op->sign_first = TRUE;
    }
    smb2_session_unref(s);
    return STATUS_USER_SESSION_DELETED;
}

/* Which session this command is about; op->channel and op->session get references. */
static uint32_t
find_session(Smb2Message *m, Smb2Op *op, const Smb2Command *row)
{
    uint64_t id = smb2_get_u64(op->header + SMB2_H_SESSION_ID);
    if (op->related) {
        if (smb2_message_is_first(m))
            return STATUS_INVALID_PARAMETER;
        if (m->inherit_failed)
            return m->inherit_failed;
        op->channel = m->channel ? smb2_channel_ref(m->channel) : NULL;
    } else if (id && !op->channel) { /* what waited keeps the channel it came on */
        op->channel = smb2_channel_find(m->connection, id);
    }
    if (op->channel)
        op->session = smb2_session_ref(op->channel->session);
    if (op->channel || row->flags & SMB2_NO_SESSION)
        return STATUS_SUCCESS;
    return op->related ? STATUS_INVALID_PARAMETER : smb2_check_elsewhere(op);
}

/* [MS-SMB2] 3.3.5.2.4. SESSION_SETUP looks at the signature itself where there is no key of this channel yet. */
uint32_t
smb2_check_signature(Smb2Message *m, Smb2Op *op)
{
    Smb2Channel *channel = op->channel;
    gboolean established = channel && g_atomic_int_get(&channel->established);
    if (m->encrypted)
        return channel && channel->session != m->transform->session ? STATUS_ACCESS_DENIED : STATUS_SUCCESS;
    if (op->flags & SMB2_FLAGS_SIGNED) {
        if (op->command == SMB2_NEGOTIATE)
            return STATUS_INVALID_PARAMETER;
        if (!established)
            return op->command == SMB2_SESSION_SETUP ? STATUS_SUCCESS : STATUS_USER_SESSION_DELETED;
        if (channel->sign.serial == 0)
            return STATUS_SUCCESS; /* a guest's signature says nothing, and Windows sends some */
        op->sign = TRUE;           /* 3.3.4.1.1: who signs hears signed answers, be it that the signature is wrong */
        if (!smb2_signature_is_right(&channel->sign, op->header, op->message_len))
            return STATUS_ACCESS_DENIED;
        op->is_signed = TRUE;
        return STATUS_SUCCESS;
    }
    if (established && op->session->signing_required)
        return STATUS_ACCESS_DENIED;
    return STATUS_SUCCESS;
}

/* [MS-SMB2] 3.3.5.2.9, and the directory's present opinion of the user. */
static uint32_t
check_session(Smb2Op *op, const Smb2Command *row)
{
    if (!op->session || op->command == SMB2_SESSION_SETUP)
        return STATUS_SUCCESS;
    if (row->flags & SMB2_NO_SESSION)
        return STATUS_SUCCESS;
    switch (smb2_session_state(op->session)) {
    case SMB2_SESSION_ENDED:
        return STATUS_USER_SESSION_DELETED;
    case SMB2_SESSION_IN_PROGRESS:
        return op->command == SMB2_LOGOFF ? STATUS_SUCCESS : STATUS_ACCESS_DENIED;
    case SMB2_SESSION_EXPIRED:
        if (!(row->flags & SMB2_WHEN_EXPIRED))
            return STATUS_NETWORK_SESSION_EXPIRED;
        break;
    case SMB2_SESSION_VALID:
        break;
    }
    if (!g_atomic_int_get(&op->channel->established))
        return STATUS_ACCESS_DENIED;
    if (op->session->encrypt && !op->encrypted)
        return STATUS_ACCESS_DENIED;
    op->caller.identity = smb2_session_fresh(op->session);
    if (!op->caller.identity)
        return STATUS_USER_SESSION_DELETED;
    op->caller.flavor = op->session->flavor;
    return STATUS_SUCCESS;
}

/* [MS-SMB2] 3.3.5.2.11, and the share's present policy. */
static uint32_t
check_tree(Smb2Message *m, Smb2Op *op, const Smb2Command *row)
{
    if (!(row->flags & SMB2_NEEDS_TREE))
        return STATUS_SUCCESS;
    if (op->related)
        op->tree = m->tree ? smb2_tree_ref(m->tree) : NULL;
    else
        op->tree = smb2_tree_find(op->session, smb2_get_u32(op->header + SMB2_H_TREE_ID));
    if (!op->tree)
        return op->related ? STATUS_INVALID_PARAMETER : STATUS_NETWORK_NAME_DELETED;
    if (op->tree->require_encryption && !op->encrypted)
        return STATUS_ACCESS_DENIED;
    if (op->tree->require_signing && !op->is_signed && !op->encrypted)
        return STATUS_ACCESS_DENIED;
    if (op->command == SMB2_TREE_DISCONNECT)
        return STATUS_SUCCESS;
    if (!smb2_tree_fresh(op->tree, &op->share))
        return STATUS_NETWORK_NAME_DELETED;
    if (smb2_tree_flavor(op->tree))
        op->caller.flavor = smb2_tree_flavor(op->tree);
    return STATUS_SUCCESS;
}

#define LEASE_ACK_SIZE 36u

/* An OPLOCK_BREAK that answers for a lease is another structure ([MS-SMB2] 2.2.24.2). */
static uint16_t
structure_size(const Smb2Op *op, const Smb2Command *row)
{
    if (op->command == SMB2_OPLOCK_BREAK && op->body_len >= LEASE_ACK_SIZE && smb2_get_u16(op->body) == LEASE_ACK_SIZE)
        return LEASE_ACK_SIZE;
    return row->structure_size;
}

/* [MS-SMB2] 3.3.5.2.5, 3.3.5.2.6. */
static uint32_t
check_lengths(Smb2Op *op, const Smb2Command *row)
{
    size_t fixed = row->structure_size & ~1u;
    if (op->body_len < fixed || op->body_len < 2 || smb2_get_u16(op->body) != structure_size(op, row))
        return STATUS_INVALID_PARAMETER;
    if (!(row->flags & SMB2_ANY_LENGTH))
        return STATUS_SUCCESS;
    uint64_t in = row->input_at ? smb2_get_u32(op->body + row->input_at) : 0;
    uint64_t out = row->output_at ? smb2_get_u32(op->body + row->output_at) : 0;
    uint64_t payload = MAX(in, out);
    if (op->connection->multi_credit && payload > (uint64_t)op->credit_charge * SMB2_CREDIT_UNIT)
        return STATUS_INVALID_PARAMETER;
    return STATUS_SUCCESS;
}

uint32_t
smb2_check_command(Smb2Message *m, Smb2Op *op, const Smb2Command *row)
{
    uint32_t status = find_session(m, op, row);
    if (status == STATUS_SUCCESS)
        status = smb2_check_signature(m, op);
    if (status == STATUS_SUCCESS)
        status = check_session(op, row);
    if (status == STATUS_SUCCESS && row->flags & SMB2_NOT_IN_COMPOUND && (!smb2_message_is_first(m) || !op->last))
        status = STATUS_INVALID_PARAMETER;
    if (status == STATUS_SUCCESS)
        status = check_tree(m, op, row);
    if (status == STATUS_SUCCESS)
        status = check_lengths(op, row);
    return status;
}
