/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Short names: how they look, whom they find, and that they find nobody where that is not certain. */
#include "files/fold-names.h"
#include "store-fixture.h"

typedef FilesFixture Rig;

static void
set_up(Rig *r, gconstpointer data)
{
    files_fixture_set_up(r);
}

static void
tear_down(Rig *r, gconstpointer data)
{
    files_fixture_tear_down(r);
}

static LaresStatus
find(Rig *r, const char *name, char *real)
{
    return lares_files_lookup_short(&r->files, &r->caller, &r->root, name, real);
}

/* The one that a listing tells. */
static const char *
told(Rig *r, const char *name, char out[LARES_SHORT_NAME_SIZE])
{
    return lares_files_short_name(&r->root, name, out) ? out : NULL;
}

static void
make(Rig *r, const char *name)
{
    LaresObject o;
    files_fixture_make(r, &r->root, name, LARES_TYPE_DIRECTORY, &o);
    files_fixture_drop(&o);
}

static void
test_form(Rig *r, gconstpointer data)
{
    static const char *const fine[] = {"a", "A.b", "12345678.123", "$%'-_@~`.!()", "{}^#&"};
    static const char *const not [] = {"",      "123456789", "a.1234", "a.",  ".a",         "a.b.c",
                                       "a b.c", "a+b",       "a,b",    "a[b", "\xc3\xa9.a", "a;"};
    static const struct {
        const char *name, *first, *extension;
    } made[] = {{"long name.jpeg", "L~", ".JPE"},
                {"123456789", "1~", ""},
                {".bashrc", "B~", ""},
                {"a.tar.gz", "A~", ".GZ"},
                {"+x+.+y+z", "X~", ".YZ"},
                {"\xc3\xa9\xc3\xa9.\xc3\xa9", "_~", ""},
                {"trailing dots...", "T~", ""},
                {"..a.b c", "A~", ".BC"},
                {"\xff\xfe.txt", "_~", ".TXT"},
                {"name.with.a.long.end", "N~", ".END"}};
    char out[LARES_SHORT_NAME_SIZE], again[LARES_SHORT_NAME_SIZE];
    uint32_t hash;
    for (guint i = 0; i < G_N_ELEMENTS(fine); i++)
        g_assert_true(lares_files_name_is_short(fine[i]));
    for (guint i = 0; i < G_N_ELEMENTS(not ); i++)
        g_assert_false(lares_files_name_is_short(not [i]));
    for (guint i = 0; i < G_N_ELEMENTS(made); i++) {
        lares_short_make(made[i].name, out);
        g_test_message("%s: %s", made[i].name, out);
        g_assert_true(lares_files_name_is_short(out));
        g_assert_true(g_str_has_prefix(out, made[i].first));
        g_assert_cmpstr(out + 8, ==, made[i].extension);
        g_assert_true(lares_short_hash(out, &hash));
        g_assert_cmpuint(hash, ==, lares_fold_hash(made[i].name) & ((1u << LARES_SHORT_HASH_BITS) - 1));
        lares_short_make(made[i].name, again);
        g_assert_cmpstr(out, ==, again);
    }
    static const char *const strange[] = {"A~00000",  "A~0000000", "A0000000",      "~A000000",
                                          "A~00000W", "A~000000.", "A~000000.1234", "",
                                          "A",        "A~",        "A~000000.a.b",  "A~00000\xc3\xa9"};
    for (guint i = 0; i < G_N_ELEMENTS(strange); i++)
        g_assert_false(lares_short_hash(strange[i], &hash));
}

static void
test_finds(Rig *r, gconstpointer data)
{
    char real[LARES_NAME_LIMIT + 1], name[LARES_SHORT_NAME_SIZE], other[LARES_SHORT_NAME_SIZE];
    lares_short_make("A long name.text", name);
    g_assert_cmpint(find(r, name, real), ==, LARES_NOENT);
    make(r, "A long name.text");
    make(r, "Another long name.text");
    make(r, "short.txt");
    g_assert_cmpint(find(r, name, real), ==, LARES_OK);
    g_assert_cmpstr(real, ==, "A long name.text");
    g_assert_cmpstr(told(r, real, other), ==, name);
    g_assert_null(told(r, "short.txt", other));
    g_assert_null(told(r, "no such long name", other));
    for (char *p = name; *p; p++)
        *p = g_ascii_tolower(*p);
    g_assert_cmpint(find(r, name, real), ==, LARES_OK);
    /* Another letter or extension with the same digits is no name of it. */
    name[0] = 'b';
    g_assert_cmpint(find(r, name, real), ==, LARES_NOENT);
    name[0] = 'a';
    name[9] = 'x';
    g_assert_cmpint(find(r, name, real), ==, LARES_NOENT);
    /* Names that are short have no other. */
    lares_short_make("short.txt", name);
    g_assert_cmpint(find(r, name, real), ==, LARES_NOENT);
    /* What a local program does is seen. */
    lares_short_make("renamed by somebody", name);
    g_autofree char *from = g_build_filename(r->f.dir, "A long name.text", NULL);
    g_autofree char *to = g_build_filename(r->f.dir, "renamed by somebody", NULL);
    g_assert_cmpint(g_rename(from, to), ==, 0);
    g_assert_cmpint(find(r, name, real), ==, LARES_OK);
    lares_short_make("A long name.text", name);
    g_assert_cmpint(find(r, name, real), ==, LARES_NOENT);
    /* Who may not list the directory does not guess names by it. */
    if (geteuid() == 0) {
        r->identity.uid = r->identity.gid = 12345;
        lares_short_make("renamed by somebody", name);
        g_assert_cmpint(find(r, name, real), ==, LARES_OK);
        g_assert_cmpint(g_chmod(r->f.dir, 0711), ==, 0);
        g_assert_cmpint(find(r, name, real), ==, LARES_NOENT);
        g_assert_cmpint(g_chmod(r->f.dir, 0777), ==, 0);
        r->identity.uid = r->f.me.uid;
        r->identity.gid = r->f.me.gid;
    }
    /* What is nobody's to see is not there. */
    g_autofree char *hidden = g_build_filename(r->f.dir, LARES_HIDDEN_NAME, NULL);
    g_assert_cmpint(g_mkdir(hidden, 0700), ==, 0);
    lares_short_make(LARES_HIDDEN_NAME, other);
    g_assert_cmpint(find(r, other, real), ==, LARES_NOENT);
    g_assert_cmpint(g_rmdir(hidden), ==, 0);
}

