/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every management verb once: who may, with which arguments, and the audit line of what was changed.
 *
 * Thread: main. */
#include "control/control-private.h"

#include "base/log.h"
#include "base/settings.h"

#include <lares/log.h>
#include <string.h>

typedef struct {
    const LaresVerb *verb;
    gpointer user;
} Entry;

typedef struct {
    guint id;
    LaresControlChanged changed; /* NULL: removed */
    gpointer user;
} Watch;

LaresControl *
lares_control_new(LaresHost *host)
{
    LaresControl *control = g_new0(LaresControl, 1);
    control->host = host;
    control->entries = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free);
    control->watches = g_array_new(FALSE, FALSE, sizeof(Watch));
    return control;
}

void
lares_control_free(LaresControl *control)
{
    if (!control)
        return;
    lares_tokens_free(control->tokens);
    lares_doctor_room_free(control->doctor);
    lares_slow_room_free(control->slow);
    for (guint i = 0; i < G_N_ELEMENTS(control->by_right); i++)
        g_strfreev(control->by_right[i]);
    g_array_unref(control->watches);
    g_hash_table_unref(control->entries);
    g_free(control);
}

static gboolean
is_well_formed(const LaresVerb *verb, GError **error)
{
    for (const LaresParam *p = verb->params; p && p->name; p++) {
        if (!p->signature || !g_variant_type_string_is_valid(p->signature)) {
            g_set_error(error, LARES_ERROR, LARES_ERROR_MODULE, "verb %s: parameter %s has no valid type", verb->name,
                        p->name);
            return FALSE;
        }
    }
    if (verb->func)
        return TRUE;
    g_set_error(error, LARES_ERROR, LARES_ERROR_MODULE, "verb %s has no function", verb->name);
    return FALSE;
}

gboolean
lares_control_add(LaresControl *control, const LaresVerb *verbs, gpointer user, GError **error)
{
    for (const LaresVerb *v = verbs; v->name; v++) {
        if (g_hash_table_contains(control->entries, v->name)) {
            g_set_error(error, LARES_ERROR, LARES_ERROR_EXISTS, "the verb %s is there already", v->name);
            return FALSE;
        }
        if (!is_well_formed(v, error))
            return FALSE;
    }
    for (const LaresVerb *v = verbs; v->name; v++) {
        Entry *entry = g_new(Entry, 1);
        *entry = (Entry){v, user};
        g_hash_table_insert(control->entries, (gpointer)v->name, entry);
    }
    return TRUE;
}

static gint
by_name(gconstpointer a, gconstpointer b)
{
    return strcmp((*(const LaresVerb *const *)a)->name, (*(const LaresVerb *const *)b)->name);
}

GPtrArray *
lares_control_list(LaresControl *control)
{
    GPtrArray *list = g_ptr_array_new();
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, control->entries);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        g_ptr_array_add(list, (gpointer)((Entry *)value)->verb);
    g_ptr_array_sort(list, by_name);
    return list;
}

const LaresVerb *
lares_control_find(LaresControl *control, const char *verb)
{
    const Entry *entry = g_hash_table_lookup(control->entries, verb);
    return entry ? entry->verb : NULL;
}

static const char *const right_names[] = {"read", "operate", "admin"};

const char *
lares_right_name(LaresRight right)
{
    return right_names[right];
}

gboolean
lares_right_parse(const char *name, LaresRight *right)
{
    if (g_str_equal(name, "operator")) /* the one who has it, as lares.conf says */
        name = "operate";
    for (guint i = 0; i < G_N_ELEMENTS(right_names); i++) {
        if (g_str_equal(name, right_names[i])) {
            *right = (LaresRight)i;
            return TRUE;
        }
    }
    return FALSE;
}

/* ---- Watches --------------------------------------------------------------------------------------------------- */

guint
lares_control_watch(LaresControl *control, LaresControlChanged changed, gpointer user)
{
    Watch watch = {++control->last_watch, changed, user};
    g_array_append_val(control->watches, watch);
    return watch.id;
}

