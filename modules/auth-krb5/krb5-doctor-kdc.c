/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which KDCs there are, whether they answer by UDP and by TCP, and what time they have.
 *
 * A request for a principal that does not exist is answered with an error, and every error carries the KDC's time.
 *
 * Spec: RFC 4120 5.9.1 (KRB-ERROR, stime), 7.2 (transports, names in DNS) */
#include "krb5-doctor.h"

#include <errno.h>
#include <gio/gio.h>
#include <netdb.h>
#include <poll.h>
#include <profile.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define KDC_PORT      88
#define MAX_KDCS      4
#define UDP_TRIES     2
#define UDP_WAIT_MS   1000
#define MAX_ANSWER    65536u
#define NOBODY        "lares-clock-check"
#define SLIGHTLY_LATE 30 /* seconds that are worth a warning */

typedef struct {
    char *host;
    guint16 port;
} Kdc;

static void
kdc_clear(gpointer data)
{
    g_free(((Kdc *)data)->host);
}

/* ---- Finding --------------------------------------------------------------------------------------------------- */

/* "host", "host:port", "[v6]:port", any of them after "udp/" or "tcp/"; a KDC behind HTTPS is not looked at. */
static gboolean
parse_kdc(const char *text, Kdc *kdc)
{
    const char *slash = strchr(text, '/');
    g_autoptr(GSocketConnectable) parsed = NULL;

    if (g_str_has_prefix(text, "https:"))
        return FALSE;
    parsed = g_network_address_parse(slash != NULL ? slash + 1 : text, KDC_PORT, NULL);
    if (parsed == NULL)
        return FALSE;
    kdc->host = g_strdup(g_network_address_get_hostname(G_NETWORK_ADDRESS(parsed)));
    kdc->port = g_network_address_get_port(G_NETWORK_ADDRESS(parsed));
    return TRUE;
}

static void
kdcs_of_profile(Krb5Visit *visit, const char *realm, GArray *kdcs)
{
    const char *path[] = {"realms", realm, "kdc", NULL};
    profile_t profile = NULL;
    char **values = NULL;

    if (krb5_get_profile(visit->krb5, &profile) != 0)
        return;
    if (profile_get_values(profile, path, &values) == 0) {
        for (char **value = values; *value != NULL && kdcs->len < MAX_KDCS; value++) {
            Kdc kdc;

            if (parse_kdc(*value, &kdc))
                g_array_append_val(kdcs, kdc);
        }
        profile_free_list(values);
    }
    profile_release(profile);
}

static void
kdcs_of_dns(const char *realm, GArray *kdcs)
{
    g_autoptr(GResolver) resolver = g_resolver_get_default();
    GList *targets = g_resolver_lookup_service(resolver, "kerberos", "udp", realm, NULL, NULL);

    for (GList *t = targets; t != NULL && kdcs->len < MAX_KDCS; t = t->next) {
        Kdc kdc = {g_strdup(g_srv_target_get_hostname(t->data)), g_srv_target_get_port(t->data)};

        g_array_append_val(kdcs, kdc);
    }
    g_resolver_free_targets(targets);
}

/* ---- Asking ---------------------------------------------------------------------------------------------------- */

/* The first message of a login as nobody, as the library writes it. */
static gboolean
make_request(Krb5Visit *visit, const char *realm, krb5_data *request)
{
    krb5_init_creds_context login = NULL;
    krb5_principal nobody = NULL;
    krb5_data none = {0}, answered = {0};
    unsigned flags = 0;
    krb5_error_code code = krb5_build_principal(visit->krb5, &nobody, (unsigned)strlen(realm), realm, NOBODY, NULL);

    if (code == 0)
        code = krb5_init_creds_init(visit->krb5, nobody, NULL, NULL, 0, NULL, &login);
    if (code == 0)
        code = krb5_init_creds_step(visit->krb5, login, &none, request, &answered, &flags);
    krb5_free_data_contents(visit->krb5, &answered);
    if (login != NULL)
        krb5_init_creds_free(visit->krb5, login);
    krb5_free_principal(visit->krb5, nobody);
    return code == 0;
}

/* Bytes of an answer, or -1 with errno. */
static ssize_t
ask_udp(Krb5Visit *visit, const struct addrinfo *to, const krb5_data *request, char *answer)
{
    int fd = socket(to->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ssize_t n = -1;

    if (fd < 0 || connect(fd, to->ai_addr, to->ai_addrlen) != 0)
        goto out;
    for (int i = 0; i < UDP_TRIES && n < 0 && lares_doctor_left(visit->doctor) > 0; i++) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};

        if (send(fd, request->data, request->length, 0) < 0)
            break;
        if (poll(&wait, 1, UDP_WAIT_MS) > 0)
            n = recv(fd, answer, MAX_ANSWER, 0);
        else
            errno = ETIMEDOUT;
        if (n < 0 && errno == ECONNREFUSED)
            break;
    }
