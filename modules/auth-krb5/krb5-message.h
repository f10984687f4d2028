/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Per-message tokens of the Kerberos GSS mechanism: wrap, unwrap, get_mic and verify_mic with keys
 * exported from an established context.
 *
 * Spec: RFC 4121 4.2 (tokens), 2 (key usages).
 * Thread: Krb5Keys is immutable but for its atomic sequence number; every function here may run on
 * many threads at once over one Krb5Keys. */
#pragma once

#include <glib.h>
#include <stdint.h>
#include <sys/uio.h>

#define KRB5_TOKEN_HEADER 16u
/* Room that krb5_wrap_in_place may need before and after the data, whatever the enctype. */
#define KRB5_WRAP_HEAD (KRB5_TOKEN_HEADER + 16u)
#define KRB5_WRAP_TAIL (16u + 24u)
/* The largest MIC token. */
#define KRB5_MIC_MAX (KRB5_TOKEN_HEADER + 24u)
/* Pieces that one message may be made of. */
#define KRB5_MAX_PIECES 1024u

typedef enum {
    KRB5_MSG_OK,
    KRB5_MSG_TRUNCATED,     /* shorter than its header, or than what the header announces */
    KRB5_MSG_BAD_TOKEN_ID,  /* not the token kind that was asked for */
    KRB5_MSG_BAD_FILLER,    /* a filler byte that is not 0xFF */
    KRB5_MSG_BAD_FLAGS,     /* a flag that RFC 4121 does not define, or "sealed" on a MIC */
    KRB5_MSG_BAD_DIRECTION, /* sent by our own side: a reflected token */
    KRB5_MSG_BAD_SUBKEY,    /* protected with the other of the two context keys */
    KRB5_MSG_BAD_EC,        /* extra count that cannot be */
    KRB5_MSG_BAD_MIC,       /* the checksum does not match */
    KRB5_MSG_BAD_HEADER,    /* the sealed copy of the header differs from the open one */
    KRB5_MSG_TOO_LARGE,     /* more bytes or pieces than this code handles */
    KRB5_MSG_NO_ROOM,       /* the output buffer is too small */
    KRB5_MSG_FAILED,        /* libcrypto refused to work */
} Krb5MsgStatus;

/* For logs; constant. */
const char *krb5_msg_status_name(Krb5MsgStatus status);

typedef struct Krb5Keys Krb5Keys;

typedef struct {
    gboolean initiator;       /* our role */
    gboolean acceptor_subkey; /* `key` is the subkey that the acceptor chose */
    gboolean dce_style;       /* GSS_C_DCE_STYLE: peers rotate by RRC + EC */
    int enctype;
    const uint8_t *key;
    size_t key_len;
    uint64_t send_seq;
} Krb5KeysInit;

/* Make the keys of one context. NULL with error (G_IO_ERROR_NOT_SUPPORTED: not one of the four AES
 * types, or a wrong key length; G_IO_ERROR_FAILED: libcrypto). The key is copied into derived form
 * only. */
Krb5Keys *krb5_keys_new(const Krb5KeysInit *init, GError **error);

/* The same from MIT's exported context: a gss_krb5_lucid_context_v1_t of the CFX protocol. The
 * caller frees the lucid context. `dce_style` is not in it and has to be told. */
Krb5Keys *krb5_keys_new_from_lucid(const void *lucid_v1, gboolean dce_style, GError **error);

Krb5Keys *krb5_keys_ref(Krb5Keys *keys);
void krb5_keys_unref(Krb5Keys *keys); /* wipes the keys with the last reference */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Krb5Keys, krb5_keys_unref)

const char *krb5_keys_enctype_name(const Krb5Keys *keys);

/* What wrapping adds before and after the data, in bytes. */
void krb5_wrap_overhead(const Krb5Keys *keys, gboolean sealed, size_t *before, size_t *after);
size_t krb5_mic_size(const Krb5Keys *keys);

/* Wrap `len` bytes at `data` where they lie. The caller owns KRB5_WRAP_HEAD writable bytes before
 * and KRB5_WRAP_TAIL after (or what krb5_wrap_overhead says). *token points into the head room. */
Krb5MsgStatus krb5_wrap_in_place(Krb5Keys *keys, gboolean sealed, uint8_t *data, size_t len, uint8_t **token,
                                 size_t *token_len);

/* Wrap the pieces into `out`. A piece must not overlap `out`, except that bytes which already lie
 * where krb5_wrap_in_place would have them are fine. */
Krb5MsgStatus krb5_wrap_iov(Krb5Keys *keys, gboolean sealed, const struct iovec *piece, size_t n, uint8_t *out,
                            size_t out_size, size_t *out_len);

/* Unwrap in place. On KRB5_MSG_OK *plain points into the token. `sealed` and `seq` may be NULL. The
 * token's bytes are destroyed either way; on failure no plaintext of a sealed token is left in them. Order and replay
 * are not judged here: RPCSEC_GSS and SMB have their own sequence rules, and messages of one
 * context are opened by many threads in no order. */
Krb5MsgStatus krb5_unwrap_in_place(const Krb5Keys *keys, uint8_t *token, size_t token_len, uint8_t **plain,
                                   size_t *plain_len, gboolean *sealed, uint64_t *seq);

/* A MIC token over the pieces, which are only read. `out` has at least krb5_mic_size() bytes. */
Krb5MsgStatus krb5_get_mic(Krb5Keys *keys, const struct iovec *piece, size_t n, uint8_t *out, size_t out_size,
                           size_t *out_len);
Krb5MsgStatus krb5_verify_mic(const Krb5Keys *keys, const struct iovec *piece, size_t n, const uint8_t *token,
                              size_t token_len, uint64_t *seq);
