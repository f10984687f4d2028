/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One TCP connection with many requests in flight: framing, message ids, credits, matching.
 * Spec: [MS-SMB2] 2.1, 3.2.4.1, 3.2.5.1.
 * Replies that need no decoding are dropped in the kernel (MSG_TRUNC) after their beginning, so that the client
 * does not become the bottleneck. */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "smbload.h"

#define IN_SIZE (128 * 1024)
#define PEEK    512 /* header, transform and the fixed part of any answer */

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

static int
connect_to(const Options *o)
{
    struct addrinfo hint = {.ai_socktype = SOCK_STREAM}, *list;
    int fd = -1, one = 1;
    if (getaddrinfo(o->host, o->port, &hint, &list) != 0)
        return -1;
    for (struct addrinfo *a = list; a != NULL && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
        if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) != 0) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(list);
    if (fd >= 0)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

bool
conn_open(Conn *c)
{
    size_t n = (size_t)c->opt->inflight;
    c->fd = connect_to(c->opt);
    if (c->fd < 0) {
        conn_fail(c, "connect %s port %s: %s", c->opt->host, c->opt->port, strerror(errno));
        return false;
    }
    c->in = malloc(IN_SIZE);
    c->sendq = calloc(n, sizeof *c->sendq);
    c->starved = calloc(n, sizeof *c->starved);
    c->slots = calloc(n, sizeof *c->slots);
    for (size_t i = 0; i < n; i++)
        c->slots[i].index = (int)i;
    c->credits = 1;
    uint32_t charge = c->opt->size > 65536 ? (c->opt->size - 1) / 65536 + 1 : PARTS_MAX;
    c->wanted_credits = (uint32_t)n * charge + 64;
    return true;
}

void
conn_close(Conn *c)
{
    OM_uint32 minor;
    if (c->target != GSS_C_NO_NAME)
        gss_release_name(&minor, &c->target);
    if (c->fd > 0)
        close(c->fd);
    for (int i = 0; c->slots != NULL && i < c->opt->inflight; i++)
        buf_free(&c->slots[i].buf);
    free(c->slots);
    free(c->sendq);
    free(c->starved);
    free(c->in);
    buf_free(&c->rec);
    buf_free(&c->plain);
    buf_free(&c->scratch);
    keys_free(c);
}

/* ---- Requests ---------------------------------------------------------------------------------------------------- */

static bool
is_sealed(const Conn *c)
{
    return c->protect && c->opt->sec == SEC_GCM;
}

static void
put_header(Conn *c, Slot *s, uint16_t command, uint32_t charge, uint32_t flags)
{
    uint8_t *h = put_zeros(&s->buf, HEADER);
    memcpy(h, "\xfeSMB", 4);
    set16(h + 4, HEADER);
    set16(h + H_CHARGE, (uint16_t)charge);
    set16(h + H_COMMAND, command);
    set16(h + H_CREDITS, (uint16_t)(charge + (c->credits < (int64_t)c->wanted_credits ? 128 : 0)));
    set32(h + H_FLAGS, flags);
    set64(h + H_MID, c->next_mid);
    set32(h + H_TREE, s->tree ? s->tree : c->tree);
    set64(h + H_SESSION, s->session ? s->session : c->session);
    c->next_mid += charge;
    c->credits -= (int64_t)charge;
}

/* A message of one request; payload is the larger of what is sent and what may come back. */
Buf *
msg_begin(Conn *c, Slot *s, uint16_t command, uint32_t payload)
{
    uint32_t charge = payload > 65536 ? (payload - 1) / 65536 + 1 : 1;
    s->buf.len = 0;
    s->sign = false;
    s->tail.iov_len = 0;
    s->mid = c->next_mid;
    put_zeros(&s->buf, 4 + (is_sealed(c) ? TRANSFORM : 0));
    s->parts[0] = s->buf.len;
    s->nparts = 1;
    put_header(c, s, command, charge, 0);
    return &s->buf;
}

/* One more request, about what the one before it opened. */
Buf *
msg_related(Conn *c, Slot *s, uint16_t command)
{
    Buf *b = &s->buf;
    size_t before = s->parts[s->nparts - 1];
    put_zeros(b, (8 - (b->len - before) % 8) % 8);
    set32(b->p + before + H_NEXT, (uint32_t)(b->len - before));
    s->parts[s->nparts++] = b->len;
    put_header(c, s, command, 1, FLAG_RELATED);
    return b;
}

