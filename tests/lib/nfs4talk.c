/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A client of the rig's service. */
#include "nfs4talk.h"

#include "nfs4-proto.h"

/* ---- Compounds ----------------------------------------------------------------------------------------------------
 */

Talk *
talk_new(Nfs4Rig *rig, uint32_t minor)
{
    Talk *t = g_new0(Talk, 1);
    t->rig = nfs4_rig_for_thread(rig);
    t->minor = minor;
    t->arena = lares_arena_new();
    talk_begin(t);
    return t;
}

void
talk_free(Talk *t)
{
    nfs4_rig_free(t->rig);
    lares_arena_free(t->arena);
    g_free(t);
}

void
talk_op(Talk *t, uint32_t op)
{
    lares_put_u32(&t->ops, op);
    t->n++;
}

void
talk_name(Talk *t, uint32_t op, const char *name)
{
    talk_op(t, op);
    lares_put_string(&t->ops, name);
}

void
talk_begin(Talk *t)
{
    lares_arena_reset(t->arena);
    lares_writer_init(&t->ops, t->arena, 512, 1 << 20);
    t->n = 0;
    if (t->slots == 0)
        return;
    talk_op(t, OP_SEQUENCE);
    lares_put_bytes(&t->ops, t->session, NFS4_SESSIONID);
    lares_put_u32(&t->ops, ++t->seq);
    lares_put_u32(&t->ops, 0);
    lares_put_u32(&t->ops, 0);
    lares_put_u32(&t->ops, FALSE);
}

void
talk_go(Talk *t, const char *file)
{
    talk_op(t, OP_PUTROOTFH);
    talk_name(t, OP_LOOKUP, "share");
    if (file)
        talk_name(t, OP_LOOKUP, file);
}

uint32_t
talk_run(Talk *t)
{
    t->reply = nfs4_rig_compound(t->rig, t->minor, t->uid, t->uid, t->ops.base, t->ops.len, t->n, &t->status);
    lares_get_u32(&t->reply);
    if (t->slots && lares_reader_left(&t->reply) && talk_result(t, OP_SEQUENCE) == NFS4_OK)
        lares_get_bytes(&t->reply, NFS4_SESSIONID + 20);
    return t->status;
}

uint32_t
talk_result(Talk *t, uint32_t op)
{
    g_assert_cmpuint(lares_get_u32(&t->reply), ==, op);
    return lares_get_u32(&t->reply);
}

/* Past the results of talk_go(). */
static void
skip_go(Talk *t, const char *file)
{
    g_assert_cmpuint(talk_result(t, OP_PUTROOTFH), ==, NFS4_OK);
    g_assert_cmpuint(talk_result(t, OP_LOOKUP), ==, NFS4_OK);
    if (file)
        g_assert_cmpuint(talk_result(t, OP_LOOKUP), ==, NFS4_OK);
}

/* ---- Introductions ------------------------------------------------------------------------------------------------
 */

static void
set_client_id(Talk *t, const char *name)
{
    talk_begin(t);
    talk_op(t, OP_SETCLIENTID);
    lares_put_u64(&t->ops, 7);
    lares_put_string(&t->ops, name);
    lares_put_u32(&t->ops, 0);
    lares_put_string(&t->ops, "tcp");
    lares_put_string(&t->ops, "127.0.0.1.0.0");
    lares_put_u32(&t->ops, 0);
    g_assert_cmpuint(talk_run(t), ==, NFS4_OK);
    talk_result(t, OP_SETCLIENTID);
    t->id = lares_get_u64(&t->reply);
    uint64_t confirm = lares_get_u64(&t->reply);
    talk_begin(t);
    talk_op(t, OP_SETCLIENTID_CONFIRM);
    lares_put_u64(&t->ops, t->id);
    lares_put_u64(&t->ops, confirm);
    g_assert_cmpuint(talk_run(t), ==, NFS4_OK);
}

uint32_t
talk_exchange_id(Talk *t, const char *name)
{
    t->slots = 0;
    talk_begin(t);
    talk_op(t, OP_EXCHANGE_ID);
    lares_put_u64(&t->ops, 7);
    lares_put_string(&t->ops, name);
    lares_put_u32(&t->ops, 0);
    lares_put_u32(&t->ops, t->mach_cred ? SP4_MACH_CRED : SP4_NONE);
    if (t->mach_cred) {
        lares_put_u32(&t->ops, 2);
        lares_put_u32(&t->ops, (uint32_t)t->mach_cred);
        lares_put_u32(&t->ops, (uint32_t)(t->mach_cred >> 32));
        lares_put_u32(&t->ops, 0);
    }
    lares_put_u32(&t->ops, 0);
    if (talk_run(t) == NFS4_OK) {
        talk_result(t, OP_EXCHANGE_ID);
        t->id = lares_get_u64(&t->reply);
        t->create_seq = lares_get_u32(&t->reply);
    }
    return t->status;
}

