/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The areas "names" and "state": how the server is found, and who may look at what it keeps.
 *
 * Thread: prepare in the main one, the checks in their own. */
#include "server/server.h"

#include "control/doctor.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define LITTLE_SPACE ((guint64)64 << 20)

typedef struct {
    char *name;
    char **aliases;
    char *state_dir, *config_dir;
} Material;

static gpointer
prepare(LaresHost *host, gpointer user)
{
    Material *m = g_new0(Material, 1);
    m->name = g_strdup(host->name);
    m->aliases = g_strdupv(host->aliases);
    m->state_dir = g_strdup(host->state_dir);
    m->config_dir = g_strdup(host->module_config_dir);
    return m;
}

static void
release(gpointer material)
{
    Material *m = material;
    g_free(m->name);
    g_strfreev(m->aliases);
    g_free(m->state_dir);
    g_free(m->config_dir);
    g_free(m);
}

/* ---- names ----------------------------------------------------------------------------------------------------- */

static gboolean
same_host(const struct sockaddr *a, const struct sockaddr *b)
{
    if (!b || a->sa_family != b->sa_family)
        return FALSE;
    if (a->sa_family == AF_INET)
        return ((const struct sockaddr_in *)a)->sin_addr.s_addr == ((const struct sockaddr_in *)b)->sin_addr.s_addr;
    return a->sa_family == AF_INET6 && IN6_ARE_ADDR_EQUAL(&((const struct sockaddr_in6 *)a)->sin6_addr,
                                                          &((const struct sockaddr_in6 *)b)->sin6_addr);
}

static gboolean
is_loopback(const struct sockaddr *sa)
{
    if (sa->sa_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)sa)->sin_addr.s_addr) >> 24 == 127;
    return sa->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)sa)->sin6_addr);
}

/* Loopback addresses are all this machine's, whatever its interface has. */
static gboolean
is_own(const struct ifaddrs *own, const struct sockaddr *sa)
{
    for (; own; own = own->ifa_next)
        if (same_host(sa, own->ifa_addr))
            return TRUE;
    return is_loopback(sa);
}

/* An address by which others can find this machine; "ADDRESS" when it has none. */
static void
own_address(const struct ifaddrs *own, char text[INET6_ADDRSTRLEN])
{
    g_strlcpy(text, "ADDRESS", INET6_ADDRSTRLEN);
    for (; own; own = own->ifa_next) {
        if (!own->ifa_addr || own->ifa_addr->sa_family != AF_INET || (own->ifa_flags & IFF_LOOPBACK))
            continue;
        inet_ntop(AF_INET, &((const struct sockaddr_in *)own->ifa_addr)->sin_addr, text, INET6_ADDRSTRLEN);
        return;
    }
}

static char *
hosts_line(const struct ifaddrs *own, const char *name)
{
    char address[INET6_ADDRSTRLEN];
    const char *dot = strchr(name, '.');
    own_address(own, address);
    return g_strdup_printf("echo '%s %s%s%.*s' >> /etc/hosts  # here and on the clients, or the same in DNS", address,
                           name, dot ? " " : "", dot ? (int)(dot - name) : 0, name);
}

static void
check_reverse(LaresDoctor *doctor, const struct addrinfo *a, const char *text, const char *name, char **names)
{
    char back[NI_MAXHOST];
    if (is_loopback(a->ai_addr) || getnameinfo(a->ai_addr, a->ai_addrlen, back, sizeof back, NULL, 0, NI_NAMEREQD) != 0)
        return;
    for (; *names; names++)
        if (g_ascii_strcasecmp(*names, back) == 0)
            return;
    lares_doctor_find(
        doctor, "reverse", LARES_FINDING_WARNING, "printf '[libdefaults]\\n    rdns = false\\n' >> /etc/krb5.conf",
        "The address %s of %s leads back to the name %s, which this server does not go by: clients that look "
        "names up backwards ask for tickets of the wrong name. Correct the PTR record, add %s to aliases= in "
        "lares.conf, or switch the looking backwards off on the clients.",
        text, name, back, back);
}

