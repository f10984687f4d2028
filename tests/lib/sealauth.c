/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An authentication provider for tests: flavor "seal", which says of itself that it protects integrity, and believes
 * the uid and gid that are its whole credential. So what asks for protected credentials can be tested without a realm.
 */
#include "sealauth.h"

static LaresFlavor seal_flavor = {
    .name = "seal", .protection = LARES_PROTECT_AUTHENTICATED, .rpc_flavor = SEAL_RPC_FLAVOR};

/* ---- The context --------------------------------------------------------------------------------------------------
 */

#define SEAL_TYPE_CONTEXT (seal_context_get_type())
G_DECLARE_FINAL_TYPE(SealContext, seal_context, SEAL, CONTEXT, GObject)

struct _SealContext {
    GObject parent_instance;
    gboolean done;
    LaresAuthPeer peer;
};

static void seal_context_iface_init(LaresAuthContextInterface *iface);
G_DEFINE_FINAL_TYPE_WITH_CODE(SealContext, seal_context, G_TYPE_OBJECT,
                              G_IMPLEMENT_INTERFACE(LARES_TYPE_AUTH_CONTEXT, seal_context_iface_init))

static void
seal_context_init(SealContext *self)
{
}

static void
seal_context_class_init(SealContextClass *class)
{
}

static LaresAuthState
seal_context_step(LaresAuthContext *context, const uint8_t *token, size_t len, GBytes **out, char **reason)
{
    SealContext *self = SEAL_CONTEXT(context);
    LaresReader r = lares_reader(token, len);
    self->peer.uid = lares_get_u32(&r);
    self->peer.gid = lares_get_u32(&r);
    self->peer.unix_ids = TRUE;
    self->done = !r.failed;
    if (self->done)
        return LARES_AUTH_ESTABLISHED;
    *reason = g_strdup("no uid and gid");
    return LARES_AUTH_FAILED;
}

static const LaresAuthPeer *
seal_context_get_peer(LaresAuthContext *context)
{
    SealContext *self = SEAL_CONTEXT(context);
    return self->done ? &self->peer : NULL;
}

static void
seal_context_iface_init(LaresAuthContextInterface *iface)
{
    iface->step = seal_context_step;
    iface->get_peer = seal_context_get_peer;
}

/* ---- The provider -------------------------------------------------------------------------------------------------
 */

#define SEAL_TYPE_PROVIDER (seal_provider_get_type())
G_DECLARE_FINAL_TYPE(SealProvider, seal_provider, SEAL, PROVIDER, GObject)

struct _SealProvider {
    GObject parent_instance;
};

static void seal_provider_iface_init(LaresAuthProviderInterface *iface);
G_DEFINE_FINAL_TYPE_WITH_CODE(SealProvider, seal_provider, G_TYPE_OBJECT,
                              G_IMPLEMENT_INTERFACE(LARES_TYPE_AUTH_PROVIDER, seal_provider_iface_init))

static void
seal_provider_init(SealProvider *self)
{
}

static void
seal_provider_class_init(SealProviderClass *class)
{
}

static const char *
seal_provider_get_name(LaresAuthProvider *provider)
{
    return "seal";
}

static const LaresFlavor *
seal_provider_get_flavors(LaresAuthProvider *provider, size_t *n)
{
    *n = 1;
    return &seal_flavor;
}

static LaresAuthContext *
seal_provider_accept(LaresAuthProvider *provider, const char *service, const LaresPeer *peer, GError **error)
{
    return g_object_new(SEAL_TYPE_CONTEXT, NULL);
}

static void
seal_provider_iface_init(LaresAuthProviderInterface *iface)
{
    iface->get_name = seal_provider_get_name;
    iface->get_flavors = seal_provider_get_flavors;
    iface->accept = seal_provider_accept;
}

gboolean
seal_load(LaresHost *host, GError **error)
{
    g_autoptr(GObject) provider = g_object_new(SEAL_TYPE_PROVIDER, NULL);
    return lares_host_add_auth_provider(host, LARES_AUTH_PROVIDER(provider), error);
}

void
seal_loaded(void)
{
    seal_flavor.protection = LARES_PROTECT_INTEGRITY;
}
