/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A short, append-only list: read without a lock, searched by walking it. */
#include "auth/registry.h"

#include <string.h>

#define FLAVORS_MAX  64
#define NAME_MAX_LEN 32
#define RPCSEC_GSS   6u /* RFC 2203: the wire's word for all GSS flavors, not a flavor of its own */

typedef struct {
    const LaresFlavor *flavor;
    LaresAuthProvider *provider;
} Entry;

static Entry entries[FLAVORS_MAX];
static guint n_entries; /* atomic; entries below it do not change */
static GMutex adding;

static guint
count(void)
{
    return __atomic_load_n(&n_entries, __ATOMIC_ACQUIRE);
}

static gboolean
refuse(GError **error, LaresError code, const char *provider, const char *flavor, const char *why)
{
    g_set_error(error, LARES_ERROR, code, "auth provider %s%s%s: %s", provider ? provider : "(no name)",
                flavor ? ", flavor " : "", flavor ? flavor : "", why);
    return FALSE;
}

static gboolean
name_is_fine(const char *name)
{
    size_t len = name ? strlen(name) : 0;
    return len > 0 && len <= NAME_MAX_LEN && g_ascii_islower(name[0]) &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == len;
}

/* Why a flavor cannot be offered; NULL when it can. */
static const char *
flavor_fault(const LaresFlavor *f)
{
    if (!name_is_fine(f->name))
        return "its name is not 1 to 32 lower case letters, digits and '-'";
    if (f->gss_oid) {
        static const LaresProtection of_service[] = {LARES_PROTECT_NONE, LARES_PROTECT_AUTHENTICATED,
                                                     LARES_PROTECT_INTEGRITY, LARES_PROTECT_PRIVACY};
        if (f->gss_oid_len == 0 || f->gss_oid_len > 64 || f->gss_service < 1 || f->gss_service > 3)
            return "its mechanism or service level is not valid";
        if (f->protection != of_service[f->gss_service])
            return "its protection is not that of its service level";
        if (f->rpc_flavor == RPCSEC_GSS)
            return "6 is RPCSEC_GSS itself, not a pseudoflavor";
        return NULL;
    }
    if (f->gss_service != 0)
        return "it has a service level without a mechanism";
    if (f->rpc_flavor == LARES_RPC_FLAVOR_NONE && !f->spnego)
        return "no protocol could use it";
    if (f->rpc_flavor != LARES_RPC_FLAVOR_NONE && f->protection > LARES_PROTECT_AUTHENTICATED)
        return "a plain RPC flavor cannot protect messages";
    return f->rpc_flavor == RPCSEC_GSS ? "6 is RPCSEC_GSS itself" : NULL;
}

static gboolean
same_mechanism(const LaresFlavor *a, const LaresFlavor *b)
{
    return a->gss_oid && b->gss_oid && a->gss_service == b->gss_service && a->gss_oid_len == b->gss_oid_len &&
           memcmp(a->gss_oid, b->gss_oid, a->gss_oid_len) == 0;
}

static const char *
conflict(const LaresFlavor *a, const LaresFlavor *b)
{
    if (g_str_equal(a->name, b->name))
        return "the name is taken";
    if (a->rpc_flavor != LARES_RPC_FLAVOR_NONE && a->rpc_flavor == b->rpc_flavor)
        return "the RPC flavor is taken";
    return same_mechanism(a, b) ? "the mechanism is taken at this service level" : NULL;
}

static gboolean
check_flavors(const char *name, const LaresFlavor *flavors, size_t n, GError **error)
{
    for (size_t i = 0; i < n; i++) {
        const char *why = flavor_fault(&flavors[i]);
        if (why)
            return refuse(error, LARES_ERROR_MODULE, name, flavors[i].name, why);
        for (guint k = 0; k < n_entries && !why; k++)
            why = conflict(&flavors[i], entries[k].flavor);
        for (size_t k = 0; k < i && !why; k++)
            why = conflict(&flavors[i], &flavors[k]);
        if (why)
            return refuse(error, LARES_ERROR_EXISTS, name, flavors[i].name, why);
    }
    return TRUE;
}

