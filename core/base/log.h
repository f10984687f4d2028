/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where log and audit lines go; set once by the daemon before threads start. */
#pragma once

#include <lares/log.h>

void lares_log_set_level(LaresLogLevel level);
gboolean lares_log_level_parse(const char *word, LaresLogLevel *level);
/* Lines of this level so far, written or not: errors and warnings only. */
guint64 lares_log_count(LaresLogLevel level);
/* Audit lines go to this file too (opened for append, 0640), besides the log. NULL: the log only. */
gboolean lares_audit_open(const char *path, GError **error);

#define LARES_AUDIT_LEFT_OUT 12
/* Whether one more refusal of the peer `who` (an address, a uid) is to be written: some in ten seconds are. `left_out`
 * then says how many were not since its last line; empty for none. Any thread. */
gboolean lares_audit_limit(const char *who, char left_out[LARES_AUDIT_LEFT_OUT]);
gboolean lares_audit_limit_at(const char *who, gint64 now, char left_out[LARES_AUDIT_LEFT_OUT]); /* now: us */
