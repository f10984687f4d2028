/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tokens of RFC 4121: headers, rotation, and which key protects what.
 *
 * A sealed token is   header | E(confounder | data | filler(EC) | header with RRC 0) | checksum
 * an open one         header | data | checksum over (data | header with EC 0 and RRC 0)
 * a MIC               header | checksum over (data | header)
 * where everything after a wrap token's header is rotated right by RRC bytes.
 *
 * Spec: RFC 4121 4.2.2 to 4.2.6, key usages from 2.
 * Thread: see krb5-message.h. */
#include "krb5-message.h"
#include "krb5-crypto.h"

#include <gio/gio.h>
#include <gssapi/gssapi_krb5.h>
#include <openssl/crypto.h>
#include <stdatomic.h>
#include <string.h>

enum { FLAG_SENT_BY_ACCEPTOR = 1, FLAG_SEALED = 2, FLAG_ACCEPTOR_SUBKEY = 4 };
enum { ID_MIC = 0x0404, ID_WRAP = 0x0504 };
enum { USAGE_ACCEPTOR_SEAL = 22, USAGE_ACCEPTOR_SIGN, USAGE_INITIATOR_SEAL, USAGE_INITIATOR_SIGN };

/* One message is one record of a protocol, and those end far below this. It keeps sums in range. */
#define MAX_MESSAGE ((size_t)1 << 30)

typedef struct {
    Krb5SealKey seal; /* sealed wrap tokens */
    Krb5MacKey wrap;  /* open wrap tokens */
    Krb5MacKey mic;
} Direction;

struct Krb5Keys {
    atomic_int refs;
    atomic_uint_fast64_t send_seq;
    const Krb5Enctype *enctype;
    uint8_t send_flags, recv_flags;
    gboolean dce_style;
    Direction send, recv;
};

typedef struct {
    uint8_t flags;
    uint16_t ec, rrc;
    uint64_t seq;
} Header;

const char *
krb5_msg_status_name(Krb5MsgStatus status)
{
    static const char *const names[] = {
        [KRB5_MSG_OK] = "ok",
        [KRB5_MSG_TRUNCATED] = "token too short",
        [KRB5_MSG_BAD_TOKEN_ID] = "wrong token id",
        [KRB5_MSG_BAD_FILLER] = "bad filler",
        [KRB5_MSG_BAD_FLAGS] = "undefined flags",
        [KRB5_MSG_BAD_DIRECTION] = "reflected token",
        [KRB5_MSG_BAD_SUBKEY] = "wrong context key",
        [KRB5_MSG_BAD_EC] = "impossible extra count",
        [KRB5_MSG_BAD_MIC] = "checksum mismatch",
        [KRB5_MSG_BAD_HEADER] = "sealed header differs",
        [KRB5_MSG_TOO_LARGE] = "message too large",
        [KRB5_MSG_NO_ROOM] = "output buffer too small",
        [KRB5_MSG_FAILED] = "cryptographic library failed",
    };
    return (size_t)status < G_N_ELEMENTS(names) ? names[status] : "unknown";
}

static gboolean
direction_init(Direction *d, const Krb5Enctype *e, const uint8_t *key, gboolean by_initiator)
{
    uint32_t seal = by_initiator ? USAGE_INITIATOR_SEAL : USAGE_ACCEPTOR_SEAL;
    uint32_t sign = by_initiator ? USAGE_INITIATOR_SIGN : USAGE_ACCEPTOR_SIGN;

    return krb5_seal_key_init(&d->seal, e, key, seal) && krb5_sum_key_init(&d->wrap, e, key, seal) &&
           krb5_sum_key_init(&d->mic, e, key, sign);
}

