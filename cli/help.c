/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* --help at every level, and the commands as a part of the manual page; both from the table. */
#include "ctl.h"

#include <glib/gi18n.h>
#include <string.h>

/* A paragraph stays readable on a wide terminal, too. */
#define TEXT_WIDTH 80

static const char *
group_summary(const char *words)
{
    for (const CtlGroup *g = ctl_groups; g->name; g++)
        if (g_str_equal(g->name, words))
            return _(g->summary);
    return "";
}

/* Breaks lines at blanks. */
static void
print_wrapped(const char *text, const char *indent)
{
    g_auto(GStrv) words = g_strsplit(text, " ", -1);
    int at = 0;
    for (char **w = words; *w; w++) {
        int width = ctl_width(*w);
        if (at > 0 && at + 1 + width > TEXT_WIDTH) {
            g_print("\n");
            at = 0;
        }
        g_print("%s%s", at ? " " : indent, *w);
        at += (at ? 1 : ctl_width(indent)) + width;
    }
    g_print("\n");
}

void
ctl_print_pairs(const char *title, const char *const *texts)
{
    int width = 0;
    for (const char *const *t = texts; *t; t += 2)
        width = MAX(width, ctl_width(t[0]));
    if (texts[0])
        g_print("\n%s\n", title);
    for (const char *const *t = texts; *t; t += 2)
        g_print("  %s%*s%s\n", t[0], width - ctl_width(t[0]) + 3, "", t[1]);
}

static GPtrArray *
pairs_new(void)
{
    return g_ptr_array_new_with_free_func(g_free);
}

/* Takes `left`. */
static void
pairs_add(GPtrArray *pairs, char *left, const char *right)
{
    g_ptr_array_add(pairs, left);
    g_ptr_array_add(pairs, g_strdup(right));
}

static void
pairs_print(GPtrArray *pairs, const char *title)
{
    g_ptr_array_add(pairs, NULL);
    ctl_print_pairs(title, (const char *const *)pairs->pdata);
    g_ptr_array_unref(pairs);
}

static char *
option_text(const CtlOption *o)
{
    return o->value ? g_strdup_printf("--%s %s", o->name, _(o->value)) : g_strdup_printf("--%s", o->name);
}

static void
print_options(const CtlOption *options, const char *title)
{
    GPtrArray *pairs = pairs_new();
    for (const CtlOption *o = options; o && o->name; o++)
        pairs_add(pairs, option_text(o), _(o->doc));
    pairs_print(pairs, title);
}

static void
print_examples(const char *examples)
{
    g_auto(GStrv) lines = g_strsplit(examples ? examples : "", "\n", -1);
    if (lines[0])
        g_print("\n%s\n", _("Examples:"));
    for (char **line = lines; *line; line++)
        g_print("  %s\n", *line);
}

/* The commands below a prefix: those of one word in full, groups by their summary. */
static void
print_commands(const char *prefix, const char *title)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    GPtrArray *pairs = pairs_new();
    for (const CtlCommand *c = ctl_commands; c->words; c++) {
        g_autofree char *next = c->hidden ? NULL : ctl_next_word(c, prefix);
        if (!next || g_hash_table_contains(seen, next))
            continue;
        g_autofree char *full = prefix[0] ? g_strdup_printf("%s %s", prefix, next) : g_strdup(next);
        const CtlCommand *whole = ctl_find_command(full);
        pairs_add(pairs, g_strdup(full), whole ? _(whole->summary) : group_summary(full));
        g_hash_table_add(seen, g_steal_pointer(&next));
    }
    pairs_print(pairs, title);
}

static const struct {
    CtlExit code;
    const char *text;
} exits[] = {
    {CTL_EXIT_OK, N_("done")},
    {CTL_EXIT_FAILED, N_("failed")},
    {CTL_EXIT_USAGE, N_("wrong words, or a value that is not accepted")},
    {CTL_EXIT_NOT_FOUND, N_("there is no such thing")},
    {CTL_EXIT_DENIED, N_("not allowed")},
    {CTL_EXIT_UNREACHABLE, N_("the server does not run or does not answer")},
    {CTL_EXIT_CONFLICT, N_("it exists already, or something is in the way")},
    {CTL_EXIT_UNAVAILABLE, N_("the server does not offer this: a module is missing or not set up")},
    {CTL_EXIT_WARNINGS, N_("the doctor found warnings, and no errors")},
    {CTL_EXIT_ERRORS, N_("the doctor found errors")},
};

static void
print_exits(void)
{
    GPtrArray *pairs = pairs_new();
    for (guint i = 0; i < G_N_ELEMENTS(exits); i++)
        pairs_add(pairs, g_strdup_printf("%d", exits[i].code), _(exits[i].text));
    pairs_print(pairs, _("Exit codes:"));
}

