/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The directory of users, groups and mappings: opening it, configuring it, changing it.
 *
 * Everything is read from memory; a change goes to SQLite first and is visible to every reader before the function
 * returns. Deleted names keep their number in a tombstone, so that whoever comes back owns the same files.
 *
 * Thread: any, except what takes a LaresHost (main thread).
 * Locks: `change` (one change at a time) before the database's before `lock` (the tables). NSS and SQLite are never
 * asked while `lock` is held. */
#pragma once

#include <lares/control.h>
#include <lares/identity.h>
#include <lares/settings.h>
#include "identity/nss.h"

G_BEGIN_DECLS

typedef struct {
    char **realms; /* stripped; empty: every realm announced as local */
    char *domain;  /* of owner names; "" sends numbers only */
    gboolean numeric_owners;
    gboolean provision;
    gboolean provision_foreign; /* users of other realms, under their full principal name */
    uint32_t id_min, id_max;    /* uids and gids the directory hands out */
    char *default_group;
    gboolean host_accounts;
    uint32_t host_uid_min; /* accounts below are the system's */
    char *machine_account; /* "": nobody */
    gboolean server_groups;
    guint cache_ttl; /* seconds */
} LaresDirectoryConfig;

#define LARES_NOBODY_ID 65534u
/* The reason of a refusal that is counted as a class of its own. */
#define LARES_REASON_DISABLED "the user is disabled"

/* The [identity] group of lares.conf. */
extern const LaresKey lares_directory_keys[];
/* The management verbs; `user` of their functions is the LaresDirectory. */
extern const LaresVerb lares_directory_verbs[], lares_domain_verbs[];

/* Opens the directory in STATE/lares.db and registers the verbs with the host's control. */
LaresDirectory *lares_directory_new(LaresHost *host, GError **error);
/* Applies the [identity] settings; may be called again. LARES_ERROR_CONFIG names the key. */
gboolean lares_directory_configure(LaresDirectory *directory, const LaresSettings *settings, GError **error);
/* Whether they could be applied; for a server that is not to be started. */
gboolean lares_directory_settings_check(const LaresSettings *settings, GError **error);

/* The same without a host: the database file, the domain of owner names, and who is asked about host accounts. */
LaresDirectory *lares_directory_open(const char *database, const char *domain, const LaresNssBackend *nss,
                                     GError **error);
void lares_directory_free(LaresDirectory *directory);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LaresDirectory, lares_directory_free)

/* Defaults; what is returned is changed and handed to lares_directory_set_config(), which takes it over. */
LaresDirectoryConfig *lares_directory_config_new(const char *domain);
void lares_directory_config_free(LaresDirectoryConfig *config);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LaresDirectoryConfig, lares_directory_config_free)
gboolean lares_directory_config_check(const LaresDirectoryConfig *config, GError **error);
gboolean lares_directory_set_config(LaresDirectory *directory, LaresDirectoryConfig *config, GError **error);

/* lares_directory_resolve() with what an Active Directory said of a principal; `sids` may be NULL. */
LaresStatus lares_directory_login(LaresDirectory *directory, const LaresAuthPeer *peer, const LaresAuthSids *sids,
                                  LaresIdentity **identity, const char **reason);

/* TRUE when the directory or the host has a group of this name (no domain); *gid is its number. */
gboolean lares_directory_has_group(LaresDirectory *directory, const char *name, uint32_t *gid);
/* Likewise for a user. */
gboolean lares_directory_has_user(LaresDirectory *directory, const char *name, uint32_t *uid);
/* The user's name without a domain, for people who manage the server; the number as text when nobody has it. New. */
char *lares_directory_user_name(LaresDirectory *directory, uint32_t uid);

/* ---- Changes --------------------------------------------------------------------------------------------------- */

typedef enum { LARES_USER_LOCAL, LARES_USER_KERBEROS, LARES_USER_HOST } LaresUserSource;

/* A user to add or to change; -1 and NULL leave a value as it is (or to the directory to choose). */
typedef struct {
    const char *name;
    gint64 uid, gid;
    const char *full_name;
} LaresUserValues;

gboolean lares_directory_user_add(LaresDirectory *directory, const LaresUserValues *values, GError **error);
gboolean lares_directory_user_set(LaresDirectory *directory, const LaresUserValues *values, GError **error);
/* Works for a host account that has never logged in, too. */
gboolean lares_directory_user_disable(LaresDirectory *directory, const char *name, gboolean disable, GError **error);
gboolean lares_directory_user_delete(LaresDirectory *directory, const char *name, GError **error);
gboolean lares_directory_group_add(LaresDirectory *directory, const char *name, gint64 gid, GError **error);
/* NULL and -1 leave name and number. Members, and users whose primary group it is, follow. */
gboolean lares_directory_group_set(LaresDirectory *directory, const char *name, const char *new_name, gint64 gid,
                                   GError **error);
/* LARES_ERROR_CONFLICT: it is a user's primary group, or the one of users to come. */
gboolean lares_directory_group_delete(LaresDirectory *directory, const char *name, GError **error);
gboolean lares_directory_group_member(LaresDirectory *directory, const char *group, const char *user, gboolean add,
                                      GError **error);
/* `pattern`: a principal, or one with a '*' that stands for letters other than '/', '@', '$' and '\'. `user`: a name,
 * or one with a '*' for what the pattern's stood for. */
gboolean lares_directory_mapping_set(LaresDirectory *directory, const char *pattern, const char *user, GError **error);
gboolean lares_directory_mapping_delete(LaresDirectory *directory, const char *pattern, GError **error);

G_END_DECLS
