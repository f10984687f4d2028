/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The cache of nodes: one node per inode while anybody holds it, idle ones kept for a while.
 *
 * A node whose count fell to 0 can be taken again by a lookup before its node_free has run. The taker then notes that
 * one node_free call must not count (pending); so the last one to arrive, and only that one, makes the node idle.
 * Nodes in use hold a reference on the store; idle ones do not.
 *
 * Locks: a shard's lock guards its table, its list and the fields named in posix.h. */
#include "posix.h"

#include <sys/vfs.h>

#define FIRST_BUCKETS 64

/* Of all stores together: descriptors are the process's. */
static gint idle_everywhere, max_everywhere; /* atomic */
#define FLOORS_MAX 65536

static uint64_t
hash_handle(const LaresHandle *handle)
{
    uint64_t h = UINT64_C(0x9e3779b97f4a7c15) ^ handle->len;
    for (size_t i = 0; i < handle->len; i += 8) {
        uint64_t part = 0;
        memcpy(&part, handle->bytes + i, MIN(8u, handle->len - i));
        h = (h ^ part) * UINT64_C(0xff51afd7ed558ccd);
        h ^= h >> 32;
    }
    return h;
}

static PosixShard *
shard_of(PosixStore *store, uint64_t hash)
{
    return &store->shards[hash >> 60 & (POSIX_SHARDS - 1)];
}

