/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CREATE: opens or makes a file, directory or pipe.
 *
 * Spec: [MS-SMB2] 3.3.5.9; [MS-FSA] 2.1.5.1. */
#include "smb2-create.h"

#include <string.h>

#define KNOWN_OPTIONS    0x00ffffffu
#define IGNORED_ACCESS   0x0ce0fe00u /* no right has these bits */
#define KNOWN_ATTRIBUTES 0x0000ffb7u
#define ATTRIBUTES_ONLY  (SMB2_FILE_READ_ATTRIBUTES | SMB2_FILE_WRITE_ATTRIBUTES | SMB2_SYNCHRONIZE)
#define MAX_TRIES        8

static gboolean
overwrites(uint32_t disposition)
{
    return disposition == SMB2_FILE_SUPERSEDE || disposition == SMB2_FILE_OVERWRITE ||
           disposition == SMB2_FILE_OVERWRITE_IF;
}

static uint32_t
parse(Smb2Op *op, Smb2Create *c)
{
    const uint8_t *b = op->body;
    c->oplock = b[3];
    c->impersonation = smb2_get_u32(b + 4);
    c->desired = smb2_get_u32(b + 24);
    c->attributes = smb2_get_u32(b + 28);
    c->share = smb2_get_u32(b + 32);
    c->disposition = smb2_get_u32(b + 36);
    c->options = smb2_get_u32(b + 40);
    c->name_len = smb2_get_u16(b + 46);
    c->name = smb2_op_buffer(op, smb2_get_u16(b + 44), c->name_len);
    size_t len = smb2_get_u32(b + 52);
    const uint8_t *contexts = smb2_op_buffer(op, smb2_get_u32(b + 48), len);
    if (!c->name || !contexts || c->name_len % 2 || (len && smb2_get_u32(b + 48) % 8))
        return STATUS_INVALID_PARAMETER;
    return smb2_create_contexts_parse(contexts, len, &c->contexts);
}

static uint32_t
check(const Smb2Op *op, const Smb2Create *c)
{
    gboolean directory = (c->options & SMB2_FILE_DIRECTORY_FILE) != 0;
    if (c->impersonation > SMB2_IMPERSONATION_DELEGATE)
        return STATUS_BAD_IMPERSONATION_LEVEL;
    if (c->options & ~KNOWN_OPTIONS || c->disposition > SMB2_FILE_OVERWRITE_IF || c->share > 7)
        return STATUS_INVALID_PARAMETER;
    if (c->options & (SMB2_FILE_OPEN_BY_FILE_ID | SMB2_FILE_RESERVE_OPFILTER | 0x80u))
        return STATUS_NOT_SUPPORTED;
    if (directory && (c->options & SMB2_FILE_NON_DIRECTORY_FILE || overwrites(c->disposition)))
        return STATUS_INVALID_PARAMETER;
    if (c->desired & SMB2_ACCESS_SYSTEM_SECURITY)
        return STATUS_PRIVILEGE_NOT_HELD;
    if (!c->desired || c->desired & IGNORED_ACCESS)
        return STATUS_ACCESS_DENIED;
    if (c->attributes & ~KNOWN_ATTRIBUTES)
        return STATUS_INVALID_PARAMETER;
    if (c->contexts.twrp)
        return STATUS_OBJECT_NAME_NOT_FOUND; /* there are no snapshots */
    return STATUS_SUCCESS;
}

/* ---- Rights ------------------------------------------------------------------------------------------------------ */

static uint32_t
grant_existing(Smb2Op *op, Smb2Create *c, uint32_t *granted)
{
    uint32_t desired = smb2_map_generic(c->desired);
    uint32_t status =
        smb2_maximal_access(op, c->base.node ? &c->base : &c->target.found, &c->target.parent, &c->maximal);
    if (status != STATUS_SUCCESS)
        return status;
    c->has_maximal = TRUE;
    *granted = desired & ~SMB2_MAXIMUM_ALLOWED;
    if (desired & SMB2_MAXIMUM_ALLOWED)
        *granted |= c->maximal;
    uint32_t needed = *granted;
    if (overwrites(c->disposition))
        needed |= SMB2_FILE_WRITE_DATA;
    return needed & ~c->maximal ? STATUS_ACCESS_DENIED : STATUS_SUCCESS;
}

