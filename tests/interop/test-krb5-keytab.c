/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The server's keys as they come, change and break below a running provider. */
#include "krb5-fixture.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATIENCE_US (60 * G_USEC_PER_SEC)

static gboolean
wait_for(LaresKrb5Provider *p, guint n_keys)
{
    gint64 deadline = g_get_monotonic_time() + PATIENCE_US;

    while (g_get_monotonic_time() < deadline) {
        g_autoptr(GVariant) status = g_variant_ref_sink(lares_auth_provider_get_status(LARES_AUTH_PROVIDER(p)));
        g_autoptr(GVariant) keys = g_variant_lookup_value(status, "keys", G_VARIANT_TYPE("aa{sv}"));

        if (keys != NULL && g_variant_n_children(keys) == n_keys)
            return TRUE;
        while (g_main_context_iteration(NULL, FALSE))
            ;
        g_usleep(20000);
    }
    return FALSE;
}

static gboolean
has_error(LaresKrb5Provider *p)
{
    g_autoptr(GVariant) status = g_variant_ref_sink(lares_auth_provider_get_status(LARES_AUTH_PROVIDER(p)));
    const char *text = NULL;
    return g_variant_lookup(status, "problem", "&s", &text);
}

/* The keys are replaced while a client is logged in: its messages go on, tickets of the old and of the new key
 * work, and a broken file changes nothing. */
static void
test_rotation(void)
{
    g_autofree char *keytab = g_build_filename(fixture_realm->dir, "rotated.keytab", NULL);
    g_autofree char *first = g_strdup_printf("ktadd -q -k %s nfs/rotated.pair.test\n", keytab);
    LaresKrb5Provider *p;

    realm_admin(fixture_realm, first);
    p = provider_over(keytab);
    g_assert_true(wait_for(p, 4));
    g_autoptr(GBytes) old_ticket = token_with((ClientRequest){.service = "nfs/rotated.pair.test", .flags = USUAL});
    g_autoptr(GBytes) older = token_with((ClientRequest){.service = "nfs/rotated.pair.test", .flags = USUAL});
    realm_admin(fixture_realm, first);
    g_assert_true(wait_for(p, 8));
    g_autoptr(GBytes) new_ticket = token_with((ClientRequest){.service = "nfs/rotated.pair.test", .flags = USUAL});
    accepted(p, "nfs", old_ticket);
    accepted(p, "nfs", new_ticket);

    g_assert_true(g_file_set_contents(keytab, "this is no keytab", -1, NULL));
    gint64 deadline = g_get_monotonic_time() + PATIENCE_US;
    while (!has_error(p) && g_get_monotonic_time() < deadline)
        g_main_context_iteration(NULL, FALSE);
    g_assert_true(has_error(p));
    g_assert_true(wait_for(p, 8));
    accepted(p, "nfs", older);
    g_unlink(keytab);
    provider_end(p);
}

static void
test_keytab_appears(void)
{
    g_autofree char *keytab = g_build_filename(fixture_realm->dir, "later.keytab", NULL);
    g_autofree char *add = g_strdup_printf("ktadd -q -norandkey -k %s " PAIR_SERVICE "\n", keytab);
    LaresKrb5Provider *p = provider_over(keytab);
    g_autoptr(GError) error = NULL;
    LaresPeer peer = {.address = "192.0.2.1"};

    g_assert_null(lares_auth_provider_accept(LARES_AUTH_PROVIDER(p), "nfs", &peer, &error));
    g_assert_error(error, LARES_ERROR, LARES_ERROR_UNAVAILABLE);
    g_assert_nonnull(strstr(error->message, keytab));
    g_assert_nonnull(strstr(error->message, "laresctl realm create"));
    realm_admin(fixture_realm, add);
    g_assert_true(wait_for(p, 4));
    g_assert_false(has_error(p));
    g_unlink(keytab);
    provider_end(p);
}

