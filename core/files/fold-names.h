/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Inside core/files: a set of names that are found whatever their case. */
#pragma once

#include "files/files-private.h"

typedef struct {
    uint32_t *buckets;
    uint32_t n_buckets;
    GArray *entries; /* Entry */
    GByteArray *names;
    guint n_free;
} LaresNames;

void lares_names_init(LaresNames *names);
/* Also for one that is all zero. */
void lares_names_clear(LaresNames *names);
/* What it takes. */
size_t lares_names_bytes(const LaresNames *names);
/* A name that is not in it yet. */
void lares_names_append(LaresNames *names, const char *name);
void lares_names_add(LaresNames *names, const char *name);
void lares_names_take_out(LaresNames *names, const char *name);
/* Valid until the next change; NULL. */
const char *lares_names_find(const LaresNames *names, const char *name);
/* The only name that has this short name. */
const char *lares_names_find_short(const LaresNames *names, const char *name);

/* The same for names that are equal but for case. */
uint32_t lares_fold_hash(const char *name);

/* ---- short-names.c ------------------------------------------------------------------------------------------------
 */

/* The one that is made of a name that is not short. */
void lares_short_make(const char *name, char out[LARES_SHORT_NAME_SIZE]);
#define LARES_SHORT_HASH_BITS 30 /* the low ones stand in a short name */
/* What they are in `name`; FALSE: it has not the form of a short name that was made. */
gboolean lares_short_hash(const char *name, uint32_t *hash);
/* Is it the short name of this one? */
gboolean lares_short_is_of(const char *name, const char *real);
