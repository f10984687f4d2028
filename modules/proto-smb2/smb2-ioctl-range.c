/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Storage: sparse files, zeroing, which ranges have storage, no compression; and object ids.
 *
 * Spec: [MS-FSCC] 2.3.48, 2.3.51 (query allocated ranges), 2.3.68 (set sparse), 2.3.71 (set zero data), 2.3.1. */
#include "smb2-open.h"

#include <string.h>

#define WRITE_RIGHTS (SMB2_FILE_WRITE_DATA | SMB2_FILE_APPEND_DATA)
#define ZEROES       65536u

uint32_t
smb2_fsctl_set_sparse(Smb2Op *op, const Smb2Ioctl *ioctl)
{
    LaresAttrs attrs;
    LaresDos dos;
    gboolean sparse = ioctl->input_len == 0 || ioctl->input[0] != 0;
    if (op->open->is_directory)
        return STATUS_INVALID_PARAMETER;
    if (!(op->open->granted & (WRITE_RIGHTS | SMB2_FILE_WRITE_ATTRIBUTES)))
        return STATUS_ACCESS_DENIED;
    LaresStatus status =
        lares_files_getattr(op->service->files, &op->caller, &op->open->object, LARES_ATTR_STAT, &attrs, NULL);
    if (status != LARES_OK)
        return smb2_status(status);
    lares_files_get_dos(op->service->files, &op->open->object, NULL, &attrs, &dos);
    uint32_t now = smb2_attributes(&op->open->object, &dos) & ~SMB2_ATTR_NORMAL;
    uint32_t then = sparse ? now | SMB2_ATTR_SPARSE : now & ~SMB2_ATTR_SPARSE;
    if (then == now)
        return STATUS_SUCCESS;
    dos.set = TRUE;
    dos.attributes = then;
    return smb2_status(lares_files_set_dos(op->service->files, &op->open->object, &dos));
}

static LaresStatus
write_zeros(Smb2Op *op, LaresIo *io, uint64_t at, uint64_t len)
{
    uint8_t *zeros = lares_arena_alloc0(op->arena, ZEROES);
    while (len) {
        size_t done;
        struct iovec iov = {zeros, len < ZEROES ? (size_t)len : ZEROES};
        LaresStatus status = lares_files_write(op->service->files, io, at, &iov, 1, LARES_STABLE_NONE, &done);
        if (status != LARES_OK)
            return status;
        at += done;
        len -= done;
    }
    return LARES_OK;
}

uint32_t
smb2_fsctl_set_zero_data(Smb2Op *op, const Smb2Ioctl *ioctl)
{
    LaresIo io;
    LaresAttrs attrs;
    if (ioctl->input_len < 16)
        return STATUS_INVALID_PARAMETER;
    uint64_t start = smb2_get_u64(ioctl->input), end = smb2_get_u64(ioctl->input + 8);
    if (start > INT64_MAX || end > INT64_MAX || start > end || op->open->is_directory)
        return STATUS_INVALID_PARAMETER;
    if (!(op->open->granted & SMB2_FILE_WRITE_DATA))
        return STATUS_ACCESS_DENIED;
    if (lares_range_check(op->open->open, start, end - start, TRUE) != LARES_OK)
        return STATUS_FILE_LOCK_CONFLICT;
    uint32_t begun = smb2_io_begin(op, LARES_ACCESS_WRITE, &io);
    if (begun != STATUS_SUCCESS)
        return begun;
    LaresStatus done = LARES_OK;
    if (done == LARES_OK)
        done = lares_files_getattr(op->service->files, &op->caller, &op->open->object, LARES_ATTR_SIZE, &attrs, NULL);
    if (done == LARES_OK && end > attrs.size)
        end = attrs.size; /* the size stays as it is */
    if (done == LARES_OK && start < end) {
        done = lares_files_allocate(op->service->files, &io, start, end - start, TRUE);
        if (done == LARES_NOTSUPP)
            done = write_zeros(op, &io, start, end - start);
    }
    lares_files_io_end(&io);
    return smb2_status(done);
}

