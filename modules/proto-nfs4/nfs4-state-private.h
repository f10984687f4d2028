/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The state engine's own types: clients, sessions, owners and grants (what a stateid stands for).
 *
 * Owners: the engine's tables hold a reference to each client; a client's tables hold one to each of its sessions,
 *         owners and grants, until nfs4_client_destroy() empties them.
 * Locks, in this order: Nfs4Owner.busy (4.0 only, held through one operation), Nfs4State.lock, Nfs4Client.lock,
 *         Nfs4Session.lock, sessions_lock or a shard of the grant table (leaves). Neither Nfs4State.lock nor
 * Nfs4Client.lock is held while files are touched. */
#pragma once

#include "nfs4-state.h"

#include <errno.h>
#include <sys/random.h>

typedef struct _Nfs4Client Nfs4Client;
typedef struct _Nfs4Owner Nfs4Owner;
typedef struct _Nfs4Grant Nfs4Grant;
typedef struct _Nfs4Recovery Nfs4Recovery;

#define NFS4_GRANT_SHARDS 32
/* Channel limits of CREATE_SESSION that make any sense: a SEQUENCE has to fit (RFC 8881 18.36.3). */
#define NFS4_MIN_REQUEST  200u
#define NFS4_MIN_RESPONSE 200u
/* What a slot may keep of one reply: replies worth caching (those of changes) are small. */
#define NFS4_MAX_CACHED 16384u
/* A client whose lease has run out keeps its state this long when nobody minds (RFC 8881 8.4.3). */
#define NFS4_COURTESY_SECONDS (24 * 3600)

struct _Nfs4State {
    Nfs4Service *service;
    uint32_t boot; /* part of client ids and stateids: tells those of an earlier process */
    uint8_t server_id[16];
    uint64_t id_key; /* of client ids: who knows one shall not know the next */
    guint timer;
    Nfs4Recovery *recovery;
    GMutex lock;
    /* Under lock: */
    uint32_t next_client;    /* counts; the id of a client is this, hidden */
    GHashTable *by_id;       /* uint32_t -> Nfs4Client, a reference */
    GHashTable *confirmed;   /* owner id (Nfs4Client as its own key) -> Nfs4Client */
    GHashTable *unconfirmed; /* likewise */
    GQueue oldest;           /* the unconfirmed ones by age */
    GRWLock sessions_lock;
    GHashTable *sessions;    /* session id -> Nfs4Session, a reference; under sessions_lock */
    uint64_t kept, max_kept; /* bytes promised for kept replies, of so many; likewise */
    struct {
        GMutex lock;
        GHashTable *grants; /* uint64_t -> Nfs4Grant, a reference */
    } shard[NFS4_GRANT_SHARDS];
};

/* What CREATE_SESSION agreed on for one direction (RFC 8881 18.36.1). */
typedef struct {
    uint32_t header_pad, max_request, max_response, max_cached, max_ops, max_requests;
} Nfs4Channel;

struct _Nfs4Client {
    gint ref;
    Nfs4State *state;
    uint32_t id; /* the low half of the client id */
    gboolean v40;
    /* Constant: */
    uint8_t verifier[NFS4_VERIFIER_SIZE];
    uint8_t *owner_id;
    size_t owner_len;
    char *principal;
    char *address; /* where it was first seen */
    char *user;    /* name of the identity that made it */
    uint32_t uid;  /* … and its number */
    char *flavor;
    gint64 since; /* wall clock, seconds */
    /* SP4_MACH_CRED (RFC 8881 2.10.8.3): operations that need the machine's own credentials */
    gboolean mach_cred;
    uint64_t must_enforce; /* bit per operation number below 64 */

