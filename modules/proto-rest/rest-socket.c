/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The control socket: who connects is known from the kernel (peer credentials). */
#include "rest.h"

#include <errno.h>
#include <gio/gunixsocketaddress.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

/* libsoup does not show a handed-over connection's socket, so the peer's credentials travel with its address. */
#define CREDENTIALS_KEY "lares-credentials"
#define SERVER_KEY      "lares-server"

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

#define NOBODY ((uid_t)-1)

static uid_t
uid_of(GCredentials *credentials)
{
    return credentials ? g_credentials_get_unix_user(credentials, NULL) : NOBODY;
}

static gboolean
is_admin(RestServer *self, uid_t uid)
{
    const char *group = lares_settings_string(self->settings, "admin-group");
    return uid != NOBODY && (uid == 0 || uid == geteuid() || (group && in_group(uid, group)));
}

/* Membership of the admin-group, or the setting itself, may have changed. */
static gboolean
ask_again(const LaresControlCaller *caller, LaresRight *right)
{
    GObject *remote = caller->proof;
    return is_admin(g_object_get_data(remote, SERVER_KEY), uid_of(g_object_get_data(remote, CREDENTIALS_KEY)));
}

gboolean
rest_socket_caller(RestServer *self, SoupServerMessage *message, LaresControlCaller *caller)
{
    GSocketAddress *remote = soup_server_message_get_remote_address(message);
    GCredentials *credentials = remote ? g_object_get_data(G_OBJECT(remote), CREDENTIALS_KEY) : NULL;
    uid_t uid = uid_of(credentials);
    if (!is_admin(self, uid)) {
        LaresPeer peer = {.address = "unix", .is_local = TRUE};
        if (uid != NOBODY)
            g_snprintf(peer.address, sizeof peer.address, "uid:%u", (unsigned)uid);
        g_autofree char *reason =
            g_strdup_printf("may not manage the server: %s %.100s", soup_server_message_get_method(message),
                            g_uri_get_path(soup_server_message_get_uri(message)));
        lares_auth_refused_as("peer", "control", &peer, NULL, LARES_REFUSED_POLICY, reason);
        return FALSE;
    }
    *caller = (LaresControlCaller){.face = "socket",
                                   .subject = g_strdup_printf("uid:%u", (unsigned)uid),
                                   .address = "unix",
                                   .rights = LARES_RIGHT_ADMIN,
                                   .ask_again = ask_again,
                                   .proof = remote};
    return TRUE;
}

/* ---- Connections ----------------------------------------------------------------------------------------------- */

static guint
guest_count(RestServer *self, uid_t uid)
{
    return GPOINTER_TO_UINT(g_hash_table_lookup(self->guest_connections, GUINT_TO_POINTER(uid)));
}

static void
guest_count_add(RestServer *self, uid_t uid, int change)
{
    guint n = (guint)((int)guest_count(self, uid) + change);
    self->guests = (guint)((int)self->guests + change);
    if (n)
        g_hash_table_insert(self->guest_connections, GUINT_TO_POINTER(uid), GUINT_TO_POINTER(n));
    else
        g_hash_table_remove(self->guest_connections, GUINT_TO_POINTER(uid));
}

typedef struct {
    RestServer *server;
    uid_t uid;
    gboolean guest;
} Visit;

static void
connection_gone(gpointer data, GObject *connection)
{
    g_autofree Visit *visit = data;
    RestServer *self = visit->server;
    if (visit->guest)
        guest_count_add(self, visit->uid, -1);
    if (self->connections-- == REST_MAX_CONNECTIONS && self->listener)
        rest_listener_pause(self->listener, FALSE);
}

static void
accept_connection(GSocketConnection *connection, gboolean tls, gpointer user)
{
    RestServer *self = user;
    g_autoptr(GError) error = NULL;
    g_autoptr(GSocketAddress) local = g_unix_socket_address_new(self->socket_path);
    g_autoptr(GSocketAddress) remote = g_unix_socket_address_new_with_type("", 0, G_UNIX_SOCKET_ADDRESS_ANONYMOUS);
    g_autoptr(GCredentials) credentials = g_socket_get_credentials(g_socket_connection_get_socket(connection), NULL);
    uid_t uid = uid_of(credentials);
    gboolean guest = !is_admin(self, uid);
    if (guest && (guest_count(self, uid) >= REST_MAX_GUEST || self->guests >= REST_MAX_GUESTS)) {
        lares_log_limited(LARES_LOG_INFO, REST_ROOM,
                          "too many connections to the control socket by users who may not use it (uid %u)",
                          (unsigned)uid);
        g_io_stream_close(G_IO_STREAM(connection), NULL, NULL);
        return;
    }
    rest_connection_keep(remote, g_socket_connection_get_socket(connection));
    g_object_set_data(G_OBJECT(remote), SERVER_KEY, self);
    if (credentials)
        g_object_set_data_full(G_OBJECT(remote), CREDENTIALS_KEY, g_object_ref(credentials), g_object_unref);
    if (!soup_server_accept_iostream(self->soup, G_IO_STREAM(connection), local, remote, &error)) {
        lares_log_limited(LARES_LOG_WARNING, REST_ROOM, "a connection to the control socket failed: %s",
                          error->message);
        return;
    }
    Visit *visit = g_new(Visit, 1);
    *visit = (Visit){self, uid, guest};
    if (guest)
        guest_count_add(self, uid, 1);
    g_object_weak_ref(G_OBJECT(connection), connection_gone, visit);
    if (++self->connections == REST_MAX_CONNECTIONS)
        rest_listener_pause(self->listener, TRUE);
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
    self->listener = rest_listener_new(address, FALSE, accept_connection, self, error);
    if (!self->listener) {
        g_prefix_error(error, "control socket %s: ", self->socket_path);
        return FALSE;
    }
    /* Everybody may connect and is told why they are refused; rest_socket_caller() decides. */
    chmod(self->socket_path, 0666);
    return TRUE;
}

void
rest_socket_stop(RestServer *self)
{
    if (self->listener) {
        g_clear_pointer(&self->listener, rest_listener_free);
        unlink(self->socket_path);
    }
    g_clear_pointer(&self->socket_path, g_free);
}
