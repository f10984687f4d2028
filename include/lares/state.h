/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who has what open: share reservations and byte-range locks, for all protocols at once.
 *
 * A holder is one client as a protocol knows it (an NFSv4 client id, an SMB session). An open belongs to a holder;
 * locks belong to a lock owner (any pointer the protocol keeps unique) on an open.
 *
 * Courtesy (RFC 8881 8.4.3): a protocol whose client's lease has run out marks the holder courteous instead of
 * throwing its state away. The first conflict expires it: `expire` is called (without locks) and the asker gets
 * LARES_DELAY once or its request at the next try.
 *
 * Thread: any. Locks: each file has its own; none is held while a callback runs. */
#pragma once

#include <lares/types.h>
#include <lares/store.h>

G_BEGIN_DECLS

typedef struct _LaresHolder LaresHolder;
typedef struct _LaresOpen LaresOpen;

#define LARES_DENY_NONE  0u
#define LARES_DENY_READ  1u
#define LARES_DENY_WRITE 2u
/* The bits of access and deny are the same: an open may have and deny LARES_ACCESS_DELETE (8) too. */
#define LARES_DENY_DELETE 8u

/* `expire(user)` must drop all state of the holder (lares_open_close …); called at most once, from a worker.
 * `destroy(user)` when the last reference goes (opens hold one each). */
LARES_API LaresHolder *lares_holder_new(const char *protocol, void (*expire)(gpointer user), gpointer user,
                                        GDestroyNotify destroy);
LARES_API LaresHolder *lares_holder_ref(LaresHolder *holder);
LARES_API void lares_holder_unref(LaresHolder *holder);
LARES_API void lares_holder_set_courteous(LaresHolder *holder, gboolean courteous);
/* How many opens and byte-range locks the holder may have at once; 0: no bound of its own. Told before its first open.
 * Whatever it says, no holder gets more than three quarters of the opens the whole server may have, so that there are
 * always some for others. What is over a bound is refused with LARES_TOO_MANY. */
LARES_API void lares_holder_set_limits(LaresHolder *holder, guint max_opens, guint max_locks);
/* What management shows of it: the id of its session, as session.list has it, and the client's address. Told before its
 * first open; copied. */
LARES_API void lares_holder_set_origin(LaresHolder *holder, const char *session, const char *client);
/* What it has now. */
LARES_API void lares_holder_count(LaresHolder *holder, guint *opens, guint *locks);
/* Would one more open be refused now? To be asked before a file is made for it. LARES_OK or LARES_TOO_MANY. */
LARES_API LaresStatus lares_holder_may_open(LaresHolder *holder);
/* Is most of what all holders together may have open taken? Then courtesy to those who are gone is over. */
LARES_API gboolean lares_opens_are_scarce(void);

/* An open, as made by lares_files_open(). Reference counted: the protocol's stateid holds one, running I/O another. */
LARES_API LaresOpen *lares_open_ref(LaresOpen *open);
LARES_API void lares_open_unref(LaresOpen *open);
LARES_API LaresNode *lares_open_node(LaresOpen *open);   /* borrowed */
LARES_API LaresShare *lares_open_share(LaresOpen *open); /* borrowed: as it was when it was opened */
LARES_API uint32_t lares_open_access(LaresOpen *open);
LARES_API uint32_t lares_open_deny(LaresOpen *open);
/* Narrows (RFC 7530 16.19); the caller checked that the new modes are a subset. */
LARES_API void lares_open_downgrade(LaresOpen *open, uint32_t access, uint32_t deny);
/* Takes the open out of the file's state and drops its locks. Idempotent; I/O in flight ends normally. */
LARES_API void lares_open_close(LaresOpen *open);

typedef struct {
    uint64_t start;
    uint64_t length; /* UINT64_MAX: to the end of the file, whatever it grows to; never 0 */
    gboolean write;
} LaresRange;

/* What stands in the way: `owner` is the lock owner pointer given at lock time (compare only; may be gone),
 * `owner_name` a copy of its first bytes; all of them come from the functions below that end in _named. */
typedef struct {
    LaresRange range;
    LaresHolder *holder; /* compare only */
    uint8_t owner_name[64];
    size_t owner_len; /* of owner_name: at most 64 */
    uint64_t client;  /* the number given with the lock */
} LaresLockConflict;

