/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Security of files: QUERY_INFO and SET_INFO of security descriptors.
 *
 * What counts is the object's ACL, which every protocol reads and sets. The descriptor that an SMB client set is kept
 * beside it (a note), and given back byte for byte as long as it still means that ACL; once somebody else changed the
 * ACL, owner or mode, a new one is made from it.
 *
 * Note: control (16 bits), then the DACL's bytes (none: a NULL DACL). An owner or group that is nobody here (a SID of
 * another domain, or one that many have) is told as it was set as long as the file's own stay what they were then; it
 * gives nobody a right. Note: uid, gid (32 bits each), then the owner's SID and the group's, each with its length (16
 * bits, 0: none) before it.
 *
 * Spec: [MS-SMB2] 3.3.5.20.3, 3.3.5.21.3; [MS-FSA] 2.1.5.14, 2.1.5.17. */
#include "smb2-info.h"

#include "smb2-sd.h"

#include <gio/gio.h>
#include <openssl/rand.h>

#define NOTE       "sd"
#define NOTE_NAMES "sdnames"
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
    if (g_file_get_contents(path, &bytes, &len, NULL) && len == sizeof domain->sub) {
        for (guint i = 0; i < 3; i++)
            domain->sub[i] = smb2_get_u32((const uint8_t *)bytes + 4 * i);
        return;
    }
    uint8_t fresh[sizeof domain->sub];
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
        domain.directory = service->directory;
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

/* ---- Owners that are nobody here ----------------------------------------------------------------------------------
 */

typedef struct {
    gboolean has_owner, has_group;
    Smb2Sid owner, group;
} Names;

#define NAMES_MAX (8 + 2 * (2 + 8 + 4 * SMB2_SID_SUB_MAX))

static gboolean
get_name(LaresReader *r, Smb2Sid *sid)
{
    uint16_t len = lares_get_le16(r);
    const uint8_t *bytes = len ? lares_get_bytes(r, len) : NULL;
    return bytes && smb2_sid_parse(bytes, len, sid, NULL);
}

static void
load_names(Smb2Op *op, const LaresObject *object, const LaresAttrs *attrs, Names *names)
{
    uint8_t note[NAMES_MAX];
    size_t len;
    *names = (Names){0};
    if (lares_files_get_note(op->service->files, object, NOTE_NAMES, note, sizeof note, &len) != LARES_OK)
        return;
    LaresReader r = lares_reader(note, len);
    uint32_t uid = lares_get_le32(&r), gid = lares_get_le32(&r);
    if (r.failed)
        return;
    names->has_owner = get_name(&r, &names->owner) && uid == attrs->uid;
    names->has_group = get_name(&r, &names->group) && gid == attrs->gid;
}

static void
put_name(LaresWriter *w, gboolean has, const Smb2Sid *sid)
{
    lares_put_le16(w, has ? (uint16_t)(8 + 4 * sid->n) : 0);
    if (has)
        smb2_put_sid(w, sid);
}

static LaresStatus
save_names(Smb2Op *op, const LaresObject *object, const LaresAttrs *attrs, const Names *names)
{
    uint8_t note[NAMES_MAX];
    LaresWriter w = {.base = note, .cap = sizeof note, .limit = sizeof note};
    if (!names->has_owner && !names->has_group)
        return lares_files_set_note(op->service->files, object, NOTE_NAMES, NULL, 0);
    lares_put_le32(&w, attrs->uid);
    lares_put_le32(&w, attrs->gid);
    put_name(&w, names->has_owner, &names->owner);
    put_name(&w, names->has_group, &names->group);
    return lares_files_set_note(op->service->files, object, NOTE_NAMES, note, w.len);
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
    Names names = {0};
    if (wanted & (SMB2_OWNER_INFORMATION | SMB2_GROUP_INFORMATION))
        load_names(op, smb2_open_file(op->open), &s.attrs, &names);
    if (names.has_owner)
        owner = names.owner;
    if (names.has_group)
        group = names.group;
    smb2_put_descriptor(op->out, domain, wanted, s.control, &owner, &group, s.exact ? s.dacl : NULL, s.dacl_len,
                        s.exact ? NULL : s.acl, s.attrs.uid, s.attrs.gid);
    lares_acl_free(s.acl);
    return STATUS_SUCCESS;
}

