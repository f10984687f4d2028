/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bearer tokens: a proof that a person (who logged in by ticket) or a program carries from request to request.
 *
 * A token is 256 random bits; the database has its SHA-256 only, so that whoever reads the database cannot use it. A
 * person's token gives what the person may do at that moment, never more than its scope; a disabled user's gives
 * nothing.
 *
 * Thread: main. */
#include "control/control-private.h"

#include "base/db.h"
#include "identity/identity.h"

#include <errno.h>
#include <lares/host.h>
#include <lares/log.h>
#include <string.h>
#include <sys/random.h>

#define PREFIX         "lares_"
#define SECRET_BYTES   32
#define ID_BYTES       6
#define MAX_TOKENS     10000
#define MAX_PER_USER   64
#define ASK_SECONDS    60
#define MAX_LABEL      128
#define SERVICE_PREFIX "service:"

typedef struct {
    char *id, *hash; /* hash: hexadecimal SHA-256 */
    char *principal, *realm, *user;
    char *label;
    GArray *groups; /* of uint32_t: those that the login's domain named, which only a ticket tells */
    LaresRight scope;
    gint64 created, expires, used;
    gint64 asked;            /* when the directory was asked about the identity */
    LaresIdentity *identity; /* as of the last use; NULL for a program, and before */
} Token;

struct _LaresTokens {
    LaresControl *control;
    LaresDb *db;
    GHashTable *by_hash; /* owns the Tokens */
    GHashTable *by_id;
};

static const char *const schema[] = {
    "CREATE TABLE tokens(id TEXT PRIMARY KEY, hash TEXT UNIQUE NOT NULL, principal TEXT NOT NULL, realm TEXT NOT NULL,"
    " user TEXT NOT NULL, label TEXT NOT NULL, scope INTEGER NOT NULL, created INTEGER NOT NULL,"
    " expires INTEGER NOT NULL)",
    "ALTER TABLE tokens ADD COLUMN groups TEXT NOT NULL DEFAULT ''", NULL};

static void
token_free(gpointer data)
{
    Token *t = data;
    g_free(t->id);
    g_free(t->hash);
    g_free(t->principal);
    g_free(t->realm);
    g_free(t->user);
    g_free(t->label);
    g_clear_pointer(&t->groups, g_array_unref);
    lares_identity_unref(t->identity);
    g_free(t);
}

static char *
text_of_groups(const GArray *groups)
{
    GString *text = g_string_new(NULL);
    for (guint i = 0; i < groups->len; i++)
        g_string_append_printf(text, "%s%u", i ? "," : "", g_array_index(groups, uint32_t, i));
    return g_string_free(text, FALSE);
}

static GArray *
groups_of_text(const char *text)
{
    GArray *groups = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    g_auto(GStrv) numbers = g_strsplit(text, ",", -1);
    for (guint i = 0; numbers[i]; i++) {
        uint64_t number;
        uint32_t gid;
        if (!g_ascii_string_to_unsigned(numbers[i], 10, 0, G_MAXUINT32, &number, NULL))
            continue; /* not written by this server */
        gid = (uint32_t)number;
        g_array_append_val(groups, gid);
    }
    return groups;
}

static gint64
now(void)
{
    return g_get_real_time() / G_USEC_PER_SEC;
}

static gboolean
is_service(const Token *t)
{
    return !*t->principal;
}

static char *
subject_of(const Token *t)
{
    return is_service(t) ? g_strconcat(SERVICE_PREFIX, t->label, NULL) : g_strdup(t->principal);
}

/* ---- The table ------------------------------------------------------------------------------------------------- */

static void
keep(LaresTokens *self, Token *t)
{
    g_hash_table_insert(self->by_id, t->id, t);
    g_hash_table_insert(self->by_hash, t->hash, t);
}

