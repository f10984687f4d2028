/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Keys of sessions, signatures, and the encrypted transport, over OpenSSL.
 *
 * HMAC runs on libcrypto's plain SHA contexts, whose states can be copied by assignment; CMAC runs as AES-CBC over
 * pieces of a page, which spares the library's call per block.
 *
 * Spec: [MS-SMB2] 3.1.4.1 to 3.1.4.3, SP 800-108, RFC 4493, RFC 4543.
 * Thread: each thread owns a lane with its cipher contexts; a lane is freed when its thread ends. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "smb2-crypto.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#define GCM_NONCE 12
#define CCM_NONCE 11
#define PIECE     4096u

/* ---- Lanes ------------------------------------------------------------------------------------------------------ */

/* One cipher context that remembers which key it holds: a run of messages of one session costs no key expansion. */
typedef struct {
    EVP_CIPHER_CTX *ctx;
    uint64_t serial;
} Slot;

typedef struct {
    Slot cmac, gmac;
    Slot seal[4], open[4]; /* by cipher - 1 */
    uint8_t scratch[PIECE];
} Lane;

static void
lane_free(gpointer data)
{
    Lane *lane = data;
    EVP_CIPHER_CTX_free(lane->cmac.ctx);
    EVP_CIPHER_CTX_free(lane->gmac.ctx);
    for (int i = 0; i < 4; i++) {
        EVP_CIPHER_CTX_free(lane->seal[i].ctx);
        EVP_CIPHER_CTX_free(lane->open[i].ctx);
    }
    OPENSSL_cleanse(lane->scratch, sizeof lane->scratch);
    g_free(lane);
}

static GPrivate lane_key = G_PRIVATE_INIT(lane_free);

static Lane *
lane_get(void)
{
    Lane *lane = g_private_get(&lane_key);
    if (G_UNLIKELY(!lane)) {
        lane = g_new0(Lane, 1);
        g_private_set(&lane_key, lane);
    }
    return lane;
}

static uint64_t
next_serial(void)
{
    static uint64_t last;
    return __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED);
}

/* A fresh context in the slot when it does not hold the key; *fresh tells that the key must be set. */
static EVP_CIPHER_CTX *
slot_take(Slot *slot, uint64_t serial, gboolean *fresh)
{
    *fresh = slot->serial != serial;
    if (!*fresh)
        return slot->ctx;
    slot->serial = 0;
    if (!slot->ctx)
        slot->ctx = EVP_CIPHER_CTX_new();
    return slot->ctx;
}

/* ---- Key derivation --------------------------------------------------------------------------------------------- */

void
smb2_kdf(const uint8_t *key, size_t key_len, const void *label, size_t label_len, const void *context,
         size_t context_len, uint8_t *out, size_t out_len)
{
    uint8_t input[4 + 32 + 1 + SMB2_HASH_SIZE + 4] = {0, 0, 0, 1}, digest[SHA256_DIGEST_LENGTH];
    uint32_t bits = GUINT32_TO_BE((uint32_t)out_len * 8);
    size_t n = 4;
    unsigned digest_len = 0;
    g_assert(label_len <= 32 && context_len <= SMB2_HASH_SIZE && out_len <= sizeof digest);
    memcpy(input + n, label, label_len);
    n += label_len;
    input[n++] = 0;
    memcpy(input + n, context, context_len);
    n += context_len;
    memcpy(input + n, &bits, 4);
    n += 4;
    if (!HMAC(EVP_sha256(), key, (int)key_len, input, n, digest, &digest_len))
        g_error("libcrypto has no HMAC-SHA256");
    memcpy(out, digest, out_len);
    OPENSSL_cleanse(digest, sizeof digest);
}

void
smb2_preauth_update(uint8_t hash[SMB2_HASH_SIZE], const uint8_t *message, size_t len)
{
    SHA512_CTX ctx;
    SHA512_Init(&ctx);
    SHA512_Update(&ctx, hash, SMB2_HASH_SIZE);
    SHA512_Update(&ctx, message, len);
    SHA512_Final(hash, &ctx);
}

/* ---- Signatures ------------------------------------------------------------------------------------------------- */

