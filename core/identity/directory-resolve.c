/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From what a context proved (or a client claimed) to an identity: the one ladder for all protocols.
 *
 * Principals: explicit mapping; machine; realm stripped, but only a realm of ours; directory user or account of the
 * host; provisioned on the first login. A disabled user ends every ladder and is never made again. Groups that the
 * user's domain named at the login stay the identity's until it ends.
 * AUTH_SYS: the wire's numbers, with the groups looked up here for users we know. */
#include "identity/directory-private.h"
#include "identity/directory-sid.h"

#include <lares/log.h>
#include <string.h>

typedef struct {
    LaresDirectory *d;
    gboolean may_change; /* a login; FALSE: a refresh, which makes nobody */
    guint generation;
    const char *reason;
    LaresLadder *ladder; /* not NULL: only asked about; nothing is made or noted, and the ladder's steps are kept */
    const LaresAuthSids *sids; /* a login's; NULL */
    const uint32_t *kept;      /* groups of the login that is refreshed, */
    uint32_t n_kept;           /* or that `sids` stand for */
} Ask;

static LaresStatus
refuse(Ask *ask, LaresStatus status, const char *reason)
{
    ask->reason = reason;
    return status;
}

/* ---- Groups ---------------------------------------------------------------------------------------------------- */

static void
add_directory_groups(LaresDirectory *d, const char *name, GArray *to)
{
    g_rw_lock_reader_lock(&d->lock);
    const GPtrArray *groups = g_hash_table_lookup(d->tables.memberships, name);
    for (guint i = 0; groups && i < groups->len; i++)
        g_array_append_val(to, ((const LaresGroup *)groups->pdata[i])->gid);
    g_rw_lock_reader_unlock(&d->lock);
}

/* FALSE when the host could not say. */
static gboolean
collect_groups(LaresDirectory *d, const LaresUserCopy *user, GArray *to)
{
    add_directory_groups(d, user->name, to);
    g_array_append_val(to, user->gid);
    return user->source != LARES_USER_HOST || lares_nss_groups_of(d->nss, user->name, user->gid, to) == LARES_NSS_FOUND;
}

/* ---- Accounts -------------------------------------------------------------------------------------------------- */

static LaresStatus
find_host_account(Ask *ask, const char *name, gboolean on_purpose, gboolean known, LaresUserCopy *user)
{
    LaresNssEntry entry;
    g_autoptr(GError) error = NULL;
    switch (lares_nss_user_by_name(ask->d->nss, name, &entry)) {
    case LARES_NSS_ERROR:
        /* What is known already goes on working while the host's name service is away; an account that is only known
         * because somebody else was mapped to it is not. */
        if (known && !on_purpose && !lares_directory_host_uid_allowed(ask->d, user->uid))
            return refuse(ask, LARES_ACCESS, "a system account of the host");
        return known ? LARES_OK : refuse(ask, LARES_DELAY, "the host's name service does not answer");
    case LARES_NSS_ABSENT:
        return known ? refuse(ask, LARES_ACCESS, "the host account is gone") : LARES_NOENT;
    case LARES_NSS_FOUND:
        break;
    }
    if (!g_str_equal(entry.name, name)) /* a name service that folds case must not give a second name to a user */
        return refuse(ask, LARES_ACCESS, "the host account has another spelling");
    if (!on_purpose && !lares_directory_host_uid_allowed(ask->d, entry.id))
        return refuse(ask, LARES_ACCESS, "a system account of the host");
    if (ask->ladder) {
        *user = (LaresUserCopy){.uid = entry.id, .gid = entry.gid, .source = LARES_USER_HOST};
        g_strlcpy(user->name, name, sizeof user->name);
        return LARES_OK;
    }
    if (!known && !ask->may_change)
        return refuse(ask, LARES_ACCESS, "no longer in the directory");
    if ((!known || user->uid != entry.id || user->gid != entry.gid) &&
        !lares_directory_note_host_user(ask->d, &entry, &error)) {
        lares_log_limited(LARES_LOG_ERROR, "identity", "%s", error->message);
        return refuse(ask, LARES_SERVERFAULT, "the directory cannot be written");
    }
    /* Read again: an administrator may have disabled the name in the meantime. */
    if (!lares_directory_copy_user(ask->d, name, user) || user->disabled)
        return refuse(ask, LARES_ACCESS, LARES_REASON_DISABLED);
    user->uid = entry.id;
    user->gid = entry.gid;
    return LARES_OK;
}

/* A user of the directory or the host; LARES_NOENT when there is none. `on_purpose`: an administrator wrote the name.
 */
