/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* MIT's initiator with SPNEGO against our acceptor: optimistic and confirmed negotiations, IAKERB, and what was
 * tampered with on the way. */
#include "auth/der.h"
#include "auth/registry.h"
#include "auth/spnego-token.h"
#include "krb5-fixture.h"

#include <lares/spnego.h>
#include <string.h>

#define PASSWORD "correct horse"

static const gss_OID_desc spnego = {6, (void *)"\x2b\x06\x01\x05\x05\x02"};
static const LaresOid krb5_oid = {(const uint8_t *)"\x2a\x86\x48\x86\xf7\x12\x01\x02\x02", 9};
static const LaresOid ms_oid = {(const uint8_t *)"\x2a\x86\x48\x82\xf7\x12\x01\x02\x02", 9};
static const LaresOid ntlm_oid = {(const uint8_t *)"\x2b\x06\x01\x04\x01\x82\x37\x02\x02\x0a", 10};

static LaresKrb5Provider *provider;

static void
configure(gboolean iakerb)
{
    const char *const paths[] = {fixture_realm->keytab, NULL};
    lares_krb5_provider_configure(provider, &(Krb5Config){.keytabs = paths,
                                                          .services = fixture_no_services,
                                                          .hosts = fixture_hosts,
                                                          .clock_skew = SKEW,
                                                          .iakerb = iakerb});
}

static LaresAuthContext *
accept_spnego(const char *service)
{
    const LaresPeer peer = {.address = "192.0.2.1"};
    return lares_spnego_accept(NULL, service, &peer);
}

/* ---- A whole login --------------------------------------------------------------------------------------------- */

typedef struct {
    gss_OID mech;
    OM_uint32 flags;
    gss_cred_id_t cred;                                      /* owned by who fills it */
    void (*on_the_way)(uint8_t *token, size_t len, int leg); /* to the server; may be NULL */
    /* What came of it: */
    gss_ctx_id_t client;
    LaresAuthContext *server;
    OM_uint32 major;
    LaresAuthState state;
    int legs;
    gboolean mic_seen, request_seen;
    char *reason;
} Login;

static void
note_answer(Login *l, GBytes *answer)
{
    SpnegoResp resp;
    gsize len;
    const uint8_t *bytes = g_bytes_get_data(answer, &len);
    if (!spnego_read_resp(bytes, len, &resp))
        return;
    l->mic_seen = l->mic_seen || resp.mic.at != NULL;
    l->request_seen = l->request_seen || resp.state == SPNEGO_REQUEST_MIC;
}

static void
login_run(Login *l)
{
    gss_name_t target = realm_target("cifs/server.pair.test@" PAIR_REALM);
    gss_buffer_desc in = GSS_C_EMPTY_BUFFER, out = GSS_C_EMPTY_BUFFER;
    g_autoptr(GBytes) answer = NULL;
    OM_uint32 minor;

    l->server = accept_spnego("cifs");
    l->client = GSS_C_NO_CONTEXT;
    l->major = GSS_S_CONTINUE_NEEDED;
    l->state = LARES_AUTH_CONTINUE;
    while (l->major == GSS_S_CONTINUE_NEEDED && l->state != LARES_AUTH_FAILED && l->legs < 20) {
        in.value = answer != NULL ? (void *)g_bytes_get_data(answer, &in.length) : NULL;
        l->major = gss_init_sec_context(&minor, l->cred, &l->client, target, l->mech, l->flags, 0, NULL,
                                        answer != NULL ? &in : GSS_C_NO_BUFFER, NULL, &out, NULL, NULL);
        g_clear_pointer(&answer, g_bytes_unref);
        if (GSS_ERROR(l->major)) {
            g_autofree char *text = gss_error_text(l->major, minor);
            g_test_message("client: %s", text);
        }
        if (out.length == 0)
            break;
        if (l->on_the_way != NULL)
            l->on_the_way(out.value, out.length, l->legs);
        g_clear_pointer(&l->reason, g_free);
        l->state = lares_auth_context_step(l->server, out.value, out.length, &answer, &l->reason);
        g_test_message("leg %d: %zu bytes to the server, %zu back", l->legs, out.length,
                       answer != NULL ? g_bytes_get_size(answer) : 0);
        if (answer != NULL)
            note_answer(l, answer);
        gss_release_buffer(&minor, &out);
        l->legs++;
    }
    if (l->reason != NULL)
        g_test_message("server: %s", l->reason);
    gss_release_name(&minor, &target);
}

