/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CREATE's extras: durable opens, their reconnects and replays, and the contexts of the response.
 *
 * Spec: [MS-SMB2] 3.3.5.9.1 to 3.3.5.9.13, 2.2.14.2. */
#include "smb2-apple.h"

#include <string.h>

/* ---- Durable opens ------------------------------------------------------------------------------------------------
 */

static gboolean
same_lease(const Smb2Open *open, const Smb2Create *c)
{
    gboolean keyed = open->lease && open->lease->keyed;
    if (keyed != c->contexts.has_lease)
        return FALSE;
    return !keyed || memcmp(open->lease->table_key + 16, c->contexts.lease.key, 16) == 0;
}

/* Is it the one that the client lost, and this client's to take? */
static uint32_t
check_reconnect(Smb2Op *op, const Smb2Create *c, Smb2Open *open)
{
    const Smb2CreateContexts *x = &c->contexts;
    g_autofree char *principal = smb2_session_principal(op->session);
    if (open->share_id != op->share->id || !same_lease(open, c))
        return STATUS_OBJECT_NAME_NOT_FOUND;
    if (x->dh2c && memcmp(open->create_guid, x->create_guid, 16) != 0)
        return STATUS_OBJECT_NAME_NOT_FOUND;
    if (x->has_lease && memcmp(open->client_guid, op->connection->client_guid, 16) != 0)
        return STATUS_OBJECT_NAME_NOT_FOUND;
    if (g_strcmp0(open->principal, principal) != 0)
        return STATUS_ACCESS_DENIED;
    if (smb2_share_objection(open->object.share, op->share, op->caller.identity, op->caller.flavor)) {
        smb2_open_close(open);
        return STATUS_OBJECT_NAME_NOT_FOUND;
    }
    return STATUS_SUCCESS;
}

/* A lease belongs to a file: the name must still mean it ([MS-SMB2] 3.3.5.9.7, with a lease). */
static uint32_t
check_name(Smb2Op *op, Smb2Create *c, const Smb2Open *open)
{
    if (!c->contexts.has_lease)
        return STATUS_SUCCESS;
    uint32_t status = smb2_target_find(op, c->name, c->name_len, c->options, &c->target);
    if (status == STATUS_SUCCESS && c->target.found.node != open->object.node)
        status = STATUS_INVALID_PARAMETER;
    return status;
}

uint32_t
smb2_create_still_there(const Smb2Op *op)
{
    if (g_atomic_int_get(&op->session->state) == SMB2_SESSION_ENDED)
        return STATUS_USER_SESSION_DELETED;
    return g_atomic_int_get(&op->tree->ended) ? STATUS_NETWORK_NAME_DELETED : STATUS_SUCCESS;
}

static uint32_t
reconnect(Smb2Op *op, Smb2Create *c)
{
    Smb2Open *open = smb2_opens_by_persistent(op->service->opens, c->contexts.durable_persistent);
    uint32_t status = open ? check_reconnect(op, c, open) : STATUS_OBJECT_NAME_NOT_FOUND;
    if (status == STATUS_SUCCESS)
        status = check_name(op, c, open);
    if (status == STATUS_SUCCESS && !smb2_open_reconnect(open, op))
        status = smb2_open_await_disconnect(open, op);
    if (status == STATUS_SUCCESS) {
        status = smb2_create_still_there(op);
        if (status != STATUS_SUCCESS)
            smb2_open_close(open);
    }
    if (status == STATUS_SUCCESS) {
        c->open = smb2_open_ref(open);
        c->reconnected = TRUE;
    }
    if (open)
        smb2_open_unref(open);
    return status;
}

