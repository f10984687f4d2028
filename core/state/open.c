/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Share reservations: who has which file open for what, and what they deny to others (RFC 7530 9.9).
 *
 * Locks: see state-private.h. */
#include "state/file-state.h"

#define SHARDS 64

/* Padded so that two busy shards do not share a cache line. */
typedef struct {
    GMutex mutex;
    LaresFileState *states; /* of all files that somebody has open */
    char pad[64 - sizeof(GMutex) - sizeof(LaresFileState *)];
} Shard;
static Shard shards[SHARDS];

static Shard *
shard_of(const LaresNode *node)
{
    uintptr_t p = (uintptr_t)node;
    return &shards[((p >> 6) ^ (p >> 14)) % SHARDS];
}

void
lares_state_shard_lock(const LaresNode *node)
{
    g_mutex_lock(&shard_of(node)->mutex);
}

void
lares_state_shard_unlock(const LaresNode *node)
{
    g_mutex_unlock(&shard_of(node)->mutex);
}

guint
lares_state_shards(void)
{
    return SHARDS;
}

LaresFileState *
lares_state_shard_enter(guint shard)
{
    g_mutex_lock(&shards[shard].mutex);
    return shards[shard].states;
}

void
lares_state_shard_leave(guint shard)
{
    g_mutex_unlock(&shards[shard].mutex);
}

LaresOpen *
lares_open_ref(LaresOpen *open)
{
    g_atomic_int_inc(&open->ref);
    return open;
}

void
lares_open_unref(LaresOpen *open)
{
    if (!g_atomic_int_dec_and_test(&open->ref))
        return;
    lares_node_unref(open->node);
    lares_share_unref(open->share);
    lares_holder_unref(open->holder);
    if (open->lock_name)
        g_bytes_unref(open->lock_name);
    if (open->lease)
        lares_lease_unref(open->lease);
    g_free(open);
}

LaresNode *
lares_open_node(LaresOpen *open)
{
    return open->node;
}

LaresShare *
lares_open_share(LaresOpen *open)
{
    return open->share;
}

uint32_t
lares_open_access(LaresOpen *open)
{
    lares_state_shard_lock(open->node);
    uint32_t access = open->access;
    lares_state_shard_unlock(open->node);
    return access;
}

uint32_t
lares_open_deny(LaresOpen *open)
{
    lares_state_shard_lock(open->node);
    uint32_t deny = open->deny;
    lares_state_shard_unlock(open->node);
    return deny;
}

/* ---- Modes. The bits of access and deny are the same: 1 read, 2 write, 8 delete. Shard locked.
 * ----------------------------- */

static const guint mode_bits[] = {0, 1, 3};

static void
count_modes(LaresFileState *state, const LaresOpen *open, guint by)
{
    for (guint i = 0; i < G_N_ELEMENTS(mode_bits); i++) {
        state->n_access[i] += (open->access >> mode_bits[i] & 1) * by;
        state->n_deny[i] += (open->deny >> mode_bits[i] & 1) * by;
    }
}

/* An open that is in the list changes its modes. */
static void
set_modes(LaresOpen *open, uint32_t access, uint32_t deny)
{
    LaresFileState *state = lares_state_peek(open->node);
    count_modes(state, open, (guint)-1);
    open->access = access;
    open->deny = deny;
    count_modes(state, open, 1);
}

/* Is there an open other than `self` that conflicts? */
static gboolean
has_conflict(const LaresFileState *state, uint32_t access, uint32_t deny, const LaresOpen *self)
{
    for (guint i = 0; i < G_N_ELEMENTS(mode_bits); i++) {
        guint own_access = self ? self->access >> mode_bits[i] & 1 : 0,
              own_deny = self ? self->deny >> mode_bits[i] & 1 : 0;
        if ((deny >> mode_bits[i] & 1) && state->n_access[i] > own_access)
            return TRUE;
        if ((access >> mode_bits[i] & 1) && state->n_deny[i] > own_deny)
            return TRUE;
    }
    return FALSE;
}

/* An open of somebody that conflicts. */
static LaresOpen *
find_conflict(LaresFileState *state, uint32_t access, uint32_t deny, const LaresOpen *self)
{
    if (!state || !has_conflict(state, access, deny, self))
        return NULL;
    for (LaresOpen *o = state->opens; o; o = o->next) {
        if (o != self && ((o->access & deny) || (o->deny & access)))
            return o;
    }
    return NULL;
}

