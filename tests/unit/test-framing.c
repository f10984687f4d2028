/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Cutting streams into records: both framings, fragments, all ways of arriving in pieces. */
#include "net/framing.h"

typedef struct {
    uint8_t bytes[4096];
    size_t len;
} Stream;

static void
put(Stream *s, uint32_t header, const void *bytes, size_t n)
{
    header = GUINT32_TO_BE(header);
    memcpy(s->bytes + s->len, &header, 4);
    if (n)
        memcpy(s->bytes + s->len + 4, bytes, n);
    s->len += 4 + n;
}

/* Feeds the stream `step` bytes at a time; returns the records joined by '|', or ends with "BAD". */
static char *
run(const Stream *s, LaresFraming framing, size_t max, size_t step)
{
    GString *out = g_string_new(NULL);
    uint8_t buffer[8192];
    LaresFrames f = {.base = buffer};
    size_t fed = 0;
    for (;;) {
        uint8_t *record;
        size_t len, need = 0;
        LaresFrameResult r = lares_frames_next(&f, framing, max, &record, &len, &need);
        if (r == LARES_FRAME_RECORD) {
            g_string_append_len(out, (char *)record, (gssize)len);
            g_string_append_c(out, '|');
            continue;
        }
        if (r == LARES_FRAME_BAD) {
            g_string_append(out, "BAD");
            break;
        }
        g_assert_cmpuint(need, >, 0);
        g_assert_false(lares_frames_pending(&f));
        if (fed == s->len)
            break;
        if (fed % 3 == 0)
            lares_frames_move(&f, buffer);
        size_t n = MIN(step, s->len - fed);
        memcpy(buffer + f.end, s->bytes + fed, n);
        f.end += n;
        fed += n;
    }
    return g_string_free(out, FALSE);
}

static void
check(const Stream *s, LaresFraming framing, size_t max, const char *expected)
{
    for (size_t step = 1; step <= s->len; step++) {
        g_autofree char *got = run(s, framing, max, step);
        g_assert_cmpstr(got, ==, expected);
    }
}

static void
test_rpc(void)
{
    Stream s = {0};
    put(&s, 0x80000003, "one", 3);
    put(&s, 0x80000000, "", 0); /* an empty record is nothing */
    put(&s, 0x00000002, "tw", 2);
    put(&s, 0x00000000, "", 0);
    put(&s, 0x00000001, "o", 1);
    put(&s, 0x80000003, "+++", 3);
    put(&s, 0x80000005, "three", 5);
    put(&s, 0x00000002, "xy", 2); /* never ends */
    check(&s, LARES_FRAMING_RPC, 100, "one|two+++|three|");
}

static void
test_rpc_limit(void)
{
    Stream s = {0};
    put(&s, 0x80000008, "12345678", 8);
    check(&s, LARES_FRAMING_RPC, 8, "12345678|");
    put(&s, 0x80000009, "123456789", 9);
    check(&s, LARES_FRAMING_RPC, 8, "12345678|BAD");

    Stream fragments = {0};
    put(&fragments, 0x00000005, "12345", 5);
    put(&fragments, 0x80000004, "6789", 4);
    check(&fragments, LARES_FRAMING_RPC, 8, "BAD");
    check(&fragments, LARES_FRAMING_RPC, 9, "123456789|");
}

static void
test_direct_tcp(void)
{
    Stream s = {0};
    put(&s, 3, "one", 3);
    put(&s, 2, "it", 2);
    check(&s, LARES_FRAMING_DIRECT_TCP, 100, "one|it|");
    put(&s, 0x85000000, "", 0); /* NetBIOS keep-alive: not on this port */
    check(&s, LARES_FRAMING_DIRECT_TCP, 100, "one|it|BAD");
}

/* A header that announces the most must not be believed before the bytes are there. */
static void
test_lies(void)
{
    Stream s = {0};
    put(&s, 0xffffffff, "x", 1);
    check(&s, LARES_FRAMING_RPC, 1 << 20, "BAD");
    check(&s, LARES_FRAMING_DIRECT_TCP, 1 << 20, "BAD");
    Stream t = {0};
    put(&t, 0x80100000, "x", 1);
    check(&t, LARES_FRAMING_RPC, 1 << 20, "");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/framing/rpc", test_rpc);
    g_test_add_func("/framing/rpc-limit", test_rpc_limit);
    g_test_add_func("/framing/direct-tcp", test_direct_tcp);
    g_test_add_func("/framing/lies", test_lies);
    return g_test_run();
}