/* The owner of locks as a protocol knows it. `key` is unique per owner among all protocols (an address of the
 * protocol's own record); `name` and `client` are shown to others in conflicts. */
typedef struct {
    gconstpointer key;
    const uint8_t *name;
    size_t name_len;
    uint64_t client;
} LaresLockOwner;

/* POSIX semantics per owner: a new lock replaces the owner's own overlap (splitting and merging). LARES_DENIED with
 * *conflict; LARES_OPENMODE when the open's access does not allow this kind; LARES_BAD_RANGE for overflow;
 * LARES_TOO_MANY when the holder has as many as it may, also for a part given back that would leave one lock more. */
LARES_API LaresStatus lares_lock_set(LaresOpen *open, const LaresLockOwner *owner, const LaresRange *range,
                                     LaresLockConflict *conflict);
LARES_API LaresStatus lares_lock_clear(LaresOpen *open, const LaresLockOwner *owner, uint64_t start, uint64_t length);
/* Would it be granted? Needs no open. */
LARES_API LaresStatus lares_lock_test(LaresNode *node, const LaresLockOwner *owner, const LaresRange *range,
                                      LaresLockConflict *conflict);
/* Likewise, and with LARES_DENIED *owner_name is the whole name of the owner in the way: a reference for the caller,
 * untouched otherwise. */
LARES_API LaresStatus lares_lock_set_named(LaresOpen *open, const LaresLockOwner *owner, const LaresRange *range,
                                           LaresLockConflict *conflict, GBytes **owner_name);
LARES_API LaresStatus lares_lock_test_named(LaresNode *node, const LaresLockOwner *owner, const LaresRange *range,
                                            LaresLockConflict *conflict, GBytes **owner_name);
/* Has this owner any lock on the open's file? */
LARES_API gboolean lares_lock_held(LaresOpen *open, gconstpointer owner_key);
/* Drops all locks of the owner on the open's file. */
LARES_API void lares_lock_drop_owner(LaresOpen *open, gconstpointer owner_key);

/* ---- Leases (oplocks): what a client may keep to itself until it is told otherwise --------------------------------
 *
 * A lease belongs to one file and is held through the opens that were made with it; it ends with the last of them. An
 * oplock is a lease of one open: level II is READ, exclusive READ|WRITE, batch all three. The bits are those of
 * [MS-SMB2] 2.2.13.2.8.
 *
 * Whoever comes into conflict (any protocol) starts a break: `notify` is called without locks, from the thread of the
 * one in the way. While an answer is awaited the other gets LARES_DELAY and may wait (lares_state_wait). What is not
 * answered in LARES_BREAK_SECONDS is taken. Waited for is only what would hide data (WRITE) or keep a conflicting open
 * (HANDLE). Spec: [MS-FSA] 2.1.4.12. */
typedef struct _LaresLease LaresLease;

#define LARES_LEASE_READ    1u
#define LARES_LEASE_HANDLE  2u
#define LARES_LEASE_WRITE   4u
#define LARES_BREAK_SECONDS 35

typedef struct {
    uint32_t from, to;
    uint16_t epoch;
    gboolean ack; /* an answer is awaited: lares_lease_ack() */
} LaresLeaseBreak;

typedef void (*LaresLeaseFunc)(LaresLease *lease, const LaresLeaseBreak *what, gpointer user);

/* A lease that nobody holds yet; `user` lives until `destroy`, with the last reference (opens hold one each). */
LARES_API LaresLease *lares_lease_new(LaresNode *node, gboolean oplock, LaresLeaseFunc notify, gpointer user,
                                      GDestroyNotify destroy);
LARES_API LaresLease *lares_lease_ref(LaresLease *lease);
LARES_API void lares_lease_unref(LaresLease *lease);
LARES_API LaresNode *lares_lease_node(LaresLease *lease); /* borrowed */
LARES_API gpointer lares_lease_user(LaresLease *lease);
/* *epoch (the number of changes) and *breaking may be NULL. */
LARES_API uint32_t lares_lease_state(LaresLease *lease, uint16_t *epoch, gboolean *breaking);
/* The epoch a new lease starts from (the client's own). */
LARES_API void lares_lease_set_epoch(LaresLease *lease, uint16_t epoch);
/* The answer to a break. LARES_INVAL: none is awaited; LARES_DENIED: more than was offered. */
LARES_API LaresStatus lares_lease_ack(LaresLease *lease, uint32_t state);
/* The open's lease or NULL, borrowed. */
LARES_API LaresLease *lares_open_lease(LaresOpen *open);
/* Gives an open that has none a lease, and the lease what may be had of `want`: for an object that the open itself
 * made. */
