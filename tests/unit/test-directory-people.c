/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an administrator does with people: lists of many, groups that change, accounts that are imported, questions
 * about principals. */
#include "directory-fixture.h"

#include "base/db.h"
#include "control/control.h"
#include "module/host-private.h"

#include <time.h>

/* A verb of the directory, as a face calls it; NULL with *error. */
static GVariant *
call(Fixture *f, const char *verb, const char *args, GError **error)
{
    g_autoptr(GVariant) values = g_variant_ref_sink(g_variant_new_parsed(args));
    for (const LaresVerb *v = lares_directory_verbs; v->name; v++) {
        if (g_str_equal(v->name, verb)) {
            GVariant *result = v->func(NULL, NULL, values, f->d, error);
            return result ? g_variant_ref_sink(result) : NULL;
        }
    }
    g_error("no verb %s", verb);
}

static void
done(Fixture *f, const char *verb, const char *args)
{
    g_autoptr(GError) error = NULL;
    GVariant *result = call(f, verb, args, &error);
    g_assert_no_error(error);
    g_clear_pointer(&result, g_variant_unref);
}

static void
refused(Fixture *f, const char *verb, const char *args, LaresError code, const char *words)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) result = call(f, verb, args, &error);
    g_assert_null(result);
    g_assert_error(error, LARES_ERROR, (int)code);
    if (!strstr(error->message, words))
        g_error("\"%s\" does not say \"%s\"", error->message, words);
}

/* The answer as text, for a look at parts of it. */
static char *
answer(Fixture *f, const char *verb, const char *args)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) result = call(f, verb, args, &error);
    g_assert_no_error(error);
    return g_variant_print(result, FALSE);
}

#define says(f, verb, args, part)                                                                                      \
    G_STMT_START                                                                                                       \
    {                                                                                                                  \
        g_autofree char *text = answer(f, verb, args);                                                                 \
        if (!strstr(text, part))                                                                                       \
            g_error("%s %s: no %s in %s", verb, args, part, text);                                                     \
    }                                                                                                                  \
    G_STMT_END

static void
log_in(Fixture *f, const char *principal, const char *name, uint32_t uid)
{
    g_autoptr(LaresIdentity) identity = login(f, principal, NULL);
    g_assert_nonnull(identity);
    g_assert_cmpstr(identity->name, ==, name);
    g_assert_cmpuint(identity->uid, ==, uid);
}

/* ---- Lists ----------------------------------------------------------------------------------------------------- */

static void
test_filters(Fixture *f, gconstpointer data)
{
    log_in(f, "ben@HOME.LAN", "ben", 600000);
    log_in(f, "grace@HOME.LAN", "grace", 1000);
    done(f, "user.add", "{'name': <'ada'>, 'full-name': <'Ada King-Noël'>}");
    done(f, "user.disable", "{'name': <'ben'>}");
    done(f, "group.add", "{'name': <'family'>}");
    done(f, "group.add-member", "{'name': <'family'>, 'member': <'grace'>}");
    static const struct {
        const char *args;
        const char *names[4];
    } table[] = {{"@a{sv} {}", {"ada", "ben", "grace"}},
                 {"{'match': <'NOËL'>}", {"ada"}},
                 {"{'match': <'a'>}", {"ada", "grace"}},
                 {"{'match': <'%'>}", {NULL}},
                 {"{'match': <''>}", {"ada", "ben", "grace"}},
                 {"{'source': <'kerberos'>}", {"ben"}},
                 {"{'source': <'host'>}", {"grace"}},
                 {"{'disabled': <true>}", {"ben"}},
                 {"{'disabled': <false>, 'match': <'ad'>}", {"ada"}},
                 {"{'group': <'family'>}", {"grace"}},
                 {"{'group': <'kerberos-users'>}", {"ada", "ben"}}};
    for (guint i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autoptr(GVariant) list = call(f, "user.list", table[i].args, NULL);
        g_autofree char *text = g_variant_print(list, FALSE);
        guint n = 0;
        for (; n < 4 && table[i].names[n]; n++) {
            const char *name = NULL;
            g_autoptr(GVariant) row = n < g_variant_n_children(list) ? g_variant_get_child_value(list, n) : NULL;
            if (!row || !g_variant_lookup(row, "name", "&s", &name) || !g_str_equal(name, table[i].names[n]))
                g_error("%s: %s", table[i].args, text);
        }
        g_assert_cmpuint(g_variant_n_children(list), ==, n);
    }
    refused(f, "user.list", "{'source': <'ldap'>}", LARES_ERROR_INVALID, "local, kerberos, host");
    refused(f, "user.list", "{'group': <'none'>}", LARES_ERROR_NOT_FOUND, "none");
    says(f, "group.list", "{'member': <'grace'>}", "'family'");
    says(f, "group.list", "{'match': <'FAM'>}", "'members': <['grace']>");
    says(f, "user.show", "{'name': <'ada'>}", "'primary-group': <'kerberos-users'>");
    /* What the host says of its account is shown, too: groups 27 (sudo) and one without a name. */
    says(f, "user.show", "{'name': <'grace'>}", "'groups': <['family', 'grace', 'sudo', '5000']>");
}

