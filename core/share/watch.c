/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Noticing that a share's path appeared or became another directory: the kernel tells when the mount table changes; a
 * timer looks for directories that were merely made, and runs only while a share waits for one. That a directory was
 * removed and another made in its place shows when somebody is told that what he asks for is stale. */
#include "share/shares-private.h"

#include <fcntl.h>
#include <glib-unix.h>
#include <unistd.h>

#define RETRY_SECONDS 5
#define SUSPECT_MS    200

enum { NOT_WATCHED = -1, TRUSTED, SUSPECTED };

static gboolean
retry(gpointer user)
{
    LaresShares *s = user;
    if (lares_shares_recheck(s) > 0)
        return G_SOURCE_CONTINUE;
    s->retry = 0;
    return G_SOURCE_REMOVE;
}

static void
start_timer(LaresShares *s, guint missing)
{
    if (missing && !s->retry)
        s->retry = g_timeout_add_seconds(RETRY_SECONDS, retry, s);
}

/* proc(5): a change of the mount table shows as an error condition with priority data. */
static gboolean
mounts_changed(int fd, GIOCondition condition, gpointer user)
{
    start_timer(user, lares_shares_recheck(user));
    return G_SOURCE_CONTINUE;
}

static gboolean
look_again(gpointer user)
{
    LaresShares *s = user;
    g_atomic_int_set(&s->suspect, TRUSTED);
    start_timer(s, lares_shares_recheck(s));
    return G_SOURCE_REMOVE;
}

void
lares_shares_suspect(LaresShares *s)
{
    if (g_atomic_int_get(&s->suspect) == TRUSTED && g_atomic_int_compare_and_exchange(&s->suspect, TRUSTED, SUSPECTED))
        g_timeout_add(SUSPECT_MS, look_again, s);
}

void
lares_shares_watch(LaresShares *s, guint missing)
{
    if (s->mounts_fd < 0) {
        s->mounts_fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
        if (s->mounts_fd >= 0)
            s->mounts = g_unix_fd_add(s->mounts_fd, G_IO_PRI, mounts_changed, s);
    }
    g_atomic_int_compare_and_exchange(&s->suspect, NOT_WATCHED, TRUSTED);
    start_timer(s, missing);
}

void
lares_shares_unwatch(LaresShares *s)
{
    g_clear_handle_id(&s->retry, g_source_remove);
    g_clear_handle_id(&s->mounts, g_source_remove);
    if (g_atomic_int_get(&s->suspect) == SUSPECTED)
        g_source_remove_by_user_data(s);
    g_atomic_int_set(&s->suspect, NOT_WATCHED);
    if (s->mounts_fd >= 0)
        close(s->mounts_fd);
    s->mounts_fd = -1;
}
