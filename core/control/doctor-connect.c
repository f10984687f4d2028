/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Connections that checks make: bounded in everything.
 *
 * Thread: any. */
#include "control/doctor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

/* On a network that works, an answer takes a fraction of this. */
#define PATIENCE_MS 3000u

static gboolean
set_patience(int fd, guint ms)
{
    struct timeval t = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t) == 0 &&
           setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t) == 0;
}

/* 0, or the error. */
static int
connect_within(int fd, const struct addrinfo *to, guint ms)
{
    struct pollfd wait = {.fd = fd, .events = POLLOUT};
    int code = 0;
    if (connect(fd, to->ai_addr, to->ai_addrlen) == 0)
        return 0;
    if (errno != EINPROGRESS)
        return errno;
    int n = poll(&wait, 1, (int)ms);
    if (n == 0)
        return ETIMEDOUT;
    if (n < 0 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &(socklen_t){sizeof code}) < 0)
        return errno;
    return code;
}

int
lares_doctor_connect(LaresDoctor *doctor, const LaresPeer *address, GError **error)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM}, *found = NULL;
    guint patience = MIN(PATIENCE_MS, lares_doctor_left(doctor));
    char port[8];
    g_snprintf(port, sizeof port, "%u", address->port);
    if (getaddrinfo(address->address, port, &hints, &found) != 0) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_INVALID, "\"%s\" is no address", address->address);
        return -1;
    }
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int code = fd < 0 ? errno : connect_within(fd, found, patience);
    freeaddrinfo(found);
    if (code == 0 && (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK) < 0 || !set_patience(fd, PATIENCE_MS)))
        code = errno;
    if (code == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    g_set_error(error, LARES_ERROR, LARES_ERROR_FAILED, "%s", code == ETIMEDOUT ? "no answer" : g_strerror(code));
    return -1;
}
