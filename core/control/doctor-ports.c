/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The area "ports": protocols that do not run and who has their port, and whether those that run can be reached.
 *
 * Spec: proc(5), /proc/net/tcp. Thread: prepare in the main one, the check in its own. */
#include "control/doctor.h"

#include "module/host-private.h"

#include <dirent.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TCP_LISTENING 0x0a

typedef struct {
    char *name, *module, *reason;
    gboolean running;
} Protocol;

typedef struct {
    char *host;
    GPtrArray *protocols; /* of Protocol */
    GArray *places;       /* of LaresSelfPlace */
} Material;

static void
protocol_free(gpointer data)
{
    Protocol *p = data;
    g_free(p->name);
    g_free(p->module);
    g_free(p->reason);
    g_free(p);
}

static gpointer
prepare(LaresHost *host, gpointer user)
{
    Material *m = g_new0(Material, 1);
    m->host = g_strdup(host->name);
    m->protocols = g_ptr_array_new_with_free_func(protocol_free);
    m->places = lares_doctor_places(host);
    for (guint i = 0; i < host->modules->len; i++) {
        const LaresHostModule *module = host->modules->pdata[i];
        for (guint j = 0; module->protocols && j < module->protocols->len; j++) {
            const LaresHostProtocol *p = module->protocols->pdata[j];
            g_autoptr(GVariant) status = p->running ? lares_protocol_get_status(p->protocol) : NULL;
            Protocol *seen = g_new0(Protocol, 1);
            seen->name = g_strdup(lares_protocol_get_name(p->protocol));
            seen->module = g_strdup(module->name);
            seen->reason = g_strdup(p->reason);
            seen->running = p->running;
            if (status)
                g_variant_ref_sink(status);
            if (status && !seen->reason)
                g_variant_lookup(status, "problem", "s", &seen->reason);
            g_ptr_array_add(m->protocols, seen);
        }
    }
    return m;
}

static void
release(gpointer material)
{
    Material *m = material;
    g_ptr_array_unref(m->protocols);
    g_array_unref(m->places);
    g_free(m->host);
    g_free(m);
}

/* ---- Who has a port -------------------------------------------------------------------------------------------- */

/* The inode of the socket that listens on the port; 0: none. */
static guint64
listening_inode(const char *table, guint port)
{
    g_autofree char *text = NULL;
    if (!g_file_get_contents(table, &text, NULL, NULL))
        return 0;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (guint i = 1; lines[0] && lines[i]; i++) {
        unsigned local, state;
        guint64 inode;
        if (sscanf(lines[i],
                   " %*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*x:%*x %*x:%*x %*x %*u %*u %" G_GUINT64_FORMAT, &local,
                   &state, &inode) == 3 &&
            state == TCP_LISTENING && local == port)
            return inode;
    }
    return 0;
}

static gboolean
holds_socket(const char *pid, const char *link)
{
    g_autofree char *folder = g_strdup_printf("/proc/%s/fd", pid);
    DIR *dir = opendir(folder);
    struct dirent *e;
    gboolean found = FALSE;
    while (dir && !found && (e = readdir(dir))) {
        char target[64];
        g_autofree char *path = g_build_filename(folder, e->d_name, NULL);
        ssize_t n = readlink(path, target, sizeof target - 1);
        target[n > 0 ? n : 0] = '\0';
        found = g_str_equal(target, link);
    }
    if (dir)
        closedir(dir);
    return found;
}

/* "nfsd (process 4711)", or NULL: nobody, the kernel itself, or somebody we may not look at. */
static char *
holder_of(guint port)
{
    guint64 inode = listening_inode("/proc/net/tcp", port);
    if (!inode)
        inode = listening_inode("/proc/net/tcp6", port);
    if (!inode)
        return NULL;
    g_autofree char *link = g_strdup_printf("socket:[%" G_GUINT64_FORMAT "]", inode);
    DIR *proc = opendir("/proc");
    struct dirent *e;
    char *holder = NULL;
    while (proc && !holder && (e = readdir(proc))) {
        g_autofree char *comm = NULL, *path = g_strdup_printf("/proc/%s/comm", e->d_name);
        if (!g_ascii_isdigit(e->d_name[0]) || !holds_socket(e->d_name, link))
            continue;
        if (g_file_get_contents(path, &comm, NULL, NULL))
            holder = g_strdup_printf("%s (process %s)", g_strchomp(comm), e->d_name);
    }
    if (proc)
        closedir(proc);
    return holder;
}

