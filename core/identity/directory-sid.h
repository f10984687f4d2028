/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Users and groups of Active Directory domains in the directory.
 *
 * A SID stands for a user or group of the directory by its name; the number is the name's. Numbers come from the range
 * uid-min to uid-max in the order in which SIDs are first seen, and stay: a table, because a number computed from a SID
 * needs a range of some hundred thousand per domain, which an administrator would have to keep free on every host, and
 * two domains may still meet in it.
 *
 * A group is called REALM/name once its name is known (well-known RIDs have one, others get one by an administrator),
 * and by its SID until then. A PAC has no names of groups.
 *
 * Whose word counts: a domain's SID belongs to the realm whose user first came with it. Of a user's own domain all
 * groups count. Those of other domains count when this server's own KDC vouches for the user's realm as its own, or is
 * an Active Directory, which filters at its borders ([MS-PAC] 4.1.2.2); MIT's KDC hands a PAC of a trusted realm on as
 * it is, so that realm could otherwise put its users into any group here.
 *
 * Thread: any. Locks: as the directory's. */
#pragma once

#include <lares/sid.h>
#include "identity/directory-private.h"

G_BEGIN_DECLS

typedef struct {
    LaresSid sid;
    gboolean group;
    char *name; /* in users or groups, where it may be missing at the moment */
} LaresSidEntry;

typedef struct {
    LaresSid sid;
    char *realm;
    char *name; /* NetBIOS; "" when it is not known */
} LaresDomainEntry;

/* Parts of LaresTables. */
void lares_sid_tables_init(LaresTables *t);
void lares_sid_tables_clear(LaresTables *t);
gboolean lares_sid_tables_load(LaresDirectory *d, LaresTables *t, GError **error);
/* Takes the entry over; with the writer lock, or before the tables are seen by others. */
void lares_sid_tables_put(LaresTables *t, LaresSidEntry *entry);
LaresSidEntry *lares_sid_entry_new(const LaresSid *sid, gboolean group, const char *name);
LaresDomainEntry *lares_domain_entry_new(const LaresSid *sid, const char *realm, const char *name);
/* The domain an account's SID is of; with the lock held; NULL. */
const LaresDomainEntry *lares_sid_domain(const LaresTables *t, const LaresSid *sid);
/* The group a SID stands for; with the lock held; NULL: none, or not at the moment. */
const LaresGroup *lares_sid_group(const LaresTables *t, const LaresSid *sid);
/* "Domain Users" for 513; NULL. */
const char *lares_sid_known_group(uint32_t rid);

/* May a user of `realm` come with these? LARES_ACCESS with a reason. */
LaresStatus lares_sid_check(LaresDirectory *d, const char *realm, const LaresAuthSids *sids, const char **reason);
/* Appends the numbers of the user's groups to `gids`, and makes those that are new. `user`: the account that the user
 * SID stands for from now on; NULL: an account that others share. */
LaresStatus lares_sid_learn(LaresDirectory *d, const char *realm, const LaresAuthSids *sids, const char *user,
                            GArray *gids, const char **reason);
/* Gives a domain's group a name ("Staff", "CORP.TEST/Staff"), and makes the group if its SID is new. */
gboolean lares_sid_set_name(LaresDirectory *d, const char *sid, const char *name, GError **error);

G_END_DECLS
