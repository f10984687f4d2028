/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sessions and their channels: tables, ends, and whether a session may still be used.
 *
 * Spec: [MS-SMB2] 3.3.1.8, 3.3.5.2.9, 3.3.7.1. Table of states: smb2-session.h.
 * Thread: any. Locks: smb2.h. */
#include "smb2-message.h"

/* ---- References ---------------------------------------------------------------------------------------------------
 */

Smb2Session *
smb2_session_ref(Smb2Session *s)
{
    g_atomic_int_inc(&s->ref);
    return s;
}

void
smb2_session_unref(Smb2Session *s)
{
    if (!g_atomic_int_dec_and_test(&s->ref))
        return;
    g_clear_pointer(&s->identity, lares_identity_unref);
    g_clear_pointer(&s->opens, lares_holder_unref); /* of a CREATE that ran while the session ended */
    g_hash_table_unref(s->trees);
    g_ptr_array_unref(s->channels);
    smb2_keys_free(s->keys);
    if (s->first_sign)
        OPENSSL_cleanse(s->first_sign, sizeof *s->first_sign);
    g_free(s->first_sign);
    OPENSSL_cleanse(s->session_key, sizeof s->session_key);
    OPENSSL_cleanse(s->application_key, sizeof s->application_key);
    g_mutex_clear(&s->lock);
    g_free(s->principal);
    g_free(s->owner);
    g_free(s);
}

Smb2Channel *
smb2_channel_new(Smb2Session *session, Smb2Connection *connection)
{
    Smb2Channel *channel = g_new0(Smb2Channel, 1);
    channel->ref = 1;
    channel->session = smb2_session_ref(session);
    channel->connection = smb2_connection_ref(connection);
    memcpy(channel->preauth, connection->preauth, sizeof channel->preauth);
    return channel;
}

Smb2Channel *
smb2_channel_ref(Smb2Channel *channel)
{
    g_atomic_int_inc(&channel->ref);
    return channel;
}

void
smb2_channel_unref(Smb2Channel *channel)
{
    if (!g_atomic_int_dec_and_test(&channel->ref))
        return;
    g_clear_object(&channel->context);
    smb2_session_unref(channel->session);
    smb2_connection_unref(channel->connection);
    OPENSSL_cleanse(&channel->sign, sizeof channel->sign);
    g_free(channel);
}

Smb2Channel *
smb2_channel_find(Smb2Connection *c, uint64_t session_id)
{
    g_mutex_lock(&c->lock);
    Smb2Channel *channel = g_hash_table_lookup(c->channels, &session_id);
    if (channel)
        smb2_channel_ref(channel);
    g_mutex_unlock(&c->lock);
    return channel;
}

Smb2Session *
smb2_session_find(Smb2Service *service, uint64_t id)
{
    g_mutex_lock(&service->lock);
    Smb2Session *session = g_hash_table_lookup(service->sessions, &id);
    if (session)
        smb2_session_ref(session);
    g_mutex_unlock(&service->lock);
    return session;
}

/* ---- Who ----------------------------------------------------------------------------------------------------------
 */

LaresIdentity *
smb2_session_identity(Smb2Session *s)
{
    g_mutex_lock(&s->lock);
    LaresIdentity *identity = s->identity ? lares_identity_ref(s->identity) : NULL;
    g_mutex_unlock(&s->lock);
    return identity;
}

char *
smb2_session_principal(Smb2Session *s)
{
    g_mutex_lock(&s->lock);
    char *principal = g_strdup(s->principal);
    g_mutex_unlock(&s->lock);
    return principal;
}

const char *
smb2_login_objection(Smb2Service *service, LaresIdentity *who, const LaresFlavor *login, uint64_t credential,
                     LaresIdentity **fresh)
{
    *fresh = NULL;
    if (login && who->principal &&
        !lares_auth_provider_stands(lares_flavor_provider(login), who->principal, credential))
        return "what this user logged in with was changed or switched off";
    if (lares_directory_refresh(service->directory, who, fresh) != LARES_OK)
        return "the directory refuses this user now";
    return NULL;
}

