/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The server's side of TLS 1.2 and 1.3, for the main thread. */
#pragma once

#include <gio/gio.h>

typedef struct ssl_ctx_st SSL_CTX;

/* What connections are accepted with, SSL_CTX_free(); NULL with error. The certificate brings its private key, and
 * those of who signed it. */
SSL_CTX *rest_tls_context(GTlsCertificate *certificate, GError **error);
/* A new stream over the connection, which it closes with itself. Its handshake is made as it is read from; a peer that
 * ends without telling so is an error (RFC 8446 6.1). NULL with error. */
GIOStream *rest_tls_accept(SSL_CTX *context, GSocketConnection *connection, GError **error);
