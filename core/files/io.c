/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading and writing through an open, or with the caller's own permission. */
#include "files/files-private.h"
#include "state/state-private.h"

/* Wire offsets are unsigned, the host's are not. */
static gboolean
range_fits(uint64_t offset, uint64_t len)
{
    return offset <= INT64_MAX && len <= INT64_MAX - offset;
}

static LaresStatus
contend(LaresNode *node, LaresOpen *self, gboolean write, uint64_t *seen)
{
    if (!lares_state_has_guards())
        return LARES_OK;
    return lares_state_contend(node, self, write ? LARES_CONTEND_WRITE : LARES_CONTEND_READ, seen);
}

LaresStatus
lares_files_contend(LaresFiles *files, const LaresObject *object, LaresOpen *self, gboolean write, uint64_t *seen)
{
    return contend(object->node, self, write, seen);
}

static LaresStatus
begin_with_open(const LaresCaller *caller, LaresOpen *open, const LaresObject *object, uint32_t access, LaresIo *io)
{
    if (lares_open_node(open) != object->node)
        return LARES_INVAL; /* a state of another file */
    if ((lares_open_access(open) & access) != access)
        return LARES_OPENMODE;
    LaresStatus status = lares_files_may_use(caller, object, open, access);
    if (status == LARES_OK && access)
        status = contend(object->node, open, (access & LARES_ACCESS_WRITE) != 0, NULL);
    if (status != LARES_OK)
        return status;
    io->file = lares_state_file(open, access);
    return io->file ? LARES_OK : LARES_OPENMODE;
}

LaresStatus
lares_files_io_begin(LaresFiles *files, const LaresCaller *caller, const LaresObject *object, LaresOpen *open,
                     uint32_t access, LaresIo *io)
{
    *io = (LaresIo){NULL, FALSE};
    if (object->node->type == LARES_TYPE_DIRECTORY)
        return LARES_ISDIR;
    if (object->node->type == LARES_TYPE_SYMLINK)
        return LARES_SYMLINK;
    if (object->node->type != LARES_TYPE_REGULAR)
        return LARES_WRONG_TYPE;
    LaresStatus status = LARES_OK;
    if (access & LARES_ACCESS_WRITE)
        status = lares_files_writable(object);
    if (status != LARES_OK)
        return status;
    if (open)
        return begin_with_open(caller, open, object, access, io);
    if (!access) {
        io->file = lares_state_any_file(object->node);
        return io->file ? LARES_OK : LARES_ACCESS;
    }
    status = lares_state_io_allowed(object->node, access, NULL);
    if (status == LARES_OK)
        status = contend(object->node, NULL, (access & LARES_ACCESS_WRITE) != 0, NULL);
    if (status != LARES_OK)
        return status;
    LaresCred cred = lares_files_cred(caller, object);
    io->temporary = TRUE;
    return STORE_IFACE(object->share->store)->open(object->share->store, &cred, object->node, access, &io->file);
}

void
lares_files_io_end(LaresIo *io)
{
    if (io->file)
        lares_file_unref(io->file);
    io->file = NULL;
}

static LaresStatus
size_of(LaresIo *io, uint64_t *size)
{
    LaresNode *node = io->file->node;
    LaresAttrs attrs = {0};
    LaresStatus status = STORE_IFACE(node->store)->getattr(node->store, node, LARES_ATTR_SIZE, &attrs);
    *size = attrs.size;
    return status;
}

LaresStatus
lares_files_read(LaresFiles *files, LaresIo *io, uint64_t offset, uint8_t *buf, size_t len, size_t *done, gboolean *eof)
{
    LaresNode *node = io->file->node;
    *done = 0;
    if (eof)
        *eof = TRUE;
    if (offset > INT64_MAX)
        return LARES_OK;
    if (!range_fits(offset, len))
        len = (size_t)(INT64_MAX - offset);
    if (len > 0) {
        LaresStatus status = STORE_IFACE(node->store)->read(node->store, io->file, offset, buf, len, done);
        if (status != LARES_OK)
            return status;
        if (*done < len)
            return LARES_OK;
    }
    if (!eof)
        return LARES_OK;
    uint64_t size;
    LaresStatus status = size_of(io, &size);
    *eof = offset + *done >= size;
    return status;
}

