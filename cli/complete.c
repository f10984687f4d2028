/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Completion: the shell's script asks "laresctl __complete WORDS..." for every word, so it always fits the table. */
#include "ctl.h"

#include <glib/gi18n.h>
#include <string.h>

/* One candidate with its explanation, if it begins as the unfinished word does. */
static void
offer(const char *current, const char *text, const char *doc)
{
    if (g_str_has_prefix(text, current))
        g_print("%s\t%s\n", text, doc ? doc : "");
}

static void
offer_words(const char *current, const char *words)
{
    g_auto(GStrv) list = g_strsplit(words, " ", -1);
    for (char **w = list; *w; w++)
        offer(current, *w, NULL);
}

/* In "krb5p,kr" only what follows the last comma is unfinished. */
static void
offer_list(const char *current, const char *words)
{
    const char *comma = strrchr(current, ',');
    g_autofree char *before = comma ? g_strndup(current, (size_t)(comma + 1 - current)) : g_strdup("");
    g_auto(GStrv) list = g_strsplit(words, " ", -1);
    for (char **w = list; *w; w++) {
        g_autofree char *whole = g_strconcat(before, *w, NULL);
        offer(current, whole, NULL);
    }
}

/* Names from the server; without one there are none. */
static void
offer_names(CtlCall *call, const char *current, const char *verb, const char *key)
{
    g_autoptr(JsonNode) answer = ctl_client_call(call, verb, NULL, NULL, NULL);
    JsonArray *rows = answer && JSON_NODE_HOLDS_ARRAY(answer) ? json_node_get_array(answer) : NULL;
    for (guint i = 0; rows && i < json_array_get_length(rows); i++) {
        JsonObject *row = json_array_get_object_element(rows, i);
        offer(current, json_object_get_string_member_with_default(row, key, ""), NULL);
    }
}

/* Servers that somebody logged in to are known here. */
static void
offer_contexts(const char *current)
{
    g_autoptr(CtlContexts) contexts = ctl_contexts_open(FALSE, NULL);
    g_auto(GStrv) names = contexts ? ctl_contexts_names(contexts) : NULL;
    for (char **n = names; n && *n; n++)
        offer(current, *n, NULL);
    offer(current, "local", NULL);
}

static void
offer_kind(CtlCall *call, const char *current, CtlKind kind, gboolean list)
{
    static const struct {
        CtlKind kind;
        const char *verb, *key;
    } table[] = {
        {CTL_SHARE, "share.list", "name"},           {CTL_USER, "user.list", "name"},
        {CTL_GROUP, "group.list", "name"},           {CTL_MAPPING, "mapping.list", "principal"},
        {CTL_SESSION, "session.list", "id"},         {CTL_MODULE, "module.list", "name"},
        {CTL_REALM_USER, "realm.user.list", "name"}, {CTL_REALM_HOST, "realm.host.list", "name"},
    };
    if (kind == CTL_FILE || kind == CTL_FOLDER)
        g_print("%s\t\n", kind == CTL_FILE ? ":files" : ":folders");
    else if (kind == CTL_FLAVOR && list)
        offer_list(current, "sys krb5 krb5i krb5p");
    else if (kind == CTL_FLAVOR)
        offer_words(current, "sys krb5 krb5i krb5p");
    else if (kind == CTL_CONTEXT)
        offer_contexts(current);
    for (guint i = 0; i < G_N_ELEMENTS(table); i++)
        if (table[i].kind == kind)
            offer_names(call, current, table[i].verb, table[i].key);
}

static void
offer_commands(const char *prefix, const char *current)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (const CtlCommand *c = ctl_commands; c->words; c++) {
        g_autofree char *next = c->hidden ? NULL : ctl_next_word(c, prefix);
        if (!next || g_hash_table_contains(seen, next))
            continue;
        g_autofree char *full = prefix[0] ? g_strdup_printf("%s %s", prefix, next) : g_strdup(next);
        const CtlCommand *whole = ctl_find_command(full);
        const char *doc = whole ? _(whole->summary) : "";
        for (const CtlGroup *g = ctl_groups; g->name; g++)
            if (g_str_equal(g->name, full))
                doc = _(g->summary);
        offer(current, next, doc);
        g_hash_table_add(seen, g_steal_pointer(&next));
    }
}

static void
offer_options(const CtlOption *options, const char *current)
{
    for (const CtlOption *o = options; o && o->name; o++) {
        g_autofree char *text = g_strdup_printf("--%s", o->name);
        offer(current, text, _(o->doc));
    }
}

static void
offer_value(CtlCall *call, const CtlOption *o, const char *current)
{
    if (o->words && o->type == CTL_LIST)
        offer_list(current, o->words);
    else if (o->words)
        offer_words(current, o->words);
    else
        offer_kind(call, current, o->kind, o->type == CTL_LIST);
}

static void
offer_arg(CtlCall *call, guint index, const char *current)
{
    const CtlArg *arg = call->command->args;
    for (guint i = 0; arg && arg->param && i < index && !arg->rest; i++)
        arg++;
    if (!arg || !arg->param)
        return;
    if (arg->words)
        offer_words(current, arg->words);
    else
        offer_kind(call, current, arg->kind, FALSE);
}

