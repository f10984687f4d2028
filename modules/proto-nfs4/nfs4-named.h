/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where the current or the saved file may be a named attribute or a directory of them: the same questions to
 * core/files, asked of what they belong to (Nfs4Compound.current_of, saved_of).
 *
 * An operation whose row has NFS4_NAMED asks here, or has nothing to ask. All others never see such a file. */
#pragma once

#include "nfs4-compound.h"

/* What an object belongs to; NULL: it is neither. `object` is &c->current or &c->saved. */
static inline const LaresObject *
nfs4_of(const Nfs4Compound *c, const LaresObject *object)
{
    const LaresObject *of = object == &c->saved ? &c->saved_of : &c->current_of;
    return lares_object_is_set(of) ? of : NULL;
}

/* The current file's handle, of LARES_WIRE_HANDLE_MAX bytes at most; the other way it becomes current. */
size_t nfs4_current_handle(Nfs4Compound *c, uint8_t *buf);
uint32_t nfs4_put_handle(Nfs4Compound *c, const uint8_t *bytes, size_t len);

/* By name in the current directory, as lares_files_lookup(); a named attribute only for who has `access`. */
LaresStatus nfs4_find(Nfs4Compound *c, const char *name, uint32_t access, gboolean policy, LaresObject *out);
/* The current directory's; of one with named attributes what it belongs to (RFC 8881 18.14.3). */
LaresStatus nfs4_find_parent(Nfs4Compound *c, gboolean policy, LaresObject *out);
LaresStatus nfs4_access(Nfs4Compound *c, uint32_t wanted, uint32_t *allowed);
LaresStatus nfs4_remove(Nfs4Compound *c, const char *name, LaresChangeInfo *info);
/* From the saved directory to the current one. */
LaresStatus nfs4_rename(Nfs4Compound *c, const char *name, const char *new_name, LaresChangeInfo *from,
                        LaresChangeInfo *to);
/* `object` is &c->current or &c->saved. */
LaresStatus nfs4_files_setattr(Nfs4Compound *c, const LaresObject *object, LaresFile *file, const LaresSetAttrs *set);
LaresStatus nfs4_files_io_begin(Nfs4Compound *c, const LaresObject *object, LaresOpen *open, uint32_t access,
                                LaresIo *io);
/* `object` is &c->current or in it. */
LaresStatus nfs4_set_size_within(Nfs4Compound *c, const LaresObject *object, LaresFile *file,
                                 const LaresSetAttrs *size);
LaresStatus nfs4_files_open(Nfs4Compound *c, const LaresObject *object, uint32_t access, uint32_t deny,
                            LaresHolder *holder, LaresOpen **open);
/* See lares_files_named_hold(). */
LaresFile *nfs4_hold(Nfs4Compound *c);
LaresStatus nfs4_files_open_upgrade(Nfs4Compound *c, LaresOpen *open, uint32_t access, uint32_t deny);
/* In the current directory, as lares_files_open_create(). A named attribute that is there gives LARES_EXIST. */
LaresStatus nfs4_files_open_create(Nfs4Compound *c, const char *name, const LaresCreate *how, uint32_t access,
                                   uint32_t deny, LaresHolder *holder, LaresObject *out, LaresOpen **open,
                                   gboolean *created, LaresChangeInfo *info);
