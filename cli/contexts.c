/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The servers elsewhere that laresctl knows: a group of XDG_CONFIG_HOME/lares/contexts for each, with its address, its
 * certificate and the token of the last login. The tokens are as good as passwords: only the owner may read the file.
 */
#include "ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define GROUP        "context "
#define OWN          "laresctl"
#define DEFAULT_PORT 8749
#define LOCAL        "local"

struct _CtlContexts {
    GKeyFile *keys;
    int lock; /* -1: for looking only */
};

void
ctl_context_free(CtlContext *context)
{
    if (!context)
        return;
    if (context->token)
        explicit_bzero(context->token, strlen(context->token));
    g_free(context->token);
    g_free(context->name);
    g_free(context->url);
    g_free(context->fingerprint);
    g_free(context->token_id);
    g_free(context->subject);
    g_free(context->rights);
    g_free(context);
}

/* ---- The file -------------------------------------------------------------------------------------------------- */

char *
ctl_contexts_path(void)
{
    return g_build_filename(g_get_user_config_dir(), "lares", "contexts", NULL);
}

static gboolean
fail(GError **error, const char *path, const char *why)
{
    g_set_error(error, CTL_ERROR, CTL_EXIT_FAILED, "%s: %s", path, why);
    return FALSE;
}

/* The folder is locked, not the file: each change puts a new file in its place. */
static gboolean
lock_folder(CtlContexts *self, const char *path, GError **error)
{
    g_autofree char *folder = g_path_get_dirname(path);
    if (g_mkdir_with_parents(folder, 0700) < 0)
        return fail(error, folder, g_strerror(errno));
    self->lock = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (self->lock < 0 || flock(self->lock, LOCK_EX) < 0)
        return fail(error, folder, g_strerror(errno));
    return TRUE;
}

static gboolean
load(CtlContexts *self, const char *path, GError **error)
{
    g_autoptr(GError) local = NULL;
    struct stat st;
    if (g_stat(path, &st) < 0)
        return errno == ENOENT || errno == ENOTDIR ? TRUE : fail(error, path, g_strerror(errno));
    if (st.st_mode & 077) {
        g_set_error(error, CTL_ERROR, CTL_EXIT_FAILED,
                    _("%s can be read or written by others, and the logins in it are worth nothing: remove it, revoke "
                      "its tokens on the servers and log in again"),
                    path);
        return FALSE;
    }
    if (g_key_file_load_from_file(self->keys, path, G_KEY_FILE_NONE, &local) || st.st_size == 0)
        return TRUE;
    return fail(error, path, local->message);
}

CtlContexts *
ctl_contexts_open(gboolean change, GError **error)
{
    g_autoptr(CtlContexts) self = g_new0(CtlContexts, 1);
    g_autofree char *path = ctl_contexts_path();
    self->keys = g_key_file_new();
    self->lock = -1;
    if ((change && !lock_folder(self, path, error)) || !load(self, path, error))
        return NULL;
    return g_steal_pointer(&self);
}

gboolean
ctl_contexts_save(CtlContexts *self, GError **error)
{
    g_autofree char *path = ctl_contexts_path();
    g_autoptr(GError) local = NULL;
    gsize length;
    char *text = g_key_file_to_data(self->keys, &length, NULL);
    gboolean done = g_file_set_contents_full(
        path, text, (gssize)length, G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0600, &local);
    explicit_bzero(text, length);
    g_free(text);
    return done || fail(error, path, local->message);
}

void
ctl_contexts_free(CtlContexts *self)
{
    if (!self)
        return;
    if (self->lock >= 0)
        close(self->lock);
    g_key_file_unref(self->keys);
    g_free(self);
}

/* ---- One context ----------------------------------------------------------------------------------------------- */

static char *
group_of(const char *name)
{
    return g_strconcat(GROUP, name, NULL);
}

char **
ctl_contexts_names(CtlContexts *self)
{
    g_auto(GStrv) groups = g_key_file_get_groups(self->keys, NULL);
    g_autoptr(GStrvBuilder) names = g_strv_builder_new();
    for (char **g = groups; *g; g++)
        if (g_str_has_prefix(*g, GROUP))
            g_strv_builder_add(names, *g + strlen(GROUP));
    return g_strv_builder_end(names);
}

