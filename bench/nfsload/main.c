/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* nfsload: an NFSv4.1 load generator. It shares no code with the server, so that what both
 * agree on was agreed on by two. One JSON line on standard output tells the result. */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#include "nfsload.h"

static const char *const sec_names[] = {"sys", "krb5", "krb5i", "krb5p"};
static pthread_barrier_t ready, go, finished, taken;
static const Workload *work;

static void
usage(FILE *f)
{
    fputs("Usage: nfsload [OPTION...] --path=PATH WORKLOAD\n"
          "Workloads:",
          f);
    workload_names(f);
    fputs("\n"
          "  --host=HOST          server (127.0.0.1)\n"
          "  --port=PORT          its port (2049)\n"
          "  --path=PATH          folder to work in, as the server exports it\n"
          "  --sec=FLAVOR         sys, krb5, krb5i or krb5p (sys)\n"
          "  --spn=HOST           the service is nfs@HOST (the server's name)\n"
          "  --connections=N      TCP connections, each with a thread and a client id (1)\n"
          "  --inflight=N         requests in flight per connection (16)\n"
          "  --seconds=S          run so long (5, without --count)\n"
          "  --count=N            run so many operations per connection\n"
          "  --size=BYTES         of one READ or WRITE (1 MiB; 4 KiB for random)\n"
          "  --filesize=BYTES     of the file that is read or written (256 MiB)\n"
          "  --file=NAME          the file to read, made if it is not there (nfsload.data)\n"
          "  --files=N            files in the folder of lookup and readdir (1000)\n"
          "  --verify-every=N     unwrap and decode each Nth reply only (1)\n"
          "  --no-verify          unwrap none; headers, xids and lengths are still checked\n"
          "  --check-data         compare what is read with what was written\n"
          "  --prepare            with --count: make all requests before the clock starts\n"
          "  --stall=S            a reply that is missing so long is lost (5)\n"
          "  --uid=N --gid=N      for AUTH_SYS (0)\n"
          "  --server-pid=P[,P]   report the CPU seconds of these processes\n"
          "  --keep               leave what was made\n"
          "Sizes take k, m and g. Exit: 0 all well, 1 errors or lost replies, 2 set-up failed.\n",
          f);
}

static uint64_t
parse_size(const char *s)
{
    char *e;
    uint64_t v = strtoull(s, &e, 0);
    if (*e == 'k' || *e == 'K')
        v <<= 10;
    else if (*e == 'm' || *e == 'M')
        v <<= 20;
    else if (*e == 'g' || *e == 'G')
        v <<= 30;
    return v;
}

static void
parse_pids(Options *o, char *s)
{
    for (char *p = strtok(s, ","); p != NULL && o->npids < 64; p = strtok(NULL, ","))
        o->pids[o->npids++] = atoi(p);
}

static bool
parse_sec(Options *o, const char *s)
{
    for (int i = 0; i < 4; i++) {
        if (strcmp(s, sec_names[i]) == 0) {
            o->sec = (Sec)i;
            return true;
        }
    }
    fprintf(stderr, "nfsload: unknown flavor %s\n", s);
    return false;
}

enum {
    O_HOST = 1,
    O_PORT,
    O_PATH,
    O_SEC,
    O_SPN,
    O_CONNS,
    O_FLIGHT,
    O_SECONDS,
    O_COUNT,
    O_SIZE,
    O_FSIZE,
    O_FILE,
    O_FILES,
    O_EVERY,
    O_NOVERIFY,
    O_CHECK,
    O_PREPARE,
    O_STALL,
    O_UID,
    O_GID,
    O_PID,
    O_KEEP,
    O_HELP
};

static const struct option longopts[] = {
    {"host", 1, NULL, O_HOST},
    {"port", 1, NULL, O_PORT},
    {"path", 1, NULL, O_PATH},
    {"sec", 1, NULL, O_SEC},
    {"spn", 1, NULL, O_SPN},
    {"connections", 1, NULL, O_CONNS},
    {"inflight", 1, NULL, O_FLIGHT},
    {"seconds", 1, NULL, O_SECONDS},
    {"count", 1, NULL, O_COUNT},
    {"size", 1, NULL, O_SIZE},
    {"filesize", 1, NULL, O_FSIZE},
    {"file", 1, NULL, O_FILE},
    {"files", 1, NULL, O_FILES},
    {"verify-every", 1, NULL, O_EVERY},
    {"no-verify", 0, NULL, O_NOVERIFY},
    {"check-data", 0, NULL, O_CHECK},
    {"prepare", 0, NULL, O_PREPARE},
    {"stall", 1, NULL, O_STALL},
    {"uid", 1, NULL, O_UID},
    {"gid", 1, NULL, O_GID},
    {"server-pid", 1, NULL, O_PID},
    {"keep", 0, NULL, O_KEEP},
    {"help", 0, NULL, O_HELP},
    {NULL, 0, NULL, 0},
};

