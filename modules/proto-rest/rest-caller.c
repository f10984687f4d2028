/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who asks: the control socket's peer, a ticket (HTTP Negotiate) or a bearer token.
 *
 * Each request proves its caller by itself: a connection is never trusted for what an earlier request on it proved,
 * because a proxy may carry several people on one.
 *
 * Spec: RFC 4559, RFC 6750, RFC 9110 11. */
#include "rest.h"

#include <string.h>

/* [MS-KILE] allows AP-REQs of 64 KiB. */
#define MAX_TOKEN (64 * 1024)

static void
challenge(SoupServerMessage *message, GBytes *token)
{
    SoupMessageHeaders *headers = soup_server_message_get_response_headers(message);
    g_autofree char *text = NULL;
    if (token) {
        gsize len;
        const guchar *bytes = g_bytes_get_data(token, &len);
        g_autofree char *letters = g_base64_encode(bytes, len);
        text = g_strconcat("Negotiate ", letters, NULL);
    }
    soup_message_headers_append(headers, "WWW-Authenticate", text ? text : "Negotiate");
}

static void
unauthorized(SoupServerMessage *message, const char *code, const char *detail)
{
    SoupMessageHeaders *headers = soup_server_message_get_response_headers(message);
    rest_problem_text(message, SOUP_STATUS_UNAUTHORIZED, code, detail);
    soup_message_headers_append(headers, "WWW-Authenticate", "Bearer realm=\"lares\"");
}

void
rest_caller_challenge(SoupServerMessage *message)
{
    soup_message_headers_remove(soup_server_message_get_response_headers(message), "WWW-Authenticate");
    challenge(message, NULL);
    soup_message_headers_append(soup_server_message_get_response_headers(message), "WWW-Authenticate",
                                "Bearer realm=\"lares\"");
}

/* The credentials of one scheme; the header may come once only. */
static const char *
credentials(SoupServerMessage *message, const char *scheme)
{
    SoupMessageHeaders *headers = soup_server_message_get_request_headers(message);
    const char *value = soup_message_headers_get_one(headers, "Authorization");
    size_t n = strlen(scheme);
    if (!value || g_ascii_strncasecmp(value, scheme, n) != 0 || value[n] != ' ')
        return NULL;
    value += n;
    while (*value == ' ')
        value++;
    return value;
}

/* ---- Tickets --------------------------------------------------------------------------------------------------- */

static gboolean
flavor_allowed(RestServer *self, const LaresFlavor *flavor)
{
    return flavor && flavor->protection >= LARES_PROTECT_AUTHENTICATED &&
           g_strv_contains(lares_settings_list(self->settings, "sec"), flavor->name);
}

static gboolean
logged_in(RestServer *self, SoupServerMessage *message, LaresAuthContext *login, RestVisit *visit, RestCaller *who)
{
    const LaresFlavor *flavor = lares_spnego_flavor(login);
    const LaresAuthPeer *peer = lares_auth_context_get_peer(login);
    gint64 expiry = lares_auth_context_get_expiry(login);
    if (!flavor_allowed(self, flavor)) {
        lares_auth_refused_as(flavor ? flavor->name : "spnego", "http", &visit->peer, peer ? peer->principal : NULL,
                              LARES_REFUSED_POLICY, "this way to log in is not among those that REST accepts (sec)");
        rest_problem_text(message, SOUP_STATUS_FORBIDDEN, "denied", "this way to log in is not accepted here");
        return FALSE;
    }
    if (lares_auth_login(self->host, login, flavor, "http", &visit->peer, &who->identity) != LARES_OK) {
        rest_problem_text(message, SOUP_STATUS_FORBIDDEN, "denied", "you may not use this server");
        return FALSE;
    }
    who->subject = g_strdup(who->identity->principal ? who->identity->principal : who->identity->name);
    who->caller = (LaresControlCaller){.face = "rest",
                                       .subject = who->subject,
                                       .address = visit->peer.address,
                                       .identity = who->identity,
                                       .expires = expiry == G_MAXINT64 ? 0 : expiry};
    if (lares_control_rights(lares_host_control(self->host), who->identity, &who->caller.rights))
        return TRUE;
    g_autofree char *detail = g_strdup_printf("%s may not manage this server; an administrator can add the user \"%s\" "
                                              "to admins, operators or readers of [control] in lares.conf",
                                              who->subject, who->identity->name);
    rest_problem_text(message, SOUP_STATUS_FORBIDDEN, "denied", detail);
    return FALSE;
}

static gboolean
by_ticket(RestServer *self, SoupServerMessage *message, RestVisit *visit, const char *letters, RestCaller *who)
{
    gsize len = 0;
    g_autofree guchar *token = g_base64_decode(letters, &len);
    g_autoptr(LaresAuthContext) login = g_steal_pointer(&visit->login);
    g_autoptr(GBytes) answer = NULL;
    g_autofree char *reason = NULL;
    if (len == 0 || len > MAX_TOKEN) {
        unauthorized(message, "bad-token", "the Negotiate token cannot be read");
        return FALSE;
    }
    if (!login)
        login = lares_spnego_accept(self->host, "HTTP", &visit->peer);
    LaresAuthState state = lares_auth_context_step(login, token, len, &answer, &reason);
    if (state == LARES_AUTH_ESTABLISHED) {
        if (answer)
            challenge(message, answer);
        return logged_in(self, message, login, visit, who);
    }
    if (state == LARES_AUTH_CONTINUE) {
        challenge(message, answer);
        rest_problem_text(message, SOUP_STATUS_UNAUTHORIZED, "continue", "the login goes on");
        visit->login = g_steal_pointer(&login);
        return FALSE;
    }
    lares_auth_refused_as("spnego", "http", &visit->peer, NULL, lares_auth_context_get_refused(login),
                          reason ? reason : "the login failed");
    challenge(message, answer);
    unauthorized(message, "login-failed",
                 "the server could not accept this ticket; its log says why (on the client, klist shows the ticket)");
    return FALSE;
}

