/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The negotiation over a mechanism that does what it is told: who confirms the list, when, and what is refused. */
#include "auth/der.h"
#include "auth/registry.h"
#include "auth/spnego-token.h"
#include "fakemech.h"

#include <lares/spnego.h>
#include <string.h>

static gboolean busy;

/* ---- A client's tokens ----------------------------------------------------------------------------------------- */

static const SpnegoBytes none;

static SpnegoBytes
text(const char *s)
{
    return (SpnegoBytes){(const uint8_t *)s, strlen(s)};
}

static void
put_octets(GByteArray *out, uint8_t tag, SpnegoBytes value)
{
    guint from = out->len;
    if (!value.at)
        return;
    der_append(out, DER_OCTET_STRING, value.at, value.len);
    der_wrap(out, from, tag);
}

/* The MechTypeList alone. */
static GBytes *
mech_list(const LaresOid *const *mechs)
{
    GByteArray *out = g_byte_array_new();
    for (; *mechs; mechs++)
        der_append(out, DER_OID, (*mechs)->der, (*mechs)->len);
    der_wrap(out, 0, DER_SEQUENCE);
    return g_byte_array_free_to_bytes(out);
}

static GBytes *
client_init(GBytes *list, SpnegoBytes token, SpnegoBytes mic)
{
    GByteArray *out = g_byte_array_new();
    der_append(out, DER_OID, spnego_oid.der, spnego_oid.len);
    guint body = out->len;
    der_append(out, DER_CONTEXT_0, g_bytes_get_data(list, NULL), g_bytes_get_size(list));
    put_octets(out, DER_CONTEXT_0 + 2, token);
    put_octets(out, DER_CONTEXT_0 + 3, mic);
    der_wrap(out, body, DER_SEQUENCE);
    der_wrap(out, body, DER_CONTEXT_0);
    der_wrap(out, 0, DER_APPLICATION_0);
    return g_byte_array_free_to_bytes(out);
}

static GBytes *
client_resp(SpnegoBytes token, SpnegoBytes mic)
{
    return spnego_write_resp(&(SpnegoResp){.state = SPNEGO_NO_STATE, .token = token, .mic = mic});
}

/* ---- Talking --------------------------------------------------------------------------------------------------- */

typedef struct {
    LaresAuthContext *context;
    GBytes *list;
    GBytes *raw; /* the last answer */
    SpnegoResp answer;
    char *reason;
    uint8_t mic[FAKE_MIC];
} Talk;

static void
talk_begin(Talk *t, const LaresOid *const *mechs)
{
    const LaresPeer peer = {.address = "192.0.2.1"};
    *t = (Talk){.context = lares_spnego_accept(NULL, "cifs", &peer), .list = mech_list(mechs)};
    fake_mic(g_bytes_get_data(t->list, NULL), g_bytes_get_size(t->list), t->mic);
}

static void
talk_end(Talk *t)
{
    g_object_unref(t->context);
    g_bytes_unref(t->list);
    g_clear_pointer(&t->raw, g_bytes_unref);
    g_clear_pointer(&t->reason, g_free);
}

/* Takes the token. */
static LaresAuthState
say(Talk *t, GBytes *token)
{
    gsize len, answer_len;
    const uint8_t *bytes = g_bytes_get_data(token, &len);
    g_clear_pointer(&t->raw, g_bytes_unref);
    g_clear_pointer(&t->reason, g_free);
    LaresAuthState state = lares_auth_context_step(t->context, bytes, len, &t->raw, &t->reason);
    g_bytes_unref(token);
    g_assert_true((state == LARES_AUTH_FAILED) == (t->reason != NULL));
    t->answer = (SpnegoResp){.state = SPNEGO_NO_STATE};
    if (t->raw) {
        const uint8_t *answer = g_bytes_get_data(t->raw, &answer_len);
        if (answer[0] == 0xa1)
            g_assert_true(spnego_read_resp(answer, answer_len, &t->answer));
    }
    return state;
}

static LaresAuthState
say_init(Talk *t, SpnegoBytes token, SpnegoBytes mic)
{
    return say(t, client_init(t->list, token, mic));
}

