/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* NEGOTIATE: dialect, capabilities, ciphers; and the SMB 1 request that leads to it.
 *
 * Spec: [MS-SMB2] 2.2.3, 2.2.4, 3.3.5.3, 3.3.5.4. */
#include "smb2-credits.h"
#include "smb2-message.h"
#include "smb2-negotiate.h"

#include <lares/spnego.h>
#include <openssl/rand.h>

#define SALT_SIZE          32
#define SMB1_HEADER_SIZE   32u
#define SMB1_COM_NEGOTIATE 0x72

/* What a 2.0.2 client, which cannot pay with more than one credit, may ask for. */
#define SMALL_IO 65536u

/* What the contexts of a 3.1.1 request ask for. */
typedef struct {
    gboolean preauth, sha512, encryption, signing;
    uint16_t cipher, algorithm;
} Contexts;

/* ---- The response -------------------------------------------------------------------------------------------------
 */

static void
put_context(LaresWriter *out, size_t from, uint16_t type, const void *data, size_t len)
{
    smb2_align(out, from, 8);
    smb2_put_u16(out, type);
    smb2_put_u16(out, (uint16_t)len);
    smb2_put_u32(out, 0);
    lares_put_bytes(out, data, len);
}

static gboolean
put_contexts(LaresWriter *out, size_t from, const Contexts *contexts, const Smb2Connection *connection)
{
    uint8_t preauth[6 + SALT_SIZE] = {1, 0, SALT_SIZE, 0, SMB2_PREAUTH_SHA512, 0};
    uint8_t one[4] = {1, 0};
    if (RAND_bytes(preauth + 6, SALT_SIZE) != 1)
        return FALSE;
    put_context(out, from, SMB2_PREAUTH_INTEGRITY_CAPABILITIES, preauth, sizeof preauth);
    if (contexts->encryption) {
        smb2_set_u16(one + 2, connection->cipher);
        put_context(out, from, SMB2_ENCRYPTION_CAPABILITIES, one, sizeof one);
    }
    if (contexts->signing) {
        smb2_set_u16(one + 2, connection->signing_algorithm);
        put_context(out, from, SMB2_SIGNING_CAPABILITIES, one, sizeof one);
    }
    return TRUE;
}

/* `header` is where the response's header starts in `out`. */
static uint32_t
put_response(Smb2Connection *c, LaresWriter *out, size_t header, uint16_t dialect, const Contexts *contexts)
{
    size_t body = out->len;
    g_autoptr(GBytes) token = lares_spnego_init_token(c->service->host, "cifs");
    gsize token_len = 0;
    const uint8_t *bytes = g_bytes_get_data(token, &token_len);
    smb2_put_u16(out, 65);
    smb2_put_u16(out, c->server_security_mode);
    smb2_put_u16(out, dialect);
    smb2_put_u16(out, contexts ? (uint16_t)(1 + contexts->encryption + contexts->signing) : 0);
    lares_put_bytes(out, c->service->guid, 16);
    smb2_put_u32(out, c->server_capabilities);
    smb2_put_u32(out, c->max_io);
    smb2_put_u32(out, c->max_io);
    smb2_put_u32(out, c->max_io);
    smb2_put_u64(out, smb2_filetime_now());
    smb2_put_u64(out, 0);
    smb2_put_u16(out, (uint16_t)(SMB2_HEADER_SIZE + 64));
    smb2_put_u16(out, (uint16_t)token_len);
    smb2_put_u32(out, 0);
    lares_put_bytes(out, bytes, token_len);
    if (!contexts)
        return STATUS_SUCCESS;
    smb2_align(out, header, 8);
    smb2_patch_u32(out, body + 60, (uint32_t)(out->len - header));
    return put_contexts(out, header, contexts, c) ? STATUS_SUCCESS : STATUS_INTERNAL_ERROR;
}

static void
agree(Smb2Connection *c, uint16_t dialect)
{
    const Smb2Settings *s = &c->service->settings;
    gboolean smb3 = dialect >= SMB2_DIALECT_300 && dialect != SMB2_DIALECT_WILDCARD;
    c->multi_credit = dialect != SMB2_DIALECT_202;
    c->max_io = c->multi_credit ? s->max_io : MIN(s->max_io, SMALL_IO);
    c->server_security_mode =
        SMB2_NEGOTIATE_SIGNING_ENABLED | (s->signing_required ? SMB2_NEGOTIATE_SIGNING_REQUIRED : 0);
    c->server_capabilities = c->multi_credit ? SMB2_GLOBAL_CAP_LEASING | SMB2_GLOBAL_CAP_LARGE_MTU : 0;
    if (smb3) {
        c->server_capabilities |=
            c->client_capabilities & ((s->directory_leases ? SMB2_GLOBAL_CAP_DIRECTORY_LEASING : 0) |
                                      (s->multichannel ? SMB2_GLOBAL_CAP_MULTI_CHANNEL : 0));
        c->signing_algorithm = SMB2_SIGNING_AES_CMAC;
    } else {
        c->signing_algorithm = SMB2_SIGNING_HMAC_SHA256;
    }
    if (smb3 && dialect != SMB2_DIALECT_311 && s->encryption != SMB2_ENCRYPTION_OFF &&
        c->client_capabilities & SMB2_GLOBAL_CAP_ENCRYPTION) {
        c->server_capabilities |= SMB2_GLOBAL_CAP_ENCRYPTION;
        c->cipher = SMB2_ENCRYPTION_AES128_CCM;
    }
}

