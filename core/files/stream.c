/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Named streams: regular files in a hidden folder of the share's root.
 *
 *     ROOT/.lares.streams/ID/NAME
 *
 * ID is 16 random bytes in hexadecimal, kept in a note of the file the streams belong to, so that a rename costs
 * nothing and a new file with an old inode number inherits nothing. As files they have no limit of size, can be locked,
 * leased and made sparse like others, and the kernel's page cache and sendfile serve them. The folder is the daemon's
 * alone (0700); the streams in it are open to whoever was given their object here, which happens only after the file
 * they belong to was asked. What a local program removes leaves its streams behind, unreachable.
 *
 * Thread: any. Locks: one, for making folders. */
#include "files/files-private.h"

#include <openssl/rand.h>
#include <unistd.h>

#define NOTE     "streams"
#define ID_BYTES 16
#define MAX_LIST 4096 /* streams told of one file */

typedef enum { STREAMS_UNKNOWN, STREAMS_NONE, STREAMS_SOME } Known;

LaresCred
lares_files_server_cred(void)
{
    return (LaresCred){(uint32_t)geteuid(), (uint32_t)getegid(), NULL, 0};
}

static void
remember(LaresFiles *files, LaresStore *store, Known known)
{
    g_mutex_lock(&files->streams_lock);
    if (!files->streams)
        files->streams = g_hash_table_new(NULL, NULL);
    g_hash_table_insert(files->streams, store, GINT_TO_POINTER(known));
    g_mutex_unlock(&files->streams_lock);
}

void
lares_files_streams_free(LaresFiles *files)
{
    g_clear_pointer(&files->streams, g_hash_table_unref);
}

static LaresStatus
find_folder(LaresStore *store, LaresNode **folder)
{
    const LaresStoreInterface *iface = STORE_IFACE(store);
    LaresCred cred = lares_files_server_cred();
    LaresNode *root;
    LaresStatus status = iface->root(store, &root);
    if (status != LARES_OK)
        return status;
    status = iface->lookup(store, &cred, root, LARES_HIDDEN_NAME, folder);
    lares_node_unref(root);
    return status;
}

gboolean
lares_files_has_streams(LaresFiles *files, const LaresObject *object)
{
    LaresStore *store = object->share->store;
    if (object->share->id == 0 || !STORE_IFACE(store)->get_note)
        return FALSE;
    g_mutex_lock(&files->streams_lock);
    Known known = files->streams ? GPOINTER_TO_INT(g_hash_table_lookup(files->streams, store)) : STREAMS_UNKNOWN;
    g_mutex_unlock(&files->streams_lock);
    if (known == STREAMS_UNKNOWN) {
        LaresNode *folder;
        known = find_folder(store, &folder) == LARES_OK ? STREAMS_SOME : STREAMS_NONE;
        if (known == STREAMS_SOME)
            lares_node_unref(folder);
        remember(files, store, known);
    }
    return known == STREAMS_SOME;
}

/* ---- Folders ------------------------------------------------------------------------------------------------------
 */

/* A directory of the daemon's own in `parent`, made when it is missing. */
static LaresStatus
make_folder(LaresStore *store, LaresNode *parent, const char *name, LaresNode **folder)
{
    const LaresStoreInterface *iface = STORE_IFACE(store);
    LaresCred cred = lares_files_server_cred();
    gboolean created;
    g_autoptr(LaresAcl) acl = lares_acl_from_mode(0700, TRUE); /* nothing is inherited */
    LaresCreate how = {
        .type = LARES_TYPE_DIRECTORY, .attrs = {.mask = LARES_ATTR_MODE, .mode = 0700}, .acl = acl, .exclusive = TRUE};
    LaresStatus status = iface->lookup(store, &cred, parent, name, folder);
    if (status != LARES_NOENT)
        return status;
    status = iface->create(store, &cred, parent, name, &how, 0, folder, NULL, &created);
    return status == LARES_EXIST ? iface->lookup(store, &cred, parent, name, folder) : status;
}