#define MANY 10000

/* Ten thousand users in a hundred groups, written into the file as if they had come one by one. */
static void
fill(Fixture *f)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(LaresDb) db = lares_db_open(f->file, &error);
    g_assert_no_error(error);
    for (guint i = 0; i < 100; i++) {
        g_autofree char *group = g_strdup_printf("group%02u", i);
        g_assert_true(lares_directory_group_add(f->d, group, -1, &error));
    }
    g_assert_true(lares_db_begin(db, &error));
    for (guint i = 0; i < MANY; i++) {
        g_autofree char *name = g_strdup_printf("user%04u", i);
        g_autofree char *group = g_strdup_printf("group%02u", i % 100);
        lares_db_run(
            db, &error,
            "INSERT INTO users(name, uid, gid, source, full_name, created) VALUES(?1, ?2, 600000, 'local', 'N',"
            " 1)",
            "si", name, (gint64)600000 + i);
        lares_db_run(db, &error, "INSERT INTO members(grp, user) VALUES(?1, ?2)", "ss", group, name);
        g_assert_no_error(error);
    }
    g_assert_true(lares_db_commit(db, &error));
}

/* CPU milliseconds since `start`. */
static double
spent(clock_t start)
{
    return (double)(clock() - start) * 1000 / CLOCKS_PER_SEC;
}

static void
test_many_users(Fixture *f, gconstpointer data)
{
    fill(f);
    clock_t start = clock();
    fixture_restart(f);
    g_test_message("read in %.1f ms", spent(start));
    start = clock();
    g_autoptr(GVariant) all = call(f, "user.list", "@a{sv} {}", NULL);
    g_assert_cmpuint(g_variant_n_children(all), ==, MANY);
    double list = spent(start);
    start = clock();
    g_autoptr(GVariant) one = call(f, "user.list", "{'match': <'r2999'>}", NULL);
    g_assert_cmpuint(g_variant_n_children(one), ==, 1);
    double filtered = spent(start);
    g_test_message("a list of all takes %.1f ms, of one %.1f ms", list, filtered);
    says(f, "user.list", "{'match': <'r2999'>}", "'groups': <['group99']>");
    log_in(f, "user2999@HOME.LAN", "user2999", 602999);
    start = clock();
    for (guint i = 0; i < 100; i++) {
        g_autofree char *name = g_strdup_printf("new%u", i);
        LaresUserValues values = {name, -1, -1, NULL};
        g_assert_true(lares_directory_user_add(f->d, &values, NULL));
    }
    double added = spent(start) / 100;
    g_test_message("one more user takes %.2f ms", added);
    says(f, "user.show", "{'name': <'new99'>}", "'uid': <int64 610099>");
    /* Far above what it takes, but far below a change that reads all users again for each new one. */
    g_assert_cmpfloat(list, <, 5000);
    g_assert_cmpfloat(filtered, <, 200);
    g_assert_cmpfloat(added, <, 10);
}

