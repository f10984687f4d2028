/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Modules that must be refused, or fail: one source, one build per BROKEN_… */
#include <lares/lares.h>

#include <stdlib.h>

#if defined(BROKEN_NO_SYMBOL)
__attribute__((visibility("default"))) extern const int something_else;
const int something_else = 1;
#else

G_GNUC_UNUSED static gboolean
load(LaresHost *host, LaresSettings *settings, GError **error)
{
#if defined(BROKEN_LOAD)
    g_set_error(error, LARES_ERROR, LARES_ERROR_UNAVAILABLE, "the frobnicator is not plugged in");
    return FALSE;
#elif defined(BROKEN_SILENT)
    return FALSE;
#elif defined(BROKEN_NOTHING)
    return TRUE;
#elif defined(BROKEN_STORE)
    return lares_host_add_store_type(host, "odd", NULL, error);
#elif defined(BROKEN_OBJECT)
    GObject *object = g_object_new(G_TYPE_OBJECT, NULL);
    gboolean ok = lares_host_add_protocol(host, (LaresProtocol *)object, error);
    g_object_unref(object);
    return ok;
#else
    abort(); /* a module that was refused must not run */
#endif
}

#if defined(BROKEN_DEFAULT)
static const LaresKey keys[] = {{"port", LARES_KEY_INTEGER, "no number", 0, 0, ""}, {NULL}};
#else
static const LaresKey keys[] = {{NULL}};
#endif

#ifdef BROKEN_STORE
#define KIND LARES_MODULE_STORE
#elif defined(BROKEN_KIND)
#define KIND 99
#else
#define KIND LARES_MODULE_PROTOCOL
#endif

__attribute__((visibility("default"))) extern const LaresModule lares_module;
const LaresModule lares_module = {
#ifdef BROKEN_MAGIC
    .magic = 0x12345678,
#else
    .magic = LARES_MODULE_MAGIC,
#endif
#ifdef BROKEN_MAJOR
    .abi_major = LARES_ABI_MAJOR + 1,
#else
    .abi_major = LARES_ABI_MAJOR,
#endif
#ifdef BROKEN_MINOR
    .abi_minor = LARES_ABI_MINOR + 1,
#else
    .abi_minor = LARES_ABI_MINOR,
#endif
#ifdef BROKEN_SIZE
    .size = 16,
#else
    .size = sizeof(LaresModule),
#endif
    .kind = KIND,
#ifdef BROKEN_NAME
    .name = "../escape",
#else
    .name = MODULE_NAME,
#endif
    .version = "1",
    .description = "Must not work.",
    .keys = keys,
#ifndef BROKEN_NULL
    .load = load,
#endif
};
#endif
