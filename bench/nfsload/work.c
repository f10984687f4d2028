/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The workloads: what each request holds and what its reply must say. */
#include <inttypes.h>
#include <stdio.h>

#include "nfsload.h"

enum {
    OP_CLOSE = 4,
    OP_CREATE = 6,
    OP_GETATTR = 9,
    OP_GETFH = 10,
    OP_LOOKUP = 15,
    OP_OPEN = 18,
    OP_PUTFH = 22,
    OP_READ = 25,
    OP_READDIR = 26,
    OP_REMOVE = 28,
    OP_WRITE = 38,
};

#define PERIOD 1048573u /* prime: blocks of equal size differ */

static uint8_t *pattern;

/* Byte o of every file is byte (o mod PERIOD) of one pseudo-random string. */
void
pattern_init(uint32_t max)
{
    uint64_t x = 0x9e3779b97f4a7c15u;
    pattern = malloc(PERIOD + (size_t)max);
    for (uint32_t i = 0; i < PERIOD; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        pattern[i] = (uint8_t)(x >> 32);
    }
    for (size_t i = PERIOD; i < PERIOD + (size_t)max; i++)
        pattern[i] = pattern[i - PERIOD];
}

const uint8_t *
pattern_at(uint64_t offset)
{
    return pattern + offset % PERIOD;
}

static uint64_t
next_random(Conn *c)
{
    c->rnd ^= c->rnd << 13;
    c->rnd ^= c->rnd >> 7;
    c->rnd ^= c->rnd << 17;
    return c->rnd;
}

static bool
take_item(Conn *c, Slot *s)
{
    if (c->total != 0 && c->issued >= c->total)
        return false;
    s->item = c->issued++;
    return true;
}

static void
item_name(const Slot *s, char *name, size_t n)
{
    snprintf(name, n, "n%09" PRIu64, s->item);
}

/* Begins a compound with SEQUENCE and PUTFH; end() closes it. */
static Buf *
begin(Conn *c, Slot *s, const Fh *fh, size_t *at)
{
    call_begin(c, s, 1);
    Buf *b = call_args(c, s);
    *at = compound_begin(b);
    op_sequence(b, s);
    op_putfh(b, fh);
    return b;
}

static bool
end(Conn *c, Slot *s, size_t at, uint32_t nops)
{
    compound_end(call_args(c, s), at, nops);
    return call_end(c, s);
}

static bool
putfh_ok(Cur *body)
{
    uint32_t st;
    return res_op(body, OP_PUTFH, &st);
}

static bool
skip_attrs(Cur *c)
{
    uint32_t n;
    for (n = get32(c); n > 0 && !c->bad; n--)
        get32(c);
    get_var(c, &n);
    return !c->bad;
}

static bool
getattr_ok(Cur *body)
{
    uint32_t st;
    return res_op(body, OP_GETATTR, &st) && skip_attrs(body);
}

/* null */

static bool
null_next(Conn *c, Slot *s)
{
    if (!take_item(c, s))
        return false;
    s->sequenced = false;
    call_begin(c, s, 0);
    return call_end(c, s);
}

static bool
null_done(Conn *c, Slot *s, Cur *body, size_t total, bool *error)
{
    return true;
}

/* getattr */

static void
folder_setup(Conn *c)
{
    char name[64];
    snprintf(name, sizeof name, "nfsload.%x.%d", c->tag, c->index);
    nfs_mkdir(c, &c->dir, name, &c->work);
}

static void
folder_cleanup(Conn *c)
{
    char name[64];
    snprintf(name, sizeof name, "nfsload.%x.%d", c->tag, c->index);
    if (!c->dead && c->work.len > 0)
        nfs_remove(c, &c->dir, name);
}

static void
own_file_setup(Conn *c)
{
    folder_setup(c);
    if (!c->dead)
        nfs_open_file(c, &c->work, "data", true);
}

static void
own_file_cleanup(Conn *c)
{
    nfs_close_file(c);
    if (!c->dead)
        nfs_remove(c, &c->work, "data");
    folder_cleanup(c);
}

static bool
getattr_next(Conn *c, Slot *s)
{
    size_t at;
    if (!take_item(c, s))
        return false;
    op_getattr(begin(c, s, &c->file, &at));
    return end(c, s, at, 3);
}

static bool
getattr_done(Conn *c, Slot *s, Cur *body, size_t total, bool *error)
{
    *error = body != NULL && !(putfh_ok(body) && getattr_ok(body));
    return true;
}

/* read, randread */

static bool
read_at(Conn *c, Slot *s, uint64_t offset)
{
    size_t at;
    Buf *b = begin(c, s, &c->file, &at);
    s->offset = offset;
    put32(b, OP_READ);
    put_fixed(b, c->file_stateid.p, 16);
    put64(b, offset);
    put32(b, c->opt->size);
    return end(c, s, at, 3);
}

static bool
read_next(Conn *c, Slot *s)
{
    return take_item(c, s) && read_at(c, s, s->item * c->opt->size % c->opt->filesize);
}

