/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One COMPOUND on its way, and what an operation may ask of the loop.
 *
 * An operation is one function in one file, uint32_t nfs4_op_NAME(Nfs4Compound *c): it decodes its arguments from
 * c->in, and writes its result body to c->out. The loop has already written the operation number and a place for the
 * status, which is the function's return value. With a status other than NFS4_OK the loop takes back what was written,
 * unless the handler set c->keep_body (LOCK's denied holder, SETATTR's bitmap).
 *
 * Arguments are decoded completely before anything is changed: after the last getter `if (c->in->failed) return
 * NFS4ERR_BADXDR;`.
 *
 * Thread: a compound belongs to the worker that runs it. */
#pragma once

#include "nfs4-proto.h"
#include "nfs4-service.h"

typedef struct _Nfs4Compound Nfs4Compound;
typedef struct _Nfs4Session Nfs4Session; /* nfs4-session.c */
typedef struct _Nfs4Slot Nfs4Slot;

/* RFC 8881 8.2 */
typedef struct {
    uint32_t seqid;
    uint8_t other[NFS4_OTHER_SIZE];
} Nfs4Stateid;

/* Never on the wire: SEQUENCE found a retry, the answer stands in c->replay (RFC 8881 2.10.6.1.3). */
#define NFS4_REPLAY UINT32_MAX
/* Never on the wire: the request gets no answer at all. */
#define NFS4_DROP (UINT32_MAX - 1)

typedef uint32_t (*Nfs4OpFunc)(Nfs4Compound *c);

typedef enum {
    NFS4_NEEDS_FH = 1 << 0,       /* else NFS4ERR_NOFILEHANDLE */
    NFS4_NEEDS_SAVED_FH = 1 << 1, /* else NFS4ERR_NOFILEHANDLE (4.1) or NFS4ERR_RESTOREFH by the handler */
    NFS4_NO_SESSION = 1 << 2,     /* 4.1: may be first without SEQUENCE (RFC 8881 2.10.6.2) */
    NFS4_ONLY_ALONE = 1 << 3,     /* 4.1: without SEQUENCE it must be the only operation (NOT_ONLY_OP) */
    NFS4_MODIFIES = 1 << 4,       /* changes files or state: its reply must fit before it runs */
    NFS4_PUTS_FH = 1 << 5,        /* sets the current file handle from outside (RFC 8881 2.6.3.1.1) */
    NFS4_ANY_FLAVOR = 1 << 6,     /* does not look at the object: no flavor check (SECINFO, SAVEFH, LOOKUPP …) */
    NFS4_IS_SECINFO = 1 << 7,
    NFS4_IN_GRACE = 1 << 8, /* free for the state engine */
    NFS4_NAMED = 1 << 9     /* knows what to do with named attributes (nfs4-named.h); else WRONG_TYPE */
} Nfs4OpFlags;

typedef struct {
    const char *name;   /* NULL: no such operation */
    Nfs4OpFunc handler; /* NULL: known and refused with NFS4ERR_NOTSUPP */
    uint32_t flags;
    uint8_t minor_from, minor_to;
    uint32_t reply_max; /* upper bound of the result body in bytes; larger ones are bounded by the handler itself */
    const char *spec;
} Nfs4Op;

/* Indexed by operation number, OP_LAST + 1 rows: nfs4-ops.c. */
extern const Nfs4Op nfs4_ops[OP_LAST + 1];

struct _Nfs4Compound {
    Nfs4Service *service;
    Nfs4Connection *connection;
    LaresFiles *files;                         /* service->files */
    LaresArena *arena;                         /* of the request */
    struct Nfs4OwnerMemo *owner, *owner_group; /* the last one named: a listing asks for the same again and again */
    LaresCaller caller;
    /* Who owns state made here: "krb5:ada@HOME.LAN" or "sys:1000:100". Valid during the request. */
    const char *principal;
    gboolean machine_principal; /* proven host principal */

    uint32_t minor;
    uint32_t op;       /* number of the running operation */
    uint32_t op_index; /* from 0 */
    uint32_t op_count;
    LaresReader *in;
    const uint8_t *request; /* the COMPOUND's arguments from the tag on (for a digest of retries) */
    size_t request_len;
    LaresReply *reply;
    LaresWriter *out;      /* &reply->out */
    gboolean allow_ranges; /* a READ may put file ranges into the reply */
    gboolean keep_body;
    gboolean serial;  /* LaresReply.serial: a directory was changed */
    gpointer op_data; /* of the running operation, between its own functions */
    guint about;      /* nfs4-metrics.h: under which operation the time of the whole is counted */
    guint about_weight;

    LaresObject current, saved;
    /* Set where that is a named attribute or a directory of them: what it belongs to. */
    LaresObject current_of, saved_of;
    gboolean current_unchecked; /* flavor policy of `current` not checked yet; likewise saved */
    gboolean saved_unchecked;
    /* RFC 8881 16.2.3.1.2; all zero after the file handle was set by an operation without a stateid. */
    Nfs4Stateid current_stateid, saved_stateid;
    gboolean gave_stateid; /* some operation has returned one (RFC 8881 8.2.3) */

