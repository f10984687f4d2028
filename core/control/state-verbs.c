/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* open.list and lock.list: who has which file open, and what they hold of it, page by page.
 *
 * Thread: main. */
#include "control/control-private.h"

#include "identity/directory.h"
#include "module/host-private.h"
#include "state/list.h"

#include <inttypes.h>
#include <lares/host.h>
#include <lares/share.h>

#define DEFAULT_PAGE 100
#define MAX_PAGE     1000

/* ---- What is asked for ---------------------------------------------------------------------------------------------
 */

static gboolean
take_filter(LaresHost *host, GVariant *args, LaresStateQuery *query, GError **error)
{
    const char *share = NULL, *user = NULL;
    if (g_variant_lookup(args, "share", "&s", &share)) {
        g_autoptr(LaresShare) found = lares_shares_by_name(host->shares, share);
        if (!found) {
            g_set_error(error, LARES_ERROR, LARES_ERROR_NOT_FOUND, "there is no share \"%s\"", share);
            return FALSE;
        }
        query->by_share = TRUE;
        query->share = found->id;
    }
    if (g_variant_lookup(args, "user", "&s", &user)) {
        if (!lares_directory_has_user(host->directory, user, &query->uid)) {
            g_set_error(error, LARES_ERROR, LARES_ERROR_NOT_FOUND, "there is no user \"%s\"", user);
            return FALSE;
        }
        query->by_user = TRUE;
    }
    return TRUE;
}

static gboolean
take_query(LaresHost *host, GVariant *args, LaresStateQuery *query, GError **error)
{
    const char *after = NULL;
    gint64 limit = DEFAULT_PAGE;
    g_variant_lookup(args, "limit", "x", &limit);
    if (limit < 1 || limit > MAX_PAGE) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_INVALID, "\"limit\" must be between 1 and %d", MAX_PAGE);
        return FALSE;
    }
    query->limit = (guint)limit;
    if (g_variant_lookup(args, "after", "&s", &after) &&
        !g_ascii_string_to_unsigned(after, 10, 0, G_MAXUINT64, &query->after, NULL)) {
        g_set_error_literal(error, LARES_ERROR, LARES_ERROR_INVALID,
                            "\"after\" must be what the page before gave as \"next\"");
        return FALSE;
    }
    return take_filter(host, args, query, error);
}

/* ---- What is told --------------------------------------------------------------------------------------------------
 */

static void
add_id(GVariantDict *d, const char *key, uint64_t id)
{
    g_autofree char *text = g_strdup_printf("%" PRIu64, id);
    g_variant_dict_insert(d, key, "s", text);
}

typedef struct {
    uint32_t bit;
    const char *name;
} Bit;

static void
add_bits(GVariantDict *d, const char *key, uint32_t bits, const Bit names[3])
{
    GVariantBuilder b;
    g_variant_builder_init(&b, G_VARIANT_TYPE_STRING_ARRAY);
    for (guint i = 0; i < 3; i++)
        if (bits & names[i].bit)
            g_variant_builder_add(&b, "s", names[i].name);
    g_variant_dict_insert_value(d, key, g_variant_builder_end(&b));
}

static const Bit modes[3] = {
    {LARES_ACCESS_READ, "read"}, {LARES_ACCESS_WRITE, "write"}, {LARES_ACCESS_DELETE, "delete"}};
static const Bit caches[3] = {{LARES_LEASE_READ, "read"}, {LARES_LEASE_WRITE, "write"}, {LARES_LEASE_HANDLE, "handle"}};

/* Where the file is now, below the root of its share; named streams have a place of their own that nobody else sees. */
static void
add_path(GVariantDict *d, const LaresStateWho *who)
{
    char path[4096];
    const LaresStoreInterface *iface = LARES_STORE_GET_IFACE(who->node->store);
    if (!iface->path || iface->path(who->node->store, who->node, path, sizeof path) != LARES_OK)
        return;
    if (g_str_has_prefix(path, ".lares.streams/")) {
        g_variant_dict_insert(d, "stream", "b", TRUE);
        return;
    }
    g_autofree char *valid = g_utf8_make_valid(path, -1);
    g_variant_dict_insert(d, "path", "s", valid);
}

static void
add_user(LaresHost *host, GVariantDict *d, int64_t uid)
{
    if (uid < 0)
        return;
    g_autofree char *name = lares_directory_user_name(host->directory, (uint32_t)uid);
    g_variant_dict_insert(d, "user", "s", name);
    g_variant_dict_insert(d, "uid", "x", (gint64)uid);
}

static void
add_who(LaresHost *host, GVariantDict *d, const LaresStateWho *who)
{
    const char *session = lares_holder_session(who->holder), *client = lares_holder_client(who->holder);
    add_id(d, "id", who->id);
    g_variant_dict_insert(d, "share", "s", who->share->name);
    add_path(d, who);
    g_variant_dict_insert(d, "protocol", "s", lares_holder_protocol(who->holder));
    if (session)
        g_variant_dict_insert(d, "session", "s", session);
    if (client)
        g_variant_dict_insert(d, "client", "s", client);
    add_user(host, d, who->uid);
}

