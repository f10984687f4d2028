/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The words every room of Lares shares: visibility, status codes, time.
 *
 * Thread: everything here is a plain value. */
#pragma once

#include <glib-object.h>
#include <stdint.h>
#include <stddef.h>

G_BEGIN_DECLS

#define LARES_API __attribute__((visibility("default")))

/* The result of anything on the request path. Each protocol turns it into its own wire status in one file; errno
 * never reaches a peer. Names follow RFC 7530 section 13.1 where one exists. */
typedef enum {
    LARES_OK = 0,
    LARES_PERM, /* not the owner / not permitted whatever the mode bits say */
    LARES_NOENT,
    LARES_IO,
    LARES_NXIO,
    LARES_ACCESS, /* permission bits or ACL refuse */
    LARES_EXIST,
    LARES_XDEV,
    LARES_NOTDIR,
    LARES_ISDIR,
    LARES_INVAL,
    LARES_FBIG,
    LARES_NOSPC,
    LARES_ROFS,
    LARES_MLINK,
    LARES_NAMETOOLONG,
    LARES_NOTEMPTY,
    LARES_DQUOT,
    LARES_STALE,     /* well-formed handle of something that is gone */
    LARES_BADHANDLE, /* not a handle of ours, or forged */
    LARES_BAD_COOKIE,
    LARES_NOTSUPP,
    LARES_TOOSMALL,
    LARES_SERVERFAULT, /* a fault of ours; logged where it happened */
    LARES_BADTYPE,
    LARES_DELAY, /* try again: something must be recalled or resources are short */
    LARES_SAME,
    LARES_DENIED,       /* byte-range lock conflict */
    LARES_LOCKED,       /* I/O refused by somebody's mandatory lock or deny mode */
    LARES_SHARE_DENIED, /* open conflicts with a share reservation */
    LARES_GRACE,        /* only reclaims now */
    LARES_NO_GRACE,     /* no reclaim now */
    LARES_WRONGSEC,     /* the share's policy does not allow this flavor */
    LARES_SYMLINK,      /* a symbolic link where something else was wanted */
    LARES_WRONG_TYPE,   /* neither directory nor regular file where a regular file was wanted */
    LARES_BADNAME,      /* name not allowed ("", ".", "..", with a slash) */
    LARES_BADCHAR,      /* not UTF-8 or a NUL inside */
    LARES_BADOWNER,     /* owner or group name cannot be mapped */
    LARES_BAD_RANGE,
    LARES_LOCKS_HELD,
    LARES_OPENMODE,  /* the open does not allow this I/O */
    LARES_FILE_OPEN, /* cannot do this while somebody has it open */
    LARES_NOXATTR,
    LARES_XATTR2BIG,
    LARES_TXTBSY,
    LARES_TOO_MANY,       /* a bound on opens or locks is reached (state.h) */
    LARES_DELETE_PENDING, /* goes with its last close: nobody opens it any more */
    LARES_STATUS_LAST
} LaresStatus;

/* A constant lower-case name ("access", "noent") for logs and tests; never NULL. */
LARES_API const char *lares_status_name(LaresStatus status);
/* Maps an errno of the host; unknown values become LARES_IO. */
LARES_API LaresStatus lares_status_from_errno(int err);

/* Wall-clock time, nanoseconds in [0, 999999999]; seconds may be negative. */
typedef struct {
    int64_t sec;
    uint32_t nsec;
} LaresTime;

typedef struct _LaresHost LaresHost;             /* the running server, as modules see it: host.h */
typedef struct _LaresArena LaresArena;           /* arena.h */
typedef struct _LaresIdentity LaresIdentity;     /* identity.h */
typedef struct _LaresDirectory LaresDirectory;   /* identity.h */
typedef struct _LaresShare LaresShare;           /* share.h */
typedef struct _LaresShares LaresShares;         /* share.h */
typedef struct _LaresFiles LaresFiles;           /* files.h */
typedef struct _LaresControl LaresControl;       /* control.h */
typedef struct _LaresConnection LaresConnection; /* net.h */
typedef struct _LaresSettings LaresSettings;     /* settings.h */

/* Where a caller comes from. Printable address without port ("192.0.2.7", "2001:db8::1", "unix"). */
typedef struct {
    char address[48];
    uint16_t port;
    gboolean is_local; /* loopback or UNIX socket */
} LaresPeer;

#define LARES_ERROR lares_error_quark()
typedef enum {
    LARES_ERROR_FAILED,
    LARES_ERROR_CONFIG,  /* bad configuration, message names file, group and key */
    LARES_ERROR_MODULE,  /* a module cannot be used */
    LARES_ERROR_INVALID, /* bad argument of a verb; message names it */
    LARES_ERROR_NOT_FOUND,
    LARES_ERROR_EXISTS,
    LARES_ERROR_DENIED,
    LARES_ERROR_CONFLICT,
    LARES_ERROR_UNAVAILABLE, /* the feature's module is not loaded or not configured */
    LARES_ERROR_LOGIN        /* who asks must prove anew who they are */
} LaresError;
LARES_API GQuark lares_error_quark(void);

G_END_DECLS
