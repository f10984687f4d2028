/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* NTLM from the client's side, written down a second time: logins that work and every way of getting them wrong. */
#include "ntlm-crypto.h"
#include "ntlm-provider.h"

#include <string.h>

#define PASSWORD "Password"

/* ---- Primitives, with the answers of RFC 1320 A.5 and [MS-NLMP] 4.2.4 ------------------------------------------- */

static void
assert_hex(const uint8_t *bytes, size_t len, const char *hex)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (size_t i = 0; i < len; i++)
        g_string_append_printf(text, "%02x", bytes[i]);
    g_assert_cmpstr(text->str, ==, hex);
}

static void
test_primitives(void)
{
    static const char *const rows[][2] = {
        {"", "31d6cfe0d16ae931b73c59d7e0c089c0"},
        {"abc", "a448017aaf21d8525fc10ae87aa6729d"},
        {"message digest", "d9130a8164549fe818874806e1c7014b"},
        {"12345678901234567890123456789012345678901234567890123456789012345678901234567890",
         "e33b4ddc9c38f2199c3e7b164fcc0536"},
    };
    static const uint8_t base[16] = {0x8d, 0xe4, 0x0c, 0xca, 0xdb, 0xc1, 0x4a, 0x82,
                                     0xf1, 0x5c, 0xb0, 0xad, 0x0d, 0xe9, 0x5c, 0xa3};
    uint8_t digest[16], hash[16], random[16];
    size_t len;
    NtlmRc4 rc4;

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        ntlm_md4((const uint8_t *)rows[i][0], strlen(rows[i][0]), digest);
        assert_hex(digest, 16, rows[i][1]);
    }
    g_assert_true(ntlm_hash(PASSWORD, hash));
    assert_hex(hash, 16, "a4f49c406510bdcab6824ee7c30fd852");
    g_autofree uint8_t *domain = ntlm_utf16("Domain", &len);
    g_assert_true(ntlm_owf2(hash, "User", domain, len, digest));
    assert_hex(digest, 16, "0c868a403bfd7a93a3001ef22ef02e3f");
    memset(random, 0x55, sizeof random);
    ntlm_rc4_init(&rc4, base, sizeof base);
    ntlm_rc4(&rc4, random, random, sizeof random);
    assert_hex(random, 16, "c5dad2544fc9799094ce1ce90bc9d03e");
}

/* ---- A server, and a client that can be made to misbehave ------------------------------------------------------- */

static LaresStatus
find(const char *user, uint8_t hash[16], gpointer data)
{
    if (g_str_equal(user, "carol"))
        return LARES_ACCESS;
    if (!g_str_equal(user, "ada"))
        return LARES_NOENT;
    ntlm_hash(PASSWORD, hash);
    return LARES_OK;
}

static LaresNtlmProvider *
provider_new(gboolean guest)
{
    LaresNtlmProvider *p = lares_ntlm_provider_new();
    lares_ntlm_provider_configure(
        p, &(NtlmConfig){.host = "nas.home.lan", .domain = "home.lan", .guest = guest, .find = find});
    return p;
}

typedef struct {
    const char *user, *password, *computer; /* computer: what the client answers to; NULL: the server's own */
    gboolean v1, no_ess, no_exchange, no_mic, bad_mic, short_key, empty;
    gboolean drop_mic_flag; /* on the way, after the proof */
    gboolean no_end;        /* of the list of names */
    uint32_t more_flags;
    /* What came of it: */
    LaresAuthContext *context;
    LaresAuthState state;
    char *reason;
    uint8_t key[16];
} Client;

#define ASKED                                                                                                          \
    (NTLM_UNICODE | NTLM_TARGET | NTLM_SIGN | NTLM_NTLM | NTLM_ALWAYS_SIGN | NTLM_ESS | NTLM_128 | NTLM_KEY_EXCH)

static void
put(GByteArray *out, uint64_t v, int n)
{
    for (int i = 0; i < n; i++) {
        const uint8_t b = i < 8 ? (uint8_t)(v >> (8 * i)) : 0;
        g_byte_array_append(out, &b, 1);
    }
}

static void
put_pair(GByteArray *out, uint16_t id, const void *value, size_t len)
{
    put(out, id, 2);
    put(out, len, 2);
    g_byte_array_append(out, value, (guint)len);
}

static GByteArray *
negotiate_message(const Client *c)
{
    GByteArray *out = g_byte_array_new();
    g_byte_array_append(out, (const uint8_t *)"NTLMSSP", 8);
    put(out, 1, 4);
    put(out, ASKED & ~(c->no_ess ? NTLM_ESS : 0) & ~(c->no_exchange ? NTLM_KEY_EXCH : 0), 4);
    put(out, 0, 16);
    return out;
}

