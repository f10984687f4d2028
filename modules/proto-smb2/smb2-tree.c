/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Trees: which share a name means, whether the session may use it and how, and the same question again whenever the
 * share has changed.
 *
 * The share's one list of flavors decides. Which of them a session satisfies: a flavor of the mechanism it logged in
 * with, of protection "authenticated" at once, "integrity" if its requests are signed, "privacy" if they are encrypted;
 * guests and anonymous ones satisfy "sys" alone. The weakest one that is allowed is what every request of the tree
 * is held to; where the first in the list that this client can satisfy is a "privacy" one, the client is told to
 * encrypt.
 *
 * Spec: [MS-SMB2] 2.2.9, 2.2.10, 3.3.5.7, 3.3.5.8, 3.3.5.2.11.
 * Thread: any. Locks: smb2.h. */
#include "smb2-message.h"

Smb2Tree *
smb2_tree_ref(Smb2Tree *tree)
{
    g_atomic_int_inc(&tree->ref);
    return tree;
}

void
smb2_tree_unref(Smb2Tree *tree)
{
    if (!g_atomic_int_dec_and_test(&tree->ref))
        return;
    g_clear_pointer(&tree->share, lares_share_unref);
    smb2_session_unref(tree->session);
    g_free(tree);
}

Smb2Tree *
smb2_tree_find(Smb2Session *s, uint32_t id)
{
    g_mutex_lock(&s->lock);
    Smb2Tree *tree = g_hash_table_lookup(s->trees, &id);
    if (tree)
        smb2_tree_ref(tree);
    g_mutex_unlock(&s->lock);
    return tree;
}

gboolean
smb2_tree_end(Smb2Tree *tree, const char *reason)
{
    Smb2Session *s = tree->session;
    g_mutex_lock(&s->lock);
    gboolean was = g_hash_table_lookup(s->trees, &tree->id) == tree;
    if (was)
        g_hash_table_steal(s->trees, &tree->id);
    g_mutex_unlock(&s->lock);
    if (!was)
        return FALSE;
    g_atomic_int_set(&tree->ended, TRUE);
    if (reason)
        lares_debug("smb2", "tree %u of session %" G_GINT64_MODIFIER "x ends: %s", tree->id, s->id, reason);
    smb2_opens_of_tree_close(tree);
    smb2_tree_unref(tree); /* the table's */
    return TRUE;
}

/* ---- Policy -------------------------------------------------------------------------------------------------------
 */

/* What a session can do for its requests. */
typedef struct {
    const LaresFlavor *login;
    gboolean can_sign, can_encrypt;
} Ability;

typedef struct {
    const LaresFlavor *flavor; /* the weakest that is allowed */
    gboolean advise_encryption;
} Policy;

static Ability
ability_of(Smb2Session *s)
{
    g_mutex_lock(&s->lock);
    Ability a = {.login = s->flavor, .can_sign = s->first_sign != NULL, .can_encrypt = s->keys != NULL};
    g_mutex_unlock(&s->lock);
    return a;
}

static gboolean
same_mechanism(const LaresFlavor *a, const LaresFlavor *b)
{
    if (a == b)
        return TRUE;
    return a->gss_oid && b->gss_oid && a->gss_oid_len == b->gss_oid_len &&
           memcmp(a->gss_oid, b->gss_oid, a->gss_oid_len) == 0;
}

static gboolean
can_encrypt_enough(const Ability *a, const LaresShare *share)
{
    return !(share->options & LARES_SHARE_SMB_ENCRYPT) || a->can_encrypt;
}

static gboolean
satisfies(const Ability *a, const LaresFlavor *flavor)
{
    if (!a->login || !same_mechanism(a->login, flavor))
        return FALSE;
    switch (flavor->protection) {
    case LARES_PROTECT_NONE:
        return a->login->protection == LARES_PROTECT_NONE;
    case LARES_PROTECT_AUTHENTICATED:
        return TRUE;
    case LARES_PROTECT_INTEGRITY:
        return a->can_sign || a->can_encrypt;
    case LARES_PROTECT_PRIVACY:
        return a->can_encrypt;
    }
    return FALSE;
}

