/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where LaresStatus becomes nfsstat4, and nowhere else.
 *
 * Spec: RFC 7530 13.1, RFC 8881 15.1, RFC 7862 11.1 */
#include "nfs4-compound.h"

static const uint16_t map[LARES_STATUS_LAST] = {
    [LARES_OK] = NFS4_OK,
    [LARES_PERM] = NFS4ERR_PERM,
    [LARES_NOENT] = NFS4ERR_NOENT,
    [LARES_IO] = NFS4ERR_IO,
    [LARES_NXIO] = NFS4ERR_NXIO,
    [LARES_ACCESS] = NFS4ERR_ACCESS,
    [LARES_EXIST] = NFS4ERR_EXIST,
    [LARES_XDEV] = NFS4ERR_XDEV,
    [LARES_NOTDIR] = NFS4ERR_NOTDIR,
    [LARES_ISDIR] = NFS4ERR_ISDIR,
    [LARES_INVAL] = NFS4ERR_INVAL,
    [LARES_FBIG] = NFS4ERR_FBIG,
    [LARES_NOSPC] = NFS4ERR_NOSPC,
    [LARES_ROFS] = NFS4ERR_ROFS,
    [LARES_MLINK] = NFS4ERR_MLINK,
    [LARES_NAMETOOLONG] = NFS4ERR_NAMETOOLONG,
    [LARES_NOTEMPTY] = NFS4ERR_NOTEMPTY,
    [LARES_DQUOT] = NFS4ERR_DQUOT,
    [LARES_STALE] = NFS4ERR_STALE,
    [LARES_BADHANDLE] = NFS4ERR_BADHANDLE,
    [LARES_BAD_COOKIE] = NFS4ERR_BAD_COOKIE,
    [LARES_NOTSUPP] = NFS4ERR_NOTSUPP,
    [LARES_TOOSMALL] = NFS4ERR_TOOSMALL,
    [LARES_SERVERFAULT] = NFS4ERR_SERVERFAULT,
    [LARES_BADTYPE] = NFS4ERR_BADTYPE,
    [LARES_DELAY] = NFS4ERR_DELAY,
    [LARES_SAME] = NFS4ERR_SAME,
    [LARES_DENIED] = NFS4ERR_DENIED,
    [LARES_LOCKED] = NFS4ERR_LOCKED,
    [LARES_SHARE_DENIED] = NFS4ERR_SHARE_DENIED,
    [LARES_GRACE] = NFS4ERR_GRACE,
    [LARES_NO_GRACE] = NFS4ERR_NO_GRACE,
    [LARES_WRONGSEC] = NFS4ERR_WRONGSEC,
    [LARES_SYMLINK] = NFS4ERR_SYMLINK,
    [LARES_WRONG_TYPE] = NFS4ERR_WRONG_TYPE,
    [LARES_BADNAME] = NFS4ERR_BADNAME,
    [LARES_BADCHAR] = NFS4ERR_INVAL, /* RFC 7530 12.7, RFC 8881 14.5: invalid UTF-8 is NFS4ERR_INVAL */
    [LARES_BADOWNER] = NFS4ERR_BADOWNER,
    [LARES_BAD_RANGE] = NFS4ERR_INVAL, /* overflow of offset and length, RFC 7530 16.10.4 */
    [LARES_LOCKS_HELD] = NFS4ERR_LOCKS_HELD,
    [LARES_OPENMODE] = NFS4ERR_OPENMODE,
    [LARES_FILE_OPEN] = NFS4ERR_FILE_OPEN,
    [LARES_NOXATTR] = NFS4ERR_NOXATTR,
    [LARES_XATTR2BIG] = NFS4ERR_XATTR2BIG,
    [LARES_TXTBSY] = NFS4ERR_FILE_OPEN,
    [LARES_TOO_MANY] = NFS4ERR_DELAY,
    [LARES_DELETE_PENDING] = NFS4ERR_ACCESS, /* the name is still there, the file as good as gone */
};

uint32_t
nfs4_status(const Nfs4Compound *c, LaresStatus status)
{
    if (G_LIKELY(status == LARES_OK))
        return NFS4_OK;
    switch (status) {
    case LARES_WRONG_TYPE: /* not known to 4.0: RFC 7530 16.16.5, 16.23.4 */
        return c->minor == 0 ? NFS4ERR_INVAL : NFS4ERR_WRONG_TYPE;
    case LARES_SYMLINK: /* RFC 7530 lists it for LOOKUP and OPEN only */
        return c->minor == 0 && c->op != OP_LOOKUP && c->op != OP_OPEN ? NFS4ERR_INVAL : NFS4ERR_SYMLINK;
    case LARES_NXIO:
        return c->op == OP_SEEK || c->op == OP_OPEN ? NFS4ERR_NXIO : NFS4ERR_IO;
    case LARES_NOXATTR:
    case LARES_XATTR2BIG:
        return c->minor >= 2 ? map[status] : NFS4ERR_INVAL;
    case LARES_TOO_MANY: /* 4.1 has no RESOURCE; what it gives back makes room (RFC 7530 13.1.1.7, RFC 8881 15.1.1.3) */
        return c->minor == 0 ? NFS4ERR_RESOURCE : NFS4ERR_DELAY;
    case LARES_TOOSMALL: /* only READDIR and GETDEVICELIST have it; elsewhere it is a buffer of ours */
        return c->op == OP_READDIR || c->op == OP_LISTXATTRS || c->op == OP_GETXATTR ? NFS4ERR_TOOSMALL
                                                                                     : NFS4ERR_SERVERFAULT;
    default:
        return (unsigned)status < LARES_STATUS_LAST ? map[status] : NFS4ERR_SERVERFAULT;
    }
}

uint32_t
nfs4_need_regular(const Nfs4Compound *c, const LaresObject *object)
{
    switch (object->node->type) {
    case LARES_TYPE_REGULAR:
        return NFS4_OK;
    case LARES_TYPE_DIRECTORY:
        return NFS4ERR_ISDIR;
    case LARES_TYPE_SYMLINK:
        return nfs4_status(c, LARES_SYMLINK);
    default:
        return nfs4_status(c, LARES_WRONG_TYPE);
    }
}

uint32_t
nfs4_need_directory(const Nfs4Compound *c, const LaresObject *object)
{
    if (object->node->type == LARES_TYPE_DIRECTORY)
        return NFS4_OK;
    /* RFC 7530 16.13.5, RFC 8881 18.13.3: only LOOKUP tells links from other things. */
    return object->node->type == LARES_TYPE_SYMLINK && c->op == OP_LOOKUP ? NFS4ERR_SYMLINK : NFS4ERR_NOTDIR;
}

const char *
nfs4_status_name(uint32_t status)
{
    switch (status) {
    case NFS4_OK:
        return "ok";
    case NFS4ERR_BADXDR:
        return "badxdr";
    case NFS4ERR_WRONGSEC:
        return "wrongsec";
    case NFS4ERR_OP_ILLEGAL:
        return "op_illegal";
    case NFS4ERR_BAD_STATEID:
        return "bad_stateid";
    case NFS4ERR_REP_TOO_BIG:
        return "rep_too_big";
    case NFS4ERR_NOFILEHANDLE:
        return "nofilehandle";
    default:
        for (unsigned i = 0; i < LARES_STATUS_LAST; i++)
            if (map[i] == status)
                return lares_status_name((LaresStatus)i);
        return "other";
    }
}
