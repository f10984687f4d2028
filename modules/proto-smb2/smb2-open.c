/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of opens: by volatile id, and for those that may wait for their client by persistent id and create guid.
 *
 * Spec: [MS-SMB2] 3.3.1.10, 3.3.5.2.7.2, 3.3.5.2.10. */
#include "smb2-open-table.h"
#include "smb2-session.h"

#include <string.h>

/* Numbers as they are handed out lie apart, so that they spread in the tables as they are. */
static guint
hash_id(gconstpointer key)
{
    uint64_t id;
    memcpy(&id, key, sizeof id);
    return (guint)(id ^ id >> 32);
}

static gboolean
equal_id(gconstpointer a, gconstpointer b)
{
    return memcmp(a, b, sizeof(uint64_t)) == 0;
}

static guint
hash_32(gconstpointer key)
{
    const uint8_t *p = key;
    guint h = 2166136261u;
    for (int i = 0; i < 32; i++)
        h = (h ^ p[i]) * 16777619u;
    return h;
}

static gboolean
equal_32(gconstpointer a, gconstpointer b)
{
    return memcmp(a, b, 32) == 0;
}

Smb2Opens *
smb2_opens_new(Smb2Service *service, GError **error)
{
    Smb2Opens *opens = g_new0(Smb2Opens, 1);
    opens->service = service;
    g_mutex_init(&opens->lock);
    opens->by_volatile = g_hash_table_new(hash_id, equal_id);
    opens->by_persistent = g_hash_table_new(hash_id, equal_id);
    opens->by_guid = g_hash_table_new_full(hash_32, equal_32, g_free, NULL);
    opens->leases = g_hash_table_new(hash_32, equal_32);
    opens->making = g_hash_table_new(hash_32, equal_32);
    /* A FileId of another life of the server must not mean anything in this one. */
    opens->next = lares_host_boot_id(service->host) << 20 | 1;
    return opens;
}

void
smb2_opens_lock(Smb2Opens *opens)
{
    g_mutex_lock(&opens->lock);
}

void
smb2_opens_unlock(Smb2Opens *opens)
{
    g_mutex_unlock(&opens->lock);
}

GHashTable *
smb2_opens_leases(Smb2Opens *opens)
{
    return opens->leases;
}

guint
smb2_opens_count(Smb2Opens *opens)
{
    g_mutex_lock(&opens->lock);
    guint n = g_hash_table_size(opens->by_volatile);
    g_mutex_unlock(&opens->lock);
    return n;
}

/* ---- One open --------------------------------------------------------------------------------------------------- */

/* Session locked. */
static LaresHolder *
new_holder(const Smb2Session *session)
{
    char id[20];
    const Smb2Channel *channel = session->channels->len ? session->channels->pdata[0] : NULL;
    LaresHolder *holder = lares_holder_new("smb2", NULL, NULL, NULL);
    g_snprintf(id, sizeof id, "%016" G_GINT64_MODIFIER "x", session->id);
    lares_holder_set_origin(holder, id, channel ? lares_connection_peer(channel->connection->net)->address : NULL);
    return holder;
}

LaresHolder *
smb2_session_holder(Smb2Session *session)
{
    LaresHolder *holder;
    g_mutex_lock(&session->lock);
    if (session->opens)
        holder = lares_holder_ref(session->opens);
    else
        holder = new_holder(session);
    /* After the end nobody would give back what the session keeps: then it is its user's alone. */
    if (!session->opens && g_atomic_int_get(&session->state) != SMB2_SESSION_ENDED)
        session->opens = lares_holder_ref(holder);
    g_mutex_unlock(&session->lock);
    return holder;
}

void
smb2_session_drop_holder(Smb2Session *session)
{
    g_mutex_lock(&session->lock);
    LaresHolder *holder = g_steal_pointer(&session->opens);
    g_mutex_unlock(&session->lock);
    if (holder)
        lares_holder_unref(holder);
}

Smb2Open *
smb2_open_new(Smb2Op *op)
{
    Smb2Open *open = g_new0(Smb2Open, 1);
    open->ref = 1;
    open->service = op->service;
    g_mutex_init(&open->lock);
    open->session = smb2_session_ref(op->session);
    open->tree = smb2_tree_ref(op->tree);
    open->principal = smb2_session_principal(op->session);
    open->opener = lares_identity_ref(op->caller.identity);
    memcpy(open->client_guid, op->connection->client_guid, 16);
    open->channel_sequence = op->channel_sequence;
    open->share_id = op->share ? op->share->id : 0;
    return open;
}

