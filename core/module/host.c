/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The server as modules see it: getters, and registration that is checked for completeness and kept back until the
 * module's load() has succeeded.
 *
 * Thread: registration main; getters any. */
#include "module/host-private.h"

#include "auth/registry.h"
#include "store/registry.h"

#include <stdio.h>
#include <string.h>

static void
store_free(gpointer data)
{
    LaresHostStore *store = data;
    g_free(store->type);
    g_free(store);
}

static void
protocol_free(gpointer data)
{
    LaresHostProtocol *p = data;
    g_object_unref(p->protocol);
    g_free(p->reason);
    g_free(p);
}

static void
module_free(gpointer data)
{
    LaresHostModule *m = data;
    g_free(m->name);
    g_free(m->file);
    g_free(m->config);
    g_free(m->reason);
    g_free(m->settings_text);
    lares_settings_free(m->settings);
    g_clear_pointer(&m->old_settings, g_ptr_array_unref);
    g_clear_pointer(&m->protocols, g_ptr_array_unref);
    g_free(m);
}

LaresHost *
lares_host_new(void)
{
    LaresHost *host = g_new0(LaresHost, 1);
    host->modules = g_ptr_array_new_with_free_func(module_free);
    host->started = g_get_monotonic_time();
    return host;
}

void
lares_host_free(LaresHost *host)
{
    if (!host)
        return;
    g_ptr_array_unref(host->modules);
    g_free(host->state_dir);
    g_free(host->run_dir);
    g_free(host->name);
    g_free(host->domain);
    g_strfreev(host->aliases);
    g_free(host->modules_dir);
    g_free(host->module_config_dir);
    g_free(host);
}

gboolean
lares_host_look_privileged(void)
{
    static const guint wanted[] = {0 /* CHOWN */,  1 /* DAC_OVERRIDE */, 2 /* DAC_READ_SEARCH */,
                                   3 /* FOWNER */, 6 /* SETGID */,       7 /* SETUID */};
    g_autofree char *status = NULL;
    const char *line;
    guint64 effective = 0;
    if (!g_file_get_contents("/proc/self/status", &status, NULL, NULL) || !(line = strstr(status, "\nCapEff:")))
        return FALSE;
    effective = g_ascii_strtoull(line + strlen("\nCapEff:"), NULL, 16);
    for (guint i = 0; i < G_N_ELEMENTS(wanted); i++)
        if (!(effective & (G_GUINT64_CONSTANT(1) << wanted[i])))
            return FALSE;
    return TRUE;
}

/* ---- Registration --------------------------------------------------------------------------------------------- */

static gboolean
refuse(GError **error, LaresError code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *why = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error_literal(error, LARES_ERROR, code, why);
    return FALSE;
}

static gboolean
is_loading(LaresHost *host, GError **error)
{
    return host->loading ? TRUE : refuse(error, LARES_ERROR_MODULE, "register in load() only");
}

static gboolean
flavor_is_new(LaresHost *host, const LaresFlavor *flavor, GError **error)
{
    if (!flavor->name || !*flavor->name)
        return refuse(error, LARES_ERROR_MODULE, "a flavor has no name");
    if (lares_flavor_by_name(flavor->name))
        return refuse(error, LARES_ERROR_EXISTS, "the flavor \"%s\" is offered by another module", flavor->name);
    if (flavor->rpc_flavor != LARES_RPC_FLAVOR_NONE && lares_flavor_by_rpc(flavor->rpc_flavor))
        return refuse(error, LARES_ERROR_EXISTS, "RPC flavor %u of \"%s\" is offered by another module",
                      flavor->rpc_flavor, flavor->name);
    for (guint i = 0; i < host->new_providers->len; i++) {
        gsize n;
        const LaresFlavor *other = lares_auth_provider_get_flavors(host->new_providers->pdata[i], &n);
        for (gsize j = 0; j < n; j++)
            if (g_str_equal(other[j].name, flavor->name))
                return refuse(error, LARES_ERROR_EXISTS, "the flavor \"%s\" is registered twice", flavor->name);
    }
    return TRUE;
}

gboolean
lares_host_add_auth_provider(LaresHost *host, LaresAuthProvider *provider, GError **error)
{
    gsize n;
    if (!is_loading(host, error))
        return FALSE;
    if (!LARES_IS_AUTH_PROVIDER(provider))
        return refuse(error, LARES_ERROR_MODULE, "this is not an auth provider");
    LaresAuthProviderInterface *iface = LARES_AUTH_PROVIDER_GET_IFACE(provider);
    if (!iface->get_name || !iface->get_flavors || !iface->accept)
        return refuse(error, LARES_ERROR_MODULE, "the auth provider lacks %s",
                      !iface->get_name      ? "get_name"
                      : !iface->get_flavors ? "get_flavors"
                                            : "accept");
    const LaresFlavor *flavors = lares_auth_provider_get_flavors(provider, &n);
    if (!flavors || n == 0)
        return refuse(error, LARES_ERROR_MODULE, "the auth provider offers no flavor");
    for (gsize i = 0; i < n; i++)
        if (!flavor_is_new(host, &flavors[i], error))
            return FALSE;
    g_ptr_array_add(host->new_providers, g_object_ref(provider));
    return TRUE;
}