LaresIdentity *
smb2_session_fresh(Smb2Session *s)
{
    LaresIdentity *identity = smb2_session_identity(s), *fresh = NULL;
    if (!identity || G_LIKELY(identity->generation == lares_directory_generation()))
        return identity;
    g_mutex_lock(&s->lock);
    const LaresFlavor *login = s->flavor;
    uint64_t credential = s->credential;
    g_mutex_unlock(&s->lock);
    const char *reason = smb2_login_objection(s->service, identity, login, credential, &fresh);
    if (reason) {
        lares_audit("session-end", "user", identity->name, "flavor", login ? login->name : NULL, "protocol", "smb2",
                    "reason", reason, NULL);
        lares_identity_unref(identity);
        smb2_session_end(s, NULL);
        return NULL;
    }
    g_mutex_lock(&s->lock);
    LaresIdentity *old = NULL;
    if (s->identity == identity) { /* else somebody was faster */
        old = s->identity;
        s->identity = lares_identity_ref(fresh);
    }
    g_mutex_unlock(&s->lock);
    if (old)
        lares_identity_unref(old);
    lares_identity_unref(identity);
    return fresh;
}

Smb2SessionState
smb2_session_state(Smb2Session *s)
{
    gint state = g_atomic_int_get(&s->state);
    gint64 expiry = __atomic_load_n(&s->expiry, __ATOMIC_RELAXED);
    if (state != SMB2_SESSION_VALID || expiry == INT64_MAX || expiry > g_get_real_time() / G_USEC_PER_SEC)
        return (Smb2SessionState)state;
    g_atomic_int_compare_and_exchange(&s->state, SMB2_SESSION_VALID, SMB2_SESSION_EXPIRED);
    return (Smb2SessionState)g_atomic_int_get(&s->state);
}

void
smb2_session_note_encryption(Smb2Session *s)
{
    if (!g_atomic_int_get(&s->encrypts))
        g_atomic_int_set(&s->encrypts, TRUE);
}

/* ---- Ends ---------------------------------------------------------------------------------------------------------
 */

static gboolean
leave_service(Smb2Session *s)
{
    g_mutex_lock(&s->service->lock);
    gboolean was = g_hash_table_lookup(s->service->sessions, &s->id) == s;
    if (was)
        g_hash_table_remove(s->service->sessions, &s->id);
    if (was && s->half_open.data) {
        g_queue_unlink(&s->service->half_open, &s->half_open);
        s->half_open.data = NULL;
    }
    g_mutex_unlock(&s->service->lock);
    return was;
}

/* The channels leave their connections; what waits there for the session ends. */
static void
leave_connections(Smb2Session *s)
{
    g_mutex_lock(&s->lock);
    g_autoptr(GPtrArray) channels = g_steal_pointer(&s->channels);
    s->channels = g_ptr_array_new_with_free_func((GDestroyNotify)smb2_channel_unref);
    g_mutex_unlock(&s->lock);
    for (guint i = 0; i < channels->len; i++) {
        Smb2Channel *channel = channels->pdata[i];
        Smb2Connection *c = channel->connection;
        smb2_async_end(c, s);
        g_mutex_lock(&c->lock);
        if (g_hash_table_lookup(c->channels, &s->id) == channel)
            g_hash_table_steal(c->channels, &s->id);
        else
            channel = NULL;
        g_mutex_unlock(&c->lock);
        if (channel)
            smb2_channel_unref(channel);
    }
}

/* No new opens in them: none is to come behind the back of what closes them all. */
static void
mark_trees(Smb2Session *s)
{
    GHashTableIter iter;
    gpointer value;
    g_mutex_lock(&s->lock);
    g_hash_table_iter_init(&iter, s->trees);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        g_atomic_int_set(&((Smb2Tree *)value)->ended, TRUE);
    g_mutex_unlock(&s->lock);
}

static void
drop_trees(Smb2Session *s)
{
    g_mutex_lock(&s->lock);
    GHashTable *trees = s->trees;
    s->trees = g_hash_table_new_full(g_int_hash, g_int_equal, NULL, (GDestroyNotify)smb2_tree_unref);
    g_mutex_unlock(&s->lock);
    g_hash_table_unref(trees);
}

