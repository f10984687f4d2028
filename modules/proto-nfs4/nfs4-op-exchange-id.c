/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* EXCHANGE_ID: a 4.1 client introduces itself and they agree on state protection.
 *
 * SP4_MACH_CRED is offered for the operations that manage the client and its sessions; SSV is not.
 *
 * Spec: RFC 8881 18.35, 2.10.8.3 */
#include "nfs4-ops.h"
#include "nfs4-state-private.h"

#define VALID_FLAGS                                                                                                    \
    (EXCHGID4_FLAG_SUPP_MOVED_REFER | EXCHGID4_FLAG_SUPP_MOVED_MIGR | EXCHGID4_FLAG_SUPP_FENCE_OPS |                   \
     EXCHGID4_FLAG_BIND_PRINC_STATEID | EXCHGID4_FLAG_MASK_PNFS | EXCHGID4_FLAG_UPD_CONFIRMED_REC_A)

#define BIT(op) (UINT64_C(1) << (op))
/* Operations whose credentials are worth guarding; all have numbers below 64. */
#define ENFORCEABLE                                                                                                    \
    (BIT(OP_BIND_CONN_TO_SESSION) | BIT(OP_EXCHANGE_ID) | BIT(OP_CREATE_SESSION) | BIT(OP_DESTROY_SESSION) |           \
     BIT(OP_DESTROY_CLIENTID) | BIT(OP_BACKCHANNEL_CTL))

typedef struct {
    const uint8_t *verifier, *owner;
    size_t owner_len;
    uint32_t flags;
    uint32_t how;
    uint64_t enforce;
} Args;

/* A bitmap of operations; only the first 64 numbers matter. */
static uint64_t
get_op_bits(LaresReader *in)
{
    uint32_t words = lares_get_u32(in);
    uint64_t bits = 0;
    if (words > NFS4_MAX_BITMAP)
        in->failed = TRUE;
    for (uint32_t i = 0; i < words && !in->failed; i++) {
        uint64_t word = lares_get_u32(in);
        if (i < 2)
            bits |= word << (32 * i);
    }
    return bits;
}

static void
put_op_bits(LaresWriter *out, uint64_t bits)
{
    lares_put_u32(out, 2);
    lares_put_u32(out, (uint32_t)bits);
    lares_put_u32(out, (uint32_t)(bits >> 32));
}

static void
skip_ssv(LaresReader *in)
{
    size_t len;
    get_op_bits(in);
    get_op_bits(in);
    for (int list = 0; list < 2; list++) { /* hash and encryption algorithms */
        uint32_t n = lares_get_u32(in);
        for (uint32_t i = 0; i < n && !in->failed; i++)
            lares_get_opaque(in, NFS4_OPAQUE_LIMIT, &len);
    }
    lares_get_u32(in); /* window */
    lares_get_u32(in); /* number of GSS handles */
}

static void
get_args(LaresReader *in, Args *args)
{
    size_t len;
    args->verifier = lares_get_bytes(in, NFS4_VERIFIER_SIZE);
    args->owner = lares_get_opaque(in, NFS4_OPAQUE_LIMIT, &args->owner_len);
    args->flags = lares_get_u32(in);
    args->how = lares_get_u32(in);
    if (args->how == SP4_MACH_CRED) {
        args->enforce = get_op_bits(in);
        get_op_bits(in); /* spo_must_allow: nothing is allowed beyond what the share's policy allows */
    } else if (args->how == SP4_SSV) {
        skip_ssv(in);
    } else if (args->how != SP4_NONE) {
        in->failed = TRUE;
    }
    uint32_t n = lares_get_u32(in); /* eia_client_impl_id<1> */
    if (n > 1) {
        in->failed = TRUE;
    } else if (n) {
        lares_get_opaque(in, NFS4_OPAQUE_LIMIT, &len);
        lares_get_opaque(in, NFS4_OPAQUE_LIMIT, &len);
        lares_get_bytes(in, 12);
    }
}

