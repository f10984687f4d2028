/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The life of a connection: the callbacks of LaresService, and of the service itself. */
#pragma once

#include "smb2.h"

gpointer smb2_connected(LaresConnection *net, gpointer user);
void smb2_closed(LaresConnection *net, gpointer data);
/* Sends the breaks that were on their way over this connection, which is lost, over others of their clients'. */
void smb2_breaks_move(Smb2Connection *connection);

/* Main thread. Everything but the listeners. NULL with error. */
Smb2Service *smb2_service_new(LaresHost *host, const Smb2Settings *settings, GError **error);
/* Main thread. Closes the listeners and waits until the connections have ended. */
void smb2_service_free(Smb2Service *service);
