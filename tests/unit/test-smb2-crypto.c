/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Keys, signatures and encryption of SMB, against published values and against libcrypto's own functions.
 *
 * Sources: the worked examples of key derivation that Microsoft published for SMB 3.0 (signing key of session key
 * 7CD4…78CC, cipher keys of B454…C4F0); RFC 4493 4 for AES-CMAC. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "smb2-crypto.h"

#include <openssl/cmac.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

static void
from_hex(const char *hex, uint8_t *out)
{
    for (size_t i = 0; hex[2 * i]; i++)
        out[i] = (uint8_t)(g_ascii_xdigit_value(hex[2 * i]) << 4 | g_ascii_xdigit_value(hex[2 * i + 1]));
}

static void
check_kdf(const char *key_hex, const char *label, const char *context, const char *wanted)
{
    uint8_t key[16], want[16], got[16];
    from_hex(key_hex, key);
    from_hex(wanted, want);
    smb2_kdf(key, 16, label, strlen(label) + 1, context, strlen(context) + 1, got, 16);
    g_assert_cmpmem(got, 16, want, 16);
}

static void
published_keys(void)
{
    check_kdf("7CD451825D0450D235424E44BA6E78CC", "SMB2AESCMAC", "SmbSign", "0B7E9C5CAC36C0F6EA9AB275298CEDCE");
    check_kdf("B4546771B515F766A86735532DD6C4F0", "SMB2AESCCM", "ServerIn ", "261B72350558F2E9DCF613070383EDBF");
    check_kdf("B4546771B515F766A86735532DD6C4F0", "SMB2AESCCM", "ServerOut", "8FE2B57EC34D2DB5B1A9727F526BBDB5");
}

/* A message whose signature field is not zero: it must count as zero. */
static void
make_message(uint8_t *message, size_t len)
{
    for (size_t i = 0; i < len; i++)
        message[i] = (uint8_t)(i * 7 + len);
    smb2_set_u32(message, SMB2_PROTOCOL_ID);
    smb2_set_u16(message + SMB2_H_COMMAND, SMB2_READ);
    smb2_set_u32(message + SMB2_H_FLAGS, SMB2_FLAGS_SERVER_TO_REDIR);
}

static void
reference(uint16_t algorithm, const uint8_t *key, const uint8_t *message, size_t len, uint8_t out[16])
{
    g_autofree uint8_t *copy = g_memdup2(message, len);
    uint8_t digest[64];
    memset(copy + SMB2_H_SIGNATURE, 0, 16);
    if (algorithm == SMB2_SIGNING_HMAC_SHA256) {
        HMAC(EVP_sha256(), key, 16, copy, len, digest, NULL);
        memcpy(out, digest, 16);
    } else if (algorithm == SMB2_SIGNING_AES_CMAC) {
        CMAC_CTX *ctx = CMAC_CTX_new();
        size_t n;
        g_assert_true(CMAC_Init(ctx, key, 16, EVP_aes_128_cbc(), NULL));
        CMAC_Update(ctx, copy, len);
        CMAC_Final(ctx, out, &n);
        CMAC_CTX_free(ctx);
    } else {
        EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
        uint8_t nonce[12] = {0};
        int n;
        memcpy(nonce, copy + SMB2_H_MESSAGE_ID, 8);
        nonce[8] = 1; /* from the server */
        EVP_EncryptInit_ex(ctx, EVP_aes_128_gcm(), NULL, key, nonce);
        EVP_EncryptUpdate(ctx, NULL, &n, copy, (int)len);
        EVP_EncryptFinal_ex(ctx, digest, &n);
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, out);
        EVP_CIPHER_CTX_free(ctx);
    }
}