out:
    if (fd >= 0) {
        int code = errno;

        close(fd);
        errno = code;
    }
    return n;
}

/* A peer that sends a byte now and then gets no more of the check's time than there is. */
static gboolean
receive_all(Krb5Visit *visit, int fd, char *to, size_t len)
{
    while (len > 0) {
        ssize_t n = recv(fd, to, len, 0);

        if (n <= 0 || lares_doctor_left(visit->doctor) == 0)
            return FALSE;
        to += n;
        len -= (size_t)n;
    }
    return TRUE;
}

static ssize_t
ask_tcp(Krb5Visit *visit, const struct addrinfo *to, const krb5_data *request, char *answer, GError **error)
{
    uint32_t length = g_htonl(request->length);
    LaresPeer address = {0};
    char port[8];
    ssize_t n = -1;

    getnameinfo(to->ai_addr, to->ai_addrlen, address.address, sizeof address.address, port, sizeof port,
                NI_NUMERICHOST | NI_NUMERICSERV);
    address.port = (uint16_t)g_ascii_strtoull(port, NULL, 10);
    int fd = lares_doctor_connect(visit->doctor, &address, error);
    if (fd < 0)
        return -1;
    if (send(fd, &length, sizeof length, MSG_NOSIGNAL) == sizeof length &&
        send(fd, request->data, request->length, MSG_NOSIGNAL) == (ssize_t)request->length &&
        receive_all(visit, fd, (char *)&length, sizeof length) && g_ntohl(length) <= MAX_ANSWER &&
        receive_all(visit, fd, answer, g_ntohl(length)))
        n = (ssize_t)g_ntohl(length);
    else
        g_set_error_literal(error, LARES_ERROR, LARES_ERROR_FAILED, "no answer");
    close(fd);
    return n;
}

/* The KDC's time of a KRB-ERROR; FALSE for anything else. */
static gboolean
time_of(Krb5Visit *visit, char *answer, ssize_t len, gint64 *usec)
{
    krb5_data data = {.data = answer, .length = len > 0 ? (unsigned)len : 0};
    krb5_error *error = NULL;

    if (len <= 0 || krb5_rd_error(visit->krb5, &data, &error) != 0)
        return FALSE;
    *usec = (gint64)(guint32)error->stime * G_USEC_PER_SEC + error->susec;
    krb5_free_error(visit->krb5, error);
    return TRUE;
}

/* ---- Judging --------------------------------------------------------------------------------------------------- */

static void
judge_clock(Krb5Visit *visit, const Kdc *kdc, const char *realm, gint64 offset)
{
    gint64 seconds = ABS(offset) / G_USEC_PER_SEC, allowed = visit->material->now.clock_skew;
    const char *which = offset > 0 ? "ahead of" : "behind";
    g_autofree char *off = g_strdup_printf("%" G_GINT64_FORMAT " seconds %s", seconds, which);

    if (seconds >= allowed)
        lares_doctor_find(
            visit->doctor, "clock", LARES_FINDING_ERROR, "timedatectl set-ntp true  # here and on the KDC",
            "This server's clock is %s that of the KDC %s of %s; Kerberos allows %" G_GINT64_FORMAT ": no login works.",
            off, kdc->host, realm, allowed);
    else if (seconds >= SLIGHTLY_LATE)
        lares_doctor_find(visit->doctor, "clock", LARES_FINDING_WARNING,
                          "timedatectl set-ntp true  # here and on the KDC",
                          "This server's clock is %s that of the KDC %s of %s; Kerberos allows %" G_GINT64_FORMAT
                          ", and clients whose clocks are off the other way are refused.",
                          off, kdc->host, realm, allowed);
    else
        lares_doctor_find(visit->doctor, "clock", LARES_FINDING_OK, NULL,
                          "The clocks of this server and of the KDC %s agree (%.1f s).", kdc->host,
                          (double)ABS(offset) / G_USEC_PER_SEC);
}

