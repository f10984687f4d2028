/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs checks: doctor begins, doctor.show tells. A check waits for name servers and KDCs, and what it asks of
 * this very server may need the main loop, so it runs in a thread; one that does not come back in time is left behind,
 * and no new run begins before it has.
 *
 * Thread: main, and one thread per check.
 * Locks: a LaresDoctor's, for its findings; the room's, for the number of threads. Neither is held while anything is
 * called. */
#include "control/control-private.h"
#include "base/thread.h"
#include "control/doctor.h"

#include <lares/host.h>
#include <lares/log.h>
#include <stdarg.h>
#include <string.h>

#define STOP_SECONDS 5
#define MAX_FINDINGS 1000

typedef struct {
    const LaresCheck *check;
    gpointer user;
} Entry;

typedef struct {
    const LaresSelfLogin *login;
    gpointer user;
} Way;

typedef struct {
    char *id, *remedy, *text;
    LaresSeverity severity;
} Finding;

/* Shared by the run and the check's thread; the last of the two frees it. */
struct _LaresDoctor {
    gatomicrefcount refs;
    LaresDoctorRoom *room;
    const LaresCheck *check;
    gpointer material;
    gint64 deadline; /* monotonic microseconds */
    GMutex lock;
    gboolean closed;     /* came too late: findings are not taken any more */
    GPtrArray *findings; /* of Finding */
};

struct _LaresDoctorRoom {
    LaresControl *control;
    GPtrArray *entries; /* of Entry, in order of registration */
    GArray *ways;       /* of Way */
    /* The run */
    GPtrArray *steps; /* of LaresDoctor; NULL before the first run */
    guint at;         /* the step that runs; steps->len when all is done */
    gint64 began, ended;
    guint timer;
    /* Threads */
    gint stopping; /* atomic */
    GMutex lock;
    GCond ended_one;
    guint threads;
    GQueue returned; /* of LaresDoctor, for the main thread */
};

static const char *const severities[] = {"ok", "note", "warning", "error"};

static void next_step(LaresDoctorRoom *room);

/* ---- One check ------------------------------------------------------------------------------------------------- */

static void
finding_free(gpointer data)
{
    Finding *f = data;
    g_free(f->id);
    g_free(f->remedy);
    g_free(f->text);
    g_free(f);
}

static void
doctor_unref(gpointer data)
{
    LaresDoctor *doctor = data;
    if (!g_atomic_ref_count_dec(&doctor->refs))
        return;
    g_ptr_array_unref(doctor->findings);
    g_mutex_clear(&doctor->lock);
    g_free(doctor);
}

static void
take_finding(LaresDoctor *doctor, gboolean close, Finding *finding)
{
    g_mutex_lock(&doctor->lock);
    gboolean take = !doctor->closed && (close || doctor->findings->len < MAX_FINDINGS);
    doctor->closed = doctor->closed || close;
    if (take)
        g_ptr_array_add(doctor->findings, finding);
    g_mutex_unlock(&doctor->lock);
    if (!take)
        finding_free(finding);
}

void
lares_doctor_find(LaresDoctor *doctor, const char *word, LaresSeverity severity, const char *remedy, const char *format,
                  ...)
{
    Finding *finding = g_new0(Finding, 1);
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    /* Names come from clients, paths from file systems: neither has to be UTF-8. */
    finding->text = g_utf8_make_valid(text, -1);
    finding->id = g_strconcat(doctor->check->area, ".", word, NULL);
    finding->severity = severity;
    finding->remedy = remedy ? g_utf8_make_valid(remedy, -1) : NULL;
    take_finding(doctor, FALSE, finding);
}

guint
lares_doctor_left(LaresDoctor *doctor)
{
    gint64 left = doctor->deadline - g_get_monotonic_time();
    return left > 0 && !g_atomic_int_get(&doctor->room->stopping) ? (guint)(left / 1000) : 0;
}

/* ---- Threads --------------------------------------------------------------------------------------------------- */

static void
give_back(LaresDoctor *doctor)
{
    if (doctor->check->release && doctor->material)
        doctor->check->release(doctor->material);
    doctor->material = NULL;
}

