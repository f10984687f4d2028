/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The operations protocols call: share policy, access, state and store in one place, with change notification.
 *
 * A protocol holds LaresObject values (a share and a node). The pseudo-root that joins the shares is itself a
 * (read-only) share with id 0, so a protocol treats it like any other; crossing into a real share happens inside
 * lookup, where host and flavor policy are checked (LARES_WRONGSEC).
 *
 * Opens and byte-range locks made here are shared by all protocols (state.h).
 *
 * Thread: any worker. Objects are plain values that hold references; clear them. */
#pragma once

#include <lares/types.h>
#include <lares/arena.h>
#include <lares/share.h>
#include <lares/state.h>

G_BEGIN_DECLS

typedef struct {
    LaresIdentity *identity;   /* who, already proven and fresh */
    const LaresFlavor *flavor; /* how they proved it */
    const LaresPeer *peer;
    const char *protocol; /* "nfs4" */
    LaresArena *arena;    /* scratch for the request */
} LaresCaller;

typedef struct {
    LaresShare *share;
    LaresNode *node;
} LaresObject;

static inline gboolean
lares_object_is_set(const LaresObject *o)
{
    return o->node != NULL;
}
static inline void
lares_object_clear(LaresObject *o)
{
    if (o->node)
        lares_node_unref(o->node);
    if (o->share)
        lares_share_unref(o->share);
    *o = (LaresObject){NULL, NULL};
}
static inline void
lares_object_copy(LaresObject *to, const LaresObject *from) /* `to` must be clear */
{
    *to = (LaresObject){from->share ? lares_share_ref(from->share) : NULL,
                        from->node ? lares_node_ref(from->node) : NULL};
}
/* The root of the name space (a pseudo directory)? */
LARES_API gboolean lares_object_is_pseudo(const LaresObject *object);
/* The root directory of its share? */
LARES_API gboolean lares_object_is_share_root(const LaresObject *object);

/* A file handle for the wire: version, share id, store handle and a MAC under a key of this server, so that a handle
 * cannot be made up. At most 128 bytes (RFC 7530 NFS4_FHSIZE). */
#define LARES_WIRE_HANDLE_MAX 128
LARES_API size_t lares_files_handle(LaresFiles *files, const LaresObject *object, uint8_t *buf);
/* The same for an entry of a directory whose attributes lares_files_readdir_attrs() told, without its object; see
 * LaresStore.entry_handle. Anything but LARES_OK: look the entry up. */
LARES_API LaresStatus lares_files_entry_handle(LaresFiles *files, const LaresObject *dir, const char *name,
                                               uint64_t fileid, uint8_t *buf, size_t *len);
/* LARES_BADHANDLE, LARES_STALE; host policy LARES_ACCESS. Flavor policy is not checked here (PUTFH must succeed where
 * SECINFO follows): see lares_files_policy(). */
LARES_API LaresStatus lares_files_from_handle(LaresFiles *files, const LaresCaller *caller, const uint8_t *bytes,
                                              size_t len, LaresObject *out);
/* May this caller use this object at all, now? LARES_WRONGSEC, LARES_ACCESS (host), LARES_STALE (share disabled). For
 * the pseudo-root: the union of all shares' flavors passes. */
LARES_API LaresStatus lares_files_policy(LaresFiles *files, const LaresCaller *caller, const LaresObject *object);
/* The flavors an object may be used with, in order: the share's list, or the union for pseudo directories. */
LARES_API guint lares_files_flavors(LaresFiles *files, const LaresObject *object,
                                    const LaresFlavor *flavors[LARES_SHARE_MAX_FLAVORS]);
LARES_API LaresStatus lares_files_root(LaresFiles *files, const LaresCaller *caller, LaresObject *out);

/* The root directory of a share, for protocols whose clients come to the share itself. LARES_WRONGSEC, LARES_ACCESS,
 * LARES_STALE as lares_files_policy(). */
