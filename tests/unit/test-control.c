/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The registry of verbs: rights, arguments, errors. */
#include "control/control.h"
#include "control/doctor.h"

static int calls;

static GVariant *
do_look(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    GVariantDict d;
    calls++;
    g_assert_true(user == &calls);
    g_variant_dict_init(&d, args);
    return g_variant_dict_end(&d);
}

static GVariant *
do_change(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    calls++;
    if (g_variant_n_children(args) == 1)
        g_set_error(error, LARES_ERROR, LARES_ERROR_CONFLICT, "no");
    return NULL;
}

static const LaresParam params[] = {
    {"name", "s", TRUE, "its name"}, {"size", "x", FALSE, NULL}, {"hosts", "as", FALSE, NULL}, {NULL}};
static const LaresVerb verbs[] = {
    {"thing.look", LARES_RIGHT_READ, "Looks.", params, do_look},
    {"thing.change", LARES_RIGHT_ADMIN, "Changes.", params, do_change},
    {NULL},
};
static const LaresVerb broken[] = {{"thing.odd", LARES_RIGHT_READ, "No function.", NULL, NULL}, {NULL}};

static LaresControl *
make(void)
{
    g_autoptr(GError) error = NULL;
    LaresControl *c = lares_control_new(NULL);
    g_assert_true(lares_control_add(c, verbs, &calls, &error));
    g_assert_no_error(error);
    return c;
}

static void
expect(LaresControl *c, LaresRight right, const char *verb, const char *args, gint code, const char *says)
{
    LaresControlCaller caller = {"test", "uid:1", "unix", right};
    g_autoptr(GError) error = NULL;
    GVariant *v = args ? g_variant_parse(G_VARIANT_TYPE_VARDICT, args, NULL, NULL, &error) : NULL;
    g_assert_no_error(error);
    g_autoptr(GVariant) result = lares_control_call(c, &caller, verb, v, &error);
    if (v)
        g_variant_unref(v);
    if (code < 0) {
        g_assert_no_error(error);
        return;
    }
    g_assert_error(error, LARES_ERROR, code);
    g_assert_null(result);
    g_test_message("%s", error->message);
    g_assert_nonnull(strstr(error->message, says));
}

static void
test_calls(void)
{
    LaresControl *c = make();
    calls = 0;
    expect(c, LARES_RIGHT_READ, "thing.look", "{'name': <'a'>}", -1, NULL);
    expect(c, LARES_RIGHT_ADMIN, "thing.change", "{'name': <'a'>, 'size': <int64 4>}", -1, NULL);
    g_assert_cmpint(calls, ==, 2);
    expect(c, LARES_RIGHT_ADMIN, "thing.change", "{'name': <'a'>}", LARES_ERROR_CONFLICT, "no");
    g_assert_cmpint(calls, ==, 3);
    expect(c, LARES_RIGHT_OPERATE, "thing.change", "{'name': <'a'>}", LARES_ERROR_DENIED, "needs the right \"admin\"");
    expect(c, LARES_RIGHT_READ, "thing.lok", NULL, LARES_ERROR_NOT_FOUND, "did you mean \"thing.look\"");
    expect(c, LARES_RIGHT_READ, "thing.look", NULL, LARES_ERROR_INVALID, "\"name\" is missing (its name)");
    expect(c, LARES_RIGHT_READ, "thing.look", "{'nmae': <'a'>}", LARES_ERROR_INVALID, "did you mean \"name\"?");
    expect(c, LARES_RIGHT_READ, "thing.look", "{'name': <4>}", LARES_ERROR_INVALID, "\"name\" must be a string");
    expect(c, LARES_RIGHT_READ, "thing.look", "{'name': <'a'>, 'size': <'4'>}", LARES_ERROR_INVALID, "a whole number");
    g_assert_cmpint(calls, ==, 3);
    lares_control_free(c);
}

