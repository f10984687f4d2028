/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The store in memory: the contents of directories and files. Holes are runs of zero bytes as long as a page. */
#include "memstore-private.h"

#define FILE_MAX (64u << 20) /* a fuzzer should not fill the memory */
#define PAGE     4096u

/* The next entry behind a cookie, copied, so that emit runs without the lock. */
static gboolean
next_entry(MemStore *store, MemNode *dir, uint64_t cookie, LaresDirEntry *out, char name[LARES_NAME_LIMIT + 1])
{
    gboolean found = FALSE;
    g_mutex_lock(&store->lock);
    for (guint i = 0; i < dir->entries->len && !found; i++) {
        MemEntry *entry = dir->entries->pdata[i];
        if (entry->cookie <= cookie)
            continue;
        g_strlcpy(name, entry->name, LARES_NAME_LIMIT + 1);
        *out = (LaresDirEntry){name, entry->cookie, entry->node->base.fileid, entry->node->base.type};
        found = TRUE;
    }
    g_mutex_unlock(&store->lock);
    return found;
}

static LaresStatus
readdir_entries(LaresStore *base, const LaresCred *cred, LaresNode *dir, uint64_t cookie, LaresDirFunc emit,
                gpointer user, gboolean *eof)
{
    MemStore *store = MEMSTORE(base);
    LaresDirEntry entry;
    char name[LARES_NAME_LIMIT + 1];
    *eof = FALSE;
    LaresStatus status = memstore_begin(store, "readdir");
    if (status != LARES_OK)
        return status;
    if (dir->type != LARES_TYPE_DIRECTORY)
        status = LARES_NOTDIR;
    else if (cookie == 1 || cookie == 2)
        status = LARES_BAD_COOKIE;
    else
        status = memstore_may(MEMNODE(dir), cred, LARES_MASK_READ_DATA);
    memstore_end(store, status);
    if (status != LARES_OK)
        return status;
    while (next_entry(store, MEMNODE(dir), cookie, &entry, name)) {
        if (!emit(&entry, user))
            return LARES_OK;
        cookie = entry.cookie;
    }
    *eof = TRUE;
    return LARES_OK;
}

static void
make_room(MemNode *m, uint64_t end)
{
    guint old = m->data->len;
    if (end <= old)
        return;
    g_byte_array_set_size(m->data, (guint)end);
    memset(m->data->data + old, 0, (size_t)(end - old));
}

static LaresStatus
read_at(LaresStore *base, LaresFile *file, uint64_t offset, uint8_t *buf, size_t len, size_t *done)
{
    MemStore *store = MEMSTORE(base);
    GByteArray *data = MEMNODE(file->node)->data;
    *done = 0;
    LaresStatus status = memstore_begin(store, "read");
    if (status != LARES_OK)
        return status;
    if (!(file->access & LARES_ACCESS_READ))
        return memstore_end(store, LARES_OPENMODE);
    if (offset < data->len) {
        *done = MIN(len, data->len - (size_t)offset);
        memcpy(buf, data->data + offset, *done);
    }
    return memstore_end(store, LARES_OK);
}

static LaresStatus
write_at(LaresStore *base, LaresFile *file, uint64_t offset, const struct iovec *iov, int n, LaresStable stable,
         size_t *done)
{
    MemStore *store = MEMSTORE(base);
    MemNode *m = MEMNODE(file->node);
    *done = 0;
    LaresStatus status = memstore_begin(store, "write");
    if (status != LARES_OK)
        return status;
    if (!(file->access & LARES_ACCESS_WRITE))
        return memstore_end(store, LARES_OPENMODE);
    for (int i = 0; i < n; i++) {
        if (offset > FILE_MAX || iov[i].iov_len > FILE_MAX - offset)
            return memstore_end(store, LARES_FBIG);
        if (!iov[i].iov_len)
            continue;
        make_room(m, offset + iov[i].iov_len);
        memcpy(m->data->data + offset, iov[i].iov_base, iov[i].iov_len);
        offset += iov[i].iov_len;
        *done += iov[i].iov_len;
    }
    if (*done)
        memstore_touch(store, m, TRUE);
    return memstore_end(store, LARES_OK);
}

static LaresStatus
commit(LaresStore *base, LaresFile *file, uint64_t offset, uint64_t len)
{
    LaresStatus status = memstore_begin(MEMSTORE(base), "commit");
    return status == LARES_OK ? memstore_end(MEMSTORE(base), LARES_OK) : status;
}

static gboolean
is_hole(const GByteArray *data, uint64_t page)
{
    for (uint64_t i = page; i < MIN(page + PAGE, data->len); i++)
        if (data->data[i])
            return FALSE;
    return TRUE;
}

