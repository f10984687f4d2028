/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The ladder from principal to identity, rung by rung, and what must not climb it. */
#include "directory-fixture.h"

static void
assert_refused(Fixture *f, const char *principal, const char *why)
{
    const char *reason;
    g_autoptr(LaresIdentity) identity = login(f, principal, &reason);
    g_assert_null(identity);
    g_assert_cmpstr(reason, ==, why);
}

static void
assert_is(Fixture *f, const char *principal, const char *name, uint32_t uid)
{
    const char *reason;
    g_autoptr(LaresIdentity) identity = login(f, principal, &reason);
    if (!identity)
        g_error("%s: %s", principal, reason);
    g_assert_cmpstr(identity->name, ==, name);
    g_assert_cmpuint(identity->uid, ==, uid);
    g_assert_cmpstr(identity->principal, ==, principal);
    g_assert_true(identity->authenticated);
}

/* ---- Provisioning ---------------------------------------------------------------------------------------------- */

static void
test_first_login_provisions(Fixture *f, gconstpointer data)
{
    assert_is(f, "ada@HOME.LAN", "ada", 600000);
    assert_is(f, "ben@HOME.LAN", "ben", 600001);
    assert_is(f, "ada@HOME.LAN", "ada", 600000);
    fixture_restart(f);
    assert_is(f, "ada@HOME.LAN", "ada", 600000);
    g_autoptr(LaresIdentity) ben = login(f, "ben@HOME.LAN", NULL);
    char group[64];
    lares_directory_group_name(f->d, ben->gid, group, sizeof group);
    g_assert_cmpstr(group, ==, "kerberos-users@home.lan");
}

static void
test_provisioning_can_be_off(Fixture *f, gconstpointer data)
{
    fixture_configure(f, c->provision = FALSE);
    assert_refused(f, "ada@HOME.LAN", "unknown user");
    g_autoptr(GError) error = NULL;
    LaresUserValues ada = {"ada", -1, -1, "Ada"};
    g_assert_true(lares_directory_user_add(f->d, &ada, &error));
    assert_is(f, "ada@HOME.LAN", "ada", 600000);
}

static void
test_disabled_is_not_provisioned_again(Fixture *f, gconstpointer data)
{
    g_autoptr(LaresIdentity) ada = login(f, "ada@HOME.LAN", NULL);
    g_assert_nonnull(ada);
    guint before = lares_directory_generation();
    g_assert_true(lares_directory_user_disable(f->d, "ada", TRUE, NULL));
    g_assert_cmpuint(lares_directory_generation(), !=, before);
    assert_refused(f, "ada@HOME.LAN", "the user is disabled");
    fixture_restart(f);
    assert_refused(f, "ada@HOME.LAN", "the user is disabled");
    g_assert_true(lares_directory_user_disable(f->d, "ada", FALSE, NULL));
    assert_is(f, "ada@HOME.LAN", "ada", 600000);
}

static void
test_deleted_comes_back_with_the_same_uid(Fixture *f, gconstpointer data)
{
    assert_is(f, "ada@HOME.LAN", "ada", 600000);
    g_assert_true(lares_directory_user_delete(f->d, "ada", NULL));
    /* Nobody else gets the number in the meantime, even by asking for it. */
    assert_is(f, "ben@HOME.LAN", "ben", 600001);
    g_autoptr(GError) error = NULL;
    LaresUserValues thief = {"thief", 600000, -1, NULL};
    g_assert_false(lares_directory_user_add(f->d, &thief, &error));
    g_assert_error(error, LARES_ERROR, LARES_ERROR_CONFLICT);
    fixture_restart(f);
    assert_is(f, "ada@HOME.LAN", "ada", 600000);
}

