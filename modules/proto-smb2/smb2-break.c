/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Notifications of breaks on their way to a client that may be reached over several connections.
 *
 *   a break    event                                            then
 *   ---------------------------------------------------------------------------------------------------------------
 *   (none)     a connection takes it                            WATCHED there; without one: unreachable
 *   WATCHED    the peer's TCP has acknowledged it               done
 *   WATCHED    not acknowledged within its patience, or the     the connection is reset; sent on the next connection
 *              connection is lost                               that takes it: WATCHED there; without one: done, for
 *                                                               what waits hears of the end of the session
 *
 * Patience is three retransmission time-outs where there is another connection to try; where there is none, the one
 * there is has longer, but not for ever: whoever acknowledges nothing for so long does not answer the break either, and
 * his opens must not stand in the way of others until the kernel gives up.
 *
 * Spec: [MS-SMB2] 3.3.4.6, 3.3.4.7.
 * Thread: any; the looks at what is watched run in the main thread. Locks: smb2.h. */
#include "smb2-connection.h"
#include "smb2-message.h"

#define LOOK_MS       200
#define PATIENCE_MIN  600
#define PATIENCE_MAX  5000
#define PATIENCE_LAST 15000 /* since it was sent first */

typedef struct {
    GPtrArray *channels; /* of Smb2Channel (references): those to try, in this order */
    guint next;          /* the first one that was not tried */
    uint64_t mark;       /* where it ends in the stream of the connection that has it */
    gint64 since, first; /* monotonic, ms: when it was sent there, and when for the first time */
    guint patience;      /* ms */
    size_t len;
    uint8_t message[];
} Break;

static void
break_free(gpointer data)
{
    Break *b = data;
    g_ptr_array_unref(b->channels);
    g_free(b);
}

static Break *
break_new(GPtrArray *channels, const void *body, size_t len)
{
    Break *b = g_malloc0(sizeof(Break) + SMB2_HEADER_SIZE + len);
    b->channels = channels;
    b->len = SMB2_HEADER_SIZE + len;
    smb2_set_u32(b->message, SMB2_PROTOCOL_ID);
    smb2_set_u16(b->message + SMB2_H_STRUCTURE_SIZE, SMB2_HEADER_SIZE);
    smb2_set_u16(b->message + SMB2_H_COMMAND, SMB2_OPLOCK_BREAK);
    smb2_set_u32(b->message + SMB2_H_FLAGS, SMB2_FLAGS_SERVER_TO_REDIR);
    smb2_set_u64(b->message + SMB2_H_MESSAGE_ID, SMB2_ANY_MESSAGE);
    memcpy(b->message + SMB2_HEADER_SIZE, body, len);
    return b;
}

/* ---- Watching --------------------------------------------------------------------------------------------------- */

static gint64
now_ms(void)
{
    return g_get_monotonic_time() / 1000;
}

/* `since` and `next` are set. */
static guint
patience(const Break *b, Smb2Connection *c)
{
    guint usual = CLAMP(3 * lares_connection_rto(c->net), PATIENCE_MIN, PATIENCE_MAX);
    for (guint i = b->next; i < b->channels->len; i++)
        if (((Smb2Channel *)b->channels->pdata[i])->connection != c)
            return usual;
    gint64 left = b->first + PATIENCE_LAST - b->since;
    return left > usual ? (guint)left : usual;
}

/* Takes off what has arrived, from the front. TRUE: nothing is left, nobody looks any more. */
static gboolean
drop_arrived(Smb2Connection *c)
{
    for (;;) {
        g_mutex_lock(&c->lock);
        Break *first = g_queue_peek_head(&c->breaks);
        uint64_t mark = first ? first->mark : 0;
        if (!first)
            c->looker = 0;
        g_mutex_unlock(&c->lock);
        if (!first)
            return TRUE;
        if (!lares_connection_acknowledged(c->net, mark))
            return FALSE;
        g_mutex_lock(&c->lock);
        first = g_queue_peek_head(&c->breaks); /* none, when the connection was lost meanwhile */
        if (first && first->mark == mark)
            g_queue_pop_head(&c->breaks);
        else
            first = NULL;
        g_mutex_unlock(&c->lock);
        if (first)
            break_free(first);
    }
}

static gboolean
is_late(Smb2Connection *c)
{
    gboolean late = FALSE;
    gint64 now = now_ms();
    g_mutex_lock(&c->lock);
    for (const GList *l = c->breaks.head; l && !late; l = l->next)
        late = now - ((const Break *)l->data)->since >= ((const Break *)l->data)->patience;
    g_mutex_unlock(&c->lock);
    return late;
}

