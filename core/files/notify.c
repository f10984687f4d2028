/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The bus of changes: what any protocol changed, told to who watches a directory.
 *
 * Nobody watching costs an atomic load per change. A change is known by directory and name, or by its object alone
 * (a write over NFS): then the store says where the object is. Watches of one share do not see what is done through
 * another share of the same folders. Leases of directories (core/state) are told in any case.
 *
 * Thread: any. Locks: the list's own; watchers are called without it. */
#include "files/files-private.h"
#include "state/state-private.h"

#include <limits.h>

struct _LaresWatch {
    gint ref;   /* atomic: the owner, and each call that is on its way */
    gint ended; /* atomic */
    LaresFiles *files;
    LaresObject dir;
    LaresIdentity *identity; /* guarded by the list's lock, like the next two */
    const LaresFlavor *flavor;
    gboolean pass; /* lares_store_pass() of who watches */
    gboolean tree;
    uint32_t filter;
    LaresWatchFunc func;
    gpointer user;
    GDestroyNotify destroy;
};

static void
drop(LaresWatch *watch)
{
    if (!g_atomic_int_dec_and_test(&watch->ref))
        return;
    if (watch->destroy)
        watch->destroy(watch->user);
    lares_object_clear(&watch->dir);
    lares_identity_unref(watch->identity);
    g_free(watch);
}

LaresWatch *
lares_files_watch(LaresFiles *files, const LaresCaller *caller, const LaresObject *dir, gboolean tree, uint32_t filter,
                  LaresWatchFunc func, gpointer user, GDestroyNotify destroy)
{
    LaresWatch *watch = g_new0(LaresWatch, 1);
    watch->ref = 1;
    watch->files = files;
    lares_object_copy(&watch->dir, dir);
    watch->identity = lares_identity_ref(caller->identity);
    watch->flavor = caller->flavor;
    watch->pass = lares_store_passes();
    watch->tree = tree;
    watch->filter = filter;
    watch->func = func;
    watch->user = user;
    watch->destroy = destroy;
    g_mutex_lock(&files->watch_lock);
    if (!files->watches)
        files->watches = g_ptr_array_new();
    g_ptr_array_add(files->watches, watch);
    g_atomic_int_inc(&files->n_watches);
    g_mutex_unlock(&files->watch_lock);
    return watch;
}

void
lares_watch_renew(LaresWatch *watch, const LaresCaller *caller)
{
    LaresFiles *files = watch->files;
    LaresIdentity *identity = lares_identity_ref(caller->identity);
    g_mutex_lock(&files->watch_lock);
    LaresIdentity *old = watch->identity;
    watch->identity = identity;
    watch->flavor = caller->flavor;
    watch->pass = lares_store_passes();
    g_mutex_unlock(&files->watch_lock);
    lares_identity_unref(old);
}

void
lares_watch_unref(LaresWatch *watch)
{
    LaresFiles *files = watch->files;
    g_atomic_int_set(&watch->ended, 1);
    g_mutex_lock(&files->watch_lock);
    if (g_ptr_array_remove_fast(files->watches, watch))
        g_atomic_int_add(&files->n_watches, -1);
    g_mutex_unlock(&files->watch_lock);
    drop(watch);
}

/* References to the watches that may want to know. */
static GPtrArray *
candidates(LaresFiles *files, const LaresStore *store, const LaresNode *dir, uint32_t filter)
{
    GPtrArray *found = NULL;
    g_mutex_lock(&files->watch_lock);
    for (guint i = 0; i < files->watches->len; i++) {
        LaresWatch *watch = files->watches->pdata[i];
        if (!(watch->filter & filter) || watch->dir.share->store != store)
            continue;
        if (dir && !watch->tree && watch->dir.node != dir)
            continue;
        if (!found)
            found = g_ptr_array_new_with_free_func((GDestroyNotify)drop);
        g_atomic_int_inc(&watch->ref);
        g_ptr_array_add(found, watch);
    }
    g_mutex_unlock(&files->watch_lock);
    return found;
}

static void
tell(LaresWatch *watch, LaresChangeAction action, const char *path)
{
    if (!g_atomic_int_get(&watch->ended))
        watch->func(action, path, watch->user);
}

/* The part of `path` below the watched directory; NULL when it is not below, or deeper than asked for. */
static const char *
below(const LaresWatch *watch, const char *root, const char *path)
{
    size_t n = strlen(root);
    const char *rest;
    if (n == 0)
        rest = path;
    else if (strncmp(path, root, n) == 0 && path[n] == '/')
        rest = path + n + 1;
    else
        return NULL;
    return *rest && (watch->tree || !strchr(rest, '/')) ? rest : NULL;
}

