/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SETCLIENTID: a 4.0 client introduces itself.
 *
 * Spec: RFC 7530 16.33 */
#include "nfs4-ops.h"
#include "nfs4-state-private.h"

static void
put_result(Nfs4Compound *c, Nfs4Client *client)
{
    lares_put_u64(c->out, nfs4_client_id(client));
    g_mutex_lock(&client->lock);
    lares_put_bytes(c->out, client->confirm_next, NFS4_VERIFIER_SIZE);
    g_mutex_unlock(&client->lock);
}

/* The same incarnation again: the record stays, and is confirmed once more under a new verifier. Until then the old
 * confirmation may still be repeated. */
static void
update(Nfs4Compound *c, Nfs4Client *confirmed, Nfs4Client *unconfirmed)
{
    if (unconfirmed) /* of another incarnation: this one is the newer request */
        nfs4_client_destroy(unconfirmed, FALSE);
    uint64_t confirm = nfs4_random();
    g_mutex_lock(&confirmed->lock);
    memcpy(confirmed->confirm_next, &confirm, sizeof confirmed->confirm_next);
    g_mutex_unlock(&confirmed->lock);
    nfs4_client_renew(confirmed);
    put_result(c, confirmed);
}

/* RFC 7530 16.33.5: whoever has the id is shown by its callback address. */
static void
put_in_use(Nfs4Compound *c, const Nfs4Client *client)
{
    lares_put_string(c->out, strchr(client->address, ':') ? "tcp6" : "tcp");
    lares_put_string(c->out, client->address);
    c->keep_body = TRUE;
}

uint32_t
nfs4_op_setclientid(Nfs4Compound *c)
{
    size_t len, netid_len, addr_len;
    const uint8_t *verifier = lares_get_bytes(c->in, NFS4_VERIFIER_SIZE);
    const uint8_t *owner = lares_get_opaque(c->in, NFS4_OPAQUE_LIMIT, &len);
    lares_get_u32(c->in); /* cb_program: no delegation is given, so nothing is called back */
    lares_get_opaque(c->in, NFS4_OPAQUE_LIMIT, &netid_len);
    lares_get_opaque(c->in, NFS4_OPAQUE_LIMIT, &addr_len);
    lares_get_u32(c->in); /* callback_ident */
    if (c->in->failed)
        return NFS4ERR_BADXDR;

    Nfs4State *state = c->service->state;
    Nfs4Client *confirmed, *unconfirmed;
    nfs4_client_find(state, TRUE, owner, len, &confirmed, &unconfirmed);
    Nfs4ClientFacts facts = {.confirmed = confirmed != NULL};
    if (confirmed) {
        facts.same_principal = strcmp(confirmed->principal, c->principal) == 0;
        facts.same_verifier = memcmp(confirmed->verifier, verifier, NFS4_VERIFIER_SIZE) == 0;
        facts.has_state = nfs4_client_is_active(confirmed);
    }
    uint32_t status;
    switch (nfs4_step_setclientid(&facts, &status)) {
    case NFS4_STEP_UPDATE:
    case NFS4_STEP_EXISTING:
        update(c, confirmed, unconfirmed);
        break;
    case NFS4_STEP_REPLACE:
        nfs4_client_destroy(confirmed, TRUE);
        /* fall through */
    case NFS4_STEP_NEW: {
        Nfs4Introduction who = {.v40 = TRUE, .verifier = verifier, .owner = owner, .owner_len = len};
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
        put_in_use(c, confirmed);
        break;
    }
    if (confirmed)
        nfs4_client_unref(confirmed);
    if (unconfirmed)
        nfs4_client_unref(unconfirmed);
    return status;
}
