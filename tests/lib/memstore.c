/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The store in memory: objects and names. */
#include "memstore-private.h"

typedef struct {
    GObjectClass parent;
} MemStoreClass;

static void iface_init(LaresStoreInterface *iface);
GType mem_store_get_type(void);
G_DEFINE_TYPE_WITH_CODE(MemStore, mem_store, G_TYPE_OBJECT, G_IMPLEMENT_INTERFACE(LARES_TYPE_STORE, iface_init))

#define MAGIC "MEM1"

static void
entry_free(gpointer data)
{
    MemEntry *entry = data;
    g_free(entry->name);
    g_free(entry);
}

static void
node_destroy(gpointer data)
{
    MemNode *node = data;
    g_byte_array_unref(node->data);
    g_hash_table_unref(node->xattrs);
    g_ptr_array_unref(node->entries);
    lares_acl_free(node->acl);
    g_free(node->target);
    g_free(node);
}

static MemNode *
node_new(MemStore *store, LaresFileType type, uint32_t mode, uint32_t uid, uint32_t gid, MemNode *parent)
{
    MemNode *node = g_new0(MemNode, 1);
    g_ptr_array_add(store->nodes, node);
    node->base = (LaresNode){.ref = 0, .type = type, .store = (LaresStore *)store, .fileid = store->nodes->len};
    node->base.handle.len = 12;
    memcpy(node->base.handle.bytes, MAGIC, 4);
    memcpy(node->base.handle.bytes + 4, &node->base.fileid, 8);
    node->attrs = (LaresAttrs){.mask = LARES_ATTR_STAT,
                               .type = type,
                               .mode = mode,
                               .uid = uid,
                               .gid = gid,
                               .nlink = type == LARES_TYPE_DIRECTORY ? 2 : 1,
                               .fileid = node->base.fileid,
                               .fsid_major = 0x4d454d,
                               .fsid_minor = 1};
    node->data = g_byte_array_new();
    node->xattrs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_bytes_unref);
    node->entries = g_ptr_array_new_with_free_func(entry_free);
    node->parent = parent;
    memstore_touch(store, node, TRUE);
    node->attrs.btime = node->attrs.atime = node->attrs.ctime;
    return node;
}

static void
mem_store_init(MemStore *store)
{
    g_mutex_init(&store->lock);
    store->nodes = g_ptr_array_new_with_free_func(node_destroy);
    store->next_cookie = 3;
    store->clock = (uint64_t)g_get_real_time() * 1000;
    node_new(store, LARES_TYPE_DIRECTORY, 0777, 0, 0, NULL);
}

static void
finalize(GObject *object)
{
    MemStore *store = MEMSTORE(object);
    g_ptr_array_unref(store->nodes);
    g_mutex_clear(&store->lock);
    g_free(store->fail_operation);
    G_OBJECT_CLASS(mem_store_parent_class)->finalize(object);
}

static void
mem_store_class_init(MemStoreClass *class)
{
    G_OBJECT_CLASS(class)->finalize = finalize;
}

LaresStore *
memstore_new(void)
{
    return g_object_new(mem_store_get_type(), NULL);
}

LaresStore *
memstore_open(LaresHost *host, const char *path, GError **error)
{
    return memstore_new();
}

void
memstore_fail_next(LaresStore *base, const char *operation, LaresStatus status)
{
    MemStore *store = MEMSTORE(base);
    g_mutex_lock(&store->lock);
    g_free(store->fail_operation);
    store->fail_operation = g_strdup(operation);
    store->fail_status = status;
    g_mutex_unlock(&store->lock);
}

uint64_t
memstore_count_calls(LaresStore *base)
{
    g_mutex_lock(&MEMSTORE(base)->lock);
    uint64_t calls = MEMSTORE(base)->calls;
    g_mutex_unlock(&MEMSTORE(base)->lock);
    return calls;
}

LaresStatus
memstore_begin(MemStore *store, const char *operation)
{
    g_mutex_lock(&store->lock);
    store->calls++;
    if (!store->fail_operation || !g_str_equal(store->fail_operation, operation))
        return LARES_OK;
    g_clear_pointer(&store->fail_operation, g_free);
    return memstore_end(store, store->fail_status);
}

LaresStatus
memstore_end(MemStore *store, LaresStatus status)
{
    g_mutex_unlock(&store->lock);
    return status;
}

