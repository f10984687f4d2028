/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shares: what may be written about them, what is published, and that every doubt keeps people out. */
#include "shares-fixture.h"

#include "share/shares-private.h"

#include <sqlite3.h>
#include <unistd.h>

static void
test_a_new_share(Fixture *f, gconstpointer data)
{
    guint before = lares_shares_generation(f->s);
    must(f, "share.create", "{'name': <'media'>, 'path': <'@F'>}");
    g_assert_cmpuint(lares_shares_generation(f->s), !=, before);
    g_autoptr(LaresShare) share = lares_shares_by_name(f->s, "media");
    g_autoptr(LaresShare) same = lares_shares_by_id(f->s, share->id);
    g_assert_true(same == share);
    g_assert_cmpstr(share->pseudo, ==, "/media");
    g_assert_cmpstr(share->path, ==, f->folder);
    g_assert_cmpstr(share->store_type, ==, "posix");
    g_assert_nonnull(share->store);
    g_assert_true(share->enabled && !share->read_only && !share->sync_metadata);
    g_assert_cmpuint(share->n_flavors, ==, 1);
    g_assert_cmpstr(share->flavor[0]->name, ==, "sys");
    g_assert_cmpint(share->squash, ==, LARES_SQUASH_ROOT);
    g_assert_cmpuint(share->anonymous_uid, ==, 65534);
    g_assert_null(share->hosts[0]);
    g_assert_null(lares_shares_by_name(f->s, "none"));
    g_assert_null(lares_shares_by_id(f->s, 4711));
}

/* Page after page is the list of all, whatever the page begins behind. */
static void
test_pages(Fixture *f, gconstpointer data)
{
    g_autoptr(GPtrArray) none = lares_shares_page(f->s, &(LaresControlPage){.limit = 1});
    g_assert_cmpuint(none->len, ==, 0);
    for (guint i = 0; i < 7; i++) {
        g_autofree char *args = g_strdup_printf("{'name': <'s%u'>, 'path': <'@F'>}", 2 * i);
        must(f, "share.create", args);
    }
    static const struct {
        const char *after;
        guint limit;
        const char *names;
        gboolean more;
    } table[] = {{NULL, 3, "s0 s10 s12 ", TRUE},
                 {"s12", 3, "s2 s4 s6 ", TRUE},
                 {"s6", 3, "s8 ", FALSE},
                 {"s13", 1, "s2 ", TRUE},
                 {"a", 7, "s0 s10 s12 s2 s4 s6 s8 ", FALSE},
                 {"s8", 3, "", FALSE},
                 {"z", 3, "", FALSE}};
    for (guint i = 0; i < G_N_ELEMENTS(table); i++) {
        LaresControlPage page = {.after = table[i].after, .limit = table[i].limit};
        g_autoptr(GPtrArray) list = lares_shares_page(f->s, &page);
        g_autoptr(GString) names = g_string_new(NULL);
        for (guint n = 0; n < list->len; n++)
            g_string_append_printf(names, "%s ", ((const LaresShare *)list->pdata[n])->name);
        g_assert_cmpstr(names->str, ==, table[i].names);
        g_assert_cmpint(page.more, ==, table[i].more);
        g_assert_cmpint(page.total, ==, 7);
    }
}