/* The whole folder comes by one rename, as a new realm does. */
static void
test_folder_appears(void)
{
    g_autofree char *made = g_build_filename(fixture_realm->dir, "realm.new", NULL);
    g_autofree char *place = g_build_filename(fixture_realm->dir, "realm", NULL);
    g_autofree char *keytab = g_build_filename(place, "service.keytab", NULL);
    g_autofree char *add = g_strdup_printf("ktadd -q -norandkey -k %s/service.keytab " PAIR_SERVICE "\n", made);
    LaresKrb5Provider *p = provider_over(keytab);

    g_assert_cmpint(g_mkdir(made, 0700), ==, 0);
    realm_admin(fixture_realm, add);
    while (g_main_context_iteration(NULL, FALSE))
        ;
    gint64 start = g_get_monotonic_time();
    g_assert_cmpint(g_rename(made, place), ==, 0);
    g_assert_true(wait_for(p, 4));
    g_assert_cmpint(g_get_monotonic_time() - start, <, 2 * G_USEC_PER_SEC);
    g_unlink(keytab);
    g_rmdir(place);
    provider_end(p);
}

static void
test_bad_keytabs(void)
{
    g_autofree char *path = g_build_filename(fixture_realm->dir, "bad.keytab", NULL);
    g_autoptr(GError) garbage = NULL, folder = NULL, text = NULL;

    g_assert_true(g_file_set_contents(path, "\x05\x02\x7f\xff\xff\xff....", -1, NULL));
    g_assert_null(krb5_keytab_load_file(path, &garbage));
    g_assert_error(garbage, LARES_ERROR, LARES_ERROR_CONFIG);
    g_assert_nonnull(strstr(garbage->message, path));
    g_assert_null(krb5_keytab_load_file(fixture_realm->dir, &folder));
    g_assert_error(folder, LARES_ERROR, LARES_ERROR_CONFIG);
    g_assert_nonnull(strstr(folder->message, "name a file, not a folder"));

    /* Neither waits for a writer nor reads without end. */
    g_autofree char *fifo = g_build_filename(fixture_realm->dir, "fifo.keytab", NULL);
    const char *const odd[] = {fifo, "/dev/zero", "/dev/tty"};
    g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
    for (guint i = 0; i < G_N_ELEMENTS(odd); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(krb5_keytab_load_file(odd[i], &error));
        g_assert_error(error, LARES_ERROR, LARES_ERROR_CONFIG);
    }
    g_unlink(fifo);
    /* Two gigabytes of nothing. */
    g_autoptr(GError) large = NULL;
    g_assert_cmpint(truncate(path, (off_t)2 << 30), ==, 0);
    g_assert_null(krb5_keytab_load_file(path, &large));
    g_assert_nonnull(strstr(large->message, "it is something else"));

    g_assert_null(krb5_keytab_load_base64("not! base64", "THE_VARIABLE", &text));
    g_assert_nonnull(strstr(text->message, "THE_VARIABLE"));
    g_unlink(path);
}

/* What ktutil does not write any more, but old machines have: an entry of a type that is not AES. */
static void
add_entry(GByteArray *keytab, uint16_t enctype, uint16_t key_len)
{
    static const char realm[] = "PAIR.TEST", service[] = "nfs", host[] = "old.pair.test";
    g_autoptr(GByteArray) e = g_byte_array_new();
    uint8_t key[32] = {0};
    guint16 n;
    guint32 w;
#define PUT16(v) (n = GUINT16_TO_BE(v), g_byte_array_append(e, (guint8 *)&n, 2))
#define PUT32(v) (w = GUINT32_TO_BE(v), g_byte_array_append(e, (guint8 *)&w, 4))
#define TEXT(s)  (PUT16(sizeof s - 1), g_byte_array_append(e, (const guint8 *)s, sizeof s - 1))
    PUT16(2);
    TEXT(realm);
    TEXT(service);
    TEXT(host);
    PUT32(1);                                    /* NT-PRINCIPAL */
    PUT32(0);                                    /* when it was written */
    g_byte_array_append(e, (guint8 *)"\003", 1); /* kvno */
    PUT16(enctype);
    PUT16(key_len);
    g_byte_array_append(e, key, key_len);
#undef PUT16
#undef PUT32
#undef TEXT
    w = GUINT32_TO_BE(e->len);
    g_byte_array_append(keytab, (guint8 *)&w, 4);
    g_byte_array_append(keytab, e->data, e->len);
}

