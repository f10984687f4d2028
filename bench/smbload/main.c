/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* smbload: an SMB 3.1.1 load generator. It shares no code with the server, so that what both agree on was agreed on
 * by two. One JSON line on standard output tells the result. */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include "smbload.h"

static const char *const sec_names[] = {"plain", "gmac", "cmac", "gcm"};
static const char *const auth_names[] = {"krb5", "ntlm", "guest"};
static pthread_barrier_t ready, go, finished, taken;
static const Workload *work;

static void
usage(FILE *f)
{
    fputs("Usage: smbload [OPTION...] --share=NAME WORKLOAD\n"
          "Workloads:",
          f);
    workload_names(f);
    fputs("\n"
          "  --host=HOST          server (127.0.0.1)\n"
          "  --port=PORT          its port (445)\n"
          "  --share=NAME         share to work in\n"
          "  --sec=PROTECTION     plain, gmac or cmac (signed), gcm (encrypted) (plain)\n"
          "  --auth=HOW           krb5 (with the ticket there is), ntlm, guest (krb5)\n"
          "  --user=NAME --password=WORDS   for ntlm\n"
          "  --spn=HOST           the service is cifs@HOST, and the share \\\\HOST\\NAME (the server's name)\n"
          "  --connections=N      TCP connections, each with a thread and a session (1)\n"
          "  --inflight=N         requests in flight per connection (16)\n"
          "  --seconds=S          run so long (5, without --count)\n"
          "  --count=N            run so many operations per connection\n"
          "  --size=BYTES         of one READ or WRITE (1 MiB; 4 KiB for random)\n"
          "  --filesize=BYTES     of the file that is read or written (256 MiB)\n"
          "  --file=NAME          the file, made if it is not there (smbload.data)\n"
          "  --entries=N          files in the folder beforehand, e000000000 and so on (500)\n"
          "  --folder=NAME        a folder with such files; create leaves there what it makes, unlink takes that away\n"
          "  --verify-every=N     decrypt, and check the signature of, each Nth reply only (1)\n"
          "  --no-verify          none; headers and lengths are still checked\n"
          "  --check-data         compare what is read with what was written\n"
          "  --stall=S            a reply that is missing so long is lost (5)\n"
          "  --server-pid=P[,P]   report CPU and memory of these processes and their descendants\n"
          "  --keep               leave what was made\n"
          "connect: all connections are made and log in at the same time, and stay until memory was looked at.\n"
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

static int
parse_word(const char *s, const char *const *words, int n)
{
    for (int i = 0; i < n; i++)
        if (strcmp(s, words[i]) == 0)
            return i;
    fprintf(stderr, "smbload: %s is not known\n", s);
    exit(2);
}

static void
parse_pids(Options *o, char *s)
{
    for (char *p = strtok(s, ","); p != NULL && o->npids < 64; p = strtok(NULL, ","))
        o->pids[o->npids++] = atoi(p);
}

enum {
    O_HOST = 1,
    O_PORT,
    O_SHARE,
    O_SEC,
    O_AUTH,
    O_USER,
    O_PASSWORD,
    O_SPN,
    O_CONNS,
    O_FLIGHT,
    O_SECONDS,
    O_COUNT,
    O_SIZE,
    O_FSIZE,
    O_FILE,
    O_ENTRIES,
    O_FOLDER,
    O_EVERY,
    O_NOVERIFY,
    O_CHECK,
    O_STALL,
    O_PID,
    O_KEEP,
    O_HELP
};

static const struct option longopts[] = {
    {"host", 1, NULL, O_HOST},
    {"port", 1, NULL, O_PORT},
    {"share", 1, NULL, O_SHARE},
    {"sec", 1, NULL, O_SEC},
    {"auth", 1, NULL, O_AUTH},
    {"user", 1, NULL, O_USER},
    {"password", 1, NULL, O_PASSWORD},
    {"spn", 1, NULL, O_SPN},
    {"connections", 1, NULL, O_CONNS},
    {"inflight", 1, NULL, O_FLIGHT},
    {"seconds", 1, NULL, O_SECONDS},
    {"count", 1, NULL, O_COUNT},
    {"size", 1, NULL, O_SIZE},
    {"filesize", 1, NULL, O_FSIZE},
    {"file", 1, NULL, O_FILE},
    {"entries", 1, NULL, O_ENTRIES},
    {"folder", 1, NULL, O_FOLDER},
    {"verify-every", 1, NULL, O_EVERY},
    {"no-verify", 0, NULL, O_NOVERIFY},
    {"check-data", 0, NULL, O_CHECK},
    {"stall", 1, NULL, O_STALL},
    {"server-pid", 1, NULL, O_PID},
    {"keep", 0, NULL, O_KEEP},
    {"help", 0, NULL, O_HELP},
    {NULL, 0, NULL, 0},
};

/* What is a text; false for the others. */
static bool
parse_text(Options *o, int opt)
{
    const char **to[] = {
        [O_HOST] = &o->host, [O_PORT] = &o->port,         [O_SHARE] = &o->share, [O_SPN] = &o->spn_host,
        [O_USER] = &o->user, [O_PASSWORD] = &o->password, [O_FILE] = &o->file,   [O_FOLDER] = &o->folder};
    if (opt >= (int)(sizeof to / sizeof *to) || to[opt] == NULL)
        return false;
    *to[opt] = optarg;
    return true;
}

static bool
parse_number(Options *o, int opt)
{
    switch (opt) {
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
    case O_ENTRIES:
        o->entries = (uint32_t)atoi(optarg);
        return true;
    case O_EVERY:
        o->verify_every = atoi(optarg);
        return true;
    case O_STALL:
        o->stall = atof(optarg);
        return true;
    default:
        return false;
    }
}

static bool
parse_one(Options *o, int opt)
{
    if (parse_text(o, opt) || parse_number(o, opt))
        return true;
    switch (opt) {
    case O_SEC:
        o->sec = (Sec)parse_word(optarg, sec_names, 4);
        return true;
    case O_AUTH:
        o->auth = (Auth)parse_word(optarg, auth_names, 3);
        return true;
    case O_NOVERIFY:
        o->verify_every = 0;
        return true;
    case O_CHECK:
        o->check_data = true;
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
    if (optind != argc - 1 || o->share == NULL)
        return false;
    o->workload = argv[optind];
    work = workload_find(o->workload);
    if (work == NULL || o->connections < 1 || o->inflight < 1 || o->inflight > INFLIGHT_MAX || o->entries < 1)
        return false;
    if (o->size == 0)
        o->size = strncmp(o->workload, "rand", 4) == 0 ? 4096 : 1 << 20;
    if (o->filesize < o->size)
        o->filesize = o->size;
    o->filesize -= o->filesize % o->size;
    if (work->needs_count && o->count == 0) {
        fprintf(stderr, "smbload: %s needs --count\n", work->name);
        return false;
    }
    if ((o->auth == AUTH_GUEST && o->sec != SEC_PLAIN) || (o->sec != SEC_PLAIN && strcmp(work->name, "login") == 0)) {
        fprintf(stderr, "smbload: guests, and login, are plain\n");
        return false;
    }
    if (o->count == 0 && o->seconds == 0)
        o->seconds = 5;
    return true;
}

static bool
enter(Conn *c)
{
    return conn_open(c) && auth_negotiate(c) && auth_login(c) && auth_tree(c);
}

static void
prepare(Conn *c)
{
    if (!enter(c))
        return;
    work->setup(c);
    if (c->stats.errors > 0)
        conn_fail(c, "%" PRIu64 " errors while setting up", c->stats.errors);
    memset(&c->stats, 0, sizeof c->stats);
}

static void
connect_now(Conn *c)
{
    uint64_t began = now_ns();
    if (enter(c)) {
        c->stats.ops++;
        hist_add(&c->stats, now_ns() - began);
    }
    c->end_ns = now_ns();
}

static void *
connection_main(void *arg)
{
    Conn *c = arg;
    if (!work->storm)
        prepare(c);
    pthread_barrier_wait(&ready);
    pthread_barrier_wait(&go);
    if (work->storm)
        connect_now(c);
    else
        work_run(c, work, c->opt->count, c->opt->seconds);
    pthread_barrier_wait(&finished);
    pthread_barrier_wait(&taken); /* cleaning up is not what is measured */
    Stats measured = c->stats;
    uint64_t end = c->end_ns;
    if (!c->dead && !c->broken && !c->opt->keep)
        work->cleanup(c);
    c->stats = measured;
    c->end_ns = end;
    return NULL;
}

typedef struct {
    double seconds, server, self, machine;
    uint64_t began_ns;
    uint64_t memory_before, memory_after;
    int processes;
} Measured;

static int
report(const Options *o, Conn *conns, const Measured *m)
{
    Stats *all = calloc(1, sizeof *all);
    int dead = 0;
    for (int i = 0; i < o->connections; i++) {
        stats_merge(all, &conns[i].stats);
        if (conns[i].dead && dead++ < 5)
            fprintf(stderr, "smbload: connection %d: %s\n", i, conns[i].why);
    }
    double ops = (double)all->ops, bytes = (double)all->bytes, t = m->seconds > 0 ? m->seconds : 1e-9;
    printf("{\"workload\": \"%s\", \"sec\": \"%s\", \"auth\": \"%s\", \"connections\": %d, \"inflight\": %d, "
           "\"size\": %u, \"ops\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"entries\": %" PRIu64
           ", \"seconds\": %.4f, \"mb_s\": %.2f, \"ops_s\": %.1f, \"lost\": %" PRIu64 ", \"errors\": %" PRIu64
           ", \"strays\": %" PRIu64
           ", \"failed_connections\": %d, \"p50_us\": %.1f, \"p99_us\": %.1f, \"server_cpu\": %.6f, "
           "\"client_cpu\": %.2f, \"other_cpu\": %.2f, \"processes\": %d, \"memory_before\": %" PRIu64
           ", \"memory_after\": %" PRIu64 "}\n",
           work->name, sec_names[o->sec], auth_names[o->auth], o->connections, o->inflight, o->size, all->ops,
           all->bytes, all->entries, m->seconds, bytes / 1e6 / t, ops / t, all->lost, all->errors, all->strays, dead,
           hist_quantile(all, 0.5), hist_quantile(all, 0.99), m->server, m->self, m->machine - m->server - m->self,
           m->processes, m->memory_before, m->memory_after);
    int rc = dead > 0 && all->ops == 0 ? 2 : all->lost + all->errors > 0 || dead > 0 ? 1 : 0;
    free(all);
    return rc;
}

static Measured
measure(const Options *o)
{
    Measured m = {0};
    pthread_barrier_wait(&ready);
    if (work->storm)
        m.memory_before = memory_of_servers(o, &m.processes);
    m.server = cpu_of_servers(o);
    m.self = cpu_of_self();
    m.machine = cpu_of_machine();
    m.began_ns = now_ns();
    pthread_barrier_wait(&go);
    pthread_barrier_wait(&finished);
    m.server = cpu_of_servers(o) - m.server;
    m.self = cpu_of_self() - m.self;
    m.machine = cpu_of_machine() - m.machine;
    if (work->storm) {
        sleep(1); /* what is given back after the login is */
        m.memory_after = memory_of_servers(o, &m.processes);
    }
    pthread_barrier_wait(&taken);
    return m;
}

static void
start(const Options *o, Conn *conns)
{
    uint64_t seed = 0;
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 256 * 1024);
    if (getrandom(&seed, sizeof seed, 0) < 0)
        seed = now_ns();
    for (int i = 0; i < o->connections; i++) {
        conns[i].opt = o;
        conns[i].index = i;
        conns[i].rnd = (seed + (uint64_t)i * 0x9e3779b97f4a7c15u) | 1;
        conns[i].tag = (uint32_t)(seed >> 16);
        if (pthread_create(&conns[i].thread, &attr, connection_main, &conns[i]) != 0) {
            fputs("smbload: no more threads\n", stderr);
            exit(2);
        }
    }
    pthread_attr_destroy(&attr);
}

int
main(int argc, char **argv)
{
    Options o = {.host = "127.0.0.1",
                 .port = "445",
                 .file = "smbload.data",
                 .user = "",
                 .password = "",
                 .connections = 1,
                 .inflight = 16,
                 .verify_every = 1,
                 .filesize = 256u << 20,
                 .entries = 500,
                 .stall = 5};
    if (!parse_options(&o, argc, argv)) {
        usage(stderr);
        return 2;
    }
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    signal(SIGPIPE, SIG_IGN);
    pattern_init(o.size > 65536 ? o.size : 65536);
    unsigned n = (unsigned)o.connections + 1;
    pthread_barrier_init(&ready, NULL, n);
    pthread_barrier_init(&go, NULL, n);
    pthread_barrier_init(&finished, NULL, n);
    pthread_barrier_init(&taken, NULL, n);
    Conn *conns = calloc((size_t)o.connections, sizeof *conns);
    start(&o, conns);
    Measured m = measure(&o);
    for (int i = 0; i < o.connections; i++)
        pthread_join(conns[i].thread, NULL);
    uint64_t t1 = m.began_ns;
    for (int i = 0; i < o.connections; i++)
        if (conns[i].end_ns > t1)
            t1 = conns[i].end_ns;
    m.seconds = (double)(t1 - m.began_ns) / 1e9;
    int rc = report(&o, conns, &m);
    for (int i = 0; i < o.connections; i++)
        conn_close(&conns[i]);
    free(conns);
    return rc;
}
