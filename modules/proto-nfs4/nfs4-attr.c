/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of attributes, bitmaps, and the encoding of a fattr4.
 *
 * Spec: RFC 7530 5 and 16.9, RFC 8881 5 and 18.7, RFC 7862 12.2 */
#include "nfs4-fattr.h"
#include "nfs4-named.h"

/* known, minor, shape, size, from, put, get */
#define FIXED(minor, size, from, put, get)                                                                             \
    {                                                                                                                  \
        TRUE, (minor), NFS4_SHAPE_FIXED, (size), (from), nfs4_fattr_put_##put, (get)                                   \
    }
#define SHAPED(minor, shape, from, put, get)                                                                           \
    {                                                                                                                  \
        TRUE, (minor), (shape), 0, (from), nfs4_fattr_put_##put, (get)                                                 \
    }
#define WRITE_ONLY(minor, get)                                                                                         \
    {                                                                                                                  \
        TRUE, (minor), NFS4_SHAPE_FIXED, 0, 0, NULL, (get)                                                             \
    }

#define SPACE NFS4_FROM_SPACE
/* The one that was set is found with the help of the others (lares_files_get_dos). */
#define BIRTH (LARES_ATTR_BTIME | LARES_ATTR_FSID | LARES_ATTR_FILEID | LARES_ATTR_CTIME | LARES_ATTR_CHANGE)

