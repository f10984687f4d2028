/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What Windows keeps with a file: attributes, a time of birth and one of the last change, in a note of the store.
 *
 * Remembered for the change attribute they were read at: setting them moves it, so what is remembered never lies and is
 * never thrown away by hand. Byte form: version 1, flags (1 attributes, 2 birth, 4 change), attributes (32 bits),
 * seconds (64), nanoseconds (32); with 4 the time of change and the time when that was set, in the same form; little
 * endian.
 *
 * A time of change that was set holds until something changes: as long as the file's ctime is the one that setting it
 * gave. That is known only behind it, so the note says the time before and is written again until both agree: the time
 * of our clock first, then, since the file system's may be another one, what the last attempt gave.
 *
 * Thread: any. Locks: one per stripe of the table, nothing is called under it. */
#include "files/files-private.h"

#include <lares/cursor.h>

#include <time.h>
#include <unistd.h>

#define NOTE       "dos"
#define VERSION    1
#define NOTE_BYTES 42
#define TICK_NS    10000000 /* of the clock that ctime is taken from, at its coarsest */
#define MAX_TRIES  8
#define SLOTS      4096u
#define STRIPES    64u

typedef struct {
    const LaresStore *store;
    uint64_t fsid_major, fsid_minor, fileid, change;
    LaresDos dos;
} Slot;

static Slot slots[SLOTS];
static GMutex stripes[STRIPES];

static guint
slot_of(const LaresStore *store, const LaresAttrs *attrs)
{
    uint64_t h =
        (attrs->fileid ^ attrs->fsid_minor << 17 ^ (uint64_t)(uintptr_t)store >> 4) * UINT64_C(0x9e3779b97f4a7c15);
    return (guint)(h >> 40) % SLOTS;
}

static gboolean
same(const Slot *slot, const LaresStore *store, const LaresAttrs *attrs)
{
    return slot->store == store && slot->fileid == attrs->fileid && slot->change == attrs->change &&
           slot->fsid_major == attrs->fsid_major && slot->fsid_minor == attrs->fsid_minor;
}

static LaresTime
get_time(LaresReader *r)
{
    int64_t sec = (int64_t)lares_get_le64(r);
    return (LaresTime){sec, lares_get_le32(r)};
}

static void
put_time(LaresWriter *w, const LaresTime *t)
{
    lares_put_le64(w, (uint64_t)t->sec);
    lares_put_le32(w, t->nsec);
}

/* Is `ctime` what a change at `stamp` gave? */
static gboolean
is_of(const LaresTime *ctime, const LaresTime *stamp)
{
    if (ctime->sec < stamp->sec - 1 || ctime->sec > stamp->sec + 1)
        return FALSE;
    int64_t apart = (ctime->sec - stamp->sec) * 1000000000 + (int64_t)ctime->nsec - (int64_t)stamp->nsec;
    return apart >= -TICK_NS && apart <= TICK_NS;
}

static void
parse(const uint8_t *bytes, size_t len, const LaresAttrs *attrs, LaresDos *dos)
{
    LaresReader r = lares_reader(bytes, len);
    uint8_t version = lares_get_u8(&r), flags = lares_get_u8(&r);
    uint32_t attributes = lares_get_le32(&r);
    LaresTime birth = get_time(&r), change = {0}, stamp = {0};
    if (flags & 4) {
        change = get_time(&r);
        stamp = get_time(&r);
    }
    if (r.failed || version != VERSION || birth.nsec >= 1000000000u || change.nsec >= 1000000000u)
        return;
    *dos = (LaresDos){.set = flags & 1,
                      .attributes = attributes,
                      .has_birth = (flags & 2) != 0,
                      .birth = birth,
                      .has_change = (flags & 4) && attrs->mask & LARES_ATTR_CTIME && is_of(&attrs->ctime, &stamp),
                      .change = change};
}

void
lares_files_get_dos(LaresFiles *files, const LaresObject *object, const char *entry, const LaresAttrs *attrs,
                    LaresDos *dos)
{
    LaresStore *store = object->share->store;
    const LaresStoreInterface *iface = STORE_IFACE(store);
    uint8_t bytes[NOTE_BYTES];
    size_t len;
    *dos = (LaresDos){0};
    if (!iface->get_note)
        return;
    gboolean known = (attrs->mask & LARES_ATTR_CHANGE) && attrs->change;
    guint at = slot_of(store, attrs);
    GMutex *lock = &stripes[at % STRIPES];
    if (known) {
        g_mutex_lock(lock);
        gboolean hit = same(&slots[at], store, attrs);
        if (hit)
            *dos = slots[at].dos;
        g_mutex_unlock(lock);
        if (hit)
            return;
    }
    if (iface->get_note(store, object->node, entry, NOTE, bytes, sizeof bytes, &len) == LARES_OK)
        parse(bytes, len, attrs, dos);
    if (!known)
        return;
    g_mutex_lock(lock);
    slots[at] = (Slot){store, attrs->fsid_major, attrs->fsid_minor, attrs->fileid, attrs->change, *dos};
    g_mutex_unlock(lock);
}

