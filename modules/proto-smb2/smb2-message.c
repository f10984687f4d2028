/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Walks over the commands of a record, and goes on with it when one of them had to wait.
 *
 * Spec: [MS-SMB2] 3.3.5.2 (receiving any message), 3.3.5.2.7 (compounds), 3.3.4.2 (interim responses).
 * Thread: workers. */
#include "smb2-credits.h"
#include "smb2-message.h"
#include "smb2-metrics.h"

typedef enum { WALK_ON, WALK_PARKED, WALK_CLOSED } Walk;

/* ---- One command --------------------------------------------------------------------------------------------------
 */

static void
op_clear(Smb2Op *op)
{
    smb2_op_leave_open(op);
    g_clear_pointer(&op->share, lares_share_unref);
    g_clear_pointer(&op->tree, smb2_tree_unref);
    g_clear_pointer(&op->caller.identity, lares_identity_unref);
    g_clear_pointer(&op->session, smb2_session_unref);
    g_clear_pointer(&op->channel, smb2_channel_unref);
    g_clear_pointer(&op->hash_owner, smb2_channel_unref);
    g_clear_pointer(&op->parked, smb2_parked_unref);
}

/* What related commands behind this one are about ([MS-SMB2] 3.3.5.2.7.2). */
static void
inherit(Smb2Message *m, Smb2Op *op, uint32_t status)
{
    g_clear_pointer(&m->channel, smb2_channel_unref);
    g_clear_pointer(&m->tree, smb2_tree_unref);
    m->channel = op->channel ? smb2_channel_ref(op->channel) : NULL;
    m->tree = op->tree ? smb2_tree_ref(op->tree) : NULL;
    if (op->related && m->inherit_failed)
        return;
    m->inherit_failed = smb2_message_is_first(m) && op->related ? STATUS_INVALID_PARAMETER : 0;
    if (op->command == SMB2_CREATE)
        m->chain.failed = SMB2_STATUS_IS_ERROR(status) ? status : 0;
}

static void
op_init(Smb2Message *m, Smb2Op *op)
{
    Smb2Connection *connection = m->connection;
    *op = (Smb2Op){
        .service = connection->service,
        .connection = connection,
        .arena = m->arena,
        .chain = &m->chain,
        .reply = m->reply,
        .out = &m->reply->out,
        .engine = m,
        .caller = {.peer = lares_connection_peer(connection->net), .protocol = "smb2", .arena = m->arena},
    };
}

/* The handler, again and again while events overtake it. */
static uint32_t
call_handler(Smb2Message *m, Smb2Op *op, const Smb2Command *row, gboolean *waits)
{
    size_t body = op->response + SMB2_HEADER_SIZE;
    *waits = FALSE;
    for (;;) {
        uint32_t status = row->handler(op);
        if (status != STATUS_PENDING || !op->parked) {
            if (op->parked)
                smb2_parked_over(op->parked);
            return status == STATUS_PENDING ? STATUS_INTERNAL_ERROR : status;
        }
        const uint8_t *bytes;
        size_t len;
        lares_reply_rewind(m->reply, body, 0);
        switch (smb2_parked_pending(op->parked, &status, &bytes, &len)) {
        case SMB2_PENDING_WAIT:
            *waits = TRUE;
            return STATUS_PENDING;
        case SMB2_PENDING_RESULT:
            op->keep_error_body = len != 0;
            lares_put_bytes(op->out, bytes, len);
            return status;
        case SMB2_PENDING_RETRY:
            if (lares_store_moment())
                lares_store_moment_begin(); /* what was waited for has changed things */
            op->retry = TRUE;
            smb2_op_leave_open(op);
            break;
        }
    }
}

/* The command waits: what is there goes out with the interim response, the rest of the record goes with the wait. */
static void
leave_waiting(Smb2Message *m, Smb2Op *op)
{
    Smb2Parked *parked = smb2_parked_ref(op->parked);
    smb2_response_apart(m, op);
    if (!smb2_parked_announced(parked))
        smb2_response_end(m, op, STATUS_PENDING, smb2_parked_async_id(parked), TRUE);
    else
        lares_reply_rewind(m->reply, op->response, 0);
    smb2_message_flush(m);
    op_clear(op);
    smb2_parked_wait(parked, smb2_message_detach(m));
    smb2_parked_unref(parked);
}

