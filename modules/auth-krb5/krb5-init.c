/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See krb5-init.h, and helper/keytab-helper.c for what is said between the two. */
#include "krb5-init.h"

#include <errno.h>
#include <lares/log.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* kadmind answers in a fraction of a second; this is for one that cannot be reached. */
#define PATIENCE_SECONDS 60
/* As much as the helper reads. */
#define REQUEST_MAX (256 * 1024)

typedef struct {
    LaresHost *host;
    LaresKrb5Provider *provider;
    char *helper;
    /* The work that is under way or was the last; NULL state: none yet. */
    const char *state; /* "running", "done", "failed" */
    GSubprocess *process;
    guint timer;
    char *keytab, *error;
    GPtrArray *lines; /* "made nfs/nas.home.lan 1" */
} Init;

static Init init;

/* ---- The answer ------------------------------------------------------------------------------------------------ */

static GVariant *
describe(void)
{
    GVariantDict answer;
    GVariantBuilder rows;

    g_variant_builder_init(&rows, G_VARIANT_TYPE("aa{sv}"));
    for (guint i = 0; init.lines != NULL && i < init.lines->len; i++) {
        g_auto(GStrv) words = g_strsplit(init.lines->pdata[i], " ", 3);
        GVariantDict row;

        if (g_strv_length(words) != 3)
            continue;
        g_variant_dict_init(&row, NULL);
        g_variant_dict_insert(&row, "principal", "s", words[1]);
        g_variant_dict_insert(&row, "what", "s", words[0]);
        g_variant_dict_insert(&row, "kvno", "x", g_ascii_strtoll(words[2], NULL, 10));
        g_variant_builder_add_value(&rows, g_variant_dict_end(&row));
    }
    g_variant_dict_init(&answer, NULL);
    g_variant_dict_insert(&answer, "state", "s", init.state != NULL ? init.state : "never");
    if (init.keytab != NULL)
        g_variant_dict_insert(&answer, "keytab", "s", init.keytab);
    if (init.error != NULL)
        g_variant_dict_insert(&answer, "error", "s", init.error);
    g_variant_dict_insert_value(&answer, "principals", g_variant_builder_end(&rows));
    return g_variant_dict_end(&answer);
}

static void
finish(const char *error)
{
    g_autoptr(GString) locked = g_string_new(NULL);

    if (init.timer != 0)
        g_source_remove(init.timer);
    init.timer = 0;
    g_clear_object(&init.process);
    for (guint i = 0; i < init.lines->len; i++) {
        const char *line = init.lines->pdata[i];

        if (g_str_has_prefix(line, "locked "))
            g_string_append_printf(locked, "%s%.*s", locked->len > 0 ? ", " : "", (int)strcspn(line + 7, " "),
                                   line + 7);
    }
    g_free(init.error);
    init.error = g_strdup(error);
    if (error == NULL && locked->len > 0)
        init.error = g_strdup_printf(
            "%s: there are keys already, and this administrator may not read them (extract-keys, \"e\" in kadm5.acl): "
            "bring the keytab that has them, or say --rotate for new ones, with which every other keytab of the same "
            "names becomes useless",
            locked->str);
    init.state = init.error != NULL ? "failed" : "done";
    lares_audit("control", "verb", "kerberos.init", "object", init.keytab, "verdict",
                init.error != NULL ? "failed" : "done", "reason", init.error, NULL);
    if (init.error == NULL)
        lares_info(KRB5_ROOM, "the keys of %u principals are in %s", init.lines->len, init.keytab);
    lares_krb5_provider_reload(init.provider);
}