static void
test_what_is_refused(Fixture *f, gconstpointer data)
{
    must(f, "share.create", "{'name': <'media'>, 'path': <'@F'>}");
    const gint invalid = LARES_ERROR_INVALID, conflict = LARES_ERROR_CONFLICT;
    static const char *const names[] = {"", ".", "..", "a/b", "a\\\\b", "a:b", " a", "a ", "\\u0001", "what?"};
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *args = g_strdup_printf("{'name': <'%s'>, 'path': <'/tmp'>}", names[i]);
        must_fail(f, "share.create", args, invalid, "name");
    }
    must_fail(f, "share.create", "{'name': <'media'>, 'path': <'/tmp'>}", LARES_ERROR_EXISTS, "media");
    must_fail(f, "share.create", "{'name': <'MEDIA'>, 'path': <'/tmp'>}", LARES_ERROR_EXISTS, "media");
    must_fail(f, "share.create", "{'name': <'a'>, 'path': <'tmp'>}", invalid, "path");
    must_fail(f, "share.create", "{'name': <'a'>}", invalid, "path");
    must_fail(f, "share.create", "{'name': <'a'>, 'path': <'/tmp'>, 'sec': <['sys', 'kerberos']>}", invalid,
              "kerberos");
    must_fail(f, "share.create", "{'name': <'a'>, 'path': <'/tmp'>, 'sec': <['sys', 'sys']>}", invalid, "twice");
    must_fail(f, "share.create", "{'name': <'a'>, 'path': <'/tmp'>, 'sec': <@as []>}", invalid, "sec");
    must_fail(f, "share.create", "{'name': <'a'>, 'path': <'/tmp'>, 'sec': <['SYS']>}", invalid, "SYS");
    must_fail(f, "share.create", "{'name': <'a'>, 'path': <'/tmp'>, 'squash': <'nobody'>}", invalid, "squash");
    must_fail(f, "share.create", "{'name': <'a'>, 'path': <'/tmp'>, 'store': <'ceph'>}", invalid, "ceph");
    must_fail(f, "share.create", "{'name': <'a'>, 'path': <'/tmp'>, 'hosts': <['*.lan']>}", invalid, "*.lan");
    must_fail(f, "share.create", "{'name': <'a'>, 'path': <'/tmp'>, 'anonymous-uid': <int64 -1>}", invalid,
              "anonymous-uid");
    must_fail(f, "share.create", "{'name': <'a'>, 'path': <'/tmp'>, 'anonymous-gid': <int64 4294967295>}", invalid,
              "anonymous-gid");
    must_fail(f, "share.create", "{'name': <'a'>, 'path': <'/tmp'>, 'pseudo': <'a'>}", invalid, "pseudo");
    must_fail(f, "share.create", "{'name': <'a'>, 'path': <'/tmp'>, 'pseudo': <'/'>}", invalid, "pseudo");
    must_fail(f, "share.create", "{'name': <'a'>, 'path': <'/tmp'>, 'pseudo': <'/x/../y'>}", invalid, "pseudo");
    must_fail(f, "share.create", "{'name': <'a'>, 'path': <'/tmp'>, 'pseudo': <'/media'>}", conflict, "pseudo");
    must_fail(f, "share.create", "{'name': <'a'>, 'path': <'/tmp'>, 'pseudo': <'/media/a'>}", conflict, "pseudo");
    must_fail(f, "share.set", "{'name': <'none'>, 'read-only': <true>}", LARES_ERROR_NOT_FOUND, "none");
    must_fail(f, "share.remove", "{'name': <'none'>}", LARES_ERROR_NOT_FOUND, "none");
    must_fail(f, "share.show", "{'name': <'none'>}", LARES_ERROR_NOT_FOUND, "none");
    g_autoptr(GPtrArray) list = lares_shares_list(f->s);
    g_assert_cmpuint(list->len, ==, 1);
}