Smb2Open *
smb2_open_ref(Smb2Open *open)
{
    g_atomic_int_inc(&open->ref);
    return open;
}

void
smb2_open_unref(Smb2Open *open)
{
    if (!g_atomic_int_dec_and_test(&open->ref))
        return;
    if (open->open)
        lares_open_unref(open->open);
    if (open->base_open)
        lares_open_unref(open->base_open);
    if (open->lease)
        smb2_lease_unref(open->lease);
    if (open->enumeration && open->enumeration_free)
        open->enumeration_free(open->enumeration);
    if (open->pipe && smb2_pipe_free)
        smb2_pipe_free(open->pipe);
    lares_object_clear(&open->object);
    lares_object_clear(&open->base);
    lares_object_clear(&open->parent);
    if (open->session)
        smb2_session_unref(open->session);
    if (open->tree)
        smb2_tree_unref(open->tree);
    if (open->last_identity)
        lares_identity_unref(open->last_identity);
    lares_identity_unref(open->opener);
    if (open->comers)
        g_ptr_array_unref(open->comers);
    g_free(open->principal);
    g_free(open->stream);
    g_free(open->path);
    g_free(open->name);
    g_mutex_clear(&open->lock);
    g_free(open);
}

void
smb2_opens_guid_key(const uint8_t client[16], const uint8_t guid[16], uint8_t key[32])
{
    memcpy(key, client, 16);
    memcpy(key + 16, guid, 16);
}

static void
enter_list(GQueue *list, GList *link, Smb2Open *open)
{
    link->data = open;
    g_queue_push_tail_link(list, link);
}

static void
leave_list(GQueue *list, GList *link)
{
    if (link->data)
        g_queue_unlink(list, link);
    link->data = NULL;
}

void
smb2_open_enter_lists(Smb2Open *open)
{
    enter_list(&open->session->open_list, &open->session_link, open);
    enter_list(&open->tree->open_list, &open->tree_link, open);
}

void
smb2_open_leave_lists(Smb2Open *open)
{
    leave_list(open->session ? &open->session->open_list : &open->service->opens->away, &open->session_link);
    if (open->tree)
        leave_list(&open->tree->open_list, &open->tree_link);
}

uint32_t
smb2_opens_add(Smb2Opens *opens, Smb2Open *open)
{
    uint32_t status = STATUS_SUCCESS;
    uint8_t key[32];
    smb2_opens_guid_key(open->client_guid, open->create_guid, key);
    g_mutex_lock(&opens->lock);
    if (g_hash_table_size(opens->by_volatile) >= SMB2_MAX_OPENS ||
        open->session->open_list.length >= SMB2_MAX_OPENS_PER_SESSION) {
        status = STATUS_INSUFFICIENT_RESOURCES;
    } else if (open->persistent && g_hash_table_contains(opens->by_guid, key)) {
        status = STATUS_DUPLICATE_OBJECTID;
    } else {
        open->persistent_id = opens->next++;
        open->volatile_id = opens->next++;
        g_hash_table_insert(opens->by_volatile, &open->volatile_id, smb2_open_ref(open));
        if (open->durability)
            g_hash_table_insert(opens->by_persistent, &open->persistent_id, open);
        g_atomic_int_set(&open->replayable, open->persistent);
        if (open->persistent)
            g_hash_table_insert(opens->by_guid, g_memdup2(key, sizeof key), open);
        g_atomic_int_inc(&open->tree->n_opens);
        smb2_open_enter_lists(open);
        if (open->lease)
            enter_list(&open->lease->opens, &open->lease_link, open);
        if (open->has_app_instance)
            enter_list(&opens->instances, &open->instance_link, open);
    }
    g_mutex_unlock(&opens->lock);
    return status;
}

/* The client has its number: the CREATE that made it is not replayed any more (Open.IsReplayEligible). */
static void
forget_guid(Smb2Opens *opens, Smb2Open *open)
{
    uint8_t key[32];
    smb2_opens_guid_key(open->client_guid, open->create_guid, key);
    if (g_hash_table_lookup(opens->by_guid, key) == open)
        g_hash_table_remove(opens->by_guid, key);
    g_atomic_int_set(&open->replayable, FALSE);
}

static void
smb2_opens_forget_guid(Smb2Opens *opens, Smb2Open *open)
{
    if (!g_atomic_int_get(&open->replayable))
        return;
    g_mutex_lock(&opens->lock);
    forget_guid(opens, open);
    g_mutex_unlock(&opens->lock);
}

