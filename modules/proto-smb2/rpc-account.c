/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Accounts and SIDs as the pipes lsarpc and samr tell of them.
 *
 * Spec: [MS-DTYP] 2.4.2.3. */
#include "rpc.h"
#include "smb2-info.h"

gboolean
rpc_may_ask(const RpcCall *call)
{
    g_autoptr(LaresIdentity) who = smb2_session_identity(call->session);
    return !call->session->guest && who && !who->anonymous;
}

gboolean
rpc_get_sid(NdrReader *in, Smb2Sid *sid)
{
    uint32_t n = ndr_get_u32(in);
    size_t used = 0;
    if (ndr_failed(in) || n > SMB2_SID_SUB_MAX)
        return FALSE;
    const uint8_t *bytes = lares_get_bytes(&in->r, 8 + 4 * (size_t)n);
    return bytes && smb2_sid_parse(bytes, 8 + 4 * (size_t)n, sid, &used) && sid->n == n;
}

void
rpc_put_sid(NdrWriter *out, const Smb2Sid *sid)
{
    ndr_put_u32(out, sid->n);
    smb2_put_sid(out->w, sid);
}

Smb2Sid
rpc_domain_sid(RpcCall *call)
{
    Smb2Sid sid = smb2_local_sid(smb2_domain(call->service), 0, FALSE);
    sid.n--;
    return sid;
}

const char *
rpc_account_name(RpcCall *call, uint32_t id, gboolean group)
{
    char name[512];
    LaresDirectory *d = call->service->directory;
    size_t len = group ? lares_directory_group_name(d, id, name, sizeof name)
                       : lares_directory_owner_name(d, id, name, sizeof name);
    if (len == 0 || strspn(name, "0123456789") == strlen(name))
        return NULL;
    return lares_arena_strndup(call->arena, name, strcspn(name, "@"));
}

gboolean
rpc_account_id(RpcCall *call, const char *name, uint32_t *id, gboolean *group)
{
    LaresDirectory *d = call->service->directory;
    if (!*name || strspn(name, "0123456789") == strlen(name))
        return FALSE;
    g_autofree char *full = g_strdup_printf("%s@%s", name, lares_host_domain(call->service->host));
    *group = lares_directory_owner_id(d, full, strlen(full), id) != LARES_OK;
    return !*group || lares_directory_group_id(d, full, strlen(full), id) == LARES_OK;
}
