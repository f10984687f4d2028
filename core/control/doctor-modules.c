/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The area "modules": which parts of the server are there and work.
 *
 * Thread: prepare in the main one, the check in its own. */
#include "control/doctor.h"

#include "module/host-private.h"

typedef struct {
    char *name, *reason, *file, *config;
    LaresModuleState state;
} Seen;

static void
seen_free(gpointer data)
{
    Seen *seen = data;
    g_free(seen->name);
    g_free(seen->reason);
    g_free(seen->file);
    g_free(seen->config);
    g_free(seen);
}

static gpointer
prepare(LaresHost *host, gpointer user)
{
    GPtrArray *all = g_ptr_array_new_with_free_func(seen_free);
    for (guint i = 0; i < host->modules->len; i++) {
        const LaresHostModule *m = host->modules->pdata[i];
        Seen *seen = g_new0(Seen, 1);
        *seen = (Seen){g_strdup(m->name), g_strdup(m->reason), g_strdup(m->file), g_strdup(m->config), m->state};
        g_ptr_array_add(all, seen);
    }
    return all;
}

static gboolean
is_loaded(GPtrArray *all, const char *name)
{
    for (guint i = 0; i < all->len; i++) {
        const Seen *seen = all->pdata[i];
        if (g_str_equal(seen->name, name))
            return seen->state == LARES_MODULE_LOADED;
    }
    return FALSE;
}

static void
tell_about(LaresDoctor *doctor, const Seen *seen)
{
    g_autofree char *check = g_strdup_printf("laresd --check-module %s", seen->file ? seen->file : seen->name);
    g_autofree char *off = g_strdup_printf("laresctl module disable %s", seen->name);
    g_autofree char *show = g_strdup_printf("laresctl module show %s", seen->name);
    if (seen->state == LARES_MODULE_FAILED)
        lares_doctor_find(doctor, "failed", LARES_FINDING_ERROR, check, "The module %s cannot be used: %s.", seen->name,
                          seen->reason ? seen->reason : "no reason given");
    else if (seen->state == LARES_MODULE_MISSING)
        lares_doctor_find(doctor, "missing", LARES_FINDING_WARNING, off,
                          "A module is configured that is not installed: %s. Install it, or switch it off.",
                          seen->reason ? seen->reason : seen->name);
    else if (seen->state == LARES_MODULE_LOADED && seen->reason)
        lares_doctor_find(doctor, "reload", LARES_FINDING_WARNING, show,
                          "The module %s refused its new settings and works with the old ones: %s.", seen->name,
                          seen->reason);
}

static void
check(LaresDoctor *doctor, gpointer material)
{
    GPtrArray *all = material;
    guint loaded = 0;
    for (guint i = 0; i < all->len; i++) {
        const Seen *seen = all->pdata[i];
        loaded += seen->state == LARES_MODULE_LOADED;
        tell_about(doctor, seen);
    }
    if (loaded == 0)
        lares_doctor_find(doctor, "none", LARES_FINDING_ERROR, "laresctl module list",
                          "No module is loaded: the server serves nothing.");
    else
        lares_doctor_find(doctor, "loaded", LARES_FINDING_OK, NULL, "%u modules are loaded.", loaded);
    if (!is_loaded(all, "auth-krb5"))
        lares_doctor_find(doctor, "kerberos", LARES_FINDING_NOTE, "laresctl module enable auth-krb5",
                          "Kerberos is not offered: the module auth-krb5 is not loaded. Shares for a trusted network "
                          "(sys) do not need it.");
}

static void
release(gpointer material)
{
    g_ptr_array_unref(material);
}

const LaresCheck lares_doctor_module_checks[] = {{"modules", "the parts of the server", prepare, release, check},
                                                 {NULL}};