static CtlContext *
read_one(CtlContexts *self, const char *name)
{
    g_autofree char *group = group_of(name);
    CtlContext *c = g_new0(CtlContext, 1);
    c->name = g_strdup(name);
    c->url = g_key_file_get_string(self->keys, group, "server", NULL);
    c->fingerprint = g_key_file_get_string(self->keys, group, "fingerprint", NULL);
    c->token = g_key_file_get_string(self->keys, group, "token", NULL);
    c->token_id = g_key_file_get_string(self->keys, group, "token-id", NULL);
    c->subject = g_key_file_get_string(self->keys, group, "user", NULL);
    c->rights = g_key_file_get_string(self->keys, group, "rights", NULL);
    c->expires = g_key_file_get_int64(self->keys, group, "expires", NULL);
    return c;
}

CtlContext *
ctl_contexts_get(CtlContexts *self, const char *name, GError **error)
{
    g_auto(GStrv) names = ctl_contexts_names(self);
    if (g_strv_contains((const char *const *)names, name)) {
        g_autoptr(CtlContext) found = read_one(self, name);
        if (found->url)
            return g_steal_pointer(&found);
    }
    g_autoptr(GPtrArray) known = g_ptr_array_new();
    for (char **n = names; *n; n++)
        g_ptr_array_add(known, *n);
    const char *nearest = ctl_nearest(name, known);
    if (nearest)
        g_set_error(error, CTL_ERROR, CTL_EXIT_NOT_FOUND, _("there is no context \"%s\"; did you mean \"%s\"?"), name,
                    nearest);
    else
        g_set_error(error, CTL_ERROR, CTL_EXIT_NOT_FOUND,
                    _("there is no context \"%s\"; \"laresctl login --server URL\" makes one"), name);
    return NULL;
}

CtlContext *
ctl_contexts_find(CtlContexts *self, const char *url)
{
    g_auto(GStrv) names = ctl_contexts_names(self);
    for (char **n = names; *n; n++) {
        g_autoptr(CtlContext) one = read_one(self, *n);
        if (g_strcmp0(one->url, url) == 0)
            return g_steal_pointer(&one);
    }
    return NULL;
}

static void
put_text(GKeyFile *keys, const char *group, const char *key, const char *value)
{
    if (value)
        g_key_file_set_string(keys, group, key, value);
    else
        g_key_file_remove_key(keys, group, key, NULL);
}

void
ctl_contexts_put(CtlContexts *self, const CtlContext *c)
{
    g_autofree char *group = group_of(c->name);
    put_text(self->keys, group, "server", c->url);
    put_text(self->keys, group, "fingerprint", c->fingerprint);
    put_text(self->keys, group, "token", c->token);
    put_text(self->keys, group, "token-id", c->token_id);
    put_text(self->keys, group, "user", c->subject);
    put_text(self->keys, group, "rights", c->rights);
    g_key_file_set_int64(self->keys, group, "expires", c->expires);
}

void
ctl_contexts_drop(CtlContexts *self, const char *name)
{
    g_autofree char *group = group_of(name);
    g_autofree char *current = ctl_contexts_current(self);
    g_key_file_remove_group(self->keys, group, NULL);
    if (g_strcmp0(current, name) == 0)
        ctl_contexts_set_current(self, NULL);
}

char *
ctl_contexts_current(CtlContexts *self)
{
    return g_key_file_get_string(self->keys, OWN, "current", NULL);
}

void
ctl_contexts_set_current(CtlContexts *self, const char *name)
{
    put_text(self->keys, OWN, "current", name && !g_str_equal(name, LOCAL) ? name : NULL);
}

gboolean
ctl_context_name_ok(const char *name, GError **error)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    if (*name && strlen(name) <= 64 && name[strspn(name, letters)] == '\0' && !g_str_equal(name, LOCAL))
        return TRUE;
    g_set_error(error, CTL_ERROR, CTL_EXIT_USAGE,
                _("\"%s\" cannot name a context: take letters, digits, dots and dashes, and not \"local\""), name);
    return FALSE;
}

/* ---- Addresses ------------------------------------------------------------------------------------------------- */