static LaresStatus
find_account(Ask *ask, const char *name, gboolean on_purpose, gboolean host, LaresUserCopy *user)
{
    gboolean known = lares_directory_copy_user(ask->d, name, user);
    if (ask->ladder) {
        g_free(ask->ladder->name);
        ask->ladder->name = g_strdup(name);
    }
    if (known && user->disabled)
        return refuse(ask, LARES_ACCESS, LARES_REASON_DISABLED);
    if (known && user->source != LARES_USER_HOST)
        return LARES_OK;
    if (host)
        return find_host_account(ask, name, on_purpose, known, user);
    return known ? refuse(ask, LARES_ACCESS, "host accounts are switched off") : LARES_NOENT;
}

/* A user of the directory called root or daemon would have a number of its own here, but its owner name would be the
 * superuser's on a client that maps names to its own accounts: a setuid file of it would be root's there. So the names
 * of system accounts are never given out, also where host accounts are switched off. */
static LaresStatus
check_not_the_systems(Ask *ask, const char *name)
{
    LaresNssEntry entry;
    switch (lares_nss_user_by_name(ask->d->nss, name, &entry)) {
    case LARES_NSS_ERROR:
        return refuse(ask, LARES_DELAY, "the host's name service does not answer");
    case LARES_NSS_FOUND:
        if (!lares_directory_host_uid_allowed(ask->d, entry.id))
            return refuse(ask, LARES_ACCESS, "a system account of the host");
        return LARES_OK;
    case LARES_NSS_ABSENT:
        break;
    }
    return LARES_OK;
}

static LaresStatus
provision(Ask *ask, const char *name, const char *principal, LaresUserCopy *user)
{
    g_autoptr(GError) error = NULL;
    if (!ask->may_change)
        return refuse(ask, LARES_ACCESS, "no longer in the directory");
    LaresStatus status = check_not_the_systems(ask, name);
    if (status != LARES_OK)
        return status;
    if (ask->ladder)
        ask->ladder->is_new = TRUE;
    if (ask->ladder ? !lares_directory_foresee(ask->d, name, user, &error)
                    : !lares_directory_provision(ask->d, name, principal, user, &error)) {
        if (!ask->ladder)
            lares_log_limited(LARES_LOG_WARNING, "identity", "cannot provision %s: %s", principal, error->message);
        return refuse(ask, LARES_ACCESS,
                      g_error_matches(error, LARES_ERROR, LARES_ERROR_INVALID) ? "the name cannot be used"
                                                                               : "cannot be provisioned");
    }
    return user->disabled ? refuse(ask, LARES_ACCESS, LARES_REASON_DISABLED) : LARES_OK;
}

/* ---- Mappings and realms --------------------------------------------------------------------------------------- */

static gboolean
star_may_stand_for(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (strchr("/@$\\", text[i]))
            return FALSE;
    }
    return len > 0;
}

/* Does `text` have the pattern's form? *part and *part_len: what its '*' stands for. */
static gboolean
pattern_matches(const char *pattern, const char *text, const char **part, size_t *part_len)
{
    const char *star = strchr(pattern, '*');
    size_t head = (size_t)(star - pattern), tail = strlen(star + 1), len = strlen(text);
    if (len < head + tail || memcmp(text, pattern, head) != 0 || memcmp(text + len - tail, star + 1, tail) != 0)
        return FALSE;
    *part = text + head;
    *part_len = len - head - tail;
    return star_may_stand_for(*part, *part_len);
}

/* The user an administrator mapped the principal to, or NULL. *fixed: named in full, not made of the principal. */
static char *
mapped_user(Ask *ask, const char *principal, gboolean *fixed)
{
    LaresDirectory *d = ask->d;
    const char *part = NULL;
    size_t part_len = 0;
    char *user = NULL;
    *fixed = TRUE;
    g_rw_lock_reader_lock(&d->lock);
    const LaresMapping *mapping = strchr(principal, '*') ? NULL : g_hash_table_lookup(d->tables.mappings, principal);
    for (guint i = 0; !mapping && i < d->tables.patterns->len; i++) {
        const LaresMapping *candidate = g_ptr_array_index(d->tables.patterns, i);
        if (pattern_matches(candidate->pattern, principal, &part, &part_len))
            mapping = candidate;
    }
    if (mapping && ask->ladder) {
        ask->ladder->rule = part ? "pattern" : "mapping";
        ask->ladder->pattern = g_strdup(mapping->pattern);
    }
    const char *star = mapping ? strchr(mapping->user, '*') : NULL;
    if (star && part) {
        *fixed = FALSE;
        user = g_strdup_printf("%.*s%.*s%s", (int)(star - mapping->user), mapping->user, (int)part_len, part, star + 1);
    } else if (mapping) {
        user = g_strdup(mapping->user);
    }
    g_rw_lock_reader_unlock(&d->lock);
    return user;
}

