/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Latency histogram (log-linear, 32 steps per octave); processor time and memory of whole process trees, because some
 * servers have a process for each client. */
#include <dirent.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "smbload.h"

#define PROCESSES_MAX 8192

static int
hist_index(uint64_t ns)
{
    uint64_t v = ns >> 6; /* 64 ns is fine enough */
    int shift = 0;
    while ((v >> shift) >= 2 * HIST_SUB)
        shift++;
    int i = shift * HIST_SUB + (int)(v >> shift);
    return i < HIST_SIZE ? i : HIST_SIZE - 1;
}

void
hist_add(Stats *s, uint64_t ns)
{
    s->hist[hist_index(ns)]++;
}

/* In microseconds; 0 when nothing was counted. */
double
hist_quantile(const Stats *s, double q)
{
    uint64_t all = 0, sum = 0;
    for (int i = 0; i < HIST_SIZE; i++)
        all += s->hist[i];
    for (int i = 0; i < HIST_SIZE && all > 0; i++) {
        sum += s->hist[i];
        if ((double)sum >= q * (double)all) {
            int shift = i < 2 * HIST_SUB ? 0 : i / HIST_SUB - 1;
            return (double)((uint64_t)(i - shift * HIST_SUB) << shift) * 64 / 1000.0;
        }
    }
    return 0;
}

void
stats_merge(Stats *to, const Stats *from)
{
    to->ops += from->ops;
    to->bytes += from->bytes;
    to->entries += from->entries;
    to->errors += from->errors;
    to->lost += from->lost;
    to->strays += from->strays;
    for (int i = 0; i < HIST_SIZE; i++)
        to->hist[i] += from->hist[i];
}

static int
add_children(int *pids, int n, int pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *d = opendir(path);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        char file[400];
        int child;
        snprintf(file, sizeof file, "%s/%s/children", path, e->d_name);
        FILE *f = e->d_name[0] == '.' ? NULL : fopen(file, "re");
        while (f != NULL && n < PROCESSES_MAX && fscanf(f, "%d", &child) == 1)
            pids[n++] = child;
        if (f != NULL)
            fclose(f);
    }
    if (d != NULL)
        closedir(d);
    return n;
}

/* The servers and all their descendants. */
static int
find_processes(const Options *o, int *pids)
{
    int n = 0;
    for (; n < o->npids; n++)
        pids[n] = o->pids[n];
    for (int i = 0; i < n; i++)
        n = add_children(pids, n, pids[i]);
    return n;
}

/* What children took that have ended and were waited for. */
static double
cpu_of_the_dead(int pid)
{
    char path[64], line[1024];
    unsigned long u = 0, s = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *f = fopen(path, "re");
    if (f != NULL && fgets(line, sizeof line, f) != NULL) {
        const char *p = strrchr(line, ')'); /* the name may hold anything */
        if (p == NULL || sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %lu %lu", &u, &s) != 2)
            u = s = 0;
    }
    if (f != NULL)
        fclose(f);
    return (double)(u + s) / (double)sysconf(_SC_CLK_TCK);
}

/* Seconds, to the nanosecond for what lives. */
double
cpu_of_servers(const Options *o)
{
    int pids[PROCESSES_MAX], n = find_processes(o, pids);
    double sum = 0;
    for (int i = 0; i < n; i++) {
        clockid_t clock;
        struct timespec t;
        if (clock_getcpuclockid(pids[i], &clock) == 0 && clock_gettime(clock, &t) == 0)
            sum += (double)t.tv_sec + (double)t.tv_nsec / 1e9;
        sum += cpu_of_the_dead(pids[i]);
    }
    return sum;
}

/* Bytes of memory, of shared pages each process's part (PSS). */
uint64_t
memory_of_servers(const Options *o, int *processes)
{
    int pids[PROCESSES_MAX];
    uint64_t sum = 0;
    *processes = find_processes(o, pids);
    for (int i = 0; i < *processes; i++) {
        char path[64], line[256];
        unsigned long kb;
        snprintf(path, sizeof path, "/proc/%d/smaps_rollup", pids[i]);
        FILE *f = fopen(path, "re");
        while (f != NULL && fgets(line, sizeof line, f) != NULL)
            if (sscanf(line, "Pss: %lu kB", &kb) == 1)
                sum += (uint64_t)kb * 1024;
        if (f != NULL)
            fclose(f);
    }
    return sum;
}

double
cpu_of_self(void)
{
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) + (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

/* Time that all processors were not idle. */
double
cpu_of_machine(void)
{
    unsigned long long v[8] = {0};
    FILE *f = fopen("/proc/stat", "re");
    if (f == NULL)
        return 0;
    int n = fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6],
                   &v[7]);
    fclose(f);
    if (n < 7)
        return 0;
    return (double)(v[0] + v[1] + v[2] + v[5] + v[6]) / (double)sysconf(_SC_CLK_TCK);
}
