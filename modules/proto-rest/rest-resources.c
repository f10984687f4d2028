/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* /api/v1/…: finds the route, makes the verb's arguments of path, query and body, and gives the answer its form: pages
 * of lists, entity tags, places of what was made.
 *
 * Spec: RFC 9110 13 (If-Match, If-None-Match), RFC 3986. */
#include "rest.h"

#include <string.h>

#define DEFAULT_PAGE 100
#define MAX_PAGE     1000
#define API          "/api/v1"

/* It lives until the verb has answered, which may be later (RestPause). */
typedef struct {
    RestServer *server;
    SoupServerMessage *message; /* a reference */
    RestCaller who;
    const LaresControlCaller *caller; /* in `who` */
    char *address;                    /* the caller's; the connection may go first */
    const RestRoute *route;
    const LaresVerb *verb;
    JsonObject *words; /* what the path says: argument -> text */
    GHashTable *query;
    GVariant *args;
    LaresControlPage page;
    RestPause *pause;
} Visit;

static void
visit_free(Visit *visit)
{
    rest_caller_clear(&visit->who);
    g_free(visit->address);
    g_clear_pointer(&visit->words, json_object_unref);
    g_clear_pointer(&visit->query, g_hash_table_unref);
    g_clear_pointer(&visit->args, g_variant_unref);
    g_object_unref(visit->message);
    g_free(visit);
}

/* ---- Routes ---------------------------------------------------------------------------------------------------- */

/* HEAD is GET without the body, which libsoup leaves out. */
static const char *
method_of(SoupServerMessage *message)
{
    const char *method = soup_server_message_get_method(message);
    return g_str_equal(method, "HEAD") ? "GET" : method;
}

/* NULL: the message has its answer. */
static const RestRoute *
find_route(SoupServerMessage *message, const char *path, JsonObject **words)
{
    g_autofree char *allowed = NULL;
    const RestRoute *route = g_str_has_prefix(path, API "/")
                                 ? rest_route_find(method_of(message), path + strlen(API), words, &allowed)
                                 : NULL;
    if (route)
        return route;
    if (!allowed) {
        rest_problem_text(message, SOUP_STATUS_NOT_FOUND, "not-found",
                          "there is nothing at this path; GET " API "/openapi.json lists all paths");
        return NULL;
    }
    g_autofree char *detail = g_strdup_printf("this path takes %s", allowed);
    soup_message_headers_replace(soup_server_message_get_response_headers(message), "Allow", allowed);
    rest_problem_text(message, SOUP_STATUS_METHOD_NOT_ALLOWED, "method", detail);
    return NULL;
}

/* ---- Arguments ------------------------------------------------------------------------------------------------- */

static gboolean
is_list(const RestRoute *route)
{
    return route->key && !route->creates;
}

static gboolean
add_path(Visit *visit, JsonObject *object, GError **error)
{
    g_autoptr(GList) names = json_object_get_members(visit->words);
    for (GList *at = names; at; at = at->next) {
        const char *text = json_object_get_string_member(visit->words, at->data);
        if (!rest_json_add_word(object, visit->verb->params, at->data, text, error))
            return FALSE;
    }
    return TRUE;
}

/* What is not about the page goes to the verb. */
static gboolean
add_query(Visit *visit, JsonObject *object, GError **error)
{
    GHashTableIter iter;
    const char *name, *text;
    g_hash_table_iter_init(&iter, visit->query);
    while (g_hash_table_iter_next(&iter, (gpointer *)&name, (gpointer *)&text)) {
        if (is_list(visit->route) && (g_str_equal(name, "limit") || g_str_equal(name, "after")))
            continue;
        if (!rest_json_add_word(object, visit->verb->params, name, text, error))
            return FALSE;
    }
    return TRUE;
}

static GVariant *
make_args(Visit *visit, GError **error)
{
    g_autoptr(JsonObject) object = NULL;
    gboolean body = soup_server_message_get_request_body(visit->message)->length > 0;
    if (body && g_str_equal(visit->route->method, "GET")) {
        g_set_error_literal(error, LARES_ERROR, LARES_ERROR_INVALID, "a GET has no body");
        return NULL;
    }
    object = rest_read_object(visit->message, error);
    if (!object || !add_query(visit, object, error) || !add_path(visit, object, error))
        return NULL;
    return rest_json_to_args(object, visit->verb->params, error);
}

/* ---- Entity tags ----------------------------------------------------------------------------------------------- */

static char *
tag_of(const char *text)
{
    g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, text, -1);
    sum[32] = '\0';
    return g_strconcat("\"", sum, "\"", NULL);
}

/* Whether a header's list of tags has this one. If-Match compares strongly, If-None-Match weakly (RFC 9110 8.8.3.2). */
static gboolean
has_tag(const char *list, const char *tag, gboolean weak)
{
    g_auto(GStrv) tags = g_strsplit(list, ",", -1);
    for (guint i = 0; tags[i]; i++) {
        char *one = g_strstrip(tags[i]);
        if (weak && g_str_has_prefix(one, "W/"))
            one += 2;
        if (g_str_equal(one, "*") || g_str_equal(one, tag))
            return TRUE;
    }
    return FALSE;
}

