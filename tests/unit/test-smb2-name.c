/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names: UTF-16, what Windows cannot show and back, expressions. */
#include "smb2-name.h"

static LaresArena *arena;

static size_t
wire_of(const char *disk, uint8_t *buf, size_t size)
{
    LaresWriter w = {.base = buf, .cap = size, .limit = size};
    size_t n = smb2_put_name(&w, disk, TRUE);
    g_assert_false(w.failed);
    g_assert_cmpuint(n, ==, w.len);
    return n;
}

static void
there_and_back(const char *disk)
{
    uint8_t buf[4096];
    size_t n = wire_of(disk, buf, sizeof buf);
    for (size_t i = 0; i < n; i += 2) {
        uint16_t c = (uint16_t)(buf[i] | buf[i + 1] << 8);
        g_assert_cmpuint(c, >=, 0x20);
        g_assert_null(c < 0x80 ? strchr("\"*/:<>?\\|", c) : NULL);
    }
    g_assert_cmpstr(smb2_name_from_wire(arena, buf, n), ==, disk);
}

static void
test_round_trip(void)
{
    static const char *const names[] = {"plain.txt",
                                        "a:b",
                                        "what?",
                                        "*",
                                        "back\\slash",
                                        "tail.",
                                        "tail ",
                                        "...",
                                        "a. .",
                                        "\001\037",
                                        "CON",
                                        "nul.txt",
                                        "NUL .tar.gz",
                                        "COM1",
                                        "com\xc2\xb9.x",
                                        "LPT9.",
                                        "CONS",
                                        "\xff\xfe latin \xe9",
                                        "\xef\x80\xa2",             /* U+F022 itself */
                                        "\xef\x80\xaa\xef\x80\xab", /* U+F02A, U+F02B */
                                        "\xef\x86\xa0",             /* U+F1A0 */
                                        "\xf0\x9f\x98\x80 smile",
                                        "\xed\xa0\x80",
                                        "gr\xc3\xbc\xc3\x9f",
                                        "a\xc3",
                                        "|pipe\"<>"};
    for (guint i = 0; i < G_N_ELEMENTS(names); i++)
        there_and_back(names[i]);
    uint8_t any[256];
    for (guint round = 0; round < 20000; round++) {
        guint n = 1 + g_test_rand_int_range(0, 20);
        for (guint i = 0; i < n; i++)
            do
                any[i] = (uint8_t)g_test_rand_int_range(1, 256);
            while (any[i] == '/');
        any[n] = 0;
        if (!(any[0] == '.' && (n == 1 || (n == 2 && any[1] == '.'))))
            there_and_back((char *)any);
    }
}

/* What Linux's and Apple's clients send for these names. */
static void
test_sfm(void)
{
    uint8_t buf[64];
    static const uint8_t colon[] = {'a', 0, 0x22, 0xf0, 'b', 0}, dot[] = {'a', 0, 0x29, 0xf0};
    g_assert_cmpmem(buf, wire_of("a:b", buf, sizeof buf), colon, sizeof colon);
    g_assert_cmpmem(buf, wire_of("a.", buf, sizeof buf), dot, sizeof dot);
    static const uint8_t nul[] = {'N', 0, 'U', 0, 'L', 0, 0x2b, 0xf0, '.', 0, 'x', 0};
    g_assert_cmpmem(buf, wire_of("NUL.x", buf, sizeof buf), nul, sizeof nul);
    /* A client that can show the name may say it. */
    static const uint8_t raw[] = {'N', 0, 'U', 0, 'L', 0};
    g_assert_cmpstr(smb2_name_from_wire(arena, raw, sizeof raw), ==, "NUL");
}

static void
refuse(const void *bytes, size_t n)
{
    g_assert_null(smb2_name_from_wire(arena, bytes, n));
}

