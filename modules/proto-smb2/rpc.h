/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Remote procedures behind named pipes: the interfaces, and one call on its way.
 *
 * Spec: C706 chapter 12, [MS-RPCE] 2.2. Thread: a call runs on the worker that wrote it. */
#pragma once

#include "ndr.h"
#include "smb2-sd.h"
#include "smb2.h"

/* nca_s_… and Windows' own: C706 appendix E, [MS-RPCE] 2.2.3 */
#define RPC_FAULT_OP_RANGE      0x1c010002u
#define RPC_FAULT_UNKNOWN_IF    0x1c010003u
#define RPC_FAULT_BAD_STUB_DATA 0x000006f7u
#define RPC_FAULT_NO_MEMORY     0x1c00001bu
#define RPC_FAULT_ACCESS_DENIED 0x00000005u

/* Win32 errors: [MS-ERREF] 2.2 */
#define WERR_OK                 0u
#define WERR_ACCESS_DENIED      5u
#define WERR_INVALID_LEVEL      124u
#define WERR_NET_NAME_NOT_FOUND 2310u

#define STATUS_SOME_NOT_MAPPED 0x00000107u

typedef struct {
    Smb2Service *service;
    Smb2Session *session;
    const LaresPeer *peer;
    LaresArena *arena;
    NdrReader in;
    NdrWriter out;
} RpcCall;

/* 0, or the status of a fault: then what was written is dropped. A reader that failed is a fault by itself. */
typedef uint32_t (*RpcFunc)(RpcCall *call);

typedef struct {
    uint16_t number;
    const char *name;
    RpcFunc func;
} RpcOperation;

typedef struct {
    const char *pipe; /* "srvsvc" */
    uint8_t uuid[16]; /* as on the wire */
    uint16_t major;
    const RpcOperation *operations; /* ended by a NULL func */
} RpcInterface;

extern const RpcInterface rpc_srvsvc, rpc_wkssvc, rpc_lsarpc, rpc_samr;

/* The server's short name in upper case ("NAS"); in the arena. */
const char *rpc_computer_name(RpcCall *call);
/* What the workgroup of a server without a domain is called. */
#define RPC_WORKGROUP "WORKGROUP"
/* Whether the caller has proven who they are: a guest is told nobody's name. */
gboolean rpc_may_ask(const RpcCall *call);
/* RPC_SID: its count of sub-authorities stands before it a second time. FALSE: broken. */
gboolean rpc_get_sid(NdrReader *in, Smb2Sid *sid);
void rpc_put_sid(NdrWriter *out, const Smb2Sid *sid);
/* The machine's own domain; SIDs of accounts have one sub-authority more. */
Smb2Sid rpc_domain_sid(RpcCall *call);
/* The account's name without the domain, in the arena; NULL when the directory has only the number. */
const char *rpc_account_name(RpcCall *call, uint32_t id, gboolean group);
/* The number of a user, else of a group, of this name ("ada"). FALSE: there is none. */
gboolean rpc_account_id(RpcCall *call, const char *name, uint32_t *id, gboolean *group);
/* Skips the [unique, string] server name that most calls begin with. */
void rpc_skip_server_name(RpcCall *call);