static void
drop_expired(LaresTokens *self)
{
    g_autoptr(GError) error = NULL;
    GHashTableIter iter;
    Token *t;
    gint64 time = now();
    if (!lares_db_run(self->db, &error, "DELETE FROM tokens WHERE expires <= ?", "i", time)) {
        lares_warning("control", "expired tokens stay in the database: %s", error->message);
        return;
    }
    g_hash_table_iter_init(&iter, self->by_hash);
    while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&t)) {
        if (t->expires <= time) {
            g_hash_table_remove(self->by_id, t->id);
            g_hash_table_iter_remove(&iter);
        }
    }
}

static gboolean
load_all(LaresTokens *self, GError **error)
{
    GError *local = NULL;
    lares_db_lock(self->db);
    sqlite3_stmt *q = lares_db_query(self->db, error,
                                     "SELECT id, hash, principal, realm, user, label, scope, created, expires, groups"
                                     " FROM tokens",
                                     "");
    while (q && lares_db_next(self->db, q, &local)) {
        Token *t = g_new0(Token, 1);
        t->id = g_strdup(lares_db_text(q, 0));
        t->hash = g_strdup(lares_db_text(q, 1));
        t->principal = g_strdup(lares_db_text(q, 2));
        t->realm = g_strdup(lares_db_text(q, 3));
        t->user = g_strdup(lares_db_text(q, 4));
        t->label = g_strdup(lares_db_text(q, 5));
        t->scope = (LaresRight)CLAMP(sqlite3_column_int(q, 6), LARES_RIGHT_READ, LARES_RIGHT_ADMIN);
        t->created = sqlite3_column_int64(q, 7);
        t->expires = sqlite3_column_int64(q, 8);
        t->groups = groups_of_text(lares_db_text(q, 9));
        keep(self, t);
    }
    lares_db_unlock(self->db);
    if (local)
        g_propagate_error(error, local);
    return q && !local;
}

/* ---- Checking -------------------------------------------------------------------------------------------------- */

static char *
hash_of(const char *token)
{
    return g_compute_checksum_for_string(G_CHECKSUM_SHA256, token, -1);
}

/* The identity that the directory was last asked with; made from what the database has after a restart. Never
 * provisions anybody: a user who was deleted stays deleted. */
static gboolean
refresh(LaresTokens *self, Token *t)
{
    LaresDirectory *directory = lares_host_directory(self->control->host);
    LaresIdentity *fresh = NULL;
    /* The host's accounts and groups change without a word: they are asked now and then. */
    if (t->identity && t->identity->generation == lares_directory_generation() && now() - t->asked < ASK_SECONDS)
        return TRUE;
    if (!t->identity) {
        LaresIdentityFull values = {.kind = LARES_IDENTITY_PRINCIPAL,
                                    .realm = *t->realm ? t->realm : NULL,
                                    .pub.name = t->user,
                                    .pub.principal = t->principal,
                                    .pub.generation = lares_directory_generation() - 1,
                                    .pub.authenticated = TRUE,
                                    .claimed = (const uint32_t *)(gpointer)t->groups->data,
                                    .n_claimed = t->groups->len};
        t->identity = lares_identity_new(&values, NULL, 0);
    }
    if (lares_directory_refresh(directory, t->identity, &fresh) != LARES_OK)
        return FALSE;
    lares_identity_unref(t->identity);
    t->identity = fresh;
    t->asked = now();
    return TRUE;
}

/* What the token gives at this moment; FALSE: nothing. */
static gboolean
is_worth(LaresTokens *self, Token *t, LaresRight *right)
{
    if (t->expires <= now())
        return FALSE;
    *right = t->scope;
    if (is_service(t))
        return TRUE;
    if (!refresh(self, t) || !lares_control_rights(self->control, t->identity, right))
        return FALSE;
    *right = MIN(t->scope, *right);
    return TRUE;
}

gboolean
lares_tokens_worth(LaresTokens *tokens, const char *id, LaresRight *right)
{
    Token *t = tokens ? g_hash_table_lookup(tokens->by_id, id) : NULL;
    return t && is_worth(tokens, t, right);
}

