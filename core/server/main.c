/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The daemon: builds the house from the ground up, waits, and takes it down in reverse.
 *
 * Thread: main. */
#include "server/server.h"

#include "auth/registry.h"
#include "base/log.h"
#include "control/control.h"
#include "control/doctor.h"
#include "files/files-private.h"
#include "identity/directory.h"
#include "share/shares.h"
#include "state/list.h"

#include <glib-unix.h>
#include <lares-config.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
    LaresHost *host;
    GMainLoop *loop;
} Daemon;

static LaresOptions running_options; /* as given at the start */

static gboolean
on_stop(gpointer data)
{
    Daemon *daemon = data;
    lares_server_notify("STOPPING=1");
    g_main_loop_quit(daemon->loop);
    return G_SOURCE_CONTINUE;
}

static gboolean
start_log(const LaresServerSettings *settings, GError **error)
{
    LaresLogLevel level = LARES_LOG_INFO;
    const char *file = lares_settings_string(settings->server, "audit-file");
    lares_log_level_parse(lares_settings_string(settings->server, "log-level"), &level);
    lares_log_set_level(level);
    return !file || lares_audit_open(file, error);
}

/* What of lares.conf can change in a running server: the log (and its file, opened anew after a rotation), identity. */
static gboolean
reload_config(LaresHost *host, GError **error)
{
    g_auto(LaresServerSettings) settings = {0};
    return lares_server_read(&settings, &running_options, error) && start_log(&settings, error) &&
           lares_directory_configure(host->directory, settings.identity, error) &&
           lares_control_configure(host->control, settings.control, error);
}

static gboolean
reload(LaresHost *host, GError **error)
{
    lares_info("server", "reloading");
    return reload_config(host, error) && lares_modules_reload(host, error);
}

static gboolean
on_reload(gpointer data)
{
    Daemon *daemon = data;
    g_autoptr(GError) error = NULL;
    if (!reload(daemon->host, &error))
        lares_warning("server", "reload is not complete: %s", error ? error->message : "no reason given");
    return G_SOURCE_CONTINUE;
}

static gboolean
build_rooms(LaresHost *host, const LaresServerSettings *settings, GError **error)
{
    g_autofree char *database = g_build_filename(host->state_dir, "lares.db", NULL);
    host->control = lares_control_new(host);
    if (!lares_control_configure(host->control, settings->control, error) ||
        !lares_control_add_builtin(host->control, error) ||
        !lares_control_open_tokens(host->control, database, error) ||
        !lares_control_open_doctor(host->control, error) || !lares_server_add_checks(host, error))
        return FALSE;
    if (!(host->directory = lares_directory_new(host, error)) ||
        !lares_directory_configure(host->directory, settings->identity, error))
        return FALSE;
    if (!(host->shares = lares_shares_new(host, error)))
        return FALSE;
    if (!(host->files = lares_files_new(host, error)))
        return FALSE;
    host->net = lares_net_new((guint)lares_settings_integer(settings->server, "workers"),
                              (guint)lares_settings_integer(settings->server, "max-workers"),
                              (guint)lares_settings_integer(settings->server, "stall-timeout"),
                              (size_t)lares_settings_integer(settings->server, "peer-memory"), error);
    return host->net != NULL && lares_auth_add_metrics(error) && lares_state_add_metrics(error) &&
           lares_net_add_metrics(host, error);
}

/* In the order in which each may still need those below. */
static void
take_down(LaresHost *host)
{
    if (host->control) {
        lares_control_stop_slow(host->control);
        lares_control_stop_doctor(host->control);
    }
    lares_modules_stop(host);
    g_clear_pointer(&host->net, lares_net_free);
    lares_modules_unload(host);
    g_clear_pointer(&host->files, lares_files_free);
    g_clear_pointer(&host->shares, lares_shares_free);
    g_clear_pointer(&host->directory, lares_directory_free);
    g_clear_pointer(&host->control, lares_control_free);
}

/* Before anything is built, so that a stop that comes early is not the abrupt one. */
static void
catch_signals(Daemon *daemon, guint source[3])
{
    daemon->loop = g_main_loop_new(NULL, FALSE);
    source[0] = g_unix_signal_add(SIGTERM, on_stop, daemon);
    source[1] = g_unix_signal_add(SIGINT, on_stop, daemon);
    source[2] = g_unix_signal_add(SIGHUP, on_reload, daemon);
}

