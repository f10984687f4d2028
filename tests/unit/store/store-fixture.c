/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A share in a fresh folder, and core/files over it. */
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

void
files_fixture_set_up(FilesFixture *r)
{
    fixture_set_up(&r->f, NULL);
    r->arena = lares_arena_new();
    g_atomic_ref_count_init(&r->identity.ref); /* it lies in here: nobody gives back the last one */
    r->identity.uid = r->f.me.uid;
    r->identity.gid = r->f.me.gid;
    r->identity.generation = lares_directory_generation();
    r->share.ref = 1 << 20; /* it lies in here: nobody gives back the last one */
    r->share.id = 7;
    r->share.name = "test";
    r->share.store = r->f.s;
    r->share.enabled = TRUE;
    r->share.squash = LARES_SQUASH_NONE;
    r->caller = (LaresCaller){&r->identity, &r->flavor, NULL, "test", r->arena};
    r->root = (LaresObject){&r->share, r->f.root};
}

void
files_fixture_tear_down(FilesFixture *r)
{
    lares_fold_forget(NULL);
    g_clear_pointer(&r->files.watches, g_ptr_array_unref);
    lares_arena_free(r->arena);
    fixture_tear_down(&r->f, NULL);
}

void
files_fixture_make(FilesFixture *r, const LaresObject *dir, const char *name, LaresFileType type, LaresObject *out)
{
    LaresCreate how = {.type = type, .attrs = {.mask = LARES_ATTR_MODE, .mode = 0755}, .exclusive = TRUE};
    LaresChangeInfo info;
    g_assert_cmpint(lares_files_create(&r->files, &r->caller, dir, name, &how, out, &info), ==, LARES_OK);
}

void
files_fixture_drop(LaresObject *o)
{
    g_clear_pointer(&o->node, lares_node_unref);
    if (o->share)
        g_atomic_int_add(&o->share->ref, -1);
    o->share = NULL;
}

gboolean
need_root(void)
{
    if (geteuid() == 0)
        return TRUE;
    g_test_skip("needs root");
    return FALSE;
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
