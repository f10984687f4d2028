/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command line against the table. */
#include "ctl.h"

#include <errno.h>
#include <glib/gi18n.h>
#include <string.h>

const CtlOption ctl_global_options[] = {
    {"json", NULL, CTL_FLAG, NULL, N_("print the server's answer as JSON")},
    {"socket", NULL, CTL_TEXT, N_("PATH"), N_("the server's control socket; or set LARES_SOCKET"), CTL_FILE},
    {"context", NULL, CTL_TEXT, N_("NAME"),
     N_("a server that you logged in to, or local for this machine's; or set LARES_CONTEXT"), CTL_CONTEXT},
    {"server", NULL, CTL_TEXT, N_("URL"), N_("the same by its address: https://nas.home.lan:8749")},
    {"help", NULL, CTL_FLAG, NULL, N_("explain the command")},
    {"version", NULL, CTL_FLAG, NULL, N_("print the version")},
    {NULL},
};

/* ---- Words ----------------------------------------------------------------------------------------------------- */

const CtlCommand *
ctl_find_command(const char *words)
{
    for (const CtlCommand *c = ctl_commands; c->words; c++)
        if (g_str_equal(c->words, words))
            return c;
    return NULL;
}

char *
ctl_next_word(const CtlCommand *command, const char *prefix)
{
    size_t n = strlen(prefix);
    const char *rest = command->words;
    if (n > 0) {
        if (strncmp(command->words, prefix, n) != 0 || command->words[n] != ' ')
            return NULL;
        rest += n + 1;
    }
    return g_strndup(rest, strcspn(rest, " "));
}

gboolean
ctl_is_group(const char *words)
{
    for (const CtlCommand *c = ctl_commands; c->words; c++) {
        g_autofree char *next = ctl_next_word(c, words);
        if (next)
            return TRUE;
    }
    return FALSE;
}

