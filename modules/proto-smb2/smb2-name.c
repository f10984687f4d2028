/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names on the wire and names on disk. See smb2-name.h for the mapping. */
#include "smb2-name.h"

#include <string.h>

#define FIRST_MAPPED  0xf001u
#define QUOTE_MAPPED  0xf020u /* the first of SPECIAL */
#define SPACE_MAPPED  0xf028u
#define STOP_MAPPED   0xf029u
#define ESCAPE        0xf02au
#define DEVICE        0xf02bu
#define LAST_MAPPED   DEVICE
#define BYTES_MAPPED  0xf100u /* plus a byte of 0x80 to 0xff */
#define WIRE_NAME_MAX 1024    /* units of the longest wire form: every byte of 255 escaped, and a device mark */

static const char special[] = "\"*:<>?\\|";

/* ---- UTF-8, one character at a time -------------------------------------------------------------------------------
 */

/* The character at *p; a byte that is none gives 0x80000000 | byte. Never reads past the NUL. */
#define BAD_BYTE 0x80000000u
static uint32_t
next_char(const char **p)
{
    const uint8_t *s = (const uint8_t *)*p;
    uint32_t c = s[0];
    if (c < 0x80) {
        *p += 1;
        return c;
    }
    guint more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
    uint32_t v = c & (0x3fu >> more), least = more == 1 ? 0x80u : more == 2 ? 0x800u : 0x10000u;
    gboolean good = c >= 0xc2 && c <= 0xf4;
    for (guint i = 1; good && i <= more; i++) {
        good = (s[i] & 0xc0) == 0x80;
        v = v << 6 | (s[i] & 0x3fu);
    }
    if (!good || v < least || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff)) {
        *p += 1;
        return BAD_BYTE | c;
    }
    *p += 1 + more;
    return v;
}

static char *
add_utf8(char *at, uint32_t c)
{
    return at + g_unichar_to_utf8(c, at);
}

/* The character at *p of n bytes; FALSE: a lone surrogate or half a unit. */
static gboolean
next_wire(const uint8_t **p, const uint8_t *end, uint32_t *c)
{
    if (end - *p < 2)
        return FALSE;
    uint32_t v = (uint32_t)((*p)[0] | (*p)[1] << 8);
    *p += 2;
    if (v >= 0xdc00 && v <= 0xdfff)
        return FALSE;
    if (v >= 0xd800 && v <= 0xdbff) {
        if (end - *p < 2)
            return FALSE;
        uint32_t low = (uint32_t)((*p)[0] | (*p)[1] << 8);
        if (low < 0xdc00 || low > 0xdfff)
            return FALSE;
        *p += 2;
        v = 0x10000 + ((v - 0xd800) << 10) + (low - 0xdc00);
    }
    *c = v;
    return TRUE;
}

char *
smb2_utf8_from_utf16(LaresArena *arena, const uint8_t *utf16, size_t bytes)
{
    const uint8_t *p = utf16, *end = utf16 + bytes;
    char *out = lares_arena_alloc(arena, bytes / 2 * 3 + 1), *at = out;
    while (p < end) {
        uint32_t c;
        if (!next_wire(&p, end, &c) || c == 0)
            return NULL;
        at = add_utf8(at, c);
    }
    *at = '\0';
    return out;
}

static size_t
put_char(LaresWriter *w, uint32_t c)
{
    if (c < 0x10000) {
        lares_put_le16(w, (uint16_t)c);
        return 2;
    }
    lares_put_le16(w, (uint16_t)(0xd800 + ((c - 0x10000) >> 10)));
    lares_put_le16(w, (uint16_t)(0xdc00 + ((c - 0x10000) & 0x3ff)));
    return 4;
}

size_t
smb2_put_utf16(LaresWriter *w, const char *utf8)
{
    size_t n = 0;
    while (*utf8) {
        uint32_t c = next_char(&utf8);
        n += put_char(w, c & BAD_BYTE ? 0xfffdu : c);
    }
    return n;
}

/* ---- Disk → wire --------------------------------------------------------------------------------------------------
 */

/* Bytes of the first part of the name if DOS would take it for a device, else 0. */
static size_t
device_length(const char *name)
{
    static const char *const devices[] = {"CON", "PRN", "AUX", "NUL"};
    size_t n = strcspn(name, "."), end = n;
    while (n > 0 && name[n - 1] == ' ')
        n--;
    if (n == 3)
        for (guint i = 0; i < G_N_ELEMENTS(devices); i++)
            if (g_ascii_strncasecmp(name, devices[i], 3) == 0)
                return end;
    if (n == 4 && (g_ascii_strncasecmp(name, "COM", 3) == 0 || g_ascii_strncasecmp(name, "LPT", 3) == 0) &&
        name[3] >= '1' && name[3] <= '9')
        return end;
    /* COM¹, COM², COM³ are devices too */
    if (n == 5 && (g_ascii_strncasecmp(name, "COM", 3) == 0 || g_ascii_strncasecmp(name, "LPT", 3) == 0) &&
        (memcmp(name + 3, "\xc2\xb9", 2) == 0 || memcmp(name + 3, "\xc2\xb2", 2) == 0 ||
         memcmp(name + 3, "\xc2\xb3", 2) == 0))
        return end;
    return 0;
}

