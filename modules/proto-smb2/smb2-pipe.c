/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Named pipes with RPC behind them: fragments come in, calls run at once, the answer's fragments wait to be read.
 *
 * One pipe is one RPC association: its first bind agrees on sizes, presentation contexts stand for interfaces. Nothing
 * is authenticated here: the SMB session is, and its signing or encryption protects what passes.
 *
 * Spec: C706 12.6, [MS-RPCE] 2.2.2, 3.3; [MS-SMB2] 3.3.5.15.10 (transceive), [MS-FSCC] 2.3.31 … 2.3.50.
 * Locks: the pipe's, held while a call runs: calls of one pipe are answered one after the other. */
#include "smb2-pipe.h"
#include "rpc.h"

#define HEADER       16u
#define FRAGMENT_MAX 5840u           /* what we send and take at most; Windows' own number */
#define FRAGMENT_MIN 1432u           /* C706 12.6.3.5: everybody takes this */
#define CALL_MAX     (1024u * 1024u) /* all fragments of one request: 20,000 SIDs fit */
#define ANSWER_MAX   (4096u * 1024u) /* all of one answer */
#define CONTEXTS_MAX 16u
#define QUEUE_MAX    (1024u * 1024u) /* answers that nobody reads: with more, nothing else is taken */
#define UNREAD_MAX   4096u           /* and their fragments */

enum {
    PDU_REQUEST = 0,
    PDU_RESPONSE = 2,
    PDU_FAULT = 3,
    PDU_BIND = 11,
    PDU_BIND_ACK = 12,
    PDU_BIND_NAK = 13,
    PDU_ALTER = 14,
    PDU_ALTER_RESP = 15,
    PDU_AUTH3 = 16,
    PDU_CANCEL = 18,
    PDU_ORPHANED = 19
};
enum { FLAG_FIRST = 1, FLAG_LAST = 2, FLAG_OBJECT = 0x80 };

/* 8a885d04-1ceb-11c9-9fe8-08002b104860, version 2 */
static const uint8_t ndr32[20] = {0x04, 0x5d, 0x88, 0x8a, 0xeb, 0x1c, 0xc9, 0x11, 0x9f, 0xe8,
                                  0x08, 0x00, 0x2b, 0x10, 0x48, 0x60, 2,    0,    0,    0};

static const RpcInterface *const interfaces[] = {&rpc_srvsvc, &rpc_wkssvc, &rpc_lsarpc, &rpc_samr};

typedef struct {
    uint16_t id;
    const RpcInterface *interface;
} Context;

struct _Smb2Pipe {
    GMutex lock;
    Smb2Service *service;
    Smb2Session *session; /* a reference */
    LaresPeer peer;
    const RpcInterface *own; /* the interface the pipe is named for; others may be bound on it, too */
    gboolean bound, broken;
    uint16_t send_max; /* bytes of one fragment */
    uint32_t group;
    Context contexts[CONTEXTS_MAX];
    guint n_contexts;
    GByteArray *in;   /* what is not a whole fragment yet */
    GByteArray *stub; /* of the request whose fragments are coming */
    uint32_t call_id; /* of that request */
    uint16_t call_context, call_operation;
    gboolean in_call;
    GQueue answers; /* of GBytes: a fragment each */
    size_t answer_at, queued;
};

/* ---- Life -------------------------------------------------------------------------------------------------------- */

Smb2Pipe *
smb2_pipe_open(Smb2Op *op, const char *name)
{
    return smb2_pipe_open_for(op->service, op->session, lares_connection_peer(op->connection->net), name);
}

Smb2Pipe *
smb2_pipe_open_for(Smb2Service *service, Smb2Session *session, const LaresPeer *peer, const char *name)
{
    const char *plain = name + strspn(name, "\\");
    for (size_t i = 0; i < G_N_ELEMENTS(interfaces); i++) {
        if (g_ascii_strcasecmp(plain, interfaces[i]->pipe) != 0)
            continue;
        if (g_atomic_int_add(&session->n_pipes, 1) >= SMB2_MAX_PIPES) {
            g_atomic_int_add(&session->n_pipes, -1);
            return NULL;
        }
        Smb2Pipe *pipe = g_new0(Smb2Pipe, 1);
        g_mutex_init(&pipe->lock);
        pipe->service = service;
        pipe->session = smb2_session_ref(session);
        pipe->peer = *peer;
        pipe->own = interfaces[i];
        pipe->send_max = FRAGMENT_MIN;
        pipe->in = g_byte_array_new();
        pipe->stub = g_byte_array_new();
        return pipe;
    }
    return NULL;
}

