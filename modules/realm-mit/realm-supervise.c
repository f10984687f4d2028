/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * krb5kdc and kadmind as children: started with the realm's own environment, their lines taken into
 * our log, restarted with growing pauses when they die, and ended with us whatever happens to us.
 *
 * Thread: that of the default main context, or one that has it stand still meanwhile; but
 * realm_farewell_wait().
 */
#include "realm.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#define BACKOFF_FIRST_MS 250
#define BACKOFF_LAST_MS  30000
/* A child that lived this long was healthy: the next pause starts small again. */
#define HEALTHY_US  (60 * G_USEC_PER_SEC)
#define PATIENCE_US (3 * G_USEC_PER_SEC)
/* Lines of a child that a peer can provoke: so many per minute come through as warnings. */
#define WARNINGS_PER_MINUTE 20

typedef struct {
    RealmSupervisor *owner;
    const char *program; /* krb5kdc, kadmind */
    const char *path;
    const char *const *options;
    const char *ready_line;
    struct Run *run; /* NULL while not running */
    gboolean ready;
    gint64 since; /* wall clock, seconds */
    gint64 started;
    guint restarts;
    guint backoff_ms;
    guint timer;
    char *last_error;
    gint64 minute;
    guint warnings;
} Child;

/* One life of a child; outlives it and the supervisor until its last callback came. */
typedef struct Run {
    Child *child; /* NULL once nobody is interested any more */
    GSubprocess *process;
    GDataInputStream *lines;
    guint refs;
} Run;

struct RealmSupervisor {
    RealmConf *conf;
    RealmLogFunc log;
    gpointer log_data;
    Child children[2];
    gboolean running;
};

static void child_schedule(Child *child);

static void
run_unref(Run *run)
{
    if (--run->refs > 0)
        return;
    g_clear_object(&run->process);
    g_clear_object(&run->lines);
    g_free(run);
}

static void child_log(Child *child, GLogLevelFlags level, const char *format, ...) G_GNUC_PRINTF(3, 4);

static void
child_log(Child *child, GLogLevelFlags level, const char *format, ...)
{
    g_autofree char *line = NULL;
    va_list args;

    va_start(args, format);
    line = g_strdup_vprintf(format, args);
    va_end(args);
    child->owner->log(level, child->program, line, child->owner->log_data);
}

static void
child_set_error(Child *child, const char *message)
{
    g_free(child->last_error);
    child->last_error = g_strdup(message);
}

/* "Nov 22 14:04:34 box krb5kdc[7520](info): setting up network..." */
static void
take_line(Child *child, char *line)
{
    char *level = strstr(line, "](");
    char *text = level ? strstr(level, "): ") : NULL;
    gboolean bad =
        level && (g_ascii_strncasecmp(level, "](err", 5) == 0 || g_ascii_strncasecmp(level, "](warn", 6) == 0 ||
                  g_ascii_strncasecmp(level, "](crit", 6) == 0);
    gint64 minute = g_get_monotonic_time() / (60 * G_USEC_PER_SEC);

    text = text ? text + 3 : line;
    if (strcmp(text, child->ready_line) == 0 && !child->ready) {
        child->ready = TRUE;
        child_log(child, G_LOG_LEVEL_INFO, "ready (pid %s)", g_subprocess_get_identifier(child->run->process));
    }
    if (bad)
        child_set_error(child, text);
    if (minute != child->minute) {
        child->minute = minute;
        child->warnings = 0;
    }
    bad = bad && child->warnings++ < WARNINGS_PER_MINUTE;
    child_log(child, bad ? G_LOG_LEVEL_WARNING : G_LOG_LEVEL_DEBUG, "%s", text);
}

static void
line_came(GObject *source, GAsyncResult *result, gpointer user_data)
{
    Run *run = user_data;
    g_autofree char *line = g_data_input_stream_read_line_finish(G_DATA_INPUT_STREAM(source), result, NULL, NULL);

    if (!line) {
        run_unref(run);
        return;
    }
    if (run->child)
        take_line(run->child, line);
    g_data_input_stream_read_line_async(run->lines, G_PRIORITY_DEFAULT, NULL, line_came, run);
}

