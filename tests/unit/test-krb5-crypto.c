/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Published vectors of the AES profiles, and tokens that must be refused.
 *
 * Spec: RFC 3962 appendix B, RFC 8009 appendix A, RFC 4121 4.2. */
#include "krb5-crypto.h"
#include "krb5-message.h"

#include <gio/gio.h>
#include <string.h>

static size_t
unhex(const char *hex, uint8_t *out)
{
    size_t n = strlen(hex) / 2;

    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)(g_ascii_xdigit_value(hex[2 * i]) << 4 | g_ascii_xdigit_value(hex[2 * i + 1]));
    return n;
}

/* ---- RFC 3962 appendix B: ciphertext stealing, zero IV ---- */

static const struct {
    size_t len;
    const char *cipher;
} stealing[] = {
    {17, "c6353568f2bf8cb4d8a580362da7ff7f97"},
    {31, "fc00783e0efdb2c1d445d4c8eff7ed2297687268d6ecccc0c07b25e25ecfe5"},
    {32, "39312523a78662d5be7fcbcc98ebf5a897687268d6ecccc0c07b25e25ecfe584"},
    {47, "97687268d6ecccc0c07b25e25ecfe584b3fffd940c16a18c1b5549d2f838029e"
         "39312523a78662d5be7fcbcc98ebf5"},
    {48, "97687268d6ecccc0c07b25e25ecfe5849dad8bbb96c4cdc03bc103e1a194bbd8"
         "39312523a78662d5be7fcbcc98ebf5a8"},
    {64, "97687268d6ecccc0c07b25e25ecfe58439312523a78662d5be7fcbcc98ebf5a8"
         "4807efe836ee89a526730dbc2f7bc8409dad8bbb96c4cdc03bc103e1a194bbd8"},
};

static void
test_stealing(void)
{
    static const char text[] = "I would like the General Gau's Chicken, please, and wonton soup.";
    uint8_t protocol_key[16] = "another key here", out[64 + KRB5_MAX_SUM], want[64];
    Krb5SealKey key;

    g_assert_true(krb5_seal_key_init(&key, krb5_enctype_find(17), protocol_key, 22));
    memcpy(key.ke, "chicken teriyaki", 16);
    for (size_t i = 0; i < G_N_ELEMENTS(stealing); i++) {
        struct iovec piece = {(char *)text, stealing[i].len};

        g_assert_cmpuint(unhex(stealing[i].cipher, want), ==, stealing[i].len);
        g_assert_true(krb5_seal(&key, &piece, 1, stealing[i].len, out));
        g_assert_cmpmem(out, stealing[i].len, want, stealing[i].len);
        g_assert_cmpint(krb5_open(&key, out, stealing[i].len), ==, KRB5_OPEN_OK);
        g_assert_cmpmem(out, stealing[i].len, text, stealing[i].len);
    }
}

/* ---- RFC 8009 appendix A, key usage 2 ---- */

static const struct {
    int enctype;
    const char *key, *kc, *ke, *ki, *checksum;
} sha2_keys[] = {
    {19, "3705D96080C17728A0E800EAB6E0D23C", "B31A018A48F54776F403E9A396325DC3", "9B197DD1E8C5609D6E67C3E37C62C72E",
     "9FDA0E56AB2D85E1569A688696C26A6C", "D78367186643D67B411CBA9139FC1DEE"},
    {20, "6D404D37FAF79F9DF0D33568D320669800EB4836472EA8A026D16B7182460C52",
     "EF5718BE86CC84963D8BBB5031E9F5C4BA41F28FAF69E73D",
     "56AB22BEE63D82D7BC5227F6773F8EA7A5EB1C825160C38312980C442E5C7E49",
     "69B16514E3CD8E56B82010D5C73012B622C4D00FFC23ED1F", "45EE791567EEFCA37F4AC1E0222DE80D43C3BFA06699672A"},
};

