/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sessions and their slots: exactly-once by a kept reply per slot.
 *
 * Slot table (RFC 8881 2.10.6.1): seqid last seen s, request's r:
 *   busy, r == s       DELAY (the first one still runs)
 *   busy, other        SEQ_MISORDERED
 *   free, r == s + 1   run; s := r
 *   free, r == s       the kept reply, or RETRY_UNCACHED_REP; SEQ_FALSE_RETRY when the request is another one
 *   free, other        SEQ_MISORDERED
 *
 * Locks: see nfs4-state-private.h. */
#include "nfs4-session-step.h"
#include "nfs4-state-private.h"

#include <string.h>

Nfs4Session *
nfs4_session_ref(Nfs4Session *session)
{
    g_atomic_int_inc(&session->ref);
    return session;
}

void
nfs4_session_unref(Nfs4Session *session)
{
    if (!g_atomic_int_dec_and_test(&session->ref))
        return;
    for (uint32_t i = 0; i < session->n_slots; i++) {
        g_free(session->slot[i].reply);
        g_free(session->slot[i].principal);
    }
    g_free(session->slot);
    g_mutex_clear(&session->lock);
    nfs4_client_unref(session->client);
    g_free(session);
}

static guint
id_hash(gconstpointer key)
{
    uint64_t n;
    memcpy(&n, (const uint8_t *)key + 8, 8);
    return (guint)(n ^ n >> 32);
}

static gboolean
id_equal(gconstpointer a, gconstpointer b)
{
    return memcmp(a, b, NFS4_SESSIONID) == 0;
}

void
nfs4_session_tables_init(Nfs4State *state)
{
    g_rw_lock_init(&state->sessions_lock);
    state->sessions = g_hash_table_new_full(id_hash, id_equal, NULL, (GDestroyNotify)nfs4_session_unref);
}

/* What a slot may keep of a reply: what was agreed on, or a lone SEQUENCE's. */
static size_t
kept_per_slot(const Nfs4Channel *fore)
{
    return MAX(fore->max_cached, NFS4_MIN_CACHED);
}

/* How many slots there is memory for in the client's share and the server's. Both locks held. */
static uint32_t
affordable_slots(const Nfs4Client *client, const Nfs4Channel *fore)
{
    const Nfs4State *state = client->state;
    uint64_t each = kept_per_slot(fore), mine = state->service->settings.max_kept;
    mine = mine > client->kept ? (mine - client->kept) / each : 0;
    /* Of what the server has left a session gets a third at most, so that those who come later get some too. */
    uint64_t all = state->max_kept > state->kept ? (state->max_kept - state->kept) / 3 / each : 0;
    all = MAX(all, NFS4_MIN_SLOTS);
    mine = MIN(mine, all);
    return (uint32_t)MIN(mine, fore->max_requests);
}

static void
make_id(Nfs4State *state, Nfs4Session *session)
{
    do {
        uint64_t clientid = GUINT64_TO_BE(nfs4_client_id(session->client)), number = nfs4_random();
        memcpy(session->id, &clientid, 8);
        memcpy(session->id + 8, &number, 8);
    } while (g_hash_table_contains(state->sessions, session->id));
}

/* Into both tables, unless the client is gone: then nobody would ever take it out again. */
static uint32_t
enter(Nfs4Client *client, Nfs4Session *session)
{
    Nfs4State *state = client->state;
    uint32_t status = NFS4_OK;
    g_mutex_lock(&client->lock);
    g_rw_lock_writer_lock(&state->sessions_lock);
    session->n_slots = affordable_slots(client, &session->fore);
    if (!client->holder)
        status = NFS4ERR_STALE_CLIENTID;
    else if (client->sessions->len >= state->service->settings.max_sessions || session->n_slots == 0)
        status = NFS4ERR_NOSPC;
    if (status == NFS4_OK) {
        session->fore.max_requests = session->n_slots;
        session->slot = g_new0(Nfs4Slot, session->n_slots);
        session->promised = kept_per_slot(&session->fore) * session->n_slots;
        client->kept += session->promised;
        state->kept += session->promised;
        make_id(state, session);
        g_hash_table_insert(state->sessions, session->id, nfs4_session_ref(session));
        g_ptr_array_add(client->sessions, nfs4_session_ref(session));
    } else {
        session->n_slots = 0;
    }
    g_rw_lock_writer_unlock(&state->sessions_lock);
    g_mutex_unlock(&client->lock);
    return status;
}