static void
serve(Daemon *daemon)
{
    lares_server_notify("READY=1");
    lares_net_warn_about_left();
    lares_info("server", "lares %s is ready as %s", LARES_VERSION, daemon->host->name);
    g_main_loop_run(daemon->loop);
    lares_info("server", "stopping");
}

/* An open file is two descriptors, its node's and its own, at times three. A third of what the process may have is for
 * files that are not open at the moment (store-posix), and connections need some. */
static void
limit_opens(const LaresServerSettings *settings, guint64 descriptors)
{
    guint64 max = (guint64)lares_settings_integer(settings->server, "max-opens");
    lares_state_limit_opens((guint)(max ? max : CLAMP(descriptors / 4, 64, 1 << 28)));
}

static gboolean
run(LaresHost *host, const LaresServerSettings *settings, GError **error)
{
    Daemon daemon = {.host = host};
    g_autoptr(GError) warning = NULL;
    guint source[3];
    int lock = -1;
    catch_signals(&daemon, source);
    lares_net_inherit();
    limit_opens(settings, lares_net_raise_files());
    gboolean ok = lares_server_make_dirs(host, &lock, error) && build_rooms(host, settings, error) &&
                  lares_modules_load(host, FALSE, error);
    if (ok) {
        if (!lares_shares_open_all(host->shares, &warning))
            lares_error("server", "not all shares are there: %s", warning->message);
        lares_modules_start(host);
        serve(&daemon);
    }
    take_down(host);
    for (guint i = 0; i < G_N_ELEMENTS(source); i++)
        g_source_remove(source[i]);
    g_main_loop_unref(daemon.loop);
    if (lock >= 0)
        close(lock);
    return ok;
}

static int
check_module(const char *file)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = g_canonicalize_filename(file, NULL);
    const LaresModule *m = lares_module_open(path, NULL, &error);
    if (!m) {
        fprintf(stderr, "laresd: %s\n", error->message);
        return 1;
    }
    printf("%s %s (%s): %s\n", m->name, m->version, lares_module_kind_name(m->kind), m->description);
    return 0;
}

/* What only the rooms know of their settings. */
static gboolean
check_rooms(LaresHost *host, const LaresServerSettings *settings, GError **error)
{
    LaresControl *control = lares_control_new(host);
    gboolean good = lares_directory_settings_check(settings->identity, error) &&
                    lares_control_configure(control, settings->control, error);
    lares_control_free(control);
    return good;
}

static int
check_config(LaresHost *host, const LaresServerSettings *settings, GError **error)
{
    if (!check_rooms(host, settings, error) || !lares_modules_load(host, TRUE, error))
        return 1;
    printf("the configuration is good\n");
    return 0;
}

int
lares_server_main(int argc, char **argv)
{
    LaresOptions *options = &running_options;
    g_auto(LaresServerSettings) settings = {0};
    g_autoptr(GError) error = NULL;
    int result = 1;
    setlocale(LC_ALL, "");
    umask(022);
    signal(SIGPIPE, SIG_IGN); /* sendfile(2) and pipes know no MSG_NOSIGNAL */
    if (!lares_options_parse(options, &argc, &argv, &error)) {
        fprintf(stderr, "laresd: %s\n", error->message);
        return 2;
    }
    if (options->version) {
        printf("laresd %s (module ABI %d.%d)\n", LARES_VERSION, LARES_ABI_MAJOR, LARES_ABI_MINOR);
        return 0;
    }
    if (options->check_module)
        return check_module(options->check_module);
    LaresHost *host = lares_host_new();
    host->reload = reload;
    if (lares_server_read(&settings, options, &error) &&
        lares_server_fill_host(host, options, settings.server, &error)) {
        if (options->check_config)
            result = check_config(host, &settings, &error);
        else if (options->describe_settings)
            result = lares_server_describe_settings(host->modules_dir, &error) ? 0 : 1;
        else if (start_log(&settings, &error))
            result = run(host, &settings, &error) ? 0 : 1;
    }
    if (error)
        fprintf(stderr, "laresd: %s\n", error->message);
    lares_host_free(host);
    lares_options_clear(options);
    return result;
}