static void
drop_removed(LaresControl *control)
{
    for (guint i = control->watches->len; i-- > 0;)
        if (!g_array_index(control->watches, Watch, i).changed)
            g_array_remove_index(control->watches, i);
}

void
lares_control_unwatch(LaresControl *control, guint id)
{
    for (guint i = 0; i < control->watches->len; i++) {
        Watch *watch = &g_array_index(control->watches, Watch, i);
        if (watch->id == id)
            watch->changed = NULL;
    }
    if (!control->telling)
        drop_removed(control);
}

/* Whoever is told may call verbs, watch and unwatch; what joins meanwhile is not told of this change. */
static void
tell(LaresControl *control, const char *verb, const char *object)
{
    guint n = control->watches->len;
    control->telling++;
    for (guint i = 0; i < n; i++) {
        Watch watch = g_array_index(control->watches, Watch, i);
        if (watch.changed)
            watch.changed(control, verb, object, watch.user);
    }
    if (--control->telling == 0)
        drop_removed(control);
}

/* ---- Arguments ------------------------------------------------------------------------------------------------ */

static const LaresParam *
find_param(const LaresVerb *verb, const char *name)
{
    for (const LaresParam *p = verb->params; p && p->name; p++)
        if (g_str_equal(p->name, name))
            return p;
    return NULL;
}

static const char *
type_words(const char *signature)
{
    static const struct {
        const char *signature, *words;
    } table[] = {{"s", "a string"}, {"b", "true or false"}, {"x", "a whole number"}, {"as", "a list of strings"}};
    for (guint i = 0; i < G_N_ELEMENTS(table); i++)
        if (g_str_equal(table[i].signature, signature))
            return table[i].words;
    return signature;
}

static gboolean
refuse_unknown(const LaresVerb *verb, const char *name, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (const LaresParam *p = verb->params; p && p->name; p++)
        g_ptr_array_add(names, (gpointer)p->name);
    g_ptr_array_add(names, NULL);
    g_autofree char *hint = lares_nearest_hint(name, (const char *const *)names->pdata);
    g_set_error(error, LARES_ERROR, LARES_ERROR_INVALID, "%s has no argument \"%s\"%s", verb->name, name, hint);
    return FALSE;
}

static gboolean
check_args(const LaresVerb *verb, GVariant *args, GError **error)
{
    GVariantIter iter;
    const char *name;
    GVariant *value;
    if (!g_variant_is_of_type(args, G_VARIANT_TYPE_VARDICT)) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_INVALID, "%s: arguments must be named", verb->name);
        return FALSE;
    }
    g_variant_iter_init(&iter, args);
    while (g_variant_iter_next(&iter, "{&sv}", &name, &value)) {
        g_autoptr(GVariant) owned = value;
        const LaresParam *p = find_param(verb, name);
        if (!p)
            return refuse_unknown(verb, name, error);
        if (!g_variant_is_of_type(owned, G_VARIANT_TYPE(p->signature))) {
            g_set_error(error, LARES_ERROR, LARES_ERROR_INVALID, "%s: \"%s\" must be %s", verb->name, name,
                        type_words(p->signature));
            return FALSE;
        }
    }
    for (const LaresParam *p = verb->params; p && p->name; p++) {
        g_autoptr(GVariant) there = g_variant_lookup_value(args, p->name, NULL);
        if (p->required && !there) {
            g_set_error(error, LARES_ERROR, LARES_ERROR_INVALID, "%s: \"%s\" is missing (%s)", verb->name, p->name,
                        p->doc ? p->doc : type_words(p->signature));
            return FALSE;
        }
    }
    return TRUE;
}

/* ---- Calling -------------------------------------------------------------------------------------------------- */

