/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who somebody is: an immutable value, made by the directory of users, groups and mappings.
 *
 * Thread: identities are immutable and reference counted; directory functions may be called from any thread (they
 * read a cache; SQLite and NSS are asked on a miss). */
#pragma once

#include <lares/types.h>
#include <lares/auth.h>

G_BEGIN_DECLS

struct _LaresIdentity {
    gatomicrefcount ref;
    const char *name;      /* the user's name in the directory, or "uid:1000" for an unknown AUTH_SYS uid */
    const char *principal; /* NULL for sys */
    uint32_t uid;
    uint32_t gid;
    const uint32_t *groups; /* supplementary, sorted, without gid */
    uint32_t n_groups;
    gboolean anonymous;
    gboolean machine;
    gboolean authenticated; /* proven by something stronger than the client's word */
    guint generation;       /* lares_directory_generation() it was made in */
};

LARES_API LaresIdentity *lares_identity_ref(LaresIdentity *identity);
LARES_API void lares_identity_unref(LaresIdentity *identity);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LaresIdentity, lares_identity_unref)

/* Moves whenever a user, group or mapping changes. A holder of an identity compares (one atomic load) before each use
 * and asks again with lares_directory_refresh() when it moved: a disabled user is then refused at once. */
LARES_API guint lares_directory_generation(void);

/* Says that a realm's names are this server's own: ada@REALM is the user ada (unless the configuration lists the realms
 * itself). For the modules that hold a realm's keys; a realm nobody announced stays foreign. */
LARES_API void lares_directory_add_local_realm(LaresDirectory *directory, const char *realm);

/* ARCHITECTURE 7: override, strip realm, directory user or host account, auto-provision unless disabled. */
LARES_API LaresStatus lares_directory_resolve(LaresDirectory *directory, const LaresAuthPeer *peer,
                                              LaresIdentity **identity, const char **reason);
/* The same identity as the directory sees it now; LARES_ACCESS once it is disabled or gone. `old` is not consumed. */
LARES_API LaresStatus lares_directory_refresh(LaresDirectory *directory, LaresIdentity *old, LaresIdentity **fresh);

/* NFSv4 owner strings ("ada@home.lan", numeric where configured; RFC 7530 5.9). `buf` gets the NUL-terminated string;
 * returns its length. Never fails: falls back to the number. */
LARES_API size_t lares_directory_owner_name(LaresDirectory *directory, uint32_t uid, char *buf, size_t size);
LARES_API size_t lares_directory_group_name(LaresDirectory *directory, uint32_t gid, char *buf, size_t size);
/* LARES_BADOWNER when the name cannot be mapped. The name need not be NUL-terminated. */
LARES_API LaresStatus lares_directory_owner_id(LaresDirectory *directory, const char *name, size_t len, uint32_t *uid);
LARES_API LaresStatus lares_directory_group_id(LaresDirectory *directory, const char *name, size_t len, uint32_t *gid);

/* A user or a group of the directory; host accounts and groups are the host's to list. */
typedef struct {
    char *name, *full_name; /* full_name: "" for groups */
    uint32_t id, gid;       /* uid and primary gid; of a group its gid twice */
    gboolean disabled;
} LaresAccount;
/* All of them, by their numbers; the array owns its LaresAccount elements. */
LARES_API GPtrArray *lares_directory_accounts(LaresDirectory *directory, gboolean groups);

/* ---- Active Directory: who its SIDs are here ---- */

/* The SID that a domain gave the user or group of this number. FALSE: none did. */
LARES_API gboolean lares_directory_sid(LaresDirectory *directory, uint32_t id, gboolean group, LaresSid *sid);
/* The number of an account of a domain. FALSE: nobody yet. */
LARES_API gboolean lares_directory_sid_id(LaresDirectory *directory, const LaresSid *sid, uint32_t *id,
                                          gboolean *group);
/* What an account is called in its domain, newly allocated; NULL: not known. */
LARES_API char *lares_directory_sid_name(LaresDirectory *directory, const LaresSid *sid, LaresSid *domain,
                                         gboolean *group);
/* The account of this name (in any case) in a domain. */
LARES_API gboolean lares_directory_find_sid(LaresDirectory *directory, const LaresSid *domain, const char *name,
                                            LaresSid *sid, gboolean *group);
typedef struct {
    LaresSid sid;
    char *realm; /* "CORP.TEST" */
    char *name;  /* as Windows calls it ("CORP"); the realm where that is not known */
} LaresDomain;
/* The domains whose users have logged in; the array owns its LaresDomain elements. */
LARES_API GPtrArray *lares_directory_domains(LaresDirectory *directory);

/* What a login method keeps of a user (auth-ntlm: the NT hash), under a `kind` of the module's own, at most 256 bytes;
 * 0 bytes forget it. It stands in the state directory's database (mode 0600) and goes with the user.
 * LARES_ERROR_NOT_FOUND: neither the directory nor the host has the user. */
LARES_API gboolean lares_directory_set_secret(LaresDirectory *directory, const char *user, const char *kind,
                                              const uint8_t *bytes, size_t len, GError **error);
/* *len: room before, bytes after. LARES_ACCESS: the user has none; LARES_NOENT: there is no such user. */
LARES_API LaresStatus lares_directory_get_secret(LaresDirectory *directory, const char *user, const char *kind,
                                                 uint8_t *bytes, size_t *len);
/* The names (char *, owned by the array) of those who have one. */
LARES_API GPtrArray *lares_directory_secret_users(LaresDirectory *directory, const char *kind);

G_END_DECLS