static gboolean
same_handle(const LaresHandle *a, const LaresHandle *b)
{
    return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

static gint *
ahead_slot(PosixStore *store, uint64_t ino)
{
    return &store->ahead[(ino ^ ino >> 11) % POSIX_AHEAD];
}

gboolean
posix_may_be_ahead(PosixStore *store, uint64_t ino)
{
    return g_atomic_int_get(ahead_slot(store, ino)) != 0;
}

/* Counted before the change can be given out, and until neither the node nor a floor remembers it. */
void
posix_node_changed(PosixNode *node)
{
    posix_unseen(node);
    if (!g_atomic_int_get(&node->marked) && g_atomic_int_compare_and_exchange(&node->marked, 0, 1))
        g_atomic_int_inc(ahead_slot(POSIX_STORE(node->base.store), node->ino));
    g_atomic_int_set(&node->changed, 1);
}

void
posix_cache_limit(guint max_idle)
{
    g_atomic_int_set(&max_everywhere, (gint)max_idle);
}

guint
posix_cache_idle(void)
{
    return (guint)g_atomic_int_get(&idle_everywhere);
}

/* ---- The list of idle nodes -------------------------------------------------------------------------------------- */

static void
idle_unlink(PosixShard *shard, PosixNode *node)
{
    *(node->older ? &node->older->newer : &shard->oldest) = node->newer;
    *(node->newer ? &node->newer->older : &shard->newest) = node->older;
    node->older = node->newer = NULL;
    node->idle = FALSE;
    shard->n_idle--;
    g_atomic_int_add(&idle_everywhere, -1);
}

static void
idle_append(PosixShard *shard, PosixNode *node)
{
    node->idle = TRUE;
    node->idle_since = g_get_monotonic_time();
    node->older = shard->newest;
    node->newer = NULL;
    *(shard->newest ? &shard->newest->newer : &shard->oldest) = node;
    shard->newest = node;
    shard->n_idle++;
    g_atomic_int_inc(&idle_everywhere);
}

/* ---- The table --------------------------------------------------------------------------------------------------- */

static PosixNode **
find_link(PosixShard *shard, uint64_t hash, const LaresHandle *handle)
{
    PosixNode **link = &shard->buckets[hash & (shard->n_buckets - 1)];
    while (*link && ((*link)->hash != hash || !same_handle(&(*link)->base.handle, handle)))
        link = &(*link)->next;
    return link;
}

/* ---- By inode ---------------------------------------------------------------------------------------------------- */

static uint64_t
hash_inode(uint64_t ino)
{
    return ino * UINT64_C(0x9e3779b97f4a7c15) >> 20;
}

static void
inodes_grow(PosixInodes *inodes)
{
    guint n = inodes->n_buckets ? inodes->n_buckets * 2 : FIRST_BUCKETS;
    PosixNode **buckets = g_new0(PosixNode *, n);
    for (guint i = 0; i < inodes->n_buckets; i++) {
        for (PosixNode *node = inodes->buckets[i], *next; node; node = next) {
            PosixNode **bucket = &buckets[hash_inode(node->ino) / POSIX_SHARDS & (n - 1)];
            next = node->next_inode;
            node->next_inode = *bucket;
            *bucket = node;
        }
    }
    g_free(inodes->buckets);
    inodes->buckets = buckets;
    inodes->n_buckets = n;
}

static PosixNode **
inode_bucket(PosixInodes *inodes, uint64_t ino)
{
    return &inodes->buckets[hash_inode(ino) / POSIX_SHARDS & (inodes->n_buckets - 1)];
}

static void
inodes_add(PosixStore *store, PosixNode *node)
{
    PosixInodes *inodes = &store->inodes[hash_inode(node->ino) % POSIX_SHARDS];
    g_mutex_lock(&inodes->lock);
    if (inodes->n_nodes++ >= inodes->n_buckets)
        inodes_grow(inodes);
    PosixNode **bucket = inode_bucket(inodes, node->ino);
    node->next_inode = *bucket;
    *bucket = node;
    g_mutex_unlock(&inodes->lock);
}

static void
inodes_remove(PosixStore *store, PosixNode *node)
{
    PosixInodes *inodes = &store->inodes[hash_inode(node->ino) % POSIX_SHARDS];
    g_mutex_lock(&inodes->lock);
    PosixNode **link = inode_bucket(inodes, node->ino);
    while (*link != node)
        link = &(*link)->next_inode;
    *link = node->next_inode;
    inodes->n_nodes--;
    g_mutex_unlock(&inodes->lock);
}

/* A node's descriptor keeps its inode, so the number means nothing else while the node is there. Nodes without one do
 * not count. */
PosixNode *
posix_cache_get_inode(PosixStore *store, const PosixMount *mount, uint64_t dev, uint64_t ino)
{
    PosixInodes *inodes = &store->inodes[hash_inode(ino) % POSIX_SHARDS];
    LaresHandle handle = {0};
    g_mutex_lock(&inodes->lock);
    PosixNode *node = inodes->n_buckets ? *inode_bucket(inodes, ino) : NULL;
    while (node && (node->ino != ino || node->dev != dev || node->mount != mount || g_atomic_int_get(&node->dead) ||
                    g_atomic_int_get(&node->fd) < 0))
        node = node->next_inode;
    if (node)
        handle = node->base.handle;
    g_mutex_unlock(&inodes->lock);
    return handle.len ? posix_cache_get(store, &handle) : NULL;
}

/* ---- The table --------------------------------------------------------------------------------------------------- */

static void
grow(PosixShard *shard)
{
    guint n = shard->n_buckets ? shard->n_buckets * 2 : FIRST_BUCKETS;
    PosixNode **buckets = g_new0(PosixNode *, n);
    for (guint i = 0; i < shard->n_buckets; i++) {
        for (PosixNode *node = shard->buckets[i], *next; node; node = next) {
            next = node->next;
            node->next = buckets[node->hash & (n - 1)];
            buckets[node->hash & (n - 1)] = node;
        }
    }
    g_free(shard->buckets);
    shard->buckets = buckets;
    shard->n_buckets = n;
}

/* The shard is locked. */
static PosixNode *
take(PosixShard *shard, PosixNode *node)
{
    if (__atomic_fetch_add(&node->base.ref, 1, __ATOMIC_ACQ_REL) == 0) {
        if (node->idle) {
            idle_unlink(shard, node);
            g_object_ref(node->base.store);
        } else {
            node->pending++;
        }
    }
    return node;
}

PosixNode *
posix_cache_get(PosixStore *store, const LaresHandle *handle)
{
    uint64_t hash = hash_handle(handle);
    PosixShard *shard = shard_of(store, hash);
    PosixNode *node = NULL;
    g_mutex_lock(&shard->lock);
    if (shard->n_buckets && (node = *find_link(shard, hash, handle)))
        take(shard, node);
    g_mutex_unlock(&shard->lock);
    return node;
}

/* ---- Change attributes of nodes that leave ----------------------------------------------------------------------- */

static guint
floor_hash(gconstpointer key)
{
    return (guint)hash_handle(key);
}

static gboolean
floor_equal(gconstpointer a, gconstpointer b)
{
    return same_handle(a, b);
}

/* Two changes within one tick of the kernel's clock leave the attribute ahead of ctime; a node that comes back must not
 * fall behind what was given out. What lost its last name does not come back. */
static void
floor_keep(PosixStore *store, PosixNode *node)
{
    if (g_atomic_int_get(&node->dead) || g_atomic_int_get(&node->leaving) ||
        (node->change <= node->ctime && !g_atomic_int_get(&node->changed))) {
        if (node->marked)
            g_atomic_int_add(ahead_slot(store, node->ino), -1);
        return;
    }
    if (!node->marked) /* the clock was set back */
        g_atomic_int_inc(ahead_slot(store, node->ino));
    uint64_t *value = g_new(uint64_t, 1);
    *value = node->change + (g_atomic_int_get(&node->changed) ? 1 : 0);
    g_mutex_lock(&store->floors_lock);
    if (!store->floors)
        store->floors = g_hash_table_new_full(floor_hash, floor_equal, g_free, g_free);
    if (g_hash_table_size(store->floors) >= FLOORS_MAX)
        g_hash_table_remove_all(store->floors);
    g_hash_table_replace(store->floors, g_memdup2(&node->base.handle, sizeof(LaresHandle)), value);
    g_mutex_unlock(&store->floors_lock);
}

static uint64_t
floor_take(PosixStore *store, const LaresHandle *handle)
{
    uint64_t floor = 0;
    g_mutex_lock(&store->floors_lock);
    if (store->floors) {
        uint64_t *value = g_hash_table_lookup(store->floors, handle);
        if (value) {
            floor = *value;
            g_hash_table_remove(store->floors, handle);
        }
    }
    g_mutex_unlock(&store->floors_lock);
    return floor;
}

/* ---- Life of a node ---------------------------------------------------------------------------------------------- */

static void
node_destroy(PosixStore *store, PosixNode *node)
{
    floor_keep(store, node);
    PosixFile *spare = posix_node_take_spare(store, node);
    if (spare)
        posix_file_close(spare);
    if (node->list_fd >= 0)
        close(node->list_fd);
    if (node->fd >= 0)
        close(node->fd);
    lares_acl_free(node->acl);
    g_mutex_clear(&node->lock);
    g_mutex_clear(&node->list_lock);
    g_free(node);
}

/* The shard is locked; the node is idle or was never seen. */
static void
table_remove(PosixStore *store, PosixShard *shard, PosixNode *node)
{
    PosixNode **link = find_link(shard, node->hash, &node->base.handle);
    *link = node->next;
    shard->n_nodes--;
    inodes_remove(store, node);
}

void
posix_node_free(LaresStore *base, LaresNode *lnode)
{
    PosixStore *store = POSIX_STORE(base);
    PosixNode *node = posix_node(lnode), *victim = NULL;
    PosixShard *shard = shard_of(store, node->hash);
    g_mutex_lock(&shard->lock);
    if (node->pending) {
        node->pending--;
        g_mutex_unlock(&shard->lock);
        return;
    }
    idle_append(shard, node);
    if ((g_atomic_int_get(&node->dead) || g_atomic_int_get(&node->leaving)) && !node->pinned)
        victim = node;
    else if (shard->n_idle > store->max_idle || g_atomic_int_get(&idle_everywhere) > g_atomic_int_get(&max_everywhere))
        victim = shard->oldest->pinned ? shard->oldest->newer : shard->oldest;
    if (victim) {
        idle_unlink(shard, victim);
        table_remove(store, shard, victim);
    }
    g_mutex_unlock(&shard->lock);
    if (victim)
        node_destroy(store, victim);
    g_object_unref(store);
}

/* Takes at most one node that has been idle for long out of a shard. */
static PosixNode *
pop_idle(PosixStore *store, PosixShard *shard, gint64 before)
{
    g_mutex_lock(&shard->lock);
    PosixNode *node = shard->oldest;
    if (node && node->pinned)
        node = node->newer;
    if (node && node->idle_since < before) {
        idle_unlink(shard, node);
        table_remove(store, shard, node);
    } else {
        node = NULL;
    }
    g_mutex_unlock(&shard->lock);
    return node;
}

#define SPARE_USEC (5 * G_USEC_PER_SEC)

static void
sweep_spares(PosixStore *store, PosixShard *shard, gint64 before)
{
    g_autoptr(GPtrArray) closing = g_ptr_array_new();
    g_mutex_lock(&shard->lock);
    for (guint i = 0; i < shard->n_buckets; i++) {
        for (PosixNode *node = shard->buckets[i]; node; node = node->next) {
            g_mutex_lock(&node->lock);
            if (node->spare && node->spare->spare_since < before) {
                g_ptr_array_add(closing, node->spare);
                g_atomic_pointer_set(&node->spare, NULL);
                g_atomic_int_add(&store->n_spare, -1);
            }
            g_mutex_unlock(&node->lock);
        }
    }
    g_mutex_unlock(&shard->lock);
    for (guint i = 0; i < closing->len; i++)
        posix_file_close(closing->pdata[i]);
}

void
posix_cache_sweep(PosixStore *store)
{
    gint64 now = g_get_monotonic_time();
    for (guint i = 0; i < POSIX_SHARDS; i++) {
        if (g_atomic_int_get(&store->n_spare) > 0)
            sweep_spares(store, &store->shards[i], now - SPARE_USEC);
        for (PosixNode *node; (node = pop_idle(store, &store->shards[i], now - store->idle_usec));)
            node_destroy(store, node);
    }
}

void
posix_cache_free(PosixStore *store)
{
    for (guint i = 0; i < POSIX_SHARDS; i++) {
        PosixShard *shard = &store->shards[i];
        for (guint b = 0; b < shard->n_buckets; b++) {
            for (PosixNode *node = shard->buckets[b], *next; node; node = next) {
                next = node->next;
                if (node->idle)
                    g_atomic_int_add(&idle_everywhere, -1);
                node_destroy(store, node);
            }
        }
        g_free(shard->buckets);
        g_mutex_clear(&shard->lock);
        g_free(store->inodes[i].buckets);
        g_mutex_clear(&store->inodes[i].lock);
    }
    g_clear_pointer(&store->floors, g_hash_table_unref);
}

PosixFile *
posix_node_take_spare(PosixStore *store, PosixNode *node)
{
    if (!g_atomic_pointer_get(&node->spare))
        return NULL;
    g_mutex_lock(&node->lock);
    PosixFile *spare = node->spare;
    g_atomic_pointer_set(&node->spare, NULL);
    g_mutex_unlock(&node->lock);
    if (spare)
        g_atomic_int_add(&store->n_spare, -1);
    return spare;
}

/* ---- Making ------------------------------------------------------------------------------------------------------ */

typedef struct {
    uint64_t dev;
    uint64_t major, minor;
} FsId;

/* The file system's own id is the same after a restart; a device number may not be. */
static void
fsid_of(PosixStore *store, const PosixMount *mount, int fd, uint64_t dev, uint64_t *major, uint64_t *minor)
{
    struct statfs fs;
    g_mutex_lock(&store->fsids_lock);
    for (guint i = 0; i < store->fsids->len; i++) {
        FsId *known = &g_array_index(store->fsids, FsId, i);
        if (known->dev == dev && known->minor == mount->key) {
            *major = known->major;
            *minor = known->minor;
            g_mutex_unlock(&store->fsids_lock);
            return;
        }
    }
    uint32_t parts[2] = {0, 0};
    if (fstatfs(fd, &fs) == 0)
        memcpy(parts, &fs.f_fsid, sizeof parts);
    uint64_t id = (uint64_t)parts[0] << 32 | parts[1];
    FsId new = {dev, id ? id : dev, mount->key};
    g_array_append_val(store->fsids, new);
    *major = new.major;
    *minor = new.minor;
    g_mutex_unlock(&store->fsids_lock);
}

/* A directory's descriptor should be readable: attributes and entries are then read without opening it again. */
static void
make_readable(PosixNode *node)
{
    int fd = openat(node->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOATIME);
    if (fd < 0 && errno == EPERM)
        fd = openat(node->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    close(node->fd);
    node->fd = fd;
    node->fd_reads = TRUE;
}

static PosixNode *
insert(PosixStore *store, PosixNode *node)
{
    PosixShard *shard = shard_of(store, node->hash);
    PosixNode *there = NULL;
    g_mutex_lock(&shard->lock);
    if (shard->n_nodes >= shard->n_buckets)
        grow(shard);
    PosixNode **link = find_link(shard, node->hash, &node->base.handle);
    if (*link) {
        there = take(shard, *link);
    } else {
        *link = node;
        shard->n_nodes++;
        inodes_add(store, node);
        g_object_ref(store);
    }
    g_mutex_unlock(&shard->lock);
    if (!there)
        return node;
    g_mutex_lock(&there->lock);
    there->change = MAX(there->change, node->change);
    g_mutex_unlock(&there->lock);
    if (node->marked && g_atomic_int_compare_and_exchange(&there->marked, 0, 1))
        node->marked = 0;
    node->change = 0;
    node_destroy(store, node);
    return there;
}

static LaresStatus
identify(PosixStore *store, int fd, struct statx *st, LaresHandle *handle, PosixMount **mount)
{
    int err = posix_handle_at(store, fd, "", handle, mount);
    if (err == 0 && statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, st) != 0)
        err = errno;
    if (err != EOPNOTSUPP)
        return lares_status_from_errno(err);
    if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID, st) != 0)
        return lares_status_from_errno(errno);
    *mount = posix_mount_by_id(store, st->stx_mnt_id);
    if (!*mount || ((*mount)->key != 0 && store->mounts[0]->handles))
        return LARES_ACCESS; /* something mounted below that has no handles: not entered */
    posix_handle_from_inode(*mount, st, handle);
    return LARES_OK;
}

