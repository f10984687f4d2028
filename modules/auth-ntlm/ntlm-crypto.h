/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The old primitives of NTLM. MD4 and RC4 are written here: OpenSSL has them in a provider that need not be installed,
 * and none of the security of a new protocol rests on them.
 *
 * Spec: [MS-NLMP] 3.3.2, 3.4.4, 3.4.5; RFC 1320; RFC 2104. Thread: plain functions. */
#pragma once

#include <glib.h>
#include <stdint.h>
#include <stddef.h>

void ntlm_md4(const uint8_t *bytes, size_t len, uint8_t digest[16]);
/* MD5 over two pieces. */
gboolean ntlm_md5(const void *a, size_t a_len, const void *b, size_t b_len, uint8_t digest[16]);
/* HMAC-MD5 over up to three pieces; FALSE where the system forbids MD5. */
typedef struct {
    const void *bytes;
    size_t len;
} NtlmPiece;
gboolean ntlm_hmac(const uint8_t key[16], const NtlmPiece *pieces, size_t n, uint8_t digest[16]);

typedef struct {
    uint8_t s[256], i, j;
} NtlmRc4;
void ntlm_rc4_init(NtlmRc4 *rc4, const uint8_t *key, size_t len);
void ntlm_rc4(NtlmRc4 *rc4, const uint8_t *from, uint8_t *to, size_t len);

/* UTF-16LE without an end; NULL when `text` is not UTF-8. g_free. */
uint8_t *ntlm_utf16(const char *text, size_t *bytes);
/* UTF-8, NULL when it is not UTF-16 or has a NUL inside. g_free. */
char *ntlm_utf8(const uint8_t *utf16, size_t bytes);

/* NTOWFv1: what is kept of a password. */
gboolean ntlm_hash(const char *password, uint8_t hash[16]);
/* NTOWFv2: of the hash, the user's name as the client sent it and the domain as it sent it. */
gboolean ntlm_owf2(const uint8_t hash[16], const char *user, const uint8_t *domain, size_t domain_len, uint8_t key[16]);
