/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See ndr.h. */
#include "ndr.h"

/* ---- Reading ---------------------------------------------------------------------------------------------------- */

void
ndr_align(NdrReader *n, size_t to)
{
    if (!n->r.failed)
        lares_get_bytes(&n->r, (size_t)(-(n->r.at - n->start)) & (to - 1));
}

uint8_t
ndr_get_u8(NdrReader *n)
{
    return lares_get_u8(&n->r);
}

uint16_t
ndr_get_u16(NdrReader *n)
{
    ndr_align(n, 2);
    return lares_get_le16(&n->r);
}

uint32_t
ndr_get_u32(NdrReader *n)
{
    ndr_align(n, 4);
    return lares_get_le32(&n->r);
}

gboolean
ndr_get_pointer(NdrReader *n)
{
    return ndr_get_u32(n) != 0 && !n->r.failed;
}

uint32_t
ndr_get_count(NdrReader *n, size_t size)
{
    uint32_t count = ndr_get_u32(n);
    if (count > lares_reader_left(&n->r) / size)
        n->r.failed = TRUE;
    return n->r.failed ? 0 : count;
}

static char *
units_to_utf8(const uint8_t *bytes, size_t units, LaresArena *arena)
{
    g_autofree gunichar2 *copy = g_new(gunichar2, units + 1);
    for (size_t i = 0; i < units; i++)
        copy[i] = (gunichar2)(bytes[2 * i] | bytes[2 * i + 1] << 8);
    while (units > 0 && copy[units - 1] == 0)
        units--;
    for (size_t i = 0; i < units; i++)
        if (copy[i] == 0)
            return NULL;
    g_autofree char *utf8 = g_utf16_to_utf8(copy, (glong)units, NULL, NULL, NULL);
    return utf8 ? lares_arena_strndup(arena, utf8, strlen(utf8)) : NULL;
}

char *
ndr_get_string(NdrReader *n, LaresArena *arena, size_t max)
{
    uint32_t room = ndr_get_u32(n), offset = ndr_get_u32(n), units = ndr_get_u32(n);
    char *text = NULL;
    if (offset != 0 || units > room || units > max)
        n->r.failed = TRUE;
    const uint8_t *bytes = lares_get_bytes(&n->r, n->r.failed ? 0 : (size_t)units * 2);
    if (bytes && !n->r.failed)
        text = units_to_utf8(bytes, units, arena);
    if (!text)
        n->r.failed = TRUE;
    return text;
}

NdrUnicode
ndr_get_unicode(NdrReader *n)
{
    ndr_align(n, 4);
    uint16_t bytes = ndr_get_u16(n), room = ndr_get_u16(n);
    gboolean there = ndr_get_pointer(n);
    if (bytes > room || bytes % 2 != 0 || (bytes > 0 && !there))
        n->r.failed = TRUE;
    return (NdrUnicode){bytes, there};
}

char *
ndr_get_unicode_units(NdrReader *n, LaresArena *arena, NdrUnicode head)
{
    if (!head.there)
        return lares_arena_strndup(arena, "", 0);
    uint32_t room = ndr_get_u32(n), offset = ndr_get_u32(n), units = ndr_get_u32(n);
    char *text = NULL;
    if (offset != 0 || units > room || units != head.bytes / 2u)
        n->r.failed = TRUE;
    const uint8_t *bytes = lares_get_bytes(&n->r, n->r.failed ? 0 : (size_t)units * 2);
    if (bytes && !n->r.failed)
        text = units_to_utf8(bytes, units, arena);
    if (!text)
        n->r.failed = TRUE;
    return text;
}

/* ---- Writing ---------------------------------------------------------------------------------------------------- */

void
ndr_pad(NdrWriter *n, size_t to)
{
    size_t pad = (size_t)(-(n->w->len - n->base)) & (to - 1);
    uint8_t *p = lares_put_space(n->w, pad);
    if (p && pad)
        memset(p, 0, pad);
}

void
ndr_put_u8(NdrWriter *n, uint8_t v)
{
    lares_put_u8(n->w, v);
}

void
ndr_put_u16(NdrWriter *n, uint16_t v)
{
    ndr_pad(n, 2);
    lares_put_le16(n->w, v);
}

void
ndr_put_u32(NdrWriter *n, uint32_t v)
{
    ndr_pad(n, 4);
    lares_put_le32(n->w, v);
}

void
ndr_put_pointer(NdrWriter *n, gboolean there)
{
    ndr_put_u32(n, there ? 0x00020000 + 4 * n->referents++ : 0);
}

/* Appends UTF-16LE; returns the units. What is not UTF-8 becomes nothing. */
static glong
put_units(NdrWriter *n, const char *utf8)
{
    glong units = 0;
    g_autofree gunichar2 *utf16 = g_utf8_to_utf16(utf8, -1, NULL, &units, NULL);
    for (glong i = 0; utf16 && i < units; i++)
        lares_put_le16(n->w, utf16[i]);
    return utf16 ? units : 0;
}

static glong
count_units(const char *utf8)
{
    glong units = 0;
    g_autofree gunichar2 *utf16 = g_utf8_to_utf16(utf8, -1, NULL, &units, NULL);
    return utf16 ? units : 0;
}

void
ndr_put_string(NdrWriter *n, const char *utf8)
{
    uint32_t units = (uint32_t)count_units(utf8) + 1;
    ndr_put_u32(n, units);
    ndr_put_u32(n, 0);
    ndr_put_u32(n, units);
    put_units(n, utf8);
    lares_put_le16(n->w, 0);
}

void
ndr_put_unicode(NdrWriter *n, const char *utf8)
{
    uint16_t bytes = utf8 ? (uint16_t)(2 * count_units(utf8)) : 0;
    ndr_pad(n, 4);
    ndr_put_u16(n, bytes);
    ndr_put_u16(n, bytes);
    ndr_put_pointer(n, utf8 != NULL);
}

void
ndr_put_unicode_units(NdrWriter *n, const char *utf8)
{
    if (!utf8)
        return;
    uint32_t units = (uint32_t)count_units(utf8);
    ndr_put_u32(n, units);
    ndr_put_u32(n, 0);
    ndr_put_u32(n, units);
    put_units(n, utf8);
}
