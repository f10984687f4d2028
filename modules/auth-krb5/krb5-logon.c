/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See krb5-logon.h. */
#include "krb5-logon.h"

#include <lares/cursor.h>
#include <string.h>

/* [MS-PAC] 2.5, UserFlags */
#define LOGON_EXTRA_SIDS      0x0020u
#define LOGON_RESOURCE_GROUPS 0x0200u
/* [MS-PAC] 2.2.1 */
#define GROUP_ENABLED 0x00000004u
/* [MS-PAC] 2.10 */
#define UPN_HAS_SID 0x00000002u

#define NT_AUTHORITY 5u
#define NT_UNIQUE    21u /* sub-authority in front of a domain's three: [MS-DTYP] 2.4.2.4 */

typedef struct {
    LaresReader r;
    const uint8_t *start; /* what alignment counts from */
} Ndr;

/* The fixed part of RPC_UNICODE_STRING ([MS-DTYP] 2.3.10). */
typedef struct {
    uint16_t bytes, room;
    gboolean there;
} Text;

/* The fixed part of KERB_VALIDATION_INFO, as far as it says where something follows. */
typedef struct {
    Text name, full_name, script, profile, home, drive, server, domain;
    uint32_t user_rid, primary_rid, flags;
    uint32_t n_groups, n_extra, n_resource;
    gboolean groups, domain_sid, extra, resource_sid, resource;
} Fixed;

void
krb5_logon_free(Krb5Logon *logon)
{
    if (logon == NULL)
        return;
    g_free(logon->account);
    g_free(logon->domain);
    g_free(logon->upn);
    g_free(logon->dns_domain);
    g_array_unref(logon->groups);
    g_free(logon);
}

/* ---- NDR: C706 14, little endian ---- */

static uint32_t
get_number(Ndr *n)
{
    lares_get_bytes(&n->r, (size_t)(n->start - n->r.at) & 3);
    return lares_get_le32(&n->r);
}

/* A unique pointer: whether something follows for it. */
static gboolean
get_pointer(Ndr *n)
{
    return get_number(n) != 0;
}

static Text
get_text_head(Ndr *n)
{
    Text text;

    text.bytes = lares_get_le16(&n->r);
    text.room = lares_get_le16(&n->r);
    text.there = get_pointer(n);
    if (text.bytes % 2 || text.bytes > text.room || (text.bytes > 0 && !text.there))
        n->r.failed = TRUE;
    return text;
}

/* `bytes` of UTF-16 as UTF-8; NULL when they are none, have a NUL, or are too many. */
static char *
get_utf16(LaresReader *r, size_t bytes)
{
    gunichar2 units[KRB5_LOGON_NAME_MAX];
    size_t n = bytes / 2;
    char *text = NULL;

    if (bytes % 2 || n > KRB5_LOGON_NAME_MAX || lares_reader_left(r) < bytes) {
        r->failed = TRUE;
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        units[i] = lares_get_le16(r);
        if (units[i] == 0)
            r->failed = TRUE;
    }
    if (!r->failed)
        text = g_utf16_to_utf8(units, (glong)n, NULL, NULL, NULL);
    if (text == NULL)
        r->failed = TRUE;
    return text;
}

/* What follows for a string: most count, offset, actual count, units. Only its length is looked at with `name` NULL. */
static void
get_text(Ndr *n, const Text *head, char **name)
{
    LaresReader units;

    if (!head->there) {
        if (name != NULL && !n->r.failed)
            *name = g_strdup("");
        return;
    }
    uint32_t room = get_number(n), offset = get_number(n), count = get_number(n);
    const uint8_t *at = lares_get_bytes(&n->r, head->bytes);
    if (at == NULL || room != head->room / 2u || offset != 0 || count != head->bytes / 2u) {
        n->r.failed = TRUE;
        return;
    }
    if (name == NULL)
        return;
    units = lares_reader(at, head->bytes);
    *name = get_utf16(&units, head->bytes);
    n->r.failed |= units.failed;
}

static gboolean
read_sid(LaresReader *r, LaresSid *sid)
{
    uint8_t revision = lares_get_u8(r);

    *sid = (LaresSid){.n = lares_get_u8(r)};
    sid->authority = (uint64_t)lares_get_u16(r) << 32;
    sid->authority |= lares_get_u32(r);
    if (revision != 1 || sid->n == 0 || sid->n > LARES_SID_SUB_MAX)
        r->failed = TRUE;
    for (guint i = 0; i < sid->n && !r->failed; i++)
        sid->sub[i] = lares_get_le32(r);
    return !r->failed;
}

/* RPC_SID ([MS-DTYP] 2.4.2.3): its count of sub-authorities stands in front a second time. */
static gboolean
get_sid(Ndr *n, LaresSid *sid)
{
    uint32_t count = get_number(n);

    if (!read_sid(&n->r, sid) || count != sid->n)
        n->r.failed = TRUE;
    return !n->r.failed;
}

