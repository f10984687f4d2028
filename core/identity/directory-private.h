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
} LaresTables;

struct _LaresDirectory {
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

const char *lares_user_source_name(LaresUserSource source);
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

/* Inside a change: a number for `name` (kind 'u' or 'g'): its old one, or one never used before. */
gboolean lares_directory_allocate(LaresDirectory *d, char kind, const char *name, uint32_t *id, GError **error);
gboolean lares_directory_default_group(LaresDirectory *d, uint32_t *gid, GError **error);

/* Makes (or finds, when another thread was faster) the user of a first login. */
gboolean lares_directory_provision(LaresDirectory *d, const char *name, const char *principal, LaresUserCopy *copy,
                                   GError **error);
/* Remembers an account of the host; its numbers follow the host's. */
gboolean lares_directory_note_host_user(LaresDirectory *d, const LaresNssEntry *entry, GError **error);

G_END_DECLS
