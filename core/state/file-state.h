/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The state of one open file, and the shards it lives in: private to core/state. */
#pragma once

#include "state/state-private.h"

struct _LaresHolder {
    gint ref;
    const char *protocol;
    void (*expire)(gpointer user);
    gpointer user;
    GDestroyNotify destroy;
    gint courteous;             /* atomic */
    gint expired;               /* atomic: expire() was called */
    guint max_opens, max_locks; /* constant; 0: no bound */
    gint opens, locks;          /* atomic: what it has */
    char *session, *client;     /* constant: what management shows; may be NULL */
};

typedef struct _LaresFileState LaresFileState;

struct _LaresOpen {
    gint ref;
    uint64_t id; /* as all ids below: never used twice in the life of the process */
    LaresHolder *holder;
    LaresShare *share;
    LaresNode *node;
    int64_t opener; /* atomic: the uid it was opened as; LARES_OPENER_MIXED */
    /* Under the shard's lock: */
    LaresFile *reader, *writer; /* may be the same file; NULL when not opened for it */
    uint32_t access, deny;
    gboolean closed;
    LaresOpen *next, *prev; /* in the file's list */
    guint n_locks;          /* of the file's locks those of this open */
    GBytes *lock_name;      /* of the owner that locked last through it, or NULL */
    gboolean quiet;         /* attributes only: in nobody's way */
    gboolean looks;         /* with `quiet`: in the way of an oplock, though of no lease */
    LaresLease *lease;      /* a reference or NULL; set before others see the open */
};

/* Nobody, or several users: everybody's I/O is judged. */
#define LARES_OPENER_MIXED INT64_C(-1)

typedef struct {
    uint64_t first, last; /* inclusive; last is UINT64_MAX to the end of the file */
    uint64_t id;
    gboolean write;
    LaresOpen *open; /* whose closing drops it; not a reference */
    gconstpointer owner;
    uint64_t client;
    GBytes *name; /* a reference, shared by the locks of an owner */
} LaresLock;

typedef struct {
    uint64_t start, length;
    gboolean exclusive;
    LaresOpen *open; /* not a reference */
    uint64_t id;
} LaresWinLock;

struct _LaresLease {
    gint ref;
    uint64_t id;
    gboolean oplock;
    LaresNode *node;
    LaresLeaseFunc notify;
    gpointer user;
    GDestroyNotify destroy;
    /* Under the shard's lock: */
    guint opens;
    uint32_t state;
    uint16_t epoch;
    gboolean breaking, goes_on; /* goes_on: it was told more than once, and everybody waits for the end of it */
    uint32_t offered;           /* the break that is under way goes here, */
    uint32_t required;          /* and the next one there at once */
    guint serial;               /* of breaks, for their time-outs */
    GSource *timer;             /* of the break that is under way, or NULL; a reference */
    uint64_t listed;            /* the last listing that has met it */
    gboolean armed;             /* of a directory: local changes are seen, so that something may be granted */
    guint disarms;              /* how often that ended */
    /* lease-dir.c's lock: */
    gboolean in_dirs; /* found there */
    LaresDirWatch *watch;
    uint8_t key[LARES_LEASE_KEY];
};

struct _LaresWait {
    gint ref; /* the list's and the caller's */
    LaresNode *node;
    void (*ready)(gpointer user);
    gpointer user;
    GDestroyNotify destroy;
    gboolean listed; /* shard locked */
    LaresWait *next;
};

struct _LaresFileState {
    LaresFileState *next, *prev; /* of the shard */
    LaresNode *node;             /* its opens hold it */
    LaresOpen *opens;            /* each holds a reference while it is here */
    /* Of the opens those whose access / deny has READ, WRITE, DELETE: most conflicts are ruled out without a look at
     * each. */
    guint n_access[3], n_deny[3];
    GArray *ranges; /* LaresWinLock; NULL while there are none */
    LaresWait *waits;
    uint64_t seen;  /* when this last changed for those who wait; no number is used twice */
    guint n_leases; /* opens with a lease */
    LaresUnlink *unlink;
    GArray *locks; /* LaresLock, sorted by first; NULL while there are none */
    /* lease-dir.c: the directory leases that there were at this time know that the file changes, but for the one with
     * this key (zeros: none). */
    uint64_t told;
    uint8_t told_spared[LARES_LEASE_KEY];
    gboolean linked; /* a directory: it shows a file with several names */
};

