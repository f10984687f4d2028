/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The pseudo-root's tree and its store interface.
 *
 * Nodes are made once per path and stay until the process ends (an administrator's shares bound their number); a path
 * that no share has any more is `absent` and answers LARES_STALE. */
#include "share/pseudo.h"

#include <string.h>

#define HANDLE_LEN 16

typedef struct _PseudoNode PseudoNode;
struct _PseudoNode {
    LaresNode node; /* first */
    char *path;     /* "/", "/media", "/home/ada" */
    const char *name;
    PseudoNode *parent; /* NULL at the root */
    /* Under the tree's lock: */
    gboolean absent;
    GPtrArray *children;  /* PseudoNode, by file id, which is their cookie */
    LaresShare *junction; /* a reference or NULL */
};

struct _LaresPseudo {
    GObject parent_instance;
    GRWLock lock;
    GHashTable *by_path;   /* path -> PseudoNode, which holds the reference */
    GHashTable *by_handle; /* the handle's bytes -> PseudoNode */
    PseudoNode *root;
    uint64_t change;
    gint64 when;
};

static void pseudo_store_init(LaresStoreInterface *iface);
G_DEFINE_FINAL_TYPE_WITH_CODE(LaresPseudo, lares_pseudo, G_TYPE_OBJECT,
                              G_IMPLEMENT_INTERFACE(LARES_TYPE_STORE, pseudo_store_init))

static PseudoNode *
pseudo_node(const LaresNode *node)
{
    return (PseudoNode *)node;
}

/* ---- The tree -------------------------------------------------------------------------------------------------- */

/* The first bytes of SHA-256 of the path: the same in every life of the server, and not to be guessed wrong. */
static void
derive(const char *path, uint8_t handle[HANDLE_LEN], uint64_t *fileid)
{
    uint8_t digest[32];
    gsize len = sizeof digest;
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    g_checksum_update(sum, (const guchar *)"lares pseudo ", 13);
    g_checksum_update(sum, (const guchar *)path, (gssize)strlen(path));
    g_checksum_get_digest(sum, digest, &len);
    memcpy(handle, digest, HANDLE_LEN);
    memcpy(fileid, digest, sizeof *fileid);
    /* Positive for clients with signed cookies; 0, 1 and 2 are taken. */
    *fileid = (GUINT64_FROM_BE(*fileid) & INT64_MAX) | 0x100;
}

static guint
hash_of_handle(gconstpointer bytes)
{
    guint hash;
    memcpy(&hash, bytes, sizeof hash); /* of a digest: any part is as good as all of it */
    return hash;
}

static gboolean
same_handle(gconstpointer a, gconstpointer b)
{
    return memcmp(a, b, HANDLE_LEN) == 0;
}

static PseudoNode *
node_new(LaresPseudo *self, const char *path, PseudoNode *parent)
{
    PseudoNode *pn = g_new0(PseudoNode, 1);
    pn->path = g_strdup(path);
    pn->name = strrchr(pn->path, '/') + 1;
    pn->parent = parent;
    pn->absent = parent != NULL;
    pn->children = g_ptr_array_new();
    pn->node.ref = 1;
    pn->node.type = LARES_TYPE_DIRECTORY;
    pn->node.store = LARES_STORE(self);
    pn->node.handle.len = HANDLE_LEN;
    derive(path, pn->node.handle.bytes, &pn->node.fileid);
    g_hash_table_insert(self->by_path, pn->path, pn);
    g_hash_table_insert(self->by_handle, pn->node.handle.bytes, pn);
    return pn;
}

static int
compare_fileid(gconstpointer a, gconstpointer b)
{
    uint64_t x = (*(PseudoNode *const *)a)->node.fileid, y = (*(PseudoNode *const *)b)->node.fileid;
    return x < y ? -1 : x > y;
}

/* `in_order`: of those that are in order. */
static void
attach(PseudoNode *parent, PseudoNode *pn, gboolean in_order)
{
    guint from = 0, to = in_order ? parent->children->len : 0;
    while (from < to) {
        guint middle = from + (to - from) / 2;
        if (((const PseudoNode *)parent->children->pdata[middle])->node.fileid < pn->node.fileid)
            from = middle + 1;
        else
            to = middle;
    }
    g_ptr_array_insert(parent->children, in_order ? (int)from : -1, pn);
}

/* The node of a path, made and attached to its parents as needed. */
static PseudoNode *
plant(LaresPseudo *self, const char *path, gboolean in_order)
{
    if (path[0] == '\0' || g_str_equal(path, "/"))
        return self->root;
    g_autofree char *above = g_path_get_dirname(path);
    PseudoNode *parent = plant(self, above, in_order);
    PseudoNode *pn = g_hash_table_lookup(self->by_path, path);
    if (!pn)
        pn = node_new(self, path, parent);
    if (pn->absent) {
        pn->absent = FALSE;
        attach(parent, pn, in_order);
    }
    return pn;
}

void
lares_pseudo_update(LaresPseudo *self, GPtrArray *shares, uint64_t change, gint64 when)
{
    GHashTableIter iter;
    gpointer value;
    g_autoptr(GPtrArray) old = g_ptr_array_new_with_free_func((GDestroyNotify)lares_share_unref);
    g_rw_lock_writer_lock(&self->lock);
    self->change = change;
    self->when = when;
    g_hash_table_iter_init(&iter, self->by_path);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        PseudoNode *pn = value;
        pn->absent = pn != self->root;
        g_ptr_array_set_size(pn->children, 0);
        if (pn->junction)
            g_ptr_array_add(old, g_steal_pointer(&pn->junction));
    }
    for (guint i = 0; i < shares->len; i++) {
        LaresShare *share = g_ptr_array_index(shares, i);
        if (share->enabled)
            plant(self, share->pseudo, FALSE)->junction = lares_share_ref(share);
    }
    g_hash_table_iter_init(&iter, self->by_path);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        g_ptr_array_sort(((PseudoNode *)value)->children, compare_fileid);
    g_rw_lock_writer_unlock(&self->lock);
}