void
smb2_pipe_free(Smb2Pipe *pipe)
{
    g_queue_clear_full(&pipe->answers, (GDestroyNotify)g_bytes_unref);
    g_byte_array_unref(pipe->in);
    g_byte_array_unref(pipe->stub);
    g_atomic_int_add(&pipe->session->n_pipes, -1);
    smb2_session_unref(pipe->session);
    g_mutex_clear(&pipe->lock);
    g_free(pipe);
}

/* ---- Fragments out ----------------------------------------------------------------------------------------------- */

static void
put_header(LaresWriter *w, uint8_t type, uint8_t flags, uint32_t call_id)
{
    static const uint8_t little_endian[4] = {0x10, 0, 0, 0};
    lares_put_u8(w, 5);
    lares_put_u8(w, 0);
    lares_put_u8(w, type);
    lares_put_u8(w, flags);
    lares_put_bytes(w, little_endian, 4);
    lares_put_le16(w, 0);
    lares_put_le16(w, 0);
    lares_put_le32(w, call_id);
}

static void
queue_fragment(Smb2Pipe *pipe, LaresWriter *w)
{
    if (w->failed || w->len > UINT16_MAX) {
        pipe->broken = TRUE;
        return;
    }
    smb2_patch_u16(w, 8, (uint16_t)w->len);
    g_queue_push_tail(&pipe->answers, g_bytes_new(w->base, w->len));
    pipe->queued += w->len;
}

static void
queue_fault(Smb2Pipe *pipe, LaresArena *arena, uint32_t status)
{
    LaresWriter w;
    lares_writer_init(&w, arena, 64, 64);
    put_header(&w, PDU_FAULT, FLAG_FIRST | FLAG_LAST, pipe->call_id);
    lares_put_le32(&w, 0);
    lares_put_le16(&w, pipe->call_context);
    lares_put_le16(&w, 0);
    lares_put_le32(&w, status);
    lares_put_le32(&w, 0);
    queue_fragment(pipe, &w);
}

static void
queue_response(Smb2Pipe *pipe, LaresArena *arena, const uint8_t *stub, size_t len)
{
    const size_t room = ((size_t)pipe->send_max - HEADER - 8) & ~(size_t)7;
    size_t at = 0;
    do {
        size_t n = len - at < room ? len - at : room;
        LaresWriter w;
        lares_writer_init(&w, arena, HEADER + 8 + n, HEADER + 8 + n);
        put_header(&w, PDU_RESPONSE, (at == 0 ? FLAG_FIRST : 0) | (at + n == len ? FLAG_LAST : 0), pipe->call_id);
        lares_put_le32(&w, (uint32_t)(len - at));
        lares_put_le16(&w, pipe->call_context);
        lares_put_le16(&w, 0);
        lares_put_bytes(&w, stub + at, n);
        queue_fragment(pipe, &w);
        at += n;
    } while (at < len && !pipe->broken);
}

/* ---- Bind -------------------------------------------------------------------------------------------------------- */

static const RpcInterface *
find_interface(const uint8_t *uuid, uint32_t version)
{
    for (size_t i = 0; i < G_N_ELEMENTS(interfaces); i++)
        if (memcmp(interfaces[i]->uuid, uuid, 16) == 0 && interfaces[i]->major == (version & 0xffff))
            return interfaces[i];
    return NULL;
}

static gboolean
remember_context(Smb2Pipe *pipe, uint16_t id, const RpcInterface *interface)
{
    for (guint i = 0; i < pipe->n_contexts; i++) {
        if (pipe->contexts[i].id == id) {
            pipe->contexts[i].interface = interface;
            return TRUE;
        }
    }
    if (pipe->n_contexts == CONTEXTS_MAX)
        return FALSE;
    pipe->contexts[pipe->n_contexts++] = (Context){id, interface};
    return TRUE;
}

