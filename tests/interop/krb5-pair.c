/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See krb5-pair.h. */
#include "krb5-pair.h"

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define SBIN_PATH "/usr/sbin:/usr/lib/krb5kdc:/usr/bin:/sbin:/bin"

static char *
program(const char *name)
{
    g_autofree char *old = g_strdup(g_getenv("PATH"));
    g_autofree char *both = g_strdup_printf("%s:%s", old != NULL ? old : "", SBIN_PATH);

    g_setenv("PATH", both, TRUE);
    char *found = g_find_program_in_path(name);
    if (old != NULL)
        g_setenv("PATH", old, TRUE);
    return found;
}

static void
run(const char *const *argv, const char *input)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *out = NULL;
    g_autoptr(GSubprocess) p = g_subprocess_newv(
        argv, G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_MERGE, &error);
    g_assert_no_error(error);
    g_subprocess_communicate_utf8(p, input, NULL, &out, NULL, &error);
    g_assert_no_error(error);
    if (!g_subprocess_get_successful(p))
        g_error("%s failed: %s", argv[0], out);
}

static guint16
free_port(void)
{
    g_autoptr(GSocketListener) l = g_socket_listener_new();
    return g_socket_listener_add_any_inet_port(l, NULL, NULL);
}

static void
write_file(const char *dir, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    g_autoptr(GError) error = NULL;

    g_file_set_contents(path, text, -1, &error);
    g_assert_no_error(error);
}

static void
write_config(const Realm *r)
{
    g_autofree char *conf =
        g_strdup_printf("[libdefaults]\n default_realm = " PAIR_REALM "\n dns_lookup_kdc = false\n"
                        " dns_lookup_realm = false\n dns_canonicalize_hostname = false\n rdns = false\n"
                        " allow_rc4 = true\n allow_weak_crypto = true\n"
                        " permitted_enctypes = aes256-cts-hmac-sha1-96 aes128-cts-hmac-sha1-96"
                        " aes256-cts-hmac-sha384-192 aes128-cts-hmac-sha256-128 arcfour-hmac\n"
                        " default_keytab_name = FILE:%s/nothing.keytab\n default_ccache_name = MEMORY:default\n"
                        "[realms]\n " PAIR_REALM " = {\n  kdc = 127.0.0.1:%u\n }\n"
                        "[domain_realm]\n .pair.test = " PAIR_REALM "\n",
                        r->dir, r->port);
    g_autofree char *kdc =
        g_strdup_printf("[realms]\n " PAIR_REALM " = {\n  database_name = %s/principal\n"
                        "  key_stash_file = %s/stash\n  kdc_listen = 127.0.0.1:%u\n  kdc_tcp_listen = "
                        "127.0.0.1:%u\n"
                        "  supported_enctypes = aes256-cts:normal aes128-cts:normal aes256-sha2:normal "
                        "aes128-sha2:normal\n  max_life = 1h\n }\n[logging]\n kdc = FILE:%s/kdc.log\n",
                        r->dir, r->dir, r->port, r->port, r->dir);
    g_autofree char *conf_path = g_build_filename(r->dir, "krb5.conf", NULL);
    g_autofree char *kdc_path = g_build_filename(r->dir, "kdc.conf", NULL);

    write_file(r->dir, "krb5.conf", conf);
    write_file(r->dir, "kdc.conf", kdc);
    g_setenv("KRB5_CONFIG", conf_path, TRUE);
    g_setenv("KRB5_KDC_PROFILE", kdc_path, TRUE);
    g_setenv("KRB5RCACHENAME", "none:", TRUE);
    g_setenv("KRB5CCNAME", "MEMORY:default", TRUE);
}

static void
wait_for_kdc(const Realm *r)
{
    g_autoptr(GSocketClient) client = g_socket_client_new();

    for (int i = 0; i < 200; i++) {
        g_autoptr(GSocketConnection) c = g_socket_client_connect_to_host(client, "127.0.0.1", r->port, NULL, NULL);
        if (c != NULL)
            return;
        g_usleep(25000);
    }
    g_error("krb5kdc does not answer on port %u", r->port);
}

