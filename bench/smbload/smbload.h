/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the rooms of the SMB load generator share: options, connection, slot, workload.
 * Thread: one thread owns one Conn with its slots; only Options is common. */
#pragma once

#include <gssapi/gssapi.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/uio.h>

#include "wire.h"

#define HEADER       64
#define TRANSFORM    52
#define INFLIGHT_MAX 1024
#define MID_MAP      16384
#define HIST_SUB     32
#define HIST_SIZE    (HIST_SUB * 40)
#define PARTS_MAX    4

enum {
    CMD_NEGOTIATE,
    CMD_SESSION_SETUP,
    CMD_LOGOFF,
    CMD_TREE_CONNECT,
    CMD_TREE_DISCONNECT,
    CMD_CREATE,
    CMD_CLOSE,
    CMD_FLUSH,
    CMD_READ,
    CMD_WRITE,
    CMD_LOCK,
    CMD_IOCTL,
    CMD_CANCEL,
    CMD_ECHO,
    CMD_QUERY_DIRECTORY,
    CMD_CHANGE_NOTIFY,
    CMD_QUERY_INFO,
    CMD_SET_INFO,
};

/* Fields of the header ([MS-SMB2] 2.2.1.2). */
enum { H_CHARGE = 6, H_STATUS = 8, H_COMMAND = 12, H_CREDITS = 14, H_FLAGS = 16, H_NEXT = 20, H_MID = 24 };
enum { H_TREE = 36, H_SESSION = 40, H_SIGNATURE = 48 };
enum { FLAG_RESPONSE = 1, FLAG_ASYNC = 2, FLAG_RELATED = 4, FLAG_SIGNED = 8 };

#define STATUS_PENDING                  0x00000103u
#define STATUS_NO_MORE_FILES            0x80000006u
#define STATUS_MORE_PROCESSING_REQUIRED 0xc0000016u

typedef enum { SEC_PLAIN, SEC_GMAC, SEC_CMAC, SEC_GCM } Sec;
typedef enum { AUTH_KRB5, AUTH_NTLM, AUTH_GUEST } Auth;

typedef struct {
    const char *host;
    const char *port;
    const char *share;
    const char *spn_host;
    const char *user;
    const char *password;
    const char *workload;
    const char *file;
    const char *folder; /* has its entries already; NULL: make one */
    Sec sec;
    Auth auth;
    int connections;
    int inflight;
    int verify_every; /* 1: every reply is decrypted and its signature checked; 0: none; n: each nth */
    bool check_data;
    bool keep;
    double seconds;
    double stall;
    uint64_t count;
    uint32_t size;
    uint64_t filesize;
    uint32_t entries;
    int npids;
    int pids[64];
} Options;

typedef struct {
    uint8_t p[16];
} FileId;

typedef struct Conn Conn;
typedef struct Slot Slot;
typedef struct Workload Workload;

/* One answer: the first `have` of its `total` bytes, from the header on, decrypted. */
typedef struct {
    const uint8_t *p;
    size_t have;
    size_t total;
    uint32_t status;
} Reply;

struct Slot {
    int index;
    bool busy;
    bool verify;
    bool sign; /* this request must be signed although the session need not be */
    uint64_t mid;
    Buf buf; /* from the framing on */
    size_t parts[PARTS_MAX];
    int nparts;
    struct iovec tail; /* payload that is sent from where it lies */
    struct iovec iov[2];
    int niov;
    size_t sent;
    uint64_t sent_ns; /* of the operation, which may take several requests */
    int step;
    uint64_t item;
    uint64_t offset;
    FileId fid;
    uint32_t tree;
    uint64_t session; /* of a login in this slot; 0: the connection's */
};

typedef struct {
    uint64_t ops, bytes, entries, errors, lost, strays;
    uint64_t hist[HIST_SIZE];
} Stats;

typedef void (*ReplyFn)(Conn *c, Slot *s, const Reply *r);

struct Conn {
    const Options *opt;
    int index;
    int fd;
    pthread_t thread;
    bool dead;
    bool broken; /* replies are missing: the connection is good for nothing more */
    char why[200];