/* Who opens breaks what others cache; who is refused lets them close what they keep open without need, first. */
static gboolean
break_for_open(LaresFileState *state, const LaresOpenHow *how, const LaresLease *own, gboolean refused,
               GArray **notices)
{
    uint32_t lose = refused ? LARES_LEASE_HANDLE : LARES_LEASE_WRITE, wait_for = lose;
    LaresBreakOf of = LARES_BREAK_OTHERS;
    if (!state || !state->n_leases || how->keep_lease || (how->quiet && !how->looks && !how->overwrite))
        return FALSE;
    if (how->quiet && !how->overwrite)
        of = LARES_BREAK_OPLOCKS;
    if (how->overwrite && !refused)
        lose = LARES_LEASE_READ | LARES_LEASE_HANDLE | LARES_LEASE_WRITE;
    return lares_leases_break(state, own, lose, wait_for, of, notices);
}

/* A file that is to go takes no new opens. Who is gone for good without having closed it does not keep it from going:
 * LARES_DELAY then, for the name may be free now. */
static LaresStatus
check_delete_pending(LaresNode *node)
{
    gboolean expired = FALSE;
    for (;;) {
        LaresHolder *courteous = NULL;
        lares_state_shard_lock(node);
        LaresFileState *state = lares_state_peek(node);
        gboolean pending = state && state->unlink;
        for (LaresOpen *o = pending ? state->opens : NULL; o && !courteous; o = o->next) {
            if (!g_atomic_int_get(&o->holder->expired))
                courteous = lares_holder_if_courteous(o->holder);
        }
        lares_state_shard_unlock(node);
        if (!courteous)
            return expired ? LARES_DELAY : pending ? LARES_DELETE_PENDING : LARES_OK;
        lares_holder_expire(courteous);
        expired = TRUE;
    }
}

/* Locks the shard and makes sure nothing conflicts: courteous holders in the way are expired, leases broken. With
 * LARES_OK the shard stays locked. */
static LaresStatus
lock_without_conflict(LaresNode *node, LaresOpenHow *how, const LaresLease *own, const LaresOpen *self)
{
    for (;;) {
        GArray *notices = NULL;
        lares_state_shard_lock(node);
        LaresFileState *state = lares_state_peek(node);
        LaresOpen *other = find_conflict(state, how->access, how->deny, self);
        LaresHolder *courteous = other ? lares_holder_if_courteous(other->holder) : NULL;
        gboolean gone = courteous && g_atomic_int_get(&courteous->expired);
        if (!courteous)
            how->must_wait = break_for_open(state, how, own, other != NULL, &notices);
        how->seen = state ? state->seen : 0;
        if (!other && !how->must_wait && !notices)
            return LARES_OK;
        lares_state_shard_unlock(node);
        lares_leases_notify(notices);
        if (how->must_wait)
            return LARES_DELAY;
        if (other && !courteous)
            return LARES_SHARE_DENIED;
        if (courteous)
            lares_holder_expire(courteous);
        if (gone)
            return LARES_DELAY; /* somebody else is expiring it just now */
    }
}

static void
add_file(LaresOpen *open, LaresFile *file)
{
    if ((file->access & LARES_ACCESS_READ) && !open->reader)
        open->reader = lares_file_ref(file);
    if ((file->access & LARES_ACCESS_WRITE) && !open->writer)
        open->writer = lares_file_ref(file);
}

/* Opens that others' removing and writing must ask about: see lares_state_has_guards(). */
static gint n_guards;

gboolean
lares_state_has_guards(void)
{
    return g_atomic_int_get(&n_guards) != 0;
}

static gboolean
is_guard(const LaresOpen *open)
{
    return open->lease || (open->deny & LARES_DENY_DELETE);
}

void
lares_open_set_lease(LaresOpen *open, LaresLease *lease, uint32_t want)
{
    lares_state_shard_lock(open->node);
    if (!open->closed && !open->lease) {
        LaresFileState *state = lares_state_peek(open->node);
        g_atomic_int_add(&n_guards, !is_guard(open));
        open->lease = lares_lease_ref(lease);
        lease->opens++;
        state->n_leases++;
        lares_lease_grant(state, lease, want);
    }
    lares_state_shard_unlock(open->node);
}

