/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A store keeps files. It is synchronous (a worker may block), knows credentials but not who asks or why.
 *
 * Nodes: a LaresNode is a file, directory, … in memory, one per object and store (the store finds the same node again
 * for the same object while somebody holds it), reference counted. Handles are opaque bytes that outlive the process.
 * Open files: a LaresFile is an open regular file with its own access; I/O goes through it without further checks.
 *
 * Credentials travel with each call; a store enforces them (or, when the daemon is unprivileged, checks them itself).
 *
 * Thread: every function may be called from any thread, several at once, also on one node. */
#pragma once

#include <lares/types.h>
#include <lares/acl.h>
#include <sys/uio.h>

G_BEGIN_DECLS

#define LARES_HANDLE_MAX 96
#define LARES_NAME_LIMIT 255 /* bytes */

typedef struct {
    uint8_t len;
    uint8_t bytes[LARES_HANDLE_MAX];
} LaresHandle;

/* As whom to act. Values only; `groups` is borrowed for the call. */
typedef struct {
    uint32_t uid;
    uint32_t gid;
    const uint32_t *groups;
    uint32_t n_groups;
} LaresCred;

typedef enum {
    LARES_TYPE_NONE,
    LARES_TYPE_REGULAR,
    LARES_TYPE_DIRECTORY,
    LARES_TYPE_SYMLINK,
    LARES_TYPE_BLOCK,
    LARES_TYPE_CHARACTER,
    LARES_TYPE_FIFO,
    LARES_TYPE_SOCKET
} LaresFileType;

typedef enum {
    LARES_ATTR_TYPE = 1 << 0,
    LARES_ATTR_MODE = 1 << 1, /* permission bits, 07777 */
    LARES_ATTR_NLINK = 1 << 2,
    LARES_ATTR_UID = 1 << 3,
    LARES_ATTR_GID = 1 << 4,
    LARES_ATTR_SIZE = 1 << 5,
    LARES_ATTR_USED = 1 << 6, /* bytes of storage */
    LARES_ATTR_ATIME = 1 << 7,
    LARES_ATTR_MTIME = 1 << 8,
    LARES_ATTR_CTIME = 1 << 9,
    LARES_ATTR_BTIME = 1 << 10, /* may be missing from the answer's mask */
    LARES_ATTR_FILEID = 1 << 11,
    LARES_ATTR_FSID = 1 << 12,
    LARES_ATTR_RDEV = 1 << 13,
    LARES_ATTR_CHANGE = 1 << 14,
    LARES_ATTR_STAT = (1 << 15) - 1,
    /* Only asked of readdir_attrs: the entries' handles are wanted, see entry_handle. */
    LARES_ATTR_HANDLE = 1 << 15,
    /* Only in a LaresSetAttrs: */
    LARES_SET_ATIME_NOW = 1 << 16,
    LARES_SET_MTIME_NOW = 1 << 17
} LaresAttrMask;

typedef struct {
    uint32_t mask; /* what is valid */
    LaresFileType type;
    uint32_t mode;
    uint32_t nlink;
    uint32_t uid;
    uint32_t gid;
    uint64_t size;
    uint64_t used;
    LaresTime atime, mtime, ctime, btime;
    uint64_t fileid;
    uint64_t fsid_major, fsid_minor;
    uint32_t rdev_major, rdev_minor;
    uint64_t change; /* moves with every change of data or metadata, never goes back while the process lives */
} LaresAttrs;

/* mask: MODE, UID, GID, SIZE, ATIME, MTIME, SET_*_NOW; above the stores also BTIME, which the core keeps in a note. */
typedef struct {
    uint32_t mask;
    uint32_t mode;
    uint32_t uid;
    uint32_t gid;
    uint64_t size;
    LaresTime atime, mtime, btime;
} LaresSetAttrs;

