/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* READDIR: entries of the current directory with their attributes.
 *
 * Where the store gives the attributes in passing, entries are written as they come. From the first one on that must be
 * looked at they are kept until the store is done, so that no store is entered again from inside its own readdir (but
 * for a handle, which it is made for: see entry_handle).
 * Cookies are the store's and survive a restart, so the cookie verifier is constant zero.
 *
 * Spec: RFC 7530 16.24, RFC 8881 18.23 */
#include "nfs4-fattr.h"
#include "nfs4-named.h"
#include "nfs4-ops.h"

#define RESULT_FIXED 16u /* cookie verifier, end of the list, eof */
#define ENTRY_FIXED  24u /* follows, cookie, name length, bitmap length, attribute length */

typedef struct Entry Entry;
struct Entry {
    Entry *next;
    const char *name;
    size_t name_len;
    uint64_t cookie;
    uint64_t fileid;
    const LaresAttrs *attrs; /* NULL: to be looked up */
    LaresNode *node;         /* a reference, with attrs, when the object is needed */
    const uint8_t *handle;   /* with attrs, when only the handle is needed */
    size_t handle_len;
};

typedef struct {
    Nfs4Compound *c;
    Entry *first, **last;
    size_t min_attrs; /* what the attributes of one entry take at least */
    size_t left, dir_left;
    uint64_t cookie;
    size_t maxcount;
    Nfs4Bitmap want;
    Nfs4FattrPlan plan;
    gboolean plain;       /* the directory itself knows all that is wanted */
    gboolean need_object; /* for an ACL, … of each entry */
    gboolean need_handle;
    gboolean later; /* to be looked at when the store is done */
    size_t start;   /* of the entries in the reply */
    uint32_t status;
    gboolean any;  /* an entry was written */
    gboolean full; /* one did not fit */
} Listing;

static size_t
pad(size_t n)
{
    return (n + 3) & ~(size_t)3;
}

static size_t
least_attributes(const Nfs4Compound *c, const Nfs4Bitmap *want)
{
    size_t n = 0;
    for (uint32_t i = 0; i <= FATTR4_LAST; i++)
        if (nfs4_bitmap_has(want, i) && nfs4_fattr_is_known(c, i))
            n += nfs4_fattr_rows[i].shape == NFS4_SHAPE_FIXED ? nfs4_fattr_rows[i].size : 0;
    return n / 2; /* some of them may be absent for an entry */
}

/* Nothing but what the directory itself knows: no need to look at each file. */
static gboolean
needs_no_lookup(const Nfs4Bitmap *want)
{
    Nfs4Bitmap rest = *want;
    rest.word[0] &= ~(1u << FATTR4_RDATTR_ERROR);
    rest.word[FATTR4_MOUNTED_ON_FILEID / 32] &= ~(1u << (FATTR4_MOUNTED_ON_FILEID % 32));
    return nfs4_bitmap_empty(&rest);
}

static void
put_known(LaresWriter *out, const Nfs4Bitmap *want, uint64_t fileid)
{
    gboolean error = nfs4_bitmap_has(want, FATTR4_RDATTR_ERROR);
    gboolean mounted = nfs4_bitmap_has(want, FATTR4_MOUNTED_ON_FILEID);
    nfs4_bitmap_put(out, want);
    lares_put_u32(out, (error ? 4 : 0) + (mounted ? 8 : 0));
    if (error)
        lares_put_u32(out, NFS4_OK);
    if (mounted)
        lares_put_u64(out, fileid);
}

/* The name of a named attribute is told as NFS has it. */
static LaresStatus
find_entry(Nfs4Compound *c, const char *name, LaresObject *object)
{
    LaresStatus status = LARES_OK;
    if (nfs4_of(c, &c->current))
        status = lares_files_named_name(c->arena, name, &name);
    return status == LARES_OK ? nfs4_find(c, name, LARES_ACCESS_READ, TRUE, object) : status;
}