LARES_API void lares_open_set_lease(LaresOpen *open, LaresLease *lease, uint32_t want);
/* A directory's lease (READ, HANDLE): what is listed may be kept until an entry comes, goes, is renamed or changes,
 * over any protocol or by a local program. Nothing is granted to a lease of a directory before this was called, nor
 * after a local change before it is called again. `key` is who holds it, see lares_leases_spare(). LARES_NOTSUPP where
 * local changes cannot be seen; LARES_TOO_MANY. Spec: [MS-FSA] 2.1.4.12 (PARENT_OBJECT). */
#define LARES_LEASE_KEY 32
LARES_API LaresStatus lares_lease_watch_directory(LaresLease *lease, const uint8_t key[LARES_LEASE_KEY]);
/* What this thread changes from now on leaves the directory lease with this key alone, for its holder knows ([MS-FSA]
 * 2.1.4.12.2). Borrowed until the next call; NULL: none. */
LARES_API void lares_leases_spare(const uint8_t key[LARES_LEASE_KEY]);
/* While on, what this thread changes in a file does not end the leases of its directory yet: the file is told of once,
 * when it is flushed or closed ([MS-FSA] 2.1.5.5, 2.1.5.7). */
LARES_API void lares_leases_defer(gboolean on);
LARES_API void lares_leases_tell(LaresNode *node);
/* A listing of the directory showed a file that has other names, by which it may change unseen here: its leases end,
 * and there are none as long as somebody has it open. */
LARES_API void lares_leases_linked(LaresNode *dir);
/* Gives up the lease's state without being asked (its client is gone). */
LARES_API void lares_lease_surrender(LaresLease *lease);

/* ---- Waiting until a conflict may be gone -------------------------------------------------------------------------
 */

typedef struct _LaresWait LaresWait;
/* Calls ready(user) once, without locks, when something about the file changed after `seen` (as the refused call gave
 * it): then try again. NULL (and `user` is not taken): it changed already, try again at once. `destroy` (may be NULL)
 * frees user when the wait is over. */
LARES_API LaresWait *lares_state_wait(LaresNode *node, uint64_t seen, void (*ready)(gpointer user), gpointer user,
                                      GDestroyNotify destroy);
/* Consumes the wait, called or not. TRUE: ready was not and will not be called. */
LARES_API gboolean lares_wait_end(LaresWait *wait);

/* ---- Byte-range locks as Windows has them ([MS-FSA] 2.1.4.10, 2.1.5.8, 2.1.5.9)
 * ---------------------------------------
 *
 * They belong to one open, are given back exactly as they were taken, stack when shared, may have no length, and stop
 * reading and writing through other opens of the same kind. Both kinds of locks refuse each other; an owner's POSIX
 * locks stop SMB's I/O as well (as a server with mandatory locks has it), while NFS I/O minds no locks: its clients
 * write back from a cache and would lose data. */

/* LARES_DENIED with *seen for lares_state_wait(); LARES_BAD_RANGE when it goes past the last byte. */
LARES_API LaresStatus lares_range_lock(LaresOpen *open, uint64_t start, uint64_t length, gboolean exclusive,
                                       uint64_t *seen);
/* LARES_NOENT when the open has no such lock. */
LARES_API LaresStatus lares_range_unlock(LaresOpen *open, uint64_t start, uint64_t length);
/* May these bytes be read or written through the open? LARES_LOCKED. */
LARES_API LaresStatus lares_range_check(LaresOpen *open, uint64_t start, uint64_t length, gboolean write);
LARES_API guint lares_range_count(LaresOpen *open); /* locks the open has */

/* ---- Deleting at the last close -------------------------------------------------------------------------------------
 */

/* Is the open's file to go with its last close? See lares_files_delete_on_close(). */
LARES_API gboolean lares_open_delete_pending(LaresOpen *open);
/* Opens of the file, `open` included; 0 when it is closed. */
LARES_API guint lares_open_count(LaresOpen *open);

G_END_DECLS