/* ---- Pages ----------------------------------------------------------------------------------------------------- */

static const LaresControlCaller looker = {"test", "uid:1", "unix", LARES_RIGHT_READ};

static GVariant *
list_page(LaresControl *control, const char *verb, const char *args, LaresControlPage *page)
{
    g_autoptr(GError) error = NULL;
    GVariant *list = lares_control_call_page(control, &looker, verb, g_variant_new_parsed(args), page, &error);
    g_assert_no_error(error);
    g_assert_true(!page || page->taken);
    return list;
}

/* Page after page is the whole list. */
static void
check_pages(LaresControl *control, const char *verb, const char *args, const char *key, guint limit)
{
    g_autoptr(GVariant) all = list_page(control, verb, args, NULL);
    gsize n = g_variant_n_children(all), at = 0;
    g_autofree char *after = NULL;
    gboolean more = TRUE;
    g_assert_cmpuint(n, >, limit);
    while (more) {
        LaresControlPage page = {.key = key, .after = after, .limit = limit};
        g_autoptr(GVariant) list = list_page(control, verb, args, &page);
        g_assert_cmpint(page.total, ==, (gint64)n);
        for (gsize i = 0; i < g_variant_n_children(list); i++) {
            g_autoptr(GVariant) one = g_variant_get_child_value(list, i), same = g_variant_get_child_value(all, at++);
            g_assert_true(g_variant_equal(one, same));
            g_free(g_steal_pointer(&after));
            g_variant_lookup(one, key, "s", &after);
        }
        more = page.more;
    }
    g_assert_cmpuint(at, ==, n);
}

/* A page of a long list costs its own items, not those of the list. */
static void
test_pages(Fixture *f, gconstpointer data)
{
    LaresHost host = {0};
    g_autoptr(GError) error = NULL;
    fill(f);
    fixture_restart(f);
    host.control = lares_control_new(&host);
    g_assert_true(lares_control_add(host.control, lares_directory_verbs, f->d, &error));
    log_in(f, "zoe@HOME.LAN", "zoe", 610000); /* who came by a login is in order, too */
    log_in(f, "adam@HOME.LAN", "adam", 610001);
    check_pages(host.control, "user.list", "@a{sv} {}", "name", 999);
    check_pages(host.control, "user.list", "{'group': <'group07'>}", "name", 33);
    check_pages(host.control, "user.list", "{'match': <'99'>, 'disabled': <false>}", "name", 100);
    check_pages(host.control, "group.list", "@a{sv} {}", "name", 7);
    check_pages(host.control, "group.list", "{'match': <'7'>}", "name", 4);
    for (guint i = 0; i < 5; i++) {
        g_autofree char *args = g_strdup_printf("{'principal': <'p%u@X.ORG'>, 'user': <'zoe'>}", i);
        done(f, "mapping.set", args);
    }
    check_pages(host.control, "mapping.list", "@a{sv} {}", "principal", 2);
    clock_t start = clock();
    G_GNUC_UNUSED g_autoptr(GVariant) all = list_page(host.control, "user.list", "@a{sv} {}", NULL);
    double whole = spent(start);
    start = clock();
    for (guint i = 0; i < 50; i++) {
        LaresControlPage page = {.key = "name", .after = "user7500", .limit = 10};
        g_autoptr(GVariant) list = list_page(host.control, "user.list", "@a{sv} {}", &page);
        g_assert_cmpuint(g_variant_n_children(list), ==, 10);
    }
    double pages = spent(start);
    g_test_message("the whole list takes %.2f ms, 50 pages of 10 take %.2f ms", whole, pages);
    g_assert_cmpfloat(pages, <, whole);
    lares_control_free(host.control);
}

/* ---- Groups ---------------------------------------------------------------------------------------------------- */

