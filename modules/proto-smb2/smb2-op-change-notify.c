/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CHANGE_NOTIFY: tells what changed in a directory, now or when it happens.
 *
 * The first command on an open starts a watch, which collects changes from then on; its filter and depth hold for the
 * open's life ([MS-FSA] 2.1.5.11). A command takes what was collected, or parks. What does not fit, here or in the
 * client's buffer, becomes STATUS_NOTIFY_ENUM_DIR: look for yourself.
 *
 * Spec: [MS-SMB2] 2.2.35, 2.2.36, 3.3.5.19; [MS-FSCC] 2.7.1.
 * Locks: the watch's own; nothing is called under it. */
#include "smb2-info.h"

#include "smb2-name.h"

enum { AT_FLAGS = 2, AT_OUTPUT = 4, AT_FILE = 8, AT_FILTER = 24 };
#define MAX_KEPT (64u << 10) /* bytes of names collected for one open */

typedef struct {
    gint ref; /* atomic */
    LaresWatch *watch;
    GMutex lock;
    GByteArray *events; /* FILE_NOTIFY_INFORMATION, chained; guarded by lock */
    size_t last;        /* where the last one starts */
    size_t most;        /* bytes: what the first command had room for, for good */
    gboolean overflow, closed;
    GQueue waiting; /* of Waiter: oldest first; guarded by lock */
} Notify;

typedef struct {
    gint ref; /* atomic: the engine's and, while it is queued, the queue's */
    Notify *notify;
    Smb2Parked *parked;
    size_t limit;
    uint64_t connection, message_id; /* the connection's serial */
    gboolean queued;                 /* guarded by the notify's lock */
} Waiter;

static void
notify_unref(gpointer data)
{
    Notify *n = data;
    if (!g_atomic_int_dec_and_test(&n->ref))
        return;
    g_byte_array_unref(n->events);
    g_mutex_clear(&n->lock);
    g_free(n);
}

static void
waiter_unref(gpointer data)
{
    Waiter *w = data;
    if (!g_atomic_int_dec_and_test(&w->ref))
        return;
    notify_unref(w->notify);
    g_free(w);
}

/* What one command gets of what was collected: a status, and its body in *body. The lock is held. */
static uint32_t
take(Notify *n, size_t limit, GByteArray **body)
{
    *body = NULL;
    gboolean too_much = n->overflow || n->events->len > MIN(limit, n->most);
    if (!too_much) {
        *body = n->events;
        n->events = g_byte_array_new();
    }
    g_byte_array_set_size(n->events, 0);
    n->overflow = FALSE;
    n->last = 0;
    return too_much ? STATUS_NOTIFY_ENUM_DIR : STATUS_SUCCESS;
}

static void
answer(LaresWriter *w, size_t offset, const GByteArray *events)
{
    smb2_put_u16(w, 9);
    smb2_put_u16(w, events && events->len ? (uint16_t)offset : 0);
    smb2_put_u32(w, events ? events->len : 0);
    if (events)
        lares_put_bytes(w, events->data, events->len);
}

static void
finish(Waiter *waiter, uint32_t status, GByteArray *events)
{
    LaresArena *arena = lares_arena_new();
    LaresWriter w;
    lares_writer_init(&w, arena, 64, MAX_KEPT * 2);
    answer(&w, SMB2_HEADER_SIZE + 8, events);
    smb2_parked_finish(waiter->parked, status, w.base, w.len);
    lares_arena_free(arena);
    smb2_parked_unref(waiter->parked);
    waiter_unref(waiter);
}

/* ---- Collecting ---------------------------------------------------------------------------------------------------
 */

/* `stream`: the last name has a stream's behind it, which is no part of the name. */
static size_t
put_wire_path(LaresWriter *w, LaresArena *arena, const char *path, gboolean stream)
{
    size_t start = w->len;
    const char *colon = stream ? strrchr(path, ':') : NULL;
    for (const char *p = path; *p;) {
        size_t n = strcspn(p, "/");
        if (colon && colon >= p && colon < p + n)
            n = (size_t)(colon - p);
        smb2_put_name(w, lares_arena_strndup(arena, p, n), TRUE);
        p += n;
        if (p == colon) {
            smb2_put_u16(w, ':');
            smb2_put_name(w, p + 1, TRUE);
            break;
        }
        if (*p) {
            smb2_put_u16(w, '\\');
            p++;
        }
    }
    return w->len - start;
}

