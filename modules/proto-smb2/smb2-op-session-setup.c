/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SESSION_SETUP: logging in, again, and on a further connection; LOGOFF.
 *
 * Spec: [MS-SMB2] 2.2.5, 2.2.6, 3.3.5.5, 3.3.5.6, 3.1.4.2.
 * Locks: a channel's `busy` keeps a second SESSION_SETUP away while one runs; nothing is locked meanwhile. */
#include "smb2-message.h"

#include <lares/spnego.h>
#include <openssl/rand.h>

#define GSS_DEFECTIVE_TOKEN (9u << 16) /* RFC 2744 5.1 */

typedef struct {
    Smb2Op *op;
    Smb2Channel *channel; /* a reference */
    gboolean fresh;       /* the session was made by this login */
    gboolean binding;
    gboolean again; /* reauthentication */
    uint8_t security_mode;
    uint64_t previous;
    const uint8_t *token;
    size_t token_len;
    const char *reason; /* of a refusal before there was a login; NULL: the status says it */
} Setup;

/* ---- Keys ---------------------------------------------------------------------------------------------------------
 */

typedef struct {
    const char *label_311, *label_30, *context_30; /* their terminating NULs belong to them */
} Derivation;

static const Derivation signing = {"SMBSigningKey", "SMB2AESCMAC", "SmbSign"};
static const Derivation application = {"SMBAppKey", "SMB2APP", "SmbRpc"};
static const Derivation server_to_client = {"SMBS2CCipherKey", "SMB2AESCCM", "ServerOut"};
static const Derivation client_to_server = {"SMBC2SCipherKey", "SMB2AESCCM", "ServerIn "};

static void
derive(const Derivation *d, uint16_t dialect, const uint8_t *preauth, const uint8_t *key, size_t key_len, uint8_t *out,
       size_t len)
{
    if (dialect == SMB2_DIALECT_311)
        smb2_kdf(key, key_len, d->label_311, strlen(d->label_311) + 1, preauth, SMB2_HASH_SIZE, out, len);
    else
        smb2_kdf(key, key_len, d->label_30, strlen(d->label_30) + 1, d->context_30, strlen(d->context_30) + 1, out,
                 len);
}

static gboolean
set_signing_key(Setup *setup, const uint8_t *session_key)
{
    const Smb2Connection *c = setup->op->connection;
    uint8_t key[SMB2_KEY_SIZE];
    if (c->dialect >= SMB2_DIALECT_300)
        derive(&signing, c->dialect, setup->channel->preauth, session_key, SMB2_KEY_SIZE, key, sizeof key);
    else
        memcpy(key, session_key, sizeof key);
    gboolean ok = smb2_sign_key_init(&setup->channel->sign, c->signing_algorithm, key);
    OPENSSL_cleanse(key, sizeof key);
    return ok;
}

static void
set_session_keys(Setup *setup, const uint8_t *full, size_t full_len)
{
    const Smb2Connection *c = setup->op->connection;
    Smb2Session *s = setup->channel->session;
    const uint8_t *preauth = setup->channel->preauth;
    uint8_t out[SMB2_MAX_KEY_SIZE], in[SMB2_MAX_KEY_SIZE];
    if (c->dialect < SMB2_DIALECT_300) {
        memcpy(s->application_key, s->session_key, sizeof s->application_key);
        return;
    }
    derive(&application, c->dialect, preauth, s->session_key, SMB2_KEY_SIZE, s->application_key, SMB2_KEY_SIZE);
    if (!c->cipher)
        return;
    size_t n = smb2_cipher_key_size(c->cipher);
    const uint8_t *from = n == 32 ? full : s->session_key;
    size_t from_len = n == 32 ? full_len : SMB2_KEY_SIZE;
    derive(&server_to_client, c->dialect, preauth, from, from_len, out, n);
    derive(&client_to_server, c->dialect, preauth, from, from_len, in, n);
    s->keys = smb2_keys_new(c->cipher, out, in);
    OPENSSL_cleanse(out, sizeof out);
    OPENSSL_cleanse(in, sizeof in);
}

