/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Named streams: regular files in a hidden folder of the share's root (stream-folder.c).
 *
 * As files they have no limit of size, can be locked, leased and made sparse like others, and the kernel's page cache
 * and sendfile(2) serve them. They are open to whoever was given their object here, which happens only after the file
 * they belong to was asked.
 *
 * Thread: any. */
#include "files/files-private.h"

#define MAX_LIST 4096 /* streams told of one file */

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
    if (status == LARES_OK) {
        lares_fold_changed(files, &dir, name, LARES_CHANGE_ADDED, LARES_FILTER_FILE_NAME);
        lares_files_stream_changed(files, object->node, name, LARES_CHANGE_ADDED_STREAM, LARES_FILTER_STREAM_NAME);
    }
    return status;
}

LaresStatus
lares_files_stream_named(LaresFiles *files, const LaresCaller *caller, const LaresObject *object, const char *name,
                         uint32_t access, gboolean create, gboolean exclusive, LaresObject *out, gboolean *created,
                         char real[LARES_NAME_LIMIT + 1])
{
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
        status = lares_files_stream_folder(object, &folder);
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
            status = lares_files_stream_folder_make(object, &folder);
        if (status == LARES_OK) {
            status = make_stream(files, object, folder, name, &node);
            if (status == LARES_OK)
                g_strlcpy(real, name, LARES_NAME_LIMIT + 1);
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
lares_files_stream(LaresFiles *files, const LaresCaller *caller, const LaresObject *object, const char *name,
                   uint32_t access, gboolean create, gboolean exclusive, LaresObject *out, gboolean *created)
{
    char real[LARES_NAME_LIMIT + 1];
    return lares_files_stream_named(files, caller, object, name, access, create, exclusive, out, created, real);
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
        status = lares_files_stream_folder(object, &folder);
    if (status != LARES_OK)
        return status;
    status = find_stream(files, caller, object, folder, name, real, &node);
    if (status == LARES_OK) {
        LaresObject dir = {object->share, folder};
        lares_node_unref(node);
        status = STORE_IFACE(store)->remove(store, &cred, folder, real);
        if (status == LARES_OK) {
            lares_fold_changed(files, &dir, real, LARES_CHANGE_REMOVED, LARES_FILTER_FILE_NAME);
            lares_files_stream_changed(files, object->node, real, LARES_CHANGE_REMOVED_STREAM,
                                       LARES_FILTER_STREAM_NAME);
        }
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
        status = lares_files_stream_folder(object, &folder);
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
        lares_files_stream_changed(files, object->node, real, LARES_CHANGE_REMOVED_STREAM, LARES_FILTER_STREAM_NAME);
        lares_files_stream_changed(files, object->node, new_name, LARES_CHANGE_ADDED_STREAM, LARES_FILTER_STREAM_NAME);
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
    LaresStatus status = lares_files_stream_folder(object, &folder);
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

LaresStatus
lares_files_stream_place(const LaresObject *object, const LaresNode *stream, LaresNode **folder,
                         char name[LARES_NAME_LIMIT + 1])
{
    LaresStore *store = object->share->store;
    LaresCred cred = lares_files_server_cred();
    LaresStatus status = lares_files_stream_folder(object, folder);
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