/* FALSE: the share's list has nothing for this session. */
static gboolean
find_policy(const LaresShare *share, const Ability *a, Policy *policy)
{
    *policy = (Policy){NULL};
    for (guint i = 0; i < share->n_flavors; i++) {
        const LaresFlavor *flavor = share->flavor[i];
        if (!satisfies(a, flavor))
            continue;
        if (!policy->flavor)
            policy->advise_encryption = flavor->protection == LARES_PROTECT_PRIVACY;
        if (!policy->flavor || flavor->protection < policy->flavor->protection)
            policy->flavor = flavor;
    }
    return policy->flavor != NULL;
}

gboolean
smb2_share_visible(Smb2Session *session, const LaresShare *share, const LaresPeer *peer)
{
    Policy policy;
    Ability a = ability_of(session);
    return share->enabled && lares_share_allows_host(share, peer) && find_policy(share, &a, &policy) &&
           can_encrypt_enough(&a, share);
}

/* "krb5p, krb5i" for the audit log. */
static char *
wanted(const LaresShare *share)
{
    GString *list = g_string_new(NULL);
    for (guint i = 0; i < share->n_flavors; i++)
        g_string_append_printf(list, "%s%s", i ? ", " : "", share->flavor[i]->name);
    return g_string_free(list, FALSE);
}

/* The administrator's doing: once, whatever the peer does. */
static void
audit_end(const char *share, const LaresIdentity *identity, const LaresFlavor *flavor, const char *reason)
{
    lares_audit("access", "share", share, "user", identity ? identity->name : NULL, "flavor",
                flavor ? flavor->name : NULL, "protocol", "smb2", "verdict", "ended", "reason", reason, NULL);
}

static void
audit_refusal(const Smb2Op *op, const char *share, const char *reason)
{
    Ability a = ability_of(op->session);
    lares_auth_denied(share, op->caller.identity ? op->caller.identity->name : NULL, a.login, "smb2", op->caller.peer,
                      reason);
}

/* ---- Again --------------------------------------------------------------------------------------------------------
 */

/* Whether the share is for every host that the session comes from: a request may come over any of its connections. */
static gboolean
allows_hosts(const LaresShare *share, Smb2Session *s)
{
    gboolean ok = TRUE;
    g_mutex_lock(&s->lock);
    g_autoptr(GPtrArray) channels = g_ptr_array_copy(s->channels, (GCopyFunc)(void (*)(void))smb2_channel_ref, NULL);
    g_mutex_unlock(&s->lock);
    g_ptr_array_set_free_func(channels, (GDestroyNotify)smb2_channel_unref);
    for (guint i = 0; i < channels->len && ok; i++) {
        Smb2Channel *channel = channels->pdata[i];
        ok = !g_atomic_int_get(&channel->established) ||
             lares_share_allows_host(share, lares_connection_peer(channel->connection->net));
    }
    return ok;
}

gboolean
smb2_session_may_come_from(Smb2Session *s, const LaresPeer *peer)
{
    g_autoptr(GPtrArray) shares = g_ptr_array_new_with_free_func((GDestroyNotify)lares_share_unref);
    GHashTableIter iter;
    gpointer value;
    gboolean ok = TRUE;
    g_mutex_lock(&s->lock);
    g_hash_table_iter_init(&iter, s->trees);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        if (((Smb2Tree *)value)->share)
            g_ptr_array_add(shares, lares_share_ref(((Smb2Tree *)value)->share));
    }
    g_mutex_unlock(&s->lock);
    for (guint i = 0; i < shares->len && ok; i++)
        ok = lares_share_allows_host(shares->pdata[i], peer);
    return ok;
}

void
smb2_session_look_again(Smb2Session *s)
{
    g_mutex_lock(&s->lock);
    s->logins++;
    g_mutex_unlock(&s->lock);
}

static gboolean
same_cred(const LaresCred *a, const LaresCred *b)
{
    return a->uid == b->uid && a->gid == b->gid && a->n_groups == b->n_groups &&
           (a->n_groups == 0 || memcmp(a->groups, b->groups, a->n_groups * sizeof *a->groups) == 0);
}

