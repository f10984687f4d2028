/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The provider as protocols use it: logins that must work and logins that must not. */
#include "krb5-fixture.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const gss_OID_desc spnego = {6, (void *)"\x2b\x06\x01\x05\x05\x02"};

/* ---- a whole login ---- */

static void
login(LaresKrb5Provider *p, int enctype, gss_OID mech, OM_uint32 flags, LaresAuthContext **server, gss_ctx_id_t *client)
{
    gss_cred_id_t cred = realm_client_cred(fixture_realm, enctype);
    gss_name_t target = realm_target(PAIR_SERVICE "@" PAIR_REALM);
    gss_buffer_desc in = GSS_C_EMPTY_BUFFER, out = GSS_C_EMPTY_BUFFER;
    g_autoptr(GBytes) answer = NULL;
    OM_uint32 major = GSS_S_CONTINUE_NEEDED, minor;
    LaresAuthState state = LARES_AUTH_CONTINUE;

    *server = accept_for(p, "nfs");
    *client = GSS_C_NO_CONTEXT;
    while (major == GSS_S_CONTINUE_NEEDED) {
        g_autofree char *reason = NULL;

        in.value = answer != NULL ? (void *)g_bytes_get_data(answer, &in.length) : NULL;
        major = gss_init_sec_context(&minor, cred, client, target, mech, flags, 0, NULL, &in, NULL, &out, NULL, NULL);
        if (GSS_ERROR(major)) {
            g_autofree char *text = gss_error_text(major, minor);
            g_error("client: %s", text);
        }
        g_clear_pointer(&answer, g_bytes_unref);
        if (out.length == 0)
            break;
        state = lares_auth_context_step(*server, out.value, out.length, &answer, &reason);
        g_assert_cmpstr(reason, ==, NULL);
        g_assert_cmpint(state, !=, LARES_AUTH_FAILED);
        gss_release_buffer(&minor, &out);
    }
    g_assert_cmpint(state, ==, LARES_AUTH_ESTABLISHED);
    gss_release_name(&minor, &target);
    gss_release_cred(&minor, &cred);
}

static void
messages_pass(LaresAuthContext *server, gss_ctx_id_t client)
{
    uint8_t buffer[512], mic[64], *plain;
    size_t head, tail, n, mic_len = sizeof mic;
    gss_buffer_desc in, out = GSS_C_EMPTY_BUFFER, text = {11, (char *)"hello lares"};
    struct iovec pieces[] = {{(char *)"hello ", 6}, {(char *)"lares", 5}};
    OM_uint32 minor;

    for (int conf = 0; conf < 2; conf++) {
        lares_auth_context_wrap_size(server, conf, text.length, &head, &tail);
        memcpy(buffer + head, text.value, text.length);
        g_assert_cmpint(lares_auth_context_wrap(server, conf, buffer + head, text.length), ==, LARES_OK);
        in = (gss_buffer_desc){head + text.length + tail, buffer};
        g_assert_cmpuint(gss_unwrap(&minor, client, &in, &out, NULL, NULL), ==, GSS_S_COMPLETE);
        g_assert_cmpmem(out.value, out.length, text.value, text.length);
        gss_release_buffer(&minor, &out);

        for (int demand = 0; demand < 2; demand++) {
            g_assert_cmpuint(gss_wrap(&minor, client, conf, 0, &text, NULL, &out), ==, GSS_S_COMPLETE);
            LaresStatus status = lares_auth_context_unwrap(server, demand, out.value, out.length, &plain, &n);
            g_assert_cmpint(status, ==, demand > conf ? LARES_ACCESS : LARES_OK);
            if (status == LARES_OK)
                g_assert_cmpmem(plain, n, text.value, text.length);
            gss_release_buffer(&minor, &out);
        }
    }
    g_assert_cmpint(lares_auth_context_get_mic(server, pieces, 2, mic, &mic_len), ==, LARES_OK);
    g_assert_cmpuint(mic_len, <=, lares_auth_context_mic_size(server));
    in = (gss_buffer_desc){mic_len, mic};
    g_assert_cmpuint(gss_verify_mic(&minor, client, &text, &in, NULL), ==, GSS_S_COMPLETE);
    g_assert_cmpuint(gss_get_mic(&minor, client, 0, &text, &out), ==, GSS_S_COMPLETE);
    g_assert_cmpint(lares_auth_context_verify_mic(server, pieces, 2, out.value, out.length), ==, LARES_OK);
    g_assert_cmpint(lares_auth_context_verify_mic(server, pieces, 1, out.value, out.length), ==, LARES_ACCESS);
    gss_release_buffer(&minor, &out);
}

