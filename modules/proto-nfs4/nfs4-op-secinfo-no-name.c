/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SECINFO_NO_NAME: the flavors of the current file or of its parent.
 *
 * Spec: RFC 8881 18.45 */
#include "nfs4-named.h"
#include "nfs4-ops.h"
#include "nfs4-secinfo.h"

NFS4_OP(secinfo_no_name)
{
    LaresObject object = {NULL, NULL};
    uint32_t style = lares_get_u32(c->in);
    if (c->in->failed)
        return NFS4ERR_BADXDR;
    if (style == SECINFO_STYLE4_CURRENT_FH) {
        lares_object_copy(&object, &c->current);
        return nfs4_secinfo_answer(c, &object);
    }
    if (style != SECINFO_STYLE4_PARENT)
        return NFS4ERR_INVAL;
    uint32_t status = nfs4_need_directory(c, &c->current);
    if (status == NFS4_OK)
        status = nfs4_status(c, nfs4_find_parent(c, FALSE, &object));
    return status != NFS4_OK ? status : nfs4_secinfo_answer(c, &object);
}
