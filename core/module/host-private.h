/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The inside of a LaresHost: the daemon fills it before modules are loaded.
 *
 * Thread: written by the main thread before workers use it; the arrays of modules and protocols are the main thread's.
 */
#pragma once

#include <lares/lares.h>
#include "metrics/metrics.h"
#include "net/net.h"

G_BEGIN_DECLS

typedef enum {
    LARES_MODULE_LOADED,
    LARES_MODULE_DISABLED, /* by its .module file */
    LARES_MODULE_MISSING,  /* a .module file without a module */
    LARES_MODULE_FAILED    /* refused, or load() failed */
} LaresModuleState;

typedef struct {
    LaresProtocol *protocol;
    gboolean running;
    char *reason; /* why it does not run; NULL otherwise */
} LaresHostProtocol;

typedef struct {
    char *name;
    char *file;   /* shared object; NULL when missing */
    char *config; /* its .module file; NULL when there is none */
    LaresModuleState state;
    char *reason;              /* for FAILED and MISSING, or why the last reload was refused */
    const LaresModule *module; /* NULL unless LOADED; or checked only */
    LaresSettings *settings;
    char *settings_text;     /* the [settings] as they stand in the file, to see whether they changed */
    GPtrArray *old_settings; /* a module may hold on to what it got */
    GPtrArray *protocols;    /* of LaresHostProtocol, those it registered */
} LaresHostModule;

struct _LaresHost {
    LaresDirectory *directory;
    LaresShares *shares;
    LaresFiles *files;
    LaresControl *control;
    LaresNet *net;
    char *state_dir, *run_dir;
    char *name, *domain;
    char **aliases;
    uint64_t boot_id;
    gboolean privileged;
    gint64 started; /* monotonic microseconds */
    char *modules_dir, *module_config_dir;
    GPtrArray *modules; /* of LaresHostModule, by name */
    /* Reads lares.conf again, then the modules' files; the daemon's. */
    gboolean (*reload)(LaresHost *host, GError **error);
    /* While a load() runs: what it registers, kept back until it has succeeded. */
    LaresHostModule *loading;
    GPtrArray *new_providers; /* LaresAuthProvider */
    GPtrArray *new_protocols; /* LaresProtocol */
    GPtrArray *new_stores;    /* LaresHostStore */
    LaresMetricsMark metrics; /* what was counted before it */
};

typedef struct {
    char *type;
    LaresStoreOpenFunc open;
} LaresHostStore;

LaresHost *lares_host_new(void);
/* After the modules' unload(); rooms were freed before by the daemon. */
void lares_host_free(LaresHost *host);
void lares_host_begin_load(LaresHost *host, LaresHostModule *module);
/* Hands what was registered to the registries, or drops it. */
gboolean lares_host_end_load(LaresHost *host, gboolean keep, GError **error);
/* Effective capabilities allow acting as other users (CAP_SETUID, SETGID, DAC_OVERRIDE, DAC_READ_SEARCH, CHOWN,
 * FOWNER). */
gboolean lares_host_look_privileged(void);

/* ---- modules.c ------------------------------------------------------------------------------------------------ */

/* What [module] of a .module file may say. */
extern const LaresKey lares_module_file_keys[];
/* Finds all modules and loads those that are enabled. A module that cannot be used is an entry with a reason; FALSE
 * only for a broken .module file. `check_only`: settings are checked, no module's code runs. */
gboolean lares_modules_load(LaresHost *host, gboolean check_only, GError **error);
/* Reads the .module files again: new settings are handed over, modules switched on are loaded, protocols of modules
 * switched off are stopped. FALSE when something was refused (and the old state stays); the error names the first. */
gboolean lares_modules_reload(LaresHost *host, GError **error);
/* NULL when there is neither a shared object nor a .module file of this name. */
LaresHostModule *lares_modules_find(LaresHost *host, const char *name);
void lares_modules_start(LaresHost *host);
void lares_modules_stop(LaresHost *host);
void lares_modules_unload(LaresHost *host);
const char *lares_module_state_name(LaresModuleState state);
const char *lares_module_kind_name(guint kind);

/* ---- edit.c --------------------------------------------------------------------------------------------------- */

/* A change of a .module file: "KEY=VALUE" to set, keys to give back to their defaults; lists end with NULL. */
typedef struct {
    gboolean change_enabled, enabled;
    const char *const *set;
    const char *const *unset;
} LaresModuleEdit;

/* Checks the change, writes the file and reloads. When the module refuses, the old file is put back. */
gboolean lares_modules_edit(LaresHost *host, const char *name, const LaresModuleEdit *edit, GError **error);

/* ---- loader.c ------------------------------------------------------------------------------------------------- */

/* Opens a shared object and checks its descriptor; it stays mapped for ever. `name` NULL: any. */
const LaresModule *lares_module_open(const char *file, const char *name, GError **error);

G_END_DECLS
