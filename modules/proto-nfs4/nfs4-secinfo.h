/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What SECINFO and SECINFO_NO_NAME share. */
#pragma once

#include "nfs4-compound.h"

/* Writes the flavors of *object and takes the reference; consumes the current file handle where the spec says so. */
uint32_t nfs4_secinfo_answer(Nfs4Compound *c, LaresObject *object);
