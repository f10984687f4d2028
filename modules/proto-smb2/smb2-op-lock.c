/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* LOCK: byte ranges, taken or given back, one after the other.
 *
 * Spec: [MS-SMB2] 3.3.5.14; [MS-FSA] 2.1.5.8, 2.1.5.9. */
#include "smb2-open.h"
#include "smb2-session.h"

#define ELEMENT   24
#define MAX_LOCKS 4096 /* what fits into a command that one credit pays for is fewer */

typedef struct {
    uint64_t start, length;
    uint32_t flags;
} Element;

static Element
element_at(const uint8_t *body, guint i)
{
    const uint8_t *p = body + 24 + (size_t)i * ELEMENT;
    return (Element){smb2_get_u64(p), smb2_get_u64(p + 8), smb2_get_u32(p + 16)};
}

static uint32_t
wire_status(LaresStatus status)
{
    switch (status) {
    case LARES_NOENT:
        return STATUS_RANGE_NOT_LOCKED;
    case LARES_BAD_RANGE:
        return STATUS_INVALID_LOCK_RANGE;
    case LARES_DELAY:
        return STATUS_INSUFFICIENT_RESOURCES;
    default:
        return smb2_status(status);
    }
}

/* ---- A request that was sent again ([MS-SMB2] 3.3.5.14, LockSequence)
 * ------------------------------------------------ */

/* The slot of the request's number, NULL: it has none. */
static uint8_t *
slot_of(const Smb2Op *op, uint8_t *number)
{
    uint32_t sequence = smb2_get_u32(op->body + 4);
    uint32_t index = sequence >> 4;
    *number = (uint8_t)(sequence & 15);
    if (index == 0 || index > SMB2_LOCK_SEQUENCES)
        return NULL;
    if (op->connection->dialect < SMB2_DIALECT_300 && op->open->durability == SMB2_NOT_DURABLE)
        return NULL;
    return &op->open->lock_sequence[index - 1];
}

/* TRUE: this very request was answered before. */
static gboolean
seen_before(Smb2Op *op)
{
    uint8_t number;
    gboolean seen = FALSE;
    uint8_t *slot = slot_of(op, &number);
    if (!slot || smb2_op_is_retry(op))
        return FALSE;
    g_mutex_lock(&op->open->lock);
    seen = *slot == number + 1;
    if (!seen)
        *slot = 0;
    g_mutex_unlock(&op->open->lock);
    return seen;
}

/* What is known of a request once it was done. */
typedef struct {
    Smb2Open *open; /* a reference */
    uint8_t *slot;  /* NULL: nothing is */
    uint8_t number;
} Memory;

static void
remember(gpointer data)
{
    Memory *memory = data;
    if (!memory->slot)
        return;
    g_mutex_lock(&memory->open->lock);
    *memory->slot = (uint8_t)(memory->number + 1);
    g_mutex_unlock(&memory->open->lock);
}

static void
memory_free(gpointer data)
{
    Memory *memory = data;
    smb2_open_unref(memory->open);
    g_free(memory);
}

/* ---- Taking and giving back ----------------------------------------------------------------------------------------
 */

static uint32_t
unlock_all(Smb2Op *op, guint n)
{
    for (guint i = 0; i < n; i++) {
        Element e = element_at(op->body, i);
        if (e.flags != SMB2_LOCKFLAG_UNLOCK)
            return STATUS_INVALID_PARAMETER; /* those before it stay given back: 3.3.5.14.1 */
        LaresStatus status = lares_range_unlock(op->open->open, e.start, e.length);
        if (status != LARES_OK)
            return wire_status(status);
    }
    return STATUS_SUCCESS;
}

