/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* HTTP with JSON to the server's control socket, or to a server elsewhere (remote.c); its problem details become errors
 * with exit codes.
 *
 * Spec: RFC 9457. */
#include "ctl.h"

#include <gio/gunixsocketaddress.h>
#include <glib/gi18n.h>
#include <lares-config.h>
#include <libsoup/soup.h>
#include <string.h>

/* A realm with its first keys can take a while on a small machine. */
#define TIMEOUT_SECONDS 300
/* Every byte of a password as \u00XX, and the name in front. */
#define SECRET_ROOM (sizeof(((CtlSecret *)NULL)->text) * 6 + 64)

const char *
ctl_socket(const CtlCall *call)
{
    const char *named = g_getenv("LARES_SOCKET");
    if (call->socket)
        return call->socket;
    return named && named[0] ? named : LARES_RUN_DIR "/control.sock";
}

/* ---- The body -------------------------------------------------------------------------------------------------- */

typedef struct {
    char *text;
    size_t length;
} Body;

static void
body_free(gpointer data)
{
    Body *body = data;
    explicit_bzero(body->text, body->length);
    g_free(body->text);
    g_free(body);
}

static char *
put_escaped(char *to, const CtlSecret *secret)
{
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < secret->length; i++) {
        guchar c = (guchar)secret->text[i];
        if (c == '"' || c == '\\') {
            *to++ = '\\';
            *to++ = (char)c;
        } else if (c < 0x20) {
            memcpy(to, "\\u00", 4);
            to[4] = hex[c >> 4];
            to[5] = hex[c & 15];
            to += 6;
        } else {
            *to++ = (char)c;
        }
    }
    return to;
}

/* The password is put in by hand, at once in its place: JSON-GLib would leave copies behind. */
static GBytes *
make_body(JsonObject *params, const CtlSecret *secret)
{
    g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
    g_autoptr(JsonObject) empty = params ? NULL : json_object_new();
    Body *body = g_new0(Body, 1);
    json_node_set_object(node, params ? params : empty);
    g_autofree char *text = json_to_string(node, FALSE);
    size_t n = strlen(text);
    body->text = g_malloc0(n + SECRET_ROOM);
    memcpy(body->text, text, n);
    if (secret) {
        char *to = body->text + n - 1;
        if (n > 2)
            *to++ = ',';
        to = stpcpy(to, "\"password\":\"");
        to = put_escaped(to, secret);
        to = stpcpy(to, "\"}");
        n = (size_t)(to - body->text);
    }
    body->length = n;
    return g_bytes_new_with_free_func(body->text, n, body_free, body);
}

/* ---- Errors ---------------------------------------------------------------------------------------------------- */

static void
set_unreachable(const char *path, const GError *cause, GError **error)
{
    if (g_error_matches(cause, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED))
        g_set_error(error, CTL_ERROR, CTL_EXIT_DENIED,
                    _("you may not use the control socket %s; run laresctl as root (sudo) or as the server's own user"),
                    path);
    else if (g_error_matches(cause, G_IO_ERROR, G_IO_ERROR_TIMED_OUT))
        g_set_error(error, CTL_ERROR, CTL_EXIT_UNREACHABLE, _("the server at %s does not answer"), path);
    else if (g_error_matches(cause, G_IO_ERROR, G_IO_ERROR_NOT_FOUND) ||
             g_error_matches(cause, G_IO_ERROR, G_IO_ERROR_CONNECTION_REFUSED))
        g_set_error(
            error, CTL_ERROR, CTL_EXIT_UNREACHABLE,
            _("no server listens on %s; start it (\"systemctl start laresd\", or run \"laresd\"), or name another "
              "socket with --socket PATH"),
            path);
    else
        g_set_error(error, CTL_ERROR, CTL_EXIT_UNREACHABLE, _("cannot talk to the server at %s: %s"), path,
                    cause->message);
}

static int
exit_for(const char *code, guint status)
{
    static const struct {
        const char *code;
        int exit;
    } table[] = {
        {"invalid", CTL_EXIT_USAGE},
        {"not-found", CTL_EXIT_NOT_FOUND},
        {"denied", CTL_EXIT_DENIED},
        {"exists", CTL_EXIT_CONFLICT},
        {"conflict", CTL_EXIT_CONFLICT},
        {"unavailable", CTL_EXIT_UNAVAILABLE},
        {"unknown-verb", CTL_EXIT_UNAVAILABLE},
    };
    for (guint i = 0; i < G_N_ELEMENTS(table); i++)
        if (g_str_equal(table[i].code, code))
            return table[i].exit;
    return status == SOUP_STATUS_UNAUTHORIZED || status == SOUP_STATUS_FORBIDDEN ? CTL_EXIT_DENIED : CTL_EXIT_FAILED;
}

