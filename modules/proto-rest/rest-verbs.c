/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* /api/v1/verbs: every verb of core/control under its own name. */
#include "rest.h"

#include <string.h>

static const LaresVerb *
find_verb(RestServer *self, const char *name)
{
    g_autoptr(GPtrArray) verbs = lares_control_list(lares_host_control(self->host));
    for (guint i = 0; i < verbs->len; i++) {
        const LaresVerb *verb = verbs->pdata[i];
        if (g_str_equal(verb->name, name))
            return verb;
    }
    return NULL;
}

/* The body as arguments; an empty one is {}. */
static GVariant *
read_args(SoupServerMessage *message, const LaresVerb *verb, GError **error)
{
    SoupMessageBody *body = soup_server_message_get_request_body(message);
    g_autoptr(JsonParser) parser = json_parser_new_immutable();
    g_autoptr(JsonObject) empty = json_object_new();
    JsonObject *object = empty;
    if (body->length > 0) {
        g_autoptr(GError) local = NULL;
        if (!json_parser_load_from_data(parser, body->data, body->length, &local)) {
            g_set_error(error, LARES_ERROR, LARES_ERROR_INVALID, "the body is not JSON: %s", local->message);
            return NULL;
        }
        JsonNode *root = json_parser_get_root(parser);
        if (!root || !JSON_NODE_HOLDS_OBJECT(root)) {
            g_set_error_literal(error, LARES_ERROR, LARES_ERROR_INVALID,
                                "the body must be one JSON object with the verb's arguments");
            return NULL;
        }
        object = json_node_get_object(root);
    }
    return rest_json_to_args(object, verb->params, error);
}

static void
call_verb(RestServer *self, SoupServerMessage *message, const LaresControlCaller *caller, const char *name)
{
    const LaresVerb *verb = find_verb(self, name);
    if (!verb) {
        g_autofree char *detail = g_strdup_printf("there is no verb \"%s\" (its module may not be loaded)", name);
        rest_problem_text(message, SOUP_STATUS_NOT_FOUND, "unknown-verb", detail);
        return;
    }
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) args = read_args(message, verb, &error);
    g_autoptr(GVariant) result = NULL;
    if (args)
        result = lares_control_call(lares_host_control(self->host), caller, name, args, &error);
    if (result)
        g_variant_take_ref(result);
    if (error)
        rest_problem(message, error);
    else
        rest_answer(message, SOUP_STATUS_OK, "application/json", rest_json_from_variant(result));
}

static gboolean
is_method(SoupServerMessage *message, const char *method)
{
    return g_str_equal(soup_server_message_get_method(message), method);
}

void
rest_verbs_handle(RestServer *self, SoupServerMessage *message, const char *path)
{
    LaresControlCaller caller;
    if (!rest_socket_caller(self, message, &caller)) {
        rest_problem_text(message, SOUP_STATUS_FORBIDDEN, "denied",
                          "only root, the server's own user and members of the admin-group may manage the server");
        return;
    }
    const char *name = path + strlen("/api/v1/verbs");
    gboolean list = name[0] == '\0' || g_str_equal(name, "/");
    if (list && is_method(message, "GET"))
        call_verb(self, message, &caller, "verb.list");
    else if (!list && name[0] == '/' && is_method(message, "POST"))
        call_verb(self, message, &caller, name + 1);
    else
        rest_problem_text(message, SOUP_STATUS_METHOD_NOT_ALLOWED, "method",
                          "GET /api/v1/verbs lists the verbs, POST /api/v1/verbs/NAME runs one");
    g_free((char *)caller.subject);
}
