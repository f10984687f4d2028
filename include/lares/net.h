/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The data plane as a protocol sees it: whole records in, replies out.
 *
 * A protocol gives a service (callbacks and limits) to lares_net_listen(). Worker threads read whole records and call
 * request() with one record each; several workers may run requests of one connection at once. The reply that request()
 * leaves in `reply` is framed and sent by the worker when request() returns.
 *
 * Thread: as said per function. Locks: none of these functions is called back with a lock held. */
#pragma once

#include <lares/arena.h>
#include <lares/cursor.h>
#include <lares/metrics.h>

G_BEGIN_DECLS

typedef enum {
    LARES_FRAMING_RPC,       /* RFC 5531 11: 31-bit fragment length, last-fragment bit */
    LARES_FRAMING_DIRECT_TCP /* [MS-SMB2] 2.1: zero byte, 24-bit length */
} LaresFraming;

/* A reply: bytes of an arena with ranges of files between them. */
typedef struct _LaresReply LaresReply;
typedef struct {
    size_t at; /* the file's bytes stand before writer byte `at` */
    int fd;
    uint64_t offset;
    size_t length;  /* if the file turns out shorter, zero bytes are sent */
    size_t padding; /* 0 to 3 zero bytes behind it (XDR) */
    void (*release)(gpointer owner);
    gpointer owner; /* keeps fd open; released after sending */
} LaresFileRange;

#define LARES_REPLY_MAX_RANGES 4
struct _LaresReply {
    LaresWriter out; /* the first LARES_REPLY_HEAD bytes are reserved for the framing header */
    LaresFileRange range[LARES_REPLY_MAX_RANGES];
    guint n_ranges;
    /* Set by request(): what took the time lets others of its kind wait (a change of a directory). Several workers at
     * once would stand in each other's way. */
    gboolean serial;
};
#define LARES_REPLY_HEAD 4

/* Bytes of the reply so far, without the framing header, with file ranges and their padding. */
static inline size_t
lares_reply_length(const LaresReply *reply)
{
    size_t n = reply->out.len - LARES_REPLY_HEAD;
    for (guint i = 0; i < reply->n_ranges; i++)
        n += reply->range[i].length + reply->range[i].padding;
    return n;
}

typedef struct {
    LaresConnection *connection;
    LaresArena *arena; /* reset when the request is over */
    uint8_t *data;     /* the record, without framing; may be changed in place; valid until request() returns */
    size_t len;
    LaresReply reply; /* nothing is sent if reply.out.len stays LARES_REPLY_HEAD */
    /* Set by request(): what the request was about, for lares_request_duration_seconds; NULL: it is not counted. */
    LaresOperations *operations;
    guint operation;
} LaresRequest;

typedef struct {
    const char *name; /* "nfs" */
    LaresFraming framing;
    size_t max_record;   /* a longer record closes the connection */
    size_t max_reply;    /* limit of reply.out */
    guint max_in_flight; /* requests of one connection running or queued; more stay in the socket */
    /* Any worker. `data` of the connection is what connected() returned. */
    gpointer (*connected)(LaresConnection *connection, gpointer user);
    void (*request)(LaresRequest *request, gpointer data);
    /* After the last request() of the connection has returned; the connection cannot send any more. */
    void (*closed)(LaresConnection *connection, gpointer data);
} LaresService;

typedef struct _LaresListener LaresListener;

/* Main thread. Listens on `address` ("[::]:2049" (dual stack), "0.0.0.0:2049", "127.0.0.1:0", "unix:/path",
 * or "fd:NAME" for a socket from the service manager). `service` must stay valid. */
LARES_API LaresListener *lares_net_listen(LaresHost *host, const char *address, const LaresService *service,
                                          gpointer user, GError **error);
LARES_API guint16 lares_listener_get_port(LaresListener *listener);
/* Where it is bound ("::" or "0.0.0.0" for all addresses), as long as it lives. */
LARES_API const LaresPeer *lares_listener_get_address(LaresListener *listener);
/* Main thread. Stops accepting and closes this listener's connections. */
LARES_API void lares_listener_close(LaresListener *listener);

/* Any thread. */
LARES_API LaresConnection *lares_connection_ref(LaresConnection *connection);
LARES_API void lares_connection_unref(LaresConnection *connection);
LARES_API const LaresPeer *lares_connection_peer(LaresConnection *connection);
LARES_API const LaresPeer *lares_connection_local(LaresConnection *connection);
/* A number that is never used twice in the life of the process. */
LARES_API uint64_t lares_connection_id(LaresConnection *connection);
/* Starts closing; callbacks follow as usual. */
LARES_API void lares_connection_close(LaresConnection *connection);
/* Sends one unasked record (a callback, a parked answer), framed here; the bytes are copied. FALSE when it is closed.
 */
LARES_API gboolean lares_connection_send(LaresConnection *connection, const void *record, size_t len);
/* Bytes received and sent so far. */
LARES_API void lares_connection_traffic(LaresConnection *connection, uint64_t *received, uint64_t *sent);

/* The same for a peer that TCP hears nothing of any more: what is on its way to it is given up at once (RST). */
LARES_API void lares_connection_abort(LaresConnection *connection);
/* The end of all that was sent so far or waits for being sent: to be asked about below. */
LARES_API uint64_t lares_connection_mark(LaresConnection *connection);
/* Whether the peer's TCP has acknowledged what is before the mark; FALSE when the connection is over. Peers of UNIX
 * sockets have it at once. */
LARES_API gboolean lares_connection_acknowledged(LaresConnection *connection, uint64_t mark);
/* How long TCP waits at present for an acknowledgement before it sends again, in milliseconds. */
LARES_API guint lares_connection_rto(LaresConnection *connection);

/* Adds a range of `fd` to the reply. FALSE when there are too many already: read into the writer instead. */
static inline gboolean
lares_reply_add_range(LaresReply *reply, int fd, uint64_t offset, size_t length, size_t padding,
                      void (*release)(gpointer), gpointer owner)
{
    if (reply->n_ranges == LARES_REPLY_MAX_RANGES)
        return FALSE;
    reply->range[reply->n_ranges++] = (LaresFileRange){reply->out.len, fd, offset, length, padding, release, owner};
    return TRUE;
}
/* Drops the ranges added at or after index `from` and takes the writer back to `len`. */
LARES_API void lares_reply_rewind(LaresReply *reply, size_t len, guint from);

/* Runs `work` on a worker thread soon (never in the caller). Any thread. */
LARES_API void lares_net_defer(LaresHost *host, void (*work)(gpointer data), gpointer data);

G_END_DECLS
