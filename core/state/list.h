/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What management and metrics see of opens, locks and leases: a page of them, or how many there are.
 *
 * One shard is looked at after the other: each for itself is seen as it was at one moment. Ids never come twice and
 * only grow, so that a page goes on where the one before ended, whatever happened between them.
 *
 * Thread: any. Locks: as state-private.h; none is held when a function returns. */
#pragma once

#include "state/state-private.h"

G_BEGIN_DECLS

typedef struct {
    uint64_t after; /* only ids above */
    guint limit;    /* so many, not 0 */
    gboolean by_share, by_user;
    uint32_t share; /* its id */
    uint32_t uid;   /* who opened it */
} LaresStateQuery;

/* References that lares_state_page_clear() gives back. */
typedef struct {
    uint64_t id;
    LaresHolder *holder;
    LaresShare *share;
    LaresNode *node;
    int64_t uid; /* who opened it; -1: nobody, or several */
} LaresStateWho;

typedef struct {
    LaresStateWho who;
    uint32_t access, deny;
    guint locks;    /* of both kinds */
    uint32_t lease; /* LARES_LEASE_* */
    gboolean delete_pending;
} LaresOpenInfo;

typedef enum { LARES_LOCK_POSIX, LARES_LOCK_MANDATORY, LARES_LOCK_LEASE, LARES_LOCK_OPLOCK } LaresLockKind;

typedef struct {
    LaresStateWho who;
    uint64_t open; /* the id of the open that it is held through; of a lease any of them */
    LaresLockKind kind;
    uint64_t start, length; /* UINT64_MAX: to the end of the file; a mandatory lock may have no length */
    gboolean exclusive;
    uint32_t lease; /* LARES_LEASE_* */
    gboolean breaking;
    GBytes *owner; /* a reference, or NULL */
} LaresLockInfo;

typedef struct {
    GArray *items; /* LaresOpenInfo or LaresLockInfo, by id */
    guint64 total; /* that fit the query but for `after` */
    gboolean more; /* behind these */
} LaresStatePage;

void lares_state_list_opens(const LaresStateQuery *query, LaresStatePage *page);
void lares_state_list_locks(const LaresStateQuery *query, LaresStatePage *page);
void lares_state_page_clear(LaresStatePage *page);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(LaresStatePage, lares_state_page_clear)
const char *lares_holder_protocol(const LaresHolder *holder);
const char *lares_holder_session(const LaresHolder *holder); /* may be NULL, as the client */
const char *lares_holder_client(const LaresHolder *holder);

/* For /metrics. Once. */
gboolean lares_state_add_metrics(GError **error);

G_END_DECLS