/* Steps over finished words; what is left open is the command, the number of its words, or an option without value. */
void
ctl_complete(int n, char **words)
{
    CtlCall call = {.quick = TRUE};
    g_autofree char *prefix = g_strdup("");
    const char *current = n > 0 ? words[n - 1] : "";
    const CtlOption *open = NULL;
    guint index = 0;
    for (int i = 0; i + 1 < n; i++) {
        if (open) {
            if (g_str_equal(open->name, "socket"))
                call.socket = words[i];
            else if (g_str_equal(open->name, "server"))
                call.server = words[i];
            else if (g_str_equal(open->name, "context"))
                call.context = words[i];
            open = NULL;
        } else if (g_str_has_prefix(words[i], "--")) {
            const CtlOption *o = ctl_find_option(call.command, words[i] + 2);
            open = o && o->type != CTL_FLAG ? o : NULL;
        } else {
            char *longer = prefix[0] ? g_strdup_printf("%s %s", prefix, words[i]) : g_strdup(words[i]);
            const CtlCommand *whole = ctl_find_command(longer);
            /* "doctor" is a command, and "doctor show" is another. */
            if (call.command && !whole) {
                g_free(longer);
                index++;
                continue;
            }
            g_free(prefix);
            prefix = longer;
            call.command = whole;
        }
    }
    if (open) {
        offer_value(&call, open, current);
    } else if (current[0] == '-') {
        offer_options(call.command ? call.command->options : NULL, current);
        offer_options(ctl_global_options, current);
    } else {
        if (call.command)
            offer_arg(&call, index, current);
        if (index == 0)
            offer_commands(prefix, current);
    }
}

/* ---- The scripts ----------------------------------------------------------------------------------------------- */

static const char bash_script[] =
    "# Completion of laresctl for bash.\n"
    "_laresctl()\n"
    "{\n"
    "    local cur words cword line\n"
    "    if declare -F _get_comp_words_by_ref > /dev/null; then\n"
    "        _get_comp_words_by_ref -n =: cur words cword\n"
    "    else\n"
    "        cur=${COMP_WORDS[COMP_CWORD]} words=(\"${COMP_WORDS[@]}\") cword=$COMP_CWORD\n"
    "    fi\n"
    "    COMPREPLY=()\n"
    "    while IFS= read -r line; do\n"
    "        line=${line%%$'\\t'*}\n"
    "        case $line in\n"
    "        :files) mapfile -t COMPREPLY < <(compgen -f -- \"$cur\"); compopt -o filenames ;;\n"
    "        :folders) mapfile -t COMPREPLY < <(compgen -d -- \"$cur\"); compopt -o filenames ;;\n"
    "        *) COMPREPLY+=(\"$(printf '%q' \"$line\")\") ;;\n"
    "        esac\n"
    "    done < <(\"${words[0]}\" __complete \"${words[@]:1:cword}\" 2> /dev/null)\n"
    "    declare -F __ltrim_colon_completions > /dev/null && __ltrim_colon_completions \"$cur\"\n"
    "    return 0\n"
    "}\n"
    "complete -F _laresctl laresctl\n";

static const char zsh_script[] =
    "#compdef laresctl\n"
    "# Completion of laresctl for zsh.\n"
    "_laresctl()\n"
    "{\n"
    "    local line\n"
    "    local -a found\n"
    "    for line in \"${(@f)$(\"${words[1]}\" __complete \"${(@)words[2,CURRENT]}\" 2> /dev/null)}\"; do\n"
    "        case $line in\n"
    "        (:files*) _files; return ;;\n"
    "        (:folders*) _files -/; return ;;\n"
    "        (?*) found+=(\"${${line%%$'\\t'*}//:/\\\\:}:${line#*$'\\t'}\") ;;\n"
    "        esac\n"
    "    done\n"
    "    (( $#found )) && _describe -V laresctl found\n"
    "}\n"
    "if [[ $funcstack[1] == _laresctl ]]; then\n"
    "    _laresctl \"$@\"\n"
    "else\n"
    "    compdef _laresctl laresctl\n"
    "fi\n";

static const char fish_script[] = "# Completion of laresctl for fish.\n"
                                  "function __laresctl_complete\n"
                                  "    set -l done (commandline -opc)\n"
                                  "    set -l current (commandline -ct)\n"
                                  "    for line in ($done[1] __complete $done[2..-1] \"$current\" 2> /dev/null)\n"
                                  "        switch $line\n"
                                  "            case ':files*'\n"
                                  "                __fish_complete_path \"$current\"\n"
                                  "            case ':folders*'\n"
                                  "                __fish_complete_directories \"$current\"\n"
                                  "            case '*'\n"
                                  "                echo $line\n"
                                  "        end\n"
                                  "    end\n"
                                  "end\n"
                                  "complete -c laresctl -f -a '(__laresctl_complete)'\n";

gboolean
ctl_run_completion(CtlCall *call, GError **error)
{
    const char *shell = json_object_get_string_member(call->params, "shell");
    if (g_str_equal(shell, "bash"))
        g_print("%s", bash_script);
    else
        g_print("%s", g_str_equal(shell, "zsh") ? zsh_script : fish_script);
    return TRUE;
}