static void
child_ended(GObject *source, GAsyncResult *result, gpointer user_data)
{
    Run *run = user_data;
    Child *child = run->child;
    g_autofree char *how = NULL;

    g_subprocess_wait_finish(G_SUBPROCESS(source), result, NULL);
    if (child) {
        if (g_subprocess_get_if_signaled(run->process))
            how = g_strdup_printf("ended by signal %d", g_subprocess_get_term_sig(run->process));
        else
            how = g_strdup_printf("ended with status %d", g_subprocess_get_exit_status(run->process));
        if (g_get_monotonic_time() - child->started > HEALTHY_US)
            child->backoff_ms = BACKOFF_FIRST_MS;
        child_log(child, G_LOG_LEVEL_WARNING, "%s; starting it again in %.2f s", how, child->backoff_ms / 1000.0);
        if (!child->last_error || child->ready)
            child_set_error(child, how);
        child->ready = FALSE;
        child->run = NULL;
        run->child = NULL;
        run_unref(run);
        child_schedule(child);
    }
    run_unref(run);
}

static gboolean
child_start(Child *child, GError **error)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_auto(GStrv) env = realm_conf_environ(child->owner->conf);
    g_autoptr(GError) local = NULL;
    GSubprocess *process;
    Run *run;

    if (!realm_ports_check(child->owner->conf, child->program, error))
        return FALSE;
    g_ptr_array_add(argv, (char *)child->path);
    for (const char *const *p = child->options; *p; p++)
        g_ptr_array_add(argv, (char *)*p);
    g_ptr_array_add(argv, NULL);
    process = realm_start((const char *const *)argv->pdata, env, &local);
    if (!process) {
        g_set_error(error, REALM_ERROR, REALM_ERROR_FAILED, "%s cannot be started: %s", child->path, local->message);
        return FALSE;
    }
    run = g_new0(Run, 1);
    run->refs = 3; /* the child's, the reader's, the waiter's */
    run->child = child;
    run->process = process;
    run->lines = g_data_input_stream_new(g_subprocess_get_stdout_pipe(process));
    child->run = run;
    child->ready = FALSE;
    child->started = g_get_monotonic_time();
    child->since = g_get_real_time() / G_USEC_PER_SEC;
    g_clear_pointer(&child->last_error, g_free);
    g_data_input_stream_read_line_async(run->lines, G_PRIORITY_DEFAULT, NULL, line_came, run);
    g_subprocess_wait_async(process, NULL, child_ended, run);
    return TRUE;
}

static gboolean
child_retry(gpointer user_data)
{
    Child *child = user_data;
    g_autoptr(GError) error = NULL;

    child->timer = 0;
    child->restarts++;
    if (!child_start(child, &error)) {
        child_set_error(child, error->message);
        child_log(child, G_LOG_LEVEL_WARNING, "%s", error->message);
        child_schedule(child);
    }
    return G_SOURCE_REMOVE;
}

static void
child_schedule(Child *child)
{
    child->timer = g_timeout_add(child->backoff_ms, child_retry, child);
    child->backoff_ms = MIN(child->backoff_ms * 2, BACKOFF_LAST_MS);
}

RealmSupervisor *
realm_supervisor_new(const RealmConf *conf, const RealmPrograms *programs, RealmLogFunc log, gpointer user_data)
{
    static const char *const kdc_options[] = {"-n", NULL};
    static const char *const kadmind_options[] = {"-nofork", NULL};
    RealmSupervisor *self = g_new0(RealmSupervisor, 1);

    self->conf = realm_conf_copy(conf);
    self->log = log;
    self->log_data = user_data;
    self->children[0] = (Child){
        .owner = self,
        .program = "krb5kdc",
        .path = realm_program(programs ? programs->krb5kdc : NULL, LARES_KRB5KDC),
        .options = kdc_options,
        .ready_line = "commencing operation",
    };
    self->children[1] = (Child){
        .owner = self,
        .program = "kadmind",
        .path = realm_program(programs ? programs->kadmind : NULL, LARES_KADMIND),
        .options = kadmind_options,
        .ready_line = "starting",
    };
    return self;
}

gboolean
realm_supervisor_start(RealmSupervisor *self, GError **error)
{
    if (self->running)
        return TRUE;
    if (!realm_ports_check(self->conf, NULL, error))
        return FALSE;
    for (gsize i = 0; i < G_N_ELEMENTS(self->children); i++) {
        self->children[i].backoff_ms = BACKOFF_FIRST_MS;
        self->children[i].restarts = 0;
        if (!child_start(&self->children[i], error)) {
            realm_supervisor_stop(self);
            return FALSE;
        }
    }
    self->running = TRUE;
    return TRUE;
}

/* ---- Ending ---------------------------------------------------------------------------------------------------- */

struct RealmFarewell {
    GSubprocess *processes[G_N_ELEMENTS(((RealmSupervisor *)0)->children)];
    guint n, left;
    gboolean patience_over;
};

