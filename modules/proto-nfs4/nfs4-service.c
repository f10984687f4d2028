/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The service: what is made once and given back at the end.
 *
 * Thread: main thread. */
#include "nfs4-gss.h"
#include "nfs4-state.h"

/* Connections end on workers and use the service until then. */
#define END_WAIT_MS 5000

Nfs4Service *
nfs4_service_new(LaresHost *host, const Nfs4Settings *settings, GError **error)
{
    Nfs4Service *service = g_new0(Nfs4Service, 1);
    service->host = host;
    service->files = lares_host_files(host);
    service->shares = lares_host_shares(host);
    service->directory = lares_host_directory(host);
    service->settings = *settings;
    service->listeners = g_ptr_array_new();
    service->gss = nfs4_gss_table_new(settings->max_contexts, settings->max_contexts_each);
    service->write_verifier = lares_host_boot_id(host);
    service->net = (LaresService){
        .name = "nfs4",
        .framing = LARES_FRAMING_RPC,
        .max_record = NFS4_MAX_RECORD,
        .max_reply = NFS4_MAX_REPLY,
        .max_in_flight = NFS4_MAX_IN_FLIGHT,
        .connected = nfs4_rpc_connected,
        .request = nfs4_rpc_request,
        .closed = nfs4_rpc_closed,
    };
    service->state = nfs4_state_new(service, error);
    if (!service->state)
        g_clear_pointer(&service, nfs4_service_free);
    return service;
}

static gboolean
wait_for_connections(Nfs4Service *service)
{
    for (int i = 0; i < END_WAIT_MS / 10; i++) {
        if (g_atomic_int_get(&service->n_connections) == 0)
            return TRUE;
        g_usleep(10000);
    }
    return FALSE;
}

void
nfs4_service_free(Nfs4Service *service)
{
    for (guint i = 0; i < service->listeners->len; i++)
        lares_listener_close(service->listeners->pdata[i]);
    g_ptr_array_set_size(service->listeners, 0);
    if (!wait_for_connections(service)) {
        lares_warning("nfs4", "%d connections did not end; their memory is left to the end of the process",
                      g_atomic_int_get(&service->n_connections));
        return;
    }
    if (service->state)
        nfs4_state_free(service->state);
    nfs4_gss_table_free(service->gss);
    g_ptr_array_unref(service->listeners);
    g_free(service);
}
