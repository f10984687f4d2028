/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The doctor's area "kerberos": keytab, KDC and clock, keys, and real logins to the running server.
 *
 * Thread: prepare in the main one; everything else in the check's. */
#pragma once

#include "krb5-provider.h"

#include <krb5/krb5.h>
#include <lares/doctor.h>

/* What a run takes along. */
typedef struct {
    Krb5Snapshot now;
    GArray *places;   /* of LaresSelfPlace */
    char *home_realm; /* the keytab is the own realm's: its folder; else NULL */
    char *wanted;     /* a share that wants Kerberos; NULL: none does */
} Krb5Material;

/* While it runs. */
typedef struct {
    LaresDoctor *doctor;
    const Krb5Material *material;
    krb5_context krb5;
    krb5_ccache ccache; /* tickets of one of the server's own principals; NULL: none */
    char *ccache_name;
} Krb5Visit;

extern const LaresCheck krb5_checks[]; /* `user` is the provider */

/* The command that writes the server's keys again. */
const char *krb5_doctor_mend_keys(const Krb5Visit *visit);
/* The library's words for a code; new. */
char *krb5_doctor_words(krb5_context krb5, krb5_error_code code);

/* FALSE: no KDC of the keytab's realms answers, so that nothing more can be asked. */
gboolean krb5_doctor_check_kdc(Krb5Visit *visit);
/* Gets tickets with the keytab, one for each principal in it, and compares. */
void krb5_doctor_check_keys(Krb5Visit *visit);
/* Logs in to each protocol that runs. */
void krb5_doctor_check_logins(Krb5Visit *visit);