static LaresStatus
write_note(const LaresObject *object, const LaresDos *dos, const LaresTime *stamp)
{
    const LaresStoreInterface *iface = STORE_IFACE(object->share->store);
    uint8_t bytes[NOTE_BYTES];
    LaresWriter w = {.base = bytes, .cap = sizeof bytes, .limit = sizeof bytes};
    lares_put_u8(&w, VERSION);
    lares_put_u8(&w, (uint8_t)((dos->set ? 1 : 0) | (dos->has_birth ? 2 : 0) | (dos->has_change ? 4 : 0)));
    lares_put_le32(&w, dos->attributes);
    put_time(&w, &dos->birth);
    if (dos->has_change) {
        put_time(&w, &dos->change);
        put_time(&w, stamp);
    }
    gboolean none = !dos->set && !dos->has_birth && !dos->has_change;
    return iface->set_note(object->share->store, object->node, NOTE, none ? NULL : bytes, none ? 0 : w.len);
}

LaresStatus
lares_files_set_dos(LaresFiles *files, const LaresObject *object, const LaresDos *dos)
{
    LaresStore *store = object->share->store;
    LaresAttrs attrs;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    LaresTime stamp = {now.tv_sec, (uint32_t)now.tv_nsec};
    gboolean agreed = !dos->has_change;
    LaresStatus status = STORE_IFACE(store)->set_note ? lares_files_writable(object) : LARES_NOTSUPP;
    if (status == LARES_OK && agreed)
        status = write_note(object, dos, NULL);
    for (guint i = 0; i < MAX_TRIES && status == LARES_OK && !agreed; i++) {
        status = write_note(object, dos, &stamp);
        if (status == LARES_OK)
            status = STORE_IFACE(store)->getattr(store, object->node, LARES_ATTR_CTIME, &attrs);
        agreed = status == LARES_OK && is_of(&attrs.ctime, &stamp);
        if (status == LARES_OK)
            stamp = attrs.ctime; /* by the file system's own clock: the next change comes right after it */
    }
    return status;
}

/* The owner's, as other times that are given: what more an ACL may allow a store does not tell. */
LaresStatus
lares_files_set_birth(LaresFiles *files, const LaresCred *cred, const LaresObject *object, const LaresTime *birth)
{
    LaresStore *store = object->share->store;
    LaresAttrs attrs = {0};
    LaresDos dos;
    if (birth->nsec >= 1000000000u)
        return LARES_INVAL;
    if (!STORE_IFACE(store)->set_note)
        return LARES_NOTSUPP;
    LaresStatus status = STORE_IFACE(store)->getattr(store, object->node, LARES_ATTR_STAT, &attrs);
    if (status != LARES_OK)
        return status;
    if (cred && cred->uid != attrs.uid && (cred->uid != 0 || geteuid() != 0))
        return LARES_PERM;
    lares_files_get_dos(files, object, NULL, &attrs, &dos);
    dos.has_birth = TRUE;
    dos.birth = *birth;
    return lares_files_set_dos(files, object, &dos);
}

LaresStatus
lares_files_get_note(LaresFiles *files, const LaresObject *object, const char *name, uint8_t *buf, size_t size,
                     size_t *len)
{
    const LaresStoreInterface *iface = STORE_IFACE(object->share->store);
    return iface->get_note ? iface->get_note(object->share->store, object->node, NULL, name, buf, size, len)
                           : LARES_NOTSUPP;
}

LaresStatus
lares_files_set_note(LaresFiles *files, const LaresObject *object, const char *name, const uint8_t *value, size_t len)
{
    const LaresStoreInterface *iface = STORE_IFACE(object->share->store);
    LaresStatus status = iface->set_note ? lares_files_writable(object) : LARES_NOTSUPP;
    return status == LARES_OK ? iface->set_note(object->share->store, object->node, name, value, len) : status;
}
