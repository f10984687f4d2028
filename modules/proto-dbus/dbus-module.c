/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The module proto-dbus: org.lares.Lares1 on the system bus (as root) or on the session bus (else).
 *
 * The objects follow what core/control tells of changes; sessions, of which nobody tells, are looked at now and then.
 */
#include "dbus.h"
#include "lares-config.h"
#include "org.lares.Lares1.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#define RETRY_SECONDS    30
#define SESSIONS_SECONDS 5
/* The main thread is everybody's: looking takes this part of it at most, one in … */
#define LOOK_SHARE 20
/* … and what takes longer than this (microseconds) is looked at without a reason only now and then. */
#define LONG_LOOK    (20 * 1000)
#define LONG_SECONDS 60
/* Lists longer than this are for the List methods: each object costs every watcher on the bus. */
#define MAX_OBJECTS 2000

static const LaresKey keys[] = {
    {"bus", LARES_KEY_STRING, "auto", 0, 0, "`system`, `session`, or `auto`: the system's when run by root."}, {NULL}};

/* What the XML says, in C (gdbus-codegen). */
static GDBusInterfaceInfo *const kinds[BUS_KINDS] = {
    (GDBusInterfaceInfo *)&org_lares_lares1_server_interface,  (GDBusInterfaceInfo *)&org_lares_lares1_share_interface,
    (GDBusInterfaceInfo *)&org_lares_lares1_user_interface,    (GDBusInterfaceInfo *)&org_lares_lares1_group_interface,
    (GDBusInterfaceInfo *)&org_lares_lares1_session_interface, (GDBusInterfaceInfo *)&org_lares_lares1_module_interface,
    (GDBusInterfaceInfo *)&org_lares_lares1_realm_interface};

typedef GObjectClass BusServerClass;

/* ---- Objects --------------------------------------------------------------------------------------------------- */

/* Letters and digits stay, every other byte becomes _XX. */
static char *
path_of(const GDBusInterfaceInfo *info, const char *key)
{
    GString *path = g_string_new(BUS_PATH "/");
    g_string_append(path, strrchr(info->name, '.') + 1);
    if (!key)
        return g_string_free(path, FALSE);
    g_string_append_c(path, '/');
    if (!*key)
        g_string_append_c(path, '_');
    for (const guchar *at = (const guchar *)key; *at; at++) {
        if (g_ascii_isalnum((char)*at))
            g_string_append_c(path, (char)*at);
        else
            g_string_append_printf(path, "_%02x", *at);
    }
    return g_string_free(path, FALSE);
}

static void
put_object(BusServer *self, GDBusInterfaceInfo *info, const char *key, GVariant *row, GHashTable *seen)
{
    g_autofree char *path = path_of(info, key);
    BusThing *thing = g_hash_table_lookup(self->things, path);
    g_hash_table_add(seen, g_strdup(path));
    if (thing) {
        bus_thing_update(thing, row);
        return;
    }
    g_autoptr(GDBusObjectSkeleton) object = g_dbus_object_skeleton_new(path);
    thing = bus_thing_new(self, info, key, row);
    g_dbus_object_skeleton_add_interface(object, G_DBUS_INTERFACE_SKELETON(thing));
    g_dbus_object_manager_server_export(self->manager, object);
    g_hash_table_insert(self->things, g_strdup(path), thing);
    g_object_unref(thing);
}

static void
drop_unseen(BusServer *self, const GDBusInterfaceInfo *info, GHashTable *seen)
{
    GHashTableIter iter;
    const char *path;
    BusThing *thing;
    g_hash_table_iter_init(&iter, self->things);
    while (g_hash_table_iter_next(&iter, (gpointer *)&path, (gpointer *)&thing)) {
        if (bus_thing_info(thing) != info || g_hash_table_contains(seen, path))
            continue;
        g_dbus_object_manager_server_unexport(self->manager, path);
        g_hash_table_iter_remove(&iter);
    }
}

/* The objects of one kind are made to be what the list verb says. */
static void
refresh_kind(BusServer *self, GDBusInterfaceInfo *info)
{
    static const LaresControlCaller caller = {
        .face = "dbus", .subject = "server", .address = "unix", .rights = LARES_RIGHT_READ};
    LaresControl *control = lares_host_control(self->host);
    const char *verb = bus_annotation(info->annotations, "org.lares.List"),
               *key = bus_annotation(info->annotations, "org.lares.Key");
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GVariant) result =
        lares_control_find(control, verb) ? lares_control_call(control, &caller, verb, NULL, NULL) : NULL;
    if (result && !key) {
        put_object(self, info, NULL, result, seen);
    } else if (result) {
        gsize n = MIN(g_variant_n_children(result), MAX_OBJECTS);
        for (gsize i = 0; i < n; i++) {
            g_autoptr(GVariant) row = g_variant_get_child_value(result, i);
            const char *name;
            if (g_variant_lookup(row, key, "&s", &name))
                put_object(self, info, name, row, seen);
        }
    }
    drop_unseen(self, info, seen);
}

