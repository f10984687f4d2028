/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A share in a fresh folder. */
#include "store-fixture.h"

char *base_dir;

LaresStore *
fixture_open_store(Fixture *f, gboolean no_handles)
{
    g_autoptr(GError) error = NULL;
    PosixOptions options = {
        .path = f->dir, .state_dir = f->state, .privileged = geteuid() == 0, .no_handles = no_handles};
    PosixStore *store = posix_store_new(&options, &error);
    g_assert_no_error(error);
    return (LaresStore *)store;
}

void
fixture_set_up(Fixture *f, gconstpointer no_handles)
{
    f->dir = g_build_filename(base_dir, "share-XXXXXX", NULL);
    f->state = g_build_filename(base_dir, "state-XXXXXX", NULL);
    g_assert_nonnull(g_mkdtemp(f->dir));
    g_assert_nonnull(g_mkdtemp(f->state));
    g_assert_cmpint(g_chmod(f->dir, 0777), ==, 0);
    f->me = cred_of(geteuid(), getegid());
    f->s = fixture_open_store(f, no_handles != NULL);
    f->root = store_root(f->s);
}

static void
remove_tree(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    for (const char *name; dir && (name = g_dir_read_name(dir));) {
        g_autofree char *child = g_build_filename(path, name, NULL);
        if (g_file_test(child, G_FILE_TEST_IS_DIR) && !g_file_test(child, G_FILE_TEST_IS_SYMLINK))
            remove_tree(child);
        else
            g_unlink(child);
    }
    g_rmdir(path);
}

void
fixture_tear_down(Fixture *f, gconstpointer no_handles)
{
    lares_node_unref(f->root);
    g_assert_finalize_object(f->s);
    remove_tree(f->dir);
    remove_tree(f->state);
    g_free(f->dir);
    g_free(f->state);
}

void
fixture_reopen(Fixture *f, gboolean no_handles)
{
    lares_node_unref(f->root);
    g_assert_finalize_object(f->s);
    f->s = fixture_open_store(f, no_handles);
    f->root = store_root(f->s);
}

int
fixture_main(int *argc, char ***argv, void (*add_tests)(void))
{
    g_test_init(argc, argv, NULL);
    base_dir = *argc > 1 ? g_strdup((*argv)[1]) : g_dir_make_tmp("lares-store-XXXXXX", NULL);
    g_chmod(base_dir, 0755);
    add_tests();
    int result = g_test_run();
    if (*argc < 2)
        g_rmdir(base_dir);
    g_free(base_dir);
    return result;
}
