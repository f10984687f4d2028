/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A store over real directories: what its files share.
 *
 * A node is an inode, never a path: it holds a descriptor (O_PATH, or a readable one for directories) and is found by
 * its handle. Kernel handles (name_to_handle_at) are used where the process may open them again; elsewhere an inode
 * table in the state directory remembers under which name each handed-out inode was last seen.
 *
 * Threads rest with the daemon's own credentials. Whatever makes or changes something runs between cred_enter and
 * cred_leave as the caller; looking up, opening and access are decided from mode and ACL in posix-perm.c with the
 * kernel's rules (switching costs more than all the rest of a lookup), or by the kernel itself where its answer may
 * depend on more than that (POSIX ACLs, FUSE, network file systems).
 *
 * Locks, in order: shard → inodes, node. No system call that may wait for a disk is made under a shard's lock. */
#pragma once

#include <lares/log.h>
#include <lares/store.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

typedef struct _PosixStore PosixStore;
typedef struct _PosixNode PosixNode;
typedef struct _PosixFile PosixFile;
typedef struct _PosixTable PosixTable;

typedef struct {
    const char *path;      /* the share's root */
    const char *state_dir; /* for the inode table */
    gboolean privileged;   /* may act as other users */
    gboolean no_handles;   /* pretend that the kernel has no handles (tests) */
    guint max_nodes;       /* idle nodes kept by all stores together; 0: a third of RLIMIT_NOFILE */
    guint idle_seconds;    /* how long an idle node keeps its descriptor; 0: 30 */
} PosixOptions;

/* One mount of a file system at or below the root. Never freed while the store lives. */
typedef struct {
    uint32_t key; /* 0 the root's; others: of the mount point's path below the root, so that it survives a restart */
    uint64_t id;  /* the kernel's mount id */
    int fd;       /* its topmost directory inside the share, readable */
    uint64_t top_dev, top_ino;
    gboolean handles; /* kernel handles work */
    gboolean plain;   /* permissions are mode bits and POSIX ACLs and nothing else */
    gboolean whole;   /* the topmost directory is the file system's: nothing of it lies outside the share */
    char *path;       /* relative to the root, "" for the root */
} PosixMount;

#define POSIX_MAX_MOUNTS 256
#define POSIX_SHARDS     16
#define POSIX_AHEAD      2048

typedef struct {
    GMutex lock;
    PosixNode **buckets;
    guint n_buckets; /* a power of two */
    guint n_nodes;
    PosixNode *oldest, *newest; /* idle ones */
    guint n_idle;
} PosixShard;

/* The same nodes by inode number, for listings. */
typedef struct {
    GMutex lock;
    PosixNode **buckets;
    guint n_buckets, n_nodes;
} PosixInodes;

struct _PosixStore {
    GObject parent;
    gboolean privileged;
    uint32_t self_uid;
    /* An open share costs one descriptor: that of its root, which is the root node's and its mount's, too. */
    int root_fd;
    int proc_fd;      /* /proc/self/fd; one for all stores */
    gboolean counted; /* among the stores that are open */
    char *root_path;
    char *acl_name; /* the attribute that keeps ACLs */
    PosixNode *root;
    PosixShard shards[POSIX_SHARDS];
    PosixInodes inodes[POSIX_SHARDS];
    guint max_idle; /* per shard */
    gint64 idle_usec;
    gint n_spare, max_spare; /* closed files whose descriptor is kept for the next reader */
    GMutex mounts_lock;      /* writing; reading goes by n_mounts (atomic) */
    PosixMount *mounts[POSIX_MAX_MOUNTS];
    gint n_mounts;
    GMutex fsids_lock;
    GArray *fsids;
    GMutex floors_lock;
    GHashTable *floors;      /* handle → change attribute that was given out and is ahead of the inode's ctime */
    gint ahead[POSIX_AHEAD]; /* atomic, by inode: nodes and floors whose change attribute may be ahead of ctime */
    PosixTable *table;       /* NULL while every mount has kernel handles */
    gboolean no_handles;
};

typedef enum {
    POSIX_ACL_UNKNOWN,
    POSIX_ACL_NOT_OURS, /* whether the kernel has one was not asked yet */
    POSIX_ACL_NONE,
    POSIX_ACL_OURS,
    POSIX_ACL_KERNEL /* a POSIX ACL */
} PosixAclKind;

