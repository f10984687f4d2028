/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The realm as the server sees it: loaded, created by verb, used, reloaded, unloaded. The core is a stand-in. */
#include "fixture.h"

#include <lares/control.h>
#include <lares/doctor.h>
#include <lares/host.h>
#include <lares/log.h>
#include <lares/metrics.h>
#include <lares/module.h>
#include <lares/settings.h>
#include <lares/share.h>

#include <signal.h>
#include <string.h>

extern const LaresModule lares_module;

/* -- the stand-in: one host, its settings as text, its verbs ------------------------------------------- */

struct _LaresHost {
    Fixture *f;
    const char *name;
    GHashTable *settings;
    const LaresVerb *verbs;
    gpointer user;
    GPtrArray *directory; /* names that user.add was told */
    LaresError refuses;   /* what user.add says; 0: it takes everybody */
};
static LaresHost host;

const char *
lares_host_state_dir(LaresHost *self)
{
    return self->f->state;
}
const char *
lares_host_name(LaresHost *self)
{
    return self->name ? self->name : TEST_HOST;
}
const char *
lares_host_domain(LaresHost *self)
{
    return "lares.test";
}
const char *const *
lares_host_aliases(LaresHost *self)
{
    static const char *const names[] = {TEST_HOST, "server", "127.0.0.1", NULL};
    return names;
}
LaresControl *
lares_host_control(LaresHost *self)
{
    return (LaresControl *)self;
}
LaresShares *
lares_host_shares(LaresHost *self)
{
    return (LaresShares *)self;
}
gboolean
lares_doctor_add(LaresControl *control, const LaresCheck *checks, gpointer user, GError **error)
{
    return TRUE;
}

gboolean
lares_metrics_collect(const LaresMetric *const *metrics, LaresCollectFunc collect, gpointer user, GError **error)
{
    return TRUE;
}

void
lares_samples_add(LaresSamples *samples, const LaresMetric *metric, const char *const *values, double value)
{
}

void
lares_doctor_find(LaresDoctor *doctor, const char *word, LaresSeverity severity, const char *remedy, const char *format,
                  ...)
{
    g_assert_not_reached();
}

gboolean
lares_control_add(LaresControl *control, const LaresVerb *verbs, gpointer user, GError **error)
{
    host.verbs = verbs;
    host.user = user;
    return TRUE;
}
void
lares_control_mark_slow(LaresControl *control, const char *const *names)
{
    static const char *const wait[] = {"realm.create", "realm.remove", "realm.rotate", "realm.keytab", NULL};
    for (const char *const *name = wait; *name; name++)
        g_assert_true(g_strv_contains(names, *name));
    g_assert_false(g_strv_contains(names, "realm.status"));
}
static guint waits;
void
lares_control_wait_begin(void)
{
    g_assert_cmpuint(waits++ % 2, ==, 0);
}
void
lares_control_wait_end(void)
{
    g_assert_cmpuint(waits++ % 2, ==, 1);
}
GVariant *
lares_control_call(LaresControl *control, const LaresControlCaller *caller, const char *verb, GVariant *args,
                   GError **error)
{
    const char *name = NULL;

    if (strcmp(verb, "user.show") == 0)
        return NULL;
    if (strcmp(verb, "user.add") == 0) {
        g_assert_true(g_variant_lookup(args, "name", "&s", &name));
        g_assert_cmpuint(g_variant_n_children(args), ==, 1); /* the password is not the directory's business */
        if (host.refuses)
            g_set_error_literal(error, LARES_ERROR, (int)host.refuses, "no");
        else
            g_ptr_array_add(host.directory, g_strdup(name));
        return NULL;
    }
    g_assert_cmpstr(verb, ==, "status");
    return g_variant_ref_sink(g_variant_new_parsed("{'protocols': <[{'name': <'rest'>}, {'name': <'nfs4'>, 'details': "
                                                   "<{'ports': <[12049]>}>}]>}"));
}
static const LaresFlavor sys = {.name = "sys"}, krb5i = {.name = "krb5i"};
static LaresShare media = {
    .name = "media", .pseudo = "/media", .enabled = TRUE, .flavor = {&sys, &krb5i}, .n_flavors = 2};
