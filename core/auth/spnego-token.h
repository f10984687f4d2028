/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The messages of SPNEGO as values: decoded from and encoded to bytes, nothing decided.
 *
 * Spec: RFC 4178 4.2, [MS-SPNG] 2.2.1. Thread: plain values; what is decoded points into the token. */
#pragma once

#include <lares/auth.h>
#include <lares/cursor.h>

G_BEGIN_DECLS

#define SPNEGO_MECHS_MAX 32      /* mechanisms in a client's list; clients know fewer than ten */
#define SPNEGO_TOKEN_MAX 0x10000 /* a Kerberos ticket with a large PAC fits (issue: 64 KiB) */

extern const LaresOid spnego_oid;

static inline gboolean
spnego_oid_equal(const LaresOid *a, const LaresOid *b)
{
    return a->len == b->len && memcmp(a->der, b->der, a->len) == 0;
}

/* Bytes within a token; `at` NULL: the field was not there. */
typedef struct {
    const uint8_t *at;
    size_t len;
} SpnegoBytes;

typedef struct {
    SpnegoBytes list; /* MechTypeList as it was sent, with tag and length: what mechListMIC covers */
    LaresOid mechs[SPNEGO_MECHS_MAX];
    guint n_mechs;
    SpnegoBytes token, mic;
} SpnegoInit;

typedef enum {
    SPNEGO_ACCEPT_COMPLETED,
    SPNEGO_ACCEPT_INCOMPLETE,
    SPNEGO_REJECT,
    SPNEGO_REQUEST_MIC,
    SPNEGO_NO_STATE
} SpnegoState;

typedef struct {
    SpnegoState state;
    LaresOid mech; /* der NULL: not there */
    SpnegoBytes token, mic;
} SpnegoResp;

/* The body of a first token, behind the frame and its OID. */
gboolean spnego_read_init(LaresReader *r, SpnegoInit *init);
/* A NegTokenResp from a client. */
gboolean spnego_read_resp(const uint8_t *token, size_t len, SpnegoResp *resp);

GBytes *spnego_write_resp(const SpnegoResp *resp);
/* A server's NegTokenInit2 with its hint. */
GBytes *spnego_write_init2(const LaresOid *mechs, size_t n);

G_END_DECLS
