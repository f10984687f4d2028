/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SIDs as values and as text.
 *
 * Spec: [MS-DTYP] 2.4.2.1. */
#include <lares/sid.h>
#include <string.h>

gboolean
lares_sid_equal(const LaresSid *a, const LaresSid *b)
{
    return a->n == b->n && a->authority == b->authority && memcmp(a->sub, b->sub, a->n * sizeof a->sub[0]) == 0;
}

void
lares_sid_print(const LaresSid *sid, char *buf, size_t size)
{
    int n = g_snprintf(buf, (gulong)size, "S-1-%" G_GUINT64_FORMAT, sid->authority);
    for (guint i = 0; i < sid->n && n > 0 && (size_t)n < size; i++)
        n += g_snprintf(buf + n, (gulong)(size - (size_t)n), "-%u", sid->sub[i]);
}

/* "-123", at most `max`; *text is moved behind it. */
static gboolean
get_number(const char **text, uint64_t max, uint64_t *value)
{
    const char *p = *text;
    if (*p++ != '-' || !g_ascii_isdigit(*p) || (*p == '0' && g_ascii_isdigit(p[1])))
        return FALSE;
    for (*value = 0; g_ascii_isdigit(*p); p++) {
        *value = *value * 10 + (uint64_t)(*p - '0');
        if (*value > max)
            return FALSE;
    }
    *text = p;
    return TRUE;
}

gboolean
lares_sid_parse(const char *text, LaresSid *sid)
{
    uint64_t value;
    *sid = (LaresSid){0};
    if (!g_str_has_prefix(text, "S-1-"))
        return FALSE;
    text += strlen("S-1");
    if (!get_number(&text, (UINT64_C(1) << 48) - 1, &sid->authority))
        return FALSE;
    while (*text) {
        if (sid->n == LARES_SID_SUB_MAX || !get_number(&text, UINT32_MAX, &value))
            return FALSE;
        sid->sub[sid->n++] = (uint32_t)value;
    }
    return sid->n > 0;
}