static bool
randread_next(Conn *c, Slot *s)
{
    uint64_t blocks = c->opt->filesize / c->opt->size;
    return take_item(c, s) && read_at(c, s, next_random(c) % blocks * c->opt->size);
}

static bool
read_done(Conn *c, Slot *s, Cur *body, size_t total, bool *error)
{
    uint32_t st, n = c->opt->size;
    if (body == NULL) {
        *error = total < n;
    } else if (!putfh_ok(body) || !res_op(body, OP_READ, &st)) {
        *error = true;
    } else {
        get32(body);
        n = get32(body);
        *error = body->bad || n != c->opt->size || total < n;
        if (!*error && s->verify) {
            const uint8_t *p = get_fixed(body, n);
            *error = p == NULL || (c->opt->check_data && memcmp(p, pattern_at(s->offset), n) != 0);
        }
    }
    if (!*error)
        c->stats.bytes += n;
    return true;
}

/* write, randwrite */

static bool
write_at(Conn *c, Slot *s, uint64_t offset)
{
    size_t at;
    Buf *b = begin(c, s, &c->file, &at);
    put32(b, OP_WRITE);
    put_fixed(b, c->file_stateid.p, 16);
    put64(b, offset);
    put32(b, 0); /* UNSTABLE4 */
    put_var(b, pattern_at(offset), c->opt->size);
    return end(c, s, at, 3);
}

static bool
write_next(Conn *c, Slot *s)
{
    return take_item(c, s) && write_at(c, s, s->item * c->opt->size % c->opt->filesize);
}

static bool
randwrite_next(Conn *c, Slot *s)
{
    uint64_t blocks = c->opt->filesize / c->opt->size;
    return take_item(c, s) && write_at(c, s, next_random(c) % blocks * c->opt->size);
}

static bool
write_done(Conn *c, Slot *s, Cur *body, size_t total, bool *error)
{
    uint32_t st;
    if (body != NULL)
        *error = !putfh_ok(body) || !res_op(body, OP_WRITE, &st) || get32(body) != c->opt->size;
    if (!*error)
        c->stats.bytes += c->opt->size;
    return true;
}

static void
write_finish(Conn *c)
{
    if (nfs_commit(c))
        c->end_ns = now_ns();
}

static const Workload fill = {"fill", .next = write_next, .done = write_done};
static pthread_mutex_t fill_lock = PTHREAD_MUTEX_INITIALIZER;

/* All connections read one file; the first one writes it where it is not there yet. */
static void
shared_file_setup(Conn *c)
{
    uint64_t size = 0;
    pthread_mutex_lock(&fill_lock);
    if (nfs_open_file(c, &c->dir, c->opt->file, true) && nfs_file_size(c, &size) && size < c->opt->filesize) {
        work_run(c, &fill, c->opt->filesize / c->opt->size, 0);
        if (!c->dead && !c->broken)
            nfs_commit(c);
        if (c->stats.errors > 0 || c->broken)
            conn_fail(c, "could not write the file to read from");
    }
    pthread_mutex_unlock(&fill_lock);
}

static void
shared_file_cleanup(Conn *c)
{
    nfs_close_file(c);
}

/* create: OPEN with create, then CLOSE; one operation is both */

static bool
create_next(Conn *c, Slot *s)
{
    size_t at;
    char name[32];
    Buf *b;
    if (s->step == 1) {
        b = begin(c, s, &s->fh, &at);
        op_close(b, &s->stateid);
        return end(c, s, at, 3);
    }
    if (!take_item(c, s))
        return false;
    item_name(s, name, sizeof name);
    b = begin(c, s, &c->work, &at);
    op_open(b, c, name, true, 3);
    put32(b, OP_GETFH);
    op_getattr(b);
    return end(c, s, at, 5);
}

static bool
create_done(Conn *c, Slot *s, Cur *body, size_t total, bool *error)
{
    uint32_t st;
    if (s->step == 0) {
        *error = !(putfh_ok(body) && res_open(body, &s->stateid) && res_fh(body, &s->fh) && getattr_ok(body));
        s->step = 1;
        return false;
    }
    *error = !(putfh_ok(body) && res_op(body, OP_CLOSE, &st));
    s->step = 0;
    return true;
}

/* unlink, and the way mkdir and create clean up */

static bool
unlink_next(Conn *c, Slot *s)
{
    size_t at;
    char name[32];
    if (!take_item(c, s))
        return false;
    item_name(s, name, sizeof name);
    Buf *b = begin(c, s, &c->work, &at);
    put32(b, OP_REMOVE);
    put_str(b, name);
    return end(c, s, at, 3);
}

static bool
unlink_done(Conn *c, Slot *s, Cur *body, size_t total, bool *error)
{
    uint32_t st;
    *error = body != NULL && !(putfh_ok(body) && res_op(body, OP_REMOVE, &st));
    return true;
}

static const Workload creating = {"create", true, .next = create_next, .done = create_done};
static const Workload removing = {"remove", .next = unlink_next, .done = unlink_done};

static void
names_cleanup(Conn *c)
{
    if (c->issued > 0)
        work_run(c, &removing, c->issued, 0);
    if (!c->broken)
        folder_cleanup(c);
}