/* One proposed context; writes its result (C706 12.6.3.1: p_result_t). */
static void
bind_context(Smb2Pipe *pipe, LaresReader *r, LaresWriter *w)
{
    uint16_t id = lares_get_le16(r);
    uint8_t n = lares_get_u8(r);
    lares_get_u8(r);
    const uint8_t *uuid = lares_get_bytes(r, 16);
    uint32_t version = lares_get_le32(r);
    const RpcInterface *interface = uuid ? find_interface(uuid, version) : NULL;
    gboolean syntax = FALSE;
    for (; n > 0 && !r->failed; n--) {
        const uint8_t *transfer = lares_get_bytes(r, sizeof ndr32);
        syntax = syntax || (transfer && memcmp(transfer, ndr32, sizeof ndr32) == 0);
    }
    if (r->failed)
        return;
    gboolean ok = interface && syntax && remember_context(pipe, id, interface);
    static const uint8_t none[sizeof ndr32];
    lares_put_le16(w, ok ? 0 : 2);                        /* acceptance, provider_rejection */
    lares_put_le16(w, ok || !interface ? ok ? 0 : 1 : 2); /* abstract syntax, transfer syntaxes not supported */
    lares_put_bytes(w, ok ? ndr32 : none, sizeof ndr32);
}

static void
queue_bind_nak(Smb2Pipe *pipe, LaresArena *arena, uint16_t reason)
{
    LaresWriter w;
    lares_writer_init(&w, arena, 32, 32);
    put_header(&w, PDU_BIND_NAK, FLAG_FIRST | FLAG_LAST, pipe->call_id);
    lares_put_le16(&w, reason);
    lares_put_u8(&w, 1); /* versions: 5.0 */
    lares_put_u8(&w, 5);
    lares_put_u8(&w, 0);
    queue_fragment(pipe, &w);
}

static gboolean
agree(Smb2Pipe *pipe, LaresArena *arena, LaresReader *r, gboolean alter)
{
    LaresWriter w;
    uint16_t send = lares_get_le16(r), take = lares_get_le16(r);
    uint32_t group = lares_get_le32(r);
    uint8_t n = lares_get_u8(r);
    lares_get_u8(r);
    lares_get_le16(r);
    if (r->failed || n == 0 || n > CONTEXTS_MAX || send == 0)
        return FALSE;
    if (!alter) {
        pipe->send_max = take < FRAGMENT_MIN ? FRAGMENT_MIN : take > FRAGMENT_MAX ? FRAGMENT_MAX : take;
        pipe->group = group ? group : 0x4c41u;
    }
    lares_writer_init(&w, arena, 256, FRAGMENT_MIN);
    put_header(&w, alter ? PDU_ALTER_RESP : PDU_BIND_ACK, FLAG_FIRST | FLAG_LAST, pipe->call_id);
    lares_put_le16(&w, pipe->send_max);
    lares_put_le16(&w, FRAGMENT_MAX);
    lares_put_le32(&w, pipe->group);
    g_autofree char *address = g_strdup_printf("\\PIPE\\%s", pipe->own->pipe);
    size_t len = alter ? 0 : strlen(address) + 1;
    lares_put_le16(&w, (uint16_t)len);
    lares_put_bytes(&w, address, len);
    smb2_align(&w, 0, 4);
    lares_put_le32(&w, n);
    for (; n > 0; n--)
        bind_context(pipe, r, &w);
    if (r->failed)
        return FALSE;
    pipe->bound = TRUE;
    queue_fragment(pipe, &w);
    return TRUE;
}

/* ---- Calls ------------------------------------------------------------------------------------------------------- */

static const RpcInterface *
context_interface(const Smb2Pipe *pipe)
{
    for (guint i = 0; i < pipe->n_contexts; i++)
        if (pipe->contexts[i].id == pipe->call_context)
            return pipe->contexts[i].interface;
    return NULL;
}

