/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* RPC call and reply headers with AUTH_SYS or RPCSEC_GSS, on the system's GSS-API.
 * Spec: RFC 5531 (RPC), RFC 2203 (RPCSEC_GSS).
 * Thread: one context per connection, used by that connection's thread only. */
#include <gssapi/gssapi_krb5.h>
#include <stdio.h>
#include <unistd.h>

#include "nfsload.h"

enum { AUTH_NONE = 0, AUTH_SYS = 1, RPCSEC_GSS = 6 };
enum { GSS_DATA = 0, GSS_INIT = 1, GSS_CONTINUE = 2, GSS_DESTROY = 3 };

static int
service_of(Sec sec)
{
    return sec == SEC_KRB5I ? 2 : sec == SEC_KRB5P ? 3 : 1;
}

static void
fail_gss(Conn *c, const char *what, OM_uint32 major, OM_uint32 minor)
{
    OM_uint32 m, more = 0;
    gss_buffer_desc a = GSS_C_EMPTY_BUFFER, b = GSS_C_EMPTY_BUFFER;
    gss_display_status(&m, major, GSS_C_GSS_CODE, GSS_C_NO_OID, &more, &a);
    more = 0;
    gss_display_status(&m, minor, GSS_C_MECH_CODE, GSS_C_NO_OID, &more, &b);
    conn_fail(c, "%s: %.*s: %.*s", what, (int)a.length, (char *)a.value, (int)b.length, (char *)b.value);
    gss_release_buffer(&m, &a);
    gss_release_buffer(&m, &b);
}

static void
put_cred_gss(Conn *c, Buf *b, uint32_t gss_proc, uint32_t seq)
{
    put32(b, RPCSEC_GSS);
    size_t at = b->len;
    put32(b, 0);
    put32(b, 1);
    put32(b, gss_proc);
    put32(b, seq);
    put32(b, service_of(c->opt->sec));
    put_var(b, c->handle, c->handle_len);
    set32(b, at, (uint32_t)(b->len - at - 4));
}

static void
put_cred_sys(Conn *c, Buf *b)
{
    put32(b, AUTH_SYS);
    size_t at = b->len;
    put32(b, 0);
    put32(b, 0);
    put_str(b, "nfsload");
    put32(b, c->opt->uid);
    put32(b, c->opt->gid);
    put32(b, 0);
    set32(b, at, (uint32_t)(b->len - at - 4));
    put32(b, AUTH_NONE);
    put32(b, 0);
}

static bool
put_mic(Conn *c, Buf *b, const void *p, size_t n)
{
    OM_uint32 minor;
    gss_buffer_desc in = {n, (void *)p}, mic = GSS_C_EMPTY_BUFFER;
    OM_uint32 major = gss_get_mic(&minor, c->ctx, GSS_C_QOP_DEFAULT, &in, &mic);
    if (major != GSS_S_COMPLETE) {
        fail_gss(c, "gss_get_mic", major, minor);
        return false;
    }
    put_var(b, mic.value, mic.length);
    gss_release_buffer(&minor, &mic);
    return true;
}

static void
put_call(Conn *c, Slot *s, uint32_t proc)
{
    Buf *b = &s->rec.head;
    record_clear(&s->rec);
    s->rec.xid = (c->xid_count++ << XID_SLOTBITS) | s->index;
    put32(b, 0); /* the record mark, known at the end */
    put32(b, s->rec.xid);
    put32(b, 0);
    put32(b, 2);
    put32(b, 100003);
    put32(b, 4);
    put32(b, proc);
}

/* Where the arguments' protected body begins inside head (krb5i); 0 when not used. */
static _Thread_local size_t body_at;

void
call_begin(Conn *c, Slot *s, uint32_t proc)
{
    Buf *b = &s->rec.head;
    put_call(c, s, proc);
    body_at = 0;
    if (c->opt->sec == SEC_SYS) {
        put_cred_sys(c, b);
        return;
    }
    s->rec.gss_seq = ++c->gss_seq;
    put_cred_gss(c, b, GSS_DATA, s->rec.gss_seq);
    put32(b, RPCSEC_GSS);
    size_t end = b->len - 4;
    if (!put_mic(c, b, b->p + 4, end - 4))
        return;
    if (c->opt->sec == SEC_KRB5I) {
        put32(b, 0);
        body_at = b->len;
        put32(b, s->rec.gss_seq);
    } else if (c->opt->sec == SEC_KRB5P) {
        c->scratch.len = 0;
        put32(&c->scratch, s->rec.gss_seq);
    }
}

