/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See krb5-fixture.h. */
#include "krb5-fixture.h"
#include "krb5-profile.h"

#include <string.h>

Realm *fixture_realm;
const char *const fixture_no_services[] = {NULL};
const char *const fixture_hosts[] = {"server.pair.test", NULL};

gboolean
fixture_start(void)
{
    fixture_realm = realm_start();
    return fixture_realm != NULL;
}

void
fixture_stop(void)
{
    realm_stop(fixture_realm);
}

void
fixture_use_profile(void)
{
    g_autoptr(GError) error = NULL;

    krb5_profile_write(fixture_realm->dir, NULL, SKEW, &error);
    g_assert_no_error(error);
}

LaresKrb5Provider *
provider_over(const char *keytab)
{
    const char *const paths[] = {keytab, NULL};
    LaresKrb5Provider *p = lares_krb5_provider_new(1000);

    lares_krb5_provider_configure(
        p,
        &(Krb5Config){.keytabs = paths, .services = fixture_no_services, .hosts = fixture_hosts, .clock_skew = SKEW});
    return p;
}

void
provider_end(LaresKrb5Provider *p)
{
    lares_krb5_provider_stop(p);
    g_object_unref(p);
}

LaresAuthContext *
accept_for(LaresKrb5Provider *p, const char *service)
{
    g_autoptr(GError) error = NULL;
    LaresPeer peer = {.address = "192.0.2.1"};
    LaresAuthContext *c = lares_auth_provider_accept(LARES_AUTH_PROVIDER(p), service, &peer, &error);

    g_assert_no_error(error);
    return c;
}

LaresAuthState
give(LaresAuthContext *c, GBytes *token, GBytes **answer, char **reason)
{
    gsize len;
    const uint8_t *data = g_bytes_get_data(token, &len);
    return lares_auth_context_step(c, data, len, answer, reason);
}

/* Expect one token to be refused for a reason that contains `word`. */
void
refused(LaresKrb5Provider *p, const char *service, GBytes *token, const char *word)
{
    g_autoptr(LaresAuthContext) c = accept_for(p, service);
    g_autoptr(GBytes) answer = NULL;
    g_autofree char *reason = NULL;

    g_assert_cmpint(give(c, token, &answer, &reason), ==, LARES_AUTH_FAILED);
    g_test_message("reason: %s", reason);
    g_assert_nonnull(reason);
    if (strstr(reason, word) == NULL)
        g_error("reason '%s' does not say '%s'", reason, word);
    g_assert_null(lares_auth_context_get_peer(c));
}

GBytes *
token_with(ClientRequest request)
{
    g_autofree char *why = NULL;
    GBytes *token = client_token(fixture_realm, &request, &why);

    if (token == NULL)
        g_error("no ticket: %s", why);
    return token;
}

void
accepted(LaresKrb5Provider *p, const char *service, GBytes *token)
{
    g_autoptr(LaresAuthContext) c = accept_for(p, service);
    g_autoptr(GBytes) answer = NULL;
    g_autofree char *reason = NULL;
    LaresAuthState state = give(c, token, &answer, &reason);

    g_assert_cmpstr(reason, ==, NULL);
    g_assert_cmpint(state, ==, LARES_AUTH_ESTABLISHED);
    g_assert_nonnull(answer);
}
