/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A protocol module: what the core asks of it. The data plane itself goes through net.h.
 *
 * Thread: all functions are called in the main thread. */
#pragma once

#include <lares/types.h>

G_BEGIN_DECLS

#define LARES_TYPE_PROTOCOL (lares_protocol_get_type())
LARES_API
G_DECLARE_INTERFACE(LaresProtocol, lares_protocol, LARES, PROTOCOL, GObject)

struct _LaresProtocolInterface {
    GTypeInterface g_iface;

    const char *(*get_name)(LaresProtocol *self); /* "nfs4" */
    /* After all modules are loaded: open listeners. A protocol that cannot start costs only itself. */
    gboolean (*start)(LaresProtocol *self, LaresHost *host, GError **error);
    /* Close listeners and give back everything; clients' state that must survive is on disk already. */
    void (*stop)(LaresProtocol *self);
    /* For `session list`: aa{sv}, each with at least "id" (s), "client" (s), "user" (s), "flavor" (s), "since" (x). */
    GVariant *(*list_sessions)(LaresProtocol *self);
    /* For `session end`; FALSE when there is no such id. */
    gboolean (*end_session)(LaresProtocol *self, const char *id);
    /* For `status`: a{sv} or NULL. */
    GVariant *(*get_status)(LaresProtocol *self);
};

LARES_API const char *lares_protocol_get_name(LaresProtocol *self);
LARES_API gboolean lares_protocol_start(LaresProtocol *self, LaresHost *host, GError **error);
LARES_API void lares_protocol_stop(LaresProtocol *self);
LARES_API GVariant *lares_protocol_list_sessions(LaresProtocol *self);
LARES_API gboolean lares_protocol_end_session(LaresProtocol *self, const char *id);
LARES_API GVariant *lares_protocol_get_status(LaresProtocol *self);

G_END_DECLS