static void
grant_new(Smb2Op *op, Smb2Create *c, uint32_t *granted)
{
    uint32_t desired = smb2_map_generic(c->desired);
    c->maximal = SMB2_FILE_ALL_ACCESS & op->tree->maximal_access;
    c->has_maximal = TRUE;
    *granted = desired & ~SMB2_MAXIMUM_ALLOWED;
    if (desired & SMB2_MAXIMUM_ALLOWED)
        *granted |= c->maximal;
}

/* ---- Opening ----------------------------------------------------------------------------------------------------- */

/* Directories have leases of version 2 only, and only where NEGOTIATE agreed on them ([MS-SMB2] 3.3.5.9.11). */
static gboolean
leases_possible(const Smb2Op *op, const Smb2Create *c, gboolean directory)
{
    if (c->oplock != SMB2_OPLOCK_LEVEL_LEASE || !c->contexts.has_lease || op->connection->dialect < SMB2_DIALECT_210)
        return FALSE;
    return !directory ||
           (c->contexts.lease.version == 2 && op->connection->server_capabilities & SMB2_GLOBAL_CAP_DIRECTORY_LEASING);
}

/* A key names the lease of one file ([MS-SMB2] 3.3.5.9.8). */
static gboolean
key_is_elsewhere(const Smb2Op *op, const Smb2Create *c, const LaresNode *node)
{
    if (c->oplock != SMB2_OPLOCK_LEVEL_LEASE || !c->contexts.has_lease || op->connection->dialect < SMB2_DIALECT_210)
        return FALSE;
    Smb2Lease *used = smb2_lease_find(op->service, op->connection->client_guid, c->contexts.lease.key);
    if (!used)
        return FALSE;
    gboolean elsewhere = lares_lease_node(used->core) != node;
    smb2_lease_unref(used);
    return elsewhere;
}

static void
drop_lease(Smb2Open *open)
{
    g_clear_pointer(&open->lease, smb2_lease_unref);
    open->oplock = SMB2_OPLOCK_LEVEL_NONE;
}

/* What this CREATE changes does not end the lease of the directory that its client holds and names ([MS-FSA]
 * 2.1.4.12.2). */
static void
spare_parent(const Smb2Op *op, Smb2Create *c)
{
    const Smb2LeaseRequest *lease = &c->contexts.lease;
    if (c->oplock != SMB2_OPLOCK_LEVEL_LEASE || !c->contexts.has_lease || lease->version != 2 ||
        !(lease->flags & SMB2_LEASE_FLAG_PARENT_LEASE_KEY))
        return;
    memcpy(c->parent_key, op->connection->client_guid, 16);
    memcpy(c->parent_key + 16, lease->parent_key, 16);
    lares_leases_spare(c->parent_key);
}

/* The lease or oplock that the new open is to hold: into open->lease, or none. */
static uint32_t
prepare_lease(Smb2Op *op, Smb2Create *c, LaresNode *node, uint32_t *want)
{
    Smb2Open *open = c->open;
    gboolean directory = node->type == LARES_TYPE_DIRECTORY;
    *want = 0;
    open->oplock = SMB2_OPLOCK_LEVEL_NONE;
    if (leases_possible(op, c, directory)) {
        *want = c->contexts.lease.state & (LARES_LEASE_READ | LARES_LEASE_HANDLE | LARES_LEASE_WRITE);
        open->oplock = SMB2_OPLOCK_LEVEL_LEASE;
        uint32_t status = smb2_lease_get(op, node, &c->contexts.lease, &open->lease);
        if (status == STATUS_SUCCESS && directory &&
            lares_lease_watch_directory(open->lease->core, open->lease->table_key) != LARES_OK)
            drop_lease(open); /* local programs could change it unseen */
        return status;
    }
    if (directory || c->oplock == SMB2_OPLOCK_LEVEL_LEASE || !smb2_lease_of_oplock(c->oplock))
        return STATUS_SUCCESS;
    *want = smb2_lease_of_oplock(c->oplock);
    open->oplock = c->oplock;
    open->lease = smb2_lease_for_oplock(op, node);
    return STATUS_SUCCESS;
}

