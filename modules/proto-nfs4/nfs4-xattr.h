/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the operations on extended attributes share. */
#pragma once

#include "nfs4-compound.h"

/* xattrkey4: decodes, checks and copies to the arena. NFS4_OK, BADXDR, INVAL, NAMETOOLONG. nfs4-op-getxattr.c */
uint32_t nfs4_get_xattr_name(Nfs4Compound *c, const char **name);
