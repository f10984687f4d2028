/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Log lines and audit records.
 *
 * Whoever decides, logs, once. Nothing a peer can repeat is logged above debug without lares_log_limited().
 * Audit is separate: a constant event name and key=value fields, one line each, never left out for a success of
 * authentication; refusals of one peer are limited, and its next line tells how many were left out (left_out=N).
 *
 * Thread: all functions may be called from any thread. */
#pragma once

#include <lares/types.h>

G_BEGIN_DECLS

typedef enum { LARES_LOG_ERROR, LARES_LOG_WARNING, LARES_LOG_INFO, LARES_LOG_DEBUG } LaresLogLevel;

LARES_API void lares_log(LaresLogLevel level, const char *room, const char *format, ...) G_GNUC_PRINTF(3, 4);
LARES_API gboolean lares_log_enabled(LaresLogLevel level);

#define lares_error(room, ...)   lares_log(LARES_LOG_ERROR, room, __VA_ARGS__)
#define lares_warning(room, ...) lares_log(LARES_LOG_WARNING, room, __VA_ARGS__)
#define lares_info(room, ...)    lares_log(LARES_LOG_INFO, room, __VA_ARGS__)
#define lares_debug(room, ...)                                                                                         \
    G_STMT_START                                                                                                       \
    {                                                                                                                  \
        if (lares_log_enabled(LARES_LOG_DEBUG))                                                                        \
            lares_log(LARES_LOG_DEBUG, room, __VA_ARGS__);                                                             \
    }                                                                                                                  \
    G_STMT_END

/* At most one line per 10 s and call site; says how many were left out. */
#define lares_log_limited(level, room, ...)                                                                            \
    G_STMT_START                                                                                                       \
    {                                                                                                                  \
        static LaresLogLimit limit_;                                                                                   \
        unsigned left_out_;                                                                                            \
        if (lares_log_limit_pass(&limit_, &left_out_)) {                                                               \
            lares_log(level, room, __VA_ARGS__);                                                                       \
            if (left_out_)                                                                                             \
                lares_log(level, room, "(%u similar lines left out)", left_out_);                                      \
        }                                                                                                              \
    }                                                                                                                  \
    G_STMT_END

typedef struct {
    gint64 next;
    guint dropped;
} LaresLogLimit;
LARES_API gboolean lares_log_limit_pass(LaresLogLimit *limit, unsigned *left_out);

/* One audit line: event=NAME then key=value pairs (quoted where needed). The list is key, value, …, NULL; a NULL value
 * leaves its pair out. Example: lares_audit("auth", "principal", p, "verdict", "accepted", NULL). */
LARES_API void lares_audit(const char *event, ...) G_GNUC_NULL_TERMINATED;

G_END_DECLS
