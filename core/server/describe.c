/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The reference of all settings, printed from the very tables that check them: docs/configuration.md holds its text.
 *
 * Thread: main. */
#include "server/server.h"

#include "control/control.h"
#include "identity/directory.h"

#include <lares-config.h>
#include <stdio.h>
#include <string.h>

/* Folders chosen when this was built, and what they are called in a package. */
static const struct {
    const char *built, *packaged;
} folders[] = {
    {LARES_MODULE_DIR, "/usr/lib/lares/modules-1"},
    {LARES_SYSCONF_DIR, "/etc/lares"},
    {LARES_STATE_DIR, "/var/lib/lares"},
    {LARES_RUN_DIR, "/run/lares"},
};

static char *
default_words(const LaresKey *k)
{
    if (!k->fallback || !*k->fallback)
        return g_strdup("unset");
    for (guint i = 0; i < G_N_ELEMENTS(folders); i++)
        if (k->type == LARES_KEY_PATH && g_str_has_prefix(k->fallback, folders[i].built))
            return g_strdup_printf("`%s%s`", folders[i].packaged, k->fallback + strlen(folders[i].built));
    return g_strdup_printf("`%s`", k->fallback);
}

/* 86400 as "1d": the largest unit of `factor` that divides it. */
static char *
with_unit(gint64 n, const gint64 *factor, const char *const *unit)
{
    for (; *factor > 1; factor++, unit++)
        if (n && n % *factor == 0)
            return g_strdup_printf("%" G_GINT64_FORMAT "%s", n / *factor, *unit);
    return g_strdup_printf("%" G_GINT64_FORMAT "%s", n, *unit);
}

static char *
number_text(LaresKeyType type, gint64 n)
{
    static const gint64 seconds[] = {86400, 3600, 60, 1}, bytes[] = {1 << 30, 1 << 20, 1 << 10, 1}, one[] = {1};
    static const char *const second_units[] = {"d", "h", "m", "s"}, *const byte_units[] = {"G", "M", "K", ""},
                             *const no_unit[] = {""};
    if (type == LARES_KEY_DURATION)
        return with_unit(n, seconds, second_units);
    return type == LARES_KEY_SIZE ? with_unit(n, bytes, byte_units) : with_unit(n, one, no_unit);
}

static char *
type_words(const LaresKey *k)
{
    static const char *const names[] = {"text", "absolute path", "true or false", "number", "duration", "size", "list"};
    if (k->min == 0 && k->max == 0)
        return g_strdup(names[k->type]);
    g_autofree char *min = number_text(k->type, k->min), *max = number_text(k->type, k->max);
    return g_strdup_printf("%s, %s to %s", names[k->type], min, max);
}

/* A bar would end the cell. */
static char *
cell(const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, "|", -1);
    return g_strjoinv("\\|", parts);
}

static void
print_keys(const LaresKey *keys)
{
    if (!keys || !keys->name) {
        printf("No settings.\n\n");
        return;
    }
    printf("| key | type | default | meaning |\n|---|---|---|---|\n");
    for (const LaresKey *k = keys; k->name; k++) {
        g_autofree char *type = type_words(k), *fallback = default_words(k), *doc = cell(k->doc ? k->doc : "");
        printf("| `%s` | %s | %s | %s |\n", k->name, type, fallback, doc);
    }
    printf("\n");
}

static gint
by_text(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static gboolean
print_modules(const char *folder, GError **error)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, error);
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(g_free);
    const char *entry;
    if (!dir)
        return FALSE;
    while ((entry = g_dir_read_name(dir)))
        if (g_str_has_suffix(entry, ".so"))
            g_ptr_array_add(files, g_build_filename(folder, entry, NULL));
    g_ptr_array_sort(files, by_text);
    for (guint i = 0; i < files->len; i++) {
        const LaresModule *m = lares_module_open(files->pdata[i], NULL, error);
        if (!m)
            return FALSE;
        printf("## %s.module\n\n%s\n\n", m->name, m->description ? m->description : "");
        print_keys(m->keys);
    }
    return TRUE;
}

gboolean
lares_server_describe_settings(const char *modules_dir, GError **error)
{
    printf("## lares.conf, [server]\n\n");
    print_keys(lares_server_keys);
    printf("## lares.conf, [identity]\n\n");
    print_keys(lares_directory_keys);
    printf("## lares.conf, [control]\n\n");
    print_keys(lares_control_keys);
    printf("## Every .module file, [module]\n\n");
    print_keys(lares_module_file_keys);
    return print_modules(modules_dir, error);
}
