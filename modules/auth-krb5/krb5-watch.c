/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See krb5-watch.h. */
#include "krb5-watch.h"

#include <gio/gio.h>

/* A tool that writes a keytab key by key is done well within this. */
#define SETTLE_MS 200
/* For file systems that tell nothing (a network mount). */
#define LOOK_ANYWAY_S 60

struct Krb5Watch {
    char *path;
    GFileMonitor *file, *folder;
    GFileMonitor *above; /* while the folder does not exist: the one it will appear in */
    GSource *settle, *poll;
    Krb5WatchFunc changed;
    gpointer user_data;
};

static void watch_monitors(Krb5Watch *w);

static gboolean
settled(gpointer data)
{
    Krb5Watch *w = data;

    if (w->above != NULL)
        watch_monitors(w);
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

static void
monitor_end(GFileMonitor **monitor, Krb5Watch *w)
{
    if (*monitor == NULL)
        return;
    g_signal_handlers_disconnect_by_data(*monitor, w);
    g_file_monitor_cancel(*monitor);
    g_clear_object(monitor);
}

static GFileMonitor *
monitor_folder(GFile *folder, Krb5Watch *w)
{
    GFileMonitor *m = g_file_monitor_directory(folder, G_FILE_MONITOR_WATCH_MOVES, NULL, NULL);

    if (m != NULL)
        g_signal_connect(m, "changed", G_CALLBACK(on_event), w);
    return m;
}

/* GLib looks for a missing folder every few seconds; a realm that was just made should work at once. */
static void
watch_monitors(Krb5Watch *w)
{
    g_autoptr(GFile) file = g_file_new_for_path(w->path);
    g_autoptr(GFile) folder = g_file_get_parent(file);
    g_autoptr(GFile) above = folder != NULL ? g_file_get_parent(folder) : NULL;

    monitor_end(&w->file, w);
    monitor_end(&w->folder, w);
    monitor_end(&w->above, w);
    w->file = g_file_monitor_file(file, G_FILE_MONITOR_NONE, NULL, NULL);
    if (w->file != NULL)
        g_signal_connect(w->file, "changed", G_CALLBACK(on_event), w);
    if (folder != NULL)
        w->folder = monitor_folder(folder, w);
    if (above != NULL && !g_file_query_exists(folder, NULL))
        w->above = monitor_folder(above, w);
}

Krb5Watch *
krb5_watch_new(const char *path, Krb5WatchFunc changed, gpointer user_data)
{
    Krb5Watch *w = g_new0(Krb5Watch, 1);

    w->path = g_strdup(path);
    w->changed = changed;
    w->user_data = user_data;
    watch_monitors(w);
    start(&w->poll, g_timeout_source_new_seconds(LOOK_ANYWAY_S), look_anyway, w);
    return w;
}

void
krb5_watch_free(Krb5Watch *w)
{
    if (w == NULL)
        return;
    monitor_end(&w->file, w);
    monitor_end(&w->folder, w);
    monitor_end(&w->above, w);
    stop(&w->settle);
    stop(&w->poll);
    g_free(w->path);
    g_free(w);
}