static void
put_result(Nfs4Compound *c, Nfs4Client *client)
{
    g_mutex_lock(&client->lock);
    uint32_t seqid = client->create_seqid + 1;
    g_mutex_unlock(&client->lock);
    lares_put_u64(c->out, nfs4_client_id(client));
    lares_put_u32(c->out, seqid);
    lares_put_u32(c->out,
                  EXCHGID4_FLAG_USE_NON_PNFS | (g_atomic_int_get(&client->confirmed) ? EXCHGID4_FLAG_CONFIRMED_R : 0));
    lares_put_u32(c->out, client->mach_cred ? SP4_MACH_CRED : SP4_NONE);
    if (client->mach_cred) {
        put_op_bits(c->out, client->must_enforce);
        put_op_bits(c->out, 0);
    }
    lares_put_u64(c->out, 0); /* so_minor_id */
    lares_put_opaque(c->out, client->state->server_id, sizeof client->state->server_id);
    lares_put_opaque(c->out, client->state->server_id, sizeof client->state->server_id); /* scope */
    lares_put_u32(c->out, 0); /* no implementation id: it helps nobody but those who look for a version */
}

static uint32_t
introduce(Nfs4Compound *c, const Args *args, Nfs4Client *confirmed)
{
    Nfs4ClientFacts facts = {.confirmed = confirmed != NULL,
                             .update = (args->flags & EXCHGID4_FLAG_UPD_CONFIRMED_REC_A) != 0};
    if (confirmed) {
        facts.same_principal = strcmp(confirmed->principal, c->principal) == 0;
        facts.same_verifier = memcmp(confirmed->verifier, args->verifier, NFS4_VERIFIER_SIZE) == 0;
        facts.has_state = nfs4_client_is_active(confirmed);
    }
    uint32_t status;
    switch (nfs4_step_exchange_id(&facts, &status)) {
    case NFS4_STEP_UPDATE:
        status = nfs4_client_check_cred(c, confirmed);
        /* fall through */
    case NFS4_STEP_EXISTING:
        if (status == NFS4_OK) {
            nfs4_client_renew(confirmed);
            put_result(c, confirmed);
        }
        break;
    case NFS4_STEP_REPLACE:
        nfs4_client_destroy(confirmed, TRUE);
        /* fall through */
    case NFS4_STEP_NEW: {
        Nfs4Introduction who = {.verifier = args->verifier,
                                .owner = args->owner,
                                .owner_len = args->owner_len,
                                .mach_cred = args->how == SP4_MACH_CRED,
                                .must_enforce = args->enforce & ENFORCEABLE};
        Nfs4Client *client = nfs4_client_new(c, &who);
        if (!client) {
            status = NFS4ERR_DELAY;
            break;
        }
        put_result(c, client);
        nfs4_client_unref(client);
        break;
    }
    case NFS4_STEP_ERROR:
        break;
    }
    return status;
}

uint32_t
nfs4_op_exchange_id(Nfs4Compound *c)
{
    Args args = {0};
    get_args(c->in, &args);
    if (c->in->failed)
        return NFS4ERR_BADXDR;
    if (args.flags & ~(uint32_t)VALID_FLAGS)
        return NFS4ERR_INVAL;
    if (args.how == SP4_SSV)
        return NFS4ERR_ENCR_ALG_UNSUPP;
    if (args.how == SP4_MACH_CRED && c->caller.flavor->protection < LARES_PROTECT_INTEGRITY)
        return NFS4ERR_INVAL;
    Nfs4Client *confirmed, *unconfirmed;
    nfs4_client_find(c->service->state, FALSE, args.owner, args.owner_len, &confirmed, &unconfirmed);
    uint32_t status = introduce(c, &args, confirmed);
    if (confirmed)
        nfs4_client_unref(confirmed);
    if (unconfirmed)
        nfs4_client_unref(unconfirmed);
    return status;
}