static void
set_problem(JsonNode *root, const char *verb, guint status, GError **error)
{
    JsonObject *problem = root && JSON_NODE_HOLDS_OBJECT(root) ? json_node_get_object(root) : NULL;
    const char *code = problem ? json_object_get_string_member_with_default(problem, "code", "") : "";
    const char *detail = problem ? json_object_get_string_member_with_default(problem, "detail", NULL) : NULL;
    if (g_str_equal(code, "unknown-verb"))
        g_set_error(error, CTL_ERROR, CTL_EXIT_UNAVAILABLE,
                    _("the server does not offer \"%s\": its module is not loaded; see \"laresctl module list\""),
                    verb);
    else if (detail)
        g_set_error_literal(error, CTL_ERROR, exit_for(code, status), detail);
    else
        g_set_error(error, CTL_ERROR, CTL_EXIT_FAILED, _("the server answered \"%s\" with HTTP status %u"), verb,
                    status);
}

/* ---- The call -------------------------------------------------------------------------------------------------- */

static void
wipe(GBytes *bytes)
{
    size_t length;
    char *data = g_bytes_unref_to_data(bytes, &length);
    if (data)
        explicit_bzero(data, length);
    g_free(data);
}

static GBytes *
send_local(CtlCall *call, const char *verb, GBytes *body, guint *status, GError **error)
{
    const char *path = ctl_socket(call);
    g_autoptr(GSocketAddress) address = g_unix_socket_address_new(path);
    g_autoptr(SoupSession) session =
        soup_session_new_with_options("remote-connectable", address, "timeout", TIMEOUT_SECONDS, NULL);
    g_autofree char *uri = g_strdup_printf("http://localhost/api/v1/verbs/%s", verb);
    g_autoptr(SoupMessage) message = soup_message_new("POST", uri);
    g_autoptr(GError) local = NULL;
    soup_message_set_request_body_from_bytes(message, "application/json", body);
    GBytes *answer = soup_session_send_and_read(session, message, NULL, &local);
    if (!answer) {
        set_unreachable(path, local, error);
        return NULL;
    }
    *status = soup_message_get_status(message);
    return answer;
}

/* Takes `answer`. */
static JsonNode *
read_answer(GBytes *answer, const char *verb, guint status, GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    gsize length;
    const char *data = g_bytes_get_data(answer, &length);
    gboolean parsed = json_parser_load_from_data(parser, data ? data : "", (gssize)length, NULL);
    JsonNode *root = parsed ? json_parser_steal_root(parser) : NULL;
    wipe(answer);
    if (root && SOUP_STATUS_IS_SUCCESSFUL(status))
        return root;
    set_problem(root, verb, status, error);
    g_clear_pointer(&root, json_node_unref);
    return NULL;
}

static JsonNode *
call_remote(const CtlContext *context, const char *verb, GBytes *body, CtlProof *proof, gboolean quick, guint *status,
            GError **error)
{
    GBytes *answer = ctl_remote_send(context, verb, body, proof, quick, status, error);
    if (!answer)
        return NULL;
    if (*status == SOUP_STATUS_UNAUTHORIZED && !proof) {
        wipe(answer);
        ctl_set_logged_out(context, error);
        return NULL;
    }
    return read_answer(answer, verb, *status, error);
}

JsonNode *
ctl_client_remote(const CtlContext *context, const char *verb, JsonObject *params, guint *status, CtlProof *proof,
                  GError **error)
{
    GBytes *body = make_body(params, NULL);
    guint own = 0;
    JsonNode *root = call_remote(context, verb, body, proof, FALSE, status ? status : &own, error);
    g_bytes_unref(body);
    return root;
}

JsonNode *
ctl_client_call(CtlCall *call, const char *verb, JsonObject *params, const CtlSecret *secret, GError **error)
{
    g_autoptr(CtlContext) context = NULL;
    guint status = 0;
    if (!ctl_target(call, &context, error))
        return NULL;
    if (context && call->relative) {
        g_set_error(error, CTL_ERROR, CTL_EXIT_USAGE, _("the folder is one of the server %s: give its full path there"),
                    context->url);
        return NULL;
    }
    g_autoptr(GBytes) body = make_body(params, secret);
    if (context)
        return call_remote(context, verb, body, NULL, call->quick, &status, error);
    GBytes *answer = send_local(call, verb, body, &status, error);
    return answer ? read_answer(answer, verb, status, error) : NULL;
}
