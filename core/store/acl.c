/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ACLs and modes: what each says about the other, what is inherited, who may do what.
 *
 * Spec: RFC 8881 6.2 (entries), 6.3.2 (mode from ACL), 6.4 (changing and inheriting).
 * Thread: plain values. */
#include <lares/acl.h>

#include <string.h>

#define BITS_READ    LARES_MASK_READ_DATA
#define BITS_WRITE   (LARES_MASK_WRITE_DATA | LARES_MASK_APPEND_DATA)
#define BITS_EXECUTE LARES_MASK_EXECUTE
/* Everything a mode speaks about; DELETE_CHILD is the part of "w" that only directories have. */
#define BITS_MODE    (BITS_READ | BITS_WRITE | BITS_EXECUTE | LARES_MASK_DELETE_CHILD)
#define BITS_ANYBODY (LARES_MASK_READ_ATTRIBUTES | LARES_MASK_READ_ACL | LARES_MASK_SYNCHRONIZE)
#define BITS_OWNER   (LARES_MASK_WRITE_ATTRIBUTES | LARES_MASK_WRITE_ACL)

#define FLAGS_INHERIT                                                                                                  \
    (LARES_ACE_FILE_INHERIT | LARES_ACE_DIRECTORY_INHERIT | LARES_ACE_NO_PROPAGATE_INHERIT | LARES_ACE_INHERIT_ONLY)
#define FLAGS_HEIRS (LARES_ACE_FILE_INHERIT | LARES_ACE_DIRECTORY_INHERIT)

LaresAcl *
lares_acl_new(uint32_t n)
{
    LaresAcl *acl = g_malloc0(sizeof(LaresAcl) + (size_t)n * sizeof(LaresAce));
    acl->n = n;
    return acl;
}

LaresAcl *
lares_acl_copy(const LaresAcl *acl)
{
    if (!acl)
        return NULL;
    LaresAcl *copy = lares_acl_new(acl->n);
    if (acl->n)
        memcpy(copy->ace, acl->ace, acl->n * sizeof(LaresAce));
    return copy;
}

void
lares_acl_free(LaresAcl *acl)
{
    g_free(acl);
}

static gboolean
ace_equal(const LaresAce *a, const LaresAce *b)
{
    return a->type == b->type && a->who == b->who && a->flags == b->flags && a->mask == b->mask &&
           (a->who != LARES_WHO_ID || a->id == b->id);
}

gboolean
lares_acl_equal(const LaresAcl *a, const LaresAcl *b)
{
    if (!a || !b)
        return a == b;
    if (a->n != b->n)
        return FALSE;
    for (uint32_t i = 0; i < a->n; i++)
        if (!ace_equal(&a->ace[i], &b->ace[i]))
            return FALSE;
    return TRUE;
}

/* ---- Mode → ACL ------------------------------------------------------------------------------------------------ */

static uint32_t
mask_of_bits(uint32_t rwx, gboolean directory)
{
    uint32_t mask = 0;
    if (rwx & 4)
        mask |= BITS_READ;
    if (rwx & 2)
        mask |= BITS_WRITE | (directory ? LARES_MASK_DELETE_CHILD : 0);
    if (rwx & 1)
        mask |= BITS_EXECUTE;
    return mask;
}

static void
add(LaresAcl *acl, LaresAceType type, LaresWho who, uint32_t mask)
{
    acl->ace[acl->n++] = (LaresAce){.type = (uint8_t)type,
                                    .who = (uint8_t)who,
                                    .flags = who == LARES_WHO_GROUP ? LARES_ACE_GROUP : 0,
                                    .mask = mask};
}

/* An owner or group member whose class has less than the classes behind it needs an explicit "no" first, because the
 * entries behind would give it (a mode stops at the first class that matches, an ACL does not). */
static void
add_owner_entries(LaresAcl *acl, uint32_t mode, gboolean directory)
{
    uint32_t owner = mode >> 6 & 7, others = (mode >> 3 & 7) | (mode & 7);
    if (others & ~owner)
        add(acl, LARES_ACE_DENY, LARES_WHO_OWNER, mask_of_bits(others & ~owner, directory));
    add(acl, LARES_ACE_ALLOW, LARES_WHO_OWNER, mask_of_bits(owner, directory) | BITS_OWNER | BITS_ANYBODY);
}