/* Takes `fd`, which may be -1; `look` shows the object meanwhile. */
static PosixNode *
make_node(PosixStore *store, int fd, int look, const struct statx *st, const LaresHandle *handle, PosixMount *mount)
{
    PosixNode *node = g_new0(PosixNode, 1);
    node->base = (LaresNode){.ref = 1,
                             .type = posix_type_of(st->stx_mode),
                             .store = (LaresStore *)store,
                             .fileid = st->stx_ino,
                             .handle = *handle};
    node->mount = mount;
    node->fd = fd;
    node->lent = -1;
    node->list_fd = -1;
    node->dev = (uint64_t)st->stx_dev_major << 32 | st->stx_dev_minor;
    node->ino = st->stx_ino;
    node->hash = hash_handle(handle);
    node->change = floor_take(store, handle);
    node->marked = node->change != 0; /* the floor's count is the node's now */
    g_mutex_init(&node->lock);
    g_mutex_init(&node->list_lock);
    fsid_of(store, mount, look, node->dev, &node->fsid_major, &node->fsid_minor);
    if (posix_is_dir(node))
        make_readable(node);
    return node;
}

LaresStatus
posix_node_from_fd(PosixStore *store, int fd, PosixNode *parent, const char *name, PosixNode **out)
{
    struct statx st;
    LaresHandle handle;
    PosixMount *mount;
    LaresStatus status = identify(store, fd, &st, &handle, &mount);
    if (status != LARES_OK) {
        close(fd);
        return status;
    }
    if ((*out = posix_cache_get(store, &handle))) {
        close(fd);
        return LARES_OK;
    }
    PosixNode *node = make_node(store, fd, fd, &st, &handle, mount);
    if (store->table && posix_handle_is_inode(&handle) && parent && name)
        posix_table_put(store->table, &handle, &parent->base.handle, name);
    *out = insert(store, node);
    posix_seen(*out, &st, 0);
    return LARES_OK;
}

LaresStatus
posix_node_of_file(PosixStore *store, int file_fd, PosixNode *parent, const char *name, PosixNode **out)
{
    struct statx st;
    LaresHandle handle;
    PosixMount *mount;
    char number[16];
    LaresStatus status = identify(store, file_fd, &st, &handle, &mount);
    if (status != LARES_OK || (*out = posix_cache_get(store, &handle)))
        return status;
    if (!posix_handle_is_inode(&handle)) {
        *out = insert(store, make_node(store, -1, file_fd, &st, &handle, mount));
        posix_seen(*out, &st, 0);
        return LARES_OK;
    }
    snprintf(number, sizeof number, "%d", file_fd);
    int fd = openat(store->proc_fd, number, O_PATH | O_CLOEXEC);
    return fd < 0 ? lares_status_from_errno(errno) : posix_node_from_fd(store, fd, parent, name, out);
}