static void
test_changed_number_stays_with_its_first_owner(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    LaresUserValues moved = {"ada", 5000, -1, NULL}, again = {"ada", 5001, -1, NULL}, back = {"ada", 600000, -1, NULL};
    LaresUserValues thief = {"thief", 600000, -1, NULL}, prefix = {"ad", 600000, -1, NULL};
    assert_is(f, "ada@HOME.LAN", "ada", 600000);
    g_assert_true(lares_directory_user_set(f->d, &moved, &error));
    g_assert_true(lares_directory_user_set(f->d, &again, &error));
    /* Ada's files under the old numbers are not the next newcomer's. */
    assert_is(f, "ben@HOME.LAN", "ben", 600001);
    g_assert_false(lares_directory_user_add(f->d, &thief, &error));
    g_assert_error(error, LARES_ERROR, LARES_ERROR_CONFLICT);
    g_clear_error(&error);
    g_assert_false(lares_directory_user_add(f->d, &prefix, &error));
    g_assert_error(error, LARES_ERROR, LARES_ERROR_CONFLICT);
    g_clear_error(&error);
    g_assert_true(lares_directory_user_set(f->d, &back, &error));
    assert_is(f, "ada@HOME.LAN", "ada", 600000);
}

/* A number may be an account of a directory service that is away: it is not given out. */
static void
test_no_number_while_the_host_is_silent(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    LaresUserValues ada = {"ada", 600000, -1, NULL};
    fake_failing = 1;
    g_assert_false(lares_directory_user_add(f->d, &ada, &error));
    g_assert_error(error, LARES_ERROR, LARES_ERROR_FAILED);
    fake_failing = 0;
    g_assert_true(lares_directory_user_add(f->d, &ada, NULL));
}

static void
test_range_runs_out(Fixture *f, gconstpointer data)
{
    fixture_configure(f, (c->id_min = 700000, c->id_max = 700001));
    assert_is(f, "a@HOME.LAN", "a", 700000);
    assert_is(f, "b@HOME.LAN", "b", 700001);
    assert_refused(f, "c@HOME.LAN", "cannot be provisioned");
    /* A number with an owner's files is not given to another name, not even when it is free. */
    g_assert_true(lares_directory_user_delete(f->d, "a", NULL));
    assert_refused(f, "c@HOME.LAN", "cannot be provisioned");
    assert_is(f, "a@HOME.LAN", "a", 700000);
}

/* ---- Realms ---------------------------------------------------------------------------------------------------- */

static void
test_foreign_realm_is_never_local(Fixture *f, gconstpointer data)
{
    assert_is(f, "ada@HOME.LAN", "ada", 600000);
    assert_refused(f, "ada@EVIL", "the realm is not ours");
    assert_refused(f, "ada@home.lan", "the realm is not ours"); /* realms are case-sensitive */
    assert_refused(f, "grace@EVIL", "the realm is not ours");
    assert_refused(f, "ada\\@HOME.LAN@EVIL", "the realm is not ours");
    fixture_configure(f, c->provision_foreign = TRUE);
    assert_is(f, "ada@EVIL", "ada@EVIL", 600001);
    assert_is(f, "ada@HOME.LAN", "ada", 600000);
    assert_is(f, "grace@EVIL", "grace@EVIL", 600002); /* and never the host's grace */
}

static void
test_configured_realms_replace_announced(Fixture *f, gconstpointer data)
{
    fixture_configure(f, (g_strfreev(c->realms), c->realms = g_strsplit("PARTNER.ORG", ",", 0)));
    assert_is(f, "ada@PARTNER.ORG", "ada", 600000);
    assert_refused(f, "ada@HOME.LAN", "the realm is not ours");
}

static void
test_nobody_announced_a_realm(Fixture *f, gconstpointer data)
{
    lares_directory_free(f->d);
    f->d = lares_directory_open(f->file, "home.lan", &fake_nss, NULL);
    assert_refused(f, "ada@HOME.LAN", "the realm is not ours");
}

