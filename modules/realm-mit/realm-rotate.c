/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The life of the service keys: made whole at every start, rotated on a schedule or on demand, cleaned of
 * what no ticket needs any more. What touches the database runs in a thread of its own, one job at a time.
 *
 *   stage (keytab has the new keys) -> grace, in which every user of the keytab rereads it -> commit (the KDC uses
 *   them) -> purge, hourly, of keys older than every living ticket
 *
 * Thread: main thread, except job_run(); realm_module_rotate() may be a slow verb's.
 * Locks: job_lock is held while a job runs.
 */
#include "realm-module.h"

#include <lares/metrics.h>

#define HOUR 3600

typedef struct {
    RealmConf *conf;
    RealmPrograms programs;
    gboolean stage;  /* begin a rotation */
    gboolean commit; /* end one */
    guint committed, purged;
} Job;

static GMutex job_lock;
static gboolean job_stop; /* under job_lock: the server ends, begin nothing */

static void job_start(RealmModule *self, gboolean stage, gboolean commit);

static void
job_free(gpointer data)
{
    Job *job = data;

    realm_conf_free(job->conf);
    g_free(job);
}

static gboolean
job_steps(Job *job, GError **error)
{
    return realm_prepare(job->conf, &job->programs, error) && realm_service_sync(job->conf, &job->programs, error) &&
           (!job->commit || realm_service_commit(job->conf, &job->programs, &job->committed, error)) &&
           realm_service_purge(job->conf, &job->programs, 0, &job->purged, error) &&
           (!job->stage || realm_service_stage(job->conf, &job->programs, error)) &&
           realm_backup(job->conf, &job->programs, error);
}

/* Another thread. */
static void
job_run(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    Job *job = data;
    GError *error = NULL;
    gboolean good;

    g_mutex_lock(&job_lock);
    good = job_stop || job_steps(job, &error);
    g_mutex_unlock(&job_lock);
    if (good)
        g_task_return_boolean(task, TRUE);
    else
        g_task_return_error(task, error);
}

static guint
grace(RealmModule *self)
{
    return (guint)lares_settings_integer(self->settings, "rotate-grace");
}

static gboolean
commit_now(gpointer user_data)
{
    RealmModule *self = user_data;

    self->commit = 0;
    job_start(self, FALSE, TRUE);
    return G_SOURCE_REMOVE;
}

static void
job_done(GObject *source, GAsyncResult *result, gpointer user_data)
{
    RealmModule *self = user_data;
    Job *job = g_task_get_task_data(G_TASK(result));
    g_autoptr(GError) error = NULL;

    self->busy = FALSE;
    self->committing = FALSE;
    if (!g_task_propagate_boolean(G_TASK(result), &error))
        lares_warning(REALM_ROOM, "the realm's keys could not be brought up to date: %s", error->message);
    if (!self->conf)
        return;
    if (job->committed > 0) {
        lares_info(REALM_ROOM, "rotation: %u new service keys in use; the old ones stay until the last ticket ends",
                   job->committed);
        self->conf->rotated = g_get_real_time() / G_USEC_PER_SEC;
        g_clear_error(&error);
        if (!realm_conf_save(self->conf, &error))
            lares_warning(REALM_ROOM, "%s", error->message);
    }
    if (job->purged > 0)
        lares_info(REALM_ROOM, "rotation: %u service keys that no ticket needs any more are gone", job->purged);
    if (job->stage && self->commit == 0)
        self->commit = g_timeout_add_seconds(grace(self), commit_now, self);
    if (self->again) {
        self->again = FALSE;
        job_start(self, FALSE, FALSE);
    }
}

