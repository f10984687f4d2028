/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Clients, sessions, opens and locks from several threads at random: a few clients that all threads play, so that
 * opens, closes, locks, restarts, destroys and administrators' ends of the same things meet each other.
 *
 * What is asserted: the server stays up (and clean under a sanitizer), and when all clients are gone nothing is left:
 * no open file, no session, no stateid.
 *
 * Environment: LARES_TEST_SECONDS how long (2), LARES_TEST_SEED of the random numbers. */
#include "memstore.h"
#include "nfs4-state-private.h"
#include "nfs4rig.h"

#define THREADS 4u
#define CLIENTS 4u
#define FILES   3u
#define KNOWN   24u

typedef struct {
    Nfs4Stateid stateid;
    uint32_t file;
} Known;

/* One 4.1 client as all threads know it. */
typedef struct {
    GMutex lock;
    uint64_t id;
    uint8_t session[NFS4_SESSIONID];
    uint32_t generation;
    Known opens[KNOWN], locks[KNOWN];
} Client;

typedef struct {
    Nfs4Rig *rig;
    Nfs4State *state;
    LaresArena *arena;
    LaresWriter ops;
    uint32_t n, number;
    GRand *rand;
    uint32_t seq[CLIENTS], generation[CLIENTS];
    uint32_t owners; /* 4.0: each round takes a new one */
} Player;

static Client clients[CLIENTS];
static gint stop, answered;

/* ---- Writing and reading compounds ---------------------------------------------------------------------------------
 */

static void
op(Player *p, uint32_t number)
{
    lares_put_u32(&p->ops, number);
    p->n++;
}

static void
begin(Player *p)
{
    lares_arena_reset(p->arena);
    lares_writer_init(&p->ops, p->arena, 1024, 1 << 16);
    p->n = 0;
}

static LaresReader
call(Player *p, uint32_t minor, uint32_t *status)
{
    LaresReader r = nfs4_rig_compound(p->rig, minor, 0, 0, p->ops.base, p->ops.len, p->n, status);
    lares_get_u32(&r);
    if (*status == NFS4_OK)
        g_atomic_int_inc(&answered);
    return r;
}

/* A result without a body, or with one of `len` bytes. */
static void
skip(LaresReader *r, size_t len)
{
    lares_get_bytes(r, 8 + len);
}

static uint32_t
upto(Player *p, uint32_t n)
{
    return (uint32_t)g_rand_int_range(p->rand, 0, (gint32)n);
}

static void
put_owner(Player *p, const char *kind, uint32_t i)
{
    char name[32];
    g_snprintf(name, sizeof name, "%s%u", kind, i);
    lares_put_string(&p->ops, name);
}

static void
go_to_share(Player *p)
{
    op(p, OP_PUTROOTFH);
    op(p, OP_LOOKUP);
    lares_put_string(&p->ops, "share");
}

static void
go_to_file(Player *p, uint32_t file)
{
    go_to_share(p);
    op(p, OP_LOOKUP);
    put_owner(p, "file", file);
}

static void
put_open(Player *p, uint32_t seqid, uint64_t clientid, const char *kind, uint32_t owner, uint32_t file)
{
    op(p, OP_OPEN);
    lares_put_u32(&p->ops, seqid);
    lares_put_u32(&p->ops, 1 + upto(p, 3));
    lares_put_u32(&p->ops, upto(p, 12) == 0 ? 1 + upto(p, 3) : 0);
    lares_put_u64(&p->ops, clientid);
    put_owner(p, kind, owner);
    lares_put_u32(&p->ops, OPEN4_CREATE);
    lares_put_u32(&p->ops, UNCHECKED4);
    lares_put_u32(&p->ops, 0); /* no attributes */
    lares_put_u32(&p->ops, 0);
    lares_put_u32(&p->ops, CLAIM_NULL);
    put_owner(p, "file", file);
}

static void
put_range(Player *p)
{
    lares_put_u64(&p->ops, upto(p, 16));
    lares_put_u64(&p->ops, 1 + upto(p, 16));
}

