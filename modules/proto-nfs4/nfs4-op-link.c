/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* LINK: a further name, in the current directory, for the saved file.
 *
 * Spec: RFC 7530 16.9, RFC 8881 18.9 */
#include "nfs4-ops.h"

NFS4_OP(link)
{
    const char *name;
    LaresChangeInfo info = {0};
    uint32_t status = nfs4_get_name(c, &name);
    if (status == NFS4ERR_BADXDR)
        return status;
    if (c->saved.node->type == LARES_TYPE_DIRECTORY)
        return NFS4ERR_ISDIR;
    uint32_t type = nfs4_need_directory(c, &c->current);
    if (type != NFS4_OK)
        return type;
    if (status != NFS4_OK)
        return status;
    if (lares_object_is_set(&c->saved_of) || lares_object_is_set(&c->current_of))
        return NFS4ERR_XDEV; /* RFC 8881 5.3: no links into, out of or among directories of named attributes */
    c->serial = TRUE;
    status = nfs4_status(c, lares_files_link(c->files, &c->caller, &c->saved, &c->current, name, &info));
    if (status == NFS4_OK)
        nfs4_put_change_info(c->out, &info);
    return status;
}
