/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A private realm for tests. */
#include "fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* For what must come: a machine with other work, under a sanitizer, takes its time. */
#define PATIENCE_US (60 * G_USEC_PER_SEC)

/* A port that is free for UDP and TCP now; the small race with others is the price of real daemons.
 */
static guint16
free_port(void)
{
    for (;;) {
        struct sockaddr_in where = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
        socklen_t length = sizeof where;
        int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        int code = bind(tcp, (struct sockaddr *)&where, sizeof where);
        g_assert_cmpint(code, ==, 0);
        getsockname(tcp, (struct sockaddr *)&where, &length);
        code = bind(udp, (struct sockaddr *)&where, sizeof where);
        close(tcp);
        close(udp);
        if (code == 0)
            return ntohs(where.sin_port);
    }
}

static void
test_log(GLogLevelFlags level, const char *program, const char *line, gpointer user_data)
{
    g_test_message("%s: %s", program, line);
}

Fixture *
fixture_new(void)
{
    Fixture *f = g_new0(Fixture, 1);
    GError *error = NULL;

    f->state = g_dir_make_tmp("lares-realm-XXXXXX", &error);
    g_assert_no_error(error);
    f->conf = realm_conf_new(f->state, TEST_REALM);
    f->conf->kdc_port = free_port();
    do
        f->conf->kadmin_port = free_port();
    while (f->conf->kadmin_port == f->conf->kdc_port);
    do
        f->conf->kpasswd_port = free_port();
    while (f->conf->kpasswd_port == f->conf->kdc_port || f->conf->kpasswd_port == f->conf->kadmin_port);
    realm_conf_set(f->conf, "listen", "127.0.0.1", &error);
    g_assert_no_error(error);
    realm_conf_set(f->conf, "hostname", TEST_HOST, &error);
    g_assert_no_error(error);
    realm_conf_set(f->conf, "aliases", "SERVER files.lares.test", &error);
    g_assert_no_error(error);
    f->programs.helper = g_getenv("LARES_REALM_HELPER");
    return f;
}

static void
remove_tree(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *leaf;

    while (dir && (leaf = g_dir_read_name(dir))) {
        g_autofree char *child = g_build_filename(path, leaf, NULL);
        if (g_file_test(child, G_FILE_TEST_IS_DIR) && !g_file_test(child, G_FILE_TEST_IS_SYMLINK))
            remove_tree(child);
        else
            unlink(child);
    }
    rmdir(path);
}

void
fixture_free(Fixture *f)
{
    realm_supervisor_free(f->supervisor);
    realm_conf_free(f->conf);
    remove_tree(f->state);
    g_free(f->state);
    g_free(f);
}

void
fixture_create(Fixture *f)
{
    GError *error = NULL;
    gboolean created = FALSE;

    realm_create(f->conf, &f->programs, &created, &error);
    g_assert_no_error(error);
    g_assert_true(created);
}

static gboolean
wake(gpointer data)
{
    return G_SOURCE_CONTINUE;
}

gboolean
fixture_wait(gboolean (*done)(gpointer data), gpointer data)
{
    gint64 end = g_get_monotonic_time() + PATIENCE_US;
    guint timer = g_timeout_add(20, wake, NULL);
    gboolean good;

    while (!(good = done(data)) && g_get_monotonic_time() < end)
        g_main_context_iteration(NULL, TRUE);
    g_source_remove(timer);
    return good;
}

static gboolean
ready(gpointer data)
{
    return realm_supervisor_is_ready(data);
}

void
fixture_start(Fixture *f)
{
    GError *error = NULL;

    f->supervisor = realm_supervisor_new(f->conf, &f->programs, test_log, NULL);
    realm_supervisor_start(f->supervisor, &error);
    g_assert_no_error(error);
    g_assert_true(fixture_wait(ready, f->supervisor));
}

static JsonObject *
call(Fixture *f, const char *op, const char *name, const char *secret, GError **error)
{
    JsonObject *args = json_object_new();

    if (name)
        json_object_set_string_member(args, "name", name);
    return realm_admin_call(f->conf, &f->programs, op, args, secret, error);
}

JsonObject *
fixture_call(Fixture *f, const char *op, const char *name, const char *secret)
{
    GError *error = NULL;
    JsonObject *result = call(f, op, name, secret, &error);

    g_assert_no_error(error);
    return result;
}

void
fixture_refused(Fixture *f, const char *op, const char *name, const char *secret, int code)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(call(f, op, name, secret, &error));
    g_assert_error(error, REALM_ERROR, code);
    g_test_message("%s: %s", op, error->message);
}

/* Not a pipe, which breaks when the program ends without having read it. */
static int
input_fd(const char *text)
{
    int fd = memfd_create("input", MFD_CLOEXEC);
    gssize len = text ? (gssize)strlen(text) : 0;

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(write(fd, text, (size_t)len), ==, len);
    g_assert_cmpint(lseek(fd, 0, SEEK_SET), ==, 0);
    return fd;
}

gboolean
fixture_run(Fixture *f, const char *ccache, const char *input, const char *const *argv, char **output)
{
    g_autoptr(GSubprocessLauncher) launcher =
        g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_MERGE);
    g_autoptr(GSubprocess) process = NULL;
    g_autofree char *name = g_strdup_printf("FILE:%s/%s", f->state, ccache);
    g_auto(GStrv) env = realm_conf_environ(f->conf);
    g_autofree char *text = NULL;
    GError *error = NULL;

    env = g_environ_setenv(env, "KRB5CCNAME", name, TRUE);
    g_subprocess_launcher_set_environ(launcher, env);
    g_subprocess_launcher_take_stdin_fd(launcher, input_fd(input));
    process = g_subprocess_launcher_spawnv(launcher, argv, &error);
    g_assert_no_error(error);
    g_subprocess_communicate_utf8(process, NULL, NULL, &text, NULL, &error);
    g_assert_no_error(error);
    g_test_message("%s: %s", argv[0], text ? text : "");
    if (output)
        *output = g_steal_pointer(&text);
    return g_subprocess_get_successful(process);
}

gboolean
fixture_kinit(Fixture *f, const char *ccache, const char *user, const char *password)
{
    g_autofree char *input = g_strdup_printf("%s\n", password);
    const char *const argv[] = {"kinit", user, NULL};

    return fixture_run(f, ccache, input, argv, NULL);
}
