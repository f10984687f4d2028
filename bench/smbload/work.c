/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The workloads: what each request holds and what its reply must say. */
#include <inttypes.h>

#include "smbload.h"

enum { OPEN_EXISTING = 1, CREATE_NEW = 2, OPEN_IF = 3 };
enum { READ_DATA = 1, WRITE_DATA = 2, READ_ATTRIBUTES = 0x80, DELETE_FILE = 0x10000, SYNCHRONIZE = 0x100000 };
enum { DIRECTORY = 1, NON_DIRECTORY = 0x40, DELETE_ON_CLOSE = 0x1000 };

#define PERIOD       1048573u /* prime: blocks of equal size differ */
#define LISTING_SIZE 65536u

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

static const uint8_t *
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

/* ---- Requests ---------------------------------------------------------------------------------------------------- */

static void
put_create(Buf *b, const char *name, uint32_t access, uint32_t disposition, uint32_t options)
{
    uint8_t *p = put_zeros(b, 56);
    set16(p, 57);
    set32(p + 4, 2); /* impersonation */
    set32(p + 24, access);
    set32(p + 32, 7); /* shared for all */
    set32(p + 36, disposition);
    set32(p + 40, options);
    set16(p + 44, HEADER + 56);
    set16(p + 46, (uint16_t)(strlen(name) * 2));
    put_utf16(b, name);
    if (name[0] == 0)
        put_zeros(b, 8);
}

static void
put_close(Buf *b, const FileId *fid)
{
    put32(b, 24);
    put32(b, 0);
    put_bytes(b, fid, 16);
}

static void
put_read(Buf *b, const FileId *fid, uint64_t offset, uint32_t n)
{
    uint8_t *p = put_zeros(b, 49);
    set16(p, 49);
    set32(p + 4, n);
    set64(p + 8, offset);
    memcpy(p + 16, fid, 16);
}

static void
put_write(Conn *c, Slot *s, uint64_t offset, uint32_t n)
{
    uint8_t *p = put_zeros(msg_begin(c, s, CMD_WRITE, n), 48);
    set16(p, 49);
    set16(p + 2, HEADER + 48);
    set32(p + 4, n);
    set64(p + 8, offset);
    memcpy(p + 16, &c->file, 16);
    s->tail = (struct iovec){(void *)(uintptr_t)pattern_at(offset), n};
}

static void
put_query_info(Buf *b, const FileId *fid, uint8_t class, uint32_t max)
{
    uint8_t *p = put_zeros(b, 40);
    set16(p, 41);
    p[2] = 1;
    p[3] = class;
    set32(p + 4, max);
    memcpy(p + 24, fid, 16);
    put_zeros(b, 1);
}

static bool
has(const Reply *r, size_t body)
{
    return r->have >= HEADER + body;
}

static bool
take_fid(const Reply *r, FileId *fid)
{
    if (r->status != 0 || !has(r, 88))
        return false;
    memcpy(fid, r->p + HEADER + 64, 16);
    return true;
}

static bool
call_create(Conn *c, const char *name, uint32_t access, uint32_t disposition, uint32_t options, FileId *fid,
            uint64_t *size)
{
    Reply r;
    put_create(msg_begin(c, &c->slots[0], CMD_CREATE, 0), name, access, disposition, options);
    if (!conn_call(c, &c->slots[0], &r))
        return false;
    if (!take_fid(&r, fid)) {
        conn_fail(c, "CREATE of %s: status 0x%08x", name, r.status);
        return false;
    }
    if (size)
        *size = get64(r.p + HEADER + 48);
    return true;
}

static bool
call_close(Conn *c, const FileId *fid)
{
    Reply r;
    put_close(msg_begin(c, &c->slots[0], CMD_CLOSE, 0), fid);
    return conn_call(c, &c->slots[0], &r) && r.status == 0;
}

static bool
make_file(Conn *c, const char *name, bool gone)
{
    FileId fid;
    return call_create(c, name, gone ? DELETE_FILE : WRITE_DATA, gone ? OPEN_EXISTING : OPEN_IF,
                       NON_DIRECTORY | (gone ? DELETE_ON_CLOSE : 0), &fid, NULL) &&
           call_close(c, &fid);
}

/* ---- Set-up ------------------------------------------------------------------------------------------------------ */