static void
login_end(Login *l)
{
    OM_uint32 minor;
    gss_delete_sec_context(&minor, &l->client, NULL);
    gss_release_cred(&minor, &l->cred);
    g_clear_object(&l->server);
    g_free(l->reason);
}

static void
assert_works(Login *l, const char *principal)
{
    gss_buffer_set_t set = GSS_C_NO_BUFFER_SET;
    gss_buffer_desc text = {5, (char *)"lares"}, mic = GSS_C_EMPTY_BUFFER;
    const struct iovec piece = {(char *)"lares", 5};
    OM_uint32 minor;

    g_assert_cmpuint(l->major, ==, GSS_S_COMPLETE);
    g_assert_cmpint(l->state, ==, LARES_AUTH_ESTABLISHED);
    g_assert_cmpstr(lares_auth_context_get_peer(l->server)->principal, ==, principal);
    g_assert_cmpstr(lares_spnego_flavor(l->server)->name, ==, "krb5");
    GBytes *key = lares_auth_context_get_session_key(l->server);
    g_assert_cmpuint(gss_inquire_sec_context_by_oid(&minor, l->client, GSS_C_INQ_SSPI_SESSION_KEY, &set), ==,
                     GSS_S_COMPLETE);
    g_assert_cmpmem(g_bytes_get_data(key, NULL), g_bytes_get_size(key), set->elements[0].value,
                    set->elements[0].length);
    gss_release_buffer_set(&minor, &set);
    g_assert_cmpuint(gss_get_mic(&minor, l->client, 0, &text, &mic), ==, GSS_S_COMPLETE);
    g_assert_cmpint(lares_auth_context_verify_mic(l->server, &piece, 1, mic.value, mic.length), ==, LARES_OK);
    gss_release_buffer(&minor, &mic);
}

/* The first choice works at once: nothing to confirm. */
static void
test_optimistic(gconstpointer data)
{
    Login l = {
        .mech = (gss_OID)&spnego, .flags = USUAL, .cred = realm_client_cred(fixture_realm, GPOINTER_TO_INT(data))};
    login_run(&l);
    assert_works(&l, "alice@" PAIR_REALM);
    g_assert_cmpint(l.legs, ==, 1);
    g_assert_false(l.mic_seen);
    login_end(&l);
}

static void
test_raw(void)
{
    Login l = {.mech = (gss_OID)gss_mech_krb5, .flags = USUAL, .cred = realm_client_cred(fixture_realm, 0)};
    login_run(&l);
    assert_works(&l, "alice@" PAIR_REALM);
    login_end(&l);
}

/* Windows speaks DCE style to some services: a third leg. */
static void
test_dce(void)
{
    Login l = {.mech = (gss_OID)&spnego, .flags = USUAL | GSS_C_DCE_STYLE, .cred = realm_client_cred(fixture_realm, 0)};
    login_run(&l);
    assert_works(&l, "alice@" PAIR_REALM);
    login_end(&l);
}

/* Without mutual authentication, as Linux' cifs does it: one token, and SMB's signature proves the server. */
static void
test_one_way(void)
{
    Login l = {.mech = (gss_OID)&spnego, .flags = GSS_C_INTEG_FLAG, .cred = realm_client_cred(fixture_realm, 0)};
    login_run(&l);
    assert_works(&l, "alice@" PAIR_REALM);
    login_end(&l);
}

