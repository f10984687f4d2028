/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The helper's main: reads one request, opens the realm's database with its stashed master key,
 * runs the operation, writes one answer.
 */
#include "helper.h"

#include <kadm5/kadm_err.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* A request is a handful of names; a server with a thousand aliases still fits. */
#define REQUEST_MAX (256 * 1024)

#ifdef __has_feature /* clang's word for gcc's __SANITIZE_ADDRESS__ */
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#else
#define __lsan_disable() (void)0
#define __lsan_enable()  (void)0
#endif

static char request[REQUEST_MAX + 1];

static const struct {
    const char *name;
    HelperOp run;
} operations[] = {
    {"prepare", helper_prepare},
    {"user-add", helper_user_add},
    {"user-passwd", helper_user_passwd},
    {"user-remove", helper_user_remove},
    {"user-disable", helper_user_disable},
    {"user-enable", helper_user_enable},
    {"user-list", helper_user_list},
    {"user-show", helper_user_show},
    {"host-add", helper_host_add},
    {"host-keytab", helper_host_keytab},
    {"host-remove", helper_host_remove},
    {"host-list", helper_host_list},
    {"service-sync", helper_service_sync},
    {"service-stage", helper_service_stage},
    {"service-commit", helper_service_commit},
    {"service-purge", helper_service_purge},
};

gboolean
helper_fail(Helper *h, krb5_error_code code, const char *what, GError **error)
{
    const char *message;
    RealmError kind = REALM_ERROR_FAILED;

    switch (code) {
    case 0:
        return TRUE;
    case KADM5_DUP:
        kind = REALM_ERROR_EXISTS;
        break;
    case KADM5_UNK_PRINC:
        kind = REALM_ERROR_NOT_FOUND;
        break;
    case KADM5_PASS_Q_TOOSHORT:
    case KADM5_PASS_Q_CLASS:
    case KADM5_PASS_Q_DICT:
    case KADM5_PASS_Q_GENERIC:
    case KADM5_PASS_REUSE:
    case KADM5_PASS_TOOSOON:
        kind = REALM_ERROR_WEAK;
        break;
    default:
        break;
    }
    message = krb5_get_error_message(h->ctx, code);
    g_set_error(error, REALM_ERROR, kind, "%s: %s", what, message);
    krb5_free_error_message(h->ctx, message);
    return FALSE;
}

krb5_principal
helper_principal(Helper *h, const char *first, const char *second, GError **error)
{
    krb5_principal principal = NULL;
    krb5_error_code code =
        krb5_build_principal(h->ctx, &principal, (unsigned)strlen(h->realm), h->realm, first, second, (char *)NULL);

    if (!helper_fail(h, code, first, error))
        return NULL;
    if (second)
        principal->type = KRB5_NT_SRV_HST;
    return principal;
}

const char *
helper_arg(JsonObject *args, const char *key, GError **error)
{
    const char *value = args ? json_object_get_string_member_with_default(args, key, NULL) : NULL;

    if (!value || !value[0])
        g_set_error(error, REALM_ERROR, REALM_ERROR_INVALID, "\"%s\" is missing", key);
    return value && value[0] ? value : NULL;
}

GStrv
helper_arg_list(JsonObject *args, const char *key)
{
    g_autoptr(GPtrArray) list = g_ptr_array_new();
    JsonArray *array = NULL;

    if (args && json_object_has_member(args, key))
        array = json_object_get_array_member(args, key);
    for (guint i = 0; array && i < json_array_get_length(array); i++)
        g_ptr_array_add(list, g_strdup(json_array_get_string_element(array, i)));
    g_ptr_array_add(list, NULL);
    return (GStrv)g_ptr_array_free(g_steal_pointer(&list), FALSE);
}

/* Reads all of standard input; FALSE when it is longer than a request can be. */
static gboolean
read_request(gsize *length)
{
    gsize got = 0;

    while (got < REQUEST_MAX) {
        ssize_t n = read(STDIN_FILENO, request + got, REQUEST_MAX - got);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            *length = got;
            return n == 0;
        }
        got += (gsize)n;
    }
    return FALSE;
}

/* One helper at a time: the two halves of an operation must not be mixed with another one's. */
static int
take_lock(const char *dir, GError **error)
{
    g_autofree char *path = g_build_filename(dir, "helper.lock", NULL);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0 || flock(fd, LOCK_EX) != 0) {
        g_set_error(error, REALM_ERROR, REALM_ERROR_FAILED, "%s: %s", path, g_strerror(errno));
        return -1;
    }
    return fd;
}