LARES_API LaresStatus lares_files_share_root(LaresFiles *files, const LaresCaller *caller, LaresShare *share,
                                             LaresObject *out);

/* Names: 1 to 255 bytes of UTF-8 without '/' and NUL, not "." or ".."; else LARES_INVAL (empty), LARES_NAMETOOLONG,
 * LARES_BADCHAR, LARES_BADNAME. `name` is NUL-terminated by lares_files_name(), which checks and copies to the arena.
 */
LARES_API LaresStatus lares_files_name(LaresArena *arena, const uint8_t *bytes, size_t len, const char **name);

/* `policy` FALSE leaves the flavor of a share that is entered unchecked (for SECINFO). */
LARES_API LaresStatus lares_files_lookup(LaresFiles *files, const LaresCaller *caller, const LaresObject *dir,
                                         const char *name, gboolean policy, LaresObject *out);
/* The pseudo directory that stands for a share in its parent, instead of the share's root that lookup would enter: what
 * may be told of a share to those who may not enter it. `dir` is a pseudo directory; LARES_NOENT. */
LARES_API LaresStatus lares_files_covered(LaresFiles *files, const LaresCaller *caller, const LaresObject *dir,
                                          const char *name, LaresObject *out);
LARES_API LaresStatus lares_files_parent(LaresFiles *files, const LaresCaller *caller, const LaresObject *object,
                                         gboolean policy, LaresObject *out);

/* `mounted_on` (may be NULL) gets the fileid of the directory a share root covers (RFC 7530 5.8.2.19). */
LARES_API LaresStatus lares_files_getattr(LaresFiles *files, const LaresCaller *caller, const LaresObject *object,
                                          uint32_t mask, LaresAttrs *attrs, uint64_t *mounted_on);
/* A change of size needs `file` (the caller's open for write) or permission; deny modes of others are honoured. */
LARES_API LaresStatus lares_files_setattr(LaresFiles *files, const LaresCaller *caller, const LaresObject *object,
                                          LaresFile *file, const LaresSetAttrs *set);
LARES_API LaresStatus lares_files_access(LaresFiles *files, const LaresCaller *caller, const LaresObject *object,
                                         uint32_t wanted, uint32_t *allowed);
LARES_API LaresStatus lares_files_readlink(LaresFiles *files, const LaresCaller *caller, const LaresObject *object,
                                           const char **target, size_t *len); /* in the arena */
LARES_API LaresStatus lares_files_statfs(LaresFiles *files, const LaresCaller *caller, const LaresObject *object,
                                         LaresSpace *space);

/* A directory's change attribute around an operation (RFC 7530 3.2.10); NULL instead of one where nobody asks. */
typedef struct {
    gboolean atomic;
    uint64_t before, after;
} LaresChangeInfo;

/* Directories, symlinks and special files (regular files go through open). */
LARES_API LaresStatus lares_files_create(LaresFiles *files, const LaresCaller *caller, const LaresObject *dir,
                                         const char *name, const LaresCreate *how, LaresObject *out,
                                         LaresChangeInfo *info);
LARES_API LaresStatus lares_files_remove(LaresFiles *files, const LaresCaller *caller, const LaresObject *dir,
                                         const char *name, LaresChangeInfo *info);
LARES_API LaresStatus lares_files_rename(LaresFiles *files, const LaresCaller *caller, const LaresObject *from,
                                         const char *name, const LaresObject *to, const char *new_name,
                                         LaresChangeInfo *from_info, LaresChangeInfo *to_info);
LARES_API LaresStatus lares_files_link(LaresFiles *files, const LaresCaller *caller, const LaresObject *object,
                                       const LaresObject *dir, const char *name, LaresChangeInfo *info);
/* The same where the name may be taken: it means the old object until it means the new one. LARES_DELAY with *busy (a
 * reference): an open of what is replaced has to be asked first; `seen` as in lares_files_rename_open(). */
LARES_API LaresStatus lares_files_link_replace(LaresFiles *files, const LaresCaller *caller, const LaresObject *object,
                                               const LaresObject *dir, const char *name, uint64_t *seen,
                                               LaresNode **busy);
