/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The shares: kept in SQLite, published as immutable values.
 *
 * A change goes to the database first, then every reader sees the new value under the same id. An id is never used
 * twice. A share keeps its store while its path and store type stay, so open files survive a change of policy.
 *
 * Thread: changes in the main thread; share.h's functions from any.
 * Locks: `change` before the database's before `lock` (the published table) before the pseudo tree's. */
#pragma once

#include <lares/control.h>
#include <lares/doctor.h>
#include <lares/share.h>

G_BEGIN_DECLS

/* The management verbs; `user` of their functions is the LaresShares. */
extern const LaresVerb lares_shares_verbs[];
/* What the doctor looks at; `user` is the LaresShares. */
extern const LaresCheck lares_shares_checks[];

/* Opens STATE/lares.db and registers the verbs with the host's control. */
LaresShares *lares_shares_new(LaresHost *host, GError **error);
/* The same with a database file; `host` is only handed to the stores. */
LaresShares *lares_shares_open(const char *database, LaresHost *host, GError **error);
void lares_shares_free(LaresShares *shares);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LaresShares, lares_shares_free)

/* After the modules are loaded: finds flavors, opens stores, and from then on watches for paths that appear. */
gboolean lares_shares_open_all(LaresShares *shares, GError **error);
/* Opens stores whose path has appeared, and again those whose path is another directory now (something was mounted).
 * Returns how many enabled shares are without a store. */
guint lares_shares_recheck(LaresShares *shares);
/* Something of a share is gone, and it may be its whole directory: has the recheck made soon. Thread: any. */
void lares_shares_suspect(LaresShares *shares);

/* `args` (a{sv}) as in the verbs share.create and share.set; *warnings (may be NULL) gets sentences or NULL. */
gboolean lares_shares_create(LaresShares *shares, GVariant *args, GPtrArray *warnings, GError **error);
gboolean lares_shares_change(LaresShares *shares, GVariant *args, GPtrArray *warnings, GError **error);
gboolean lares_shares_remove(LaresShares *shares, const char *name, GError **error);

G_END_DECLS