static void
add_group_entries(LaresAcl *acl, uint32_t mode, gboolean directory)
{
    uint32_t group = mode >> 3 & 7, other = mode & 7;
    add(acl, LARES_ACE_ALLOW, LARES_WHO_GROUP, mask_of_bits(group, directory) | BITS_ANYBODY);
    if (other & ~group)
        add(acl, LARES_ACE_DENY, LARES_WHO_GROUP, mask_of_bits(other & ~group, directory));
}

static void
add_everyone_entry(LaresAcl *acl, uint32_t mode, gboolean directory)
{
    add(acl, LARES_ACE_ALLOW, LARES_WHO_EVERYONE, mask_of_bits(mode & 7, directory) | BITS_ANYBODY);
}

#define MODE_ENTRIES 5 /* at most: owner deny and allow, group allow and deny, everyone */

LaresAcl *
lares_acl_from_mode(uint32_t mode, gboolean directory)
{
    LaresAcl *acl = lares_acl_new(MODE_ENTRIES);
    acl->n = 0;
    add_owner_entries(acl, mode, directory);
    add_group_entries(acl, mode, directory);
    add_everyone_entry(acl, mode, directory);
    return acl;
}

/* ---- ACL → mode ------------------------------------------------------------------------------------------------ */

/* What the special entries alone give to one class; everyone belongs to every class. */
static uint32_t
bits_of_class(const LaresAcl *acl, LaresWho class)
{
    uint32_t allowed = 0, denied = 0;
    for (uint32_t i = 0; i < acl->n; i++) {
        const LaresAce *ace = &acl->ace[i];
        if (ace->flags & LARES_ACE_INHERIT_ONLY || (ace->who != class && ace->who != LARES_WHO_EVERYONE))
            continue;
        if (ace->type == LARES_ACE_ALLOW)
            allowed |= ace->mask & ~denied;
        else if (ace->type == LARES_ACE_DENY)
            denied |= ace->mask & ~allowed;
    }
    return (allowed & BITS_READ ? 4u : 0) | ((allowed & BITS_WRITE) == BITS_WRITE ? 2u : 0) |
           (allowed & BITS_EXECUTE ? 1u : 0);
}

uint32_t
lares_acl_to_mode(const LaresAcl *acl)
{
    return bits_of_class(acl, LARES_WHO_OWNER) << 6 | bits_of_class(acl, LARES_WHO_GROUP) << 3 |
           bits_of_class(acl, LARES_WHO_EVERYONE);
}

/* ---- chmod ----------------------------------------------------------------------------------------------------- */

static gboolean
is_permission(const LaresAce *ace)
{
    return ace->type == LARES_ACE_ALLOW || ace->type == LARES_ACE_DENY;
}

/* What is left of an entry on the object itself once the mode rules: special entries give their mode bits up, an
 * allowing named entry keeps no more than the group class has. */
static uint32_t
mask_after_chmod(const LaresAce *ace, uint32_t group_mask)
{
    if (ace->who != LARES_WHO_ID)
        return ace->mask & ~BITS_MODE;
    if (ace->type == LARES_ACE_ALLOW)
        return ace->mask & (~BITS_MODE | group_mask);
    return ace->mask;
}

/* Does an entry give somebody in particular more than the group bits? A chmod takes that away, also one to the mode the
 * file has already (RFC 8881 6.4.1.1). */
static gboolean
gives_more(const LaresAcl *acl, uint32_t group_mask)
{
    for (uint32_t i = 0; i < acl->n; i++) {
        const LaresAce *ace = &acl->ace[i];
        if (is_permission(ace) && !(ace->flags & LARES_ACE_INHERIT_ONLY) &&
            mask_after_chmod(ace, group_mask) != ace->mask && ace->who == LARES_WHO_ID)
            return TRUE;
    }
    return FALSE;
}