static void
folder_setup(Conn *c)
{
    FileId fid;
    if (c->opt->folder != NULL) {
        snprintf(c->folder, sizeof c->folder, "%s", c->opt->folder);
        return;
    }
    snprintf(c->folder, sizeof c->folder, "smbload.%x.%d", c->tag, c->index);
    if (call_create(c, c->folder, READ_DATA, OPEN_IF, DIRECTORY, &fid, NULL))
        call_close(c, &fid);
}

static void
entry_name(const Conn *c, char *name, size_t n, char kind, uint64_t item)
{
    snprintf(name, n, "%s\\%c%09" PRIu64, c->folder, kind, item);
}

static void
entries_each(Conn *c, char kind, uint64_t count, bool gone)
{
    char name[100];
    for (uint64_t i = 0; i < count && !c->dead; i++) {
        entry_name(c, name, sizeof name, kind, i);
        make_file(c, name, gone);
    }
}

/* A folder that has its entries already. */
static void
entries_setup(Conn *c)
{
    folder_setup(c);
    if (c->opt->folder == NULL)
        entries_each(c, 'e', c->opt->entries, false);
}

static void
folder_remove(Conn *c)
{
    FileId fid;
    if (!c->dead && call_create(c, c->folder, DELETE_FILE, OPEN_EXISTING, DIRECTORY | DELETE_ON_CLOSE, &fid, NULL))
        call_close(c, &fid);
}

static void
entries_cleanup(Conn *c)
{
    if (c->opt->folder != NULL)
        return;
    entries_each(c, 'e', c->opt->entries, true);
    folder_remove(c);
}

static void
file_name(const Conn *c, char *name, size_t n)
{
    snprintf(name, n, "%s.%d", c->opt->file, c->index);
}

static void
file_setup(Conn *c)
{
    char name[100];
    uint64_t size = 0, at = 0;
    Reply r;
    file_name(c, name, sizeof name);
    if (c->opt->size > c->max_read || c->opt->size > c->max_write) {
        conn_fail(c, "the server takes %u bytes only", c->max_read < c->max_write ? c->max_read : c->max_write);
        return;
    }
    if (!call_create(c, name, READ_DATA | WRITE_DATA | READ_ATTRIBUTES, OPEN_IF, NON_DIRECTORY, &c->file, &size))
        return;
    for (at = size; at < c->opt->filesize && !c->dead; at += 65536) {
        put_write(c, &c->slots[0], at, 65536);
        if (conn_call(c, &c->slots[0], &r) && r.status != 0)
            conn_fail(c, "WRITE: status 0x%08x", r.status);
    }
}

static void
file_cleanup(Conn *c)
{
    call_close(c, &c->file);
}

static void
nothing(Conn *c)
{
    (void)c;
}

/* ---- echo -------------------------------------------------------------------------------------------------------- */

static bool
echo_next(Conn *c, Slot *s)
{
    if (!take_item(c, s))
        return false;
    put32(msg_begin(c, s, CMD_ECHO, 0), 4);
    return true;
}

static bool
plain_done(Conn *c, Slot *s, const Reply *r, bool *error)
{
    (void)c, (void)s;
    *error = r->status != 0;
    return true;
}

/* ---- read, write ------------------------------------------------------------------------------------------------- */

static bool
place(Conn *c, Slot *s, bool random)
{
    uint64_t blocks = c->opt->filesize / c->opt->size;
    if (!take_item(c, s))
        return false;
    s->offset = (random ? next_random(c) : s->item) % blocks * c->opt->size;
    return true;
}

static bool
read_at(Conn *c, Slot *s, bool random)
{
    if (!place(c, s, random))
        return false;
    put_read(msg_begin(c, s, CMD_READ, c->opt->size), &c->file, s->offset, c->opt->size);
    return true;
}

static bool
read_next(Conn *c, Slot *s)
{
    return read_at(c, s, false);
}

static bool
randread_next(Conn *c, Slot *s)
{
    return read_at(c, s, true);
}

static bool
read_done(Conn *c, Slot *s, const Reply *r, bool *error)
{
    if (r->status != 0 || !has(r, 16) || get32(r->p + HEADER + 4) != c->opt->size) {
        *error = true;
        return true;
    }
    size_t at = r->p[HEADER + 2];
    if (at + c->opt->size != r->total)
        *error = at + c->opt->size > r->total;
    if (c->opt->check_data && r->have == r->total && memcmp(r->p + at, pattern_at(s->offset), c->opt->size) != 0)
        *error = true;
    c->stats.bytes += c->opt->size;
    return true;
}