/* Entries behind cookie; see LaresStore.readdir. Pseudo directories list the shares the caller's host may see. */
LARES_API LaresStatus lares_files_readdir(LaresFiles *files, const LaresCaller *caller, const LaresObject *dir,
                                          uint64_t cookie, LaresDirFunc emit, gpointer user, gboolean *eof);
/* The same with attributes; see LaresStore.readdir_attrs. What comes as NULL must be looked up by name. */
LARES_API LaresStatus lares_files_readdir_attrs(LaresFiles *files, const LaresCaller *caller, const LaresObject *dir,
                                                uint64_t cookie, uint32_t mask, gboolean nodes, LaresDirAttrsFunc emit,
                                                gpointer user, gboolean *eof);

/* ---- Open files ------------------------------------------------------------------------------------------------ */

/* Opens a regular file by object. On success *open is registered in the file's state with the given access and deny
 * modes. `reclaim` skips what a grace period would refuse. LARES_SHARE_DENIED, LARES_ISDIR, LARES_SYMLINK,
 * LARES_WRONG_TYPE, LARES_ACCESS. */
LARES_API LaresStatus lares_files_open(LaresFiles *files, const LaresCaller *caller, const LaresObject *object,
                                       uint32_t access, uint32_t deny, LaresHolder *holder, LaresOpen **open);
/* Creates (or opens, unless how->exclusive) a regular file by name and opens it. *created tells. `out` gets the object.
 */
LARES_API LaresStatus lares_files_open_create(LaresFiles *files, const LaresCaller *caller, const LaresObject *dir,
                                              const char *name, const LaresCreate *how, uint32_t access, uint32_t deny,
                                              LaresHolder *holder, LaresObject *out, LaresOpen **open,
                                              gboolean *created, LaresChangeInfo *info);
/* Widens an open the holder has (access and deny become the union). */
LARES_API LaresStatus lares_files_open_upgrade(LaresFiles *files, const LaresCaller *caller, LaresOpen *open,
                                               uint32_t access, uint32_t deny);

/* An open that says more than an NFS one: of any object, with or without data, with a lease. */
typedef struct {
    uint32_t access;     /* READ, WRITE, DELETE: what meets the deny modes of others; 0 conflicts with nobody */
    uint32_t deny;       /* LARES_DENY_*; without access it does not count */
    uint32_t io;         /* READ, WRITE: what will be done with the data; a regular file is opened for it */
    gboolean quiet;      /* attributes only: breaks no lease and takes nothing away from one */
    gboolean overwrite;  /* what is there is thrown away (io has WRITE): nobody's copy stays good */
    LaresLease *lease;   /* to be held through this open, or NULL */
    uint32_t lease_want; /* LARES_LEASE_* */
    gboolean keep_lease; /* take the lease as it is: a reconnect */
    uint64_t seen;       /* out, with LARES_DELAY and LARES_SHARE_DENIED: for lares_state_wait() */
    gboolean must_wait;  /* out, with LARES_DELAY: a break is under way, and its end can be waited for */
    gboolean looks;      /* with `quiet`: security is read too, which an oplock gives way to and a lease does not */
    gboolean guard;      /* `deny` counts without access: somebody holds a part of the object */
} LaresOpenHow;
/* LARES_SHARE_DENIED, LARES_DELETE_PENDING, LARES_DELAY, LARES_ACCESS and what stores say. */
LARES_API LaresStatus lares_files_open_how(LaresFiles *files, const LaresCaller *caller, const LaresObject *object,
                                           LaresOpenHow *how, LaresHolder *holder, LaresOpen **open);
/* Makes an object of any kind by name (how_made->exclusive: LARES_EXIST when it is there) and opens it. */
LARES_API LaresStatus lares_files_create_how(LaresFiles *files, const LaresCaller *caller, const LaresObject *dir,
                                             const char *name, const LaresCreate *made, LaresOpenHow *how,
                                             LaresHolder *holder, LaresObject *out, LaresOpen **open, gboolean *created,
                                             LaresChangeInfo *info);
