/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* XDR for the load generator: a growing writer and a reader with a sticky error.
 * It shares nothing with the server on purpose, so that one checks the other.
 * Spec: RFC 4506. */
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

/* After a short read every getter returns zeros and `bad` stays set. */
typedef struct {
    const uint8_t *p;
    size_t left;
    bool bad;
} Cur;

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
put32(Buf *b, uint32_t v)
{
    v = htobe32(v);
    memcpy(buf_grow(b, 4), &v, 4);
}

static inline void
put64(Buf *b, uint64_t v)
{
    v = htobe64(v);
    memcpy(buf_grow(b, 8), &v, 8);
}

static inline void
set32(Buf *b, size_t at, uint32_t v)
{
    v = htobe32(v);
    memcpy(b->p + at, &v, 4);
}

static inline void
put_fixed(Buf *b, const void *p, size_t n)
{
    size_t pad = (4 - (n & 3)) & 3;
    uint8_t *q = buf_grow(b, n + pad);
    if (n > 0)
        memcpy(q, p, n);
    memset(q + n, 0, pad);
}

static inline void
put_var(Buf *b, const void *p, size_t n)
{
    put32(b, (uint32_t)n);
    put_fixed(b, p, n);
}

static inline void
put_str(Buf *b, const char *s)
{
    put_var(b, s, strlen(s));
}

static inline void
buf_free(Buf *b)
{
    free(b->p);
    memset(b, 0, sizeof *b);
}

static inline Cur
cur_of(const void *p, size_t n)
{
    return (Cur){p, n, false};
}

/* Returns NULL (and sets bad) when fewer than n bytes plus padding are left. */
static inline const uint8_t *
get_fixed(Cur *c, size_t n)
{
    size_t all = n + ((4 - (n & 3)) & 3);
    if (c->bad || all < n || c->left < all) {
        c->bad = true;
        return NULL;
    }
    const uint8_t *p = c->p;
    c->p += all;
    c->left -= all;
    return p;
}

static inline uint32_t
get32(Cur *c)
{
    const uint8_t *p = get_fixed(c, 4);
    uint32_t v = 0;
    if (p != NULL)
        memcpy(&v, p, 4);
    return be32toh(v);
}

static inline uint64_t
get64(Cur *c)
{
    const uint8_t *p = get_fixed(c, 8);
    uint64_t v = 0;
    if (p != NULL)
        memcpy(&v, p, 8);
    return be64toh(v);
}

static inline const uint8_t *
get_var(Cur *c, uint32_t *n)
{
    *n = get32(c);
    const uint8_t *p = get_fixed(c, *n);
    if (p == NULL)
        *n = 0;
    return p;
}

static inline void
get_copy(Cur *c, void *to, size_t n)
{
    const uint8_t *p = get_fixed(c, n);
    if (p != NULL)
        memcpy(to, p, n);
    else
        memset(to, 0, n);
}
