/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of this module share: the service, connections, sessions, trees, and one command on its way.
 *
 * A record from the network is a chain of one or more commands (a compound). smb2-message.c walks it: checks the
 * header, signature, credits, session and tree, looks up the command's row in smb2-commands.c and calls its handler
 * with an Smb2Op. The handler reads the request body, works, writes the response body to op->out and returns an
 * NTSTATUS. Handlers stand in smb2-op-NAME.c, one command each; control codes have rows of their own in smb2-ioctl.c.
 *
 * Spec: [MS-SMB2] 3.3.
 * Thread: handlers run on workers, several of one connection at a time. Connections, sessions and trees are reference
 *         counted; fields are constant after they were published unless they name their lock.
 * Locks: in this order, an inner one never waits for an outer one: Smb2Service.lock, Smb2Session.lock,
 *        Smb2Connection.lock, the lock of an open. No lock of this header is held while a handler, a callback or the
 *        core is called. */
#pragma once

#include <lares/lares.h>
#include "smb2-limits.h"
#include "smb2-proto.h"

typedef struct _Smb2Service Smb2Service;
typedef struct _Smb2Connection Smb2Connection;
typedef struct _Smb2Session Smb2Session;
typedef struct _Smb2Channel Smb2Channel; /* smb2-session.h: a session on one of its connections */
typedef struct _Smb2Tree Smb2Tree;
typedef struct _Smb2Open Smb2Open;     /* smb2-open.h */
typedef struct _Smb2Opens Smb2Opens;   /* smb2-open.c: the table of opens */
typedef struct _Smb2Parked Smb2Parked; /* smb2-async.c */
typedef struct _Smb2Chain Smb2Chain;
typedef struct _Smb2Op Smb2Op;

/* ---- Service ---------------------------------------------------------------------------------------------------- */

typedef enum { SMB2_ENCRYPTION_OFF, SMB2_ENCRYPTION_OFFERED, SMB2_ENCRYPTION_REQUIRED } Smb2EncryptionPolicy;

typedef struct {
    const char *const *listen; /* addresses, NULL-ended */
    gboolean signing_required;
    Smb2EncryptionPolicy encryption;
    uint16_t min_dialect, max_dialect;
    uint32_t max_io; /* bytes of READ, WRITE and of every other buffer (MaxReadSize, MaxWriteSize, MaxTransactSize) */
    uint32_t max_credits; /* of one connection */
    uint32_t max_async;   /* parked commands of one connection */
    uint32_t max_sessions;
    uint32_t max_trees;  /* of one session */
    uint32_t login_time; /* seconds that a login may take, and that a connection may live without one */
    gboolean multichannel;
    gboolean late_write_times; /* smb2-write-time.c */
    gboolean directory_leases;
} Smb2Settings;

struct _Smb2Service {
    LaresHost *host;
    LaresFiles *files;
    LaresShares *shares;
    LaresDirectory *directory;
    Smb2Settings settings;
    LaresService net;
    GPtrArray *listeners; /* of LaresListener, main thread */
    gint n_connections;   /* atomic */
    uint8_t guid[16];     /* ServerGuid */
    uint64_t start_time;  /* FILETIME */
    Smb2Opens *opens;     /* made by smb2_opens_new() */
    guint sweep;          /* GSource id of the main thread's look at policies and tickets */
    GMutex lock;
    GHashTable *sessions;    /* uint64_t* -> Smb2Session (a reference); guarded by lock */
    GHashTable *connections; /* set of Smb2Connection (no reference: taken out before it ends); guarded by lock */
    GQueue half_open;    /* of Smb2Session in `sessions` whose login is not complete, oldest first; guarded by lock */
    guint sweeps, swept; /* main thread: smb2_sessions_sweep() */
};

/* ---- Connection ------------------------------------------------------------------------------------------------- */

