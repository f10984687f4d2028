/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Users and groups of Active Directory: stable numbers, names, and whose word counts. */
#include "directory-fixture.h"
#include "identity/directory-sid.h"

#include "base/db.h"
#include <time.h>

#define REALM "CORP.TEST"

static const LaresSid corp = {4, 5, {21, 1, 2, 3}}, partner = {4, 5, {21, 7, 8, 9}};

static LaresSid
in(const LaresSid *domain, uint32_t rid)
{
    LaresSid sid = *domain;
    sid.sub[sid.n++] = rid;
    return sid;
}

/* ada@CORP.TEST with these groups, by a ticket of `vouching`'s KDC. */
static LaresIdentity *
login_as(Fixture *f, const char *principal, const char *vouching, const LaresSid *domain, uint32_t rid,
         const LaresSid *groups, size_t n, const char **reason)
{
    LaresIdentity *identity = NULL;
    const char *why = NULL, *realm = strrchr(principal, '@') + 1;
    g_autofree char *account = g_strndup(principal, (gsize)(realm - 1 - principal));
    LaresAuthPeer peer = {.principal = principal, .realm = realm};
    LaresAuthSids sids = {.vouching = vouching,
                          .domain = g_str_equal(realm, REALM) ? "CORP" : "PARTNER",
                          .account = account,
                          .domain_sid = *domain,
                          .user = in(domain, rid),
                          .groups = groups,
                          .n_groups = n};
    LaresStatus status = lares_directory_login(f->d, &peer, &sids, &identity, &why);
    g_assert_true((status == LARES_OK) == (identity != NULL) && (status == LARES_OK) == (why == NULL));
    if (reason)
        *reason = why;
    return identity;
}

static LaresIdentity *
ada(Fixture *f, const LaresSid *groups, size_t n)
{
    return login_as(f, "ada@" REALM, REALM, &corp, 1104, groups, n, NULL);
}

static void
sid_setup(Fixture *f, gconstpointer data)
{
    fixture_setup(f, data);
    lares_directory_add_local_realm(f->d, REALM);
}

static gboolean
gid_of(Fixture *f, const LaresSid *sid, uint32_t *gid)
{
    gboolean group;
    return lares_directory_sid_id(f->d, sid, gid, &group) && group;
}

static void
assert_group_name(Fixture *f, uint32_t gid, const char *name)
{
    char text[512];
    lares_directory_group_name(f->d, gid, text, sizeof text);
    g_autofree char *full = g_strdup_printf("%s@home.lan", name);
    g_assert_cmpstr(text, ==, full);
    uint32_t back;
    g_assert_cmpint(lares_directory_group_id(f->d, full, strlen(full), &back), ==, LARES_OK);
    g_assert_cmpuint(back, ==, gid);
}

/* ---- Text ----------------------------------------------------------------------------------------------------------
 */

static void
test_text(void)
{
    char text[LARES_SID_TEXT];
    LaresSid sid, most = {15, (UINT64_C(1) << 48) - 1, {0}};
    memset(most.sub, 0xff, sizeof most.sub);
    lares_sid_print(&most, text, sizeof text);
    g_assert_true(lares_sid_parse(text, &sid) && lares_sid_equal(&sid, &most));
    g_assert_true(lares_sid_parse("S-1-5-21-1-2-3-1104", &sid) && sid.n == 5 && sid.sub[4] == 1104);
    g_assert_true(lares_sid_parse("S-1-1-0", &sid));
    static const char *const bad[] = {"",           "S-1",        "S-1-5",       "S-2-5-1",
                                      "s-1-5-1",    "S-1-5-",     "S-1-5-1-",    "S-1-5--1",
                                      "S-1-5-+1",   "S-1-5-01",   "S-1-5-1 ",    "S-1-5-4294967296",
                                      "S-1-5-0x10", "S-1-05-1-1", "S-1-5-1-a-2", "S-1-281474976710656-1"};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_false(lares_sid_parse(bad[i], &sid));
    g_assert_false(lares_sid_parse("S-1-5-1-2-3-4-5-6-7-8-9-10-11-12-13-14-15-16", &sid));
}

/* ---- Numbers and names ---------------------------------------------------------------------------------------------
 */