void
memstore_touch(MemStore *store, MemNode *node, gboolean data)
{
    LaresTime now = {(int64_t)(++store->clock / 1000000000u), (uint32_t)(store->clock % 1000000000u)};
    node->attrs.change = store->clock;
    node->attrs.ctime = now;
    if (data)
        node->attrs.mtime = now;
}

uint32_t
memstore_allowed(const MemNode *node, const LaresCred *cred, uint32_t mask)
{
    g_autoptr(LaresAcl) made = NULL;
    const LaresAcl *acl = node->acl;
    if (cred->uid == 0)
        return mask;
    if (!acl)
        acl = made = lares_acl_from_mode(node->attrs.mode, node->base.type == LARES_TYPE_DIRECTORY);
    return lares_acl_allowed(acl, node->attrs.uid, node->attrs.gid, cred->uid, cred->gid, cred->groups, cred->n_groups,
                             mask);
}

LaresStatus
memstore_may(const MemNode *node, const LaresCred *cred, uint32_t mask)
{
    return memstore_allowed(node, cred, mask) == mask ? LARES_OK : LARES_ACCESS;
}

static const char *
get_type_name(LaresStore *self)
{
    return "memory";
}

static LaresNode *
take(MemNode *node)
{
    return lares_node_ref(&node->base);
}

static LaresStatus
root(LaresStore *base, LaresNode **node)
{
    LaresStatus status = memstore_begin(MEMSTORE(base), "root");
    if (status != LARES_OK)
        return status;
    *node = take(MEMSTORE(base)->nodes->pdata[0]);
    return memstore_end(MEMSTORE(base), LARES_OK);
}

static gboolean
is_gone(const MemNode *node)
{
    return node->attrs.nlink == 0 && node->opens == 0;
}

static LaresStatus
from_handle(LaresStore *base, const uint8_t *bytes, size_t len, LaresNode **node)
{
    MemStore *store = MEMSTORE(base);
    uint64_t id;
    LaresStatus status = memstore_begin(store, "from_handle");
    if (status != LARES_OK)
        return status;
    if (len != 12 || memcmp(bytes, MAGIC, 4) != 0)
        return memstore_end(store, LARES_BADHANDLE);
    memcpy(&id, bytes + 4, 8);
    if (id == 0 || id > store->nodes->len)
        return memstore_end(store, LARES_BADHANDLE);
    if (is_gone(store->nodes->pdata[id - 1]))
        return memstore_end(store, LARES_STALE);
    *node = take(store->nodes->pdata[id - 1]);
    return memstore_end(store, LARES_OK);
}

static void
node_free(LaresStore *base, LaresNode *node)
{
    /* Kept until the store goes: a lookup may be taking it again at this moment. */
}

/* ---- Names ------------------------------------------------------------------------------------------------------- */

static LaresStatus
check(const LaresNode *dir, const char *name)
{
    size_t n = strlen(name);
    if (dir->type != LARES_TYPE_DIRECTORY)
        return dir->type == LARES_TYPE_SYMLINK ? LARES_SYMLINK : LARES_NOTDIR;
    if (n == 0)
        return LARES_INVAL;
    if (n > LARES_NAME_LIMIT)
        return LARES_NAMETOOLONG;
    return strchr(name, '/') || g_str_equal(name, ".") || g_str_equal(name, "..") ? LARES_BADNAME : LARES_OK;
}

static MemEntry *
find(MemNode *dir, const char *name, guint *at)
{
    for (guint i = 0; i < dir->entries->len; i++) {
        MemEntry *entry = dir->entries->pdata[i];
        if (g_str_equal(entry->name, name)) {
            if (at)
                *at = i;
            return entry;
        }
    }
    return NULL;
}

static void
put(MemStore *store, MemNode *dir, const char *name, MemNode *node)
{
    MemEntry *entry = g_new(MemEntry, 1);
    *entry = (MemEntry){g_strdup(name), store->next_cookie++, node};
    g_ptr_array_add(dir->entries, entry);
    if (node->base.type == LARES_TYPE_DIRECTORY) {
        node->parent = dir;
        dir->attrs.nlink++;
    }
    memstore_touch(store, dir, TRUE);
}

static void
take_out(MemStore *store, MemNode *dir, guint at)
{
    MemEntry *entry = dir->entries->pdata[at];
    if (entry->node->base.type == LARES_TYPE_DIRECTORY)
        dir->attrs.nlink--;
    g_ptr_array_remove_index(dir->entries, at);
    memstore_touch(store, dir, TRUE);
}