/* `durable`: what may be reconnected is kept ([MS-SMB2] 3.3.5.6, 3.3.7.1). */
static void
end(Smb2Session *s, gboolean durable, const char *reason)
{
    if (!leave_service(s))
        return;
    g_atomic_int_set(&s->state, SMB2_SESSION_ENDED);
    if (reason)
        lares_debug("smb2", "session %" G_GINT64_MODIFIER "x ends: %s", s->id, reason);
    mark_trees(s);
    /* The opens first: what waits on them has answers of its own. */
    if (durable)
        smb2_opens_of_session_disconnect(s);
    else
        smb2_opens_of_session_close(s);
    leave_connections(s);
    drop_trees(s);
    smb2_session_unref(s); /* the table's */
}

void
smb2_session_end(Smb2Session *s, const char *reason)
{
    end(s, FALSE, reason);
}

void
smb2_session_leave(Smb2Session *s, const char *reason)
{
    end(s, TRUE, reason);
}

void
smb2_sessions_disconnect(Smb2Connection *c)
{
    g_mutex_lock(&c->lock);
    GHashTable *channels = c->channels;
    c->channels = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, (GDestroyNotify)smb2_channel_unref);
    g_mutex_unlock(&c->lock);
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, channels);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        Smb2Channel *channel = value;
        Smb2Session *s = channel->session;
        g_mutex_lock(&s->lock);
        g_ptr_array_remove_fast(s->channels, channel);
        gboolean last = s->channels->len == 0;
        g_mutex_unlock(&s->lock);
        if (last)
            smb2_session_leave(s, "its last connection is gone");
    }
    g_hash_table_unref(channels);
}

/* ---- The look at all of them --------------------------------------------------------------------------------------
 */

static GPtrArray *
all_sessions(Smb2Service *service)
{
    GPtrArray *all = g_ptr_array_new_with_free_func((GDestroyNotify)smb2_session_unref);
    GHashTableIter iter;
    gpointer value;
    g_mutex_lock(&service->lock);
    g_hash_table_iter_init(&iter, service->sessions);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        g_ptr_array_add(all, smb2_session_ref(value));
    g_mutex_unlock(&service->lock);
    return all;
}

static GPtrArray *
trees_of(Smb2Session *s)
{
    GPtrArray *all = g_ptr_array_new_with_free_func((GDestroyNotify)smb2_tree_unref);
    GHashTableIter iter;
    gpointer value;
    g_mutex_lock(&s->lock);
    g_hash_table_iter_init(&iter, s->trees);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        g_ptr_array_add(all, smb2_tree_ref(value));
    g_mutex_unlock(&s->lock);
    return all;
}

static void
look_at(Smb2Session *s)
{
    if (g_atomic_int_get(&s->state) == SMB2_SESSION_IN_PROGRESS)
        return;
    LaresIdentity *identity = smb2_session_fresh(s);
    if (!identity)
        return;
    lares_identity_unref(identity);
    g_autoptr(GPtrArray) trees = trees_of(s);
    for (guint i = 0; i < trees->len; i++) {
        LaresShare *share = NULL;
        smb2_tree_fresh(trees->pdata[i], &share);
        if (share)
            lares_share_unref(share);
    }
}

/* Connections on which nobody has logged in, and on which nobody will. */
static void
close_strangers(Smb2Service *service)
{
    gint64 now = g_get_monotonic_time() / G_USEC_PER_SEC;
    GHashTableIter iter;
    gpointer key;
    g_mutex_lock(&service->lock);
    g_hash_table_iter_init(&iter, service->connections);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        Smb2Connection *c = key;
        if (!g_atomic_int_get(&c->known) && c->since + service->settings.login_time < now)
            lares_connection_close(c->net);
    }
    g_mutex_unlock(&service->lock);
}

static void
end_late_logins(Smb2Service *service)
{
    gint64 before = g_get_monotonic_time() / G_USEC_PER_SEC - service->settings.login_time;
    Smb2Session *late;
    do {
        g_mutex_lock(&service->lock);
        late = g_queue_peek_head(&service->half_open);
        late = late && late->begun < before ? smb2_session_ref(late) : NULL;
        g_mutex_unlock(&service->lock);
        if (late) {
            smb2_session_end(late, "the login was not completed");
            smb2_session_unref(late);
        }
    } while (late);
}

void
smb2_sessions_sweep(Smb2Service *service)
{
    guint generations = lares_directory_generation() + lares_shares_generation(service->shares);
    guint slow = ++service->sweeps % 20;
    if (service->sweeps % 4 == 0) {
        end_late_logins(service);
        close_strangers(service);
    }
    if (generations == service->swept && slow)
        return;
    service->swept = generations;
    g_autoptr(GPtrArray) all = all_sessions(service);
    for (guint i = 0; i < all->len; i++)
        look_at(all->pdata[i]);
    smb2_opens_sweep(service);
}

