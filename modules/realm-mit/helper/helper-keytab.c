/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Keys between the database and keytab files: collected, read back, put into the file format in
 * memory and written in one piece.
 *
 * Spec: the keytab file format, version 0x0502: big-endian, one record per key, each with a 32-bit
 * kvno behind the 8-bit one.
 */
#include "helper.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define KEYTAB_VERSION 0x0502

static void
key_free(gpointer data)
{
    HelperKey *key = data;

    krb5_free_principal(key->ctx, key->principal);
    krb5_free_keyblock_contents(key->ctx, &key->key);
    g_free(key);
}

GPtrArray *
helper_keys_new(void)
{
    return g_ptr_array_new_with_free_func(key_free);
}

void
helper_keys_add(Helper *h, GPtrArray *keys, krb5_const_principal principal, krb5_kvno kvno, guint32 stamp,
                const krb5_keyblock *key)
{
    HelperKey *entry = g_new0(HelperKey, 1);

    entry->ctx = h->ctx;
    entry->kvno = kvno;
    entry->stamp = stamp;
    if (krb5_copy_principal(h->ctx, principal, &entry->principal) != 0 ||
        krb5_copy_keyblock_contents(h->ctx, key, &entry->key) != 0)
        g_error("out of memory");
    g_ptr_array_add(keys, entry);
}

krb5_kvno
helper_keys_newest(Helper *h, GPtrArray *keys, krb5_const_principal principal)
{
    krb5_kvno newest = 0;

    for (guint i = 0; i < keys->len; i++) {
        HelperKey *key = g_ptr_array_index(keys, i);
        if (key->kvno > newest && krb5_principal_compare(h->ctx, key->principal, principal))
            newest = key->kvno;
    }
    return newest;
}

gboolean
helper_keys_from_db(Helper *h, GPtrArray *keys, krb5_principal principal, GError **error)
{
    kadm5_key_data *data = NULL;
    int n = 0;
    /* kvno 0 asks for the keys of every version. */
    krb5_error_code code = kadm5_get_principal_keys(h->kadm, principal, 0, &data, &n);

    if (!helper_fail(h, code, "the keys cannot be read", error))
        return FALSE;
    for (int i = 0; i < n; i++)
        helper_keys_add(h, keys, principal, data[i].kvno, helper_stamp_get(h, principal, data[i].kvno), &data[i].key);
    kadm5_free_kadm5_key_data(h->ctx, n, data);
    return TRUE;
}

gboolean
helper_keys_from_file(Helper *h, GPtrArray *keys, const char *path, GError **error)
{
    g_autofree char *name = g_strdup_printf("FILE:%s", path);
    krb5_keytab keytab = NULL;
    krb5_kt_cursor cursor;
    krb5_keytab_entry entry;
    krb5_error_code code;

    if (access(path, F_OK) != 0)
        return TRUE;
    code = krb5_kt_resolve(h->ctx, name, &keytab);
    if (code == 0)
        code = krb5_kt_start_seq_get(h->ctx, keytab, &cursor);
    if (code == 0) {
        while ((code = krb5_kt_next_entry(h->ctx, keytab, &entry, &cursor)) == 0) {
            helper_keys_add(h, keys, entry.principal, entry.vno, (guint32)entry.timestamp, &entry.key);
            krb5_free_keytab_entry_contents(h->ctx, &entry);
        }
        krb5_kt_end_seq_get(h->ctx, keytab, &cursor);
    }
    if (keytab)
        krb5_kt_close(h->ctx, keytab);
    return code == KRB5_KT_END || helper_fail(h, code, path, error);
}

static void
put(GByteArray *bytes, const void *data, gsize length)
{
    g_byte_array_append(bytes, data, (guint)length);
}

static void
put16(GByteArray *bytes, guint value)
{
    guint16 wire = GUINT16_TO_BE((guint16)value);
    put(bytes, &wire, sizeof wire);
}

