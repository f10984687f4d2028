/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How a client id is judged: pure steps, no locks, no clock.
 *
 * EXCHANGE_ID (RFC 8881 18.35.4, its cases 1 to 9):
 *   update confirmed principal verifier state | action
 *   no     no        -         -        -     | NEW (1, 4)
 *   no     yes       same      same     -     | EXISTING (2)
 *   no     yes       other     -        yes   | CLID_INUSE (3)
 *   no     yes       other     -        no    | REPLACE (3)
 *   no     yes       same      other    -     | NEW: the old one goes when this one is confirmed (5)
 *   yes    yes       same      same     -     | UPDATE (6)
 *   yes    no        -         -        -     | NOENT (7)
 *   yes    yes       same      other    -     | NOT_SAME (8)
 *   yes    yes       other     -        -     | PERM (9)
 *
 * SETCLIENTID (RFC 7530 16.33.5):
 *   confirmed principal verifier state | action
 *   no        -         -        -     | NEW
 *   yes       other     -        yes   | CLID_INUSE
 *   yes       other     -        no    | REPLACE
 *   yes       same      same     -     | UPDATE: same client id, new callback and confirm verifier
 *   yes       same      other    -     | NEW: a restarted client */
#include "nfs4-state-private.h"

/* Four rounds of a Feistel network over two halves of 16 bits. */
static uint16_t
round_of(uint64_t key, uint16_t half, int i)
{
    uint64_t mixed = (half + (key >> (16 * i) & 0xffff)) * UINT64_C(0x9e3779b97f4a7c15) ^ key;
    mixed = (mixed ^ mixed >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
    return (uint16_t)(mixed >> 40);
}

uint32_t
nfs4_number_hide(uint64_t key, uint32_t number)
{
    uint16_t left = (uint16_t)(number >> 16), right = (uint16_t)number;
    for (int i = 0; i < 4; i++) {
        uint16_t next = left ^ round_of(key, right, i);
        left = right;
        right = next;
    }
    return (uint32_t)left << 16 | right;
}

uint32_t
nfs4_number_show(uint64_t key, uint32_t hidden)
{
    uint16_t left = (uint16_t)(hidden >> 16), right = (uint16_t)hidden;
    for (int i = 3; i >= 0; i--) {
        uint16_t before = right ^ round_of(key, left, i);
        right = left;
        left = before;
    }
    return (uint32_t)left << 16 | right;
}

Nfs4StepAction
nfs4_step_exchange_id(const Nfs4ClientFacts *facts, uint32_t *error)
{
    *error = NFS4_OK;
    if (facts->update) {
        if (!facts->confirmed)
            *error = NFS4ERR_NOENT;
        else if (!facts->same_principal)
            *error = NFS4ERR_PERM;
        else if (!facts->same_verifier)
            *error = NFS4ERR_NOT_SAME;
        return *error ? NFS4_STEP_ERROR : NFS4_STEP_UPDATE;
    }
    if (!facts->confirmed)
        return NFS4_STEP_NEW;
    if (!facts->same_principal) {
        if (!facts->has_state)
            return NFS4_STEP_REPLACE;
        *error = NFS4ERR_CLID_INUSE;
        return NFS4_STEP_ERROR;
    }
    return facts->same_verifier ? NFS4_STEP_EXISTING : NFS4_STEP_NEW;
}

Nfs4StepAction
nfs4_step_setclientid(const Nfs4ClientFacts *facts, uint32_t *error)
{
    *error = NFS4_OK;
    if (!facts->confirmed)
        return NFS4_STEP_NEW;
    if (!facts->same_principal) {
        if (!facts->has_state)
            return NFS4_STEP_REPLACE;
        *error = NFS4ERR_CLID_INUSE;
        return NFS4_STEP_ERROR;
    }
    return facts->same_verifier ? NFS4_STEP_UPDATE : NFS4_STEP_NEW;
}

/* RFC 7530 9.1.7, 9.1.8 */
Nfs4SeqStep
nfs4_step_seqid(gboolean used, uint32_t last, uint32_t seqid)
{
    if (!used || seqid == last + 1)
        return NFS4_SEQ_NEXT;
    return seqid == last ? NFS4_SEQ_REPLAY : NFS4_SEQ_BAD;
}