/* The count in front of an array of `size` bytes each; it has to be the one that was announced. */
static gboolean
get_count(Ndr *n, uint32_t announced, size_t size)
{
    uint32_t count = get_number(n);

    if (count != announced || count > KRB5_LOGON_GROUPS_MAX || count > lares_reader_left(&n->r) / size)
        n->r.failed = TRUE;
    return !n->r.failed;
}

/* ---- SIDs ---- */

static gboolean
is_domain(const LaresSid *sid)
{
    return sid->authority == NT_AUTHORITY && sid->n == 4 && sid->sub[0] == NT_UNIQUE;
}

static LaresSid
in_domain(const LaresSid *domain, uint32_t rid)
{
    LaresSid sid = *domain;

    sid.sub[sid.n++] = rid;
    return sid;
}

/* Accounts of a domain only: the others say how somebody logged in (S-1-18-1, S-1-5-21-0-0-0-497), and a KDC elsewhere
 * does not know who is in this machine's own groups. */
static void
add_group(Krb5Logon *logon, const LaresSid *sid, uint32_t attributes)
{
    gboolean account = sid->authority == NT_AUTHORITY && sid->n == 5 && sid->sub[0] == NT_UNIQUE &&
                       (sid->sub[1] | sid->sub[2] | sid->sub[3]) != 0;

    if (account && attributes & GROUP_ENABLED)
        g_array_append_val(logon->groups, *sid);
}

/* GROUP_MEMBERSHIP ([MS-PAC] 2.2.2) of a domain; the domain may be known later than they are. */
static void
get_memberships(Ndr *n, uint32_t count, const uint8_t **at)
{
    *at = get_count(n, count, 8) ? lares_get_bytes(&n->r, 8 * (size_t)count) : NULL;
}

static void
add_memberships(Krb5Logon *logon, const LaresSid *domain, const uint8_t *at, uint32_t count)
{
    LaresReader r = lares_reader(at, 8 * (size_t)count);

    for (uint32_t i = 0; i < count; i++) {
        LaresSid sid = in_domain(domain, lares_get_le32(&r));

        add_group(logon, &sid, lares_get_le32(&r));
    }
}

/* KERB_SID_AND_ATTRIBUTES ([MS-PAC] 2.2.1). Without a RID the user's own SID is the first of them. */
static void
get_extra_sids(Ndr *n, const Fixed *fixed, Krb5Logon *logon)
{
    const uint8_t *heads = get_count(n, fixed->n_extra, 8) ? lares_get_bytes(&n->r, 8 * (size_t)fixed->n_extra) : NULL;
    LaresReader r = lares_reader(heads, heads != NULL ? 8 * (size_t)fixed->n_extra : 0);
    LaresSid sid;

    for (uint32_t i = 0; i < fixed->n_extra && !n->r.failed; i++) {
        gboolean there = lares_get_le32(&r) != 0;
        uint32_t attributes = lares_get_le32(&r);

        if (!there || !get_sid(n, &sid))
            n->r.failed = TRUE;
        else if (i == 0 && fixed->user_rid == 0)
            logon->user = sid;
        else if (fixed->flags & LOGON_EXTRA_SIDS)
            add_group(logon, &sid, attributes);
    }
}

/* ---- KERB_VALIDATION_INFO ---- */

static void
get_fixed(Ndr *n, Fixed *f)
{
    lares_get_bytes(&n->r, 6 * 8); /* LogonTime to PasswordMustChange */
    f->name = get_text_head(n);
    f->full_name = get_text_head(n);
    f->script = get_text_head(n);
    f->profile = get_text_head(n);
    f->home = get_text_head(n);
    f->drive = get_text_head(n);
    lares_get_bytes(&n->r, 4); /* LogonCount, BadPasswordCount */
    f->user_rid = get_number(n);
    f->primary_rid = get_number(n);
    f->n_groups = get_number(n);
    f->groups = get_pointer(n);
    f->flags = get_number(n);
    lares_get_bytes(&n->r, 16); /* UserSessionKey */
    f->server = get_text_head(n);
    f->domain = get_text_head(n);
    f->domain_sid = get_pointer(n);
    lares_get_bytes(&n->r, 8 + 8 + 16 + 8); /* Reserved1 to Reserved3 */
    f->n_extra = get_number(n);
    f->extra = get_pointer(n);
    f->resource_sid = get_pointer(n);
    f->n_resource = get_number(n);
    f->resource = get_pointer(n);
    if ((f->n_groups > 0 && !f->groups) || (f->n_extra > 0 && !f->extra) || (f->n_resource > 0 && !f->resource) ||
        (f->n_resource > 0 && !f->resource_sid) || !f->domain_sid)
        n->r.failed = TRUE;
    /* Each count alone is below the bound, as their sum has to be. */
    if (f->n_groups > KRB5_LOGON_GROUPS_MAX || f->n_extra > KRB5_LOGON_GROUPS_MAX ||
        f->n_resource > KRB5_LOGON_GROUPS_MAX || f->n_groups + f->n_extra + f->n_resource > KRB5_LOGON_GROUPS_MAX)
        n->r.failed = TRUE;
}

