/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tells before a start whether somebody else has a port of the realm: krb5kdc itself would run on
 * without it, or die with a line nobody reads.
 */
#include "realm.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static gboolean
say(const char *address, guint16 port, gboolean udp, int code, GError **error)
{
    const char *kind = udp ? "UDP" : "TCP";

    if (code == EADDRINUSE)
        g_set_error(error, REALM_ERROR, REALM_ERROR_BUSY,
                    "%s port %u on %s is taken by another program (another KDC?); stop it or choose "
                    "other ports for the realm",
                    kind, port, address);
    else if (code == EACCES)
        g_set_error(error, REALM_ERROR, REALM_ERROR_FAILED,
                    "%s port %u may not be opened: ports under 1024 need root or CAP_NET_BIND_SERVICE", kind, port);
    else
        g_set_error(error, REALM_ERROR, REALM_ERROR_FAILED, "%s port %u on %s: %s", kind, port, address,
                    g_strerror(code));
    return FALSE;
}

static gboolean
try_bind(const char *address, guint16 port, gboolean udp, gboolean any, GError **error)
{
    g_autoptr(GSocketAddress) where = g_inet_socket_address_new_from_string(address, port);
    struct sockaddr_storage raw = {0};
    int on = 1;
    int code = 0;
    int fd;

    if (!where || !g_socket_address_to_native(where, &raw, sizeof raw, NULL))
        return say(address, port, udp, EINVAL, error);
    fd = socket(raw.ss_family, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
    /* A kernel without IPv6 is no reason to refuse the wildcard. */
    if (fd < 0)
        return any && raw.ss_family == AF_INET6 ? TRUE : say(address, port, udp, errno, error);
    if (!udp)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (raw.ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&raw, (socklen_t)g_socket_address_get_native_size(where)) != 0 ||
        (!udp && listen(fd, 1) != 0))
        code = errno;
    close(fd);
    if (code == 0 || (any && raw.ss_family == AF_INET6 && code == EADDRNOTAVAIL))
        return TRUE;
    return say(address, port, udp, code, error);
}

static gboolean
check(const RealmConf *conf, guint16 port, gboolean udp, GError **error)
{
    static const char *const everywhere[] = {"0.0.0.0", "::", NULL};
    gboolean any = conf->listen[0] == NULL;
    const char *const *addresses = any ? everywhere : (const char *const *)conf->listen;

    for (; *addresses; addresses++)
        if (!try_bind(*addresses, port, udp, any, error))
            return FALSE;
    return TRUE;
}

gboolean
realm_ports_check(const RealmConf *conf, const char *program, GError **error)
{
    gboolean kdc = !program || strcmp(program, "krb5kdc") == 0;
    gboolean admin = !program || strcmp(program, "kadmind") == 0;

    if (kdc && (!check(conf, conf->kdc_port, TRUE, error) || !check(conf, conf->kdc_port, FALSE, error)))
        return FALSE;
    if (admin && (!check(conf, conf->kadmin_port, FALSE, error) || !check(conf, conf->kpasswd_port, TRUE, error) ||
                  !check(conf, conf->kpasswd_port, FALSE, error)))
        return FALSE;
    return TRUE;
}
