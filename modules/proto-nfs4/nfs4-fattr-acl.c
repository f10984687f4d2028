/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The acl attribute on the wire.
 *
 * Spec: RFC 7530 6.2.1, RFC 8881 6.2.1 */
#include "nfs4-fattr.h"

static const struct {
    const char *name;
    LaresWho who;
} special[] = {
    {"OWNER@", LARES_WHO_OWNER},
    {"GROUP@", LARES_WHO_GROUP},
    {"EVERYONE@", LARES_WHO_EVERYONE},
};

static void
put_who(LaresDirectory *directory, const LaresAce *ace, LaresWriter *out)
{
    char name[NFS4_MAX_OWNER];
    size_t len;
    for (size_t i = 0; i < G_N_ELEMENTS(special); i++) {
        if (ace->who == special[i].who) {
            lares_put_string(out, special[i].name);
            return;
        }
    }
    if (ace->flags & LARES_ACE_GROUP)
        len = lares_directory_group_name(directory, ace->id, name, sizeof name);
    else
        len = lares_directory_owner_name(directory, ace->id, name, sizeof name);
    lares_put_opaque(out, name, len);
}

void
nfs4_fattr_put_acl(const Nfs4FattrSource *s, LaresWriter *out)
{
    lares_put_u32(out, s->acl->n);
    for (uint32_t i = 0; i < s->acl->n; i++) {
        const LaresAce *ace = &s->acl->ace[i];
        lares_put_u32(out, ace->type);
        lares_put_u32(out, ace->flags);
        lares_put_u32(out, ace->mask);
        put_who(s->c->service->directory, ace, out);
    }
}

static uint32_t
get_who(Nfs4Compound *c, LaresReader *in, LaresAce *ace)
{
    size_t len;
    const char *name = (const char *)lares_get_opaque(in, lares_reader_left(in), &len);
    if (in->failed)
        return NFS4ERR_BADXDR;
    if (len == 0 || !g_utf8_validate_len(name, len, NULL))
        return NFS4ERR_INVAL;
    for (size_t i = 0; i < G_N_ELEMENTS(special); i++) {
        if (len == strlen(special[i].name) && memcmp(name, special[i].name, len) == 0) {
            ace->who = special[i].who;
            return NFS4_OK;
        }
    }
    if (len > NFS4_MAX_OWNER || name[len - 1] == '@') /* the other special names (RFC 8881 6.2.1.5) mean nothing here */
        return NFS4ERR_BADOWNER;
    ace->who = LARES_WHO_ID;
    if (ace->flags & LARES_ACE_GROUP)
        return nfs4_status(c, lares_directory_group_id(c->service->directory, name, len, &ace->id));
    return nfs4_status(c, lares_directory_owner_id(c->service->directory, name, len, &ace->id));
}

static uint32_t
get_ace(Nfs4Compound *c, LaresReader *in, LaresAce *ace)
{
    uint32_t type = lares_get_u32(in);
    ace->type = (uint8_t)type;
    ace->flags = lares_get_u32(in);
    ace->mask = lares_get_u32(in);
    uint32_t status = get_who(c, in, ace);
    if (status != NFS4_OK)
        return status;
    if (type == LARES_ACE_AUDIT || type == LARES_ACE_ALARM)
        return NFS4ERR_ATTRNOTSUPP; /* RFC 8881 6.2.1.1: not in aclsupport */
    return type > LARES_ACE_ALARM || (ace->flags & ~0xffu) ? NFS4ERR_INVAL : NFS4_OK;
}

uint32_t
nfs4_fattr_get_acl(Nfs4Compound *c, LaresReader *in, Nfs4SetAttrs *attrs)
{
    uint32_t n = lares_get_u32(in);
    if (in->failed || n > lares_reader_left(in) / 16)
        return NFS4ERR_BADXDR;
    if (n > LARES_ACL_MAX)
        return NFS4ERR_FBIG;
    attrs->acl = lares_acl_new(n);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t status = get_ace(c, in, &attrs->acl->ace[i]);
        if (status != NFS4_OK)
            return status;
    }
    return NFS4_OK;
}