static Walk
run_handler(Smb2Message *m, Smb2Op *op, const Smb2Command *row, uint32_t status, uint64_t async_id)
{
    gboolean waits = FALSE;
    if (status == STATUS_SUCCESS) {
        lares_store_pass(op->share && op->share->options & LARES_SHARE_SMB_BYPASS_TRAVERSE);
        status = row->handler ? call_handler(m, op, row, &waits) : STATUS_NOT_SUPPORTED;
        lares_store_pass(FALSE);
    }
    if (waits) {
        leave_waiting(m, op);
        return WALK_PARKED;
    }
    smb2_count_command(op->command, status);
    smb2_response_end(m, op, status, async_id, async_id == 0);
    Smb2Session *over = op->session_over && op->session ? smb2_session_ref(op->session) : NULL;
    inherit(m, op, status);
    m->at += op->message_len;
    op_clear(op);
    if (over) {
        smb2_session_leave(over, "logoff");
        smb2_session_unref(over);
    }
    return WALK_ON;
}

static void
cancel(Smb2Message *m, Smb2Op *op)
{
    gboolean async = (op->flags & SMB2_FLAGS_ASYNC_COMMAND) != 0;
    uint64_t session_id = smb2_get_u64(op->header + SMB2_H_SESSION_ID);
    op->channel = session_id ? smb2_channel_find(m->connection, session_id) : NULL;
    op->session = op->channel ? smb2_session_ref(op->channel->session) : NULL;
    if (smb2_check_signature(m, op) == STATUS_SUCCESS)
        smb2_async_cancel(m->connection, session_id, async,
                          async ? smb2_get_u64(op->header + SMB2_H_ASYNC_ID) : op->message_id);
    smb2_count_command(op->command, STATUS_SUCCESS);
    m->at += op->message_len;
    op_clear(op);
}

/* A command nobody knows has no right structure size: STATUS_INVALID_PARAMETER. [MS-SMB2] 3.3.5.2.6 would end the
 * connection, and with it everything else the client does there. */
static const Smb2Command *
find_row(const Smb2Op *op)
{
    static const Smb2Command unknown = {.name = "?", .structure_size = UINT16_MAX};
    return op->command < SMB2_N_COMMANDS ? &smb2_commands[op->command] : &unknown;
}

static Walk
run_command(Smb2Message *m)
{
    Smb2Op op;
    op_init(m, &op);
    if (!smb2_check_header(m, &op))
        return WALK_CLOSED;
    const Smb2Command *row = find_row(&op);
    gboolean negotiated = op.connection->dialect && op.connection->dialect != SMB2_DIALECT_WILDCARD;
    if ((op.command == SMB2_NEGOTIATE) == negotiated)
        return WALK_CLOSED; /* [MS-SMB2] 3.3.5.2.2, 3.3.5.4 */
    if (op.command == SMB2_CANCEL) {
        cancel(m, &op);
        return WALK_ON;
    }
    if (!smb2_check_sequence(m, &op))
        return WALK_CLOSED; /* [MS-SMB2] 3.3.5.2.3 */
    if (!op.related)
        m->chain = (Smb2Chain){.index = m->chain.index, .count = m->chain.count};
    smb2_response_begin(m, &op);
    op.allow_ranges = m->chain.count == 1 && !m->encrypted && !m->detached && !(op.flags & SMB2_FLAGS_SIGNED);
    uint32_t status = smb2_check_command(m, &op, row);
    m->chain.index++;
    return run_handler(m, &op, row, status, 0);
}

/* ---- The chain ----------------------------------------------------------------------------------------------------
 */

static guint
count_commands(const uint8_t *record, size_t len)
{
    guint n = 0;
    size_t at = 0, next = 1;
    while (next && len - at >= SMB2_HEADER_SIZE) {
        next = smb2_get_u32(record + at + SMB2_H_NEXT);
        n++;
        if (next < SMB2_HEADER_SIZE || next > len - at)
            break;
        at += next;
    }
    return n;
}

static void
note_running(Smb2Message *m, gboolean running)
{
    g_mutex_lock(&m->connection->lock);
    if (running) {
        m->running = (Smb2Running){.message_id = SMB2_ANY_MESSAGE};
        m->running_link = (GList){.data = &m->running};
        g_queue_push_tail_link(&m->connection->running, &m->running_link);
    } else {
        g_queue_unlink(&m->connection->running, &m->running_link);
    }
    g_mutex_unlock(&m->connection->lock);
}