uint32_t
talk_create_session(Talk *t, uint32_t slots, uint32_t cached)
{
    const uint32_t fore[] = {0, 65536, 65536, cached, 16, slots, 0}, back[] = {0, 4096, 4096, 0, 2, 1, 0};
    uint32_t had = t->slots;
    t->slots = 0;
    talk_begin(t);
    talk_op(t, OP_CREATE_SESSION);
    lares_put_u64(&t->ops, t->id);
    lares_put_u32(&t->ops, t->create_seq++);
    lares_put_u32(&t->ops, 0);
    for (guint i = 0; i < G_N_ELEMENTS(fore); i++)
        lares_put_u32(&t->ops, fore[i]);
    for (guint i = 0; i < G_N_ELEMENTS(back); i++)
        lares_put_u32(&t->ops, back[i]);
    lares_put_u32(&t->ops, 0x40000000);
    lares_put_u32(&t->ops, 0);
    if (talk_run(t) != NFS4_OK) {
        t->slots = had;
        return t->status;
    }
    talk_result(t, OP_CREATE_SESSION);
    memcpy(t->session, lares_get_bytes(&t->reply, NFS4_SESSIONID), NFS4_SESSIONID);
    lares_get_bytes(&t->reply, 8 + 20);
    t->slots = lares_get_u32(&t->reply);
    t->seq = 0;
    return t->status;
}

Talk *
talk_as(Nfs4Rig *rig, uint32_t minor, const char *name)
{
    Talk *t = talk_new(rig, minor);
    if (minor == 0) {
        set_client_id(t, name);
        return t;
    }
    g_assert_cmpuint(talk_exchange_id(t, name), ==, NFS4_OK);
    g_assert_cmpuint(talk_create_session(t, 4, 1024), ==, NFS4_OK);
    talk_begin(t);
    talk_op(t, OP_RECLAIM_COMPLETE);
    lares_put_u32(&t->ops, FALSE);
    g_assert_cmpuint(talk_run(t), ==, NFS4_OK);
    return t;
}

/* ---- Opens and locks ----------------------------------------------------------------------------------------------
 */

uint32_t
talk_open(Talk *t, const char *owner, uint32_t seqid, const char *file, Nfs4Stateid *stateid)
{
    talk_begin(t);
    talk_go(t, NULL);
    talk_op(t, OP_OPEN);
    lares_put_u32(&t->ops, seqid);
    lares_put_u32(&t->ops, OPEN4_SHARE_ACCESS_BOTH);
    lares_put_u32(&t->ops, 0);
    lares_put_u64(&t->ops, t->id);
    lares_put_string(&t->ops, owner);
    lares_put_u32(&t->ops, OPEN4_CREATE);
    lares_put_u32(&t->ops, UNCHECKED4);
    lares_put_u32(&t->ops, 0);
    lares_put_u32(&t->ops, 0);
    lares_put_u32(&t->ops, CLAIM_NULL);
    lares_put_string(&t->ops, file);
    if (talk_run(t) == NFS4_OK) {
        skip_go(t, NULL);
        talk_result(t, OP_OPEN);
        nfs4_get_stateid(&t->reply, stateid);
    }
    return t->status;
}

/* An operation on the file whose result is a stateid. */
static uint32_t
run_for_stateid(Talk *t, uint32_t op, const char *file, Nfs4Stateid *stateid)
{
    if (talk_run(t) == NFS4_OK) {
        skip_go(t, file);
        talk_result(t, op);
        nfs4_get_stateid(&t->reply, stateid);
    }
    return t->status;
}

uint32_t
talk_confirm(Talk *t, uint32_t seqid, const char *file, Nfs4Stateid *stateid)
{
    talk_begin(t);
    talk_go(t, file);
    talk_op(t, OP_OPEN_CONFIRM);
    nfs4_put_stateid(&t->ops, stateid);
    lares_put_u32(&t->ops, seqid);
    return run_for_stateid(t, OP_OPEN_CONFIRM, file, stateid);
}

uint32_t
talk_close(Talk *t, uint32_t seqid, const char *file, Nfs4Stateid *stateid)
{
    talk_begin(t);
    talk_go(t, file);
    talk_op(t, OP_CLOSE);
    lares_put_u32(&t->ops, seqid);
    nfs4_put_stateid(&t->ops, stateid);
    return run_for_stateid(t, OP_CLOSE, file, stateid);
}

uint32_t
talk_lock(Talk *t, const char *owner, uint32_t open_seqid, uint32_t lock_seqid, const char *file,
          const Nfs4Stateid *stateid, uint64_t start, uint64_t length, Nfs4Stateid *lock)
{
    talk_begin(t);
    talk_go(t, file);
    talk_op(t, OP_LOCK);
    lares_put_u32(&t->ops, WRITE_LT);
    lares_put_u32(&t->ops, FALSE);
    lares_put_u64(&t->ops, start);
    lares_put_u64(&t->ops, length);
    lares_put_u32(&t->ops, owner != NULL);
    if (owner)
        lares_put_u32(&t->ops, open_seqid);
    nfs4_put_stateid(&t->ops, stateid);
    lares_put_u32(&t->ops, lock_seqid);
    if (owner) {
        lares_put_u64(&t->ops, t->id);
        lares_put_string(&t->ops, owner);
    }
    return run_for_stateid(t, OP_LOCK, file, lock);
}

uint32_t
talk_unlock(Talk *t, uint32_t seqid, const char *file, Nfs4Stateid *lock, uint64_t start, uint64_t length)
{
    talk_begin(t);
    talk_go(t, file);
    talk_op(t, OP_LOCKU);
    lares_put_u32(&t->ops, WRITE_LT);
    lares_put_u32(&t->ops, seqid);
    nfs4_put_stateid(&t->ops, lock);
    lares_put_u64(&t->ops, start);
    lares_put_u64(&t->ops, length);
    return run_for_stateid(t, OP_LOCKU, file, lock);
}
