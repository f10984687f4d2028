/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands that wait for somebody else.
 *
 * | state      | event                        | then                                                             |
 * |------------|------------------------------|------------------------------------------------------------------|
 * | RUNNING    | the handler returns PENDING  | a result is there: no wait; a retry is wanted: RUNNING; else     |
 * |            |                              | ANNOUNCING                                                       |
 * | ANNOUNCING | the interim response is sent | WAITING, or what came meanwhile                                  |
 * | WAITING    | finish                       | OVER: the response is sent                                       |
 * | WAITING    | retry                        | RUNNING on a worker                                              |
 * | WAITING    | CANCEL                       | CANCELLING: the owner's callback, then finish                    |
 * | any other  | finish, retry, CANCEL        | remembered until the state is left                               |
 * | RUNNING    | the handler returns a result | OVER                                                             |
 *
 * Spec: [MS-SMB2] 3.3.4.2, 3.3.5.16.
 * Thread: any.
 * Locks: Smb2Parked.lock is a leaf; a connection's lock is taken without it. */
#include "smb2-credits.h"
#include "smb2-message.h"

typedef enum { RUNNING, ANNOUNCING, WAITING, CANCELLING, OVER } State;

struct _Smb2Parked {
    gint ref;                   /* atomic */
    Smb2Connection *connection; /* a reference */
    Smb2Session *session;       /* a reference or NULL */
    Smb2Channel *channel;       /* likewise */
    gboolean outlives;          /* its client may come back for it over another connection */
    uint64_t async_id, message_id;
    GMutex lock;
    /* Guarded by lock: */
    State state;
    gboolean announced, retry_wanted, cancel_wanted, has_result;
    uint32_t status;
    uint8_t *body;
    size_t body_len;
    Smb2Message *message; /* while it waits */
    void (*cancelled)(gpointer user);
    gpointer user;
    GDestroyNotify free_user;
};

Smb2Parked *
smb2_parked_ref(Smb2Parked *p)
{
    g_atomic_int_inc(&p->ref);
    return p;
}

void
smb2_parked_unref(Smb2Parked *p)
{
    if (!g_atomic_int_dec_and_test(&p->ref))
        return;
    if (p->free_user)
        p->free_user(p->user);
    if (p->message)
        smb2_message_free(p->message);
    if (p->session)
        smb2_session_unref(p->session);
    if (p->channel)
        smb2_channel_unref(p->channel);
    smb2_connection_unref(p->connection);
    g_mutex_clear(&p->lock);
    g_free(p->body);
    g_free(p);
}

uint64_t
smb2_parked_async_id(Smb2Parked *p)
{
    return p->async_id;
}

gboolean
smb2_parked_announced(Smb2Parked *p)
{
    g_mutex_lock(&p->lock);
    gboolean announced = p->announced;
    g_mutex_unlock(&p->lock);
    return announced;
}

gpointer
smb2_op_parked_user(const Smb2Op *op)
{
    return op->parked ? op->parked->user : NULL;
}

/* ---- The table of a connection ------------------------------------------------------------------------------------
 */

/* FALSE: the connection ends, or waits for too much already. */
static gboolean
enter(Smb2Connection *c, Smb2Parked *p, Smb2Message *m)
{
    /* A message that waited before is charged for all that it keeps. */
    size_t bytes = m->charged ? 0 : m->len - m->at;
    g_mutex_lock(&c->lock);
    gboolean ok = !c->closed && g_hash_table_size(c->parked) < c->service->settings.max_async &&
                  c->parked_bytes + bytes <= SMB2_MAX_PARKED_BYTES;
    if (ok) {
        c->parked_bytes += bytes;
        m->charged += bytes;
        p->async_id = ++c->next_async;
        /* Whoever ends the session looks for what waits afterwards, with this lock. */
        p->cancel_wanted =
            m->running.cancelled || (p->session && g_atomic_int_get(&p->session->state) == SMB2_SESSION_ENDED);
        g_hash_table_insert(c->parked, &p->async_id, smb2_parked_ref(p));
    }
    g_mutex_unlock(&c->lock);
    return ok;
}

static void
leave(Smb2Parked *p)
{
    g_mutex_lock(&p->connection->lock);
    gboolean was = g_hash_table_steal(p->connection->parked, &p->async_id);
    g_mutex_unlock(&p->connection->lock);
    if (was)
        smb2_parked_unref(p);
}

