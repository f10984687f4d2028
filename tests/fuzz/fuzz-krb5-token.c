/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A context token from anybody, before the library sees it: what is found in it lies in it, and nothing goes to a realm
 * that is not ours. */
#include "krb5-token.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t *whole;
static size_t whole_len;
static gboolean ours;

static void
must(gboolean ok)
{
    if (!ok)
        abort();
}

static void
within(const uint8_t *part, size_t len)
{
    must(part >= whole && len <= whole_len && part - whole <= (ptrdiff_t)(whole_len - len));
}

/* The keytab's: here only one realm is ours. */
gboolean
krb5_keytab_has_realm(const Krb5Keytab *keytab, const char *realm, size_t len)
{
    within((const uint8_t *)realm, len);
    return ours = len == 9 && memcmp(realm, "PAIR.TEST", 9) == 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* Of exactly its size, so that a byte too far is seen. */
    g_autofree uint8_t *token = g_memdup2(size ? data : (const uint8_t *)"", MAX(size, 1));
    whole = token;
    whole_len = size;
    ours = TRUE;
    must(!krb5_token_may_be_carried(NULL, token, size) || ours);
    size_t n = 0;
    const uint8_t *authenticator = krb5_token_authenticator(token, size, &n);
    if (authenticator) {
        must(n > 0);
        within(authenticator, n);
    }
    return 0;
}