/* What the pointers stand for, in their order. */
static void
get_deferred(Ndr *n, const Fixed *f, Krb5Logon *logon)
{
    const uint8_t *groups = NULL, *resource = NULL;
    LaresSid resource_domain = {0};

    get_text(n, &f->name, &logon->account);
    get_text(n, &f->full_name, NULL);
    get_text(n, &f->script, NULL);
    get_text(n, &f->profile, NULL);
    get_text(n, &f->home, NULL);
    get_text(n, &f->drive, NULL);
    if (f->groups)
        get_memberships(n, f->n_groups, &groups);
    get_text(n, &f->server, NULL);
    get_text(n, &f->domain, &logon->domain);
    if (!get_sid(n, &logon->domain_sid) || !is_domain(&logon->domain_sid)) {
        n->r.failed = TRUE;
        return;
    }
    if (groups != NULL)
        add_memberships(logon, &logon->domain_sid, groups, f->n_groups);
    if (f->extra)
        get_extra_sids(n, f, logon);
    if (f->resource_sid && !get_sid(n, &resource_domain))
        return;
    if (f->resource)
        get_memberships(n, f->n_resource, &resource);
    if (resource != NULL && is_domain(&resource_domain) && f->flags & LOGON_RESOURCE_GROUPS)
        add_memberships(logon, &resource_domain, resource, f->n_resource);
}

/* The two headers of [MS-RPCE] 2.2.6.1 and 2.2.6.2, then a unique pointer to the structure. */
static gboolean
read_logon_info(const uint8_t *info, size_t len, Krb5Logon *logon)
{
    LaresReader r = lares_reader(info, len);
    Fixed fixed = {0};

    uint8_t version = lares_get_u8(&r), endianness = lares_get_u8(&r);
    uint16_t header = lares_get_le16(&r);
    lares_get_bytes(&r, 4);
    uint32_t body = lares_get_le32(&r);
    lares_get_bytes(&r, 4);
    if (r.failed || version != 1 || endianness != 0x10 || header != 8 || body > lares_reader_left(&r))
        return FALSE;
    Ndr n = {lares_reader(r.at, body), r.at};
    if (!get_pointer(&n))
        return FALSE;
    get_fixed(&n, &fixed);
    if (n.r.failed)
        return FALSE;
    get_deferred(&n, &fixed, logon);
    if (n.r.failed)
        return FALSE;
    if (fixed.user_rid != 0)
        logon->user = in_domain(&logon->domain_sid, fixed.user_rid);
    LaresSid primary = in_domain(&logon->domain_sid, fixed.primary_rid);
    if (fixed.primary_rid != 0)
        add_group(logon, &primary, GROUP_ENABLED);
    return logon->user.n == 5 && *logon->account != '\0';
}

/* ---- UPN_DNS_INFO ---- */

static gboolean
part_of(const uint8_t *bytes, size_t len, uint16_t offset, uint16_t n, LaresReader *part)
{
    if (offset > len || n > len - offset)
        return FALSE;
    *part = lares_reader(bytes + offset, n);
    return TRUE;
}

static gboolean
read_upn_dns(const uint8_t *bytes, size_t len, Krb5Logon *logon)
{
    LaresReader r = lares_reader(bytes, len), part;
    LaresSid sid;

    uint16_t upn = lares_get_le16(&r), upn_at = lares_get_le16(&r);
    uint16_t dns = lares_get_le16(&r), dns_at = lares_get_le16(&r);
    uint32_t flags = lares_get_le32(&r);
    if (r.failed || !part_of(bytes, len, upn_at, upn, &part) || (logon->upn = get_utf16(&part, upn)) == NULL ||
        !part_of(bytes, len, dns_at, dns, &part) || (logon->dns_domain = get_utf16(&part, dns)) == NULL)
        return FALSE;
    if (!(flags & UPN_HAS_SID))
        return TRUE;
    lares_get_bytes(&r, 4); /* the SAM name: EffectiveName says it */
    uint16_t sid_len = lares_get_le16(&r), sid_at = lares_get_le16(&r);
    return !r.failed && part_of(bytes, len, sid_at, sid_len, &part) && read_sid(&part, &sid) &&
           sid.n == logon->user.n && sid.authority == logon->user.authority &&
           memcmp(sid.sub, logon->user.sub, sid.n * sizeof sid.sub[0]) == 0;
}

Krb5Logon *
krb5_logon_read(const uint8_t *info, size_t len, const uint8_t *upn_dns, size_t upn_dns_len, const char **why)
{
    g_autoptr(Krb5Logon) logon = g_new0(Krb5Logon, 1);

    logon->groups = g_array_new(FALSE, FALSE, sizeof(LaresSid));
    if (!read_logon_info(info, len, logon)) {
        *why = "the PAC's logon information cannot be read";
        return NULL;
    }
    if (upn_dns != NULL && !read_upn_dns(upn_dns, upn_dns_len, logon)) {
        *why = "the PAC's names (UPN_DNS_INFO) cannot be read, or are another user's";
        return NULL;
    }
    return g_steal_pointer(&logon);
}