struct _PosixNode {
    LaresNode base;
    PosixMount *mount;
    int fd;            /* atomic; -1: not needed yet, see posix_node_fd() (regular files with kernel handles only) */
    gboolean fd_reads; /* a directory opened for reading; else O_PATH */
    uint64_t dev, ino;
    uint64_t fsid_major, fsid_minor;
    /* The shard's lock: */
    uint64_t hash;
    PosixNode *next;
    PosixNode *older, *newer;
    PosixNode *next_inode; /* the inodes' lock */
    gint64 idle_since;
    guint pending; /* node_free calls that are on their way and do not count: the node was taken again */
    gboolean idle;
    gboolean pinned;
    /* Atomics: */
    gint opens;
    gint dead;    /* its last name is gone */
    gint leaving; /* its last name may be gone: kept no longer than somebody holds it */
    gint settled; /* ctime has moved beyond what was given out */
    gint changed; /* by us since change was last given out */
    gint marked;  /* counted in the store's ahead[] */
    /* lock: */
    GMutex lock;
    uint64_t change, ctime;
    uint64_t bare_ctime; /* at this ctime it had no attributes of users; 0: not known */
    int lent;            /* while fd is -1: the descriptor of the open file that was made with the node, or -1 */
    PosixAclKind acl_kind;
    uint64_t acl_ctime; /* 0: it may change again without moving ctime */
    gint acl_writes;    /* what posix-acl.c had counted when it looked */
    gint64 acl_seen;    /* when it looked, in CLOCK_MONOTONIC_COARSE milliseconds */
    LaresAcl *acl;
    PosixFile *spare;
    /* list_lock: the position of the descriptor that entries are read from. */
    GMutex list_lock;
    int list_fd; /* where fd cannot be read; -1 */
};

struct _PosixFile {
    LaresFile base;
    int fd;
    gboolean as_root; /* opened by uid 0: set-id bits stay when it writes */
    gint64 spare_since;
};

static inline PosixNode *
posix_node(LaresNode *node)
{
    return (PosixNode *)node;
}
static inline gboolean
posix_is_dir(const PosixNode *node)
{
    return node->base.type == LARES_TYPE_DIRECTORY;
}

GType posix_store_get_type(void);
PosixStore *posix_store_new(const PosixOptions *options, GError **error);
#define POSIX_STORE(p) ((PosixStore *)(p))

/* ---- posix-cred.c: whom the thread acts as ---------------------------------------------------------------------- */

/* Fails with LARES_SERVERFAULT rather than act as somebody else. A no-op when unprivileged. */
LaresStatus posix_cred_enter(PosixStore *store, const LaresCred *cred);
void posix_cred_leave(PosixStore *store);
/* Between enter and leave: adds capabilities to the thread ("own evaluation said yes"). */
#define POSIX_CAP_DAC   1u /* CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH */
#define POSIX_CAP_OWNER 2u /* CAP_FOWNER */
#define POSIX_CAP_CHOWN 4u
LaresStatus posix_cred_raise(PosixStore *store, uint32_t caps);
/* Before writing as oneself to a file that root opened or somebody else did: whether set-id bits outlive that. */
LaresStatus posix_cred_writes(PosixStore *store, gboolean as_root);
/* Can this process become somebody else without keeping root's rights? */
gboolean posix_cred_probe(GError **error);

/* For this thread only, so that something can be made with `mode`, until posix_umask_restore(*old). FALSE where a
 * thread cannot have its own: then modes must be set again. */
gboolean posix_umask_clear(mode_t mode, mode_t *old);
void posix_umask_restore(mode_t old);

/* ---- posix-node.c: the cache of nodes ---------------------------------------------------------------------------- */

PosixNode *posix_cache_get(PosixStore *store, const LaresHandle *handle); /* a reference or NULL */
/* The node of a live inode on a mount if there is one now: a reference or NULL. */
PosixNode *posix_cache_get_inode(PosixStore *store, const PosixMount *mount, uint64_t dev, uint64_t ino);
/* Makes (or finds) the node of an open descriptor, which it takes. `parent` and `name` are for the inode table. */
LaresStatus posix_node_from_fd(PosixStore *store, int fd, PosixNode *parent, const char *name, PosixNode **node);
/* The same for a regular file that was opened for I/O by a descriptor that stays the caller's. */
LaresStatus posix_node_of_file(PosixStore *store, int file_fd, PosixNode *parent, const char *name, PosixNode **node);
void posix_node_free(LaresStore *store, LaresNode *node);
void posix_cache_free(PosixStore *store);
/* How many idle nodes all stores together keep; how many there are. */
void posix_cache_limit(guint max_idle);
guint posix_cache_idle(void);
void posix_cache_sweep(PosixStore *store);
/* The object lost its last name (or may have): forget what would keep its storage. */
void posix_node_unlinked(PosixStore *store, PosixNode *node);
/* Takes the spare file of a node; NULL. */
PosixFile *posix_node_take_spare(PosixStore *store, PosixNode *node);
void posix_node_changed(PosixNode *node);
/* May the change attribute of this inode be ahead of its ctime? FALSE is certain. */
gboolean posix_may_be_ahead(PosixStore *store, uint64_t ino);