static SpnegoBytes
right_mic(Talk *t)
{
    return (SpnegoBytes){t->mic, FAKE_MIC};
}

#define assert_field(field, word)                                                                                      \
    G_STMT_START                                                                                                       \
    {                                                                                                                  \
        g_assert_nonnull((field).at);                                                                                  \
        g_assert_cmpmem((field).at, (field).len, word, strlen(word));                                                  \
    }                                                                                                                  \
    G_STMT_END

static void
assert_established(Talk *t)
{
    g_assert_cmpstr(lares_auth_context_get_peer(t->context)->principal, ==, "ada@FAKE.TEST");
    g_assert_cmpstr(lares_spnego_flavor(t->context)->name, ==, "fake");
    g_assert_nonnull(lares_auth_context_get_session_key(t->context));
}

static void
assert_nothing(Talk *t)
{
    g_assert_null(lares_auth_context_get_peer(t->context));
    g_assert_null(lares_spnego_flavor(t->context));
    g_assert_null(lares_auth_context_get_session_key(t->context));
}

static void
assert_rejected(Talk *t, LaresAuthState state, const char *word)
{
    g_assert_cmpint(state, ==, LARES_AUTH_FAILED);
    g_assert_nonnull(strstr(t->reason, word));
    g_assert_cmpint(t->answer.state, ==, SPNEGO_REJECT);
    assert_nothing(t);
    g_assert_cmpint(say(t, client_resp(text("end"), none)), ==, LARES_AUTH_FAILED);
    assert_nothing(t);
}

static const LaresOid *const first[] = {&fake_oid, &unknown_oid, NULL};
static const LaresOid *const alias[] = {&fake_alias, &fake_oid, NULL};
static const LaresOid *const second[] = {&unknown_oid, &fake_oid, NULL};
static const LaresOid *const strangers[] = {&unknown_oid, NULL};

/* ---- Negotiations that work ------------------------------------------------------------------------------------ */

static void
test_optimistic(void)
{
    Talk t;
    talk_begin(&t, first);
    g_assert_cmpint(say_init(&t, text("last"), none), ==, LARES_AUTH_ESTABLISHED);
    g_assert_cmpint(t.answer.state, ==, SPNEGO_ACCEPT_COMPLETED);
    g_assert_true(spnego_oid_equal(&t.answer.mech, &fake_oid));
    assert_field(t.answer.token, "bye");
    g_assert_null(t.answer.mic.at); /* nobody asked for one */
    assert_established(&t);
    g_assert_cmpint(say(&t, client_resp(text("end"), none)), ==, LARES_AUTH_FAILED);
    assert_established(&t); /* too much does not end it */
    talk_end(&t);
}

static void
test_several_tokens(void)
{
    Talk t;
    talk_begin(&t, first);
    g_assert_cmpint(say_init(&t, none, none), ==, LARES_AUTH_CONTINUE);
    g_assert_cmpint(t.answer.state, ==, SPNEGO_ACCEPT_INCOMPLETE);
    g_assert_true(spnego_oid_equal(&t.answer.mech, &fake_oid));
    g_assert_cmpint(say(&t, client_resp(text("go on"), none)), ==, LARES_AUTH_CONTINUE);
    g_assert_null(t.answer.mech.der);
    assert_field(t.answer.token, "yes");
    assert_nothing(&t);
    g_assert_cmpint(say(&t, client_resp(text("end"), none)), ==, LARES_AUTH_ESTABLISHED);
    g_assert_null(t.answer.token.at);
    assert_established(&t);
    talk_end(&t);
}

static void
test_alias(void)
{
    Talk t;
    talk_begin(&t, alias);
    g_assert_cmpint(say_init(&t, text("last"), none), ==, LARES_AUTH_ESTABLISHED);
    g_assert_true(spnego_oid_equal(&t.answer.mech, &fake_alias));
    g_assert_null(t.answer.mic.at);
    talk_end(&t);
}

