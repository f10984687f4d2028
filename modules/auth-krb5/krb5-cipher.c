/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The sealing and opening passes: AES-CBC with ciphertext stealing and the HMAC, chunk by chunk so
 * that the second of the two finds its bytes in the first-level cache.
 *
 * Spec: RFC 3962 5 (ciphertext stealing: the last two blocks always change places), RFC 3961 5.3
 *       (checksum over the plaintext), RFC 8009 5 (checksum over IV and ciphertext).
 * Thread: each thread owns a lane with its cipher contexts; a lane is freed when its thread ends.
 */
#include "krb5-crypto.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

/* Half of a 32 KiB first-level data cache at most, with room for source and destination. */
#define CHUNK 8192u
/* One call of the random generator serves this many messages. */
#define CONFOUNDER_BATCH 128u

/* One cipher context that remembers which key it holds, so that a run of messages of one security
 * context costs no key expansion. */
typedef struct {
    EVP_CIPHER_CTX *ctx;
    uint64_t serial;
} Slot;

typedef struct {
    Slot seal[2], open[2]; /* by key size: [0] AES-128, [1] AES-256 */
    uint8_t random[CONFOUNDER_BATCH * KRB5_CONFOUNDER];
    unsigned random_left;
    unsigned random_epoch;
} Lane;

/* Rises in a forked child, so that it does not use its parent's random bytes again. */
static atomic_uint fork_epoch;

static void
lane_free(gpointer data)
{
    Lane *lane = data;

    for (int i = 0; i < 2; i++) {
        EVP_CIPHER_CTX_free(lane->seal[i].ctx);
        EVP_CIPHER_CTX_free(lane->open[i].ctx);
    }
    OPENSSL_cleanse(lane->random, sizeof lane->random);
    g_free(lane);
}

static GPrivate lane_key = G_PRIVATE_INIT(lane_free);

static void
after_fork(void)
{
    atomic_fetch_add(&fork_epoch, 1);
}

static Lane *
lane_get(void)
{
    static gsize once;
    Lane *lane = g_private_get(&lane_key);

    if (G_LIKELY(lane != NULL))
        return lane;
    if (g_once_init_enter(&once)) {
        pthread_atfork(NULL, NULL, after_fork);
        g_once_init_leave(&once, 1);
    }
    lane = g_new0(Lane, 1);
    g_private_set(&lane_key, lane);
    return lane;
}

gboolean
krb5_confounder(uint8_t out[KRB5_CONFOUNDER])
{
    Lane *lane = lane_get();
    unsigned epoch = atomic_load_explicit(&fork_epoch, memory_order_relaxed);

    if (lane->random_left == 0 || lane->random_epoch != epoch) {
        if (RAND_bytes(lane->random, sizeof lane->random) != 1)
            return FALSE;
        lane->random_left = CONFOUNDER_BATCH;
        lane->random_epoch = epoch;
    }
    uint8_t *p = lane->random + --lane->random_left * KRB5_CONFOUNDER;
    memcpy(out, p, KRB5_CONFOUNDER);
    OPENSSL_cleanse(p, KRB5_CONFOUNDER);
    return TRUE;
}

/* A CBC context of this thread, keyed with Ke, with the given IV. NULL: libcrypto failed. */
static EVP_CIPHER_CTX *
cipher_start(const Krb5SealKey *key, gboolean encrypt, const uint8_t iv[KRB5_BLOCK])
{
    Lane *lane = lane_get();
    int wide = key->enctype->key_len == 32;
    Slot *slot = encrypt ? &lane->seal[wide] : &lane->open[wide];

    if (slot->ctx == NULL) {
        EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
        if (ctx == NULL ||
            EVP_CipherInit_ex(ctx, wide ? EVP_aes_256_cbc() : EVP_aes_128_cbc(), NULL, key->ke, iv, encrypt) != 1) {
            EVP_CIPHER_CTX_free(ctx);
            return NULL;
        }
        EVP_CIPHER_CTX_set_padding(ctx, 0);
        slot->ctx = ctx;
        slot->serial = key->serial;
        return ctx;
    }
    const uint8_t *ke = slot->serial == key->serial ? NULL : key->ke;
    slot->serial = 0;
    if (EVP_CipherInit_ex(slot->ctx, NULL, NULL, ke, iv, encrypt) != 1)
        return NULL;
    slot->serial = key->serial;
    return slot->ctx;
}

