/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The certificate of https: the administrator's, or one made at the first start and renewed before it ends.
 *
 * Spec: RFC 5280; names in subjectAltName only count (RFC 9110 4.3.4). */
#include "rest-tls.h"
#include "rest.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC(BIO, BIO_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(X509, X509_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EVP_PKEY, EVP_PKEY_free)

#define DAYS      825
#define RENEW     30 /* days before its end */
#define DAY       86400
#define FILE_NAME "rest-certificate.pem"

static gboolean
fail(GError **error, const char *what)
{
    g_set_error(error, LARES_ERROR, LARES_ERROR_FAILED, "the certificate for https cannot be made: %s", what);
    return FALSE;
}

/* "DNS:nas.home.lan,DNS:nas,DNS:localhost,IP:127.0.0.1,…": every name by which the server may be asked for. */
static char *
names_of(LaresHost *host)
{
    g_autoptr(GString) names = g_string_new("DNS:localhost,IP:127.0.0.1,IP:::1");
    for (const char *const *name = lares_host_aliases(host); *name; name++) {
        g_autofree char *is_short = g_strndup(*name, strcspn(*name, "."));
        if (strpbrk(*name, ", \n") || !**name)
            continue;
        g_string_append_printf(names, ",DNS:%s", *name);
        if (!g_str_equal(is_short, *name) && *is_short)
            g_string_append_printf(names, ",DNS:%s", is_short);
    }
    return g_string_free(g_steal_pointer(&names), FALSE);
}

static gboolean
add_extension(X509 *cert, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, cert, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    gboolean ok = extension && X509_add_ext(cert, extension, -1);
    X509_EXTENSION_free(extension);
    return ok;
}

static gboolean
fill(X509 *cert, EVP_PKEY *key, LaresHost *host)
{
    uint64_t serial = 0;
    g_autofree char *names = names_of(host);
    X509_NAME *name = X509_get_subject_name(cert);
    g_autofree char *common = g_strndup(lares_host_name(host), 64);
    if (RAND_bytes((unsigned char *)&serial, sizeof serial) != 1)
        return FALSE;
    return X509_set_version(cert, X509_VERSION_3) &&
           ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), serial >> 1 | 1) &&
           X509_gmtime_adj(X509_getm_notBefore(cert), -DAY) &&
           X509_gmtime_adj(X509_getm_notAfter(cert), (long)DAYS * DAY) && X509_set_pubkey(cert, key) &&
           X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)common, -1, -1, 0) &&
           X509_set_issuer_name(cert, name) && add_extension(cert, NID_subject_alt_name, names) &&
           add_extension(cert, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(cert, NID_ext_key_usage, "serverAuth") && X509_sign(cert, key, EVP_sha256()) > 0;
}

/* Never readable by others, not even for a moment; a crash leaves the old file or the new one. */
static gboolean
write_pem(const char *path, X509 *cert, EVP_PKEY *key, GError **error)
{
    g_autofree char *fresh = g_strconcat(path, ".new", NULL);
    g_unlink(fresh);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    if (!file) {
        fail(error, g_strerror(errno));
        if (fd >= 0)
            close(fd);
        return FALSE;
    }
    gboolean ok = PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) && PEM_write_X509(file, cert) &&
                  fflush(file) == 0 && fsync(fd) == 0;
    if (fclose(file) != 0 || !ok || rename(fresh, path) != 0)
        return fail(error, g_strerror(errno));
    return TRUE;
}

static gboolean
make(RestServer *self, const char *path, GError **error)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    gboolean ok = (key && cert && fill(cert, key, self->host)) || fail(error, "OpenSSL refuses");
    ok = ok && write_pem(path, cert, key, error);
    X509_free(cert);
    EVP_PKEY_free(key);
    if (ok)
        lares_info(REST_ROOM, "made a certificate for https: %s", path);
    return ok;
}

static gboolean
ends_soon(GTlsCertificate *certificate)
{
    g_autoptr(GDateTime) end = g_tls_certificate_get_not_valid_after(certificate);
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    g_autoptr(GDateTime) soon = g_date_time_add_days(now, RENEW);
    return !end || g_date_time_compare(end, soon) <= 0;
}

/* Names and dates must still be right, or a new one is made. */
static gboolean
is_good(GTlsCertificate *certificate, LaresHost *host)
{
    g_autoptr(GSocketConnectable) name = g_network_address_new(lares_host_name(host), 0);
    return !ends_soon(certificate) &&
           !(g_tls_certificate_verify(certificate, name, NULL) & G_TLS_CERTIFICATE_BAD_IDENTITY);
}

