/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See krb5-keytab.h. The bytes are read once; MIT's parser sees them through a file without a name, and the AES keys
 * among them go into a memory keytab that only this snapshot knows. */
#include "krb5-keytab.h"
#include "krb5-crypto.h"

#include <errno.h>
#include <fcntl.h>
#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>
#include <krb5/krb5.h>
#include <lares/types.h>
#include <openssl/crypto.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Some 10,000 keys; a larger file is something else. */
#define MAX_KEYTAB (1024u * 1024u)

struct Krb5KeytabHold {
    krb5_context krb5;
    krb5_keytab memory; /* the last handle on a memory keytab ends it, so one is kept */
    char *name;         /* "MEMORY:..." */
};

static void
entry_free(gpointer data)
{
    Krb5KeytabEntry *e = data;
    g_free(e->principal);
    g_free(e->key);
    g_free(e);
}

static Krb5Keytab *
keytab_new(const char *source)
{
    Krb5Keytab *k = g_new0(Krb5Keytab, 1);

    g_atomic_ref_count_init(&k->refs);
    k->source = g_strdup(source);
    k->entries = g_ptr_array_new_with_free_func(entry_free);
    k->refused = g_ptr_array_new_with_free_func(g_free);
    k->cred = GSS_C_NO_CREDENTIAL;
    k->loaded = g_get_real_time() / G_USEC_PER_SEC;
    k->hold = g_new0(struct Krb5KeytabHold, 1);
    return k;
}

Krb5Keytab *
krb5_keytab_ref(Krb5Keytab *k)
{
    g_atomic_ref_count_inc(&k->refs);
    return k;
}

void
krb5_keytab_unref(Krb5Keytab *k)
{
    OM_uint32 minor;

    if (k == NULL || !g_atomic_ref_count_dec(&k->refs))
        return;
    if (k->cred != GSS_C_NO_CREDENTIAL)
        gss_release_cred(&minor, &k->cred);
    if (k->hold->memory != NULL)
        krb5_kt_close(k->hold->krb5, k->hold->memory);
    if (k->hold->krb5 != NULL)
        krb5_free_context(k->hold->krb5);
    g_free(k->hold->name);
    g_free(k->hold);
    g_ptr_array_unref(k->entries);
    g_ptr_array_unref(k->refused);
    g_free(k->source);
    g_free(k->digest);
    g_free(k);
}

static void
set_krb5_error(GError **error, krb5_context krb5, krb5_error_code code, const char *source, const char *what)
{
    const char *text = krb5_get_error_message(krb5, code);

    g_set_error(error, LARES_ERROR, LARES_ERROR_CONFIG, "keytab %s: %s: %s", source, what, text);
    krb5_free_error_message(krb5, text);
}

/* Take one key over, or say why not. */
static krb5_error_code
take_entry(Krb5Keytab *k, krb5_keytab_entry *entry)
{
    krb5_context krb5 = k->hold->krb5;
    g_autofree char *name = NULL;
    char *unparsed = NULL;
    krb5_error_code code = krb5_unparse_name(krb5, entry->principal, &unparsed);

    if (code != 0)
        return code;
    name = g_strdup(unparsed);
    krb5_free_unparsed_name(krb5, unparsed);
    if (krb5_enctype_find(entry->key.enctype) == NULL) {
        char type[64] = "unknown";

        krb5_enctype_to_name(entry->key.enctype, FALSE, type, sizeof type);
        g_ptr_array_add(k->refused, g_strdup_printf("the key of %s (kvno %u) has encryption type %s (%d), only AES "
                                                    "keys (17 to 20) are used",
                                                    name, entry->vno, type, entry->key.enctype));
        return 0;
    }
    code = krb5_kt_add_entry(krb5, k->hold->memory, entry);
    if (code == 0) {
        Krb5KeytabEntry *e = g_new0(Krb5KeytabEntry, 1);
        e->principal = g_steal_pointer(&name);
        e->kvno = entry->vno;
        e->enctype = entry->key.enctype;
        e->key = g_compute_checksum_for_data(G_CHECKSUM_SHA256, entry->key.contents, entry->key.length);
        g_ptr_array_add(k->entries, e);
    }
    return code;
}

