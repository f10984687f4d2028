/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Passwords: asked for without echo, read from stdin or a file, or made up; never on a command line. */
#include "ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

/* 5 bits each, without those that look like others: 20 of them are 100 bits. */
#define ALPHABET   "abcdefghijkmnpqrstuvwxyz23456789"
#define GROUPS     4
#define GROUP_SIZE 5

static volatile sig_atomic_t interrupted;

CtlSecret *
ctl_secret_new(void)
{
    CtlSecret *secret = g_new0(CtlSecret, 1);
    /* Without the right to lock memory the password may reach swap; that is no reason to refuse. */
    (void)mlock(secret, sizeof *secret);
    return secret;
}

void
ctl_secret_free(CtlSecret *secret)
{
    if (!secret)
        return;
    explicit_bzero(secret, sizeof *secret);
    munlock(secret, sizeof *secret);
    g_free(secret);
}

/* One line without its end, byte by byte: what follows belongs to the next reader. */
static gboolean
read_line(int fd, CtlSecret *secret, GError **error)
{
    char c;
    ssize_t n;
    secret->length = 0;
    while ((n = read(fd, &c, 1)) != 0) {
        if (n < 0 && errno == EINTR && !interrupted)
            continue;
        if (n < 0) {
            g_set_error(error, CTL_ERROR, CTL_EXIT_FAILED, _("the password cannot be read: %s"), g_strerror(errno));
            return FALSE;
        }
        if (c == '\n')
            return TRUE;
        if (secret->length + 1 >= sizeof secret->text) {
            g_set_error_literal(error, CTL_ERROR, CTL_EXIT_USAGE, _("the password is too long"));
            return FALSE;
        }
        secret->text[secret->length++] = c;
    }
    if (secret->length > 0)
        return TRUE;
    g_set_error_literal(error, CTL_ERROR, CTL_EXIT_USAGE,
                        _("there is no password to read; it takes one line for each user"));
    return FALSE;
}

static gboolean
check(const CtlSecret *secret, GError **error)
{
    if (secret->length > 0 && memchr(secret->text, 0, secret->length) == NULL &&
        g_utf8_validate(secret->text, (gssize)secret->length, NULL))
        return TRUE;
    g_set_error_literal(error, CTL_ERROR, CTL_EXIT_USAGE,
                        secret->length ? _("the password is not UTF-8 text") : _("the password is empty"));
    return FALSE;
}

static CtlSecret *
from_stdin(GError **error)
{
    g_autoptr(CtlSecret) secret = ctl_secret_new();
    return read_line(STDIN_FILENO, secret, error) && check(secret, error) ? g_steal_pointer(&secret) : NULL;
}

/* The first line of a file that only its owner can read. */
static CtlSecret *
from_file(const char *path, GError **error)
{
    struct stat st;
    g_autoptr(CtlSecret) secret = ctl_secret_new();
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st) < 0) {
        int code = errno;
        g_set_error(error, CTL_ERROR, code == EACCES ? CTL_EXIT_DENIED : CTL_EXIT_USAGE, _("%s cannot be read: %s"),
                    path, g_strerror(code));
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    gboolean good = !S_ISREG(st.st_mode) || (st.st_mode & 077) == 0;
    if (!good)
        g_set_error(error, CTL_ERROR, CTL_EXIT_USAGE, _("others can read %s: make its mode 0600 (chmod 600)"), path);
    good = good && read_line(fd, secret, error) && check(secret, error);
    close(fd);
    return good ? g_steal_pointer(&secret) : NULL;
}

static CtlSecret *
make_up(void)
{
    CtlSecret *secret = ctl_secret_new();
    guint8 bytes[GROUPS * GROUP_SIZE];
    gboolean digit = FALSE;
    while (!digit) {
        secret->length = 0;
        if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
            g_error("the system has no random numbers");
        for (guint i = 0; i < sizeof bytes; i++) {
            char c = ALPHABET[bytes[i] % 32];
            if (i > 0 && i % GROUP_SIZE == 0)
                secret->text[secret->length++] = '-';
            secret->text[secret->length++] = c;
            digit |= g_ascii_isdigit(c);
        }
    }
    secret->text[secret->length] = '\0';
    explicit_bzero(bytes, sizeof bytes);
    return secret;
}