static Walk
walk(Smb2Message *m)
{
    Walk result = WALK_ON;
    lares_store_moment_begin();
    while (result == WALK_ON && m->at < m->len)
        result = run_command(m);
    lares_store_moment_end();
    return result;
}

static void
clear(Smb2Message *m)
{
    if (m->charged) {
        g_mutex_lock(&m->connection->lock);
        m->connection->parked_bytes -= m->charged;
        g_mutex_unlock(&m->connection->lock);
        m->charged = 0;
    }
    g_clear_pointer(&m->transform, smb2_channel_unref);
    g_clear_pointer(&m->channel, smb2_channel_unref);
    g_clear_pointer(&m->tree, smb2_tree_unref);
    g_clear_pointer(&m->previous_sign, smb2_channel_unref);
    g_clear_pointer(&m->sealed_sign, smb2_channel_unref);
    g_clear_pointer(&m->previous_hash_owner, smb2_channel_unref);
}

/* TRUE when the message was a transform, is authentic, and is opened. [MS-SMB2] 3.3.5.2.1.1 */
static gboolean
open_transform(Smb2Message *m)
{
    uint8_t *t = m->record;
    if (m->len <= SMB2_TRANSFORM_SIZE + SMB2_HEADER_SIZE || smb2_get_u16(t + SMB2_T_FLAGS) != 1 ||
        smb2_get_u32(t + SMB2_T_ORIGINAL_SIZE) != m->len - SMB2_TRANSFORM_SIZE)
        return FALSE;
    m->transform = smb2_channel_find(m->connection, smb2_get_u64(t + SMB2_T_SESSION_ID));
    if (!m->transform || !g_atomic_int_get(&m->transform->established) || !m->transform->session->keys)
        return FALSE;
    if (!smb2_decrypt(m->transform->session->keys, t, m->len - SMB2_TRANSFORM_SIZE))
        return FALSE;
    m->record += SMB2_TRANSFORM_SIZE;
    m->len -= SMB2_TRANSFORM_SIZE;
    m->encrypted = TRUE;
    smb2_session_note_encryption(m->transform->session);
    return smb2_get_u64(m->record + SMB2_H_SESSION_ID) == m->transform->session->id;
}

static void
refuse_record(Smb2Message *m, const char *what)
{
    lares_log_limited(LARES_LOG_INFO, "smb2", "%s sent %s; connection closed",
                      lares_connection_peer(m->connection->net)->address, what);
    lares_connection_close(m->connection->net);
}

void
smb2_message_request(LaresRequest *request, gpointer data)
{
    Smb2Message m = {
        .connection = data,
        .arena = request->arena,
        .reply = &request->reply,
        .record = request->data,
        .len = request->len,
    };
    uint32_t protocol = m.len >= 4 ? smb2_get_u32(m.record) : 0;
    if (protocol == SMB1_PROTOCOL_ID) {
        if (!smb2_negotiate_smb1(m.connection, m.record, m.len, &m.reply->out)) {
            lares_reply_rewind(m.reply, LARES_REPLY_HEAD, 0);
            refuse_record(&m, "an SMB 1 request");
        }
        return;
    }
    if (protocol == SMB2_TRANSFORM_ID && !open_transform(&m)) {
        clear(&m);
        refuse_record(&m, "an encrypted message that cannot be opened");
        return;
    }
    m.chain.count = count_commands(m.record, m.len);
    if (m.chain.count > SMB2_MAX_COMPOUND || m.len < SMB2_HEADER_SIZE) {
        clear(&m);
        refuse_record(&m, "a message that is no SMB 2 request");
        return;
    }
    request->operations = smb2_operations;
    request->operation = smb2_command_place(smb2_get_u16(m.record + SMB2_H_COMMAND));
    smb2_message_start(&m);
    note_running(&m, TRUE);
    Walk result = walk(&m);
    if (result != WALK_PARKED)
        note_running(&m, FALSE);
    if (result == WALK_CLOSED)
        refuse_record(&m, "a message that is out of place");
    if (result == WALK_PARKED || !smb2_message_seal(&m))
        lares_reply_rewind(m.reply, LARES_REPLY_HEAD, 0);
    clear(&m);
}

/* ---- Messages that waited -----------------------------------------------------------------------------------------
 */

