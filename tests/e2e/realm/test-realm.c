/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The realm with real clients: made, used, refused. */
#include "fixture.h"

#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void
assert_mode(const char *dir, const char *leaf, mode_t mode)
{
    g_autofree char *path = g_build_filename(dir, leaf, NULL);
    struct stat st;

    g_assert_cmpint(stat(path, &st), ==, 0);
    g_test_message("%s %o", path, st.st_mode & 07777);
    g_assert_cmphex(st.st_mode & 07777, ==, mode);
}

static void
test_files_are_private(void)
{
    Fixture *f = fixture_new();
    g_autoptr(GDir) dir = NULL;
    const char *leaf;
    guint n = 0;

    fixture_create(f);
    assert_mode(f->conf->dir, "", 0700);
    dir = g_dir_open(f->conf->dir, 0, NULL);
    while ((leaf = g_dir_read_name(dir))) {
        assert_mode(f->conf->dir, leaf, 0600);
        n++;
    }
    /* realm.conf krb5.conf kdc.conf kadm5.acl stash service.keytab and the database's files */
    g_assert_cmpuint(n, >=, 8);
    fixture_free(f);
}

static void
test_create_is_idempotent(void)
{
    Fixture *f = fixture_new();
    g_autoptr(RealmConf) other = NULL;
    g_autoptr(GError) error = NULL;
    gboolean created = TRUE;

    fixture_create(f);
    json_object_unref(fixture_call(f, "user-add", "anna", "correct horse"));
    g_assert_true(realm_create(f->conf, &f->programs, &created, &error));
    g_assert_false(created);
    /* Still the same database. */
    fixture_refused(f, "user-add", "anna", "correct horse", REALM_ERROR_EXISTS);
    other = realm_conf_copy(f->conf);
    g_free(other->name);
    other->name = g_strdup("OTHER.TEST");
    g_assert_false(realm_create(other, &f->programs, &created, &error));
    g_assert_error(error, REALM_ERROR, REALM_ERROR_EXISTS);
    fixture_free(f);
}

/* What a kill -9 in the middle of a creation leaves behind. */
static void
test_create_repairs(void)
{
    Fixture *f = fixture_new();
    g_autofree char *left = g_build_filename(f->state, "realm.new-Ab12Cd", NULL);
    g_autofree char *file = g_build_filename(left, "principal", NULL);

    g_assert_cmpint(g_mkdir_with_parents(left, 0700), ==, 0);
    g_assert_true(g_file_set_contents(file, "half", -1, NULL));
    /* An empty directory in the place of the realm is no obstacle. */
    g_assert_cmpint(g_mkdir_with_parents(f->conf->dir, 0700), ==, 0);
    fixture_create(f);
    g_assert_false(g_file_test(left, G_FILE_TEST_EXISTS));
    fixture_free(f);
}

/* Really killed, at moments spread over the time a creation takes. */
static void
test_create_survives_kill(void)
{
    for (guint delay = 0; delay < 150; delay += 15) {
        Fixture *f = fixture_new();
        g_autoptr(GError) error = NULL;
        gboolean created;
        int status;
        pid_t child = fork();

        if (child == 0) {
            execl("/proc/self/exe", "test-realm", "--create", f->state, NULL);
            _exit(127);
        }
        g_usleep(delay * 1000);
        kill(child, SIGKILL);
        waitpid(child, &status, 0);
        realm_create(f->conf, &f->programs, &created, &error);
        g_assert_no_error(error);
        json_object_unref(fixture_call(f, "user-add", "anna", "correct horse"));
        g_test_message("after %u ms: %s", delay, created ? "made again" : "was whole");
        fixture_free(f);
    }
}

/* As KERBEROS.md says: a broken database goes before the dump is loaded. */
static void
remove_database(Fixture *f)
{
    g_autoptr(GDir) dir = g_dir_open(f->conf->dir, 0, NULL);
    const char *leaf;

    while ((leaf = g_dir_read_name(dir))) {
        g_autofree char *path = realm_conf_path(f->conf, leaf);
        if (g_str_has_prefix(leaf, "principal"))
            g_assert_cmpint(unlink(path), ==, 0);
    }
}

