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

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/connection/late-for-the-one-before", test_late_for_the_one_before);
    return g_test_run();
}
