/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The description of the routes, made from the tables that serve them: it cannot be wrong about what is there.
 *
 * Spec: OpenAPI 3.1.0. */
#include "rest.h"

#include <string.h>

static void
put(JsonBuilder *b, const char *name, const char *value)
{
    json_builder_set_member_name(b, name);
    json_builder_add_string_value(b, value);
}

static void
open_object(JsonBuilder *b, const char *name)
{
    if (name)
        json_builder_set_member_name(b, name);
    json_builder_begin_object(b);
}

static void
put_reference(JsonBuilder *b, const char *name, const char *place)
{
    open_object(b, name);
    put(b, "$ref", place);
    json_builder_end_object(b);
}

static void
put_type(JsonBuilder *b, const char *name, const char *signature, const char *doc)
{
    open_object(b, name);
    put(b, "type",
        signature[0] == 's'   ? "string"
        : signature[0] == 'b' ? "boolean"
        : signature[0] == 'x' ? "integer"
                              : "array");
    if (g_str_equal(signature, "as")) {
        open_object(b, "items");
        put(b, "type", "string");
        json_builder_end_object(b);
    }
    if (doc)
        put(b, "description", doc);
    json_builder_end_object(b);
}

static gboolean
in_path(const RestRoute *route, const LaresParam *p)
{
    g_autofree char *form = g_strdup_printf("{%s}", p->name);
    return strstr(route->path, form) != NULL;
}

static void
put_parameter(JsonBuilder *b, const char *place, const LaresParam *p)
{
    open_object(b, NULL);
    put(b, "name", p->name);
    put(b, "in", place);
    json_builder_set_member_name(b, "required");
    json_builder_add_boolean_value(b, g_str_equal(place, "path") || p->required);
    if (p->doc)
        put(b, "description", p->doc);
    put_type(b, "schema", p->signature, NULL);
    json_builder_end_object(b);
}

static void
put_parameters(JsonBuilder *b, const RestRoute *route, const LaresVerb *verb)
{
    static const LaresParam page[] = {{"limit", "x", FALSE, "how many items at most: 1 to 1000, 100 when left out"},
                                      {"after", "s", FALSE, "the \"next\" of the page before"}};
    gboolean get = g_str_equal(route->method, "GET");
    json_builder_set_member_name(b, "parameters");
    json_builder_begin_array(b);
    for (const LaresParam *p = verb->params; p && p->name; p++) {
        if (in_path(route, p))
            put_parameter(b, "path", p);
        else if (get)
            put_parameter(b, "query", p);
    }
    for (guint i = 0; get && route->key && i < G_N_ELEMENTS(page); i++)
        put_parameter(b, "query", &page[i]);
    if (!get && route->show)
        put_parameter(
            b, "header",
            &(LaresParam){"If-Match", "s", FALSE, "the ETag of what was seen; refused when it changed since"});
    json_builder_end_array(b);
}

static void
put_body(JsonBuilder *b, const RestRoute *route, const LaresVerb *verb)
{
    gboolean any = FALSE, required = FALSE;
    for (const LaresParam *p = verb->params; p && p->name; p++) {
        any |= !in_path(route, p);
        required |= p->required && !in_path(route, p);
    }
    if (!any || g_str_equal(route->method, "GET"))
        return;
    open_object(b, "requestBody");
    json_builder_set_member_name(b, "required");
    json_builder_add_boolean_value(b, required);
    open_object(b, "content");
    open_object(b, "application/json");
    open_object(b, "schema");
    put(b, "type", "object");
    json_builder_set_member_name(b, "additionalProperties");
    json_builder_add_boolean_value(b, FALSE);
    json_builder_set_member_name(b, "required");
    json_builder_begin_array(b);
    for (const LaresParam *p = verb->params; p && p->name; p++)
        if (p->required && !in_path(route, p))
            json_builder_add_string_value(b, p->name);
    json_builder_end_array(b);
    open_object(b, "properties");
    for (const LaresParam *p = verb->params; p && p->name; p++)
        if (!in_path(route, p))
            put_type(b, p->name, p->signature, p->doc);
    for (guint i = 0; i < 5; i++)
        json_builder_end_object(b);
}

static void
put_schema_answer(JsonBuilder *b, const char *status, const char *words, const char *schema)
{
    open_object(b, status);
    put(b, "description", words);
    open_object(b, "content");
    open_object(b, "application/json");
    put_reference(b, "schema", schema);
    json_builder_end_object(b);
    json_builder_end_object(b);
    json_builder_end_object(b);
}

static void
put_plain_answer(JsonBuilder *b)
{
    open_object(b, "200");
    put(b, "description", "A text.");
    open_object(b, "content");
    open_object(b, "text/plain");
    open_object(b, "schema");
    put(b, "type", "string");
    for (guint i = 0; i < 4; i++)
        json_builder_end_object(b);
}

