/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The pipe srvsvc: which shares there are, and what the server is.
 *
 * A caller sees the shares that TREE_CONNECT would let this session use: those for other hosts or for stronger logins
 * are not named. Where a share lies on the server is nobody's business.
 *
 * Spec: [MS-SRVS] 3.1.4.1, 3.1.4.2, 3.1.4.5, 3.1.4.8, 3.1.4.10, 3.1.4.17, 3.1.4.21; 2.2.4. */
#include "rpc.h"
#include "smb2-session.h"

#define TYPE_DISK            0u
#define TYPE_IPC             0x80000003u /* STYPE_IPC | STYPE_SPECIAL */
#define IPC_NAME             "IPC$"
#define IPC_REMARK           "Remote procedure calls"
#define UNLIMITED            UINT32_MAX
#define SHI1005_ACCESS_BASED 0x0800u /* [MS-SRVS] 2.2.4.29 */

/* ---- Shares ------------------------------------------------------------------------------------------------------ */

/* References; the caller frees the array. */
static GPtrArray *
visible_shares(RpcCall *call)
{
    GPtrArray *all = lares_shares_list(call->service->shares);
    GPtrArray *seen = g_ptr_array_new_with_free_func((GDestroyNotify)lares_share_unref);
    for (guint i = 0; i < all->len; i++) {
        LaresShare *share = all->pdata[i];
        if (smb2_share_visible(call->session, share, call->peer))
            g_ptr_array_add(seen, lares_share_ref(share));
    }
    g_ptr_array_unref(all);
    return seen;
}

typedef struct {
    const char *name, *remark;
    uint32_t type, flags;
} Row;

static Row
row_of(const LaresShare *share)
{
    if (!share)
        return (Row){IPC_NAME, IPC_REMARK, TYPE_IPC, 0};
    return (Row){share->name, "", TYPE_DISK, share->options & LARES_SHARE_ACCESS_BASED ? SHI1005_ACCESS_BASED : 0};
}

static gboolean
level_known(uint32_t level)
{
    return level <= 2 || level == 501 || level == 502;
}

/* The fixed part of SHARE_INFO_0, _1, _2, _501 and _502; the strings follow with put_row_strings(). */
static void
put_row(NdrWriter *out, uint32_t level, const Row *row)
{
    ndr_put_pointer(out, TRUE);
    if (level == 0)
        return;
    ndr_put_u32(out, row->type);
    ndr_put_pointer(out, TRUE);
    if (level == 501)
        ndr_put_u32(out, row->flags);
    if (level != 2 && level != 502)
        return;
    ndr_put_u32(out, 0); /* permissions: not used */
    ndr_put_u32(out, UNLIMITED);
    ndr_put_u32(out, 0); /* uses now */
    ndr_put_pointer(out, TRUE);
    ndr_put_pointer(out, FALSE); /* password: share-level security only */
    if (level == 502) {
        ndr_put_u32(out, 0);
        ndr_put_pointer(out, FALSE); /* the share's list of flavors is no security descriptor */
    }
}

static void
put_row_strings(NdrWriter *out, uint32_t level, const Row *row)
{
    ndr_put_string(out, row->name);
    if (level == 0)
        return;
    ndr_put_string(out, row->remark);
    if (level == 2 || level == 502)
        ndr_put_string(out, "");
}

static void
put_rows(NdrWriter *out, uint32_t level, const GPtrArray *shares)
{
    ndr_put_u32(out, shares->len);
    ndr_put_pointer(out, shares->len > 0);
    if (shares->len == 0)
        return;
    ndr_put_u32(out, shares->len);
    for (guint i = 0; i < shares->len; i++) {
        Row row = row_of(shares->pdata[i]);
        put_row(out, level, &row);
    }
    for (guint i = 0; i < shares->len; i++) {
        Row row = row_of(shares->pdata[i]);
        put_row_strings(out, level, &row);
    }
}

static void
free_row(gpointer share)
{
    if (share)
        lares_share_unref(share);
}

/* What every enumeration is asked with, behind its names: a level, an empty container of it (without an array, or with
 * one of no entries), a length that is wanted and a place to go on at. FALSE: it is something else. */