static void
same_session_key(LaresAuthContext *server, gss_ctx_id_t client)
{
    gss_buffer_set_t set = GSS_C_NO_BUFFER_SET;
    GBytes *key = lares_auth_context_get_session_key(server);
    OM_uint32 minor;

    g_assert_cmpuint(gss_inquire_sec_context_by_oid(&minor, client, GSS_C_INQ_SSPI_SESSION_KEY, &set), ==,
                     GSS_S_COMPLETE);
    g_assert_cmpmem(g_bytes_get_data(key, NULL), g_bytes_get_size(key), set->elements[0].value,
                    set->elements[0].length);
    gss_release_buffer_set(&minor, &set);
}

static void
test_login(gconstpointer data)
{
    int enctype = GPOINTER_TO_INT(data);
    LaresKrb5Provider *p = provider_over(fixture_realm->keytab);
    gint64 now = g_get_real_time() / G_USEC_PER_SEC;

    g_autoptr(LaresAuthContext) server = NULL;
    gss_ctx_id_t client;
    OM_uint32 minor;

    login(p, enctype, (gss_OID)gss_mech_krb5, USUAL, &server, &client);
    const LaresAuthPeer *peer = lares_auth_context_get_peer(server);
    g_assert_cmpstr(peer->principal, ==, "alice@" PAIR_REALM);
    g_assert_cmpstr(peer->realm, ==, PAIR_REALM);
    g_assert_false(peer->machine);
    gint64 end = lares_auth_context_get_expiry(server);
    g_assert_cmpint(end, >, now + 3000);
    g_assert_cmpint(end, <, now + 3700);
    messages_pass(server, client);
    same_session_key(server, client);
    gss_delete_sec_context(&minor, &client, NULL);
    provider_end(p);
}

/* Three legs, as Windows speaks DCE style. */
static void
test_dce_login(void)
{
    LaresKrb5Provider *p = provider_over(fixture_realm->keytab);
    g_autoptr(LaresAuthContext) server = NULL;
    gss_ctx_id_t client;
    OM_uint32 minor;

    login(p, 0, (gss_OID)gss_mech_krb5, USUAL | GSS_C_DCE_STYLE, &server, &client);
    g_assert_cmpstr(lares_auth_context_get_peer(server)->principal, ==, "alice@" PAIR_REALM);
    gss_delete_sec_context(&minor, &client, NULL);
    provider_end(p);
}

/* ---- many at once ---- */

#define PER_THREAD 16

typedef struct {
    LaresKrb5Provider *provider;
    GBytes *tokens[PER_THREAD];
    struct timespec spent;
} Crowd;

static gpointer
log_in_all(gpointer data)
{
    Crowd *crowd = data;

    for (int i = 0; i < PER_THREAD; i++)
        accepted(crowd->provider, "nfs", crowd->tokens[i]);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &crowd->spent);
    return NULL;
}

/* Logins on several threads over one snapshot of the keys, while the keys are loaded again and again. */
static void
test_threads(void)
{
    Crowd crowd[4];
    GThread *threads[4];
    LaresKrb5Provider *p = provider_over(fixture_realm->keytab);

    for (size_t t = 0; t < G_N_ELEMENTS(crowd); t++) {
        crowd[t].provider = p;
        for (int i = 0; i < PER_THREAD; i++)
            crowd[t].tokens[i] = token_with((ClientRequest){.flags = USUAL});
    }
    gint64 spent = 0;
    for (size_t t = 0; t < G_N_ELEMENTS(crowd); t++)
        threads[t] = g_thread_new("login", log_in_all, &crowd[t]);
    for (int i = 0; i < 20; i++)
        lares_krb5_provider_reload(p);
    for (size_t t = 0; t < G_N_ELEMENTS(crowd); t++) {
        g_thread_join(threads[t]);
        spent += crowd[t].spent.tv_sec * 1000000 + crowd[t].spent.tv_nsec / 1000;
    }
    g_test_message("%" G_GINT64_FORMAT " us CPU per login", spent / (PER_THREAD * (gint64)G_N_ELEMENTS(crowd)));
    for (size_t t = 0; t < G_N_ELEMENTS(crowd); t++)
        for (int i = 0; i < PER_THREAD; i++)
            g_bytes_unref(crowd[t].tokens[i]);
    provider_end(p);
}

