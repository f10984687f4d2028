/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the host knows about users and groups (NSS), asked rarely and remembered for a while.
 *
 * Three answers, never two: a lookup that failed says nothing about the account and is not remembered.
 *
 * Thread: any. Locks: the cache's own, never held while NSS is asked. */
#pragma once

#include <lares/types.h>

G_BEGIN_DECLS

typedef enum { LARES_NSS_FOUND, LARES_NSS_ABSENT, LARES_NSS_ERROR } LaresNssAnswer;

#define LARES_NSS_NAME_MAX 256

typedef struct {
    char name[LARES_NSS_NAME_MAX];
    uint32_t id;  /* uid or gid */
    uint32_t gid; /* users: the primary group */
} LaresNssEntry;

typedef gboolean (*LaresNssTake)(const LaresNssEntry *entry, gpointer data);

/* The questions themselves; tests give their own. */
typedef struct {
    LaresNssAnswer (*user_by_name)(const char *name, LaresNssEntry *entry);
    LaresNssAnswer (*user_by_uid)(uint32_t uid, LaresNssEntry *entry);
    LaresNssAnswer (*group_by_name)(const char *name, LaresNssEntry *entry);
    LaresNssAnswer (*group_by_gid)(uint32_t gid, LaresNssEntry *entry);
    /* *groups: all groups of the user, g_malloc'd, in any order. ABSENT is not used. */
    LaresNssAnswer (*groups_of)(const char *name, uint32_t gid, uint32_t **groups, size_t *n);
    /* Every account, until `take` returns FALSE; FALSE: the host does not list them. */
    gboolean (*each_user)(LaresNssTake take, gpointer data);
} LaresNssBackend;

extern const LaresNssBackend lares_nss_host;

typedef struct _LaresNss LaresNss;

/* `ttl` seconds for what was found; what was not is asked again after at most 30. */
LaresNss *lares_nss_new(const LaresNssBackend *backend, guint ttl);
void lares_nss_free(LaresNss *nss);
void lares_nss_set_ttl(LaresNss *nss, guint ttl);
void lares_nss_forget(LaresNss *nss);

LaresNssAnswer lares_nss_user_by_name(LaresNss *nss, const char *name, LaresNssEntry *entry);
LaresNssAnswer lares_nss_user_by_uid(LaresNss *nss, uint32_t uid, LaresNssEntry *entry);
LaresNssAnswer lares_nss_group_by_name(LaresNss *nss, const char *name, LaresNssEntry *entry);
LaresNssAnswer lares_nss_group_by_gid(LaresNss *nss, uint32_t gid, LaresNssEntry *entry);
/* Asks the host, not the cache. */
gboolean lares_nss_each_user(LaresNss *nss, LaresNssTake take, gpointer data);
/* Appends the user's groups to `to` (uint32_t). ERROR leaves it as it was. */
LaresNssAnswer lares_nss_groups_of(LaresNss *nss, const char *name, uint32_t gid, GArray *to);

G_END_DECLS
