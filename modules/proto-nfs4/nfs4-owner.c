/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Open owners and lock owners, and the sequence of requests that each makes in 4.0.
 *
 * A 4.0 owner's requests come one after the other; each carries the next number. The last answer is kept, so that a
 * retry gets it again instead of being run twice.
 *
 * Spec: RFC 7530 9.1.5 to 9.1.8
 * Locks: see nfs4-state-private.h. */
#include "nfs4-named.h"
#include "nfs4-state-private.h"

#include <string.h>

Nfs4Owner *
nfs4_owner_ref(Nfs4Owner *owner)
{
    g_atomic_int_inc(&owner->ref);
    return owner;
}

void
nfs4_owner_unref(Nfs4Owner *owner)
{
    if (!g_atomic_int_dec_and_test(&owner->ref))
        return;
    g_mutex_clear(&owner->busy);
    g_free(owner->last_body);
    g_free(owner->last_principal);
    g_free(owner->bytes);
    g_free(owner);
}

/* client->lock held. Out of the tables, if it is there. */
static void
forget(Nfs4Client *client, Nfs4Owner *owner)
{
    if (g_hash_table_lookup(client->closed, &owner->closed_key) == owner)
        g_hash_table_remove(client->closed, &owner->closed_key);
    if (g_hash_table_lookup(client->owners, owner) == owner)
        g_hash_table_remove(client->owners, owner);
}

/* client->lock held. Owners without grants that were not used since. */
static void
sweep(Nfs4Client *client, gint64 older_than)
{
    GHashTableIter iter;
    gpointer value;
    g_autoptr(GPtrArray) idle = g_ptr_array_new();
    g_hash_table_iter_init(&iter, client->owners);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        Nfs4Owner *owner = value;
        if (owner->grants.length == 0 && owner->last_used < older_than && g_atomic_int_get(&owner->ref) == 1)
            g_ptr_array_add(idle, owner);
    }
    for (guint i = 0; i < idle->len; i++)
        forget(client, idle->pdata[i]);
}

/* client->lock held. Is there room for one more owner? In 4.1 one without grants has nothing to be remembered for; in
 * 4.0 it has its sequence, for a lease. Looked through once a second at most. */
static gboolean
has_room(Nfs4Client *client)
{
    const Nfs4Settings *settings = &client->state->service->settings;
    gint64 now = nfs4_now();
    if (g_hash_table_size(client->owners) < settings->max_owners)
        return TRUE;
    if (client->swept != now) {
        client->swept = now;
        sweep(client, client->v40 ? now - settings->lease_time : now + 1);
    }
    return g_hash_table_size(client->owners) < settings->max_owners;
}

Nfs4Owner *
nfs4_owner_get(const Nfs4Compound *c, Nfs4Client *client, gboolean lock_owner, const uint8_t *bytes, size_t len,
               gboolean create)
{
    Nfs4Owner key = {.lock_owner = lock_owner, .bytes = (uint8_t *)bytes, .len = len};
    g_mutex_lock(&client->lock);
    Nfs4Owner *owner = g_hash_table_lookup(client->owners, &key);
    if (!owner && create && has_room(client)) {
        owner = g_new0(Nfs4Owner, 1);
        owner->ref = 1;
        owner->client = client;
        owner->lock_owner = lock_owner;
        owner->uid = c->caller.identity->uid;
        owner->bytes = g_memdup2(bytes, len);
        owner->len = len;
        g_mutex_init(&owner->busy);
        g_hash_table_replace(client->owners, owner, owner);
    }
    if (owner) {
        owner->last_used = nfs4_now();
        nfs4_owner_ref(owner);
    }
    g_mutex_unlock(&client->lock);
    return owner;
}

static uint32_t
replay(Nfs4Compound *c, Nfs4Owner *owner)
{
    if (owner->last_op != c->op || !owner->last_principal || strcmp(owner->last_principal, c->principal) != 0)
        return NFS4ERR_BAD_SEQID;
    if (c->op == OP_OPEN && owner->last_status == NFS4_OK) {
        uint32_t found = nfs4_put_handle(c, owner->last_handle, owner->last_handle_len);
        if (found != NFS4_OK)
            return found;
        c->current_unchecked = TRUE; /* it came without the checks of an OPEN: its share may not allow this flavor */
    }
    if (owner->last_len) {
        lares_put_bytes(c->out, owner->last_body, owner->last_len);
        c->keep_body = TRUE;
    }
    return owner->last_status;
}

