/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Leases and oplocks: the table of keys, and telling clients of breaks.
 *
 * Spec: [MS-SMB2] 3.3.4.6 (oplock break), 3.3.4.7 (lease break), 3.3.5.9.8, 3.3.5.9.11 (requests).
 * Locks: Smb2Opens.lock guards the table. */
#include "smb2-lease.h"

#include <string.h>

uint32_t
smb2_lease_of_oplock(uint8_t level)
{
    switch (level) {
    case SMB2_OPLOCK_LEVEL_II:
        return LARES_LEASE_READ;
    case SMB2_OPLOCK_LEVEL_EXCLUSIVE:
        return LARES_LEASE_READ | LARES_LEASE_WRITE;
    case SMB2_OPLOCK_LEVEL_BATCH:
        return LARES_LEASE_READ | LARES_LEASE_WRITE | LARES_LEASE_HANDLE;
    default:
        return 0;
    }
}

uint8_t
smb2_oplock_of_lease(uint32_t state)
{
    if (state & LARES_LEASE_WRITE)
        return state & LARES_LEASE_HANDLE ? SMB2_OPLOCK_LEVEL_BATCH : SMB2_OPLOCK_LEVEL_EXCLUSIVE;
    return state & LARES_LEASE_READ ? SMB2_OPLOCK_LEVEL_II : SMB2_OPLOCK_LEVEL_NONE;
}

/* ---- Telling ---------------------------------------------------------------------------------------------------- */

static size_t
oplock_break_body(Smb2Open *open, const LaresLeaseBreak *what, uint8_t body[44])
{
    memset(body, 0, 24);
    smb2_set_u16(body, 24);
    body[2] = smb2_oplock_of_lease(what->to);
    smb2_open_file_id(open, body + 8);
    return 24;
}

static size_t
lease_break_body(const Smb2Lease *lease, const LaresLeaseBreak *what, uint8_t body[44])
{
    memset(body, 0, 44);
    smb2_set_u16(body, 44);
    smb2_set_u16(body + 2, lease->version == 2 ? what->epoch : 0);
    smb2_set_u32(body + 4, what->ack ? SMB2_NOTIFY_BREAK_LEASE_ACK_REQUIRED : 0);
    memcpy(body + 8, lease->table_key + 16, 16);
    smb2_set_u32(body + 24, what->from);
    smb2_set_u32(body + 28, what->to);
    return 44;
}

/* Nobody there to answer: what only waits for its client gives way ([MS-SMB2] 3.3.4.6, 3.3.4.7). */
static void
break_unreachable(Smb2Lease *lease, const LaresLeaseBreak *what)
{
    smb2_opens_close_disconnected(lease->service->opens, lease);
    if (what->ack)
        lares_lease_ack(lease->core, what->to);
}

static void
tell(LaresLease *core, const LaresLeaseBreak *what, gpointer user)
{
    Smb2Lease *lease = user;
    uint8_t body[44];
    Smb2Open *open = NULL;
    Smb2Session *session = smb2_opens_session_of_lease(lease->service->opens, lease, &open);
    gboolean sent = FALSE;
    if (session) {
        size_t len = lease->keyed ? lease_break_body(lease, what, body) : oplock_break_body(open, what, body);
        sent = lease->keyed ? smb2_client_send_break(session, body, len) : smb2_session_send_break(session, body, len);
        smb2_session_unref(session);
    }
    if (open)
        smb2_open_unref(open);
    if (!sent)
        break_unreachable(lease, what);
}

/* ---- Table ------------------------------------------------------------------------------------------------------ */

Smb2Lease *
smb2_lease_ref(Smb2Lease *lease)
{
    g_atomic_int_inc(&lease->ref);
    return lease;
}

void
smb2_lease_unref(Smb2Lease *lease)
{
    if (!lease->keyed) {
        if (g_atomic_int_dec_and_test(&lease->ref))
            lares_lease_unref(lease->core);
        return;
    }
    /* Found again in the table until the last reference is really gone. */
    Smb2Opens *opens = lease->service->opens;
    smb2_opens_lock(opens);
    gboolean last = g_atomic_int_dec_and_test(&lease->ref);
    if (last)
        g_hash_table_remove(smb2_opens_leases(opens), lease->table_key);
    smb2_opens_unlock(opens);
    if (last)
        lares_lease_unref(lease->core);
}

static Smb2Lease *
lease_new(Smb2Service *service, gboolean keyed)
{
    Smb2Lease *lease = g_new0(Smb2Lease, 1);
    lease->ref = 1;
    lease->service = service;
    lease->keyed = keyed;
    return lease;
}

/* The record ends with the core's lease, which may outlive the last open for as long as a break is on its way. */
static void
attach_core(Smb2Lease *lease, LaresNode *node)
{
    lease->core = lares_lease_new(node, !lease->keyed, tell, lease, g_free);
}

Smb2Lease *
smb2_lease_find(Smb2Service *service, const uint8_t client_guid[16], const uint8_t key[16])
{
    uint8_t table_key[32];
    memcpy(table_key, client_guid, 16);
    memcpy(table_key + 16, key, 16);
    smb2_opens_lock(service->opens);
    Smb2Lease *lease = g_hash_table_lookup(smb2_opens_leases(service->opens), table_key);
    if (lease)
        smb2_lease_ref(lease);
    smb2_opens_unlock(service->opens);
    return lease;
}

uint32_t
smb2_lease_get(Smb2Op *op, LaresNode *node, const Smb2LeaseRequest *request, Smb2Lease **out)
{
    Smb2Opens *opens = op->service->opens;
    Smb2Lease *made = lease_new(op->service, TRUE);
    memcpy(made->table_key, op->connection->client_guid, 16);
    memcpy(made->table_key + 16, request->key, 16);
    made->version = request->version;
    made->has_parent = request->version == 2 && (request->flags & SMB2_LEASE_FLAG_PARENT_LEASE_KEY);
    memcpy(made->parent_key, op->connection->client_guid, 16);
    memcpy(made->parent_key + 16, request->parent_key, 16);
    attach_core(made, node);
    if (request->version == 2)
        lares_lease_set_epoch(made->core, request->epoch);
    smb2_opens_lock(opens);
    Smb2Lease *lease = g_hash_table_lookup(smb2_opens_leases(opens), made->table_key);
    if (lease)
        smb2_lease_ref(lease);
    else
        g_hash_table_insert(smb2_opens_leases(opens), made->table_key, made);
    smb2_opens_unlock(opens);
    if (!lease) {
        *out = made;
        return STATUS_SUCCESS;
    }
    lares_lease_unref(made->core);
    if (lares_lease_node(lease->core) != node) {
        smb2_lease_unref(lease);
        return STATUS_INVALID_PARAMETER;
    }
    *out = lease;
    return STATUS_SUCCESS;
}

Smb2Lease *
smb2_lease_for_oplock(Smb2Op *op, LaresNode *node)
{
    Smb2Lease *lease = lease_new(op->service, FALSE);
    attach_core(lease, node);
    return lease;
}
