/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Wrap and MIC tokens from a peer that lies.
 *
 * Input: byte 0 chooses enctype (2 bits), subkey, DCE style, and whether the rest is (0) a raw
 * token or (1) edits of a good token, each edit four bytes: offset (2), operation, value. What
 * still opens after edits must be exactly what was wrapped; anything else is a hole. */
#include "krb5-message.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PLAIN 100u

typedef struct {
    Krb5Keys *send, *recv;
} Pair;

static Krb5Keys *
make(int enctype, gboolean initiator, unsigned bits)
{
    uint8_t key[32] = "a key that everybody may know";
    size_t len = enctype == 17 || enctype == 19 ? 16 : 32;
    Krb5Keys *keys = krb5_keys_new(&(Krb5KeysInit){.initiator = initiator,
                                                   .acceptor_subkey = (bits & 4) != 0,
                                                   .dce_style = (bits & 8) != 0,
                                                   .enctype = enctype,
                                                   .key = key,
                                                   .key_len = len},
                                   NULL);
    if (keys == NULL)
        abort();
    return keys;
}

static Pair *
pair_for(unsigned bits)
{
    static Pair pairs[16];
    Pair *p = &pairs[bits & 15];

    if (p->send == NULL) {
        p->send = make(17 + (bits & 3), TRUE, bits);
        p->recv = make(17 + (bits & 3), FALSE, bits);
    }
    return p;
}

static size_t
edit(uint8_t *token, size_t len, const uint8_t *edits, size_t size)
{
    for (; size >= 4 && len > 0; edits += 4, size -= 4) {
        size_t at = (size_t)(edits[0] << 8 | edits[1]) % len;

        switch (edits[2] % 4) {
        case 0:
            token[at] ^= edits[3];
            break;
        case 1:
            token[at] = edits[3];
            break;
        case 2:
            len = at;
            break;
        default:
            memmove(token + at, token, len - at);
            break;
        }
    }
    return len;
}

static void
raw_token(const Pair *p, const uint8_t *data, size_t size)
{
    uint8_t *token = g_memdup2(data, size), *plain;
    struct iovec piece = {(uint8_t *)data, size};
    size_t len;

    if (size == 0)
        token = g_malloc(1);
    if (krb5_unwrap_in_place(p->recv, token, size, &plain, &len, NULL, NULL) == KRB5_MSG_OK)
        if (plain < token || len > size || (size_t)(plain - token) > size - len)
            abort();
    krb5_verify_mic(p->recv, &piece, 1, data, size, NULL);
    g_free(token);
}

static void
edited_token(const Pair *p, gboolean sealed, const uint8_t *edits, size_t size)
{
    uint8_t text[PLAIN], *plain, buffer[PLAIN + KRB5_WRAP_HEAD + KRB5_WRAP_TAIL];
    struct iovec piece = {text, sizeof text};
    size_t len;

    memset(text, 'p', sizeof text);
    if (krb5_wrap_iov(p->send, sealed, &piece, 1, buffer, sizeof buffer, &len) != KRB5_MSG_OK)
        abort();
    len = edit(buffer, len, edits, size);
    uint8_t *token = g_malloc(len + 1);
    memcpy(token, buffer, len);
    if (krb5_unwrap_in_place(p->recv, token, len, &plain, &len, NULL, NULL) == KRB5_MSG_OK &&
        (len != sizeof text || memcmp(plain, text, len) != 0))
        abort();
    g_free(token);
}

static void
edited_mic(const Pair *p, const uint8_t *edits, size_t size)
{
    struct iovec piece = {(char *)"message", 7};
    uint8_t token[KRB5_MIC_MAX], good[KRB5_MIC_MAX];
    size_t good_len, len;

    if (krb5_get_mic(p->send, &piece, 1, token, sizeof token, &good_len) != KRB5_MSG_OK)
        abort();
    memcpy(good, token, good_len);
    len = edit(token, good_len, edits, size);
    if (krb5_verify_mic(p->recv, &piece, 1, token, len, NULL) == KRB5_MSG_OK &&
        (len != good_len || memcmp(token, good, len) != 0))
        abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    const Pair *p = pair_for(data[0]);
    switch (data[0] >> 4 & 3) {
    case 0:
        raw_token(p, data + 1, size - 1);
        break;
    case 1:
        edited_token(p, TRUE, data + 1, size - 1);
        break;
    case 2:
        edited_token(p, FALSE, data + 1, size - 1);
        break;
    default:
        edited_mic(p, data + 1, size - 1);
        break;
    }
    return 0;
}
