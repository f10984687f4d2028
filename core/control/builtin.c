/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The verbs of the server itself: what it is, what it has loaded, who is on it.
 *
 * Thread: main. */
#include "control/control-private.h"

#include "module/host-private.h"

#include <lares-config.h>
#include <string.h>
#include <unistd.h>

static void
add_string(GVariantDict *d, const char *key, const char *value)
{
    if (value)
        g_variant_dict_insert(d, key, "s", value);
}

static void
add_number(GVariantDict *d, const char *key, guint64 value)
{
    g_variant_dict_insert(d, key, "x", (gint64)value);
}

/* ---- status --------------------------------------------------------------------------------------------------- */

static GVariant *
protocol_status(const LaresHostProtocol *p)
{
    GVariantDict d;
    GVariant *own = p->running ? lares_protocol_get_status(p->protocol) : NULL;
    g_variant_dict_init(&d, NULL);
    add_string(&d, "name", lares_protocol_get_name(p->protocol));
    g_variant_dict_insert(&d, "running", "b", p->running);
    add_string(&d, "reason", p->reason);
    if (own)
        g_variant_dict_insert_value(&d, "details", own);
    return g_variant_dict_end(&d);
}

static GVariant *
all_protocols(LaresHost *host)
{
    GVariantBuilder b;
    g_variant_builder_init(&b, G_VARIANT_TYPE("aa{sv}"));
    for (guint i = 0; i < host->modules->len; i++) {
        LaresHostModule *m = host->modules->pdata[i];
        for (guint j = 0; m->protocols && j < m->protocols->len; j++)
            g_variant_builder_add_value(&b, protocol_status(m->protocols->pdata[j]));
    }
    return g_variant_builder_end(&b);
}

static GVariant *
troubles(LaresHost *host)
{
    GVariantBuilder b;
    g_variant_builder_init(&b, G_VARIANT_TYPE_STRING_ARRAY);
    for (guint i = 0; i < host->modules->len; i++) {
        LaresHostModule *m = host->modules->pdata[i];
        if (m->reason) {
            g_autofree char *line = g_strdup_printf("module %s: %s", m->name, m->reason);
            g_variant_builder_add(&b, "s", line);
        }
        for (guint j = 0; m->protocols && j < m->protocols->len; j++) {
            LaresHostProtocol *p = m->protocols->pdata[j];
            if (p->reason) {
                g_autofree char *line =
                    g_strdup_printf("protocol %s: %s", lares_protocol_get_name(p->protocol), p->reason);
                g_variant_builder_add(&b, "s", line);
            }
        }
    }
    return g_variant_builder_end(&b);
}

static GVariant *
do_status(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    GVariantDict d;
    LaresNetStatus net = {0};
    guint loaded = 0;
    for (guint i = 0; i < host->modules->len; i++)
        loaded += ((LaresHostModule *)host->modules->pdata[i])->state == LARES_MODULE_LOADED;
    lares_net_status(host->net, &net);
    g_variant_dict_init(&d, NULL);
    add_string(&d, "version", LARES_VERSION);
    add_string(&d, "host", host->name);
    add_string(&d, "domain", host->domain);
    add_number(&d, "pid", (guint64)getpid());
    add_number(&d, "uptime", (guint64)((g_get_monotonic_time() - host->started) / G_USEC_PER_SEC));
    g_variant_dict_insert(&d, "privileged", "b", host->privileged);
    add_string(&d, "state-dir", host->state_dir);
    add_number(&d, "memory", (guint64)lares_control_resident_bytes());
    add_number(&d, "workers", net.workers);
    add_number(&d, "workers-idle", net.idle);
    add_number(&d, "connections", net.connections);
    add_number(&d, "connections-accepted", net.accepted);
    add_number(&d, "requests", net.requests);
    add_number(&d, "modules", loaded);
    g_variant_dict_insert_value(&d, "protocols", all_protocols(host));
    g_variant_dict_insert_value(&d, "problems", troubles(host));
    return g_variant_dict_end(&d);
}

/* ---- module.* ------------------------------------------------------------------------------------------------- */

static void
add_module(GVariantDict *d, const LaresHostModule *m)
{
    g_variant_dict_init(d, NULL);
    add_string(d, "name", m->name);
    add_string(d, "state", lares_module_state_name(m->state));
    add_string(d, "reason", m->reason);
    if (m->module) {
        add_string(d, "kind", lares_module_kind_name(m->module->kind));
        add_string(d, "version", m->module->version);
        add_string(d, "description", m->module->description);
    }
}

static GVariant *
do_module_list(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    GVariantBuilder b;
    g_variant_builder_init(&b, G_VARIANT_TYPE("aa{sv}"));
    for (guint i = 0; i < host->modules->len; i++) {
        GVariantDict d;
        add_module(&d, host->modules->pdata[i]);
        g_variant_builder_add_value(&b, g_variant_dict_end(&d));
    }
    return g_variant_builder_end(&b);
}