/* owner->busy held. FALSE: another user's, who has something open. */
static gboolean
claim(const Nfs4Compound *c, Nfs4Owner *owner, uint32_t seqid)
{
    uint32_t uid = c->caller.identity->uid;
    gboolean is_mine = TRUE;
    if (__atomic_load_n(&owner->uid, __ATOMIC_RELAXED) != uid) {
        g_mutex_lock(&owner->client->lock);
        is_mine = owner->grants.length == 0;
        g_mutex_unlock(&owner->client->lock);
        if (is_mine) {
            __atomic_store_n(&owner->uid, uid, __ATOMIC_RELAXED);
            owner->used = owner->confirmed = FALSE;
        }
    } else if (owner->used && !owner->confirmed && seqid != owner->seqid) {
        /* Never confirmed and starting again: what it opened is void (RFC 7530 16.18.5). */
        nfs4_owner_drop_grants(owner);
        owner->used = FALSE;
    }
    return is_mine;
}

/* owner->busy held; kept if the result is NFS4_OK, else given up. */
static uint32_t
take_turn(Nfs4Compound *c, Nfs4Owner *owner, uint32_t seqid)
{
    uint32_t status = NFS4ERR_BAD_SEQID;
    switch (nfs4_step_seqid(owner->used, owner->seqid, seqid)) {
    case NFS4_SEQ_NEXT:
        return NFS4_OK;
    case NFS4_SEQ_REPLAY:
        status = replay(c, owner);
        /* The loop must not run on: an answer that was kept is final, also when it says NFS4_OK. */
        if (status == NFS4_OK)
            status = NFS4_OWNER_REPLAYED;
        break;
    default:
        break;
    }
    g_mutex_unlock(&owner->busy);
    return status;
}

uint32_t
nfs4_owner_begin(Nfs4Compound *c, Nfs4Owner *owner, uint32_t seqid)
{
    g_mutex_lock(&owner->busy);
    return take_turn(c, owner, seqid);
}

uint32_t
nfs4_owner_begin_open(Nfs4Compound *c, Nfs4Owner *owner, uint32_t seqid)
{
    g_mutex_lock(&owner->busy);
    if (claim(c, owner, seqid))
        return take_turn(c, owner, seqid);
    g_mutex_unlock(&owner->busy);
    return NFS4ERR_BAD_SEQID; /* clients take a new owner then */
}

/* RFC 7530 9.1.7: these leave the sequence where it is. */
static gboolean
moves_seqid(uint32_t status)
{
    switch (status) {
    case NFS4ERR_STALE_CLIENTID:
    case NFS4ERR_STALE_STATEID:
    case NFS4ERR_BAD_STATEID:
    case NFS4ERR_BAD_SEQID:
    case NFS4ERR_BADXDR:
    case NFS4ERR_RESOURCE:
    case NFS4ERR_NOFILEHANDLE:
    case NFS4ERR_MOVED:
        return FALSE;
    default:
        return TRUE;
    }
}

uint32_t
nfs4_owner_end(Nfs4Compound *c, Nfs4Owner *owner, uint32_t seqid, size_t body_at, uint32_t status)
{
    if (moves_seqid(status)) {
        owner->used = TRUE;
        owner->seqid = seqid;
        owner->last_op = c->op;
        if (!owner->last_principal || strcmp(owner->last_principal, c->principal) != 0) {
            g_free(owner->last_principal);
            owner->last_principal = g_strdup(c->principal);
        }
        owner->last_status = status;
        g_clear_pointer(&owner->last_body, g_free);
        owner->last_len = 0;
        if ((status == NFS4_OK || c->keep_body) && c->out->len > body_at) {
            owner->last_len = c->out->len - body_at;
            owner->last_body = g_memdup2(c->out->base + body_at, owner->last_len);
        }
        if (c->op == OP_OPEN && status == NFS4_OK)
            owner->last_handle_len = nfs4_current_handle(c, owner->last_handle);
    }
    g_mutex_unlock(&owner->busy);
    return status;
}