/* NFS4ERR_NOENT: the entry is gone meanwhile. */
static uint32_t
put_attributes(Listing *l, const Entry *entry)
{
    Nfs4Compound *c = l->c;
    LaresObject object = {NULL, NULL};
    if (l->plain) {
        put_known(c->out, &l->want, entry->fileid);
        return NFS4_OK;
    }
    if (entry->attrs) {
        object = (LaresObject){c->current.share, entry->node};
        Nfs4FattrEntry known = {&object, entry->name, entry->attrs, entry->handle, entry->handle_len};
        return nfs4_fattr_encode_entry(c, c->out, &known, &l->plan);
    }
    size_t at = c->out->len;
    LaresStatus found = find_entry(c, entry->name, &object);
    /* Who did not ask to be told of errors would lose the whole listing because of one share that is closed to this
     * flavor: they see the directory that it hangs on. LOOKUP will say WRONGSEC. */
    if (found == LARES_WRONGSEC && !nfs4_bitmap_has(&l->want, FATTR4_RDATTR_ERROR))
        found = lares_files_covered(c->files, &c->caller, &c->current, entry->name, &object);
    uint32_t status = nfs4_status(c, found);
    if (status == NFS4_OK) {
        status = nfs4_fattr_encode(c, c->out, &object, nfs4_of(c, &c->current), &l->want);
        lares_object_clear(&object);
    }
    if (status == NFS4_OK || status == NFS4ERR_NOENT)
        return status;
    if (!nfs4_bitmap_has(&l->want, FATTR4_RDATTR_ERROR))
        return status;
    lares_writer_rewind(c->out, at); /* RFC 8881 5.8.1.12 */
    nfs4_fattr_encode_error(c->out, &l->want, status, entry->fileid);
    return NFS4_OK;
}

/* FALSE: no more entries, for want of room or because of an error. */
static gboolean
put_entry(Listing *l, const Entry *entry)
{
    LaresWriter *out = l->c->out;
    size_t before = out->len;
    lares_put_u32(out, 1);
    lares_put_u64(out, entry->cookie);
    lares_put_opaque(out, entry->name, entry->name_len);
    uint32_t status = put_attributes(l, entry);
    if (status == NFS4ERR_NOENT || status == NFS4ERR_STALE) {
        lares_writer_rewind(out, before);
        return TRUE;
    }
    l->status = status;
    if (status != NFS4_OK)
        return FALSE;
    if (out->failed || out->len - l->start + RESULT_FIXED > l->maxcount) {
        lares_writer_rewind(out, before);
        l->full = TRUE;
        l->status = l->any ? NFS4_OK : NFS4ERR_TOOSMALL;
        return FALSE;
    }
    l->any = TRUE;
    return TRUE;
}

/* ---- Reading ---------------------------------------------------------------------------------------------------- */

/* Keeps entries as long as they could fit; the first always, for the TOOSMALL decision. */
static gboolean
keep(Listing *l, const Entry *entry)
{
    LaresArena *arena = l->c->arena;
    size_t cost = ENTRY_FIXED + pad(entry->name_len) + l->min_attrs;
    if (!l->first)
        l->left -= MIN(l->left, l->c->out->len - l->start);
    else if (cost > l->left)
        return FALSE;
    l->left -= MIN(cost, l->left);
    Entry *kept = lares_arena_memdup(arena, entry, sizeof *entry);
    kept->name = lares_arena_strndup(arena, entry->name, entry->name_len);
    if (entry->attrs)
        kept->attrs = lares_arena_memdup(arena, entry->attrs, sizeof *entry->attrs);
    if (entry->node)
        lares_node_ref(entry->node);
    if (entry->handle)
        kept->handle = lares_arena_memdup(arena, entry->handle, entry->handle_len);
    *l->last = kept;
    l->last = &kept->next;
    return TRUE;
}

/* An entry that needs no look at the store is written at once, unless one before it has to wait. */
static gboolean
take(const LaresDirEntry *dirent, const LaresAttrs *attrs, LaresNode *node, gpointer user)
{
    Listing *l = user;
    size_t len = strlen(dirent->name);
    size_t dir_cost = 12 + pad(len); /* cookie and name: what dircount counts */
    if ((l->any || l->first) && dir_cost > l->dir_left)
        return FALSE;
    l->dir_left -= MIN(dir_cost, l->dir_left);
    uint8_t handle[LARES_WIRE_HANDLE_MAX];
    Entry entry = {.name = dirent->name, .name_len = len, .cookie = dirent->cookie, .fileid = dirent->fileid};
    gboolean known = attrs && (node || !l->need_object);
    if (known && node && (l->need_object || l->need_handle)) {
        entry.node = node;
    } else if (known && l->need_handle) {
        entry.handle = handle;
        known = lares_files_entry_handle(l->c->files, &l->c->current, dirent->name, attrs->fileid, handle,
                                         &entry.handle_len) == LARES_OK;
    }
    if (known)
        entry.attrs = attrs;
    else
        entry.handle = NULL;
    if ((known || l->plain) && !l->first && !l->later)
        return put_entry(l, &entry);
    return keep(l, &entry);
}