/* The open's file goes with the last close of anybody's open of it, as `caller`, if `name` in `dir` still is this file;
 * until then it cannot be opened (LARES_DELETE_PENDING; NFS: NFS4ERR_ACCESS). `on` FALSE takes that back (dir and name
 * may be NULL). LARES_NOTEMPTY for a directory with entries. */
LARES_API LaresStatus lares_files_delete_on_close(LaresFiles *files, const LaresCaller *caller, LaresOpen *open,
                                                  const LaresObject *dir, const char *name, gboolean on);
/* The same at once: for a file with other names, where nobody else has it open by this one. */
LARES_API LaresStatus lares_files_delete_link(LaresFiles *files, const LaresCaller *caller, LaresOpen *open,
                                              const LaresObject *dir, const char *name);
/* Before a name goes: others may not keep handles of the file for later any more. LARES_DELAY with *seen while one of
 * them still does. */
LARES_API LaresStatus lares_files_contend_name(LaresFiles *files, const LaresObject *object, LaresOpen *self,
                                               uint64_t *seen);
/* The same by who made the file with this open and was promised then that it would go: nobody is asked again. */
LARES_API LaresStatus lares_files_delete_on_close_made(LaresFiles *files, LaresOpen *open, const LaresObject *dir,
                                                       const char *name);
/* As lares_files_rename(), by who has the object open as `self` (may be NULL; it is not in its own way).
 * LARES_FILE_OPEN when somebody denies deletion (of the object or of what it replaces), LARES_EXIST without `replace`,
 * LARES_DELAY with *seen (may be NULL) and *busy (may be NULL: the node to wait for, a reference). LARES_SHARE_DENIED
 * when the same holder has the directory that the name comes into open for deletion, or lets nobody else write there:
 * Windows opens it as one more who shares reading and writing ([MS-FSA] 2.1.5.15.12, note 185); opens of others, who
 * may look at a directory for long, are not in the way, as in its newer versions. */
LARES_API LaresStatus lares_files_rename_open(LaresFiles *files, const LaresCaller *caller, LaresOpen *self,
                                              const LaresObject *from, const char *name, const LaresObject *to,
                                              const char *new_name, gboolean replace, uint64_t *seen, LaresNode **busy);
/* Breaks the leases of others before data change by other ways than lares_files_io_begin() (which does it). LARES_DELAY
 * with *seen. */
LARES_API LaresStatus lares_files_contend(LaresFiles *files, const LaresObject *object, LaresOpen *self, gboolean write,
                                          uint64_t *seen);

/* I/O on a file. `open` may be NULL (anonymous stateid): then the caller's own permission is checked and deny modes are
 * honoured. `access` 0 is for lares_files_commit(): any open of the file will do, LARES_ACCESS when there is none.
 * Offsets beyond INT64_MAX: LARES_INVAL (read: *done 0, eof). */
typedef struct {
    LaresFile *file; /* a reference: lares_file_unref */
    gboolean temporary;
} LaresIo;
LARES_API LaresStatus lares_files_io_begin(LaresFiles *files, const LaresCaller *caller, const LaresObject *object,
                                           LaresOpen *open, uint32_t access, LaresIo *io);
LARES_API void lares_files_io_end(LaresIo *io);
/* eof may be NULL: to know it may take a further look. */
LARES_API LaresStatus lares_files_read(LaresFiles *files, LaresIo *io, uint64_t offset, uint8_t *buf, size_t len,
                                       size_t *done, gboolean *eof);
/* For zero-copy: how many of `len` bytes are there at offset, and a descriptor (-1: use lares_files_read). */
LARES_API LaresStatus lares_files_read_range(LaresFiles *files, LaresIo *io, uint64_t offset, size_t len, int *fd,
                                             size_t *there, gboolean *eof);
