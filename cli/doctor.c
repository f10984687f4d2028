/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands that begin a work of the server and wait for its end: the doctor, and keys from a realm elsewhere. */
#include "ctl.h"

#include <glib/gi18n.h>
#include <string.h>
#include <unistd.h>

#define POLL_MS 100

static const char *
text_of(JsonObject *object, const char *key)
{
    return json_object_get_string_member_with_default(object, key, "");
}

static gint64
number_of(JsonObject *object, const char *key)
{
    return json_object_get_int_member_with_default(object, key, 0);
}

/* Runs `show` until the work is not running any more; `progress` (a member of the answer) is told on a terminal. */
static JsonNode *
wait_for_end(CtlCall *call, const char *show, const char *progress, GError **error)
{
    gboolean terminal = !call->json && isatty(STDERR_FILENO);
    g_autofree char *told = NULL;
    for (;;) {
        g_autoptr(JsonNode) answer = ctl_client_call(call, show, NULL, NULL, error);
        if (!answer)
            return NULL;
        JsonObject *object = json_node_get_object(answer);
        const char *now = progress ? text_of(object, progress) : "";
        gboolean running = g_str_equal(text_of(object, "state"), "running");
        if (terminal && progress && (!running || g_strcmp0(told, now) != 0)) {
            g_autofree char *safe = ctl_printable(now);
            g_printerr("\r\033[K%s", running ? safe : "");
            g_free(told);
            told = g_strdup(now);
        }
        if (!running)
            return g_steal_pointer(&answer);
        g_usleep(POLL_MS * 1000);
    }
}

/* ---- The doctor ------------------------------------------------------------------------------------------------ */

static const char *
severity_title(const char *severity)
{
    static const struct {
        const char *severity, *title;
    } table[] = {{"error", N_("ERROR")}, {"warning", N_("WARNING")}, {"note", N_("note")}, {"ok", N_("ok")}};
    for (guint i = 0; i < G_N_ELEMENTS(table); i++)
        if (g_str_equal(table[i].severity, severity))
            return _(table[i].title);
    return severity;
}

static void
print_finding(JsonObject *finding)
{
    g_autofree char *text = ctl_printable(text_of(finding, "text"));
    g_autofree char *remedy = ctl_printable(text_of(finding, "remedy"));
    g_print("%s  %s: %s\n", severity_title(text_of(finding, "severity")), text_of(finding, "id"), text);
    if (remedy[0])
        g_print("    -> %s\n", remedy);
}

/* What has to be done first comes last: it stands right above the prompt. */
static void
print_findings(JsonArray *findings)
{
    static const char *const order[] = {"ok", "note", "warning", "error"};
    for (guint s = 0; s < G_N_ELEMENTS(order); s++) {
        for (guint i = 0; i < json_array_get_length(findings); i++) {
            JsonObject *one = json_array_get_object_element(findings, i);
            if (g_str_equal(text_of(one, "severity"), order[s]))
                print_finding(one);
        }
    }
}

static void
print_summary(JsonObject *answer)
{
    g_print(_("\nErrors: %d, warnings: %d, notes: %d, looked at and good: %d\n"), (int)number_of(answer, "errors"),
            (int)number_of(answer, "warnings-found"), (int)number_of(answer, "notes"), (int)number_of(answer, "good"));
}

static void
tell_findings(CtlCall *call, JsonNode *answer)
{
    JsonObject *object = json_node_get_object(answer);
    if (call->json) {
        ctl_print_json(answer);
    } else {
        print_findings(json_object_get_array_member(object, "findings"));
        print_summary(object);
    }
    if (number_of(object, "errors") > 0)
        call->exit = CTL_EXIT_ERRORS;
    else if (number_of(object, "warnings-found") > 0)
        call->exit = CTL_EXIT_WARNINGS;
}