/* Edits (insert, delete, change, swap of neighbours) that make one word of the other. */
static guint
distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    g_autofree guint *rows = g_new0(guint, 3 * (m + 1));
    guint *before = rows, *last = rows + m + 1, *now = rows + 2 * (m + 1);
    for (size_t j = 0; j <= m; j++)
        last[j] = (guint)j;
    for (size_t i = 1; i <= n; i++) {
        now[0] = (guint)i;
        for (size_t j = 1; j <= m; j++) {
            guint best = MIN(last[j], now[j - 1]) + 1;
            best = MIN(best, last[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                best = MIN(best, before[j - 2] + 1);
            now[j] = best;
        }
        guint *spare = before;
        before = last;
        last = now;
        now = spare;
    }
    return last[m];
}

const char *
ctl_nearest(const char *word, GPtrArray *words)
{
    const char *nearest = NULL;
    guint least = (guint)strlen(word) / 3 + 2;
    for (guint i = 0; i < words->len; i++) {
        guint d = distance(word, words->pdata[i]);
        if (d < least) {
            least = d;
            nearest = words->pdata[i];
        }
    }
    return nearest;
}

static void
refuse_word(const char *prefix, const char *word, GError **error)
{
    g_autoptr(GPtrArray) words = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *full = prefix[0] ? g_strdup_printf("%s %s", prefix, word) : g_strdup(word);
    g_autofree char *help = prefix[0] ? g_strdup_printf("laresctl %s --help", prefix) : g_strdup("laresctl --help");
    for (const CtlCommand *c = ctl_commands; c->words; c++) {
        char *next = c->hidden ? NULL : ctl_next_word(c, prefix);
        if (next)
            g_ptr_array_add(words, next);
    }
    const char *nearest = ctl_nearest(word, words);
    if (nearest && prefix[0])
        g_set_error(error, CTL_ERROR, CTL_EXIT_USAGE, _("there is no command \"%s\"; did you mean \"%s %s\"?"), full,
                    prefix, nearest);
    else if (nearest)
        g_set_error(error, CTL_ERROR, CTL_EXIT_USAGE, _("there is no command \"%s\"; did you mean \"%s\"?"), full,
                    nearest);
    else
        g_set_error(error, CTL_ERROR, CTL_EXIT_USAGE, _("there is no command \"%s\"; \"%s\" shows all"), full, help);
}

/* ---- Options --------------------------------------------------------------------------------------------------- */

static const CtlOption *
find_in(const CtlOption *options, const char *name)
{
    for (const CtlOption *o = options; o && o->name; o++)
        if (g_str_equal(o->name, name))
            return o;
    return NULL;
}

const CtlOption *
ctl_find_option(const CtlCommand *command, const char *name)
{
    const CtlOption *found = command ? find_in(command->options, name) : NULL;
    return found ? found : find_in(ctl_global_options, name);
}

static void
refuse_option(const CtlCommand *command, const char *name, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (const CtlOption *o = command ? command->options : NULL; o && o->name; o++)
        g_ptr_array_add(names, (gpointer)o->name);
    for (const CtlOption *o = ctl_global_options; o->name; o++)
        g_ptr_array_add(names, (gpointer)o->name);
    const char *nearest = ctl_nearest(name, names);
    g_autofree char *help =
        command ? g_strdup_printf("laresctl %s --help", command->words) : g_strdup("laresctl --help");
    if (nearest)
        g_set_error(error, CTL_ERROR, CTL_EXIT_USAGE, _("there is no option \"--%s\"; did you mean \"--%s\"?"), name,
                    nearest);
    else
        g_set_error(error, CTL_ERROR, CTL_EXIT_USAGE, _("there is no option \"--%s\"; \"%s\" shows all"), name, help);
}

static gboolean
parse_yesno(const char *text, gboolean *value)
{
    static const char *const yes[] = {"yes", "true", "on", "1", NULL}, *const no[] = {"no", "false", "off", "0", NULL};
    *value = g_strv_contains(yes, text);
    return *value || g_strv_contains(no, text);
}

/* Adds the elements of "a,b" to the list; an empty text makes an empty list. */
static void
add_list(JsonObject *params, const char *param, const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, ",", -1);
    JsonArray *array = json_object_has_member(params, param) ? json_object_get_array_member(params, param) : NULL;
    if (!array) {
        array = json_array_new();
        json_object_set_array_member(params, param, array);
    }
    for (char **p = parts; *p; p++)
        if (*g_strstrip(*p))
            json_array_add_string_element(array, *p);
}

/* The server stands in another folder: it gets full paths. On another machine they cannot be made up here. */
static void
set_text(CtlCall *call, const char *param, CtlKind kind, const char *text)
{
    g_autofree char *full = kind == CTL_FOLDER && text[0] ? g_canonicalize_filename(text, NULL) : NULL;
    json_object_set_string_member(call->params, param, full ? full : text);
    call->relative |= full && !g_path_is_absolute(text);
}

static gboolean
set_param(CtlCall *call, const CtlOption *o, const char *text, GError **error)
{
    JsonObject *params = call->params;
    gboolean yes;
    gint64 number;
    switch (o->type) {
    case CTL_LIST:
        add_list(params, o->param, text);
        return TRUE;
    case CTL_YESNO:
        if (!parse_yesno(text, &yes)) {
            g_set_error(error, CTL_ERROR, CTL_EXIT_USAGE, _("--%s: \"%s\" is neither yes nor no"), o->name, text);
            return FALSE;
        }
        json_object_set_boolean_member(params, o->param, yes);
        return TRUE;
    case CTL_NUMBER:
        if (!g_ascii_string_to_signed(text, 10, G_MININT64, G_MAXINT64, &number, NULL)) {
            g_set_error(error, CTL_ERROR, CTL_EXIT_USAGE, _("--%s: \"%s\" is not a whole number"), o->name, text);
            return FALSE;
        }
        json_object_set_int_member(params, o->param, number);
        return TRUE;
    case CTL_FLAG:
        json_object_set_boolean_member(params, o->param, TRUE);
        return TRUE;
    default:
        set_text(call, o->param, o->kind, text);
        return TRUE;
    }
}