void
msg_queue(Conn *c, Slot *s)
{
    if (is_sealed(c)) {
        if (!msg_seal(c, s))
            conn_fail(c, "encryption failed");
    } else if ((s->sign || (c->protect && c->opt->sec != SEC_PLAIN)) && c->have_keys && !msg_sign(c, s)) {
        conn_fail(c, "signing failed");
    }
    uint32_t n = (uint32_t)(s->buf.len - 4 + s->tail.iov_len);
    s->buf.p[1] = (uint8_t)(n >> 16);
    s->buf.p[2] = (uint8_t)(n >> 8);
    s->buf.p[3] = (uint8_t)n;
    s->iov[0] = (struct iovec){s->buf.p, s->buf.len};
    s->iov[1] = s->tail;
    s->niov = s->tail.iov_len > 0 ? 2 : 1;
    s->busy = true;
    s->sent = 0;
    c->slot_of[s->mid % MID_MAP] = (uint16_t)(s->index + 1);
    c->sendq[(c->sq_head + c->sq_len++) % c->opt->inflight] = s->index;
}

static int
gather(Conn *c, struct iovec *v, int max)
{
    int n = 0;
    for (int q = 0; q < c->sq_len && n + 2 <= max; q++) {
        Slot *s = &c->slots[c->sendq[(c->sq_head + q) % c->opt->inflight]];
        size_t skip = s->sent;
        for (int i = 0; i < s->niov; i++) {
            struct iovec p = s->iov[i];
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
        size_t all = s->buf.len + s->tail.iov_len;
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

/* ---- Replies ----------------------------------------------------------------------------------------------------- */

static Slot *
slot_of(Conn *c, uint64_t mid)
{
    uint16_t i = c->slot_of[mid % MID_MAP];
    if (i == 0)
        return NULL;
    Slot *s = &c->slots[i - 1];
    return s->busy && s->mid == mid ? s : NULL;
}

static bool
is_transform(const uint8_t *p, size_t n)
{
    return n >= TRANSFORM + HEADER && memcmp(p, "\xfdSMB", 4) == 0;
}

/* Adds the credits of every answer of a chain. */
static void
take_credits(Conn *c, const Reply *r)
{
    for (size_t at = 0; at + HEADER <= r->have;) {
        uint32_t next = get32(r->p + at + H_NEXT);
        c->credits += get16(r->p + at + H_CREDITS);
        if (next < HEADER)
            break;
        at += next;
    }
}

static bool
chain_is_signed(Conn *c, uint8_t *p, size_t n)
{
    while (n >= HEADER) {
        uint32_t next = get32(p + H_NEXT);
        if (next > n || !reply_signed_right(c, p, next ? next : n))
            return false;
        if (next == 0)
            return true;
        p += next;
        n -= next;
    }
    return false;
}

static void
record_done(Conn *c, uint8_t *p, size_t have, size_t total)
{
    Reply r = {p, have, total, 0};
    bool sealed = is_transform(p, have), whole = have == total;
    c->last_reply_ns = now_ns();
    if (sealed) {
        if (!reply_open(c, p, have, whole, &c->plain)) {
            conn_fail(c, "an answer that does not decrypt");
            return;
        }
        r = (Reply){c->plain.p, c->plain.len, total - TRANSFORM, 0};
    }
    if (r.have < HEADER || memcmp(r.p, "\xfeSMB", 4) != 0) {
        conn_fail(c, "an answer that is no SMB2");
        return;
    }
    r.status = get32(r.p + H_STATUS);
    Slot *s = slot_of(c, get64(r.p + H_MID));
    if (s == NULL) {
        c->stats.strays++;
        return;
    }
    take_credits(c, &r);
    if (r.status == STATUS_PENDING && get32(r.p + H_FLAGS) & FLAG_ASYNC)
        return;
    if (s->verify && whole && c->protect && !sealed && c->opt->sec != SEC_PLAIN && !chain_is_signed(c, p, have)) {
        conn_fail(c, "an answer with a wrong signature or none");
        return;
    }
    s->busy = false;
    c->on_reply(c, s, &r);
}

/* May the rest of this record be dropped? */
static bool
wants_skip(Conn *c, const uint8_t *p, size_t have)
{
    const uint8_t *h = p;
    if (is_transform(p, have)) {
        if (!reply_open(c, p, have, false, &c->plain))
            return false;
        h = c->plain.p;
    }
    Slot *s = slot_of(c, get64(h + H_MID));
    return s != NULL && !s->verify;
}

static void
end_record(Conn *c)
{
    c->rec_open = false;
    record_done(c, c->rec.p, c->rec.len, c->rec_total);
}

static void
begin_record(Conn *c, uint32_t n)
{
    c->rec.len = 0;
    c->rec_total = c->rec_left = n;
    c->rec_skip = false;
    c->rec_open = true;
}

static void
take_piece(Conn *c, const uint8_t *p, size_t left)
{
    size_t take = left < c->rec_left ? left : c->rec_left;
    if (c->rec.len < PEEK && take > PEEK - c->rec.len)
        take = PEEK - c->rec.len; /* decide early, copy little */
    if (!c->rec_skip)
        put_bytes(&c->rec, p, take);
    c->in_pos += take;
    c->rec_left -= (uint32_t)take;
    if (!c->rec_skip && c->rec.len >= PEEK)
        c->rec_skip = wants_skip(c, c->rec.p, c->rec.len);
    if (c->rec_left == 0)
        end_record(c);
}

static void
parse_input(Conn *c)
{
    while (!c->dead) {
        size_t left = c->in_len - c->in_pos;
        uint8_t *p = c->in + c->in_pos;
        if (c->rec_open) {
            if (left == 0)
                break;
            take_piece(c, p, left);
            continue;
        }
        if (left < 4)
            break;
        uint32_t n = (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
        c->in_pos += 4;
        if (p[0] != 0 || n < HEADER) {
            conn_fail(c, "an answer of %u bytes of type %u", n, p[0]);
        } else if (n <= left - 4) {
            c->in_pos += n; /* a whole record: used where it lies */
            record_done(c, p + 4, n, n);
        } else {
            begin_record(c, n);
        }
    }
    memmove(c->in, c->in + c->in_pos, c->in_len - c->in_pos);
    c->in_len -= c->in_pos;
    c->in_pos = 0;
}

/* A large body goes straight to its place, or nowhere. */
static ssize_t
receive_body(Conn *c)
{
    ssize_t n;
    if (c->rec_skip) {
        /* The kernel writes nothing here; libc's wrapper would make sanitizers think so. */
        n = syscall(SYS_recvfrom, c->fd, NULL, (size_t)c->rec_left, MSG_DONTWAIT | MSG_TRUNC, NULL, NULL);
    } else {
        size_t at = c->rec.len;
        uint8_t *to = buf_grow(&c->rec, c->rec_left);
        n = recv(c->fd, to, c->rec_left, MSG_DONTWAIT);
        c->rec.len = at + (n > 0 ? (size_t)n : 0);
    }
    if (n > 0) {
        c->rec_left -= (uint32_t)n;
        if (c->rec_left == 0)
            end_record(c);
    }
    return n;
}

static bool
receive_some(Conn *c)
{
    ssize_t n;
    if (c->in_len == 0 && c->rec_open && c->rec_left > IN_SIZE / 2 && c->rec.len >= PEEK) {
        n = receive_body(c);
    } else {
        n = recv(c->fd, c->in + c->in_len, IN_SIZE - c->in_len, MSG_DONTWAIT);
        if (n > 0) {
            c->in_len += (size_t)n;
            parse_input(c);
        }
    }
    if (n == 0)
        conn_fail(c, "the server closed the connection");
    else if (n < 0 && errno != EAGAIN && errno != EINTR)
        conn_fail(c, "receive: %s", strerror(errno));
    return n > 0;
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
reply_of_call(Conn *c, Slot *s, const Reply *r)
{
    c->scratch.len = 0; /* kept: the input buffer is reused before the caller looks */
    put_bytes(&c->scratch, r->p, r->have);
}

bool
conn_call(Conn *c, Slot *s, Reply *r)
{
    ReplyFn saved = c->on_reply;
    c->on_reply = reply_of_call;
    s->verify = true;
    msg_queue(c, s);
    uint64_t until = now_ns() + 120000000000u;
    while (s->busy && !c->dead) {
        conn_pump(c, 1000);
        if (s->busy && now_ns() > until)
            conn_fail(c, "no reply in 120 s");
    }
    c->on_reply = saved;
    *r = (Reply){c->scratch.p, c->scratch.len, c->scratch.len, 0};
    if (!c->dead)
        r->status = get32(r->p + H_STATUS);
    return !c->dead;
}