static gboolean
take_name(const LaresDirEntry *dirent, gpointer user)
{
    return take(dirent, NULL, NULL, user);
}

static LaresStatus
read_entries(Listing *l, gboolean *eof)
{
    Nfs4Compound *c = l->c;
    l->plain = needs_no_lookup(&l->want);
    nfs4_fattr_plan(c, &l->want, &l->plan);
    l->need_object = nfs4_fattr_needs_object(&l->plan);
    l->need_handle = nfs4_bitmap_has(&l->plan.chosen, FATTR4_FILEHANDLE);
    l->later = (l->plan.from & NFS4_FROM_NAMED) != 0;
    const LaresObject *of = nfs4_of(c, &c->current);
    if (of)
        return lares_files_named_readdir(c->files, &c->caller, &c->current, of, l->cookie, take_name, l, eof);
    uint32_t mask = (l->plan.from & LARES_ATTR_STAT) | LARES_ATTR_FILEID | (l->need_handle ? LARES_ATTR_HANDLE : 0u);
    if (l->plain)
        return lares_files_readdir(c->files, &c->caller, &c->current, l->cookie, take_name, l, eof);
    return lares_files_readdir_attrs(c->files, &c->caller, &c->current, l->cookie, mask, l->need_object, take, l, eof);
}

static void
put_kept(Listing *l)
{
    gboolean more = l->status == NFS4_OK && !l->full;
    for (const Entry *entry = l->first; entry; entry = entry->next) {
        more = more && put_entry(l, entry);
        if (entry->node)
            lares_node_unref(entry->node);
    }
}

static uint32_t
list(Listing *l)
{
    Nfs4Compound *c = l->c;
    gboolean eof = FALSE;
    static const uint8_t verifier[NFS4_VERIFIER_SIZE];
    l->start = c->out->len + sizeof verifier;
    lares_put_bytes(c->out, verifier, sizeof verifier);
    LaresStatus status = read_entries(l, &eof);
    put_kept(l);
    if (status != LARES_OK)
        return nfs4_status(c, status);
    if (l->status != NFS4_OK)
        return l->status;
    lares_put_u32(c->out, 0);
    lares_put_u32(c->out, eof && !l->full);
    return NFS4_OK;
}

NFS4_OP(readdir)
{
    Listing l = {.c = c};
    static const uint8_t zero[NFS4_VERIFIER_SIZE];
    l.last = &l.first;
    l.cookie = lares_get_u64(c->in);
    const uint8_t *verifier = lares_get_bytes(c->in, NFS4_VERIFIER_SIZE);
    uint32_t dircount = lares_get_u32(c->in);
    uint32_t maxcount = lares_get_u32(c->in);
    nfs4_bitmap_get(c->in, &l.want, NULL);
    if (c->in->failed)
        return NFS4ERR_BADXDR;
    uint32_t status = nfs4_need_directory(c, &c->current);
    if (status == NFS4_OK)
        status = nfs4_fattr_readable(c, &l.want);
    if (status != NFS4_OK)
        return status;
    if (l.cookie == 1 || l.cookie == 2)
        return NFS4ERR_BAD_COOKIE; /* reserved: RFC 7530 16.24.4 */
    if (memcmp(verifier, zero, sizeof zero) != 0)
        return l.cookie == 0 ? NFS4ERR_BAD_COOKIE : NFS4ERR_NOT_SAME;
    size_t room = nfs4_reply_left(c);
    l.maxcount = MIN(MIN(maxcount, NFS4_MAX_READDIR), room);
    if (maxcount < RESULT_FIXED)
        return NFS4ERR_TOOSMALL;
    if (l.maxcount < RESULT_FIXED)
        return nfs4_reply_room(c, RESULT_FIXED);
    l.left = l.maxcount - RESULT_FIXED;
    l.dir_left = dircount ? dircount : SIZE_MAX; /* RFC 8881 18.23.3: 0 is no hint */
    l.min_attrs = least_attributes(c, &l.want);
    status = list(&l);
    /* What did not fit for want of room in the reply is not the client's maxcount. */
    return status == NFS4ERR_TOOSMALL && l.maxcount == room && room < maxcount ? nfs4_reply_room(c, maxcount) : status;
}