/* ---- IAKERB ---------------------------------------------------------------------------------------------------- */

static gss_cred_id_t
iakerb_cred(const char *realm)
{
    g_autofree char *text = g_strdup_printf("bob@%s", realm);
    gss_OID_set_desc mechs = {1, (gss_OID)gss_mech_iakerb};
    gss_buffer_desc password = {strlen(PASSWORD), (char *)PASSWORD}, b = {strlen(text), text};
    gss_cred_id_t cred = GSS_C_NO_CREDENTIAL;
    gss_name_t name = GSS_C_NO_NAME;
    OM_uint32 major, minor;

    gss_import_name(&minor, &b, GSS_C_NT_USER_NAME, &name);
    major = gss_acquire_cred_with_password(&minor, name, &password, GSS_C_INDEFINITE, &mechs, GSS_C_INITIATE, &cred,
                                           NULL, NULL);
    if (GSS_ERROR(major)) {
        g_autofree char *why = gss_error_text(major, minor);
        g_error("%s", why);
    }
    gss_release_name(&minor, &name);
    return cred;
}

/* A client with a password and no way to the KDC but this one. */
static void
test_iakerb(void)
{
    Login l = {.mech = (gss_OID)gss_mech_iakerb, .flags = USUAL, .cred = iakerb_cred(PAIR_REALM)};
    login_run(&l);
    assert_works(&l, "bob@" PAIR_REALM);
    g_assert_cmpint(l.legs, >, 2);
    login_end(&l);
}

/* The realm in the message to a KDC is changed to one that is not ours; same length. */
static void
other_realm(uint8_t *token, size_t len, int leg)
{
    for (size_t i = 0; i + 9 <= len && i < 64; i++) {
        if (memcmp(token + i, PAIR_REALM, 9) == 0)
            memcpy(token + i, "EVIL.TEST", 9);
    }
}

static void
test_iakerb_other_realm(void)
{
    Login l = {
        .mech = (gss_OID)gss_mech_iakerb, .flags = USUAL, .cred = iakerb_cred(PAIR_REALM), .on_the_way = other_realm};
    login_run(&l);
    g_assert_cmpint(l.state, ==, LARES_AUTH_FAILED);
    g_assert_nonnull(strstr(l.reason, "realm"));
    login_end(&l);
}

/* The same in a later leg, whose token needs no frame. */
static void
other_realm_later(uint8_t *token, size_t len, int leg)
{
    if (leg > 0)
        other_realm(token, len, leg);
}

static void
test_iakerb_other_realm_later(void)
{
    Login l = {.mech = (gss_OID)gss_mech_iakerb,
               .flags = USUAL,
               .cred = iakerb_cred(PAIR_REALM),
               .on_the_way = other_realm_later};
    login_run(&l);
    g_assert_cmpint(l.state, ==, LARES_AUTH_FAILED);
    g_assert_nonnull(strstr(l.reason, "realm that is not ours"));
    g_assert_cmpint(l.legs, ==, 2);
    login_end(&l);
}