/* ---- posix-fd.c: a node's descriptor -------------------------------------------------------------------------------
 */

/* The node's descriptor, opened now if it has none; -1 with errno. Not as the caller: before posix_cred_enter(). */
int posix_node_fd(PosixNode *node);
/* The same before the descriptor is used as the caller. */
LaresStatus posix_node_ready(PosixNode *node);
/* The descriptor may stand in for the node's own until it is taken back, which must be before it is closed. */
void posix_node_lend(PosixNode *node, int fd);
void posix_node_take_back(PosixNode *node, int fd);
/* The clock that local file systems take ctime and birth times from, in nanoseconds. */
static inline uint64_t
posix_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME_COARSE, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
static inline uint64_t
posix_ctime(const struct statx *st)
{
    return (uint64_t)st->stx_ctime.tv_sec * 1000000000u + st->stx_ctime.tv_nsec;
}
/* errno value or 0. */
int posix_stat(PosixNode *node, struct statx *st);
/* What posix_stat() may tell this thread again until its moment ends (lares_store_moment_begin()), or until the thread
 * changes the object. `change`: node->change before it was looked at, 0 for a new one. */
void posix_seen(const PosixNode *node, const struct statx *st, uint64_t change);
void posix_unseen(const PosixNode *node);
/* A change attribute must not stand beside what was seen before others moved it. */
void posix_forget_disturbed(PosixNode *node);
/* The same for the kind of its ACL, behind posix_stat(). POSIX_ACL_UNKNOWN: look. */
void posix_seen_kind(const PosixNode *node, PosixAclKind kind);
PosixAclKind posix_kind_seen(const PosixNode *node);
/* "/proc/self/fd/N" for calls that take no descriptor. */
#define POSIX_FD_PATH 32
void posix_fd_path(int fd, char path[POSIX_FD_PATH]);

/* ---- posix-handle.c, posix-mount.c, posix-table.c ---------------------------------------------------------------- */

/* errno value or 0. EOPNOTSUPP: no kernel handles there. */
int posix_handle_at(PosixStore *store, int fd, const char *name, LaresHandle *handle, PosixMount **mount);
void posix_handle_from_inode(const PosixMount *mount, const struct statx *st, LaresHandle *handle);
gboolean posix_handle_is_inode(const LaresHandle *handle);
/* Does a kernel handle show that it is this inode's? FALSE also where that is not known of the file system. */
gboolean posix_handle_has_number(const LaresHandle *handle, uint64_t ino);
/* Opens (O_PATH) what a kernel handle names; -1 with errno. */
int posix_handle_open(const PosixMount *mount, const LaresHandle *handle);
/* LARES_OK when what a descriptor shows is below the share's root, as far as it can be known; LARES_STALE when not. */
LaresStatus posix_is_inside(const PosixMount *mount, int fd);
LaresStatus posix_from_handle(LaresStore *store, const uint8_t *bytes, size_t len, LaresNode **node);

PosixMount *posix_mount_by_id(PosixStore *store, uint64_t id);
PosixMount *posix_mount_by_key(PosixStore *store, uint32_t key);
gboolean posix_mount_add_root(PosixStore *store, GError **error);
void posix_mounts_free(PosixStore *store);

PosixTable *posix_table_open(const char *state_dir, const char *root_path, GError **error);
void posix_table_close(PosixTable *table);
void posix_table_put(PosixTable *table, const LaresHandle *child, const LaresHandle *parent, const char *name);
void posix_table_remove(PosixTable *table, const LaresHandle *child);
/* *name is new (g_free). */
gboolean posix_table_get(PosixTable *table, const LaresHandle *child, LaresHandle *parent, char **name);

/* ---- posix-perm.c, posix-acl.c ----------------------------------------------------------------------------------- */

/* The subset of `wanted` (LARES_MASK_*) the caller has. */
LaresStatus posix_allowed(PosixStore *store, const LaresCred *cred, PosixNode *node, const struct statx *st,
                          uint32_t wanted, uint32_t *allowed);
