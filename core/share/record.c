/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an administrator may write about a share. */
#include "share/shares-private.h"
#include "store/registry.h"

#include <string.h>

static const char *const squash_names[] = {
    [LARES_SQUASH_ROOT] = "root", [LARES_SQUASH_ALL] = "all", [LARES_SQUASH_NONE] = "none"};

const char *
lares_squash_name(LaresSquash squash)
{
    return squash_names[squash];
}

gboolean
lares_squash_parse(const char *text, LaresSquash *squash)
{
    for (guint i = 0; i < G_N_ELEMENTS(squash_names); i++) {
        if (g_str_equal(text, squash_names[i])) {
            *squash = (LaresSquash)i;
            return TRUE;
        }
    }
    return FALSE;
}

LaresShareRecord *
lares_share_record_new(void)
{
    LaresShareRecord *r = g_new0(LaresShareRecord, 1);
    r->store_type = g_strdup("posix");
    r->enabled = TRUE;
    r->sec = g_strsplit("sys", ",", 0);
    r->squash = LARES_SQUASH_ROOT;
    r->anonymous_uid = r->anonymous_gid = 65534;
    r->hosts = g_new0(char *, 1);
    return r;
}

LaresShareRecord *
lares_share_record_copy(const LaresShareRecord *from)
{
    LaresShareRecord *r = g_memdup2(from, sizeof *from);
    r->name = g_strdup(from->name);
    r->folded = g_strdup(from->folded);
    r->pseudo = g_strdup(from->pseudo);
    r->path = g_strdup(from->path);
    r->store_type = g_strdup(from->store_type);
    r->sec = g_strdupv(from->sec);
    r->hosts = g_strdupv(from->hosts);
    return r;
}

void
lares_share_record_free(LaresShareRecord *r)
{
    if (!r)
        return;
    g_free(r->name);
    g_free(r->folded);
    g_free(r->pseudo);
    g_free(r->path);
    g_free(r->store_type);
    g_strfreev(r->sec);
    g_strfreev(r->hosts);
    g_free(r);
}

/* ---- Checks ---------------------------------------------------------------------------------------------------- */

static gboolean
invalid(GError **error, const char *what, const char *value, const char *why)
{
    g_set_error(error, LARES_ERROR, LARES_ERROR_INVALID, "%s: \"%s\" %s", what, value, why);
    return FALSE;
}

/* One component of a path, in words a terminal can show. */
static gboolean
component_is_fine(const char *text, size_t len)
{
    if (len == 0 || len > LARES_NAME_LIMIT || !g_utf8_validate(text, (gssize)len, NULL) || memchr(text, '/', len) ||
        (len == 1 && text[0] == '.') || (len == 2 && text[0] == '.' && text[1] == '.'))
        return FALSE;
    for (const char *p = text; p < text + len; p = g_utf8_next_char(p)) {
        if (g_unichar_iscntrl(g_utf8_get_char(p)))
            return FALSE;
    }
    return TRUE;
}

static gboolean
check_share_name(const char *name, GError **error)
{
    if (!component_is_fine(name, strlen(name)))
        return invalid(error, "name", name, "is not one path component of 1 to 255 bytes of UTF-8");
    /* Characters that SMB has no share names with ([MS-FSCC] 2.1.6); '$' at the end would hide it there. */
    if (strpbrk(name, "\\:*?\"<>|,;=+[]") || name[0] == ' ' || name[strlen(name) - 1] == ' ')
        return invalid(error, "name", name, "has a character that not every protocol allows");
    return TRUE;
}

static gboolean
check_pseudo(const char *pseudo, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(pseudo, "/", -1);
    guint n = g_strv_length(parts);
    if (pseudo[0] != '/' || n < 2 || n > 17)
        return invalid(error, "pseudo", pseudo, "is not an absolute path of at most 16 components below \"/\"");
    for (guint i = 1; i < n; i++) {
        if (!component_is_fine(parts[i], strlen(parts[i])))
            return invalid(error, "pseudo", pseudo, "has a component that is empty, too long or not UTF-8");
    }
    return TRUE;
}

static gboolean
set_path(LaresShareRecord *r, const char *path, GError **error)
{
    if (!g_path_is_absolute(path) || !g_utf8_validate(path, -1, NULL) || strpbrk(path, "\n\r"))
        return invalid(error, "path", path, "is not an absolute path");
    g_free(r->path);
    r->path = g_canonicalize_filename(path, "/");
    return TRUE;
}