gboolean
lares_control_check_token(LaresControl *control, const char *token, LaresTokenProof *proof)
{
    *proof = (LaresTokenProof){0};
    if (!control->tokens || !g_str_has_prefix(token, PREFIX) || strlen(token) > 128)
        return FALSE;
    g_autofree char *hash = hash_of(token);
    Token *t = g_hash_table_lookup(control->tokens->by_hash, hash);
    LaresRight right;
    if (!t || !is_worth(control->tokens, t, &right))
        return FALSE;
    t->used = now();
    *proof = (LaresTokenProof){.id = g_strdup(t->id),
                               .subject = subject_of(t),
                               .identity = t->identity ? lares_identity_ref(t->identity) : NULL,
                               .rights = right,
                               .expires = t->expires};
    return TRUE;
}

void
lares_token_proof_clear(LaresTokenProof *proof)
{
    g_clear_pointer(&proof->id, g_free);
    g_clear_pointer(&proof->subject, g_free);
    g_clear_pointer(&proof->identity, lares_identity_unref);
}

/* ---- token.create ---------------------------------------------------------------------------------------------- */

static gboolean
random_bytes(guchar *bytes, size_t n, GError **error)
{
    if (getrandom(bytes, n, 0) == (ssize_t)n)
        return TRUE;
    g_set_error(error, LARES_ERROR, LARES_ERROR_FAILED, "no random bytes: %s", g_strerror(errno));
    return FALSE;
}

/* RFC 4648 5 without padding: it goes into headers and shell commands as it is. */
static char *
in_letters(const guchar *bytes, size_t n)
{
    char *text = g_base64_encode(bytes, n);
    g_strdelimit(text, "+", '-');
    g_strdelimit(text, "/", '_');
    text[strcspn(text, "=")] = '\0';
    return text;
}

static gboolean
has_room(LaresTokens *self, const char *principal, GError **error)
{
    GHashTableIter iter;
    Token *t;
    guint own = 0;
    drop_expired(self);
    g_hash_table_iter_init(&iter, self->by_hash);
    while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&t))
        own += g_str_equal(t->principal, principal);
    if (*principal && own >= MAX_PER_USER) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_CONFLICT,
                    "%s has %d tokens already: revoke one (token.list shows them)", principal, MAX_PER_USER);
        return FALSE;
    }
    if (g_hash_table_size(self->by_hash) >= MAX_TOKENS) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_CONFLICT, "there are %d tokens already: revoke some", MAX_TOKENS);
        return FALSE;
    }
    return TRUE;
}

/* Scope, life and label from the arguments; never more than the caller has. */
static gboolean
take_terms(LaresTokens *self, const LaresControlCaller *caller, GVariant *args, Token *t, GError **error)
{
    const char *scope = NULL, *label = "";
    gint64 lifetime = self->control->token_lifetime;
    t->scope = caller->rights;
    g_variant_lookup(args, "label", "&s", &label);
    g_variant_lookup(args, "service", "&s", &label);
    g_variant_lookup(args, "lifetime", "x", &lifetime);
    if (g_variant_lookup(args, "scope", "&s", &scope) && !lares_right_parse(scope, &t->scope)) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_INVALID, "scope must be read, operate or admin, not \"%s\"", scope);
        return FALSE;
    }
    if (t->scope > caller->rights) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_DENIED, "you have the right \"%s\" only; a token cannot give more",
                    lares_right_name(caller->rights));
        return FALSE;
    }
    if (lifetime < 60 || lifetime > self->control->token_max_lifetime) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_INVALID,
                    "lifetime must be between 60 and %" G_GINT64_FORMAT " seconds (token-max-lifetime)",
                    self->control->token_max_lifetime);
        return FALSE;
    }
    if (strlen(label) > MAX_LABEL) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_INVALID, "a label has at most %d bytes", MAX_LABEL);
        return FALSE;
    }
    t->label = g_strdup(label);
    t->created = now();
    t->expires = t->created + lifetime;
    if (caller->expires)
        t->expires = MIN(t->expires, caller->expires);
    return TRUE;
}

