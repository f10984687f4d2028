/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Several threads at once, second part (test-nfs4-stress.c is the first): owners of 4.0 that all threads share, with
 * retries and wrong numbers; clients under SP4_MACH_CRED, sessions and their connections; while the main thread lists
 * and ends clients and changes the share's policy.
 *
 * What is asserted: the server stays up (and clean under a sanitizer), and when all clients are gone nothing is left.
 *
 * Environment: LARES_TEST_SECONDS how long (2), LARES_TEST_SEED of the random numbers. */
#include "memstore.h"
#include "nfs4-state-private.h"
#include "nfs4talk.h"
#include "sealauth.h"

#include "state/state-private.h"

#define THREADS 4u
#define OWNERS  6u
#define FILES   2u
#define ENFORCED                                                                                                       \
    (UINT64_C(1) << OP_DESTROY_SESSION | UINT64_C(1) << OP_BIND_CONN_TO_SESSION | UINT64_C(1) << OP_EXCHANGE_ID)

/* What all threads believe of a 4.0 owner: its next number and its newest stateids. */
typedef struct {
    uint32_t seqid, lock_seqid;
    char file[8];
    Nfs4Stateid open, lock;
} Shared;

typedef struct {
    Talk *old;       /* 4.0 */
    Talk *plain;     /* 4.1 over sys */
    Talk *protected; /* 4.1 over seal, under SP4_MACH_CRED */
    GRand *rand;
} Player;

static GMutex lock;
static Shared shared[OWNERS]; /* under lock */
static uint8_t sessions[4][NFS4_SESSIONID];
static gint stop, answered;

static uint32_t
upto(Player *p, uint32_t n)
{
    return (uint32_t)g_rand_int_range(p->rand, 0, (gint32)n);
}

static void
note(uint32_t status)
{
    if (status == NFS4_OK)
        g_atomic_int_inc(&answered);
}

/* ---- 4.0 ----------------------------------------------------------------------------------------------------------
 */

static void
introduce_40(Player *p)
{
    Talk *t = p->old;
    talk_begin(t);
    talk_op(t, OP_SETCLIENTID);
    lares_put_u64(&t->ops, upto(p, 30) == 0 ? upto(p, 100) : 7);
    lares_put_string(&t->ops, "old");
    lares_put_u32(&t->ops, 0);
    lares_put_string(&t->ops, "tcp");
    lares_put_string(&t->ops, "127.0.0.1.0.0");
    lares_put_u32(&t->ops, 0);
    if (talk_run(t) != NFS4_OK)
        return;
    talk_result(t, OP_SETCLIENTID);
    t->id = lares_get_u64(&t->reply);
    uint64_t confirm = lares_get_u64(&t->reply);
    talk_begin(t);
    talk_op(t, OP_SETCLIENTID_CONFIRM);
    lares_put_u64(&t->ops, t->id);
    lares_put_u64(&t->ops, confirm);
    note(talk_run(t));
}

static Shared
look(uint32_t i)
{
    g_mutex_lock(&lock);
    Shared now = shared[i];
    g_mutex_unlock(&lock);
    return now;
}

/* The next number, at times the last one again or a wrong one. */
static uint32_t
number(Player *p, uint32_t last)
{
    uint32_t dice = upto(p, 10);
    return dice == 0 ? last + upto(p, 100) : last + (dice > 2);
}

static void
play_open_40(Player *p, uint32_t i)
{
    Shared now = look(i);
    char owner[8], file[8];
    g_snprintf(owner, sizeof owner, "o%u", i);
    g_snprintf(file, sizeof file, "f%u", upto(p, FILES));
    uint32_t seqid = number(p, now.seqid);
    uint32_t status = talk_open(p->old, owner, seqid, file, &now.open);
    note(status);
    if (status == NFS4ERR_STALE_CLIENTID)
        introduce_40(p);
    if (status != NFS4_OK)
        return;
    g_mutex_lock(&lock);
    shared[i].seqid = seqid;
    shared[i].open = now.open;
    memcpy(shared[i].file, file, sizeof file);
    g_mutex_unlock(&lock);
    if (talk_confirm(p->old, seqid + 1, file, &now.open) != NFS4_OK)
        return;
    g_mutex_lock(&lock);
    shared[i].seqid = seqid + 1;
    shared[i].open = now.open;
    g_mutex_unlock(&lock);
}

