/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The immutable value: one block of memory for the struct, its groups and its strings. */
#include "identity/identity.h"

#include <stdlib.h>
#include <string.h>

static int
compare_ids(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* Sorted, without repeats and without gid; returns how many are left. */
static uint32_t
tidy_groups(uint32_t *list, size_t n, uint32_t gid)
{
    uint32_t kept = 0;
    if (n)
        qsort(list, n, sizeof *list, compare_ids);
    for (size_t i = 0; i < n; i++) {
        if (list[i] != gid && list[i] != UINT32_MAX && (kept == 0 || list[kept - 1] != list[i]))
            list[kept++] = list[i];
    }
    return kept;
}

static const char *
put_string(char **at, const char *text)
{
    if (!text)
        return NULL;
    char *start = *at;
    size_t size = strlen(text) + 1;
    memcpy(start, text, size);
    *at += size;
    return start;
}

LaresIdentity *
lares_identity_new(const LaresIdentityFull *values, const uint32_t *groups, size_t n_groups)
{
    const LaresIdentity *pub = &values->pub;
    size_t strings = strlen(pub->name) + 1 + (pub->principal ? strlen(pub->principal) + 1 : 0) +
                     (values->realm ? strlen(values->realm) + 1 : 0);
    size_t lists = (n_groups + values->n_claimed) * sizeof(uint32_t);
    LaresIdentityFull *full = g_malloc(sizeof *full + lists + strings);
    uint32_t *list = (uint32_t *)(full + 1);
    char *at = (char *)(list + n_groups + values->n_claimed);

    *full = *values;
    g_atomic_ref_count_init(&full->pub.ref);
    if (n_groups)
        memcpy(list, groups, n_groups * sizeof *list);
    if (values->n_claimed)
        memcpy(list + n_groups, values->claimed, values->n_claimed * sizeof *list);
    full->pub.groups = list;
    full->pub.n_groups = tidy_groups(list, n_groups, pub->gid);
    full->claimed = list + n_groups;
    full->pub.name = put_string(&at, pub->name);
    full->pub.principal = put_string(&at, pub->principal);
    full->realm = put_string(&at, values->realm);
    return &full->pub;
}

LaresIdentity *
lares_identity_ref(LaresIdentity *identity)
{
    g_atomic_ref_count_inc(&identity->ref);
    return identity;
}

void
lares_identity_unref(LaresIdentity *identity)
{
    if (identity && g_atomic_ref_count_dec(&identity->ref))
        g_free((LaresIdentityFull *)identity);
}
