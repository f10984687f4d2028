/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Watches of directories: what they tell, and what they keep from whom. */
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

static void
note(LaresChangeAction action, const char *path, gpointer user)
{
    g_string_append_printf(user, "%d %s;", action, path ? path : "?");
}

static void
expect(GString *seen, const char *what)
{
    g_assert_cmpstr(seen->str, ==, what);
    g_string_truncate(seen, 0);
}

static void
test_watch(Rig *r, gconstpointer data)
{
    g_autoptr(GString) flat = g_string_new(NULL), deep = g_string_new(NULL);
    LaresObject a, b;
    LaresChangeInfo info, info2;
    uint32_t names = LARES_FILTER_DIR_NAME | LARES_FILTER_FILE_NAME;
    LaresWatch *one = lares_files_watch(&r->files, &r->caller, &r->root, FALSE, names, note, flat, NULL);
    LaresWatch *tree =
        lares_files_watch(&r->files, &r->caller, &r->root, TRUE, names | LARES_FILTER_LAST_WRITE, note, deep, NULL);
    files_fixture_make(r, &r->root, "a", LARES_TYPE_DIRECTORY, &a);
    expect(flat, "1 a;");
    expect(deep, "1 a;");
    files_fixture_make(r, &a, "b", LARES_TYPE_DIRECTORY, &b);
    expect(flat, "");
    expect(deep, "1 a/b;");
    g_assert_cmpint(lares_files_rename(&r->files, &r->caller, &a, "b", &a, "c", &info, &info2), ==, LARES_OK);
    expect(deep, "4 a/b;5 a/c;");
    g_assert_cmpint(lares_files_rename(&r->files, &r->caller, &a, "c", &r->root, "d", &info, &info2), ==, LARES_OK);
    expect(flat, "1 d;");
    expect(deep, "2 a/c;1 d;");
    /* A change of an object, by where it is now. */
    LaresSetAttrs times = {.mask = LARES_SET_MTIME_NOW};
    g_assert_cmpint(lares_files_setattr(&r->files, &r->caller, &b, NULL, &times), ==, LARES_OK);
    expect(deep, "3 d;");
    expect(flat, ""); /* not asked for */
    files_fixture_drop(&b);
    g_assert_cmpint(lares_files_remove(&r->files, &r->caller, &r->root, "d", &info), ==, LARES_OK);
    expect(flat, "2 d;");
    expect(deep, "2 d;");
    lares_watch_unref(one);
    lares_watch_unref(tree);
    g_assert_cmpint(lares_files_remove(&r->files, &r->caller, &r->root, "a", &info), ==, LARES_OK);
    expect(deep, "");
    files_fixture_drop(&a);
}

static void
chmod_in(Rig *r, const char *name, mode_t mode)
{
    g_autofree char *path = g_build_filename(r->f.dir, name, NULL);
    g_assert_cmpint(g_chmod(path, mode), ==, 0);
}

/* On a share that shows only what one may read: names that are read, or not. */
static void
watch_what_is_hidden(Rig *r, const LaresObject *where, const char *prefix, GString *seen)
{
    LaresObject made;
    LaresChangeInfo info, info2;
    g_autofree char *created = g_strdup_printf("1 %sx;", prefix), *x = g_strdup_printf("%sx", prefix);
    g_autofree char *renamed = g_strdup_printf("4 ?;5 %sy;", prefix);
    g_autofree char *y = g_strdup_printf("%sy", prefix);
    files_fixture_make(r, where, "x", LARES_TYPE_DIRECTORY, &made);
    expect(seen, created);
    chmod_in(r, x, 0700);
    LaresSetAttrs times = {.mask = LARES_SET_MTIME_NOW};
    g_assert_cmpint(lares_files_setattr(&r->files, &r->caller, &made, NULL, &times), ==, LARES_OK);
    expect(seen, "");
    g_assert_cmpint(lares_files_rename(&r->files, &r->caller, where, "x", where, "y", &info, &info2), ==, LARES_OK);
    expect(seen, "4 ?;");
    chmod_in(r, y, 0755);
    g_assert_cmpint(lares_files_rename(&r->files, &r->caller, where, "y", where, "x", &info, &info2), ==, LARES_OK);
    g_string_truncate(seen, 0);
    g_assert_cmpint(lares_files_rename(&r->files, &r->caller, where, "x", where, "y", &info, &info2), ==, LARES_OK);
    expect(seen, renamed);
    files_fixture_drop(&made);
    g_assert_cmpint(lares_files_remove(&r->files, &r->caller, where, "y", &info), ==, LARES_OK);
    expect(seen, "2 ?;");
}

