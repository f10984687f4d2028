/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What core/files needs of the file state beside the public part.
 *
 * Locks: the state of all files is spread over a fixed number of shards, each with one mutex, found from the node's
 * address. A node's `state` is only touched under its shard's lock and freed when its last open goes, so a store may
 * free a node without asking here. No function calls a store or a holder with the lock held. */
#pragma once

#include <lares/state.h>
#include <lares/share.h>
#include <lares/files.h>

typedef struct _LaresUnlink LaresUnlink;

/* How many opens the server may have in all; 0: no bound. Told at start. */
void lares_state_limit_opens(guint max_opens);
guint lares_state_count_opens(void);
/* Registers an open. Takes over nothing: `file` and `share` get references of their own. LARES_SHARE_DENIED when it
 * conflicts with another open; courteous holders in the way are expired first. LARES_TOO_MANY. */
LaresStatus lares_state_open(LaresHolder *holder, LaresShare *share, LaresNode *node, LaresFile *file, uint32_t access,
                             uint32_t deny, LaresOpen **open);
/* Widens access and deny to the union; `file` (may be NULL) is added for the access it has. */
LaresStatus lares_state_upgrade(LaresOpen *open, LaresFile *file, uint32_t access, uint32_t deny);
/* Whose credentials the open was made with, told once before anybody else sees it; a second uid that widens it makes it
 * nobody's. I/O through an open is judged again for everybody but this uid: a stateid is no permission. */
void lares_state_opened_by(LaresOpen *open, uint32_t uid);
void lares_state_widened_by(LaresOpen *open, uint32_t uid);
gboolean lares_state_was_opened_by(const LaresOpen *open, uint32_t uid);
/* The open's file for an access (READ or WRITE), a new reference; NULL when it was not opened for it or is closed. */
LaresFile *lares_state_file(LaresOpen *open, uint32_t access);
/* A file somebody has open on the node, whoever it is and for whatever: a new reference or NULL. */
LaresFile *lares_state_any_file(LaresNode *node);
/* Does somebody's deny mode forbid I/O that comes without an open (or through `self`)? Expires courteous holders. */
LaresStatus lares_state_io_allowed(LaresNode *node, uint32_t access, LaresOpen *self);
/* Has the holder of `self` another open of this node that would conflict with such a one? */
gboolean lares_state_own_conflict(const LaresOpen *self, LaresNode *node, uint32_t access, uint32_t deny);
/* Would an open with these modes conflict now? */
LaresStatus lares_state_open_allowed(LaresNode *node, uint32_t access, uint32_t deny, LaresOpen *self);

/* ---- For protocols that say more ----------------------------------------------------------------------------------
 */

/* Registers an open of anything, with or without a file; see LaresOpenHow in files.h, whose `seen` and `granted` are
 * set. LARES_SHARE_DENIED, LARES_DELETE_PENDING, LARES_DELAY (wait or try again). */
LaresStatus lares_state_open_how(LaresHolder *holder, LaresShare *share, LaresNode *node, LaresFile *file,
                                 LaresOpenHow *how, LaresOpen **open);
typedef enum {
    LARES_CONTEND_READ,   /* somebody reads: nobody else may hold back what was written */
    LARES_CONTEND_WRITE,  /* somebody writes or locks: nobody else's copy is good */
    LARES_CONTEND_HANDLE, /* the name goes or changes: nobody may keep closed files open */
} LaresContend;
/* Breaks the leases of others in the way of `self` (may be NULL). LARES_DELAY with *seen (may be NULL) while one must
 * be waited for. */
LaresStatus lares_state_contend(LaresNode *node, LaresOpen *self, LaresContend what, uint64_t *seen);
/* May the name of this node go, as far as other opens are concerned? LARES_FILE_OPEN, LARES_DELAY. */
LaresStatus lares_state_name_may_go(LaresNode *node, LaresOpen *self, uint64_t *seen);
/* Entries of the directory with this number changed (0: of any): its leases end, but for the one this thread spares.
 * One atomic load while there are none. */
void lares_leases_dir_changed(uint64_t fileid);
/* The number of the directory that the node's name is in, for the above; 0 while it is of no use, too. FALSE: it has no
 * name. */
gboolean lares_leases_where(LaresNode *node, uint64_t *fileid);
gboolean lares_leases_deferred(void);
/* The same for the directory that the node's name is in, unless this thread defers it: lares_leases_tell(). */
static inline void
lares_leases_entry_changed(LaresNode *node)
{
    if (!lares_leases_deferred())
        lares_leases_tell(node);
}
/* A name was moved or made: what was found out about where nodes are is to be found out again. */
void lares_leases_names_moved(void);
/* FALSE: nobody anywhere has a lease or denies deletion, so the two above need not be asked. */
gboolean lares_state_has_guards(void);

/* What the last close does, run without locks. */
struct _LaresUnlink {
    void (*run)(LaresUnlink *unlink); /* consumes it */
    void (*free)(LaresUnlink *unlink);
};
/* Sets (consumes) or, with NULL, takes back what the last close of the open's file does. LARES_STALE: it is closed. */
LaresStatus lares_state_set_unlink(LaresOpen *open, LaresUnlink *unlink);
/* For tests: as if the break had waited too long. */
void lares_lease_time_out(LaresLease *lease);