const char *
smb2_share_objection(const LaresShare *was, const LaresShare *now, const LaresIdentity *who, const LaresFlavor *flavor)
{
    LaresCred before, after;
    if (now->read_only && !was->read_only)
        return "the share is read-only now";
    if (now->store && was->store && now->store != was->store)
        return "the share's folder has changed";
    lares_share_cred(was, who, flavor, &before);
    lares_share_cred(now, who, flavor, &after);
    return same_cred(&before, &after) ? NULL : "the share's squash has changed";
}

/* A client that was not told to sign or encrypt does not begin to: it has to connect again. */
static gboolean
keeps_protection(const Smb2Tree *tree, const LaresFlavor *flavor)
{
    if (flavor->protection == LARES_PROTECT_PRIVACY)
        return tree->require_encryption;
    return flavor->protection != LARES_PROTECT_INTEGRITY || tree->require_signing || tree->require_encryption;
}

/* Why the tree, which was for `was`, may not be used any more; NULL: it may. */
static const char *
objection(Smb2Tree *tree, const LaresShare *was, const LaresShare *share)
{
    Policy policy;
    if (!share || !share->enabled)
        return "the share is gone";
    Ability a = ability_of(tree->session);
    if (!find_policy(share, &a, &policy))
        return "the share's list of flavors has changed";
    if (!keeps_protection(tree, policy.flavor))
        return "the share's list of flavors asks for more now";
    if (share->options & LARES_SHARE_SMB_ENCRYPT && !tree->require_encryption)
        return "the share wants encrypted requests now";
    if (!allows_hosts(share, tree->session))
        return "the share is not for all hosts that the session comes from";
    if (!lares_share_allows(share, smb2_tree_flavor(tree)))
        return "the share's list of flavors has changed";
    /* What is open was opened as somebody, to do something: it is not made to fit, it ends. */
    g_autoptr(LaresIdentity) who = smb2_session_identity(tree->session);
    return who ? smb2_share_objection(was, share, who, smb2_tree_flavor(tree)) : NULL;
}

/* A new login of the same session ([MS-SMB2] 3.3.5.5.2) may be nobody in particular: from now on the tree's requests
 * are done as what the share has for that login, and are signed and encrypted no less than before. */
static gboolean
login_fits(Smb2Tree *tree, const LaresShare *share)
{
    Policy policy;
    Ability a = ability_of(tree->session);
    if (!share || !find_policy(share, &a, &policy) || !keeps_protection(tree, policy.flavor))
        return FALSE;
    __atomic_store_n(&tree->flavor, policy.flavor, __ATOMIC_RELEASE);
    return TRUE;
}

gboolean
smb2_tree_fresh(Smb2Tree *tree, LaresShare **share)
{
    Smb2Session *s = tree->session;
    *share = NULL;
    if (g_atomic_int_get(&tree->ended))
        return FALSE;
    if (tree->pipe)
        return TRUE;
    guint generation = lares_shares_generation(s->service->shares);
    g_mutex_lock(&s->lock);
    *share = lares_share_ref(tree->share);
    guint logins = s->logins;
    g_mutex_unlock(&s->lock);
    gboolean same_share = __atomic_load_n(&tree->generation, __ATOMIC_ACQUIRE) == generation;
    gboolean same_login = __atomic_load_n(&tree->logins, __ATOMIC_ACQUIRE) == logins;
    if (G_LIKELY(same_share && same_login))
        return TRUE;
    LaresShare *now = lares_shares_by_id(s->service->shares, (*share)->id);
    const char *reason = same_login || login_fits(tree, now) ? NULL : "the new login does not satisfy the share";
    if (!reason)
        reason = objection(tree, *share, now);
    lares_share_unref(*share);
    *share = NULL;
    if (reason) {
        if (smb2_tree_end(tree, reason)) {
            LaresIdentity *identity = smb2_session_identity(s);
            audit_end(now ? now->name : NULL, identity, smb2_tree_flavor(tree), reason);
            g_clear_pointer(&identity, lares_identity_unref);
        }
        g_clear_pointer(&now, lares_share_unref);
        return FALSE;
    }
    g_mutex_lock(&s->lock);
    LaresShare *old = tree->share;
    tree->share = lares_share_ref(now);
    g_mutex_unlock(&s->lock);
    __atomic_store_n(&tree->generation, generation, __ATOMIC_RELEASE);
    __atomic_store_n(&tree->logins, logins, __ATOMIC_RELEASE);
    lares_share_unref(old);
    *share = now;
    return TRUE;
}

