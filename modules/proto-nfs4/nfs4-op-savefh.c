/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SAVEFH: remembers the current file handle and stateid.
 *
 * Spec: RFC 7530 16.30, RFC 8881 18.28, 16.2.3.1.2 */
#include "nfs4-ops.h"

NFS4_OP(savefh)
{
    nfs4_clear_saved(c);
    lares_object_copy(&c->saved, &c->current);
    lares_object_copy(&c->saved_of, &c->current_of);
    c->saved_unchecked = c->current_unchecked;
    c->saved_stateid = c->current_stateid;
    return NFS4_OK;
}
