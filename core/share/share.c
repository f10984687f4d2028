/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One published share: its making, and the policy questions protocols ask it. */
#include "share/shares-private.h"
#include "store/registry.h"

#include <lares/log.h>
#include <sys/stat.h>

LaresShare *
lares_share_ref(LaresShare *share)
{
    __atomic_fetch_add(&share->ref, 1, __ATOMIC_RELAXED);
    return share;
}

void
lares_share_unref(LaresShare *share)
{
    if (!share || __atomic_fetch_sub(&share->ref, 1, __ATOMIC_ACQ_REL) != 1)
        return;
    LaresShareFull *full = (LaresShareFull *)share;
    g_clear_object(&full->pub.store);
    g_weak_ref_clear(&full->last);
    g_free(full->trouble);
    lares_hosts_free(full->pub.hosts_compiled);
    lares_share_record_free(full->record);
    g_free(full);
}

static void
open_store(LaresShares *shares, LaresShareFull *full)
{
    struct stat st;
    g_autoptr(GError) error = NULL;
    const LaresShareRecord *r = full->record;
    LaresStoreOpenFunc open = lares_store_registry_find(r->store_type);
    if (!open) {
        full->trouble = g_strdup_printf("no module offers the store type %s: it is not available", r->store_type);
        return;
    }
    /* A missing path is no error: it may be a disk that is mounted later. */
    if (stat(r->path, &st) < 0 || !S_ISDIR(st.st_mode))
        return;
    full->pub.store = open(shares->host, r->path, &error);
    full->dev = st.st_dev;
    full->ino = st.st_ino;
    if (!full->pub.store)
        full->trouble = g_strdup(error ? error->message : "cannot be opened");
}

/* What is tried again every few seconds is said once. */
static void
tell_trouble(const LaresShareFull *full, const LaresShareFull *before)
{
    if (full->trouble && !(before && g_strcmp0(before->trouble, full->trouble) == 0))
        lares_warning("share", "share %s: %s", full->pub.name, full->trouble);
}

/* Opens and locks live on the nodes of a store: as long as somebody uses one, nobody may get another of the same
 * directory. A share that is disabled lets its store go and finds it again if it is enabled before the last user left.
 */
static void
take_store(LaresShareFull *full, const LaresShare *old)
{
    const LaresShareFull *before = lares_share_full(old);
    const LaresShareRecord *r = full->record;
    struct stat st;
    if (!g_str_equal(old->path, r->path) || !g_str_equal(old->store_type, r->store_type))
        return;
    full->dev = before->dev;
    full->ino = before->ino;
    LaresStore *store = old->store ? g_object_ref(old->store) : g_weak_ref_get((GWeakRef *)&before->last);
    if (store && r->enabled &&
        (old->store || (stat(r->path, &st) == 0 && st.st_dev == full->dev && st.st_ino == full->ino)))
        full->pub.store = g_object_ref(store);
    g_weak_ref_set(&full->last, store);
    g_clear_object(&store);
}

static void
find_flavors(LaresShareFull *full)
{
    for (guint i = 0; full->record->sec[i] && full->pub.n_flavors < LARES_SHARE_MAX_FLAVORS; i++) {
        const LaresFlavor *flavor = lares_flavor_by_name(full->record->sec[i]);
        if (flavor)
            full->pub.flavor[full->pub.n_flavors++] = flavor;
    }
}

/* The list was checked when it was set; should it not compile any more, nobody is let in. */
static LaresHosts *
compile_hosts(const LaresShareRecord *r)
{
    static const char *const nobody[] = {"::", NULL};
    g_autoptr(GError) error = NULL;
    LaresHosts *hosts = lares_hosts_compile((const char *const *)r->hosts, &error);
    if (!hosts) {
        lares_error("share", "share %s: %s: nobody may use it", r->name, error->message);
        hosts = lares_hosts_compile(nobody, NULL);
    }
    return hosts;
}

LaresShare *
lares_share_publish(LaresShares *shares, LaresShareRecord *r, const LaresShare *old, gboolean open)
{
    LaresShareFull *full = g_new0(LaresShareFull, 1);
    full->record = r;
    full->pub = (LaresShare){.ref = 1,
                             .id = r->id,
                             .name = r->name,
                             .pseudo = r->pseudo,
                             .path = r->path,
                             .store_type = r->store_type,
                             .enabled = r->enabled,
                             .read_only = r->read_only,
                             .squash = r->squash,
                             .anonymous_uid = r->anonymous_uid,
                             .anonymous_gid = r->anonymous_gid,
                             .hosts = (const char *const *)r->hosts,
                             .sync_metadata = r->sync_metadata,
                             .options = (r->access_based ? LARES_SHARE_ACCESS_BASED : 0u) |
                                        (r->smb_encrypt ? LARES_SHARE_SMB_ENCRYPT : 0u) |
                                        (r->smb_bypass_traverse ? LARES_SHARE_SMB_BYPASS_TRAVERSE : 0u) |
                                        (r->smb_short_names ? LARES_SHARE_SMB_SHORT_NAMES : 0u),
                             .hosts_compiled = compile_hosts(r)};
    if (open)
        find_flavors(full);
    g_weak_ref_init(&full->last, NULL);
    if (old)
        take_store(full, old);
    if (!full->pub.store && open && r->enabled)
        open_store(shares, full);
    tell_trouble(full, old ? lares_share_full(old) : NULL);
    return &full->pub;
}

LaresShare *
lares_share_reopen(LaresShares *shares, LaresShare *share)
{
    LaresShareFull *before = (LaresShareFull *)share;
    LaresShare *fresh = lares_share_publish(shares, lares_share_record_copy(before->record), NULL, FALSE);
    LaresShareFull *full = (LaresShareFull *)fresh;
    find_flavors(full);
    open_store(shares, full);
    if (fresh->store)
        return fresh;
    tell_trouble(full, before);
    g_free(before->trouble);
    before->trouble = g_steal_pointer(&full->trouble);
    lares_share_unref(fresh);
    return NULL;
}

/* ---- Policy ---------------------------------------------------------------------------------------------------- */

gboolean
lares_share_allows(const LaresShare *share, const LaresFlavor *flavor)
{
    for (guint i = 0; i < share->n_flavors; i++) {
        if (share->flavor[i] == flavor)
            return TRUE;
    }
    return FALSE;
}

gboolean
lares_share_allows_host(const LaresShare *share, const LaresPeer *peer)
{
    return !share->hosts_compiled || lares_hosts_match(share->hosts_compiled, peer->address);
}

/* Root is squashed for every flavor: a Kerberos principal that is mapped to uid 0 is root on this share only where the
 * administrator said so. The same for gid 0, which owns files of the system. */
void
lares_share_cred(const LaresShare *share, const LaresIdentity *identity, const LaresFlavor *flavor, LaresCred *cred)
{
    if (identity->anonymous || share->squash == LARES_SQUASH_ALL ||
        (share->squash == LARES_SQUASH_ROOT && identity->uid == 0)) {
        *cred = (LaresCred){share->anonymous_uid, share->anonymous_gid, NULL, 0};
        return;
    }
    *cred = (LaresCred){identity->uid, identity->gid, identity->groups, identity->n_groups};
    if (share->squash == LARES_SQUASH_ROOT) {
        if (cred->gid == 0)
            cred->gid = share->anonymous_gid;
        /* Sorted: 0 can only be the first. */
        if (cred->n_groups && cred->groups[0] == 0) {
            cred->groups++;
            cred->n_groups--;
        }
    }
}