static void
test_registry(void)
{
    g_autoptr(GError) error = NULL;
    LaresControl *c = make();
    g_assert_false(lares_control_add(c, verbs, NULL, &error));
    g_assert_error(error, LARES_ERROR, LARES_ERROR_EXISTS);
    g_clear_error(&error);
    g_assert_false(lares_control_add(c, broken, NULL, &error));
    g_assert_error(error, LARES_ERROR, LARES_ERROR_MODULE);
    g_clear_error(&error);
    g_assert_true(lares_control_add_builtin(c, &error));
    g_autoptr(GPtrArray) list = lares_control_list(c);
    g_assert_cmpuint(list->len, >, 2);
    g_assert_true(lares_control_find(c, "thing.look") == &verbs[0]);
    g_assert_nonnull(lares_control_find(c, "status"));
    g_assert_null(lares_control_find(c, "thing.odd"));
    for (guint i = 1; i < list->len; i++)
        g_assert_cmpstr(((LaresVerb *)list->pdata[i - 1])->name, <, ((LaresVerb *)list->pdata[i])->name);
    lares_control_free(c);
}

static void
note(LaresControl *control, const char *verb, const char *object, gpointer user)
{
    g_string_append_printf(user, "%s(%s) ", verb, object ? object : "");
}

static guint once;

/* Looks at the change, and at no further one. */
static void
note_once(LaresControl *control, const char *verb, const char *object, gpointer user)
{
    g_string_append(user, "once ");
    lares_control_unwatch(control, once);
    lares_control_watch(control, note, user);
}

/* Changes that happened are told, to those who watched when they did; looking and failing is no change. */
static void
test_watches(void)
{
    LaresControl *c = make();
    g_autoptr(GString) told = g_string_new(NULL);
    guint id = lares_control_watch(c, note, told);
    once = lares_control_watch(c, note_once, told);
    expect(c, LARES_RIGHT_ADMIN, "thing.look", "{'name': <'a'>}", -1, NULL);
    expect(c, LARES_RIGHT_READ, "thing.change", "{'name': <'a'>}", LARES_ERROR_DENIED, "admin");
    expect(c, LARES_RIGHT_ADMIN, "thing.change", "{'name': <'a'>}", LARES_ERROR_CONFLICT, "no");
    g_assert_cmpstr(told->str, ==, "");
    expect(c, LARES_RIGHT_ADMIN, "thing.change", "{'name': <'a'>, 'size': <int64 1>}", -1, NULL);
    g_assert_cmpstr(told->str, ==, "thing.change(a) once ");
    lares_control_unwatch(c, id);
    expect(c, LARES_RIGHT_ADMIN, "thing.change", "{'name': <'b'>, 'size': <int64 1>}", -1, NULL);
    g_assert_cmpstr(told->str, ==, "thing.change(a) once thing.change(b) ");
    lares_control_free(c);
}

static void
test_rights(void)
{
    LaresRight right;
    for (guint i = LARES_RIGHT_READ; i <= LARES_RIGHT_ADMIN; i++)
        g_assert_true(lares_right_parse(lares_right_name((LaresRight)i), &right) && right == (LaresRight)i);
    g_assert_true(lares_right_parse("operator", &right) && right == LARES_RIGHT_OPERATE);
    g_assert_false(lares_right_parse("king", &right));
}

/* ---- Pages ----------------------------------------------------------------------------------------------------- */

static GVariant *
do_list(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    /* Inside a call for a page, a call of another verb is about everything. */
    LaresControl *control = user;
    g_autoptr(GVariant) inner = lares_control_call(control, caller, "thing.few", NULL, error);
    g_assert_cmpuint(g_variant_n_children(inner), ==, 3);
    return g_variant_new_parsed(
        "[{'name': <'c'>}, {'name': <'a'>}, {'name': <'e'>}, {'name': <'b'>}, {'name': <'d'>}]");
}