void
ctl_help_top(void)
{
    g_print("%s laresctl %s\n\n", _("Usage:"), _("COMMAND [WORD...] [OPTION...]"));
    print_wrapped(
        _("Manages a running Lares file server: this machine's through its control socket, others over HTTPS."), "");
    print_commands("", _("Commands:"));
    print_options(ctl_global_options, _("Options of every command:"));
    print_examples("laresctl realm create HOME.LAN --user ada\n"
                   "laresctl share create media /srv/media --sec krb5p\n"
                   "laresctl share --help");
    print_exits();
}

void
ctl_help_group(const char *words)
{
    g_print("%s laresctl %s %s\n", _("Usage:"), words, _("COMMAND [WORD...] [OPTION...]"));
    print_commands(words, _("Commands:"));
    g_print("\n");
    g_print(_("\"laresctl %s COMMAND --help\" explains a command.\n"), words);
}

static char *
as_sentence(const char *text)
{
    char first[8] = {0};
    g_unichar_to_utf8(g_unichar_toupper(g_utf8_get_char(text)), first);
    return g_strdup_printf("%s%s.", first, g_utf8_next_char(text));
}

static void
print_usage(const CtlCommand *command)
{
    g_print("%s laresctl %s", _("Usage:"), command->words);
    for (const CtlArg *a = command->args; a && a->param; a++)
        g_print(a->rest ? " [%s]" : " %s", _(a->title));
    g_print(" %s\n\n", _("[OPTION...]"));
}

void
ctl_help_command(const CtlCommand *command)
{
    print_usage(command);
    g_autofree char *sentence = as_sentence(_(command->summary));
    print_wrapped(sentence, "");
    if (command->about) {
        g_print("\n");
        print_wrapped(_(command->about), "");
    }
    GPtrArray *pairs = pairs_new();
    for (const CtlArg *a = command->args; a && a->param; a++)
        pairs_add(pairs, g_strdup(_(a->title)), _(a->doc));
    pairs_print(pairs, _("Words:"));
    print_options(command->options, _("Options:"));
    print_options(ctl_global_options, _("Options of every command:"));
    print_examples(command->examples);
}

/* ---- The manual page ------------------------------------------------------------------------------------------- */

/* roff reads a backslash and a dot or quote at the start of a line as its own; a hyphen to type is \-. */
static void
print_roff(const char *text)
{
    for (const char *p = text; *p; p++) {
        if ((*p == '.' || *p == '\'') && (p == text || p[-1] == '\n'))
            g_print("\\&");
        if (*p == '\\')
            g_print("\\e");
        else if (*p == '-')
            g_print("\\-");
        else
            g_print("%c", *p);
    }
}

static void
manual_command(const CtlCommand *c)
{
    g_print(".SS \"laresctl ");
    print_roff(c->words);
    for (const CtlArg *a = c->args; a && a->param; a++)
        g_print(a->rest ? " [%s]" : " %s", a->title);
    g_print("\"\n");
    g_autofree char *sentence = as_sentence(c->summary);
    print_roff(sentence);
    g_print("\n");
    if (c->about) {
        print_roff(c->about);
        g_print("\n");
    }
    for (const CtlArg *a = c->args; a && a->param; a++) {
        g_print(".TP\n.I %s\n", a->title);
        print_roff(a->doc);
        g_print("\n");
    }
    for (const CtlOption *o = c->options; o && o->name; o++) {
        g_print(".TP\n.BR \\-\\-");
        print_roff(o->name);
        if (o->value)
            g_print(" \" \" \\fI%s\\fR", o->value);
        g_print("\n");
        print_roff(o->doc);
        g_print("\n");
    }
    if (c->examples) {
        g_print(".PP\n.EX\n");
        print_roff(c->examples);
        g_print("\n.EE\n");
    }
}

gboolean
ctl_run_manual(CtlCall *call, GError **error)
{
    g_print(".SH OPTIONS\n");
    for (const CtlOption *o = ctl_global_options; o->name; o++) {
        g_print(".TP\n.BR \\-\\-%s", o->name);
        if (o->value)
            g_print(" \" \" \\fI%s\\fR", o->value);
        g_print("\n");
        print_roff(o->doc);
        g_print("\n");
    }
    g_print(".SH COMMANDS\n");
    for (const CtlCommand *c = ctl_commands; c->words; c++)
        if (!c->hidden)
            manual_command(c);
    g_print(".SH \"EXIT STATUS\"\n");
    for (guint i = 0; i < G_N_ELEMENTS(exits); i++) {
        g_print(".TP\n.B %d\n", exits[i].code);
        print_roff(exits[i].text);
        g_print("\n");
    }
    return TRUE;
}

gboolean
ctl_run_verbs(CtlCall *call, GError **error)
{
    for (const CtlCommand *c = ctl_commands; c->words; c++)
        if (c->verb)
            g_print("%s\t%s\n", c->words, c->verb);
    return TRUE;
}
