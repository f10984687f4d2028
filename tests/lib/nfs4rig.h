/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The NFS service in this process, over a store in memory: a record in, the reply out, no sockets in between.
 *
 * One share, "/share", with flavor sys and no squash, kept by memstore; one connection. Records are run in the calling
 * thread.
 *
 * Thread: one; others call through rigs of their own (nfs4_rig_for_thread). */
#pragma once

#include <lares/lares.h>

typedef struct _Nfs4Rig Nfs4Rig;

Nfs4Rig *nfs4_rig_new(void);
Nfs4Rig *nfs4_rig_new_leased(guint lease_seconds);
/* For calls of another thread to the same service over the same connection; freed before `rig`. */
Nfs4Rig *nfs4_rig_for_thread(Nfs4Rig *rig);
void nfs4_rig_free(Nfs4Rig *rig);
/* The flavors that the share admits from now on, a comma between them: "sys", "none" or "seal" (sealauth.h). */
void nfs4_rig_set_sec(Nfs4Rig *rig, const char *sec);
/* The RPC flavor of this rig's calls: AUTH_SYS as long as nothing is said. */
void nfs4_rig_set_flavor(Nfs4Rig *rig, uint32_t rpc_flavor);
struct _Nfs4Service *nfs4_rig_service(Nfs4Rig *rig);
LaresStore *nfs4_rig_store(Nfs4Rig *rig);

/* Runs one RPC record. The reply is valid until the next call; NULL when nothing is answered. */
const uint8_t *nfs4_rig_record(Nfs4Rig *rig, const void *record, size_t len, size_t *reply_len);

/* A COMPOUND with credentials of uid and gid: `ops` is `n` encoded operations. The reader stands behind the tag, at the
 * number of results; *status is the COMPOUND's. Fails the test when the RPC layer refuses. */
LaresReader nfs4_rig_compound(Nfs4Rig *rig, uint32_t minor, uint32_t uid, uint32_t gid, const void *ops, size_t len,
                              uint32_t n, uint32_t *status);