static void
run_call(Smb2Pipe *pipe, LaresArena *arena)
{
    LaresWriter out;
    const RpcInterface *interface = context_interface(pipe);
    if (!interface) {
        queue_fault(pipe, arena, RPC_FAULT_UNKNOWN_IF);
        return;
    }
    const RpcOperation *row = interface->operations;
    while (row->func && row->number != pipe->call_operation)
        row++;
    if (!row->func) {
        queue_fault(pipe, arena, RPC_FAULT_OP_RANGE);
        return;
    }
    lares_writer_init(&out, arena, 1024, ANSWER_MAX);
    RpcCall call = {.service = pipe->service,
                    .session = pipe->session,
                    .peer = &pipe->peer,
                    .arena = arena,
                    .in = ndr_reader(pipe->stub->data, pipe->stub->len),
                    .out = ndr_writer(&out)};
    uint32_t fault = row->func(&call);
    if (ndr_failed(&call.in))
        fault = RPC_FAULT_BAD_STUB_DATA;
    else if (fault == 0 && out.failed)
        fault = RPC_FAULT_NO_MEMORY;
    if (fault != 0)
        queue_fault(pipe, arena, fault);
    else
        queue_response(pipe, arena, out.base, out.len);
}

/* A fragment of a request; FALSE breaks the association. */
static gboolean
request(Smb2Pipe *pipe, LaresArena *arena, LaresReader *r, uint8_t flags, uint32_t call_id)
{
    lares_get_le32(r);
    uint16_t context = lares_get_le16(r), operation = lares_get_le16(r);
    if (flags & FLAG_OBJECT)
        lares_get_bytes(r, 16);
    if (r->failed || !pipe->bound || ((flags & FLAG_FIRST) != 0) == pipe->in_call)
        return FALSE;
    if (flags & FLAG_FIRST) {
        pipe->call_id = call_id;
        pipe->call_context = context;
        pipe->call_operation = operation;
        g_byte_array_set_size(pipe->stub, 0);
        pipe->in_call = TRUE;
    } else if (call_id != pipe->call_id || context != pipe->call_context || operation != pipe->call_operation) {
        return FALSE;
    }
    if (pipe->stub->len + lares_reader_left(r) > CALL_MAX)
        return FALSE;
    g_byte_array_append(pipe->stub, r->at, (guint)lares_reader_left(r));
    if (flags & FLAG_LAST) {
        pipe->in_call = FALSE;
        run_call(pipe, arena);
        g_byte_array_set_size(pipe->stub, 0);
    }
    return !pipe->broken;
}

static gboolean
fragment(Smb2Pipe *pipe, LaresArena *arena, const uint8_t *bytes, size_t len)
{
    uint8_t type = bytes[2], flags = bytes[3];
    uint16_t auth = smb2_get_u16(bytes + 10);
    uint32_t call_id = smb2_get_u32(bytes + 12);
    LaresReader r = lares_reader(bytes + HEADER, len - HEADER);
    if (bytes[0] != 5 || bytes[1] > 1 || (bytes[4] & 0xf0) != 0x10)
        return FALSE;
    if (pipe->queued > QUEUE_MAX || pipe->answers.length > UNREAD_MAX)
        return FALSE;
    switch (type) {
    case PDU_BIND:
    case PDU_ALTER:
        pipe->call_id = call_id;
        if (pipe->in_call || (type == PDU_BIND) == pipe->bound)
            return FALSE;
        if (auth != 0) {
            queue_bind_nak(pipe, arena, 8); /* authentication_type_not_recognized */
            return TRUE;
        }
        return agree(pipe, arena, &r, type == PDU_ALTER);
    case PDU_REQUEST:
        return auth == 0 && request(pipe, arena, &r, flags, call_id);
    case PDU_CANCEL:
    case PDU_ORPHANED:
    case PDU_AUTH3:
        return TRUE; /* every call is over before anybody could take it back */
    default:
        return FALSE;
    }
}

/* ---- The pipe ---------------------------------------------------------------------------------------------------- */

