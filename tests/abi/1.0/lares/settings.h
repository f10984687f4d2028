/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Typed settings with declared keys: unknown keys are refused with the nearest valid name.
 *
 * Thread: a LaresSettings is replaced, never changed; getters may be called from any thread. */
#pragma once

#include <lares/types.h>

G_BEGIN_DECLS

typedef enum {
    LARES_KEY_STRING,
    LARES_KEY_PATH, /* absolute */
    LARES_KEY_BOOLEAN,
    LARES_KEY_INTEGER,  /* between min and max */
    LARES_KEY_DURATION, /* "90", "90s", "5m", "8h", "7d": kept in seconds, between min and max */
    LARES_KEY_SIZE,     /* "64", "64K", "1M", "2G": kept in bytes */
    LARES_KEY_LIST      /* comma-separated strings */
} LaresKeyType;

typedef struct {
    const char *name;
    LaresKeyType type;
    const char *fallback; /* the default as text, NULL for "unset" */
    gint64 min, max;      /* for numbers; both 0 means any */
    const char *doc;      /* one sentence for the reference */
} LaresKey;

/* Each getter: `key` must be a declared one (a programming error otherwise). */
LARES_API const char *lares_settings_string(const LaresSettings *s, const char *key); /* NULL when unset */
LARES_API gboolean lares_settings_boolean(const LaresSettings *s, const char *key);
LARES_API gint64 lares_settings_integer(const LaresSettings *s,
                                        const char *key); /* also durations (s), sizes (bytes) */
LARES_API const char *const *lares_settings_list(const LaresSettings *s, const char *key); /* NULL-ended, never NULL */

/* Reads and checks one group of a keyfile; a missing group gives all defaults. `origin` names the file in messages. */
LARES_API LaresSettings *lares_settings_new(GKeyFile *file, const char *group, const LaresKey *keys, const char *origin,
                                            GError **error);
LARES_API void lares_settings_free(LaresSettings *s);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LaresSettings, lares_settings_free)

G_END_DECLS
