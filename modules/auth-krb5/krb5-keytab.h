/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The service keys as one immutable snapshot in memory, and the acceptor credential over it.
 *
 * Whatever happens to the file later, logins that began on a snapshot end on it.
 *
 * Thread: loading in any one thread; a snapshot may be used by all. Owner: reference counted. */
#pragma once

#include <gio/gio.h>
#include <gssapi/gssapi.h>

typedef struct {
    char *principal; /* "nfs/nas.home.lan@HOME.LAN" */
    guint kvno;
    int enctype; /* 17 to 20 */
    char *key;   /* SHA-256 of the key: which entries have the same */
} Krb5KeytabEntry;

typedef struct {
    gatomicrefcount refs;
    char *source;       /* a path, or the name of the environment variable */
    GPtrArray *entries; /* Krb5KeytabEntry */
    GPtrArray *refused; /* sentences about keys that were left out */
    gss_cred_id_t cred; /* accepts Kerberos and IAKERB with any of the keys; SPNEGO is the core's */
    char *digest;       /* SHA-256 of the bytes, to see whether they changed */
    gint64 loaded;      /* wall clock, seconds */
    gboolean exposed;   /* everybody on this machine may read or write the file */
    struct Krb5KeytabHold *hold;
} Krb5Keytab;

/* NULL with error: a sentence with the file, the reason and what to do (LARES_ERROR_UNAVAILABLE when there is no
 * such file, else LARES_ERROR_CONFIG). */
Krb5Keytab *krb5_keytab_load_file(const char *path, GError **error);
/* The bytes of a keytab file in base64, whitespace allowed; `source` names where they are from. */
Krb5Keytab *krb5_keytab_load_base64(const char *text, const char *source, GError **error);

Krb5Keytab *krb5_keytab_ref(Krb5Keytab *keytab);
void krb5_keytab_unref(Krb5Keytab *keytab);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Krb5Keytab, krb5_keytab_unref)

/* Under which name MIT's library finds the keys, in any context, while the snapshot lives ("MEMORY:…"). */
const char *krb5_keytab_name(const Krb5Keytab *keytab);
/* Whether there is a key for `service`/`host` in any realm (service in its exact case, host in any). */
gboolean krb5_keytab_has(const Krb5Keytab *keytab, const char *service, const char *host);
/* Whether a key of `principal` is also one of the service's: in Active Directory all names of an account share its key,
 * and the library calls the ticket by the first of them that opens it. */
gboolean krb5_keytab_shares_key(const Krb5Keytab *keytab, const char *principal, const char *service);
/* Whether any key is of this realm. */
gboolean krb5_keytab_has_realm(const Krb5Keytab *keytab, const char *realm, size_t len);