struct _Smb2Connection {
    gint ref;        /* atomic */
    uint64_t serial; /* older ones have smaller ones */
    Smb2Service *service;
    LaresConnection *net; /* a reference */
    /* What NEGOTIATE agreed; constant afterwards. `dialect` is 0 before, SMB2_DIALECT_WILDCARD after a multi-protocol
     * negotiate; read it from one command only after that command was dispatched. */
    uint16_t dialect;
    uint8_t client_guid[16]; /* zero for 2.0.2 */
    uint32_t client_capabilities, server_capabilities;
    uint16_t client_security_mode, server_security_mode;
    uint16_t cipher;            /* SMB2_ENCRYPTION_…, 0: none */
    uint16_t signing_algorithm; /* SMB2_SIGNING_… */
    uint32_t max_io;            /* bytes; smaller for clients without LARGE_MTU */
    gboolean multi_credit;
    uint8_t preauth[64];                  /* 3.1.1: hash value over the NEGOTIATE messages */
    uint16_t dialects[SMB2_MAX_DIALECTS]; /* what the client offered, for VALIDATE_NEGOTIATE_INFO */
    guint n_dialects;
    GMutex lock;
    struct _Smb2Credits *credits; /* smb2-credits.h; guarded by lock */
    GHashTable *channels;         /* uint64_t* session id -> Smb2Channel (a reference); guarded by lock */
    Smb2Channel *last;            /* the channel used last (a reference); guarded by lock */
    GQueue running;               /* of Smb2Running: records being worked on; guarded by lock */
    GHashTable *parked;           /* uint64_t* async id -> Smb2Parked (a reference); guarded by lock */
    uint64_t next_async;          /* guarded by lock */
    size_t parked_bytes;          /* of records with commands that wait; guarded by lock */
    gboolean closed;              /* guarded by lock */
    gint64 since;                 /* monotonic second */
    gint known;                   /* atomic: somebody logged in here */
    /* The directories closed last: the CLOSE, and what it closed. A CHANGE_NOTIFY that was sent before may run after
     * it. Guarded by lock. */
    struct {
        uint64_t message_id, volatile_id;
    } closed_directories[4];
    guint n_closed_directories;
    GQueue breaks; /* smb2-break.c: told here and not acknowledged yet; guarded by lock */
    guint looker;  /* GSource id of the main thread's looks at them, 0: none; guarded by lock */
};

Smb2Connection *smb2_connection_ref(Smb2Connection *connection);
void smb2_connection_unref(Smb2Connection *connection);

/* ---- Session ---------------------------------------------------------------------------------------------------- */

typedef enum {
    SMB2_SESSION_IN_PROGRESS,
    SMB2_SESSION_VALID,
    SMB2_SESSION_EXPIRED,
    SMB2_SESSION_ENDED
} Smb2SessionState;

struct _Smb2Session {
    gint ref; /* atomic */
    Smb2Service *service;
    uint64_t id;
    gint state; /* Smb2SessionState, atomic */
    /* From here to `since`: set when the session becomes valid, constant afterwards (reauthentication replaces
     * `identity`, `flavor`, `principal` and `expiry` under the lock: use smb2_session_identity()). */
    uint16_t dialect;
    uint16_t cipher;
    uint8_t client_guid[16];
    LaresIdentity *identity;     /* guarded by lock */
    const LaresFlavor *flavor;   /* of the login: a flavor of the mechanism, "sys" for guests; guarded by lock */
    char *principal;             /* "krb5:ada@HOME.LAN", "ntlm:ada", "sys" for guests: who may reconnect a durable open;
                                  * guarded by lock (copy it) */
    uint64_t credential;         /* what it was proven with: lares_auth_provider_stands(); guarded by lock */
    gint64 begun;                /* monotonic second; constant */
    GList half_open;             /* in the service's queue while `data` is set; guarded by the service's lock */
    char *owner;                 /* `principal` of the first login: constant, what the keys belong to */
    gint64 expiry;               /* wall-clock second; guarded by lock */
    gboolean guest;              /* nobody in particular: SMB2_SESSION_FLAG_IS_GUEST */
    gboolean signing_required;   /* every request must be signed or encrypted */
    gboolean encrypt;            /* every request must be encrypted */
    gint encrypts;               /* atomic: the client does encrypt */
    gint apple_lists;            /* atomic: the client lists as Macs do; smb2-apple.c */
    guint logins;                /* counts logins; trees compare it; guarded by lock */
    uint8_t session_key[16];     /* Session.SessionKey */
    uint8_t application_key[16]; /* for named pipes (SMB2_SESSION's "SMB2APP"); all zero for guests */
    struct _Smb2Keys *keys;      /* smb2-crypto.h: encryption keys; NULL: cannot encrypt */
    struct _Smb2SignKey *first_sign; /* Session.SigningKey: of its first connection; NULL for guests */
    gint64 since;                    /* wall-clock second */
    GMutex lock;
    GHashTable *trees;   /* uint32_t* -> Smb2Tree (a reference); guarded by lock */
    uint32_t next_tree;  /* guarded by lock */
    GPtrArray *channels; /* of Smb2Channel (references); guarded by lock */
    gpointer opens;      /* belongs to smb2-open.c */
    GQueue open_list;    /* of Smb2Open; guarded by the lock of smb2-open.c */
    gint n_pipes;        /* atomic; kept by smb2-pipe.c */
};

