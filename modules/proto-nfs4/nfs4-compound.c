/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The loop over a COMPOUND's operations and the checks common to all of them.
 *
 * Spec: RFC 7530 14.2, 15.2; RFC 8881 2.6.3, 2.10.6, 16.2 */
#include "nfs4-attr.h"
#include "nfs4-metrics.h"
#include "nfs4-state.h"

#define RESOP_HEADER 8u /* operation number and status */

/* ---- Room in the reply ------------------------------------------------------------------------------------------ */

static size_t
result_length(const Nfs4Compound *c)
{
    return lares_reply_length(c->reply) - (c->result_at - LARES_REPLY_HEAD);
}

/* The last operation may fill the reply; behind any other the status of the next must still fit. */
static size_t
reserve(const Nfs4Compound *c)
{
    return c->op_index + 1 < c->op_count ? RESOP_HEADER : 0;
}

static size_t
room_below(size_t limit, size_t used)
{
    return limit > used ? limit - used : 0;
}

size_t
nfs4_reply_left(Nfs4Compound *c)
{
    size_t used = result_length(c) + reserve(c);
    size_t left = room_below(c->reply_limit, used);
    if (c->cachethis)
        left = MIN(left, room_below(c->cache_limit, used));
    return MIN(left, room_below(c->out->limit, c->out->len + reserve(c)));
}

/* Do `len` more bytes fit below the limit? What was written already may be beyond it. */
static gboolean
fits_below(size_t limit, size_t used, size_t len)
{
    return used <= limit && len <= limit - used;
}

uint32_t
nfs4_reply_room(Nfs4Compound *c, size_t len)
{
    size_t used = result_length(c) + reserve(c);
    gboolean fits = fits_below(c->reply_limit, used, len) && fits_below(c->out->limit, c->out->len + reserve(c), len);
    if (c->minor == 0)
        return fits ? NFS4_OK : NFS4ERR_RESOURCE;
    if (!fits)
        return NFS4ERR_REP_TOO_BIG;
    if (c->cachethis && !fits_below(c->cache_limit, used, len))
        return NFS4ERR_REP_TOO_BIG_TO_CACHE;
    return NFS4_OK;
}

/* ---- File handles and policy ------------------------------------------------------------------------------------ */

void
nfs4_clear_current(Nfs4Compound *c)
{
    lares_object_clear(&c->current);
    lares_object_clear(&c->current_of);
    c->current_unchecked = FALSE;
    c->current_stateid = (Nfs4Stateid){0};
}

void
nfs4_clear_saved(Nfs4Compound *c)
{
    lares_object_clear(&c->saved);
    lares_object_clear(&c->saved_of);
}

void
nfs4_set_current(Nfs4Compound *c, LaresObject *object)
{
    nfs4_clear_current(c);
    c->current = *object;
    *object = (LaresObject){NULL, NULL};
}

void
nfs4_set_current_within(Nfs4Compound *c, LaresObject *object)
{
    LaresObject of = c->current_of;
    c->current_of = (LaresObject){NULL, NULL};
    nfs4_set_current(c, object);
    c->current_of = of;
}

uint32_t
nfs4_check_policy(const Nfs4Compound *c, const LaresObject *object)
{
    return nfs4_status(c, lares_files_policy(c->files, &c->caller, object));
}

uint32_t
nfs4_next_op(const Nfs4Compound *c)
{
    if (c->op_index + 1 >= c->op_count)
        return 0;
    LaresReader ahead = *c->in;
    return lares_get_u32(&ahead);
}

/* RFC 8881 2.6.3.1.1: before these, a PUTFH may not fail with WRONGSEC; they judge themselves. */
static gboolean
next_judges_itself(const Nfs4Compound *c)
{
    uint32_t next = nfs4_next_op(c);
    if (next == 0 || next > OP_LAST || next == OP_LOOKUP || next == OP_OPEN)
        return TRUE;
    return (nfs4_ops[next].flags & (NFS4_PUTS_FH | NFS4_ANY_FLAVOR | NFS4_IS_SECINFO)) != 0;
}

static uint32_t
check_handles(Nfs4Compound *c, const Nfs4Op *row)
{
    uint32_t status;
    if ((row->flags & NFS4_NEEDS_FH) && !lares_object_is_set(&c->current))
        return NFS4ERR_NOFILEHANDLE;
    if ((row->flags & NFS4_NEEDS_SAVED_FH) && !lares_object_is_set(&c->saved))
        return NFS4ERR_NOFILEHANDLE;
    if (row->handler && !(row->flags & NFS4_NAMED) &&
        (((row->flags & NFS4_NEEDS_FH) && lares_object_is_set(&c->current_of)) ||
         ((row->flags & NFS4_NEEDS_SAVED_FH) && lares_object_is_set(&c->saved_of))))
        return nfs4_status(c, LARES_WRONG_TYPE);
    if (row->flags & NFS4_ANY_FLAVOR)
        return NFS4_OK;
    if ((row->flags & NFS4_NEEDS_FH) && c->current_unchecked) {
        if ((status = nfs4_check_policy(c, &c->current)) != NFS4_OK)
            return status;
        c->current_unchecked = FALSE;
    }
    if ((row->flags & NFS4_NEEDS_SAVED_FH) && c->saved_unchecked) { /* LINK, RENAME: RFC 8881 2.6.3.1.2 */
        if ((status = nfs4_check_policy(c, &c->saved)) != NFS4_OK)
            return status;
        c->saved_unchecked = FALSE;
    }
    return NFS4_OK;
}