/* What the change was about, for the audit line: a name or id among the arguments, never any other (passwords). */
static char *
object_of(GVariant *args)
{
    static const char *const keys[] = {"name", "share", "principal", "user", "group", "id"};
    for (guint i = 0; i < G_N_ELEMENTS(keys); i++) {
        g_autoptr(GVariant) v = g_variant_lookup_value(args, keys[i], NULL);
        if (v && g_variant_is_of_type(v, G_VARIANT_TYPE_STRING))
            return g_variant_dup_string(v, NULL);
        if (v && g_variant_is_of_type(v, G_VARIANT_TYPE_INT64))
            return g_strdup_printf("%" G_GINT64_FORMAT, g_variant_get_int64(v));
    }
    return NULL;
}

static void
audit(const LaresControlCaller *caller, const char *verb, const char *object, const char *verdict, const char *reason)
{
    char left_out[LARES_AUDIT_LEFT_OUT] = "";
    if (g_str_equal(verdict, "denied") && !lares_audit_limit(caller->subject, left_out))
        return;
    lares_audit("control", "verb", verb, "object", object, "subject", caller->subject, "face", caller->face, "address",
                caller->address, "verdict", verdict, "reason", reason, "left_out", left_out[0] ? left_out : NULL, NULL);
}

void
lares_control_refused(LaresControl *control, const LaresControlCaller *caller, const char *verb, GVariant *args,
                      const char *reason)
{
    g_autofree char *object = object_of(args);
    audit(caller, verb, object, "denied", reason);
}

static Entry *
find_entry(LaresControl *control, const char *verb, GError **error)
{
    Entry *entry = g_hash_table_lookup(control->entries, verb);
    if (entry)
        return entry;
    g_autoptr(GPtrArray) list = lares_control_list(control);
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (guint i = 0; i < list->len; i++)
        g_ptr_array_add(names, (gpointer)((const LaresVerb *)list->pdata[i])->name);
    g_ptr_array_add(names, NULL);
    const char *nearest = lares_nearest(verb, (const char *const *)names->pdata);
    g_set_error(error, LARES_ERROR, LARES_ERROR_NOT_FOUND, "there is no verb \"%s\"%s%s%s", verb,
                nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
    return NULL;
}

/* A verb may call others, which know nothing of its page. */
static GVariant *
run(LaresControl *control, Entry *entry, const LaresControlCaller *caller, GVariant *args, LaresControlPage *page,
    GError **error)
{
    LaresControlPage *outer = control->page;
    control->page = page;
    GVariant *result = entry->verb->func(control->host, caller, args, entry->user, error);
    control->page = outer;
    return result && page && !page->taken ? lares_control_cut(result, page) : result;
}

GVariant *
lares_control_call_page(LaresControl *control, const LaresControlCaller *caller, const char *verb, GVariant *args,
                        LaresControlPage *page, GError **error)
{
    g_autoptr(GVariant) owned = g_variant_ref_sink(args ? args : g_variant_new("a{sv}", NULL));
    g_autoptr(GError) local = NULL;
    Entry *entry = find_entry(control, verb, error);
    if (!entry)
        return NULL;
    g_autofree char *object = object_of(owned);
    if (caller->rights < entry->verb->right) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_DENIED, "%s needs the right \"%s\"", verb,
                    lares_right_name(entry->verb->right));
        audit(caller, verb, object, "denied", NULL);
        return NULL;
    }
    if (!check_args(entry->verb, owned, error))
        return NULL;
    GVariant *result = run(control, entry, caller, owned, page, &local);
    if (entry->verb->right > LARES_RIGHT_READ) {
        audit(caller, verb, object, local ? "failed" : "done", local ? local->message : NULL);
        if (!local)
            tell(control, verb, object);
    }
    if (local)
        g_propagate_error(error, g_steal_pointer(&local));
    return result ? g_variant_take_ref(result) : NULL;
}

GVariant *
lares_control_call(LaresControl *control, const LaresControlCaller *caller, const char *verb, GVariant *args,
                   GError **error)
{
    return lares_control_call_page(control, caller, verb, args, NULL, error);
}
