/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Times, sizes and attributes of files as Windows has them.
 *
 * A file without attributes of its own has ARCHIVE, is hidden when its name starts with a full stop, and read-only when
 * nobody may write it: nothing is stored for what was never said. */
#include "smb2-info.h"

#include "smb2-name.h"
#include "smb2-reparse.h"

gboolean
smb2_maps_devices(const Smb2Op *op)
{
    return TRUE;
}

static uint32_t
attributes_of(const LaresAttrs *attrs, const LaresDos *dos, const char *name)
{
    gboolean directory = attrs->type == LARES_TYPE_DIRECTORY;
    uint32_t a = 0;
    if (dos->set)
        a = dos->attributes & SMB2_ATTR_SETTABLE;
    else if (!directory)
        a = SMB2_ATTR_ARCHIVE;
    if (!dos->set && name && name[0] == '.' && name[1] && !(name[1] == '.' && !name[2]))
        a |= SMB2_ATTR_HIDDEN;
    if (!dos->set && attrs->type == LARES_TYPE_REGULAR && !(attrs->mode & 0222))
        a |= SMB2_ATTR_READONLY;
    if (directory)
        a |= SMB2_ATTR_DIRECTORY;
    if (smb2_reparse_tag(attrs->type))
        a |= SMB2_ATTR_REPARSE_POINT;
    if (dos->set && dos->attributes & SMB2_ATTR_SPARSE && !directory)
        a |= SMB2_ATTR_SPARSE;
    return a ? a : SMB2_ATTR_NORMAL;
}

static void
fill(const LaresAttrs *attrs, const LaresDos *dos, const char *name, Smb2Info *info)
{
    *info = (Smb2Info){.nlink = attrs->nlink, .tag = smb2_reparse_tag(attrs->type), .fileid = attrs->fileid};
    info->directory = attrs->type == LARES_TYPE_DIRECTORY;
    info->basic.accessed = smb2_filetime(&attrs->atime);
    info->basic.written = smb2_filetime(&attrs->mtime);
    info->basic.changed = smb2_filetime(dos->has_change ? &dos->change : &attrs->ctime);
    if (dos->has_birth)
        info->basic.created = smb2_filetime(&dos->birth);
    else if (attrs->mask & LARES_ATTR_BTIME && attrs->btime.sec)
        info->basic.created = smb2_filetime(&attrs->btime);
    else
        info->basic.created = MIN(info->basic.written, info->basic.changed);
    info->basic.attributes = attributes_of(attrs, dos, name);
    if (attrs->type == LARES_TYPE_REGULAR) {
        info->basic.size = attrs->size;
        info->basic.allocation = smb2_storage(attrs);
    }
    if (info->directory)
        info->nlink = 1;
}

void
smb2_info_fill(Smb2Op *op, const LaresObject *object, const char *entry, const char *name, const LaresAttrs *attrs,
               Smb2Info *info)
{
    LaresDos dos;
    lares_files_get_dos(op->service->files, object, entry, attrs, &dos);
    fill(attrs, &dos, name, info);
}

uint32_t
smb2_info_get(Smb2Op *op, Smb2Open *open, Smb2Info *info)
{
    LaresAttrs attrs;
    const LaresObject *file = smb2_open_file(open);
    *info = (Smb2Info){.basic.attributes = SMB2_ATTR_NORMAL, .nlink = 1};
    if (!open->open)
        return STATUS_SUCCESS;
    LaresStatus status = lares_files_getattr(op->service->files, &op->caller, file, LARES_ATTR_STAT, &attrs, NULL);
    if (status != LARES_OK)
        return smb2_status(status);
    LaresTime late;
    if (op->service->settings.late_write_times && smb2_write_time_shown(open, &late))
        attrs.mtime = late;
    smb2_info_fill(op, file, NULL, smb2_open_name(op, open), &attrs, info);
    if (!info->directory && info->basic.allocation < open->allocation)
        info->basic.allocation = open->allocation;
    if (file != &open->object) {
        status = lares_files_getattr(op->service->files, &op->caller, &open->object, LARES_ATTR_STAT, &attrs, NULL);
        if (status != LARES_OK)
            return smb2_status(status);
        info->basic.size = attrs.size;
        info->basic.allocation = smb2_storage(&attrs);
        info->basic.attributes &= ~SMB2_ATTR_DIRECTORY;
        info->basic.attributes |= info->basic.attributes ? 0 : SMB2_ATTR_NORMAL;
        info->directory = FALSE;
    }
    return STATUS_SUCCESS;
}

