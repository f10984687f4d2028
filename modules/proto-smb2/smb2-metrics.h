/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the module counts: commands, durations of requests, bytes, sessions.
 *
 * Thread: registering main, counting any. */
#pragma once

#include "smb2.h"

/* NULL before smb2_metrics_register(): then nothing is counted. */
extern LaresOperations *smb2_operations;
extern LaresMeter *smb2_bytes;

/* In load(), once. `*service` is NULL while the protocol is stopped. */
gboolean smb2_metrics_register(Smb2Service *const *service, GError **error);

LaresOutcome smb2_outcome(uint32_t status);

/* The place of a command in smb2_operations; the last is for those that nobody knows. */
static inline guint
smb2_command_place(uint16_t command)
{
    return MIN(command, SMB2_N_COMMANDS);
}

/* A command is over, waited or not. */
static inline void
smb2_count_command(uint16_t command, uint32_t status)
{
    lares_operations_count(smb2_operations, smb2_command_place(command),
                           status == STATUS_SUCCESS ? LARES_OUTCOME_OK : smb2_outcome(status));
}

static inline void
smb2_count_bytes(gboolean written, uint64_t n)
{
    lares_meter_add(smb2_bytes, written ? 1 : 0, n);
}
