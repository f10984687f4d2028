/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names on the wire (UTF-16LE, what Windows can show) and names on disk (any bytes but '/' and NUL).
 *
 * Every name on disk has exactly one name on the wire and comes back from it unchanged. What Windows refuses travels as
 * characters of the private-use area, the ones Apple's and Linux's clients use for the same purpose ("SFM"):
 *
 *     U+F001 … U+F01F  control characters 1 to 31
 *     U+F020 … U+F027  " * : < > ? \ |
 *     U+F028, U+F029   a space, a full stop at the end of a name
 *     U+F02A           the character behind it (U+F001 … U+F02B, U+F180 … U+F1FF) is meant itself
 *     U+F02B           ends the first part of a name that DOS takes for a device: CON, NUL.txt
 *     U+F180 … U+F1FF  a byte that is not UTF-8
 *
 * Spec: [MS-FSCC] 2.1.5 (names), [MS-FSA] 2.1.4.3, 2.1.4.4 (expressions).
 * Thread: plain functions. */
#pragma once

#include <lares/arena.h>
#include <lares/cursor.h>

/* Strict: no lone surrogates, no NUL, an even number of bytes. NULL otherwise; the string is in the arena. */
char *smb2_utf8_from_utf16(LaresArena *arena, const uint8_t *utf16, size_t bytes);
/* Appends UTF-16LE and returns its bytes. Bytes that are not UTF-8 become U+FFFD. */
size_t smb2_put_utf16(LaresWriter *w, const char *utf8);

/* Appends the wire form of a name on disk and returns its bytes. `devices` FALSE leaves CON and its like alone (clients
 * that are not Windows). */
size_t smb2_put_name(LaresWriter *w, const char *disk, gboolean devices);
/* The name on disk that a name of the wire means; NULL when a name cannot be like this: empty, "." or "..", with a
 * character of `\ / : * ? " < > |` or a control character, or malformed. In the arena. */
char *smb2_name_from_wire(LaresArena *arena, const uint8_t *utf16, size_t bytes);
/* The same for a search expression, where the wildcards * ? < > " stand for themselves. It stays in the form that
 * smb2_name_matches() takes. */
typedef struct {
    uint16_t *units; /* in upper case; in the arena */
    size_t n;
    gboolean wild;    /* has a wildcard */
    gboolean all;     /* matches every name */
    const char *name; /* without wildcards: the name on disk; else NULL */
} Smb2Pattern;
gboolean smb2_pattern_parse(LaresArena *arena, const uint8_t *utf16, size_t bytes, Smb2Pattern *pattern);
/* Does the wire form of a name on disk match? Case does not matter. */
gboolean smb2_pattern_matches(const Smb2Pattern *pattern, const char *disk);
/* The same rules over UTF-16 units in upper case; linear in name × expression. */
gboolean smb2_units_match(const uint16_t *expression, size_t n_expression, const uint16_t *name, size_t n_name);

/* Equal but for case, as lares_files_lookup_fold() has it. */
gboolean smb2_name_equal(const char *a, const char *b);

/* A name that Windows may not have (CON, NUL.txt, COM¹): for tests. */
gboolean smb2_name_is_device(const char *disk);