    /* Set by SEQUENCE, NULL in 4.0. References are the state engine's: it ends them in nfs4_session_finish(). */
    Nfs4Session *session;
    Nfs4Slot *slot;
    gboolean cachethis;
    size_t reply_limit; /* largest COMPOUND result in bytes (the session's ca_maxresponsesize less the RPC header) */
    size_t cache_limit; /* likewise what the slot caches; checked only with cachethis */
    /* With NFS4_REPLAY: the whole COMPOUND result, from the status on. In the arena. */
    const uint8_t *replay;
    size_t replay_len;
    size_t result_at; /* writer offset where the COMPOUND result (its status) begins */
    /* How many bytes the RPC layer puts around the arguments and the result (limits of a session count them). */
    size_t call_overhead, reply_overhead;
};

typedef enum { NFS4_RUN_ANSWER, NFS4_RUN_DROP, NFS4_RUN_GARBAGE } Nfs4Run;

/* Runs one COMPOUND: `c` has service, connection, arena, caller, principal, in, reply, out and overheads set. The
 * result is in c->out from c->result_at on. DROP: no answer is to be sent. GARBAGE: the arguments are no COMPOUND.
 * Clears every reference it holds. */
Nfs4Run nfs4_compound_run(Nfs4Compound *c);

/* ---- For operations ------------------------------------------------------------------------------------------- */

/* Takes over the references in *object; the current stateid becomes the anonymous one (RFC 8881 16.2.3.1.2). */
void nfs4_set_current(Nfs4Compound *c, LaresObject *object);
/* Likewise, of an object found in the current directory: in a directory of named attributes it is one. */
void nfs4_set_current_within(Nfs4Compound *c, LaresObject *object);
void nfs4_clear_current(Nfs4Compound *c);
void nfs4_clear_saved(Nfs4Compound *c);
static inline void
nfs4_set_current_stateid(Nfs4Compound *c, const Nfs4Stateid *stateid)
{
    c->current_stateid = *stateid;
    c->gave_stateid = TRUE;
}

/* Is there room for a result body of `len` bytes behind the running operation's header? NFS4_OK,
 * NFS4ERR_REP_TOO_BIG, NFS4ERR_REP_TOO_BIG_TO_CACHE (4.1) or NFS4ERR_RESOURCE (4.0). */
uint32_t nfs4_reply_room(Nfs4Compound *c, size_t len);
/* How many bytes a result body may have at most now. */
size_t nfs4_reply_left(Nfs4Compound *c);

/* The number of the operation behind the running one; 0 when it is the last. */
uint32_t nfs4_next_op(const Nfs4Compound *c);
/* Flavor and host policy of an object: NFS4_OK, WRONGSEC, ACCESS, STALE. */
uint32_t nfs4_check_policy(const Nfs4Compound *c, const LaresObject *object);

/* component4: decodes, checks and copies to the arena. NFS4_OK, BADXDR, INVAL, NAMETOOLONG, BADCHAR, BADNAME. In a
 * directory of named attributes it comes as it is kept (lares_files_named_name()). */
uint32_t nfs4_get_name(Nfs4Compound *c, const char **name);
/* Two in a row, so that both are decoded before either is judged. */
void nfs4_get_name_bytes(LaresReader *in, const uint8_t **bytes, size_t *len);
uint32_t nfs4_check_name(Nfs4Compound *c, const uint8_t *bytes, size_t len, const char **name);

static inline void
nfs4_get_stateid(LaresReader *in, Nfs4Stateid *stateid)
{
    *stateid = (Nfs4Stateid){0};
    stateid->seqid = lares_get_u32(in);
    const uint8_t *other = lares_get_bytes(in, NFS4_OTHER_SIZE);
    if (other)
        memcpy(stateid->other, other, NFS4_OTHER_SIZE);
}
static inline void
nfs4_put_stateid(LaresWriter *out, const Nfs4Stateid *stateid)
{
    lares_put_u32(out, stateid->seqid);
    lares_put_bytes(out, stateid->other, NFS4_OTHER_SIZE);
}
static inline void
nfs4_put_change_info(LaresWriter *out, const LaresChangeInfo *info)
{
    lares_put_u32(out, info->atomic);
    lares_put_u64(out, info->before);
    lares_put_u64(out, info->after);
}
#define NFS4_CHANGE_INFO_SIZE 20u
#define NFS4_STATEID_SIZE     16u

/* The one place where LaresStatus becomes nfsstat4; knows the minor version and the running operation. nfs4-status.c */
uint32_t nfs4_status(const Nfs4Compound *c, LaresStatus status);
const char *nfs4_status_name(uint32_t status);
/* What an operation on a regular file answers when the current file is another type (RFC 7530 13.1.8, 8881 15.1.2.9:
 * ISDIR, SYMLINK, INVAL or WRONG_TYPE); NFS4_OK for a regular file. */
uint32_t nfs4_need_regular(const Nfs4Compound *c, const LaresObject *object);
/* NFS4_OK, NOTDIR, or SYMLINK for a symbolic link where the operation says so (LOOKUP). */
uint32_t nfs4_need_directory(const Nfs4Compound *c, const LaresObject *object);
