/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A private MIT realm on a loopback port, and pairs of established GSS contexts in one process.
 *
 * Thread: one realm per process (it sets KRB5_CONFIG and its kin); main thread only. */
#pragma once

#include <glib.h>
#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>

#define PAIR_REALM   "PAIR.TEST"
#define PAIR_SERVICE "nfs/server.pair.test"

typedef struct {
    char *dir;           /* temporary, removed by realm_stop */
    char *keytab;        /* service keys, all four AES types */
    char *client_keytab; /* of alice */
    guint16 port;
    GPid kdc;
} Realm;

/* NULL: MIT's server programs are not installed here (the test is skipped). Aborts on real
 * failures. */
Realm *realm_start(void);
void realm_stop(Realm *realm);
/* Feed lines to kadmin.local. */
void realm_admin(Realm *realm, const char *lines);

/* alice's credentials, limited to one encryption type (0: any). Release with gss_release_cred. */
gss_cred_id_t realm_client_cred(Realm *realm, int enctype);
/* Target name for gss_init_sec_context from "nfs/server.pair.test". */
gss_name_t realm_target(const char *principal);

/* Run the token exchange to its end against a plain MIT acceptor over the realm's keytab. */
void realm_pair(Realm *realm, int enctype, OM_uint32 flags, gss_ctx_id_t *initiator, gss_ctx_id_t *acceptor);
/* "major: minor" text; caller frees. */
char *gss_error_text(OM_uint32 major, OM_uint32 minor);
