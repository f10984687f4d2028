/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* TLS (OpenSSL) as a stream for libsoup that never waits.
 *
 * GTlsConnection makes each handshake on a thread of GTask's pool, which starts with ten and grows slowly: a few peers
 * that stop in the middle of theirs would keep all others out. Here a handshake is part of the first read. */
#include "rest-tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>

/* Both streams belong to the connection; each holds it, as a reader of one may be all that is left. */
typedef struct {
    gatomicrefcount ref;
    SSL *ssl;
    GSocket *socket;
    GIOCondition read_waits, write_waits; /* for what, after WOULD_BLOCK */
} Tls;

#define REST_TYPE_TLS_STREAM (rest_tls_stream_get_type())
G_DECLARE_FINAL_TYPE(RestTlsStream, rest_tls_stream, REST, TLS_STREAM, GIOStream)
#define REST_TYPE_TLS_INPUT (rest_tls_input_get_type())
G_DECLARE_FINAL_TYPE(RestTlsInput, rest_tls_input, REST, TLS_INPUT, GInputStream)
#define REST_TYPE_TLS_OUTPUT (rest_tls_output_get_type())
G_DECLARE_FINAL_TYPE(RestTlsOutput, rest_tls_output, REST, TLS_OUTPUT, GOutputStream)

struct _RestTlsStream {
    GIOStream parent;
    Tls *tls;
    GIOStream *base;
    GInputStream *input;
    GOutputStream *output;
};

struct _RestTlsInput {
    GInputStream parent;
    Tls *tls;
};

struct _RestTlsOutput {
    GOutputStream parent;
    Tls *tls;
};

static void input_pollable(GPollableInputStreamInterface *iface);
static void output_pollable(GPollableOutputStreamInterface *iface);
G_DEFINE_FINAL_TYPE(RestTlsStream, rest_tls_stream, G_TYPE_IO_STREAM)
G_DEFINE_FINAL_TYPE_WITH_CODE(RestTlsInput, rest_tls_input, G_TYPE_INPUT_STREAM,
                              G_IMPLEMENT_INTERFACE(G_TYPE_POLLABLE_INPUT_STREAM, input_pollable))
G_DEFINE_FINAL_TYPE_WITH_CODE(RestTlsOutput, rest_tls_output, G_TYPE_OUTPUT_STREAM,
                              G_IMPLEMENT_INTERFACE(G_TYPE_POLLABLE_OUTPUT_STREAM, output_pollable))

/* ---- OpenSSL --------------------------------------------------------------------------------------------------- */

static Tls *
tls_ref(Tls *tls)
{
    g_atomic_ref_count_inc(&tls->ref);
    return tls;
}

static void
tls_unref(Tls *tls)
{
    if (!g_atomic_ref_count_dec(&tls->ref))
        return;
    SSL_free(tls->ssl);
    g_object_unref(tls->socket);
    g_free(tls);
}

static void
set_tls_error(GError **error, const char *what)
{
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    g_set_error(error, G_TLS_ERROR, G_TLS_ERROR_MISC, "%s: %s", what, reason ? reason : "unknown");
    ERR_clear_error();
}

/* What came of an SSL call that gave no byte. 0: the peer ended in order; else -1 with error, of which WOULD_BLOCK says
 * for what `waits` is. */
static gssize
failed(Tls *tls, int result, GIOCondition *waits, GError **error)
{
    int number = errno;
    switch (SSL_get_error(tls->ssl, result)) {
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        *waits = SSL_want_write(tls->ssl) ? G_IO_OUT : G_IO_IN;
        g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK, g_strerror(EAGAIN));
        return -1;
    case SSL_ERROR_SYSCALL:
        g_set_error_literal(error, G_IO_ERROR, g_io_error_from_errno(number), g_strerror(number));
        return -1;
    default:
        set_tls_error(error, "TLS");
        return -1;
    }
}

/* OpenSSL knows a number only, which is another file's once the socket is closed. */
static gboolean
is_open(Tls *tls, GError **error)
{
    ERR_clear_error();
    if (g_socket_is_closed(tls->socket))
        g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_CLOSED, "the connection is closed");
    return !g_socket_is_closed(tls->socket);
}

static gssize
read_some(Tls *tls, void *to, gsize size, GError **error)
{
    if (!is_open(tls, error))
        return -1;
    tls->read_waits = G_IO_IN;
    int n = SSL_read(tls->ssl, to, (int)MIN(size, G_MAXINT));
    return n > 0 ? n : failed(tls, n, &tls->read_waits, error);
}

static gssize
write_some(Tls *tls, const void *from, gsize size, GError **error)
{
    if (size == 0)
        return 0;
    if (!is_open(tls, error))
        return -1;
    tls->write_waits = G_IO_OUT;
    int n = SSL_write(tls->ssl, from, (int)MIN(size, G_MAXINT));
    return n > 0 ? n : failed(tls, n, &tls->write_waits, error);
}

