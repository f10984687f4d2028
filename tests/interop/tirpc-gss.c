/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An NFSv4.0 client on libtirpc's own RPCSEC_GSS, an implementation that shares nothing with
 * the server: NULL calls, a PUTROOTFH+GETATTR compound, growing messages, change of service and
 * end of context for service none, integrity and privacy. TAP on standard output.
 * Spec: RFC 2203, RFC 7530.
 * Usage: tirpc-gss HOST PORT SPN-HOST, with a ticket in the credential cache. */
#include <arpa/inet.h>
#include <gssapi/gssapi_krb5.h>
#include <netinet/in.h>
#include <rpc/rpc.h>
#include <rpc/auth_gss.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { NFS_PROGRAM = 100003, NFS_V4 = 4, OP_GETATTR = 9, OP_PUTROOTFH = 24 };
enum { TAG_MAX = 1 << 20, ATTRS_MAX = 4096 };

static const struct {
    rpc_gss_svc_t svc;
    const char *name;
} services[] = {
    {RPCSEC_GSS_SVC_NONE, "none"},
    {RPCSEC_GSS_SVC_INTEGRITY, "integrity"},
    {RPCSEC_GSS_SVC_PRIVACY, "privacy"},
};

typedef struct {
    struct sockaddr_in address;
    char spn[300];
    int number, failed;
} Test;

/* PUTROOTFH, GETATTR of type and lease_time; the tag gives the message its size. */
typedef struct {
    char *tag;
    u_int tag_len;
} Question;

typedef struct {
    u_int status;
    char *tag;
    u_int tag_len;
    u_int nops;
    u_int op[2], op_status[2];
    u_int bitmap_len, bitmap[3];
    char *attrs;
    u_int attrs_len;
} Answer;

static void verdict(Test *t, bool_t ok, const char *format, ...) __attribute__((format(printf, 3, 4)));

static void
verdict(Test *t, bool_t ok, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    printf("%s %d - ", ok ? "ok" : "not ok", ++t->number);
    vprintf(format, ap);
    putchar('\n');
    fflush(stdout);
    va_end(ap);
    t->failed += !ok;
}

static bool_t
xdr_number(XDR *x, u_int v)
{
    return xdr_u_int(x, &v);
}

static bool_t
xdr_question(XDR *x, void *data)
{
    Question *q = data;
    return xdr_bytes(x, &q->tag, &q->tag_len, TAG_MAX) && xdr_number(x, 0) && xdr_number(x, 2) &&
           xdr_number(x, OP_PUTROOTFH) && xdr_number(x, OP_GETATTR) && xdr_number(x, 1) &&
           xdr_number(x, 1u << 1 | 1u << 10);
}

static bool_t
xdr_answer(XDR *x, void *data)
{
    Answer *a = data;
    if (x->x_op == XDR_FREE) {
        free(a->tag);
        free(a->attrs);
        memset(a, 0, sizeof *a);
        return TRUE;
    }
    if (!xdr_u_int(x, &a->status) || !xdr_bytes(x, &a->tag, &a->tag_len, TAG_MAX) || !xdr_u_int(x, &a->nops) ||
        a->nops > 2)
        return FALSE;
    for (u_int i = 0; i < a->nops; i++)
        if (!xdr_u_int(x, &a->op[i]) || !xdr_u_int(x, &a->op_status[i]))
            return FALSE;
    if (a->nops < 2 || a->op_status[1] != 0)
        return TRUE;
    if (!xdr_u_int(x, &a->bitmap_len) || a->bitmap_len > 3)
        return FALSE;
    for (u_int i = 0; i < a->bitmap_len; i++)
        if (!xdr_u_int(x, &a->bitmap[i]))
            return FALSE;
    return xdr_bytes(x, &a->attrs, &a->attrs_len, ATTRS_MAX);
}

static bool_t
xdr_nothing(XDR *x, void *data)
{
    return TRUE;
}

static CLIENT *
client_new(Test *t)
{
    int sock = RPC_ANYSOCK;
    struct sockaddr_in to = t->address;
    return clnttcp_create(&to, NFS_PROGRAM, NFS_V4, &sock, 0, 0);
}

static bool_t
call_null(CLIENT *c, enum clnt_stat *stat)
{
    struct timeval wait = {10, 0};
    *stat = clnt_call(c, 0, (xdrproc_t)xdr_nothing, NULL, (xdrproc_t)xdr_nothing, NULL, wait);
    return *stat == RPC_SUCCESS;
}