static void
test_group_that_is_needed_stays(Fixture *f, gconstpointer data)
{
    static const char *const names[] = {"a", "b", "c", "d", "e"};
    done(f, "group.add", "{'name': <'staff'>, 'gid': <int64 7000>}");
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        LaresUserValues values = {names[i], -1, 7000, NULL};
        g_assert_true(lares_directory_user_add(f->d, &values, NULL));
    }
    refused(f, "group.delete", "{'name': <'staff'>}", LARES_ERROR_CONFLICT, "and 2 more");
    done(f, "user.add", "{'name': <'z'>}");
    refused(f, "group.delete", "{'name': <'kerberos-users'>}", LARES_ERROR_CONFLICT, "default-group");
    for (guint i = 0; i < G_N_ELEMENTS(names); i++)
        g_assert_true(lares_directory_user_delete(f->d, names[i], NULL));
    done(f, "group.delete", "{'name': <'staff'>}");
    refused(f, "group.delete", "{'name': <'staff'>}", LARES_ERROR_NOT_FOUND, "staff");
}

static void
test_group_gets_another_name(Fixture *f, gconstpointer data)
{
    g_autoptr(LaresIdentity) ada = login(f, "ada@HOME.LAN", NULL);
    LaresIdentity *fresh = NULL;
    done(f, "group.add", "{'name': <'home'>, 'gid': <int64 7000>}");
    done(f, "group.delete", "{'name': <'home'>}");
    done(f, "group.add", "{'name': <'family'>, 'gid': <int64 7001>}");
    done(f, "group.add-member", "{'name': <'family'>, 'member': <'ada'>}");
    says(f, "group.set", "{'name': <'family'>, 'new-name': <'home'>}", "'name': <'home'>");
    fixture_restart(f);
    says(f, "group.show", "{'name': <'home'>}", "'members': <['ada']>");
    says(f, "group.show", "{'name': <'home'>}", "'gid': <int64 7001>");
    refused(f, "group.show", "{'name': <'family'>}", LARES_ERROR_NOT_FOUND, "family");
    g_assert_cmpint(lares_directory_refresh(f->d, ada, &fresh), ==, LARES_OK);
    g_assert_true(has_gid(fresh, 7001));
    lares_identity_unref(fresh);
    /* The number of the group that once had the name is nobody else's, now and after this one is gone. */
    refused(f, "group.add", "{'name': <'new'>, 'gid': <int64 7000>}", LARES_ERROR_CONFLICT, "another group's");
    done(f, "group.delete", "{'name': <'home'>}");
    refused(f, "group.add", "{'name': <'new'>, 'gid': <int64 7000>}", LARES_ERROR_CONFLICT, "another group's");
    refused(f, "group.add", "{'name': <'new'>, 'gid': <int64 7001>}", LARES_ERROR_CONFLICT, "another group's");
}

static void
test_group_changes_that_are_refused(Fixture *f, gconstpointer data)
{
    done(f, "group.add", "{'name': <'family'>}");
    done(f, "group.add", "{'name': <'other'>}");
    done(f, "group.add", "{'name': <'sudo'>}"); /* joins the host's */
    log_in(f, "ada@HOME.LAN", "ada", 600000);
    refused(f, "group.set", "{'name': <'none'>, 'new-name': <'x'>}", LARES_ERROR_NOT_FOUND, "none");
    refused(f, "group.set", "{'name': <'family'>, 'new-name': <'other'>}", LARES_ERROR_EXISTS, "other");
    refused(f, "group.set", "{'name': <'family'>, 'new-name': <'a b'>}", LARES_ERROR_INVALID, "a b");
    refused(f, "group.set", "{'name': <'family'>, 'new-name': <'sudo'>}", LARES_ERROR_CONFLICT, "this host");
    refused(f, "group.set", "{'name': <'sudo'>, 'new-name': <'x'>}", LARES_ERROR_CONFLICT, "this host");
    refused(f, "group.set", "{'name': <'sudo'>, 'gid': <int64 7000>}", LARES_ERROR_CONFLICT, "this host");
    refused(f, "group.set", "{'name': <'kerberos-users'>, 'new-name': <'x'>}", LARES_ERROR_CONFLICT, "default-group");
    refused(f, "group.set", "{'name': <'family'>, 'gid': <int64 0>}", LARES_ERROR_INVALID, "0");
    refused(f, "group.set", "{'name': <'family'>, 'gid': <int64 27>}", LARES_ERROR_CONFLICT, "number");
    fake_failing = 1;
    refused(f, "group.set", "{'name': <'family'>, 'new-name': <'ursa'>}", LARES_ERROR_FAILED, "does not answer");
}