Krb5Keys *
krb5_keys_new(const Krb5KeysInit *init, GError **error)
{
    const Krb5Enctype *e = krb5_enctype_find(init->enctype);

    if (e == NULL) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
                    "Kerberos encryption type %d is not one of the AES types 17 to 20", init->enctype);
        return NULL;
    }
    if (init->key_len != e->key_len) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "a key of %s has %u bytes, not %" G_GSIZE_FORMAT,
                    e->name, e->key_len, init->key_len);
        return NULL;
    }
    Krb5Keys *keys = g_new0(Krb5Keys, 1);
    uint8_t subkey = init->acceptor_subkey ? FLAG_ACCEPTOR_SUBKEY : 0;

    atomic_init(&keys->refs, 1);
    atomic_init(&keys->send_seq, init->send_seq);
    keys->enctype = e;
    keys->dce_style = init->dce_style;
    keys->send_flags = subkey | (init->initiator ? 0 : FLAG_SENT_BY_ACCEPTOR);
    keys->recv_flags = subkey | (init->initiator ? FLAG_SENT_BY_ACCEPTOR : 0);
    if (!direction_init(&keys->send, e, init->key, init->initiator) ||
        !direction_init(&keys->recv, e, init->key, !init->initiator)) {
        krb5_keys_unref(keys);
        g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_FAILED,
                            "libcrypto could not derive the keys of a Kerberos context");
        return NULL;
    }
    return keys;
}

Krb5Keys *
krb5_keys_new_from_lucid(const void *lucid_v1, gboolean dce_style, GError **error)
{
    const gss_krb5_lucid_context_v1_t *lucid = lucid_v1;

    if (lucid->version != 1 || lucid->protocol != 1) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
                    "the Kerberos context does not use the tokens of RFC 4121 (protocol %u)", lucid->protocol);
        return NULL;
    }
    gboolean subkey = lucid->cfx_kd.have_acceptor_subkey != 0;
    const gss_krb5_lucid_key_t *key = subkey ? &lucid->cfx_kd.acceptor_subkey : &lucid->cfx_kd.ctx_key;

    return krb5_keys_new(&(Krb5KeysInit){.initiator = lucid->initiate != 0,
                                         .acceptor_subkey = subkey,
                                         .dce_style = dce_style,
                                         .enctype = (int)key->type,
                                         .key = key->data,
                                         .key_len = key->length,
                                         .send_seq = lucid->send_seq},
                         error);
}

Krb5Keys *
krb5_keys_ref(Krb5Keys *keys)
{
    atomic_fetch_add_explicit(&keys->refs, 1, memory_order_relaxed);
    return keys;
}

void
krb5_keys_unref(Krb5Keys *keys)
{
    if (keys == NULL || atomic_fetch_sub_explicit(&keys->refs, 1, memory_order_acq_rel) != 1)
        return;
    OPENSSL_cleanse(keys, sizeof *keys);
    g_free(keys);
}

const char *
krb5_keys_enctype_name(const Krb5Keys *keys)
{
    return keys->enctype->name;
}

void
krb5_wrap_overhead(const Krb5Keys *keys, gboolean sealed, size_t *before, size_t *after)
{
    *before = KRB5_TOKEN_HEADER + (sealed ? KRB5_CONFOUNDER : 0);
    *after = (sealed ? KRB5_TOKEN_HEADER : 0) + keys->enctype->sum_len;
}

size_t
krb5_mic_size(const Krb5Keys *keys)
{
    return KRB5_TOKEN_HEADER + keys->enctype->sum_len;
}

static void
put16(uint8_t *p, uint16_t v)
{
    v = GUINT16_TO_BE(v);
    memcpy(p, &v, sizeof v);
}

static uint16_t
get16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

/* Bytes 4 to 7 are EC and RRC in a wrap token and filler in a MIC (RFC 4121 4.2.6). */
static void
header_write(uint8_t out[KRB5_TOKEN_HEADER], uint16_t id, uint8_t flags, uint16_t ec, uint64_t seq)
{
    put16(out, id);
    out[2] = flags;
    memset(out + 3, 0xff, 5);
    if (id == ID_WRAP) {
        put16(out + 4, ec);
        put16(out + 6, 0);
    }
    seq = GUINT64_TO_BE(seq);
    memcpy(out + 8, &seq, sizeof seq);
}

