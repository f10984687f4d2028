/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rooms that may be absent from a build: a missing one is a NULL function. */
#pragma once

#include <lares/lares.h>

#pragma weak lares_auth_registry_add
#pragma weak lares_flavor_by_name
#pragma weak lares_flavor_by_rpc
#pragma weak lares_auth_provider_get_flavors
#pragma weak lares_auth_provider_get_type
#pragma weak lares_directory_new
#pragma weak lares_directory_free
#pragma weak lares_directory_configure
#pragma weak lares_shares_new
#pragma weak lares_shares_free
#pragma weak lares_shares_open_all
#pragma weak lares_files_new
#pragma weak lares_files_free

gboolean lares_auth_registry_add(LaresAuthProvider *provider, GError **error);
LaresDirectory *lares_directory_new(LaresHost *host, GError **error);
gboolean lares_directory_configure(LaresDirectory *directory, const LaresSettings *settings, GError **error);
void lares_directory_free(LaresDirectory *directory);
LaresShares *lares_shares_new(LaresHost *host, GError **error);
void lares_shares_free(LaresShares *shares);
gboolean lares_shares_open_all(LaresShares *shares, GError **error);
LaresFiles *lares_files_new(LaresHost *host, GError **error);
void lares_files_free(LaresFiles *files);
