/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Between JSON and the GVariants of core/control. */
#include "rest.h"

#include <string.h>

/* ---- Bodies ---------------------------------------------------------------------------------------------------- */

/* json-glib descends by recursion, one frame of the stack per bracket. */
static gboolean
is_shallow(const char *text, goffset len)
{
    gboolean in_string = FALSE;
    guint depth = 0;
    for (goffset i = 0; i < len; i++) {
        if (in_string && text[i] == '\\')
            i++;
        else if (!in_string && (text[i] == '/' || text[i] == '\''))
            return FALSE; /* comments and other quotes are json-glib's, not JSON's, and would hide brackets */
        else if (text[i] == '"')
            in_string = !in_string;
        else if (!in_string && (text[i] == '{' || text[i] == '['))
            depth++;
        else if (!in_string && (text[i] == '}' || text[i] == ']') && depth)
            depth--;
        if (depth > REST_MAX_DEPTH)
            return FALSE;
    }
    return TRUE;
}

JsonObject *
rest_read_object(SoupServerMessage *message, GError **error)
{
    SoupMessageBody *body = soup_server_message_get_request_body(message);
    g_autoptr(JsonParser) parser = json_parser_new();
    g_autoptr(GError) local = NULL;
    if (body->length == 0)
        return json_object_new();
    if (!is_shallow(body->data, body->length)) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_INVALID,
                    "the body is not JSON, or has brackets within brackets, more than %d deep", REST_MAX_DEPTH);
        return NULL;
    }
    if (memchr(body->data, 0, (size_t)body->length) ||
        !json_parser_load_from_data(parser, body->data, body->length, &local)) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_INVALID, "the body is not JSON: %s",
                    local ? local->message : "it has a NUL byte");
        return NULL;
    }
    JsonNode *root = json_parser_get_root(parser);
    if (!root || !JSON_NODE_HOLDS_OBJECT(root)) {
        g_set_error_literal(error, LARES_ERROR, LARES_ERROR_INVALID,
                            "the body must be one JSON object with the arguments");
        return NULL;
    }
    return json_object_ref(json_node_get_object(root));
}

/* ---- Arguments ------------------------------------------------------------------------------------------------- */

static GVariant *
take_strings(JsonNode *node)
{
    GVariantBuilder builder;
    JsonArray *array = JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
    guint n = array ? json_array_get_length(array) : 0;
    if (!array)
        return NULL;
    for (guint i = 0; i < n; i++) {
        if (json_node_get_value_type(json_array_get_element(array, i)) != G_TYPE_STRING)
            return NULL;
    }
    g_variant_builder_init(&builder, G_VARIANT_TYPE_STRING_ARRAY);
    for (guint i = 0; i < n; i++)
        g_variant_builder_add(&builder, "s", json_array_get_string_element(array, i));
    return g_variant_builder_end(&builder);
}

/* NULL when the JSON value is of another type. */
static GVariant *
take_value(JsonNode *node, const char *signature)
{
    GType type = JSON_NODE_HOLDS_VALUE(node) ? json_node_get_value_type(node) : G_TYPE_INVALID;
    if (g_str_equal(signature, "as"))
        return take_strings(node);
    if (g_str_equal(signature, "s"))
        return type == G_TYPE_STRING ? g_variant_new_string(json_node_get_string(node)) : NULL;
    if (g_str_equal(signature, "b"))
        return type == G_TYPE_BOOLEAN ? g_variant_new_boolean(json_node_get_boolean(node)) : NULL;
    if (g_str_equal(signature, "x"))
        return type == G_TYPE_INT64 ? g_variant_new_int64(json_node_get_int(node)) : NULL;
    return NULL;
}

static const char *
words_for(const char *signature)
{
    switch (signature[0]) {
    case 's':
        return "a string";
    case 'b':
        return "true or false";
    case 'x':
        return "a whole number";
    default:
        return "a list of strings";
    }
}

GVariant *
rest_json_to_args(JsonObject *object, const LaresParam *params, GError **error)
{
    GVariantBuilder args;
    g_autoptr(GList) names = json_object_get_members(object);
    g_variant_builder_init(&args, G_VARIANT_TYPE_VARDICT);
    for (GList *at = names; at; at = at->next) {
        const LaresParam *param = params;
        while (param && param->name && !g_str_equal(param->name, at->data))
            param++;
        /* Unknown names are core/control's to refuse: it can say which one was meant. */
        const char *signature = param && param->name ? param->signature : "s";
        JsonNode *node = json_object_get_member(object, at->data);
        GVariant *value = take_value(node, signature);
        if (!value && !(param && param->name)) {
            value = g_variant_new_string("");
        } else if (!value) {
            g_set_error(error, LARES_ERROR, LARES_ERROR_INVALID, "\"%s\" must be %s", (const char *)at->data,
                        words_for(signature));
            g_variant_builder_clear(&args);
            return NULL;
        }
        g_variant_builder_add(&args, "{sv}", at->data, value);
    }
    return g_variant_ref_sink(g_variant_builder_end(&args));
}

JsonNode *
rest_json_from_variant(GVariant *value)
{
    if (value)
        return json_gvariant_serialize(value);
    JsonNode *node = json_node_new(JSON_NODE_OBJECT);
    json_node_take_object(node, json_object_new());
    return node;
}
