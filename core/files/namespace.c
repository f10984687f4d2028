/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names: the pseudo-root, crossing into shares and out of them, and the policy that stands at the crossing.
 *
 * Spec: RFC 7530 section 7 (NFS server name space), RFC 8881 2.6 (security negotiation). */
#include "files/files-private.h"
#include "share/pseudo.h"

#include <gio/gio.h>

gboolean
lares_object_is_pseudo(const LaresObject *object)
{
    return object->share->id == 0;
}

gboolean
lares_object_is_share_root(const LaresObject *object)
{
    if (lares_object_is_pseudo(object))
        return FALSE;
    LaresNode *root;
    if (STORE_IFACE(object->share->store)->root(object->share->store, &root) != LARES_OK)
        return FALSE;
    gboolean same = root == object->node;
    lares_node_unref(root);
    return same;
}

LaresStatus
lares_files_root(LaresFiles *files, const LaresCaller *caller, LaresObject *out)
{
    *out = (LaresObject){.share = lares_shares_pseudo(files->shares)};
    LaresStatus status = STORE_IFACE(out->share->store)->root(out->share->store, &out->node);
    if (status != LARES_OK) {
        out->node = NULL;
        lares_object_clear(out);
    }
    return status;
}

guint
lares_files_flavors(LaresFiles *files, const LaresObject *object, const LaresFlavor *flavors[LARES_SHARE_MAX_FLAVORS])
{
    if (lares_object_is_pseudo(object))
        return lares_shares_union_flavors(files->shares, object->node, flavors);
    guint n = object->share->n_flavors;
    memcpy(flavors, object->share->flavor, n * sizeof flavors[0]);
    return n;
}

LaresStatus
lares_files_policy(LaresFiles *files, const LaresCaller *caller, const LaresObject *object)
{
    if (lares_object_is_pseudo(object)) {
        const LaresFlavor *flavors[LARES_SHARE_MAX_FLAVORS];
        guint n = lares_shares_union_flavors(files->shares, object->node, flavors);
        for (guint i = 0; i < n; i++) {
            if (flavors[i] == caller->flavor)
                return LARES_OK;
        }
        return LARES_WRONGSEC;
    }
    if (!object->share->enabled || !object->share->store)
        return LARES_STALE;
    if (!lares_share_allows_host(object->share, caller->peer))
        return LARES_ACCESS;
    return lares_share_allows(object->share, caller->flavor) ? LARES_OK : LARES_WRONGSEC;
}

LaresStatus
lares_files_name(LaresArena *arena, const uint8_t *bytes, size_t len, const char **name)
{
    if (len == 0)
        return LARES_INVAL;
    if (len > LARES_NAME_LIMIT)
        return LARES_NAMETOOLONG;
    if (memchr(bytes, '\0', len) || !g_utf8_validate((const char *)bytes, (gssize)len, NULL))
        return LARES_BADCHAR;
    if (memchr(bytes, '/', len))
        return LARES_BADCHAR;
    if (bytes[0] == '.' && (len == 1 || (len == 2 && bytes[1] == '.')))
        return LARES_BADNAME;
    *name = lares_arena_strndup(arena, bytes, len);
    return LARES_OK;
}

/* Takes over `share`. */
static LaresStatus
enter_share(LaresFiles *files, const LaresCaller *caller, LaresShare *share, gboolean policy, LaresObject *out)
{
    LaresStatus status = LARES_OK;
    if (!share->enabled || !share->store || !lares_share_allows_host(share, caller->peer))
        status = LARES_NOENT; /* as in a listing: what may not be seen is not there */
    else if (policy && !lares_share_allows(share, caller->flavor))
        status = LARES_WRONGSEC;
    if (status == LARES_OK)
        status = STORE_IFACE(share->store)->root(share->store, &out->node);
    if (status != LARES_OK) {
        lares_share_unref(share);
        out->node = NULL;
        return status;
    }
    out->share = share;
    return LARES_OK;
}

LaresStatus
lares_files_share_root(LaresFiles *files, const LaresCaller *caller, LaresShare *share, LaresObject *out)
{
    *out = (LaresObject){NULL, NULL};
    if (!share->enabled || !share->store)
        return LARES_STALE;
    if (!lares_share_allows_host(share, caller->peer))
        return LARES_ACCESS;
    if (!lares_share_allows(share, caller->flavor))
        return LARES_WRONGSEC;
    LaresStatus status = STORE_IFACE(share->store)->root(share->store, &out->node);
    if (status == LARES_OK)
        out->share = lares_share_ref(share);
    else
        out->node = NULL;
    return status;
}

LaresStatus
lares_files_lookup(LaresFiles *files, const LaresCaller *caller, const LaresObject *dir, const char *name,
                   gboolean policy, LaresObject *out)
{
    *out = (LaresObject){NULL, NULL};
    if (dir->node->type != LARES_TYPE_DIRECTORY)
        return dir->node->type == LARES_TYPE_SYMLINK ? LARES_SYMLINK : LARES_NOTDIR;
    if (G_UNLIKELY(lares_files_is_hidden(name)))
        return LARES_NOENT;
    LaresCred cred = lares_files_cred(caller, dir);
    LaresNode *node;
    LaresStatus status = STORE_IFACE(dir->share->store)->lookup(dir->share->store, &cred, dir->node, name, &node);
    if (status != LARES_OK)
        return status;
    if (lares_object_is_pseudo(dir)) {
        LaresShare *below = lares_pseudo_junction(node);
        if (below) {
            lares_node_unref(node);
            return enter_share(files, caller, below, policy, out);
        }
    }
    out->share = lares_share_ref(dir->share);
    out->node = node;
    return LARES_OK;
}

