/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Inside laresctl: one table of commands, from which parsing, help, completion and the man page are made; a client of
 * the control socket and of servers elsewhere; tables and blocks for people.
 *
 * Errors are GErrors of CTL_ERROR; their code is the exit code of the program. */
#pragma once

#include <json-glib/json-glib.h>

#define CTL_ERROR ctl_error_quark()
GQuark ctl_error_quark(void);

typedef enum {
    CTL_EXIT_OK = 0,
    CTL_EXIT_FAILED = 1,
    CTL_EXIT_USAGE = 2,
    CTL_EXIT_NOT_FOUND = 3,
    CTL_EXIT_DENIED = 4,
    CTL_EXIT_UNREACHABLE = 5,
    CTL_EXIT_CONFLICT = 6,
    CTL_EXIT_UNAVAILABLE = 7,
    CTL_EXIT_WARNINGS = 8, /* the doctor's: nothing went wrong, but something is */
    CTL_EXIT_ERRORS = 9
} CtlExit;

/* ---- The table ------------------------------------------------------------------------------------------------- */

typedef enum { CTL_TEXT, CTL_YESNO, CTL_NUMBER, CTL_LIST, CTL_FLAG } CtlType;

/* What a word stands for; completion offers it. */
typedef enum {
    CTL_NOTHING,
    CTL_FILE,
    CTL_FOLDER,
    CTL_SHARE,
    CTL_USER,
    CTL_GROUP,
    CTL_MAPPING,
    CTL_SESSION,
    CTL_MODULE,
    CTL_REALM_USER,
    CTL_REALM_HOST,
    CTL_FLAVOR,
    CTL_CONTEXT
} CtlKind;

/* A word without dashes; `rest`: all that follow, as a list. */
typedef struct {
    const char *param;
    const char *title;
    const char *doc;
    CtlKind kind;
    gboolean rest;
    const char *words; /* the only ones allowed, separated by blanks; or NULL */
} CtlArg;

/* --name VALUE; without `param` it is the command's own and not sent to the server. */
typedef struct {
    const char *name;
    const char *param;
    CtlType type;
    const char *value;
    const char *doc;
    CtlKind kind;
    const char *words;
} CtlOption;

/* CTL_OR_ALL: an empty list means everything. */
typedef enum { CTL_AS_IS, CTL_AS_TIME, CTL_AS_DURATION, CTL_AS_SIZE, CTL_OR_ALL } CtlFormat;

/* One column of a table, one line of a block; `rows`: the columns of a table within a block. A block also shows what
 * has no field here, under its own key. */
typedef struct _CtlField CtlField;
struct _CtlField {
    const char *key;
    const char *title;
    CtlFormat format;
    const CtlField *rows;
};

typedef struct _CtlCommand CtlCommand;

typedef struct {
    const CtlCommand *command;
    JsonObject *params; /* what goes to the server */
    GHashTable *own;    /* option name -> GPtrArray of values, for options without `param` */
    gboolean json;
    gboolean help;
    gboolean version;
    char *socket; /* NULL: the default */
    char *server; /* an address as it was typed; NULL: none */
    char *context;
    gboolean relative; /* a folder was typed as seen from here */
    gboolean quick;    /* somebody waits for a word to be completed */
    int exit;          /* of a command that did its work */
} CtlCall;

typedef gboolean (*CtlRun)(CtlCall *call, GError **error);

struct _CtlCommand {
    const char *words;
    const char *verb;
    const char *summary;
    const char *about; /* a paragraph more, or NULL */
    const CtlArg *args;
    const CtlOption *options;
    const CtlField *fields;
    const char *done;  /* printed when the answer is empty; %s is the first argument */
    const char *empty; /* printed instead of an empty table */
    const char *examples;
    CtlRun run; /* NULL: call the verb, print the answer */
    gboolean hidden;
};

extern const CtlCommand ctl_commands[];
extern const CtlOption ctl_global_options[];

/* Titles and texts of whole groups ("share"); ends with a NULL name. */
typedef struct {
    const char *name;
    const char *summary;
} CtlGroup;
extern const CtlGroup ctl_groups[];

/* ---- Parsing --------------------------------------------------------------------------------------------------- */