static void
test_ambiguous(Rig *r, gconstpointer data)
{
    char real[LARES_NAME_LIMIT + 1], name[LARES_SHORT_NAME_SIZE], out[LARES_SHORT_NAME_SIZE];
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_autofree char *one = NULL, *other = NULL;
    LaresChangeInfo info;
    for (guint i = 0; !other; i++) {
        g_autofree char *tried = g_strdup_printf("the same letter %u.text", i);
        lares_short_make(tried, name);
        one = g_strdup(g_hash_table_lookup(seen, name));
        if (one)
            other = g_steal_pointer(&tried);
        else
            g_hash_table_insert(seen, g_strdup(name), g_steal_pointer(&tried));
        g_assert_cmpuint(i, <, 2000000);
    }
    g_test_message("%s, %s: %s", one, other, name);
    make(r, one);
    g_assert_cmpint(find(r, name, real), ==, LARES_OK);
    g_assert_cmpstr(told(r, one, out), ==, name);
    make(r, other);
    g_assert_cmpint(find(r, name, real), ==, LARES_NOENT);
    g_assert_null(told(r, one, out));
    g_assert_null(told(r, other, out));
    g_assert_cmpint(lares_files_remove(&r->files, &r->caller, &r->root, one, &info), ==, LARES_OK);
    g_assert_cmpint(find(r, name, real), ==, LARES_OK);
    g_assert_cmpstr(real, ==, other);
    g_assert_cmpstr(told(r, other, out), ==, name);
    /* One that really is called so, in any case, is what the name means. */
    for (guint i = 0; i < 2; i++) {
        g_autofree char *taken = i ? g_ascii_strdown(name, -1) : g_strdup(name);
        make(r, taken);
        g_assert_null(told(r, other, out));
        g_assert_cmpint(lares_files_remove(&r->files, &r->caller, &r->root, taken, &info), ==, LARES_OK);
        g_assert_cmpstr(told(r, other, out), ==, name);
    }
    /* They differ in case only. */
    make(r, "One long name");
    make(r, "ONE long name");
    lares_short_make("One long name", name);
    g_assert_cmpint(find(r, name, real), ==, LARES_NOENT);
    g_assert_null(told(r, "One long name", out));
    g_assert_null(told(r, "ONE long name", out));
}

/* As many as a table must find without looking at each. */
static void
test_many(Rig *r, gconstpointer data)
{
    LaresNames names;
    char name[64], made[LARES_SHORT_NAME_SIZE];
    guint missing = 0;
    lares_names_init(&names);
    for (guint i = 0; i < 200000; i++) {
        g_snprintf(name, sizeof name, "%c many names of %u.txt", 'a' + i % 26, i);
        lares_names_append(&names, name);
    }
    for (guint i = 0; i < 200000; i++) {
        g_snprintf(name, sizeof name, "%c many names of %u.txt", 'a' + i % 26, i);
        lares_short_make(name, made);
        const char *found = lares_names_find_short(&names, made);
        g_assert_true(!found || g_str_equal(found, name));
        missing += !found;
    }
    g_test_message("%u ambiguous", missing);
    g_assert_cmpuint(missing, <, 20);
    lares_names_clear(&names);
}

#define ADD(name, func) g_test_add("/files-short/" name, Rig, NULL, set_up, func, tear_down)

static void
add_tests(void)
{
    ADD("form", test_form);
    ADD("finds", test_finds);
    ADD("ambiguous", test_ambiguous);
    ADD("many", test_many);
}

int
main(int argc, char **argv)
{
    return fixture_main(&argc, &argv, add_tests);
}