static gboolean
open_database(Helper *h, GError **error)
{
    kadm5_config_params wanted = {.mask = KADM5_CONFIG_REALM, .realm = (char *)h->realm};
    g_autofree char *client = g_strdup_printf("lares/admin@%s", h->realm);
    krb5_error_code code = kadm5_init_krb5_context(&h->ctx);

    if (code != 0) {
        g_set_error(error, REALM_ERROR, REALM_ERROR_FAILED, "krb5.conf cannot be read: %s", error_message(code));
        return FALSE;
    }
    __lsan_disable(); /* MIT's reader of kdc.conf leaks a few strings each time */
    code = krb5_set_default_realm(h->ctx, h->realm);
    if (code == 0)
        code = kadm5_get_config_params(h->ctx, 1, &wanted, &h->params);
    if (code == 0)
        code =
            kadm5_init(h->ctx, client, NULL, NULL, &wanted, KADM5_STRUCT_VERSION, KADM5_API_VERSION_4, NULL, &h->kadm);
    __lsan_enable();
    return helper_fail(h, code, "the realm database cannot be opened", error);
}

static void
close_database(Helper *h)
{
    if (h->kadm)
        kadm5_destroy(h->kadm);
    if (h->ctx) {
        kadm5_free_config_params(h->ctx, &h->params);
        krb5_free_context(h->ctx);
    }
}

static gboolean
run(JsonObject *root, const char *secret, JsonObject *result, GError **error)
{
    Helper h = {.secret = secret};
    const char *op = helper_arg(root, "op", error);
    const char *dir = op ? helper_arg(root, "dir", error) : NULL;
    JsonObject *args = NULL;
    HelperOp found = NULL;
    gboolean good;
    int lock;

    h.realm = dir ? helper_arg(root, "realm", error) : NULL;
    if (!h.realm || !realm_name_check(h.realm, error))
        return FALSE;
    if (json_object_has_member(root, "args"))
        args = json_object_get_object_member(root, "args");
    for (gsize i = 0; i < G_N_ELEMENTS(operations); i++)
        if (strcmp(op, operations[i].name) == 0)
            found = operations[i].run;
    if (!found) {
        g_set_error(error, REALM_ERROR, REALM_ERROR_INVALID, "unknown operation \"%s\"", op);
        return FALSE;
    }
    lock = take_lock(dir, error);
    if (lock < 0)
        return FALSE;
    good = open_database(&h, error) && found(&h, args, result, error);
    close_database(&h);
    close(lock);
    return good;
}

static int
answer(JsonObject *result, const GError *failure)
{
    g_autoptr(JsonGenerator) generator = json_generator_new();
    g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
    JsonObject *root = json_object_new();
    gsize length;
    char *text;
    int status;

    json_object_set_boolean_member(root, "ok", failure == NULL);
    if (failure) {
        json_object_set_int_member(root, "code", failure->domain == REALM_ERROR ? failure->code : REALM_ERROR_FAILED);
        json_object_set_string_member(root, "message", failure->message);
    } else {
        json_object_set_object_member(root, "result", json_object_ref(result));
    }
    json_node_take_object(node, root);
    json_generator_set_root(generator, node);
    text = json_generator_to_data(generator, &length);
    status = fwrite(text, 1, length, stdout) == length && putchar('\n') != EOF && fflush(stdout) == 0 ? 0 : 1;
    /* A keytab may stand in it. */
    explicit_bzero(text, length);
    g_free(text);
    return status;
}

int
main(void)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    g_autoptr(JsonObject) result = json_object_new();
    g_autoptr(GError) failure = NULL;
    const struct rlimit no_core = {0, 0};
    char *secret = NULL;
    char *end;
    gsize length = 0;
    JsonNode *root;
    int status;

    umask(0077);
    prctl(PR_SET_DUMPABLE, 0);
    setrlimit(RLIMIT_CORE, &no_core);
    /* Best effort: without the privilege the password may be swapped out for the moment it is here.
     */
    (void)mlock(request, sizeof request);
    if (!read_request(&length)) {
        g_set_error_literal(&failure, REALM_ERROR, REALM_ERROR_INVALID, "the request is too long");
        return answer(result, failure);
    }
    end = memchr(request, '\n', length);
    if (end && end + 1 < request + length)
        secret = end + 1;
    if (end)
        *end = '\0';
    if (json_parser_load_from_data(parser, request, -1, &failure)) {
        root = json_parser_get_root(parser);
        if (root && JSON_NODE_HOLDS_OBJECT(root))
            run(json_node_get_object(root), secret, result, &failure);
        else
            g_set_error_literal(&failure, REALM_ERROR, REALM_ERROR_INVALID, "the request is no JSON object");
    }
    explicit_bzero(request, sizeof request);
    status = answer(result, failure);
    return status;
}
