/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The login of the running server: in its own directory. */
#include "auth/registry.h"

#include <lares/host.h>

LaresStatus
lares_auth_login(LaresHost *host, LaresAuthContext *context, const LaresFlavor *flavor, const char *protocol,
                 const LaresPeer *peer, LaresIdentity **identity)
{
    return lares_auth_login_in(lares_host_directory(host), context, flavor, protocol, peer, identity);
}
