/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A directory in a folder of its own over a host whose accounts the test makes up. */
#pragma once

#include "identity/directory.h"

#include <glib/gstdio.h>
#include <string.h>

typedef struct {
    const char *name;
    uint32_t uid, gid;
    uint32_t groups[40];
    size_t n_groups;
} FakeUser;

static FakeUser fake_users[] = {{"root", 0, 0, {0}, 1},
                                {"daemon", 1, 1, {1}, 1},
                                {"grace", 1000, 1000, {1000, 27, 5000, 27}, 4},
                                {"linus", 1001, 1001, {1001}, 1},
                                {"nobody", 65534, 65534, {65534}, 1}};
static gint fake_failing;     /* the name service does not answer */
static gint fake_groups_fail; /* only for groups */
static gint fake_asked;
static gint fake_hide_linus;

static inline LaresNssAnswer
fake_user(const char *name, uint32_t uid, LaresNssEntry *entry)
{
    g_atomic_int_inc(&fake_asked);
    if (g_atomic_int_get(&fake_failing))
        return LARES_NSS_ERROR;
    for (guint i = 0; i < G_N_ELEMENTS(fake_users); i++) {
        const FakeUser *u = &fake_users[i];
        if (g_str_equal(u->name, "linus") && g_atomic_int_get(&fake_hide_linus))
            continue;
        if (name ? g_ascii_strcasecmp(u->name, name) == 0 : u->uid == uid) {
            g_strlcpy(entry->name, u->name, sizeof entry->name);
            entry->id = u->uid;
            entry->gid = u->gid;
            return LARES_NSS_FOUND;
        }
    }
    return LARES_NSS_ABSENT;
}

static inline LaresNssAnswer
fake_user_by_name(const char *name, LaresNssEntry *entry)
{
    return fake_user(name, 0, entry);
}

static inline LaresNssAnswer
fake_user_by_uid(uint32_t uid, LaresNssEntry *entry)
{
    return fake_user(NULL, uid, entry);
}

static inline LaresNssAnswer
fake_group(const char *name, uint32_t gid, LaresNssEntry *entry)
{
    static const struct {
        const char *name;
        uint32_t gid;
    } all[] = {{"root", 0}, {"sudo", 27}, {"grace", 1000}, {"nogroup", 65534}};
    g_atomic_int_inc(&fake_asked);
    if (g_atomic_int_get(&fake_failing))
        return LARES_NSS_ERROR;
    for (guint i = 0; i < G_N_ELEMENTS(all); i++) {
        if (name ? g_str_equal(all[i].name, name) : all[i].gid == gid) {
            g_strlcpy(entry->name, all[i].name, sizeof entry->name);
            entry->id = entry->gid = all[i].gid;
            return LARES_NSS_FOUND;
        }
    }
    return LARES_NSS_ABSENT;
}

static inline LaresNssAnswer
fake_group_by_name(const char *name, LaresNssEntry *entry)
{
    return fake_group(name, 0, entry);
}

static inline LaresNssAnswer
fake_group_by_gid(uint32_t gid, LaresNssEntry *entry)
{
    return fake_group(NULL, gid, entry);
}

static inline LaresNssAnswer
fake_groups_of(const char *name, uint32_t gid, uint32_t **groups, size_t *n)
{
    g_atomic_int_inc(&fake_asked);
    if (g_atomic_int_get(&fake_failing) || g_atomic_int_get(&fake_groups_fail))
        return LARES_NSS_ERROR;
    for (guint i = 0; i < G_N_ELEMENTS(fake_users); i++) {
        if (g_str_equal(fake_users[i].name, name)) {
            *n = fake_users[i].n_groups;
            *groups = g_memdup2(fake_users[i].groups, *n * sizeof(uint32_t));
            return LARES_NSS_FOUND;
        }
    }
    *n = 1;
    *groups = g_memdup2(&gid, sizeof gid);
    return LARES_NSS_FOUND;
}

