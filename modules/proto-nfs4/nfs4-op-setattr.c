/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SETATTR: changes attributes; the answer says which, also after an error.
 *
 * Spec: RFC 7530 16.32, RFC 8881 18.30 */
#include "nfs4-attr.h"
#include "nfs4-io.h"
#include "nfs4-named.h"
#include "nfs4-ops.h"

static uint32_t
set_all(Nfs4Compound *c, const Nfs4Stateid *stateid, Nfs4SetAttrs *attrs)
{
    LaresIo io = {NULL, FALSE};
    LaresOpen *open = NULL;
    uint32_t status = NFS4_OK;
    if (attrs->set.mask & LARES_ATTR_SIZE) { /* only a change of size looks at the stateid */
        status = nfs4_need_regular(c, &c->current);
        if (status == NFS4_OK)
            status = nfs4_state_io(c, &c->current, stateid, LARES_ACCESS_WRITE, &open);
        if (status == NFS4_OK && open)
            status = nfs4_status(c, nfs4_files_io_begin(c, &c->current, open, LARES_ACCESS_WRITE, &io));
    }
    if (status == NFS4_OK)
        status = nfs4_fattr_apply(c, &c->current, io.file, attrs);
    if (io.file)
        lares_files_io_end(&io);
    if (open)
        lares_open_unref(open);
    return status;
}

NFS4_OP(setattr)
{
    Nfs4Stateid stateid;
    Nfs4SetAttrs attrs = {.acl = NULL};
    nfs4_get_stateid(c->in, &stateid);
    uint32_t status = c->in->failed ? NFS4ERR_BADXDR : nfs4_fattr_decode(c, NFS4_FATTR_SETATTR, &attrs);
    if (status == NFS4_OK) {
        status = set_all(c, &stateid, &attrs);
        nfs4_fattr_clear(&attrs);
    }
    nfs4_bitmap_put(c->out, &attrs.done);
    c->keep_body = TRUE;
    return status;
}