static const struct {
    int which;
    const char *confounder;
    size_t len; /* of the plaintext 00 01 02 ... */
    const char *cipher;
} sha2_messages[] = {
    {0, "7BCA285E2FD4130FB55B1A5C83BC5B24", 6,
     "84D7F30754ED987BAB0BF3506BEB09CFB55402CEF7E6877CE99E247E52D16ED4421DFDF8976C"},
    {0, "56AB21713FF62C0A1457200F6FA9948F", 16,
     "3517D640F50DDC8AD3628722B3569D2AE07493FA8263254080EA65C1008E8FC2"
     "95FB4852E7D83E1E7C48C37EEBE6B0D3"},
    {0, "A7A4E29A4728CE10664FB64E49AD3FAC", 21,
     "720F73B18D9859CD6CCB4346115CD336C70F58EDC0C4437C5573544C31C813BC"
     "E1E6D072C186B39A413C2F92CA9B8334A287FFCBFC"},
    {1, "B80D3251C1F6471494256FFE712D0B9A", 6,
     "4ED7B37C2BCAC8F74F23C1CF07E62BC7B75FB3F637B9F559C7F664F69EAB7B60"
     "92237526EA0D1F61CB20D69D10F2"},
    {1, "53BF8A0D105265D4E276428624CE5E63", 16,
     "BC47FFEC7998EB91E8115CF8D19DAC4BBBE2E163E87DD37F49BECA92027764F6"
     "8CF51F14D798C2273F35DF574D1F932E40C4FF255B36A266"},
    {1, "763E65367E864F02F55153C7E3B58AF1", 21,
     "40013E2DF58E8751957D2878BCD2D6FE101CCFD556CB1EAE79DB3C3EE86429F2"
     "B2A602AC86FEF6ECB647D6295FAE077A1FEB517508D2C16B4192E01F62"},
};

static void
derives(const Krb5Enctype *e, const uint8_t *key, uint8_t octet, const char *want_hex)
{
    uint8_t got[KRB5_MAX_KEY], want[KRB5_MAX_KEY];
    size_t n = krb5_derive(e, key, 2, octet, got);

    g_assert_cmpuint(n, ==, unhex(want_hex, want));
    g_assert_cmpmem(got, n, want, n);
}

static void
test_sha2_keys(void)
{
    uint8_t key[KRB5_MAX_KEY], text[21], sum[KRB5_MAX_SUM], want[KRB5_MAX_SUM];

    for (uint8_t i = 0; i < sizeof text; i++)
        text[i] = i;
    for (size_t i = 0; i < G_N_ELEMENTS(sha2_keys); i++) {
        const Krb5Enctype *e = krb5_enctype_find(sha2_keys[i].enctype);
        Krb5MacKey kc;
        Krb5Mac mac;

        unhex(sha2_keys[i].key, key);
        derives(e, key, 0x99, sha2_keys[i].kc);
        derives(e, key, 0xAA, sha2_keys[i].ke);
        derives(e, key, 0x55, sha2_keys[i].ki);
        g_assert_true(krb5_sum_key_init(&kc, e, key, 2));
        krb5_mac_start(&mac, &kc);
        krb5_mac_update(&mac, text, 5);
        krb5_mac_update(&mac, text + 5, sizeof text - 5);
        krb5_mac_finish(&mac, &kc, sum);
        g_assert_cmpmem(sum, e->sum_len, want, unhex(sha2_keys[i].checksum, want));
    }
}

static void
test_sha2_messages(void)
{
    uint8_t protocol_key[KRB5_MAX_KEY], conf[16], text[21], want[96], got[96];

    for (uint8_t i = 0; i < sizeof text; i++)
        text[i] = i;
    for (size_t i = 0; i < G_N_ELEMENTS(sha2_messages); i++) {
        int which = sha2_messages[i].which;
        size_t len = sha2_messages[i].len;
        struct iovec pieces[] = {{conf, sizeof conf}, {text, len / 2}, {text + len / 2, len - len / 2}};
        Krb5SealKey key;

        unhex(sha2_keys[which].key, protocol_key);
        unhex(sha2_messages[i].confounder, conf);
        g_assert_true(krb5_seal_key_init(&key, krb5_enctype_find(sha2_keys[which].enctype), protocol_key, 2));
        g_assert_true(krb5_seal(&key, pieces, 3, 16 + len, got));
        size_t n = unhex(sha2_messages[i].cipher, want);
        g_assert_cmpmem(got, 16 + len + key.enctype->sum_len, want, n);
        g_assert_cmpint(krb5_open(&key, got, 16 + len), ==, KRB5_OPEN_OK);
        g_assert_cmpmem(got + 16, len, text, len);
    }
}

