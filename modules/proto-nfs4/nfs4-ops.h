/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The operations' functions, one per file nfs4-op-NAME.c; their rows stand in nfs4-ops.c. */
#pragma once

#include "nfs4-compound.h"

#define NFS4_OP(name) uint32_t nfs4_op_##name(Nfs4Compound *c)

/* Files */
NFS4_OP(access);
NFS4_OP(commit);
NFS4_OP(create);
NFS4_OP(getattr);
NFS4_OP(getfh);
NFS4_OP(link);
NFS4_OP(lookup);
NFS4_OP(lookupp);
NFS4_OP(nverify);
NFS4_OP(openattr);
NFS4_OP(putfh);
NFS4_OP(putpubfh);
NFS4_OP(putrootfh);
NFS4_OP(read);
NFS4_OP(readdir);
NFS4_OP(readlink);
NFS4_OP(remove);
NFS4_OP(rename);
NFS4_OP(restorefh);
NFS4_OP(savefh);
NFS4_OP(secinfo);
NFS4_OP(secinfo_no_name);
NFS4_OP(setattr);
NFS4_OP(verify);
NFS4_OP(write);
NFS4_OP(allocate);
NFS4_OP(deallocate);
NFS4_OP(clone);
NFS4_OP(copy);
NFS4_OP(io_advise);
NFS4_OP(read_plus);
NFS4_OP(seek);
NFS4_OP(getxattr);
NFS4_OP(setxattr);
NFS4_OP(listxattrs);
NFS4_OP(removexattr);

/* State */
NFS4_OP(setclientid);
NFS4_OP(setclientid_confirm);
NFS4_OP(renew);
NFS4_OP(open);
NFS4_OP(open_confirm);
NFS4_OP(open_downgrade);
NFS4_OP(close);
NFS4_OP(lock);
NFS4_OP(lockt);
NFS4_OP(locku);
NFS4_OP(release_lockowner);
NFS4_OP(delegpurge);
NFS4_OP(delegreturn);
NFS4_OP(exchange_id);
NFS4_OP(create_session);
NFS4_OP(destroy_session);
NFS4_OP(destroy_clientid);
NFS4_OP(bind_conn_to_session);
NFS4_OP(backchannel_ctl);
NFS4_OP(sequence);
NFS4_OP(reclaim_complete);
NFS4_OP(test_stateid);
NFS4_OP(free_stateid);
