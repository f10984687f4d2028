/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Security descriptors and SIDs. See smb2-sd.h. */
#include "smb2-sd.h"

#include <string.h>

#define NT_AUTHORITY   5u
#define UNIX_AUTHORITY 22u
#define RID_BASE       1000u
#define RID_IDS        (1u << 30)
#define MASK_VALID     0x001f01ffu

/* [MS-DTYP] 2.4.4.1 */
#define ACE_OBJECT_INHERIT    0x01u
#define ACE_CONTAINER_INHERIT 0x02u
#define ACE_NO_PROPAGATE      0x04u
#define ACE_INHERIT_ONLY      0x08u
#define ACE_INHERITED         0x10u
#define ACE_HEIRS             (ACE_OBJECT_INHERIT | ACE_CONTAINER_INHERIT)

/* ---- SIDs ---------------------------------------------------------------------------------------------------------
 */

gboolean
smb2_sid_parse(const uint8_t *bytes, size_t len, Smb2Sid *sid, size_t *used)
{
    LaresReader r = lares_reader(bytes, len);
    *sid = (Smb2Sid){0};
    uint8_t revision = lares_get_u8(&r);
    sid->n = lares_get_u8(&r);
    const uint8_t *authority = lares_get_bytes(&r, 6);
    if (r.failed || revision != 1 || sid->n > SMB2_SID_SUB_MAX)
        return FALSE;
    for (guint i = 0; i < 6; i++)
        sid->authority = sid->authority << 8 | authority[i];
    for (guint i = 0; i < sid->n; i++)
        sid->sub[i] = lares_get_le32(&r);
    if (used)
        *used = 8 + 4u * sid->n;
    return !r.failed;
}

void
smb2_put_sid(LaresWriter *w, const Smb2Sid *sid)
{
    lares_put_u8(w, 1);
    lares_put_u8(w, sid->n);
    for (int shift = 40; shift >= 0; shift -= 8)
        lares_put_u8(w, (uint8_t)(sid->authority >> shift));
    for (guint i = 0; i < sid->n; i++)
        lares_put_le32(w, sid->sub[i]);
}

Smb2Sid
smb2_local_sid(const Smb2Domain *domain, uint32_t id, gboolean group)
{
    if (id >= RID_IDS)
        return (Smb2Sid){2, UNIX_AUTHORITY, {group ? 2u : 1u, id}};
    return (Smb2Sid){
        5, NT_AUTHORITY, {21, domain->sub[0], domain->sub[1], domain->sub[2], RID_BASE + 2 * id + (group ? 1u : 0u)}};
}

static Smb2Sid
sid_of(const Smb2Domain *domain, uint32_t id, gboolean group)
{
    Smb2Sid sid;
    if (domain->directory && lares_directory_sid(domain->directory, id, group, &sid))
        return sid;
    return smb2_local_sid(domain, id, group);
}

Smb2Sid
smb2_sid_of_uid(const Smb2Domain *domain, uint32_t uid)
{
    return sid_of(domain, uid, FALSE);
}

Smb2Sid
smb2_sid_of_gid(const Smb2Domain *domain, uint32_t gid)
{
    return sid_of(domain, gid, TRUE);
}

gboolean
smb2_sid_to_id(const Smb2Domain *domain, const Smb2Sid *sid, uint32_t *id, gboolean *group)
{
    if (sid->authority == UNIX_AUTHORITY && sid->n == 2 && (sid->sub[0] == 1 || sid->sub[0] == 2)) {
        *group = sid->sub[0] == 2;
        *id = sid->sub[1];
        return *id != UINT32_MAX;
    }
    if (sid->authority != NT_AUTHORITY)
        return FALSE;
    if (sid->n == 5 && sid->sub[0] == 21 && memcmp(sid->sub + 1, domain->sub, sizeof domain->sub) == 0 &&
        sid->sub[4] >= RID_BASE) {
        *group = (sid->sub[4] - RID_BASE) & 1;
        *id = (sid->sub[4] - RID_BASE) / 2;
        return TRUE;
    }
    if (sid->n == 5 && sid->sub[0] == 21)
        return domain->directory && lares_directory_sid_id(domain->directory, sid, id, group);
    /* The system and its administrators are root. */
    *id = 0;
    *group = sid->n == 2;
    return (sid->n == 1 && sid->sub[0] == 18) || (sid->n == 2 && sid->sub[0] == 32 && sid->sub[1] == 544);
}

