/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bounded caches with a time to live in front of the host's name service. */
#include "identity/nss.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>

#define CACHE_MAX      4096 /* entries per kind; a full cache starts over */
#define ABSENT_SECONDS 30   /* an account made a minute ago must be seen soon */
#define GROUPS_MAX     65536

/* ---- The host -------------------------------------------------------------------------------------------------- */

/* getpwnam_r(3) reports "no such account" in several ways. */
static LaresNssAnswer
classify(int rc, gboolean found)
{
    if (found)
        return LARES_NSS_FOUND;
    switch (rc) {
    case 0:
    case ENOENT:
    case ESRCH:
    case EBADF:
    case EPERM:
        return LARES_NSS_ABSENT;
    default:
        return LARES_NSS_ERROR;
    }
}

static LaresNssAnswer
fill(LaresNssEntry *entry, const char *name, uint32_t id, uint32_t gid)
{
    if (g_strlcpy(entry->name, name, sizeof entry->name) >= sizeof entry->name)
        return LARES_NSS_ABSENT;
    entry->id = id;
    entry->gid = gid;
    return LARES_NSS_FOUND;
}

static LaresNssAnswer
host_user(const char *name, uint32_t uid, LaresNssEntry *entry)
{
    for (size_t size = 4096;; size *= 4) {
        struct passwd pw, *found = NULL;
        g_autofree char *buf = g_malloc(size);
        int rc = name ? getpwnam_r(name, &pw, buf, size, &found) : getpwuid_r(uid, &pw, buf, size, &found);
        if (rc == ERANGE && size < (1u << 20))
            continue;
        LaresNssAnswer answer = classify(rc, found != NULL);
        return answer == LARES_NSS_FOUND ? fill(entry, pw.pw_name, pw.pw_uid, pw.pw_gid) : answer;
    }
}

static LaresNssAnswer
host_group(const char *name, uint32_t gid, LaresNssEntry *entry)
{
    for (size_t size = 4096;; size *= 4) {
        struct group gr, *found = NULL;
        g_autofree char *buf = g_malloc(size);
        int rc = name ? getgrnam_r(name, &gr, buf, size, &found) : getgrgid_r(gid, &gr, buf, size, &found);
        if (rc == ERANGE && size < (16u << 20))
            continue;
        LaresNssAnswer answer = classify(rc, found != NULL);
        return answer == LARES_NSS_FOUND ? fill(entry, gr.gr_name, gr.gr_gid, gr.gr_gid) : answer;
    }
}

static LaresNssAnswer
host_user_by_name(const char *name, LaresNssEntry *entry)
{
    return host_user(name, 0, entry);
}

static LaresNssAnswer
host_user_by_uid(uint32_t uid, LaresNssEntry *entry)
{
    return host_user(NULL, uid, entry);
}

static LaresNssAnswer
host_group_by_name(const char *name, LaresNssEntry *entry)
{
    return host_group(name, 0, entry);
}

static LaresNssAnswer
host_group_by_gid(uint32_t gid, LaresNssEntry *entry)
{
    return host_group(NULL, gid, entry);
}

/* getgrouplist(3) has no way to say that it failed: it gives the one group it was given. errno tells the cases that
 * happen in practice (no descriptors, no memory, a directory service that does not answer). */
static LaresNssAnswer
host_groups_of(const char *name, uint32_t gid, uint32_t **groups, size_t *n)
{
    for (int room = 64; room <= GROUPS_MAX; room *= 4) {
        g_autofree gid_t *list = g_new(gid_t, room);
        int count = room;
        errno = 0;
        int rc = getgrouplist(name, gid, list, &count);
        int err = errno;
        if (rc < 0)
            continue;
        if (count <= 1 && err && classify(err, FALSE) == LARES_NSS_ERROR && err != ERANGE && err != EINVAL &&
            err != ENOTTY)
            return LARES_NSS_ERROR;
        *groups = g_steal_pointer(&list);
        *n = (size_t)count;
        return LARES_NSS_FOUND;
    }
    return LARES_NSS_ERROR;
}

G_STATIC_ASSERT(sizeof(gid_t) == sizeof(uint32_t));

/* getpwent_r(3) keeps its place in the process: one walk at a time. A name service that ends the list early because it
 * is away looks like one that is through. */
