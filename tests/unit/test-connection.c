/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A connection's memory is used again: what was meant for the one before must not begin to work on the new one. */
#include "net/net-private.h"

#include <sys/epoll.h>

static void
test_late_for_the_one_before(void)
{
    const LaresService service = {.max_in_flight = 8};
    g_autofree LaresNet *net = g_new0(LaresNet, 1);
    LaresConnection c = {.net = net, .service = &service, .alive = TRUE, .ref = 2};
    g_mutex_init(&c.lock);

    /* The protocol has not been told of it yet, so it has no data to serve requests with. */
    g_assert_false(lares_connection_enter(&c, EPOLLIN));
    g_assert_false(lares_connection_take_over(&c));
    g_assert_false(c.readable);
    g_assert_cmpint(c.ref, ==, 2);

    c.welcomed = TRUE;
    g_assert_true(lares_connection_enter(&c, EPOLLIN));
    g_assert_true(c.readable);
    c.readable = FALSE;
    g_assert_true(lares_connection_take_over(&c));
    g_assert_cmpint(c.ref, ==, 4);

    c.alive = FALSE;
    g_assert_false(lares_connection_enter(&c, EPOLLIN));
    g_assert_false(lares_connection_take_over(&c));
    g_mutex_clear(&c.lock);
}

/* When memory is given back: work so far at each tick of five seconds. */
static void
test_calm(void)
{
    static const struct {
        const char *what;
        guint64 more;
        gboolean trim;
    } ticks[] = {{"at the start", 0, TRUE},
                 {"nothing", 0, FALSE},
                 {"a little", 3, FALSE},
                 {"busy", 5000, FALSE},
                 {"busy", 20, FALSE},
                 {"little enough", 19, TRUE},
                 {"still little", 19, FALSE},
                 {"nothing", 0, FALSE},
                 {"one request at a time", 1, FALSE},
                 {"and another one", 1, FALSE},
                 {"busy", 100000, FALSE},
                 {"one request", 1, TRUE},
                 {"counted late: less", -1, FALSE}};
    LaresCalm calm = {0};
    guint64 work = 0;
    for (guint i = 0; i < G_N_ELEMENTS(ticks); i++) {
        work += ticks[i].more;
        g_test_message("%s", ticks[i].what);
        g_assert_cmpint(lares_calm_step(&calm, work, 5), ==, ticks[i].trim);
    }
    /* However slow it comes: every so much work. */
    guint trims = 0;
    calm.trimmed = work;
    for (guint i = 0; i < 1000; i++)
        trims += lares_calm_step(&calm, work += 10, 5);
    g_assert_cmpuint(trims, ==, 10);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/connection/late-for-the-one-before", test_late_for_the_one_before);
    g_test_add_func("/net/calm", test_calm);
    return g_test_run();
}
