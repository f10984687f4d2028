/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Share reservations and byte-range locks, against plain models of what they mean. */
#include "state/state-private.h"

#include "memstore.h"

#include <string.h>

typedef struct {
    LaresStore *store;
    LaresNode *node;
    LaresFile *file;
    LaresShare share; /* never published: only its reference count is used */
    LaresHolder *holder, *other;
    gint expired;
} Fixture;

static void
note_expiry(gpointer user)
{
    Fixture *f = user;
    g_atomic_int_inc(&f->expired);
}

static void
setup(Fixture *f, gconstpointer data)
{
    LaresCred root = {0, 0, NULL, 0};
    LaresCreate how = {.type = LARES_TYPE_REGULAR, .attrs = {.mask = LARES_ATTR_MODE, .mode = 0666}};
    gboolean created;
    g_autoptr(LaresNode) dir = NULL;
    f->store = memstore_new();
    const LaresStoreInterface *iface = LARES_STORE_GET_IFACE(f->store);
    g_assert_cmpint(iface->root(f->store, &dir), ==, LARES_OK);
    g_assert_cmpint(iface->create(f->store, &root, dir, "file", &how, LARES_ACCESS_READ | LARES_ACCESS_WRITE, &f->node,
                                  &f->file, &created),
                    ==, LARES_OK);
    f->share.ref = 1 << 20;
    f->holder = lares_holder_new("test", note_expiry, f, NULL);
    f->other = lares_holder_new("test", note_expiry, f, NULL);
}

static void
teardown(Fixture *f, gconstpointer data)
{
    g_assert_null(f->node->state); /* freed with the last open */
    lares_holder_unref(f->holder);
    lares_holder_unref(f->other);
    lares_file_unref(f->file);
    lares_node_unref(f->node);
    g_object_unref(f->store);
}

static LaresStatus
try_open(Fixture *f, LaresHolder *holder, uint32_t access, uint32_t deny, LaresOpen **open)
{
    *open = NULL;
    return lares_state_open(holder, &f->share, f->node, f->file, access, deny, open);
}

static void
end(LaresOpen *open)
{
    lares_open_close(open);
    lares_open_unref(open);
}

/* Every pair of access and deny modes: RFC 7530 9.9. */
static void
test_share_matrix(Fixture *f, gconstpointer data)
{
    for (uint32_t a1 = 1; a1 < 4; a1++)
        for (uint32_t d1 = 0; d1 < 4; d1++)
            for (uint32_t a2 = 1; a2 < 4; a2++)
                for (uint32_t d2 = 0; d2 < 4; d2++) {
                    LaresOpen *first, *second;
                    gboolean conflict = (a1 & d2) || (d1 & a2);
                    g_assert_cmpint(try_open(f, f->holder, a1, d1, &first), ==, LARES_OK);
                    g_assert_cmpint(try_open(f, f->other, a2, d2, &second), ==,
                                    conflict ? LARES_SHARE_DENIED : LARES_OK);
                    if (second)
                        end(second);
                    end(first);
                }
}

static void
test_upgrade_and_downgrade(Fixture *f, gconstpointer data)
{
    LaresOpen *mine, *theirs;
    g_assert_cmpint(try_open(f, f->holder, LARES_ACCESS_READ, LARES_DENY_NONE, &mine), ==, LARES_OK);
    g_assert_cmpint(try_open(f, f->other, LARES_ACCESS_READ, LARES_DENY_WRITE, &theirs), ==, LARES_OK);
    g_assert_cmpint(lares_state_upgrade(mine, NULL, LARES_ACCESS_WRITE, LARES_DENY_NONE), ==, LARES_SHARE_DENIED);
    g_assert_cmpuint(lares_open_access(mine), ==, LARES_ACCESS_READ);
    lares_open_downgrade(theirs, LARES_ACCESS_READ, LARES_DENY_NONE);
    g_assert_cmpint(lares_state_upgrade(mine, f->file, LARES_ACCESS_WRITE, LARES_DENY_NONE), ==, LARES_OK);
    g_assert_cmpuint(lares_open_access(mine), ==, LARES_ACCESS_READ | LARES_ACCESS_WRITE);
    lares_open_downgrade(mine, LARES_ACCESS_READ, LARES_DENY_NONE);
    g_assert_null(lares_state_file(mine, LARES_ACCESS_WRITE));
    end(theirs);
    end(mine);
    g_assert_null(f->node->state);
}