/* A held share stays what it was; the newest one has the change, under the same id and over the same store. */
static void
test_changes_publish(Fixture *f, gconstpointer data)
{
    must(f, "share.create", "{'name': <'media'>, 'path': <'@F'>}");
    g_autoptr(LaresShare) before = lares_shares_by_name(f->s, "media");
    must(f, "share.security.set",
         "{'name': <'media'>, 'sec': <['krb5p', 'krb5i']>, 'squash': <'none'>,"
         " 'hosts': <['192.0.2.0/24', 'box.home.lan']>}");
    must(f, "share.set",
         "{'name': <'media'>, 'read-only': <true>, 'sync-metadata': <true>,"
         " 'access-based': <true>, 'smb-encrypt': <true>, 'smb-bypass-traverse': <true>,"
         " 'smb-short-names': <true>}");
    g_autoptr(LaresShare) after = lares_shares_by_id(f->s, before->id);
    g_assert_true(after != before);
    g_assert_true(lares_share_allows(before, lares_flavor_by_name("sys")));
    g_assert_false(lares_share_allows(after, lares_flavor_by_name("sys")));
    g_assert_false(lares_share_allows(after, lares_flavor_by_name("krb5")));
    g_assert_true(lares_share_allows(after, lares_flavor_by_name("krb5i")));
    g_assert_cmpstr(after->flavor[0]->name, ==, "krb5p");
    g_assert_cmpstr(after->flavor[1]->name, ==, "krb5i");
    g_assert_false(before->options);
    g_assert_true(after->read_only && after->sync_metadata &&
                  after->options == (LARES_SHARE_ACCESS_BASED | LARES_SHARE_SMB_ENCRYPT |
                                     LARES_SHARE_SMB_BYPASS_TRAVERSE | LARES_SHARE_SMB_SHORT_NAMES));
    g_assert_true(after->store == before->store);
    g_assert_cmpint(stores_opened, ==, 1);
    LaresPeer inside = {.address = "192.0.2.9"}, outside = {.address = "203.0.113.1"};
    g_assert_true(lares_share_allows_host(before, &outside));
    g_assert_true(lares_share_allows_host(after, &inside));
    fixture_restart(f);
    g_autoptr(LaresShare) again = lares_shares_by_id(f->s, before->id);
    g_assert_cmpstr(again->flavor[1]->name, ==, "krb5i");
    g_assert_true(again->options == after->options);
    g_assert_cmpint(again->squash, ==, LARES_SQUASH_NONE);
    g_assert_cmpstr(again->hosts[1], ==, "box.home.lan");
    must(f, "share.set", "{'name': <'media'>, 'store': <'other'>}");
    g_autoptr(LaresShare) moved = lares_shares_by_id(f->s, before->id);
    g_assert_true(moved->store != again->store);
}

static void
test_ids_are_never_used_again(Fixture *f, gconstpointer data)
{
    must(f, "share.create", "{'name': <'a'>, 'path': <'@F'>}");
    g_autoptr(LaresShare) first = lares_shares_by_name(f->s, "a");
    must(f, "share.remove", "{'name': <'a'>}");
    g_assert_null(lares_shares_by_id(f->s, first->id));
    fixture_restart(f);
    must(f, "share.create", "{'name': <'a'>, 'path': <'@F'>}");
    g_autoptr(LaresShare) second = lares_shares_by_name(f->s, "a");
    g_assert_cmpuint(second->id, >, first->id);
    g_assert_cmpuint(first->id, !=, 0);
}

static void
rewrite(Fixture *f, const char *sql)
{
    sqlite3 *db;
    g_assert_cmpint(sqlite3_open(f->file, &db), ==, SQLITE_OK);
    g_assert_cmpint(sqlite3_exec(db, sql, NULL, NULL, NULL), ==, SQLITE_OK);
    sqlite3_close(db);
}

/* A flavor whose module is gone stays in the list and lets nobody in; the rest of the list goes on. */
static void
test_missing_flavors_fail_closed(Fixture *f, gconstpointer data)
{
    must(f, "share.create", "{'name': <'a'>, 'path': <'@F'>}");
    must(f, "share.create", "{'name': <'b'>, 'path': <'@F'>}");
    rewrite(f, "UPDATE shares SET sec='ntlm,gone' WHERE name='a'; UPDATE shares SET sec='gone,krb5p' WHERE name='b'");
    fixture_restart(f);
    g_autoptr(LaresShare) a = lares_shares_by_name(f->s, "a");
    g_autoptr(LaresShare) b = lares_shares_by_name(f->s, "b");
    g_assert_cmpuint(a->n_flavors, ==, 0);
    for (guint i = 0; i < G_N_ELEMENTS(fake_flavors); i++)
        g_assert_false(lares_share_allows(a, &fake_flavors[i]));
    g_assert_cmpuint(b->n_flavors, ==, 1);
    g_assert_true(lares_share_allows(b, lares_flavor_by_name("krb5p")));
    /* Another change does not lose the stored list. */
    must(f, "share.set", "{'name': <'a'>, 'read-only': <true>}");
    g_autoptr(GVariant) shown = call(f, "share.security.show", "{'name': <'a'>}", NULL);
    g_autofree char *text = g_variant_print(shown, FALSE);
    g_assert_nonnull(strstr(text, "'sec': <['ntlm', 'gone']>"));
    g_assert_nonnull(strstr(text, "'usable-sec': <@as []>"));
}