const Nfs4FattrRow nfs4_fattr_rows[FATTR4_LAST + 1] = {
    [FATTR4_SUPPORTED_ATTRS] = SHAPED(0, NFS4_SHAPE_BITMAP, SPACE, supported_attrs, NULL),
    [FATTR4_TYPE] = FIXED(0, 4, LARES_ATTR_TYPE, type, NULL),
    [FATTR4_FH_EXPIRE_TYPE] = FIXED(0, 4, 0, zero, NULL), /* FH4_PERSISTENT */
    [FATTR4_CHANGE] = FIXED(0, 8, LARES_ATTR_CHANGE, change, NULL),
    [FATTR4_SIZE] = FIXED(0, 8, LARES_ATTR_SIZE, size, nfs4_fattr_get_size),
    [FATTR4_LINK_SUPPORT] = FIXED(0, 4, 0, true, NULL),
    [FATTR4_SYMLINK_SUPPORT] = FIXED(0, 4, 0, true, NULL),
    [FATTR4_NAMED_ATTR] = FIXED(0, 4, NFS4_FROM_NAMED, named_attr, NULL),
    [FATTR4_FSID] = FIXED(0, 16, LARES_ATTR_FSID, fsid, NULL),
    [FATTR4_UNIQUE_HANDLES] = FIXED(0, 4, 0, true, NULL),
    [FATTR4_LEASE_TIME] = FIXED(0, 4, 0, lease_time, NULL),
    [FATTR4_RDATTR_ERROR] = FIXED(0, 4, 0, zero, NULL), /* what could be encoded has no error */
    [FATTR4_ACL] = SHAPED(0, NFS4_SHAPE_ACL, NFS4_FROM_ACL, acl, nfs4_fattr_get_acl),
    [FATTR4_ACLSUPPORT] = FIXED(0, 4, 0, aclsupport, NULL),
    [FATTR4_CANSETTIME] = FIXED(0, 4, 0, true, NULL),
    [FATTR4_CASE_INSENSITIVE] = FIXED(0, 4, 0, zero, NULL),
    [FATTR4_CASE_PRESERVING] = FIXED(0, 4, 0, true, NULL),
    [FATTR4_CHOWN_RESTRICTED] = FIXED(0, 4, 0, true, NULL),
    [FATTR4_FILEHANDLE] = SHAPED(0, NFS4_SHAPE_OPAQUE, 0, filehandle, NULL),
    [FATTR4_FILEID] = FIXED(0, 8, LARES_ATTR_FILEID, fileid, NULL),
    [FATTR4_FILES_AVAIL] = FIXED(0, 8, SPACE, files_avail, NULL),
    [FATTR4_FILES_FREE] = FIXED(0, 8, SPACE, files_free, NULL),
    [FATTR4_FILES_TOTAL] = FIXED(0, 8, SPACE, files_total, NULL),
    [FATTR4_HOMOGENEOUS] = FIXED(0, 4, 0, true, NULL),
    [FATTR4_MAXFILESIZE] = FIXED(0, 8, SPACE, maxfilesize, NULL),
    [FATTR4_MAXLINK] = FIXED(0, 4, SPACE, maxlink, NULL),
    [FATTR4_MAXNAME] = FIXED(0, 4, SPACE, maxname, NULL),
    [FATTR4_MAXREAD] = FIXED(0, 8, 0, maxio, NULL),
    [FATTR4_MAXWRITE] = FIXED(0, 8, 0, maxio, NULL),
    [FATTR4_MODE] = FIXED(0, 4, LARES_ATTR_MODE, mode, nfs4_fattr_get_mode),
    [FATTR4_NO_TRUNC] = FIXED(0, 4, 0, true, NULL),
    [FATTR4_NUMLINKS] = FIXED(0, 4, LARES_ATTR_NLINK, numlinks, NULL),
    [FATTR4_OWNER] = SHAPED(0, NFS4_SHAPE_OPAQUE, LARES_ATTR_UID, owner, nfs4_fattr_get_owner),
    [FATTR4_OWNER_GROUP] = SHAPED(0, NFS4_SHAPE_OPAQUE, LARES_ATTR_GID, owner_group, nfs4_fattr_get_owner_group),
    [FATTR4_RAWDEV] = FIXED(0, 8, LARES_ATTR_RDEV, rawdev, NULL),
    [FATTR4_SPACE_AVAIL] = FIXED(0, 8, SPACE, space_avail, NULL),
    [FATTR4_SPACE_FREE] = FIXED(0, 8, SPACE, space_free, NULL),
    [FATTR4_SPACE_TOTAL] = FIXED(0, 8, SPACE, space_total, NULL),
    [FATTR4_SPACE_USED] = FIXED(0, 8, LARES_ATTR_USED, space_used, NULL),
    [FATTR4_TIME_ACCESS] = FIXED(0, 12, LARES_ATTR_ATIME, time_access, NULL),
    [FATTR4_TIME_ACCESS_SET] = WRITE_ONLY(0, nfs4_fattr_get_time_access_set),
    [FATTR4_TIME_CREATE] = FIXED(0, 12, BIRTH, time_create, nfs4_fattr_get_time_create),
    [FATTR4_TIME_DELTA] = FIXED(0, 12, 0, time_delta, NULL),
    [FATTR4_TIME_METADATA] = FIXED(0, 12, LARES_ATTR_CTIME, time_metadata, NULL),
    [FATTR4_TIME_MODIFY] = FIXED(0, 12, LARES_ATTR_MTIME, time_modify, NULL),
    [FATTR4_TIME_MODIFY_SET] = WRITE_ONLY(0, nfs4_fattr_get_time_modify_set),
    [FATTR4_MOUNTED_ON_FILEID] = FIXED(0, 8, NFS4_FROM_MOUNTED, mounted_on_fileid, NULL),
    [FATTR4_SUPPATTR_EXCLCREAT] = SHAPED(1, NFS4_SHAPE_BITMAP, 0, suppattr_exclcreat, NULL),
    [FATTR4_FS_CHARSET_CAP] = FIXED(1, 4, 0, fs_charset_cap, NULL),
    [FATTR4_CLONE_BLKSIZE] = FIXED(2, 4, SPACE, clone_blksize, NULL),
    [FATTR4_CHANGE_ATTR_TYPE] = FIXED(2, 4, 0, change_attr_type, NULL),
    [FATTR4_MODE_UMASK] = WRITE_ONLY(2, nfs4_fattr_get_mode_umask),
    [FATTR4_XATTR_SUPPORT] = FIXED(2, 4, SPACE, xattr_support, NULL),
};

/* ---- Bitmaps ---------------------------------------------------------------------------------------------------- */