/* A pair that does not belong together would be found out by each client. */
static gboolean
is_pair(const char *file, const char *key_file, GError **error)
{
    g_autoptr(BIO) cert_bio = BIO_new_file(file, "r"), key_bio = BIO_new_file(key_file, "r");
    g_autoptr(X509) cert = cert_bio ? PEM_read_bio_X509(cert_bio, NULL, NULL, NULL) : NULL;
    g_autoptr(EVP_PKEY) key = key_bio ? PEM_read_bio_PrivateKey(key_bio, NULL, NULL, (void *)"") : NULL;
    if (cert && key && X509_check_private_key(cert, key) == 1)
        return TRUE;
    g_set_error(error, LARES_ERROR, LARES_ERROR_CONFIG, "%s is not the key of the certificate %s", key_file, file);
    return FALSE;
}

static GTlsCertificate *
read_configured(const char *file, const char *key, GError **error)
{
    g_autoptr(GTlsCertificate) read = g_tls_certificate_new_from_files(file, key, error);
    if (!read || !is_pair(file, key, error)) {
        g_prefix_error(error, "the certificate %s: ", file);
        return NULL;
    }
    return g_steal_pointer(&read);
}

static const char *
key_file(RestServer *self, const char *file)
{
    const char *key = lares_settings_string(self->settings, "certificate-key");
    return key ? key : file;
}

/* What changes when a file is replaced or written. */
static void
add_state(GString *text, const char *path)
{
    struct stat st = {0};
    if (stat(path, &st) == 0)
        g_string_append_printf(text, "%llu:%lld:%lld.%09ld ", (unsigned long long)st.st_ino, (long long)st.st_size,
                               (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
}

static char *
state_of(const char *file, const char *key)
{
    GString *text = g_string_new(NULL);
    add_state(text, file);
    add_state(text, key);
    return g_string_free(text, FALSE);
}

static GTlsCertificate *
find(RestServer *self, GError **error)
{
    const char *file = lares_settings_string(self->settings, "certificate");
    if (file) {
        g_free(self->certificate_state);
        self->certificate_state = state_of(file, key_file(self, file));
        return read_configured(file, key_file(self, file), error);
    }
    g_autofree char *path = g_build_filename(lares_host_state_dir(self->host), FILE_NAME, NULL);
    g_autoptr(GTlsCertificate) kept = g_tls_certificate_new_from_file(path, NULL);
    if (kept && is_good(kept, self->host))
        return g_steal_pointer(&kept);
    return make(self, path, error) ? g_tls_certificate_new_from_file(path, error) : NULL;
}

/* SHA-256 of a certificate as "AB:CD:…"; new. */
static char *
fingerprint(GTlsCertificate *certificate)
{
    g_autoptr(GByteArray) der = NULL;
    guint8 sum[32];
    gsize len = sizeof sum;
    g_object_get(certificate, "certificate", &der, NULL);
    g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
    g_checksum_update(checksum, der->data, der->len);
    g_checksum_get_digest(checksum, sum, &len);
    GString *text = g_string_new(NULL);
    for (gsize i = 0; i < len; i++)
        g_string_append_printf(text, "%s%02X", i ? ":" : "", sum[i]);
    return g_string_free(text, FALSE);
}

gboolean
rest_certificate_obtain(RestServer *self, GError **error)
{
    g_autoptr(GTlsCertificate) fresh = find(self, error);
    SSL_CTX *tls = fresh ? rest_tls_context(fresh, error) : NULL;
    if (!tls)
        return FALSE;
    rest_certificate_drop(self);
    self->certificate = g_steal_pointer(&fresh);
    self->tls = tls;
    self->fingerprint = fingerprint(self->certificate);
    return TRUE;
}

void
rest_certificate_drop(RestServer *self)
{
    g_clear_object(&self->certificate);
    g_clear_pointer(&self->tls, SSL_CTX_free);
    g_clear_pointer(&self->fingerprint, g_free);
}

void
rest_certificate_refresh(RestServer *self)
{
    const char *file = lares_settings_string(self->settings, "certificate");
    g_autofree char *state = file ? state_of(file, key_file(self, file)) : NULL;
    if (file ? g_str_equal(state, self->certificate_state) : !ends_soon(self->certificate))
        return;
    g_autoptr(GError) error = NULL;
    if (rest_certificate_obtain(self, &error))
        lares_info(REST_ROOM, "the certificate of https is a new one: %s", self->fingerprint);
    else
        lares_error(REST_ROOM, "%s; the one from before stays in use", error->message);
}