/* What an NTLMv2 client adds to its proof. */
static GByteArray *
client_data(const Client *c)
{
    GByteArray *out = g_byte_array_new();
    size_t len;
    g_autofree uint8_t *computer = ntlm_utf16(c->computer ? c->computer : "NAS", &len);
    put(out, 0x0101, 8);
    put(out, 0, 8);
    put(out, UINT64_C(0xaaaaaaaaaaaaaaaa), 8);
    put(out, 0, 4);
    put_pair(out, NTLM_AV_NB_COMPUTER, computer, len);
    if (!c->no_mic)
        put_pair(out, NTLM_AV_FLAGS, "\2\0\0", 4);
    if (!c->no_end)
        put(out, 0, 4);
    return out;
}

static void
put_fields(GByteArray *out, const NtlmField *fields, size_t n, uint32_t flags)
{
    uint32_t at = NTLM_MIC_AT + 16;
    g_byte_array_append(out, (const uint8_t *)"NTLMSSP", 8);
    put(out, 3, 4);
    for (size_t i = 0; i < n; i++) {
        put(out, fields[i].len, 2);
        put(out, fields[i].len, 2);
        put(out, at, 4);
        at += (uint32_t)fields[i].len;
    }
    put(out, flags, 4);
    put(out, 0, 8 + 16);
    for (size_t i = 0; i < n; i++)
        g_byte_array_append(out, fields[i].at, (guint)fields[i].len);
}

static GByteArray *
authenticate_message(Client *c, GByteArray *first, GBytes *challenge)
{
    uint8_t hash[16], owf[16], session[16];
    size_t user_len, domain_len, data_len, challenge_len;
    const uint8_t *sent = g_bytes_get_data(challenge, &challenge_len);
    g_autofree uint8_t *user = ntlm_utf16(c->user, &user_len), *domain = ntlm_utf16("WORKGROUP", &domain_len);
    g_autoptr(GByteArray) data = client_data(c);
    g_autoptr(GByteArray) nt = g_byte_array_new();
    GByteArray *out = g_byte_array_new();
    NtlmRc4 rc4;

    data_len = data->len;
    g_byte_array_set_size(nt, 16);
    g_byte_array_append(nt, data->data, (guint)data_len);
    ntlm_hash(c->password, hash);
    ntlm_owf2(hash, c->user, domain, domain_len, owf);
    ntlm_hmac(owf, (const NtlmPiece[]){{sent + 24, 8}, {data->data, data_len}}, 2, nt->data);
    ntlm_hmac(owf, (const NtlmPiece[]){{nt->data, 16}}, 1, c->key);
    if (c->v1)
        g_byte_array_set_size(nt, 24);
    if (!c->no_exchange) {
        uint8_t chosen[16] = "chosen by client";
        ntlm_rc4_init(&rc4, c->key, 16);
        ntlm_rc4(&rc4, chosen, session, 16);
        memcpy(c->key, "chosen by client", 16);
    }
    const NtlmField fields[] = {
        {nt->data, 0},        {nt->data, c->empty ? 0 : nt->len},
        {domain, domain_len}, {user, user_len},
        {domain, 0},          {session, c->no_exchange || c->empty ? 0 : c->short_key ? 8 : 16}};
    uint32_t flags = (ASKED & ~(c->no_ess ? NTLM_ESS : 0) & ~(c->no_exchange ? NTLM_KEY_EXCH : 0)) | c->more_flags;
    put_fields(out, fields, G_N_ELEMENTS(fields), flags);
    if (!c->no_mic)
        ntlm_hmac(c->key, (const NtlmPiece[]){{first->data, first->len}, {sent, challenge_len}, {out->data, out->len}},
                  3, out->data + NTLM_MIC_AT);
    out->data[NTLM_MIC_AT] ^= c->bad_mic ? 1 : 0;
    if (c->drop_mic_flag) { /* the flags pair stands before the last four bytes of the data */
        memset(out->data + NTLM_MIC_AT, 0, 16);
        out->data[NTLM_MIC_AT + 16 + 16 + data_len - 8] = 0;
    }
    return out;
}