static gboolean
host_each_user(LaresNssTake take, gpointer data)
{
    static GMutex walking;
    size_t size = 4096;
    g_autofree char *buf = g_malloc(size);
    struct passwd pw, *found = NULL;
    gboolean more = TRUE;
    int rc;
    g_mutex_lock(&walking);
    setpwent();
    while (more && ((rc = getpwent_r(&pw, buf, size, &found)) == 0 || (rc == ERANGE && size < (1u << 20)))) {
        LaresNssEntry entry;
        if (rc == ERANGE)
            buf = g_realloc(buf, size *= 4);
        else if (fill(&entry, pw.pw_name, pw.pw_uid, pw.pw_gid) == LARES_NSS_FOUND)
            more = take(&entry, data);
    }
    endpwent();
    g_mutex_unlock(&walking);
    return TRUE;
}

const LaresNssBackend lares_nss_host = {host_user_by_name, host_user_by_uid, host_group_by_name,
                                        host_group_by_gid, host_groups_of,   host_each_user};

/* ---- The caches ------------------------------------------------------------------------------------------------ */

enum { BY_NAME, BY_UID, GROUP_BY_NAME, GROUP_BY_GID, GROUPS_OF, N_KINDS };

typedef struct {
    gint64 expires; /* monotonic */
    LaresNssAnswer answer;
    union {
        LaresNssEntry entry;
        struct {
            uint32_t *list;
            size_t n;
        } groups;
    };
    gboolean is_groups;
} Kept;

struct _LaresNss {
    const LaresNssBackend *backend;
    gint ttl;   /* atomic */
    gint epoch; /* atomic; moves with forget(), so that an answer from before is not kept */
    GRWLock lock;
    GHashTable *kept[N_KINDS];
};

static void
kept_free(gpointer data)
{
    Kept *kept = data;
    if (kept->is_groups)
        g_free(kept->groups.list);
    g_free(kept);
}

LaresNss *
lares_nss_new(const LaresNssBackend *backend, guint ttl)
{
    LaresNss *nss = g_new0(LaresNss, 1);
    nss->backend = backend;
    nss->ttl = (gint)ttl;
    g_rw_lock_init(&nss->lock);
    for (int i = 0; i < N_KINDS; i++) {
        gboolean by_id = i == BY_UID || i == GROUP_BY_GID;
        nss->kept[i] = by_id ? g_hash_table_new_full(NULL, NULL, NULL, kept_free)
                             : g_hash_table_new_full(g_str_hash, g_str_equal, g_free, kept_free);
    }
    return nss;
}

void
lares_nss_free(LaresNss *nss)
{
    if (!nss)
        return;
    for (int i = 0; i < N_KINDS; i++)
        g_hash_table_unref(nss->kept[i]);
    g_rw_lock_clear(&nss->lock);
    g_free(nss);
}

void
lares_nss_set_ttl(LaresNss *nss, guint ttl)
{
    g_atomic_int_set(&nss->ttl, (gint)ttl);
}

void
lares_nss_forget(LaresNss *nss)
{
    g_rw_lock_writer_lock(&nss->lock);
    g_atomic_int_inc(&nss->epoch);
    for (int i = 0; i < N_KINDS; i++)
        g_hash_table_remove_all(nss->kept[i]);
    g_rw_lock_writer_unlock(&nss->lock);
}

static void
keep(LaresNss *nss, int kind, gpointer key, Kept *kept, gint epoch)
{
    gint ttl = g_atomic_int_get(&nss->ttl);
    if (kept->answer == LARES_NSS_ABSENT)
        ttl = MIN(ttl, ABSENT_SECONDS);
    kept->expires = g_get_monotonic_time() + (gint64)ttl * G_USEC_PER_SEC;
    g_rw_lock_writer_lock(&nss->lock);
    if (g_atomic_int_get(&nss->epoch) == epoch) {
        if (g_hash_table_size(nss->kept[kind]) >= CACHE_MAX)
            g_hash_table_remove_all(nss->kept[kind]);
        g_hash_table_replace(nss->kept[kind], key, kept);
        kept = NULL;
    }
    g_rw_lock_writer_unlock(&nss->lock);
    if (kept) {
        kept_free(kept);
        if (kind != BY_UID && kind != GROUP_BY_GID)
            g_free(key);
    }
}

