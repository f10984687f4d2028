/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What operations with a stateid begin with. */
#pragma once

#include "nfs4-state.h"

/* Checks type and stateid of *object (&c->current or &c->saved) and begins I/O; on NFS4_OK end it with
 * lares_files_io_end(). */
uint32_t nfs4_io_begin(Nfs4Compound *c, const LaresObject *object, const Nfs4Stateid *stateid, uint32_t access,
                       LaresIo *io);
