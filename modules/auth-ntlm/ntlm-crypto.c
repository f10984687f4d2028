/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See ntlm-crypto.h. */
#include "ntlm-crypto.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

/* ---- MD4 ------------------------------------------------------------------------------------------------------- */

static uint32_t
rotate(uint32_t x, unsigned n)
{
    return x << n | x >> (32 - n);
}

/* RFC 1320 3.4: three rounds of sixteen steps; per round a function, a constant, the order of words and four shifts. */
static void
md4_block(uint32_t state[4], const uint8_t block[64])
{
    static const uint8_t order[3][16] = {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
                                         {0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15},
                                         {0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15}};
    static const uint8_t shift[3][4] = {{3, 7, 11, 19}, {3, 5, 9, 13}, {3, 9, 11, 15}};
    static const uint32_t add[3] = {0, 0x5a827999, 0x6ed9eba1};
    uint32_t x[16], v[4];

    for (int i = 0; i < 16; i++)
        x[i] = block[4 * i] | (uint32_t)block[4 * i + 1] << 8 | (uint32_t)block[4 * i + 2] << 16 |
               (uint32_t)block[4 * i + 3] << 24;
    memcpy(v, state, sizeof v);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 16; i++) {
            uint32_t b = v[1], c = v[2], d = v[3], f;
            if (round == 0)
                f = (b & c) | (~b & d);
            else if (round == 1)
                f = (b & c) | (b & d) | (c & d);
            else
                f = b ^ c ^ d;
            uint32_t a = rotate(v[0] + f + x[order[round][i]] + add[round], shift[round][i % 4]);
            v[0] = d, v[3] = c, v[2] = b, v[1] = a;
        }
    }
    for (int i = 0; i < 4; i++)
        state[i] += v[i];
    OPENSSL_cleanse(x, sizeof x);
}

void
ntlm_md4(const uint8_t *bytes, size_t len, uint8_t digest[16])
{
    uint32_t state[4] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
    uint8_t tail[128] = {0};
    size_t whole = len & ~(size_t)63, rest = len - whole, end = rest < 56 ? 64 : 128;

    for (size_t at = 0; at < whole; at += 64)
        md4_block(state, bytes + at);
    if (rest > 0)
        memcpy(tail, bytes + whole, rest);
    tail[rest] = 0x80;
    for (int i = 0; i < 8; i++)
        tail[end - 8 + (size_t)i] = (uint8_t)((uint64_t)len * 8 >> (8 * i));
    for (size_t at = 0; at < end; at += 64)
        md4_block(state, tail + at);
    for (int i = 0; i < 16; i++)
        digest[i] = (uint8_t)(state[i / 4] >> (8 * (i % 4)));
    OPENSSL_cleanse(tail, sizeof tail);
}

/* ---- MD5 ------------------------------------------------------------------------------------------------------- */

gboolean
ntlm_md5(const void *a, size_t a_len, const void *b, size_t b_len, uint8_t digest[16])
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    gboolean ok = md && EVP_DigestInit_ex(md, EVP_md5(), NULL) == 1 && EVP_DigestUpdate(md, a, a_len) == 1 &&
                  EVP_DigestUpdate(md, b, b_len) == 1 && EVP_DigestFinal_ex(md, digest, NULL) == 1;
    EVP_MD_CTX_free(md);
    return ok;
}

gboolean
ntlm_hmac(const uint8_t key[16], const NtlmPiece *pieces, size_t n, uint8_t digest[16])
{
    g_autoptr(GByteArray) all = g_byte_array_new();
    unsigned len = 16;
    for (size_t i = 0; i < n; i++)
        if (pieces[i].len > 0)
            g_byte_array_append(all, pieces[i].bytes, (guint)pieces[i].len);
    gboolean ok = HMAC(EVP_md5(), key, 16, all->data ? all->data : (const uint8_t *)"", all->len, digest, &len) != NULL;
    return ok && len == 16;
}

/* ---- RC4 ------------------------------------------------------------------------------------------------------- */

void
ntlm_rc4_init(NtlmRc4 *rc4, const uint8_t *key, size_t len)
{
    uint8_t j = 0;
    rc4->i = rc4->j = 0;
    for (int i = 0; i < 256; i++)
        rc4->s[i] = (uint8_t)i;
    for (int i = 0; i < 256; i++) {
        uint8_t t = rc4->s[i];
        j = (uint8_t)(j + t + key[(size_t)i % len]);
        rc4->s[i] = rc4->s[j];
        rc4->s[j] = t;
    }
}

void
ntlm_rc4(NtlmRc4 *rc4, const uint8_t *from, uint8_t *to, size_t len)
{
    for (size_t n = 0; n < len; n++) {
        uint8_t t = rc4->s[++rc4->i];
        rc4->j = (uint8_t)(rc4->j + t);
        rc4->s[rc4->i] = rc4->s[rc4->j];
        rc4->s[rc4->j] = t;
        to[n] = from[n] ^ rc4->s[(uint8_t)(rc4->s[rc4->i] + t)];
    }
}

/* ---- Names and passwords --------------------------------------------------------------------------------------- */

uint8_t *
ntlm_utf16(const char *text, size_t *bytes)
{
    glong units = 0;
    gunichar2 *utf16 = g_utf8_to_utf16(text, -1, NULL, &units, NULL);
    *bytes = (size_t)units * 2;
    for (glong i = 0; utf16 && i < units; i++)
        utf16[i] = GUINT16_TO_LE(utf16[i]);
    return (uint8_t *)utf16;
}

char *
ntlm_utf8(const uint8_t *utf16, size_t bytes)
{
    size_t units = bytes / 2;
    if (bytes % 2 != 0)
        return NULL;
    g_autofree gunichar2 *copy = g_new0(gunichar2, units + 1);
    for (size_t i = 0; i < units; i++) {
        copy[i] = (gunichar2)(utf16[2 * i] | utf16[2 * i + 1] << 8);
        if (copy[i] == 0)
            return NULL;
    }
    return g_utf16_to_utf8(copy, (glong)units, NULL, NULL, NULL);
}

gboolean
ntlm_hash(const char *password, uint8_t hash[16])
{
    size_t len;
    uint8_t *utf16 = ntlm_utf16(password, &len);
    if (!utf16)
        return FALSE;
    ntlm_md4(utf16, len, hash);
    OPENSSL_cleanse(utf16, len);
    g_free(utf16);
    return TRUE;
}

gboolean
ntlm_owf2(const uint8_t hash[16], const char *user, const uint8_t *domain, size_t domain_len, uint8_t key[16])
{
    size_t len;
    g_autofree char *upper = g_utf8_strup(user, -1);
    g_autofree uint8_t *utf16 = ntlm_utf16(upper, &len);
    const NtlmPiece pieces[] = {{utf16, len}, {domain, domain_len}};
    return utf16 && ntlm_hmac(hash, pieces, 2, key);
}
