/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* NDR, the wire form of RPC parameters: little endian, everything aligned to its size counted from the start of the
 * stub.
 *
 * Spec: C706 chapter 14, [MS-RPCE] 2.2.4. Thread: a cursor belongs to one thread. */
#pragma once

#include <lares/cursor.h>

/* ---- Reading: sticky errors, as LaresReader ---------------------------------------------------------------------- */

typedef struct {
    LaresReader r;
    const uint8_t *start;
} NdrReader;

static inline NdrReader
ndr_reader(const uint8_t *stub, size_t len)
{
    return (NdrReader){lares_reader(stub, len), stub};
}

void ndr_align(NdrReader *n, size_t to);
uint8_t ndr_get_u8(NdrReader *n);
uint16_t ndr_get_u16(NdrReader *n);
uint32_t ndr_get_u32(NdrReader *n);
/* The referent of a unique pointer: whether something stands for it. */
gboolean ndr_get_pointer(NdrReader *n);
/* A count of elements of at least `size` bytes that are still to come; 0 and failed when they cannot all be there. */
uint32_t ndr_get_count(NdrReader *n, size_t size);
/* A conformant varying string of 16-bit units, with or without its NUL, as UTF-8 in the arena; NULL when broken or
 * longer than `max` units. */
char *ndr_get_string(NdrReader *n, LaresArena *arena, size_t max);
/* RPC_UNICODE_STRING ([MS-DTYP] 2.3.10): length, room and pointer; the units are deferred. */
typedef struct {
    uint16_t bytes;
    gboolean there;
} NdrUnicode;
NdrUnicode ndr_get_unicode(NdrReader *n);
/* The deferred units; "" when there are none. */
char *ndr_get_unicode_units(NdrReader *n, LaresArena *arena, NdrUnicode head);
static inline gboolean
ndr_failed(const NdrReader *n)
{
    return n->r.failed;
}

/* ---- Writing: alignment counts from `base` of the writer -----------------------------------------------------------
 */

typedef struct {
    LaresWriter *w;
    size_t base;
    uint32_t referents;
} NdrWriter;

static inline NdrWriter
ndr_writer(LaresWriter *w)
{
    return (NdrWriter){w, w->len, 0};
}

void ndr_pad(NdrWriter *n, size_t to);
void ndr_put_u8(NdrWriter *n, uint8_t v);
void ndr_put_u16(NdrWriter *n, uint16_t v);
void ndr_put_u32(NdrWriter *n, uint32_t v);
/* A unique pointer: to something that follows, or to nothing. */
void ndr_put_pointer(NdrWriter *n, gboolean there);
/* A conformant varying string with its NUL. */
void ndr_put_string(NdrWriter *n, const char *utf8);
/* RPC_UNICODE_STRING without a NUL, its units deferred to ndr_put_unicode_units(). NULL: an empty one. */
void ndr_put_unicode(NdrWriter *n, const char *utf8);
void ndr_put_unicode_units(NdrWriter *n, const char *utf8);