    /* 4.0: of SETCLIENTID_CONFIRM; the second one of a SETCLIENTID that came again. Under lock. */
    uint8_t confirm[NFS4_VERIFIER_SIZE], confirm_next[NFS4_VERIFIER_SIZE];
    gint64 renewed;     /* atomic: monotonic seconds */
    gboolean courteous; /* atomic */
    gboolean dead;      /* atomic */
    gboolean wanted;    /* atomic: to be ended for others as soon as its row is off the disk */
    gboolean recorded;  /* atomic: in stable storage */
    gboolean confirmed; /* atomic; set once, under state->lock */
    GList link;         /* under state->lock: in state->oldest; data is NULL outside */
    GMutex lock;
    /* Under lock: */
    LaresHolder *holder;
    GHashTable *owners; /* Nfs4Owner as its own key; a reference */
    GHashTable *grants; /* (owner, subject) -> Nfs4Grant; a reference */
    GHashTable *closed; /* Nfs4Owner.closed_key -> Nfs4Owner, which is in `owners` */
    GPtrArray *sessions;
    uint64_t kept; /* bytes that its sessions were promised for kept replies */
    gint64 swept;  /* when owners were last looked through for want of room; monotonic seconds */
    gboolean reclaim_complete;
    uint32_t create_seqid;     /* the last CREATE_SESSION's */
    uint8_t create_reply[128]; /* its result body */
    size_t create_reply_len;
    uint32_t create_status;
    gboolean create_seen;
    gboolean create_runs; /* one at a time: a retry over another connection waits for the answer */
};

struct _Nfs4Owner {
    gint ref;
    Nfs4Client *client; /* borrowed: grants and tables of the client hold the owner */
    gboolean lock_owner;
    uint8_t *bytes;
    size_t len;
    uint32_t uid;     /* atomic: whose it is */
    GQueue grants;    /* Nfs4Grant by their owner_link; under client->lock */
    gint64 last_used; /* likewise; monotonic seconds */
    /* 4.0 (RFC 7530 9.1.7): under busy */
    GMutex busy;
    gboolean confirmed;
    gboolean used;
    uint32_t seqid;
    uint32_t last_op, last_status;
    char *last_principal; /* whose request it was: the kept answer is for nobody else */
    uint8_t *last_body;
    size_t last_len;
    /* What OPEN made current, as a handle: an owner that is remembered must not keep a file of the store. */
    uint8_t last_handle[LARES_WIRE_HANDLE_MAX];
    size_t last_handle_len;
    gint64 closed_key; /* the grant its last CLOSE ended: a retry names it. Under client->lock */
};

typedef enum { NFS4_GRANT_OPEN = 1, NFS4_GRANT_LOCK = 2 } Nfs4GrantKind;

struct _Nfs4Grant {
    gint ref;
    Nfs4GrantKind kind;
    uint64_t key;          /* client number and grant number */
    Nfs4Client *client;    /* a reference */
    Nfs4Owner *owner;      /* a reference */
    LaresOpen *open;       /* a reference */
    Nfs4Grant *parent;     /* LOCK: the open grant, a reference */
    gconstpointer subject; /* OPEN: the node; LOCK: the parent: with owner the key in client->grants */
    LaresFile *of;         /* OPEN of a named attribute: see lares_files_named_hold(); may be NULL */
    /* Under client->lock: */
    uint32_t seqid;
    gboolean gone;
    uint8_t access_seen; /* bit 1 << access of each OPEN that took part (RFC 7530 16.19.3) */
    uint8_t deny_seen;
    GList owner_link; /* in owner->grants */
    GQueue children;  /* OPEN: the lock grants that hang on it, by their parent_link */
    GList parent_link;
};

struct _Nfs4Slot {
    uint32_t seqid;
    gboolean busy;
    gboolean has_reply; /* the whole result of `seqid` is kept */
    uint64_t digest;    /* of the request, to tell a false retry */
    char *principal;    /* who sent it, and with which flavor: a kept reply is for nobody else */
    const LaresFlavor *flavor;
    uint8_t *reply;
    size_t reply_len;
};

struct _Nfs4Session {
    gint ref;
    uint8_t id[NFS4_SESSIONID];
    Nfs4Client *client; /* a reference */
    Nfs4Channel fore, back;
    uint32_t cb_program;
    gboolean dead;        /* atomic */
    uint64_t backchannel; /* connection id; 0: none. Under lock */
    GMutex lock;
    uint32_t n_slots;
    Nfs4Slot *slot;    /* under lock */
    uint64_t promised; /* bytes for kept replies; constant */
};

/* 64 bits nobody can guess: in 4.0 a stateid and a session is all that a stranger would need to disturb its owner. */
uint64_t nfs4_random(void);

