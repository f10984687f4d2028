/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* LISTXATTRS: the names of extended attributes; the cookie is how many names were given before.
 *
 * Spec: RFC 8276 8.4.3 */
#include "nfs4-ops.h"

#define RESULT_FIXED 16u /* cookie, number of names, eof */

/* Writes names behind the first `skip`. TOOSMALL when not even one fits. */
static uint32_t
put_names(Nfs4Compound *c, const char *names, size_t len, uint64_t skip, size_t maxcount)
{
    size_t start = c->out->len;
    uint64_t index = 0;
    uint32_t n = 0;
    gboolean eof = TRUE;
    lares_put_u64(c->out, 0);
    lares_put_u32(c->out, 0);
    for (const char *name = names; name < names + len; name += strlen(name) + 1, index++) {
        size_t name_len = strlen(name);
        if (index < skip)
            continue;
        if (c->out->len - start + 4 + ((name_len + 3) & ~(size_t)3) + 4 > maxcount) {
            eof = FALSE;
            break;
        }
        lares_put_opaque(c->out, name, name_len);
        n++;
    }
    if (!eof && n == 0)
        return NFS4ERR_TOOSMALL;
    lares_patch_u32(c->out, start, (uint32_t)(index >> 32));
    lares_patch_u32(c->out, start + 4, (uint32_t)index);
    lares_patch_u32(c->out, start + 8, n);
    lares_put_u32(c->out, eof);
    return NFS4_OK;
}

NFS4_OP(listxattrs)
{
    size_t len = 0;
    uint64_t cookie = lares_get_u64(c->in);
    uint32_t maxcount = lares_get_u32(c->in);
    if (c->in->failed)
        return NFS4ERR_BADXDR;
    if (maxcount < RESULT_FIXED)
        return NFS4ERR_TOOSMALL;
    char *names = lares_arena_alloc(c->arena, NFS4_MAX_XATTR_LIST + 1);
    LaresStatus status = lares_files_listxattr(c->files, &c->caller, &c->current, names, NFS4_MAX_XATTR_LIST, &len);
    if (status != LARES_OK)
        return nfs4_status(c, status);
    names[len] = '\0';
    return put_names(c, names, len, cookie, maxcount);
}
