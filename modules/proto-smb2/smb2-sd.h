/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Self-relative security descriptors and SIDs, to and from the one ACL model.
 *
 * Users and groups of an Active Directory have the SIDs that it gave them. The others have SIDs of this server:
 * S-1-5-21-A-B-C-R with A, B, C of its own; R is 1000 + 2 × uid, 1001 + 2 × gid (below 2^30;
 * larger ids and ids of foreign descriptors are S-1-22-1-UID and S-1-22-2-GID, which are understood always).
 *
 *     OWNER@, GROUP@ on the object itself      the owner's, the group's SID
 *     OWNER@, GROUP@ for heirs only            CREATOR OWNER, CREATOR GROUP
 *     … for both                               two entries
 *     EVERYONE@                                S-1-1-0
 *
 * Entries for SIDs that mean nobody here say nothing to the ACL (nobody here has them); whoever must give a descriptor
 * back exactly keeps its bytes.
 *
 * Spec: [MS-DTYP] 2.4.2 (SID), 2.4.4 (ACE), 2.4.5 (ACL), 2.4.6 (descriptor).
 * Thread: plain functions. */
#pragma once

#include <lares/acl.h>
#include <lares/cursor.h>
#include <lares/identity.h>

#define SMB2_SID_SUB_MAX LARES_SID_SUB_MAX
#define SMB2_SD_MAX      (64u << 10) /* what one SET_INFO may bring; an ACL's own limit */

typedef LaresSid Smb2Sid;

typedef struct {
    uint32_t sub[3];           /* A, B, C */
    LaresDirectory *directory; /* knows the SIDs of other domains; may be NULL */
} Smb2Domain;

#define SMB2_SE_OWNER_DEFAULTED       0x0001u
#define SMB2_SE_DACL_PRESENT          0x0004u
#define SMB2_SE_SACL_PRESENT          0x0010u
#define SMB2_SE_DACL_AUTO_INHERIT_REQ 0x0100u
#define SMB2_SE_DACL_AUTO_INHERITED   0x0400u
#define SMB2_SE_DACL_PROTECTED        0x1000u
#define SMB2_SE_SELF_RELATIVE         0x8000u

#define SMB2_OWNER_INFORMATION 1u
#define SMB2_GROUP_INFORMATION 2u
#define SMB2_DACL_INFORMATION  4u
#define SMB2_SACL_INFORMATION  8u

/* A descriptor whose parts lie in the input; NULL where they are missing. */
typedef struct {
    uint16_t control;
    gboolean has_owner, has_group;
    Smb2Sid owner, group;
    const uint8_t *dacl; /* NULL with DACL_PRESENT: everybody may everything */
    size_t dacl_len;
} Smb2Descriptor;

gboolean smb2_sid_parse(const uint8_t *bytes, size_t len, Smb2Sid *sid, size_t *used);
void smb2_put_sid(LaresWriter *w, const Smb2Sid *sid);
Smb2Sid smb2_sid_of_uid(const Smb2Domain *domain, uint32_t uid);
Smb2Sid smb2_sid_of_gid(const Smb2Domain *domain, uint32_t gid);
/* This server's own SID for it, whatever a domain may call it. */
Smb2Sid smb2_local_sid(const Smb2Domain *domain, uint32_t id, gboolean group);
/* FALSE: nobody here. *group tells which kind of id it is. */
gboolean smb2_sid_to_id(const Smb2Domain *domain, const Smb2Sid *sid, uint32_t *id, gboolean *group);

/* Bounds and shape; FALSE for anything that does not fit. Entries are checked too. */
gboolean smb2_descriptor_parse(const uint8_t *bytes, size_t len, Smb2Descriptor *sd);
/* The ACL of a descriptor's DACL (lares_acl_free) for an object of this owner and group; NULL: too long. */
LaresAcl *smb2_descriptor_acl(const Smb2Descriptor *sd, const Smb2Domain *domain, uint32_t owner, uint32_t group);
/* Writes a descriptor; `wanted` says which parts. `dacl` are the bytes of an ACL to be given back as they are, or NULL:
 * made from `acl`. */
void smb2_put_descriptor(LaresWriter *w, const Smb2Domain *domain, uint32_t wanted, uint16_t control,
                         const Smb2Sid *owner, const Smb2Sid *group, const uint8_t *dacl, size_t dacl_len,
                         const LaresAcl *acl, uint32_t uid, uint32_t gid);