/* A path without a share, and what is empty above it then, is not there any more. */
static void
uproot(PseudoNode *pn)
{
    for (; pn->parent && !pn->absent && !pn->junction && pn->children->len == 0; pn = pn->parent) {
        pn->absent = TRUE;
        g_ptr_array_remove(pn->parent->children, pn);
    }
}

void
lares_pseudo_change(LaresPseudo *self, const LaresShare *old, LaresShare *share, uint64_t change, gint64 when)
{
    g_autoptr(LaresShare) gone = NULL; /* let go without the lock */
    g_rw_lock_writer_lock(&self->lock);
    self->change = change;
    self->when = when;
    PseudoNode *was = old && old->enabled ? plant(self, old->pseudo, TRUE) : NULL;
    if (was)
        gone = g_steal_pointer(&was->junction);
    if (share && share->enabled)
        plant(self, share->pseudo, TRUE)->junction = lares_share_ref(share);
    if (was)
        uproot(was);
    g_rw_lock_writer_unlock(&self->lock);
}

LaresStatus
lares_pseudo_find(LaresPseudo *self, const char *path, LaresNode **node)
{
    g_rw_lock_reader_lock(&self->lock);
    PseudoNode *pn = g_hash_table_lookup(self->by_path, path);
    *node = pn && !pn->absent ? lares_node_ref(&pn->node) : NULL;
    g_rw_lock_reader_unlock(&self->lock);
    return *node ? LARES_OK : LARES_STALE;
}

LaresShare *
lares_pseudo_junction(LaresNode *node)
{
    LaresPseudo *self = LARES_PSEUDO(node->store);
    g_rw_lock_reader_lock(&self->lock);
    LaresShare *share = pseudo_node(node)->junction;
    if (share)
        lares_share_ref(share);
    g_rw_lock_reader_unlock(&self->lock);
    return share;
}

/* Shares at and below a node, in name order; with the lock held, borrowed. */
static void
shares_below(const PseudoNode *pn, GPtrArray *to)
{
    if (pn->junction)
        g_ptr_array_add(to, lares_share_ref(pn->junction));
    for (guint i = 0; i < pn->children->len; i++)
        shares_below(g_ptr_array_index(pn->children, i), to);
}

static int
compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp((*(LaresShare *const *)a)->name, (*(LaresShare *const *)b)->name);
}

static GPtrArray *
list_below(const LaresNode *node)
{
    LaresPseudo *self = LARES_PSEUDO(node->store);
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)lares_share_unref);
    g_rw_lock_reader_lock(&self->lock);
    shares_below(pseudo_node(node), list);
    g_rw_lock_reader_unlock(&self->lock);
    g_ptr_array_sort(list, compare_names);
    return list;
}

guint
lares_pseudo_union_flavors(const GPtrArray *shares, const LaresFlavor *out[LARES_SHARE_MAX_FLAVORS])
{
    guint n = 0;
    for (guint i = 0; i < shares->len; i++) {
        const LaresShare *share = g_ptr_array_index(shares, i);
        for (guint k = 0; share->enabled && k < share->n_flavors; k++) {
            guint at = 0;
            while (at < n && out[at] != share->flavor[k])
                at++;
            if (at == n && n < LARES_SHARE_MAX_FLAVORS)
                out[n++] = share->flavor[k];
        }
    }
    return n;
}