typedef struct {
    uint64_t total_bytes, free_bytes, avail_bytes;
    uint64_t total_files, free_files, avail_files;
    uint32_t block_size;
    uint32_t name_max;
    uint64_t max_file_size;
    uint32_t max_link;
    gboolean read_only;
    gboolean can_xattr, can_clone, can_allocate, can_btime;
} LaresSpace;

typedef enum {
    LARES_ACCESS_READ = 1,
    LARES_ACCESS_WRITE = 2,
    LARES_ACCESS_EXECUTE = 4, /* search, for a directory */
    LARES_ACCESS_DELETE = 8,  /* remove this object (needs its parent too) */
    LARES_ACCESS_MODIFY = 16, /* change existing entries or data */
    LARES_ACCESS_EXTEND = 32,
    LARES_ACCESS_XAREAD = 64,
    LARES_ACCESS_XAWRITE = 128,
    LARES_ACCESS_XALIST = 256
} LaresAccess;

typedef enum { LARES_STABLE_NONE, LARES_STABLE_DATA, LARES_STABLE_FILE } LaresStable;

/* What a create makes. */
typedef struct {
    LaresFileType type;
    const char *target;              /* SYMLINK */
    uint32_t rdev_major, rdev_minor; /* BLOCK, CHARACTER */
    LaresSetAttrs attrs;             /* MODE is applied as it is (the protocol applied any umask, unless inherited) */
    const LaresAcl *acl;             /* NULL: inherit */
    gboolean exclusive;              /* fail with LARES_EXIST if the name is there */
} LaresCreate;

#define LARES_TYPE_STORE (lares_store_get_type())
LARES_API
G_DECLARE_INTERFACE(LaresStore, lares_store, LARES, STORE, GObject)

typedef struct _LaresNode LaresNode;
struct _LaresNode {
    gint ref; /* atomic */
    LaresFileType type;
    LaresStore *store;
    uint64_t fileid;
    LaresHandle handle;
    /* Who sets one of these holds a reference meanwhile and clears it before the last one goes: a store keeps unused
     * nodes for a while, gives them out again, and frees them without looking here. */
    gpointer state; /* belongs to core/state */
    gpointer extra; /* belongs to core/files */
};

typedef struct _LaresFile LaresFile;
struct _LaresFile {
    gint ref;        /* atomic */
    uint32_t access; /* LARES_ACCESS_READ | LARES_ACCESS_WRITE */
    LaresNode *node; /* a reference */
};

/* An entry of a directory; `name` is valid during the call. */
typedef struct {
    const char *name;
    uint64_t cookie; /* continue behind this entry; never 0, 1 or 2; survives a restart */
    uint64_t fileid;
    LaresFileType type; /* LARES_TYPE_NONE when the store would have to look */
} LaresDirEntry;

/* FALSE: this entry was not taken, stop here. */
typedef gboolean (*LaresDirFunc)(const LaresDirEntry *entry, gpointer user);
/* The same with what getattr would tell and, if asked for, the entry's node (both valid during the call, a reference
 * must be taken to keep the node). Either is NULL when it has to be looked up. */
typedef gboolean (*LaresDirAttrsFunc)(const LaresDirEntry *entry, const LaresAttrs *attrs, LaresNode *node,
                                      gpointer user);

/* `name` is in the watched directory now, or it is not. `name` NULL: something was missed, the directory must be read
 * and watched again; watch 0: this is so for all. Must not call the store. */
typedef void (*LaresNamesFunc)(uint32_t watch, const char *name, gboolean there, gpointer user);

/* Something was changed in the directory with this number, of whatever store; 0: perhaps in any. From a thread of the
 * store's own choice, without locks. */
typedef void (*LaresDirChangedFunc)(uint64_t fileid);
typedef struct _LaresDirWatch LaresDirWatch; /* the store's */

typedef enum { LARES_SEEK_DATA, LARES_SEEK_HOLE } LaresSeek;
typedef enum { LARES_XATTR_EITHER, LARES_XATTR_CREATE, LARES_XATTR_REPLACE } LaresXattrMode;

