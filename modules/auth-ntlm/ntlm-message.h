/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The three messages of NTLM as values.
 *
 * Spec: [MS-NLMP] 2.2. Thread: plain values; what is decoded points into the message. */
#pragma once

#include <lares/cursor.h>

#define NTLM_UNICODE       0x00000001u
#define NTLM_OEM           0x00000002u
#define NTLM_TARGET        0x00000004u /* the client asks for the server's name */
#define NTLM_SIGN          0x00000010u
#define NTLM_SEAL          0x00000020u
#define NTLM_LM_KEY        0x00000080u
#define NTLM_NTLM          0x00000200u
#define NTLM_ANONYMOUS     0x00000800u
#define NTLM_ALWAYS_SIGN   0x00008000u
#define NTLM_TARGET_SERVER 0x00020000u
#define NTLM_ESS           0x00080000u /* extended session security */
#define NTLM_TARGET_INFO   0x00800000u
#define NTLM_VERSION       0x02000000u
#define NTLM_128           0x20000000u
#define NTLM_KEY_EXCH      0x40000000u
#define NTLM_56            0x80000000u

enum {
    NTLM_AV_EOL = 0,
    NTLM_AV_NB_COMPUTER = 1,
    NTLM_AV_NB_DOMAIN = 2,
    NTLM_AV_DNS_COMPUTER = 3,
    NTLM_AV_DNS_DOMAIN = 4,
    NTLM_AV_FLAGS = 6,
    NTLM_AV_TIMESTAMP = 7
};

#define NTLM_AV_FLAG_MIC 2u
#define NTLM_MIC_AT      72u /* in AUTHENTICATE */
#define NTLM_MESSAGE_MAX 16384u

typedef struct {
    const uint8_t *at;
    size_t len;
} NtlmField;

typedef struct {
    NtlmField lm, nt, domain, user, workstation, session_key;
    uint32_t flags;
    gboolean room_for_mic; /* the fixed part reaches behind the MIC */
} NtlmAuthenticate;

typedef struct {
    const char *computer;     /* NetBIOS: upper case, at most 15 letters */
    const char *dns_computer; /* "nas.home.lan" */
    const char *dns_domain;   /* "home.lan" */
} NtlmNames;

/* FALSE: not this message, or a field that reaches out of it. */
gboolean ntlm_read_negotiate(const uint8_t *message, size_t len, uint32_t *flags);
gboolean ntlm_read_authenticate(const uint8_t *message, size_t len, NtlmAuthenticate *out);
/* `now`: 100 ns since 1601. */
GByteArray *ntlm_write_challenge(uint32_t flags, const uint8_t challenge[8], uint64_t now, const NtlmNames *names);

/* One value of a row of AV pairs; FALSE when it is not there. *broken when the row has no proper end. */
gboolean ntlm_av_find(const NtlmField *pairs, uint16_t id, NtlmField *value, gboolean *broken);
/* The AV pairs of an NTLMv2 response (2.2.2.7), behind proof and fixed part; FALSE: it is not one. */
gboolean ntlm_response_pairs(const NtlmField *nt, NtlmField *pairs);
