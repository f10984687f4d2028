/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where named streams are kept, and whose they are.
 *
 *     ROOT/.lares.streams/ID/NAME
 *
 * ID is 16 random bytes in hexadecimal, kept in a note of the file the streams belong to, so that they follow it when
 * it is renamed or linked, and a new file with an old inode number inherits nothing. The folder of an ID has a note
 * with the file's handle: a copy of the file that a local program made with all its attributes carries the same ID, but
 * has no part in the streams while the first one is there, and takes them over when it is not (a restored backup).
 *
 * The folder is the daemon's alone: a directory of root or of the daemon's own user with mode 0700. What anybody else
 * put there under its name is not touched, and the share has no streams until it is gone.
 *
 * What a local program removes leaves its streams behind. They are swept when their file has been gone for long, and
 * only where that is certain: the file was of the same file system, whose handles last, and the folder is the very one
 * that was made for it, not a restored one.
 *
 * Thread: any. Locks: one, for making folders. */
#include "files/files-private.h"

#include <lares/log.h>
#include <openssl/rand.h>
#include <unistd.h>

#define NOTE     "streams"
#define OWNER    "owner"
#define ORPHAN   "orphan"
#define ID_BYTES 16
#define PAGE     1024 /* folders looked at together */

/* The note of an ID's folder: flags, length of the file's handle, that handle, the folder's own. */
#define OWNER_SAME_FS 1u
#define OWNER_MAX     (2 + 2 * LARES_HANDLE_MAX)

typedef enum { STREAMS_UNKNOWN, STREAMS_NONE, STREAMS_SOME } Known;

LaresCred
lares_files_server_cred(void)
{
    return (LaresCred){(uint32_t)geteuid(), (uint32_t)getegid(), NULL, 0};
}

/* ---- The share's folder -------------------------------------------------------------------------------------------
 */

static GQuark
known_quark(void)
{
    return g_quark_from_static_string("lares-streams-known");
}

static void
remember(LaresStore *store, Known known)
{
    g_object_set_qdata(G_OBJECT(store), known_quark(), GINT_TO_POINTER(known));
}

/* LARES_ACCESS when the folder is not the daemon's alone. */
static LaresStatus
check_folder(LaresStore *store, LaresNode *folder)
{
    LaresAttrs attrs = {0};
    LaresStatus status = STORE_IFACE(store)->getattr(store, folder, LARES_ATTR_STAT, &attrs);
    if (status != LARES_OK)
        return status;
    if (attrs.type == LARES_TYPE_DIRECTORY && (attrs.uid == 0 || attrs.uid == (uint32_t)geteuid()) &&
        (attrs.mode & 07777) == 0700)
        return LARES_OK;
    lares_log_limited(LARES_LOG_WARNING, "files",
                      "%s in the root of a share (file id %" G_GUINT64_FORMAT ") is not used for streams: it is not a "
                      "directory of root's or of this server's user with mode 0700 (owner %u, mode %04o); remove it",
                      LARES_HIDDEN_NAME, attrs.fileid, attrs.uid, attrs.mode & 07777);
    return LARES_ACCESS;
}

/* A directory of the daemon's own in `parent`, made when it is missing and `make`. */
static LaresStatus
own_folder(LaresStore *store, LaresNode *parent, const char *name, gboolean make, LaresNode **folder)
{
    const LaresStoreInterface *iface = STORE_IFACE(store);
    LaresCred cred = lares_files_server_cred();
    LaresStatus status = iface->lookup(store, &cred, parent, name, folder);
    if (status == LARES_NOENT && make) {
        gboolean created;
        g_autoptr(LaresAcl) acl = lares_acl_from_mode(0700, TRUE); /* nothing is inherited */
        LaresCreate how = {.type = LARES_TYPE_DIRECTORY,
                           .attrs = {.mask = LARES_ATTR_MODE, .mode = 0700},
                           .acl = acl,
                           .exclusive = TRUE};
        status = iface->create(store, &cred, parent, name, &how, 0, folder, NULL, &created);
        if (status == LARES_EXIST)
            status = iface->lookup(store, &cred, parent, name, folder);
    }
    if (status != LARES_OK)
        return status;
    status = check_folder(store, *folder);
    if (status != LARES_OK)
        g_clear_pointer(folder, lares_node_unref);
    return status;
}