static void
test_refused(void)
{
    refuse("", 0);
    refuse(".\0", 2);
    refuse(".\0.\0", 4);
    refuse("a\0/\0", 4);
    refuse("a\0\\\0", 4);
    refuse("a\0:\0", 4);
    refuse("a\0*\0", 4);
    refuse("a\0\0\0", 4);
    refuse("a\0\037\0", 4);
    refuse("a\0b", 3);
    refuse("\x00\xd8", 2);         /* a high surrogate alone */
    refuse("\x00\xdc\x00\xd8", 4); /* in the wrong order */
    refuse("\x2a\xf0", 2);         /* an escape of nothing */
    refuse("\x2a\xf0x\0", 4);
    refuse("\x2b\xf0", 2); /* nothing but the mark */
    g_assert_null(smb2_utf8_from_utf16(arena, (const uint8_t *)"\x00\xd8x\0", 4));
    g_assert_cmpstr(smb2_utf8_from_utf16(arena, (const uint8_t *)"\x3d\xd8\x00\xde", 4), ==, "\xf0\x9f\x98\x80");
}

static gboolean
matches(const char *expression, const char *name)
{
    uint8_t bytes[512];
    LaresWriter w = {.base = bytes, .cap = sizeof bytes, .limit = sizeof bytes};
    size_t n = smb2_put_utf16(&w, expression);
    Smb2Pattern pattern;
    g_assert_true(smb2_pattern_parse(arena, bytes, n, &pattern));
    return smb2_pattern_matches(&pattern, name);
}

/* [MS-FSA] 2.1.4.4 */
static void
test_expressions(void)
{
    static const struct {
        const char *e, *name;
        gboolean match;
    } cases[] = {
        {"*", "anything", TRUE},
        {"*.*", "nodot", TRUE},
        {"*.txt", "a.TXT", TRUE},
        {"*.txt", "a.txt.b", FALSE},
        {"a?c", "abc", TRUE},
        {"a?c", "ac", FALSE},
        {"A*Z", "aZzz", TRUE},
        {"A*Y", "aZzz", FALSE},
        {"<.b", "a.a.b", TRUE},
        {"<.a", "a.a.b", FALSE},
        {"<", "abc", TRUE},
        {"<", "abc.d", FALSE},
        {"<\"*", "abc", TRUE},
        {"<\"*", "abc.d.e", TRUE},
        {"a>>>", "abc", TRUE},
        {"a>>>", "abcde", FALSE},
        {"a>>>.x", "ab.x", TRUE},
        {"a\"", "a", TRUE},
        {"a\"", "a.", FALSE},
        {"a\"b", "a.b", TRUE},
        {"a\"b", "ab", FALSE},
        {">>>>>>>>\">>>", "a", TRUE},
        {">>>>>>>>\">>>", "abc.txt", TRUE},
        {"gr\xc3\x9c*", "gr\xc3\xbcn", TRUE},
        {"", "x", TRUE},
        {"exact", "EXACT", TRUE},
        {"exact", "exactly", FALSE},
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("%s ~ %s", cases[i].e, cases[i].name);
        g_assert_cmpint(matches(cases[i].e, cases[i].name), ==, cases[i].match);
    }
    /* Expressions that take for ever where positions are tried one by one. */
    g_autoptr(GString) evil = g_string_new(NULL);
    for (guint i = 0; i < 100; i++)
        g_string_append(evil, "*a");
    g_autofree char *name = g_strnfill(200, 'a');
    g_string_append(evil, "b");
    g_assert_false(matches(evil->str, name));
}

static void
test_case(void)
{
    g_assert_true(smb2_name_equal("Gr\xc3\xbcn", "gR\xc3\x9cN"));
    g_assert_true(smb2_name_equal("\xef\xbc\xa1", "\xef\xbd\x81")); /* wide A */
    g_assert_false(smb2_name_equal("a", "ab"));
    g_assert_false(smb2_name_equal("\xc3\x9f", "ss"));
    g_assert_false(smb2_name_equal("\xff", "\xfe"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    arena = lares_arena_new();
    g_test_add_func("/smb2-name/round-trip", test_round_trip);
    g_test_add_func("/smb2-name/sfm", test_sfm);
    g_test_add_func("/smb2-name/refused", test_refused);
    g_test_add_func("/smb2-name/expressions", test_expressions);
    g_test_add_func("/smb2-name/case", test_case);
    int result = g_test_run();
    lares_arena_free(arena);
    return result;
}
