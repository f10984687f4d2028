/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The module store-posix: shares of type "posix" over real directories. */
#include "posix.h"

#include <lares/host.h>
#include <lares/module.h>

static guint max_nodes, idle_seconds;

#define SWEEP_SECONDS 5

static void
weak_free(gpointer weak)
{
    g_weak_ref_clear(weak);
    g_free(weak);
}

/* Of GWeakRef: whose caches are swept. One timer for all: the main loop looks at each of its sources in every round.
 * Thread: main. */
static GPtrArray *swept;

/* The last user may leave in any thread, also while this runs. */
static gboolean
sweep(gpointer unused)
{
    for (guint i = swept->len; i-- > 0;) {
        g_autoptr(GObject) store = g_weak_ref_get(swept->pdata[i]);
        if (store)
            posix_cache_sweep(POSIX_STORE(store));
        else
            g_ptr_array_remove_index_fast(swept, i);
    }
    if (swept->len)
        return G_SOURCE_CONTINUE;
    g_clear_pointer(&swept, g_ptr_array_unref);
    return G_SOURCE_REMOVE;
}

static void
keep_swept(PosixStore *store)
{
    GWeakRef *weak = g_new0(GWeakRef, 1);
    g_weak_ref_init(weak, store);
    if (!swept) {
        swept = g_ptr_array_new_with_free_func(weak_free);
        g_timeout_add_seconds(SWEEP_SECONDS, sweep, NULL);
    }
    g_ptr_array_add(swept, weak);
}

static LaresStore *
open_store(LaresHost *host, const char *path, GError **error)
{
    PosixOptions options = {.path = path,
                            .state_dir = lares_host_state_dir(host),
                            .privileged = lares_host_privileged(host),
                            .max_nodes = max_nodes,
                            .idle_seconds = idle_seconds};
    PosixStore *store = posix_store_new(&options, error);
    if (!store)
        return NULL;
    keep_swept(store);
    return (LaresStore *)store;
}

static gboolean
load(LaresHost *host, LaresSettings *settings, GError **error)
{
    max_nodes = (guint)lares_settings_integer(settings, "max-nodes");
    idle_seconds = (guint)lares_settings_integer(settings, "idle-time");
    return lares_host_add_store_type(host, "posix", open_store, error);
}

static const LaresKey keys[] = {
    {"max-nodes", LARES_KEY_INTEGER, "0", 0, 1 << 20,
     "Descriptors kept for files that nobody uses at the moment; 0 takes a third of the process limit"},
    {"idle-time", LARES_KEY_DURATION, "30s", 1, 3600,
     "How long a file that nobody uses keeps its descriptor (and a file deleted on the host its storage)"},
    {NULL},
};

LARES_MODULE(LARES_MODULE_STORE, "store-posix", .version = "0.1.0", .description = "Shares over real directories",
             .keys = keys, .load = load);
