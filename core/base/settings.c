/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Typed settings: each key is declared, checked once when the file is read, and kept ready for use. */
#include "base/settings.h"

#include <errno.h>
#include <string.h>

typedef struct {
    const LaresKey *key;
    char *text; /* NULL when unset */
    gint64 number;
    char **list;
} Value;

struct _LaresSettings {
    guint n;
    Value value[];
};

/* ---- The nearest name ----------------------------------------------------------------------------------------- */

/* Levenshtein's distance; names are short. */
static guint
distance(const char *a, const char *b)
{
    gsize n = strlen(b);
    g_autofree guint *row = g_new(guint, n + 1);
    for (gsize j = 0; j <= n; j++)
        row[j] = (guint)j;
    for (gsize i = 1; a[i - 1]; i++) {
        guint diagonal = row[0];
        row[0] = (guint)i;
        for (gsize j = 1; j <= n; j++) {
            guint above = row[j];
            guint best = diagonal + (a[i - 1] != b[j - 1]);
            best = MIN(best, MIN(above, row[j - 1]) + 1);
            diagonal = above;
            row[j] = best;
        }
    }
    return row[n];
}

const char *
lares_nearest(const char *word, const char *const *names)
{
    const char *best = NULL;
    guint best_distance = G_MAXUINT;
    if (strlen(word) > 64)
        return NULL;
    for (; *names; names++) {
        guint d = distance(word, *names);
        if (d < best_distance) {
            best_distance = d;
            best = *names;
        }
    }
    return best && best_distance <= MAX(2, strlen(word) / 2) ? best : NULL;
}

char *
lares_nearest_hint(const char *word, const char *const *names)
{
    const char *nearest = lares_nearest(word, names);
    if (nearest)
        return g_strdup_printf("; did you mean \"%s\"?", nearest);
    g_autofree char *all = g_strjoinv(", ", (char **)names);
    return *all ? g_strdup_printf("; valid are: %s", all) : g_strdup("; none is known here");
}

/* ---- Values --------------------------------------------------------------------------------------------------- */

static gboolean
parse_number(const char *text, gint64 *number, const char **rest)
{
    char *end;
    if (!g_ascii_isdigit(*text) && *text != '-')
        return FALSE;
    errno = 0;
    *number = g_ascii_strtoll(text, &end, 10);
    *rest = end;
    return errno == 0 && end != text;
}

/* A number with at most one unit letter of `units`, worth factor[i]. */
static gboolean
parse_with_unit(const char *text, const char *units, const gint64 *factor, gint64 *number)
{
    const char *rest;
    if (!parse_number(text, number, &rest))
        return FALSE;
    if (*rest == '\0')
        return TRUE;
    const char *unit = strchr(units, *rest);
    return unit && rest[1] == '\0' && !__builtin_mul_overflow(*number, factor[unit - units], number);
}

static const gint64 time_factors[] = {1, 60, 3600, 86400, 604800};
static const gint64 size_factors[] = {1 << 10, 1 << 20, 1 << 30, G_GINT64_CONSTANT(1) << 40};

static const char *
parse_value(const LaresKey *key, const char *text, Value *value)
{
    const char *rest;
    value->key = key;
    value->text = g_strdup(text);
    switch (key->type) {
    case LARES_KEY_STRING:
        return NULL;
    case LARES_KEY_PATH:
        return g_path_is_absolute(text) ? NULL : "an absolute path";
    case LARES_KEY_BOOLEAN:
        value->number = g_str_equal(text, "true") || g_str_equal(text, "yes");
        return value->number || g_str_equal(text, "false") || g_str_equal(text, "no") ? NULL : "true or false";
    case LARES_KEY_INTEGER:
        return parse_number(text, &value->number, &rest) && *rest == '\0' ? NULL : "a whole number";
    case LARES_KEY_DURATION:
        return parse_with_unit(text, "smhdw", time_factors, &value->number) ? NULL
                                                                            : "a duration like 90s, 5m, 8h or 7d";
    case LARES_KEY_SIZE:
        return parse_with_unit(text, "KMGT", size_factors, &value->number) ? NULL : "a size like 64K, 1M or 2G";
    case LARES_KEY_LIST:
        value->list = g_strsplit(text, ",", -1);
        break;
    }
    guint kept = 0;
    for (guint i = 0; value->list[i]; i++) {
        char *item = g_strstrip(value->list[i]);
        if (*item)
            value->list[kept++] = item;
        else
            g_free(item);
    }
    value->list[kept] = NULL;
    return NULL;
}

