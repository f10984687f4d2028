/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The two daemons as children: they come back, they end with us, they refuse taken ports. */
#include "fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t
pid_of(Fixture *f, guint index, gint64 *restarts)
{
    g_autoptr(JsonArray) status = realm_supervisor_status(f->supervisor);
    JsonObject *one = json_array_get_object_element(status, index);

    if (restarts)
        *restarts = json_object_get_int_member(one, "restarts");
    return (pid_t)json_object_get_int_member(one, "pid");
}

typedef struct {
    Fixture *f;
    pid_t old[2];
} Killed;

static gboolean
both_back(gpointer data)
{
    Killed *killed = data;

    for (guint i = 0; i < 2; i++) {
        pid_t pid = pid_of(killed->f, i, NULL);
        if (pid == 0 || pid == killed->old[i])
            return FALSE;
    }
    return realm_supervisor_is_ready(killed->f->supervisor);
}

static void
test_killed_come_back(void)
{
    Fixture *f = fixture_new();
    Killed killed = {.f = f};

    fixture_create(f);
    json_object_unref(fixture_call(f, "user-add", "anna", "correct horse"));
    fixture_start(f);
    for (int round = 1; round <= 2; round++) {
        gint64 restarts;
        for (guint i = 0; i < 2; i++) {
            killed.old[i] = pid_of(f, i, NULL);
            g_assert_cmpint(killed.old[i], >, 1);
            g_assert_cmpint(kill(killed.old[i], SIGKILL), ==, 0);
        }
        g_assert_true(fixture_wait(both_back, &killed));
        pid_of(f, 0, &restarts);
        g_assert_cmpint(restarts, ==, round);
        g_assert_true(fixture_kinit(f, "anna", "anna", "correct horse"));
    }
    killed.old[0] = pid_of(f, 0, NULL);
    killed.old[1] = pid_of(f, 1, NULL);
    realm_supervisor_stop(f->supervisor);
    for (guint i = 0; i < 2; i++) {
        g_assert_cmpint(kill(killed.old[i], 0), ==, -1);
        g_assert_cmpint(errno, ==, ESRCH);
    }
    fixture_free(f);
}

static void
test_taken_port_is_refused(void)
{
    Fixture *f = fixture_new();
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    g_autoptr(GError) error = NULL;

    fixture_create(f);
    where.sin_port = htons(f->conf->kdc_port);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&where, sizeof where), ==, 0);
    f->supervisor = realm_supervisor_new(f->conf, &f->programs, NULL, NULL);
    g_assert_false(realm_supervisor_start(f->supervisor, &error));
    g_assert_error(error, REALM_ERROR, REALM_ERROR_BUSY);
    g_test_message("%s", error->message);
    close(fd);
    fixture_free(f);
}

static gboolean
process_gone(gpointer data)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/stat", GPOINTER_TO_INT(data));
    g_autofree char *stat = NULL;
    const char *state;

    if (!g_file_get_contents(path, &stat, NULL, NULL))
        return TRUE;
    /* Without an init that reaps, a dead orphan stays as a zombie. */
    state = strrchr(stat, ')');
    return state && state[2] == 'Z';
}

/* Us killed without a chance to clean up: the kernel ends the children. */
static void
test_children_die_with_us(void)
{
    Fixture *f = fixture_new();
    pid_t child, pids[2];
    int status;

    fixture_create(f);
    child = fork();
    if (child == 0) {
        execl("/proc/self/exe", "test-realm", "--supervise", f->state, NULL);
        _exit(127);
    }
    {
        g_autofree char *path = g_build_filename(f->state, "pids", NULL);
        g_autofree char *text = NULL;
        for (int i = 0; i < 500 && !g_file_get_contents(path, &text, NULL, NULL); i++)
            g_usleep(20000);
        g_assert_nonnull(text);
        g_assert_cmpint(sscanf(text, "%d %d", &pids[0], &pids[1]), ==, 2);
    }
    g_assert_false(process_gone(GINT_TO_POINTER(pids[0])));
    g_assert_false(process_gone(GINT_TO_POINTER(pids[1])));
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    g_assert_true(fixture_wait(process_gone, GINT_TO_POINTER(pids[0])));
    g_assert_true(fixture_wait(process_gone, GINT_TO_POINTER(pids[1])));
    fixture_free(f);
}

static void
quiet(GLogLevelFlags level, const char *program, const char *line, gpointer user_data)
{
}

static gboolean
supervisor_ready(gpointer data)
{
    return realm_supervisor_is_ready(data);
}

/* The process that test_children_die_with_us() kills. */
int
supervise_until_killed(const char *state)
{
    g_autoptr(RealmConf) conf = realm_conf_load(state, NULL);
    g_autoptr(RealmSupervisor) supervisor = realm_supervisor_new(conf, NULL, quiet, NULL);
    g_autoptr(JsonArray) status = NULL;
    g_autofree char *path = g_build_filename(state, "pids", NULL);
    g_autofree char *text = NULL;

    if (!realm_supervisor_start(supervisor, NULL) || !fixture_wait(supervisor_ready, supervisor))
        return 1;
    status = realm_supervisor_status(supervisor);
    text = g_strdup_printf("%d %d", (int)json_object_get_int_member(json_array_get_object_element(status, 0), "pid"),
                           (int)json_object_get_int_member(json_array_get_object_element(status, 1), "pid"));
    g_file_set_contents(path, text, -1, NULL);
    for (;;)
        g_main_context_iteration(NULL, TRUE);
}

void
add_supervise_tests(void)
{
    g_test_add_func("/realm/supervise/killed-come-back", test_killed_come_back);
    g_test_add_func("/realm/supervise/taken-port-is-refused", test_taken_port_is_refused);
    g_test_add_func("/realm/supervise/children-die-with-us", test_children_die_with_us);
}