static void
unlink_setup(Conn *c)
{
    folder_setup(c);
    work_run(c, &creating, c->opt->count, 0);
}

static void
unlink_cleanup(Conn *c)
{
    folder_cleanup(c);
}

/* mkdir */

static bool
mkdir_next(Conn *c, Slot *s)
{
    size_t at;
    char name[32];
    if (!take_item(c, s))
        return false;
    item_name(s, name, sizeof name);
    Buf *b = begin(c, s, &c->work, &at);
    put32(b, OP_CREATE);
    put32(b, 2);
    put_str(b, name);
    put_mode_attr(b, 0777);
    put32(b, OP_GETFH);
    op_getattr(b);
    return end(c, s, at, 5);
}

static bool
mkdir_done(Conn *c, Slot *s, Cur *body, size_t total, bool *error)
{
    uint32_t st, n;
    Fh fh;
    if (body == NULL)
        return true;
    *error = !(putfh_ok(body) && res_op(body, OP_CREATE, &st));
    get_fixed(body, 20);
    for (n = *error ? 0 : get32(body); n > 0 && !body->bad; n--)
        get32(body);
    *error = *error || !res_fh(body, &fh) || !getattr_ok(body);
    return true;
}

/* lookup, readdir: over a folder of --files files */

static void
tree_setup(Conn *c)
{
    folder_setup(c);
    work_run(c, &creating, c->opt->files, 0);
}

static void
tree_cleanup(Conn *c)
{
    c->issued = c->opt->files;
    names_cleanup(c);
}

static bool
lookup_next(Conn *c, Slot *s)
{
    size_t at;
    char name[32];
    if (!take_item(c, s))
        return false;
    s->item %= c->opt->files;
    item_name(s, name, sizeof name);
    Buf *b = begin(c, s, &c->work, &at);
    put32(b, OP_LOOKUP);
    put_str(b, name);
    put32(b, OP_GETFH);
    op_getattr(b);
    return end(c, s, at, 5);
}

static bool
lookup_done(Conn *c, Slot *s, Cur *body, size_t total, bool *error)
{
    uint32_t st;
    Fh fh;
    *error = body != NULL && !(putfh_ok(body) && res_op(body, OP_LOOKUP, &st) && res_fh(body, &fh) && getattr_ok(body));
    return true;
}

static bool
readdir_next(Conn *c, Slot *s)
{
    size_t at;
    if (!take_item(c, s))
        return false;
    Buf *b = begin(c, s, &c->work, &at);
    put32(b, OP_READDIR);
    put64(b, s->cookie);
    put_fixed(b, s->cookieverf, 8);
    put32(b, 8192);
    put32(b, 32768);
    put_bitmap_attrs(b);
    return end(c, s, at, 3);
}

static bool
readdir_done(Conn *c, Slot *s, Cur *body, size_t total, bool *error)
{
    uint32_t st, n;
    if (!putfh_ok(body) || !res_op(body, OP_READDIR, &st)) {
        *error = true;
        return true;
    }
    get_copy(body, s->cookieverf, 8);
    while (get32(body) == 1 && !body->bad) {
        s->cookie = get64(body);
        get_var(body, &n);
        skip_attrs(body);
        c->stats.entries++;
    }
    bool eof = get32(body) == 1;
    if (eof || body->bad) {
        s->cookie = 0;
        memset(s->cookieverf, 0, 8);
    }
    *error = body->bad;
    return true;
}

static void
null_setup(Conn *c)
{
}

static const Workload workloads[] = {
    {"null", false, true, false, null_setup, null_next, null_done, NULL, null_setup},
    {"getattr", false, true, false, own_file_setup, getattr_next, getattr_done, NULL, own_file_cleanup},
    {"read", false, true, false, shared_file_setup, read_next, read_done, NULL, shared_file_cleanup},
    {"randread", false, true, false, shared_file_setup, randread_next, read_done, NULL, shared_file_cleanup},
    {"write", false, true, false, own_file_setup, write_next, write_done, write_finish, own_file_cleanup},
    {"randwrite", false, true, false, own_file_setup, randwrite_next, write_done, write_finish, own_file_cleanup},
    {"create", true, false, false, folder_setup, create_next, create_done, NULL, names_cleanup},
    {"unlink", false, true, true, unlink_setup, unlink_next, unlink_done, NULL, unlink_cleanup},
    {"mkdir", false, true, false, folder_setup, mkdir_next, mkdir_done, NULL, names_cleanup},
    {"lookup", false, true, false, tree_setup, lookup_next, lookup_done, NULL, tree_cleanup},
    {"readdir", true, false, false, tree_setup, readdir_next, readdir_done, NULL, tree_cleanup},
};

const Workload *
workload_find(const char *name)
{
    for (size_t i = 0; i < sizeof workloads / sizeof workloads[0]; i++)
        if (strcmp(workloads[i].name, name) == 0)
            return &workloads[i];
    return NULL;
}

void
workload_names(FILE *f)
{
    for (size_t i = 0; i < sizeof workloads / sizeof workloads[0]; i++)
        fprintf(f, " %s", workloads[i].name);
}
