/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Security of files: QUERY_INFO and SET_INFO of security descriptors.
 *
 * What counts is the object's ACL, which every protocol reads and sets. The descriptor that an SMB client set is kept
 * beside it (a note), and given back byte for byte as long as it still means that ACL; once somebody else changed the
 * ACL, owner or mode, a new one is made from it.
 *
 * Note: control (16 bits), then the DACL's bytes (none: a NULL DACL).
 *
 * Spec: [MS-SMB2] 3.3.5.20.3, 3.3.5.21.3; [MS-FSA] 2.1.5.14, 2.1.5.17. */
#include "smb2-info.h"

#include "smb2-sd.h"

#include <gio/gio.h>
#include <openssl/rand.h>

#define NOTE       "sd"
#define NOTE_BYTES (16u << 10)
#define KEPT       (SMB2_SE_DACL_AUTO_INHERITED | SMB2_SE_DACL_PROTECTED | SMB2_SE_DACL_PRESENT)

/* ---- This server's SID --------------------------------------------------------------------------------------------
 */

static void
load_domain(LaresHost *host, Smb2Domain *domain)
{
    g_autofree char *path = g_build_filename(lares_host_state_dir(host), "machine.sid", NULL);
    g_autofree char *bytes = NULL;
    gsize len;
    if (g_file_get_contents(path, &bytes, &len, NULL) && len == sizeof *domain) {
        for (guint i = 0; i < 3; i++)
            domain->sub[i] = smb2_get_u32((const uint8_t *)bytes + 4 * i);
        return;
    }
    uint8_t fresh[sizeof *domain];
    g_autoptr(GError) error = NULL;
    if (RAND_bytes(fresh, sizeof fresh) != 1)
        g_error("no random bytes for the server's SID");
    for (guint i = 0; i < 3; i++)
        domain->sub[i] = smb2_get_u32(fresh + 4 * i);
    if (!g_file_set_contents_full(path, (const char *)fresh, sizeof fresh,
                                  G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0600, &error))
        lares_log(LARES_LOG_WARNING, "smb", "cannot keep the server's SID: %s", error->message);
}

const Smb2Domain *
smb2_domain(Smb2Service *service)
{
    static Smb2Domain domain;
    static gsize once;
    if (g_once_init_enter(&once)) {
        load_domain(service->host, &domain);
        g_once_init_leave(&once, 1);
    }
    return &domain;
}

/* ---- Reading ------------------------------------------------------------------------------------------------------
 */

typedef struct {
    LaresAttrs attrs;
    LaresAcl *acl;
    uint16_t control;
    gboolean exact; /* the note holds */
    const uint8_t *dacl;
    size_t dacl_len;
} Security;

static uint32_t
load(Smb2Op *op, const LaresObject *object, Security *s)
{
    LaresFiles *files = op->service->files;
    size_t len;
    *s = (Security){0};
    LaresStatus status = lares_files_getattr(files, &op->caller, object,
                                             LARES_ATTR_MODE | LARES_ATTR_UID | LARES_ATTR_GID, &s->attrs, NULL);
    if (status != LARES_OK)
        return smb2_status(status);
    if (lares_files_get_acl(files, &op->caller, object, &s->acl) != LARES_OK)
        s->acl = lares_acl_from_mode(s->attrs.mode, object->node->type == LARES_TYPE_DIRECTORY);
    uint8_t *note = lares_arena_alloc(op->arena, NOTE_BYTES);
    if (lares_files_get_note(files, object, NOTE, note, NOTE_BYTES, &len) != LARES_OK || len < 2)
        return STATUS_SUCCESS;
    Smb2Descriptor sd = {.control = smb2_get_u16(note), .dacl = len > 2 ? note + 2 : NULL, .dacl_len = len - 2};
    g_autoptr(LaresAcl) meant = smb2_descriptor_acl(&sd, smb2_domain(op->service), s->attrs.uid, s->attrs.gid);
    if (meant && lares_acl_equal(meant, s->acl)) {
        s->exact = TRUE;
        s->control = sd.control;
        s->dacl = sd.dacl;
        s->dacl_len = sd.dacl_len;
    }
    return STATUS_SUCCESS;
}

uint32_t
smb2_security_query(Smb2Op *op, uint32_t wanted)
{
    Security s;
    const Smb2Domain *domain = smb2_domain(op->service);
    uint32_t needed = wanted & SMB2_SACL_INFORMATION ? SMB2_ACCESS_SYSTEM_SECURITY : 0;
    wanted &= SMB2_OWNER_INFORMATION | SMB2_GROUP_INFORMATION | SMB2_DACL_INFORMATION | SMB2_SACL_INFORMATION;
    if (wanted & ~SMB2_SACL_INFORMATION)
        needed |= SMB2_READ_CONTROL;
    if (needed & ~op->open->granted)
        return STATUS_ACCESS_DENIED;
    uint32_t status = load(op, smb2_open_file(op->open), &s);
    if (status != STATUS_SUCCESS)
        return status;
    /* What is shown is what is granted: a client that adds an entry sends the others back as it saw them. */
    if (!s.exact)
        smb2_round_up_acl(s.acl, s.attrs.mode, op->open->is_directory);
    Smb2Sid owner = smb2_sid_of_uid(domain, s.attrs.uid), group = smb2_sid_of_gid(domain, s.attrs.gid);
    smb2_put_descriptor(op->out, domain, wanted, s.control, &owner, &group, s.exact ? s.dacl : NULL, s.dacl_len,
                        s.exact ? NULL : s.acl, s.attrs.uid, s.attrs.gid);
    lares_acl_free(s.acl);
    return STATUS_SUCCESS;
}

