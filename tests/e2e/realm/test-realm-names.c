/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names and settings that are let in or refused, and the kits made from them. */
#include "fixture.h"

#include <string.h>

static void
test_realm_names(void)
{
    static const char *const good[] = {"HOME.LAN", "HOME", "A-1.B2.C"};
    static const char *const bad[] = {"",          "home.lan",    "Home.LAN",  "HOME LAN",  "HOME..LAN", ".HOME.LAN",
                                      "HOME.LAN.", "-HOME",       "HOME-.LAN", "HOME/LAN",  "HOME@LAN",  "HOME\nX=Y",
                                      "10.1.2.3",  "H\xc3\x96ME", "../ETC",    "HOME.LAN}{"};

    for (gsize i = 0; i < G_N_ELEMENTS(good); i++) {
        GError *error = NULL;
        realm_name_check(good[i], &error);
        g_assert_no_error(error);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_false(realm_name_check(bad[i], &error));
        g_assert_error(error, REALM_ERROR, REALM_ERROR_INVALID);
    }
}

static void
test_create_refuses_bad_names(void)
{
    Fixture *f = fixture_new();
    g_autoptr(GError) error = NULL;
    gboolean created;

    g_free(f->conf->name);
    f->conf->name = g_strdup("home.lan");
    g_assert_false(realm_create(f->conf, &f->programs, &created, &error));
    g_assert_error(error, REALM_ERROR, REALM_ERROR_INVALID);
    g_assert_nonnull(strstr(error->message, "use HOME.LAN"));
    g_assert_false(g_file_test(f->conf->dir, G_FILE_TEST_EXISTS));
    fixture_free(f);
}

/* kadm5.acl lets every principal NAME/admin administer the realm: no machine may come to such a name, and no user to
 * one that is a machine's or MIT's own. */
static void
test_names_with_power(void)
{
    static const char *const users[] = {"krbtgt/admin", "kadmin/admin", "K/admin", "kiprop/admin", "host/admin",
                                        "nfs/admin",    "HTTP/admin",   "a@b",     "a/b/admin",    "anna/admin/x",
                                        "an\"na",       "an\nna",       "/admin",  "-x",           "anna/Admin"};
    static const char *const machines[] = {"admin", "ADMIN", "admin.", "a/b", "a@b", "a b", "a\nb", "", "10.0.0.1"};
    static const char *const services[] = {"krbtgt", "KRBTGT", "kadmin", "K",    "kiprop", "WELLKNOWN",
                                           "nfs/x",  "n@x",    "",       "-nfs", "n s",    "n\ns"};
    g_autoptr(RealmConf) conf = realm_conf_new("/tmp/x", "HOME.LAN");
    g_autofree char *full = realm_machine_check("Admin.home.lan", NULL);

    g_assert_cmpstr(full, ==, "admin.home.lan");
    g_assert_true(realm_user_check("admin", NULL) && realm_user_check("anna/admin", NULL));
    g_assert_true(realm_service_check("nfs", NULL) && realm_service_check("HTTP", NULL));
    for (gsize i = 0; i < G_N_ELEMENTS(users); i++)
        g_assert_false(realm_user_check(users[i], NULL));
    for (gsize i = 0; i < G_N_ELEMENTS(machines); i++)
        g_assert_null(realm_machine_check(machines[i], NULL));
    for (gsize i = 0; i < G_N_ELEMENTS(services); i++)
        g_assert_false(realm_service_check(services[i], NULL));

    g_assert_true(realm_conf_set(conf, "hostname", "nas.home.lan", NULL) && realm_conf_check(conf, NULL));
    g_assert_true(realm_conf_set(conf, "aliases", "nas, Admin", NULL));
    g_assert_false(realm_conf_check(conf, NULL));
    g_assert_true(realm_conf_set(conf, "aliases", "nas", NULL) && realm_conf_set(conf, "hostname", "admin", NULL));
    g_assert_false(realm_conf_check(conf, NULL));
}

