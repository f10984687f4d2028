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
};

typedef struct _LaresFileState LaresFileState;

struct _LaresOpen {
    gint ref;
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
};

/* Nobody, or several users: everybody's I/O is judged. */
#define LARES_OPENER_MIXED INT64_C(-1)

typedef struct {
    uint64_t first, last; /* inclusive; last is UINT64_MAX to the end of the file */
    gboolean write;
    LaresOpen *open; /* whose closing drops it; not a reference */
    gconstpointer owner;
    uint64_t client;
    GBytes *name; /* a reference, shared by the locks of an owner */
} LaresLock;

struct _LaresFileState {
    LaresOpen *opens; /* each holds a reference while it is here */
    /* Of the opens those whose access / deny has READ, WRITE: most conflicts are ruled out without a look at each. */
    guint n_access[2], n_deny[2];
    GArray *locks; /* LaresLock, sorted by first; NULL while there are none */
};

/* A bound on what one file's locks may cost, far above what any client keeps. */
#define LARES_LOCKS_PER_FILE 65536

void lares_state_shard_lock(const LaresNode *node);
void lares_state_shard_unlock(const LaresNode *node);

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