/* I/O without an open honours others' deny modes, and is not stopped by one's own. */
static void
test_io_without_an_open(Fixture *f, gconstpointer data)
{
    LaresOpen *open;
    g_assert_cmpint(lares_state_io_allowed(f->node, LARES_ACCESS_WRITE, NULL), ==, LARES_OK);
    g_assert_cmpint(try_open(f, f->holder, LARES_ACCESS_READ, LARES_DENY_WRITE, &open), ==, LARES_OK);
    g_assert_cmpint(lares_state_io_allowed(f->node, LARES_ACCESS_WRITE, NULL), ==, LARES_LOCKED);
    g_assert_cmpint(lares_state_io_allowed(f->node, LARES_ACCESS_READ, NULL), ==, LARES_OK);
    g_assert_cmpint(lares_state_io_allowed(f->node, LARES_ACCESS_WRITE, open), ==, LARES_OK);
    end(open);
}

/* ---- Locks against a model: who holds each of 64 bytes, and how ---------------------------------------------------
 */

#define BYTES  64
#define OWNERS 3

typedef struct {
    uint8_t kind[OWNERS][BYTES]; /* 0 none, 1 read, 2 write */
} Model;

static gboolean
model_conflict(const Model *m, guint owner, guint start, guint len, gboolean write)
{
    for (guint o = 0; o < OWNERS; o++)
        for (guint i = start; o != owner && i < start + len; i++)
            if (m->kind[o][i] == 2 || (write && m->kind[o][i] == 1))
                return TRUE;
    return FALSE;
}

static LaresLockOwner
owner_named(const uint8_t *names, guint i)
{
    return (LaresLockOwner){.key = names + i, .name = names + i, .name_len = 1, .client = i};
}

/* What the server says of each byte must be what the model says. */
static void
compare(Fixture *f, const Model *m, const uint8_t *names)
{
    static const uint8_t stranger = 's';
    LaresLockOwner nobody = {.key = &stranger};
    LaresLockConflict conflict;
    for (guint i = 0; i < BYTES; i++) {
        gboolean read = FALSE, write = FALSE;
        for (guint o = 0; o < OWNERS; o++) {
            read = read || m->kind[o][i] == 1;
            write = write || m->kind[o][i] == 2;
            LaresLockOwner own = owner_named(names, o);
            LaresRange byte = {i, 1, TRUE};
            g_assert_cmpint(lares_lock_test(f->node, &own, &byte, &conflict), ==,
                            model_conflict(m, o, i, 1, TRUE) ? LARES_DENIED : LARES_OK);
        }
        LaresRange as_reader = {i, 1, FALSE}, as_writer = {i, 1, TRUE};
        g_assert_cmpint(lares_lock_test(f->node, &nobody, &as_reader, &conflict), ==, write ? LARES_DENIED : LARES_OK);
        g_assert_cmpint(lares_lock_test(f->node, &nobody, &as_writer, &conflict), ==,
                        read || write ? LARES_DENIED : LARES_OK);
    }
}

