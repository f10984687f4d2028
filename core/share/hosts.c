/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Matching a peer's address against networks and names. */
#include "share/hosts.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>

#define NAMES_MAX      1024 /* names in the cache of the process; a full cache starts over */
#define ADDRESSES_MAX  64   /* per name */
#define FRESH_SECONDS  INT64_C(300)
#define FAILED_SECONDS INT64_C(30)
#define STALE_SECONDS  INT64_C(3600) /* an answer may serve this long while the resolver is away */
#define WAIT_SECONDS   INT64_C(5)    /* for a first answer that another worker is getting */

typedef struct {
    LaresAddress address;
    guint prefix; /* of 128 bits */
} Network;

struct _LaresHosts {
    GArray *networks;
    GPtrArray *names;
};

/* ---- Addresses ------------------------------------------------------------------------------------------------- */

static void
put_ipv4(LaresAddress *to, const void *four)
{
    memset(to->bytes, 0, 10);
    memset(to->bytes + 10, 0xff, 2);
    memcpy(to->bytes + 12, four, 4);
}

gboolean
lares_address_parse(const char *text, LaresAddress *address)
{
    char plain[64];
    uint8_t four[4];
    size_t len = strcspn(text, "%"); /* a link-local address may name its interface */
    if (len >= sizeof plain)
        return FALSE;
    memcpy(plain, text, len);
    plain[len] = '\0';
    if (inet_pton(AF_INET, plain, four) == 1) {
        put_ipv4(address, four);
        return TRUE;
    }
    return inet_pton(AF_INET6, plain, address->bytes) == 1;
}

static gboolean
in_network(const Network *network, const LaresAddress *address)
{
    guint whole = network->prefix / 8, rest = network->prefix % 8;
    if (memcmp(network->address.bytes, address->bytes, whole) != 0)
        return FALSE;
    uint8_t mask = (uint8_t)(0xff00 >> rest);
    return rest == 0 || ((network->address.bytes[whole] ^ address->bytes[whole]) & mask) == 0;
}

/* ---- Names ----------------------------------------------------------------------------------------------------- */

static gboolean
resolve_now(const char *name, GArray *addresses)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *list = NULL;
    if (getaddrinfo(name, NULL, &hints, &list) != 0)
        return FALSE;
    for (struct addrinfo *ai = list; ai && addresses->len < ADDRESSES_MAX; ai = ai->ai_next) {
        LaresAddress address;
        if (ai->ai_family == AF_INET)
            put_ipv4(&address, &((struct sockaddr_in *)ai->ai_addr)->sin_addr);
        else if (ai->ai_family == AF_INET6)
            memcpy(address.bytes, &((struct sockaddr_in6 *)ai->ai_addr)->sin6_addr, 16);
        else
            continue;
        g_array_append_val(addresses, address);
    }
    freeaddrinfo(list);
    return TRUE;
}

typedef struct {
    GArray *addresses; /* LaresAddress; NULL before the first answer */
    gint64 expires;    /* ask again after this */
    gint64 dead;       /* do not believe it after this */
    gboolean asking;
} Name;

static GMutex names_lock;
static GCond names_changed;
static GHashTable *names; /* lower-case name -> Name */
static LaresResolveFunc resolver = resolve_now;

static void
name_free(gpointer data)
{
    Name *name = data;
    if (name->addresses)
        g_array_unref(name->addresses);
    g_free(name);
}

void
lares_hosts_set_resolver(LaresResolveFunc resolve)
{
    g_mutex_lock(&names_lock);
    resolver = resolve ? resolve : resolve_now;
    g_clear_pointer(&names, g_hash_table_unref);
    g_mutex_unlock(&names_lock);
}

/* With the lock held. An entry somebody is asking about stays. */
static Name *
find_name(const char *text)
{
    if (!names)
        names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, name_free);
    Name *name = g_hash_table_lookup(names, text);
    if (!name) {
        if (g_hash_table_size(names) >= NAMES_MAX)
            g_hash_table_remove_all(names);
        name = g_new0(Name, 1);
        g_hash_table_insert(names, g_strdup(text), name);
    }
    return name;
}

static void
keep_answer(const char *text, gboolean answered, GArray *addresses)
{
    gint64 now = g_get_monotonic_time();
    Name *name = find_name(text); /* again: the cache may have started over */
    name->asking = FALSE;
    name->expires = now + (answered ? FRESH_SECONDS : FAILED_SECONDS) * G_USEC_PER_SEC;
    if (answered) {
        if (name->addresses)
            g_array_unref(name->addresses);
        name->addresses = g_array_ref(addresses);
        name->dead = now + STALE_SECONDS * G_USEC_PER_SEC;
    } else if (!name->addresses) {
        name->addresses = g_array_ref(addresses); /* none: nobody, until the next try */
        name->dead = INT64_MAX;
    }
    g_cond_broadcast(&names_changed);
}

