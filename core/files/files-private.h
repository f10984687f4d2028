/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Inside core/files. */
#pragma once

#include <lares/files.h>
#include <lares/host.h>
#include <lares/state.h>

#include <string.h>

typedef struct _LaresSweeper LaresSweeper;

struct _LaresFiles {
    LaresHost *host;
    LaresShares *shares;
    uint8_t key[32]; /* of the handles' MAC; kept in STATE/handle.key so that handles outlive the process */
    gint n_watches;  /* atomic */
    GMutex watch_lock;
    GPtrArray *watches; /* of LaresWatch; guarded by watch_lock */
    LaresSweeper *sweeper;
};

/* Reads or makes the key. */
LaresFiles *lares_files_new(LaresHost *host, GError **error);
void lares_files_free(LaresFiles *files);

#define STORE_IFACE(store) LARES_STORE_GET_IFACE(store)

/* The credentials of the caller on the object's share. */
static inline LaresCred
lares_files_cred(const LaresCaller *caller, const LaresObject *object)
{
    LaresCred cred;
    lares_share_cred(object->share, caller->identity, caller->flavor, &cred);
    return cred;
}

/* LARES_ROFS on a read-only share and on the pseudo-root. */
static inline LaresStatus
lares_files_writable(const LaresObject *object)
{
    return object->share->read_only || object->share->id == 0 ? LARES_ROFS : LARES_OK;
}

/* May the caller use an open that is there already for this access? Who opened it always (POSIX: a later chmod does not
 * end an open), everybody else as far as the file lets them now. LARES_OK or LARES_ACCESS. */
LaresStatus lares_files_may_use(const LaresCaller *caller, const LaresObject *object, const LaresOpen *open,
                                uint32_t access);

/* Fills one side of a change info; a failing getattr leaves 0 and clears `atomic`. */
void lares_files_change_before(const LaresObject *dir, LaresChangeInfo *info);
void lares_files_change_after(const LaresObject *dir, LaresChangeInfo *info);

/* ---- notify.c, fold.c, stream.c ------------------------------------------------------------------------------------
 */

/* Somebody changed what the node holds. */
void lares_files_node_changed(LaresFiles *files, LaresNode *node, uint32_t filter);
/* The directory is to go with its last close: who watches it hears LARES_CHANGE_DELETE_PENDING. */
void lares_files_dir_is_to_go(LaresFiles *files, const LaresNode *dir);
void lares_fold_changed(LaresFiles *files, const LaresObject *dir, const char *name, LaresChangeAction action,
                        uint32_t filter);
/* The name in a directory that is `name` but for case, without asking for permission. */
LaresStatus lares_fold_find(const LaresObject *dir, const char *name, char real[LARES_NAME_LIMIT + 1]);
/* Drops what is remembered of a store's directories; NULL: of all. */
void lares_fold_forget(const LaresStore *store);
/* Is it the same name but for case? */
gboolean lares_fold_equal(const char *a, const char *b);
/* For tests: directories read so far, bytes in tables. */
guint lares_fold_reads(void);
gsize lares_fold_bytes(void);

/* What will be removed or replaced, as far as somebody wants to know it: who watches, or its streams. */
typedef struct {
    LaresObject object; /* not set: nobody does */
    gboolean last;      /* its last name */
} LaresVictim;
void lares_files_victim(LaresFiles *files, const LaresObject *dir, const LaresCred *cred, const char *name,
                        LaresVictim *victim);
uint32_t lares_files_victim_filter(const LaresVictim *victim); /* LARES_FILTER_FILE_NAME or …DIR_NAME */
void lares_files_victim_end(LaresFiles *files, LaresVictim *victim, gboolean gone);

/* Around a rename; borrows its arguments. */
typedef struct {
    const LaresObject *from, *to;
    const char *name, *new_name;
    LaresVictim moved, replaced;
} LaresRenaming;
void lares_files_renaming(LaresFiles *files, const LaresCred *cred, const LaresObject *from, const char *name,
                          const LaresObject *to, const char *new_name, LaresRenaming *renaming);
void lares_files_renamed(LaresFiles *files, LaresRenaming *renaming, gboolean done);

/* The daemon itself. */
LaresCred lares_files_server_cred(void);
/* Is there room in a handle for both, the named attribute and what it belongs to? */
gboolean lares_files_named_fits(const LaresObject *of, const LaresObject *named);
/* Sets the time of birth, which no kernel does: as Windows sets it, in a note (dos.c). `cred` NULL: of what was just
 * made. */
LaresStatus lares_files_set_birth(LaresFiles *files, const LaresCred *cred, const LaresObject *object,
                                  const LaresTime *birth);
/* The folder (a reference) and the name of a stream of `object` that is there. */
LaresStatus lares_files_stream_place(const LaresObject *object, const LaresNode *stream, LaresNode **folder,
                                     char name[LARES_NAME_LIMIT + 1]);
gboolean lares_files_has_streams(LaresFiles *files, const LaresObject *object);
void lares_files_streams_forget(LaresFiles *files, const LaresObject *object);
/* The folder (a reference) with the streams of an object; LARES_NOENT when it has none. */
LaresStatus lares_files_stream_folder(const LaresObject *object, LaresNode **folder);
/* The file (a reference) whose streams are in the folder of this name. */
LaresStatus lares_files_stream_file(LaresStore *store, const char *id, LaresNode **file);
/* A stream of `file` came, went, or was changed; `filter` is one of LARES_FILTER_STREAM_…. */
void lares_files_stream_changed(LaresFiles *files, LaresNode *file, const char *name, LaresChangeAction action,
                                uint32_t filter);
LaresStatus lares_files_stream_folder_make(const LaresObject *object, LaresNode **folder);
/* Removes the streams of files that have been gone for `grace` seconds at `now`, until *stop (atomic; may be NULL) is
 * set. The number of such files. */
guint lares_files_streams_sweep(LaresStore *store, int64_t now, int64_t grace, gint *stop);
LaresSweeper *lares_sweeper_start(LaresShares *shares);
void lares_sweeper_stop(LaresSweeper *sweeper); /* NULL: nothing */
/* Is this the reserved name? In any case, since a directory may have been made insensitive to it (chattr +F). */
static inline gboolean
lares_files_is_hidden(const char *name)
{
    return name[0] == '.' && (name[1] | 0x20) == 'l' && lares_fold_equal(name, LARES_HIDDEN_NAME);
}