static void
collect(Notify *n, LaresChangeAction action, const char *path)
{
    LaresArena *arena = lares_arena_new();
    LaresWriter w;
    lares_writer_init(&w, arena, 512, 16384);
    smb2_put_u32(&w, 0);
    smb2_put_u32(&w, action);
    smb2_put_u32(&w, 0);
    size_t bytes = put_wire_path(&w, arena, path, action >= LARES_CHANGE_ADDED_STREAM);
    smb2_patch_u32(&w, 8, (uint32_t)bytes);
    size_t last = n->events->len ? n->events->len - n->last : 0;
    if (w.failed || n->events->len + w.len + 4 > MIN(MAX_KEPT, n->most + 4)) {
        n->overflow = TRUE;
    } else if (action == LARES_CHANGE_MODIFIED && last == w.len &&
               memcmp(n->events->data + n->last, w.base, w.len) == 0) {
        /* The same again says nothing. */
    } else {
        static const uint8_t zero[4];
        guint start = n->events->len, pad = (guint)(-start & 3u);
        if (start) {
            g_byte_array_append(n->events, zero, pad);
            smb2_set_u32(n->events->data + n->last, (uint32_t)(start + pad - n->last));
        }
        n->last = start + pad;
        g_byte_array_append(n->events, w.base, (guint)w.len);
    }
    lares_arena_free(arena);
}

/* The waiting commands end with a status and nothing else. */
static void
end_waiting(Notify *n, gboolean closed, uint32_t status)
{
    GQueue waiting = G_QUEUE_INIT;
    Waiter *waiter;
    g_mutex_lock(&n->lock);
    n->closed |= closed;
    while ((waiter = g_queue_pop_head(&n->waiting))) {
        waiter->queued = FALSE;
        g_queue_push_tail(&waiting, waiter);
    }
    g_mutex_unlock(&n->lock);
    while ((waiter = g_queue_pop_head(&waiting)))
        finish(waiter, status, NULL);
}

/* From whoever changed something. */
static void
changed(LaresChangeAction action, const char *path, gpointer user)
{
    Notify *n = user;
    GByteArray *events = NULL;
    uint32_t status = STATUS_SUCCESS;
    if (action == LARES_CHANGE_DELETE_PENDING) {
        end_waiting(n, FALSE, STATUS_DELETE_PENDING);
        return;
    }
    g_mutex_lock(&n->lock);
    if (!n->closed) {
        if (path && !n->overflow)
            collect(n, action, path);
        else
            n->overflow = TRUE;
    }
    /* The first half of a rename waits for the second. */
    Waiter *waiter = action == LARES_CHANGE_OLD_NAME || n->closed ? NULL : g_queue_pop_head(&n->waiting);
    if (waiter) {
        waiter->queued = FALSE;
        status = take(n, waiter->limit, &events);
    }
    g_mutex_unlock(&n->lock);
    if (waiter)
        finish(waiter, status, events);
    if (events)
        g_byte_array_unref(events);
}

/* ---- Ends ---------------------------------------------------------------------------------------------------------
 */

static void
cancelled(gpointer user)
{
    Waiter *waiter = user;
    Notify *n = waiter->notify;
    g_mutex_lock(&n->lock);
    gboolean mine = waiter->queued;
    if (mine)
        g_queue_remove(&n->waiting, waiter);
    waiter->queued = FALSE;
    g_mutex_unlock(&n->lock);
    if (mine) {
        smb2_parked_unref(waiter->parked);
        waiter_unref(waiter);
    }
}

/* The open is closed: [MS-SMB2] 3.3.5.10, STATUS_NOTIFY_CLEANUP. */
static void
notify_closed(gpointer data)
{
    Notify *n = data;
    end_waiting(n, TRUE, STATUS_NOTIFY_CLEANUP);
    lares_watch_unref(n->watch);
    notify_unref(n);
}

/* ---- Order: a connection's requests run side by side, and these must end as if they had run as they were sent ------
 */

void
smb2_notify_closing(Smb2Op *op)
{
    Smb2Connection *c = op->connection;
    g_mutex_lock(&c->lock);
    guint i = c->n_closed_directories++ % G_N_ELEMENTS(c->closed_directories);
    c->closed_directories[i].message_id = op->message_id;
    c->closed_directories[i].volatile_id = op->open->volatile_id;
    g_mutex_unlock(&c->lock);
}

/* The CLOSE that ends this wait has run before it. */
static gboolean
was_overtaken(const Smb2Op *op)
{
    Smb2Connection *c = op->connection;
    uint64_t volatile_id = smb2_get_u64(op->body + AT_FILE + 8);
    gboolean found = FALSE;
    g_mutex_lock(&c->lock);
    for (guint i = 0; i < MIN(c->n_closed_directories, G_N_ELEMENTS(c->closed_directories)); i++)
        found |=
            c->closed_directories[i].volatile_id == volatile_id && c->closed_directories[i].message_id > op->message_id;
    g_mutex_unlock(&c->lock);
    return found;
}