/* ---- Contexts of 3.1.1 --------------------------------------------------------------------------------------------
 */

/* The first number of a counted list that is in [min, max]; `missing` when none is. FALSE: the list is not whole. */
static gboolean
first_known(LaresReader *r, size_t skip, uint16_t min, uint16_t max, uint16_t missing, uint16_t *chosen)
{
    uint16_t n = lares_get_le16(r);
    lares_get_bytes(r, skip);
    *chosen = missing;
    for (uint16_t i = 0; i < n && !r->failed; i++) {
        uint16_t v = lares_get_le16(r);
        if (*chosen == missing && v >= min && v <= max && !r->failed)
            *chosen = v;
    }
    return n > 0 && !r->failed;
}

static uint32_t
read_context(Smb2Connection *c, uint16_t type, LaresReader data, Contexts *contexts)
{
    uint16_t hash;
    gboolean *seen = NULL;
    gboolean ok = TRUE;
    switch (type) {
    case SMB2_PREAUTH_INTEGRITY_CAPABILITIES:
        seen = &contexts->preauth;
        ok = first_known(&data, 2, SMB2_PREAUTH_SHA512, SMB2_PREAUTH_SHA512, 0, &hash);
        contexts->sha512 = ok && hash == SMB2_PREAUTH_SHA512;
        break;
    case SMB2_ENCRYPTION_CAPABILITIES:
        if (c->service->settings.encryption == SMB2_ENCRYPTION_OFF)
            return STATUS_SUCCESS;
        seen = &contexts->encryption;
        ok = first_known(&data, 0, SMB2_ENCRYPTION_AES128_CCM, SMB2_ENCRYPTION_AES256_GCM, 0, &contexts->cipher);
        break;
    case SMB2_SIGNING_CAPABILITIES:
        seen = &contexts->signing;
        ok = first_known(&data, 0, SMB2_SIGNING_HMAC_SHA256, SMB2_SIGNING_AES_GMAC, UINT16_MAX, &contexts->algorithm);
        break;
    default: /* compression and RDMA transforms are not offered: no answer refuses them */
        return STATUS_SUCCESS;
    }
    if (!ok || *seen)
        return STATUS_INVALID_PARAMETER;
    *seen = TRUE;
    return STATUS_SUCCESS;
}

static uint32_t
read_contexts(const Smb2Op *op, Contexts *contexts)
{
    size_t at = smb2_get_u32(op->body + 28);
    guint n = smb2_get_u16(op->body + 32);
    *contexts = (Contexts){.algorithm = UINT16_MAX};
    if (at & 7 || n > SMB2_MAX_CONTEXTS)
        return STATUS_INVALID_PARAMETER;
    for (guint i = 0; i < n; i++) {
        const uint8_t *head = smb2_op_buffer(op, at, 8);
        size_t len = head ? smb2_get_u16(head + 2) : 0;
        const uint8_t *data = head ? smb2_op_buffer(op, at + 8, len) : NULL;
        if (!data)
            return STATUS_INVALID_PARAMETER;
        uint32_t status = read_context(op->connection, smb2_get_u16(head), lares_reader(data, len), contexts);
        if (status != STATUS_SUCCESS)
            return status;
        at += (8 + len + 7) & ~(size_t)7;
    }
    if (!contexts->preauth)
        return STATUS_INVALID_PARAMETER;
    return contexts->sha512 ? STATUS_SUCCESS : STATUS_SMB_NO_PREAUTH_INTEGRITY_HASH_OVERLAP;
}

/* ---- NEGOTIATE ----------------------------------------------------------------------------------------------------
 */