/* ---- 4.1 -----------------------------------------------------------------------------------------------------------
 */

static void
put_channel(Player *p)
{
    const uint32_t channel[] = {0, 65536, 65536, 4096, 16, THREADS, 0};
    for (guint i = 0; i < G_N_ELEMENTS(channel); i++)
        lares_put_u32(&p->ops, channel[i]);
}

/* SEQUENCE on this thread's slot. FALSE: there is no session. */
static gboolean
sequence(Player *p, uint32_t k)
{
    Client *client = &clients[k];
    g_mutex_lock(&client->lock);
    if (p->generation[k] != client->generation) {
        p->generation[k] = client->generation;
        p->seq[k] = 0;
    }
    begin(p);
    op(p, OP_SEQUENCE);
    lares_put_bytes(&p->ops, client->session, NFS4_SESSIONID);
    g_mutex_unlock(&client->lock);
    if (p->generation[k] == 0)
        return FALSE;
    if (upto(p, 50) != 0) /* else a retry, true or false */
        p->seq[k]++;
    lares_put_u32(&p->ops, MAX(1, p->seq[k]));
    lares_put_u32(&p->ops, p->number);
    lares_put_u32(&p->ops, THREADS - 1);
    lares_put_u32(&p->ops, upto(p, 2));
    return TRUE;
}

static void
introduce(Player *p, uint32_t k, gboolean restarted)
{
    uint32_t status;
    begin(p);
    op(p, OP_EXCHANGE_ID);
    lares_put_u64(&p->ops, restarted ? upto(p, 1000) : 7);
    put_owner(p, "client", k);
    lares_put_u32(&p->ops, 0);
    lares_put_u32(&p->ops, SP4_NONE);
    lares_put_u32(&p->ops, 0);
    LaresReader r = call(p, 1, &status);
    if (status != NFS4_OK)
        return;
    skip(&r, 0);
    uint64_t id = lares_get_u64(&r);
    uint32_t seqid = lares_get_u32(&r);
    begin(p);
    op(p, OP_CREATE_SESSION);
    lares_put_u64(&p->ops, id);
    lares_put_u32(&p->ops, seqid);
    lares_put_u32(&p->ops, CREATE_SESSION4_FLAG_CONN_BACK_CHAN);
    put_channel(p);
    put_channel(p);
    lares_put_u32(&p->ops, 0x40000000);
    lares_put_u32(&p->ops, 0);
    r = call(p, 1, &status);
    if (status != NFS4_OK)
        return;
    skip(&r, 0);
    const uint8_t *session = lares_get_bytes(&r, NFS4_SESSIONID);
    g_mutex_lock(&clients[k].lock);
    clients[k].id = id;
    memcpy(clients[k].session, session, NFS4_SESSIONID);
    clients[k].generation++;
    g_mutex_unlock(&clients[k].lock);
    if (!sequence(p, k))
        return;
    op(p, OP_RECLAIM_COMPLETE);
    lares_put_u32(&p->ops, FALSE);
    call(p, 1, &status);
}

static Known
known(Player *p, uint32_t k, gboolean locks)
{
    g_mutex_lock(&clients[k].lock);
    Known found = locks ? clients[k].locks[upto(p, KNOWN)] : clients[k].opens[upto(p, KNOWN)];
    g_mutex_unlock(&clients[k].lock);
    if (upto(p, 4) != 0)
        found.stateid.seqid = 0; /* the newest */
    return found;
}

static void
remember(Player *p, uint32_t k, gboolean lock, uint32_t file, LaresReader *r)
{
    Known fresh = {.file = file};
    nfs4_get_stateid(r, &fresh.stateid);
    g_mutex_lock(&clients[k].lock);
    if (lock)
        clients[k].locks[upto(p, KNOWN)] = fresh;
    else
        clients[k].opens[upto(p, KNOWN)] = fresh;
    g_mutex_unlock(&clients[k].lock);
}

