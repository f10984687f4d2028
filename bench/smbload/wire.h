/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Little-endian bytes for the SMB load generator: a growing buffer and getters that stop at the end.
 * It shares nothing with the server on purpose, so that one checks the other. */
#pragma once

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    uint8_t *p;
    size_t len;
    size_t cap;
} Buf;

static inline uint8_t *
buf_grow(Buf *b, size_t n)
{
    if (b->len + n > b->cap) {
        b->cap = (b->len + n) * 2;
        b->p = realloc(b->p, b->cap);
        if (b->p == NULL)
            abort();
    }
    b->len += n;
    return b->p + b->len - n;
}

static inline void
buf_free(Buf *b)
{
    free(b->p);
    *b = (Buf){0};
}

static inline uint8_t *
put_zeros(Buf *b, size_t n)
{
    return memset(buf_grow(b, n), 0, n);
}

static inline void
put_bytes(Buf *b, const void *p, size_t n)
{
    if (n > 0)
        memcpy(buf_grow(b, n), p, n);
}

static inline void
set16(uint8_t *p, uint16_t v)
{
    v = htole16(v);
    memcpy(p, &v, 2);
}

static inline void
set32(uint8_t *p, uint32_t v)
{
    v = htole32(v);
    memcpy(p, &v, 4);
}

static inline void
set64(uint8_t *p, uint64_t v)
{
    v = htole64(v);
    memcpy(p, &v, 8);
}

static inline void
put16(Buf *b, uint16_t v)
{
    set16(buf_grow(b, 2), v);
}

static inline void
put32(Buf *b, uint32_t v)
{
    set32(buf_grow(b, 4), v);
}

static inline void
put64(Buf *b, uint64_t v)
{
    set64(buf_grow(b, 8), v);
}

static inline uint16_t
get16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, 2);
    return le16toh(v);
}

static inline uint32_t
get32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return le32toh(v);
}

static inline uint64_t
get64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return le64toh(v);
}

/* ASCII only: all names here are our own. */
static inline void
put_utf16(Buf *b, const char *s)
{
    for (; *s; s++)
        put16(b, (uint8_t)*s);
}
