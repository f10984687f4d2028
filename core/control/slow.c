/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Verbs that wait for another program, without the main thread waiting with them.
 *
 * Such a verb runs in a thread of its own, but it is the main thread's turn or the verb's, never both: while the verb
 * runs, the main thread stands still, as if it ran the verb itself, so a verb's code is the same straight line over
 * the same state either way. Only between lares_control_wait_begin() and lares_control_wait_end() both go on; what
 * waits touches nothing that is not its own, and finds the rest as somebody else may have changed it. One such verb
 * runs at a time, the others queue.
 *
 * Thread: main, but the two that are said. Locks: the job's; nothing else is taken under it. */
#include "control/control-private.h"

#include "base/thread.h"
#include "identity/identity.h"

#include <lares/host.h>
#include <lares/log.h>
#include <string.h>

#define MAX_WAITING  64 /* each is somebody's open request */
#define STOP_SECONDS 10

typedef struct {
    LaresControl *control;
    char *verb;
    GVariant *args;
    LaresControlCaller caller;      /* its own copies */
    LaresControlPage *page, *inner; /* inner: what the control had when the verb began to wait */
    LaresControlDone done;
    gpointer user;
    GThread *thread;
    GMutex lock;
    GCond turned;
    gboolean waited;   /* for others: who asks may have lost what they had */
    gboolean mine;     /* it is the verb's turn */
    gboolean back;     /* it has waited and wants its turn */
    gboolean finished; /* result and error are final */
    GVariant *result;
    GError *error;
} Job;

struct _LaresSlowRoom {
    GHashTable *names;
    GQueue waiting; /* of Job */
    Job *running;
    guint next; /* a source: the next one of the queue */
    gboolean stopping;
};

static _Thread_local Job *own_job; /* NULL in every other thread */

static LaresSlowRoom *
room_of(LaresControl *control)
{
    if (!control->slow) {
        control->slow = g_new0(LaresSlowRoom, 1);
        control->slow->names = g_hash_table_new(g_str_hash, g_str_equal);
        g_queue_init(&control->slow->waiting);
    }
    return control->slow;
}

void
lares_control_mark_slow(LaresControl *control, const char *const *names)
{
    for (; *names; names++)
        g_hash_table_add(room_of(control)->names, (gpointer)*names);
}

gboolean
lares_control_is_slow(LaresControl *control, const char *verb)
{
    return control->slow && g_hash_table_contains(control->slow->names, verb);
}

/* ---- A job ----------------------------------------------------------------------------------------------------- */

static Job *
job_new(LaresControl *control, const LaresControlCaller *caller, const char *verb, GVariant *args,
        LaresControlPage *page)
{
    Job *job = g_new0(Job, 1);
    job->control = control;
    job->verb = g_strdup(verb);
    job->args = g_variant_ref_sink(args ? args : g_variant_new("a{sv}", NULL));
    job->caller = *caller;
    job->caller.face = g_intern_string(caller->face);
    job->caller.subject = g_strdup(caller->subject);
    job->caller.address = g_strdup(caller->address);
    job->caller.token = g_strdup(caller->token);
    if (caller->identity)
        job->caller.identity = lares_identity_ref((LaresIdentity *)caller->identity);
    job->page = page;
    g_mutex_init(&job->lock);
    g_cond_init(&job->turned);
    return job;
}

static void
job_free(Job *job)
{
    g_free(job->verb);
    g_variant_unref(job->args);
    g_free((char *)job->caller.subject);
    g_free((char *)job->caller.address);
    g_free((char *)job->caller.token);
    if (job->caller.identity)
        lares_identity_unref((LaresIdentity *)job->caller.identity);
    g_clear_pointer(&job->result, g_variant_unref);
    g_clear_error(&job->error);
    g_mutex_clear(&job->lock);
    g_cond_clear(&job->turned);
    g_free(job);
}

static void
tell_and_free(Job *job)
{
    job->done(job->result, job->error, job->user);
    job_free(job);
}

/* Rights are those of the moment in which the verb runs, not of the one in which it was asked for. */
static gboolean
may_still(Job *job)
{
    if (!job->waited || lares_control_ask_again(job->control, &job->caller, &job->caller.rights, &job->error))
        return TRUE;
    lares_control_refused(job->control, &job->caller, job->verb, job->args, job->error->message);
    return FALSE;
}

/* The job's thread. It begins with its turn. */
static gpointer
run_job(gpointer data)
{
    Job *job = data;
    own_job = job;
    if (may_still(job))
        job->result = lares_control_call_page(job->control, &job->caller, job->verb, job->args, job->page, &job->error);
    g_mutex_lock(&job->lock);
    job->finished = TRUE;
    job->mine = FALSE;
    g_cond_broadcast(&job->turned);
    g_mutex_unlock(&job->lock);
    return NULL;
}

static void begin_next(LaresSlowRoom *room);

