/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tells when a file may have changed, whichever way: written, renamed over, or reached through a folder whose link was
 * switched (as container platforms do with secrets).
 *
 * Thread: made, called back and freed in the main thread. */
#pragma once

#include <glib.h>

typedef struct Krb5Watch Krb5Watch;
typedef void (*Krb5WatchFunc)(gpointer user_data);

/* `changed` comes a moment after the last of a burst of events. The file and its folder need not exist. */
Krb5Watch *krb5_watch_new(const char *path, Krb5WatchFunc changed, gpointer user_data);
void krb5_watch_free(Krb5Watch *watch);
