/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Named attributes: the named streams (stream.c) as NFSv4 has them, a directory per object and a file per attribute.
 *
 * Both are real objects of the store, but nothing about them says who may use them: the folder is the daemon's alone,
 * and a stream is open to whoever was given it. So every function here takes the object they belong to, and asks that.
 *
 * Names: what Windows can say of a stream is what NFS can say of an attribute. A ':' or '\' of a name is kept as the
 * character of the private-use area that Apple's clients of SMB send for it ("SFM": U+F022, U+F026), so that
 * com.apple.metadata:… is one attribute over both.
 *
 * Spec: RFC 7530 5.3, RFC 8881 5.3.
 * Thread: any. */
#include "files/files-private.h"
#include "state/state-private.h"

#include <string.h>

#define SFM_LEN     3 /* bytes of one in UTF-8 */
#define STREAM_TYPE ":$"

static const struct {
    char plain;
    char sfm[SFM_LEN + 1];
} mapped[] = {{':', "\xef\x80\xa2"}, {'\\', "\xef\x80\xa6"}};

/* ---- Names --------------------------------------------------------------------------------------------------------
 */

LaresStatus
lares_files_named_name(LaresArena *arena, const char *name, const char **kept)
{
    *kept = name;
    if (strstr(name, STREAM_TYPE)) /* "x:$DATA" is the stream x itself */
        return LARES_BADNAME;
    if (!strpbrk(name, ":\\"))
        return LARES_OK;
    char *out = lares_arena_alloc(arena, SFM_LEN * strlen(name) + 1), *at = out;
    for (const char *p = name; *p; p++) {
        const char *sfm = NULL;
        for (guint i = 0; i < G_N_ELEMENTS(mapped); i++)
            if (*p == mapped[i].plain)
                sfm = mapped[i].sfm;
        at = sfm ? g_stpcpy(at, sfm) : (*at = *p, at + 1);
    }
    *at = '\0';
    *kept = out;
    return at - out > LARES_NAME_LIMIT ? LARES_NAMETOOLONG : LARES_OK;
}

/* The other way: never longer. What would be refused when it comes back is shown as it is kept. */
static const char *
show_name(const char *kept, char shown[LARES_NAME_LIMIT + 1])
{
    size_t n = 0;
    for (const char *p = kept; *p && n < LARES_NAME_LIMIT;) {
        char c = *p;
        size_t step = 1;
        for (guint i = 0; i < G_N_ELEMENTS(mapped); i++) {
            if (strncmp(p, mapped[i].sfm, SFM_LEN) == 0) {
                c = mapped[i].plain;
                step = SFM_LEN;
            }
        }
        shown[n++] = c;
        p += step;
    }
    shown[n] = '\0';
    return strstr(shown, STREAM_TYPE) ? kept : shown;
}

/* ---- Rights -------------------------------------------------------------------------------------------------------
 */

LaresStatus
lares_files_named_may(LaresFiles *files, const LaresCaller *caller, const LaresObject *of, uint32_t access)
{
    uint32_t allowed = 0;
    LaresStatus status = access & LARES_ACCESS_WRITE ? lares_files_writable(of) : LARES_OK;
    if (status == LARES_OK)
        status = lares_files_access(files, caller, of, access, &allowed);
    return status == LARES_OK && (allowed & access) != access ? LARES_ACCESS : status;
}

/* ---- The directory ------------------------------------------------------------------------------------------------
 */

static gboolean
stop_at_entry(const LaresDirEntry *entry, gpointer user)
{
    *(gboolean *)user = TRUE;
    return FALSE;
}

static gboolean
has_entry(LaresStore *store, LaresNode *folder)
{
    LaresCred cred = lares_files_server_cred();
    gboolean any = FALSE, eof;
    return STORE_IFACE(store)->readdir(store, &cred, folder, 0, stop_at_entry, &any, &eof) == LARES_OK && any;
}

static gboolean
can_have_named(const LaresObject *of)
{
    const LaresStoreInterface *iface = STORE_IFACE(of->share->store);
    return of->share->id != 0 && iface->get_note && iface->set_note &&
           (of->node->type == LARES_TYPE_REGULAR || of->node->type == LARES_TYPE_DIRECTORY);
}

gboolean
lares_files_may_have_named(LaresFiles *files, const LaresObject *object)
{
    return lares_files_has_streams(files, object);
}

gboolean
lares_files_has_named(LaresFiles *files, const LaresObject *object)
{
    g_autoptr(LaresNode) folder = NULL;
    return lares_files_has_streams(files, object) && can_have_named(object) &&
           lares_files_stream_folder(object, &folder) == LARES_OK && has_entry(object->share->store, folder);
}