static void
play_open(Player *p, uint32_t k)
{
    uint32_t status, file = upto(p, FILES);
    if (!sequence(p, k))
        return;
    go_to_share(p);
    put_open(p, 0, 0, "owner", upto(p, 3), file);
    LaresReader r = call(p, 1, &status);
    if (status == NFS4_OK) {
        skip(&r, NFS4_SESSIONID + 20);
        skip(&r, 0);
        skip(&r, 0);
        skip(&r, 0);
        remember(p, k, FALSE, file, &r);
    }
}

static void
play_lock(Player *p, uint32_t k)
{
    gboolean fresh = upto(p, 2) == 0;
    Known from = known(p, k, !fresh);
    uint32_t status;
    if (!sequence(p, k))
        return;
    go_to_file(p, from.file);
    op(p, OP_LOCK);
    lares_put_u32(&p->ops, upto(p, 2) ? READ_LT : WRITE_LT);
    lares_put_u32(&p->ops, FALSE);
    put_range(p);
    lares_put_u32(&p->ops, fresh);
    if (fresh)
        lares_put_u32(&p->ops, 0);
    nfs4_put_stateid(&p->ops, &from.stateid);
    lares_put_u32(&p->ops, 0);
    if (fresh) {
        lares_put_u64(&p->ops, 0);
        put_owner(p, "locker", upto(p, 3));
    }
    LaresReader r = call(p, 1, &status);
    if (status == NFS4_OK) {
        skip(&r, NFS4_SESSIONID + 20);
        for (int i = 0; i < 4; i++)
            skip(&r, 0);
        remember(p, k, TRUE, from.file, &r);
    }
}

static void
play_stateid(Player *p, uint32_t k, uint32_t number)
{
    gboolean lock = number == OP_LOCKU || number == OP_FREE_STATEID;
    Known from = known(p, k, lock);
    uint32_t status;
    if (!sequence(p, k))
        return;
    go_to_file(p, from.file);
    op(p, number);
    switch (number) {
    case OP_CLOSE:
        lares_put_u32(&p->ops, 0);
        nfs4_put_stateid(&p->ops, &from.stateid);
        break;
    case OP_LOCKU:
        lares_put_u32(&p->ops, READ_LT);
        lares_put_u32(&p->ops, 0);
        nfs4_put_stateid(&p->ops, &from.stateid);
        put_range(p);
        break;
    case OP_FREE_STATEID:
        nfs4_put_stateid(&p->ops, &from.stateid);
        break;
    case OP_OPEN_DOWNGRADE:
        nfs4_put_stateid(&p->ops, &from.stateid);
        lares_put_u32(&p->ops, 0);
        lares_put_u32(&p->ops, 1 + upto(p, 3));
        lares_put_u32(&p->ops, 0);
        break;
    case OP_READ:
        nfs4_put_stateid(&p->ops, &from.stateid);
        lares_put_u64(&p->ops, 0);
        lares_put_u32(&p->ops, 64);
        break;
    case OP_WRITE:
        nfs4_put_stateid(&p->ops, &from.stateid);
        lares_put_u64(&p->ops, upto(p, 64));
        lares_put_u32(&p->ops, 0);
        lares_put_string(&p->ops, "some bytes");
        break;
    }
    call(p, 1, &status);
}

static void
play_end(Player *p, uint32_t k)
{
    uint32_t status;
    g_mutex_lock(&clients[k].lock);
    uint64_t id = clients[k].id;
    begin(p);
    if (upto(p, 3)) {
        op(p, OP_DESTROY_SESSION);
        lares_put_bytes(&p->ops, clients[k].session, NFS4_SESSIONID);
    } else {
        op(p, OP_DESTROY_CLIENTID);
        lares_put_u64(&p->ops, id);
    }
    g_mutex_unlock(&clients[k].lock);
    call(p, 1, &status);
}

static void
play_admin(Player *p, uint32_t k)
{
    g_mutex_lock(&clients[k].lock);
    g_autofree char *id = g_strdup_printf("nfs4-%u", (uint32_t)clients[k].id);
    g_mutex_unlock(&clients[k].lock);
    g_variant_unref(g_variant_ref_sink(nfs4_state_list(p->state)));
    if (upto(p, 4) == 0)
        nfs4_state_end(p->state, id);
}

