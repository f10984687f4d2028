/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A set of names that are found whatever their case.
 *
 * Folding is NTFS's: one character of the basic plane at a time, to upper case.
 *
 * Thread: any, one at a time. */
#include "files/fold-names.h"

#define FEW  64 /* entries that are not worth clearing up */
#define NONE UINT32_MAX

typedef struct {
    uint32_t hash, next; /* next in the bucket; NONE ends */
    uint32_t name;       /* offset in the names; NONE: free */
} Entry;

/* ---- Folding ------------------------------------------------------------------------------------------------------
 */

static uint32_t
next_folded(const char **p)
{
    uint8_t c = (uint8_t) * *p;
    if (c < 0x80) {
        *p += 1;
        return c >= 'a' && c <= 'z' ? c - 32u : c;
    }
    gunichar u = g_utf8_get_char_validated(*p, -1);
    if (u == (gunichar)-1 || u == (gunichar)-2) {
        *p += 1;
        return 0x80000000u | c;
    }
    *p = g_utf8_next_char(*p);
    if (u >= 0x10000)
        return u;
    gunichar up = g_unichar_toupper(u);
    return up < 0x10000 ? up : u;
}

uint32_t
lares_fold_hash(const char *name)
{
    uint32_t h = 2166136261u;
    while (*name)
        h = (h ^ next_folded(&name)) * 16777619u;
    return h ^ h >> 15;
}

static gboolean
equal(const char *a, const char *b)
{
    while (*a && *b)
        if (next_folded(&a) != next_folded(&b))
            return FALSE;
    return !*a && !*b;
}

gboolean
lares_fold_equal(const char *a, const char *b)
{
    return equal(a, b);
}

/* ---- Names --------------------------------------------------------------------------------------------------------
 */

static const char *
name_at(const LaresNames *names, const Entry *entry)
{
    return (const char *)names->names->data + entry->name;
}

static void
rehash(LaresNames *names, uint32_t n)
{
    g_free(names->buckets);
    names->buckets = g_new(uint32_t, n);
    names->n_buckets = n;
    memset(names->buckets, 0xff, n * sizeof(uint32_t));
    for (guint i = 0; i < names->entries->len; i++) {
        Entry *entry = &g_array_index(names->entries, Entry, i);
        if (entry->name == NONE)
            continue;
        entry->next = names->buckets[entry->hash & (n - 1)];
        names->buckets[entry->hash & (n - 1)] = i;
    }
}

void
lares_names_init(LaresNames *names)
{
    *names = (LaresNames){.entries = g_array_new(FALSE, FALSE, sizeof(Entry)), .names = g_byte_array_new()};
    rehash(names, 16);
}

void
lares_names_clear(LaresNames *names)
{
    g_free(names->buckets);
    if (names->entries)
        g_array_unref(names->entries);
    if (names->names)
        g_byte_array_unref(names->names);
    *names = (LaresNames){0};
}

size_t
lares_names_bytes(const LaresNames *names)
{
    return names->entries
               ? names->names->len + names->entries->len * sizeof(Entry) + names->n_buckets * sizeof(uint32_t)
               : 0;
}

/* The entry with exactly this name. */
static Entry *
find_exact(const LaresNames *names, const char *name, uint32_t hash)
{
    for (uint32_t i = names->buckets[hash & (names->n_buckets - 1)]; i != NONE;) {
        Entry *entry = &g_array_index(names->entries, Entry, i);
        if (entry->hash == hash && entry->name != NONE && g_str_equal(name_at(names, entry), name))
            return entry;
        i = entry->next;
    }
    return NULL;
}

const char *
lares_names_find(const LaresNames *names, const char *name)
{
    uint32_t hash = lares_fold_hash(name);
    for (uint32_t i = names->buckets[hash & (names->n_buckets - 1)]; i != NONE;) {
        const Entry *entry = &g_array_index(names->entries, Entry, i);
        if (entry->hash == hash && entry->name != NONE && equal(name_at(names, entry), name))
            return name_at(names, entry);
        i = entry->next;
    }
    return NULL;
}

const char *
lares_names_find_short(const LaresNames *names, const char *name)
{
    const uint32_t bits = (1u << LARES_SHORT_HASH_BITS) - 1;
    const char *found = NULL;
    uint32_t hash;
    if (!lares_short_hash(name, &hash) || names->n_buckets - 1 > bits)
        return NULL;
    /* Buckets go by the low bits, so all of them are in this one. */
    for (uint32_t i = names->buckets[hash & (names->n_buckets - 1)]; i != NONE;) {
        const Entry *entry = &g_array_index(names->entries, Entry, i);
        if ((entry->hash & bits) == hash && entry->name != NONE && lares_short_is_of(name, name_at(names, entry))) {
            if (found)
                return NULL;
            found = name_at(names, entry);
        }
        i = entry->next;
    }
    return found;
}

static void
append(LaresNames *names, const char *name, uint32_t hash)
{
    if (names->entries->len >= names->n_buckets)
        rehash(names, names->n_buckets * 2);
    uint32_t *bucket = &names->buckets[hash & (names->n_buckets - 1)];
    Entry entry = {hash, *bucket, names->names->len};
    g_byte_array_append(names->names, (const uint8_t *)name, (guint)strlen(name) + 1);
    *bucket = names->entries->len;
    g_array_append_val(names->entries, entry);
}

void
lares_names_append(LaresNames *names, const char *name)
{
    append(names, name, lares_fold_hash(name));
}

void
lares_names_add(LaresNames *names, const char *name)
{
    uint32_t hash = lares_fold_hash(name);
    if (!find_exact(names, name, hash))
        append(names, name, hash);
}

/* Names that come and go for ever must not make it grow. */
static void
compact(LaresNames *names)
{
    LaresNames fresh;
    lares_names_init(&fresh);
    for (guint i = 0; i < names->entries->len; i++) {
        const Entry *entry = &g_array_index(names->entries, Entry, i);
        if (entry->name != NONE)
            append(&fresh, name_at(names, entry), entry->hash);
    }
    lares_names_clear(names);
    *names = fresh;
}

void
lares_names_take_out(LaresNames *names, const char *name)
{
    Entry *entry = find_exact(names, name, lares_fold_hash(name));
    if (!entry)
        return;
    entry->name = NONE; /* stays in its bucket until all are cleared up */
    if (++names->n_free > FEW && names->n_free > names->entries->len / 2)
        compact(names);
}
