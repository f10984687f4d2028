/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Inside core/files. */
#pragma once

#include <lares/files.h>
#include <lares/host.h>
#include <lares/state.h>

struct _LaresFiles {
    LaresHost *host;
    LaresShares *shares;
    uint8_t key[32]; /* of the handles' MAC; kept in STATE/handle.key so that handles outlive the process */
};

/* Reads or makes the key. */
LaresFiles *lares_files_new(LaresHost *host, GError **error);
void lares_files_free(LaresFiles *files);

#define STORE_IFACE(store) LARES_STORE_GET_IFACE(store)

/* The credentials of the caller on the object's share. */
static inline LaresCred
lares_files_cred(const LaresCaller *caller, const LaresObject *object)
{
    LaresCred cred;
    lares_share_cred(object->share, caller->identity, caller->flavor, &cred);
    return cred;
}

/* LARES_ROFS on a read-only share and on the pseudo-root. */
static inline LaresStatus
lares_files_writable(const LaresObject *object)
{
    return object->share->read_only || object->share->id == 0 ? LARES_ROFS : LARES_OK;
}

/* May the caller use an open that is there already for this access? Who opened it always (POSIX: a later chmod does not
 * end an open), everybody else as far as the file lets them now. LARES_OK or LARES_ACCESS. */
LaresStatus lares_files_may_use(const LaresCaller *caller, const LaresObject *object, const LaresOpen *open,
                                uint32_t access);

/* Fills one side of a change info; a failing getattr leaves 0 and clears `atomic`. */
void lares_files_change_before(const LaresObject *dir, LaresChangeInfo *info);
void lares_files_change_after(const LaresObject *dir, LaresChangeInfo *info);
