/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* READDIR: entries of the current directory with their attributes.
 *
 * Entries are collected from the store first and looked at afterwards, so that no store is entered again from inside
 * its own readdir. Cookies are the store's and survive a restart, so the cookie verifier is constant zero.
 *
 * Spec: RFC 7530 16.24, RFC 8881 18.23 */
#include "nfs4-fattr.h"
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
};

typedef struct {
    Nfs4Compound *c;
    Entry *first, **last;
    size_t min_attrs; /* what the attributes of one entry take at least */
    size_t left, dir_left;
    uint64_t cookie;
    size_t maxcount;
    Nfs4Bitmap want;
} Listing;

static size_t
pad(size_t n)
{
    return (n + 3) & ~(size_t)3;
}

/* Takes entries as long as they could fit; the first always, for the TOOSMALL decision. */
static gboolean
collect(const LaresDirEntry *dirent, gpointer user)
{
    Listing *l = user;
    size_t len = strlen(dirent->name);
    size_t cost = ENTRY_FIXED + pad(len) + l->min_attrs;
    size_t dir_cost = 12 + pad(len); /* cookie and name: what dircount counts */
    if (l->first && (cost > l->left || dir_cost > l->dir_left))
        return FALSE;
    l->left -= MIN(cost, l->left);
    l->dir_left -= MIN(dir_cost, l->dir_left);
    Entry *entry = lares_arena_alloc(l->c->arena, sizeof *entry);
    *entry = (Entry){NULL, lares_arena_strndup(l->c->arena, dirent->name, len), len, dirent->cookie, dirent->fileid};
    *l->last = entry;
    l->last = &entry->next;
    return TRUE;
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

/* NFS4ERR_NOENT: the entry is gone meanwhile. */
static uint32_t
put_attributes(Listing *l, const Entry *entry)
{
    Nfs4Compound *c = l->c;
    LaresObject object = {NULL, NULL};
    if (needs_no_lookup(&l->want)) {
        put_known(c->out, &l->want, entry->fileid);
        return NFS4_OK;
    }
    size_t at = c->out->len;
    uint32_t status = nfs4_status(c, lares_files_lookup(c->files, &c->caller, &c->current, entry->name, TRUE, &object));
    if (status == NFS4_OK) {
        status = nfs4_fattr_encode(c, c->out, &object, &l->want);
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

/* As many collected entries as fit. *all: every one of them did. */
static uint32_t
put_entries(Listing *l, gboolean *all)
{
    LaresWriter *out = l->c->out;
    size_t start = out->len;
    gboolean any = FALSE;
    *all = TRUE;
    for (const Entry *entry = l->first; entry; entry = entry->next) {
        size_t before = out->len;
        lares_put_u32(out, 1);
        lares_put_u64(out, entry->cookie);
        lares_put_opaque(out, entry->name, entry->name_len);
        uint32_t status = put_attributes(l, entry);
        if (status == NFS4ERR_NOENT || status == NFS4ERR_STALE) {
            lares_writer_rewind(out, before);
            continue;
        }
        if (status != NFS4_OK)
            return status;
        if (out->failed || out->len - start + RESULT_FIXED > l->maxcount) {
            lares_writer_rewind(out, before);
            *all = FALSE;
            return any ? NFS4_OK : NFS4ERR_TOOSMALL;
        }
        any = TRUE;
    }
    return NFS4_OK;
}

static uint32_t
list(Listing *l)
{
    Nfs4Compound *c = l->c;
    gboolean eof = FALSE, all;
    static const uint8_t verifier[NFS4_VERIFIER_SIZE];
    LaresStatus status = lares_files_readdir(c->files, &c->caller, &c->current, l->cookie, collect, l, &eof);
    if (status != LARES_OK)
        return nfs4_status(c, status);
    lares_put_bytes(c->out, verifier, sizeof verifier);
    uint32_t error = put_entries(l, &all);
    if (error != NFS4_OK)
        return error;
    lares_put_u32(c->out, 0);
    lares_put_u32(c->out, eof && all);
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
