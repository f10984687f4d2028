/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Keys of sessions, signatures, and the encrypted transport, over OpenSSL.
 *
 * Spec: [MS-SMB2] 3.1.4.1 to 3.1.4.3, SP 800-108 (KDF in counter mode), RFC 4493 (AES-CMAC), RFC 4543 (AES-GMAC).
 * Thread: keys are constant once made and used by any number of threads; cipher contexts belong to a lane of each
 *         thread that remembers which key it holds. */
#pragma once

#include <openssl/sha.h>
#include "smb2.h"

#define SMB2_KEY_SIZE     16u
#define SMB2_MAX_KEY_SIZE 32u
#define SMB2_HASH_SIZE    64u /* SHA-512 */
#define SMB2_SIGNATURE    16u

typedef struct _Smb2SignKey {
    uint64_t serial; /* names the key for the lanes; never used twice; 0: no key */
    uint16_t algorithm;
    uint8_t key[SMB2_KEY_SIZE];
    uint8_t k1[16], k2[16];  /* CMAC's subkeys */
    SHA256_CTX inner, outer; /* HMAC's states behind its pads */
} Smb2SignKey;

/* What encrypts and decrypts for one session. */
typedef struct _Smb2Keys {
    uint64_t serial;
    uint16_t cipher; /* SMB2_ENCRYPTION_… */
    uint8_t encrypt[SMB2_MAX_KEY_SIZE], decrypt[SMB2_MAX_KEY_SIZE];
    uint64_t nonce; /* atomic: counts the messages sent, so that none repeats under one key */
} Smb2Keys;

/* SP 800-108 5.1 with HMAC-SHA256, a 32-bit counter and length; `out_len` 16 or 32. */
void smb2_kdf(const uint8_t *key, size_t key_len, const void *label, size_t label_len, const void *context,
              size_t context_len, uint8_t *out, size_t out_len);

gboolean smb2_sign_key_init(Smb2SignKey *key, uint16_t algorithm, const uint8_t bytes[SMB2_KEY_SIZE]);
/* The signature of a message whose signature field counts as zero whatever stands there. FALSE: libcrypto failed. */
gboolean smb2_signature(const Smb2SignKey *key, const uint8_t *message, size_t len, uint8_t out[SMB2_SIGNATURE]);
gboolean smb2_signature_is_right(const Smb2SignKey *key, const uint8_t *message, size_t len);

size_t smb2_cipher_key_size(uint16_t cipher);
Smb2Keys *smb2_keys_new(uint16_t cipher, const uint8_t *encrypt, const uint8_t *decrypt);
void smb2_keys_free(Smb2Keys *keys);
/* Fills the 52 bytes of transform header at `transform` and encrypts the `len` bytes behind it in place. */
gboolean smb2_encrypt(Smb2Keys *keys, uint64_t session_id, uint8_t *transform, size_t len);
/* Opens what stands behind a transform header, in place: FALSE when it was tampered with. */
gboolean smb2_decrypt(Smb2Keys *keys, uint8_t *transform, size_t len);

/* hash = SHA-512(hash | message): the preauthentication integrity hash of 3.1.1. */
void smb2_preauth_update(uint8_t hash[SMB2_HASH_SIZE], const uint8_t *message, size_t len);
