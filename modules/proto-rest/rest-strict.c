/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What comes as text is taken literally or not at all: json-glib, like most readers, forgives comments, other quotes,
 * names that are there twice and numbers that do not fit, and each of these lets two programs read two things.
 *
 * Spec: RFC 8259 (JSON), RFC 7493 (I-JSON: no surrogates alone, no name twice), RFC 3986 2.1, 3.4 (queries). */
#include "rest-strict.h"

#include <errno.h>
#include <lares/types.h>
#include <math.h>
#include <string.h>

typedef struct {
    const char *start, *at, *end;
    const char *trouble; /* the first one */
    guint depth;
    guint members; /* of the outermost object */
} Text;

static gboolean
bad(Text *t, const char *trouble)
{
    if (!t->trouble)
        t->trouble = trouble;
    return FALSE;
}

static void
skip_blank(Text *t)
{
    while (t->at < t->end && (*t->at == ' ' || *t->at == '\t' || *t->at == '\n' || *t->at == '\r'))
        t->at++;
}

static gboolean
take(Text *t, char letter)
{
    if (t->at == t->end || *t->at != letter)
        return FALSE;
    t->at++;
    return TRUE;
}

/* ---- Strings and numbers -------------------------------------------------------------------------------------------
 */

/* The four digits behind "\u"; -1: they are not there. */
static int
unit(Text *t)
{
    int value = 0;
    if (t->end - t->at < 4)
        return -1;
    for (guint i = 0; i < 4; i++) {
        int digit = g_ascii_xdigit_value(*t->at++);
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

static gboolean
check_escape(Text *t)
{
    if (t->at == t->end)
        return bad(t, "a string has no end");
    char letter = *t->at++;
    if (letter != 'u')
        return (letter && strchr("\"\\/bfnrt", letter)) || bad(t, "there is no such escape in a string");
    int first = unit(t);
    if (first < 0)
        return bad(t, "\\u wants four hexadecimal digits");
    if (first == 0)
        return bad(t, "a string cannot hold a NUL");
    if (first < 0xd800 || first > 0xdfff)
        return TRUE;
    if (first > 0xdbff || !take(t, '\\') || !take(t, 'u'))
        return bad(t, "half a surrogate pair is no character");
    int second = unit(t);
    return (second >= 0xdc00 && second <= 0xdfff) || bad(t, "half a surrogate pair is no character");
}

static gboolean
check_string(Text *t)
{
    if (!take(t, '"'))
        return bad(t, "a string in double quotes is expected");
    while (t->at < t->end && *t->at != '"') {
        if ((guchar)*t->at < 0x20)
            return bad(t, "a control character in a string must be escaped");
        if (*t->at++ == '\\' && !check_escape(t))
            return FALSE;
    }
    return take(t, '"') || bad(t, "a string has no end");
}

static gboolean
check_digits(Text *t)
{
    const char *from = t->at;
    while (t->at < t->end && g_ascii_isdigit(*t->at))
        t->at++;
    return t->at > from || bad(t, "a number lacks digits");
}

static gboolean
check_number(Text *t)
{
    const char *from = t->at;
    gboolean whole = TRUE;
    take(t, '-');
    if (!take(t, '0') && !check_digits(t))
        return FALSE;
    if (take(t, '.')) {
        whole = FALSE;
        if (!check_digits(t))
            return FALSE;
    }
    if (take(t, 'e') || take(t, 'E')) {
        whole = FALSE;
        if (!take(t, '+'))
            take(t, '-');
        if (!check_digits(t))
            return FALSE;
    }
    g_autofree char *text = g_strndup(from, (gsize)(t->at - from));
    errno = 0;
    if (whole)
        (void)g_ascii_strtoll(text, NULL, 10);
    else if (!isfinite(g_ascii_strtod(text, NULL)))
        return bad(t, "a number is too large");
    return !whole || errno != ERANGE || bad(t, "a whole number has more than 64 bits");
}

/* ---- Values
 * ---------------------------------------------------------------------------------------------------------- */

static gboolean check_value(Text *t);

static gboolean
check_array(Text *t)
{
    skip_blank(t);
    if (take(t, ']'))
        return TRUE;
    do {
        if (!check_value(t))
            return FALSE;
    } while (take(t, ','));
    return take(t, ']') || bad(t, "a list lacks a comma or its end");
}

static gboolean
check_object(Text *t)
{
    skip_blank(t);
    if (take(t, '}'))
        return TRUE;
    do {
        skip_blank(t);
        if (!check_string(t))
            return FALSE;
        skip_blank(t);
        if (!take(t, ':'))
            return bad(t, "a name lacks its colon");
        if (!check_value(t))
            return FALSE;
        t->members += t->depth == 1;
    } while (take(t, ','));
    return take(t, '}') || bad(t, "an object lacks a comma or its end");
}

static gboolean
check_word(Text *t, const char *word)
{
    size_t len = strlen(word);
    if ((size_t)(t->end - t->at) < len || memcmp(t->at, word, len) != 0)
        return bad(t, "this is no value");
    t->at += len;
    return TRUE;
}

static gboolean
check_plain(Text *t)
{
    switch (*t->at) {
    case '"':
        return check_string(t);
    case 't':
        return check_word(t, "true");
    case 'f':
        return check_word(t, "false");
    case 'n':
        return check_word(t, "null");
    default:
        return *t->at == '-' || g_ascii_isdigit(*t->at) ? check_number(t) : bad(t, "this is no value");
    }
}

/* With the blanks around it. The recursion is bounded by the depth. */
static gboolean
check_value(Text *t)
{
    skip_blank(t);
    if (t->at == t->end)
        return bad(t, "it ends too early");
    gboolean object = *t->at == '{', ok;
    if (!object && *t->at != '[') {
        ok = check_plain(t);
    } else if (t->depth == REST_MAX_DEPTH) {
        ok = bad(t, "brackets within brackets, too deep");
    } else {
        t->at++;
        t->depth++;
        ok = object ? check_object(t) : check_array(t);
        t->depth--;
    }
    skip_blank(t);
    return ok;
}

gboolean
rest_strict_json(const char *text, gsize len, guint *members, GError **error)
{
    Text t = {.start = text, .at = text, .end = text + len};
    const char *end = text;
    if (!g_utf8_validate_len(text, len, &end)) {
        t.at = end;
        bad(&t, *end ? "it is not UTF-8" : "it has a NUL byte");
    } else if (check_value(&t) && t.at < t.end) {
        bad(&t, "something follows the value");
    }
    *members = t.members;
    if (!t.trouble)
        return TRUE;
    g_set_error(error, LARES_ERROR, LARES_ERROR_INVALID, "the body is not JSON (RFC 8259): %s, at byte %zu", t.trouble,
                (size_t)(t.at - t.start));
    return FALSE;
}

/* ---- Queries
 * --------------------------------------------------------------------------------------------------------- */

/* A name or value of a query; NULL: a wrong escape, a NUL, or not UTF-8. */
static char *
unescape(const char *text, gsize len)
{
    g_autofree char *word = g_strndup(text, len);
    g_strdelimit(word, "+", ' ');
    g_autofree char *plain = g_uri_unescape_string(word, NULL);
    return plain && g_utf8_validate(plain, -1, NULL) ? g_steal_pointer(&plain) : NULL;
}

GHashTable *
rest_strict_query(const char *query, GError **error)
{
    g_autoptr(GHashTable) words = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_auto(GStrv) parts = g_strsplit(query ? query : "", "&", -1);
    for (char **part = parts; *part; part++) {
        const char *equals = strchr(*part, '=');
        g_autofree char *name = unescape(*part, equals ? (gsize)(equals - *part) : strlen(*part));
        g_autofree char *value = equals ? unescape(equals + 1, strlen(equals + 1)) : NULL;
        if (!name || !*name || !value) {
            g_set_error(error, LARES_ERROR, LARES_ERROR_INVALID,
                        "the query must be NAME=VALUE&…, in UTF-8, with %%XX where an address needs it");
            return NULL;
        }
        if (g_hash_table_contains(words, name)) {
            g_set_error(error, LARES_ERROR, LARES_ERROR_INVALID, "\"%s\" is there twice", name);
            return NULL;
        }
        g_hash_table_insert(words, g_steal_pointer(&name), g_steal_pointer(&value));
    }
    return g_steal_pointer(&words);
}

gboolean
rest_strict_number(const char *text, gint64 *number)
{
    char *end;
    if (!g_ascii_isdigit(text[0]) && text[0] != '-')
        return FALSE;
    errno = 0;
    *number = g_ascii_strtoll(text, &end, 10);
    return end != text && !*end && errno == 0;
}
