/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which modules there are, which are wanted, what became of each. A module that cannot be used costs its own feature
 * and one line in the log; its entry says why.
 *
 * Thread: main. */
#include "base/settings.h"
#include "module/host-private.h"
#include "share/shares.h"

#include <string.h>

const LaresKey lares_module_file_keys[] = {
    {"enabled", LARES_KEY_BOOLEAN, "true", 0, 0, "Whether the module is loaded."},
    {"file", LARES_KEY_PATH, NULL, 0, 0, "The shared object, if not NAME.so in the modules folder."},
    {NULL},
};

const char *
lares_module_state_name(LaresModuleState state)
{
    static const char *const names[] = {"loaded", "disabled", "missing", "failed"};
    return names[state];
}

const char *
lares_module_kind_name(guint kind)
{
    static const char *const names[] = {"unknown", "auth", "protocol", "store", "service"};
    return names[kind <= LARES_MODULE_SERVICE ? kind : 0];
}

/* ---- Finding -------------------------------------------------------------------------------------------------- */

LaresHostModule *
lares_modules_find(LaresHost *host, const char *name)
{
    for (guint i = 0; i < host->modules->len; i++) {
        LaresHostModule *m = host->modules->pdata[i];
        if (g_str_equal(m->name, name))
            return m;
    }
    return NULL;
}

static LaresHostModule *
get_module(LaresHost *host, const char *name)
{
    LaresHostModule *m = lares_modules_find(host, name);
    if (!m) {
        m = g_new0(LaresHostModule, 1);
        m->name = g_strdup(name);
        m->state = LARES_MODULE_DISABLED;
        g_ptr_array_add(host->modules, m);
    }
    return m;
}

/* "auth-sys" of "auth-sys.so" or "libauth-sys.so"; NULL for other files. */
static char *
name_of(const char *entry, const char *suffix)
{
    if (!g_str_has_suffix(entry, suffix) || *entry == '.')
        return NULL;
    if (g_str_equal(suffix, ".so") && g_str_has_prefix(entry, "lib"))
        entry += 3;
    return g_strndup(entry, strlen(entry) - strlen(suffix));
}

static void
scan(LaresHost *host, const char *folder, const char *suffix, gboolean config)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *entry;
    while (dir && (entry = g_dir_read_name(dir))) {
        g_autofree char *name = name_of(entry, suffix);
        if (!name || !*name)
            continue;
        LaresHostModule *m = get_module(host, name);
        char **at = config ? &m->config : &m->file;
        g_free(*at);
        *at = g_build_filename(folder, entry, NULL);
    }
}

static gint
by_name(gconstpointer a, gconstpointer b)
{
    const LaresHostModule *x = *(LaresHostModule *const *)a, *y = *(LaresHostModule *const *)b;
    return strcmp(x->name, y->name);
}

/* ---- One module ----------------------------------------------------------------------------------------------- */

typedef struct {
    gboolean enabled;
    char *file;
    char *text; /* of [settings] */
    GKeyFile *keys;
} Config;

static void
config_clear(Config *c)
{
    g_free(c->file);
    g_free(c->text);
    g_clear_pointer(&c->keys, g_key_file_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Config, config_clear)

static char *
settings_text(GKeyFile *file)
{
    GString *text = g_string_new(NULL);
    g_auto(GStrv) keys = g_key_file_get_keys(file, "settings", NULL, NULL);
    for (guint i = 0; keys && keys[i]; i++) {
        g_autofree char *value = g_key_file_get_value(file, "settings", keys[i], NULL);
        g_string_append_printf(text, "%s=%s\n", keys[i], value);
    }
    return g_string_free(text, FALSE);
}

static gboolean
read_config(LaresHostModule *m, Config *c, GError **error)
{
    g_autoptr(GError) local = NULL;
    c->keys = g_key_file_new();
    if (m->config && !g_key_file_load_from_file(c->keys, m->config, G_KEY_FILE_NONE, &local)) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_CONFIG, "%s: %s", m->config, local->message);
        return FALSE;
    }
    g_auto(GStrv) groups = g_key_file_get_groups(c->keys, NULL);
    for (guint i = 0; groups[i]; i++) {
        if (!g_str_equal(groups[i], "module") && !g_str_equal(groups[i], "settings")) {
            g_set_error(error, LARES_ERROR, LARES_ERROR_CONFIG,
                        "%s: unknown group [%s]; valid are [module] and [settings]", m->config, groups[i]);
            return FALSE;
        }
    }
    g_autoptr(LaresSettings) s =
        lares_settings_new(c->keys, "module", lares_module_file_keys, m->config ? m->config : m->name, error);
    if (!s)
        return FALSE;
    c->enabled = lares_settings_boolean(s, "enabled");
    c->file = g_strdup(lares_settings_string(s, "file"));
    c->text = settings_text(c->keys);
    return TRUE;
}