static GVariant *
do_few(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    return g_variant_new_parsed("[{'id': <'3'>}, {'id': <'1'>}, {'id': <'2'>}]");
}

static GVariant *
do_one(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    return g_variant_new_parsed("{'name': <'a'>}");
}

static const LaresVerb list_verbs[] = {{"thing.list", LARES_RIGHT_READ, "Lists.", NULL, do_list},
                                       {"thing.few", LARES_RIGHT_READ, "Lists few.", NULL, do_few},
                                       {"thing.one", LARES_RIGHT_READ, "Shows.", NULL, do_one},
                                       {NULL}};

/* A verb that makes its whole list has it sorted and cut. */
static void
test_pages(void)
{
    static const struct {
        const char *verb, *key, *after;
        guint limit;
        const char *text;
        gint64 total;
        gboolean more;
    } table[] = {{"thing.list", "name", NULL, 2, "[{'name': <'a'>}, {'name': <'b'>}]", 5, TRUE},
                 {"thing.list", "name", "b", 2, "[{'name': <'c'>}, {'name': <'d'>}]", 5, TRUE},
                 {"thing.list", "name", "bb", 3, "[{'name': <'c'>}, {'name': <'d'>}, {'name': <'e'>}]", 5, FALSE},
                 {"thing.list", "name", "e", 3, "@aa{sv} []", 5, FALSE},
                 {"thing.few", "id", NULL, 3, "[{'id': <'1'>}, {'id': <'2'>}, {'id': <'3'>}]", 3, FALSE},
                 {"thing.one", "name", NULL, 1, "{'name': <'a'>}", 0, FALSE}};
    g_autoptr(GError) error = NULL;
    LaresControl *c = make();
    LaresControlCaller caller = {"test", "uid:1", "unix", LARES_RIGHT_READ};
    g_assert_true(lares_control_add(c, list_verbs, c, &error));
    for (guint i = 0; i < G_N_ELEMENTS(table); i++) {
        LaresControlPage page = {.key = table[i].key, .after = table[i].after, .limit = table[i].limit};
        g_autoptr(GVariant) list = lares_control_call_page(c, &caller, table[i].verb, NULL, &page, &error);
        g_assert_no_error(error);
        g_autofree char *text = g_variant_print(list, TRUE);
        g_assert_cmpstr(text, ==, table[i].text);
        g_assert_cmpint(page.total, ==, table[i].total);
        g_assert_cmpint(page.more, ==, table[i].more);
        g_assert_false(page.taken);
    }
    LaresControlPage page = {.key = "name", .limit = 1};
    g_assert_null(lares_control_call_page(c, &caller, "thing.change", NULL, &page, &error));
    g_assert_error(error, LARES_ERROR, LARES_ERROR_DENIED);
    lares_control_free(c);
}

/* ---- Verbs that wait ------------------------------------------------------------------------------------------- */

typedef struct {
    LaresControl *control;
    GString *told;
    guint others; /* what the main thread did, in plain sight of the verbs */
    gint open;    /* atomic: the gate */
} Waiting;

static GVariant *
do_wait(LaresHost *host, const LaresControlCaller *caller, GVariant *args, gpointer user, GError **error)
{
    Waiting *w = user;
    const char *name = NULL;
    g_variant_lookup(args, "name", "&s", &name);
    guint before = w->others;
    lares_control_wait_begin();
    while (!g_atomic_int_get(&w->open))
        g_usleep(1000);
    lares_control_wait_end();
    g_string_append_printf(w->told, "%s:%s%s ", name, caller->subject, w->others > before ? "+" : "");
    if (g_str_equal(name, "bad"))
        g_set_error_literal(error, LARES_ERROR, LARES_ERROR_CONFLICT, "no");
    return g_str_equal(name, "bad") ? NULL : g_variant_new_parsed("[{'name': <'b'>}, {'name': <'a'>}]");
}

static const LaresVerb wait_verbs[] = {{"thing.wait", LARES_RIGHT_READ, "Waits.", params, do_wait}, {NULL}};