static void
test_group_gets_another_number(Fixture *f, gconstpointer data)
{
    log_in(f, "ada@HOME.LAN", "ada", 600000);
    says(f, "group.set", "{'name': <'kerberos-users'>, 'gid': <int64 7000>}", "'gid': <int64 7000>");
    says(f, "user.show", "{'name': <'ada'>}", "'gid': <int64 7000>");
    refused(f, "group.add", "{'name': <'thief'>, 'gid': <int64 600000>}", LARES_ERROR_CONFLICT, "was another group's");
    done(f, "group.set", "{'name': <'kerberos-users'>, 'gid': <int64 600000>}"); /* and back */
    says(f, "user.show", "{'name': <'ada'>}", "'gid': <int64 600000>");
}

/* ---- Numbers --------------------------------------------------------------------------------------------------- */

/* Who comes back with a number of the administrator's choice still owns the files of the first one. */
static void
test_first_number_is_kept_for_good(Fixture *f, gconstpointer data)
{
    log_in(f, "ada@HOME.LAN", "ada", 600000);
    done(f, "user.delete", "{'name': <'ada'>}");
    done(f, "user.add", "{'name': <'ada'>, 'uid': <int64 5000>}");
    refused(f, "user.add", "{'name': <'thief'>, 'uid': <int64 600000>}", LARES_ERROR_CONFLICT, "somebody else's");
    log_in(f, "ben@HOME.LAN", "ben", 600001);
    done(f, "user.delete", "{'name': <'ada'>}");
    refused(f, "user.add", "{'name': <'thief'>, 'uid': <int64 600000>}", LARES_ERROR_CONFLICT, "somebody else's");
    refused(f, "user.add", "{'name': <'thief'>, 'uid': <int64 5000>}", LARES_ERROR_CONFLICT, "somebody else's");
    log_in(f, "ada@HOME.LAN", "ada", 5000);
    done(f, "user.set", "{'name': <'ada'>, 'uid': <int64 600000>}");
    log_in(f, "ada@HOME.LAN", "ada", 600000);
}

/* Another range is for those who come; whoever is there keeps the number, also after having been away. */
static void
test_range_changes(Fixture *f, gconstpointer data)
{
    log_in(f, "ada@HOME.LAN", "ada", 600000);
    log_in(f, "ben@HOME.LAN", "ben", 600001);
    done(f, "user.delete", "{'name': <'ada'>}");
    fixture_configure(f, (c->id_min = 700000, c->id_max = 700001));
    log_in(f, "cyd@HOME.LAN", "cyd", 700000);
    log_in(f, "ada@HOME.LAN", "ada", 600000);
    log_in(f, "ben@HOME.LAN", "ben", 600001);
    log_in(f, "dee@HOME.LAN", "dee", 700001);
    g_assert_null(login(f, "eve@HOME.LAN", NULL));
    refused(f, "user.add", "{'name': <'eve'>}", LARES_ERROR_CONFLICT, "uid-max");
    /* A wider one has room again. */
    fixture_configure(f, (c->id_min = 700000, c->id_max = 700002));
    log_in(f, "eve@HOME.LAN", "eve", 700002);
    done(f, "user.add", "{'name': <'far'>, 'uid': <int64 900000>}"); /* by choice, outside of any range */
}

/* ---- Imports --------------------------------------------------------------------------------------------------- */