static const char *
key_type_name(LaresKeyType type)
{
    static const char *const names[] = {"string", "path", "boolean", "integer", "duration", "size", "list"};
    return names[type];
}

/* The value in use, as text; secrets have no place in settings, files have. */
static char *
setting_text(const LaresSettings *s, const LaresKey *k)
{
    if (k->type == LARES_KEY_LIST)
        return g_strjoinv(", ", (char **)lares_settings_list(s, k->name));
    return g_strdup(lares_settings_string(s, k->name));
}

static GVariant *
module_settings(const LaresHostModule *m)
{
    GVariantBuilder b;
    g_variant_builder_init(&b, G_VARIANT_TYPE("aa{sv}"));
    for (const LaresKey *k = m->module->keys; k && k->name; k++) {
        GVariantDict d;
        g_autofree char *text = m->settings ? setting_text(m->settings, k) : NULL;
        g_variant_dict_init(&d, NULL);
        add_string(&d, "key", k->name);
        add_string(&d, "type", key_type_name(k->type));
        add_string(&d, "value", text);
        add_string(&d, "default", k->fallback);
        add_string(&d, "description", k->doc);
        g_variant_builder_add_value(&b, g_variant_dict_end(&d));
    }
    return g_variant_builder_end(&b);
}

static GVariant *
do_module_show(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    const char *name;
    g_variant_lookup(args, "name", "&s", &name);
    for (guint i = 0; i < host->modules->len; i++) {
        LaresHostModule *m = host->modules->pdata[i];
        GVariantDict d;
        if (!g_str_equal(m->name, name))
            continue;
        add_module(&d, m);
        add_string(&d, "file", m->file);
        add_string(&d, "config", m->config);
        if (m->module)
            g_variant_dict_insert_value(&d, "settings", module_settings(m));
        return g_variant_dict_end(&d);
    }
    g_set_error(error, LARES_ERROR, LARES_ERROR_NOT_FOUND, "there is no module \"%s\"", name);
    return NULL;
}

/* The face that a call came by must be there to answer it. */
static gboolean
is_own_face(const LaresControlCaller *caller, const char *name, GError **error)
{
    const char *module = g_str_equal(caller->face, "dbus") ? "proto-dbus" : "proto-rest";
    if (!g_str_equal(module, name))
        return FALSE;
    g_set_error(error, LARES_ERROR, LARES_ERROR_CONFLICT,
                "%s is what you are talking to: switch it off in its .module file and restart the server", name);
    return TRUE;
}

static GVariant *
edit_module(LaresHost *host, GVariant *args, const LaresModuleEdit *edit, GError **error)
{
    const char *name = "";
    g_variant_lookup(args, "name", "&s", &name);
    return lares_modules_edit(host, name, edit, error) ? do_module_show(host, NULL, args, NULL, error) : NULL;
}

static GVariant *
do_module_enable(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    return edit_module(host, args, &(LaresModuleEdit){.change_enabled = TRUE, .enabled = TRUE}, error);
}

static GVariant *
do_module_disable(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    const char *name = "";
    g_variant_lookup(args, "name", "&s", &name);
    if (is_own_face(caller, name, error))
        return NULL;
    return edit_module(host, args, &(LaresModuleEdit){.change_enabled = TRUE}, error);
}

static GVariant *
do_module_set(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    g_autofree const char **set = NULL, **unset = NULL;
    g_variant_lookup(args, "set", "^a&s", &set);
    g_variant_lookup(args, "unset", "^a&s", &unset);
    if ((!set || !*set) && (!unset || !*unset)) {
        g_set_error_literal(error, LARES_ERROR, LARES_ERROR_INVALID, "nothing to change: give \"set\" or \"unset\"");
        return NULL;
    }
    return edit_module(host, args, &(LaresModuleEdit){.set = set, .unset = unset}, error);
}

/* ---- session.* ------------------------------------------------------------------------------------------------ */

typedef gboolean (*ProtocolFunc)(LaresProtocol *protocol, gpointer user);

static gboolean
for_each_running(LaresHost *host, ProtocolFunc func, gpointer user)
{
    for (guint i = 0; i < host->modules->len; i++) {
        LaresHostModule *m = host->modules->pdata[i];
        for (guint j = 0; m->protocols && j < m->protocols->len; j++) {
            LaresHostProtocol *p = m->protocols->pdata[j];
            if (p->running && func(p->protocol, user))
                return TRUE;
        }
    }
    return FALSE;
}