/* Whether a call that waits may be made again; the socket's time-out bounds it. Frees the error. */
static gboolean
waited(Tls *tls, GIOCondition waits, GError **block, GCancellable *cancellable, GError **error)
{
    if (!g_error_matches(*block, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK)) {
        g_propagate_error(error, g_steal_pointer(block));
        return FALSE;
    }
    g_clear_error(block);
    return g_socket_condition_wait(tls->socket, waits, cancellable, error);
}

/* ---- Input ----------------------------------------------------------------------------------------------------- */

static gssize
input_read(GInputStream *stream, void *to, gsize size, GCancellable *cancellable, GError **error)
{
    Tls *tls = REST_TLS_INPUT(stream)->tls;
    GError *block = NULL;
    gssize n;
    while ((n = read_some(tls, to, size, &block)) < 0)
        if (!waited(tls, tls->read_waits, &block, cancellable, error))
            return -1;
    return n;
}

static gssize
input_read_nonblocking(GPollableInputStream *stream, void *to, gsize size, GError **error)
{
    return read_some(REST_TLS_INPUT(stream)->tls, to, size, error);
}

static gboolean
input_is_readable(GPollableInputStream *stream)
{
    Tls *tls = REST_TLS_INPUT(stream)->tls;
    return SSL_pending(tls->ssl) > 0 || g_socket_condition_check(tls->socket, tls->read_waits);
}

static GSource *
input_create_source(GPollableInputStream *stream, GCancellable *cancellable)
{
    Tls *tls = REST_TLS_INPUT(stream)->tls;
    g_autoptr(GSource) ready = SSL_pending(tls->ssl) > 0 ? g_timeout_source_new(0)
                                                         : g_socket_create_source(tls->socket, tls->read_waits, NULL);
    return g_pollable_source_new_full(stream, ready, cancellable);
}

static void
input_pollable(GPollableInputStreamInterface *iface)
{
    iface->read_nonblocking = input_read_nonblocking;
    iface->is_readable = input_is_readable;
    iface->create_source = input_create_source;
}

static void
rest_tls_input_finalize(GObject *object)
{
    tls_unref(REST_TLS_INPUT(object)->tls);
    G_OBJECT_CLASS(rest_tls_input_parent_class)->finalize(object);
}

static void
rest_tls_input_class_init(RestTlsInputClass *class)
{
    G_OBJECT_CLASS(class)->finalize = rest_tls_input_finalize;
    G_INPUT_STREAM_CLASS(class)->read_fn = input_read;
}

static void
rest_tls_input_init(RestTlsInput *self)
{
}

/* ---- Output ---------------------------------------------------------------------------------------------------- */

static gssize
output_write(GOutputStream *stream, const void *from, gsize size, GCancellable *cancellable, GError **error)
{
    Tls *tls = REST_TLS_OUTPUT(stream)->tls;
    GError *block = NULL;
    gssize n;
    while ((n = write_some(tls, from, size, &block)) < 0)
        if (!waited(tls, tls->write_waits, &block, cancellable, error))
            return -1;
    return n;
}

static gssize
output_write_nonblocking(GPollableOutputStream *stream, const void *from, gsize size, GError **error)
{
    return write_some(REST_TLS_OUTPUT(stream)->tls, from, size, error);
}

static gboolean
output_is_writable(GPollableOutputStream *stream)
{
    Tls *tls = REST_TLS_OUTPUT(stream)->tls;
    return g_socket_condition_check(tls->socket, tls->write_waits);
}

static GSource *
output_create_source(GPollableOutputStream *stream, GCancellable *cancellable)
{
    Tls *tls = REST_TLS_OUTPUT(stream)->tls;
    g_autoptr(GSource) ready = g_socket_create_source(tls->socket, tls->write_waits, NULL);
    return g_pollable_source_new_full(stream, ready, cancellable);
}

static void
output_pollable(GPollableOutputStreamInterface *iface)
{
    iface->write_nonblocking = output_write_nonblocking;
    iface->is_writable = output_is_writable;
    iface->create_source = output_create_source;
}

static void
rest_tls_output_finalize(GObject *object)
{
    tls_unref(REST_TLS_OUTPUT(object)->tls);
    G_OBJECT_CLASS(rest_tls_output_parent_class)->finalize(object);
}

static void
rest_tls_output_class_init(RestTlsOutputClass *class)
{
    G_OBJECT_CLASS(class)->finalize = rest_tls_output_finalize;
    G_OUTPUT_STREAM_CLASS(class)->write_fn = output_write;
}

static void
rest_tls_output_init(RestTlsOutput *self)
{
}

/* ---- The connection -------------------------------------------------------------------------------------------- */