static void
test_import_by_name(Fixture *f, gconstpointer data)
{
    guint before = lares_directory_generation();
    says(f, "user.import", "{'names': <['grace']>}", "'imported': <['grace']>");
    g_assert_cmpuint(lares_directory_generation(), !=, before);
    says(f, "user.show", "{'name': <'grace'>}", "'source': <'host'>");
    says(f, "user.show", "{'name': <'grace'>}", "'uid': <int64 1000>");
    says(f, "user.import", "{'names': <['grace', 'linus']>}", "'known': <['grace']>");
    fixture_restart(f);
    says(f, "user.show", "{'name': <'linus'>}", "'uid': <int64 1001>");
    log_in(f, "linus@HOME.LAN", "linus", 1001);
}

static void
test_import_as_a_whole_or_not_at_all(Fixture *f, gconstpointer data)
{
    static const struct {
        const char *names;
        LaresError code;
        const char *words;
    } table[] = {{"['grace', 'daemon']", LARES_ERROR_CONFLICT, "system account"},
                 {"['grace', 'root']", LARES_ERROR_CONFLICT, "system account"},
                 {"['grace', 'nobody']", LARES_ERROR_CONFLICT, "system account"},
                 {"['grace', 'eve']", LARES_ERROR_NOT_FOUND, "no account \"eve\""},
                 {"['grace', 'Linus']", LARES_ERROR_NOT_FOUND, "no account \"Linus\""},
                 {"['grace', '../x']", LARES_ERROR_NOT_FOUND, "no account"},
                 {"['grace', 'linus']", LARES_ERROR_CONFLICT, "another user of this name"}};
    /* linus is somebody of the directory, from before the host had the account. */
    fake_hide_linus = 1;
    done(f, "user.add", "{'name': <'linus'>}");
    fake_hide_linus = 0;
    fixture_restart(f);
    for (guint i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autofree char *args = g_strdup_printf("{'names': <%s>}", table[i].names);
        refused(f, "user.import", args, table[i].code, table[i].words);
        refused(f, "user.show", "{'name': <'grace'>}", LARES_ERROR_NOT_FOUND, "grace");
    }
    says(f, "user.show", "{'name': <'linus'>}", "'source': <'local'>");
    fake_failing = 1;
    fixture_restart(f);
    refused(f, "user.import", "{'names': <['grace']>}", LARES_ERROR_FAILED, "does not answer");
    refused(f, "user.import", "{'all': <true>}", LARES_ERROR_FAILED, "does not list");
}

static void
test_import_of_all(Fixture *f, gconstpointer data)
{
    fake_hide_linus = 1;
    done(f, "user.add", "{'name': <'thief'>, 'uid': <int64 1001>}"); /* linus' number, before the host had linus */
    fake_hide_linus = 0;
    fixture_restart(f);
    g_autofree char *text = answer(f, "user.import", "{'all': <true>}");
    g_assert_nonnull(strstr(text, "'imported': <['grace']>"));
    g_assert_nonnull(strstr(text, "'linus'"));
    g_assert_nonnull(strstr(text, "is or was thief's"));
    g_assert_null(strstr(text, "daemon")); /* not in the range: not even looked at */
    says(f, "user.import", "{'all': <true>, 'uid-min': <int64 0>, 'uid-max': <int64 10>}", "system account");
    says(f, "user.import", "{'all': <true>, 'uid-min': <int64 2000>, 'uid-max': <int64 3000>}", "'imported': <@as []>");
}

static void
test_import_needs_words(Fixture *f, gconstpointer data)
{
    static const char *const bad[] = {"@a{sv} {}",
                                      "{'names': <@as []>}",
                                      "{'all': <false>}",
                                      "{'names': <['grace']>, 'all': <true>}",
                                      "{'names': <['grace']>, 'uid-min': <int64 5>}",
                                      "{'all': <true>, 'uid-min': <int64 5>, 'uid-max': <int64 4>}",
                                      "{'all': <true>, 'uid-min': <int64 -1>}",
                                      "{'all': <true>, 'uid-max': <int64 4294967295>}"};
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++)
        refused(f, "user.import", bad[i], LARES_ERROR_INVALID, "");
    fixture_configure(f, c->host_accounts = FALSE);
    refused(f, "user.import", "{'all': <true>}", LARES_ERROR_CONFLICT, "switched off");
}

