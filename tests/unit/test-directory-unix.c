/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* AUTH_SYS identities, owner names, and what administrators may not do to the directory. */
#include "directory-fixture.h"

#include <sys/stat.h>

static void
test_unknown_uid_keeps_the_wire(Fixture *f, gconstpointer data)
{
    static const uint32_t wire[] = {30, 20, 20, 4711};
    g_autoptr(LaresIdentity) who = login_sys(f, 4711, 4711, wire, 4);
    g_assert_cmpstr(who->name, ==, "uid:4711");
    g_assert_cmpuint(who->n_groups, ==, 2);
    g_assert_cmpuint(who->groups[0], ==, 20);
    g_assert_cmpuint(who->groups[1], ==, 30);
    g_assert_false(who->authenticated || who->anonymous || who->machine);
    g_assert_null(who->principal);
}

static void
test_known_uid_gets_server_groups(Fixture *f, gconstpointer data)
{
    static const uint32_t lies[] = {0, 4};
    g_autoptr(LaresIdentity) grace = login_sys(f, 1000, 1000, lies, 2);
    g_assert_cmpstr(grace->name, ==, "grace");
    g_assert_true(has_gid(grace, 27) && has_gid(grace, 5000));
    g_assert_false(has_gid(grace, 0) || has_gid(grace, 4));
    gint asked = fake_asked;
    g_autoptr(LaresIdentity) again = login_sys(f, 1000, 1000, lies, 2);
    g_assert_nonnull(again);
    g_assert_cmpint(fake_asked, ==, asked); /* remembered */
}

static void
test_server_groups_off(Fixture *f, gconstpointer data)
{
    uint32_t wire[16];
    for (guint i = 0; i < 16; i++)
        wire[i] = 100 + i;
    fixture_configure(f, c->server_groups = FALSE);
    g_autoptr(LaresIdentity) few = login_sys(f, 1000, 1000, wire, 2);
    g_assert_cmpuint(few->n_groups, ==, 2);
    /* Sixteen may be more than sixteen. */
    g_autoptr(LaresIdentity) many = login_sys(f, 1000, 1000, wire, 16);
    g_assert_cmpuint(many->n_groups, ==, 18);
    g_assert_true(has_gid(many, 5000) && has_gid(many, 115));
}

static void
test_failed_group_lookup_is_not_remembered(Fixture *f, gconstpointer data)
{
    static const uint32_t wire[] = {77};
    fake_groups_fail = 1;
    g_autoptr(LaresIdentity) meanwhile = login_sys(f, 1000, 1000, wire, 1);
    g_assert_true(has_gid(meanwhile, 77));
    fake_groups_fail = 0;
    g_autoptr(LaresIdentity) later = login_sys(f, 1000, 1000, wire, 1);
    g_assert_true(has_gid(later, 5000));
    g_assert_false(has_gid(later, 77));
}

static void
test_directory_groups_count(Fixture *f, gconstpointer data)
{
    LaresUserValues ada = {"ada", 3000, -1, NULL};
    g_assert_true(lares_directory_user_add(f->d, &ada, NULL));
    g_assert_true(lares_directory_group_add(f->d, "family", 3100, NULL));
    g_assert_true(lares_directory_group_member(f->d, "family", "ada", TRUE, NULL));
    g_assert_true(lares_directory_group_member(f->d, "family", "grace", TRUE, NULL));
    g_autoptr(LaresIdentity) a = login_sys(f, 3000, 3000, NULL, 0);
    g_autoptr(LaresIdentity) g = login_sys(f, 1000, 1000, NULL, 0);
    g_assert_true(has_gid(a, 3100) && has_gid(g, 3100) && has_gid(g, 27));
    g_assert_true(lares_directory_group_member(f->d, "family", "ada", FALSE, NULL));
    g_autoptr(LaresIdentity) b = login_sys(f, 3000, 3000, NULL, 0);
    g_assert_false(has_gid(b, 3100));
}

static void
test_disabled_uid_is_refused(Fixture *f, gconstpointer data)
{
    g_autoptr(LaresIdentity) ada = login(f, "ada@HOME.LAN", NULL);
    g_assert_true(lares_directory_user_disable(f->d, "ada", TRUE, NULL));
    g_autoptr(LaresIdentity) sys = login_sys(f, ada->uid, ada->gid, NULL, 0);
    g_assert_null(sys);
    g_autoptr(LaresIdentity) bad = login_sys(f, UINT32_MAX, 0, NULL, 0);
    g_assert_null(bad);
    bad = login_sys(f, 0, UINT32_MAX, NULL, 0);
    g_assert_null(bad);
}