static inline gint64
nfs4_now(void)
{
    return g_get_monotonic_time() / G_USEC_PER_SEC;
}

/* ---- nfs4-client.c ------------------------------------------------------------------------------------------------
 */

void nfs4_client_tables_init(Nfs4State *state);
/* Says in the log that a client met a bound, and which setting it is. Gives the status for it. */
uint32_t nfs4_client_full(const Nfs4Compound *c, const Nfs4Client *client, const char *setting);
Nfs4Client *nfs4_client_ref(Nfs4Client *client);
void nfs4_client_unref(Nfs4Client *client);
/* How a client presents itself: EXCHANGE_ID or SETCLIENTID (v40). Bytes are borrowed for the call. */
typedef struct {
    gboolean v40;
    const uint8_t *verifier, *owner;
    size_t owner_len;
    gboolean mach_cred;
    uint64_t must_enforce;
} Nfs4Introduction;

/* A new unconfirmed record, complete before it enters the tables, where others find it; replaces an unconfirmed one of
 * the same owner. A reference, or NULL when there are as many clients as the settings allow; before that the oldest
 * unconfirmed one gives way. */
Nfs4Client *nfs4_client_new(Nfs4Compound *c, const Nfs4Introduction *who);
/* By the 64-bit client id: NFS4_OK with a reference, STALE_CLIENTID. */
uint32_t nfs4_client_by_id(Nfs4State *state, uint64_t clientid, Nfs4Client **client);
static inline uint64_t
nfs4_client_id(const Nfs4Client *client)
{
    return (uint64_t)client->state->boot << 32 | client->id;
}
/* Records of an owner id; references or NULL. */
void nfs4_client_find(Nfs4State *state, gboolean v40, const uint8_t *owner, size_t len, Nfs4Client **confirmed,
                      Nfs4Client **unconfirmed);
/* Makes it the confirmed one; an older confirmed record of the same owner is destroyed. */
void nfs4_client_confirm(Nfs4Client *client);
/* Drops everything it has and takes it out of the tables. `forget`: also from stable storage. Idempotent. */
void nfs4_client_destroy(Nfs4Client *client, gboolean forget);
void nfs4_client_renew(Nfs4Client *client);
gboolean nfs4_client_has_state(Nfs4Client *client);
/* Has it state under a lease that still runs? What is kept beyond that is a courtesy. */
gboolean nfs4_client_is_active(Nfs4Client *client);
/* 4.0: may the caller speak for the whole client? Its own principal and user may, and users who have owners there: in
 * Linux it is whoever has a ticket. */
gboolean nfs4_client_is_spoken_for(const Nfs4Compound *c, Nfs4Client *client);
/* Ends it for others who want what it holds: once its row is gone, else at the next try. */
void nfs4_client_give_way(Nfs4Client *client);
/* Written to stable storage before its first open or lock is acknowledged. */
void nfs4_client_record(Nfs4Client *client);
/* May the caller run this operation for the client? (SP4_MACH_CRED) NFS4_OK or WRONG_CRED. */
uint32_t nfs4_client_check_cred(const Nfs4Compound *c, const Nfs4Client *client);
/* For each client, once; `func` is called without locks. */
void nfs4_client_foreach(Nfs4State *state, void (*func)(Nfs4Client *client, gpointer user), gpointer user);

/* ---- nfs4-client-step.c: pure --------------------------------------------------------------------------------------
 */

typedef enum {
    NFS4_STEP_NEW,      /* make a new unconfirmed record */
    NFS4_STEP_EXISTING, /* answer with the confirmed one */
    NFS4_STEP_UPDATE,   /* likewise, and note what changed */
    NFS4_STEP_REPLACE,  /* destroy the confirmed one, then NEW */
    NFS4_STEP_ERROR
} Nfs4StepAction;

typedef struct {
    gboolean confirmed;      /* a confirmed record of the owner exists */
    gboolean same_principal; /* … made by the same principal */
    gboolean same_verifier;
    gboolean has_state; /* … that still holds state and a valid lease */
    gboolean update;    /* EXCHGID4_FLAG_UPD_CONFIRMED_REC_A */
} Nfs4ClientFacts;