static void
test_realm_must_be_the_principals(Fixture *f, gconstpointer data)
{
    LaresAuthPeer peer = {.principal = "ada@EVIL", .realm = "HOME.LAN"};
    LaresIdentity *identity;
    const char *reason;
    g_assert_cmpint(lares_directory_resolve(f->d, &peer, &identity, &reason), ==, LARES_ACCESS);
    peer = (LaresAuthPeer){.principal = "ada\\@HOME.LAN", .realm = "HOME.LAN"};
    g_assert_cmpint(lares_directory_resolve(f->d, &peer, &identity, &reason), ==, LARES_ACCESS);
    peer = (LaresAuthPeer){.principal = "", .realm = NULL};
    g_assert_cmpint(lares_directory_resolve(f->d, &peer, &identity, &reason), ==, LARES_ACCESS);
    peer = (LaresAuthPeer){.principal = NULL};
    g_assert_cmpint(lares_directory_resolve(f->d, &peer, &identity, &reason), ==, LARES_ACCESS);
}

static void
test_names_that_cannot_be(Fixture *f, gconstpointer data)
{
    assert_refused(f, "1000@HOME.LAN", "the name cannot be used");
    assert_refused(f, "a:b@HOME.LAN", "the name cannot be used");
    assert_refused(f, "a b@HOME.LAN", "the name cannot be used");
    assert_refused(f, "..@HOME.LAN", "the name cannot be used");
    assert_refused(f, "-rf@HOME.LAN", "the name cannot be used");
    assert_refused(f, "a\\b@HOME.LAN", "the name cannot be used");
    assert_refused(f, "@HOME.LAN", "not a usable principal");
    assert_refused(f, "\xff\xfe@HOME.LAN", "not a usable principal");
    g_autofree char *name = g_strnfill(300, 'x');
    g_autofree char *principal = g_strconcat(name, "@HOME.LAN", NULL);
    assert_refused(f, principal, "the name cannot be used");
}

static void
test_instances_stay_in_the_name(Fixture *f, gconstpointer data)
{
    assert_is(f, "ada@HOME.LAN", "ada", 600000);
    assert_is(f, "ada/admin@HOME.LAN", "ada/admin", 600001);
    assert_is(f, "admin/host@HOME.LAN", "admin/host", 600002);
}

/* ---- Host accounts --------------------------------------------------------------------------------------------- */

static void
test_host_accounts(Fixture *f, gconstpointer data)
{
    assert_is(f, "grace@HOME.LAN", "grace", 1000);
    g_autoptr(LaresIdentity) grace = login(f, "grace@HOME.LAN", NULL);
    g_assert_cmpuint(grace->gid, ==, 1000);
    g_assert_cmpuint(grace->n_groups, ==, 2);
    g_assert_true(has_gid(grace, 27) && has_gid(grace, 5000));
    /* Nobody becomes the system, and nobody gets a second name that a folding name service would find. */
    assert_refused(f, "root@HOME.LAN", "a system account of the host");
    assert_refused(f, "daemon@HOME.LAN", "a system account of the host");
    assert_refused(f, "nobody@HOME.LAN", "a system account of the host");
    assert_refused(f, "Grace@HOME.LAN", "the host account has another spelling");
    fixture_configure(f, c->host_uid_min = 1);
    assert_is(f, "daemon@HOME.LAN", "daemon", 1);
    assert_refused(f, "root@HOME.LAN", "a system account of the host");
    assert_refused(f, "nobody@HOME.LAN", "a system account of the host");
    fixture_configure(f, c->host_accounts = FALSE);
    assert_refused(f, "grace@HOME.LAN", "host accounts are switched off");
}

/* Where host accounts are off, the name root may not come to life as a user of the directory: clients that map owner
 * names to their own accounts would take its files for the superuser's. */
static void
test_system_names_are_not_provisioned(Fixture *f, gconstpointer data)
{
    fixture_configure(f, c->host_accounts = FALSE);
    assert_refused(f, "root@HOME.LAN", "a system account of the host");
    assert_refused(f, "daemon@HOME.LAN", "a system account of the host");
    assert_refused(f, "nobody@HOME.LAN", "a system account of the host");
    assert_is(f, "linus@HOME.LAN", "linus", 600000);
    fake_failing = 1;
    fixture_configure(f, c->host_accounts = FALSE);
    assert_refused(f, "root@HOME.LAN", "the host's name service does not answer");
    fake_failing = 0;
    g_assert_true(lares_directory_mapping_set(f->d, "*@PARTNER.ORG", "*", NULL));
    assert_refused(f, "root@PARTNER.ORG", "a system account of the host");
}