/* Takes it out of the tables; TRUE if it was there. */
static gboolean
opens_remove(Smb2Opens *opens, Smb2Open *open)
{
    g_mutex_lock(&opens->lock);
    gboolean was_there = g_hash_table_lookup(opens->by_volatile, &open->volatile_id) == open;
    if (was_there) {
        g_hash_table_remove(opens->by_volatile, &open->volatile_id);
        if (open->durability)
            g_hash_table_remove(opens->by_persistent, &open->persistent_id);
        if (open->persistent)
            forget_guid(opens, open);
        if (open->tree)
            g_atomic_int_add(&open->tree->n_opens, -1);
        smb2_open_leave_lists(open);
        if (open->lease)
            leave_list(&open->lease->opens, &open->lease_link);
        leave_list(&opens->instances, &open->instance_link);
    }
    g_mutex_unlock(&opens->lock);
    return was_there;
}

/* Is the name that `open` was opened by one of several, and not in the way of another open? */
static gboolean
link_may_go(Smb2Open *open, const LaresCaller *caller, const LaresNode *dir, const char *name)
{
    Smb2Opens *opens = open->service->opens;
    GHashTableIter iter;
    gpointer value;
    LaresAttrs attrs;
    gboolean mine = TRUE;
    if (open->is_directory || lares_open_count(open->open) < 2 ||
        lares_files_getattr(open->service->files, caller, &open->object, LARES_ATTR_NLINK, &attrs, NULL) != LARES_OK ||
        attrs.nlink < 2)
        return FALSE;
    g_autoptr(GPtrArray) others = g_ptr_array_new_with_free_func((GDestroyNotify)smb2_open_unref);
    g_mutex_lock(&opens->lock);
    g_hash_table_iter_init(&iter, opens->by_volatile);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        if (value != open && ((Smb2Open *)value)->object.node == open->object.node)
            g_ptr_array_add(others, smb2_open_ref(value));
    g_mutex_unlock(&opens->lock);
    for (guint i = 0; mine && i < others->len; i++) {
        Smb2Open *other = others->pdata[i];
        g_mutex_lock(&other->lock);
        mine = other->parent.node != dir || g_strcmp0(other->name, name) != 0;
        g_mutex_unlock(&other->lock);
    }
    return mine;
}

/* With FILE_DELETE_ON_CLOSE the file is to go from now on ([MS-FSA] 2.1.5.5), as whoever opened it: this name of it
 * with the last open by this name, whatever other names are open. */
static void
mark_for_deletion(Smb2Open *open)
{
    LaresObject parent = {NULL, NULL};
    g_mutex_lock(&open->lock);
    Smb2Session *session = open->session ? smb2_session_ref(open->session) : NULL;
    const LaresFlavor *flavor = open->tree ? smb2_tree_flavor(open->tree) : open->last_flavor;
    g_autoptr(LaresIdentity) identity = open->last_identity ? lares_identity_ref(open->last_identity) : NULL;
    if (open->name)
        lares_object_copy(&parent, &open->parent);
    g_autofree char *name = g_strdup(open->name);
    g_mutex_unlock(&open->lock);
    if (session && !identity)
        identity = smb2_session_identity(session);
    if (identity && flavor && name && !lares_open_delete_pending(open->open)) {
        LaresPeer nobody = {"", 0, FALSE};
        LaresCaller caller = {identity, flavor, &nobody, "smb2", NULL};
        gboolean before = lares_store_pass(parent.share && parent.share->options & LARES_SHARE_SMB_BYPASS_TRAVERSE);
        lares_files_contend_name(open->service->files, &open->object, open->open, NULL); /* told, not waited for */
        if (open->base.node)
            lares_files_stream_delete_on_close(open->service->files, &caller, open->open, &open->base, TRUE);
        else if (link_may_go(open, &caller, parent.node, name))
            lares_files_delete_link(open->service->files, &caller, open->open, &parent, name);
        else if (open->action == SMB2_ACTION_CREATED)
            lares_files_delete_on_close_made(open->service->files, open->open, &parent, name);
        else
            lares_files_delete_on_close(open->service->files, &caller, open->open, &parent, name, TRUE);
        lares_store_pass(before);
        if (lares_open_delete_pending(open->open))
            smb2_opens_away_give_way(open->service->opens, open->object.node);
    }
    lares_object_clear(&parent);
    if (session)
        smb2_session_unref(session);
}

