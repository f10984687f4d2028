/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files that may be named attributes. See nfs4-named.h.
 *
 * Spec: RFC 7530 5.3, RFC 8881 5.3 */
#include "nfs4-named.h"

size_t
nfs4_current_handle(Nfs4Compound *c, uint8_t *buf)
{
    const LaresObject *of = nfs4_of(c, &c->current);
    return of ? lares_files_named_handle(c->files, &c->current, of, buf)
              : lares_files_handle(c->files, &c->current, buf);
}

uint32_t
nfs4_put_handle(Nfs4Compound *c, const uint8_t *bytes, size_t len)
{
    LaresObject object, of;
    LaresStatus status = lares_files_from_any_handle(c->files, &c->caller, bytes, len, &object, &of);
    if (status == LARES_OK) {
        nfs4_set_current(c, &object);
        c->current_of = of;
    }
    return nfs4_status(c, status);
}

LaresStatus
nfs4_find(Nfs4Compound *c, const char *name, uint32_t access, gboolean policy, LaresObject *out)
{
    const LaresObject *of = nfs4_of(c, &c->current);
    return of ? lares_files_named_lookup(c->files, &c->caller, of, name, access, out)
              : lares_files_lookup(c->files, &c->caller, &c->current, name, policy, out);
}

LaresStatus
nfs4_find_parent(Nfs4Compound *c, gboolean policy, LaresObject *out)
{
    const LaresObject *of = nfs4_of(c, &c->current);
    *out = (LaresObject){NULL, NULL};
    if (!of)
        return lares_files_parent(c->files, &c->caller, &c->current, policy, out);
    LaresStatus status = policy ? lares_files_policy(c->files, &c->caller, of) : LARES_OK;
    if (status == LARES_OK)
        lares_object_copy(out, of);
    return status;
}

/* Of a directory of them, searching is as good as reading. */
LaresStatus
nfs4_access(Nfs4Compound *c, uint32_t wanted, uint32_t *allowed)
{
    const uint32_t writing = LARES_ACCESS_WRITE | LARES_ACCESS_MODIFY | LARES_ACCESS_EXTEND | LARES_ACCESS_DELETE;
    const LaresObject *of = nfs4_of(c, &c->current);
    uint32_t reading = LARES_ACCESS_READ, rights = 0;
    if (!of)
        return lares_files_access(c->files, &c->caller, &c->current, wanted, allowed);
    if (c->current.node->type == LARES_TYPE_DIRECTORY)
        reading |= LARES_ACCESS_EXECUTE;
    LaresStatus status = lares_files_access(c->files, &c->caller, of, LARES_ACCESS_READ | LARES_ACCESS_WRITE, &rights);
    *allowed = wanted & ((rights & LARES_ACCESS_READ ? reading : 0) | (rights & LARES_ACCESS_WRITE ? writing : 0));
    return status;
}

LaresStatus
nfs4_remove(Nfs4Compound *c, const char *name, LaresChangeInfo *info)
{
    const LaresObject *of = nfs4_of(c, &c->current);
    return of ? lares_files_named_remove(c->files, &c->caller, &c->current, of, name, info)
              : lares_files_remove(c->files, &c->caller, &c->current, name, info);
}

LaresStatus
nfs4_rename(Nfs4Compound *c, const char *name, const char *new_name, LaresChangeInfo *from, LaresChangeInfo *to)
{
    const LaresObject *old = nfs4_of(c, &c->saved), *of = nfs4_of(c, &c->current);
    if (!old && !of)
        return lares_files_rename(c->files, &c->caller, &c->saved, name, &c->current, new_name, from, to);
    /* RFC 8881 18.26.3 */
    if (!old || !of || c->saved.node != c->current.node || old->share->id != of->share->id)
        return LARES_XDEV;
    LaresStatus status = lares_files_named_rename(c->files, &c->caller, &c->current, of, name, new_name, from);
    *to = *from;
    return status;
}

LaresStatus
nfs4_files_setattr(Nfs4Compound *c, const LaresObject *object, LaresFile *file, const LaresSetAttrs *set)
{
    const LaresObject *of = nfs4_of(c, object);
    return of ? lares_files_named_setattr(c->files, &c->caller, object, of, file, set)
              : lares_files_setattr(c->files, &c->caller, object, file, set);
}

LaresStatus
nfs4_set_size_within(Nfs4Compound *c, const LaresObject *object, LaresFile *file, const LaresSetAttrs *size)
{
    const LaresObject *of = nfs4_of(c, &c->current);
    return of ? lares_files_named_setattr(c->files, &c->caller, object, of, file, size)
              : lares_files_setattr(c->files, &c->caller, object, file, size);
}

LaresStatus
nfs4_files_io_begin(Nfs4Compound *c, const LaresObject *object, LaresOpen *open, uint32_t access, LaresIo *io)
{
    const LaresObject *of = nfs4_of(c, object);
    return of ? lares_files_named_io_begin(c->files, &c->caller, object, of, open, access, io)
              : lares_files_io_begin(c->files, &c->caller, object, open, access, io);
}

LaresStatus
nfs4_files_open(Nfs4Compound *c, const LaresObject *object, uint32_t access, uint32_t deny, LaresHolder *holder,
                LaresOpen **open)
{
    const LaresObject *of = nfs4_of(c, &c->current);
    return of ? lares_files_named_open(c->files, &c->caller, object, of, access, deny, holder, open)
              : lares_files_open(c->files, &c->caller, object, access, deny, holder, open);
}

LaresFile *
nfs4_hold(Nfs4Compound *c)
{
    const LaresObject *of = nfs4_of(c, &c->current);
    return of ? lares_files_named_hold(of) : NULL;
}

LaresStatus
nfs4_files_open_upgrade(Nfs4Compound *c, LaresOpen *open, uint32_t access, uint32_t deny)
{
    const LaresObject *of = nfs4_of(c, &c->current);
    LaresStatus status = of ? lares_files_named_may(c->files, &c->caller, of, access) : LARES_OK;
    return status == LARES_OK ? lares_files_open_upgrade(c->files, &c->caller, open, access, deny) : status;
}

LaresStatus
nfs4_files_open_create(Nfs4Compound *c, const char *name, const LaresCreate *how, uint32_t access, uint32_t deny,
                       LaresHolder *holder, LaresObject *out, LaresOpen **open, gboolean *created,
                       LaresChangeInfo *info)
{
    const LaresObject *of = nfs4_of(c, &c->current);
    if (!of)
        return lares_files_open_create(c->files, &c->caller, &c->current, name, how, access, deny, holder, out, open,
                                       created, info);
    LaresStatus status = lares_files_named_open_create(c->files, &c->caller, &c->current, of, name, &how->attrs, access,
                                                       deny, holder, out, open, info);
    *created = status == LARES_OK;
    return status;
}
