/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a request may bring, before anybody looks at what it means: sizes, one clear length, the body's type.
 *
 * Spec: RFC 9110 8.3, 15.5; RFC 9112 6.3 (a message with two lengths is an attack or a mistake). */
#include "rest.h"

#include <string.h>

/* libsoup does not show the socket of a connection that was handed over, so it travels with the peer's address. */
#define SOCKET_KEY "lares-socket"

static void
refuse_early(SoupServerMessage *message, guint status, const char *code, const char *detail)
{
    if (soup_server_message_get_status(message) != SOUP_STATUS_NONE)
        return;
    soup_message_body_set_accumulate(soup_server_message_get_request_body(message), FALSE);
    soup_message_headers_replace(soup_server_message_get_response_headers(message), "Connection", "close");
    rest_problem_text(message, status, code, detail);
}

static goffset
largest_body(SoupServerMessage *message)
{
    SoupMessageHeaders *headers = soup_server_message_get_request_headers(message);
    gboolean stranger = rest_remote_visit(message) && !soup_message_headers_get_one(headers, "Authorization");
    return stranger ? REST_MAX_STRANGER : REST_MAX_BODY;
}

static void
refuse_large(SoupServerMessage *message)
{
    g_autofree char *detail =
        g_strdup_printf("the body is larger than the %d bytes that are taken here", (int)largest_body(message));
    refuse_early(message, SOUP_STATUS_REQUEST_ENTITY_TOO_LARGE, "too-large", detail);
}

static gboolean
has_two_lengths(SoupMessageHeaders *headers)
{
    const char *length = soup_message_headers_get_list(headers, "Content-Length");
    return length && (strchr(length, ',') || soup_message_headers_get_list(headers, "Transfer-Encoding"));
}

/* Refuses what is too large before it is kept. Who waits to be asked for the body (Expect, RFC 9110 10.1.1) has the
 * answer at once; what others send is dropped as it comes. */
static void
check_headers(SoupServerMessage *message, gpointer user)
{
    SoupMessageHeaders *headers = soup_server_message_get_request_headers(message);
    GUri *uri = soup_server_message_get_uri(message);
    const char *query = g_uri_get_query(uri);
    if (strlen(g_uri_get_path(uri)) + (query ? strlen(query) : 0) > REST_MAX_ADDRESS)
        refuse_early(message, SOUP_STATUS_REQUEST_URI_TOO_LONG, "too-large", "the address is too long");
    else if (has_two_lengths(headers))
        refuse_early(message, SOUP_STATUS_BAD_REQUEST, "invalid", "the request says twice how long its body is");
    else if (soup_message_headers_get_content_length(headers) > largest_body(message))
        refuse_large(message);
}

/* A body without a length is counted as it comes; who goes on long after it was too large is not listened to. */
static void
count_chunk(SoupServerMessage *message, GBytes *chunk, gpointer user)
{
    goffset *sum = user;
    *sum += (goffset)g_bytes_get_size(chunk);
    if (*sum > largest_body(message))
        refuse_large(message);
    if (*sum > 4 * REST_MAX_BODY)
        rest_connection_end(message);
}

void
rest_connection_keep(GSocketAddress *remote, GSocket *socket)
{
    g_object_set_data_full(G_OBJECT(remote), SOCKET_KEY, g_object_ref(socket), g_object_unref);
}

void
rest_connection_end(SoupServerMessage *message)
{
    GSocketAddress *remote = soup_server_message_get_remote_address(message);
    GSocket *socket = remote ? g_object_get_data(G_OBJECT(remote), SOCKET_KEY) : NULL;
    if (socket)
        g_socket_shutdown(socket, TRUE, TRUE, NULL);
}

static void
free_sum(gpointer sum, GClosure *closure)
{
    g_free(sum);
}

void
rest_request_watch(SoupServerMessage *message)
{
    g_signal_connect(message, "got-headers", G_CALLBACK(check_headers), NULL);
    g_signal_connect_data(message, "got-chunk", G_CALLBACK(count_chunk), g_new0(goffset, 1), (GClosureNotify)free_sum,
                          0);
}

gboolean
rest_has_fit_type(SoupServerMessage *message)
{
    SoupMessageHeaders *headers = soup_server_message_get_request_headers(message);
    g_autoptr(GHashTable) more = NULL;
    const char *header = soup_message_headers_get_list(headers, "Content-Type");
    const char *type = soup_message_headers_get_content_type(headers, &more);
    gboolean body = soup_server_message_get_request_body(message)->length > 0;
    /* Who talks to the control socket is no browser. */
    if (!rest_remote_visit(message) || (!header && !body))
        return TRUE;
    const char *charset = more ? g_hash_table_lookup(more, "charset") : NULL;
    if (type && (g_str_equal(type, "application/json") || g_str_equal(type, "application/merge-patch+json")) &&
        (!charset || g_ascii_strcasecmp(charset, "utf-8") == 0))
        return TRUE;
    rest_problem_text(message, SOUP_STATUS_UNSUPPORTED_MEDIA_TYPE, "media-type",
                      "send the arguments as one JSON object, with Content-Type: application/json");
    return FALSE;
}

JsonObject *
rest_read_object(SoupServerMessage *message, GError **error)
{
    SoupMessageBody *body = soup_server_message_get_request_body(message);
    return rest_parse_object(body->data, (gsize)body->length, error);
}

/* ---- Answers that come later ----------------------------------------------------------------------------------- */

struct _RestPause {
    SoupServerMessage *message; /* NULL: its connection is gone */
    gulong finished;
};

static void
on_finished(SoupServerMessage *message, gpointer user)
{
    RestPause *pause = user;
    g_signal_handler_disconnect(message, pause->finished);
    pause->message = NULL;
}

RestPause *
rest_pause_begin(RestServer *self, SoupServerMessage *message, const char *verb)
{
    if (!lares_control_is_slow(lares_host_control(self->host), verb))
        return NULL;
    RestPause *pause = g_new0(RestPause, 1);
    pause->message = message;
    pause->finished = g_signal_connect(message, "finished", G_CALLBACK(on_finished), pause);
    soup_server_message_pause(message);
    return pause;
}

void
rest_pause_end(RestPause *pause)
{
    if (pause && pause->message) {
        g_signal_handler_disconnect(pause->message, pause->finished);
        soup_server_message_unpause(pause->message);
    }
    g_free(pause);
}
