/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See ntlm-message.h. */
#include "ntlm-message.h"
#include "ntlm-crypto.h"

static const uint8_t signature[8] = "NTLMSSP";

/* ---- Reading --------------------------------------------------------------------------------------------------- */

static gboolean
begin(LaresReader *r, const uint8_t *message, size_t len, uint32_t type)
{
    *r = lares_reader(message, len);
    const uint8_t *s = lares_get_bytes(r, sizeof signature);
    return len <= NTLM_MESSAGE_MAX && s && memcmp(s, signature, sizeof signature) == 0 && lares_get_le32(r) == type;
}

gboolean
ntlm_read_negotiate(const uint8_t *message, size_t len, uint32_t *flags)
{
    LaresReader r;
    if (!begin(&r, message, len, 1))
        return FALSE;
    /* Domain and workstation behind it are hints nobody needs. */
    *flags = lares_get_le32(&r);
    return !r.failed;
}

/* Length, room, offset (2.2.1.3): *first goes down to the lowest offset that is used. */
static void
get_field(LaresReader *r, const uint8_t *message, size_t len, NtlmField *field, size_t *first)
{
    size_t n = lares_get_le16(r);
    lares_get_le16(r);
    size_t at = lares_get_le32(r);
    if (r->failed || (n > 0 && (at > len || n > len - at))) {
        r->failed = TRUE;
        return;
    }
    *field = (NtlmField){n > 0 ? message + at : message, n};
    if (n > 0 && at < *first)
        *first = at;
}

gboolean
ntlm_read_authenticate(const uint8_t *message, size_t len, NtlmAuthenticate *out)
{
    LaresReader r;
    size_t first = len;
    *out = (NtlmAuthenticate){0};
    if (!begin(&r, message, len, 3))
        return FALSE;
    NtlmField *fields[] = {&out->lm, &out->nt, &out->domain, &out->user, &out->workstation, &out->session_key};
    for (size_t i = 0; i < G_N_ELEMENTS(fields); i++)
        get_field(&r, message, len, fields[i], &first);
    out->flags = lares_get_le32(&r);
    out->room_for_mic = !r.failed && first >= NTLM_MIC_AT + 16;
    return !r.failed;
}

gboolean
ntlm_av_find(const NtlmField *pairs, uint16_t id, NtlmField *value, gboolean *broken)
{
    LaresReader r = lares_reader(pairs->at, pairs->len);
    gboolean found = FALSE;
    for (;;) {
        uint16_t this = lares_get_le16(&r);
        size_t n = lares_get_le16(&r);
        const uint8_t *at = lares_get_bytes(&r, n);
        if (r.failed || this == NTLM_AV_EOL)
            break;
        if (this == id && !found) {
            *value = (NtlmField){at, n};
            found = TRUE;
        }
    }
    *broken = r.failed;
    return found && !r.failed;
}

gboolean
ntlm_response_pairs(const NtlmField *nt, NtlmField *pairs)
{
    /* Proof 16, then: type 1, type 1, 6 zero bytes, time 8, client challenge 8, 4 zero bytes, pairs. */
    if (nt->len < 16 + 28 + 4 || nt->at[16] != 1 || nt->at[17] != 1)
        return FALSE;
    *pairs = (NtlmField){nt->at + 44, nt->len - 44};
    return TRUE;
}

/* ---- Writing --------------------------------------------------------------------------------------------------- */

static void
put16(GByteArray *out, uint32_t v)
{
    const uint8_t bytes[] = {(uint8_t)v, (uint8_t)(v >> 8)};
    g_byte_array_append(out, bytes, 2);
}

static void
put32(GByteArray *out, uint32_t v)
{
    put16(out, v & 0xffff);
    put16(out, v >> 16);
}

static void
put_name(GByteArray *out, uint32_t id, const char *name)
{
    size_t len;
    g_autofree uint8_t *utf16 = ntlm_utf16(name, &len);
    put16(out, id);
    put16(out, utf16 ? (uint32_t)len : 0);
    if (utf16)
        g_byte_array_append(out, utf16, (guint)len);
}

GByteArray *
ntlm_write_challenge(uint32_t flags, const uint8_t challenge[8], uint64_t now, const NtlmNames *names)
{
    /* Our place in Windows' history: 6.1, as [MS-NLMP] 2.2.2.10 lets others say, revision 15. */
    static const uint8_t version[8] = {6, 1, 0, 0, 0, 0, 0, 15}, zero[8];
    GByteArray *out = g_byte_array_new();
    g_autoptr(GByteArray) info = g_byte_array_new();
    size_t len;
    g_autofree uint8_t *target = ntlm_utf16(names->computer, &len);

    put_name(info, NTLM_AV_NB_DOMAIN, names->computer);
    put_name(info, NTLM_AV_NB_COMPUTER, names->computer);
    put_name(info, NTLM_AV_DNS_DOMAIN, names->dns_domain);
    put_name(info, NTLM_AV_DNS_COMPUTER, names->dns_computer);
    put16(info, NTLM_AV_TIMESTAMP);
    put16(info, 8);
    put32(info, (uint32_t)now);
    put32(info, (uint32_t)(now >> 32));
    put32(info, NTLM_AV_EOL);

    g_byte_array_append(out, signature, sizeof signature);
    put32(out, 2);
    put16(out, (uint32_t)len);
    put16(out, (uint32_t)len);
    put32(out, 56);
    put32(out, flags);
    g_byte_array_append(out, challenge, 8);
    g_byte_array_append(out, zero, 8);
    put16(out, info->len);
    put16(out, info->len);
    put32(out, 56 + (uint32_t)len);
    g_byte_array_append(out, version, sizeof version);
    g_byte_array_append(out, target, (guint)len);
    g_byte_array_append(out, info->data, info->len);
    return out;
}
