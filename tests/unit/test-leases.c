/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What SMB adds to the state of a file: leases and oplocks, Windows' byte-range locks, waiting, deletion with the last
 * close; and how all this meets what NFS does. */
#include "state/state-private.h"

#include "memstore.h"

#define R   LARES_LEASE_READ
#define H   LARES_LEASE_HANDLE
#define W   LARES_LEASE_WRITE
#define ALL LARES_ACCESS_READ | LARES_ACCESS_WRITE

typedef struct {
    LaresStore *store;
    LaresNode *node;
    LaresFile *file;
    LaresShare share; /* never published: only its reference count is used */
    LaresHolder *holder;
    LaresLease *one, *two;
    LaresLeaseBreak last;
    LaresLease *broken;
    gint breaks, woken, ran;
} Fixture;

static void
note_break(LaresLease *lease, const LaresLeaseBreak *what, gpointer user)
{
    Fixture *f = user;
    f->last = *what;
    f->broken = lease;
    g_atomic_int_inc(&f->breaks);
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
    g_assert_cmpint(iface->create(f->store, &root, dir, "file", &how, ALL, &f->node, &f->file, &created), ==, LARES_OK);
    f->share.ref = 1 << 20;
    f->holder = lares_holder_new("test", NULL, NULL, NULL);
    f->one = lares_lease_new(f->node, FALSE, note_break, f, NULL);
    f->two = lares_lease_new(f->node, FALSE, note_break, f, NULL);
}

static void
teardown(Fixture *f, gconstpointer data)
{
    g_assert_null(f->node->state);
    g_assert_false(lares_state_has_guards());
    lares_lease_unref(f->one);
    lares_lease_unref(f->two);
    lares_holder_unref(f->holder);
    lares_file_unref(f->file);
    lares_node_unref(f->node);
    g_object_unref(f->store);
}

static LaresStatus
try_open(Fixture *f, LaresOpenHow how, LaresOpen **open)
{
    *open = NULL;
    return lares_state_open_how(f->holder, &f->share, f->node, f->file, &how, open);
}

static LaresOpen *
must_open(Fixture *f, LaresOpenHow how)
{
    LaresOpen *open;
    g_assert_cmpint(try_open(f, how, &open), ==, LARES_OK);
    return open;
}

static LaresOpen *
lease_open(Fixture *f, LaresLease *lease, uint32_t want)
{
    return must_open(f, (LaresOpenHow){.access = ALL, .lease = lease, .lease_want = want});
}

static void
end(LaresOpen *open)
{
    lares_open_close(open);
    lares_open_unref(open);
}

static uint32_t
state_of(LaresLease *lease)
{
    return lares_lease_state(lease, NULL, NULL);
}

/* Only combinations with READ exist, and a lease grows but never shrinks by asking. */
static void
test_grant(Fixture *f, gconstpointer data)
{
    static const uint32_t want[] = {0, R, H, W, R | H, R | W, H | W, R | H | W};
    static const uint32_t get[] = {0, R, 0, 0, R | H, R | W, 0, R | H | W};
    for (guint i = 0; i < G_N_ELEMENTS(want); i++) {
        LaresOpen *open = lease_open(f, f->one, want[i]);
        g_assert_cmpuint(state_of(f->one), ==, get[i]);
        end(open);
        g_assert_cmpuint(state_of(f->one), ==, 0);
    }
    LaresOpen *a = lease_open(f, f->one, R | H), *b = lease_open(f, f->one, R | W);
    g_assert_cmpuint(state_of(f->one), ==, R | H);
    LaresOpen *c = lease_open(f, f->one, R | H | W);
    g_assert_cmpuint(state_of(f->one), ==, R | H | W);
    LaresOpen *d = lease_open(f, f->one, R);
    g_assert_cmpuint(state_of(f->one), ==, R | H | W);
    g_assert_cmpint(f->breaks, ==, 0);
    end(a), end(b), end(c), end(d);
    /* Beside another one a lease grows to all that was asked for, or not at all. */
    a = lease_open(f, f->one, R), b = lease_open(f, f->two, R);
    c = lease_open(f, f->one, R | H | W);
    g_assert_cmpuint(state_of(f->one), ==, R);
    d = lease_open(f, f->one, R | H);
    g_assert_cmpuint(state_of(f->one), ==, R | H);
    end(a), end(b), end(c), end(d);
    /* Who only looks at attributes but keeps a lease stands in the way of exclusive ones all the same. */
    a = must_open(f, (LaresOpenHow){.quiet = TRUE, .lease = f->one, .lease_want = R | H});
    b = lease_open(f, f->two, R | H | W);
    g_assert_cmpuint(state_of(f->two), ==, R | H);
    end(a), end(b);
}