/* Main thread: checks came back, in time or not. */
static gboolean
came_back(gpointer data)
{
    LaresDoctorRoom *room = data;
    for (;;) {
        g_mutex_lock(&room->lock);
        LaresDoctor *doctor = g_queue_pop_head(&room->returned);
        g_mutex_unlock(&room->lock);
        if (!doctor)
            return G_SOURCE_REMOVE;
        gboolean late = doctor->closed;
        give_back(doctor);
        doctor_unref(doctor);
        if (!late) {
            room->at++;
            next_step(room);
        }
    }
}

static gpointer
run_check(gpointer data)
{
    LaresDoctor *doctor = data;
    LaresDoctorRoom *room = doctor->room;
    doctor->check->check(doctor, doctor->material);
    g_mutex_lock(&room->lock);
    g_queue_push_tail(&room->returned, doctor);
    room->threads--;
    if (!g_atomic_int_get(&room->stopping))
        g_idle_add(came_back, room);
    g_cond_signal(&room->ended_one);
    g_mutex_unlock(&room->lock);
    return NULL;
}

static gboolean
too_late(gpointer data)
{
    LaresDoctorRoom *room = data;
    LaresDoctor *doctor = room->steps->pdata[room->at];
    Finding *finding = g_new0(Finding, 1);
    room->timer = 0;
    finding->id = g_strconcat(doctor->check->area, ".time", NULL);
    finding->severity = LARES_FINDING_WARNING;
    finding->text = g_strdup_printf("Looking at this area (%s) took longer than %d seconds and was given up: a name "
                                    "server, a KDC or a disk does not answer.",
                                    doctor->check->title, LARES_DOCTOR_SECONDS);
    take_finding(doctor, TRUE, finding);
    room->at++;
    next_step(room);
    return G_SOURCE_REMOVE;
}

static void
next_step(LaresDoctorRoom *room)
{
    if (room->timer)
        g_source_remove(room->timer);
    room->timer = 0;
    if (g_atomic_int_get(&room->stopping))
        return;
    if (room->at == room->steps->len) {
        room->ended = g_get_real_time() / G_USEC_PER_SEC;
        return;
    }
    LaresDoctor *doctor = room->steps->pdata[room->at];
    doctor->deadline = g_get_monotonic_time() + LARES_DOCTOR_SECONDS * G_USEC_PER_SEC;
    room->timer = g_timeout_add_seconds(LARES_DOCTOR_SECONDS + 1, too_late, room);
    g_mutex_lock(&room->lock);
    room->threads++;
    g_mutex_unlock(&room->lock);
    g_atomic_ref_count_inc(&doctor->refs);
    g_thread_unref(lares_thread_new("doctor", run_check, doctor, NULL));
}

/* ---- doctor ---------------------------------------------------------------------------------------------- */

static gboolean
is_wanted(const char *area, const char *const *only)
{
    return !only || !*only || g_strv_contains(only, area);
}

/* All areas that were asked for must be there. */
static gboolean
check_areas(LaresDoctorRoom *room, const char *const *only, GError **error)
{
    g_autoptr(GString) known = g_string_new(NULL);
    for (guint i = 0; i < room->entries->len; i++)
        g_string_append_printf(known, "%s%s", i ? ", " : "", ((Entry *)room->entries->pdata[i])->check->area);
    for (; only && *only; only++) {
        gboolean found = FALSE;
        for (guint i = 0; i < room->entries->len; i++)
            found = found || g_str_equal(((Entry *)room->entries->pdata[i])->check->area, *only);
        if (found)
            continue;
        g_set_error(error, LARES_ERROR, LARES_ERROR_INVALID, "there is no area \"%s\" to look at; there are %s", *only,
                    known->str);
        return FALSE;
    }
    return TRUE;
}

static gboolean
may_begin(LaresDoctorRoom *room, GError **error)
{
    g_mutex_lock(&room->lock);
    guint threads = room->threads;
    g_mutex_unlock(&room->lock);
    if (threads == 0 && (!room->steps || room->at == room->steps->len))
        return TRUE;
    g_set_error_literal(error, LARES_ERROR, LARES_ERROR_CONFLICT,
                        room->at < room->steps->len
                            ? "the doctor is at work already: doctor.show tells how far"
                            : "a check of the run before has not come back yet: try again in a minute");
    return FALSE;
}

