/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CLOSE.
 *
 * Spec: [MS-SMB2] 3.3.5.10. */
#include "smb2-open.h"

#include <string.h>

uint32_t
smb2_op_close(Smb2Op *op)
{
    uint32_t status = smb2_op_open(op, op->body + 8);
    gboolean tell = smb2_get_u16(op->body + 2) & SMB2_CLOSE_FLAG_POSTQUERY_ATTRIB;
    Smb2Basic basic = {0};
    if (status != STATUS_SUCCESS)
        return status;
    uint64_t seen = 0;
    if (g_atomic_int_get(&op->open->delete_on_close) && op->open->open &&
        lares_files_contend_name(op->service->files, &op->open->object, op->open->open, &seen) == LARES_DELAY)
        return smb2_park_on(op, op->open->object.node, seen, NULL, 0);
    smb2_write_time_tell(op, op->open);
    if (tell && smb2_basic_get(op, op->open, &basic) != STATUS_SUCCESS)
        tell = FALSE;
    if (op->open->is_directory)
        smb2_notify_closing(op);
    op->reply->serial |= g_atomic_int_get(&op->open->delete_on_close);
    smb2_open_close(op->open);
    smb2_put_u16(op->out, 60);
    smb2_put_u16(op->out, tell ? SMB2_CLOSE_FLAG_POSTQUERY_ATTRIB : 0);
    smb2_put_u32(op->out, 0);
    smb2_put_u64(op->out, basic.created);
    smb2_put_u64(op->out, basic.accessed);
    smb2_put_u64(op->out, basic.written);
    smb2_put_u64(op->out, basic.changed);
    smb2_put_u64(op->out, basic.allocation);
    smb2_put_u64(op->out, basic.size);
    smb2_put_u32(op->out, tell ? basic.attributes : 0);
    return STATUS_SUCCESS;
}