/* ---- Setting ------------------------------------------------------------------------------------------------------
 */

/* Owner and group change as the file system lets them; those that it cannot have are kept as names. */
static uint32_t
set_owners(Smb2Op *op, const LaresObject *object, uint32_t given, const Smb2Descriptor *sd)
{
    LaresSetAttrs set = {0};
    LaresAttrs attrs;
    Names names;
    gboolean group;
    LaresFiles *files = op->service->files;
    const Smb2Domain *domain = smb2_domain(op->service);
    LaresStatus status = lares_files_getattr(files, &op->caller, object, LARES_ATTR_UID | LARES_ATTR_GID, &attrs, NULL);
    if (status != LARES_OK)
        return smb2_status(status);
    load_names(op, object, &attrs, &names);
    gboolean named = names.has_owner || names.has_group;
    if (given & SMB2_OWNER_INFORMATION && sd->has_owner) {
        names.has_owner = !smb2_sid_to_id(domain, &sd->owner, &set.uid, &group) || group;
        names.owner = sd->owner;
        set.mask |= !names.has_owner && set.uid != attrs.uid ? LARES_ATTR_UID : 0;
    }
    if (given & SMB2_GROUP_INFORMATION && sd->has_group) {
        names.has_group = !smb2_sid_to_id(domain, &sd->group, &set.gid, &group) || !group;
        names.group = sd->group;
        set.mask |= !names.has_group && set.gid != attrs.gid ? LARES_ATTR_GID : 0;
    }
    if (set.mask)
        status = lares_files_setattr(files, &op->caller, object, NULL, &set);
    if (status == LARES_OK && set.mask & LARES_ATTR_UID)
        attrs.uid = set.uid;
    if (status == LARES_OK && set.mask & LARES_ATTR_GID)
        attrs.gid = set.gid;
    if (status == LARES_OK && (named || names.has_owner || names.has_group))
        status = save_names(op, object, &attrs, &names);
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
    if (status == STATUS_SUCCESS && given & SMB2_DACL_INFORMATION) {
        sd.control |= SMB2_SE_DACL_PRESENT; /* none that is there, or none at all: everybody may everything */
        status = set_dacl(op, object, &sd);
    }
    return status;
}

/* ---- Inheriting ---------------------------------------------------------------------------------------------------
 */

#define ACE_HEAD  8u /* type, flags, size, mask */
#define OI        0x01u
#define CI        0x02u
#define NP        0x04u
#define IO        0x08u
#define INHERITED 0x10u

typedef struct {
    uint8_t type, flags;
    uint32_t mask;
    const uint8_t *sid; /* and whatever follows it in entries of other kinds */
    size_t sid_len;
} Entry;

static gboolean
next_entry(const uint8_t *dacl, size_t len, size_t *at, Entry *e)
{
    if (*at + ACE_HEAD > len)
        return FALSE;
    const uint8_t *p = dacl + *at;
    size_t size = smb2_get_u16(p + 2);
    if (size < ACE_HEAD || size > len - *at)
        return FALSE;
    *e = (Entry){p[0], p[1], smb2_get_u32(p + 4), p + ACE_HEAD, size - ACE_HEAD};
    *at += size;
    return TRUE;
}

static gboolean
is_creator(const Entry *e, uint32_t which)
{
    Smb2Sid sid;
    return e->type <= LARES_ACE_DENY && smb2_sid_parse(e->sid, e->sid_len, &sid, NULL) && sid.authority == 3 &&
           sid.n == 1 && sid.sub[0] == which;
}

gboolean
smb2_security_limits_owner(Smb2Op *op, const LaresObject *object)
{
    Security s;
    Entry e;
    gboolean found = FALSE;
    if (load(op, object, &s) != STATUS_SUCCESS)
        return FALSE;
    for (size_t at = 8; s.exact && s.dacl && !found && next_entry(s.dacl, s.dacl_len, &at, &e);)
        found = is_creator(&e, 4) && !(e.flags & IO);
    lares_acl_free(s.acl);
    return found;
}

static void
put_entry(LaresWriter *w, const Entry *e, uint32_t flags)
{
    lares_put_u8(w, e->type);
    lares_put_u8(w, (uint8_t)flags);
    lares_put_le16(w, (uint16_t)(ACE_HEAD + e->sid_len));
    lares_put_le32(w, e->mask);
    lares_put_bytes(w, e->sid, e->sid_len);
}

