/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The store in memory: attributes, ACLs and extended attributes. */
#include "memstore-private.h"

static LaresStatus
getattr(LaresStore *base, LaresNode *node, uint32_t mask, LaresAttrs *attrs)
{
    MemStore *store = MEMSTORE(base);
    LaresStatus status = memstore_begin(store, "getattr");
    if (status != LARES_OK)
        return status;
    MemNode *m = MEMNODE(node);
    if (m->attrs.nlink == 0 && m->opens == 0)
        return memstore_end(store, LARES_STALE);
    *attrs = m->attrs;
    if (node->type == LARES_TYPE_REGULAR)
        attrs->size = m->data->len;
    attrs->used = (attrs->size + 511) / 512 * 512;
    return memstore_end(store, LARES_OK);
}

static LaresStatus
check_set(const MemNode *m, const LaresCred *cred, const LaresSetAttrs *set)
{
    gboolean owner = cred->uid == 0 || cred->uid == m->attrs.uid;
    if (set->mask & LARES_ATTR_SIZE && m->base.type != LARES_TYPE_REGULAR)
        return m->base.type == LARES_TYPE_DIRECTORY ? LARES_ISDIR : LARES_INVAL;
    if (set->mask & LARES_ATTR_SIZE && set->size > (64u << 20))
        return LARES_FBIG;
    if (set->mask & LARES_ATTR_SIZE && !owner && memstore_may(m, cred, LARES_MASK_WRITE_DATA) != LARES_OK)
        return LARES_ACCESS;
    if (set->mask & (LARES_ATTR_MODE | LARES_ATTR_ATIME | LARES_ATTR_MTIME | LARES_ATTR_BTIME) && !owner)
        return LARES_PERM;
    if (set->mask & (LARES_SET_ATIME_NOW | LARES_SET_MTIME_NOW) && !owner &&
        memstore_may(m, cred, LARES_MASK_WRITE_DATA) != LARES_OK)
        return LARES_ACCESS;
    if (set->mask & LARES_ATTR_UID && cred->uid != 0 && (set->uid != m->attrs.uid || !owner))
        return LARES_PERM;
    if (set->mask & LARES_ATTR_GID && cred->uid != 0) {
        gboolean member = set->gid == cred->gid;
        for (uint32_t i = 0; i < cred->n_groups; i++)
            member |= cred->groups[i] == set->gid;
        if (!owner || !member)
            return LARES_PERM;
    }
    return LARES_OK;
}

static void
apply(MemNode *m, const LaresSetAttrs *set)
{
    if (set->mask & LARES_ATTR_SIZE) {
        guint old = m->data->len;
        g_byte_array_set_size(m->data, (guint)set->size);
        if (m->data->len > old)
            memset(m->data->data + old, 0, m->data->len - old);
    }
    if (set->mask & LARES_ATTR_UID)
        m->attrs.uid = set->uid;
    if (set->mask & LARES_ATTR_GID)
        m->attrs.gid = set->gid;
    if (set->mask & LARES_ATTR_MODE) {
        m->attrs.mode = set->mode & 07777;
        if (m->acl) {
            LaresAcl *fresh = lares_acl_chmod(m->acl, set->mode, m->base.type == LARES_TYPE_DIRECTORY);
            lares_acl_free(m->acl);
            m->acl = fresh;
        }
    }
    if (set->mask & LARES_ATTR_ATIME)
        m->attrs.atime = set->atime;
    if (set->mask & LARES_SET_ATIME_NOW)
        m->attrs.atime = m->attrs.ctime;
    if (set->mask & LARES_ATTR_MTIME)
        m->attrs.mtime = set->mtime;
    if (set->mask & LARES_ATTR_BTIME)
        m->attrs.btime = set->btime;
}

static LaresStatus
setattr(LaresStore *base, const LaresCred *cred, LaresNode *node, const LaresSetAttrs *set)
{
    MemStore *store = MEMSTORE(base);
    LaresStatus status = memstore_begin(store, "setattr");
    if (status != LARES_OK)
        return status;
    status = check_set(MEMNODE(node), cred, set);
    if (status == LARES_OK) {
        memstore_touch(store, MEMNODE(node), (set->mask & (LARES_ATTR_SIZE | LARES_SET_MTIME_NOW)) != 0);
        apply(MEMNODE(node), set);
    }
    return memstore_end(store, status);
}

static uint32_t
mask_of_access(uint32_t access, gboolean directory)
{
    switch (access) {
    case LARES_ACCESS_READ:
    case LARES_ACCESS_XAREAD:
    case LARES_ACCESS_XALIST:
        return LARES_MASK_READ_DATA;
    case LARES_ACCESS_EXECUTE:
        return LARES_MASK_EXECUTE;
    case LARES_ACCESS_DELETE:
        return directory ? LARES_MASK_DELETE_CHILD : LARES_MASK_DELETE;
    case LARES_ACCESS_EXTEND:
        return LARES_MASK_APPEND_DATA;
    default:
        return LARES_MASK_WRITE_DATA;
    }
}

