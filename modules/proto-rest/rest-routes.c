/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The resources: which verb each method of each path is. A verb whose module is not loaded answers 404 with its reason.
 */
#include "rest.h"

#include <string.h>

#define LIST(path_, verb_, key_)                                                                                       \
    {                                                                                                                  \
        .method = "GET", .path = path_, .verb = verb_, .key = key_                                                     \
    }
#define CREATE(path_, verb_, key_)                                                                                     \
    {                                                                                                                  \
        .method = "POST", .path = path_, .verb = verb_, .key = key_, .creates = TRUE                                   \
    }
#define SHOW(path_, verb_)                                                                                             \
    {                                                                                                                  \
        .method = "GET", .path = path_, .verb = verb_, .show = verb_                                                   \
    }
#define CHANGE(method_, path_, verb_, show_)                                                                           \
    {                                                                                                                  \
        .method = method_, .path = path_, .verb = verb_, .show = show_                                                 \
    }
#define ACT(path_, verb_, show_)                                                                                       \
    {                                                                                                                  \
        .method = "POST", .path = path_, .verb = verb_, .show = show_                                                  \
    }

const RestRoute rest_routes[] = {
    SHOW("/status", "status"),
    {.method = "GET", .path = "/health", .verb = "health", .open = TRUE},
    SHOW("/version", "version"),
    {.method = "GET", .path = "/metrics", .verb = "metrics", .text = TRUE},
    ACT("/reload", "server.reload", NULL),

    LIST("/shares", "share.list", "name"),
    CREATE("/shares", "share.create", "name"),
    SHOW("/shares/{name}", "share.show"),
    CHANGE("PATCH", "/shares/{name}", "share.set", "share.show"),
    CHANGE("DELETE", "/shares/{name}", "share.remove", "share.show"),
    ACT("/shares/{name}/enable", "share.enable", "share.show"),
    ACT("/shares/{name}/disable", "share.disable", "share.show"),
    SHOW("/shares/{name}/security", "share.security.show"),
    CHANGE("PATCH", "/shares/{name}/security", "share.security.set", "share.security.show"),

    LIST("/users", "user.list", "name"),
    CREATE("/users", "user.add", "name"),
    ACT("/users/import", "user.import", NULL),
    SHOW("/users/{name}", "user.show"),
    CHANGE("PATCH", "/users/{name}", "user.set", "user.show"),
    CHANGE("DELETE", "/users/{name}", "user.delete", "user.show"),
    ACT("/users/{name}/enable", "user.enable", "user.show"),
    ACT("/users/{name}/disable", "user.disable", "user.show"),
    CHANGE("PUT", "/users/{name}/password", "user.passwd", NULL),
    LIST("/ntlm-users", "user.ntlm.list", "name"),
    CHANGE("PUT", "/users/{name}/ntlm", "user.ntlm.enable", NULL),
    CHANGE("DELETE", "/users/{name}/ntlm", "user.ntlm.disable", NULL),

    LIST("/groups", "group.list", "name"),
    CREATE("/groups", "group.add", "name"),
    SHOW("/groups/{name}", "group.show"),
    CHANGE("PATCH", "/groups/{name}", "group.set", "group.show"),
    CHANGE("DELETE", "/groups/{name}", "group.delete", "group.show"),
    CHANGE("PUT", "/groups/{name}/members/{member}", "group.add-member", "group.show"),
    CHANGE("DELETE", "/groups/{name}/members/{member}", "group.remove-member", "group.show"),

    LIST("/mappings", "mapping.list", "principal"),
    CHANGE("PUT", "/mappings/{principal}", "mapping.set", NULL),
    CHANGE("DELETE", "/mappings/{principal}", "mapping.delete", NULL),

    SHOW("/principals/{principal}", "mapping.test"),

    LIST("/domains", "domain.list", "sid"),
    LIST("/sids", "sid.list", "sid"),
    CHANGE("PUT", "/sids/{sid}", "sid.name", NULL),

    LIST("/sessions", "session.list", "id"),
    CHANGE("DELETE", "/sessions/{id}", "session.end", NULL),

    {.method = "GET", .path = "/opens", .verb = "open.list", .paged = TRUE},
    {.method = "GET", .path = "/locks", .verb = "lock.list", .paged = TRUE},

    LIST("/modules", "module.list", "name"),
    SHOW("/modules/{name}", "module.show"),
    CHANGE("PATCH", "/modules/{name}", "module.set", "module.show"),
    ACT("/modules/{name}/enable", "module.enable", "module.show"),
    ACT("/modules/{name}/disable", "module.disable", "module.show"),

    ACT("/doctor", "doctor", NULL),
    SHOW("/doctor", "doctor.show"),

    SHOW("/kerberos/status", "kerberos.status"),
    ACT("/kerberos/test", "kerberos.test", NULL),
    ACT("/kerberos/init", "kerberos.init", NULL),
    SHOW("/kerberos/init", "kerberos.init.show"),

    CREATE("/realm", "realm.create", NULL),
    SHOW("/realm", "realm.status"),
    CHANGE("DELETE", "/realm", "realm.remove", "realm.status"),
    ACT("/realm/rotate", "realm.rotate", NULL),
    ACT("/realm/keytab", "realm.keytab", NULL),
    LIST("/realm/users", "realm.user.list", "name"),
    CREATE("/realm/users", "realm.user.add", "name"),
    SHOW("/realm/users/{name}", "realm.user.show"),
    CHANGE("DELETE", "/realm/users/{name}", "realm.user.remove", NULL),
    CHANGE("PUT", "/realm/users/{name}/password", "realm.user.passwd", NULL),
    ACT("/realm/users/{name}/enable", "realm.user.enable", NULL),
    ACT("/realm/users/{name}/disable", "realm.user.disable", NULL),
    LIST("/realm/hosts", "realm.host.list", "name"),
    CREATE("/realm/hosts", "realm.host.add", "name"),
    CHANGE("DELETE", "/realm/hosts/{name}", "realm.host.remove", NULL),
    ACT("/realm/hosts/{name}/keytab", "realm.host.keytab", NULL),
    SHOW("/realm/client-config", "realm.client-config"),

    LIST("/tokens", "token.list", "id"),
    CREATE("/tokens", "token.create", "id"),
    CHANGE("DELETE", "/tokens/{id}", "token.revoke", NULL),
    {NULL}};