/* Session.SessionKey: the first 16 bytes, or what there is of them ([MS-SMB2] 3.3.1.8). FALSE: there is no key. */
static gboolean
take_key(LaresAuthContext *context, uint8_t key[SMB2_KEY_SIZE], GBytes **full)
{
    gsize len = 0;
    *full = lares_auth_context_get_session_key(context);
    const uint8_t *bytes = *full ? g_bytes_get_data(*full, &len) : NULL;
    memset(key, 0, SMB2_KEY_SIZE);
    if (len == 0)
        return FALSE;
    memcpy(key, bytes, MIN(len, SMB2_KEY_SIZE));
    return TRUE;
}

/* ---- A new session ------------------------------------------------------------------------------------------------
 */

static guint
logins_under_way(Smb2Connection *c)
{
    guint n = 0;
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, c->channels);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        n += !g_atomic_int_get(&((Smb2Channel *)value)->established);
    return n;
}

static Smb2Session *
new_session(Smb2Connection *c)
{
    Smb2Session *s = g_new0(Smb2Session, 1);
    s->ref = 1;
    s->service = c->service;
    s->state = SMB2_SESSION_IN_PROGRESS;
    s->dialect = c->dialect;
    s->cipher = c->cipher;
    memcpy(s->client_guid, c->client_guid, sizeof s->client_guid);
    s->expiry = INT64_MAX;
    s->since = g_get_real_time() / G_USEC_PER_SEC;
    s->begun = g_get_monotonic_time() / G_USEC_PER_SEC;
    g_mutex_init(&s->lock);
    s->trees = g_hash_table_new_full(g_int_hash, g_int_equal, NULL, (GDestroyNotify)smb2_tree_unref);
    s->channels = g_ptr_array_new_with_free_func((GDestroyNotify)smb2_channel_unref);
    return s;
}

/* Where logins that nobody ends pile up, the oldest goes. */
static void
end_oldest(Smb2Service *service)
{
    g_mutex_lock(&service->lock);
    Smb2Session *oldest = NULL;
    if (service->half_open.length > SMB2_MAX_HALF_OPEN)
        oldest = smb2_session_ref(g_queue_peek_head(&service->half_open));
    g_mutex_unlock(&service->lock);
    if (oldest) {
        smb2_session_end(oldest, "too many logins are under way");
        smb2_session_unref(oldest);
    }
}

/* The login is complete: from here on it counts among the sessions. FALSE: there are too many. */
static gboolean
count_session(Smb2Session *s)
{
    Smb2Service *service = s->service;
    g_mutex_lock(&service->lock);
    guint complete = g_hash_table_size(service->sessions) - service->half_open.length;
    gboolean ok = !s->half_open.data || complete < service->settings.max_sessions;
    if (ok && s->half_open.data) {
        g_queue_unlink(&service->half_open, &s->half_open);
        s->half_open.data = NULL;
    }
    g_mutex_unlock(&service->lock);
    return ok;
}

/* A number that is not the last one's neighbour, never 0 or -1. FALSE: no random numbers. */
static gboolean
enter_service(Smb2Session *s)
{
    Smb2Service *service = s->service;
    gboolean ok = FALSE;
    g_mutex_lock(&service->lock);
    while (!ok) {
        uint32_t id; /* there are clients that keep only half of what the field holds */
        if (RAND_bytes((unsigned char *)&id, sizeof id) != 1)
            break;
        s->id = id;
        ok = id != 0 && id != UINT32_MAX && !g_hash_table_contains(service->sessions, &s->id);
    }
    if (ok) {
        g_hash_table_insert(service->sessions, &s->id, smb2_session_ref(s));
        s->half_open.data = s;
        g_queue_push_tail_link(&service->half_open, &s->half_open);
    }
    g_mutex_unlock(&service->lock);
    if (ok)
        end_oldest(service);
    return ok;
}