static char *
text_of(GVariant *value)
{
    g_autoptr(JsonNode) node = rest_json_from_variant(value);
    return json_to_string(node, FALSE);
}

/* The tag of the resource as it is now; NULL with `error`. */
static char *
current_tag(Visit *visit, GError **error)
{
    LaresControl *control = lares_host_control(visit->server->host);
    const LaresVerb *show = lares_control_find(control, visit->route->show);
    g_autoptr(JsonObject) object = json_object_new();
    /* The path may name more than the shown resource has (a group's member). */
    for (const LaresParam *p = show ? show->params : NULL; p && p->name; p++)
        if (json_object_has_member(visit->words, p->name))
            json_object_set_string_member(object, p->name, json_object_get_string_member(visit->words, p->name));
    g_autoptr(GVariant) args = rest_json_to_args(object, show ? show->params : NULL, error);
    g_autoptr(GVariant) now = args ? lares_control_call(control, visit->caller, visit->route->show, args, error) : NULL;
    if (!now)
        return NULL;
    g_autofree char *text = text_of(now);
    return tag_of(text);
}

/* The resource as it is now must be the one that the caller has seen. Nothing can come in between: one thread. A change
 * that is tied to nothing is made: it names what it changes and leaves the rest. */
static gboolean
precondition_holds(Visit *visit)
{
    SoupMessageHeaders *headers = soup_server_message_get_request_headers(visit->message);
    g_autofree char *wanted = g_strdup(soup_message_headers_get_list(headers, "If-Match"));
    g_autoptr(GError) error = NULL;
    if (!wanted || g_str_equal(visit->route->method, "GET"))
        return TRUE;
    if (!visit->route->show) {
        rest_problem_text(visit->message, SOUP_STATUS_BAD_REQUEST, "invalid", "If-Match has no meaning for this path");
        return FALSE;
    }
    g_autofree char *tag = current_tag(visit, &error);
    if (!tag) {
        rest_problem(visit->message, error);
        return FALSE;
    }
    if (has_tag(wanted, tag, FALSE))
        return TRUE;
    rest_problem_text(visit->message, SOUP_STATUS_PRECONDITION_FAILED, "changed",
                      "somebody changed it meanwhile: get it again, then change it");
    return FALSE;
}

/* What was changed has a new tag, with which the caller can go on. */
static void
set_new_tag(Visit *visit)
{
    const char *method = visit->route->method;
    if (!visit->route->show || g_str_equal(method, "GET") || g_str_equal(method, "DELETE"))
        return;
    g_autofree char *tag = current_tag(visit, NULL);
    if (tag)
        soup_message_headers_replace(soup_server_message_get_response_headers(visit->message), "ETag", tag);
}

/* ---- Answers --------------------------------------------------------------------------------------------------- */

static void
answer_text(Visit *visit, guint status, char *text)
{
    SoupMessageHeaders *in = soup_server_message_get_request_headers(visit->message);
    SoupMessageHeaders *out = soup_server_message_get_response_headers(visit->message);
    g_autofree char *seen = g_strdup(soup_message_headers_get_list(in, "If-None-Match"));
    g_autofree char *owned = text;
    if (g_str_equal(visit->route->method, "GET")) {
        g_autofree char *tag = tag_of(text);
        soup_message_headers_replace(out, "ETag", tag);
        if (seen && has_tag(seen, tag, TRUE)) {
            soup_server_message_set_status(visit->message, SOUP_STATUS_NOT_MODIFIED, NULL);
            return;
        }
    }
    size_t len = strlen(text);
    soup_message_headers_replace(out, "Cache-Control", "no-store");
    soup_server_message_set_status(visit->message, status, NULL);
    soup_server_message_set_response(visit->message, "application/json", SOUP_MEMORY_TAKE, g_steal_pointer(&owned),
                                     len);
}

static gboolean
page_init(Visit *visit, GError **error)
{
    const char *text = g_hash_table_lookup(visit->query, "limit");
    gint64 limit = DEFAULT_PAGE;
    gboolean ok = !text || (rest_strict_number(text, &limit) && limit >= 1 && limit <= MAX_PAGE);
    if (!ok)
        g_set_error(error, LARES_ERROR, LARES_ERROR_INVALID, "\"limit\" must be between 1 and %d", MAX_PAGE);
    visit->page = (LaresControlPage){
        .key = visit->route->key, .after = g_hash_table_lookup(visit->query, "after"), .limit = (guint)limit};
    return ok;
}