static void
put32(GByteArray *bytes, guint32 value)
{
    guint32 wire = GUINT32_TO_BE(value);
    put(bytes, &wire, sizeof wire);
}

static void
put_data(GByteArray *bytes, const krb5_data *data)
{
    put16(bytes, data->length);
    put(bytes, data->data, data->length);
}

GByteArray *
helper_keys_serialize(GPtrArray *keys)
{
    gsize total = 2;
    GByteArray *bytes;

    /* Sized at once: growing would leave copies of keys behind in freed memory. */
    for (guint i = 0; i < keys->len; i++) {
        HelperKey *key = g_ptr_array_index(keys, i);
        total += 64 + key->principal->realm.length + key->key.length;
        for (int c = 0; c < key->principal->length; c++)
            total += 2 + key->principal->data[c].length;
    }
    bytes = g_byte_array_sized_new((guint)total);
    put16(bytes, KEYTAB_VERSION);
    for (guint i = 0; i < keys->len; i++) {
        HelperKey *key = g_ptr_array_index(keys, i);
        guint start = bytes->len;
        guint8 kvno8 = (guint8)key->kvno;
        guint32 size;

        put32(bytes, 0);
        put16(bytes, (guint)key->principal->length);
        put_data(bytes, &key->principal->realm);
        for (int c = 0; c < key->principal->length; c++)
            put_data(bytes, &key->principal->data[c]);
        put32(bytes, (guint32)key->principal->type);
        put32(bytes, key->stamp);
        put(bytes, &kvno8, 1);
        put16(bytes, (guint)key->key.enctype);
        put16(bytes, key->key.length);
        put(bytes, key->key.contents, key->key.length);
        put32(bytes, key->kvno);
        size = GUINT32_TO_BE(bytes->len - start - 4);
        memcpy(bytes->data + start, &size, sizeof size);
    }
    return bytes;
}

void
helper_bytes_free(GByteArray *bytes)
{
    explicit_bzero(bytes->data, bytes->len);
    g_byte_array_unref(bytes);
}

gboolean
helper_keys_write(GPtrArray *keys, const char *path, gboolean *changed, GError **error)
{
    GByteArray *bytes = helper_keys_serialize(keys);
    char *now = NULL;
    gsize length = 0;
    gboolean good = TRUE;

    /* An unchanged keytab is not replaced: its watchers would reload for nothing. */
    *changed = !g_file_get_contents(path, &now, &length, NULL) || length != bytes->len ||
               memcmp(now, bytes->data, length) != 0;
    if (*changed)
        good = g_file_set_contents_full(path, (const char *)bytes->data, bytes->len,
                                        G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0600, error);
    if (now)
        explicit_bzero(now, length);
    g_free(now);
    helper_bytes_free(bytes);
    return good;
}

#define STAMP_PREFIX "lares-kvno-"

guint32
helper_stamp_get(Helper *h, krb5_principal principal, krb5_kvno kvno)
{
    g_autofree char *wanted = g_strdup_printf(STAMP_PREFIX "%u", kvno);
    krb5_string_attr *strings = NULL;
    guint32 stamp = 0;
    int n = 0;

    if (kadm5_get_strings(h->kadm, principal, &strings, &n) != 0)
        return 0;
    for (int i = 0; i < n; i++)
        if (strcmp(strings[i].key, wanted) == 0)
            stamp = (guint32)g_ascii_strtoull(strings[i].value, NULL, 10);
    kadm5_free_strings(h->kadm, strings, n);
    return stamp;
}

gboolean
helper_stamp_set(Helper *h, krb5_principal principal, krb5_kvno kvno, guint32 stamp, GError **error)
{
    g_autofree char *key = g_strdup_printf(STAMP_PREFIX "%u", kvno);
    g_autofree char *value = g_strdup_printf("%u", stamp);
    krb5_error_code code = kadm5_set_string(h->kadm, principal, key, stamp ? value : NULL);

    return helper_fail(h, code, "the date of a key cannot be kept", error);
}