void
nfs4_bitmap_get(LaresReader *in, Nfs4Bitmap *b, gboolean *unknown)
{
    *b = (Nfs4Bitmap){{0}};
    gboolean beyond = FALSE;
    uint32_t n = lares_get_u32(in);
    if (n > lares_reader_left(in) / 4) {
        in->failed = TRUE;
        n = 0;
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t word = lares_get_u32(in);
        if (i < NFS4_BITMAP)
            b->word[i] = word;
        else
            beyond |= word != 0;
    }
    if (unknown)
        *unknown = beyond;
}

void
nfs4_bitmap_put(LaresWriter *out, const Nfs4Bitmap *b)
{
    uint32_t n = NFS4_BITMAP;
    while (n > 0 && b->word[n - 1] == 0)
        n--;
    lares_put_u32(out, n);
    for (uint32_t i = 0; i < n; i++)
        lares_put_u32(out, b->word[i]);
}

/* The lowest attribute at or above `from`, or -1. */
static int
next_attr(const Nfs4Bitmap *b, uint32_t from)
{
    for (uint32_t i = from / 32; i < NFS4_BITMAP; i++) {
        uint32_t word = b->word[i];
        if (i == from / 32)
            word &= ~0u << (from % 32);
        if (word)
            return (int)(i * 32) + __builtin_ctz(word);
    }
    return -1;
}

#define FOR_EACH_ATTR(attr, b) for (int attr = next_attr((b), 0); attr >= 0; attr = next_attr((b), (uint32_t)attr + 1))

/* ---- What is supported --------------------------------------------------------------------------------------------
 */

void
nfs4_fattr_supported(const Nfs4Compound *c, Nfs4Bitmap *b)
{
    *b = (Nfs4Bitmap){{0}};
    for (uint32_t i = 0; i <= FATTR4_LAST; i++)
        if (nfs4_fattr_is_known(c, i))
            nfs4_bitmap_set(b, i);
}

void
nfs4_fattr_exclusive_supported(const Nfs4Compound *c, Nfs4Bitmap *b)
{
    *b = (Nfs4Bitmap){{0}};
    for (uint32_t i = 0; i <= FATTR4_LAST; i++) {
        /* The verifier of an exclusive create is kept in the times until the client sets them (RFC 8881 18.16.4). */
        gboolean time = i == FATTR4_TIME_ACCESS_SET || i == FATTR4_TIME_MODIFY_SET || i == FATTR4_TIME_CREATE;
        if (nfs4_fattr_is_known(c, i) && nfs4_fattr_rows[i].get && !time)
            nfs4_bitmap_set(b, i);
    }
}

uint32_t
nfs4_fattr_readable(const Nfs4Compound *c, const Nfs4Bitmap *b)
{
    FOR_EACH_ATTR(attr, b)
    if (nfs4_fattr_is_known(c, (uint32_t)attr) && !nfs4_fattr_rows[attr].put)
        return NFS4ERR_INVAL;
    return NFS4_OK;
}

/* ---- Encoding --------------------------------------------------------------------------------------------------- */

/* Keeps of `want` what is known, and tells where the values come from. */
static uint32_t
choose(const Nfs4Compound *c, const Nfs4Bitmap *want, Nfs4Bitmap *chosen)
{
    uint32_t from = 0;
    *chosen = (Nfs4Bitmap){{0}};
    FOR_EACH_ATTR(attr, want)
    {
        if (nfs4_fattr_is_known(c, (uint32_t)attr) && nfs4_fattr_rows[attr].put) {
            nfs4_bitmap_set(chosen, (uint32_t)attr);
            from |= nfs4_fattr_rows[attr].from;
        }
    }
    return from;
}

/* A time of birth that a client has set, over NFS or SMB, is the one that counts. */
static void
take_birth(Nfs4FattrSource *s, const LaresObject *object, const char *entry)
{
    LaresDos dos;
    if (lares_object_is_pseudo(object))
        return;
    lares_files_get_dos(s->c->files, object, entry, &s->attrs, &dos);
    if (dos.has_birth) {
        s->attrs.btime = dos.birth;
        s->attrs.mask |= LARES_ATTR_BTIME;
    }
}