struct _LaresStoreInterface {
    GTypeInterface g_iface;

    const char *(*get_type_name)(LaresStore *self); /* "posix" */
    /* The share's root directory; a new reference. */
    LaresStatus (*root)(LaresStore *self, LaresNode **node);
    /* LARES_STALE when the object is gone, LARES_BADHANDLE when the bytes are nonsense. Never leaves the share. */
    LaresStatus (*from_handle)(LaresStore *self, const uint8_t *bytes, size_t len, LaresNode **node);
    /* One name in a directory, never "." or ".."; symlinks are not followed; other file systems mounted below are
     * entered only where the store can give handles for them. */
    LaresStatus (*lookup)(LaresStore *self, const LaresCred *cred, LaresNode *dir, const char *name, LaresNode **node);
    /* The parent directory; LARES_NOENT at the root. */
    LaresStatus (*parent)(LaresStore *self, const LaresCred *cred, LaresNode *node, LaresNode **parent);
    void (*node_free)(LaresStore *self, LaresNode *node); /* the last reference went */

    LaresStatus (*getattr)(LaresStore *self, LaresNode *node, uint32_t mask, LaresAttrs *attrs);
    LaresStatus (*setattr)(LaresStore *self, const LaresCred *cred, LaresNode *node, const LaresSetAttrs *set);
    /* *allowed: the subset of `wanted` (LaresAccess bits) the credentials have. */
    LaresStatus (*access)(LaresStore *self, const LaresCred *cred, LaresNode *node, uint32_t wanted, uint32_t *allowed);
    LaresStatus (*readlink)(LaresStore *self, const LaresCred *cred, LaresNode *node, char *buf, size_t size,
                            size_t *len);
    LaresStatus (*statfs)(LaresStore *self, LaresNode *node, LaresSpace *space);

    /* Makes an object. *created FALSE when it was there (regular files without `exclusive` only). With `access`
     * not 0 a regular file is opened too and *file set; a file just created opens whatever its mode says. */
    LaresStatus (*create)(LaresStore *self, const LaresCred *cred, LaresNode *dir, const char *name,
                          const LaresCreate *how, uint32_t access, LaresNode **node, LaresFile **file,
                          gboolean *created);
    LaresStatus (*link)(LaresStore *self, const LaresCred *cred, LaresNode *node, LaresNode *dir, const char *name);
    /* Removes a name; a directory must be empty. */
    LaresStatus (*remove)(LaresStore *self, const LaresCred *cred, LaresNode *dir, const char *name);
    LaresStatus (*rename)(LaresStore *self, const LaresCred *cred, LaresNode *from, const char *name, LaresNode *to,
                          const char *new_name, gboolean replace);
    /* Entries behind `cookie` (0: from the start), without "." and "..". *eof when the end was reached. */
    LaresStatus (*readdir)(LaresStore *self, const LaresCred *cred, LaresNode *dir, uint64_t cookie, LaresDirFunc emit,
                           gpointer user, gboolean *eof);

