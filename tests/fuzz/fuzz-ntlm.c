/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* NTLM messages from anybody: the input is an AUTHENTICATE, or with a first byte of 1 a NEGOTIATE. Nobody who does not
 * know the password is a user. */
#include "ntlm-provider.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static LaresStatus
find(const char *user, uint8_t hash[16], gpointer data)
{
    memset(hash, 0x5a, 16);
    return strlen(user) % 2 ? LARES_OK : LARES_NOENT;
}

static void
step(LaresAuthContext *context, const uint8_t *data, size_t size)
{
    GBytes *out = NULL;
    char *reason = NULL;
    LaresAuthState state = lares_auth_context_step(context, data, size, &out, &reason);
    const LaresAuthPeer *peer = lares_auth_context_get_peer(context);
    if ((state == LARES_AUTH_ESTABLISHED) != (peer != NULL) || (peer && !peer->anonymous) ||
        lares_auth_context_get_session_key(context))
        abort();
    g_clear_pointer(&out, g_bytes_unref);
    g_free(reason);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t hello[] = {'N', 'T', 'L', 'M', 'S', 'S', 'P', 0, 1, 0, 0, 0, 0x15, 0x82, 0x08, 0x60};
    const LaresPeer from = {.address = "192.0.2.1"};
    LaresNtlmProvider *provider = lares_ntlm_provider_new();
    lares_ntlm_provider_configure(
        provider, &(NtlmConfig){.host = "nas.home.lan", .domain = "home.lan", .guest = TRUE, .find = find});
    LaresAuthContext *context = lares_ntlm_context_new(provider, &from);
    if (size > 0 && data[0] == 1) {
        step(context, data + 1, size - 1);
    } else {
        step(context, hello, sizeof hello);
        step(context, data, size);
    }
    g_object_unref(context);
    g_object_unref(provider);
    return 0;
}
