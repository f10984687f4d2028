/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copying on the server: resume keys, chunks, extents.
 *
 * Spec: [MS-SMB2] 3.3.5.15.5, 3.3.5.15.6; [MS-FSCC] 2.3.7 (duplicate extents). */
#include "smb2-open.h"

/* What a client may ask for at once: the limits it is told when it asks for more ([MS-SMB2] 3.3.3). */
#define MAX_CHUNKS      256u
#define MAX_CHUNK_BYTES (1u << 20)
#define MAX_TOTAL_BYTES (16u << 20)

#define READ_RIGHTS  (SMB2_FILE_READ_DATA | SMB2_FILE_EXECUTE) /* what may be run may be read */
#define WRITE_RIGHTS (SMB2_FILE_WRITE_DATA | SMB2_FILE_APPEND_DATA)

uint32_t
smb2_fsctl_srv_request_resume_key(Smb2Op *op, const Smb2Ioctl *ioctl)
{
    uint8_t key[24];
    if (ioctl->max_output < 32)
        return STATUS_INVALID_PARAMETER;
    smb2_open_resume_key(op->open, key);
    lares_put_bytes(op->out, key, sizeof key);
    smb2_put_u64(op->out, 0);
    return STATUS_SUCCESS;
}

static void
put_result(Smb2Op *op, uint32_t chunks, uint32_t bytes, uint32_t total)
{
    smb2_put_u32(op->out, chunks);
    smb2_put_u32(op->out, bytes);
    smb2_put_u32(op->out, total);
}

typedef struct {
    uint64_t from, to;
    uint32_t length;
} Chunk;

static Chunk
chunk_at(const uint8_t *input, uint32_t i)
{
    const uint8_t *p = input + 32 + (size_t)i * 24;
    return (Chunk){smb2_get_u64(p), smb2_get_u64(p + 8), smb2_get_u32(p + 16)};
}

/* FALSE: more than is allowed; the client gets the limits. */
static gboolean
within_limits(const uint8_t *input, uint32_t n)
{
    uint64_t total = 0;
    if (n > MAX_CHUNKS)
        return FALSE;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t length = chunk_at(input, i).length;
        if (length == 0 || length > MAX_CHUNK_BYTES)
            return FALSE;
        total += length;
    }
    return total <= MAX_TOTAL_BYTES;
}

static LaresStatus
copy_bytes(Smb2Op *op, LaresIo *from, LaresIo *to, const Chunk *chunk, uint64_t *done)
{
    LaresStatus status = lares_files_copy(op->service->files, from, chunk->from, to, chunk->to, chunk->length, done);
    if (status != LARES_NOTSUPP && status != LARES_XDEV && !(status == LARES_INVAL && *done == 0))
        return status;
    size_t got, written;
    gboolean eof;
    uint8_t *buf = lares_arena_alloc(op->arena, chunk->length);
    status = lares_files_read(op->service->files, from, chunk->from, buf, chunk->length, &got, &eof);
    struct iovec iov = {buf, got};
    if (status == LARES_OK)
        status = lares_files_write(op->service->files, to, chunk->to, &iov, 1, LARES_STABLE_NONE, &written);
    *done = status == LARES_OK ? written : 0;
    return status;
}

static uint32_t
copy_chunk(Smb2Op *op, Smb2Open *source, LaresIo *from, LaresIo *to, const Chunk *chunk)
{
    LaresAttrs attrs;
    uint64_t done = 0;
    if (lares_range_check(source->open, chunk->from, chunk->length, FALSE) != LARES_OK ||
        lares_range_check(op->open->open, chunk->to, chunk->length, TRUE) != LARES_OK)
        return STATUS_FILE_LOCK_CONFLICT;
    LaresStatus status =
        lares_files_getattr(op->service->files, &op->caller, &source->object, LARES_ATTR_SIZE, &attrs, NULL);
    if (status == LARES_OK && (chunk->from > attrs.size || chunk->length > attrs.size - chunk->from))
        return STATUS_INVALID_VIEW_SIZE;
    if (status == LARES_OK && chunk->to > (uint64_t)INT64_MAX - chunk->length)
        return STATUS_INVALID_PARAMETER;
    if (status == LARES_OK)
        status = copy_bytes(op, from, to, chunk, &done);
    return smb2_status(status);
}

static uint32_t
copy_all(Smb2Op *op, Smb2Open *source, const uint8_t *input, uint32_t n)
{
    LaresIo from = {NULL, FALSE}, to = {NULL, FALSE};
    uint32_t chunks = 0, total = 0;
    LaresStatus begun =
        lares_files_io_begin(op->service->files, &op->caller, &source->object, source->open, LARES_ACCESS_READ, &from);
    if (begun == LARES_OK)
        begun = lares_files_io_begin(op->service->files, &op->caller, &op->open->object, op->open->open,
                                     LARES_ACCESS_WRITE, &to);
    uint32_t status = smb2_status(begun);
    for (; chunks < n && status == STATUS_SUCCESS; chunks++) {
        Chunk chunk = chunk_at(input, chunks);
        status = copy_chunk(op, source, &from, &to, &chunk);
        if (status != STATUS_SUCCESS)
            break;
        total += chunk.length;
    }
    lares_files_io_end(&to);
    lares_files_io_end(&from);
    put_result(op, chunks, 0, total);
    op->keep_error_body = status != STATUS_SUCCESS;
    return status;
}