static void
job_start(RealmModule *self, gboolean stage, gboolean commit)
{
    g_autoptr(GTask) task = NULL;
    Job *job;

    if (self->busy || self->staging) {
        /* What was staged waits in the keytab; only a commit must be asked for again. */
        if (commit && self->commit == 0)
            self->commit = g_timeout_add_seconds(1, commit_now, self);
        else
            self->again = TRUE;
        return;
    }
    job = g_new0(Job, 1);
    job->conf = realm_conf_copy(self->conf);
    job->programs = self->programs;
    job->stage = stage;
    job->commit = commit;
    self->busy = TRUE;
    self->committing = commit;
    task = g_task_new(NULL, NULL, job_done, self);
    g_task_set_task_data(task, job, job_free);
    g_task_run_in_thread(task, job_run);
}

/* When the keys are due for a rotation, wall clock in seconds; 0: never. */
static gint64
due(RealmModule *self)
{
    gint64 every = lares_settings_integer(self->settings, "rotate-every");

    return every > 0 ? self->conf->rotated + every : 0;
}

static gboolean
hourly(gpointer user_data)
{
    RealmModule *self = user_data;
    gint64 when = due(self);

    job_start(self, when > 0 && g_get_real_time() / G_USEC_PER_SEC >= when && self->commit == 0, FALSE);
    return G_SOURCE_CONTINUE;
}

/* No job of the main thread's begins meanwhile: one that commits would do so without the grace. */
static gboolean
stage_now(RealmModule *self, GError **error)
{
    g_autoptr(RealmConf) conf = realm_conf_copy(self->conf);
    RealmPrograms programs = self->programs;
    gboolean good;

    self->staging = TRUE;
    lares_control_wait_begin();
    good = realm_service_stage(conf, &programs, error);
    lares_control_wait_end();
    self->staging = FALSE;
    if (good && !self->conf) {
        g_set_error_literal(error, REALM_ERROR, REALM_ERROR_NOT_FOUND, "the realm went meanwhile");
        return FALSE;
    }
    if (self->conf && self->again && !self->busy) {
        self->again = FALSE;
        job_start(self, FALSE, FALSE);
    }
    return good;
}

gboolean
realm_module_rotate(RealmModule *self, guint *seconds, GError **error)
{
    *seconds = grace(self);
    /* Keys staged now could be committed by it without their grace. */
    if (self->committing) {
        g_set_error_literal(error, REALM_ERROR, REALM_ERROR_BUSY, "a rotation is just ending; try again in a moment");
        return FALSE;
    }
    if (!stage_now(self, error))
        return FALSE;
    /* A second step that was due already now waits for the keys of this first one. */
    if (self->commit)
        g_source_remove(self->commit);
    self->commit = g_timeout_add_seconds(*seconds, commit_now, self);
    return TRUE;
}

void
realm_rotate_begin(RealmModule *self)
{
    self->tick = g_timeout_add_seconds(HOUR, hourly, self);
    /* Everybody who reads the keytab has just started, so what a crash left staged can be used now. */
    job_start(self, FALSE, TRUE);
}

void
realm_rotate_end(RealmModule *self)
{
    if (self->tick)
        g_source_remove(self->tick);
    if (self->commit)
        g_source_remove(self->commit);
    self->tick = self->commit = 0;
    self->again = FALSE;
}

/* Nothing is written under the state directory once this returned. */
void
realm_rotate_allow(gboolean allow)
{
    g_mutex_lock(&job_lock);
    job_stop = !allow;
    g_mutex_unlock(&job_lock);
}

/* ---- What is counted: for /metrics ---- */

static const LaresMetric rotation = {"lares_realm_rotation_timestamp_seconds",
                                     LARES_METRIC_GAUGE,
                                     FALSE,
                                     "When the service keys of the own realm are due for a rotation.",
                                     {NULL}};
static const LaresMetric *const metrics[] = {&rotation, NULL};

static void
collect(LaresSamples *samples, gpointer user)
{
    RealmModule *self = user;
    gint64 when = self->conf ? due(self) : 0;

    if (when > 0)
        lares_samples_add(samples, &rotation, NULL, (double)when);
}

gboolean
realm_rotate_add_metrics(RealmModule *self, GError **error)
{
    return lares_metrics_collect(metrics, collect, self, error);
}