/* The administrator mapped one principal to root, so the directory knows root; root's namesake in the realm gets
 * nothing from that, also while the host cannot be asked (no descriptors left, a directory service away). */
static void
test_mapped_system_account_is_not_its_namesakes(Fixture *f, gconstpointer data)
{
    g_assert_true(lares_directory_mapping_set(f->d, "ada/admin@HOME.LAN", "root", NULL));
    assert_is(f, "ada/admin@HOME.LAN", "root", 0);
    assert_refused(f, "root@HOME.LAN", "a system account of the host");
    fixture_configure(f, (void)c); /* forgets what the host said */
    fake_failing = 1;
    assert_refused(f, "root@HOME.LAN", "a system account of the host");
    fake_failing = 0;
}

static void
test_host_account_disabled_before_first_login(Fixture *f, gconstpointer data)
{
    g_assert_true(lares_directory_user_disable(f->d, "grace", TRUE, NULL));
    assert_refused(f, "grace@HOME.LAN", "the user is disabled");
    g_autoptr(LaresIdentity) sys = login_sys(f, 1000, 1000, NULL, 0);
    g_assert_null(sys);
    g_assert_true(lares_directory_user_delete(f->d, "grace", NULL));
    assert_is(f, "grace@HOME.LAN", "grace", 1000);
}

static void
test_host_account_moves_and_goes(Fixture *f, gconstpointer data)
{
    assert_is(f, "linus@HOME.LAN", "linus", 1001);
    fake_users[3].uid = 1005;
    fixture_configure(f, (void)c); /* forgets what the host said */
    assert_is(f, "linus@HOME.LAN", "linus", 1005);
    fake_users[3].uid = 1001;
    fake_hide_linus = 1;
    fixture_configure(f, (void)c);
    assert_refused(f, "linus@HOME.LAN", "the host account is gone");
}

static void
test_name_service_away(Fixture *f, gconstpointer data)
{
    assert_is(f, "ada@HOME.LAN", "ada", 600000);
    assert_is(f, "linus@HOME.LAN", "linus", 1001);
    fixture_configure(f, (void)c);
    fake_failing = 1;
    assert_is(f, "ada@HOME.LAN", "ada", 600000);
    /* A user who may be a host account is not provisioned under another number meanwhile. */
    assert_refused(f, "grace@HOME.LAN", "the host's name service does not answer");
    fake_failing = 0;
    assert_is(f, "grace@HOME.LAN", "grace", 1000);
}

/* ---- Mappings -------------------------------------------------------------------------------------------------- */

static void
test_mappings(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_assert_true(lares_directory_mapping_set(f->d, "ada@EVIL", "grace", &error));
    g_assert_true(lares_directory_mapping_set(f->d, "ops/admin@HOME.LAN", "root", &error));
    g_assert_true(lares_directory_mapping_set(f->d, "*@PARTNER.ORG", "*", &error));
    g_assert_true(lares_directory_mapping_set(f->d, "svc-*@PARTNER.ORG", "grace", &error));
    g_assert_true(lares_directory_mapping_set(f->d, "ghost@HOME.LAN", "no-such-user", &error));
    assert_is(f, "ada@EVIL", "grace", 1000);
    assert_refused(f, "eve@EVIL", "the realm is not ours");
    assert_is(f, "ops/admin@HOME.LAN", "root", 0);                      /* on purpose */
    assert_refused(f, "root@HOME.LAN", "a system account of the host"); /* and only so */
    assert_is(f, "tom@PARTNER.ORG", "tom", 600000);
    assert_is(f, "svc-backup@PARTNER.ORG", "grace", 1000); /* the more specific one */
    assert_refused(f, "root@PARTNER.ORG", "a system account of the host");
    assert_refused(f, "tom/admin@PARTNER.ORG", "the realm is not ours"); /* '*' is no '/' */
    assert_refused(f, "x\\@y@PARTNER.ORG", "the realm is not ours");
    assert_refused(f, "ghost@HOME.LAN", "mapped to an unknown user");
    assert_refused(f, "*@PARTNER.ORG", "the name cannot be used"); /* the pattern itself is no principal */
    g_assert_true(lares_directory_user_disable(f->d, "grace", TRUE, NULL));
    assert_refused(f, "ada@EVIL", "the user is disabled");
    g_assert_true(lares_directory_mapping_delete(f->d, "ada@EVIL", NULL));
    assert_refused(f, "ada@EVIL", "the realm is not ours");
}

