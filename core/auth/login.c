/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where a login becomes an identity, and the audit line of every login.
 *
 * A failure is written, though not all that one address repeats. A success is, too, except that AUTH_SYS proves nothing
 * and comes with every connection of every client: the same uid from the same client with the same flavor is written
 * once, until it is refused or drops out of a bounded memory.
 *
 * Locks: the memory's own; nothing is called while it is held. */
#include "auth/registry.h"

#include "base/log.h"

#include <lares/identity.h>
#include <lares/log.h>
#include <string.h>

#define RECENT_MAX   4096
#define COUNTERS_MAX 64

/* ---- Counters -------------------------------------------------------------------------------------------------- */

typedef struct {
    char flavor[33];
    guint64 accepted, refused;
} Counter;

static GMutex counting;
static Counter counters[COUNTERS_MAX];
static guint n_counters;
static guint64 n_accepted, n_refused;

/* The names of flavors are few: they are those of the registry, and "" for a peer that named none of them. */
static void
count(const char *flavor, gboolean accepted)
{
    const char *name = flavor && lares_flavor_by_name(flavor) ? flavor : "unknown";
    guint i;
    g_mutex_lock(&counting);
    for (i = 0; i < n_counters && !g_str_equal(counters[i].flavor, name); i++)
        ;
    if (i == n_counters && n_counters < COUNTERS_MAX) {
        g_strlcpy(counters[i].flavor, name, sizeof counters[i].flavor);
        n_counters++;
    }
    if (i < n_counters)
        *(accepted ? &counters[i].accepted : &counters[i].refused) += 1;
    *(accepted ? &n_accepted : &n_refused) += 1;
    g_mutex_unlock(&counting);
}

GVariant *
lares_auth_counters(void)
{
    GVariantBuilder all, flavors;
    g_variant_builder_init(&all, G_VARIANT_TYPE_VARDICT);
    g_variant_builder_init(&flavors, G_VARIANT_TYPE("a{s(tt)}"));
    g_mutex_lock(&counting);
    for (guint i = 0; i < n_counters; i++)
        g_variant_builder_add(&flavors, "{s(tt)}", counters[i].flavor, counters[i].accepted, counters[i].refused);
    g_variant_builder_add(&all, "{sv}", "accepted", g_variant_new_uint64(n_accepted));
    g_variant_builder_add(&all, "{sv}", "refused", g_variant_new_uint64(n_refused));
    g_mutex_unlock(&counting);
    g_variant_builder_add(&all, "{sv}", "flavors", g_variant_builder_end(&flavors));
    return g_variant_builder_end(&all);
}

/* ---- What was written already ---------------------------------------------------------------------------------- */

typedef struct {
    char address[48];
    uint32_t uid;
    const LaresFlavor *flavor;
    gboolean anonymous;
} Recent;

static GMutex remembering;
static GHashTable *recent; /* a set of Recent */

static guint
recent_hash(gconstpointer key)
{
    const Recent *r = key;
    return g_str_hash(r->address) * 31 + r->uid + g_direct_hash(r->flavor);
}

static gboolean
recent_equal(gconstpointer a, gconstpointer b)
{
    const Recent *x = a, *y = b;
    return x->uid == y->uid && x->flavor == y->flavor && x->anonymous == y->anonymous &&
           g_str_equal(x->address, y->address);
}

static void
recent_key(Recent *key, const LaresAuthPeer *who, const LaresFlavor *flavor, const LaresPeer *peer)
{
    *key = (Recent){.uid = who->anonymous ? 0 : who->uid, .flavor = flavor, .anonymous = who->anonymous};
    g_strlcpy(key->address, peer->address, sizeof key->address);
}

static gboolean
seen_before(const LaresAuthPeer *who, const LaresFlavor *flavor, const LaresPeer *peer)
{
    Recent key;
    recent_key(&key, who, flavor, peer);
    g_mutex_lock(&remembering);
    if (!recent)
        recent = g_hash_table_new_full(recent_hash, recent_equal, g_free, NULL);
    gboolean seen = g_hash_table_contains(recent, &key);
    if (!seen) {
        if (g_hash_table_size(recent) >= RECENT_MAX)
            g_hash_table_remove_all(recent);
        g_hash_table_add(recent, g_memdup2(&key, sizeof key));
    }
    g_mutex_unlock(&remembering);
    return seen;
}