static GVariant *
open_variant(LaresHost *host, const LaresOpenInfo *info)
{
    GVariantDict d;
    g_variant_dict_init(&d, NULL);
    add_who(host, &d, &info->who);
    g_variant_dict_insert(&d, "type", "s", info->who.node->type == LARES_TYPE_DIRECTORY ? "folder" : "file");
    add_bits(&d, "access", info->access, modes);
    add_bits(&d, "deny", info->deny, modes);
    g_variant_dict_insert(&d, "locks", "x", (gint64)info->locks);
    if (info->lease)
        add_bits(&d, "lease", info->lease, caches);
    if (info->delete_pending)
        g_variant_dict_insert(&d, "delete-pending", "b", TRUE);
    return g_variant_dict_end(&d);
}

/* Owners are bytes of the client's choice. */
static char *
owner_text(GBytes *owner)
{
    gsize len, i = 0;
    const guchar *bytes = g_bytes_get_data(owner, &len);
    while (i < len && g_ascii_isgraph(bytes[i]))
        i++;
    if (i == len)
        return g_strndup((const char *)bytes, len);
    GString *hex = g_string_new("0x");
    for (i = 0; i < len; i++)
        g_string_append_printf(hex, "%02x", bytes[i]);
    return g_string_free(hex, FALSE);
}

/* Numbers of 64 bits without a sign fit neither JSON's readers nor GVariant's x: what ends with the file has no end. */
static void
add_range(GVariantDict *d, const LaresLockInfo *info)
{
    g_variant_dict_insert(d, "start", "x", (gint64)MIN(info->start, (uint64_t)G_MAXINT64));
    if (info->length != UINT64_MAX)
        g_variant_dict_insert(d, "length", "x", (gint64)MIN(info->length, (uint64_t)G_MAXINT64));
}

static GVariant *
lock_variant(LaresHost *host, const LaresLockInfo *info)
{
    static const char *const kinds[] = {"posix", "mandatory", "lease", "oplock"};
    GVariantDict d;
    g_variant_dict_init(&d, NULL);
    add_who(host, &d, &info->who);
    add_id(&d, "open", info->open);
    g_variant_dict_insert(&d, "kind", "s", kinds[info->kind]);
    if (info->kind == LARES_LOCK_POSIX || info->kind == LARES_LOCK_MANDATORY) {
        g_variant_dict_insert(&d, "mode", "s", info->exclusive ? "exclusive" : "shared");
        add_range(&d, info);
    } else {
        add_bits(&d, "lease", info->lease, caches);
        if (info->breaking)
            g_variant_dict_insert(&d, "breaking", "b", TRUE);
    }
    if (info->owner) {
        g_autofree char *owner = owner_text(info->owner);
        g_variant_dict_insert(&d, "owner", "s", owner);
    }
    return g_variant_dict_end(&d);
}

/* ---- The verbs -----------------------------------------------------------------------------------------------------
 */

static GVariant *
page_variant(LaresHost *host, const LaresStatePage *page, gboolean opens)
{
    GVariantBuilder items;
    GVariantDict d;
    uint64_t last = 0;
    g_variant_builder_init(&items, G_VARIANT_TYPE("aa{sv}"));
    for (guint i = 0; i < page->items->len; i++) {
        const LaresOpenInfo *open = opens ? &g_array_index(page->items, LaresOpenInfo, i) : NULL;
        const LaresLockInfo *lock = opens ? NULL : &g_array_index(page->items, LaresLockInfo, i);
        g_variant_builder_add_value(&items, opens ? open_variant(host, open) : lock_variant(host, lock));
        last = opens ? open->who.id : lock->who.id;
    }
    g_variant_dict_init(&d, NULL);
    g_variant_dict_insert_value(&d, "items", g_variant_builder_end(&items));
    g_variant_dict_insert(&d, "total", "x", (gint64)page->total);
    if (page->more && last)
        add_id(&d, "next", last);
    return g_variant_dict_end(&d);
}

static GVariant *
do_open_list(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    LaresStateQuery query = {0};
    g_auto(LaresStatePage) page = {NULL};
    if (!take_query(host, args, &query, error))
        return NULL;
    lares_state_list_opens(&query, &page);
    return page_variant(host, &page, TRUE);
}

static GVariant *
do_lock_list(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    LaresStateQuery query = {0};
    g_auto(LaresStatePage) page = {NULL};
    if (!take_query(host, args, &query, error))
        return NULL;
    lares_state_list_locks(&query, &page);
    return page_variant(host, &page, FALSE);
}

static const LaresParam list_params[] = {{"share", "s", FALSE, "only files of this share"},
                                         {"user", "s", FALSE, "only what this user opened"},
                                         {"limit", "x", FALSE, "how many items at most: 1 to 1000, 100 when left out"},
                                         {"after", "s", FALSE, "the \"next\" of the page before"},
                                         {NULL}};

static const LaresVerb verbs[] = {
    {"open.list", LARES_RIGHT_READ, "Who has which file open, over any protocol.", list_params, do_open_list},
    {"lock.list", LARES_RIGHT_READ, "Who has locked what, and who holds leases and oplocks.", list_params,
     do_lock_list},
    {NULL}};

gboolean
lares_control_add_state(LaresControl *control, GError **error)
{
    return lares_control_add(control, verbs, NULL, error);
}
