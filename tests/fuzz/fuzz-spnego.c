/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SPNEGO tokens from anybody, over a mechanism that is easily pleased: the input is a row of tokens, each behind two
 * bytes of length. Nothing is established that a refusal followed, and what we say ourselves can be read again. */
#include "auth/registry.h"
#include "auth/spnego-token.h"
#include "fakemech.h"

#include <lares/spnego.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_answer(GBytes *answer)
{
    SpnegoResp resp;
    gsize len;
    const uint8_t *bytes = g_bytes_get_data(answer, &len);
    if (len > 0 && bytes[0] == 0xa1 && !spnego_read_resp(bytes, len, &resp))
        abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const gboolean busy = FALSE;
    static gboolean registered;
    const LaresPeer peer = {.address = "192.0.2.1"};
    if (!registered)
        registered = lares_auth_registry_add(fake_provider_new(&busy), NULL);
    LaresAuthContext *context = lares_spnego_accept(NULL, "cifs", &peer);
    LaresReader r = lares_reader(data, size);
    gboolean failed = FALSE, established = FALSE;
    while (lares_reader_left(&r) >= 2) {
        size_t len = lares_get_u16(&r);
        if (len > lares_reader_left(&r))
            len = lares_reader_left(&r);
        GBytes *out;
        char *reason;
        LaresAuthState state = lares_auth_context_step(context, lares_get_bytes(&r, len), len, &out, &reason);
        if (state == LARES_AUTH_ESTABLISHED && (failed || established))
            abort();
        failed = failed || (state == LARES_AUTH_FAILED && !established);
        established = established || state == LARES_AUTH_ESTABLISHED;
        if ((lares_auth_context_get_peer(context) != NULL) != established ||
            (state == LARES_AUTH_FAILED) != (reason != NULL))
            abort();
        if (out)
            check_answer(out);
        g_clear_pointer(&out, g_bytes_unref);
        g_free(reason);
    }
    g_object_unref(context);
    return 0;
}