static gboolean
take_owner(const LaresControlCaller *caller, GVariant *args, Token *t, GError **error)
{
    const char *service = NULL;
    if (g_variant_lookup(args, "service", "&s", &service)) {
        if (caller->rights < LARES_RIGHT_ADMIN || !*service) {
            g_set_error_literal(error, LARES_ERROR, *service ? LARES_ERROR_DENIED : LARES_ERROR_INVALID,
                                *service ? "a token for a program needs the right \"admin\""
                                         : "a program's token needs the program's name");
            return FALSE;
        }
        t->principal = g_strdup("");
        t->realm = g_strdup("");
        t->user = g_strdup("");
        return TRUE;
    }
    if (!caller->identity || !caller->identity->principal) {
        g_set_error_literal(error, LARES_ERROR, LARES_ERROR_INVALID,
                            "you are known by your account on this host only: log in with a ticket to get a token of "
                            "your own, or name a program (service)");
        return FALSE;
    }
    const LaresIdentityFull *full = lares_identity_full(caller->identity);
    t->principal = g_strdup(caller->identity->principal);
    t->realm = g_strdup(full->realm ? full->realm : "");
    t->user = g_strdup(caller->identity->name);
    g_array_append_vals(t->groups, full->claimed, full->n_claimed);
    return TRUE;
}

static GVariant *
describe(const Token *t, const char *secret)
{
    GVariantDict d;
    g_autofree char *subject = subject_of(t);
    g_variant_dict_init(&d, NULL);
    g_variant_dict_insert(&d, "id", "s", t->id);
    if (secret)
        g_variant_dict_insert(&d, "token", "s", secret);
    g_variant_dict_insert(&d, "subject", "s", subject);
    g_variant_dict_insert(&d, "scope", "s", lares_right_name(t->scope));
    g_variant_dict_insert(&d, "label", "s", t->label);
    g_variant_dict_insert(&d, "created", "x", t->created);
    g_variant_dict_insert(&d, "expires", "x", t->expires);
    if (t->used)
        g_variant_dict_insert(&d, "used", "x", t->used);
    return g_variant_dict_end(&d);
}

/* Also a read right can make and revoke its own tokens, so that the audit line is not control's. */
static void
audit(const LaresControlCaller *caller, const char *verb, const Token *t, gboolean done)
{
    g_autofree char *owner = subject_of(t);
    lares_audit("control", "verb", verb, "object", t->id, "owner", owner, "scope", lares_right_name(t->scope),
                "subject", caller->subject, "face", caller->face, "address", caller->address, "verdict",
                done ? "done" : "failed", NULL);
}

static GVariant *
token_create(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    LaresTokens *self = user;
    guchar secret[SECRET_BYTES], id[ID_BYTES];
    Token *t = g_new0(Token, 1);
    t->groups = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    if (caller->token) {
        g_set_error_literal(error, LARES_ERROR, LARES_ERROR_DENIED,
                            "a token cannot make tokens: show the ticket (Negotiate) for that");
    } else if (take_owner(caller, args, t, error) && take_terms(self, caller, args, t, error) &&
               has_room(self, t->principal, error) && random_bytes(secret, sizeof secret, error) &&
               random_bytes(id, sizeof id, error)) {
        g_autofree char *letters = in_letters(secret, sizeof secret);
        g_autofree char *token = g_strconcat(PREFIX, letters, NULL);
        t->hash = hash_of(token);
        t->id = in_letters(id, sizeof id);
        g_autofree char *groups = text_of_groups(t->groups);
        if (lares_db_run(self->db, error, "INSERT INTO tokens VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", "ssssssiiis",
                         t->id, t->hash, t->principal, t->realm, t->user, t->label, (gint64)t->scope, t->created,
                         t->expires, groups)) {
            GVariant *answer = describe(t, token);
            keep(self, t);
            audit(caller, "token.create", t, TRUE);
            return answer;
        }
    }
    token_free(t);
    return NULL;
}