LaresAcl *
lares_acl_chmod(const LaresAcl *acl, uint32_t mode, gboolean directory)
{
    mode &= 0777;
    uint32_t group_mask = mask_of_bits(mode >> 3 & 7, directory);
    if (lares_acl_to_mode(acl) == mode && !gives_more(acl, group_mask))
        return lares_acl_copy(acl);
    LaresAcl *out = lares_acl_new(acl->n * 2 + MODE_ENTRIES);
    out->n = 0;
    add_owner_entries(out, mode, directory);
    for (uint32_t i = 0; i < acl->n; i++) {
        LaresAce ace = acl->ace[i];
        if (!is_permission(&ace) || ace.flags & LARES_ACE_INHERIT_ONLY) {
            out->ace[out->n++] = ace;
            continue;
        }
        uint32_t left = mask_after_chmod(&ace, group_mask);
        if (left == ace.mask) {
            out->ace[out->n++] = ace;
            continue;
        }
        /* The heirs must get what they would have got before: split the entry. */
        if (directory && ace.flags & FLAGS_HEIRS) {
            out->ace[out->n] = ace;
            out->ace[out->n++].flags |= LARES_ACE_INHERIT_ONLY;
        }
        if (left & ~(BITS_ANYBODY | (ace.who == LARES_WHO_OWNER ? BITS_OWNER : 0)) ||
            (left && ace.who == LARES_WHO_ID)) {
            ace.mask = left;
            ace.flags &= ~(uint32_t)FLAGS_INHERIT;
            out->ace[out->n++] = ace;
        }
    }
    add_group_entries(out, mode, directory);
    add_everyone_entry(out, mode, directory);
    return out;
}

/* ---- Inheritance ----------------------------------------------------------------------------------------------- */

/* The flags an entry has on a new object; FALSE: the object does not get it. */
static gboolean
inherited_flags(uint32_t flags, gboolean directory, uint32_t *out)
{
    uint32_t rest = flags & ~(uint32_t)FLAGS_INHERIT;
    if (!directory) {
        *out = rest;
        return (flags & LARES_ACE_FILE_INHERIT) != 0;
    }
    if (flags & LARES_ACE_DIRECTORY_INHERIT) {
        *out = flags & LARES_ACE_NO_PROPAGATE_INHERIT ? rest : rest | (flags & FLAGS_HEIRS);
        return TRUE;
    }
    /* Only files below are meant: a directory hands it on without being touched by it. */
    *out = rest | LARES_ACE_FILE_INHERIT | LARES_ACE_INHERIT_ONLY;
    return flags & LARES_ACE_FILE_INHERIT && !(flags & LARES_ACE_NO_PROPAGATE_INHERIT);
}

LaresAcl *
lares_acl_inherit(const LaresAcl *parent, gboolean directory)
{
    LaresAcl *acl = lares_acl_new(parent->n);
    acl->n = 0;
    for (uint32_t i = 0; i < parent->n; i++) {
        uint32_t flags;
        if (!inherited_flags(parent->ace[i].flags, directory, &flags))
            continue;
        acl->ace[acl->n] = parent->ace[i];
        acl->ace[acl->n++].flags = flags;
    }
    if (acl->n == 0)
        g_clear_pointer(&acl, lares_acl_free);
    return acl;
}

/* ---- Who may --------------------------------------------------------------------------------------------------- */

static gboolean
in_group(uint32_t group, uint32_t gid, const uint32_t *groups, uint32_t n_groups)
{
    if (gid == group)
        return TRUE;
    for (uint32_t i = 0; i < n_groups; i++)
        if (groups[i] == group)
            return TRUE;
    return FALSE;
}

uint32_t
lares_acl_allowed(const LaresAcl *acl, uint32_t owner, uint32_t group, uint32_t uid, uint32_t gid,
                  const uint32_t *groups, uint32_t n_groups, uint32_t wanted)
{
    uint32_t allowed = 0, open = wanted;
    for (uint32_t i = 0; i < acl->n && open; i++) {
        const LaresAce *ace = &acl->ace[i];
        if (!is_permission(ace) || ace->flags & LARES_ACE_INHERIT_ONLY || !(ace->mask & open))
            continue;
        gboolean match = FALSE;
        switch ((LaresWho)ace->who) {
        case LARES_WHO_OWNER:
            match = uid == owner;
            break;
        case LARES_WHO_GROUP:
            match = in_group(group, gid, groups, n_groups);
            break;
        case LARES_WHO_EVERYONE:
            match = TRUE;
            break;
        case LARES_WHO_ID:
            match = ace->flags & LARES_ACE_GROUP ? in_group(ace->id, gid, groups, n_groups) : uid == ace->id;
            break;
        }
        if (!match)
            continue;
        if (ace->type == LARES_ACE_ALLOW)
            allowed |= ace->mask & open;
        open &= ~ace->mask;
    }
    return allowed;
}