static void
test_numbers_are_stable(Fixture *f, gconstpointer data)
{
    LaresSid groups[] = {in(&corp, 513), in(&corp, 1110), in(&corp, 1111)};
    g_autoptr(LaresIdentity) first = ada(f, groups, 3);
    g_assert_cmpstr(first->name, ==, "ada");
    uint32_t users, staff, again;
    g_assert_true(gid_of(f, &groups[0], &users));
    g_assert_true(gid_of(f, &groups[1], &staff));
    g_assert_true(has_gid(first, users) && has_gid(first, staff) && users != staff);
    assert_group_name(f, users, REALM "/Domain Users");
    assert_group_name(f, staff, "S-1-5-21-1-2-3-1110");
    fixture_restart(f);
    lares_directory_add_local_realm(f->d, REALM);
    g_assert_true(gid_of(f, &groups[1], &again) && again == staff);
    /* Another order, another user: the same numbers. */
    LaresSid other[] = {in(&corp, 1112), in(&corp, 1110)};
    g_autoptr(LaresIdentity) ben = login_as(f, "ben@" REALM, REALM, &corp, 1105, other, 2, NULL);
    g_assert_true(has_gid(ben, staff) && !has_gid(ben, users));
    assert_group_name(f, staff, "S-1-5-21-1-2-3-1110");
}

static void
test_users_have_their_sid(Fixture *f, gconstpointer data)
{
    LaresSid sid, domain;
    uint32_t id;
    gboolean group = TRUE;
    g_autoptr(LaresIdentity) identity = ada(f, NULL, 0);
    LaresSid wanted = in(&corp, 1104);
    g_assert_true(lares_directory_sid(f->d, identity->uid, FALSE, &sid) && lares_sid_equal(&sid, &wanted));
    g_assert_true(lares_directory_sid_id(f->d, &sid, &id, &group) && id == identity->uid && !group);
    g_autofree char *name = lares_directory_sid_name(f->d, &sid, &domain, &group);
    g_assert_cmpstr(name, ==, "ada");
    g_assert_true(lares_sid_equal(&domain, &corp));
    g_assert_true(lares_directory_find_sid(f->d, &corp, "ADA", &sid, &group) && lares_sid_equal(&sid, &wanted));
    g_assert_false(lares_directory_find_sid(f->d, &partner, "ada", &sid, &group));
    /* Somebody who came without a PAC has none. */
    g_autoptr(LaresIdentity) grace = login(f, "grace@HOME.LAN", NULL);
    g_assert_false(lares_directory_sid(f->d, grace->uid, FALSE, &sid));
    /* An account that was made anew in the domain is the same user here, under its new SID. */
    g_autoptr(LaresIdentity) anew = login_as(f, "ada@" REALM, REALM, &corp, 1199, NULL, 0, NULL);
    g_assert_cmpuint(anew->uid, ==, identity->uid);
    g_assert_true(lares_directory_sid(f->d, identity->uid, FALSE, &sid) && sid.sub[4] == 1199);
    g_assert_true(lares_directory_find_sid(f->d, &corp, "Ada", &sid, &group) && sid.sub[4] == 1199 && !group);
    fixture_restart(f);
    g_assert_true(lares_directory_sid(f->d, identity->uid, FALSE, &sid) && sid.sub[4] == 1199);
}

#define MANY_SIDS 20000

/* CPU milliseconds since `start`. */
static double
spent(clock_t start)
{
    return (double)(clock() - start) * 1000 / CLOCKS_PER_SEC;
}