static void
fill_open(Smb2Create *c, const LaresObject *object, uint32_t granted, uint32_t action)
{
    Smb2Open *open = c->open;
    lares_object_copy(&open->object, object);
    if (c->target.parent.node)
        lares_object_copy(&open->parent, &c->target.parent);
    open->name = g_strdup(c->target.name);
    open->path = g_strdup(c->target.path);
    open->stream = g_strdup(c->target.stream);
    if (c->base.node)
        lares_object_copy(&open->base, &c->base);
    open->is_directory = object->node->type == LARES_TYPE_DIRECTORY && !c->target.stream;
    open->granted = granted;
    open->options = c->options;
    open->share_access = c->share;
    open->attributes = c->attributes;
    open->action = action;
    if (c->contexts.alsi && !open->is_directory && action != SMB2_ACTION_OPENED && c->contexts.allocation <= INT64_MAX)
        open->allocation = (c->contexts.allocation + 4095) & ~UINT64_C(4095);
    open->delete_on_close = (c->options & SMB2_FILE_DELETE_ON_CLOSE) != 0;
}

static uint32_t
check_type(Smb2Op *op, const Smb2Create *c)
{
    LaresFileType type = c->target.found.node->type;
    if (c->disposition == SMB2_FILE_CREATE && !c->stream_made)
        return STATUS_OBJECT_NAME_COLLISION;
    if (type == LARES_TYPE_SYMLINK && !(c->options & SMB2_FILE_OPEN_REPARSE_POINT)) {
        if (smb2_symlink_answer)
            smb2_symlink_answer(op, &c->target.found, 0);
        return STATUS_STOPPED_ON_SYMLINK;
    }
    if (type == LARES_TYPE_DIRECTORY) {
        if (c->options & SMB2_FILE_NON_DIRECTORY_FILE)
            return STATUS_FILE_IS_A_DIRECTORY;
        return overwrites(c->disposition) ? STATUS_INVALID_PARAMETER : STATUS_SUCCESS;
    }
    return c->options & SMB2_FILE_DIRECTORY_FILE ? STATUS_NOT_A_DIRECTORY : STATUS_SUCCESS;
}

/* What the core's refusal of an open means; *again: try at once. */
static uint32_t
refused(Smb2Op *op, const Smb2Create *c, LaresNode *node, const LaresOpenHow *how, LaresStatus status, gboolean *again)
{
    if (status == LARES_DELAY && how->must_wait && c->making)
        return smb2_park_keeping(op, node, how->seen, smb2_making_ref(c->making), (GDestroyNotify)smb2_making_unref);
    if (status == LARES_DELAY && how->must_wait)
        return smb2_park_on(op, node, how->seen, NULL, 0);
    *again = status == LARES_DELAY;
    return smb2_status(status);
}

#define SETTABLE                                                                                                       \
    (SMB2_ATTR_READONLY | SMB2_ATTR_HIDDEN | SMB2_ATTR_SYSTEM | SMB2_ATTR_ARCHIVE | SMB2_ATTR_TEMPORARY |              \
     SMB2_ATTR_OFFLINE | SMB2_ATTR_NOT_INDEXED)

/* [MS-FSA] 2.1.5.1.2: what a read-only, hidden or system file does not let happen. */
static uint32_t
check_attributes(Smb2Op *op, const Smb2Create *c, uint32_t *granted)
{
    uint32_t has, status = smb2_object_attributes(op, c->base.node ? &c->base : &c->target.found, &has);
    if (status != STATUS_SUCCESS)
        return status;
    if (has & SMB2_ATTR_READONLY && c->options & SMB2_FILE_DELETE_ON_CLOSE)
        return STATUS_CANNOT_DELETE;
    if (has & SMB2_ATTR_READONLY && c->target.found.node->type == LARES_TYPE_REGULAR) {
        uint32_t writes = SMB2_FILE_WRITE_DATA | SMB2_FILE_APPEND_DATA;
        if (smb2_map_generic(c->desired) & writes || overwrites(c->disposition))
            return STATUS_ACCESS_DENIED;
        *granted &= ~writes; /* of what was asked for as the most there is */
    }
    if (overwrites(c->disposition) && has & ~c->attributes & (SMB2_ATTR_HIDDEN | SMB2_ATTR_SYSTEM))
        return STATUS_ACCESS_DENIED;
    return STATUS_SUCCESS;
}

