/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The directory's inside, shared by its files: tables in memory, and how a change is made. */
#pragma once

#include "base/db.h"
#include "identity/directory.h"
#include "identity/identity.h"

G_BEGIN_DECLS

typedef struct {
    char *name;
    uint32_t uid, gid;
    LaresUserSource source;
    gboolean disabled;
    char *full_name;
    char *principal; /* the first principal it was provisioned for; "" else */
    gint64 created;
} LaresUser;

typedef struct {
    char *name;
    uint32_t gid;
    GHashTable *members; /* names, a set */
} LaresGroup;

typedef struct {
    char *pattern;
    char *user;
    size_t literal; /* letters of the pattern that stand for themselves: the most specific one wins */
} LaresMapping;

/* What one load of the database gives; the maps by name own their values. */
typedef struct {
    GHashTable *users;    /* name -> LaresUser */
    GHashTable *by_uid;   /* uid -> LaresUser; of several (host aliases) a disabled one */
    GHashTable *groups;   /* name -> LaresGroup */
    GHashTable *by_gid;   /* gid -> LaresGroup */
    GHashTable *mappings; /* pattern -> LaresMapping */
    GPtrArray *patterns;  /* LaresMapping with '*', most specific first; borrowed */
    /* The three tables in the order (strcmp) of their keys; borrowed. */
    GTree *users_sorted, *groups_sorted, *mappings_sorted;
    GHashTable *memberships; /* user name -> GPtrArray of LaresGroup, in the order of their names; borrowed */
    /* Of Active Directory (directory-sid.h). */
    GHashTable *sids;       /* LaresSid -> LaresSidEntry, owned */
    GHashTable *user_sids;  /* name -> LaresSidEntry, the youngest */
    GHashTable *group_sids; /* the same */
    GHashTable *sid_names;  /* name in small letters (ASCII) -> GPtrArray of LaresSidEntry, the youngest last */
    GHashTable *domains;    /* LaresSid -> LaresDomainEntry, owned */
} LaresTables;

struct _LaresDirectory {
    gint64 created; /* of the user that the change made; under the change lock */
    LaresDb *db;
    LaresNss *nss;
    char *host_domain; /* of owner names, unless the configuration has one */
    GMutex change;     /* one change at a time */
    GRWLock lock;      /* everything below */
    LaresTables tables;
    GPtrArray *local_realms;
    LaresDirectoryConfig *config;
};

/* A user, copied out of the tables. */
typedef struct {
    char name[LARES_NSS_NAME_MAX];
    uint32_t uid, gid;
    LaresUserSource source;
    gboolean disabled;
} LaresUserCopy;

/* Adds to the tables (or replaces) what they then own. Whoever has the lock for writing, or the only reference. */
void lares_tables_put_user(LaresTables *t, LaresUser *user);
void lares_tables_put_group(LaresTables *t, LaresGroup *group);

const char *lares_user_source_name(LaresUserSource source);
gboolean lares_user_source_is(const char *name);
/* TRUE when it is there. */
gboolean lares_directory_copy_user(LaresDirectory *d, const char *name, LaresUserCopy *copy);
gboolean lares_directory_copy_user_by_uid(LaresDirectory *d, uint32_t uid, LaresUserCopy *copy);
/* 1 to 255 bytes of UTF-8, no control characters, ':' or '\', not a number, not "." or ".."; else LARES_ERROR_INVALID.
 */
gboolean lares_directory_check_name(const char *what, const char *name, GError **error);
/* May an account of the host be used by somebody who was not mapped to it on purpose? */
gboolean lares_directory_host_uid_allowed(LaresDirectory *d, uint32_t uid);

/* Between these two, one change: the change lock and a transaction. end() commits when `ok`, reads the tables again and
 * moves the generation; returns whether all of that worked. */
gboolean lares_directory_begin(LaresDirectory *d, GError **error);
gboolean lares_directory_end(LaresDirectory *d, gboolean ok, GError **error);

/* Says that identities may have changed although no table was read again. */
void lares_directory_moved(LaresDirectory *d);

/* Inside a change: a number for `name` (kind 'u' or 'g'): its old one, or one never used before. */
gboolean lares_directory_allocate(LaresDirectory *d, char kind, const char *name, uint32_t *id, GError **error);
gboolean lares_directory_default_group(LaresDirectory *d, uint32_t *gid, GError **error);
/* Is the number taken by the directory (also in the past, by another name) or by the host? */
gboolean lares_directory_id_taken(LaresDirectory *d, char kind, gint64 id, const char *name, gboolean *taken,
                                  GError **error);
gboolean lares_directory_check_gid(gint64 gid, GError **error);
/* `name` (kind "u" or "g") has the number `id` from now on: another one that a tombstone keeps for it stays kept. */
gboolean lares_directory_settle(LaresDirectory *d, const char *kind, const char *name, uint32_t id, GError **error);
/* Is it a group of the directory itself? */
gboolean lares_directory_owns_group(LaresDirectory *d, const char *name);

/* Makes (or finds, when another thread was faster) the user of a first login. */
gboolean lares_directory_provision(LaresDirectory *d, const char *name, const char *principal, LaresUserCopy *copy,
                                   GError **error);
/* The user that lares_directory_provision() would make now, with the number; makes nobody. */
gboolean lares_directory_foresee(LaresDirectory *d, const char *name, LaresUserCopy *copy, GError **error);

/* How a principal becomes a user: the steps of the ladder, kept when it is only asked about. Strings that are not
 * const are owned: lares_ladder_clear(). */
typedef struct {
    const char *rule;   /* "mapping", "pattern", "machine", "name" (a realm of ours), "foreign"; NULL: refused before */
    char *pattern;      /* of the mapping table's row that decided; NULL: none did */
    char *name;         /* the user that was looked for; NULL: none was */
    const char *source; /* of the user that was found, or will be made; NULL: refused, or a machine */
    gboolean is_new;    /* the login would make the user */
    const char *reason; /* why it is refused; NULL when it is not */
} LaresLadder;

/* What a login of `principal` would give now; nothing is changed. */
LaresStatus lares_directory_explain(LaresDirectory *d, const char *principal, LaresLadder *ladder,
                                    LaresIdentity **identity);
void lares_ladder_clear(LaresLadder *ladder);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(LaresLadder, lares_ladder_clear)

/* Remembers an account of the host; its numbers follow the host's. */
gboolean lares_directory_note_host_user(LaresDirectory *d, const LaresNssEntry *entry, GError **error);
/* The same inside a change; the account is not known yet. */
gboolean lares_directory_insert_host_user(LaresDirectory *d, const LaresNssEntry *entry, GError **error);

/* A group's name, or its number where nobody has one for it; never NULL, owned by the caller. */
char *lares_directory_group_label(LaresDirectory *d, uint32_t gid);

/* Verbs that have files of their own; `user` is the LaresDirectory. */
GVariant *lares_verb_user_add(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user,
                              GError **error);
GVariant *lares_verb_user_passwd(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user,
                                 GError **error);
GVariant *lares_verb_user_delete(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user,
                                 GError **error);
GVariant *lares_verb_user_disable(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user,
                                  GError **error);
GVariant *lares_verb_user_enable(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user,
                                 GError **error);
GVariant *lares_verb_user_import(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user,
                                 GError **error);
GVariant *lares_verb_mapping_test(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user,
                                  GError **error);
/* "there is no user" or the user as it is, for answers. */
GVariant *lares_directory_show_user(LaresDirectory *d, const char *name, GError **error);

G_END_DECLS
