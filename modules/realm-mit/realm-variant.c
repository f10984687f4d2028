/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Answers of the realm in the words of the control contract: GVariant and LARES_ERROR. */
#include "realm-module.h"

GVariant *
realm_variant_object(JsonObject *object)
{
    GVariantBuilder builder;
    JsonObjectIter iter;
    const char *name;
    JsonNode *node;

    g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
    json_object_iter_init_ordered(&iter, object);
    while (json_object_iter_next_ordered(&iter, &name, &node))
        if (!JSON_NODE_HOLDS_NULL(node))
            g_variant_builder_add(&builder, "{sv}", name, realm_variant(node));
    return g_variant_builder_end(&builder);
}

GVariant *
realm_variant_array(JsonArray *array)
{
    guint n = json_array_get_length(array);
    JsonNode *first = n ? json_array_get_element(array, 0) : NULL;
    const char *type = "as";
    GVariantBuilder builder;

    if (first && JSON_NODE_HOLDS_OBJECT(first))
        type = "aa{sv}";
    else if (first && json_node_get_value_type(first) == G_TYPE_INT64)
        type = "ax";
    g_variant_builder_init(&builder, G_VARIANT_TYPE(type));
    for (guint i = 0; i < n; i++)
        g_variant_builder_add_value(&builder, realm_variant(json_array_get_element(array, i)));
    return g_variant_builder_end(&builder);
}

GVariant *
realm_variant(JsonNode *node)
{
    if (JSON_NODE_HOLDS_OBJECT(node))
        return realm_variant_object(json_node_get_object(node));
    if (JSON_NODE_HOLDS_ARRAY(node))
        return realm_variant_array(json_node_get_array(node));
    if (json_node_get_value_type(node) == G_TYPE_BOOLEAN)
        return g_variant_new_boolean(json_node_get_boolean(node));
    if (json_node_get_value_type(node) == G_TYPE_INT64)
        return g_variant_new_int64(json_node_get_int(node));
    return g_variant_new_string(json_node_get_string(node) ? json_node_get_string(node) : "");
}

void
realm_propagate(GError **error, GError *own)
{
    static const LaresError codes[] = {
        [REALM_ERROR_FAILED] = LARES_ERROR_FAILED, [REALM_ERROR_INVALID] = LARES_ERROR_INVALID,
        [REALM_ERROR_EXISTS] = LARES_ERROR_EXISTS, [REALM_ERROR_NOT_FOUND] = LARES_ERROR_NOT_FOUND,
        [REALM_ERROR_WEAK] = LARES_ERROR_INVALID,  [REALM_ERROR_BUSY] = LARES_ERROR_CONFLICT,
    };
    LaresError code = LARES_ERROR_FAILED;

    if (own->domain == REALM_ERROR && own->code >= 0 && (gsize)own->code < G_N_ELEMENTS(codes))
        code = codes[own->code];
    g_set_error_literal(error, LARES_ERROR, (int)code, own->message);
    g_error_free(own);
}