/* Whoever is logged in may ask for names by the thousand: among many SIDs each is found about as fast as a SID is. */
static void
test_names_are_found_by_an_index(Fixture *f, gconstpointer data)
{
    LaresSid groups[] = {in(&corp, 513)}, sid, domain;
    gboolean group;
    g_autoptr(GError) error = NULL;
    G_GNUC_UNUSED g_autoptr(LaresIdentity) first = ada(f, groups, 1);
    G_GNUC_UNUSED g_autoptr(LaresIdentity) other =
        login_as(f, "ada@PARTNER.ORG", "PARTNER.ORG", &partner, 1104, NULL, 0, NULL);
    g_autoptr(LaresDb) db = lares_db_open(f->file, &error);
    g_assert_true(lares_db_begin(db, &error));
    for (guint i = 0; i < MANY_SIDS; i++) {
        g_autofree char *text = g_strdup_printf("S-1-5-21-1-2-3-%u", 5000 + i);
        g_autofree char *name = g_strdup_printf(i % 2 ? "Person%u@" REALM : REALM "/Group%u", i);
        lares_db_run(db, &error, "INSERT INTO sids(sid, kind, name) VALUES(?1, ?2, ?3)", "sss", text, i % 2 ? "u" : "g",
                     name);
        g_assert_no_error(error);
    }
    g_assert_true(lares_db_commit(db, &error));
    fixture_restart(f);
    g_assert_true(lares_directory_find_sid(f->d, &corp, "domain USERS", &sid, &group) && group && sid.sub[4] == 513);
    g_assert_false(lares_directory_find_sid(f->d, &partner, "person1", &sid, &group));
    g_assert_false(lares_directory_find_sid(f->d, &corp, "", &sid, &group));
    clock_t start = clock();
    for (guint i = 0; i < MANY_SIDS; i++) {
        sid = in(&corp, 5000 + i);
        g_autofree char *name = lares_directory_sid_name(f->d, &sid, &domain, &group);
        g_assert_nonnull(name);
    }
    double by_sid = spent(start);
    start = clock();
    for (guint i = 0; i < MANY_SIDS; i++) {
        g_autofree char *name = g_strdup_printf(i % 2 ? "person%u" : "GROUP%u", i);
        g_autofree char *unknown = g_strconcat(name, "x", NULL);
        g_assert_true(lares_directory_find_sid(f->d, &corp, name, &sid, &group));
        g_assert_true(sid.sub[4] == 5000 + i && group == !(i % 2));
        g_assert_false(lares_directory_find_sid(f->d, &corp, unknown, &sid, &group));
    }
    double by_name = spent(start);
    g_test_message("%d names of SIDs in %.1f ms, twice as many SIDs of names in %.1f ms", MANY_SIDS, by_sid, by_name);
    g_assert_cmpfloat(by_name, <, 50 * by_sid + 100);
}

static void
test_an_administrator_names_groups(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    LaresSid groups[] = {in(&corp, 1110), in(&corp, 512)};
    g_assert_false(lares_sid_set_name(f->d, "S-1-5-21-1-2-3-1110", "Staff", &error));
    g_assert_error(error, LARES_ERROR, LARES_ERROR_NOT_FOUND); /* nobody of that domain was here */
    g_clear_error(&error);
    G_GNUC_UNUSED g_autoptr(LaresIdentity) identity = ada(f, groups, 2);
    uint32_t staff, later;
    g_assert_true(gid_of(f, &groups[0], &staff));
    LaresUserValues carol = {"carol", -1, -1, NULL};
    g_assert_true(lares_directory_user_add(f->d, &carol, &error));
    g_assert_true(lares_directory_group_member(f->d, "S-1-5-21-1-2-3-1110", "carol", TRUE, &error));
    g_assert_true(lares_sid_set_name(f->d, "S-1-5-21-1-2-3-1110", "Die Größten", &error));
    assert_group_name(f, staff, REALM "/Die Größten");
    /* Its number, its SID and its members here are what they were. */
    g_autoptr(LaresIdentity) member = login(f, "carol@HOME.LAN", NULL);
    g_assert_true(gid_of(f, &groups[0], &later) && later == staff && has_gid(member, staff));
    g_assert_true(lares_sid_set_name(f->d, "S-1-5-21-1-2-3-1110", REALM "/Staff", &error));
    assert_group_name(f, staff, REALM "/Staff");
    /* One that nobody came with yet. */
    g_assert_true(lares_sid_set_name(f->d, "S-1-5-21-1-2-3-1120", "Guests", &error));
    LaresSid guests = in(&corp, 1120);
    g_assert_true(gid_of(f, &guests, &later) && later != staff);
    g_autoptr(LaresIdentity) guest = ada(f, &guests, 1);
    g_assert_true(has_gid(guest, later));

    static const struct {
        const char *sid, *name;
        LaresError code;
    } bad[] = {{"S-1-5-21-1-2-3-1120", "Staff", LARES_ERROR_EXISTS},
               {"S-1-5-21-1-2-3-1104", "People", LARES_ERROR_CONFLICT}, /* ada */
               {"S-1-5-21-9-9-9-1120", "Guests", LARES_ERROR_NOT_FOUND},
               {"S-1-5-32-544", "Guests", LARES_ERROR_INVALID},
               {"Staff", "Guests", LARES_ERROR_INVALID},
               {"S-1-5-21-1-2-3-1120", "", LARES_ERROR_INVALID},
               {"S-1-5-21-1-2-3-1120", "a/b", LARES_ERROR_INVALID},
               {"S-1-5-21-1-2-3-1120", "OTHER.TEST/Staff", LARES_ERROR_INVALID},
               {"S-1-5-21-1-2-3-1120", "a@b", LARES_ERROR_INVALID},
               {"S-1-5-21-1-2-3-1120", "a\nb", LARES_ERROR_INVALID}};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_clear_error(&error);
        g_assert_false(lares_sid_set_name(f->d, bad[i].sid, bad[i].name, &error));
        g_assert_error(error, LARES_ERROR, (gint)bad[i].code);
    }
}