static bool
write_next(Conn *c, Slot *s)
{
    if (!place(c, s, false))
        return false;
    put_write(c, s, s->offset, c->opt->size);
    return true;
}

static bool
randwrite_next(Conn *c, Slot *s)
{
    if (!place(c, s, true))
        return false;
    put_write(c, s, s->offset, c->opt->size);
    return true;
}

static bool
write_done(Conn *c, Slot *s, const Reply *r, bool *error)
{
    (void)s;
    *error = r->status != 0 || !has(r, 16) || get32(r->p + HEADER + 4) != c->opt->size;
    c->stats.bytes += c->opt->size;
    return true;
}

/* ---- open, create, unlink: CREATE, then CLOSE ---------------------------------------------------------------------
 */

static bool
pair_next(Conn *c, Slot *s, char kind, uint64_t among, uint32_t access, uint32_t disposition, uint32_t options)
{
    char name[100];
    if (s->step == 1) {
        put_close(msg_begin(c, s, CMD_CLOSE, 0), &s->fid);
        return true;
    }
    if (!take_item(c, s))
        return false;
    entry_name(c, name, sizeof name, kind, among ? next_random(c) % among : s->item);
    put_create(msg_begin(c, s, CMD_CREATE, 0), name, access, disposition, options);
    return true;
}

static bool
pair_done(Conn *c, Slot *s, const Reply *r, bool *error)
{
    (void)c;
    if (s->step == 1) {
        *error = r->status != 0;
        s->step = 0;
        return true;
    }
    *error = !take_fid(r, &s->fid);
    s->step = 1;
    return false;
}

static bool
open_next(Conn *c, Slot *s)
{
    return pair_next(c, s, 'e', c->opt->entries, READ_DATA | READ_ATTRIBUTES, OPEN_EXISTING, NON_DIRECTORY);
}

static bool
create_next(Conn *c, Slot *s)
{
    return pair_next(c, s, 'n', 0, READ_DATA | WRITE_DATA | READ_ATTRIBUTES, CREATE_NEW, NON_DIRECTORY);
}

static bool
unlink_next(Conn *c, Slot *s)
{
    return pair_next(c, s, 'n', 0, DELETE_FILE, OPEN_EXISTING, NON_DIRECTORY | DELETE_ON_CLOSE);
}

static void
create_cleanup(Conn *c)
{
    if (c->opt->folder == NULL)
        entries_each(c, 'n', c->opt->count, true);
    entries_cleanup(c);
}

static void
unlink_setup(Conn *c)
{
    entries_setup(c);
    if (c->opt->folder == NULL)
        entries_each(c, 'n', c->opt->count, false);
}

/* ---- stat: CREATE, QUERY_INFO and CLOSE in one message ----------------------------------------------------------- */

static bool
stat_next(Conn *c, Slot *s)
{
    char name[100];
    FileId last;
    memset(&last, 0xff, sizeof last);
    if (!take_item(c, s))
        return false;
    entry_name(c, name, sizeof name, 'e', next_random(c) % c->opt->entries);
    put_create(msg_begin(c, s, CMD_CREATE, 0), name, READ_ATTRIBUTES, OPEN_EXISTING, 0);
    put_query_info(msg_related(c, s, CMD_QUERY_INFO), &last, 18, 1024); /* FileAllInformation */
    put_close(msg_related(c, s, CMD_CLOSE), &last);
    return true;
}

static bool
stat_done(Conn *c, Slot *s, const Reply *r, bool *error)
{
    (void)c, (void)s;
    size_t at = 0;
    for (int i = 0; i < 3; i++) {
        uint32_t next = at + HEADER <= r->have ? get32(r->p + at + H_NEXT) : 1;
        if (at + HEADER > r->have || get32(r->p + at + H_STATUS) != 0 || (next == 0) != (i == 2))
            *error = true;
        at += next;
    }
    return true;
}

/* ---- readdir: a whole folder ------------------------------------------------------------------------------------- */

static bool
readdir_next(Conn *c, Slot *s)
{
    if (s->step == 0 && !take_item(c, s))
        return false;
    if (s->step == 0) {
        put_create(msg_begin(c, s, CMD_CREATE, 0), c->folder, READ_DATA, OPEN_EXISTING, DIRECTORY);
    } else if (s->step == 1) {
        Buf *b = msg_begin(c, s, CMD_QUERY_DIRECTORY, LISTING_SIZE);
        uint8_t *p = put_zeros(b, 32);
        set16(p, 33);
        p[2] = 37; /* FileIdBothDirectoryInformation */
        memcpy(p + 8, &s->fid, 16);
        set16(p + 24, HEADER + 32);
        set16(p + 26, 2);
        set32(p + 28, LISTING_SIZE);
        put_utf16(b, "*");
    } else {
        put_close(msg_begin(c, s, CMD_CLOSE, 0), &s->fid);
    }
    return true;
}