/* ---- Owner names ----------------------------------------------------------------------------------------------- */

static void
assert_owner(Fixture *f, uint32_t uid, const char *expected)
{
    char buf[300];
    size_t len = lares_directory_owner_name(f->d, uid, buf, sizeof buf);
    g_assert_cmpstr(buf, ==, expected);
    g_assert_cmpuint(len, ==, strlen(expected));
}

static void
assert_owner_id(Fixture *f, const char *name, LaresStatus status, uint32_t expected)
{
    uint32_t uid = 12345;
    g_assert_cmpint(lares_directory_owner_id(f->d, name, strlen(name), &uid), ==, status);
    if (status == LARES_OK)
        g_assert_cmpuint(uid, ==, expected);
}

static void
test_owner_names(Fixture *f, gconstpointer data)
{
    g_autoptr(LaresIdentity) ada = login(f, "ada@HOME.LAN", NULL);
    assert_owner(f, ada->uid, "ada@home.lan");
    assert_owner(f, 1000, "grace@home.lan");
    assert_owner(f, 0, "root@home.lan");
    assert_owner(f, 4711, "4711");
    assert_owner(f, 65534, "nobody@home.lan");
    char tiny[8];
    g_assert_cmpuint(lares_directory_owner_name(f->d, 1000, tiny, sizeof tiny), ==, 4);
    g_assert_cmpstr(tiny, ==, "1000");
    char buf[64];
    lares_directory_group_name(f->d, 27, buf, sizeof buf);
    g_assert_cmpstr(buf, ==, "sudo@home.lan");
    fixture_configure(f, c->numeric_owners = TRUE);
    assert_owner(f, 1000, "1000");
    fixture_configure(f, (g_free(c->domain), c->domain = g_strdup("")));
    assert_owner(f, 1000, "1000");
}

static void
test_owner_ids(Fixture *f, gconstpointer data)
{
    g_autoptr(LaresIdentity) ada = login(f, "ada@HOME.LAN", NULL);
    assert_owner_id(f, "ada@home.lan", LARES_OK, ada->uid);
    assert_owner_id(f, "ada@HOME.lan", LARES_OK, ada->uid);
    assert_owner_id(f, "grace@home.lan", LARES_OK, 1000);
    assert_owner_id(f, "0", LARES_OK, 0);
    assert_owner_id(f, "4711", LARES_OK, 4711);
    assert_owner_id(f, "4294967294", LARES_OK, 4294967294u);
    assert_owner_id(f, "nobody@home.lan", LARES_OK, 65534);
    static const char *const bad[] = {
        "",   "ada", "@home.lan",    "ada@evil.lan",         "4294967295", "4294967296",    "12x",
        "-1", " 1",  "eve@home.lan", "99999999999999999999", "ada@",       "1000@home.lan", "\xff@home.lan"};
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++)
        assert_owner_id(f, bad[i], LARES_BADOWNER, 0);
    uint32_t uid;
    g_assert_cmpint(lares_directory_owner_id(f->d, "ada\0x@home.lan", 14, &uid), ==, LARES_BADOWNER);
    g_assert_cmpint(lares_directory_owner_id(f->d, "ada@home.lanXYZ", 12, &uid), ==, LARES_OK); /* by length */
    g_autofree char *longest = g_strnfill(2000, 'a');
    assert_owner_id(f, longest, LARES_BADOWNER, 0);
    g_assert_cmpint(lares_directory_group_id(f->d, "sudo@home.lan", 13, &uid), ==, LARES_OK);
    g_assert_cmpuint(uid, ==, 27);
    g_assert_cmpint(lares_directory_group_id(f->d, "ada@home.lan", 12, &uid), ==, LARES_BADOWNER);
}