static void
test_damaged_policy_fails_closed(Fixture *f, gconstpointer data)
{
    LaresPeer peer = {.address = "192.0.2.1"};
    must(f, "share.create", "{'name': <'a'>, 'path': <'@F'>}");
    rewrite(f, "UPDATE shares SET hosts='!!', squash='?', sec=''");
    fixture_restart(f);
    g_autoptr(LaresShare) a = lares_shares_by_name(f->s, "a");
    g_assert_false(lares_share_allows_host(a, &peer));
    g_assert_cmpint(a->squash, ==, LARES_SQUASH_ALL);
    g_assert_cmpuint(a->n_flavors, ==, 0);
}

/* Before the modules are there nothing is usable. */
static void
test_closed_until_opened(Fixture *f, gconstpointer data)
{
    must(f, "share.create", "{'name': <'a'>, 'path': <'@F'>}");
    lares_shares_free(f->s);
    f->s = lares_shares_open(f->file, NULL, NULL);
    g_autoptr(LaresShare) a = lares_shares_by_name(f->s, "a");
    g_assert_cmpuint(a->n_flavors, ==, 0);
    g_assert_null(a->store);
    g_assert_true(lares_shares_open_all(f->s, NULL));
    g_autoptr(LaresShare) open = lares_shares_by_name(f->s, "a");
    g_assert_cmpuint(open->n_flavors, ==, 1);
    g_assert_nonnull(open->store);
}

static void
test_missing_path_appears(Fixture *f, gconstpointer data)
{
    g_autofree char *path = g_build_filename(f->folder, "disk", NULL);
    must(f, "share.create", "{'name': <'usb'>, 'path': <'@F/disk'>}");
    g_autoptr(LaresShare) away = lares_shares_by_name(f->s, "usb");
    g_assert_null(away->store);
    g_assert_cmpuint(lares_shares_recheck(f->s), ==, 1);
    guint before = lares_shares_generation(f->s);
    g_assert_cmpint(g_mkdir(path, 0755), ==, 0);
    g_assert_cmpuint(lares_shares_recheck(f->s), ==, 0);
    g_assert_cmpuint(lares_shares_generation(f->s), !=, before);
    g_autoptr(LaresShare) there = lares_shares_by_name(f->s, "usb");
    g_assert_nonnull(there->store);
    g_assert_cmpuint(there->id, ==, away->id);
    /* Another directory in its place (a disk mounted over it) is opened anew, the same one is not. */
    g_assert_cmpuint(lares_shares_recheck(f->s), ==, 0);
    g_autoptr(LaresShare) same = lares_shares_by_name(f->s, "usb");
    g_assert_true(same->store == there->store);
    g_autofree char *aside = g_build_filename(f->folder, "aside", NULL);
    g_assert_cmpint(g_rename(path, aside), ==, 0);
    g_assert_cmpint(g_mkdir(path, 0755), ==, 0);
    lares_shares_recheck(f->s);
    g_autoptr(LaresShare) other = lares_shares_by_name(f->s, "usb");
    g_assert_true(other->store != there->store);
}

static void
test_store_that_refuses(Fixture *f, gconstpointer data)
{
    g_autofree char *path = g_build_filename(f->folder, "refused", NULL);
    g_assert_cmpint(g_mkdir(path, 0755), ==, 0);
    must(f, "share.create", "{'name': <'a'>, 'path': <'@F/refused'>}");
    g_autoptr(LaresShare) share = lares_shares_by_name(f->s, "a");
    g_assert_null(share->store);
    g_assert_cmpuint(lares_shares_recheck(f->s), ==, 1);
}

