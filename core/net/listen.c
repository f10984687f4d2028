/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Listeners: addresses in words, sockets from the service manager, accepting.
 *
 * Thread: main, except accepting, which one worker at a time does. Locks: the net's, for lists. */
#include "net/net-private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG         4096
#define ACCEPT_RUN      64
#define RETRY_MS        500
#define CLOSE_WAIT_S    30
#define INHERITED_FIRST 3

/* ---- Addresses ------------------------------------------------------------------------------------------------ */

void
lares_peer_from_sockaddr(LaresPeer *peer, const struct sockaddr *sa)
{
    *peer = (LaresPeer){0};
    if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)sa;
        inet_ntop(AF_INET, &in->sin_addr, peer->address, sizeof peer->address);
        peer->port = ntohs(in->sin_port);
        peer->is_local = (ntohl(in->sin_addr.s_addr) >> 24) == 127;
    } else if (sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)sa;
        peer->port = ntohs(in6->sin6_port);
        if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
            inet_ntop(AF_INET, in6->sin6_addr.s6_addr + 12, peer->address, sizeof peer->address);
            peer->is_local = in6->sin6_addr.s6_addr[12] == 127;
        } else {
            inet_ntop(AF_INET6, &in6->sin6_addr, peer->address, sizeof peer->address);
            peer->is_local = IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
        }
    } else {
        g_strlcpy(peer->address, "unix", sizeof peer->address);
        peer->is_local = TRUE;
    }
}

static gboolean
fail(GError **error, const char *address, const char *what)
{
    g_set_error(error, LARES_ERROR, LARES_ERROR_CONFIG, "cannot listen on %s: %s", address, what);
    return FALSE;
}

static int
bind_and_listen(const struct sockaddr *sa, socklen_t len)
{
    int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (sa->sa_family != AF_UNIX)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (sa->sa_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){0}, sizeof(int));
    if (bind(fd, sa, len) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

/* A socket file that nobody answers on is left over from a killed process. */
static gboolean
is_stale(const struct sockaddr_un *un)
{
    struct stat st;
    if (lstat(un->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
        return FALSE;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    gboolean refused = connect(fd, (const struct sockaddr *)un, sizeof *un) < 0 && errno == ECONNREFUSED;
    close(fd);
    return refused;
}

static int
listen_unix(const char *address, const char *path, GError **error)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    if (g_strlcpy(un.sun_path, path, sizeof un.sun_path) >= sizeof un.sun_path) {
        fail(error, address, "the path is too long for a socket");
        return -1;
    }
    int fd = bind_and_listen((struct sockaddr *)&un, sizeof un);
    if (fd < 0 && errno == EADDRINUSE && is_stale(&un) && unlink(path) == 0)
        fd = bind_and_listen((struct sockaddr *)&un, sizeof un);
    if (fd < 0)
        fail(error, address, g_strerror(errno));
    return fd;
}

static int
listen_inet(const char *address, GError **error)
{
    const char *colon = strrchr(address, ':');
    if (!colon || colon == address) {
        fail(error, address, "write it like [::]:2049, 192.0.2.7:2049, unix:/path or fd:NAME");
        return -1;
    }
    guint64 port;
    if (!g_ascii_string_to_unsigned(colon + 1, 10, 0, 65535, &port, NULL)) {
        fail(error, address, "the port must be a number up to 65535");
        return -1;
    }
    g_autofree char *host = g_strndup(address, (gsize)(colon - address));
    size_t n = strlen(host);
    if (host[0] == '[' && host[n - 1] == ']') {
        host[n - 1] = '\0';
        memmove(host, host + 1, n - 1);
    }
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int e = getaddrinfo(host, colon + 1, &hints, &found);
    if (e) {
        fail(error, address, gai_strerror(e));
        return -1;
    }
    int fd = bind_and_listen(found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    if (fd < 0 && errno == EAFNOSUPPORT && g_str_equal(host, "::")) { /* a kernel without IPv6 */
        g_autofree char *v4 = g_strconcat("0.0.0.0", colon, NULL);
        return listen_inet(v4, error);
    }
    if (fd < 0)
        fail(error, address, g_strerror(errno));
    return fd;
}

/* ---- Socket activation ---------------------------------------------------------------------------------------- */

typedef struct {
    char *name;
    int fd;
} Inherited;

static GArray *inherited; /* of Inherited, in their order, without those in use; main thread */

/* Spec: sd_listen_fds(3): LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES. */
void
lares_net_inherit(void)
{
    const char *pid = g_getenv("LISTEN_PID"), *count = g_getenv("LISTEN_FDS"), *names = g_getenv("LISTEN_FDNAMES");
    if (pid && count && strtoul(pid, NULL, 10) == (unsigned long)getpid()) {
        g_auto(GStrv) name = g_strsplit(names ? names : "", ":", -1);
        guint n = (guint)MIN(strtoul(count, NULL, 10), 64), n_names = g_strv_length(name);
        inherited = g_array_new(FALSE, FALSE, sizeof(Inherited));
        for (guint i = 0; i < n; i++) {
            Inherited one = {i < n_names ? g_strdup(name[i]) : g_strdup_printf("%u", i), INHERITED_FIRST + (int)i};
            /* Also those that nobody asks for: a child that held one would keep the port. */
            fcntl(one.fd, F_SETFD, FD_CLOEXEC);
            g_array_append_val(inherited, one);
        }
    }
    g_unsetenv("LISTEN_PID");
    g_unsetenv("LISTEN_FDS");
    g_unsetenv("LISTEN_FDNAMES");
}

void
lares_net_warn_about_left(void)
{
    for (guint i = 0; inherited && i < inherited->len; i++)
        lares_warning("net",
                      "the service manager passed a socket \"%s\" that no listen= takes: whoever connects to it waits "
                      "in vain",
                      g_array_index(inherited, Inherited, i).name);
}

/* Systemd gives all sockets of a unit the same name: each address `fd:NAME` takes the next one. */
static guint
find_inherited(const char *name)
{
    guint i = 0;
    while (inherited && i < inherited->len && !g_str_equal(g_array_index(inherited, Inherited, i).name, name))
        i++;
    return i;
}

static int
listen_inherited(const char *address, const char *name, GError **error)
{
    int listening = 0;
    guint at = find_inherited(name);
    if (!inherited || at == inherited->len) {
        fail(error, address, "the service manager passed no socket of that name");
        return -1;
    }
    int fd = g_array_index(inherited, Inherited, at).fd;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &(socklen_t){sizeof listening}) < 0 || !listening) {
        fail(error, address, "it is not a listening stream socket");
        return -1;
    }
    g_free(g_array_index(inherited, Inherited, at).name);
    g_array_remove_index(inherited, at);
    g_unix_set_fd_nonblocking(fd, TRUE, NULL);
    return fd;
}

/* ---- Listeners ------------------------------------------------------------------------------------------------ */

/* Accepted sockets inherit these. */
static void
set_tcp_options(int fd)
{
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &(int){1}, sizeof(int));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &(int){120}, sizeof(int));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &(int){20}, sizeof(int));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &(int){4}, sizeof(int));
}

