/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The pseudo-root: a tree of the shares' paths, the same after a restart. */
#include "shares-fixture.h"

static void
fixture_setup_tree(Fixture *f, gconstpointer data)
{
    fixture_setup(f, data);
    must(f, "share.create", "{'name': <'media'>, 'path': <'@F'>, 'sec': <['krb5p', 'sys']>}");
    must(f, "share.create", "{'name': <'ada'>, 'path': <'@F'>, 'pseudo': <'/home/ada'>, 'sec': <['krb5i']>}");
    must(f, "share.create",
         "{'name': <'ben'>, 'path': <'@F'>, 'pseudo': <'/home/ben'>, 'sec': <['krb5', 'krb5i']>,"
         " 'hosts': <['192.0.2.0/24']>}");
}

static LaresNode *
walk(Fixture *f, const char *path, LaresStatus expected)
{
    g_autoptr(LaresShare) root = lares_shares_pseudo(f->s);
    const LaresStoreInterface *store = LARES_STORE_GET_IFACE(root->store);
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);
    LaresNode *node;
    g_assert_cmpint(store->root(root->store, &node), ==, LARES_OK);
    for (guint i = 0; parts[i]; i++) {
        if (!*parts[i])
            continue;
        g_autoptr(LaresNode) dir = node;
        LaresStatus status = store->lookup(root->store, NULL, dir, parts[i], &node);
        if (status != LARES_OK) {
            g_assert_cmpint(status, ==, expected);
            g_assert_null(node);
            return NULL;
        }
    }
    g_assert_cmpint(expected, ==, LARES_OK);
    return node;
}

static gboolean
collect(const LaresDirEntry *entry, gpointer user)
{
    GPtrArray *names = user;
    g_assert_cmpuint(entry->cookie, >, 2);
    g_assert_cmpint(entry->type, ==, LARES_TYPE_DIRECTORY);
    g_ptr_array_add(names, g_strdup(entry->name));
    return TRUE;
}