    uint64_t next_mid;
    int64_t credits;
    uint32_t wanted_credits;
    uint32_t max_read, max_write;
    uint16_t slot_of[MID_MAP]; /* slot index + 1 */

    uint64_t session;
    uint32_t tree;
    bool protect;        /* the session has keys and they are in use */
    uint8_t preauth[64]; /* after NEGOTIATE */
    uint8_t sign_key[16];
    bool have_keys;
    EVP_CIPHER_CTX *gmac, *seal, *open;
    EVP_MAC_CTX *cmac;
    uint64_t nonce;
    gss_name_t target;

    Slot *slots;
    int *sendq; /* ring of slot indexes, capacity inflight */
    int sq_head, sq_len;
    int *starved; /* slots that wait for credits */
    int nstarved;

    uint8_t *in;
    size_t in_len, in_pos;
    Buf rec;
    Buf plain;   /* the decrypted beginning of a reply */
    Buf scratch; /* the reply of conn_call */
    uint32_t rec_total, rec_left;
    bool rec_open, rec_skip;
    uint64_t last_reply_ns, end_ns, deadline_ns;
    ReplyFn on_reply;
    Stats stats;

    const Workload *run;
    FileId file;
    char folder[64];
    uint64_t issued, total, rnd;
    uint64_t verify_tick;
    uint32_t tag;
    int active;
    int complaints;
};

struct Workload {
    const char *name;
    bool storm; /* connecting is the work */
    bool needs_results;
    bool needs_count;
    bool bulk;
    void (*setup)(Conn *c); /* not timed; its failures are in c->why */
    /* Builds the next request of the slot; false when there is nothing left to do. */
    bool (*next)(Conn *c, Slot *s);
    /* Returns true when the operation is complete, false when the slot continues with `next`. */
    bool (*done)(Conn *c, Slot *s, const Reply *r, bool *error);
    void (*cleanup)(Conn *c);
};

uint64_t now_ns(void);
void conn_fail(Conn *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* conn.c: transport, message ids, credits */
bool conn_open(Conn *c);
void conn_close(Conn *c);
bool conn_pump(Conn *c, int timeout_ms);
/* One request, answered before it returns; the reply is valid until the next call. */
bool conn_call(Conn *c, Slot *s, Reply *r);
Buf *msg_begin(Conn *c, Slot *s, uint16_t command, uint32_t payload);
Buf *msg_related(Conn *c, Slot *s, uint16_t command);
void msg_queue(Conn *c, Slot *s);

/* crypto.c: keys, signatures, encryption */
void preauth_update(uint8_t hash[64], const void *p, size_t n);
bool keys_derive(Conn *c, const uint8_t session_key[16], const uint8_t hash[64]);
bool msg_sign(Conn *c, Slot *s);
bool msg_seal(Conn *c, Slot *s);
bool reply_signed_right(Conn *c, uint8_t *p, size_t n);
/* Decrypts a transform of n bytes; with whole its tag is compared too. */
bool reply_open(Conn *c, const uint8_t *p, size_t n, bool whole, Buf *out);
void keys_free(Conn *c);

/* auth.c */
bool auth_negotiate(Conn *c);
bool auth_login(Conn *c);
bool auth_tree(Conn *c);
/* The request of a one-step Kerberos login in a slot. */
bool auth_login_begin(Conn *c, Slot *s);
void put_tree_connect(Conn *c, Slot *s);

/* ntlm.c: tokens of NTLMv2, without key exchange */
void ntlm_negotiate(Buf *out);
bool ntlm_authenticate(const Options *o, const uint8_t *challenge, size_t n, Buf *out, uint8_t key[16]);

/* work.c, engine.c */
const Workload *workload_find(const char *name);
void workload_names(FILE *f);
void work_run(Conn *c, const Workload *w, uint64_t count, double seconds);
void pattern_init(uint32_t max);

/* stats.c */
void hist_add(Stats *s, uint64_t ns);
double hist_quantile(const Stats *s, double q);
void stats_merge(Stats *to, const Stats *from);
double cpu_of_servers(const Options *o);
uint64_t memory_of_servers(const Options *o, int *processes);
double cpu_of_self(void);
double cpu_of_machine(void);
