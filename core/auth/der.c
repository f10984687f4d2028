/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See der.h. */
#include "auth/der.h"

static size_t
get_length(LaresReader *r)
{
    size_t first = lares_get_u8(r), len = first;
    if (first >= 0x80) {
        size_t n = first & 0x7f;
        /* 0x80 is the indefinite form; three bytes count to 16 MiB, more than any token has. */
        if (n == 0 || n > 3)
            r->failed = TRUE;
        for (len = 0; n > 0 && !r->failed; n--)
            len = len << 8 | lares_get_u8(r);
    }
    if (len > lares_reader_left(r))
        r->failed = TRUE;
    return r->failed ? 0 : len;
}

LaresReader
der_get(LaresReader *r, uint8_t tag)
{
    if (lares_get_u8(r) != tag)
        r->failed = TRUE;
    size_t len = get_length(r);
    const uint8_t *at = lares_get_bytes(r, len);
    return at ? lares_reader(at, len) : (LaresReader){.failed = TRUE};
}

gboolean
der_get_optional(LaresReader *r, uint8_t tag, LaresReader *contents)
{
    if (r->failed || lares_reader_left(r) == 0 || *r->at != tag)
        return FALSE;
    *contents = der_get(r, tag);
    return !r->failed;
}

void
der_skip(LaresReader *r)
{
    lares_get_u8(r);
    size_t len = get_length(r);
    lares_get_bytes(r, len);
}

gboolean
der_end(const LaresReader *r)
{
    return !r->failed && lares_reader_left(r) == 0;
}

gboolean
der_gss_frame(const uint8_t *token, size_t len, const uint8_t **oid, size_t *oid_len, LaresReader *after)
{
    LaresReader r = lares_reader(token, len);
    *after = der_get(&r, DER_APPLICATION_0);
    LaresReader name = der_get(after, DER_OID);
    *oid = name.at;
    *oid_len = lares_reader_left(&name);
    return der_end(&r) && !after->failed && *oid_len > 0;
}

void
der_wrap(GByteArray *out, guint from, uint8_t tag)
{
    uint8_t head[5] = {tag};
    guint len = out->len - from, n = 1;
    if (len < 0x80) {
        head[n++] = (uint8_t)len;
    } else {
        guint bytes = len < 0x100 ? 1 : len < 0x10000 ? 2 : 3;
        head[n++] = (uint8_t)(0x80 | bytes);
        while (bytes-- > 0)
            head[n++] = (uint8_t)(len >> (8 * bytes));
    }
    g_byte_array_set_size(out, out->len + n);
    memmove(out->data + from + n, out->data + from, len);
    memcpy(out->data + from, head, n);
}

void
der_append(GByteArray *out, uint8_t tag, const void *bytes, size_t len)
{
    guint from = out->len;
    g_byte_array_append(out, bytes, (guint)len);
    der_wrap(out, from, tag);
}