/* ---- TREE_CONNECT -------------------------------------------------------------------------------------------------
 */

/* "\\server\share" in UTF-16: the share's name in the arena, NULL when it is no such path. */
static const char *
share_name(const Smb2Op *op, uint32_t *status)
{
    size_t at = smb2_get_u16(op->body + 4), len = smb2_get_u16(op->body + 6);
    /* With an extension the path's offset counts from the buffer ([MS-SMB2] 2.2.9). */
    if (op->connection->dialect == SMB2_DIALECT_311 &&
        smb2_get_u16(op->body + 2) & SMB2_TREE_CONNECT_FLAG_EXTENSION_PRESENT)
        at += SMB2_HEADER_SIZE + 8;
    const uint8_t *bytes = smb2_op_buffer(op, at, len);
    *status = STATUS_INVALID_PARAMETER;
    if (!bytes || len & 1 || len < 2)
        return NULL;
    gunichar2 *units = lares_arena_alloc(op->arena, len + 2);
    for (size_t i = 0; i < len / 2; i++)
        units[i] = smb2_get_u16(bytes + 2 * i);
    glong read = 0;
    g_autofree char *path = g_utf16_to_utf8(units, (glong)(len / 2), &read, NULL, NULL);
    *status = STATUS_BAD_NETWORK_NAME;
    if (!path || read != (glong)(len / 2) || path[0] != '\\' || path[1] != '\\')
        return NULL;
    const char *name = strchr(path + 2, '\\');
    if (!name || name == path + 2 || !name[1] || strchr(name + 1, '\\'))
        return NULL;
    *status = STATUS_SUCCESS;
    return lares_arena_strndup(op->arena, name + 1, strlen(name + 1));
}

LaresShare *
smb2_share_by_name(Smb2Service *service, const char *name)
{
    LaresShare *share = lares_shares_by_name(service->shares, name);
    if (share)
        return share;
    g_autofree char *folded = g_utf8_casefold(name, -1);
    g_autoptr(GPtrArray) all = lares_shares_list(service->shares);
    for (guint i = 0; i < all->len && !share; i++) {
        LaresShare *other = all->pdata[i];
        g_autofree char *other_folded = g_utf8_casefold(other->name, -1);
        if (g_str_equal(folded, other_folded))
            share = lares_share_ref(other);
    }
    return share;
}

static uint32_t
maximal_access(const LaresShare *share)
{
    if (!share)
        return SMB2_FILE_ALL_ACCESS;
    return share->read_only ? SMB2_FILE_GENERIC_READ | SMB2_FILE_GENERIC_EXECUTE : SMB2_FILE_ALL_ACCESS;
}

/* Enters the tree into its session. FALSE: too many, or the session has ended. */
static gboolean
enter(Smb2Tree *tree)
{
    Smb2Session *s = tree->session;
    g_mutex_lock(&s->lock);
    gboolean ok = g_hash_table_size(s->trees) < s->service->settings.max_trees &&
                  g_atomic_int_get(&s->state) != SMB2_SESSION_ENDED;
    if (ok) {
        do
            tree->id = ++s->next_tree;
        while (tree->id == 0 || tree->id == UINT32_MAX || g_hash_table_contains(s->trees, &tree->id));
        g_hash_table_insert(s->trees, &tree->id, smb2_tree_ref(tree));
    }
    g_mutex_unlock(&s->lock);
    return ok;
}