/* Tokens that a library could read in one way and we in another are carried nowhere. */
static void
test_iakerb_bent(void)
{
    static const struct {
        const char *bytes;
        size_t len;
    } bent[] = {
        {"\x60", 1},
        {"\x60\x80\x06\x06\x2b\x06\x01\x05\x02\x05\x05\x01", 12},                 /* no length */
        {"\x60\x84\x00\x00\x00\x0a\x06\x06\x2b\x06\x01\x05\x02\x05\x05\x01", 16}, /* a long one */
        {"\x60\x0a\x06\x06\x2b\x06\x01\x05\x02\x05\x05\x01\x30", 13},             /* something behind */
        {"\x60\x0a\x06\x81\x2b\x06\x01\x05\x02\x05\x05\x01", 12},                 /* a broken mechanism */
        {"\x05\x01", 2},                                                          /* no header */
        {"\x05\x01\x30\x0d\xa1\x0b\x0c\x09"
         "EVIL.TEST",
         17}, /* without a frame */
        {"\x05\x01\x30\x0d\xa1\x0b\x04\x09"
         "EVIL.TEST",
         17},
        {"\x05\x01\x30\x80\xa1\x0b\x0c\x09" PAIR_REALM "\x00\x00", 19},
        {"\x05\x01\x30\x0d\xa2\x0b\x0c\x09" PAIR_REALM, 17},
        {"\x05\x01\x30\x0e\xa1\x0c\x0c\x0a" PAIR_REALM "\x00", 18},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(bent); i++) {
        const LaresPeer peer = {.address = "127.0.0.1"};
        g_autoptr(GBytes) out = NULL;
        g_autofree char *reason = NULL;
        g_autoptr(LaresAuthContext) context =
            lares_auth_provider_accept(LARES_AUTH_PROVIDER(provider), "cifs", &peer, NULL);
        g_assert_cmpint(lares_auth_context_step(context, (const uint8_t *)bent[i].bytes, bent[i].len, &out, &reason),
                        ==, LARES_AUTH_FAILED);
        g_assert_nonnull(strstr(reason, "realm that is not ours"));
    }
}

static void
test_iakerb_off(void)
{
    Login l = {.mech = (gss_OID)gss_mech_iakerb, .flags = USUAL, .cred = iakerb_cred(PAIR_REALM)};
    configure(FALSE);
    login_run(&l);
    configure(TRUE);
    g_assert_cmpint(l.state, ==, LARES_AUTH_FAILED);
    login_end(&l);
}

/* ---- Lists that are changed on the way ------------------------------------------------------------------------- */

/* MIT offers Kerberos under its right name first, then under Microsoft's. Whoever spoils the first entry makes the
 * server choose the second; both sides then have to confirm a list that only the client knows. */
static void
spoil_first(uint8_t *token, size_t len, int leg)
{
    if (leg != 0)
        return;
    for (size_t i = 0; i + 11 <= len; i++) {
        if (token[i] == 0x06 && token[i + 1] == 9 && memcmp(token + i + 2, krb5_oid.der, 9) == 0) {
            token[i + 10] ^= 0x40;
            return;
        }
    }
}

static void
test_tampered_list(void)
{
    Login l = {.mech = (gss_OID)&spnego,
               .flags = USUAL,
               .cred = realm_client_cred(fixture_realm, 0),
               .on_the_way = spoil_first};
    login_run(&l);
    g_test_message("%d legs, request-mic %d", l.legs, l.request_seen);
    g_assert_cmpint(l.state, !=, LARES_AUTH_ESTABLISHED);
    g_assert_cmpuint(l.major, !=, GSS_S_COMPLETE);
    g_assert_null(lares_auth_context_get_peer(l.server));
    login_end(&l);
}

/* ---- Negotiations made by hand --------------------------------------------------------------------------------- */

static GBytes *
init_with(const LaresOid *const *mechs, GBytes *token, GBytes **list)
{
    GByteArray *out = g_byte_array_new();
    der_append(out, DER_OID, spnego_oid.der, spnego_oid.len);
    guint body = out->len;
    for (; *mechs; mechs++)
        der_append(out, DER_OID, (*mechs)->der, (*mechs)->len);
    der_wrap(out, body, DER_SEQUENCE);
    if (list)
        *list = g_bytes_new(out->data + body, out->len - body);
    der_wrap(out, body, DER_CONTEXT_0);
    if (token) {
        guint from = out->len;
        der_append(out, DER_OCTET_STRING, g_bytes_get_data(token, NULL), g_bytes_get_size(token));
        der_wrap(out, from, DER_CONTEXT_0 + 2);
    }
    der_wrap(out, body, DER_SEQUENCE);
    der_wrap(out, body, DER_CONTEXT_0);
    der_wrap(out, 0, DER_APPLICATION_0);
    return g_byte_array_free_to_bytes(out);
}

