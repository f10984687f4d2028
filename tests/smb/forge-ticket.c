/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A ticket made with the service's own key, as a KDC would make it: with the PAC, the size, the life or the clock that
 * a test wants.
 *
 *     forge-ticket KEYTAB CLIENT SERVICE CCACHE [pac=BYTES] [data=BYTES] [life=SECONDS] [skew=SECONDS]
 *
 * pac: a signed PAC whose LOGON_INFO has that many bytes, as Active Directory's; data: authorization data of no known
 * kind; skew: how far the client's clock is ahead. Spec: RFC 4120 5.3, [MS-PAC] 2. */
#include <krb5/krb5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Exported by the library for its KDC, and in no header. */
krb5_error_code krb5_encrypt_tkt_part(krb5_context, const krb5_keyblock *, krb5_ticket *);
krb5_error_code encode_krb5_ticket(const krb5_ticket *, krb5_data **);

static krb5_context context;

static void
must(krb5_error_code code, const char *what)
{
    if (code == 0)
        return;
    fprintf(stderr, "forge-ticket: %s: %s\n", what, krb5_get_error_message(context, code));
    exit(1);
}

static long
option(char **argv, const char *name)
{
    size_t n = strlen(name);
    for (; *argv; argv++)
        if (strncmp(*argv, name, n) == 0 && (*argv)[n] == '=')
            return atol(*argv + n + 1);
    return 0;
}

static krb5_authdata *
make_pac(long bytes, krb5_timestamp when, krb5_principal client, const krb5_keyblock *key)
{
    krb5_authdata *element = calloc(1, sizeof *element);
    krb5_data buffer = {0, (unsigned)bytes, calloc(1, (size_t)bytes + 1)}, out;
    krb5_pac pac;
    must(krb5_pac_init(context, &pac), "krb5_pac_init");
    must(krb5_pac_add_buffer(context, pac, KRB5_PAC_LOGON_INFO, &buffer), "krb5_pac_add_buffer");
    must(krb5_pac_sign(context, pac, when, client, key, key, &out), "krb5_pac_sign");
    *element = (krb5_authdata){.ad_type = KRB5_AUTHDATA_WIN2K_PAC, .length = out.length, .contents = (void *)out.data};
    krb5_pac_free(context, pac);
    free(buffer.data);
    return element;
}

/* AD-IF-RELEVANT around what was asked for; NULL: nothing was. */
static krb5_authdata **
authorization(char **argv, krb5_timestamp when, krb5_principal client, const krb5_keyblock *key)
{
    static krb5_authdata filler;
    krb5_authdata *inside[3] = {NULL}, **wrapped;
    int n = 0;
    if (option(argv, "pac"))
        inside[n++] = make_pac(option(argv, "pac"), when, client, key);
    if (option(argv, "data")) {
        filler.ad_type = 4711;
        filler.length = (unsigned)option(argv, "data");
        filler.contents = calloc(1, filler.length);
        inside[n++] = &filler;
    }
    if (n == 0)
        return NULL;
    must(krb5_encode_authdata_container(context, KRB5_AUTHDATA_IF_RELEVANT, inside, &wrapped), "authorization data");
    return wrapped;
}

int
main(int argc, char **argv)
{
    krb5_keytab keytab;
    krb5_keytab_entry entry;
    krb5_keyblock session;
    krb5_principal client, service;
    krb5_ccache cache;
    krb5_data *bytes;
    if (argc < 5 || krb5_init_context(&context) != 0)
        return 2;
    must(krb5_parse_name(context, argv[2], &client), "the client's name");
    must(krb5_parse_name(context, argv[3], &service), "the service's name");
    must(krb5_kt_resolve(context, argv[1], &keytab), "the keytab");
    must(krb5_kt_get_entry(context, keytab, service, 0, 0, &entry), "the service's key");
    must(krb5_c_make_random_key(context, entry.key.enctype, &session), "a session key");

    krb5_timestamp now = (krb5_timestamp)time(NULL);
    long life = option(argv + 5, "life"), skew = option(argv + 5, "skew");
    /* Begun long ago, so that a client whose clock is behind uses it, too. */
    krb5_ticket_times times = {now - 7200, now - 7200, (krb5_timestamp)(now + (life ? life : 3600)), 0};
    krb5_enc_tkt_part inside = {.flags = TKT_FLG_PRE_AUTH,
                                .session = &session,
                                .client = client,
                                .transited = {.tr_type = KRB5_DOMAIN_X500_COMPRESS},
                                .times = times,
                                .authorization_data = authorization(argv + 5, times.authtime, client, &entry.key)};
    krb5_ticket ticket = {.server = service, .enc_part = {.kvno = entry.vno}, .enc_part2 = &inside};
    must(krb5_encrypt_tkt_part(context, &entry.key, &ticket), "sealing the ticket");
    must(encode_krb5_ticket(&ticket, &bytes), "encoding the ticket");

    if (skew)
        must(krb5_set_real_time(context, (krb5_timestamp)(now + skew), 0), "the clock");
    krb5_creds creds = {.client = client,
                        .server = service,
                        .keyblock = session,
                        .times = times,
                        .ticket_flags = TKT_FLG_PRE_AUTH,
                        .ticket = *bytes};
    must(krb5_cc_resolve(context, argv[4], &cache), "the cache");
    must(krb5_cc_initialize(context, cache, client), "the cache");
    must(krb5_cc_store_cred(context, cache, &creds), "the cache");
    krb5_cc_close(context, cache);
    krb5_free_context(context);
    return 0;
}
