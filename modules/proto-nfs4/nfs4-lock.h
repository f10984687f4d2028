/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What LOCK, LOCKT and LOCKU share. */
#pragma once

#include "nfs4-state-private.h"

/* nfs_lock_type4, offset, length. TRUE for the write kinds in range->write. FALSE (BADXDR) for no lock type. */
gboolean nfs4_get_lock_type(LaresReader *in, gboolean *write);
/* RFC 7530 16.10.4: NFS4ERR_INVAL for length 0, and when offset and length together exceed 64 bits (a length of all
 * ones means to the end). */
uint32_t nfs4_check_range(uint64_t start, uint64_t length);
/* Status of a range or lock call; LARES_DENIED is left to the caller. */
uint32_t nfs4_lock_status(const Nfs4Compound *c, LaresStatus status);
/* LOCK4denied; `owner` is the whole name of the lock owner in the way. */
void nfs4_put_denied(Nfs4Compound *c, const LaresLockConflict *conflict, GBytes *owner);
