/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SECINFO: the flavors a name may be used with, in the administrator's order.
 *
 * Spec: RFC 7530 16.31, RFC 8881 18.29 */
#include "nfs4-named.h"
#include "nfs4-ops.h"
#include "nfs4-secinfo.h"

static void
put_flavor(LaresWriter *out, const LaresFlavor *flavor)
{
    if (!flavor->gss_oid) {
        lares_put_u32(out, flavor->rpc_flavor);
        return;
    }
    lares_put_u32(out, RPC_FLAVOR_GSS);
    lares_put_opaque(out, flavor->gss_oid, flavor->gss_oid_len);
    lares_put_u32(out, flavor->gss_qop);
    lares_put_u32(out, flavor->gss_service);
}

uint32_t
nfs4_secinfo_answer(Nfs4Compound *c, LaresObject *object)
{
    const LaresFlavor *flavors[LARES_SHARE_MAX_FLAVORS];
    guint n = lares_files_flavors(c->files, object, flavors);
    uint32_t shown = 0;
    size_t at = c->out->len;
    lares_put_u32(c->out, 0);
    for (guint i = 0; i < n; i++) {
        if (flavors[i]->rpc_flavor == LARES_RPC_FLAVOR_NONE)
            continue;
        put_flavor(c->out, flavors[i]);
        shown++;
    }
    lares_patch_u32(c->out, at, shown);
    lares_object_clear(object);
    if (c->minor > 0) /* RFC 8881 18.29.3, 2.6.3.1.1.8: the current file handle is consumed */
        nfs4_clear_current(c);
    return NFS4_OK;
}

NFS4_OP(secinfo)
{
    const char *name;
    LaresObject object = {NULL, NULL};
    uint32_t status = nfs4_get_name(c, &name);
    if (status == NFS4ERR_BADXDR)
        return status;
    uint32_t type = nfs4_need_directory(c, &c->current);
    if (type != NFS4_OK || status != NFS4_OK)
        return type != NFS4_OK ? type : status;
    status = nfs4_status(c, nfs4_find(c, name, 0, FALSE, &object));
    return status != NFS4_OK ? status : nfs4_secinfo_answer(c, &object);
}