static LaresStatus
lookup(LaresStore *base, const LaresCred *cred, LaresNode *dir, const char *name, LaresNode **node)
{
    MemStore *store = MEMSTORE(base);
    LaresStatus status = memstore_begin(store, "lookup");
    if (status != LARES_OK)
        return status;
    status = check(dir, name);
    if (status == LARES_OK)
        status = memstore_may(MEMNODE(dir), cred, LARES_MASK_EXECUTE);
    MemEntry *entry = status == LARES_OK ? find(MEMNODE(dir), name, NULL) : NULL;
    if (entry)
        *node = take(entry->node);
    return memstore_end(store, status == LARES_OK && !entry ? LARES_NOENT : status);
}

static LaresStatus
parent(LaresStore *base, const LaresCred *cred, LaresNode *node, LaresNode **up)
{
    MemStore *store = MEMSTORE(base);
    LaresStatus status = memstore_begin(store, "parent");
    if (status != LARES_OK)
        return status;
    if (node->type != LARES_TYPE_DIRECTORY)
        status = LARES_NOTDIR;
    else if (!MEMNODE(node)->parent)
        status = LARES_NOENT;
    else
        status = memstore_may(MEMNODE(node), cred, LARES_MASK_EXECUTE);
    if (status == LARES_OK)
        *up = take(MEMNODE(node)->parent);
    return memstore_end(store, status);
}

static void
protect_new(MemNode *node, const MemNode *dir, const LaresCreate *how)
{
    gboolean directory = how->type == LARES_TYPE_DIRECTORY;
    if (how->acl)
        node->acl = lares_acl_copy(how->acl);
    else if (dir->acl && how->type != LARES_TYPE_SYMLINK)
        node->acl = lares_acl_inherit(dir->acl, directory);
    if (node->acl && !how->acl && how->attrs.mask & LARES_ATTR_MODE) {
        LaresAcl *limited = lares_acl_chmod(node->acl, how->attrs.mode, directory);
        lares_acl_free(node->acl);
        node->acl = limited;
    }
    if (node->acl)
        node->attrs.mode = (node->attrs.mode & 07000) | lares_acl_to_mode(node->acl);
}

static MemNode *
make(MemStore *store, const LaresCred *cred, MemNode *dir, const char *name, const LaresCreate *how)
{
    uint32_t mode = how->attrs.mask & LARES_ATTR_MODE   ? how->attrs.mode
                    : how->type == LARES_TYPE_DIRECTORY ? 0755u
                                                        : 0644u;
    uint32_t gid = dir->attrs.mode & 02000 ? dir->attrs.gid : cred->gid;
    MemNode *node = node_new(store, how->type, mode, cred->uid, gid, dir);
    node->target = g_strdup(how->target);
    node->attrs.size = how->target ? strlen(how->target) : 0;
    node->attrs.rdev_major = how->rdev_major;
    node->attrs.rdev_minor = how->rdev_minor;
    protect_new(node, dir, how);
    put(store, dir, name, node);
    return node;
}

static LaresStatus
status_of_existing(const MemNode *node, const LaresCreate *how)
{
    if (how->exclusive || how->type != LARES_TYPE_REGULAR)
        return LARES_EXIST;
    switch (node->base.type) {
    case LARES_TYPE_REGULAR:
        return LARES_OK;
    case LARES_TYPE_DIRECTORY:
        return LARES_ISDIR;
    case LARES_TYPE_SYMLINK:
        return LARES_SYMLINK;
    default:
        return LARES_WRONG_TYPE;
    }
}

static LaresFile *
file_new(MemNode *node, uint32_t access)
{
    LaresFile *file = g_new0(LaresFile, 1);
    *file = (LaresFile){.ref = 1, .access = access, .node = take(node)};
    node->opens++;
    return file;
}

static uint32_t
mask_of_open(uint32_t access)
{
    return (access & LARES_ACCESS_READ ? LARES_MASK_READ_DATA : 0u) |
           (access & LARES_ACCESS_WRITE ? LARES_MASK_WRITE_DATA : 0u);
}

