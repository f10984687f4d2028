/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What one client may take of the server: opens, owners, locks, kept replies. Whoever meets a bound is told so in a way
 * that leaves its sequence whole, room that is given back can be used again, and another client still works.
 *
 * Spec: RFC 7530 13.1.1.7 and 9.1.7 (RESOURCE), RFC 8881 15.1.1.3 (DELAY), 18.36.4 (NOSPC) */
#include "memstore.h"
#include "nfs4-state-private.h"
#include "nfs4talk.h"

#include "state/state-private.h"

#include <time.h>

#define FULL(minor) ((minor) == 0 ? NFS4ERR_RESOURCE : NFS4ERR_DELAY)

/* An open that must succeed, confirmed in 4.0 with the next number. */
static Nfs4Stateid
must_open(Talk *t, const char *owner, const char *file)
{
    Nfs4Stateid stateid;
    g_assert_cmpuint(talk_open(t, owner, 1, file, &stateid), ==, NFS4_OK);
    if (t->minor == 0)
        g_assert_cmpuint(talk_confirm(t, 2, file, &stateid), ==, NFS4_OK);
    return stateid;
}

static gboolean
is_there(Talk *t, const char *file)
{
    talk_begin(t);
    talk_go(t, file);
    return talk_run(t) == NFS4_OK;
}

static void
read_without_open(Talk *t, const char *file)
{
    const Nfs4Stateid anonymous = {0};
    talk_begin(t);
    talk_go(t, file);
    talk_op(t, OP_READ);
    nfs4_put_stateid(&t->ops, &anonymous);
    lares_put_u64(&t->ops, 0);
    lares_put_u32(&t->ops, 16);
    g_assert_cmpuint(talk_run(t), ==, NFS4_OK);
}

static void
test_opens(gconstpointer data)
{
    uint32_t minor = GPOINTER_TO_UINT(data);
    enum { MAX_OPENS = 20 };
    Nfs4Rig *rig = nfs4_rig_new();
    nfs4_rig_service(rig)->settings.max_opens = MAX_OPENS;
    Talk *greedy = talk_as(rig, minor, "greedy"), *other = talk_as(rig, minor, "other");
    Nfs4Stateid stateid[MAX_OPENS], more;
    char name[16], owner[16];
    for (int i = 0; i < MAX_OPENS; i++) {
        g_snprintf(name, sizeof name, "f%d", i);
        g_snprintf(owner, sizeof owner, "o%d", i);
        stateid[i] = must_open(greedy, owner, name);
    }
    g_assert_cmpuint(talk_open(greedy, "o0", 3, "more", &more), ==, FULL(minor));
    g_assert_false(is_there(greedy, "more")); /* refused before it was made */
    read_without_open(greedy, "f1");
    /* What an owner has open it may open again, with create, too: that takes nothing. */
    g_assert_cmpuint(talk_open(greedy, "o1", 3, "f1", &more), ==, NFS4_OK);
    g_assert_cmpmem(more.other, sizeof more.other, stateid[1].other, sizeof stateid[1].other);
    g_assert_cmpuint(talk_open(greedy, "o1", 4, "f2", &more), ==, FULL(minor)); /* another owner's */
    must_open(other, "o0", "f0");
    must_open(other, "o1", "theirs");
    /* The refusal left the sequence of o0 where it was. */
    g_assert_cmpuint(talk_close(greedy, 3, "f0", &stateid[0]), ==, NFS4_OK);
    g_assert_cmpuint(talk_open(greedy, "o0", 4, "more", &more), ==, NFS4_OK);
    g_assert_cmpuint(talk_open(greedy, "o0", 5, "even more", &stateid[0]), ==, FULL(minor));
    g_assert_cmpuint(lares_state_count_opens(), ==, MAX_OPENS + 2);
    talk_free(greedy);
    talk_free(other);
    nfs4_rig_free(rig);
    g_assert_cmpuint(lares_state_count_opens(), ==, 0);
}

