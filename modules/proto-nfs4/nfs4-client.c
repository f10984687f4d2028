/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Client records: from EXCHANGE_ID or SETCLIENTID to their end.
 *
 * Spec: RFC 7530 9.1.1, RFC 8881 2.4
 * Locks: see nfs4-state-private.h. */
#include "nfs4-state-private.h"

#include <string.h>

Nfs4Client *
nfs4_client_ref(Nfs4Client *client)
{
    g_atomic_int_inc(&client->ref);
    return client;
}

void
nfs4_client_unref(Nfs4Client *client)
{
    if (!g_atomic_int_dec_and_test(&client->ref))
        return;
    g_hash_table_unref(client->owners);
    g_hash_table_unref(client->grants);
    g_hash_table_unref(client->closed);
    g_ptr_array_unref(client->sessions);
    g_mutex_clear(&client->lock);
    g_free(client->owner_id);
    g_free(client->principal);
    g_free(client->address);
    g_free(client->user);
    g_free(client->flavor);
    g_free(client);
}

/* ---- Tables --------------------------------------------------------------------------------------------------------
 */

static guint
hash_bytes(const uint8_t *bytes, size_t len)
{
    guint h = 2166136261u;
    for (size_t i = 0; i < len; i++)
        h = (h ^ bytes[i]) * 16777619u;
    return h;
}

static guint
client_owner_hash(gconstpointer key)
{
    const Nfs4Client *client = key;
    return hash_bytes(client->owner_id, client->owner_len) ^ (guint)client->v40;
}

/* Names of no bytes are allowed, and have no address. */
static gboolean
same_bytes(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
    return a_len == b_len && (a_len == 0 || memcmp(a, b, a_len) == 0);
}

static gboolean
client_owner_equal(gconstpointer a, gconstpointer b)
{
    const Nfs4Client *x = a, *y = b;
    return x->v40 == y->v40 && same_bytes(x->owner_id, x->owner_len, y->owner_id, y->owner_len);
}

static guint
owner_hash(gconstpointer key)
{
    const Nfs4Owner *owner = key;
    return hash_bytes(owner->bytes, owner->len) ^ (guint)owner->lock_owner;
}

static gboolean
owner_equal(gconstpointer a, gconstpointer b)
{
    const Nfs4Owner *x = a, *y = b;
    return x->lock_owner == y->lock_owner && same_bytes(x->bytes, x->len, y->bytes, y->len);
}

static guint
grant_hash(gconstpointer key)
{
    const Nfs4Grant *grant = key;
    uintptr_t h = ((uintptr_t)grant->owner >> 4) * 31 + ((uintptr_t)grant->subject >> 4);
    return (guint)(h ^ (h >> 32));
}

static gboolean
grant_equal(gconstpointer a, gconstpointer b)
{
    const Nfs4Grant *x = a, *y = b;
    return x->owner == y->owner && x->subject == y->subject;
}

void
nfs4_client_tables_init(Nfs4State *state)
{
    state->by_id = g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify)nfs4_client_unref);
    state->confirmed = g_hash_table_new(client_owner_hash, client_owner_equal);
    state->unconfirmed = g_hash_table_new(client_owner_hash, client_owner_equal);
}

/* ---- Life ----------------------------------------------------------------------------------------------------------
 */

/* A conflict met this client's expired lease (state.h: courtesy). */
static void
expire_for_conflict(gpointer user)
{
    Nfs4Client *client = user;
    nfs4_client_give_way(client);
    if (g_atomic_int_get(&client->dead))
        lares_info("nfs4", "client %s: lease ran out and another client wants what it holds; its state is dropped",
                   client->address);
}

static void
remove_unconfirmed(Nfs4State *state, Nfs4Client *client)
{
    if (g_hash_table_lookup(state->unconfirmed, client) == client)
        g_hash_table_remove(state->unconfirmed, client);
    if (client->link.data) {
        g_queue_unlink(&state->oldest, &client->link);
        client->link.data = NULL;
    }
}