void
realm_admin(Realm *realm, const char *lines)
{
    g_autofree char *kadmin = program("kadmin.local");
    run((const char *const[]){kadmin, NULL}, lines);
}

/* A test that aborts does not reach realm_stop. */
static void
end_with_parent(gpointer user_data)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
}

Realm *
realm_start(void)
{
    g_autofree char *kdb5_util = program("kdb5_util");
    g_autofree char *krb5kdc = program("krb5kdc");
    g_autofree char *kadmin = program("kadmin.local");
    g_autoptr(GError) error = NULL;

    if (kdb5_util == NULL || krb5kdc == NULL || kadmin == NULL)
        return NULL;
    Realm *r = g_new0(Realm, 1);
    r->dir = g_dir_make_tmp("lares-realm-XXXXXX", &error);
    g_assert_no_error(error);
    r->keytab = g_build_filename(r->dir, "service.keytab", NULL);
    r->client_keytab = g_build_filename(r->dir, "client.keytab", NULL);
    r->port = free_port();
    write_config(r);
    run((const char *const[]){kdb5_util, "create", "-s", "-P", "master", "-r", PAIR_REALM, NULL}, NULL);
    g_autofree char *lines = g_strdup_printf("addprinc -randkey " PAIR_SERVICE "\n"
                                             "addprinc -randkey alice\n"
                                             "ktadd -q -k %s " PAIR_SERVICE "\n"
                                             "ktadd -q -k %s alice\n",
                                             r->keytab, r->client_keytab);
    realm_admin(r, lines);
    char *argv[] = {krb5kdc, (char *)"-n", NULL};
    g_spawn_async(NULL, argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL,
                  end_with_parent, NULL, &r->kdc, &error);
    g_assert_no_error(error);
    wait_for_kdc(r);
    return r;
}

void
realm_stop(Realm *r)
{
    g_autoptr(GDir) dir = NULL;
    const char *name;

    if (r == NULL)
        return;
    kill(r->kdc, SIGTERM);
    waitpid(r->kdc, NULL, 0);
    dir = g_dir_open(r->dir, 0, NULL);
    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *path = g_build_filename(r->dir, name, NULL);
        g_unlink(path);
    }
    g_rmdir(r->dir);
    g_free(r->dir);
    g_free(r->keytab);
    g_free(r->client_keytab);
    g_free(r);
}

char *
gss_error_text(OM_uint32 major, OM_uint32 minor)
{
    GString *text = g_string_new(NULL);
    OM_uint32 code[2] = {major, minor}, ignored, more;

    for (int i = 0; i < 2; i++) {
        more = 0;
        do {
            gss_buffer_desc b = GSS_C_EMPTY_BUFFER;
            gss_display_status(&ignored, code[i], i == 0 ? GSS_C_GSS_CODE : GSS_C_MECH_CODE, gss_mech_krb5, &more, &b);
            g_string_append_printf(text, "%.*s; ", (int)b.length, (char *)b.value);
            gss_release_buffer(&ignored, &b);
        } while (more != 0);
    }
    return g_string_free(text, FALSE);
}

#define check(maj, min)                                                                                                \
    G_STMT_START                                                                                                       \
    {                                                                                                                  \
        if (GSS_ERROR(maj)) {                                                                                          \
            g_autofree char *text_ = gss_error_text(maj, min);                                                         \
            g_error("%s:%d: %s", __FILE__, __LINE__, text_);                                                           \
        }                                                                                                              \
    }                                                                                                                  \
    G_STMT_END