Smb2Session *smb2_session_ref(Smb2Session *session);
void smb2_session_unref(Smb2Session *session);
/* A new reference to who it is now. */
LaresIdentity *smb2_session_identity(Smb2Session *session);
/* A copy (g_free) of who may come back to a durable open of this session. */
char *smb2_session_principal(Smb2Session *session);
/* Sends an OPLOCK_BREAK notification (`body`: from StructureSize on) to the session's client, on any connection that
 * still takes it, and over another one when that does not arrive; unsigned as [MS-SMB2] 3.3.4.1.1 says, encrypted where
 * the session is. FALSE: no connection left. Any thread. smb2-break.c */
gboolean smb2_session_send_break(Smb2Session *session, const void *body, size_t len);
/* The same for a lease, which belongs to the client rather than to one of its sessions: on the oldest connection of
 * this client's on which the same user is logged in ([MS-SMB2] 3.3.4.7, the first available one). */
gboolean smb2_client_send_break(Smb2Session *session, const void *body, size_t len);

/* ---- Tree ------------------------------------------------------------------------------------------------------- */

struct _Smb2Tree {
    gint ref;             /* atomic */
    Smb2Session *session; /* a reference */
    uint32_t id;
    gboolean pipe;             /* IPC$: share is NULL */
    LaresShare *share;         /* guarded by the session's lock: use op->share, which is as new as the command */
    const LaresFlavor *flavor; /* the flavor of the share's list that this tree is used with: goes into LaresCaller; a
                                * new login may change it, so atomic: smb2_tree_flavor() */
    uint32_t maximal_access;   /* what TREE_CONNECT answered; an upper bound of any open's access */
    uint32_t share_flags;      /* SMB2_SHAREFLAG_… */
    gboolean require_signing, require_encryption; /* what the flavor asks of each request */
    guint generation;                             /* lares_shares_generation() the policy was checked in; atomic */
    guint logins;                                 /* session->logins it was checked with; atomic */
    gint ended;                                   /* atomic: disconnected; no new opens */
    gint64 since;
    gint n_opens;     /* atomic; kept by smb2-open.c */
    GQueue open_list; /* of Smb2Open; guarded by the lock of smb2-open.c */
};

static inline const LaresFlavor *
smb2_tree_flavor(const Smb2Tree *tree)
{
    return __atomic_load_n(&tree->flavor, __ATOMIC_ACQUIRE);
}
Smb2Tree *smb2_tree_ref(Smb2Tree *tree);
void smb2_tree_unref(Smb2Tree *tree);

/* ---- One command ------------------------------------------------------------------------------------------------ */

/* What the commands of one compound share. A CREATE (or any command that resolved a file id) leaves it here for the
 * related ones behind it: [MS-SMB2] 3.3.5.2.7.2. */