static void
test_locks_against_a_model(Fixture *f, gconstpointer data)
{
    static const uint8_t names[OWNERS] = {'a', 'b', 'c'};
    Model m = {0};
    LaresOpen *open;
    LaresLockConflict conflict;
    g_assert_cmpint(try_open(f, f->holder, LARES_ACCESS_READ | LARES_ACCESS_WRITE, 0, &open), ==, LARES_OK);
    for (guint round = 0; round < 3000; round++) {
        guint o = (guint)g_test_rand_int_range(0, OWNERS), start = (guint)g_test_rand_int_range(0, BYTES);
        guint len = (guint)g_test_rand_int_range(1, (gint)(BYTES - start) + 1);
        guint kind = (guint)g_test_rand_int_range(0, 3);
        LaresLockOwner owner = owner_named(names, o);
        if (kind == 0) {
            g_assert_cmpint(lares_lock_clear(open, &owner, start, len), ==, LARES_OK);
        } else {
            LaresRange range = {start, len, kind == 2};
            gboolean denied = model_conflict(&m, o, start, len, kind == 2);
            g_assert_cmpint(lares_lock_set(open, &owner, &range, &conflict), ==, denied ? LARES_DENIED : LARES_OK);
            if (denied) {
                g_assert_cmpuint(conflict.owner_len, ==, 1);
                g_assert_cmpuint(conflict.owner_name[0], !=, names[o]);
                continue;
            }
        }
        memset(m.kind[o] + start, (int)kind, len);
        if (round % 50 == 0)
            compare(f, &m, names);
    }
    compare(f, &m, names);
    end(open);
}

static void
test_lock_ranges(Fixture *f, gconstpointer data)
{
    LaresOpen *open;
    LaresLockConflict conflict;
    LaresLockOwner a = {.key = &open, .name = (const uint8_t *)"a", .name_len = 1};
    LaresLockOwner b = {.key = &conflict, .name = (const uint8_t *)"b", .name_len = 1};
    LaresRange to_end = {100, UINT64_MAX, TRUE}, far = {UINT64_MAX - 1, 1, FALSE}, before = {0, 100, TRUE};
    LaresRange empty = {0, 0, TRUE}, overflow = {10, UINT64_MAX - 1, TRUE}, last = {UINT64_MAX, 1, TRUE};
    g_assert_cmpint(try_open(f, f->holder, LARES_ACCESS_READ | LARES_ACCESS_WRITE, 0, &open), ==, LARES_OK);
    g_assert_cmpint(lares_lock_set(open, &a, &empty, &conflict), ==, LARES_INVAL);
    g_assert_cmpint(lares_lock_set(open, &a, &overflow, &conflict), ==, LARES_BAD_RANGE);
    g_assert_cmpint(lares_lock_set(open, &a, &to_end, &conflict), ==, LARES_OK);
    g_assert_cmpint(lares_lock_set(open, &b, &far, &conflict), ==, LARES_DENIED);
    g_assert_cmpuint(conflict.range.start, ==, 100);
    g_assert_cmpuint(conflict.range.length, ==, UINT64_MAX);
    g_assert_cmpint(lares_lock_set(open, &b, &last, &conflict), ==, LARES_DENIED);
    g_assert_cmpint(lares_lock_set(open, &b, &before, &conflict), ==, LARES_OK);
    g_assert_true(lares_lock_held(open, a.key));
    lares_lock_drop_owner(open, a.key);
    g_assert_false(lares_lock_held(open, a.key));
    g_assert_cmpint(lares_lock_set(open, &b, &last, &conflict), ==, LARES_OK);
    end(open);
}

static void
test_lock_needs_the_access(Fixture *f, gconstpointer data)
{
    LaresOpen *open;
    LaresLockConflict conflict;
    LaresLockOwner a = {.key = &open, .name = (const uint8_t *)"a", .name_len = 1};
    LaresRange write = {0, 1, TRUE}, read = {0, 1, FALSE};
    g_assert_cmpint(try_open(f, f->holder, LARES_ACCESS_READ, 0, &open), ==, LARES_OK);
    g_assert_cmpint(lares_lock_set(open, &a, &write, &conflict), ==, LARES_OPENMODE);
    g_assert_cmpint(lares_lock_set(open, &a, &read, &conflict), ==, LARES_OK);
    end(open);
}

/* ---- Courtesy: RFC 8881 8.4.3 -------------------------------------------------------------------------------------
 */

static LaresOpen *to_close;

static void
close_on_expiry(gpointer user)
{
    note_expiry(user);
    lares_open_close(to_close);
}