    LaresStatus (*open)(LaresStore *self, const LaresCred *cred, LaresNode *node, uint32_t access, LaresFile **file);
    void (*file_free)(LaresStore *self, LaresFile *file); /* the last reference went: close */
    LaresStatus (*read)(LaresStore *self, LaresFile *file, uint64_t offset, uint8_t *buf, size_t len, size_t *done);
    LaresStatus (*write)(LaresStore *self, LaresFile *file, uint64_t offset, const struct iovec *iov, int n,
                         LaresStable stable, size_t *done);
    LaresStatus (*commit)(LaresStore *self, LaresFile *file, uint64_t offset, uint64_t len);
    /* A descriptor for pread(2) and sendfile(2), owned by the file; -1 when the store has none. NULL: none. */
    int (*file_fd)(LaresStore *self, LaresFile *file);
    /* Optional, NULL means LARES_NOTSUPP: */
    LaresStatus (*seek)(LaresStore *self, LaresFile *file, LaresSeek what, uint64_t offset, uint64_t *found,
                        gboolean *eof);
    LaresStatus (*allocate)(LaresStore *self, LaresFile *file, uint64_t offset, uint64_t len);
    LaresStatus (*deallocate)(LaresStore *self, LaresFile *file, uint64_t offset, uint64_t len);
    LaresStatus (*clone)(LaresStore *self, LaresFile *from, uint64_t from_offset, LaresFile *to, uint64_t to_offset,
                         uint64_t len); /* len 0: to the end */
    LaresStatus (*copy)(LaresStore *self, LaresFile *from, uint64_t from_offset, LaresFile *to, uint64_t to_offset,
                        uint64_t len, uint64_t *done);
    /* Extended attributes a user may see; `name` without any "user." prefix. */
    LaresStatus (*getxattr)(LaresStore *self, const LaresCred *cred, LaresNode *node, const char *name, uint8_t *buf,
                            size_t size, size_t *len); /* size 0: only *len */
    LaresStatus (*setxattr)(LaresStore *self, const LaresCred *cred, LaresNode *node, const char *name,
                            const uint8_t *value, size_t len, LaresXattrMode mode);
    LaresStatus (*removexattr)(LaresStore *self, const LaresCred *cred, LaresNode *node, const char *name);
    /* Names separated by NUL bytes into buf; LARES_TOOSMALL with *len set when it does not fit. */
    LaresStatus (*listxattr)(LaresStore *self, const LaresCred *cred, LaresNode *node, char *buf, size_t size,
                             size_t *len);
    /* The ACL as it was set, or one made from the mode. *acl is new (lares_acl_free). */
    LaresStatus (*get_acl)(LaresStore *self, LaresNode *node, LaresAcl **acl);
    LaresStatus (*set_acl)(LaresStore *self, const LaresCred *cred, LaresNode *node, const LaresAcl *acl);
    /* Optional: sets the size through an open with write access, whatever the mode says by now. NULL: use setattr. */
    LaresStatus (*set_size)(LaresStore *self, LaresFile *file, uint64_t size);
    /* Optional: brings an object's own changes (a directory's entries) to the disk. */
    LaresStatus (*sync)(LaresStore *self, LaresNode *node);
    /* Optional: readdir that tells the entries' attributes (`mask`) in passing, and makes their nodes only on demand.
     * With LARES_ATTR_HANDLE an entry comes with its node unless entry_handle can be expected to do without. */
    LaresStatus (*readdir_attrs)(LaresStore *self, const LaresCred *cred, LaresNode *dir, uint64_t cookie,
                                 uint32_t mask, gboolean nodes, LaresDirAttrsFunc emit, gpointer user, gboolean *eof);
    /* Optional: what the server itself keeps with an object, out of the users' sight and without asking for permission.
     * `name` is a short ASCII word. With `entry` the object is that entry of the directory `node`. LARES_NOXATTR: it is
     * not there; LARES_TOOSMALL with *len; LARES_NOTSUPP: this object cannot have any. */
    LaresStatus (*get_note)(LaresStore *self, LaresNode *node, const char *entry, const char *name, uint8_t *buf,
                            size_t size, size_t *len);
    /* `value` NULL removes it. */
    LaresStatus (*set_note)(LaresStore *self, LaresNode *node, const char *name, const uint8_t *value, size_t len);
    /* Optional: where the object is now, relative to the share's root ("" for it), '/' between names; NUL-terminated.
     * LARES_STALE when it has no name that is known. */
    LaresStatus (*path)(LaresStore *self, LaresNode *node, char *buf, size_t size);
    /* Optional, all three: what names come to a directory and leave it, whoever makes them do so. *watch is not 0; two
     * watches of one directory may have one number and end one by one. LARES_NOTSUPP where changes may not be seen. */
    LaresStatus (*names_watch)(LaresStore *self, LaresNode *dir, uint32_t *watch);
    void (*names_unwatch)(LaresStore *self, uint32_t watch);
    /* Tells what happened in the directories that are watched, of every store of this type, in its order. All that had
     * been done before this was called has been told (by this call or another one) when it returns. */
    void (*names_poll)(LaresStore *self, LaresNamesFunc emit, gpointer user);
    /* Optional: does a handle find its object wherever it was moved, so that LARES_STALE means that it is gone? NULL:
     * no.
     */
    gboolean (*handles_last)(LaresStore *self);
    /* Optional: the handle of an entry whose attributes readdir_attrs told, without making its node; may be called from
     * inside of that. LARES_STALE when the name has another object than number `fileid` by now. */
    LaresStatus (*entry_handle)(LaresStore *self, LaresNode *dir, const char *name, uint64_t fileid,
                                LaresHandle *handle);
    /* Optional, both: until dir_unwatch, `changed` is called when anybody but this process has changed entries of the
     * directory (their names, attributes or data); after that call not again before the next dir_watch. May be called
     * several times for a directory, and ended as often. LARES_NOTSUPP where such changes may not be seen. */
    LaresStatus (*dir_watch)(LaresStore *self, LaresNode *dir, LaresDirChangedFunc changed, LaresDirWatch **watch);
    void (*dir_unwatch)(LaresStore *self, LaresDirWatch *watch);
    /* Optional: the number of the directory that an object's only name is in. LARES_STALE: it has no name (any more);
     * LARES_NOENT at the root; LARES_NOTSUPP: it has several. */
    LaresStatus (*parent_fileid)(LaresStore *self, LaresNode *node, uint64_t *fileid);
};

