/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* laresd's command line and lares.conf.
 *
 * Thread: main. */
#include "server/server.h"

#include "base/settings.h"
#include "control/control.h"
#include "identity/directory.h"

#include <errno.h>
#include <fcntl.h>
#include <lares-config.h>
#include <netdb.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

const LaresKey lares_server_keys[] = {
    {"host-name", LARES_KEY_STRING, NULL, 0, 0,
     "The fully qualified name that clients use; default: this machine's name."},
    {"aliases", LARES_KEY_LIST, NULL, 0, 0, "Further names the server answers to."},
    {"domain", LARES_KEY_STRING, NULL, 0, 0,
     "The domain of NFSv4 owner names; default: the domain part of the host name."},
    {"state-dir", LARES_KEY_PATH, LARES_STATE_DIR, 0, 0, "Where the server keeps what must survive."},
    {"run-dir", LARES_KEY_PATH, LARES_RUN_DIR, 0, 0, "Where its sockets are."},
    {"modules-dir", LARES_KEY_PATH, LARES_MODULE_DIR, 0, 0, "Where its modules are."},
    {"module-config-dir", LARES_KEY_PATH, LARES_SYSCONF_DIR "/modules.d", 0, 0, "Where the .module files are."},
    {"workers", LARES_KEY_INTEGER, "0", 0, 1024, "Worker threads; 0: one per core, at least 4."},
    {"max-workers", LARES_KEY_INTEGER, "64", 1, 4096, "How many may be started while all of them wait for disks."},
    {"max-opens", LARES_KEY_INTEGER, "0", 0, 1 << 28,
     "Files that all clients may have open at once; 0: a quarter of the limit of open files (RLIMIT_NOFILE)."},
    {"stall-timeout", LARES_KEY_DURATION, "60", 1, 86400,
     "How long a peer may send half a request, or not read its answers."},
    {"peer-memory", LARES_KEY_SIZE, "256M", 16 << 20, (gint64)1 << 40,
     "What halves of requests and unread answers of all peers may take together; past it, those that keep the most are "
     "disconnected."},
    {"log-level", LARES_KEY_STRING, "info", 0, 0, "error, warning, info or debug."},
    {"audit-file", LARES_KEY_PATH, NULL, 0, 0, "A file that gets the audit lines too."},
    {NULL},
};

gboolean
lares_options_parse(LaresOptions *options, int *argc, char ***argv, GError **error)
{
    const GOptionEntry entries[] = {
        {"config", 'c', 0, G_OPTION_ARG_FILENAME, &options->config, "Read FILE instead of lares.conf", "FILE"},
        {"modules-dir", 0, 0, G_OPTION_ARG_FILENAME, &options->modules_dir, "Take modules from DIR", "DIR"},
        {"module-config-dir", 0, 0, G_OPTION_ARG_FILENAME, &options->module_config_dir, "Take .module files from DIR",
         "DIR"},
        {"state-dir", 0, 0, G_OPTION_ARG_FILENAME, &options->state_dir, "Keep state in DIR", "DIR"},
        {"run-dir", 0, 0, G_OPTION_ARG_FILENAME, &options->run_dir, "Put sockets into DIR", "DIR"},
        {"check-config", 0, 0, G_OPTION_ARG_NONE, &options->check_config, "Check the configuration and exit", NULL},
        {"check-module", 0, 0, G_OPTION_ARG_FILENAME, &options->check_module, "Check a module's file and exit", "FILE"},
        {"describe-settings", 0, 0, G_OPTION_ARG_NONE, &options->describe_settings,
         "Print every setting there is, as Markdown, and exit", NULL},
        {"version", 0, 0, G_OPTION_ARG_NONE, &options->version, "Print the version and exit", NULL},
        {NULL},
    };
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_option_context_set_summary(context, "The Lares file server.");
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, argc, argv, error))
        return FALSE;
    if (*argc > 1) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_INVALID, "unexpected argument \"%s\"", (*argv)[1]);
        return FALSE;
    }
    return TRUE;
}

void
lares_options_clear(LaresOptions *options)
{
    g_free(options->config);
    g_free(options->modules_dir);
    g_free(options->module_config_dir);
    g_free(options->state_dir);
    g_free(options->run_dir);
    g_free(options->check_module);
    *options = (LaresOptions){0};
}

static gboolean
check_log_level(const LaresSettings *s, const char *path, GError **error)
{
    static const char *const levels[] = {"error", "warning", "info", "debug", NULL};
    const char *level = lares_settings_string(s, "log-level");
    if (g_strv_contains(levels, level))
        return TRUE;
    g_set_error(error, LARES_ERROR, LARES_ERROR_CONFIG,
                "%s: [server] log-level = %s: must be error, warning, info or debug", path, level);
    return FALSE;
}

