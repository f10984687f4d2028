/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* login, logout and the contexts: a ticket becomes a token of a server elsewhere, kept until it ends. */
#include "ctl.h"

#include <fcntl.h>
#include <glib/gi18n.h>
#include <libsoup/soup.h>
#include <string.h>
#include <unistd.h>

static void
replace(char **text, const char *by)
{
    g_free(*text);
    *text = g_strdup(by);
}

static void
forget_token(CtlContext *context)
{
    if (context->token)
        explicit_bzero(context->token, strlen(context->token));
    g_clear_pointer(&context->token, g_free);
    g_clear_pointer(&context->token_id, g_free);
    context->expires = 0;
}

static gboolean
is_logged_in(const CtlContext *context)
{
    return context->token && context->expires > g_get_real_time() / G_USEC_PER_SEC;
}

/* ---- Showing --------------------------------------------------------------------------------------------------- */

static JsonObject *
describe(const CtlContext *c, const char *current)
{
    JsonObject *object = json_object_new();
    json_object_set_string_member(object, "name", c->name);
    json_object_set_string_member(object, "server", c->url);
    json_object_set_boolean_member(object, "current", g_strcmp0(c->name, current) == 0);
    json_object_set_boolean_member(object, "logged-in", is_logged_in(c));
    if (c->subject)
        json_object_set_string_member(object, "user", c->subject);
    if (c->rights)
        json_object_set_string_member(object, "rights", c->rights);
    if (c->token)
        json_object_set_int_member(object, "expires", c->expires);
    if (c->fingerprint)
        json_object_set_string_member(object, "fingerprint", c->fingerprint);
    return object;
}

static void
print_context(CtlCall *call, const CtlContext *context, CtlContexts *contexts)
{
    g_autofree char *current = ctl_contexts_current(contexts);
    g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
    json_node_take_object(node, describe(context, current));
    ctl_print_answer(call, node);
}

/* ---- Trust ----------------------------------------------------------------------------------------------------- */

/* One line from the terminal, as far as it fits. */
static gboolean
ask(const char *question)
{
    int tty = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    char line[64] = "";
    if (tty < 0)
        return FALSE;
    ssize_t n = write(tty, question, strlen(question)) > 0 ? read(tty, line, sizeof line - 1) : 0;
    close(tty);
    line[n > 0 ? n : 0] = '\0';
    g_strstrip(line);
    return g_ascii_strcasecmp(line, "yes") == 0 || g_str_equal(line, _("yes"));
}

static gboolean
trust_first(const char *url, const char *seen, GError **error)
{
    g_autofree char *question =
        g_strdup_printf(_("The certificate of %s is of the server's own making. Its fingerprint (SHA-256) is\n"
                          "  %s\n"
                          "and must be the one that \"laresctl status\" shows on the server. Is it? (yes or no): "),
                        url, seen);
    if (ask(question))
        return TRUE;
    g_set_error(error, CTL_ERROR, CTL_EXIT_DENIED,
                _("the certificate of %s is not trusted; its fingerprint is %s. If \"laresctl status\" shows the same "
                  "on the server, log in with --fingerprint %s"),
                url, seen, seen);
    return FALSE;
}

/* `wanted`: from the command line, or NULL. What was pinned before stays until somebody says another one. */
static gboolean
judge_certificate(CtlContext *context, const char *wanted, GError **error)
{
    g_autofree char *seen = NULL;
    gboolean trusted = FALSE;
    if (wanted)
        replace(&context->fingerprint, wanted);
    if (context->fingerprint)
        return TRUE; /* the request itself compares */
    if (!ctl_remote_look(context->url, &seen, &trusted, error))
        return FALSE;
    if (trusted)
        return TRUE;
    if (!trust_first(context->url, seen, error))
        return FALSE;
    replace(&context->fingerprint, seen);
    return TRUE;
}

/* ---- The token ------------------------------------------------------------------------------------------------- */

/* At the server. A token that it does not know any more is as good. */
static gboolean
revoke_token(const CtlContext *context, GError **error)
{
    g_autoptr(JsonObject) params = json_object_new();
    g_autoptr(GError) local = NULL;
    if (!is_logged_in(context))
        return TRUE;
    json_object_set_string_member(params, "id", context->token_id);
    guint status = 0;
    g_autoptr(JsonNode) answer = ctl_client_remote(context, "token.revoke", params, &status, NULL, &local);
    if (answer || status == SOUP_STATUS_UNAUTHORIZED || status == SOUP_STATUS_NOT_FOUND)
        return TRUE;
    g_set_error(error, CTL_ERROR, local->code,
                _("the token of %s is forgotten here, but it is good until it runs out, since the server could not be "
                  "told: %s"),
                context->name, local->message);
    return FALSE;
}

