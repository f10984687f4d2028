/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The realm as a module of the server: one instance, between the core's contract and the plain functions
 * of realm.h.
 *
 * Thread: main thread.
 */
#pragma once

#include "realm.h"

#include <lares/control.h>
#include <lares/doctor.h>
#include <lares/host.h>
#include <lares/log.h>
#include <lares/module.h>
#include <lares/settings.h>

#define REALM_ROOM "realm"

typedef struct {
    LaresHost *host;
    const LaresSettings *settings;
    RealmPrograms programs;
    RealmConf *conf;             /* NULL: there is no realm yet */
    RealmSupervisor *supervisor; /* NULL: the KDC is not to run, or could not */
    char *problem;               /* why the KDC does not run; NULL: nothing wrong */
    guint retry;                 /* source: start the KDC again */
    guint tick;                  /* source: hourly look at the keys */
    guint commit;                /* source: second step of a rotation */
    gboolean committing;         /* that step is under way */
    gboolean busy;               /* a job on the keys runs in its thread */
    gboolean staging;            /* a verb makes new keys */
    gboolean removing;           /* the realm's directory goes: nobody may take it for a realm */
    gboolean again;              /* another one is wanted after it */
} RealmModule;

extern const LaresKey realm_keys[];
extern const LaresVerb realm_verbs[];
/* For the doctor; `user` is the module. */
extern const LaresCheck realm_checks[];

/* Settings, the host's names and what the realm was made with, in this order of precedence. */
RealmConf *realm_module_conf(RealmModule *self, const char *name, GError **error);
/* Takes over a realm that is there: daemons, keytab, rotation. Failures are logged and retried. */
void realm_module_begin(RealmModule *self, RealmConf *conf);
void realm_module_end(RealmModule *self);
/* The same, with the waiting for the daemons' end left to the caller (any thread); NULL: none run. */
RealmFarewell *realm_module_dismiss(RealmModule *self);
/* Step one of a rotation now, which waits as slow verbs do, step two after the grace (realm-rotate.c). */
gboolean realm_module_rotate(RealmModule *self, guint *grace, GError **error);
void realm_rotate_begin(RealmModule *self);
void realm_rotate_end(RealmModule *self);
/* FALSE waits for a job that runs and lets no other begin. */
void realm_rotate_allow(gboolean allow);
/* In load(), once. */
gboolean realm_rotate_add_metrics(RealmModule *self, GError **error);

/* JSON of the helper as the contract's GVariant, floating (realm-variant.c): an object becomes a{sv}, an array of
 * objects aa{sv}, of strings as, of numbers ax. */
GVariant *realm_variant(JsonNode *node);
GVariant *realm_variant_object(JsonObject *object);
GVariant *realm_variant_array(JsonArray *array);
/* Takes a REALM_ERROR over into the contract's domain. */
void realm_propagate(GError **error, GError *own);
