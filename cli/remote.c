/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Requests to a server elsewhere: HTTPS, to a certificate that is the one it was at the login.
 *
 * Nothing that proves anybody (ticket, token) is sent before the certificate was judged: a pinned one by its
 * fingerprint alone, any other one as the system judges it.
 *
 * Spec: RFC 6750, RFC 9110 11. */
#include "ctl.h"

#include <glib/gi18n.h>
#include <libsoup/soup.h>
#include <string.h>

/* A realm with its first keys can take a while on a small machine; words that are being completed cannot wait. */
#define TIMEOUT_SECONDS 300
#define QUICK_SECONDS   3
#define LOOK_SECONDS    20

char *
ctl_fingerprint_parse(const char *text, GError **error)
{
    GString *out = g_string_new(NULL);
    guint n = 0;
    for (const char *p = text; *p; p++) {
        if (*p == ':' || *p == ' ')
            continue;
        if (!g_ascii_isxdigit(*p))
            break;
        g_string_append_printf(out, "%s%c", n && n % 2 == 0 ? ":" : "", g_ascii_toupper(*p));
        n++;
    }
    /* The length says whether all of it was read. */
    if (n == 64 && strspn(text, "0123456789abcdefABCDEF: ") == strlen(text))
        return g_string_free(out, FALSE);
    g_string_free(out, TRUE);
    g_set_error(error, CTL_ERROR, CTL_EXIT_USAGE,
                _("\"%s\" is not a SHA-256 fingerprint: 32 pairs of hexadecimal digits, as \"laresctl status\" shows "
                  "it on the server"),
                text);
    return NULL;
}

static char *
fingerprint_of(GTlsCertificate *certificate)
{
    g_autoptr(GByteArray) der = NULL;
    g_object_get(certificate, "certificate", &der, NULL);
    g_autofree char *sum = g_compute_checksum_for_data(G_CHECKSUM_SHA256, der->data, der->len);
    return ctl_fingerprint_parse(sum, NULL);
}

/* ---- The certificate ------------------------------------------------------------------------------------------- */

typedef struct {
    const char *pinned; /* NULL: what the system trusts */
    char *seen;         /* what was shown and not trusted */
} Judge;

/* Asked about every certificate that the system does not trust; with a pin that is every one, see session_new(). */
static gboolean
on_certificate(SoupMessage *message, GTlsCertificate *certificate, GTlsCertificateFlags errors, gpointer user)
{
    Judge *judge = user;
    g_free(judge->seen);
    judge->seen = fingerprint_of(certificate);
    if (g_strcmp0(judge->seen, judge->pinned) != 0)
        return FALSE;
    g_clear_pointer(&judge->seen, g_free);
    return TRUE;
}

static SoupSession *
session_new(const Judge *judge, guint seconds)
{
    /* No proxy: they are for the world outside, and what is managed is in the house. */
    SoupSession *session = soup_session_new_with_options("timeout", seconds, "proxy-resolver", NULL, NULL);
    soup_session_remove_feature_by_type(session, SOUP_TYPE_AUTH_MANAGER); /* who we are is said here, or not at all */
    if (judge->pinned)
        soup_session_set_tls_database(session, NULL); /* no authority vouches for another certificate */
    return session;
}

static void
set_changed(const char *url, const Judge *judge, GError **error)
{
    if (judge->pinned)
        g_set_error(error, CTL_ERROR, CTL_EXIT_DENIED,
                    _("WARNING: THE CERTIFICATE OF %s HAS CHANGED. It was %s and is %s now: somebody may be between "
                      "you and the server. Nothing was sent. If the server has a new certificate (\"laresctl status\" "
                      "there shows it), log in again with --server %s --fingerprint and what is shown there"),
                    url, judge->pinned, judge->seen, url);
    else
        g_set_error(error, CTL_ERROR, CTL_EXIT_DENIED,
                    _("WARNING: the certificate of %s is not trusted by this system any more; it is %s now. Nothing "
                      "was sent. \"laresctl login --server %s --fingerprint\" with what \"laresctl status\" shows on "
                      "the server trusts that one"),
                    url, judge->seen, url);
}

