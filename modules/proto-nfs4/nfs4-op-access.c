/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ACCESS: which rights the caller has.
 *
 * Spec: RFC 7530 16.1, RFC 8881 18.1, RFC 8276 8.4.5 */
#include "nfs4-named.h"
#include "nfs4-ops.h"

static const struct {
    uint32_t wire;
    uint32_t file, directory; /* LaresAccess; 0: the right means nothing for this type */
} rights[] = {
    {ACCESS4_READ, LARES_ACCESS_READ, LARES_ACCESS_READ},
    {ACCESS4_LOOKUP, 0, LARES_ACCESS_EXECUTE},
    {ACCESS4_MODIFY, LARES_ACCESS_MODIFY, LARES_ACCESS_MODIFY},
    {ACCESS4_EXTEND, LARES_ACCESS_EXTEND, LARES_ACCESS_EXTEND},
    {ACCESS4_DELETE, 0, LARES_ACCESS_MODIFY}, /* deleting entries of this directory */
    {ACCESS4_EXECUTE, LARES_ACCESS_EXECUTE, 0},
    {ACCESS4_XAREAD, LARES_ACCESS_XAREAD, LARES_ACCESS_XAREAD},
    {ACCESS4_XAWRITE, LARES_ACCESS_XAWRITE, LARES_ACCESS_XAWRITE},
    {ACCESS4_XALIST, LARES_ACCESS_XALIST, LARES_ACCESS_XALIST},
};

NFS4_OP(access)
{
    uint32_t asked = lares_get_u32(c->in);
    uint32_t known = c->minor >= 2 ? 0x1ff : 0x3f;
    uint32_t wanted = 0, allowed = 0, supported = 0, granted = 0;
    gboolean directory = c->current.node->type == LARES_TYPE_DIRECTORY;
    if (c->in->failed)
        return NFS4ERR_BADXDR;
    if (asked & ~known)
        return NFS4ERR_INVAL;
    for (size_t i = 0; i < G_N_ELEMENTS(rights); i++)
        if (asked & rights[i].wire)
            wanted |= directory ? rights[i].directory : rights[i].file;
    if (lares_object_is_set(&c->current_of))
        wanted &= (uint32_t) ~(LARES_ACCESS_XAREAD | LARES_ACCESS_XAWRITE | LARES_ACCESS_XALIST);
    LaresStatus status = nfs4_access(c, wanted, &allowed);
    if (status != LARES_OK)
        return nfs4_status(c, status);
    for (size_t i = 0; i < G_N_ELEMENTS(rights); i++) {
        uint32_t bit = directory ? rights[i].directory : rights[i].file;
        if ((asked & rights[i].wire) && bit) {
            supported |= rights[i].wire;
            if (allowed & bit)
                granted |= rights[i].wire;
        }
    }
    lares_put_u32(c->out, supported);
    lares_put_u32(c->out, granted);
    return NFS4_OK;
}
