/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands of the realm that do more than call one verb: a new realm with its users, keytab files, kits. */
#include "ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n.h>
#include <string.h>
#include <unistd.h>

static const char *
name_of(CtlCall *call)
{
    return json_object_get_string_member(call->params, "name");
}

static JsonObject *
named(const char *name)
{
    JsonObject *params = json_object_new();
    json_object_set_string_member(params, "name", name);
    return params;
}

/* ---- A new realm ----------------------------------------------------------------------------------------------- */

/* All passwords before anything is made: who cancels leaves nothing behind. */
static GPtrArray *
obtain_all(CtlCall *call, GPtrArray *users, gboolean *generated, GError **error)
{
    g_autoptr(GPtrArray) secrets = g_ptr_array_new_with_free_func((GDestroyNotify)ctl_secret_free);
    for (guint i = 0; users && i < users->len; i++) {
        CtlSecret *secret = ctl_secret_obtain(call, users->pdata[i], generated, error);
        if (!secret)
            return NULL;
        g_ptr_array_add(secrets, secret);
    }
    return g_steal_pointer(&secrets);
}

/* A user who is there already keeps their password. */
static gboolean
add_realm_user(CtlCall *call, const char *name, const CtlSecret *secret, gboolean generated, JsonArray *list,
               GError **error)
{
    g_autoptr(GError) local = NULL;
    JsonObject *one = named(name);
    g_autoptr(JsonObject) params = named(name);
    g_autoptr(JsonNode) answer = ctl_client_call(call, "realm.user.add", params, secret, &local);
    gboolean added = answer != NULL;
    json_array_add_object_element(list, one);
    json_object_set_boolean_member(one, "created", added);
    if (added) {
        if (!call->json)
            g_print(_("%s can get tickets now.\n"), name);
        if (generated)
            ctl_tell_password(call, name, secret, one);
        return TRUE;
    }
    if (!g_error_matches(local, CTL_ERROR, CTL_EXIT_CONFLICT)) {
        g_propagate_prefixed_error(error, g_steal_pointer(&local), _("the realm is made, but not its user %s: "), name);
        return FALSE;
    }
    g_printerr(_("laresctl: warning: %s is in the realm already and keeps the password\n"), name);
    return TRUE;
}

static void
print_next_steps(CtlCall *call, GPtrArray *users)
{
    const char *realm = name_of(call);
    const char *user = users && users->len ? users->pdata[0] : "NAME";
    g_autofree char *domain = g_ascii_strdown(realm, -1);
    g_autofree char *host = g_strdup_printf("laresctl realm host add laptop.%s", domain);
    g_autofree char *kinit = g_strdup_printf("kinit %s@%s", user, realm);
    const char *const steps[] = {"laresctl realm user add NAME",
                                 _("add a user"),
                                 "laresctl share create media /srv/media --sec krb5p",
                                 _("share a folder, encrypted"),
                                 host,
                                 _("make the keytab of a client"),
                                 "laresctl realm client-config linux",
                                 _("show how a client is set up; also macos, windows"),
                                 kinit,
                                 _("on a client that is set up: get a ticket"),
                                 NULL};
    ctl_print_pairs(_("What to do next:"), steps);
}

gboolean
ctl_run_realm_create(CtlCall *call, GError **error)
{
    GPtrArray *users = g_hash_table_lookup(call->own, "user");
    gboolean generated = FALSE;
    JsonArray *list = json_array_new();
    g_autoptr(JsonNode) members = json_node_init_array(json_node_alloc(), list);
    json_array_unref(list);
    g_autoptr(GPtrArray) secrets = obtain_all(call, users, &generated, error);
    if (!secrets)
        return FALSE;
    g_autoptr(JsonNode) answer = ctl_client_call(call, "realm.create", call->params, NULL, error);
    if (!answer)
        return FALSE;
    JsonObject *object = json_node_get_object(answer);
    gboolean created = json_object_get_boolean_member_with_default(object, "created", TRUE);
    ctl_print_warnings(answer);
    if (!call->json)
        g_print(created ? _("The realm %s is made.\n") : _("The realm %s was there already.\n"), name_of(call));
    for (guint i = 0; i < secrets->len; i++)
        if (!add_realm_user(call, users->pdata[i], secrets->pdata[i], generated, list, error))
            return FALSE;
    if (call->json) {
        json_object_set_member(object, "users", g_steal_pointer(&members));
        ctl_print_json(answer);
    } else {
        print_next_steps(call, users);
    }
    return TRUE;
}

