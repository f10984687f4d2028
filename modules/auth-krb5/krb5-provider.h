/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The provider of krb5, krb5i and krb5p: its keys, its rules, and what its contexts share.
 *
 * Thread: configured in the main thread; everything else from any thread.
 * Locks: `lock` guards the pointer to the current keytab and the last error; a leaf. */
#pragma once

#include "krb5-keytab.h"
#include "krb5-replays.h"

#include <lares/auth.h>
#include <lares/types.h>

#define KRB5_ROOM "auth-krb5"
/* RPCSEC_GSS and SMB both bound a token by this (RFC 2203 5.2.2 leaves it open; PAC-laden tickets reach 48 KiB). */
#define KRB5_MAX_TOKEN 65536u

#define LARES_TYPE_KRB5_PROVIDER (lares_krb5_provider_get_type())
G_DECLARE_FINAL_TYPE(LaresKrb5Provider, lares_krb5_provider, LARES, KRB5_PROVIDER, GObject)

#define LARES_TYPE_KRB5_CONTEXT (lares_krb5_context_get_type())
G_DECLARE_FINAL_TYPE(LaresKrb5Context, lares_krb5_context, LARES, KRB5_CONTEXT, GObject)

typedef struct {
    const char *const *keytabs;  /* paths, the first that exists is used; may be empty with `base64` */
    const char *base64;          /* a keytab's bytes, or NULL; goes before the paths */
    const char *base64_source;   /* where it is from */
    const char *const *services; /* "nfs", "cifs": those that should have keys */
    const char *const *hosts;    /* names of this server */
    gint64 clock_skew;           /* seconds */
    gboolean iakerb;             /* carry messages between clients and the KDC of a realm whose keys we have */
    gboolean pac;                /* take users' groups from the PAC of their tickets */
    /* Told each realm that the server holds keys of, in the main thread; may be NULL. */
    void (*realm_found)(const char *realm, gpointer user);
    gpointer user;
} Krb5Config;

LaresKrb5Provider *lares_krb5_provider_new(guint max_replays);
/* Take a configuration over and load the keys. Never fails: without keys the provider refuses each login and says
 * why, and looks again when a file changes. Old keys stay when new ones cannot be loaded. */
void lares_krb5_provider_configure(LaresKrb5Provider *self, const Krb5Config *config);
/* Look at the files again now. TRUE: there are new keys. */
gboolean lares_krb5_provider_reload(LaresKrb5Provider *self);
/* End the watching; main thread. */
void lares_krb5_provider_stop(LaresKrb5Provider *self);

/* What is in use and what should be, for the doctor; main thread. */
typedef struct {
    Krb5Keytab *keytab; /* a reference, or NULL */
    char *error;        /* why there is none, or why the newer one is not used; or NULL */
    char **services, **hosts;
    gint64 clock_skew;
    gboolean named; /* the administrator named one keytab */
    char *path;     /* that keytab's; NULL: it is not a file, or none was named */
} Krb5Snapshot;
void lares_krb5_provider_snapshot(LaresKrb5Provider *self, Krb5Snapshot *snapshot);
void krb5_snapshot_clear(Krb5Snapshot *snapshot);

/* For contexts. */
gint64 lares_krb5_provider_clock_skew(LaresKrb5Provider *self);
gboolean lares_krb5_provider_uses_pac(LaresKrb5Provider *self);
/* FALSE: this authenticator was accepted before. */
gboolean lares_krb5_provider_first_use(LaresKrb5Provider *self, const uint8_t tag[KRB5_REPLAY_TAG]);
void lares_krb5_provider_count(LaresKrb5Provider *self, gboolean accepted);
/* One that is established begins or ends. */
void lares_krb5_provider_count_context(LaresKrb5Provider *self, gboolean begins);

/* For /metrics: krb5-metrics.c. */
typedef struct {
    guint reloads, failures, replays, contexts;
} Krb5Counts;
/* The keys in use (a reference, or NULL) and what was counted. */
Krb5Keytab *lares_krb5_provider_look(LaresKrb5Provider *self, Krb5Counts *counts);
/* In load(), once. */
gboolean lares_krb5_provider_add_metrics(LaresKrb5Provider *provider, GError **error);

LaresAuthContext *lares_krb5_context_new(LaresKrb5Provider *provider, Krb5Keytab *keytab, const char *service);
