/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How fast message protection is: ours, MIT's (over the same key, by an imported context where a
 * realm can be made), and libcrypto's AES-CBC and hash one after the other, which is the bound.
 *
 * Prints one line per enctype and size: MB/s (10^6) of each, and ours in percent of the bound. */
#include "krb5-message.h"
#include "krb5-pair.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double budget = 0.3; /* seconds per figure */

static double
cpu_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

typedef struct {
    size_t len;
    Krb5Keys *send, *recv;
    gss_ctx_id_t mit, mit_peer;
    uint8_t *buffer, *saved;
    EVP_CIPHER_CTX *cipher;
    EVP_MD_CTX *hash;
    const EVP_MD *md;
} Bench;

typedef void (*Step)(Bench *b);

/* Best of three runs: what disturbs a run only ever makes it slower. */
static double
rate(Bench *b, Step step)
{
    double best = 0;

    for (int run = 0; run < 3; run++) {
        double start = cpu_now(), spent;
        uint64_t n = 0;

        do {
            for (int i = 0; i < 8; i++)
                step(b);
            n += 8;
            spent = cpu_now() - start;
        } while (spent < budget / 3);
        best = MAX(best, (double)n * (double)b->len / spent / 1e6);
    }
    return best;
}

static void
cipher_only(Bench *b)
{
    int n;
    EVP_CipherUpdate(b->cipher, b->buffer, &n, b->buffer, (int)b->len);
}

static void
hash_only(Bench *b)
{
    uint8_t out[EVP_MAX_MD_SIZE];
    EVP_DigestInit_ex(b->hash, b->md, NULL);
    EVP_DigestUpdate(b->hash, b->buffer, b->len);
    EVP_DigestFinal_ex(b->hash, out, NULL);
}

static void
seal_ours(Bench *b)
{
    uint8_t *token;
    size_t n;
    krb5_wrap_in_place(b->send, TRUE, b->buffer + KRB5_WRAP_HEAD, b->len, &token, &n);
}

static void
open_ours(Bench *b)
{
    uint8_t *plain;
    size_t n, len = b->len + KRB5_WRAP_HEAD + KRB5_TOKEN_HEADER + krb5_mic_size(b->recv) - 16;

    /* The copy is part of neither side: it is measured alone and taken off. */
    memcpy(b->buffer, b->saved, len);
    if (krb5_unwrap_in_place(b->recv, b->buffer, len, &plain, &n, NULL, NULL) != KRB5_MSG_OK)
        g_error("unwrap failed");
}

static void
copy_only(Bench *b)
{
    memcpy(b->buffer, b->saved, b->len + KRB5_WRAP_HEAD + KRB5_WRAP_TAIL);
}

static void
mic_ours(Bench *b)
{
    uint8_t token[KRB5_MIC_MAX];
    size_t n;
    krb5_get_mic(b->send, &(struct iovec){b->buffer, b->len}, 1, token, sizeof token, &n);
}

static void
seal_mit(Bench *b)
{
    gss_buffer_desc in = {b->len, b->buffer}, out = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor;
    gss_wrap(&minor, b->mit, 1, 0, &in, NULL, &out);
    gss_release_buffer(&minor, &out);
}

static void
open_mit(Bench *b)
{
    size_t len = b->len + KRB5_WRAP_HEAD + KRB5_TOKEN_HEADER + krb5_mic_size(b->recv) - 16;
    gss_buffer_desc in = {len, b->saved}, out = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor;
    if (gss_unwrap(&minor, b->mit_peer, &in, &out, NULL, NULL) != GSS_S_COMPLETE)
        g_error("gss_unwrap failed");
    gss_release_buffer(&minor, &out);
}

static void
mic_mit(Bench *b)
{
    gss_buffer_desc in = {b->len, b->buffer}, out = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor;
    gss_get_mic(&minor, b->mit, 0, &in, &out);
    gss_release_buffer(&minor, &out);
}

static double
after_each_other(double a, double b)
{
    return 1 / (1 / a + 1 / b);
}

/* Take the copy out of a rate that contains it. */
static double
without(double both, double copy)
{
    return 1 / (1 / both - 1 / copy);
}

