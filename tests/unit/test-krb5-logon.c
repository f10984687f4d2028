/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The PAC's logon information: the example of [MS-PAC] 3.1, what a builder here makes, and every way to break it. */
#include "krb5-logon.h"

#include <string.h>

/* ---- A builder -----------------------------------------------------------------------------------------------------
 */

typedef struct {
    uint32_t user, primary, flags;
    guint groups, extra, resource; /* how many; RIDs count from 2000, 3000 and 4000 */
    const char *account, *domain;
    gboolean long_names;
} Wish;

static void
put16(GByteArray *b, uint32_t v)
{
    const uint8_t bytes[] = {(uint8_t)v, (uint8_t)(v >> 8)};
    g_byte_array_append(b, bytes, 2);
}

static void
put32(GByteArray *b, uint32_t v)
{
    put16(b, v);
    put16(b, v >> 16);
}

static void
put_zero(GByteArray *b, guint n)
{
    for (guint i = 0; i < n; i++)
        g_byte_array_append(b, (const uint8_t *)"", 1);
}

/* Type serialization begins 16 bytes before the body, so alignment to 4 is the same from either. */
static void
pad(GByteArray *b)
{
    put_zero(b, -b->len & 3);
}

static void
put_head(GByteArray *b, const char *text)
{
    put16(b, 2 * (uint32_t)strlen(text));
    put16(b, 2 * (uint32_t)strlen(text));
    put32(b, 0x20000);
}

static void
put_text(GByteArray *b, const char *text)
{
    uint32_t n = (uint32_t)strlen(text);
    pad(b);
    put32(b, n);
    put32(b, 0);
    put32(b, n);
    for (uint32_t i = 0; i < n; i++)
        put16(b, (uint8_t)text[i]);
}

static void
put_sid(GByteArray *b, guint n, uint32_t domain, uint32_t rid)
{
    const uint32_t sub[] = {21, domain, 2, 3, rid};
    const uint8_t head[] = {1, (uint8_t)n, 0, 0, 0, 0, 0, 5};
    pad(b);
    put32(b, n);
    g_byte_array_append(b, head, sizeof head);
    for (guint i = 0; i < n; i++)
        put32(b, sub[i]);
}

static void
put_members(GByteArray *b, guint n, uint32_t rid)
{
    pad(b);
    put32(b, n);
    for (guint i = 0; i < n; i++) {
        put32(b, rid + i);
        put32(b, 7);
    }
}

static GByteArray *
build(const Wish *w)
{
    static const uint8_t header[] = {1, 0x10, 8, 0, 0xcc, 0xcc, 0xcc, 0xcc};
    GByteArray *b = g_byte_array_new();
    g_byte_array_append(b, header, sizeof header);
    put32(b, 0); /* filled in below */
    put32(b, 0);
    put32(b, 0x20000);
    put_zero(b, 48);
    put_head(b, w->account);
    for (guint i = 0; i < 5; i++)
        put_head(b, "");
    put_zero(b, 4);
    put32(b, w->user);
    put32(b, w->primary);
    put32(b, w->groups);
    put32(b, w->groups ? 0x20008 : 0);
    put32(b, w->flags);
    put_zero(b, 16);
    put_head(b, "DC");
    put_head(b, w->domain);
    put32(b, 0x2000c);
    put_zero(b, 40);
    put32(b, w->extra);
    put32(b, w->extra ? 0x20010 : 0);
    put32(b, w->resource ? 0x20014 : 0);
    put32(b, w->resource);
    put32(b, w->resource ? 0x20018 : 0);
    put_text(b, w->account);
    for (guint i = 0; i < 5; i++)
        put_text(b, "");
    if (w->groups)
        put_members(b, w->groups, 2000);
    put_text(b, "DC");
    put_text(b, w->domain);
    put_sid(b, 4, 1, 0);
    if (w->extra) {
        pad(b);
        put32(b, w->extra);
        for (guint i = 0; i < w->extra; i++) {
            put32(b, 0x30000 + i);
            put32(b, 7);
        }
        for (guint i = 0; i < w->extra; i++)
            put_sid(b, 5, 1, 3000 + i);
    }
    if (w->resource) {
        put_sid(b, 4, 9, 0);
        put_members(b, w->resource, 4000);
    }
    uint32_t body = b->len - 16;
    memcpy(b->data + 8, (const uint8_t[]){(uint8_t)body, (uint8_t)(body >> 8), (uint8_t)(body >> 16), 0}, 4);
    return b;
}