/* A bound on what one file's locks may cost, far above what any client keeps. */
#define LARES_LOCKS_PER_FILE 65536

void lares_state_shard_lock(const LaresNode *node);
void lares_state_shard_unlock(const LaresNode *node);

/* For list.c: shards one by one. Between lock and unlock the list of their files' states. */
guint lares_state_shards(void);
LaresFileState *lares_state_shard_enter(guint shard);
void lares_state_shard_leave(guint shard);

static inline LaresFileState *
lares_state_peek(const LaresNode *node) /* shard locked */
{
    return node->state;
}

void lares_locks_drop_open(LaresFileState *state, LaresOpen *open); /* shard locked */

/* One more open or lock, or one less. FALSE: there are as many as may be. */
gboolean lares_holder_take_open(LaresHolder *holder);
void lares_holder_give_open(LaresHolder *holder);
static inline void
lares_holder_add_locks(LaresHolder *holder, int n)
{
    g_atomic_int_add(&holder->locks, n);
}
static inline gboolean
lares_holder_has_all_locks(LaresHolder *holder)
{
    return holder->max_locks && (guint)g_atomic_int_get(&holder->locks) >= holder->max_locks;
}

/* If the holder is courteous: a reference to expire once the lock is gone; else NULL. */
LaresHolder *lares_holder_if_courteous(LaresHolder *holder);
/* Consumes the reference. */
void lares_holder_expire(LaresHolder *holder);

/* ---- lease.c (shard locked where not said otherwise) --------------------------------------------------------------
 */

typedef enum {
    LARES_BREAK_OTHERS,  /* every lease but the caller's own */
    LARES_BREAK_OWN_TOO, /* and a level II oplock of the caller itself */
    LARES_BREAK_OPLOCKS, /* of others, no leases */
} LaresBreakOf;
/* Tells leases to lose these bits. TRUE when one of `wait_for` is still held by somebody. *notices collects what
 * lares_leases_notify() sends later. */
gboolean lares_leases_break(LaresFileState *state, const LaresLease *own, uint32_t lose, uint32_t wait_for,
                            LaresBreakOf of, GArray **notices);
void lares_leases_notify(GArray *notices); /* not locked; consumes it, may be NULL */
/* What may be had of `want` beside what is there; the lease gets it. */
void lares_lease_grant(LaresFileState *state, LaresLease *lease, uint32_t want);
/* The open is closing. A timer that nobody waits for any more, or NULL. */
GSource *lares_lease_let_go(LaresLease *lease);
void lares_lease_drop_timer(GSource *timer); /* not locked; may be NULL */
/* Everything the lease holds is to go; nobody waits for that. */
void lares_lease_break_all(LaresLease *lease, GArray **notices);
/* ---- lease-dir.c. A directory's lease got something (shard locked), or is perhaps not open any more (not locked). */
void lares_lease_dir_granted(void);
void lares_lease_dir_forget(LaresLease *lease);

/* ---- wait.c ----------------------------------------------------------------------------------------------------- */

uint64_t lares_state_stamp(void);
/* Shard locked: notes a change and takes those who wait for one. */
LaresWait *lares_waits_take(LaresFileState *state);
void lares_waits_wake(LaresWait *waits); /* not locked; consumes the list */

/* ---- range.c, shard locked -------------------------------------------------------------------------------------- */

LaresWinLock *lares_ranges_find(LaresFileState *state, uint64_t first, uint64_t last, gboolean write);
void lares_ranges_drop_open(LaresFileState *state, LaresOpen *open);
/* lock.c: a POSIX lock in the way of such a lock, or of I/O. */
gboolean lares_locks_conflict(LaresFileState *state, uint64_t start, uint64_t length, gboolean write);