static void
hmac_key(Smb2SignKey *key)
{
    uint8_t pad[64];
    for (int outer = 0; outer < 2; outer++) {
        SHA256_CTX *state = outer ? &key->outer : &key->inner;
        memset(pad, outer ? 0x5c : 0x36, sizeof pad);
        for (size_t i = 0; i < SMB2_KEY_SIZE; i++)
            pad[i] ^= key->key[i];
        SHA256_Init(state);
        SHA256_Update(state, pad, sizeof pad);
    }
    OPENSSL_cleanse(pad, sizeof pad);
}

/* RFC 4493 2.3: multiplication by x in the field of 128 bits. */
static void
double_block(const uint8_t in[16], uint8_t out[16])
{
    uint8_t carry = in[0] >> 7;
    for (int i = 0; i < 15; i++)
        out[i] = (uint8_t)(in[i] << 1 | in[i + 1] >> 7);
    out[15] = (uint8_t)(in[15] << 1 ^ (carry ? 0x87 : 0));
}

static EVP_CIPHER_CTX *
cmac_start(const Smb2SignKey *key)
{
    static const uint8_t zero[16];
    gboolean fresh;
    Slot *slot = &lane_get()->cmac;
    EVP_CIPHER_CTX *ctx = slot_take(slot, key->serial, &fresh);
    if (!ctx || EVP_EncryptInit_ex(ctx, fresh ? EVP_aes_128_cbc() : NULL, NULL, fresh ? key->key : NULL, zero) != 1)
        return NULL;
    EVP_CIPHER_CTX_set_padding(ctx, 0);
    slot->serial = key->serial;
    return ctx;
}

static gboolean
cmac_key(Smb2SignKey *key)
{
    uint8_t l[16] = {0};
    int n = 0;
    EVP_CIPHER_CTX *ctx = cmac_start(key);
    if (!ctx || EVP_EncryptUpdate(ctx, l, &n, l, 16) != 1 || n != 16)
        return FALSE;
    double_block(l, key->k1);
    double_block(key->k1, key->k2);
    OPENSSL_cleanse(l, sizeof l);
    return TRUE;
}

gboolean
smb2_sign_key_init(Smb2SignKey *key, uint16_t algorithm, const uint8_t bytes[SMB2_KEY_SIZE])
{
    memset(key, 0, sizeof *key);
    key->serial = next_serial();
    key->algorithm = algorithm;
    memcpy(key->key, bytes, SMB2_KEY_SIZE);
    if (algorithm == SMB2_SIGNING_HMAC_SHA256)
        hmac_key(key);
    return algorithm != SMB2_SIGNING_AES_CMAC || cmac_key(key);
}

static void
hmac_sign(const Smb2SignKey *key, const uint8_t head[SMB2_HEADER_SIZE], const uint8_t *rest, size_t len, uint8_t *out)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    SHA256_CTX state = key->inner;
    SHA256_Update(&state, head, SMB2_HEADER_SIZE);
    SHA256_Update(&state, rest, len);
    SHA256_Final(digest, &state);
    state = key->outer;
    SHA256_Update(&state, digest, sizeof digest);
    SHA256_Final(digest, &state);
    memcpy(out, digest, SMB2_SIGNATURE);
}

/* The head is four whole blocks, so that everything behind it is cut at block borders of its own. */
static gboolean
cmac_sign(const Smb2SignKey *key, const uint8_t head[SMB2_HEADER_SIZE], const uint8_t *rest, size_t len, uint8_t *out)
{
    uint8_t *scratch = lane_get()->scratch, last[16] = {0};
    EVP_CIPHER_CTX *ctx = cmac_start(key);
    size_t tail = len ? (len - 1) % 16 + 1 : 0, bulk = len - tail;
    int n;
    if (!ctx)
        return FALSE;
    size_t head_bulk = len ? SMB2_HEADER_SIZE : SMB2_HEADER_SIZE - 16;
    if (EVP_EncryptUpdate(ctx, scratch, &n, head, (int)head_bulk) != 1)
        return FALSE;
    for (size_t done = 0; done < bulk;) {
        size_t run = MIN(bulk - done, PIECE);
        if (EVP_EncryptUpdate(ctx, scratch, &n, rest + done, (int)run) != 1)
            return FALSE;
        done += run;
    }
    if (len)
        memcpy(last, rest + bulk, tail);
    else
        memcpy(last, head + head_bulk, 16);
    if (len && tail < 16)
        last[tail] = 0x80;
    const uint8_t *sub = len && tail < 16 ? key->k2 : key->k1;
    for (int i = 0; i < 16; i++)
        last[i] ^= sub[i];
    return EVP_EncryptUpdate(ctx, out, &n, last, 16) == 1 && n == 16;
}