GPtrArray *
lares_shares_list(LaresShares *shares)
{
    GPtrArray *array = g_ptr_array_new();
    g_ptr_array_add(array, &media);
    return array;
}
void
lares_share_unref(LaresShare *share)
{
    g_assert_true(share == &media);
}
GQuark
lares_error_quark(void)
{
    return g_quark_from_static_string("lares-error");
}
void
lares_log(LaresLogLevel level, const char *room, const char *format, ...)
{
    g_autofree char *line = NULL;
    va_list args;
    va_start(args, format);
    line = g_strdup_vprintf(format, args);
    va_end(args);
    g_assert_null(strstr(line, "correct horse"));
    g_test_message("%s: %s", room, line);
}
gboolean
lares_log_enabled(LaresLogLevel level)
{
    return TRUE;
}

static const char *
setting(const char *key)
{
    for (const LaresKey *k = lares_module.keys; k->name; k++)
        if (strcmp(k->name, key) == 0) {
            const char *given = g_hash_table_lookup(host.settings, key);
            return given ? given : k->fallback;
        }
    g_error("the key %s is not declared", key);
}
const char *
lares_settings_string(const LaresSettings *s, const char *key)
{
    return setting(key);
}
gboolean
lares_settings_boolean(const LaresSettings *s, const char *key)
{
    return g_strcmp0(setting(key), "true") == 0;
}
gint64
lares_settings_integer(const LaresSettings *s, const char *key)
{
    const char *text = setting(key);
    char *end = NULL;
    gint64 number = text ? g_ascii_strtoll(text, &end, 10) : 0;
    return end && *end == 'd' ? number * 86400 : number;
}
const char *const *
lares_settings_list(const LaresSettings *s, const char *key)
{
    static char **list;
    g_strfreev(list);
    list = g_strsplit(setting(key) ? setting(key) : "", ",", -1);
    return (const char *const *)list;
}

/* -- tests ------------------------------------------------------------------------------------------- */

static void
set(const char *key, char *value)
{
    g_hash_table_insert(host.settings, (char *)key, value);
}

static void
begin(void)
{
    Fixture *f = fixture_new();
    GError *error = NULL;

    host.f = f;
    host.settings = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free);
    host.directory = g_ptr_array_new_with_free_func(g_free);
    set("listen", g_strdup("127.0.0.1"));
    set("kdc-port", g_strdup_printf("%u", f->conf->kdc_port));
    set("kadmin-port", g_strdup_printf("%u", f->conf->kadmin_port));
    set("kpasswd-port", g_strdup_printf("%u", f->conf->kpasswd_port));
    set("rotate-grace", g_strdup("1"));
    g_assert_true(lares_module.load(&host, NULL, &error));
    g_assert_no_error(error);
}

static void
end(void)
{
    lares_module.unload(&host);
    fixture_free(host.f);
    g_hash_table_unref(host.settings);
    g_ptr_array_unref(host.directory);
}

static GVariant *
call(const char *verb, const char *args, GError **error)
{
    g_autoptr(GVariant) parsed = g_variant_ref_sink(g_variant_new_parsed(args));
    LaresControlCaller caller = {.face = "test", .subject = "uid:0", .address = "unix", .rights = LARES_RIGHT_ADMIN};
    GVariant *answer = NULL;

    for (const LaresVerb *v = host.verbs; v->name; v++) {
        if (strcmp(v->name, verb) != 0)
            continue;
        answer = v->func(&host, &caller, parsed, host.user, error);
        return answer ? g_variant_ref_sink(answer) : NULL;
    }
    g_error("no verb %s", verb);
}

static GVariant *
good(const char *verb, const char *args)
{
    GError *error = NULL;
    GVariant *answer = call(verb, args, &error);

    g_assert_no_error(error);
    g_assert_nonnull(answer);
    return answer;
}

static void
refused(const char *verb, const char *args, int code)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(call(verb, args, &error));
    g_assert_error(error, LARES_ERROR, code);
}

static gboolean
running(gpointer data)
{
    g_autoptr(GVariant) status = good("realm.status", "@a{sv} {}");
    gboolean on = FALSE;

    return g_variant_lookup(status, "running", "b", &on) && on;
}

static gboolean
rotated(gpointer data)
{
    g_autoptr(GVariant) status = good("realm.status", "@a{sv} {}");
    gboolean rotating = TRUE;

    g_variant_lookup(status, "rotating", "b", &rotating);
    return !rotating;
}

/* Right behind the start, the keys that an earlier rotation left may just be brought into use. */
static gboolean
begin_rotation(gpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) answer = call("realm.rotate", "@a{sv} {}", &error);

    g_assert_true(answer || g_error_matches(error, LARES_ERROR, LARES_ERROR_CONFLICT));
    return answer != NULL;
}

#define CREATE "{'name': <'LARES.TEST'>, 'aliases': <['files.lares.test']>}"

