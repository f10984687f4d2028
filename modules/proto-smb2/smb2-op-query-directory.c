/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* QUERY_DIRECTORY: the names in a directory, in every class.
 *
 * The position is the store's cookie, so a directory of any size costs what is sent. One reply is filled with as many
 * entries as fit. A name without wildcards is looked up instead of listed.
 *
 * Spec: [MS-SMB2] 2.2.33, 2.2.34, 3.3.5.18; [MS-FSA] 2.1.5.6.3; [MS-FSCC] 2.4.
 * Locks: an enumeration's own: commands on one open take turns. */
#include "smb2-apple.h"

#include "smb2-name.h"
#include "smb2-path.h"

enum { AT_CLASS = 2, AT_FLAGS = 3, AT_FILE = 8, AT_NAME_OFFSET = 24, AT_NAME_LEN = 26, AT_OUTPUT = 28 };

typedef enum { STAGE_DOT, STAGE_DOTDOT, STAGE_ENTRIES, STAGE_END } Stage;

typedef struct {
    GMutex lock;
    gboolean started;
    uint8_t *expression; /* as it came */
    size_t expression_len;
    Stage stage;
    uint64_t cookie;
    gboolean found; /* anything, since the start */
} Enumeration;

typedef struct {
    Smb2Op *op;
    Enumeration *e;
    Smb2Pattern pattern;
    uint8_t class;
    gboolean single, by_access, apple;
    size_t start, last, limit;
    guint n;
    gboolean full;
    gboolean linked; /* one of them has other names */
} Filling;

static void
enumeration_free(gpointer data)
{
    Enumeration *e = data;
    g_free(e->expression);
    g_mutex_clear(&e->lock);
    g_free(e);
}

static Enumeration *
enumeration_of(Smb2Open *open)
{
    g_mutex_lock(&open->lock);
    if (!open->enumeration) {
        Enumeration *e = g_new0(Enumeration, 1);
        g_mutex_init(&e->lock);
        open->enumeration = e;
        open->enumeration_free = enumeration_free;
    }
    Enumeration *e = open->enumeration;
    g_mutex_unlock(&open->lock);
    return e;
}

/* ---- Entries ------------------------------------------------------------------------------------------------------
 */

/* Bytes before the name; 0: no class of directories. */
static size_t
head_size(uint8_t class)
{
    switch (class) {
    case SMB2_CLASS_NAMES:
        return 12;
    case SMB2_CLASS_DIRECTORY:
        return 64;
    case SMB2_CLASS_FULL_DIRECTORY:
        return 68;
    case SMB2_CLASS_ID_FULL_DIRECTORY:
        return 80;
    case SMB2_CLASS_ID_EXTD_DIRECTORY:
        return 88;
    case SMB2_CLASS_BOTH_DIRECTORY:
        return 94;
    case SMB2_CLASS_ID_BOTH_DIRECTORY:
        return 104;
    case SMB2_CLASS_ID_EXTD_BOTH_DIRECTORY:
        return 114;
    default:
        return 0;
    }
}

/* None for a name that is short itself, as NTFS lists them. */
static void
put_short_name(LaresWriter *w, const char *name)
{
    size_t at = w->len;
    smb2_put_zeros(w, 2);
    size_t n = name ? smb2_put_utf16(w, name) : 0;
    smb2_put_zeros(w, 24 - n);
    smb2_patch_u8(w, at, (uint8_t)n);
}

static void
put_behind_length(Filling *f, const char *name, const Smb2Info *info, const Smb2AppleEntry *apple)
{
    LaresWriter *w = f->op->out;
    uint8_t class = f->class;
    char made[LARES_SHORT_NAME_SIZE];
    gboolean extended = class == SMB2_CLASS_ID_EXTD_DIRECTORY || class == SMB2_CLASS_ID_EXTD_BOTH_DIRECTORY;
    if (class == SMB2_CLASS_DIRECTORY)
        return;
    if (apple) {
        smb2_put_u32(w, info->tag ? info->tag : apple->access);
        smb2_put_u16(w, 24);
        smb2_put_u64(w, apple->fork);
        lares_put_bytes(w, apple->finder, sizeof apple->finder);
        smb2_put_u16(w, apple->mode);
        smb2_put_u64(w, info->fileid);
        return;
    }
    smb2_put_u32(w, extended ? 0 : info->tag); /* EaSize, or the reparse tag */
    if (extended) {
        smb2_put_u32(w, info->tag);
        smb2_put_u64(w, info->fileid);
        smb2_put_u64(w, 0);
    }
    if (class == SMB2_CLASS_BOTH_DIRECTORY || class == SMB2_CLASS_ID_BOTH_DIRECTORY ||
        class == SMB2_CLASS_ID_EXTD_BOTH_DIRECTORY)
        put_short_name(w, smb2_short_name(f->op, &f->op->open->object, name, made) ? made : NULL);
    if (class == SMB2_CLASS_ID_BOTH_DIRECTORY)
        smb2_put_u16(w, 0);
    if (class == SMB2_CLASS_ID_FULL_DIRECTORY)
        smb2_put_u32(w, 0);
    if (class == SMB2_CLASS_ID_BOTH_DIRECTORY || class == SMB2_CLASS_ID_FULL_DIRECTORY)
        smb2_put_u64(w, info->fileid);
}