gboolean
lares_host_add_protocol(LaresHost *host, LaresProtocol *protocol, GError **error)
{
    if (!is_loading(host, error))
        return FALSE;
    if (!LARES_IS_PROTOCOL(protocol))
        return refuse(error, LARES_ERROR_MODULE, "this is not a protocol");
    LaresProtocolInterface *iface = LARES_PROTOCOL_GET_IFACE(protocol);
    if (!iface->get_name || !iface->start || !iface->stop)
        return refuse(error, LARES_ERROR_MODULE, "the protocol lacks %s",
                      !iface->get_name ? "get_name"
                      : !iface->start  ? "start"
                                       : "stop");
    const char *name = lares_protocol_get_name(protocol);
    if (!name || !*name)
        return refuse(error, LARES_ERROR_MODULE, "the protocol has no name");
    for (guint i = 0; i < host->modules->len; i++) {
        LaresHostModule *m = host->modules->pdata[i];
        for (guint j = 0; m->protocols && j < m->protocols->len; j++)
            if (g_str_equal(lares_protocol_get_name(((LaresHostProtocol *)m->protocols->pdata[j])->protocol), name))
                return refuse(error, LARES_ERROR_EXISTS, "the protocol \"%s\" is there already", name);
    }
    g_ptr_array_add(host->new_protocols, g_object_ref(protocol));
    return TRUE;
}

gboolean
lares_host_add_store_type(LaresHost *host, const char *type, LaresStoreOpenFunc open, GError **error)
{
    if (!is_loading(host, error))
        return FALSE;
    if (!type || !*type || !open)
        return refuse(error, LARES_ERROR_MODULE, "a store type needs a name and a function to open it");
    if (lares_store_registry_find(type))
        return refuse(error, LARES_ERROR_EXISTS, "the store type \"%s\" is there already", type);
    LaresHostStore *store = g_new(LaresHostStore, 1);
    *store = (LaresHostStore){g_strdup(type), open};
    g_ptr_array_add(host->new_stores, store);
    return TRUE;
}

void
lares_host_begin_load(LaresHost *host, LaresHostModule *module)
{
    host->loading = module;
    host->metrics = lares_metrics_mark();
    host->new_providers = g_ptr_array_new_with_free_func(g_object_unref);
    host->new_protocols = g_ptr_array_new_with_free_func(g_object_unref);
    host->new_stores = g_ptr_array_new_with_free_func(store_free);
}

/* A module that registered nothing of its kind would be a silent hole. */
static gboolean
is_complete(LaresHost *host, GError **error)
{
    guint kind = host->loading->module->kind;
    if (kind == LARES_MODULE_AUTH && host->new_providers->len == 0)
        return refuse(error, LARES_ERROR_MODULE, "it registered no auth provider");
    if (kind == LARES_MODULE_PROTOCOL && host->new_protocols->len == 0)
        return refuse(error, LARES_ERROR_MODULE, "it registered no protocol");
    if (kind == LARES_MODULE_STORE && host->new_stores->len == 0)
        return refuse(error, LARES_ERROR_MODULE, "it registered no store type");
    return TRUE;
}

gboolean
lares_host_end_load(LaresHost *host, gboolean keep, GError **error)
{
    LaresHostModule *m = host->loading;
    gboolean ok = keep && is_complete(host, error);
    for (guint i = 0; ok && i < host->new_providers->len; i++)
        ok = lares_auth_registry_add(host->new_providers->pdata[i], error);
    for (guint i = 0; ok && i < host->new_stores->len; i++) {
        LaresHostStore *store = host->new_stores->pdata[i];
        ok = lares_store_registry_add(store->type, store->open, error);
    }
    if (ok && !m->protocols)
        m->protocols = g_ptr_array_new_with_free_func(protocol_free);
    for (guint i = 0; ok && i < host->new_protocols->len; i++) {
        LaresHostProtocol *p = g_new0(LaresHostProtocol, 1);
        p->protocol = g_object_ref(host->new_protocols->pdata[i]);
        g_ptr_array_add(m->protocols, p);
    }
    if (!ok)
        lares_metrics_forget(host->metrics);
    g_clear_pointer(&host->new_providers, g_ptr_array_unref);
    g_clear_pointer(&host->new_protocols, g_ptr_array_unref);
    g_clear_pointer(&host->new_stores, g_ptr_array_unref);
    host->loading = NULL;
    return ok;
}

/* ---- Getters -------------------------------------------------------------------------------------------------- */

LaresDirectory *
lares_host_directory(LaresHost *host)
{
    return host->directory;
}

LaresShares *
lares_host_shares(LaresHost *host)
{
    return host->shares;
}

LaresFiles *
lares_host_files(LaresHost *host)
{
    return host->files;
}

LaresControl *
lares_host_control(LaresHost *host)
{
    return host->control;
}

LaresNet *
lares_host_net(LaresHost *host)
{
    return host->net;
}

const char *
lares_host_state_dir(LaresHost *host)
{
    return host->state_dir;
}

const char *
lares_host_run_dir(LaresHost *host)
{
    return host->run_dir;
}

const char *
lares_host_name(LaresHost *host)
{
    return host->name;
}

const char *
lares_host_domain(LaresHost *host)
{
    return host->domain;
}

const char *const *
lares_host_aliases(LaresHost *host)
{
    return (const char *const *)host->aliases;
}

uint64_t
lares_host_boot_id(LaresHost *host)
{
    return host->boot_id;
}

gboolean
lares_host_privileged(LaresHost *host)
{
    return host->privileged;
}