/* ---- Names ------------------------------------------------------------------------------------------------------ */

void
nfs4_get_name_bytes(LaresReader *in, const uint8_t **bytes, size_t *len)
{
    *bytes = lares_get_opaque(in, lares_reader_left(in), len);
}

uint32_t
nfs4_check_name(Nfs4Compound *c, const uint8_t *bytes, size_t len, const char **name)
{
    LaresStatus status = lares_files_name(c->arena, bytes, len, name);
    if (status == LARES_OK && lares_object_is_set(&c->current_of))
        status = lares_files_named_name(c->arena, *name, name);
    /* Three ways to be wrong that one status stands for: RFC 7530 12.7 and 13.1.7, RFC 8881 14.5 and 15.1.7. */
    if (status == LARES_BADCHAR && memchr(bytes, '/', len))
        return NFS4ERR_BADNAME;
    if (status == LARES_BADCHAR && memchr(bytes, '\0', len))
        return NFS4ERR_BADCHAR;
    return nfs4_status(c, status);
}

uint32_t
nfs4_get_name(Nfs4Compound *c, const char **name)
{
    const uint8_t *bytes;
    size_t len;
    nfs4_get_name_bytes(c->in, &bytes, &len);
    if (c->in->failed)
        return NFS4ERR_BADXDR;
    return nfs4_check_name(c, bytes, len, name);
}

/* ---- The loop --------------------------------------------------------------------------------------------------- */

/* Is this operation known to the minor version? RFC 8881 16.2.3, 18.51 ff: what 4.0 alone has is NOTSUPP later. */
static const Nfs4Op *
find_row(const Nfs4Compound *c, uint32_t number, uint32_t *status)
{
    if (number > OP_LAST || !nfs4_ops[number].name || c->minor < nfs4_ops[number].minor_from) {
        *status = NFS4ERR_OP_ILLEGAL;
        return NULL;
    }
    *status = c->minor > nfs4_ops[number].minor_to ? NFS4ERR_NOTSUPP : NFS4_OK;
    return &nfs4_ops[number];
}

/* RFC 8881 2.10.6.2 and the operations' own words: where SEQUENCE and its exceptions may stand. */
static uint32_t
check_position(const Nfs4Compound *c, const Nfs4Op *row)
{
    if (c->minor == 0)
        return NFS4_OK;
    if ((row->flags & NFS4_ONLY_ALONE) && c->op_count > 1)
        return NFS4ERR_NOT_ONLY_OP;
    if (c->op_index > 0)
        return c->op == OP_SEQUENCE ? NFS4ERR_SEQUENCE_POS : NFS4_OK;
    if (c->op == OP_SEQUENCE)
        return NFS4_OK;
    if (!(row->flags & NFS4_NO_SESSION))
        return NFS4ERR_OP_NOT_IN_SESSION;
    return c->op_count > 1 ? NFS4ERR_NOT_ONLY_OP : NFS4_OK;
}

static uint32_t
run_checked(Nfs4Compound *c, const Nfs4Op *row)
{
    uint32_t status = check_position(c, row);
    if (status == NFS4_OK)
        status = check_handles(c, row);
    if (status == NFS4_OK && !row->handler)
        status = NFS4ERR_NOTSUPP;
    if (status == NFS4_OK && (row->flags & NFS4_MODIFIES))
        status = nfs4_reply_room(c, row->reply_max);
    if (status != NFS4_OK)
        return status;
    status = row->handler(c);
    if (status == NFS4_OK && (row->flags & NFS4_PUTS_FH)) {
        c->current_unchecked = TRUE;
        if (!next_judges_itself(c)) {
            status = nfs4_check_policy(c, &c->current);
            c->current_unchecked = status != NFS4_OK;
        }
    }
    return status;
}

/* Too long only after the fact: operations that change nothing are simply taken back. */
static uint32_t
check_length(Nfs4Compound *c)
{
    uint32_t status = c->out->failed ? (c->minor == 0 ? NFS4ERR_RESOURCE : NFS4ERR_REP_TOO_BIG) : NFS4_OK;
    return status != NFS4_OK ? status : nfs4_reply_room(c, 0);
}

/* What an OPEN made or found is told again by those behind it, as one moment's; everything else looks for itself. */
static gboolean
belongs_to_open(uint32_t op)
{
    return op == OP_GETFH || op == OP_GETATTR || op == OP_ACCESS;
}