/* Appends what has storage in [start, end); BUFFER_OVERFLOW when not all of it fits. */
static uint32_t
put_ranges(Smb2Op *op, LaresIo *io, uint64_t start, uint64_t end, size_t room)
{
    while (start < end) {
        uint64_t data = start, hole = end;
        gboolean eof = FALSE;
        LaresStatus status = lares_files_seek(op->service->files, io, LARES_SEEK_DATA, start, &data, &eof);
        if (status == LARES_NXIO || (status == LARES_OK && (eof || data >= end)))
            return STATUS_SUCCESS;
        if (status == LARES_OK)
            status = lares_files_seek(op->service->files, io, LARES_SEEK_HOLE, data, &hole, &eof);
        if (status == LARES_NOTSUPP)
            data = start, hole = end; /* the store cannot tell: everything */
        else if (status != LARES_OK)
            return smb2_status(status);
        if (hole > end || hole <= data)
            hole = end;
        if (room < 16)
            return STATUS_BUFFER_OVERFLOW;
        smb2_put_u64(op->out, data);
        smb2_put_u64(op->out, hole - data);
        room -= 16;
        start = hole;
    }
    return STATUS_SUCCESS;
}

uint32_t
smb2_fsctl_query_allocated_ranges(Smb2Op *op, const Smb2Ioctl *ioctl)
{
    LaresIo io;
    LaresAttrs attrs;
    LaresDos dos;
    if (ioctl->input_len < 16 || op->open->is_directory)
        return STATUS_INVALID_PARAMETER;
    uint64_t start = smb2_get_u64(ioctl->input), length = smb2_get_u64(ioctl->input + 8);
    if (start > INT64_MAX || length > INT64_MAX || length > INT64_MAX - start)
        return STATUS_INVALID_PARAMETER;
    if (!(op->open->granted & SMB2_FILE_READ_DATA))
        return STATUS_ACCESS_DENIED;
    LaresStatus begun = lares_files_io_begin(op->service->files, &op->caller, &op->open->object, op->open->open,
                                             LARES_ACCESS_READ, &io);
    if (begun == LARES_OK)
        begun = lares_files_getattr(op->service->files, &op->caller, &op->open->object, LARES_ATTR_STAT, &attrs, NULL);
    uint32_t status = smb2_status(begun);
    if (status == STATUS_SUCCESS && length && start < attrs.size) {
        uint64_t end = length < attrs.size - start ? start + length : attrs.size;
        lares_files_get_dos(op->service->files, &op->open->object, NULL, &attrs, &dos);
        if (ioctl->max_output < 16) {
            status = STATUS_BUFFER_TOO_SMALL;
        } else if (smb2_attributes(&op->open->object, &dos) & SMB2_ATTR_SPARSE) {
            status = put_ranges(op, &io, start, end, ioctl->max_output);
        } else { /* a file that is not sparse has no holes, whatever the file system saves */
            smb2_put_u64(op->out, start);
            smb2_put_u64(op->out, end - start);
        }
    }
    lares_files_io_end(&io);
    return status;
}

/* Nothing is compressed here: that is told, and asking for it to stay so is granted. */
uint32_t
smb2_fsctl_get_compression(Smb2Op *op, const Smb2Ioctl *ioctl)
{
    if (ioctl->max_output < 2)
        return STATUS_INVALID_PARAMETER;
    smb2_put_u16(op->out, 0);
    return STATUS_SUCCESS;
}

uint32_t
smb2_fsctl_set_compression(Smb2Op *op, const Smb2Ioctl *ioctl)
{
    if (ioctl->input_len < 2 || smb2_get_u16(ioctl->input) > 2)
        return STATUS_INVALID_PARAMETER;
    if (!(op->open->granted & SMB2_FILE_WRITE_DATA))
        return STATUS_ACCESS_DENIED;
    return smb2_get_u16(ioctl->input) ? STATUS_NOT_SUPPORTED : STATUS_SUCCESS;
}

uint32_t
smb2_fsctl_create_or_get_object_id(Smb2Op *op, const Smb2Ioctl *ioctl)
{
    uint8_t id[64] = {0};
    if (ioctl->max_output < sizeof id)
        return STATUS_BUFFER_TOO_SMALL;
    smb2_set_u64(id, op->open->object.node->fileid);
    smb2_set_u64(id + 8, op->share->id);
    smb2_set_u64(id + 16, op->share->id);
    memcpy(id + 32, id, 16);
    lares_put_bytes(op->out, id, sizeof id);
    return STATUS_SUCCESS;
}