/* Attributes of what was made or overwritten; a plain file needs none to be kept. */
static uint32_t
keep_attributes(Smb2Op *op, Smb2Create *c)
{
    gboolean made = c->open->action == SMB2_ACTION_CREATED;
    LaresDos dos = {.set = TRUE, .attributes = c->attributes & SETTABLE};
    if (!c->open->is_directory)
        dos.attributes |= SMB2_ATTR_ARCHIVE;
    c->nothing_kept = made && dos.attributes == (c->open->is_directory ? 0 : SMB2_ATTR_ARCHIVE);
    if (c->nothing_kept)
        return STATUS_SUCCESS;
    uint32_t has;
    if (!made && (smb2_object_attributes(op, &c->open->object, &has) != STATUS_SUCCESS || has == dos.attributes))
        return STATUS_SUCCESS;
    /* A store that can keep none shows none. */
    LaresStatus kept = lares_files_set_dos(op->service->files, &c->open->object, &dos);
    return kept == LARES_NOTSUPP ? STATUS_SUCCESS : smb2_status(kept);
}

/* A stream that is open keeps its file: who does not share its deletion stops whoever wants to delete the file, and the
 * file's name goes with the last of them ([MS-FSA] 2.1.5.1.2, 2.1.5.5). */
static uint32_t
hold_base(Smb2Op *op, Smb2Create *c, uint32_t granted)
{
    uint32_t deny = smb2_access_modes(granted) ? smb2_deny_modes(c->share) & LARES_DENY_DELETE : 0;
    LaresOpenHow how = {.deny = deny, .guard = TRUE, .quiet = TRUE};
    if (!c->base.node)
        return STATUS_SUCCESS;
    LaresHolder *holder = smb2_session_holder(op->session);
    LaresStatus status =
        lares_files_open_how(op->service->files, &op->caller, &c->base, &how, holder, &c->open->base_open);
    lares_holder_unref(holder);
    return smb2_status(status);
}

static uint32_t
open_existing(Smb2Op *op, Smb2Create *c, gboolean *again)
{
    LaresObject *object = &c->target.found;
    uint32_t granted, want, status = check_type(op, c);
    if (status == STATUS_SUCCESS)
        status = grant_existing(op, c, &granted);
    if (status == STATUS_SUCCESS)
        status = check_attributes(op, c, &granted);
    if (status == STATUS_SUCCESS && key_is_elsewhere(op, c, object->node))
        status = STATUS_INVALID_PARAMETER;
    if (status == STATUS_SUCCESS && c->options & SMB2_FILE_DELETE_ON_CLOSE && !(granted & SMB2_DELETE))
        status = STATUS_INVALID_PARAMETER;
    if (status == STATUS_SUCCESS)
        status = smb2_create_replace_instance(op, c, object->node);
    if (status == STATUS_SUCCESS)
        status = hold_base(op, c, granted);
    if (status == STATUS_SUCCESS)
        status = prepare_lease(op, c, object->node, &want);
    if (status != STATUS_SUCCESS)
        return status;
    gboolean overwrite = overwrites(c->disposition);
    uint32_t effective = granted | (overwrite ? SMB2_FILE_WRITE_DATA : 0);
    LaresOpenHow how = {.access = smb2_access_modes(effective),
                        .deny = smb2_deny_modes(c->share),
                        .io = object->node->type == LARES_TYPE_REGULAR ? smb2_access_io(effective) : 0,
                        .quiet = !(effective & ~(ATTRIBUTES_ONLY | SMB2_READ_CONTROL)),
                        .looks = (effective & SMB2_READ_CONTROL) != 0,
                        .overwrite = overwrite,
                        .lease = c->open->lease ? c->open->lease->core : NULL,
                        .lease_want = want};
    if (object->node->type != LARES_TYPE_REGULAR && object->node->type != LARES_TYPE_DIRECTORY && how.access & 3)
        return STATUS_ACCESS_DENIED;
    LaresHolder *holder = smb2_session_holder(op->session);
    LaresStatus opened = lares_files_open_how(op->service->files, &op->caller, object, &how, holder, &c->open->open);
    lares_holder_unref(holder);
    if (opened != LARES_OK)
        return refused(op, c, object->node, &how, opened, again);
    fill_open(c, object, granted,
              c->stream_made                          ? SMB2_ACTION_CREATED
              : c->disposition == SMB2_FILE_SUPERSEDE ? SMB2_ACTION_SUPERSEDED
              : overwrite                             ? SMB2_ACTION_OVERWRITTEN
                                                      : SMB2_ACTION_OPENED);
    if (overwrite && smb2_access_modes(granted) != how.access)
        lares_open_downgrade(c->open->open, smb2_access_modes(granted), how.deny);
    return STATUS_SUCCESS;
}