LARES_API LaresStatus lares_files_write(LaresFiles *files, LaresIo *io, uint64_t offset, const struct iovec *iov, int n,
                                        LaresStable stable, size_t *done);
LARES_API LaresStatus lares_files_commit(LaresFiles *files, LaresIo *io, uint64_t offset, uint64_t len);
LARES_API LaresStatus lares_files_seek(LaresFiles *files, LaresIo *io, LaresSeek what, uint64_t offset, uint64_t *found,
                                       gboolean *eof);
LARES_API LaresStatus lares_files_allocate(LaresFiles *files, LaresIo *io, uint64_t offset, uint64_t len,
                                           gboolean deallocate);
LARES_API LaresStatus lares_files_clone(LaresFiles *files, LaresIo *from, uint64_t from_offset, LaresIo *to,
                                        uint64_t to_offset, uint64_t len);
LARES_API LaresStatus lares_files_copy(LaresFiles *files, LaresIo *from, uint64_t from_offset, LaresIo *to,
                                       uint64_t to_offset, uint64_t len, uint64_t *done);

/* ---- Extended attributes and ACLs: as in store.h, with the share's policy -------------------------------------------
 */
LARES_API LaresStatus lares_files_getxattr(LaresFiles *files, const LaresCaller *caller, const LaresObject *object,
                                           const char *name, uint8_t *buf, size_t size, size_t *len);
LARES_API LaresStatus lares_files_setxattr(LaresFiles *files, const LaresCaller *caller, const LaresObject *object,
                                           const char *name, const uint8_t *value, size_t len, LaresXattrMode mode,
                                           LaresChangeInfo *info);
LARES_API LaresStatus lares_files_removexattr(LaresFiles *files, const LaresCaller *caller, const LaresObject *object,
                                              const char *name, LaresChangeInfo *info);
LARES_API LaresStatus lares_files_listxattr(LaresFiles *files, const LaresCaller *caller, const LaresObject *object,
                                            char *buf, size_t size, size_t *len);
LARES_API LaresStatus lares_files_get_acl(LaresFiles *files, const LaresCaller *caller, const LaresObject *object,
                                          LaresAcl **acl);
LARES_API LaresStatus lares_files_set_acl(LaresFiles *files, const LaresCaller *caller, const LaresObject *object,
                                          const LaresAcl *acl);

/* ---- What Windows keeps with a file and other systems do not
 * ---------------------------------------------------------
 */

/* Attributes of [MS-FSCC] 2.6 as they were set, and times of birth and of the last change that were set. Kept with the
 * object out of users' sight; most objects have none. */
typedef struct {
    gboolean set; /* `attributes` holds */
    uint32_t attributes;
    gboolean has_birth;
    LaresTime birth;
    gboolean has_change; /* the time of the last change was set, and nothing changed since */
    LaresTime change;
} LaresDos;
/* `attrs` must hold FSID, FILEID, CTIME and CHANGE of the object: what is known for that change attribute is not asked
 * for again. With `entry` the object is that entry of the directory `object`. Never fails: what cannot be read is not
 * set.
 */
LARES_API void lares_files_get_dos(LaresFiles *files, const LaresObject *object, const char *entry,
                                   const LaresAttrs *attrs, LaresDos *dos);
/* The caller's right to do so (WRITE_ATTRIBUTES) was checked by the protocol when it opened the object. */
LARES_API LaresStatus lares_files_set_dos(LaresFiles *files, const LaresObject *object, const LaresDos *dos);

/* Other things a protocol keeps with an object; see LaresStore.get_note. */
LARES_API LaresStatus lares_files_get_note(LaresFiles *files, const LaresObject *object, const char *name, uint8_t *buf,
                                           size_t size, size_t *len);
LARES_API LaresStatus lares_files_set_note(LaresFiles *files, const LaresObject *object, const char *name,
                                           const uint8_t *value, size_t len);

/* The name in `dir` that is `name` but for case: into `real`. LARES_NOENT when there is none. An exact match should be
 * looked for first. Flat in the size of the directory while it does not change behind our back. */
