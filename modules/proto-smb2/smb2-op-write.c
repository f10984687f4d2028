/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* WRITE and FLUSH.
 *
 * Spec: [MS-SMB2] 3.3.5.13, 3.3.5.11; [MS-FSA] 2.1.5.4, 2.1.5.7. */
#include "smb2-metrics.h"
#include "smb2-open.h"

#define WRITE_RIGHTS (SMB2_FILE_WRITE_DATA | SMB2_FILE_APPEND_DATA)

static void
put_written(Smb2Op *op, size_t n)
{
    smb2_put_u16(op->out, 17);
    smb2_put_u16(op->out, 0);
    smb2_put_u32(op->out, (uint32_t)n);
    smb2_put_u64(op->out, 0);
}

#define LARGEST_NTFS (UINT64_C(0xfffffff0000)) /* 2^32 clusters of 4 KiB, less the last 64 KiB */
#define GRAIN        (UINT64_C(1) << 16)

/* No file may end behind the file system's largest one, rounded down as NTFS does ([MS-FSA] 2.1.5.4); one that ends
 * before NTFS's own bound is not asked about. */
static gboolean
is_too_far(Smb2Op *op, uint64_t offset, size_t len)
{
    LaresSpace space;
    if (len == 0 || offset + len <= LARGEST_NTFS)
        return FALSE;
    return lares_files_statfs(op->service->files, &op->caller, &op->open->object, &space) == LARES_OK &&
           offset + len > space.max_file_size / GRAIN * GRAIN;
}

static uint32_t
write_file(Smb2Op *op, uint64_t offset, const uint8_t *data, size_t len, LaresStable stable)
{
    Smb2Open *open = op->open;
    LaresIo io;
    size_t done = 0;
    LaresStatus status = lares_range_check(open->open, offset, len, TRUE);
    if (status != LARES_OK)
        return smb2_status(status);
    uint32_t begun = smb2_io_begin(op, LARES_ACCESS_WRITE, &io);
    if (begun != STATUS_SUCCESS)
        return begun;
    struct iovec iov = {(void *)(uintptr_t)data, len};
    smb2_write_time_hold(op, open);
    lares_leases_defer(TRUE);
    status = lares_files_write(op->service->files, &io, offset, &iov, 1, stable, &done);
    lares_files_io_end(&io);
    if (status == LARES_OK) {
        put_written(op, done);
        smb2_count_bytes(TRUE, done);
        smb2_open_set_position(open, offset + done);
        smb2_open_wrote(op, open);
    }
    lares_leases_defer(FALSE);
    g_atomic_int_set(&open->untold, 1);
    return smb2_status(status);
}

uint32_t
smb2_op_write(Smb2Op *op)
{
    const uint8_t *b = op->body;
    size_t at = smb2_get_u16(b + 2), len = smb2_get_u32(b + 4);
    uint64_t offset = smb2_get_u64(b + 8);
    uint32_t flags = smb2_get_u32(b + 44);
    uint32_t status = smb2_op_open(op, b + 16);
    if (status != STATUS_SUCCESS)
        return status;
    const uint8_t *data = smb2_op_buffer(op, at, len);
    if (!data || len > op->connection->max_io)
        return STATUS_INVALID_PARAMETER;
    if (op->open->pipe) {
        if (!smb2_pipe_write)
            return STATUS_NOT_SUPPORTED;
        status = smb2_pipe_write(op->open->pipe, data, len);
        if (status == STATUS_SUCCESS)
            put_written(op, len);
        return status;
    }
    if (op->open->is_directory)
        return STATUS_INVALID_DEVICE_REQUEST;
    if (!(op->open->granted & WRITE_RIGHTS))
        return STATUS_ACCESS_DENIED;
    if (offset > INT64_MAX || len > INT64_MAX - offset || is_too_far(op, offset, len))
        return STATUS_INVALID_PARAMETER;
    gboolean through = op->open->options & SMB2_FILE_WRITE_THROUGH ||
                       (op->connection->dialect >= SMB2_DIALECT_210 && flags & SMB2_WRITEFLAG_WRITE_THROUGH);
    return write_file(op, offset, data, len, through ? LARES_STABLE_DATA : LARES_STABLE_NONE);
}

uint32_t
smb2_op_flush(Smb2Op *op)
{
    uint32_t status = smb2_op_open(op, op->body + 8);
    if (status != STATUS_SUCCESS)
        return status;
    if (!op->open->pipe && !(op->open->granted & WRITE_RIGHTS))
        return STATUS_ACCESS_DENIED;
    if (!op->open->pipe && !op->open->is_directory) {
        LaresIo io;
        status = smb2_io_begin(op, LARES_ACCESS_WRITE, &io);
        if (status != STATUS_SUCCESS)
            return status;
        status = smb2_status(lares_files_commit(op->service->files, &io, 0, 0));
        lares_files_io_end(&io);
        smb2_write_time_tell(op, op->open);
        smb2_open_tell(op->open);
    }
    smb2_put_u16(op->out, 4);
    smb2_put_u16(op->out, 0);
    return status;
}
