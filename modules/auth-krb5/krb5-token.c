/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See krb5-token.h. */
#include "krb5-token.h"

#include <string.h>

#define TAG_INTEGER     0x02
#define TAG_OCTETS      0x04
#define TAG_OID         0x06
#define TAG_UTF8        0x0c
#define TAG_SEQUENCE    0x30
#define TAG_FRAME       0x60
#define TAG_AP_REQ      0x6e
#define TAG_CONTEXT(n)  (0xa0 | (n))
#define AP_REQ_FIELDS   4 /* before the authenticator: pvno, msg-type, ap-options, ticket */
#define TOKEN_ID_LENGTH 2

/* Bytes yet to be read. */
typedef struct {
    const uint8_t *at, *end;
} Span;

static size_t
left(const Span *s)
{
    return (size_t)(s->end - s->at);
}

/* Takes one DER element with this tag off the front; *inside is its contents. */
static gboolean
take(Span *s, uint8_t tag, Span *inside)
{
    if (left(s) < 2 || s->at[0] != tag)
        return FALSE;
    const uint8_t *p = s->at + 1;
    size_t n = *p++;
    if (n >= 0x80) {
        size_t bytes = n & 0x7f;
        if (bytes == 0 || bytes > 3 || (size_t)(s->end - p) < bytes)
            return FALSE;
        for (n = 0; bytes > 0; bytes--)
            n = n << 8 | *p++;
    }
    if ((size_t)(s->end - p) < n)
        return FALSE;
    *inside = (Span){p, p + n};
    s->at = p + n;
    return TRUE;
}

/* An explicitly tagged field: [n] { element }. */
static gboolean
take_field(Span *s, uint8_t n, uint8_t tag, Span *inside)
{
    Span field;
    return take(s, TAG_CONTEXT(n), &field) && take(&field, tag, inside);
}

/* The token behind its GSS frame, and the frame's mechanism. A token that does not begin with one is its own body:
 * those behind the first need no frame. FALSE: a frame that is none. */
static gboolean
open_frame(Span token, Span *mech, Span *body)
{
    *mech = (Span){NULL, NULL};
    *body = token;
    if (left(&token) == 0 || token.at[0] != TAG_FRAME)
        return TRUE;
    Span frame;
    if (!take(&token, TAG_FRAME, &frame) || left(&token) != 0 || !take(&frame, TAG_OID, mech))
        return FALSE;
    *body = frame;
    return TRUE;
}

static gboolean
has_id(const Span *body, uint8_t first, uint8_t second)
{
    return left(body) >= TOKEN_ID_LENGTH && body->at[0] == first && body->at[1] == second;
}

gboolean
krb5_token_may_be_carried(const Krb5Keytab *keytab, const uint8_t *token, size_t len)
{
    static const uint8_t iakerb[] = {0x2b, 0x06, 0x01, 0x05, 0x02, 0x05};
    Span mech, body, header, field, realm;

    if (!open_frame((Span){token, token + len}, &mech, &body))
        return FALSE;
    if (mech.at != NULL && (left(&mech) != sizeof iakerb || memcmp(mech.at, iakerb, sizeof iakerb) != 0))
        return TRUE; /* Kerberos' own */
    if (!has_id(&body, 0x05, 0x01))
        return TRUE; /* the AP exchange at the end */
    body.at += TOKEN_ID_LENGTH;
    /* IAKERB-HEADER ::= SEQUENCE { target-realm [1] UTF8String, cookie [2] OCTET STRING OPTIONAL }; MIT before 1.22
     * writes an OCTET STRING. */
    if (!take(&body, TAG_SEQUENCE, &header) || !take(&header, TAG_CONTEXT(1), &field))
        return FALSE;
    if (!take(&field, left(&field) > 0 && *field.at == TAG_OCTETS ? TAG_OCTETS : TAG_UTF8, &realm))
        return FALSE;
    return krb5_keytab_has_realm(keytab, (const char *)realm.at, left(&realm));
}

const uint8_t *
krb5_token_authenticator(const uint8_t *token, size_t len, size_t *size)
{
    Span mech, body, request, fields, field, sealed, cipher;

    if (!open_frame((Span){token, token + len}, &mech, &body))
        return NULL;
    if (has_id(&body, 0x01, 0x00)) /* a login in DCE style is an AP-REQ and nothing else */
        body.at += TOKEN_ID_LENGTH;
    if (!take(&body, TAG_AP_REQ, &request) || !take(&request, TAG_SEQUENCE, &fields))
        return NULL;
    for (uint8_t n = 0; n < AP_REQ_FIELDS; n++)
        if (!take(&fields, TAG_CONTEXT(n), &field))
            return NULL;
    /* EncryptedData ::= SEQUENCE { etype [0] Int32, kvno [1] UInt32 OPTIONAL, cipher [2] OCTET STRING } */
    if (!take_field(&fields, AP_REQ_FIELDS, TAG_SEQUENCE, &sealed) || !take_field(&sealed, 0, TAG_INTEGER, &field))
        return NULL;
    if (left(&sealed) > 0 && *sealed.at == TAG_CONTEXT(1) && !take_field(&sealed, 1, TAG_INTEGER, &field))
        return NULL;
    if (!take_field(&sealed, 2, TAG_OCTETS, &cipher) || left(&cipher) == 0)
        return NULL;
    *size = left(&cipher);
    return cipher.at;
}