static void
test_bad_mappings(Fixture *f, gconstpointer data)
{
    static const char *const bad[][2] = {{"", "grace"}, {"*@*", "grace"}, {"a@B", "*"},
                                         {"*@B", "**"}, {"a@B", "1000"},  {"a@B", ""}};
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_false(lares_directory_mapping_set(f->d, bad[i][0], bad[i][1], &error));
        g_assert_error(error, LARES_ERROR, LARES_ERROR_INVALID);
    }
    g_autoptr(GError) error = NULL;
    g_assert_false(lares_directory_mapping_delete(f->d, "none@B", &error));
    g_assert_error(error, LARES_ERROR, LARES_ERROR_NOT_FOUND);
}

/* ---- Machines -------------------------------------------------------------------------------------------------- */

static void
test_machines_are_nobody(Fixture *f, gconstpointer data)
{
    static const char *const machines[] = {"host/nas.home.lan@HOME.LAN", "nfs/nas.home.lan@HOME.LAN", "NAS$@HOME.LAN",
                                           "host/x@EVIL"};
    for (guint i = 0; i < G_N_ELEMENTS(machines); i++) {
        g_autoptr(LaresIdentity) machine = login(f, machines[i], NULL);
        g_assert_nonnull(machine);
        g_assert_true(machine->machine && machine->anonymous && !machine->authenticated);
        g_assert_cmpuint(machine->uid, ==, LARES_NOBODY_ID);
    }
}

static void
test_machine_account(Fixture *f, gconstpointer data)
{
    fixture_configure(f, (g_free(c->machine_account), c->machine_account = g_strdup("grace")));
    g_autoptr(LaresIdentity) machine = login(f, "host/nas@HOME.LAN", NULL);
    g_assert_true(machine->machine && !machine->anonymous);
    g_assert_cmpuint(machine->uid, ==, 1000);
    /* An account that cannot be used is no error for a machine. */
    g_assert_true(lares_directory_user_disable(f->d, "grace", TRUE, NULL));
    g_autoptr(LaresIdentity) fallen = login(f, "host/nas@HOME.LAN", NULL);
    g_assert_true(fallen->machine && fallen->anonymous);
    /* A mapping comes before. */
    g_assert_true(lares_directory_mapping_set(f->d, "host/nas@HOME.LAN", "linus", NULL));
    g_autoptr(LaresIdentity) mapped = login(f, "host/nas@HOME.LAN", NULL);
    g_assert_cmpstr(mapped->name, ==, "linus");
    g_assert_true(mapped->machine);
}

/* ---- Refresh --------------------------------------------------------------------------------------------------- */