static gboolean
realm_is_ours(LaresDirectory *d, const char *realm)
{
    gboolean ours;
    g_rw_lock_reader_lock(&d->lock);
    if (d->config->realms[0])
        ours = g_strv_contains((const char *const *)d->config->realms, realm);
    else
        ours = g_ptr_array_find_with_equal_func(d->local_realms, realm, g_str_equal, NULL);
    g_rw_lock_reader_unlock(&d->lock);
    return ours;
}

/* The principal without its realm; *realm points into `principal` or is NULL when it has none. NULL: inconsistent. */
static char *
strip_realm(const LaresAuthPeer *peer, const char **realm)
{
    const char *at = strrchr(peer->principal, '@');
    size_t escapes = 0;
    while (at && at - escapes > peer->principal && at[-1 - (gssize)escapes] == '\\')
        escapes++;
    if (escapes % 2) /* the last '@' is part of a name: there is no realm behind it */
        at = NULL;
    *realm = at ? at + 1 : NULL;
    if (peer->realm && (!at || !g_str_equal(at + 1, peer->realm)))
        return NULL;
    return at ? g_strndup(peer->principal, (gsize)(at - peer->principal)) : g_strdup(peer->principal);
}

static gboolean
is_machine_name(const char *name)
{
    size_t len = strlen(name);
    return g_str_has_prefix(name, "host/") || g_str_has_prefix(name, "nfs/") ||
           (len > 1 && name[len - 1] == '$' && !strchr(name, '/'));
}

/* ---- Identities ------------------------------------------------------------------------------------------------ */

static LaresIdentity *
nobody(Ask *ask, LaresIdentityFull *values)
{
    values->pub.name = "nobody";
    values->pub.uid = values->pub.gid = LARES_NOBODY_ID;
    values->pub.anonymous = TRUE;
    values->pub.authenticated = FALSE;
    values->pub.generation = ask->generation;
    return lares_identity_new(values, NULL, 0);
}

static LaresStatus
identity_of_account(Ask *ask, LaresIdentityFull *values, const LaresUserCopy *user, LaresIdentity **identity)
{
    g_autoptr(GArray) groups = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    if (!collect_groups(ask->d, user, groups))
        return refuse(ask, LARES_DELAY, "the host's name service does not give the user's groups");
    if (ask->n_kept)
        g_array_append_vals(groups, ask->kept, ask->n_kept);
    values->claimed = ask->kept;
    values->n_claimed = ask->n_kept;
    values->pub.name = user->name;
    values->pub.uid = user->uid;
    values->pub.gid = user->gid;
    values->pub.authenticated = TRUE;
    values->pub.generation = ask->generation;
    *identity = lares_identity_new(values, (const uint32_t *)groups->data, groups->len);
    return LARES_OK;
}

/* A machine is never refused: it gets the configured account or nobody's rights. */
static LaresStatus
resolve_machine(Ask *ask, LaresIdentityFull *values, LaresIdentity **identity)
{
    LaresUserCopy user;
    values->pub.machine = TRUE;
    if (ask->ladder)
        ask->ladder->rule = "machine";
    g_rw_lock_reader_lock(&ask->d->lock);
    g_autofree char *account = g_strdup(ask->d->config->machine_account);
    g_rw_lock_reader_unlock(&ask->d->lock);
    if (*account) {
        Ask own = {.d = ask->d, .may_change = TRUE, .generation = ask->generation, .ladder = ask->ladder};
        if (find_account(&own, account, TRUE, TRUE, &user) == LARES_OK &&
            identity_of_account(&own, values, &user, identity) == LARES_OK)
            return LARES_OK;
        lares_log_limited(LARES_LOG_WARNING, "identity", "machine-account %s cannot be used: %s", account,
                          own.reason ? own.reason : "no such user");
    }
    *identity = nobody(ask, values);
    return LARES_OK;
}