static gboolean
read_request(NdrReader *in, uint32_t *level, gboolean *resume)
{
    *level = ndr_get_u32(in);
    uint32_t tag = ndr_get_u32(in);
    if (ndr_get_pointer(in)) {
        uint32_t entries = ndr_get_u32(in);
        if (ndr_get_pointer(in) && (entries != 0 || ndr_get_u32(in) != 0))
            return FALSE;
    }
    ndr_get_u32(in);
    *resume = ndr_get_pointer(in);
    if (*resume)
        ndr_get_u32(in);
    return *level == tag && !ndr_failed(in);
}

/* The list is given whole, whatever length the client would like: it is bounded by the shares there are, and the answer
 * by the pipe. */
static uint32_t
enumerate(RpcCall *call, gboolean special)
{
    NdrReader *in = &call->in;
    NdrWriter *out = &call->out;
    uint32_t level;
    gboolean resume;
    rpc_skip_server_name(call);
    if (!read_request(in, &level, &resume))
        return RPC_FAULT_BAD_STUB_DATA;
    gboolean known = level_known(level);
    GPtrArray *shares = known ? visible_shares(call) : g_ptr_array_new();
    g_ptr_array_set_free_func(shares, free_row);
    if (known && special)
        g_ptr_array_add(shares, NULL);
    ndr_put_u32(out, level);
    ndr_put_u32(out, level);
    ndr_put_pointer(out, known);
    if (known)
        put_rows(out, level, shares);
    ndr_put_u32(out, shares->len);
    ndr_put_pointer(out, resume);
    if (resume)
        ndr_put_u32(out, 0);
    ndr_put_u32(out, known ? WERR_OK : WERR_INVALID_LEVEL);
    g_ptr_array_unref(shares);
    return 0;
}

static uint32_t
share_enum(RpcCall *call)
{
    return enumerate(call, TRUE);
}

static uint32_t
share_enum_sticky(RpcCall *call)
{
    return enumerate(call, FALSE);
}

static uint32_t
share_get_info(RpcCall *call)
{
    NdrWriter *out = &call->out;
    g_autoptr(LaresShare) share = NULL;
    rpc_skip_server_name(call);
    const char *name = ndr_get_string(&call->in, call->arena, 1024);
    uint32_t level = ndr_get_u32(&call->in), error = WERR_OK;
    if (ndr_failed(&call->in))
        return RPC_FAULT_BAD_STUB_DATA;
    gboolean ipc = g_ascii_strcasecmp(name, IPC_NAME) == 0;
    if (!ipc) {
        share = smb2_share_by_name(call->service, name);
        if (!share || !smb2_share_visible(call->session, share, call->peer))
            error = WERR_NET_NAME_NOT_FOUND;
    }
    if (error == WERR_OK && !level_known(level) && level != 1005)
        error = WERR_INVALID_LEVEL;
    ndr_put_u32(out, level);
    ndr_put_pointer(out, error == WERR_OK);
    if (error == WERR_OK) {
        Row row = row_of(share);
        if (level == 1005) {
            ndr_put_u32(out, row.flags);
        } else {
            put_row(out, level, &row);
            put_row_strings(out, level, &row);
        }
    }
    ndr_put_u32(out, error);
    return 0;
}

/* ---- The server -------------------------------------------------------------------------------------------------- */

static uint32_t
server_get_info(RpcCall *call)
{
    NdrWriter *out = &call->out;
    rpc_skip_server_name(call);
    uint32_t level = ndr_get_u32(&call->in);
    gboolean known = level >= 100 && level <= 102;
    ndr_put_u32(out, level);
    ndr_put_pointer(out, known);
    if (known) {
        ndr_put_u32(out, 500); /* PLATFORM_ID_NT */
        ndr_put_pointer(out, TRUE);
        if (level >= 101) {
            ndr_put_u32(out, 6);
            ndr_put_u32(out, 1);
            ndr_put_u32(out, 0x9003); /* workstation, server, NT, NT server: 2.2.2.7 */
            ndr_put_pointer(out, TRUE);
        }
        if (level == 102) {
            ndr_put_u32(out, UNLIMITED); /* users */
            ndr_put_u32(out, 15);        /* minutes until an idle session may go */
            ndr_put_u32(out, 0);         /* hidden */
            ndr_put_u32(out, 240);       /* announced every … seconds, give or take */
            ndr_put_u32(out, 3000);
            ndr_put_u32(out, 0); /* licences */
            ndr_put_pointer(out, TRUE);
        }
        ndr_put_string(out, rpc_computer_name(call));
        if (level >= 101)
            ndr_put_string(out, "Lares");
        if (level == 102)
            ndr_put_string(out, "");
    }
    ndr_put_u32(out, known ? WERR_OK : WERR_INVALID_LEVEL);
    return 0;
}

