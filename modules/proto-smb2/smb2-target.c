/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From the name in a CREATE to the object it means.
 *
 * Spec: [MS-SMB2] 2.2.13, 3.3.5.9 (no leading separator); [MS-FSA] 2.1.5.1. */
#include "smb2-create.h"

#include <string.h>

#define MAX_COMPONENTS 1024

static char *
to_utf8(LaresArena *arena, const uint8_t *utf16, size_t len)
{
    uint16_t *units = lares_arena_alloc(arena, len + 2);
    for (size_t i = 0; i < len / 2; i++)
        units[i] = smb2_get_u16(utf16 + 2 * i);
    if (len % 2 || memchr(utf16, 0, 0))
        return NULL;
    glong written = 0;
    g_autofree char *utf8 = g_utf16_to_utf8(units, (glong)(len / 2), NULL, &written, NULL);
    return utf8 && strlen(utf8) == (size_t)written ? lares_arena_strndup(arena, utf8, (size_t)written) : NULL;
}

static gboolean
is_allowed(const char *name)
{
    for (const char *p = name; *p; p++) {
        if ((unsigned char)*p < 32 || strchr("*?<>|\"/:", *p))
            return FALSE;
    }
    return strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/* "name:stream:$DATA": what follows the last component. */
static uint32_t
split_stream(Smb2Op *op, char *path, const char **stream)
{
    char *colon = strchr(path, ':');
    *stream = NULL;
    if (!colon)
        return STATUS_SUCCESS;
    *colon++ = '\0';
    char *type = strchr(colon, ':');
    if (type) {
        *type++ = '\0';
        if (g_ascii_strcasecmp(type, "$DATA") != 0)
            return STATUS_OBJECT_NAME_INVALID;
    }
    if (!*colon && !type)
        return STATUS_OBJECT_NAME_INVALID;
    if (strpbrk(colon, "\\/:"))
        return STATUS_OBJECT_NAME_INVALID;
    if (*colon)
        *stream = colon;
    return STATUS_SUCCESS;
}

static uint32_t
walk_status(LaresStatus status)
{
    switch (status) {
    case LARES_NOENT:
    case LARES_NOTDIR:
    case LARES_SYMLINK:
        return STATUS_OBJECT_PATH_NOT_FOUND;
    default:
        return smb2_status(status);
    }
}

static uint32_t
walk(Smb2Op *op, char *path, Smb2Target *t)
{
    LaresObject at = {NULL, NULL};
    LaresStatus status = lares_files_share_root(op->service->files, &op->caller, op->share, &at);
    if (status != LARES_OK)
        return smb2_status(status);
    for (char *name = path; name;) {
        char *end = strchr(name, '\\');
        if (end)
            *end++ = '\0';
        lares_object_clear(&t->parent);
        t->parent = at;
        at = (LaresObject){NULL, NULL};
        if (!is_allowed(name) || !*name)
            return STATUS_OBJECT_NAME_INVALID;
        if (strlen(name) > LARES_NAME_LIMIT)
            return STATUS_OBJECT_NAME_INVALID;
        t->name = name;
        status = lares_files_lookup(op->service->files, &op->caller, &t->parent, name, TRUE, &at);
        if (end && status != LARES_OK)
            return walk_status(status);
        if (end && at.node->type != LARES_TYPE_DIRECTORY) {
            lares_object_clear(&at);
            return STATUS_OBJECT_PATH_NOT_FOUND;
        }
        if (!end && status == LARES_NOTDIR)
            return STATUS_OBJECT_PATH_NOT_FOUND;
        if (!end && status != LARES_OK && status != LARES_NOENT)
            return smb2_status(status);
        name = end;
    }
    t->found = at;
    return STATUS_SUCCESS;
}

uint32_t
smb2_target_find(Smb2Op *op, const uint8_t *utf16, size_t len, Smb2Target *t)
{
    *t = (Smb2Target){.path = ""};
    char *path = to_utf8(op->arena, utf16, len);
    if (!path)
        return STATUS_OBJECT_NAME_INVALID;
    if (*path == '\\')
        return STATUS_INVALID_PARAMETER;
    uint32_t status = split_stream(op, path, &t->stream);
    if (status != STATUS_SUCCESS)
        return status;
    size_t n = strlen(path);
    if (n && path[n - 1] == '\\' && !t->stream)
        path[n - 1] = '\0'; /* Windows takes one at the end */
    if (!*path) {
        LaresStatus root = lares_files_share_root(op->service->files, &op->caller, op->share, &t->found);
        return smb2_status(root);
    }
    char *shown = lares_arena_strndup(op->arena, path, strlen(path));
    for (char *p = shown; *p; p++) {
        if (*p == '\\')
            *p = '/';
    }
    t->path = shown;
    return walk(op, path, t);
}

void
smb2_target_clear(Smb2Target *t)
{
    lares_object_clear(&t->parent);
    lares_object_clear(&t->found);
}
