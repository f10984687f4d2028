/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SET_INFO: times and attributes, sizes, deletion, new names, links, extended attributes, security.
 *
 * Spec: [MS-SMB2] 2.2.39, 2.2.40, 3.3.5.21; [MS-FSA] 2.1.5.15; [MS-FSCC] 2.4. */
#include "smb2-info.h"

#include "smb2-name.h"
#include "smb2-path.h"

enum { AT_TYPE = 2, AT_CLASS = 3, AT_LEN = 4, AT_OFFSET = 8, AT_ADDITIONAL = 12, AT_FILE = 16 };

/* ---- FileBasicInformation -----------------------------------------------------------------------------------------
 */

/* Times: 0 and -1 leave as it is, -2 is the way it was before a -1. */
static gboolean
is_time(uint64_t t)
{
    return t != 0 && t < UINT64_MAX - 1;
}

/* A time of writing that was set, or was to stay as it is, is not moved by writes through the same open. */
static uint32_t
set_sticky(Smb2Op *op, const LaresObject *file, uint64_t written)
{
    LaresAttrs attrs;
    if (written == 0)
        return STATUS_SUCCESS;
    if (written == UINT64_MAX - 1) {
        g_atomic_int_set(&op->open->has_sticky, 0);
        return STATUS_SUCCESS;
    }
    LaresStatus status = lares_files_getattr(op->service->files, &op->caller, file, LARES_ATTR_MTIME, &attrs, NULL);
    if (status != LARES_OK)
        return smb2_status(status);
    g_mutex_lock(&op->open->lock);
    op->open->sticky = attrs.mtime;
    g_mutex_unlock(&op->open->lock);
    g_atomic_int_set(&op->open->has_sticky, 1);
    return STATUS_SUCCESS;
}

static uint32_t
set_basic(Smb2Op *op, const uint8_t *p, size_t len)
{
    const LaresObject *file = smb2_open_file(op->open);
    LaresSetAttrs set = {0};
    if (len < 36)
        return STATUS_INFO_LENGTH_MISMATCH;
    if (!(op->open->granted & SMB2_FILE_WRITE_ATTRIBUTES))
        return STATUS_ACCESS_DENIED;
    uint64_t created = smb2_get_u64(p), accessed = smb2_get_u64(p + 8), written = smb2_get_u64(p + 16),
             changed = smb2_get_u64(p + 24);
    uint32_t attributes = smb2_get_u32(p + 32);
    for (guint i = 0; i < 4; i++)
        if (smb2_get_u64(p + 8 * i) > INT64_MAX && smb2_get_u64(p + 8 * i) < UINT64_MAX - 1)
            return STATUS_INVALID_PARAMETER;
    if (attributes & SMB2_ATTR_DIRECTORY && file->node->type != LARES_TYPE_DIRECTORY)
        return STATUS_INVALID_PARAMETER;
    if (attributes & SMB2_ATTR_TEMPORARY && file->node->type == LARES_TYPE_DIRECTORY)
        return STATUS_INVALID_PARAMETER;
    smb2_write_time_tell(op, op->open);
    if (is_time(accessed)) {
        set.mask |= LARES_ATTR_ATIME;
        set.atime = smb2_filetime_to_time(accessed);
    }
    if (is_time(written)) {
        set.mask |= LARES_ATTR_MTIME;
        set.mtime = smb2_filetime_to_time(written);
    }
    uint32_t status = STATUS_SUCCESS;
    if (set.mask)
        status = smb2_status(lares_files_setattr(op->service->files, &op->caller, file, NULL, &set));
    if (status == STATUS_SUCCESS)
        status = set_sticky(op, file, written);
    /* Last: setting any of the others is a change too. */
    if (status == STATUS_SUCCESS && (attributes || is_time(created) || is_time(changed))) {
        LaresTime birth = smb2_filetime_to_time(created), change = smb2_filetime_to_time(changed);
        status = smb2_info_set_dos(op, file, attributes, is_time(created) ? &birth : NULL,
                                   is_time(changed) ? &change : NULL);
    }
    return status;
}

/* ---- Sizes --------------------------------------------------------------------------------------------------------
 */

