/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Short names ("8.3") that are computed, not kept: nothing is stored, and no directory is read to make one.
 *
 *     A~DDDDDD.EXT   the name's first letter, 30 bits of its hash in base 32, what fits of its extension
 *
 * The hash is that of fold-names.c, so that the tables which find names whatever their case find them by short ones,
 * too, and as fast. Names that differ in case only share one, and others may by chance: it finds none of them then, and
 * none of them is told it.
 *
 * Spec: [MS-FSCC] 2.1.5.2.1; [MS-FSA] 2.1.5.1 (phase 6), 2.1.5.1.1 (the choice is the implementation's).
 * Thread: plain functions. */
#include "files/fold-names.h"

#define DIGITS    6
#define EXTENSION 3

static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUV";

G_STATIC_ASSERT(LARES_SHORT_HASH_BITS == 5 * DIGITS);

/* What a character becomes in a short name; 0: it cannot be in one. */
static char
short_char(char c)
{
    return g_ascii_isalnum(c) || (c && strchr("$%'-_@~`!(){}^#&", c)) ? g_ascii_toupper(c) : '\0';
}

gboolean
lares_files_name_is_short(const char *name)
{
    const char *dot = strchr(name, '.');
    size_t len = strlen(name), base = dot ? (size_t)(dot - name) : len, extension = len - base;
    if (base < 1 || base > 8 || extension == 1 || extension > EXTENSION + 1)
        return FALSE;
    for (size_t i = 0; i < len; i++)
        if (i != base && !short_char(name[i]))
            return FALSE;
    return TRUE;
}

void
lares_short_make(const char *name, char out[LARES_SHORT_NAME_SIZE])
{
    const char *start = name + strspn(name, "."), *dot = strrchr(start, '.'), *first = start;
    uint32_t hash = lares_fold_hash(name);
    while (*first && first != dot && !short_char(*first))
        first++;
    *out++ = *first && first != dot ? short_char(*first) : '_';
    *out++ = '~';
    for (int i = DIGITS - 1; i >= 0; i--)
        *out++ = digits[hash >> (5 * i) & 31];
    char *stop = out;
    for (const char *p = dot ? dot + 1 : ""; *p && out - stop <= EXTENSION; p++) {
        char c = short_char(*p);
        if (c && out == stop)
            *out++ = '.';
        if (c)
            *out++ = c;
    }
    *out = '\0';
}

gboolean
lares_short_hash(const char *asked, uint32_t *hash)
{
    *hash = 0;
    if (!lares_files_name_is_short(asked) || asked[1] != '~')
        return FALSE;
    for (guint i = 2; i < 2 + DIGITS; i++) {
        const char *digit = asked[i] ? strchr(digits, g_ascii_toupper(asked[i])) : NULL;
        if (!digit)
            return FALSE;
        *hash = *hash << 5 | (uint32_t)(digit - digits);
    }
    return asked[2 + DIGITS] == '\0' || asked[2 + DIGITS] == '.';
}

gboolean
lares_short_is_of(const char *asked, const char *name)
{
    char made[LARES_SHORT_NAME_SIZE];
    if (lares_files_name_is_short(name) || lares_files_is_hidden(name))
        return FALSE;
    lares_short_make(name, made);
    return g_ascii_strcasecmp(made, asked) == 0;
}
