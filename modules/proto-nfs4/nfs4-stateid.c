/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Stateids and what they stand for.
 *
 * `other` is the process's boot number, the client's number and the grant's number, 32 bits each: so a stateid of an
 * earlier process, of a client that is gone and one that was never given can be told apart. The grant's number is
 * random: a stranger who closed or locked with it would have to guess it.
 *
 * Spec: RFC 7530 9.1.4, RFC 8881 8.2
 * Locks: see nfs4-state-private.h. */
#include "nfs4-state-private.h"

#include <string.h>

Nfs4Client *
nfs4_compound_client(const Nfs4Compound *c)
{
    return c->session ? c->session->client : NULL;
}

Nfs4Grant *
nfs4_grant_ref(Nfs4Grant *grant)
{
    g_atomic_int_inc(&grant->ref);
    return grant;
}

void
nfs4_grant_unref(Nfs4Grant *grant)
{
    if (!g_atomic_int_dec_and_test(&grant->ref))
        return;
    lares_open_unref(grant->open);
    if (grant->of)
        lares_file_unref(grant->of);
    if (grant->parent)
        nfs4_grant_unref(grant->parent);
    nfs4_owner_unref(grant->owner);
    nfs4_client_unref(grant->client);
    g_free(grant);
}

/* ---- Bytes ---------------------------------------------------------------------------------------------------------
 */

static void
pack_other(uint8_t other[NFS4_OTHER_SIZE], uint32_t boot, uint64_t key)
{
    boot = GUINT32_TO_BE(boot);
    key = GUINT64_TO_BE(key);
    memcpy(other, &boot, 4);
    memcpy(other + 4, &key, 8);
}

static void
unpack_other(const uint8_t other[NFS4_OTHER_SIZE], uint32_t *boot, uint64_t *key)
{
    memcpy(boot, other, 4);
    memcpy(key, other + 4, 8);
    *boot = GUINT32_FROM_BE(*boot);
    *key = GUINT64_FROM_BE(*key);
}

static gboolean
other_is(const Nfs4Stateid *stateid, uint8_t byte)
{
    for (int i = 0; i < NFS4_OTHER_SIZE; i++) {
        if (stateid->other[i] != byte)
            return FALSE;
    }
    return TRUE;
}

gboolean
nfs4_stateid_is_special(const Nfs4Stateid *stateid)
{
    return other_is(stateid, 0) || other_is(stateid, 0xff);
}

static Nfs4Stateid
stateid_locked(const Nfs4Grant *grant)
{
    Nfs4Stateid stateid = {.seqid = grant->seqid};
    pack_other(stateid.other, grant->client->state->boot, grant->key);
    return stateid;
}

Nfs4Stateid
nfs4_grant_stateid(Nfs4Grant *grant)
{
    g_mutex_lock(&grant->client->lock);
    Nfs4Stateid stateid = stateid_locked(grant);
    g_mutex_unlock(&grant->client->lock);
    return stateid;
}

Nfs4Stateid
nfs4_grant_bump(Nfs4Grant *grant)
{
    g_mutex_lock(&grant->client->lock);
    if (++grant->seqid == 0)
        grant->seqid = 1;
    Nfs4Stateid stateid = stateid_locked(grant);
    g_mutex_unlock(&grant->client->lock);
    return stateid;
}

/* ---- Tables --------------------------------------------------------------------------------------------------------
 */

static guint
shard_of(uint64_t key)
{
    return (guint)((key ^ key >> 32) % NFS4_GRANT_SHARDS);
}

static Nfs4Grant *
table_find(Nfs4State *state, uint64_t key)
{
    guint i = shard_of(key);
    g_mutex_lock(&state->shard[i].lock);
    Nfs4Grant *grant = g_hash_table_lookup(state->shard[i].grants, &key);
    if (grant)
        nfs4_grant_ref(grant);
    g_mutex_unlock(&state->shard[i].lock);
    return grant;
}

/* Puts the grant into the table under a new number. FALSE: that one is taken. */
static gboolean
give_key(Nfs4State *state, Nfs4Grant *grant)
{
    grant->key = (uint64_t)grant->client->id << 32 | (uint32_t)nfs4_random();
    guint i = shard_of(grant->key);
    g_mutex_lock(&state->shard[i].lock);
    gboolean is_new = !g_hash_table_contains(state->shard[i].grants, &grant->key);
    if (is_new)
        g_hash_table_insert(state->shard[i].grants, &grant->key, nfs4_grant_ref(grant));
    g_mutex_unlock(&state->shard[i].lock);
    return is_new;
}