static LaresFileState *
state_of_locked(LaresNode *node)
{
    LaresFileState *state = node->state;
    if (!state) {
        state = g_new0(LaresFileState, 1);
        state->seen = lares_state_stamp();
        state->node = node;
        state->next = shard_of(node)->states;
        if (state->next)
            state->next->prev = state;
        shard_of(node)->states = state;
        __atomic_store_n(&node->state, state, __ATOMIC_RELAXED);
    }
    return state;
}

/* The file's last open is closed. Shard locked. */
static void
drop_state(LaresFileState *state)
{
    if (state->prev)
        state->prev->next = state->next;
    else
        shard_of(state->node)->states = state->next;
    if (state->next)
        state->next->prev = state->prev;
    __atomic_store_n(&state->node->state, NULL, __ATOMIC_RELAXED);
    if (state->locks)
        g_array_unref(state->locks);
    if (state->ranges)
        g_array_unref(state->ranges);
    g_free(state);
}

LaresStatus
lares_state_open_how(LaresHolder *holder, LaresShare *share, LaresNode *node, LaresFile *file, LaresOpenHow *how,
                     LaresOpen **open)
{
    if (!how->access && !how->guard)
        how->deny = 0;
    if (!lares_holder_take_open(holder))
        return LARES_TOO_MANY;
    LaresStatus status = check_delete_pending(node);
    if (status == LARES_OK)
        status = lock_without_conflict(node, how, how->lease, NULL);
    LaresFileState *state = status == LARES_OK ? state_of_locked(node) : NULL;
    if (state && state->unlink) {
        lares_state_shard_unlock(node);
        status = LARES_DELETE_PENDING;
    }
    if (status != LARES_OK) {
        lares_holder_give_open(holder);
        return status;
    }
    LaresOpen *o = g_new0(LaresOpen, 1);
    o->ref = 2; /* the list's and the caller's */
    o->id = lares_state_stamp();
    o->holder = lares_holder_ref(holder);
    o->share = lares_share_ref(share);
    o->node = lares_node_ref(node);
    o->access = how->access;
    o->deny = how->deny;
    o->quiet = how->quiet;
    o->looks = how->looks;
    o->opener = LARES_OPENER_MIXED;
    if (file)
        add_file(o, file);
    if (how->lease) {
        o->lease = lares_lease_ref(how->lease);
        o->lease->opens++;
        state->n_leases++;
        if (!how->keep_lease)
            lares_lease_grant(state, o->lease, how->lease_want);
    }
    if (is_guard(o))
        g_atomic_int_inc(&n_guards);
    o->next = state->opens;
    if (o->next)
        o->next->prev = o;
    state->opens = o;
    count_modes(state, o, 1);
    lares_state_shard_unlock(node);
    *open = o;
    return LARES_OK;
}

LaresStatus
lares_state_open(LaresHolder *holder, LaresShare *share, LaresNode *node, LaresFile *file, uint32_t access,
                 uint32_t deny, LaresOpen **open)
{
    LaresOpenHow how = {.access = access, .deny = deny};
    return lares_state_open_how(holder, share, node, file, &how, open);
}

LaresStatus
lares_state_upgrade(LaresOpen *open, LaresFile *file, uint32_t access, uint32_t deny)
{
    LaresOpenHow how = {.access = access, .deny = deny};
    LaresStatus status = lock_without_conflict(open->node, &how, open->lease, open);
    if (status != LARES_OK)
        return status;
    if (file && !open->closed)
        add_file(open, file);
    /* Closed or narrowed since the caller looked which file is missing: ask again. */
    if (open->closed || ((access & LARES_ACCESS_READ) && !open->reader) ||
        ((access & LARES_ACCESS_WRITE) && !open->writer)) {
        status = LARES_STALE;
    } else {
        g_atomic_int_add(&n_guards, -is_guard(open));
        set_modes(open, open->access | access, open->deny | deny);
        g_atomic_int_add(&n_guards, is_guard(open));
    }
    lares_state_shard_unlock(open->node);
    return status;
}

void
lares_open_downgrade(LaresOpen *open, uint32_t access, uint32_t deny)
{
    LaresFile *drop[2] = {NULL, NULL};
    LaresWait *waits = NULL;
    lares_state_shard_lock(open->node);
    if (!open->closed) {
        g_atomic_int_add(&n_guards, -is_guard(open));
        set_modes(open, access, deny);
        g_atomic_int_add(&n_guards, is_guard(open));
        waits = lares_waits_take(lares_state_peek(open->node));
    }
    if (!(access & LARES_ACCESS_READ))
        drop[0] = g_steal_pointer(&open->reader);
    if (!(access & LARES_ACCESS_WRITE))
        drop[1] = g_steal_pointer(&open->writer);
    lares_state_shard_unlock(open->node);
    for (int i = 0; i < 2; i++) {
        if (drop[i])
            lares_file_unref(drop[i]);
    }
    lares_waits_wake(waits);
}