static uint32_t
run_one(Nfs4Compound *c)
{
    uint32_t status;
    guint ranges = c->reply->n_ranges;
    c->op = lares_get_u32(c->in);
    if (c->in->failed)
        return NFS4ERR_BADXDR;
    const Nfs4Op *row = find_row(c, c->op, &status);
    if (!row)
        c->op = OP_ILLEGAL;
    size_t start = c->out->len;
    lares_put_u32(c->out, c->op);
    lares_put_u32(c->out, 0);
    size_t body = c->out->len;
    c->keep_body = FALSE;
    if (c->op == OP_OPEN)
        lares_store_moment_begin();
    else if (!belongs_to_open(c->op))
        lares_store_moment_end();
    if (status == NFS4_OK)
        status = run_checked(c, row);
    if (status == NFS4_REPLAY)
        nfs4_count_op(c, c->op, NFS4_OK);
    if (status == NFS4_REPLAY || status == NFS4_DROP)
        return status;
    if (status == NFS4_OK || c->keep_body) {
        uint32_t fits = check_length(c);
        if (fits != NFS4_OK) {
            status = fits;
            c->keep_body = FALSE;
        }
    }
    if (status != NFS4_OK && !c->keep_body) {
        lares_reply_rewind(c->reply, body, ranges);
        if (c->op == OP_SETATTR) /* its result has a bitmap whatever the status: RFC 8881 18.30.2 */
            lares_put_u32(c->out, 0);
    }
    c->out->failed = FALSE;
    lares_patch_u32(c->out, start + 4, status);
    nfs4_count_op(c, c->op, status);
    if (G_UNLIKELY(status != NFS4_OK))
        lares_debug("nfs4", "%s of %s: %s (%u)", row ? row->name : "ILLEGAL", c->principal, nfs4_status_name(status),
                    status);
    return status;
}

static void
run_all(Nfs4Compound *c, size_t count_at, uint32_t *status)
{
    uint32_t done = 0;
    for (c->op_index = 0; c->op_index < c->op_count; c->op_index++) {
        size_t before = c->out->len;
        *status = run_one(c);
        if (*status == NFS4_REPLAY || *status == NFS4_DROP)
            return;
        if (c->out->len > before)
            done++;
        if (*status != NFS4_OK)
            break;
    }
    lares_patch_u32(c->out, c->result_at, *status);
    lares_patch_u32(c->out, count_at, done);
}

static void
finish(Nfs4Compound *c, uint32_t status)
{
    if (status == NFS4_REPLAY) {
        lares_reply_rewind(c->reply, c->result_at, 0);
        lares_put_bytes(c->out, c->replay, c->replay_len);
    }
    if (c->session) {
        gboolean whole = c->reply->n_ranges == 0 && !c->out->failed;
        nfs4_session_finish(c, whole ? c->out->base + c->result_at : NULL, whole ? c->out->len - c->result_at : 0);
    }
    lares_store_moment_end();
    nfs4_clear_current(c);
    nfs4_clear_saved(c);
}

/* Refusals of the whole COMPOUND, which then has no results (RFC 7530 15.2.4, RFC 8881 16.2.3). */
static uint32_t
check_compound(const Nfs4Compound *c, const uint8_t *tag, size_t tag_len)
{
    const Nfs4Settings *settings = &c->service->settings;
    if (c->minor < settings->min_minor || c->minor > settings->max_minor)
        return NFS4ERR_MINOR_VERS_MISMATCH;
    if (tag_len && !g_utf8_validate_len((const char *)tag, tag_len, NULL))
        return NFS4ERR_INVAL;
    if (c->op_count > NFS4_MAX_OPS)
        return c->minor == 0 ? NFS4ERR_RESOURCE : NFS4ERR_TOO_MANY_OPS;
    return NFS4_OK;
}

Nfs4Run
nfs4_compound_run(Nfs4Compound *c)
{
    size_t tag_len;
    c->request = c->in->at;
    c->request_len = lares_reader_left(c->in);
    const uint8_t *tag = lares_get_opaque(c->in, NFS4_MAX_TAG, &tag_len);
    c->minor = lares_get_u32(c->in);
    c->op_count = lares_get_u32(c->in);
    if (c->in->failed)
        return NFS4_RUN_GARBAGE;
    c->about = NFS4_COUNT_NOTHING;
    c->files = c->service->files;
    c->reply_limit = c->service->net.max_reply + c->service->settings.max_io;
    c->cache_limit = SIZE_MAX;
    c->result_at = c->out->len;
    lares_put_u32(c->out, 0);
    lares_put_opaque(c->out, tag, tag_len);
    size_t count_at = c->out->len;
    lares_put_u32(c->out, 0);

    uint32_t status = check_compound(c, tag, tag_len);
    if (status != NFS4_OK)
        lares_patch_u32(c->out, c->result_at, status);
    else
        run_all(c, count_at, &status);
    finish(c, status);
    return status == NFS4_DROP ? NFS4_RUN_DROP : NFS4_RUN_ANSWER;
}
