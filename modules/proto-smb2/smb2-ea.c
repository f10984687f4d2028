/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Extended attributes: the users' own ("user." on disk) under the same names.
 *
 * Spec: [MS-FSCC] 2.4.16, [MS-SMB2] 3.3.5.20.1. Names are matched whatever their case. */
#include "smb2-info.h"

#define LIST_BYTES  (64u << 10)
#define VALUE_BYTES (64u << 10)
#define MAX_ENTRIES 1024u /* of one request: each costs a look at the disk */
#define SL_RESTART  1u
#define SL_SINGLE   2u
#define SL_INDEX    4u

/* Into `names`, which has LIST_BYTES; returns the bytes there are. */
static size_t
list_names(Smb2Op *op, const LaresObject *object, char *names)
{
    size_t len = 0;
    return lares_files_listxattr(op->service->files, &op->caller, object, names, LIST_BYTES, &len) == LARES_OK ? len
                                                                                                               : 0;
}

uint32_t
smb2_ea_size(Smb2Op *op, const LaresObject *object)
{
    size_t total = 0;
    g_autofree char *names = g_malloc(LIST_BYTES);
    size_t len = list_names(op, object, names);
    for (size_t at = 0; at < len; at += strlen(names + at) + 1) {
        size_t size = 0, n = strlen(names + at);
        if (n > 255 ||
            lares_files_getxattr(op->service->files, &op->caller, object, names + at, NULL, 0, &size) != LARES_OK)
            continue;
        total = ((total + 3) & ~(size_t)3) + 8 + n + 1 + size;
    }
    return (uint32_t)total;
}

typedef struct {
    Smb2Op *op;
    const LaresObject *object;
    size_t start, last, limit;
    uint8_t *value; /* VALUE_BYTES for one after the other */
    guint n;
    gboolean any, full;
} EaList;

/* FALSE: it does not fit. */
static gboolean
put_ea(EaList *list, const char *name, const uint8_t *value, size_t size)
{
    LaresWriter *w = list->op->out;
    size_t before = w->len;
    if (list->any)
        smb2_align(w, list->start, 4);
    size_t at = w->len, n = strlen(name);
    if (at + 9 + n + size > list->start + list->limit) {
        lares_writer_rewind(w, before);
        list->full = TRUE;
        return FALSE;
    }
    if (list->any)
        smb2_patch_u32(w, list->last, (uint32_t)(at - list->last));
    smb2_put_u32(w, 0);
    smb2_put_u8(w, 0);
    smb2_put_u8(w, (uint8_t)n);
    smb2_put_u16(w, (uint16_t)size);
    lares_put_bytes(w, name, n + 1);
    lares_put_bytes(w, value, size);
    list->last = at;
    list->any = TRUE;
    return TRUE;
}

static gboolean
add_ea(EaList *list, const char *name)
{
    size_t size = 0;
    if (lares_files_getxattr(list->op->service->files, &list->op->caller, list->object, name, list->value, VALUE_BYTES,
                             &size) != LARES_OK ||
        size > UINT16_MAX)
        size = 0;
    return put_ea(list, name, list->value, size);
}

static const char *
find_name(const char *names, size_t len, const char *wanted)
{
    for (size_t at = 0; at < len; at += strlen(names + at) + 1)
        if (g_ascii_strcasecmp(names + at, wanted) == 0)
            return names + at;
    return NULL;
}

/* FILE_GET_EA_INFORMATION entries: what is not there has an empty value. */
static uint32_t
query_wanted(EaList *list, const char *names, size_t len, const uint8_t *wanted, size_t wanted_len)
{
    for (size_t at = 0;;) {
        if (wanted_len - at < 5)
            return STATUS_EA_LIST_INCONSISTENT;
        uint32_t next = smb2_get_u32(wanted + at);
        size_t n = wanted[at + 4];
        if (wanted_len - at - 5 < n + 1 || n == 0)
            return STATUS_INVALID_EA_NAME;
        if (list->n++ >= MAX_ENTRIES)
            return STATUS_INSUFFICIENT_RESOURCES;
        const char *name = lares_arena_strndup(list->op->arena, wanted + at + 5, n);
        const char *there = find_name(names, len, name);
        if (!(there ? add_ea(list, there) : put_ea(list, name, NULL, 0)))
            return list->any ? STATUS_BUFFER_OVERFLOW : STATUS_BUFFER_TOO_SMALL;
        if (!next)
            return STATUS_SUCCESS;
        if (next < 6 || next > wanted_len - at)
            return STATUS_EA_LIST_INCONSISTENT;
        at += next;
    }
}