/* ---- Tokens ---------------------------------------------------------------------------------------------------- */

static gboolean
by_token(RestServer *self, SoupServerMessage *message, RestVisit *visit, const char *token, RestCaller *who)
{
    if (!lares_control_check_token(lares_host_control(self->host), token, &who->proof)) {
        SoupMessageHeaders *headers = soup_server_message_get_response_headers(message);
        lares_auth_refused_as("token", "http", &visit->peer, NULL, LARES_REFUSED_CREDENTIAL,
                              "the bearer token is unknown, expired or revoked");
        rest_problem_text(message, SOUP_STATUS_UNAUTHORIZED, "invalid-token",
                          "the bearer token is unknown, expired or revoked; log in again");
        soup_message_headers_append(headers, "WWW-Authenticate", "Bearer realm=\"lares\", error=\"invalid_token\"");
        return FALSE;
    }
    lares_auth_count_accepted("token", "http");
    who->caller = (LaresControlCaller){.face = "rest",
                                       .subject = who->proof.subject,
                                       .address = visit->peer.address,
                                       .rights = who->proof.rights,
                                       .identity = who->proof.identity,
                                       .expires = who->proof.expires,
                                       .token = who->proof.id};
    return TRUE;
}

/* ---- Everybody ------------------------------------------------------------------------------------------------- */

/* A browser sends a ticket by itself, also for a page of somebody else's: such a request says where it comes from. */
static gboolean
is_foreign(SoupServerMessage *message)
{
    SoupMessageHeaders *headers = soup_server_message_get_request_headers(message);
    g_autofree char *origin = g_strdup(soup_message_headers_get_list(headers, "Origin"));
    g_autofree char *site = g_strdup(soup_message_headers_get_list(headers, "Sec-Fetch-Site"));
    g_autofree char *host = g_strdup(soup_message_headers_get_list(headers, "Host"));
    if (site && !g_str_equal(site, "same-origin") && !g_str_equal(site, "none"))
        return TRUE;
    if (!origin)
        return FALSE;
    const char *authority = strstr(origin, "://");
    return !authority || !host || g_ascii_strcasecmp(authority + 3, host) != 0;
}

static gboolean
is_own_name(LaresHost *host, const char *text)
{
    g_autofree char *name = g_strdup(text);
    size_t len = strlen(name);
    if (len && name[len - 1] == '.')
        name[len - 1] = '\0';
    if (g_hostname_is_ip_address(name))
        return TRUE;
    for (const char *const *alias = lares_host_aliases(host); *alias; alias++) {
        size_t first = strcspn(*alias, ".");
        if (g_ascii_strcasecmp(*alias, name) == 0 ||
            (strlen(name) == first && g_ascii_strncasecmp(*alias, name, first) == 0))
            return TRUE;
    }
    return g_ascii_strcasecmp(name, "localhost") == 0;
}

/* Without TLS nothing but the name tells a browser whose page it shows: a name of somebody else's that was made to lead
 * here (DNS rebinding) would make this server a part of their site. A number cannot be made to lead elsewhere. */
static gboolean
is_asked_for(RestServer *self, SoupServerMessage *message, const RestVisit *visit)
{
    SoupMessageHeaders *headers = soup_server_message_get_request_headers(message);
    const char *host = soup_message_headers_get_list(headers, "Host");
    const char *target = g_uri_get_host(soup_server_message_get_uri(message)); /* its authority, RFC 9112 3.2.2 */
    if (visit->tls || !host)
        return TRUE; /* HTTP/1.0 without a name is no browser's */
    g_autofree char *name =
        host[0] == '[' ? g_strndup(host + 1, strcspn(host + 1, "]")) : g_strndup(host, strcspn(host, ":"));
    return is_own_name(self->host, name) && target && is_own_name(self->host, target);
}

gboolean
rest_caller_find(RestServer *self, SoupServerMessage *message, RestCaller *who)
{
    RestVisit *visit = rest_remote_visit(message);
    const char *value;
    if (!visit) {
        gboolean known = rest_socket_caller(self, message, &who->caller);
        who->subject = (char *)who->caller.subject;
        if (!known)
            rest_problem_text(message, SOUP_STATUS_FORBIDDEN, "denied",
                              "only root, the server's own user and members of the admin-group may manage the server");
        return known;
    }
    if (is_foreign(message)) {
        rest_problem_text(message, SOUP_STATUS_FORBIDDEN, "cross-origin", "requests of other sites are not accepted");
        return FALSE;
    }
    if (!is_asked_for(self, message, visit)) {
        rest_problem_text(message, SOUP_STATUS_MISDIRECTED_REQUEST, "misdirected",
                          "this is not a server of that name: use one of its own names (aliases in lares.conf), its "
                          "address, or https");
        return FALSE;
    }
    if ((value = credentials(message, "Bearer")))
        return by_token(self, message, visit, value, who);
    if ((value = credentials(message, "Negotiate")))
        return by_ticket(self, message, visit, value, who);
    rest_problem_text(message, SOUP_STATUS_UNAUTHORIZED, "login",
                      "log in: with a ticket (Negotiate) or a bearer token");
    rest_caller_challenge(message);
    return FALSE;
}

void
rest_caller_clear(RestCaller *who)
{
    lares_token_proof_clear(&who->proof);
    g_clear_pointer(&who->identity, lares_identity_unref);
    g_clear_pointer(&who->subject, g_free);
}
