/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What Active Directory says of a user in the PAC of a ticket: the logon information and the names beside it.
 *
 * Only for bytes whose signature was verified; they are read as if anybody had written them all the same.
 *
 * Spec: [MS-PAC] 2.5 (KERB_VALIDATION_INFO), 2.10 (UPN_DNS_INFO); [MS-RPCE] 2.2.6 (type serialization version 1).
 * Thread: plain functions. */
#pragma once

#include <lares/sid.h>

/* Windows puts at most 1,024 SIDs into a token (1,015 groups of the user's own); a list twice as long is no user's. It
 * bounds what one login can make the server look up and write. */
#define KRB5_LOGON_GROUPS_MAX 2048u
/* Characters of a name; sAMAccountName has 256 in the schema ([MS-ADA3] 2.222), a domain's DNS name 255. */
#define KRB5_LOGON_NAME_MAX 256u

typedef struct {
    char *account;    /* EffectiveName: sAMAccountName */
    char *domain;     /* LogonDomainName: NetBIOS */
    char *upn;        /* NULL without UPN_DNS_INFO */
    char *dns_domain; /* the same */
    LaresSid domain_sid, user;
    GArray *groups; /* LaresSid of accounts of a domain, enabled ones only; repeats are possible */
} Krb5Logon;

/* NULL with a sentence: the bytes are not what they should be. `upn_dns` may be NULL. */
Krb5Logon *krb5_logon_read(const uint8_t *info, size_t len, const uint8_t *upn_dns, size_t upn_dns_len,
                           const char **why);
void krb5_logon_free(Krb5Logon *logon);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Krb5Logon, krb5_logon_free)
