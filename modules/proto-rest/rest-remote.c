/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Connections over the network: with TLS from anywhere, without on loopback.
 *
 * libsoup has no time-outs, so connections are ended here when the peer is too slow. */
#include "rest-tls.h"
#include "rest.h"

#include <string.h>

#define VISIT_KEY     "lares-visit"
#define DEFAULT_PORT  8749
#define SWEEP_SECONDS 2

RestVisit *
rest_remote_visit(SoupServerMessage *message)
{
    GSocketAddress *remote = soup_server_message_get_remote_address(message);
    return remote ? g_object_get_data(G_OBJECT(remote), VISIT_KEY) : NULL;
}

/* ---- One connection -------------------------------------------------------------------------------------------- */

static void
end_visit(RestVisit *visit)
{
    g_socket_shutdown(visit->socket, TRUE, TRUE, NULL);
}

static void
pause_all(RestServer *self, gboolean pause)
{
    for (guint i = 0; self->remote && i < self->remote->len; i++)
        rest_listener_pause(self->remote->pdata[i], pause);
}

/* The address object lives as long as libsoup's connection. */
static void
visit_free(gpointer data)
{
    RestVisit *visit = data;
    RestServer *self = visit->server;
    if (self->visits) {
        gboolean full = self->visits->len >= REST_MAX_REMOTE;
        g_ptr_array_remove_fast(self->visits, visit);
        if (full)
            pause_all(self, FALSE);
    }
    g_clear_object(&visit->login);
    g_object_unref(visit->socket);
    g_free(visit);
}

void
rest_remote_fill_peer(LaresPeer *peer, GSocketAddress *address)
{
    GInetSocketAddress *inet = G_INET_SOCKET_ADDRESS(address);
    GInetAddress *ip = g_inet_socket_address_get_address(inet);
    g_autofree char *text = g_inet_address_to_string(ip);
    const char *plain = text;
    if (g_str_has_prefix(text, "::ffff:") && strchr(text, '.'))
        plain += strlen("::ffff:");
    *peer = (LaresPeer){.port = g_inet_socket_address_get_port(inet),
                        .is_local = g_inet_address_get_is_loopback(ip) || g_str_has_prefix(plain, "127.")};
    g_strlcpy(peer->address, plain, sizeof peer->address);
}

static void
touch(SoupServerMessage *message, gpointer user)
{
    RestVisit *visit = rest_remote_visit(message);
    if (visit)
        visit->since = g_get_monotonic_time();
}

/* libsoup closes a connection in the main loop; a peer that does not read must not hold it up. */
static void
bound_close(SoupServerMessage *message, gpointer user)
{
    RestVisit *visit = rest_remote_visit(message);
    if (visit)
        g_socket_set_timeout(visit->socket, 1);
}

static void
request_started(SoupServer *soup, SoupServerMessage *message, gpointer user)
{
    static const char *const steps[] = {"got-headers", "got-body", "finished"};
    if (!rest_remote_visit(message))
        return;
    for (guint i = 0; i < G_N_ELEMENTS(steps); i++)
        g_signal_connect(message, steps[i], G_CALLBACK(touch), NULL);
    g_signal_connect(message, "finished", G_CALLBACK(bound_close), NULL);
    /* libsoup keeps no connection that it did not accept itself: clients are told. */
    soup_message_headers_replace(soup_server_message_get_response_headers(message), "Connection", "close");
}

/* Each step of a request has its time: a peer that sends a byte now and then gets no more of it. */
static gboolean
sweep(gpointer user)
{
    RestServer *self = user;
    gint64 oldest = g_get_monotonic_time() - REST_PATIENCE * G_USEC_PER_SEC;
    for (guint i = 0; i < self->visits->len; i++) {
        RestVisit *visit = self->visits->pdata[i];
        if (visit->since < oldest)
            end_visit(visit);
    }
    if (self->certificate)
        rest_certificate_refresh(self);
    return G_SOURCE_CONTINUE;
}

/* Hosts other than this one may have so many each; `peer` is not among them yet. */
static gboolean
has_too_many(RestServer *self, const LaresPeer *peer)
{
    guint same = 0;
    for (guint i = 0; i < self->visits->len && !peer->is_local; i++)
        same += g_str_equal(((RestVisit *)self->visits->pdata[i])->peer.address, peer->address);
    return same >= REST_MAX_PER_HOST;
}

