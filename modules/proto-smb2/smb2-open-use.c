/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One open in use: what it is called on the wire, and what a request through it has to mind.
 *
 * Spec: [MS-SMB2] 3.3.1.10, 3.3.5.2.10. */
#include "smb2-open-table.h"

gboolean
smb2_open_is_pipe(const Smb2Open *open)
{
    return open->pipe != NULL;
}

void
smb2_open_file_id(Smb2Open *open, uint8_t id[SMB2_FILE_ID_SIZE])
{
    smb2_set_u64(id, open->persistent_id);
    smb2_set_u64(id + 8, open->volatile_id);
}

uint8_t
smb2_open_oplock(Smb2Open *open)
{
    if (!open->lease)
        return SMB2_OPLOCK_LEVEL_NONE;
    if (open->lease->keyed)
        return SMB2_OPLOCK_LEVEL_LEASE;
    return smb2_oplock_of_lease(lares_lease_state(open->lease->core, NULL, NULL));
}

void
smb2_open_resume_key(const Smb2Open *open, uint8_t key[24])
{
    smb2_set_u64(key, open->persistent_id);
    smb2_set_u64(key + 8, open->volatile_id);
    smb2_set_u64(key + 16, 0);
}

void
smb2_open_tell(Smb2Open *open)
{
    if (g_atomic_int_compare_and_exchange(&open->untold, 1, 0))
        lares_leases_tell(open->object.node);
}

void
smb2_open_wrote(Smb2Op *op, Smb2Open *open)
{
    if (G_LIKELY(!g_atomic_int_get(&open->has_sticky)))
        return;
    g_mutex_lock(&open->lock);
    LaresSetAttrs set = {.mask = LARES_ATTR_MTIME, .mtime = open->sticky};
    g_mutex_unlock(&open->lock);
    lares_files_setattr(op->service->files, &op->caller, open->base.node ? &open->base : &open->object, NULL, &set);
}

/* ---- Channel sequence: a request that was sent again on another channel must not overtake the first one ------------
 */

/* [MS-SMB2] 3.3.5.2.10; the requests that change something are refused. */
uint32_t
smb2_open_take_sequence(Smb2Op *op, Smb2Open *open)
{
    gboolean replay = (op->flags & SMB2_FLAGS_REPLAY_OPERATION) != 0, ok = TRUE;
    if (op->connection->dialect < SMB2_DIALECT_300)
        return STATUS_SUCCESS;
    g_mutex_lock(&open->lock);
    uint16_t ahead = (uint16_t)(op->channel_sequence - open->channel_sequence);
    if (ahead > 0x7fff) {
        ok = FALSE;
    } else {
        if (ahead) {
            open->pre_requests += open->requests;
            open->requests = 0;
            open->channel_sequence = op->channel_sequence;
        }
        ok = !replay || open->pre_requests == 0;
        open->requests += ok;
        op->counted = ok;
    }
    g_mutex_unlock(&open->lock);
    gboolean changes = op->command == SMB2_WRITE || op->command == SMB2_SET_INFO || op->command == SMB2_IOCTL;
    return ok || !changes ? STATUS_SUCCESS : STATUS_FILE_NOT_AVAILABLE;
}

void
smb2_op_leave_open(Smb2Op *op)
{
    Smb2Open *open = g_steal_pointer(&op->open);
    lares_leases_spare(NULL);
    if (!open)
        return;
    if (op->counted) {
        g_mutex_lock(&open->lock);
        guint *count = op->channel_sequence == open->channel_sequence ? &open->requests : &open->pre_requests;
        *count -= *count != 0;
        g_mutex_unlock(&open->lock);
        op->counted = FALSE;
    }
    smb2_open_unref(open);
}
