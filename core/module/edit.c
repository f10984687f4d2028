/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Changing a module's file: on or off, and its settings. What the module would refuse is never written.
 *
 * Thread: main. */
#include "base/settings.h"
#include "module/host-private.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

/* A line of an administrator is kept, commented examples too. */
static GKeyFile *
read_file(const char *path, char **before, GError **error)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autoptr(GError) local = NULL;
    if (!g_file_get_contents(path, before, NULL, &local)) {
        if (g_error_matches(local, G_FILE_ERROR, G_FILE_ERROR_NOENT))
            return g_steal_pointer(&file);
    } else if (g_key_file_load_from_data(file, *before, strlen(*before), G_KEY_FILE_KEEP_COMMENTS, &local)) {
        return g_steal_pointer(&file);
    }
    g_set_error(error, LARES_ERROR, LARES_ERROR_CONFIG, "%s: %s", path, local->message);
    return NULL;
}

static gboolean
apply(GKeyFile *file, const LaresModuleEdit *edit, GError **error)
{
    for (guint i = 0; edit->set && edit->set[i]; i++) {
        const char *equals = strchr(edit->set[i], '=');
        g_autofree char *key = equals ? g_strndup(edit->set[i], (gsize)(equals - edit->set[i])) : NULL;
        if (!key || !*g_strstrip(key) || strpbrk(edit->set[i], "\n\r")) {
            g_set_error(error, LARES_ERROR, LARES_ERROR_INVALID, "\"%s\" must be KEY=VALUE on one line", edit->set[i]);
            return FALSE;
        }
        g_key_file_set_value(file, "settings", key, equals + 1);
    }
    for (guint i = 0; edit->unset && edit->unset[i]; i++) {
        if (!g_key_file_remove_key(file, "settings", edit->unset[i], NULL)) {
            g_set_error(error, LARES_ERROR, LARES_ERROR_NOT_FOUND, "\"%s\" is not set", edit->unset[i]);
            return FALSE;
        }
    }
    if (edit->change_enabled)
        g_key_file_set_boolean(file, "module", "enabled", edit->enabled);
    return TRUE;
}

/* The keys that the module declares; a module that is off is opened (none of its code runs). */
static gboolean
is_valid(const LaresHostModule *m, GKeyFile *file, const char *path, GError **error)
{
    const LaresModule *module = m->module;
    g_autoptr(GError) local = NULL;
    if (!module && m->file)
        module = lares_module_open(m->file, m->name, &local);
    if (!module) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_UNAVAILABLE, "the module %s cannot be used: %s", m->name,
                    local ? local->message : "its shared object is not installed");
        return FALSE;
    }
    g_autoptr(LaresSettings) settings = lares_settings_new(file, "settings", module->keys, path, &local);
    if (settings)
        return TRUE;
    g_set_error_literal(error, LARES_ERROR, LARES_ERROR_INVALID, local->message);
    return FALSE;
}

static gboolean
write_file(const char *path, const char *text, GError **error)
{
    g_autoptr(GError) local = NULL;
    if (g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0644,
                                 &local))
        return TRUE;
    g_set_error(error, LARES_ERROR, LARES_ERROR_FAILED, "the module's file cannot be written: %s", local->message);
    return FALSE;
}

static void
put_back(LaresHost *host, const char *path, const char *before)
{
    g_autoptr(GError) error = NULL;
    if (before ? !write_file(path, before, &error) : g_unlink(path) != 0)
        lares_error("module", "%s stays as it was refused: %s", path, error ? error->message : g_strerror(errno));
    else if (!lares_modules_reload(host, &error))
        lares_error("module", "%s: %s", path, error ? error->message : "reload refused");
}

gboolean
lares_modules_edit(LaresHost *host, const char *name, const LaresModuleEdit *edit, GError **error)
{
    const LaresHostModule *m = lares_modules_find(host, name);
    g_autofree char *before = NULL, *path = NULL;
    g_autoptr(GError) refused = NULL;
    if (!m) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_NOT_FOUND, "there is no module \"%s\"", name);
        return FALSE;
    }
    path = m->config ? g_strdup(m->config) : g_strdup_printf("%s/%s.module", host->module_config_dir, name);
    g_autoptr(GKeyFile) file = read_file(path, &before, error);
    if (!file || !apply(file, edit, error) || !is_valid(m, file, path, error))
        return FALSE;
    g_autofree char *text = g_key_file_to_data(file, NULL, NULL);
    if (!write_file(path, text, error))
        return FALSE;
    if (lares_modules_reload(host, &refused))
        return TRUE;
    m = lares_modules_find(host, name);
    if (!m->reason || !refused)
        return TRUE; /* another module's trouble, which was there before */
    g_set_error(error, LARES_ERROR, LARES_ERROR_CONFLICT, "%s; the old settings stay", refused->message);
    put_back(host, path, before);
    return FALSE;
}