/* A number nobody can guess without the key, and back: each has its own. */
uint32_t nfs4_number_hide(uint64_t key, uint32_t number);
uint32_t nfs4_number_show(uint64_t key, uint32_t hidden);
Nfs4StepAction nfs4_step_exchange_id(const Nfs4ClientFacts *facts, uint32_t *error);
Nfs4StepAction nfs4_step_setclientid(const Nfs4ClientFacts *facts, uint32_t *error);

typedef enum { NFS4_SEQ_NEXT, NFS4_SEQ_REPLAY, NFS4_SEQ_BAD } Nfs4SeqStep;
Nfs4SeqStep nfs4_step_seqid(gboolean used, uint32_t last, uint32_t seqid);

/* ---- nfs4-session.c ------------------------------------------------------------------------------------------------
 */

/* NFS4_OK with a reference, STALE_CLIENTID when the client was destroyed meanwhile, NOSPC. It may get fewer slots than
 * asked for, which `fore` then says. */
uint32_t nfs4_session_new(Nfs4Client *client, Nfs4Channel *fore, const Nfs4Channel *back, uint32_t cb_program,
                          Nfs4Session **session);
void nfs4_session_tables_init(Nfs4State *state);
Nfs4Session *nfs4_session_ref(Nfs4Session *session);
void nfs4_session_unref(Nfs4Session *session);
Nfs4Session *nfs4_session_find(Nfs4State *state, const uint8_t *id); /* a reference or NULL */
void nfs4_session_destroy(Nfs4Session *session);
void nfs4_channel_get(LaresReader *in, Nfs4Channel *channel);
/* callback_sec_parms4<>: read and forgotten (nfs4-op-create-session.c). */
void nfs4_skip_callback_sec_parms(LaresReader *in);
void nfs4_channel_put(LaresWriter *out, const Nfs4Channel *channel);

/* ---- nfs4-stateid.c ------------------------------------------------------------------------------------------------
 */

/* Out of the table of stateids; gives up its reference. */
void nfs4_stateid_forget(Nfs4State *state, Nfs4Grant *grant);
gboolean nfs4_stateid_is_special(const Nfs4Stateid *stateid);
/* The stateid of a grant as it is now. */
Nfs4Stateid nfs4_grant_stateid(Nfs4Grant *grant);
/* Finds what a stateid stands for; resolves the current stateid. `kinds`: Nfs4GrantKind bits. A reference. */
uint32_t nfs4_grant_find(Nfs4Compound *c, const Nfs4Stateid *stateid, uint32_t kinds, Nfs4Grant **grant);
/* Without the session's client and sequence checks being an error: for TEST_STATEID. */
uint32_t nfs4_grant_test(Nfs4Compound *c, const Nfs4Stateid *stateid);
/* 4.0: the owner behind a stateid, also when the stateid is older or just closed. A reference. */
uint32_t nfs4_owner_of_stateid(Nfs4Compound *c, const Nfs4Stateid *stateid, uint32_t kinds, Nfs4Owner **owner);
/* client->lock held. Puts a new grant into the tables (they take a reference); the caller gets one too. */
Nfs4Grant *nfs4_grant_add(Nfs4Owner *owner, Nfs4GrantKind kind, LaresOpen *open, Nfs4Grant *parent);
/* client->lock held: out of its owner's and its parent's lists. */
void nfs4_grant_unlink(Nfs4Grant *grant);
/* client->lock held; a new reference or NULL. */
Nfs4Grant *nfs4_grant_of(Nfs4Owner *owner, gconstpointer subject);
/* Out of the tables, with the lock grants on it; closes the open or drops the owner's locks. No lock held. */
void nfs4_grant_drop(Nfs4Grant *grant);
Nfs4Grant *nfs4_grant_ref(Nfs4Grant *grant);
void nfs4_grant_unref(Nfs4Grant *grant);
/* Moves the seqid on and gives the new stateid (skips 0: RFC 8881 8.2.2). */
Nfs4Stateid nfs4_grant_bump(Nfs4Grant *grant);
/* The lock owner as core/state wants it. */
LaresLockOwner nfs4_owner_for_lock(const Nfs4Owner *owner);
/* The client of a compound: of its session, or NULL in 4.0. Borrowed. */
Nfs4Client *nfs4_compound_client(const Nfs4Compound *c);