/* ---- logins that must fail ---- */

static void
test_by_hand(void)
{
    LaresKrb5Provider *p = provider_over(fixture_realm->keytab);
    g_autoptr(GBytes) good = token_with((ClientRequest){.flags = USUAL});

    accepted(p, "nfs", good); /* or the refusals below would prove nothing */
    provider_end(p);
}

static void
test_replay(void)
{
    LaresKrb5Provider *p = provider_over(fixture_realm->keytab);
    g_autoptr(GBytes) token = token_with((ClientRequest){.flags = USUAL});
    g_autoptr(GBytes) other = token_with((ClientRequest){.flags = USUAL});

    accepted(p, "nfs", token);
    accepted(p, "nfs", other);
    refused(p, "nfs", token, "replay");
    refused(p, "nfs", other, "replay");
    provider_end(p);
}

/* Two logins with one ticket have nothing of their own but their time: they are two, and each is good once. */
static void
test_plain_authenticators(void)
{
    LaresKrb5Provider *p = provider_over(fixture_realm->keytab);
    g_autoptr(GBytes) token = token_with((ClientRequest){.flags = USUAL, .plain = TRUE});
    g_autoptr(GBytes) other = token_with((ClientRequest){.flags = USUAL, .plain = TRUE});

    accepted(p, "nfs", token);
    accepted(p, "nfs", other);
    refused(p, "nfs", token, "replay");
    refused(p, "nfs", other, "replay");
    provider_end(p);
}

typedef enum { LONG_FRAME, LONG_REQUEST, TRAILING, N_DISGUISES } Disguise;

/* The same request with other bytes around it: a length of the frame, or of the request, that is longer than it has to
 * be, or something behind the end. */
static GBytes *
disguised(GBytes *token, Disguise how)
{
    enum { FRAME = 4, MECH = 11 + 2 }; /* bytes of the frame's head, and of mechanism and token id behind it */
    gsize n;
    const uint8_t *bytes = g_bytes_get_data(token, &n);
    GByteArray *copy = g_byte_array_new();
    gsize inside = n - FRAME + (how == LONG_REQUEST ? 1 : how == TRAILING ? 2 : 0);
    const uint8_t high = (uint8_t)(inside >> 8), low = (uint8_t)inside;
    const uint8_t *request = bytes + FRAME + MECH;

    g_assert_cmpuint(bytes[1], ==, 0x82);
    g_assert_cmpuint(request[0], ==, 0x6e);
    g_assert_cmpuint(request[1], ==, 0x82);
    if (how == LONG_FRAME)
        g_byte_array_append(copy, (const uint8_t[]){0x60, 0x83, 0, high, low}, 5);
    else
        g_byte_array_append(copy, (const uint8_t[]){0x60, 0x82, high, low}, 4);
    g_byte_array_append(copy, bytes + FRAME, MECH);
    if (how == LONG_REQUEST)
        g_byte_array_append(copy, (const uint8_t[]){0x6e, 0x83, 0, request[2], request[3]}, 5);
    else
        g_byte_array_append(copy, request, 4);
    g_byte_array_append(copy, request + 4, (guint)(n - FRAME - MECH - 4));
    if (how == TRAILING)
        g_byte_array_append(copy, (const uint8_t[]){0x05, 0}, 2);
    return g_byte_array_free_to_bytes(copy);
}

