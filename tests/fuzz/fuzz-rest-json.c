/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The body of a request, as far as the verb: what is taken can be written and read again and is the same; the verb sees
 * arguments of its types only; what is said about the rest is text that can be sent. */
#include "control/control.h"
#include "rest.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static GVariant *
take(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    g_autoptr(GVariant) name = g_variant_lookup_value(args, "name", NULL),
                        uid = g_variant_lookup_value(args, "uid", NULL);
    g_autoptr(GVariant) on = g_variant_lookup_value(args, "on", NULL), sec = g_variant_lookup_value(args, "sec", NULL);
    if (!name || !g_variant_is_of_type(name, G_VARIANT_TYPE_STRING) ||
        (uid && !g_variant_is_of_type(uid, G_VARIANT_TYPE_INT64)) ||
        (on && !g_variant_is_of_type(on, G_VARIANT_TYPE_BOOLEAN)) ||
        (sec && !g_variant_is_of_type(sec, G_VARIANT_TYPE_STRING_ARRAY)))
        abort();
    if (g_variant_n_children(args) > 4 || !g_utf8_validate(g_variant_get_string(name, NULL), -1, NULL))
        abort();
    return g_variant_ref(args);
}

static const LaresParam params[] = {{"name", "s", TRUE, "a name"},
                                    {"uid", "x", FALSE, NULL},
                                    {"on", "b", FALSE, NULL},
                                    {"sec", "as", FALSE, NULL},
                                    {NULL}};
static const LaresVerb verbs[] = {{"thing.show", LARES_RIGHT_READ, "Takes one of each", params, take}, {NULL}};

static void
check_error(GError *error)
{
    if (!error || error->domain != LARES_ERROR || !g_utf8_validate(error->message, -1, NULL))
        abort();
}

/* No argument takes one, and json-glib would write 4e65 as "4e+65.0". */
static gboolean
has_fraction(JsonNode *node)
{
    GList *values = NULL;
    gboolean found = json_node_get_value_type(node) == G_TYPE_DOUBLE;
    if (JSON_NODE_HOLDS_OBJECT(node))
        values = json_object_get_values(json_node_get_object(node));
    else if (JSON_NODE_HOLDS_ARRAY(node))
        values = json_array_get_elements(json_node_get_array(node));
    for (GList *one = values; one && !found; one = one->next)
        found = has_fraction(one->data);
    g_list_free(values);
    return found;
}

/* What was read can be written, and is then read as the same. */
static void
check_again(JsonObject *object)
{
    g_autoptr(JsonNode) node = json_node_init_object(json_node_alloc(), object);
    if (has_fraction(node))
        return;
    g_autofree char *text = json_to_string(node, FALSE);
    g_autoptr(JsonObject) again = rest_parse_object(text, strlen(text), NULL);
    if (!again || json_object_get_size(again) != json_object_get_size(object))
        abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static LaresControl *control;
    const LaresControlCaller caller = {.face = "fuzz", .subject = "nobody", .address = "unix"};
    if (!control) {
        control = lares_control_new(NULL);
        if (!lares_control_add(control, verbs, NULL, NULL))
            abort();
    }
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonObject) object = rest_parse_object((const char *)data, size, &error);
    if (!object) {
        check_error(error);
        return 0;
    }
    check_again(object);
    g_autoptr(GVariant) args = rest_json_to_args(object, params, &error);
    if (!args) {
        check_error(error);
        return 0;
    }
    g_autoptr(GVariant) result = lares_control_call(control, &caller, "thing.show", args, &error);
    if (!result)
        check_error(error);
    else
        json_node_unref(rest_json_from_variant(result));
    return 0;
}