static gboolean
check_groups(GKeyFile *file, const char *path, GError **error)
{
    static const char *const known[] = {"server", "identity", "control", NULL};
    g_auto(GStrv) groups = g_key_file_get_groups(file, NULL);
    for (guint i = 0; groups[i]; i++) {
        if (!g_strv_contains(known, groups[i])) {
            g_set_error(error, LARES_ERROR, LARES_ERROR_CONFIG,
                        "%s: unknown group [%s]; valid are [server], [identity] and [control] (modules have files of "
                        "their own)",
                        path, groups[i]);
            return FALSE;
        }
    }
    return TRUE;
}

static const struct {
    const char *name;
    const LaresKey *keys;
} groups[] = {{"server", lares_server_keys}, {"identity", lares_directory_keys}, {"control", lares_control_keys}};

/* Each file is checked by itself, so that errors name it; its values go over those of the files before it. */
static gboolean
take_file(GKeyFile *all, GKeyFile *file, const char *path, GError **error)
{
    if (!check_groups(file, path, error))
        return FALSE;
    for (guint i = 0; i < G_N_ELEMENTS(groups); i++) {
        g_autoptr(LaresSettings) checked = lares_settings_new(file, groups[i].name, groups[i].keys, path, error);
        if (!checked || (groups[i].keys == lares_server_keys && !check_log_level(checked, path, error)))
            return FALSE;
        g_auto(GStrv) keys = g_key_file_get_keys(file, groups[i].name, NULL, NULL);
        for (char **key = keys; key && *key; key++) {
            g_autofree char *value = g_key_file_get_value(file, groups[i].name, *key, NULL);
            g_key_file_set_value(all, groups[i].name, *key, value);
        }
    }
    return TRUE;
}

static gboolean
read_file(GKeyFile *all, const char *path, gboolean may_miss, GError **error)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autoptr(GError) local = NULL;
    if (g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, &local))
        return take_file(all, file, path, error);
    if (may_miss && g_error_matches(local, G_FILE_ERROR, G_FILE_ERROR_NOENT))
        return TRUE;
    g_set_error(error, LARES_ERROR, LARES_ERROR_CONFIG, "%s: %s", path, local->message);
    return FALSE;
}

static gint
by_name(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* conf.d/NAME.conf beside lares.conf, in the order of their names. */
static gboolean
read_drop_ins(GKeyFile *all, const char *path, GError **error)
{
    g_autofree char *parent = g_path_get_dirname(path), *folder = g_build_filename(parent, "conf.d", NULL);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GError) local = NULL;
    g_autoptr(GDir) dir = g_dir_open(folder, 0, &local);
    const char *name;
    if (!dir && !g_error_matches(local, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_CONFIG, "%s: %s", folder, local->message);
        return FALSE;
    }
    while (dir && (name = g_dir_read_name(dir)))
        if (g_str_has_suffix(name, ".conf") && *name != '.')
            g_ptr_array_add(names, g_strdup(name));
    g_ptr_array_sort(names, by_name);
    for (guint i = 0; i < names->len; i++) {
        g_autofree char *file = g_build_filename(folder, names->pdata[i], NULL);
        if (!read_file(all, file, FALSE, error))
            return FALSE;
    }
    return TRUE;
}

gboolean
lares_server_read(LaresServerSettings *settings, const LaresOptions *options, GError **error)
{
    const char *path = options->config ? options->config : LARES_SYSCONF_DIR "/lares.conf";
    g_autoptr(GKeyFile) all = g_key_file_new();
    return read_file(all, path, !options->config, error) && read_drop_ins(all, path, error) &&
           (settings->server = lares_settings_new(all, "server", lares_server_keys, path, error)) &&
           (settings->identity = lares_settings_new(all, "identity", lares_directory_keys, path, error)) &&
           (settings->control = lares_settings_new(all, "control", lares_control_keys, path, error));
}

void
lares_server_settings_clear(LaresServerSettings *settings)
{
    lares_settings_free(settings->server);
    lares_settings_free(settings->identity);
    lares_settings_free(settings->control);
}

/* ---- The host's names ----------------------------------------------------------------------------------------- */

