/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See krb5-profile.h. */
#include "krb5-profile.h"

#include <lares/types.h>
#include <sys/stat.h>

#define MACHINE_CONF "/etc/krb5.conf"

static void
put_in_front(const char *path, const char *home_realm)
{
    const char *old = g_getenv("KRB5_CONFIG");
    g_autofree char *rest = NULL, *all = NULL;

    if (old != NULL && g_str_has_prefix(old, path))
        return;
    if (old != NULL && *old != '\0')
        rest = g_strdup(old);
    else if (home_realm != NULL)
        rest = g_strdup_printf("%s:" MACHINE_CONF, home_realm);
    else
        rest = g_strdup(MACHINE_CONF);
    all = g_strdup_printf("%s:%s", path, rest);
    g_setenv("KRB5_CONFIG", all, TRUE);
}

gboolean
krb5_profile_write(const char *folder, const char *home_realm, gint64 clock_skew, GError **error)
{
    g_autofree char *path = g_build_filename(folder, "auth-krb5.conf", NULL);
    g_autofree char *text = g_strdup_printf("# Written by laresd; read before krb5.conf by laresd only.\n"
                                            "[libdefaults]\n"
                                            "    clockskew = %" G_GINT64_FORMAT "\n"
                                            "    allow_weak_crypto = false\n"
                                            "    permitted_enctypes = aes256-cts-hmac-sha1-96 aes128-cts-hmac-sha1-96 "
                                            "aes256-cts-hmac-sha384-192 aes128-cts-hmac-sha256-128\n",
                                            clock_skew);
    g_autofree char *old = NULL;
    g_autoptr(GError) local = NULL;

    /* What is there already is not written again: that would wait for the disk at every start. */
    if ((!g_file_get_contents(path, &old, NULL, NULL) || !g_str_equal(old, text)) &&
        (g_mkdir_with_parents(folder, 0755) != 0 ||
         !g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0644, &local))) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_FAILED,
                    "cannot write %s (%s): make the folder writable for laresd, or set rundir", path,
                    local != NULL ? local->message : "no such folder");
        return FALSE;
    }
    put_in_front(path, home_realm);
    return TRUE;
}