static void
judge_answers(Krb5Visit *visit, const Kdc *kdc, const char *realm, const char *udp, const char *tcp)
{
    gboolean home = visit->material->home_realm != NULL;
    g_autofree char *open =
        g_strdup_printf("firewall-cmd --add-port=%u/%s --permanent && firewall-cmd --reload  # on %s", kdc->port,
                        udp != NULL ? "udp" : "tcp", kdc->host);

    if (udp != NULL && tcp != NULL)
        lares_doctor_find(visit->doctor, "kdc", LARES_FINDING_ERROR,
                          home ? "laresctl realm status" : "systemctl status krb5-kdc  # on the KDC's machine",
                          "The KDC of %s at %s port %u does not answer: by UDP %s, by TCP %s.", realm, kdc->host,
                          kdc->port, udp, tcp);
    else if (udp != NULL || tcp != NULL)
        lares_doctor_find(visit->doctor, "kdc", LARES_FINDING_WARNING, open,
                          "The KDC of %s at %s port %u answers by %s, but not by %s (%s): %s.", realm, kdc->host,
                          kdc->port, udp != NULL ? "TCP" : "UDP", udp != NULL ? "UDP" : "TCP", udp != NULL ? udp : tcp,
                          udp != NULL ? "clients that try that first wait a while"
                                      : "large tickets, as those of many groups, do not come through");
    else
        lares_doctor_find(visit->doctor, "kdc", LARES_FINDING_OK, NULL,
                          "The KDC of %s at %s port %u answers by UDP and TCP.", realm, kdc->host, kdc->port);
}

/* TRUE: it answers, one way or the other. */
static gboolean
check_one(Krb5Visit *visit, const Kdc *kdc, const char *realm, const krb5_data *request)
{
    struct addrinfo hints = {.ai_socktype = SOCK_DGRAM}, *found = NULL;
    g_autofree char *answer = g_malloc(MAX_ANSWER), *port = g_strdup_printf("%u", kdc->port);
    g_autoptr(GError) error = NULL;
    gint64 kdc_time = 0, before, middle = 0;
    int code = getaddrinfo(kdc->host, port, &hints, &found);

    if (code != 0) {
        lares_doctor_find(
            visit->doctor, "kdc", LARES_FINDING_ERROR, "getent hosts KDC  # then correct krb5.conf or DNS",
            "The KDC of %s is to be at %s, which leads to no address (%s).", realm, kdc->host, gai_strerror(code));
        return FALSE;
    }
    before = g_get_real_time();
    ssize_t n = ask_udp(visit, found, request, answer);
    const char *udp = n >= 0 ? NULL : errno == ETIMEDOUT ? "no answer" : g_strerror(errno);
    gboolean has_time = time_of(visit, answer, n, &kdc_time);
    middle = (before + g_get_real_time()) / 2;
    before = g_get_real_time();
    n = ask_tcp(visit, found, request, answer, &error);
    freeaddrinfo(found);
    if (!has_time && (has_time = time_of(visit, answer, n, &kdc_time)))
        middle = (before + g_get_real_time()) / 2;
    judge_answers(visit, kdc, realm, udp, n < 0 ? error->message : NULL);
    if (has_time)
        judge_clock(visit, kdc, realm, middle - kdc_time);
    return udp == NULL || n >= 0;
}

static gboolean
check_realm(Krb5Visit *visit, const char *realm)
{
    g_autoptr(GArray) kdcs = g_array_new(FALSE, TRUE, sizeof(Kdc));
    krb5_data request = {0};
    gboolean answered = FALSE;

    g_array_set_clear_func(kdcs, kdc_clear);
    kdcs_of_profile(visit, realm, kdcs);
    if (kdcs->len == 0)
        kdcs_of_dns(realm, kdcs);
    if (kdcs->len == 0) {
        g_autofree char *lines = g_strdup_printf(
            "printf '[realms]\\n    %s = {\\n        kdc = HOST-OF-THE-KDC\\n    }\\n' >> /etc/krb5.conf", realm);

        lares_doctor_find(
            visit->doctor, "kdc", LARES_FINDING_ERROR, lines,
            "No KDC of the realm %s is known: neither krb5.conf names one nor does DNS (_kerberos._udp.%s).", realm,
            realm);
        return FALSE;
    }
    if (!make_request(visit, realm, &request))
        return FALSE;
    for (guint i = 0; i < kdcs->len && lares_doctor_left(visit->doctor) > 0; i++)
        answered = check_one(visit, &g_array_index(kdcs, Kdc, i), realm, &request) || answered;
    krb5_free_data_contents(visit->krb5, &request);
    return answered;
}

gboolean
krb5_doctor_check_kdc(Krb5Visit *visit)
{
    const Krb5Keytab *k = visit->material->now.keytab;
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    gboolean answered = FALSE;

    for (guint i = 0; i < k->entries->len; i++) {
        const Krb5KeytabEntry *e = k->entries->pdata[i];
        const char *at = strrchr(e->principal, '@');

        if (at != NULL && g_hash_table_add(seen, (gpointer)(at + 1)))
            answered = check_realm(visit, at + 1) || answered;
    }
    return answered;
}
