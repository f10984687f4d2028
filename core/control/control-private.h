/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The inside of core/control, shared by its files.
 *
 * Thread: main. */
#pragma once

#include "control/control.h"

G_BEGIN_DECLS

typedef struct _LaresTokens LaresTokens;
typedef struct _LaresDoctorRoom LaresDoctorRoom;
typedef struct _LaresSlowRoom LaresSlowRoom;

struct _LaresControl {
    LaresHost *host;
    GHashTable *entries; /* verb name -> Entry */
    GArray *watches;     /* of Watch; a removed one has no function until nobody is being told */
    guint last_watch, telling;
    LaresControlPage *page; /* of the verb that runs; NULL: it is asked for everything */
    /* [control]; NULL-ended, NULL before lares_control_configure() */
    char **by_right[LARES_RIGHT_ADMIN + 1];
    gint64 token_lifetime, token_max_lifetime;
    LaresTokens *tokens;     /* NULL before lares_control_open_tokens() */
    LaresDoctorRoom *doctor; /* NULL before lares_control_open_doctor() */
    LaresSlowRoom *slow;     /* NULL: no verb waits */
};

void lares_tokens_free(LaresTokens *tokens);
void lares_doctor_room_free(LaresDoctorRoom *room);
void lares_slow_room_free(LaresSlowRoom *room);

/* What `caller`, whose verb has waited since they were asked about, may do now. FALSE: nothing, with LARES_ERROR_LOGIN
 * when the proof has ended, LARES_ERROR_DENIED otherwise. */
gboolean lares_control_ask_again(LaresControl *control, const LaresControlCaller *caller, LaresRight *right,
                                 GError **error);
/* The same of the token `id` alone; FALSE: it is worth nothing any more. */
gboolean lares_tokens_worth(LaresTokens *tokens, const char *id, LaresRight *right);

/* The page of a list of which the verb made everything. */
GVariant *lares_control_cut(GVariant *list, LaresControlPage *page);

/* Verbs of a file each: open.list and lock.list; metrics; health and version. */
gboolean lares_control_add_state(LaresControl *control, GError **error);
gboolean lares_control_add_measure(LaresControl *control, GError **error);
gboolean lares_control_add_health(LaresControl *control, GError **error);
gint64 lares_control_resident_bytes(void);

G_END_DECLS