static void
on_answer(GVariant *result, GError *error, gpointer user)
{
    Waiting *w = user;
    g_autofree char *text = result ? g_variant_print(result, FALSE) : g_strdup(error->message);
    g_string_append_printf(w->told, "=%s ", text);
}

static gboolean
do_other(gpointer user)
{
    Waiting *w = user;
    LaresControlCaller looker = {"test", "uid:2", "unix", LARES_RIGHT_READ};
    LaresControlPage page = {.key = "name", .limit = 1};
    g_autoptr(GVariant) list = lares_control_call_page(w->control, &looker, "thing.list", NULL, &page, NULL);
    g_assert_cmpuint(g_variant_n_children(list), ==, 1);
    if (++w->others == 3)
        g_atomic_int_set(&w->open, 1);
    return w->others < 3;
}

static void
ask(Waiting *w, const char *name, LaresControlPage *page)
{
    g_autofree char *subject = g_strdup_printf("of-%s", name);
    LaresControlCaller caller = {"test", subject, "unix", LARES_RIGHT_READ};
    g_autofree char *args = g_strdup_printf("{'name': <'%s'>}", name);
    lares_control_call_async(w->control, &caller, "thing.wait", g_variant_new_parsed(args), page, on_answer, w);
}

/* One after the other, with the caller's own things and page, while the main thread calls other verbs; a stop tells who
 * still waits, and has who is at work done. */
static void
test_waiting(void)
{
    static const char *const slow[] = {"thing.wait", "thing.change", NULL};
    g_autoptr(GString) told = g_string_new(NULL);
    g_autoptr(GError) error = NULL;
    Waiting w = {.control = make(), .told = told};
    LaresControlPage page = {.key = "name", .limit = 1};
    g_assert_true(lares_control_add(w.control, list_verbs, w.control, &error));
    g_assert_true(lares_control_add(w.control, wait_verbs, &w, &error));
    lares_control_mark_slow(w.control, slow);
    g_assert_true(lares_control_is_slow(w.control, "thing.wait") && !lares_control_is_slow(w.control, "thing.list"));
    ask(&w, "one", &page);
    ask(&w, "bad", NULL);
    g_timeout_add(2, do_other, &w);
    while (!strstr(told->str, "=no"))
        g_main_context_iteration(NULL, TRUE);
    g_assert_cmpstr(told->str, ==, "one:of-one+ =[{'name': <'a'>}] bad:of-bad =no ");
    g_assert_cmpint(page.total, ==, 2);
    g_string_truncate(told, 0);
    /* Whoever asks as before waits as before. */
    LaresControlCaller caller = {"test", "uid:1", "unix", LARES_RIGHT_READ};
    g_autoptr(GVariant) list =
        lares_control_call(w.control, &caller, "thing.wait", g_variant_new_parsed("{'name': <'two'>}"), &error);
    g_assert_cmpuint(g_variant_n_children(list), ==, 2);
    g_string_truncate(told, 0);
    ask(&w, "three", NULL);
    ask(&w, "four", NULL);
    lares_control_call_async(w.control, &caller, "thing.change", NULL, NULL, on_answer, &w);
    g_assert_nonnull(strstr(told->str, "needs the right")); /* told at once, before who was there first */
    lares_control_stop_slow(w.control);
    ask(&w, "five", NULL);
    g_assert_nonnull(strstr(told->str, "three:of-three =[{'name': <'b'>}, {'name': <'a'>}]"));
    g_assert_null(strstr(told->str, "four:"));
    g_assert_null(strstr(told->str, "five:"));
    g_assert_nonnull(strstr(told->str, "=the server stops "));
    while (g_main_context_iteration(NULL, FALSE))
        ;
    lares_control_free(w.control);
}

typedef struct {
    LaresRight right; /* what there is now; above LARES_RIGHT_ADMIN: nothing */
    guint asked;
} Now;