static void
helper_ended(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) out = NULL;
    g_autofree char *text = NULL;
    const char *failure = "the keytab helper broke off";
    gsize len = 0;

    if (!g_subprocess_communicate_finish(G_SUBPROCESS(source), result, &out, NULL, &error) || init.process == NULL)
        out = NULL;
    if (init.process == NULL)
        return; /* the server ends */
    if (out != NULL) {
        const char *bytes = g_bytes_get_data(out, &len);

        /* Words of Kerberos' library, and paths: neither has to be UTF-8. */
        text = g_utf8_make_valid(bytes != NULL ? bytes : "", (gssize)len);
    }
    g_auto(GStrv) lines = g_strsplit(text != NULL ? text : "", "\n", -1);
    for (char **line = lines; *line != NULL; line++) {
        if (strcmp(*line, "done") == 0)
            failure = NULL;
        else if (g_str_has_prefix(*line, "error "))
            failure = *line + strlen("error ");
        else if (**line != '\0')
            g_ptr_array_add(init.lines, g_strdup(*line));
    }
    finish(failure);
}

static gboolean
give_up(gpointer data)
{
    init.timer = 0;
    g_subprocess_force_exit(init.process);
    return G_SOURCE_REMOVE;
}

/* ---- kerberos.init --------------------------------------------------------------------------------------------- */

typedef GString Secret;

static void
secret_free(Secret *text)
{
    explicit_bzero(text->str, text->allocated_len);
    g_string_free(text, TRUE);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Secret, secret_free)

char *
krb5_init_keytab(LaresHost *host)
{
    return g_build_filename(lares_host_state_dir(host), "lares.keytab", NULL);
}

/* The file whose keys are in use and go over into the new one; the own realm's are the realm's. */
static const char *
present_keytab(const Krb5Snapshot *now)
{
    g_autofree char *home = g_build_filename(lares_host_state_dir(init.host), "realm", NULL);

    if (now->keytab == NULL || !g_path_is_absolute(now->keytab->source) || g_str_has_prefix(now->keytab->source, home))
        return init.keytab;
    return now->keytab->source;
}