Buf *
call_args(Conn *c, Slot *s)
{
    return c->opt->sec == SEC_KRB5P ? &c->scratch : &s->rec.head;
}

static bool
seal(Conn *c, Slot *s)
{
    OM_uint32 minor;
    int conf = 0;
    gss_buffer_desc in = {c->scratch.len, c->scratch.p};
    OM_uint32 major = gss_wrap(&minor, c->ctx, 1, GSS_C_QOP_DEFAULT, &in, &conf, &s->rec.sealed);
    if (major != GSS_S_COMPLETE || !conf) {
        fail_gss(c, "gss_wrap", major, minor);
        return false;
    }
    put32(&s->rec.head, (uint32_t)s->rec.sealed.length);
    return true;
}

bool
call_end(Conn *c, Slot *s)
{
    Record *r = &s->rec;
    if (c->dead)
        return false;
    if (c->opt->sec == SEC_KRB5I) {
        size_t n = r->head.len - body_at;
        set32(&r->head, body_at - 4, (uint32_t)n);
        if (!put_mic(c, &r->head, r->head.p + body_at, n))
            return false;
    } else if (c->opt->sec == SEC_KRB5P && !seal(c, s)) {
        return false;
    }
    size_t sealed = r->sealed.length, pad = (4 - (sealed & 3)) & 3;
    set32(&r->head, 0, 0x80000000u | (uint32_t)(r->head.len - 4 + sealed + pad));
    r->niov = 0;
    r->iov[r->niov++] = (struct iovec){r->head.p, r->head.len};
    if (sealed > 0) {
        r->iov[r->niov++] = (struct iovec){r->sealed.value, sealed};
        if (pad > 0)
            r->iov[r->niov++] = (struct iovec){r->pad, pad};
    }
    return true;
}

static bool
verify_mic(Conn *c, const void *data, size_t n, const uint8_t *mic, uint32_t mic_len)
{
    OM_uint32 minor;
    gss_buffer_desc d = {n, (void *)data}, m = {mic_len, (void *)mic};
    return gss_verify_mic(&minor, c->ctx, &d, &m, NULL) == GSS_S_COMPLETE;
}

static bool
unwrap_body(Conn *c, Slot *s, Cur *in, gss_buffer_desc *plain)
{
    uint32_t n, m;
    OM_uint32 minor;
    const uint8_t *p = get_var(in, &n);
    if (c->opt->sec == SEC_KRB5I) {
        const uint8_t *mic = get_var(in, &m);
        if (in->bad || !verify_mic(c, p, n, mic, m))
            return false;
        *in = cur_of(p, n);
    } else {
        int conf = 0;
        gss_buffer_desc w = {n, (void *)p};
        if (in->bad || gss_unwrap(&minor, c->ctx, &w, plain, &conf, NULL) != GSS_S_COMPLETE || !conf)
            return false;
        *in = cur_of(plain->value, plain->length);
    }
    return get32(in) == s->rec.gss_seq && !in->bad;
}

/* Checks the reply's header after the xid and leaves `in` at the results. With unwrap the
 * verifier and the protection are checked too; `plain` is then the caller's to release. */
bool
reply_open(Conn *c, Slot *s, Cur *in, bool unwrap, gss_buffer_desc *plain)
{
    uint32_t verf_len;
    uint32_t type = get32(in), stat = get32(in);
    if (in->bad || type != 1)
        return false;
    if (stat != 0) {
        uint32_t why = get32(in), code = get32(in);
        fprintf(stderr, "nfsload: call rejected: reject_stat %u, detail %u\n", why, code);
        return false;
    }
    uint32_t flavor = get32(in);
    const uint8_t *verf = get_var(in, &verf_len);
    uint32_t accept = get32(in);
    if (in->bad || accept != 0) {
        fprintf(stderr, "nfsload: call not accepted: accept_stat %u\n", accept);
        return false;
    }
    if (c->opt->sec == SEC_SYS)
        return true;
    if (flavor != RPCSEC_GSS || verf_len == 0)
        return false;
    if (!unwrap)
        return true;
    uint32_t seq = htobe32(s->rec.gss_seq);
    if (!verify_mic(c, &seq, 4, verf, verf_len)) {
        fprintf(stderr, "nfsload: wrong verifier in a reply\n");
        return false;
    }
    if (c->opt->sec == SEC_KRB5)
        return true;
    if (!unwrap_body(c, s, in, plain)) {
        fprintf(stderr, "nfsload: a reply's body fails its protection\n");
        return false;
    }
    return true;
}

