/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What core/files needs of the file state beside the public part.
 *
 * Locks: the state of all files is spread over a fixed number of shards, each with one mutex, found from the node's
 * address. A node's `state` is only touched under its shard's lock and freed when its last open goes, so a store may
 * free a node without asking here. No function calls a store or a holder with the lock held. */
#pragma once

#include <lares/state.h>
#include <lares/share.h>

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
/* Would an open with these modes conflict now? */
LaresStatus lares_state_open_allowed(LaresNode *node, uint32_t access, uint32_t deny, LaresOpen *self);
