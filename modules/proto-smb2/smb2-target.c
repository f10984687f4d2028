/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From the name in a CREATE to the object it means, its stream, and what a CREATE sets on what it made.
 *
 * Spec: [MS-SMB2] 2.2.13, 3.3.5.9; [MS-FSA] 2.1.5.1. */
#include "smb2-create.h"

#include "smb2-info.h"
#include "smb2-path.h"
#include "smb2-reparse.h"

uint32_t
smb2_target_find(Smb2Op *op, const uint8_t *utf16, size_t len, uint32_t options, Smb2Target *t)
{
    Smb2Path path;
    Smb2Walk walk;
    *t = (Smb2Target){.path = ""};
    uint32_t status = smb2_path_parse(op, utf16, len, &path);
    if (status == STATUS_SUCCESS) /* a link at the end is answered by CREATE, which knows the options */
        status = smb2_path_walk(op, &path, TRUE, &walk);
    if (status != STATUS_SUCCESS)
        return status;
    *t = (Smb2Target){walk.parent, walk.name, path.stream, walk.found, walk.text};
    LaresFileType type = walk.found.node ? walk.found.node->type : LARES_TYPE_NONE;
    if (path.data_stream && !path.stream && type == LARES_TYPE_DIRECTORY)
        return options & SMB2_FILE_DIRECTORY_FILE ? STATUS_NOT_A_DIRECTORY : STATUS_FILE_IS_A_DIRECTORY;
    if (path.index_stream && type == LARES_TYPE_REGULAR)
        return STATUS_NOT_A_DIRECTORY;
    return STATUS_SUCCESS;
}

void
smb2_target_clear(Smb2Target *t)
{
    lares_object_clear(&t->parent);
    lares_object_clear(&t->found);
}

void
smb2_symlink_answer(Smb2Op *op, const LaresObject *link, size_t unparsed)
{
    smb2_stopped_on_symlink(op, link, unparsed);
}

/* Without one what was inherited stays. */
static gboolean
brings_dacl(const Smb2CreateContexts *contexts)
{
    return contexts->sd_len >= 4 && smb2_get_u16(contexts->sd + 2) & SMB2_SE_DACL_PRESENT;
}

/* What comes with a CREATE that made or overwrote, besides attributes: EAs and security. */
uint32_t
smb2_create_apply(Smb2Op *op, Smb2Create *c, gboolean created)
{
    Smb2Open *open = c->open;
    const LaresObject *file = smb2_open_file(open);
    uint32_t status = STATUS_SUCCESS;
    if (open->base.node)
        return STATUS_SUCCESS;
    if (c->contexts.ea_len)
        status = smb2_ea_set(op, file, c->contexts.ea, c->contexts.ea_len);
    if (status == STATUS_SUCCESS && created && !brings_dacl(&c->contexts) && c->target.parent.node)
        smb2_security_inherit(op, &c->target.parent, file);
    if (status == STATUS_SUCCESS && created && c->contexts.sd_len) /* what it is to be, whatever its maker asked for */
        status = smb2_security_set(op, file, SMB2_FILE_ALL_ACCESS,
                                   SMB2_OWNER_INFORMATION | SMB2_GROUP_INFORMATION |
                                       (brings_dacl(&c->contexts) ? SMB2_DACL_INFORMATION : 0),
                                   c->contexts.sd, c->contexts.sd_len);
    return status;
}