static uint32_t
check_pair(const Smb2Op *op, const Smb2Open *source, gboolean target_reads)
{
    const Smb2Open *target = op->open;
    if (!source->open || source->is_directory || target->is_directory)
        return STATUS_INVALID_DEVICE_REQUEST;
    if (!(source->granted & READ_RIGHTS) || !(target->granted & WRITE_RIGHTS))
        return STATUS_ACCESS_DENIED;
    return target_reads && !(target->granted & SMB2_FILE_READ_DATA) ? STATUS_ACCESS_DENIED : STATUS_SUCCESS;
}

uint32_t
smb2_fsctl_srv_copychunk(Smb2Op *op, const Smb2Ioctl *ioctl)
{
    if (ioctl->input_len < 32 || ioctl->max_output < 12)
        return STATUS_INVALID_PARAMETER;
    uint32_t n = smb2_get_u32(ioctl->input + 24);
    if (n <= MAX_CHUNKS && ioctl->input_len < 32 + (size_t)n * 24)
        return STATUS_INVALID_PARAMETER;
    Smb2Open *source = smb2_opens_by_resume_key(op->service->opens, op->session, ioctl->input);
    if (!source)
        return STATUS_OBJECT_NAME_NOT_FOUND;
    uint32_t status = check_pair(op, source, ioctl->code == FSCTL_SRV_COPYCHUNK);
    if (status == STATUS_SUCCESS && !within_limits(ioctl->input, n)) {
        put_result(op, MAX_CHUNKS, MAX_CHUNK_BYTES, MAX_TOTAL_BYTES);
        op->keep_error_body = TRUE;
        status = STATUS_INVALID_PARAMETER;
    } else if (status == STATUS_SUCCESS) {
        status = copy_all(op, source, ioctl->input, n);
    }
    smb2_open_unref(source);
    return status;
}

static gboolean
is_sparse(Smb2Op *op, const Smb2Open *open)
{
    LaresFiles *files = op->service->files;
    LaresAttrs attrs;
    LaresDos dos;
    if (lares_files_getattr(files, &op->caller, &open->object, LARES_ATTR_STAT, &attrs, NULL) != LARES_OK)
        return FALSE;
    lares_files_get_dos(files, &open->object, NULL, &attrs, &dos);
    return smb2_attributes(&open->object, &dos) & SMB2_ATTR_SPARSE;
}

/* Source and target share the blocks from now on. */
uint32_t
smb2_fsctl_duplicate_extents(Smb2Op *op, const Smb2Ioctl *ioctl)
{
    LaresIo from = {NULL, FALSE}, to = {NULL, FALSE};
    if (ioctl->input_len < 40)
        return STATUS_INVALID_PARAMETER;
    uint8_t key[24] = {0};
    memcpy(key, ioctl->input, 16);
    uint64_t at = smb2_get_u64(ioctl->input + 16), to_at = smb2_get_u64(ioctl->input + 24);
    uint64_t length = smb2_get_u64(ioctl->input + 32);
    Smb2Open *source = smb2_opens_by_resume_key(op->service->opens, op->session, key);
    if (!source)
        return STATUS_INVALID_HANDLE;
    uint32_t status = check_pair(op, source, FALSE);
    if (status == STATUS_SUCCESS && length == 0) {
        smb2_open_unref(source);
        return STATUS_SUCCESS;
    }
    if (status == STATUS_SUCCESS && is_sparse(op, source) && !is_sparse(op, op->open))
        status = STATUS_NOT_SUPPORTED; /* [MS-FSA] 2.1.5.10.4: it would get holes */
    if (status == STATUS_SUCCESS && (lares_range_check(source->open, at, length, FALSE) != LARES_OK ||
                                     lares_range_check(op->open->open, to_at, length, TRUE) != LARES_OK))
        status = STATUS_FILE_LOCK_CONFLICT;
    if (status == STATUS_SUCCESS) {
        LaresStatus done = lares_files_io_begin(op->service->files, &op->caller, &source->object, source->open,
                                                LARES_ACCESS_READ, &from);
        if (done == LARES_OK)
            done = lares_files_io_begin(op->service->files, &op->caller, &op->open->object, op->open->open,
                                        LARES_ACCESS_WRITE, &to);
        if (done == LARES_OK)
            done = lares_files_clone(op->service->files, &from, at, &to, to_at, length);
        lares_files_io_end(&to);
        lares_files_io_end(&from);
        status = done == LARES_INVAL ? STATUS_NOT_SUPPORTED : smb2_status(done);
    }
    smb2_open_unref(source);
    return status;
}