static bool
parse_one(Options *o, int opt)
{
    switch (opt) {
    case O_HOST:
        o->host = optarg;
        return true;
    case O_PORT:
        o->port = optarg;
        return true;
    case O_PATH:
        o->path = optarg;
        return true;
    case O_SEC:
        return parse_sec(o, optarg);
    case O_SPN:
        o->spn_host = optarg;
        return true;
    case O_CONNS:
        o->connections = atoi(optarg);
        return true;
    case O_FLIGHT:
        o->inflight = atoi(optarg);
        return true;
    case O_SECONDS:
        o->seconds = atof(optarg);
        return true;
    case O_COUNT:
        o->count = parse_size(optarg);
        return true;
    case O_SIZE:
        o->size = (uint32_t)parse_size(optarg);
        return true;
    case O_FSIZE:
        o->filesize = parse_size(optarg);
        return true;
    case O_FILE:
        o->file = optarg;
        return true;
    case O_FILES:
        o->files = (uint32_t)atoi(optarg);
        return true;
    case O_EVERY:
        o->verify_every = atoi(optarg);
        return true;
    case O_NOVERIFY:
        o->verify_every = 0;
        return true;
    case O_CHECK:
        o->check_data = true;
        return true;
    case O_PREPARE:
        o->prepare = true;
        return true;
    case O_STALL:
        o->stall = atof(optarg);
        return true;
    case O_UID:
        o->uid = (uint32_t)atoi(optarg);
        return true;
    case O_GID:
        o->gid = (uint32_t)atoi(optarg);
        return true;
    case O_PID:
        parse_pids(o, optarg);
        return true;
    case O_KEEP:
        o->keep = true;
        return true;
    case O_HELP:
        usage(stdout);
        exit(0);
    default:
        return false;
    }
}

static bool
parse_options(Options *o, int argc, char **argv)
{
    int opt;
    while ((opt = getopt_long(argc, argv, "", longopts, NULL)) != -1)
        if (!parse_one(o, opt))
            return false;
    if (optind != argc - 1)
        return false;
    o->workload = argv[optind];
    work = workload_find(o->workload);
    if (work == NULL || o->connections < 1 || o->inflight < 1 || o->inflight > INFLIGHT_MAX)
        return false;
    if (o->size == 0)
        o->size = strncmp(o->workload, "rand", 4) == 0 ? 4096 : 1 << 20;
    if (o->filesize < o->size)
        o->filesize = o->size;
    o->filesize -= o->filesize % o->size;
    if (work->needs_count && o->count == 0) {
        fprintf(stderr, "nfsload: %s needs --count\n", work->name);
        return false;
    }
    if (o->count == 0 && o->seconds == 0)
        o->seconds = 5;
    return true;
}

static void *
connection_main(void *arg)
{
    Conn *c = arg;
    bool use_nfs = work->next != NULL && strcmp(work->name, "null") != 0;
    if (conn_open(c) && gss_establish(c) && (!use_nfs || (session_setup(c) && nfs_walk(c, c->opt->path, &c->dir)))) {
        work->setup(c);
        if (c->stats.errors > 0)
            conn_fail(c, "%" PRIu64 " errors while setting up", c->stats.errors);
        if (c->broken)
            conn_fail(c, "%" PRIu64 " replies lost while setting up", c->stats.lost);
        memset(&c->stats, 0, sizeof c->stats);
        if (!c->dead)
            work_prepare(c, work, c->opt->count);
    }
    pthread_barrier_wait(&ready);
    pthread_barrier_wait(&go);
    work_run(c, work, c->opt->count, c->opt->seconds);
    if (work->finish != NULL && !c->dead && !c->broken)
        work->finish(c);
    pthread_barrier_wait(&finished);
    pthread_barrier_wait(&taken); /* cleaning up is not what is measured */
    Stats measured = c->stats;
    uint64_t end = c->end_ns;
    if (!c->dead && !c->broken && !c->opt->keep) {
        work->cleanup(c);
        if (use_nfs && !c->dead && !c->broken)
            session_end(c);
    }
    c->stats = measured;
    c->end_ns = end;
    gss_end(c);
    return NULL;
}