static void
put_answers(JsonBuilder *b, const RestRoute *route)
{
    open_object(b, "responses");
    if (route->text) {
        put_plain_answer(b);
    } else if (route->creates) {
        put_schema_answer(b, "201", "Made.", "#/components/schemas/Thing");
    } else if (route->key || route->paged) {
        put_schema_answer(b, "200", "A page of the list.", "#/components/schemas/Page");
    } else {
        put_schema_answer(b, "200", "What it is now.", "#/components/schemas/Thing");
        if (!g_str_equal(route->method, "GET")) {
            open_object(b, "204");
            put(b, "description", "Done.");
            json_builder_end_object(b);
        }
    }
    if (route->open)
        put_schema_answer(b, "503", "Something does not work.", "#/components/schemas/Thing");
    put_reference(b, "default", "#/components/responses/Problem");
    json_builder_end_object(b);
}

static void
put_operation(JsonBuilder *b, const RestRoute *route, const LaresVerb *verb)
{
    g_autofree char *method = g_ascii_strdown(route->method, -1);
    open_object(b, method);
    put(b, "operationId", verb->name);
    put(b, "summary", verb->doc);
    put(b, "x-lares-right", lares_right_name(verb->right));
    if (route->open) { /* `{}`: without a login, too */
        json_builder_set_member_name(b, "security");
        json_builder_add_value(b, json_from_string("[{},{\"ticket\":[]},{\"token\":[]}]", NULL));
    }
    put_parameters(b, route, verb);
    put_body(b, route, verb);
    put_answers(b, route);
    json_builder_end_object(b);
}

static gboolean
seen_before(const RestRoute *route)
{
    for (const RestRoute *r = rest_routes; r < route; r++)
        if (g_str_equal(r->path, route->path))
            return TRUE;
    return FALSE;
}

static void
put_paths(JsonBuilder *b, LaresControl *control)
{
    open_object(b, "paths");
    for (const RestRoute *first = rest_routes; first->method; first++) {
        if (seen_before(first))
            continue;
        gboolean opened = FALSE;
        for (const RestRoute *r = first; r->method; r++) {
            const LaresVerb *verb = g_str_equal(r->path, first->path) ? lares_control_find(control, r->verb) : NULL;
            if (!verb)
                continue;
            if (!opened)
                open_object(b, first->path);
            opened = TRUE;
            put_operation(b, r, verb);
        }
        if (opened)
            json_builder_end_object(b);
    }
    json_builder_end_object(b);
}

/* The parts that all answers share. */
static const char components[] =
    "{\"schemas\":{"
    "\"Thing\":{\"type\":\"object\"},"
    "\"Page\":{\"type\":\"object\",\"required\":[\"items\",\"total\"],\"additionalProperties\":false,\"properties\":{"
    "\"items\":{\"type\":\"array\",\"items\":{\"type\":\"object\"}},"
    "\"total\":{\"type\":\"integer\",\"description\":\"how many there are on all pages\"},"
    "\"next\":{\"type\":\"string\",\"description\":\"there is more: give it as `after`\"}}},"
    "\"Problem\":{\"type\":\"object\",\"required\":[\"type\",\"title\",\"status\",\"code\",\"detail\"],\"properties\":{"
    "\"type\":{\"type\":\"string\"},\"title\":{\"type\":\"string\"},\"status\":{\"type\":\"integer\"},"
    "\"code\":{\"type\":\"string\",\"description\":\"for programs; it does not change\"},"
    "\"detail\":{\"type\":\"string\",\"description\":\"what is wrong and what to do, for people\"}}}},"
    "\"responses\":{\"Problem\":{\"description\":\"It did not work (RFC 9457).\",\"content\":{"
    "\"application/problem+json\":{\"schema\":{\"$ref\":\"#/components/schemas/Problem\"}}}}},"
    "\"securitySchemes\":{\"ticket\":{\"type\":\"http\",\"scheme\":\"negotiate\"},"
    "\"token\":{\"type\":\"http\",\"scheme\":\"bearer\"}}}";

JsonNode *
rest_openapi(RestServer *self)
{
    g_autoptr(JsonBuilder) b = json_builder_new();
    open_object(b, NULL);
    put(b, "openapi", "3.1.0");
    open_object(b, "info");
    put(b, "title", "Lares");
    put(b, "version", "1");
    put(b, "description",
        "Management of a Lares file server. Every operation is the verb of the same name, also on "
        "D-Bus and in laresctl.");
    json_builder_end_object(b);
    json_builder_set_member_name(b, "servers");
    json_builder_begin_array(b);
    open_object(b, NULL);
    put(b, "url", "/api/v1");
    json_builder_end_object(b);
    json_builder_end_array(b);
    json_builder_set_member_name(b, "security");
    json_builder_begin_array(b);
    for (guint i = 0; i < 2; i++) {
        open_object(b, NULL);
        json_builder_set_member_name(b, i ? "token" : "ticket");
        json_builder_begin_array(b);
        json_builder_end_array(b);
        json_builder_end_object(b);
    }
    json_builder_end_array(b);
    put_paths(b, lares_host_control(self->host));
    json_builder_set_member_name(b, "components");
    json_builder_add_value(b, json_from_string(components, NULL));
    json_builder_end_object(b);
    return json_builder_get_root(b);
}
