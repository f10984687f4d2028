/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The classes of QUERY_INFO about files and file systems.
 *
 * Spec: [MS-FSCC] 2.4 and 2.5, [MS-SMB2] 3.3.5.20.1, 3.3.5.20.2. */
#include "smb2-info.h"

#include "smb2-name.h"
#include "smb2-path.h"

/* What Windows accepts as the size of a name that is not there: the structure's size in C. */
#define NAME_FIXED 8
#define ALL_FIXED  104

static void
put_basic(LaresWriter *w, const Smb2Basic *b)
{
    smb2_put_u64(w, b->created);
    smb2_put_u64(w, b->accessed);
    smb2_put_u64(w, b->written);
    smb2_put_u64(w, b->changed);
    smb2_put_u32(w, b->attributes);
    smb2_put_u32(w, 0);
}

static void
put_standard(LaresWriter *w, const Smb2Open *open, const Smb2Info *info)
{
    gboolean pending = open->open && lares_open_delete_pending(open->open);
    smb2_put_u64(w, info->basic.allocation);
    smb2_put_u64(w, info->basic.size);
    smb2_put_u32(w, info->nlink - (pending && info->nlink ? 1 : 0));
    smb2_put_u8(w, pending);
    smb2_put_u8(w, info->directory);
    smb2_put_u16(w, 0);
}

static void
put_name(LaresWriter *w, Smb2Open *open, gboolean leading)
{
    size_t at = w->len;
    smb2_put_u32(w, 0);
    smb2_patch_u32(w, at, (uint32_t)smb2_put_path(w, open, leading));
}

/* It finds nothing for others. */
static gboolean
may_list(Smb2Op *op, const LaresObject *dir)
{
    uint32_t allowed = 0;
    return lares_files_access(op->service->files, &op->caller, dir, LARES_ACCESS_READ, &allowed) == LARES_OK && allowed;
}

/* A name that is short is its own short name; others are made up where the share says so. */
static uint32_t
put_short_name(Smb2Op *op, Smb2Open *open)
{
    char made[LARES_SHORT_NAME_SIZE];
    LaresWriter *w = op->out;
    LaresObject parent = {NULL, NULL};
    g_mutex_lock(&open->lock);
    if (open->name)
        lares_object_copy(&parent, &open->parent);
    const char *name = open->name ? lares_arena_strndup(op->arena, open->name, strlen(open->name)) : NULL;
    g_mutex_unlock(&open->lock);
    if (!name || smb2_name_is_device(name)) {
        lares_object_clear(&parent);
        return STATUS_OBJECT_NAME_NOT_FOUND;
    }
    const char *shown = smb2_short_name(op, &parent, name, made) && may_list(op, &parent) ? made : name;
    lares_object_clear(&parent);
    if (!lares_files_name_is_short(shown))
        return STATUS_OBJECT_NAME_NOT_FOUND;
    size_t at = w->len;
    smb2_put_u32(w, 0);
    smb2_patch_u32(w, at, (uint32_t)smb2_put_name(w, shown, TRUE));
    return STATUS_SUCCESS;
}

static uint64_t
position_of(Smb2Open *open)
{
    return (uint64_t)__atomic_load_n(&open->position, __ATOMIC_RELAXED);
}

static uint32_t
mode_of(Smb2Open *open)
{
    g_mutex_lock(&open->lock);
    uint32_t mode = open->mode;
    g_mutex_unlock(&open->lock);
    return mode | (open->options &
                   (SMB2_FILE_WRITE_THROUGH | SMB2_FILE_SEQUENTIAL_ONLY | SMB2_FILE_NO_INTERMEDIATE_BUFFERING |
                    SMB2_FILE_SYNCHRONOUS_IO_ALERT | SMB2_FILE_SYNCHRONOUS_IO_NONALERT | SMB2_FILE_DELETE_ON_CLOSE));
}

static void
put_all(Smb2Op *op, const Smb2Info *info)
{
    LaresWriter *w = op->out;
    put_basic(w, &info->basic);
    put_standard(w, op->open, info);
    smb2_put_u64(w, info->fileid);
    smb2_put_u32(w, smb2_ea_size(op, smb2_open_file(op->open)));
    smb2_put_u32(w, op->open->granted);
    smb2_put_u64(w, position_of(op->open));
    smb2_put_u32(w, mode_of(op->open));
    smb2_put_u32(w, 0);
    put_name(w, op->open, TRUE);
}

