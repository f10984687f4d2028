/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Owner strings of NFSv4: names where the directory or the host knows them, numbers otherwise.
 *
 * Spec: RFC 7530 5.9, RFC 8881 5.9. */
#include "identity/directory-private.h"

#include <string.h>

static size_t
write_number(uint32_t id, char *buf, size_t size)
{
    int n = g_snprintf(buf, (gulong)size, "%u", id);
    return size && (size_t)n < size ? (size_t)n : 0;
}

/* "name@domain" into buf, 0 when it does not fit or names are not sent. With the lock held. */
static size_t
write_name(const LaresDirectoryConfig *config, const char *name, char *buf, size_t size)
{
    size_t name_len = strlen(name), domain_len = strlen(config->domain), len = name_len + 1 + domain_len;
    if (config->numeric_owners || domain_len == 0 || len >= size)
        return 0;
    memcpy(buf, name, name_len);
    buf[name_len] = '@';
    memcpy(buf + name_len + 1, config->domain, domain_len + 1);
    return len;
}

static size_t
id_name(LaresDirectory *d, gboolean group, uint32_t id, char *buf, size_t size)
{
    size_t len = 0;
    g_rw_lock_reader_lock(&d->lock);
    gboolean numeric = d->config->numeric_owners || d->config->domain[0] == '\0';
    if (!numeric && group) {
        const LaresGroup *found = g_hash_table_lookup(d->tables.by_gid, GUINT_TO_POINTER(id));
        len = found ? write_name(d->config, found->name, buf, size) : 0;
    } else if (!numeric) {
        const LaresUser *found = g_hash_table_lookup(d->tables.by_uid, GUINT_TO_POINTER(id));
        len = found ? write_name(d->config, found->name, buf, size) : 0;
    }
    g_rw_lock_reader_unlock(&d->lock);
    if (len || numeric)
        return len ? len : write_number(id, buf, size);

    LaresNssEntry entry;
    LaresNssAnswer answer =
        group ? lares_nss_group_by_gid(d->nss, id, &entry) : lares_nss_user_by_uid(d->nss, id, &entry);
    if (answer != LARES_NSS_FOUND) {
        if (id != LARES_NOBODY_ID)
            return write_number(id, buf, size);
        g_strlcpy(entry.name, "nobody", sizeof entry.name);
    }
    g_rw_lock_reader_lock(&d->lock);
    len = write_name(d->config, entry.name, buf, size);
    g_rw_lock_reader_unlock(&d->lock);
    return len ? len : write_number(id, buf, size);
}

size_t
lares_directory_owner_name(LaresDirectory *d, uint32_t uid, char *buf, size_t size)
{
    return id_name(d, FALSE, uid, buf, size);
}

size_t
lares_directory_group_name(LaresDirectory *d, uint32_t gid, char *buf, size_t size)
{
    return id_name(d, TRUE, gid, buf, size);
}

static gboolean
parse_number(const char *text, size_t len, uint32_t *id)
{
    uint64_t value = 0;
    if (len == 0 || len > 10)
        return FALSE;
    for (size_t i = 0; i < len; i++) {
        if (!g_ascii_isdigit(text[i]))
            return FALSE;
        value = value * 10 + (uint64_t)(text[i] - '0');
    }
    *id = (uint32_t)value;
    return value < UINT32_MAX;
}

/* Domains are compared as DNS does. A realm of ours is a domain, too: some clients send the principal. */
static gboolean
domain_is_ours(LaresDirectory *d, const char *domain)
{
    gboolean ours = d->config->domain[0] && g_ascii_strcasecmp(domain, d->config->domain) == 0;
    for (guint i = 0; !ours && d->config->realms[i]; i++)
        ours = g_ascii_strcasecmp(domain, d->config->realms[i]) == 0;
    for (guint i = 0; !ours && !d->config->realms[0] && i < d->local_realms->len; i++)
        ours = g_ascii_strcasecmp(domain, g_ptr_array_index(d->local_realms, i)) == 0;
    return ours;
}

/* A name without a domain: the directory's first, then the host's. */
static LaresStatus
plain_name_id(LaresDirectory *d, gboolean group, const char *name, uint32_t *id)
{
    gboolean found = FALSE;
    g_rw_lock_reader_lock(&d->lock);
    const LaresUser *user = group ? NULL : g_hash_table_lookup(d->tables.users, name);
    const LaresGroup *in_groups = group ? g_hash_table_lookup(d->tables.groups, name) : NULL;
    if (user || in_groups) {
        found = TRUE;
        *id = user ? user->uid : in_groups->gid;
    }
    g_rw_lock_reader_unlock(&d->lock);
    if (found)
        return LARES_OK;

    LaresNssEntry entry;
    LaresNssAnswer answer =
        group ? lares_nss_group_by_name(d->nss, name, &entry) : lares_nss_user_by_name(d->nss, name, &entry);
    if (answer == LARES_NSS_FOUND) {
        *id = entry.id;
        return LARES_OK;
    }
    return answer == LARES_NSS_ERROR ? LARES_DELAY : LARES_BADOWNER;
}

static LaresStatus
name_id(LaresDirectory *d, gboolean group, const char *text, size_t len, uint32_t *id)
{
    char name[LARES_NSS_NAME_MAX * 2];
    if (len > 0 && g_ascii_isdigit(text[0]) && !memchr(text, '@', len))
        return parse_number(text, len, id) ? LARES_OK : LARES_BADOWNER;
    if (len == 0 || len >= sizeof name || memchr(text, '\0', len) || !g_utf8_validate(text, (gssize)len, NULL))
        return LARES_BADOWNER;
    memcpy(name, text, len);
    name[len] = '\0';
    char *at = strrchr(name, '@'); /* a user of another realm has an '@' in its name */
    if (!at || at == name)
        return LARES_BADOWNER;
    *at = '\0';

    g_rw_lock_reader_lock(&d->lock);
    gboolean ours = domain_is_ours(d, at + 1);
    g_rw_lock_reader_unlock(&d->lock);
    if (!ours)
        return LARES_BADOWNER;
    LaresStatus status = plain_name_id(d, group, name, id);
    if (status == LARES_OK || !g_str_equal(name, "nobody"))
        return status;
    *id = LARES_NOBODY_ID;
    return LARES_OK;
}

gboolean
lares_directory_has_group(LaresDirectory *d, const char *name, uint32_t *gid)
{
    return plain_name_id(d, TRUE, name, gid) == LARES_OK;
}

gboolean
lares_directory_has_user(LaresDirectory *d, const char *name, uint32_t *uid)
{
    return plain_name_id(d, FALSE, name, uid) == LARES_OK;
}

char *
lares_directory_user_name(LaresDirectory *d, uint32_t uid)
{
    g_rw_lock_reader_lock(&d->lock);
    const LaresUser *found = g_hash_table_lookup(d->tables.by_uid, GUINT_TO_POINTER(uid));
    char *name = found ? g_strdup(found->name) : NULL;
    g_rw_lock_reader_unlock(&d->lock);
    LaresNssEntry entry;
    if (!name && lares_nss_user_by_uid(d->nss, uid, &entry) == LARES_NSS_FOUND)
        name = g_strdup(entry.name);
    return name ? name : g_strdup_printf("%u", uid);
}

LaresStatus
lares_directory_owner_id(LaresDirectory *d, const char *name, size_t len, uint32_t *uid)
{
    return name_id(d, FALSE, name, len, uid);
}

LaresStatus
lares_directory_group_id(LaresDirectory *d, const char *name, size_t len, uint32_t *gid)
{
    return name_id(d, TRUE, name, len, gid);
}