static void
test_owner_names_are_remembered(Fixture *f, gconstpointer data)
{
    assert_owner(f, 1000, "grace@home.lan");
    assert_owner(f, 4711, "4711");
    gint asked = fake_asked;
    for (guint i = 0; i < 100; i++) {
        assert_owner(f, 1000, "grace@home.lan");
        assert_owner(f, 4711, "4711");
    }
    g_assert_cmpint(fake_asked, ==, asked);
    for (uint32_t uid = 10000; uid < 20000; uid++) { /* a bounded memory: the answers stay right */
        char buf[64], number[16];
        g_snprintf(number, sizeof number, "%u", uid);
        lares_directory_owner_name(f->d, uid, buf, sizeof buf);
        g_assert_cmpstr(buf, ==, number);
    }
    /* While the name service fails the number is sent, and the failure is forgotten at once. */
    fixture_configure(f, (void)c);
    fake_failing = 1;
    assert_owner(f, 1000, "1000");
    fake_failing = 0;
    assert_owner(f, 1000, "grace@home.lan");
}

/* ---- Administrators -------------------------------------------------------------------------------------------- */

static void
assert_add_fails(Fixture *f, const char *name, gint64 uid, gint64 gid, LaresError code)
{
    g_autoptr(GError) error = NULL;
    LaresUserValues values = {name, uid, gid, NULL};
    g_assert_false(lares_directory_user_add(f->d, &values, &error));
    g_assert_error(error, LARES_ERROR, (gint)code);
}

static void
test_users_that_cannot_be_added(Fixture *f, gconstpointer data)
{
    LaresUserValues ada = {"ada", 3000, 3000, "Ada L"};
    g_assert_true(lares_directory_user_add(f->d, &ada, NULL));
    assert_add_fails(f, "ada", -1, -1, LARES_ERROR_EXISTS);
    assert_add_fails(f, "grace", -1, -1, LARES_ERROR_EXISTS);
    assert_add_fails(f, "eve", 3000, -1, LARES_ERROR_CONFLICT);
    assert_add_fails(f, "eve", 1000, -1, LARES_ERROR_CONFLICT);
    assert_add_fails(f, "eve", 0, -1, LARES_ERROR_INVALID);
    assert_add_fails(f, "eve", 65534, -1, LARES_ERROR_INVALID);
    assert_add_fails(f, "eve", G_MAXUINT32, -1, LARES_ERROR_INVALID);
    assert_add_fails(f, "eve", -1, 0, LARES_ERROR_INVALID);
    assert_add_fails(f, "1000", -1, -1, LARES_ERROR_INVALID);
    assert_add_fails(f, "e\nve", -1, -1, LARES_ERROR_INVALID);
    g_autoptr(GError) error = NULL;
    g_assert_true(lares_directory_user_set(f->d, &(LaresUserValues){"ada", 3001, -1, "Ada"}, &error));
    g_assert_false(lares_directory_user_set(f->d, &(LaresUserValues){"eve", 3001, -1, NULL}, &error));
    g_assert_error(error, LARES_ERROR, LARES_ERROR_NOT_FOUND);
    g_clear_error(&error);
    g_assert_false(lares_directory_user_disable(f->d, "eve", TRUE, &error));
    g_assert_error(error, LARES_ERROR, LARES_ERROR_NOT_FOUND);
    g_clear_error(&error);
    g_assert_false(lares_directory_group_add(f->d, "sudo", 28, &error));
    g_assert_error(error, LARES_ERROR, LARES_ERROR_CONFLICT);
    g_clear_error(&error);
    g_assert_false(lares_directory_group_add(f->d, "root", -1, &error));
    g_assert_error(error, LARES_ERROR, LARES_ERROR_INVALID);
    g_clear_error(&error);
    g_assert_false(lares_directory_group_member(f->d, "none", "ada", TRUE, &error));
    g_assert_error(error, LARES_ERROR, LARES_ERROR_NOT_FOUND);
    g_clear_error(&error);
    g_assert_true(lares_directory_group_add(f->d, "family", -1, NULL));
    g_assert_false(lares_directory_group_member(f->d, "family", "eve", TRUE, &error));
    g_assert_error(error, LARES_ERROR, LARES_ERROR_NOT_FOUND);
}

static GVariant *
call(Fixture *f, const char *verb, const char *args, GError **error)
{
    g_autoptr(GVariant) values = g_variant_ref_sink(g_variant_new_parsed(args));
    for (const LaresVerb *v = lares_directory_verbs; v->name; v++) {
        if (g_str_equal(v->name, verb)) {
            GVariant *result = v->func(NULL, NULL, values, f->d, error);
            return result ? g_variant_ref_sink(result) : NULL;
        }
    }
    g_error("no verb %s", verb);
}