static uint32_t
make_new(Smb2Op *op, Smb2Create *c, gboolean *again)
{
    uint32_t granted, want, status = STATUS_SUCCESS;
    gboolean directory = (c->options & SMB2_FILE_DIRECTORY_FILE) != 0, created;
    LaresObject made = {NULL, NULL};
    if (c->disposition == SMB2_FILE_OPEN || c->disposition == SMB2_FILE_OVERWRITE)
        return STATUS_OBJECT_NAME_NOT_FOUND;
    grant_new(op, c, &granted);
    if (c->options & SMB2_FILE_DELETE_ON_CLOSE && !(granted & SMB2_DELETE))
        return STATUS_INVALID_PARAMETER;
    if (c->options & SMB2_FILE_DELETE_ON_CLOSE && c->attributes & SMB2_ATTR_READONLY)
        return STATUS_CANNOT_DELETE;
    if (key_is_elsewhere(op, c, NULL))
        return STATUS_INVALID_PARAMETER;
    LaresOpenHow how = {.access = smb2_access_modes(granted),
                        .deny = smb2_deny_modes(c->share),
                        .io = directory ? 0 : smb2_access_io(granted)};
    LaresCreate create = {.type = directory ? LARES_TYPE_DIRECTORY : LARES_TYPE_REGULAR, .exclusive = TRUE};
    LaresHolder *holder = smb2_session_holder(op->session);
    op->reply->serial = TRUE;
    LaresStatus opened = lares_files_create_how(op->service->files, &op->caller, &c->target.parent, c->target.name,
                                                &create, &how, holder, &made, &c->open->open, &created, NULL);
    lares_holder_unref(holder);
    if (opened == LARES_EXIST) {
        *again = c->disposition != SMB2_FILE_CREATE; /* somebody was faster */
        return STATUS_OBJECT_NAME_COLLISION;
    }
    if (opened != LARES_OK)
        return smb2_status(opened);
    fill_open(c, &made, granted, SMB2_ACTION_CREATED);
    status = prepare_lease(op, c, made.node, &want);
    if (status == STATUS_SUCCESS && c->open->lease)
        lares_open_set_lease(c->open->open, c->open->lease->core, want);
    lares_object_clear(&made);
    return STATUS_SUCCESS;
}

