/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The control socket: who connects is known from the kernel (peer credentials).
 *
 * libsoup's own listener stops accepting for ever after one EMFILE, so connections are accepted here and handed over.
 */
#include "rest.h"

#include <errno.h>
#include <gio/gunixsocketaddress.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

/* libsoup does not show a handed-over connection's socket, so the peer's credentials travel with its address. */
#define CREDENTIALS_KEY "lares-credentials"

static gboolean
in_group(uid_t uid, const char *name)
{
    struct group *group = getgrnam(name);
    struct passwd *user = getpwuid(uid);
    if (!group || !user)
        return FALSE;
    if (user->pw_gid == group->gr_gid)
        return TRUE;
    return g_strv_contains((const char *const *)group->gr_mem, user->pw_name);
}

gboolean
rest_socket_caller(RestServer *self, SoupServerMessage *message, LaresControlCaller *caller)
{
    GSocketAddress *remote = soup_server_message_get_remote_address(message);
    GCredentials *credentials = remote ? g_object_get_data(G_OBJECT(remote), CREDENTIALS_KEY) : NULL;
    uid_t uid = credentials ? g_credentials_get_unix_user(credentials, NULL) : (uid_t)-1;
    const char *group = lares_settings_string(self->settings, "admin-group");
    if (uid == (uid_t)-1)
        return FALSE;
    gboolean admin = uid == 0 || uid == geteuid() || (group && in_group(uid, group));
    if (!admin)
        return FALSE;
    *caller = (LaresControlCaller){.face = "socket",
                                   .subject = g_strdup_printf("uid:%u", (unsigned)uid),
                                   .address = "unix",
                                   .rights = LARES_RIGHT_ADMIN};
    return TRUE;
}

static void
connection_gone(gpointer data, GObject *connection)
{
    RestServer *self = data;
    if (self->connections-- == REST_MAX_CONNECTIONS && self->listener)
        g_socket_service_start(self->listener);
}

static gboolean
accept_connection(GSocketService *service, GSocketConnection *connection, GObject *source, gpointer user)
{
    RestServer *self = user;
    g_autoptr(GError) error = NULL;
    g_autoptr(GSocketAddress) local = g_unix_socket_address_new(self->socket_path);
    g_autoptr(GSocketAddress) remote = g_unix_socket_address_new_with_type("", 0, G_UNIX_SOCKET_ADDRESS_ANONYMOUS);
    GCredentials *credentials = g_socket_get_credentials(g_socket_connection_get_socket(connection), NULL);
    if (credentials)
        g_object_set_data_full(G_OBJECT(remote), CREDENTIALS_KEY, credentials, g_object_unref);
    if (!soup_server_accept_iostream(self->soup, G_IO_STREAM(connection), local, remote, &error)) {
        lares_log_limited(LARES_LOG_WARNING, REST_ROOM, "a connection to the control socket failed: %s",
                          error->message);
        return TRUE;
    }
    g_object_weak_ref(G_OBJECT(connection), connection_gone, self);
    if (++self->connections == REST_MAX_CONNECTIONS)
        g_socket_service_stop(service);
    return TRUE;
}

/* A socket file that nobody listens on is left over from a process that was killed. */
static gboolean
remove_stale(const char *path, GError **error)
{
    struct stat st;
    if (lstat(path, &st) != 0)
        return TRUE;
    if (!S_ISSOCK(st.st_mode)) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_FAILED, "%s is in the way: it is not a socket", path);
        return FALSE;
    }
    g_autoptr(GSocketClient) client = g_socket_client_new();
    g_autoptr(GSocketAddress) address = g_unix_socket_address_new(path);
    g_autoptr(GSocketConnection) probe = g_socket_client_connect(client, G_SOCKET_CONNECTABLE(address), NULL, NULL);
    if (probe) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_FAILED, "another server already listens on %s", path);
        return FALSE;
    }
    unlink(path);
    return TRUE;
}

gboolean
rest_socket_start(RestServer *self, GError **error)
{
    const char *path = lares_settings_string(self->settings, "socket");
    self->socket_path = path ? g_strdup(path) : g_build_filename(lares_host_run_dir(self->host), "control.sock", NULL);
    if (!remove_stale(self->socket_path, error))
        return FALSE;
    g_autoptr(GSocketAddress) address = g_unix_socket_address_new(self->socket_path);
    self->listener = g_socket_service_new();
    if (!g_socket_listener_add_address(G_SOCKET_LISTENER(self->listener), address, G_SOCKET_TYPE_STREAM,
                                       G_SOCKET_PROTOCOL_DEFAULT, NULL, NULL, error)) {
        g_prefix_error(error, "control socket %s: ", self->socket_path);
        return FALSE;
    }
    /* Everybody may connect and is told why they are refused; rest_socket_caller() decides. */
    chmod(self->socket_path, 0666);
    g_signal_connect(self->listener, "incoming", G_CALLBACK(accept_connection), self);
    return TRUE;
}

void
rest_socket_stop(RestServer *self)
{
    if (self->listener) {
        g_socket_service_stop(self->listener);
        g_socket_listener_close(G_SOCKET_LISTENER(self->listener));
        g_clear_object(&self->listener);
        unlink(self->socket_path);
    }
    g_clear_pointer(&self->socket_path, g_free);
}