gboolean
ctl_run_doctor(CtlCall *call, GError **error)
{
    g_autoptr(JsonNode) begun = ctl_client_call(call, call->command->verb, call->params, NULL, error);
    g_autoptr(JsonNode) answer = begun ? wait_for_end(call, "doctor.show", "looking-at", error) : NULL;
    if (answer)
        tell_findings(call, answer);
    return answer != NULL;
}

gboolean
ctl_run_doctor_show(CtlCall *call, GError **error)
{
    g_autoptr(JsonNode) answer = ctl_client_call(call, "doctor.show", NULL, NULL, error);
    if (!answer)
        return FALSE;
    if (!call->json && g_str_equal(text_of(json_node_get_object(answer), "state"), "never"))
        g_print("%s\n", _("The doctor was not asked yet: \"laresctl doctor\" does."));
    else
        tell_findings(call, answer);
    return TRUE;
}

/* ---- Keys ------------------------------------------------------------------------------------------------------ */

static const char *
what_title(const char *what)
{
    static const struct {
        const char *what, *title;
    } table[] = {{"made", N_("made")},
                 {"copied", N_("keys copied")},
                 {"rotated", N_("new keys")},
                 {"kept", N_("was there")},
                 {"locked", N_("LEFT ALONE")}};
    for (guint i = 0; i < G_N_ELEMENTS(table); i++)
        if (g_str_equal(table[i].what, what))
            return _(table[i].title);
    return what;
}

static void
print_principals(JsonArray *principals)
{
    for (guint i = 0; i < json_array_get_length(principals); i++) {
        JsonObject *one = json_array_get_object_element(principals, i);
        g_autofree char *name = ctl_printable(text_of(one, "principal"));
        g_print(_("%s: %s (key version %d)\n"), name, what_title(text_of(one, "what")), (int)number_of(one, "kvno"));
    }
}

static gboolean
tell_principals(CtlCall *call, JsonNode *answer, GError **error)
{
    JsonObject *object = json_node_get_object(answer);
    const char *state = text_of(object, "state");
    if (call->json)
        ctl_print_json(answer);
    else
        print_principals(json_object_get_array_member(object, "principals"));
    if (g_str_equal(state, "failed")) {
        g_set_error_literal(error, CTL_ERROR, CTL_EXIT_FAILED, text_of(object, "error"));
        return FALSE;
    }
    if (!call->json && g_str_equal(state, "done"))
        g_print(_("The keys are in %s, and in use.\n"), text_of(object, "keytab"));
    else if (!call->json)
        g_print("%s\n", g_str_equal(state, "running") ? _("Keys are being brought.") : _("No keys were brought yet."));
    return TRUE;
}

static gboolean
init_from_realm_elsewhere(CtlCall *call, GError **error)
{
    const char *admin = text_of(call->params, "admin");
    g_autoptr(CtlSecret) secret = ctl_secret_ask(call, admin, error);
    g_autoptr(JsonNode) begun = secret ? ctl_client_call(call, "kerberos.init", call->params, secret, error) : NULL;
    g_autoptr(JsonNode) answer = begun ? wait_for_end(call, "kerberos.init.show", NULL, error) : NULL;
    if (!answer)
        return FALSE;
    return tell_principals(call, answer, error);
}

gboolean
ctl_run_kerberos_init_show(CtlCall *call, GError **error)
{
    g_autoptr(JsonNode) answer = ctl_client_call(call, "kerberos.init.show", NULL, NULL, error);
    return answer && tell_principals(call, answer, error);
}

static void
tell_keytab(CtlCall *call, JsonNode *answer)
{
    JsonObject *object = json_node_get_object(answer);
    if (call->json)
        ctl_print_json(answer);
    else if (json_object_get_boolean_member_with_default(object, "changed", FALSE))
        g_print(_("Keys were missing in %s; now it has those of all services and names of the server.\n"),
                text_of(object, "keytab"));
    else
        g_print(_("Nothing to do: %s has the keys of all services and names of the server.\n"),
                text_of(object, "keytab"));
}

