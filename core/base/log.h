/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where log and audit lines go; set once by the daemon before threads start. */
#pragma once

#include <lares/log.h>

void lares_log_set_level(LaresLogLevel level);
gboolean lares_log_level_parse(const char *word, LaresLogLevel *level);
/* Audit lines go to this file too (opened for append, 0640), besides the log. NULL: the log only. */
gboolean lares_audit_open(const char *path, GError **error);
