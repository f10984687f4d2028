/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kerberos.init: brings the server's keys from a realm elsewhere into its keytab, by a helper process.
 *
 * Thread: main. */
#pragma once

#include "krb5-provider.h"

#include <lares/control.h>
#include <lares/host.h>

extern const LaresVerb krb5_init_verbs[];

/* `helper` NULL: where it is installed. */
void krb5_init_configure(LaresHost *host, LaresKrb5Provider *provider, const char *helper);
/* Where the keys go when the administrator names no keytab: in the state directory, which the server may write. */
char *krb5_init_keytab(LaresHost *host);
/* Ends a helper that is at work. */
void krb5_init_stop(void);
