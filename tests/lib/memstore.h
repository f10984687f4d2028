/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A store in memory for tests of what lies above stores: same rules, no disk, and errors on demand.
 *
 * Thread: any; one lock for everything. Nodes live until the store goes: drop all references before it. */
#pragma once

#include <lares/store.h>

/* A new LaresStore (g_object_unref). The root directory belongs to root:root with mode 0777. uid 0 may do everything;
 * everybody else what ACL or mode say. */
LaresStore *memstore_new(void);
/* A LaresStoreOpenFunc for lares_host_add_store_type() or the registry. */
LaresStore *memstore_open(LaresHost *host, const char *path, GError **error);
/* The next operation of this name ("write", "getattr", …) fails with `status` instead of doing anything. */
void memstore_fail_next(LaresStore *store, const char *operation, LaresStatus status);
/* Operations so far. */
uint64_t memstore_count_calls(LaresStore *store);
/* Files that are open now. */
guint memstore_count_opens(LaresStore *store);
