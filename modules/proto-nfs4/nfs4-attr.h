/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fattr4: encoding, decoding and comparing, driven by one table (nfs4-attr.c).
 *
 * Spec: RFC 7530 5, RFC 8881 5, RFC 7862 12, RFC 8275, RFC 8276 */
#pragma once

#include "nfs4-compound.h"

typedef struct {
    uint32_t word[NFS4_BITMAP];
} Nfs4Bitmap;

static inline gboolean
nfs4_bitmap_has(const Nfs4Bitmap *b, uint32_t attr)
{
    return attr / 32 < NFS4_BITMAP && (b->word[attr / 32] & (1u << (attr % 32))) != 0;
}
static inline void
nfs4_bitmap_set(Nfs4Bitmap *b, uint32_t attr)
{
    b->word[attr / 32] |= 1u << (attr % 32);
}
static inline gboolean
nfs4_bitmap_empty(const Nfs4Bitmap *b)
{
    return (b->word[0] | b->word[1] | b->word[2]) == 0;
}

/* Words beyond NFS4_BITMAP are read and forgotten; *unknown (may be NULL) tells whether one of their bits was set. */
void nfs4_bitmap_get(LaresReader *in, Nfs4Bitmap *b, gboolean *unknown);
/* Without trailing zero words. At most 4 + 4 * NFS4_BITMAP bytes. */
void nfs4_bitmap_put(LaresWriter *out, const Nfs4Bitmap *b);
#define NFS4_BITMAP_SIZE (4u + 4u * NFS4_BITMAP)

/* What a client wants set on a new or existing object. */
typedef struct {
    Nfs4Bitmap asked;   /* attributes that were given */
    Nfs4Bitmap done;    /* attributes that are set: what the answer's attrset says */
    LaresSetAttrs set;  /* without MODE when mode_umask is left to inheritance */
    LaresAcl *acl;      /* NULL: none given; freed by nfs4_fattr_clear() */
    gboolean has_umask; /* mode_umask was given: set.mode has the umask applied; mode_umask.umask beside it */
    uint32_t umask, raw_mode;
} Nfs4SetAttrs;

typedef enum {
    NFS4_FATTR_SETATTR,
    NFS4_FATTR_CREATE,   /* CREATE and OPEN: mode_umask allowed */
    NFS4_FATTR_EXCLUSIVE /* EXCLUSIVE4_1: only suppattr_exclcreat */
} Nfs4FattrUse;

/* Decodes a fattr4 at c->in. NFS4_OK, BADXDR, ATTRNOTSUPP, INVAL (a read-only attribute, a bad value), BADOWNER … After
 * an error c->in stands behind the fattr4 anyway when it could be delimited. */
uint32_t nfs4_fattr_decode(Nfs4Compound *c, Nfs4FattrUse use, Nfs4SetAttrs *out);
void nfs4_fattr_clear(Nfs4SetAttrs *attrs);
/* Sets everything of `attrs` on an existing object (SETATTR; CREATE and OPEN give set and acl with LaresCreate instead
 * and mark it with nfs4_fattr_created()). `file` may be NULL. On error attrs->done has what was set before. */
uint32_t nfs4_fattr_apply(Nfs4Compound *c, const LaresObject *object, LaresFile *file, Nfs4SetAttrs *attrs);
/* Has the directory's ACL entries for what is made in it? */
gboolean nfs4_fattr_inherits(Nfs4Compound *c, const LaresObject *dir);
/* For CREATE and OPEN, before the create in `dir`: an inheritable ACL of the directory overrides the umask (RFC 8275
 * 5). */
void nfs4_fattr_settle(Nfs4Compound *c, const LaresObject *dir, Nfs4SetAttrs *attrs);
/* Leaves of what was asked for what a named attribute has of its own: size and times. */
void nfs4_fattr_only_own(Nfs4SetAttrs *attrs);
/* The create has set everything: done = asked. */
void nfs4_fattr_created(Nfs4SetAttrs *attrs);

/* Attributes of this minor version that the server supports at all. */
void nfs4_fattr_supported(const Nfs4Compound *c, Nfs4Bitmap *b);
/* Those that may be set by EXCLUSIVE4_1 (RFC 8881 5.8.1.14). */
void nfs4_fattr_exclusive_supported(const Nfs4Compound *c, Nfs4Bitmap *b);
/* NFS4ERR_INVAL when a write-only attribute (time_access_set …) is asked for, else NFS4_OK. */
uint32_t nfs4_fattr_readable(const Nfs4Compound *c, const Nfs4Bitmap *b);

/* Encodes a fattr4 with those attributes of `want` that are supported. Unknown ones are left out. `of` is what a named
 * attribute or a directory of them belongs to, else NULL. */
uint32_t nfs4_fattr_encode(Nfs4Compound *c, LaresWriter *out, const LaresObject *object, const LaresObject *of,
                           const Nfs4Bitmap *want);
/* For READDIR: what is the same for all entries. */
typedef struct {
    Nfs4Bitmap chosen; /* of what is wanted, what is supported */
    uint32_t from;     /* LARES_ATTR_* that it needs, and more that is nfs4-fattr.h's */
} Nfs4FattrPlan;
void nfs4_fattr_plan(const Nfs4Compound *c, const Nfs4Bitmap *want, Nfs4FattrPlan *plan);
/* Does it need each object, and not only its attributes and its handle? */
gboolean nfs4_fattr_needs_object(const Nfs4FattrPlan *plan);
/* An entry whose attributes are known already. */
typedef struct {
    const LaresObject *object; /* its node may be NULL where the object is not needed */
    const char *name;          /* in the current directory */
    const LaresAttrs *attrs;
    const uint8_t *handle; /* NULL: the object's, or not wanted */
    size_t handle_len;
} Nfs4FattrEntry;
/* nfs4_fattr_encode() for it. */
uint32_t nfs4_fattr_encode_entry(Nfs4Compound *c, LaresWriter *out, const Nfs4FattrEntry *entry,
                                 const Nfs4FattrPlan *plan);
/* For READDIR: the fattr4 of an entry that could not be looked at: rdattr_error (when wanted), fileid and nothing else.
 */
void nfs4_fattr_encode_error(LaresWriter *out, const Nfs4Bitmap *want, uint32_t status, uint64_t fileid);

/* VERIFY and NVERIFY: decodes a fattr4 and compares it with the current file's. NFS4ERR_SAME, NFS4ERR_NOT_SAME or an
 * error. */
uint32_t nfs4_fattr_compare(Nfs4Compound *c);