static gboolean
copy_entries(Krb5Keytab *k, krb5_keytab from, GError **error)
{
    krb5_context krb5 = k->hold->krb5;
    krb5_keytab_entry entry;
    krb5_kt_cursor cursor;
    krb5_error_code code = krb5_kt_start_seq_get(krb5, from, &cursor);

    if (code != 0) {
        set_krb5_error(error, krb5, code, k->source, "this is not a keytab, write it again with ktadd or ktutil");
        return FALSE;
    }
    while (code == 0 && (code = krb5_kt_next_entry(krb5, from, &entry, &cursor)) == 0) {
        code = take_entry(k, &entry);
        krb5_free_keytab_entry_contents(krb5, &entry);
    }
    krb5_kt_end_seq_get(krb5, from, &cursor);
    if (code != KRB5_KT_END) {
        set_krb5_error(error, krb5, code, k->source, "the keytab is damaged, write it again with ktadd or ktutil");
        return FALSE;
    }
    if (k->entries->len == 0) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_CONFIG,
                    "keytab %s has no usable key%s%s: write AES keys with ktadd -e aes256-cts,aes128-cts", k->source,
                    k->refused->len > 0 ? ": " : "", k->refused->len > 0 ? (char *)k->refused->pdata[0] : "");
        return FALSE;
    }
    return TRUE;
}

static gboolean
read_entries(Krb5Keytab *k, const void *bytes, size_t len, GError **error)
{
    static gint serial;
    g_autofree char *file = NULL, *memory = NULL;
    krb5_keytab from = NULL;
    krb5_error_code code = krb5_init_context(&k->hold->krb5);
    int fd;

    if (code != 0) {
        set_krb5_error(error, NULL, code, k->source, "Kerberos cannot read its configuration (krb5.conf)");
        return FALSE;
    }
    fd = memfd_create("keytab", MFD_CLOEXEC);
    if (fd < 0 || write(fd, bytes, len) != (ssize_t)len) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_FAILED, "keytab %s: no memory for a copy: %s", k->source,
                    g_strerror(errno));
        if (fd >= 0)
            close(fd);
        return FALSE;
    }
    file = g_strdup_printf("FILE:/proc/self/fd/%d", fd);
    memory = g_strdup_printf("MEMORY:lares-%d", g_atomic_int_add(&serial, 1));
    k->hold->name = g_strdup(memory);
    gboolean ok = FALSE;
    if ((code = krb5_kt_resolve(k->hold->krb5, memory, &k->hold->memory)) == 0 &&
        (code = krb5_kt_resolve(k->hold->krb5, file, &from)) == 0)
        ok = copy_entries(k, from, error);
    else
        set_krb5_error(error, k->hold->krb5, code, k->source, "cannot open");
    if (from != NULL)
        krb5_kt_close(k->hold->krb5, from);
    close(fd);
    if (!ok)
        return FALSE;

    /* Replays are looked for by the provider, over all services and without a file. */
    gss_OID_desc all[2] = {*gss_mech_krb5, *gss_mech_iakerb};
    gss_OID_set_desc mechs = {2, all};
    gss_key_value_element_desc store[2] = {{"keytab", memory}, {"rcache", "none:"}};
    gss_key_value_set_desc stores = {2, store};
    OM_uint32 minor, major = gss_acquire_cred_from(&minor, GSS_C_NO_NAME, GSS_C_INDEFINITE, &mechs, GSS_C_ACCEPT,
                                                   &stores, &k->cred, NULL, NULL);
    if (GSS_ERROR(major)) {
        mechs.count = 1; /* a library without IAKERB */
        major = gss_acquire_cred_from(&minor, GSS_C_NO_NAME, GSS_C_INDEFINITE, &mechs, GSS_C_ACCEPT, &stores, &k->cred,
                                      NULL, NULL);
    }
    if (GSS_ERROR(major)) {
        set_krb5_error(error, k->hold->krb5, (krb5_error_code)minor, k->source, "no acceptor credential");
        return FALSE;
    }
    return TRUE;
}

static Krb5Keytab *
keytab_from_bytes(const void *bytes, size_t len, const char *source, GError **error)
{
    g_autoptr(Krb5Keytab) k = keytab_new(source);

    if (len > MAX_KEYTAB) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_CONFIG, "keytab %s is larger than %u bytes: it is something else",
                    source, MAX_KEYTAB);
        return NULL;
    }
    k->digest = g_compute_checksum_for_data(G_CHECKSUM_SHA256, bytes, len);
    return read_entries(k, bytes, len, error) ? g_steal_pointer(&k) : NULL;
}

static const char *
remedy_for(int code)
{
    switch (code) {
    case ENOENT:
    case ENOTDIR:
        return "make a realm with `laresctl realm create`, or write the server's keys there with kadmin's ktadd, or "
               "name the right file as `keytab` in auth-krb5.module";
    case EACCES:
    case EPERM:
        return "let the user that runs laresd read it (chown or chmod), and nobody else";
    case EISDIR:
    case ENOTSUP:
        return "name a file, not a folder, as `keytab` in auth-krb5.module";
    default:
        return "check the file and its file system";
    }
}