static gboolean
set_sec(LaresShareRecord *r, char **sec, GError **error)
{
    guint n = g_strv_length(sec);
    if (n == 0 || n > LARES_SHARE_MAX_FLAVORS) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_INVALID, "sec: 1 to %d flavors are needed",
                    LARES_SHARE_MAX_FLAVORS);
        return FALSE;
    }
    for (guint i = 0; i < n; i++) {
        if (!lares_flavor_by_name(sec[i]))
            return invalid(error, "sec", sec[i], "is not a flavor of any loaded module");
        for (guint k = 0; k < i; k++) {
            if (g_str_equal(sec[i], sec[k]))
                return invalid(error, "sec", sec[i], "is there twice");
        }
    }
    g_strfreev(r->sec);
    r->sec = g_strdupv(sec);
    return TRUE;
}

static gboolean
set_hosts(LaresShareRecord *r, char **hosts, GError **error)
{
    LaresHosts *compiled = lares_hosts_compile((const char *const *)hosts, error);
    if (!compiled)
        return FALSE;
    lares_hosts_free(compiled);
    g_strfreev(r->hosts);
    r->hosts = g_strdupv(hosts);
    return TRUE;
}

static gboolean
set_id(uint32_t *id, const char *what, gint64 value, GError **error)
{
    if (value < 0 || value >= UINT32_MAX) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_INVALID, "%s: %" G_GINT64_FORMAT " is out of range", what, value);
        return FALSE;
    }
    *id = (uint32_t)value;
    return TRUE;
}

/* ---- Arguments ------------------------------------------------------------------------------------------------- */

static gboolean
apply_strings(LaresShareRecord *r, GVariant *args, GError **error)
{
    const char *text;
    if (!r->name && g_variant_lookup(args, "name", "&s", &text)) {
        if (!check_share_name(text, error))
            return FALSE;
        r->name = g_strdup(text);
        r->pseudo = g_strconcat("/", text, NULL);
    }
    if (g_variant_lookup(args, "pseudo", "&s", &text)) {
        if (!check_pseudo(text, error))
            return FALSE;
        g_free(r->pseudo);
        r->pseudo = g_strdup(text);
    }
    if (g_variant_lookup(args, "path", "&s", &text) && !set_path(r, text, error))
        return FALSE;
    if (g_variant_lookup(args, "store", "&s", &text)) {
        if (!lares_store_registry_find(text))
            return invalid(error, "store", text, "is not a store type of any loaded module");
        g_free(r->store_type);
        r->store_type = g_strdup(text);
    }
    if (g_variant_lookup(args, "squash", "&s", &text) && !lares_squash_parse(text, &r->squash))
        return invalid(error, "squash", text, "is not one of root, all, none");
    return TRUE;
}

gboolean
lares_share_record_apply(LaresShareRecord *r, GVariant *args, GError **error)
{
    gint64 number;
    g_auto(GStrv) sec = NULL, hosts = NULL;
    if (!apply_strings(r, args, error))
        return FALSE;
    g_variant_lookup(args, "enabled", "b", &r->enabled);
    g_variant_lookup(args, "read-only", "b", &r->read_only);
    g_variant_lookup(args, "sync-metadata", "b", &r->sync_metadata);
    g_variant_lookup(args, "access-based", "b", &r->access_based);
    g_variant_lookup(args, "smb-encrypt", "b", &r->smb_encrypt);
    g_variant_lookup(args, "smb-bypass-traverse", "b", &r->smb_bypass_traverse);
    g_variant_lookup(args, "smb-short-names", "b", &r->smb_short_names);
    if (g_variant_lookup(args, "anonymous-uid", "x", &number) &&
        !set_id(&r->anonymous_uid, "anonymous-uid", number, error))
        return FALSE;
    if (g_variant_lookup(args, "anonymous-gid", "x", &number) &&
        !set_id(&r->anonymous_gid, "anonymous-gid", number, error))
        return FALSE;
    if (g_variant_lookup(args, "sec", "^as", &sec) && !set_sec(r, sec, error))
        return FALSE;
    return !g_variant_lookup(args, "hosts", "^as", &hosts) || set_hosts(r, hosts, error);
}
