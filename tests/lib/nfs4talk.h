/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A client of the rig's service: writes COMPOUNDs, keeps its client id, session and sequence numbers, reads answers.
 *
 * Results are read from `reply` in their order with talk_result(), which checks the operation's number. */
#pragma once

#include "nfs4-compound.h"
#include "nfs4rig.h"

typedef struct {
    Nfs4Rig *rig;
    uint32_t minor, uid;
    LaresArena *arena;
    LaresWriter ops;
    uint32_t n;
    LaresReader reply;
    uint32_t status;
    uint64_t id;
    uint8_t session[NFS4_SESSIONID];
    uint32_t seq, slots;
    uint32_t create_seq; /* of the next CREATE_SESSION */
    uint64_t mach_cred;  /* EXCHANGE_ID asks for SP4_MACH_CRED with these operations; a bit each */
} Talk;

Talk *talk_new(Nfs4Rig *rig, uint32_t minor);
/* Introduced and confirmed; with a session from 4.1 on. Fails the test when it is refused. */
Talk *talk_as(Nfs4Rig *rig, uint32_t minor, const char *name);
void talk_free(Talk *t);

/* A COMPOUND: in 4.1 it begins with SEQUENCE once there is a session. */
void talk_begin(Talk *t);
void talk_op(Talk *t, uint32_t op);
void talk_name(Talk *t, uint32_t op, const char *name);
/* PUTROOTFH, LOOKUP share, and LOOKUP `file` unless it is NULL. */
void talk_go(Talk *t, const char *file);
/* Runs it; with 4.1 the reply stands behind SEQUENCE's result. The COMPOUND's status. */
uint32_t talk_run(Talk *t);
/* The next result: its status; its body is next in the reply. */
uint32_t talk_result(Talk *t, uint32_t op);

uint32_t talk_exchange_id(Talk *t, const char *name);
/* Asks for so many slots and bytes of kept replies each. */
uint32_t talk_create_session(Talk *t, uint32_t slots, uint32_t cached);
/* Creates the file if it is missing. `seqid` counts in 4.0 only. */
uint32_t talk_open(Talk *t, const char *owner, uint32_t seqid, const char *file, Nfs4Stateid *stateid);
uint32_t talk_confirm(Talk *t, uint32_t seqid, const char *file, Nfs4Stateid *stateid);
uint32_t talk_close(Talk *t, uint32_t seqid, const char *file, Nfs4Stateid *stateid);
/* A write lock: the first one of `owner` on the open, or a further one (owner NULL, `stateid` of the lock). */
uint32_t talk_lock(Talk *t, const char *owner, uint32_t open_seqid, uint32_t lock_seqid, const char *file,
                   const Nfs4Stateid *stateid, uint64_t start, uint64_t length, Nfs4Stateid *lock);
uint32_t talk_unlock(Talk *t, uint32_t seqid, const char *file, Nfs4Stateid *lock, uint64_t start, uint64_t length);