static gboolean
has_other_names(const LaresAttrs *attrs)
{
    return attrs->type != LARES_TYPE_DIRECTORY && attrs->nlink > 1;
}

/* FALSE: it does not fit. */
static gboolean
put_entry(Filling *f, const char *name, const Smb2Info *info, const Smb2AppleEntry *apple)
{
    LaresWriter *w = f->op->out;
    size_t before = w->len;
    if (f->n)
        smb2_align(w, f->start, 8);
    size_t at = w->len;
    smb2_put_u32(w, 0);
    smb2_put_u32(w, 0); /* FileIndex: names move */
    if (f->class != SMB2_CLASS_NAMES) {
        smb2_put_u64(w, info->basic.created);
        smb2_put_u64(w, info->basic.accessed);
        smb2_put_u64(w, info->basic.written);
        smb2_put_u64(w, info->basic.changed);
        smb2_put_u64(w, info->basic.size);
        smb2_put_u64(w, info->basic.allocation);
        smb2_put_u32(w, info->basic.attributes);
    }
    size_t length = w->len;
    smb2_put_u32(w, 0);
    if (f->class != SMB2_CLASS_NAMES)
        put_behind_length(f, name, info, f->apple ? apple : NULL);
    size_t n = smb2_put_name(w, name, smb2_maps_devices(f->op));
    smb2_patch_u32(w, length, (uint32_t)n);
    if (w->failed || w->len - f->start > f->limit) {
        lares_writer_rewind(w, before);
        f->full = TRUE;
        return FALSE;
    }
    if (f->n)
        smb2_patch_u32(w, f->last, (uint32_t)(at - f->last));
    f->last = at;
    f->n++;
    f->e->found = TRUE;
    return TRUE;
}

static gboolean
may_see(Filling *f, const LaresObject *object)
{
    uint32_t allowed = 0;
    return lares_files_access(f->op->service->files, &f->op->caller, object, LARES_ACCESS_READ, &allowed) == LARES_OK &&
           allowed & LARES_ACCESS_READ;
}

/* [MS-FSA] 2.1.5.6.3: by its name or its short one. */
static gboolean
matches(const Filling *f, const char *name)
{
    char made[LARES_SHORT_NAME_SIZE];
    return smb2_pattern_matches(&f->pattern, name) ||
           (smb2_short_name(f->op, &f->op->open->object, name, made) && smb2_pattern_matches(&f->pattern, made));
}

static gboolean
emit(const LaresDirEntry *entry, const LaresAttrs *attrs, LaresNode *node, gpointer user)
{
    Filling *f = user;
    const LaresObject *dir = &f->op->open->object;
    LaresFiles *files = f->op->service->files;
    Smb2Info info = {0};
    Smb2AppleEntry apple;
    LaresAttrs own;
    if (!matches(f, entry->name)) {
        f->e->cookie = entry->cookie;
        return TRUE;
    }
    if (f->class != SMB2_CLASS_NAMES || f->by_access) {
        LaresObject object = {NULL, NULL};
        if (!attrs || f->by_access || f->apple) {
            LaresStatus status = lares_files_lookup(files, &f->op->caller, dir, entry->name, FALSE, &object);
            if (status == LARES_OK && !attrs)
                status = lares_files_getattr(files, &f->op->caller, &object, LARES_ATTR_STAT, &own, NULL);
            if (status != LARES_OK || (f->by_access && !may_see(f, &object))) { /* gone, or not for this caller */
                lares_object_clear(&object);
                f->e->cookie = entry->cookie;
                return TRUE;
            }
        }
        if (!attrs)
            attrs = &own;
        f->linked |= has_other_names(attrs);
        smb2_info_fill(f->op, dir, entry->name, entry->name, attrs, &info);
        if (f->apple)
            smb2_apple_entry(f->op, dir, &object, attrs, &info, &apple);
        lares_object_clear(&object);
    }
    if (!put_entry(f, entry->name, &info, &apple))
        return FALSE;
    f->e->cookie = entry->cookie;
    return !f->single;
}

