/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A ticket as the proof of one HTTP request, and the server's proof in its answer.
 *
 * By GSSAPI itself and not by libsoup's own Negotiate: that one says nothing about what is wrong with the ticket, and
 * goes on when the server has not proven itself.
 *
 * Spec: RFC 4559, RFC 4178, RFC 2744. */
#include "ctl.h"

#include <glib/gi18n.h>
#include <string.h>

#ifdef HAVE_GSSAPI

#include <gssapi/gssapi.h>

/* 1.3.6.1.5.5.2 (RFC 4178) and 1.2.840.113554.1.2.2 (RFC 4121). */
static const gss_OID_desc spnego = {6, (void *)"\x2b\x06\x01\x05\x05\x02"};
static const gss_OID_desc krb5 = {9, (void *)"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02"};

struct _CtlProof {
    gss_ctx_id_t context;
    gss_name_t name;
    char *host;
    char *header;
    gboolean done;
};

void
ctl_proof_free(CtlProof *self)
{
    OM_uint32 minor;
    if (!self)
        return;
    if (self->context)
        gss_delete_sec_context(&minor, &self->context, GSS_C_NO_BUFFER);
    if (self->name)
        gss_release_name(&minor, &self->name);
    g_free(self->host);
    g_free(self->header);
    g_free(self);
}

/* What the mechanism says, or else what GSSAPI does: the former is the cause. */
static char *
words_of(OM_uint32 major, OM_uint32 minor, const gss_OID_desc *mech)
{
    OM_uint32 ignored, more = 0;
    gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
    gboolean general = minor == 0;
    if (GSS_ERROR(gss_display_status(&ignored, general ? major : minor, general ? GSS_C_GSS_CODE : GSS_C_MECH_CODE,
                                     (gss_OID)mech, &more, &text)))
        return g_strdup_printf("GSSAPI %u, %u", major, minor);
    char *words = g_strndup(text.value, text.length);
    gss_release_buffer(&ignored, &text);
    return words;
}

/* Whether there is a ticket at all: SPNEGO's own words for that would be about mechanisms. */
static gboolean
have_ticket(GError **error)
{
    gss_OID_set_desc only = {1, (gss_OID)&krb5};
    gss_cred_id_t found = GSS_C_NO_CREDENTIAL;
    OM_uint32 minor, ignored, seconds = 0;
    OM_uint32 major =
        gss_acquire_cred(&minor, GSS_C_NO_NAME, GSS_C_INDEFINITE, &only, GSS_C_INITIATE, &found, NULL, NULL);
    if (!GSS_ERROR(major)) /* only now the cache is looked into */
        major = gss_inquire_cred(&minor, found, NULL, &seconds, NULL, NULL);
    if (found)
        gss_release_cred(&ignored, &found);
    if (!GSS_ERROR(major) && seconds > 0)
        return TRUE;
    if (major == GSS_S_CREDENTIALS_EXPIRED || !GSS_ERROR(major)) {
        g_set_error_literal(error, CTL_ERROR, CTL_EXIT_DENIED,
                            _("your ticket has ended: run \"kinit\" for a new one, then log in again"));
        return FALSE;
    }
    g_autofree char *words = words_of(major, minor, &krb5);
    g_set_error(error, CTL_ERROR, CTL_EXIT_DENIED,
                _("you have no ticket: run \"kinit USER@REALM\", then log in again (%s)"), words);
    return FALSE;
}

static gboolean
step(CtlProof *self, gss_buffer_desc *in, gss_buffer_desc *out, GError **error)
{
    OM_uint32 minor, flags = 0;
    OM_uint32 major = gss_init_sec_context(&minor, GSS_C_NO_CREDENTIAL, &self->context, self->name, (gss_OID)&spnego,
                                           GSS_C_MUTUAL_FLAG, GSS_C_INDEFINITE, GSS_C_NO_CHANNEL_BINDINGS, in, NULL,
                                           out, &flags, NULL);
    self->done = major == GSS_S_COMPLETE && flags & GSS_C_MUTUAL_FLAG;
    if (!GSS_ERROR(major))
        return TRUE;
    g_autofree char *words = words_of(major, minor, &spnego);
    if (in)
        g_set_error(error, CTL_ERROR, CTL_EXIT_DENIED, _("%s did not prove that it is the server it says it is: %s"),
                    self->host, words);
    else
        g_set_error(error, CTL_ERROR, CTL_EXIT_DENIED,
                    _("your ticket is not good for HTTP/%s: %s; \"klist\" shows the ticket, \"kinit USER@REALM\" gets "
                      "one of the server's realm, and the server must be called by the name that its realm knows"),
                    self->host, words);
    return FALSE;
}

CtlProof *
ctl_proof_new(const char *host, GError **error)
{
    g_autoptr(CtlProof) self = g_new0(CtlProof, 1);
    g_autofree char *service = g_strconcat("HTTP@", host, NULL);
    gss_buffer_desc text = {strlen(service), service}, out = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor;
    self->host = g_strdup(host);
    if (!have_ticket(error))
        return NULL;
    if (GSS_ERROR(gss_import_name(&minor, &text, GSS_C_NT_HOSTBASED_SERVICE, &self->name))) {
        g_set_error(error, CTL_ERROR, CTL_EXIT_USAGE, _("\"%s\" is not a name that Kerberos knows"), host);
        return NULL;
    }
    if (!step(self, NULL, &out, error))
        return NULL;
    g_autofree char *letters = g_base64_encode(out.value, out.length);
    self->header = g_strconcat("Negotiate ", letters, NULL);
    gss_release_buffer(&minor, &out);
    return g_steal_pointer(&self);
}

const char *
ctl_proof_header(const CtlProof *self)
{
    return self->header;
}

gboolean
ctl_proof_check(CtlProof *self, const char *answer, GError **error)
{
    gsize length = 0;
    g_autofree guchar *bytes = NULL;
    if (answer && g_ascii_strncasecmp(answer, "Negotiate ", 10) == 0)
        bytes = g_base64_decode(answer + 10, &length);
    gss_buffer_desc in = {length, bytes}, out = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor;
    if (length > 0 && !step(self, &in, &out, error))
        return FALSE;
    gss_release_buffer(&minor, &out);
    if (self->done)
        return TRUE;
    g_set_error(error, CTL_ERROR, CTL_EXIT_DENIED, _("%s did not prove that it is the server it says it is: %s"),
                self->host, _("its answer holds no such proof"));
    return FALSE;
}

#else

struct _CtlProof {
    char *host;
};

void
ctl_proof_free(CtlProof *self)
{
}

CtlProof *
ctl_proof_new(const char *host, GError **error)
{
    g_set_error_literal(error, CTL_ERROR, CTL_EXIT_UNAVAILABLE,
                        _("this laresctl was built without Kerberos and cannot log in"));
    return NULL;
}

const char *
ctl_proof_header(const CtlProof *self)
{
    return NULL;
}

gboolean
ctl_proof_check(CtlProof *self, const char *answer, GError **error)
{
    return FALSE;
}

#endif
