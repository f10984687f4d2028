/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The module: its settings, and starting and stopping the service.
 *
 * Thread: main thread. */
#include "nfs4-gss.h"
#include "nfs4-metrics.h"
#include "nfs4-self.h"
#include "nfs4-state.h"

#define LARES_TYPE_NFS4 (lares_nfs4_get_type())
G_DECLARE_FINAL_TYPE(LaresNfs4, lares_nfs4, LARES, NFS4, GObject)

struct _LaresNfs4 {
    GObject parent;
    LaresSettings *settings; /* lives as long as the process */
    Nfs4Service *service;    /* NULL while stopped */
};

static void protocol_iface_init(LaresProtocolInterface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE(LaresNfs4, lares_nfs4, G_TYPE_OBJECT,
                              G_IMPLEMENT_INTERFACE(LARES_TYPE_PROTOCOL, protocol_iface_init))

static void
lares_nfs4_class_init(G_GNUC_UNUSED LaresNfs4Class *klass)
{
}

static void
lares_nfs4_init(G_GNUC_UNUSED LaresNfs4 *self)
{
}

static const char *
get_name(G_GNUC_UNUSED LaresProtocol *protocol)
{
    return "nfs4";
}

/* ---- Starting and stopping ----------------------------------------------------------------------------------------
 */

static void
read_settings(LaresSettings *s, Nfs4Settings *out)
{
    out->listen = lares_settings_list(s, "listen");
    out->lease_time = (guint)lares_settings_integer(s, "lease-time");
    out->grace_time = (guint)lares_settings_integer(s, "grace-time");
    out->min_minor = (guint)lares_settings_integer(s, "minimum-minor-version");
    out->max_minor = (guint)lares_settings_integer(s, "maximum-minor-version");
    out->max_io = (uint32_t)(lares_settings_integer(s, "max-io") & ~4095);
    out->max_contexts = (guint)lares_settings_integer(s, "max-contexts");
    out->max_contexts_each = (guint)lares_settings_integer(s, "max-contexts-per-user");
    out->max_clients = (guint)lares_settings_integer(s, "max-clients");
    out->max_sessions = (guint)lares_settings_integer(s, "max-sessions");
    out->max_slots = (guint)lares_settings_integer(s, "max-slots");
    out->max_opens = (guint)lares_settings_integer(s, "max-opens");
    out->max_locks = (guint)lares_settings_integer(s, "max-locks");
    out->max_owners = (guint)lares_settings_integer(s, "max-owners");
    out->max_kept = (uint64_t)lares_settings_integer(s, "max-kept-replies");
}

static gboolean
listen_all(Nfs4Service *service, GError **error)
{
    for (const char *const *address = service->settings.listen; *address; address++) {
        LaresListener *listener = lares_net_listen(service->host, *address, &service->net, service, error);
        if (!listener)
            return FALSE;
        g_ptr_array_add(service->listeners, listener);
        lares_info("nfs4", "listening on %s (port %u)", *address, lares_listener_get_port(listener));
    }
    return TRUE;
}

static gboolean
start(LaresProtocol *protocol, LaresHost *host, GError **error)
{
    LaresNfs4 *self = LARES_NFS4(protocol);
    Nfs4Settings settings;
    read_settings(self->settings, &settings);
    if (settings.min_minor > settings.max_minor) {
        g_set_error_literal(error, LARES_ERROR, LARES_ERROR_CONFIG,
                            "proto-nfs4: minimum-minor-version is above maximum-minor-version");
        return FALSE;
    }
    Nfs4Service *service = nfs4_service_new(host, &settings, error);
    if (!service)
        return FALSE;
    if (!listen_all(service, error)) {
        nfs4_service_free(service);
        return FALSE;
    }
    self->service = service;
    return TRUE;
}

static void
stop(LaresProtocol *protocol)
{
    LaresNfs4 *self = LARES_NFS4(protocol);
    g_clear_pointer(&self->service, nfs4_service_free);
}

/* ---- Management ------------------------------------------------------------------------------------------------- */

static GVariant *
list_sessions(LaresProtocol *protocol)
{
    LaresNfs4 *self = LARES_NFS4(protocol);
    return self->service ? nfs4_state_list(self->service->state) : NULL;
}

static gboolean
end_session(LaresProtocol *protocol, const char *id)
{
    LaresNfs4 *self = LARES_NFS4(protocol);
    return self->service && nfs4_state_end(self->service->state, id);
}

static GVariant *
get_status(LaresProtocol *protocol)
{
    LaresNfs4 *self = LARES_NFS4(protocol);
    GVariantBuilder builder;
    GVariantBuilder ports;
    if (!self->service)
        return NULL;
    g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
    g_variant_builder_init(&ports, G_VARIANT_TYPE("ai"));
    for (guint i = 0; i < self->service->listeners->len; i++)
        g_variant_builder_add(&ports, "i", lares_listener_get_port(self->service->listeners->pdata[i]));
    g_variant_builder_add(&builder, "{sv}", "ports", g_variant_builder_end(&ports));
    g_variant_builder_add(&builder, "{sv}", "connections",
                          g_variant_new_int32(g_atomic_int_get(&self->service->n_connections)));
    g_variant_builder_add(&builder, "{sv}", "gss-contexts",
                          g_variant_new_uint32(nfs4_gss_table_size(self->service->gss)));
    nfs4_state_status(self->service->state, &builder);
    return g_variant_builder_end(&builder);
}

static void
protocol_iface_init(LaresProtocolInterface *iface)
{
    iface->get_name = get_name;
    iface->start = start;
    iface->stop = stop;
    iface->list_sessions = list_sessions;
    iface->end_session = end_session;
    iface->get_status = get_status;
}

/* For the doctor: a service manager's or a loopback socket is as good as any; a UNIX socket has no address. */
static gboolean
where(LaresHost *host, gpointer user, LaresPeer *address)
{
    LaresNfs4 *self = user;
    for (guint i = 0; self->service && i < self->service->listeners->len; i++) {
        *address = *lares_listener_get_address(self->service->listeners->pdata[i]);
        if (address->port)
            return TRUE;
    }
    return FALSE;
}

static const LaresSelfLogin self_login = {"nfs", "NFS", FALSE, where, nfs4_self_log_in};

/* ---- The descriptor --------------------------------------------------------------------------------------------- */

static const LaresKey keys[] = {
    {"listen", LARES_KEY_LIST, "[::]:2049", 0, 0,
     "Addresses to listen on: [::]:2049 serves IPv6 and IPv4, fd:NAME takes a socket of the service manager."},
    {"lease-time", LARES_KEY_DURATION, "90", 10, 3600, "How long a client may be silent before its state can be lost."},
    {"grace-time", LARES_KEY_DURATION, "90", 0, 3600, "How long clients may reclaim their state after a restart."},
    {"minimum-minor-version", LARES_KEY_INTEGER, "0", 0, 2, "The oldest minor version of NFS version 4 to serve."},
    {"maximum-minor-version", LARES_KEY_INTEGER, "2", 0, 2, "The newest minor version of NFS version 4 to serve."},
    {"max-io", LARES_KEY_SIZE, "1M", 4096, NFS4_MAX_IO, "Largest READ and WRITE."},
    {"max-contexts", LARES_KEY_INTEGER, "16384", 16, 1 << 20, "RPCSEC_GSS contexts kept; the oldest unused go first."},
    {"max-contexts-per-user", LARES_KEY_INTEGER, "4096", 4, 1 << 20,
     "RPCSEC_GSS contexts of one user or machine; one is made per mount or so."},
    {"max-clients", LARES_KEY_INTEGER, "10000", 16, 1 << 20, "Clients with state."},
    {"max-sessions", LARES_KEY_INTEGER, "16", 1, 1024, "Sessions of one client."},
    {"max-slots", LARES_KEY_INTEGER, "128", 1, 1024, "Slots of one session: requests in flight."},
    {"max-opens", LARES_KEY_INTEGER, "65536", 16, 1 << 24, "Files that one client may have open at once."},
    {"max-locks", LARES_KEY_INTEGER, "32768", 16, 1 << 20, "Byte ranges that one client may have locked at once."},
    {"max-owners", LARES_KEY_INTEGER, "65536", 16, 1 << 24,
     "Open owners and lock owners of one client: its users, and its processes that lock."},
    {"max-kept-replies", LARES_KEY_SIZE, "4M", 64 * 1024, 1 << 30,
     "What one client's sessions may have kept of replies, so that a request sent twice is not run twice."},
    {NULL},
};

static gboolean
load(LaresHost *host, LaresSettings *settings, GError **error)
{
    g_autoptr(LaresNfs4) self = g_object_new(LARES_TYPE_NFS4, NULL);
    self->settings = settings;
    if (!nfs4_metrics_register(&self->service, error) || !lares_host_add_protocol(host, LARES_PROTOCOL(self), error))
        return FALSE;
    lares_doctor_add_login(lares_host_control(host), &self_login, self);
    return TRUE;
}

LARES_MODULE(LARES_MODULE_PROTOCOL, "proto-nfs4", .version = "0.1.0", .description = "NFS version 4 (4.0, 4.1, 4.2)",
             .keys = keys, .load = load);
