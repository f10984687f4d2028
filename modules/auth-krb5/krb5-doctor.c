/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See krb5-doctor.h: what is known without asking anybody, and the order of the rest. */
#include "krb5-doctor.h"

#include <lares/host.h>
#include <lares/share.h>
#include <string.h>

/* ---- What is taken along --------------------------------------------------------------------------------------- */

static char *
share_with_kerberos(LaresHost *host)
{
    g_autoptr(GPtrArray) shares = lares_shares_list(lares_host_shares(host));
    char *name = NULL;

    g_ptr_array_set_free_func(shares, (GDestroyNotify)lares_share_unref);
    for (guint i = 0; i < shares->len && name == NULL; i++) {
        const LaresShare *share = shares->pdata[i];

        for (guint k = 0; k < share->n_flavors && name == NULL; k++)
            if (g_str_has_prefix(share->flavor[k]->name, "krb5"))
                name = g_strdup(share->name);
    }
    return name;
}

static gpointer
prepare(LaresHost *host, gpointer provider)
{
    Krb5Material *m = g_new0(Krb5Material, 1);
    g_autofree char *folder = g_build_filename(lares_host_state_dir(host), "realm", NULL);

    lares_krb5_provider_snapshot(provider, &m->now);
    m->places = lares_doctor_places(host);
    m->wanted = share_with_kerberos(host);
    if (m->now.keytab != NULL ? g_str_has_prefix(m->now.keytab->source, folder)
                              : g_file_test(folder, G_FILE_TEST_IS_DIR))
        m->home_realm = g_steal_pointer(&folder);
    return m;
}

static void
release(gpointer material)
{
    Krb5Material *m = material;

    krb5_snapshot_clear(&m->now);
    g_array_unref(m->places);
    g_free(m->home_realm);
    g_free(m->wanted);
    g_free(m);
}

const char *
krb5_doctor_mend_keys(const Krb5Visit *visit)
{
    return visit->material->home_realm != NULL ? "laresctl kerberos init"
                                               : "laresctl kerberos init --admin ADMIN/admin";
}

char *
krb5_doctor_words(krb5_context krb5, krb5_error_code code)
{
    const char *text = krb5_get_error_message(krb5, code);
    char *words = g_strdup(text);

    krb5_free_error_message(krb5, text);
    return words;
}

/* ---- The keytab ------------------------------------------------------------------------------------------------ */

/* Nobody has to have Kerberos: it is an error only where it was asked for. */
static void
tell_no_keys(Krb5Visit *visit)
{
    const Krb5Material *m = visit->material;
    const char *why = m->now.error != NULL ? m->now.error : "no keys are loaded";

    if (m->now.named || m->home_realm != NULL)
        lares_doctor_find(visit->doctor, "keytab", LARES_FINDING_ERROR, krb5_doctor_mend_keys(visit),
                          "The server has no Kerberos keys: %s.", why);
    else if (m->wanted != NULL)
        lares_doctor_find(
            visit->doctor, "keytab", LARES_FINDING_ERROR,
            "laresctl realm create HOME.LAN  # or, with a realm elsewhere: laresctl kerberos init --admin "
            "ADMIN/admin",
            "The share %s wants Kerberos, and the server has no keys: nobody can log in to it (%s).", m->wanted, why);
    else
        lares_doctor_find(visit->doctor, "keytab", LARES_FINDING_NOTE, "laresctl realm create HOME.LAN",
                          "Kerberos is not set up, and no share wants it: %s.", why);
}

static void
check_file(Krb5Visit *visit)
{
    const Krb5Material *m = visit->material;
    const Krb5Keytab *k = m->now.keytab;
    g_autofree char *chmod = g_strdup_printf("chmod 600 %s", k->source);

    if (m->now.error != NULL)
        lares_doctor_find(visit->doctor, "keytab", LARES_FINDING_ERROR, krb5_doctor_mend_keys(visit),
                          "The keytab on the disk cannot be used, and the server still works with the keys it had "
                          "loaded before: %s.",
                          m->now.error);
    if (k->exposed)
        lares_doctor_find(visit->doctor, "exposed", LARES_FINDING_ERROR, chmod,
                          "The keytab %s is open to every account of this machine, which can become any user with it. "
                          "Close it, and make new keys.",
                          k->source);
    for (guint i = 0; i < k->refused->len; i++)
        lares_doctor_find(visit->doctor, "weak", LARES_FINDING_WARNING,
                          m->home_realm != NULL ? krb5_doctor_mend_keys(visit)
                                                : "laresctl kerberos init --admin ADMIN/admin --rotate",
                          "In the keytab %s, %s.", k->source, (char *)k->refused->pdata[i]);
}

/* A protocol that runs needs its key; the others are missed when they begin. */
static gboolean
is_served(const Krb5Material *m, const char *service)
{
    for (guint i = 0; i < m->places->len; i++) {
        const LaresSelfPlace *place = &g_array_index(m->places, LaresSelfPlace, i);

        if (place->listens && strcmp(place->login->service, service) == 0)
            return TRUE;
    }
    return FALSE;
}

static void
check_services(Krb5Visit *visit)
{
    const Krb5Material *m = visit->material;
    const Krb5Keytab *k = m->now.keytab;
    gboolean good = m->now.error == NULL;

    for (char **host = m->now.hosts; *host != NULL; host++) {
        for (char **service = m->now.services; *service != NULL; service++) {
            gboolean served = is_served(m, *service) && host == m->now.hosts;

            if (krb5_keytab_has(k, *service, *host))
                continue;
            good = good && !served;
            lares_doctor_find(visit->doctor, "missing", served ? LARES_FINDING_ERROR : LARES_FINDING_WARNING,
                              krb5_doctor_mend_keys(visit),
                              "The keytab %s has no key of %s/%s: clients cannot log in to that service by that name.",
                              k->source, *service, *host);
        }
    }
    if (good)
        lares_doctor_find(visit->doctor, "keytab", LARES_FINDING_OK, NULL, "%u keys are loaded from %s.",
                          k->entries->len, k->source);
}

/* ---- All of it ------------------------------------------------------------------------------------------------- */

static void
ask_others(Krb5Visit *visit)
{
    krb5_error_code code = krb5_init_context(&visit->krb5);

    if (code != 0) {
        g_autofree char *words = krb5_doctor_words(NULL, code);

        lares_doctor_find(visit->doctor, "configuration", LARES_FINDING_ERROR, "klist -V && cat /etc/krb5.conf",
                          "Kerberos cannot read its configuration (krb5.conf): %s.", words);
        return;
    }
    if (krb5_doctor_check_kdc(visit)) {
        krb5_doctor_check_keys(visit);
        if (visit->ccache != NULL)
            krb5_doctor_check_logins(visit);
    }
    if (visit->ccache != NULL)
        krb5_cc_destroy(visit->krb5, visit->ccache);
    g_free(visit->ccache_name);
    krb5_free_context(visit->krb5);
}

static void
check(LaresDoctor *doctor, gpointer material)
{
    Krb5Visit visit = {.doctor = doctor, .material = material};

    if (visit.material->now.keytab == NULL) {
        tell_no_keys(&visit);
        return;
    }
    check_file(&visit);
    check_services(&visit);
    ask_others(&visit);
}

const LaresCheck krb5_checks[] = {{"kerberos", "keys, KDC and logins", prepare, release, check}, {NULL}};