static void
test_a_deleted_group_comes_back_with_its_number(Fixture *f, gconstpointer data)
{
    LaresSid staff = in(&corp, 1110), users = in(&corp, 513);
    uint32_t gid, other, again;
    G_GNUC_UNUSED g_autoptr(LaresIdentity) before = ada(f, &staff, 1);
    g_assert_true(gid_of(f, &staff, &gid));
    g_assert_true(lares_sid_set_name(f->d, "S-1-5-21-1-2-3-1110", "Staff", NULL));
    g_assert_true(lares_directory_group_delete(f->d, REALM "/Staff", NULL));
    g_assert_false(gid_of(f, &staff, &again));
    G_GNUC_UNUSED g_autoptr(LaresIdentity) ben = login_as(f, "ben@" REALM, REALM, &corp, 1105, &users, 1, NULL);
    g_assert_true(gid_of(f, &users, &other) && other != gid);
    g_autoptr(LaresIdentity) after = ada(f, &staff, 1);
    g_assert_true(gid_of(f, &staff, &again) && again == gid && has_gid(after, gid));
    assert_group_name(f, gid, REALM "/Staff");
}

static void
test_hundreds_of_groups(Fixture *f, gconstpointer data)
{
    LaresSid groups[1015];
    for (uint32_t i = 0; i < G_N_ELEMENTS(groups); i++)
        groups[i] = in(&corp, 2000 + i);
    groups[7] = groups[3]; /* a list may repeat itself */
    guint before = lares_directory_generation();
    g_autoptr(LaresIdentity) identity = ada(f, groups, G_N_ELEMENTS(groups));
    g_assert_cmpuint(identity->n_groups, ==, 1014);
    g_autoptr(LaresIdentity) again = ada(f, groups, G_N_ELEMENTS(groups));
    g_assert_cmpuint(again->n_groups, ==, 1014);
    g_assert_cmpmem(identity->groups, 4 * identity->n_groups, again->groups, 4 * again->n_groups);
    /* Nobody else has to ask again for it, but for the default group that the first user made. */
    g_assert_cmpuint(lares_directory_generation(), <=, before + 1);
}

static void
test_the_range_runs_out(Fixture *f, gconstpointer data)
{
    LaresSid groups[20];
    const char *reason;
    for (uint32_t i = 0; i < G_N_ELEMENTS(groups); i++)
        groups[i] = in(&corp, 2000 + i);
    fixture_configure(f, (c->id_min = 700000, c->id_max = 700010));
    g_autoptr(LaresIdentity) identity = login_as(f, "ada@" REALM, REALM, &corp, 1104, groups, 20, &reason);
    g_assert_null(identity);
    g_assert_cmpstr(reason, ==, "the user's groups cannot be kept in the directory");
    /* All or nothing: none of them is there. */
    uint32_t gid;
    g_assert_false(gid_of(f, &groups[0], &gid));
    g_autoptr(LaresIdentity) few = ada(f, groups, 3);
    g_assert_nonnull(few);
}

/* ---- The identity's life -------------------------------------------------------------------------------------------
 */