struct _Smb2Chain {
    uint8_t file_id[SMB2_FILE_ID_SIZE];
    gboolean has_file_id;
    uint32_t
        failed; /* status of a failed CREATE (or of any file-id lookup) that related commands must repeat; 0: none */
    guint index, count; /* of this command, from 0, and of the record */
};

struct _Smb2Op {
    Smb2Service *service;
    Smb2Connection *connection;
    LaresArena *arena; /* of the request; after a retry another one */
    uint16_t command;
    uint32_t flags; /* SMB2_FLAGS_… of the request */
    uint64_t message_id;
    uint16_t credit_charge;    /* at least 1 */
    uint16_t channel_sequence; /* SMB 3; else 0 */
    gboolean related;
    const uint8_t *header; /* of the request; 4-byte aligned only */
    size_t message_len;    /* header to the end of this command */
    const uint8_t *body;   /* header + 64; at least as long as the row's StructureSize says, which was checked */
    size_t body_len;
    Smb2Channel *channel;
    Smb2Session *session; /* reference for the time of the op; NULL where the command needs none */
    Smb2Tree *tree;       /* likewise */
    LaresShare *share;    /* the tree's share as it is now, likewise; NULL for IPC$ */
    Smb2Open *open;       /* set by smb2_op_open(), a reference which the engine drops (smb2_open_unref) */
    LaresCaller caller;   /* identity (fresh), flavor, peer, "smb2", arena; set for every command with a session */
    Smb2Chain *chain;
    LaresReply *reply;
    LaresWriter *out;         /* &reply->out: the handler writes the response BODY, from StructureSize on */
    size_t response;          /* where the response header starts in out: offsets in response bodies count from there */
    gboolean allow_ranges;    /* file ranges may be added to the reply: neither signed nor encrypted; room for one */
    gboolean encrypted;       /* the request was (and the response will be) */
    gboolean is_signed;       /* the request was signed and the signature is right */
    gboolean last;            /* nothing follows in the compound */
    gboolean keep_error_body; /* set by the handler: see Smb2Handler */
    Smb2Parked *parked;       /* set by smb2_park(), or by a retry */
    gboolean retry;           /* this is another run after smb2_parked_retry() */
    gboolean counted;         /* among its open's requests that are under way: smb2_open_leave() */
    /* The engine's own and its handlers': */
    gpointer engine;         /* Smb2Message */
    gboolean sign;           /* sign the response whether the request was signed or not */
    gboolean sign_first;     /* with the session's own key instead of the connection's */
    uint8_t *hash;           /* 64 bytes in op->hash_owner or the connection: updated with the finished response */
    Smb2Channel *hash_owner; /* a reference or NULL */
    gboolean session_over;   /* LOGOFF: end the session behind this command */
};

/* NTSTATUS. With an error (SMB2_STATUS_IS_ERROR) what was written is dropped and an ERROR body sent, except where
 * op->keep_error_body was set: then what was written is the complete ERROR body (symbolic link, [MS-SMB2] 2.2.2).
 * STATUS_BUFFER_OVERFLOW, NO_MORE_FILES …: severity "warning"; the body is kept if anything was written, else ERROR.
 * STATUS_PENDING: only after smb2_park(). */
typedef uint32_t (*Smb2Handler)(Smb2Op *op);

/* Rows: smb2-commands.c. A NULL handler answers STATUS_NOT_SUPPORTED. */
typedef enum {
    SMB2_NO_SESSION = 1 << 0,     /* NEGOTIATE, ECHO …: the session id is not looked at */
    SMB2_NEEDS_TREE = 1 << 1,     /* else STATUS_NETWORK_NAME_DELETED */
    SMB2_WHEN_EXPIRED = 1 << 2,   /* allowed in an expired session: LOGOFF, CLOSE, LOCK unlock … */
    SMB2_ANY_LENGTH = 1 << 3,     /* the credit charge is checked by payload: READ, WRITE, IOCTL, QUERY_… */
    SMB2_NOT_IN_COMPOUND = 1 << 4 /* NEGOTIATE */
} Smb2CommandFlags;

