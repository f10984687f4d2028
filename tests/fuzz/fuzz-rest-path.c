/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* METHOD, a blank, a path below /api/v1 and a query behind "?": the words of both are text without a NUL, and what the
 * table does not have is not found in it. */
#include "rest.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const LaresParam params[] = {
    {"name", "s", TRUE, NULL}, {"uid", "x", FALSE, NULL}, {"on", "b", FALSE, NULL}, {"sec", "as", FALSE, NULL}, {NULL}};

static void
check_words(JsonObject *words)
{
    g_autoptr(GList) names = json_object_get_members(words);
    for (GList *at = names; at; at = at->next) {
        const char *text = json_object_get_string_member(words, at->data);
        if (!text || !*text || !g_utf8_validate(text, -1, NULL))
            abort();
    }
}

static void
check_route(const char *method, const char *path)
{
    g_autoptr(JsonObject) words = NULL;
    g_autofree char *allowed = NULL;
    const RestRoute *route = rest_route_find(method, path, &words, &allowed);
    if (!route) {
        if (words || (allowed && !*allowed))
            abort();
        return;
    }
    if (!g_str_equal(route->method, method) || !words || allowed || strstr(path, "//"))
        abort();
    check_words(words);
    /* As many parts as the table has, whatever is escaped in them. */
    g_auto(GStrv) form = g_strsplit(route->path, "/", -1), parts = g_strsplit(path, "/", -1);
    if (g_strv_length(form) != g_strv_length(parts))
        abort();
}

static void
check_query(const char *text)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GHashTable) query = rest_strict_query(text, &error);
    g_autoptr(JsonObject) object = json_object_new();
    GHashTableIter iter;
    const char *name, *value;
    if (!query) {
        if (!error || !g_utf8_validate(error->message, -1, NULL))
            abort();
        return;
    }
    g_hash_table_iter_init(&iter, query);
    while (g_hash_table_iter_next(&iter, (gpointer *)&name, (gpointer *)&value)) {
        if (!*name || !g_utf8_validate(name, -1, NULL) || !g_utf8_validate(value, -1, NULL))
            abort();
        rest_json_add_word(object, params, name, value, NULL);
    }
    g_autoptr(GVariant) args = rest_json_to_args(object, params, NULL);
    if (!args || json_object_get_size(object) > 3)
        abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    char *path = strchr(text, ' ');
    if (!path)
        return 0;
    *path++ = '\0';
    char *query = strchr(path, '?');
    if (query)
        *query++ = '\0';
    check_route(text, path);
    check_query(query);
    return 0;
}