/* [MS-SMB2] 3.1.4.1: the nonce is the message id, who sends, and whether it is a CANCEL. */
static gboolean
gmac_sign(const Smb2SignKey *key, const uint8_t head[SMB2_HEADER_SIZE], const uint8_t *rest, size_t len, uint8_t *out)
{
    uint8_t nonce[GCM_NONCE];
    gboolean fresh;
    int n;
    Slot *slot = &lane_get()->gmac;
    EVP_CIPHER_CTX *ctx = slot_take(slot, key->serial, &fresh);
    uint32_t from_server = smb2_get_u32(head + SMB2_H_FLAGS) & SMB2_FLAGS_SERVER_TO_REDIR ? 1 : 0;
    uint32_t cancel = smb2_get_u16(head + SMB2_H_COMMAND) == SMB2_CANCEL && !from_server ? 2 : 0;
    memcpy(nonce, head + SMB2_H_MESSAGE_ID, 8);
    smb2_set_u32(nonce + 8, from_server | cancel);
    if (!ctx || EVP_EncryptInit_ex(ctx, fresh ? EVP_aes_128_gcm() : NULL, NULL, fresh ? key->key : NULL, nonce) != 1)
        return FALSE;
    slot->serial = key->serial;
    if (EVP_EncryptUpdate(ctx, NULL, &n, head, SMB2_HEADER_SIZE) != 1 ||
        (len && EVP_EncryptUpdate(ctx, NULL, &n, rest, (int)len) != 1))
        return FALSE;
    uint8_t none[16];
    return EVP_EncryptFinal_ex(ctx, none, &n) == 1 &&
           EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, SMB2_SIGNATURE, out) == 1;
}

gboolean
smb2_signature(const Smb2SignKey *key, const uint8_t *message, size_t len, uint8_t out[SMB2_SIGNATURE])
{
    uint8_t head[SMB2_HEADER_SIZE];
    memcpy(head, message, sizeof head);
    memset(head + SMB2_H_SIGNATURE, 0, SMB2_SIGNATURE);
    const uint8_t *rest = message + SMB2_HEADER_SIZE;
    len -= SMB2_HEADER_SIZE;
    switch (key->algorithm) {
    case SMB2_SIGNING_HMAC_SHA256:
        hmac_sign(key, head, rest, len, out);
        return TRUE;
    case SMB2_SIGNING_AES_CMAC:
        return cmac_sign(key, head, rest, len, out);
    default:
        return gmac_sign(key, head, rest, len, out);
    }
}

gboolean
smb2_signature_is_right(const Smb2SignKey *key, const uint8_t *message, size_t len)
{
    uint8_t signature[SMB2_SIGNATURE];
    return smb2_signature(key, message, len, signature) &&
           CRYPTO_memcmp(signature, message + SMB2_H_SIGNATURE, SMB2_SIGNATURE) == 0;
}

/* ---- Encryption ------------------------------------------------------------------------------------------------- */

static gboolean
is_ccm(uint16_t cipher)
{
    return cipher == SMB2_ENCRYPTION_AES128_CCM || cipher == SMB2_ENCRYPTION_AES256_CCM;
}

size_t
smb2_cipher_key_size(uint16_t cipher)
{
    return cipher == SMB2_ENCRYPTION_AES256_CCM || cipher == SMB2_ENCRYPTION_AES256_GCM ? 32 : 16;
}

static const EVP_CIPHER *
evp_cipher(uint16_t cipher)
{
    switch (cipher) {
    case SMB2_ENCRYPTION_AES128_CCM:
        return EVP_aes_128_ccm();
    case SMB2_ENCRYPTION_AES128_GCM:
        return EVP_aes_128_gcm();
    case SMB2_ENCRYPTION_AES256_CCM:
        return EVP_aes_256_ccm();
    default:
        return EVP_aes_256_gcm();
    }
}