/* Steps 2 to 4 of the ladder for a principal nobody mapped. */
static LaresStatus
account_of_principal(Ask *ask, const char *name, const char *realm, const char *principal, LaresUserCopy *user)
{
    LaresDirectory *d = ask->d;
    gboolean foreign = realm && !realm_is_ours(d, realm);
    g_rw_lock_reader_lock(&d->lock);
    gboolean make = d->config->provision && (!foreign || d->config->provision_foreign);
    gboolean host = d->config->host_accounts && !foreign;
    g_rw_lock_reader_unlock(&d->lock);
    if (ask->ladder && !ask->ladder->rule)
        ask->ladder->rule = foreign ? "foreign" : "name";

    const char *wanted = foreign ? principal : name;
    LaresStatus status = find_account(ask, wanted, FALSE, host, user);
    if (status != LARES_NOENT)
        return status;
    if (!make)
        return refuse(ask, LARES_ACCESS, foreign ? "the realm is not ours" : "unknown user");
    return provision(ask, wanted, principal, user);
}

/* The identity of a person's account, with the groups of their domain. `user_is_shared`: others may be mapped to it. */
static LaresStatus
identity_of_person(Ask *ask, LaresIdentityFull *values, const LaresUserCopy *user, gboolean user_is_shared,
                   LaresIdentity **identity)
{
    g_autoptr(GArray) gids = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    if (ask->sids) {
        LaresStatus status = lares_sid_learn(ask->d, values->realm ? values->realm : "", ask->sids,
                                             user_is_shared ? NULL : user->name, gids, &ask->reason);
        if (status != LARES_OK)
            return status;
        ask->kept = (const uint32_t *)gids->data;
        ask->n_kept = gids->len;
    }
    return identity_of_account(ask, values, user, identity);
}

static LaresStatus
resolve_principal(Ask *ask, const LaresAuthPeer *peer, LaresIdentity **identity)
{
    const char *realm;
    gboolean fixed;
    LaresUserCopy user;
    LaresIdentityFull values = {.kind = LARES_IDENTITY_PRINCIPAL,
                                .pub.principal = peer->principal,
                                .realm = peer->realm,
                                .is_machine = peer->machine};
    g_autofree char *name = strip_realm(peer, &realm);
    if (!name || !*name || !g_utf8_validate(peer->principal, -1, NULL))
        return refuse(ask, LARES_ACCESS, "not a usable principal");

    if (ask->sids && lares_sid_check(ask->d, peer->realm ? peer->realm : "", ask->sids, &ask->reason) != LARES_OK)
        return LARES_ACCESS;

    values.pub.machine = peer->machine || is_machine_name(name);
    g_autofree char *mapped = mapped_user(ask, peer->principal, &fixed);
    LaresStatus status;
    if (mapped && fixed) {
        status = find_account(ask, mapped, TRUE, TRUE, &user);
        if (status == LARES_NOENT)
            status = refuse(ask, LARES_ACCESS, "mapped to an unknown user");
    } else if (mapped) {
        status = account_of_principal(ask, mapped, NULL, peer->principal, &user);
    } else if (values.pub.machine) {
        return resolve_machine(ask, &values, identity);
    } else {
        status = account_of_principal(ask, name, realm, peer->principal, &user);
    }
    if (status == LARES_OK && ask->ladder)
        ask->ladder->source = lares_user_source_name(user.source);
    return status == LARES_OK ? identity_of_person(ask, &values, &user, mapped && fixed, identity) : status;
}

/* ---- AUTH_SYS -------------------------------------------------------------------------------------------------- */

/* Who has this uid here? FALSE: nobody we know. LARES_ACCESS when disabled. */
static LaresStatus
user_of_uid(Ask *ask, uint32_t uid, LaresUserCopy *user, gboolean *known)
{
    LaresNssEntry entry;
    LaresUserCopy by_name;
    *known = lares_directory_copy_user_by_uid(ask->d, uid, user);
    if (*known && user->disabled)
        return refuse(ask, LARES_ACCESS, LARES_REASON_DISABLED);
    if (*known && user->source != LARES_USER_HOST)
        return LARES_OK;
    if (lares_nss_user_by_uid(ask->d->nss, uid, &entry) == LARES_NSS_FOUND) {
        if (lares_directory_copy_user(ask->d, entry.name, &by_name) && by_name.disabled &&
            by_name.source == LARES_USER_HOST)
            return refuse(ask, LARES_ACCESS, LARES_REASON_DISABLED);
        *known = TRUE;
        *user = (LaresUserCopy){.uid = uid, .gid = entry.gid, .source = LARES_USER_HOST};
        g_strlcpy(user->name, entry.name, sizeof user->name);
    }
    return LARES_OK;
}

