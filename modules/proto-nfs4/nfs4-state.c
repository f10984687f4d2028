/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The state engine as a whole: its life, the lease timer, and what management sees.
 *
 * Thread: the timer runs in the main thread; all else as nfs4-state.h says. */
#include "nfs4-state-private.h"

#include <string.h>
#include <unistd.h>

uint64_t
nfs4_random(void)
{
    static _Thread_local uint64_t ahead[32]; /* every OPEN needs one: a system call for many */
    static _Thread_local guint left;
    if (left == 0) {
        while (getrandom(ahead, sizeof ahead, 0) != (ssize_t)sizeof ahead)
            if (errno != EINTR)
                g_error("getrandom failed");
        left = G_N_ELEMENTS(ahead);
    }
    uint64_t number = ahead[--left];
    ahead[left] = 0; /* given out, it is nowhere else */
    return number;
}

/* ---- Lease ---------------------------------------------------------------------------------------------------------
 */

static void
judge_lease(Nfs4Client *client, gpointer user)
{
    Nfs4State *state = user;
    gint64 now = nfs4_now();
    gint64 idle = now - __atomic_load_n(&client->renewed, __ATOMIC_RELAXED);
    gint64 lease = state->service->settings.lease_time;
    nfs4_owner_sweep(client, now - lease);
    if (idle <= lease + 1)
        return;
    if (g_atomic_int_get(&client->wanted)) {
        nfs4_client_give_way(client);
        return;
    }
    if (!g_atomic_int_get(&client->confirmed) || !nfs4_client_has_state(client) ||
        idle > lease + NFS4_COURTESY_SECONDS || lares_opens_are_scarce()) {
        nfs4_client_give_way(client);
        return;
    }
    g_mutex_lock(&client->lock);
    if (!g_atomic_int_get(&client->courteous) && client->holder) {
        g_atomic_int_set(&client->courteous, TRUE);
        /* A renewal that did not see the flag yet has left its time behind, which is then seen here. */
        gboolean expired = __atomic_load_n(&client->renewed, __ATOMIC_SEQ_CST) + lease < now;
        g_atomic_int_set(&client->courteous, expired);
        lares_holder_set_courteous(client->holder, expired);
    }
    g_mutex_unlock(&client->lock);
}

static gboolean
tick(gpointer user)
{
    Nfs4State *state = user;
    nfs4_recovery_retry(state->recovery);
    nfs4_client_foreach(state, judge_lease, state);
    if (nfs4_recovery_is_due(state->recovery))
        nfs4_recovery_end(state->recovery);
    return G_SOURCE_CONTINUE;
}

/* ---- Life ----------------------------------------------------------------------------------------------------------
 */

Nfs4State *
nfs4_state_new(Nfs4Service *service, GError **error)
{
    Nfs4State *state = g_new0(Nfs4State, 1);
    state->service = service;
    uint64_t boot = lares_host_boot_id(service->host);
    state->boot = (uint32_t)(boot ^ boot >> 32);
    if (state->boot == 0 || state->boot == UINT32_MAX) /* stateids must not look like the special ones */
        state->boot = 1;
    state->id_key = nfs4_random();
    uint64_t memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    state->max_kept = MAX(memory / NFS4_KEPT_MEMORY_PART, NFS4_KEPT_MEMORY_MIN);
    g_mutex_init(&state->lock);
    nfs4_client_tables_init(state);
    nfs4_session_tables_init(state);
    for (guint i = 0; i < NFS4_GRANT_SHARDS; i++) {
        g_mutex_init(&state->shard[i].lock);
        state->shard[i].grants = g_hash_table_new(g_int64_hash, g_int64_equal);
    }
    state->recovery =
        nfs4_recovery_new(lares_host_state_dir(service->host), service->settings.grace_time, state->server_id, error);
    if (!state->recovery) {
        nfs4_state_free(state);
        return NULL;
    }
    state->timer = g_timeout_add_seconds(CLAMP(service->settings.lease_time / 10, 1, 5), tick, state);
    return state;
}

static void
drop_client(Nfs4Client *client, gpointer user)
{
    nfs4_client_destroy(client, FALSE); /* stays on disk: it may reclaim from the next process */
}

void
nfs4_state_free(Nfs4State *state)
{
    if (!state)
        return;
    if (state->timer)
        g_source_remove(state->timer);
    nfs4_client_foreach(state, drop_client, NULL);
    g_hash_table_unref(state->by_id);
    g_hash_table_unref(state->confirmed);
    g_hash_table_unref(state->unconfirmed);
    g_hash_table_unref(state->sessions);
    g_rw_lock_clear(&state->sessions_lock);
    for (guint i = 0; i < NFS4_GRANT_SHARDS; i++) {
        g_hash_table_unref(state->shard[i].grants);
        g_mutex_clear(&state->shard[i].lock);
    }
    nfs4_recovery_free(state->recovery);
    g_mutex_clear(&state->lock);
    g_free(state);
}

