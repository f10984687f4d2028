/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Latency histogram (log-linear, 32 steps per octave) and CPU time of processes from /proc. */
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "nfsload.h"

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
    to->retries += from->retries;
    to->unverified += from->unverified;
    for (int i = 0; i < HIST_SIZE; i++)
        to->hist[i] += from->hist[i];
}

/* utime+stime of the server's processes in seconds. */
double
cpu_of_pids(const Options *o)
{
    double sum = 0;
    for (int i = 0; i < o->npids; i++) {
        char path[64], line[1024];
        unsigned long u, s;
        snprintf(path, sizeof path, "/proc/%d/stat", o->pids[i]);
        FILE *f = fopen(path, "re");
        if (f == NULL)
            continue;
        if (fgets(line, sizeof line, f) != NULL) {
            const char *p = strrchr(line, ')'); /* the name may hold anything */
            if (p != NULL && sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &u, &s) == 2)
                sum += (double)(u + s) / (double)sysconf(_SC_CLK_TCK);
        }
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
