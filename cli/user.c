/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands about people that do more than call one verb: passwords, and what becomes of a principal. */
#include "ctl.h"

#include <glib/gi18n.h>

static const char *
name_of(CtlCall *call)
{
    return json_object_get_string_member(call->params, "name");
}

static JsonObject *
named(const char *name)
{
    JsonObject *params = json_object_new();
    json_object_set_string_member(params, "name", name);
    return params;
}

void
ctl_tell_password(CtlCall *call, const char *name, const CtlSecret *secret, JsonObject *into)
{
    if (call->json)
        json_object_set_string_member(into, "password", secret->text);
    else
        g_print(_("The password of %s is: %s\n"), name, secret->text);
}

static void
print_object(JsonObject *object)
{
    g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
    json_node_set_object(node, object);
    ctl_print_json(node);
}

/* The command's verb with a password; `said`: the line for people, with the name in it. */
static gboolean
call_with_password(CtlCall *call, const char *said, GError **error)
{
    gboolean generated = FALSE;
    const char *name = name_of(call);
    g_autoptr(CtlSecret) secret = ctl_secret_obtain(call, name, &generated, error);
    g_autoptr(JsonObject) out = named(name);
    if (!secret)
        return FALSE;
    g_autoptr(JsonNode) answer = ctl_client_call(call, call->command->verb, call->params, secret, error);
    if (!answer)
        return FALSE;
    if (!call->json)
        g_print(said, name);
    if (generated)
        ctl_tell_password(call, name, secret, out);
    if (call->json)
        print_object(out);
    return TRUE;
}

gboolean
ctl_run_realm_user_add(CtlCall *call, GError **error)
{
    return call_with_password(call, _("%s can get tickets now.\n"), error);
}

gboolean
ctl_run_user_passwd(CtlCall *call, GError **error)
{
    return call_with_password(call, _("The password of %s is changed.\n"), error);
}

/* The password is NTLM's own: the realm never tells anybody the one it has. */
gboolean
ctl_run_user_ntlm_enable(CtlCall *call, GError **error)
{
    return call_with_password(call, _("%s can log in by NTLM now, to shares whose list has ntlm.\n"), error);
}

/* Without a word about a password there is none. */
gboolean
ctl_run_user_add(CtlCall *call, GError **error)
{
    gboolean generated = FALSE;
    const char *name = name_of(call);
    g_autoptr(CtlSecret) secret = NULL;
    if (ctl_secret_wanted(call) && !(secret = ctl_secret_obtain(call, name, &generated, error)))
        return FALSE;
    g_autoptr(JsonNode) answer = ctl_client_call(call, "user.add", call->params, secret, error);
    if (!answer)
        return FALSE;
    if (generated && call->json)
        ctl_tell_password(call, name, secret, json_node_get_object(answer));
    ctl_print_answer(call, answer);
    if (secret && !call->json)
        g_print(_("%s can get tickets now.\n"), name);
    if (generated && !call->json)
        ctl_tell_password(call, name, secret, NULL);
    return TRUE;
}

gboolean
ctl_run_user_delete(CtlCall *call, GError **error)
{
    g_autoptr(JsonNode) answer = ctl_client_call(call, "user.delete", call->params, NULL, error);
    if (!answer)
        return FALSE;
    JsonObject *object = json_node_get_object(answer);
    const char *name = name_of(call);
    const char *principal = json_object_get_string_member_with_default(object, "principal", NULL);
    if (call->json) {
        ctl_print_json(answer);
        return TRUE;
    }
    g_print(_("%s is removed from the directory.\n"), name);
    if (principal && json_object_get_boolean_member_with_default(object, "principal-removed", FALSE))
        g_print(_("%s gets no more tickets.\n"), principal);
    else if (principal)
        g_print(_("%s stays in the realm: the next login makes the user anew, with the same number. \"laresctl realm "
                  "user remove %s\" removes it.\n"),
                principal, name);
    return TRUE;
}
