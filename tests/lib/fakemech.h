/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A mechanism for tests of what is around mechanisms. The client says "go on" (answered "yes"), "last" (established,
 * answered "bye"), "end" (established, no answer) or "guest" (established, nobody); anything else is refused. A MIC is
 * the SHA-256 of "mic" and the message. */
#pragma once

#include <lares/auth.h>

extern const LaresOid fake_oid;    /* a mechanism of the provider */
extern const LaresOid fake_alias;  /* another name for it */
extern const LaresOid unknown_oid; /* nobody's */

#define FAKE_MIC 32u

/* With the flavor "fake"; its contexts cannot be had while *busy. */
LaresAuthProvider *fake_provider_new(const gboolean *busy);
void fake_mic(const uint8_t *message, size_t len, uint8_t mic[FAKE_MIC]);