static void
answer_list(Visit *visit, GVariant *list)
{
    const LaresControlPage *page = &visit->page;
    g_autoptr(JsonBuilder) builder = json_builder_new();
    gsize n = g_variant_n_children(list);
    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "items");
    json_builder_add_value(builder, json_gvariant_serialize(list));
    json_builder_set_member_name(builder, "total");
    json_builder_add_int_value(builder, page->total);
    if (page->more && n) {
        const char *last = "";
        g_autoptr(GVariant) item = g_variant_get_child_value(list, n - 1);
        g_variant_lookup(item, page->key, "&s", &last);
        json_builder_set_member_name(builder, "next");
        json_builder_add_string_value(builder, last);
    }
    json_builder_end_object(builder);
    g_autoptr(JsonNode) root = json_builder_get_root(builder);
    answer_text(visit, SOUP_STATUS_OK, json_to_string(root, FALSE));
}

/* Not JSON but a text for a program that reads no JSON. */
static void
answer_plain(Visit *visit, GVariant *result)
{
    const char *type = "text/plain", *text = "";
    g_variant_lookup(result, "type", "&s", &type);
    g_variant_lookup(result, "text", "&s", &text);
    soup_message_headers_replace(soup_server_message_get_response_headers(visit->message), "Cache-Control", "no-store");
    soup_server_message_set_status(visit->message, SOUP_STATUS_OK, NULL);
    soup_server_message_set_response(visit->message, type, SOUP_MEMORY_COPY, text, strlen(text));
}

/* Where what was made can be found. */
static void
set_location(Visit *visit, GVariant *result)
{
    g_autofree char *key = NULL;
    const char *name = visit->route->key;
    if (!name ||
        (!(result && g_variant_lookup(result, name, "s", &key)) && !g_variant_lookup(visit->args, name, "s", &key)))
        return;
    g_autofree char *escaped = g_uri_escape_string(key, NULL, FALSE);
    g_autofree char *place = g_strconcat(API, visit->route->path, "/", escaped, NULL);
    soup_message_headers_replace(soup_server_message_get_response_headers(visit->message), "Location", place);
}

static void
answer(Visit *visit, GVariant *result)
{
    set_new_tag(visit);
    if (visit->route->creates)
        set_location(visit, result);
    if (is_list(visit->route) && result)
        answer_list(visit, result);
    else if (result && visit->route->text)
        answer_plain(visit, result);
    else if (result || visit->route->creates)
        answer_text(visit, visit->route->creates ? SOUP_STATUS_CREATED : SOUP_STATUS_OK, text_of(result));
    else
        soup_server_message_set_status(visit->message, SOUP_STATUS_NO_CONTENT, NULL);
}

static void
on_done(GVariant *result, GError *error, gpointer user)
{
    Visit *visit = user;
    if (error)
        rest_problem(visit->message, error);
    else
        answer(visit, result);
    rest_pause_end(visit->pause);
    visit_free(visit);
}

/* Takes the visit over. */
static void
run(Visit *visit)
{
    LaresControl *control = lares_host_control(visit->server->host);
    g_autoptr(GError) error = NULL;
    visit->args = make_args(visit, &error);
    if (visit->args && !precondition_holds(visit)) {
        visit_free(visit);
        return;
    }
    if (!visit->args || (is_list(visit->route) && !page_init(visit, &error))) {
        rest_problem(visit->message, error);
        visit_free(visit);
        return;
    }
    visit->pause = rest_pause_begin(visit->server, visit->message, visit->verb->name);
    lares_control_call_async(control, visit->caller, visit->verb->name, visit->args,
                             is_list(visit->route) ? &visit->page : NULL, on_done, visit);
}

void
rest_resources_serve(RestServer *self, SoupServerMessage *message, const char *path)
{
    g_auto(RestCaller) who = {0};
    g_autoptr(JsonObject) words = NULL;
    g_autoptr(GError) error = NULL;
    GUri *uri = soup_server_message_get_uri(message);
    if (!rest_caller_find(self, message, &who))
        return;
    const RestRoute *route = find_route(message, path, &words);
    if (!route)
        return;
    rest_count_route(message, route);
    if (!rest_has_fit_type(message))
        return;
    const LaresVerb *verb = lares_control_find(lares_host_control(self->host), route->verb);
    if (!verb) {
        g_autofree char *detail = g_strdup_printf(
            "the server does not offer \"%s\": its module is not loaded (GET " API "/modules)", route->verb);
        rest_problem_text(message, SOUP_STATUS_NOT_FOUND, "unknown-verb", detail);
        return;
    }
    g_autoptr(GHashTable) query = rest_strict_query(g_uri_get_query(uri), &error);
    if (!query) {
        rest_problem(message, error);
        return;
    }
    Visit *visit = g_new0(Visit, 1);
    *visit = (Visit){.server = self,
                     .message = g_object_ref(message),
                     .who = who,
                     .route = route,
                     .verb = verb,
                     .words = g_steal_pointer(&words),
                     .query = g_steal_pointer(&query)};
    who = (RestCaller){0};
    visit->caller = &visit->who.caller;
    visit->address = g_strdup(visit->caller->address);
    visit->who.caller.address = visit->address;
    run(visit);
}

void
rest_resources_handle(RestServer *self, SoupServerMessage *message)
{
    /* The path is as it was sent ("raw-paths"): escapes are taken once, after its parts were told apart. */
    rest_resources_serve(self, message, g_uri_get_path(soup_server_message_get_uri(message)));
}