/* ---- refusals ---- */

typedef struct {
    Krb5Keys *initiator, *acceptor;
} Pair;

static Krb5Keys *
keys_with(int enctype, gboolean initiator, gboolean subkey, uint8_t first)
{
    uint8_t key[KRB5_MAX_KEY] = {first, 1, 2, 3};
    g_autoptr(GError) error = NULL;
    Krb5Keys *keys = krb5_keys_new(&(Krb5KeysInit){.initiator = initiator,
                                                   .acceptor_subkey = subkey,
                                                   .enctype = enctype,
                                                   .key = key,
                                                   .key_len = krb5_enctype_find(enctype)->key_len,
                                                   .send_seq = 77},
                                   &error);
    g_assert_no_error(error);
    return keys;
}

static size_t
make_token(Krb5Keys *from, gboolean sealed, uint8_t *token, size_t room, size_t len)
{
    uint8_t text[256];
    struct iovec piece = {text, len};
    size_t n;

    memset(text, 'x', sizeof text);
    g_assert_cmpint(krb5_wrap_iov(from, sealed, &piece, 1, token, room, &n), ==, KRB5_MSG_OK);
    return n;
}

static Krb5MsgStatus
open_copy(const Krb5Keys *to, const uint8_t *token, size_t n)
{
    g_autofree uint8_t *copy = g_memdup2(token, n); /* exact size: a sanitizer sees every overrun */
    uint8_t *plain;
    size_t plain_len;

    return krb5_unwrap_in_place(to, copy, n, &plain, &plain_len, NULL, NULL);
}

static void
refuses_each_bit(const Krb5Keys *to, uint8_t *token, size_t n, gboolean sealed)
{
    for (size_t bit = 0; bit < n * 8; bit++) {
        token[bit / 8] ^= (uint8_t)(1 << bit % 8);
        Krb5MsgStatus status = open_copy(to, token, n);
        token[bit / 8] ^= (uint8_t)(1 << bit % 8);

        size_t byte = bit / 8;
        if (byte < 2)
            g_assert_cmpint(status, ==, KRB5_MSG_BAD_TOKEN_ID);
        else if (bit == 16)
            g_assert_cmpint(status, ==, KRB5_MSG_BAD_DIRECTION);
        else if (bit == 18)
            g_assert_cmpint(status, ==, KRB5_MSG_BAD_SUBKEY);
        else if (byte == 2 && bit > 18)
            g_assert_cmpint(status, ==, KRB5_MSG_BAD_FLAGS);
        else if (byte == 3)
            g_assert_cmpint(status, ==, KRB5_MSG_BAD_FILLER);
        else if (byte >= 8 && byte < 16)
            g_assert_cmpint(status, ==, sealed ? KRB5_MSG_BAD_HEADER : KRB5_MSG_BAD_MIC);
        else if (byte >= 16)
            g_assert_cmpint(status, ==, KRB5_MSG_BAD_MIC);
        else if (byte == 6 || byte == 7) /* a whole turn changes nothing */
            g_assert_cmpint(status, ==,
                            (256u >> (byte - 6) * 8 << bit % 8) % (n - 16) == 0 ? KRB5_MSG_OK : KRB5_MSG_BAD_MIC);
        else
            g_assert_cmpint(status, !=, KRB5_MSG_OK);
    }
    g_assert_cmpint(open_copy(to, token, n), ==, KRB5_MSG_OK);
}