LaresStatus posix_may(PosixStore *store, const LaresCred *cred, PosixNode *node, uint32_t wanted);
/* May the caller use names in this directory? */
LaresStatus posix_may_search(PosixStore *store, const LaresCred *cred, PosixNode *dir);
/* Does the caller pass a directory that they may not search (lares_store_pass())? Then the kernel has to step back. */
gboolean posix_passes(PosixStore *store, const LaresCred *cred, PosixNode *dir);
/* Enters for an operation that needs these rights on one or two nodes (b may be NULL): the kernel enforces them, or
 * they are evaluated here and the kernel is told to step back. LARES_MASK_EXECUTE means that names in a directory are
 * used, see lares_store_pass(). After LARES_OK call posix_cred_leave(). */
LaresStatus posix_guard(PosixStore *store, const LaresCred *cred, PosixNode *a, uint32_t mask_a, PosixNode *b,
                        uint32_t mask_b);
/* The same when it is known whether the rights are evaluated here. */
LaresStatus posix_guard_decided(PosixStore *store, const LaresCred *cred, gboolean here, PosixNode *a, uint32_t mask_a,
                                PosixNode *b, uint32_t mask_b);
/* Whether they are, for a node that has an ACL of ours or not. */
gboolean posix_decides(const PosixStore *store, const LaresCred *cred, gboolean ours);
gboolean posix_is_root(const PosixStore *store, const LaresCred *cred);
/* May the caller do what only the owner may? */
gboolean posix_is_owner(const PosixStore *store, const LaresCred *cred, const struct statx *st);
gboolean posix_in_group(const LaresCred *cred, uint32_t gid);
LaresStatus posix_access(LaresStore *store, const LaresCred *cred, LaresNode *node, uint32_t wanted, uint32_t *allowed);

/* Which ACL the node has now; *acl (may be NULL) gets a copy of ours. `st` or NULL to look again. */
PosixAclKind posix_acl_kind(PosixStore *store, PosixNode *node, const struct statx *st, LaresAcl **acl);
/* The same for who needs to know about ours only. */
gboolean posix_acl_is_ours(PosixStore *store, PosixNode *node, LaresAcl **acl);
/* Writes ours (NULL: removes it). errno value or 0. */
int posix_acl_write(PosixStore *store, PosixNode *node, const LaresAcl *acl);
LaresStatus posix_get_acl(LaresStore *store, LaresNode *node, LaresAcl **acl);
LaresStatus posix_set_acl(LaresStore *store, const LaresCred *cred, LaresNode *node, const LaresAcl *acl);

/* ---- The rest of the interface ----------------------------------------------------------------------------------- */

LaresStatus posix_name_check(const char *name);
LaresStatus posix_lookup(LaresStore *store, const LaresCred *cred, LaresNode *dir, const char *name, LaresNode **node);
LaresStatus posix_parent(LaresStore *store, const LaresCred *cred, LaresNode *node, LaresNode **parent);
LaresStatus posix_readlink(LaresStore *store, const LaresCred *cred, LaresNode *node, char *buf, size_t size,
                           size_t *len);
/* Finds a name without asking for permission. */
LaresStatus posix_find(PosixStore *store, PosixNode *dir, const char *name, PosixNode **node);

LaresStatus posix_getattr(LaresStore *store, LaresNode *node, uint32_t mask, LaresAttrs *attrs);
/* All but the change attribute; `like` is a node of the same mount. */
void posix_attrs_from_stat(const PosixNode *like, const struct statx *st, LaresAttrs *attrs);
LaresFileType posix_type_of(uint32_t mode);
LaresStatus posix_statfs(LaresStore *store, LaresNode *node, LaresSpace *space);
/* As the caller already; 0, or -1 with errno. */
int posix_chmod(PosixStore *store, PosixNode *node, uint32_t mode);
LaresStatus posix_setattr(LaresStore *store, const LaresCred *cred, LaresNode *node, const LaresSetAttrs *set);

LaresStatus posix_create(LaresStore *store, const LaresCred *cred, LaresNode *dir, const char *name,
                         const LaresCreate *how, uint32_t access, LaresNode **node, LaresFile **file,
                         gboolean *created);
LaresStatus posix_link(LaresStore *store, const LaresCred *cred, LaresNode *node, LaresNode *dir, const char *name);
LaresStatus posix_remove(LaresStore *store, const LaresCred *cred, LaresNode *dir, const char *name);
LaresStatus posix_rename(LaresStore *store, const LaresCred *cred, LaresNode *from, const char *name, LaresNode *to,
                         const char *new_name, gboolean replace);