/* Takes the open out of the list, where it is until it is closed. Shard locked. */
static void
unlink_open(LaresFileState *state, LaresOpen *open)
{
    if (open->prev)
        open->prev->next = open->next;
    else
        state->opens = open->next;
    if (open->next)
        open->next->prev = open->prev;
    open->next = open->prev = NULL;
}

void
lares_open_close(LaresOpen *open)
{
    LaresFile *reader = NULL, *writer = NULL;
    gboolean was_listed = FALSE;
    LaresWait *waits = NULL;
    LaresUnlink *unlink = NULL;
    GSource *timer = NULL;
    lares_state_shard_lock(open->node);
    if (!open->closed) {
        LaresFileState *state = lares_state_peek(open->node);
        if (is_guard(open))
            g_atomic_int_add(&n_guards, -1);
        set_modes(open, 0, 0);
        open->closed = TRUE;
        reader = g_steal_pointer(&open->reader);
        writer = g_steal_pointer(&open->writer);
        lares_locks_drop_open(state, open);
        lares_ranges_drop_open(state, open);
        if (open->lease) {
            state->n_leases--;
            timer = lares_lease_let_go(open->lease);
        }
        waits = lares_waits_take(state);
        unlink_open(state, open);
        was_listed = TRUE;
        if (!state->opens) {
            unlink = state->unlink;
            drop_state(state);
        }
    }
    lares_state_shard_unlock(open->node);
    if (reader)
        lares_file_unref(reader);
    if (writer)
        lares_file_unref(writer);
    if (unlink)
        unlink->run(unlink);
    lares_waits_wake(waits);
    lares_lease_drop_timer(timer);
    if (was_listed && open->lease)
        lares_lease_dir_forget(open->lease);
    if (was_listed) {
        lares_holder_give_open(open->holder);
        lares_open_unref(open);
    }
}

void
lares_state_opened_by(LaresOpen *open, uint32_t uid)
{
    __atomic_store_n(&open->opener, (int64_t)uid, __ATOMIC_RELAXED);
}

void
lares_state_widened_by(LaresOpen *open, uint32_t uid)
{
    if (!lares_state_was_opened_by(open, uid))
        __atomic_store_n(&open->opener, LARES_OPENER_MIXED, __ATOMIC_RELAXED);
}

gboolean
lares_state_was_opened_by(const LaresOpen *open, uint32_t uid)
{
    return __atomic_load_n(&open->opener, __ATOMIC_RELAXED) == (int64_t)uid;
}

LaresFile *
lares_state_file(LaresOpen *open, uint32_t access)
{
    lares_state_shard_lock(open->node);
    LaresFile *file = (access & LARES_ACCESS_WRITE) ? open->writer : open->reader;
    if (file)
        lares_file_ref(file);
    lares_state_shard_unlock(open->node);
    return file;
}

LaresFile *
lares_state_any_file(LaresNode *node)
{
    LaresFile *file = NULL;
    lares_state_shard_lock(node);
    LaresFileState *state = lares_state_peek(node);
    for (LaresOpen *o = state ? state->opens : NULL; o && !file; o = o->next) {
        file = o->writer ? o->writer : o->reader;
        if (file)
            lares_file_ref(file);
    }
    lares_state_shard_unlock(node);
    return file;
}

LaresStatus
lares_state_open_allowed(LaresNode *node, uint32_t access, uint32_t deny, LaresOpen *self)
{
    LaresOpenHow how = {.access = access, .deny = deny, .quiet = TRUE};
    LaresStatus status = lock_without_conflict(node, &how, self ? self->lease : NULL, self);
    if (status == LARES_OK)
        lares_state_shard_unlock(node);
    return status;
}

LaresStatus
lares_state_io_allowed(LaresNode *node, uint32_t access, LaresOpen *self)
{
    if (!__atomic_load_n(&node->state, __ATOMIC_RELAXED)) /* nobody has it open: nobody denies */
        return LARES_OK;
    LaresStatus status = lares_state_open_allowed(node, access, LARES_DENY_NONE, self);
    return status == LARES_SHARE_DENIED ? LARES_LOCKED : status;
}
