/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPNEGO for protocols that log in with it (SMB, HTTP): one accepting context that negotiates among all providers
 * whose flavors have `spnego`, and then is the chosen provider's context.
 *
 * Spec: RFC 4178, [MS-SPNG]. Tokens of a mechanism without the negotiation around them (Kerberos in its GSS frame,
 * NTLMSSP) are taken too and answered likewise.
 *
 * Thread: as any LaresAuthContext. */
#pragma once

#include <lares/auth.h>

G_BEGIN_DECLS

/* A fresh context for one login to `service` ("cifs", "HTTP"). Never NULL: with no provider that could accept now, the
 * first step fails with the reason. LARES_AUTH_ESTABLISHED may come with a token that still has to be sent. */
LARES_API LaresAuthContext *lares_spnego_accept(LaresHost *host, const char *service, const LaresPeer *peer);

/* The flavor to log in with (lares_auth_login): the weakest of the mechanism that was chosen ("krb5", "ntlm"); what a
 * protocol adds to it by signing or sealing messages is the protocol's to know. "sys" for a login that proved nobody
 * (guest, anonymous). NULL until the context is established, or when no module offers that flavor. */
LARES_API const LaresFlavor *lares_spnego_flavor(LaresAuthContext *context);

/* What a server that speaks first sends: NegTokenInit2 with the mechanisms that could be accepted now, the preferred
 * first ([MS-SPNG] 3.2.5.2). New reference, never NULL. */
LARES_API GBytes *lares_spnego_init_token(LaresHost *host, const char *service);

G_END_DECLS