static void
set_unreachable(const char *url, const Judge *judge, const GError *cause, GError **error)
{
    g_autofree char *host = ctl_url_host(url);
    if (judge->seen)
        set_changed(url, judge, error);
    else if (cause->domain == G_RESOLVER_ERROR)
        g_set_error(error, CTL_ERROR, CTL_EXIT_UNREACHABLE, _("the name %s is not known here: %s"), host,
                    cause->message);
    else if (g_error_matches(cause, G_IO_ERROR, G_IO_ERROR_TIMED_OUT))
        g_set_error(error, CTL_ERROR, CTL_EXIT_UNREACHABLE, _("the server at %s does not answer"), url);
    else if (g_error_matches(cause, G_IO_ERROR, G_IO_ERROR_CONNECTION_REFUSED))
        g_set_error(error, CTL_ERROR, CTL_EXIT_UNREACHABLE,
                    _("no server listens at %s: does it run, and does https in its proto-rest.module name this port?"),
                    url);
    else
        g_set_error(error, CTL_ERROR, CTL_EXIT_UNREACHABLE, _("cannot talk to the server at %s: %s"), url,
                    cause->message);
}

/* ---- Requests -------------------------------------------------------------------------------------------------- */

static GBytes *
send_message(SoupMessage *message, const char *url, Judge *judge, guint seconds, GError **error)
{
    g_autoptr(SoupSession) session = session_new(judge, seconds);
    g_autoptr(GError) local = NULL;
    soup_message_add_flags(message, SOUP_MESSAGE_NO_REDIRECT);
    g_signal_connect(message, "accept-certificate", G_CALLBACK(on_certificate), judge);
    GBytes *answer = soup_session_send_and_read(session, message, NULL, &local);
    if (!answer)
        set_unreachable(url, judge, local, error);
    return answer;
}

gboolean
ctl_remote_look(const char *url, char **fingerprint, gboolean *trusted, GError **error)
{
    g_autofree char *uri = g_strconcat(url, "/api/v1/health", NULL);
    g_autoptr(SoupMessage) message = soup_message_new("GET", uri);
    g_autoptr(GError) local = NULL;
    Judge judge = {0};
    g_autoptr(GBytes) answer = send_message(message, url, &judge, LOOK_SECONDS, &local);
    *trusted = answer != NULL;
    *fingerprint = answer ? fingerprint_of(soup_message_get_tls_peer_certificate(message)) : judge.seen;
    if (*fingerprint)
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

GBytes *
ctl_remote_send(const CtlContext *context, const char *verb, GBytes *body, CtlProof *proof, gboolean quick,
                guint *status, GError **error)
{
    g_autofree char *uri = g_strdup_printf("%s/api/v1/verbs/%s", context->url, verb);
    g_autofree char *bearer = proof ? NULL : g_strconcat("Bearer ", context->token, NULL);
    g_autoptr(SoupMessage) message = soup_message_new("POST", uri);
    Judge judge = {.pinned = context->fingerprint};
    soup_message_headers_replace(soup_message_get_request_headers(message), "Authorization",
                                 proof ? ctl_proof_header(proof) : bearer);
    soup_message_set_request_body_from_bytes(message, "application/json", body);
    g_autoptr(GBytes) answer =
        send_message(message, context->url, &judge, quick ? QUICK_SECONDS : TIMEOUT_SECONDS, error);
    g_free(judge.seen);
    if (!answer)
        return NULL;
    *status = soup_message_get_status(message);
    SoupMessageHeaders *headers = soup_message_get_response_headers(message);
    /* A refused login needs no proof of who refuses it. */
    if (proof && SOUP_STATUS_IS_SUCCESSFUL(*status) &&
        !ctl_proof_check(proof, soup_message_headers_get_one(headers, "WWW-Authenticate"), error))
        return NULL;
    return g_steal_pointer(&answer);
}
