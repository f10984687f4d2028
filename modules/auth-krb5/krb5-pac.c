/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See krb5-pac.h. */
#include "krb5-pac.h"

#include <gssapi/gssapi_ext.h>
#include <string.h>

/* One buffer of the PAC. FALSE: there is none. */
static gboolean
get_buffer(gss_name_t source, const char *name, gss_buffer_t value, gboolean *verified)
{
    gss_buffer_desc attribute = {strlen(name), (void *)name}, display = GSS_C_EMPTY_BUFFER;
    int authenticated = 0, complete = 0, more = -1;
    OM_uint32 minor, major, ignored;

    *value = (gss_buffer_desc)GSS_C_EMPTY_BUFFER;
    major = gss_get_name_attribute(&minor, source, &attribute, &authenticated, &complete, value, &display, &more);
    gss_release_buffer(&ignored, &display);
    *verified = authenticated != 0;
    return major == GSS_S_COMPLETE;
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
krb5_pac_take(gss_name_t source, const char *realm, Krb5Logon **logon, char **reason)
{
    gss_buffer_desc info, names;
    gboolean verified, names_verified;
    const char *why = NULL;
    g_autoptr(Krb5Logon) found = NULL;
    OM_uint32 minor;

    if (!get_buffer(source, "urn:mspac:logon-info", &info, &verified))
        return TRUE;
    get_buffer(source, "urn:mspac:upn-dns-info", &names, &names_verified);
    if (!verified)
        why = "the PAC in the ticket does not have the KDC's signature for this server";
    else
        found = krb5_logon_read(info.value, info.length, names.value, names.length, &why);
    if (found != NULL)
        why = check(found, realm);
    gss_release_buffer(&minor, &info);
    gss_release_buffer(&minor, &names);
    if (why != NULL)
        *reason = g_strdup(why);
    else
        *logon = g_steal_pointer(&found);
    return why == NULL;
}