static void
check_address(LaresDoctor *doctor, const struct ifaddrs *own, const struct addrinfo *a, const char *name, char **names)
{
    char text[NI_MAXHOST] = "?";
    getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST);
    if (is_own(own, a->ai_addr)) {
        check_reverse(doctor, a, text, name, names);
        return;
    }
    g_autofree char *line = hosts_line(own, name);
    lares_doctor_find(
        doctor, "foreign", LARES_FINDING_WARNING, line,
        "The name %s leads to %s, which is no address of this machine: clients that use it reach another one "
        "(unless a router passes them on).",
        name, text);
}

static gboolean
check_name(LaresDoctor *doctor, const struct ifaddrs *own, const char *name, char **names, gboolean *loopback)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    int code = getaddrinfo(name, NULL, &hints, &found);
    if (code != 0) {
        g_autofree char *line = hosts_line(own, name);
        lares_doctor_find(
            doctor, "unknown", LARES_FINDING_ERROR, line,
            "The server's name %s leads to no address here (%s): clients and Kerberos find servers by name.", name,
            gai_strerror(code));
        return FALSE;
    }
    *loopback = TRUE;
    for (const struct addrinfo *a = found; a; a = a->ai_next) {
        *loopback = *loopback && is_loopback(a->ai_addr);
        check_address(doctor, own, a, name, names);
    }
    freeaddrinfo(found);
    return TRUE;
}

/* The name that clients of other machines use. */
static void
check_form(LaresDoctor *doctor, const char *name)
{
    if (g_str_equal(name, "localhost") || g_str_has_prefix(name, "localhost."))
        lares_doctor_find(
            doctor, "localhost", LARES_FINDING_WARNING,
            "hostnamectl set-hostname nas.home.lan && systemctl restart laresd",
            "The server goes by the name %s, which means another machine on each client: give it a name of its "
            "own (or host-name= in lares.conf).",
            name);
    else if (!strchr(name, '.'))
        lares_doctor_find(
            doctor, "short", LARES_FINDING_WARNING, "hostnamectl set-hostname nas.home.lan && systemctl restart laresd",
            "The server's name %s has no domain: Kerberos clients ask for the full name, and the keys are made "
            "for it. Use a full name (or host-name= in lares.conf).",
            name);
}

static void
check_names(LaresDoctor *doctor, gpointer material)
{
    const Material *m = material;
    struct ifaddrs *own = NULL;
    gboolean good = TRUE, loopback = FALSE;
    if (getifaddrs(&own) != 0)
        own = NULL;
    check_form(doctor, m->name);
    for (char **name = m->aliases; *name && lares_doctor_left(doctor) > 0; name++) {
        gboolean here = FALSE;
        good = check_name(doctor, own, *name, m->aliases, &here) && good;
        loopback = loopback || (here && name == m->aliases);
    }
    if (good)
        lares_doctor_find(doctor, "found", LARES_FINDING_OK, NULL, "The server's name %s leads to an address.",
                          m->name);
    if (good && loopback && !g_str_has_prefix(m->name, "localhost"))
        lares_doctor_find(
            doctor, "loopback", LARES_FINDING_NOTE, NULL,
            "On this machine %s leads to loopback; that is usual (Debian's 127.0.1.1) and fine as long as "
            "clients find its real address: try getent hosts %s on one.",
            m->name, m->name);
    if (own)
        freeifaddrs(own);
}

/* ---- state ----------------------------------------------------------------------------------------------------- */

typedef struct {
    LaresDoctor *doctor;
    guint files, wrong;
} Walk;

static void
check_owner(Walk *walk, const char *path, const struct stat *st)
{
    if (st->st_uid == geteuid() || (st->st_uid == 0 && geteuid() != 0))
        return;
    g_autofree char *chown = g_strdup_printf("chown %u %s", (unsigned)geteuid(), path);
    walk->wrong++;
    lares_doctor_find(walk->doctor, "owner", LARES_FINDING_ERROR, chown,
                      "%s belongs to user number %u, who can change it; it must belong to the server's own user (%u).",
                      path, (unsigned)st->st_uid, (unsigned)geteuid());
}

/* Secrets: keys, passwords, tokens' hashes. */
static gboolean
is_secret(const char *name)
{
    return g_str_has_suffix(name, ".key") || g_str_has_suffix(name, ".keytab") || g_str_has_suffix(name, "stash") ||
           g_str_has_prefix(name, "principal") || g_str_has_suffix(name, ".dump") || g_str_has_suffix(name, "-key.pem");
}

