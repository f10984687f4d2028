/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The resources: which verb each method of each path is. A verb whose module is not loaded answers 404 with its reason.
 */
#include "rest.h"

#include <string.h>

/* `thing_` is what comes back (rest-things.c): of a list each item; NULL: nothing, 204. */
#define LIST(path_, verb_, key_, thing_)                                                                               \
    {                                                                                                                  \
        .method = "GET", .path = path_, .verb = verb_, .key = key_, .thing = thing_                                    \
    }
#define CREATE(path_, verb_, key_, thing_)                                                                             \
    {                                                                                                                  \
        .method = "POST", .path = path_, .verb = verb_, .key = key_, .creates = TRUE, .thing = thing_                  \
    }
#define SHOW(path_, verb_, thing_)                                                                                     \
    {                                                                                                                  \
        .method = "GET", .path = path_, .verb = verb_, .show = verb_, .thing = thing_                                  \
    }
#define CHANGE(method_, path_, verb_, show_, thing_)                                                                   \
    {                                                                                                                  \
        .method = method_, .path = path_, .verb = verb_, .show = show_, .thing = thing_                                \
    }
#define ACT(path_, verb_, show_, thing_)                                                                               \
    {                                                                                                                  \
        .method = "POST", .path = path_, .verb = verb_, .show = show_, .thing = thing_                                 \
    }

const RestRoute rest_routes[] = {
    SHOW("/status", "status", "Status"),
    {.method = "GET", .path = "/health", .verb = "health", .open = TRUE, .thing = "Health"},
    SHOW("/version", "version", "Version"),
    {.method = "GET", .path = "/metrics", .verb = "metrics", .text = TRUE},
    ACT("/reload", "server.reload", NULL, NULL),

    LIST("/shares", "share.list", "name", "Share"),
    CREATE("/shares", "share.create", "name", "Share"),
    SHOW("/shares/{name}", "share.show", "Share"),
    CHANGE("PATCH", "/shares/{name}", "share.set", "share.show", "Share"),
    CHANGE("DELETE", "/shares/{name}", "share.remove", "share.show", NULL),
    ACT("/shares/{name}/enable", "share.enable", "share.show", NULL),
    ACT("/shares/{name}/disable", "share.disable", "share.show", NULL),
    SHOW("/shares/{name}/security", "share.security.show", "ShareSecurity"),
    CHANGE("PATCH", "/shares/{name}/security", "share.security.set", "share.security.show", "ShareSecurity"),

    LIST("/users", "user.list", "name", "User"),
    CREATE("/users", "user.add", "name", "User"),
    ACT("/users/import", "user.import", NULL, "UserImport"),
    SHOW("/users/{name}", "user.show", "User"),
    CHANGE("PATCH", "/users/{name}", "user.set", "user.show", "User"),
    CHANGE("DELETE", "/users/{name}", "user.delete", "user.show", "UserRemoved"),
    ACT("/users/{name}/enable", "user.enable", "user.show", NULL),
    ACT("/users/{name}/disable", "user.disable", "user.show", NULL),
    CHANGE("PUT", "/users/{name}/password", "user.passwd", NULL, "PasswordSet"),
    LIST("/ntlm-users", "user.ntlm.list", "name", "NtlmUser"),
    CHANGE("PUT", "/users/{name}/ntlm", "user.ntlm.enable", NULL, NULL),
    CHANGE("DELETE", "/users/{name}/ntlm", "user.ntlm.disable", NULL, NULL),

    LIST("/groups", "group.list", "name", "Group"),
    CREATE("/groups", "group.add", "name", "Nothing"),
    SHOW("/groups/{name}", "group.show", "Group"),
    CHANGE("PATCH", "/groups/{name}", "group.set", "group.show", "Group"),
    CHANGE("DELETE", "/groups/{name}", "group.delete", "group.show", NULL),
    CHANGE("PUT", "/groups/{name}/members/{member}", "group.add-member", "group.show", NULL),
    CHANGE("DELETE", "/groups/{name}/members/{member}", "group.remove-member", "group.show", NULL),

    LIST("/mappings", "mapping.list", "principal", "Mapping"),
    CHANGE("PUT", "/mappings/{principal}", "mapping.set", NULL, NULL),
    CHANGE("DELETE", "/mappings/{principal}", "mapping.delete", NULL, NULL),

    SHOW("/principals/{principal}", "mapping.test", "Principal"),

    LIST("/domains", "domain.list", "sid", "Domain"),
    LIST("/sids", "sid.list", "sid", "Sid"),
    CHANGE("PUT", "/sids/{sid}", "sid.name", NULL, NULL),

    LIST("/sessions", "session.list", "id", "Session"),
    CHANGE("DELETE", "/sessions/{id}", "session.end", NULL, NULL),

    {.method = "GET", .path = "/opens", .verb = "open.list", .paged = TRUE, .thing = "Open"},
    {.method = "GET", .path = "/locks", .verb = "lock.list", .paged = TRUE, .thing = "Lock"},

    LIST("/modules", "module.list", "name", "Module"),
    SHOW("/modules/{name}", "module.show", "ModuleSettings"),
    CHANGE("PATCH", "/modules/{name}", "module.set", "module.show", "ModuleSettings"),
    ACT("/modules/{name}/enable", "module.enable", "module.show", "ModuleSettings"),
    ACT("/modules/{name}/disable", "module.disable", "module.show", "ModuleSettings"),

    ACT("/doctor", "doctor", NULL, "Doctor"),
    SHOW("/doctor", "doctor.show", "Doctor"),

    SHOW("/kerberos/status", "kerberos.status", "KerberosStatus"),
    ACT("/kerberos/test", "kerberos.test", NULL, "Doctor"),
    ACT("/kerberos/init", "kerberos.init", NULL, "KerberosInit"),
    SHOW("/kerberos/init", "kerberos.init.show", "KerberosInit"),

    CREATE("/realm", "realm.create", NULL, "RealmMade"),
    SHOW("/realm", "realm.status", "Realm"),
    CHANGE("DELETE", "/realm", "realm.remove", "realm.status", "Nothing"),
    ACT("/realm/rotate", "realm.rotate", NULL, "Rotation"),
    ACT("/realm/keytab", "realm.keytab", NULL, "RealmKeytab"),
    LIST("/realm/users", "realm.user.list", "name", "RealmPrincipal"),
    CREATE("/realm/users", "realm.user.add", "name", "Nothing"),
    SHOW("/realm/users/{name}", "realm.user.show", "RealmPrincipal"),
    CHANGE("DELETE", "/realm/users/{name}", "realm.user.remove", NULL, "Nothing"),
    CHANGE("PUT", "/realm/users/{name}/password", "realm.user.passwd", NULL, "Nothing"),
    ACT("/realm/users/{name}/enable", "realm.user.enable", NULL, "Nothing"),
    ACT("/realm/users/{name}/disable", "realm.user.disable", NULL, "Nothing"),
    LIST("/realm/hosts", "realm.host.list", "name", "RealmPrincipal"),
    CREATE("/realm/hosts", "realm.host.add", "name", "HostKeytab"),
    CHANGE("DELETE", "/realm/hosts/{name}", "realm.host.remove", NULL, "HostRemoved"),
    ACT("/realm/hosts/{name}/keytab", "realm.host.keytab", NULL, "HostKeytab"),
    SHOW("/realm/client-config", "realm.client-config", "ClientConfig"),

    LIST("/tokens", "token.list", "id", "Token"),
    CREATE("/tokens", "token.create", "id", "TokenMade"),
    CHANGE("DELETE", "/tokens/{id}", "token.revoke", NULL, NULL),
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
