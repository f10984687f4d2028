/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The inside of the data plane: workers, listeners, connections, buffers.
 *
 * Thread: as said per struct. Locks: a connection's lock comes before the net's lock; neither is held during a
 * callback, a blocking call or a send. */
#pragma once

#include "net/framing.h"
#include "net/net.h"

#include <lares/log.h>

#include <sys/socket.h>
#include <time.h>

G_BEGIN_DECLS

/* Limits of what a peer can make the server hold; each with its reason. */
#define LARES_NET_CHUNK      (64u * 1024)       /* read-ahead: many small records in one recv() */
#define LARES_NET_SMALL      4096u              /* a part of a record below this is kept in a buffer of its own size */
#define LARES_NET_BIG_AFTER  2048u              /* bytes that must have come before a large record gets its buffer */
#define LARES_NET_HINT       4096u              /* read-ahead behind a large record: the next is probably large too */
#define LARES_NET_OUT_BOUND  (2u * 1024 * 1024) /* unsent bytes at which a connection is not read any more */
#define LARES_NET_PROGRESS   (64u * 1024)       /* bytes that count as progress of a slow peer */
#define LARES_NET_COPY_RANGE (32u * 1024)       /* file ranges up to this are read with the request, others when sent */
#define LARES_NET_COPY_PIECE (1u << 20)         /* of a file that cannot be spliced: so much in one call */
#define LARES_NET_COPY_REPLY (8u * 1024)        /* replies up to this are copied when they have to wait */
#define LARES_NET_POOL_BYTES (32u * 1024 * 1024) /* spare large buffers that are kept */
#define LARES_NET_POOL_CHUNK 64u
#define LARES_NET_RUN        32u     /* records of one connection in a row before others get their turn */
#define LARES_NET_EAGER_NS   30000u  /* requests that take longer are worth waking another worker for */
#define LARES_NET_HANGS_NS   1000000 /* a request that takes longer is looked after */
#define LARES_NET_HOLD_NS    250000u /* so long a reply waits for the next one, at most, and so cheap that one must be */

typedef enum { LARES_EVENT_WAKE, LARES_EVENT_STOP, LARES_EVENT_LISTENER, LARES_EVENT_CONNECTION } LaresEventKind;

typedef enum { LARES_BUFFER_CHUNK, LARES_BUFFER_SMALL, LARES_BUFFER_BIG } LaresBufferKind;
typedef struct _LaresBuffer LaresBuffer;
/* Received bytes; records point into it and hold a reference each. */
struct _LaresBuffer {
    LaresBuffer *next; /* in a pool */
    gint ref;
    LaresBufferKind kind;
    size_t cap;
    size_t reserved;
    size_t touched; /* LARES_BUFFER_BIG: bytes ever received into it; the others cost nothing */
    /* data follows, 16-byte aligned */
};
static inline uint8_t *
lares_buffer_data(LaresBuffer *b)
{
    return (uint8_t *)(b + 1);
}

/* A piece of output: bytes (mem), a range of a file (fd), or zeros (neither). */
typedef struct {
    const uint8_t *mem;
    int fd;
    uint64_t offset;
    size_t len;
} LaresPart;

#define LARES_OUT_PARTS (1 + 3 * LARES_REPLY_MAX_RANGES)
typedef enum { LARES_OUT_STACK, LARES_OUT_HEAP, LARES_OUT_ARENA } LaresOutPlace;
typedef struct _LaresOut LaresOut;
/* One or more whole framed records on their way out. */
struct _LaresOut {
    LaresOut *next;
    LaresOutPlace place;
    LaresArena *arena; /* LARES_OUT_ARENA: owned, holds the parts and this struct */
    guint at, n_parts;
    LaresPart part[LARES_OUT_PARTS];
    guint n_owned;
    struct {
        void (*release)(gpointer owner);
        gpointer owner;
    } owned[LARES_REPLY_MAX_RANGES];
    size_t cap; /* LARES_OUT_HEAP: of bytes[] */
    uint8_t bytes[];
};

struct _LaresListener {
    LaresEventKind event; /* first: epoll's data points here */
    LaresNet *net;
    LaresListener *next;
    int fd;
    gboolean inherited; /* from the service manager: its socket file is not ours to remove */
    gboolean closed;    /* net lock */
    gboolean accepting; /* net lock: a worker is at it */
    guint retry;        /* main thread: source that tries again after EMFILE */
    guint16 port;
    gboolean local; /* UNIX socket */
    char *path;     /* of a UNIX socket of ours */
    LaresPeer here;
    const LaresService *service;
    guint counted; /* metrics.c: the service's place there */
    gpointer user;
    GQueue connections; /* net lock; of LaresConnection.link */
};