uint32_t
smb2_basic_get(Smb2Op *op, Smb2Open *open, Smb2Basic *basic)
{
    Smb2Info info;
    uint32_t status = smb2_info_get(op, open, &info);
    *basic = info.basic;
    return status;
}

uint32_t
smb2_basic_of_new(Smb2Op *op, Smb2Open *open, Smb2Basic *basic)
{
    LaresAttrs attrs;
    LaresDos none = {0};
    Smb2Info info;
    LaresStatus status =
        lares_files_getattr(op->service->files, &op->caller, &open->object, LARES_ATTR_STAT, &attrs, NULL);
    if (status != LARES_OK)
        return smb2_status(status);
    fill(&attrs, &none, smb2_open_name(op, open), &info);
    if (!info.directory && info.basic.allocation < open->allocation)
        info.basic.allocation = open->allocation;
    *basic = info.basic;
    return STATUS_SUCCESS;
}

uint32_t
smb2_info_set_dos(Smb2Op *op, const LaresObject *object, uint32_t attributes, const LaresTime *birth,
                  const LaresTime *change)
{
    LaresDos dos;
    LaresAttrs attrs;
    LaresFiles *files = op->service->files;
    LaresStatus status = lares_files_getattr(files, &op->caller, object, LARES_ATTR_STAT, &attrs, NULL);
    if (status != LARES_OK)
        return smb2_status(status);
    lares_files_get_dos(files, object, NULL, &attrs, &dos);
    if (attributes) {
        dos.attributes = (attributes & SMB2_ATTR_SETTABLE) | (dos.set ? dos.attributes & SMB2_ATTR_SPARSE : 0);
        dos.set = TRUE;
    }
    if (birth) {
        dos.has_birth = TRUE;
        dos.birth = *birth;
    }
    if (change) {
        dos.has_change = TRUE;
        dos.change = *change;
    }
    status = lares_files_set_dos(files, object, &dos);
    if (status == LARES_OK)
        lares_files_object_changed(files, object,
                                   (attributes ? LARES_FILTER_ATTRIBUTES : 0) | (birth ? LARES_FILTER_CREATION : 0));
    return smb2_status(status);
}

const char *
smb2_open_path(Smb2Op *op, Smb2Open *open)
{
    g_mutex_lock(&open->lock);
    const char *path =
        lares_arena_strndup(op->arena, open->path ? open->path : "", open->path ? strlen(open->path) : 0);
    g_mutex_unlock(&open->lock);
    return path;
}

const char *
smb2_open_name(Smb2Op *op, Smb2Open *open)
{
    g_mutex_lock(&open->lock);
    const char *name = open->name ? lares_arena_strndup(op->arena, open->name, strlen(open->name)) : NULL;
    g_mutex_unlock(&open->lock);
    return name;
}

const char *
smb2_open_stream(Smb2Op *op, Smb2Open *open)
{
    g_mutex_lock(&open->lock);
    const char *stream = open->stream ? lares_arena_strndup(op->arena, open->stream, strlen(open->stream)) : NULL;
    g_mutex_unlock(&open->lock);
    return stream;
}

size_t
smb2_put_path(LaresWriter *w, Smb2Open *open, gboolean leading)
{
    size_t start = w->len;
    g_mutex_lock(&open->lock);
    g_autofree char *path = g_strdup(open->path ? open->path : "");
    g_autofree char *stream = g_strdup(open->stream);
    g_mutex_unlock(&open->lock);
    g_auto(GStrv) names = g_strsplit(path, "/", -1);
    if (leading)
        smb2_put_u16(w, '\\');
    for (guint i = 0; names[i]; i++) {
        if (i)
            smb2_put_u16(w, '\\');
        smb2_put_name(w, names[i], TRUE);
    }
    if (stream) {
        smb2_put_u16(w, ':');
        smb2_put_utf16(w, stream);
    }
    return w->len - start;
}