/* ---- token.list, token.revoke ------------------------------------------------------------------------------------ */

static gboolean
may_see(const LaresControlCaller *caller, const Token *t)
{
    if (caller->rights >= LARES_RIGHT_ADMIN)
        return TRUE;
    return caller->identity && caller->identity->principal && !is_service(t) &&
           g_str_equal(t->principal, caller->identity->principal);
}

static gint
by_age(gconstpointer a, gconstpointer b)
{
    const Token *x = *(const Token *const *)a, *y = *(const Token *const *)b;
    return x->created != y->created ? (x->created < y->created ? -1 : 1) : strcmp(x->id, y->id);
}

static GVariant *
token_list(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    LaresTokens *self = user;
    g_autoptr(GPtrArray) mine = g_ptr_array_new();
    GVariantBuilder list;
    GHashTableIter iter;
    Token *t;
    drop_expired(self);
    g_hash_table_iter_init(&iter, self->by_hash);
    while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&t))
        if (may_see(caller, t))
            g_ptr_array_add(mine, t);
    g_ptr_array_sort(mine, by_age);
    g_variant_builder_init(&list, G_VARIANT_TYPE("aa{sv}"));
    for (guint i = 0; i < mine->len; i++)
        g_variant_builder_add_value(&list, describe(mine->pdata[i], NULL));
    return g_variant_builder_end(&list);
}

static GVariant *
token_revoke(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    LaresTokens *self = user;
    const char *id = "";
    g_variant_lookup(args, "id", "&s", &id);
    Token *t = g_hash_table_lookup(self->by_id, id);
    /* Somebody else's is as good as none. */
    if (!t || !may_see(caller, t)) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_NOT_FOUND, "there is no token \"%s\"", id);
        return NULL;
    }
    gboolean done = lares_db_run(self->db, error, "DELETE FROM tokens WHERE id = ?", "s", t->id);
    audit(caller, "token.revoke", t, done);
    if (done) {
        g_hash_table_remove(self->by_id, t->id);
        g_hash_table_remove(self->by_hash, t->hash);
    }
    return NULL;
}

/* ---- The room -------------------------------------------------------------------------------------------------- */

static const LaresParam create_params[] = {
    {"scope", "s", FALSE, "read, operate (or operator) or admin; what you may do yourself when left out"},
    {"lifetime", "x", FALSE, "seconds; token-lifetime when left out, never longer than your ticket"},
    {"label", "s", FALSE, "a word to know it by"},
    {"service", "s", FALSE, "the name of a program the token is for (right admin)"},
    {NULL}};
static const LaresParam id_params[] = {{"id", "s", TRUE, "the id that token.list shows"}, {NULL}};

static const LaresVerb verbs[] = {
    {"token.create", LARES_RIGHT_READ, "Make a bearer token; it is shown this once", create_params, token_create},
    {"token.list", LARES_RIGHT_READ, "List your tokens (with the right admin: all)", NULL, token_list},
    {"token.revoke", LARES_RIGHT_READ, "End a token at once", id_params, token_revoke},
    {NULL}};

gboolean
lares_control_open_tokens(LaresControl *control, const char *database, GError **error)
{
    LaresTokens *self = g_new0(LaresTokens, 1);
    self->control = control;
    self->by_id = g_hash_table_new(g_str_hash, g_str_equal);
    self->by_hash = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, token_free);
    self->db = lares_db_open(database, error);
    if (!self->db || !lares_db_migrate(self->db, "tokens", schema, error) || !load_all(self, error) ||
        !lares_control_add(control, verbs, self, error)) {
        lares_tokens_free(self);
        return FALSE;
    }
    drop_expired(self);
    control->tokens = self;
    return TRUE;
}

void
lares_tokens_free(LaresTokens *self)
{
    if (!self)
        return;
    g_clear_pointer(&self->by_id, g_hash_table_unref);
    g_clear_pointer(&self->by_hash, g_hash_table_unref);
    g_clear_pointer(&self->db, lares_db_close);
    g_free(self);
}