Smb2Parked *
smb2_park(Smb2Op *op, void (*cancelled)(gpointer user), gpointer user, GDestroyNotify free_user)
{
    Smb2Message *m = op->engine;
    Smb2Parked *p = op->parked;
    if (p) {
        g_mutex_lock(&p->lock);
        GDestroyNotify old_free = p->free_user;
        gpointer old = p->user;
        p->cancelled = cancelled;
        p->user = user;
        p->free_user = free_user;
        g_mutex_unlock(&p->lock);
        if (old_free)
            old_free(old);
        return smb2_parked_ref(p);
    }
    p = g_new0(Smb2Parked, 1);
    p->ref = 1;
    g_mutex_init(&p->lock);
    p->connection = smb2_connection_ref(op->connection);
    p->session = op->session ? smb2_session_ref(op->session) : NULL;
    p->channel = op->channel ? smb2_channel_ref(op->channel) : NULL;
    p->outlives = op->command == SMB2_CREATE && !op->related;
    p->message_id = op->message_id;
    if (!enter(op->connection, p, m)) {
        smb2_parked_unref(p);
        return NULL;
    }
    p->cancelled = cancelled;
    p->user = user;
    p->free_user = free_user;
    op->parked = p; /* the op's reference */
    return smb2_parked_ref(p);
}

/* ---- Events -------------------------------------------------------------------------------------------------------
 */

static void
run_retry(gpointer data)
{
    Smb2Parked *p = data;
    g_mutex_lock(&p->lock);
    Smb2Message *m = g_steal_pointer(&p->message);
    g_mutex_unlock(&p->lock);
    smb2_message_retry(m, p);
    smb2_parked_unref(p);
}

typedef struct {
    Smb2Parked *parked;
    Smb2Message *message;
} Finish;

static void
run_finish(gpointer data)
{
    Finish *f = data;
    smb2_message_finish(f->message, f->parked->async_id, f->parked->status, f->parked->body, f->parked->body_len);
    smb2_parked_unref(f->parked);
    g_free(f);
}

/* The state is OVER and the result stands in the record: the response goes out. What follows in the compound runs on
 * a worker, for whoever calls here may be the main thread. */
static void
answer(Smb2Parked *p, Smb2Message *m)
{
    leave(p);
    Finish *f = g_new(Finish, 1);
    *f = (Finish){smb2_parked_ref(p), m};
    if (smb2_get_u32(m->record + m->at + SMB2_H_NEXT))
        lares_net_defer(p->connection->service->host, run_finish, f);
    else
        run_finish(f);
}

void
smb2_parked_finish(Smb2Parked *p, uint32_t status, const void *body, size_t len)
{
    g_mutex_lock(&p->lock);
    if (p->has_result || p->state == OVER) {
        g_mutex_unlock(&p->lock);
        return;
    }
    p->has_result = TRUE;
    p->status = status;
    p->body = len ? g_memdup2(body, len) : NULL;
    p->body_len = len;
    Smb2Message *m = NULL;
    if (p->state == WAITING || p->state == CANCELLING) {
        p->state = OVER;
        m = g_steal_pointer(&p->message);
    }
    g_mutex_unlock(&p->lock);
    if (m)
        answer(p, m);
}

void
smb2_parked_retry(Smb2Parked *p)
{
    g_mutex_lock(&p->lock);
    gboolean run = p->state == WAITING && !p->has_result;
    if (run)
        p->state = RUNNING;
    else if (p->state == RUNNING || p->state == ANNOUNCING)
        p->retry_wanted = TRUE;
    g_mutex_unlock(&p->lock);
    if (run)
        lares_net_defer(p->connection->service->host, run_retry, smb2_parked_ref(p));
}

static void
cancel(Smb2Parked *p)
{
    g_mutex_lock(&p->lock);
    gboolean run = p->state == WAITING && !p->has_result;
    void (*cancelled)(gpointer) = p->cancelled;
    if (run)
        p->state = CANCELLING;
    else
        p->cancel_wanted = TRUE;
    g_mutex_unlock(&p->lock);
    if (!run)
        return;
    if (cancelled)
        cancelled(p->user);
    smb2_parked_finish(p, STATUS_CANCELLED, NULL, 0);
}

/* ---- The engine's side --------------------------------------------------------------------------------------------
 */