/* What this thread has worked, in microseconds: that others had the processor meanwhile makes no look a long one. */
static gint64
worked(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (gint64)t.tv_sec * G_USEC_PER_SEC + t.tv_nsec / 1000;
}

static gboolean
refresh_now(gpointer user)
{
    BusServer *self = user;
    self->refresh = 0;
    for (guint i = 0; i < BUS_KINDS; i++) {
        gint64 began = worked();
        if (!self->stale[i])
            continue;
        self->stale[i] = FALSE;
        refresh_kind(self, kinds[i]);
        self->looked[i] = g_get_monotonic_time();
        self->took[i] = worked() - began;
    }
    return G_SOURCE_REMOVE;
}

/* Many changes in a row are looked at once, and the longer that takes, the more of them. */
static void
refresh_soon(BusServer *self)
{
    gint64 wait = 0, now = g_get_monotonic_time();
    for (guint i = 0; i < BUS_KINDS; i++)
        if (self->stale[i])
            wait = MAX(wait, self->looked[i] + self->took[i] * LOOK_SHARE - now);
    if (!self->refresh)
        self->refresh = g_timeout_add((guint)CLAMP(wait / 1000, 0, LONG_SECONDS * 1000), refresh_now, self);
}

/* Whether a change by `verb` may show in the objects of this kind. */
static gboolean
concerns(const char *verb, const GDBusInterfaceInfo *info)
{
    static const struct {
        const char *prefix, *kinds;
    } table[] = {{"share.", "Share"},      {"session.", "Session"}, {"user.", "User Group"},
                 {"group.", "User Group"}, {"token.", ""},          {"mapping.", ""}};
    const char *kind = strrchr(info->name, '.') + 1;
    for (guint i = 0; verb && i < G_N_ELEMENTS(table); i++)
        if (g_str_has_prefix(verb, table[i].prefix))
            return strstr(table[i].kinds, kind) != NULL || g_str_equal(kind, "Server");
    return TRUE;
}

static void
on_changed(LaresControl *control, const char *verb, const char *object, gpointer user)
{
    BusServer *self = user;
    for (guint i = 0; i < BUS_KINDS; i++)
        self->stale[i] = self->stale[i] || concerns(verb, kinds[i]);
    refresh_soon(self);
}

/* Sessions come by themselves, and users, too: a first login makes them. */
static gboolean
look_at_sessions(gpointer user)
{
    BusServer *self = user;
    gint64 now = g_get_monotonic_time();
    for (guint i = 0; i < BUS_KINDS; i++)
        self->stale[i] = self->stale[i] || self->took[i] < LONG_LOOK ||
                         now - self->looked[i] > (gint64)LONG_SECONDS * G_USEC_PER_SEC;
    refresh_soon(self);
    return G_SOURCE_CONTINUE;
}

/* ---- The bus --------------------------------------------------------------------------------------------------- */

static void connect_bus(BusServer *self);

static gboolean
try_again(gpointer user)
{
    BusServer *self = user;
    self->retry = 0;
    connect_bus(self);
    return G_SOURCE_REMOVE;
}

static void
leave_bus(BusServer *self)
{
    if (self->watch)
        lares_control_unwatch(lares_host_control(self->host), self->watch);
    if (self->name)
        g_bus_unown_name(self->name);
    const guint sources[] = {self->refresh, self->sessions, self->retry};
    for (guint i = 0; i < G_N_ELEMENTS(sources); i++)
        if (sources[i])
            g_source_remove(sources[i]);
    self->watch = self->name = self->refresh = self->sessions = self->retry = 0;
    self->owned = FALSE;
    if (self->manager)
        g_dbus_object_manager_server_set_connection(self->manager, NULL);
    g_clear_object(&self->manager);
    g_clear_pointer(&self->things, g_hash_table_unref);
    g_clear_object(&self->connection);
}

static void
set_problem(BusServer *self, const char *text)
{
    if (g_strcmp0(self->problem, text) != 0 && text)
        lares_info(BUS_ROOM, "%s", text);
    g_free(self->problem);
    self->problem = g_strdup(text);
}

static void
on_closed(GDBusConnection *connection, gboolean vanished, GError *error, gpointer user)
{
    BusServer *self = user;
    g_signal_handlers_disconnect_by_data(connection, self);
    leave_bus(self);
    set_problem(self, "the bus is gone; looking for it again");
    self->retry = g_timeout_add_seconds(RETRY_SECONDS, try_again, self);
}

static void
on_name(GDBusConnection *connection, const char *name, gpointer user)
{
    BusServer *self = user;
    self->owned = TRUE;
    set_problem(self, NULL);
    lares_info(BUS_ROOM, "%s is on the bus", name);
}