/* A second open waits until the first client has written back; answers that take too much are refused. */
static void
test_break_and_answer(Fixture *f, gconstpointer data)
{
    LaresOpen *a = lease_open(f, f->one, R | H | W), *b;
    LaresOpenHow how = {.access = ALL, .lease = f->two, .lease_want = R | H | W};
    g_assert_cmpint(lares_lease_ack(f->one, R), ==, LARES_INVAL); /* nobody asked */
    g_assert_cmpint(try_open(f, how, &b), ==, LARES_DELAY);
    g_assert_cmpint(f->breaks, ==, 1);
    g_assert_true(f->broken == f->one && f->last.ack);
    g_assert_cmpuint(f->last.to, ==, R | H);
    g_assert_cmpint(try_open(f, how, &b), ==, LARES_DELAY);
    g_assert_cmpint(f->breaks, ==, 1); /* told once */
    g_assert_cmpint(lares_lease_ack(f->one, R | W), ==, LARES_DENIED);
    g_assert_cmpint(lares_lease_ack(f->one, R | H), ==, LARES_OK);
    g_assert_cmpint(try_open(f, how, &b), ==, LARES_OK);
    g_assert_cmpuint(state_of(f->two), ==, R | H);
    end(a), end(b);
}

/* NFS opens and writes break what SMB clients hold; who does not answer loses it. */
static void
test_nfs_in_the_way(Fixture *f, gconstpointer data)
{
    LaresOpen *a = lease_open(f, f->one, R | H | W), *nfs = NULL;
    g_assert_cmpint(lares_state_open(f->holder, &f->share, f->node, f->file, LARES_ACCESS_READ, 0, &nfs), ==,
                    LARES_DELAY);
    lares_lease_time_out(f->one);
    g_assert_cmpuint(state_of(f->one), ==, 0);
    g_assert_cmpint(lares_state_open(f->holder, &f->share, f->node, f->file, ALL, 0, &nfs), ==, LARES_OK);
    LaresOpen *b = lease_open(f, f->two, R | H);
    g_assert_cmpint(lares_state_contend(f->node, nfs, LARES_CONTEND_WRITE, NULL), ==, LARES_OK); /* not waited for */
    g_assert_cmpuint(f->last.to, ==, 0);
    g_assert_cmpint(lares_lease_ack(f->two, 0), ==, LARES_OK);
    end(nfs), end(a), end(b);
}

/* A break that is asked to go further while it is under way goes on after the answer, step by step and as one change.
 */
static void
test_break_goes_on(Fixture *f, gconstpointer data)
{
    LaresOpen *a = lease_open(f, f->one, R | H | W), *b;
    g_assert_cmpint(try_open(f, (LaresOpenHow){.access = ALL}, &b), ==, LARES_DELAY);
    g_assert_cmpint(try_open(f, (LaresOpenHow){.access = ALL, .overwrite = TRUE}, &b), ==, LARES_DELAY);
    g_assert_cmpint(lares_lease_ack(f->one, R | H), ==, LARES_OK);
    g_assert_cmpint(f->breaks, ==, 2);
    g_assert_cmpuint(f->last.from, ==, R | H);
    g_assert_cmpuint(f->last.to, ==, R);
    g_assert_true(f->last.ack);
    uint16_t epoch = f->last.epoch;
    g_assert_cmpint(lares_lease_ack(f->one, R), ==, LARES_OK);
    g_assert_cmpint(f->breaks, ==, 3);
    g_assert_cmpuint(f->last.from, ==, R);
    g_assert_cmpuint(f->last.to, ==, 0);
    g_assert_false(f->last.ack);
    g_assert_cmpuint(f->last.epoch, ==, epoch);
    b = must_open(f, (LaresOpenHow){.access = ALL, .overwrite = TRUE});
    end(a), end(b);
}