/* The mechanism ends with our token: we confirm first (RFC 4178 5). */
static void
test_request_mic_ours_last(void)
{
    Talk t;
    talk_begin(&t, second);
    g_assert_cmpint(say_init(&t, text("for somebody else"), none), ==, LARES_AUTH_CONTINUE);
    g_assert_cmpint(t.answer.state, ==, SPNEGO_REQUEST_MIC);
    g_assert_true(spnego_oid_equal(&t.answer.mech, &fake_oid));
    g_assert_null(t.answer.token.at);
    g_assert_cmpint(say(&t, client_resp(text("last"), none)), ==, LARES_AUTH_CONTINUE);
    g_assert_cmpint(t.answer.state, ==, SPNEGO_ACCEPT_INCOMPLETE);
    g_assert_cmpmem(t.answer.mic.at, t.answer.mic.len, t.mic, FAKE_MIC);
    assert_nothing(&t);
    g_assert_cmpint(say(&t, client_resp(none, right_mic(&t))), ==, LARES_AUTH_ESTABLISHED);
    g_assert_cmpint(t.answer.state, ==, SPNEGO_ACCEPT_COMPLETED);
    g_assert_null(t.answer.mic.at);
    assert_established(&t);
    talk_end(&t);
}

/* It ends with the client's token, which brings the client's MIC. */
static void
test_request_mic_theirs_last(void)
{
    Talk t;
    talk_begin(&t, second);
    g_assert_cmpint(say_init(&t, none, none), ==, LARES_AUTH_CONTINUE);
    g_assert_cmpint(say(&t, client_resp(text("end"), right_mic(&t))), ==, LARES_AUTH_ESTABLISHED);
    g_assert_cmpint(t.answer.state, ==, SPNEGO_ACCEPT_COMPLETED);
    g_assert_cmpmem(t.answer.mic.at, t.answer.mic.len, t.mic, FAKE_MIC);
    assert_established(&t);
    talk_end(&t);
}

/* A client may confirm without being asked; then so do we. */
static void
test_voluntary_mic(void)
{
    Talk t;
    talk_begin(&t, first);
    g_assert_cmpint(say_init(&t, text("end"), right_mic(&t)), ==, LARES_AUTH_ESTABLISHED);
    g_assert_cmpmem(t.answer.mic.at, t.answer.mic.len, t.mic, FAKE_MIC);
    assert_established(&t);
    talk_end(&t);
}

static void
test_guest(void)
{
    Talk t;
    talk_begin(&t, second);
    g_assert_cmpint(say_init(&t, none, none), ==, LARES_AUTH_CONTINUE);
    /* With a key that only the client knows there is nothing to compare. */
    g_assert_cmpint(say(&t, client_resp(text("guest"), text("whatever"))), ==, LARES_AUTH_ESTABLISHED);
    g_assert_true(lares_auth_context_get_peer(t.context)->anonymous);
    g_assert_null(t.answer.mic.at);
    g_assert_null(lares_spnego_flavor(t.context)); /* no module offers sys here */
    talk_end(&t);
}

/* The list says what can be had now. */
static void
test_offer(void)
{
    for (busy = FALSE;; busy = TRUE) {
        g_autoptr(GBytes) token = lares_spnego_init_token(NULL, "cifs");
        LaresOid oid;
        LaresReader body;
        gsize len;
        const uint8_t *bytes = g_bytes_get_data(token, &len);
        g_assert_true(der_gss_frame(bytes, len, &oid.der, &oid.len, &body));
        g_assert_true(spnego_oid_equal(&oid, &spnego_oid));
        LaresReader init = der_get(&body, DER_CONTEXT_0), seq = der_get(&init, DER_SEQUENCE);
        LaresReader list = der_get(&seq, DER_CONTEXT_0), mechs = der_get(&list, DER_SEQUENCE);
        for (int i = 0; !busy && i < 2; i++) {
            LaresReader mech = der_get(&mechs, DER_OID);
            oid = (LaresOid){mech.at, lares_reader_left(&mech)};
            g_assert_true(spnego_oid_equal(&oid, i == 0 ? &fake_oid : &fake_alias));
        }
        g_assert_true(der_end(&mechs));
        LaresReader hints = der_get(&seq, DER_CONTEXT_0 + 3), hint = der_get(&hints, DER_SEQUENCE);
        der_get(&hint, DER_CONTEXT_0);
        g_assert_true(der_end(&hint) && der_end(&hints) && der_end(&seq) && der_end(&init) && der_end(&body));
        if (busy)
            break;
    }
    busy = FALSE;
}

