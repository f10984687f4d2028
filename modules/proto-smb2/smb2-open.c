/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of opens: by volatile id, and for those that may wait for their client by persistent id and create guid.
 *
 * Spec: [MS-SMB2] 3.3.1.10, 3.3.5.2.7.2, 3.3.5.2.10. */
#include "smb2-lease.h"

#include <string.h>

struct _Smb2Opens {
    Smb2Service *service;
    GMutex lock;
    GHashTable *by_volatile;   /* uint64_t* -> Smb2Open (a reference) */
    GHashTable *by_persistent; /* uint64_t* -> Smb2Open: durable ones (no reference) */
    GHashTable *by_guid;       /* 32 bytes -> Smb2Open: those with a create guid (no reference) */
    GHashTable *leases;        /* 32 bytes -> Smb2Lease (no reference) */
    uint64_t next;
};

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

LaresHolder *
smb2_session_holder(Smb2Session *session)
{
    LaresHolder *holder;
    g_mutex_lock(&session->lock);
    if (session->opens)
        holder = lares_holder_ref(session->opens);
    else
        holder = lares_holder_new("smb2", NULL, NULL, NULL);
    /* After the end nobody would give back what the session keeps: then it is its user's alone. */
    if (!session->opens && g_atomic_int_get(&session->state) != SMB2_SESSION_ENDED)
        session->opens = lares_holder_ref(holder);
    g_mutex_unlock(&session->lock);
    return holder;
}

static void
drop_holder(Smb2Session *session)
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
    g_free(open->principal);
    g_free(open->stream);
    g_free(open->path);
    g_free(open->name);
    g_mutex_clear(&open->lock);
    g_free(open);
}

static void
guid_key(const uint8_t client[16], const uint8_t guid[16], uint8_t key[32])
{
    memcpy(key, client, 16);
    memcpy(key + 16, guid, 16);
}

uint32_t
smb2_opens_add(Smb2Opens *opens, Smb2Open *open)
{
    uint32_t status = STATUS_SUCCESS;
    uint8_t key[32];
    guid_key(open->client_guid, open->create_guid, key);
    g_mutex_lock(&opens->lock);
    if (g_hash_table_size(opens->by_volatile) >= SMB2_MAX_OPENS ||
        g_atomic_int_get(&open->tree->n_opens) >= (gint)SMB2_MAX_OPENS_PER_SESSION) {
        status = STATUS_INSUFFICIENT_RESOURCES;
    } else if (open->persistent && g_hash_table_contains(opens->by_guid, key)) {
        status = STATUS_DUPLICATE_OBJECTID;
    } else {
        open->persistent_id = opens->next++;
        open->volatile_id = opens->next++;
        g_hash_table_insert(opens->by_volatile, &open->volatile_id, smb2_open_ref(open));
        if (open->durability)
            g_hash_table_insert(opens->by_persistent, &open->persistent_id, open);
        if (open->persistent)
            g_hash_table_insert(opens->by_guid, g_memdup2(key, sizeof key), open);
        g_atomic_int_inc(&open->tree->n_opens);
    }
    g_mutex_unlock(&opens->lock);
    return status;
}