Nfs4Grant *
nfs4_grant_add(Nfs4Owner *owner, Nfs4GrantKind kind, LaresOpen *open, Nfs4Grant *parent)
{
    Nfs4Client *client = owner->client;
    Nfs4State *state = client->state;
    Nfs4Grant *grant = g_new0(Nfs4Grant, 1);
    grant->ref = 2; /* the client's table and the caller */
    grant->kind = kind;
    grant->client = nfs4_client_ref(client);
    grant->owner = nfs4_owner_ref(owner);
    grant->open = lares_open_ref(open);
    grant->parent = parent ? nfs4_grant_ref(parent) : NULL;
    grant->subject = parent ? (gconstpointer)parent : (gconstpointer)lares_open_node(open);
    grant->seqid = 1;
    grant->owner_link.data = grant->parent_link.data = grant;
    g_queue_push_tail_link(&owner->grants, &grant->owner_link);
    if (parent)
        g_queue_push_tail_link(&parent->children, &grant->parent_link);
    g_hash_table_replace(client->grants, grant, grant);
    while (!give_key(state, grant))
        ;
    return grant;
}

Nfs4Grant *
nfs4_grant_of(Nfs4Owner *owner, gconstpointer subject)
{
    Nfs4Grant key = {.owner = owner, .subject = subject};
    Nfs4Grant *grant = g_hash_table_lookup(owner->client->grants, &key);
    return grant ? nfs4_grant_ref(grant) : NULL;
}

void
nfs4_grant_unlink(Nfs4Grant *grant)
{
    g_queue_unlink(&grant->owner->grants, &grant->owner_link);
    if (grant->parent)
        g_queue_unlink(&grant->parent->children, &grant->parent_link);
}

/* Out of both tables; the caller holds a reference of its own and client->lock. */
static void
take_out(Nfs4Grant *grant)
{
    Nfs4State *state = grant->client->state;
    if (grant->gone)
        return;
    grant->gone = TRUE;
    nfs4_grant_unlink(grant);
    grant->owner->last_used = nfs4_now();
    nfs4_stateid_forget(state, grant);
    g_hash_table_remove(grant->client->grants, grant);
}

void
nfs4_stateid_forget(Nfs4State *state, Nfs4Grant *grant)
{
    guint i = shard_of(grant->key);
    g_mutex_lock(&state->shard[i].lock);
    gboolean there = g_hash_table_remove(state->shard[i].grants, &grant->key);
    g_mutex_unlock(&state->shard[i].lock);
    if (there)
        nfs4_grant_unref(grant);
}

/* The lock grants that hang on an open grant; client->lock held. */
static GPtrArray *
children_of(Nfs4Grant *open_grant)
{
    GPtrArray *children = g_ptr_array_new_with_free_func((GDestroyNotify)nfs4_grant_unref);
    for (GList *l = open_grant->children.head; l; l = l->next)
        g_ptr_array_add(children, nfs4_grant_ref(l->data));
    return children;
}

void
nfs4_grant_drop(Nfs4Grant *grant)
{
    Nfs4Client *client = grant->client;
    g_autoptr(GPtrArray) children = NULL;
    g_mutex_lock(&client->lock);
    if (grant->children.length) {
        children = children_of(grant);
        for (guint i = 0; i < children->len; i++)
            take_out(children->pdata[i]);
    }
    take_out(grant);
    g_mutex_unlock(&client->lock);
    if (grant->kind == NFS4_GRANT_OPEN)
        lares_open_close(grant->open);
    else
        lares_lock_drop_owner(grant->open, grant->owner);
}

LaresLockOwner
nfs4_owner_for_lock(const Nfs4Owner *owner)
{
    return (LaresLockOwner){
        .key = owner, .name = owner->bytes, .name_len = owner->len, .client = nfs4_client_id(owner->client)};
}

/* ---- Judging -------------------------------------------------------------------------------------------------------
 */

/* RFC 8881 8.2.4, RFC 7530 9.1.4.4: compares modulo 2^32 and without the reserved 0. */
static uint32_t
judge_seqid(const Nfs4Compound *c, uint32_t have, uint32_t got)
{
    if (got == have || (c->minor > 0 && got == 0))
        return NFS4_OK;
    return (int32_t)(got - have) > 0 ? NFS4ERR_BAD_STATEID : NFS4ERR_OLD_STATEID;
}

/* Why is there nothing in the table? */
static uint32_t
judge_missing(Nfs4Compound *c, uint64_t key)
{
    Nfs4State *state = c->service->state;
    if (c->minor > 0)
        return NFS4ERR_BAD_STATEID;
    uint32_t number = (uint32_t)(key >> 32);
    g_mutex_lock(&state->lock);
    gboolean there = g_hash_table_contains(state->by_id, GUINT_TO_POINTER(number));
    gboolean was_given = nfs4_number_show(state->id_key, number) < state->next_client;
    g_mutex_unlock(&state->lock);
    return there || !was_given ? NFS4ERR_BAD_STATEID : NFS4ERR_EXPIRED;
}