/* The folder of all streams. */
static LaresStatus
hidden_folder(LaresStore *store, gboolean make, LaresNode **folder)
{
    LaresNode *root;
    LaresStatus status = STORE_IFACE(store)->root(store, &root);
    if (status != LARES_OK)
        return status;
    status = own_folder(store, root, LARES_HIDDEN_NAME, make, folder);
    lares_node_unref(root);
    if (status == LARES_OK)
        remember(store, STREAMS_SOME);
    return status;
}

gboolean
lares_files_has_streams(LaresFiles *files, const LaresObject *object)
{
    LaresStore *store = object->share->store;
    if (object->share->id == 0 || !STORE_IFACE(store)->get_note)
        return FALSE;
    Known known = GPOINTER_TO_INT(g_object_get_qdata(G_OBJECT(store), known_quark()));
    if (known == STREAMS_UNKNOWN) {
        LaresNode *folder;
        if (hidden_folder(store, FALSE, &folder) == LARES_OK) {
            known = STREAMS_SOME;
            lares_node_unref(folder);
        } else {
            remember(store, known = STREAMS_NONE);
        }
    }
    return known == STREAMS_SOME;
}

/* ---- Whose -------------------------------------------------------------------------------------------------------
 */

static LaresStatus
id_of(LaresStore *store, LaresNode *node, char id[2 * ID_BYTES + 1])
{
    const LaresStoreInterface *iface = STORE_IFACE(store);
    uint8_t bytes[ID_BYTES];
    size_t len;
    if (!iface->get_note)
        return LARES_NOENT;
    LaresStatus status = iface->get_note(store, node, NULL, NOTE, bytes, sizeof bytes, &len);
    if (status != LARES_OK || len != ID_BYTES)
        return LARES_NOENT;
    for (guint i = 0; i < ID_BYTES; i++)
        g_snprintf(id + 2 * i, 3, "%02x", bytes[i]);
    return LARES_OK;
}

static LaresStatus
set_new_id(LaresStore *store, LaresNode *node)
{
    uint8_t bytes[ID_BYTES];
    if (RAND_bytes(bytes, sizeof bytes) != 1)
        return LARES_SERVERFAULT;
    return STORE_IFACE(store)->set_note(store, node, NOTE, bytes, sizeof bytes);
}

static gboolean
same_file_system(LaresStore *store, LaresNode *a, LaresNode *b)
{
    LaresAttrs x = {0}, y = {0};
    return STORE_IFACE(store)->getattr(store, a, LARES_ATTR_FSID, &x) == LARES_OK &&
           STORE_IFACE(store)->getattr(store, b, LARES_ATTR_FSID, &y) == LARES_OK && x.fsid_major == y.fsid_major &&
           x.fsid_minor == y.fsid_minor;
}

static void
set_owner(LaresStore *store, LaresNode *folder, LaresNode *file)
{
    uint8_t note[OWNER_MAX];
    size_t n = 0;
    note[n++] = same_file_system(store, folder, file) ? OWNER_SAME_FS : 0;
    note[n++] = file->handle.len;
    memcpy(note + n, file->handle.bytes, file->handle.len);
    n += file->handle.len;
    memcpy(note + n, folder->handle.bytes, folder->handle.len);
    n += folder->handle.len;
    STORE_IFACE(store)->set_note(store, folder, OWNER, note, n);
    STORE_IFACE(store)->set_note(store, folder, ORPHAN, NULL, 0);
}

typedef struct {
    LaresHandle file;
    gboolean same_fs;
    gboolean first; /* the folder is the one that was made then */
} Owner;

/* FALSE: nothing is written there. */
static gboolean
get_owner(LaresStore *store, LaresNode *folder, Owner *owner)
{
    uint8_t note[OWNER_MAX];
    size_t n;
    if (STORE_IFACE(store)->get_note(store, folder, NULL, OWNER, note, sizeof note, &n) != LARES_OK || n < 2 ||
        note[1] > LARES_HANDLE_MAX || n < 2u + note[1])
        return FALSE;
    owner->same_fs = (note[0] & OWNER_SAME_FS) != 0;
    owner->file.len = note[1];
    memcpy(owner->file.bytes, note + 2, note[1]);
    size_t rest = n - 2 - note[1];
    owner->first = rest == folder->handle.len && memcmp(note + 2 + note[1], folder->handle.bytes, rest) == 0;
    return TRUE;
}

