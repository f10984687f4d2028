/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The pipe wkssvc: what this machine calls itself.
 *
 * Spec: [MS-WKST] 3.2.4.1, 2.2.5.1 … 2.2.5.3. */
#include "rpc.h"

static uint32_t
get_info(RpcCall *call)
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
        ndr_put_pointer(out, TRUE);
        ndr_put_u32(out, 6);
        ndr_put_u32(out, 1);
        if (level >= 101)
            ndr_put_pointer(out, TRUE);
        if (level == 102)
            ndr_put_u32(out, 1); /* logged-on users */
        ndr_put_string(out, rpc_computer_name(call));
        ndr_put_string(out, RPC_WORKGROUP);
        if (level >= 101)
            ndr_put_string(out, "");
    }
    ndr_put_u32(out, known ? WERR_OK : WERR_INVALID_LEVEL);
    return 0;
}

static const RpcOperation operations[] = {{0, "NetrWkstaGetInfo", get_info}, {0, NULL, NULL}};

/* 6bffd098-a112-3610-9833-46c3f87e345a */
const RpcInterface rpc_wkssvc = {
    "wkssvc",
    {0x98, 0xd0, 0xff, 0x6b, 0x12, 0xa1, 0x10, 0x36, 0x98, 0x33, 0x46, 0xc3, 0xf8, 0x7e, 0x34, 0x5a},
    1,
    operations};
