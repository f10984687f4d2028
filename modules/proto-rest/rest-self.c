/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A login to this server as an HTTP client makes it, for the doctor. What is written here is a client's side: it shares
 * no code with the server's that it tries.
 *
 * Spec: RFC 4559 4 and 5. Thread: the check's. */
#include "rest.h"

#include <gio/gnetworking.h>
#include <string.h>
#include <unistd.h>

#define MAX_ANSWER_BYTES (64 * 1024)
#define SECONDS          5
#define MAX_LEGS         4

static gboolean
fail(GError **error, const char *what)
{
    g_set_error_literal(error, LARES_ERROR, LARES_ERROR_FAILED, what);
    return FALSE;
}

/* It must be the server's own certificate, whoever signed it. */
static gboolean
is_ours(GTlsConnection *connection, GTlsCertificate *shown, GTlsCertificateFlags errors, gpointer ours)
{
    return g_tls_certificate_is_same(shown, ours);
}

static GIOStream *
open_stream(int fd, GTlsCertificate *certificate, GError **error)
{
    /* GSocket closes what it is given. */
    int own = dup(fd);
    g_autoptr(GSocket) socket = g_socket_new_from_fd(own, error);
    if (!socket) {
        close(own);
        return NULL;
    }
    g_socket_set_blocking(socket, TRUE);
    g_socket_set_timeout(socket, SECONDS);
    g_autoptr(GSocketConnection) plain = g_socket_connection_factory_create_connection(socket);
    if (!certificate)
        return G_IO_STREAM(g_steal_pointer(&plain));
    g_autoptr(GIOStream) tls = g_tls_client_connection_new(G_IO_STREAM(plain), NULL, error);
    if (!tls)
        return NULL;
    g_signal_connect(tls, "accept-certificate", G_CALLBACK(is_ours), certificate);
    return g_tls_connection_handshake(G_TLS_CONNECTION(tls), NULL, error) ? g_steal_pointer(&tls) : NULL;
}

/* The whole answer: the server closes the connection after one. */
static char *
ask(GIOStream *stream, GBytes *token, GError **error)
{
    g_autofree char *letters = g_base64_encode(g_bytes_get_data(token, NULL), g_bytes_get_size(token));
    g_autofree char *request = g_strdup_printf("GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                                               "Authorization: Negotiate %s\r\n\r\n",
                                               letters);
    g_autoptr(GString) answer = g_string_new(NULL);
    char part[4096];
    gssize n;
    if (!g_output_stream_write_all(g_io_stream_get_output_stream(stream), request, strlen(request), NULL, NULL, error))
        return NULL;
    while (!strstr(answer->str, "\r\n\r\n") && answer->len < MAX_ANSWER_BYTES &&
           (n = g_input_stream_read(g_io_stream_get_input_stream(stream), part, sizeof part, NULL, error)) != 0) {
        if (n < 0)
            return NULL;
        g_string_append_len(answer, part, n);
    }
    return g_strdup(answer->str);
}

/* The token of "WWW-Authenticate: Negotiate TOKEN"; NULL: none. */
static guchar *
token_in(const char *answer, gsize *len)
{
    g_auto(GStrv) lines = g_strsplit(answer, "\r\n", -1);
    for (char **line = lines; *line && **line; line++) {
        const char *value = *line;
        if (g_ascii_strncasecmp(value, "WWW-Authenticate:", 17) != 0)
            continue;
        value += 17;
        value += strspn(value, " \t");
        if (g_ascii_strncasecmp(value, "Negotiate ", 10) == 0)
            return g_base64_decode(value + 10, len);
    }
    return NULL;
}

static gboolean
log_in(int fd, GTlsCertificate *certificate, LaresLoginStep step, gpointer login, GError **error)
{
    GError *local = NULL;
    gsize len = 0;
    g_autoptr(GBytes) token = step(login, NULL, 0, &local);
    g_autoptr(GIOStream) stream = token ? open_stream(fd, certificate, &local) : NULL;
    g_autofree char *answer = stream ? ask(stream, token, &local) : NULL;
    if (!answer) {
        if (local)
            g_propagate_error(error, local);
        return local ? FALSE : fail(error, "there is no ticket to show");
    }
    g_autofree guchar *proof = token_in(answer, &len);
    int status = 0;
    if (sscanf(answer, "HTTP/1.%*d %d", &status) != 1)
        return fail(error, "the server did not answer by HTTP");
    /* 403: it knows who this is, and that the server's own account may not manage it. */
    if (status != SOUP_STATUS_OK && status != SOUP_STATUS_FORBIDDEN) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_DENIED, "the server refused it (HTTP status %d)", status);
        return FALSE;
    }
    if (!proof)
        return fail(error, "the server did not prove who it is");
    g_autoptr(GBytes) more = step(login, proof, len, &local);
    if (local) {
        g_propagate_error(error, local);
        return FALSE;
    }
    return !more || fail(error, "the login wants more than one round");
}

/* ---- What is offered ------------------------------------------------------------------------------------------- */

static gboolean
log_in_plain(gpointer user, int fd, LaresLoginStep step, gpointer login, GError **error)
{
    return log_in(fd, NULL, step, login, error);
}

static gboolean
log_in_tls(gpointer user, int fd, LaresLoginStep step, gpointer login, GError **error)
{
    RestServer *self = user;
    g_mutex_lock(&self->shown_lock);
    g_autoptr(GTlsCertificate) certificate = self->shown ? g_object_ref(self->shown) : NULL;
    g_mutex_unlock(&self->shown_lock);
    return certificate ? log_in(fd, certificate, step, login, error) : fail(error, "there is no certificate");
}

/* The first address of a setting. */
static gboolean
where(RestServer *self, const char *key, LaresPeer *address)
{
    const char *const *word = lares_settings_list(self->settings, key);
    g_autoptr(GSocketAddress) parsed = NULL;
    if (!self->remote || !*word || !(parsed = rest_remote_parse(key, *word, NULL)))
        return FALSE;
    rest_remote_fill_peer(address, parsed);
    return TRUE;
}

static gboolean
where_plain(LaresHost *host, gpointer user, LaresPeer *address)
{
    return where(user, "http", address);
}

static gboolean
where_tls(LaresHost *host, gpointer user, LaresPeer *address)
{
    RestServer *self = user;
    g_mutex_lock(&self->shown_lock);
    g_set_object(&self->shown, self->certificate);
    g_mutex_unlock(&self->shown_lock);
    return where(self, "https", address);
}

const LaresSelfLogin rest_self_plain = {"HTTP", "REST over HTTP", TRUE, where_plain, log_in_plain};
const LaresSelfLogin rest_self_tls = {"HTTP", "REST over HTTPS", TRUE, where_tls, log_in_tls};
