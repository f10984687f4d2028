/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Answers, and problem details (RFC 9457) for what went wrong. */
#include "rest.h"

static const struct {
    int code;
    guint status;
    const char *name;
} problems[] = {
    {LARES_ERROR_INVALID, SOUP_STATUS_BAD_REQUEST, "invalid"},
    {LARES_ERROR_NOT_FOUND, SOUP_STATUS_NOT_FOUND, "not-found"},
    {LARES_ERROR_EXISTS, SOUP_STATUS_CONFLICT, "exists"},
    {LARES_ERROR_DENIED, SOUP_STATUS_FORBIDDEN, "denied"},
    {LARES_ERROR_CONFLICT, SOUP_STATUS_CONFLICT, "conflict"},
    {LARES_ERROR_UNAVAILABLE, SOUP_STATUS_SERVICE_UNAVAILABLE, "unavailable"},
    {LARES_ERROR_LOGIN, SOUP_STATUS_UNAUTHORIZED, "login"},
};

void
rest_answer(SoupServerMessage *message, guint status, const char *type, JsonNode *node)
{
    g_autofree char *text = json_to_string(node, FALSE);
    size_t len = strlen(text);
    soup_server_message_set_status(message, status, NULL);
    soup_server_message_set_response(message, type, SOUP_MEMORY_TAKE, g_steal_pointer(&text), len);
    json_node_unref(node);
}

void
rest_problem_text(SoupServerMessage *message, guint status, const char *code, const char *detail)
{
    JsonObject *object = json_object_new();
    JsonNode *node = json_node_new(JSON_NODE_OBJECT);
    json_object_set_string_member(object, "type", "about:blank");
    json_object_set_string_member(object, "title", soup_status_get_phrase(status));
    json_object_set_int_member(object, "status", status);
    json_object_set_string_member(object, "code", code);
    json_object_set_string_member(object, "detail", detail);
    json_node_take_object(node, object);
    rest_answer(message, status, "application/problem+json", node);
}

void
rest_problem(SoupServerMessage *message, const GError *error)
{
    guint status = SOUP_STATUS_INTERNAL_SERVER_ERROR;
    const char *code = "failed";
    for (guint i = 0; error->domain == LARES_ERROR && i < G_N_ELEMENTS(problems); i++) {
        if (problems[i].code == error->code) {
            status = problems[i].status;
            code = problems[i].name;
        }
    }
    rest_problem_text(message, status, code, error->message);
    if (status == SOUP_STATUS_UNAUTHORIZED)
        rest_caller_challenge(message);
}