static uint32_t
set_size(Smb2Op *op, uint64_t size, gboolean only_shrink)
{
    LaresFiles *files = op->service->files;
    LaresAttrs attrs;
    LaresIo io;
    if (op->open->object.node->type != LARES_TYPE_REGULAR)
        return STATUS_INVALID_PARAMETER;
    if (!(op->open->granted & SMB2_FILE_WRITE_DATA))
        return STATUS_ACCESS_DENIED;
    if (size > INT64_MAX)
        return STATUS_INVALID_PARAMETER;
    uint32_t begun = smb2_io_begin(op, LARES_ACCESS_WRITE, &io); /* breaks leases, whatever comes of it */
    if (begun != STATUS_SUCCESS)
        return begun;
    LaresStatus status = LARES_OK;
    LaresSetAttrs set = {.mask = LARES_ATTR_SIZE, .size = size};
    if (only_shrink)
        status = lares_files_getattr(files, &op->caller, &op->open->object, LARES_ATTR_SIZE, &attrs, NULL);
    if (status == LARES_OK && !(only_shrink && size >= attrs.size))
        status = lares_files_setattr(files, &op->caller, &op->open->object, io.file, &set);
    lares_files_io_end(&io);
    if (status == LARES_OK) {
        smb2_write_time_tell(op, op->open);
        smb2_open_wrote(op, op->open);
    }
    return smb2_status(status);
}

/* ---- Deletion -----------------------------------------------------------------------------------------------------
 */

static uint32_t
set_disposition(Smb2Op *op, gboolean on)
{
    Smb2Open *open = op->open;
    Smb2Info info;
    LaresObject parent = {NULL, NULL};
    if (!(open->granted & SMB2_DELETE))
        return STATUS_ACCESS_DENIED;
    uint32_t status = smb2_info_get(op, open, &info);
    if (status != STATUS_SUCCESS)
        return status;
    if (on && info.basic.attributes & SMB2_ATTR_READONLY)
        return STATUS_CANNOT_DELETE;
    uint64_t seen = 0;
    if (on && lares_files_contend_name(op->service->files, &open->object, open->open, &seen) == LARES_DELAY)
        return smb2_park_on(op, open->object.node, seen, NULL, 0);
    g_mutex_lock(&open->lock);
    if (open->name)
        lares_object_copy(&parent, &open->parent);
    const char *name = open->name ? lares_arena_strndup(op->arena, open->name, strlen(open->name)) : NULL;
    g_mutex_unlock(&open->lock);
    LaresStatus result = LARES_ACCESS;
    if (open->base.node)
        result = lares_files_stream_delete_on_close(op->service->files, &op->caller, open->open, &open->base, on);
    else if (name)
        result = lares_files_delete_on_close(op->service->files, &op->caller, open->open, &parent, name, on);
    if (on && result == LARES_OK)
        smb2_opens_away_give_way(op->service->opens, open->object.node);
    lares_object_clear(&parent);
    return smb2_status(result);
}

/* ---- New names ----------------------------------------------------------------------------------------------------
 */

typedef struct {
    gboolean replace;
    const uint8_t *name;
    size_t len;
} NewName;

/* FILE_RENAME_INFORMATION_TYPE_2 and FILE_LINK_INFORMATION_TYPE_2 look alike. */
static uint32_t
parse_new_name(const uint8_t *p, size_t len, NewName *n)
{
    if (len < 20)
        return STATUS_INFO_LENGTH_MISMATCH;
    n->replace = p[0] != 0;
    n->len = smb2_get_u32(p + 16);
    n->name = p + 20;
    if (smb2_get_u64(p + 8) != 0 || n->len == 0 || n->len % 2)
        return STATUS_INVALID_PARAMETER;
    return n->len <= len - 20 ? STATUS_SUCCESS : STATUS_INFO_LENGTH_MISMATCH;
}

static uint32_t
rename_stream(Smb2Op *op, const NewName *n)
{
    Smb2Path path;
    uint32_t status = smb2_path_parse(op, n->name, n->len, &path);
    if (status != STATUS_SUCCESS)
        return status;
    if (path.n || !path.stream || !op->open->base.node)
        return STATUS_INVALID_PARAMETER;
    LaresStatus result = lares_files_stream_rename(op->service->files, &op->caller, &op->open->base,
                                                   smb2_open_stream(op, op->open), path.stream, n->replace);
    if (result == LARES_OK) {
        g_mutex_lock(&op->open->lock);
        g_free(op->open->stream);
        op->open->stream = g_strdup(path.stream);
        g_mutex_unlock(&op->open->lock);
    }
    return smb2_status(result);
}

