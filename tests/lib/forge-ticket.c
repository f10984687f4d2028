/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A ticket made with the service's own key, as a KDC would make it: with the PAC, the size, the life or the clock that
 * a test wants.
 *
 *     forge-ticket KEYTAB CLIENT SERVICE CCACHE [pac=FILE] [pad=BYTES] [signed=0] [spoiled=1] [of=CLIENT] [data=BYTES]
 *                  [kdc=0] [life=SECONDS] [skew=SECONDS]
 *
 * pac: a PAC whose LOGON_INFO is that file, as Active Directory's; pad: a buffer of another kind in it; signed: 0 for
 * one that another key than the service's signed; spoiled: a bit of it is another after it was signed; of: whose it is,
 * if not the ticket's client's; kdc: 0 for one without the KDC's own checksum, but with the service's (1: with both, as
 * made here); data: authorization data of no known kind; skew: how far the client's
 * clock is ahead. Spec: RFC 4120 5.3, [MS-PAC] 2. */
#include <krb5/krb5.h>
#include <stdint.h>
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

static const char *
text_option(char **argv, const char *name)
{
    size_t n = strlen(name);
    for (; *argv; argv++)
        if (strncmp(*argv, name, n) == 0 && (*argv)[n] == '=')
            return *argv + n + 1;
    return NULL;
}

static krb5_data
read_file(const char *path)
{
    krb5_data bytes = {0, 0, calloc(1, 65536)};
    FILE *f = fopen(path, "rb");
    if (f) {
        bytes.length = (unsigned)fread(bytes.data, 1, 65536, f);
        fclose(f);
    }
    return bytes;
}

/* In front of the server's checksum: no kind that anybody reads. */
#define PAC_OF_NO_KIND 0x4711

/* ---- A PAC's checksums ([MS-PAC] 2.8) ---------------------------------------------------------------------------- */

#define APP_DATA_CKSUM 17 /* KERB_NON_KERB_CKSUM_SALT */

static uint32_t
le32(const char *at)
{
    const unsigned char *b = (const unsigned char *)at;
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

/* The PAC_INFO_BUFFER of a type. */
static char *
buffer_of(const krb5_data *pac, uint32_t type)
{
    for (uint32_t i = 0; i < le32(pac->data); i++)
        if (le32(pac->data + 8 + 16 * i) == type)
            return pac->data + 8 + 16 * i;
    fprintf(stderr, "forge-ticket: the PAC has no buffer %u\n", type);
    exit(1);
}

/* The service's checksum anew, with the KDC's beside it or none: its buffer is of no kind then. */
static void
sign_again(krb5_data *pac, const krb5_keyblock *key, int with_kdc)
{
    char *server = buffer_of(pac, KRB5_PAC_SERVER_CHECKSUM), *kdc = buffer_of(pac, KRB5_PAC_PRIVSVR_CHECKSUM);
    char *server_sum = pac->data + le32(server + 8), *kdc_sum = pac->data + le32(kdc + 8), kept[64];
    size_t server_len = le32(server + 4) - 4, kdc_len = le32(kdc + 4) - 4;
    krb5_checksum sum;
    memcpy(kept, kdc_sum + 4, kdc_len);
    memset(server_sum + 4, 0, server_len);
    memset(kdc_sum + 4, 0, kdc_len);
    if (!with_kdc)
        memcpy(kdc, "\x12\x47", 2);
    must(krb5_c_make_checksum(context, (krb5_cksumtype)le32(server_sum), key, APP_DATA_CKSUM, pac, &sum), "a checksum");
    memcpy(server_sum + 4, sum.contents, sum.length);
    if (with_kdc)
        memcpy(kdc_sum + 4, kept, kdc_len);
}

static krb5_authdata *
make_pac(char **argv, krb5_timestamp when, krb5_principal client, const krb5_keyblock *key)
{
    krb5_authdata *element = calloc(1, sizeof *element);
    const char *path = text_option(argv, "pac"), *own = text_option(argv, "signed");
    krb5_data pad = {0, (unsigned)option(argv, "pad"), calloc(1, (size_t)option(argv, "pad") + 1)}, info, out;
    const char *of = text_option(argv, "of");
    krb5_keyblock another;
    krb5_pac pac;
    must(krb5_pac_init(context, &pac), "krb5_pac_init");
    if (path) {
        info = read_file(path);
        must(krb5_pac_add_buffer(context, pac, KRB5_PAC_LOGON_INFO, &info), "krb5_pac_add_buffer");
        free(info.data);
    }
    if (pad.length)
        must(krb5_pac_add_buffer(context, pac, PAC_OF_NO_KIND, &pad), "krb5_pac_add_buffer");
    must(krb5_c_make_random_key(context, key->enctype, &another), "another key");
    if (own && *own == '0')
        key = &another;
    if (of)
        must(krb5_parse_name(context, of, &client), "the PAC's client");
    must(krb5_pac_sign(context, pac, when, client, key, key, &out), "krb5_pac_sign");
    if (text_option(argv, "kdc"))
        sign_again(&out, key, option(argv, "kdc") != 0);
    if (option(argv, "spoiled"))
        out.data[out.length / 2] ^= 1;
    *element = (krb5_authdata){.ad_type = KRB5_AUTHDATA_WIN2K_PAC, .length = out.length, .contents = (void *)out.data};
    krb5_pac_free(context, pac);
    free(pad.data);
    return element;
}

/* AD-IF-RELEVANT around what was asked for; NULL: nothing was. */
static krb5_authdata **
authorization(char **argv, krb5_timestamp when, krb5_principal client, const krb5_keyblock *key)
{
    static krb5_authdata filler;
    krb5_authdata *inside[3] = {NULL}, **wrapped;
    int n = 0;
    if (text_option(argv, "pac") || option(argv, "pad"))
        inside[n++] = make_pac(argv, when, client, key);
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