static LaresStatus
access_of(LaresStore *base, const LaresCred *cred, LaresNode *node, uint32_t wanted, uint32_t *allowed)
{
    MemStore *store = MEMSTORE(base);
    LaresStatus status = memstore_begin(store, "access");
    if (status != LARES_OK)
        return status;
    *allowed = 0;
    for (uint32_t bit = 1; bit <= LARES_ACCESS_XALIST; bit <<= 1)
        if (wanted & bit &&
            memstore_may(MEMNODE(node), cred, mask_of_access(bit, node->type == LARES_TYPE_DIRECTORY)) == LARES_OK)
            *allowed |= bit;
    return memstore_end(store, LARES_OK);
}

static LaresStatus
read_link(LaresStore *base, const LaresCred *cred, LaresNode *node, char *buf, size_t size, size_t *len)
{
    MemStore *store = MEMSTORE(base);
    LaresStatus status = memstore_begin(store, "readlink");
    if (status != LARES_OK)
        return status;
    if (node->type != LARES_TYPE_SYMLINK)
        return memstore_end(store, LARES_INVAL);
    *len = strlen(MEMNODE(node)->target);
    if (*len >= size)
        return memstore_end(store, LARES_TOOSMALL);
    memcpy(buf, MEMNODE(node)->target, *len);
    return memstore_end(store, LARES_OK);
}

static LaresStatus
stat_fs(LaresStore *base, LaresNode *node, LaresSpace *space)
{
    *space = (LaresSpace){.total_bytes = 1 << 30,
                          .free_bytes = 1 << 29,
                          .avail_bytes = 1 << 29,
                          .total_files = 1 << 20,
                          .free_files = 1 << 19,
                          .avail_files = 1 << 19,
                          .block_size = 4096,
                          .name_max = LARES_NAME_LIMIT,
                          .max_file_size = (64u << 20),
                          .max_link = 32000,
                          .can_xattr = TRUE,
                          .can_clone = TRUE,
                          .can_allocate = TRUE,
                          .can_btime = TRUE};
    LaresStatus status = memstore_begin(MEMSTORE(base), "statfs");
    return status == LARES_OK ? memstore_end(MEMSTORE(base), LARES_OK) : status;
}

static LaresStatus
get_acl(LaresStore *base, LaresNode *node, LaresAcl **acl)
{
    MemStore *store = MEMSTORE(base);
    LaresStatus status = memstore_begin(store, "get_acl");
    if (status != LARES_OK)
        return status;
    MemNode *m = MEMNODE(node);
    *acl = m->acl ? lares_acl_copy(m->acl) : lares_acl_from_mode(m->attrs.mode, node->type == LARES_TYPE_DIRECTORY);
    return memstore_end(store, LARES_OK);
}

static LaresStatus
set_acl(LaresStore *base, const LaresCred *cred, LaresNode *node, const LaresAcl *acl)
{
    MemStore *store = MEMSTORE(base);
    MemNode *m = MEMNODE(node);
    LaresStatus status = memstore_begin(store, "set_acl");
    if (status != LARES_OK)
        return status;
    if (cred->uid != 0 && cred->uid != m->attrs.uid && memstore_may(m, cred, LARES_MASK_WRITE_ACL) != LARES_OK)
        return memstore_end(store, LARES_PERM);
    lares_acl_free(m->acl);
    m->acl = lares_acl_copy(acl);
    m->attrs.mode = (m->attrs.mode & 07000) | lares_acl_to_mode(acl);
    memstore_touch(store, m, FALSE);
    return memstore_end(store, LARES_OK);
}

/* ---- Extended attributes ----------------------------------------------------------------------------------------- */

/* Notes are kept among them, under names that are not UTF-8 and so no user's. */
#define NOTE_PREFIX "\xff"

static gboolean
is_note(const char *name)
{
    return g_str_has_prefix(name, NOTE_PREFIX);
}

static LaresStatus
getxattr(LaresStore *base, const LaresCred *cred, LaresNode *node, const char *name, uint8_t *buf, size_t size,
         size_t *len)
{
    MemStore *store = MEMSTORE(base);
    LaresStatus status = memstore_begin(store, "getxattr");
    if (status != LARES_OK)
        return status;
    status = memstore_may(MEMNODE(node), cred, LARES_MASK_READ_DATA);
    GBytes *value = status == LARES_OK ? g_hash_table_lookup(MEMNODE(node)->xattrs, name) : NULL;
    if (status == LARES_OK && !value)
        status = LARES_NOXATTR;
    if (value) {
        const void *data = g_bytes_get_data(value, len);
        if (size && *len > size)
            status = LARES_TOOSMALL;
        else if (size && *len)
            memcpy(buf, data, *len);
    }
    return memstore_end(store, status);
}

