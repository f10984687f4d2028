/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Opens whose client is away have no session and no tree to end with: what a change of policy means for them.
 *
 * Spec: [MS-SMB2] 3.3.5.9.7, 3.3.5.9.12.
 * Thread: main thread. */
#include "smb2-open.h"
#include "smb2-session.h"

gboolean
smb2_open_is_allowed(Smb2Open *open, const LaresShare *share)
{
    g_mutex_lock(&open->lock);
    gboolean away = !open->session && open->last_identity && open->last_flavor;
    g_autoptr(LaresIdentity) who = away ? lares_identity_ref(open->last_identity) : NULL;
    const LaresFlavor *flavor = open->last_flavor, *login = open->last_login;
    uint64_t credential = open->last_credential;
    g_mutex_unlock(&open->lock);
    if (!away) /* it is back, and its tree is looked at */
        return TRUE;
    if (!share || !share->enabled || !lares_share_allows(share, flavor))
        return FALSE;
    g_autoptr(LaresIdentity) fresh = NULL;
    if (smb2_login_objection(open->service, who, login, credential, &fresh))
        return FALSE;
    return !smb2_share_objection(open->object.share, share, who, flavor);
}

void
smb2_opens_sweep(Smb2Service *service)
{
    g_autoptr(GPtrArray) away = smb2_opens_away(service->opens);
    for (guint i = 0; i < away->len; i++) {
        Smb2Open *open = away->pdata[i];
        g_autoptr(LaresShare) share = lares_shares_by_id(service->shares, open->share_id);
        if (!smb2_open_is_allowed(open, share))
            smb2_open_close(open);
    }
}
