/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the rooms of the load generator share: options, connection, slot, workload.
 * Thread: one thread owns one Conn with its slots; only Options and Shared are common. */
#pragma once

#include <gssapi/gssapi.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/uio.h>

#include "xdr.h"

#define NFS_FHSIZE   128
#define SESSION_MAX  64
#define XID_SLOTBITS 12
#define INFLIGHT_MAX (1 << XID_SLOTBITS)
#define HIST_SUB     32
#define HIST_SIZE    (HIST_SUB * 40)

typedef enum { SEC_SYS, SEC_KRB5, SEC_KRB5I, SEC_KRB5P } Sec;

typedef struct {
    const char *host;
    const char *port;
    const char *path;
    const char *spn_host;
    const char *workload;
    const char *file;
    Sec sec;
    int connections;
    int inflight;
    int verify_every; /* 1: every reply is unwrapped and decoded; 0: none; n: each nth */
    bool check_data;
    bool prepare;
    bool keep;
    double seconds;
    uint64_t count;
    uint32_t size;
    uint64_t filesize;
    uint32_t files;
    double stall;
    uint32_t uid, gid;
    int npids;
    int pids[64];
} Options;

typedef struct {
    uint32_t len;
    uint8_t p[NFS_FHSIZE];
} Fh;

typedef struct {
    uint8_t p[16];
} Stateid;

typedef struct {
    uint8_t id[16];
    uint32_t slots;
} Session;

typedef struct Conn Conn;
typedef struct Slot Slot;
typedef struct Workload Workload;

/* One record that is complete and only has to be sent. */
typedef struct {
    uint32_t xid;
    uint32_t gss_seq;
    Buf head;
    gss_buffer_desc sealed;
    uint8_t pad[4];
    struct iovec iov[3];
    int niov;
} Record;

struct Slot {
    Session *session;
    uint32_t index;
    uint32_t slotid;
    uint32_t seqid; /* of the last request built on this slot */
    bool busy;
    bool sequenced;
    bool verify;
    uint64_t sent_ns; /* of the operation, which may take two requests */
    Record rec;
    size_t sent;
    int step;
    uint64_t item;
    uint64_t offset;
    uint64_t cookie;
    uint8_t cookieverf[8];
    Fh fh;
    Stateid stateid;
};

typedef struct {
    uint64_t ops, bytes, entries, errors, lost, strays, retries, unverified;
    uint64_t hist[HIST_SIZE];
} Stats;

/* body: the results after the accepted-reply header, NULL when the reply was not unwrapped;
 * total: length of the whole record. */
typedef void (*ReplyFn)(Conn *c, Slot *s, Cur *body, size_t total);

struct Conn {
    const Options *opt;
    int index;
    int fd;
    pthread_t thread;
    bool dead;
    char why[200];

    gss_ctx_id_t ctx;
    uint8_t handle[256];
    uint32_t handle_len;
    uint32_t gss_seq;
    uint32_t gss_window;
    uint32_t xid_count;

    uint64_t clientid;
    uint32_t cs_seq;
    Session sessions[SESSION_MAX];
    int nsessions;
    Slot *slots;
    Buf scratch;

    int *sendq; /* ring of slot indexes, capacity inflight */
    int sq_head, sq_len;

    uint8_t *in; /* input buffer and the record that does not fit in it */
    size_t in_len, in_pos;
    Buf rec;
    bool rec_open; /* a record has begun in rec */
    bool rec_last; /* the current fragment is its last */
    bool rec_skip; /* its rest is thrown away unread */
    size_t frag_left;
    size_t rec_total;

    ReplyFn on_reply;
    Stats stats;
    uint64_t last_reply_ns;
    uint64_t verify_tick;

    /* workload */
    Fh dir;  /* the path given */
    Fh work; /* this connection's own folder */
    Fh file; /* read and write */
    bool file_open;
    Stateid file_stateid;
    uint64_t issued, total;
    uint64_t deadline_ns;
    uint64_t rnd;
    uint32_t tag; /* in the name of the own folder */
    int active;
    const Workload *run;
    Record *prepared;
    uint64_t nprepared, next_prepared;
    uint64_t end_ns;
    int complaints;
    bool broken; /* replies are missing: the connection is good for nothing more */
};

struct Workload {
    const char *name;
    bool needs_results; /* replies must be decoded: later requests depend on them */
    bool plain_steps;   /* one request per operation, known beforehand: can be prepared */
    bool needs_count;
    void (*setup)(Conn *c); /* not timed; its failures are in c->why */
    /* Builds the next request of the slot; false when there is nothing left to do. */
    bool (*next)(Conn *c, Slot *s);
    /* Returns true when the operation is complete, false when the slot continues with `next`. */
    bool (*done)(Conn *c, Slot *s, Cur *body, size_t total, bool *error);
    void (*finish)(Conn *c);
    void (*cleanup)(Conn *c);
};

uint64_t now_ns(void);
void conn_fail(Conn *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* conn.c: transport */
bool conn_open(Conn *c);
void conn_close(Conn *c);
void conn_queue(Conn *c, Slot *s);
bool conn_pump(Conn *c, int timeout_ms);
bool conn_call(Conn *c, Slot *s, Cur *body);
void record_clear(Record *r);

/* gss.c: credentials and protection of a call */
bool gss_establish(Conn *c);
void gss_end(Conn *c);
void call_begin(Conn *c, Slot *s, uint32_t proc);
Buf *call_args(Conn *c, Slot *s);
bool call_end(Conn *c, Slot *s);
bool reply_open(Conn *c, Slot *s, Cur *in, bool unwrap, gss_buffer_desc *plain);

/* nfs4.c: compounds */
size_t compound_begin(Buf *b);
void compound_end(Buf *b, size_t at, uint32_t nops);
void op_sequence(Buf *b, Slot *s);
void op_putfh(Buf *b, const Fh *fh);
void op_open(Buf *b, const Conn *c, const char *name, bool create, uint32_t access);
void op_close(Buf *b, const Stateid *st);
void op_getattr(Buf *b);
void put_bitmap_attrs(Buf *b);
void put_mode_attr(Buf *b, uint32_t mode);
bool res_compound(Cur *c, uint32_t *status, uint32_t *nops);
bool res_op(Cur *c, uint32_t op, uint32_t *status);
bool res_sequence(Cur *c);
bool res_fh(Cur *c, Fh *fh);
bool res_open(Cur *c, Stateid *st);
bool session_setup(Conn *c);
void session_end(Conn *c);
bool nfs_walk(Conn *c, const char *path, Fh *fh);
bool nfs_mkdir(Conn *c, const Fh *dir, const char *name, Fh *fh);
bool nfs_remove(Conn *c, const Fh *dir, const char *name);
bool nfs_open_file(Conn *c, const Fh *dir, const char *name, bool create);
bool nfs_close_file(Conn *c);
bool nfs_commit(Conn *c);
bool nfs_file_size(Conn *c, uint64_t *size);

/* work.c, engine.c */
const Workload *workload_find(const char *name);
void workload_names(FILE *f);
void work_prepare(Conn *c, const Workload *w, uint64_t count);
void work_run(Conn *c, const Workload *w, uint64_t count, double seconds);
uint64_t conn_missing(const Conn *c);
void pattern_init(uint32_t max);
const uint8_t *pattern_at(uint64_t offset);

/* stats.c */
void hist_add(Stats *s, uint64_t ns);
double hist_quantile(const Stats *s, double q);
void stats_merge(Stats *to, const Stats *from);
double cpu_of_pids(const Options *o);
double cpu_of_self(void);
double cpu_of_machine(void);