static inline gboolean
cipher_run(EVP_CIPHER_CTX *ctx, uint8_t *out, const uint8_t *in, size_t len)
{
    int n = 0;
    return EVP_CipherUpdate(ctx, out, &n, in, (int)len) == 1 && (size_t)n == len;
}

/* A walk over the pieces of one message. */
typedef struct {
    const struct iovec *piece, *end;
    size_t at;
} Walk;

static void
walk_settle(Walk *w)
{
    while (w->piece < w->end && w->at == w->piece->iov_len) {
        w->piece++;
        w->at = 0;
    }
}

/* Bytes that lie in one run from here. */
static size_t
walk_run(Walk *w, const uint8_t **p)
{
    walk_settle(w);
    if (w->piece == w->end)
        return 0;
    *p = (const uint8_t *)w->piece->iov_base + w->at;
    return w->piece->iov_len - w->at;
}

static void
walk_copy(Walk *w, uint8_t *to, size_t len)
{
    while (len > 0) {
        const uint8_t *p = NULL;
        size_t n = MIN(walk_run(w, &p), len);

        g_return_if_fail(n > 0);
        memcpy(to, p, n);
        w->at += n;
        to += n;
        len -= n;
    }
}

static gboolean
seal_run(EVP_CIPHER_CTX *ctx, Krb5Mac *mac, uint8_t *out, const uint8_t *in, size_t len)
{
    if (!mac->enctype->mac_first) {
        if (!cipher_run(ctx, out, in, len))
            return FALSE;
        krb5_mac_update(mac, out, len);
        return TRUE;
    }
    krb5_mac_update(mac, in, len);
    return cipher_run(ctx, out, in, len);
}

/* Encrypt the last full block and the 1 to 16 bytes after it, exchanged (RFC 3962 5). */
static gboolean
seal_tail(EVP_CIPHER_CTX *ctx, Krb5Mac *mac, Walk *w, uint8_t *out, size_t rest)
{
    uint8_t plain[2 * KRB5_BLOCK] = {0}, cipher[2 * KRB5_BLOCK];
    size_t len = KRB5_BLOCK + rest;

    walk_copy(w, plain, len);
    if (mac->enctype->mac_first)
        krb5_mac_update(mac, plain, len);
    gboolean ok = cipher_run(ctx, cipher, plain, sizeof plain);
    memcpy(out, cipher + KRB5_BLOCK, KRB5_BLOCK);
    memcpy(out + KRB5_BLOCK, cipher, rest);
    if (!mac->enctype->mac_first)
        krb5_mac_update(mac, out, len);
    OPENSSL_cleanse(plain, sizeof plain);
    return ok;
}

gboolean
krb5_seal(const Krb5SealKey *key, const struct iovec *piece, size_t n, size_t total, uint8_t *out)
{
    static const uint8_t zero[KRB5_BLOCK];
    Walk w = {.piece = piece, .end = piece + n};
    EVP_CIPHER_CTX *ctx = cipher_start(key, TRUE, zero);
    Krb5Mac mac;

    g_return_val_if_fail(total > KRB5_BLOCK, FALSE);
    if (ctx == NULL)
        return FALSE;
    krb5_mac_start(&mac, &key->ki);
    if (!key->enctype->mac_first)
        krb5_mac_update(&mac, zero, sizeof zero);

    size_t rest = (total - 1) % KRB5_BLOCK + 1; /* bytes of the last block, 1 to 16 */
    size_t bulk = total - rest - KRB5_BLOCK;    /* what comes before the last two blocks */

    for (size_t done = 0; done < bulk;) {
        const uint8_t *p = NULL;
        size_t run = MIN(MIN(walk_run(&w, &p), bulk - done), CHUNK) & ~(size_t)(KRB5_BLOCK - 1);
        uint8_t joint[KRB5_BLOCK];

        if (run == 0) { /* a block across the border of two pieces */
            walk_copy(&w, joint, sizeof joint);
            p = joint;
            run = sizeof joint;
        } else {
            w.at += run;
        }
        if (!seal_run(ctx, &mac, out + done, p, run))
            return FALSE;
        done += run;
    }
    if (!seal_tail(ctx, &mac, &w, out + bulk, rest))
        return FALSE;
    krb5_mac_finish(&mac, &key->ki, out + total);
    return TRUE;
}

