/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What others must know of NEGOTIATE. */
#pragma once

#include "smb2.h"

/* The greatest dialect of the client's that is served; 0: none. */
uint16_t smb2_negotiate_choose(const Smb2Settings *settings, const uint16_t *dialects, guint n);
