/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* RESTOREFH: the saved file handle and stateid become the current ones.
 *
 * Spec: RFC 7530 16.29, RFC 8881 18.27, 16.2.3.1.2 */
#include "nfs4-ops.h"

NFS4_OP(restorefh)
{
    LaresObject object = {NULL, NULL};
    if (!lares_object_is_set(&c->saved))
        return c->minor == 0 ? NFS4ERR_RESTOREFH : NFS4ERR_NOFILEHANDLE;
    lares_object_copy(&object, &c->saved);
    nfs4_set_current(c, &object);
    lares_object_copy(&c->current_of, &c->saved_of);
    c->current_stateid = c->saved_stateid;
    return NFS4_OK;
}
