/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The service: what is made once and given back at the end.
 *
 * Thread: main thread. */
#include "smb2-connection.h"
#include "smb2-info.h"
#include "smb2-message.h"

#include <openssl/rand.h>

/* Connections end on workers and use the service until then. */
#define END_WAIT_MS 5000
/* How soon a disabled user's idle sessions end; busy ones end with their next request. */
#define SWEEP_MS 500

static gboolean
on_sweep(gpointer data)
{
    smb2_sessions_sweep(data);
    return G_SOURCE_CONTINUE;
}

/* The same for all connections of a server ([MS-SMB2] 3.3.1.5), and for all its starts: clients that come back after a
 * restart compare it. */
static void
make_guid(Smb2Service *service)
{
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    g_autofree char *machine = NULL;
    gsize len = 0;
    uint8_t digest[32];
    gsize digest_len = sizeof digest;
    g_checksum_update(sum, (const guchar *)"lares smb2 server guid", -1);
    if (g_file_get_contents("/etc/machine-id", &machine, &len, NULL))
        g_checksum_update(sum, (const guchar *)machine, (gssize)len);
    g_checksum_update(sum, (const guchar *)lares_host_name(service->host), -1);
    g_checksum_update(sum, (const guchar *)lares_host_state_dir(service->host), -1);
    g_checksum_get_digest(sum, digest, &digest_len);
    memcpy(service->guid, digest, sizeof service->guid);
}

Smb2Service *
smb2_service_new(LaresHost *host, const Smb2Settings *settings, GError **error)
{
    Smb2Service *service = g_new0(Smb2Service, 1);
    service->host = host;
    service->files = lares_host_files(host);
    service->shares = lares_host_shares(host);
    service->directory = lares_host_directory(host);
    service->settings = *settings;
    service->listeners = g_ptr_array_new();
    service->start_time = smb2_filetime_now();
    g_mutex_init(&service->lock);
    service->sessions = g_hash_table_new(g_int64_hash, g_int64_equal);
    service->connections = g_hash_table_new(NULL, NULL);
    make_guid(service);
    smb2_domain(service); /* it may make a file: not on a worker, which may have some user's groups */
    service->net = (LaresService){
        .name = "smb2",
        .framing = LARES_FRAMING_DIRECT_TCP,
        .max_record = SMB2_MAX_RECORD,
        .max_reply = SMB2_MAX_REPLY,
        .max_in_flight = SMB2_MAX_IN_FLIGHT,
        .connected = smb2_connected,
        .request = smb2_message_request,
        .closed = smb2_closed,
    };
    service->opens = smb2_opens_new(service, error);
    if (!service->opens) {
        smb2_service_free(service);
        return NULL;
    }
    service->sweep = g_timeout_add(SWEEP_MS, on_sweep, service);
    return service;
}

static gboolean
wait_for_connections(Smb2Service *service)
{
    for (int i = 0; i < END_WAIT_MS / 10; i++) {
        if (g_atomic_int_get(&service->n_connections) == 0)
            return TRUE;
        g_usleep(10000);
    }
    return FALSE;
}

void
smb2_service_free(Smb2Service *service)
{
    g_clear_handle_id(&service->sweep, g_source_remove);
    for (guint i = 0; i < service->listeners->len; i++)
        lares_listener_close(service->listeners->pdata[i]);
    g_ptr_array_set_size(service->listeners, 0);
    if (!wait_for_connections(service)) {
        lares_warning("smb2", "%d connections did not end; their memory is left to the end of the process",
                      g_atomic_int_get(&service->n_connections));
        return;
    }
    if (service->opens)
        smb2_opens_free(service->opens);
    g_hash_table_unref(service->sessions);
    g_hash_table_unref(service->connections);
    g_ptr_array_unref(service->listeners);
    g_mutex_clear(&service->lock);
    g_free(service);
}
