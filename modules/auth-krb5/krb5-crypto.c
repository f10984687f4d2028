/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Key derivation, saved-state HMAC and the key tables of the four AES enctypes.
 *
 * The HMAC runs on libcrypto's plain SHA contexts, not on EVP_MAC: their states can be copied by
 * assignment, so that a message neither allocates nor looks anything up. The compression functions
 * behind both are the same.
 *
 * Spec: RFC 3961 5.1 and 5.3, RFC 3962 6, RFC 8009 3 to 5. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "krb5-crypto.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdatomic.h>
#include <string.h>

static const Krb5Enctype enctypes[] = {
    {KRB5_ENC_AES128_SHA1, "aes128-cts-hmac-sha1-96", 16, 16, 12, TRUE, KRB5_HASH_SHA1},
    {KRB5_ENC_AES256_SHA1, "aes256-cts-hmac-sha1-96", 32, 32, 12, TRUE, KRB5_HASH_SHA1},
    {KRB5_ENC_AES128_SHA256, "aes128-cts-hmac-sha256-128", 16, 16, 16, FALSE, KRB5_HASH_SHA256},
    {KRB5_ENC_AES256_SHA384, "aes256-cts-hmac-sha384-192", 32, 24, 24, FALSE, KRB5_HASH_SHA384},
};

static const struct {
    size_t block, digest;
} hash_sizes[] = {
    [KRB5_HASH_SHA1] = {64, 20},
    [KRB5_HASH_SHA256] = {64, 32},
    [KRB5_HASH_SHA384] = {128, 48},
};

const Krb5Enctype *
krb5_enctype_find(int id)
{
    for (size_t i = 0; i < G_N_ELEMENTS(enctypes); i++)
        if (enctypes[i].id == id)
            return &enctypes[i];
    return NULL;
}

static void
hash_start(uint8_t hash, Krb5HashState *s)
{
    switch (hash) {
    case KRB5_HASH_SHA1:
        SHA1_Init(&s->sha1);
        break;
    case KRB5_HASH_SHA256:
        SHA256_Init(&s->sha256);
        break;
    default:
        SHA384_Init(&s->sha512);
        break;
    }
}

static void
hash_update(uint8_t hash, Krb5HashState *s, const void *data, size_t len)
{
    switch (hash) {
    case KRB5_HASH_SHA1:
        SHA1_Update(&s->sha1, data, len);
        break;
    case KRB5_HASH_SHA256:
        SHA256_Update(&s->sha256, data, len);
        break;
    default:
        SHA384_Update(&s->sha512, data, len);
        break;
    }
}

static void
hash_finish(uint8_t hash, Krb5HashState *s, uint8_t *out)
{
    switch (hash) {
    case KRB5_HASH_SHA1:
        SHA1_Final(out, &s->sha1);
        break;
    case KRB5_HASH_SHA256:
        SHA256_Final(out, &s->sha256);
        break;
    default:
        SHA384_Final(out, &s->sha512);
        break;
    }
}

/* Only the live member: the union is as big as SHA-512's, SHA-1's is less than half of it. */
static inline void
hash_copy(uint8_t hash, Krb5HashState *to, const Krb5HashState *from)
{
    switch (hash) {
    case KRB5_HASH_SHA1:
        to->sha1 = from->sha1;
        break;
    case KRB5_HASH_SHA256:
        to->sha256 = from->sha256;
        break;
    default:
        to->sha512 = from->sha512;
        break;
    }
}

/* The keys here are never longer than a hash block, so the "hash a long key first" rule has no
 * case. */
static void
mac_key_set(Krb5MacKey *key, const Krb5Enctype *e, const uint8_t *k, size_t len)
{
    uint8_t pad[128];
    size_t block = hash_sizes[e->hash].block;

    key->enctype = e;
    for (int outer = 0; outer < 2; outer++) {
        Krb5HashState *s = outer ? &key->outer : &key->inner;

        memset(pad, outer ? 0x5c : 0x36, block);
        for (size_t i = 0; i < len; i++)
            pad[i] ^= k[i];
        hash_start(e->hash, s);
        hash_update(e->hash, s, pad, block);
    }
    OPENSSL_cleanse(pad, sizeof pad);
}

void
krb5_mac_start(Krb5Mac *mac, const Krb5MacKey *key)
{
    mac->enctype = key->enctype;
    hash_copy(key->enctype->hash, &mac->state, &key->inner);
}

void
krb5_mac_update(Krb5Mac *mac, const void *data, size_t len)
{
    if (len > 0)
        hash_update(mac->enctype->hash, &mac->state, data, len);
}

void
krb5_mac_finish(Krb5Mac *mac, const Krb5MacKey *key, uint8_t *out)
{
    uint8_t hash = key->enctype->hash;
    uint8_t digest[KRB5_MAX_DIGEST];

    hash_finish(hash, &mac->state, digest);
    hash_copy(hash, &mac->state, &key->outer);
    hash_update(hash, &mac->state, digest, hash_sizes[hash].digest);
    hash_finish(hash, &mac->state, digest);
    memcpy(out, digest, key->enctype->sum_len);
    OPENSSL_cleanse(digest, sizeof digest);
}

/* RFC 3961 5.1: fold `in` to 16 bytes. The input is laid out again and again, each copy rotated
 * right by 13 bits more, and the 16-byte pieces are added with end-around carry. */
