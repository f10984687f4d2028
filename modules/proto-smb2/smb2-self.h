/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A login to this server as an SMB client makes it, for the doctor.
 *
 * Thread: the check's. */
#pragma once

#include <lares/doctor.h>

/* LaresSelfLogin's log_in: NEGOTIATE and SESSION_SETUP; the session ends with the connection. */
gboolean smb2_self_log_in(gpointer user, int fd, LaresLoginStep step, gpointer login, GError **error);