static uint32_t
check_locks(Smb2Op *op, guint n)
{
    for (guint i = 0; i < n; i++) {
        uint32_t flags = element_at(op->body, i).flags;
        uint32_t kind = flags & ~SMB2_LOCKFLAG_FAIL_IMMEDIATELY;
        if (kind != SMB2_LOCKFLAG_SHARED_LOCK && kind != SMB2_LOCKFLAG_EXCLUSIVE_LOCK)
            return STATUS_INVALID_PARAMETER;
        if (n > 1 && !(flags & SMB2_LOCKFLAG_FAIL_IMMEDIATELY))
            return STATUS_INVALID_PARAMETER;
    }
    return STATUS_SUCCESS;
}

static uint32_t
wait_for(Smb2Op *op, const Element *e, uint64_t seen)
{
    Memory *memory = g_new0(Memory, 1);
    memory->open = smb2_open_ref(op->open);
    memory->slot = slot_of(op, &memory->number);
    return smb2_park_for_lock(op, op->open->object.node, seen, op->open->open, e->start, e->length,
                              (e->flags & SMB2_LOCKFLAG_EXCLUSIVE_LOCK) != 0, remember, memory, memory_free);
}

/* All or none. */
static uint32_t
lock_all(Smb2Op *op, guint n)
{
    LaresOpen *open = op->open->open;
    uint64_t seen = 0;
    uint32_t status = check_locks(op, n);
    for (guint i = 0; i < n && status == STATUS_SUCCESS; i++) {
        Element e = element_at(op->body, i);
        LaresStatus got =
            lares_range_lock(open, e.start, e.length, (e.flags & SMB2_LOCKFLAG_EXCLUSIVE_LOCK) != 0, &seen);
        if (got == LARES_DENIED && !(e.flags & SMB2_LOCKFLAG_FAIL_IMMEDIATELY))
            return wait_for(op, &e, seen);
        status = wire_status(got);
        while (status != STATUS_SUCCESS && i > 0) {
            e = element_at(op->body, --i);
            lares_range_unlock(open, e.start, e.length);
        }
    }
    return status;
}

/* An expired session gives back what it has and takes nothing new. [MS-SMB2] 3.3.5.2.9 lets all of LOCK pass; Windows
 * and Samba, and their clients, have it so, and a lock is access like a READ. */
static gboolean
takes_when_expired(Smb2Op *op)
{
    return !(element_at(op->body, 0).flags & SMB2_LOCKFLAG_UNLOCK) && !smb2_op_is_retry(op) &&
           smb2_session_state(op->session) == SMB2_SESSION_EXPIRED;
}

uint32_t
smb2_op_lock(Smb2Op *op)
{
    guint n = smb2_get_u16(op->body + 2);
    uint32_t status = smb2_op_file(op, op->body + 8);
    if (status == STATUS_FILE_CLOSED && smb2_op_is_retry(op))
        return STATUS_RANGE_NOT_LOCKED; /* closed while it waited */
    if (status != STATUS_SUCCESS)
        return status;
    if (n == 0 || n > MAX_LOCKS || op->body_len < 24 + (size_t)n * ELEMENT)
        return STATUS_INVALID_PARAMETER;
    if (op->open->is_directory)
        return STATUS_INVALID_PARAMETER;
    if (takes_when_expired(op))
        return STATUS_NETWORK_SESSION_EXPIRED;
    if (!seen_before(op)) {
        uint32_t first = element_at(op->body, 0).flags;
        if (first & SMB2_LOCKFLAG_UNLOCK)
            status = unlock_all(op, n);
        else if (op->open->granted & (SMB2_FILE_READ_DATA | SMB2_FILE_WRITE_DATA | SMB2_FILE_EXECUTE))
            status = lock_all(op, n);
        else
            status = STATUS_ACCESS_DENIED;
        if (status == STATUS_SUCCESS) {
            Memory memory = {.open = op->open};
            memory.slot = slot_of(op, &memory.number);
            remember(&memory);
        }
    }
    smb2_put_u16(op->out, 4);
    smb2_put_u16(op->out, 0);
    return status;
}