/* The name's addresses as known now (a new reference), asking the resolver when nobody else is. */
static GArray *
addresses_of(const char *text)
{
    gint64 now = g_get_monotonic_time(), give_up = now + WAIT_SECONDS * G_USEC_PER_SEC;
    g_mutex_lock(&names_lock);
    Name *name = find_name(text);
    if (!name->asking && now >= name->expires) {
        g_autoptr(GArray) fresh = g_array_new(FALSE, FALSE, sizeof(LaresAddress));
        LaresResolveFunc resolve = resolver;
        name->asking = TRUE;
        g_mutex_unlock(&names_lock);
        gboolean answered = resolve(text, fresh);
        g_mutex_lock(&names_lock);
        keep_answer(text, answered, fresh);
    }
    while ((name = find_name(text))->asking && !name->addresses) {
        if (!g_cond_wait_until(&names_changed, &names_lock, give_up))
            break;
    }
    GArray *found = NULL;
    if (name->addresses && g_get_monotonic_time() < name->dead)
        found = g_array_ref(name->addresses);
    g_mutex_unlock(&names_lock);
    return found;
}

static gboolean
name_has(const char *name, const LaresAddress *address)
{
    g_autoptr(GArray) list = addresses_of(name);
    for (guint i = 0; list && i < list->len; i++) {
        if (memcmp(&g_array_index(list, LaresAddress, i), address, sizeof *address) == 0)
            return TRUE;
    }
    return FALSE;
}

/* ---- The list -------------------------------------------------------------------------------------------------- */

static gboolean
parse_network(const char *entry, Network *network, gboolean *is_address)
{
    g_auto(GStrv) parts = g_strsplit(entry, "/", 2);
    guint64 prefix = 128;
    *is_address = parts[0] && lares_address_parse(parts[0], &network->address) && !strchr(entry, '%');
    if (!*is_address)
        return FALSE;
    gboolean ipv4 = !strchr(parts[0], ':');
    guint bits = ipv4 ? 32 : 128;
    prefix = bits;
    if (parts[1] && !g_ascii_string_to_unsigned(parts[1], 10, 0, bits, &prefix, NULL))
        return FALSE;
    network->prefix = (guint)prefix + (ipv4 ? 96 : 0);
    return TRUE;
}

static gboolean
is_host_name(const char *entry)
{
    size_t len = strlen(entry);
    if (len == 0 || len > 253 || strspn(entry, "0123456789.") == len)
        return FALSE;
    for (const char *p = entry; *p; p++) {
        if (!g_ascii_isalnum(*p) && !strchr("-._", *p))
            return FALSE;
    }
    return g_ascii_isalnum(entry[0]) && !strstr(entry, "..");
}

LaresHosts *
lares_hosts_compile(const char *const *entries, GError **error)
{
    LaresHosts *hosts = g_new0(LaresHosts, 1);
    hosts->networks = g_array_new(FALSE, FALSE, sizeof(Network));
    hosts->names = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; entries[i]; i++) {
        Network network;
        gboolean is_address;
        if (parse_network(entries[i], &network, &is_address)) {
            g_array_append_val(hosts->networks, network);
        } else if (!is_address && is_host_name(entries[i])) {
            g_ptr_array_add(hosts->names, g_ascii_strdown(entries[i], -1));
        } else {
            g_set_error(error, LARES_ERROR, LARES_ERROR_INVALID,
                        "hosts: \"%s\" is neither an address, a network (192.0.2.0/24, 2001:db8::/32) nor a host name",
                        entries[i]);
            lares_hosts_free(hosts);
            return NULL;
        }
    }
    return hosts;
}

void
lares_hosts_free(LaresHosts *hosts)
{
    if (!hosts)
        return;
    g_array_unref(hosts->networks);
    g_ptr_array_unref(hosts->names);
    g_free(hosts);
}

static gboolean
match_address(const LaresHosts *hosts, const LaresAddress *address)
{
    for (guint i = 0; i < hosts->networks->len; i++) {
        if (in_network(&g_array_index(hosts->networks, Network, i), address))
            return TRUE;
    }
    for (guint i = 0; i < hosts->names->len; i++) {
        if (name_has(g_ptr_array_index(hosts->names, i), address))
            return TRUE;
    }
    return FALSE;
}

gboolean
lares_hosts_match(const LaresHosts *hosts, const char *text)
{
    LaresAddress address;
    if (hosts->networks->len == 0 && hosts->names->len == 0)
        return TRUE;
    if (g_str_equal(text, "unix")) {
        return (lares_address_parse("127.0.0.1", &address) && match_address(hosts, &address)) ||
               (lares_address_parse("::1", &address) && match_address(hosts, &address));
    }
    return lares_address_parse(text, &address) && match_address(hosts, &address);
}