static void
run(LaresNtlmProvider *p, Client *c)
{
    const LaresPeer from = {.address = "192.0.2.1"};
    g_autoptr(GByteArray) first = negotiate_message(c);
    g_autoptr(GBytes) challenge = NULL, last = NULL;
    g_autoptr(GError) error = NULL;

    c->context = lares_auth_provider_accept(LARES_AUTH_PROVIDER(p), "cifs", &from, &error);
    g_assert_no_error(error);
    c->state = lares_auth_context_step(c->context, first->data, first->len, &challenge, &c->reason);
    g_assert_cmpint(c->state, ==, LARES_AUTH_CONTINUE);
    g_autoptr(GByteArray) answer = authenticate_message(c, first, challenge);
    c->state = lares_auth_context_step(c->context, answer->data, answer->len, &last, &c->reason);
    g_assert_null(last);
    g_assert_true((c->state == LARES_AUTH_ESTABLISHED) == (lares_auth_context_get_peer(c->context) != NULL));
    g_assert_true((c->state == LARES_AUTH_FAILED) == (c->reason != NULL));
}

static void
client_end(Client *c)
{
    g_object_unref(c->context);
    g_free(c->reason);
}

/* ---- Logins ----------------------------------------------------------------------------------------------------- */

static void
test_login(void)
{
    g_autoptr(LaresNtlmProvider) p = provider_new(FALSE);
    static const Client rows[] = {
        {.user = "ada"}, {.user = "ADA"}, {.user = "ada", .no_exchange = TRUE}, {.user = "ada", .no_mic = TRUE}};
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        Client c = rows[i];
        c.password = PASSWORD;
        run(p, &c);
        g_assert_cmpstr(c.reason, ==, NULL);
        g_assert_cmpstr(lares_auth_context_get_peer(c.context)->principal, ==, "ada");
        GBytes *key = lares_auth_context_get_session_key(c.context);
        g_assert_cmpmem(g_bytes_get_data(key, NULL), g_bytes_get_size(key), c.key, 16);
        client_end(&c);
    }
}

/* 3.4.4.2, from the other end. */
static void
test_mic(void)
{
    g_autoptr(LaresNtlmProvider) p = provider_new(FALSE);
    static const char sign[] = "session key to client-to-server signing key magic constant";
    static const char seal[] = "session key to client-to-server sealing key magic constant";
    Client c = {.user = "ada", .password = PASSWORD};
    uint8_t sign_key[16], seal_key[16], mic[16] = {1}, digest[16], own[64];
    size_t own_len = sizeof own;
    NtlmRc4 rc4;
    const struct iovec text = {(char *)"list of mechanisms", 18}, other = {(char *)"list of mechanismz", 18};

    run(p, &c);
    ntlm_md5(c.key, 16, sign, sizeof sign, sign_key);
    ntlm_md5(c.key, 16, seal, sizeof seal, seal_key);
    ntlm_rc4_init(&rc4, seal_key, 16);
    for (uint8_t seq = 0; seq < 3; seq++) {
        mic[12] = seq;
        ntlm_hmac(sign_key, (const NtlmPiece[]){{mic + 12, 4}, {text.iov_base, text.iov_len}}, 2, digest);
        ntlm_rc4(&rc4, digest, mic + 4, 8);
        g_assert_cmpint(lares_auth_context_verify_mic(c.context, seq < 2 ? &text : &other, 1, mic, 16), ==,
                        seq < 2 ? LARES_OK : LARES_ACCESS);
    }
    g_assert_cmpint(lares_auth_context_verify_mic(c.context, &text, 1, mic, 15), ==, LARES_ACCESS);
    g_assert_cmpint(lares_auth_context_get_mic(c.context, &text, 1, own, &own_len), ==, LARES_OK);
    g_assert_cmpuint(own_len, ==, 16);
    client_end(&c);
}

static void
test_guests(void)
{
    for (int guest = 0; guest < 2; guest++) {
        g_autoptr(LaresNtlmProvider) p = provider_new(guest);
        Client nobody = {.user = "", .password = "", .empty = TRUE}, stranger = {.user = "zoe", .password = "x"};
        Client *both[] = {&nobody, &stranger};
        for (int i = 0; i < 2; i++) {
            run(p, both[i]);
            g_assert_cmpint(both[i]->state, ==, guest ? LARES_AUTH_ESTABLISHED : LARES_AUTH_FAILED);
            if (guest) {
                const LaresAuthPeer *peer = lares_auth_context_get_peer(both[i]->context);
                g_assert_true(peer->anonymous);
                g_assert_cmpstr(peer->principal, ==, NULL);
                g_assert_null(lares_auth_context_get_session_key(both[i]->context));
                g_assert_cmpuint(lares_auth_context_mic_size(both[i]->context), ==, 0);
            }
            client_end(both[i]);
        }
    }
}

/* ---- Refusals: never as a guest instead ------------------------------------------------------------------------- */

