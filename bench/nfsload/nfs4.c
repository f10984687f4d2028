/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* NFSv4.1 compounds: the few operations the load needs, sessions, and one-at-a-time calls.
 * Spec: RFC 8881. */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "nfsload.h"

enum {
    OP_CLOSE = 4,
    OP_COMMIT = 5,
    OP_CREATE = 6,
    OP_GETATTR = 9,
    OP_GETFH = 10,
    OP_LOOKUP = 15,
    OP_OPEN = 18,
    OP_PUTFH = 22,
    OP_PUTROOTFH = 24,
    OP_REMOVE = 28,
    OP_EXCHANGE_ID = 42,
    OP_CREATE_SESSION = 43,
    OP_DESTROY_SESSION = 44,
    OP_SEQUENCE = 53,
    OP_DESTROY_CLIENTID = 57,
    OP_RECLAIM_COMPLETE = 58,
};
enum { NFS4ERR_DELAY = 10008, NFS4ERR_GRACE = 10013 };

size_t
compound_begin(Buf *b)
{
    put32(b, 0); /* tag */
    put32(b, 1); /* minor version */
    put32(b, 0);
    return b->len - 4;
}

void
compound_end(Buf *b, size_t at, uint32_t nops)
{
    set32(b, at, nops);
}

void
op_sequence(Buf *b, Slot *s)
{
    put32(b, OP_SEQUENCE);
    put_fixed(b, s->session->id, 16);
    put32(b, ++s->seqid);
    put32(b, s->slotid);
    put32(b, s->session->slots - 1);
    put32(b, 0);
    s->sequenced = true;
}

void
op_putfh(Buf *b, const Fh *fh)
{
    put32(b, OP_PUTFH);
    put_var(b, fh->p, fh->len);
}

/* What a Linux client asks for when it revalidates. */
void
put_bitmap_attrs(Buf *b)
{
    put32(b, 2);
    put32(b, 0x0010011a);
    put32(b, 0x00b0a23a);
}

void
put_mode_attr(Buf *b, uint32_t mode)
{
    put32(b, 2);
    put32(b, 0);
    put32(b, 1u << (33 - 32));
    put32(b, 4);
    put32(b, mode);
}

void
op_getattr(Buf *b)
{
    put32(b, OP_GETATTR);
    put_bitmap_attrs(b);
}

void
op_open(Buf *b, const Conn *c, const char *name, bool create, uint32_t access)
{
    char owner[40];
    put32(b, OP_OPEN);
    put32(b, 0);
    put32(b, access | 0x0400); /* OPEN4_SHARE_ACCESS_WANT_NO_DELEG */
    put32(b, 0);
    put64(b, c->clientid);
    snprintf(owner, sizeof owner, "nfsload owner %d", c->index);
    put_str(b, owner);
    put32(b, create ? 1 : 0);
    if (create) {
        put32(b, 0); /* UNCHECKED4 */
        put_mode_attr(b, 0666);
    }
    put32(b, 0); /* CLAIM_NULL */
    put_str(b, name);
}

void
op_close(Buf *b, const Stateid *st)
{
    put32(b, OP_CLOSE);
    put32(b, 0);
    put_fixed(b, st->p, 16);
}

bool
res_compound(Cur *c, uint32_t *status, uint32_t *nops)
{
    uint32_t n;
    *status = get32(c);
    get_var(c, &n);
    *nops = get32(c);
    return !c->bad;
}

bool
res_op(Cur *c, uint32_t op, uint32_t *status)
{
    uint32_t got = get32(c);
    *status = get32(c);
    return !c->bad && got == op && *status == 0;
}

bool
res_sequence(Cur *c)
{
    uint32_t st;
    if (!res_op(c, OP_SEQUENCE, &st))
        return false;
    return get_fixed(c, 16 + 5 * 4) != NULL;
}

bool
res_fh(Cur *c, Fh *fh)
{
    uint32_t st, n;
    if (!res_op(c, OP_GETFH, &st))
        return false;
    const uint8_t *p = get_var(c, &n);
    if (p == NULL || n > NFS_FHSIZE)
        return false;
    fh->len = n;
    memcpy(fh->p, p, n);
    return true;
}

