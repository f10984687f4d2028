/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* NEGOTIATE, SESSION_SETUP with the system's GSS-API or NTLM, TREE_CONNECT.
 * Spec: [MS-SMB2] 2.2.3, 2.2.5, 2.2.9, 3.2.4.2. */
#include <gssapi/gssapi_ext.h>
#include <sys/random.h>

#include "smbload.h"

static gss_OID_desc spnego = {6, (void *)"\x2b\x06\x01\x05\x05\x02"};

static uint8_t
security_mode(const Options *o)
{
    return o->sec == SEC_GMAC || o->sec == SEC_CMAC ? 2 : 1;
}

static void
put_context(Buf *b, size_t message, uint16_t type, const void *p, uint16_t n)
{
    put_zeros(b, (8 - (b->len - message) % 8) % 8);
    put16(b, type);
    put16(b, n);
    put32(b, 0);
    put_bytes(b, p, n);
}

static void
put_contexts(Conn *c, Buf *b, size_t message)
{
    uint8_t preauth[38] = {1, 0, 32, 0, 1, 0}, cipher[4] = {1, 0, 2, 0};
    uint8_t signing[4] = {1, 0, c->opt->sec == SEC_CMAC ? 1 : 2, 0};
    if (getrandom(preauth + 6, 32, 0) < 0)
        preauth[6] = 1;
    put_context(b, message, 1, preauth, sizeof preauth);
    if (c->opt->sec == SEC_GCM)
        put_context(b, message, 2, cipher, sizeof cipher);
    put_context(b, message, 8, signing, sizeof signing);
}

/* The answer must name the algorithms that were asked for. */
static bool
contexts_are_ours(Conn *c, const Reply *r)
{
    size_t at = get32(r->p + HEADER + 60);
    bool cipher = c->opt->sec != SEC_GCM, signing = false;
    for (int n = get16(r->p + HEADER + 6); n > 0 && at + 12 <= r->have; n--) {
        uint16_t type = get16(r->p + at), len = get16(r->p + at + 2), value = get16(r->p + at + 10);
        if (type == 2 && value == 2)
            cipher = true;
        if (type == 8 && value == (c->opt->sec == SEC_CMAC ? 1 : 2))
            signing = true;
        at += 8u + (len + 7u) / 8u * 8u;
    }
    return cipher && (signing || c->opt->sec == SEC_CMAC);
}

bool
auth_negotiate(Conn *c)
{
    Slot *s = &c->slots[0];
    Reply r;
    Buf *b = msg_begin(c, s, CMD_NEGOTIATE, 0);
    size_t message = s->parts[0], body = b->len;
    put_zeros(b, 36);
    set16(b->p + body, 36);
    set16(b->p + body + 2, 1);
    set16(b->p + body + 4, security_mode(c->opt));
    set32(b->p + body + 8, c->opt->sec == SEC_GCM ? 0x44 : 4);
    if (getrandom(b->p + body + 12, 16, 0) < 0)
        b->p[body + 12] = 1;
    put16(b, 0x0311);
    put_zeros(b, (8 - (b->len - message) % 8) % 8);
    set32(b->p + body + 28, (uint32_t)(b->len - message));
    set16(b->p + body + 32, c->opt->sec == SEC_GCM ? 3 : 2);
    put_contexts(c, b, message);
    memset(c->preauth, 0, sizeof c->preauth);
    preauth_update(c->preauth, b->p + message, b->len - message);
    if (!conn_call(c, s, &r))
        return false;
    if (r.status != 0 || r.have < HEADER + 64 || get16(r.p + HEADER + 4) != 0x0311) {
        conn_fail(c, "NEGOTIATE: status 0x%08x", r.status);
        return false;
    }
    preauth_update(c->preauth, r.p, r.have);
    c->max_read = get32(r.p + HEADER + 32);
    c->max_write = get32(r.p + HEADER + 36);
    if (!contexts_are_ours(c, &r))
        conn_fail(c, "the server does not offer the wanted cipher or signature");
    return !c->dead;
}