static void
test_settings(void)
{
    static const char *const bad[][2] = {
        {"kdc-port", "0"},   {"kdc-port", "65536"},     {"kdc-port", "x"},  {"max-life", "1"},
        {"hostname", "a b"}, {"hostname", "127.0.0.1"}, {"no-such", "key"}, {"min-password", "-1"},
    };
    g_autoptr(RealmConf) conf = realm_conf_new("/tmp/x", "HOME.LAN");
    GError *error = NULL;

    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) refused = NULL;
        g_assert_false(realm_conf_set(conf, bad[i][0], bad[i][1], &refused));
        g_assert_error(refused, REALM_ERROR, REALM_ERROR_INVALID);
    }
    g_assert_true(realm_conf_set(conf, "listen", "127.0.0.1, ::1", &error));
    g_assert_true(realm_conf_check(conf, &error));
    g_assert_true(realm_conf_set(conf, "listen", "localhost", &error));
    g_assert_false(realm_conf_check(conf, &error));
    g_clear_error(&error);
    g_assert_true(realm_conf_set(conf, "listen", "", &error));
    g_assert_true(realm_conf_set(conf, "kdc-port", "749", &error));
    g_assert_false(realm_conf_check(conf, &error));
    g_clear_error(&error);
}

static void
assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        g_error("\"%s\" is not in:\n%s", part, text);
}

static void
test_kits(void)
{
    g_autoptr(RealmConf) conf = realm_conf_new("/tmp/x", "HOME.LAN");
    RealmShare shares[] = {{.name = "photos", .sec = "krb5i"}, {.name = "My Files"}};
    RealmClientInfo info = {.nfs_port = 2049, .smb_port = 445, .shares = shares, .n_shares = 2};
    g_autoptr(GError) error = NULL;
    JsonObject *kit;
    const char *text;

    realm_conf_set(conf, "hostname", "nas.home.lan", NULL);
    kit = realm_client_config(conf, "linux", &info, NULL);
    text = json_object_get_string_member(kit, "text");
    assert_has(text, "default_realm = HOME.LAN\n");
    assert_has(text, "kdc = nas.home.lan\n");
    assert_has(text, "rdns = false\n");
    assert_has(text, "Domain = home.lan\n");
    assert_has(text, "nas.home.lan:/photos /mnt/photos nfs4 vers=4.2,sec=krb5i,_netdev,nofail 0 0\n");
    assert_has(text, "nas.home.lan:/My\\040Files /mnt/My_Files nfs4 vers=4.2,sec=krb5p,");
    assert_has(text, "mount -t nfs4 -o vers=4.2,sec=krb5p 'nas.home.lan:/My Files' /mnt/My_Files\n");
    assert_has(text, "#     mount -t cifs -o sec=krb5,cruid=USER '//nas.home.lan/My Files' /mnt/My_Files\n");
    json_object_unref(kit);

    conf->kdc_port = 8088;
    info.nfs_port = 12049;
    info.smb_port = 10445;
    kit = realm_client_config(conf, "macos", &info, NULL);
    text = json_object_get_string_member(kit, "text");
    assert_has(text, "kdc = nas.home.lan:8088\n");
    assert_has(text, "nfs.client.default_nfs4domain = home.lan\n");
    assert_has(text, "mount_nfs -o vers=4.0,sec=krb5i,port=12049 'nas.home.lan:/photos' ~/photos\n");
    assert_has(text, "#     open 'smb://USER@nas.home.lan:10445/My%20Files'\n");
    json_object_unref(kit);

    kit = realm_client_config(conf, "windows", &info, NULL);
    text = json_object_get_string_member(kit, "text");
    assert_has(text, "ksetup /addkdc HOME.LAN nas.home.lan\n");
    assert_has(text, "port 88");
    json_object_unref(kit);

    g_assert_null(realm_client_config(conf, "amiga", &info, &error));
    g_assert_error(error, REALM_ERROR, REALM_ERROR_INVALID);
}

void
add_names_tests(void)
{
    g_test_add_func("/realm/names/realm", test_realm_names);
    g_test_add_func("/realm/names/create-refuses", test_create_refuses_bad_names);
    g_test_add_func("/realm/names/with-power", test_names_with_power);
    g_test_add_func("/realm/settings", test_settings);
    g_test_add_func("/realm/client-kits", test_kits);
}