/* A mechanism's own frame, without a negotiation. */
static void
test_raw_frame(void)
{
    Talk t;
    talk_begin(&t, first);
    GByteArray *out = g_byte_array_new();
    der_append(out, DER_OID, fake_oid.der, fake_oid.len);
    der_wrap(out, 0, DER_APPLICATION_0);
    /* The fake mechanism does not know frames: what matters is that it was asked, and what it said is passed on raw. */
    g_assert_cmpint(say(&t, g_byte_array_free_to_bytes(out)), ==, LARES_AUTH_FAILED);
    g_assert_cmpstr(t.reason, ==, "not a word of this mechanism");
    g_assert_null(t.raw);
    talk_end(&t);
}

/* ---- Refusals -------------------------------------------------------------------------------------------------- */

static void
test_wrong_mic(void)
{
    static const LaresOid *const shorter[] = {&fake_oid, NULL};
    Talk t;
    uint8_t other[FAKE_MIC];
    g_autoptr(GBytes) list = mech_list(shorter);

    /* A list from which somebody took the client's first choice on the way. */
    fake_mic(g_bytes_get_data(list, NULL), g_bytes_get_size(list), other);
    for (int way = 0; way < 3; way++) {
        talk_begin(&t, way == 0 ? first : second);
        SpnegoBytes mic = {other, FAKE_MIC};
        LaresAuthState state;
        if (way == 0) {
            state = say_init(&t, text("end"), mic);
        } else {
            say_init(&t, none, none);
            if (way == 2)
                say(&t, client_resp(text("last"), none));
            state = say(&t, client_resp(way == 1 ? text("end") : none, mic));
        }
        assert_rejected(&t, state, "mechListMIC");
        talk_end(&t);
    }
}

static void
test_missing_mic(void)
{
    Talk t;
    talk_begin(&t, second);
    say_init(&t, none, none);
    g_assert_cmpint(say(&t, client_resp(text("end"), none)), ==, LARES_AUTH_CONTINUE);
    assert_nothing(&t);
    assert_rejected(&t, say(&t, client_resp(none, none)), "mechListMIC");
    talk_end(&t);

    talk_begin(&t, second);
    say_init(&t, none, none);
    say(&t, client_resp(text("last"), none));
    assert_rejected(&t, say(&t, client_resp(text("end"), right_mic(&t))), "mechListMIC");
    talk_end(&t);
}

static void
test_early_mic(void)
{
    Talk t;
    talk_begin(&t, first);
    assert_rejected(&t, say_init(&t, text("go on"), right_mic(&t)), "before");
    talk_end(&t);
    talk_begin(&t, second);
    assert_rejected(&t, say_init(&t, none, right_mic(&t)), "before");
    talk_end(&t);
}

static void
test_no_common_mechanism(void)
{
    Talk t;
    talk_begin(&t, strangers);
    assert_rejected(&t, say_init(&t, text("end"), none), "none of the client's");
    talk_end(&t);
    busy = TRUE;
    talk_begin(&t, first);
    assert_rejected(&t, say_init(&t, text("end"), none), "busy now");
    talk_end(&t);
    busy = FALSE;
}

/* A negotiation inside the negotiation, or another mechanism's token. */
static void
test_foreign_frame(void)
{
    const LaresOid *inside[] = {&unknown_oid, &spnego_oid};
    for (int i = 0; i < 2; i++) {
        Talk t;
        GByteArray *frame = g_byte_array_new();
        der_append(frame, DER_OID, inside[i]->der, inside[i]->len);
        der_wrap(frame, 0, DER_APPLICATION_0);
        talk_begin(&t, first);
        assert_rejected(&t, say_init(&t, (SpnegoBytes){frame->data, frame->len}, none), "another mechanism");
        talk_end(&t);
        g_byte_array_unref(frame);
    }
}

