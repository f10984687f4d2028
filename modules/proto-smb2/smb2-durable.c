/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Durable opens: waiting for a client that was lost, and its coming back.
 *
 *   state     event                               action                                    next
 *   -----------------------------------------------------------------------------------------------------------------
 *   used      the connection is lost, the lease   time-out starts, who waited to take       away
 *             or oplock promises the handle       it runs again
 *   used      the same without                    closed                                    (gone)
 *   used      a reconnect                         it parks for a moment                     used
 *   away      a reconnect of the same client      new volatile id                           used
 *   away      time-out, a break of the handle,    closed                                    (gone)
 *             the file is to be deleted
 *
 * Spec: [MS-SMB2] 3.3.5.9.7, 3.3.5.9.12, 3.3.7.1.
 * Thread: any. Locks: smb2-open.h. */
#include "smb2-message.h"
#include "smb2-open-table.h"

#include <string.h>

#define AWAIT_MS 500 /* how long a reconnect waits for news of the lost connection */

typedef struct {
    Smb2Open *open;
    guint disconnects;
} Scavenge;

static gboolean
scavenge(gpointer data)
{
    Scavenge *s = data;
    g_mutex_lock(&s->open->lock);
    gboolean still_away = !s->open->session && s->open->disconnects == s->disconnects;
    g_mutex_unlock(&s->open->lock);
    if (still_away)
        smb2_open_close(s->open);
    return G_SOURCE_REMOVE;
}

static void
scavenge_free(gpointer data)
{
    Scavenge *s = data;
    smb2_open_unref(s->open);
    g_free(s);
}

/* May it be kept? What promised that nobody came meanwhile must still be held ([MS-SMB2] 3.3.7.1), and a file that is
 * to go must not stay, closed to everybody, for a client that may never come back. */
static gboolean
survives(Smb2Open *open)
{
    if (!open->durability || !open->lease || (open->open && lares_open_delete_pending(open->open)) ||
        (open->base_open && lares_open_delete_pending(open->base_open)))
        return FALSE;
    gboolean breaking;
    uint32_t state = lares_lease_state(open->lease->core, NULL, &breaking);
    return !breaking && (state & LARES_LEASE_HANDLE) != 0;
}

static void
retry(gpointer parked)
{
    smb2_parked_retry(parked);
    smb2_parked_unref(parked);
}

static void
set_away(Smb2Open *open, Smb2Session *of)
{
    Smb2Opens *opens = open->service->opens;
    LaresIdentity *identity = smb2_session_identity(of);
    g_mutex_lock(&of->lock);
    const LaresFlavor *login = of->flavor;
    uint64_t credential = of->credential;
    g_mutex_unlock(&of->lock);
    g_mutex_lock(&opens->lock);
    /* One that was closed meanwhile is in no table any more, and must not come back into a list. */
    if (g_hash_table_lookup(opens->by_volatile, &open->volatile_id) != open || open->session != of) {
        g_mutex_unlock(&opens->lock);
        lares_identity_unref(identity);
        return;
    }
    g_mutex_lock(&open->lock);
    smb2_open_leave_lists(open);
    LaresIdentity *before = open->last_identity;
    open->last_identity = g_steal_pointer(&identity);
    identity = before;
    open->last_login = login;
    open->last_credential = credential;
    open->last_flavor = open->tree ? smb2_tree_flavor(open->tree) : NULL;
    Smb2Session *session = g_steal_pointer(&open->session);
    Smb2Tree *tree = g_steal_pointer(&open->tree);
    open->session_link.data = open;
    g_queue_push_tail_link(&opens->away, &open->session_link);
    Scavenge s = {smb2_open_ref(open), ++open->disconnects};
    GPtrArray *comers = g_steal_pointer(&open->comers);
    g_mutex_unlock(&open->lock);
    if (tree)
        g_atomic_int_add(&tree->n_opens, -1);
    g_mutex_unlock(&opens->lock);
    g_timeout_add_full(G_PRIORITY_DEFAULT, open->timeout, scavenge, g_memdup2(&s, sizeof s), scavenge_free);
    if (tree)
        smb2_tree_unref(tree);
    if (session)
        smb2_session_unref(session);
    if (identity)
        lares_identity_unref(identity);
    if (comers)
        g_ptr_array_unref(comers);
}

void
smb2_opens_of_session_disconnect(Smb2Session *session)
{
    g_autoptr(GPtrArray) found = smb2_opens_collect(session->service->opens, &session->open_list);
    for (guint i = 0; i < found->len; i++) {
        Smb2Open *open = found->pdata[i];
        gboolean kept = survives(open);
        if (kept)
            set_away(open, session);
        if (!kept || !survives(open)) /* what happened before it was away found nobody to give way */
            smb2_open_close(open);
    }
    smb2_session_drop_holder(session);
}

static void
close_if_away(Smb2Open *open)
{
    g_mutex_lock(&open->lock);
    gboolean away = !open->session;
    g_mutex_unlock(&open->lock);
    if (away)
        smb2_open_close(open);
}

void
smb2_opens_close_disconnected(Smb2Opens *opens, const Smb2Lease *lease)
{
    g_autoptr(GPtrArray) found = smb2_opens_collect(opens, &lease->opens);
    for (guint i = 0; i < found->len; i++)
        close_if_away(found->pdata[i]);
}