static void
test_verbs(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    gint64 uid;
    const char *text;
    g_autoptr(GVariant) added = call(f, "user.add", "{'name': <'ada'>, 'full-name': <'Ada L'>}", &error);
    g_assert_no_error(error);
    g_assert_true(g_variant_lookup(added, "uid", "x", &uid));
    g_assert_cmpint(uid, ==, 600000);
    call(f, "group.add", "{'name': <'family'>}", &error);
    call(f, "group.add-member", "{'name': <'family'>, 'member': <'ada'>}", &error);
    call(f, "user.disable", "{'name': <'ada'>}", &error);
    call(f, "mapping.set", "{'principal': <'*@X'>, 'user': <'*'>}", &error);
    g_assert_no_error(error);
    g_autoptr(GVariant) shown = call(f, "user.show", "{'name': <'ada'>}", &error);
    g_autofree char *printed = g_variant_print(shown, FALSE);
    g_assert_nonnull(strstr(printed, "'disabled': <true>"));
    g_assert_nonnull(strstr(printed, "'groups': <['family']>"));
    g_assert_true(g_variant_lookup(shown, "source", "&s", &text));
    g_assert_cmpstr(text, ==, "local");
    g_autoptr(GVariant) users = call(f, "user.list", "@a{sv} {}", &error);
    g_assert_cmpuint(g_variant_n_children(users), ==, 1);
    g_autoptr(GVariant) groups = call(f, "group.list", "@a{sv} {}", &error);
    g_assert_cmpuint(g_variant_n_children(groups), ==, 2);
    g_autoptr(GVariant) mappings = call(f, "mapping.list", "@a{sv} {}", &error);
    g_assert_cmpuint(g_variant_n_children(mappings), ==, 1);
    g_assert_no_error(error);
    call(f, "user.enable", "{'name': <'ada'>}", &error);
    call(f, "group.remove-member", "{'name': <'family'>, 'member': <'ada'>}", &error);
    call(f, "group.delete", "{'name': <'family'>}", &error);
    call(f, "mapping.delete", "{'principal': <'*@X'>}", &error);
    call(f, "user.delete", "{'name': <'ada'>}", &error);
    g_assert_no_error(error);
    g_assert_null(call(f, "user.show", "{'name': <'ada'>}", &error));
    g_assert_error(error, LARES_ERROR, LARES_ERROR_NOT_FOUND);
}

static void
test_database_file_is_private(Fixture *f, gconstpointer data)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    g_autoptr(LaresIdentity) ada = login(f, "ada@HOME.LAN", NULL);
    g_assert_nonnull(ada);
    for (guint i = 0; i < G_N_ELEMENTS(suffixes); i++) {
        struct stat st;
        g_autofree char *path = g_strconcat(f->file, suffixes[i], NULL);
        g_assert_cmpint(stat(path, &st), ==, 0);
        g_assert_cmpuint(st.st_mode & 0777, ==, 0600);
    }
}

static void
test_bad_configuration(Fixture *f, gconstpointer data)
{
    static const uint32_t bad[][2] = {{0, 10}, {10, 10}, {10, 5}, {1000, UINT32_MAX}, {60000, 70000}};
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        LaresDirectoryConfig *c = lares_directory_config_new("home.lan");
        c->id_min = bad[i][0];
        c->id_max = bad[i][1];
        g_assert_false(lares_directory_set_config(f->d, c, &error));
        g_assert_error(error, LARES_ERROR, LARES_ERROR_CONFIG);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    test("/directory/unix/unknown", test_unknown_uid_keeps_the_wire);
    test("/directory/unix/known", test_known_uid_gets_server_groups);
    test("/directory/unix/off", test_server_groups_off);
    test("/directory/unix/failed-lookup", test_failed_group_lookup_is_not_remembered);
    test("/directory/unix/directory-groups", test_directory_groups_count);
    test("/directory/unix/disabled", test_disabled_uid_is_refused);
    test("/directory/owner/names", test_owner_names);
    test("/directory/owner/ids", test_owner_ids);
    test("/directory/owner/cache", test_owner_names_are_remembered);
    test("/directory/admin/refused", test_users_that_cannot_be_added);
    test("/directory/admin/verbs", test_verbs);
    test("/directory/file-mode", test_database_file_is_private);
    test("/directory/configuration", test_bad_configuration);
    return g_test_run();
}