/* ---- Keytabs --------------------------------------------------------------------------------------------------- */

/* Made before the server is asked, so that a folder that cannot be written to changes nothing there. */
static int
open_keytab(const char *path, GError **error)
{
    if (g_str_equal(path, "-")) {
        if (!isatty(STDOUT_FILENO))
            return dup(STDOUT_FILENO);
        g_set_error_literal(error, CTL_ERROR, CTL_EXIT_USAGE, _("a keytab is not text: not written to a terminal"));
        return -1;
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 && errno == EEXIST)
        g_set_error(error, CTL_ERROR, CTL_EXIT_CONFLICT,
                    _("%s exists; move it away, or name another file with --keytab"), path);
    else if (fd < 0)
        g_set_error(error, CTL_ERROR, errno == EACCES ? CTL_EXIT_DENIED : CTL_EXIT_FAILED,
                    _("%s cannot be written: %s"), path, g_strerror(errno));
    return fd;
}

static gboolean
write_all(int fd, const guchar *data, size_t length, const char *path, GError **error)
{
    while (length > 0) {
        ssize_t n = write(fd, data, length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        data += n;
        length -= (size_t)n;
    }
    if (length == 0 && (g_str_equal(path, "-") || fsync(fd) == 0))
        return TRUE;
    g_set_error(error, CTL_ERROR, CTL_EXIT_FAILED, _("%s cannot be written: %s"), path, g_strerror(errno));
    return FALSE;
}

static gboolean
store_keytab(JsonObject *answer, int fd, const char *path, GError **error)
{
    const char *text = json_object_get_string_member_with_default(answer, "keytab", "");
    gsize length = 0;
    guchar *data = g_base64_decode(text, &length);
    gboolean good = length > 0 && write_all(fd, data, length, path, error);
    if (length == 0)
        g_set_error_literal(error, CTL_ERROR, CTL_EXIT_FAILED, _("the server's answer has no keytab"));
    explicit_bzero(data, length);
    g_free(data);
    return good;
}

static gboolean
keytab_to_file(CtlCall *call, const char *path, GError **error)
{
    int fd = open_keytab(path, error);
    gboolean good = FALSE;
    if (fd < 0)
        return FALSE;
    g_autoptr(JsonNode) answer = ctl_client_call(call, call->command->verb, call->params, NULL, error);
    if (answer)
        good = store_keytab(json_node_get_object(answer), fd, path, error);
    close(fd);
    if (!good && !g_str_equal(path, "-"))
        unlink(path);
    if (!good || g_str_equal(path, "-"))
        return good;
    json_object_set_string_member(json_node_get_object(answer), "keytab", path);
    if (call->json)
        ctl_print_json(answer);
    else
        g_print(
            _("The keys of %s are in %s. Bring that file to %s as /etc/krb5.keytab (owner root, mode 0600), by a safe "
              "way, and delete it here.\n"),
            name_of(call), path, name_of(call));
    return TRUE;
}

gboolean
ctl_run_keytab(CtlCall *call, GError **error)
{
    const char *path = ctl_own_text(call, "keytab");
    if (!path)
        path = ctl_own_text(call, "output");
    if (!path && call->json) {
        g_autoptr(JsonNode) answer = ctl_client_call(call, call->command->verb, call->params, NULL, error);
        if (answer)
            ctl_print_json(answer);
        return answer != NULL;
    }
    g_autofree char *own = g_strdup_printf("%s.keytab", name_of(call));
    if (!path && strchr(own, '/')) {
        g_set_error(error, CTL_ERROR, CTL_EXIT_USAGE, _("\"%s\" is not a host name"), name_of(call));
        return FALSE;
    }
    return keytab_to_file(call, path ? path : own, error);
}

/* ---- Client kits ----------------------------------------------------------------------------------------------- */

gboolean
ctl_run_client_config(CtlCall *call, GError **error)
{
    g_autoptr(JsonNode) answer = ctl_client_call(call, call->command->verb, call->params, NULL, error);
    if (!answer)
        return FALSE;
    const char *text = json_object_get_string_member_with_default(json_node_get_object(answer), "text", "");
    ctl_print_warnings(answer);
    if (call->json)
        ctl_print_json(answer);
    else
        g_print("%s%s", text, g_str_has_suffix(text, "\n") ? "" : "\n");
    return TRUE;
}
