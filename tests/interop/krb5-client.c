/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See krb5-client.h. */
#include "krb5-client.h"

#include <profile.h>
#include <string.h>
#include <time.h>

static krb5_error_code
open_context(Realm *realm, krb5_context *ctx)
{
    g_autofree char *path = g_build_filename(realm->dir, "krb5.conf", NULL);
    profile_t profile = NULL;
    krb5_error_code code = profile_init_path(path, &profile);

    if (code != 0)
        return code;
    code = krb5_init_context_profile(profile, 0, ctx);
    profile_release(profile);
    return code;
}

static krb5_error_code
get_ticket(krb5_context ctx, Realm *realm, const ClientRequest *r, krb5_creds **ticket)
{
    g_autofree char *keytab_name = g_strdup_printf("FILE:%s", realm->client_keytab);
    g_autofree char *service = g_strdup_printf("%s@" PAIR_REALM, r->service != NULL ? r->service : PAIR_SERVICE);
    krb5_enctype only[2] = {r->session_enctype, 0};
    krb5_get_init_creds_opt *opt = NULL;
    krb5_principal alice = NULL;
    krb5_keytab keytab = NULL;
    krb5_ccache cache = NULL;
    krb5_creds tgt = {0}, want = {0};
    krb5_error_code code;

    if ((code = krb5_parse_name(ctx, "alice@" PAIR_REALM, &alice)) == 0 &&
        (code = krb5_kt_resolve(ctx, keytab_name, &keytab)) == 0 &&
        (code = krb5_get_init_creds_opt_alloc(ctx, &opt)) == 0) {
        if (r->ticket_life != 0)
            krb5_get_init_creds_opt_set_tkt_life(opt, r->ticket_life);
        code = krb5_get_init_creds_keytab(ctx, &tgt, alice, keytab, 0, NULL, opt);
    }
    if (code == 0 && (code = krb5_cc_new_unique(ctx, "MEMORY", NULL, &cache)) == 0 &&
        (code = krb5_cc_initialize(ctx, cache, alice)) == 0 && (code = krb5_cc_store_cred(ctx, cache, &tgt)) == 0 &&
        (code = krb5_parse_name(ctx, service, &want.server)) == 0) {
        want.client = alice;
        if (r->session_enctype != 0)
            krb5_set_default_tgs_enctypes(ctx, only);
        code = krb5_get_credentials(ctx, 0, cache, &want, ticket);
    }
    krb5_free_principal(ctx, want.server);
    krb5_free_cred_contents(ctx, &tgt);
    krb5_get_init_creds_opt_free(ctx, opt);
    krb5_free_principal(ctx, alice);
    if (cache != NULL)
        krb5_cc_destroy(ctx, cache);
    if (keytab != NULL)
        krb5_kt_close(ctx, keytab);
    return code;
}

static krb5_error_code
make_request(krb5_context ctx, const ClientRequest *r, krb5_creds *ticket, krb5_data *out)
{
    uint8_t flags[24] = {16}; /* RFC 4121 4.1.1: length of the bindings, no bindings, flags */
    krb5_data checksum = {.length = sizeof flags, .data = (char *)flags};
    krb5_auth_context auth = NULL;
    krb5_error_code code;

    for (int i = 0; i < 4; i++)
        flags[20 + i] = (uint8_t)(r->flags >> (8 * i));
    if (r->clock_error != 0)
        krb5_set_real_time(ctx, (krb5_timestamp)(time(NULL) + r->clock_error), 0);
    if ((code = krb5_auth_con_init(ctx, &auth)) == 0) {
        krb5_auth_con_setflags(ctx, auth, r->plain ? 0 : KRB5_AUTH_CONTEXT_DO_SEQUENCE);
        krb5_auth_con_set_req_cksumtype(ctx, auth, 0x8003);
        code = krb5_mk_req_extended(ctx, &auth,
                                    (r->plain ? 0 : AP_OPTS_USE_SUBKEY) |
                                        ((r->flags & GSS_C_MUTUAL_FLAG) != 0 ? AP_OPTS_MUTUAL_REQUIRED : 0),
                                    &checksum, ticket, out);
        krb5_auth_con_free(ctx, auth);
    }
    return code;
}

/* RFC 2743 3.1 around the AP-REQ; every length here needs two bytes. */
static GBytes *
frame(const krb5_data *request)
{
    static const uint8_t head[] = {0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 1, 2, 2, 1, 0};
    size_t inner = sizeof head + request->length;
    const uint8_t start[] = {0x60, 0x82, (uint8_t)(inner >> 8), (uint8_t)inner};
    GByteArray *token = g_byte_array_new();

    g_assert_cmpuint(inner, >=, 256);
    g_byte_array_append(token, start, sizeof start);
    g_byte_array_append(token, head, sizeof head);
    g_byte_array_append(token, (const uint8_t *)request->data, request->length);
    return g_byte_array_free_to_bytes(token);
}

GBytes *
client_token(Realm *realm, const ClientRequest *r, char **why)
{
    krb5_context ctx = NULL;
    krb5_creds *ticket = NULL;
    krb5_data request = {0};
    GBytes *token = NULL;
    krb5_error_code code = open_context(realm, &ctx);

    if (code == 0 && (code = get_ticket(ctx, realm, r, &ticket)) == 0 &&
        (code = make_request(ctx, r, ticket, &request)) == 0)
        token = frame(&request);
    if (code != 0 && why != NULL) {
        const char *text = krb5_get_error_message(ctx, code);
        *why = g_strdup(text);
        krb5_free_error_message(ctx, text);
    }
    krb5_free_data_contents(ctx, &request);
    krb5_free_creds(ctx, ticket);
    krb5_free_context(ctx);
    return token;
}
