/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Keys of a 3.1.1 session, AES-128-GMAC and -CMAC signatures, AES-128-GCM encryption, over OpenSSL.
 * Spec: [MS-SMB2] 3.1.4.1, 3.1.4.2, 3.1.4.3; SP 800-108 5.1. */
#include <openssl/core_names.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include "smbload.h"

void
preauth_update(uint8_t hash[64], const void *p, size_t n)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_DigestInit_ex(ctx, EVP_sha512(), NULL);
    EVP_DigestUpdate(ctx, hash, 64);
    EVP_DigestUpdate(ctx, p, n);
    EVP_DigestFinal_ex(ctx, hash, NULL);
    EVP_MD_CTX_free(ctx);
}

/* The label counts with its NUL. */
static void
derive(const uint8_t key[16], const char *label, const uint8_t context[64], uint8_t out[16])
{
    uint8_t text[128] = {0, 0, 0, 1}, mac[32];
    size_t n = 4, len = strlen(label) + 1;
    memcpy(text + n, label, len);
    n += len;
    text[n++] = 0;
    memcpy(text + n, context, 64);
    n += 64;
    memcpy(text + n, "\0\0\0\x80", 4);
    n += 4;
    HMAC(EVP_sha256(), key, 16, text, n, mac, NULL);
    memcpy(out, mac, 16);
}

bool
keys_derive(Conn *c, const uint8_t session_key[16], const uint8_t hash[64])
{
    uint8_t seal[16], open[16];
    keys_free(c);
    derive(session_key, "SMBSigningKey", hash, c->sign_key);
    derive(session_key, "SMBC2SCipherKey", hash, seal);
    derive(session_key, "SMBS2CCipherKey", hash, open);
    c->gmac = EVP_CIPHER_CTX_new();
    c->seal = EVP_CIPHER_CTX_new();
    c->open = EVP_CIPHER_CTX_new();
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "CMAC", NULL);
    c->cmac = EVP_MAC_CTX_new(mac);
    EVP_MAC_free(mac);
    OSSL_PARAM p[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_CIPHER, (char *)"AES-128-CBC", 0),
                      OSSL_PARAM_construct_end()};
    c->have_keys = EVP_EncryptInit_ex(c->gmac, EVP_aes_128_gcm(), NULL, c->sign_key, NULL) == 1 &&
                   EVP_EncryptInit_ex(c->seal, EVP_aes_128_gcm(), NULL, seal, NULL) == 1 &&
                   EVP_DecryptInit_ex(c->open, EVP_aes_128_gcm(), NULL, open, NULL) == 1 &&
                   EVP_MAC_init(c->cmac, c->sign_key, 16, p) == 1;
    return c->have_keys;
}

void
keys_free(Conn *c)
{
    EVP_CIPHER_CTX_free(c->gmac);
    EVP_CIPHER_CTX_free(c->seal);
    EVP_CIPHER_CTX_free(c->open);
    EVP_MAC_CTX_free(c->cmac);
    c->gmac = c->seal = c->open = NULL;
    c->cmac = NULL;
    c->have_keys = false;
}

/* Over a message in one or two pieces whose signature field is zero. */
static bool
signature(Conn *c, const uint8_t *p, size_t n, const struct iovec *tail, bool from_server, uint8_t out[16])
{
    if (c->opt->sec == SEC_CMAC) {
        size_t got;
        return EVP_MAC_init(c->cmac, NULL, 0, NULL) == 1 && EVP_MAC_update(c->cmac, p, n) == 1 &&
               (tail->iov_len == 0 || EVP_MAC_update(c->cmac, tail->iov_base, tail->iov_len) == 1) &&
               EVP_MAC_final(c->cmac, out, &got, 16) == 1;
    }
    uint8_t nonce[12] = {0}, none[16];
    int got;
    memcpy(nonce, p + H_MID, 8);
    set32(nonce + 8, from_server ? 1 : 0);
    return EVP_EncryptInit_ex(c->gmac, NULL, NULL, NULL, nonce) == 1 &&
           EVP_EncryptUpdate(c->gmac, NULL, &got, p, (int)n) == 1 &&
           (tail->iov_len == 0 || EVP_EncryptUpdate(c->gmac, NULL, &got, tail->iov_base, (int)tail->iov_len) == 1) &&
           EVP_EncryptFinal_ex(c->gmac, none, &got) == 1 &&
           EVP_CIPHER_CTX_ctrl(c->gmac, EVP_CTRL_AEAD_GET_TAG, 16, out) == 1;
}