/* The open is of another name now. */
static void
renamed(Smb2Open *open, const LaresObject *parent, const char *name, const char *text)
{
    LaresObject old;
    g_mutex_lock(&open->lock);
    old = open->parent;
    open->parent = (LaresObject){NULL, NULL};
    lares_object_copy(&open->parent, parent);
    g_free(open->name);
    g_free(open->path);
    open->name = g_strdup(name);
    open->path = g_strdup(text);
    g_mutex_unlock(&open->lock);
    lares_object_clear(&old);
}

/* A directory with open files in it stays where it is; who only kept them open without need lets go first ([MS-FSA]
 * 2.1.4.2, 2.1.5.15.12). */
static uint32_t
nothing_open_below(Smb2Op *op, Smb2Open *directory)
{
    uint64_t seen;
    Smb2Open *other = smb2_opens_below(op->service->opens, directory->share_id, smb2_open_path(op, directory));
    if (!other)
        return STATUS_SUCCESS;
    uint32_t status = STATUS_ACCESS_DENIED;
    if (lares_files_contend_name(op->service->files, &other->object, NULL, &seen) == LARES_DELAY)
        status = smb2_park_on(op, other->object.node, seen, NULL, 0);
    smb2_open_unref(other);
    return status;
}

static uint32_t
rename_to(Smb2Op *op, const NewName *n, const Smb2Path *path, Smb2Walk *to)
{
    Smb2Open *open = op->open;
    LaresObject from = {NULL, NULL};
    LaresNode *busy = NULL;
    uint64_t seen = 0;
    if (!to->parent.node)
        return STATUS_ACCESS_DENIED;
    g_mutex_lock(&open->lock);
    if (open->name)
        lares_object_copy(&from, &open->parent);
    const char *name = open->name ? lares_arena_strndup(op->arena, open->name, strlen(open->name)) : NULL;
    g_mutex_unlock(&open->lock);
    if (!name)
        return STATUS_ACCESS_DENIED; /* the share's root */
    uint32_t status = STATUS_SUCCESS;
    const char *new_name = to->name, *text = to->text;
    gboolean same = to->found.node == open->object.node;
    if (same && to->parent.node == from.node && g_str_equal(name, to->name)) {
        /* Another case of its own name. */
        const char *asked = path->component[path->n - 1];
        size_t head = strlen(text) - strlen(to->name);
        text = g_strconcat(lares_arena_strndup(op->arena, text, head), asked, NULL);
        new_name = asked;
        if (g_str_equal(asked, name)) {
            g_free((char *)text);
            lares_object_clear(&from);
            return STATUS_SUCCESS;
        }
        char *copy = lares_arena_strndup(op->arena, text, strlen(text));
        g_free((char *)text);
        text = copy;
    } else if (to->found.node && !n->replace) {
        status = STATUS_OBJECT_NAME_COLLISION;
    } else if (to->found.node && to->found.node->type == LARES_TYPE_DIRECTORY) {
        status = STATUS_ACCESS_DENIED;
    }
    if (status == STATUS_SUCCESS && open->is_directory)
        status = nothing_open_below(op, open);
    if (status == STATUS_SUCCESS) {
        op->reply->serial = TRUE;
        LaresStatus result = lares_files_rename_open(op->service->files, &op->caller, open->open, &from, name,
                                                     &to->parent, new_name, n->replace || same, &seen, &busy);
        if (result == LARES_DELAY && busy)
            status = smb2_park_on(op, busy, seen, NULL, 0);
        else
            status = result == LARES_FILE_OPEN ? STATUS_ACCESS_DENIED
                     : result == LARES_EXIST   ? STATUS_OBJECT_NAME_COLLISION
                     : result == LARES_XDEV    ? STATUS_NOT_SAME_DEVICE
                                               : smb2_status(result);
        if (result == LARES_OK)
            renamed(open, &to->parent, new_name, text);
    }
    if (busy)
        lares_node_unref(busy);
    lares_object_clear(&from);
    return status;
}