static void
count_entries(Conn *c, const Reply *r)
{
    size_t at = HEADER + 8;
    for (uint32_t next = 1; next != 0 && at + 8 <= r->have; at += next) {
        next = get32(r->p + at);
        c->stats.entries++;
    }
}

static bool
readdir_done(Conn *c, Slot *s, const Reply *r, bool *error)
{
    if (s->step == 1 && r->status == STATUS_NO_MORE_FILES) {
        s->step = 2;
    } else if (s->step == 1 && r->status == 0) {
        count_entries(c, r);
    } else if (s->step == 0 && take_fid(r, &s->fid)) {
        s->step = 1;
    } else {
        *error = r->status != 0;
        s->step = 0;
        return true;
    }
    return false;
}

/* ---- login, tree, connect ---------------------------------------------------------------------------------------- */

static bool
login_next(Conn *c, Slot *s)
{
    if (s->step == 1) {
        put32(msg_begin(c, s, CMD_LOGOFF, 0), 4);
        return true;
    }
    if (!take_item(c, s))
        return false;
    return auth_login_begin(c, s);
}

static bool
login_done(Conn *c, Slot *s, const Reply *r, bool *error)
{
    (void)c;
    *error = r->status != 0;
    if (s->step == 0 && !*error) {
        s->session = get64(r->p + H_SESSION);
        s->step = 1;
        return false;
    }
    s->session = 0;
    s->step = 0;
    return true;
}

static bool
tree_next(Conn *c, Slot *s)
{
    if (s->step == 1) {
        put32(msg_begin(c, s, CMD_TREE_DISCONNECT, 0), 4);
        return true;
    }
    if (!take_item(c, s))
        return false;
    put_tree_connect(c, s);
    return true;
}

static bool
tree_done(Conn *c, Slot *s, const Reply *r, bool *error)
{
    (void)c;
    *error = r->status != 0;
    if (s->step == 0 && !*error) {
        s->tree = get32(r->p + H_TREE);
        s->step = 1;
        return false;
    }
    s->tree = 0;
    s->step = 0;
    return true;
}

static const Workload workloads[] = {
    {"echo", .setup = nothing, .next = echo_next, .done = plain_done, .cleanup = nothing},
    {"read", .bulk = true, .setup = file_setup, .next = read_next, .done = read_done, .cleanup = file_cleanup},
    {"write", .bulk = true, .setup = file_setup, .next = write_next, .done = write_done, .cleanup = file_cleanup},
    {"randread", .bulk = true, .setup = file_setup, .next = randread_next, .done = read_done, .cleanup = file_cleanup},
    {"randwrite", .bulk = true, .setup = file_setup, .next = randwrite_next, .done = write_done,
     .cleanup = file_cleanup},
    {"open", .setup = entries_setup, .next = open_next, .done = pair_done, .cleanup = entries_cleanup},
    {"stat", .needs_results = true, .setup = entries_setup, .next = stat_next, .done = stat_done,
     .cleanup = entries_cleanup},
    {"create", .needs_count = true, .setup = entries_setup, .next = create_next, .done = pair_done,
     .cleanup = create_cleanup},
    {"unlink", .needs_count = true, .setup = unlink_setup, .next = unlink_next, .done = pair_done,
     .cleanup = entries_cleanup},
    {"readdir", .needs_results = true, .setup = entries_setup, .next = readdir_next, .done = readdir_done,
     .cleanup = entries_cleanup},
    {"login", .setup = nothing, .next = login_next, .done = login_done, .cleanup = nothing},
    {"tree", .setup = nothing, .next = tree_next, .done = tree_done, .cleanup = nothing},
    {"connect", .storm = true, .setup = nothing, .cleanup = nothing},
};

const Workload *
workload_find(const char *name)
{
    for (size_t i = 0; i < sizeof workloads / sizeof *workloads; i++)
        if (strcmp(workloads[i].name, name) == 0)
            return &workloads[i];
    return NULL;
}

void
workload_names(FILE *f)
{
    for (size_t i = 0; i < sizeof workloads / sizeof *workloads; i++)
        fprintf(f, " %s", workloads[i].name);
}