LaresStatus
lares_files_named_dir(LaresFiles *files, const LaresCaller *caller, const LaresObject *of, gboolean create,
                      LaresObject *dir)
{
    *dir = (LaresObject){NULL, NULL};
    if (!can_have_named(of))
        return LARES_NOTSUPP;
    g_autoptr(LaresNode) folder = NULL;
    LaresStatus status = lares_files_named_may(files, caller, of, LARES_ACCESS_XAREAD);
    if (status == LARES_OK)
        status = lares_files_stream_folder(of, &folder);
    if (status == LARES_OK && !create && !has_entry(of->share->store, folder))
        status = LARES_NOENT; /* RFC 8881 18.17.3: "if none exist" */
    if (status == LARES_NOENT && create) {
        folder = NULL;
        status = lares_files_named_may(files, caller, of, LARES_ACCESS_WRITE | LARES_ACCESS_XAWRITE);
        if (status == LARES_OK)
            status = lares_files_stream_folder_make(of, &folder);
    }
    if (status == LARES_OK)
        *dir = (LaresObject){lares_share_ref(of->share), g_steal_pointer(&folder)};
    return status;
}

LaresStatus
lares_files_named_lookup(LaresFiles *files, const LaresCaller *caller, const LaresObject *of, const char *name,
                         uint32_t access, LaresObject *out)
{
    *out = (LaresObject){NULL, NULL};
    LaresStatus status = lares_files_named_may(files, caller, of, access & (LARES_ACCESS_READ | LARES_ACCESS_WRITE));
    if (status == LARES_OK)
        status = lares_files_stream(files, caller, of, name, 0, FALSE, FALSE, out, NULL);
    if (status == LARES_OK && !lares_files_named_fits(of, out)) {
        lares_object_clear(out);
        status = LARES_NOTSUPP;
    }
    return status;
}

typedef struct {
    LaresDirFunc emit;
    gpointer user;
} Shown;

static gboolean
emit_shown(const LaresDirEntry *entry, gpointer user)
{
    const Shown *shown = user;
    char name[LARES_NAME_LIMIT + 1];
    LaresDirEntry as = *entry;
    as.name = show_name(entry->name, name);
    return shown->emit(&as, shown->user);
}

LaresStatus
lares_files_named_readdir(LaresFiles *files, const LaresCaller *caller, const LaresObject *dir, const LaresObject *of,
                          uint64_t cookie, LaresDirFunc emit, gpointer user, gboolean *eof)
{
    LaresCred cred = lares_files_server_cred();
    LaresStore *store = dir->share->store;
    Shown shown = {emit, user};
    LaresStatus status = lares_files_named_may(files, caller, of, LARES_ACCESS_READ);
    if (status != LARES_OK)
        return status;
    return STORE_IFACE(store)->readdir(store, &cred, dir->node, cookie, emit_shown, &shown, eof);
}

/* Do opens and leases of others let it go? */
static LaresStatus
may_go(LaresFiles *files, const LaresCaller *caller, const LaresObject *of, const char *name, const LaresNode *but)
{
    LaresObject stream;
    LaresStatus status = lares_files_stream(files, caller, of, name, 0, FALSE, FALSE, &stream, NULL);
    if (status != LARES_OK)
        return status;
    if (stream.node != but && lares_state_has_guards())
        status = lares_state_name_may_go(stream.node, NULL, NULL);
    lares_object_clear(&stream);
    return status;
}

LaresStatus
lares_files_named_remove(LaresFiles *files, const LaresCaller *caller, const LaresObject *dir, const LaresObject *of,
                         const char *name, LaresChangeInfo *info)
{
    LaresStatus status = lares_files_named_may(files, caller, of, LARES_ACCESS_WRITE);
    if (status == LARES_OK)
        status = may_go(files, caller, of, name, NULL);
    if (status != LARES_OK)
        return status;
    lares_files_change_before(dir, info);
    status = lares_files_stream_remove(files, caller, of, name);
    lares_files_change_after(dir, info);
    return status;
}

LaresStatus
lares_files_named_rename(LaresFiles *files, const LaresCaller *caller, const LaresObject *dir, const LaresObject *of,
                         const char *name, const char *new_name, LaresChangeInfo *info)
{
    LaresObject old = {NULL, NULL};
    LaresStatus status = lares_files_named_may(files, caller, of, LARES_ACCESS_WRITE);
    if (status == LARES_OK)
        status = lares_files_stream(files, caller, of, name, 0, FALSE, FALSE, &old, NULL);
    if (status == LARES_OK)
        status = may_go(files, caller, of, name, NULL);
    if (status == LARES_OK) {
        status = may_go(files, caller, of, new_name, old.node);
        if (status == LARES_NOENT)
            status = LARES_OK;
    }
    lares_object_clear(&old);
    if (status != LARES_OK)
        return status;
    lares_files_change_before(dir, info);
    status = lares_files_stream_rename(files, caller, of, name, new_name, TRUE);
    lares_files_change_after(dir, info);
    return status;
}

/* ---- Attributes ---------------------------------------------------------------------------------------------------
 */

/* Of the directory: who may read what it belongs to may search it. */
static uint32_t
mode_from(uint32_t mode, gboolean directory)
{
    return directory ? (mode & 0666) | (mode & 0444) >> 2 : mode & 0666;
}

