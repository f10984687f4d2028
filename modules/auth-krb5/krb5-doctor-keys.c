/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The keytab against the KDC: a ticket for each principal must be one that the server can open.
 *
 * The server asks as one of its own principals, so that nobody has to log in for it. */
#include "krb5-doctor.h"

#include "krb5-crypto.h"

#include <string.h>

/* With hundreds of aliases the rest is like the first. */
#define MAX_PRINCIPALS 64

/* Each once, in the keytab's order; an account's own name (NAS$, Active Directory) first: only it can log in there. */
static GPtrArray *
principals_of(const Krb5Keytab *k)
{
    GPtrArray *names = g_ptr_array_new();
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint i = 0; i < k->entries->len; i++) {
        const Krb5KeytabEntry *e = k->entries->pdata[i];
        gboolean account = strchr(e->principal, '$') != NULL;

        if (g_hash_table_add(seen, e->principal))
            g_ptr_array_insert(names, account ? 0 : -1, e->principal);
    }
    return names;
}

static krb5_error_code
log_in_as(Krb5Visit *visit, krb5_keytab keytab, const char *name)
{
    krb5_get_init_creds_opt *options = NULL;
    krb5_principal principal = NULL;
    krb5_creds creds = {0};
    krb5_error_code code = krb5_parse_name(visit->krb5, name, &principal);

    if (code == 0)
        code = krb5_get_init_creds_opt_alloc(visit->krb5, &options);
    if (code == 0)
        code = krb5_get_init_creds_keytab(visit->krb5, &creds, principal, keytab, 0, NULL, options);
    if (code == 0) {
        krb5_ccache ccache = NULL;

        code = krb5_cc_new_unique(visit->krb5, "MEMORY", NULL, &ccache);
        if (code == 0)
            code = krb5_cc_initialize(visit->krb5, ccache, principal);
        if (code == 0)
            code = krb5_cc_store_cred(visit->krb5, ccache, &creds);
        if (code == 0)
            visit->ccache = ccache;
        else if (ccache != NULL)
            krb5_cc_destroy(visit->krb5, ccache);
        krb5_free_cred_contents(visit->krb5, &creds);
    }
    if (options != NULL)
        krb5_get_init_creds_opt_free(visit->krb5, options);
    krb5_free_principal(visit->krb5, principal);
    return code;
}

/* The KDC said that the key is another one. */
static gboolean
is_wrong_key(krb5_error_code code)
{
    return code == KRB5KDC_ERR_PREAUTH_FAILED || code == KRB5_PREAUTH_FAILED || code == KRB5KRB_AP_ERR_BAD_INTEGRITY ||
           code == KRB5_KT_KVNONOTFOUND || code == KRB5_KT_NOTFOUND;
}

static void
log_in(Krb5Visit *visit, krb5_keytab keytab, GPtrArray *names)
{
    g_autofree char *words = NULL;
    krb5_error_code code = 0;
    gboolean wrong = FALSE;

    for (guint i = 0; i < names->len && visit->ccache == NULL && lares_doctor_left(visit->doctor) > 0; i++) {
        krb5_error_code one = log_in_as(visit, keytab, names->pdata[i]);

        wrong = wrong || is_wrong_key(one);
        if (i == 0 || is_wrong_key(one))
            code = one;
    }
    if (visit->ccache != NULL) {
        char *full = NULL;

        if (krb5_cc_get_full_name(visit->krb5, visit->ccache, &full) == 0) {
            visit->ccache_name = g_strdup(full);
            krb5_free_string(visit->krb5, full);
        }
        return;
    }
    words = krb5_doctor_words(visit->krb5, code);
    lares_doctor_find(visit->doctor, "ticket", wrong ? LARES_FINDING_ERROR : LARES_FINDING_WARNING,
                      krb5_doctor_mend_keys(visit),
                      wrong ? "The KDC does not take the keys of %s (%s): it has newer ones."
                            : "The KDC gives the server no ticket with the keys of %s (%s), so that they could not be "
                              "compared.",
                      visit->material->now.keytab->source, words);
}

/* ---- Comparing ------------------------------------------------------------------------------------------------- */

/* Newest kvno the keytab has for it; *same: the wanted version and type are there. */
static guint
newest_of(const Krb5Keytab *k, const char *name, guint kvno, int enctype, gboolean *version, gboolean *same)
{
    guint newest = 0;

    *version = *same = FALSE;
    for (guint i = 0; i < k->entries->len; i++) {
        const Krb5KeytabEntry *e = k->entries->pdata[i];

        if (strcmp(e->principal, name) != 0)
            continue;
        newest = MAX(newest, e->kvno);
        *version = *version || e->kvno == kvno;
        *same = *same || (e->kvno == kvno && e->enctype == enctype);
    }
    return newest;
}

