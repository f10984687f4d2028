/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The service keytab and its rotation, seen by a real initiator and a real acceptor. */
#include "fixture.h"

#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>
#include <krb5.h>
#include <sys/stat.h>

#include <string.h>

static gss_name_t
service_name(const char *text)
{
    gss_buffer_desc buffer = {.value = (void *)text, .length = strlen(text)};
    gss_name_t name = GSS_C_NO_NAME;
    OM_uint32 minor;

    g_assert_cmpuint(gss_import_name(&minor, &buffer, GSS_C_NT_HOSTBASED_SERVICE, &name), ==, GSS_S_COMPLETE);
    return name;
}

static gss_cred_id_t
credential(const char *kind, const char *where, gss_cred_usage_t usage)
{
    gss_key_value_element_desc element = {.key = kind, .value = where};
    gss_key_value_set_desc store = {.count = 1, .elements = &element};
    gss_cred_id_t cred = GSS_C_NO_CREDENTIAL;
    OM_uint32 minor;
    OM_uint32 major = gss_acquire_cred_from(&minor, GSS_C_NO_NAME, GSS_C_INDEFINITE, GSS_C_NO_OID_SET, usage, &store,
                                            &cred, NULL, NULL);

    g_assert_cmphex(major, ==, GSS_S_COMPLETE);
    return cred;
}

/* Whether a token made with this ccache is accepted with the service keytab. */
static gboolean
accepted(Fixture *f, const char *ccache, const char *service)
{
    g_autofree char *cc = g_strdup_printf("FILE:%s/%s", f->state, ccache);
    g_autofree char *kt = g_strdup_printf("FILE:%s/" REALM_KEYTAB, f->conf->dir);
    gss_cred_id_t initiator = credential("ccache", cc, GSS_C_INITIATE);
    gss_cred_id_t acceptor = credential("keytab", kt, GSS_C_ACCEPT);
    gss_name_t name = service_name(service);
    gss_ctx_id_t out = GSS_C_NO_CONTEXT, in = GSS_C_NO_CONTEXT;
    gss_buffer_desc token = GSS_C_EMPTY_BUFFER, reply = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor, major;

    major = gss_init_sec_context(&minor, initiator, &out, name, (gss_OID)gss_mech_krb5,
                                 GSS_C_MUTUAL_FLAG | GSS_C_INTEG_FLAG, 0, NULL, NULL, NULL, &token, NULL, NULL);
    g_assert_cmphex(major, ==, GSS_S_CONTINUE_NEEDED);
    major = gss_accept_sec_context(&minor, &in, acceptor, &token, NULL, NULL, NULL, &reply, NULL, NULL, NULL);
    if (GSS_ERROR(major))
        g_test_message("accept: major %x minor %d", major, (int)minor);
    gss_release_buffer(&minor, &token);
    gss_release_buffer(&minor, &reply);
    gss_delete_sec_context(&minor, &out, NULL);
    gss_delete_sec_context(&minor, &in, NULL);
    gss_release_name(&minor, &name);
    gss_release_cred(&minor, &initiator);
    gss_release_cred(&minor, &acceptor);
    return major == GSS_S_COMPLETE;
}

/* How many keys of each kvno the keytab has: out[1] for kvno 1 and so on, up to 3. */
static void
count_keys(Fixture *f, guint out[4])
{
    g_autofree char *name = g_strdup_printf("FILE:%s/" REALM_KEYTAB, f->conf->dir);
    krb5_context ctx;
    krb5_keytab keytab;
    krb5_kt_cursor cursor;
    krb5_keytab_entry entry;

    memset(out, 0, 4 * sizeof *out);
    g_assert_cmpint(krb5_init_context(&ctx), ==, 0);
    g_assert_cmpint(krb5_kt_resolve(ctx, name, &keytab), ==, 0);
    g_assert_cmpint(krb5_kt_start_seq_get(ctx, keytab, &cursor), ==, 0);
    while (krb5_kt_next_entry(ctx, keytab, &entry, &cursor) == 0) {
        g_assert_cmpuint(entry.vno, >=, 1);
        g_assert_cmpuint(entry.vno, <=, 3);
        /* aes128/aes256 with SHA-1 and with SHA-2, and nothing else. */
        g_assert_cmpint(entry.key.enctype, >=, ENCTYPE_AES128_CTS_HMAC_SHA1_96);
        g_assert_cmpint(entry.key.enctype, <=, ENCTYPE_AES256_CTS_HMAC_SHA384_192);
        out[entry.vno]++;
        krb5_free_keytab_entry_contents(ctx, &entry);
    }
    krb5_kt_end_seq_get(ctx, keytab, &cursor);
    krb5_kt_close(ctx, keytab);
    krb5_free_context(ctx);
}

/* Three names, four services, four key types. */
#define KEYS 48

static void
use_realm(Fixture *f)
{
    g_autofree char *krb5 = realm_conf_path(f->conf, "krb5.conf");

    g_setenv("KRB5_CONFIG", krb5, TRUE);
    g_setenv("KRB5RCACHENAME", "none:", TRUE);
}

static void
stop_using_realm(void)
{
    g_unsetenv("KRB5_CONFIG");
    g_unsetenv("KRB5RCACHENAME");
}