/* Memory of connections is recycled but never given back, so that an event that was on its way to a worker when its
 * connection ended meets at worst a younger connection, for which it is one needless look. */
struct _LaresConnection {
    LaresEventKind event; /* first: epoll's data points here */
    gint ref;
    GMutex lock;
    LaresNet *net;
    LaresListener *listener;
    const LaresService *service;
    gpointer data;
    uint64_t id;
    int fd;
    GList link;        /* net lock: in the listener's list */
    gboolean on_ready; /* net lock: in the ready list (which holds a reference) */
    GList ready_link;  /* net lock */
    LaresPeer peer;
    LaresPeer local; /* filled on first demand */

    /* All below: `lock`, except that frames and in belong to the reader while `reading`. */
    gboolean alive;     /* FALSE: over, perhaps in the spare list */
    gboolean welcomed;  /* connected() has returned; who comes before that means the connection this was before */
    gboolean added;     /* to the epoll set */
    gboolean closing;   /* nothing is read or sent any more */
    gboolean finalized; /* closed() was or is being called */
    gboolean eof;       /* the peer will not send any more; answers are still sent */
    gboolean readable;  /* the socket may have bytes */
    gboolean reading;   /* a worker is in recv() */
    gboolean sending;   /* a thread is in sendmsg() */
    gboolean blocked;   /* the socket was full */
    gboolean large;     /* the last record was larger than a chunk */
    gboolean partial;   /* left with a part of a record */
    uint32_t armed;     /* what epoll waits for; 0 after each event */
    guint in_flight;
    LaresFrames frames;
    size_t need;
    LaresBuffer *in;
    LaresOut *out_head, *out_tail;
    size_t out_bytes;
    size_t in_send;                      /* while `sending`: bytes of it that are in neither of out_bytes and sent */
    size_t out_memory;                   /* of the queue; right whenever `blocked` */
    size_t counted;                      /* in the net's `memory` */
    gint64 record_since;                 /* ns: when it was first left with a part of this record; 0: not yet */
    uint64_t received, sent;             /* atomic */
    gint64 last_done;                    /* ns, end of the last request */
    uint32_t cost;                       /* ns, fast up and slow down */
    gint64 held_since;                   /* ns: when the first of the replies that wait for others was held */
    gint64 partial_since, blocked_since; /* ns */
    size_t partial_bytes, blocked_bytes; /* progress since then */
};

typedef struct {
    LaresNet *net;
    GThread *thread;
    guint number;
    gint tid; /* atomic; 0 before it runs */
    LaresArena *arena;
    LaresBuffer *spare;       /* one chunk, hot */
    LaresConnection *current; /* atomic: what it works on; for the lookout only */
    gint64 since;             /* atomic: ns, 0 while not in a request */
    guint64 completed;        /* atomic */
    gint64 now;
    gboolean finished; /* net lock */
} LaresWorker;

typedef struct {
    void (*work)(gpointer data);
    gpointer data;
} LaresDeferred;

typedef struct _LaresLookout LaresLookout;

typedef struct {
    guint64 seen, trimmed; /* work: at the last look, and when memory was given back */
    gboolean calm;
} LaresCalm;

struct _LaresNet {
    int epoll;
    int wake_fd, stop_fd;
    LaresEventKind wake_event, stop_event;
    guint base_workers, max_workers;
    gint64 stall_timeout; /* ns */
    size_t memory_limit;
    size_t memory;      /* atomic: what connections were left with, see memory.c */
    gint relieving;     /* atomic */
    gint look_again;    /* atomic: a source of the main thread will look again */
    gint64 relief_next; /* atomic: ns; not before, unless it is urgent */

    GMutex lock;
    GCond changed; /* a listener lost its last connection; a worker ended */
    GQueue ready;
    GQueue deferred;       /* of LaresDeferred */
    gint jobs;             /* atomic: length of both */
    LaresLookout *lookout; /* before the first worker and behind the last */
    GPtrArray *workers;
    guint n_workers; /* running */
    guint next_number;
    LaresListener *listeners; /* all ever made */
    LaresConnection *spare;   /* linked by link.data */
    LaresBuffer *chunks;
    guint n_chunks;
    LaresBuffer *big;
    size_t big_bytes;
    GPtrArray *arenas;

    gint idle;        /* atomic: workers in epoll_wait() */
    gint waking;      /* atomic: wake-ups on their way */
    gint growing;     /* atomic: the main thread watches whether more workers are needed */
    gint stopping;    /* atomic */
    gint stalled;     /* atomic: connections with a part of a record or a full socket */
    gint connections; /* atomic */
    gint held;        /* atomic: connections that somebody refers to, over or not */
    guint64 accepted; /* atomic */
    guint64 last_id;  /* atomic */
    guint64 retired;  /* net lock: requests done by workers that ended */
    guint tick, grow_source, grow_calm;
    guint64 grow_seen;
    guint tick_seconds;
    LaresCalm calm; /* main thread */
};

