/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The running server as its modules see it: where to register, and the rooms of the core.
 *
 * Thread: register functions in load(), main thread. Getters from any thread; what they return lives until unload. */
#pragma once

#include <lares/types.h>
#include <lares/auth.h>
#include <lares/protocol.h>
#include <lares/store.h>

G_BEGIN_DECLS

/* FALSE with `error` when a flavor name, RPC flavor or type is taken already or the object is incomplete. */
LARES_API gboolean lares_host_add_auth_provider(LaresHost *host, LaresAuthProvider *provider, GError **error);
LARES_API gboolean lares_host_add_protocol(LaresHost *host, LaresProtocol *protocol, GError **error);
/* `type` is the word of a share's `store` key ("posix"). */
LARES_API gboolean lares_host_add_store_type(LaresHost *host, const char *type, LaresStoreOpenFunc open,
                                             GError **error);

LARES_API LaresDirectory *lares_host_directory(LaresHost *host);
LARES_API LaresShares *lares_host_shares(LaresHost *host);
LARES_API LaresFiles *lares_host_files(LaresHost *host);
LARES_API LaresControl *lares_host_control(LaresHost *host);

LARES_API const char *lares_host_state_dir(LaresHost *host); /* /var/lib/lares */
LARES_API const char *lares_host_run_dir(LaresHost *host);   /* /run/lares */
/* The fully qualified name clients use ("nas.home.lan") and its domain part ("home.lan"). */
LARES_API const char *lares_host_name(LaresHost *host);
LARES_API const char *lares_host_domain(LaresHost *host);
/* All names the server answers to, the first being lares_host_name(); NULL-ended. */
LARES_API const char *const *lares_host_aliases(LaresHost *host);
/* Moves each time the process starts (a boot verifier, RFC 8881 18.32.4): never 0. */
LARES_API uint64_t lares_host_boot_id(LaresHost *host);
/* Whether the daemon may act as other users (root or the needed capabilities). */
LARES_API gboolean lares_host_privileged(LaresHost *host);

G_END_DECLS
