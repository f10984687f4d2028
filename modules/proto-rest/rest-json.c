/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Between JSON and the GVariants of core/control. */
#include "rest.h"

#include <string.h>

/* ---- Bodies ---------------------------------------------------------------------------------------------------- */

JsonObject *
rest_parse_object(const char *text, gsize len, GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    g_autoptr(GError) local = NULL;
    guint members;
    if (len == 0)
        return json_object_new();
    if (!rest_strict_json(text, len, &members, error))
        return NULL;
    if (!json_parser_load_from_data(parser, text, (gssize)len, &local)) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_INVALID, "the body is not JSON: %s", local->message);
        return NULL;
    }
    JsonNode *root = json_parser_get_root(parser);
    if (!root || !JSON_NODE_HOLDS_OBJECT(root)) {
        g_set_error_literal(error, LARES_ERROR, LARES_ERROR_INVALID,
                            "the body must be one JSON object with the arguments");
        return NULL;
    }
    JsonObject *object = json_node_get_object(root);
    if (json_object_get_size(object) != members) {
        g_set_error_literal(error, LARES_ERROR, LARES_ERROR_INVALID, "an argument is there twice");
        return NULL;
    }
    return json_object_ref(object);
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

static gboolean
refuse(GError **error, const char *name, const char *why)
{
    g_set_error(error, LARES_ERROR, LARES_ERROR_INVALID, "\"%s\" %s", name, why);
    return FALSE;
}

gboolean
rest_json_add_word(JsonObject *object, const LaresParam *params, const char *name, const char *text, GError **error)
{
    const LaresParam *p = params;
    gint64 number;
    while (p && p->name && !g_str_equal(p->name, name))
        p++;
    if (!p || !p->name)
        return refuse(error, name, "is no parameter here");
    if (json_object_has_member(object, name))
        return refuse(error, name, "is there twice: in the path or query, and in the body");
    if (g_str_equal(p->signature, "x")) {
        if (!rest_strict_number(text, &number))
            return refuse(error, name, "must be a whole number");
        json_object_set_int_member(object, name, number);
    } else if (g_str_equal(p->signature, "b")) {
        if (!g_str_equal(text, "true") && !g_str_equal(text, "false"))
            return refuse(error, name, "must be true or false");
        json_object_set_boolean_member(object, name, text[0] == 't');
    } else if (g_str_equal(p->signature, "s")) {
        json_object_set_string_member(object, name, text);
    } else {
        return refuse(error, name, "cannot stand in the address");
    }
    return TRUE;
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