static LaresStatus
id_of(const LaresObject *object, char id[2 * ID_BYTES + 1])
{
    LaresStore *store = object->share->store;
    const LaresStoreInterface *iface = STORE_IFACE(store);
    uint8_t bytes[ID_BYTES];
    size_t len;
    if (!iface->get_note)
        return LARES_NOENT;
    LaresStatus status = iface->get_note(store, object->node, NULL, NOTE, bytes, sizeof bytes, &len);
    if (status != LARES_OK || len != ID_BYTES)
        return LARES_NOENT;
    for (guint i = 0; i < ID_BYTES; i++)
        g_snprintf(id + 2 * i, 3, "%02x", bytes[i]);
    return LARES_OK;
}

/* The folder of one file's streams; LARES_NOENT when it has none. */
static LaresStatus
folder_of(const LaresObject *object, LaresNode **folder)
{
    LaresStore *store = object->share->store;
    LaresCred cred = lares_files_server_cred();
    char id[2 * ID_BYTES + 1];
    LaresNode *all;
    LaresStatus status = id_of(object, id);
    if (status == LARES_OK)
        status = find_folder(store, &all);
    if (status != LARES_OK)
        return status;
    status = STORE_IFACE(store)->lookup(store, &cred, all, id, folder);
    lares_node_unref(all);
    return status;
}

static LaresStatus
make_folder_of(LaresFiles *files, const LaresObject *object, LaresNode **folder)
{
    static GMutex making;
    LaresStore *store = object->share->store;
    const LaresStoreInterface *iface = STORE_IFACE(store);
    char id[2 * ID_BYTES + 1];
    uint8_t bytes[ID_BYTES];
    LaresNode *root, *all;
    if (!iface->set_note)
        return LARES_NOTSUPP;
    g_mutex_lock(&making);
    LaresStatus status = id_of(object, id);
    if (status == LARES_NOENT) {
        status = RAND_bytes(bytes, sizeof bytes) == 1 ? iface->set_note(store, object->node, NOTE, bytes, sizeof bytes)
                                                      : LARES_SERVERFAULT;
        if (status == LARES_OK)
            status = id_of(object, id);
    }
    g_mutex_unlock(&making);
    if (status == LARES_OK)
        status = iface->root(store, &root);
    if (status != LARES_OK)
        return status;
    status = make_folder(store, root, LARES_HIDDEN_NAME, &all);
    lares_node_unref(root);
    if (status != LARES_OK)
        return status;
    remember(files, store, STREAMS_SOME);
    status = make_folder(store, all, id, folder);
    lares_node_unref(all);
    return status;
}

/* ---- One stream ---------------------------------------------------------------------------------------------------
 */

/* By its name whatever its case; `real` gets it as it is. */
static LaresStatus
find_stream(LaresFiles *files, const LaresCaller *caller, const LaresObject *object, LaresNode *folder,
            const char *name, char real[LARES_NAME_LIMIT + 1], LaresNode **node)
{
    LaresStore *store = object->share->store;
    LaresCred cred = lares_files_server_cred();
    if (strlen(name) > LARES_NAME_LIMIT)
        return LARES_NAMETOOLONG;
    memcpy(real, name, strlen(name) + 1);
    LaresStatus status = STORE_IFACE(store)->lookup(store, &cred, folder, name, node);
    if (status != LARES_NOENT)
        return status;
    LaresObject dir = {object->share, folder};
    status = lares_fold_find(&dir, name, real);
    return status == LARES_OK ? STORE_IFACE(store)->lookup(store, &cred, folder, real, node) : status;
}

static LaresStatus
make_stream(LaresFiles *files, const LaresObject *object, LaresNode *folder, const char *name, LaresNode **node)
{
    LaresStore *store = object->share->store;
    LaresCred cred = lares_files_server_cred();
    gboolean created;
    g_autoptr(LaresAcl) acl = lares_acl_from_mode(0666, FALSE);
    LaresCreate how = {
        .type = LARES_TYPE_REGULAR, .attrs = {.mask = LARES_ATTR_MODE, .mode = 0666}, .acl = acl, .exclusive = TRUE};
    LaresObject dir = {object->share, folder};
    LaresStatus status = STORE_IFACE(store)->create(store, &cred, folder, name, &how, 0, node, NULL, &created);
    if (status == LARES_OK)
        lares_fold_changed(files, &dir, name, LARES_CHANGE_ADDED, LARES_FILTER_FILE_NAME);
    return status;
}