static char *
number_words(const LaresKey *key)
{
    if (key->min == 0 && key->max == 0)
        return NULL;
    const char *unit = key->type == LARES_KEY_DURATION ? " seconds" : key->type == LARES_KEY_SIZE ? " bytes" : "";
    return g_strdup_printf("between %" G_GINT64_FORMAT " and %" G_GINT64_FORMAT "%s", key->min, key->max, unit);
}

static gboolean
check_value(const LaresKey *key, const char *text, Value *value, const char *origin, const char *group, GError **error)
{
    const char *wanted = parse_value(key, text, value);
    gboolean number = key->type == LARES_KEY_INTEGER || key->type == LARES_KEY_DURATION || key->type == LARES_KEY_SIZE;
    g_autofree char *range = number ? number_words(key) : NULL;
    if (!wanted && range && (value->number < key->min || value->number > key->max))
        wanted = range;
    if (!wanted && number && !range && value->number < 0)
        wanted = "a number that is not negative";
    if (!wanted)
        return TRUE;
    g_set_error(error, LARES_ERROR, LARES_ERROR_CONFIG, "%s: [%s] %s = %s: must be %s", origin, group, key->name, text,
                wanted);
    return FALSE;
}

/* ---- Files ---------------------------------------------------------------------------------------------------- */

static const LaresKey *
find_key(const LaresKey *keys, const char *name)
{
    for (; keys && keys->name; keys++)
        if (g_str_equal(keys->name, name))
            return keys;
    return NULL;
}

static gboolean
refuse_unknown(GKeyFile *file, const char *group, const LaresKey *keys, const char *origin, GError **error)
{
    g_auto(GStrv) there = g_key_file_get_keys(file, group, NULL, NULL);
    for (guint i = 0; there && there[i]; i++) {
        if (find_key(keys, there[i]))
            continue;
        g_autoptr(GPtrArray) names = g_ptr_array_new();
        for (const LaresKey *k = keys; k && k->name; k++)
            g_ptr_array_add(names, (gpointer)k->name);
        g_ptr_array_add(names, NULL);
        g_autofree char *hint = lares_nearest_hint(there[i], (const char *const *)names->pdata);
        g_set_error(error, LARES_ERROR, LARES_ERROR_CONFIG, "%s: [%s] has an unknown key \"%s\"%s", origin, group,
                    there[i], hint);
        return FALSE;
    }
    return TRUE;
}

LaresSettings *
lares_settings_new(GKeyFile *file, const char *group, const LaresKey *keys, const char *origin, GError **error)
{
    guint n = 0;
    while (keys && keys[n].name)
        n++;
    if (file && !refuse_unknown(file, group, keys, origin, error))
        return NULL;
    g_autoptr(LaresSettings) s = g_malloc0(sizeof(LaresSettings) + n * sizeof(Value));
    s->n = n;
    for (guint i = 0; i < n; i++) {
        g_autofree char *text = file ? g_key_file_get_string(file, group, keys[i].name, NULL) : NULL;
        const char *use = text ? g_strstrip(text) : keys[i].fallback;
        s->value[i].key = &keys[i];
        if (use && !check_value(&keys[i], use, &s->value[i], origin, group, error))
            return NULL;
    }
    return g_steal_pointer(&s);
}

void
lares_settings_free(LaresSettings *s)
{
    if (!s)
        return;
    for (guint i = 0; i < s->n; i++) {
        g_free(s->value[i].text);
        g_strfreev(s->value[i].list);
    }
    g_free(s);
}

/* ---- Getters -------------------------------------------------------------------------------------------------- */

static const Value *
find_value(const LaresSettings *s, const char *key)
{
    for (guint i = 0; i < s->n; i++)
        if (g_str_equal(s->value[i].key->name, key))
            return &s->value[i];
    g_error("settings key \"%s\" was not declared", key);
}

const char *
lares_settings_string(const LaresSettings *s, const char *key)
{
    return find_value(s, key)->text;
}

gboolean
lares_settings_boolean(const LaresSettings *s, const char *key)
{
    return find_value(s, key)->number != 0;
}

gint64
lares_settings_integer(const LaresSettings *s, const char *key)
{
    return find_value(s, key)->number;
}

const char *const *
lares_settings_list(const LaresSettings *s, const char *key)
{
    static const char *const none[] = {NULL};
    char **list = find_value(s, key)->list;
    return list ? (const char *const *)list : none;
}
