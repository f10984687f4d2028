/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Opens: what a FileId means, from CREATE to CLOSE, and across a lost connection where it is durable.
 *
 * Thread: any. Fields are constant after the open is in the table unless they name their lock.
 * Locks: Smb2Opens.lock and Smb2Open.lock are inner ones: nothing else is locked and nothing called while one is held;
 *        Smb2Opens.lock before Smb2Open.lock. */
#pragma once

#include "smb2.h"

typedef struct _Smb2Lease Smb2Lease; /* smb2-lease.h */
typedef struct _Smb2Pipe Smb2Pipe;

#define SMB2_LOCK_SEQUENCES 64 /* [MS-SMB2] 3.3.1.10: Open.LockSequenceArray */
/* How long a durable open waits for its client: what it gets when it does not say, and the most it may ask for. */
#define SMB2_DURABLE_MS     60000u
#define SMB2_DURABLE_MAX_MS 300000u
/* Opens of one session, and of all together: far more than clients keep, small enough to bear. */
#define SMB2_MAX_OPENS_PER_SESSION 65536u
#define SMB2_MAX_OPENS             1000000u

typedef enum { SMB2_NOT_DURABLE, SMB2_DURABLE_V1, SMB2_DURABLE_V2 } Smb2Durability;

struct _Smb2Open {
    gint ref; /* atomic */
    Smb2Service *service;
    uint64_t persistent_id;
    uint64_t volatile_id; /* guarded by Smb2Opens.lock: a reconnect changes it */
    LaresObject object;
    LaresOpen *open; /* NULL for pipes */
    Smb2Pipe *pipe;
    uint32_t granted;
    uint32_t options;      /* of CREATE */
    uint32_t share_access; /* likewise */
    uint32_t attributes;   /* likewise */
    uint64_t allocation;   /* that was asked for */
    uint32_t action;       /* SMB2_ACTION_…: a replayed CREATE is answered with it */
    gboolean is_directory;
    gint delete_on_close; /* atomic: FILE_DELETE_ON_CLOSE was asked for, or a CREATE failed late */
    LaresObject base;     /* of a stream: the file it belongs to */
    LaresOpen *base_open; /* likewise: what keeps that file there while the stream is open */
    Smb2Lease *lease;     /* a reference, also for an oplock; NULL: none */
    uint8_t oplock;       /* SMB2_OPLOCK_LEVEL_… asked for: LEASE, or what kind of oplock; see smb2_open_oplock() */
    char *principal;      /* who may come back to it */
    uint8_t client_guid[16];
    Smb2Durability durability;
    gboolean persistent; /* of the guid below: it was in the table of guids, */
    gint replayable;     /* and still is: atomic */
    uint32_t timeout;    /* ms */
    uint8_t create_guid[16];
    gboolean has_app_instance, has_app_version;
    uint8_t app_instance[16];
    uint64_t app_version[2]; /* high, low */
    uint32_t share_id;
    LaresIdentity *opener; /* who opened it, a reference: what was granted was granted to this one */
    /* Guarded by Smb2Opens.lock: of the session, the tree, the lease and of opens with an application instance; `data`
     * is NULL while it is not in the list. */
    GList session_link, tree_link, lease_link, instance_link;
    GPtrArray *comers; /* of Smb2Parked: who waits for its client's end; guarded by lock; NULL: nobody */
    uint64_t resume_key[3];

    GMutex lock;
    char *path;           /* in the share, '/' between components, "" for its root; guarded by lock */
    LaresObject parent;   /* where it was found; clear for the share's root; guarded by lock */
    char *name;           /* on disk, in parent; NULL for the share's root; guarded by lock */
    char *stream;         /* NULL: the data of the file itself; guarded by lock */
    Smb2Session *session; /* references; NULL while it waits for its client; guarded by lock (a reference to it is
                           * what op->session holds) */
    Smb2Tree *tree;
    LaresIdentity *last_identity;   /* while `session` is NULL: who opened it (a reference); guarded by lock */
    const LaresFlavor *last_flavor; /* likewise, of the tree */
    const LaresFlavor *last_login;  /* likewise, of the login, and what that was proven with */
    uint64_t last_credential;
    uint16_t channel_sequence;                  /* guarded by lock: 3.3.5.2.10 */
    uint32_t requests, pre_requests;            /* under way, of this and of older sequences; guarded by lock */
    uint8_t lock_sequence[SMB2_LOCK_SEQUENCES]; /* number + 1, 0: not valid; guarded by lock */
    guint disconnects;                          /* guarded by lock: which disconnect a time-out belongs to */
    gint64 position;  /* atomic: FilePositionInformation, behind what was read or written last */
    gint untold;      /* atomic: it was written, which whoever keeps a listing of its directory was not told yet */
    gint has_sticky;  /* atomic: writing through this open leaves the time below as it is */
    LaresTime sticky; /* guarded by lock */
    struct {
        gint64 due; /* until this monotonic time `shown` is shown; 0: nothing was written yet, or all is told */
        LaresTime shown;
        gboolean told;
    } late;               /* smb2-write-time.c; guarded by lock */
    uint32_t mode;        /* FileModeInformation; guarded by lock */
    gpointer enumeration; /* of QUERY_DIRECTORY: belongs to its room, as do notify and their free functions */
    GDestroyNotify enumeration_free;
    gpointer notify;            /* guarded by lock, as is the next one */
    GDestroyNotify notify_free; /* called without locks when the open is closed, before its last reference goes */
    gint closed;                /* atomic: whoever sets it closes */
};