static gss_name_t
import_name(const char *principal)
{
    gss_buffer_desc b = {strlen(principal), (char *)principal};
    gss_name_t name = GSS_C_NO_NAME;
    OM_uint32 major, minor;

    major = gss_import_name(&minor, &b, GSS_KRB5_NT_PRINCIPAL_NAME, &name);
    check(major, minor);
    return name;
}

gss_name_t
realm_target(const char *principal)
{
    return import_name(principal);
}

gss_cred_id_t
realm_client_cred(Realm *realm, int enctype)
{
    static int serial;
    g_autofree char *ccache = g_strdup_printf("MEMORY:pair-%d", serial++);
    gss_key_value_element_desc e[2] = {{"client_keytab", realm->client_keytab}, {"ccache", ccache}};
    gss_key_value_set_desc store = {2, e};
    gss_OID_desc both[2] = {*gss_mech_krb5, {6, (void *)"\x2b\x06\x01\x05\x05\x02"}}; /* and SPNEGO */
    gss_OID_set_desc mechs = {2, both};
    gss_name_t alice = import_name("alice@" PAIR_REALM);
    gss_cred_id_t cred = GSS_C_NO_CREDENTIAL;
    OM_uint32 major, minor;

    major = gss_acquire_cred_from(&minor, alice, GSS_C_INDEFINITE, &mechs, GSS_C_INITIATE, &store, &cred, NULL, NULL);
    check(major, minor);
    if (enctype != 0) {
        krb5_enctype only = enctype;
        major = gss_krb5_set_allowable_enctypes(&minor, cred, 1, &only);
        check(major, minor);
    }
    gss_release_name(&minor, &alice);
    return cred;
}

static gss_cred_id_t
service_cred(Realm *realm)
{
    gss_key_value_element_desc e[1] = {{"keytab", realm->keytab}};
    gss_key_value_set_desc store = {1, e};
    gss_OID_set_desc mechs = {1, (gss_OID)gss_mech_krb5};
    gss_cred_id_t cred = GSS_C_NO_CREDENTIAL;
    OM_uint32 major, minor;

    major =
        gss_acquire_cred_from(&minor, GSS_C_NO_NAME, GSS_C_INDEFINITE, &mechs, GSS_C_ACCEPT, &store, &cred, NULL, NULL);
    check(major, minor);
    return cred;
}

void
realm_pair(Realm *realm, int enctype, OM_uint32 flags, gss_ctx_id_t *initiator, gss_ctx_id_t *acceptor)
{
    gss_cred_id_t client = realm_client_cred(realm, enctype), server = service_cred(realm);
    gss_name_t target = realm_target(PAIR_SERVICE "@" PAIR_REALM);
    gss_buffer_desc to_server = GSS_C_EMPTY_BUFFER, to_client = GSS_C_EMPTY_BUFFER;
    OM_uint32 i_major = GSS_S_CONTINUE_NEEDED, a_major = GSS_S_CONTINUE_NEEDED, minor;

    *initiator = *acceptor = GSS_C_NO_CONTEXT;
    while (i_major == GSS_S_CONTINUE_NEEDED || a_major == GSS_S_CONTINUE_NEEDED) {
        if (i_major == GSS_S_CONTINUE_NEEDED) {
            i_major = gss_init_sec_context(&minor, client, initiator, target, (gss_OID)gss_mech_krb5, flags, 0, NULL,
                                           &to_client, NULL, &to_server, NULL, NULL);
            check(i_major, minor);
            gss_release_buffer(&minor, &to_client);
        }
        if (a_major == GSS_S_CONTINUE_NEEDED) {
            a_major = gss_accept_sec_context(&minor, acceptor, server, &to_server, NULL, NULL, NULL, &to_client, NULL,
                                             NULL, NULL);
            check(a_major, minor);
            gss_release_buffer(&minor, &to_server);
        }
    }
    gss_release_buffer(&minor, &to_client);
    gss_release_name(&minor, &target);
    gss_release_cred(&minor, &client);
    gss_release_cred(&minor, &server);
}