/* What comes from a child from here on has nobody to come to. */
static RealmFarewell *
let_go(RealmSupervisor *self)
{
    RealmFarewell *farewell = g_new0(RealmFarewell, 1);

    self->running = FALSE;
    for (gsize i = 0; i < G_N_ELEMENTS(self->children); i++) {
        Child *child = &self->children[i];
        if (child->timer)
            g_source_remove(child->timer);
        child->timer = 0;
        child->ready = FALSE;
        if (!child->run)
            continue;
        g_subprocess_send_signal(child->run->process, SIGTERM);
        farewell->processes[farewell->n++] = g_object_ref(child->run->process);
        child->run->child = NULL;
        run_unref(child->run);
        child->run = NULL;
    }
    return farewell;
}

static void
gone(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_subprocess_wait_finish(G_SUBPROCESS(source), result, NULL);
    ((RealmFarewell *)user_data)->left--;
}

static gboolean
patience_over(gpointer user_data)
{
    ((RealmFarewell *)user_data)->patience_over = TRUE;
    return G_SOURCE_REMOVE;
}

/* Waits on a context of its own: nothing else of the daemon runs in this thread meanwhile. */
void
realm_farewell_wait(RealmFarewell *farewell)
{
    g_autoptr(GMainContext) context = g_main_context_new();
    g_autoptr(GSource) timeout = g_timeout_source_new(PATIENCE_US / 1000);

    farewell->left = farewell->n;
    g_source_set_callback(timeout, patience_over, farewell, NULL);
    g_source_attach(timeout, context);
    g_main_context_push_thread_default(context);
    for (guint i = 0; i < farewell->n; i++)
        g_subprocess_wait_async(farewell->processes[i], NULL, gone, farewell);
    while (farewell->left > 0 && !farewell->patience_over)
        g_main_context_iteration(context, TRUE);
    for (guint i = 0; farewell->left > 0 && i < farewell->n; i++)
        g_subprocess_force_exit(farewell->processes[i]);
    while (farewell->left > 0)
        g_main_context_iteration(context, TRUE);
    g_main_context_pop_thread_default(context);
    g_source_destroy(timeout);
    for (guint i = 0; i < farewell->n; i++)
        g_object_unref(farewell->processes[i]);
    g_free(farewell);
}

void
realm_supervisor_stop(RealmSupervisor *self)
{
    realm_farewell_wait(let_go(self));
}

gboolean
realm_supervisor_is_ready(RealmSupervisor *self)
{
    return self->children[0].ready && self->children[1].ready;
}

static JsonArray *
child_ports(Child *child)
{
    const RealmConf *conf = child->owner->conf;
    JsonArray *ports = json_array_new();

    if (strcmp(child->program, "krb5kdc") == 0) {
        json_array_add_int_element(ports, conf->kdc_port);
    } else {
        json_array_add_int_element(ports, conf->kadmin_port);
        json_array_add_int_element(ports, conf->kpasswd_port);
    }
    return ports;
}

JsonArray *
realm_supervisor_status(RealmSupervisor *self)
{
    JsonArray *all = json_array_new();

    for (gsize i = 0; i < G_N_ELEMENTS(self->children); i++) {
        Child *child = &self->children[i];
        JsonObject *one = json_object_new();
        const char *id = child->run ? g_subprocess_get_identifier(child->run->process) : NULL;

        json_object_set_string_member(one, "program", child->program);
        json_object_set_string_member(one, "state",
                                      child->ready   ? "running"
                                      : child->run   ? "starting"
                                      : child->timer ? "waiting"
                                                     : "stopped");
        json_object_set_int_member(one, "pid", id ? (gint64)g_ascii_strtoll(id, NULL, 10) : 0);
        json_object_set_int_member(one, "since", child->run ? child->since : 0);
        json_object_set_int_member(one, "restarts", child->restarts);
        json_object_set_array_member(one, "ports", child_ports(child));
        if (child->last_error)
            json_object_set_string_member(one, "last-error", child->last_error);
        json_array_add_object_element(all, one);
    }
    return all;
}

static void
supervisor_free(RealmSupervisor *self)
{
    for (gsize i = 0; i < G_N_ELEMENTS(self->children); i++)
        g_free(self->children[i].last_error);
    realm_conf_free(self->conf);
    g_free(self);
}

RealmFarewell *
realm_supervisor_dismiss(RealmSupervisor *self)
{
    RealmFarewell *farewell = let_go(self);

    supervisor_free(self);
    return farewell;
}

void
realm_supervisor_free(RealmSupervisor *self)
{
    if (self)
        realm_farewell_wait(realm_supervisor_dismiss(self));
}