Smb2Pending
smb2_parked_pending(Smb2Parked *p, uint32_t *status, const uint8_t **body, size_t *len)
{
    Smb2Pending pending = SMB2_PENDING_WAIT;
    g_mutex_lock(&p->lock);
    if (p->has_result) {
        p->state = OVER;
        *status = p->status;
        *body = p->body;
        *len = p->body_len;
        pending = SMB2_PENDING_RESULT;
    } else if (p->retry_wanted) {
        p->retry_wanted = FALSE;
        pending = SMB2_PENDING_RETRY;
    } else {
        p->state = ANNOUNCING;
    }
    g_mutex_unlock(&p->lock);
    if (pending == SMB2_PENDING_RESULT)
        leave(p);
    return pending;
}

void
smb2_parked_wait(Smb2Parked *p, Smb2Message *m)
{
    g_mutex_lock(&p->lock);
    p->announced = TRUE;
    p->message = m;
    gboolean finish = p->has_result, retry = !finish && p->retry_wanted;
    gboolean stop = !finish && p->cancel_wanted;
    p->retry_wanted = FALSE;
    p->state = finish ? OVER : WAITING;
    if (finish)
        p->message = NULL;
    g_mutex_unlock(&p->lock);
    if (finish)
        answer(p, m);
    else if (stop)
        cancel(p);
    else if (retry)
        smb2_parked_retry(p);
}

void
smb2_parked_over(Smb2Parked *p)
{
    g_mutex_lock(&p->lock);
    p->state = OVER;
    g_mutex_unlock(&p->lock);
    leave(p);
}

/* ---- CANCEL and the end -------------------------------------------------------------------------------------------
 */

static Smb2Parked *
find(Smb2Connection *c, gboolean async, uint64_t id)
{
    GHashTableIter iter;
    gpointer value;
    if (async) {
        Smb2Parked *p = g_hash_table_lookup(c->parked, &id);
        return p ? smb2_parked_ref(p) : NULL;
    }
    g_hash_table_iter_init(&iter, c->parked);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        if (((Smb2Parked *)value)->message_id == id)
            return smb2_parked_ref(value);
    return NULL;
}

/* It runs now, or has not even been looked at: it will end when it wants to wait. Or it is over: then its id is used
 * up. */
static void
note_early(Smb2Connection *c, uint64_t message_id)
{
    for (GList *at = c->running.head; at; at = at->next) {
        Smb2Running *running = at->data;
        if (running->message_id == message_id) {
            running->cancelled = TRUE;
            return;
        }
    }
    smb2_credits_cancel(c->credits, message_id);
}

void
smb2_async_cancel(Smb2Connection *c, uint64_t session_id, gboolean async, uint64_t id)
{
    g_mutex_lock(&c->lock);
    Smb2Parked *p = find(c, async, id);
    if (!p && !async)
        note_early(c, id);
    g_mutex_unlock(&c->lock);
    if (!p)
        return;
    if (!p->session || p->session->id == session_id) /* nobody cancels for another session */
        cancel(p);
    smb2_parked_unref(p);
}

Smb2Channel *
smb2_parked_channel(Smb2Parked *p)
{
    return p->channel ? smb2_channel_ref(p->channel) : NULL;
}

/* The connection is lost, but not the session: a CREATE goes on, so that its replay over another connection finds what
 * came of it ([MS-SMB2] 3.3.5.9.10). */
static gboolean
goes_on(const Smb2Connection *c, Smb2Parked *p)
{
    gboolean others = FALSE;
    if (!p->outlives || !p->session)
        return FALSE;
    g_mutex_lock(&p->session->lock);
    for (guint i = 0; i < p->session->channels->len && !others; i++) {
        const Smb2Channel *channel = p->session->channels->pdata[i];
        others = channel->connection != c && g_atomic_int_get(&channel->established);
    }
    g_mutex_unlock(&p->session->lock);
    return others;
}

void
smb2_async_end(Smb2Connection *c, Smb2Session *session)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func((GDestroyNotify)smb2_parked_unref);
    GHashTableIter iter;
    gpointer value;
    g_mutex_lock(&c->lock);
    g_hash_table_iter_init(&iter, c->parked);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        if (!session || ((Smb2Parked *)value)->session == session)
            g_ptr_array_add(all, smb2_parked_ref(value));
    g_mutex_unlock(&c->lock);
    for (guint i = 0; i < all->len; i++)
        if (session || !goes_on(c, all->pdata[i]))
            cancel(all->pdata[i]);
}
