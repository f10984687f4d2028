/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which store types there are: the words a share's `store` key may have.
 *
 * Thread: any; adding happens in the main thread. */
#pragma once

#include <lares/store.h>

/* FALSE with LARES_ERROR_EXISTS when the type is taken, LARES_ERROR_MODULE when it is incomplete. */
gboolean lares_store_registry_add(const char *type, LaresStoreOpenFunc open, GError **error);
/* NULL when no loaded module offers it. */
LaresStoreOpenFunc lares_store_registry_find(const char *type);
/* Names of all types, sorted: a new NULL-ended array of borrowed strings (g_free). */
const char **lares_store_registry_list(void);