uint32_t
smb2_ea_query(Smb2Op *op, const uint8_t *wanted, size_t wanted_len, uint32_t flags, uint32_t index, size_t limit)
{
    uint32_t i = 0;
    EaList list = {.op = op, .object = smb2_open_file(op->open), .start = op->out->len, .limit = limit};
    if (!(op->open->granted & SMB2_FILE_READ_EA))
        return STATUS_ACCESS_DENIED;
    char *names = lares_arena_alloc(op->arena, LIST_BYTES);
    size_t len = list_names(op, list.object, names);
    list.value = lares_arena_alloc(op->arena, VALUE_BYTES);
    if (wanted_len)
        return query_wanted(&list, names, len, wanted, wanted_len);
    for (size_t at = 0; at < len; at += strlen(names + at) + 1) {
        if (strlen(names + at) > 255)
            continue;
        if (flags & SL_INDEX && ++i < index)
            continue;
        if (!add_ea(&list, names + at))
            return list.any ? STATUS_BUFFER_OVERFLOW : STATUS_BUFFER_TOO_SMALL;
        if (flags & SL_SINGLE)
            break;
    }
    if (list.any)
        return STATUS_SUCCESS;
    return flags & SL_INDEX ? STATUS_NONEXISTENT_EA_ENTRY : STATUS_NO_EAS_ON_FILE;
}

/* ---- Setting ------------------------------------------------------------------------------------------------------
 */

/* Names that would reach what is not a user's. */
static gboolean
is_refused(const char *name)
{
    for (const char *p = name; *p; p++)
        if ((uint8_t)*p < 0x20 || strchr("\"*+,/:;<=>?[\\]|", *p))
            return TRUE;
    return FALSE;
}

static uint32_t
set_one(Smb2Op *op, const LaresObject *object, char *names, const char *name, const uint8_t *value, size_t size)
{
    const char *there = find_name(names, list_names(op, object, names), name);
    LaresStatus status;
    if (g_ascii_strcasecmp(name, "security.NTACL") == 0)
        return STATUS_ACCESS_DENIED;
    if (size == 0) {
        status = there ? lares_files_removexattr(op->service->files, &op->caller, object, there, NULL) : LARES_OK;
        return smb2_status(status == LARES_NOXATTR ? LARES_OK : status);
    }
    status = lares_files_setxattr(op->service->files, &op->caller, object, there ? there : name, value, size,
                                  LARES_XATTR_EITHER, NULL);
    return status == LARES_XATTR2BIG || status == LARES_NOSPC ? STATUS_EA_TOO_LARGE
           : status == LARES_NOTSUPP                          ? STATUS_EAS_NOT_SUPPORTED
                                                              : smb2_status(status);
}

uint32_t
smb2_ea_set(Smb2Op *op, const LaresObject *object, const uint8_t *list, size_t len)
{
    char *names = lares_arena_alloc(op->arena, LIST_BYTES);
    guint entries = 0;
    for (size_t at = 0;;) {
        if (len - at < 8)
            return STATUS_EA_LIST_INCONSISTENT;
        uint32_t next = smb2_get_u32(list + at);
        size_t n = list[at + 5], size = smb2_get_u16(list + at + 6);
        if (len - at - 8 < n + 1 + size || list[at + 8 + n] != 0)
            return STATUS_EA_LIST_INCONSISTENT;
        if (entries++ >= MAX_ENTRIES)
            return STATUS_INSUFFICIENT_RESOURCES;
        const char *name = lares_arena_strndup(op->arena, list + at + 8, n);
        if (n == 0 || is_refused(name))
            return STATUS_INVALID_EA_NAME;
        uint32_t status = set_one(op, object, names, name, list + at + 9 + n, size);
        if (status != STATUS_SUCCESS)
            return status;
        if (!next)
            return STATUS_SUCCESS;
        if (next % 4 || next < 9 || next > len - at)
            return STATUS_EA_LIST_INCONSISTENT;
        at += next;
    }
}