static void
test_backup_brings_back(void)
{
    Fixture *f = fixture_new();
    g_autofree char *dump = realm_conf_path(f->conf, "backup.dump");
    g_autofree char *database = realm_conf_path(f->conf, "principal");
    const char *const load[] = {"kdb5_util", "load", dump, NULL};
    GError *error = NULL;

    fixture_create(f);
    json_object_unref(fixture_call(f, "user-add", "anna", "correct horse"));
    realm_backup(f->conf, &f->programs, &error);
    g_assert_no_error(error);
    assert_mode(f->conf->dir, "backup.dump", 0600);
    g_assert_true(g_file_set_contents(database, "a power cut", -1, NULL));
    fixture_refused(f, "user-list", NULL, NULL, REALM_ERROR_FAILED);
    remove_database(f);
    g_assert_true(fixture_run(f, "none", NULL, load, NULL));
    fixture_refused(f, "user-add", "anna", "correct horse", REALM_ERROR_EXISTS);
    realm_service_sync(f->conf, &f->programs, &error);
    g_assert_no_error(error);
    fixture_free(f);
}

static void
test_broken_helper_leaves_nothing(void)
{
    Fixture *f = fixture_new();
    g_autoptr(GError) error = NULL;
    gboolean created;
    RealmPrograms broken = {.helper = "/bin/false"};
    g_autoptr(GDir) dir = NULL;
    const char *leaf;

    g_assert_false(realm_create(f->conf, &broken, &created, &error));
    g_assert_error(error, REALM_ERROR, REALM_ERROR_FAILED);
    dir = g_dir_open(f->state, 0, NULL);
    while ((leaf = g_dir_read_name(dir)))
        g_assert_cmpstr(leaf, ==, "realm.lock");
    fixture_create(f);
    fixture_free(f);
}

