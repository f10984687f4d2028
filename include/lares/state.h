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
/* What it has now. */
LARES_API void lares_holder_count(LaresHolder *holder, guint *opens, guint *locks);
/* Would one more open be refused now? To be asked before a file is made for it. LARES_OK or LARES_TOO_MANY. */
LARES_API LaresStatus lares_holder_may_open(LaresHolder *holder);

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

G_END_DECLS