static gboolean
is_file(const LaresHandle *handle, const LaresNode *node)
{
    return handle->len == node->handle.len && memcmp(handle->bytes, node->handle.bytes, handle->len) == 0;
}

/* Is the file of this handle there, with this ID? LARES_OK, LARES_STALE when it certainly is not, or why not known. */
static LaresStatus
lives(LaresStore *store, const LaresHandle *handle, const char *id)
{
    char has[2 * ID_BYTES + 1];
    LaresNode *node;
    LaresStatus status = STORE_IFACE(store)->from_handle(store, handle->bytes, handle->len, &node);
    if (status != LARES_OK)
        return status;
    LaresAttrs attrs = {0};
    status = STORE_IFACE(store)->getattr(store, node, LARES_ATTR_NLINK, &attrs);
    if (status == LARES_OK)
        status = id_of(store, node, has) == LARES_OK && g_str_equal(has, id) ? LARES_OK : LARES_STALE;
    lares_node_unref(node);
    return status;
}

/* May this file use the folder of its ID? */
static gboolean
belongs(LaresStore *store, LaresNode *folder, LaresNode *file, const char *id)
{
    Owner owner;
    gboolean known = get_owner(store, folder, &owner);
    if (known && is_file(&owner.file, file))
        return TRUE;
    if (known && lives(store, &owner.file, id) == LARES_OK)
        return FALSE; /* a copy */
    set_owner(store, folder, file);
    return TRUE;
}

LaresStatus
lares_files_stream_folder(const LaresObject *object, LaresNode **folder)
{
    LaresStore *store = object->share->store;
    char id[2 * ID_BYTES + 1];
    LaresNode *all;
    LaresStatus status = id_of(store, object->node, id);
    if (status == LARES_OK)
        status = hidden_folder(store, FALSE, &all);
    if (status != LARES_OK)
        return status;
    status = own_folder(store, all, id, FALSE, folder);
    lares_node_unref(all);
    if (status == LARES_OK && !belongs(store, *folder, object->node, id)) {
        g_clear_pointer(folder, lares_node_unref);
        status = LARES_NOENT;
    }
    return status;
}

LaresStatus
lares_files_stream_file(LaresStore *store, const char *id, LaresNode **file)
{
    LaresNode *all, *folder;
    Owner owner;
    LaresStatus status = hidden_folder(store, FALSE, &all);
    if (status != LARES_OK)
        return status;
    status = own_folder(store, all, id, FALSE, &folder);
    lares_node_unref(all);
    if (status != LARES_OK)
        return status;
    gboolean known = get_owner(store, folder, &owner);
    lares_node_unref(folder);
    return known ? STORE_IFACE(store)->from_handle(store, owner.file.bytes, owner.file.len, file) : LARES_NOENT;
}

/* The folder is there, but it is another file's. */
static gboolean
is_taken(LaresStore *store, LaresNode *all, const char *id)
{
    LaresNode *folder;
    if (own_folder(store, all, id, FALSE, &folder) != LARES_OK)
        return FALSE;
    lares_node_unref(folder);
    return TRUE;
}

static LaresStatus
make_folder(const LaresObject *object, LaresNode **folder)
{
    LaresStore *store = object->share->store;
    char id[2 * ID_BYTES + 1];
    LaresNode *all;
    LaresStatus status = lares_files_stream_folder(object, folder);
    if (status != LARES_NOENT)
        return status;
    status = hidden_folder(store, TRUE, &all);
    if (status != LARES_OK)
        return status;
    if (id_of(store, object->node, id) != LARES_OK || is_taken(store, all, id)) {
        status = set_new_id(store, object->node);
        if (status == LARES_OK)
            status = id_of(store, object->node, id);
    }
    if (status == LARES_OK)
        status = own_folder(store, all, id, TRUE, folder);
    lares_node_unref(all);
    if (status == LARES_OK)
        set_owner(store, *folder, object->node);
    return status;
}

LaresStatus
lares_files_stream_folder_make(const LaresObject *object, LaresNode **folder)
{
    static GMutex making;
    if (!STORE_IFACE(object->share->store)->set_note)
        return LARES_NOTSUPP;
    g_mutex_lock(&making);
    LaresStatus status = make_folder(object, folder);
    g_mutex_unlock(&making);
    return status;
}