static const Wish usual = {1104, 513, 0x220, 3, 2, 1, "ada", "CORP", FALSE};

static Krb5Logon *
read_built(const Wish *w)
{
    const char *why = NULL;
    g_autoptr(GByteArray) b = build(w);
    Krb5Logon *logon = krb5_logon_read(b->data, b->len, NULL, 0, &why);
    g_assert_true((logon == NULL) == (why != NULL));
    return logon;
}

static gboolean
has(const Krb5Logon *logon, uint32_t domain, uint32_t rid)
{
    const LaresSid wanted = {5, 5, {21, domain, 2, 3, rid}};
    for (guint i = 0; i < logon->groups->len; i++)
        if (lares_sid_equal(&g_array_index(logon->groups, LaresSid, i), &wanted))
            return TRUE;
    return FALSE;
}

/* ---- Reading
 * --------------------------------------------------------------------------------------------------------- */

static void
test_example_of_the_specification(void)
{
    g_autofree char *bytes = NULL;
    gsize len;
    const char *why = NULL;
    char text[LARES_SID_TEXT];
    g_autofree char *path =
        g_test_build_filename(G_TEST_DIST, "..", "fuzz", "corpus", "krb5-logon", "ms-pac-3.1", NULL);
    g_assert_true(g_file_get_contents(path, &bytes, &len, NULL));
    g_autoptr(Krb5Logon) logon = krb5_logon_read((const uint8_t *)bytes + 2, len - 2, NULL, 0, &why);
    g_assert_cmpstr(why, ==, NULL);
    g_assert_cmpstr(logon->account, ==, "lzhu");
    g_assert_cmpstr(logon->domain, ==, "NTDEV");
    lares_sid_print(&logon->domain_sid, text, sizeof text);
    g_assert_cmpstr(text, ==, "S-1-5-21-397955417-626881126-188441444");
    lares_sid_print(&logon->user, text, sizeof text);
    g_assert_cmpstr(text, ==, "S-1-5-21-397955417-626881126-188441444-2914711");
    /* 26 groups, 13 SIDs beside them, and the primary group once more. */
    g_assert_cmpuint(logon->groups->len, ==, 40);
    lares_sid_print(&g_array_index(logon->groups, LaresSid, 0), text, sizeof text);
    g_assert_cmpstr(text, ==, "S-1-5-21-397955417-626881126-188441444-3392609");
    lares_sid_print(&g_array_index(logon->groups, LaresSid, 26), text, sizeof text);
    g_assert_cmpstr(text, ==, "S-1-5-21-773533881-1816936887-355810188-513");
}

static void
test_all_kinds_of_groups(void)
{
    g_autoptr(Krb5Logon) logon = read_built(&usual);
    g_assert_nonnull(logon);
    g_assert_cmpuint(logon->user.sub[4], ==, 1104);
    for (uint32_t rid = 2000; rid < 2003; rid++)
        g_assert_true(has(logon, 1, rid));
    g_assert_true(has(logon, 1, 3000) && has(logon, 1, 3001));
    g_assert_true(has(logon, 9, 4000)); /* of the resource's domain */
    g_assert_true(has(logon, 1, 513));
    g_assert_cmpuint(logon->groups->len, ==, 7);
}

