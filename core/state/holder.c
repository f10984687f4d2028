/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Holders: one client of one protocol, alive or courteous. */
#include "state/file-state.h"

static gint all_opens; /* atomic */
static guint max_all;  /* told at start; 0: no bound */

LaresHolder *
lares_holder_new(const char *protocol, void (*expire)(gpointer user), gpointer user, GDestroyNotify destroy)
{
    LaresHolder *holder = g_new0(LaresHolder, 1);
    holder->ref = 1;
    holder->protocol = protocol;
    holder->expire = expire;
    holder->user = user;
    holder->destroy = destroy;
    return holder;
}

LaresHolder *
lares_holder_ref(LaresHolder *holder)
{
    g_atomic_int_inc(&holder->ref);
    return holder;
}

void
lares_holder_unref(LaresHolder *holder)
{
    if (!g_atomic_int_dec_and_test(&holder->ref))
        return;
    if (holder->destroy)
        holder->destroy(holder->user);
    g_free(holder->session);
    g_free(holder->client);
    g_free(holder);
}

void
lares_holder_set_courteous(LaresHolder *holder, gboolean courteous)
{
    g_atomic_int_set(&holder->courteous, courteous);
}

LaresHolder *
lares_holder_if_courteous(LaresHolder *holder)
{
    return g_atomic_int_get(&holder->courteous) ? lares_holder_ref(holder) : NULL;
}

void
lares_holder_expire(LaresHolder *holder)
{
    if (g_atomic_int_compare_and_exchange(&holder->expired, 0, 1) && holder->expire)
        holder->expire(holder->user);
    lares_holder_unref(holder);
}

/* ---- Bounds ------------------------------------------------------------------------------------------------------ */

void
lares_state_limit_opens(guint max_opens)
{
    max_all = max_opens;
}

guint
lares_state_count_opens(void)
{
    return (guint)g_atomic_int_get(&all_opens);
}

gboolean
lares_opens_are_scarce(void)
{
    return max_all != 0 && lares_state_count_opens() >= max_all - max_all / 4;
}

void
lares_holder_set_limits(LaresHolder *holder, guint max_opens, guint max_locks)
{
    holder->max_opens = max_opens;
    holder->max_locks = max_locks;
}

void
lares_holder_set_origin(LaresHolder *holder, const char *session, const char *client)
{
    g_free(holder->session);
    g_free(holder->client);
    holder->session = g_strdup(session);
    holder->client = g_strdup(client);
}

void
lares_holder_count(LaresHolder *holder, guint *opens, guint *locks)
{
    *opens = (guint)g_atomic_int_get(&holder->opens);
    *locks = (guint)g_atomic_int_get(&holder->locks);
}

/* With `opens` of its own and `all` of everybody already there: may it have one more? */
static gboolean
below_bounds(const LaresHolder *holder, guint opens, guint all)
{
    if (holder->max_opens && opens >= holder->max_opens)
        return FALSE;
    return max_all == 0 || (all < max_all && opens < max_all - max_all / 4);
}

LaresStatus
lares_holder_may_open(LaresHolder *holder)
{
    gboolean may = below_bounds(holder, (guint)g_atomic_int_get(&holder->opens), lares_state_count_opens());
    return may ? LARES_OK : LARES_TOO_MANY;
}

gboolean
lares_holder_take_open(LaresHolder *holder)
{
    guint opens = (guint)g_atomic_int_add(&holder->opens, 1), all = (guint)g_atomic_int_add(&all_opens, 1);
    if (below_bounds(holder, opens, all))
        return TRUE;
    lares_holder_give_open(holder);
    return FALSE;
}

void
lares_holder_give_open(LaresHolder *holder)
{
    g_atomic_int_add(&holder->opens, -1);
    g_atomic_int_add(&all_opens, -1);
}