void
nfs4_state_connected(Nfs4Connection *connection)
{
    connection->state = NULL;
}

static void
unbind_backchannel(Nfs4Client *client, gpointer user)
{
    const uint64_t *id = user;
    g_mutex_lock(&client->lock);
    for (guint i = 0; i < client->sessions->len; i++) {
        Nfs4Session *session = client->sessions->pdata[i];
        g_mutex_lock(&session->lock);
        if (session->backchannel == *id)
            session->backchannel = 0;
        g_mutex_unlock(&session->lock);
    }
    g_mutex_unlock(&client->lock);
}

void
nfs4_state_closed(Nfs4Connection *connection)
{
    if (!g_atomic_pointer_get(&connection->state)) /* no backchannel was ever bound here */
        return;
    uint64_t id = lares_connection_id(connection->net);
    nfs4_client_foreach(connection->service->state, unbind_backchannel, &id);
}

/* ---- Management -----------------------------------------------------------------------------------------------------
 */

static void
describe(Nfs4Client *client, gpointer user)
{
    GVariantBuilder *list = user;
    if (!g_atomic_int_get(&client->confirmed))
        return;
    g_autofree char *id = g_strdup_printf("nfs4-%u", client->id);
    guint opens = 0, locks = 0;
    GHashTableIter iter;
    gpointer value;
    g_mutex_lock(&client->lock);
    g_hash_table_iter_init(&iter, client->grants);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        if (((Nfs4Grant *)value)->kind == NFS4_GRANT_OPEN)
            opens++;
        else
            locks++;
    }
    guint sessions = client->sessions->len;
    gboolean courteous = g_atomic_int_get(&client->courteous);
    g_mutex_unlock(&client->lock);
    g_autofree char *owner = g_utf8_make_valid((const char *)client->owner_id, (gssize)client->owner_len);
    g_variant_builder_open(list, G_VARIANT_TYPE("a{sv}"));
    g_variant_builder_add(list, "{sv}", "id", g_variant_new_string(id));
    g_variant_builder_add(list, "{sv}", "protocol", g_variant_new_string(client->v40 ? "nfs4.0" : "nfs4.1+"));
    g_variant_builder_add(list, "{sv}", "client", g_variant_new_string(client->address));
    g_variant_builder_add(list, "{sv}", "name", g_variant_new_string(owner));
    g_variant_builder_add(list, "{sv}", "user", g_variant_new_string(client->user));
    g_variant_builder_add(list, "{sv}", "flavor", g_variant_new_string(client->flavor));
    g_variant_builder_add(list, "{sv}", "since", g_variant_new_int64(client->since));
    g_variant_builder_add(list, "{sv}", "sessions", g_variant_new_uint32(sessions));
    g_variant_builder_add(list, "{sv}", "opens", g_variant_new_uint32(opens));
    g_variant_builder_add(list, "{sv}", "locks", g_variant_new_uint32(locks));
    g_variant_builder_add(list, "{sv}", "expired", g_variant_new_boolean(courteous));
    g_variant_builder_close(list);
}

GVariant *
nfs4_state_list(Nfs4State *state)
{
    GVariantBuilder list;
    g_variant_builder_init(&list, G_VARIANT_TYPE("aa{sv}"));
    nfs4_client_foreach(state, describe, &list);
    return g_variant_builder_end(&list);
}

gboolean
nfs4_state_end(Nfs4State *state, const char *id)
{
    Nfs4Client *client;
    guint64 number;
    if (!g_str_has_prefix(id, "nfs4-") || !g_ascii_string_to_unsigned(id + 5, 10, 1, UINT32_MAX, &number, NULL))
        return FALSE;
    if (nfs4_client_by_id(state, (uint64_t)state->boot << 32 | number, &client) != NFS4_OK)
        return FALSE;
    nfs4_client_destroy(client, TRUE);
    nfs4_client_unref(client);
    return TRUE;
}

guint
nfs4_state_count_clients(Nfs4State *state)
{
    g_mutex_lock(&state->lock);
    guint n = g_hash_table_size(state->confirmed);
    g_mutex_unlock(&state->lock);
    return n;
}

void
nfs4_state_status(Nfs4State *state, GVariantBuilder *builder)
{
    g_mutex_lock(&state->lock);
    guint clients = g_hash_table_size(state->by_id);
    g_mutex_unlock(&state->lock);
    g_variant_builder_add(builder, "{sv}", "clients", g_variant_new_uint32(clients));
    g_variant_builder_add(builder, "{sv}", "grace", g_variant_new_boolean(nfs4_recovery_in_grace(state->recovery)));
    g_variant_builder_add(builder, "{sv}", "waiting-to-reclaim",
                          g_variant_new_uint32(nfs4_recovery_waiting(state->recovery)));
}