/* One compound with a tag of so many bytes; the whole answer is checked. */
static bool_t
call_compound(CLIENT *c, u_int tag_len, enum clnt_stat *stat)
{
    struct timeval wait = {10, 0};
    Question q = {malloc(tag_len + 1), tag_len};
    Answer a = {0};
    for (u_int i = 0; i < tag_len; i++)
        q.tag[i] = (char)('a' + i % 26);
    *stat = clnt_call(c, 1, (xdrproc_t)xdr_question, &q, (xdrproc_t)xdr_answer, &a, wait);
    bool_t ok = *stat == RPC_SUCCESS && a.status == 0 && a.nops == 2 && a.op[0] == OP_PUTROOTFH &&
                a.op[1] == OP_GETATTR && a.attrs_len == 8 && a.tag_len == tag_len &&
                (tag_len == 0 || memcmp(a.tag, q.tag, tag_len) == 0);
    if (ok)
        ok = ntohl(*(uint32_t *)a.attrs) == 2; /* NF4DIR */
    else if (*stat == RPC_SUCCESS)
        printf("# compound: status %u, %u results\n", a.status, a.nops);
    XDR x = {.x_op = XDR_FREE};
    xdr_answer(&x, &a);
    free(q.tag);
    return ok;
}

static AUTH *
auth_new(Test *t, CLIENT *c, rpc_gss_svc_t svc)
{
    struct rpc_gss_sec sec = {.mech = (gss_OID)gss_mech_krb5,
                              .qop = GSS_C_QOP_DEFAULT,
                              .svc = svc,
                              .cred = GSS_C_NO_CREDENTIAL,
                              .req_flags = GSS_C_MUTUAL_FLAG};
    return authgss_create_default(c, t->spn, &sec);
}

static void
check_messages(Test *t, CLIENT *c, const char *name)
{
    static const u_int sizes[] = {0, 1, 2, 3, 15, 16, 17, 100, 200, 255};
    enum clnt_stat stat = RPC_SUCCESS;
    u_int done = 0;
    for (; done < 100 && call_null(c, &stat); done++)
        ;
    verdict(t, done == 100, "service %s: 100 NULL calls (%u, %s)", name, done, clnt_sperrno(stat));
    verdict(t, call_compound(c, 0, &stat), "service %s: PUTROOTFH and GETATTR (%s)", name, clnt_sperrno(stat));
    u_int n = sizeof sizes / sizeof sizes[0];
    for (done = 0; done < n && call_compound(c, sizes[done], &stat); done++)
        ;
    verdict(t, done == n, "service %s: compounds of %u sizes (%u, %s)", name, n, done, clnt_sperrno(stat));
}

static void
check_service(Test *t, int i)
{
    const char *name = services[i].name;
    CLIENT *c = client_new(t);
    if (c == NULL) {
        verdict(t, FALSE, "service %s: connection%s", name, clnt_spcreateerror(""));
        return;
    }
    AUTH *auth = auth_new(t, c, services[i].svc);
    verdict(t, auth != NULL, "service %s: context established", name);
    if (auth != NULL) {
        auth_destroy(c->cl_auth);
        c->cl_auth = auth;
        check_messages(t, c, name);
        auth_destroy(auth); /* says RPCSEC_GSS_DESTROY */
        c->cl_auth = authnone_create();
    }
    clnt_destroy(c);
}

/* One context, all services in turn, then its end and a new one on the same connection. */
static void
check_change(Test *t)
{
    enum clnt_stat stat = RPC_SUCCESS;
    CLIENT *c = client_new(t);
    AUTH *auth = c != NULL ? auth_new(t, c, RPCSEC_GSS_SVC_NONE) : NULL;
    if (auth == NULL) {
        verdict(t, FALSE, "a context for all services");
        if (c != NULL)
            clnt_destroy(c);
        return;
    }
    auth_destroy(c->cl_auth);
    c->cl_auth = auth;
    bool_t ok = TRUE;
    for (int i = 0; i < 12 && ok; i++)
        ok = authgss_service(auth, services[i % 3].svc) && call_compound(c, 40, &stat);
    verdict(t, ok, "one context serves none, integrity and privacy in turn (%s)", clnt_sperrno(stat));
    auth_destroy(auth);
    c->cl_auth = authnone_create();
    verdict(t, call_null(c, &stat), "the connection outlives the context (%s)", clnt_sperrno(stat));
    auth = auth_new(t, c, RPCSEC_GSS_SVC_PRIVACY);
    if (auth != NULL) {
        auth_destroy(c->cl_auth);
        c->cl_auth = auth;
    }
    verdict(t, auth != NULL && call_compound(c, 40, &stat), "a second context on the connection");
    if (auth != NULL) {
        auth_destroy(auth);
        c->cl_auth = authnone_create();
    }
    clnt_destroy(c);
}

int
main(int argc, char **argv)
{
    Test t = {.address = {.sin_family = AF_INET}};
    if (argc != 4) {
        fprintf(stderr, "Usage: tirpc-gss HOST PORT SPN-HOST\n");
        return 2;
    }
    if (inet_pton(AF_INET, argv[1], &t.address.sin_addr) != 1)
        return 2;
    t.address.sin_port = htons((uint16_t)atoi(argv[2]));
    snprintf(t.spn, sizeof t.spn, "nfs@%s", argv[3]);
    for (int i = 0; i < 3; i++)
        check_service(&t, i);
    check_change(&t);
    printf("1..%d\n", t.number);
    return t.failed != 0;
}
