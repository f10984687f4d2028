/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Leases of directories over real ones: what ends them, whoever does it, and whom a change spares. */
#include "state/state-private.h"
#include "store-fixture.h"

#define RH (LARES_LEASE_READ | LARES_LEASE_HANDLE)

typedef struct {
    FilesFixture on;
    LaresObject other; /* a directory in its root */
    LaresHolder *holder;
    LaresLease *lease;
    LaresOpen *open;
    guint breaks;
    gboolean watched;
} Rig;

static const uint8_t KEY[LARES_LEASE_KEY] = "holder", STRANGER[LARES_LEASE_KEY] = "stranger";

static void
note_break(LaresLease *lease, const LaresLeaseBreak *what, gpointer user)
{
    Rig *r = user;
    g_assert_cmpuint(what->to, ==, 0);
    g_assert_true(what->ack);
    r->breaks++;
    g_assert_cmpint(lares_lease_ack(lease, 0), ==, LARES_OK);
}

static void
make_file(Rig *r, const LaresObject *dir, const char *name)
{
    LaresObject made;
    files_fixture_make(&r->on, dir, name, LARES_TYPE_REGULAR, &made);
    files_fixture_drop(&made);
}

/* Asks again, as a client does that lists the directory once more: what it has then. */
static uint32_t
again(Rig *r)
{
    if (r->open) {
        lares_open_close(r->open);
        lares_open_unref(r->open);
        r->open = NULL;
    }
    if (lares_lease_watch_directory(r->lease, KEY) != LARES_OK)
        return 0;
    LaresOpenHow how = {.access = LARES_ACCESS_READ, .lease = r->lease, .lease_want = RH | LARES_LEASE_WRITE};
    g_assert_cmpint(lares_state_open_how(r->holder, &r->on.share, r->on.root.node, NULL, &how, &r->open), ==, LARES_OK);
    r->breaks = 0;
    return lares_lease_state(r->lease, NULL, NULL);
}

static void
set_up(Rig *r, gconstpointer data)
{
    files_fixture_set_up(&r->on);
    files_fixture_make(&r->on, &r->on.root, "other", LARES_TYPE_DIRECTORY, &r->other);
    r->holder = lares_holder_new("test", NULL, NULL, NULL);
    r->lease = lares_lease_new(r->on.root.node, FALSE, note_break, r, NULL);
    r->watched = again(r) != 0;
}

static void
tear_down(Rig *r, gconstpointer data)
{
    lares_leases_spare(NULL);
    if (r->open) {
        lares_open_close(r->open);
        lares_open_unref(r->open);
    }
    lares_lease_unref(r->lease);
    lares_holder_unref(r->holder);
    files_fixture_drop(&r->other);
    files_fixture_tear_down(&r->on);
}

static gboolean
skipped(const Rig *r)
{
    if (!r->watched)
        g_test_skip("local changes cannot be seen here");
    return !r->watched;
}

/* No lease is given that was not asked to be watched, and none to write. */
static void
test_grant(Rig *r, gconstpointer data)
{
    LaresLease *blind = lares_lease_new(r->on.root.node, FALSE, note_break, r, NULL);
    LaresOpenHow how = {.access = LARES_ACCESS_READ, .lease = blind, .lease_want = RH};
    LaresOpen *open;
    g_assert_cmpint(lares_state_open_how(r->holder, &r->on.share, r->on.root.node, NULL, &how, &open), ==, LARES_OK);
    g_assert_cmpuint(lares_lease_state(blind, NULL, NULL), ==, 0);
    lares_open_close(open);
    lares_open_unref(open);
    if (!skipped(r)) {
        g_assert_cmpuint(lares_lease_state(r->lease, NULL, NULL), ==, RH);
        g_assert_cmpint(lares_lease_watch_directory(blind, STRANGER), ==, LARES_OK);
        how.lease_want = RH | LARES_LEASE_WRITE;
        g_assert_cmpint(lares_state_open_how(r->holder, &r->on.share, r->on.root.node, NULL, &how, &open), ==,
                        LARES_OK);
        g_assert_cmpuint(lares_lease_state(blind, NULL, NULL), ==, RH);
        lares_open_close(open);
        lares_open_unref(open);
    }
    lares_lease_unref(blind);
}