typedef struct {
    const char *name;
    Smb2Handler handler;
    uint16_t structure_size; /* of the request; an odd one counts one byte of a variable part that may be missing */
    uint16_t flags;
    /* Where the row says SMB2_ANY_LENGTH: offsets in the body of 32-bit lengths of what is sent and of what may come
     * back, 0 where there is none ([MS-SMB2] 3.3.5.2.5: CreditCharge covers the larger one). */
    uint8_t input_at, output_at;
    const char *spec;
} Smb2Command;
extern const Smb2Command smb2_commands[SMB2_N_COMMANDS];

/* Handlers, each in smb2-op-NAME.c (several small ones of one owner may share a file). */
#define SMB2_OP(name) uint32_t smb2_op_##name(Smb2Op *op)
SMB2_OP(negotiate);
SMB2_OP(session_setup);
SMB2_OP(logoff);
SMB2_OP(tree_connect);
SMB2_OP(tree_disconnect);
SMB2_OP(create);
SMB2_OP(close);
SMB2_OP(flush);
SMB2_OP(read);
SMB2_OP(write);
SMB2_OP(lock);
SMB2_OP(ioctl);
SMB2_OP(echo);
SMB2_OP(query_directory);
SMB2_OP(change_notify);
SMB2_OP(query_info);
SMB2_OP(set_info);
SMB2_OP(oplock_break);

/* ---- Bytes ------------------------------------------------------------------------------------------------------ */

/* Little endian from bytes whose bounds were checked; any alignment. */
static inline uint16_t
smb2_get_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}
static inline uint32_t
smb2_get_u32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return GUINT32_FROM_LE(v);
}
static inline uint64_t
smb2_get_u64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return GUINT64_FROM_LE(v);
}
static inline void
smb2_set_u16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}
static inline void
smb2_set_u32(uint8_t *p, uint32_t v)
{
    v = GUINT32_TO_LE(v);
    memcpy(p, &v, sizeof v);
}
static inline void
smb2_set_u64(uint8_t *p, uint64_t v)
{
    v = GUINT64_TO_LE(v);
    memcpy(p, &v, sizeof v);
}

/* Append to a writer. */
static inline void
smb2_put_u8(LaresWriter *w, uint8_t v)
{
    lares_put_u8(w, v);
}
static inline void
smb2_put_u16(LaresWriter *w, uint16_t v)
{
    lares_put_le16(w, v);
}
static inline void
smb2_put_u32(LaresWriter *w, uint32_t v)
{
    lares_put_le32(w, v);
}
static inline void
smb2_put_u64(LaresWriter *w, uint64_t v)
{
    lares_put_le64(w, v);
}
static inline void
smb2_put_zeros(LaresWriter *w, size_t n)
{
    uint8_t *p = lares_put_space(w, n);
    if (p && n)
        memset(p, 0, n);
}
/* Pads with zeros until the distance from offset `from` is a multiple of n (a power of 2). */
static inline void
smb2_align(LaresWriter *w, size_t from, size_t n)
{
    smb2_put_zeros(w, (size_t)(-(w->len - from)) & (n - 1));
}
/* Overwrite what was written at offset `at` of the writer. */
static inline void
smb2_patch_u8(LaresWriter *w, size_t at, uint8_t v)
{
    if (!w->failed && at < w->len)
        w->base[at] = v;
}
static inline void
smb2_patch_u16(LaresWriter *w, size_t at, uint16_t v)
{
    if (!w->failed && at + 2 <= w->len)
        smb2_set_u16(w->base + at, v);
}
static inline void
smb2_patch_u32(LaresWriter *w, size_t at, uint32_t v)
{
    if (!w->failed && at + 4 <= w->len)
        smb2_set_u32(w->base + at, v);
}
static inline void
smb2_patch_u64(LaresWriter *w, size_t at, uint64_t v)
{
    if (!w->failed && at + 8 <= w->len)
        smb2_set_u64(w->base + at, v);
}