/* ---- 4.0 -----------------------------------------------------------------------------------------------------------
 */

static gboolean
introduce_40(Player *p, uint32_t k, uint64_t *id)
{
    uint32_t status;
    uint8_t confirm[NFS4_VERIFIER_SIZE];
    begin(p);
    op(p, OP_SETCLIENTID);
    lares_put_u64(&p->ops, upto(p, 8) == 0 ? upto(p, 1000) : 7);
    put_owner(p, "old", k);
    lares_put_u32(&p->ops, 0);
    lares_put_string(&p->ops, "tcp");
    lares_put_string(&p->ops, "127.0.0.1.0.0");
    lares_put_u32(&p->ops, 0);
    LaresReader r = call(p, 0, &status);
    if (status != NFS4_OK)
        return FALSE;
    skip(&r, 0);
    *id = lares_get_u64(&r);
    memcpy(confirm, lares_get_bytes(&r, sizeof confirm), sizeof confirm);
    begin(p);
    op(p, OP_SETCLIENTID_CONFIRM);
    lares_put_u64(&p->ops, *id);
    lares_put_bytes(&p->ops, confirm, sizeof confirm);
    call(p, 0, &status);
    return status == NFS4_OK;
}

/* One request of the owner, up to three times: the same answer each time. */
static uint32_t
call_again(Player *p, Nfs4Stateid *stateid, guint before)
{
    uint32_t status, again;
    LaresReader r = call(p, 0, &status);
    for (guint i = 0; i < before; i++)
        skip(&r, 0);
    if (status == NFS4_OK) {
        lares_get_bytes(&r, 8);
        nfs4_get_stateid(&r, stateid);
    }
    if (upto(p, 4) == 0)
        call(p, 0, &again);
    return status;
}

static void
play_40(Player *p, uint32_t k)
{
    uint64_t id;
    Nfs4Stateid open, lock = {0};
    uint32_t status, file = upto(p, FILES), owner = p->number * 1000000 + p->owners++, seqid = upto(p, 100);
    if (!introduce_40(p, k, &id))
        return;
    begin(p);
    go_to_share(p);
    put_open(p, seqid, id, "o", owner, file);
    if (call_again(p, &open, 2) != NFS4_OK)
        return;
    begin(p);
    go_to_file(p, file);
    op(p, OP_OPEN_CONFIRM);
    nfs4_put_stateid(&p->ops, &open);
    lares_put_u32(&p->ops, ++seqid);
    if (call_again(p, &open, 3) != NFS4_OK)
        return;
    begin(p);
    go_to_file(p, file);
    op(p, OP_LOCK);
    lares_put_u32(&p->ops, READ_LT);
    lares_put_u32(&p->ops, FALSE);
    put_range(p);
    lares_put_u32(&p->ops, TRUE);
    lares_put_u32(&p->ops, ++seqid);
    nfs4_put_stateid(&p->ops, &open);
    lares_put_u32(&p->ops, 5);
    lares_put_u64(&p->ops, id);
    put_owner(p, "l", owner);
    if (call_again(p, &lock, 3) == NFS4_OK && upto(p, 2)) {
        begin(p);
        go_to_file(p, file);
        op(p, OP_LOCKU);
        lares_put_u32(&p->ops, READ_LT);
        lares_put_u32(&p->ops, 6);
        nfs4_put_stateid(&p->ops, &lock);
        put_range(p);
        call_again(p, &lock, 3);
    }
    begin(p);
    op(p, OP_RELEASE_LOCKOWNER);
    lares_put_u64(&p->ops, id);
    put_owner(p, "l", owner);
    call(p, 0, &status);
    begin(p);
    go_to_file(p, file);
    op(p, OP_CLOSE);
    lares_put_u32(&p->ops, ++seqid);
    nfs4_put_stateid(&p->ops, &open);
    if (upto(p, 8))
        call_again(p, &open, 3);
}