/* Introductions cost nothing to those who send them: the oldest that was never confirmed gives way. */
static gboolean
make_room(Nfs4State *state)
{
    Nfs4Client *victim = NULL;
    g_mutex_lock(&state->lock);
    gboolean full = g_hash_table_size(state->by_id) >= state->service->settings.max_clients;
    if (full && (victim = g_queue_peek_head(&state->oldest)))
        nfs4_client_ref(victim);
    g_mutex_unlock(&state->lock);
    if (victim) {
        nfs4_client_destroy(victim, FALSE);
        nfs4_client_unref(victim);
    }
    if (full && !victim)
        lares_log_limited(LARES_LOG_WARNING, "nfs4", "there are %u clients (max-clients): no more are taken",
                          state->service->settings.max_clients);
    return !full || victim;
}

uint32_t
nfs4_client_full(const Nfs4Compound *c, const Nfs4Client *client, const char *setting)
{
    lares_log_limited(LARES_LOG_WARNING, "nfs4", "client %s has as much as it may have (%s): no more is given",
                      client->address, setting);
    return nfs4_status(c, LARES_TOO_MANY);
}

Nfs4Client *
nfs4_client_new(Nfs4Compound *c, const Nfs4Introduction *who)
{
    Nfs4State *state = c->service->state;
    if (!make_room(state))
        return NULL;
    Nfs4Client *client = g_new0(Nfs4Client, 1);
    client->ref = 1;
    client->state = state;
    client->v40 = who->v40;
    memcpy(client->verifier, who->verifier, NFS4_VERIFIER_SIZE);
    client->owner_id = g_memdup2(who->owner, who->owner_len);
    client->owner_len = who->owner_len;
    client->mach_cred = who->mach_cred;
    client->must_enforce = who->must_enforce;
    client->principal = g_strdup(c->principal);
    client->address = g_strdup(c->caller.peer->address);
    client->user = g_strdup(c->caller.identity->name);
    client->uid = c->caller.identity->uid;
    client->flavor = g_strdup(c->caller.flavor->name);
    client->since = g_get_real_time() / G_USEC_PER_SEC;
    client->renewed = nfs4_now();
    client->owners = g_hash_table_new_full(owner_hash, owner_equal, NULL, (GDestroyNotify)nfs4_owner_unref);
    client->grants = g_hash_table_new_full(grant_hash, grant_equal, NULL, (GDestroyNotify)nfs4_grant_unref);
    client->closed = g_hash_table_new(g_int64_hash, g_int64_equal);
    client->sessions = g_ptr_array_new_with_free_func((GDestroyNotify)nfs4_session_unref);
    g_mutex_init(&client->lock);
    client->holder =
        lares_holder_new("nfs4", expire_for_conflict, nfs4_client_ref(client), (GDestroyNotify)nfs4_client_unref);
    lares_holder_set_limits(client->holder, state->service->settings.max_opens, state->service->settings.max_locks);

    g_mutex_lock(&state->lock);
    do
        client->id = nfs4_number_hide(state->id_key, state->next_client++);
    while (client->id == 0 || g_hash_table_contains(state->by_id, GUINT_TO_POINTER(client->id)));
    g_autofree char *session = g_strdup_printf("nfs4-%u", client->id);
    lares_holder_set_origin(client->holder, session, client->address);
    uint64_t confirm = nfs4_random();
    memcpy(client->confirm, &confirm, sizeof confirm);
    memcpy(client->confirm_next, &confirm, sizeof confirm);
    g_hash_table_insert(state->by_id, GUINT_TO_POINTER(client->id), nfs4_client_ref(client));
    Nfs4Client *replaced = g_hash_table_lookup(state->unconfirmed, client);
    if (replaced)
        nfs4_client_ref(replaced);
    g_hash_table_replace(state->unconfirmed, client, client);
    client->link.data = client;
    g_queue_push_tail_link(&state->oldest, &client->link);
    g_mutex_unlock(&state->lock);
    if (replaced) {
        nfs4_client_destroy(replaced, FALSE);
        nfs4_client_unref(replaced);
    }
    return client;
}