/* The lock is held. In front of those that the same client sent later. */
static void
enqueue(Notify *n, Waiter *waiter)
{
    GList *at = n->waiting.tail;
    for (; at; at = at->prev) {
        const Waiter *other = at->data;
        if (other->connection != waiter->connection || other->message_id < waiter->message_id)
            break;
    }
    g_queue_insert_after(&n->waiting, at, waiter);
}

/* ---- The command --------------------------------------------------------------------------------------------------
 */

/* A reference to the open's watch, started when it has none; NULL: the open was closed. */
static Notify *
notify_of(Smb2Op *op, gboolean tree, uint32_t filter, size_t most)
{
    Smb2Open *open = op->open;
    g_mutex_lock(&open->lock);
    Notify *n = open->notify;
    if (n)
        g_atomic_int_inc(&n->ref);
    g_mutex_unlock(&open->lock);
    if (n) {
        lares_watch_renew(n->watch, &op->caller);
        return n;
    }
    n = g_new0(Notify, 1);
    n->ref = 2; /* the open's and the watch's */
    n->events = g_byte_array_new();
    n->most = most;
    g_mutex_init(&n->lock);
    n->watch =
        lares_files_watch(op->service->files, &op->caller, &open->object, tree, filter, changed, n, notify_unref);
    g_mutex_lock(&open->lock);
    gboolean lost = open->notify || g_atomic_int_get(&open->closed);
    if (!lost) {
        open->notify = n;
        open->notify_free = notify_closed;
        g_atomic_int_inc(&n->ref);
    }
    g_mutex_unlock(&open->lock);
    if (!lost)
        return n;
    notify_closed(n); /* somebody was faster */
    return g_atomic_int_get(&open->closed) ? NULL : notify_of(op, tree, filter, most);
}

/* Parks, or takes what is there already. */
static uint32_t
wait_or_take(Smb2Op *op, Notify *n, size_t limit, GByteArray **events)
{
    Waiter *waiter = g_new0(Waiter, 1);
    waiter->ref = 1;
    waiter->notify = n;
    g_atomic_int_inc(&n->ref);
    waiter->limit = limit;
    waiter->connection = op->connection->serial;
    waiter->message_id = op->message_id;
    g_mutex_lock(&n->lock);
    gboolean ready = n->events->len || n->overflow;
    uint32_t status = ready ? take(n, limit, events) : STATUS_SUCCESS;
    g_mutex_unlock(&n->lock);
    if (ready) {
        waiter_unref(waiter);
        return status;
    }
    if (!op->last) { /* the rest of the chain would wait with it: [MS-SMB2] 3.3.5.2.7, what Windows does */
        waiter_unref(waiter);
        return STATUS_INTERNAL_ERROR;
    }
    waiter->parked = smb2_park(op, cancelled, waiter, waiter_unref);
    if (!waiter->parked) {
        waiter_unref(waiter);
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    g_mutex_lock(&n->lock);
    gboolean closed = n->closed;
    ready = !closed && (n->events->len || n->overflow);
    if (ready)
        status = take(n, limit, events);
    if (!ready && !closed) {
        waiter->queued = TRUE;
        g_atomic_int_inc(&waiter->ref);
        enqueue(n, waiter);
    }
    g_mutex_unlock(&n->lock);
    if (ready || closed) { /* it came in between */
        g_atomic_int_inc(&waiter->ref);
        finish(waiter, closed ? STATUS_NOTIFY_CLEANUP : status, *events);
    }
    return STATUS_PENDING;
}

uint32_t
smb2_op_change_notify(Smb2Op *op)
{
    const uint8_t *b = op->body;
    size_t limit;
    GByteArray *events = NULL;
    uint32_t filter = smb2_get_u32(b + AT_FILTER), status = smb2_op_file(op, b + AT_FILE);
    if (status == STATUS_FILE_CLOSED && was_overtaken(op))
        status = STATUS_NOTIFY_CLEANUP;
    if (status == STATUS_SUCCESS && !op->open->is_directory)
        status = STATUS_INVALID_PARAMETER;
    if (status == STATUS_SUCCESS && !(op->open->granted & SMB2_FILE_READ_DATA))
        status = STATUS_ACCESS_DENIED;
    if (status == STATUS_SUCCESS)
        status = smb2_op_output_limit(op, smb2_get_u32(b + AT_OUTPUT), &limit);
    if (status != STATUS_SUCCESS)
        return status;
    if (lares_open_delete_pending(op->open->open))
        return STATUS_DELETE_PENDING;
    Notify *n = notify_of(op, (smb2_get_u16(b + AT_FLAGS) & SMB2_WATCH_TREE) != 0, filter, limit);
    if (!n)
        return STATUS_NOTIFY_CLEANUP; /* closed just now */
    status = wait_or_take(op, n, limit, &events);
    notify_unref(n);
    if (status != STATUS_PENDING)
        answer(op->out, op->out->len - op->response + 8, events);
    if (events)
        g_byte_array_unref(events);
    return status;
}
