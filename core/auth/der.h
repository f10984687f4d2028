/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The little of DER that GSS tokens need: definite lengths, single-byte tags, and nothing that reaches past its parent.
 *
 * Spec: X.690 8.1, RFC 2743 3.1 (the frame of a first GSS token). */
#pragma once

#include <lares/cursor.h>

G_BEGIN_DECLS

enum {
    DER_BIT_STRING = 0x03,
    DER_OCTET_STRING = 0x04,
    DER_OID = 0x06,
    DER_ENUMERATED = 0x0a,
    DER_GENERAL_STRING = 0x1b,
    DER_SEQUENCE = 0x30,
    DER_APPLICATION_0 = 0x60,
    DER_CONTEXT_0 = 0xa0, /* + n: [n] constructed */
};

/* The next element must have this tag; the cursor over its contents. A reader that failed gives empty ones. */
LaresReader der_get(LaresReader *r, uint8_t tag);
/* The same where an element may be missing: FALSE, and nothing was consumed. */
gboolean der_get_optional(LaresReader *r, uint8_t tag, LaresReader *contents);
/* Any element, whatever its tag. */
void der_skip(LaresReader *r);
/* TRUE when the whole of it was read and nothing failed. */
gboolean der_end(const LaresReader *r);

/* The mechanism of a framed GSS token, `after` behind it; FALSE when it is none. */
gboolean der_gss_frame(const uint8_t *token, size_t len, const uint8_t **oid, size_t *oid_len, LaresReader *after);

/* Builds from the inside out: der_wrap() puts tag and length around everything from `from` on. */
void der_wrap(GByteArray *out, guint from, uint8_t tag);
void der_append(GByteArray *out, uint8_t tag, const void *bytes, size_t len);

G_END_DECLS