static void
keep_own(CtlCall *call, const CtlOption *o, const char *text)
{
    GPtrArray *values = g_hash_table_lookup(call->own, o->name);
    g_auto(GStrv) parts = o->type == CTL_LIST ? g_strsplit(text, ",", -1) : NULL;
    if (!values) {
        values = g_ptr_array_new_with_free_func(g_free);
        g_hash_table_insert(call->own, (gpointer)o->name, values);
    }
    if (o->type != CTL_LIST)
        g_ptr_array_add(values, g_strdup(text));
    for (char **p = parts; p && *p; p++)
        if (*g_strstrip(*p))
            g_ptr_array_add(values, g_strdup(*p));
}

static gboolean
is_one_of(const char *words, const char *word)
{
    g_auto(GStrv) list = g_strsplit(words, " ", -1);
    return g_strv_contains((const char *const *)list, word);
}

static gboolean
take_option(CtlCall *call, const CtlOption *o, const char *text, GError **error)
{
    if (find_in(ctl_global_options, o->name) == o) {
        char **place = g_str_equal(o->name, "socket")    ? &call->socket
                       : g_str_equal(o->name, "server")  ? &call->server
                       : g_str_equal(o->name, "context") ? &call->context
                                                         : NULL;
        if (place) {
            g_free(*place);
            *place = g_strdup(text);
        }
        call->json |= g_str_equal(o->name, "json");
        call->help |= g_str_equal(o->name, "help");
        call->version |= g_str_equal(o->name, "version");
        return TRUE;
    }
    if (o->words && o->type == CTL_TEXT && !is_one_of(o->words, text)) {
        g_set_error(error, CTL_ERROR, CTL_EXIT_USAGE, _("--%s: \"%s\" is none of: %s"), o->name, text, o->words);
        return FALSE;
    }
    if (o->param)
        return set_param(call, o, text, error);
    keep_own(call, o, text ? text : "");
    return TRUE;
}

/* argv[*at] is "--something"; steps over its value too. */
static gboolean
parse_option(CtlCall *call, int argc, char **argv, int *at, GError **error)
{
    const char *given = argv[*at] + 2;
    const char *equal = strchr(given, '=');
    g_autofree char *name = equal ? g_strndup(given, (size_t)(equal - given)) : g_strdup(given);
    const CtlOption *o = ctl_find_option(call->command, name);
    const char *value = equal ? equal + 1 : NULL;
    if (!o) {
        refuse_option(call->command, name, error);
        return FALSE;
    }
    if (o->type == CTL_FLAG && equal) {
        g_set_error(error, CTL_ERROR, CTL_EXIT_USAGE, _("--%s takes no value"), name);
        return FALSE;
    }
    if (o->type != CTL_FLAG && !value) {
        if (*at + 1 >= argc) {
            g_set_error(error, CTL_ERROR, CTL_EXIT_USAGE, _("--%s needs a value: --%s %s"), name, name,
                        o->value ? _(o->value) : "");
            return FALSE;
        }
        value = argv[++*at];
    }
    return take_option(call, o, value, error);
}

/* ---- All of it ------------------------------------------------------------------------------------------------- */

static gboolean
take_word(CtlCall *call, guint index, const char *word, GError **error)
{
    const CtlArg *arg = call->command->args;
    for (guint i = 0; arg && arg->param && i < index && !arg->rest; i++)
        arg++;
    if (!arg || !arg->param) {
        g_set_error(error, CTL_ERROR, CTL_EXIT_USAGE, _("\"%s\" is too much: see \"laresctl %s --help\""), word,
                    call->command->words);
        return FALSE;
    }
    if (arg->words && !is_one_of(arg->words, word)) {
        g_set_error(error, CTL_ERROR, CTL_EXIT_USAGE, _("\"%s\" is none of: %s"), word, arg->words);
        return FALSE;
    }
    if (arg->rest)
        add_list(call->params, arg->param, word);
    else
        set_text(call, arg->param, arg->kind, word);
    return TRUE;
}

