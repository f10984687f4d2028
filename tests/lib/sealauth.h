/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An authentication provider for tests: flavor "seal". */
#pragma once

#include <lares/lares.h>

#define SEAL_RPC_FLAVOR UINT32_C(0x5345414c)

/* As a module's load(). */
gboolean seal_load(LaresHost *host, GError **error);
/* After it was registered, where a plain RPC flavor that protects messages is rightly refused. */
void seal_loaded(void);