/* Fills `words` when the path is of the route's form. Parts are compared before they are unescaped: "%2F" is a letter
 * of a name. */
static gboolean
path_matches(const RestRoute *route, char **parts, JsonObject *words)
{
    g_auto(GStrv) form = g_strsplit(route->path, "/", -1);
    guint n = g_strv_length(form);
    if (n != g_strv_length(parts))
        return FALSE;
    for (guint i = 0; i < n; i++) {
        size_t len = strlen(form[i]);
        if (form[i][0] != '{') {
            if (!g_str_equal(form[i], parts[i]))
                return FALSE;
            continue;
        }
        g_autofree char *word = g_uri_unescape_string(parts[i], NULL);
        g_autofree char *name = g_strndup(form[i] + 1, len - 2);
        if (!word || !*word || !g_utf8_validate(word, -1, NULL))
            return FALSE;
        json_object_set_string_member(words, name, word);
    }
    return TRUE;
}

const RestRoute *
rest_route_find(const char *method, const char *path, JsonObject **words, char **allowed)
{
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);
    g_autoptr(GString) others = g_string_new(NULL);
    for (const RestRoute *route = rest_routes; route->method; route++) {
        if (strncmp(route->path, path, strcspn(route->path, "{")) != 0)
            continue;
        g_autoptr(JsonObject) found = json_object_new();
        if (!path_matches(route, parts, found))
            continue;
        if (g_str_equal(route->method, method)) {
            *words = g_steal_pointer(&found);
            return route;
        }
        g_string_append_printf(others, "%s%s", others->len ? ", " : "", route->method);
        if (g_str_equal(route->method, "GET"))
            g_string_append(others, ", HEAD");
    }
    *allowed = others->len ? g_string_free(g_steal_pointer(&others), FALSE) : NULL;
    return NULL;
}