uint32_t
nfs4_session_new(Nfs4Client *client, Nfs4Channel *fore, const Nfs4Channel *back, uint32_t cb_program, Nfs4Session **out)
{
    Nfs4Session *session = g_new0(Nfs4Session, 1);
    session->ref = 1;
    session->client = nfs4_client_ref(client);
    session->fore = *fore;
    session->back = *back;
    session->cb_program = cb_program;
    g_mutex_init(&session->lock);
    uint32_t status = enter(client, session);
    if (status == NFS4_OK)
        fore->max_requests = session->n_slots;
    else
        nfs4_session_unref(g_steal_pointer(&session));
    *out = session;
    return status;
}

Nfs4Session *
nfs4_session_find(Nfs4State *state, const uint8_t *id)
{
    g_rw_lock_reader_lock(&state->sessions_lock);
    Nfs4Session *session = g_hash_table_lookup(state->sessions, id);
    if (session)
        nfs4_session_ref(session);
    g_rw_lock_reader_unlock(&state->sessions_lock);
    return session;
}

void
nfs4_session_destroy(Nfs4Session *session)
{
    Nfs4Client *client = session->client;
    Nfs4State *state = client->state;
    if (!g_atomic_int_compare_and_exchange(&session->dead, FALSE, TRUE))
        return;
    nfs4_session_ref(session);
    g_rw_lock_writer_lock(&state->sessions_lock);
    g_hash_table_remove(state->sessions, session->id);
    state->kept -= session->promised;
    g_rw_lock_writer_unlock(&state->sessions_lock);
    g_mutex_lock(&client->lock);
    client->kept -= session->promised;
    g_ptr_array_remove(client->sessions, session);
    g_mutex_unlock(&client->lock);
    nfs4_session_unref(session);
}

/* ---- Channel attributes (RFC 8881 18.36.1) --------------------------------------------------------------------------
 */

void
nfs4_channel_get(LaresReader *in, Nfs4Channel *channel)
{
    channel->header_pad = lares_get_u32(in);
    channel->max_request = lares_get_u32(in);
    channel->max_response = lares_get_u32(in);
    channel->max_cached = lares_get_u32(in);
    channel->max_ops = lares_get_u32(in);
    channel->max_requests = lares_get_u32(in);
    uint32_t n = lares_get_u32(in); /* ca_rdma_ird<1> */
    if (n > 1)
        in->failed = TRUE;
    else if (n)
        lares_get_u32(in);
}

void
nfs4_channel_put(LaresWriter *out, const Nfs4Channel *channel)
{
    lares_put_u32(out, 0); /* no header padding: data is not placed by RDMA */
    lares_put_u32(out, channel->max_request);
    lares_put_u32(out, channel->max_response);
    lares_put_u32(out, channel->max_cached);
    lares_put_u32(out, channel->max_ops);
    lares_put_u32(out, channel->max_requests);
    lares_put_u32(out, 0);
}

/* ---- The end of a compound ------------------------------------------------------------------------------------------
 */

/* A reply that is worth keeping: asked for, or as small as a lone SEQUENCE's. */
static gboolean
worth_keeping(const Nfs4Compound *c, const Nfs4Session *session, size_t len)
{
    return len > 0 && len <= kept_per_slot(&session->fore) && (c->cachethis || c->op_count == 1);
}

void
nfs4_session_finish(Nfs4Compound *c, const uint8_t *result, size_t len)
{
    Nfs4Session *session = g_steal_pointer(&c->session);
    Nfs4Slot *slot = g_steal_pointer(&c->slot);
    if (slot) {
        gboolean keep = worth_keeping(c, session, len);
        uint8_t *copy = keep ? g_memdup2(result, len) : NULL;
        g_mutex_lock(&session->lock);
        uint8_t *old = slot->reply;
        slot->reply = copy;
        slot->reply_len = keep ? len : 0;
        slot->has_reply = keep;
        slot->busy = FALSE;
        g_mutex_unlock(&session->lock);
        g_free(old);
    }
    nfs4_session_unref(session);
}
