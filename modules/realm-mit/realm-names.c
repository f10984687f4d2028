/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which names of realms, users and hosts are let in; everything that ends up in a configuration
 * file or in a principal passes through here first.
 *
 * Spec: RFC 4120 6.1 (realm names in domain style), RFC 1123 2.1 (host names).
 */
#include "realm.h"

#include <string.h>

/* A realm becomes part of principals, file lines and DNS names: 255 is the limit of a DNS name. */
#define NAME_MAX_LENGTH 255
/* What useradd accepts on Debian, so that a principal can always be an account. */
#define USER_MAX_LENGTH 32

G_DEFINE_QUARK(lares - realm - error, realm_error)

/* Labels of letters, digits and inner hyphens, joined by dots. */
static gboolean
is_dns_name(const char *name)
{
    gsize label = 0;
    char before = '.';

    if (!name[0] || strlen(name) > NAME_MAX_LENGTH)
        return FALSE;
    for (const char *p = name;; p++) {
        if (*p == '.' || !*p) {
            if (label == 0 || label > 63 || before == '-')
                return FALSE;
            if (!*p)
                return TRUE;
            label = 0;
        } else if (g_ascii_isalnum(*p) || (*p == '-' && label > 0)) {
            label++;
        } else {
            return FALSE;
        }
        before = *p;
    }
}

gboolean
realm_name_check(const char *name, GError **error)
{
    g_autofree char *upper = name ? g_ascii_strup(name, -1) : NULL;

    if (!name || !is_dns_name(name)) {
        g_set_error(error, REALM_ERROR, REALM_ERROR_INVALID,
                    "\"%s\" is not a realm name: use letters, digits, hyphens and dots, "
                    "like HOME.LAN",
                    name ? name : "");
        return FALSE;
    }
    if (g_hostname_is_ip_address(name)) {
        g_set_error(error, REALM_ERROR, REALM_ERROR_INVALID,
                    "\"%s\" is an address, not a realm name; use a name like HOME.LAN", name);
        return FALSE;
    }
    if (strcmp(upper, name) != 0) {
        g_set_error(error, REALM_ERROR, REALM_ERROR_INVALID,
                    "realm names are case-sensitive and written in capitals: use %s", upper);
        return FALSE;
    }
    return TRUE;
}

/* First parts of principals that are machines' or MIT's own: none of them is a person's. */
static gboolean
is_reserved(const char *name, gsize length)
{
    static const char *const words[] = {"krbtgt", "kadmin", "kiprop", "K",    "WELLKNOWN",
                                        "host",   "nfs",    "cifs",   "HTTP", "changepw"};

    for (gsize i = 0; i < G_N_ELEMENTS(words); i++)
        if (strlen(words[i]) == length && strncmp(words[i], name, length) == 0)
            return TRUE;
    return FALSE;
}

/* NAME or NAME/admin: only these are people; every other instance is a machine or MIT's own. */
gboolean
realm_user_check(const char *name, GError **error)
{
    const char *slash = name ? strchr(name, '/') : NULL;
    gsize length = slash ? (gsize)(slash - name) : strlen(name ? name : "");
    gboolean good = length > 0 && length <= USER_MAX_LENGTH;

    for (gsize i = 0; good && i < length; i++)
        good = g_ascii_isalnum(name[i]) || name[i] == '_' || (i > 0 && (name[i] == '-' || name[i] == '.'));
    if (good && slash)
        good = strcmp(slash, "/admin") == 0;
    /* kadmin/admin is the service of kadmind itself, krbtgt/admin the key of a trust in a realm of that name. */
    if (good && slash && is_reserved(name, length))
        good = FALSE;
    if (!good)
        g_set_error(error, REALM_ERROR, REALM_ERROR_INVALID,
                    "\"%s\" is not a user name: use up to %d letters, digits, \"_\", and after the "
                    "first \"-\" and \".\", or NAME/admin for an administrator",
                    name ? name : "", USER_MAX_LENGTH);
    return good;
}

gboolean
realm_service_check(const char *name, GError **error)
{
    gsize length = strlen(name);
    gboolean good = length > 0 && length <= USER_MAX_LENGTH;

    for (gsize i = 0; good && i < length; i++)
        good = g_ascii_isalnum(name[i]) || (i > 0 && name[i] == '-');
    /* The keys of these open more than one machine. */
    if (good && (g_ascii_strcasecmp(name, "krbtgt") == 0 || g_ascii_strcasecmp(name, "kadmin") == 0 ||
                 g_ascii_strcasecmp(name, "kiprop") == 0 || g_ascii_strcasecmp(name, "K") == 0 ||
                 g_ascii_strcasecmp(name, "WELLKNOWN") == 0))
        good = FALSE;
    if (!good)
        g_set_error(error, REALM_ERROR, REALM_ERROR_INVALID,
                    "\"%s\" is not a service of a machine: use names like nfs, cifs or HTTP", name);
    return good;
}

char *
realm_machine_check(const char *name, GError **error)
{
    g_autofree char *host = realm_host_normalize(name, error);

    /* kadm5.acl makes everything of the form NAME/admin an administrator. */
    if (host && strcmp(host, "admin") == 0) {
        g_set_error_literal(error, REALM_ERROR, REALM_ERROR_INVALID,
                            "a machine cannot be called \"admin\": every principal NAME/admin administers the realm; "
                            "use its full name, like admin.home.lan");
        return NULL;
    }
    return g_steal_pointer(&host);
}

char *
realm_host_normalize(const char *name, GError **error)
{
    g_autofree char *lower = g_ascii_strdown(name ? name : "", -1);
    gsize length = strlen(lower);

    if (length > 1 && lower[length - 1] == '.')
        lower[length - 1] = '\0';
    if (!is_dns_name(lower) || g_hostname_is_ip_address(lower)) {
        g_set_error(error, REALM_ERROR, REALM_ERROR_INVALID,
                    "\"%s\" is not a host name: Kerberos needs a name, like laptop.home.lan", name ? name : "");
        return NULL;
    }
    return g_steal_pointer(&lower);
}