static GInputStream *
stream_input(GIOStream *stream)
{
    return REST_TLS_STREAM(stream)->input;
}

static GOutputStream *
stream_output(GIOStream *stream)
{
    return REST_TLS_STREAM(stream)->output;
}

/* The peer is told that this is the end if there is room to tell; its own word is not waited for. */
static gboolean
stream_close(GIOStream *stream, GCancellable *cancellable, GError **error)
{
    RestTlsStream *self = REST_TLS_STREAM(stream);
    if (is_open(self->tls, NULL) && SSL_is_init_finished(self->tls->ssl))
        SSL_shutdown(self->tls->ssl);
    ERR_clear_error();
    g_output_stream_close(self->output, NULL, NULL);
    g_input_stream_close(self->input, NULL, NULL);
    return g_io_stream_close(self->base, cancellable, error);
}

static void
rest_tls_stream_finalize(GObject *object)
{
    RestTlsStream *self = REST_TLS_STREAM(object);
    g_object_unref(self->input);
    g_object_unref(self->output);
    tls_unref(self->tls);
    g_object_unref(self->base);
    G_OBJECT_CLASS(rest_tls_stream_parent_class)->finalize(object);
}

static void
rest_tls_stream_class_init(RestTlsStreamClass *class)
{
    GIOStreamClass *io = G_IO_STREAM_CLASS(class);
    G_OBJECT_CLASS(class)->finalize = rest_tls_stream_finalize;
    io->get_input_stream = stream_input;
    io->get_output_stream = stream_output;
    io->close_fn = stream_close;
}

static void
rest_tls_stream_init(RestTlsStream *self)
{
}

GIOStream *
rest_tls_accept(SSL_CTX *context, GSocketConnection *connection, GError **error)
{
    GSocket *socket = g_socket_connection_get_socket(connection);
    ERR_clear_error();
    SSL *ssl = SSL_new(context);
    if (!ssl || SSL_set_fd(ssl, g_socket_get_fd(socket)) != 1) {
        set_tls_error(error, "TLS cannot begin");
        SSL_free(ssl);
        return NULL;
    }
    SSL_set_accept_state(ssl);
    Tls *tls = g_new0(Tls, 1);
    g_atomic_ref_count_init(&tls->ref);
    tls->ssl = ssl;
    tls->socket = g_object_ref(socket);
    tls->read_waits = G_IO_IN;
    tls->write_waits = G_IO_OUT;
    RestTlsInput *input = g_object_new(REST_TYPE_TLS_INPUT, NULL);
    RestTlsOutput *output = g_object_new(REST_TYPE_TLS_OUTPUT, NULL);
    input->tls = tls_ref(tls);
    output->tls = tls_ref(tls);
    RestTlsStream *self = g_object_new(REST_TYPE_TLS_STREAM, NULL);
    self->tls = tls;
    self->base = g_object_ref(G_IO_STREAM(connection));
    self->input = G_INPUT_STREAM(input);
    self->output = G_OUTPUT_STREAM(output);
    return G_IO_STREAM(self);
}

/* ---- The certificate ------------------------------------------------------------------------------------------- */

static GByteArray *
der_of(GTlsCertificate *certificate, const char *property)
{
    GByteArray *der = NULL;
    g_object_get(certificate, property, &der, NULL);
    return der;
}

/* The certificate, its key, and those of who signed it, as far as the file has them. */
static gboolean
use(SSL_CTX *context, GTlsCertificate *certificate)
{
    g_autoptr(GByteArray) der = der_of(certificate, "certificate"), key_der = der_of(certificate, "private-key");
    if (!der || !key_der || SSL_CTX_use_certificate_ASN1(context, (int)der->len, der->data) != 1)
        return FALSE;
    const guint8 *at = key_der->data;
    EVP_PKEY *key = d2i_AutoPrivateKey(NULL, &at, key_der->len);
    gboolean ok = key && SSL_CTX_use_PrivateKey(context, key) == 1;
    EVP_PKEY_free(key);
    while (ok && (certificate = g_tls_certificate_get_issuer(certificate))) {
        g_autoptr(GByteArray) issuer = der_of(certificate, "certificate");
        at = issuer->data;
        X509 *x509 = d2i_X509(NULL, &at, issuer->len);
        ok = x509 && SSL_CTX_add1_chain_cert(context, x509) == 1;
        X509_free(x509);
    }
    return ok;
}

SSL_CTX *
rest_tls_context(GTlsCertificate *certificate, GError **error)
{
    ERR_clear_error();
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (!context || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 || !use(context, certificate)) {
        set_tls_error(error, "OpenSSL refuses the certificate");
        SSL_CTX_free(context);
        return NULL;
    }
    /* A ticket's key would open what was recorded for as long as the server runs. */
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_num_tickets(context, 0);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(context,
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    return context;
}
