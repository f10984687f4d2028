/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Leases and oplocks on the wire: a core lease, the key a client knows it by, and where to tell of breaks.
 *
 * Thread: any. */
#pragma once

#include "smb2-open.h"

struct _Smb2Lease {
    gint ref; /* atomic */
    Smb2Service *service;
    LaresLease *core;
    gboolean keyed;        /* a lease with a key; else an oplock of one open */
    uint8_t table_key[32]; /* client GUID and lease key; of keyed ones */
    guint8 version;        /* 1 or 2 */
    gboolean has_parent;
    uint8_t parent_key[32]; /* likewise, of the lease of the directory: its holder knows what it changes there itself */
    GQueue opens;           /* of Smb2Open, the oldest first; guarded by Smb2Opens.lock */
};

typedef struct {
    guint8 version;
    uint8_t key[16];
    uint32_t state;
    uint32_t flags;
    uint8_t parent_key[16];
    uint16_t epoch;
} Smb2LeaseRequest;

/* The lease of this client and key, made if it is new. STATUS_INVALID_PARAMETER when the key belongs to another file.
 */
uint32_t smb2_lease_get(Smb2Op *op, LaresNode *node, const Smb2LeaseRequest *request, Smb2Lease **lease);
/* A lease of one open. */
Smb2Lease *smb2_lease_for_oplock(Smb2Op *op, LaresNode *node);
Smb2Lease *smb2_lease_ref(Smb2Lease *lease);
void smb2_lease_unref(Smb2Lease *lease);
/* LARES_LEASE_* of an oplock level, and back. */
uint32_t smb2_lease_of_oplock(uint8_t level);
uint8_t smb2_oplock_of_lease(uint32_t state);
/* The lease of this session's client with the key, a reference or NULL. */
Smb2Lease *smb2_lease_find(Smb2Service *service, const uint8_t client_guid[16], const uint8_t key[16]);
