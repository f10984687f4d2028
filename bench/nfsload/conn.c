/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One TCP connection with many requests in flight: record marking, queue, matching by xid.
 * Spec: RFC 5531 section 11 (record marking).
 * Replies that need no decoding are dropped in the kernel (MSG_TRUNC) after their header, so
 * that the client does not become the bottleneck. */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "nfsload.h"

#define IN_SIZE    (128 * 1024)
#define PEEK       512 /* enough for any accepted-reply header */
#define RECORD_MAX (64u << 20)

uint64_t
now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void
conn_fail(Conn *c, const char *fmt, ...)
{
    va_list ap;
    if (c->dead)
        return;
    c->dead = true;
    va_start(ap, fmt);
    vsnprintf(c->why, sizeof c->why, fmt, ap);
    va_end(ap);
}

void
record_clear(Record *r)
{
    OM_uint32 minor;
    r->head.len = 0;
    r->niov = 0;
    if (r->sealed.value != NULL)
        gss_release_buffer(&minor, &r->sealed);
    r->sealed = (gss_buffer_desc)GSS_C_EMPTY_BUFFER;
}

bool
conn_open(Conn *c)
{
    struct addrinfo hint = {.ai_socktype = SOCK_STREAM}, *list, *a;
    int one = 1, err = getaddrinfo(c->opt->host, c->opt->port, &hint, &list);
    if (err != 0) {
        conn_fail(c, "%s: %s", c->opt->host, gai_strerror(err));
        return false;
    }
    c->fd = -1;
    for (a = list; a != NULL && c->fd < 0; a = a->ai_next) {
        c->fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
        if (c->fd >= 0 && connect(c->fd, a->ai_addr, a->ai_addrlen) != 0) {
            close(c->fd);
            c->fd = -1;
        }
    }
    freeaddrinfo(list);
    if (c->fd < 0) {
        conn_fail(c, "connect %s port %s: %s", c->opt->host, c->opt->port, strerror(errno));
        return false;
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    c->in = malloc(IN_SIZE);
    c->sendq = calloc((size_t)c->opt->inflight, sizeof *c->sendq);
    c->slots = calloc((size_t)c->opt->inflight, sizeof *c->slots);
    for (int i = 0; i < c->opt->inflight; i++)
        c->slots[i].index = (uint32_t)i;
    return true;
}

void
conn_close(Conn *c)
{
    if (c->fd > 0)
        close(c->fd);
    for (int i = 0; c->slots != NULL && i < c->opt->inflight; i++) {
        record_clear(&c->slots[i].rec);
        buf_free(&c->slots[i].rec.head);
    }
    free(c->slots);
    free(c->sendq);
    free(c->in);
    buf_free(&c->rec);
    buf_free(&c->scratch);
}

void
conn_queue(Conn *c, Slot *s)
{
    s->busy = true;
    s->sent = 0;
    c->sendq[(c->sq_head + c->sq_len++) % c->opt->inflight] = (int)s->index;
}

/* Gathers the unsent bytes of the queue's front; returns the number of pieces. */
static int
gather(Conn *c, struct iovec *v, int max)
{
    int n = 0;
    for (int q = 0; q < c->sq_len && n + 3 <= max; q++) {
        Slot *s = &c->slots[c->sendq[(c->sq_head + q) % c->opt->inflight]];
        size_t skip = s->sent;
        for (int i = 0; i < s->rec.niov; i++) {
            struct iovec p = s->rec.iov[i];
            if (skip >= p.iov_len) {
                skip -= p.iov_len;
                continue;
            }
            v[n].iov_base = (uint8_t *)p.iov_base + skip;
            v[n++].iov_len = p.iov_len - skip;
            skip = 0;
        }
    }
    return n;
}

static void
account_sent(Conn *c, size_t n)
{
    while (n > 0) {
        Slot *s = &c->slots[c->sendq[c->sq_head]];
        size_t all = 0;
        for (int i = 0; i < s->rec.niov; i++)
            all += s->rec.iov[i].iov_len;
        size_t take = n < all - s->sent ? n : all - s->sent;
        s->sent += take;
        n -= take;
        if (s->sent == all) {
            c->sq_head = (c->sq_head + 1) % c->opt->inflight;
            c->sq_len--;
        }
    }
}

static void
send_some(Conn *c)
{
    struct iovec v[96];
    while (c->sq_len > 0 && !c->dead) {
        struct msghdr m = {.msg_iov = v, .msg_iovlen = (size_t)gather(c, v, 96)};
        ssize_t n = sendmsg(c->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n < 0)
            conn_fail(c, "send: %s", strerror(errno));
        else
            account_sent(c, (size_t)n);
    }
}

static Slot *
slot_of_xid(Conn *c, uint32_t xid)
{
    uint32_t i = xid & (INFLIGHT_MAX - 1);
    if (i >= (uint32_t)c->opt->inflight)
        return NULL;
    Slot *s = &c->slots[i];
    return s->busy && s->rec.xid == xid ? s : NULL;
}

static void
record_done(Conn *c, const uint8_t *p, size_t have, size_t total)
{
    Cur in = cur_of(p, have);
    Slot *s = slot_of_xid(c, get32(&in));
    c->last_reply_ns = now_ns();
    if (s == NULL) {
        c->stats.strays++;
        return;
    }
    s->busy = false;
    c->on_reply(c, s, &in, total);
}

/* May the rest of this record be dropped? Only when its whole header is here. */
static bool
wants_skip(Conn *c, const uint8_t *p, size_t have)
{
    Cur in = cur_of(p, have);
    Slot *s = slot_of_xid(c, get32(&in));
    return s != NULL && !s->verify;
}

static void
begin_fragment(Conn *c, uint32_t mark)
{
    c->frag_left = mark & 0x7fffffffu;
    c->rec_last = (mark >> 31) != 0;
    if (!c->rec_open) {
        c->rec.len = 0;
        c->rec_total = 0;
        c->rec_skip = false;
        c->rec_open = true;
    }
    c->rec_total += c->frag_left;
    if (c->rec_total > RECORD_MAX)
        conn_fail(c, "a reply of %zu bytes", c->rec_total);
}

static void
end_fragment(Conn *c)
{
    if (c->rec_last) {
        c->rec_open = false;
        record_done(c, c->rec.p, c->rec.len, c->rec_total);
    }
}

/* Works through what lies in the input buffer. */
static void
parse_input(Conn *c)
{
    while (!c->dead) {
        size_t left = c->in_len - c->in_pos;
        const uint8_t *p = c->in + c->in_pos;
        if (c->frag_left == 0) {
            if (left < 4)
                break;
            Cur in = cur_of(p, 4);
            uint32_t mark = get32(&in);
            uint32_t n = mark & 0x7fffffffu;
            c->in_pos += 4;
            if (!c->rec_open && (mark >> 31) && n <= left - 4) {
                c->in_pos += n; /* a whole record: used where it lies */
                record_done(c, p + 4, n, n);
                continue;
            }
            begin_fragment(c, mark);
            if (c->frag_left == 0)
                end_fragment(c);
            continue;
        }
        if (left == 0)
            break;
        size_t take = left < c->frag_left ? left : c->frag_left;
        if (c->rec.len < PEEK && take > PEEK - c->rec.len)
            take = PEEK - c->rec.len; /* decide early, copy little */
        if (!c->rec_skip)
            memcpy(buf_grow(&c->rec, take), p, take);
        c->in_pos += take;
        c->frag_left -= take;
        if (!c->rec_skip && c->rec_last && c->rec.len >= PEEK)
            c->rec_skip = wants_skip(c, c->rec.p, c->rec.len);
        if (c->frag_left == 0)
            end_fragment(c);
    }
    memmove(c->in, c->in + c->in_pos, c->in_len - c->in_pos);
    c->in_len -= c->in_pos;
    c->in_pos = 0;
}

/* Reads what is there; a large body goes straight to its place (or nowhere). Returns false
 * when nothing was there. */
static bool
receive_some(Conn *c)
{
    ssize_t n;
    if (c->in_len == 0 && c->frag_left > IN_SIZE / 2 && c->rec.len >= PEEK) {
        if (c->rec_skip) {
            /* The kernel writes nothing here; libc's wrapper would make sanitizers think so. */
            n = syscall(SYS_recvfrom, c->fd, NULL, c->frag_left, MSG_DONTWAIT | MSG_TRUNC, NULL, NULL);
        } else {
            size_t at = c->rec.len;
            uint8_t *to = buf_grow(&c->rec, c->frag_left);
            n = recv(c->fd, to, c->frag_left, MSG_DONTWAIT);
            c->rec.len = at + (n > 0 ? (size_t)n : 0);
        }
        if (n > 0) {
            c->frag_left -= (size_t)n;
            if (c->frag_left == 0)
                end_fragment(c);
            return true;
        }
    } else {
        n = recv(c->fd, c->in + c->in_len, IN_SIZE - c->in_len, MSG_DONTWAIT);
        if (n > 0) {
            c->in_len += (size_t)n;
            parse_input(c);
            return true;
        }
    }
    if (n == 0)
        conn_fail(c, "the server closed the connection");
    else if (errno != EAGAIN && errno != EINTR)
        conn_fail(c, "receive: %s", strerror(errno));
    return false;
}

/* One round of sending and receiving; false after a time without any event or on failure. */
bool
conn_pump(Conn *c, int timeout_ms)
{
    send_some(c);
    if (!c->dead && receive_some(c))
        return true;
    struct pollfd p = {c->fd, (short)(POLLIN | (c->sq_len > 0 ? POLLOUT : 0)), 0};
    return !c->dead && poll(&p, 1, timeout_ms) > 0;
}

static void
reply_of_call(Conn *c, Slot *s, Cur *body, size_t total)
{
    c->scratch.len = 0; /* kept: the input buffer is reused before the caller looks */
    memcpy(buf_grow(&c->scratch, body->left), body->p, body->left);
}

/* One call, answered before it returns. `body` is left after the xid and is valid until the
 * next call is built. */
bool
conn_call(Conn *c, Slot *s, Cur *body)
{
    ReplyFn saved = c->on_reply;
    c->on_reply = reply_of_call;
    s->verify = true;
    conn_queue(c, s);
    uint64_t until = now_ns() + 60000000000u;
    while (s->busy && !c->dead) {
        conn_pump(c, 1000);
        if (s->busy && now_ns() > until)
            conn_fail(c, "no reply in 60 s");
    }
    c->on_reply = saved;
    *body = cur_of(c->scratch.p, c->scratch.len);
    return !c->dead;
}