static void
arm_listener(LaresListener *l, int op)
{
    struct epoll_event e = {.events = EPOLLIN | EPOLLONESHOT, .data.ptr = l};
    if (epoll_ctl(l->net->epoll, op, l->fd, &e) < 0)
        lares_error("net", "cannot wait for connections: %s", g_strerror(errno));
}

LaresListener *
lares_net_listen(LaresHost *host, const char *address, const LaresService *service, gpointer user, GError **error)
{
    LaresNet *net = lares_host_net(host);
    int fd;
    const char *path = g_str_has_prefix(address, "unix:") ? address + 5 : NULL;
    gboolean passed = g_str_has_prefix(address, "fd:");
    if (path)
        fd = listen_unix(address, path, error);
    else
        fd = passed ? listen_inherited(address, address + 3, error) : listen_inet(address, error);
    if (fd < 0)
        return NULL;

    struct sockaddr_storage sa = {0};
    getsockname(fd, (struct sockaddr *)&sa, &(socklen_t){sizeof sa});
    if (sa.ss_family != AF_UNIX)
        set_tcp_options(fd);
    LaresListener *l = g_new0(LaresListener, 1);
    l->event = LARES_EVENT_LISTENER;
    l->net = net;
    l->fd = fd;
    l->inherited = passed;
    l->local = sa.ss_family == AF_UNIX;
    l->path = g_strdup(path);
    l->service = service;
    l->counted = lares_net_service_place(service->name);
    l->user = user;
    lares_peer_from_sockaddr(&l->here, (struct sockaddr *)&sa);
    l->port = l->here.port;
    g_mutex_lock(&net->lock);
    l->next = net->listeners;
    net->listeners = l;
    g_mutex_unlock(&net->lock);
    arm_listener(l, EPOLL_CTL_ADD);
    lares_info("net", "%s: listening on %s (port %u)", service->name, address, l->port);
    return l;
}

guint16
lares_listener_get_port(LaresListener *listener)
{
    return listener->port;
}

const LaresPeer *
lares_listener_get_address(LaresListener *listener)
{
    return &listener->here;
}