static gboolean
on_next(gpointer data)
{
    LaresSlowRoom *room = data;
    room->next = 0;
    begin_next(room);
    return G_SOURCE_REMOVE;
}

/* The main thread stands still until the verb waits or is done. */
static void
give_turn(LaresSlowRoom *room, Job *job)
{
    LaresControlPage *page = job->control->page;
    g_mutex_lock(&job->lock);
    job->mine = TRUE;
    job->back = FALSE;
    g_cond_broadcast(&job->turned);
    if (!job->thread)
        job->thread = lares_thread_new("verb", run_job, job, NULL);
    while (job->mine)
        g_cond_wait(&job->turned, &job->lock);
    gboolean finished = job->finished;
    g_mutex_unlock(&job->lock);
    job->control->page = page;
    if (!finished)
        return;
    g_thread_join(job->thread);
    room->running = NULL;
    if (room->waiting.length && !room->stopping && !room->next)
        room->next = g_idle_add(on_next, room);
    tell_and_free(job);
}

static void
begin_next(LaresSlowRoom *room)
{
    if (room->running || room->stopping || !(room->running = g_queue_pop_head(&room->waiting)))
        return;
    give_turn(room, room->running);
}

/* Made by the job's thread, for the main one. A job that was told to stop meanwhile is gone. */
static gboolean
on_back(gpointer data)
{
    LaresControl *control = data;
    Job *job = control->slow->running;
    if (!job)
        return G_SOURCE_REMOVE;
    g_mutex_lock(&job->lock);
    gboolean back = job->back;
    g_mutex_unlock(&job->lock);
    if (back)
        give_turn(control->slow, job);
    return G_SOURCE_REMOVE;
}

/* ---- Waiting: in any thread ------------------------------------------------------------------------------------ */

void
lares_control_wait_begin(void)
{
    Job *job = own_job;
    if (!job)
        return;
    g_mutex_lock(&job->lock);
    job->inner = job->control->page;
    job->mine = FALSE;
    g_cond_broadcast(&job->turned);
    g_mutex_unlock(&job->lock);
}

void
lares_control_wait_end(void)
{
    Job *job = own_job;
    if (!job)
        return;
    g_mutex_lock(&job->lock);
    job->back = TRUE;
    g_cond_broadcast(&job->turned);
    g_idle_add_full(G_PRIORITY_DEFAULT, on_back, job->control, NULL);
    while (!job->mine)
        g_cond_wait(&job->turned, &job->lock);
    job->control->page = job->inner;
    g_mutex_unlock(&job->lock);
}

/* ---- Calling --------------------------------------------------------------------------------------------------- */

void
lares_control_call_async(LaresControl *control, const LaresControlCaller *caller, const char *verb, GVariant *args,
                         LaresControlPage *page, LaresControlDone done, gpointer user)
{
    LaresSlowRoom *room = room_of(control);
    const LaresVerb *found = lares_control_find(control, verb);
    /* Who may not is told at once, and takes nobody's place in the queue. */
    gboolean slow = found && lares_control_is_slow(control, verb) && caller->rights >= found->right;
    Job *job = job_new(control, caller, verb, args, page);
    job->done = done;
    job->user = user;
    if (slow && (room->stopping || room->waiting.length >= MAX_WAITING)) {
        job->error = g_error_new(LARES_ERROR, LARES_ERROR_UNAVAILABLE, "%s",
                                 room->stopping ? "the server stops"
                                                : "too many requests wait for the realm already: try again later");
        tell_and_free(job);
    } else if (!slow) {
        job->result = lares_control_call_page(control, caller, verb, job->args, page, &job->error);
        tell_and_free(job);
    } else {
        job->waited = room->running != NULL || room->waiting.length > 0;
        g_queue_push_tail(&room->waiting, job);
        begin_next(room);
    }
}

void
lares_control_stop_slow(LaresControl *control)
{
    LaresSlowRoom *room = control->slow;
    gint64 end = g_get_monotonic_time() + STOP_SECONDS * G_USEC_PER_SEC;
    if (!room)
        return;
    room->stopping = TRUE;
    if (room->next)
        g_source_remove(room->next);
    room->next = 0;
    for (Job *job; (job = g_queue_pop_head(&room->waiting));) {
        job->error = g_error_new_literal(LARES_ERROR, LARES_ERROR_UNAVAILABLE, "the server stops");
        tell_and_free(job);
    }
    for (Job *job; (job = room->running);) {
        g_mutex_lock(&job->lock);
        while (!job->back && g_cond_wait_until(&job->turned, &job->lock, end))
            ;
        gboolean back = job->back;
        g_mutex_unlock(&job->lock);
        if (!back) {
            lares_warning("control", "%s does not come back; it is left to the end of the process", job->verb);
            return;
        }
        give_turn(room, job);
    }
}

void
lares_slow_room_free(LaresSlowRoom *room)
{
    if (!room || room->running) /* a thread that never came back still looks at it */
        return;
    g_hash_table_unref(room->names);
    g_free(room);
}
