/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From the socket to whole records: read-ahead for small ones, a buffer of its own for a large one.
 *
 * Thread: a worker; one at a time per connection is in recv(). Locks: the connection's, not while receiving. */
#include "net/net-private.h"

#include <errno.h>
#include <sys/socket.h>

static void
use_buffer(LaresWorker *worker, LaresConnection *c, LaresBuffer *b)
{
    lares_frames_move(&c->frames, lares_buffer_data(b));
    if (c->in)
        lares_buffer_unref(c->net, worker, c->in);
    c->in = b;
}

/* Gets room for at least some of the bytes wanted next: *room bytes behind frames.end. FALSE: out of memory. */
static gboolean
make_room(LaresWorker *worker, LaresConnection *c, size_t *room)
{
    LaresFrames *f = &c->frames;
    size_t have = lares_frames_size(f), whole = have + c->need;
    gboolean alone = c->in && g_atomic_int_get(&c->in->ref) == 1;

    if (whole > LARES_NET_CHUNK && have >= LARES_NET_BIG_AFTER) {
        if (!c->in || c->in->kind != LARES_BUFFER_BIG || c->in->cap < whole || !alone) {
            LaresBuffer *b = lares_buffer_big(c->net, whole);
            if (!b)
                return FALSE;
            use_buffer(worker, c, b);
        } else if (c->in->cap - f->end < c->need) {
            lares_frames_move(f, lares_buffer_data(c->in));
        }
        *room = c->need; /* not more: what follows belongs into another buffer */
        return TRUE;
    }
    if (!c->in || c->in->kind != LARES_BUFFER_CHUNK)
        use_buffer(worker, c, lares_buffer_chunk(worker));
    else if (have == 0 && alone)
        lares_frames_move(f, lares_buffer_data(c->in));
    else if (c->in->cap - f->end < MIN(c->need, LARES_NET_HINT)) {
        if (alone)
            lares_frames_move(f, lares_buffer_data(c->in));
        else
            use_buffer(worker, c, lares_buffer_chunk(worker));
    }
    *room = c->in->cap - f->end;
    if (c->large && have == 0)
        *room = MIN(*room, LARES_NET_HINT);
    return TRUE;
}

/* A connection that is left waiting holds no more than it has to. */
static void
shrink(LaresWorker *worker, LaresConnection *c)
{
    size_t have = lares_frames_size(&c->frames);
    if (have == 0)
        lares_input_drop(c);
    else if (c->in->kind == LARES_BUFFER_CHUNK && have < LARES_NET_SMALL)
        use_buffer(worker, c, lares_buffer_small(have));
}

/* Lock not held; the caller is the reader. Returns what recv() returned, *full: there may be more. */
static ssize_t
receive(LaresWorker *worker, LaresConnection *c, gboolean *full)
{
    size_t room;
    if (!make_room(worker, c, &room)) {
        errno = ENOMEM;
        return -1;
    }
    ssize_t n;
    do
        n = recv(c->fd, c->frames.base + c->frames.end, room, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    *full = n > 0 && (size_t)n == room;
    if (n > 0)
        c->frames.end += (size_t)n;
    if (c->in->kind == LARES_BUFFER_BIG && c->frames.end > c->in->touched)
        c->in->touched = c->frames.end;
    int saved = errno;
    if (!*full && !lares_frames_pending(&c->frames))
        shrink(worker, c);
    errno = saved;
    return n;
}

/* Whoever waits for half a record must see it move. */
static void
note_progress(LaresConnection *c, size_t n)
{
    __atomic_store_n(&c->received, c->received + n, __ATOMIC_RELAXED);
    lares_net_count_bytes(c->listener, FALSE, n);
    c->partial_bytes += n;
    if (c->partial_bytes >= LARES_NET_PROGRESS) {
        c->partial_bytes = 0;
        c->partial_since = lares_net_clock();
    }
}

static void
hand_out(LaresWorker *worker, LaresConnection *c, LaresRecord *record)
{
    c->in_flight++;
    c->large = record->len > LARES_NET_CHUNK;
    c->partial_bytes = 0;
    c->partial_since = c->record_since = 0;
    record->buffer = c->in;
    if (lares_frames_size(&c->frames) == 0) {
        c->in = NULL;
        c->frames = (LaresFrames){0};
    } else {
        g_atomic_int_inc(&c->in->ref);
    }
}

gboolean
lares_input_take(LaresWorker *worker, LaresConnection *c, LaresRecord *record)
{
    const LaresService *service = c->service;
    for (;;) {
        if (c->closing || c->reading || lares_connection_paused(c))
            return FALSE;
        LaresFrameResult result =
            lares_frames_next(&c->frames, service->framing, service->max_record, &record->data, &record->len, &c->need);
        if (result == LARES_FRAME_RECORD) {
            hand_out(worker, c, record);
            return TRUE;
        }
        if (result == LARES_FRAME_BAD) {
            lares_log_limited(LARES_LOG_INFO, "net", "%s: %s sent no valid record, or one over %zu bytes: closed",
                              service->name, c->peer.address, service->max_record);
            lares_connection_shut(c);
            return FALSE;
        }
        if (!c->readable || c->eof)
            return FALSE;

        gboolean full;
        c->reading = TRUE;
        c->readable = FALSE; /* an event from now on counts */
        g_mutex_unlock(&c->lock);
        ssize_t n = receive(worker, c, &full);
        int err = errno;
        g_mutex_lock(&c->lock);
        c->reading = FALSE;
        if (n > 0) {
            note_progress(c, (size_t)n);
            c->readable |= full;
        } else if (n == 0) {
            c->eof = TRUE;
        } else if (err != EAGAIN && err != EWOULDBLOCK) {
            lares_connection_shut(c);
        }
    }
}

void
lares_input_drop(LaresConnection *c)
{
    if (c->in)
        lares_buffer_unref(c->net, NULL, c->in);
    c->in = NULL;
    c->frames = (LaresFrames){0};
}
