/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A private realm for tests: its own directory, its own ports on loopback, its own two daemons. */
#pragma once

#include "realm.h"

#define TEST_REALM "LARES.TEST"
#define TEST_HOST  "server.lares.test"

typedef struct {
    char *state; /* temporary directory, removed at the end */
    RealmConf *conf;
    RealmPrograms programs;
    RealmSupervisor *supervisor;
} Fixture;

Fixture *fixture_new(void);
void fixture_free(Fixture *f);
/* Makes the realm; stops the test when it cannot. */
void fixture_create(Fixture *f);
/* Starts the daemons and waits until both are ready. */
void fixture_start(Fixture *f);
/* Runs the main context until done(data), for a minute at most; TRUE when done. */
gboolean fixture_wait(gboolean (*done)(gpointer data), gpointer data);
/* One call of the helper; the answer or a failed test. */
JsonObject *fixture_call(Fixture *f, const char *op, const char *name, const char *secret);
/* The same, and the test fails unless it is refused with code. */
void fixture_refused(Fixture *f, const char *op, const char *name, const char *secret, int code);
/* Runs a Kerberos client program with the realm's krb5.conf and a ccache of this name; TRUE for
 * status 0. */
gboolean fixture_run(Fixture *f, const char *ccache, const char *input, const char *const *argv, char **output);
gboolean fixture_kinit(Fixture *f, const char *ccache, const char *user, const char *password);

int supervise_until_killed(const char *state);
void add_names_tests(void);
void add_service_tests(void);
void add_supervise_tests(void);