/* ---- login ----------------------------------------------------------------------------------------------------- */

/* The context to log in to: known by its address or name, or new. */
static CtlContext *
choose(CtlCall *call, CtlContexts *contexts, GError **error)
{
    const char *name = ctl_own_text(call, "name");
    g_autofree char *url = call->server ? ctl_url_of(call->server, error) : NULL;
    GError *local = NULL;
    if ((name && !ctl_context_name_ok(name, error)) || (call->server && !url))
        return NULL;
    g_autoptr(CtlContext) found =
        url ? ctl_contexts_find(contexts, url) : ctl_contexts_chosen(call, contexts, TRUE, &local);
    if (local) {
        g_propagate_error(error, local);
        return NULL;
    }
    if (!found && !url) {
        g_set_error_literal(error, CTL_ERROR, CTL_EXIT_USAGE,
                            _("say where to log in: laresctl login --server https://nas.home.lan:8749"));
        return NULL;
    }
    if (!found) {
        found = g_new0(CtlContext, 1);
        found->url = g_strdup(url);
        found->name = name ? g_strdup(name) : ctl_context_name_for(url);
    }
    if (name && !g_str_equal(name, found->name)) { /* another login to a server that is known */
        replace(&found->name, name);
        forget_token(found);
    }
    g_autoptr(CtlContext) taken = ctl_contexts_get(contexts, found->name, NULL);
    if (taken && !g_str_equal(taken->url, found->url)) {
        g_set_error(error, CTL_ERROR, CTL_EXIT_CONFLICT,
                    _("the context \"%s\" is %s: give this one another name (--name)"), taken->name, taken->url);
        return NULL;
    }
    return g_steal_pointer(&found);
}

static JsonNode *
exchange(CtlCall *call, const CtlContext *context, GError **error)
{
    g_autofree char *host = ctl_url_host(context->url);
    g_autofree char *label = g_strdup_printf("laresctl on %.64s", g_get_host_name());
    g_autoptr(CtlProof) proof = ctl_proof_new(host, error);
    if (!proof)
        return NULL;
    json_object_set_string_member(call->params, "label", label);
    return ctl_client_remote(context, "token.create", call->params, NULL, proof, error);
}

static gboolean
take_token(CtlContext *context, JsonNode *answer, GError **error)
{
    JsonObject *object = JSON_NODE_HOLDS_OBJECT(answer) ? json_node_get_object(answer) : NULL;
    const char *token = object ? json_object_get_string_member_with_default(object, "token", NULL) : NULL;
    if (!token) {
        g_set_error(error, CTL_ERROR, CTL_EXIT_FAILED, _("%s does not answer as a Lares server does"), context->url);
        return FALSE;
    }
    forget_token(context);
    context->token = g_strdup(token);
    context->token_id = g_strdup(json_object_get_string_member_with_default(object, "id", ""));
    context->expires = json_object_get_int_member_with_default(object, "expires", 0);
    replace(&context->subject, json_object_get_string_member_with_default(object, "subject", ""));
    replace(&context->rights, json_object_get_string_member_with_default(object, "scope", ""));
    return TRUE;
}

static gboolean
keep(const CtlContext *context, gboolean use, GError **error)
{
    g_autoptr(CtlContexts) contexts = ctl_contexts_open(TRUE, error);
    if (!contexts)
        return FALSE;
    ctl_contexts_put(contexts, context);
    if (use)
        ctl_contexts_set_current(contexts, context->name);
    return ctl_contexts_save(contexts, error);
}

gboolean
ctl_run_login(CtlCall *call, GError **error)
{
    const char *pin = ctl_own_text(call, "fingerprint");
    g_autofree char *wanted = pin ? ctl_fingerprint_parse(pin, error) : NULL;
    g_autoptr(CtlContexts) contexts = !pin || wanted ? ctl_contexts_open(FALSE, error) : NULL;
    g_autoptr(CtlContext) context = contexts ? choose(call, contexts, error) : NULL;
    if (!context || !judge_certificate(context, wanted, error))
        return FALSE;
    g_autoptr(CtlContext) before = ctl_contexts_get(contexts, context->name, NULL);
    g_autoptr(JsonNode) answer = exchange(call, context, error);
    if (!answer || !take_token(context, answer, error) || !keep(context, TRUE, error))
        return FALSE;
    /* One that is not needed any more; that it cannot be ended is no reason to complain. */
    if (before && is_logged_in(before) && g_str_equal(before->url, context->url))
        revoke_token(before, NULL);
    g_clear_pointer(&contexts, ctl_contexts_free);
    contexts = ctl_contexts_open(FALSE, error);
    if (!contexts)
        return FALSE;
    print_context(call, context, contexts);
    if (geteuid() == 0 && !call->json)
        g_print(_("\nRoot's commands still go to this machine's own server, unless they say --context %s.\n"),
                context->name);
    return TRUE;
}