static void
test_own_changes(Rig *r, gconstpointer data)
{
    LaresChangeInfo one, two;
    if (skipped(r))
        return;
    make_file(r, &r->other, "elsewhere");
    g_assert_cmpuint(r->breaks, ==, 0);
    make_file(r, &r->on.root, "a");
    g_assert_cmpuint(r->breaks, ==, 1);
    g_assert_cmpuint(lares_lease_state(r->lease, NULL, NULL), ==, 0);
    make_file(r, &r->on.root, "b");
    g_assert_cmpuint(r->breaks, ==, 1);
    g_assert_cmpuint(again(r), ==, RH);
    g_assert_cmpint(lares_files_rename(&r->on.files, &r->on.caller, &r->on.root, "a", &r->other, "a", &one, &two), ==,
                    LARES_OK);
    g_assert_cmpuint(r->breaks, ==, 1);
    g_assert_cmpuint(again(r), ==, RH);
    g_assert_cmpint(lares_files_rename(&r->on.files, &r->on.caller, &r->other, "a", &r->on.root, "c", &one, &two), ==,
                    LARES_OK);
    g_assert_cmpuint(r->breaks, ==, 1);
    g_assert_cmpuint(again(r), ==, RH);
    g_assert_cmpint(lares_files_remove(&r->on.files, &r->on.caller, &r->on.root, "c", &one), ==, LARES_OK);
    g_assert_cmpuint(r->breaks, ==, 1);
}

/* An entry that is open, so that it is remembered who was told of it. */
static LaresOpen *
open_entry(Rig *r, const LaresObject *dir, const char *name, LaresNode **node)
{
    LaresOpen *open;
    LaresOpenHow how = {.access = LARES_ACCESS_WRITE};
    g_assert_cmpint(STORE_IFACE(r->on.f.s)->lookup(r->on.f.s, &r->on.f.me, dir->node, name, node), ==, LARES_OK);
    g_assert_cmpint(lares_state_open_how(r->holder, &r->on.share, *node, NULL, &how, &open), ==, LARES_OK);
    return open;
}

static void
test_entries(Rig *r, gconstpointer data)
{
    LaresChangeInfo one, two;
    g_autoptr(LaresNode) node = NULL;
    if (skipped(r))
        return;
    make_file(r, &r->other, "a");
    LaresOpen *open = open_entry(r, &r->other, "a", &node);
    lares_files_node_changed(&r->on.files, node, LARES_FILTER_SIZE);
    g_assert_cmpuint(r->breaks, ==, 0);
    /* Moved by who holds the lease: who writes then does not know. */
    lares_leases_spare(KEY);
    g_assert_cmpint(lares_files_rename(&r->on.files, &r->on.caller, &r->other, "a", &r->on.root, "a", &one, &two), ==,
                    LARES_OK);
    lares_files_node_changed(&r->on.files, node, LARES_FILTER_SIZE);
    lares_files_node_changed(&r->on.files, node, LARES_FILTER_SIZE);
    g_assert_cmpuint(r->breaks, ==, 0);
    lares_leases_spare(NULL);
    lares_files_node_changed(&r->on.files, node, LARES_FILTER_SIZE);
    g_assert_cmpuint(r->breaks, ==, 1);
    g_assert_cmpuint(again(r), ==, RH);
    lares_leases_spare(KEY);
    lares_files_node_changed(&r->on.files, node, LARES_FILTER_SIZE);
    lares_leases_spare(STRANGER);
    lares_files_node_changed(&r->on.files, node, LARES_FILTER_SIZE);
    g_assert_cmpuint(r->breaks, ==, 1);
    lares_files_node_changed(&r->on.files, node, LARES_FILTER_SIZE);
    lares_leases_spare(NULL);
    lares_files_node_changed(&r->on.files, node, LARES_FILTER_SIZE);
    g_assert_cmpuint(r->breaks, ==, 1);
    lares_open_close(open);
    lares_open_unref(open);
    /* Who lists it keeps nothing, whoever's listing it is. */
    g_assert_cmpuint(again(r), ==, RH);
    lares_leases_linked(r->other.node);
    g_assert_cmpuint(r->breaks, ==, 0);
    lares_leases_spare(KEY);
    lares_leases_linked(r->on.root.node);
    lares_leases_spare(NULL);
    g_assert_cmpuint(r->breaks, ==, 1);
    g_assert_cmpint(lares_lease_watch_directory(r->lease, KEY), ==, LARES_NOTSUPP);
    g_assert_cmpuint(again(r), ==, RH); /* it was closed meanwhile, and is listed anew */
}

