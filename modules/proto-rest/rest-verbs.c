/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* /api/v1/verbs: every verb of core/control under its own name. */
#include "rest.h"

#include <string.h>

typedef struct {
    SoupServerMessage *message; /* a reference */
    RestPause *pause;
} Call;

static void
on_done(GVariant *result, GError *error, gpointer user)
{
    g_autofree Call *call = user;
    if (error)
        rest_problem(call->message, error);
    else
        rest_answer(call->message, SOUP_STATUS_OK, "application/json", rest_json_from_variant(result));
    rest_pause_end(call->pause);
    g_object_unref(call->message);
}

static void
call_verb(RestServer *self, SoupServerMessage *message, const LaresControlCaller *caller, const char *name)
{
    LaresControl *control = lares_host_control(self->host);
    const LaresVerb *verb = lares_control_find(control, name);
    if (!verb) {
        g_autofree char *detail = g_strdup_printf("there is no verb \"%s\" (its module may not be loaded)", name);
        rest_problem_text(message, SOUP_STATUS_NOT_FOUND, "unknown-verb", detail);
        return;
    }
    if (!rest_has_fit_type(message))
        return;
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonObject) object = rest_read_object(message, &error);
    g_autoptr(GVariant) args = object ? rest_json_to_args(object, verb->params, &error) : NULL;
    if (!args) {
        rest_problem(message, error);
        return;
    }
    Call *call = g_new(Call, 1);
    *call = (Call){g_object_ref(message), rest_pause_begin(self, message, name)};
    lares_control_call_async(control, caller, name, args, NULL, on_done, call);
}

static gboolean
is_method(SoupServerMessage *message, const char *method)
{
    return g_str_equal(soup_server_message_get_method(message), method);
}

void
rest_verbs_handle(RestServer *self, SoupServerMessage *message)
{
    g_auto(RestCaller) who = {0};
    GUri *uri = soup_server_message_get_uri(message);
    if (!rest_caller_find(self, message, &who))
        return;
    if (g_uri_get_query(uri)) {
        rest_problem_text(message, SOUP_STATUS_BAD_REQUEST, "invalid",
                          "a verb takes its arguments in the body, as one JSON object, not in the address");
        return;
    }
    /* As it was sent: the name of no verb has letters that must be escaped. */
    const char *path = g_uri_get_path(uri), *base = "/api/v1/verbs";
    const char *name = g_str_has_prefix(path, base) ? path + strlen(base) : "/?";
    gboolean list = name[0] == '\0' || g_str_equal(name, "/");
    rest_count_other(message, list ? REST_COUNT_VERBS : REST_COUNT_VERB);
    if (list && is_method(message, "GET"))
        call_verb(self, message, &who.caller, "verb.list");
    else if (!list && name[0] == '/' && is_method(message, "POST"))
        call_verb(self, message, &who.caller, name + 1);
    else
        rest_problem_text(message, SOUP_STATUS_METHOD_NOT_ALLOWED, "method",
                          "GET /api/v1/verbs lists the verbs, POST /api/v1/verbs/NAME runs one");
}