static void
emit_dots(Filling *f, const LaresObject *object, const char *name)
{
    LaresAttrs attrs;
    Smb2Info info = {0};
    Smb2AppleEntry apple;
    if (lares_files_getattr(f->op->service->files, &f->op->caller, object, LARES_ATTR_STAT, &attrs, NULL) != LARES_OK)
        return;
    smb2_info_fill(f->op, object, NULL, NULL, &attrs, &info);
    if (f->apple)
        smb2_apple_entry(f->op, NULL, object, &attrs, &info, &apple);
    /* "." on the wire is itself, not a name with a full stop at its end. */
    LaresWriter *w = f->op->out;
    size_t before = w->len, last = f->last;
    gboolean found = f->e->found;
    if (!put_entry(f, "x", &info, &apple))
        return;
    w->len -= 2;
    size_t n = smb2_put_utf16(w, name);
    size_t at = f->last + (f->class == SMB2_CLASS_NAMES ? 8 : 60);
    smb2_patch_u32(w, at, (uint32_t)n);
    if (w->failed || w->len - f->start > f->limit) {
        lares_writer_rewind(w, before);
        f->full = TRUE;
        f->e->found = found;
        f->last = last;
        if (--f->n)
            smb2_patch_u32(w, last, 0); /* nothing follows it after all */
    }
}

/* "." and "..": the share's root shows itself as its own parent. */
static void
fill_dots(Filling *f)
{
    const LaresObject *dir = &f->op->open->object;
    while (f->e->stage < STAGE_ENTRIES && !f->full && !(f->single && f->n)) {
        if (f->e->stage == STAGE_DOT) {
            emit_dots(f, dir, ".");
        } else {
            LaresObject parent = {NULL, NULL};
            if (lares_object_is_share_root(dir) ||
                lares_files_parent(f->op->service->files, &f->op->caller, dir, FALSE, &parent) != LARES_OK)
                emit_dots(f, dir, "..");
            else
                emit_dots(f, &parent, "..");
            lares_object_clear(&parent);
        }
        if (!f->full)
            f->e->stage++;
    }
}

/* A name without wildcards. */
static uint32_t
fill_one(Filling *f)
{
    LaresObject object;
    const char *real;
    const LaresObject *dir = &f->op->open->object;
    LaresAttrs attrs;
    Smb2Info info;
    Smb2AppleEntry apple;
    f->e->stage = STAGE_END;
    if (!f->pattern.name)
        return STATUS_SUCCESS;
    LaresStatus status = smb2_path_lookup(f->op, dir, f->pattern.name, &object, &real);
    if (status != LARES_OK)
        return status == LARES_NOENT ? STATUS_SUCCESS : smb2_status(status);
    status = lares_files_getattr(f->op->service->files, &f->op->caller, &object, LARES_ATTR_STAT, &attrs, NULL);
    if (status == LARES_OK && (!f->by_access || may_see(f, &object))) {
        f->linked |= has_other_names(&attrs);
        smb2_info_fill(f->op, &object, NULL, real, &attrs, &info);
        if (f->apple)
            smb2_apple_entry(f->op, dir, &object, &attrs, &info, &apple);
        put_entry(f, real, &info, &apple);
    }
    lares_object_clear(&object);
    return smb2_status(status);
}

static uint32_t
fill(Filling *f)
{
    Enumeration *e = f->e;
    if (!f->pattern.wild && f->pattern.n)
        return e->stage == STAGE_END ? STATUS_SUCCESS : fill_one(f);
    if (e->stage < STAGE_ENTRIES && !f->pattern.all && !(f->pattern.n == 1 && f->pattern.units[0] == '*'))
        e->stage = STAGE_ENTRIES;
    fill_dots(f);
    if (f->full || e->stage != STAGE_ENTRIES || (f->single && f->n))
        return STATUS_SUCCESS;
    gboolean eof = FALSE;
    LaresStatus status =
        lares_files_readdir_attrs(f->op->service->files, &f->op->caller, &f->op->open->object, e->cookie,
                                  f->class == SMB2_CLASS_NAMES ? 0 : LARES_ATTR_STAT, FALSE, emit, f, &eof);
    if (eof)
        e->stage = STAGE_END;
    return smb2_status(status);
}