/* Streams are files of ours; what happens to them is told of the file they belong to, by who knows it. */
static gboolean
is_in_hidden(const char *path)
{
    size_t n = strlen(LARES_HIDDEN_NAME);
    return path && strncmp(path, LARES_HIDDEN_NAME, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

/* Who watches, and the share as they are now. */
typedef struct {
    LaresShare *share;
    LaresIdentity *identity;
    const LaresFlavor *flavor;
    gboolean pass;
} Watcher;

static void
watcher_of(LaresWatch *watch, Watcher *w)
{
    LaresFiles *files = watch->files;
    *w = (Watcher){.share = files->shares ? lares_shares_by_id(files->shares, watch->dir.share->id) : NULL};
    if (!w->share)
        w->share = lares_share_ref(watch->dir.share);
    g_mutex_lock(&files->watch_lock);
    w->identity = lares_identity_ref(watch->identity);
    w->flavor = watch->flavor;
    w->pass = watch->pass;
    g_mutex_unlock(&files->watch_lock);
}

static void
watcher_clear(Watcher *w)
{
    lares_identity_unref(w->identity);
    lares_share_unref(w->share);
}

/* Where a share shows only what one may read: what is gone cannot be asked any more. */
static LaresStatus
may_see(LaresStore *store, const LaresCred *cred, LaresNode *dir, LaresChangeAction action, const char *path)
{
    const LaresStoreInterface *iface = STORE_IFACE(store);
    const char *colon = action >= LARES_CHANGE_ADDED_STREAM ? strrchr(path, ':') : NULL;
    char name[LARES_NAME_LIMIT + 1];
    uint32_t allowed = 0;
    LaresNode *node;
    if (action == LARES_CHANGE_REMOVED || action == LARES_CHANGE_OLD_NAME)
        return LARES_NOENT;
    g_strlcpy(name, path, colon ? MIN(sizeof name, (size_t)(colon - path) + 1) : sizeof name);
    LaresStatus status = iface->lookup(store, cred, dir, name, &node);
    if (status != LARES_OK)
        return status;
    status = iface->access(store, cred, node, LARES_ACCESS_READ, &allowed);
    lares_node_unref(node);
    return status == LARES_OK && !allowed ? LARES_ACCESS : status;
}

/* Walks to the directory that the last name of *path is in, which must be one to list. */
static LaresStatus
walk(LaresStore *store, const LaresCred *cred, LaresNode **dir, const char **path)
{
    const LaresStoreInterface *iface = STORE_IFACE(store);
    char name[LARES_NAME_LIMIT + 1];
    uint32_t allowed = 0;
    for (const char *slash; (slash = strchr(*path, '/')); *path = slash + 1) {
        LaresNode *next;
        g_strlcpy(name, *path, MIN(sizeof name, (size_t)(slash - *path) + 1));
        LaresStatus status = iface->lookup(store, cred, *dir, name, &next);
        if (status != LARES_OK)
            return status;
        lares_node_unref(*dir);
        *dir = next;
    }
    LaresStatus status = iface->access(store, cred, *dir, LARES_ACCESS_READ, &allowed);
    return status == LARES_OK && !allowed ? LARES_ACCESS : status;
}

/* Could who watches see this name in a listing, now? LARES_NOENT: that cannot be said. */
static LaresStatus
may_know(LaresWatch *watch, LaresChangeAction action, const char *path)
{
    LaresStore *store = watch->dir.share->store;
    LaresStatus status = LARES_OK;
    LaresCred cred;
    Watcher w;
    watcher_of(watch, &w);
    gboolean below = strchr(path, '/') != NULL, hides = (w.share->options & LARES_SHARE_ACCESS_BASED) != 0;
    if ((below || hides) && w.identity->generation != lares_directory_generation()) {
        status = LARES_NOENT;
    } else if (below || hides) { /* else the directory was opened to be listed */
        LaresNode *at = lares_node_ref(watch->dir.node);
        gboolean before = lares_store_pass(w.pass);
        lares_share_cred(w.share, w.identity, w.flavor, &cred);
        if (below)
            status = walk(store, &cred, &at, &path);
        if (status == LARES_OK && hides)
            status = may_see(store, &cred, at, action, path);
        lares_store_pass(before);
        lares_node_unref(at);
    }
    watcher_clear(&w);
    return status;
}

static void
tell_if_seen(LaresWatch *watch, LaresChangeAction action, const char *path)
{
    switch (may_know(watch, action, path)) {
    case LARES_OK:
        tell(watch, action, path);
        break;
    case LARES_ACCESS:
        break;
    default: /* it was moved or removed */
        tell(watch, action, NULL);
    }
}

/* `path` may be NULL: not known. */
static void
tell_by_path(GPtrArray *watches, LaresStore *store, const LaresNode *dir, const char *name, const char *path,
             LaresChangeAction action)
{
    const LaresStoreInterface *iface = STORE_IFACE(store);
    char root[PATH_MAX];
    if (is_in_hidden(path))
        return;
    for (guint i = 0; i < watches->len; i++) {
        LaresWatch *watch = watches->pdata[i];
        if (dir && watch->dir.node == dir) {
            tell_if_seen(watch, action, name);
            continue;
        }
        if (!path || !iface->path || iface->path(store, watch->dir.node, root, sizeof root) != LARES_OK) {
            if (watch->tree && dir)
                tell(watch, action, NULL);
            continue;
        }
        const char *rest = below(watch, root, path);
        if (rest)
            tell_if_seen(watch, action, rest);
    }
}

void
lares_files_changed(LaresFiles *files, const LaresObject *dir, const char *name, LaresChangeAction action,
                    uint32_t filter)
{
    lares_fold_changed(files, dir, name, action, filter);
    lares_leases_dir_changed(dir->node->fileid);
    if (G_LIKELY(g_atomic_int_get(&files->n_watches) == 0))
        return;
    LaresStore *store = dir->share->store;
    g_autoptr(GPtrArray) watches = candidates(files, store, dir->node, filter);
    if (!watches)
        return;
    const LaresStoreInterface *iface = STORE_IFACE(store);
    char path[PATH_MAX + LARES_NAME_LIMIT + 2];
    gboolean known = iface->path && iface->path(store, dir->node, path, PATH_MAX) == LARES_OK;
    if (known) {
        size_t n = strlen(path);
        g_snprintf(path + n, sizeof path - n, "%s%s", n ? "/" : "", name);
    }
    tell_by_path(watches, store, dir->node, name, known ? path : NULL, action);
}

void
lares_files_stream_changed(LaresFiles *files, LaresNode *file, const char *name, LaresChangeAction action,
                           uint32_t filter)
{
    if (G_LIKELY(g_atomic_int_get(&files->n_watches) == 0))
        return;
    g_autoptr(GPtrArray) watches = candidates(files, file->store, NULL, filter);
    const LaresStoreInterface *iface = STORE_IFACE(file->store);
    char path[PATH_MAX + LARES_NAME_LIMIT + 2];
    if (!watches || !iface->path || iface->path(file->store, file, path, PATH_MAX) != LARES_OK || !*path)
        return;
    size_t n = strlen(path);
    g_snprintf(path + n, sizeof path - n, ":%s", name);
    tell_by_path(watches, file->store, NULL, NULL, path, action);
}

/* `path` is a stream's, below the root: HIDDEN/ID/NAME. */
static void
stream_written(LaresFiles *files, LaresStore *store, char *path, uint32_t filter)
{
    LaresNode *file;
    char *id = strchr(path, '/'), *name = id ? strchr(id + 1, '/') : NULL;
    uint32_t mapped = (filter & LARES_FILTER_SIZE ? LARES_FILTER_STREAM_SIZE : 0) |
                      (filter & LARES_FILTER_LAST_WRITE ? LARES_FILTER_STREAM_WRITE : 0);
    if (!name || !mapped)
        return;
    *name++ = '\0';
    if (lares_files_stream_file(store, id + 1, &file) != LARES_OK)
        return;
    lares_files_stream_changed(files, file, name, LARES_CHANGE_MODIFIED_STREAM, mapped);
    lares_node_unref(file);
}

#define STREAM_FILTERS (LARES_FILTER_STREAM_SIZE | LARES_FILTER_STREAM_WRITE)

void
lares_files_node_changed(LaresFiles *files, LaresNode *node, uint32_t filter)
{
    lares_leases_entry_changed(node);
    if (G_LIKELY(g_atomic_int_get(&files->n_watches) == 0))
        return;
    gboolean wrote = (filter & (LARES_FILTER_SIZE | LARES_FILTER_LAST_WRITE)) != 0;
    g_autoptr(GPtrArray) watches = candidates(files, node->store, NULL, filter | (wrote ? STREAM_FILTERS : 0));
    const LaresStoreInterface *iface = STORE_IFACE(node->store);
    char path[PATH_MAX];
    if (!watches || !iface->path || iface->path(node->store, node, path, sizeof path) != LARES_OK || !*path)
        return;
    if (is_in_hidden(path)) {
        stream_written(files, node->store, path, filter);
        return;
    }
    for (guint i = watches->len; i-- > 0;)
        if (!(((LaresWatch *)watches->pdata[i])->filter & filter))
            g_ptr_array_remove_index(watches, i);
    tell_by_path(watches, node->store, NULL, NULL, path, LARES_CHANGE_MODIFIED);
}

void
lares_files_dir_is_to_go(LaresFiles *files, const LaresNode *dir)
{
    g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func((GDestroyNotify)drop);
    if (G_LIKELY(g_atomic_int_get(&files->n_watches) == 0))
        return;
    g_mutex_lock(&files->watch_lock);
    for (guint i = 0; i < files->watches->len; i++) {
        LaresWatch *watch = files->watches->pdata[i];
        if (watch->dir.node != dir)
            continue;
        g_atomic_int_inc(&watch->ref);
        g_ptr_array_add(found, watch);
    }
    g_mutex_unlock(&files->watch_lock);
    for (guint i = 0; i < found->len; i++)
        tell(found->pdata[i], LARES_CHANGE_DELETE_PENDING, NULL);
}

void
lares_files_object_changed(LaresFiles *files, const LaresObject *object, uint32_t filter)
{
    lares_files_node_changed(files, object->node, filter);
}

/* ---- What removing and renaming need to know beforehand ------------------------------------------------------------
 */

void
lares_files_victim(LaresFiles *files, const LaresObject *dir, const LaresCred *cred, const char *name,
                   LaresVictim *victim)
{
    *victim = (LaresVictim){0};
    if (g_atomic_int_get(&files->n_watches) == 0 && !lares_files_has_streams(files, dir))
        return;
    LaresStore *store = dir->share->store;
    LaresNode *node;
    if (STORE_IFACE(store)->lookup(store, cred, dir->node, name, &node) != LARES_OK)
        return;
    LaresAttrs attrs = {0};
    victim->object = (LaresObject){lares_share_ref(dir->share), node};
    victim->last = STORE_IFACE(store)->getattr(store, node, LARES_ATTR_NLINK, &attrs) == LARES_OK &&
                   (node->type == LARES_TYPE_DIRECTORY || attrs.nlink <= 1);
}

uint32_t
lares_files_victim_filter(const LaresVictim *victim)
{
    gboolean directory = victim->object.node && victim->object.node->type == LARES_TYPE_DIRECTORY;
    return directory ? LARES_FILTER_DIR_NAME : LARES_FILTER_FILE_NAME;
}

static gboolean
has_no_name(const LaresObject *object)
{
    LaresAttrs now = {0};
    LaresStore *store = object->share->store;
    LaresStatus status = STORE_IFACE(store)->getattr(store, object->node, LARES_ATTR_NLINK, &now);
    return status == LARES_STALE || status == LARES_NOENT ||
           (status == LARES_OK && (now.nlink == 0 || object->node->type == LARES_TYPE_DIRECTORY));
}

void
lares_files_victim_end(LaresFiles *files, LaresVictim *victim, gboolean gone)
{
    /* Another name may have been made since `last` was asked: then the streams are still somebody's. */
    if (gone && victim->last && victim->object.node && has_no_name(&victim->object))
        lares_files_streams_forget(files, &victim->object);
    lares_object_clear(&victim->object);
}

void
lares_files_renaming(LaresFiles *files, const LaresCred *cred, const LaresObject *from, const char *name,
                     const LaresObject *to, const char *new_name, LaresRenaming *r)
{
    *r = (LaresRenaming){.from = from, .to = to, .name = name, .new_name = new_name};
    lares_files_victim(files, from, cred, name, &r->moved);
    lares_files_victim(files, to, cred, new_name, &r->replaced);
}

void
lares_files_renamed(LaresFiles *files, LaresRenaming *r, gboolean done)
{
    gboolean same_file = r->moved.object.node && r->moved.object.node == r->replaced.object.node;
    if (done && !same_file) {
        lares_leases_names_moved();
        uint32_t filter = lares_files_victim_filter(&r->moved);
        gboolean within = r->from->node == r->to->node;
        if (r->replaced.object.node && !same_file)
            lares_files_changed(files, r->to, r->new_name, LARES_CHANGE_REMOVED, filter);
        lares_files_changed(files, r->from, r->name, within ? LARES_CHANGE_OLD_NAME : LARES_CHANGE_REMOVED, filter);
        lares_files_changed(files, r->to, r->new_name, within ? LARES_CHANGE_NEW_NAME : LARES_CHANGE_ADDED, filter);
        /* As NTFS has it: a file's attributes and time of birth may be those of the name it replaced. */
        if (filter == LARES_FILTER_FILE_NAME)
            lares_files_changed(files, r->to, r->new_name, LARES_CHANGE_MODIFIED,
                                LARES_FILTER_ATTRIBUTES | LARES_FILTER_CREATION);
    }
    lares_files_victim_end(files, &r->moved, FALSE);
    lares_files_victim_end(files, &r->replaced, done && !same_file);
}
