/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The byte form of an ACL in an extended attribute: small, because ext4 keeps all of a file's attributes in one block.
 *
 * Little endian. Byte 0: version 1. Bytes 1-2: number of entries. Then per entry: type << 4 | who, flags (8 bits),
 * mask (32 bits) and, for a named one, id (32 bits).
 *
 * Thread: plain values. */
#include <lares/acl.h>
#include <lares/cursor.h>

#include <string.h>

#define VERSION 1

static void
put32(uint8_t **at, uint32_t v)
{
    v = GUINT32_TO_LE(v);
    memcpy(*at, &v, 4);
    *at += 4;
}

GBytes *
lares_acl_serialize(const LaresAcl *acl)
{
    uint8_t *bytes = g_malloc(3 + (size_t)acl->n * 10), *at = bytes;
    *at++ = VERSION;
    *at++ = (uint8_t)acl->n;
    *at++ = (uint8_t)(acl->n >> 8);
    for (uint32_t i = 0; i < acl->n; i++) {
        const LaresAce *ace = &acl->ace[i];
        *at++ = (uint8_t)(ace->type << 4 | ace->who);
        *at++ = (uint8_t)ace->flags;
        put32(&at, ace->mask);
        if (ace->who == LARES_WHO_ID)
            put32(&at, ace->id);
    }
    return g_bytes_new_take(bytes, (size_t)(at - bytes));
}

static gboolean
get_ace(LaresReader *r, LaresAce *ace)
{
    uint8_t first = lares_get_u8(r);
    ace->type = first >> 4;
    ace->who = first & 15;
    ace->flags = lares_get_u8(r);
    ace->mask = lares_get_le32(r);
    if (ace->who == LARES_WHO_ID)
        ace->id = lares_get_le32(r);
    return !r->failed && ace->type <= LARES_ACE_ALARM && ace->who <= LARES_WHO_EVERYONE;
}

LaresAcl *
lares_acl_parse(const uint8_t *bytes, size_t len)
{
    LaresReader r = lares_reader(bytes, len);
    uint8_t version = lares_get_u8(&r);
    uint16_t n = lares_get_le16(&r);
    if (r.failed || version != VERSION || n > LARES_ACL_MAX)
        return NULL;
    g_autoptr(LaresAcl) acl = lares_acl_new(n);
    for (uint32_t i = 0; i < n; i++)
        if (!get_ace(&r, &acl->ace[i]))
            return NULL;
    if (lares_reader_left(&r))
        return NULL;
    return g_steal_pointer(&acl);
}
