/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* AUTH_SYS and AUTH_NONE: the client says who it is, or that it is nobody in particular.
 *
 * The one token of step() is the credential body of the RPC call. Nothing is proven; a share that wants proof has no
 * such flavor in its list.
 *
 * Spec: RFC 5531 8.2 and appendix A (authsys_parms), 10.1 (AUTH_NONE). */
#include <lares/lares.h>
#include <string.h>

#define MACHINE_NAME_MAX 255 /* RFC 5531 appendix A */
#define GROUPS_MAX       16

/* One provider each: a context has to know which of the two credentials it reads. */
typedef enum { KIND_SYS, KIND_NONE } Kind;

static const LaresFlavor flavors[] = {
    [KIND_SYS] = {.name = "sys", .protection = LARES_PROTECT_NONE, .rpc_flavor = 1},
    [KIND_NONE] = {.name = "none", .protection = LARES_PROTECT_NONE, .rpc_flavor = 0},
};

/* ---- The context ----------------------------------------------------------------------------------------------- */

#define LARES_TYPE_SYS_CONTEXT (lares_sys_context_get_type())
G_DECLARE_FINAL_TYPE(LaresSysContext, lares_sys_context, LARES, SYS_CONTEXT, GObject)

struct _LaresSysContext {
    GObject parent_instance;
    Kind kind;
    gboolean done;
    LaresAuthPeer peer;
    uint32_t groups[GROUPS_MAX];
    char machine_name[MACHINE_NAME_MAX + 1];
};

static void sys_context_iface_init(LaresAuthContextInterface *iface);
G_DEFINE_FINAL_TYPE_WITH_CODE(LaresSysContext, lares_sys_context, G_TYPE_OBJECT,
                              G_IMPLEMENT_INTERFACE(LARES_TYPE_AUTH_CONTEXT, sys_context_iface_init))

static void
lares_sys_context_init(LaresSysContext *self)
{
}

static void
lares_sys_context_class_init(LaresSysContextClass *class)
{
}

/* What the client calls itself goes to logs only: anything but plain text is blotted out. */
static void
keep_machine_name(LaresSysContext *self, const uint8_t *name, size_t len)
{
    for (size_t i = 0; i < len; i++)
        self->machine_name[i] = g_ascii_isgraph((char)name[i]) ? (char)name[i] : '?';
    self->machine_name[len] = '\0';
    self->peer.machine_name = self->machine_name;
}

/* authsys_parms, to the last byte. */
static gboolean
parse_parms(LaresSysContext *self, const uint8_t *token, size_t len)
{
    size_t name_len;
    LaresReader r = lares_reader(token, len);
    lares_get_u32(&r); /* stamp: the client's own business */
    const uint8_t *name = lares_get_opaque(&r, MACHINE_NAME_MAX, &name_len);
    self->peer.uid = lares_get_u32(&r);
    self->peer.gid = lares_get_u32(&r);
    uint32_t n = lares_get_u32(&r);
    if (r.failed || n > GROUPS_MAX)
        return FALSE;
    for (uint32_t i = 0; i < n; i++)
        self->groups[i] = lares_get_u32(&r);
    if (r.failed || lares_reader_left(&r) != 0)
        return FALSE;
    if (name)
        keep_machine_name(self, name, name_len);
    self->peer.groups = self->groups;
    self->peer.n_groups = n;
    self->peer.unix_ids = TRUE;
    return TRUE;
}

static LaresAuthState
sys_context_step(LaresAuthContext *context, const uint8_t *token, size_t len, GBytes **out, char **reason)
{
    LaresSysContext *self = LARES_SYS_CONTEXT(context);
    if (self->done) {
        *reason = g_strdup("a second credential in one context");
        return LARES_AUTH_FAILED;
    }
    if (self->kind == KIND_NONE ? len != 0 : !parse_parms(self, token, len)) {
        *reason = g_strdup(self->kind == KIND_NONE ? "AUTH_NONE with a body" : "malformed authsys_parms");
        return LARES_AUTH_FAILED;
    }
    self->peer.anonymous = self->kind == KIND_NONE;
    self->done = TRUE;
    return LARES_AUTH_ESTABLISHED;
}

static const LaresAuthPeer *
sys_context_get_peer(LaresAuthContext *context)
{
    LaresSysContext *self = LARES_SYS_CONTEXT(context);
    return self->done ? &self->peer : NULL;
}

static LaresRefused
sys_context_get_refused(LaresAuthContext *context)
{
    return LARES_REFUSED_MALFORMED; /* there is nothing else to refuse */
}

static void
sys_context_iface_init(LaresAuthContextInterface *iface)
{
    iface->get_refused = sys_context_get_refused;
    iface->step = sys_context_step;
    iface->get_peer = sys_context_get_peer;
}

/* ---- The provider ---------------------------------------------------------------------------------------------- */

#define LARES_TYPE_SYS_PROVIDER (lares_sys_provider_get_type())
G_DECLARE_FINAL_TYPE(LaresSysProvider, lares_sys_provider, LARES, SYS_PROVIDER, GObject)

struct _LaresSysProvider {
    GObject parent_instance;
    Kind kind;
};

static void sys_provider_iface_init(LaresAuthProviderInterface *iface);
G_DEFINE_FINAL_TYPE_WITH_CODE(LaresSysProvider, lares_sys_provider, G_TYPE_OBJECT,
                              G_IMPLEMENT_INTERFACE(LARES_TYPE_AUTH_PROVIDER, sys_provider_iface_init))

static void
lares_sys_provider_init(LaresSysProvider *self)
{
}

static void
lares_sys_provider_class_init(LaresSysProviderClass *class)
{
}

static const char *
sys_provider_get_name(LaresAuthProvider *provider)
{
    return flavors[LARES_SYS_PROVIDER(provider)->kind].name;
}

static const LaresFlavor *
sys_provider_get_flavors(LaresAuthProvider *provider, size_t *n)
{
    *n = 1;
    return &flavors[LARES_SYS_PROVIDER(provider)->kind];
}

static LaresAuthContext *
sys_provider_accept(LaresAuthProvider *provider, const char *service, const LaresPeer *peer, GError **error)
{
    LaresSysContext *context = g_object_new(LARES_TYPE_SYS_CONTEXT, NULL);
    context->kind = LARES_SYS_PROVIDER(provider)->kind;
    return LARES_AUTH_CONTEXT(context);
}

static void
sys_provider_iface_init(LaresAuthProviderInterface *iface)
{
    iface->get_name = sys_provider_get_name;
    iface->get_flavors = sys_provider_get_flavors;
    iface->accept = sys_provider_accept;
}

/* ---- The module ------------------------------------------------------------------------------------------------ */

static gboolean
load(LaresHost *host, LaresSettings *settings, GError **error)
{
    for (Kind kind = KIND_SYS; kind <= KIND_NONE; kind++) {
        g_autoptr(LaresSysProvider) provider = g_object_new(LARES_TYPE_SYS_PROVIDER, NULL);
        provider->kind = kind;
        if (!lares_host_add_auth_provider(host, LARES_AUTH_PROVIDER(provider), error))
            return FALSE;
    }
    return TRUE;
}

LARES_MODULE(LARES_MODULE_AUTH, "auth-sys", .version = "1", .description = "AUTH_SYS and AUTH_NONE", .load = load);