/* A fifo or a device would hold up the daemon or never end. One byte more than fits tells that a file is too large.
 * FALSE with errno. */
static gboolean
read_bounded(int fd, uint8_t *bytes, size_t *len, mode_t *mode)
{
    struct stat st;
    ssize_t n;

    if (fstat(fd, &st) != 0)
        return FALSE;
    if (!S_ISREG(st.st_mode)) {
        errno = S_ISDIR(st.st_mode) ? EISDIR : ENOTSUP;
        return FALSE;
    }
    *mode = st.st_mode;
    for (*len = 0; *len <= MAX_KEYTAB; *len += (size_t)n) {
        do
            n = read(fd, bytes + *len, MAX_KEYTAB + 1 - *len);
        while (n < 0 && errno == EINTR);
        if (n <= 0)
            return n == 0;
    }
    return TRUE;
}

Krb5Keytab *
krb5_keytab_load_file(const char *path, GError **error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    g_autofree uint8_t *bytes = g_malloc(MAX_KEYTAB + 1);
    mode_t mode = 0;
    size_t len = 0;

    if (fd < 0 || !read_bounded(fd, bytes, &len, &mode)) {
        int code = errno;

        if (fd >= 0)
            close(fd);
        g_set_error(error, LARES_ERROR, code == ENOENT ? LARES_ERROR_UNAVAILABLE : LARES_ERROR_CONFIG,
                    "keytab %s cannot be read: %s; %s", path,
                    code == ENOTSUP ? "it is no regular file" : g_strerror(code), remedy_for(code));
        return NULL;
    }
    close(fd);
    Krb5Keytab *k = keytab_from_bytes(bytes, len, path, error);
    OPENSSL_cleanse(bytes, len);
    if (k != NULL)
        k->exposed = (mode & 07) != 0;
    return k;
}

Krb5Keytab *
krb5_keytab_load_base64(const char *text, const char *source, GError **error)
{
    gsize len = 0;
    g_autofree guchar *bytes = NULL;

    if (strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/= \t\r\n") != strlen(text)) {
        g_set_error(error, LARES_ERROR, LARES_ERROR_CONFIG,
                    "keytab %s is not base64: make it with `base64 -w0 FILE.keytab`", source);
        return NULL;
    }
    bytes = g_base64_decode(text, &len);
    Krb5Keytab *k = keytab_from_bytes(bytes, len, source, error);
    OPENSSL_cleanse(bytes, len);
    return k;
}

const char *
krb5_keytab_name(const Krb5Keytab *k)
{
    return k->hold->name;
}

gboolean
krb5_keytab_has_realm(const Krb5Keytab *k, const char *realm, size_t len)
{
    for (guint i = 0; i < k->entries->len; i++) {
        const char *at = strrchr(((Krb5KeytabEntry *)k->entries->pdata[i])->principal, '@');

        if (at != NULL && strlen(at + 1) == len && memcmp(at + 1, realm, len) == 0)
            return TRUE;
    }
    return FALSE;
}

static gboolean
is_of_service(const Krb5KeytabEntry *entry, const char *service)
{
    size_t n = strlen(service);
    return g_ascii_strncasecmp(entry->principal, service, n) == 0 && entry->principal[n] == '/';
}

gboolean
krb5_keytab_shares_key(const Krb5Keytab *k, const char *principal, const char *service)
{
    for (guint i = 0; i < k->entries->len; i++) {
        const Krb5KeytabEntry *one = k->entries->pdata[i];

        for (guint j = 0; strcmp(one->principal, principal) == 0 && j < k->entries->len; j++) {
            const Krb5KeytabEntry *other = k->entries->pdata[j];

            if (is_of_service(other, service) && other->enctype == one->enctype && strcmp(other->key, one->key) == 0)
                return TRUE;
        }
    }
    return FALSE;
}

gboolean
krb5_keytab_has(const Krb5Keytab *k, const char *service, const char *host)
{
    g_autofree char *start = g_strdup_printf("%s/", service);
    size_t host_len = strlen(host);

    for (guint i = 0; i < k->entries->len; i++) {
        const char *p = ((Krb5KeytabEntry *)k->entries->pdata[i])->principal;

        if (!g_str_has_prefix(p, start))
            continue;
        p += strlen(start);
        if (g_ascii_strncasecmp(p, host, host_len) == 0 && (p[host_len] == '@' || p[host_len] == '\0'))
            return TRUE;
    }
    return FALSE;
}