LARES_API LaresStatus lares_files_lookup_fold(LaresFiles *files, const LaresCaller *caller, const LaresObject *dir,
                                              const char *name, char real[LARES_NAME_LIMIT + 1]);

/* Short names ("8.3", [MS-FSCC] 2.1.5.2.1). Is the name one itself? */
LARES_API gboolean lares_files_name_is_short(const char *name);
#define LARES_SHORT_NAME_SIZE 13
/* The one by which lares_files_lookup_short() finds this name of `dir`, for who may know the name already. FALSE: it
 * has none that is told: it is short itself, another name there is called so or has the same one, or the directory is
 * too large to say. */
LARES_API gboolean lares_files_short_name(const LaresObject *dir, const char *name, char out[LARES_SHORT_NAME_SIZE]);
/* The name in `dir` whose short name that is. LARES_NOENT when it is no such name, or that of none, or of more than
 * one, or the caller may not list `dir`: a name that is guessed by its short one would be told. The name itself should
 * be looked for first, as it is and in any case. As flat as that. */
LARES_API LaresStatus lares_files_lookup_short(LaresFiles *files, const LaresCaller *caller, const LaresObject *dir,
                                               const char *name, char real[LARES_NAME_LIMIT + 1]);

/* ---- Being told of changes ------------------------------------------------------------------------------------------
 */

/* What happened ([MS-FSCC] 2.7.1 has the numbers) … */
typedef enum {
    LARES_CHANGE_ADDED = 1,
    LARES_CHANGE_REMOVED = 2,
    LARES_CHANGE_MODIFIED = 3,
    LARES_CHANGE_OLD_NAME = 4,
    LARES_CHANGE_NEW_NAME = 5,
    LARES_CHANGE_ADDED_STREAM = 6,
    LARES_CHANGE_REMOVED_STREAM = 7,
    LARES_CHANGE_MODIFIED_STREAM = 8,
    LARES_CHANGE_DELETE_PENDING = 256 /* not on the wire: the watched directory itself is to go; no path */
} LaresChangeAction;
/* … and to what ([MS-SMB2] 2.2.35). */
#define LARES_FILTER_FILE_NAME    0x001u
#define LARES_FILTER_DIR_NAME     0x002u
#define LARES_FILTER_ATTRIBUTES   0x004u
#define LARES_FILTER_SIZE         0x008u
#define LARES_FILTER_LAST_WRITE   0x010u
#define LARES_FILTER_LAST_ACCESS  0x020u
#define LARES_FILTER_CREATION     0x040u
#define LARES_FILTER_EA           0x080u
#define LARES_FILTER_SECURITY     0x100u
#define LARES_FILTER_STREAM_NAME  0x200u
#define LARES_FILTER_STREAM_SIZE  0x400u
#define LARES_FILTER_STREAM_WRITE 0x800u

/* Called from whoever made the change, after it, without locks. `path` is relative to the watched directory, '/'
 * between names; NULL: something below changed that cannot be named. Must be quick. */
typedef void (*LaresWatchFunc)(LaresChangeAction action, const char *path, gpointer user);
typedef struct _LaresWatch LaresWatch;
/* Watches a directory that the caller may list, with `tree` everything below it too, for changes by any protocol. Names
 * are told that the caller could have listed at that time: below, where they may list the directory and get there
 * (lares_store_pass() as it is now); on a share that shows only what one may read, of that, while it is there. After
 * changes of the directory of users this needs lares_watch_renew(); until then nothing is named that must be asked. */
LARES_API LaresWatch *lares_files_watch(LaresFiles *files, const LaresCaller *caller, const LaresObject *dir,
                                        gboolean tree, uint32_t filter, LaresWatchFunc func, gpointer user,
                                        GDestroyNotify destroy);
