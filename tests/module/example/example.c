/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An authentication module as a third party writes it: its own flavor, with nothing but the installed headers.
 *
 *     cc -shared -fPIC -o example.so example.c $(pkg-config --cflags --libs lares-1)
 *
 * The flavor "example" has an RPC number that nobody else has. Its credential body is a shared token, and each token
 * stands for one user:
 *
 *     [settings]
 *     tokens=sesame=ada, xyzzy=ben
 *
 * A share admits it when its list says so (`sec = example, krb5p`); neither the core nor a protocol knows of it. */
#include <lares/lares.h>
#include <string.h>

#define EXAMPLE_RPC_FLAVOR UINT32_C(0x4c415245)
#define TOKEN_MAX          200

static const LaresFlavor example_flavor = {
    .name = "example", .protection = LARES_PROTECT_AUTHENTICATED, .rpc_flavor = EXAMPLE_RPC_FLAVOR};

/* ---- What it counts, at /metrics (since ABI 1.1) ----------------------------------------------------------------- */

#if LARES_ABI_MINOR >= 1
static const LaresMetric tokens_total = {
    "lares_example_tokens_total", LARES_METRIC_COUNTER, FALSE, "Tokens that clients have shown.", {"result"}};
static const char *const results[] = {"wrong", "known"};
static LaresMeter *tokens_meter;

static void
count_token(gboolean known)
{
    lares_meter_add(tokens_meter, known ? 1 : 0, 1);
}

static gboolean
add_metrics(GError **error)
{
    return (tokens_meter = lares_meter_new(&tokens_total, results, 2, error)) != NULL;
}
#else
static void
count_token(gboolean known)
{
}

static gboolean
add_metrics(GError **error)
{
    return TRUE;
}
#endif

/* ---- One login ------------------------------------------------------------------------------------------------- */

#define EXAMPLE_TYPE_CONTEXT (example_context_get_type())
G_DECLARE_FINAL_TYPE(ExampleContext, example_context, EXAMPLE, CONTEXT, GObject)

struct _ExampleContext {
    GObject parent_instance;
    const LaresSettings *settings;
    char *user;
    LaresAuthPeer peer;
};

static void example_context_iface_init(LaresAuthContextInterface *iface);
G_DEFINE_FINAL_TYPE_WITH_CODE(ExampleContext, example_context, G_TYPE_OBJECT,
                              G_IMPLEMENT_INTERFACE(LARES_TYPE_AUTH_CONTEXT, example_context_iface_init))

static void
example_context_init(ExampleContext *self)
{
}

static void
example_context_finalize(GObject *object)
{
    g_free(EXAMPLE_CONTEXT(object)->user);
    G_OBJECT_CLASS(example_context_parent_class)->finalize(object);
}

static void
example_context_class_init(ExampleContextClass *class)
{
    G_OBJECT_CLASS(class)->finalize = example_context_finalize;
}

/* Takes as long for a wrong token as for a right one of the same length. */
static gboolean
same_token(const char *known, size_t known_len, const uint8_t *token, size_t len)
{
    uint8_t difference = 0;
    if (known_len != len || len == 0)
        return FALSE;
    for (size_t i = 0; i < len; i++)
        difference |= (uint8_t)known[i] ^ token[i];
    return difference == 0;
}

static LaresAuthState
example_context_step(LaresAuthContext *context, const uint8_t *token, size_t len, GBytes **out, char **reason)
{
    ExampleContext *self = EXAMPLE_CONTEXT(context);
    const char *const *pairs = lares_settings_list(self->settings, "tokens");
    for (guint i = 0; len <= TOKEN_MAX && !self->user && pairs[i]; i++) {
        const char *equals = strchr(pairs[i], '=');
        if (equals && same_token(pairs[i], (size_t)(equals - pairs[i]), token, len))
            self->user = g_strdup(equals + 1);
    }
    count_token(self->user != NULL);
    if (!self->user) {
        *reason = g_strdup("not a known token");
        return LARES_AUTH_FAILED;
    }
    self->peer.principal = self->user;
    return LARES_AUTH_ESTABLISHED;
}

static const LaresAuthPeer *
example_context_get_peer(LaresAuthContext *context)
{
    ExampleContext *self = EXAMPLE_CONTEXT(context);
    return self->user ? &self->peer : NULL;
}

static void
example_context_iface_init(LaresAuthContextInterface *iface)
{
    iface->step = example_context_step;
    iface->get_peer = example_context_get_peer;
}

/* ---- The provider ---------------------------------------------------------------------------------------------- */

#define EXAMPLE_TYPE_PROVIDER (example_provider_get_type())
G_DECLARE_FINAL_TYPE(ExampleProvider, example_provider, EXAMPLE, PROVIDER, GObject)

struct _ExampleProvider {
    GObject parent_instance;
    const LaresSettings *settings;
};

static void example_provider_iface_init(LaresAuthProviderInterface *iface);
G_DEFINE_FINAL_TYPE_WITH_CODE(ExampleProvider, example_provider, G_TYPE_OBJECT,
                              G_IMPLEMENT_INTERFACE(LARES_TYPE_AUTH_PROVIDER, example_provider_iface_init))

static void
example_provider_init(ExampleProvider *self)
{
}

static void
example_provider_class_init(ExampleProviderClass *class)
{
}

static const char *
example_provider_get_name(LaresAuthProvider *provider)
{
    return "example";
}

static const LaresFlavor *
example_provider_get_flavors(LaresAuthProvider *provider, size_t *n)
{
    *n = 1;
    return &example_flavor;
}

static LaresAuthContext *
example_provider_accept(LaresAuthProvider *provider, const char *service, const LaresPeer *peer, GError **error)
{
    ExampleContext *context = g_object_new(EXAMPLE_TYPE_CONTEXT, NULL);
    context->settings = EXAMPLE_PROVIDER(provider)->settings;
    return LARES_AUTH_CONTEXT(context);
}

static void
example_provider_iface_init(LaresAuthProviderInterface *iface)
{
    iface->get_name = example_provider_get_name;
    iface->get_flavors = example_provider_get_flavors;
    iface->accept = example_provider_accept;
}

/* ---- The module ------------------------------------------------------------------------------------------------ */

static const LaresKey keys[] = {{"tokens", LARES_KEY_LIST, NULL, 0, 0, "token=user, token=user …"}, {NULL}};

static gboolean
load(LaresHost *host, LaresSettings *settings, GError **error)
{
    g_autoptr(ExampleProvider) provider = g_object_new(EXAMPLE_TYPE_PROVIDER, NULL);
    provider->settings = settings;
    return add_metrics(error) && lares_host_add_auth_provider(host, LARES_AUTH_PROVIDER(provider), error);
}

LARES_MODULE(LARES_MODULE_AUTH, "example", .version = "1", .description = "Shared tokens, for demonstration",
             .keys = keys, .load = load);