/* Opens the store of one share: `path` is its root. NULL with error. */
typedef LaresStore *(*LaresStoreOpenFunc)(LaresHost *host, const char *path, GError **error);

/* A request looks at the same few objects many times. Between begin and end a store may tell this thread what it saw
 * since begin, except of what the thread itself has changed meanwhile. Begin starts afresh: before trying again because
 * of what others did. Moments do not nest: the first end ends. */
LARES_API void lares_store_moment_begin(void);
LARES_API void lares_store_moment_end(void);
/* For stores: never the same number for two moments of a thread; 0 outside of any. */
LARES_API uint64_t lares_store_moment(void);

/* Whether this thread's calls pass directories that the credentials may not search (LARES_MASK_EXECUTE), as Windows
 * lets everybody do by default ([MS-FSA] 2.1.5.1, phase 6: the check MAY be left out). Where a name is looked up, made,
 * removed or renamed only the right to do that is asked of its directory then. All other rights stay; a store that does
 * not know of this refuses more. Returns what it was, to put that back. */
LARES_API gboolean lares_store_pass(gboolean pass);
/* For stores. */
LARES_API gboolean lares_store_passes(void);

LARES_API void lares_node_free_(LaresNode *node);
static inline LaresNode *
lares_node_ref(LaresNode *node)
{
    __atomic_fetch_add(&node->ref, 1, __ATOMIC_RELAXED);
    return node;
}
static inline void
lares_node_unref(LaresNode *node)
{
    if (__atomic_fetch_sub(&node->ref, 1, __ATOMIC_ACQ_REL) == 1)
        lares_node_free_(node);
}
LARES_API void lares_file_free_(LaresFile *file);
static inline LaresFile *
lares_file_ref(LaresFile *file)
{
    __atomic_fetch_add(&file->ref, 1, __ATOMIC_RELAXED);
    return file;
}
static inline void
lares_file_unref(LaresFile *file)
{
    if (__atomic_fetch_sub(&file->ref, 1, __ATOMIC_ACQ_REL) == 1)
        lares_file_free_(file);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LaresNode, lares_node_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LaresFile, lares_file_unref)

G_END_DECLS
