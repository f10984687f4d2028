/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* READ: from a file, straight from the page cache where the reply is neither signed nor encrypted, or from a pipe.
 *
 * Spec: [MS-SMB2] 3.3.5.12; [MS-FSA] 2.1.5.3. */
#include "smb2-metrics.h"
#include "smb2-open.h"

#define HEAD 16 /* of the response, before the data */

/* Up to here a copy costs less than to look how much is there and to send by reference. */
#define COPIED (32u << 10)

static void
release_file(gpointer file)
{
    lares_file_unref(file);
}

static void
put_head(Smb2Op *op, size_t at, size_t n)
{
    smb2_patch_u16(op->out, at, 17);
    smb2_patch_u8(op->out, at + 2, (uint8_t)(SMB2_HEADER_SIZE + HEAD));
    smb2_patch_u32(op->out, at + 4, (uint32_t)n);
}

/* TRUE: the reply sends the file's own pages. */
static gboolean
read_by_range(Smb2Op *op, LaresIo *io, uint64_t offset, size_t len, size_t *there)
{
    int fd;
    gboolean eof;
    if (!op->allow_ranges || len <= COPIED)
        return FALSE;
    if (lares_files_read_range(op->service->files, io, offset, len, &fd, there, &eof) != LARES_OK || fd < 0)
        return FALSE;
    if (*there == 0)
        return TRUE;
    return lares_reply_add_range(op->reply, fd, offset, *there, 0, release_file, lares_file_ref(io->file));
}

static uint32_t
read_file(Smb2Op *op, LaresIo *io, uint64_t offset, size_t len, size_t minimum, size_t at)
{
    size_t done = 0;
    if (!read_by_range(op, io, offset, len, &done)) {
        uint8_t *space = lares_put_space(op->out, len);
        if (!space)
            return STATUS_INSUFFICIENT_RESOURCES;
        LaresStatus status = lares_files_read(op->service->files, io, offset, space, len, &done, NULL);
        if (status != LARES_OK)
            return smb2_status(status);
        lares_writer_rewind(op->out, at + HEAD + done);
    }
    if ((done == 0 && len > 0) || done < minimum)
        return STATUS_END_OF_FILE;
    put_head(op, at, done);
    smb2_count_bytes(FALSE, done);
    return STATUS_SUCCESS;
}

static uint32_t
check_read(Smb2Op *op, uint64_t offset, size_t len)
{
    Smb2Open *open = op->open;
    if (open->is_directory)
        return STATUS_INVALID_DEVICE_REQUEST;
    if (!(open->granted & (SMB2_FILE_READ_DATA | SMB2_FILE_EXECUTE)))
        return STATUS_ACCESS_DENIED;
    if (offset > INT64_MAX || len > INT64_MAX - offset || len > op->connection->max_io)
        return STATUS_INVALID_PARAMETER;
    return smb2_status(lares_range_check(open->open, offset, len, FALSE));
}

uint32_t
smb2_op_read(Smb2Op *op)
{
    const uint8_t *b = op->body;
    size_t len = smb2_get_u32(b + 4), minimum = smb2_get_u32(b + 32), at = op->out->len;
    uint64_t offset = smb2_get_u64(b + 8);
    uint32_t status = smb2_op_open(op, b + 16);
    if (status != STATUS_SUCCESS)
        return status;
    if (op->open->pipe) {
        if (len > op->connection->max_io || !smb2_pipe_read)
            return STATUS_INVALID_PARAMETER;
        smb2_put_zeros(op->out, HEAD);
        status = smb2_pipe_read(op->open->pipe, len, op->out);
        put_head(op, at, op->out->len - at - HEAD);
        return status;
    }
    status = check_read(op, offset, len);
    if (status != STATUS_SUCCESS)
        return status;
    LaresIo io;
    status = smb2_io_begin(op, LARES_ACCESS_READ, &io);
    if (status != STATUS_SUCCESS)
        return status;
    smb2_put_zeros(op->out, HEAD);
    status = read_file(op, &io, offset, len, minimum, at);
    if (status == STATUS_SUCCESS)
        smb2_open_set_position(op->open, offset + smb2_get_u32(op->out->base + at + 4));
    lares_files_io_end(&io);
    return status;
}