/* Who watches is as this caller is now, and passes as this thread does. */
LARES_API void lares_watch_renew(LaresWatch *watch, const LaresCaller *caller);
/* No call starts any more; one that runs may still end. `destroy` is called when that is so. */
LARES_API void lares_watch_unref(LaresWatch *watch);
/* A change that the core cannot see by itself (a stream's, for example). Costs one atomic load while nobody watches. */
LARES_API void lares_files_changed(LaresFiles *files, const LaresObject *dir, const char *name,
                                   LaresChangeAction action, uint32_t filter);
/* The same for an object whose place is looked up. */
LARES_API void lares_files_object_changed(LaresFiles *files, const LaresObject *object, uint32_t filter);

/* ---- Named streams --------------------------------------------------------------------------------------------------
 *
 * A stream is a regular file in a hidden folder of the share's root; its object can be opened, locked, read and written
 * like any other. It goes with the last name of the file it belongs to. */

/* Reserved in every share: not listed, not found, not made. */
#define LARES_HIDDEN_NAME ".lares.streams"
/* The stream's object. LARES_NOENT; LARES_EXIST with `exclusive`. `name` is as in lares_files_name(); case does not
 * matter. The caller must have `access` (LARES_ACCESS_READ, WRITE or 0) to the file, and WRITE to make a stream: nobody
 * asks again when the stream itself is opened. *created may be NULL. */
LARES_API LaresStatus lares_files_stream(LaresFiles *files, const LaresCaller *caller, const LaresObject *object,
                                         const char *name, uint32_t access, gboolean create, gboolean exclusive,
                                         LaresObject *out, gboolean *created);
/* The same; `real` gets the stream's name as it is kept. */
LARES_API LaresStatus lares_files_stream_named(LaresFiles *files, const LaresCaller *caller, const LaresObject *object,
                                               const char *name, uint32_t access, gboolean create, gboolean exclusive,
                                               LaresObject *out, gboolean *created, char real[LARES_NAME_LIMIT + 1]);
/* Calls `emit` for each. LARES_NOENT-free: a file without streams gives none. */
typedef gboolean (*LaresStreamFunc)(const char *name, uint64_t size, uint64_t used, gpointer user);
LARES_API LaresStatus lares_files_streams(LaresFiles *files, const LaresObject *object, LaresStreamFunc emit,
                                          gpointer user);
LARES_API LaresStatus lares_files_stream_remove(LaresFiles *files, const LaresCaller *caller, const LaresObject *object,
                                                const char *name);
/* As lares_files_delete_on_close(), for an open of a stream of `object`. */
LARES_API LaresStatus lares_files_stream_delete_on_close(LaresFiles *files, const LaresCaller *caller, LaresOpen *open,
                                                         const LaresObject *object, gboolean on);
LARES_API LaresStatus lares_files_stream_rename(LaresFiles *files, const LaresCaller *caller, const LaresObject *object,
                                                const char *name, const char *new_name, gboolean replace);

/* ---- Named attributes -----------------------------------------------------------------------------------------------
 *
 * The named streams as NFSv4 has them (RFC 7530 5.3, RFC 8881 5.3): the directory with those of an object, and a file
 * for each, are objects like others. But what they are worth is told by the object that they belong to, `of`: whoever
 * may read it may read them, who may write it may make, write, rename and remove them. Mode, owner and ACL are its own.
 * Only these functions may be given such an object (and those for an open that came from here).
 *
 * Names are checked by lares_files_name(), and then made into what they are kept as by lares_files_named_name(). */

/* The name as it is kept. LARES_BADNAME where it would be taken for the type of a stream (":$DATA"),
 * LARES_NAMETOOLONG. */
LARES_API LaresStatus lares_files_named_name(LaresArena *arena, const char *name, const char **kept);
/* The directory. LARES_NOENT when there are none and not `create`; LARES_NOTSUPP where there cannot be any. */
LARES_API LaresStatus lares_files_named_dir(LaresFiles *files, const LaresCaller *caller, const LaresObject *of,
                                            gboolean create, LaresObject *dir);