static LaresStatus
resolve_unix(Ask *ask, const LaresAuthPeer *peer, LaresIdentity **identity)
{
    LaresUserCopy user;
    gboolean known;
    char number[24];
    LaresDirectory *d = ask->d;
    if (peer->uid == UINT32_MAX || peer->gid == UINT32_MAX)
        return refuse(ask, LARES_ACCESS, "not a uid and gid");
    LaresStatus status = user_of_uid(ask, peer->uid, &user, &known);
    if (status != LARES_OK)
        return status;

    g_rw_lock_reader_lock(&d->lock);
    gboolean server_groups = d->config->server_groups;
    g_rw_lock_reader_unlock(&d->lock);
    g_autoptr(GArray) groups = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    gboolean asked = known && (server_groups || peer->n_groups >= 16);
    gboolean answered = asked && collect_groups(d, &user, groups);
    /* The wire's list counts where it is all there is, and where only its length made us ask. */
    if (!answered || !server_groups)
        g_array_append_vals(groups, peer->groups, (guint)peer->n_groups);

    g_snprintf(number, sizeof number, "uid:%u", peer->uid);
    LaresIdentityFull values = {.kind = LARES_IDENTITY_UNIX,
                                .claimed_uid = peer->uid,
                                .claimed_gid = peer->gid,
                                .claimed = peer->groups,
                                .n_claimed = (uint32_t)peer->n_groups,
                                .pub.name = known ? user.name : number,
                                .pub.uid = peer->uid,
                                .pub.gid = peer->gid,
                                .pub.generation = ask->generation};
    *identity = lares_identity_new(&values, (const uint32_t *)groups->data, groups->len);
    return LARES_OK;
}

/* ---- The two questions ----------------------------------------------------------------------------------------- */

static LaresStatus
resolve(Ask *ask, const LaresAuthPeer *peer, LaresIdentity **identity)
{
    /* Before the tables are looked at: a change that comes in between leaves the identity stale, never too fresh. */
    ask->generation = lares_directory_generation();
    *identity = NULL;
    if (peer->anonymous) {
        LaresIdentityFull values = {.kind = LARES_IDENTITY_ANONYMOUS};
        *identity = nobody(ask, &values);
        return LARES_OK;
    }
    if (peer->principal)
        return resolve_principal(ask, peer, identity);
    if (peer->unix_ids)
        return resolve_unix(ask, peer, identity);
    return refuse(ask, LARES_ACCESS, "the login names nobody");
}

LaresStatus
lares_directory_resolve(LaresDirectory *d, const LaresAuthPeer *peer, LaresIdentity **identity, const char **reason)
{
    return lares_directory_login(d, peer, NULL, identity, reason);
}

LaresStatus
lares_directory_login(LaresDirectory *d, const LaresAuthPeer *peer, const LaresAuthSids *sids, LaresIdentity **identity,
                      const char **reason)
{
    Ask ask = {.d = d, .may_change = TRUE, .sids = sids};
    LaresStatus status = resolve(&ask, peer, identity);
    if (reason)
        *reason = ask.reason;
    return status;
}

LaresStatus
lares_directory_refresh(LaresDirectory *d, LaresIdentity *old, LaresIdentity **fresh)
{
    const LaresIdentityFull *full = lares_identity_full(old);
    LaresAuthPeer peer = {.principal = old->principal,
                          .realm = full->realm,
                          .machine = full->is_machine,
                          .anonymous = full->kind == LARES_IDENTITY_ANONYMOUS,
                          .unix_ids = full->kind == LARES_IDENTITY_UNIX,
                          .uid = full->claimed_uid,
                          .gid = full->claimed_gid,
                          .groups = full->claimed,
                          .n_groups = full->n_claimed};
    Ask ask = {.d = d, .may_change = FALSE};
    if (full->kind == LARES_IDENTITY_PRINCIPAL) {
        ask.kept = full->claimed;
        ask.n_kept = full->n_claimed;
    }
    LaresStatus status = resolve(&ask, &peer, fresh);
    /* A flavor that proves nothing stays that way; not yet shared, so it may still be written. */
    if (status == LARES_OK && !old->authenticated)
        (*fresh)->authenticated = FALSE;
    return status;
}

LaresStatus
lares_directory_explain(LaresDirectory *d, const char *principal, LaresLadder *ladder, LaresIdentity **identity)
{
    LaresAuthPeer peer = {.principal = principal};
    Ask ask = {.d = d, .may_change = TRUE, .ladder = ladder};
    *ladder = (LaresLadder){0};
    LaresStatus status = resolve(&ask, &peer, identity);
    ladder->reason = ask.reason;
    return status;
}

void
lares_ladder_clear(LaresLadder *ladder)
{
    g_free(ladder->pattern);
    g_free(ladder->name);
    *ladder = (LaresLadder){0};
}
