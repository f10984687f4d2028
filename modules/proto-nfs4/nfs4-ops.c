/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of operations: one row each, indexed by number.
 *
 * Spec: RFC 7530 16, RFC 8881 17 and 18, RFC 7862 13 to 15, RFC 8276 8.4 */
#include "nfs4-ops.h"
#include "nfs4-attr.h"

#define FH    NFS4_NEEDS_FH
#define NAMED NFS4_NAMED
#define SAVED NFS4_NEEDS_SAVED_FH
#define MOD   NFS4_MODIFIES
#define CINFO NFS4_CHANGE_INFO_SIZE
#define SID   NFS4_STATEID_SIZE

/* name in capitals, name of the function, flags, first and last minor version, bound of the result body, section */
#define ROW(NAME, func, flags, from, to, max, spec)                                                                    \
    [OP_##NAME] = {#NAME, nfs4_op_##func, (flags), (from), (to), (max), (spec)}
/* Known and not offered. */
#define REFUSED(NAME, flags, from, to, spec) [OP_##NAME] = {#NAME, NULL, (flags), (from), (to), 0, (spec)}

/* reply_max counts the fixed parts; 0 where nothing is changed (what got too long is taken back) or the handler asks
 * nfs4_reply_room() itself. OPEN: stateid, change, flags, attrset, a delegation with one short ACE. LOCK: a denial
 * with an owner name of 64 bytes; a longer one that does not fit is taken back, for nothing was changed. */
const Nfs4Op nfs4_ops[OP_LAST + 1] = {
    ROW(ACCESS, access, FH | NAMED, 0, 2, 8, "RFC 8881 18.1"),
    ROW(CLOSE, close, FH | NAMED | MOD, 0, 2, SID, "RFC 8881 18.2"),
    ROW(COMMIT, commit, FH | NAMED | MOD, 0, 2, 8, "RFC 8881 18.3"),
    ROW(CREATE, create, FH | MOD, 0, 2, CINFO + NFS4_BITMAP_SIZE, "RFC 8881 18.4"),
    ROW(DELEGPURGE, delegpurge, MOD, 0, 2, 0, "RFC 8881 18.5"),
    ROW(DELEGRETURN, delegreturn, FH | MOD, 0, 2, 0, "RFC 8881 18.6"),
    ROW(GETATTR, getattr, FH | NAMED, 0, 2, 0, "RFC 8881 18.7"),
    ROW(GETFH, getfh, FH | NAMED, 0, 2, 4 + NFS4_FHSIZE, "RFC 8881 18.8"),
    ROW(LINK, link, FH | NAMED | SAVED | MOD, 0, 2, CINFO, "RFC 8881 18.9"),
    ROW(LOCK, lock, FH | NAMED | MOD, 0, 2, 96, "RFC 8881 18.10"),
    ROW(LOCKT, lockt, FH | NAMED, 0, 2, 96, "RFC 8881 18.11"),
    ROW(LOCKU, locku, FH | NAMED | MOD, 0, 2, SID, "RFC 8881 18.12"),
    ROW(LOOKUP, lookup, FH | NAMED, 0, 2, 0, "RFC 8881 18.13"),
    ROW(LOOKUPP, lookupp, FH | NAMED | NFS4_ANY_FLAVOR, 0, 2, 0, "RFC 8881 18.14"),
    ROW(NVERIFY, nverify, FH | NAMED, 0, 2, 0, "RFC 8881 18.15"),
    ROW(OPEN, open, FH | NAMED | MOD, 0, 2, 136, "RFC 8881 18.16"),
    ROW(OPENATTR, openattr, FH | NAMED | MOD, 0, 2, 0, "RFC 8881 18.17"),
    ROW(OPEN_CONFIRM, open_confirm, FH | NAMED | MOD, 0, 0, SID, "RFC 7530 16.18"),
    ROW(OPEN_DOWNGRADE, open_downgrade, FH | NAMED | MOD, 0, 2, SID, "RFC 8881 18.18"),
    ROW(PUTFH, putfh, NFS4_PUTS_FH, 0, 2, 0, "RFC 8881 18.19"),
    ROW(PUTPUBFH, putpubfh, NFS4_PUTS_FH, 0, 2, 0, "RFC 8881 18.20"),
    ROW(PUTROOTFH, putrootfh, NFS4_PUTS_FH, 0, 2, 0, "RFC 8881 18.21"),
    ROW(READ, read, FH | NAMED, 0, 2, 0, "RFC 8881 18.22"),
    ROW(READDIR, readdir, FH | NAMED, 0, 2, 0, "RFC 8881 18.23"),
    ROW(READLINK, readlink, FH, 0, 2, 0, "RFC 8881 18.24"),
    ROW(REMOVE, remove, FH | NAMED | MOD, 0, 2, CINFO, "RFC 8881 18.25"),
    ROW(RENAME, rename, FH | NAMED | SAVED | MOD, 0, 2, 2 * CINFO, "RFC 8881 18.26"),
    ROW(RENEW, renew, 0, 0, 0, 0, "RFC 7530 16.28"),
    ROW(RESTOREFH, restorefh, NFS4_PUTS_FH, 0, 2, 0, "RFC 8881 18.27"),
    ROW(SAVEFH, savefh, FH | NAMED | NFS4_ANY_FLAVOR, 0, 2, 0, "RFC 8881 18.28"),
    ROW(SECINFO, secinfo, FH | NAMED | NFS4_ANY_FLAVOR | NFS4_IS_SECINFO, 0, 2, 0, "RFC 8881 18.29"),
    ROW(SETATTR, setattr, FH | NAMED | MOD, 0, 2, NFS4_BITMAP_SIZE, "RFC 8881 18.30"),
    ROW(SETCLIENTID, setclientid, MOD, 0, 0, 160, "RFC 7530 16.33"),
    ROW(SETCLIENTID_CONFIRM, setclientid_confirm, MOD, 0, 0, 0, "RFC 7530 16.34"),
    ROW(VERIFY, verify, FH | NAMED, 0, 2, 0, "RFC 8881 18.31"),
    ROW(WRITE, write, FH | NAMED | MOD, 0, 2, 16, "RFC 8881 18.32"),
    ROW(RELEASE_LOCKOWNER, release_lockowner, MOD, 0, 0, 0, "RFC 7530 16.37"),
    ROW(BACKCHANNEL_CTL, backchannel_ctl, MOD, 1, 2, 0, "RFC 8881 18.33"),
    ROW(BIND_CONN_TO_SESSION, bind_conn_to_session, NFS4_NO_SESSION | NFS4_ONLY_ALONE | MOD, 1, 2, 24,
        "RFC 8881 18.34"),
    ROW(EXCHANGE_ID, exchange_id, NFS4_NO_SESSION | MOD, 1, 2, 0, "RFC 8881 18.35"),
    ROW(CREATE_SESSION, create_session, NFS4_NO_SESSION | MOD, 1, 2, 88, "RFC 8881 18.36"),
    ROW(DESTROY_SESSION, destroy_session, NFS4_NO_SESSION | MOD, 1, 2, 0, "RFC 8881 18.37"),
    ROW(FREE_STATEID, free_stateid, MOD, 1, 2, 0, "RFC 8881 18.38"),
    REFUSED(GET_DIR_DELEGATION, FH, 1, 2, "RFC 8881 18.39"),
    REFUSED(GETDEVICEINFO, 0, 1, 2, "RFC 8881 18.40"),
    REFUSED(GETDEVICELIST, 0, 1, 2, "RFC 8881 18.41"),
    REFUSED(LAYOUTCOMMIT, FH, 1, 2, "RFC 8881 18.42"),
    REFUSED(LAYOUTGET, FH, 1, 2, "RFC 8881 18.43"),
    REFUSED(LAYOUTRETURN, 0, 1, 2, "RFC 8881 18.44"),
    ROW(SECINFO_NO_NAME, secinfo_no_name, FH | NAMED | NFS4_ANY_FLAVOR | NFS4_IS_SECINFO, 1, 2, 0, "RFC 8881 18.45"),
    ROW(SEQUENCE, sequence, NFS4_NO_SESSION, 1, 2, 36, "RFC 8881 18.46"),
    REFUSED(SET_SSV, 0, 1, 2, "RFC 8881 18.47"),
    ROW(TEST_STATEID, test_stateid, 0, 1, 2, 0, "RFC 8881 18.48"),
    REFUSED(WANT_DELEGATION, 0, 1, 2, "RFC 8881 18.49"),
    ROW(DESTROY_CLIENTID, destroy_clientid, NFS4_NO_SESSION | MOD, 1, 2, 0, "RFC 8881 18.50"),
    ROW(RECLAIM_COMPLETE, reclaim_complete, MOD, 1, 2, 0, "RFC 8881 18.51"),
    ROW(ALLOCATE, allocate, FH | NAMED | MOD, 2, 2, 0, "RFC 7862 15.1"),
    ROW(COPY, copy, FH | NAMED | SAVED | MOD, 2, 2, 32, "RFC 7862 15.2"),
    REFUSED(COPY_NOTIFY, FH, 2, 2, "RFC 7862 15.3"),
    ROW(DEALLOCATE, deallocate, FH | NAMED | MOD, 2, 2, 0, "RFC 7862 15.4"),
    ROW(IO_ADVISE, io_advise, FH | NAMED, 2, 2, 8, "RFC 7862 15.5"),
    REFUSED(LAYOUTERROR, FH, 2, 2, "RFC 7862 15.6"),
    REFUSED(LAYOUTSTATS, FH, 2, 2, "RFC 7862 15.7"),
    REFUSED(OFFLOAD_CANCEL, FH, 2, 2, "RFC 7862 15.8"),
    REFUSED(OFFLOAD_STATUS, FH, 2, 2, "RFC 7862 15.9"),
    ROW(READ_PLUS, read_plus, FH | NAMED, 2, 2, 0, "RFC 7862 15.10"),
    ROW(SEEK, seek, FH | NAMED, 2, 2, 12, "RFC 7862 15.11"),
    REFUSED(WRITE_SAME, FH, 2, 2, "RFC 7862 15.12"),
    ROW(CLONE, clone, FH | NAMED | SAVED | MOD, 2, 2, 0, "RFC 7862 15.13"),
    ROW(GETXATTR, getxattr, FH, 2, 2, 0, "RFC 8276 8.4.1"),
    ROW(SETXATTR, setxattr, FH | MOD, 2, 2, CINFO, "RFC 8276 8.4.2"),
    ROW(LISTXATTRS, listxattrs, FH, 2, 2, 0, "RFC 8276 8.4.3"),
    ROW(REMOVEXATTR, removexattr, FH | MOD, 2, 2, CINFO, "RFC 8276 8.4.4"),
};
