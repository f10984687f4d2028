/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Strict reading of JSON and of queries, without HTTP: fuzzed by itself. */
#pragma once

#include <glib.h>

/* Objects in lists in objects …: json-glib descends by recursion. */
#define REST_MAX_DEPTH 16

/* Whether the text is one JSON value, UTF-8, not too deep, every number in range and every string without NUL.
 * `members`: how many an object has, counted as they stand there; a reader that finds fewer was given a name twice. */
gboolean rest_strict_json(const char *text, gsize len, guint *members, GError **error);
/* "a=1&b=2" -> names and values, new; an empty query and NULL give none. NULL: what is wrong with it. */
GHashTable *rest_strict_query(const char *query, GError **error);
/* Digits, with a minus or not, and nothing else; FALSE also when they do not fit. */
gboolean rest_strict_number(const char *text, gint64 *number);