void
lares_listener_close(LaresListener *l)
{
    LaresNet *net = l->net;
    g_autoptr(GPtrArray) open = g_ptr_array_new_with_free_func((GDestroyNotify)lares_connection_unref);
    gint64 deadline = g_get_monotonic_time() + CLOSE_WAIT_S * G_USEC_PER_SEC;
    g_clear_handle_id(&l->retry, g_source_remove);
    g_mutex_lock(&net->lock);
    if (l->closed) {
        g_mutex_unlock(&net->lock);
        return;
    }
    l->closed = TRUE;
    epoll_ctl(net->epoll, EPOLL_CTL_DEL, l->fd, NULL);
    for (GList *at = l->connections.head; at; at = at->next)
        g_ptr_array_add(open, lares_connection_ref(at->data));
    g_mutex_unlock(&net->lock);
    if (l->path)
        unlink(l->path);
    for (guint i = 0; i < open->len; i++)
        lares_connection_close(open->pdata[i]);
    g_mutex_lock(&net->lock);
    while (l->accepting || l->connections.length)
        if (!g_cond_wait_until(&net->changed, &net->lock, deadline))
            break;
    guint left = l->connections.length;
    int fd = l->accepting ? -1 : l->fd;
    if (fd >= 0)
        l->fd = -1;
    g_mutex_unlock(&net->lock);
    if (fd >= 0)
        close(fd);
    if (left)
        lares_warning("net", "%s: %u connections still run a request", l->service->name, left);
}

void
lares_listener_free(LaresListener *l)
{
    if (l->fd >= 0)
        close(l->fd);
    g_free(l->path);
    g_free(l);
}

/* ---- Accepting ------------------------------------------------------------------------------------------------ */

static gboolean
retry_accept(gpointer data)
{
    LaresListener *l = data;
    l->retry = 0;
    arm_listener(l, EPOLL_CTL_MOD);
    return G_SOURCE_REMOVE;
}

static gboolean
start_retry(gpointer data)
{
    LaresListener *l = data;
    g_mutex_lock(&l->net->lock);
    gboolean closed = l->closed;
    g_mutex_unlock(&l->net->lock);
    if (!closed && !l->retry)
        l->retry = g_timeout_add(RETRY_MS, retry_accept, l);
    return G_SOURCE_REMOVE;
}

/* What goes to a peer on this machine meets no congestion. A congestion control that paces, as BBR, would arm a timer
 * for each packet and take two to four times the processor time; "reno" does not, and any user may choose it, tcp(7).
 */
static void
hurry(int fd, const LaresPeer *peer)
{
    struct sockaddr_storage sa = {0};
    LaresPeer here = {0};
    if (!peer->is_local && getsockname(fd, (struct sockaddr *)&sa, &(socklen_t){sizeof sa}) == 0)
        lares_peer_from_sockaddr(&here, (struct sockaddr *)&sa);
    if (peer->is_local || g_str_equal(here.address, peer->address))
        setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", strlen("reno"));
}

static void
welcome(LaresListener *l, int fd, const struct sockaddr *sa)
{
    LaresPeer peer;
    lares_peer_from_sockaddr(&peer, sa);
    if (!l->local)
        hurry(fd, &peer);
    LaresConnection *c = lares_connection_new(l, fd, &peer);
    if (l->service->connected)
        c->data = l->service->connected(c, l->user);
    g_mutex_lock(&c->lock);
    c->welcomed = TRUE;
    c->in_flight--;
    lares_connection_leave(c);
    lares_connection_unref(c);
}

static gboolean
begin_accepting(LaresListener *l)
{
    g_mutex_lock(&l->net->lock);
    l->accepting = !l->closed;
    gboolean ok = l->accepting;
    g_mutex_unlock(&l->net->lock);
    return ok;
}

/* Armed before the lock is given up: then who closes the listener may close its descriptor, and the number be used
 * again. */
static void
end_accepting(LaresListener *l, gboolean starved)
{
    g_mutex_lock(&l->net->lock);
    gboolean closed = l->closed;
    l->accepting = FALSE;
    if (!closed && !starved)
        arm_listener(l, EPOLL_CTL_MOD);
    g_cond_broadcast(&l->net->changed);
    g_mutex_unlock(&l->net->lock);
    if (!closed && starved) /* the timer is the main thread's; until it rings nobody looks, so nothing spins */
        g_idle_add(start_retry, l);
}

void
lares_listener_accept(LaresListener *l)
{
    gboolean starved = FALSE;
    if (!begin_accepting(l))
        return;
    for (guint i = 0; i < ACCEPT_RUN; i++) {
        struct sockaddr_storage sa = {0};
        socklen_t len = sizeof sa;
        int fd = accept4(l->fd, (struct sockaddr *)&sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            if (l->local)
                sa.ss_family = AF_UNIX;
            welcome(l, fd, (struct sockaddr *)&sa);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            lares_log_limited(LARES_LOG_WARNING, "net",
                              "%s: cannot take a new connection: %s (limit of open files: %s)", l->service->name,
                              g_strerror(errno), "LimitNOFILE= of the service");
            starved = TRUE;
            break;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            break;
        } /* anything else concerns that one peer, accept(2) */
    }
    end_accepting(l, starved);
}