static const Smb2Sid everyone = {1, 1, {0}}, creator_owner = {1, 3, {0}}, creator_group = {1, 3, {1}},
                     owner_rights = {1, 3, {4}};

/* ---- Reading ------------------------------------------------------------------------------------------------------
 */

typedef struct {
    uint8_t type, flags;
    uint32_t mask;
    Smb2Sid sid;
    gboolean known; /* a type whose SID stands where it should */
} WireAce;

static gboolean
next_ace(LaresReader *r, WireAce *ace)
{
    size_t used;
    *ace = (WireAce){.type = lares_get_u8(r), .flags = lares_get_u8(r)};
    uint16_t size = lares_get_le16(r);
    if (r->failed || size < 4 || size % 4)
        return FALSE;
    const uint8_t *body = lares_get_bytes(r, size - 4u);
    if (!body)
        return FALSE;
    if (ace->type > LARES_ACE_ALARM)
        return TRUE; /* object and callback entries: carried, not understood */
    if (size < 16 || !smb2_sid_parse(body + 4, size - 8u, &ace->sid, &used))
        return FALSE;
    LaresReader m = lares_reader(body, 4);
    ace->mask = lares_get_le32(&m);
    ace->known = TRUE;
    return TRUE;
}

static gboolean
acl_header(LaresReader *r, uint16_t *size, uint16_t *count)
{
    uint8_t revision = lares_get_u8(r);
    lares_get_u8(r);
    *size = lares_get_le16(r);
    *count = lares_get_le16(r);
    lares_get_le16(r);
    /* [MS-DTYP] 2.4.5 has 2 and 4; Windows takes 3 as well, and smbcacls sends it. */
    return !r->failed && revision >= 2 && revision <= 4 && *size >= 8;
}

static gboolean
check_acl(const uint8_t *bytes, size_t len, size_t *acl_len)
{
    LaresReader r = lares_reader(bytes, len);
    uint16_t size, count;
    WireAce ace;
    if (!acl_header(&r, &size, &count) || size > len || count > LARES_ACL_MAX)
        return FALSE;
    r.end = bytes + size;
    for (guint i = 0; i < count; i++)
        if (!next_ace(&r, &ace))
            return FALSE;
    *acl_len = size;
    return TRUE;
}

gboolean
smb2_descriptor_parse(const uint8_t *bytes, size_t len, Smb2Descriptor *sd)
{
    LaresReader r = lares_reader(bytes, len);
    *sd = (Smb2Descriptor){0};
    uint8_t revision = lares_get_u8(&r);
    lares_get_u8(&r);
    sd->control = lares_get_le16(&r);
    uint32_t owner = lares_get_le32(&r), group = lares_get_le32(&r), sacl = lares_get_le32(&r),
             dacl = lares_get_le32(&r);
    if (r.failed || revision != 1 || !(sd->control & SMB2_SE_SELF_RELATIVE) || len > SMB2_SD_MAX)
        return FALSE;
    if (owner > len || group > len || sacl > len || dacl > len)
        return FALSE;
    sd->has_owner = owner != 0;
    sd->has_group = group != 0;
    if (owner && !smb2_sid_parse(bytes + owner, len - owner, &sd->owner, NULL))
        return FALSE;
    if (group && !smb2_sid_parse(bytes + group, len - group, &sd->group, NULL))
        return FALSE;
    if (sd->control & SMB2_SE_DACL_PRESENT && dacl) {
        sd->dacl = bytes + dacl;
        return check_acl(sd->dacl, len - dacl, &sd->dacl_len);
    }
    return TRUE;
}

static uint32_t
flags_from_wire(uint8_t flags)
{
    return (flags & 0x0fu) | (flags & ACE_INHERITED ? LARES_ACE_INHERITED : 0u);
}