gboolean
smb2_name_is_device(const char *disk)
{
    return device_length(disk) > 0;
}

static gboolean
needs_escape(uint32_t c)
{
    return (c >= FIRST_MAPPED && c <= LAST_MAPPED) || (c >= BYTES_MAPPED + 0x80 && c <= BYTES_MAPPED + 0xff);
}

/* The wire character that stands for c; `last` says that it ends the name. */
static uint32_t
map_char(uint32_t c, gboolean last)
{
    if (c & BAD_BYTE)
        return BYTES_MAPPED + (c & 0xff);
    if (c < 0x20)
        return FIRST_MAPPED - 1 + c;
    if (last && (c == ' ' || c == '.'))
        return c == ' ' ? SPACE_MAPPED : STOP_MAPPED;
    const char *found = c < 0x80 ? strchr(special, (int)c) : NULL;
    return found && c ? QUOTE_MAPPED + (uint32_t)(found - special) : c;
}

static gboolean
is_plain(const char *name, size_t *len)
{
    size_t i = 0;
    for (; name[i]; i++) {
        uint8_t c = (uint8_t)name[i];
        if (c < 0x20 || c >= 0x80 || strchr(special, c))
            return FALSE;
    }
    *len = i;
    return i > 0 && name[i - 1] != ' ' && name[i - 1] != '.';
}

size_t
smb2_put_name(LaresWriter *w, const char *disk, gboolean devices)
{
    size_t len, device = devices ? device_length(disk) : 0, n = 0;
    if (G_LIKELY(!device && is_plain(disk, &len))) {
        uint8_t *out = lares_put_space(w, len * 2);
        for (size_t i = 0; out && i < len; i++) {
            out[2 * i] = (uint8_t)disk[i];
            out[2 * i + 1] = 0;
        }
        return len * 2;
    }
    for (const char *p = disk; *p || device;) {
        if (device && (size_t)(p - disk) == device) {
            n += put_char(w, DEVICE);
            device = 0;
            continue;
        }
        uint32_t c = next_char(&p);
        if (needs_escape(c))
            n += put_char(w, ESCAPE);
        n += put_char(w, map_char(c, *p == '\0'));
    }
    return n;
}

/* ---- Wire → disk --------------------------------------------------------------------------------------------------
 */

static gboolean
is_refused(uint32_t c)
{
    return c < 0x20 || c == '/' || (c < 0x80 && strchr(special, (int)c));
}

/* Appends what c stands for. */
static char *
unmap_char(char *at, uint32_t c)
{
    if (c == DEVICE)
        return at;
    if (c >= FIRST_MAPPED && c < QUOTE_MAPPED)
        *at++ = (char)(c - FIRST_MAPPED + 1);
    else if (c >= QUOTE_MAPPED && c < SPACE_MAPPED)
        *at++ = special[c - QUOTE_MAPPED];
    else if (c == SPACE_MAPPED || c == STOP_MAPPED)
        *at++ = c == SPACE_MAPPED ? ' ' : '.';
    else if (c >= BYTES_MAPPED + 0x80 && c <= BYTES_MAPPED + 0xff)
        *at++ = (char)(c - BYTES_MAPPED);
    else
        at = add_utf8(at, c);
    return at;
}

static gboolean
is_dots(const char *s)
{
    return s[0] == '.' && (s[1] == '\0' || (s[1] == '.' && s[2] == '\0'));
}

char *
smb2_name_from_wire(LaresArena *arena, const uint8_t *utf16, size_t bytes)
{
    const uint8_t *p = utf16, *end = utf16 + bytes;
    char *out = lares_arena_alloc(arena, bytes / 2 * 3 + 1), *at = out;
    while (p < end) {
        uint32_t c;
        if (!next_wire(&p, end, &c) || is_refused(c))
            return NULL;
        if (c == ESCAPE) {
            if (!next_wire(&p, end, &c) || !needs_escape(c))
                return NULL;
            at = add_utf8(at, c);
        } else {
            at = unmap_char(at, c);
        }
    }
    *at = '\0';
    return at == out || is_dots(out) ? NULL : out;
}

/* ---- Case ---------------------------------------------------------------------------------------------------------
 */

/* As NTFS: single characters of the basic plane. */
static uint32_t
upper(uint32_t c)
{
    if (c < 0x80)
        return c >= 'a' && c <= 'z' ? c - 32 : c;
    if (c >= 0x10000)
        return c;
    uint32_t u = g_unichar_toupper(c);
    return u < 0x10000 ? u : c;
}