static gboolean
ask_now(const LaresControlCaller *caller, LaresRight *right)
{
    Now *now = caller->proof;
    now->asked++;
    *right = now->right;
    return now->right <= LARES_RIGHT_ADMIN;
}

static gboolean
open_gate(gpointer user)
{
    g_atomic_int_set(&((Waiting *)user)->open, 1);
    return G_SOURCE_REMOVE;
}

/* A verb runs with the rights of the moment in which it runs; only who had to wait is asked again. */
static void
test_rights_while_waiting(void)
{
    static const char *const slow[] = {"thing.wait", "thing.change", NULL};
    g_autoptr(GString) told = g_string_new(NULL);
    g_autoptr(GError) error = NULL;
    Waiting w = {.control = make(), .told = told};
    Now gone = {LARES_RIGHT_ADMIN + 1, 0}, less = {LARES_RIGHT_READ, 0}, same = {LARES_RIGHT_ADMIN, 0};
    LaresControlCaller caller = {.face = "test", .subject = "uid:1", .rights = LARES_RIGHT_ADMIN, .ask_again = ask_now};
    g_assert_true(lares_control_add(w.control, wait_verbs, &w, &error));
    lares_control_mark_slow(w.control, slow);
    caller.proof = &gone;
    lares_control_call_async(w.control, &caller, "thing.wait", g_variant_new_parsed("{'name': <'first'>}"), NULL,
                             on_answer, &w);
    lares_control_call_async(w.control, &caller, "thing.change", NULL, NULL, on_answer, &w);
    caller.proof = &less;
    lares_control_call_async(w.control, &caller, "thing.change", NULL, NULL, on_answer, &w);
    caller.expires = 1;
    lares_control_call_async(w.control, &caller, "thing.wait", g_variant_new_parsed("{'name': <'late'>}"), NULL,
                             on_answer, &w);
    caller.expires = 0;
    caller.token = "no-such-token";
    lares_control_call_async(w.control, &caller, "thing.wait", g_variant_new_parsed("{'name': <'token'>}"), NULL,
                             on_answer, &w);
    caller.token = NULL;
    caller.proof = &same;
    lares_control_call_async(w.control, &caller, "thing.wait", g_variant_new_parsed("{'name': <'last'>}"), NULL,
                             on_answer, &w);
    g_timeout_add(2, open_gate, &w);
    while (!strstr(told->str, "last:uid:1 ="))
        g_main_context_iteration(NULL, TRUE);
    g_assert_cmpstr(told->str, ==,
                    "first:uid:1 =[{'name': <'b'>}, {'name': <'a'>}] "
                    "=uid:1 may not manage this server any more: that changed while the request waited "
                    "=thing.change needs the right \"admin\" "
                    "=the login ended while the request waited "
                    "=the bearer token was revoked, or is worth nothing any more, while the request waited "
                    "last:uid:1 =[{'name': <'b'>}, {'name': <'a'>}] ");
    g_assert_true(gone.asked == 1 && less.asked == 1 && same.asked == 1);
    lares_control_free(w.control);
}

/* ---- The doctor beside them ------------------------------------------------------------------------------------ */

static gpointer
prepare_gate(LaresHost *host, gpointer user)
{
    return user;
}

/* Finds something every millisecond, until the gate opens or the time is up. */
static void
check_gate(LaresDoctor *doctor, gpointer material)
{
    Waiting *w = material;
    do {
        lares_doctor_find(doctor, "gate", LARES_FINDING_NOTE, NULL, "still %s", "closed");
        g_usleep(1000);
    } while (!g_atomic_int_get(&w->open) && lares_doctor_left(doctor) > 0);
    lares_doctor_find(doctor, "end", LARES_FINDING_OK, NULL, "%s", g_atomic_int_get(&w->open) ? "open" : "left");
}

