/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One line per event to stderr, with the syslog prefix that journald understands when it is there; audit lines too, and
 * to a file of their own where one is configured. */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static LaresLogLevel threshold = LARES_LOG_INFO;
static int audit_fd = -1;

static const struct {
    const char *word;
    char syslog;
} levels[] = {{"error", '3'}, {"warning", '4'}, {"info", '6'}, {"debug", '7'}};

void
lares_log_set_level(LaresLogLevel level)
{
    threshold = level;
}

gboolean
lares_log_level_parse(const char *word, LaresLogLevel *level)
{
    for (guint i = 0; i < G_N_ELEMENTS(levels); i++) {
        if (g_str_equal(word, levels[i].word)) {
            *level = (LaresLogLevel)i;
            return TRUE;
        }
    }
    return FALSE;
}

gboolean
lares_log_enabled(LaresLogLevel level)
{
    return level <= threshold;
}

/* A peer's text must not forge a second line or drive a terminal. */
static void
append_clean(GString *line, const char *text)
{
    for (const char *p = text; *p; p++) {
        guchar c = (guchar)*p;
        if (c < 0x20 || c == 0x7f)
            g_string_append_printf(line, "\\x%02x", c);
        else
            g_string_append_c(line, *p);
    }
}

static void
write_line(int fd, GString *line)
{
    ssize_t n;
    g_string_append_c(line, '\n');
    do
        n = write(fd, line->str, line->len);
    while (n < 0 && errno == EINTR);
}

/* localtime_r() keeps the time zone it has seen; others look for its files again with each line. */
static void
append_time(GString *line)
{
    struct timespec now;
    struct tm tm;
    char stamp[40];
    clock_gettime(CLOCK_REALTIME, &now);
    if (localtime_r(&now.tv_sec, &tm) && strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &tm))
        g_string_append_printf(line, "%s.%03ld ", stamp, now.tv_nsec / 1000000);
}

static void
begin_line(GString *line, LaresLogLevel level)
{
    static int journal = -1;
    if (journal < 0)
        journal = g_getenv("JOURNAL_STREAM") != NULL;
    if (journal) {
        g_string_append_printf(line, "<%c>", levels[level].syslog);
    } else {
        append_time(line);
        g_string_append_printf(line, "%s ", levels[level].word);
    }
}

static guint64 counted[LARES_LOG_WARNING + 1]; /* atomic */

guint64
lares_log_count(LaresLogLevel level)
{
    return __atomic_load_n(&counted[level], __ATOMIC_RELAXED);
}

void
lares_log(LaresLogLevel level, const char *room, const char *format, ...)
{
    if (level < G_N_ELEMENTS(counted))
        __atomic_fetch_add(&counted[level], 1, __ATOMIC_RELAXED);
    if (!lares_log_enabled(level))
        return;
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    g_autoptr(GString) line = g_string_sized_new(160);
    begin_line(line, level);
    g_string_append_printf(line, "%s: ", room);
    append_clean(line, text);
    write_line(STDERR_FILENO, line);
}

gboolean
lares_log_limit_pass(LaresLogLimit *limit, unsigned *left_out)
{
    gint64 now = g_get_monotonic_time();
    gint64 next = __atomic_load_n(&limit->next, __ATOMIC_RELAXED);
    if (now < next || !__atomic_compare_exchange_n(&limit->next, &next, now + 10 * G_USEC_PER_SEC, FALSE,
                                                   __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
        __atomic_fetch_add(&limit->dropped, 1, __ATOMIC_RELAXED);
        return FALSE;
    }
    *left_out = __atomic_exchange_n(&limit->dropped, 0, __ATOMIC_RELAXED);
    return TRUE;
}

gboolean
lares_audit_open(const char *path, GError **error)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_FAILED, "cannot write the audit log %s: %s", path,
                    g_strerror(errno));
        return FALSE;
    }
    int old = __atomic_exchange_n(&audit_fd, fd, __ATOMIC_ACQ_REL);
    if (old >= 0)
        close(old);
    return TRUE;
}

static void
append_value(GString *line, const char *value)
{
    gboolean quote = *value == '\0' || strpbrk(value, " \"=\\") != NULL;
    if (!quote) {
        append_clean(line, value);
        return;
    }
    g_string_append_c(line, '"');
    for (const char *p = value; *p; p++) {
        char one[2] = {*p, '\0'};
        if (*p == '"' || *p == '\\')
            g_string_append_c(line, '\\');
        append_clean(line, one);
    }
    g_string_append_c(line, '"');
}

void
lares_audit(const char *event, ...)
{
    g_autoptr(GString) line = g_string_sized_new(200);
    begin_line(line, LARES_LOG_INFO);
    g_string_append_printf(line, "audit: event=%s", event);
    va_list args;
    va_start(args, event);
    for (const char *key; (key = va_arg(args, const char *));) {
        const char *value = va_arg(args, const char *);
        if (value) {
            g_string_append_printf(line, " %s=", key);
            append_value(line, value);
        }
    }
    va_end(args);
    write_line(STDERR_FILENO, line);
    int fd = __atomic_load_n(&audit_fd, __ATOMIC_ACQUIRE);
    if (fd >= 0) {
        g_string_truncate(line, line->len - 1);
        write_line(fd, line);
    }
}