/* `words` is the group or command asked about when no complete command was given. */
gboolean ctl_parse(int argc, char **argv, CtlCall *call, GString *words, GError **error);
void ctl_call_clear(CtlCall *call);
const char *ctl_own_text(CtlCall *call, const char *option);
gboolean ctl_own_flag(CtlCall *call, const char *option);
/* TRUE when `words` ("share", "share security") begins a command. */
gboolean ctl_is_group(const char *words);
const CtlCommand *ctl_find_command(const char *words);
const CtlOption *ctl_find_option(const CtlCommand *command, const char *name);
/* The nearest of the words by typing errors, or NULL. */
const char *ctl_nearest(const char *word, GPtrArray *words);
/* The word of a command behind a prefix of words: ("share create", "share") -> "create"; NULL when it is not below. */
char *ctl_next_word(const CtlCommand *command, const char *prefix);

/* ---- Help ------------------------------------------------------------------------------------------------------ */

void ctl_help_top(void);
void ctl_help_group(const char *words);
void ctl_help_command(const CtlCommand *command);
gboolean ctl_run_manual(CtlCall *call, GError **error);
/* Which command is which verb, for the test that compares the faces. */
gboolean ctl_run_verbs(CtlCall *call, GError **error);
/* `words` are those typed so far, the last one unfinished. */
void ctl_complete(int n, char **words);
gboolean ctl_run_completion(CtlCall *call, GError **error);

/* ---- The client ------------------------------------------------------------------------------------------------ */

/* A password: in locked memory where the system allows it, wiped when freed. */
typedef struct {
    size_t length;
    char text[1024];
} CtlSecret;

CtlSecret *ctl_secret_new(void);
void ctl_secret_free(CtlSecret *secret);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CtlSecret, ctl_secret_free)
/* From --generate-password, --password-file, --password-stdin, or asked twice on the terminal. */
CtlSecret *ctl_secret_obtain(CtlCall *call, const char *whom, gboolean *generated, GError **error);

/* TRUE when one of these, or --password, was given. */
gboolean ctl_secret_wanted(CtlCall *call);
/* What is said about a password that was made up: in JSON as a member, else as a line. */
void ctl_tell_password(CtlCall *call, const char *name, const CtlSecret *secret, JsonObject *into);
/* A password that is there already: from --password-stdin, or asked once. */
CtlSecret *ctl_secret_ask(CtlCall *call, const char *whom, GError **error);

/* The socket in use: --socket, LARES_SOCKET, or the built-in one. */
const char *ctl_socket(const CtlCall *call);
/* Calls a verb; `params` is borrowed and may be NULL; `secret` (or NULL) goes as "password". Returns the answer, new.
 */
JsonNode *ctl_client_call(CtlCall *call, const char *verb, JsonObject *params, const CtlSecret *secret, GError **error);

/* ---- Servers elsewhere ------------------------------------------------------------------------------------------- */

typedef struct {
    char *name;
    char *url;         /* https://nas.home.lan:8749 */
    char *fingerprint; /* the certificate's; NULL: one that this system trusts */
    char *token;       /* NULL: logged out */
    char *token_id, *subject, *rights;
    gint64 expires;
} CtlContext;
void ctl_context_free(CtlContext *context);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CtlContext, ctl_context_free)

/* All of them. With `change` nobody else changes them until it is freed. */
typedef struct _CtlContexts CtlContexts;
CtlContexts *ctl_contexts_open(gboolean change, GError **error);
gboolean ctl_contexts_save(CtlContexts *self, GError **error);
void ctl_contexts_free(CtlContexts *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CtlContexts, ctl_contexts_free)
char *ctl_contexts_path(void);
char **ctl_contexts_names(CtlContexts *self);
/* New, as what is found; NULL: CTL_EXIT_NOT_FOUND. */
CtlContext *ctl_contexts_get(CtlContexts *self, const char *name, GError **error);
/* NULL: none with that address. */
CtlContext *ctl_contexts_find(CtlContexts *self, const char *url);
void ctl_contexts_put(CtlContexts *self, const CtlContext *context);
void ctl_contexts_drop(CtlContexts *self, const char *name);
/* NULL: this machine's own server. */
char *ctl_contexts_current(CtlContexts *self);
void ctl_contexts_set_current(CtlContexts *self, const char *name);
/* The one that --server, --context, LARES_CONTEXT or "context use" name; NULL without error: none. */
CtlContext *ctl_contexts_chosen(const CtlCall *call, CtlContexts *contexts, gboolean also_root, GError **error);
/* Where a command goes: NULL is the control socket. FALSE when there is no login for it. */
gboolean ctl_target(const CtlCall *call, CtlContext **context, GError **error);
/* That the login has ended, or that there is none, and what to do. */
void ctl_set_logged_out(const CtlContext *context, GError **error);
gboolean ctl_context_name_ok(const char *name, GError **error);