static const LaresCheck gate_checks[] = {{"east", "the east gate", prepare_gate, NULL, check_gate},
                                         {"west", "the west gate", prepare_gate, NULL, check_gate},
                                         {NULL}};

static GVariant *
call_doctor(LaresControl *control, const char *verb, GError **error)
{
    LaresControlCaller caller = {"test", "uid:1", "unix", LARES_RIGHT_OPERATE};
    g_autoptr(GVariant) args = NULL;
    if (g_str_equal(verb, "doctor"))
        args = g_variant_ref_sink(g_variant_new_parsed("{'only': <['east', 'west']>}"));
    return lares_control_call(control, &caller, verb, args, error);
}

static gboolean
is_at_work(LaresControl *control, gint64 *notes, gint64 *good)
{
    g_autoptr(GVariant) answer = call_doctor(control, "doctor.show", NULL);
    const char *state = NULL;
    g_assert_true(g_variant_lookup(answer, "state", "&s", &state) && g_variant_lookup(answer, "notes", "x", notes) &&
                  g_variant_lookup(answer, "good", "x", good));
    return g_str_equal(state, "running");
}

/* Verbs that wait, checks in their threads and everybody's questions at once: for the thread sanitizer, too. */
static void
test_doctor_beside(void)
{
    static const char *const slow[] = {"thing.wait", NULL};
    g_autoptr(GString) told = g_string_new(NULL);
    g_autoptr(GError) error = NULL, again = NULL;
    Waiting w = {.control = make(), .told = told};
    gint64 notes = 0, good = 0;
    g_assert_true(lares_control_add(w.control, list_verbs, w.control, &error));
    g_assert_true(lares_control_add(w.control, wait_verbs, &w, &error));
    g_assert_true(lares_control_open_doctor(w.control, &error));
    g_assert_true(lares_doctor_add(w.control, gate_checks, &w, &error));
    lares_control_mark_slow(w.control, slow);
    G_GNUC_UNUSED g_autoptr(GVariant) began = call_doctor(w.control, "doctor", &error);
    g_assert_no_error(error);
    ask(&w, "one", NULL);
    ask(&w, "bad", NULL);
    g_assert_null(call_doctor(w.control, "doctor", &again));
    g_assert_error(again, LARES_ERROR, LARES_ERROR_CONFLICT);
    for (gint64 before = 0; before < 10; before = notes) {
        g_assert_true(is_at_work(w.control, &notes, &good));
        g_assert_true(notes >= before && good == 0);
        g_main_context_iteration(NULL, FALSE);
    }
    g_timeout_add(2, do_other, &w); /* opens the gate */
    while (is_at_work(w.control, &notes, &good) || !strstr(told->str, "=no"))
        g_main_context_iteration(NULL, TRUE);
    g_assert_true(notes >= 11 && good == 2);
    g_assert_nonnull(strstr(told->str, "one:of-one"));
    /* A stop ends a check that would go on. */
    g_atomic_int_set(&w.open, 0);
    G_GNUC_UNUSED g_autoptr(GVariant) second = call_doctor(w.control, "doctor", &error);
    g_assert_no_error(error);
    while (is_at_work(w.control, &notes, &good) && notes < 3)
        g_main_context_iteration(NULL, FALSE);
    g_assert_true(is_at_work(w.control, &notes, &good));
    lares_control_stop_slow(w.control);
    lares_control_stop_doctor(w.control);
    while (g_main_context_iteration(NULL, FALSE))
        ;
    lares_control_free(w.control);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/control/calls", test_calls);
    g_test_add_func("/control/registry", test_registry);
    g_test_add_func("/control/watches", test_watches);
    g_test_add_func("/control/rights", test_rights);
    g_test_add_func("/control/pages", test_pages);
    g_test_add_func("/control/waiting", test_waiting);
    g_test_add_func("/control/rights-while-waiting", test_rights_while_waiting);
    g_test_add_func("/control/doctor-beside", test_doctor_beside);
    return g_test_run();
}