static void
test_flags_say_what_counts(void)
{
    Wish w = usual;
    w.flags = 0;
    g_autoptr(Krb5Logon) logon = read_built(&w);
    g_assert_false(has(logon, 1, 3000) || has(logon, 9, 4000));
    g_assert_true(has(logon, 1, 2000));
    /* Without a RID, the first SID is the user's own. */
    w = usual;
    w.user = 0;
    g_autoptr(Krb5Logon) other = read_built(&w);
    g_assert_cmpuint(other->user.sub[4], ==, 3000);
    g_assert_false(has(other, 1, 3000));
    w.extra = 0;
    g_assert_null(read_built(&w));
}

static void
test_groups_that_are_not_enabled_or_no_accounts(void)
{
    const char *why = NULL;
    Wish w = {1104, 513, 0x20, 0, 3, 0, "ada", "CORP", FALSE};
    g_autoptr(GByteArray) b = build(&w);
    /* From the end: three SIDs of 4 + 28 bytes, before them three pairs of pointer and attributes. */
    uint8_t *first = b->data + b->len - 3 * 32, *attributes = first - 3 * 8 + 4;
    attributes[0] = 3;              /* not enabled */
    first[32 + 4 + 8] = 22;         /* S-1-5-22-… */
    memset(first + 64 + 16, 0, 12); /* S-1-5-21-0-0-0-3002 */
    g_autoptr(Krb5Logon) logon = krb5_logon_read(b->data, b->len, NULL, 0, &why);
    g_assert_cmpstr(why, ==, NULL);
    g_assert_cmpuint(logon->groups->len, ==, 1);
    g_assert_true(has(logon, 1, 513));
}

static void
test_many_groups(void)
{
    Wish w = usual;
    w.groups = 1015;
    w.extra = 1000;
    w.resource = 0;
    g_autoptr(Krb5Logon) logon = read_built(&w);
    g_assert_nonnull(logon);
    g_assert_cmpuint(logon->groups->len, ==, 2016);
    w.extra = KRB5_LOGON_GROUPS_MAX - 1015;
    g_autoptr(Krb5Logon) most = read_built(&w);
    g_assert_nonnull(most);
    w.extra++;
    g_assert_null(read_built(&w));
}

/* ---- Broken
 * ---------------------------------------------------------------------------------------------------------- */

static void
test_cut_off_anywhere(void)
{
    g_autoptr(GByteArray) b = build(&usual);
    for (guint n = 0; n < b->len; n++) {
        const char *why = NULL;
        g_autofree uint8_t *copy = g_memdup2(b->data, MAX(n, 1));
        g_assert_null(krb5_logon_read(copy, n, NULL, 0, &why));
        g_assert_nonnull(why);
        /* The same with a header that admits to it. */
        if (n < 16)
            continue;
        copy[8] = (uint8_t)(n - 16);
        copy[9] = (uint8_t)((n - 16) >> 8);
        g_assert_null(krb5_logon_read(copy, n, NULL, 0, &why));
    }
}

static void
broken_at(guint at, uint8_t value)
{
    const char *why = NULL;
    g_autoptr(GByteArray) b = build(&usual);
    g_assert_cmpuint(b->data[at], !=, value);
    b->data[at] = value;
    g_autoptr(Krb5Logon) logon = krb5_logon_read(b->data, b->len, NULL, 0, &why);
    if (logon)
        g_error("byte %u as %u was taken", at, value);
}

static void
test_broken_bytes(void)
{
    broken_at(0, 2);                        /* version */
    broken_at(1, 0);                        /* big endian */
    broken_at(2, 16);                       /* length of the header */
    broken_at(9, 0x7f);                     /* more body than there is */
    broken_at(18, 0);                       /* no structure: the pointer is 0x00020000 */
    broken_at(20 + 48, 5);                  /* an odd length of a name */
    broken_at(20 + 48, 200);                /* longer than its room */
    broken_at(20 + 48 + 6, 0);              /* a name that is not there */
    broken_at(20 + 48 + 48 + 4 + 8, 4);     /* another number of groups than in the array */
    broken_at(20 + 48 + 48 + 4 + 8 + 3, 1); /* 16 million */
    guint names = 20 + 216 - 4 + 4;         /* what follows the fixed part */
    broken_at(names, 9);                    /* room in front of the name */
    broken_at(names + 4, 1);                /* offset */
    broken_at(names + 8, 2);                /* count */
    broken_at(names + 12, 0);               /* a NUL in it */
    broken_at(names + 13, 0xd8);            /* half of a pair */
}