/* ---- Management ---------------------------------------------------------------------------------------------------
 */

static const char *
dialect_name(uint16_t dialect)
{
    switch (dialect) {
    case SMB2_DIALECT_202:
        return "2.0.2";
    case SMB2_DIALECT_210:
        return "2.1";
    case SMB2_DIALECT_300:
        return "3.0";
    case SMB2_DIALECT_302:
        return "3.0.2";
    default:
        return "3.1.1";
    }
}

static void
describe(Smb2Session *s, GVariantBuilder *list)
{
    char id[20];
    g_snprintf(id, sizeof id, "%016" G_GINT64_MODIFIER "x", s->id);
    g_mutex_lock(&s->lock);
    Smb2Channel *channel = s->channels->len ? smb2_channel_ref(s->channels->pdata[0]) : NULL;
    LaresIdentity *identity = s->identity ? lares_identity_ref(s->identity) : NULL;
    const char *flavor = s->flavor ? s->flavor->name : "";
    guint n_channels = s->channels->len, n_trees = g_hash_table_size(s->trees);
    g_mutex_unlock(&s->lock);
    g_variant_builder_open(list, G_VARIANT_TYPE_VARDICT);
    g_variant_builder_add(list, "{sv}", "id", g_variant_new_string(id));
    g_variant_builder_add(
        list, "{sv}", "client",
        g_variant_new_string(channel ? lares_connection_peer(channel->connection->net)->address : ""));
    g_variant_builder_add(list, "{sv}", "user", g_variant_new_string(identity ? identity->name : ""));
    g_variant_builder_add(list, "{sv}", "flavor", g_variant_new_string(flavor));
    g_variant_builder_add(list, "{sv}", "since", g_variant_new_int64(s->since));
    g_variant_builder_add(list, "{sv}", "dialect", g_variant_new_string(dialect_name(s->dialect)));
    g_variant_builder_add(list, "{sv}", "encrypted", g_variant_new_boolean(g_atomic_int_get(&s->encrypts)));
    g_variant_builder_add(list, "{sv}", "connections", g_variant_new_uint32(n_channels));
    g_variant_builder_add(list, "{sv}", "shares", g_variant_new_uint32(n_trees));
    g_variant_builder_close(list);
    if (identity)
        lares_identity_unref(identity);
    if (channel)
        smb2_channel_unref(channel);
}

GVariant *
smb2_sessions_list(Smb2Service *service)
{
    GVariantBuilder list;
    g_autoptr(GPtrArray) all = all_sessions(service);
    g_variant_builder_init(&list, G_VARIANT_TYPE("aa{sv}"));
    for (guint i = 0; i < all->len; i++)
        if (g_atomic_int_get(&((Smb2Session *)all->pdata[i])->state) != SMB2_SESSION_IN_PROGRESS)
            describe(all->pdata[i], &list);
    return g_variant_builder_end(&list);
}

gint64
smb2_sessions_look(Smb2Service *service, guint *sessions)
{
    GHashTableIter iter;
    gpointer value;
    gint64 soonest = INT64_MAX, now = g_get_real_time() / G_USEC_PER_SEC;
    *sessions = 0;
    g_mutex_lock(&service->lock);
    g_hash_table_iter_init(&iter, service->sessions);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        Smb2Session *s = value;
        gint64 expiry = __atomic_load_n(&s->expiry, __ATOMIC_RELAXED);
        if (g_atomic_int_get(&s->state) == SMB2_SESSION_IN_PROGRESS)
            continue;
        *sessions += 1;
        if (expiry > now)
            soonest = MIN(soonest, expiry);
    }
    g_mutex_unlock(&service->lock);
    return soonest;
}

gboolean
smb2_sessions_end(Smb2Service *service, const char *id)
{
    guint64 number;
    if (strlen(id) != 16 || !g_ascii_string_to_unsigned(id, 16, 1, G_MAXUINT64, &number, NULL))
        return FALSE;
    Smb2Session *s = smb2_session_find(service, number);
    if (!s)
        return FALSE;
    smb2_session_end(s, "the administrator ended it");
    smb2_session_unref(s);
    return TRUE;
}
