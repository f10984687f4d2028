/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What lives as long as the module (Nfs4Service) and as long as one TCP connection (Nfs4Connection).
 *
 * Thread: a service is constant after start except for what says otherwise; a connection's fields are guarded by its
 *         own lock or constant.
 * Locks: Nfs4Connection.lock is a leaf: nothing else is locked and nothing blocks while it is held. */
#pragma once

#include <lares/lares.h>
#include "nfs4-limits.h"

typedef struct _Nfs4Service Nfs4Service;
typedef struct _Nfs4Connection Nfs4Connection;
typedef struct _Nfs4State Nfs4State;       /* nfs4-state.h: clients, sessions, opens, locks */
typedef struct _Nfs4GssTable Nfs4GssTable; /* nfs4-gss.h */
typedef struct _Nfs4CredCache Nfs4CredCache;
typedef struct _Nfs4Callbacks Nfs4Callbacks;

typedef struct {
    const char *const *listen; /* addresses, NULL-ended */
    guint lease_time;          /* seconds */
    guint grace_time;          /* seconds */
    guint min_minor, max_minor;
    uint32_t max_io;                       /* bytes of READ and WRITE */
    guint max_contexts, max_contexts_each; /* in all; of one principal */
    guint max_clients;
    guint max_sessions; /* per client */
    guint max_slots;    /* per session */
    /* Per client: */
    guint max_opens, max_locks, max_owners;
    uint64_t max_kept; /* bytes of replies kept for retries */
} Nfs4Settings;

struct _Nfs4Service {
    LaresHost *host;
    LaresFiles *files;
    LaresShares *shares;
    LaresDirectory *directory;
    Nfs4Settings settings;
    Nfs4State *state;
    Nfs4GssTable *gss;
    LaresService net;
    GPtrArray *listeners;    /* of LaresListener, main thread */
    gint n_connections;      /* atomic */
    uint64_t write_verifier; /* atomic: moves when unstable data may have been lost (RFC 8881 18.32.4) */
};

struct _Nfs4Connection {
    Nfs4Service *service;
    LaresConnection *net; /* a reference */
    GMutex lock;
    Nfs4CredCache *creds;     /* guarded by lock */
    Nfs4Callbacks *callbacks; /* nfs4-callback.c; has its own lock */
    gpointer state;           /* belongs to nfs4-state: what is bound to this connection */
};

/* Write-back failed somewhere: clients must send again what they have not committed. */
static inline void
nfs4_writes_lost(Nfs4Service *service)
{
    __atomic_fetch_add(&service->write_verifier, 1, __ATOMIC_RELAXED);
}
static inline void
nfs4_put_write_verifier(LaresWriter *out, const Nfs4Service *service)
{
    lares_put_u64(out, __atomic_load_n(&service->write_verifier, __ATOMIC_RELAXED));
}

/* Main thread. Everything but the listeners. NULL with error. nfs4-service.c */
Nfs4Service *nfs4_service_new(LaresHost *host, const Nfs4Settings *settings, GError **error);
/* Main thread. Closes the listeners and waits until the connections have ended. */
void nfs4_service_free(Nfs4Service *service);