static int
compare_strings(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *
list(LaresNode *node)
{
    gboolean eof;
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    g_assert_cmpint(LARES_STORE_GET_IFACE(node->store)->readdir(node->store, NULL, node, 0, collect, names, &eof), ==,
                    LARES_OK);
    g_assert_true(eof);
    g_ptr_array_sort(names, compare_strings);
    g_ptr_array_add(names, NULL);
    return g_strjoinv(" ", (char **)names->pdata);
}

static void
test_tree(Fixture *f, gconstpointer data)
{
    g_autoptr(LaresShare) share = lares_shares_pseudo(f->s);
    g_autoptr(LaresShare) by_id = lares_shares_by_id(f->s, 0);
    g_assert_true(share == by_id);
    g_assert_cmpuint(share->id, ==, 0);
    g_assert_cmpstr(share->name, ==, "/");
    g_assert_true(share->read_only && share->enabled);
    g_autoptr(LaresNode) root = walk(f, "/", LARES_OK);
    g_autoptr(LaresNode) home = walk(f, "/home", LARES_OK);
    g_autoptr(LaresNode) ada = walk(f, "/home/ada", LARES_OK);
    g_autoptr(LaresNode) media = walk(f, "/media", LARES_OK);
    g_autoptr(LaresNode) again = walk(f, "/media", LARES_OK);
    g_assert_true(again == media); /* one node per object */
    walk(f, "/home/eve", LARES_NOENT);
    walk(f, "/media/x", LARES_NOENT);
    g_autofree char *top = list(root), *homes = list(home), *none = list(ada);
    g_assert_cmpstr(top, ==, "home media");
    g_assert_cmpstr(homes, ==, "ada ben");
    g_assert_cmpstr(none, ==, "");
    g_autoptr(LaresNode) parent = NULL;
    const LaresStoreInterface *store = LARES_STORE_GET_IFACE(root->store);
    g_assert_cmpint(store->parent(root->store, NULL, ada, &parent), ==, LARES_OK);
    g_assert_true(parent == home);
    LaresNode *above;
    g_assert_cmpint(store->parent(root->store, NULL, root, &above), ==, LARES_NOENT);
}

static void
test_junctions(Fixture *f, gconstpointer data)
{
    g_autoptr(LaresNode) home = walk(f, "/home", LARES_OK);
    g_autoptr(LaresNode) ada = walk(f, "/home/ada", LARES_OK);
    g_assert_null(lares_pseudo_junction(home));
    g_autoptr(LaresShare) share = lares_pseudo_junction(ada);
    g_autoptr(LaresShare) by_name = lares_shares_by_name(f->s, "ada");
    g_assert_true(share == by_name);
    g_autoptr(LaresNode) covered = NULL;
    g_assert_cmpint(lares_pseudo_node_of_share(f->s, share, &covered), ==, LARES_OK);
    g_assert_true(covered == ada);
    /* The junction leads to the newest policy; a share that is gone covers nothing. */
    must(f, "share.set", "{'name': <'ada'>, 'read-only': <true>}");
    g_autoptr(LaresShare) newer = lares_pseudo_junction(ada);
    g_assert_true(newer != share && newer->read_only);
    must(f, "share.disable", "{'name': <'ada'>}");
    g_assert_null(lares_pseudo_junction(ada));
    walk(f, "/home/ada", LARES_NOENT);
    LaresNode *gone;
    g_assert_cmpint(lares_pseudo_node_of_share(f->s, share, &gone), ==, LARES_STALE);
    LaresAttrs attrs;
    g_assert_cmpint(LARES_STORE_GET_IFACE(ada->store)->getattr(ada->store, ada, LARES_ATTR_STAT, &attrs), ==,
                    LARES_STALE);
    must(f, "share.enable", "{'name': <'ada'>}");
    g_autoptr(LaresNode) back = walk(f, "/home/ada", LARES_OK);
    g_assert_true(back == ada);
    must(f, "share.remove", "{'name': <'ada'>}");
    must(f, "share.remove", "{'name': <'ben'>}");
    walk(f, "/home", LARES_NOENT);
}

static void
assert_union(Fixture *f, const char *path, const char *expected)
{
    const LaresFlavor *flavors[LARES_SHARE_MAX_FLAVORS];
    g_autoptr(LaresNode) node = walk(f, path, LARES_OK);
    guint n = lares_shares_union_flavors(f->s, node, flavors);
    g_autoptr(GString) text = g_string_new(NULL);
    for (guint i = 0; i < n; i++)
        g_string_append_printf(text, "%s%s", i ? " " : "", flavors[i]->name);
    g_assert_cmpstr(text->str, ==, expected);
}

static void
test_union_of_flavors(Fixture *f, gconstpointer data)
{
    assert_union(f, "/", "krb5i krb5 krb5p sys"); /* ada, ben, media */
    assert_union(f, "/home", "krb5i krb5");
    assert_union(f, "/media", "krb5p sys");
    g_autoptr(LaresShare) root = lares_shares_pseudo(f->s);
    g_assert_cmpuint(root->n_flavors, ==, 4);
    must(f, "share.disable", "{'name': <'media'>}");
    g_autoptr(LaresShare) less = lares_shares_pseudo(f->s);
    g_assert_false(lares_share_allows(less, lares_flavor_by_name("sys")));
    must(f, "share.disable", "{'name': <'ada'>}");
    must(f, "share.disable", "{'name': <'ben'>}");
    g_autoptr(LaresShare) none = lares_shares_pseudo(f->s);
    g_assert_cmpuint(none->n_flavors, ==, 0);
}

static void
test_visibility(Fixture *f, gconstpointer data)
{
    LaresPeer inside = {.address = "192.0.2.5"}, outside = {.address = "203.0.113.5"};
    must(f, "share.disable", "{'name': <'ada'>}");
    g_autoptr(LaresNode) root = walk(f, "/", LARES_OK);
    g_autoptr(LaresNode) home = walk(f, "/home", LARES_OK);
    g_autoptr(LaresNode) ben = walk(f, "/home/ben", LARES_OK);
    g_assert_true(lares_pseudo_visible(root, &outside));
    g_assert_true(lares_pseudo_visible(home, &inside) && lares_pseudo_visible(ben, &inside));
    g_assert_false(lares_pseudo_visible(home, &outside) || lares_pseudo_visible(ben, &outside));
}

static void
test_survives_a_restart(Fixture *f, gconstpointer data)
{
    LaresAttrs before, after;
    g_autoptr(LaresNode) home = walk(f, "/home", LARES_OK);
    LaresHandle handle = home->handle;
    g_assert_cmpint(LARES_STORE_GET_IFACE(home->store)->getattr(home->store, home, LARES_ATTR_STAT, &before), ==,
                    LARES_OK);
    g_clear_pointer(&home, lares_node_unref);
    fixture_restart(f);
    g_autoptr(LaresShare) root = lares_shares_pseudo(f->s);
    const LaresStoreInterface *store = LARES_STORE_GET_IFACE(root->store);
    g_assert_cmpint(store->from_handle(root->store, handle.bytes, handle.len, &home), ==, LARES_OK);
    g_assert_cmpint(store->getattr(root->store, home, LARES_ATTR_STAT, &after), ==, LARES_OK);
    g_assert_cmpuint(before.fileid, ==, after.fileid);
    g_assert_cmpuint(before.change, ==, after.change);
    g_assert_cmpint(before.mtime.sec, ==, after.mtime.sec);
    g_assert_cmpuint(after.mode, ==, 0555);
    g_assert_cmpuint(after.nlink, ==, 4);
    g_assert_cmpuint(after.fsid_major, ==, LARES_PSEUDO_FSID);
    must(f, "share.set", "{'name': <'ada'>, 'read-only': <true>}");
    LaresAttrs moved;
    g_assert_cmpint(store->getattr(root->store, home, LARES_ATTR_STAT, &moved), ==, LARES_OK);
    g_assert_cmpuint(moved.change, >, after.change);

    LaresNode *node;
    handle.bytes[3] ^= 1;
    g_assert_cmpint(store->from_handle(root->store, handle.bytes, handle.len, &node), ==, LARES_STALE);
    g_assert_cmpint(store->from_handle(root->store, handle.bytes, 5, &node), ==, LARES_BADHANDLE);
    g_assert_cmpint(store->from_handle(root->store, handle.bytes, 0, &node), ==, LARES_BADHANDLE);
}

typedef struct {
    LaresNode *dir;
    GString *to;
    uint64_t last;
} Picture;

static gboolean
draw(const LaresDirEntry *entry, gpointer user)
{
    Picture *above = user;
    const LaresStoreInterface *store = LARES_STORE_GET_IFACE(above->dir->store);
    g_autoptr(LaresNode) node = NULL;
    gboolean eof;
    g_assert_cmpuint(entry->cookie, >, above->last); /* in order */
    above->last = entry->cookie;
    g_assert_cmpint(store->lookup(above->dir->store, NULL, above->dir, entry->name, &node), ==, LARES_OK);
    g_autoptr(LaresShare) share = lares_pseudo_junction(node);
    g_string_append_printf(above->to, "%s=%s%s(", entry->name, share ? share->name : "-",
                           share && share->read_only ? "!" : "");
    Picture below = {node, above->to, 0};
    g_assert_cmpint(store->readdir(node->store, NULL, node, 0, draw, &below, &eof), ==, LARES_OK);
    g_string_append(above->to, ") ");
    return TRUE;
}

/* All that the tables and the tree say. */
static char *
picture(Fixture *f)
{
    gboolean eof;
    GString *to = g_string_new(NULL);
    g_autoptr(LaresNode) node = walk(f, "/", LARES_OK);
    g_autoptr(LaresShare) root = lares_shares_pseudo(f->s);
    g_autoptr(GPtrArray) shares = lares_shares_list(f->s);
    Picture top = {node, to, 0};
    g_assert_cmpint(LARES_STORE_GET_IFACE(node->store)->readdir(node->store, NULL, node, 0, draw, &top, &eof), ==,
                    LARES_OK);
    for (guint i = 0; i < root->n_flavors; i++)
        g_string_append_printf(to, "%s ", root->flavor[i]->name);
    for (guint i = 0; i < shares->len; i++) {
        const LaresShare *share = shares->pdata[i];
        g_autoptr(LaresShare) by_name = lares_shares_by_name(f->s, share->name);
        g_autoptr(LaresShare) by_id = lares_shares_by_id(f->s, share->id);
        g_assert_true(by_name == share && by_id == share);
        g_string_append_printf(to, "%s:%s%s ", share->name, share->pseudo, share->enabled ? "" : "-");
    }
    return g_string_free(to, FALSE);
}

/* A change of one share leaves what all of them would give if they were read anew. */
static void
test_changes_add_up(Fixture *f, gconstpointer data)
{
    static const char *const verbs[] = {"share.create", "share.remove", "share.enable", "share.disable", "share.set"};
    static const char *const secs[] = {"krb5", "krb5i", "sys"};
    guint done = 0;
    for (guint i = 0; i < 400; i++) {
        guint verb = (guint)g_test_rand_int_range(0, 5), n = (guint)g_test_rand_int_range(0, 12);
        g_autoptr(GString) args = g_string_new(NULL);
        g_string_printf(args, "{'name': <'s%u'>", n);
        if (verb == 0)
            g_string_append_printf(args, ", 'path': <'%s'>, 'sec': <['%s']>", f->folder, secs[n % 3]);
        if (verb == 0 || (verb == 4 && n % 2))
            g_string_append_printf(args, ", 'pseudo': <'/d%d/e%d/s%u'>", g_test_rand_int_range(0, 3),
                                   g_test_rand_int_range(0, 3), n);
        if (verb == 4 && n % 2 == 0)
            g_string_append_printf(args, ", 'read-only': <%s>", i % 2 ? "true" : "false");
        g_string_append(args, "}");
        g_autoptr(GError) error = NULL;
        G_GNUC_UNUSED g_autoptr(GVariant) result = call(f, verbs[verb], args->str, &error);
        done += error == NULL;
        if (i % 20 == 19) {
            g_autofree char *added_up = picture(f);
            fixture_restart(f);
            g_autofree char *anew = picture(f);
            g_assert_cmpstr(added_up, ==, anew);
        }
    }
    g_assert_cmpuint(done, >, 100);
}

static gboolean
take_one(const LaresDirEntry *entry, gpointer user)
{
    LaresDirEntry *taken = user;
    if (taken->cookie)
        return FALSE;
    taken->cookie = entry->cookie;
    taken->fileid = entry->fileid;
    return TRUE;
}

static void
test_readdir_continues(Fixture *f, gconstpointer data)
{
    g_autoptr(LaresNode) home = walk(f, "/home", LARES_OK);
    const LaresStoreInterface *store = LARES_STORE_GET_IFACE(home->store);
    gboolean eof;
    LaresDirEntry first = {0}, second = {0}, third = {0};
    g_assert_cmpint(store->readdir(home->store, NULL, home, 0, take_one, &first, &eof), ==, LARES_OK);
    g_assert_false(eof);
    g_assert_cmpint(store->readdir(home->store, NULL, home, first.cookie, take_one, &second, &eof), ==, LARES_OK);
    g_assert_true(eof);
    g_assert_cmpuint(second.cookie, >, first.cookie);
    g_assert_cmpuint(second.fileid, !=, first.fileid);
    g_assert_cmpint(store->readdir(home->store, NULL, home, second.cookie, take_one, &third, &eof), ==, LARES_OK);
    g_assert_true(eof && third.cookie == 0);
}

static void
test_nothing_can_be_changed(Fixture *f, gconstpointer data)
{
    g_autoptr(LaresNode) root = walk(f, "/", LARES_OK);
    const LaresStoreInterface *store = LARES_STORE_GET_IFACE(root->store);
    LaresCred cred = {0, 0, NULL, 0};
    LaresSetAttrs set = {0};
    LaresCreate how = {.type = LARES_TYPE_DIRECTORY};
    LaresNode *node;
    LaresFile *file;
    gboolean created;
    uint32_t allowed;
    g_assert_cmpint(store->setattr(root->store, &cred, root, &set), ==, LARES_ROFS);
    g_assert_cmpint(store->create(root->store, &cred, root, "x", &how, 0, &node, &file, &created), ==, LARES_ROFS);
    g_assert_cmpint(store->remove(root->store, &cred, root, "media"), ==, LARES_ROFS);
    g_assert_cmpint(store->rename(root->store, &cred, root, "media", root, "x", TRUE), ==, LARES_ROFS);
    g_assert_cmpint(store->link(root->store, &cred, root, root, "x"), ==, LARES_ROFS);
    g_assert_cmpint(store->open(root->store, &cred, root, LARES_ACCESS_READ, &file), ==, LARES_ISDIR);
    g_assert_cmpint(store->access(root->store, &cred, root, 0x1ff, &allowed), ==, LARES_OK);
    g_assert_cmpuint(allowed, ==, LARES_ACCESS_READ | LARES_ACCESS_EXECUTE);
}

#undef test
#define test(path, function) g_test_add(path, Fixture, NULL, fixture_setup_tree, function, fixture_teardown)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    test("/pseudo/tree", test_tree);
    test("/pseudo/junctions", test_junctions);
    test("/pseudo/flavors", test_union_of_flavors);
    test("/pseudo/visible", test_visibility);
    test("/pseudo/restart", test_survives_a_restart);
    test("/pseudo/changes", test_changes_add_up);
    test("/pseudo/readdir", test_readdir_continues);
    test("/pseudo/read-only", test_nothing_can_be_changed);
    return g_test_run();
}