LaresStatus
lares_files_stream(LaresFiles *files, const LaresCaller *caller, const LaresObject *object, const char *name,
                   uint32_t access, gboolean create, gboolean exclusive, LaresObject *out, gboolean *created)
{
    char real[LARES_NAME_LIMIT + 1];
    uint32_t allowed = 0;
    LaresNode *folder = NULL, *node = NULL;
    *out = (LaresObject){NULL, NULL};
    if (created)
        *created = FALSE;
    access &= LARES_ACCESS_READ | LARES_ACCESS_WRITE;
    LaresStatus status = LARES_OK;
    if (access)
        status = lares_files_access(files, caller, object, access, &allowed);
    if (status == LARES_OK && (allowed & access) != access)
        status = LARES_ACCESS;
    if (status == LARES_OK)
        status = folder_of(object, &folder);
    if (status == LARES_OK) {
        status = find_stream(files, caller, object, folder, name, real, &node);
    } else if (status == LARES_NOENT && create) {
        folder = NULL;
    }
    if (status == LARES_NOENT && create) {
        status = lares_files_access(files, caller, object, LARES_ACCESS_WRITE, &allowed);
        if (status == LARES_OK && !(allowed & LARES_ACCESS_WRITE))
            status = LARES_ACCESS;
        if (status == LARES_OK)
            status = lares_files_writable(object);
        if (status == LARES_OK && !folder)
            status = make_folder_of(files, object, &folder);
        if (status == LARES_OK) {
            status = make_stream(files, object, folder, name, &node);
            if (status == LARES_OK && created)
                *created = TRUE;
        }
    } else if (status == LARES_OK && create && exclusive) {
        g_clear_pointer(&node, lares_node_unref);
        status = LARES_EXIST;
    }
    if (folder)
        lares_node_unref(folder);
    if (status == LARES_OK)
        *out = (LaresObject){lares_share_ref(object->share), node};
    return status;
}

LaresStatus
lares_files_stream_remove(LaresFiles *files, const LaresCaller *caller, const LaresObject *object, const char *name)
{
    LaresStore *store = object->share->store;
    LaresCred cred = lares_files_server_cred();
    char real[LARES_NAME_LIMIT + 1];
    LaresNode *folder, *node;
    LaresStatus status = lares_files_writable(object);
    if (status == LARES_OK)
        status = folder_of(object, &folder);
    if (status != LARES_OK)
        return status;
    status = find_stream(files, caller, object, folder, name, real, &node);
    if (status == LARES_OK) {
        LaresObject dir = {object->share, folder};
        lares_node_unref(node);
        status = STORE_IFACE(store)->remove(store, &cred, folder, real);
        if (status == LARES_OK)
            lares_fold_changed(files, &dir, real, LARES_CHANGE_REMOVED, LARES_FILTER_FILE_NAME);
    }
    lares_node_unref(folder);
    return status;
}

LaresStatus
lares_files_stream_rename(LaresFiles *files, const LaresCaller *caller, const LaresObject *object, const char *name,
                          const char *new_name, gboolean replace)
{
    LaresStore *store = object->share->store;
    LaresCred cred = lares_files_server_cred();
    char real[LARES_NAME_LIMIT + 1], taken[LARES_NAME_LIMIT + 1];
    LaresNode *folder, *node, *other = NULL;
    LaresStatus status = lares_files_writable(object);
    if (status == LARES_OK)
        status = folder_of(object, &folder);
    if (status != LARES_OK)
        return status;
    status = find_stream(files, caller, object, folder, name, real, &node);
    if (status == LARES_OK) {
        LaresStatus there = find_stream(files, caller, object, folder, new_name, taken, &other);
        if (there == LARES_OK && other != node && !replace)
            status = LARES_EXIST;
        else if (there == LARES_OK && other != node)
            status = STORE_IFACE(store)->remove(store, &cred, folder, taken);
        else if (there != LARES_OK && there != LARES_NOENT)
            status = there;
        if (there == LARES_OK)
            lares_node_unref(other);
        lares_node_unref(node);
    }
    if (status == LARES_OK)
        status = STORE_IFACE(store)->rename(store, &cred, folder, real, folder, new_name, TRUE);
    if (status == LARES_OK) {
        LaresObject dir = {object->share, folder};
        lares_fold_changed(files, &dir, real, LARES_CHANGE_OLD_NAME, LARES_FILTER_FILE_NAME);
        lares_fold_changed(files, &dir, new_name, LARES_CHANGE_NEW_NAME, LARES_FILTER_FILE_NAME);
    }
    lares_node_unref(folder);
    return status;
}

