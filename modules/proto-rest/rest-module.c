/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The module proto-rest: management over HTTP. */
#include "rest.h"
#include "lares-config.h"

static const LaresKey keys[] = {
    {"socket", LARES_KEY_PATH, NULL, 0, 0, "The control socket; RUN-DIR/control.sock when unset."},
    {"admin-group", LARES_KEY_STRING, NULL, 0, 0,
     "Members of this host group may manage the server by the control socket, besides root and the server's own user."},
    {"https", LARES_KEY_LIST, NULL, 0, 0, "Addresses to serve on with TLS: `*:8749`, `192.0.2.1:8749`; unset: none."},
    {"http", LARES_KEY_LIST, NULL, 0, 0, "Loopback addresses to serve on without TLS: `127.0.0.1:8750`; unset: none."},
    {"certificate", LARES_KEY_PATH, NULL, 0, 0,
     "Certificate and chain (PEM) of https; unset: one of the server's own making, whose fingerprint is in the "
     "status."},
    {"certificate-key", LARES_KEY_PATH, NULL, 0, 0, "The certificate's private key (PEM), if not in the same file."},
    {"sec", LARES_KEY_LIST, "krb5", 0, 0, "The flavors with which people may log in."},
    {NULL}};

/* ---- HTTP ----------------------------------------------------------------------------------------------------------
 */

static void
request_started(SoupServer *soup, SoupServerMessage *message, gpointer user)
{
    rest_request_watch(message);
}

static void
handle_verbs(SoupServer *soup, SoupServerMessage *message, const char *path, GHashTable *query, gpointer user)
{
    rest_verbs_handle(user, message);
}

static void
handle_resources(SoupServer *soup, SoupServerMessage *message, const char *path, GHashTable *query, gpointer user)
{
    rest_resources_handle(user, message);
}

static void
handle_openapi(SoupServer *soup, SoupServerMessage *message, const char *path, GHashTable *query, gpointer user)
{
    rest_count_other(message, REST_COUNT_OPENAPI);
    rest_answer(message, SOUP_STATUS_OK, "application/json", rest_openapi(user));
}

static gboolean
is_at(SoupServerMessage *message, const char *path)
{
    return g_str_equal(g_uri_get_path(soup_server_message_get_uri(message)), path);
}

static void
handle_health(SoupServer *soup, SoupServerMessage *message, const char *path, GHashTable *query, gpointer user)
{
    if (is_at(message, "/api/v1/health"))
        rest_health_handle(user, message);
    else
        rest_resources_handle(user, message);
}

static void
handle_metrics(SoupServer *soup, SoupServerMessage *message, const char *path, GHashTable *query, gpointer user)
{
    if (is_at(message, "/metrics"))
        rest_resources_serve(user, message, "/api/v1/metrics");
    else
        rest_problem_text(message, SOUP_STATUS_NOT_FOUND, "not-found", "there is nothing at this path");
}

static void
handle_unknown(SoupServer *soup, SoupServerMessage *message, const char *path, GHashTable *query, gpointer user)
{
    rest_problem_text(message, SOUP_STATUS_NOT_FOUND, "not-found", "there is nothing at this path");
}

/* ---- The protocol ---------------------------------------------------------------------------------------------------
 */

typedef GObjectClass RestServerClass;

static const char *
get_name(LaresProtocol *protocol)
{
    return "rest";
}

static gboolean
start(LaresProtocol *protocol, LaresHost *host, GError **error)
{
    RestServer *self = REST_SERVER(protocol);
    g_autoptr(GError) trouble = NULL;
    self->host = host;
    self->soup = soup_server_new("server-header", "lares", "raw-paths", TRUE, NULL);
    rest_metrics_watch(self);
    g_signal_connect(self->soup, "request-started", G_CALLBACK(request_started), self);
    soup_server_add_handler(self->soup, "/api/v1/verbs", handle_verbs, self, NULL);
    soup_server_add_handler(self->soup, "/api/v1/health", handle_health, self, NULL);
    soup_server_add_handler(self->soup, "/metrics", handle_metrics, self, NULL);
    soup_server_add_handler(self->soup, "/api/v1/openapi.json", handle_openapi, self, NULL);
    soup_server_add_handler(self->soup, "/api/v1", handle_resources, self, NULL);
    soup_server_add_handler(self->soup, NULL, handle_unknown, self, NULL);
    if (!rest_socket_start(self, error))
        return FALSE;
    /* The control socket works even when the network's side does not: it is how that is mended. */
    if (!rest_remote_start(self, &trouble)) {
        lares_error(REST_ROOM, "not served over the network: %s", trouble->message);
        self->trouble = g_strdup(trouble->message);
        rest_remote_stop(self);
    }
    return TRUE;
}

static void
stop(LaresProtocol *protocol)
{
    RestServer *self = REST_SERVER(protocol);
    rest_remote_stop(self);
    rest_socket_stop(self);
    if (self->soup)
        soup_server_disconnect(self->soup);
    g_clear_object(&self->soup);
    g_clear_pointer(&self->trouble, g_free);
}

static GVariant *
get_status(LaresProtocol *protocol)
{
    RestServer *self = REST_SERVER(protocol);
    GVariantDict dict;
    g_variant_dict_init(&dict, NULL);
    if (self->socket_path)
        g_variant_dict_insert(&dict, "socket", "s", self->socket_path);
    g_variant_dict_insert(&dict, "connections", "u", self->connections + (self->visits ? self->visits->len : 0));
    if (self->trouble)
        g_variant_dict_insert(&dict, "problem", "s", self->trouble);
    if (self->fingerprint)
        g_variant_dict_insert(&dict, "certificate-sha256", "s", self->fingerprint);
    return g_variant_dict_end(&dict);
}

static void
protocol_iface_init(LaresProtocolInterface *iface)
{
    iface->get_name = get_name;
    iface->start = start;
    iface->stop = stop;
    iface->get_status = get_status;
}

G_DEFINE_FINAL_TYPE_WITH_CODE(RestServer, rest_server, G_TYPE_OBJECT,
                              G_IMPLEMENT_INTERFACE(LARES_TYPE_PROTOCOL, protocol_iface_init))

static void
rest_server_class_init(RestServerClass *class)
{
}

static void
rest_server_init(RestServer *self)
{
    self->guest_connections = g_hash_table_new(NULL, NULL);
}

static gboolean
load(LaresHost *host, LaresSettings *settings, GError **error)
{
    g_autoptr(RestServer) server = g_object_new(REST_TYPE_SERVER, NULL);
    server->settings = settings;
    if (!rest_metrics_register(server, error) || !lares_host_add_protocol(host, LARES_PROTOCOL(server), error))
        return FALSE;
    lares_doctor_add_login(lares_host_control(host), &rest_self_plain, server);
    lares_doctor_add_login(lares_host_control(host), &rest_self_tls, server);
    return TRUE;
}

LARES_MODULE(LARES_MODULE_PROTOCOL, "proto-rest", .version = LARES_VERSION,
             .description = "Management over a control socket (HTTP and JSON)", .keys = keys, .load = load);
