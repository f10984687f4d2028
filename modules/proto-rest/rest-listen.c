/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Accepting connections, one per turn of the main loop, so that a crowd at the door does not hold up who is inside.
 *
 * Neither libsoup's listener nor GSocketService fits: at the limit of open files the first stops for ever and the
 * second asks again without a pause, with a warning each time. Here it waits a moment. */
#include "rest.h"

#define AGAIN_MS 100

struct _RestListener {
    GSocket *socket;
    GSource *source;
    guint again; /* a timer: out of descriptors or memory */
    gboolean paused, tls;
    RestAccepted accepted;
    gpointer user;
};

static gboolean on_ready(GSocket *socket, GIOCondition condition, gpointer user);

static void
watch(RestListener *self)
{
    if (self->source || self->again || self->paused)
        return;
    self->source = g_socket_create_source(self->socket, G_IO_IN, NULL);
    g_source_set_callback(self->source, G_SOURCE_FUNC(on_ready), self, NULL);
    g_source_attach(self->source, NULL);
}

static void
unwatch(RestListener *self)
{
    if (self->source)
        g_source_destroy(self->source);
    g_clear_pointer(&self->source, g_source_unref);
}

static gboolean
try_again(gpointer user)
{
    RestListener *self = user;
    self->again = 0;
    watch(self);
    return G_SOURCE_REMOVE;
}

static gboolean
on_ready(GSocket *socket, GIOCondition condition, gpointer user)
{
    RestListener *self = user;
    g_autoptr(GError) error = NULL;
    g_autoptr(GSocket) one = g_socket_accept(self->socket, NULL, &error);
    if (one) {
        g_autoptr(GSocketConnection) connection = g_socket_connection_factory_create_connection(one);
        self->accepted(connection, self->tls, self->user);
    } else if (!g_error_matches(error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK)) {
        lares_log_limited(LARES_LOG_WARNING, REST_ROOM, "cannot accept a connection: %s", error->message);
        self->again = g_timeout_add(AGAIN_MS, try_again, self);
        unwatch(self);
    }
    return G_SOURCE_CONTINUE;
}

RestListener *
rest_listener_new(GSocketAddress *address, gboolean tls, RestAccepted accepted, gpointer user, GError **error)
{
    GSocketFamily family = g_socket_address_get_family(address);
    g_autoptr(GSocket) socket = g_socket_new(family, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT, error);
    if (!socket)
        return NULL;
    g_socket_set_listen_backlog(socket, 1024);
    if (!g_socket_bind(socket, address, family != G_SOCKET_FAMILY_UNIX, error) || !g_socket_listen(socket, error))
        return NULL;
    g_socket_set_blocking(socket, FALSE);
    RestListener *self = g_new0(RestListener, 1);
    self->socket = g_steal_pointer(&socket);
    self->tls = tls;
    self->accepted = accepted;
    self->user = user;
    watch(self);
    return self;
}

void
rest_listener_pause(RestListener *self, gboolean pause)
{
    self->paused = pause;
    if (pause)
        unwatch(self);
    else
        watch(self);
}

void
rest_listener_free(RestListener *self)
{
    if (!self)
        return;
    g_clear_handle_id(&self->again, g_source_remove);
    unwatch(self);
    g_socket_close(self->socket, NULL);
    g_object_unref(self->socket);
    g_free(self);
}
