/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The PAC of an accepted ticket.
 *
 * It counts when the library has verified the KDC's signature on it with the ticket's own key, and the client's name in
 * it ([MS-PAC] 2.8.4, 2.7). One that could not be verified ends the login ([MS-KILE] 3.4.5.3; Samba does the same),
 * although who can bring it can as well bring none: it is about access, it is not what the KDC said, and somebody
 * should look. So does one that is signed and cannot be read: half of a user's groups may be the half that opens,
 * without the half that is denied something. A PAC without logon information (MIT's, since 1.20) says nothing of
 * interest here and is as good as none.
 *
 * Spec: [MS-PAC]. Thread: as the name's. */
#pragma once

#include "krb5-logon.h"

#include <gssapi/gssapi.h>

/* FALSE with a newly allocated reason: the login has to be refused. *logon stays NULL where the ticket says nothing.
 * `realm`: the client's. `gss`: the established context; `source`: the client's name as it came out of it. */
gboolean krb5_pac_take(gss_ctx_id_t gss, gss_name_t source, const char *realm, Krb5Logon **logon, char **reason);