static void
accept_connection(GSocketConnection *connection, gboolean tls, gpointer user)
{
    RestServer *self = user;
    g_autoptr(GError) error = NULL;
    g_autoptr(GSocketAddress) local = g_socket_connection_get_local_address(connection, NULL);
    g_autoptr(GSocketAddress) real = g_socket_connection_get_remote_address(connection, NULL);
    g_autoptr(GIOStream) stream = NULL;
    LaresPeer peer;
    if (!local || !real)
        return; /* gone already */
    rest_remote_fill_peer(&peer, real);
    if (has_too_many(self, &peer)) {
        lares_log_limited(LARES_LOG_INFO, REST_ROOM, "too many connections of %s", peer.address);
        g_io_stream_close(G_IO_STREAM(connection), NULL, NULL);
        return;
    }
    /* One object per connection: GIO may hand out the same one twice. */
    g_autoptr(GSocketAddress) remote =
        g_inet_socket_address_new(g_inet_socket_address_get_address(G_INET_SOCKET_ADDRESS(real)),
                                  g_inet_socket_address_get_port(G_INET_SOCKET_ADDRESS(real)));
    if (tls)
        stream = rest_tls_accept(self->tls, connection, &error);
    else
        stream = G_IO_STREAM(g_object_ref(connection));
    RestVisit *visit = g_new0(RestVisit, 1);
    visit->server = self;
    visit->socket = g_object_ref(g_socket_connection_get_socket(connection));
    visit->since = g_get_monotonic_time();
    visit->peer = peer;
    visit->tls = tls;
    rest_connection_keep(remote, visit->socket);
    g_ptr_array_add(self->visits, visit);
    g_object_set_data_full(G_OBJECT(remote), VISIT_KEY, visit, visit_free);
    g_socket_set_option(visit->socket, 6 /* IPPROTO_TCP */, 1 /* TCP_NODELAY */, 1, NULL);
    if (!stream || !soup_server_accept_iostream(self->soup, stream, local, remote, &error))
        lares_log_limited(LARES_LOG_WARNING, REST_ROOM, "a connection failed: %s", error->message);
    if (self->visits->len >= REST_MAX_REMOTE)
        pause_all(self, TRUE);
}

/* ---- Listening ------------------------------------------------------------------------------------------------- */

static gboolean
fail(GError **error, const char *key, const char *word, const char *what)
{
    g_set_error(error, LARES_ERROR, LARES_ERROR_CONFIG, "proto-rest: %s = %s: %s", key, word, what);
    return FALSE;
}

/* "*:8749", "192.0.2.1:8749", "[::1]:8749", without the port too. */
GSocketAddress *
rest_remote_parse(const char *key, const char *word, GError **error)
{
    g_autoptr(GSocketConnectable) parsed = NULL;
    g_autofree char *any = g_str_equal(word, "*")         ? g_strdup("[::]")
                           : g_str_has_prefix(word, "*:") ? g_strconcat("[::]", word + 1, NULL)
                                                          : g_strdup(word);
    parsed = g_network_address_parse(any, DEFAULT_PORT, NULL);
    if (!parsed) {
        fail(error, key, word, "must be ADDRESS:PORT, or *:PORT for all");
        return NULL;
    }
    GNetworkAddress *address = G_NETWORK_ADDRESS(parsed);
    g_autoptr(GInetAddress) ip = g_inet_address_new_from_string(g_network_address_get_hostname(address));
    if (!ip) {
        fail(error, key, word, "must be a numeric address");
        return NULL;
    }
    return g_inet_socket_address_new(ip, g_network_address_get_port(address));
}

static gboolean
listen_on(RestServer *self, const char *key, gboolean tls, GError **error)
{
    for (const char *const *word = lares_settings_list(self->settings, key); *word; word++) {
        g_autoptr(GSocketAddress) address = rest_remote_parse(key, *word, error);
        if (!address)
            return FALSE;
        GInetAddress *ip = g_inet_socket_address_get_address(G_INET_SOCKET_ADDRESS(address));
        if (!tls && !g_inet_address_get_is_loopback(ip))
            return fail(error, key, *word, "without TLS only loopback addresses are allowed; use https");
        RestListener *listener = rest_listener_new(address, tls, accept_connection, self, error);
        if (!listener) {
            g_prefix_error(error, "proto-rest: %s = %s: ", key, *word);
            return FALSE;
        }
        g_ptr_array_add(self->remote, listener);
    }
    return TRUE;
}

gboolean
rest_remote_start(RestServer *self, GError **error)
{
    const char *const *https = lares_settings_list(self->settings, "https"), *const *http = lares_settings_list(
                                                                                 self->settings, "http");
    if (!*https && !*http)
        return TRUE;
    if (*https && !rest_certificate_obtain(self, error))
        return FALSE;
    self->visits = g_ptr_array_new();
    self->remote = g_ptr_array_new_with_free_func((GDestroyNotify)rest_listener_free);
    if (!listen_on(self, "https", TRUE, error) || !listen_on(self, "http", FALSE, error))
        return FALSE;
    g_signal_connect(self->soup, "request-started", G_CALLBACK(request_started), self);
    self->sweep = g_timeout_add_seconds(SWEEP_SECONDS, sweep, self);
    return TRUE;
}

void
rest_remote_stop(RestServer *self)
{
    if (self->sweep)
        g_source_remove(self->sweep);
    self->sweep = 0;
    g_clear_pointer(&self->remote, g_ptr_array_unref);
    for (guint i = 0; self->visits && i < self->visits->len; i++)
        end_visit(self->visits->pdata[i]);
    g_clear_pointer(&self->visits, g_ptr_array_unref); /* those that libsoup still holds find it gone */
    rest_certificate_drop(self);
    g_mutex_lock(&self->shown_lock);
    g_clear_object(&self->shown);
    g_mutex_unlock(&self->shown_lock);
    g_clear_pointer(&self->certificate_state, g_free);
}
