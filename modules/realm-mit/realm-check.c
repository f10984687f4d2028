/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The doctor's area "realm": whether the KDC and kadmind run, and how old keys and copies are.
 *
 * Thread: prepare in the main one, the check in its own.
 */
#include "realm-module.h"

#include <sys/stat.h>

/* A copy is renewed within the hour after a change. */
#define COPY_SECONDS (3 * 3600)
/* A rotation may be a day late before it is worth a word. */
#define LATE_SECONDS (24 * 3600)

typedef struct {
    RealmConf *conf; /* NULL: there is no realm */
    char *problem;
    JsonArray *daemons; /* NULL: none are supervised */
    gboolean ready, supervised;
    gint64 rotate_every;
} Material;

static gpointer
prepare(LaresHost *host, gpointer user)
{
    RealmModule *self = user;
    Material *m = g_new0(Material, 1);

    if (self->conf)
        m->conf = realm_conf_copy(self->conf);
    m->problem = g_strdup(self->problem);
    m->supervised = lares_settings_boolean(self->settings, "supervise");
    m->rotate_every = lares_settings_integer(self->settings, "rotate-every");
    if (self->supervisor) {
        m->daemons = realm_supervisor_status(self->supervisor);
        m->ready = realm_supervisor_is_ready(self->supervisor);
    }
    return m;
}

static void
release(gpointer material)
{
    Material *m = material;

    realm_conf_free(m->conf);
    g_free(m->problem);
    g_clear_pointer(&m->daemons, json_array_unref);
    g_free(m);
}

static void
check_daemons(LaresDoctor *doctor, const Material *m)
{
    for (guint i = 0; m->daemons && i < json_array_get_length(m->daemons); i++) {
        JsonObject *one = json_array_get_object_element(m->daemons, i);
        const char *program = json_object_get_string_member_with_default(one, "program", "?");
        const char *why = json_object_get_string_member_with_default(one, "last-error", NULL);
        gint64 restarts = json_object_get_int_member_with_default(one, "restarts", 0);

        if (restarts > 0)
            lares_doctor_find(doctor, "restarts", LARES_FINDING_WARNING, "journalctl -u laresd | grep realm",
                              "%s of the realm %s had to be started again %" G_GINT64_FORMAT " times%s%s.", program,
                              m->conf->name, restarts, why ? ": " : "", why ? why : "");
    }
    if (m->problem)
        lares_doctor_find(doctor, "daemons", LARES_FINDING_ERROR, "laresctl reload  # after what is named is mended",
                          "The KDC of %s does not run, and nobody gets a ticket: %s.", m->conf->name, m->problem);
    else if (m->supervised && !m->ready)
        lares_doctor_find(doctor, "daemons", LARES_FINDING_ERROR, "laresctl realm status",
                          "The KDC or kadmind of %s is not ready.", m->conf->name);
    else if (m->supervised)
        lares_doctor_find(doctor, "daemons", LARES_FINDING_OK, NULL, "The KDC and kadmind of %s run.", m->conf->name);
}

static void
check_age(LaresDoctor *doctor, const Material *m)
{
    g_autofree char *database = realm_conf_path(m->conf, "principal"), *copy = realm_conf_path(m->conf, "backup.dump");
    gint64 age = g_get_real_time() / G_USEC_PER_SEC - m->conf->rotated;
    struct stat now, then;

    if (m->rotate_every > 0 && age > m->rotate_every + LATE_SECONDS)
        lares_doctor_find(doctor, "rotation", LARES_FINDING_WARNING, "laresctl realm rotate",
                          "The server's keys are %" G_GINT64_FORMAT
                          " days old, and were to be replaced every %" G_GINT64_FORMAT " days.",
                          age / 86400, m->rotate_every / 86400);
    if (stat(database, &now) != 0)
        lares_doctor_find(doctor, "database", LARES_FINDING_ERROR, "laresctl realm status",
                          "The realm's database %s is not there.", database);
    else if (stat(copy, &then) != 0 || now.st_mtime - then.st_mtime > COPY_SECONDS)
        lares_doctor_find(doctor, "copy", LARES_FINDING_WARNING, "systemctl restart laresd",
                          "The copy of the realm's database (%s) is older than the database: is its disk full?", copy);
}

static void
check(LaresDoctor *doctor, gpointer material)
{
    const Material *m = material;

    if (!m->conf) {
        lares_doctor_find(
            doctor, "none", LARES_FINDING_NOTE, "laresctl realm create HOME.LAN",
            "This server has no realm of its own, and needs none as long as another one or none is used.");
        return;
    }
    check_daemons(doctor, m);
    check_age(doctor, m);
}

const LaresCheck realm_checks[] = {{"realm", "the server's own realm", prepare, release, check}, {NULL}};
