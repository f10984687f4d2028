/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The daemon's end of the helper's protocol (helper/helper.h): one request, one answer.
 */
#include "realm.h"

#include <string.h>

JsonArray *
realm_json_strv(const char *const *strv)
{
    JsonArray *array = json_array_new();

    for (; strv && *strv; strv++)
        json_array_add_string_element(array, *strv);
    return array;
}

static char *
compose(const RealmConf *conf, const char *op, JsonObject *args, const char *secret, gsize *length)
{
    g_autoptr(JsonGenerator) generator = json_generator_new();
    g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
    JsonObject *root = json_object_new();
    g_autofree char *line = NULL;
    gsize head, tail = secret ? strlen(secret) : 0;
    char *text;

    json_object_set_string_member(root, "op", op);
    json_object_set_string_member(root, "realm", conf->name);
    json_object_set_string_member(root, "dir", conf->dir);
    if (args)
        json_object_set_object_member(root, "args", args);
    json_node_take_object(node, root);
    json_generator_set_root(generator, node);
    line = json_generator_to_data(generator, &head);
    text = g_malloc(head + 1 + tail + 1);
    memcpy(text, line, head);
    text[head] = '\n';
    memcpy(text + head + 1, secret ? secret : "", tail + 1);
    *length = head + 1 + tail;
    return text;
}

static JsonObject *
understand(const GString *answer, GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    JsonNode *root;
    JsonObject *object;

    if (!json_parser_load_from_data(parser, answer->str, (gssize)answer->len, error))
        return NULL;
    root = json_parser_get_root(parser);
    object = root && JSON_NODE_HOLDS_OBJECT(root) ? json_node_get_object(root) : NULL;
    if (object && json_object_get_boolean_member_with_default(object, "ok", FALSE) &&
        json_object_has_member(object, "result"))
        return json_object_ref(json_object_get_object_member(object, "result"));
    g_set_error_literal(error, REALM_ERROR,
                        object ? (int)json_object_get_int_member_with_default(object, "code", REALM_ERROR_FAILED)
                               : REALM_ERROR_FAILED,
                        object ? json_object_get_string_member_with_default(object, "message", "no answer")
                               : "the realm helper gave no answer");
    return NULL;
}

JsonObject *
realm_admin_call(const RealmConf *conf, const RealmPrograms *programs, const char *op, JsonObject *args,
                 const char *secret, GError **error)
{
    /* The variable serves runs from a build tree. */
    const char *fallback = realm_program(g_getenv("LARES_REALM_HELPER"), LARES_REALM_HELPER);
    const char *helper = realm_program(programs ? programs->helper : NULL, fallback);
    const char *const argv[] = {helper, NULL};
    g_auto(GStrv) env = realm_conf_environ(conf);
    g_autoptr(GError) local = NULL;
    GString *answer = NULL;
    JsonObject *result = NULL;
    gsize length;
    char *request;

    request = compose(conf, op, args, secret, &length);
    if (realm_spawn(argv, env, request, length, FALSE, &answer, &local)) {
        result = understand(answer, &local);
        realm_wipe_string(answer);
    }
    explicit_bzero(request, length);
    g_free(request);
    if (result)
        return result;
    if (local->domain == REALM_ERROR)
        g_propagate_error(error, g_steal_pointer(&local));
    else
        g_set_error(error, REALM_ERROR, REALM_ERROR_FAILED, "the realm helper: %s", local->message);
    return NULL;
}
