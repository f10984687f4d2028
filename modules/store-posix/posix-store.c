/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Opening and closing a store, and its interface table. */
#include "posix.h"

#include <sys/resource.h>

#define IDLE_MIN 64

static gint n_open; /* atomic: stores, each of which keeps a descriptor */

typedef struct {
    GObjectClass parent;
} PosixStoreClass;

static void posix_store_iface_init(LaresStoreInterface *iface);

G_DEFINE_TYPE_WITH_CODE(PosixStore, posix_store, G_TYPE_OBJECT,
                        G_IMPLEMENT_INTERFACE(LARES_TYPE_STORE, posix_store_iface_init))

static void
posix_store_init(PosixStore *store)
{
    store->root_fd = store->proc_fd = -1;
    for (guint i = 0; i < POSIX_SHARDS; i++) {
        g_mutex_init(&store->shards[i].lock);
        g_mutex_init(&store->inodes[i].lock);
    }
    g_mutex_init(&store->mounts_lock);
    g_mutex_init(&store->fsids_lock);
    g_mutex_init(&store->floors_lock);
    store->fsids = g_array_new(FALSE, FALSE, 3 * sizeof(uint64_t));
}

static void
posix_store_finalize(GObject *object)
{
    PosixStore *store = POSIX_STORE(object);
    posix_cache_free(store);
    posix_mounts_free(store);
    if (store->table)
        posix_table_close(store->table);
    if (store->root_fd >= 0 && !store->root) /* else it is the root node's */
        close(store->root_fd);
    if (store->counted)
        g_atomic_int_dec_and_test(&n_open);
    g_array_unref(store->fsids);
    g_free(store->root_path);
    g_free(store->acl_name);
    g_mutex_clear(&store->mounts_lock);
    g_mutex_clear(&store->fsids_lock);
    g_mutex_clear(&store->floors_lock);
    G_OBJECT_CLASS(posix_store_parent_class)->finalize(object);
}

static void
posix_store_class_init(PosixStoreClass *class)
{
    G_OBJECT_CLASS(class)->finalize = posix_store_finalize;
}

static guint
files_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        limit.rlim_cur = 1024;
    return (guint)MIN(limit.rlim_cur, 1u << 20);
}

/* The roots of all stores may take a quarter of the descriptors: whoever shares more than that hears of it when a share
 * is made or enabled, and not everybody later, when no connection and no file can be opened. */
static gboolean
count_store(PosixStore *store, GError **error)
{
    guint fds = files_limit();
    store->counted = TRUE;
    if ((guint)g_atomic_int_add(&n_open, 1) < fds / 4)
        return TRUE;
    g_set_error(error, LARES_ERROR, LARES_ERROR_FAILED,
                "%u shares are open, more would take too much of the limit of %u open files: raise it (LimitNOFILE= of "
                "the service)",
                fds / 4, fds);
    return FALSE;
}

/* Every idle node has one descriptor, every open file another; a third of what the process may have is for all stores
 * together to keep without need, their roots among it. */
static void
set_limits(PosixStore *store, const PosixOptions *options)
{
    guint fds = files_limit();
    guint total = options->max_nodes ? options->max_nodes : fds / 3 - MIN((guint)g_atomic_int_get(&n_open), fds / 4);
    store->max_idle = MAX(total, IDLE_MIN) / POSIX_SHARDS;
    posix_cache_limit(MAX(total, IDLE_MIN));
    store->max_spare = (gint)(fds / 16);
    store->idle_usec = (gint64)(options->idle_seconds ? options->idle_seconds : 30) * G_USEC_PER_SEC;
}

/* It shows the descriptors of the process that opened it: a child has its own. */
static int
proc_folder(void)
{
    static int fd = -1;
    static pid_t owner;
    static GMutex lock;
    g_mutex_lock(&lock);
    if (fd < 0 || owner != getpid()) {
        fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
        owner = getpid();
    }
    int found = fd;
    g_mutex_unlock(&lock);
    return found;
}

static gboolean
open_root(PosixStore *store, const char *path, GError **error)
{
    g_autofree char *real = realpath(path, NULL);
    if (real)
        store->root_fd = open(real, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (store->root_fd < 0) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_NOT_FOUND, "cannot open %s: %s", path, g_strerror(errno));
        return FALSE;
    }
    store->root_path = g_strdup(real);
    store->proc_fd = proc_folder();
    if (store->proc_fd < 0) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_FAILED, "/proc is needed: %s", g_strerror(errno));
        return FALSE;
    }
    return posix_mount_add_root(store, error);
}