/* References to all grants of an owner. */
static GPtrArray *
grants_of(Nfs4Owner *owner)
{
    Nfs4Client *client = owner->client;
    GPtrArray *grants = g_ptr_array_new_with_free_func((GDestroyNotify)nfs4_grant_unref);
    g_mutex_lock(&client->lock);
    for (GList *l = owner->grants.head; l; l = l->next)
        g_ptr_array_add(grants, nfs4_grant_ref(l->data));
    g_mutex_unlock(&client->lock);
    return grants;
}

static void
drop_each(GPtrArray *grants)
{
    for (guint i = 0; i < grants->len; i++)
        nfs4_grant_drop(grants->pdata[i]);
}

void
nfs4_owner_drop_grants(Nfs4Owner *owner)
{
    g_autoptr(GPtrArray) grants = grants_of(owner);
    drop_each(grants);
}

void
nfs4_owner_sweep(Nfs4Client *client, gint64 older_than)
{
    g_mutex_lock(&client->lock);
    sweep(client, older_than);
    g_mutex_unlock(&client->lock);
}

void
nfs4_owner_closed(Nfs4Owner *owner, uint64_t key)
{
    Nfs4Client *client = owner->client;
    g_mutex_lock(&client->lock);
    if (g_hash_table_lookup(client->closed, &owner->closed_key) == owner)
        g_hash_table_remove(client->closed, &owner->closed_key);
    owner->closed_key = (gint64)key;
    if (g_hash_table_lookup(client->owners, owner) == owner)
        g_hash_table_insert(client->closed, &owner->closed_key, owner);
    g_mutex_unlock(&client->lock);
}

/* ---- Operations on a stateid with a seqid -------------------------------------------------------------------------
 */

/* 4.0: the owner's grant, whatever its stateid's seqid says: a retry comes with the old one. */
static uint32_t
run_in_sequence(Nfs4Compound *c, const Nfs4Stateid *stateid, uint32_t seqid, uint32_t kinds, Nfs4GrantFunc func)
{
    Nfs4Owner *owner;
    uint32_t status = nfs4_owner_of_stateid(c, stateid, kinds, &owner);
    if (status != NFS4_OK)
        return status;
    size_t body_at = c->out->len;
    status = nfs4_owner_begin(c, owner, seqid);
    if (status == NFS4_OK) {
        Nfs4Grant *grant;
        status = nfs4_grant_find(c, stateid, kinds, &grant);
        if (status == NFS4_OK) {
            if (lares_open_node(grant->open) != c->current.node)
                status = NFS4ERR_BAD_STATEID;
            else if (!owner->lock_owner && !owner->confirmed && c->op != OP_OPEN_CONFIRM)
                status = NFS4ERR_BAD_STATEID; /* RFC 7530 16.18.5: nothing before its confirmation */
            else
                status = func(c, grant);
            nfs4_grant_unref(grant);
        }
        status = nfs4_owner_end(c, owner, seqid, body_at, status);
    } else if (status == NFS4_OWNER_REPLAYED) {
        status = NFS4_OK;
    }
    nfs4_owner_unref(owner);
    return status;
}

uint32_t
nfs4_seqid_op(Nfs4Compound *c, const Nfs4Stateid *stateid, uint32_t seqid, uint32_t kinds, Nfs4GrantFunc func)
{
    if (c->minor == 0)
        return run_in_sequence(c, stateid, seqid, kinds, func);
    Nfs4Grant *grant;
    uint32_t status = nfs4_grant_find(c, stateid, kinds, &grant);
    if (status != NFS4_OK)
        return status;
    status = lares_open_node(grant->open) == c->current.node ? func(c, grant) : NFS4ERR_BAD_STATEID;
    nfs4_grant_unref(grant);
    return status;
}

static gboolean
holds_locks(GPtrArray *grants)
{
    for (guint i = 0; i < grants->len; i++) {
        Nfs4Grant *grant = grants->pdata[i];
        if (lares_lock_held(grant->open, grant->owner))
            return TRUE;
    }
    return FALSE;
}

uint32_t
nfs4_owner_release(Nfs4Owner *owner)
{
    g_autoptr(GPtrArray) grants = grants_of(owner);
    if (holds_locks(grants))
        return NFS4ERR_LOCKS_HELD;
    drop_each(grants);
    g_mutex_lock(&owner->client->lock);
    forget(owner->client, owner);
    g_mutex_unlock(&owner->client->lock);
    return NFS4_OK;
}