typedef struct {
    gboolean directory;
    uint32_t mark;                /* INHERITED or 0 */
    uint8_t owner[68], group[68]; /* SIDs of who makes the object */
    size_t owner_len, group_len;
} Heir;

/* One entry of the directory becomes none, one or two of the object's ([MS-DTYP] 2.5.3.4.1). Returns how many. */
static guint
inherit_entry(LaresWriter *w, const Entry *e, const Heir *heir)
{
    Entry own = *e;
    if (heir->directory ? !(e->flags & CI) : !(e->flags & OI)) {
        if (!heir->directory || !(e->flags & OI) || e->flags & NP)
            return 0;
        put_entry(w, e, OI | IO | heir->mark); /* for files below only */
        return 1;
    }
    if (is_creator(e, 0))
        own.sid = heir->owner, own.sid_len = heir->owner_len;
    else if (is_creator(e, 1))
        own.sid = heir->group, own.sid_len = heir->group_len;
    if (own.type <= LARES_ACE_DENY)
        own.mask = smb2_map_generic(own.mask);
    gboolean hands_on = heir->directory && !(e->flags & NP), same = own.sid == e->sid && own.mask == e->mask;
    put_entry(w, &own, (hands_on && same ? e->flags & (OI | CI) : 0) | heir->mark);
    if (!hands_on || same)
        return 1;
    put_entry(w, e, (e->flags & (OI | CI)) | IO | heir->mark);
    return 2;
}

static size_t
sid_bytes(const Smb2Sid *sid, uint8_t *buf, size_t size)
{
    LaresWriter w = {.base = buf, .cap = size, .limit = size};
    smb2_put_sid(&w, sid);
    return w.len;
}

void
smb2_security_inherit(Smb2Op *op, const LaresObject *directory, const LaresObject *object)
{
    Security s;
    Entry e;
    LaresAttrs attrs;
    guint n = 0;
    size_t len;
    uint8_t probe[2];
    const Smb2Domain *domain = smb2_domain(op->service);
    /* Most directories have no descriptor that was set: that is all it costs there. */
    if (lares_files_get_note(op->service->files, directory, NOTE, probe, sizeof probe, &len) != LARES_TOOSMALL ||
        load(op, directory, &s) != STATUS_SUCCESS)
        return;
    lares_acl_free(s.acl);
    if (!s.exact || !s.dacl ||
        lares_files_getattr(op->service->files, &op->caller, object, LARES_ATTR_UID | LARES_ATTR_GID, &attrs, NULL) !=
            LARES_OK)
        return;
    gboolean automatic = (s.control & SMB2_SE_DACL_AUTO_INHERITED) != 0;
    Heir heir = {.directory = object->node->type == LARES_TYPE_DIRECTORY, .mark = automatic ? INHERITED : 0};
    Smb2Sid owner = smb2_sid_of_uid(domain, attrs.uid), group = smb2_sid_of_gid(domain, attrs.gid);
    heir.owner_len = sid_bytes(&owner, heir.owner, sizeof heir.owner);
    heir.group_len = sid_bytes(&group, heir.group, sizeof heir.group);
    size_t room = 8 + 2 * s.dacl_len + 2 * sizeof heir.owner * LARES_ACL_MAX;
    LaresWriter w = {.base = lares_arena_alloc(op->arena, room), .cap = room, .limit = room};
    lares_put_le32(&w, 2);
    lares_put_le32(&w, 0);
    for (size_t at = 8; next_entry(s.dacl, s.dacl_len, &at, &e);)
        n += inherit_entry(&w, &e, &heir);
    if (n == 0 || w.failed || w.len > UINT16_MAX)
        return;
    smb2_patch_u16(&w, 2, (uint16_t)w.len);
    smb2_patch_u16(&w, 4, (uint16_t)n);
    Smb2Descriptor sd = {.control = SMB2_SE_DACL_PRESENT |
                                    (automatic ? SMB2_SE_DACL_AUTO_INHERITED | SMB2_SE_DACL_AUTO_INHERIT_REQ : 0),
                         .dacl = w.base,
                         .dacl_len = w.len};
    set_dacl(op, object, &sd); /* where that is refused it has what the core let it inherit */
}
