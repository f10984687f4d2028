/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Management: every verb once. REST, D-Bus and laresctl are thin faces over lares_control_call().
 *
 * Thread: main thread only. */
#pragma once

#include <lares/identity.h>
#include <lares/types.h>

G_BEGIN_DECLS

typedef enum {
    LARES_RIGHT_READ,    /* look */
    LARES_RIGHT_OPERATE, /* end sessions, reload */
    LARES_RIGHT_ADMIN    /* change */
} LaresRight;

/* Who asks. The face has authenticated them; control asks the one authorization question. */
typedef struct _LaresControlCaller LaresControlCaller;
struct _LaresControlCaller {
    const char *face;    /* "rest", "dbus", "socket" */
    const char *subject; /* "uid:0", "ada@HOME.LAN" */
    const char *address; /* "unix", "192.0.2.7" */
    LaresRight rights;   /* the highest right granted */
    /* Who it is in the directory; NULL at the control socket and for a token that belongs to a program. */
    const LaresIdentity *identity;
    gint64 expires;    /* wall-clock second at which the proof ends; 0: never */
    const char *token; /* id of the bearer token that was shown; NULL: another proof */
    /* For callers whom only the face knows (an account of the host): what they may do now, asked when a verb has waited
     * for its turn; FALSE: nothing any more. It may wait (lares_control_wait_begin()). NULL: that does not change.
     * `proof` is the face's and stays until the answer. */
    gboolean (*ask_again)(const LaresControlCaller *caller, LaresRight *right);
    gpointer proof;
};

/* Parameter of a verb. `signature` is the GVariant type: "s", "b", "x", "as". */
typedef struct {
    const char *name;
    const char *signature;
    gboolean required;
    const char *doc;
} LaresParam;

/* `args` is a{sv}, already checked against the parameters (unknown names refused). Returns a new or floating GVariant:
 * a{sv} for one thing, aa{sv} for a list, NULL for "done"; or NULL with `error`. */
typedef GVariant *(*LaresVerbFunc)(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user,
                                   GError **error);

typedef struct {
    const char *name; /* "share.create" */
    LaresRight right;
    const char *doc;          /* one line */
    const LaresParam *params; /* ended by a NULL name; may be NULL */
    LaresVerbFunc func;
} LaresVerb;

/* `verbs` is constant data ended by a NULL name. A taken name is an error. */
LARES_API gboolean lares_control_add(LaresControl *control, const LaresVerb *verbs, gpointer user, GError **error);
/* Checks right and arguments, runs, writes the audit line of a change. `args` NULL means {}. */
LARES_API GVariant *lares_control_call(LaresControl *control, const LaresControlCaller *caller, const char *verb,
                                       GVariant *args, GError **error);

/* ---- Pages --------------------------------------------------------------------------------------------------------
 */

/* A part of a list in the order (strcmp) of one member, which each item has. */
typedef struct {
    const char *key;   /* the member's name; a string */
    const char *after; /* only what comes behind this one; NULL: from the start */
    guint limit;       /* so many items at most; at least 1 */
    /* Filled by the call. */
    guint given;   /* items of the page */
    gint64 total;  /* items of the whole list */
    gboolean more; /* the list goes on behind the page */
    /* lares_control_wanted_page()'s: the verb makes the page itself. */
    gboolean taken;
} LaresControlPage;

/* Like lares_control_call() of a verb that lists; the result has the page's items only. A verb that knows nothing of
 * pages makes its whole list, which is cut here. */
LARES_API GVariant *lares_control_call_page(LaresControl *control, const LaresControlCaller *caller, const char *verb,
                                            GVariant *args, LaresControlPage *page, GError **error);
/* For a verb of a list that may be long, while it runs: the page that is asked for, which it then gives; NULL: all. */
LARES_API LaresControlPage *lares_control_wanted_page(LaresHost *host);
/* Of each item of the list, in the order of its keys: does it belong to the page? Counts; NULL has all. */
LARES_API gboolean lares_control_page_has(LaresControlPage *page, const char *key);

/* ---- Verbs that wait for other programs ---------------------------------------------------------------------------
 */

/* With the answer of lares_control_call_async(), in the main thread; both are the control's. */
typedef void (*LaresControlDone)(GVariant *result, GError *error, gpointer user);
/* Like lares_control_call_page(), but of a verb that is marked as slow the answer comes later and the main thread goes
 * on meanwhile. One that had to wait for others asks anew what `caller` may, before it runs. `caller` and `args` are
 * copied, `page` (or NULL) must stay until `done` was called, which may be before this returns. */
LARES_API void lares_control_call_async(LaresControl *control, const LaresControlCaller *caller, const char *verb,
                                        GVariant *args, LaresControlPage *page, LaresControlDone done, gpointer user);
/* `names`, constant and ended by NULL, are verbs whose functions wait. */
LARES_API void lares_control_mark_slow(LaresControl *control, const char *const *names);
LARES_API gboolean lares_control_is_slow(LaresControl *control, const char *verb);
/* Around the waiting itself, which touches nothing of the main thread's: there the main thread goes on if the verb was
 * called so that it can. Anything may have changed behind it. Any thread; nothing happens in others. */
LARES_API void lares_control_wait_begin(void);
LARES_API void lares_control_wait_end(void);

/* All verbs, sorted by name; the array (not the verbs) is freed by the caller. */
LARES_API GPtrArray *lares_control_list(LaresControl *control);
/* NULL when no loaded module offers it. */
LARES_API const LaresVerb *lares_control_find(LaresControl *control, const char *verb);
/* "read", "operate", "admin". */
LARES_API const char *lares_right_name(LaresRight right);
LARES_API gboolean lares_right_parse(const char *name, LaresRight *right);

/* ---- Who may ----------------------------------------------------------------------------------------------------- */

/* What an authenticated person may do by lares.conf [control]; FALSE: nothing at all. */
LARES_API gboolean lares_control_rights(LaresControl *control, const LaresIdentity *identity, LaresRight *right);

/* Whose proof a bearer token is. */
typedef struct {
    char *id;                /* what token.list shows */
    char *subject;           /* "ada@HOME.LAN", "service:prometheus" */
    LaresIdentity *identity; /* NULL for a program */
    LaresRight rights;
    gint64 expires; /* wall-clock second */
} LaresTokenProof;

/* TRUE for a token (verb token.create) that is neither expired nor revoked and whose user may still log in. `proof` is
 * filled with new references: lares_token_proof_clear(). */
LARES_API gboolean lares_control_check_token(LaresControl *control, const char *token, LaresTokenProof *proof);
LARES_API void lares_token_proof_clear(LaresTokenProof *proof);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(LaresTokenProof, lares_token_proof_clear)

/* ---- What was changed ---------------------------------------------------------------------------------------------
 */

/* After a verb above LARES_RIGHT_READ succeeded; `object` is the name or id it was about, or NULL. */
typedef void (*LaresControlChanged)(LaresControl *control, const char *verb, const char *object, gpointer user);
/* Returns an id for lares_control_unwatch(). */
LARES_API guint lares_control_watch(LaresControl *control, LaresControlChanged changed, gpointer user);
LARES_API void lares_control_unwatch(LaresControl *control, guint id);

/* For a face that asked somebody else (polkit) and was told no: writes what a refusal by lares_control_call() writes.
 */
LARES_API void lares_control_refused(LaresControl *control, const LaresControlCaller *caller, const char *verb,
                                     GVariant *args, const char *reason);

G_END_DECLS