static void
prepare(LaresDoctorRoom *room, const char *const *only)
{
    g_clear_pointer(&room->steps, g_ptr_array_unref);
    room->steps = g_ptr_array_new_with_free_func(doctor_unref);
    room->at = 0;
    room->began = g_get_real_time() / G_USEC_PER_SEC;
    room->ended = 0;
    for (guint i = 0; i < room->entries->len; i++) {
        Entry *entry = room->entries->pdata[i];
        if (!is_wanted(entry->check->area, only))
            continue;
        LaresDoctor *doctor = g_new0(LaresDoctor, 1);
        g_atomic_ref_count_init(&doctor->refs);
        g_mutex_init(&doctor->lock);
        doctor->room = room;
        doctor->check = entry->check;
        doctor->findings = g_ptr_array_new_with_free_func(finding_free);
        if (entry->check->prepare)
            doctor->material = entry->check->prepare(room->control->host, entry->user);
        g_ptr_array_add(room->steps, doctor);
    }
}

static GVariant *describe(LaresDoctorRoom *room);

static GVariant *
do_start(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    LaresDoctorRoom *room = user;
    g_autofree const char **only = NULL;
    g_variant_lookup(args, "only", "^a&s", &only);
    if (!check_areas(room, only, error) || !may_begin(room, error))
        return NULL;
    prepare(room, only);
    next_step(room);
    return describe(room);
}

/* ---- doctor.show ----------------------------------------------------------------------------------------------- */

static GVariant *
finding_variant(const Finding *f, const char *area)
{
    GVariantDict d;
    g_variant_dict_init(&d, NULL);
    g_variant_dict_insert(&d, "area", "s", area);
    g_variant_dict_insert(&d, "id", "s", f->id);
    g_variant_dict_insert(&d, "severity", "s", severities[f->severity]);
    g_variant_dict_insert(&d, "text", "s", f->text);
    if (f->remedy)
        g_variant_dict_insert(&d, "remedy", "s", f->remedy);
    return g_variant_dict_end(&d);
}

static void
add_findings(GVariantDict *answer, LaresDoctorRoom *room)
{
    static const char *const counters[] = {"good", "notes", "warnings-found", "errors"};
    guint count[G_N_ELEMENTS(severities)] = {0};
    GVariantBuilder list;
    g_variant_builder_init(&list, G_VARIANT_TYPE("aa{sv}"));
    for (guint i = 0; room->steps && i < room->steps->len && i <= room->at; i++) {
        LaresDoctor *doctor = room->steps->pdata[i];
        g_mutex_lock(&doctor->lock);
        for (guint j = 0; j < doctor->findings->len; j++) {
            const Finding *f = doctor->findings->pdata[j];
            count[f->severity]++;
            g_variant_builder_add_value(&list, finding_variant(f, doctor->check->area));
        }
        g_mutex_unlock(&doctor->lock);
    }
    for (guint i = 0; i < G_N_ELEMENTS(counters); i++)
        g_variant_dict_insert(answer, counters[i], "x", (gint64)count[i]);
    g_variant_dict_insert_value(answer, "findings", g_variant_builder_end(&list));
}

static GVariant *
describe(LaresDoctorRoom *room)
{
    gboolean running = room->steps && room->at < room->steps->len;
    GVariantDict answer;
    g_variant_dict_init(&answer, NULL);
    g_variant_dict_insert(&answer, "state", "s", running ? "running" : room->steps ? "done" : "never");
    if (room->steps)
        g_variant_dict_insert(&answer, "began", "x", room->began);
    if (room->steps && !running)
        g_variant_dict_insert(&answer, "ended", "x", room->ended);
    if (running)
        g_variant_dict_insert(&answer, "looking-at", "s", ((LaresDoctor *)room->steps->pdata[room->at])->check->title);
    add_findings(&answer, room);
    return g_variant_dict_end(&answer);
}

static GVariant *
do_show(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    return describe(user);
}

static const LaresParam start_params[] = {
    {"only", "as", FALSE, "areas to look at (names, state, modules, ports, shares, kerberos …); all when left out"},
    {NULL}};

static const LaresVerb verbs[] = {
    {"doctor", LARES_RIGHT_OPERATE, "Looks for what is wrong; doctor.show tells what was found.", start_params,
     do_start},
    {"doctor.show", LARES_RIGHT_READ, "What the doctor found, or how far it is.", NULL, do_show},
    {NULL}};

