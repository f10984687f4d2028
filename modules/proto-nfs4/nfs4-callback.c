/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Calls to a client over the connection it made, and their answers.
 *
 * Spec: RFC 5531 9, RFC 8881 2.10.3.1
 * Locks: the table's lock is a leaf; `done` functions run without it. */
#include "nfs4-callback.h"

typedef struct {
    Nfs4CallbackDone done;
    gpointer user;
} Waiting;

struct _Nfs4Callbacks {
    GMutex lock;
    GHashTable *waiting; /* xid -> Waiting */
    uint32_t next_xid;
};

Nfs4Callbacks *
nfs4_callbacks_new(void)
{
    Nfs4Callbacks *callbacks = g_new0(Nfs4Callbacks, 1);
    g_mutex_init(&callbacks->lock);
    callbacks->next_xid = g_random_int();
    return callbacks;
}

void
nfs4_callbacks_free(Nfs4Callbacks *callbacks)
{
    GHashTableIter iter;
    gpointer value;
    if (callbacks->waiting) {
        g_hash_table_iter_init(&iter, callbacks->waiting);
        while (g_hash_table_iter_next(&iter, NULL, &value)) {
            Waiting *waiting = value;
            waiting->done(waiting->user, NULL);
        }
        g_hash_table_unref(callbacks->waiting);
    }
    g_mutex_clear(&callbacks->lock);
    g_free(callbacks);
}

/* FALSE: too many are waiting already. */
static gboolean
add_waiting(Nfs4Callbacks *callbacks, Nfs4CallbackDone done, gpointer user, uint32_t *xid)
{
    gboolean ok = FALSE;
    g_mutex_lock(&callbacks->lock);
    if (!callbacks->waiting)
        callbacks->waiting = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    if (g_hash_table_size(callbacks->waiting) < NFS4_MAX_CALLBACKS) {
        Waiting *waiting = g_new(Waiting, 1);
        *waiting = (Waiting){done, user};
        *xid = callbacks->next_xid++;
        g_hash_table_insert(callbacks->waiting, GUINT_TO_POINTER(*xid), waiting);
        ok = TRUE;
    }
    g_mutex_unlock(&callbacks->lock);
    return ok;
}

static Waiting *
take_waiting(Nfs4Callbacks *callbacks, uint32_t xid)
{
    gpointer waiting = NULL;
    g_mutex_lock(&callbacks->lock);
    if (callbacks->waiting)
        g_hash_table_steal_extended(callbacks->waiting, GUINT_TO_POINTER(xid), NULL, &waiting);
    g_mutex_unlock(&callbacks->lock);
    return waiting;
}

gboolean
nfs4_callback_call(Nfs4Connection *connection, uint32_t program, const Nfs4CallbackCred *cred, uint32_t proc,
                   const uint8_t *args, size_t len, Nfs4CallbackDone done, gpointer user)
{
    uint32_t xid;
    LaresWriter out;
    if (cred->len > RPC_MAX_AUTH || !add_waiting(connection->callbacks, done, user, &xid))
        return FALSE;
    g_autoptr(LaresArena) arena = lares_arena_new();
    lares_writer_init(&out, arena, len + 512, len + 1024);
    lares_put_u32(&out, xid);
    lares_put_u32(&out, RPC_CALL);
    lares_put_u32(&out, 2);
    lares_put_u32(&out, program);
    lares_put_u32(&out, NFS4_CB_VERSION_40);
    lares_put_u32(&out, proc);
    lares_put_u32(&out, cred->flavor);
    lares_put_opaque(&out, cred->body, cred->len);
    lares_put_u32(&out, RPC_FLAVOR_NONE);
    lares_put_u32(&out, 0);
    lares_put_bytes(&out, args, len);
    if (!out.failed && lares_connection_send(connection->net, out.base, out.len))
        return TRUE;
    /* Whoever takes it out of the table owns the promise to `user`. */
    Waiting *waiting = take_waiting(connection->callbacks, xid);
    g_free(waiting);
    return waiting == NULL;
}

void
nfs4_callback_reply(Nfs4Connection *connection, uint32_t xid, LaresReader *in)
{
    size_t len;
    Waiting *waiting = take_waiting(connection->callbacks, xid);
    if (!waiting)
        return;
    gboolean accepted = lares_get_u32(in) == RPC_MSG_ACCEPTED;
    lares_get_u32(in);
    lares_get_opaque(in, RPC_MAX_AUTH, &len);
    uint32_t stat = lares_get_u32(in);
    waiting->done(waiting->user, accepted && !in->failed && stat == RPC_SUCCESS ? in : NULL);
    g_free(waiting);
}