/* The channel enters its connection and its session. */
static gboolean
enter_connection(Smb2Channel *channel)
{
    Smb2Connection *c = channel->connection;
    Smb2Session *s = channel->session;
    g_mutex_lock(&s->lock);
    gboolean ok = s->channels->len < SMB2_MAX_CHANNELS && g_atomic_int_get(&s->state) != SMB2_SESSION_ENDED;
    if (ok) {
        g_mutex_lock(&c->lock);
        ok = !c->closed && !g_hash_table_contains(c->channels, &s->id) &&
             g_hash_table_size(c->channels) < SMB2_MAX_SESSIONS_PER_CONNECTION && logins_under_way(c) < SMB2_MAX_SETUPS;
        if (ok)
            g_hash_table_insert(c->channels, &s->id, smb2_channel_ref(channel));
        g_mutex_unlock(&c->lock);
    }
    if (ok)
        g_ptr_array_add(s->channels, smb2_channel_ref(channel));
    g_mutex_unlock(&s->lock);
    return ok;
}

static void
leave_connection(Smb2Channel *channel)
{
    Smb2Connection *c = channel->connection;
    Smb2Session *s = channel->session;
    g_mutex_lock(&s->lock);
    g_ptr_array_remove_fast(s->channels, channel);
    gboolean last = s->channels->len == 0;
    g_mutex_unlock(&s->lock);
    g_mutex_lock(&c->lock);
    if (g_hash_table_lookup(c->channels, &s->id) == channel)
        g_hash_table_remove(c->channels, &s->id);
    g_mutex_unlock(&c->lock);
    if (last) /* the others went while this one was joining */
        smb2_session_leave(s, "its last connection is gone");
}

static uint32_t
begin_new(Setup *setup)
{
    Smb2Connection *c = setup->op->connection;
    Smb2Session *s = new_session(c);
    uint32_t status = STATUS_INSUFFICIENT_RESOURCES;
    if (enter_service(s)) {
        setup->channel = smb2_channel_new(s, c);
        setup->fresh = TRUE;
        status = enter_connection(setup->channel) ? STATUS_SUCCESS : STATUS_REQUEST_NOT_ACCEPTED;
        if (status != STATUS_SUCCESS)
            smb2_session_end(s, "too many logins at once");
    }
    smb2_session_unref(s);
    return status;
}

/* ---- A further connection: [MS-SMB2] 3.3.5.5, SMB2_SESSION_FLAG_BINDING ---------------------------------------------
 */

/* Between GMAC and the other algorithms a session cannot move; the statuses are those of Windows. */
static uint32_t
check_algorithms(const Smb2Connection *c, const Smb2Session *s)
{
    uint16_t mine = c->signing_algorithm, theirs = s->first_sign->algorithm;
    if (mine == theirs)
        return STATUS_SUCCESS;
    if (mine == SMB2_SIGNING_AES_GMAC)
        return STATUS_NOT_SUPPORTED;
    return theirs == SMB2_SIGNING_AES_GMAC ? STATUS_REQUEST_OUT_OF_SEQUENCE : STATUS_SUCCESS;
}

static uint32_t
check_binding(const Smb2Op *op, Smb2Session *s)
{
    const Smb2Connection *c = op->connection;
    uint32_t status = check_algorithms(c, s);
    if (status != STATUS_SUCCESS)
        return status;
    if (c->dialect < SMB2_DIALECT_300 || !c->service->settings.multichannel)
        return STATUS_REQUEST_NOT_ACCEPTED;
    if (c->dialect != s->dialect || c->cipher != s->cipher)
        return STATUS_INVALID_PARAMETER;
    switch (smb2_session_state(s)) {
    case SMB2_SESSION_IN_PROGRESS:
        return STATUS_REQUEST_NOT_ACCEPTED;
    case SMB2_SESSION_EXPIRED:
        return STATUS_NETWORK_SESSION_EXPIRED;
    case SMB2_SESSION_ENDED:
        return STATUS_USER_SESSION_DELETED;
    case SMB2_SESSION_VALID:
        break;
    }
    return memcmp(c->client_guid, s->client_guid, sizeof s->client_guid) == 0 ? STATUS_SUCCESS
                                                                              : STATUS_USER_SESSION_DELETED;
}