/* ---- Setting ------------------------------------------------------------------------------------------------------
 */

static uint32_t
set_owners(Smb2Op *op, const LaresObject *object, uint32_t given, const Smb2Descriptor *sd)
{
    LaresSetAttrs set = {0};
    LaresAttrs attrs;
    gboolean group;
    const Smb2Domain *domain = smb2_domain(op->service);
    LaresStatus status =
        lares_files_getattr(op->service->files, &op->caller, object, LARES_ATTR_UID | LARES_ATTR_GID, &attrs, NULL);
    if (status != LARES_OK)
        return smb2_status(status);
    if (given & SMB2_OWNER_INFORMATION && sd->has_owner) {
        if (!smb2_sid_to_id(domain, &sd->owner, &set.uid, &group) || group)
            return STATUS_INVALID_OWNER;
        set.mask |= set.uid != attrs.uid ? LARES_ATTR_UID : 0;
    }
    if (given & SMB2_GROUP_INFORMATION && sd->has_group) {
        if (!smb2_sid_to_id(domain, &sd->group, &set.gid, &group) || !group)
            return STATUS_INVALID_OWNER;
        set.mask |= set.gid != attrs.gid ? LARES_ATTR_GID : 0;
    }
    if (!set.mask)
        return STATUS_SUCCESS;
    status = lares_files_setattr(op->service->files, &op->caller, object, NULL, &set);
    return status == LARES_PERM ? STATUS_INVALID_OWNER : smb2_status(status);
}

static uint32_t
set_dacl(Smb2Op *op, const LaresObject *object, const Smb2Descriptor *sd)
{
    LaresFiles *files = op->service->files;
    LaresAttrs attrs;
    LaresStatus status = lares_files_getattr(files, &op->caller, object, LARES_ATTR_UID | LARES_ATTR_GID, &attrs, NULL);
    if (status != LARES_OK)
        return smb2_status(status);
    g_autoptr(LaresAcl) acl = smb2_descriptor_acl(sd, smb2_domain(op->service), attrs.uid, attrs.gid);
    if (!acl)
        return STATUS_INVALID_ACL;
    status = lares_files_set_acl(files, &op->caller, object, acl);
    if (status != LARES_OK)
        return smb2_status(status);
    uint16_t control = sd->control & KEPT;
    if ((sd->control & SMB2_SE_DACL_AUTO_INHERIT_REQ) == 0)
        control &= (uint16_t)~SMB2_SE_DACL_AUTO_INHERITED; /* only together with the request: [MS-DTYP] 2.5.3.4 */
    if (sd->dacl_len + 2 <= NOTE_BYTES) {
        uint8_t *note = lares_arena_alloc(op->arena, sd->dacl_len + 2);
        smb2_set_u16(note, control);
        if (sd->dacl_len)
            memcpy(note + 2, sd->dacl, sd->dacl_len);
        /* Without room for it the descriptor is made from the ACL. */
        lares_files_set_note(files, object, NOTE, note, sd->dacl_len + 2);
    }
    return STATUS_SUCCESS;
}

/* Generic rights in entries are stored as what they stand for. */
static void
map_generic_masks(uint8_t *dacl, size_t len)
{
    for (size_t at = 8; at + 8 <= len;) {
        size_t size = smb2_get_u16(dacl + at + 2);
        if (size < 8 || size > len - at)
            return;
        if (dacl[at] <= 1 && !(dacl[at + 1] & 0x08)) /* entries for heirs keep them */
            smb2_set_u32(dacl + at + 4, smb2_map_generic(smb2_get_u32(dacl + at + 4)));
        at += size;
    }
}

uint32_t
smb2_security_set(Smb2Op *op, const LaresObject *object, uint32_t granted, uint32_t given, const uint8_t *bytes,
                  size_t len)
{
    Smb2Descriptor sd;
    uint32_t needed = 0;
    if (given & (SMB2_OWNER_INFORMATION | SMB2_GROUP_INFORMATION))
        needed |= SMB2_WRITE_OWNER;
    if (given & SMB2_DACL_INFORMATION)
        needed |= SMB2_WRITE_DAC;
    if (given & SMB2_SACL_INFORMATION)
        needed |= SMB2_ACCESS_SYSTEM_SECURITY;
    if (needed & ~granted)
        return STATUS_ACCESS_DENIED;
    uint8_t *copy = lares_arena_memdup(op->arena, bytes, len);
    if (!smb2_descriptor_parse(copy, len, &sd))
        return STATUS_INVALID_SECURITY_DESCR;
    if (sd.dacl)
        map_generic_masks(copy + (sd.dacl - copy), sd.dacl_len);
    uint32_t status = set_owners(op, object, given, &sd);
    if (status == STATUS_SUCCESS && given & SMB2_DACL_INFORMATION && sd.control & SMB2_SE_DACL_PRESENT)
        status = set_dacl(op, object, &sd);
    return status;
}