/* However much the settings allow each of them: descriptors are all clients' together. */
static void
test_opens_of_all(void)
{
    enum { ALL = 16 };
    Nfs4Rig *rig = nfs4_rig_new();
    Talk *greedy = talk_as(rig, 1, "greedy"), *other = talk_as(rig, 0, "other"), *third = talk_as(rig, 1, "third");
    Nfs4Stateid stateid, first = {0};
    char name[16], owner[16];
    lares_state_limit_opens(ALL);
    g_assert_false(lares_opens_are_scarce());
    for (int i = 0; i < ALL * 3 / 4; i++) {
        g_snprintf(name, sizeof name, "f%d", i);
        stateid = must_open(greedy, "o", name);
        if (i == 0)
            first = stateid;
    }
    g_assert_cmpuint(talk_open(greedy, "o", 0, "more", &stateid), ==, NFS4ERR_DELAY);
    g_assert_true(lares_opens_are_scarce()); /* who is gone gets no courtesy now */
    for (int i = 0; i < ALL / 4; i++) {
        g_snprintf(owner, sizeof owner, "o%d", i);
        must_open(other, owner, "f0");
    }
    g_assert_cmpuint(talk_open(other, "one too many", 1, "f0", &stateid), ==, NFS4ERR_RESOURCE);
    g_assert_cmpuint(talk_open(third, "o", 0, "f0", &stateid), ==, NFS4ERR_DELAY);
    g_assert_cmpuint(talk_close(greedy, 0, "f0", &first), ==, NFS4_OK);
    g_assert_cmpuint(talk_open(third, "o", 0, "f0", &stateid), ==, NFS4_OK);
    lares_state_limit_opens(0);
    talk_free(greedy);
    talk_free(other);
    talk_free(third);
    nfs4_rig_free(rig);
}

/* 4.0 remembers an owner's sequence for a lease; 4.1 has nothing to remember of one that has nothing open. */
static void
test_owners(gconstpointer data)
{
    uint32_t minor = GPOINTER_TO_UINT(data);
    enum { MAX_OWNERS = 16 };
    Nfs4Rig *rig = nfs4_rig_new();
    nfs4_rig_service(rig)->settings.max_owners = MAX_OWNERS;
    Talk *greedy = talk_as(rig, minor, "greedy"), *other = talk_as(rig, minor, "other");
    Nfs4Stateid first = must_open(greedy, "first", "f"), stateid;
    char owner[16];
    for (int i = 1; i < MAX_OWNERS; i++) {
        g_snprintf(owner, sizeof owner, "o%d", i);
        must_open(greedy, owner, "f");
    }
    g_assert_cmpuint(talk_open(greedy, "one more", 1, "f", &stateid), ==, FULL(minor));
    g_assert_cmpuint(talk_lock(greedy, "locker", 3, 1, "f", &first, 0, 1, &stateid), ==, FULL(minor));
    must_open(other, "o", "f");
    g_assert_cmpuint(talk_close(greedy, 3, "f", &first), ==, NFS4_OK);
    g_usleep(1100000); /* looked through once a second */
    g_assert_cmpuint(talk_open(greedy, "one more", 1, "f", &stateid), ==, minor == 0 ? FULL(minor) : NFS4_OK);
    talk_free(greedy);
    talk_free(other);
    nfs4_rig_free(rig);
}