Smb2Keys *
smb2_keys_new(uint16_t cipher, const uint8_t *encrypt, const uint8_t *decrypt)
{
    Smb2Keys *keys = g_new0(Smb2Keys, 1);
    size_t n = smb2_cipher_key_size(cipher);
    g_assert(cipher >= SMB2_ENCRYPTION_AES128_CCM && cipher <= SMB2_ENCRYPTION_AES256_GCM);
    keys->serial = next_serial();
    keys->cipher = cipher;
    memcpy(keys->encrypt, encrypt, n);
    memcpy(keys->decrypt, decrypt, n);
    return keys;
}

void
smb2_keys_free(Smb2Keys *keys)
{
    if (!keys)
        return;
    OPENSSL_cleanse(keys, sizeof *keys);
    g_free(keys);
}

/* The context with key and nonce set; the tag's length is CCM's to know before its key. */
static EVP_CIPHER_CTX *
aead_start(const Smb2Keys *keys, gboolean seal, const uint8_t *nonce, uint8_t *tag)
{
    Lane *lane = lane_get();
    Slot *slot = &(seal ? lane->seal : lane->open)[keys->cipher - 1];
    gboolean fresh, ccm = is_ccm(keys->cipher);
    EVP_CIPHER_CTX *ctx = slot_take(slot, keys->serial, &fresh);
    if (!ctx)
        return NULL;
    if (fresh && (EVP_CipherInit_ex(ctx, evp_cipher(keys->cipher), NULL, NULL, NULL, seal) != 1 ||
                  (ccm && (EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN, CCM_NONCE, NULL) != 1 ||
                           EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, SMB2_SIGNATURE, NULL) != 1)) ||
                  EVP_CipherInit_ex(ctx, NULL, NULL, seal ? keys->encrypt : keys->decrypt, NULL, seal) != 1))
        return NULL;
    slot->serial = keys->serial;
    if (EVP_CipherInit_ex(ctx, NULL, NULL, NULL, nonce, seal) != 1 ||
        (!seal && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, SMB2_SIGNATURE, tag) != 1))
        return NULL;
    return ctx;
}

/* Both ways: in place over `len` bytes at `data`, with the transform header from its nonce on as additional data. */
static gboolean
aead_run(EVP_CIPHER_CTX *ctx, gboolean ccm, const uint8_t *transform, uint8_t *data, size_t len)
{
    int n;
    if (ccm && EVP_CipherUpdate(ctx, NULL, &n, NULL, (int)len) != 1)
        return FALSE;
    if (EVP_CipherUpdate(ctx, NULL, &n, transform + SMB2_T_NONCE, SMB2_TRANSFORM_SIZE - SMB2_T_NONCE) != 1 ||
        EVP_CipherUpdate(ctx, data, &n, data, (int)len) != 1 || n != (int)len)
        return FALSE;
    if (ccm && !EVP_CIPHER_CTX_encrypting(ctx))
        return TRUE; /* its update has compared the tag */
    return EVP_CipherFinal_ex(ctx, data + len, &n) == 1;
}

gboolean
smb2_encrypt(Smb2Keys *keys, uint64_t session_id, uint8_t *transform, size_t len)
{
    gboolean ccm = is_ccm(keys->cipher);
    memset(transform, 0, SMB2_TRANSFORM_SIZE);
    smb2_set_u32(transform, SMB2_TRANSFORM_ID);
    smb2_set_u64(transform + SMB2_T_NONCE, __atomic_add_fetch(&keys->nonce, 1, __ATOMIC_RELAXED));
    smb2_set_u32(transform + SMB2_T_ORIGINAL_SIZE, (uint32_t)len);
    smb2_set_u16(transform + SMB2_T_FLAGS, 1);
    smb2_set_u64(transform + SMB2_T_SESSION_ID, session_id);
    EVP_CIPHER_CTX *ctx = aead_start(keys, TRUE, transform + SMB2_T_NONCE, NULL);
    return ctx && aead_run(ctx, ccm, transform, transform + SMB2_TRANSFORM_SIZE, len) &&
           EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, SMB2_SIGNATURE, transform + SMB2_T_SIGNATURE) == 1;
}

gboolean
smb2_decrypt(Smb2Keys *keys, uint8_t *transform, size_t len)
{
    EVP_CIPHER_CTX *ctx = aead_start(keys, FALSE, transform + SMB2_T_NONCE, transform + SMB2_T_SIGNATURE);
    return ctx && aead_run(ctx, is_ccm(keys->cipher), transform, transform + SMB2_TRANSFORM_SIZE, len);
}