/* ---- Their end ----------------------------------------------------------------------------------------------------
 */

typedef struct {
    GPtrArray *names;
    uint64_t cookie;
} Page;

static gboolean
collect(const LaresDirEntry *entry, gpointer user)
{
    Page *page = user;
    if (page->names->len >= PAGE)
        return FALSE;
    g_ptr_array_add(page->names, g_strdup(entry->name));
    page->cookie = entry->cookie;
    return TRUE;
}

/* All streams in it, however many. */
static void
clear_folder(LaresStore *store, LaresNode *folder)
{
    LaresCred cred = lares_files_server_cred();
    for (gboolean removed = TRUE; removed;) {
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
        Page page = {names, 0};
        gboolean eof;
        removed = FALSE;
        STORE_IFACE(store)->readdir(store, &cred, folder, 0, collect, &page, &eof);
        for (guint i = 0; i < names->len; i++)
            removed |= STORE_IFACE(store)->remove(store, &cred, folder, names->pdata[i]) == LARES_OK;
    }
}

void
lares_files_streams_forget(LaresFiles *files, const LaresObject *object)
{
    LaresStore *store = object->share->store;
    LaresCred cred = lares_files_server_cred();
    char id[2 * ID_BYTES + 1];
    LaresNode *all, *folder;
    if (!lares_files_has_streams(files, object) || id_of(store, object->node, id) != LARES_OK ||
        lares_files_stream_folder(object, &folder) != LARES_OK)
        return;
    clear_folder(store, folder);
    lares_node_unref(folder);
    if (hidden_folder(store, FALSE, &all) == LARES_OK) {
        STORE_IFACE(store)->remove(store, &cred, all, id);
        lares_node_unref(all);
    }
}

/* When it was first seen to be an orphan; `now` when that is now. */
static int64_t
orphan_since(LaresStore *store, LaresNode *folder, int64_t now)
{
    int64_t since = 0;
    size_t n;
    if (STORE_IFACE(store)->get_note(store, folder, NULL, ORPHAN, (uint8_t *)&since, sizeof since, &n) == LARES_OK &&
        n == sizeof since && since <= now)
        return since;
    STORE_IFACE(store)->set_note(store, folder, ORPHAN, (const uint8_t *)&now, sizeof now);
    return now;
}

static gboolean
sweep_one(LaresStore *store, LaresNode *all, const char *id, int64_t now, int64_t grace)
{
    LaresCred cred = lares_files_server_cred();
    LaresNode *folder;
    Owner owner;
    gboolean swept = FALSE;
    if (own_folder(store, all, id, FALSE, &folder) != LARES_OK)
        return FALSE;
    if (get_owner(store, folder, &owner) && owner.same_fs && owner.first) {
        LaresStatus status = lives(store, &owner.file, id);
        if (status == LARES_OK)
            STORE_IFACE(store)->set_note(store, folder, ORPHAN, NULL, 0);
        else if (status == LARES_STALE && orphan_since(store, folder, now) <= now - grace)
            swept = TRUE;
    }
    if (swept)
        clear_folder(store, folder);
    lares_node_unref(folder);
    return swept && STORE_IFACE(store)->remove(store, &cred, all, id) == LARES_OK;
}

guint
lares_files_streams_sweep(LaresStore *store, int64_t now, int64_t grace, gint *stop)
{
    const LaresStoreInterface *iface = STORE_IFACE(store);
    LaresCred cred = lares_files_server_cred();
    LaresNode *all;
    guint swept = 0;
    if (!iface->get_note || !iface->set_note || !iface->handles_last || !iface->handles_last(store) ||
        hidden_folder(store, FALSE, &all) != LARES_OK)
        return 0;
    Page page = {NULL, 0};
    for (gboolean more = TRUE; more;) {
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
        gboolean eof = FALSE;
        page.names = names;
        more = iface->readdir(store, &cred, all, page.cookie, collect, &page, &eof) == LARES_OK && !eof;
        for (guint i = 0; i < names->len && !(stop && g_atomic_int_get(stop)); i++)
            swept += sweep_one(store, all, names->pdata[i], now, grace) ? 1 : 0;
        if (names->len == 0 || (stop && g_atomic_int_get(stop)))
            more = FALSE;
    }
    lares_node_unref(all);
    return swept;
}
