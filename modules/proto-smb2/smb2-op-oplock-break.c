/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* OPLOCK_BREAK: the client's answer to a break, of an oplock or of a lease.
 *
 * Spec: [MS-SMB2] 3.3.5.22.1, 3.3.5.22.2. */
#include "smb2-lease.h"

static uint32_t
answer_oplock(Smb2Op *op)
{
    uint8_t level = op->body[2];
    uint32_t status = smb2_op_file(op, op->body + 8);
    if (status != STATUS_SUCCESS)
        return status;
    Smb2Lease *lease = op->open->lease;
    if (level == SMB2_OPLOCK_LEVEL_LEASE || (lease && lease->keyed))
        return STATUS_INVALID_PARAMETER;
    if (level != SMB2_OPLOCK_LEVEL_NONE && level != SMB2_OPLOCK_LEVEL_II) {
        if (lease)
            lares_lease_ack(lease->core, 0);
        return STATUS_INVALID_OPLOCK_PROTOCOL;
    }
    LaresStatus acked = lease ? lares_lease_ack(lease->core, smb2_lease_of_oplock(level)) : LARES_INVAL;
    if (acked == LARES_INVAL)
        return STATUS_INVALID_OPLOCK_PROTOCOL;
    if (acked == LARES_DENIED) { /* more than was offered: [MS-SMB2] 3.3.5.22.1 */
        lares_lease_ack(lease->core, 0);
        return STATUS_INVALID_OPLOCK_PROTOCOL;
    }
    smb2_put_u16(op->out, 24);
    smb2_put_u8(op->out, smb2_open_oplock(op->open));
    smb2_put_zeros(op->out, 5);
    lares_put_bytes(op->out, op->body + 8, SMB2_FILE_ID_SIZE);
    return STATUS_SUCCESS;
}

static uint32_t
answer_lease(Smb2Op *op)
{
    uint32_t state = smb2_get_u32(op->body + 24);
    Smb2Lease *lease = smb2_lease_find(op->service, op->connection->client_guid, op->body + 8);
    if (!lease)
        return STATUS_OBJECT_NAME_NOT_FOUND;
    LaresStatus acked = lares_lease_ack(lease->core, state);
    smb2_lease_unref(lease);
    if (acked == LARES_INVAL)
        return STATUS_UNSUCCESSFUL;
    if (acked == LARES_DENIED)
        return STATUS_REQUEST_NOT_ACCEPTED;
    smb2_put_u16(op->out, 36);
    smb2_put_zeros(op->out, 6);
    lares_put_bytes(op->out, op->body + 8, 16);
    smb2_put_u32(op->out, state);
    smb2_put_u64(op->out, 0);
    return STATUS_SUCCESS;
}

uint32_t
smb2_op_oplock_break(Smb2Op *op)
{
    uint16_t size = smb2_get_u16(op->body);
    if (size == 24)
        return answer_oplock(op);
    if (size == 36 && op->body_len >= 36)
        return answer_lease(op);
    return STATUS_INVALID_PARAMETER;
}