/* A sharing violation asks those who only keep a closed file open to let go first. */
static void
test_sharing_violation_breaks_handles(Fixture *f, gconstpointer data)
{
    LaresOpen *b, *a = must_open(f, (LaresOpenHow){.access = LARES_ACCESS_READ,
                                                   .deny = LARES_DENY_WRITE,
                                                   .lease = f->one,
                                                   .lease_want = R | H});
    g_assert_cmpint(try_open(f, (LaresOpenHow){.access = ALL}, &b), ==, LARES_DELAY);
    g_assert_cmpuint(f->last.to, ==, R);
    g_assert_cmpint(lares_lease_ack(f->one, R), ==, LARES_OK);
    g_assert_cmpint(try_open(f, (LaresOpenHow){.access = ALL}, &b), ==, LARES_SHARE_DENIED);
    end(a);
}

static void
test_oplocks(Fixture *f, gconstpointer data)
{
    LaresLease *oplock = lares_lease_new(f->node, TRUE, note_break, f, NULL);
    LaresOpen *b, *a = lease_open(f, oplock, R | H | W);
    LaresOpen *look = must_open(f, (LaresOpenHow){.quiet = TRUE}); /* attributes only: no break */
    g_assert_cmpint(f->breaks, ==, 0);
    g_assert_cmpint(try_open(f, (LaresOpenHow){.quiet = TRUE, .looks = TRUE}, &b), ==, LARES_DELAY);
    g_assert_cmpint(f->breaks, ==, 1);
    g_assert_cmpint(lares_lease_ack(oplock, R | H), ==, LARES_DENIED);
    end(a), end(look);
    a = lease_open(f, oplock, R | H | W);
    look = must_open(f, (LaresOpenHow){.quiet = TRUE});
    g_assert_cmpint(try_open(f, (LaresOpenHow){.access = ALL}, &b), ==, LARES_DELAY);
    g_assert_cmpuint(f->last.to, ==, R); /* batch becomes level II */
    g_assert_cmpint(lares_lease_ack(oplock, R), ==, LARES_OK);
    /* One's own lock breaks one's own level II oplock, without an answer. */
    g_assert_cmpint(lares_range_lock(a, 0, 10, TRUE, NULL), ==, LARES_OK);
    g_assert_cmpuint(state_of(oplock), ==, 0);
    g_assert_false(f->last.ack);
    end(look), end(a);
    lares_lease_unref(oplock);
}

/* ---- Locks ------------------------------------------------------------------------------------------------------- */

static void
test_windows_locks(Fixture *f, gconstpointer data)
{
    LaresOpen *a = must_open(f, (LaresOpenHow){.access = ALL}), *b = must_open(f, (LaresOpenHow){.access = ALL});
    g_assert_cmpint(lares_range_lock(a, 10, 10, TRUE, NULL), ==, LARES_OK);
    g_assert_cmpint(lares_range_lock(a, 15, 1, TRUE, NULL), ==, LARES_DENIED); /* not even one's own */
    g_assert_cmpint(lares_range_lock(a, 10, 10, FALSE, NULL), ==, LARES_OK);   /* but a shared one stacks */
    g_assert_cmpint(lares_range_lock(b, 19, 5, FALSE, NULL), ==, LARES_DENIED);
    g_assert_cmpint(lares_range_lock(b, 20, 0, TRUE, NULL), ==, LARES_OK);
    g_assert_cmpint(lares_range_lock(b, 15, 0, TRUE, NULL), ==, LARES_DENIED);
    g_assert_cmpint(lares_range_check(a, 12, 2, FALSE), ==, LARES_OK);
    g_assert_cmpint(lares_range_check(a, 12, 2, TRUE), ==, LARES_LOCKED); /* its own shared lock */
    g_assert_cmpint(lares_range_check(b, 12, 2, FALSE), ==, LARES_LOCKED);
    g_assert_cmpint(lares_range_check(b, 12, 0, FALSE), ==, LARES_OK);
    g_assert_cmpint(lares_range_unlock(a, 10, 9), ==, LARES_NOENT);
    g_assert_cmpint(lares_range_unlock(a, 10, 10), ==, LARES_OK);
    g_assert_cmpint(lares_range_check(b, 12, 2, FALSE), ==, LARES_OK); /* the exclusive one went first */
    g_assert_cmpint(lares_range_lock(a, UINT64_MAX, 2, TRUE, NULL), ==, LARES_BAD_RANGE);
    g_assert_cmpuint(lares_range_count(a), ==, 1);
    end(a), end(b);
}