static void
play_lock_40(Player *p, uint32_t i)
{
    Shared now = look(i);
    char owner[8];
    uint32_t status, seqid = number(p, now.seqid), lock_seqid = number(p, now.lock_seqid), what = upto(p, 4);
    g_snprintf(owner, sizeof owner, "l%u", upto(p, 2));
    if (what < 2)
        status =
            talk_lock(p->old, owner, seqid, lock_seqid, now.file, &now.open, upto(p, 20), 1 + upto(p, 9), &now.lock);
    else if (what == 2)
        status = talk_lock(p->old, NULL, 0, lock_seqid, now.file, &now.lock, upto(p, 20), 1 + upto(p, 9), &now.lock);
    else
        status = talk_unlock(p->old, lock_seqid, now.file, &now.lock, upto(p, 20), 1 + upto(p, 9));
    note(status);
    g_mutex_lock(&lock);
    if (status == NFS4_OK || status == NFS4ERR_DENIED)
        shared[i].lock_seqid = lock_seqid;
    if (what < 2 && (status == NFS4_OK || status == NFS4ERR_DENIED))
        shared[i].seqid = seqid;
    if (status == NFS4_OK)
        shared[i].lock = now.lock;
    g_mutex_unlock(&lock);
}

static void
play_close_40(Player *p, uint32_t i)
{
    Shared now = look(i);
    uint32_t seqid = number(p, now.seqid);
    uint32_t status = talk_close(p->old, seqid, now.file, &now.open);
    note(status);
    if (status != NFS4_OK)
        return;
    g_mutex_lock(&lock);
    shared[i].seqid = seqid;
    g_mutex_unlock(&lock);
}

/* RENEW, RELEASE_LOCKOWNER, LOCKT: by the client id alone. */
static void
play_by_id(Player *p)
{
    static const uint32_t ops[] = {OP_RENEW, OP_RELEASE_LOCKOWNER, OP_LOCKT};
    Talk *t = p->old;
    uint32_t op = ops[upto(p, G_N_ELEMENTS(ops))];
    uint64_t id = upto(p, 4) ? t->id : p->plain->id;
    talk_begin(t);
    if (op == OP_LOCKT) {
        talk_go(t, "f0");
        talk_op(t, op);
        lares_put_u32(&t->ops, WRITE_LT);
        lares_put_u64(&t->ops, 0);
        lares_put_u64(&t->ops, 50);
    } else {
        talk_op(t, op);
    }
    lares_put_u64(&t->ops, id);
    if (op != OP_RENEW)
        lares_put_string(&t->ops, upto(p, 2) ? "l0" : "l1");
    note(talk_run(t));
}

/* ---- 4.1 ----------------------------------------------------------------------------------------------------------
 */

/* A new introduction and session; the other threads hear of the session. */
static void
introduce_41(Player *p, Talk *t)
{
    uint32_t status = talk_exchange_id(t, t->mach_cred ? "protected" : "plain");
    if (status == NFS4_OK)
        status = talk_create_session(t, 1 + upto(p, 8), upto(p, 4096));
    note(status);
    if (status != NFS4_OK)
        return;
    g_mutex_lock(&lock);
    memcpy(sessions[upto(p, G_N_ELEMENTS(sessions))], t->session, NFS4_SESSIONID);
    g_mutex_unlock(&lock);
    talk_begin(t);
    talk_op(t, OP_RECLAIM_COMPLETE);
    lares_put_u32(&t->ops, FALSE);
    note(talk_run(t));
}

/* An operation about some session, outside of any. */
static void
play_session(Player *p, Talk *t)
{
    uint8_t id[NFS4_SESSIONID];
    uint32_t slots = t->slots;
    g_mutex_lock(&lock);
    memcpy(id, sessions[upto(p, G_N_ELEMENTS(sessions))], sizeof id);
    g_mutex_unlock(&lock);
    t->slots = 0;
    talk_begin(t);
    if (upto(p, 3)) {
        static const uint32_t directions[] = {CDFC4_FORE, CDFC4_BACK, CDFC4_FORE_OR_BOTH, CDFC4_BACK_OR_BOTH};
        talk_op(t, OP_BIND_CONN_TO_SESSION);
        lares_put_bytes(&t->ops, id, sizeof id);
        lares_put_u32(&t->ops, directions[upto(p, G_N_ELEMENTS(directions))]);
        lares_put_u32(&t->ops, FALSE);
    } else {
        talk_op(t, OP_DESTROY_SESSION);
        lares_put_bytes(&t->ops, id, sizeof id);
    }
    note(talk_run(t));
    t->slots = slots;
}

static void
play_files_41(Player *p, Talk *t)
{
    Nfs4Stateid open, held;
    char owner[8], file[8];
    g_snprintf(owner, sizeof owner, "o%u", upto(p, 3));
    g_snprintf(file, sizeof file, "f%u", upto(p, FILES));
    uint32_t status = talk_open(t, owner, 0, file, &open);
    note(status);
    if (status == NFS4ERR_BADSESSION || status == NFS4ERR_DEADSESSION)
        introduce_41(p, t);
    if (status != NFS4_OK)
        return;
    note(talk_lock(t, owner, 0, 0, file, &open, upto(p, 20), 1 + upto(p, 9), &held));
    if (upto(p, 2))
        note(talk_close(t, 0, file, &open));
}

/* ---- The game -----------------------------------------------------------------------------------------------------
 */

