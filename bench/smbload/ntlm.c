/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* NTLMv2 tokens for the load generator, without key exchange: the session base key is the session's key.
 * Spec: [MS-NLMP] 2.2.1, 3.3.2. */
#include <ctype.h>
#include <openssl/hmac.h>
#include <openssl/provider.h>
#include <sys/random.h>
#include <time.h>

#include "smbload.h"

#define FLAGS     0xa0888215u /* Unicode, NTLM, extended security, target info, sign, always sign, 128, 56 */
#define ANONYMOUS 0x00000800u

void
ntlm_negotiate(Buf *out)
{
    put_bytes(out, "NTLMSSP", 8);
    put32(out, 1);
    put32(out, FLAGS | 4);
    put_zeros(out, 24);
}

static bool
nt_hash(const char *password, uint8_t out[16])
{
    static pthread_mutex_t once = PTHREAD_MUTEX_INITIALIZER;
    static EVP_MD *md4;
    Buf text = {0};
    pthread_mutex_lock(&once);
    if (md4 == NULL && OSSL_PROVIDER_load(NULL, "legacy") && OSSL_PROVIDER_load(NULL, "default"))
        md4 = EVP_MD_fetch(NULL, "MD4", NULL);
    pthread_mutex_unlock(&once);
    put_utf16(&text, password);
    bool ok = md4 != NULL && EVP_Digest(text.p, text.len, out, NULL, md4, NULL) == 1;
    buf_free(&text);
    return ok;
}

static void
hmac_md5(const uint8_t key[16], const void *p, size_t n, uint8_t out[16])
{
    HMAC(EVP_md5(), key, 16, p, n, out, NULL);
}

/* A security buffer of the message's fixed part, and its bytes at the end. */
static void
put_field(Buf *out, size_t at, const void *p, size_t n)
{
    set16(out->p + at, (uint16_t)n);
    set16(out->p + at + 2, (uint16_t)n);
    set32(out->p + at + 4, (uint32_t)out->len);
    put_bytes(out, p, n);
}

static void
put_blob(Buf *b, const uint8_t *info, size_t n)
{
    uint8_t challenge[8] = {0};
    uint64_t when = ((uint64_t)time(NULL) + 11644473600u) * 10000000u;
    for (size_t at = 0; at + 4 <= n && get16(info + at) != 0; at += 4u + get16(info + at + 2)) {
        if (get16(info + at) == 7 && at + 12 <= n)
            when = get64(info + at + 4);
    }
    if (getrandom(challenge, sizeof challenge, 0) < 0)
        challenge[0] = 1;
    put32(b, 0x0101);
    put32(b, 0);
    put64(b, when);
    put_bytes(b, challenge, 8);
    put32(b, 0);
    put_bytes(b, info, n);
    put32(b, 0);
}

bool
ntlm_authenticate(const Options *o, const uint8_t *m, size_t n, Buf *out, uint8_t key[16])
{
    bool anonymous = o->auth == AUTH_GUEST;
    uint8_t owf[16], hash[16], proof[16];
    Buf user = {0}, upper = {0}, response = {0};
    if (n < 48 || memcmp(m, "NTLMSSP", 8) != 0 || get32(m + 8) != 2)
        return false;
    size_t len = get16(m + 40), at = get32(m + 44);
    if (at > n || len > n - at || (!anonymous && !nt_hash(o->password, hash)))
        return false;
    put_utf16(&user, anonymous ? "" : o->user);
    if (!anonymous) {
        for (const char *p = o->user; *p; p++)
            put16(&upper, (uint16_t)toupper((unsigned char)*p));
        hmac_md5(hash, upper.p, upper.len, owf);
        put_bytes(&response, m + 24, 8); /* the challenge, where the proof will be */
        put_blob(&response, m + at, len);
        hmac_md5(owf, response.p, response.len, proof);
        Buf whole = {0};
        put_bytes(&whole, proof, 16);
        put_bytes(&whole, response.p + 8, response.len - 8);
        buf_free(&response);
        response = whole;
        hmac_md5(owf, proof, 16, key);
    }
    put_bytes(out, "NTLMSSP", 8);
    put32(out, 3);
    put_zeros(out, 64 - 12);
    set32(out->p + out->len - 4, FLAGS | (anonymous ? ANONYMOUS : 0));
    uint8_t none[24] = {0};
    put_field(out, 12, none, anonymous ? 0 : 24);
    put_field(out, 20, response.p, response.len);
    put_field(out, 28, "", 0);
    put_field(out, 36, user.p, user.len);
    put_field(out, 44, "", 0);
    put_field(out, 52, "", 0);
    buf_free(&user);
    buf_free(&upper);
    buf_free(&response);
    return true;
}