static void
fold_to_block(const uint8_t *in, size_t len, uint8_t out[KRB5_BLOCK])
{
    size_t bits = len * 8, lcm = len * KRB5_BLOCK;
    unsigned sum[KRB5_BLOCK] = {0};

    /* lcm need not be the least one: a whole multiple of it would change the sum, so reduce it. */
    for (size_t a = len, b = KRB5_BLOCK; b != 0;) {
        size_t t = a % b;
        a = b;
        b = t;
        if (b == 0)
            lcm /= a;
    }
    for (size_t i = 0; i < lcm; i++) {
        size_t copy = i / len;
        unsigned byte = 0;

        for (size_t bit = 0; bit < 8; bit++) {
            size_t pos = ((i % len) * 8 + bit + bits - (13 * copy) % bits) % bits;
            byte = byte << 1 | (in[pos / 8] >> (7 - pos % 8) & 1);
        }
        sum[i % KRB5_BLOCK] += byte;
    }
    for (unsigned carry = 1; carry != 0;) {
        carry = 0;
        for (size_t i = KRB5_BLOCK; i-- > 0;) {
            sum[i] += carry;
            carry = sum[i] >> 8;
            sum[i] &= 0xff;
        }
        sum[KRB5_BLOCK - 1] += carry;
    }
    for (size_t i = 0; i < KRB5_BLOCK; i++)
        out[i] = (uint8_t)sum[i];
}

/* RFC 3961 5.3: DK(key, constant) with AES, whose random-to-key is the identity. */
static gboolean
derive_folded(const Krb5Enctype *e, const uint8_t *key, const uint8_t constant[5], uint8_t out[KRB5_MAX_KEY])
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    uint8_t block[KRB5_BLOCK];
    gboolean ok = ctx != NULL && EVP_EncryptInit_ex(ctx, e->key_len == 32 ? EVP_aes_256_ecb() : EVP_aes_128_ecb(), NULL,
                                                    key, NULL) == 1;

    fold_to_block(constant, 5, block);
    if (ok)
        EVP_CIPHER_CTX_set_padding(ctx, 0);
    for (size_t done = 0; ok && done < e->key_len; done += KRB5_BLOCK) {
        int n = 0;
        ok = EVP_EncryptUpdate(ctx, block, &n, block, sizeof block) == 1 && n == sizeof block;
        memcpy(out + done, block, sizeof block);
    }
    EVP_CIPHER_CTX_free(ctx);
    OPENSSL_cleanse(block, sizeof block);
    return ok;
}

/* RFC 8009 3: KDF-HMAC-SHA2 with an empty context. */
static gboolean
derive_sha2(const Krb5Enctype *e, const uint8_t *key, const uint8_t constant[5], size_t want, uint8_t out[KRB5_MAX_KEY])
{
    uint32_t bits = (uint32_t)want * 8;
    uint8_t input[14] = {0, 0, 0, 1};
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;

    memcpy(input + 4, constant, 5);
    input[9] = 0;
    for (int i = 0; i < 4; i++)
        input[10 + i] = (uint8_t)(bits >> (24 - 8 * i));
    if (HMAC(e->hash == KRB5_HASH_SHA384 ? EVP_sha384() : EVP_sha256(), key, e->key_len, input, sizeof input, digest,
             &n) == NULL ||
        n < want)
        return FALSE;
    memcpy(out, digest, want);
    OPENSSL_cleanse(digest, sizeof digest);
    return TRUE;
}

size_t
krb5_derive(const Krb5Enctype *e, const uint8_t *protocol_key, uint32_t usage, uint8_t octet, uint8_t out[KRB5_MAX_KEY])
{
    const uint8_t constant[5] = {(uint8_t)(usage >> 24), (uint8_t)(usage >> 16), (uint8_t)(usage >> 8), (uint8_t)usage,
                                 octet};
    size_t want = octet == 0xAA ? e->key_len : e->mac_len;
    gboolean ok = e->mac_first ? derive_folded(e, protocol_key, constant, out)
                               : derive_sha2(e, protocol_key, constant, want, out);

    return ok ? want : 0;
}

static gboolean
mac_key_derive(Krb5MacKey *key, const Krb5Enctype *e, const uint8_t *protocol_key, uint32_t usage, uint8_t octet)
{
    uint8_t derived[KRB5_MAX_KEY];
    size_t len = krb5_derive(e, protocol_key, usage, octet, derived);

    if (len != 0)
        mac_key_set(key, e, derived, len);
    OPENSSL_cleanse(derived, sizeof derived);
    return len != 0;
}

gboolean
krb5_sum_key_init(Krb5MacKey *key, const Krb5Enctype *e, const uint8_t *protocol_key, uint32_t usage)
{
    return mac_key_derive(key, e, protocol_key, usage, 0x99);
}

gboolean
krb5_seal_key_init(Krb5SealKey *key, const Krb5Enctype *e, const uint8_t *protocol_key, uint32_t usage)
{
    static atomic_uint_fast64_t next_serial = 1;

    key->enctype = e;
    key->serial = atomic_fetch_add_explicit(&next_serial, 1, memory_order_relaxed);
    return krb5_derive(e, protocol_key, usage, 0xAA, key->ke) != 0 &&
           mac_key_derive(&key->ki, e, protocol_key, usage, 0x55);
}