/* ---- The game ------------------------------------------------------------------------------------------------------
 */

static gboolean
is_known(uint32_t k)
{
    g_mutex_lock(&clients[k].lock);
    gboolean known_already = clients[k].generation > 0;
    g_mutex_unlock(&clients[k].lock);
    return known_already;
}

static void
play(Player *p)
{
    static const uint32_t stateid_ops[] = {OP_CLOSE,          OP_CLOSE, OP_LOCKU, OP_FREE_STATEID,
                                           OP_OPEN_DOWNGRADE, OP_READ,  OP_WRITE};
    uint32_t k = upto(p, CLIENTS), what = upto(p, 1000);
    if (!is_known(k) || what < 20)
        introduce(p, k, what < 8);
    else if (what < 24)
        play_end(p, k);
    else if (what < 30)
        play_admin(p, k);
    else if (what < 80)
        play_40(p, k);
    else if (what < 400)
        play_open(p, k);
    else if (what < 700)
        play_lock(p, k);
    else
        play_stateid(p, k, stateid_ops[upto(p, G_N_ELEMENTS(stateid_ops))]);
}

static gpointer
player(gpointer data)
{
    Player *p = data;
    while (!g_atomic_int_get(&stop))
        play(p);
    return NULL;
}

static void
end_client(Nfs4Client *client, gpointer user)
{
    nfs4_client_destroy(client, TRUE);
}

static guint
count_stateids(Nfs4State *state)
{
    guint n = 0;
    for (guint i = 0; i < NFS4_GRANT_SHARDS; i++)
        n += g_hash_table_size(state->shard[i].grants);
    return n;
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
test_all_at_once(void)
{
    Player players[THREADS] = {0};
    GThread *threads[THREADS];
    Nfs4Rig *rig = nfs4_rig_new_leased(1);
    Nfs4State *state = nfs4_rig_service(rig)->state;
    guint seed = env_number("LARES_TEST_SEED", 1);
    for (uint32_t i = 0; i < THREADS; i++) {
        players[i] = (Player){.rig = nfs4_rig_for_thread(rig),
                              .state = state,
                              .arena = lares_arena_new(),
                              .number = i,
                              .rand = g_rand_new_with_seed(seed + i)};
    }
    /* GLib makes a type's class at its first use, under a lock that ThreadSanitizer cannot see: not in the threads. */
    introduce(&players[0], 0, FALSE);
    for (uint32_t i = 0; i < THREADS; i++)
        threads[i] = g_thread_new("player", player, &players[i]);
    g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE); /* the leases are judged here */
    g_timeout_add_seconds(env_number("LARES_TEST_SECONDS", 2), time_is_up, loop);
    g_main_loop_run(loop);
    g_atomic_int_set(&stop, TRUE);
    for (uint32_t i = 0; i < THREADS; i++) {
        g_thread_join(threads[i]);
        nfs4_rig_free(players[i].rig);
        lares_arena_free(players[i].arena);
        g_rand_free(players[i].rand);
    }
    g_test_message("%d compounds went through", answered);
    g_assert_cmpint(answered, >, 100);
    nfs4_client_foreach(state, end_client, NULL);
    g_assert_cmpuint(g_hash_table_size(state->by_id), ==, 0);
    g_assert_cmpuint(g_hash_table_size(state->sessions), ==, 0);
    g_assert_cmpuint(count_stateids(state), ==, 0);
    g_assert_cmpuint(memstore_count_opens(nfs4_rig_store(rig)), ==, 0);
    nfs4_rig_free(rig);
}

/* ---- Introductions -------------------------------------------------------------------------------------------------
 */

