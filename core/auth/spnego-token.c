/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See spnego-token.h. */
#include "auth/spnego-token.h"
#include "auth/der.h"

/* 1.3.6.1.5.5.2 (RFC 4178 3) */
const LaresOid spnego_oid = {(const uint8_t *)"\x2b\x06\x01\x05\x05\x02", 6};

enum { TAG_INIT = DER_CONTEXT_0, TAG_RESP = DER_CONTEXT_0 + 1 };

/* ---- Reading --------------------------------------------------------------------------------------------------- */

/* The contents of [tag] { inner } when it is there. */
static void
get_field(LaresReader *r, uint8_t tag, uint8_t inner, SpnegoBytes *out)
{
    LaresReader field;
    *out = (SpnegoBytes){NULL, 0};
    if (!der_get_optional(r, tag, &field))
        return;
    LaresReader value = der_get(&field, inner);
    if (!der_end(&field)) {
        r->failed = TRUE;
        return;
    }
    out->at = value.at;
    out->len = lares_reader_left(&value);
}

/* Elements that a later version may add; they end the structure. */
static gboolean
skip_rest(LaresReader *r)
{
    while (!r->failed && lares_reader_left(r) > 0)
        der_skip(r);
    return !r->failed;
}

static void
get_mechs(LaresReader *r, SpnegoInit *init)
{
    LaresReader field = der_get(r, DER_CONTEXT_0);
    init->list = (SpnegoBytes){field.at, lares_reader_left(&field)};
    LaresReader list = der_get(&field, DER_SEQUENCE);
    while (!list.failed && lares_reader_left(&list) > 0 && init->n_mechs < SPNEGO_MECHS_MAX) {
        LaresReader oid = der_get(&list, DER_OID);
        init->mechs[init->n_mechs] = (LaresOid){oid.at, lares_reader_left(&oid)};
        init->n_mechs += !list.failed;
    }
    if (!der_end(&list) || !der_end(&field) || init->n_mechs == 0)
        r->failed = TRUE;
}

gboolean
spnego_read_init(LaresReader *r, SpnegoInit *init)
{
    LaresReader flags;
    *init = (SpnegoInit){0};
    LaresReader choice = der_get(r, TAG_INIT);
    LaresReader body = der_get(&choice, DER_SEQUENCE);
    get_mechs(&body, init);
    /* reqFlags say nothing that is protected: RFC 4178 4.2.1 wants them ignored. */
    der_get_optional(&body, DER_CONTEXT_0 + 1, &flags);
    get_field(&body, DER_CONTEXT_0 + 2, DER_OCTET_STRING, &init->token);
    get_field(&body, DER_CONTEXT_0 + 3, DER_OCTET_STRING, &init->mic);
    return skip_rest(&body) && der_end(&choice) && der_end(r);
}

static gboolean
get_state(LaresReader *body, SpnegoState *state)
{
    SpnegoBytes value;
    get_field(body, DER_CONTEXT_0, DER_ENUMERATED, &value);
    *state = value.at ? value.len == 1 ? (SpnegoState)value.at[0] : SPNEGO_NO_STATE : SPNEGO_NO_STATE;
    return !value.at || *state < SPNEGO_NO_STATE;
}

gboolean
spnego_read_resp(const uint8_t *token, size_t len, SpnegoResp *resp)
{
    SpnegoBytes mech;
    LaresReader r = lares_reader(token, len);
    *resp = (SpnegoResp){.state = SPNEGO_NO_STATE};
    LaresReader choice = der_get(&r, TAG_RESP);
    LaresReader body = der_get(&choice, DER_SEQUENCE);
    gboolean state_ok = get_state(&body, &resp->state);
    get_field(&body, DER_CONTEXT_0 + 1, DER_OID, &mech);
    get_field(&body, DER_CONTEXT_0 + 2, DER_OCTET_STRING, &resp->token);
    get_field(&body, DER_CONTEXT_0 + 3, DER_OCTET_STRING, &resp->mic);
    resp->mech = (LaresOid){mech.at, mech.len};
    return skip_rest(&body) && state_ok && der_end(&choice) && der_end(&r);
}

/* ---- Writing --------------------------------------------------------------------------------------------------- */

static void
put_field(GByteArray *out, uint8_t tag, uint8_t inner, const void *bytes, size_t len)
{
    guint from = out->len;
    der_append(out, inner, bytes, len);
    der_wrap(out, from, tag);
}

GBytes *
spnego_write_resp(const SpnegoResp *resp)
{
    GByteArray *out = g_byte_array_new();
    const uint8_t state = (uint8_t)resp->state;
    if (resp->state != SPNEGO_NO_STATE)
        put_field(out, DER_CONTEXT_0, DER_ENUMERATED, &state, 1);
    if (resp->mech.der)
        put_field(out, DER_CONTEXT_0 + 1, DER_OID, resp->mech.der, resp->mech.len);
    if (resp->token.at)
        put_field(out, DER_CONTEXT_0 + 2, DER_OCTET_STRING, resp->token.at, resp->token.len);
    if (resp->mic.at)
        put_field(out, DER_CONTEXT_0 + 3, DER_OCTET_STRING, resp->mic.at, resp->mic.len);
    der_wrap(out, 0, DER_SEQUENCE);
    der_wrap(out, 0, TAG_RESP);
    return g_byte_array_free_to_bytes(out);
}

GBytes *
spnego_write_init2(const LaresOid *mechs, size_t n)
{
    static const char hint[] = "not_defined_in_RFC4178@please_ignore"; /* [MS-SPNG] 2.2.1 */
    GByteArray *out = g_byte_array_new();
    der_append(out, DER_OID, spnego_oid.der, spnego_oid.len);
    guint body = out->len;
    for (size_t i = 0; i < n; i++)
        der_append(out, DER_OID, mechs[i].der, mechs[i].len);
    der_wrap(out, body, DER_SEQUENCE);
    der_wrap(out, body, DER_CONTEXT_0);
    guint hints = out->len;
    put_field(out, DER_CONTEXT_0, DER_GENERAL_STRING, hint, sizeof hint - 1);
    der_wrap(out, hints, DER_SEQUENCE);
    der_wrap(out, hints, DER_CONTEXT_0 + 3);
    der_wrap(out, body, DER_SEQUENCE);
    der_wrap(out, body, TAG_INIT);
    der_wrap(out, 0, DER_APPLICATION_0);
    return g_byte_array_free_to_bytes(out);
}