static gboolean
add_sessions(LaresProtocol *protocol, gpointer user)
{
    g_autoptr(GVariant) list = g_variant_ref_sink(lares_protocol_list_sessions(protocol));
    GVariantIter iter;
    GVariant *one;
    g_variant_iter_init(&iter, list);
    while ((one = g_variant_iter_next_value(&iter))) {
        GVariantDict d;
        g_variant_dict_init(&d, one);
        if (!g_variant_dict_contains(&d, "protocol"))
            add_string(&d, "protocol", lares_protocol_get_name(protocol));
        g_variant_builder_add_value(user, g_variant_dict_end(&d));
        g_variant_unref(one);
    }
    return FALSE;
}

static GVariant *
do_session_list(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    GVariantBuilder b;
    g_variant_builder_init(&b, G_VARIANT_TYPE("aa{sv}"));
    for_each_running(host, add_sessions, &b);
    return g_variant_builder_end(&b);
}

static gboolean
end_session(LaresProtocol *protocol, gpointer user)
{
    return lares_protocol_end_session(protocol, user);
}

static GVariant *
do_session_end(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    const char *id;
    g_variant_lookup(args, "id", "&s", &id);
    if (!for_each_running(host, end_session, (gpointer)id))
        g_set_error(error, LARES_ERROR, LARES_ERROR_NOT_FOUND, "there is no session \"%s\"", id);
    return NULL;
}

/* ---- server, verb --------------------------------------------------------------------------------------------- */

static GVariant *
do_reload(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    host->reload(host, error);
    return NULL;
}

static GVariant *
verb_params(const LaresVerb *v)
{
    GVariantBuilder b;
    g_variant_builder_init(&b, G_VARIANT_TYPE("aa{sv}"));
    for (const LaresParam *p = v->params; p && p->name; p++) {
        GVariantDict d;
        g_variant_dict_init(&d, NULL);
        add_string(&d, "name", p->name);
        add_string(&d, "type", p->signature);
        g_variant_dict_insert(&d, "required", "b", p->required);
        add_string(&d, "description", p->doc);
        g_variant_builder_add_value(&b, g_variant_dict_end(&d));
    }
    return g_variant_builder_end(&b);
}

static GVariant *
do_verb_list(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    g_autoptr(GPtrArray) list = lares_control_list(host->control);
    GVariantBuilder b;
    g_variant_builder_init(&b, G_VARIANT_TYPE("aa{sv}"));
    for (guint i = 0; i < list->len; i++) {
        const LaresVerb *v = list->pdata[i];
        GVariantDict d;
        g_variant_dict_init(&d, NULL);
        add_string(&d, "name", v->name);
        add_string(&d, "right", lares_right_name(v->right));
        add_string(&d, "description", v->doc);
        g_variant_dict_insert_value(&d, "params", verb_params(v));
        g_variant_builder_add_value(&b, g_variant_dict_end(&d));
    }
    return g_variant_builder_end(&b);
}

static const LaresParam module_params[] = {{"name", "s", TRUE, "the module's name"}, {NULL}};
static const LaresParam module_set_params[] = {{"name", "s", TRUE, "the module's name"},
                                               {"set", "as", FALSE, "settings to change: KEY=VALUE"},
                                               {"unset", "as", FALSE, "settings to give back to their defaults"},
                                               {NULL}};
static const LaresParam session_params[] = {{"id", "s", TRUE, "the id that session.list shows"}, {NULL}};

static const LaresVerb verbs[] = {
    {"status", LARES_RIGHT_READ, "What the server is and how it is doing.", NULL, do_status},
    {"module.list", LARES_RIGHT_READ, "All modules and what became of them.", NULL, do_module_list},
    {"module.show", LARES_RIGHT_READ, "One module with its settings.", module_params, do_module_show},
    {"module.enable", LARES_RIGHT_ADMIN, "Switches a module on, now and from now on.", module_params, do_module_enable},
    {"module.disable", LARES_RIGHT_ADMIN, "Switches a module off, now and from now on.", module_params,
     do_module_disable},
    {"module.set", LARES_RIGHT_ADMIN, "Changes a module's settings.", module_set_params, do_module_set},
    {"session.list", LARES_RIGHT_READ, "Who is connected, over which protocol.", NULL, do_session_list},
    {"session.end", LARES_RIGHT_OPERATE, "Ends one session.", session_params, do_session_end},
    {"server.reload", LARES_RIGHT_OPERATE, "Reads lares.conf and the modules' files again.", NULL, do_reload},
    {"verb.list", LARES_RIGHT_READ, "All verbs with their arguments.", NULL, do_verb_list},
    {NULL},
};

gboolean
lares_control_add_builtin(LaresControl *control, GError **error)
{
    return lares_control_add(control, verbs, NULL, error) && lares_control_add_state(control, error) &&
           lares_control_add_measure(control, error) && lares_control_add_health(control, error);
}