static Krb5MsgStatus
header_read(const Krb5Keys *keys, uint16_t id, const uint8_t *token, size_t len, Header *h)
{
    if (len < KRB5_TOKEN_HEADER)
        return KRB5_MSG_TRUNCATED;
    if (len > MAX_MESSAGE)
        return KRB5_MSG_TOO_LARGE;
    if (get16(token) != id)
        return KRB5_MSG_BAD_TOKEN_ID;
    h->flags = token[2];
    h->ec = id == ID_WRAP ? get16(token + 4) : 0;
    h->rrc = id == ID_WRAP ? get16(token + 6) : 0;
    memcpy(&h->seq, token + 8, sizeof h->seq);
    h->seq = GUINT64_FROM_BE(h->seq);
    if (token[3] != 0xff || (id == ID_MIC && memcmp(token + 4, "\xff\xff\xff\xff", 4) != 0))
        return KRB5_MSG_BAD_FILLER;
    if ((h->flags & ~(FLAG_SENT_BY_ACCEPTOR | FLAG_SEALED | FLAG_ACCEPTOR_SUBKEY)) != 0 ||
        (id == ID_MIC && (h->flags & FLAG_SEALED) != 0))
        return KRB5_MSG_BAD_FLAGS;
    if (((h->flags ^ keys->recv_flags) & FLAG_SENT_BY_ACCEPTOR) != 0)
        return KRB5_MSG_BAD_DIRECTION;
    if (((h->flags ^ keys->recv_flags) & FLAG_ACCEPTOR_SUBKEY) != 0)
        return KRB5_MSG_BAD_SUBKEY;
    return KRB5_MSG_OK;
}

static uint64_t
next_seq(Krb5Keys *keys)
{
    return atomic_fetch_add_explicit(&keys->send_seq, 1, memory_order_relaxed);
}

static gboolean
pieces_length(const struct iovec *piece, size_t n, size_t *total)
{
    size_t sum = 0;

    if (n > KRB5_MAX_PIECES)
        return FALSE;
    for (size_t i = 0; i < n; i++) {
        if (piece[i].iov_len > MAX_MESSAGE - sum)
            return FALSE;
        sum += piece[i].iov_len;
    }
    *total = sum;
    return TRUE;
}

static Krb5MsgStatus
wrap_sealed(Krb5Keys *keys, const struct iovec *piece, size_t n, size_t len, uint8_t *token)
{
    struct iovec few[18], *all = n + 2 <= G_N_ELEMENTS(few) ? few : g_new(struct iovec, n + 2);
    uint8_t inner[KRB5_TOKEN_HEADER], *body = token + KRB5_TOKEN_HEADER;
    Krb5MsgStatus status = KRB5_MSG_FAILED;

    header_write(token, ID_WRAP, keys->send_flags | FLAG_SEALED, 0, next_seq(keys));
    memcpy(inner, token, sizeof inner);
    if (krb5_confounder(body)) {
        all[0] = (struct iovec){body, KRB5_CONFOUNDER};
        if (n > 0)
            memcpy(all + 1, piece, n * sizeof *piece);
        all[n + 1] = (struct iovec){inner, sizeof inner};
        if (krb5_seal(&keys->send.seal, all, n + 2, KRB5_CONFOUNDER + len + sizeof inner, body))
            status = KRB5_MSG_OK;
    }
    if (all != few)
        g_free(all);
    return status;
}

/* Copy and checksum in step, so that a large message passes through the cache once. */
static void
wrap_open(Krb5Keys *keys, const struct iovec *piece, size_t n, size_t len, uint8_t *token)
{
    const Krb5MacKey *key = &keys->send.wrap;
    uint8_t *out = token + KRB5_TOKEN_HEADER;
    uint64_t seq = next_seq(keys);
    Krb5Mac mac;

    krb5_mac_start(&mac, key);
    for (size_t i = 0; i < n; i++) {
        const uint8_t *p = piece[i].iov_base;

        for (size_t left = piece[i].iov_len; left > 0;) {
            size_t run = MIN(left, 8192);

            if (p != out)
                memcpy(out, p, run);
            krb5_mac_update(&mac, out, run);
            p += run;
            out += run;
            left -= run;
        }
    }
    header_write(token, ID_WRAP, keys->send_flags, 0, seq);
    krb5_mac_update(&mac, token, KRB5_TOKEN_HEADER);
    krb5_mac_finish(&mac, key, out);
    put16(token + 4, keys->enctype->sum_len);
}

