/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The flavors that are there: what each loaded auth module offers.
 *
 * Thread: providers are added in the main thread; look-ups from any thread, without a lock. */
#pragma once

#include <lares/auth.h>

G_BEGIN_DECLS

/* Takes a reference for ever. LARES_ERROR_MODULE when the interface is incomplete or a flavor makes no sense,
 * LARES_ERROR_EXISTS when a name, RPC flavor or mechanism is taken; then nothing was added. */
gboolean lares_auth_registry_add(LaresAuthProvider *provider, GError **error);
/* All providers; the array is freed by the caller, the providers are borrowed. */
GPtrArray *lares_auth_registry_providers(void);

/* Logins by protocol, flavor and reason, for /metrics. Once. */
gboolean lares_auth_add_metrics(GError **error);

/* lares_auth_login() with the directory itself. */
LaresStatus lares_auth_login_in(LaresDirectory *directory, LaresAuthContext *context, const LaresFlavor *flavor,
                                const char *protocol, const LaresPeer *peer, LaresIdentity **identity);

G_END_DECLS