guint
lares_shares_union_flavors(LaresShares *shares, const LaresNode *node, const LaresFlavor *out[LARES_SHARE_MAX_FLAVORS])
{
    g_autoptr(GPtrArray) list = list_below(node);
    return lares_pseudo_union_flavors(list, out);
}

gboolean
lares_pseudo_visible(LaresNode *node, const LaresPeer *peer)
{
    if (!pseudo_node(node)->parent)
        return TRUE;
    g_autoptr(GPtrArray) list = list_below(node);
    for (guint i = 0; i < list->len; i++) {
        if (lares_share_allows_host(g_ptr_array_index(list, i), peer))
            return TRUE;
    }
    return FALSE;
}

/* ---- The object ------------------------------------------------------------------------------------------------ */

static void
lares_pseudo_init(LaresPseudo *self)
{
    g_rw_lock_init(&self->lock);
    self->by_path = g_hash_table_new(g_str_hash, g_str_equal);
    self->by_handle = g_hash_table_new(hash_of_handle, same_handle);
    self->root = node_new(self, "/", NULL);
    self->change = 1;
}

static void
lares_pseudo_finalize(GObject *object)
{
    LaresPseudo *self = LARES_PSEUDO(object);
    g_autoptr(GList) nodes = g_hash_table_get_values(self->by_path);
    for (GList *l = nodes; l; l = l->next)
        lares_node_unref(l->data);
    g_hash_table_unref(self->by_handle);
    g_hash_table_unref(self->by_path);
    g_rw_lock_clear(&self->lock);
    G_OBJECT_CLASS(lares_pseudo_parent_class)->finalize(object);
}

static void
lares_pseudo_class_init(LaresPseudoClass *class)
{
    G_OBJECT_CLASS(class)->finalize = lares_pseudo_finalize;
}

LaresPseudo *
lares_pseudo_new(void)
{
    return g_object_new(LARES_TYPE_PSEUDO, NULL);
}

/* ---- LaresStore ------------------------------------------------------------------------------------------------ */

static const char *
pseudo_get_type_name(LaresStore *store)
{
    return "pseudo";
}

static LaresStatus
pseudo_root(LaresStore *store, LaresNode **node)
{
    *node = lares_node_ref(&LARES_PSEUDO(store)->root->node);
    return LARES_OK;
}

static LaresStatus
pseudo_from_handle(LaresStore *store, const uint8_t *bytes, size_t len, LaresNode **node)
{
    LaresPseudo *self = LARES_PSEUDO(store);
    *node = NULL;
    if (len != HANDLE_LEN)
        return LARES_BADHANDLE;
    g_rw_lock_reader_lock(&self->lock);
    PseudoNode *pn = g_hash_table_lookup(self->by_handle, bytes);
    if (pn && !pn->absent)
        *node = lares_node_ref(&pn->node);
    g_rw_lock_reader_unlock(&self->lock);
    return *node ? LARES_OK : LARES_STALE;
}

static LaresStatus
pseudo_lookup(LaresStore *store, const LaresCred *cred, LaresNode *dir, const char *name, LaresNode **node)
{
    LaresPseudo *self = LARES_PSEUDO(store);
    PseudoNode *pn = pseudo_node(dir);
    LaresStatus status = LARES_NOENT;
    *node = NULL;
    g_rw_lock_reader_lock(&self->lock);
    if (pn->absent)
        status = LARES_STALE;
    g_autofree char *path = g_strconcat(pn->parent ? pn->path : "", "/", name, NULL);
    PseudoNode *child = strchr(name, '/') ? NULL : g_hash_table_lookup(self->by_path, path);
    if (child && child->parent == pn && !child->absent)
        *node = lares_node_ref(&child->node);
    g_rw_lock_reader_unlock(&self->lock);
    return *node ? LARES_OK : status;
}

static LaresStatus
pseudo_parent(LaresStore *store, const LaresCred *cred, LaresNode *node, LaresNode **parent)
{
    PseudoNode *above = pseudo_node(node)->parent;
    *parent = above ? lares_node_ref(&above->node) : NULL;
    return above ? LARES_OK : LARES_NOENT;
}

static void
pseudo_node_free(LaresStore *store, LaresNode *node)
{
    PseudoNode *pn = pseudo_node(node);
    g_ptr_array_unref(pn->children);
    g_clear_pointer(&pn->junction, lares_share_unref);
    g_free(pn->path);
    g_free(pn);
}