Krb5MsgStatus
krb5_wrap_iov(Krb5Keys *keys, gboolean sealed, const struct iovec *piece, size_t n, uint8_t *out, size_t out_size,
              size_t *out_len)
{
    size_t before, after, len = 0;

    if (!pieces_length(piece, n, &len))
        return KRB5_MSG_TOO_LARGE;
    krb5_wrap_overhead(keys, sealed, &before, &after);
    if (out_size < before + after || out_size - before - after < len)
        return KRB5_MSG_NO_ROOM;
    *out_len = before + len + after;
    if (sealed)
        return wrap_sealed(keys, piece, n, len, out);
    wrap_open(keys, piece, n, len, out);
    return KRB5_MSG_OK;
}

Krb5MsgStatus
krb5_wrap_in_place(Krb5Keys *keys, gboolean sealed, uint8_t *data, size_t len, uint8_t **token, size_t *token_len)
{
    size_t before, after;

    krb5_wrap_overhead(keys, sealed, &before, &after);
    if (len > MAX_MESSAGE)
        return KRB5_MSG_TOO_LARGE;
    *token = data - before;
    return krb5_wrap_iov(keys, sealed, &(struct iovec){data, len}, 1, *token, before + len + after, token_len);
}

static void
reverse(uint8_t *p, size_t len)
{
    for (size_t i = 0, j = len; i + 1 < j; i++) {
        uint8_t t = p[i];
        p[i] = p[--j];
        p[j] = t;
    }
}

/* Rotate left in place. Peers rotate by the size of what they keep in front (Windows: 28 bytes,
 * MIT's iov form: all trailers), which the short way handles with one move. */
static void
rotate_left(uint8_t *p, size_t len, size_t by)
{
    uint8_t few[256];

    if (len == 0 || (by %= len) == 0)
        return;
    if (by <= sizeof few) {
        memcpy(few, p, by);
        memmove(p, p + by, len - by);
        memcpy(p + len - by, few, by);
        return;
    }
    reverse(p, by);
    reverse(p + by, len - by);
    reverse(p, len);
}

static Krb5MsgStatus
unwrap_sealed(const Krb5Keys *keys, const Header *h, uint8_t *token, size_t body, uint8_t **plain, size_t *plain_len)
{
    size_t sum = keys->enctype->sum_len;
    uint8_t *text = token + KRB5_TOKEN_HEADER;
    const size_t fixed = KRB5_CONFOUNDER + KRB5_TOKEN_HEADER;

    if (body < fixed + sum)
        return KRB5_MSG_TRUNCATED;
    if (h->ec > body - fixed - sum)
        return KRB5_MSG_BAD_EC;
    size_t text_len = body - sum;

    switch (krb5_open(&keys->recv.seal, text, text_len)) {
    case KRB5_OPEN_OK:
        break;
    case KRB5_OPEN_BAD:
        return KRB5_MSG_BAD_MIC;
    default:
        return KRB5_MSG_FAILED;
    }
    /* EC sits in the open header only as a copy: without this check a peer on the path could cut
     * the end off a message (RFC 4121 4.2.4). RRC is zero in the sealed copy. */
    const uint8_t *inner = text + text_len - KRB5_TOKEN_HEADER;
    if (memcmp(inner, token, 6) != 0 || inner[6] != 0 || inner[7] != 0 || memcmp(inner + 8, token + 8, 8) != 0) {
        memset(text, 0, text_len);
        return KRB5_MSG_BAD_HEADER;
    }
    *plain = text + KRB5_CONFOUNDER;
    *plain_len = text_len - fixed - h->ec;
    return KRB5_MSG_OK;
}

