/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Symbolic links and special files as reparse points.
 *
 * A symbolic link is shown as IO_REPARSE_TAG_SYMLINK with a relative target ('\' between names); a target that starts
 * with '/' belongs to another machine's tree and is passed on as it is. Devices, pipes and sockets are shown with
 * IO_REPARSE_TAG_NFS, as Windows' own NFS server stores them and Linux's client reads and makes them.
 *
 * Setting one turns the empty file that the client made for it into the link or special file: the file is removed and
 * the other made under its name. The client's open goes on meaning the new object only by its path.
 *
 * Spec: [MS-FSCC] 2.1.2.4, 2.1.2.6, 2.3.27, 2.3.81; [MS-SMB2] 2.2.2.2.1. */
#include "smb2-reparse.h"

#include "smb2-name.h"
#include "smb2-open.h"

#define SYMLINK_FLAG_RELATIVE 1u
#define NFS_SPECFILE_LNK      UINT64_C(0x00000000014b4e4c)
#define NFS_SPECFILE_CHR      UINT64_C(0x0000000000524843)
#define NFS_SPECFILE_BLK      UINT64_C(0x00000000004b4c42)
#define NFS_SPECFILE_FIFO     UINT64_C(0x000000004f464946)
#define NFS_SPECFILE_SOCK     UINT64_C(0x000000004b434f53)

uint32_t
smb2_reparse_tag(LaresFileType type)
{
    switch (type) {
    case LARES_TYPE_SYMLINK:
        return SMB2_TAG_SYMLINK;
    case LARES_TYPE_BLOCK:
    case LARES_TYPE_CHARACTER:
    case LARES_TYPE_FIFO:
    case LARES_TYPE_SOCKET:
        return SMB2_TAG_NFS;
    default:
        return 0;
    }
}

/* The target with '\' between names, each as on the wire. Returns its bytes. */
static size_t
put_target(LaresWriter *w, LaresArena *arena, const char *target)
{
    size_t start = w->len;
    for (const char *p = target; *p;) {
        size_t n = strcspn(p, "/");
        if (n)
            smb2_put_name(w, lares_arena_strndup(arena, p, n), FALSE);
        /* "." and ".." mean what they are */
        if ((n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.')) {
            w->len -= 2;
            smb2_put_u16(w, '.');
        }
        p += n;
        if (*p) {
            smb2_put_u16(w, '\\');
            p++;
        }
    }
    return w->len - start;
}

static LaresStatus
read_target(Smb2Op *op, const LaresObject *link, const char **target)
{
    size_t len;
    const char *bytes;
    LaresStatus status = lares_files_readlink(op->service->files, &op->caller, link, &bytes, &len);
    if (status == LARES_OK)
        *target = lares_arena_strndup(op->arena, bytes, len);
    return status;
}

/* SubstituteNameOffset to PathBuffer: substitute and print name are the same bytes, said twice. */
static void
put_names(LaresWriter *w, LaresArena *arena, const char *target)
{
    size_t head = w->len;
    smb2_put_zeros(w, 12);
    size_t n = put_target(w, arena, target);
    put_target(w, arena, target);
    smb2_patch_u16(w, head, 0);
    smb2_patch_u16(w, head + 2, (uint16_t)n);
    smb2_patch_u16(w, head + 4, (uint16_t)n);
    smb2_patch_u16(w, head + 6, (uint16_t)n);
    smb2_patch_u32(w, head + 8, target[0] == '/' ? 0 : SYMLINK_FLAG_RELATIVE);
}

uint32_t
smb2_stopped_on_symlink(Smb2Op *op, const LaresObject *link, size_t unparsed)
{
    LaresWriter *w = op->out;
    const char *target;
    LaresStatus status = read_target(op, link, &target);
    if (status != LARES_OK)
        return smb2_status(status);
    gboolean contexts = op->connection->dialect == SMB2_DIALECT_311;
    size_t body = w->len;
    smb2_put_u16(w, 9);
    smb2_put_u8(w, contexts ? 1 : 0);
    smb2_put_u8(w, 0);
    smb2_put_u32(w, 0); /* ByteCount */
    if (contexts) {
        smb2_put_u32(w, 0); /* ErrorDataLength */
        smb2_put_u32(w, 0); /* SMB2_ERROR_ID_DEFAULT */
    }
    size_t data = w->len;
    smb2_put_u32(w, 0);          /* SymLinkLength */
    smb2_put_u32(w, 0x4c4d5953); /* "SYML" */
    smb2_put_u32(w, SMB2_TAG_SYMLINK);
    smb2_put_u16(w, 0); /* ReparseDataLength */
    smb2_put_u16(w, (uint16_t)unparsed);
    size_t names = w->len;
    put_names(w, op->arena, target);
    smb2_patch_u32(w, data, (uint32_t)(w->len - data - 4));
    smb2_patch_u16(w, data + 12, (uint16_t)(w->len - names));
    if (contexts)
        smb2_patch_u32(w, body + 8, (uint32_t)(w->len - data));
    smb2_patch_u32(w, body + 4, (uint32_t)(w->len - body - 8));
    op->keep_error_body = TRUE;
    return STATUS_STOPPED_ON_SYMLINK;
}

/* ---- Control codes ------------------------------------------------------------------------------------------------
 */

uint32_t
smb2_fsctl_get_reparse_point(Smb2Op *op, const Smb2Ioctl *ioctl)
{
    LaresWriter *w = op->out;
    const LaresObject *object = &op->open->object;
    uint32_t tag = smb2_reparse_tag(object->node->type);
    size_t start = w->len;
    LaresAttrs attrs;
    const char *target;
    if (!tag || op->open->base.node)
        return STATUS_NOT_A_REPARSE_POINT;
    smb2_put_u32(w, tag);
    smb2_put_u32(w, 0);
    LaresStatus status = LARES_OK;
    if (tag == SMB2_TAG_SYMLINK) {
        status = read_target(op, object, &target);
        if (status == LARES_OK)
            put_names(w, op->arena, target);
    } else {
        status = lares_files_getattr(op->service->files, &op->caller, object, LARES_ATTR_RDEV, &attrs, NULL);
        LaresFileType type = object->node->type;
        smb2_put_u64(w, type == LARES_TYPE_CHARACTER ? NFS_SPECFILE_CHR
                        : type == LARES_TYPE_BLOCK   ? NFS_SPECFILE_BLK
                        : type == LARES_TYPE_FIFO    ? NFS_SPECFILE_FIFO
                                                     : NFS_SPECFILE_SOCK);
        if (status == LARES_OK && (type == LARES_TYPE_CHARACTER || type == LARES_TYPE_BLOCK)) {
            smb2_put_u32(w, attrs.rdev_major);
            smb2_put_u32(w, attrs.rdev_minor);
        }
    }
    if (status != LARES_OK)
        return smb2_status(status);
    size_t n = w->len - start;
    smb2_patch_u16(w, start + 4, (uint16_t)(n - 8));
    if (n <= ioctl->max_output)
        return STATUS_SUCCESS;
    if (ioctl->max_output < 8)
        return STATUS_BUFFER_TOO_SMALL;
    lares_writer_rewind(w, start + ioctl->max_output);
    return STATUS_BUFFER_OVERFLOW;
}

/* The target of a link on the wire: '\' between names, each mapped to what is on disk. */
static char *
target_from_wire(LaresArena *arena, const uint8_t *utf16, size_t bytes)
{
    size_t room = bytes * 2 + 2, at = 0;
    char *target = lares_arena_alloc(arena, room);
    for (size_t i = 0; i < bytes;) {
        size_t n = i;
        while (n < bytes && !(utf16[n] == '\\' && utf16[n + 1] == 0) && !(utf16[n] == '/' && utf16[n + 1] == 0))
            n += 2;
        char *plain = smb2_utf8_from_utf16(arena, utf16 + i, n - i);
        const char *name = plain;
        if (plain && *plain && !g_str_equal(plain, ".") && !g_str_equal(plain, ".."))
            name = smb2_name_from_wire(arena, utf16 + i, n - i);
        if (!name)
            return NULL;
        size_t len = strlen(name);
        memcpy(target + at, name, len);
        at += len;
        if (n < bytes)
            target[at++] = '/';
        i = n + 2;
    }
    target[at] = '\0';
    return at ? target : NULL;
}

static uint32_t
parse_symlink(Smb2Op *op, const uint8_t *p, size_t len, LaresCreate *how)
{
    if (len < 12)
        return STATUS_IO_REPARSE_DATA_INVALID;
    size_t offset = smb2_get_u16(p), bytes = smb2_get_u16(p + 2);
    if (offset % 2 || bytes % 2 || offset + bytes > len - 12)
        return STATUS_IO_REPARSE_DATA_INVALID;
    how->type = LARES_TYPE_SYMLINK;
    how->target = target_from_wire(op->arena, p + 12 + offset, bytes);
    return how->target ? STATUS_SUCCESS : STATUS_IO_REPARSE_DATA_INVALID;
}

static uint32_t
parse_nfs(Smb2Op *op, const uint8_t *p, size_t len, LaresCreate *how)
{
    if (len < 8)
        return STATUS_IO_REPARSE_DATA_INVALID;
    uint64_t type = smb2_get_u64(p);
    if (type == NFS_SPECFILE_LNK) {
        how->type = LARES_TYPE_SYMLINK;
        how->target = smb2_utf8_from_utf16(op->arena, p + 8, len - 8);
        return how->target && *how->target ? STATUS_SUCCESS : STATUS_IO_REPARSE_DATA_INVALID;
    }
    how->type = type == NFS_SPECFILE_CHR    ? LARES_TYPE_CHARACTER
                : type == NFS_SPECFILE_BLK  ? LARES_TYPE_BLOCK
                : type == NFS_SPECFILE_FIFO ? LARES_TYPE_FIFO
                : type == NFS_SPECFILE_SOCK ? LARES_TYPE_SOCKET
                                            : LARES_TYPE_NONE;
    if (how->type == LARES_TYPE_NONE)
        return STATUS_IO_REPARSE_DATA_INVALID;
    if (how->type == LARES_TYPE_CHARACTER || how->type == LARES_TYPE_BLOCK) {
        if (len < 16)
            return STATUS_IO_REPARSE_DATA_INVALID;
        how->rdev_major = smb2_get_u32(p + 8);
        how->rdev_minor = smb2_get_u32(p + 12);
    }
    return STATUS_SUCCESS;
}

static uint32_t
parse_reparse(Smb2Op *op, const Smb2Ioctl *ioctl, LaresCreate *how)
{
    if (ioctl->input_len < 8)
        return STATUS_INVALID_PARAMETER;
    uint32_t tag = smb2_get_u32(ioctl->input);
    size_t len = smb2_get_u16(ioctl->input + 4);
    if (len != ioctl->input_len - 8)
        return STATUS_IO_REPARSE_DATA_INVALID;
    if (tag == SMB2_TAG_SYMLINK)
        return parse_symlink(op, ioctl->input + 8, len, how);
    return tag == SMB2_TAG_NFS ? parse_nfs(op, ioctl->input + 8, len, how) : STATUS_IO_REPARSE_TAG_MISMATCH;
}

uint32_t
smb2_fsctl_set_reparse_point(Smb2Op *op, const Smb2Ioctl *ioctl)
{
    Smb2Open *open = op->open;
    LaresFiles *files = op->service->files;
    LaresCreate how = {.attrs = {.mask = LARES_ATTR_MODE, .mode = 0644}, .exclusive = TRUE};
    LaresAttrs attrs;
    if (!(open->granted & (SMB2_FILE_WRITE_DATA | SMB2_FILE_WRITE_ATTRIBUTES)))
        return STATUS_ACCESS_DENIED;
    uint32_t status = parse_reparse(op, ioctl, &how);
    if (status != STATUS_SUCCESS)
        return status;
    g_mutex_lock(&open->lock);
    LaresObject parent = {NULL, NULL};
    lares_object_copy(&parent, &open->parent);
    char *name = g_strdup(open->name);
    g_mutex_unlock(&open->lock);
    LaresStatus result = !name || open->base.node ? LARES_INVAL : LARES_OK;
    if (result == LARES_OK)
        result = lares_files_getattr(files, &op->caller, &open->object, LARES_ATTR_SIZE, &attrs, NULL);
    if (result == LARES_OK && (open->object.node->type != LARES_TYPE_REGULAR || attrs.size != 0))
        result = LARES_INVAL; /* something would be lost */
    /* The file that stands for it must go first; its open does not stand in its own way. */
    LaresObject made;
    char place[32];
    g_snprintf(place, sizeof place, ".lares-%016" G_GINT64_MODIFIER "x", open->persistent_id);
    if (result == LARES_OK)
        result = lares_files_create(files, &op->caller, &parent, place, &how, &made, NULL);
    if (result == LARES_OK) {
        lares_object_clear(&made);
        result =
            lares_files_rename_open(files, &op->caller, open->open, &parent, place, &parent, name, TRUE, NULL, NULL);
        if (result != LARES_OK)
            lares_files_remove(files, &op->caller, &parent, place, NULL);
    }
    lares_object_clear(&parent);
    g_free(name);
    return smb2_status(result);
}

uint32_t
smb2_fsctl_delete_reparse_point(Smb2Op *op, const Smb2Ioctl *ioctl)
{
    return smb2_reparse_tag(op->open->object.node->type) ? STATUS_NOT_SUPPORTED : STATUS_NOT_A_REPARSE_POINT;
}
