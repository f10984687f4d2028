/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a loadable module exports: one data descriptor, checked before any of its code runs.
 *
 * A module is a shared object with one exported symbol, `lares_module`, defined with LARES_MODULE(). The loader reads
 * it as data: magic, ABI (same major; minor not newer than the server's), size, name. Then it makes the module resident
 * and calls load(), in the main thread, with the module's settings already checked against `keys`.
 *
 * ABI rule: structs and interface tables grow only at their end; a NULL function means the default. What grows gets a
 * new minor version, so that an older server refuses the module instead of reading behind its own tables. The headers
 * of each minor are frozen (tests/abi) when they are released or the next one begins; 1.1 is the one that grows now. */
#pragma once

#include <lares/types.h>
#include <lares/settings.h>

G_BEGIN_DECLS

#define LARES_MODULE_MAGIC  UINT32_C(0x4c415245) /* "LARE" */
#define LARES_ABI_MAJOR     1
#define LARES_ABI_MINOR     1
#define LARES_MODULE_SYMBOL "lares_module"

typedef enum { LARES_MODULE_AUTH = 1, LARES_MODULE_PROTOCOL, LARES_MODULE_STORE, LARES_MODULE_SERVICE } LaresModuleKind;

typedef struct {
    uint32_t magic;
    uint16_t abi_major;
    uint16_t abi_minor;
    uint32_t size;    /* sizeof(LaresModule) the module was built with */
    uint32_t kind;    /* LaresModuleKind */
    const char *name; /* "auth-krb5": also the name of its .module file */
    const char *version;
    const char *description; /* one line */
    const LaresKey *keys;    /* the [settings] it knows, ended by a NULL name; may be NULL */
    /* Registers what the module provides on `host`. FALSE with `error` set leaves the server without this module.
     * `settings` stays valid for the life of the process. */
    gboolean (*load)(LaresHost *host, LaresSettings *settings, GError **error);
    /* Before the process ends, after protocols have stopped; may be NULL. Modules are never unmapped. */
    void (*unload)(LaresHost *host);
    /* The settings changed on disk and were checked; apply what can be applied live. NULL: needs a restart. */
    gboolean (*reload)(LaresHost *host, LaresSettings *settings, GError **error);
} LaresModule;

#define LARES_MODULE(kind_, name_, ...)                                                                                \
    __attribute__((visibility("default"))) extern const LaresModule lares_module;                                      \
    const LaresModule lares_module = {.magic = LARES_MODULE_MAGIC,                                                     \
                                      .abi_major = LARES_ABI_MAJOR,                                                    \
                                      .abi_minor = LARES_ABI_MINOR,                                                    \
                                      .size = sizeof(LaresModule),                                                     \
                                      .kind = (kind_),                                                                 \
                                      .name = (name_),                                                                 \
                                      __VA_ARGS__}

G_END_DECLS