static Krb5MsgStatus
unwrap_open(const Krb5Keys *keys, const Header *h, uint8_t *token, size_t body, uint8_t **plain, size_t *plain_len)
{
    const Krb5MacKey *key = &keys->recv.wrap;
    size_t sum = keys->enctype->sum_len;
    uint8_t bare[KRB5_TOKEN_HEADER], ours[KRB5_MAX_SUM];
    Krb5Mac mac;

    if (body < sum)
        return KRB5_MSG_TRUNCATED;
    if (h->ec != sum)
        return KRB5_MSG_BAD_EC;
    uint8_t *data = token + KRB5_TOKEN_HEADER;

    memcpy(bare, token, sizeof bare);
    memset(bare + 4, 0, 4);
    krb5_mac_start(&mac, key);
    krb5_mac_update(&mac, data, body - sum);
    krb5_mac_update(&mac, bare, sizeof bare);
    krb5_mac_finish(&mac, key, ours);
    if (CRYPTO_memcmp(ours, data + body - sum, sum) != 0)
        return KRB5_MSG_BAD_MIC;
    *plain = data;
    *plain_len = body - sum;
    return KRB5_MSG_OK;
}

Krb5MsgStatus
krb5_unwrap_in_place(const Krb5Keys *keys, uint8_t *token, size_t token_len, uint8_t **plain, size_t *plain_len,
                     gboolean *sealed, uint64_t *seq)
{
    Header h;
    Krb5MsgStatus status = header_read(keys, ID_WRAP, token, token_len, &h);

    if (status != KRB5_MSG_OK)
        return status;
    size_t body = token_len - KRB5_TOKEN_HEADER;
    gboolean is_sealed = (h.flags & FLAG_SEALED) != 0;

    /* DCE style peers count EC in ([MS-KILE] 3.4.5.4.1). */
    rotate_left(token + KRB5_TOKEN_HEADER, body, (size_t)h.rrc + (keys->dce_style && is_sealed ? h.ec : 0));
    status = is_sealed ? unwrap_sealed(keys, &h, token, body, plain, plain_len)
                       : unwrap_open(keys, &h, token, body, plain, plain_len);
    if (status != KRB5_MSG_OK)
        return status;
    if (sealed != NULL)
        *sealed = is_sealed;
    if (seq != NULL)
        *seq = h.seq;
    return KRB5_MSG_OK;
}

static void
mic_compute(const Krb5MacKey *key, const struct iovec *piece, size_t n, const uint8_t header[KRB5_TOKEN_HEADER],
            uint8_t *out)
{
    Krb5Mac mac;

    krb5_mac_start(&mac, key);
    for (size_t i = 0; i < n; i++)
        krb5_mac_update(&mac, piece[i].iov_base, piece[i].iov_len);
    krb5_mac_update(&mac, header, KRB5_TOKEN_HEADER);
    krb5_mac_finish(&mac, key, out);
}

Krb5MsgStatus
krb5_get_mic(Krb5Keys *keys, const struct iovec *piece, size_t n, uint8_t *out, size_t out_size, size_t *out_len)
{
    size_t len;

    if (!pieces_length(piece, n, &len))
        return KRB5_MSG_TOO_LARGE;
    if (out_size < krb5_mic_size(keys))
        return KRB5_MSG_NO_ROOM;
    header_write(out, ID_MIC, keys->send_flags, 0, next_seq(keys));
    mic_compute(&keys->send.mic, piece, n, out, out + KRB5_TOKEN_HEADER);
    *out_len = krb5_mic_size(keys);
    return KRB5_MSG_OK;
}

Krb5MsgStatus
krb5_verify_mic(const Krb5Keys *keys, const struct iovec *piece, size_t n, const uint8_t *token, size_t token_len,
                uint64_t *seq)
{
    uint8_t ours[KRB5_MAX_SUM];
    size_t len;
    Header h;
    Krb5MsgStatus status = header_read(keys, ID_MIC, token, token_len, &h);

    if (status != KRB5_MSG_OK)
        return status;
    if (!pieces_length(piece, n, &len))
        return KRB5_MSG_TOO_LARGE;
    if (token_len < krb5_mic_size(keys))
        return KRB5_MSG_TRUNCATED;
    if (token_len > krb5_mic_size(keys))
        return KRB5_MSG_TOO_LARGE;
    mic_compute(&keys->recv.mic, piece, n, token, ours);
    if (CRYPTO_memcmp(ours, token + KRB5_TOKEN_HEADER, keys->enctype->sum_len) != 0)
        return KRB5_MSG_BAD_MIC;
    if (seq != NULL)
        *seq = h.seq;
    return KRB5_MSG_OK;
}