/* ---- logout ---------------------------------------------------------------------------------------------------- */

static gboolean
log_out(const char *name, gboolean drop, GError **error)
{
    g_autoptr(CtlContexts) contexts = ctl_contexts_open(TRUE, error);
    g_autoptr(CtlContext) context = contexts ? ctl_contexts_get(contexts, name, error) : NULL;
    g_autoptr(GError) trouble = NULL;
    if (!context)
        return FALSE;
    gboolean revoked = revoke_token(context, &trouble);
    forget_token(context);
    if (drop)
        ctl_contexts_drop(contexts, name);
    else
        ctl_contexts_put(contexts, context);
    if (!ctl_contexts_save(contexts, error))
        return FALSE;
    if (!revoked)
        g_propagate_error(error, g_steal_pointer(&trouble));
    return revoked;
}

gboolean
ctl_run_logout(CtlCall *call, GError **error)
{
    g_autoptr(CtlContexts) contexts = ctl_contexts_open(FALSE, error);
    GError *local = NULL;
    if (!contexts)
        return FALSE;
    g_auto(GStrv) all = ctl_own_flag(call, "all") ? ctl_contexts_names(contexts) : NULL;
    g_autoptr(CtlContext) one = all ? NULL : ctl_contexts_chosen(call, contexts, TRUE, &local);
    g_auto(GStrv) known = ctl_contexts_names(contexts);
    if (!all && !one && !local)
        local = g_error_new_literal(CTL_ERROR, CTL_EXIT_NOT_FOUND,
                                    known[0] ? _("say which login is to end: --context NAME, or --all")
                                             : _("you are not logged in anywhere"));
    const char *only[] = {one ? one->name : NULL, NULL};
    for (const char *const *name = all ? (const char *const *)all : only; *name; name++) {
        g_autoptr(GError) trouble = NULL;
        if (log_out(*name, FALSE, &trouble))
            g_print(_("You are logged out of %s.\n"), *name);
        else if (!local)
            local = g_steal_pointer(&trouble);
    }
    if (local)
        g_propagate_error(error, local);
    return local == NULL;
}

/* ---- Contexts -------------------------------------------------------------------------------------------------- */

gboolean
ctl_run_context_list(CtlCall *call, GError **error)
{
    g_autoptr(CtlContexts) contexts = ctl_contexts_open(FALSE, error);
    if (!contexts)
        return FALSE;
    g_autofree char *current = ctl_contexts_current(contexts);
    g_auto(GStrv) names = ctl_contexts_names(contexts);
    g_autoptr(JsonNode) node = json_node_new(JSON_NODE_ARRAY);
    JsonArray *rows = json_array_new();
    for (char **n = names; *n; n++) {
        g_autoptr(CtlContext) one = ctl_contexts_get(contexts, *n, NULL);
        if (one)
            json_array_add_object_element(rows, describe(one, current));
    }
    json_node_take_array(node, rows);
    ctl_print_answer(call, node);
    return TRUE;
}

static const char *
name_of(CtlCall *call)
{
    return json_object_get_string_member(call->params, "name");
}

gboolean
ctl_run_context_show(CtlCall *call, GError **error)
{
    g_autoptr(CtlContexts) contexts = ctl_contexts_open(FALSE, error);
    g_autoptr(CtlContext) context = contexts ? ctl_contexts_get(contexts, name_of(call), error) : NULL;
    if (context)
        print_context(call, context, contexts);
    return context != NULL;
}

static void
print_done(CtlCall *call)
{
    g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
    json_node_take_object(node, json_object_new());
    ctl_print_answer(call, node);
}

gboolean
ctl_run_context_use(CtlCall *call, GError **error)
{
    g_autoptr(CtlContexts) contexts = ctl_contexts_open(TRUE, error);
    if (!contexts)
        return FALSE;
    g_autoptr(CtlContext) context =
        g_str_equal(name_of(call), "local") ? NULL : ctl_contexts_get(contexts, name_of(call), error);
    if (!context && !g_str_equal(name_of(call), "local"))
        return FALSE;
    ctl_contexts_set_current(contexts, name_of(call));
    if (!ctl_contexts_save(contexts, error))
        return FALSE;
    print_done(call);
    return TRUE;
}

gboolean
ctl_run_context_remove(CtlCall *call, GError **error)
{
    if (!log_out(name_of(call), TRUE, error))
        return FALSE;
    print_done(call);
    return TRUE;
}