/* ---- nfs4-owner.c --------------------------------------------------------------------------------------------------
 */

/* A reference; made when missing and `create`, for the caller's user. NULL: not there, or the client has as many as it
 * may. */
Nfs4Owner *nfs4_owner_get(const Nfs4Compound *c, Nfs4Client *client, gboolean lock_owner, const uint8_t *bytes,
                          size_t len, gboolean create);
Nfs4Owner *nfs4_owner_ref(Nfs4Owner *owner);
void nfs4_owner_unref(Nfs4Owner *owner);
/* Not on the wire: a retry whose kept answer is NFS4_OK; its body is written. */
#define NFS4_OWNER_REPLAYED (UINT32_MAX - 2)
/* 4.0: locks the owner for one operation and judges the seqid. NFS4_OK: go on, then call nfs4_owner_end(). Anything
 * else is the answer (for a retry the kept one, its body already written); the owner is unlocked again. */
uint32_t nfs4_owner_begin(Nfs4Compound *c, Nfs4Owner *owner, uint32_t seqid);
/* The same for OPEN. An owner that has nothing open and belongs to another user becomes the caller's first
 * (NFS4ERR_BAD_SEQID when it has something); else an unconfirmed one that starts again loses what it opened. */
uint32_t nfs4_owner_begin_open(Nfs4Compound *c, Nfs4Owner *owner, uint32_t seqid);
/* Keeps the answer (what was written since nfs4_owner_begin) and moves the seqid on, if `status` does
 * (RFC 7530 9.1.7). Gives `status` back. */
uint32_t nfs4_owner_end(Nfs4Compound *c, Nfs4Owner *owner, uint32_t seqid, size_t body_at, uint32_t status);
typedef uint32_t (*Nfs4GrantFunc)(Nfs4Compound *c, Nfs4Grant *grant);
/* Runs `func` on the grant of a stateid for the current file: in 4.0 as the owner's next request, with its retries. */
uint32_t nfs4_seqid_op(Nfs4Compound *c, const Nfs4Stateid *stateid, uint32_t seqid, uint32_t kinds, Nfs4GrantFunc func);
/* Drops all grants of an owner (an unconfirmed one that starts again). */
void nfs4_owner_drop_grants(Nfs4Owner *owner);
/* Its CLOSE ends this grant: a retry finds the owner by it. */
void nfs4_owner_closed(Nfs4Owner *owner, uint64_t key);
/* LOCKS_HELD, or the owner and its stateids are gone. */
uint32_t nfs4_owner_release(Nfs4Owner *owner);
/* Forgets 4.0 owners without grants that were not used for a lease. */
void nfs4_owner_sweep(Nfs4Client *client, gint64 older_than);

/* ---- nfs4-recovery.c -----------------------------------------------------------------------------------------------
 */

Nfs4Recovery *nfs4_recovery_new(const char *state_dir, guint grace_seconds, uint8_t server_id[16], GError **error);
void nfs4_recovery_free(Nfs4Recovery *recovery);
gboolean nfs4_recovery_in_grace(Nfs4Recovery *recovery);
/* Had this client state when the server went down, and may it still reclaim? */
gboolean nfs4_recovery_may_reclaim(Nfs4Recovery *recovery, const Nfs4Client *client);
/* Returns when the row is on the disk; not for a client that is dead. */
void nfs4_recovery_record(Nfs4Recovery *recovery, Nfs4Client *client);
/* The client ends. Without `delete_row` its row waits for the owner's next client. FALSE: the row could not be deleted;
 * that is tried again until it is. */
gboolean nfs4_recovery_forget(Nfs4Recovery *recovery, const Nfs4Client *client, gboolean delete_row);
/* RECLAIM_COMPLETE: the grace period may end early. */
void nfs4_recovery_complete(Nfs4Recovery *recovery, const Nfs4Client *client);
/* Every now and then: rows that could not be deleted. */
void nfs4_recovery_retry(Nfs4Recovery *recovery);
/* The time is up: nfs4_recovery_end(). */
gboolean nfs4_recovery_is_due(Nfs4Recovery *recovery);
void nfs4_recovery_end(Nfs4Recovery *recovery);
guint nfs4_recovery_waiting(Nfs4Recovery *recovery);
