/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The few lines that MIT's library must read before the machine's krb5.conf in this process: the clock skew and the
 * AES types. Its acceptor takes them from the configuration only.
 *
 * Thread: main, before other threads use Kerberos or read the environment. */
#pragma once

#include <glib.h>

/* Write FOLDER/auth-krb5.conf and put it in front of KRB5_CONFIG (or, when that is unset, of `home_realm`, which may
 * be NULL, and of /etc/krb5.conf). Later calls only rewrite the file; MIT's library sees that by itself. */
gboolean krb5_profile_write(const char *folder, const char *home_realm, gint64 clock_skew, GError **error);
