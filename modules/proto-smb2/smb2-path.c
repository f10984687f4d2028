/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Paths: parsing, walking, symbolic links in the way. */
#include "smb2-path.h"

#include "smb2-name.h"
#include "smb2-reparse.h"

/* ---- Parsing ------------------------------------------------------------------------------------------------------
 */

static uint16_t
unit(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static size_t
find_unit(const uint8_t *p, size_t bytes, uint16_t what)
{
    size_t at = 0;
    while (at < bytes && unit(p + at) != what)
        at += 2;
    return at;
}

/* Bytes before the next separator. '/' is none on Windows and in no name: who sends it means one. */
static size_t
find_separator(const uint8_t *p, size_t bytes)
{
    size_t at = 0;
    while (at < bytes && unit(p + at) != '\\' && unit(p + at) != '/')
        at += 2;
    return at;
}

static gboolean
is_parent(const uint8_t *p, size_t bytes)
{
    return bytes == 4 && unit(p) == '.' && unit(p + 2) == '.';
}

/* A stream's name may have all but `\ / :` and NUL ([MS-FSCC] 2.1.5.3). */
static const char *
stream_name(LaresArena *arena, const uint8_t *utf16, size_t bytes)
{
    char *name = smb2_utf8_from_utf16(arena, utf16, bytes);
    if (!name || strchr(name, '/') || strlen(name) > LARES_NAME_LIMIT || g_str_equal(name, ".") ||
        g_str_equal(name, ".."))
        return NULL;
    return name;
}

/* ":name", ":name:type", "::type" behind the last component. */
static uint32_t
parse_stream(Smb2Op *op, const uint8_t *p, size_t bytes, Smb2Path *path)
{
    size_t name_bytes = find_unit(p, bytes, ':');
    const char *type = NULL;
    if (name_bytes < bytes) {
        type = smb2_utf8_from_utf16(op->arena, p + name_bytes + 2, bytes - name_bytes - 2);
        if (!type || strchr(type, ':'))
            return STATUS_OBJECT_NAME_INVALID;
    }
    const char *name = stream_name(op->arena, p, name_bytes);
    if (!name || (!*name && !type))
        return STATUS_OBJECT_NAME_INVALID;
    if (!type || g_ascii_strcasecmp(type, "$DATA") == 0) {
        path->data_stream = TRUE;
        path->stream = *name ? name : NULL;
        return STATUS_SUCCESS;
    }
    if (g_ascii_strcasecmp(type, "$INDEX_ALLOCATION") == 0 && (!*name || g_ascii_strcasecmp(name, "$I30") == 0)) {
        path->index_stream = TRUE;
        return STATUS_SUCCESS;
    }
    return STATUS_OBJECT_NAME_INVALID;
}

uint32_t
smb2_path_parse(Smb2Op *op, const uint8_t *utf16, size_t bytes, Smb2Path *path)
{
    const uint8_t *p = utf16, *end = utf16 + bytes;
    *path = (Smb2Path){.utf16 = utf16, .bytes = bytes};
    if (bytes % 2)
        return STATUS_INVALID_PARAMETER;
    if (bytes && find_separator(p, 2) == 0)
        return STATUS_INVALID_PARAMETER;
    path->component = lares_arena_alloc(op->arena, SMB2_MAX_DEPTH * sizeof *path->component);
    path->end = lares_arena_alloc(op->arena, SMB2_MAX_DEPTH * sizeof *path->end);
    while (p < end) {
        size_t left = (size_t)(end - p), n = find_separator(p, left), name = find_unit(p, n, ':');
        gboolean last = n == left;
        if (path->n == SMB2_MAX_DEPTH)
            return STATUS_OBJECT_NAME_INVALID;
        if (is_parent(p, n)) {
            if (path->n-- == 0)
                return STATUS_OBJECT_PATH_SYNTAX_BAD;
        } else if (name > 0 || !last || path->n) {
            const char *component = smb2_name_from_wire(op->arena, p, name);
            if (!component || strlen(component) > LARES_NAME_LIMIT)
                return STATUS_OBJECT_NAME_INVALID;
            path->end[path->n] = (size_t)(p - utf16) + n;
            path->component[path->n++] = component;
        }
        if (name < n) {
            if (!last)
                return STATUS_OBJECT_NAME_INVALID;
            uint32_t status = parse_stream(op, p + name + 2, n - name - 2, path);
            if (status != STATUS_SUCCESS)
                return status;
        }
        p += last ? n : n + 2;
        path->trailing = !last && p == end;
    }
    return STATUS_SUCCESS;
}

/* ---- Walking ------------------------------------------------------------------------------------------------------
 */

gboolean
smb2_short_name(const Smb2Op *op, const LaresObject *dir, const char *name, char made[LARES_SHORT_NAME_SIZE])
{
    return op->share->options & LARES_SHARE_SMB_SHORT_NAMES && lares_files_short_name(dir, name, made);
}

LaresStatus
smb2_path_lookup(Smb2Op *op, const LaresObject *dir, const char *name, LaresObject *out, const char **real)
{
    char other[LARES_NAME_LIMIT + 1];
    LaresFiles *files = op->service->files;
    if (real)
        *real = name;
    LaresStatus status = lares_files_lookup(files, &op->caller, dir, name, FALSE, out);
    if (status != LARES_NOENT)
        return status;
    status = lares_files_lookup_fold(files, &op->caller, dir, name, other);
    if (status == LARES_NOENT && op->share->options & LARES_SHARE_SMB_SHORT_NAMES)
        status = lares_files_lookup_short(files, &op->caller, dir, name, other);
    if (status != LARES_OK)
        return status;
    if (real)
        *real = lares_arena_strndup(op->arena, other, strlen(other));
    return lares_files_lookup(files, &op->caller, dir, other, FALSE, out);
}

void
smb2_walk_clear(Smb2Walk *walk)
{
    lares_object_clear(&walk->parent);
    lares_object_clear(&walk->found);
}

static const char *
join(Smb2Op *op, const char *before, const char *name)
{
    size_t n = strlen(before), m = strlen(name);
    char *text = lares_arena_alloc(op->arena, n + m + 2);
    memcpy(text, before, n);
    if (n)
        text[n++] = '/';
    memcpy(text + n, name, m + 1);
    return text;
}

static uint32_t
status_in_path(LaresStatus status)
{
    switch (status) {
    case LARES_NOENT:
    case LARES_NOTDIR:
    case LARES_STALE:
        return STATUS_OBJECT_PATH_NOT_FOUND;
    default:
        return smb2_status(status);
    }
}

uint32_t
smb2_path_walk(Smb2Op *op, const Smb2Path *path, gboolean at_link, Smb2Walk *walk)
{
    *walk = (Smb2Walk){.text = ""};
    LaresObject at;
    LaresStatus status = lares_files_share_root(op->service->files, &op->caller, op->share, &at);
    if (status != LARES_OK)
        return smb2_status(status);
    for (guint i = 0; i < path->n; i++) {
        gboolean last = i + 1 == path->n;
        LaresObject next;
        const char *real;
        if (at.node->type != LARES_TYPE_DIRECTORY) {
            lares_object_clear(&at);
            return STATUS_OBJECT_PATH_NOT_FOUND;
        }
        status = smb2_path_lookup(op, &at, path->component[i], &next, &real);
        if (status != LARES_OK && !(last && status == LARES_NOENT)) {
            lares_object_clear(&at);
            return last ? smb2_status(status) : status_in_path(status);
        }
        walk->text = join(op, walk->text, status == LARES_OK ? real : path->component[i]);
        if (status == LARES_OK && next.node->type == LARES_TYPE_SYMLINK && !(last && at_link)) {
            uint32_t stopped = smb2_stopped_on_symlink(op, &next, path->bytes - path->end[i]);
            lares_object_clear(&next);
            lares_object_clear(&at);
            return stopped;
        }
        if (last) {
            walk->parent = at;
            walk->name = status == LARES_OK ? real : path->component[i];
            if (status == LARES_OK)
                walk->found = next;
            return STATUS_SUCCESS;
        }
        lares_object_clear(&at);
        at = next;
    }
    walk->found = at;
    return STATUS_SUCCESS;
}