static void
check_mode(Walk *walk, const char *path, const char *name, const struct stat *st)
{
    guint loose = st->st_mode & (S_ISDIR(st->st_mode) || is_secret(name) ? 077 : 022);
    g_autofree char *chmod = g_strdup_printf("chmod %s %s", S_ISDIR(st->st_mode) ? "700" : "600", path);
    if (!loose)
        return;
    walk->wrong++;
    lares_doctor_find(walk->doctor, "mode", LARES_FINDING_ERROR, chmod,
                      "%s has mode %04o: other accounts of this machine can %s it.%s", path,
                      (unsigned)(st->st_mode & 07777), loose & 022 ? "change" : "read",
                      is_secret(name) ? " There are keys in it: who may have seen them should be shut out by new ones "
                                        "(laresctl realm rotate)."
                                      : "");
}

static void
walk_folder(Walk *walk, const char *path, guint depth)
{
    DIR *dir = opendir(path);
    struct dirent *e;
    while (dir && (e = readdir(dir)) && lares_doctor_left(walk->doctor) > 0) {
        struct stat st;
        g_autofree char *one = g_build_filename(path, e->d_name, NULL);
        if (g_str_equal(e->d_name, ".") || g_str_equal(e->d_name, "..") || lstat(one, &st) != 0 ||
            !(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)))
            continue;
        walk->files++;
        check_owner(walk, one, &st);
        check_mode(walk, one, e->d_name, &st);
        if (S_ISDIR(st.st_mode) && depth > 0)
            walk_folder(walk, one, depth - 1);
    }
    if (dir)
        closedir(dir);
}

static void
check_space(LaresDoctor *doctor, const char *path)
{
    struct statvfs fs;
    g_autofree char *df = g_strdup_printf("df -h %s", path);
    if (statvfs(path, &fs) != 0)
        return;
    guint64 left = (guint64)fs.f_bavail * fs.f_frsize;
    if (left < LITTLE_SPACE)
        lares_doctor_find(doctor, "space", LARES_FINDING_WARNING, df,
                          "The file system of %s has %" G_GUINT64_FORMAT
                          " MiB left: when it is full, nothing that clients "
                          "have open can be remembered.",
                          path, left >> 20);
}

/* Who can write what the server reads at its start can be the server. */
static void
check_configuration(LaresDoctor *doctor, const char *path)
{
    struct stat st;
    g_autofree char *chmod = g_strdup_printf("chmod go-w %s", path);
    if (stat(path, &st) == 0 && (st.st_mode & 022))
        lares_doctor_find(doctor, "configuration", LARES_FINDING_ERROR, chmod,
                          "%s has mode %04o: other accounts of this machine can change the server's settings.", path,
                          (unsigned)(st.st_mode & 07777));
}

static void
check_state(LaresDoctor *doctor, gpointer material)
{
    const Material *m = material;
    Walk walk = {doctor, 0, 0};
    struct stat st;
    if (stat(m->state_dir, &st) != 0) {
        lares_doctor_find(doctor, "gone", LARES_FINDING_ERROR, "systemctl restart laresd",
                          "The state folder %s cannot be looked at: %s.", m->state_dir, g_strerror(errno));
        return;
    }
    check_owner(&walk, m->state_dir, &st);
    check_mode(&walk, m->state_dir, "", &st);
    walk_folder(&walk, m->state_dir, 2);
    check_space(doctor, m->state_dir);
    check_configuration(doctor, m->config_dir);
    if (walk.wrong == 0)
        lares_doctor_find(doctor, "modes", LARES_FINDING_OK, NULL,
                          "What the server keeps in %s (%u files) is its own and closed to others.", m->state_dir,
                          walk.files);
}

static const LaresCheck checks[] = {{"names", "the server's names", prepare, release, check_names},
                                    {"state", "what the server keeps", prepare, release, check_state},
                                    {NULL}};

gboolean
lares_server_add_checks(LaresHost *host, GError **error)
{
    return lares_doctor_add(host->control, checks, host, error);
}
