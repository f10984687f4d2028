/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Replies on their way out. One thread at a time sends on a connection; what others have ready meanwhile is queued and
 * goes out in the same call. What the socket does not take stays queued until it does.
 *
 * What is in a file goes from the page cache to the socket by sendfile(2): nothing is copied, and no peer makes the
 * server keep it. Where the file system cannot do that, it is read when it is sent, a megabyte at a time.
 *
 * Thread: any. Locks: the connection's, not while sending or releasing. */
#include "net/net-private.h"

#include "base/arena-private.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define MAX_IOV 64

static const uint8_t zeros[16 * 1024];

static void
out_free(LaresNet *net, LaresOut *out)
{
    for (guint i = 0; i < out->n_owned; i++)
        if (out->owned[i].release)
            out->owned[i].release(out->owned[i].owner);
    if (out->place == LARES_OUT_HEAP)
        g_free(out);
    else if (out->place == LARES_OUT_ARENA)
        lares_net_give_arena(net, out->arena);
}

void
lares_output_drop(LaresNet *net, LaresOut *list)
{
    for (LaresOut *next; list; list = next) {
        next = list->next;
        out_free(net, list);
    }
}

static void
add_part(LaresOut *out, LaresPart part)
{
    if (part.len)
        out->part[out->n_parts++] = part;
}

static void
put_header(uint8_t *at, LaresFraming framing, size_t len)
{
    uint32_t h = (uint32_t)len | (framing == LARES_FRAMING_RPC ? UINT32_C(0x80000000) : 0);
    h = GUINT32_TO_BE(h);
    memcpy(at, &h, sizeof h);
}

static size_t
framing_limit(LaresFraming framing)
{
    return framing == LARES_FRAMING_RPC ? 0x7fffffff : 0xffffff;
}

/* Cuts the reply into parts; the ranges' owners move into `out`. */
static void
out_from_reply(LaresOut *out, LaresReply *reply)
{
    size_t at = 0;
    for (guint i = 0; i < reply->n_ranges; i++) {
        LaresFileRange *r = &reply->range[i];
        size_t upto = CLAMP(r->at, at, reply->out.len);
        add_part(out, (LaresPart){.mem = reply->out.base + at, .fd = -1, .len = upto - at});
        add_part(out, (LaresPart){.fd = r->fd, .offset = r->offset, .len = r->length});
        add_part(out, (LaresPart){.mem = zeros, .fd = -1, .len = MIN(r->padding, 3)});
        out->owned[out->n_owned].release = r->release;
        out->owned[out->n_owned++].owner = r->owner;
        at = upto;
    }
    add_part(out, (LaresPart){.mem = reply->out.base + at, .fd = -1, .len = reply->out.len - at});
    reply->n_ranges = 0;
}

void
lares_reply_rewind(LaresReply *reply, size_t len, guint from)
{
    for (guint i = from; i < reply->n_ranges; i++)
        if (reply->range[i].release)
            reply->range[i].release(reply->range[i].owner);
    reply->n_ranges = MIN(reply->n_ranges, from);
    lares_writer_rewind(&reply->out, len);
}

/* Short ranges are read at once, by as many workers as have requests, and with others they leave in one call. */
void
lares_output_settle(LaresWorker *worker, LaresReply *reply)
{
    size_t total = 0;
    for (guint i = 0; i < reply->n_ranges; i++)
        total += reply->range[i].length;
    if (reply->n_ranges == 0 || total > LARES_NET_COPY_RANGE)
        return;
    uint8_t *to = lares_arena_alloc(worker->arena, reply->out.len + total + 4 * LARES_REPLY_MAX_RANGES), *start = to;
    size_t at = 0;
    for (guint i = 0; i < reply->n_ranges; i++) {
        LaresFileRange *r = &reply->range[i];
        size_t upto = CLAMP(r->at, at, reply->out.len), done = 0;
        memcpy(to, reply->out.base + at, upto - at);
        to += upto - at;
        at = upto;
        while (done < r->length) {
            ssize_t n = pread(r->fd, to + done, r->length - done, (off_t)(r->offset + done));
            if (n < 0 && errno == EINTR)
                continue;
            if (n <= 0)
                break;
            done += (size_t)n;
        }
        memset(to + done, 0, r->length - done + MIN(r->padding, 3));
        to += r->length + MIN(r->padding, 3);
        if (r->release)
            r->release(r->owner);
    }
    memcpy(to, reply->out.base + at, reply->out.len - at);
    to += reply->out.len - at;
    reply->n_ranges = 0;
    reply->out.base = start;
    reply->out.len = reply->out.cap = (size_t)(to - start);
}