/* ---- The command --------------------------------------------------------------------------------------------------
 */

static uint32_t
start(Filling *f, const uint8_t *expression, size_t len, uint8_t flags)
{
    Enumeration *e = f->e;
    Smb2Pattern pattern;
    gboolean anew = !e->started || flags & (SMB2_REOPEN | SMB2_RESTART_SCANS);
    if (!smb2_pattern_parse(f->op->arena, expression, len, &pattern))
        return STATUS_OBJECT_NAME_INVALID;
    if (!e->started || flags & SMB2_REOPEN || (flags & SMB2_RESTART_SCANS && len)) {
        g_free(e->expression);
        e->expression = g_memdup2(expression, len);
        e->expression_len = len;
    }
    if (anew) {
        e->stage = STAGE_DOT;
        e->cookie = 0;
        e->found = FALSE;
        e->started = TRUE;
    }
    return smb2_pattern_parse(f->op->arena, e->expression, e->expression_len, &f->pattern) ? STATUS_SUCCESS
                                                                                           : STATUS_OBJECT_NAME_INVALID;
}

static uint32_t
list(Filling *f, const uint8_t *expression, size_t len, uint8_t flags)
{
    uint32_t status = start(f, expression, len, flags);
    if (status == STATUS_SUCCESS)
        status = fill(f);
    if (status != STATUS_SUCCESS)
        return status;
    if (f->n)
        return STATUS_SUCCESS;
    if (f->full)
        return STATUS_INFO_LENGTH_MISMATCH;
    return f->e->found ? STATUS_NO_MORE_FILES : STATUS_NO_SUCH_FILE;
}

uint32_t
smb2_op_query_directory(Smb2Op *op)
{
    const uint8_t *b = op->body;
    LaresWriter *w = op->out;
    size_t limit, body = w->len, len = smb2_get_u16(b + AT_NAME_LEN);
    const uint8_t *expression = smb2_op_buffer(op, smb2_get_u16(b + AT_NAME_OFFSET), len);
    uint32_t status = smb2_op_file(op, b + AT_FILE);
    if (status == STATUS_SUCCESS && (!op->open->is_directory || !expression || len % 2))
        status = STATUS_INVALID_PARAMETER;
    if (status == STATUS_SUCCESS && !(op->open->granted & SMB2_FILE_READ_DATA))
        status = STATUS_ACCESS_DENIED;
    if (status == STATUS_SUCCESS && !head_size(b[AT_CLASS]))
        status = STATUS_INVALID_INFO_CLASS;
    if (status == STATUS_SUCCESS)
        status = smb2_op_output_limit(op, smb2_get_u32(b + AT_OUTPUT), &limit);
    if (status == STATUS_SUCCESS && limit < head_size(b[AT_CLASS]))
        status = STATUS_INFO_LENGTH_MISMATCH;
    if (status != STATUS_SUCCESS)
        return status;
    smb2_put_u16(w, 9);
    smb2_put_u16(w, 0);
    smb2_put_u32(w, 0);
    Filling f = {.op = op,
                 .e = enumeration_of(op->open),
                 .class = b[AT_CLASS],
                 .single = (b[AT_FLAGS] & SMB2_RETURN_SINGLE_ENTRY) != 0,
                 .by_access = (op->share->options & LARES_SHARE_ACCESS_BASED) != 0,
                 .apple = smb2_apple_lists(op, b[AT_CLASS]),
                 .start = w->len,
                 .limit = limit};
    g_mutex_lock(&f.e->lock);
    status = list(&f, expression, len, b[AT_FLAGS]);
    g_mutex_unlock(&f.e->lock);
    if (f.linked) /* before it is answered: the client is not to take this listing for one that it may keep */
        lares_leases_linked(op->open->object.node);
    if (status != STATUS_SUCCESS) {
        lares_writer_rewind(w, body);
        return status;
    }
    smb2_patch_u16(w, body + 2, (uint16_t)(f.start - op->response));
    smb2_patch_u32(w, body + 4, (uint32_t)(w->len - f.start));
    return STATUS_SUCCESS;
}