static void
test_refusals(void)
{
    static const struct {
        Client client;
        const char *word;
    } rows[] = {
        {{.user = "ada", .password = "password"}, "wrong password"},
        {{.user = "ada", .password = ""}, "wrong password"},
        {{.user = "ada", .password = PASSWORD, .v1 = TRUE}, "NTLMv1"},
        {{.user = "ada", .password = PASSWORD, .empty = TRUE}, "NTLMv1"},
        {{.user = "ada", .password = PASSWORD, .no_ess = TRUE}, "agreed"},
        {{.user = "ada", .password = PASSWORD, .more_flags = NTLM_LM_KEY}, "agreed"},
        {{.user = "ada", .password = PASSWORD, .more_flags = NTLM_SEAL}, "agreed"},
        {{.user = "ada", .password = PASSWORD, .computer = "OTHER"}, "another server"},
        {{.user = "ada", .password = PASSWORD, .bad_mic = TRUE}, "MIC"},
        {{.user = "ada", .password = PASSWORD, .drop_mic_flag = TRUE}, "wrong password"},
        {{.user = "ada", .password = PASSWORD, .short_key = TRUE}, "session key"},
        {{.user = "carol", .password = PASSWORD}, "not switched on"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(LaresNtlmProvider) p = provider_new(TRUE);
        Client c = rows[i].client;
        run(p, &c);
        g_assert_cmpint(c.state, ==, LARES_AUTH_FAILED);
        g_test_message("%s", c.reason);
        g_assert_nonnull(strstr(c.reason, rows[i].word));
        g_assert_null(lares_auth_context_get_session_key(c.context));
        client_end(&c);
    }
}

/* What is no message is told apart from a login that failed: SMB has another status for it. */
static void
test_malformed(void)
{
    static const struct {
        Client client;
        uint32_t major; /* RFC 2744 5.1 */
    } rows[] = {{{.user = "ada", .password = PASSWORD}, 0},
                {{.user = "ada", .password = "password"}, 13u << 16},
                {{.user = "ada", .password = PASSWORD, .no_end = TRUE}, 9u << 16},
                {{.user = "ada", .password = "password", .no_end = TRUE}, 9u << 16}};
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(LaresNtlmProvider) p = provider_new(TRUE);
        Client c = rows[i].client;
        uint32_t major, minor;
        run(p, &c);
        lares_auth_context_get_gss_status(c.context, &major, &minor);
        g_assert_cmphex(major, ==, rows[i].major);
        g_assert_cmpint(c.state, ==, rows[i].major ? LARES_AUTH_FAILED : LARES_AUTH_ESTABLISHED);
        client_end(&c);
    }
    g_autoptr(LaresNtlmProvider) p = provider_new(TRUE);
    const LaresPeer from = {.address = "192.0.2.1"};
    g_autoptr(LaresAuthContext) context = lares_auth_provider_accept(LARES_AUTH_PROVIDER(p), "cifs", &from, NULL);
    g_autoptr(GBytes) answer = NULL;
    g_autofree char *reason = NULL;
    uint32_t major, minor;
    g_assert_cmpint(lares_auth_context_step(context, (const uint8_t *)"NTLMSSP\0\1", 9, &answer, &reason), ==,
                    LARES_AUTH_FAILED);
    lares_auth_context_get_gss_status(context, &major, &minor);
    g_assert_cmphex(major, ==, 9u << 16);
}

/* Guessing is slowed down, for one user from one address. */
static void
test_guessing(void)
{
    g_autoptr(LaresNtlmProvider) p = provider_new(FALSE);
    for (int i = 0; i < 12; i++) {
        Client c = {.user = "ada", .password = i < 10 ? "guess" : PASSWORD};
        run(p, &c);
        g_assert_nonnull(strstr(c.reason, i < 10 ? "wrong password" : "too many"));
        client_end(&c);
    }
    g_assert_true(lares_ntlm_provider_may_try(p, "ada", "192.0.2.2"));
    g_assert_true(lares_ntlm_provider_may_try(p, "bob", "192.0.2.1"));
}

static void
test_not_for_http(void)
{
    g_autoptr(LaresNtlmProvider) p = provider_new(TRUE);
    const LaresPeer from = {.address = "192.0.2.1"};
    g_assert_null(lares_auth_provider_accept(LARES_AUTH_PROVIDER(p), "HTTP", &from, NULL));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ntlm/primitives", test_primitives);
    g_test_add_func("/ntlm/login", test_login);
    g_test_add_func("/ntlm/mic", test_mic);
    g_test_add_func("/ntlm/guests", test_guests);
    g_test_add_func("/ntlm/refuses", test_refusals);
    g_test_add_func("/ntlm/malformed", test_malformed);
    g_test_add_func("/ntlm/guessing", test_guessing);
    g_test_add_func("/ntlm/not-for-http", test_not_for_http);
    return g_test_run();
}