/* Locks of NFS and of SMB refuse each other, and NFS locks stop SMB's reading and writing. */
static void
test_both_kinds_of_locks(Fixture *f, gconstpointer data)
{
    LaresOpen *smb = must_open(f, (LaresOpenHow){.access = ALL}), *nfs = must_open(f, (LaresOpenHow){.access = ALL});
    LaresLockOwner owner = {.key = f};
    LaresLockConflict conflict;
    LaresRange range = {0, 100, TRUE}, beside = {200, UINT64_MAX, FALSE};
    g_assert_cmpint(lares_range_lock(smb, 50, 10, FALSE, NULL), ==, LARES_OK);
    g_assert_cmpint(lares_lock_test(f->node, &owner, &range, &conflict), ==, LARES_DENIED);
    g_assert_cmpuint(conflict.range.start, ==, 50);
    g_assert_cmpuint(conflict.range.length, ==, 10);
    g_assert_cmpint(lares_lock_test(f->node, &owner, &beside, &conflict), ==, LARES_OK);
    g_assert_cmpint(lares_range_unlock(smb, 50, 10), ==, LARES_OK);
    end(nfs);
    end(smb);
}

/* ---- Waiting and deleting ---------------------------------------------------------------------------------------- */

static void
note_ready(gpointer user)
{
    Fixture *f = user;
    g_atomic_int_inc(&f->woken);
}

static void
test_waiting(Fixture *f, gconstpointer data)
{
    LaresOpen *a = must_open(f, (LaresOpenHow){.access = ALL}), *b = must_open(f, (LaresOpenHow){.access = ALL});
    uint64_t seen;
    g_assert_cmpint(lares_range_lock(a, 0, 1, TRUE, NULL), ==, LARES_OK);
    g_assert_cmpint(lares_range_lock(b, 0, 1, TRUE, &seen), ==, LARES_DENIED);
    LaresWait *given_up = lares_state_wait(f->node, seen, note_ready, f, NULL);
    LaresWait *wait = lares_state_wait(f->node, seen, note_ready, f, NULL);
    g_assert_true(lares_wait_end(given_up));
    g_assert_cmpint(lares_range_unlock(a, 0, 1), ==, LARES_OK);
    g_assert_cmpint(f->woken, ==, 1);
    g_assert_false(lares_wait_end(wait));
    g_assert_null(lares_state_wait(f->node, seen, note_ready, f, NULL)); /* it changed: no wait */
    end(a), end(b);
}

typedef struct {
    LaresUnlink base;
    Fixture *f;
} TestUnlink;

static void
note_run(LaresUnlink *unlink)
{
    ((TestUnlink *)unlink)->f->ran++;
    g_free(unlink);
}

static void
just_free(LaresUnlink *unlink)
{
    g_free(unlink);
}

static LaresUnlink *
new_unlink(Fixture *f)
{
    TestUnlink *unlink = g_new0(TestUnlink, 1);
    unlink->base = (LaresUnlink){note_run, just_free};
    unlink->f = f;
    return &unlink->base;
}