uint32_t
nfs4_client_by_id(Nfs4State *state, uint64_t clientid, Nfs4Client **client)
{
    *client = NULL;
    if ((uint32_t)(clientid >> 32) != state->boot)
        return NFS4ERR_STALE_CLIENTID;
    g_mutex_lock(&state->lock);
    Nfs4Client *found = g_hash_table_lookup(state->by_id, GUINT_TO_POINTER((uint32_t)clientid));
    if (found)
        *client = nfs4_client_ref(found);
    g_mutex_unlock(&state->lock);
    return found ? NFS4_OK : NFS4ERR_STALE_CLIENTID;
}

void
nfs4_client_find(Nfs4State *state, gboolean v40, const uint8_t *owner, size_t len, Nfs4Client **confirmed,
                 Nfs4Client **unconfirmed)
{
    Nfs4Client key = {.v40 = v40, .owner_id = (uint8_t *)owner, .owner_len = len};
    g_mutex_lock(&state->lock);
    *confirmed = g_hash_table_lookup(state->confirmed, &key);
    *unconfirmed = g_hash_table_lookup(state->unconfirmed, &key);
    if (*confirmed)
        nfs4_client_ref(*confirmed);
    if (*unconfirmed)
        nfs4_client_ref(*unconfirmed);
    g_mutex_unlock(&state->lock);
}

void
nfs4_client_confirm(Nfs4Client *client)
{
    Nfs4State *state = client->state;
    Nfs4Client *old = NULL;
    g_mutex_lock(&state->lock);
    if (!g_atomic_int_get(&client->confirmed) && !g_atomic_int_get(&client->dead)) {
        remove_unconfirmed(state, client);
        old = g_hash_table_lookup(state->confirmed, client);
        if (old) {
            nfs4_client_ref(old);
            g_hash_table_remove(state->confirmed, old);
        }
        g_hash_table_replace(state->confirmed, client, client);
        g_atomic_int_set(&client->confirmed, TRUE);
    }
    g_mutex_unlock(&state->lock);
    if (old) {
        /* The same owner keeps its right to reclaim in the grace period. After it, a record on disk would only make
         * the next grace period wait for a client that has nothing to take back. */
        nfs4_client_destroy(old, !nfs4_recovery_in_grace(state->recovery));
        nfs4_client_unref(old);
    }
}

static void
close_grant(gpointer data, gpointer user)
{
    Nfs4Grant *grant = data;
    if (grant->kind == NFS4_GRANT_OPEN)
        lares_open_close(grant->open);
}

/* Empties the client's tables; what was in them is given back without the lock. */
static void
drop_all(Nfs4Client *client)
{
    g_autoptr(GPtrArray) grants = g_ptr_array_new_with_free_func((GDestroyNotify)nfs4_grant_unref);
    GHashTableIter iter;
    gpointer value;
    g_mutex_lock(&client->lock);
    g_hash_table_iter_init(&iter, client->grants);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        Nfs4Grant *grant = value;
        grant->gone = TRUE;
        nfs4_grant_unlink(grant);
        nfs4_stateid_forget(client->state, grant);
        g_ptr_array_add(grants, nfs4_grant_ref(grant));
    }
    g_hash_table_remove_all(client->grants);
    g_hash_table_remove_all(client->closed);
    GPtrArray *sessions = client->sessions;
    client->sessions = g_ptr_array_new_with_free_func((GDestroyNotify)nfs4_session_unref);
    GHashTable *owners = client->owners;
    client->owners = g_hash_table_new_full(owner_hash, owner_equal, NULL, (GDestroyNotify)nfs4_owner_unref);
    LaresHolder *holder = g_steal_pointer(&client->holder);
    g_mutex_unlock(&client->lock);

    g_ptr_array_foreach(grants, close_grant, NULL);
    for (guint i = 0; i < sessions->len; i++)
        nfs4_session_destroy(sessions->pdata[i]);
    g_ptr_array_unref(sessions);
    g_hash_table_unref(owners);
    if (holder)
        lares_holder_unref(holder);
}

