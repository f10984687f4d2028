/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* /api/v1/health: 200 when all works that should, 503 when something does not. Who does not say who they are (a load
 * balancer) gets the bare word; what is wrong is for those who may look. */
#include "rest.h"

#include <string.h>

static gboolean
is_stranger(SoupServerMessage *message)
{
    SoupMessageHeaders *headers = soup_server_message_get_request_headers(message);
    return rest_remote_visit(message) && !soup_message_headers_get_one(headers, "Authorization");
}

static gboolean
is_well(GVariant *health)
{
    const char *status = "failing";
    return health && g_variant_lookup(health, "status", "&s", &status) && g_str_equal(status, "ok");
}

/* Nobody's name stands behind it, and nothing but the word comes out of it. */
static GVariant *
look(RestServer *self)
{
    LaresControlCaller nobody = {.face = "rest", .subject = "nobody", .address = "", .rights = LARES_RIGHT_READ};
    return lares_control_call(lares_host_control(self->host), &nobody, "health", NULL, NULL);
}

static void
answer_word(SoupServerMessage *message, gboolean well)
{
    JsonNode *node = json_node_new(JSON_NODE_OBJECT);
    JsonObject *object = json_object_new();
    json_object_set_string_member(object, "status", well ? "ok" : "failing");
    json_node_take_object(node, object);
    soup_message_headers_replace(soup_server_message_get_response_headers(message), "Cache-Control", "no-store");
    rest_answer(message, well ? SOUP_STATUS_OK : SOUP_STATUS_SERVICE_UNAVAILABLE, "application/json", node);
}

void
rest_health_handle(RestServer *self, SoupServerMessage *message)
{
    g_autoptr(GVariant) health = look(self);
    const char *method = soup_server_message_get_method(message);
    gboolean get = g_str_equal(method, "GET") || g_str_equal(method, "HEAD");
    if (get && is_stranger(message)) {
        for (const RestRoute *route = rest_routes; route->method; route++)
            if (route->open)
                rest_count_route(message, route);
        answer_word(message, is_well(health));
        return;
    }
    rest_resources_handle(self, message);
    if (soup_server_message_get_status(message) == SOUP_STATUS_OK && !is_well(health))
        soup_server_message_set_status(message, SOUP_STATUS_SERVICE_UNAVAILABLE, NULL);
}
