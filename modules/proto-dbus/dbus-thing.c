/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One object on the bus: its interface comes from the XML, its properties from a row of its list verb. */
#include "dbus.h"

#include <string.h>

typedef struct {
    GDBusInterfaceSkeletonClass parent;
} BusThingClass;

struct _BusThing {
    GDBusInterfaceSkeleton parent;
    BusServer *bus;
    GDBusInterfaceInfo *info;
    char *key;
    GVariant *properties; /* a{sv} under their names on the bus */
};

GType bus_thing_get_type(void);
G_DEFINE_FINAL_TYPE(BusThing, bus_thing, G_TYPE_DBUS_INTERFACE_SKELETON)

const char *
bus_thing_key(BusThing *thing)
{
    return thing->key;
}

GDBusInterfaceInfo *
bus_thing_info(BusThing *thing)
{
    return thing->info;
}

/* ---- Properties ------------------------------------------------------------------------------------------------ */

/* "ReadOnly" -> "read-only". */
static char *
member_of(const char *property)
{
    GString *name = g_string_new(NULL);
    for (const char *at = property; *at; at++) {
        if (g_ascii_isupper(*at) && at != property)
            g_string_append_c(name, '-');
        g_string_append_c(name, g_ascii_tolower(*at));
    }
    return g_string_free(name, FALSE);
}

/* What a row leaves out is the type's nothing: D-Bus has no null. */
static GVariant *
nothing(const char *signature)
{
    switch (signature[0]) {
    case 's':
        return g_variant_new_string("");
    case 'b':
        return g_variant_new_boolean(FALSE);
    case 'x':
        return g_variant_new_int64(0);
    case 'u':
        return g_variant_new_uint32(0);
    default:
        return g_variant_new_array(G_VARIANT_TYPE(signature + 1), NULL, 0);
    }
}

static GVariant *
properties_of(GDBusInterfaceInfo *info, GVariant *row)
{
    GVariantBuilder b;
    g_variant_builder_init(&b, G_VARIANT_TYPE_VARDICT);
    for (guint i = 0; info->properties && info->properties[i]; i++) {
        const GDBusPropertyInfo *p = info->properties[i];
        g_autofree char *member = member_of(p->name);
        GVariant *value = g_variant_lookup_value(row, member, G_VARIANT_TYPE(p->signature));
        g_variant_builder_add(&b, "{sv}", p->name, value ? value : nothing(p->signature));
        if (value)
            g_variant_unref(value);
    }
    return g_variant_ref_sink(g_variant_builder_end(&b));
}

static void
emit_changed(BusThing *self, GVariantBuilder *changed)
{
    g_autolist(GDBusConnection) connections =
        g_dbus_interface_skeleton_get_connections(G_DBUS_INTERFACE_SKELETON(self));
    g_autoptr(GVariant) body = g_variant_ref_sink(g_variant_new("(sa{sv}as)", self->info->name, changed, NULL));
    const char *path = g_dbus_interface_skeleton_get_object_path(G_DBUS_INTERFACE_SKELETON(self));
    for (GList *at = connections; at; at = at->next)
        g_dbus_connection_emit_signal(at->data, NULL, path, "org.freedesktop.DBus.Properties", "PropertiesChanged",
                                      body, NULL);
}

void
bus_thing_update(BusThing *self, GVariant *row)
{
    g_autoptr(GVariant) before = self->properties;
    GVariantBuilder changed;
    GVariantIter iter;
    const char *name;
    GVariant *value;
    guint n = 0;
    self->properties = properties_of(self->info, row);
    g_variant_builder_init(&changed, G_VARIANT_TYPE_VARDICT);
    g_variant_iter_init(&iter, self->properties);
    while (g_variant_iter_next(&iter, "{&sv}", &name, &value)) {
        g_autoptr(GVariant) owned = value;
        g_autoptr(GVariant) old = g_variant_lookup_value(before, name, NULL);
        if (old && g_variant_equal(old, owned))
            continue;
        g_variant_builder_add(&changed, "{sv}", name, owned);
        n++;
    }
    if (n)
        emit_changed(self, &changed);
    else
        g_variant_builder_clear(&changed);
}

/* ---- The skeleton ---------------------------------------------------------------------------------------------- */

static void
on_call(GDBusConnection *connection, const char *sender, const char *path, const char *interface, const char *method,
        GVariant *parameters, GDBusMethodInvocation *invocation, gpointer user)
{
    BusThing *self = user;
    bus_call(self->bus, self, invocation);
}

static GVariant *
on_get(GDBusConnection *connection, const char *sender, const char *path, const char *interface, const char *property,
       GError **error, gpointer user)
{
    BusThing *self = user;
    return g_variant_lookup_value(self->properties, property, NULL);
}

static GDBusInterfaceInfo *
get_info(GDBusInterfaceSkeleton *skeleton)
{
    return ((BusThing *)skeleton)->info;
}

static GDBusInterfaceVTable *
get_vtable(GDBusInterfaceSkeleton *skeleton)
{
    static GDBusInterfaceVTable vtable = {on_call, on_get, NULL, {0}};
    return &vtable;
}

static GVariant *
get_properties(GDBusInterfaceSkeleton *skeleton)
{
    return g_variant_ref(((BusThing *)skeleton)->properties);
}

static void
flush(GDBusInterfaceSkeleton *skeleton)
{
}

static void
finalize(GObject *object)
{
    BusThing *self = (BusThing *)object;
    g_free(self->key);
    g_clear_pointer(&self->properties, g_variant_unref);
    g_dbus_interface_info_unref(self->info);
    G_OBJECT_CLASS(bus_thing_parent_class)->finalize(object);
}

static void
bus_thing_class_init(BusThingClass *class)
{
    G_OBJECT_CLASS(class)->finalize = finalize;
    class->parent.get_info = get_info;
    class->parent.get_vtable = get_vtable;
    class->parent.get_properties = get_properties;
    class->parent.flush = flush;
}

static void
bus_thing_init(BusThing *self)
{
}

BusThing *
bus_thing_new(BusServer *bus, GDBusInterfaceInfo *info, const char *key, GVariant *row)
{
    BusThing *self = g_object_new(bus_thing_get_type(), NULL);
    self->bus = bus;
    self->info = g_dbus_interface_info_ref(info);
    self->key = g_strdup(key);
    self->properties = properties_of(info, row);
    return self;
}
