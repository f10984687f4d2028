/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who is in a share's list of hosts. */
#include "share/hosts.h"

#include <string.h>

static gint resolving; /* how often a name was asked for */
static gint failing;

static gboolean
fake_resolve(const char *name, GArray *addresses)
{
    LaresAddress address;
    g_atomic_int_inc(&resolving);
    if (g_atomic_int_get(&failing))
        return FALSE;
    if (g_str_equal(name, "box.home.lan")) {
        lares_address_parse("192.0.2.50", &address);
        g_array_append_val(addresses, address);
        lares_address_parse("2001:db8::50", &address);
        g_array_append_val(addresses, address);
    }
    return TRUE;
}

static gboolean
match(const char *list, const char *address)
{
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) entries = g_strsplit(list, ",", -1);
    LaresHosts *hosts = lares_hosts_compile((const char *const *)entries, &error);
    g_assert_no_error(error);
    gboolean yes = lares_hosts_match(hosts, address);
    lares_hosts_free(hosts);
    return yes;
}

static void
test_networks(void)
{
    g_assert_true(match("", "192.0.2.1"));
    g_assert_true(match("", "unix"));
    g_assert_true(match("192.0.2.1", "192.0.2.1"));
    g_assert_false(match("192.0.2.1", "192.0.2.2"));
    g_assert_true(match("192.0.2.0/24", "192.0.2.255"));
    g_assert_false(match("192.0.2.0/24", "192.0.3.0"));
    g_assert_true(match("192.0.2.77/24", "192.0.2.1")); /* bits of the host do not count */
    g_assert_true(match("10.128.0.0/9", "10.200.1.1"));
    g_assert_false(match("10.128.0.0/9", "10.127.255.255"));
    g_assert_true(match("0.0.0.0/0", "203.0.113.9"));
    g_assert_false(match("0.0.0.0/0", "2001:db8::1"));
    g_assert_true(match("::/0", "2001:db8::1"));
    g_assert_true(match("2001:db8::/33", "2001:db8:7fff::1"));
    g_assert_false(match("2001:db8::/33", "2001:db8:8000::1"));
    g_assert_true(match("192.0.2.0/24", "::ffff:192.0.2.9")); /* dual-stack sockets */
    g_assert_true(match("fe80::/10", "fe80::1%eth0"));
    g_assert_true(match("203.0.113.1,192.0.2.0/28", "192.0.2.15"));
    g_assert_false(match("203.0.113.1,192.0.2.0/28", "192.0.2.16"));
    g_assert_false(match("192.0.2.0/24", "garbage"));
    g_assert_false(match("192.0.2.0/24", ""));
}

static void
test_local_socket_is_loopback(void)
{
    g_assert_true(match("127.0.0.0/8", "unix"));
    g_assert_true(match("::1", "unix"));
    g_assert_false(match("192.0.2.0/24", "unix"));
}

static void
test_bad_entries(void)
{
    static const char *const bad[] = {"192.0.2.0/33",   "192.0.2.0/-1", "192.0.2.0/x", "192.0.2.0/",
                                      "2001:db8::/129", "192.0.2.999",  "*",           "*.home.lan",
                                      "@netgroup",      "a b",          "-box",        "a..b",
                                      "fe80::1%eth0",   "box/24",       "1.2.3"};
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        const char *entries[] = {bad[i], NULL};
        g_autoptr(GError) error = NULL;
        LaresHosts *hosts = lares_hosts_compile(entries, &error);
        if (hosts)
            g_error("\"%s\" was taken", bad[i]);
        g_assert_error(error, LARES_ERROR, LARES_ERROR_INVALID);
        g_assert_nonnull(strstr(error->message, bad[i]));
    }
}

static void
test_names(void)
{
    lares_hosts_set_resolver(fake_resolve);
    resolving = failing = 0;
    g_assert_true(match("Box.Home.LAN", "192.0.2.50"));
    g_assert_true(match("box.home.lan", "2001:db8::50"));
    g_assert_false(match("box.home.lan", "192.0.2.51"));
    g_assert_cmpint(resolving, ==, 1); /* remembered, whatever the case */
    g_assert_false(match("unknown.home.lan", "192.0.2.50"));
    g_assert_false(match("unknown.home.lan", "192.0.2.50"));
    g_assert_cmpint(resolving, ==, 2); /* also what was not there */
    lares_hosts_set_resolver(NULL);
}

/* Without an answer nobody is let in. */
static void
test_resolver_away(void)
{
    lares_hosts_set_resolver(fake_resolve);
    resolving = 0;
    failing = 1;
    g_assert_false(match("box.home.lan", "192.0.2.50"));
    g_assert_false(match("box.home.lan", "192.0.2.50"));
    g_assert_cmpint(resolving, ==, 1); /* not a question per request */
    lares_hosts_set_resolver(NULL);
}

static void
test_many_names_stay_bounded(void)
{
    lares_hosts_set_resolver(fake_resolve);
    failing = 0;
    for (guint i = 0; i < 3000; i++) {
        char name[32];
        g_snprintf(name, sizeof name, "host%u.home.lan", i);
        g_assert_false(match(name, "192.0.2.50"));
    }
    g_assert_true(match("box.home.lan", "192.0.2.50"));
    lares_hosts_set_resolver(NULL);
}

static gboolean
slow_resolve(const char *name, GArray *addresses)
{
    g_usleep(50 * 1000);
    return fake_resolve(name, addresses);
}

static gpointer
ask(gpointer data)
{
    return GINT_TO_POINTER(match("box.home.lan", "192.0.2.50"));
}

static void
test_one_question_for_many_workers(void)
{
    GThread *thread[8];
    lares_hosts_set_resolver(slow_resolve);
    resolving = failing = 0;
    for (guint i = 0; i < 8; i++)
        thread[i] = g_thread_new("ask", ask, NULL);
    for (guint i = 0; i < 8; i++)
        g_assert_true(GPOINTER_TO_INT(g_thread_join(thread[i])));
    g_assert_cmpint(resolving, ==, 1);
    lares_hosts_set_resolver(NULL);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/hosts/networks", test_networks);
    g_test_add_func("/hosts/local-socket", test_local_socket_is_loopback);
    g_test_add_func("/hosts/bad", test_bad_entries);
    g_test_add_func("/hosts/names", test_names);
    g_test_add_func("/hosts/resolver-away", test_resolver_away);
    g_test_add_func("/hosts/bounded", test_many_names_stay_bounded);
    g_test_add_func("/hosts/threads", test_one_question_for_many_workers);
    return g_test_run();
}