/* The same CREATE once more ([MS-SMB2] 3.3.5.9.10). */
static uint32_t
replay(Smb2Op *op, Smb2Create *c, gboolean *done)
{
    uint32_t status = STATUS_SUCCESS;
    c->making = smb2_making_begin(op->service->opens, op, c->contexts.create_guid);
    if (!c->making) /* the first one is under way, perhaps waiting */
        return op->flags & SMB2_FLAGS_REPLAY_OPERATION ? STATUS_FILE_NOT_AVAILABLE : STATUS_DUPLICATE_OBJECTID;
    Smb2Open *open = smb2_opens_by_guid(op->service->opens, op->connection->client_guid, c->contexts.create_guid);
    if (!open)
        return STATUS_SUCCESS;
    g_mutex_lock(&open->lock);
    gboolean ours = open->session == op->session;
    g_mutex_unlock(&open->lock);
    if (!(op->flags & SMB2_FLAGS_REPLAY_OPERATION)) {
        status = STATUS_DUPLICATE_OBJECTID;
    } else if (!ours) {
        status = STATUS_DUPLICATE_OBJECTID;
    } else if (!same_lease(open, c) || (!c->contexts.has_lease && c->oplock == SMB2_OPLOCK_LEVEL_LEASE)) {
        status = STATUS_ACCESS_DENIED;
    } else {
        c->open = smb2_open_ref(open);
        c->replayed = TRUE;
        *done = TRUE;
    }
    smb2_open_unref(open);
    return status;
}

uint32_t
smb2_create_durable_reconnect(Smb2Op *op, Smb2Create *c, gboolean *done)
{
    const Smb2CreateContexts *x = &c->contexts;
    if ((x->dhnc && (x->dh2q || x->dh2c)) || (x->dh2c && (x->dhnq || x->dh2q || x->dhnc)) || (x->dh2q && x->dhnq))
        return STATUS_INVALID_PARAMETER;
    if (x->dh2q && op->connection->dialect < SMB2_DIALECT_300)
        return STATUS_SUCCESS;
    if (x->dhnc || x->dh2c) {
        *done = TRUE;
        return reconnect(op, c);
    }
    return x->dh2q ? replay(op, c, done) : STATUS_SUCCESS;
}

void
smb2_create_durable_grant(Smb2Op *op, Smb2Create *c)
{
    Smb2Open *open = c->open;
    gboolean v2 = c->contexts.dh2q && op->connection->dialect >= SMB2_DIALECT_300;
    if (v2) { /* known by its guid whether it becomes durable or not: for replays */
        open->persistent = TRUE;
        memcpy(open->create_guid, c->contexts.create_guid, 16);
    }
    open->has_app_instance = c->contexts.has_app_instance && v2;
    memcpy(open->app_instance, c->contexts.app_instance, 16);
    open->has_app_version = open->has_app_instance && c->contexts.has_app_version;
    memcpy(open->app_version, c->contexts.app_version, sizeof open->app_version);
    if (!open->open || open->is_directory || !open->lease || !(v2 || c->contexts.dhnq))
        return;
    if (!(lares_lease_state(open->lease->core, NULL, NULL) & LARES_LEASE_HANDLE))
        return;
    open->durability = v2 ? SMB2_DURABLE_V2 : SMB2_DURABLE_V1;
    open->timeout = v2 && c->contexts.durable_timeout ? c->contexts.durable_timeout : SMB2_DURABLE_MS;
    if (open->timeout > SMB2_DURABLE_MAX_MS)
        open->timeout = SMB2_DURABLE_MAX_MS;
}

/* ---- Application instances ----------------------------------------------------------------------------------------
 */

/* A newer instance than the one that has the file open, as far as both say. */
static gboolean
is_newer(const Smb2CreateContexts *x, const Smb2Open *open)
{
    if (!open->has_app_version)
        return TRUE;
    if (!x->has_app_version || open->app_version[0] > x->app_version[0])
        return FALSE;
    return open->app_version[0] < x->app_version[0] || open->app_version[1] < x->app_version[1];
}

uint32_t
smb2_create_replace_instance(Smb2Op *op, Smb2Create *c, const LaresNode *node)
{
    if (!c->contexts.has_app_instance || op->connection->dialect < SMB2_DIALECT_300)
        return STATUS_SUCCESS;
    g_autoptr(GPtrArray) found = smb2_opens_of_instance(op->service->opens, op, c->contexts.app_instance, node);
    for (guint i = 0; i < found->len; i++)
        if (op->connection->dialect == SMB2_DIALECT_311 && !is_newer(&c->contexts, found->pdata[i]))
            return STATUS_FILE_FORCED_CLOSED;
    gboolean may_read = (c->maximal & SMB2_FILE_GENERIC_READ) == SMB2_FILE_GENERIC_READ;
    for (guint i = 0; i < found->len; i++)
        if (may_read)
            smb2_open_close(found->pdata[i]);
    return STATUS_SUCCESS;
}

