/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* QUERY_INFO: files, file systems, security; quotas there are none.
 *
 * Spec: [MS-SMB2] 2.2.37, 2.2.38, 3.3.5.20. */
#include "smb2-info.h"

enum {
    AT_TYPE = 2,
    AT_CLASS = 3,
    AT_OUTPUT = 4,
    AT_INPUT_OFFSET = 8,
    AT_INPUT = 12,
    AT_ADDITIONAL = 16,
    AT_FLAGS = 20,
    AT_FILE = 24
};

/* Too small a buffer for a security descriptor: the ERROR body says how much it takes. */
static uint32_t
too_small(Smb2Op *op, size_t body, size_t need)
{
    LaresWriter *w = op->out;
    gboolean contexts = op->connection->dialect == SMB2_DIALECT_311;
    lares_writer_rewind(w, body);
    smb2_put_u16(w, 9);
    smb2_put_u8(w, contexts ? 1 : 0);
    smb2_put_u8(w, 0);
    smb2_put_u32(w, contexts ? 12 : 4);
    if (contexts) {
        smb2_put_u32(w, 4);
        smb2_put_u32(w, 0);
    }
    smb2_put_u32(w, (uint32_t)need);
    op->keep_error_body = TRUE;
    return STATUS_BUFFER_TOO_SMALL;
}

static uint32_t
query(Smb2Op *op, size_t limit, size_t *fixed)
{
    const uint8_t *b = op->body;
    size_t input_len = smb2_get_u32(b + AT_INPUT);
    const uint8_t *input = smb2_op_buffer(op, smb2_get_u16(b + AT_INPUT_OFFSET), input_len);
    uint8_t class = b[AT_CLASS];
    *fixed = 0;
    switch (b[AT_TYPE]) {
    case SMB2_0_INFO_FILE:
        if (class != SMB2_CLASS_FULL_EA)
            return smb2_query_file(op, class, limit, fixed);
        if (!input)
            return STATUS_INVALID_PARAMETER;
        return smb2_ea_query(op, input, input_len, smb2_get_u32(b + AT_FLAGS), smb2_get_u32(b + AT_ADDITIONAL), limit);
    case SMB2_0_INFO_FILESYSTEM:
        return smb2_query_fs(op, class, fixed);
    case SMB2_0_INFO_SECURITY:
        return smb2_security_query(op, smb2_get_u32(b + AT_ADDITIONAL));
    case SMB2_0_INFO_QUOTA:
        return STATUS_NOT_SUPPORTED;
    default:
        return STATUS_INVALID_PARAMETER;
    }
}

uint32_t
smb2_op_query_info(Smb2Op *op)
{
    LaresWriter *w = op->out;
    size_t limit, fixed, body = w->len;
    uint32_t status = smb2_op_file(op, op->body + AT_FILE);
    if (status != STATUS_SUCCESS)
        return status == STATUS_INVALID_DEVICE_REQUEST ? STATUS_NOT_SUPPORTED : status;
    status = smb2_op_output_limit(op, smb2_get_u32(op->body + AT_OUTPUT), &limit);
    if (status != STATUS_SUCCESS)
        return status;
    smb2_put_u16(w, 9);
    smb2_put_u16(w, 0);
    smb2_put_u32(w, 0);
    size_t data = w->len;
    status = query(op, limit, &fixed);
    if (SMB2_STATUS_IS_ERROR(status))
        return status;
    if (limit < fixed)
        return STATUS_INFO_LENGTH_MISMATCH;
    if (w->len - data > limit) {
        if (op->body[AT_TYPE] == SMB2_0_INFO_SECURITY)
            return too_small(op, body, w->len - data);
        lares_writer_rewind(w, data + limit);
        status = STATUS_BUFFER_OVERFLOW;
    }
    smb2_patch_u16(w, body + 2, (uint16_t)(data - op->response));
    smb2_patch_u32(w, body + 4, (uint32_t)(w->len - data));
    return status;
}
