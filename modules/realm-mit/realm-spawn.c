/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs one short-lived program with a secret on its standard input, without leaving copies of it in
 * stream buffers.
 */
#include "realm.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* A keytab of a few thousand principals, in base64. */
#define OUTPUT_MAX (16 * 1024 * 1024)
/* Making a database takes well under a second; a minute means that something hangs. */
#define PATIENCE_MS (60 * 1000)

const char *
realm_program(const char *given, const char *fallback)
{
    return given && given[0] ? given : fallback;
}

void
realm_wipe_string(GString *text)
{
    if (!text)
        return;
    explicit_bzero(text->str, text->allocated_len);
    g_string_free(text, TRUE);
}

static pid_t
start(const char *const *argv, char **env, int child_end, gboolean merge, GError **error)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, defaults;
    pid_t pid = -1;
    int code;

    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    sigaddset(&defaults, SIGTERM);
    sigaddset(&defaults, SIGINT);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, child_end, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, child_end, STDOUT_FILENO);
    if (merge)
        posix_spawn_file_actions_adddup2(&actions, child_end, STDERR_FILENO);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    code = posix_spawn(&pid, argv[0], &actions, &attributes, (char *const *)argv, env);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    if (code == 0)
        return pid;
    g_set_error(error, REALM_ERROR, REALM_ERROR_FAILED, "%s cannot be started: %s", argv[0], g_strerror(code));
    return -1;
}

static gboolean
send_all(int fd, const char *input, gsize length)
{
    while (length > 0) {
        ssize_t n = send(fd, input, length, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return FALSE;
        input += n;
        length -= (gsize)n;
    }
    return shutdown(fd, SHUT_WR) == 0;
}

/* FALSE when the program stays silent too long or says too much. */
static gboolean
receive_all(int fd, GString *output)
{
    char buffer[8192];
    gint64 end = g_get_monotonic_time() + PATIENCE_MS * (gint64)1000;
    gboolean good = FALSE;

    while (output->len < OUTPUT_MAX) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        gint64 left = (end - g_get_monotonic_time()) / 1000;
        ssize_t n;

        if (left <= 0)
            break;
        n = poll(&wait, 1, (int)left);
        if (n == 0)
            break;
        if (n < 0 && errno != EINTR)
            break;
        if (n < 0)
            continue;
        n = recv(fd, buffer, sizeof buffer, 0);
        if (n < 0 && errno == EINTR)
            continue;
        /* A program that ends without reading its input resets the socket: its status tells more.
         */
        if (n <= 0) {
            good = TRUE;
            break;
        }
        g_string_append_len(output, buffer, n);
    }
    explicit_bzero(buffer, sizeof buffer);
    return good;
}

gboolean
realm_spawn(const char *const *argv, char **env, const char *input, gsize length, gboolean merge, GString **output,
            GError **error)
{
    /* Sized so that an answer with a keytab does not leave copies behind by growing. */
    GString *text = g_string_sized_new(64 * 1024);
    int ends[2];
    int status = 0;
    gboolean good;
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        g_set_error(error, REALM_ERROR, REALM_ERROR_FAILED, "socketpair: %s", g_strerror(errno));
        realm_wipe_string(text);
        return FALSE;
    }
    pid = start(argv, env, ends[1], merge, error);
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        realm_wipe_string(text);
        return FALSE;
    }
    good = send_all(ends[0], input, length);
    good = receive_all(ends[0], text) && good;
    close(ends[0]);
    if (!good)
        kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (good && WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        *output = text;
        return TRUE;
    }
    g_strchomp(text->str);
    if (good && WIFEXITED(status))
        g_set_error(error, REALM_ERROR, REALM_ERROR_FAILED, "%s failed with status %d%s%s", argv[0],
                    WEXITSTATUS(status), merge && text->str[0] ? ": " : "", merge ? text->str : "");
    else
        g_set_error(error, REALM_ERROR, REALM_ERROR_FAILED, "%s broke off (signal %d)", argv[0],
                    WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    realm_wipe_string(text);
    return FALSE;
}