static LaresStatus
get_stat(Nfs4FattrSource *s, uint32_t mask, uint64_t *mounted_on)
{
    Nfs4Compound *c = s->c;
    if (s->of)
        return lares_files_named_getattr(c->files, &c->caller, s->object, s->of, mask, &s->attrs, mounted_on);
    return lares_files_getattr(c->files, &c->caller, s->object, mask, &s->attrs, mounted_on);
}

static uint32_t
collect(Nfs4FattrSource *s, uint32_t from)
{
    Nfs4Compound *c = s->c;
    LaresStatus status = LARES_OK;
    if (from & (LARES_ATTR_STAT | NFS4_FROM_MOUNTED))
        status = get_stat(s, from & LARES_ATTR_STAT, from & NFS4_FROM_MOUNTED ? &s->mounted_on : NULL);
    if (status == LARES_OK && (from & NFS4_FROM_NAMED) && !s->of)
        s->has_named = lares_files_has_named(c->files, s->object);
    if (status == LARES_OK && (from & LARES_ATTR_BTIME) && !s->of)
        take_birth(s, s->object, NULL);
    if (status == LARES_OK && (from & NFS4_FROM_SPACE))
        status = lares_files_statfs(c->files, &c->caller, s->object, &s->space);
    if (status == LARES_OK && (from & NFS4_FROM_ACL)) {
        status = lares_files_get_acl(c->files, &c->caller, s->of ? s->of : s->object, &s->acl);
        if (status == LARES_NOTSUPP)
            status = LARES_OK;
    }
    return nfs4_status(c, status);
}

/* Takes out what this object turned out not to have (RFC 7530 5.3: the answer's bitmap tells). */
static void
drop_absent(const Nfs4FattrSource *s, Nfs4Bitmap *chosen)
{
    FOR_EACH_ATTR(attr, chosen)
    {
        uint32_t from = nfs4_fattr_rows[attr].from;
        if ((from & LARES_ATTR_STAT & ~s->attrs.mask) || ((from & NFS4_FROM_ACL) && !s->acl))
            chosen->word[attr / 32] &= ~(1u << (attr % 32));
    }
}

static void
put_chosen(const Nfs4FattrSource *s, Nfs4Bitmap *chosen, LaresWriter *out)
{
    drop_absent(s, chosen);
    nfs4_bitmap_put(out, chosen);
    size_t at = out->len;
    lares_put_u32(out, 0);
    FOR_EACH_ATTR(attr, chosen)
    nfs4_fattr_rows[attr].put(s, out);
    if (!out->failed)
        lares_patch_u32(out, at, (uint32_t)(out->len - at - 4));
    lares_acl_free(s->acl);
}

uint32_t
nfs4_fattr_encode(Nfs4Compound *c, LaresWriter *out, const LaresObject *object, const LaresObject *of,
                  const Nfs4Bitmap *want)
{
    Nfs4FattrSource s = {.c = c, .object = object, .of = of};
    Nfs4Bitmap chosen;
    uint32_t status = collect(&s, choose(c, want, &chosen));
    if (status == NFS4_OK)
        put_chosen(&s, &chosen, out);
    return status;
}

void
nfs4_fattr_plan(const Nfs4Compound *c, const Nfs4Bitmap *want, Nfs4FattrPlan *plan)
{
    plan->from = choose(c, want, &plan->chosen);
    if ((plan->from & NFS4_FROM_NAMED) && !lares_files_may_have_named(c->files, &c->current))
        plan->from &= ~NFS4_FROM_NAMED;
}

gboolean
nfs4_fattr_needs_object(const Nfs4FattrPlan *plan)
{
    return (plan->from & (NFS4_FROM_SPACE | NFS4_FROM_ACL | NFS4_FROM_NAMED)) != 0;
}