static void
test_groups_of_a_login_stay_with_it(Fixture *f, gconstpointer data)
{
    LaresSid groups[] = {in(&corp, 1110), in(&corp, 1111)};
    uint32_t staff, other;
    g_autoptr(LaresIdentity) identity = ada(f, groups, 2), fresh = NULL, twice = NULL;
    g_assert_true(gid_of(f, &groups[0], &staff) && gid_of(f, &groups[1], &other));
    g_assert_true(lares_directory_group_add(f->d, "family", -1, NULL));
    g_assert_true(lares_directory_group_member(f->d, "family", "ada", TRUE, NULL));
    g_assert_cmpint(lares_directory_refresh(f->d, identity, &fresh), ==, LARES_OK);
    g_assert_true(has_gid(fresh, staff) && has_gid(fresh, other));
    g_assert_cmpuint(fresh->n_groups, ==, identity->n_groups + 1);
    g_assert_true(lares_directory_group_member(f->d, "family", "ada", FALSE, NULL));
    g_assert_cmpint(lares_directory_refresh(f->d, fresh, &twice), ==, LARES_OK);
    g_assert_cmpuint(twice->n_groups, ==, identity->n_groups);
    /* The next login says what counts from then on. */
    g_autoptr(LaresIdentity) later = ada(f, groups, 1);
    g_assert_true(has_gid(later, staff) && !has_gid(later, other));
    g_autoptr(LaresIdentity) without = login(f, "ada@" REALM, NULL);
    g_assert_false(has_gid(without, staff));
    g_assert_true(lares_directory_user_disable(f->d, "ada", TRUE, NULL));
    g_autoptr(LaresIdentity) gone = NULL;
    g_assert_cmpint(lares_directory_refresh(f->d, later, &gone), ==, LARES_ACCESS);
}

static void
test_mapped_and_machines(Fixture *f, gconstpointer data)
{
    LaresSid staff = in(&corp, 1110), sid;
    uint32_t gid;
    LaresUserValues shared = {"shared", -1, -1, NULL};
    g_assert_true(lares_directory_user_add(f->d, &shared, NULL));
    g_assert_true(lares_directory_mapping_set(f->d, "ada@" REALM, "shared", NULL));
    g_autoptr(LaresIdentity) identity = ada(f, &staff, 1);
    g_assert_cmpstr(identity->name, ==, "shared");
    g_assert_true(gid_of(f, &staff, &gid) && has_gid(identity, gid));
    /* An account that others may be mapped to is nobody's SID. */
    g_assert_false(lares_directory_sid(f->d, identity->uid, FALSE, &sid));
    LaresSid users = in(&corp, 515);
    g_autoptr(LaresIdentity) machine = login_as(f, "PC7$@" REALM, REALM, &corp, 1200, &users, 1, NULL);
    g_assert_true(machine->anonymous && machine->machine && machine->n_groups == 0);
    g_assert_false(gid_of(f, &users, &gid));
}

/* ---- Whose word counts ---------------------------------------------------------------------------------------------
 */

static void
test_a_trusted_realm_cannot_claim_another_domain(Fixture *f, gconstpointer data)
{
    const char *reason;
    LaresSid admins = in(&corp, 512);
    fixture_configure(f, c->provision_foreign = TRUE);
    G_GNUC_UNUSED g_autoptr(LaresIdentity) first = ada(f, NULL, 0);
    g_autoptr(LaresIdentity) thief = login_as(f, "eve@EVIL.TEST", REALM, &corp, 1104, &admins, 1, &reason);
    g_assert_null(thief);
    g_assert_cmpstr(reason, ==, "the ticket claims the SIDs of another realm's domain");
    LaresUserCopy copy;
    g_assert_false(lares_directory_copy_user(f->d, "eve@EVIL.TEST", &copy));
}

