/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The logon information of a PAC and its names, from anybody: 16 bits with the length of the UPN_DNS_INFO (0: none),
 * that, then the KERB_VALIDATION_INFO. What is taken is whole: names that are text, SIDs of accounts of a domain, in
 * bounds. */
#include "krb5-logon.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(gboolean ok)
{
    if (!ok)
        abort();
}

static void
is_account(const LaresSid *sid)
{
    must(sid->n == 5 && sid->authority == 5 && sid->sub[0] == 21);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *why = NULL;
    size_t names = size >= 2 ? (size_t)(data[0] | data[1] << 8) : 0;
    if (size < 2 || names > size - 2)
        return 0;
    /* Of exactly their size, so that a byte too far is seen. */
    g_autofree uint8_t *upn = names ? g_memdup2(data + 2, names) : NULL;
    size_t len = size - 2 - names;
    g_autofree uint8_t *info = g_memdup2(len ? data + 2 + names : (const uint8_t *)"", MAX(len, 1));
    g_autoptr(Krb5Logon) logon = krb5_logon_read(info, len, upn, names, &why);
    must((logon != NULL) == (why == NULL));
    if (!logon)
        return 0;
    must(logon->account && *logon->account && g_utf8_validate(logon->account, -1, NULL));
    must(logon->domain && g_utf8_validate(logon->domain, -1, NULL));
    must((logon->upn != NULL) == (names > 0) && (logon->dns_domain != NULL) == (names > 0));
    must(logon->domain_sid.n == 4 && logon->user.n == 5);
    must(logon->groups->len <= KRB5_LOGON_GROUPS_MAX + 1);
    for (guint i = 0; i < logon->groups->len; i++)
        is_account(&g_array_index(logon->groups, LaresSid, i));
    return 0;
}