/* Whoever asks has the session's key: only then is more said than that it was refused, and signed. */
static uint32_t
prove_binding(Smb2Op *op, Smb2Session *s)
{
    gint state = g_atomic_int_get(&s->state);
    if (state == SMB2_SESSION_IN_PROGRESS)
        return STATUS_REQUEST_NOT_ACCEPTED;
    if (!s->first_sign)
        return STATUS_NOT_SUPPORTED;
    if (!(op->flags & SMB2_FLAGS_SIGNED))
        return STATUS_INVALID_PARAMETER;
    if (!smb2_signature_is_right(s->first_sign, op->header, op->message_len))
        return STATUS_ACCESS_DENIED;
    if (!op->channel) { /* keeps the key for the response */
        op->channel = smb2_channel_new(s, op->connection);
        op->session = smb2_session_ref(s);
    }
    op->sign_first = TRUE;
    return STATUS_SUCCESS;
}

static uint32_t
begin_binding(Setup *setup, uint64_t id)
{
    Smb2Op *op = setup->op;
    Smb2Connection *c = op->connection;
    Smb2Session *s = smb2_session_find(c->service, id);
    if (!s)
        return c->dialect < SMB2_DIALECT_300 ? STATUS_REQUEST_NOT_ACCEPTED : STATUS_USER_SESSION_DELETED;
    Smb2Channel *mine = smb2_channel_find(c, id);
    uint32_t status = prove_binding(op, s);
    if (status == STATUS_SUCCESS)
        status = check_binding(op, s);
    if (status == STATUS_SUCCESS && mine && g_atomic_int_get(&mine->established))
        status = STATUS_REQUEST_NOT_ACCEPTED;
    if (status == STATUS_SUCCESS && mine) { /* the second leg */
        setup->channel = g_steal_pointer(&mine);
    } else if (status == STATUS_SUCCESS) {
        setup->channel = smb2_channel_new(s, c);
        setup->channel->binding = TRUE;
        if (!enter_connection(setup->channel))
            status = STATUS_INSUFFICIENT_RESOURCES;
    }
    if (mine)
        smb2_channel_unref(mine);
    smb2_session_unref(s);
    return status;
}

/* ---- Which login this is ------------------------------------------------------------------------------------------
 */

static uint32_t
begin(Setup *setup)
{
    Smb2Op *op = setup->op;
    Smb2Connection *c = op->connection;
    uint64_t id = smb2_get_u64(op->header + SMB2_H_SESSION_ID);
    setup->binding = (op->body[2] & SMB2_SESSION_FLAG_BINDING) != 0;
    setup->security_mode = op->body[3];
    setup->previous = smb2_get_u64(op->body + 16);
    setup->token_len = smb2_get_u16(op->body + 14);
    setup->token = smb2_op_buffer(op, smb2_get_u16(op->body + 12), setup->token_len);
    if (!setup->token)
        return STATUS_INVALID_PARAMETER;
    if (c->service->settings.encryption == SMB2_ENCRYPTION_REQUIRED && !c->cipher) {
        setup->reason = "encryption is required and the client cannot encrypt";
        return STATUS_ACCESS_DENIED;
    }
    if (setup->binding)
        return begin_binding(setup, id);
    if (id == 0)
        return begin_new(setup);
    if (!op->channel)
        return smb2_check_elsewhere(op);
    if (op->channel->binding && !g_atomic_int_get(&op->channel->established))
        return STATUS_INVALID_PARAMETER;
    setup->channel = smb2_channel_ref(op->channel);
    setup->again = g_atomic_int_get(&op->channel->established);
    return g_atomic_int_get(&op->session->state) == SMB2_SESSION_ENDED ? STATUS_USER_SESSION_DELETED : STATUS_SUCCESS;
}

static gboolean
set_busy(Smb2Channel *channel, gboolean busy)
{
    g_mutex_lock(&channel->connection->lock);
    gboolean ok = !busy || !channel->busy;
    if (ok)
        channel->busy = busy;
    g_mutex_unlock(&channel->connection->lock);
    return ok;
}

/* ---- The login is complete ----------------------------------------------------------------------------------------
 */

static char *
principal_of(const LaresFlavor *flavor, const LaresAuthPeer *who, const LaresIdentity *identity)
{
    if (who->anonymous)
        return g_strdup("sys");
    return g_strdup_printf("%s:%s", flavor->name, who->principal ? who->principal : identity->name);
}

