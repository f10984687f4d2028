/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* OPENATTR: the directory with the named attributes of the current file, which the named streams of SMB are.
 *
 * Spec: RFC 7530 5.3, 16.17; RFC 8881 5.3, 18.17 */
#include "nfs4-named.h"
#include "nfs4-ops.h"

NFS4_OP(openattr)
{
    LaresObject dir, of = {NULL, NULL};
    gboolean create = lares_get_bool(c->in);
    if (c->in->failed)
        return NFS4ERR_BADXDR;
    if (nfs4_of(c, &c->current)) /* 4.0 has no WRONG_TYPE: there are none of this object */
        return c->minor == 0 ? NFS4ERR_NOTSUPP : NFS4ERR_WRONG_TYPE;
    LaresStatus status = lares_files_named_dir(c->files, &c->caller, &c->current, create, &dir);
    if (status == LARES_OK) {
        lares_object_copy(&of, &c->current);
        nfs4_set_current(c, &dir);
        c->current_of = of;
    }
    return nfs4_status(c, status);
}