static void
test_refresh(Fixture *f, gconstpointer data)
{
    LaresIdentity *fresh = NULL;
    g_autoptr(LaresIdentity) ada = login(f, "ada@HOME.LAN", NULL);
    g_assert_true(lares_directory_group_add(f->d, "family", -1, NULL));
    g_assert_true(lares_directory_group_member(f->d, "family", "ada", TRUE, NULL));
    g_assert_cmpuint(ada->generation, !=, lares_directory_generation());
    g_assert_cmpint(lares_directory_refresh(f->d, ada, &fresh), ==, LARES_OK);
    g_assert_cmpuint(fresh->generation, ==, lares_directory_generation());
    g_assert_cmpuint(fresh->n_groups, ==, 1);
    g_assert_cmpuint(ada->n_groups, ==, 0);
    g_clear_pointer(&fresh, lares_identity_unref);
    g_assert_true(lares_directory_user_disable(f->d, "ada", TRUE, NULL));
    g_assert_cmpint(lares_directory_refresh(f->d, ada, &fresh), ==, LARES_ACCESS);
    g_assert_true(lares_directory_user_disable(f->d, "ada", FALSE, NULL));
    g_assert_true(lares_directory_user_delete(f->d, "ada", NULL));
    g_assert_cmpint(lares_directory_refresh(f->d, ada, &fresh), ==, LARES_ACCESS); /* and does not make her again */
    g_assert_null(fresh);

    g_autoptr(LaresIdentity) grace = login(f, "grace@HOME.LAN", NULL);
    g_assert_true(lares_directory_user_delete(f->d, "grace", NULL));
    g_assert_cmpint(lares_directory_refresh(f->d, grace, &fresh), ==, LARES_ACCESS);

    static const uint32_t wire[] = {7, 8};
    g_autoptr(LaresIdentity) sys = login_sys(f, 4711, 4711, wire, 2);
    g_assert_cmpint(lares_directory_refresh(f->d, sys, &fresh), ==, LARES_OK);
    g_assert_cmpstr(fresh->name, ==, "uid:4711");
    g_assert_cmpuint(fresh->n_groups, ==, 2);
    g_assert_false(fresh->authenticated);
    g_clear_pointer(&fresh, lares_identity_unref);

    LaresAuthPeer none = {.anonymous = TRUE};
    LaresIdentity *anonymous = NULL;
    g_assert_cmpint(lares_directory_resolve(f->d, &none, &anonymous, NULL), ==, LARES_OK);
    g_assert_cmpint(lares_directory_refresh(f->d, anonymous, &fresh), ==, LARES_OK);
    g_assert_true(fresh->anonymous);
    lares_identity_unref(anonymous);
    lares_identity_unref(fresh);
}

/* A first login of somebody else is no reason for everybody to ask again. */
static void
test_provisioning_leaves_the_generation(Fixture *f, gconstpointer data)
{
    g_autoptr(LaresIdentity) ada = login(f, "ada@HOME.LAN", NULL);
    g_assert_nonnull(ada);
    guint before = lares_directory_generation();
    g_autoptr(LaresIdentity) ben = login(f, "ben@HOME.LAN", NULL);
    g_assert_nonnull(ben);
    g_autoptr(LaresIdentity) grace = login(f, "grace@HOME.LAN", NULL);
    g_assert_nonnull(grace);
    g_assert_cmpuint(lares_directory_generation(), ==, before);
}

/* ---- Threads --------------------------------------------------------------------------------------------------- */

typedef struct {
    Fixture *f;
    LaresIdentity *ada; /* as she logged in before it all began */
    gint stop;
    gint disabled; /* the administrator's word, set after disable() returned, cleared before enable() is called */
    gint wrong;
    gint refreshed;
} Race;

static gpointer
race_refresh(gpointer data)
{
    Race *race = data;
    LaresIdentity *mine = lares_identity_ref(race->ada);
    while (!g_atomic_int_get(&race->stop)) {
        LaresIdentity *fresh = NULL;
        gboolean disabled_before = g_atomic_int_get(&race->disabled);
        gboolean current = mine->generation == lares_directory_generation();
        gboolean usable = current || lares_directory_refresh(race->f->d, mine, &fresh) == LARES_OK;
        /* Disabled before the check and still after it: no answer in between may be yes. */
        if (usable && disabled_before && g_atomic_int_get(&race->disabled) == disabled_before)
            g_atomic_int_inc(&race->wrong);
        if (fresh) {
            lares_identity_unref(mine);
            mine = fresh;
        }
        g_atomic_int_inc(&race->refreshed);
    }
    lares_identity_unref(mine);
    return NULL;
}

