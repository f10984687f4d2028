/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands for those who watch a server: health with an exit code, metrics as a text, long lists page by page. */
#include "ctl.h"

#include <glib/gi18n.h>
#include <string.h>

gboolean
ctl_run_health(CtlCall *call, GError **error)
{
    g_autoptr(JsonNode) answer = ctl_client_call(call, call->command->verb, call->params, NULL, error);
    if (!answer)
        return FALSE;
    ctl_print_answer(call, answer);
    const char *status = json_object_get_string_member_with_default(json_node_get_object(answer), "status", "");
    if (g_str_equal(status, "ok"))
        return TRUE;
    g_set_error_literal(error, CTL_ERROR, CTL_EXIT_FAILED, _("not everything works that should"));
    return FALSE;
}

gboolean
ctl_run_metrics(CtlCall *call, GError **error)
{
    g_autoptr(JsonNode) answer = ctl_client_call(call, call->command->verb, call->params, NULL, error);
    if (!answer)
        return FALSE;
    if (call->json)
        ctl_print_json(answer);
    else
        g_print("%s", json_object_get_string_member_with_default(json_node_get_object(answer), "text", ""));
    return TRUE;
}

/* One page; its items go to the end of `all`. NULL: it failed; else the next page's beginning, "" for none. */
static char *
take_page(CtlCall *call, JsonArray *all, GError **error)
{
    g_autoptr(JsonNode) answer = ctl_client_call(call, call->command->verb, call->params, NULL, error);
    if (!answer)
        return NULL;
    JsonObject *page = json_node_get_object(answer);
    JsonArray *items = json_object_get_array_member(page, "items");
    for (guint i = 0; items && i < json_array_get_length(items); i++)
        json_array_add_element(all, json_node_copy(json_array_get_element(items, i)));
    return g_strdup(json_object_get_string_member_with_default(page, "next", ""));
}

gboolean
ctl_run_pages(CtlCall *call, GError **error)
{
    g_autoptr(JsonArray) all = json_array_new();
    g_autoptr(JsonNode) node = json_node_new(JSON_NODE_ARRAY);
    for (;;) {
        g_autofree char *next = take_page(call, all, error);
        if (!next)
            return FALSE;
        if (!*next)
            break;
        json_object_set_string_member(call->params, "after", next);
    }
    json_node_set_array(node, all);
    ctl_print_answer(call, node);
    return TRUE;
}