/* A share's root is no entry of its own share, so mounted_on is the file id. */
uint32_t
nfs4_fattr_encode_entry(Nfs4Compound *c, LaresWriter *out, const Nfs4FattrEntry *entry, const Nfs4FattrPlan *plan)
{
    Nfs4FattrSource s = {.c = c,
                         .object = entry->object,
                         .attrs = *entry->attrs,
                         .mounted_on = entry->attrs->fileid,
                         .handle = entry->handle,
                         .handle_len = entry->handle_len};
    Nfs4Bitmap chosen = plan->chosen;
    if (plan->from & LARES_ATTR_BTIME)
        take_birth(&s, &c->current, entry->name);
    uint32_t status = collect(&s, plan->from & (NFS4_FROM_SPACE | NFS4_FROM_ACL | NFS4_FROM_NAMED));
    if (status == NFS4_OK)
        put_chosen(&s, &chosen, out);
    return status;
}

void
nfs4_fattr_encode_error(LaresWriter *out, const Nfs4Bitmap *want, uint32_t status, uint64_t fileid)
{
    Nfs4Bitmap have = {{0}};
    nfs4_bitmap_set(&have, FATTR4_RDATTR_ERROR);
    if (nfs4_bitmap_has(want, FATTR4_MOUNTED_ON_FILEID))
        nfs4_bitmap_set(&have, FATTR4_MOUNTED_ON_FILEID);
    nfs4_bitmap_put(out, &have);
    lares_put_u32(out, nfs4_bitmap_has(&have, FATTR4_MOUNTED_ON_FILEID) ? 12 : 4);
    lares_put_u32(out, status);
    if (nfs4_bitmap_has(&have, FATTR4_MOUNTED_ON_FILEID))
        lares_put_u64(out, fileid);
}

/* ---- Decoding --------------------------------------------------------------------------------------------------- */

static uint32_t
check_settable(Nfs4Compound *c, const Nfs4Bitmap *asked, Nfs4FattrUse use)
{
    Nfs4Bitmap exclusive;
    nfs4_fattr_exclusive_supported(c, &exclusive);
    FOR_EACH_ATTR(attr, asked)
    if (!nfs4_fattr_is_known(c, (uint32_t)attr))
        return NFS4ERR_ATTRNOTSUPP;
    FOR_EACH_ATTR(attr, asked)
    {
        if (!nfs4_fattr_rows[attr].get)
            return NFS4ERR_INVAL;
        if (use == NFS4_FATTR_EXCLUSIVE && !nfs4_bitmap_has(&exclusive, (uint32_t)attr))
            return NFS4ERR_INVAL; /* RFC 8881 18.16.3 */
    }
    if (nfs4_bitmap_has(asked, FATTR4_MODE_UMASK) && (use == NFS4_FATTR_SETATTR || nfs4_bitmap_has(asked, FATTR4_MODE)))
        return NFS4ERR_INVAL; /* RFC 8275 5 */
    return NFS4_OK;
}

uint32_t
nfs4_fattr_decode(Nfs4Compound *c, Nfs4FattrUse use, Nfs4SetAttrs *out)
{
    gboolean unknown;
    size_t len;
    *out = (Nfs4SetAttrs){.acl = NULL};
    nfs4_bitmap_get(c->in, &out->asked, &unknown);
    const uint8_t *bytes = lares_get_opaque(c->in, NFS4_MAX_FATTR, &len);
    if (c->in->failed)
        return NFS4ERR_BADXDR;
    uint32_t status = unknown ? NFS4ERR_ATTRNOTSUPP : check_settable(c, &out->asked, use);
    if (status != NFS4_OK)
        return status;
    LaresReader in = lares_reader(bytes, len);
    FOR_EACH_ATTR(attr, &out->asked)
    {
        status = nfs4_fattr_rows[attr].get(c, &in, out);
        if (in.failed)
            status = NFS4ERR_BADXDR;
        if (status != NFS4_OK)
            break;
    }
    if (status == NFS4_OK && lares_reader_left(&in) > 0)
        status = NFS4ERR_BADXDR;
    if (status != NFS4_OK)
        nfs4_fattr_clear(out);
    return status;
}

/* ---- Comparing -------------------------------------------------------------------------------------------------- */