/* net.c */
/* `work` was done since the start, `seconds` have gone by since this was asked last. TRUE: there is little to do now,
 * and what was done since the last time may have left memory that nobody needs soon. */
gboolean lares_calm_step(LaresCalm *calm, guint64 work, guint seconds);

/* buffers.c */
LaresBuffer *lares_buffer_chunk(LaresWorker *worker);
LaresBuffer *lares_buffer_small(size_t cap);
LaresBuffer *lares_buffer_big(LaresNet *net, size_t cap);
void lares_buffer_unref(LaresNet *net, LaresWorker *worker, LaresBuffer *b);
void lares_buffers_trim(LaresNet *net);
LaresArena *lares_net_take_arena(LaresNet *net);
void lares_net_give_arena(LaresNet *net, LaresArena *arena);

/* connection.c */
LaresConnection *lares_connection_new(LaresListener *listener, int fd, const LaresPeer *peer);
/* lock held */
void lares_connection_shut(LaresConnection *c);
gboolean lares_connection_paused(const LaresConnection *c);
void lares_connection_arm(LaresConnection *c);
/* lock held, gives it up: sends what is queued, then waits for events, or ends a connection that is over */
void lares_connection_leave(LaresConnection *c);
/* A reference for an event; FALSE when the event came too late. */
gboolean lares_connection_enter(LaresConnection *c, uint32_t events);
/* A reference when nobody reads or sends what there is; for the lookout, at any time. */
gboolean lares_connection_take_over(LaresConnection *c);
void lares_connections_check(LaresNet *net);
/* All there are, with a reference each that the list does not give back. */
GPtrArray *lares_connections_list(LaresNet *net);
void lares_connections_free(LaresNet *net);

/* input.c */
typedef struct {
    LaresBuffer *buffer;
    uint8_t *data;
    size_t len;
} LaresRecord;
/* lock held (dropped while receiving). FALSE: nothing to do now. */
gboolean lares_input_take(LaresWorker *worker, LaresConnection *c, LaresRecord *record);
void lares_input_drop(LaresConnection *c);

/* memory.c */
size_t lares_out_memory(const LaresOut *list);
/* lock held: counts what the connection is left with. */
void lares_connection_count(LaresConnection *c);
static inline gboolean
lares_net_crowded(LaresNet *net)
{
    return __atomic_load_n(&net->memory, __ATOMIC_RELAXED) > net->memory_limit;
}
/* Closes connections until there is room again; no lock held. */
void lares_net_relieve(LaresNet *net);

/* output.c */
/* lock held (dropped while sending). Frames and sends or keeps the reply; `hold`: it may wait for the next one, the
 * caller goes on with this connection and flushes in the end. */
void lares_output_reply(LaresWorker *worker, LaresConnection *c, LaresReply *reply, gboolean hold);
void lares_output_flush(LaresConnection *c);
void lares_output_drop(LaresNet *net, LaresOut *list);
/* no lock: reads short file ranges into memory */
void lares_output_settle(LaresWorker *worker, LaresReply *reply);

/* metrics.c */
/* The place of a service of this name. Main thread. */
guint lares_net_service_place(const char *name);
void lares_net_count_bytes(const LaresListener *listener, gboolean sent, uint64_t n);
void lares_net_count_connection(const LaresListener *listener);

/* worker.c */
/* Puts the connection into the ready list; `wake`: somebody should come at once. */
void lares_net_push(LaresConnection *c, gboolean wake);
void lares_net_poke(LaresNet *net);
gboolean lares_net_add_worker(LaresNet *net, GError **error);
void lares_net_serve(LaresWorker *worker, LaresConnection *c);

/* lookout.c */
LaresLookout *lares_lookout_new(LaresNet *net, GError **error);
void lares_lookout_free(LaresLookout *lookout);
/* A request runs that nobody may notice if it hangs. Nearly free while the lookout is awake. */
void lares_lookout_wanted(LaresNet *net);

/* net.c */
void lares_net_watch_growth(LaresNet *net);

/* listen.c */
void lares_peer_from_sockaddr(LaresPeer *peer, const struct sockaddr *sa);
void lares_listener_accept(LaresListener *listener);
void lares_listener_free(LaresListener *listener);

static inline gint64
lares_net_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (gint64)t.tv_sec * 1000000000 + t.tv_nsec;
}

G_END_DECLS