/* Puts the result of the login into the session: who, and until when. Takes over the references. */
static void
set_login(Setup *setup, LaresIdentity *identity, const LaresFlavor *flavor, char *principal)
{
    Smb2Session *s = setup->channel->session;
    g_mutex_lock(&s->lock);
    LaresIdentity *old = s->identity;
    char *old_principal = s->principal;
    if (!s->owner)
        s->owner = g_strdup(principal);
    s->identity = identity;
    s->flavor = flavor;
    s->principal = principal;
    s->credential = lares_auth_context_get_credential(setup->channel->context);
    s->logins++;
    __atomic_store_n(&s->expiry, lares_auth_context_get_expiry(setup->channel->context), __ATOMIC_RELAXED);
    g_mutex_unlock(&s->lock);
    if (old)
        lares_identity_unref(old);
    g_free(old_principal);
}

/* [MS-SMB2] 3.3.5.5.3: the client lost its connection and its old session is of no use to anybody. */
static void
end_previous(Setup *setup)
{
    Smb2Session *s = setup->channel->session;
    if (!setup->previous || setup->previous == s->id || s->guest)
        return;
    Smb2Session *old = smb2_session_find(s->service, setup->previous);
    if (!old)
        return;
    g_autofree char *mine = smb2_session_principal(s), *theirs = smb2_session_principal(old);
    if (g_strcmp0(mine, theirs) == 0)
        smb2_session_leave(old, "its client has come back");
    smb2_session_unref(old);
}

static uint32_t
refuse(Setup *setup, LaresRefused class_, const char *principal, const char *reason)
{
    LaresAuthContext *context = setup->channel->context;
    const LaresFlavor *flavor = context ? lares_spnego_flavor(context) : NULL;
    lares_auth_refused_as(flavor ? flavor->name : NULL, "smb2", setup->op->caller.peer, principal, class_, reason);
    return STATUS_LOGON_FAILURE;
}

/* The keys of a session that has none yet, or of a channel that joins one. */
static uint32_t
set_keys(Setup *setup, const LaresAuthPeer *who)
{
    Smb2Session *s = setup->channel->session;
    const Smb2Settings *settings = &s->service->settings;
    GBytes *full = NULL; /* the context's */
    uint8_t key[SMB2_KEY_SIZE];
    if (who->anonymous && !setup->binding) {
        if (settings->encryption == SMB2_ENCRYPTION_REQUIRED)
            return refuse(setup, LARES_REFUSED_POLICY, NULL, "encryption is required, and guests have no key");
        s->guest = TRUE;
        return STATUS_SUCCESS;
    }
    if (!take_key(setup->channel->context, key, &full))
        return refuse(setup, LARES_REFUSED_POLICY, who->principal, "the mechanism gives no session key");
    if (!set_signing_key(setup, key))
        return STATUS_INTERNAL_ERROR;
    if (!setup->binding) {
        gsize full_len;
        const uint8_t *bytes = g_bytes_get_data(full, &full_len);
        memcpy(s->session_key, key, sizeof key);
        set_session_keys(setup, bytes, full_len);
        s->first_sign = g_memdup2(&setup->channel->sign, sizeof setup->channel->sign);
        s->signing_required = settings->signing_required || setup->security_mode & SMB2_NEGOTIATE_SIGNING_REQUIRED ||
                              setup->op->connection->client_security_mode & SMB2_NEGOTIATE_SIGNING_REQUIRED;
        s->encrypt = settings->encryption == SMB2_ENCRYPTION_REQUIRED;
    }
    OPENSSL_cleanse(key, sizeof key);
    return STATUS_SUCCESS;
}

/* The keys stay those of the first login: whoever has them must not get another one's rights by passing on that one's
 * login ([MS-SMB2] 3.3.5.5.3). Nobody in particular may take the place of somebody, never the other way round.
 * A name that nobody has, which is let in as a guest elsewhere, is a failed login here. */
static gboolean
may_follow(Smb2Session *s, const LaresAuthPeer *who, const char *principal)
{
    g_mutex_lock(&s->lock);
    gboolean ok = g_strcmp0(s->owner, principal) == 0 || (who->anonymous && !who->machine_name && s->first_sign);
    g_mutex_unlock(&s->lock);
    return ok;
}