/* ---- Streams ------------------------------------------------------------------------------------------------------
 */

typedef struct {
    LaresWriter *w;
    size_t start, last;
    gboolean any;
} StreamList;

static void
add_stream(StreamList *list, const char *name, uint64_t size, uint64_t used)
{
    LaresWriter *w = list->w;
    if (list->any) {
        smb2_align(w, list->start, 8);
        smb2_patch_u32(w, list->last, (uint32_t)(w->len - list->last));
    }
    list->any = TRUE;
    list->last = w->len;
    smb2_put_u32(w, 0);
    smb2_put_u32(w, 0);
    smb2_put_u64(w, size);
    smb2_put_u64(w, used);
    size_t at = w->len;
    smb2_put_u16(w, ':');
    smb2_put_utf16(w, name);
    smb2_put_utf16(w, ":$DATA");
    smb2_patch_u32(w, list->last + 4, (uint32_t)(w->len - at));
}

static gboolean
emit_stream(const char *name, uint64_t size, uint64_t used, gpointer user)
{
    add_stream(user, name, size, used);
    return TRUE;
}

static uint32_t
put_streams(Smb2Op *op)
{
    StreamList list = {.w = op->out, .start = op->out->len};
    const LaresObject *file = smb2_open_file(op->open);
    LaresAttrs attrs;
    LaresStatus status = LARES_OK;
    if (file->node->type == LARES_TYPE_REGULAR) {
        status = lares_files_getattr(op->service->files, &op->caller, file, LARES_ATTR_STAT, &attrs, NULL);
        if (status == LARES_OK)
            add_stream(&list, "", attrs.size, smb2_storage(&attrs));
    }
    if (status == LARES_OK)
        status = lares_files_streams(op->service->files, file, emit_stream, &list);
    return smb2_status(status);
}

/* ---- Files --------------------------------------------------------------------------------------------------------
 */

static size_t
fixed_size(uint8_t class)
{
    switch (class) {
    case SMB2_CLASS_BASIC:
        return 40;
    case SMB2_CLASS_STANDARD:
    case SMB2_CLASS_ID:
        return 24;
    case SMB2_CLASS_INTERNAL:
    case SMB2_CLASS_POSITION:
    case SMB2_CLASS_ATTRIBUTE_TAG:
        return 8;
    case SMB2_CLASS_EA:
    case SMB2_CLASS_ACCESS:
    case SMB2_CLASS_MODE:
    case SMB2_CLASS_ALIGNMENT:
        return 4;
    case SMB2_CLASS_ALL:
        return ALL_FIXED;
    case SMB2_CLASS_ALTERNATE_NAME:
    case SMB2_CLASS_NORMALIZED_NAME:
    case SMB2_CLASS_NAME:
        return NAME_FIXED;
    case SMB2_CLASS_STREAM:
        return 32;
    case SMB2_CLASS_COMPRESSION:
        return 16;
    case SMB2_CLASS_NETWORK_OPEN:
        return 56;
    default:
        return 0;
    }
}

static gboolean
asks_attributes(uint8_t class)
{
    return class == SMB2_CLASS_BASIC || class == SMB2_CLASS_ALL || class == SMB2_CLASS_NETWORK_OPEN ||
           class == SMB2_CLASS_ATTRIBUTE_TAG;
}

static void
put_network_open(LaresWriter *w, const Smb2Basic *b)
{
    smb2_put_u64(w, b->created);
    smb2_put_u64(w, b->accessed);
    smb2_put_u64(w, b->written);
    smb2_put_u64(w, b->changed);
    smb2_put_u64(w, b->allocation);
    smb2_put_u64(w, b->size);
    smb2_put_u32(w, b->attributes);
    smb2_put_u32(w, 0);
}

static uint32_t
put_file_id(Smb2Op *op, const Smb2Info *info)
{
    if (op->connection->dialect < SMB2_DIALECT_300)
        return STATUS_NOT_SUPPORTED;
    smb2_put_u64(op->out, op->share ? op->share->id : 0);
    smb2_put_u64(op->out, info->fileid);
    smb2_put_u64(op->out, 0);
    return STATUS_SUCCESS;
}