static void
on_name_lost(GDBusConnection *connection, const char *name, gpointer user)
{
    BusServer *self = user;
    self->owned = FALSE;
    set_problem(self, "the name " BUS_NAME " is not to be had: the bus's policy refuses it, or another server has it");
}

static void
on_bus(GObject *source, GAsyncResult *result, gpointer user)
{
    g_autoptr(BusServer) self = user; /* a reference of the pending call */
    g_autoptr(GError) error = NULL;
    GDBusConnection *connection = g_bus_get_finish(result, &error);
    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED) || !self->cancel) { /* stopped meanwhile */
        g_clear_object(&connection);
        return;
    }
    if (!connection) {
        g_autofree char *text = g_strdup_printf("no bus: %s", error->message);
        set_problem(self, text);
        self->retry = g_timeout_add_seconds(RETRY_SECONDS, try_again, self);
        return;
    }
    self->connection = connection;
    g_dbus_connection_set_exit_on_close(connection, FALSE);
    g_signal_connect(connection, "closed", G_CALLBACK(on_closed), self);
    self->things = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    self->manager = g_dbus_object_manager_server_new(BUS_PATH);
    for (guint i = 0; i < BUS_KINDS; i++)
        self->stale[i] = TRUE;
    refresh_now(self);
    g_dbus_object_manager_server_set_connection(self->manager, connection);
    self->watch = lares_control_watch(lares_host_control(self->host), on_changed, self);
    self->sessions = g_timeout_add_seconds(SESSIONS_SECONDS, look_at_sessions, self);
    self->name = g_bus_own_name_on_connection(connection, BUS_NAME, G_BUS_NAME_OWNER_FLAGS_NONE, on_name, on_name_lost,
                                              self, NULL);
}

static void
connect_bus(BusServer *self)
{
    const char *which = lares_settings_string(self->settings, "bus");
    gboolean system = g_str_equal(which, "system") || (g_str_equal(which, "auto") && geteuid() == 0);
    g_bus_get(system ? G_BUS_TYPE_SYSTEM : G_BUS_TYPE_SESSION, self->cancel, on_bus, g_object_ref(self));
}

/* ---- The protocol ---------------------------------------------------------------------------------------------- */

static const char *
get_name(LaresProtocol *protocol)
{
    return "dbus";
}

static gboolean
start(LaresProtocol *protocol, LaresHost *host, GError **error)
{
    static const char *const allowed[] = {"auto", "system", "session", NULL};
    BusServer *self = (BusServer *)protocol;
    const char *which = lares_settings_string(self->settings, "bus");
    if (!g_strv_contains(allowed, which)) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_CONFIG, "proto-dbus: bus = %s: must be auto, system or session",
                    which);
        return FALSE;
    }
    self->host = host;
    self->cancel = g_cancellable_new();
    connect_bus(self);
    return TRUE;
}

static void
stop(LaresProtocol *protocol)
{
    BusServer *self = (BusServer *)protocol;
    g_cancellable_cancel(self->cancel);
    if (self->connection)
        g_signal_handlers_disconnect_by_data(self->connection, self);
    leave_bus(self);
    g_clear_object(&self->cancel);
    g_clear_pointer(&self->problem, g_free);
}

static GVariant *
get_status(LaresProtocol *protocol)
{
    BusServer *self = (BusServer *)protocol;
    GVariantDict d;
    g_variant_dict_init(&d, NULL);
    g_variant_dict_insert(&d, "name", "s", BUS_NAME);
    g_variant_dict_insert(&d, "on-bus", "b", self->owned);
    if (self->problem)
        g_variant_dict_insert(&d, "problem", "s", self->problem);
    return g_variant_dict_end(&d);
}

static void
protocol_iface_init(LaresProtocolInterface *iface)
{
    iface->get_name = get_name;
    iface->start = start;
    iface->stop = stop;
    iface->get_status = get_status;
}

G_DEFINE_FINAL_TYPE_WITH_CODE(BusServer, bus_server, G_TYPE_OBJECT,
                              G_IMPLEMENT_INTERFACE(LARES_TYPE_PROTOCOL, protocol_iface_init))

static void
bus_server_class_init(BusServerClass *class)
{
}

static void
bus_server_init(BusServer *self)
{
}

static gboolean
load(LaresHost *host, LaresSettings *settings, GError **error)
{
    g_autoptr(BusServer) server = g_object_new(bus_server_get_type(), NULL);
    server->settings = settings;
    return lares_host_add_protocol(host, LARES_PROTOCOL(server), error);
}

LARES_MODULE(LARES_MODULE_PROTOCOL, "proto-dbus", .version = LARES_VERSION,
             .description = "Management over D-Bus, for desktop tools", .keys = keys, .load = load);