/* Takes it out of the tables; TRUE if it was there. */
static gboolean
opens_remove(Smb2Opens *opens, Smb2Open *open)
{
    uint8_t key[32];
    guid_key(open->client_guid, open->create_guid, key);
    g_mutex_lock(&opens->lock);
    gboolean was_there = g_hash_table_lookup(opens->by_volatile, &open->volatile_id) == open;
    if (was_there) {
        g_hash_table_remove(opens->by_volatile, &open->volatile_id);
        if (open->durability)
            g_hash_table_remove(opens->by_persistent, &open->persistent_id);
        if (open->persistent)
            g_hash_table_remove(opens->by_guid, key);
        if (open->tree)
            g_atomic_int_add(&open->tree->n_opens, -1);
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
    const LaresFlavor *flavor = open->tree ? open->tree->flavor : open->last_flavor;
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
        if (open->base.node)
            lares_files_stream_delete_on_close(open->service->files, &caller, open->open, &open->base, TRUE);
        else if (link_may_go(open, &caller, parent.node, name))
            lares_files_delete_link(open->service->files, &caller, open->open, &parent, name);
        else if (open->action == SMB2_ACTION_CREATED)
            lares_files_delete_on_close_made(open->service->files, open->open, &parent, name);
        else
            lares_files_delete_on_close(open->service->files, &caller, open->open, &parent, name, TRUE);
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
    g_mutex_unlock(&open->lock);
    if (notify && notify_free)
        notify_free(notify);
    if (open->open) {
        if (open->delete_on_close)
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
    memcpy(op->chain->file_id, id, sizeof id);
    op->chain->has_file_id = TRUE;
    op->chain->failed = 0;
    return STATUS_SUCCESS;
}

Smb2Open *
smb2_opens_by_guid(Smb2Opens *opens, const uint8_t client[16], const uint8_t guid[16])
{
    uint8_t key[32];
    guid_key(client, guid, key);
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
    GHashTableIter iter;
    gpointer value;
    g_mutex_lock(&opens->lock);
    g_hash_table_iter_init(&iter, opens->by_volatile);
    while (!session && g_hash_table_iter_next(&iter, NULL, &value)) {
        Smb2Open *open = value;
        if (open->lease != lease)
            continue;
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

typedef gboolean (*Smb2OpenTest)(const Smb2Open *open, gconstpointer data);

static gint
by_age(gconstpointer a, gconstpointer b)
{
    const Smb2Open *x = *(Smb2Open *const *)a, *y = *(Smb2Open *const *)b;
    return x->persistent_id < y->persistent_id ? -1 : x->persistent_id > y->persistent_id;
}

/* References to all that pass, the oldest first: locks go from one to the next as if each had been closed by hand. */
static GPtrArray *
collect(Smb2Opens *opens, Smb2OpenTest test, gconstpointer data)
{
    GPtrArray *found = g_ptr_array_new_with_free_func((GDestroyNotify)smb2_open_unref);
    GHashTableIter iter;
    gpointer value;
    g_mutex_lock(&opens->lock);
    g_hash_table_iter_init(&iter, opens->by_volatile);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        if (test(value, data))
            g_ptr_array_add(found, smb2_open_ref(value));
    }
    g_mutex_unlock(&opens->lock);
    g_ptr_array_sort(found, by_age);
    return found;
}

static void
close_all(Smb2Opens *opens, Smb2OpenTest test, gconstpointer data)
{
    g_autoptr(GPtrArray) found = collect(opens, test, data);
    for (guint i = 0; i < found->len; i++)
        smb2_open_close(found->pdata[i]);
}

static gboolean
is_of_tree(const Smb2Open *open, gconstpointer tree)
{
    return open->tree == tree;
}

static gboolean
is_of_session(const Smb2Open *open, gconstpointer session)
{
    return open->session == session;
}

static gboolean
is_any(const Smb2Open *open, gconstpointer data)
{
    return TRUE;
}

static gboolean
is_waiting_with_lease(const Smb2Open *open, gconstpointer lease)
{
    return !open->session && open->lease == lease;
}

void
smb2_opens_of_tree_close(Smb2Tree *tree)
{
    if (g_atomic_int_get(&tree->n_opens))
        close_all(tree->session->service->opens, is_of_tree, tree);
}

void
smb2_opens_of_session_close(Smb2Session *session)
{
    close_all(session->service->opens, is_of_session, session);
    drop_holder(session);
}

void
smb2_opens_close_disconnected(Smb2Opens *opens, const Smb2Lease *lease)
{
    close_all(opens, is_waiting_with_lease, lease);
}

void
smb2_opens_free(Smb2Opens *opens)
{
    if (!opens)
        return;
    close_all(opens, is_any, NULL);
    g_hash_table_unref(opens->by_volatile);
    g_hash_table_unref(opens->by_persistent);
    g_hash_table_unref(opens->by_guid);
    g_hash_table_unref(opens->leases);
    g_mutex_clear(&opens->lock);
    g_free(opens);
}

typedef struct {
    uint32_t share_id;
    const char *path;
    size_t len;
} Below;

static gboolean
is_below(const Smb2Open *open, gconstpointer data)
{
    const Below *b = data;
    GMutex *lock = (GMutex *)(uintptr_t)&open->lock; /* the open is the table's; only its lock changes */
    if (open->share_id != b->share_id || !open->open)
        return FALSE;
    g_mutex_lock(lock);
    gboolean below = open->path && strncmp(open->path, b->path, b->len) == 0 && open->path[b->len] == '/';
    g_mutex_unlock(lock);
    return below;
}

Smb2Open *
smb2_opens_below(Smb2Opens *opens, uint32_t share_id, const char *path)
{
    Below data = {share_id, path, strlen(path)};
    g_autoptr(GPtrArray) found = collect(opens, is_below, &data);
    return found->len ? smb2_open_ref(found->pdata[0]) : NULL;
}

typedef struct {
    const uint8_t *instance, *client;
} Instance;

static gboolean
is_other_instance(const Smb2Open *open, gconstpointer data)
{
    const Instance *i = data;
    return open->has_app_instance && memcmp(open->app_instance, i->instance, 16) == 0 &&
           memcmp(open->client_guid, i->client, 16) != 0;
}

void
smb2_opens_replace_instance(Smb2Opens *opens, const Smb2Op *op, const uint8_t instance[16])
{
    Instance data = {instance, op->connection->client_guid};
    close_all(opens, is_other_instance, &data);
}

/* ---- Durable: the client is away -------------------------------------------------------------------------------- */

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

/* May it be kept? What promised that nobody came meanwhile must still be held ([MS-SMB2] 3.3.7.1). */
static gboolean
survives(Smb2Open *open)
{
    if (!open->durability || !open->lease)
        return FALSE;
    gboolean breaking;
    uint32_t state = lares_lease_state(open->lease->core, NULL, &breaking);
    return !breaking && (state & LARES_LEASE_HANDLE) != 0;
}

static gboolean
is_away(const Smb2Open *open, gconstpointer data)
{
    return !open->session;
}

GPtrArray *
smb2_opens_away(Smb2Opens *opens)
{
    return collect(opens, is_away, NULL);
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
    g_mutex_lock(&open->lock);
    LaresIdentity *before = open->last_identity;
    open->last_identity = g_steal_pointer(&identity);
    identity = before;
    open->last_login = login;
    open->last_credential = credential;
    open->last_flavor = open->tree ? open->tree->flavor : NULL;
    Smb2Session *session = g_steal_pointer(&open->session);
    Smb2Tree *tree = g_steal_pointer(&open->tree);
    Scavenge s = {smb2_open_ref(open), ++open->disconnects};
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
}

void
smb2_opens_of_session_disconnect(Smb2Session *session)
{
    g_autoptr(GPtrArray) found = collect(session->service->opens, is_of_session, session);
    for (guint i = 0; i < found->len; i++) {
        Smb2Open *open = found->pdata[i];
        if (survives(open))
            set_away(open, session);
        else
            smb2_open_close(open);
    }
    drop_holder(session);
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
        open->session = smb2_session_ref(op->session);
        open->tree = smb2_tree_ref(op->tree);
        open->channel_sequence = op->channel_sequence;
        open->requests = open->pre_requests = 0;
        g_atomic_int_inc(&op->tree->n_opens);
    }
    g_mutex_unlock(&open->lock);
    g_mutex_unlock(&opens->lock);
    return free_to_take;
}
