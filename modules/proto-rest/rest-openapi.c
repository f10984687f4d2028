/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The description of the routes, made from the tables that serve them: it cannot be wrong about what is there.
 *
 * Spec: OpenAPI 3.1.0. */
#include "rest.h"

#include <string.h>

#define THINGS "#/components/schemas/"

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
put_list_of(JsonBuilder *b, const char *type)
{
    put(b, "type", "array");
    open_object(b, "items");
    put(b, "type", type);
    json_builder_end_object(b);
}

static void
put_words(JsonBuilder *b, const char *words)
{
    g_auto(GStrv) all = g_strsplit(words, "|", -1);
    put(b, "type", "string");
    json_builder_set_member_name(b, "enum");
    json_builder_begin_array(b);
    for (guint i = 0; all[i]; i++)
        json_builder_add_string_value(b, all[i]);
    json_builder_end_array(b);
}

/* The name of a thing, with or without the brackets of a list. */
static void
put_thing(JsonBuilder *b, const char *type)
{
    gboolean list = type[0] == '[';
    g_autofree char *name = list ? g_strndup(type + 1, strlen(type) - 2) : g_strdup(type);
    g_autofree char *place = g_strconcat(THINGS, name, NULL);
    if (!list) {
        put(b, "$ref", place);
        return;
    }
    put(b, "type", "array");
    put_reference(b, "items", place);
}

/* `type` is what RestMember says, which has the signatures of verbs' arguments in it. */
static void
put_type(JsonBuilder *b, const char *name, const char *type, const char *doc)
{
    open_object(b, name);
    if (g_str_equal(type, "s"))
        put(b, "type", "string");
    else if (g_str_equal(type, "b"))
        put(b, "type", "boolean");
    else if (g_str_equal(type, "x"))
        put(b, "type", "integer");
    else if (g_str_equal(type, "as"))
        put_list_of(b, "string");
    else if (g_str_equal(type, "ax"))
        put_list_of(b, "integer");
    else if (strchr(type, '|'))
        put_words(b, type);
    else
        put_thing(b, type);
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

/* A page is one whose items are the thing. */
static void
put_page(JsonBuilder *b, const char *thing)
{
    g_autofree char *place = g_strconcat(THINGS, thing, NULL);
    json_builder_set_member_name(b, "allOf");
    json_builder_begin_array(b);
    put_reference(b, NULL, THINGS "Page");
    open_object(b, NULL);
    open_object(b, "properties");
    open_object(b, "items");
    put_reference(b, "items", place);
    for (guint i = 0; i < 3; i++)
        json_builder_end_object(b);
    json_builder_end_array(b);
}

static void
put_thing_answer(JsonBuilder *b, const char *status, const char *words, const char *thing, gboolean page)
{
    open_object(b, status);
    put(b, "description", words);
    open_object(b, "content");
    open_object(b, "application/json");
    open_object(b, "schema");
    if (page)
        put_page(b, thing);
    else
        put_thing(b, thing);
    for (guint i = 0; i < 4; i++)
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
        put_thing_answer(b, "201", "Made.", route->thing, FALSE);
    } else if (route->key || route->paged) {
        put_thing_answer(b, "200", "A page of the list.", route->thing, TRUE);
    } else if (route->thing) {
        put_thing_answer(b, "200", g_str_equal(route->method, "GET") ? "What it is now." : "Done.", route->thing,
                         FALSE);
    } else {
        open_object(b, "204");
        put(b, "description", "Done.");
        json_builder_end_object(b);
    }
    if (route->open)
        put_thing_answer(b, "503", "Something does not work.", route->thing, FALSE);
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

static void
put_member(JsonBuilder *b, const RestMember *m)
{
    put_type(b, m->name, m->type[0] == '?' ? m->type + 1 : m->type, m->doc);
}

static void
put_schema(JsonBuilder *b, const RestThing *thing)
{
    open_object(b, thing->name);
    put(b, "type", "object");
    put(b, "description", thing->doc);
    json_builder_set_member_name(b, "required");
    json_builder_begin_array(b);
    for (const RestMember *m = thing->members; m->name; m++)
        if (m->type[0] != '?')
            json_builder_add_string_value(b, m->name);
    json_builder_end_array(b);
    open_object(b, "properties");
    for (const RestMember *m = thing->members; m->name; m++)
        put_member(b, m);
    json_builder_end_object(b);
    if (!thing->more) {
        json_builder_set_member_name(b, "additionalProperties");
        json_builder_add_boolean_value(b, FALSE);
    }
    json_builder_end_object(b);
}

/* The parts that all answers share. */
static const char page[] =
    "{\"type\":\"object\",\"required\":[\"items\",\"total\"],\"additionalProperties\":false,\"properties\":{"
    "\"items\":{\"type\":\"array\",\"items\":{\"type\":\"object\"}},"
    "\"total\":{\"type\":\"integer\",\"description\":\"how many there are on all pages\"},"
    "\"next\":{\"type\":\"string\",\"description\":\"there is more: give it as `after`\"}}}";
static const char problem[] =
    "{\"type\":\"object\",\"required\":[\"type\",\"title\",\"status\",\"code\",\"detail\"],"
    "\"additionalProperties\":false,\"properties\":{"
    "\"type\":{\"type\":\"string\"},\"title\":{\"type\":\"string\"},\"status\":{\"type\":\"integer\"},"
    "\"code\":{\"type\":\"string\",\"description\":\"for programs; it does not change\"},"
    "\"detail\":{\"type\":\"string\",\"description\":\"what is wrong and what to do, for people\"}}}";
static const char responses[] = "{\"Problem\":{\"description\":\"It did not work (RFC 9457).\",\"content\":{"
                                "\"application/problem+json\":{\"schema\":{\"$ref\":\"" THINGS "Problem\"}}}}}";
static const char security[] = "{\"ticket\":{\"type\":\"http\",\"scheme\":\"negotiate\"},"
                               "\"token\":{\"type\":\"http\",\"scheme\":\"bearer\"}}";

static void
put_json(JsonBuilder *b, const char *name, const char *text)
{
    json_builder_set_member_name(b, name);
    json_builder_add_value(b, json_from_string(text, NULL));
}

static void
put_components(JsonBuilder *b)
{
    open_object(b, "components");
    open_object(b, "schemas");
    for (const RestThing *thing = rest_things; thing->name; thing++)
        put_schema(b, thing);
    put_json(b, "Page", page);
    put_json(b, "Problem", problem);
    json_builder_end_object(b);
    put_json(b, "responses", responses);
    put_json(b, "securitySchemes", security);
    json_builder_end_object(b);
}

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
    put_components(b);
    json_builder_end_object(b);
    return json_builder_get_root(b);
}