/* Undo seal_tail in place. `before` is the ciphertext block before the tail (the IV if there is
 * none), which is also what the chaining register of `ctx` holds. Starting the cipher anew costs
 * more than a block, so both raw decryptions run in the chain, and what it added is taken off
 * again. */
static gboolean
open_tail(EVP_CIPHER_CTX *ctx, uint8_t *tail, size_t rest, const uint8_t before[KRB5_BLOCK])
{
    uint8_t raw[KRB5_BLOCK], stolen[KRB5_BLOCK], last[KRB5_BLOCK], *y = tail + KRB5_BLOCK;

    if (!cipher_run(ctx, raw, tail, KRB5_BLOCK))
        return FALSE;
    for (size_t i = 0; i < KRB5_BLOCK; i++)
        raw[i] ^= before[i];
    memcpy(stolen, y, rest); /* the ciphertext of the block before the last, made whole */
    memcpy(stolen + rest, raw + rest, KRB5_BLOCK - rest);
    for (size_t i = 0; i < KRB5_BLOCK; i++)
        last[i] = raw[i] ^ stolen[i]; /* of which `rest` bytes mean something */
    gboolean ok = cipher_run(ctx, raw, stolen, KRB5_BLOCK);
    for (size_t i = 0; i < KRB5_BLOCK; i++)
        tail[i] ^= raw[i] ^ before[i];
    memcpy(y, last, rest);
    OPENSSL_cleanse(last, sizeof last);
    OPENSSL_cleanse(raw, sizeof raw);
    return ok;
}

static gboolean
open_run(EVP_CIPHER_CTX *ctx, Krb5Mac *mac, uint8_t *data, size_t len)
{
    if (!mac->enctype->mac_first)
        krb5_mac_update(mac, data, len);
    if (!cipher_run(ctx, data, data, len))
        return FALSE;
    if (mac->enctype->mac_first)
        krb5_mac_update(mac, data, len);
    return TRUE;
}

static gboolean
open_all(const Krb5SealKey *key, Krb5Mac *mac, uint8_t *data, size_t len)
{
    static const uint8_t zero[KRB5_BLOCK];
    size_t rest = (len - 1) % KRB5_BLOCK + 1, bulk = len - rest - KRB5_BLOCK;
    uint8_t before[KRB5_BLOCK] = {0};
    EVP_CIPHER_CTX *ctx = cipher_start(key, FALSE, zero);

    if (ctx == NULL)
        return FALSE;
    if (bulk > 0)
        memcpy(before, data + bulk - KRB5_BLOCK, KRB5_BLOCK);
    for (size_t done = 0; done < bulk; done += CHUNK)
        if (!open_run(ctx, mac, data + done, MIN(CHUNK, bulk - done)))
            return FALSE;
    if (!key->enctype->mac_first)
        krb5_mac_update(mac, data + bulk, KRB5_BLOCK + rest);
    if (!open_tail(ctx, data + bulk, rest, before))
        return FALSE;
    if (key->enctype->mac_first)
        krb5_mac_update(mac, data + bulk, KRB5_BLOCK + rest);
    return TRUE;
}

Krb5OpenResult
krb5_open(const Krb5SealKey *key, uint8_t *data, size_t len)
{
    static const uint8_t zero[KRB5_BLOCK];
    uint8_t sum[KRB5_MAX_SUM];
    Krb5OpenResult result = KRB5_OPEN_OK;
    Krb5Mac mac;

    g_return_val_if_fail(len > KRB5_BLOCK, KRB5_OPEN_FAILED);
    krb5_mac_start(&mac, &key->ki);
    if (!key->enctype->mac_first)
        krb5_mac_update(&mac, zero, sizeof zero);
    if (!open_all(key, &mac, data, len)) {
        result = KRB5_OPEN_FAILED;
    } else {
        krb5_mac_finish(&mac, &key->ki, sum);
        if (CRYPTO_memcmp(sum, data + len, key->enctype->sum_len) != 0)
            result = KRB5_OPEN_BAD;
    }
    if (result != KRB5_OPEN_OK)
        memset(data, 0, len);
    OPENSSL_cleanse(sum, sizeof sum);
    return result;
}