/* ---- Who is it? ------------------------------------------------------------------------------------------------ */

/* What mapping.test says must be what a login then gives. */
static void
test_question_and_login_agree(Fixture *f, gconstpointer data)
{
    done(f, "mapping.set", "{'principal': <'ada/work@HOME.LAN'>, 'user': <'ada'>}");
    done(f, "mapping.set", "{'principal': <'*@PARTNER.ORG'>, 'user': <'*'>}");
    done(f, "mapping.set", "{'principal': <'boss@PARTNER.ORG'>, 'user': <'grace'>}");
    done(f, "mapping.set", "{'principal': <'x*@PARTNER.ORG'>, 'user': <'daemon'>}");
    done(f, "mapping.set", "{'principal': <'lost@HOME.LAN'>, 'user': <'noone'>}");
    done(f, "user.add", "{'name': <'off'>}");
    done(f, "user.disable", "{'name': <'off'>}");
    static const struct {
        const char *principal, *verdict, *rule, *user; /* user NULL: not told */
        gboolean is_new;
    } table[] = {{"ada@HOME.LAN", "accepted", "name", "ada", TRUE},
                 {"ada@HOME.LAN", "accepted", "name", "ada", FALSE},
                 {"ada/work@HOME.LAN", "accepted", "mapping", "ada", FALSE},
                 {"ada/admin@HOME.LAN", "accepted", "name", "ada/admin", TRUE},
                 {"grace@HOME.LAN", "accepted", "name", "grace", FALSE},
                 {"ben@PARTNER.ORG", "accepted", "pattern", "ben", TRUE},
                 {"boss@PARTNER.ORG", "accepted", "mapping", "grace", FALSE},
                 {"xavier@PARTNER.ORG", "accepted", "pattern", "daemon", FALSE},
                 {"ben/admin@PARTNER.ORG", "refused", "foreign", "ben/admin@PARTNER.ORG", FALSE},
                 {"eve@EVIL", "refused", "foreign", "eve@EVIL", FALSE},
                 {"off@HOME.LAN", "refused", "name", "off", FALSE},
                 {"daemon@HOME.LAN", "refused", "name", "daemon", FALSE},
                 {"lost@HOME.LAN", "refused", "mapping", "noone", FALSE},
                 {"1000@HOME.LAN", "refused", "name", "1000", TRUE},
                 {"host/nas.home.lan@HOME.LAN", "accepted", "machine", "nobody", FALSE},
                 {"NAS$@EVIL", "accepted", "machine", "nobody", FALSE},
                 {"@HOME.LAN", "refused", "none", NULL, FALSE}};
    for (guint i = 0; i < G_N_ELEMENTS(table); i++) {
        const char *verdict, *rule, *user = NULL, *reason = NULL, *why;
        gint64 uid = -1;
        gboolean is_new = table[i].is_new; /* not told of who is refused */
        guint before = lares_directory_generation();
        g_autofree char *args = g_strdup_printf("{'principal': <'%s'>}", table[i].principal);
        g_autoptr(GVariant) told = call(f, "mapping.test", args, NULL);
        g_assert_true(g_variant_lookup(told, "verdict", "&s", &verdict));
        g_assert_true(g_variant_lookup(told, "rule", "&s", &rule));
        g_variant_lookup(told, "user", "&s", &user);
        g_variant_lookup(told, "uid", "x", &uid);
        g_variant_lookup(told, "new", "b", &is_new);
        g_variant_lookup(told, "reason", "&s", &reason);
        g_test_message("%s: %s by %s as %s", table[i].principal, verdict, rule, user);
        g_assert_cmpstr(verdict, ==, table[i].verdict);
        g_assert_cmpstr(rule, ==, table[i].rule);
        g_assert_cmpstr(user, ==, table[i].user);
        g_assert_cmpint(is_new, ==, table[i].is_new);
        /* Nothing was made by asking. */
        g_assert_cmpuint(lares_directory_generation(), ==, before);
        if (is_new && !reason) {
            g_autofree char *name = g_strdup_printf("{'name': <'%s'>}", user);
            refused(f, "user.show", name, LARES_ERROR_NOT_FOUND, user);
        }
        g_autoptr(LaresIdentity) identity = login(f, table[i].principal, &why);
        g_assert_cmpstr(reason, ==, why);
        g_assert_true((identity != NULL) == g_str_equal(verdict, "accepted"));
        if (identity) {
            g_assert_cmpstr(identity->name, ==, user);
            g_assert_cmpint(identity->uid, ==, uid);
        }
    }
    refused(f, "mapping.test", "{'principal': <''>}", LARES_ERROR_INVALID, "principal");
}