static void
test_locks(gconstpointer data)
{
    uint32_t minor = GPOINTER_TO_UINT(data);
    enum { MAX_LOCKS = 16 };
    Nfs4Rig *rig = nfs4_rig_new();
    nfs4_rig_service(rig)->settings.max_locks = MAX_LOCKS;
    Talk *greedy = talk_as(rig, minor, "greedy"), *other = talk_as(rig, minor, "other");
    Nfs4Stateid open = must_open(greedy, "o", "f"), theirs = must_open(other, "o", "f"), lock, first;
    uint32_t seq = 1;
    g_assert_cmpuint(talk_lock(greedy, "l", 3, seq++, "f", &open, 0, 10, &lock), ==, NFS4_OK);
    for (uint64_t i = 1; i < MAX_LOCKS; i++)
        g_assert_cmpuint(talk_lock(greedy, NULL, 0, seq++, "f", &lock, i * 100, 10, &lock), ==, NFS4_OK);
    g_assert_cmpuint(talk_lock(greedy, NULL, 0, seq, "f", &lock, 9000, 1, &first), ==, FULL(minor));
    /* A part out of the middle would leave one more. */
    g_assert_cmpuint(talk_unlock(greedy, seq, "f", &lock, 104, 2), ==, FULL(minor));
    g_assert_cmpuint(talk_lock(other, "l", 3, 1, "f", &theirs, 9000, 1, &first), ==, NFS4_OK);
    g_assert_cmpuint(talk_unlock(greedy, seq++, "f", &lock, 100, 10), ==, NFS4_OK);
    g_assert_cmpuint(talk_unlock(greedy, seq++, "f", &lock, 204, 2), ==, NFS4_OK);
    g_assert_cmpuint(talk_lock(greedy, NULL, 0, seq++, "f", &lock, 7000, 1, &lock), ==, FULL(minor));
    g_assert_cmpuint(talk_close(greedy, 4, "f", &open), ==, NFS4_OK);
    Nfs4Client *client;
    guint opens, locks;
    g_assert_cmpuint(nfs4_client_by_id(nfs4_rig_service(rig)->state, greedy->id, &client), ==, NFS4_OK);
    lares_holder_count(client->holder, &opens, &locks);
    g_assert_cmpuint(opens, ==, 0);
    g_assert_cmpuint(locks, ==, 0);
    nfs4_client_unref(client);
    talk_free(greedy);
    talk_free(other);
    nfs4_rig_free(rig);
}

static void
destroy_session(Talk *t, const uint8_t *session)
{
    uint32_t slots = t->slots;
    t->slots = 0;
    talk_begin(t);
    talk_op(t, OP_DESTROY_SESSION);
    lares_put_bytes(&t->ops, session, NFS4_SESSIONID);
    g_assert_cmpuint(talk_run(t), ==, NFS4_OK);
    t->slots = slots;
}

/* Fewer slots than asked for, then none: what is promised to be kept is bounded when it is promised. */
static void
test_kept_replies(void)
{
    enum { CACHED = 8192, KEPT = 64 * 1024 };
    Nfs4Rig *rig = nfs4_rig_new();
    Nfs4State *state = nfs4_rig_service(rig)->state;
    nfs4_rig_service(rig)->settings.max_kept = KEPT;
    uint8_t first[NFS4_SESSIONID];
    Talk *greedy = talk_new(rig, 1), *other = talk_new(rig, 1);
    g_assert_cmpuint(talk_exchange_id(greedy, "greedy"), ==, NFS4_OK);
    g_assert_cmpuint(talk_create_session(greedy, 6, CACHED), ==, NFS4_OK);
    g_assert_cmpuint(greedy->slots, ==, 6);
    memcpy(first, greedy->session, sizeof first);
    g_assert_cmpuint(talk_create_session(greedy, 64, CACHED), ==, NFS4_OK);
    g_assert_cmpuint(greedy->slots, ==, KEPT / CACHED - 6);
    g_assert_cmpuint(talk_create_session(greedy, 1, CACHED), ==, NFS4ERR_NOSPC);
    g_assert_cmpuint(talk_create_session(greedy, 1, 0), ==, NFS4ERR_NOSPC);
    g_assert_cmpuint(talk_exchange_id(other, "other"), ==, NFS4_OK);
    g_assert_cmpuint(talk_create_session(other, 4, CACHED), ==, NFS4_OK);
    g_assert_cmpuint(other->slots, ==, 4);
    destroy_session(greedy, first);
    g_assert_cmpuint(talk_create_session(greedy, 64, CACHED), ==, NFS4_OK);
    g_assert_cmpuint(greedy->slots, ==, 6);
    g_assert_cmpuint(state->kept, ==, KEPT + 4 * CACHED);
    /* All the server's memory for it is promised: a few slots each are left. */
    state->max_kept = state->kept;
    Talk *late = talk_new(rig, 1);
    g_assert_cmpuint(talk_exchange_id(late, "late"), ==, NFS4_OK);
    g_assert_cmpuint(talk_create_session(late, 64, 1024), ==, NFS4_OK);
    g_assert_cmpuint(late->slots, ==, NFS4_MIN_SLOTS);
    talk_free(greedy);
    talk_free(other);
    talk_free(late);
    nfs4_rig_free(rig);
}