static uint32_t
check_share(Smb2Op *op, const LaresShare *share, Policy *policy)
{
    Smb2Session *s = op->session;
    Ability a = ability_of(s);
    const char *reason = NULL;
    g_autofree char *made = NULL;
    if (!lares_share_allows_host(share, op->caller.peer)) {
        reason = "the share is not for this host";
    } else if (!allows_hosts(share, s)) {
        reason = "the share is not for all hosts that the session comes from";
    } else if (!find_policy(share, &a, policy)) {
        g_autofree char *list = wanted(share);
        reason = made = g_strdup_printf("the share wants one of %s; this session has %s%s%s", list,
                                        a.login ? a.login->name : "none", a.can_sign ? ", can sign" : "",
                                        a.can_encrypt ? ", can encrypt" : "");
    } else if (!can_encrypt_enough(&a, share)) {
        reason = "the share wants encrypted requests, and this session cannot encrypt";
    } else if (policy->flavor->protection == LARES_PROTECT_INTEGRITY && !op->is_signed && !op->encrypted) {
        reason = "the share wants signed requests, and this one is not";
    }
    if (!reason)
        return STATUS_SUCCESS;
    audit_refusal(op, share->name, reason);
    return STATUS_ACCESS_DENIED;
}

static void
put_response(Smb2Op *op, const Smb2Tree *tree)
{
    LaresWriter *out = op->out;
    smb2_put_u16(out, 16);
    smb2_put_u8(out, tree->pipe ? SMB2_SHARE_TYPE_PIPE : SMB2_SHARE_TYPE_DISK);
    smb2_put_u8(out, 0);
    smb2_put_u32(out, tree->share_flags);
    smb2_put_u32(out, 0);
    smb2_put_u32(out, tree->maximal_access);
}

static guint
logins_of(Smb2Session *s)
{
    g_mutex_lock(&s->lock);
    guint logins = s->logins;
    g_mutex_unlock(&s->lock);
    return logins;
}

static Smb2Tree *
new_tree(Smb2Op *op, LaresShare *share, const Policy *policy, guint generation, guint logins)
{
    Smb2Tree *tree = g_new0(Smb2Tree, 1);
    tree->ref = 1;
    tree->session = smb2_session_ref(op->session);
    tree->pipe = share == NULL;
    tree->share = share;
    tree->flavor = policy->flavor;
    tree->maximal_access = maximal_access(share);
    tree->generation = generation;
    tree->logins = logins;
    tree->since = g_get_real_time() / G_USEC_PER_SEC;
    if (share)
        tree->share_flags = SMB2_SHAREFLAG_NO_CACHING; /* no offline copies: their conflicts are nobody's here */
    if (share && share->options & LARES_SHARE_ACCESS_BASED)
        tree->share_flags |= SMB2_SHAREFLAG_ACCESS_BASED_DIRECTORY_ENUM;
    tree->require_encryption = share && share->options & LARES_SHARE_SMB_ENCRYPT;
    if (policy->advise_encryption || tree->require_encryption)
        tree->share_flags |= SMB2_SHAREFLAG_ENCRYPT_DATA;
    if (policy->flavor) {
        tree->require_encryption |= policy->flavor->protection == LARES_PROTECT_PRIVACY;
        tree->require_signing = policy->flavor->protection == LARES_PROTECT_INTEGRITY;
    }
    return tree;
}

SMB2_OP(tree_connect)
{
    uint32_t status;
    Policy policy = {NULL};
    LaresShare *share = NULL;
    guint generation = lares_shares_generation(op->service->shares), logins = logins_of(op->session);
    const char *name = share_name(op, &status);
    if (!name)
        return status;
    if (g_ascii_strcasecmp(name, "IPC$") != 0) {
        share = smb2_share_by_name(op->service, name);
        if (!share || !share->enabled) {
            audit_refusal(op, name, share ? "the share is disabled" : "no share of this name");
            g_clear_pointer(&share, lares_share_unref);
            return STATUS_BAD_NETWORK_NAME;
        }
        status = check_share(op, share, &policy);
        if (status != STATUS_SUCCESS) {
            lares_share_unref(share);
            return status;
        }
    }
    Smb2Tree *tree = new_tree(op, share, &policy, generation, logins);
    if (!enter(tree)) {
        smb2_tree_unref(tree);
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    op->tree = tree;
    put_response(op, tree);
    return STATUS_SUCCESS;
}

SMB2_OP(tree_disconnect)
{
    if (!smb2_tree_end(op->tree, NULL))
        return STATUS_NETWORK_NAME_DELETED;
    smb2_put_u16(op->out, 4);
    smb2_put_u16(op->out, 0);
    return STATUS_SUCCESS;
}
