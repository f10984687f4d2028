/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shares and their policy, as protocols see them.
 *
 * A share is immutable once published; a change publishes a new LaresShare under the same id, so a request sees one
 * policy from start to end. lares_share_current() gives the newest for a held one.
 *
 * Thread: any. */
#pragma once

#include <lares/types.h>
#include <lares/auth.h>
#include <lares/identity.h>
#include <lares/store.h>

G_BEGIN_DECLS

typedef enum { LARES_SQUASH_ROOT, LARES_SQUASH_ALL, LARES_SQUASH_NONE } LaresSquash;

typedef enum {
    LARES_SHARE_ACCESS_BASED = 1 << 0,        /* listings over SMB leave out what the caller may not read */
    LARES_SHARE_SMB_ENCRYPT = 1 << 1,         /* SMB requests must be encrypted, whatever flavor they come with */
    LARES_SHARE_SMB_BYPASS_TRAVERSE = 1 << 2, /* SMB requests pass directories that the caller may not search */
    LARES_SHARE_SMB_SHORT_NAMES = 1 << 3,     /* SMB clients see short names, and find files by them */
} LaresShareOptions;

#define LARES_SHARE_MAX_FLAVORS 16

struct _LaresShare {
    gint ref;           /* atomic */
    uint32_t id;        /* stable for ever; part of file handles */
    const char *name;   /* "media"; one component, UTF-8 */
    const char *pseudo; /* where it hangs in the pseudo-root: "/media" */
    const char *path;   /* on the host */
    const char *store_type;
    LaresStore *store; /* NULL while the path is not there: then every access is LARES_STALE */
    gboolean enabled;
    gboolean read_only;
    const LaresFlavor *flavor[LARES_SHARE_MAX_FLAVORS]; /* in the administrator's order; unknown ones left out */
    guint n_flavors;
    LaresSquash squash;
    uint32_t anonymous_uid, anonymous_gid;
    const char *const *hosts; /* allowed hosts; NULL-ended; empty: everybody */
    gboolean sync_metadata;   /* directory changes reach the disk before the answer */
    uint32_t options;         /* LaresShareOptions */
    gpointer hosts_compiled;
};

LARES_API LaresShare *lares_share_ref(LaresShare *share);
LARES_API void lares_share_unref(LaresShare *share);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LaresShare, lares_share_unref)

/* TRUE when the share's list has the flavor. The only place where a protocol's flavor meets a share's policy. */
LARES_API gboolean lares_share_allows(const LaresShare *share, const LaresFlavor *flavor);
LARES_API gboolean lares_share_allows_host(const LaresShare *share, const LaresPeer *peer);
/* The credentials an identity has on this share: squash and anonymous ids applied. Borrows from both. */
LARES_API void lares_share_cred(const LaresShare *share, const LaresIdentity *identity, const LaresFlavor *flavor,
                                LaresCred *cred);

/* New references; NULL when there is none. */
LARES_API LaresShare *lares_shares_by_id(LaresShares *shares, uint32_t id);
LARES_API LaresShare *lares_shares_by_name(LaresShares *shares, const char *name);
/* All shares, in name order: LaresShare references. */
LARES_API GPtrArray *lares_shares_list(LaresShares *shares);
/* Moves with every change of any share (one atomic load). */
LARES_API guint lares_shares_generation(LaresShares *shares);

G_END_DECLS