char *
ctl_url_of(const char *text, GError **error)
{
    g_autofree char *full = strstr(text, "://") ? g_strdup(text) : g_strconcat("https://", text, NULL);
    g_autoptr(GUri) uri = g_uri_parse(full, G_URI_FLAGS_NONE, NULL);
    const char *host = uri ? g_uri_get_host(uri) : NULL;
    if (!host || !*host || !g_str_equal(g_uri_get_scheme(uri), "https") || g_uri_get_userinfo(uri) ||
        g_uri_get_query(uri) || g_uri_get_fragment(uri) || strlen(g_uri_get_path(uri)) > 1) {
        g_set_error(error, CTL_ERROR, CTL_EXIT_USAGE,
                    _("\"%s\" is not the address of a server: it looks like https://nas.home.lan:%d"), text,
                    DEFAULT_PORT);
        return NULL;
    }
    g_autofree char *lower = g_ascii_strdown(host, -1);
    int port = g_uri_get_port(uri) > 0 ? g_uri_get_port(uri) : DEFAULT_PORT;
    return g_strdup_printf(strchr(lower, ':') ? "https://[%s]:%d" : "https://%s:%d", lower, port);
}

char *
ctl_url_host(const char *url)
{
    g_autoptr(GUri) uri = g_uri_parse(url, G_URI_FLAGS_NONE, NULL);
    return g_strdup(uri ? g_uri_get_host(uri) : "");
}

char *
ctl_context_name_for(const char *url)
{
    g_autoptr(GUri) uri = g_uri_parse(url, G_URI_FLAGS_NONE, NULL);
    char *name = g_uri_get_port(uri) == DEFAULT_PORT
                     ? g_strdup(g_uri_get_host(uri))
                     : g_strdup_printf("%s-%d", g_uri_get_host(uri), g_uri_get_port(uri));
    return g_strdelimit(name, ":%", '-');
}

/* ---- Which server a command is for ------------------------------------------------------------------------------- */

static const char *
from_environment(const char *name)
{
    const char *value = g_getenv(name);
    return value && *value ? value : NULL;
}

/* NULL: this machine's. Root's commands go to another server only where they say so: a login that was forgotten must
 * not send them there. */
static char *
wanted_name(const CtlCall *call, CtlContexts *contexts, gboolean also_root)
{
    const char *named = call->context ? call->context : from_environment("LARES_CONTEXT");
    if (named)
        return g_str_equal(named, LOCAL) ? NULL : g_strdup(named);
    return geteuid() == 0 && !also_root ? NULL : ctl_contexts_current(contexts);
}

CtlContext *
ctl_contexts_chosen(const CtlCall *call, CtlContexts *contexts, gboolean also_root, GError **error)
{
    if (call->server) {
        g_autofree char *url = ctl_url_of(call->server, error);
        CtlContext *found = url ? ctl_contexts_find(contexts, url) : NULL;
        if (url && !found)
            g_set_error(error, CTL_ERROR, CTL_EXIT_DENIED,
                        _("you are not logged in to %s: \"laresctl login --server %s\""), url, url);
        return found;
    }
    g_autofree char *name = wanted_name(call, contexts, also_root);
    return name ? ctl_contexts_get(contexts, name, error) : NULL;
}

gboolean
ctl_target(const CtlCall *call, CtlContext **context, GError **error)
{
    *context = NULL;
    if (call->socket || (!call->server && !call->context && from_environment("LARES_SOCKET")))
        return TRUE;
    if (!call->server && !call->context && !from_environment("LARES_CONTEXT") && geteuid() == 0)
        return TRUE; /* whatever the file holds */
    GError *local = NULL;
    g_autoptr(CtlContexts) contexts = ctl_contexts_open(FALSE, error);
    if (!contexts)
        return FALSE;
    g_autoptr(CtlContext) chosen = ctl_contexts_chosen(call, contexts, FALSE, &local);
    if (local) {
        g_propagate_error(error, local);
        return FALSE;
    }
    if (chosen && (!chosen->token || chosen->expires <= g_get_real_time() / G_USEC_PER_SEC)) {
        ctl_set_logged_out(chosen, error);
        return FALSE;
    }
    *context = g_steal_pointer(&chosen);
    return TRUE;
}

void
ctl_set_logged_out(const CtlContext *context, GError **error)
{
    if (context->token)
        g_set_error(error, CTL_ERROR, CTL_EXIT_DENIED,
                    _("your login to %s has ended (it ran out or was revoked): \"laresctl login --context %s\""),
                    context->url, context->name);
    else
        g_set_error(error, CTL_ERROR, CTL_EXIT_DENIED, _("you are logged out of %s: \"laresctl login --context %s\""),
                    context->url, context->name);
}