bool
msg_sign(Conn *c, Slot *s)
{
    struct iovec none = {0};
    for (int i = 0; i < s->nparts; i++) {
        bool last = i == s->nparts - 1;
        uint8_t *p = s->buf.p + s->parts[i], mac[16];
        size_t n = (last ? s->buf.len : s->parts[i + 1]) - s->parts[i];
        set32(p + H_FLAGS, get32(p + H_FLAGS) | FLAG_SIGNED);
        if (!signature(c, p, n, last ? &s->tail : &none, false, mac))
            return false;
        memcpy(p + H_SIGNATURE, mac, 16);
    }
    return true;
}

bool
reply_signed_right(Conn *c, uint8_t *p, size_t n)
{
    uint8_t was[16], mac[16];
    struct iovec none = {0};
    memcpy(was, p + H_SIGNATURE, 16);
    memset(p + H_SIGNATURE, 0, 16);
    return get32(p + H_FLAGS) & FLAG_SIGNED && signature(c, p, n, &none, true, mac) && memcmp(was, mac, 16) == 0;
}

/* Encrypts what follows the transform header in place; a payload is taken into the buffer by that. */
bool
msg_seal(Conn *c, Slot *s)
{
    size_t head = s->buf.len - 4 - TRANSFORM, n = head + s->tail.iov_len;
    uint8_t *end = buf_grow(&s->buf, s->tail.iov_len), *t = s->buf.p + 4, none[16];
    int got;
    memcpy(t, "\xfdSMB", 4);
    set64(t + 20, ++c->nonce);
    set32(t + 36, (uint32_t)n);
    set16(t + 42, 1);
    set64(t + 44, c->session);
    bool ok =
        EVP_EncryptInit_ex(c->seal, NULL, NULL, NULL, t + 20) == 1 &&
        EVP_EncryptUpdate(c->seal, NULL, &got, t + 20, TRANSFORM - 20) == 1 &&
        EVP_EncryptUpdate(c->seal, t + TRANSFORM, &got, t + TRANSFORM, (int)head) == 1 &&
        (s->tail.iov_len == 0 || EVP_EncryptUpdate(c->seal, end, &got, s->tail.iov_base, (int)s->tail.iov_len) == 1) &&
        EVP_EncryptFinal_ex(c->seal, none, &got) == 1 &&
        EVP_CIPHER_CTX_ctrl(c->seal, EVP_CTRL_AEAD_GET_TAG, 16, t + 4) == 1;
    s->tail.iov_len = 0;
    return ok;
}

bool
reply_open(Conn *c, const uint8_t *p, size_t n, bool whole, Buf *out)
{
    uint8_t tag[16], none[16];
    int got;
    if (!c->have_keys || n < TRANSFORM)
        return false;
    memcpy(tag, p + 4, 16);
    out->len = 0;
    uint8_t *to = buf_grow(out, n - TRANSFORM);
    if (EVP_DecryptInit_ex(c->open, NULL, NULL, NULL, p + 20) != 1 ||
        EVP_DecryptUpdate(c->open, NULL, &got, p + 20, TRANSFORM - 20) != 1 ||
        EVP_DecryptUpdate(c->open, to, &got, p + TRANSFORM, (int)(n - TRANSFORM)) != 1)
        return false;
    return !whole || (EVP_CIPHER_CTX_ctrl(c->open, EVP_CTRL_AEAD_SET_TAG, 16, tag) == 1 &&
                      EVP_DecryptFinal_ex(c->open, none, &got) == 1);
}