static uint32_t
mask_from_wire(uint32_t mask)
{
    if (mask & 0x10000000u)
        mask |= 0x001f01ffu;
    if (mask & 0x20000000u)
        mask |= 0x001200a0u;
    if (mask & 0x40000000u)
        mask |= 0x00120116u;
    if (mask & 0x80000000u)
        mask |= 0x00120089u;
    return mask & MASK_VALID;
}

static void
add(LaresAcl *acl, uint8_t type, LaresWho who, uint32_t flags, uint32_t mask, uint32_t id)
{
    if (acl->n < LARES_ACL_MAX)
        acl->ace[acl->n++] = (LaresAce){type, (uint8_t)who, flags, mask, id};
}

/* An entry for the owner or group of the object: for itself as such, for heirs under its number. */
static void
add_id(LaresAcl *acl, const WireAce *ace, uint32_t id, gboolean group, uint32_t owner, uint32_t owning_group)
{
    uint32_t flags = flags_from_wire(ace->flags), mask = mask_from_wire(ace->mask), kind = group ? LARES_ACE_GROUP : 0;
    gboolean special = group ? id == owning_group : id == owner;
    if (!special || flags & LARES_ACE_INHERIT_ONLY) {
        add(acl, ace->type, LARES_WHO_ID, flags | kind, mask, id);
        return;
    }
    add(acl, ace->type, group ? LARES_WHO_GROUP : LARES_WHO_OWNER, (flags & LARES_ACE_INHERITED) | kind, mask, 0);
    if (flags & (LARES_ACE_FILE_INHERIT | LARES_ACE_DIRECTORY_INHERIT))
        add(acl, ace->type, LARES_WHO_ID, flags | LARES_ACE_INHERIT_ONLY | kind, mask, id);
}

static void
add_ace(LaresAcl *acl, const WireAce *ace, const Smb2Domain *domain, uint32_t owner, uint32_t group)
{
    uint32_t flags = flags_from_wire(ace->flags), mask = mask_from_wire(ace->mask), id;
    gboolean is_group;
    if (!ace->known || ace->type > LARES_ACE_DENY)
        return;
    if (lares_sid_equal(&ace->sid, &everyone))
        add(acl, ace->type, LARES_WHO_EVERYONE, flags, mask, 0);
    else if (lares_sid_equal(&ace->sid, &owner_rights))
        add(acl, ace->type, LARES_WHO_OWNER, flags, mask, 0);
    else if (lares_sid_equal(&ace->sid, &creator_owner))
        add(acl, ace->type, LARES_WHO_OWNER, flags | LARES_ACE_INHERIT_ONLY, mask, 0);
    else if (lares_sid_equal(&ace->sid, &creator_group))
        add(acl, ace->type, LARES_WHO_GROUP, flags | LARES_ACE_INHERIT_ONLY | LARES_ACE_GROUP, mask, 0);
    else if (smb2_sid_to_id(domain, &ace->sid, &id, &is_group))
        add_id(acl, ace, id, is_group, owner, group);
}

LaresAcl *
smb2_descriptor_acl(const Smb2Descriptor *sd, const Smb2Domain *domain, uint32_t owner, uint32_t group)
{
    uint16_t size, count = 0;
    LaresAcl *acl = lares_acl_new(LARES_ACL_MAX);
    acl->n = 0;
    if (!sd->dacl) {
        add(acl, LARES_ACE_ALLOW, LARES_WHO_EVERYONE, 0, LARES_MASK_ALL, 0);
        return acl;
    }
    LaresReader r = lares_reader(sd->dacl, sd->dacl_len);
    WireAce ace;
    if (!acl_header(&r, &size, &count))
        count = 0;
    for (guint i = 0; i < count && next_ace(&r, &ace); i++)
        add_ace(acl, &ace, domain, owner, group);
    if (acl->n == LARES_ACL_MAX) /* something may have been left out: nobody is let in by half a list */
        g_clear_pointer(&acl, lares_acl_free);
    return acl;
}

/* ---- Writing ------------------------------------------------------------------------------------------------------
 */