static void
test_rotation(void)
{
    Fixture *f = fixture_new();
    const char *const kvno[] = {"kvno", "nfs/" TEST_HOST, NULL};
    gint64 now = g_get_real_time() / G_USEC_PER_SEC;
    GError *error = NULL;
    guint keys[4], n = 0;

    fixture_create(f);
    fixture_start(f);
    use_realm(f);
    json_object_unref(fixture_call(f, "user-add", "anna", "correct horse"));
    g_assert_true(fixture_kinit(f, "before", "anna", "correct horse"));
    g_assert_true(fixture_run(f, "before", NULL, kvno, NULL));
    g_assert_true(accepted(f, "before", "nfs@" TEST_HOST));
    count_keys(f, keys);
    g_assert_cmpuint(keys[1], ==, KEYS);

    /* Staged: the keytab can do more, the KDC does not use it yet. */
    realm_service_stage(f->conf, &f->programs, &error);
    g_assert_no_error(error);
    count_keys(f, keys);
    g_assert_cmpuint(keys[1], ==, KEYS);
    g_assert_cmpuint(keys[2], ==, KEYS);
    g_assert_true(accepted(f, "before", "nfs@" TEST_HOST));
    g_assert_true(fixture_kinit(f, "middle", "anna", "correct horse"));
    g_assert_true(accepted(f, "middle", "nfs@" TEST_HOST));
    /* A restart between the steps changes nothing, and staging twice stages once. */
    realm_service_sync(f->conf, &f->programs, &error);
    g_assert_no_error(error);
    realm_service_stage(f->conf, &f->programs, &error);
    g_assert_no_error(error);
    count_keys(f, keys);
    g_assert_cmpuint(keys[2], ==, KEYS);
    g_assert_cmpuint(keys[3], ==, 0);

    realm_service_commit(f->conf, &f->programs, &n, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(n, ==, KEYS);
    realm_service_commit(f->conf, &f->programs, &n, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(n, ==, 0);
    g_assert_true(fixture_kinit(f, "after", "anna", "correct horse"));
    {
        g_autofree char *text = NULL;
        g_assert_true(fixture_run(f, "after", NULL, kvno, &text));
        g_assert_nonnull(strstr(text, "kvno = 2"));
    }
    g_assert_true(accepted(f, "before", "nfs@" TEST_HOST));
    g_assert_true(accepted(f, "middle", "nfs@" TEST_HOST));
    g_assert_true(accepted(f, "after", "nfs@" TEST_HOST));

    /* Nothing goes while a ticket may live, everything old goes afterwards. */
    realm_service_purge(f->conf, &f->programs, now + f->conf->max_life - 60, &n, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(n, ==, 0);
    realm_service_purge(f->conf, &f->programs, now + f->conf->max_life + 3600, &n, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(n, ==, KEYS);
    count_keys(f, keys);
    g_assert_cmpuint(keys[1], ==, 0);
    g_assert_cmpuint(keys[2], ==, KEYS);
    g_assert_false(accepted(f, "before", "nfs@" TEST_HOST));
    g_assert_true(accepted(f, "after", "nfs@" TEST_HOST));
    stop_using_realm();
    fixture_free(f);
}

static void
test_keytab_is_rebuilt(void)
{
    Fixture *f = fixture_new();
    g_autofree char *path = NULL;
    g_autofree char *first = NULL;
    g_autofree char *second = NULL;
    gsize first_length, second_length;
    GError *error = NULL;
    struct stat before, after;

    fixture_create(f);
    path = realm_conf_path(f->conf, REALM_KEYTAB);
    g_assert_true(g_file_get_contents(path, &first, &first_length, NULL));
    g_assert_cmpint(stat(path, &before), ==, 0);
    realm_service_sync(f->conf, &f->programs, &error);
    g_assert_no_error(error);
    g_assert_cmpint(stat(path, &after), ==, 0);
    g_assert_cmpuint(before.st_ino, ==, after.st_ino);
    /* Garbage and absence are both mended from the database. */
    g_assert_true(g_file_set_contents(path, "garbage", -1, NULL));
    realm_service_sync(f->conf, &f->programs, &error);
    g_assert_no_error(error);
    g_assert_true(g_file_get_contents(path, &second, &second_length, NULL));
    g_assert_cmpmem(first, first_length, second, second_length);
    g_assert_cmpint(stat(path, &after), ==, 0);
    g_assert_cmphex(after.st_mode & 07777, ==, 0600);
    /* A new alias gets its principals. */
    realm_conf_set(f->conf, "aliases", "server files.lares.test nas.lares.test", &error);
    g_assert_no_error(error);
    realm_service_sync(f->conf, &f->programs, &error);
    g_assert_no_error(error);
    g_free(g_steal_pointer(&second));
    g_assert_true(g_file_get_contents(path, &second, &second_length, NULL));
    g_assert_cmpuint(second_length, >, first_length);
    fixture_free(f);
}

void
add_service_tests(void)
{
    g_test_add_func("/realm/service/rotation-without-a-break", test_rotation);
    g_test_add_func("/realm/service/keytab-is-rebuilt", test_keytab_is_rebuilt);
}