LaresStatus
lares_files_read_range(LaresFiles *files, LaresIo *io, uint64_t offset, size_t len, int *fd, size_t *there,
                       gboolean *eof)
{
    LaresNode *node = io->file->node;
    const LaresStoreInterface *iface = STORE_IFACE(node->store);
    uint64_t size;
    LaresStatus status = size_of(io, &size);
    if (status != LARES_OK)
        return status;
    *fd = iface->file_fd ? iface->file_fd(node->store, io->file) : -1;
    *there = offset >= size ? 0 : (size_t)MIN((uint64_t)len, size - offset);
    *eof = offset >= size || offset + *there >= size;
    return LARES_OK;
}

/* `status` is what came of it. */
static LaresStatus
wrote(LaresFiles *files, LaresIo *io, LaresStatus status)
{
    if (status == LARES_OK)
        lares_files_node_changed(files, io->file->node, LARES_FILTER_LAST_WRITE | LARES_FILTER_SIZE);
    return status;
}

LaresStatus
lares_files_write(LaresFiles *files, LaresIo *io, uint64_t offset, const struct iovec *iov, int n, LaresStable stable,
                  size_t *done)
{
    LaresNode *node = io->file->node;
    size_t len = 0;
    *done = 0;
    for (int i = 0; i < n; i++)
        len += iov[i].iov_len;
    if (!range_fits(offset, len))
        return LARES_FBIG;
    return wrote(files, io, STORE_IFACE(node->store)->write(node->store, io->file, offset, iov, n, stable, done));
}

LaresStatus
lares_files_commit(LaresFiles *files, LaresIo *io, uint64_t offset, uint64_t len)
{
    LaresNode *node = io->file->node;
    return STORE_IFACE(node->store)->commit(node->store, io->file, offset, len);
}

LaresStatus
lares_files_seek(LaresFiles *files, LaresIo *io, LaresSeek what, uint64_t offset, uint64_t *found, gboolean *eof)
{
    LaresNode *node = io->file->node;
    const LaresStoreInterface *iface = STORE_IFACE(node->store);
    if (!iface->seek)
        return LARES_NOTSUPP;
    if (offset > INT64_MAX)
        return LARES_NXIO;
    return iface->seek(node->store, io->file, what, offset, found, eof);
}

LaresStatus
lares_files_allocate(LaresFiles *files, LaresIo *io, uint64_t offset, uint64_t len, gboolean deallocate)
{
    LaresNode *node = io->file->node;
    const LaresStoreInterface *iface = STORE_IFACE(node->store);
    if (!(deallocate ? iface->deallocate : iface->allocate))
        return LARES_NOTSUPP;
    if (!range_fits(offset, len))
        return deallocate ? LARES_INVAL : LARES_FBIG;
    return wrote(files, io,
                 deallocate ? iface->deallocate(node->store, io->file, offset, len)
                            : iface->allocate(node->store, io->file, offset, len));
}

/* A copy or clone stays in one store. */
static LaresStatus
check_pair(LaresIo *from, uint64_t from_offset, LaresIo *to, uint64_t to_offset, uint64_t len)
{
    if (from->file->node->store != to->file->node->store)
        return LARES_XDEV;
    if (!range_fits(from_offset, len) || !range_fits(to_offset, len))
        return LARES_INVAL;
    return LARES_OK;
}

LaresStatus
lares_files_clone(LaresFiles *files, LaresIo *from, uint64_t from_offset, LaresIo *to, uint64_t to_offset, uint64_t len)
{
    LaresStore *store = to->file->node->store;
    LaresStatus status = check_pair(from, from_offset, to, to_offset, len);
    if (status != LARES_OK)
        return status;
    if (!STORE_IFACE(store)->clone)
        return LARES_NOTSUPP;
    return wrote(files, to, STORE_IFACE(store)->clone(store, from->file, from_offset, to->file, to_offset, len));
}

LaresStatus
lares_files_copy(LaresFiles *files, LaresIo *from, uint64_t from_offset, LaresIo *to, uint64_t to_offset, uint64_t len,
                 uint64_t *done)
{
    LaresStore *store = to->file->node->store;
    *done = 0;
    LaresStatus status = check_pair(from, from_offset, to, to_offset, len);
    if (status != LARES_OK)
        return status;
    if (!STORE_IFACE(store)->copy)
        return LARES_NOTSUPP;
    return wrote(files, to, STORE_IFACE(store)->copy(store, from->file, from_offset, to->file, to_offset, len, done));
}