/* DES, triple DES and RC4 keys are named and left out; a keytab of nothing else is an error that says what to do. */
static void
test_weak_types(void)
{
    static const struct {
        uint16_t enctype, len;
        const char *name;
    } weak[] = {{1, 8, "(1)"}, {3, 8, "(3)"}, {16, 24, "des3"}, {23, 16, "arcfour-hmac"}};
    g_autofree char *path = g_build_filename(fixture_realm->dir, "weak.keytab", NULL);

    for (guint with_aes = 0; with_aes < 2; with_aes++) {
        g_autoptr(GByteArray) keytab = g_byte_array_new();
        g_autoptr(GError) error = NULL;
        g_byte_array_append(keytab, (guint8 *)"\005\002", 2);
        for (guint i = 0; i < G_N_ELEMENTS(weak); i++)
            add_entry(keytab, weak[i].enctype, weak[i].len);
        if (with_aes)
            add_entry(keytab, 18, 32);
        g_assert_true(g_file_set_contents(path, (char *)keytab->data, (gssize)keytab->len, NULL));
        g_autoptr(Krb5Keytab) k = krb5_keytab_load_file(path, &error);
        if (!with_aes) {
            g_assert_null(k);
            g_assert_error(error, LARES_ERROR, LARES_ERROR_CONFIG);
            g_assert_nonnull(strstr(error->message, "has no usable key"));
            g_assert_nonnull(strstr(error->message, "ktadd -e aes256-cts"));
            continue;
        }
        g_assert_no_error(error);
        g_assert_cmpuint(k->entries->len, ==, 1);
        g_assert_cmpuint(k->refused->len, ==, G_N_ELEMENTS(weak));
        for (guint i = 0; i < G_N_ELEMENTS(weak); i++) {
            const char *said = k->refused->pdata[i];
            g_assert_nonnull(strstr(said, "nfs/old.pair.test@PAIR.TEST"));
            g_assert_nonnull(strstr(said, weak[i].name));
        }
    }
    g_unlink(path);
}

static void
test_open_to_everybody(void)
{
    g_autofree char *path = g_build_filename(fixture_realm->dir, "open.keytab", NULL);
    g_autofree char *add = g_strdup_printf("ktadd -q -norandkey -k %s " PAIR_SERVICE "\n", path);
    static const struct {
        int mode;
        gboolean exposed;
    } cases[] = {{0600, FALSE}, {0640, FALSE}, {0644, TRUE}, {0602, TRUE}};

    realm_admin(fixture_realm, add);
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_cmpint(g_chmod(path, cases[i].mode), ==, 0);
        g_autoptr(Krb5Keytab) k = krb5_keytab_load_file(path, &error);
        g_assert_no_error(error);
        g_assert_cmpint(k->exposed, ==, cases[i].exposed);
    }
    g_unlink(path);
}

static void
test_base64(void)
{
    g_autofree char *bytes = NULL, *base64 = NULL;
    const char *const none[] = {NULL};
    LaresKrb5Provider *p = lares_krb5_provider_new(1000);
    g_autoptr(GBytes) token = token_with((ClientRequest){.flags = USUAL});
    gsize len;

    g_assert_true(g_file_get_contents(fixture_realm->keytab, &bytes, &len, NULL));
    base64 = g_base64_encode((const guchar *)bytes, len);
    lares_krb5_provider_configure(p, &(Krb5Config){.keytabs = none,
                                                   .base64 = base64,
                                                   .base64_source = "LARES_KERBEROS_KEYTAB_BASE64",
                                                   .services = fixture_no_services,
                                                   .hosts = fixture_hosts,
                                                   .clock_skew = SKEW});
    accepted(p, "nfs", token);
    provider_end(p);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    if (!fixture_start())
        return 77;
    realm_admin(fixture_realm, "addprinc -randkey nfs/rotated.pair.test\n");
    fixture_use_profile();
    g_test_add_func("/krb5-keytab/rotation", test_rotation);
    g_test_add_func("/krb5-keytab/appears-later", test_keytab_appears);
    g_test_add_func("/krb5-keytab/folder-appears-later", test_folder_appears);
    g_test_add_func("/krb5-keytab/bad", test_bad_keytabs);
    g_test_add_func("/krb5-keytab/weak-types", test_weak_types);
    g_test_add_func("/krb5-keytab/open-to-everybody", test_open_to_everybody);
    g_test_add_func("/krb5-keytab/base64", test_base64);
    int status = g_test_run();
    fixture_stop();
    return status;
}