LaresStatus
lares_files_named_getattr(LaresFiles *files, const LaresCaller *caller, const LaresObject *object,
                          const LaresObject *of, uint32_t mask, LaresAttrs *attrs, uint64_t *mounted_on)
{
    const uint32_t theirs = LARES_ATTR_UID | LARES_ATTR_GID | LARES_ATTR_MODE;
    LaresAttrs base = {0};
    LaresStatus status = lares_files_getattr(files, caller, object, mask, attrs, mounted_on);
    if (status == LARES_OK && mask & theirs)
        status = lares_files_getattr(files, caller, of, mask & theirs, &base, NULL);
    if (status != LARES_OK || !(mask & theirs))
        return status;
    attrs->uid = base.uid;
    attrs->gid = base.gid;
    attrs->mode = mode_from(base.mode, object->node->type == LARES_TYPE_DIRECTORY);
    return LARES_OK;
}

/* What only the owner of a file may set, and the owner of a stream is the daemon. */
static LaresStatus
set_times(const LaresObject *object, const LaresSetAttrs *set)
{
    LaresCred cred = lares_files_server_cred();
    LaresSetAttrs times = *set;
    times.mask &= LARES_ATTR_ATIME | LARES_ATTR_MTIME | LARES_SET_ATIME_NOW | LARES_SET_MTIME_NOW;
    if (!times.mask)
        return LARES_OK;
    return STORE_IFACE(object->share->store)->setattr(object->share->store, &cred, object->node, &times);
}

LaresStatus
lares_files_named_setattr(LaresFiles *files, const LaresCaller *caller, const LaresObject *object,
                          const LaresObject *of, LaresFile *file, const LaresSetAttrs *set)
{
    LaresStatus status = LARES_OK;
    if (object->node->type != LARES_TYPE_REGULAR ||
        set->mask & (LARES_ATTR_MODE | LARES_ATTR_UID | LARES_ATTR_GID | LARES_ATTR_BTIME))
        return LARES_PERM; /* they are those of the object it belongs to */
    if (!file || set->mask & ~(uint32_t)LARES_ATTR_SIZE)
        status = lares_files_named_may(files, caller, of, LARES_ACCESS_WRITE);
    if (status == LARES_OK && set->mask & LARES_ATTR_SIZE) {
        LaresSetAttrs size = {.mask = LARES_ATTR_SIZE, .size = set->size};
        status = lares_files_setattr(files, caller, object, file, &size);
    }
    return status == LARES_OK ? set_times(object, set) : status;
}

/* ---- Opening, reading, writing ------------------------------------------------------------------------------------
 */

LaresStatus
lares_files_named_open(LaresFiles *files, const LaresCaller *caller, const LaresObject *object, const LaresObject *of,
                       uint32_t access, uint32_t deny, LaresHolder *holder, LaresOpen **open)
{
    LaresStatus status = lares_files_named_may(files, caller, of, access);
    return status == LARES_OK ? lares_files_open(files, caller, object, access, deny, holder, open) : status;
}

LaresStatus
lares_files_named_open_create(LaresFiles *files, const LaresCaller *caller, const LaresObject *dir,
                              const LaresObject *of, const char *name, const LaresSetAttrs *set, uint32_t access,
                              uint32_t deny, LaresHolder *holder, LaresObject *out, LaresOpen **open,
                              LaresChangeInfo *info)
{
    LaresObject made;
    *out = (LaresObject){NULL, NULL};
    LaresStatus status = lares_files_named_may(files, caller, of, LARES_ACCESS_WRITE);
    if (status != LARES_OK)
        return status;
    lares_files_change_before(dir, info);
    status = lares_files_stream(files, caller, of, name, access, TRUE, TRUE, &made, NULL);
    lares_files_change_after(dir, info);
    if (status != LARES_OK)
        return status;
    LaresSetAttrs rest = *set;
    rest.mask &= ~(uint32_t)(LARES_ATTR_MODE | LARES_ATTR_UID | LARES_ATTR_GID | LARES_ATTR_BTIME);
    if (rest.mask)
        status = lares_files_named_setattr(files, caller, &made, of, NULL, &rest);
    if (status == LARES_OK && !lares_files_named_fits(of, &made))
        status = LARES_NOTSUPP;
    if (status == LARES_OK)
        status = lares_files_open(files, caller, &made, access, deny, holder, open);
    if (status == LARES_OK)
        *out = made;
    else
        lares_object_clear(&made);
    return status;
}

LaresFile *
lares_files_named_hold(const LaresObject *of)
{
    LaresCred cred = lares_files_server_cred();
    LaresFile *file = NULL;
    if (of->node->type != LARES_TYPE_REGULAR ||
        STORE_IFACE(of->share->store)->open(of->share->store, &cred, of->node, LARES_ACCESS_READ, &file) != LARES_OK)
        return NULL;
    return file;
}

LaresStatus
lares_files_named_io_begin(LaresFiles *files, const LaresCaller *caller, const LaresObject *object,
                           const LaresObject *of, LaresOpen *open, uint32_t access, LaresIo *io)
{
    LaresStatus status = LARES_OK;
    *io = (LaresIo){NULL, FALSE};
    if (access && !(open && lares_state_was_opened_by(open, lares_files_cred(caller, of).uid)))
        status = lares_files_named_may(files, caller, of, access);
    return status == LARES_OK ? lares_files_io_begin(files, caller, object, open, access, io) : status;
}