/* ---- The room -------------------------------------------------------------------------------------------------- */

gboolean
lares_doctor_add(LaresControl *control, const LaresCheck *checks, gpointer user, GError **error)
{
    LaresDoctorRoom *room = control->doctor;
    /* A control of verbs alone, as some tests have. */
    for (const LaresCheck *c = checks; room && c->area; c++) {
        for (guint i = 0; i < room->entries->len; i++) {
            if (!g_str_equal(((Entry *)room->entries->pdata[i])->check->area, c->area))
                continue;
            g_set_error(error, LARES_ERROR, LARES_ERROR_EXISTS, "the doctor has checks of the area %s already",
                        c->area);
            return FALSE;
        }
        if (!c->check || !c->title) {
            g_set_error(error, LARES_ERROR, LARES_ERROR_MODULE, "the check of the area %s is incomplete", c->area);
            return FALSE;
        }
        Entry *entry = g_new(Entry, 1);
        *entry = (Entry){c, user};
        g_ptr_array_add(room->entries, entry);
    }
    return TRUE;
}

void
lares_doctor_add_login(LaresControl *control, const LaresSelfLogin *login, gpointer user)
{
    Way way = {login, user};
    if (control->doctor)
        g_array_append_val(control->doctor->ways, way);
}

GArray *
lares_doctor_places(LaresHost *host)
{
    LaresDoctorRoom *room = lares_host_control(host)->doctor;
    GArray *places = g_array_new(FALSE, TRUE, sizeof(LaresSelfPlace));
    for (guint i = 0; i < room->ways->len; i++) {
        const Way *way = &g_array_index(room->ways, Way, i);
        LaresSelfPlace place = {.login = way->login, .user = way->user};
        place.listens = way->login->where(host, way->user, &place.address);
        gboolean any6 = g_str_equal(place.address.address, "::"), any4 = g_str_equal(place.address.address, "0.0.0.0");
        place.everywhere = any6 || any4;
        if (place.everywhere)
            g_strlcpy(place.address.address, any6 ? "::1" : "127.0.0.1", sizeof place.address.address);
        g_array_append_val(places, place);
    }
    return places;
}

gboolean
lares_control_open_doctor(LaresControl *control, GError **error)
{
    LaresDoctorRoom *room = g_new0(LaresDoctorRoom, 1);
    room->control = control;
    room->entries = g_ptr_array_new_with_free_func(g_free);
    room->ways = g_array_new(FALSE, FALSE, sizeof(Way));
    g_mutex_init(&room->lock);
    g_cond_init(&room->ended_one);
    control->doctor = room;
    return lares_control_add(control, verbs, room, error) &&
           lares_doctor_add(control, lares_doctor_module_checks, NULL, error) &&
           lares_doctor_add(control, lares_doctor_port_checks, NULL, error) &&
           lares_doctor_add(control, lares_doctor_client_checks, NULL, error);
}

void
lares_control_stop_doctor(LaresControl *control)
{
    LaresDoctorRoom *room = control->doctor;
    gint64 end = g_get_monotonic_time() + STOP_SECONDS * G_USEC_PER_SEC;
    if (!room)
        return;
    g_atomic_int_set(&room->stopping, TRUE);
    if (room->timer)
        g_source_remove(room->timer);
    room->timer = 0;
    g_mutex_lock(&room->lock);
    while (room->threads > 0 && g_cond_wait_until(&room->ended_one, &room->lock, end))
        ;
    gboolean left = room->threads > 0;
    g_mutex_unlock(&room->lock);
    if (left)
        lares_warning("doctor", "a check does not come back; it is left to the end of the process");
    while (g_source_remove_by_user_data(room))
        ;
    came_back(room);
    for (guint i = 0; !left && room->steps && i < room->steps->len; i++)
        give_back(room->steps->pdata[i]);
}

void
lares_doctor_room_free(LaresDoctorRoom *room)
{
    if (!room || room->threads > 0) /* a thread that never came back still looks at it */
        return;
    g_clear_pointer(&room->steps, g_ptr_array_unref);
    g_ptr_array_unref(room->entries);
    g_array_unref(room->ways);
    g_mutex_clear(&room->lock);
    g_cond_clear(&room->ended_one);
    g_free(room);
}