void
smb2_open_close(Smb2Open *open)
{
    if (!g_atomic_int_compare_and_exchange(&open->closed, 0, 1))
        return;
    gboolean was_there = opens_remove(open->service->opens, open);
    g_mutex_lock(&open->lock); /* CHANGE_NOTIFY starts none once it saw `closed` under this lock */
    gpointer notify = g_steal_pointer(&open->notify);
    GDestroyNotify notify_free = open->notify_free;
    GPtrArray *comers = g_steal_pointer(&open->comers);
    g_mutex_unlock(&open->lock);
    if (comers)
        g_ptr_array_unref(comers); /* who waited for it is told that it is not there */
    if (notify && notify_free)
        notify_free(notify);
    if (open->open) {
        smb2_open_tell(open);
        if (g_atomic_int_get(&open->delete_on_close))
            mark_for_deletion(open);
        lares_open_close(open->open);
    }
    if (open->base_open)
        lares_open_close(open->base_open);
    if (was_there)
        smb2_open_unref(open);
}

/* ---- Finding ---------------------------------------------------------------------------------------------------- */

static Smb2Open *
find_for(Smb2Op *op, uint64_t persistent, uint64_t volatile_id)
{
    Smb2Opens *opens = op->service->opens;
    g_mutex_lock(&opens->lock);
    Smb2Open *open = g_hash_table_lookup(opens->by_volatile, &volatile_id);
    if (open && (open->persistent_id != persistent || open->session != op->session ||
                 (op->tree && open->tree != op->tree) || g_atomic_int_get(&open->closed)))
        open = NULL;
    if (open)
        smb2_open_ref(open);
    g_mutex_unlock(&opens->lock);
    return open;
}

uint32_t
smb2_op_open(Smb2Op *op, const uint8_t *file_id)
{
    static const uint8_t any[SMB2_FILE_ID_SIZE] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                                   0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    uint8_t id[SMB2_FILE_ID_SIZE];
    memcpy(id, file_id, sizeof id);
    if (op->related && memcmp(id, any, sizeof any) == 0) {
        if (op->chain->failed)
            return op->chain->failed;
        if (!op->chain->has_file_id)
            return STATUS_INVALID_PARAMETER;
        memcpy(id, op->chain->file_id, sizeof id);
    }
    op->open = find_for(op, smb2_get_u64(id), smb2_get_u64(id + 8));
    if (!op->open) {
        op->chain->failed = STATUS_FILE_CLOSED;
        return STATUS_FILE_CLOSED;
    }
    if (op->open->lease && op->open->lease->has_parent)
        lares_leases_spare(op->open->lease->parent_key);
    memcpy(op->chain->file_id, id, sizeof id);
    op->chain->has_file_id = TRUE;
    op->chain->failed = 0;
    smb2_opens_forget_guid(op->service->opens, op->open);
    return smb2_open_take_sequence(op, op->open);
}

Smb2Open *
smb2_opens_by_guid(Smb2Opens *opens, const uint8_t client[16], const uint8_t guid[16])
{
    uint8_t key[32];
    smb2_opens_guid_key(client, guid, key);
    g_mutex_lock(&opens->lock);
    Smb2Open *open = g_hash_table_lookup(opens->by_guid, key);
    if (open)
        smb2_open_ref(open);
    g_mutex_unlock(&opens->lock);
    return open;
}

Smb2Open *
smb2_opens_by_persistent(Smb2Opens *opens, uint64_t id)
{
    g_mutex_lock(&opens->lock);
    Smb2Open *open = g_hash_table_lookup(opens->by_persistent, &id);
    if (open)
        smb2_open_ref(open);
    g_mutex_unlock(&opens->lock);
    return open;
}

Smb2Session *
smb2_opens_session_of_lease(Smb2Opens *opens, const Smb2Lease *lease, Smb2Open **which)
{
    Smb2Session *session = NULL;
    g_mutex_lock(&opens->lock);
    for (const GList *l = lease->opens.head; l && !session; l = l->next) {
        Smb2Open *open = l->data;
        g_mutex_lock(&open->lock);
        if (open->session) {
            session = smb2_session_ref(open->session);
            *which = smb2_open_ref(open);
        }
        g_mutex_unlock(&open->lock);
    }
    g_mutex_unlock(&opens->lock);
    return session;
}

