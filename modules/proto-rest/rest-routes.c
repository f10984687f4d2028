/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The resources: which verb each method of each path is. A verb whose module is not loaded answers 404 with its reason.
 */
#include "rest.h"

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

    LIST("/sessions", "session.list", "id"),
    CHANGE("DELETE", "/sessions/{id}", "session.end", NULL),

    LIST("/modules", "module.list", "name"),
    SHOW("/modules/{name}", "module.show"),
    CHANGE("PATCH", "/modules/{name}", "module.set", "module.show"),
    ACT("/modules/{name}/enable", "module.enable", "module.show"),
    ACT("/modules/{name}/disable", "module.disable", "module.show"),

    SHOW("/kerberos/status", "kerberos.status"),

    CREATE("/realm", "realm.create", NULL),
    SHOW("/realm", "realm.status"),
    CHANGE("DELETE", "/realm", "realm.remove", "realm.status"),
    ACT("/realm/rotate", "realm.rotate", NULL),
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
