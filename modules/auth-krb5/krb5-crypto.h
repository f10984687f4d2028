/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Kerberos key schedules and the two AES profiles over OpenSSL: from a protocol key to ready-to-use
 * per-usage keys, and the keyed checksum and cipher passes that message protection is made of.
 *
 * Spec: RFC 3961 (key derivation, simplified profile), RFC 3962 (aes-cts-hmac-sha1-96),
 *       RFC 8009 (aes-cts-hmac-sha2).
 * Thread: key objects are immutable once made and shared by any number of threads. Cipher contexts
 * and random bytes come from a per-thread lane. */
#pragma once

#include <glib.h>
#include <stdint.h>
#include <openssl/sha.h>
#include <sys/uio.h>

#define KRB5_CONFOUNDER 16u
#define KRB5_BLOCK      16u
#define KRB5_MAX_KEY    32u
#define KRB5_MAX_SUM    24u
#define KRB5_MAX_DIGEST 64u

typedef enum {
    KRB5_ENC_AES128_SHA1 = 17,
    KRB5_ENC_AES256_SHA1 = 18,
    KRB5_ENC_AES128_SHA256 = 19,
    KRB5_ENC_AES256_SHA384 = 20,
} Krb5EnctypeId;

typedef struct Krb5Enctype {
    int id;
    const char *name;   /* as krb5.conf spells it */
    uint8_t key_len;    /* protocol key and Ke, bytes */
    uint8_t mac_len;    /* Ki and Kc, bytes */
    uint8_t sum_len;    /* truncated checksum on the wire, bytes */
    gboolean mac_first; /* MAC over the plaintext (RFC 3962), else over IV and ciphertext (RFC 8009) */
    uint8_t hash;       /* a Krb5Hash */
} Krb5Enctype;

typedef enum { KRB5_HASH_SHA1, KRB5_HASH_SHA256, KRB5_HASH_SHA384 } Krb5Hash;

/* One hash state; which member lives is told by the enctype. */
typedef union {
    SHA_CTX sha1;
    SHA256_CTX sha256;
    SHA512_CTX sha512;
} Krb5HashState;

/* An HMAC key as the two hash states after the inner and outer pad: starting a message is a copy.
 */
typedef struct {
    const Krb5Enctype *enctype;
    Krb5HashState inner, outer;
} Krb5MacKey;

/* Ke and Ki of one usage. `serial` names the key for the per-thread cipher cache; it is never
 * reused. */
typedef struct {
    const Krb5Enctype *enctype;
    uint64_t serial;
    uint8_t ke[KRB5_MAX_KEY];
    Krb5MacKey ki;
} Krb5SealKey;

typedef struct {
    const Krb5Enctype *enctype;
    Krb5HashState state;
} Krb5Mac;

/* The enctype, or NULL when it is not one of the four AES types. */
const Krb5Enctype *krb5_enctype_find(int id);

/* Derive the keys of `usage` from the protocol key (enctype->key_len bytes). FALSE: libcrypto
 * failed. */
gboolean krb5_seal_key_init(Krb5SealKey *key, const Krb5Enctype *e, const uint8_t *protocol_key, uint32_t usage);
gboolean krb5_sum_key_init(Krb5MacKey *key, const Krb5Enctype *e, const uint8_t *protocol_key, uint32_t usage);

/* The derived key itself, for published vectors; `octet` is 0x99, 0xAA or 0x55. Returns its length,
 * 0 on failure. */
size_t krb5_derive(const Krb5Enctype *e, const uint8_t *protocol_key, uint32_t usage, uint8_t octet,
                   uint8_t out[KRB5_MAX_KEY]);

void krb5_mac_start(Krb5Mac *mac, const Krb5MacKey *key);
void krb5_mac_update(Krb5Mac *mac, const void *data, size_t len);
/* Writes enctype->sum_len bytes; the mac must be started again before it is used again. */
void krb5_mac_finish(Krb5Mac *mac, const Krb5MacKey *key, uint8_t *out);

/* Encrypt the concatenation of the pieces, one checksum after it, into `out` (total + sum_len
 * bytes). The total is at least 17 bytes, which every GSS token is. A piece may lie exactly where
 * its ciphertext goes, but must not overlap `out` in any other way. FALSE: libcrypto failed, `out`
 * is undefined. */
gboolean krb5_seal(const Krb5SealKey *key, const struct iovec *piece, size_t n, size_t total, uint8_t *out);

typedef enum { KRB5_OPEN_OK, KRB5_OPEN_BAD, KRB5_OPEN_FAILED } Krb5OpenResult;

/* Decrypt `len` bytes in place and compare the checksum that follows them (sum_len bytes) in
 * constant time. `len` is at least 17. On any result but OK the bytes are wiped. */
Krb5OpenResult krb5_open(const Krb5SealKey *key, uint8_t *data, size_t len);

/* 16 random bytes from the thread's batch. FALSE: the random generator failed. */
gboolean krb5_confounder(uint8_t out[KRB5_CONFOUNDER]);