static gpointer
race_provision(gpointer data)
{
    Race *race = data;
    for (guint i = 0; !g_atomic_int_get(&race->stop); i++) {
        char principal[32];
        g_snprintf(principal, sizeof principal, "user%u@HOME.LAN", i % 40);
        g_autoptr(LaresIdentity) identity = login(race->f, principal, NULL);
        g_assert_nonnull(identity);
    }
    return NULL;
}

static void
test_refresh_against_disable(Fixture *f, gconstpointer data)
{
    GThread *thread[4];
    g_autoptr(LaresIdentity) ada = login(f, "ada@HOME.LAN", NULL);
    Race race = {.f = f, .ada = ada};
    for (guint i = 0; i < 4; i++)
        thread[i] = g_thread_new("race", i < 2 ? race_refresh : race_provision, &race);
    for (gint i = 1; i <= 60; i++) {
        g_assert_true(lares_directory_user_disable(f->d, "ada", TRUE, NULL));
        g_atomic_int_set(&race.disabled, i); /* a number per round: not the same disable twice */
        g_usleep(1000);
        g_atomic_int_set(&race.disabled, 0);
        g_assert_true(lares_directory_user_disable(f->d, "ada", FALSE, NULL));
        g_usleep(500);
    }
    g_atomic_int_set(&race.stop, 1);
    for (guint i = 0; i < 4; i++)
        g_thread_join(thread[i]);
    g_assert_cmpint(race.wrong, ==, 0);
    g_assert_cmpint(race.refreshed, >, 100);
}

static gpointer
race_same_user(gpointer data)
{
    g_autoptr(LaresIdentity) identity = login(data, "newcomer@HOME.LAN", NULL);
    return GUINT_TO_POINTER(identity->uid);
}

static void
test_two_first_logins_at_once(Fixture *f, gconstpointer data)
{
    GThread *thread[8];
    for (guint i = 0; i < 8; i++)
        thread[i] = g_thread_new("login", race_same_user, f);
    for (guint i = 0; i < 8; i++)
        g_assert_cmpuint(GPOINTER_TO_UINT(g_thread_join(thread[i])), ==, 600000);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    test("/directory/provision/first-login", test_first_login_provisions);
    test("/directory/provision/off", test_provisioning_can_be_off);
    test("/directory/provision/disabled", test_disabled_is_not_provisioned_again);
    test("/directory/provision/deleted", test_deleted_comes_back_with_the_same_uid);
    test("/directory/provision/changed-number", test_changed_number_stays_with_its_first_owner);
    test("/directory/provision/host-silent", test_no_number_while_the_host_is_silent);
    test("/directory/provision/range", test_range_runs_out);
    test("/directory/provision/generation", test_provisioning_leaves_the_generation);
    test("/directory/realm/foreign", test_foreign_realm_is_never_local);
    test("/directory/realm/configured", test_configured_realms_replace_announced);
    test("/directory/realm/none", test_nobody_announced_a_realm);
    test("/directory/realm/inconsistent", test_realm_must_be_the_principals);
    test("/directory/names", test_names_that_cannot_be);
    test("/directory/instances", test_instances_stay_in_the_name);
    test("/directory/host/accounts", test_host_accounts);
    test("/directory/host/system-names", test_system_names_are_not_provisioned);
    test("/directory/host/mapped-system", test_mapped_system_account_is_not_its_namesakes);
    test("/directory/host/disabled-first", test_host_account_disabled_before_first_login);
    test("/directory/host/moves", test_host_account_moves_and_goes);
    test("/directory/host/away", test_name_service_away);
    test("/directory/mapping/ladder", test_mappings);
    test("/directory/mapping/bad", test_bad_mappings);
    test("/directory/machine/nobody", test_machines_are_nobody);
    test("/directory/machine/account", test_machine_account);
    test("/directory/refresh", test_refresh);
    test("/directory/race/disable", test_refresh_against_disable);
    test("/directory/race/first-login", test_two_first_logins_at_once);
    return g_test_run();
}
