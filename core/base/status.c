/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names of status codes, and what the host's errno values mean. */
#include <lares/types.h>
#include <errno.h>

G_DEFINE_QUARK(lares - error, lares_error)

static const char *const names[LARES_STATUS_LAST] = {
    [LARES_OK] = "ok",
    [LARES_PERM] = "perm",
    [LARES_NOENT] = "noent",
    [LARES_IO] = "io",
    [LARES_NXIO] = "nxio",
    [LARES_ACCESS] = "access",
    [LARES_EXIST] = "exist",
    [LARES_XDEV] = "xdev",
    [LARES_NOTDIR] = "notdir",
    [LARES_ISDIR] = "isdir",
    [LARES_INVAL] = "inval",
    [LARES_FBIG] = "fbig",
    [LARES_NOSPC] = "nospc",
    [LARES_ROFS] = "rofs",
    [LARES_MLINK] = "mlink",
    [LARES_NAMETOOLONG] = "nametoolong",
    [LARES_NOTEMPTY] = "notempty",
    [LARES_DQUOT] = "dquot",
    [LARES_STALE] = "stale",
    [LARES_BADHANDLE] = "badhandle",
    [LARES_BAD_COOKIE] = "bad_cookie",
    [LARES_NOTSUPP] = "notsupp",
    [LARES_TOOSMALL] = "toosmall",
    [LARES_SERVERFAULT] = "serverfault",
    [LARES_BADTYPE] = "badtype",
    [LARES_DELAY] = "delay",
    [LARES_SAME] = "same",
    [LARES_DENIED] = "denied",
    [LARES_LOCKED] = "locked",
    [LARES_SHARE_DENIED] = "share_denied",
    [LARES_GRACE] = "grace",
    [LARES_NO_GRACE] = "no_grace",
    [LARES_WRONGSEC] = "wrongsec",
    [LARES_SYMLINK] = "symlink",
    [LARES_WRONG_TYPE] = "wrong_type",
    [LARES_BADNAME] = "badname",
    [LARES_BADCHAR] = "badchar",
    [LARES_BADOWNER] = "badowner",
    [LARES_BAD_RANGE] = "bad_range",
    [LARES_LOCKS_HELD] = "locks_held",
    [LARES_OPENMODE] = "openmode",
    [LARES_FILE_OPEN] = "file_open",
    [LARES_NOXATTR] = "noxattr",
    [LARES_XATTR2BIG] = "xattr2big",
    [LARES_TXTBSY] = "txtbsy",
    [LARES_TOO_MANY] = "too_many",
    [LARES_DELETE_PENDING] = "delete-pending",
};

const char *
lares_status_name(LaresStatus status)
{
    return (unsigned)status < LARES_STATUS_LAST && names[status] ? names[status] : "unknown";
}

LaresStatus
lares_status_from_errno(int err)
{
    switch (err) {
    case 0:
        return LARES_OK;
    case EPERM:
        return LARES_PERM;
    case ENOENT:
        return LARES_NOENT;
    case ENXIO:
    case ENODEV:
        return LARES_NXIO;
    case EACCES:
        return LARES_ACCESS;
    case EEXIST:
        return LARES_EXIST;
    case EXDEV:
        return LARES_XDEV;
    case ENOTDIR:
        return LARES_NOTDIR;
    case EISDIR:
        return LARES_ISDIR;
    case EINVAL:
        return LARES_INVAL;
    case EFBIG:
    case EOVERFLOW:
        return LARES_FBIG;
    case ENOSPC:
        return LARES_NOSPC;
    case EROFS:
        return LARES_ROFS;
    case EMLINK:
        return LARES_MLINK;
    case ENAMETOOLONG:
        return LARES_NAMETOOLONG;
    case ENOTEMPTY:
        return LARES_NOTEMPTY;
    case EDQUOT:
        return LARES_DQUOT;
    case ESTALE:
        return LARES_STALE;
    case EOPNOTSUPP:
    case ENOSYS:
        return LARES_NOTSUPP;
    case ELOOP:
        return LARES_SYMLINK;
    case ETXTBSY:
        return LARES_TXTBSY;
    case EAGAIN:
    case EBUSY:
    case ENFILE:
    case EMFILE:
    case ENOMEM:
        return LARES_DELAY;
    case ENODATA:
        return LARES_NOXATTR;
    case E2BIG:
    case ERANGE:
        return LARES_XATTR2BIG;
    default:
        return LARES_IO;
    }
}