static void
signatures_of_all_lengths(void)
{
    static const size_t lengths[] = {64, 65, 72, 79, 80, 81, 96, 4159, 4160, 4161, 8256, 70000};
    uint8_t bytes[2][16] = {"0123456789abcdef", "another key here"};
    uint8_t want[16], got[16];
    for (uint16_t algorithm = SMB2_SIGNING_HMAC_SHA256; algorithm <= SMB2_SIGNING_AES_GMAC; algorithm++) {
        Smb2SignKey key[2];
        g_assert_true(smb2_sign_key_init(&key[0], algorithm, bytes[0]));
        g_assert_true(smb2_sign_key_init(&key[1], algorithm, bytes[1]));
        for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
            g_autofree uint8_t *message = g_malloc(lengths[i]);
            make_message(message, lengths[i]);
            for (int k = 0; k < 2; k++) { /* keys take turns in the thread's context */
                reference(algorithm, bytes[k], message, lengths[i], want);
                g_assert_true(smb2_signature(&key[k], message, lengths[i], got));
                g_assert_cmpmem(got, 16, want, 16);
            }
            memcpy(message + SMB2_H_SIGNATURE, got, 16);
            g_assert_true(smb2_signature_is_right(&key[1], message, lengths[i]));
            g_assert_false(smb2_signature_is_right(&key[0], message, lengths[i]));
            message[lengths[i] - 1 == 63 ? 40 : lengths[i] - 1] ^= 1;
            g_assert_false(smb2_signature_is_right(&key[1], message, lengths[i]));
        }
    }
}

static void
sealed_and_opened(void)
{
    uint8_t one[32] = "the server's key, 32 bytes long", two[32] = "the client's key, 32 bytes long";
    for (uint16_t cipher = SMB2_ENCRYPTION_AES128_CCM; cipher <= SMB2_ENCRYPTION_AES256_GCM; cipher++) {
        Smb2Keys *server = smb2_keys_new(cipher, one, two), *client = smb2_keys_new(cipher, two, one);
        static const size_t lengths[] = {1, 64, 65, 100, 4096, 100000};
        g_autoptr(GHashTable) nonces = g_hash_table_new_full(g_bytes_hash, g_bytes_equal, NULL, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
            size_t len = lengths[i];
            g_autofree uint8_t *plain = g_malloc(len), *t = g_malloc(SMB2_TRANSFORM_SIZE + len);
            memset(plain, (int)i + 1, len);
            memcpy(t + SMB2_TRANSFORM_SIZE, plain, len);
            g_assert_true(smb2_encrypt(server, 77, t, len));
            g_assert_cmpuint(smb2_get_u32(t + SMB2_T_ORIGINAL_SIZE), ==, len);
            g_assert_true(g_hash_table_add(nonces, g_bytes_new(t + SMB2_T_NONCE, 16)));
            g_assert_true(len < 16 || memcmp(t + SMB2_TRANSFORM_SIZE, plain, len) != 0);
            for (size_t at = SMB2_T_SIGNATURE; at < SMB2_TRANSFORM_SIZE + len; at += at < 60 ? 5 : 997) {
                g_autofree uint8_t *spoiled = g_memdup2(t, SMB2_TRANSFORM_SIZE + len);
                if (at >= 31 && at < 36) /* the nonce's unused end is covered by the additional data */
                    spoiled[at] ^= 0x80;
                else
                    spoiled[at] ^= 1;
                g_assert_false(smb2_decrypt(client, spoiled, len));
            }
            g_assert_true(smb2_decrypt(client, t, len));
            g_assert_cmpmem(t + SMB2_TRANSFORM_SIZE, len, plain, len);
        }
        GHashTableIter iter;
        gpointer nonce;
        g_hash_table_iter_init(&iter, nonces);
        while (g_hash_table_iter_next(&iter, &nonce, NULL))
            g_bytes_unref(nonce);
        smb2_keys_free(server);
        smb2_keys_free(client);
    }
}

/* SHA-512 over the value so far and the message; the first value is 64 zero bytes. */
static void
preauth_hash(void)
{
    uint8_t hash[64] = {0}, want[64], joint[64 + 3] = {0};
    unsigned n;
    memcpy(joint + 64, "abc", 3);
    EVP_Digest(joint, sizeof joint, want, &n, EVP_sha512(), NULL);
    smb2_preauth_update(hash, (const uint8_t *)"abc", 3);
    g_assert_cmpmem(hash, 64, want, 64);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/smb2-crypto/published-keys", published_keys);
    g_test_add_func("/smb2-crypto/signatures", signatures_of_all_lengths);
    g_test_add_func("/smb2-crypto/sealed", sealed_and_opened);
    g_test_add_func("/smb2-crypto/preauth", preauth_hash);
    return g_test_run();
}
