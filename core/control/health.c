/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The verbs `health` (does everything work that should, and what does not) and `version`.
 *
 * Thread: main. */
#include "control/control-private.h"

#include "auth/registry.h"
#include "module/host-private.h"

#include <lares-config.h>

typedef struct {
    LaresHost *host;
    const LaresControlCaller *caller;
    GPtrArray *problems; /* sentences */
} Check;

static void
add_problem(Check *check, const char *kind, const char *name, const char *what)
{
    g_ptr_array_add(check->problems, g_strdup_printf("%s %s: %s", kind, name, what));
}

/* ---- Modules and protocols -----------------------------------------------------------------------------------------
 */

static void
check_protocol(Check *check, const LaresHostProtocol *p)
{
    const char *name = lares_protocol_get_name(p->protocol), *problem = NULL;
    if (p->reason)
        add_problem(check, "protocol", name, p->reason);
    GVariant *details = p->running ? lares_protocol_get_status(p->protocol) : NULL;
    if (!details)
        return;
    g_variant_ref_sink(details);
    if (g_variant_lookup(details, "problem", "&s", &problem))
        add_problem(check, "protocol", name, problem);
    g_variant_unref(details);
}

static GVariant *
check_modules(Check *check)
{
    GVariantBuilder list;
    g_variant_builder_init(&list, G_VARIANT_TYPE("aa{sv}"));
    for (guint i = 0; i < check->host->modules->len; i++) {
        const LaresHostModule *m = check->host->modules->pdata[i];
        GVariantDict d;
        if (m->reason)
            add_problem(check, "module", m->name, m->reason);
        for (guint j = 0; m->protocols && j < m->protocols->len; j++)
            check_protocol(check, m->protocols->pdata[j]);
        g_variant_dict_init(&d, NULL);
        g_variant_dict_insert(&d, "name", "s", m->name);
        g_variant_dict_insert(&d, "state", "s", lares_module_state_name(m->state));
        g_variant_builder_add_value(&list, g_variant_dict_end(&d));
    }
    return g_variant_builder_end(&list);
}

/* ---- Shares, and the ways to log in to them ------------------------------------------------------------------------
 */

static gboolean
is_of(const LaresShare *share, LaresAuthProvider *provider)
{
    for (guint i = 0; i < share->n_flavors; i++)
        if (lares_flavor_provider(share->flavor[i]) == provider)
            return TRUE;
    return FALSE;
}

/* What keeps a way to log in from working is a problem as soon as a share asks for it. */
static void
check_providers(Check *check, GPtrArray *shares)
{
    g_autoptr(GPtrArray) providers = lares_auth_registry_providers();
    for (guint i = 0; i < providers->len; i++) {
        gboolean asked = FALSE;
        const char *problem = NULL;
        for (guint j = 0; j < shares->len && !asked; j++)
            asked = ((LaresShare *)shares->pdata[j])->enabled && is_of(shares->pdata[j], providers->pdata[i]);
        GVariant *status = asked ? lares_auth_provider_get_status(providers->pdata[i]) : NULL;
        if (!status)
            continue;
        g_variant_ref_sink(status);
        if (g_variant_lookup(status, "problem", "&s", &problem))
            add_problem(check, "login", lares_auth_provider_get_name(providers->pdata[i]), problem);
        g_variant_unref(status);
    }
}

static void
check_shares(Check *check)
{
    g_autoptr(GPtrArray) shares = lares_shares_list(check->host->shares);
    for (guint i = 0; i < shares->len; i++) {
        const LaresShare *share = shares->pdata[i];
        if (share->enabled && !share->store)
            add_problem(check, "share", share->name, "its folder cannot be used; the log says why");
    }
    check_providers(check, shares);
}

/* ---- What modules tell ---------------------------------------------------------------------------------------------
 */

static GVariant *
ask(Check *check, const char *verb)
{
    return lares_control_find(check->host->control, verb)
               ? lares_control_call(check->host->control, check->caller, verb, NULL, NULL)
               : NULL;
}