/* One value, as a slice of the reader. */
static LaresReader
take_value(const Nfs4FattrRow *row, LaresReader *in)
{
    const uint8_t *start = in->at;
    size_t len;
    uint32_t n;
    switch (row->shape) {
    case NFS4_SHAPE_OPAQUE:
        lares_get_opaque(in, lares_reader_left(in), &len);
        break;
    case NFS4_SHAPE_BITMAP:
        n = lares_get_u32(in);
        lares_get_bytes(in, (size_t)n * 4);
        break;
    case NFS4_SHAPE_ACL:
        n = lares_get_u32(in);
        for (uint32_t i = 0; i < n && !in->failed; i++) {
            lares_get_bytes(in, 12);
            lares_get_opaque(in, lares_reader_left(in), &len);
        }
        break;
    default:
        lares_get_bytes(in, row->size);
    }
    return (LaresReader){start, in->at, in->failed};
}

static uint32_t
check_comparable(const Nfs4Compound *c, const Nfs4Bitmap *asked)
{
    FOR_EACH_ATTR(attr, asked)
    if (!nfs4_fattr_is_known(c, (uint32_t)attr))
        return NFS4ERR_ATTRNOTSUPP;
    /* RFC 7530 16.35.4: neither rdattr_error nor what can only be set. */
    if (nfs4_bitmap_has(asked, FATTR4_RDATTR_ERROR))
        return NFS4ERR_INVAL;
    return nfs4_fattr_readable(c, asked);
}

static gboolean
has_other_mode_bits(LaresReader value)
{
    return (lares_get_u32(&value) & ~NFS4_MODE_MASK) != 0;
}

static uint32_t
compare_values(const Nfs4Bitmap *asked, LaresReader *theirs, LaresReader *ours)
{
    gboolean same = TRUE;
    FOR_EACH_ATTR(attr, asked)
    {
        LaresReader a = take_value(&nfs4_fattr_rows[attr], theirs);
        LaresReader b = take_value(&nfs4_fattr_rows[attr], ours);
        if (theirs->failed)
            return NFS4ERR_BADXDR;
        if (attr == FATTR4_MODE && has_other_mode_bits(a))
            return NFS4ERR_INVAL; /* RFC 8881 6.2.4 */
        if (lares_reader_left(&a) != lares_reader_left(&b) || memcmp(a.at, b.at, lares_reader_left(&a)) != 0)
            same = FALSE;
    }
    if (lares_reader_left(theirs) > 0)
        return NFS4ERR_BADXDR;
    return same ? NFS4ERR_SAME : NFS4ERR_NOT_SAME;
}

uint32_t
nfs4_fattr_compare(Nfs4Compound *c)
{
    Nfs4Bitmap asked, have;
    gboolean unknown;
    size_t len, our_len;
    nfs4_bitmap_get(c->in, &asked, &unknown);
    const uint8_t *bytes = lares_get_opaque(c->in, NFS4_MAX_FATTR, &len);
    if (c->in->failed)
        return NFS4ERR_BADXDR;
    uint32_t status = unknown ? NFS4ERR_ATTRNOTSUPP : check_comparable(c, &asked);
    if (status != NFS4_OK)
        return status;
    LaresWriter scratch;
    lares_writer_init(&scratch, c->arena, 1024, NFS4_MAX_FATTR);
    status = nfs4_fattr_encode(c, &scratch, &c->current, nfs4_of(c, &c->current), &asked);
    if (status != NFS4_OK)
        return status;
    if (scratch.failed)
        return NFS4ERR_SERVERFAULT;
    LaresReader mine = lares_reader(scratch.base, scratch.len);
    nfs4_bitmap_get(&mine, &have, NULL);
    const uint8_t *our_bytes = lares_get_opaque(&mine, NFS4_MAX_FATTR, &our_len);
    if (memcmp(&have, &asked, sizeof have) != 0)
        return NFS4ERR_ATTRNOTSUPP;
    LaresReader theirs = lares_reader(bytes, len), ours = lares_reader(our_bytes, our_len);
    return compare_values(&asked, &theirs, &ours);
}