static LaresStatus
create_locked(MemStore *store, const LaresCred *cred, MemNode *dir, const char *name, const LaresCreate *how,
              uint32_t access, MemNode **node, gboolean *created)
{
    MemEntry *entry = find(dir, name, NULL);
    LaresStatus status = memstore_may(dir, cred, LARES_MASK_EXECUTE);
    if (status != LARES_OK)
        return status;
    *created = entry == NULL;
    if (entry) {
        *node = entry->node;
        status = status_of_existing(entry->node, how);
        return status == LARES_OK ? memstore_may(entry->node, cred, mask_of_open(access)) : status;
    }
    if (how->type == LARES_TYPE_NONE)
        return LARES_BADTYPE;
    status =
        memstore_may(dir, cred, how->type == LARES_TYPE_DIRECTORY ? LARES_MASK_APPEND_DATA : LARES_MASK_WRITE_DATA);
    if (status == LARES_OK)
        *node = make(store, cred, dir, name, how);
    return status;
}

static LaresStatus
create(LaresStore *base, const LaresCred *cred, LaresNode *dir, const char *name, const LaresCreate *how,
       uint32_t access, LaresNode **out, LaresFile **file, gboolean *created)
{
    MemStore *store = MEMSTORE(base);
    MemNode *node = NULL;
    LaresStatus status = memstore_begin(store, "create");
    if (status != LARES_OK)
        return status;
    status = check(dir, name);
    if (status == LARES_OK)
        status = create_locked(store, cred, MEMNODE(dir), name, how, access, &node, created);
    if (status == LARES_OK) {
        *out = take(node);
        if (access && how->type == LARES_TYPE_REGULAR)
            *file = file_new(node, access & (LARES_ACCESS_READ | LARES_ACCESS_WRITE));
    }
    memstore_end(store, status);
    LaresSetAttrs rest = how->attrs;
    rest.mask &= ~(uint32_t)LARES_ATTR_MODE;
    if (status == LARES_OK && *created && rest.mask)
        status = LARES_STORE_GET_IFACE(base)->setattr(base, cred, *out, &rest);
    return status;
}

static LaresStatus
link_name(LaresStore *base, const LaresCred *cred, LaresNode *node, LaresNode *dir, const char *name)
{
    MemStore *store = MEMSTORE(base);
    LaresStatus status = memstore_begin(store, "link");
    if (status != LARES_OK)
        return status;
    status = check(dir, name);
    if (status == LARES_OK && node->type == LARES_TYPE_DIRECTORY)
        status = LARES_ISDIR;
    if (status == LARES_OK)
        status = memstore_may(MEMNODE(dir), cred, LARES_MASK_WRITE_DATA | LARES_MASK_EXECUTE);
    if (status == LARES_OK && find(MEMNODE(dir), name, NULL))
        status = LARES_EXIST;
    if (status == LARES_OK) {
        MEMNODE(node)->attrs.nlink++;
        put(store, MEMNODE(dir), name, MEMNODE(node));
        memstore_touch(store, MEMNODE(node), FALSE);
    }
    return memstore_end(store, status);
}

static void
drop_link(MemStore *store, MemNode *node)
{
    node->attrs.nlink -= node->base.type == LARES_TYPE_DIRECTORY ? node->attrs.nlink : 1;
    memstore_touch(store, node, FALSE);
}

static LaresStatus
remove_name(LaresStore *base, const LaresCred *cred, LaresNode *dir, const char *name)
{
    MemStore *store = MEMSTORE(base);
    guint at = 0;
    MemEntry *entry = NULL;
    LaresStatus status = memstore_begin(store, "remove");
    if (status != LARES_OK)
        return status;
    status = check(dir, name);
    if (status == LARES_OK)
        status = memstore_may(MEMNODE(dir), cred, LARES_MASK_DELETE_CHILD | LARES_MASK_EXECUTE);
    if (status == LARES_OK && !(entry = find(MEMNODE(dir), name, &at)))
        status = LARES_NOENT;
    if (status == LARES_OK && entry->node->entries->len)
        status = LARES_NOTEMPTY;
    if (status == LARES_OK) {
        MemNode *node = entry->node;
        take_out(store, MEMNODE(dir), at);
        drop_link(store, node);
    }
    return memstore_end(store, status);
}

static gboolean
is_below(const MemNode *node, const MemNode *top)
{
    for (; node; node = node->parent)
        if (node == top)
            return TRUE;
    return FALSE;
}