bool
res_open(Cur *c, Stateid *st)
{
    uint32_t status;
    if (!res_op(c, OP_OPEN, &status))
        return false;
    get_copy(c, st->p, 16);
    get_fixed(c, 20);
    get32(c);
    for (uint32_t n = get32(c); n > 0 && !c->bad; n--)
        get32(c);
    uint32_t deleg = get32(c);
    if (deleg == 3) { /* OPEN_DELEGATE_NONE_EXT */
        uint32_t why = get32(c);
        if (why == 1 || why == 2)
            get32(c);
    } else if (deleg != 0) {
        return false; /* none was wanted */
    }
    return !c->bad;
}

/* Runs one compound; `body` is left after the compound's header and SEQUENCE. Waits and asks
 * again while the server is in grace or wants a delay. The caller releases plain. */
typedef struct {
    Cur body;
    gss_buffer_desc plain;
    uint32_t status;
} Answer;

typedef void (*BuildFn)(Buf *b, Conn *c, const void *arg, uint32_t *nops);

static bool
call_once(Conn *c, bool sequence, BuildFn build, const void *arg, Answer *a)
{
    Slot *s = &c->slots[0];
    uint32_t nops = 0;
    call_begin(c, s, 1);
    Buf *b = call_args(c, s);
    size_t at = compound_begin(b);
    if (sequence) {
        op_sequence(b, s);
        nops++;
    }
    build(b, c, arg, &nops);
    compound_end(b, at, nops);
    if (!call_end(c, s) || !conn_call(c, s, &a->body))
        return false;
    if (!reply_open(c, s, &a->body, true, &a->plain)) {
        conn_fail(c, "unusable reply header");
        return false;
    }
    if (res_compound(&a->body, &a->status, &nops) && sequence && !res_sequence(&a->body) && !a->body.bad) {
        s->seqid -= 1;
        a->body.bad = true;
    }
    return !a->body.bad;
}

static void
answer_release(Answer *a)
{
    OM_uint32 minor;
    if (a->plain.value != NULL)
        gss_release_buffer(&minor, &a->plain);
    memset(a, 0, sizeof *a);
}

static bool
nfs_call(Conn *c, const char *what, bool sequence, BuildFn build, const void *arg, Answer *a)
{
    for (int try = 0; try < 1200 && !c->dead; try++) {
        struct timespec nap = {0, 100000000};
        memset(a, 0, sizeof *a);
        bool ok = call_once(c, sequence, build, arg, a);
        if (ok && a->status == 0)
            return true;
        if (a->status != NFS4ERR_DELAY && a->status != NFS4ERR_GRACE)
            break;
        answer_release(a);
        nanosleep(&nap, NULL);
    }
    conn_fail(c, "%s: status %u", what, a->status);
    answer_release(a);
    return false;
}