static void
set_failed(LaresHostModule *m, LaresModuleState state, const char *reason)
{
    m->state = state;
    g_free(m->reason);
    m->reason = g_strdup(reason);
    lares_warning("module", "%s: not loaded: %s", m->name, reason);
}

static void
take_settings(LaresHostModule *m, LaresSettings *settings, const char *text)
{
    if (m->settings) {
        if (!m->old_settings)
            m->old_settings = g_ptr_array_new_with_free_func((GDestroyNotify)lares_settings_free);
        g_ptr_array_add(m->old_settings, m->settings);
    }
    m->settings = settings;
    g_free(m->settings_text);
    m->settings_text = g_strdup(text);
}

static void
run_load(LaresHost *host, LaresHostModule *m)
{
    g_autoptr(GError) error = NULL;
    lares_host_begin_load(host, m);
    gboolean ok = m->module->load(host, m->settings, &error);
    ok = lares_host_end_load(host, ok, ok ? &error : NULL);
    if (!ok) {
        set_failed(m, LARES_MODULE_FAILED, error ? error->message : "load() failed and did not say why");
        return;
    }
    m->state = LARES_MODULE_LOADED;
    g_clear_pointer(&m->reason, g_free);
    lares_info("module", "%s %s: loaded", m->name, m->module->version);
}

/* FALSE only for a broken .module file. */
static gboolean
load_module(LaresHost *host, LaresHostModule *m, gboolean check_only, GError **error)
{
    g_auto(Config) c = {0};
    g_autoptr(GError) local = NULL;
    if (!read_config(m, &c, error))
        return FALSE;
    if (!c.enabled) {
        m->state = LARES_MODULE_DISABLED;
        return TRUE;
    }
    if (c.file) {
        g_free(m->file);
        m->file = g_steal_pointer(&c.file);
    }
    if (!m->file) {
        g_autofree char *why =
            g_strdup_printf("%s is there, but %s has no %s.so", m->config, host->modules_dir, m->name);
        set_failed(m, LARES_MODULE_MISSING, why);
        return TRUE;
    }
    m->module = lares_module_open(m->file, m->name, &local);
    if (!m->module) {
        set_failed(m, LARES_MODULE_FAILED, local->message);
        return TRUE;
    }
    LaresSettings *settings =
        lares_settings_new(c.keys, "settings", m->module->keys, m->config ? m->config : m->name, error);
    if (!settings)
        return FALSE;
    take_settings(m, settings, c.text);
    if (!check_only)
        run_load(host, m);
    return TRUE;
}

gboolean
lares_modules_load(LaresHost *host, gboolean check_only, GError **error)
{
    scan(host, host->modules_dir, ".so", FALSE);
    scan(host, host->module_config_dir, ".module", TRUE);
    g_ptr_array_sort(host->modules, by_name);
    for (guint i = 0; i < host->modules->len; i++)
        if (!load_module(host, host->modules->pdata[i], check_only, error))
            return FALSE;
    if (host->modules->len == 0)
        lares_warning("module", "there is no module in %s", host->modules_dir);
    return TRUE;
}

/* ---- Start, stop ---------------------------------------------------------------------------------------------- */

static void
start_protocols(LaresHost *host, LaresHostModule *m)
{
    for (guint i = 0; m->protocols && i < m->protocols->len; i++) {
        LaresHostProtocol *p = m->protocols->pdata[i];
        g_autoptr(GError) error = NULL;
        if (p->running)
            continue;
        g_clear_pointer(&p->reason, g_free);
        p->running = lares_protocol_start(p->protocol, host, &error);
        if (!p->running) {
            p->reason = g_strdup(error ? error->message : "start() failed and did not say why");
            lares_error("module", "protocol %s does not run: %s", lares_protocol_get_name(p->protocol), p->reason);
        }
    }
}

