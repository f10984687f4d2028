/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Holders: one client of one protocol, alive or courteous. */
#include "state/file-state.h"

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
