/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Statuses: from the core's to the wire's, and their names for logs. Times, too.
 *
 * Spec: [MS-ERREF] 2.3.1, [MS-DTYP] 2.3.3. */
#include "smb2.h"

uint32_t
smb2_status(LaresStatus status)
{
    switch (status) {
    case LARES_OK:
        return STATUS_SUCCESS;
    case LARES_PERM:
    case LARES_ACCESS:
    case LARES_WRONGSEC:
        return STATUS_ACCESS_DENIED;
    case LARES_NOENT:
        return STATUS_OBJECT_NAME_NOT_FOUND;
    case LARES_NXIO:
    case LARES_BADTYPE:
    case LARES_WRONG_TYPE:
        return STATUS_INVALID_DEVICE_REQUEST;
    case LARES_EXIST:
        return STATUS_OBJECT_NAME_COLLISION;
    case LARES_XDEV:
        return STATUS_NOT_SAME_DEVICE;
    case LARES_NOTDIR:
        return STATUS_NOT_A_DIRECTORY;
    case LARES_ISDIR:
        return STATUS_FILE_IS_A_DIRECTORY;
    case LARES_INVAL:
    case LARES_BAD_COOKIE:
    case LARES_BAD_RANGE:
        return STATUS_INVALID_PARAMETER;
    case LARES_FBIG: /* beyond what the file system can address: Windows clients know this one */
    case LARES_NOSPC:
        return STATUS_DISK_FULL;
    case LARES_ROFS:
        return STATUS_MEDIA_WRITE_PROTECTED;
    case LARES_MLINK:
        return STATUS_TOO_MANY_LINKS;
    case LARES_NAMETOOLONG: /* a component of more than 255: [MS-FSA] 2.1.5.1 */
    case LARES_BADNAME:
    case LARES_BADCHAR:
        return STATUS_OBJECT_NAME_INVALID;
    case LARES_NOTEMPTY:
        return STATUS_DIRECTORY_NOT_EMPTY;
    case LARES_DQUOT:
        return STATUS_QUOTA_EXCEEDED;
    case LARES_STALE:
        return STATUS_FILE_CLOSED;
    case LARES_BADHANDLE:
        return STATUS_INVALID_HANDLE;
    case LARES_NOTSUPP:
        return STATUS_NOT_SUPPORTED;
    case LARES_TOOSMALL:
        return STATUS_BUFFER_TOO_SMALL;
    case LARES_DELAY:
    case LARES_TOO_MANY:
        return STATUS_INSUFFICIENT_RESOURCES;
    case LARES_DENIED:
        return STATUS_LOCK_NOT_GRANTED;
    case LARES_LOCKED:
        return STATUS_FILE_LOCK_CONFLICT;
    case LARES_DELETE_PENDING:
        return STATUS_DELETE_PENDING;
    case LARES_SHARE_DENIED:
    case LARES_FILE_OPEN:
    case LARES_TXTBSY:
    case LARES_GRACE: /* a client tries again after this one */
        return STATUS_SHARING_VIOLATION;
    case LARES_SYMLINK:
        return STATUS_STOPPED_ON_SYMLINK;
    case LARES_BADOWNER:
        return STATUS_NONE_MAPPED;
    case LARES_OPENMODE:
        return STATUS_ACCESS_DENIED;
    case LARES_NOXATTR:
        return STATUS_NONEXISTENT_EA_ENTRY;
    case LARES_XATTR2BIG:
        return STATUS_EA_TOO_LARGE;
    case LARES_IO:
        return STATUS_IO_DEVICE_ERROR;
    case LARES_SERVERFAULT:
    case LARES_SAME:
    case LARES_NO_GRACE:
    case LARES_LOCKS_HELD:
    case LARES_STATUS_LAST:
        break;
    }
    return STATUS_INTERNAL_ERROR;
}

#define NAME(s)                                                                                                        \
    case s:                                                                                                            \
        return #s

const char *
smb2_status_name(uint32_t status)
{
    switch (status) {
        NAME(STATUS_SUCCESS);
        NAME(STATUS_PENDING);
        NAME(STATUS_BUFFER_OVERFLOW);
        NAME(STATUS_NO_MORE_FILES);
        NAME(STATUS_MORE_PROCESSING_REQUIRED);
        NAME(STATUS_INVALID_PARAMETER);
        NAME(STATUS_ACCESS_DENIED);
        NAME(STATUS_LOGON_FAILURE);
        NAME(STATUS_NOT_SUPPORTED);
        NAME(STATUS_BAD_NETWORK_NAME);
        NAME(STATUS_NETWORK_NAME_DELETED);
        NAME(STATUS_NETWORK_SESSION_EXPIRED);
        NAME(STATUS_USER_SESSION_DELETED);
        NAME(STATUS_REQUEST_NOT_ACCEPTED);
        NAME(STATUS_INSUFFICIENT_RESOURCES);
        NAME(STATUS_OBJECT_NAME_NOT_FOUND);
        NAME(STATUS_OBJECT_PATH_NOT_FOUND);
        NAME(STATUS_OBJECT_NAME_COLLISION);
        NAME(STATUS_SHARING_VIOLATION);
        NAME(STATUS_FILE_CLOSED);
        NAME(STATUS_INTERNAL_ERROR);
        NAME(STATUS_CANCELLED);
    default:
        return "STATUS_?";
    }
}

/* ---- Times ------------------------------------------------------------------------------------------------------ */

#define EPOCH_DIFFERENCE INT64_C(11644473600) /* seconds from 1601 to 1970 */

uint64_t
smb2_filetime(const LaresTime *t)
{
    int64_t sec;
    uint64_t ticks;
    if (__builtin_add_overflow(t->sec, EPOCH_DIFFERENCE, &sec) || sec < 0)
        return 0;
    if (__builtin_mul_overflow((uint64_t)sec, UINT64_C(10000000), &ticks))
        return INT64_MAX;
    return ticks + t->nsec / 100;
}

LaresTime
smb2_filetime_to_time(uint64_t filetime)
{
    return (LaresTime){(int64_t)(filetime / 10000000) - EPOCH_DIFFERENCE, (uint32_t)(filetime % 10000000) * 100};
}

uint64_t
smb2_filetime_now(void)
{
    return (uint64_t)g_get_real_time() * 10 + (uint64_t)EPOCH_DIFFERENCE * 10000000;
}
