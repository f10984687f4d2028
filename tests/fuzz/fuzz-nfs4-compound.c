/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* RPC records and COMPOUNDs of any bytes, over a store in memory.
 *
 * First byte: 0 the rest is a whole RPC record; 1 it is the operations of a 4.0 COMPOUND, 2 and 3 of 4.1 and 4.2
 * behind a good SEQUENCE, with the second byte telling how many they are. State is kept between rounds, and made anew
 * now and then. */
#include "nfs4rig.h"
#include "nfs4-proto.h"

#define ROUNDS_PER_RIG 5000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static Nfs4Rig *rig;
static uint8_t session[NFS4_SESSIONID];
static uint32_t sequence;
static unsigned rounds;
static LaresArena *arena;

static uint64_t
exchange_id(void)
{
    LaresWriter w;
    uint32_t status;
    lares_writer_init(&w, arena, 256, 1024);
    lares_put_u32(&w, OP_EXCHANGE_ID);
    lares_put_bytes(&w, "verifier", 8);
    lares_put_string(&w, "fuzzer");
    lares_put_u32(&w, 0);
    lares_put_u32(&w, SP4_NONE);
    lares_put_u32(&w, 0);
    LaresReader r = nfs4_rig_compound(rig, 1, 0, 0, w.base, w.len, 1, &status);
    g_assert_cmpuint(status, ==, NFS4_OK);
    lares_get_bytes(&r, 12);
    uint64_t client = lares_get_u64(&r);
    sequence = lares_get_u32(&r);
    return client;
}

static void
put_channel(LaresWriter *w)
{
    lares_put_u32(w, 0);
    lares_put_u32(w, 1 << 20);
    lares_put_u32(w, 1 << 20);
    lares_put_u32(w, 8192);
    lares_put_u32(w, 128);
    lares_put_u32(w, 1);
    lares_put_u32(w, 0);
}

static void run_with_sequence(uint32_t minor, uint32_t n, const uint8_t *ops, size_t len);

/* Else every OPEN is answered with GRACE (RFC 8881 18.51.3). */
static void
reclaim_complete(void)
{
    static const uint8_t op[] = {0, 0, 0, OP_RECLAIM_COMPLETE, 0, 0, 0, 0};
    run_with_sequence(1, 1, op, sizeof op);
}

static void
create_session(void)
{
    LaresWriter w;
    uint32_t status;
    uint64_t client = exchange_id();
    lares_writer_init(&w, arena, 256, 1024);
    lares_put_u32(&w, OP_CREATE_SESSION);
    lares_put_u64(&w, client);
    lares_put_u32(&w, sequence);
    lares_put_u32(&w, 0);
    put_channel(&w);
    put_channel(&w);
    lares_put_u32(&w, 0x40000000);
    lares_put_u32(&w, 1);
    lares_put_u32(&w, RPC_FLAVOR_NONE);
    LaresReader r = nfs4_rig_compound(rig, 1, 0, 0, w.base, w.len, 1, &status);
    g_assert_cmpuint(status, ==, NFS4_OK);
    lares_get_bytes(&r, 12);
    const uint8_t *id = lares_get_bytes(&r, NFS4_SESSIONID);
    g_assert_nonnull(id);
    memcpy(session, id, NFS4_SESSIONID);
    sequence = 0;
    reclaim_complete();
}

static void
start(void)
{
    if (rig)
        nfs4_rig_free(rig);
    if (!arena)
        arena = lares_arena_new();
    rig = nfs4_rig_new();
    create_session();
}

static void
run_with_sequence(uint32_t minor, uint32_t n, const uint8_t *ops, size_t len)
{
    LaresWriter w;
    uint32_t status;
    lares_writer_init(&w, arena, len + 64, len + 64);
    lares_put_u32(&w, OP_SEQUENCE);
    lares_put_bytes(&w, session, NFS4_SESSIONID);
    lares_put_u32(&w, ++sequence);
    lares_put_u32(&w, 0);
    lares_put_u32(&w, 0);
    lares_put_u32(&w, n & 0x80 ? 1 : 0);
    lares_put_bytes(&w, ops, len);
    LaresReader r = nfs4_rig_compound(rig, minor, 0, 0, w.base, w.len, 1 + (n & 0x7f), &status);
    lares_get_u32(&r);
    lares_get_u32(&r);
    if (lares_get_u32(&r) != NFS4_OK) /* a round destroyed the session */
        create_session();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t status;
    size_t reply_len;
    if (!rig || ++rounds % ROUNDS_PER_RIG == 0)
        start();
    lares_arena_reset(arena);
    if (size < 2)
        return 0;
    switch (data[0] & 3) {
    case 0:
        nfs4_rig_record(rig, data + 1, size - 1, &reply_len);
        break;
    case 1:
        nfs4_rig_compound(rig, 0, 0, 0, data + 2, size - 2, data[1], &status);
        break;
    case 2:
        run_with_sequence(1, data[1], data + 2, size - 2);
        break;
    default:
        run_with_sequence(2, data[1], data + 2, size - 2);
    }
    return 0;
}