/* Bytes of the request at `offset` from its header; NULL when they are not all inside the command, or when `offset`
 * points into the header. len 0 gives a non-NULL pointer whatever the offset is. */
const uint8_t *smb2_op_buffer(const Smb2Op *op, size_t offset, size_t len);
/* How long the output buffer of the response may be: the client's wish, no more than max_io and than the credits of the
 * request pay for; STATUS_INVALID_PARAMETER when the wish itself is more than MaxTransactSize/MaxReadSize. */
uint32_t smb2_op_output_limit(const Smb2Op *op, uint32_t wanted, size_t *limit);

/* Times: 100 ns since 1601 ([MS-DTYP] 2.3.3). Times before 1601 give 0. */
uint64_t smb2_filetime(const LaresTime *t);
LaresTime smb2_filetime_to_time(uint64_t filetime);
uint64_t smb2_filetime_now(void);

/* The one place where LaresStatus becomes NTSTATUS. smb2-status.c */
uint32_t smb2_status(LaresStatus status);
const char *smb2_status_name(uint32_t status); /* "STATUS_…" or "STATUS_?" */

/* ---- Waiting: smb2-async.c -------------------------------------------------------------------------------------- */

/* A handler that must wait for somebody else parks and returns STATUS_PENDING. The interim response, the async id,
 * CANCEL, the limit per connection and the rest of the compound are the engine's.
 *
 * Use:
 *     Waiter *w = …;                                      // lives until `free` is called
 *     w->parked = smb2_park(op, cancelled, w, waiter_free); // NULL: too many already; return
 * STATUS_INSUFFICIENT_RESOURCES put w on the list of what it waits for;              // only now: the event may come at
 * once return STATUS_PENDING; The event takes w off its list (under the owner's lock: whoever takes it off ends it),
 * then without locks: smb2_parked_finish(w->parked, status, body, len) or smb2_parked_retry(w->parked);
 * smb2_parked_unref(w->parked); `cancelled` is called without locks, at most once, by CANCEL, by the end of the
 * connection, or when the session ends: take w off its list if it is still there, and unref. The engine then finishes
 * the command with STATUS_CANCELLED (unless the callback, or somebody before it, finished it with another status: the
 * first one wins). `free(user)` is called when the last reference goes; `user` must therefore not own the reference
 * that smb2_park() returned, only lend it a place.
 *
 * When the event comes before the handler has returned, there is no interim response: the command ends as if it
 * had not waited. A retry runs the command's handler again on a worker with op->retry TRUE, the same request bytes,
 * session, tree and identity, a fresh arena and writer; it may park again: smb2_park() then returns the same Smb2Parked
 * with the new callback and user (the old `free` is called). */
Smb2Parked *smb2_park(Smb2Op *op, void (*cancelled)(gpointer user), gpointer user, GDestroyNotify free);
void smb2_parked_unref(Smb2Parked *parked);
/* `body`: the whole response body from StructureSize on, copied; NULL for an error. Any thread; the first one wins. */
void smb2_parked_finish(Smb2Parked *parked, uint32_t status, const void *body, size_t len);
void smb2_parked_retry(Smb2Parked *parked);
static inline gboolean
smb2_op_is_retry(const Smb2Op *op)
{
    return op->retry;
}
/* In a retry: the `user` of the park before; valid until the handler parks again or returns. Else NULL. */
gpointer smb2_op_parked_user(const Smb2Op *op);

/* ---- IOCTL: smb2-ioctl.c ---------------------------------------------------------------------------------------- */

typedef struct {
    uint32_t code; /* FSCTL_… */
    const uint8_t *input;
    size_t input_len;
    size_t max_output; /* bytes the client takes, bounded by max_io and credits */
} Smb2Ioctl;