/* ---- All of a file ------------------------------------------------------------------------------------------------
 */

static gboolean
collect(const LaresDirEntry *entry, gpointer user)
{
    GPtrArray *names = user;
    g_ptr_array_add(names, g_strdup(entry->name));
    return names->len < MAX_LIST;
}

static GPtrArray *
names_in(LaresStore *store, LaresNode *folder)
{
    LaresCred cred = lares_files_server_cred();
    gboolean eof;
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    STORE_IFACE(store)->readdir(store, &cred, folder, 0, collect, names, &eof);
    return names;
}

LaresStatus
lares_files_streams(LaresFiles *files, const LaresObject *object, LaresStreamFunc emit, gpointer user)
{
    LaresStore *store = object->share->store;
    LaresCred cred = lares_files_server_cred();
    LaresNode *folder;
    LaresStatus status = folder_of(object, &folder);
    if (status != LARES_OK)
        return status == LARES_NOENT ? LARES_OK : status;
    g_autoptr(GPtrArray) names = names_in(store, folder);
    for (guint i = 0; i < names->len; i++) {
        LaresAttrs attrs = {0};
        LaresNode *node;
        if (STORE_IFACE(store)->lookup(store, &cred, folder, names->pdata[i], &node) != LARES_OK)
            continue;
        gboolean more = TRUE;
        if (STORE_IFACE(store)->getattr(store, node, LARES_ATTR_SIZE | LARES_ATTR_USED, &attrs) == LARES_OK)
            more = emit(names->pdata[i], attrs.size, attrs.used, user);
        lares_node_unref(node);
        if (!more)
            break;
    }
    lares_node_unref(folder);
    return LARES_OK;
}

void
lares_files_streams_forget(LaresFiles *files, const LaresObject *object)
{
    LaresStore *store = object->share->store;
    LaresCred cred = lares_files_server_cred();
    char id[2 * ID_BYTES + 1];
    LaresNode *all, *folder;
    if (!lares_files_has_streams(files, object) || id_of(object, id) != LARES_OK ||
        find_folder(store, &all) != LARES_OK)
        return;
    if (STORE_IFACE(store)->lookup(store, &cred, all, id, &folder) == LARES_OK) {
        g_autoptr(GPtrArray) names = names_in(store, folder);
        for (guint i = 0; i < names->len; i++)
            STORE_IFACE(store)->remove(store, &cred, folder, names->pdata[i]);
        lares_node_unref(folder);
        STORE_IFACE(store)->remove(store, &cred, all, id);
    }
    lares_node_unref(all);
}

LaresStatus
lares_files_stream_place(const LaresObject *object, const LaresNode *stream, LaresNode **folder,
                         char name[LARES_NAME_LIMIT + 1])
{
    LaresStore *store = object->share->store;
    LaresCred cred = lares_files_server_cred();
    LaresStatus status = folder_of(object, folder);
    if (status != LARES_OK)
        return status;
    g_autoptr(GPtrArray) names = names_in(store, *folder);
    for (guint i = 0; i < names->len; i++) {
        LaresNode *node;
        if (STORE_IFACE(store)->lookup(store, &cred, *folder, names->pdata[i], &node) != LARES_OK)
            continue;
        lares_node_unref(node);
        if (node == stream) {
            g_strlcpy(name, names->pdata[i], LARES_NAME_LIMIT + 1);
            return LARES_OK;
        }
    }
    lares_node_unref(*folder);
    return LARES_NOENT;
}
