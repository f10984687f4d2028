/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The one ACL model: NFSv4 ACLs (RFC 8881 section 6), which SMB security descriptors map to.
 *
 * An ACL is kept exactly as it was set; the mode is derived from it (6.3.2) and it from the mode (6.4.1).
 *
 * Thread: plain values. */
#pragma once

#include <lares/types.h>

G_BEGIN_DECLS

typedef enum { LARES_ACE_ALLOW = 0, LARES_ACE_DENY = 1, LARES_ACE_AUDIT = 2, LARES_ACE_ALARM = 3 } LaresAceType;

/* RFC 8881 6.2.1.4 */
#define LARES_ACE_FILE_INHERIT         0x01
#define LARES_ACE_DIRECTORY_INHERIT    0x02
#define LARES_ACE_NO_PROPAGATE_INHERIT 0x04
#define LARES_ACE_INHERIT_ONLY         0x08
#define LARES_ACE_GROUP                0x40
#define LARES_ACE_INHERITED            0x80

/* RFC 8881 6.2.1.3; the directory names share the bits (LIST_DIRECTORY = READ_DATA …). */
#define LARES_MASK_READ_DATA         0x00000001
#define LARES_MASK_WRITE_DATA        0x00000002
#define LARES_MASK_APPEND_DATA       0x00000004
#define LARES_MASK_READ_NAMED_ATTRS  0x00000008
#define LARES_MASK_WRITE_NAMED_ATTRS 0x00000010
#define LARES_MASK_EXECUTE           0x00000020
#define LARES_MASK_DELETE_CHILD      0x00000040
#define LARES_MASK_READ_ATTRIBUTES   0x00000080
#define LARES_MASK_WRITE_ATTRIBUTES  0x00000100
#define LARES_MASK_DELETE            0x00010000
#define LARES_MASK_READ_ACL          0x00020000
#define LARES_MASK_WRITE_ACL         0x00040000
#define LARES_MASK_WRITE_OWNER       0x00080000
#define LARES_MASK_SYNCHRONIZE       0x00100000
#define LARES_MASK_ALL               0x001f01ff

typedef enum { LARES_WHO_ID, LARES_WHO_OWNER, LARES_WHO_GROUP, LARES_WHO_EVERYONE } LaresWho;

typedef struct {
    uint8_t type; /* LaresAceType */
    uint8_t who;  /* LaresWho; LARES_WHO_ID uses id and the GROUP flag */
    uint32_t flags;
    uint32_t mask;
    uint32_t id;
} LaresAce;

#define LARES_ACL_MAX 1024 /* entries; a longer one is refused */

typedef struct _LaresAcl {
    uint32_t n;
    LaresAce ace[];
} LaresAcl;

LARES_API LaresAcl *lares_acl_new(uint32_t n); /* cleared */
LARES_API LaresAcl *lares_acl_copy(const LaresAcl *acl);
LARES_API void lares_acl_free(LaresAcl *acl);
LARES_API gboolean lares_acl_equal(const LaresAcl *a, const LaresAcl *b);
/* The ACL a mode stands for (RFC 8881 6.4.1.1 and 6.2.4). */
LARES_API LaresAcl *lares_acl_from_mode(uint32_t mode, gboolean directory);
/* The nine permission bits an ACL stands for (RFC 8881 6.3.2). */
LARES_API uint32_t lares_acl_to_mode(const LaresAcl *acl);
/* The ACL after a chmod (RFC 8881 6.4.1.1): exact for OWNER@, GROUP@, EVERYONE@, others limited. */
LARES_API LaresAcl *lares_acl_chmod(const LaresAcl *acl, uint32_t mode, gboolean directory);
/* What a new object inherits (RFC 8881 6.4.3), NULL when nothing is inheritable. */
LARES_API LaresAcl *lares_acl_inherit(const LaresAcl *parent, gboolean directory);
/* Which of `wanted` (LARES_MASK_*) the ACL gives to the credentials (RFC 8881 6.2.1: first match decides per bit). */
LARES_API uint32_t lares_acl_allowed(const LaresAcl *acl, uint32_t owner, uint32_t group, uint32_t uid, uint32_t gid,
                                     const uint32_t *groups, uint32_t n_groups, uint32_t wanted);
/* A stable byte form for xattrs. */
LARES_API GBytes *lares_acl_serialize(const LaresAcl *acl);
LARES_API LaresAcl *lares_acl_parse(const uint8_t *bytes, size_t len); /* NULL: damaged */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LaresAcl, lares_acl_free)

G_END_DECLS
