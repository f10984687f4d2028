/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Load for the data plane alone: framed records to the echo protocol of tests/module, many in flight, and what each
 * cost the server in CPU.
 *
 *   recordload PORT PID [connections] [in flight] [what] [how much] [payload bytes] [seconds]
 *
 * `what` and `how much` are the first two words of each record (see tests/module/echo.c). One thread, poll(2): the
 * client is the same for every figure, and its own CPU is not counted. */
#include <arpa/inet.h>
#include <dirent.h>
#include <poll.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BUFFER (4u << 20)

typedef struct {
    int fd;
    uint8_t *in;
    size_t have;      /* bytes of replies in `in` */
    uint64_t skip;    /* bytes of a large reply still to come */
    unsigned pending; /* requests to write */
    size_t sent;      /* of the current request */
} Peer;

static double
now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double
cpu_of(const char *pid)
{
    char path[600];
    double total = 0;
    snprintf(path, sizeof path, "/proc/%s/task", pid);
    DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        unsigned long long ns;
        snprintf(path, sizeof path, "/proc/%s/task/%s/schedstat", pid, e->d_name);
        FILE *f = e->d_name[0] == '.' ? NULL : fopen(path, "r");
        if (f && fscanf(f, "%llu", &ns) == 1)
            total += (double)ns / 1e9;
        if (f)
            fclose(f);
    }
    if (dir)
        closedir(dir);
    return total;
}

static void
put32(uint8_t *at, uint32_t v)
{
    v = htonl(v);
    memcpy(at, &v, 4);
}

static int
dial(int port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (connect(fd, (struct sockaddr *)&in, sizeof in) < 0) {
        perror("connect");
        exit(1);
    }
    return fd;
}

/* Writes what is pending: as many whole requests in one call as fit. */
static void
push(Peer *p, const uint8_t *batch, size_t one, unsigned most)
{
    while (p->pending) {
        size_t n = (size_t)(p->pending < most ? p->pending : most) * one - p->sent;
        ssize_t w = send(p->fd, batch + p->sent, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (w <= 0)
            return;
        size_t all = p->sent + (size_t)w;
        p->pending -= (unsigned)(all / one);
        p->sent = all % one;
    }
}

/* Counts whole replies. */
static unsigned
pull(Peer *p)
{
    unsigned done = 0;
    ssize_t n = recv(p->fd, p->in + p->have, BUFFER - p->have, MSG_DONTWAIT);
    if (n == 0) {
        fprintf(stderr, "closed by the server\n");
        exit(1);
    }
    if (n < 0)
        return 0;
    size_t end = p->have + (size_t)n, at = 0;
    for (;;) {
        uint64_t here = end - at;
        if (p->skip) {
            uint64_t take = here < p->skip ? here : p->skip;
            at += take;
            if (p->skip -= take)
                break;
            done++;
            continue;
        }
        if (here < 4)
            break;
        uint32_t h;
        memcpy(&h, p->in + at, 4);
        p->skip = ntohl(h) & 0x7fffffff;
        at += 4;
    }
    memmove(p->in, p->in + at, end - at);
    p->have = end - at;
    return done;
}

int
main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: recordload PORT PID [connections] [in flight] [what] [how much] [payload] [seconds]\n");
        return 2;
    }
    unsigned conns = argc > 3 ? (unsigned)atoi(argv[3]) : 1, depth = argc > 4 ? (unsigned)atoi(argv[4]) : 1;
    uint32_t what = argc > 5 ? (uint32_t)atoi(argv[5]) : 1, much = argc > 6 ? (uint32_t)atoi(argv[6]) : 0;
    size_t payload = argc > 7 ? (size_t)atol(argv[7]) : 40;
    double seconds = argc > 8 ? atof(argv[8]) : 2;
    size_t one = 12 + payload;
    unsigned most = (unsigned)((1u << 20) / one) + 1;
    most = most < depth ? most : depth;
    uint8_t *batch = calloc(most, one);
    for (unsigned i = 0; i < most; i++) {
        put32(batch + i * one, 0x80000000u | (uint32_t)(8 + payload));
        put32(batch + i * one + 4, what);
        put32(batch + i * one + 8, much);
    }
    Peer *peer = calloc(conns, sizeof *peer);
    struct pollfd *poll_fd = calloc(conns, sizeof *poll_fd);
    for (unsigned i = 0; i < conns; i++) {
        peer[i].fd = dial(atoi(argv[1]));
        peer[i].in = malloc(BUFFER);
        peer[i].pending = depth;
    }
    double began = now(), cpu = cpu_of(argv[2]), end = began + seconds;
    unsigned long long done = 0;
    while (now() < end) {
        for (unsigned i = 0; i < conns; i++) {
            push(&peer[i], batch, one, most);
            poll_fd[i] = (struct pollfd){peer[i].fd, (short)(POLLIN | (peer[i].pending ? POLLOUT : 0)), 0};
        }
        poll(poll_fd, conns, 100);
        for (unsigned i = 0; i < conns; i++) {
            if (!(poll_fd[i].revents & POLLIN))
                continue;
            unsigned n = pull(&peer[i]);
            done += n;
            peer[i].pending += n;
        }
    }
    double took = now() - began;
    cpu = cpu_of(argv[2]) - cpu;
    printf("%10.0f/s  server CPU %7.2f us each, %5.2f cores, %6.3f CPU s/GB in, %6.3f out\n", (double)done / took,
           cpu / (double)done * 1e6, cpu / took, cpu / ((double)done * (double)one / 1e9),
           cpu / ((double)done * (double)(what == 1 ? one : much + 12) / 1e9));
    return 0;
}