/* ---- Contexts of the response --------------------------------------------------------------------------------------
 */

static void
put_lease(Smb2Op *op, Smb2Create *c, size_t *last)
{
    uint8_t data[52] = {0};
    uint16_t epoch;
    gboolean breaking;
    Smb2Lease *lease = c->open->lease;
    if (!lease || !lease->keyed)
        return;
    memcpy(data, lease->table_key + 16, 16);
    smb2_set_u32(data + 16, lares_lease_state(lease->core, &epoch, &breaking));
    smb2_set_u32(data + 20, (breaking ? SMB2_LEASE_FLAG_BREAK_IN_PROGRESS : 0) |
                                (lease->has_parent ? SMB2_LEASE_FLAG_PARENT_LEASE_KEY : 0));
    if (lease->has_parent)
        memcpy(data + 32, lease->parent_key + 16, 16);
    smb2_set_u16(data + 48, epoch);
    smb2_create_context_put(op->out, last, "RqLs", data, lease->version == 2 ? 52 : 32);
}

static void
put_maximal(Smb2Op *op, Smb2Create *c, size_t *last)
{
    uint8_t data[8];
    uint32_t status = STATUS_SUCCESS;
    Smb2Basic basic;
    if (c->contexts.has_mxac_time && smb2_basic_get(op, c->open, &basic) == STATUS_SUCCESS &&
        basic.written == c->contexts.mxac_time)
        return;            /* the client knows it already */
    if (!c->has_maximal) { /* a replayed CREATE's open may be renamed meanwhile */
        LaresObject parent = {NULL, NULL};
        g_mutex_lock(&c->open->lock);
        if (c->open->parent.node)
            lares_object_copy(&parent, &c->open->parent);
        g_mutex_unlock(&c->open->lock);
        status = smb2_maximal_access(op, &c->open->object, &parent, &c->maximal);
        lares_object_clear(&parent);
    }
    smb2_set_u32(data, status);
    smb2_set_u32(data + 4, status == STATUS_SUCCESS ? c->maximal : 0);
    smb2_create_context_put(op->out, last, "MxAc", data, sizeof data);
}

static void
put_file_id(Smb2Op *op, Smb2Create *c, size_t *last)
{
    uint8_t data[32] = {0};
    smb2_set_u64(data, (c->open->base.node ? c->open->base.node : c->open->object.node)->fileid);
    smb2_set_u64(data + 8, op->share->id);
    smb2_create_context_put(op->out, last, "QFid", data, sizeof data);
}

static void
put_durable(Smb2Op *op, Smb2Create *c, size_t *last)
{
    uint8_t data[8] = {0};
    if (c->open->durability == SMB2_DURABLE_V1 && c->contexts.dhnq)
        smb2_create_context_put(op->out, last, "DHnQ", data, sizeof data);
    smb2_set_u32(data, c->open->timeout);
    /* A replay that asks for less is told of less, though the open keeps what it has. */
    gboolean less = c->replayed && !c->contexts.has_lease && c->oplock != SMB2_OPLOCK_LEVEL_BATCH;
    if (c->open->durability == SMB2_DURABLE_V2 && c->contexts.dh2q && !less)
        smb2_create_context_put(op->out, last, "DH2Q", data, sizeof data);
}

void
smb2_create_contexts_answer(Smb2Op *op, Smb2Create *c, size_t *offset, size_t *len)
{
    size_t last = 0;
    smb2_align(op->out, op->response, 8);
    size_t at = op->out->len;
    if (c->open->open) {
        put_lease(op, c, &last);
        put_durable(op, c, &last);
        if (c->contexts.mxac)
            put_maximal(op, c, &last);
        if (c->contexts.qfid)
            put_file_id(op, c, &last);
        if (c->contexts.aapl)
            smb2_apple_answer(op, &c->contexts, &last);
    }
    *len = op->out->len - at;
    *offset = *len ? at - op->response : 0;
}