static void
test_refusals(gconstpointer data)
{
    int enctype = GPOINTER_TO_INT(data);
    g_autoptr(Krb5Keys) initiator = keys_with(enctype, TRUE, TRUE, 9);
    g_autoptr(Krb5Keys) acceptor = keys_with(enctype, FALSE, TRUE, 9);
    g_autoptr(Krb5Keys) stranger = keys_with(enctype, FALSE, TRUE, 8);
    g_autoptr(Krb5Keys) no_subkey = keys_with(enctype, FALSE, FALSE, 9);
    uint8_t token[512];

    for (int sealed = 0; sealed < 2; sealed++) {
        for (size_t len = 0; len < 40; len += 13) {
            size_t n = make_token(initiator, sealed, token, sizeof token, len);

            refuses_each_bit(acceptor, token, n, sealed);
            for (size_t cut = 0; cut < n; cut++)
                g_assert_cmpint(open_copy(acceptor, token, cut), !=, KRB5_MSG_OK);
            token[n] = 0;
            g_assert_cmpint(open_copy(acceptor, token, n + 1), !=, KRB5_MSG_OK);
            g_assert_cmpint(open_copy(initiator, token, n), ==, KRB5_MSG_BAD_DIRECTION);
            g_assert_cmpint(open_copy(stranger, token, n), ==, KRB5_MSG_BAD_MIC);
            g_assert_cmpint(open_copy(no_subkey, token, n), ==, KRB5_MSG_BAD_SUBKEY);
            memset(token + 4, 0xff, 2);
            g_assert_cmpint(open_copy(acceptor, token, n), ==, KRB5_MSG_BAD_EC);
            memset(token + 4, 0xff, 4);
            g_assert_cmpint(open_copy(acceptor, token, n), ==, KRB5_MSG_BAD_EC);
        }
    }
}

/* RRC is not protected, on purpose (RFC 4121 4.2.5): any rotation that puts the bytes back is the
 * same message, at every count up to the largest. */
static void
test_rotations(gconstpointer data)
{
    int enctype = GPOINTER_TO_INT(data);
    g_autoptr(Krb5Keys) initiator = keys_with(enctype, TRUE, FALSE, 9);
    g_autoptr(Krb5Keys) acceptor = keys_with(enctype, FALSE, FALSE, 9);
    static const unsigned counts[] = {0, 1, 12, 28, 255, 256, 257, 300, 32768, 65535};
    uint8_t token[1024], turned[1024];

    for (int sealed = 0; sealed < 2; sealed++) {
        size_t n = make_token(initiator, sealed, token, sizeof token, 256), body = n - 16;

        for (size_t i = 0; i < G_N_ELEMENTS(counts); i++) {
            memcpy(turned, token, 16);
            turned[6] = (uint8_t)(counts[i] >> 8);
            turned[7] = (uint8_t)counts[i];
            for (size_t b = 0; b < body; b++)
                turned[16 + (b + counts[i]) % body] = token[16 + b];
            g_assert_cmpint(open_copy(acceptor, turned, n), ==, KRB5_MSG_OK);
            turned[7] ^= 1;
            g_assert_cmpint(open_copy(acceptor, turned, n), ==, KRB5_MSG_BAD_MIC);
        }
    }
}

static void
test_mic_refusals(gconstpointer data)
{
    int enctype = GPOINTER_TO_INT(data);
    g_autoptr(Krb5Keys) initiator = keys_with(enctype, TRUE, TRUE, 9);
    g_autoptr(Krb5Keys) acceptor = keys_with(enctype, FALSE, TRUE, 9);
    struct iovec piece = {(char *)"a message", 9};
    uint8_t mic[KRB5_MIC_MAX + 1], wrapped[256];
    size_t n;

    g_assert_cmpint(krb5_get_mic(initiator, &piece, 1, mic, 5, &n), ==, KRB5_MSG_NO_ROOM);
    g_assert_cmpint(krb5_get_mic(initiator, &piece, 1, mic, sizeof mic, &n), ==, KRB5_MSG_OK);
    for (size_t bit = 0; bit < n * 8; bit++) {
        mic[bit / 8] ^= (uint8_t)(1 << bit % 8);
        g_assert_cmpint(krb5_verify_mic(acceptor, &piece, 1, mic, n, NULL), !=, KRB5_MSG_OK);
        mic[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t cut = 0; cut < n; cut++)
        g_assert_cmpint(krb5_verify_mic(acceptor, &piece, 1, mic, cut, NULL), ==, KRB5_MSG_TRUNCATED);
    g_assert_cmpint(krb5_verify_mic(acceptor, &piece, 1, mic, n + 1, NULL), ==, KRB5_MSG_TOO_LARGE);
    g_assert_cmpint(krb5_verify_mic(initiator, &piece, 1, mic, n, NULL), ==, KRB5_MSG_BAD_DIRECTION);
    g_assert_cmpint(open_copy(acceptor, mic, n), ==, KRB5_MSG_BAD_TOKEN_ID);
    n = make_token(initiator, FALSE, wrapped, sizeof wrapped, 0);
    g_assert_cmpint(krb5_verify_mic(acceptor, &piece, 1, wrapped, n, NULL), ==, KRB5_MSG_BAD_TOKEN_ID);
}

static void
test_other_enctypes(void)
{
    static const int others[] = {0, 1, 3, 16, 21, 23, 25, -1};
    uint8_t key[32] = {0};

    for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(krb5_keys_new(&(Krb5KeysInit){.enctype = others[i], .key = key, .key_len = 16}, &error));
        g_assert_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED);
    }
    g_autoptr(GError) error = NULL;
    g_assert_null(krb5_keys_new(&(Krb5KeysInit){.enctype = 18, .key = key, .key_len = 16}, &error));
    g_assert_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED);
}