/* ---- Sending -------------------------------------------------------------------------------------------------- */

typedef enum { SENT, SENT_PART, SENT_BROKEN } SendResult;

/* Takes `n` sent bytes off the list's head. */
static void
advance(LaresNet *net, LaresOut **list, size_t n)
{
    while (*list) {
        LaresOut *out = *list;
        while (out->at < out->n_parts) {
            LaresPart *p = &out->part[out->at];
            size_t here = MIN(n, p->len);
            if (p->mem && p->mem != zeros)
                p->mem += here;
            p->offset += here;
            p->len -= here;
            n -= here;
            if (p->len)
                return;
            out->at++;
        }
        *list = out->next;
        out_free(net, out);
    }
}

/* What can be sent at once, up to the first part that is in a file: *file, or NULL. */
static guint
gather(LaresOut *list, struct iovec *iov, LaresPart **file)
{
    guint n = 0;
    *file = NULL;
    for (; list; list = list->next) {
        for (guint i = list->at; i < list->n_parts; i++) {
            LaresPart *p = &list->part[i];
            if (!p->mem && p->fd >= 0) {
                *file = p;
                return n;
            }
            if (n == MAX_IOV)
                return n;
            gboolean zero = !p->mem || p->mem == zeros;
            iov[n].iov_base = (void *)(zero ? zeros : p->mem);
            iov[n++].iov_len = zero ? MIN(p->len, sizeof zeros) : p->len;
            if (zero && p->len > sizeof zeros)
                return n;
        }
    }
    return n;
}

/* The file cannot give what the header announced: zeros take the place of the missing bytes. */
static void
fill_with_zeros(LaresPart *p)
{
    p->fd = -1;
    p->mem = zeros;
}

/* Reads the next piece of a file into *buffer, which is taken from the pool where there is none yet, and sends it.
 * Returns what send() returned, 0 at the file's end. */