/* No question to any DNS server: /etc/hosts at most. */
static char *
own_name(void)
{
    char name[256] = "localhost";
    gethostname(name, sizeof name - 1);
    if (strchr(name, '.'))
        return g_ascii_strdown(name, -1);
    g_autofree char *hosts = NULL;
    if (g_file_get_contents("/etc/hosts", &hosts, NULL, NULL)) {
        g_autofree char *quoted = g_regex_escape_string(name, -1);
        g_autofree char *pattern = g_strdup_printf("^[^#\n]*\\s(%s\\.[A-Za-z0-9.-]+)", quoted);
        g_autoptr(GRegex) regex = g_regex_new(pattern, G_REGEX_MULTILINE | G_REGEX_CASELESS, 0, NULL);
        g_autoptr(GMatchInfo) match = NULL;
        if (regex && g_regex_match(regex, hosts, 0, &match)) {
            g_autofree char *full = g_match_info_fetch(match, 1);
            return g_ascii_strdown(full, -1);
        }
    }
    return g_ascii_strdown(name, -1);
}

static void
fill_names(LaresHost *host, const LaresSettings *settings)
{
    const char *name = lares_settings_string(settings, "host-name"),
               *domain = lares_settings_string(settings, "domain");
    host->name = name ? g_ascii_strdown(name, -1) : own_name();
    const char *dot = strchr(host->name, '.');
    host->domain = domain ? g_ascii_strdown(domain, -1) : g_strdup(dot && dot[1] ? dot + 1 : "localdomain");
    g_autoptr(GStrvBuilder) names = g_strv_builder_new();
    g_strv_builder_add(names, host->name);
    for (const char *const *alias = lares_settings_list(settings, "aliases"); *alias; alias++)
        if (g_ascii_strcasecmp(*alias, host->name) != 0)
            g_strv_builder_add(names, *alias);
    host->aliases = g_strv_builder_end(names);
}

static char *
choose(const char *option, const LaresSettings *settings, const char *key)
{
    return g_canonicalize_filename(option ? option : lares_settings_string(settings, key), NULL);
}

gboolean
lares_server_fill_host(LaresHost *host, const LaresOptions *options, const LaresSettings *settings, GError **error)
{
    fill_names(host, settings);
    host->state_dir = choose(options->state_dir, settings, "state-dir");
    host->run_dir = choose(options->run_dir, settings, "run-dir");
    host->modules_dir = choose(options->modules_dir, settings, "modules-dir");
    host->module_config_dir = choose(options->module_config_dir, settings, "module-config-dir");
    host->privileged = lares_host_look_privileged();
    while (host->boot_id == 0) {
        if (getrandom(&host->boot_id, sizeof host->boot_id, 0) < 0) {
            g_set_error(error, LARES_ERROR, LARES_ERROR_FAILED, "no random bytes: %s", g_strerror(errno));
            return FALSE;
        }
    }
    return TRUE;
}

/* ---- Directories ---------------------------------------------------------------------------------------------- */

static gboolean
make_dir(const char *path, mode_t mode, GError **error)
{
    struct stat st;
    if (g_mkdir_with_parents(path, (int)mode) < 0 || stat(path, &st) < 0) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_FAILED, "cannot make the folder %s: %s", path, g_strerror(errno));
        return FALSE;
    }
    if (!S_ISDIR(st.st_mode) || access(path, W_OK | X_OK) < 0) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_FAILED, "%s is not a folder this server can write to", path);
        return FALSE;
    }
    return TRUE;
}

gboolean
lares_server_make_dirs(LaresHost *host, int *lock, GError **error)
{
    if (!make_dir(host->state_dir, 0700, error) || !make_dir(host->run_dir, 0755, error))
        return FALSE;
    g_autofree char *path = g_build_filename(host->state_dir, "lock", NULL);
    *lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (*lock < 0 || flock(*lock, LOCK_EX | LOCK_NB) < 0) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_CONFLICT,
                    errno == EWOULDBLOCK ? "another laresd uses %s" : "cannot lock the state folder %s",
                    host->state_dir);
        if (*lock >= 0)
            close(*lock);
        *lock = -1;
        return FALSE;
    }
    return TRUE;
}

/* ---- Service manager ------------------------------------------------------------------------------------------ */

void
lares_server_notify(const char *state)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    const char *path = g_getenv("NOTIFY_SOCKET");
    if (!path || (*path != '/' && *path != '@') || strlen(path) >= sizeof un.sun_path)
        return;
    size_t n = strlen(path);
    memcpy(un.sun_path, path, n);
    if (*path == '@') /* an abstract socket */
        un.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&un,
                         (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) < 0)
        lares_warning("server", "cannot tell the service manager: %s", g_strerror(errno));
    if (fd >= 0)
        close(fd);
}