/* Who else is here, from where and with which files open is an administrator's to know: laresctl session list. What is
 * not given is an empty container of the level that was asked for. `names`: strings behind the server's name. */
static uint32_t
refuse_enum(RpcCall *call, int names)
{
    NdrReader *in = &call->in;
    NdrWriter *out = &call->out;
    uint32_t level;
    gboolean resume;
    rpc_skip_server_name(call);
    for (; names > 0; names--)
        rpc_skip_server_name(call);
    if (!read_request(in, &level, &resume))
        return RPC_FAULT_BAD_STUB_DATA;
    ndr_put_u32(out, level);
    ndr_put_u32(out, level);
    ndr_put_pointer(out, FALSE);
    ndr_put_u32(out, 0);
    ndr_put_pointer(out, resume);
    if (resume)
        ndr_put_u32(out, 0);
    ndr_put_u32(out, WERR_ACCESS_DENIED);
    return 0;
}

static uint32_t
connection_enum(RpcCall *call)
{
    return refuse_enum(call, 1); /* of a share or a computer */
}

static uint32_t
file_enum(RpcCall *call)
{
    return refuse_enum(call, 2); /* below a path, of a user */
}

static uint32_t
session_enum(RpcCall *call)
{
    return refuse_enum(call, 2); /* of a client, of a user */
}

static uint32_t
remote_tod(RpcCall *call)
{
    NdrWriter *out = &call->out;
    rpc_skip_server_name(call);
    gint64 now = g_get_real_time();
    g_autoptr(GDateTime) utc = g_date_time_new_from_unix_utc(now / G_USEC_PER_SEC);
    g_autoptr(GDateTime) local = g_date_time_new_now_local();
    const uint32_t values[] = {(uint32_t)(now / G_USEC_PER_SEC),
                               (uint32_t)(g_get_monotonic_time() / 1000),
                               (uint32_t)g_date_time_get_hour(utc),
                               (uint32_t)g_date_time_get_minute(utc),
                               (uint32_t)g_date_time_get_second(utc),
                               (uint32_t)(now % G_USEC_PER_SEC / 10000),
                               (uint32_t)(-g_date_time_get_utc_offset(local) / G_TIME_SPAN_MINUTE),
                               310, /* tenths of a millisecond per tick */
                               (uint32_t)g_date_time_get_day_of_month(utc),
                               (uint32_t)g_date_time_get_month(utc),
                               (uint32_t)g_date_time_get_year(utc),
                               (uint32_t)g_date_time_get_day_of_week(utc) % 7};
    ndr_put_pointer(out, TRUE);
    for (size_t i = 0; i < G_N_ELEMENTS(values); i++)
        ndr_put_u32(out, values[i]);
    ndr_put_u32(out, WERR_OK);
    return 0;
}

static const RpcOperation operations[] = {{8, "NetrConnectionEnum", connection_enum},
                                          {9, "NetrFileEnum", file_enum},
                                          {12, "NetrSessionEnum", session_enum},
                                          {15, "NetrShareEnum", share_enum},
                                          {16, "NetrShareGetInfo", share_get_info},
                                          {21, "NetrServerGetInfo", server_get_info},
                                          {28, "NetrRemoteTOD", remote_tod},
                                          {36, "NetrShareEnumSticky", share_enum_sticky},
                                          {0, NULL, NULL}};

/* 4b324fc8-1670-01d3-1278-5a47bf6ee188 */
const RpcInterface rpc_srvsvc = {
    "srvsvc",
    {0xc8, 0x4f, 0x32, 0x4b, 0x70, 0x16, 0xd3, 0x01, 0x12, 0x78, 0x5a, 0x47, 0xbf, 0x6e, 0xe1, 0x88},
    3,
    operations};