/* In either order. The library takes all of them, or this would prove nothing. */
static void
test_disguised_replay(void)
{
    LaresKrb5Provider *p = provider_over(fixture_realm->keytab);

    for (Disguise how = 0; how < N_DISGUISES; how++) {
        g_autoptr(GBytes) token = token_with((ClientRequest){.flags = USUAL});
        g_autoptr(GBytes) other = token_with((ClientRequest){.flags = USUAL});
        g_autoptr(GBytes) mask = disguised(token, how), other_mask = disguised(other, how);

        accepted(p, "nfs", mask);
        refused(p, "nfs", token, "replay");
        accepted(p, "nfs", other);
        refused(p, "nfs", other_mask, "replay");
    }
    provider_end(p);
}

static void
test_wrong_service(void)
{
    LaresKrb5Provider *p = provider_over(fixture_realm->keytab);
    g_autoptr(GBytes) cifs = token_with((ClientRequest){.service = "cifs/server.pair.test", .flags = USUAL});
    g_autoptr(GBytes) host = token_with((ClientRequest){.service = "host/server.pair.test", .flags = USUAL});
    g_autoptr(GBytes) elsewhere = token_with((ClientRequest){.service = "nfs/other.pair.test", .flags = USUAL});

    refused(p, "nfs", cifs, "cifs/server.pair.test");
    refused(p, "nfs", host, "host/server.pair.test");
    refused(p, "nfs", elsewhere, "keytab");
    accepted(p, "cifs", cifs);
    accepted(p, "cifs", host);
    provider_end(p);
}

static void
test_no_mutual(void)
{
    LaresKrb5Provider *p = provider_over(fixture_realm->keytab);
    g_autoptr(GBytes) token = token_with((ClientRequest){.flags = GSS_C_INTEG_FLAG});

    refused(p, "nfs", token, "mutual");
    provider_end(p);
}

static void
test_skew(void)
{
    LaresKrb5Provider *p = provider_over(fixture_realm->keytab);
    g_autoptr(GBytes) behind = token_with((ClientRequest){.flags = USUAL, .clock_error = -SKEW - 5});
    g_autoptr(GBytes) ahead = token_with((ClientRequest){.flags = USUAL, .clock_error = SKEW + 5});
    g_autoptr(GBytes) near = token_with((ClientRequest){.flags = USUAL, .clock_error = SKEW - 2});

    refused(p, "nfs", behind, "clock");
    refused(p, "nfs", ahead, "clock");
    accepted(p, "nfs", near);
    provider_end(p);
}

static void
test_expired(void)
{
    LaresKrb5Provider *p = provider_over(fixture_realm->keytab);
    g_autoptr(GBytes) first = token_with((ClientRequest){.flags = USUAL, .ticket_life = 2, .clock_error = 2});
    g_autoptr(GBytes) second = token_with((ClientRequest){.flags = USUAL, .ticket_life = 2, .clock_error = 6});

    g_usleep(2500000); /* ended, but within the skew that MIT still takes it in */
    refused(p, "nfs", first, "ticket");
    g_usleep(4000000);
    refused(p, "nfs", second, "expired");
    provider_end(p);
}