static void
test_deleting_with_the_last_close(Fixture *f, gconstpointer data)
{
    LaresOpen *c, *a = must_open(f, (LaresOpenHow){.access = ALL}), *b = must_open(f, (LaresOpenHow){.access = ALL});
    g_assert_cmpint(lares_state_set_unlink(a, new_unlink(f)), ==, LARES_OK);
    g_assert_true(lares_open_delete_pending(b));
    g_assert_cmpint(try_open(f, (LaresOpenHow){.quiet = TRUE}, &c), ==, LARES_DELETE_PENDING);
    g_assert_cmpint(lares_state_set_unlink(b, NULL), ==, LARES_OK); /* taken back by somebody else */
    c = must_open(f, (LaresOpenHow){.quiet = TRUE});
    g_assert_cmpint(lares_state_set_unlink(a, new_unlink(f)), ==, LARES_OK);
    end(a), end(b);
    g_assert_cmpint(f->ran, ==, 0);
    end(c);
    g_assert_cmpint(f->ran, ==, 1);
}

/* Who denies deletion keeps the name. */
static void
test_name_may_go(Fixture *f, gconstpointer data)
{
    LaresOpen *c, *a = must_open(f, (LaresOpenHow){.access = LARES_ACCESS_READ, .deny = LARES_DENY_DELETE});
    g_assert_true(lares_state_has_guards());
    g_assert_cmpint(lares_state_name_may_go(f->node, NULL, NULL), ==, LARES_FILE_OPEN);
    g_assert_cmpint(lares_state_name_may_go(f->node, a, NULL), ==, LARES_OK);
    g_assert_cmpint(try_open(f, (LaresOpenHow){.access = LARES_ACCESS_DELETE}, &c), ==, LARES_SHARE_DENIED);
    end(a);
    a = lease_open(f, f->one, R | H);
    g_assert_cmpint(lares_state_name_may_go(f->node, NULL, NULL), ==, LARES_DELAY);
    end(a); /* closing is an answer */
    g_assert_cmpint(lares_state_name_may_go(f->node, NULL, NULL), ==, LARES_OK);
}

/* ---- Many threads ------------------------------------------------------------------------------------------------ */

static void
answer_break(LaresLease *lease, const LaresLeaseBreak *what, gpointer user)
{
    if (what->ack)
        lares_lease_ack(lease, what->to);
}

static gpointer
open_and_lock(gpointer data)
{
    Fixture *f = data;
    LaresLease *lease = lares_lease_new(f->node, FALSE, answer_break, NULL, NULL);
    for (guint i = 0; i < 500; i++) {
        LaresOpen *open;
        LaresOpenHow how = {.access = ALL, .lease = lease, .lease_want = R | H | W};
        if (try_open(f, how, &open) != LARES_OK)
            continue;
        uint64_t seen = 0;
        if (lares_range_lock(open, i % 7, 3, TRUE, &seen) == LARES_DENIED) {
            LaresWait *wait = lares_state_wait(f->node, seen, note_ready, f, NULL);
            if (wait)
                lares_wait_end(wait);
        }
        lares_state_contend(f->node, open, LARES_CONTEND_WRITE, NULL);
        end(open);
    }
    lares_lease_unref(lease);
    return NULL;
}

static void
test_threads(Fixture *f, gconstpointer data)
{
    GThread *threads[4];
    for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("opener", open_and_lock, f);
    for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
        g_thread_join(threads[i]);
}

#define ADD(path, func) g_test_add(path, Fixture, NULL, setup, func, teardown)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/leases/grant", test_grant);
    ADD("/leases/break-and-answer", test_break_and_answer);
    ADD("/leases/nfs-in-the-way", test_nfs_in_the_way);
    ADD("/leases/break-goes-on", test_break_goes_on);
    ADD("/leases/sharing-violation-breaks-handles", test_sharing_violation_breaks_handles);
    ADD("/leases/oplocks", test_oplocks);
    ADD("/leases/windows-locks", test_windows_locks);
    ADD("/leases/both-kinds-of-locks", test_both_kinds_of_locks);
    ADD("/leases/waiting", test_waiting);
    ADD("/leases/deleting-with-the-last-close", test_deleting_with_the_last_close);
    ADD("/leases/name-may-go", test_name_may_go);
    ADD("/leases/threads", test_threads);
    return g_test_run();
}