/* The list of a Windows client: Microsoft's name first, the token under the right one. */
static void
test_windows_list(void)
{
    static const LaresOid *const mechs[] = {&ms_oid, &krb5_oid, &ntlm_oid, NULL};
    g_autoptr(LaresAuthContext) c = accept_spnego("cifs");
    g_autoptr(GBytes) token = token_with((ClientRequest){.service = "cifs/server.pair.test", .flags = USUAL});
    g_autoptr(GBytes) init = init_with(mechs, token, NULL), answer = NULL;
    g_autofree char *reason = NULL;
    SpnegoResp resp;

    g_assert_cmpint(give(c, init, &answer, &reason), ==, LARES_AUTH_ESTABLISHED);
    g_assert_true(spnego_read_resp(g_bytes_get_data(answer, NULL), g_bytes_get_size(answer), &resp));
    g_assert_cmpint(resp.state, ==, SPNEGO_ACCEPT_COMPLETED);
    g_assert_true(spnego_oid_equal(&resp.mech, &ms_oid));
    g_assert_nonnull(resp.token.at);
    g_assert_null(resp.mic.at);
}

/* NTLM first, which is not offered here: Kerberos is asked for, and confirmed with MIT's own MIC over the list. */
static void
confirmed(gboolean honest)
{
    static const LaresOid *const mechs[] = {&ntlm_oid, &krb5_oid, NULL};
    Login l = {.mech = (gss_OID)gss_mech_krb5, .flags = USUAL, .cred = realm_client_cred(fixture_realm, 0)};
    gss_name_t target = realm_target("cifs/server.pair.test@" PAIR_REALM);
    gss_buffer_desc in = GSS_C_EMPTY_BUFFER, out = GSS_C_EMPTY_BUFFER, mic = GSS_C_EMPTY_BUFFER, covered;
    g_autoptr(GBytes) list = NULL, init = init_with(mechs, NULL, &list), first = NULL, second = NULL, third = NULL;
    g_autofree char *reason = NULL;
    SpnegoResp resp;
    OM_uint32 minor;

    l.server = accept_spnego("cifs");
    g_assert_cmpint(give(l.server, init, &first, &reason), ==, LARES_AUTH_CONTINUE);
    g_assert_true(spnego_read_resp(g_bytes_get_data(first, NULL), g_bytes_get_size(first), &resp));
    g_assert_cmpint(resp.state, ==, SPNEGO_REQUEST_MIC);

    gss_init_sec_context(&minor, l.cred, &l.client, target, l.mech, l.flags, 0, NULL, &in, NULL, &out, NULL, NULL);
    g_autoptr(GBytes) token =
        spnego_write_resp(&(SpnegoResp){.state = SPNEGO_NO_STATE, .token = {out.value, out.length}});
    g_assert_cmpint(give(l.server, token, &second, &reason), ==, LARES_AUTH_CONTINUE);
    gss_release_buffer(&minor, &out);
    g_assert_null(lares_auth_context_get_peer(l.server));
    g_assert_true(spnego_read_resp(g_bytes_get_data(second, NULL), g_bytes_get_size(second), &resp));
    in = (gss_buffer_desc){resp.token.len, (void *)resp.token.at};
    g_assert_cmpuint(
        gss_init_sec_context(&minor, l.cred, &l.client, target, l.mech, l.flags, 0, NULL, &in, NULL, &out, NULL, NULL),
        ==, GSS_S_COMPLETE);
    covered = (gss_buffer_desc){g_bytes_get_size(list), (void *)g_bytes_get_data(list, NULL)};
    in = (gss_buffer_desc){resp.mic.len, (void *)resp.mic.at};
    g_assert_cmpuint(gss_verify_mic(&minor, l.client, &covered, &in, NULL), ==, GSS_S_COMPLETE);
    covered.length -= honest ? 0 : 1;
    gss_get_mic(&minor, l.client, 0, &covered, &mic);
    g_autoptr(GBytes) last = spnego_write_resp(&(SpnegoResp){.state = SPNEGO_NO_STATE, .mic = {mic.value, mic.length}});
    l.state = give(l.server, last, &third, &l.reason);
    g_assert_cmpint(l.state, ==, honest ? LARES_AUTH_ESTABLISHED : LARES_AUTH_FAILED);
    g_assert_true((lares_auth_context_get_peer(l.server) != NULL) == honest);
    gss_release_buffer(&minor, &mic);
    gss_release_name(&minor, &target);
    login_end(&l);
}