static void
stop_protocols(LaresHostModule *m)
{
    for (guint i = m->protocols ? m->protocols->len : 0; i-- > 0;) {
        LaresHostProtocol *p = m->protocols->pdata[i];
        if (p->running)
            lares_protocol_stop(p->protocol);
        p->running = FALSE;
    }
}

void
lares_modules_start(LaresHost *host)
{
    for (guint i = 0; i < host->modules->len; i++)
        start_protocols(host, host->modules->pdata[i]);
}

void
lares_modules_stop(LaresHost *host)
{
    for (guint i = host->modules->len; i-- > 0;)
        stop_protocols(host->modules->pdata[i]);
}

void
lares_modules_unload(LaresHost *host)
{
    for (guint i = host->modules->len; i-- > 0;) {
        LaresHostModule *m = host->modules->pdata[i];
        if (m->state == LARES_MODULE_LOADED && m->module->unload)
            m->module->unload(host);
    }
}

/* ---- Reload --------------------------------------------------------------------------------------------------- */

static gboolean
hand_over(LaresHost *host, LaresHostModule *m, Config *c, GError **error)
{
    if (g_strcmp0(c->text, m->settings_text) == 0)
        return TRUE;
    LaresSettings *settings =
        lares_settings_new(c->keys, "settings", m->module->keys, m->config ? m->config : m->name, error);
    if (!settings)
        return FALSE;
    take_settings(m, settings, c->text);
    if (!m->module->reload) {
        lares_warning("module", "%s: the new settings take effect at the next start", m->name);
        return TRUE;
    }
    if (!m->module->reload(host, settings, error))
        return FALSE;
    lares_info("module", "%s: settings reloaded", m->name);
    return TRUE;
}

static gboolean
reload_module(LaresHost *host, LaresHostModule *m, GError **error)
{
    if (m->state != LARES_MODULE_LOADED) {
        if (!load_module(host, m, FALSE, error))
            return FALSE;
        if (m->state == LARES_MODULE_LOADED)
            start_protocols(host, m);
        return TRUE;
    }
    g_auto(Config) c = {0};
    if (!read_config(m, &c, error))
        return FALSE;
    if (!c.enabled) {
        gboolean stopped = m->protocols && m->protocols->len;
        stop_protocols(m);
        if (stopped)
            lares_info("module", "%s: switched off", m->name);
        else
            lares_warning("module", "%s: is switched off at the next start", m->name);
        return TRUE;
    }
    if (!hand_over(host, m, &c, error))
        return FALSE;
    start_protocols(host, m);
    return TRUE;
}

gboolean
lares_modules_reload(LaresHost *host, GError **error)
{
    gboolean ok = TRUE;
    for (guint i = 0; i < host->modules->len; i++)
        g_clear_pointer(&((LaresHostModule *)host->modules->pdata[i])->config, g_free);
    scan(host, host->modules_dir, ".so", FALSE);
    scan(host, host->module_config_dir, ".module", TRUE);
    g_ptr_array_sort(host->modules, by_name);
    for (guint i = 0; i < host->modules->len; i++) {
        LaresHostModule *m = host->modules->pdata[i];
        g_autoptr(GError) local = NULL;
        if (reload_module(host, m, &local)) {
            if (m->state == LARES_MODULE_LOADED)
                g_clear_pointer(&m->reason, g_free); /* of an earlier reload */
            continue;
        }
        lares_error("module", "%s: reload refused: %s", m->name, local ? local->message : "no reason given");
        g_free(m->reason);
        m->reason = g_strdup(local ? local->message : "reload refused");
        if (ok && local)
            g_propagate_error(error, g_steal_pointer(&local));
        ok = FALSE;
    }
    /* A module that came now may offer the flavor or the store that a share waits for. */
    g_autoptr(GError) local = NULL;
    if (host->shares && !lares_shares_open_all(host->shares, &local))
        lares_error("module", "the shares could not be looked at again: %s", local->message);
    return ok;
}