static void
test_settings_survive(void)
{
    Fixture *f = fixture_new();
    g_autoptr(RealmConf) loaded = NULL;
    GError *error = NULL;

    fixture_create(f);
    loaded = realm_conf_load(f->state, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(loaded->name, ==, TEST_REALM);
    g_assert_cmpuint(loaded->kdc_port, ==, f->conf->kdc_port);
    g_assert_cmpstr(loaded->hostname, ==, TEST_HOST);
    g_assert_cmpstr(loaded->aliases[0], ==, "SERVER");
    g_assert_cmpint(loaded->created, >, 0);
    fixture_free(f);
}

static void
test_users(void)
{
    Fixture *f = fixture_new();
    const char *const kvno[] = {"kvno", "nfs/" TEST_HOST, "cifs/server", "HTTP/files.lares.test", NULL};
    const char *const klist[] = {"klist", "-e", NULL};
    g_autofree char *tickets = NULL;

    fixture_create(f);
    fixture_start(f);
    json_object_unref(fixture_call(f, "user-add", "anna", "correct horse \"\\ à"));
    g_assert_false(fixture_kinit(f, "bad", "anna", "wrong horse"));
    g_assert_true(fixture_kinit(f, "anna", "anna", "correct horse \"\\ à"));
    g_assert_true(fixture_run(f, "anna", NULL, kvno, NULL));
    g_assert_true(fixture_run(f, "anna", NULL, klist, &tickets));
    g_assert_nonnull(strstr(tickets, "aes256-cts-hmac-sha1-96"));
    g_assert_null(strstr(tickets, "arcfour"));

    json_object_unref(fixture_call(f, "user-disable", "anna", NULL));
    g_assert_false(fixture_kinit(f, "bad", "anna", "correct horse \"\\ à"));
    json_object_unref(fixture_call(f, "user-enable", "anna", NULL));
    g_assert_true(fixture_kinit(f, "anna", "anna", "correct horse \"\\ à"));

    json_object_unref(fixture_call(f, "user-passwd", "anna", "battery staple"));
    g_assert_false(fixture_kinit(f, "bad", "anna", "correct horse \"\\ à"));
    g_assert_true(fixture_kinit(f, "anna", "anna", "battery staple"));

    json_object_unref(fixture_call(f, "user-remove", "anna", NULL));
    g_assert_false(fixture_kinit(f, "bad", "anna", "battery staple"));
    fixture_free(f);
}

/* No listen setting: every address of both families. */
static void
test_all_addresses(void)
{
    Fixture *f = fixture_new();
    g_autofree char *krb5 = realm_conf_path(f->conf, "krb5.conf");
    g_autofree char *text = NULL;
    g_autoptr(GString) over6 = NULL;

    realm_conf_set(f->conf, "listen", "", NULL);
    fixture_create(f);
    json_object_unref(fixture_call(f, "user-add", "anna", "correct horse"));
    fixture_start(f);
    g_assert_true(fixture_kinit(f, "anna", "anna", "correct horse"));
    if (g_file_test("/proc/net/if_inet6", G_FILE_TEST_EXISTS)) {
        g_assert_true(g_file_get_contents(krb5, &text, NULL, NULL));
        over6 = g_string_new(text);
        g_string_replace(over6, "127.0.0.1", "[::1]", 0);
        g_assert_true(g_file_set_contents(krb5, over6->str, -1, NULL));
        g_assert_true(fixture_kinit(f, "anna6", "anna", "correct horse"));
    }
    fixture_free(f);
}

static void
test_users_refused(void)
{
    Fixture *f = fixture_new();
    g_autoptr(JsonObject) answer = NULL;
    JsonArray *users;

    fixture_create(f);
    fixture_refused(f, "user-add", "anna", "short", REALM_ERROR_WEAK);
    fixture_refused(f, "user-add", "anna", NULL, REALM_ERROR_INVALID);
    fixture_refused(f, "user-add", "an na", "correct horse", REALM_ERROR_INVALID);
    fixture_refused(f, "user-add", "krbtgt/OTHER", "correct horse", REALM_ERROR_INVALID);
    fixture_refused(f, "user-remove", "K/M", NULL, REALM_ERROR_INVALID);
    fixture_refused(f, "user-remove", "kadmin/admin", NULL, REALM_ERROR_INVALID);
    fixture_refused(f, "user-remove", "nobody", NULL, REALM_ERROR_NOT_FOUND);
    fixture_refused(f, "user-passwd", "nobody", "correct horse", REALM_ERROR_NOT_FOUND);
    fixture_refused(f, "user-disable", "nobody", NULL, REALM_ERROR_NOT_FOUND);
    fixture_refused(f, "no-such-operation", "anna", NULL, REALM_ERROR_INVALID);
    json_object_unref(fixture_call(f, "user-add", "anna", "correct horse"));
    json_object_unref(fixture_call(f, "user-add", "anna/admin", "correct horse"));
    json_object_unref(fixture_call(f, "user-disable", "anna", NULL));
    answer = fixture_call(f, "user-list", NULL, NULL);
    users = json_object_get_array_member(answer, "users");
    g_assert_cmpuint(json_array_get_length(users), ==, 2);
    for (guint i = 0; i < 2; i++) {
        JsonObject *user = json_array_get_object_element(users, i);
        const char *name = json_object_get_string_member(user, "name");
        g_assert_cmpint(json_object_get_boolean_member(user, "disabled"), ==, strcmp(name, "anna") == 0);
        g_assert_cmpint(json_object_get_int_member(user, "changed"), >, 0);
    }
    fixture_free(f);
}

static void
test_hosts(void)
{
    Fixture *f = fixture_new();
    g_autoptr(JsonObject) answer = NULL;
    g_autoptr(JsonObject) list = NULL;
    g_autofree guchar *bytes = NULL;
    g_autofree char *path = g_build_filename(f->state, "client.keytab", NULL);
    const char *const kinit[] = {"kinit", "-k", "-t", path, "host/laptop.lares.test", NULL};
    gsize length;

    fixture_create(f);
    fixture_start(f);
    answer = fixture_call(f, "host-add", "Laptop.lares.test.", NULL);
    bytes = g_base64_decode(json_object_get_string_member(answer, "keytab"), &length);
    g_assert_true(g_file_set_contents(path, (char *)bytes, (gssize)length, NULL));
    g_assert_true(fixture_run(f, "host", NULL, kinit, NULL));
    fixture_refused(f, "host-add", "laptop.lares.test", NULL, REALM_ERROR_EXISTS);
    fixture_refused(f, "host-add", "not a host", NULL, REALM_ERROR_INVALID);
    fixture_refused(f, "host-add", "10.0.0.1", NULL, REALM_ERROR_INVALID);
    fixture_refused(f, "host-keytab", "other.lares.test", NULL, REALM_ERROR_NOT_FOUND);
    list = fixture_call(f, "host-list", NULL, NULL);
    /* The server's own three names and the laptop. */
    g_assert_cmpuint(json_array_get_length(json_object_get_array_member(list, "hosts")), ==, 4);
    json_object_unref(fixture_call(f, "host-remove", "laptop.lares.test", NULL));
    fixture_refused(f, "host-remove", "laptop.lares.test", NULL, REALM_ERROR_NOT_FOUND);
    g_assert_false(fixture_run(f, "host", NULL, kinit, NULL));
    fixture_free(f);
}

/* One call of the helper with services. */
static JsonObject *
host_call(Fixture *f, const char *op, const char *name, const char *service, GError **error)
{
    JsonObject *args = json_object_new();
    const char *const services[] = {service, NULL};

    json_object_set_string_member(args, "name", name);
    json_object_set_array_member(args, "services", realm_json_strv(services));
    return realm_admin_call(f->conf, &f->programs, op, args, NULL, error);
}

/* What opens more than one machine is not given out as a machine's key. */
static void
test_hosts_have_no_power(void)
{
    static const char *const bad[][2] = {
        {"admin", "kadmin"},
        {"changepw", "kadmin"},
        {"lares.test", "krbtgt"},
        {"other.test", "krbtgt"},
        {"admin", "nfs"},
        {"admin", "anna"},
        {"m", "K"},
        {"laptop.lares.test", "nfs/x"},
    };
    static const char *const ops[] = {"host-add", "host-keytab"};
    Fixture *f = fixture_new();

    fixture_create(f);
    json_object_unref(fixture_call(f, "user-add", "anna/admin", "correct horse"));
    for (gsize i = 0; i < G_N_ELEMENTS(bad) * 2; i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(host_call(f, ops[i % 2], bad[i / 2][0], bad[i / 2][1], &error));
        g_assert_error(error, REALM_ERROR, REALM_ERROR_INVALID);
    }
    fixture_refused(f, "host-remove", "admin", NULL, REALM_ERROR_INVALID);
    fixture_refused(f, "user-add", "anna/admin", "correct horse", REALM_ERROR_EXISTS);
    fixture_free(f);
}

/* A machine that was removed has no key left that opens anything, whatever services it was added with. */
static void
test_host_remove_takes_all_services(void)
{
    Fixture *f = fixture_new();
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonObject) answer = NULL;
    g_autoptr(JsonObject) removed = NULL;
    g_autofree guchar *bytes = NULL;
    g_autofree char *path = g_build_filename(f->state, "client.keytab", NULL);
    const char *const kinit[] = {"kinit", "-k", "-t", path, "nfs/laptop.lares.test", NULL};
    gsize length;

    fixture_create(f);
    fixture_start(f);
    answer = host_call(f, "host-add", "laptop.lares.test", "nfs", &error);
    g_assert_no_error(error);
    bytes = g_base64_decode(json_object_get_string_member(answer, "keytab"), &length);
    g_assert_true(g_file_set_contents(path, (char *)bytes, (gssize)length, NULL));
    g_assert_true(fixture_run(f, "host", NULL, kinit, NULL));
    removed = fixture_call(f, "host-remove", "laptop.lares.test", NULL);
    g_assert_cmpint(json_object_get_int_member(removed, "removed"), ==, 2);
    g_assert_false(fixture_run(f, "host", NULL, kinit, NULL));
    fixture_free(f);
}

