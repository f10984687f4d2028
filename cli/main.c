/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* laresctl: from the words typed to the verb called. */
#include "ctl.h"

#include <glib/gi18n.h>
#include <lares-config.h>
#include <locale.h>
#include <stdio.h>

G_DEFINE_QUARK(lares - ctl - error, ctl_error)

static gboolean
run(CtlCall *call, GError **error)
{
    if (call->command->run)
        return call->command->run(call, error);
    g_autoptr(JsonNode) answer = ctl_client_call(call, call->command->verb, call->params, NULL, error);
    if (!answer)
        return FALSE;
    ctl_print_answer(call, answer);
    return TRUE;
}

/* No complete command: help for the part that is there; without --help that is a mistake. */
static int
without_command(const CtlCall *call, const char *words)
{
    if (words[0] == '\0')
        ctl_help_top();
    else
        ctl_help_group(words);
    return call->help ? CTL_EXIT_OK : CTL_EXIT_USAGE;
}

/* Bytes as they are: names are UTF-8 whatever the locale says, and JSON is always. */
static void
print_bytes(const char *text)
{
    fputs(text, stdout);
}

static void
print_error_bytes(const char *text)
{
    fflush(stdout);
    fputs(text, stderr);
}

static int
fail(const GError *error)
{
    g_printerr("laresctl: %s\n", error->message);
    return error->domain == CTL_ERROR ? error->code : CTL_EXIT_FAILED;
}

int
main(int argc, char **argv)
{
    CtlCall call = {0};
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) words = g_string_new(NULL);
    int code = CTL_EXIT_OK;
    setlocale(LC_ALL, "");
    g_set_print_handler(print_bytes);
    g_set_printerr_handler(print_error_bytes);
    /* The variable is for translations that are not installed. */
    const char *own = g_getenv("LARES_LOCALE_DIR");
    bindtextdomain(GETTEXT_PACKAGE, own ? own : LARES_LOCALE_DIR);
    bind_textdomain_codeset(GETTEXT_PACKAGE, "UTF-8");
    textdomain(GETTEXT_PACKAGE);
    if (argc > 1 && g_str_equal(argv[1], "__complete")) {
        ctl_complete(argc - 2, argv + 2);
        return CTL_EXIT_OK;
    }
    if (!ctl_parse(argc, argv, &call, words, &error))
        code = fail(error);
    else if (call.version)
        g_print("laresctl %s\n", LARES_VERSION);
    else if (!call.command)
        code = without_command(&call, words->str);
    else if (call.help)
        ctl_help_command(call.command);
    else if (!run(&call, &error))
        code = fail(error);
    else
        code = call.exit;
    ctl_call_clear(&call);
    if (fflush(stdout) != 0 && code == CTL_EXIT_OK) {
        g_printerr("laresctl: %s\n", _("the output cannot be written"));
        code = CTL_EXIT_FAILED;
    }
    return code;
}