uint32_t
smb2_pipe_write(Smb2Pipe *pipe, const uint8_t *bytes, size_t len)
{
    uint32_t status = STATUS_SUCCESS;
    size_t at = 0;
    LaresArena *arena = NULL;
    g_mutex_lock(&pipe->lock);
    if (pipe->broken || pipe->in->len + len > CALL_MAX) {
        g_mutex_unlock(&pipe->lock);
        return STATUS_PIPE_DISCONNECTED;
    }
    g_byte_array_append(pipe->in, bytes, (guint)len);
    while (!pipe->broken && pipe->in->len - at >= HEADER) {
        const uint8_t *one = pipe->in->data + at;
        size_t n = smb2_get_u16(one + 8);
        if (n < HEADER) {
            pipe->broken = TRUE;
        } else if (pipe->in->len - at < n) {
            break;
        } else {
            if (!arena)
                arena = lares_arena_new();
            pipe->broken = !fragment(pipe, arena, one, n) || pipe->broken;
            at += n;
        }
    }
    if (at > 0)
        g_byte_array_remove_range(pipe->in, 0, (guint)at);
    if (pipe->broken) {
        g_byte_array_set_size(pipe->in, 0);
        status = STATUS_PIPE_DISCONNECTED;
    }
    g_mutex_unlock(&pipe->lock);
    if (arena)
        lares_arena_free(arena);
    return status;
}

uint32_t
smb2_pipe_read(Smb2Pipe *pipe, size_t max, LaresWriter *w)
{
    uint32_t status = STATUS_SUCCESS;
    g_mutex_lock(&pipe->lock);
    GBytes *first = g_queue_peek_head(&pipe->answers);
    if (!first) {
        status = pipe->broken ? STATUS_PIPE_DISCONNECTED : STATUS_PIPE_EMPTY;
    } else {
        gsize len;
        const uint8_t *bytes = g_bytes_get_data(first, &len);
        size_t n = len - pipe->answer_at < max ? len - pipe->answer_at : max;
        lares_put_bytes(w, bytes + pipe->answer_at, n);
        pipe->answer_at += n;
        if (pipe->answer_at < len) {
            status = STATUS_BUFFER_OVERFLOW;
        } else {
            pipe->answer_at = 0;
            pipe->queued -= len;
            g_bytes_unref(g_queue_pop_head(&pipe->answers));
        }
    }
    g_mutex_unlock(&pipe->lock);
    return status;
}

SMB2_FSCTL(pipe_transceive)
{
    Smb2Pipe *pipe = op->open->pipe;
    uint32_t status = smb2_pipe_write(pipe, ioctl->input, ioctl->input_len);
    return status != STATUS_SUCCESS ? status : smb2_pipe_read(pipe, ioctl->max_output, op->out);
}

/* The pipes are always there ([MS-FSCC] 2.3.49): whoever waits for one may go on. */
SMB2_FSCTL(pipe_wait)
{
    return STATUS_SUCCESS;
}

/* [MS-FSCC] 2.3.46: state, bytes that can be read, messages, bytes of the first message, and no data. */
SMB2_FSCTL(pipe_peek)
{
    Smb2Pipe *pipe = op->open->pipe;
    if (ioctl->max_output < 16)
        return STATUS_BUFFER_TOO_SMALL;
    g_mutex_lock(&pipe->lock);
    GBytes *first = g_queue_peek_head(&pipe->answers);
    uint32_t all = (uint32_t)(pipe->queued - pipe->answer_at), messages = pipe->answers.length;
    uint32_t one = first ? (uint32_t)(g_bytes_get_size(first) - pipe->answer_at) : 0;
    g_mutex_unlock(&pipe->lock);
    smb2_put_u32(op->out, 3); /* connected */
    smb2_put_u32(op->out, all);
    smb2_put_u32(op->out, messages);
    smb2_put_u32(op->out, one);
    return STATUS_SUCCESS;
}

/* ---- What the interfaces share ----------------------------------------------------------------------------------- */

const char *
rpc_computer_name(RpcCall *call)
{
    const char *host = lares_host_name(call->service->host);
    g_autofree char *first = g_strndup(host, strcspn(host, "."));
    g_autofree char *upper = g_ascii_strup(first, -1);
    size_t len = strlen(upper);
    return lares_arena_strndup(call->arena, upper, len < 15 ? len : 15);
}

void
rpc_skip_server_name(RpcCall *call)
{
    if (ndr_get_pointer(&call->in))
        ndr_get_string(&call->in, call->arena, 1024);
}