static gboolean
find_entry(LaresNss *nss, int kind, gconstpointer key, LaresNssEntry *entry, LaresNssAnswer *answer)
{
    gboolean hit = FALSE;
    g_rw_lock_reader_lock(&nss->lock);
    const Kept *kept = g_hash_table_lookup(nss->kept[kind], key);
    if (kept && g_get_monotonic_time() < kept->expires) {
        hit = TRUE;
        *answer = kept->answer;
        *entry = kept->entry;
    }
    g_rw_lock_reader_unlock(&nss->lock);
    return hit;
}

static void
keep_entry(LaresNss *nss, int kind, gpointer key, const LaresNssEntry *entry, LaresNssAnswer answer, gint epoch)
{
    Kept *kept = g_new0(Kept, 1);
    kept->answer = answer;
    if (answer == LARES_NSS_FOUND)
        kept->entry = *entry;
    keep(nss, kind, key, kept, epoch);
}

static LaresNssAnswer
by_name(LaresNss *nss, int kind, const char *name, LaresNssEntry *entry)
{
    LaresNssAnswer answer;
    if (strlen(name) >= LARES_NSS_NAME_MAX || strpbrk(name, ":/\n"))
        return LARES_NSS_ABSENT;
    if (find_entry(nss, kind, name, entry, &answer))
        return answer;
    gint epoch = g_atomic_int_get(&nss->epoch);
    answer = kind == BY_NAME ? nss->backend->user_by_name(name, entry) : nss->backend->group_by_name(name, entry);
    if (answer != LARES_NSS_ERROR)
        keep_entry(nss, kind, g_strdup(name), entry, answer, epoch);
    return answer;
}

static LaresNssAnswer
by_id(LaresNss *nss, int kind, uint32_t id, LaresNssEntry *entry)
{
    LaresNssAnswer answer;
    if (find_entry(nss, kind, GUINT_TO_POINTER(id), entry, &answer))
        return answer;
    gint epoch = g_atomic_int_get(&nss->epoch);
    answer = kind == BY_UID ? nss->backend->user_by_uid(id, entry) : nss->backend->group_by_gid(id, entry);
    if (answer != LARES_NSS_ERROR)
        keep_entry(nss, kind, GUINT_TO_POINTER(id), entry, answer, epoch);
    return answer;
}

LaresNssAnswer
lares_nss_user_by_name(LaresNss *nss, const char *name, LaresNssEntry *entry)
{
    return by_name(nss, BY_NAME, name, entry);
}

LaresNssAnswer
lares_nss_user_by_uid(LaresNss *nss, uint32_t uid, LaresNssEntry *entry)
{
    return by_id(nss, BY_UID, uid, entry);
}

LaresNssAnswer
lares_nss_group_by_name(LaresNss *nss, const char *name, LaresNssEntry *entry)
{
    return by_name(nss, GROUP_BY_NAME, name, entry);
}

LaresNssAnswer
lares_nss_group_by_gid(LaresNss *nss, uint32_t gid, LaresNssEntry *entry)
{
    return by_id(nss, GROUP_BY_GID, gid, entry);
}

gboolean
lares_nss_each_user(LaresNss *nss, LaresNssTake take, gpointer data)
{
    return nss->backend->each_user && nss->backend->each_user(take, data);
}

LaresNssAnswer
lares_nss_groups_of(LaresNss *nss, const char *name, uint32_t gid, GArray *to)
{
    g_autofree char *key = g_strdup_printf("%s:%u", name, gid);
    gboolean hit = FALSE;
    g_rw_lock_reader_lock(&nss->lock);
    const Kept *kept = g_hash_table_lookup(nss->kept[GROUPS_OF], key);
    if (kept && g_get_monotonic_time() < kept->expires) {
        g_array_append_vals(to, kept->groups.list, (guint)kept->groups.n);
        hit = TRUE;
    }
    g_rw_lock_reader_unlock(&nss->lock);
    if (hit)
        return LARES_NSS_FOUND;

    gint epoch = g_atomic_int_get(&nss->epoch);
    Kept *fresh = g_new0(Kept, 1);
    fresh->is_groups = TRUE;
    fresh->answer = nss->backend->groups_of(name, gid, &fresh->groups.list, &fresh->groups.n);
    if (fresh->answer != LARES_NSS_FOUND) {
        kept_free(fresh);
        return LARES_NSS_ERROR;
    }
    g_array_append_vals(to, fresh->groups.list, (guint)fresh->groups.n);
    keep(nss, GROUPS_OF, g_steal_pointer(&key), fresh, epoch);
    return LARES_NSS_FOUND;
}
