/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A login to this server as an NFS client makes it, for the doctor.
 *
 * Thread: the check's. */
#pragma once

#include <lares/doctor.h>

/* LaresSelfLogin's log_in: RPCSEC_GSS INIT and, when the mechanism wants it, CONTINUE_INIT. */
gboolean nfs4_self_log_in(gpointer user, int fd, LaresLoginStep step, gpointer login, GError **error);
