/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a Mac asks for beyond [MS-SMB2]. */
#pragma once

#include "smb2-create.h"
#include "smb2-info.h"

/* The response to a create context AAPL; notes what the client will expect of listings. */
void smb2_apple_answer(Smb2Op *op, const Smb2CreateContexts *contexts, size_t *last);

/* Whether this client finds more in entries of that class than others do. */
gboolean smb2_apple_lists(const Smb2Op *op, uint8_t class);
typedef struct {
    uint32_t access; /* MaximalAccess */
    uint64_t fork;   /* bytes of the resource fork */
    uint8_t finder[16];
    uint16_t mode; /* of UNIX, with the type */
} Smb2AppleEntry;
/* `dir`: the directory the entry is in, for who may remove it; may be NULL. */
void smb2_apple_entry(Smb2Op *op, const LaresObject *dir, const LaresObject *object, const LaresAttrs *attrs,
                      const Smb2Info *info, Smb2AppleEntry *entry);
