/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The window of message ids: [MS-SMB2] 3.3.1.1, 3.3.1.2. */
#include "smb2-credits.h"

typedef Smb2Credits Credits;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Credits, smb2_credits_free)

static gboolean
take(Credits *c, uint64_t id, uint32_t n)
{
    gboolean cancelled;
    gboolean ok = smb2_credits_take(c, id, n, &cancelled);
    g_assert_false(cancelled);
    return ok;
}

static void
each_id_once(void)
{
    g_autoptr(Credits) c = smb2_credits_new(64);
    g_assert_false(take(c, 1, 1));
    g_assert_true(take(c, 0, 1));
    g_assert_false(take(c, 0, 1));
    g_assert_cmpuint(smb2_credits_grant(c, 3), ==, 3);
    g_assert_true(take(c, 3, 1));
    g_assert_true(take(c, 1, 1));
    g_assert_false(take(c, 3, 1));
    g_assert_true(take(c, 2, 1));
    g_assert_false(take(c, 4, 1));
    g_assert_false(take(c, UINT64_MAX, 1));
}

static void
never_without_any(void)
{
    g_autoptr(Credits) c = smb2_credits_new(64);
    g_assert_true(take(c, 0, 1));
    g_assert_cmpuint(smb2_credits_grant(c, 0), ==, 1);
    g_assert_cmpuint(smb2_credits_grant(c, 0), ==, 0);
}

static void
bounded(void)
{
    g_autoptr(Credits) c = smb2_credits_new(64);
    g_assert_cmpuint(smb2_credits_grant(c, 65535), ==, 63);
    g_assert_cmpuint(smb2_credits_grant(c, 65535), ==, 0);
    /* A skipped id holds the window back, however many others are used. */
    for (uint64_t id = 1; id < 64; id++)
        g_assert_true(take(c, id, 1));
    g_assert_cmpuint(smb2_credits_grant(c, 65535), ==, 0);
    g_assert_true(take(c, 0, 1));
    g_assert_cmpuint(smb2_credits_grant(c, 65535), ==, 64);
}

static void
charges(void)
{
    g_autoptr(Credits) c = smb2_credits_new(64);
    smb2_credits_grant(c, 20);
    g_assert_true(take(c, 4, 8));
    g_assert_false(take(c, 0, 5));
    g_assert_false(take(c, 15, 7));
    g_assert_false(take(c, 2, UINT32_MAX));
    g_assert_true(take(c, 0, 4));
    g_assert_true(take(c, 12, 9));
    g_assert_cmpuint(smb2_credits_grant(c, 0), ==, 1);
}

/* Far beyond the ring, in any order, every id goes through exactly once. */
static void
long_run(void)
{
    g_autoptr(Credits) c = smb2_credits_new(128);
    uint64_t next = 0, high = 1;
    for (int round = 0; round < 10000; round++) {
        uint64_t n = high - next;
        for (uint64_t i = 0; i < n; i++) {
            uint64_t id = next + (i ^ 1 && (i ^ 1) < n ? i ^ 1 : i);
            if (n & 1 && i >= n - 1)
                id = next + i;
            if (!take(c, id, 1))
                g_assert_false(take(c, id, 1));
        }
        for (uint64_t i = 0; i < n; i++)
            take(c, next + i, 1);
        next = high;
        high += smb2_credits_grant(c, (uint32_t)(round % 90));
        g_assert_cmpuint(c->low, ==, next);
        g_assert_cmpuint(c->high, ==, high);
    }
}

/* A CANCEL before its request is remembered for that one only; behind it, it means nothing. */
static void
early_cancels(void)
{
    g_autoptr(Credits) c = smb2_credits_new(64);
    gboolean cancelled;
    smb2_credits_grant(c, 63);
    smb2_credits_cancel(c, 64); /* not granted */
    g_assert_null(c->early);
    for (uint64_t id = 10; id < 64; id += 2)
        smb2_credits_cancel(c, id);
    g_assert_true(take(c, 0, 1));
    smb2_credits_cancel(c, 0); /* it is over */
    g_assert_true(take(c, 1, 8));
    smb2_credits_cancel(c, 5);
    for (uint64_t id = 9; id < 64; id++) {
        g_assert_true(smb2_credits_take(c, id, 1, &cancelled));
        g_assert_cmpint(cancelled, ==, id % 2 == 0);
        g_assert_false(smb2_credits_take(c, id, 1, &cancelled));
        g_assert_false(cancelled);
        smb2_credits_cancel(c, id);
    }
    /* The ring has come round: nothing of before is left. */
    g_assert_cmpuint(smb2_credits_grant(c, 64), ==, 64);
    smb2_credits_cancel(c, 65);
    g_assert_true(take(c, 64, 4)); /* an id in the middle of a charge is no request's */
    for (uint64_t id = 68; id < 128; id++)
        g_assert_true(take(c, id, 1));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/smb2-credits/once", each_id_once);
    g_test_add_func("/smb2-credits/never-none", never_without_any);
    g_test_add_func("/smb2-credits/bounded", bounded);
    g_test_add_func("/smb2-credits/charges", charges);
    g_test_add_func("/smb2-credits/long-run", long_run);
    g_test_add_func("/smb2-credits/early-cancels", early_cancels);
    return g_test_run();
}