static void
copy(GVariantDict *to, GVariant *from, const char *key)
{
    g_autoptr(GVariant) value = g_variant_lookup_value(from, key, NULL);
    if (value)
        g_variant_dict_insert_value(to, key, value);
}

static void
check_daemons(Check *check, GVariant *realm)
{
    g_autoptr(GVariant) daemons = g_variant_lookup_value(realm, "daemons", G_VARIANT_TYPE("aa{sv}"));
    for (gsize i = 0; daemons && i < g_variant_n_children(daemons); i++) {
        g_autoptr(GVariant) one = g_variant_get_child_value(daemons, i);
        const char *program = "?", *state = "", *error = NULL;
        g_variant_lookup(one, "program", "&s", &program);
        g_variant_lookup(one, "state", "&s", &state);
        if (g_str_equal(state, "running"))
            continue;
        g_variant_lookup(one, "last-error", "&s", &error);
        add_problem(check, "realm", program, error ? error : "it does not run");
    }
}

/* NULL: there is none. */
static GVariant *
check_realm(Check *check)
{
    g_autoptr(GVariant) realm = ask(check, "realm.status");
    const char *name = "", *problem = NULL;
    gboolean running = TRUE;
    GVariantDict d;
    if (!realm || !g_variant_lookup(realm, "name", "&s", &name))
        return NULL;
    g_variant_lookup(realm, "running", "b", &running);
    if (g_variant_lookup(realm, "problem", "&s", &problem))
        add_problem(check, "realm", name, problem);
    guint before = check->problems->len;
    check_daemons(check, realm);
    if (!running && !problem && check->problems->len == before)
        add_problem(check, "realm", name, "its daemons are not ready");
    g_variant_dict_init(&d, NULL);
    copy(&d, realm, "name");
    copy(&d, realm, "running");
    return g_variant_dict_end(&d);
}

static GVariant *
check_keytab(Check *check)
{
    g_autoptr(GVariant) status = ask(check, "kerberos.status");
    GVariantDict d;
    if (!status)
        return NULL;
    g_variant_dict_init(&d, NULL);
    copy(&d, status, "keytab");
    copy(&d, status, "loaded");
    copy(&d, status, "problem");
    return g_variant_dict_end(&d);
}

/* ---- The verbs -----------------------------------------------------------------------------------------------------
 */

static GVariant *
do_health(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    Check check = {host, caller, g_ptr_array_new_with_free_func(g_free)};
    GVariantDict d;
    g_variant_dict_init(&d, NULL);
    GVariant *modules = check_modules(&check);
    check_shares(&check);
    GVariant *realm = check_realm(&check), *keytab = check_keytab(&check);
    g_variant_dict_insert(&d, "status", "s", check.problems->len ? "failing" : "ok");
    g_variant_dict_insert_value(
        &d, "problems", g_variant_new_strv((const char *const *)check.problems->pdata, (gssize)check.problems->len));
    g_variant_dict_insert_value(&d, "modules", modules);
    if (realm)
        g_variant_dict_insert_value(&d, "realm", realm);
    if (keytab)
        g_variant_dict_insert_value(&d, "keytab", keytab);
    g_ptr_array_unref(check.problems);
    return g_variant_dict_end(&d);
}

static GVariant *
do_version(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    GVariantDict d;
    g_autofree char *abi = g_strdup_printf("%d.%d", LARES_ABI_MAJOR, LARES_ABI_MINOR);
    g_variant_dict_init(&d, NULL);
    g_variant_dict_insert(&d, "version", "s", LARES_VERSION);
    g_variant_dict_insert(&d, "api", "s", "v1");
    g_variant_dict_insert(&d, "module-abi", "s", abi);
    return g_variant_dict_end(&d);
}

static const LaresVerb verbs[] = {
    {"health", LARES_RIGHT_READ, "Whether all works that should, and what does not.", NULL, do_health},
    {"version", LARES_RIGHT_READ, "Which versions this is.", NULL, do_version},
    {NULL}};

gboolean
lares_control_add_health(LaresControl *control, GError **error)
{
    return lares_control_add(control, verbs, NULL, error);
}
