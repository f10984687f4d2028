/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A provider over the private realm's keys, and single tokens given to it.
 *
 * Thread: one realm per process; accept and give from any thread. */
#pragma once

#include "krb5-client.h"
#include "krb5-provider.h"

#define SKEW  3 /* seconds */
#define USUAL (GSS_C_MUTUAL_FLAG | GSS_C_CONF_FLAG | GSS_C_INTEG_FLAG)

extern Realm *fixture_realm;
extern const char *const fixture_no_services[];
extern const char *const fixture_hosts[];

/* FALSE: MIT's server programs are missing. */
gboolean fixture_start(void);
void fixture_stop(void);
/* From here on this process has the acceptor's skew and types. */
void fixture_use_profile(void);

LaresKrb5Provider *provider_over(const char *keytab);
void provider_end(LaresKrb5Provider *p);
LaresAuthContext *accept_for(LaresKrb5Provider *p, const char *service);
LaresAuthState give(LaresAuthContext *c, GBytes *token, GBytes **answer, char **reason);
/* A client's first token, or the test ends. */
GBytes *token_with(ClientRequest request);
/* Expect one token to be taken, or to be refused for a reason that contains `word`. */
void accepted(LaresKrb5Provider *p, const char *service, GBytes *token);
void refused(LaresKrb5Provider *p, const char *service, GBytes *token, const char *word);