static void
test_without_realm(void)
{
    begin();
    refused("realm.status", "@a{sv} {}", LARES_ERROR_NOT_FOUND);
    refused("realm.user.list", "@a{sv} {}", LARES_ERROR_NOT_FOUND);
    refused("realm.create", "{'name': <'lares.test'>}", LARES_ERROR_INVALID);
    refused("realm.create", "{'name': <'LARES.TEST'>, 'listen': <['nowhere']>}", LARES_ERROR_INVALID);
    end();
}

static void
test_create_and_use(void)
{
    const char *const kvno[] = {"kvno", "cifs/files.lares.test", "nfs/server", NULL};
    GVariant *answer;
    const char *text;
    gboolean created = TRUE;

    begin();
    g_variant_unref(good("realm.create", CREATE));
    g_assert_true(fixture_wait(running, NULL));
    answer = good("realm.create", CREATE);
    g_assert_true(g_variant_lookup(answer, "created", "b", &created));
    g_assert_false(created);
    g_variant_unref(answer);
    refused("realm.create", "{'name': <'OTHER.TEST'>}", LARES_ERROR_EXISTS);

    g_variant_unref(good("realm.user.add", "{'name': <'anna'>, 'password': <'correct horse'>}"));
    refused("realm.user.add", "{'name': <'anna'>, 'password': <'correct horse'>}", LARES_ERROR_EXISTS);
    refused("realm.user.add", "{'name': <'otto'>, 'password': <'short'>}", LARES_ERROR_INVALID);
    g_assert_cmpuint(host.directory->len, ==, 1);
    g_assert_cmpstr(host.directory->pdata[0], ==, "anna");
    /* Nobody is left half made: without the directory's user there is no principal, either. */
    host.refuses = LARES_ERROR_CONFLICT;
    refused("realm.user.add", "{'name': <'otto'>, 'password': <'correct horse'>}", LARES_ERROR_CONFLICT);
    refused("realm.user.show", "{'name': <'otto'>}", LARES_ERROR_NOT_FOUND);
    /* An account of the host is somebody already; an administrator of the realm need not be. */
    host.refuses = LARES_ERROR_EXISTS;
    g_variant_unref(good("realm.user.add", "{'name': <'otto'>, 'password': <'correct horse'>}"));
    host.refuses = LARES_ERROR_CONFLICT;
    g_variant_unref(good("realm.user.add", "{'name': <'otto/admin'>, 'password': <'correct horse'>}"));
    host.refuses = 0;
    g_variant_unref(good("realm.user.disable", "{'name': <'otto'>}"));
    answer = good("realm.user.show", "{'name': <'otto'>}");
    g_assert_true(g_variant_lookup(answer, "disabled", "b", &created));
    g_assert_true(created);
    g_variant_unref(answer);
    g_variant_unref(good("realm.user.remove", "{'name': <'otto'>}"));
    g_variant_unref(good("realm.user.remove", "{'name': <'otto/admin'>}"));
    answer = good("realm.user.list", "@a{sv} {}");
    g_assert_true(g_variant_is_of_type(answer, G_VARIANT_TYPE("aa{sv}")));
    g_assert_cmpuint(g_variant_n_children(answer), ==, 1);
    g_variant_unref(answer);
    g_assert_true(fixture_kinit(host.f, "anna", "anna", "correct horse"));
    g_assert_true(fixture_run(host.f, "anna", NULL, kvno, NULL));

    answer = good("realm.host.add", "{'name': <'laptop.lares.test'>, 'services': <['nfs']>}");
    g_assert_true(g_variant_lookup(answer, "keytab", "&s", &text));
    g_assert_true(g_str_has_prefix(text, "BQI"));
    g_variant_unref(answer);
    refused("realm.host.remove", "{'name': <'" TEST_HOST "'>}", LARES_ERROR_CONFLICT);

    answer = good("realm.client-config", "{'platform': <'linux'>}");
    g_assert_true(g_variant_lookup(answer, "text", "&s", &text));
    g_assert_nonnull(strstr(text, "sec=krb5i,port=12049"));
    g_assert_nonnull(strstr(text, TEST_HOST ":/media"));
    g_variant_unref(answer);
    refused("realm.client-config", "{'platform': <'amiga'>}", LARES_ERROR_INVALID);
    end();
}