static uint32_t
set_rename(Smb2Op *op, const uint8_t *p, size_t len)
{
    NewName n;
    Smb2Path path;
    Smb2Walk walk;
    uint32_t status = parse_new_name(p, len, &n);
    if (status != STATUS_SUCCESS)
        return status;
    if (!(op->open->granted & SMB2_DELETE))
        return STATUS_ACCESS_DENIED;
    if (smb2_get_u16(n.name) == ':')
        return rename_stream(op, &n);
    status = smb2_path_parse(op, n.name, n.len, &path);
    if (status == STATUS_SUCCESS && op->open->base.node)
        status = STATUS_SHARING_VIOLATION;
    if (status == STATUS_SUCCESS && (path.stream || path.n == 0))
        status = STATUS_INVALID_PARAMETER;
    if (status == STATUS_SUCCESS)
        status = smb2_path_walk(op, &path, TRUE, &walk);
    if (status != STATUS_SUCCESS)
        return status;
    status = rename_to(op, &n, &path, &walk);
    smb2_walk_clear(&walk);
    return status;
}

/* What is there gives way to the link, and stays when that fails. */
static uint32_t
link_to(Smb2Op *op, const Smb2Walk *to)
{
    const LaresObject *file = smb2_open_file(op->open);
    LaresChangeInfo info;
    LaresNode *busy = NULL;
    uint64_t seen = 0;
    if (!to->found.node)
        return smb2_status(lares_files_link(op->service->files, &op->caller, file, &to->parent, to->name, &info));
    LaresStatus result =
        lares_files_link_replace(op->service->files, &op->caller, file, &to->parent, to->name, &seen, &busy);
    if (!busy)
        return result == LARES_FILE_OPEN ? STATUS_ACCESS_DENIED : smb2_status(result);
    uint32_t status = smb2_park_on(op, busy, seen, NULL, 0);
    lares_node_unref(busy);
    return status;
}

static uint32_t
set_link(Smb2Op *op, const uint8_t *p, size_t len)
{
    NewName n;
    Smb2Path path;
    Smb2Walk walk;
    uint32_t status = parse_new_name(p, len, &n);
    if (status == STATUS_SUCCESS)
        status = smb2_path_parse(op, n.name, n.len, &path);
    if (status == STATUS_SUCCESS && (path.stream || path.n == 0))
        status = STATUS_INVALID_PARAMETER;
    if (status == STATUS_SUCCESS)
        status = smb2_path_walk(op, &path, TRUE, &walk);
    if (status != STATUS_SUCCESS)
        return status;
    if (op->open->is_directory)
        status = STATUS_FILE_IS_A_DIRECTORY;
    else if (walk.found.node && !n.replace)
        status = STATUS_OBJECT_NAME_COLLISION;
    else if (walk.found.node && walk.found.node->type == LARES_TYPE_DIRECTORY)
        status = STATUS_ACCESS_DENIED;
    else if (!walk.found.node || walk.found.node != op->open->object.node)
        status = link_to(op, &walk);
    smb2_walk_clear(&walk);
    return status;
}

/* ---- The rest -----------------------------------------------------------------------------------------------------
 */

static uint32_t
set_position(Smb2Op *op, const uint8_t *p, size_t len)
{
    if (len < 8)
        return STATUS_INFO_LENGTH_MISMATCH;
    if (smb2_get_u64(p) > INT64_MAX)
        return STATUS_INVALID_PARAMETER;
    smb2_open_set_position(op->open, smb2_get_u64(p));
    return STATUS_SUCCESS;
}

#define SETTABLE_MODE                                                                                                  \
    (SMB2_FILE_WRITE_THROUGH | SMB2_FILE_SEQUENTIAL_ONLY | SMB2_FILE_SYNCHRONOUS_IO_ALERT |                            \
     SMB2_FILE_SYNCHRONOUS_IO_NONALERT)

/* [MS-FSA] 2.1.5.15.10 */
static uint32_t
set_mode(Smb2Op *op, const uint8_t *p, size_t len)
{
    if (len < 4)
        return STATUS_INFO_LENGTH_MISMATCH;
    uint32_t mode = smb2_get_u32(p);
    uint32_t waits = SMB2_FILE_SYNCHRONOUS_IO_ALERT | SMB2_FILE_SYNCHRONOUS_IO_NONALERT;
    if (mode & ~SETTABLE_MODE || (mode & waits) == waits)
        return STATUS_INVALID_PARAMETER;
    g_mutex_lock(&op->open->lock);
    op->open->mode = mode;
    g_mutex_unlock(&op->open->lock);
    return STATUS_SUCCESS;
}

/* [MS-FSA] 2.1.5.15.14. Short names are made of the long ones here and cannot be others; nobody has the privilege that
 * (SeRestorePrivilege) takes. That there are none at all is said first, or nobody would ever hear it. */