static LaresStatus
setxattr(LaresStore *base, const LaresCred *cred, LaresNode *node, const char *name, const uint8_t *value, size_t len,
         LaresXattrMode mode)
{
    MemStore *store = MEMSTORE(base);
    LaresStatus status = memstore_begin(store, "setxattr");
    if (status != LARES_OK)
        return status;
    status = memstore_may(MEMNODE(node), cred, LARES_MASK_WRITE_DATA);
    gboolean there = g_hash_table_contains(MEMNODE(node)->xattrs, name);
    if (len > 65536)
        status = LARES_XATTR2BIG;
    else if (status == LARES_OK && mode == LARES_XATTR_CREATE && there)
        status = LARES_EXIST;
    else if (status == LARES_OK && mode == LARES_XATTR_REPLACE && !there)
        status = LARES_NOXATTR;
    if (status == LARES_OK) {
        g_hash_table_replace(MEMNODE(node)->xattrs, g_strdup(name), g_bytes_new(value, len));
        memstore_touch(store, MEMNODE(node), FALSE);
    }
    return memstore_end(store, status);
}

static LaresStatus
removexattr(LaresStore *base, const LaresCred *cred, LaresNode *node, const char *name)
{
    MemStore *store = MEMSTORE(base);
    LaresStatus status = memstore_begin(store, "removexattr");
    if (status != LARES_OK)
        return status;
    status = memstore_may(MEMNODE(node), cred, LARES_MASK_WRITE_DATA);
    if (status == LARES_OK && !g_hash_table_remove(MEMNODE(node)->xattrs, name))
        status = LARES_NOXATTR;
    if (status == LARES_OK)
        memstore_touch(store, MEMNODE(node), FALSE);
    return memstore_end(store, status);
}

static LaresStatus
listxattr(LaresStore *base, const LaresCred *cred, LaresNode *node, char *buf, size_t size, size_t *len)
{
    MemStore *store = MEMSTORE(base);
    GHashTableIter iter;
    gpointer name;
    LaresStatus status = memstore_begin(store, "listxattr");
    if (status != LARES_OK)
        return status;
    status = memstore_may(MEMNODE(node), cred, LARES_MASK_READ_DATA);
    *len = 0;
    g_hash_table_iter_init(&iter, MEMNODE(node)->xattrs);
    while (status == LARES_OK && g_hash_table_iter_next(&iter, &name, NULL)) {
        size_t n = strlen(name) + 1;
        if (is_note(name))
            continue;
        if (*len + n <= size)
            memcpy(buf + *len, name, n);
        *len += n;
    }
    if (status == LARES_OK && *len > size)
        status = LARES_TOOSMALL;
    return memstore_end(store, status);
}

/* ---- Notes -------------------------------------------------------------------------------------------------------
 */

static MemNode *
find_entry(const MemNode *dir, const char *name)
{
    for (guint i = 0; i < dir->entries->len; i++) {
        const MemEntry *entry = dir->entries->pdata[i];
        if (g_str_equal(entry->name, name))
            return entry->node;
    }
    return NULL;
}

static LaresStatus
get_note(LaresStore *base, LaresNode *node, const char *entry, const char *name, uint8_t *buf, size_t size, size_t *len)
{
    MemStore *store = MEMSTORE(base);
    g_autofree char *key = g_strconcat(NOTE_PREFIX, name, NULL);
    LaresStatus status = memstore_begin(store, "get_note");
    if (status != LARES_OK)
        return status;
    const MemNode *of = entry ? find_entry(MEMNODE(node), entry) : MEMNODE(node);
    GBytes *value = of ? g_hash_table_lookup(of->xattrs, key) : NULL;
    if (!value)
        return memstore_end(store, LARES_NOXATTR);
    const void *data = g_bytes_get_data(value, len);
    if (*len > size)
        return memstore_end(store, LARES_TOOSMALL);
    memcpy(buf, data, *len);
    return memstore_end(store, LARES_OK);
}

static LaresStatus
set_note(LaresStore *base, LaresNode *node, const char *name, const uint8_t *value, size_t len)
{
    MemStore *store = MEMSTORE(base);
    g_autofree char *key = g_strconcat(NOTE_PREFIX, name, NULL);
    LaresStatus status = memstore_begin(store, "set_note");
    if (status != LARES_OK)
        return status;
    if (value)
        g_hash_table_replace(MEMNODE(node)->xattrs, g_steal_pointer(&key), g_bytes_new(value, len));
    else
        g_hash_table_remove(MEMNODE(node)->xattrs, key);
    return memstore_end(store, LARES_OK);
}

void
memstore_add_attr_functions(LaresStoreInterface *iface)
{
    iface->getattr = getattr;
    iface->setattr = setattr;
    iface->access = access_of;
    iface->readlink = read_link;
    iface->statfs = stat_fs;
    iface->get_acl = get_acl;
    iface->set_acl = set_acl;
    iface->getxattr = getxattr;
    iface->setxattr = setxattr;
    iface->removexattr = removexattr;
    iface->listxattr = listxattr;
    iface->get_note = get_note;
    iface->set_note = set_note;
}