static Krb5Keys *
exported(gss_ctx_id_t *context)
{
    g_autoptr(GError) error = NULL;
    OM_uint32 minor;
    void *lucid;

    if (gss_krb5_export_lucid_sec_context(&minor, context, 1, &lucid) != GSS_S_COMPLETE)
        g_error("cannot export a context");
    Krb5Keys *keys = krb5_keys_new_from_lucid(lucid, FALSE, &error);
    if (keys == NULL)
        g_error("%s", error->message);
    gss_krb5_free_lucid_sec_context(&minor, lucid);
    return keys;
}

static void
duplicate(gss_ctx_id_t *context, gss_ctx_id_t *copy)
{
    gss_buffer_desc b = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor;

    gss_export_sec_context(&minor, context, &b);
    gss_import_sec_context(&minor, &b, context);
    gss_import_sec_context(&minor, &b, copy);
    gss_release_buffer(&minor, &b);
}

static void
set_size(Bench *b, size_t len)
{
    uint8_t *token;
    size_t n, room = len + KRB5_WRAP_HEAD + KRB5_WRAP_TAIL;

    b->len = len;
    b->buffer = g_malloc0(room);
    b->saved = g_malloc0(room);
    krb5_wrap_in_place(b->send, TRUE, b->saved + KRB5_WRAP_HEAD, len, &token, &n);
}

static void
measure(Bench *b, int enctype, size_t len)
{
    uint8_t key[32] = {1}, iv[16] = {0};
    const EVP_CIPHER *cipher = enctype % 2 ? EVP_aes_128_cbc() : EVP_aes_256_cbc();

    set_size(b, len);
    b->md = enctype == 19 ? EVP_sha256() : enctype == 20 ? EVP_sha384() : EVP_sha1();
    EVP_CipherInit_ex(b->cipher, cipher, NULL, key, iv, 1);
    EVP_CIPHER_CTX_set_padding(b->cipher, 0);
    double encrypt = rate(b, cipher_only), hash = rate(b, hash_only);
    EVP_CipherInit_ex(b->cipher, cipher, NULL, key, iv, 0);
    EVP_CIPHER_CTX_set_padding(b->cipher, 0);
    double decrypt = rate(b, cipher_only);

    double seal_bound = after_each_other(encrypt, hash);
    double open_bound = after_each_other(decrypt, hash);
    double seal = rate(b, seal_ours), mic = rate(b, mic_ours);
    double open = without(rate(b, open_ours), rate(b, copy_only));

    printf("%7d %8zu | %6.0f %6.0f %6.0f %3.0f%% | %6.0f %6.0f %6.0f %3.0f%% | %6.0f %6.0f %6.0f\n", enctype, len, seal,
           rate(b, seal_mit), seal_bound, 100 * seal / seal_bound, open, rate(b, open_mit), open_bound,
           100 * open / open_bound, mic, rate(b, mic_mit), hash);
    fflush(stdout);
    g_free(b->buffer);
    g_free(b->saved);
}

int
main(int argc, char **argv)
{
    static const size_t sizes[] = {128, 4096, 65536, 1048576};
    Realm *realm = realm_start();

    if (argc > 1)
        budget = g_ascii_strtod(argv[1], NULL);
    if (realm == NULL) {
        fprintf(stderr, "krb5-seal: MIT's kdb5_util, krb5kdc and kadmin.local are needed\n");
        return 77;
    }
    printf("MB/s on one core      seal: ours    MIT  bound       | open: ours    MIT  bound       |"
           " mic: ours    MIT   hash\n");
    for (int enctype = 17; enctype <= 20; enctype++) {
        Bench b = {.cipher = EVP_CIPHER_CTX_new(), .hash = EVP_MD_CTX_new()};
        gss_ctx_id_t send = GSS_C_NO_CONTEXT, recv = GSS_C_NO_CONTEXT;
        OM_uint32 minor;

        realm_pair(realm, enctype, GSS_C_CONF_FLAG | GSS_C_INTEG_FLAG | GSS_C_MUTUAL_FLAG, &b.mit, &b.mit_peer);
        duplicate(&b.mit, &send);
        duplicate(&b.mit_peer, &recv);
        b.send = exported(&send);
        b.recv = exported(&recv);
        for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++)
            measure(&b, enctype, sizes[i]);
        gss_delete_sec_context(&minor, &b.mit, NULL);
        gss_delete_sec_context(&minor, &b.mit_peer, NULL);
        krb5_keys_unref(b.send);
        krb5_keys_unref(b.recv);
        EVP_CIPHER_CTX_free(b.cipher);
        EVP_MD_CTX_free(b.hash);
    }
    realm_stop(realm);
    return 0;
}