Smb2Open *
smb2_opens_by_resume_key(Smb2Opens *opens, const Smb2Session *session, const uint8_t key[24])
{
    uint64_t id = smb2_get_u64(key + 8);
    g_mutex_lock(&opens->lock);
    Smb2Open *open = g_hash_table_lookup(opens->by_volatile, &id);
    if (open && (open->session != session || open->persistent_id != smb2_get_u64(key) || smb2_get_u64(key + 16)))
        open = NULL;
    if (open)
        smb2_open_ref(open);
    g_mutex_unlock(&opens->lock);
    return open;
}

/* ---- Closing many ----------------------------------------------------------------------------------------------- */

static gint
by_age(gconstpointer a, gconstpointer b)
{
    const Smb2Open *x = *(Smb2Open *const *)a, *y = *(Smb2Open *const *)b;
    return x->persistent_id < y->persistent_id ? -1 : x->persistent_id > y->persistent_id;
}

GPtrArray *
smb2_opens_collect(Smb2Opens *opens, const GQueue *list)
{
    GPtrArray *found = g_ptr_array_new_with_free_func((GDestroyNotify)smb2_open_unref);
    g_mutex_lock(&opens->lock);
    for (const GList *l = list->head; l; l = l->next)
        g_ptr_array_add(found, smb2_open_ref(l->data));
    g_mutex_unlock(&opens->lock);
    g_ptr_array_sort(found, by_age);
    return found;
}

static void
close_list(Smb2Opens *opens, const GQueue *list)
{
    g_autoptr(GPtrArray) found = smb2_opens_collect(opens, list);
    for (guint i = 0; i < found->len; i++)
        smb2_open_close(found->pdata[i]);
}

void
smb2_opens_of_tree_close(Smb2Tree *tree)
{
    close_list(tree->session->service->opens, &tree->open_list);
}

void
smb2_opens_of_session_close(Smb2Session *session)
{
    close_list(session->service->opens, &session->open_list);
    smb2_session_drop_holder(session);
}

void
smb2_opens_free(Smb2Opens *opens)
{
    GHashTableIter iter;
    gpointer value;
    if (!opens)
        return;
    g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func((GDestroyNotify)smb2_open_unref);
    g_hash_table_iter_init(&iter, opens->by_volatile);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        g_ptr_array_add(all, smb2_open_ref(value));
    for (guint i = 0; i < all->len; i++)
        smb2_open_close(all->pdata[i]);
    g_ptr_array_set_size(all, 0);
    g_hash_table_unref(opens->by_volatile);
    g_hash_table_unref(opens->by_persistent);
    g_hash_table_unref(opens->by_guid);
    g_hash_table_unref(opens->leases);
    g_hash_table_unref(opens->making);
    g_mutex_clear(&opens->lock);
    g_free(opens);
}

GPtrArray *
smb2_opens_of_instance(Smb2Opens *opens, const Smb2Op *op, const uint8_t instance[16], const LaresNode *node)
{
    g_autoptr(GPtrArray) all = smb2_opens_collect(opens, &opens->instances);
    GPtrArray *found = g_ptr_array_new_with_free_func((GDestroyNotify)smb2_open_unref);
    for (guint i = 0; i < all->len; i++) {
        Smb2Open *open = all->pdata[i];
        if (memcmp(open->app_instance, instance, 16) == 0 && open->object.node == node &&
            open->share_id == op->share->id && memcmp(open->client_guid, op->connection->client_guid, 16) != 0)
            g_ptr_array_add(found, smb2_open_ref(open));
    }
    return found;
}

GPtrArray *
smb2_opens_away(Smb2Opens *opens)
{
    return smb2_opens_collect(opens, &opens->away);
}

Smb2Open *
smb2_opens_below(Smb2Opens *opens, uint32_t share_id, const char *path)
{
    size_t len = strlen(path);
    Smb2Open *found = NULL;
    GHashTableIter iter;
    gpointer value;
    g_mutex_lock(&opens->lock);
    g_hash_table_iter_init(&iter, opens->by_volatile);
    while (!found && g_hash_table_iter_next(&iter, NULL, &value)) {
        Smb2Open *open = value;
        if (open->share_id != share_id || !open->open)
            continue;
        g_mutex_lock(&open->lock);
        if (open->path && strncmp(open->path, path, len) == 0 && open->path[len] == '/')
            found = smb2_open_ref(open);
        g_mutex_unlock(&open->lock);
    }
    g_mutex_unlock(&opens->lock);
    return found;
}
