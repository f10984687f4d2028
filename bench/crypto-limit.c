/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The bound of krb5p on one core: what libcrypto gives for the ciphers and hashes of the Kerberos
 * encryption types, each alone and one after the other. One JSON line; MB/s are 10^6 bytes. */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { BLOCK = 1 << 20 };

static unsigned char data[BLOCK];

static double
cpu_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
cipher_block(EVP_CIPHER_CTX *c, const EVP_MD *md)
{
    int n;
    EVP_CipherUpdate(c, data, &n, data, BLOCK);
}

static void
hash_block(EVP_CIPHER_CTX *c, const EVP_MD *md)
{
    unsigned char out[EVP_MAX_MD_SIZE];
    EVP_Digest(data, BLOCK, out, NULL, md, NULL);
}

/* Best of five short runs: what disturbs a run only ever makes it slower. */
static double
rate(void (*step)(EVP_CIPHER_CTX *, const EVP_MD *), EVP_CIPHER_CTX *c, const EVP_MD *md)
{
    double best = 0;
    for (int run = 0; run < 5; run++) {
        double start = cpu_now(), spent;
        int n = 0;
        do {
            step(c, md);
            n++;
            spent = cpu_now() - start;
        } while (spent < 0.08);
        if (n * (double)BLOCK / spent > best)
            best = n * (double)BLOCK / spent;
    }
    return best / 1e6;
}

static double
cipher_rate(const EVP_CIPHER *cipher, int encrypt)
{
    static const unsigned char key[32] = {1}, iv[16] = {2};
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    if (c == NULL || EVP_CipherInit_ex(c, cipher, NULL, key, iv, encrypt) != 1)
        exit(1);
    EVP_CIPHER_CTX_set_padding(c, 0);
    double r = rate(cipher_block, c, NULL);
    EVP_CIPHER_CTX_free(c);
    return r;
}

int
main(void)
{
    double encrypt = cipher_rate(EVP_aes_256_cbc(), 1), decrypt = cipher_rate(EVP_aes_256_cbc(), 0);
    double sha1 = rate(hash_block, NULL, EVP_sha1()), sha256 = rate(hash_block, NULL, EVP_sha256());
    printf("{\"aes256_cbc_encrypt\": %.0f, \"aes256_cbc_decrypt\": %.0f, \"sha1\": %.0f, "
           "\"sha256\": %.0f, \"seal_aes256_sha1\": %.0f, \"open_aes256_sha1\": %.0f}\n",
           encrypt, decrypt, sha1, sha256, 1 / (1 / encrypt + 1 / sha1), 1 / (1 / decrypt + 1 / sha1));
    return 0;
}
