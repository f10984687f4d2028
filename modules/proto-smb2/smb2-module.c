/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The module: its settings, and starting and stopping the service.
 *
 * Thread: main thread. */
#include "smb2-connection.h"
#include "smb2-metrics.h"
#include "smb2-self.h"
#include "smb2-session.h"

#define LARES_TYPE_SMB2 (lares_smb2_get_type())
G_DECLARE_FINAL_TYPE(LaresSmb2, lares_smb2, LARES, SMB2, GObject)

struct _LaresSmb2 {
    GObject parent;
    LaresSettings *settings; /* lives as long as the process */
    Smb2Service *service;    /* NULL while stopped */
};

static void protocol_iface_init(LaresProtocolInterface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE(LaresSmb2, lares_smb2, G_TYPE_OBJECT,
                              G_IMPLEMENT_INTERFACE(LARES_TYPE_PROTOCOL, protocol_iface_init))

static void
lares_smb2_class_init(G_GNUC_UNUSED LaresSmb2Class *klass)
{
}

static void
lares_smb2_init(G_GNUC_UNUSED LaresSmb2 *self)
{
}

static const char *
get_name(G_GNUC_UNUSED LaresProtocol *protocol)
{
    return "smb2";
}

/* ---- Starting and stopping ----------------------------------------------------------------------------------------
 */

static const struct {
    const char *name;
    uint16_t dialect;
} dialects[] = {
    {"2.0.2", SMB2_DIALECT_202}, {"2.1", SMB2_DIALECT_210},   {"3.0", SMB2_DIALECT_300},
    {"3.0.2", SMB2_DIALECT_302}, {"3.1.1", SMB2_DIALECT_311},
};

static gboolean
read_dialect(LaresSettings *s, const char *key, uint16_t *dialect, GError **error)
{
    const char *value = lares_settings_string(s, key);
    for (size_t i = 0; i < G_N_ELEMENTS(dialects); i++) {
        if (!g_str_equal(dialects[i].name, value))
            continue;
        *dialect = dialects[i].dialect;
        return TRUE;
    }
    g_set_error(error, LARES_ERROR, LARES_ERROR_CONFIG,
                "proto-smb2: %s must be one of 2.0.2, 2.1, 3.0, 3.0.2, 3.1.1, not \"%s\"", key, value);
    return FALSE;
}

static gboolean
read_encryption(LaresSettings *s, Smb2EncryptionPolicy *policy, GError **error)
{
    static const char *const words[] = {"off", "offered", "required"};
    const char *value = lares_settings_string(s, "encryption");
    for (guint i = 0; i < G_N_ELEMENTS(words); i++) {
        if (!g_str_equal(words[i], value))
            continue;
        *policy = (Smb2EncryptionPolicy)i;
        return TRUE;
    }
    g_set_error(error, LARES_ERROR, LARES_ERROR_CONFIG,
                "proto-smb2: encryption must be off, offered or required, not \"%s\"", value);
    return FALSE;
}

static gboolean
read_settings(LaresSettings *s, Smb2Settings *out, GError **error)
{
    out->listen = lares_settings_list(s, "listen");
    out->signing_required = lares_settings_boolean(s, "signing-required");
    out->max_io = (uint32_t)lares_settings_integer(s, "max-io") & ~(SMB2_CREDIT_UNIT - 1);
    out->max_credits = (uint32_t)lares_settings_integer(s, "max-credits");
    out->max_async = (uint32_t)lares_settings_integer(s, "max-waiting");
    out->max_sessions = (uint32_t)lares_settings_integer(s, "max-sessions");
    out->max_trees = (uint32_t)lares_settings_integer(s, "max-trees");
    out->login_time = (uint32_t)lares_settings_integer(s, "login-time");
    out->multichannel = lares_settings_boolean(s, "multichannel");
    out->directory_leases = lares_settings_boolean(s, "directory-leases");
    out->late_write_times = lares_settings_boolean(s, "late-write-times");
    if (!read_encryption(s, &out->encryption, error) || !read_dialect(s, "minimum-dialect", &out->min_dialect, error) ||
        !read_dialect(s, "maximum-dialect", &out->max_dialect, error))
        return FALSE;
    if (out->min_dialect > out->max_dialect) {
        g_set_error_literal(error, LARES_ERROR, LARES_ERROR_CONFIG,
                            "proto-smb2: minimum-dialect is above maximum-dialect");
        return FALSE;
    }
    if (out->encryption == SMB2_ENCRYPTION_REQUIRED && out->max_dialect < SMB2_DIALECT_300) {
        g_set_error_literal(error, LARES_ERROR, LARES_ERROR_CONFIG,
                            "proto-smb2: encryption is required, and maximum-dialect is below 3.0, which is the first "
                            "that encrypts");
        return FALSE;
    }
    return TRUE;
}

static gboolean
listen_all(Smb2Service *service, GError **error)
{
    for (const char *const *address = service->settings.listen; *address; address++) {
        LaresListener *listener = lares_net_listen(service->host, *address, &service->net, service, error);
        if (!listener)
            return FALSE;
        g_ptr_array_add(service->listeners, listener);
        lares_info("smb2", "listening on %s (port %u)", *address, lares_listener_get_port(listener));
    }
    return TRUE;
}

static gboolean
start(LaresProtocol *protocol, LaresHost *host, GError **error)
{
    LaresSmb2 *self = LARES_SMB2(protocol);
    Smb2Settings settings = {NULL};
    if (!read_settings(self->settings, &settings, error))
        return FALSE;
    Smb2Service *service = smb2_service_new(host, &settings, error);
    if (!service)
        return FALSE;
    if (!listen_all(service, error)) {
        smb2_service_free(service);
        return FALSE;
    }
    self->service = service;
    return TRUE;
}

static void
stop(LaresProtocol *protocol)
{
    LaresSmb2 *self = LARES_SMB2(protocol);
    g_clear_pointer(&self->service, smb2_service_free);
}

/* ---- Management ------------------------------------------------------------------------------------------------- */

static GVariant *
list_sessions(LaresProtocol *protocol)
{
    LaresSmb2 *self = LARES_SMB2(protocol);
    return self->service ? smb2_sessions_list(self->service) : NULL;
}

static gboolean
end_session(LaresProtocol *protocol, const char *id)
{
    LaresSmb2 *self = LARES_SMB2(protocol);
    return self->service && smb2_sessions_end(self->service, id);
}

static GVariant *
get_status(LaresProtocol *protocol)
{
    LaresSmb2 *self = LARES_SMB2(protocol);
    GVariantBuilder builder;
    GVariantBuilder ports;
    if (!self->service)
        return NULL;
    g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
    g_variant_builder_init(&ports, G_VARIANT_TYPE("ai"));
    for (guint i = 0; i < self->service->listeners->len; i++)
        g_variant_builder_add(&ports, "i", lares_listener_get_port(self->service->listeners->pdata[i]));
    g_mutex_lock(&self->service->lock);
    guint n_logins = self->service->half_open.length;
    guint n_sessions = g_hash_table_size(self->service->sessions) - n_logins;
    g_mutex_unlock(&self->service->lock);
    g_variant_builder_add(&builder, "{sv}", "ports", g_variant_builder_end(&ports));
    g_variant_builder_add(&builder, "{sv}", "connections",
                          g_variant_new_int32(g_atomic_int_get(&self->service->n_connections)));
    g_variant_builder_add(&builder, "{sv}", "sessions", g_variant_new_uint32(n_sessions));
    g_variant_builder_add(&builder, "{sv}", "logins", g_variant_new_uint32(n_logins));
    if (self->service->opens)
        g_variant_builder_add(&builder, "{sv}", "opens", g_variant_new_uint32(smb2_opens_count(self->service->opens)));
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
    LaresSmb2 *self = user;
    for (guint i = 0; self->service && i < self->service->listeners->len; i++) {
        *address = *lares_listener_get_address(self->service->listeners->pdata[i]);
        if (address->port)
            return TRUE;
    }
    return FALSE;
}

static const LaresSelfLogin self_login = {"cifs", "SMB", TRUE, where, smb2_self_log_in};

/* ---- The descriptor --------------------------------------------------------------------------------------------- */

static const LaresKey keys[] = {
    {"listen", LARES_KEY_LIST, "[::]:445", 0, 0,
     "Addresses to listen on: [::]:445 serves IPv6 and IPv4, fd:NAME takes a socket of the service manager."},
    {"minimum-dialect", LARES_KEY_STRING, "2.0.2", 0, 0, "The oldest dialect to serve: 2.0.2, 2.1, 3.0, 3.0.2, 3.1.1."},
    {"maximum-dialect", LARES_KEY_STRING, "3.1.1", 0, 0, "The newest dialect to serve."},
    {"signing-required", LARES_KEY_BOOLEAN, "true", 0, 0,
     "Whether every request must be signed; guests cannot sign and are exempt."},
    {"encryption", LARES_KEY_STRING, "offered", 0, 0,
     "off, offered (clients and shares with krb5p may use it) or required (of every session)."},
    {"max-io", LARES_KEY_SIZE, "8M", SMB2_CREDIT_UNIT, SMB2_MAX_IO, "Largest READ, WRITE and transaction."},
    {"max-credits", LARES_KEY_INTEGER, "8192", 64, 65536,
     "Credits of one connection: how much a client may have under way."},
    {"max-waiting", LARES_KEY_INTEGER, "512", 16, 65536,
     "Requests of one connection that wait: change notifications, locks, breaks."},
    {"max-sessions", LARES_KEY_INTEGER, "16384", 16, 1 << 20, "Sessions of all clients together."},
    {"max-trees", LARES_KEY_INTEGER, "1024", 16, 65536, "Shares one session may be connected to at a time."},
    {"login-time", LARES_KEY_INTEGER, "60", 1, 600, "Seconds a login may take, and a connection may live without one."},
    {"multichannel", LARES_KEY_BOOLEAN, "true", 0, 0, "Whether a session may use several connections."},
    {"directory-leases", LARES_KEY_BOOLEAN, "true", 0, 0,
     "Whether clients may keep listings of directories until something changes there. Not where a file has several "
     "names, for which Linux would show one."},
    {"late-write-times", LARES_KEY_BOOLEAN, "false", 0, 0,
     "Whether who writes to a file sees the time of that only after two seconds, a flush or the close, as with Windows "
     "before "
     "10 version 1809."},
    {NULL},
};

static gboolean
load(LaresHost *host, LaresSettings *settings, GError **error)
{
    g_autoptr(LaresSmb2) self = g_object_new(LARES_TYPE_SMB2, NULL);
    self->settings = settings;
    if (!smb2_metrics_register(&self->service, error) || !lares_host_add_protocol(host, LARES_PROTOCOL(self), error))
        return FALSE;
    lares_doctor_add_login(lares_host_control(host), &self_login, self);
    return TRUE;
}

LARES_MODULE(LARES_MODULE_PROTOCOL, "proto-smb2", .version = "0.1.0", .description = "SMB 2 and 3 (2.0.2 to 3.1.1)",
             .keys = keys, .load = load);