static void
test_overlap_warns(Fixture *f, gconstpointer data)
{
    must(f, "share.create", "{'name': <'all'>, 'path': <'@F'>}");
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) made = call(f, "share.create", "{'name': <'part'>, 'path': <'@F/sub/../sub/'>}", &error);
    g_assert_no_error(error);
    g_auto(GStrv) warnings = NULL;
    const char *path;
    g_assert_true(g_variant_lookup(made, "warnings", "^as", &warnings));
    g_assert_cmpuint(g_strv_length(warnings), ==, 2); /* overlaps, and is not there */
    g_assert_nonnull(strstr(warnings[0], "overlaps"));
    g_assert_true(g_variant_lookup(made, "path", "&s", &path));
    g_assert_true(g_str_has_suffix(path, "/sub"));
    g_autoptr(GVariant) third = call(f, "share.create", "{'name': <'third'>, 'path': <'@F'>}", &error);
    g_assert_no_error(error);
    g_clear_pointer(&warnings, g_strfreev);
    g_assert_true(g_variant_lookup(third, "warnings", "^as", &warnings));
    g_assert_cmpuint(g_strv_length(warnings), ==, 1); /* one, however many shares it is about */
    g_assert_nonnull(strstr(warnings[0], "of share \"all\" and 1 more"));
    g_autoptr(GVariant) apart = call(f, "share.create", "{'name': <'apart'>, 'path': <'@F-not-below'>}", &error);
    g_clear_pointer(&warnings, g_strfreev);
    g_assert_true(g_variant_lookup(apart, "warnings", "^as", &warnings));
    g_assert_cmpuint(g_strv_length(warnings), ==, 1);
}

static void
test_enable_and_disable(Fixture *f, gconstpointer data)
{
    must(f, "share.create", "{'name': <'a'>, 'path': <'@F'>}");
    LaresShare *used = lares_shares_by_name(f->s, "a");
    LaresStore *store = used->store;
    gpointer open = store;
    g_object_add_weak_pointer(G_OBJECT(store), &open);
    must(f, "share.disable", "{'name': <'a'>}");
    LaresShare *off = lares_shares_by_name(f->s, "a");
    g_assert_false(off->enabled);
    g_assert_null(off->store);
    lares_share_unref(off);
    g_assert_nonnull(open); /* somebody still uses it: no second one of the same files */
    g_assert_cmpuint(lares_shares_recheck(f->s), ==, 0);
    must(f, "share.enable", "{'name': <'a'>}");
    g_autoptr(LaresShare) on = lares_shares_by_name(f->s, "a");
    g_assert_true(on->enabled);
    g_assert_true(on->store == store);
    g_clear_pointer(&on, lares_share_unref);
    must(f, "share.disable", "{'name': <'a'>}");
    must(f, "share.set", "{'name': <'a'>, 'read-only': <true>}");
    lares_share_unref(used);
    g_assert_null(open); /* the last user closed it */
    gint opened = stores_opened;
    must(f, "share.enable", "{'name': <'a'>}");
    g_assert_cmpint(stores_opened, ==, opened + 1);
    on = lares_shares_by_name(f->s, "a");
    g_assert_nonnull(on->store);
    must_fail(f, "share.disable", "{'name': <'none'>}", LARES_ERROR_NOT_FOUND, "none");
}

/* ---- Credentials ----------------------------------------------------------------------------------------------- */

static void
assert_cred(LaresShare *share, const LaresIdentity *who, uint32_t uid, uint32_t gid, guint n_groups, uint32_t first)
{
    for (guint i = 0; i < G_N_ELEMENTS(fake_flavors); i++) {
        LaresCred cred;
        lares_share_cred(share, who, &fake_flavors[i], &cred);
        g_assert_cmpuint(cred.uid, ==, uid);
        g_assert_cmpuint(cred.gid, ==, gid);
        g_assert_cmpuint(cred.n_groups, ==, n_groups);
        if (n_groups)
            g_assert_cmpuint(cred.groups[0], ==, first);
    }
}