gboolean
smb2_name_equal(const char *a, const char *b)
{
    while (*a && *b) {
        if (upper(next_char(&a)) != upper(next_char(&b)))
            return FALSE;
    }
    return !*a && !*b;
}

/* ---- Expressions: [MS-FSA] 2.1.4.4 --------------------------------------------------------------------------------
 */

#define DOS_STAR '<'
#define DOS_QM   '>'
#define DOS_DOT  '"'

/* A set of positions in the expression, advanced one character of the name at a time. */
#define EXPRESSION_MAX 512
typedef struct {
    uint64_t bits[EXPRESSION_MAX / 64 + 1];
} States;

static gboolean
has(const States *s, size_t i)
{
    return s->bits[i / 64] >> (i % 64) & 1;
}

static void
set(States *s, size_t i)
{
    s->bits[i / 64] |= UINT64_C(1) << (i % 64);
}

/* Adds what is reached without taking a character. */
static void
close_over(States *s, const uint16_t *e, size_t n, gboolean at_end, gboolean at_dot)
{
    for (size_t i = 0; i < n; i++) {
        if (!has(s, i))
            continue;
        if (e[i] == '*' || e[i] == DOS_STAR)
            set(s, i + 1);
        else if (e[i] == DOS_QM && (at_end || at_dot))
            set(s, i + 1);
        else if (e[i] == DOS_DOT && at_end)
            set(s, i + 1);
    }
}

gboolean
smb2_units_match(const uint16_t *e, size_t n_e, const uint16_t *name, size_t n_name)
{
    if (n_e > EXPRESSION_MAX)
        return FALSE;
    size_t last_dot = n_name;
    for (size_t i = 0; i < n_name; i++)
        if (name[i] == '.')
            last_dot = i;
    States now = {{0}};
    set(&now, 0);
    for (size_t at = 0; at < n_name; at++) {
        States next = {{0}};
        gboolean any = FALSE;
        uint16_t c = name[at];
        close_over(&now, e, n_e, FALSE, c == '.');
        for (size_t i = 0; i < n_e; i++) {
            if (!has(&now, i))
                continue;
            size_t to = SIZE_MAX;
            if (e[i] == '*')
                to = i;
            else if (e[i] == DOS_STAR) /* up to the final full stop and with it */
                to = last_dot == n_name || at <= last_dot ? i : SIZE_MAX;
            else if (e[i] == DOS_QM)
                to = c == '.' ? SIZE_MAX : i + 1;
            else if (e[i] == '?' || e[i] == c || (e[i] == DOS_DOT && c == '.'))
                to = i + 1;
            if (to != SIZE_MAX) {
                set(&next, to);
                any = TRUE;
            }
        }
        if (!any)
            return FALSE;
        now = next;
    }
    close_over(&now, e, n_e, TRUE, FALSE);
    return has(&now, n_e);
}

gboolean
smb2_pattern_parse(LaresArena *arena, const uint8_t *utf16, size_t bytes, Smb2Pattern *pattern)
{
    size_t n = bytes / 2;
    *pattern = (Smb2Pattern){.n = n};
    if (bytes % 2 || n > EXPRESSION_MAX)
        return FALSE;
    pattern->units = lares_arena_alloc(arena, bytes + 2);
    for (size_t i = 0; i < n; i++) {
        uint16_t c = (uint16_t)(utf16[2 * i] | utf16[2 * i + 1] << 8);
        if (c < 0x20 || c == '/' || c == '\\' || c == '|' || c == ':')
            return FALSE;
        pattern->wild |= c == '*' || c == '?' || c == '<' || c == '>' || c == '"';
        pattern->units[i] = (uint16_t)(c >= 0xd800 && c <= 0xdfff ? c : upper(c));
    }
    const uint16_t *u = pattern->units;
    pattern->all = n == 0 || (n == 1 && u[0] == '*') || (n == 3 && u[0] == '*' && u[1] == '.' && u[2] == '*') ||
                   (n == 3 && u[0] == '<' && u[1] == '"' && u[2] == '*');
    if (!pattern->wild && n > 0)
        pattern->name = smb2_name_from_wire(arena, utf16, bytes);
    return TRUE;
}

gboolean
smb2_pattern_matches(const Smb2Pattern *pattern, const char *disk)
{
    uint16_t units[WIRE_NAME_MAX];
    if (pattern->all)
        return TRUE;
    LaresWriter w = {.base = (uint8_t *)units, .cap = sizeof units, .limit = sizeof units};
    size_t n = smb2_put_name(&w, disk, TRUE) / 2;
    if (w.failed)
        return FALSE;
    for (size_t i = 0; i < n; i++) {
        uint16_t c = GUINT16_FROM_LE(units[i]);
        units[i] = (uint16_t)(c >= 0xd800 && c <= 0xdfff ? c : upper(c));
    }
    return smb2_units_match(pattern->units, pattern->n, units, n);
}