uint16_t
smb2_negotiate_choose(const Smb2Settings *settings, const uint16_t *dialects, guint n)
{
    static const uint16_t ours[] = {SMB2_DIALECT_311, SMB2_DIALECT_302, SMB2_DIALECT_300, SMB2_DIALECT_210,
                                    SMB2_DIALECT_202};
    for (guint i = 0; i < G_N_ELEMENTS(ours); i++) {
        if (ours[i] < settings->min_dialect || ours[i] > settings->max_dialect)
            continue;
        for (guint k = 0; k < n; k++)
            if (dialects[k] == ours[i])
                return ours[i];
    }
    return 0;
}

SMB2_OP(negotiate)
{
    Smb2Connection *c = op->connection;
    guint n = smb2_get_u16(op->body + 2);
    if (n == 0 || n > SMB2_MAX_DIALECTS || op->body_len - 36 < 2 * (size_t)n)
        return STATUS_INVALID_PARAMETER;
    c->n_dialects = n;
    for (guint i = 0; i < n; i++)
        c->dialects[i] = smb2_get_u16(op->body + 36 + 2 * i);
    uint16_t dialect = smb2_negotiate_choose(&c->service->settings, c->dialects, n);
    if (!dialect)
        return STATUS_NOT_SUPPORTED;
    c->client_security_mode = smb2_get_u16(op->body + 4);
    c->client_capabilities = smb2_get_u32(op->body + 8);
    memcpy(c->client_guid, op->body + 12, sizeof c->client_guid);
    Contexts contexts;
    if (dialect == SMB2_DIALECT_311) {
        uint32_t status = read_contexts(op, &contexts);
        if (status != STATUS_SUCCESS)
            return status;
    }
    agree(c, dialect);
    if (dialect == SMB2_DIALECT_311) {
        if (contexts.encryption)
            c->cipher = contexts.cipher;
        if (contexts.signing && contexts.algorithm != UINT16_MAX)
            c->signing_algorithm = contexts.algorithm;
        smb2_preauth_update(c->preauth, op->header, op->message_len);
        op->hash = c->preauth;
    }
    uint32_t status = put_response(c, op->out, op->response, dialect, dialect == SMB2_DIALECT_311 ? &contexts : NULL);
    if (status == STATUS_SUCCESS)
        c->dialect = dialect;
    return status;
}

/* ---- SMB 1 --------------------------------------------------------------------------------------------------------
 */

/* The strings of SMB_COM_NEGOTIATE: each a 2 and a NUL-terminated name. */
static gboolean
offers(const uint8_t *record, size_t len, const char *dialect)
{
    LaresReader r = lares_reader(record, len);
    lares_get_bytes(&r, SMB1_HEADER_SIZE);
    if (lares_get_u8(&r) != 0)
        return FALSE;
    size_t n = lares_get_le16(&r);
    const uint8_t *at = lares_get_bytes(&r, n);
    if (!at)
        return FALSE;
    for (const uint8_t *end = at + n, *nul; at < end && *at == 2; at = nul + 1) {
        nul = memchr(at, 0, (size_t)(end - at));
        if (!nul)
            return FALSE;
        if (g_str_equal((const char *)at + 1, dialect))
            return TRUE;
    }
    return FALSE;
}

gboolean
smb2_negotiate_smb1(Smb2Connection *c, const uint8_t *record, size_t len, LaresWriter *out)
{
    const Smb2Settings *s = &c->service->settings;
    uint16_t dialect = 0;
    gboolean cancelled;
    if (len < SMB1_HEADER_SIZE || record[4] != SMB1_COM_NEGOTIATE || c->dialect)
        return FALSE;
    if (s->max_dialect >= SMB2_DIALECT_210 && offers(record, len, "SMB 2.???"))
        dialect = SMB2_DIALECT_WILDCARD;
    else if (s->min_dialect == SMB2_DIALECT_202 && offers(record, len, "SMB 2.002"))
        dialect = SMB2_DIALECT_202;
    g_mutex_lock(&c->lock);
    gboolean ok = dialect && smb2_credits_take(c->credits, 0, 1, &cancelled) && smb2_credits_grant(c->credits, 1) == 1;
    g_mutex_unlock(&c->lock);
    if (!ok)
        return FALSE;
    agree(c, dialect);
    size_t header = out->len;
    smb2_put_zeros(out, SMB2_HEADER_SIZE);
    smb2_patch_u32(out, header, SMB2_PROTOCOL_ID);
    smb2_patch_u16(out, header + SMB2_H_STRUCTURE_SIZE, SMB2_HEADER_SIZE);
    smb2_patch_u16(out, header + SMB2_H_CREDITS, 1);
    smb2_patch_u32(out, header + SMB2_H_FLAGS, SMB2_FLAGS_SERVER_TO_REDIR);
    put_response(c, out, header, dialect, NULL);
    c->dialect = dialect;
    return !out->failed;
}