/* Sends one context token and takes the server's answer. */
static bool
exchange_token(Conn *c, uint32_t gss_proc, gss_buffer_desc *out, Buf *in_token, uint32_t *major, Buf *verf)
{
    Slot *s = &c->slots[0];
    Cur body;
    uint32_t n;
    put_call(c, s, 0);
    put_cred_gss(c, &s->rec.head, gss_proc, 0);
    put32(&s->rec.head, AUTH_NONE);
    put32(&s->rec.head, 0);
    put_var(&s->rec.head, out->value, out->length);
    set32(&s->rec.head, 0, 0x80000000u | (uint32_t)(s->rec.head.len - 4));
    s->rec.iov[0] = (struct iovec){s->rec.head.p, s->rec.head.len};
    s->rec.niov = 1;
    if (!conn_call(c, s, &body))
        return false;
    if (get32(&body) != 1 || get32(&body) != 0)
        return false;
    uint32_t flavor = get32(&body);
    const uint8_t *p = get_var(&body, &n);
    verf->len = 0;
    if (flavor == RPCSEC_GSS && p != NULL)
        memcpy(buf_grow(verf, n), p, n);
    if (get32(&body) != 0)
        return false;
    p = get_var(&body, &n);
    if (p == NULL || n > sizeof c->handle)
        return false;
    memcpy(c->handle, p, n);
    c->handle_len = n;
    *major = get32(&body);
    get32(&body);
    c->gss_window = get32(&body);
    p = get_var(&body, &n);
    in_token->len = 0;
    if (p != NULL && n > 0)
        memcpy(buf_grow(in_token, n), p, n);
    return !body.bad;
}

static bool
import_target(Conn *c, gss_name_t *name)
{
    char text[300];
    OM_uint32 major, minor;
    snprintf(text, sizeof text, "nfs@%s", c->opt->spn_host ? c->opt->spn_host : c->opt->host);
    gss_buffer_desc b = {strlen(text), text};
    major = gss_import_name(&minor, &b, GSS_C_NT_HOSTBASED_SERVICE, name);
    if (major != GSS_S_COMPLETE)
        fail_gss(c, text, major, minor);
    return major == GSS_S_COMPLETE;
}

bool
gss_establish(Conn *c)
{
    gss_name_t target;
    OM_uint32 major, minor, m;
    uint32_t server = 0;
    Buf in = {0}, verf = {0};
    uint32_t gss_proc = GSS_INIT;

    if (c->opt->sec == SEC_SYS)
        return true;
    if (!import_target(c, &target))
        return false;
    do {
        gss_buffer_desc out = GSS_C_EMPTY_BUFFER, tok = {in.len, in.p};
        major = gss_init_sec_context(&minor, GSS_C_NO_CREDENTIAL, &c->ctx, target, (gss_OID)gss_mech_krb5,
                                     GSS_C_MUTUAL_FLAG, 0, NULL, tok.length ? &tok : GSS_C_NO_BUFFER, NULL, &out, NULL,
                                     NULL);
        if (GSS_ERROR(major))
            fail_gss(c, "gss_init_sec_context", major, minor);
        else if (out.length > 0 && !exchange_token(c, gss_proc, &out, &in, &server, &verf))
            conn_fail(c, "the context token got no usable answer");
        else if (GSS_ERROR(server))
            conn_fail(c, "the server refuses the context: major 0x%x", server);
        gss_release_buffer(&m, &out);
        gss_proc = GSS_CONTINUE;
    } while (!c->dead && major == GSS_S_CONTINUE_NEEDED);
    gss_release_name(&m, &target);
    uint32_t window = htobe32(c->gss_window);
    if (!c->dead && !verify_mic(c, &window, 4, verf.p, (uint32_t)verf.len))
        conn_fail(c, "the context's verifier is wrong");
    buf_free(&in);
    buf_free(&verf);
    return !c->dead;
}

void
gss_end(Conn *c)
{
    OM_uint32 minor;
    if (c->ctx != GSS_C_NO_CONTEXT)
        gss_delete_sec_context(&minor, &c->ctx, NULL);
}
