/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Inside of the attribute code: the table's rows and what encoders look at. */
#pragma once

#include "nfs4-attr.h"

/* What an attribute's value comes from, beside LARES_ATTR_* bits. */
#define NFS4_FROM_SPACE   (1u << 24)
#define NFS4_FROM_ACL     (1u << 25)
#define NFS4_FROM_MOUNTED (1u << 26)
#define NFS4_FROM_NAMED   (1u << 27)

typedef struct {
    Nfs4Compound *c;
    const LaresObject *object;
    const LaresObject *of; /* NULL: neither a named attribute nor a directory of them */
    gboolean has_named;
    LaresAttrs attrs;
    uint64_t mounted_on;
    LaresSpace space;
    LaresAcl *acl;         /* NULL: not wanted or none */
    const uint8_t *handle; /* NULL: the object's */
    size_t handle_len;
} Nfs4FattrSource;

/* How a value lies on the wire, to walk over it without understanding it. */
typedef enum { NFS4_SHAPE_FIXED, NFS4_SHAPE_OPAQUE, NFS4_SHAPE_BITMAP, NFS4_SHAPE_ACL } Nfs4FattrShape;

typedef struct {
    gboolean known;
    uint8_t minor;                                                          /* first minor version that has it */
    uint8_t shape;                                                          /* Nfs4FattrShape */
    uint8_t size;                                                           /* bytes of a FIXED value */
    uint32_t from;                                                          /* LARES_ATTR_* and NFS4_FROM_* */
    void (*put)(const Nfs4FattrSource *s, LaresWriter *out);                /* NULL: write-only */
    uint32_t (*get)(Nfs4Compound *c, LaresReader *in, Nfs4SetAttrs *attrs); /* NULL: read-only */
} Nfs4FattrRow;

/* FATTR4_LAST + 1 rows: nfs4-attr.c */
extern const Nfs4FattrRow nfs4_fattr_rows[FATTR4_LAST + 1];

/* nfs4-fattr-get.c */
#define NFS4_PUT(name) void nfs4_fattr_put_##name(const Nfs4FattrSource *s, LaresWriter *out)
NFS4_PUT(supported_attrs);
NFS4_PUT(type);
NFS4_PUT(zero);
NFS4_PUT(change);
NFS4_PUT(size);
NFS4_PUT(true);
NFS4_PUT(named_attr);
NFS4_PUT(fsid);
NFS4_PUT(lease_time);
NFS4_PUT(aclsupport);
NFS4_PUT(filehandle);
NFS4_PUT(fileid);
NFS4_PUT(files_avail);
NFS4_PUT(files_free);
NFS4_PUT(files_total);
NFS4_PUT(maxfilesize);
NFS4_PUT(maxlink);
NFS4_PUT(maxname);
NFS4_PUT(maxio);
NFS4_PUT(mode);
NFS4_PUT(numlinks);
NFS4_PUT(owner);
NFS4_PUT(owner_group);
NFS4_PUT(rawdev);
NFS4_PUT(space_avail);
NFS4_PUT(space_free);
NFS4_PUT(space_total);
NFS4_PUT(space_used);
NFS4_PUT(time_access);
NFS4_PUT(time_create);
NFS4_PUT(time_delta);
NFS4_PUT(time_metadata);
NFS4_PUT(time_modify);
NFS4_PUT(mounted_on_fileid);
NFS4_PUT(suppattr_exclcreat);
NFS4_PUT(fs_charset_cap);
NFS4_PUT(clone_blksize);
NFS4_PUT(change_attr_type);
NFS4_PUT(xattr_support);
/* nfs4-fattr-acl.c */
NFS4_PUT(acl);

/* nfs4-fattr-set.c */
#define NFS4_GET(name) uint32_t nfs4_fattr_get_##name(Nfs4Compound *c, LaresReader *in, Nfs4SetAttrs *attrs)
NFS4_GET(size);
NFS4_GET(mode);
NFS4_GET(mode_umask);
NFS4_GET(owner);
NFS4_GET(owner_group);
NFS4_GET(time_access_set);
NFS4_GET(time_modify_set);
NFS4_GET(time_create);
/* nfs4-fattr-acl.c */
NFS4_GET(acl);

/* Is the attribute known in this minor version? */
static inline gboolean
nfs4_fattr_is_known(const Nfs4Compound *c, uint32_t attr)
{
    return attr <= FATTR4_LAST && nfs4_fattr_rows[attr].known && c->minor >= nfs4_fattr_rows[attr].minor;
}