/* The target becomes the stream; what is missing (the file, the stream) is made where the disposition makes things. */
static uint32_t
find_stream(Smb2Op *op, Smb2Create *c)
{
    gboolean makes = c->disposition != SMB2_FILE_OPEN && c->disposition != SMB2_FILE_OVERWRITE, made = FALSE;
    uint32_t access = smb2_access_io(smb2_map_generic(c->desired));
    if (c->options & SMB2_FILE_DIRECTORY_FILE)
        return STATUS_NOT_A_DIRECTORY;
    if (!c->target.found.node) {
        LaresCreate how = {.type = LARES_TYPE_REGULAR, .exclusive = FALSE};
        LaresOpenHow quiet = {.quiet = TRUE};
        LaresOpen *open = NULL;
        LaresHolder *holder = smb2_session_holder(op->session);
        if (!makes) {
            lares_holder_unref(holder);
            return STATUS_OBJECT_NAME_NOT_FOUND;
        }
        LaresStatus status = lares_files_create_how(op->service->files, &op->caller, &c->target.parent, c->target.name,
                                                    &how, &quiet, holder, &c->target.found, &open, &made, NULL);
        lares_holder_unref(holder);
        if (status != LARES_OK)
            return smb2_status(status);
        lares_open_close(open);
        lares_open_unref(open);
    }
    LaresObject stream = {NULL, NULL};
    char real[LARES_NAME_LIMIT + 1];
    LaresStatus status =
        lares_files_stream_named(op->service->files, &op->caller, &c->target.found, c->target.stream, access, makes,
                                 c->disposition == SMB2_FILE_CREATE, &stream, &made, real);
    if (status != LARES_OK)
        return smb2_status(status);
    c->target.stream = lares_arena_strndup(op->arena, real, strlen(real));
    lares_object_clear(&c->base);
    c->base = c->target.found;
    c->target.found = stream;
    c->stream_made = made;
    return STATUS_SUCCESS;
}

/* One that nobody got. */
static void
drop_open(Smb2Create *c)
{
    if (c->open && c->open->base_open)
        lares_open_close(c->open->base_open);
    g_clear_pointer(&c->open, smb2_open_unref);
}

static uint32_t
open_or_make(Smb2Op *op, Smb2Create *c)
{
    uint32_t status = STATUS_INSUFFICIENT_RESOURCES;
    gboolean again = TRUE;
    for (int i = 0; i < MAX_TRIES && again; i++) {
        if (i > 0 && lares_store_moment())
            lares_store_moment_begin(); /* somebody else changed what was seen */
        again = FALSE;
        smb2_target_clear(&c->target);
        status = smb2_target_find(op, c->name, c->name_len, c->options, &c->target);
        if (status != STATUS_SUCCESS)
            return status;
        drop_open(c);
        c->open = smb2_open_new(op);
        if (c->target.stream)
            status = find_stream(op, c);
        if (status != STATUS_SUCCESS)
            return status;
        status = c->target.found.node ? open_existing(op, c, &again) : make_new(op, c, &again);
    }
    if (status != STATUS_SUCCESS)
        drop_open(c);
    return status;
}

static uint32_t
open_pipe(Smb2Op *op, Smb2Create *c)
{
    g_autofree char *name = NULL;
    if (!smb2_pipe_open)
        return STATUS_OBJECT_NAME_NOT_FOUND;
    uint16_t *units = lares_arena_alloc(op->arena, c->name_len + 2);
    for (size_t i = 0; i < c->name_len / 2; i++)
        units[i] = smb2_get_u16(c->name + 2 * i);
    name = g_utf16_to_utf8(units, (glong)(c->name_len / 2), NULL, NULL, NULL);
    if (!name)
        return STATUS_OBJECT_NAME_INVALID;
    Smb2Pipe *pipe = smb2_pipe_open(op, name);
    if (!pipe)
        return g_atomic_int_get(&op->session->n_pipes) >= SMB2_MAX_PIPES ? STATUS_INSUFFICIENT_RESOURCES
                                                                         : STATUS_OBJECT_NAME_NOT_FOUND;
    c->open = smb2_open_new(op);
    c->open->pipe = pipe;
    c->open->granted = SMB2_FILE_GENERIC_READ | SMB2_FILE_GENERIC_WRITE;
    c->open->path = g_steal_pointer(&name);
    c->open->action = SMB2_ACTION_OPENED;
    return STATUS_SUCCESS;
}

/* ---- Answer -------------------------------------------------------------------------------------------------------
 */