/* One user's ticket for another user would be sealed with a key made of the password: something to guess it with. */
static void
test_no_tickets_for_people(void)
{
    Fixture *f = fixture_new();
    const char *const kvno[] = {"kvno", "ben", NULL};
    const char *const admin[] = {"kvno", "ben/admin", NULL};
    const char *const service[] = {"kvno", "nfs/" TEST_HOST, NULL};
    g_autofree char *said = NULL;

    fixture_create(f);
    fixture_start(f);
    json_object_unref(fixture_call(f, "user-add", "anna", "correct horse"));
    json_object_unref(fixture_call(f, "user-add", "ben", "battery staple"));
    json_object_unref(fixture_call(f, "user-add", "ben/admin", "battery staple"));
    g_assert_true(fixture_kinit(f, "anna", "anna", "correct horse"));
    g_assert_true(fixture_run(f, "anna", NULL, service, NULL));
    g_assert_false(fixture_run(f, "anna", NULL, kvno, &said));
    g_test_message("%s", said);
    g_assert_false(fixture_run(f, "anna", NULL, admin, NULL));
    fixture_free(f);
}

static gboolean
can_log_in(gpointer f)
{
    return fixture_kinit(f, "again", "anna", "another horse");
}

/* Whoever tries passwords has to wait after some; nobody else has to, and the owner is not shut out for good. */
static void
test_guessing(void)
{
    Fixture *f = fixture_new();

    f->conf->max_guesses = 4;
    f->conf->guess_pause = 20;
    fixture_create(f);
    fixture_start(f);
    json_object_unref(fixture_call(f, "user-add", "anna", "correct horse"));
    json_object_unref(fixture_call(f, "user-add", "ben", "battery staple"));
    for (guint way = 0; way < 2; way++) {
        g_assert_true(fixture_kinit(f, "anna", "anna", "correct horse")); /* which sets the count back */
        for (guint i = 0; i < 4; i++)
            g_assert_false(fixture_kinit(f, "thief", "anna", "a guess"));
        g_assert_false(fixture_kinit(f, "anna", "anna", "correct horse"));
        g_assert_true(fixture_kinit(f, "ben", "ben", "battery staple"));
        if (way == 0)
            json_object_unref(fixture_call(f, "user-enable", "anna", NULL));
        else
            json_object_unref(fixture_call(f, "user-passwd", "anna", "another horse"));
    }
    g_assert_true(can_log_in(f));
    /* It ends by itself, also for a realm whose settings changed. */
    g_autoptr(GError) error = NULL;
    f->conf->guess_pause = 2;
    g_assert_true(realm_prepare(f->conf, &f->programs, &error));
    g_assert_no_error(error);
    for (guint i = 0; i < 4; i++)
        g_assert_false(fixture_kinit(f, "thief", "anna", "a guess"));
    g_assert_true(fixture_wait(can_log_in, f));
    fixture_free(f);
}

