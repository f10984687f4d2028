/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From a file to a checked descriptor: nothing of a module is called before everything here has been looked at.
 *
 * Thread: main. */
#include "module/host-private.h"

#include <errno.h>
#include <fcntl.h>
#include <gmodule.h>
#include <link.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The descriptor as ABI 1.0 had it: the least that a module can have. */
#define MODULE_SIZE_1_0 (offsetof(LaresModule, reload) + sizeof(void *))

static gboolean
refuse(GError **error, const char *file, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *why = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error(error, LARES_ERROR, LARES_ERROR_MODULE, "%s: %s", file, why);
    return FALSE;
}

static gboolean
check_trust(const char *file, const char *path, gboolean directory, GError **error)
{
    struct stat st;
    const char *what = directory ? "its folder" : "it";
    if (stat(path, &st) < 0)
        return refuse(error, file, "%s", g_strerror(errno));
    if (!directory && !S_ISREG(st.st_mode))
        return refuse(error, file, "it is not a regular file");
    if (st.st_uid != 0 && st.st_uid != geteuid())
        return refuse(error, file, "%s belongs to uid %u, neither to root nor to this server's user", what,
                      (unsigned)st.st_uid);
    /* A sticky folder (/tmp) lets only owners replace files. */
    if ((st.st_mode & (S_IWGRP | S_IWOTH)) && !(directory && (st.st_mode & S_ISVTX)))
        return refuse(error, file, "%s can be written by its group or by others (mode %04o)", what,
                      (unsigned)(st.st_mode & 07777));
    return TRUE;
}

/* dlopen() maps what the headers promise, and touching what a cut-off file lacks is SIGBUS: an interrupted copy must
 * cost one module, not the server. What the headers are about is the linker's business, it refuses in words. */
static gboolean
check_whole(const char *file, GError **error)
{
    ElfW(Ehdr) head;
    ElfW(Phdr) part;
    struct stat st;
    gboolean whole = TRUE;
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0) {
        refuse(error, file, "%s", g_strerror(errno));
        whole = FALSE;
    } else if (pread(fd, &head, sizeof head, 0) == sizeof head && memcmp(head.e_ident, ELFMAG, SELFMAG) == 0 &&
               head.e_phentsize == sizeof part) {
        for (guint i = 0; whole && i < head.e_phnum; i++) {
            whole = pread(fd, &part, sizeof part, (off_t)(head.e_phoff + i * sizeof part)) == sizeof part &&
                    (part.p_type != PT_LOAD ||
                     (part.p_offset <= (uint64_t)st.st_size && part.p_filesz <= (uint64_t)st.st_size - part.p_offset));
        }
        if (!whole)
            refuse(error, file, "cannot be loaded: the file is cut short");
    }
    if (fd >= 0)
        close(fd);
    return whole;
}

static gboolean
is_module_name(const char *name)
{
    if (!name || !g_ascii_islower(*name) || strlen(name) > 64)
        return FALSE;
    return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(name);
}

static gboolean
check_keys(const char *file, const LaresKey *keys, GError **error)
{
    for (const LaresKey *k = keys; k && k->name; k++)
        if (k->type > LARES_KEY_LIST)
            return refuse(error, file, "its key \"%s\" has a type this server does not know", k->name);
    /* Defaults that do not pass their own check are the module's fault, found before it runs. */
    g_autoptr(GError) local = NULL;
    g_autoptr(LaresSettings) defaults = keys ? lares_settings_new(NULL, "settings", keys, "defaults", &local) : NULL;
    if (keys && !defaults)
        return refuse(error, file, "its own default is wrong: %s", local->message);
    return TRUE;
}

static gboolean
check_descriptor(const char *file, const LaresModule *m, const char *name, GError **error)
{
    if (m->magic != LARES_MODULE_MAGIC)
        return refuse(error, file, "it is not a Lares module (no magic number)");
    if (m->abi_major != LARES_ABI_MAJOR || m->abi_minor > LARES_ABI_MINOR)
        return refuse(error, file, "it was built for module ABI %u.%u, this server has %u.%u", m->abi_major,
                      m->abi_minor, LARES_ABI_MAJOR, LARES_ABI_MINOR);
    if (m->size < MODULE_SIZE_1_0)
        return refuse(error, file, "its descriptor is too short (%u bytes)", m->size);
    if (m->kind < LARES_MODULE_AUTH || m->kind > LARES_MODULE_SERVICE)
        return refuse(error, file, "it is of a kind this server does not know (%u)", m->kind);
    if (!is_module_name(m->name))
        return refuse(error, file, "it has no valid name");
    if (name && !g_str_equal(m->name, name))
        return refuse(error, file, "it calls itself \"%s\", not \"%s\"", m->name, name);
    if (!m->version || !m->description)
        return refuse(error, file, "it has no version or no description");
    if (!m->load)
        return refuse(error, file, "it has no load function");
    return check_keys(file, m->keys, error);
}

const LaresModule *
lares_module_open(const char *file, const char *name, GError **error)
{
    g_autofree char *folder = g_path_get_dirname(file);
    if (!check_trust(file, folder, TRUE, error) || !check_trust(file, file, FALSE, error) || !check_whole(file, error))
        return NULL;
    /* Not lazy: a missing symbol must show now, not in the middle of a request. */
    GModule *handle = g_module_open(file, G_MODULE_BIND_LOCAL);
    if (!handle) {
        refuse(error, file, "cannot be loaded: %s", g_module_error());
        return NULL;
    }
    gpointer symbol = NULL;
    if (!g_module_symbol(handle, LARES_MODULE_SYMBOL, &symbol) || !symbol) {
        refuse(error, file, "it is not a Lares module (no symbol \"%s\")", LARES_MODULE_SYMBOL);
        g_module_close(handle);
        return NULL;
    }
    if (!check_descriptor(file, symbol, name, error)) {
        g_module_close(handle);
        return NULL;
    }
    g_module_make_resident(handle); /* its GTypes cannot be taken back */
    return symbol;
}