/* Exact before pattern, of patterns the one with more letters; a machine's mapping before its account. */
static void
test_which_mapping_wins(Fixture *f, gconstpointer data)
{
    static const char *const names[] = {"one", "two", "three", "four"};
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        LaresUserValues values = {names[i], 5000 + i, -1, NULL};
        g_assert_true(lares_directory_user_add(f->d, &values, NULL));
    }
    done(f, "mapping.set", "{'principal': <'*@HOME.LAN'>, 'user': <'one'>}");
    log_in(f, "xyz@HOME.LAN", "one", 5000);
    done(f, "mapping.set", "{'principal': <'x*@HOME.LAN'>, 'user': <'two'>}");
    log_in(f, "xyz@HOME.LAN", "two", 5001);
    done(f, "mapping.set", "{'principal': <'*yz@HOME.LAN'>, 'user': <'three'>}");
    log_in(f, "xyz@HOME.LAN", "three", 5002);
    done(f, "mapping.set", "{'principal': <'xyz@HOME.LAN'>, 'user': <'four'>}");
    log_in(f, "xyz@HOME.LAN", "four", 5003);
    log_in(f, "xa@HOME.LAN", "two", 5001);
    says(f, "mapping.test", "{'principal': <'xyz@HOME.LAN'>}", "'mapping': <'xyz@HOME.LAN'>");
    says(f, "mapping.test", "{'principal': <'ayz@HOME.LAN'>}", "'mapping': <'*yz@HOME.LAN'>");
    says(f, "mapping.test", "{'principal': <'host/a@HOME.LAN'>}", "'rule': <'machine'>");
    done(f, "mapping.set", "{'principal': <'host/*@HOME.LAN'>, 'user': <'one'>}");
    says(f, "mapping.test", "{'principal': <'host/a@HOME.LAN'>}", "'rule': <'pattern'>");
    says(f, "mapping.test", "{'principal': <'host/a@HOME.LAN'>}", "'machine': <true>");
    done(f, "mapping.delete", "{'principal': <'xyz@HOME.LAN'>}");
    log_in(f, "xyz@HOME.LAN", "three", 5002);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    test("/people/list/filters", test_filters);
    test("/people/list/many", test_many_users);
    test("/people/list/pages", test_pages);
    test("/people/group/needed", test_group_that_is_needed_stays);
    test("/people/group/renamed", test_group_gets_another_name);
    test("/people/group/refused", test_group_changes_that_are_refused);
    test("/people/group/renumbered", test_group_gets_another_number);
    test("/people/numbers/kept", test_first_number_is_kept_for_good);
    test("/people/numbers/range", test_range_changes);
    test("/people/import/names", test_import_by_name);
    test("/people/import/whole", test_import_as_a_whole_or_not_at_all);
    test("/people/import/all", test_import_of_all);
    test("/people/import/words", test_import_needs_words);
    test("/people/question/agrees", test_question_and_login_agree);
    test("/people/mapping/precedence", test_which_mapping_wins);
    return g_test_run();
}