static const char *
type_name(int enctype, char text[64])
{
    const Krb5Enctype *known = krb5_enctype_find(enctype);

    if (known != NULL)
        return known->name;
    g_snprintf(text, 64, "type %d", enctype);
    return text;
}

/* TRUE: the server can open tickets of this kind. */
static gboolean
compare(Krb5Visit *visit, krb5_keytab keytab, const char *name, krb5_ticket *ticket)
{
    const Krb5Keytab *k = visit->material->now.keytab;
    const char *mend = krb5_doctor_mend_keys(visit);
    guint kvno = ticket->enc_part.kvno;
    int enctype = ticket->enc_part.enctype;
    gboolean version, same;
    char text[64];
    guint newest = newest_of(k, name, kvno, enctype, &version, &same);

    if (!version) {
        lares_doctor_find(visit->doctor, "kvno", LARES_FINDING_ERROR, mend,
                          "The KDC gives out tickets for %s under key version %u; the newest in the keytab %s is %u: "
                          "new keys were made and not brought here.",
                          name, kvno, k->source, newest);
        return FALSE;
    }
    if (!same) {
        lares_doctor_find(visit->doctor, "enctype", LARES_FINDING_ERROR, mend,
                          "The KDC gives out tickets for %s of type %s; the keytab %s has key version %u, but not of "
                          "that type.",
                          name, type_name(enctype, text), k->source, kvno);
        return FALSE;
    }
    if (krb5_server_decrypt_ticket_keytab(visit->krb5, keytab, ticket) != 0) {
        lares_doctor_find(visit->doctor, "key", LARES_FINDING_ERROR, mend,
                          "The key of %s in the keytab %s is not the KDC's, though both are version %u: tickets cannot "
                          "be opened.",
                          name, k->source, kvno);
        return FALSE;
    }
    return TRUE;
}

static void
tell_no_ticket(Krb5Visit *visit, const char *name, krb5_error_code code)
{
    g_autofree char *words = krb5_doctor_words(visit->krb5, code);

    if (code == KRB5KDC_ERR_S_PRINCIPAL_UNKNOWN)
        lares_doctor_find(visit->doctor, "unknown", LARES_FINDING_ERROR, krb5_doctor_mend_keys(visit),
                          "%s is in the keytab, but the KDC does not know it: clients get no ticket for it.", name);
    else
        lares_doctor_find(visit->doctor, "ticket", LARES_FINDING_ERROR, krb5_doctor_mend_keys(visit),
                          "The KDC gives no ticket for %s: %s.", name, words);
}

static gboolean
check_principal(Krb5Visit *visit, krb5_keytab keytab, const char *name)
{
    krb5_creds wanted = {0}, *got = NULL;
    krb5_ticket *ticket = NULL;
    gboolean good = FALSE;
    krb5_error_code code = krb5_cc_get_principal(visit->krb5, visit->ccache, &wanted.client);

    if (code == 0)
        code = krb5_parse_name(visit->krb5, name, &wanted.server);
    if (code == 0)
        code = krb5_get_credentials(visit->krb5, 0, visit->ccache, &wanted, &got);
    if (code == 0)
        code = krb5_decode_ticket(&got->ticket, &ticket);
    if (code == 0)
        good = compare(visit, keytab, name, ticket);
    else
        tell_no_ticket(visit, name, code);
    krb5_free_ticket(visit->krb5, ticket);
    krb5_free_creds(visit->krb5, got);
    krb5_free_cred_contents(visit->krb5, &wanted);
    return good;
}

void
krb5_doctor_check_keys(Krb5Visit *visit)
{
    const Krb5Keytab *k = visit->material->now.keytab;
    g_autoptr(GPtrArray) names = principals_of(k);
    krb5_keytab keytab = NULL;
    guint good = 0, n = MIN(names->len, MAX_PRINCIPALS);

    if (krb5_kt_resolve(visit->krb5, krb5_keytab_name(k), &keytab) != 0)
        return;
    log_in(visit, keytab, names);
    for (guint i = 0; i < n && visit->ccache != NULL && lares_doctor_left(visit->doctor) > 0; i++)
        /* An account is no service: nobody asks for tickets for it. */
        good += strchr(names->pdata[i], '/') == NULL || check_principal(visit, keytab, names->pdata[i]);
    if (good == n && n > 0)
        lares_doctor_find(visit->doctor, "keys", LARES_FINDING_OK, NULL,
                          "Keytab and KDC have the same keys for all %u principals.", n);
    krb5_kt_close(visit->krb5, keytab);
}