static void
test_names_are_bounded(void)
{
    g_autofree char *name = g_strnfill(KRB5_LOGON_NAME_MAX + 1, 'a');
    Wish w = usual;
    w.account = name;
    g_assert_null(read_built(&w));
    name[KRB5_LOGON_NAME_MAX] = '\0';
    g_autoptr(Krb5Logon) logon = read_built(&w);
    g_assert_cmpstr(logon->account, ==, name);
    w.account = "";
    g_assert_null(read_built(&w));
}

/* ---- UPN_DNS_INFO
 * ---------------------------------------------------------------------------------------------------- */

static GByteArray *
build_names(const char *upn, const char *dns, uint32_t rid)
{
    GByteArray *b = g_byte_array_new();
    const uint8_t sid[] = {1, 5, 0, 0, 0, 0, 0, 5};
    const uint32_t sub[] = {21, 1, 2, 3, rid};
    guint at = 24, n = (guint)strlen(upn), m = (guint)strlen(dns);
    put16(b, 2 * n);
    put16(b, at);
    put16(b, 2 * m);
    put16(b, at + 2 * n);
    put32(b, rid ? 2 : 0);
    put16(b, 0);
    put16(b, at);
    put16(b, rid ? 28 : 0);
    put16(b, at + 2 * n + 2 * m);
    put_zero(b, 4);
    for (guint i = 0; i < n; i++)
        put16(b, (uint8_t)upn[i]);
    for (guint i = 0; i < m; i++)
        put16(b, (uint8_t)dns[i]);
    if (rid) {
        g_byte_array_append(b, sid, sizeof sid);
        for (guint i = 0; i < 5; i++)
            put32(b, sub[i]);
    }
    return b;
}

static void
test_names_beside_it(void)
{
    const char *why = NULL;
    g_autoptr(GByteArray) info = build(&usual), names = build_names("ada@corp.test", "CORP.TEST", 1104);
    g_autoptr(Krb5Logon) logon = krb5_logon_read(info->data, info->len, names->data, names->len, &why);
    g_assert_cmpstr(why, ==, NULL);
    g_assert_cmpstr(logon->upn, ==, "ada@corp.test");
    g_assert_cmpstr(logon->dns_domain, ==, "CORP.TEST");
    g_autoptr(GByteArray) older = build_names("ada@corp.test", "CORP.TEST", 0);
    g_autoptr(Krb5Logon) same = krb5_logon_read(info->data, info->len, older->data, older->len, &why);
    g_assert_nonnull(same);
    /* Somebody else's SID. */
    g_autoptr(GByteArray) other = build_names("ada@corp.test", "CORP.TEST", 500);
    g_assert_null(krb5_logon_read(info->data, info->len, other->data, other->len, &why));
    g_assert_nonnull(why);
    for (guint n = 0; n < names->len; n++) {
        g_autofree uint8_t *copy = g_memdup2(names->data, MAX(n, 1));
        g_assert_null(krb5_logon_read(info->data, info->len, copy, n, &why));
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/krb5-logon/example", test_example_of_the_specification);
    g_test_add_func("/krb5-logon/groups", test_all_kinds_of_groups);
    g_test_add_func("/krb5-logon/flags", test_flags_say_what_counts);
    g_test_add_func("/krb5-logon/left-out", test_groups_that_are_not_enabled_or_no_accounts);
    g_test_add_func("/krb5-logon/many", test_many_groups);
    g_test_add_func("/krb5-logon/cut-off", test_cut_off_anywhere);
    g_test_add_func("/krb5-logon/broken", test_broken_bytes);
    g_test_add_func("/krb5-logon/bounded", test_names_are_bounded);
    g_test_add_func("/krb5-logon/names", test_names_beside_it);
    return g_test_run();
}