static gboolean
look(gpointer data)
{
    Smb2Connection *c = data;
    if (drop_arrived(c))
        return G_SOURCE_REMOVE;
    if (!is_late(c))
        return G_SOURCE_CONTINUE;
    lares_debug("smb2", "%s does not acknowledge that an oplock or a lease is broken: its connection is reset",
                lares_connection_peer(c->net)->address);
    lares_connection_abort(c->net);
    smb2_breaks_move(c);
    return G_SOURCE_CONTINUE;
}

static void
look_over(gpointer data)
{
    smb2_connection_unref(data);
}

/* FALSE: the connection was lost meanwhile, and whoever moves its breaks has been here. */
static gboolean
watch(Smb2Connection *c, Break *b)
{
    b->since = now_ms();
    if (!b->first)
        b->first = b->since;
    b->patience = patience(b, c);
    b->mark = lares_connection_mark(c->net);
    g_mutex_lock(&c->lock);
    gboolean ok = !c->closed;
    if (ok)
        g_queue_push_tail(&c->breaks, b);
    if (ok && !c->looker)
        c->looker = g_timeout_add_full(G_PRIORITY_DEFAULT, LOOK_MS, look, smb2_connection_ref(c), look_over);
    g_mutex_unlock(&c->lock);
    return ok;
}

/* ---- Sending ---------------------------------------------------------------------------------------------------- */

static gboolean
send_over(const Smb2Channel *channel, const Break *b)
{
    Smb2Session *s = channel->session;
    gboolean encrypt = s->keys && (s->encrypt || g_atomic_int_get(&s->encrypts));
    return g_atomic_int_get(&channel->established) && g_atomic_int_get(&s->state) != SMB2_SESSION_ENDED &&
           smb2_message_send(channel->connection, encrypt ? s->keys : NULL, s->id, b->message, b->len);
}

/* On the first of the channels left that takes it. Consumes the break. */
static gboolean
send_break(Break *b)
{
    while (b->next < b->channels->len) {
        Smb2Channel *channel = b->channels->pdata[b->next++];
        if (!send_over(channel, b))
            continue;
        GPtrArray *keep = g_ptr_array_ref(b->channels); /* the connection, whoever takes the break */
        gboolean watched = watch(channel->connection, b);
        g_ptr_array_unref(keep);
        if (watched)
            return TRUE;
    }
    break_free(b);
    return FALSE;
}

void
smb2_breaks_move(Smb2Connection *c)
{
    GQueue all;
    g_mutex_lock(&c->lock);
    all = c->breaks;
    g_queue_init(&c->breaks);
    guint looker = c->looker;
    c->looker = 0;
    g_mutex_unlock(&c->lock);
    if (looker)
        g_source_remove(looker); /* whoever waits for the end of all connections does not run the main loop */
    for (Break *b; (b = g_queue_pop_head(&all));)
        send_break(b);
}

static gint
by_connection(gconstpointer a, gconstpointer b)
{
    const Smb2Channel *x = *(Smb2Channel *const *)a, *y = *(Smb2Channel *const *)b;
    return x->connection->serial < y->connection->serial ? -1 : x->connection->serial > y->connection->serial;
}

static void
add_channels(Smb2Session *s, GPtrArray *channels)
{
    g_mutex_lock(&s->lock);
    for (guint i = 0; i < s->channels->len; i++)
        g_ptr_array_add(channels, smb2_channel_ref(s->channels->pdata[i]));
    g_mutex_unlock(&s->lock);
}

/* The oldest connection first. */
static gboolean
begin(GPtrArray *channels, const void *body, size_t len)
{
    g_ptr_array_sort(channels, by_connection);
    return send_break(break_new(channels, body, len));
}

gboolean
smb2_session_send_break(Smb2Session *s, const void *body, size_t len)
{
    GPtrArray *channels = g_ptr_array_new_with_free_func((GDestroyNotify)smb2_channel_unref);
    add_channels(s, channels);
    return begin(channels, body, len);
}

gboolean
smb2_client_send_break(Smb2Session *session, const void *body, size_t len)
{
    if (session->keys && (session->encrypt || g_atomic_int_get(&session->encrypts)))
        return smb2_session_send_break(session, body, len);
    GPtrArray *channels = g_ptr_array_new_with_free_func((GDestroyNotify)smb2_channel_unref);
    Smb2Service *service = session->service;
    GHashTableIter iter;
    gpointer value;
    g_mutex_lock(&service->lock);
    g_hash_table_iter_init(&iter, service->sessions);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        Smb2Session *s = value;
        /* A GUID is no secret: who else logs in with it hears nothing. */
        if (memcmp(s->client_guid, session->client_guid, sizeof s->client_guid) == 0 &&
            g_atomic_int_get(&s->state) == SMB2_SESSION_VALID && g_strcmp0(s->owner, session->owner) == 0)
            add_channels(s, channels);
    }
    g_mutex_unlock(&service->lock);
    if (channels->len == 0) /* expired, perhaps */
        add_channels(session, channels);
    return begin(channels, body, len);
}