static gboolean
init_from_own_realm(CtlCall *call, GError **error)
{
    g_autoptr(GError) local = NULL;
    g_autoptr(JsonNode) answer = ctl_client_call(call, "realm.keytab", NULL, NULL, &local);
    if (!answer && (g_error_matches(local, CTL_ERROR, CTL_EXIT_NOT_FOUND) ||
                    g_error_matches(local, CTL_ERROR, CTL_EXIT_UNAVAILABLE))) {
        g_set_error_literal(
            error, CTL_ERROR, CTL_EXIT_USAGE,
            _("this server has no realm of its own: make one (\"laresctl realm create HOME.LAN\"), or name an "
              "administrator of the realm that it is to use (--admin)"));
        return FALSE;
    }
    if (!answer) {
        g_propagate_error(error, g_steal_pointer(&local));
        return FALSE;
    }
    tell_keytab(call, answer);
    return TRUE;
}

gboolean
ctl_run_realm_keytab(CtlCall *call, GError **error)
{
    g_autoptr(JsonNode) answer = ctl_client_call(call, "realm.keytab", NULL, NULL, error);
    if (answer)
        tell_keytab(call, answer);
    return answer != NULL;
}

/* "nfs/nas.home.lan" and the others, as the server wants them. */
static GPtrArray *
wanted_services(JsonObject *status)
{
    static const char *const lists[] = {"found", "missing"};
    GPtrArray *names = g_ptr_array_new();
    for (guint l = 0; l < G_N_ELEMENTS(lists); l++) {
        JsonNode *node = json_object_get_member(status, lists[l]);
        JsonArray *array = node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
        for (guint i = 0; array && i < json_array_get_length(array); i++)
            g_ptr_array_add(names, (gpointer)json_array_get_string_element(array, i));
    }
    return names;
}

static gboolean
init_in_active_directory(CtlCall *call, GError **error)
{
    g_autoptr(JsonNode) answer = ctl_client_call(call, "kerberos.status", NULL, NULL, error);
    if (!answer)
        return FALSE;
    g_autoptr(GPtrArray) names = wanted_services(json_node_get_object(answer));
    g_print(_("On a Windows domain controller, with an account of the server's own (here NAS) whose attribute "
              "msDS-SupportedEncryptionTypes is 24:\n\n"));
    for (guint i = 0; i < names->len; i++)
        g_print("    setspn -S %s NAS\n", (char *)names->pdata[i]);
    g_print("    ktpass /out lares.keytab /princ %s@DOMAIN /mapuser NAS /crypto AES256-SHA1 /ptype KRB5_NT_PRINCIPAL "
            "/pass * "
            "/mapop add\n",
            names->len ? (char *)names->pdata[0] : "nfs/NAME");
    g_print(_("\nOr on a Samba domain controller:\n\n"));
    for (guint i = 0; i < names->len; i++)
        g_print("    samba-tool spn add %s NAS\n", (char *)names->pdata[i]);
    for (guint i = 0; i < names->len; i++)
        g_print("    samba-tool domain exportkeytab lares.keytab --principal=%s\n", (char *)names->pdata[i]);
    g_print(_(
        "\nThen bring lares.keytab here, owner root, mode 0600, and name it as keytab= in auth-krb5.module; \"laresctl "
        "kerberos test\" looks whether all is well.\n"));
    return TRUE;
}

gboolean
ctl_run_kerberos_init(CtlCall *call, GError **error)
{
    gboolean admin = json_object_has_member(call->params, "admin");
    if (ctl_own_flag(call, "active-directory"))
        return init_in_active_directory(call, error);
    if (admin)
        return init_from_realm_elsewhere(call, error);
    if (json_object_get_boolean_member_with_default(call->params, "rotate", FALSE)) {
        g_set_error_literal(
            error, CTL_ERROR, CTL_EXIT_USAGE,
            _("--rotate goes with --admin; the keys of the server's own realm are replaced with \"laresctl realm "
              "rotate\""));
        return FALSE;
    }
    return init_from_own_realm(call, error);
}
