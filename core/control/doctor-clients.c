/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The area "clients": what clients were refused for lately, what it means and what mends it.
 *
 * Thread: the check's own. */
#include "control/doctor.h"

#include "auth/refusals.h"

#include <string.h>

#define LATELY (24 * 3600)

/* Words of a reason (docs/KERBEROS.md, "Troubleshooting by the reason in the audit line"); the first that fit count. */
static const struct {
    const char *words, *meaning, *remedy;
} known[] = {
    {"Clock skew too great", "its clock and this server's differ by more than Kerberos allows",
     "timedatectl set-ntp true  # on the client, and here"},
    {"not found in keytab", "its ticket is for a name or a key version that this server's keytab lacks",
     "laresctl kerberos test  # compares keytab and KDC; on the client, kinit again gets fresh tickets"},
    {"cannot decrypt ticket",
     "its ticket is sealed with another key than the keytab has: the keytab is older than the KDC",
     "laresctl kerberos init  # writes the keys again; --admin for a realm elsewhere"},
    {"not permitted", "its ticket has an encryption type that is not AES",
     "kadmin -q 'cpw -e aes256-cts:normal,aes128-cts:normal USER'  # or allow AES for the account in the directory"},
    {"not for the service", "it asked for a ticket of another service: for NFS it must be nfs/NAME, for SMB cifs/NAME",
     "kvno nfs/NAME  # on the client: NAME is what it mounts"},
    {"mutual authentication", "its program does not ask the server to prove itself",
     "laresctl realm client-config linux  # how rpc.gssd is set up"},
    {"a second time", "the same login came twice: a proxy repeats it, or somebody replays it",
     "laresctl session list  # see who is connected from there"},
    {"Ticket expired", "its ticket has ended", "kinit  # on the client, as that user"},
    {"ticket has ended", "its ticket has ended", "kinit  # on the client, as that user"},
    {"anonymous", "it came without a name", "kinit  # on the client, as a user"},
    {"the user is disabled", "the user is disabled here", "laresctl user enable NAME"},
    {"system account", "the principal has the name of a system account, which nobody becomes by a name alone",
     "laresctl mapping set PRINCIPAL USER  # if that is meant"},
    {"realm is not ours", "the user is of a realm that this server was not told to trust",
     "laresctl mapping set '*@REALM' USER  # or name the realm in [identity] realms= of lares.conf"},
    {"password", "the password was wrong, or is not known for NTLM", "laresctl user ntlm enable NAME"},
    {"bearer token", "its token is unknown, has ended or was revoked", "laresctl token list"},
    {"may not manage", "the account may not use the control socket",
     "laresctl module set proto-rest admin-group=GROUP  # members of that group may"},
    {"not loaded", "it wants a way to log in whose module is not loaded", "laresctl module list"},
};

static void
tell(LaresDoctor *doctor, const LaresRefusal *r, gint64 now)
{
    const char *meaning = NULL, *remedy = "laresctl kerberos test";
    g_autoptr(GDateTime) when = g_date_time_new_from_unix_local(r->last);
    g_autofree char *clock = g_date_time_format(when, now - r->last < 12 * 3600 ? "%H:%M" : "%Y-%m-%d %H:%M");
    for (guint i = 0; i < G_N_ELEMENTS(known) && !meaning; i++) {
        if (!strstr(r->reason, known[i].words))
            continue;
        meaning = known[i].meaning;
        remedy = known[i].remedy;
    }
    lares_doctor_find(doctor, "refused", LARES_FINDING_NOTE, remedy,
                      "The client %s%s%s was refused over %s (%u times, last at %s): %s. The reason was \"%s\".",
                      r->client, r->principal[0] ? " as " : "", r->principal, r->protocol, r->times, clock,
                      meaning ? meaning : "no usual mistake", r->reason);
}

static void
check(LaresDoctor *doctor, gpointer material)
{
    g_autoptr(GArray) list = lares_refusals_list();
    gint64 now = g_get_real_time() / G_USEC_PER_SEC;
    guint told = 0;
    for (guint i = list->len; i-- > 0;) {
        const LaresRefusal *r = &g_array_index(list, LaresRefusal, i);
        if (now - r->last > LATELY)
            continue;
        tell(doctor, r, now);
        told++;
    }
    if (told == 0)
        lares_doctor_find(doctor, "none", LARES_FINDING_OK, NULL, "No client was refused in the last day.");
}

const LaresCheck lares_doctor_client_checks[] = {{"clients", "what clients were refused for", NULL, NULL, check},
                                                 {NULL}};