static void
build_exchange_id(Buf *b, Conn *c, const void *arg, uint32_t *nops)
{
    char owner[64];
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    snprintf(owner, sizeof owner, "nfsload %d.%d", (int)getpid(), c->index);
    put32(b, OP_EXCHANGE_ID);
    put64(b, (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec);
    put_str(b, owner);
    put32(b, 0);
    put32(b, 0); /* SP4_NONE */
    put32(b, 0);
    *nops += 1;
}

static void
build_create_session(Buf *b, Conn *c, const void *arg, uint32_t *nops)
{
    uint32_t want = *(const uint32_t *)arg, room = c->opt->size + 8192;
    if (room < 1 << 20)
        room = (1 << 20) + 8192;
    put32(b, OP_CREATE_SESSION);
    put64(b, c->clientid);
    put32(b, c->cs_seq);
    put32(b, 0);
    for (int back = 0; back < 2; back++) {
        put32(b, 0);
        put32(b, back ? 4096 : room);
        put32(b, back ? 4096 : room);
        put32(b, back ? 0 : 4096);
        put32(b, back ? 2 : 16);
        put32(b, back ? 1 : want);
        put32(b, 0);
    }
    put32(b, 0x40000000);
    put32(b, 1);
    put32(b, 0); /* callbacks, which never come, with AUTH_NONE */
    *nops += 1;
}

static void
build_reclaim_complete(Buf *b, Conn *c, const void *arg, uint32_t *nops)
{
    put32(b, OP_RECLAIM_COMPLETE);
    put32(b, 0);
    *nops += 1;
}

static bool
create_session(Conn *c, uint32_t want)
{
    Answer a;
    uint32_t st;
    if (!nfs_call(c, "CREATE_SESSION", false, build_create_session, &want, &a))
        return false;
    Session *s = &c->sessions[c->nsessions];
    if (res_op(&a.body, OP_CREATE_SESSION, &st)) {
        get_copy(&a.body, s->id, 16);
        get32(&a.body);
        get32(&a.body);
        get_fixed(&a.body, 4);
        uint32_t req = get32(&a.body), resp = get32(&a.body);
        get_fixed(&a.body, 8);
        s->slots = get32(&a.body);
        if (req < c->opt->size + 512 || resp < c->opt->size + 512)
            conn_fail(c, "the session allows %u/%u bytes only: use a smaller --size", req, resp);
    }
    if (a.body.bad || s->slots == 0)
        conn_fail(c, "CREATE_SESSION: bad results");
    answer_release(&a);
    c->cs_seq++;
    c->nsessions++;
    return !c->dead;
}

/* EXCHANGE_ID and as many sessions as give one slot to each request in flight. */
bool
session_setup(Conn *c)
{
    Answer a;
    uint32_t st, have = 0, inflight = (uint32_t)c->opt->inflight;
    if (!nfs_call(c, "EXCHANGE_ID", false, build_exchange_id, NULL, &a))
        return false;
    if (res_op(&a.body, OP_EXCHANGE_ID, &st)) {
        c->clientid = get64(&a.body);
        c->cs_seq = get32(&a.body);
    }
    answer_release(&a);
    while (have < inflight) {
        if (c->nsessions == SESSION_MAX) {
            conn_fail(c, "the server grants too few slots for %u requests in flight", inflight);
            return false;
        }
        if (!create_session(c, inflight - have))
            return false;
        Session *s = &c->sessions[c->nsessions - 1];
        for (uint32_t i = 0; i < s->slots && have < inflight; i++, have++) {
            c->slots[have].session = s;
            c->slots[have].slotid = i;
        }
    }
    if (!nfs_call(c, "RECLAIM_COMPLETE", true, build_reclaim_complete, NULL, &a))
        return false;
    answer_release(&a);
    return true;
}

static void
build_destroy_session(Buf *b, Conn *c, const void *arg, uint32_t *nops)
{
    put32(b, OP_DESTROY_SESSION);
    put_fixed(b, ((const Session *)arg)->id, 16);
    *nops += 1;
}

static void
build_destroy_clientid(Buf *b, Conn *c, const void *arg, uint32_t *nops)
{
    put32(b, OP_DESTROY_CLIENTID);
    put64(b, c->clientid);
    *nops += 1;
}

/* Leaves nothing behind on the server; what cannot be destroyed expires there. */
void
session_end(Conn *c)
{
    Answer a;
    while (c->nsessions > 0 && !c->dead) {
        Session *s = &c->sessions[--c->nsessions];
        if (nfs_call(c, "DESTROY_SESSION", false, build_destroy_session, s, &a))
            answer_release(&a);
    }
    if (!c->dead && nfs_call(c, "DESTROY_CLIENTID", false, build_destroy_clientid, NULL, &a))
        answer_release(&a);
}

static void
build_walk(Buf *b, Conn *c, const void *arg, uint32_t *nops)
{
    const char *p = arg;
    put32(b, OP_PUTROOTFH);
    *nops += 1;
    while (*p != '\0') {
        size_t n = strcspn(p, "/");
        if (n > 0) {
            put32(b, OP_LOOKUP);
            put_var(b, p, n);
            *nops += 1;
        }
        p += n + (p[n] == '/');
    }
    put32(b, OP_GETFH);
    *nops += 1;
}

bool
nfs_walk(Conn *c, const char *path, Fh *fh)
{
    Answer a;
    uint32_t st;
    char what[160];
    snprintf(what, sizeof what, "LOOKUP of %s", path);
    if (!nfs_call(c, what, true, build_walk, path, &a))
        return false;
    res_op(&a.body, OP_PUTROOTFH, &st);
    for (const char *p = path; *p != '\0'; p += strspn(p, "/")) {
        size_t n = strcspn(p, "/");
        if (n > 0)
            res_op(&a.body, OP_LOOKUP, &st);
        p += n;
    }
    if (!res_fh(&a.body, fh))
        conn_fail(c, "%s: bad results", what);
    answer_release(&a);
    return !c->dead;
}

typedef struct {
    const Fh *dir;
    const char *name;
    bool create;
} Named;

static void
build_mkdir(Buf *b, Conn *c, const void *arg, uint32_t *nops)
{
    const Named *n = arg;
    op_putfh(b, n->dir);
    put32(b, OP_CREATE);
    put32(b, 2); /* NF4DIR */
    put_str(b, n->name);
    put_mode_attr(b, 0777);
    put32(b, OP_GETFH);
    *nops += 3;
}

bool
nfs_mkdir(Conn *c, const Fh *dir, const char *name, Fh *fh)
{
    Answer a;
    uint32_t st;
    Named n = {dir, name, true};
    if (!nfs_call(c, "CREATE of a directory", true, build_mkdir, &n, &a))
        return false;
    res_op(&a.body, OP_PUTFH, &st);
    res_op(&a.body, OP_CREATE, &st);
    get_fixed(&a.body, 20);
    for (uint32_t k = get32(&a.body); k > 0 && !a.body.bad; k--)
        get32(&a.body);
    if (!res_fh(&a.body, fh))
        conn_fail(c, "CREATE of a directory: bad results");
    answer_release(&a);
    return !c->dead;
}

static void
build_remove(Buf *b, Conn *c, const void *arg, uint32_t *nops)
{
    const Named *n = arg;
    op_putfh(b, n->dir);
    put32(b, OP_REMOVE);
    put_str(b, n->name);
    *nops += 2;
}

bool
nfs_remove(Conn *c, const Fh *dir, const char *name)
{
    Answer a;
    Named n = {dir, name, false};
    if (!nfs_call(c, "REMOVE", true, build_remove, &n, &a))
        return false;
    answer_release(&a);
    return true;
}

static void
build_open(Buf *b, Conn *c, const void *arg, uint32_t *nops)
{
    const Named *n = arg;
    op_putfh(b, n->dir);
    op_open(b, c, n->name, n->create, n->create ? 3 : 1);
    put32(b, OP_GETFH);
    *nops += 3;
}

bool
nfs_open_file(Conn *c, const Fh *dir, const char *name, bool create)
{
    Answer a;
    uint32_t st;
    Named n = {dir, name, create};
    if (!nfs_call(c, "OPEN", true, build_open, &n, &a))
        return false;
    res_op(&a.body, OP_PUTFH, &st);
    if (!res_open(&a.body, &c->file_stateid) || !res_fh(&a.body, &c->file))
        conn_fail(c, "OPEN: bad results");
    answer_release(&a);
    c->file_open = !c->dead;
    return !c->dead;
}

static void
build_close(Buf *b, Conn *c, const void *arg, uint32_t *nops)
{
    op_putfh(b, &c->file);
    op_close(b, &c->file_stateid);
    *nops += 2;
}

bool
nfs_close_file(Conn *c)
{
    Answer a;
    if (!c->file_open || !nfs_call(c, "CLOSE", true, build_close, NULL, &a))
        return false;
    c->file_open = false;
    answer_release(&a);
    return true;
}

static void
build_commit(Buf *b, Conn *c, const void *arg, uint32_t *nops)
{
    op_putfh(b, &c->file);
    put32(b, OP_COMMIT);
    put64(b, 0);
    put32(b, 0);
    *nops += 2;
}

bool
nfs_commit(Conn *c)
{
    Answer a;
    if (!nfs_call(c, "COMMIT", true, build_commit, NULL, &a))
        return false;
    answer_release(&a);
    return true;
}

static void
build_size(Buf *b, Conn *c, const void *arg, uint32_t *nops)
{
    op_putfh(b, &c->file);
    put32(b, OP_GETATTR);
    put32(b, 1);
    put32(b, 1u << 4);
    *nops += 2;
}

bool
nfs_file_size(Conn *c, uint64_t *size)
{
    Answer a;
    uint32_t st, n;
    if (!nfs_call(c, "GETATTR", true, build_size, NULL, &a))
        return false;
    res_op(&a.body, OP_PUTFH, &st);
    res_op(&a.body, OP_GETATTR, &st);
    for (n = get32(&a.body); n > 0 && !a.body.bad; n--)
        get32(&a.body);
    get32(&a.body);
    *size = get64(&a.body);
    if (a.body.bad)
        conn_fail(c, "GETATTR: bad results");
    answer_release(&a);
    return !c->dead;
}