/* ---- Table ------------------------------------------------------------------------------------------------------ */

/* A new open of this session and tree with one reference, not in the table yet: fill it in, then add it. */
Smb2Open *smb2_open_new(Smb2Op *op);
/* STATUS_INSUFFICIENT_RESOURCES; STATUS_DUPLICATE_OBJECTID for a guid that is in use. */
uint32_t smb2_opens_add(Smb2Opens *opens, Smb2Open *open);
Smb2Open *smb2_open_ref(Smb2Open *open);
/* Takes it out of the table and closes everything; idempotent. The caller keeps its reference. */
void smb2_open_close(Smb2Open *open);
/* CLOSE tells the connection of a directory, smb2-op-change-notify.c. */
void smb2_notify_closing(Smb2Op *op);
/* The 16 bytes of its FileId. */
void smb2_open_file_id(Smb2Open *open, uint8_t id[SMB2_FILE_ID_SIZE]);
/* What the client holds now: SMB2_OPLOCK_LEVEL_…. */
uint8_t smb2_open_oplock(Smb2Open *open);
/* The holder under which this session's opens stand in the core: a new reference. */
LaresHolder *smb2_session_holder(Smb2Session *session);
/* Finds by create guid of this client; a reference. */
Smb2Open *smb2_opens_by_guid(Smb2Opens *opens, const uint8_t client[16], const uint8_t guid[16]);
/* All that wait for their clients: references; the array is the caller's. */
GPtrArray *smb2_opens_away(Smb2Opens *opens);
/* Whether the share and the directory would still let whoever opened it do that now, on `share` as it is now (NULL:
 * gone). For opens whose client is away, and comes back. smb2-policy.c */
gboolean smb2_open_is_allowed(Smb2Open *open, const LaresShare *share);
/* Finds one that waits for its client; a reference. */
Smb2Open *smb2_opens_by_persistent(Smb2Opens *opens, uint64_t id);
/* Gives a waiting open to the session and tree of `op`, under a new volatile id. FALSE: it has a client. */
gboolean smb2_open_reconnect(Smb2Open *open, Smb2Op *op);
/* Parks a reconnect until the open has lost its client (the command then runs again), for a moment at most: the client
 * knows that its connection is lost, perhaps a little before it is known here. A status. */
uint32_t smb2_open_await_disconnect(Smb2Open *open, Smb2Op *op);
/* Opens of other clients with the same application instance, file and share ([MS-SMB2] 3.3.5.9.13): references. */
GPtrArray *smb2_opens_of_instance(Smb2Opens *opens, const Smb2Op *op, const uint8_t instance[16],
                                  const LaresNode *node);

/* A CREATE with a create guid that is under way: its replay must wait for the outcome. */
typedef struct _Smb2Making Smb2Making;
/* NULL: another one with this guid is under way. A retry finds its own again. */
Smb2Making *smb2_making_begin(Smb2Opens *opens, const Smb2Op *op, const uint8_t guid[16]);
Smb2Making *smb2_making_ref(Smb2Making *making);
void smb2_making_unref(Smb2Making *making); /* may be NULL */
/* Likewise, when its outcome is known, and before the client is told: a replay from then on is not under way. What it
 * was parked with may hold a reference for longer. */
void smb2_making_end(Smb2Making *making);
/* An open whose first lease is this one and whose client can be reached: a reference to its session, or NULL. */
Smb2Session *smb2_opens_session_of_lease(Smb2Opens *opens, const Smb2Lease *lease, Smb2Open **open);
/* This file is to be deleted: closes its opens whose clients are away. smb2-durable.c */
void smb2_opens_away_give_way(Smb2Opens *opens, const LaresNode *node);
/* Closes all opens with this lease whose client is away. smb2-durable.c */
void smb2_opens_close_disconnected(Smb2Opens *opens, const Smb2Lease *lease);
/* The oldest open of something below this directory, other than the directory itself; a reference or NULL. */
Smb2Open *smb2_opens_below(Smb2Opens *opens, uint32_t share_id, const char *path);
/* Finds by resume key (SRV_COPYCHUNK) among the opens of this session; a reference. */
Smb2Open *smb2_opens_by_resume_key(Smb2Opens *opens, const Smb2Session *session, const uint8_t key[24]);
void smb2_open_resume_key(const Smb2Open *open, uint8_t key[24]);
GHashTable *smb2_opens_leases(Smb2Opens *opens); /* for smb2-lease.c, with the lock below */
void smb2_opens_lock(Smb2Opens *opens);
void smb2_opens_unlock(Smb2Opens *opens);