Smb2Message *
smb2_message_detach(Smb2Message *m)
{
    note_running(m, FALSE);
    if (m->detached)
        return m;
    Smb2Message *copy = g_memdup2(m, sizeof *m);
    copy->record = g_memdup2(m->record + m->at, m->len - m->at);
    copy->len = m->len - m->at;
    copy->dropped = m->at;
    copy->at = 0;
    copy->detached = TRUE;
    smb2_connection_ref(copy->connection);
    m->charged = 0;
    m->transform = NULL;
    m->channel = NULL;
    m->tree = NULL;
    return copy;
}

void
smb2_message_free(Smb2Message *m)
{
    clear(m);
    g_free(m->record);
    smb2_connection_unref(m->connection);
    g_free(m);
}

/* Gives a detached message an arena and a writer for as long as it runs. */
static LaresArena *
resume(Smb2Message *m, LaresReply *reply)
{
    LaresArena *arena = lares_arena_new();
    m->arena = arena;
    m->reply = reply;
    *reply = (LaresReply){.n_ranges = 0};
    lares_writer_init(&reply->out, m->arena, 1024, m->connection->service->net.max_reply + LARES_REPLY_HEAD);
    lares_put_space(&reply->out, LARES_REPLY_HEAD);
    smb2_message_start(m);
    note_running(m, TRUE);
    return arena;
}

/* Behind the command that waited: the rest, and the end of the message unless something waits again: then it may be
 * another worker's by now, or gone, and only the arena it was lent is ours. */
static void
go_on(Smb2Message *m, LaresArena *arena, Walk result)
{
    if (result == WALK_ON)
        result = walk(m);
    else
        lares_store_moment_end();
    if (result != WALK_PARKED) {
        note_running(m, FALSE);
        smb2_message_flush(m);
        if (result == WALK_CLOSED)
            refuse_record(m, "a message that is out of place");
        smb2_message_free(m);
    }
    lares_arena_free(arena);
}

void
smb2_message_retry(Smb2Message *m, Smb2Parked *parked)
{
    LaresReply reply;
    Smb2Op op;
    LaresArena *arena = resume(m, &reply);
    op_init(m, &op);
    if (!smb2_check_header(m, &op)) { /* it was right the first time */
        go_on(m, arena, WALK_CLOSED);
        return;
    }
    const Smb2Command *row = &smb2_commands[op.command];
    m->running.message_id = op.message_id;
    op.parked = smb2_parked_ref(parked);
    op.retry = TRUE;
    smb2_response_begin(m, &op);
    op.is_signed = FALSE;
    op.channel = op.related ? NULL : smb2_parked_channel(parked);
    uint32_t status = smb2_check_command(m, &op, row);
    if (status != STATUS_SUCCESS)
        smb2_parked_over(parked);
    go_on(m, arena, run_handler(m, &op, row, status, smb2_parked_async_id(parked)));
}

void
smb2_message_finish(Smb2Message *m, uint64_t async_id, uint32_t status, const uint8_t *body, size_t len)
{
    LaresReply reply;
    Smb2Op op;
    LaresArena *arena = resume(m, &reply);
    op_init(m, &op);
    if (!smb2_check_header(m, &op)) {
        go_on(m, arena, WALK_CLOSED);
        return;
    }
    smb2_response_begin(m, &op);
    /* What was checked when the command came: it was signed rightly or not at all, and its session may be gone by now.
     */
    if (op.related)
        op.channel = m->channel ? smb2_channel_ref(m->channel) : NULL;
    else
        op.channel = smb2_channel_find(m->connection, smb2_get_u64(op.header + SMB2_H_SESSION_ID));
    if (op.channel)
        op.session = smb2_session_ref(op.channel->session);
    if (op.session && !op.related)
        op.tree = smb2_tree_find(op.session, smb2_get_u32(op.header + SMB2_H_TREE_ID));
    else if (m->tree)
        op.tree = smb2_tree_ref(m->tree);
    op.is_signed = (op.flags & SMB2_FLAGS_SIGNED) != 0;
    op.keep_error_body = len != 0;
    lares_put_bytes(op.out, body, len);
    smb2_count_command(op.command, status);
    smb2_response_end(m, &op, status, async_id, FALSE);
    inherit(m, &op, status);
    m->at += op.message_len;
    op_clear(&op);
    go_on(m, arena, WALK_ON);
}