/* -1: it is larger than the helper takes. */
static int
compose(const Krb5Snapshot *now, const char *admin, const char *realm, const char *password, gboolean rotate,
        GError **error)
{
    /* At once as large as it gets: growing would leave copies of the password behind. */
    g_autoptr(Secret) text = g_string_sized_new(REQUEST_MAX);
    int fd;

    g_string_append_printf(text, "%s\n%s\n%s\n%s\n%s\n", admin, *realm != '\0' ? realm : "-", init.keytab,
                           present_keytab(now), rotate ? "rotate" : "keep");
    for (char **host = now->hosts; *host != NULL; host++)
        for (char **service = now->services; *service != NULL; service++)
            g_string_append_printf(text, "%s/%s\n", *service, *host);
    g_string_append_c(text, '\n');
    if (text->len + strlen(password) >= REQUEST_MAX) {
        g_set_error_literal(error, LARES_ERROR, LARES_ERROR_INVALID,
                            "the names of the server and the password are too long together");
        return -1;
    }
    g_string_append(text, password);
    /* A file in memory, and no pipe: nothing waits for the helper to read, and no stream keeps a part of it. */
    fd = memfd_create("lares-keytab-request", MFD_CLOEXEC);
    if (fd >= 0 && write(fd, text->str, text->len) == (ssize_t)text->len && lseek(fd, 0, SEEK_SET) == 0)
        return fd;
    g_set_error(error, LARES_ERROR, LARES_ERROR_FAILED, "the keytab helper's request cannot be written: %s",
                g_strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

static gboolean
check_args(const char *admin, const char *realm, const char *password, GError **error)
{
    if (*admin == '\0' || strpbrk(admin, " \t\r\n") != NULL)
        g_set_error(error, LARES_ERROR, LARES_ERROR_INVALID, "\"%s\" is no principal", admin);
    else if (strpbrk(realm, " \t\r\n/") != NULL)
        g_set_error(error, LARES_ERROR, LARES_ERROR_INVALID, "\"%s\" is no realm", realm);
    else if (*realm == '\0' && strchr(admin, '@') == NULL)
        g_set_error(error, LARES_ERROR, LARES_ERROR_INVALID, "the realm is missing: write %s@REALM", admin);
    else if (*password == '\0')
        g_set_error_literal(error, LARES_ERROR, LARES_ERROR_INVALID, "the administrator's password is missing");
    else
        return TRUE;
    return FALSE;
}

static gboolean
start(const Krb5Snapshot *now, const char *admin, const char *realm, const char *password, gboolean rotate,
      GError **error)
{
    g_autoptr(GSubprocessLauncher) launcher = g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDOUT_PIPE);
    const char *helper = init.helper, *variable = g_getenv("LARES_KEYTAB_HELPER");
    int request = compose(now, admin, realm, password, rotate, error);

    if (request < 0)
        return FALSE;
    if (helper == NULL)
        helper = variable != NULL ? variable : LARES_KEYTAB_HELPER;
    g_subprocess_launcher_take_stdin_fd(launcher, request);
    init.process = g_subprocess_launcher_spawn(launcher, error, helper, NULL);
    if (init.process == NULL)
        return FALSE;
    init.state = "running";
    g_clear_pointer(&init.error, g_free);
    g_clear_pointer(&init.lines, g_ptr_array_unref);
    init.lines = g_ptr_array_new_with_free_func(g_free);
    init.timer = g_timeout_add_seconds(PATIENCE_SECONDS, give_up, NULL);
    g_subprocess_communicate_async(init.process, NULL, NULL, helper_ended, NULL);
    return TRUE;
}

static GVariant *
verb_init(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    const char *admin = "", *realm = "", *password = "";
    gboolean rotate = FALSE, good;
    Krb5Snapshot now;

    g_variant_lookup(args, "admin", "&s", &admin);
    g_variant_lookup(args, "realm", "&s", &realm);
    g_variant_lookup(args, "password", "&s", &password);
    g_variant_lookup(args, "rotate", "b", &rotate);
    if (!check_args(admin, realm, password, error))
        return NULL;
    if (init.process != NULL) {
        g_set_error_literal(error, LARES_ERROR, LARES_ERROR_CONFLICT,
                            "keys are being brought already: kerberos.init.show tells how far");
        return NULL;
    }
    lares_krb5_provider_snapshot(init.provider, &now);
    g_free(init.keytab);
    init.keytab = now.path != NULL ? g_strdup(now.path) : krb5_init_keytab(host);
    good = start(&now, admin, realm, password, rotate, error);
    krb5_snapshot_clear(&now);
    return good ? describe() : NULL;
}

static GVariant *
verb_show(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    return describe();
}

static const LaresParam params[] = {
    {"admin", "s", TRUE, "an administrator of the realm: ada/admin@EXAMPLE.ORG"},
    {"password", "s", TRUE, "the administrator's password; never logged"},
    {"realm", "s", FALSE, "the realm; the administrator's when left out"},
    {"rotate", "b", FALSE, "make new keys also where there are some; other keytabs with them become useless"},
    {NULL}};

const LaresVerb krb5_init_verbs[] = {
    {"kerberos.init", LARES_RIGHT_ADMIN,
     "Brings the server's keys from a realm's kadmind; kerberos.init.show tells how", params, verb_init},
    {"kerberos.init.show", LARES_RIGHT_READ, "What kerberos.init did, or how far it is", NULL, verb_show},
    {NULL}};

/* ---- Begin and end --------------------------------------------------------------------------------------------- */

void
krb5_init_configure(LaresHost *host, LaresKrb5Provider *provider, const char *helper)
{
    init.host = host;
    init.provider = provider;
    g_free(init.helper);
    init.helper = g_strdup(helper);
}

void
krb5_init_stop(void)
{
    if (init.timer != 0)
        g_source_remove(init.timer);
    init.timer = 0;
    if (init.process != NULL)
        g_subprocess_force_exit(init.process);
    g_clear_object(&init.process);
    g_clear_pointer(&init.lines, g_ptr_array_unref);
    g_clear_pointer(&init.keytab, g_free);
    g_clear_pointer(&init.error, g_free);
    g_clear_pointer(&init.helper, g_free);
}
