/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Plain RPC flavors: a credential's bytes become an identity once per connection.
 *
 * A cache entry holds the credential as it came, the context it established and the identity. In steady state a request
 * costs one comparison and two reference counts.
 *
 * Thread: the cache is used by all workers of a connection.
 * Locks: the connection's lock guards the list and the entries' identities; nothing blocks while it is held. */
#include "nfs4-rpc.h"

typedef struct {
    gint ref; /* atomic */
    uint32_t number;
    const LaresFlavor *flavor;
    LaresAuthContext *context;
    LaresIdentity *identity;
    char *principal;
    gboolean machine;
    size_t len;
    uint8_t bytes[];
} Cred;

struct _Nfs4CredCache {
    guint n;
    Cred *cred[NFS4_MAX_CREDS]; /* the last used first */
};

Nfs4CredCache *
nfs4_cred_cache_new(void)
{
    return g_new0(Nfs4CredCache, 1);
}

static void
cred_unref(gpointer data)
{
    Cred *cred = data;
    if (!g_atomic_int_dec_and_test(&cred->ref))
        return;
    g_clear_object(&cred->context);
    lares_identity_unref(cred->identity);
    g_free(cred->principal);
    g_free(cred);
}

void
nfs4_cred_cache_free(Nfs4CredCache *cache)
{
    for (guint i = 0; i < cache->n; i++)
        cred_unref(cache->cred[i]);
    g_free(cache);
}

/* The stamp of AUTH_SYS is any number the client likes (RFC 5531 appendix A): it says nothing about who calls. */
static gboolean
matches(const Cred *cred, const Nfs4Call *call)
{
    size_t skip = call->flavor == RPC_FLAVOR_SYS && call->cred_len >= 4 ? 4 : 0;
    return cred->number == call->flavor && cred->len == call->cred_len &&
           memcmp(cred->bytes + skip, call->cred + skip, cred->len - skip) == 0;
}

/* With the lock held. */
static Cred *
find(Nfs4CredCache *cache, const Nfs4Call *call)
{
    for (guint i = 0; i < cache->n; i++) {
        Cred *cred = cache->cred[i];
        if (!matches(cred, call))
            continue;
        memmove(&cache->cred[1], &cache->cred[0], i * sizeof(Cred *));
        cache->cred[0] = cred;
        return cred;
    }
    return NULL;
}

/* With the lock held. Returns what fell out, to be released without it. */
static Cred *
insert(Nfs4CredCache *cache, Cred *cred)
{
    Cred *dropped = cache->n == NFS4_MAX_CREDS ? cache->cred[--cache->n] : NULL;
    memmove(&cache->cred[1], &cache->cred[0], cache->n * sizeof(Cred *));
    cache->cred[0] = cred;
    cache->n++;
    g_atomic_int_inc(&cred->ref);
    return dropped;
}

static char *
principal_of(const LaresFlavor *flavor, const LaresAuthPeer *peer)
{
    if (peer->principal)
        return g_strdup_printf("%s:%s", flavor->name, peer->principal);
    if (peer->unix_ids)
        return g_strdup_printf("%s:%u:%u", flavor->name, peer->uid, peer->gid);
    return g_strdup(flavor->name);
}

/* A new entry for a credential that was not seen before; the directory is asked and the audit line written. */
static Cred *
establish(Nfs4Call *call, uint32_t *auth_stat)
{
    Nfs4Service *service = call->connection->service;
    const LaresPeer *peer = lares_connection_peer(call->connection->net);
    const LaresFlavor *flavor = lares_flavor_by_rpc(call->flavor);
    g_autoptr(LaresAuthContext) context = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) token = NULL;
    g_autofree char *reason = NULL;
    LaresIdentity *identity = NULL;
    *auth_stat = RPC_AUTH_BADCRED;
    if (!flavor || flavor->gss_oid) { /* a pseudoflavor is no credential */
        *auth_stat = RPC_AUTH_REJECTEDCRED;
        return NULL;
    }
    context = lares_auth_provider_accept(lares_flavor_provider(flavor), "nfs", peer, &error);
    if (!context) {
        lares_auth_refused_as(flavor->name, "nfs4", peer, NULL, LARES_REFUSED_UNAVAILABLE,
                              error ? error->message : "provider unavailable");
        *auth_stat = RPC_AUTH_FAILED;
        return NULL;
    }
    if (lares_auth_context_step(context, call->cred, call->cred_len, &token, &reason) != LARES_AUTH_ESTABLISHED) {
        lares_auth_refused_as(flavor->name, "nfs4", peer, NULL, lares_auth_context_get_refused(context),
                              reason ? reason : "credential refused");
        return NULL;
    }
    if (lares_auth_login(service->host, context, flavor, "nfs4", peer, &identity) != LARES_OK) {
        *auth_stat = RPC_AUTH_REJECTEDCRED;
        return NULL;
    }
    Cred *cred = g_malloc0(sizeof *cred + call->cred_len);
    cred->ref = 1;
    cred->number = call->flavor;
    cred->flavor = flavor;
    cred->identity = identity;
    const LaresAuthPeer *who = lares_auth_context_get_peer(context);
    cred->principal = principal_of(flavor, who);
    cred->machine = who->machine;
    cred->context = g_steal_pointer(&context);
    cred->len = call->cred_len;
    if (cred->len)
        memcpy(cred->bytes, call->cred, cred->len);
    return cred;
}

LaresIdentity *
nfs4_fresh_identity(Nfs4Service *service, LaresIdentity *identity)
{
    LaresIdentity *fresh = NULL;
    if (G_LIKELY(identity->generation == lares_directory_generation()))
        return identity;
    LaresStatus status = lares_directory_refresh(service->directory, identity, &fresh);
    lares_identity_unref(identity);
    return status == LARES_OK ? fresh : NULL;
}

/* Keeps a refreshed identity for the next request. */
static void
remember(Nfs4Connection *connection, Cred *cred, LaresIdentity *identity)
{
    LaresIdentity *old = lares_identity_ref(identity);
    g_mutex_lock(&connection->lock);
    LaresIdentity *now = cred->identity;
    cred->identity = old;
    g_mutex_unlock(&connection->lock);
    lares_identity_unref(now);
}

gboolean
nfs4_cred_login(Nfs4Call *call, Nfs4Login *login, uint32_t *auth_stat)
{
    Nfs4Connection *connection = call->connection;
    LaresIdentity *identity = NULL;
    g_mutex_lock(&connection->lock);
    Cred *cred = find(connection->creds, call);
    if (cred) {
        g_atomic_int_inc(&cred->ref);
        identity = lares_identity_ref(cred->identity);
    }
    g_mutex_unlock(&connection->lock);
    if (!cred) {
        cred = establish(call, auth_stat);
        if (!cred)
            return FALSE;
        identity = lares_identity_ref(cred->identity);
        g_mutex_lock(&connection->lock);
        Cred *dropped = insert(connection->creds, cred);
        g_mutex_unlock(&connection->lock);
        if (dropped)
            cred_unref(dropped);
    }
    LaresIdentity *fresh = nfs4_fresh_identity(connection->service, identity);
    if (!fresh) {
        lares_auth_count_refused(cred->flavor->name, "nfs4", LARES_REFUSED_DISABLED);
        cred_unref(cred);
        *auth_stat = RPC_AUTH_REJECTEDCRED;
        return FALSE;
    }
    if (fresh != identity)
        remember(connection, cred, fresh);
    *login = (Nfs4Login){fresh, cred->flavor, cred->principal, cred->machine, cred, cred_unref};
    return TRUE;
}