static void
test_squash(Fixture *f, gconstpointer data)
{
    static const uint32_t groups[] = {0, 27, 100};
    const LaresIdentity root = {.name = "root", .uid = 0, .gid = 0, .groups = groups, .n_groups = 3};
    const LaresIdentity krb_root = {.name = "root",
                                    .principal = "ops/admin@HOME.LAN",
                                    .uid = 0,
                                    .gid = 0,
                                    .groups = groups,
                                    .n_groups = 3,
                                    .authenticated = TRUE};
    const LaresIdentity ada = {.name = "ada", .uid = 1000, .gid = 1000, .groups = groups + 1, .n_groups = 2};
    const LaresIdentity wheel = {.name = "eve", .uid = 1001, .gid = 0, .groups = groups, .n_groups = 3};
    const LaresIdentity nobody = {.name = "nobody", .uid = 65534, .gid = 65534, .anonymous = TRUE};
    must(f, "share.create",
         "{'name': <'a'>, 'path': <'@F'>, 'anonymous-uid': <int64 99>, 'anonymous-gid': <int64 98>}");
    g_autoptr(LaresShare) squash_root = lares_shares_by_name(f->s, "a");
    assert_cred(squash_root, &root, 99, 98, 0, 0);
    assert_cred(squash_root, &krb_root, 99, 98, 0, 0);
    assert_cred(squash_root, &ada, 1000, 1000, 2, 27);
    assert_cred(squash_root, &wheel, 1001, 98, 2, 27);
    assert_cred(squash_root, &nobody, 99, 98, 0, 0);
    must(f, "share.security.set", "{'name': <'a'>, 'squash': <'all'>}");
    g_autoptr(LaresShare) squash_all = lares_shares_by_name(f->s, "a");
    assert_cred(squash_all, &root, 99, 98, 0, 0);
    assert_cred(squash_all, &ada, 99, 98, 0, 0);
    must(f, "share.security.set", "{'name': <'a'>, 'squash': <'none'>}");
    g_autoptr(LaresShare) squash_none = lares_shares_by_name(f->s, "a");
    assert_cred(squash_none, &root, 0, 0, 3, 0);
    assert_cred(squash_none, &wheel, 1001, 0, 3, 0);
    assert_cred(squash_none, &nobody, 99, 98, 0, 0);
}

/* ---- Threads --------------------------------------------------------------------------------------------------- */

static gpointer
read_shares(gpointer data)
{
    Fixture *f = data;
    const LaresFlavor *sys = lares_flavor_by_name("sys"), *krb5p = lares_flavor_by_name("krb5p");
    for (guint i = 0; i < 20000; i++) {
        g_autoptr(LaresShare) share = lares_shares_by_id(f->s, 1);
        /* One policy from start to end: never both, never neither. */
        g_assert_true(lares_share_allows(share, sys) != lares_share_allows(share, krb5p));
        g_assert_true(lares_share_allows(share, krb5p) == share->read_only);
        g_autoptr(LaresShare) root = lares_shares_pseudo(f->s);
        g_assert_cmpuint(root->n_flavors, ==, 1);
    }
    return NULL;
}

static void
test_readers_see_one_policy(Fixture *f, gconstpointer data)
{
    GThread *thread[3];
    must(f, "share.create", "{'name': <'a'>, 'path': <'@F'>}");
    for (guint i = 0; i < 3; i++)
        thread[i] = g_thread_new("read", read_shares, f);
    for (guint i = 0; i < 20; i++) {
        must(f, "share.set", "{'name': <'a'>, 'sec': <['krb5p']>, 'read-only': <true>}");
        must(f, "share.set", "{'name': <'a'>, 'sec': <['sys']>, 'read-only': <false>}");
    }
    for (guint i = 0; i < 3; i++)
        g_thread_join(thread[i]);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_log_set_always_fatal(G_LOG_FATAL_MASK);
    test("/shares/pages", test_pages);
    test("/shares/new", test_a_new_share);
    test("/shares/refused", test_what_is_refused);
    test("/shares/change", test_changes_publish);
    test("/shares/ids", test_ids_are_never_used_again);
    test("/shares/missing-flavors", test_missing_flavors_fail_closed);
    test("/shares/damaged", test_damaged_policy_fails_closed);
    test("/shares/closed", test_closed_until_opened);
    test("/shares/path-appears", test_missing_path_appears);
    test("/shares/store-refuses", test_store_that_refuses);
    test("/shares/overlap", test_overlap_warns);
    test("/shares/enable", test_enable_and_disable);
    test("/shares/squash", test_squash);
    test("/shares/threads", test_readers_see_one_policy);
    return g_test_run();
}