static void
play(Player *p)
{
    uint32_t what = upto(p, 100), i = upto(p, OWNERS);
    Talk *t = upto(p, 2) ? p->plain : p->protected;
    if (what < 2)
        introduce_40(p);
    else if (what < 25)
        play_open_40(p, i);
    else if (what < 45)
        play_lock_40(p, i);
    else if (what < 55)
        play_close_40(p, i);
    else if (what < 60)
        play_by_id(p);
    else if (what < 64)
        introduce_41(p, t);
    else if (what < 75)
        play_session(p, t);
    else
        play_files_41(p, t);
}

static gpointer
player(gpointer data)
{
    while (!g_atomic_int_get(&stop))
        play(data);
    return NULL;
}

/* Main thread: management, and a policy that is another one each time. */
static gboolean
manage(gpointer data)
{
    static const char *const sec[] = {"sys,seal", "sys,seal", "seal", "sys", "none,seal,sys"};
    static guint turn;
    Nfs4Rig *rig = data;
    Nfs4State *state = nfs4_rig_service(rig)->state;
    g_autoptr(GVariant) list = g_variant_ref_sink(nfs4_state_list(state));
    GVariantBuilder status;
    const char *id;
    nfs4_rig_set_sec(rig, sec[turn++ % G_N_ELEMENTS(sec)]);
    g_variant_builder_init(&status, G_VARIANT_TYPE_VARDICT);
    nfs4_state_status(state, &status);
    g_variant_unref(g_variant_ref_sink(g_variant_builder_end(&status)));
    if (turn % 8 == 0 && g_variant_n_children(list)) {
        g_autoptr(GVariant) one = g_variant_get_child_value(list, turn / 8 % g_variant_n_children(list));
        if (g_variant_lookup(one, "id", "&s", &id))
            nfs4_state_end(state, id);
    }
    return G_SOURCE_CONTINUE;
}

static void
end_client(Nfs4Client *client, gpointer user)
{
    nfs4_client_destroy(client, TRUE);
}

static guint
env_number(const char *name, guint otherwise)
{
    const char *value = g_getenv(name);
    return value ? (guint)g_ascii_strtoull(value, NULL, 10) : otherwise;
}

static gboolean
time_is_up(gpointer loop)
{
    g_main_loop_quit(loop);
    return G_SOURCE_REMOVE;
}

static void
make_player(Player *p, Nfs4Rig *rig, guint seed)
{
    p->rand = g_rand_new_with_seed(seed);
    p->old = talk_new(rig, 0);
    p->plain = talk_new(rig, 1);
    p->protected = talk_new(rig, 1);
    p->protected->mach_cred = ENFORCED;
    nfs4_rig_set_flavor(p->protected->rig, SEAL_RPC_FLAVOR);
    /* GLib makes a type's class at its first use, under a lock that ThreadSanitizer cannot see: not in the threads. */
    introduce_40(p);
    introduce_41(p, p->plain);
    introduce_41(p, p->protected);
}

static void
free_player(Player *p)
{
    talk_free(p->old);
    talk_free(p->plain);
    talk_free(p->protected);
    g_rand_free(p->rand);
}

static void
test_crowd(void)
{
    Player players[THREADS] = {0};
    GThread *threads[THREADS];
    Nfs4Rig *rig = nfs4_rig_new_leased(1);
    Nfs4State *state = nfs4_rig_service(rig)->state;
    guint seed = env_number("LARES_TEST_SEED", 1);
    nfs4_rig_service(rig)->settings.max_owners = 32;
    nfs4_rig_service(rig)->settings.max_kept = 64 * 1024;
    nfs4_rig_set_sec(rig, "sys,seal");
    for (uint32_t i = 0; i < THREADS; i++)
        make_player(&players[i], rig, seed + i);
    for (uint32_t i = 0; i < THREADS; i++)
        threads[i] = g_thread_new("player", player, &players[i]);
    g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE); /* the leases are judged here */
    guint manager = g_timeout_add(30, manage, rig);
    g_timeout_add_seconds(env_number("LARES_TEST_SECONDS", 2), time_is_up, loop);
    g_main_loop_run(loop);
    g_source_remove(manager);
    g_atomic_int_set(&stop, TRUE);
    for (uint32_t i = 0; i < THREADS; i++) {
        g_thread_join(threads[i]);
        free_player(&players[i]);
    }
    g_test_message("%d operations went through", answered);
    g_assert_cmpint(answered, >, 100);
    nfs4_client_foreach(state, end_client, NULL);
    g_assert_cmpuint(g_hash_table_size(state->by_id), ==, 0);
    g_assert_cmpuint(g_hash_table_size(state->sessions), ==, 0);
    g_assert_cmpuint(state->kept, ==, 0);
    g_assert_cmpuint(lares_state_count_opens(), ==, 0);
    g_assert_cmpuint(memstore_count_opens(nfs4_rig_store(rig)), ==, 0);
    nfs4_rig_free(rig);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/nfs4/crowd", test_crowd);
    return g_test_run();
}
