/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where a login becomes an identity, and the audit line of every login.
 *
 * A failure is written, though not all that one address repeats. A success is, too, except that AUTH_SYS proves nothing
 * and comes with every connection of every client: the same uid from the same client with the same flavor is written
 * once, until it is refused or drops out of a bounded memory.
 *
 * Locks: the memory's own; nothing is called while it is held. */
#include "auth/refusals.h"
#include "auth/registry.h"

#include "base/log.h"
#include "identity/directory.h"

#include <lares/identity.h>
#include <lares/log.h>
#include <string.h>

#define RECENT_MAX 4096

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
    if (!accepted)
        lares_refusals_add(peer->address, protocol, who->principal, reason);
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

static LaresRefused
class_of(LaresStatus status, const char *reason)
{
    if (status == LARES_DELAY || status == LARES_SERVERFAULT)
        return LARES_REFUSED_UNAVAILABLE;
    return reason && g_str_equal(reason, LARES_REASON_DISABLED) ? LARES_REFUSED_DISABLED : LARES_REFUSED_NO_USER;
}

LaresStatus
lares_auth_login_in(LaresDirectory *directory, LaresAuthContext *context, const LaresFlavor *flavor,
                    const char *protocol, const LaresPeer *peer, LaresIdentity **identity)
{
    const char *reason = NULL;
    const LaresAuthPeer *who = lares_auth_context_get_peer(context);
    *identity = NULL;
    if (!who) {
        lares_auth_refused_as(flavor->name, protocol, peer, NULL, LARES_REFUSED_MALFORMED,
                              "the context is not established");
        return LARES_ACCESS;
    }
    gboolean unproven = !who->principal;
    LaresStatus status = lares_directory_login(directory, who, lares_auth_context_get_sids(context), identity, &reason);
    if (status == LARES_OK)
        lares_auth_count_accepted(flavor->name, protocol);
    else
        lares_auth_count_refused(flavor->name, protocol, class_of(status, reason));
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
    lares_auth_refused_as(flavor, protocol, peer, principal, LARES_REFUSED_OTHER, reason);
}

void
lares_auth_refused_as(const char *flavor, const char *protocol, const LaresPeer *peer, const char *principal,
                      LaresRefused class_, const char *reason)
{
    const char *at = principal ? strrchr(principal, '@') : NULL;
    char left_out[LARES_AUDIT_LEFT_OUT];
    lares_auth_count_refused(flavor, protocol, class_);
    lares_refusals_add(peer->address, protocol, principal, reason);
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
    lares_refusals_add(peer->address, protocol, user, reason);
    g_snprintf(who, sizeof who, "access %s", peer->address);
    if (!lares_audit_limit(who, left_out))
        return;
    lares_audit("access", "share", share, "user", user, "client", peer->address, "flavor", flavor ? flavor->name : NULL,
                "protocol", protocol, "verdict", "refused", "reason", reason, "left_out", left_out[0] ? left_out : NULL,
                NULL);
}
