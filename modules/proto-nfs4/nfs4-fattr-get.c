/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Attributes' values on their way out, one small function each.
 *
 * Spec: RFC 7530 5.8, RFC 8881 5.8 and 5.9, RFC 7862 12.2, RFC 8276 8.3 */
#include "nfs4-fattr.h"

#define PUT(name) void nfs4_fattr_put_##name(G_GNUC_UNUSED const Nfs4FattrSource *s, LaresWriter *out)

PUT(supported_attrs)
{
    Nfs4Bitmap b;
    nfs4_fattr_supported(s->c, &b);
    if (!s->space.can_btime || !s->space.can_xattr) /* set it, too: macOS does so with each exclusive create */
        b.word[FATTR4_TIME_CREATE / 32] &= ~(1u << (FATTR4_TIME_CREATE % 32));
    nfs4_bitmap_put(out, &b);
}

PUT(type)
{
    static const uint8_t types[] = {
        [LARES_TYPE_NONE] = NF4REG,    [LARES_TYPE_REGULAR] = NF4REG, [LARES_TYPE_DIRECTORY] = NF4DIR,
        [LARES_TYPE_SYMLINK] = NF4LNK, [LARES_TYPE_BLOCK] = NF4BLK,   [LARES_TYPE_CHARACTER] = NF4CHR,
        [LARES_TYPE_FIFO] = NF4FIFO,   [LARES_TYPE_SOCKET] = NF4SOCK,
    };
    if (s->of)
        lares_put_u32(out, s->object->node->type == LARES_TYPE_DIRECTORY ? NF4ATTRDIR : NF4NAMEDATTR);
    else
        lares_put_u32(out, types[s->attrs.type]);
}

PUT(zero)
{
    lares_put_u32(out, 0);
}

PUT(true)
{
    lares_put_u32(out, 1);
}

PUT(change)
{
    lares_put_u64(out, s->attrs.change);
}

PUT(size)
{
    lares_put_u64(out, s->attrs.size);
}

PUT(named_attr)
{
    lares_put_u32(out, s->has_named != FALSE);
}

PUT(fsid)
{
    lares_put_u64(out, s->attrs.fsid_major);
    lares_put_u64(out, s->attrs.fsid_minor);
}

PUT(lease_time)
{
    lares_put_u32(out, s->c->service->settings.lease_time);
}

PUT(aclsupport)
{
    lares_put_u32(out, ACL4_SUPPORT_ALLOW_ACL | ACL4_SUPPORT_DENY_ACL);
}

PUT(filehandle)
{
    uint8_t handle[LARES_WIRE_HANDLE_MAX];
    if (s->handle)
        lares_put_opaque(out, s->handle, s->handle_len);
    else if (s->of)
        lares_put_opaque(out, handle, lares_files_named_handle(s->c->files, s->object, s->of, handle));
    else
        lares_put_opaque(out, handle, lares_files_handle(s->c->files, s->object, handle));
}

PUT(fileid)
{
    lares_put_u64(out, s->attrs.fileid);
}

PUT(files_avail)
{
    lares_put_u64(out, s->space.avail_files);
}

PUT(files_free)
{
    lares_put_u64(out, s->space.free_files);
}

PUT(files_total)
{
    lares_put_u64(out, s->space.total_files);
}

PUT(maxfilesize)
{
    lares_put_u64(out, s->space.max_file_size);
}

PUT(maxlink)
{
    lares_put_u32(out, s->space.max_link);
}

PUT(maxname)
{
    lares_put_u32(out, s->space.name_max ? s->space.name_max : LARES_NAME_LIMIT);
}

PUT(maxio)
{
    lares_put_u64(out, s->c->service->settings.max_io);
}

PUT(mode)
{
    lares_put_u32(out, s->attrs.mode & NFS4_MODE_MASK);
}

PUT(numlinks)
{
    lares_put_u32(out, s->attrs.nlink);
}

struct Nfs4OwnerMemo {
    uint32_t id;
    size_t len;
    char name[NFS4_MAX_OWNER];
};

static void
put_owner(Nfs4Compound *c, struct Nfs4OwnerMemo **memo, gboolean group, uint32_t id, LaresWriter *out)
{
    if (!*memo || (*memo)->id != id) {
        if (!*memo)
            *memo = lares_arena_alloc(c->arena, sizeof **memo);
        LaresDirectory *directory = c->service->directory;
        char *name = (*memo)->name;
        (*memo)->id = id;
        (*memo)->len = group ? lares_directory_group_name(directory, id, name, NFS4_MAX_OWNER)
                             : lares_directory_owner_name(directory, id, name, NFS4_MAX_OWNER);
    }
    lares_put_opaque(out, (*memo)->name, (*memo)->len);
}

PUT(owner)
{
    put_owner(s->c, &s->c->owner, FALSE, s->attrs.uid, out);
}

PUT(owner_group)
{
    put_owner(s->c, &s->c->owner_group, TRUE, s->attrs.gid, out);
}

PUT(rawdev)
{
    lares_put_u32(out, s->attrs.rdev_major);
    lares_put_u32(out, s->attrs.rdev_minor);
}

PUT(space_avail)
{
    lares_put_u64(out, s->space.avail_bytes);
}

PUT(space_free)
{
    lares_put_u64(out, s->space.free_bytes);
}

PUT(space_total)
{
    lares_put_u64(out, s->space.total_bytes);
}

PUT(space_used)
{
    lares_put_u64(out, s->attrs.used);
}

static void
put_time(LaresWriter *out, const LaresTime *time)
{
    lares_put_u64(out, (uint64_t)time->sec);
    lares_put_u32(out, time->nsec);
}

PUT(time_access)
{
    put_time(out, &s->attrs.atime);
}

PUT(time_create)
{
    put_time(out, &s->attrs.btime);
}

PUT(time_delta)
{
    put_time(out, &(LaresTime){0, 1});
}

PUT(time_metadata)
{
    put_time(out, &s->attrs.ctime);
}

PUT(time_modify)
{
    put_time(out, &s->attrs.mtime);
}

PUT(mounted_on_fileid)
{
    lares_put_u64(out, s->mounted_on);
}

PUT(suppattr_exclcreat)
{
    Nfs4Bitmap b;
    nfs4_fattr_exclusive_supported(s->c, &b);
    nfs4_bitmap_put(out, &b);
}

/* RFC 8881 14.4: FSCHARSET_CAP4_ALLOWS_ONLY_UTF8 */
PUT(fs_charset_cap)
{
    lares_put_u32(out, 2);
}

PUT(clone_blksize)
{
    lares_put_u32(out, s->space.can_clone ? s->space.block_size : 0);
}

/* A restart may take the change attribute back, so no more is promised. */
PUT(change_attr_type)
{
    lares_put_u32(out, NFS4_CHANGE_TYPE_IS_UNDEFINED);
}

PUT(xattr_support)
{
    lares_put_u32(out, s->space.can_xattr && !s->of);
}
