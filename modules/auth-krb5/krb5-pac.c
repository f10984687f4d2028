/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See krb5-pac.h. */
#include "krb5-pac.h"

#include <gssapi/gssapi_ext.h>
#include <krb5/krb5.h>
#include <lares/cursor.h>
#include <string.h>

#define AD_WIN2K_PAC   128 /* RFC 4120 7.5.4 */
#define PAC_LOGON_INFO 1   /* [MS-PAC] 2.4 */

/* MIT's library gives a buffer of no bytes memory of its own, and does not take it back. */
static void
release(gss_buffer_t buffer)
{
    OM_uint32 ignored;

    if (buffer->value != NULL && buffer->length == 0)
        buffer->length = 1;
    gss_release_buffer(&ignored, buffer);
}

/* One buffer of the PAC. FALSE: there is none. */
static gboolean
get_buffer(gss_name_t source, const char *name, gss_buffer_t value, gboolean *verified)
{
    gss_buffer_desc attribute = {strlen(name), (void *)name}, display = GSS_C_EMPTY_BUFFER;
    int authenticated = 0, complete = 0, more = -1;
    OM_uint32 minor, major;

    *value = (gss_buffer_desc)GSS_C_EMPTY_BUFFER;
    major = gss_get_name_attribute(&minor, source, &attribute, &authenticated, &complete, value, &display, &more);
    release(&display);
    *verified = authenticated != 0;
    return major == GSS_S_COMPLETE;
}

/* Does the library show one? */
static gboolean
has_buffer(gss_name_t source, const char *name)
{
    gss_buffer_desc value;
    gboolean verified;
    gboolean there = get_buffer(source, name, &value, &verified);

    release(&value);
    return there;
}

/* PACTYPE ([MS-PAC] 2.3). What cannot be read may have said it. */
static gboolean
has_logon_info(const uint8_t *pac, size_t len)
{
    LaresReader r = lares_reader(pac, len);
    uint32_t n = lares_get_le32(&r), version = lares_get_le32(&r);

    if (r.failed || version != 0 || n > lares_reader_left(&r) / 16)
        return TRUE;
    for (uint32_t i = 0; i < n; i++) {
        if (lares_get_le32(&r) == PAC_LOGON_INFO)
            return TRUE;
        lares_get_bytes(&r, 4 + 8); /* cbBufferSize, Offset */
    }
    return FALSE;
}

/* AD-IF-RELEVANT (RFC 4120 5.2.6.1), the wrapping in which KDCs put a PAC. */
static gboolean
wraps_logon_info(krb5_context context, const gss_buffer_desc *bytes)
{
    krb5_authdata wrapping = {
        .ad_type = KRB5_AUTHDATA_IF_RELEVANT, .length = (unsigned)bytes->length, .contents = bytes->value};
    krb5_authdata **inside = NULL;
    gboolean there = FALSE;

    if (krb5_decode_authdata_container(context, KRB5_AUTHDATA_IF_RELEVANT, &wrapping, &inside) != 0)
        return TRUE;
    for (krb5_authdata **one = inside; one != NULL && *one != NULL && !there; one++)
        there = (*one)->ad_type == KRB5_AUTHDATA_WIN2K_PAC && has_logon_info((*one)->contents, (*one)->length);
    krb5_free_authdata(context, inside);
    return there;
}

/* The library keeps a PAC that it could not verify to itself, as if there were none; the ticket itself tells. */
static gboolean
ticket_has_logon_info(gss_ctx_id_t gss)
{
    /* 1.2.840.113554.1.2.2.5.10, the authorization data of a ticket, and its type: AD-IF-RELEVANT is 1. */
    static gss_OID_desc relevant = {12, (void *)"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x05\x0a\x01"};
    gss_buffer_set_t all = GSS_C_NO_BUFFER_SET;
    krb5_context context = NULL;
    gboolean there = FALSE;
    OM_uint32 minor;

    if (gss_inquire_sec_context_by_oid(&minor, gss, &relevant, &all) == GSS_S_COMPLETE && all != NULL &&
        all->count > 0) {
        there = krb5_init_context(&context) != 0;
        for (size_t i = 0; i < all->count && !there; i++)
            there = wraps_logon_info(context, &all->elements[i]);
        if (context != NULL)
            krb5_free_context(context);
    }
    gss_release_buffer_set(&minor, &all);
    return there;
}

/* Only who is of a domain's realm may be one of its users. */
static const char *
check(const Krb5Logon *logon, const char *realm)
{
    if (logon->dns_domain != NULL && g_ascii_strcasecmp(logon->dns_domain, realm) != 0)
        return "the PAC is of another domain than the client's realm";
    return NULL;
}

gboolean
krb5_pac_take(gss_ctx_id_t gss, gss_name_t source, const char *realm, Krb5Logon **logon, char **reason)
{
    gss_buffer_desc info = GSS_C_EMPTY_BUFFER, names = GSS_C_EMPTY_BUFFER;
    gboolean verified = FALSE, names_verified = FALSE;
    const char *why = NULL;
    g_autoptr(Krb5Logon) found = NULL;

    if (get_buffer(source, "urn:mspac:logon-info", &info, &verified))
        get_buffer(source, "urn:mspac:upn-dns-info", &names, &names_verified);
    else if (has_buffer(source, "urn:mspac:") || !ticket_has_logon_info(gss))
        return TRUE;
    if (!verified)
        why = "the PAC in the ticket does not have the KDC's signature for this server";
    else
        found = krb5_logon_read(info.value, info.length, names.value, names.length, &why);
    if (found != NULL)
        why = check(found, realm);
    release(&info);
    release(&names);
    if (why != NULL)
        *reason = g_strdup(why);
    else
        *logon = g_steal_pointer(&found);
    return why == NULL;
}