uint32_t
smb2_query_file(Smb2Op *op, uint8_t class, size_t limit, size_t *fixed)
{
    LaresWriter *w = op->out;
    Smb2Open *open = op->open;
    Smb2Info info;
    *fixed = fixed_size(class);
    if (!*fixed)
        return class == 0 || class >= SMB2_CLASS_LAST ? STATUS_INVALID_INFO_CLASS : STATUS_NOT_SUPPORTED;
    if (limit < *fixed)
        return STATUS_INFO_LENGTH_MISMATCH;
    if (asks_attributes(class) && !(open->granted & SMB2_FILE_READ_ATTRIBUTES))
        return STATUS_ACCESS_DENIED;
    uint32_t status = smb2_info_get(op, open, &info);
    if (status != STATUS_SUCCESS)
        return status;
    switch (class) {
    case SMB2_CLASS_BASIC:
        put_basic(w, &info.basic);
        break;
    case SMB2_CLASS_STANDARD:
        put_standard(w, open, &info);
        break;
    case SMB2_CLASS_INTERNAL:
        smb2_put_u64(w, info.fileid);
        break;
    case SMB2_CLASS_EA:
        smb2_put_u32(w, smb2_ea_size(op, smb2_open_file(open)));
        break;
    case SMB2_CLASS_ACCESS:
        smb2_put_u32(w, open->granted);
        break;
    case SMB2_CLASS_POSITION:
        smb2_put_u64(w, position_of(open));
        break;
    case SMB2_CLASS_MODE:
        smb2_put_u32(w, mode_of(open));
        break;
    case SMB2_CLASS_ALIGNMENT:
        smb2_put_u32(w, 0);
        break;
    case SMB2_CLASS_ALL:
        put_all(op, &info);
        break;
    case SMB2_CLASS_NAME:
        put_name(w, open, TRUE);
        break;
    case SMB2_CLASS_ALTERNATE_NAME:
        return put_short_name(op, open);
    case SMB2_CLASS_NORMALIZED_NAME:
        if (op->connection->dialect < SMB2_DIALECT_311)
            return STATUS_NOT_SUPPORTED;
        put_name(w, open, FALSE);
        break;
    case SMB2_CLASS_STREAM:
        return put_streams(op);
    case SMB2_CLASS_COMPRESSION:
        smb2_put_u64(w, info.basic.size);
        smb2_put_u64(w, 0);
        break;
    case SMB2_CLASS_NETWORK_OPEN:
        put_network_open(w, &info.basic);
        break;
    case SMB2_CLASS_ATTRIBUTE_TAG:
        smb2_put_u32(w, info.basic.attributes);
        smb2_put_u32(w, info.tag);
        break;
    case SMB2_CLASS_ID:
        return put_file_id(op, &info);
    }
    return STATUS_SUCCESS;
}

/* ---- File systems -------------------------------------------------------------------------------------------------
 */

#define FILE_DEVICE_DISK       7u
#define FILE_DEVICE_IS_MOUNTED 0x20u
#define FS_CASE_SENSITIVE      0x001u
#define FS_CASE_PRESERVED      0x002u
#define FS_UNICODE             0x004u
#define FS_PERSISTENT_ACLS     0x008u
#define FS_SPARSE              0x040u
#define FS_REPARSE_POINTS      0x080u
#define FS_NAMED_STREAMS       0x40000u
#define FS_READ_ONLY           0x80000u
#define FS_HARD_LINKS          0x400000u
#define FS_EXTENDED_ATTRIBUTES 0x800000u
#define FS_BLOCK_REFCOUNTING   0x8000000u
#define SECTOR                 512u

static uint32_t
fs_attributes(const LaresSpace *space)
{
    return FS_CASE_SENSITIVE | FS_CASE_PRESERVED | FS_UNICODE | FS_PERSISTENT_ACLS | FS_SPARSE | FS_REPARSE_POINTS |
           FS_HARD_LINKS | (space->can_xattr ? FS_NAMED_STREAMS | FS_EXTENDED_ATTRIBUTES : 0) |
           (space->read_only ? FS_READ_ONLY : 0) | (space->can_clone ? FS_BLOCK_REFCOUNTING : 0);
}

