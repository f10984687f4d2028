/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Inside proto-dbus: org.lares.Lares1, made from its XML.
 *
 * A method is a verb and an object is a row of a list verb, by the annotations of data/dbus/org.lares.Lares1.xml: what
 * stands there is served, and nothing is written twice.
 *
 * Thread: main. */
#pragma once

#include <gio/gio.h>
#include <lares/lares.h>

#define BUS_ROOM "dbus"
#define BUS_NAME "org.lares.Lares1"
#define BUS_PATH "/org/lares/Lares1"
/* Interfaces of objects in the XML. */
#define BUS_KINDS 7

typedef struct _BusServer BusServer;

struct _BusServer {
    GObject parent;
    LaresHost *host;
    LaresSettings *settings;
    GCancellable *cancel;
    GDBusConnection *connection;
    GDBusObjectManagerServer *manager;
    guint name, watch, refresh, sessions, retry;
    gboolean owned;
    /* By kind of object: whether it must be looked at, how long that took the last time, and when that was. */
    gboolean stale[BUS_KINDS];
    gint64 took[BUS_KINDS], looked[BUS_KINDS];
    char *problem;
    guint asking;       /* calls that wait for polkit */
    GHashTable *things; /* object path -> BusThing, borrowed from the manager */
};

GType bus_server_get_type(void);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BusServer, g_object_unref)

/* ---- Objects: dbus-thing.c -----------------------------------------------------------------------------------------
 */

typedef struct _BusThing BusThing;

/* The skeleton of one object. `key` NULL: there is one of its kind only. */
BusThing *bus_thing_new(BusServer *bus, GDBusInterfaceInfo *info, const char *key, GVariant *row);
/* Tells the bus about what differs from before. */
void bus_thing_update(BusThing *thing, GVariant *row);
const char *bus_thing_key(BusThing *thing);
GDBusInterfaceInfo *bus_thing_info(BusThing *thing);

/* ---- Calls: dbus-call.c ---------------------------------------------------------------------------------------------
 */

/* Answers the call, now or when it is known who calls and what they may. */
void bus_call(BusServer *bus, BusThing *thing, GDBusMethodInvocation *invocation);
/* The value of an annotation such as "org.lares.Verb"; NULL. */
const char *bus_annotation(GDBusAnnotationInfo **annotations, const char *name);