LaresStatus
lares_files_covered(LaresFiles *files, const LaresCaller *caller, const LaresObject *dir, const char *name,
                    LaresObject *out)
{
    *out = (LaresObject){NULL, NULL};
    if (!lares_object_is_pseudo(dir))
        return LARES_NOENT;
    LaresCred cred = lares_files_cred(caller, dir);
    LaresNode *node;
    LaresStatus status = STORE_IFACE(dir->share->store)->lookup(dir->share->store, &cred, dir->node, name, &node);
    if (status != LARES_OK)
        return status;
    if (!lares_pseudo_visible(node, caller->peer)) {
        lares_node_unref(node);
        return LARES_NOENT;
    }
    *out = (LaresObject){lares_share_ref(dir->share), node};
    return LARES_OK;
}

LaresStatus
lares_files_parent(LaresFiles *files, const LaresCaller *caller, const LaresObject *object, gboolean policy,
                   LaresObject *out)
{
    *out = (LaresObject){NULL, NULL};
    if (object->node->type != LARES_TYPE_DIRECTORY)
        return object->node->type == LARES_TYPE_SYMLINK ? LARES_SYMLINK : LARES_NOTDIR;
    LaresObject at = *object;
    LaresNode *covered = NULL;
    g_autoptr(LaresShare) pseudo = NULL;
    if (lares_object_is_share_root(object)) {
        LaresStatus status = lares_pseudo_node_of_share(files->shares, object->share, &covered);
        if (status != LARES_OK)
            return status;
        pseudo = lares_shares_pseudo(files->shares);
        at = (LaresObject){pseudo, covered};
    }
    LaresCred cred = lares_files_cred(caller, &at);
    LaresObject parent = {NULL, NULL};
    LaresStatus status = STORE_IFACE(at.share->store)->parent(at.share->store, &cred, at.node, &parent.node);
    if (covered)
        lares_node_unref(covered);
    if (status != LARES_OK)
        return status;
    parent.share = lares_share_ref(at.share);
    if (policy)
        status = lares_files_policy(files, caller, &parent);
    if (status != LARES_OK)
        lares_object_clear(&parent);
    *out = parent;
    return status;
}

/* ---- Listing ----------------------------------------------------------------------------------------------------- */

typedef struct {
    const LaresCaller *caller;
    const LaresObject *dir;
    LaresDirFunc emit;
    gpointer user;
} VisibleEntries;

/* Passes on what the caller's host may see. */
static gboolean
emit_visible(const LaresDirEntry *entry, gpointer user)
{
    VisibleEntries *v = user;
    LaresCred cred = lares_files_cred(v->caller, v->dir);
    LaresStore *store = v->dir->share->store;
    g_autoptr(LaresNode) node = NULL;
    if (STORE_IFACE(store)->lookup(store, &cred, v->dir->node, entry->name, &node) != LARES_OK)
        return TRUE;
    if (!lares_pseudo_visible(node, v->caller->peer))
        return TRUE;
    return v->emit(entry, v->user);
}

/* Leaves out the reserved name. */
typedef struct {
    LaresDirFunc emit;
    LaresDirAttrsFunc emit_attrs;
    gpointer user;
} ShownEntries;

static gboolean
emit_shown(const LaresDirEntry *entry, gpointer user)
{
    const ShownEntries *shown = user;
    return lares_files_is_hidden(entry->name) || shown->emit(entry, shown->user);
}

static gboolean
emit_shown_attrs(const LaresDirEntry *entry, const LaresAttrs *attrs, LaresNode *node, gpointer user)
{
    const ShownEntries *shown = user;
    return lares_files_is_hidden(entry->name) || shown->emit_attrs(entry, attrs, node, shown->user);
}

LaresStatus
lares_files_readdir(LaresFiles *files, const LaresCaller *caller, const LaresObject *dir, uint64_t cookie,
                    LaresDirFunc emit, gpointer user, gboolean *eof)
{
    if (dir->node->type != LARES_TYPE_DIRECTORY)
        return LARES_NOTDIR;
    LaresCred cred = lares_files_cred(caller, dir);
    LaresStore *store = dir->share->store;
    if (!lares_object_is_pseudo(dir)) {
        ShownEntries shown = {emit, NULL, user};
        return STORE_IFACE(store)->readdir(store, &cred, dir->node, cookie, emit_shown, &shown, eof);
    }
    VisibleEntries visible = {caller, dir, emit, user};
    return STORE_IFACE(store)->readdir(store, &cred, dir->node, cookie, emit_visible, &visible, eof);
}

typedef struct {
    LaresDirAttrsFunc emit;
    gpointer user;
} PlainEntries;

static gboolean
emit_plain(const LaresDirEntry *entry, gpointer user)
{
    PlainEntries *plain = user;
    return plain->emit(entry, NULL, NULL, plain->user);
}

LaresStatus
lares_files_readdir_attrs(LaresFiles *files, const LaresCaller *caller, const LaresObject *dir, uint64_t cookie,
                          uint32_t mask, gboolean nodes, LaresDirAttrsFunc emit, gpointer user, gboolean *eof)
{
    const LaresStoreInterface *iface = STORE_IFACE(dir->share->store);
    if (!iface->readdir_attrs || dir->node->type != LARES_TYPE_DIRECTORY) {
        PlainEntries plain = {emit, user};
        return lares_files_readdir(files, caller, dir, cookie, emit_plain, &plain, eof);
    }
    if (mask & LARES_ATTR_HANDLE && !iface->entry_handle)
        nodes = TRUE;
    LaresCred cred = lares_files_cred(caller, dir);
    ShownEntries shown = {NULL, emit, user};
    return iface->readdir_attrs(dir->share->store, &cred, dir->node, cookie, mask, nodes, emit_shown_attrs, &shown,
                                eof);
}
