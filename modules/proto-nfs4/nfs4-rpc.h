/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One RPC call on its way through the module.
 *
 * Thread: a call belongs to the worker that runs it. */
#pragma once

#include "nfs4-compound.h"

typedef struct {
    Nfs4Connection *connection;
    LaresRequest *request;
    uint32_t xid, program, version, proc;
    uint32_t flavor, verf_flavor;
    const uint8_t *cred, *verf; /* bodies */
    size_t cred_len, verf_len;
    size_t header_len; /* xid to the end of the credential: what a header MIC covers */
    LaresReader in;    /* at the arguments; an RPCSEC_GSS service may move it into an opened token */
} Nfs4Call;

/* Who calls, valid until nfs4_login_clear(). */
typedef struct {
    LaresIdentity *identity; /* a reference */
    const LaresFlavor *flavor;
    const char *principal;
    gboolean machine;
    gpointer owner; /* a reference that keeps principal */
    void (*release)(gpointer owner);
} Nfs4Login;

static inline void
nfs4_login_clear(Nfs4Login *login)
{
    g_clear_pointer(&login->identity, lares_identity_unref);
    if (login->owner)
        login->release(login->owner);
    login->owner = NULL;
}

/* The callbacks of LaresService; `user` is the Nfs4Service. nfs4-rpc.c */
gpointer nfs4_rpc_connected(LaresConnection *connection, gpointer user);
void nfs4_rpc_request(LaresRequest *request, gpointer data);
void nfs4_rpc_closed(LaresConnection *connection, gpointer data);

/* Starts the reply over: an accepted one with that verifier and accept_stat (and the versions for PROG_MISMATCH). */
void nfs4_rpc_accepted(Nfs4Call *call, uint32_t verf_flavor, const uint8_t *verf, size_t verf_len, uint32_t stat);
/* Starts the reply over: MSG_DENIED, AUTH_ERROR. */
void nfs4_rpc_denied(Nfs4Call *call, uint32_t auth_stat);
/* RPC_SUCCESS, PROG_UNAVAIL, PROG_MISMATCH or PROC_UNAVAIL. */
uint32_t nfs4_rpc_check_procedure(const Nfs4Call *call);
/* Runs the procedure and writes its results behind what stands in the reply. */
Nfs4Run nfs4_rpc_run(Nfs4Call *call, const Nfs4Login *login, gboolean allow_ranges);

/* Plain flavors: nfs4-cred.c */
Nfs4CredCache *nfs4_cred_cache_new(void);
void nfs4_cred_cache_free(Nfs4CredCache *cache);
/* FALSE with an auth_stat. */
gboolean nfs4_cred_login(Nfs4Call *call, Nfs4Login *login, uint32_t *auth_stat);
/* The identity as the directory sees it now; takes the reference of `identity`. NULL once it is refused. */
LaresIdentity *nfs4_fresh_identity(Nfs4Service *service, LaresIdentity *identity);