/* "nas.home.lan" -> "https://nas.home.lan:8749"; new. NULL: no address of a server. */
char *ctl_url_of(const char *text, GError **error);
char *ctl_url_host(const char *url);
/* What a new context is called. */
char *ctl_context_name_for(const char *url);
/* As "AB:CD:…", however it was typed. */
char *ctl_fingerprint_parse(const char *text, GError **error);

/* A ticket as the proof of one request: negotiate.c. */
typedef struct _CtlProof CtlProof;
CtlProof *ctl_proof_new(const char *host, GError **error);
void ctl_proof_free(CtlProof *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CtlProof, ctl_proof_free)
const char *ctl_proof_header(const CtlProof *self);
/* The server's own proof, from WWW-Authenticate of its answer. */
gboolean ctl_proof_check(CtlProof *self, const char *answer, GError **error);

/* The certificate that a server shows to somebody who sends nothing; `trusted`: by this system. */
gboolean ctl_remote_look(const char *url, char **fingerprint, gboolean *trusted, GError **error);
/* POSTs a verb with the context's token or, when given, the proof. */
GBytes *ctl_remote_send(const CtlContext *context, const char *verb, GBytes *body, CtlProof *proof, gboolean quick,
                        guint *status, GError **error);
/* The same with JSON; `status` may be NULL. */
JsonNode *ctl_client_remote(const CtlContext *context, const char *verb, JsonObject *params, guint *status,
                            CtlProof *proof, GError **error);

/* ---- Printing -------------------------------------------------------------------------------------------------- */

void ctl_print_json(JsonNode *node);
/* The answer of a command, as it asks for; warnings go to stderr. */
void ctl_print_answer(CtlCall *call, JsonNode *answer);
void ctl_print_table(JsonArray *rows, const CtlField *fields);
void ctl_print_block(JsonObject *object, const CtlField *fields);
void ctl_print_warnings(JsonNode *answer);
/* What a terminal could take as a command becomes a question mark; new. */
char *ctl_printable(const char *text);
/* Pairs of texts in two columns under a title; ends with NULL. */
void ctl_print_pairs(const char *title, const char *const *texts);
/* Columns that the text takes on a terminal. */
int ctl_width(const char *text);

/* ---- Commands that do more than call one verb -------------------------------------------------------------------- */

/* cli/watch.c */
gboolean ctl_run_health(CtlCall *call, GError **error);
gboolean ctl_run_metrics(CtlCall *call, GError **error);
gboolean ctl_run_pages(CtlCall *call, GError **error);
gboolean ctl_run_realm_create(CtlCall *call, GError **error);
gboolean ctl_run_realm_user_add(CtlCall *call, GError **error);
gboolean ctl_run_user_add(CtlCall *call, GError **error);
gboolean ctl_run_user_passwd(CtlCall *call, GError **error);
gboolean ctl_run_user_delete(CtlCall *call, GError **error);
gboolean ctl_run_user_ntlm_enable(CtlCall *call, GError **error);
gboolean ctl_run_keytab(CtlCall *call, GError **error);
gboolean ctl_run_doctor(CtlCall *call, GError **error);
gboolean ctl_run_doctor_show(CtlCall *call, GError **error);
gboolean ctl_run_kerberos_init(CtlCall *call, GError **error);
gboolean ctl_run_kerberos_init_show(CtlCall *call, GError **error);
gboolean ctl_run_realm_keytab(CtlCall *call, GError **error);
gboolean ctl_run_client_config(CtlCall *call, GError **error);
gboolean ctl_run_login(CtlCall *call, GError **error);
gboolean ctl_run_logout(CtlCall *call, GError **error);
gboolean ctl_run_context_list(CtlCall *call, GError **error);
gboolean ctl_run_context_show(CtlCall *call, GError **error);
gboolean ctl_run_context_use(CtlCall *call, GError **error);
gboolean ctl_run_context_remove(CtlCall *call, GError **error);