static LaresStatus
seek(LaresStore *base, LaresFile *file, LaresSeek what, uint64_t offset, uint64_t *found, gboolean *eof)
{
    MemStore *store = MEMSTORE(base);
    const GByteArray *data = MEMNODE(file->node)->data;
    LaresStatus status = memstore_begin(store, "seek");
    if (status != LARES_OK)
        return status;
    if (offset >= data->len)
        return memstore_end(store, LARES_NXIO);
    uint64_t page = offset / PAGE * PAGE;
    while (page < data->len && is_hole(data, page) != (what == LARES_SEEK_HOLE))
        page += PAGE;
    *eof = page >= data->len;
    *found = *eof ? data->len : MAX(page, offset);
    return memstore_end(store, LARES_OK);
}

static LaresStatus
change_range(LaresStore *base, LaresFile *file, const char *operation, uint64_t offset, uint64_t len, gboolean punch)
{
    MemStore *store = MEMSTORE(base);
    MemNode *m = MEMNODE(file->node);
    LaresStatus status = memstore_begin(store, operation);
    if (status != LARES_OK)
        return status;
    if (!(file->access & LARES_ACCESS_WRITE))
        status = LARES_OPENMODE;
    else if (len == 0)
        status = LARES_INVAL;
    else if (!punch && (offset > FILE_MAX || len > FILE_MAX - offset))
        status = LARES_FBIG;
    else if (!punch)
        make_room(m, offset + len);
    else if (offset < m->data->len)
        memset(m->data->data + offset, 0, (size_t)MIN(len, m->data->len - offset));
    if (status == LARES_OK)
        memstore_touch(store, m, TRUE);
    return memstore_end(store, status);
}

static LaresStatus
allocate(LaresStore *base, LaresFile *file, uint64_t offset, uint64_t len)
{
    return change_range(base, file, "allocate", offset, len, FALSE);
}

static LaresStatus
deallocate(LaresStore *base, LaresFile *file, uint64_t offset, uint64_t len)
{
    return change_range(base, file, "deallocate", offset, len, TRUE);
}

static LaresStatus
copy_range(LaresStore *base, const char *operation, LaresFile *from, uint64_t from_offset, LaresFile *to,
           uint64_t to_offset, uint64_t len, uint64_t *done)
{
    MemStore *store = MEMSTORE(base);
    MemNode *in = MEMNODE(from->node), *out = MEMNODE(to->node);
    *done = 0;
    LaresStatus status = memstore_begin(store, operation);
    if (status != LARES_OK)
        return status;
    if (!(from->access & LARES_ACCESS_READ) || !(to->access & LARES_ACCESS_WRITE))
        return memstore_end(store, LARES_OPENMODE);
    if (from_offset > in->data->len || len > in->data->len - from_offset)
        return memstore_end(store, LARES_INVAL);
    if (len == 0)
        len = in->data->len - from_offset;
    if (to_offset > FILE_MAX || len > FILE_MAX - to_offset)
        return memstore_end(store, LARES_FBIG);
    if (in == out && from_offset < to_offset + len && to_offset < from_offset + len)
        return memstore_end(store, LARES_INVAL);
    make_room(out, to_offset + len);
    if (len)
        memcpy(out->data->data + to_offset, in->data->data + from_offset, (size_t)len);
    memstore_touch(store, out, TRUE);
    *done = len;
    return memstore_end(store, LARES_OK);
}

static LaresStatus
clone_range(LaresStore *base, LaresFile *from, uint64_t from_offset, LaresFile *to, uint64_t to_offset, uint64_t len)
{
    uint64_t done;
    return copy_range(base, "clone", from, from_offset, to, to_offset, len, &done);
}

static LaresStatus
copy(LaresStore *base, LaresFile *from, uint64_t from_offset, LaresFile *to, uint64_t to_offset, uint64_t len,
     uint64_t *done)
{
    return copy_range(base, "copy", from, from_offset, to, to_offset, len, done);
}

static LaresStatus
set_size(LaresStore *base, LaresFile *file, uint64_t size)
{
    MemStore *store = MEMSTORE(base);
    MemNode *m = MEMNODE(file->node);
    LaresStatus status = memstore_begin(store, "set_size");
    if (status != LARES_OK)
        return status;
    if (!(file->access & LARES_ACCESS_WRITE))
        return memstore_end(store, LARES_OPENMODE);
    if (size > FILE_MAX)
        return memstore_end(store, LARES_FBIG);
    make_room(m, size);
    g_byte_array_set_size(m->data, (guint)size);
    memstore_touch(store, m, TRUE);
    return memstore_end(store, LARES_OK);
}

void
memstore_add_data_functions(LaresStoreInterface *iface)
{
    iface->readdir = readdir_entries;
    iface->read = read_at;
    iface->write = write_at;
    iface->commit = commit;
    iface->seek = seek;
    iface->allocate = allocate;
    iface->deallocate = deallocate;
    iface->clone = clone_range;
    iface->copy = copy;
    iface->set_size = set_size;
}