/* A file with several names may be listed anywhere. */
static void
test_hard_links(Rig *r, gconstpointer data)
{
    LaresChangeInfo info;
    LaresObject file;
    if (skipped(r))
        return;
    files_fixture_make(&r->on, &r->on.root, "one", LARES_TYPE_REGULAR, &file);
    g_assert_cmpuint(again(r), ==, RH);
    /* It has one more name, though elsewhere. */
    g_assert_cmpint(lares_files_link(&r->on.files, &r->on.caller, &file, &r->other, "two", &info), ==, LARES_OK);
    g_assert_cmpuint(r->breaks, ==, 1);
    g_autoptr(LaresNode) node = NULL;
    LaresOpen *open = open_entry(r, &r->other, "two", &node);
    g_assert_cmpuint(again(r), ==, RH);
    lares_files_node_changed(&r->on.files, node, LARES_FILTER_SIZE);
    g_assert_cmpuint(r->breaks, ==, 1);
    lares_open_close(open);
    lares_open_unref(open);
    files_fixture_drop(&file);
}

static void
test_spared(Rig *r, gconstpointer data)
{
    if (skipped(r))
        return;
    lares_leases_spare(KEY);
    make_file(r, &r->on.root, "a");
    g_assert_cmpuint(r->breaks, ==, 0);
    lares_leases_spare(STRANGER);
    make_file(r, &r->on.root, "b");
    g_assert_cmpuint(r->breaks, ==, 1);
}

/* By another process. */
static void
locally(Rig *r, const char *dir, const char *name, const char *what)
{
    g_autofree char *path = g_build_filename(r->on.f.dir, dir, name, NULL);
    const char *argv[] = {what, path, NULL};
    int status;
    g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, &status, NULL));
    g_assert_cmpint(status, ==, 0);
}

static gboolean
give_up(gpointer late)
{
    *(gboolean *)late = TRUE;
    return G_SOURCE_REMOVE;
}

static void
await_break(Rig *r)
{
    gboolean late = FALSE;
    guint timer = g_timeout_add_seconds(20, give_up, &late);
    while (!r->breaks && !late)
        g_main_context_iteration(NULL, TRUE);
    if (!late)
        g_source_remove(timer);
    g_assert_cmpuint(r->breaks, ==, 1);
}

static void
test_local_changes(Rig *r, gconstpointer data)
{
    if (skipped(r))
        return;
    make_file(r, &r->on.root, "file");
    g_assert_cmpuint(again(r), ==, RH);
    /* What this process does is known otherwise, also when the kernel tells of it. */
    lares_leases_spare(KEY);
    make_file(r, &r->on.root, "own");
    lares_leases_spare(NULL);
    locally(r, "other", "elsewhere", "mkdir");
    while (g_main_context_iteration(NULL, FALSE))
        ;
    g_assert_cmpuint(r->breaks, ==, 0);
    const char *acts[][2] = {{"mkdir", "new"}, {"touch", "file"}, {"rm", "file"}};
    for (guint i = 0; i < G_N_ELEMENTS(acts); i++) {
        locally(r, "", acts[i][1], acts[i][0]);
        await_break(r);
        g_assert_cmpuint(lares_lease_state(r->lease, NULL, NULL), ==, 0);
        g_assert_cmpuint(again(r), ==, RH);
    }
    /* Without being watched anew nothing is granted. */
    locally(r, "", "newer", "mkdir");
    await_break(r);
    LaresOpenHow how = {.access = LARES_ACCESS_READ, .lease = r->lease, .lease_want = RH};
    LaresOpen *open;
    g_assert_cmpint(lares_state_open_how(r->holder, &r->on.share, r->on.root.node, NULL, &how, &open), ==, LARES_OK);
    g_assert_cmpuint(lares_lease_state(r->lease, NULL, NULL), ==, 0);
    lares_open_close(open);
    lares_open_unref(open);
}

static void
add_tests(void)
{
#define ADD(name, func) g_test_add("/dir-leases/" name, Rig, NULL, set_up, func, tear_down)
    ADD("grant", test_grant);
    ADD("own-changes", test_own_changes);
    ADD("entries", test_entries);
    ADD("hard-links", test_hard_links);
    ADD("spared", test_spared);
    ADD("local-changes", test_local_changes);
}

int
main(int argc, char **argv)
{
    return fixture_main(&argc, &argv, add_tests);
}
