/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* AUTH_SYS credential bodies from a client that lies. What is taken must be exactly what the bytes say. */
#include "module/host-private.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

extern const LaresModule lares_module; /* auth-sys */

static LaresAuthProvider *
provider_of(const char *flavor)
{
    static LaresHost *host;
    if (!host) {
        static LaresHostModule module = {.name = (char *)"auth-sys", .module = &lares_module};
        host = lares_host_new();
        lares_host_begin_load(host, &module);
        if (!lares_module.load(host, NULL, NULL) || !lares_host_end_load(host, TRUE, NULL))
            abort();
    }
    return lares_flavor_provider(lares_flavor_by_name(flavor));
}

static uint32_t
word(const uint8_t *data, size_t at)
{
    return (uint32_t)data[at] << 24 | (uint32_t)data[at + 1] << 16 | (uint32_t)data[at + 2] << 8 | data[at + 3];
}

/* Reads the body a second time, in another way than the module does. */
static void
check(const LaresAuthPeer *peer, const uint8_t *data, size_t size)
{
    size_t name = word(data, 4), at = 8 + (name + 3) / 4 * 4;
    if (name > 255 || size != at + 12 + 4 * peer->n_groups || peer->n_groups > 16 ||
        peer->n_groups != word(data, at + 8))
        abort();
    if (!peer->unix_ids || peer->anonymous || peer->principal || peer->uid != word(data, at) ||
        peer->gid != word(data, at + 4) || strlen(peer->machine_name) != name)
        abort();
    for (size_t i = 0; i < peer->n_groups; i++)
        if (peer->groups[i] != word(data, at + 12 + 4 * i))
            abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const LaresPeer from = {.address = "192.0.2.1"};
    gboolean none = size > 0 && data[0] == 0xff;
    LaresAuthContext *context = lares_auth_provider_accept(provider_of(none ? "none" : "sys"), "nfs", &from, NULL);
    GBytes *out;
    char *reason;
    LaresAuthState state = lares_auth_context_step(context, data, size, &out, &reason);
    const LaresAuthPeer *peer = lares_auth_context_get_peer(context);
    if (out || state == LARES_AUTH_CONTINUE || (state == LARES_AUTH_ESTABLISHED) != (peer != NULL) ||
        (state == LARES_AUTH_FAILED) != (reason != NULL) || (none && peer))
        abort();
    if (peer)
        check(peer, data, size);
    g_free(reason);
    g_object_unref(context);
    return 0;
}
