/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What LOCK, LOCKT and LOCKU share. */
#pragma once

#include "nfs4-state-private.h"

/* nfs_lock_type4, offset, length. TRUE for the write kinds in range->write. FALSE (BADXDR) for no lock type. */
gboolean nfs4_get_lock_type(LaresReader *in, gboolean *write);
/* Status of a range or lock call; LARES_DENIED is left to the caller. */
uint32_t nfs4_lock_status(const Nfs4Compound *c, LaresStatus status);
/* LOCK4denied */
void nfs4_put_denied(Nfs4Compound *c, const LaresLockConflict *conflict);