static int
report(const Options *o, Conn *conns, double seconds, double server, double self, double machine)
{
    Stats *all = calloc(1, sizeof *all);
    uint32_t window = 0, slots = 0;
    int dead = 0;
    for (int i = 0; i < o->connections; i++) {
        stats_merge(all, &conns[i].stats);
        window = conns[i].gss_window;
        slots = conns[i].sessions[0].slots;
        if (conns[i].dead) {
            dead++;
            fprintf(stderr, "nfsload: connection %d: %s\n", i, conns[i].why);
        }
    }
    double ops = (double)all->ops, bytes = (double)all->bytes;
    printf("{\"workload\": \"%s\", \"sec\": \"%s\", \"connections\": %d, \"inflight\": %d, "
           "\"size\": %u, \"ops\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"entries\": %" PRIu64
           ", \"seconds\": %.4f, \"mb_s\": %.2f, \"ops_s\": %.1f, \"lost\": %" PRIu64 ", \"errors\": %" PRIu64
           ", \"strays\": %" PRIu64 ", \"unverified\": %" PRIu64
           ", \"failed_connections\": %d, \"p50_us\": %.1f, \"p99_us\": %.1f, \"window\": %u, "
           "\"slots\": %u, \"server_cpu\": %.2f, \"client_cpu\": %.2f, \"other_cpu\": %.2f}\n",
           work->name, sec_names[o->sec], o->connections, o->inflight, o->size, all->ops, all->bytes, all->entries,
           seconds, seconds > 0 ? bytes / 1e6 / seconds : 0, seconds > 0 ? ops / seconds : 0, all->lost, all->errors,
           all->strays, all->unverified, dead, hist_quantile(all, 0.5), hist_quantile(all, 0.99), window, slots, server,
           self, machine - server - self);
    int rc = dead > 0 && all->ops == 0 ? 2 : all->lost + all->errors > 0 || dead > 0 ? 1 : 0;
    free(all);
    return rc;
}

int
main(int argc, char **argv)
{
    Options o = {.host = "127.0.0.1",
                 .port = "2049",
                 .path = "/",
                 .file = "nfsload.data",
                 .connections = 1,
                 .inflight = 16,
                 .verify_every = 1,
                 .filesize = 256u << 20,
                 .files = 1000,
                 .stall = 5};
    if (!parse_options(&o, argc, argv)) {
        usage(stderr);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    pattern_init(o.size);
    unsigned n = (unsigned)o.connections + 1;
    pthread_barrier_init(&ready, NULL, n);
    pthread_barrier_init(&go, NULL, n);
    pthread_barrier_init(&finished, NULL, n);
    pthread_barrier_init(&taken, NULL, n);
    Conn *conns = calloc((size_t)o.connections, sizeof *conns);
    uint64_t seed = 0;
    if (getrandom(&seed, sizeof seed, 0) < 0)
        seed = now_ns();
    for (int i = 0; i < o.connections; i++) {
        conns[i].opt = &o;
        conns[i].index = i;
        conns[i].rnd = (seed + (uint64_t)i * 0x9e3779b97f4a7c15u) | 1;
        conns[i].tag = (uint32_t)(seed >> 16);
        pthread_create(&conns[i].thread, NULL, connection_main, &conns[i]);
    }
    pthread_barrier_wait(&ready);
    double server = cpu_of_pids(&o), self = cpu_of_self(), machine = cpu_of_machine();
    uint64_t t0 = now_ns(), t1 = t0;
    pthread_barrier_wait(&go);
    pthread_barrier_wait(&finished);
    server = cpu_of_pids(&o) - server;
    self = cpu_of_self() - self;
    machine = cpu_of_machine() - machine;
    pthread_barrier_wait(&taken);
    for (int i = 0; i < o.connections; i++) {
        pthread_join(conns[i].thread, NULL);
    }
    for (int i = 0; i < o.connections; i++)
        if (conns[i].end_ns > t1)
            t1 = conns[i].end_ns;
    int rc = report(&o, conns, (double)(t1 - t0) / 1e9, server, self, machine);
    for (int i = 0; i < o.connections; i++)
        conn_close(&conns[i]);
    free(conns);
    return rc;
}
