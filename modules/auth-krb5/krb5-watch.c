/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See krb5-watch.h. */
#include "krb5-watch.h"

#include <gio/gio.h>

/* A tool that writes a keytab key by key is done well within this. */
#define SETTLE_MS 200
/* For file systems that tell nothing (a network mount). */
#define LOOK_ANYWAY_S 60

struct Krb5Watch {
    GFileMonitor *file, *folder;
    GSource *settle, *poll;
    Krb5WatchFunc changed;
    gpointer user_data;
};

static gboolean
settled(gpointer data)
{
    Krb5Watch *w = data;

    g_clear_pointer(&w->settle, g_source_unref);
    w->changed(w->user_data);
    return G_SOURCE_REMOVE;
}

static gboolean
look_anyway(gpointer data)
{
    Krb5Watch *w = data;
    w->changed(w->user_data);
    return G_SOURCE_CONTINUE;
}

static void
start(GSource **slot, GSource *source, GSourceFunc func, Krb5Watch *w)
{
    g_source_set_callback(source, func, w, NULL);
    g_source_attach(source, g_main_context_get_thread_default());
    *slot = source;
}

static void
stop(GSource **slot)
{
    if (*slot != NULL)
        g_source_destroy(*slot);
    g_clear_pointer(slot, g_source_unref);
}

static void
on_event(GFileMonitor *monitor, GFile *file, GFile *other, GFileMonitorEvent event, gpointer data)
{
    Krb5Watch *w = data;

    stop(&w->settle);
    start(&w->settle, g_timeout_source_new(SETTLE_MS), settled, w);
}

Krb5Watch *
krb5_watch_new(const char *path, Krb5WatchFunc changed, gpointer user_data)
{
    Krb5Watch *w = g_new0(Krb5Watch, 1);
    g_autoptr(GFile) file = g_file_new_for_path(path);
    g_autoptr(GFile) folder = g_file_get_parent(file);

    w->changed = changed;
    w->user_data = user_data;
    w->file = g_file_monitor_file(file, G_FILE_MONITOR_NONE, NULL, NULL);
    if (folder != NULL)
        w->folder = g_file_monitor_directory(folder, G_FILE_MONITOR_WATCH_MOVES, NULL, NULL);
    if (w->file != NULL)
        g_signal_connect(w->file, "changed", G_CALLBACK(on_event), w);
    if (w->folder != NULL)
        g_signal_connect(w->folder, "changed", G_CALLBACK(on_event), w);
    start(&w->poll, g_timeout_source_new_seconds(LOOK_ANYWAY_S), look_anyway, w);
    return w;
}

static void
monitor_end(GFileMonitor **monitor, Krb5Watch *w)
{
    if (*monitor == NULL)
        return;
    g_signal_handlers_disconnect_by_data(*monitor, w);
    g_file_monitor_cancel(*monitor);
    g_clear_object(monitor);
}

void
krb5_watch_free(Krb5Watch *w)
{
    if (w == NULL)
        return;
    monitor_end(&w->file, w);
    monitor_end(&w->folder, w);
    stop(&w->settle);
    stop(&w->poll);
    g_free(w);
}
