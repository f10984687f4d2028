/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* laresd's parts: its command line and configuration, its directories, the word to the service manager.
 *
 * Thread: main. */
#pragma once

#include "module/host-private.h"

G_BEGIN_DECLS

typedef struct {
    char *config, *modules_dir, *module_config_dir, *state_dir, *run_dir;
    char *check_module;
    gboolean check_config, describe_settings, version;
} LaresOptions;

gboolean lares_options_parse(LaresOptions *options, int *argc, char ***argv, GError **error);
void lares_options_clear(LaresOptions *options);

extern const LaresKey lares_server_keys[];

/* lares.conf, checked. */
typedef struct {
    LaresSettings *server;
    LaresSettings *identity;
    LaresSettings *control;
} LaresServerSettings;

/* FALSE with an error that names file, group and key. A missing file is an error only when it was asked for by name. */
gboolean lares_server_read(LaresServerSettings *settings, const LaresOptions *options, GError **error);
void lares_server_settings_clear(LaresServerSettings *settings);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(LaresServerSettings, lares_server_settings_clear)

/* Fills names, directories and modes of `host`. */
gboolean lares_server_fill_host(LaresHost *host, const LaresOptions *options, const LaresSettings *settings,
                                GError **error);
/* Makes the state and run directories; takes the lock of the state directory: *lock stays open while the daemon lives.
 */
gboolean lares_server_make_dirs(LaresHost *host, int *lock, GError **error);

/* Prints every setting of lares.conf and of the modules in `modules_dir` as Markdown; no module's code runs. FALSE when
 * a module there is refused: the list would lack it. */
gboolean lares_server_describe_settings(const char *modules_dir, GError **error);

/* The doctor's areas "names" and "state". */
gboolean lares_server_add_checks(LaresHost *host, GError **error);

/* sd_notify(3) without its library: one datagram to $NOTIFY_SOCKET. */
void lares_server_notify(const char *state);

/* laresd's main(): the whole daemon lives in the library, so that modules meet one copy of the core. */
LARES_API int lares_server_main(int argc, char **argv);

G_END_DECLS