void
nfs4_client_destroy(Nfs4Client *client, gboolean forget)
{
    Nfs4State *state = client->state;
    if (!g_atomic_int_compare_and_exchange(&client->dead, FALSE, TRUE))
        return;
    nfs4_client_ref(client);
    /* First the row: what is free for others may not be reclaimed after a crash (RFC 8881 8.4.2.1). */
    nfs4_recovery_forget(state->recovery, client, forget);
    drop_all(client);
    g_mutex_lock(&state->lock);
    remove_unconfirmed(state, client);
    if (g_hash_table_lookup(state->confirmed, client) == client)
        g_hash_table_remove(state->confirmed, client);
    g_hash_table_remove(state->by_id, GUINT_TO_POINTER(client->id));
    g_mutex_unlock(&state->lock);
    nfs4_client_unref(client);
}

void
nfs4_client_give_way(Nfs4Client *client)
{
    /* Who is told to reclaim after a crash what others were given meanwhile spoils their files (RFC 8881 8.4.2.1): as
     * long as the row cannot be deleted the others wait. */
    gboolean may = nfs4_recovery_forget(client->state->recovery, client, TRUE);
    g_atomic_int_set(&client->wanted, !may);
    if (may)
        nfs4_client_destroy(client, TRUE);
}

gboolean
nfs4_client_is_spoken_for(const Nfs4Compound *c, Nfs4Client *client)
{
    uint32_t uid = c->caller.identity->uid;
    GHashTableIter iter;
    gpointer value;
    if (strcmp(c->principal, client->principal) == 0 || uid == client->uid)
        return TRUE;
    gboolean has_owner = FALSE;
    g_mutex_lock(&client->lock);
    g_hash_table_iter_init(&iter, client->owners);
    while (!has_owner && g_hash_table_iter_next(&iter, NULL, &value))
        has_owner = __atomic_load_n(&((Nfs4Owner *)value)->uid, __ATOMIC_RELAXED) == uid;
    g_mutex_unlock(&client->lock);
    return has_owner;
}

/* ---- Lease ---------------------------------------------------------------------------------------------------------
 */

void
nfs4_client_renew(Nfs4Client *client)
{
    gint64 now = nfs4_now();
    if (__atomic_load_n(&client->renewed, __ATOMIC_RELAXED) != now)
        __atomic_store_n(&client->renewed, now, __ATOMIC_SEQ_CST); /* before the look at the flag: judge_lease */
    if (G_UNLIKELY(g_atomic_int_get(&client->courteous))) {
        g_mutex_lock(&client->lock);
        g_atomic_int_set(&client->courteous, FALSE);
        if (client->holder)
            lares_holder_set_courteous(client->holder, FALSE);
        g_mutex_unlock(&client->lock);
    }
}

gboolean
nfs4_client_has_state(Nfs4Client *client)
{
    g_mutex_lock(&client->lock);
    gboolean has = g_hash_table_size(client->grants) > 0;
    g_mutex_unlock(&client->lock);
    return has;
}

gboolean
nfs4_client_is_active(Nfs4Client *client)
{
    gint64 idle = nfs4_now() - __atomic_load_n(&client->renewed, __ATOMIC_RELAXED);
    return idle <= client->state->service->settings.lease_time && nfs4_client_has_state(client);
}

void
nfs4_client_record(Nfs4Client *client)
{
    if (!g_atomic_int_get(&client->recorded))
        nfs4_recovery_record(client->state->recovery, client);
}

uint32_t
nfs4_client_check_cred(const Nfs4Compound *c, const Nfs4Client *client)
{
    if (!client->mach_cred || c->op >= 64 || !(client->must_enforce & UINT64_C(1) << c->op))
        return NFS4_OK;
    if (c->caller.flavor->protection < LARES_PROTECT_INTEGRITY || strcmp(c->principal, client->principal) != 0)
        return NFS4ERR_WRONG_CRED;
    return NFS4_OK;
}

void
nfs4_client_foreach(Nfs4State *state, void (*func)(Nfs4Client *client, gpointer user), gpointer user)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func((GDestroyNotify)nfs4_client_unref);
    GHashTableIter iter;
    gpointer value;
    g_mutex_lock(&state->lock);
    g_hash_table_iter_init(&iter, state->by_id);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        g_ptr_array_add(all, nfs4_client_ref(value));
    g_mutex_unlock(&state->lock);
    for (guint i = 0; i < all->len; i++)
        func(all->pdata[i], user);
}
