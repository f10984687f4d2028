/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a context token says before the library has opened it: which realm it wants to be carried to, and the client's
 * authenticator as it stands there, sealed.
 *
 * Spec: RFC 2743 3.1 (the frame), RFC 4121 4.1, RFC 4120 5.5.1 (AP-REQ), draft-ietf-kitten-iakerb 3. Thread: any. */
#pragma once

#include "krb5-keytab.h"

/* Whether the token may be given to the library. With IAKERB a client tells us which realm's KDC its message is for, in
 * every leg anew; we carry messages to the realms whose keys we hold and to no other address that a stranger names.
 * FALSE also for what the library might read in another way than we do. */
gboolean krb5_token_may_be_carried(const Krb5Keytab *keytab, const uint8_t *token, size_t len);

/* The encrypted authenticator of the token's AP-REQ, in the token; NULL: there is none. Its bytes are the client's
 * alone: no copy of the token with other bytes around it can differ in them and still be accepted. */
const uint8_t *krb5_token_authenticator(const uint8_t *token, size_t len, size_t *size);
