/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Inside proto-rest: HTTP with JSON over the verbs of core/control.
 *
 *   GET  /api/v1/health          200 while the server runs; for anybody
 *   GET  /api/v1/openapi.json    the description of everything below; for anybody
 *   …    /api/v1/shares …        resources (rest-routes.c): each method of each path is one verb
 *   GET  /api/v1/verbs           all verbs with their arguments
 *   POST /api/v1/verbs/NAME      runs a verb; body: a JSON object of its arguments, or empty
 *
 * Callers are known by the peer credentials of the control socket, by ticket (HTTP Negotiate) or by bearer token.
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
/* Objects in lists in objects …: json-glib descends by recursion. */
#define REST_MAX_DEPTH 16
/* Half-sent requests hold memory: more connections than this wait in the listen queue. */
#define REST_MAX_CONNECTIONS 256
#define REST_MAX_REMOTE      1024
/* Of one host over the network: nobody keeps the others out. */
#define REST_MAX_PER_HOST 32
/* A body of somebody who does not even say who they are. */
#define REST_MAX_STRANGER 1024
/* The socket is open to all, so that they are told why they are refused; those who may not manage the server have this
 * many each, and together (a user may have many numbers) they leave room for those who may. */
#define REST_MAX_GUEST  8
#define REST_MAX_GUESTS 64
/* Seconds for a peer over the network to send a request, to take its answer, or to stay silent. */
#define REST_PATIENCE 20

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
    /* The network: rest-remote.c */
    GSocketService *remote;
    GPtrArray *visits; /* of RestVisit, over the network */
    GTlsCertificate *certificate;
    char *fingerprint;
    guint sweep;
    char *trouble; /* why it does not serve the network though it should; NULL otherwise */
};

#define REST_TYPE_SERVER (rest_server_get_type())
GType rest_server_get_type(void);
#define REST_SERVER(object) ((RestServer *)(object))
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RestServer, g_object_unref)

/* ---- Connections ----------------------------------------------------------------------------------------------- */

/* One connection over the network. libsoup shows a message's remote address only, so it travels with that. */
typedef struct {
    RestServer *server;
    GSocket *socket;
    LaresPeer peer;
    LaresAuthContext *login; /* half-way through a Negotiate of several legs */
    gint64 since;            /* monotonic microseconds: the last step of a request or of an answer */
} RestVisit;

/* Listens on the control socket and hands connections to libsoup. */
gboolean rest_socket_start(RestServer *self, GError **error);
void rest_socket_stop(RestServer *self);
/* Who is at the other end, and what they may do; FALSE when nobody we serve. `caller->subject` is new (g_free). */
gboolean rest_socket_caller(RestServer *self, SoupServerMessage *message, LaresControlCaller *caller);

/* The same for TCP: with TLS anywhere, without on loopback only. */
gboolean rest_remote_start(RestServer *self, GError **error);
void rest_remote_stop(RestServer *self);
/* NULL: the message came by the control socket. */
RestVisit *rest_remote_visit(SoupServerMessage *message);

/* The configured certificate, or one of our own making that is kept in the state directory. */
GTlsCertificate *rest_certificate_obtain(RestServer *self, GError **error);
/* SHA-256 of a certificate as "AB:CD:…"; new. */
char *rest_certificate_fingerprint(GTlsCertificate *certificate);

/* ---- Callers --------------------------------------------------------------------------------------------------- */

typedef struct {
    LaresControlCaller caller;
    LaresTokenProof proof;
    LaresIdentity *identity;
    char *subject;
} RestCaller;

/* FALSE: the message has its answer (401, 403). In both cases rest_caller_clear(). */
gboolean rest_caller_find(RestServer *self, SoupServerMessage *message, RestCaller *caller);
void rest_caller_clear(RestCaller *caller);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(RestCaller, rest_caller_clear)

/* ---- Resources ------------------------------------------------------------------------------------------------- */

/* One method of one path. */
typedef struct {
    const char *method;
    const char *path; /* below /api/v1; "{name}" is the verb's argument of that name */
    const char *verb;
    const char *show; /* the verb that shows the resource, for If-Match; NULL: none */
    const char *key;  /* lists: the member that names and orders the items */
    gboolean creates; /* 201, with a Location made of the path and the argument `key` */
} RestRoute;

extern const RestRoute rest_routes[]; /* ends with a NULL method */

void rest_verbs_handle(RestServer *self, SoupServerMessage *message, const char *path);
void rest_resources_handle(RestServer *self, SoupServerMessage *message, const char *path, GHashTable *query);
/* The description of the server's routes in OpenAPI 3.1; new. */
JsonNode *rest_openapi(RestServer *self);

/* ---- Bodies and answers ------------------------------------------------------------------------------------------ */

/* The request's JSON object; an empty body is {}. NULL with LARES_ERROR_INVALID. */
JsonObject *rest_read_object(SoupServerMessage *message, GError **error);
void rest_answer(SoupServerMessage *message, guint status, const char *type, JsonNode *node);
/* A problem with the status that fits the error. */
void rest_problem(SoupServerMessage *message, const GError *error);
void rest_problem_text(SoupServerMessage *message, guint status, const char *code, const char *detail);

/* JSON object -> a{sv} by the verb's parameters; numbers and strings only where the parameter says so. */
GVariant *rest_json_to_args(JsonObject *object, const LaresParam *params, GError **error);
JsonNode *rest_json_from_variant(GVariant *value);