static inline gboolean
fake_each_user(LaresNssTake take, gpointer data)
{
    gboolean more = TRUE;
    if (g_atomic_int_get(&fake_failing))
        return FALSE;
    for (guint i = 0; more && i < G_N_ELEMENTS(fake_users); i++) {
        LaresNssEntry entry = {.id = fake_users[i].uid, .gid = fake_users[i].gid};
        g_strlcpy(entry.name, fake_users[i].name, sizeof entry.name);
        more = take(&entry, data);
    }
    return TRUE;
}

static const LaresNssBackend fake_nss = {fake_user_by_name, fake_user_by_uid, fake_group_by_name,
                                         fake_group_by_gid, fake_groups_of,   fake_each_user};

typedef struct {
    char *folder, *file;
    LaresDirectory *d;
} Fixture;

static inline void
fixture_open(Fixture *f)
{
    g_autoptr(GError) error = NULL;
    f->d = lares_directory_open(f->file, "home.lan", &fake_nss, &error);
    g_assert_no_error(error);
    lares_directory_add_local_realm(f->d, "HOME.LAN");
}

static inline void
fixture_setup(Fixture *f, gconstpointer data)
{
    fake_failing = fake_groups_fail = fake_hide_linus = 0;
    f->folder = g_dir_make_tmp("lares-directory-XXXXXX", NULL);
    f->file = g_build_filename(f->folder, "lares.db", NULL);
    fixture_open(f);
}

static inline void
fixture_restart(Fixture *f)
{
    lares_directory_free(f->d);
    fixture_open(f);
}

static inline void
fixture_teardown(Fixture *f, gconstpointer data)
{
    lares_directory_free(f->d);
    g_autoptr(GDir) dir = g_dir_open(f->folder, 0, NULL);
    for (const char *name; (name = g_dir_read_name(dir));) {
        g_autofree char *path = g_build_filename(f->folder, name, NULL);
        g_unlink(path);
    }
    g_rmdir(f->folder);
    g_free(f->folder);
    g_free(f->file);
}

/* Changes one thing of the configuration. */
#define fixture_configure(f, change)                                                                                   \
    G_STMT_START                                                                                                       \
    {                                                                                                                  \
        LaresDirectoryConfig *c = lares_directory_config_new("home.lan");                                              \
        g_autoptr(GError) config_error = NULL;                                                                         \
        change;                                                                                                        \
        g_assert_true(lares_directory_set_config((f)->d, c, &config_error));                                           \
    }                                                                                                                  \
    G_STMT_END

/* The identity of a principal, or NULL with *reason. */
static inline LaresIdentity *
login(Fixture *f, const char *principal, const char **reason)
{
    const char *why = NULL;
    const char *at = strrchr(principal, '@');
    LaresAuthPeer peer = {.principal = principal, .realm = at ? at + 1 : NULL};
    LaresIdentity *identity = NULL;
    LaresStatus status = lares_directory_resolve(f->d, &peer, &identity, &why);
    g_assert_true((status == LARES_OK) == (identity != NULL));
    g_assert_true((status == LARES_OK) == (why == NULL));
    if (reason)
        *reason = why;
    return identity;
}

static inline LaresIdentity *
login_sys(Fixture *f, uint32_t uid, uint32_t gid, const uint32_t *groups, size_t n)
{
    LaresAuthPeer peer = {.unix_ids = TRUE, .uid = uid, .gid = gid, .groups = groups, .n_groups = n};
    LaresIdentity *identity = NULL;
    lares_directory_resolve(f->d, &peer, &identity, NULL);
    return identity;
}

static inline gboolean
has_gid(const LaresIdentity *identity, uint32_t gid)
{
    for (uint32_t i = 0; i < identity->n_groups; i++) {
        if (identity->groups[i] == gid)
            return TRUE;
    }
    return FALSE;
}

#define test(path, function) g_test_add(path, Fixture, NULL, fixture_setup, function, fixture_teardown)