static LaresStatus
pseudo_getattr(LaresStore *store, LaresNode *node, uint32_t mask, LaresAttrs *attrs)
{
    LaresPseudo *self = LARES_PSEUDO(store);
    PseudoNode *pn = pseudo_node(node);
    g_rw_lock_reader_lock(&self->lock);
    gboolean absent = pn->absent;
    LaresTime when = {self->when, 0};
    *attrs = (LaresAttrs){.mask = mask & LARES_ATTR_STAT & ~(uint32_t)(LARES_ATTR_RDEV | LARES_ATTR_BTIME),
                          .type = LARES_TYPE_DIRECTORY,
                          .mode = 0555,
                          .nlink = 2 + pn->children->len,
                          .size = 512,
                          .atime = when,
                          .mtime = when,
                          .ctime = when,
                          .fileid = node->fileid,
                          .fsid_major = LARES_PSEUDO_FSID,
                          .change = self->change};
    g_rw_lock_reader_unlock(&self->lock);
    return absent ? LARES_STALE : LARES_OK;
}

static LaresStatus
pseudo_setattr(LaresStore *store, const LaresCred *cred, LaresNode *node, const LaresSetAttrs *set)
{
    return LARES_ROFS;
}

static LaresStatus
pseudo_access(LaresStore *store, const LaresCred *cred, LaresNode *node, uint32_t wanted, uint32_t *allowed)
{
    *allowed = wanted & (LARES_ACCESS_READ | LARES_ACCESS_EXECUTE);
    return LARES_OK;
}

static LaresStatus
pseudo_readlink(LaresStore *store, const LaresCred *cred, LaresNode *node, char *buf, size_t size, size_t *len)
{
    return LARES_INVAL;
}

static LaresStatus
pseudo_statfs(LaresStore *store, LaresNode *node, LaresSpace *space)
{
    *space = (LaresSpace){
        .block_size = 512, .name_max = LARES_NAME_LIMIT, .max_file_size = INT64_MAX, .max_link = 1, .read_only = TRUE};
    return LARES_OK;
}

static LaresStatus
pseudo_create(LaresStore *store, const LaresCred *cred, LaresNode *dir, const char *name, const LaresCreate *how,
              uint32_t access, LaresNode **node, LaresFile **file, gboolean *created)
{
    return LARES_ROFS;
}

static LaresStatus
pseudo_link(LaresStore *store, const LaresCred *cred, LaresNode *node, LaresNode *dir, const char *name)
{
    return LARES_ROFS;
}

static LaresStatus
pseudo_remove(LaresStore *store, const LaresCred *cred, LaresNode *dir, const char *name)
{
    return LARES_ROFS;
}

static LaresStatus
pseudo_rename(LaresStore *store, const LaresCred *cred, LaresNode *from, const char *name, LaresNode *to,
              const char *new_name, gboolean replace)
{
    return LARES_ROFS;
}

static LaresStatus
pseudo_readdir(LaresStore *store, const LaresCred *cred, LaresNode *dir, uint64_t cookie, LaresDirFunc emit,
               gpointer user, gboolean *eof)
{
    LaresPseudo *self = LARES_PSEUDO(store);
    PseudoNode *pn = pseudo_node(dir);
    g_autoptr(GPtrArray) list = g_ptr_array_new();
    *eof = FALSE;
    /* Nodes live as long as the tree: a list of them may be walked after the lock is gone. */
    g_rw_lock_reader_lock(&self->lock);
    gboolean absent = pn->absent;
    for (guint i = 0; i < pn->children->len; i++)
        g_ptr_array_add(list, g_ptr_array_index(pn->children, i));
    g_rw_lock_reader_unlock(&self->lock);
    if (absent)
        return LARES_STALE;
    for (guint i = 0; i < list->len; i++) {
        const PseudoNode *child = g_ptr_array_index(list, i);
        LaresDirEntry entry = {child->name, child->node.fileid, child->node.fileid, LARES_TYPE_DIRECTORY};
        if (entry.cookie > cookie && !emit(&entry, user))
            return LARES_OK;
    }
    *eof = TRUE;
    return LARES_OK;
}

static LaresStatus
pseudo_open(LaresStore *store, const LaresCred *cred, LaresNode *node, uint32_t access, LaresFile **file)
{
    return LARES_ISDIR;
}

static void
pseudo_store_init(LaresStoreInterface *iface)
{
    iface->get_type_name = pseudo_get_type_name;
    iface->root = pseudo_root;
    iface->from_handle = pseudo_from_handle;
    iface->lookup = pseudo_lookup;
    iface->parent = pseudo_parent;
    iface->node_free = pseudo_node_free;
    iface->getattr = pseudo_getattr;
    iface->setattr = pseudo_setattr;
    iface->access = pseudo_access;
    iface->readlink = pseudo_readlink;
    iface->statfs = pseudo_statfs;
    iface->create = pseudo_create;
    iface->link = pseudo_link;
    iface->remove = pseudo_remove;
    iface->rename = pseudo_rename;
    iface->readdir = pseudo_readdir;
    iface->open = pseudo_open;
}
