/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading and writing bytes through one sticky-error cursor.
 *
 * A LaresReader walks over memory it does not own. After a short read every getter returns 0/NULL and `failed` stays
 * set: check it once, at the end. A LaresWriter fills memory of an arena and grows up to `limit`; past it, `failed` is
 * set and nothing more is written. XDR (RFC 4506) helpers are big endian and pad to 4.
 *
 * Thread: a cursor belongs to one thread. */
#pragma once

#include <lares/arena.h>

G_BEGIN_DECLS

typedef struct {
    const uint8_t *at;
    const uint8_t *end;
    gboolean failed;
} LaresReader;

/* bytes may be NULL when there are none. */
static inline LaresReader
lares_reader(const void *bytes, size_t len)
{
    const uint8_t *at = bytes ? (const uint8_t *)bytes : (const uint8_t *)"";
    return (LaresReader){at, at + len, FALSE};
}

static inline size_t
lares_reader_left(const LaresReader *r)
{
    return (size_t)(r->end - r->at);
}

/* Points into the input; NULL (and failed) when fewer than n bytes are left. n == 0 gives a non-NULL pointer. */
static inline const uint8_t *
lares_get_bytes(LaresReader *r, size_t n)
{
    if (G_UNLIKELY(r->failed || lares_reader_left(r) < n)) {
        r->failed = TRUE;
        return NULL;
    }
    const uint8_t *p = r->at;
    r->at += n;
    return p;
}

static inline uint8_t
lares_get_u8(LaresReader *r)
{
    const uint8_t *p = lares_get_bytes(r, 1);
    return p ? p[0] : 0;
}

#define LARES_DEFINE_GETTER(name, type, conv)                                                                          \
    static inline type lares_get_##name(LaresReader *r)                                                                \
    {                                                                                                                  \
        const uint8_t *p = lares_get_bytes(r, sizeof(type));                                                           \
        type v = 0;                                                                                                    \
        if (p)                                                                                                         \
            memcpy(&v, p, sizeof v);                                                                                   \
        return conv(v);                                                                                                \
    }
LARES_DEFINE_GETTER(u16, uint16_t, GUINT16_FROM_BE)
LARES_DEFINE_GETTER(u32, uint32_t, GUINT32_FROM_BE)
LARES_DEFINE_GETTER(u64, uint64_t, GUINT64_FROM_BE)
LARES_DEFINE_GETTER(le16, uint16_t, GUINT16_FROM_LE)
LARES_DEFINE_GETTER(le32, uint32_t, GUINT32_FROM_LE)
LARES_DEFINE_GETTER(le64, uint64_t, GUINT64_FROM_LE)
#undef LARES_DEFINE_GETTER

/* RFC 4506 4.4: only 0 and 1 are booleans. */
static inline gboolean
lares_get_bool(LaresReader *r)
{
    uint32_t v = lares_get_u32(r);
    if (v > 1)
        r->failed = TRUE;
    return v == 1;
}

/* RFC 4506 4.9: n bytes and their padding to 4. */
static inline const uint8_t *
lares_get_fixed(LaresReader *r, size_t n)
{
    const uint8_t *p = lares_get_bytes(r, n);
    lares_get_bytes(r, (size_t)(-n & 3));
    return r->failed ? NULL : p;
}

/* RFC 4506 4.10: variable-length opaque of at most `max` bytes; *len is 0 on failure. */
static inline const uint8_t *
lares_get_opaque(LaresReader *r, size_t max, size_t *len)
{
    uint32_t n = lares_get_u32(r);
    const uint8_t *p = NULL;
    if (G_UNLIKELY(n > max))
        r->failed = TRUE;
    else
        p = lares_get_fixed(r, n);
    *len = p ? n : 0;
    return p;
}

typedef struct {
    LaresArena *arena;
    uint8_t *base;
    size_t len;
    size_t cap;
    size_t limit; /* never grows past this many bytes */
    gboolean failed;
} LaresWriter;

LARES_API void lares_writer_init(LaresWriter *w, LaresArena *arena, size_t initial, size_t limit);
/* Makes room; FALSE (and failed) past the limit. */
LARES_API gboolean lares_writer_grow(LaresWriter *w, size_t extra);

/* Room for n bytes, counted as written, not cleared; NULL when failed. */
static inline uint8_t *
lares_put_space(LaresWriter *w, size_t n)
{
    if (G_UNLIKELY(w->failed || w->cap - w->len < n) && (w->failed || !lares_writer_grow(w, n)))
        return NULL;
    uint8_t *p = w->base + w->len;
    w->len += n;
    return p;
}

static inline void
lares_put_bytes(LaresWriter *w, const void *bytes, size_t n)
{
    uint8_t *p = lares_put_space(w, n);
    if (p && n)
        memcpy(p, bytes, n);
}

static inline void
lares_put_u8(LaresWriter *w, uint8_t v)
{
    lares_put_bytes(w, &v, 1);
}

#define LARES_DEFINE_PUTTER(name, type, conv)                                                                          \
    static inline void lares_put_##name(LaresWriter *w, type v)                                                        \
    {                                                                                                                  \
        v = conv(v);                                                                                                   \
        uint8_t *p = lares_put_space(w, sizeof v);                                                                     \
        if (p)                                                                                                         \
            memcpy(p, &v, sizeof v);                                                                                   \
    }
LARES_DEFINE_PUTTER(u16, uint16_t, GUINT16_TO_BE)
LARES_DEFINE_PUTTER(u32, uint32_t, GUINT32_TO_BE)
LARES_DEFINE_PUTTER(u64, uint64_t, GUINT64_TO_BE)
LARES_DEFINE_PUTTER(le16, uint16_t, GUINT16_TO_LE)
LARES_DEFINE_PUTTER(le32, uint32_t, GUINT32_TO_LE)
LARES_DEFINE_PUTTER(le64, uint64_t, GUINT64_TO_LE)
#undef LARES_DEFINE_PUTTER

static inline void
lares_put_fixed(LaresWriter *w, const void *bytes, size_t n)
{
    static const uint8_t zero[4];
    lares_put_bytes(w, bytes, n);
    lares_put_bytes(w, zero, (size_t)(-n & 3));
}

static inline void
lares_put_opaque(LaresWriter *w, const void *bytes, size_t n)
{
    lares_put_u32(w, (uint32_t)n);
    lares_put_fixed(w, bytes, n);
}

static inline void
lares_put_string(LaresWriter *w, const char *s)
{
    lares_put_opaque(w, s, strlen(s));
}

/* Overwrites 4 bytes written earlier at `at` (big endian). */
static inline void
lares_patch_u32(LaresWriter *w, size_t at, uint32_t v)
{
    if (!w->failed && at + 4 <= w->len) {
        v = GUINT32_TO_BE(v);
        memcpy(w->base + at, &v, 4);
    }
}

/* Takes back what was written after `len`; also forgives a failure, so that a shorter answer can be written. */
static inline void
lares_writer_rewind(LaresWriter *w, size_t len)
{
    if (len <= w->len)
        w->len = len;
    w->failed = FALSE;
}

G_END_DECLS
