/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Inside proto-rest: HTTP with JSON over the verbs of core/control.
 *
 *   GET  /api/v1/health          200 or 503; the bare word for anybody, all of it for those who may look
 *   GET  /metrics                the same as /api/v1/metrics: what is counted, for Prometheus
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

#include "rest-strict.h"

#define REST_ROOM "rest"
/* A body is a handful of arguments; the largest are lists of hosts. */
#define REST_MAX_BODY (256 * 1024)
/* The path and query of an address: names are 255 bytes at most, and up to three times as long when escaped. */
#define REST_MAX_ADDRESS 4096
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
typedef struct _RestListener RestListener;

struct _RestServer {
    GObject parent;
    LaresHost *host;
    LaresSettings *settings;
    SoupServer *soup;
    RestListener *listener;
    char *socket_path;
    guint connections, guests;
    GHashTable *guest_connections; /* uid -> number */
    /* The network: rest-remote.c */
    GPtrArray *remote; /* of RestListener */
    GPtrArray *visits; /* of RestVisit, over the network */
    GTlsCertificate *certificate;
    struct ssl_ctx_st *tls;  /* accepts with `certificate` */
    char *fingerprint;       /* SHA-256 of `certificate` as "AB:CD:…" */
    char *certificate_state; /* of the files, when they were read */
    guint sweep;
    GMutex shown_lock;
    GTlsCertificate *shown; /* a copy of `certificate` for other threads */
    char *trouble;          /* why it does not serve the network though it should; NULL otherwise */
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
    gboolean tls;
    LaresAuthContext *login; /* half-way through a Negotiate of several legs */
    gint64 since;            /* monotonic microseconds: the last step of a request or of an answer */
} RestVisit;

/* Called for each connection; it belongs to the listener until the function returns. */
typedef void (*RestAccepted)(GSocketConnection *connection, gboolean tls, gpointer user);
RestListener *rest_listener_new(GSocketAddress *address, gboolean tls, RestAccepted accepted, gpointer user,
                                GError **error);
/* While it is paused connections wait in the kernel's queue. */
void rest_listener_pause(RestListener *self, gboolean pause);
void rest_listener_free(RestListener *self);

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

/* An address of a setting; NULL with error. */
GSocketAddress *rest_remote_parse(const char *key, const char *word, GError **error);
void rest_remote_fill_peer(LaresPeer *peer, GSocketAddress *address);
/* For the doctor (rest-self.c). */
extern const LaresSelfLogin rest_self_plain, rest_self_tls;

/* Takes into use the configured certificate, or one of our own making that is kept in the state directory. FALSE with
 * error: nothing changed. */
gboolean rest_certificate_obtain(RestServer *self, GError **error);
void rest_certificate_drop(RestServer *self);
/* Takes the files again when they changed, or makes a new one before the own one ends; what is wrong with them is
 * logged, and the certificate stays. */
void rest_certificate_refresh(RestServer *self);

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
/* The ways to log in, for an answer 401. */
void rest_caller_challenge(SoupServerMessage *message);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(RestCaller, rest_caller_clear)

/* ---- Answers that come later ----------------------------------------------------------------------------------- */

typedef struct _RestPause RestPause;
/* When the verb is a slow one, nothing is sent before rest_pause_end(); NULL: it answers at once. */
RestPause *rest_pause_begin(RestServer *self, SoupServerMessage *message, const char *verb);
/* The message has its answer now; the peer may be gone meanwhile. */
void rest_pause_end(RestPause *pause);

/* ---- Resources ------------------------------------------------------------------------------------------------- */

/* One method of one path. */
typedef struct {
    const char *method;
    const char *path; /* below /api/v1; "{name}" is the verb's argument of that name */
    const char *verb;
    const char *show; /* the verb that shows the resource, for If-Match; NULL: none */
    const char *key;  /* lists: the member that names and orders the items */
    gboolean creates; /* 201, with a Location made of the path and the argument `key` */
    gboolean paged;   /* the verb itself makes pages of its list */
    gboolean text;    /* the answer is the verb's "text", of its "type" */
    gboolean open;    /* for anybody, in a form that tells nothing: rest-health.c */
    /* What the answer is, in rest_things; of lists each item. NULL: there is none, or a text. */
    const char *thing;
} RestRoute;