static void
put_ace(LaresWriter *w, const LaresAce *ace, uint32_t flags, const Smb2Sid *sid)
{
    lares_put_u8(w, ace->type);
    lares_put_u8(w, (uint8_t)((flags & 0x0f) | (flags & LARES_ACE_INHERITED ? ACE_INHERITED : 0)));
    lares_put_le16(w, (uint16_t)(8 + 8 + 4 * sid->n));
    lares_put_le32(w, ace->mask);
    smb2_put_sid(w, sid);
}

/* Returns how many were written. */
static guint
put_entry(LaresWriter *w, const Smb2Domain *domain, const LaresAce *ace, uint32_t uid, uint32_t gid)
{
    Smb2Sid sid;
    gboolean group = ace->who == LARES_WHO_GROUP;
    uint32_t heirs = ace->flags & (LARES_ACE_FILE_INHERIT | LARES_ACE_DIRECTORY_INHERIT);
    if (ace->type > LARES_ACE_DENY)
        return 0;
    if (ace->who == LARES_WHO_EVERYONE) {
        put_ace(w, ace, ace->flags, &everyone);
        return 1;
    }
    if (ace->who == LARES_WHO_ID) {
        sid = sid_of(domain, ace->id, (ace->flags & LARES_ACE_GROUP) != 0);
        put_ace(w, ace, ace->flags, &sid);
        return 1;
    }
    const Smb2Sid *creator = group ? &creator_group : &creator_owner;
    if (ace->flags & LARES_ACE_INHERIT_ONLY) {
        put_ace(w, ace, heirs ? ace->flags : ace->flags & ~(uint32_t)LARES_ACE_INHERIT_ONLY, creator);
        return 1;
    }
    sid = sid_of(domain, group ? gid : uid, group);
    put_ace(w, ace, ace->flags & LARES_ACE_INHERITED, &sid);
    if (!heirs)
        return 1;
    put_ace(w, ace, ace->flags | LARES_ACE_INHERIT_ONLY, creator);
    return 2;
}

static void
patch16(LaresWriter *w, size_t at, size_t v)
{
    if (!w->failed && at + 2 <= w->len) {
        w->base[at] = (uint8_t)v;
        w->base[at + 1] = (uint8_t)(v >> 8);
    }
}

static void
patch32(LaresWriter *w, size_t at, size_t v)
{
    patch16(w, at, v & 0xffff);
    patch16(w, at + 2, v >> 16);
}

static void
put_acl(LaresWriter *w, const Smb2Domain *domain, const LaresAcl *acl, uint32_t uid, uint32_t gid)
{
    size_t at = w->len;
    guint n = 0;
    lares_put_le32(w, 2);
    lares_put_le32(w, 0);
    for (uint32_t i = 0; acl && i < acl->n; i++)
        n += put_entry(w, domain, &acl->ace[i], uid, gid);
    patch16(w, at + 2, w->len - at);
    patch16(w, at + 4, n);
}

void
smb2_put_descriptor(LaresWriter *w, const Smb2Domain *domain, uint32_t wanted, uint16_t control, const Smb2Sid *owner,
                    const Smb2Sid *group, const uint8_t *dacl, size_t dacl_len, const LaresAcl *acl, uint32_t uid,
                    uint32_t gid)
{
    size_t start = w->len;
    control |= SMB2_SE_SELF_RELATIVE;
    if (!(wanted & SMB2_DACL_INFORMATION))
        control = SMB2_SE_SELF_RELATIVE;
    else
        control |= SMB2_SE_DACL_PRESENT;
    lares_put_u8(w, 1);
    lares_put_u8(w, 0);
    lares_put_le16(w, control);
    for (guint i = 0; i < 4; i++)
        lares_put_le32(w, 0);
    if (wanted & SMB2_OWNER_INFORMATION) {
        patch32(w, start + 4, w->len - start);
        smb2_put_sid(w, owner);
    }
    if (wanted & SMB2_GROUP_INFORMATION) {
        patch32(w, start + 8, w->len - start);
        smb2_put_sid(w, group);
    }
    if (wanted & SMB2_DACL_INFORMATION && (dacl || acl)) {
        patch32(w, start + 16, w->len - start);
        if (dacl)
            lares_put_bytes(w, dacl, dacl_len);
        else
            put_acl(w, domain, acl, uid, gid);
    }
}
