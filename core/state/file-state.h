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
    gint courteous; /* atomic */
    gint expired;   /* atomic: expire() was called */
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
    LaresOpen *next; /* in the file's list */
};

/* Nobody, or several users: everybody's I/O is judged. */
#define LARES_OPENER_MIXED INT64_C(-1)

typedef struct {
    uint64_t first, last; /* inclusive; last is UINT64_MAX to the end of the file */
    gboolean write;
    LaresOpen *open; /* whose closing drops it; not a reference */
    gconstpointer owner;
    uint64_t client;
    uint8_t name[64];
    uint8_t name_len;
} LaresLock;

struct _LaresFileState {
    LaresOpen *opens; /* each holds a reference while it is here */
    GArray *locks;    /* LaresLock, sorted by first; NULL while there are none */
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

/* If the holder is courteous: a reference to expire once the lock is gone; else NULL. */
LaresHolder *lares_holder_if_courteous(LaresHolder *holder);
/* Consumes the reference. */
void lares_holder_expire(LaresHolder *holder);