static ssize_t
send_copied(LaresConnection *c, const LaresPart *p, LaresBuffer **buffer)
{
    ssize_t n;
    if (!*buffer && !(*buffer = lares_buffer_big(c->net, LARES_NET_COPY_PIECE))) {
        errno = ENOMEM;
        return -1;
    }
    do
        n = pread(p->fd, lares_buffer_data(*buffer), MIN(p->len, LARES_NET_COPY_PIECE), (off_t)p->offset);
    while (n < 0 && errno == EINTR);
    if (n < 0) {
        lares_log_limited(LARES_LOG_ERROR, "net",
                          "%s: cannot read a file that is being sent to %s: %s: connection closed", c->service->name,
                          c->peer.address, g_strerror(errno));
        errno = EIO;
    }
    return n <= 0 ? n : send(c->fd, lares_buffer_data(*buffer), (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* As send(); 0 at the file's end. */
static ssize_t
send_file(LaresConnection *c, const LaresPart *p, LaresBuffer **buffer)
{
    off_t offset = (off_t)p->offset;
    ssize_t n = *buffer ? -1 : sendfile(c->fd, p->fd, &offset, p->len);
    if (!*buffer && (n >= 0 || errno == EINTR || errno == EAGAIN || errno == EPIPE || errno == ECONNRESET))
        return n;
    return send_copied(c, p, buffer); /* it cannot be spliced, or cannot be read: this tells which */
}

/* Sends until the list is empty or the socket full. *sent counts bytes. */
static SendResult
send_list(LaresConnection *c, LaresOut **list, size_t *sent)
{
    LaresBuffer *buffer = NULL;
    SendResult result = SENT;
    while (*list && result == SENT) {
        struct iovec iov[MAX_IOV];
        LaresPart *file;
        struct msghdr msg = {.msg_iov = iov, .msg_iovlen = gather(*list, iov, &file)};
        ssize_t n = 0;
        if (msg.msg_iovlen)
            n = sendmsg(c->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT | (file ? MSG_MORE : 0));
        else if (file && (n = send_file(c, file, &buffer)) == 0)
            fill_with_zeros(file);
        if (n >= 0) {
            *sent += (size_t)n;
            advance(c->net, list, (size_t)n);
        } else if (errno != EINTR) {
            result = errno == EAGAIN || errno == EWOULDBLOCK ? SENT_PART : SENT_BROKEN;
        }
    }
    if (buffer)
        lares_buffer_unref(c->net, NULL, buffer);
    return result;
}

/* lock held; puts `list` before what was queued meanwhile. */
static void
queue_first(LaresConnection *c, LaresOut *list)
{
    LaresOut *last = list;
    while (last->next)
        last = last->next;
    last->next = c->out_head;
    c->out_head = list;
    if (!c->out_tail)
        c->out_tail = last;
}

static void
queue_last(LaresConnection *c, LaresOut *out)
{
    out->next = NULL;
    if (c->out_tail)
        c->out_tail->next = out;
    else
        c->out_head = out;
    c->out_tail = out;
}

static void
note_sent(LaresConnection *c, SendResult result, size_t sent)
{
    __atomic_store_n(&c->sent, c->sent + sent, __ATOMIC_RELAXED);
    if (sent)
        lares_net_count_bytes(c->listener, TRUE, sent);
    c->blocked_bytes += sent;
    if (result == SENT_PART && (!c->blocked || c->blocked_bytes >= LARES_NET_PROGRESS)) {
        c->blocked_bytes = 0;
        c->blocked_since = lares_net_clock();
    }
    if (result == SENT_PART)
        c->blocked = TRUE;
    else if (result == SENT_BROKEN)
        lares_connection_shut(c);
}

/* lock held; the list is looked through only when the socket has become full. */
static void
count_memory(LaresConnection *c, SendResult result)
{
    if (result == SENT_PART)
        c->out_memory = lares_out_memory(c->out_head);
    else if (!c->out_head)
        c->out_memory = 0;
}

void
lares_output_flush(LaresConnection *c)
{
    while (c->out_head && !c->sending && !c->blocked && !c->closing) {
        LaresOut *list = c->out_head;
        c->out_head = c->out_tail = NULL;
        c->sending = TRUE;
        g_mutex_unlock(&c->lock);
        size_t sent = 0;
        SendResult result = send_list(c, &list, &sent);
        g_mutex_lock(&c->lock);
        c->sending = FALSE;
        c->out_bytes -= sent;
        note_sent(c, result, sent);
        if (list)
            queue_first(c, list);
        count_memory(c, result);
    }
}

static LaresOut *
out_copy(const uint8_t *bytes, size_t len, size_t cap)
{
    LaresOut *out = g_malloc(sizeof(LaresOut) + cap);
    memset(out, 0, sizeof *out);
    out->place = LARES_OUT_HEAP;
    out->cap = cap;
    memcpy(out->bytes, bytes, len);
    add_part(out, (LaresPart){.mem = out->bytes, .fd = -1, .len = len});
    return out;
}

/* lock held: copies one framed record behind the queue, into the last block where it fits. */
static void
queue_copy(LaresConnection *c, const uint8_t *bytes, size_t len)
{
    LaresOut *tail = c->out_tail;
    c->out_bytes += len;
    if (tail && tail->place == LARES_OUT_HEAP && tail->n_parts == 1 && tail->at == 0) {
        LaresPart *p = &tail->part[0];
        size_t used = (size_t)(p->mem - tail->bytes) + p->len;
        if (tail->cap - used >= len) {
            memcpy(tail->bytes + used, bytes, len);
            p->len += len;
            return;
        }
    }
    queue_last(c, out_copy(bytes, len, MAX(len, (size_t)LARES_NET_COPY_REPLY)));
    c->out_memory += sizeof(LaresOut) + MAX(len, (size_t)LARES_NET_COPY_REPLY);
}

/* The rest of a reply waits: its arena goes with it, the worker takes another. */
static LaresOut *
out_keep(LaresWorker *worker, LaresOut *out)
{
    LaresOut *kept = lares_arena_memdup(worker->arena, out, sizeof *out);
    kept->place = LARES_OUT_ARENA;
    kept->arena = worker->arena;
    worker->arena = lares_net_take_arena(worker->net);
    return kept;
}

static size_t
out_size(const LaresOut *out)
{
    size_t n = 0;
    for (guint i = out->at; i < out->n_parts; i++)
        n += out->part[i].len;
    return n;
}

static void
send_now(LaresWorker *worker, LaresConnection *c, LaresOut *out, size_t len)
{
    LaresOut *list = out;
    size_t sent = 0;
    c->sending = TRUE;
    c->in_send = len;
    g_mutex_unlock(&c->lock);
    SendResult result = send_list(c, &list, &sent);
    if (result == SENT_BROKEN)
        lares_output_drop(c->net, g_steal_pointer(&list));
    if (list)
        list = out_keep(worker, list);
    g_mutex_lock(&c->lock);
    c->sending = FALSE;
    c->in_send = 0;
    if (list)
        c->out_bytes += out_size(list);
    note_sent(c, result, sent);
    if (list)
        queue_first(c, list);
    count_memory(c, result);
}

void
lares_output_reply(LaresWorker *worker, LaresConnection *c, LaresReply *reply, gboolean hold)
{
    size_t len = lares_reply_length(reply);
    if (len == 0)
        return;
    if (c->closing || reply->out.failed || len > framing_limit(c->service->framing)) {
        if (!c->closing) {
            lares_log_limited(LARES_LOG_ERROR, "net", "%s: a reply of %zu bytes does not fit: connection closed",
                              c->service->name, len);
            lares_connection_shut(c);
        }
        g_mutex_unlock(&c->lock);
        lares_reply_rewind(reply, LARES_REPLY_HEAD, 0);
        g_mutex_lock(&c->lock);
        return;
    }
    put_header(reply->out.base, c->service->framing, len);
    if (reply->n_ranges == 0 && reply->out.len <= LARES_NET_COPY_REPLY && (hold || c->sending || c->out_head)) {
        if (hold && !c->out_head)
            c->held_since = worker->now;
        queue_copy(c, reply->out.base, reply->out.len);
        if (!hold)
            lares_output_flush(c);
        return;
    }
    LaresOut out = {.place = LARES_OUT_STACK};
    out_from_reply(&out, reply);
    if (c->sending || c->out_head) {
        c->out_bytes += len + LARES_REPLY_HEAD;
        queue_last(c, out_keep(worker, &out));
        c->out_memory += lares_arena_size(c->out_tail->arena);
    } else {
        send_now(worker, c, &out, len + LARES_REPLY_HEAD);
    }
    lares_output_flush(c);
}

/* ---- Unasked records ------------------------------------------------------------------------------------------ */

gboolean
lares_connection_send(LaresConnection *c, const void *record, size_t len)
{
    g_return_val_if_fail(len > 0 && len <= framing_limit(c->service->framing), FALSE);
    uint8_t head[4];
    put_header(head, c->service->framing, len);
    size_t sent = 0, whole = len + sizeof head;
    SendResult result = SENT;
    g_mutex_lock(&c->lock);
    if (c->closing) {
        g_mutex_unlock(&c->lock);
        return FALSE;
    }
    /* In the caller only these bytes are sent: files of other replies are released by workers. */
    if (!c->sending && !c->out_head && !c->blocked) {
        struct iovec iov[2] = {{head, sizeof head}, {(void *)record, len}};
        struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
        c->sending = TRUE;
        c->in_send = whole;
        g_mutex_unlock(&c->lock);
        ssize_t n;
        do
            n = sendmsg(c->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
        while (n < 0 && errno == EINTR);
        if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
            result = SENT_BROKEN;
        sent = n > 0 ? (size_t)n : 0;
        g_mutex_lock(&c->lock);
        c->sending = FALSE;
        c->in_send = 0;
    }
    if (sent < whole && result != SENT_BROKEN) {
        LaresOut *out = g_malloc(sizeof(LaresOut) + whole);
        memset(out, 0, sizeof *out);
        out->place = LARES_OUT_HEAP;
        out->cap = whole;
        memcpy(out->bytes, head, sizeof head);
        memcpy(out->bytes + sizeof head, record, len);
        add_part(out, (LaresPart){.mem = out->bytes + sent, .fd = -1, .len = whole - sent});
        c->out_bytes += whole - sent;
        if (sent)
            queue_first(c, out); /* the rest of a record that has begun */
        else
            queue_last(c, out);
        c->out_memory += sizeof(LaresOut) + whole;
    }
    note_sent(c, result, sent);
    gboolean push = c->alive && (c->closing || c->out_head || c->eof);
    g_mutex_unlock(&c->lock);
    if (push)
        lares_net_push(c, TRUE);
    return result != SENT_BROKEN;
}

/* ---- What has arrived ----------------------------------------------------------------------------------------- */

uint64_t
lares_connection_mark(LaresConnection *c)
{
    g_mutex_lock(&c->lock);
    uint64_t mark = c->sent + c->out_bytes + c->in_send;
    g_mutex_unlock(&c->lock);
    return mark;
}

/* While somebody sends, `sent` lags behind what the kernel has: then less counts as acknowledged than is. */
gboolean
lares_connection_acknowledged(LaresConnection *c, uint64_t mark)
{
    int unacknowledged = 0;
    g_mutex_lock(&c->lock);
    gboolean ok = c->alive && !c->closing;
    if (ok && !c->listener->local && ioctl(c->fd, SIOCOUTQ, &unacknowledged) == 0)
        ok = c->sent >= mark + (uint64_t)MAX(unacknowledged, 0);
    g_mutex_unlock(&c->lock);
    return ok;
}

guint
lares_connection_rto(LaresConnection *c)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof info;
    g_mutex_lock(&c->lock);
    gboolean known = c->alive && getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 && info.tcpi_rto;
    g_mutex_unlock(&c->lock);
    return known ? (guint)(info.tcpi_rto / 1000) : 1000;
}