static void
test_mechanism_refuses(void)
{
    Talk t;
    talk_begin(&t, first);
    assert_rejected(&t, say_init(&t, text("nonsense"), none), "not a word");
    talk_end(&t);
}

static void
test_endless(void)
{
    Talk t;
    int n = 0;
    talk_begin(&t, first);
    LaresAuthState state = say_init(&t, text("go on"), none);
    for (; state == LARES_AUTH_CONTINUE && n < 1000; n++)
        state = say(&t, client_resp(text("go on"), none));
    g_assert_cmpint(state, ==, LARES_AUTH_FAILED);
    g_assert_cmpint(n, <, 100);
    talk_end(&t);
}

/* Every prefix, and every byte changed: refused or taken, never more. */
static void
test_garbage(void)
{
    Talk t;
    talk_begin(&t, first);
    g_autoptr(GBytes) good = client_init(t.list, text("go on"), none);
    gsize len;
    const uint8_t *bytes = g_bytes_get_data(good, &len);
    talk_end(&t);
    for (gsize n = 0; n < len; n++) {
        uint32_t major, minor;
        talk_begin(&t, first);
        g_assert_cmpint(say(&t, g_bytes_new(bytes, n)), ==, LARES_AUTH_FAILED);
        lares_auth_context_get_gss_status(t.context, &major, &minor);
        g_assert_cmphex(major, ==, 9u << 16); /* GSS_S_DEFECTIVE_TOKEN */
        talk_end(&t);
        for (int value = 0; value < 256; value++) {
            uint8_t *copy = g_memdup2(bytes, len);
            copy[n] = (uint8_t)value;
            talk_begin(&t, first);
            g_assert_cmpint(say(&t, g_bytes_new_take(copy, len)), !=, LARES_AUTH_ESTABLISHED);
            assert_nothing(&t);
            talk_end(&t);
        }
    }
    talk_begin(&t, first);
    g_autoptr(GByteArray) more = g_byte_array_new();
    g_byte_array_append(more, bytes, (guint)len);
    g_byte_array_append(more, (const uint8_t *)"", 1);
    g_assert_cmpint(say(&t, g_bytes_new(more->data, more->len)), ==, LARES_AUTH_FAILED); /* a byte too many */
    talk_end(&t);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_autoptr(LaresAuthProvider) provider = fake_provider_new(&busy);
    g_assert_true(lares_auth_registry_add(provider, NULL));
    g_test_add_func("/spnego/optimistic-token", test_optimistic);
    g_test_add_func("/spnego/several-tokens", test_several_tokens);
    g_test_add_func("/spnego/another-name-of-the-mechanism", test_alias);
    g_test_add_func("/spnego/request-mic/our-token-is-last", test_request_mic_ours_last);
    g_test_add_func("/spnego/request-mic/their-token-is-last", test_request_mic_theirs_last);
    g_test_add_func("/spnego/voluntary-mic", test_voluntary_mic);
    g_test_add_func("/spnego/guest-has-nothing-to-confirm", test_guest);
    g_test_add_func("/spnego/offer", test_offer);
    g_test_add_func("/spnego/without-negotiation", test_raw_frame);
    g_test_add_func("/spnego/refuses/wrong-mic", test_wrong_mic);
    g_test_add_func("/spnego/refuses/missing-mic", test_missing_mic);
    g_test_add_func("/spnego/refuses/early-mic", test_early_mic);
    g_test_add_func("/spnego/refuses/no-common-mechanism", test_no_common_mechanism);
    g_test_add_func("/spnego/refuses/foreign-frame", test_foreign_frame);
    g_test_add_func("/spnego/refuses/what-the-mechanism-refuses", test_mechanism_refuses);
    g_test_add_func("/spnego/refuses/endless-talk", test_endless);
    g_test_add_func("/spnego/refuses/garbage", test_garbage);
    return g_test_run();
}