void
smb2_opens_away_give_way(Smb2Opens *opens, const LaresNode *node)
{
    g_autoptr(GPtrArray) away = smb2_opens_away(opens);
    for (guint i = 0; i < away->len; i++) {
        Smb2Open *open = away->pdata[i];
        if (open->object.node == node || open->base.node == node)
            close_if_away(open);
    }
}

gboolean
smb2_open_reconnect(Smb2Open *open, Smb2Op *op)
{
    Smb2Opens *opens = op->service->opens;
    g_mutex_lock(&opens->lock);
    g_mutex_lock(&open->lock);
    gboolean free_to_take = !open->session && !g_atomic_int_get(&open->closed);
    if (free_to_take) {
        g_hash_table_steal(opens->by_volatile, &open->volatile_id);
        open->volatile_id = opens->next++;
        g_hash_table_insert(opens->by_volatile, &open->volatile_id, open);
        smb2_open_leave_lists(open);
        open->session = smb2_session_ref(op->session);
        open->tree = smb2_tree_ref(op->tree);
        open->channel_sequence = op->channel_sequence;
        open->requests = open->pre_requests = 0;
        g_atomic_int_inc(&op->tree->n_opens);
        smb2_open_enter_lists(open);
    }
    g_mutex_unlock(&open->lock);
    g_mutex_unlock(&opens->lock);
    return free_to_take;
}

/* ---- A reconnect that is too early --------------------------------------------------------------------------------
 */

static void
cancelled(gpointer user)
{
    /* The open's list, or the timer, gives its reference back when its time comes. */
}

typedef struct {
    Smb2Open *open;     /* a reference */
    Smb2Parked *parked; /* a reference */
} Early;

static void
early_free(gpointer data)
{
    Early *early = data;
    smb2_open_unref(early->open);
    smb2_parked_unref(early->parked);
    g_free(early);
}

/* The open keeps nobody who was answered: each keeps a connection. */
static gboolean
waited_enough(gpointer data)
{
    Early *early = data;
    guint at;
    gboolean there = FALSE;
    g_mutex_lock(&early->open->lock);
    if (early->open->comers && g_ptr_array_find(early->open->comers, early->parked, &at)) {
        g_ptr_array_steal_index_fast(early->open->comers, at); /* not remove: that would try it again */
        there = TRUE;
    }
    g_mutex_unlock(&early->open->lock);
    smb2_parked_finish(early->parked, STATUS_OBJECT_NAME_NOT_FOUND, NULL, 0);
    if (there)
        smb2_parked_unref(early->parked);
    return G_SOURCE_REMOVE;
}

uint32_t
smb2_open_await_disconnect(Smb2Open *open, Smb2Op *op)
{
    if (smb2_op_is_retry(op))
        return STATUS_OBJECT_NAME_NOT_FOUND; /* somebody else took it */
    Smb2Parked *parked = smb2_park(op, cancelled, NULL, NULL);
    if (!parked)
        return STATUS_INSUFFICIENT_RESOURCES;
    g_mutex_lock(&open->lock);
    gboolean there = open->session && !g_atomic_int_get(&open->closed);
    if (there) {
        if (!open->comers)
            open->comers = g_ptr_array_new_with_free_func(retry);
        g_ptr_array_add(open->comers, smb2_parked_ref(parked));
    }
    g_mutex_unlock(&open->lock);
    if (there)
        g_timeout_add_full(G_PRIORITY_DEFAULT, AWAIT_MS, waited_enough,
                           g_memdup2(&(Early){smb2_open_ref(open), parked}, sizeof(Early)), early_free);
    else
        retry(parked);
    return STATUS_PENDING;
}

/* ---- CREATEs with a guid that are under way -----------------------------------------------------------------------
 */

struct _Smb2Making {
    gint ref; /* guarded by the table's lock */
    Smb2Opens *opens;
    uint8_t key[32];
};

Smb2Making *
smb2_making_begin(Smb2Opens *opens, const Smb2Op *op, const uint8_t guid[16])
{
    uint8_t key[32];
    smb2_opens_guid_key(op->connection->client_guid, guid, key);
    g_mutex_lock(&opens->lock);
    Smb2Making *making = g_hash_table_lookup(opens->making, key);
    if (making) {
        making = smb2_op_is_retry(op) ? making : NULL;
        if (making)
            making->ref++;
    } else {
        making = g_new(Smb2Making, 1);
        making->ref = 1;
        making->opens = opens;
        memcpy(making->key, key, sizeof key);
        g_hash_table_insert(opens->making, making->key, making);
    }
    g_mutex_unlock(&opens->lock);
    return making;
}

Smb2Making *
smb2_making_ref(Smb2Making *making)
{
    g_mutex_lock(&making->opens->lock);
    making->ref++;
    g_mutex_unlock(&making->opens->lock);
    return making;
}

static void
making_drop(Smb2Making *making, gboolean over)
{
    if (!making)
        return;
    Smb2Opens *opens = making->opens;
    g_mutex_lock(&opens->lock);
    gboolean last = --making->ref == 0;
    if ((last || over) && g_hash_table_lookup(opens->making, making->key) == making)
        g_hash_table_remove(opens->making, making->key);
    g_mutex_unlock(&opens->lock);
    if (last)
        g_free(making);
}

void
smb2_making_unref(Smb2Making *making)
{
    making_drop(making, FALSE);
}

void
smb2_making_end(Smb2Making *making)
{
    making_drop(making, TRUE);
}