static uint32_t
complete(Setup *setup)
{
    Smb2Op *op = setup->op;
    Smb2Channel *channel = setup->channel;
    Smb2Session *s = channel->session;
    LaresIdentity *identity = NULL;
    const LaresFlavor *flavor = lares_spnego_flavor(channel->context);
    const LaresAuthPeer *who = lares_auth_context_get_peer(channel->context);
    if (!flavor || !who)
        return refuse(setup, LARES_REFUSED_POLICY, NULL, "no loaded module offers the flavor of this login");
    if (lares_auth_login(s->service->host, channel->context, flavor, "smb2", op->caller.peer, &identity) != LARES_OK)
        return STATUS_LOGON_FAILURE;
    g_autofree char *principal = principal_of(flavor, who, identity);
    uint32_t status = STATUS_SUCCESS;
    if (setup->binding) {
        if (g_strcmp0(principal, s->owner) != 0) {
            lares_auth_refused_as(flavor->name, "smb2", op->caller.peer, who->principal, LARES_REFUSED_POLICY,
                                  "another user than the session's wants to join it");
            status = STATUS_ACCESS_DENIED;
        } else if (!smb2_session_may_come_from(s, op->caller.peer)) {
            lares_auth_refused_as(flavor->name, "smb2", op->caller.peer, who->principal, LARES_REFUSED_POLICY,
                                  "the session uses a share that is not for this host");
            status = STATUS_ACCESS_DENIED;
        }
    } else if (setup->again && !may_follow(s, who, principal)) {
        status = refuse(setup, LARES_REFUSED_POLICY, who->principal,
                        "another user than the session's first wants to take it over");
    }
    if (status == STATUS_SUCCESS && !setup->again)
        status = set_keys(setup, who);
    if (status == STATUS_SUCCESS && !count_session(s)) {
        lares_auth_refused_as(flavor->name, "smb2", op->caller.peer, who->principal, LARES_REFUSED_LIMIT,
                              "there are too many sessions");
        status = STATUS_INSUFFICIENT_RESOURCES;
    }
    if (status != STATUS_SUCCESS) {
        lares_identity_unref(identity);
        return status;
    }
    if (setup->binding)
        lares_identity_unref(identity);
    else
        set_login(setup, identity, flavor, g_steal_pointer(&principal));
    if (!setup->binding) {
        if (!setup->again && setup->previous)
            end_previous(setup);
        /* An end that came meanwhile stays. */
        if (!g_atomic_int_compare_and_exchange(&s->state, SMB2_SESSION_IN_PROGRESS, SMB2_SESSION_VALID))
            g_atomic_int_compare_and_exchange(&s->state, SMB2_SESSION_EXPIRED, SMB2_SESSION_VALID);
    }
    g_atomic_int_set(&channel->established, TRUE);
    g_atomic_int_set(&op->connection->known, TRUE);
    if (setup->binding)
        smb2_session_look_again(s);
    op->sign = !s->guest;
    return STATUS_SUCCESS;
}

/* ---- One leg ------------------------------------------------------------------------------------------------------
 */

/* A token that is none is not a failed login: SEC_E_INVALID_TOKEN, as Windows puts it on the wire. */
static uint32_t
refuse_step(Setup *setup, const char *reason)
{
    uint32_t major, minor;
    lares_auth_context_get_gss_status(setup->channel->context, &major, &minor);
    uint32_t status =
        refuse(setup, lares_auth_context_get_refused(setup->channel->context), NULL, reason ? reason : "token refused");
    return (major & 0xff0000) == GSS_DEFECTIVE_TOKEN ? STATUS_INVALID_PARAMETER : status;
}

static uint32_t
step(Setup *setup, GBytes **token)
{
    Smb2Op *op = setup->op;
    Smb2Channel *channel = setup->channel;
    g_autofree char *reason = NULL;
    if (!channel->context)
        channel->context = lares_spnego_accept(op->service->host, "cifs", op->caller.peer);
    switch (lares_auth_context_step(channel->context, setup->token, setup->token_len, token, &reason)) {
    case LARES_AUTH_CONTINUE:
        return STATUS_MORE_PROCESSING_REQUIRED;
    case LARES_AUTH_FAILED:
        return refuse_step(setup, reason);
    case LARES_AUTH_ESTABLISHED:
        break;
    }
    return complete(setup);
}