static uint32_t
find(Nfs4Compound *c, const Nfs4Stateid *stateid, uint32_t kinds, Nfs4Grant **out)
{
    Nfs4State *state = c->service->state;
    uint32_t boot;
    uint64_t key;
    *out = NULL;
    if (nfs4_stateid_is_special(stateid))
        return NFS4ERR_BAD_STATEID;
    unpack_other(stateid->other, &boot, &key);
    if (boot != state->boot)
        return c->minor > 0 ? NFS4ERR_BAD_STATEID : NFS4ERR_STALE_STATEID;
    Nfs4Grant *grant = table_find(state, key);
    if (!grant)
        return judge_missing(c, key);
    Nfs4Client *mine = nfs4_compound_client(c);
    uint32_t status = NFS4_OK;
    g_mutex_lock(&grant->client->lock);
    if (grant->gone || !(grant->kind & kinds) || (mine && mine != grant->client) ||
        grant->client->v40 != (c->minor == 0))
        status = NFS4ERR_BAD_STATEID;
    else
        status = judge_seqid(c, grant->seqid, stateid->seqid);
    g_mutex_unlock(&grant->client->lock);
    if (status != NFS4_OK) {
        nfs4_grant_unref(grant);
        return status;
    }
    if (c->minor == 0)
        nfs4_client_renew(grant->client);
    *out = grant;
    return NFS4_OK;
}

/* The current stateid (RFC 8881 16.2.3.1.2) is { 1, 0 … } on the wire. */
static gboolean
is_current_marker(const Nfs4Compound *c, const Nfs4Stateid *stateid)
{
    return c->minor > 0 && stateid->seqid == 1 && other_is(stateid, 0);
}

uint32_t
nfs4_grant_find(Nfs4Compound *c, const Nfs4Stateid *stateid, uint32_t kinds, Nfs4Grant **grant)
{
    return find(c, is_current_marker(c, stateid) ? &c->current_stateid : stateid, kinds, grant);
}

uint32_t
nfs4_grant_test(Nfs4Compound *c, const Nfs4Stateid *stateid)
{
    Nfs4Grant *grant;
    uint32_t status = find(c, stateid, NFS4_GRANT_OPEN | NFS4_GRANT_LOCK, &grant);
    if (grant)
        nfs4_grant_unref(grant);
    return status;
}

/* An owner whose last CLOSE ended the grant; a reference or NULL. */
static Nfs4Owner *
owner_that_closed(Nfs4State *state, uint64_t key)
{
    Nfs4Client *client;
    gint64 closed_key = (gint64)key;
    if (nfs4_client_by_id(state, (uint64_t)state->boot << 32 | key >> 32, &client) != NFS4_OK)
        return NULL;
    g_mutex_lock(&client->lock);
    Nfs4Owner *owner = g_hash_table_lookup(client->closed, &closed_key);
    if (owner)
        nfs4_owner_ref(owner);
    g_mutex_unlock(&client->lock);
    nfs4_client_unref(client);
    return owner;
}

uint32_t
nfs4_owner_of_stateid(Nfs4Compound *c, const Nfs4Stateid *stateid, uint32_t kinds, Nfs4Owner **owner)
{
    Nfs4State *state = c->service->state;
    uint32_t boot;
    uint64_t key;
    *owner = NULL;
    if (nfs4_stateid_is_special(stateid))
        return NFS4ERR_BAD_STATEID;
    unpack_other(stateid->other, &boot, &key);
    if (boot != state->boot)
        return NFS4ERR_STALE_STATEID;
    Nfs4Grant *grant = table_find(state, key);
    if (grant) {
        if ((grant->kind & kinds) && grant->client->v40)
            *owner = nfs4_owner_ref(grant->owner);
        nfs4_grant_unref(grant);
    } else {
        *owner = owner_that_closed(state, key);
    }
    return *owner ? NFS4_OK : judge_missing(c, key);
}

/* I/O without an open: nothing to keep in step with, except the grace period for writers (RFC 7530 9.1.4.3). */
static uint32_t
special_io(Nfs4Compound *c, const Nfs4Stateid *stateid, uint32_t access)
{
    gboolean anonymous = stateid->seqid == 0 && other_is(stateid, 0);
    gboolean bypass = stateid->seqid == UINT32_MAX && other_is(stateid, 0xff);
    return anonymous || bypass ? NFS4_OK : NFS4ERR_BAD_STATEID;
}

uint32_t
nfs4_state_io(Nfs4Compound *c, const LaresObject *object, const Nfs4Stateid *stateid, uint32_t access, LaresOpen **open)
{
    Nfs4Grant *grant;
    *open = NULL;
    if (is_current_marker(c, stateid)) {
        if (!c->gave_stateid)
            return NFS4ERR_BAD_STATEID;
        stateid = &c->current_stateid;
    }
    if (nfs4_stateid_is_special(stateid))
        return special_io(c, stateid, access);
    uint32_t status = find(c, stateid, NFS4_GRANT_OPEN | NFS4_GRANT_LOCK, &grant);
    if (status != NFS4_OK)
        return status;
    if (lares_open_node(grant->open) != object->node)
        status = NFS4ERR_BAD_STATEID;
    else if (access && (lares_open_access(grant->open) & access) != access)
        status = NFS4ERR_OPENMODE;
    else
        *open = lares_open_ref(grant->open);
    nfs4_grant_unref(grant);
    return status;
}