static size_t
fs_fixed(uint8_t class)
{
    switch (class) {
    case SMB2_FS_VOLUME:
    case SMB2_FS_SIZE:
        return 24;
    case SMB2_FS_DEVICE:
        return 8;
    case SMB2_FS_ATTRIBUTE:
        return 16;
    case SMB2_FS_CONTROL:
        return 48;
    case SMB2_FS_FULL_SIZE:
        return 32;
    case SMB2_FS_OBJECT_ID:
        return 64;
    case SMB2_FS_SECTOR_SIZE:
        return 28;
    default:
        return 0;
    }
}

static void
put_volume(Smb2Op *op)
{
    LaresWriter *w = op->out;
    size_t at = w->len;
    smb2_put_u64(w, op->service->start_time);
    smb2_put_u32(w, op->share->id * 0x9e3779b1u ^ smb2_get_u32(op->service->guid)); /* serial number */
    smb2_put_u32(w, 0);
    smb2_put_u16(w, 0);
    smb2_patch_u32(w, at + 12, (uint32_t)smb2_put_utf16(w, op->share->name));
    if (w->len - at < 24)
        smb2_put_zeros(w, 24 - (w->len - at)); /* clients expect the size the structure has in C */
}

static void
put_sizes(LaresWriter *w, const LaresSpace *space, gboolean full)
{
    uint32_t unit = space->block_size >= SECTOR ? space->block_size / SECTOR * SECTOR : SECTOR;
    smb2_put_u64(w, space->total_bytes / unit);
    smb2_put_u64(w, space->avail_bytes / unit);
    if (full)
        smb2_put_u64(w, space->free_bytes / unit);
    smb2_put_u32(w, unit / SECTOR);
    smb2_put_u32(w, SECTOR);
}

static void
put_fs_attribute(LaresWriter *w, const LaresSpace *space)
{
    size_t at = w->len;
    smb2_put_u32(w, fs_attributes(space));
    smb2_put_u32(w, space->name_max);
    smb2_put_u32(w, 0);
    smb2_patch_u32(w, at + 8, (uint32_t)smb2_put_utf16(w, "NTFS"));
}

static void
put_object_id(Smb2Op *op)
{
    uint8_t id[64] = {0};
    memcpy(id, op->service->guid, 16);
    smb2_set_u32(id, smb2_get_u32(id) ^ op->share->id);
    lares_put_bytes(op->out, id, sizeof id);
}

static void
put_sector_size(LaresWriter *w, const LaresSpace *space)
{
    uint32_t physical = CLAMP(space->block_size, SECTOR, 4096);
    smb2_put_u32(w, SECTOR);
    smb2_put_u32(w, physical);
    smb2_put_u32(w, physical);
    smb2_put_u32(w, physical);
    smb2_put_u32(w, 3); /* aligned device, partition aligned */
    smb2_put_u32(w, 0);
    smb2_put_u32(w, 0);
}

uint32_t
smb2_query_fs(Smb2Op *op, uint8_t class, size_t *fixed)
{
    LaresWriter *w = op->out;
    LaresSpace space;
    *fixed = fs_fixed(class);
    if (!*fixed)
        return class == 0 || class > SMB2_FS_LAST ? STATUS_INVALID_INFO_CLASS : STATUS_NOT_SUPPORTED;
    LaresStatus status = lares_files_statfs(op->service->files, &op->caller, &op->open->object, &space);
    if (status != LARES_OK)
        return smb2_status(status);
    switch (class) {
    case SMB2_FS_VOLUME:
        put_volume(op);
        break;
    case SMB2_FS_SIZE:
        put_sizes(w, &space, FALSE);
        break;
    case SMB2_FS_DEVICE:
        smb2_put_u32(w, FILE_DEVICE_DISK);
        smb2_put_u32(w, FILE_DEVICE_IS_MOUNTED | (space.read_only ? 2u : 0));
        break;
    case SMB2_FS_ATTRIBUTE:
        put_fs_attribute(w, &space);
        break;
    case SMB2_FS_CONTROL:
        smb2_put_zeros(w, 24);
        smb2_put_u64(w, UINT64_MAX); /* no quota */
        smb2_put_u64(w, UINT64_MAX);
        smb2_put_u64(w, 0);
        break;
    case SMB2_FS_FULL_SIZE:
        put_sizes(w, &space, TRUE);
        break;
    case SMB2_FS_OBJECT_ID:
        put_object_id(op);
        break;
    case SMB2_FS_SECTOR_SIZE:
        put_sector_size(w, &space);
        break;
    }
    return STATUS_SUCCESS;
}
