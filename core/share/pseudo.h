/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The pseudo-root: a read-only store with one directory per component of the shares' pseudo paths.
 *
 * A pseudo node at a share's own path is a junction: it is covered by the share's root. Nodes, handles, file ids and
 * cookies are derived from the path, so they are the same after a restart. Only enabled shares appear.
 *
 * Spec: RFC 7530 7 and 2.6, RFC 8881 7 and 2.6.
 * Thread: any. Locks: the tree's own; no callback runs while it is held. */
#pragma once

#include <lares/share.h>

G_BEGIN_DECLS

/* fsid of the pseudo file system; no device number is that large. */
#define LARES_PSEUDO_FSID UINT64_C(0x4c61726573)

/* The share with id 0, name "/", whose store is the pseudo-root; its flavors are the union of all shares'. A new
 * reference; also what lares_shares_by_id(shares, 0) gives. */
LaresShare *lares_shares_pseudo(LaresShares *shares);
/* The share that covers this node, as it is now: a new reference, or NULL. */
LaresShare *lares_pseudo_junction(LaresNode *node);
/* The pseudo node a share covers (for LOOKUPP and mounted_on): a new reference. LARES_STALE when it is not there. */
LaresStatus lares_pseudo_node_of_share(LaresShares *shares, const LaresShare *share, LaresNode **node);
/* The flavors of all shares at and below a pseudo node, each once, in the order of share names and their lists. */
guint lares_shares_union_flavors(LaresShares *shares, const LaresNode *pseudo_node,
                                 const LaresFlavor *out[LARES_SHARE_MAX_FLAVORS]);
/* May this peer see the node: is there a share at or below it whose hosts list has the peer? The root always is. */
gboolean lares_pseudo_visible(LaresNode *node, const LaresPeer *peer);

/* ---- For the shares -------------------------------------------------------------------------------------------- */

#define LARES_TYPE_PSEUDO (lares_pseudo_get_type())
G_DECLARE_FINAL_TYPE(LaresPseudo, lares_pseudo, LARES, PSEUDO, GObject)

LaresPseudo *lares_pseudo_new(void);
/* Makes the tree that of `shares` (LaresShare, in name order). `change` and `when` become every node's. */
void lares_pseudo_update(LaresPseudo *pseudo, GPtrArray *shares, uint64_t change, gint64 when);
/* The same when only one differs: `old` (or NULL) goes, `share` (or NULL) comes. */
void lares_pseudo_change(LaresPseudo *pseudo, const LaresShare *old, LaresShare *share, uint64_t change, gint64 when);
/* The flavors of the enabled ones among `shares`, each once, in their order. */
guint lares_pseudo_union_flavors(const GPtrArray *shares, const LaresFlavor *out[LARES_SHARE_MAX_FLAVORS]);
/* lares_pseudo_node_of_share() by path. */
LaresStatus lares_pseudo_find(LaresPseudo *pseudo, const char *path, LaresNode **node);

G_END_DECLS
