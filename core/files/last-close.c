/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Deleting at the last close: what the state of a file does when nobody has it open any more.
 *
 * Spec: [MS-FSA] 2.1.5.4, 2.1.5.14.3. */
#include "files/files-private.h"
#include "state/state-private.h"

#include <string.h>

typedef struct {
    LaresUnlink base;
    LaresFiles *files;
    LaresShare *share;
    LaresNode *dir;
    uint64_t fileid;
    LaresHandle handle; /* not the node: it must not be held by its own state */
    uint32_t uid, gid, n_groups;
    uint32_t *groups;
    gboolean pass; /* lares_store_pass() as it was when that was said */
    char *name;
} LastClose;

static void
last_close_free(LaresUnlink *unlink)
{
    LastClose *last = (LastClose *)unlink;
    lares_node_unref(last->dir);
    lares_share_unref(last->share);
    g_free(last->groups);
    g_free(last->name);
    g_free(last);
}

/* Removes the name if it still is the file that was to go. */
static void
last_close_run(LaresUnlink *unlink)
{
    LastClose *last = (LastClose *)unlink;
    LaresStore *store = last->share->store;
    LaresCred cred = {last->uid, last->gid, last->groups, last->n_groups};
    g_autoptr(LaresNode) node = NULL;
    gboolean before = lares_store_pass(last->pass);
    if (STORE_IFACE(store)->lookup(store, &cred, last->dir, last->name, &node) == LARES_OK &&
        node->fileid == last->fileid && node->handle.len == last->handle.len &&
        memcmp(node->handle.bytes, last->handle.bytes, last->handle.len) == 0) {
        LaresObject dir = {last->share, last->dir};
        LaresVictim victim;
        lares_files_victim(last->files, &dir, &cred, last->name, &victim);
        LaresStatus status = STORE_IFACE(store)->remove(store, &cred, last->dir, last->name);
        lares_files_change_after(&dir, NULL);
        if (status == LARES_OK)
            lares_files_changed(last->files, &dir, last->name, LARES_CHANGE_REMOVED,
                                lares_files_victim_filter(&victim));
        lares_files_victim_end(last->files, &victim, status == LARES_OK);
    }
    lares_store_pass(before);
    last_close_free(unlink);
}

static gboolean
note_entry(const LaresDirEntry *entry, gpointer user)
{
    *(gboolean *)user = TRUE;
    return FALSE;
}

static LaresUnlink *
last_close_new(LaresFiles *files, LaresOpen *open, const LaresObject *dir, const char *name, const LaresCred *cred)
{
    LaresNode *node = lares_open_node(open);
    LastClose *last = g_new0(LastClose, 1);
    last->base = (LaresUnlink){last_close_run, last_close_free};
    last->files = files;
    last->share = lares_share_ref(dir->share);
    last->dir = lares_node_ref(dir->node);
    last->fileid = node->fileid;
    last->handle = node->handle;
    last->uid = cred->uid;
    last->gid = cred->gid;
    last->n_groups = cred->n_groups;
    last->groups = g_memdup2(cred->groups, cred->n_groups * sizeof *cred->groups);
    last->pass = lares_store_passes();
    last->name = g_strdup(name);
    return &last->base;
}

static LaresStatus
set_unlink(LaresFiles *files, LaresOpen *open, const LaresObject *dir, const char *name, const LaresCred *cred)
{
    return lares_state_set_unlink(open, last_close_new(files, open, dir, name, cred));
}

LaresStatus
lares_files_contend_name(LaresFiles *files, const LaresObject *object, LaresOpen *self, uint64_t *seen)
{
    return lares_state_has_guards() ? lares_state_contend(object->node, self, LARES_CONTEND_HANDLE, seen) : LARES_OK;
}

LaresStatus
lares_files_delete_link(LaresFiles *files, const LaresCaller *caller, LaresOpen *open, const LaresObject *dir,
                        const char *name)
{
    LaresStatus status = lares_files_writable(dir);
    if (status != LARES_OK)
        return status;
    LaresCred cred = lares_files_cred(caller, dir);
    last_close_run(last_close_new(files, open, dir, name, &cred));
    return LARES_OK;
}

LaresStatus
lares_files_delete_on_close(LaresFiles *files, const LaresCaller *caller, LaresOpen *open, const LaresObject *dir,
                            const char *name, gboolean on)
{
    if (!on)
        return lares_state_set_unlink(open, NULL);
    LaresStatus status = lares_files_writable(dir);
    LaresNode *node = lares_open_node(open);
    LaresCred cred = lares_files_cred(caller, dir), own = lares_files_server_cred(); /* who may delete need not list */
    if (status == LARES_OK && node->type == LARES_TYPE_DIRECTORY) {
        gboolean has_entry = FALSE, eof;
        status = STORE_IFACE(node->store)->readdir(node->store, &own, node, 0, note_entry, &has_entry, &eof);
        if (status == LARES_OK && has_entry)
            status = LARES_NOTEMPTY;
    }
    if (status == LARES_OK)
        status = set_unlink(files, open, dir, name, &cred);
    if (status == LARES_OK && node->type == LARES_TYPE_DIRECTORY)
        lares_files_dir_is_to_go(files, node);
    return status;
}

LaresStatus
lares_files_delete_on_close_made(LaresFiles *files, LaresOpen *open, const LaresObject *dir, const char *name)
{
    LaresCred cred = lares_files_server_cred();
    LaresStatus status = lares_files_writable(dir);
    return status == LARES_OK ? set_unlink(files, open, dir, name, &cred) : status;
}

LaresStatus
lares_files_stream_delete_on_close(LaresFiles *files, const LaresCaller *caller, LaresOpen *open,
                                   const LaresObject *object, gboolean on)
{
    if (!on)
        return lares_state_set_unlink(open, NULL);
    LaresStatus status = lares_files_writable(object);
    if (status != LARES_OK)
        return status;
    char name[LARES_NAME_LIMIT + 1];
    LaresNode *folder;
    status = lares_files_stream_place(object, lares_open_node(open), &folder, name);
    if (status != LARES_OK)
        return status;
    LaresObject dir = {object->share, folder};
    LaresCred cred = lares_files_server_cred();
    status = set_unlink(files, open, &dir, name, &cred);
    lares_node_unref(folder);
    return status;
}