/* ---- The terminal ---------------------------------------------------------------------------------------------- */

static void
interrupt(int signal)
{
    interrupted = 1;
}

/* A signal ends the reading, so that the echo comes back before the program ends; stopping in between is not offered.
 */
static void
catch_signals(struct sigaction *before, gboolean begin)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};
    for (guint i = 0; i < G_N_ELEMENTS(signals); i++) {
        struct sigaction action = {.sa_handler = signals[i] == SIGTSTP ? SIG_IGN : interrupt};
        sigaction(signals[i], begin ? &action : &before[i], begin ? &before[i] : NULL);
    }
}

static gboolean
ask_once(int tty, const char *prompt, CtlSecret *secret, GError **error)
{
    struct termios old, quiet;
    struct sigaction before[8];
    if (tcgetattr(tty, &old) != 0) {
        g_set_error(error, CTL_ERROR, CTL_EXIT_FAILED, _("the password cannot be read: %s"), g_strerror(errno));
        return FALSE;
    }
    catch_signals(before, TRUE);
    quiet = old;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    quiet.c_lflag |= ICANON;
    tcsetattr(tty, TCSAFLUSH, &quiet);
    gboolean good = write(tty, prompt, strlen(prompt)) >= 0 && read_line(tty, secret, error);
    tcsetattr(tty, TCSAFLUSH, &old);
    good = write(tty, "\n", 1) == 1 && good;
    catch_signals(before, FALSE);
    return good;
}

static CtlSecret *
ask(const char *whom, GError **error)
{
    g_autoptr(CtlSecret) first = ctl_secret_new();
    g_autoptr(CtlSecret) second = ctl_secret_new();
    g_autofree char *prompt = g_strdup_printf(_("New password for %s: "), whom);
    int tty = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (tty < 0) {
        g_set_error_literal(error, CTL_ERROR, CTL_EXIT_USAGE,
                            _("there is no terminal to ask for the password on: use --password-stdin or "
                              "--generate-password"));
        return NULL;
    }
    gboolean good =
        ask_once(tty, prompt, first, error) && check(first, error) && ask_once(tty, _("Once more: "), second, error);
    close(tty);
    if (!good)
        return NULL;
    if (first->length == second->length && memcmp(first->text, second->text, first->length) == 0)
        return g_steal_pointer(&first);
    g_set_error_literal(error, CTL_ERROR, CTL_EXIT_USAGE, _("the two passwords differ; nothing was changed"));
    return NULL;
}

/* How many ways to a password were named. */
static int
ways(CtlCall *call)
{
    return ctl_own_flag(call, "generate-password") + ctl_own_flag(call, "password-stdin") +
           (ctl_own_text(call, "password-file") != NULL);
}

gboolean
ctl_secret_wanted(CtlCall *call)
{
    return ctl_own_flag(call, "password") || ways(call) > 0;
}

CtlSecret *
ctl_secret_ask(CtlCall *call, const char *whom, GError **error)
{
    if (ctl_own_flag(call, "password-stdin"))
        return from_stdin(error);
    g_autoptr(CtlSecret) secret = ctl_secret_new();
    g_autofree char *prompt = g_strdup_printf(_("Password of %s: "), whom);
    int tty = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (tty < 0) {
        g_set_error_literal(error, CTL_ERROR, CTL_EXIT_USAGE,
                            _("there is no terminal to ask for the password on: use --password-stdin"));
        return NULL;
    }
    gboolean good = ask_once(tty, prompt, secret, error) && check(secret, error);
    close(tty);
    return good ? g_steal_pointer(&secret) : NULL;
}

CtlSecret *
ctl_secret_obtain(CtlCall *call, const char *whom, gboolean *generated, GError **error)
{
    const char *file = ctl_own_text(call, "password-file");
    *generated = ctl_own_flag(call, "generate-password");
    if (ways(call) > 1) {
        g_set_error_literal(error, CTL_ERROR, CTL_EXIT_USAGE,
                            _("--password-stdin, --password-file and --generate-password exclude each other"));
        return NULL;
    }
    if (*generated)
        return make_up();
    if (file)
        return from_file(file, error);
    return ctl_own_flag(call, "password-stdin") ? from_stdin(error) : ask(whom, error);
}