static void
test_confirmed(void)
{
    confirmed(TRUE);
}

static void
test_tampered_mic(void)
{
    confirmed(FALSE);
}

/* SPNEGO or not, NFS wants the server proven by the mechanism. */
static void
test_one_way_services(void)
{
    static const LaresOid *const mechs[] = {&krb5_oid, NULL};
    static const struct {
        const char *service, *principal;
        LaresAuthState state;
    } rows[] = {{"cifs", "cifs/server.pair.test", LARES_AUTH_ESTABLISHED},
                {"HTTP", "host/server.pair.test", LARES_AUTH_ESTABLISHED},
                {"nfs", PAIR_SERVICE, LARES_AUTH_FAILED}};
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(LaresAuthContext) c = accept_spnego(rows[i].service);
        g_autoptr(GBytes) token = token_with((ClientRequest){.service = rows[i].principal, .flags = GSS_C_INTEG_FLAG});
        g_autoptr(GBytes) init = init_with(mechs, token, NULL), answer = NULL;
        g_autofree char *reason = NULL;
        g_assert_cmpint(give(c, init, &answer, &reason), ==, rows[i].state);
    }
}

static void
prepare(void)
{
    g_autofree char *lines =
        g_strdup_printf("addprinc -randkey cifs/server.pair.test\naddprinc -randkey host/server.pair.test\n"
                        "addprinc -pw \"" PASSWORD "\" bob\n"
                        "ktadd -q -k %1$s cifs/server.pair.test\nktadd -q -k %1$s host/server.pair.test\n",
                        fixture_realm->keytab);
    g_autoptr(GError) error = NULL;

    realm_admin(fixture_realm, lines);
    fixture_use_profile();
    provider = lares_krb5_provider_new(1000);
    configure(TRUE);
    lares_auth_registry_add(LARES_AUTH_PROVIDER(provider), &error);
    g_assert_no_error(error);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    if (!fixture_start())
        return 77;
    prepare();
    for (int e = 17; e <= 20; e++) {
        g_autofree char *path = g_strdup_printf("/spnego-mit/optimistic/enctype-%d", e);
        g_test_add_data_func(path, GINT_TO_POINTER(e), test_optimistic);
    }
    g_test_add_func("/spnego-mit/without-negotiation", test_raw);
    g_test_add_func("/spnego-mit/dce-style", test_dce);
    g_test_add_func("/spnego-mit/one-way", test_one_way);
    g_test_add_func("/spnego-mit/one-way/by-service", test_one_way_services);
    g_test_add_func("/spnego-mit/windows-list", test_windows_list);
    g_test_add_func("/spnego-mit/confirmed", test_confirmed);
    g_test_add_func("/spnego-mit/iakerb", test_iakerb);
    g_test_add_func("/spnego-mit/iakerb/other-realm", test_iakerb_other_realm);
    g_test_add_func("/spnego-mit/iakerb/other-realm-in-a-later-leg", test_iakerb_other_realm_later);
    g_test_add_func("/spnego-mit/iakerb/bent", test_iakerb_bent);
    g_test_add_func("/spnego-mit/iakerb/switched-off", test_iakerb_off);
    g_test_add_func("/spnego-mit/refuses/tampered-list", test_tampered_list);
    g_test_add_func("/spnego-mit/refuses/tampered-mic", test_tampered_mic);
    int status = g_test_run();
    lares_krb5_provider_stop(provider);
    fixture_stop();
    return status;
}
