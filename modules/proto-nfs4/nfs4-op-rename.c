/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* RENAME: a name of the saved directory becomes one of the current directory.
 *
 * Spec: RFC 7530 16.27, RFC 8881 18.26 */
#include "nfs4-named.h"
#include "nfs4-ops.h"

NFS4_OP(rename)
{
    const uint8_t *old_bytes, *new_bytes;
    size_t old_len, new_len;
    const char *old_name, *new_name;
    LaresChangeInfo from = {0}, to = {0};
    nfs4_get_name_bytes(c->in, &old_bytes, &old_len);
    nfs4_get_name_bytes(c->in, &new_bytes, &new_len);
    if (c->in->failed)
        return NFS4ERR_BADXDR;
    uint32_t status = nfs4_need_directory(c, &c->saved);
    if (status == NFS4_OK)
        status = nfs4_need_directory(c, &c->current);
    if (status == NFS4_OK)
        status = nfs4_check_name(c, old_bytes, old_len, &old_name);
    if (status == NFS4_OK)
        status = nfs4_check_name(c, new_bytes, new_len, &new_name);
    if (status != NFS4_OK)
        return status;
    c->serial = TRUE;
    status = nfs4_status(c, nfs4_rename(c, old_name, new_name, &from, &to));
    if (status == NFS4_OK) {
        nfs4_put_change_info(c->out, &from);
        nfs4_put_change_info(c->out, &to);
    }
    return status;
}