LaresStatus posix_readdir(LaresStore *store, const LaresCred *cred, LaresNode *dir, uint64_t cookie, LaresDirFunc emit,
                          gpointer user, gboolean *eof);
LaresStatus posix_entry_handle(LaresStore *store, LaresNode *dir, const char *name, uint64_t fileid,
                               LaresHandle *handle);
LaresStatus posix_readdir_attrs(LaresStore *store, const LaresCred *cred, LaresNode *dir, uint64_t cookie,
                                uint32_t mask, gboolean nodes, LaresDirAttrsFunc emit, gpointer user, gboolean *eof);

/* A file over a descriptor, which it takes. */
LaresFile *posix_file_new(PosixNode *node, int fd, uint32_t access, gboolean as_root);
LaresStatus posix_open(LaresStore *store, const LaresCred *cred, LaresNode *node, uint32_t access, LaresFile **file);
void posix_file_free(LaresStore *store, LaresFile *file);
void posix_file_close(PosixFile *file); /* the descriptor and the memory, nothing else */
/* Around everything that writes through the file: set-id bits and the change attribute follow. */
LaresStatus posix_file_writes(PosixStore *store, PosixFile *file);
void posix_file_written(PosixStore *store, PosixFile *file);
LaresStatus posix_read(LaresStore *store, LaresFile *file, uint64_t offset, uint8_t *buf, size_t len, size_t *done);
LaresStatus posix_write(LaresStore *store, LaresFile *file, uint64_t offset, const struct iovec *iov, int n,
                        LaresStable stable, size_t *done);
LaresStatus posix_commit(LaresStore *store, LaresFile *file, uint64_t offset, uint64_t len);
int posix_file_fd(LaresStore *store, LaresFile *file);
LaresStatus posix_seek(LaresStore *store, LaresFile *file, LaresSeek what, uint64_t offset, uint64_t *found,
                       gboolean *eof);
LaresStatus posix_allocate(LaresStore *store, LaresFile *file, uint64_t offset, uint64_t len);
LaresStatus posix_deallocate(LaresStore *store, LaresFile *file, uint64_t offset, uint64_t len);
LaresStatus posix_clone(LaresStore *store, LaresFile *from, uint64_t from_offset, LaresFile *to, uint64_t to_offset,
                        uint64_t len);
LaresStatus posix_copy(LaresStore *store, LaresFile *from, uint64_t from_offset, LaresFile *to, uint64_t to_offset,
                       uint64_t len, uint64_t *done);
LaresStatus posix_set_size(LaresStore *store, LaresFile *file, uint64_t size);
LaresStatus posix_sync(LaresStore *store, LaresNode *node);

/* posix-note.c */
LaresStatus posix_get_note(LaresStore *store, LaresNode *node, const char *entry, const char *name, uint8_t *buf,
                           size_t size, size_t *len);
LaresStatus posix_set_note(LaresStore *store, LaresNode *node, const char *name, const uint8_t *value, size_t len);
LaresStatus posix_path(LaresStore *store, LaresNode *node, char *buf, size_t size);
/* posix-names.c */
LaresStatus posix_names_watch(LaresStore *store, LaresNode *dir, uint32_t *watch);
void posix_names_unwatch(LaresStore *store, uint32_t watch);
void posix_names_poll(LaresStore *store, LaresNamesFunc emit, gpointer user);
/* Does this kernel see every change of the directory, which is ready? */
gboolean posix_sees_all_changes(const PosixNode *dir);
/* posix-watch.c */
LaresStatus posix_dir_watch(LaresStore *store, LaresNode *dir, LaresDirChangedFunc changed, LaresDirWatch **watch);
void posix_dir_unwatch(LaresStore *store, LaresDirWatch *watch);
LaresStatus posix_parent_fileid(LaresStore *store, LaresNode *node, uint64_t *fileid);
LaresStatus posix_getxattr(LaresStore *store, const LaresCred *cred, LaresNode *node, const char *name, uint8_t *buf,
                           size_t size, size_t *len);
LaresStatus posix_setxattr(LaresStore *store, const LaresCred *cred, LaresNode *node, const char *name,
                           const uint8_t *value, size_t len, LaresXattrMode mode);
LaresStatus posix_removexattr(LaresStore *store, const LaresCred *cred, LaresNode *node, const char *name);
LaresStatus posix_listxattr(LaresStore *store, const LaresCred *cred, LaresNode *node, char *buf, size_t size,
                            size_t *len);
