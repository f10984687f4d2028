/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The LaresProtocol interface and its callers; functions a protocol may leave out have their default here. */
#include <lares/protocol.h>

G_DEFINE_INTERFACE(LaresProtocol, lares_protocol, G_TYPE_OBJECT)

static void
lares_protocol_default_init(LaresProtocolInterface *iface)
{
}

const char *
lares_protocol_get_name(LaresProtocol *self)
{
    return LARES_PROTOCOL_GET_IFACE(self)->get_name(self);
}

gboolean
lares_protocol_start(LaresProtocol *self, LaresHost *host, GError **error)
{
    return LARES_PROTOCOL_GET_IFACE(self)->start(self, host, error);
}

void
lares_protocol_stop(LaresProtocol *self)
{
    LARES_PROTOCOL_GET_IFACE(self)->stop(self);
}

GVariant *
lares_protocol_list_sessions(LaresProtocol *self)
{
    LaresProtocolInterface *iface = LARES_PROTOCOL_GET_IFACE(self);
    GVariant *list = iface->list_sessions ? iface->list_sessions(self) : NULL;
    return list ? list : g_variant_new_array(G_VARIANT_TYPE_VARDICT, NULL, 0);
}

gboolean
lares_protocol_end_session(LaresProtocol *self, const char *id)
{
    LaresProtocolInterface *iface = LARES_PROTOCOL_GET_IFACE(self);
    return iface->end_session && iface->end_session(self, id);
}

GVariant *
lares_protocol_get_status(LaresProtocol *self)
{
    LaresProtocolInterface *iface = LARES_PROTOCOL_GET_IFACE(self);
    return iface->get_status ? iface->get_status(self) : NULL;
}
