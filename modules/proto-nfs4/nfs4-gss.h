/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* RPCSEC_GSS over LaresAuthContext: the contexts and their table, and serving calls.
 *
 * Spec: RFC 2203
 * Thread: any worker.
 * Locks: the table's order of use, then a shard of the table. A context's lock guards its window and identity and is a
 *        leaf. */
#pragma once

#include "nfs4-rpc.h"

/* RFC 2203 5.3.3.1: which sequence numbers were seen, as a ring of bits below the highest. */
typedef struct {
    uint32_t highest;
    gboolean any;
    uint64_t seen[GSS_WINDOW / 64];
} Nfs4GssWindow;

/* TRUE once for each number that is not below the window. */
gboolean nfs4_gss_window_accept(Nfs4GssWindow *window, uint32_t seq);

typedef struct _Nfs4GssOwner Nfs4GssOwner; /* nfs4-gss-table.c */

typedef struct {
    gint ref; /* atomic */
    uint8_t handle[GSS_HANDLE_SIZE];
    LaresAuthContext *auth;
    const LaresFlavor *flavor[4]; /* by service; NULL: not offered */
    char *principal;              /* from here on constant once established */
    gboolean machine;
    gint64 expiry; /* wall-clock second */
    GMutex lock;
    GMutex stepping;         /* one token at a time */
    LaresIdentity *identity; /* guarded by lock */
    Nfs4GssWindow window;    /* guarded by lock */
    gint64 created;          /* monotonic second, for half-made contexts */
    gint64 touched;          /* atomic: monotonic second */
    Nfs4GssOwner *owner;     /* guarded by the table's order, as both links; NULL outside */
    GList link, own_link;
} Nfs4GssContext;

/* Of one principal there are at most `max_each`. */
Nfs4GssTable *nfs4_gss_table_new(guint max_contexts, guint max_each);
void nfs4_gss_table_free(Nfs4GssTable *table);
guint nfs4_gss_table_size(Nfs4GssTable *table);
/* When the first of the tickets behind its contexts ends (wall-clock second; INT64_MAX: never); *n: how many there are.
 */
gint64 nfs4_gss_table_look(Nfs4GssTable *table, guint *n);

/* With a random handle, not in any table yet. Takes `auth`. */
Nfs4GssContext *nfs4_gss_context_new(LaresAuthContext *auth);
void nfs4_gss_context_unref(gpointer context);

/* Established ones. The table holds a reference of its own. What was not used for longest goes when there are too
 * many: of the principal's own beyond its bound, or when somebody has far more than others, else of all. */
void nfs4_gss_table_add(Nfs4GssTable *table, Nfs4GssContext *context);
Nfs4GssContext *nfs4_gss_table_find(Nfs4GssTable *table, const uint8_t *handle, size_t len);
void nfs4_gss_table_remove(Nfs4GssTable *table, Nfs4GssContext *context);
/* Half-made ones: few and short-lived. */
void nfs4_gss_table_add_pending(Nfs4GssTable *table, Nfs4GssContext *context);
/* Takes it out of the table. */
Nfs4GssContext *nfs4_gss_table_take_pending(Nfs4GssTable *table, const uint8_t *handle, size_t len);

typedef struct {
    uint32_t proc, seq, service;
    const uint8_t *handle;
    size_t handle_len;
} Nfs4GssCred;

/* nfs4-gss.c: a call of flavor RPCSEC_GSS. */
void nfs4_gss_serve(Nfs4Call *call);
/* nfs4-gss-init.c: INIT and CONTINUE_INIT. */
void nfs4_gss_init(Nfs4Call *call, const Nfs4GssCred *cred);
/* The mechanism an initial token names (RFC 2743 3.1). FALSE: not such a token. */
gboolean nfs4_gss_token_mechanism(const uint8_t *token, size_t len, const uint8_t **oid, size_t *oid_len);
