/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Symbolic links and special files as reparse points.
 *
 * Spec: [MS-FSCC] 2.1.2, [MS-SMB2] 2.2.2.2.1. */
#pragma once

#include "smb2.h"

#define SMB2_TAG_SYMLINK UINT32_C(0xa000000c)
#define SMB2_TAG_NFS     UINT32_C(0x80000014)

/* 0 for files and directories. */
uint32_t smb2_reparse_tag(LaresFileType type);
/* Writes the ERROR body that says where the link leads; `unparsed` bytes of the path are behind it. Returns
 * STATUS_STOPPED_ON_SYMLINK, or why the link cannot be read. */
uint32_t smb2_stopped_on_symlink(Smb2Op *op, const LaresObject *link, size_t unparsed);

SMB2_FSCTL(get_reparse_point);
SMB2_FSCTL(set_reparse_point);
SMB2_FSCTL(delete_reparse_point);
