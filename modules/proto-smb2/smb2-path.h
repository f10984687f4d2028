/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Paths of CREATE and of renames: parsing, and walking through the share.
 *
 * Spec: [MS-SMB2] 2.2.13, 3.3.5.9, [MS-FSCC] 2.1.5, [MS-FSA] 2.1.5.1. */
#pragma once

#include "smb2.h"

/* Components of one path. */
#define SMB2_MAX_DEPTH 256u

/* Everything is in the arena of the request. */
typedef struct {
    const char **component; /* names on disk as they would be made; n of them */
    guint n;                /* 0: the share's root */
    size_t *end;            /* of each, in bytes of the path as it came */
    const char *stream;     /* name on disk of a named stream, or NULL */
    gboolean data_stream;   /* "::$DATA" was said: not a directory */
    gboolean index_stream;  /* ":$I30:$INDEX_ALLOCATION": only a directory */
    gboolean trailing;      /* ended with a backslash: only a directory */
    const uint8_t *utf16;   /* as it came */
    size_t bytes;
} Smb2Path;

/* ".." takes back the name before it, whatever that is; above the share STATUS_OBJECT_PATH_SYNTAX_BAD.
 * STATUS_OBJECT_NAME_INVALID, STATUS_INVALID_PARAMETER (a leading backslash). */
uint32_t smb2_path_parse(Smb2Op *op, const uint8_t *utf16, size_t bytes, Smb2Path *path);

typedef struct {
    LaresObject parent; /* the directory of the last component; not set for the share's root */
    LaresObject found;  /* not set: the last component is not there */
    const char *name;   /* of the last component: as it is on disk, or as it would be made; NULL for the root */
    const char *text;   /* the whole path with names as they are on disk, '/' between them; "" for the root */
} Smb2Walk;

/* Finds the path's file or directory below the root of op->share, first by exact names, then as smb2_path_lookup().
 * STATUS_SUCCESS also when only the last component is missing (walk->found is not set then);
 * STATUS_OBJECT_PATH_NOT_FOUND; STATUS_ACCESS_DENIED; STATUS_STOPPED_ON_SYMLINK (with the whole ERROR body written and
 * op->keep_error_body set) when a symbolic link stands in the way, or at the end without `at_link`.
 * On success clear it with smb2_walk_clear(); on errors there is nothing to clear. */
uint32_t smb2_path_walk(Smb2Op *op, const Smb2Path *path, gboolean at_link, Smb2Walk *walk);
void smb2_walk_clear(Smb2Walk *walk);

/* lares_files_short_name(), where op->share has short names. */
gboolean smb2_short_name(const Smb2Op *op, const LaresObject *dir, const char *name, char made[LARES_SHORT_NAME_SIZE]);

/* One name in a directory, exact or whatever its case, or short where op->share has short names; *real (may be NULL) is
 * as it is on disk, in the arena. */
LaresStatus smb2_path_lookup(Smb2Op *op, const LaresObject *dir, const char *name, LaresObject *out, const char **real);
