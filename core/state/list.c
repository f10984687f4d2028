/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pages of opens, locks and leases, shard by shard.
 *
 * Twice around: first only ids are gathered, of which the smallest are kept; then those are looked up again and
 * described, unless they are gone by then. So a page costs the memory of a page, however much is open. */
#include "state/list.h"

#include "metrics/metrics.h"
#include "state/file-state.h"

const char *
lares_holder_protocol(const LaresHolder *holder)
{
    return holder->protocol;
}

const char *
lares_holder_session(const LaresHolder *holder)
{
    return holder->session;
}

const char *
lares_holder_client(const LaresHolder *holder)
{
    return holder->client;
}

/* ---- Which ---------------------------------------------------------------------------------------------------------
 */

typedef struct {
    const LaresStateQuery *query;
    GArray *ids; /* the smallest behind query->after; one more than fits, to see whether there is more */
    guint64 total;
    uint64_t listing; /* this one's number, for leases, which many opens share */
} Gathering;

static gint
by_number(gconstpointer a, gconstpointer b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void
keep_smallest(Gathering *g)
{
    g_array_sort(g->ids, by_number);
    if (g->ids->len > g->query->limit + 1)
        g_array_set_size(g->ids, g->query->limit + 1);
}

static void
gather(Gathering *g, uint64_t id)
{
    g->total++;
    if (id <= g->query->after)
        return;
    g_array_append_val(g->ids, id);
    if (g->ids->len >= 4 * (g->query->limit + 1))
        keep_smallest(g);
}

static gboolean
fits(const LaresStateQuery *query, const LaresOpen *open)
{
    return (!query->by_share || open->share->id == query->share) &&
           (!query->by_user || __atomic_load_n(&open->opener, __ATOMIC_RELAXED) == (int64_t)query->uid);
}

/* Whether the listing meets the lease for the first time. */
static gboolean
is_new(LaresLease *lease, uint64_t listing)
{
    gboolean fresh = lease && lease->state && lease->listed != listing;
    if (fresh)
        lease->listed = listing;
    return fresh;
}

/* ---- What of a file is listed: each is told to `each`, which may be called for any of them. Shard locked. ----------
 */

typedef void (*Each)(LaresFileState *state, LaresOpen *open, const LaresLock *lock, const LaresWinLock *range,
                     LaresLease *lease, gpointer user);

static void
each_open(LaresFileState *state, const LaresStateQuery *query, uint64_t listing, Each each, gpointer user)
{
    for (LaresOpen *o = state->opens; o; o = o->next)
        if (fits(query, o))
            each(state, o, NULL, NULL, NULL, user);
}

static void
each_lock(LaresFileState *state, const LaresStateQuery *query, uint64_t listing, Each each, gpointer user)
{
    for (guint i = 0; state->locks && i < state->locks->len; i++) {
        const LaresLock *lock = &g_array_index(state->locks, LaresLock, i);
        if (fits(query, lock->open))
            each(state, lock->open, lock, NULL, NULL, user);
    }
    for (guint i = 0; state->ranges && i < state->ranges->len; i++) {
        const LaresWinLock *range = &g_array_index(state->ranges, LaresWinLock, i);
        if (fits(query, range->open))
            each(state, range->open, NULL, range, NULL, user);
    }
    for (LaresOpen *o = state->n_leases ? state->opens : NULL; o; o = o->next)
        if (fits(query, o) && is_new(o->lease, listing))
            each(state, o, NULL, NULL, o->lease, user);
}

static void
gather_one(LaresFileState *state, LaresOpen *open, const LaresLock *lock, const LaresWinLock *range, LaresLease *lease,
           gpointer user)
{
    gather(user, lock ? lock->id : range ? range->id : lease ? lease->id : open->id);
}

/* ---- What about them -----------------------------------------------------------------------------------------------
 */

typedef struct {
    GArray *ids; /* sorted */
    GArray *items;
} Describing;

static gboolean
is_wanted(const Describing *d, uint64_t id)
{
    return g_array_binary_search(d->ids, &id, by_number, NULL);
}

static LaresStateWho
who_of(uint64_t id, const LaresOpen *open)
{
    return (LaresStateWho){id, lares_holder_ref(open->holder), lares_share_ref(open->share), lares_node_ref(open->node),
                           __atomic_load_n(&open->opener, __ATOMIC_RELAXED)};
}

static void
describe_open(LaresFileState *state, LaresOpen *open, const LaresLock *lock, const LaresWinLock *range,
              LaresLease *lease, gpointer user)
{
    Describing *d = user;
    if (!is_wanted(d, open->id))
        return;
    LaresOpenInfo info = {.who = who_of(open->id, open),
                          .access = open->access,
                          .deny = open->deny,
                          .locks = open->n_locks,
                          .lease = open->lease ? open->lease->state : 0,
                          .delete_pending = state->unlink != NULL};
    for (guint i = 0; state->ranges && i < state->ranges->len; i++)
        info.locks += g_array_index(state->ranges, LaresWinLock, i).open == open;
    g_array_append_val(d->items, info);
}

static void
describe_lock(LaresFileState *state, LaresOpen *open, const LaresLock *lock, const LaresWinLock *range,
              LaresLease *lease, gpointer user)
{
    Describing *d = user;
    uint64_t id = lock ? lock->id : range ? range->id : lease->id;
    if (!is_wanted(d, id))
        return;
    LaresLockInfo info = {.who = who_of(id, open), .open = open->id};
    if (lock) {
        info.kind = LARES_LOCK_POSIX;
        info.start = lock->first;
        info.length = lock->last == UINT64_MAX ? UINT64_MAX : lock->last - lock->first + 1;
        info.exclusive = lock->write;
        info.owner = g_bytes_ref(lock->name);
    } else if (range) {
        info.kind = LARES_LOCK_MANDATORY;
        info.start = range->start;
        info.length = range->length;
        info.exclusive = range->exclusive;
    } else {
        info.kind = lease->oplock ? LARES_LOCK_OPLOCK : LARES_LOCK_LEASE;
        info.length = UINT64_MAX;
        info.exclusive = (lease->state & LARES_LEASE_WRITE) != 0;
        info.lease = lease->state;
        info.breaking = lease->breaking;
    }
    g_array_append_val(d->items, info);
}

static gint
by_id(gconstpointer a, gconstpointer b)
{
    return by_number(&((const LaresStateWho *)a)->id, &((const LaresStateWho *)b)->id);
}

static void
clear_item(LaresStateWho *who)
{
    lares_holder_unref(who->holder);
    lares_share_unref(who->share);
    lares_node_unref(who->node);
}

static void
clear_open(gpointer data)
{
    clear_item(&((LaresOpenInfo *)data)->who);
}

static void
clear_lock(gpointer data)
{
    LaresLockInfo *info = data;
    clear_item(&info->who);
    g_clear_pointer(&info->owner, g_bytes_unref);
}

/* ---- Around --------------------------------------------------------------------------------------------------------
 */

typedef void (*Walk)(LaresFileState *state, const LaresStateQuery *query, uint64_t listing, Each each, gpointer user);

static void
around(Walk walk, const LaresStateQuery *query, Each each, gpointer user)
{
    uint64_t listing = lares_state_stamp();
    for (guint i = 0; i < lares_state_shards(); i++) {
        for (LaresFileState *s = lares_state_shard_enter(i); s; s = s->next)
            walk(s, query, listing, each, user);
        lares_state_shard_leave(i);
    }
}

static void
list(Walk walk, const LaresStateQuery *query, Each describe, guint size, GDestroyNotify clear, LaresStatePage *page)
{
    Gathering g = {.query = query, .ids = g_array_new(FALSE, FALSE, sizeof(uint64_t))};
    Describing d = {g.ids, g_array_new(FALSE, FALSE, size)};
    g_array_set_clear_func(d.items, clear);
    around(walk, query, gather_one, &g);
    keep_smallest(&g);
    gboolean more = g.ids->len > query->limit;
    g_array_set_size(g.ids, MIN(g.ids->len, query->limit));
    around(walk, query, describe, &d);
    g_array_sort(d.items, by_id);
    g_array_unref(g.ids);
    *page = (LaresStatePage){d.items, g.total, more};
}

void
lares_state_list_opens(const LaresStateQuery *query, LaresStatePage *page)
{
    list(each_open, query, describe_open, sizeof(LaresOpenInfo), clear_open, page);
}

void
lares_state_list_locks(const LaresStateQuery *query, LaresStatePage *page)
{
    list(each_lock, query, describe_lock, sizeof(LaresLockInfo), clear_lock, page);
}

void
lares_state_page_clear(LaresStatePage *page)
{
    g_clear_pointer(&page->items, g_array_unref);
}

/* ---- How many ------------------------------------------------------------------------------------------------------
 */

#define PROTOCOLS 16

static const LaresMetric opens = {"lares_opens", LARES_METRIC_GAUGE, FALSE, "Files that are open.", {"protocol"}};
static const LaresMetric locks = {"lares_locks",
                                  LARES_METRIC_GAUGE,
                                  FALSE,
                                  "Byte ranges that are locked: by the rules of POSIX (advisory for NFS), or mandatory "
                                  "as Windows has them.",
                                  {"protocol", "kind"}};
static const LaresMetric leases = {
    "lares_leases", LARES_METRIC_GAUGE, FALSE, "Leases and oplocks that are held.", {"protocol", "kind"}};
static const LaresMetric *const metrics[] = {&opens, &locks, &leases, NULL};

typedef struct {
    const char *protocol;
    guint opens, locks, ranges, leases, oplocks;
} Count;

typedef struct {
    Count row[PROTOCOLS];
    guint n;
} Counts;

static Count *
count_of(Counts *counts, const LaresOpen *open)
{
    const char *protocol = open->holder->protocol;
    guint i = 0;
    while (i < counts->n && counts->row[i].protocol != protocol && !g_str_equal(counts->row[i].protocol, protocol))
        i++;
    if (i == PROTOCOLS)
        return &counts->row[PROTOCOLS - 1];
    if (i == counts->n)
        counts->row[counts->n++].protocol = protocol;
    return &counts->row[i];
}

static void
count_file(LaresFileState *state, const LaresStateQuery *query, uint64_t listing, Each each, gpointer user)
{
    for (LaresOpen *o = state->opens; o; o = o->next) {
        Count *count = count_of(user, o);
        count->opens++;
        count->locks += o->n_locks;
        if (is_new(o->lease, listing))
            *(o->lease->oplock ? &count->oplocks : &count->leases) += 1;
    }
    for (guint i = 0; state->ranges && i < state->ranges->len; i++)
        count_of(user, g_array_index(state->ranges, LaresWinLock, i).open)->ranges++;
}

static void
collect(LaresSamples *samples, gpointer user)
{
    static const char *const known[] = {"nfs4", "smb2"};
    Counts counts = {.n = G_N_ELEMENTS(known)};
    for (guint i = 0; i < G_N_ELEMENTS(known); i++) /* told as 0, too */
        counts.row[i].protocol = known[i];
    around(count_file, NULL, NULL, &counts);
    for (guint i = 0; i < counts.n; i++) {
        const Count *c = &counts.row[i];
        lares_samples_add(samples, &opens, &c->protocol, c->opens);
        lares_samples_add(samples, &locks, (const char *[]){c->protocol, "posix"}, c->locks);
        lares_samples_add(samples, &locks, (const char *[]){c->protocol, "mandatory"}, c->ranges);
        lares_samples_add(samples, &leases, (const char *[]){c->protocol, "lease"}, c->leases);
        lares_samples_add(samples, &leases, (const char *[]){c->protocol, "oplock"}, c->oplocks);
    }
}

gboolean
lares_state_add_metrics(GError **error)
{
    return lares_metrics_collect(metrics, collect, NULL, error);
}