static void
forget(const LaresAuthPeer *who, const LaresFlavor *flavor, const LaresPeer *peer)
{
    Recent key;
    recent_key(&key, who, flavor, peer);
    g_mutex_lock(&remembering);
    if (recent)
        g_hash_table_remove(recent, &key);
    g_mutex_unlock(&remembering);
}

/* ---- The login ------------------------------------------------------------------------------------------------- */

static void
audit(const LaresAuthPeer *who, const char *user, const LaresFlavor *flavor, const char *protocol,
      const LaresPeer *peer, gboolean accepted, const char *reason)
{
    char number[16], left_out[LARES_AUDIT_LEFT_OUT] = "";
    if (!accepted && !lares_audit_limit(peer->address, left_out))
        return;
    const char *principal = who->principal;
    const char *realm = who->realm;
    if (!realm && principal && strrchr(principal, '@'))
        realm = strrchr(principal, '@') + 1;
    g_snprintf(number, sizeof number, "%u", who->uid);
    lares_audit("auth", "principal", principal, "realm", realm, "uid", who->unix_ids ? number : NULL, "user", user,
                "client", peer->address, "flavor", flavor->name, "protocol", protocol, "verdict",
                accepted ? "accepted" : "refused", "reason", reason, "left_out", left_out[0] ? left_out : NULL, NULL);
}

LaresStatus
lares_auth_login_in(LaresDirectory *directory, LaresAuthContext *context, const LaresFlavor *flavor,
                    const char *protocol, const LaresPeer *peer, LaresIdentity **identity)
{
    const char *reason = NULL;
    const LaresAuthPeer *who = lares_auth_context_get_peer(context);
    *identity = NULL;
    if (!who) {
        lares_auth_refused(flavor->name, protocol, peer, NULL, "the context is not established");
        return LARES_ACCESS;
    }
    gboolean unproven = !who->principal;
    LaresStatus status = lares_directory_resolve(directory, who, identity, &reason);
    count(flavor->name, status == LARES_OK);
    if (status != LARES_OK) {
        if (unproven)
            forget(who, flavor, peer);
        audit(who, NULL, flavor, protocol, peer, FALSE, reason ? reason : lares_status_name(status));
        return status;
    }
    /* What the flavor does not prove is not proven; the identity is not shared yet. */
    if (flavor->protection < LARES_PROTECT_AUTHENTICATED)
        (*identity)->authenticated = FALSE;
    if (!unproven || !seen_before(who, flavor, peer))
        audit(who, (*identity)->name, flavor, protocol, peer, TRUE, NULL);
    return LARES_OK;
}

void
lares_auth_refused(const char *flavor, const char *protocol, const LaresPeer *peer, const char *principal,
                   const char *reason)
{
    const char *at = principal ? strrchr(principal, '@') : NULL;
    char left_out[LARES_AUDIT_LEFT_OUT];
    count(flavor, FALSE);
    if (!lares_audit_limit(peer->address, left_out))
        return;
    lares_audit("auth", "principal", principal, "realm", at ? at + 1 : NULL, "client", peer->address, "flavor", flavor,
                "protocol", protocol, "verdict", "refused", "reason", reason, "left_out", left_out[0] ? left_out : NULL,
                NULL);
}

void
lares_auth_denied(const char *share, const char *user, const LaresFlavor *flavor, const char *protocol,
                  const LaresPeer *peer, const char *reason)
{
    char who[64], left_out[LARES_AUDIT_LEFT_OUT];
    g_snprintf(who, sizeof who, "access %s", peer->address);
    if (!lares_audit_limit(who, left_out))
        return;
    lares_audit("access", "share", share, "user", user, "client", peer->address, "flavor", flavor ? flavor->name : NULL,
                "protocol", protocol, "verdict", "refused", "reason", reason, "left_out", left_out[0] ? left_out : NULL,
                NULL);
}