/* Has the object any? Takes a look at the disk, unless nothing in its share has. */
LARES_API gboolean lares_files_has_named(LaresFiles *files, const LaresObject *object);
LARES_API gboolean lares_files_may_have_named(LaresFiles *files,
                                              const LaresObject *object); /* anything in its share? */
/* May the caller do this (LARES_ACCESS_READ, WRITE) with what belongs to `of`? LARES_ACCESS, LARES_ROFS. */
LARES_API LaresStatus lares_files_named_may(LaresFiles *files, const LaresCaller *caller, const LaresObject *of,
                                            uint32_t access);
/* For who has `access` (LARES_ACCESS_READ, WRITE or 0). */
LARES_API LaresStatus lares_files_named_lookup(LaresFiles *files, const LaresCaller *caller, const LaresObject *of,
                                               const char *name, uint32_t access, LaresObject *out);
LARES_API LaresStatus lares_files_named_readdir(LaresFiles *files, const LaresCaller *caller, const LaresObject *dir,
                                                const LaresObject *of, uint64_t cookie, LaresDirFunc emit,
                                                gpointer user, gboolean *eof);
/* LARES_FILE_OPEN, LARES_DELAY: an open or a lease of somebody else is in the way, as for any file. */
LARES_API LaresStatus lares_files_named_remove(LaresFiles *files, const LaresCaller *caller, const LaresObject *dir,
                                               const LaresObject *of, const char *name, LaresChangeInfo *info);
LARES_API LaresStatus lares_files_named_rename(LaresFiles *files, const LaresCaller *caller, const LaresObject *dir,
                                               const LaresObject *of, const char *name, const char *new_name,
                                               LaresChangeInfo *info);
LARES_API LaresStatus lares_files_named_getattr(LaresFiles *files, const LaresCaller *caller, const LaresObject *object,
                                                const LaresObject *of, uint32_t mask, LaresAttrs *attrs,
                                                uint64_t *mounted_on);
/* Size and times; LARES_PERM for everything else, and for anything of the directory. */
LARES_API LaresStatus lares_files_named_setattr(LaresFiles *files, const LaresCaller *caller, const LaresObject *object,
                                                const LaresObject *of, LaresFile *file, const LaresSetAttrs *set);
LARES_API LaresStatus lares_files_named_open(LaresFiles *files, const LaresCaller *caller, const LaresObject *object,
                                             const LaresObject *of, uint32_t access, uint32_t deny, LaresHolder *holder,
                                             LaresOpen **open);
/* Makes it (LARES_EXIST when it is there) and opens it. Of `set`, size and times are used. */
LARES_API LaresStatus lares_files_named_open_create(LaresFiles *files, const LaresCaller *caller,
                                                    const LaresObject *dir, const LaresObject *of, const char *name,
                                                    const LaresSetAttrs *set, uint32_t access, uint32_t deny,
                                                    LaresHolder *holder, LaresObject *out, LaresOpen **open,
                                                    LaresChangeInfo *info);
/* While a named attribute is open, `of` is to be found by its handle even when it is removed, or nobody could close
 * what is open: unref this then. NULL where that cannot be had (a directory, errors). */
LARES_API LaresFile *lares_files_named_hold(const LaresObject *of);
LARES_API LaresStatus lares_files_named_io_begin(LaresFiles *files, const LaresCaller *caller,
                                                 const LaresObject *object, const LaresObject *of, LaresOpen *open,
                                                 uint32_t access, LaresIo *io);
/* As lares_files_handle(): of the directory or of an attribute. */
LARES_API size_t lares_files_named_handle(LaresFiles *files, const LaresObject *object, const LaresObject *of,
                                          uint8_t *buf);
/* As lares_files_from_handle(), for these handles too: then `of` is set. */
LARES_API LaresStatus lares_files_from_any_handle(LaresFiles *files, const LaresCaller *caller, const uint8_t *bytes,
                                                  size_t len, LaresObject *out, LaresObject *of);

G_END_DECLS