/* ---- one pair of keys, many threads ---- */

#define ROUNDS 500

static gpointer
exchange(gpointer data)
{
    Pair *pair = data;
    uint8_t token[512], *plain;
    size_t plain_len;
    gboolean sealed;
    uint64_t seq, sum = 0;

    for (int i = 0; i < ROUNDS; i++) {
        size_t n = make_token(pair->initiator, (i & 1) != 0, token, sizeof token, (size_t)i % 256);

        g_assert_cmpint(krb5_unwrap_in_place(pair->acceptor, token, n, &plain, &plain_len, &sealed, &seq), ==,
                        KRB5_MSG_OK);
        g_assert_cmpint(sealed, ==, (i & 1) != 0);
        g_assert_cmpuint(plain_len, ==, (size_t)i % 256);
        sum += seq;
    }
    return GSIZE_TO_POINTER(sum);
}

static void
test_threads(void)
{
    Pair pair = {keys_with(18, TRUE, TRUE, 9), keys_with(18, FALSE, TRUE, 9)};
    GThread *threads[4];
    uint64_t sum = 0, want = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("exchange", exchange, &pair);
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        sum += GPOINTER_TO_SIZE(g_thread_join(threads[i]));
    for (uint64_t i = 0; i < ROUNDS * G_N_ELEMENTS(threads); i++)
        want += 77 + i;
    g_assert_cmpuint(sum, ==, want); /* each sequence number once */
    krb5_keys_unref(pair.initiator);
    krb5_keys_unref(pair.acceptor);
}

/* Messages of several contexts in turn on one thread: the cipher cache must follow. */
static void
test_interleaved(void)
{
    Krb5Keys *to[8], *from[8];
    uint8_t token[8][256];
    size_t n[8];

    for (uint8_t i = 0; i < 8; i++) {
        from[i] = keys_with(17 + i % 4, TRUE, TRUE, i);
        to[i] = keys_with(17 + i % 4, FALSE, TRUE, i);
    }
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 8; i++)
            n[i] = make_token(from[i], TRUE, token[i], sizeof token[i], 100);
        for (int i = 7; i >= 0; i--)
            g_assert_cmpint(open_copy(to[i], token[i], n[i]), ==, KRB5_MSG_OK);
    }
    for (int i = 0; i < 8; i++) {
        krb5_keys_unref(from[i]);
        krb5_keys_unref(to[i]);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/krb5-crypto/rfc3962/ciphertext-stealing", test_stealing);
    g_test_add_func("/krb5-crypto/rfc8009/keys-and-checksums", test_sha2_keys);
    g_test_add_func("/krb5-crypto/rfc8009/messages", test_sha2_messages);
    for (int e = 17; e <= 20; e++) {
        g_autofree char *refusals = g_strdup_printf("/krb5-message/refuses/enctype-%d", e);
        g_autofree char *turns = g_strdup_printf("/krb5-message/rotations/enctype-%d", e);
        g_autofree char *mics = g_strdup_printf("/krb5-message/refuses-mics/enctype-%d", e);

        g_test_add_data_func(refusals, GINT_TO_POINTER(e), test_refusals);
        g_test_add_data_func(turns, GINT_TO_POINTER(e), test_rotations);
        g_test_add_data_func(mics, GINT_TO_POINTER(e), test_mic_refusals);
    }
    g_test_add_func("/krb5-message/refuses-other-enctypes", test_other_enctypes);
    g_test_add_func("/krb5-message/threads", test_threads);
    g_test_add_func("/krb5-message/interleaved-contexts", test_interleaved);
    return g_test_run();
}