extern const RestRoute rest_routes[]; /* ends with a NULL method */
/* `path`, below /api/v1, is as it was sent: "%2F" is a letter of a name. `words` are new: what the path says, argument
 * -> text. NULL: none; then `allowed`, new, has the methods that the path takes, or is NULL. */
const RestRoute *rest_route_find(const char *method, const char *path, JsonObject **words, char **allowed);

/* A member of an answer. `type` is "s", "b", "x", "as" or "ax" as GVariant has them, "one|another" for one of these
 * words, the name of a thing, or "[Thing]" for a list of them; behind a "?" it is that of a member that may be missing.
 * Whatever has no sign in GVariant is a number like any other. */
typedef struct {
    const char *name;
    const char *type;
    const char *doc;
} RestMember;

typedef struct {
    const char *name;
    const char *doc;
    const RestMember *members; /* all of them; ends with a NULL name */
    gboolean more;             /* modules may add to them */
} RestThing;

extern const RestThing rest_things[]; /* ends with a NULL name */

void rest_verbs_handle(RestServer *self, SoupServerMessage *message);
void rest_resources_handle(RestServer *self, SoupServerMessage *message);
/* ---- Counting: rest-metrics.c --------------------------------------------------------------------------------------
 */

typedef enum { REST_COUNT_OTHER, REST_COUNT_VERB, REST_COUNT_VERBS, REST_COUNT_OPENAPI } RestCount;
/* In load(), once. */
gboolean rest_metrics_register(RestServer *self, GError **error);
void rest_metrics_watch(RestServer *self);
/* Under what the request is counted; "other" until it is said. */
void rest_count_route(SoupServerMessage *message, const RestRoute *route);
void rest_count_other(SoupServerMessage *message, RestCount other);

/* For another address than the one that was asked for. */
void rest_resources_serve(RestServer *self, SoupServerMessage *message, const char *path);
void rest_health_handle(RestServer *self, SoupServerMessage *message);
/* The description of the server's routes in OpenAPI 3.1; new. */
JsonNode *rest_openapi(RestServer *self);

/* ---- Bodies and answers ------------------------------------------------------------------------------------------ */

/* So that a message's connection can be ended: `remote` is the address that libsoup is given with it. */
void rest_connection_keep(GSocketAddress *remote, GSocket *socket);
void rest_connection_end(SoupServerMessage *message);
/* Refuses a request that is too large while it comes. */
void rest_request_watch(SoupServerMessage *message);
/* FALSE: the message has its answer (415). A page of somebody else's can make a browser send other types, not JSON. */
gboolean rest_has_fit_type(SoupServerMessage *message);
/* One JSON object; no text at all is {}. NULL with LARES_ERROR_INVALID. */
JsonObject *rest_parse_object(const char *text, gsize len, GError **error);
/* The same of a request's body. */
JsonObject *rest_read_object(SoupServerMessage *message, GError **error);
void rest_answer(SoupServerMessage *message, guint status, const char *type, JsonNode *node);
/* A problem with the status that fits the error. */
void rest_problem(SoupServerMessage *message, const GError *error);
void rest_problem_text(SoupServerMessage *message, guint status, const char *code, const char *detail);

/* JSON object -> a{sv} by the verb's parameters; numbers and strings only where the parameter says so. */
/* A word of the address becomes a member, of the type that the parameter wants. */
gboolean rest_json_add_word(JsonObject *object, const LaresParam *params, const char *name, const char *text,
                            GError **error);
GVariant *rest_json_to_args(JsonObject *object, const LaresParam *params, GError **error);
JsonNode *rest_json_from_variant(GVariant *value);