static void
test_rc4(void)
{
    LaresKrb5Provider *p = provider_over(fixture_realm->keytab);
    g_autoptr(GBytes) key = token_with((ClientRequest){.service = "nfs/rc4.pair.test", .flags = USUAL});
    g_autoptr(GBytes) session =
        token_with((ClientRequest){.service = "nfs/session.pair.test", .session_enctype = 23, .flags = USUAL});
    g_autoptr(GError) error = NULL;

    refused(p, "nfs", key, "");
    refused(p, "nfs", session, "arcfour");
    g_autoptr(Krb5Keytab) k = krb5_keytab_load_file(fixture_realm->keytab, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(k->refused->len, ==, 1);
    g_assert_nonnull(strstr(k->refused->pdata[0], "nfs/rc4.pair.test"));
    g_assert_nonnull(strstr(k->refused->pdata[0], "arcfour-hmac"));
    g_assert_false(krb5_keytab_has(k, "nfs", "rc4.pair.test"));
    g_assert_true(krb5_keytab_has(k, "nfs", "SERVER.pair.test"));
    g_assert_false(krb5_keytab_has(k, "nfs", "server.pair"));
    g_assert_false(krb5_keytab_has(k, "HTTP", "server.pair.test"));
    provider_end(p);
}

/* A context that is not established yet protects nothing and is nobody's. */
static void
nothing_yet(LaresKrb5Provider *p)
{
    g_autoptr(LaresAuthContext) c = accept_for(p, "cifs");
    uint8_t room[256] = {0};
    size_t n = sizeof room;

    g_assert_null(lares_auth_context_get_peer(c));
    g_assert_null(lares_auth_context_get_session_key(c));
    g_assert_cmpint(lares_auth_context_wrap(c, TRUE, room + 64, 64), ==, LARES_ACCESS);
    g_assert_cmpint(lares_auth_context_get_mic(c, NULL, 0, room, &n), ==, LARES_ACCESS);
    g_assert_cmpint(lares_auth_context_verify_mic(c, NULL, 0, room, 28), ==, LARES_ACCESS);
}

/* Negotiation is the core's: here a client's good token in SPNEGO's frame is another mechanism's. */
static void
test_negotiation(void)
{
    LaresKrb5Provider *p = provider_over(fixture_realm->keytab);
    gss_cred_id_t cred = realm_client_cred(fixture_realm, 0);
    gss_name_t target = realm_target(PAIR_SERVICE "@" PAIR_REALM);
    gss_buffer_desc out = GSS_C_EMPTY_BUFFER;
    gss_ctx_id_t client = GSS_C_NO_CONTEXT;
    OM_uint32 minor;

    g_assert_cmpuint(gss_init_sec_context(&minor, cred, &client, target, (gss_OID)&spnego, USUAL, 0, NULL, NULL, NULL,
                                          &out, NULL, NULL),
                     ==, GSS_S_CONTINUE_NEEDED);
    g_autoptr(GBytes) token = g_bytes_new(out.value, out.length);
    refused(p, "nfs", token, "credentials"); /* for that mechanism, MIT means */
    gss_release_buffer(&minor, &out);
    gss_delete_sec_context(&minor, &client, NULL);
    gss_release_name(&minor, &target);
    gss_release_cred(&minor, &cred);
    provider_end(p);
}

static void
test_garbage(void)
{
    LaresKrb5Provider *p = provider_over(fixture_realm->keytab);
    g_autoptr(GBytes) token = token_with((ClientRequest){.flags = USUAL});
    g_autoptr(GRand) r = g_rand_new_with_seed(4);
    g_autofree uint8_t *huge = g_malloc0(KRB5_MAX_TOKEN + 1);
    g_autoptr(GBytes) too_much = g_bytes_new_static(huge, KRB5_MAX_TOKEN + 1);
    g_autoptr(GBytes) zeros = g_bytes_new_static(huge, KRB5_MAX_TOKEN);
    g_autoptr(GBytes) empty = g_bytes_new_static(huge, 0);
    gsize len;
    const uint8_t *good = g_bytes_get_data(token, &len);

    refused(p, "nfs", too_much, "64 KiB");
    refused(p, "nfs", zeros, "");
    refused(p, "nfs", empty, "");
    nothing_yet(p);
    for (int i = 0; i < 300; i++) {
        uint8_t *bad = g_memdup2(good, len);
        /* The last byte of the authenticator's checksum and everything before it is protected or structure; a few
         * structural bytes (lengths of what follows nothing) may be ignored by MIT, so a login is not an error. */
        bad[g_rand_int_range(r, 0, (gint)len)] ^= (uint8_t)(1 << g_rand_int_range(r, 0, 8));
        g_autoptr(GBytes) bytes = g_bytes_new_take(bad, i % 3 == 0 ? (gsize)g_rand_int_range(r, 0, (gint)len) : len);
        g_autoptr(LaresAuthContext) c = accept_for(p, "nfs");
        g_autoptr(GBytes) answer = NULL;
        g_autofree char *reason = NULL;

        give(c, bytes, &answer, &reason);
    }
    provider_end(p);
}

static void
test_after_the_end(void)
{
    LaresKrb5Provider *p = provider_over(fixture_realm->keytab);
    g_autoptr(GBytes) token = token_with((ClientRequest){.flags = USUAL});
    g_autoptr(LaresAuthContext) c = accept_for(p, "nfs");
    g_autoptr(GBytes) answer = NULL, more = NULL;
    g_autofree char *reason = NULL, *again = NULL;

    g_assert_cmpint(give(c, token, &answer, &reason), ==, LARES_AUTH_ESTABLISHED);
    g_assert_cmpint(give(c, token, &more, &again), ==, LARES_AUTH_FAILED);
    g_assert_nonnull(again);
    g_assert_nonnull(lares_auth_context_get_peer(c));
    provider_end(p);
}

static void
test_replay_cache_bound(void)
{
    g_autoptr(Krb5Replays) r = krb5_replays_new(100);
    uint8_t tag[KRB5_REPLAY_TAG] = {0};
    gboolean crowded;

    for (unsigned i = 0; i < 100; i++) {
        memcpy(tag, &i, sizeof i);
        g_assert_true(krb5_replays_add(r, tag, 1000, 10, &crowded));
        g_assert_false(crowded);
        g_assert_false(krb5_replays_add(r, tag, 1010, 10, &crowded));
    }
    memset(tag, 0xff, sizeof tag);
    g_assert_true(krb5_replays_add(r, tag, 1010, 10, &crowded));
    g_assert_true(crowded);
    g_assert_cmpuint(krb5_replays_size(r), ==, 100);
    tag[0] = 1;
    g_assert_true(krb5_replays_add(r, tag, 1011, 10, &crowded)); /* the first hundred are forgotten */
    g_assert_cmpuint(krb5_replays_size(r), ==, 2);
}

static void
prepare(void)
{
    g_autofree char *lines =
        g_strdup_printf("addprinc -randkey cifs/server.pair.test\naddprinc -randkey host/server.pair.test\n"
                        "addprinc -randkey nfs/other.pair.test\n"
                        "addprinc -e arcfour-hmac:normal -randkey nfs/rc4.pair.test\n"
                        "addprinc -randkey nfs/session.pair.test\n"
                        "setstr nfs/session.pair.test session_enctypes arcfour-hmac\n"
                        "ktadd -q -k %1$s cifs/server.pair.test\nktadd -q -k %1$s host/server.pair.test\n"
                        "ktadd -q -norandkey -k %1$s nfs/rc4.pair.test\nktadd -q -k %1$s nfs/session.pair.test\n",
                        fixture_realm->keytab);

    realm_admin(fixture_realm, lines);
    fixture_use_profile();
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    if (!fixture_start())
        return 77;
    prepare();
    for (int e = 17; e <= 20; e++) {
        g_autofree char *path = g_strdup_printf("/krb5-auth/login/enctype-%d", e);
        g_test_add_data_func(path, GINT_TO_POINTER(e), test_login);
    }
    g_test_add_func("/krb5-auth/login/dce-style", test_dce_login);
    g_test_add_func("/krb5-auth/login/by-hand", test_by_hand);
    g_test_add_func("/krb5-auth/login/many-threads", test_threads);
    g_test_add_func("/krb5-auth/login/plain-authenticators", test_plain_authenticators);
    g_test_add_func("/krb5-auth/refuses/replay", test_replay);
    g_test_add_func("/krb5-auth/refuses/disguised-replay", test_disguised_replay);
    g_test_add_func("/krb5-auth/refuses/wrong-service", test_wrong_service);
    g_test_add_func("/krb5-auth/refuses/no-mutual-authentication", test_no_mutual);
    g_test_add_func("/krb5-auth/refuses/clock-skew", test_skew);
    g_test_add_func("/krb5-auth/refuses/expired-ticket", test_expired);
    g_test_add_func("/krb5-auth/refuses/rc4", test_rc4);
    g_test_add_func("/krb5-auth/refuses/garbage", test_garbage);
    g_test_add_func("/krb5-auth/refuses/negotiation", test_negotiation);
    g_test_add_func("/krb5-auth/refuses/tokens-after-the-end", test_after_the_end);
    g_test_add_func("/krb5-auth/replay-cache-is-bounded", test_replay_cache_bound);
    int status = g_test_run();
    fixture_stop();
    return status;
}