/* What stands in the way of moving `node` onto `there`. */
static LaresStatus
check_target(const MemNode *node, const MemNode *there, gboolean replace)
{
    gboolean a = node->base.type == LARES_TYPE_DIRECTORY, b = there->base.type == LARES_TYPE_DIRECTORY;
    if (!replace || a != b)
        return LARES_EXIST;
    return there->entries->len ? LARES_NOTEMPTY : LARES_OK;
}

static LaresStatus
rename_locked(MemStore *store, MemNode *from, const char *name, MemNode *to, const char *new_name, gboolean replace)
{
    guint at, there_at;
    MemEntry *entry = find(from, name, &at), *there = find(to, new_name, &there_at);
    if (!entry)
        return LARES_NOENT;
    MemNode *node = entry->node, *victim = there ? there->node : NULL;
    if (node->base.type == LARES_TYPE_DIRECTORY && is_below(to, node))
        return LARES_INVAL;
    if (victim == node)
        return replace ? LARES_OK : LARES_EXIST;
    LaresStatus status = victim ? check_target(node, victim, replace) : LARES_OK;
    if (status != LARES_OK)
        return status;
    if (victim) {
        take_out(store, to, there_at);
        drop_link(store, victim);
        find(from, name, &at); /* may have moved */
    }
    take_out(store, from, at);
    put(store, to, new_name, node);
    memstore_touch(store, node, FALSE);
    return LARES_OK;
}

static LaresStatus
rename_name(LaresStore *base, const LaresCred *cred, LaresNode *from, const char *name, LaresNode *to,
            const char *new_name, gboolean replace)
{
    MemStore *store = MEMSTORE(base);
    LaresStatus status = memstore_begin(store, "rename");
    if (status != LARES_OK)
        return status;
    status = check(from, name);
    if (status == LARES_OK)
        status = check(to, new_name);
    if (status == LARES_OK)
        status = memstore_may(MEMNODE(from), cred, LARES_MASK_DELETE_CHILD | LARES_MASK_EXECUTE);
    if (status == LARES_OK)
        status = memstore_may(MEMNODE(to), cred, LARES_MASK_WRITE_DATA | LARES_MASK_EXECUTE);
    if (status == LARES_OK)
        status = rename_locked(store, MEMNODE(from), name, MEMNODE(to), new_name, replace);
    return memstore_end(store, status);
}

static LaresStatus
open_node(LaresStore *base, const LaresCred *cred, LaresNode *node, uint32_t access, LaresFile **file)
{
    MemStore *store = MEMSTORE(base);
    LaresStatus status = memstore_begin(store, "open");
    if (status != LARES_OK)
        return status;
    if (is_gone(MEMNODE(node)))
        status = LARES_STALE;
    else if (node->type == LARES_TYPE_REGULAR)
        status = memstore_may(MEMNODE(node), cred, mask_of_open(access));
    else
        status = node->type == LARES_TYPE_DIRECTORY ? LARES_ISDIR
                 : node->type == LARES_TYPE_SYMLINK ? LARES_SYMLINK
                                                    : LARES_WRONG_TYPE;
    if (status == LARES_OK)
        *file = file_new(MEMNODE(node), access & (LARES_ACCESS_READ | LARES_ACCESS_WRITE));
    return memstore_end(store, status);
}

static void
file_free(LaresStore *base, LaresFile *file)
{
    MemStore *store = MEMSTORE(base);
    g_mutex_lock(&store->lock);
    MEMNODE(file->node)->opens--;
    g_mutex_unlock(&store->lock);
    lares_node_unref(file->node);
    g_free(file);
}

static void
iface_init(LaresStoreInterface *iface)
{
    iface->get_type_name = get_type_name;
    iface->root = root;
    iface->from_handle = from_handle;
    iface->lookup = lookup;
    iface->parent = parent;
    iface->node_free = node_free;
    iface->create = create;
    iface->link = link_name;
    iface->remove = remove_name;
    iface->rename = rename_name;
    iface->open = open_node;
    iface->file_free = file_free;
    memstore_add_attr_functions(iface);
    memstore_add_data_functions(iface);
}

guint
memstore_count_opens(LaresStore *base)
{
    MemStore *store = MEMSTORE(base);
    guint n = 0;
    g_mutex_lock(&store->lock);
    for (guint i = 0; i < store->nodes->len; i++)
        n += ((MemNode *)store->nodes->pdata[i])->opens;
    g_mutex_unlock(&store->lock);
    return n;
}