static void
put_session_setup(Conn *c, Slot *s, const void *token, size_t n)
{
    Buf *b = msg_begin(c, s, CMD_SESSION_SETUP, (uint32_t)n);
    size_t body = b->len;
    put_zeros(b, 24);
    set16(b->p + body, 25);
    b->p[body + 3] = security_mode(c->opt);
    set32(b->p + body + 4, 1);
    set16(b->p + body + 12, HEADER + 24);
    set16(b->p + body + 14, (uint16_t)n);
    put_bytes(b, token, n);
}

static const uint8_t *
token_of(const Reply *r, size_t *n)
{
    if (r->have < HEADER + 8)
        return NULL;
    size_t at = get16(r->p + HEADER + 4);
    *n = get16(r->p + HEADER + 6);
    return at + *n <= r->have ? r->p + at : NULL;
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

static bool
import_target(Conn *c)
{
    char text[300];
    OM_uint32 minor;
    if (c->target != GSS_C_NO_NAME)
        return true;
    snprintf(text, sizeof text, "cifs@%s", c->opt->spn_host ? c->opt->spn_host : c->opt->host);
    gss_buffer_desc b = {strlen(text), text};
    OM_uint32 major = gss_import_name(&minor, &b, GSS_C_NT_HOSTBASED_SERVICE, &c->target);
    if (major != GSS_S_COMPLETE)
        fail_gss(c, text, major, minor);
    return major == GSS_S_COMPLETE;
}

static OM_uint32
gss_step(Conn *c, gss_ctx_id_t *ctx, gss_buffer_t in, gss_buffer_t out)
{
    OM_uint32 minor, major = gss_init_sec_context(&minor, GSS_C_NO_CREDENTIAL, ctx, c->target, &spnego,
                                                  GSS_C_MUTUAL_FLAG | GSS_C_INTEG_FLAG | GSS_C_CONF_FLAG, 0, NULL, in,
                                                  NULL, out, NULL, NULL);
    if (GSS_ERROR(major))
        fail_gss(c, "gss_init_sec_context", major, minor);
    return major;
}

static bool
session_key(Conn *c, gss_ctx_id_t ctx, uint8_t key[16])
{
    OM_uint32 minor;
    gss_buffer_set_t set = GSS_C_NO_BUFFER_SET;
    OM_uint32 major = gss_inquire_sec_context_by_oid(&minor, ctx, GSS_C_INQ_SSPI_SESSION_KEY, &set);
    bool ok = major == GSS_S_COMPLETE && set->count > 0 && set->elements[0].length >= 16;
    if (ok)
        memcpy(key, set->elements[0].value, 16);
    else
        conn_fail(c, "no session key");
    gss_release_buffer_set(&minor, &set);
    return ok;
}

/* One SESSION_SETUP; hash takes in what the keys depend on. False when the login failed. */
static bool
exchange(Conn *c, const void *token, size_t n, uint8_t hash[64], Reply *r)
{
    Slot *s = &c->slots[0];
    put_session_setup(c, s, token, n);
    preauth_update(hash, s->buf.p + s->parts[0], s->buf.len - s->parts[0]);
    if (!conn_call(c, s, r))
        return false;
    c->session = get64(r->p + H_SESSION);
    if (r->status == STATUS_MORE_PROCESSING_REQUIRED)
        preauth_update(hash, r->p, r->have);
    else if (r->status != 0)
        conn_fail(c, "SESSION_SETUP: status 0x%08x", r->status);
    return !c->dead;
}

static bool
login_krb5(Conn *c, uint8_t hash[64], uint8_t key[16])
{
    gss_ctx_id_t ctx = GSS_C_NO_CONTEXT;
    OM_uint32 major, minor;
    Reply r = {.status = STATUS_MORE_PROCESSING_REQUIRED};
    gss_buffer_desc in = GSS_C_EMPTY_BUFFER;
    if (!import_target(c))
        return false;
    do {
        gss_buffer_desc out = GSS_C_EMPTY_BUFFER;
        major = gss_step(c, &ctx, in.length ? &in : GSS_C_NO_BUFFER, &out);
        if (!c->dead && out.length > 0 && r.status == STATUS_MORE_PROCESSING_REQUIRED &&
            exchange(c, out.value, out.length, hash, &r)) {
            in.value = (void *)token_of(&r, &in.length);
            if (in.value == NULL)
                in.length = 0;
        }
        gss_release_buffer(&minor, &out);
    } while (!c->dead && major == GSS_S_CONTINUE_NEEDED && in.length > 0);
    if (!c->dead && (major != GSS_S_COMPLETE || r.status != 0))
        conn_fail(c, "the login ended half-way");
    bool ok = !c->dead && session_key(c, ctx, key);
    gss_delete_sec_context(&minor, &ctx, NULL);
    return ok;
}

static bool
login_ntlm(Conn *c, uint8_t hash[64], uint8_t key[16])
{
    Buf token = {0};
    Reply r;
    ntlm_negotiate(&token);
    bool ok = exchange(c, token.p, token.len, hash, &r);
    const uint8_t *m = ok ? memmem(r.p, r.have, "NTLMSSP", 8) : NULL;
    token.len = 0;
    if (ok && (m == NULL || !ntlm_authenticate(c->opt, m, r.have - (size_t)(m - r.p), &token, key))) {
        conn_fail(c, "an unusable NTLM challenge");
        ok = false;
    }
    ok = ok && exchange(c, token.p, token.len, hash, &r) && r.status == 0;
    buf_free(&token);
    return ok;
}

bool
auth_login(Conn *c)
{
    uint8_t hash[64], key[16] = {0};
    memcpy(hash, c->preauth, sizeof hash);
    if (!(c->opt->auth == AUTH_KRB5 ? login_krb5(c, hash, key) : login_ntlm(c, hash, key))) {
        conn_fail(c, "login failed");
        return false;
    }
    if (c->opt->auth == AUTH_GUEST)
        return true;
    c->protect = keys_derive(c, key, hash);
    return c->protect;
}

bool
auth_login_begin(Conn *c, Slot *s)
{
    gss_ctx_id_t ctx = GSS_C_NO_CONTEXT;
    gss_buffer_desc out = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor;
    if (!import_target(c))
        return false;
    gss_step(c, &ctx, GSS_C_NO_BUFFER, &out);
    if (!c->dead) {
        uint64_t saved = c->session; /* a new session, not the connection's again */
        bool protect = c->protect;
        c->session = 0;
        c->protect = false;
        s->session = 0;
        put_session_setup(c, s, out.value, out.length);
        c->session = saved;
        c->protect = protect;
    }
    gss_release_buffer(&minor, &out);
    gss_delete_sec_context(&minor, &ctx, NULL);
    return !c->dead;
}

void
put_tree_connect(Conn *c, Slot *s)
{
    char path[300];
    Buf *b = msg_begin(c, s, CMD_TREE_CONNECT, 0);
    snprintf(path, sizeof path, "\\\\%s\\%s", c->opt->spn_host ? c->opt->spn_host : c->opt->host, c->opt->share);
    put16(b, 9);
    put16(b, 0);
    put16(b, HEADER + 8);
    put16(b, (uint16_t)(strlen(path) * 2));
    put_utf16(b, path);
    s->sign = true; /* 3.1.1 asks for it, whatever the session's protection */
}

bool
auth_tree(Conn *c)
{
    Reply r;
    put_tree_connect(c, &c->slots[0]);
    if (!conn_call(c, &c->slots[0], &r))
        return false;
    if (r.status != 0)
        conn_fail(c, "TREE_CONNECT: status 0x%08x", r.status);
    c->tree = get32(r.p + H_TREE);
    return !c->dead;
}
