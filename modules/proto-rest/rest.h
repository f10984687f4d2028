/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Inside proto-rest: HTTP with JSON over the verbs of core/control.
 *
 *   GET  /api/v1/health          200 while the server runs
 *   GET  /api/v1/verbs           all verbs with their arguments
 *   POST /api/v1/verbs/NAME      runs a verb; body: a JSON object of its arguments, or empty
 *
 * Errors are problem details (RFC 9457) with a stable `code`.
 *
 * Thread: main thread only. */
#pragma once

#include <json-glib/json-glib.h>
#include <lares/lares.h>
#include <libsoup/soup.h>

#define REST_ROOM "rest"
/* A body is a handful of arguments; the largest are lists of hosts. */
#define REST_MAX_BODY (256 * 1024)
/* Half-sent requests hold memory: more connections than this wait in the listen queue. */
#define REST_MAX_CONNECTIONS 256
/* The socket is open to all, so that they are told why they are refused; those who may not manage the server have this
 * many each, and together (a user may have many numbers) they leave room for those who may. */
#define REST_MAX_GUEST  8
#define REST_MAX_GUESTS 64

typedef struct _RestServer RestServer;

struct _RestServer {
    GObject parent;
    LaresHost *host;
    LaresSettings *settings;
    SoupServer *soup;
    GSocketService *listener;
    char *socket_path;
    guint connections, guests;
    GHashTable *guest_connections; /* uid -> number */
};

#define REST_TYPE_SERVER (rest_server_get_type())
GType rest_server_get_type(void);
#define REST_SERVER(object) ((RestServer *)(object))
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RestServer, g_object_unref)

/* Listens on the control socket and hands connections to libsoup. */
gboolean rest_socket_start(RestServer *self, GError **error);
void rest_socket_stop(RestServer *self);
/* Who is at the other end, and what they may do; FALSE when nobody we serve. `caller->subject` is new (g_free). */
gboolean rest_socket_caller(RestServer *self, SoupServerMessage *message, LaresControlCaller *caller);

void rest_verbs_handle(RestServer *self, SoupServerMessage *message, const char *path);

void rest_answer(SoupServerMessage *message, guint status, const char *type, JsonNode *node);
/* A problem with the status that fits the error. */
void rest_problem(SoupServerMessage *message, const GError *error);
void rest_problem_text(SoupServerMessage *message, guint status, const char *code, const char *detail);

/* JSON object -> a{sv} by the verb's parameters; numbers and strings only where the parameter says so. */
GVariant *rest_json_to_args(JsonObject *object, const LaresParam *params, GError **error);
JsonNode *rest_json_from_variant(GVariant *value);