static void
test_reload_and_rotate(void)
{
    const char *const kvno[] = {"kvno", "nfs/" TEST_HOST, NULL};
    g_autofree char *text = NULL;
    GError *error = NULL;

    begin();
    g_variant_unref(good("realm.create", CREATE));
    g_assert_true(fixture_wait(running, NULL));
    g_variant_unref(good("realm.user.add", "{'name': <'anna'>, 'password': <'correct horse'>}"));
    g_assert_true(fixture_wait(begin_rotation, NULL));
    g_assert_false(rotated(NULL));
    g_assert_true(fixture_wait(rotated, NULL));
    /* The second step runs in a thread; the restart behind it waits for it in the helper's lock. */
    g_assert_true(lares_module.reload(&host, NULL, &error));
    g_assert_no_error(error);
    g_assert_true(fixture_wait(running, NULL));
    g_assert_true(fixture_kinit(host.f, "anna", "anna", "correct horse"));
    g_assert_true(fixture_run(host.f, "anna", NULL, kvno, &text));
    g_assert_nonnull(strstr(text, "kvno = 2"));
    end();
}

static gboolean
has_new_name(gpointer data)
{
    g_autofree char *keytab = realm_conf_path(host.f->conf, REALM_KEYTAB);
    g_autofree char *bytes = NULL;
    gsize length;

    return g_file_get_contents(keytab, &bytes, &length, NULL) && memmem(bytes, length, "nas.lares.test", 14);
}

/* The server gets another name: kits follow it, and both names have keys. */
static void
test_renamed_server(void)
{
    GVariant *answer;
    g_autofree const char **names = NULL;

    begin();
    g_variant_unref(good("realm.create", CREATE));
    host.name = "nas.lares.test";
    g_assert_true(lares_module.reload(&host, NULL, NULL));
    answer = good("realm.status", "@a{sv} {}");
    g_assert_true(g_variant_lookup(answer, "names", "^a&s", &names));
    g_assert_cmpstr(names[0], ==, "nas.lares.test");
    g_assert_true(g_strv_contains(names, TEST_HOST));
    g_assert_true(fixture_wait(has_new_name, NULL));
    g_variant_unref(answer);
    host.name = NULL;
    end();
}

/* Without MIT's daemons the realm is there, says what is missing, and the server goes on. */
static void
test_daemons_missing(void)
{
    GVariant *answer;
    const char *text;

    begin();
    set("krb5kdc", g_strdup("/nowhere/krb5kdc"));
    lares_module.unload(&host);
    g_assert_true(lares_module.load(&host, NULL, NULL));
    answer = good("realm.create", CREATE);
    g_assert_true(g_variant_lookup(answer, "problem", "&s", &text));
    g_assert_nonnull(strstr(text, "/nowhere/krb5kdc"));
    g_variant_unref(answer);
    g_variant_unref(good("realm.user.add", "{'name': <'anna'>, 'password': <'correct horse'>}"));
    end();
}

/* A daemon that dies at once is tried again, in growing pauses, and the reason is shown. */
static gboolean
tried_twice(gpointer data)
{
    g_autoptr(GVariant) status = good("realm.status", "@a{sv} {}");
    g_autoptr(GVariant) daemons = g_variant_lookup_value(status, "daemons", G_VARIANT_TYPE("aa{sv}"));
    g_autoptr(GVariant) kdc = g_variant_get_child_value(daemons, 0);
    const char *reason = NULL;
    gint64 restarts = 0;

    g_variant_lookup(kdc, "restarts", "x", &restarts);
    return restarts >= 2 && g_variant_lookup(kdc, "last-error", "&s", &reason) && strstr(reason, "status 1");
}

static void
test_daemon_that_dies(void)
{
    begin();
    set("krb5kdc", g_strdup("/bin/false"));
    lares_module.unload(&host);
    g_assert_true(lares_module.load(&host, NULL, NULL));
    g_variant_unref(good("realm.create", CREATE));
    g_assert_true(fixture_wait(tried_twice, NULL));
    g_assert_false(running(NULL));
    end();
}

int
main(int argc, char **argv)
{
    g_setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", TRUE);
    signal(SIGPIPE, SIG_IGN); /* kinit may be gone before it has its password, as the daemon's helpers may */
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/realm-module/without-realm", test_without_realm);
    g_test_add_func("/realm-module/create-and-use", test_create_and_use);
    g_test_add_func("/realm-module/reload-and-rotate", test_reload_and_rotate);
    g_test_add_func("/realm-module/renamed-server", test_renamed_server);
    g_test_add_func("/realm-module/daemons-missing", test_daemons_missing);
    g_test_add_func("/realm-module/daemon-that-dies", test_daemon_that_dies);
    return g_test_run();
}