static gboolean
check_missing(CtlCall *call, GError **error)
{
    for (const CtlArg *arg = call->command->args; arg && arg->param; arg++) {
        if (arg->rest || json_object_has_member(call->params, arg->param))
            continue;
        g_set_error(error, CTL_ERROR, CTL_EXIT_USAGE, _("%s is missing (%s): see \"laresctl %s --help\""),
                    _(arg->title), _(arg->doc), call->command->words);
        return FALSE;
    }
    return TRUE;
}

/* "doctor" is a command, and "doctor show" is another. */
static gboolean
goes_on(const char *words, const char *word)
{
    g_autofree char *longer = g_strdup_printf("%s %s", words, word);
    return ctl_find_command(longer) != NULL;
}

/* Words as long as they lead to a command; global options may stand between them. */
static gboolean
parse_words(CtlCall *call, int argc, char **argv, int *at, GString *words, GError **error)
{
    for (; *at < argc && (!call->command || goes_on(words->str, argv[*at])); (*at)++) {
        const char *word = argv[*at];
        if (g_str_equal(word, "-h") || (words->len == 0 && g_str_equal(word, "help")))
            call->help = TRUE;
        else if (g_str_has_prefix(word, "--") && word[2]) {
            if (!parse_option(call, argc, argv, at, error))
                return FALSE;
        } else {
            g_autofree char *longer = words->len ? g_strdup_printf("%s %s", words->str, word) : g_strdup(word);
            call->command = ctl_find_command(longer);
            if (!call->command && !ctl_is_group(longer)) {
                refuse_word(words->str, word, error);
                return FALSE;
            }
            g_string_assign(words, longer);
        }
    }
    return TRUE;
}

gboolean
ctl_parse(int argc, char **argv, CtlCall *call, GString *words, GError **error)
{
    int at = 1;
    guint n = 0;
    gboolean only_words = FALSE;
    call->params = json_object_new();
    call->own = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)g_ptr_array_unref);
    if (!parse_words(call, argc, argv, &at, words, error))
        return FALSE;
    for (; at < argc; at++) {
        const char *word = argv[at];
        if (!only_words && g_str_equal(word, "--"))
            only_words = TRUE;
        else if (!only_words && g_str_equal(word, "-h"))
            call->help = TRUE;
        else if (!only_words && g_str_has_prefix(word, "--")) {
            if (!parse_option(call, argc, argv, &at, error))
                return FALSE;
        } else if (!take_word(call, n++, word, error))
            return FALSE;
    }
    if (!!call->socket + !!call->server + !!call->context > 1) {
        g_set_error_literal(error, CTL_ERROR, CTL_EXIT_USAGE, _("--socket, --server and --context exclude each other"));
        return FALSE;
    }
    return !call->command || call->help || call->version || check_missing(call, error);
}

void
ctl_call_clear(CtlCall *call)
{
    g_clear_pointer(&call->params, json_object_unref);
    g_clear_pointer(&call->own, g_hash_table_unref);
    g_clear_pointer(&call->socket, g_free);
    g_clear_pointer(&call->server, g_free);
    g_clear_pointer(&call->context, g_free);
}

const char *
ctl_own_text(CtlCall *call, const char *option)
{
    GPtrArray *values = g_hash_table_lookup(call->own, option);
    return values && values->len ? values->pdata[values->len - 1] : NULL;
}

gboolean
ctl_own_flag(CtlCall *call, const char *option)
{
    return g_hash_table_contains(call->own, option);
}