static uint32_t
set_short_name(Smb2Op *op, const uint8_t *p, size_t len)
{
    const Smb2Open *open = op->open;
    size_t n = len < 4 ? 0 : smb2_get_u32(p);
    if (len < 4 || n > len - 4)
        return STATUS_INFO_LENGTH_MISMATCH;
    if (op->share->read_only)
        return STATUS_MEDIA_WRITE_PROTECTED;
    const char *name = n % 2 ? NULL : smb2_utf8_from_utf16(op->arena, p + 4, n);
    if (!name || (*name && !lares_files_name_is_short(name)) || open->base.node ||
        lares_object_is_share_root(&open->object))
        return STATUS_INVALID_PARAMETER;
    if (!(open->granted & (SMB2_FILE_WRITE_DATA | SMB2_FILE_WRITE_ATTRIBUTES)) ||
        open->options & SMB2_FILE_DELETE_ON_CLOSE || (open->open && lares_open_delete_pending(open->open)))
        return STATUS_ACCESS_DENIED;
    return op->share->options & LARES_SHARE_SMB_SHORT_NAMES ? STATUS_PRIVILEGE_NOT_HELD
                                                            : STATUS_SHORT_NAMES_NOT_ENABLED_ON_VOLUME;
}

static uint32_t
set_file(Smb2Op *op, uint8_t class, const uint8_t *p, size_t len)
{
    switch (class) {
    case SMB2_CLASS_BASIC:
        return set_basic(op, p, len);
    case SMB2_CLASS_RENAME:
        return set_rename(op, p, len);
    case SMB2_CLASS_LINK:
        return set_link(op, p, len);
    case SMB2_CLASS_DISPOSITION:
        return len < 1 ? STATUS_INFO_LENGTH_MISMATCH : set_disposition(op, p[0] != 0);
    case SMB2_CLASS_DISPOSITION_EX:
        return STATUS_NOT_SUPPORTED; /* the server says that it has no POSIX way to delete */
    case SMB2_CLASS_POSITION:
        return set_position(op, p, len);
    case SMB2_CLASS_MODE:
        return set_mode(op, p, len);
    case SMB2_CLASS_FULL_EA:
        if (!(op->open->granted & SMB2_FILE_WRITE_EA))
            return STATUS_ACCESS_DENIED;
        return smb2_ea_set(op, smb2_open_file(op->open), p, len);
    case SMB2_CLASS_ALLOCATION:
    case SMB2_CLASS_END_OF_FILE:
        if (len < 8)
            return STATUS_INFO_LENGTH_MISMATCH;
        return set_size(op, smb2_get_u64(p), class == SMB2_CLASS_ALLOCATION);
    case SMB2_CLASS_VALID_DATA_LENGTH:
        return STATUS_PRIVILEGE_NOT_HELD;
    case SMB2_CLASS_SHORT_NAME:
        return set_short_name(op, p, len);
    default:
        return class == 0 || class >= SMB2_CLASS_LAST ? STATUS_INVALID_INFO_CLASS : STATUS_NOT_SUPPORTED;
    }
}

uint32_t
smb2_op_set_info(Smb2Op *op)
{
    const uint8_t *b = op->body;
    size_t len = smb2_get_u32(b + AT_LEN);
    const uint8_t *p = smb2_op_buffer(op, smb2_get_u16(b + AT_OFFSET), len);
    uint32_t status = smb2_op_file(op, b + AT_FILE);
    if (status != STATUS_SUCCESS)
        return status == STATUS_INVALID_DEVICE_REQUEST ? STATUS_NOT_SUPPORTED : status;
    if (!p)
        return STATUS_INVALID_PARAMETER;
    switch (b[AT_TYPE]) {
    case SMB2_0_INFO_FILE:
        status = set_file(op, b[AT_CLASS], p, len);
        break;
    case SMB2_0_INFO_SECURITY:
        status =
            smb2_security_set(op, smb2_open_file(op->open), op->open->granted, smb2_get_u32(b + AT_ADDITIONAL), p, len);
        break;
    case SMB2_0_INFO_FILESYSTEM:
    case SMB2_0_INFO_QUOTA:
        status = STATUS_NOT_SUPPORTED;
        break;
    default:
        status = STATUS_INVALID_PARAMETER;
    }
    if (status == STATUS_SUCCESS)
        smb2_put_u16(op->out, 2);
    return status;
}