static void
test_foreign_groups_count_as_their_kdc_filters(Fixture *f, gconstpointer data)
{
    LaresSid groups[] = {in(&partner, 1110), in(&corp, 512)};
    uint32_t gid;
    fixture_configure(f, c->provision_foreign = TRUE);
    /* HOME.LAN's KDC is MIT's, which hands on what PARTNER.TEST's says: only its own groups count. */
    g_autoptr(LaresIdentity) eve = login_as(f, "eve@PARTNER.TEST", "HOME.LAN", &partner, 1300, groups, 2, NULL);
    g_assert_cmpstr(eve->name, ==, "eve@PARTNER.TEST");
    g_assert_true(gid_of(f, &groups[0], &gid) && has_gid(eve, gid));
    g_assert_false(gid_of(f, &groups[1], &gid));
    /* An Active Directory filters: once one is known by its own users, groups that it let through count. */
    G_GNUC_UNUSED g_autoptr(LaresIdentity) user = ada(f, NULL, 0);
    g_autoptr(LaresIdentity) again = login_as(f, "eve@PARTNER.TEST", REALM, &partner, 1300, groups, 2, NULL);
    g_assert_true(gid_of(f, &groups[1], &gid) && has_gid(again, gid));
    assert_group_name(f, gid, REALM "/Domain Admins");
    g_autoptr(GPtrArray) domains = lares_directory_domains(f->d);
    g_assert_cmpuint(domains->len, ==, 2);
    g_assert_cmpstr(((const LaresDomain *)domains->pdata[0])->realm, ==, REALM);
    g_assert_cmpstr(((const LaresDomain *)domains->pdata[0])->name, ==, "CORP");
    LaresSid sid = in(&partner, 1300), domain;
    gboolean group;
    g_autofree char *name = lares_directory_sid_name(f->d, &sid, &domain, &group);
    g_assert_cmpstr(name, ==, "eve");
}

static void
test_who_is_refused_leaves_nothing(Fixture *f, gconstpointer data)
{
    const char *reason;
    LaresSid groups[] = {in(&partner, 1110)};
    uint32_t gid;
    g_autoptr(LaresIdentity) eve = login_as(f, "eve@PARTNER.TEST", REALM, &partner, 1300, groups, 1, &reason);
    g_assert_null(eve);
    g_assert_cmpstr(reason, ==, "the realm is not ours");
    g_assert_false(gid_of(f, &groups[0], &gid));
    g_autoptr(GPtrArray) domains = lares_directory_domains(f->d);
    g_assert_cmpuint(domains->len, ==, 0);
}

/* ---- Many at once --------------------------------------------------------------------------------------------------
 */

static gpointer
login_many(gpointer data)
{
    Fixture *f = data;
    LaresSid groups[40];
    for (uint32_t i = 0; i < G_N_ELEMENTS(groups); i++)
        groups[i] = in(&corp, 3000 + i);
    for (guint round = 0; round < 5; round++) {
        g_autoptr(LaresIdentity) identity = ada(f, groups + round, G_N_ELEMENTS(groups) - round);
        g_assert_cmpuint(identity->n_groups, ==, G_N_ELEMENTS(groups) - round);
    }
    return NULL;
}

static void
test_many_first_logins_at_once(Fixture *f, gconstpointer data)
{
    GThread *threads[6];
    for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("login", login_many, f);
    for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
        g_thread_join(threads[i]);
    g_autoptr(GPtrArray) groups = lares_directory_accounts(f->d, TRUE);
    g_assert_cmpuint(groups->len, ==, 41); /* and the default group */
}

#define sid_test(path, function) g_test_add(path, Fixture, NULL, sid_setup, function, fixture_teardown)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sid/text", test_text);
    sid_test("/sid/names-by-index", test_names_are_found_by_an_index);
    sid_test("/sid/stable", test_numbers_are_stable);
    sid_test("/sid/users", test_users_have_their_sid);
    sid_test("/sid/named", test_an_administrator_names_groups);
    sid_test("/sid/deleted", test_a_deleted_group_comes_back_with_its_number);
    sid_test("/sid/hundreds", test_hundreds_of_groups);
    sid_test("/sid/range", test_the_range_runs_out);
    sid_test("/sid/stay", test_groups_of_a_login_stay_with_it);
    sid_test("/sid/mapped", test_mapped_and_machines);
    sid_test("/sid/claims", test_a_trusted_realm_cannot_claim_another_domain);
    sid_test("/sid/foreign", test_foreign_groups_count_as_their_kdc_filters);
    sid_test("/sid/refused", test_who_is_refused_leaves_nothing);
    sid_test("/sid/race", test_many_first_logins_at_once);
    return g_test_run();
}