static void
test_courteous_holder_yields(Fixture *f, gconstpointer data)
{
    LaresOpen *theirs, *mine;
    LaresLockConflict conflict;
    LaresHolder *sleeper = lares_holder_new("test", close_on_expiry, f, NULL);
    LaresLockOwner a = {.key = &theirs, .name = (const uint8_t *)"a", .name_len = 1};
    LaresLockOwner b = {.key = &mine, .name = (const uint8_t *)"b", .name_len = 1};
    LaresRange range = {0, 10, TRUE};
    g_assert_cmpint(try_open(f, sleeper, 3, LARES_DENY_WRITE, &theirs), ==, LARES_OK);
    to_close = theirs;
    g_assert_cmpint(lares_lock_set(theirs, &a, &range, &conflict), ==, LARES_OK);
    /* Alive: it stands in the way. */
    g_assert_cmpint(try_open(f, f->holder, 3, 0, &mine), ==, LARES_SHARE_DENIED);
    g_assert_cmpint(f->expired, ==, 0);
    /* Courteous, but nobody minds. */
    lares_holder_set_courteous(sleeper, TRUE);
    g_assert_cmpint(try_open(f, f->holder, 1, 0, &mine), ==, LARES_OK);
    g_assert_cmpint(f->expired, ==, 0);
    end(mine);
    /* A conflict ends it. */
    g_assert_cmpint(try_open(f, f->holder, 3, 0, &mine), ==, LARES_OK);
    g_assert_cmpint(f->expired, ==, 1);
    g_assert_cmpint(lares_lock_set(mine, &b, &range, &conflict), ==, LARES_OK);
    end(mine);
    lares_open_unref(theirs);
    lares_holder_unref(sleeper);
}

/* ---- Threads ------------------------------------------------------------------------------------------------------
 */

#define THREADS 4

typedef struct {
    Fixture *f;
    uint8_t name;
    gint *inside; /* how many believe to hold the write lock */
    guint got;
} Racer;

static gpointer
race(gpointer data)
{
    Racer *r = data;
    LaresOpen *open;
    LaresLockConflict conflict;
    LaresLockOwner owner = {.key = r, .name = &r->name, .name_len = 1};
    LaresRange range = {0, 8, TRUE};
    g_assert_cmpint(try_open(r->f, r->f->holder, 3, 0, &open), ==, LARES_OK);
    for (guint i = 0; i < 3000; i++) {
        LaresStatus status = lares_lock_set(open, &owner, &range, &conflict);
        if (status == LARES_OK) {
            g_assert_cmpint(g_atomic_int_add(r->inside, 1), ==, 0);
            r->got++;
            g_atomic_int_add(r->inside, -1);
            g_assert_cmpint(lares_lock_clear(open, &owner, 0, 8), ==, LARES_OK);
        } else {
            g_assert_cmpint(status, ==, LARES_DENIED);
        }
    }
    end(open);
    return NULL;
}

static void
test_one_holds_at_a_time(Fixture *f, gconstpointer data)
{
    GThread *thread[THREADS];
    Racer racer[THREADS];
    gint inside = 0;
    guint got = 0;
    for (guint i = 0; i < THREADS; i++) {
        racer[i] = (Racer){f, (uint8_t)('a' + i), &inside, 0};
        thread[i] = g_thread_new("racer", race, &racer[i]);
    }
    for (guint i = 0; i < THREADS; i++) {
        g_thread_join(thread[i]);
        got += racer[i].got;
    }
    g_assert_cmpuint(got, >, 0);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(path, func) g_test_add("/state/" path, Fixture, NULL, setup, func, teardown)
    ADD("share-matrix", test_share_matrix);
    ADD("upgrade-and-downgrade", test_upgrade_and_downgrade);
    ADD("io-without-an-open", test_io_without_an_open);
    ADD("locks-against-a-model", test_locks_against_a_model);
    ADD("lock-ranges", test_lock_ranges);
    ADD("lock-needs-the-access", test_lock_needs_the_access);
    ADD("courteous-holder-yields", test_courteous_holder_yields);
    ADD("one-holds-at-a-time", test_one_holds_at_a_time);
    return g_test_run();
}