/* A password is anything but a line of JSON's business. */
static void
test_odd_passwords(void)
{
    static const char *const odd[] = {"two\nlines of it", "{\"op\":\"user-remove\"}",
                                      "\xc3\xa4\xe2\x82\xac long enough", "tab\tand\rreturn", "        "};
    Fixture *f = fixture_new();

    fixture_create(f);
    json_object_unref(fixture_call(f, "user-add", "anna", "correct horse"));
    for (gsize i = 0; i < G_N_ELEMENTS(odd); i++) {
        g_autoptr(JsonObject) list = NULL;
        json_object_unref(fixture_call(f, "user-passwd", "anna", odd[i]));
        list = fixture_call(f, "user-list", NULL, NULL);
        g_assert_cmpuint(json_array_get_length(json_object_get_array_member(list, "users")), ==, 1);
    }
    fixture_free(f);
}

int
main(int argc, char **argv)
{
    /* sbin is not in every user's path. */
    g_setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", TRUE);
    if (argc == 3 && strcmp(argv[1], "--supervise") == 0)
        return supervise_until_killed(argv[2]);
    if (argc == 3 && strcmp(argv[1], "--create") == 0) {
        g_autoptr(RealmConf) conf = realm_conf_new(argv[2], TEST_REALM);
        gboolean created;
        return realm_create(conf, NULL, &created, NULL) ? 0 : 1;
    }
    signal(SIGPIPE, SIG_IGN); /* kinit may be gone before it has its password, as the daemon's helpers may */
    g_test_init(&argc, &argv, NULL);
    if (!g_getenv("LARES_REALM_HELPER")) {
        g_printerr("set LARES_REALM_HELPER to the path of lares-realm-helper\n");
        return 1;
    }
    add_names_tests();
    g_test_add_func("/realm/create/files-are-private", test_files_are_private);
    g_test_add_func("/realm/create/is-idempotent", test_create_is_idempotent);
    g_test_add_func("/realm/create/repairs-what-a-kill-left", test_create_repairs);
    g_test_add_func("/realm/create/survives-kill", test_create_survives_kill);
    g_test_add_func("/realm/backup-brings-back", test_backup_brings_back);
    g_test_add_func("/realm/create/broken-helper-leaves-nothing", test_broken_helper_leaves_nothing);
    g_test_add_func("/realm/create/settings-survive", test_settings_survive);
    g_test_add_func("/realm/users/life", test_users);
    g_test_add_func("/realm/users/all-addresses", test_all_addresses);
    g_test_add_func("/realm/users/refused", test_users_refused);
    g_test_add_func("/realm/users/no-tickets-for-people", test_no_tickets_for_people);
    g_test_add_func("/realm/users/guessing", test_guessing);
    g_test_add_func("/realm/users/odd-passwords", test_odd_passwords);
    g_test_add_func("/realm/hosts", test_hosts);
    g_test_add_func("/realm/hosts/no-power", test_hosts_have_no_power);
    g_test_add_func("/realm/hosts/remove-all", test_host_remove_takes_all_services);
    add_service_tests();
    add_supervise_tests();
    return g_test_run();
}
