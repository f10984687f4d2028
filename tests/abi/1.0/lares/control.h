/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Management: every verb once. REST, D-Bus and laresctl are thin faces over lares_control_call().
 *
 * Thread: main thread only. */
#pragma once

#include <lares/types.h>

G_BEGIN_DECLS

typedef enum {
    LARES_RIGHT_READ,    /* look */
    LARES_RIGHT_OPERATE, /* end sessions, reload */
    LARES_RIGHT_ADMIN    /* change */
} LaresRight;

/* Who asks. The face has authenticated them; control asks the one authorization question. */
typedef struct {
    const char *face;    /* "rest", "dbus", "socket" */
    const char *subject; /* "uid:0", "ada@HOME.LAN" */
    const char *address; /* "unix", "192.0.2.7" */
    LaresRight rights;   /* the highest right granted */
} LaresControlCaller;

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
/* All verbs, sorted by name; the array (not the verbs) is freed by the caller. */
LARES_API GPtrArray *lares_control_list(LaresControl *control);

G_END_DECLS