/* op->open is set and checked to belong to the tree unless the row says SMB2_FSCTL_NO_FILE. The handler appends its
 * output to op->out (at most ioctl->max_output bytes: else STATUS_BUFFER_TOO_SMALL or, with as much as fits,
 * STATUS_BUFFER_OVERFLOW); the dispatcher writes the response around it. `out_at` of the output is op->out->len at
 * entry. A handler that fails but must give output (COPYCHUNK limits) sets op->keep_error_body. */
typedef uint32_t (*Smb2FsctlHandler)(Smb2Op *op, const Smb2Ioctl *ioctl);
typedef enum {
    SMB2_FSCTL_NO_FILE = 1 << 0, /* FileId is all ones and not looked at */
    SMB2_FSCTL_PIPE = 1 << 1, /* only on pipes; a row without it is refused there with STATUS_INVALID_DEVICE_REQUEST */
    SMB2_FSCTL_ANY = 1 << 2   /* on pipes as well as on files */
} Smb2FsctlFlags;
typedef struct {
    uint32_t code;
    const char *name;
    Smb2FsctlHandler handler;
    uint32_t flags;
    const char *spec;
} Smb2Fsctl;
/* In any order, the last has handler NULL; unknown codes are answered STATUS_INVALID_DEVICE_REQUEST (the answer that
 * clients take as "this file system cannot"). */
extern const Smb2Fsctl smb2_fsctls[];
#define SMB2_FSCTL(name) uint32_t smb2_fsctl_##name(Smb2Op *op, const Smb2Ioctl *ioctl)
SMB2_FSCTL(validate_negotiate_info);
SMB2_FSCTL(query_network_interface_info);
SMB2_FSCTL(dfs_get_referrals);
SMB2_FSCTL(srv_request_resume_key);
SMB2_FSCTL(srv_copychunk);
SMB2_FSCTL(duplicate_extents);
SMB2_FSCTL(get_compression);
SMB2_FSCTL(set_compression);
SMB2_FSCTL(set_sparse);
SMB2_FSCTL(set_zero_data);
SMB2_FSCTL(query_allocated_ranges);
SMB2_FSCTL(create_or_get_object_id);

/* ---- Opens, as the engine uses them: smb2-open.c ---------------------------------------------------------------- */

/* Marks a function that may be missing from a build: whoever calls it asks first. */
#define SMB2_WEAK __attribute__((weak))

Smb2Opens *smb2_opens_new(Smb2Service *service, GError **error);
void smb2_opens_free(Smb2Opens *opens);
/* Resolves a FileId of the request (16 bytes at `file_id` in its body; all ones in a related command: the one of the
 * command before) into op->open, which must belong to op->session and op->tree. STATUS_SUCCESS; STATUS_FILE_CLOSED; the
 * failure of the command before (op->chain->failed). Leaves the id in op->chain. Any handler calls it. */
uint32_t smb2_op_open(Smb2Op *op, const uint8_t *file_id);
void smb2_open_unref(Smb2Open *open);
/* op->open is done with: it is not under way any more ([MS-SMB2] 3.3.5.2.10), and the reference goes. */
void smb2_op_leave_open(Smb2Op *op);
gboolean smb2_open_is_pipe(const Smb2Open *open);
/* The tree was disconnected, the session logged off or ended by the administrator: closes everything, ends waiters. */
void smb2_opens_of_tree_close(Smb2Tree *tree);
void smb2_opens_of_session_close(Smb2Session *session);
/* The session's last connection was lost: durable opens are kept for their time, the others closed. Called before the
 * session's own trees go. */
void smb2_opens_of_session_disconnect(Smb2Session *session);
/* Number of opens, for status. */
guint smb2_opens_count(Smb2Opens *opens);
/* Why what was opened on `was` may not be used on `now` by the same caller, though he may use the share itself; NULL:
 * it may. */
const char *smb2_share_objection(const LaresShare *was, const LaresShare *now, const LaresIdentity *who,
                                 const LaresFlavor *flavor);
/* Closes those whose client is away and would not be let in any more. Main thread. */
void smb2_opens_sweep(Smb2Service *service);