/* The last number behind a colon: "cannot listen on [::]:2049: Address already in use". */
static guint
port_in(const char *reason)
{
    guint port = 0;
    for (const char *p = reason; *p; p++)
        if (*p == ':' && g_ascii_isdigit(p[1]))
            port = (guint)strtoul(p + 1, NULL, 10);
    return port;
}

static void
tell_trouble(LaresDoctor *doctor, const Protocol *p)
{
    guint port = port_in(p->reason);
    gboolean taken = port && strcasestr(p->reason, "in use");
    g_autofree char *holder = taken ? holder_of(port) : NULL;
    g_autofree char *see = g_strdup_printf("ss -ltnp 'sport = :%u'  # stop what is there, then: laresctl reload", port);
    g_autofree char *show = g_strdup_printf("laresctl module show %s", p->module);
    if (taken)
        lares_doctor_find(doctor, "taken", LARES_FINDING_ERROR, see,
                          "The protocol %s does not run: port %u is taken by %s. Stop that, or give %s another port "
                          "(listen in %s.module).",
                          p->name, port, holder ? holder : "another program, or by the kernel's own server", p->name,
                          p->module);
    else
        lares_doctor_find(doctor, "stopped", LARES_FINDING_ERROR, show,
                          "The protocol %s does not run as it should: %s.", p->name, p->reason);
}

/* ---- Whether it can be reached --------------------------------------------------------------------------------- */

static gboolean
reach(LaresDoctor *doctor, const LaresSelfPlace *place, const LaresPeer *address)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *rules = g_strdup_printf("nft list ruleset | grep -n %u", address->port);
    int fd = lares_doctor_connect(doctor, address, &error);
    if (fd >= 0) {
        close(fd);
        return TRUE;
    }
    lares_doctor_find(doctor, "unreachable", LARES_FINDING_ERROR, rules,
                      "%s listens, but cannot be reached at %s port %u: %s. A firewall on this machine closes it.",
                      place->login->title, address->address, address->port, error->message);
    return FALSE;
}

/* The addresses that clients find by the server's name, when it listens on all. */
static guint
reach_by_name(LaresDoctor *doctor, const LaresSelfPlace *place, const char *name, gboolean *good)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    guint n = 0;
    if (getaddrinfo(name, NULL, &hints, &found) != 0)
        return 0; /* the area "names" says so */
    for (struct addrinfo *a = found; a && n < 8; a = a->ai_next) {
        LaresPeer address = {.port = place->address.port};
        if (getnameinfo(a->ai_addr, a->ai_addrlen, address.address, sizeof address.address, NULL, 0, NI_NUMERICHOST))
            continue;
        n++;
        *good = reach(doctor, place, &address) && *good;
    }
    freeaddrinfo(found);
    return n;
}

static void
check_place(LaresDoctor *doctor, const Material *m, const LaresSelfPlace *place)
{
    gboolean good = reach(doctor, place, &place->address);
    guint n = 1;
    /* Bound to one address: others do not count. */
    if (place->everywhere)
        n += reach_by_name(doctor, place, m->host, &good);
    if (good)
        lares_doctor_find(doctor, "reachable", LARES_FINDING_OK, NULL, "%s answers on port %u (%u addresses tried).",
                          place->login->title, place->address.port, n);
    if (!place->everywhere && place->address.is_local)
        lares_doctor_find(doctor, "loopback", LARES_FINDING_NOTE, NULL,
                          "%s listens on %s only: other machines cannot reach it.", place->login->title,
                          place->address.address);
}

static void
check(LaresDoctor *doctor, gpointer material)
{
    const Material *m = material;
    for (guint i = 0; i < m->protocols->len; i++) {
        const Protocol *p = m->protocols->pdata[i];
        if (p->reason)
            tell_trouble(doctor, p);
    }
    for (guint i = 0; i < m->places->len && lares_doctor_left(doctor) > 0; i++) {
        const LaresSelfPlace *place = &g_array_index(m->places, LaresSelfPlace, i);
        if (place->listens)
            check_place(doctor, m, place);
    }
}

const LaresCheck lares_doctor_port_checks[] = {{"ports", "protocols and their ports", prepare, release, check}, {NULL}};
