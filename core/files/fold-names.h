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