static uint32_t
set_client_id(Player *p, const char *name, uint64_t *id, uint8_t *confirm)
{
    uint32_t status;
    begin(p);
    op(p, OP_SETCLIENTID);
    lares_put_u64(&p->ops, 7);
    lares_put_string(&p->ops, name);
    lares_put_u32(&p->ops, 0);
    lares_put_string(&p->ops, "tcp");
    lares_put_string(&p->ops, "127.0.0.1.0.0");
    lares_put_u32(&p->ops, 0);
    LaresReader r = call(p, 0, &status);
    if (status == NFS4_OK) {
        skip(&r, 0);
        *id = lares_get_u64(&r);
        memcpy(confirm, lares_get_bytes(&r, NFS4_VERIFIER_SIZE), NFS4_VERIFIER_SIZE);
    }
    return status;
}

static uint32_t
confirm_client_id(Player *p, uint64_t id, const uint8_t *confirm)
{
    uint32_t status;
    begin(p);
    op(p, OP_SETCLIENTID_CONFIRM);
    lares_put_u64(&p->ops, id);
    lares_put_bytes(&p->ops, confirm, NFS4_VERIFIER_SIZE);
    call(p, 0, &status);
    return status;
}

/* However many introduce themselves: the oldest that never confirmed give way, those that did never. */
static void
test_flood(void)
{
    enum { MAX = 10 };
    Nfs4Rig *rig = nfs4_rig_new_leased(90);
    Nfs4State *state = nfs4_rig_service(rig)->state;
    Player p = {.rig = rig, .state = state, .arena = lares_arena_new()};
    uint64_t first, id;
    uint8_t first_confirm[NFS4_VERIFIER_SIZE], confirm[NFS4_VERIFIER_SIZE];
    nfs4_rig_service(rig)->settings.max_clients = MAX;
    g_assert_cmpuint(set_client_id(&p, "first", &first, first_confirm), ==, NFS4_OK);
    for (int i = 0; i < 5 * MAX; i++) {
        g_autofree char *name = g_strdup_printf("stranger %d", i);
        g_assert_cmpuint(set_client_id(&p, name, &id, confirm), ==, NFS4_OK);
        g_assert_cmpuint(g_hash_table_size(state->by_id), <=, MAX);
        g_assert_cmpuint(state->oldest.length, <=, MAX);
    }
    g_assert_cmpuint(confirm_client_id(&p, first, first_confirm), ==, NFS4ERR_STALE_CLIENTID);
    for (int i = 0; i < MAX; i++) {
        g_autofree char *name = g_strdup_printf("client %d", i);
        g_assert_cmpuint(set_client_id(&p, name, &id, confirm), ==, NFS4_OK);
        g_assert_cmpuint(confirm_client_id(&p, id, confirm), ==, NFS4_OK);
    }
    g_assert_cmpuint(set_client_id(&p, "one more", &id, confirm), ==, NFS4ERR_DELAY);
    g_assert_cmpuint(state->oldest.length, ==, 0);
    lares_arena_free(p.arena);
    nfs4_rig_free(rig);
}

/* A row for a client without a name, none for one that is dead. */
static void
test_record(void)
{
    Nfs4Rig *rig = nfs4_rig_new_leased(90);
    Nfs4State *state = nfs4_rig_service(rig)->state;
    Player p = {.rig = rig, .state = state, .arena = lares_arena_new()};
    uint64_t id;
    uint8_t confirm[NFS4_VERIFIER_SIZE];
    Nfs4Client *client;
    for (int dead = 0; dead < 2; dead++) {
        g_assert_cmpuint(set_client_id(&p, "", &id, confirm), ==, NFS4_OK);
        g_assert_cmpuint(nfs4_client_by_id(state, id, &client), ==, NFS4_OK);
        if (dead)
            nfs4_client_destroy(client, TRUE);
        nfs4_client_record(client);
        g_assert_cmpint(client->recorded, ==, !dead);
        nfs4_client_destroy(client, TRUE);
        nfs4_client_unref(client);
    }
    lares_arena_free(p.arena);
    nfs4_rig_free(rig);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/nfs4/stress/all-at-once", test_all_at_once);
    g_test_add_func("/nfs4/stress/flood", test_flood);
    g_test_add_func("/nfs4/stress/record", test_record);
    return g_test_run();
}