/* A watch of everything below tells nobody names that they could not have listed. */
static void
test_watch_closed(Rig *r, gconstpointer data)
{
    static const struct {
        const char *dir;
        mode_t mode;
        gboolean told, passed;
    } folders[] = {{"open", 0755, TRUE, TRUE},  {"closed", 0700, FALSE, FALSE}, {"closed/open", 0755, FALSE, TRUE},
                   {"way", 0711, FALSE, FALSE}, {"way/open", 0755, TRUE, TRUE}, {"list", 0744, TRUE, TRUE}};
    if (!need_root())
        return;
    g_autoptr(GString) seen = g_string_new(NULL);
    LaresIdentity stranger = {.uid = 12345, .gid = 12345, .generation = lares_directory_generation()};
    g_atomic_ref_count_init(&stranger.ref);
    LaresCaller watcher = r->caller;
    watcher.identity = &stranger;
    chmod_in(r, "", 0755);
    uint32_t names = LARES_FILTER_DIR_NAME | LARES_FILTER_FILE_NAME | LARES_FILTER_LAST_WRITE;
    LaresWatch *watch = lares_files_watch(&r->files, &watcher, &r->root, TRUE, names, note, seen, NULL);
    LaresObject dir[G_N_ELEMENTS(folders)], made;
    for (guint i = 0; i < G_N_ELEMENTS(folders); i++) {
        const char *slash = strchr(folders[i].dir, '/');
        files_fixture_make(r, slash ? &dir[i - 1] : &r->root, slash ? slash + 1 : folders[i].dir, LARES_TYPE_DIRECTORY,
                           &dir[i]);
    }
    for (guint i = 0; i < G_N_ELEMENTS(folders); i++)
        chmod_in(r, folders[i].dir, folders[i].mode);
    g_string_truncate(seen, 0);
    for (gboolean pass = FALSE; pass <= TRUE; pass++) {
        lares_store_pass(pass);
        lares_watch_renew(watch, &watcher);
        lares_store_pass(FALSE);
        for (guint i = 0; i < G_N_ELEMENTS(folders); i++) {
            gboolean told = pass ? folders[i].passed : folders[i].told;
            g_autofree char *created = g_strdup_printf("1 %s/x;", folders[i].dir);
            g_autofree char *touched = g_strdup_printf("3 %s/x;", folders[i].dir);
            g_autofree char *removed = g_strdup_printf("2 %s/x;", folders[i].dir);
            LaresSetAttrs times = {.mask = LARES_SET_MTIME_NOW};
            LaresChangeInfo info;
            g_test_message("%s%s", folders[i].dir, pass ? ", passing" : "");
            files_fixture_make(r, &dir[i], "x", LARES_TYPE_DIRECTORY, &made);
            expect(seen, told ? created : "");
            g_assert_cmpint(lares_files_setattr(&r->files, &r->caller, &made, NULL, &times), ==, LARES_OK);
            expect(seen, told ? touched : "");
            files_fixture_drop(&made);
            g_assert_cmpint(lares_files_remove(&r->files, &r->caller, &dir[i], "x", &info), ==, LARES_OK);
            expect(seen, told ? removed : "");
        }
    }
    r->share.options = LARES_SHARE_ACCESS_BASED;
    watch_what_is_hidden(r, &r->root, "", seen);
    watch_what_is_hidden(r, &dir[0], "open/", seen);
    r->share.options = 0;
    /* Who that is may have changed. */
    stranger.generation--;
    files_fixture_make(r, &dir[0], "x", LARES_TYPE_DIRECTORY, &made);
    expect(seen, "1 ?;");
    files_fixture_drop(&made);
    lares_watch_unref(watch);
    for (guint i = 0; i < G_N_ELEMENTS(folders); i++)
        files_fixture_drop(&dir[i]);
}

#define ADD(name, func) g_test_add("/files-watch/" name, Rig, NULL, set_up, func, tear_down)

static void
add_tests(void)
{
    ADD("told", test_watch);
    ADD("closed", test_watch_closed);
}

int
main(int argc, char **argv)
{
    return fixture_main(&argc, &argv, add_tests);
}