static void
put_response(Setup *setup, GBytes *token)
{
    gsize len = 0;
    const uint8_t *bytes = token ? g_bytes_get_data(token, &len) : NULL;
    const Smb2Session *s = setup->channel->session;
    LaresWriter *out = setup->op->out;
    uint16_t flags = (s->guest ? SMB2_SESSION_FLAG_IS_GUEST : 0) | (s->encrypt ? SMB2_SESSION_FLAG_ENCRYPT_DATA : 0);
    smb2_put_u16(out, 9);
    smb2_put_u16(out, flags);
    smb2_put_u16(out, SMB2_HEADER_SIZE + 8);
    smb2_put_u16(out, (uint16_t)len);
    lares_put_bytes(out, bytes, len);
}

/* The response carries the session's id and, where there is a key, a signature. */
static void
attach(Setup *setup)
{
    Smb2Op *op = setup->op;
    if (op->channel != setup->channel) {
        g_clear_pointer(&op->channel, smb2_channel_unref);
        g_clear_pointer(&op->session, smb2_session_unref);
        op->channel = smb2_channel_ref(setup->channel);
        op->session = smb2_session_ref(setup->channel->session);
    }
}

static void
give_up(Setup *setup)
{
    Smb2Channel *channel = setup->channel;
    if (channel->binding && !setup->again)
        leave_connection(channel);
    else
        smb2_session_end(channel->session, "the login failed");
}

/* What did not become a login is written as one that was refused. */
static void
audit_beginning(const Setup *setup, uint32_t status)
{
    const char *what = setup->binding ? "a connection that may not join the session" : "a login that cannot begin";
    g_autofree char *made = setup->reason ? NULL : g_strdup_printf("%s: %s", what, smb2_status_name(status));
    lares_auth_refused(NULL, "smb2", setup->op->caller.peer, NULL, made ? made : setup->reason);
}

SMB2_OP(session_setup)
{
    Setup setup = {.op = op};
    g_autoptr(GBytes) token = NULL;
    uint32_t status = begin(&setup);
    if (status != STATUS_SUCCESS) {
        audit_beginning(&setup, status);
        if (setup.channel)
            smb2_channel_unref(setup.channel);
        return status;
    }
    Smb2Channel *channel = setup.channel;
    if (!set_busy(channel, TRUE)) {
        smb2_channel_unref(channel);
        return STATUS_REQUEST_NOT_ACCEPTED;
    }
    /* What begin() saw may be over: of two last legs that came together one completes the login. */
    if (g_atomic_int_get(&channel->established) && !setup.again) {
        set_busy(channel, FALSE);
        smb2_channel_unref(channel);
        return STATUS_REQUEST_NOT_ACCEPTED;
    }
    gboolean hash = op->connection->dialect == SMB2_DIALECT_311 && !setup.again;
    if (hash)
        smb2_preauth_update(channel->preauth, op->header, op->message_len);
    status = step(&setup, &token);
    if (status == STATUS_SUCCESS || status == STATUS_MORE_PROCESSING_REQUIRED) {
        attach(&setup);
        put_response(&setup, token);
        if (hash && status == STATUS_MORE_PROCESSING_REQUIRED) {
            op->hash = channel->preauth;
            op->hash_owner = smb2_channel_ref(channel);
        }
        op->sign_first = setup.binding && status == STATUS_MORE_PROCESSING_REQUIRED;
    }
    if (status != STATUS_MORE_PROCESSING_REQUIRED)
        g_clear_object(&channel->context);
    set_busy(channel, FALSE);
    if (status != STATUS_SUCCESS && status != STATUS_MORE_PROCESSING_REQUIRED)
        give_up(&setup);
    smb2_channel_unref(channel);
    return status;
}

SMB2_OP(logoff)
{
    op->session_over = TRUE;
    smb2_put_u16(op->out, 4);
    smb2_put_u16(op->out, 0);
    return STATUS_SUCCESS;
}