static gboolean
check_provider(LaresAuthProvider *provider, const LaresFlavor **flavors, size_t *n, GError **error)
{
    LaresAuthProviderInterface *iface = LARES_AUTH_PROVIDER_GET_IFACE(provider);
    const char *name = lares_auth_provider_get_name(provider);
    if (!iface->get_name || !iface->get_flavors || !iface->accept)
        return refuse(error, LARES_ERROR_MODULE, name, NULL, "get_name, get_flavors and accept are needed");
    if (!name_is_fine(name))
        return refuse(error, LARES_ERROR_MODULE, name, NULL, "not a usable name");
    for (guint i = 0; i < n_entries; i++) {
        if (g_str_equal(lares_auth_provider_get_name(entries[i].provider), name))
            return refuse(error, LARES_ERROR_EXISTS, name, NULL, "there already");
    }
    *flavors = lares_auth_provider_get_flavors(provider, n);
    if (!*flavors || *n == 0)
        return refuse(error, LARES_ERROR_MODULE, name, NULL, "offers no flavor");
    if (*n > FLAVORS_MAX - n_entries)
        return refuse(error, LARES_ERROR_MODULE, name, NULL, "too many flavors");
    return check_flavors(name, *flavors, *n, error);
}

gboolean
lares_auth_registry_add(LaresAuthProvider *provider, GError **error)
{
    const LaresFlavor *flavors;
    size_t n;
    if (!LARES_IS_AUTH_PROVIDER(provider))
        return refuse(error, LARES_ERROR_MODULE, NULL, NULL, "not a LaresAuthProvider");
    g_mutex_lock(&adding);
    gboolean ok = check_provider(provider, &flavors, &n, error);
    if (ok) {
        g_object_ref(provider);
        for (size_t i = 0; i < n; i++)
            entries[n_entries + i] = (Entry){&flavors[i], provider};
        __atomic_store_n(&n_entries, n_entries + (guint)n, __ATOMIC_RELEASE);
    }
    g_mutex_unlock(&adding);
    return ok;
}

GPtrArray *
lares_auth_registry_providers(void)
{
    GPtrArray *list = g_ptr_array_new();
    for (guint i = 0, n = count(); i < n; i++) {
        if (i == 0 || entries[i].provider != entries[i - 1].provider)
            g_ptr_array_add(list, entries[i].provider);
    }
    return list;
}

const LaresFlavor *
lares_flavor_by_name(const char *name)
{
    for (guint i = 0, n = count(); i < n; i++) {
        if (g_str_equal(entries[i].flavor->name, name))
            return entries[i].flavor;
    }
    return NULL;
}

const LaresFlavor *
lares_flavor_by_rpc(uint32_t rpc_flavor)
{
    for (guint i = 0, n = count(); rpc_flavor != LARES_RPC_FLAVOR_NONE && i < n; i++) {
        if (entries[i].flavor->rpc_flavor == rpc_flavor)
            return entries[i].flavor;
    }
    return NULL;
}

const LaresFlavor *
lares_flavor_by_gss(const uint8_t *oid, size_t oid_len, uint32_t service)
{
    const LaresFlavor wanted = {.gss_oid = oid, .gss_oid_len = oid_len, .gss_service = service};
    for (guint i = 0, n = count(); i < n; i++) {
        if (entries[i].flavor->rpc_flavor != LARES_RPC_FLAVOR_NONE && same_mechanism(entries[i].flavor, &wanted))
            return entries[i].flavor;
    }
    return NULL;
}

LaresAuthProvider *
lares_flavor_provider(const LaresFlavor *flavor)
{
    for (guint i = 0, n = count(); i < n; i++) {
        if (entries[i].flavor == flavor)
            return entries[i].provider;
    }
    return NULL;
}
