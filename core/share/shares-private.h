/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The shares' inside: what the database keeps of a share, and how it becomes a published value. */
#pragma once

#include "base/db.h"
#include "share/hosts.h"
#include "share/pseudo.h"
#include "share/shares.h"

#include <sys/types.h>

G_BEGIN_DECLS

typedef struct {
    uint32_t id;
    char *name, *pseudo, *path, *store_type;
    char *folded; /* the name without its case, as of the database; NULL in a record that is not stored yet */
    gboolean enabled, read_only, sync_metadata, access_based, smb_encrypt, smb_bypass_traverse, smb_short_names;
    char **sec; /* names, also of flavors whose module is not there */
    LaresSquash squash;
    uint32_t anonymous_uid, anonymous_gid;
    char **hosts;
} LaresShareRecord;

/* A published share. */
typedef struct {
    LaresShare pub; /* first; points into `record` */
    LaresShareRecord *record;
    dev_t dev; /* of the path when the store was opened */
    ino_t ino;
    char *trouble; /* why it has no store though its path is there; NULL: it has one, or needs none; main thread */
    GWeakRef last; /* the store of a share that was disabled, while somebody still uses it */
} LaresShareFull;

struct _LaresShares {
    LaresHost *host;
    LaresDb *db;
    LaresPseudo *pseudo;
    GMutex change;      /* one change at a time; `records` and `open` */
    GPtrArray *records; /* LaresShareRecord, in name order */
    gboolean open;      /* modules are loaded: flavors and stores may be looked up */
    guint retry;        /* the timer that looks for missing paths */
    guint mounts;       /* the watch of the mount table */
    int mounts_fd;
    gint suspect;      /* atomic: lares_shares_suspect() */
    guint generation;  /* atomic */
    GRWLock lock;      /* everything below */
    GHashTable *by_id; /* id -> LaresShare, a reference */
    GHashTable *by_name;
    GPtrArray *sorted;
    LaresShare *root; /* id 0 */
};

LaresShareRecord *lares_share_record_new(void); /* defaults */
LaresShareRecord *lares_share_record_copy(const LaresShareRecord *record);
void lares_share_record_free(LaresShareRecord *record);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LaresShareRecord, lares_share_record_free)
/* Checks `args` and puts them into the record. LARES_ERROR_INVALID names the argument. */
gboolean lares_share_record_apply(LaresShareRecord *record, GVariant *args, GError **error);
const char *lares_squash_name(LaresSquash squash);
gboolean lares_squash_parse(const char *text, LaresSquash *squash);

/* The shares of a page of share.list, a reference each; `page` NULL: all. */
GPtrArray *lares_shares_page(LaresShares *shares, LaresControlPage *page);

/* Makes a published value; takes the record over. A store is taken from `old` or opened when `open`. */
LaresShare *lares_share_publish(LaresShares *shares, LaresShareRecord *record, const LaresShare *old, gboolean open);
/* The share with a store that is opened anew; NULL: it cannot be, and the share knows why. Main thread. */
LaresShare *lares_share_reopen(LaresShares *shares, LaresShare *share);
static inline const LaresShareFull *
lares_share_full(const LaresShare *share)
{
    return (const LaresShareFull *)share;
}

/* Starts the watch of mounts; the timer runs while something is missing. Main thread. */
void lares_shares_watch(LaresShares *shares, guint missing);
void lares_shares_unwatch(LaresShares *shares);

G_END_DECLS