/* ---- Use -------------------------------------------------------------------------------------------------------- */

/* Times of writing that come late (smb2-write-time.c): before a write; what is shown instead of the file's (FALSE: the
 * file's); when it is to come. */
void smb2_write_time_hold(Smb2Op *op, Smb2Open *open);
gboolean smb2_write_time_shown(Smb2Open *open, LaresTime *shown);
void smb2_write_time_tell(Smb2Op *op, Smb2Open *open);
/* Flushed or closed: what was written shows in its directory now. */
void smb2_open_tell(Smb2Open *open);
/* After a write: where it ended, and the time of writing as the client wants it ([MS-FSA] 2.1.5.15.2). */
void smb2_open_wrote(Smb2Op *op, Smb2Open *open);
static inline void
smb2_open_set_position(Smb2Open *open, uint64_t position)
{
    __atomic_store_n(&open->position, (gint64)position, __ATOMIC_RELAXED);
}
/* op->open must be a file or directory in the core: STATUS_INVALID_DEVICE_REQUEST for pipes. */
static inline uint32_t
smb2_op_file(Smb2Op *op, const uint8_t *file_id)
{
    uint32_t status = smb2_op_open(op, file_id);
    if (status == STATUS_SUCCESS && !op->open->open)
        status = STATUS_INVALID_DEVICE_REQUEST;
    return status;
}

/* Parks the command until something about the node's opens, locks or leases changes after `seen`, then runs it again;
 * when `open` (may be NULL) is closed meanwhile the command ends with `when_closed`. Returns STATUS_PENDING or why not.
 */
uint32_t smb2_park_on(Smb2Op *op, LaresNode *node, uint64_t seen, LaresOpen *open, uint32_t when_closed);
/* Begins I/O through op->open; while somebody's lease must be given up first, the command waits: STATUS_PENDING. */
uint32_t smb2_io_begin(Smb2Op *op, uint32_t access, LaresIo *io);
/* The same, with something that must live until the command runs again or ends. */
uint32_t smb2_park_keeping(Smb2Op *op, LaresNode *node, uint64_t seen, gpointer kept, GDestroyNotify free_kept);
/* The same for a lock, which is taken in the very moment when the one in the way goes: the session that waits may be
 * ending together with the one that holds it. */
uint32_t smb2_park_for_lock(Smb2Op *op, LaresNode *node, uint64_t seen, LaresOpen *open, uint64_t start,
                            uint64_t length, gboolean exclusive, void (*taken)(gpointer kept), gpointer kept,
                            GDestroyNotify free_kept);

/* ---- smb2-access.c ---------------------------------------------------------------------------------------------- */

/* Does the descriptor that was set say itself what the owner may (OWNER RIGHTS, [MS-DTYP] 2.4.2.4)? */
gboolean smb2_security_limits_owner(Smb2Op *op, const LaresObject *object);
/* Generic bits become what they stand for on files. */
uint32_t smb2_map_generic(uint32_t access);
/* Everything the caller may do with the object; `parent` (may be NULL) tells about deleting. */
uint32_t smb2_maximal_access(Smb2Op *op, const LaresObject *object, const LaresObject *parent, uint32_t *maximal);
/* The ACL that a mode stands for says what smb2_maximal_access() makes of it; one that was set stays as it is. */
void smb2_round_up_acl(LaresAcl *acl, uint32_t mode, gboolean directory);
/* Bits of LaresOpenHow from a granted mask. */
uint32_t smb2_access_modes(uint32_t granted);
uint32_t smb2_access_io(uint32_t granted);
uint32_t smb2_deny_modes(uint32_t share_access);

/* ---- Attributes in CREATE and CLOSE responses -------------------------------------------------------------------- */

typedef struct {
    uint64_t created, accessed, written, changed, allocation, size;
    uint32_t attributes;
} Smb2Basic;
/* What is shown of an object's attributes ([MS-FSCC] 2.6); a file that nobody set any for is an ARCHIVE. */
uint32_t smb2_attributes(const LaresObject *object, const LaresDos *dos);
uint32_t smb2_object_attributes(Smb2Op *op, const LaresObject *object, uint32_t *attributes);
uint32_t smb2_basic_get(Smb2Op *op, Smb2Open *open, Smb2Basic *basic);
/* The same of what this CREATE has just made, with which nothing is kept yet. */
uint32_t smb2_basic_of_new(Smb2Op *op, Smb2Open *open, Smb2Basic *basic);

/* Named pipes: smb2-pipe.c. */
SMB2_WEAK void smb2_pipe_free(Smb2Pipe *pipe);
SMB2_WEAK uint32_t smb2_pipe_write(Smb2Pipe *pipe, const uint8_t *bytes, size_t len);
SMB2_WEAK uint32_t smb2_pipe_read(Smb2Pipe *pipe, size_t max, LaresWriter *w);