static gboolean
make_root_node(PosixStore *store, GError **error)
{
    int fd = openat(store->root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    LaresStatus status =
        fd < 0 ? lares_status_from_errno(errno) : posix_node_from_fd(store, fd, NULL, NULL, &store->root);
    if (status != LARES_OK) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_FAILED, "cannot use %s: %s", store->root_path,
                    lares_status_name(status));
        return FALSE;
    }
    /* The node's descriptor is enough for all, and lives as long as the store. */
    close(store->root_fd);
    store->root_fd = store->mounts[0]->fd = store->root->fd;
    store->root->pinned = TRUE;
    lares_node_unref(&store->root->base); /* stays, idle, until the store goes */
    return TRUE;
}

PosixStore *
posix_store_new(const PosixOptions *options, GError **error)
{
    g_autoptr(GObject) object = g_object_new(posix_store_get_type(), NULL);
    PosixStore *store = POSIX_STORE(object);
    store->privileged = options->privileged;
    store->self_uid = (uint32_t)geteuid();
    store->no_handles = options->no_handles;
    store->acl_name = g_strdup(store->privileged ? "trusted.lares.acl" : "user.lares.acl");
    if (!count_store(store, error))
        return NULL;
    set_limits(store, options);
    if (store->privileged && !posix_cred_probe(error))
        return NULL;
    if (!open_root(store, options->path, error))
        return NULL;
    if (!store->mounts[0]->handles) {
        store->no_handles = TRUE;
        store->table = posix_table_open(options->state_dir, store->root_path, error);
        if (!store->table)
            return NULL;
    }
    if (!make_root_node(store, error))
        return NULL;
    return POSIX_STORE(g_steal_pointer(&object));
}

static const char *
get_type_name(LaresStore *self)
{
    return "posix";
}

static LaresStatus
root(LaresStore *self, LaresNode **node)
{
    PosixNode *found = posix_cache_get(POSIX_STORE(self), &POSIX_STORE(self)->root->base.handle);
    *node = &found->base;
    return LARES_OK;
}

static gboolean
handles_last(LaresStore *self)
{
    return !POSIX_STORE(self)->no_handles;
}

static void
posix_store_iface_init(LaresStoreInterface *iface)
{
    *iface = (LaresStoreInterface){
        .g_iface = iface->g_iface,
        .get_type_name = get_type_name,
        .root = root,
        .from_handle = posix_from_handle,
        .lookup = posix_lookup,
        .parent = posix_parent,
        .node_free = posix_node_free,
        .getattr = posix_getattr,
        .setattr = posix_setattr,
        .access = posix_access,
        .readlink = posix_readlink,
        .statfs = posix_statfs,
        .create = posix_create,
        .link = posix_link,
        .remove = posix_remove,
        .rename = posix_rename,
        .readdir = posix_readdir,
        .open = posix_open,
        .file_free = posix_file_free,
        .read = posix_read,
        .write = posix_write,
        .commit = posix_commit,
        .file_fd = posix_file_fd,
        .seek = posix_seek,
        .allocate = posix_allocate,
        .deallocate = posix_deallocate,
        .clone = posix_clone,
        .copy = posix_copy,
        .getxattr = posix_getxattr,
        .setxattr = posix_setxattr,
        .removexattr = posix_removexattr,
        .listxattr = posix_listxattr,
        .get_acl = posix_get_acl,
        .set_acl = posix_set_acl,
        .set_size = posix_set_size,
        .sync = posix_sync,
        .readdir_attrs = posix_readdir_attrs,
        .entry_handle = posix_entry_handle,
        .get_note = posix_get_note,
        .set_note = posix_set_note,
        .path = posix_path,
        .names_watch = posix_names_watch,
        .names_unwatch = posix_names_unwatch,
        .names_poll = posix_names_poll,
        .handles_last = handles_last,
        .dir_watch = posix_dir_watch,
        .dir_unwatch = posix_dir_unwatch,
        .parent_fileid = posix_parent_fileid,
    };
}