static uint32_t
answer(Smb2Op *op, Smb2Create *c)
{
    Smb2Basic basic;
    size_t offset, len, at = op->out->len;
    uint8_t id[SMB2_FILE_ID_SIZE];
    uint32_t status = c->nothing_kept ? smb2_basic_of_new(op, c->open, &basic) : smb2_basic_get(op, c->open, &basic);
    if (status != STATUS_SUCCESS)
        return status;
    smb2_open_file_id(c->open, id);
    smb2_put_u16(op->out, 89);
    smb2_put_u8(op->out, c->replayed && !c->contexts.has_lease ? c->oplock : smb2_open_oplock(c->open));
    smb2_put_u8(op->out, 0);
    smb2_put_u32(op->out, c->reconnected ? SMB2_ACTION_OPENED : c->open->action);
    smb2_put_u64(op->out, basic.created);
    smb2_put_u64(op->out, basic.accessed);
    smb2_put_u64(op->out, basic.written);
    smb2_put_u64(op->out, basic.changed);
    smb2_put_u64(op->out, basic.allocation);
    smb2_put_u64(op->out, basic.size);
    smb2_put_u32(op->out, basic.attributes);
    smb2_put_u32(op->out, 0);
    lares_put_bytes(op->out, id, sizeof id);
    smb2_put_u64(op->out, 0);
    smb2_create_contexts_answer(op, c, &offset, &len);
    smb2_patch_u32(op->out, at + 80, (uint32_t)offset);
    smb2_patch_u32(op->out, at + 84, (uint32_t)len);
    memcpy(op->chain->file_id, id, sizeof id);
    op->chain->has_file_id = TRUE;
    op->chain->failed = 0;
    return STATUS_SUCCESS;
}

/* What was opened is not to stay when the rest fails. */
static void
take_back(Smb2Create *c)
{
    if (c->open->action == SMB2_ACTION_CREATED)
        g_atomic_int_set(&c->open->delete_on_close, c->open->open != NULL); /* its tree may be closing it just now */
    smb2_open_close(c->open);
}

static uint32_t
finish(Smb2Op *op, Smb2Create *c)
{
    gboolean made = c->open->action != SMB2_ACTION_OPENED;
    uint32_t status = STATUS_SUCCESS;
    if (made && c->open->open && !c->open->stream)
        status = keep_attributes(op, c);
    if (status == STATUS_SUCCESS && made && c->open->open && smb2_create_apply)
        status = smb2_create_apply(op, c, c->open->action == SMB2_ACTION_CREATED);
    if (status == STATUS_SUCCESS) {
        smb2_create_durable_grant(op, c);
        status = smb2_opens_add(op->service->opens, c->open);
    }
    if (status == STATUS_SUCCESS)
        status = smb2_create_still_there(op);
    if (status != STATUS_SUCCESS)
        take_back(c);
    return status;
}

uint32_t
smb2_op_create(Smb2Op *op)
{
    Smb2Create c = {0};
    gboolean done = FALSE, added = FALSE;
    uint32_t status = parse(op, &c);
    if (status == STATUS_SUCCESS)
        spare_parent(op, &c);
    if (status == STATUS_SUCCESS && op->tree->pipe) {
        status = open_pipe(op, &c);
    } else if (status == STATUS_SUCCESS) {
        status = smb2_create_durable_reconnect(op, &c, &done);
        if (status == STATUS_SUCCESS && !done)
            status = check(op, &c);
        if (status == STATUS_SUCCESS && !done)
            status = open_or_make(op, &c);
    }
    if (status == STATUS_SUCCESS && !done) {
        status = finish(op, &c);
        added = status == STATUS_SUCCESS;
    }
    if (status == STATUS_SUCCESS)
        status = answer(op, &c);
    if (status != STATUS_SUCCESS && status != STATUS_PENDING && added)
        take_back(&c); /* nobody was told its number */
    else if (SMB2_STATUS_IS_ERROR(status) && c.reconnected && c.open)
        smb2_open_close(c.open); /* nor its new one, and what it made before stays */
    if (status != STATUS_SUCCESS && status != STATUS_PENDING)
        op->chain->failed = status;
    if (c.open)
        smb2_open_unref(c.open);
    if (status == STATUS_PENDING)
        smb2_making_unref(c.making);
    else
        smb2_making_end(c.making);
    lares_leases_spare(NULL);
    lares_object_clear(&c.base);
    smb2_target_clear(&c.target);
    return status;
}