/* ---- Many of one client -------------------------------------------------------------------------------------------
 */

#define LOCKS 500

/* Nanoseconds of this thread's own work: others may be busy on this machine. */
static gint64
cpu_time(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (gint64)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Opens, locks (some) and closes `n` times; the slowest of the three in nanoseconds per operation. */
static double
time_each(Talk *t, guint n, gboolean one_file)
{
    Nfs4Stateid *open = g_new(Nfs4Stateid, n), *lock = g_new(Nfs4Stateid, n);
    char name[24], owner[24];
    gint64 at[4];
    at[0] = cpu_time();
    for (int step = 0; step < 3; step++) {
        for (guint i = 0; i < n; i++) {
            /* In an order in which a list that is gone through would be gone through whole. */
            g_snprintf(name, sizeof name, "f%u", one_file ? 0 : i % 64);
            g_snprintf(owner, sizeof owner, "o%u", i);
            if (step == 0)
                g_assert_cmpuint(talk_open(t, owner, 0, name, &open[i]), ==, NFS4_OK);
            else if (step == 1 && i % (n / LOCKS) == 0)
                g_assert_cmpuint(talk_lock(t, owner, 0, 0, name, &open[i], i, 1, &lock[i]), ==, NFS4_OK);
            else if (step == 2)
                g_assert_cmpuint(talk_close(t, 0, name, &open[i]), ==, NFS4_OK);
        }
        at[step + 1] = cpu_time();
    }
    double ns[3], worst = 0;
    for (int step = 0; step < 3; step++) {
        ns[step] = (double)(at[step + 1] - at[step]) / (step == 1 ? LOCKS : n);
        worst = MAX(worst, ns[step]);
    }
    g_test_message("%u opens, %s: open %.0f ns, lock %.0f ns, close %.0f ns each", n,
                   one_file ? "one file" : "64 files", ns[0], ns[1], ns[2]);
    g_free(open);
    g_free(lock);
    return worst;
}

/* Ten times as many of one client: each costs about the same, not ten times as much. */
static void
test_many(gconstpointer one_file)
{
    const guint n = 50000;
    Nfs4Rig *rig = nfs4_rig_new();
    Talk *t = talk_as(rig, 1, "many");
    time_each(t, n / 50, one_file != NULL);
    double few = time_each(t, n / 10, one_file != NULL), many = time_each(t, n, one_file != NULL);
    g_assert_cmpfloat(many, <, 5 * few + 20000); /* looking at each of the others would take ten times as long */
    talk_free(t);
    nfs4_rig_free(rig);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/nfs4/limits/opens/4.0", GUINT_TO_POINTER(0), test_opens);
    g_test_add_data_func("/nfs4/limits/opens/4.1", GUINT_TO_POINTER(1), test_opens);
    g_test_add_func("/nfs4/limits/opens/all", test_opens_of_all);
    g_test_add_data_func("/nfs4/limits/owners/4.0", GUINT_TO_POINTER(0), test_owners);
    g_test_add_data_func("/nfs4/limits/owners/4.1", GUINT_TO_POINTER(1), test_owners);
    g_test_add_data_func("/nfs4/limits/locks/4.0", GUINT_TO_POINTER(0), test_locks);
    g_test_add_data_func("/nfs4/limits/locks/4.1", GUINT_TO_POINTER(1), test_locks);
    g_test_add_func("/nfs4/limits/kept-replies", test_kept_replies);
    g_test_add_data_func("/nfs4/limits/many/files", NULL, test_many);
    g_test_add_data_func("/nfs4/limits/many/one-file", GUINT_TO_POINTER(1), test_many);
    return g_test_run();
}
