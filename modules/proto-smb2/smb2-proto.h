/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The constants of the wire: commands, flags, statuses, control codes, access masks, information classes.
 *
 * Spec: [MS-SMB2] 2.2, [MS-ERREF] 2.3.1 (statuses), [MS-FSCC] 2.3 to 2.6, [MS-DTYP] 2.4.3 (access masks). */
#pragma once

#include <stdint.h>

/* ---- Header: [MS-SMB2] 2.2.1 ------------------------------------------------------------------------------------ */

#define SMB2_HEADER_SIZE    64u
#define SMB2_PROTOCOL_ID    UINT32_C(0x424d53fe) /* FE 'S' 'M' 'B', little endian */
#define SMB1_PROTOCOL_ID    UINT32_C(0x424d53ff)
#define SMB2_TRANSFORM_ID   UINT32_C(0x424d53fd)
#define SMB2_COMPRESSION_ID UINT32_C(0x424d53fc)
#define SMB2_FILE_ID_SIZE   16u
#define SMB2_ANY_MESSAGE    UINT64_MAX /* MessageId of an oplock break notification */

/* Offsets in the header. */
enum {
    SMB2_H_STRUCTURE_SIZE = 4,
    SMB2_H_CREDIT_CHARGE = 6,
    SMB2_H_STATUS = 8, /* a request of SMB 3: ChannelSequence, Reserved */
    SMB2_H_COMMAND = 12,
    SMB2_H_CREDITS = 14,
    SMB2_H_FLAGS = 16,
    SMB2_H_NEXT = 20,
    SMB2_H_MESSAGE_ID = 24,
    SMB2_H_PROCESS_ID = 32,
    SMB2_H_TREE_ID = 36,
    SMB2_H_ASYNC_ID = 32, /* with SMB2_FLAGS_ASYNC_COMMAND */
    SMB2_H_SESSION_ID = 40,
    SMB2_H_SIGNATURE = 48
};

typedef enum {
    SMB2_NEGOTIATE,
    SMB2_SESSION_SETUP,
    SMB2_LOGOFF,
    SMB2_TREE_CONNECT,
    SMB2_TREE_DISCONNECT,
    SMB2_CREATE,
    SMB2_CLOSE,
    SMB2_FLUSH,
    SMB2_READ,
    SMB2_WRITE,
    SMB2_LOCK,
    SMB2_IOCTL,
    SMB2_CANCEL,
    SMB2_ECHO,
    SMB2_QUERY_DIRECTORY,
    SMB2_CHANGE_NOTIFY,
    SMB2_QUERY_INFO,
    SMB2_SET_INFO,
    SMB2_OPLOCK_BREAK,
    SMB2_N_COMMANDS
} Smb2CommandCode;

#define SMB2_FLAGS_SERVER_TO_REDIR    0x00000001u
#define SMB2_FLAGS_ASYNC_COMMAND      0x00000002u
#define SMB2_FLAGS_RELATED_OPERATIONS 0x00000004u
#define SMB2_FLAGS_SIGNED             0x00000008u
#define SMB2_FLAGS_PRIORITY_MASK      0x00000070u
#define SMB2_FLAGS_DFS_OPERATIONS     0x10000000u
#define SMB2_FLAGS_REPLAY_OPERATION   0x20000000u

/* ---- Transform header: [MS-SMB2] 2.2.41 ------------------------------------------------------------------------- */

#define SMB2_TRANSFORM_SIZE 52u
enum {
    SMB2_T_SIGNATURE = 4,
    SMB2_T_NONCE = 20, /* the additional data of the AEAD starts here and ends with the header */
    SMB2_T_ORIGINAL_SIZE = 36,
    SMB2_T_FLAGS = 42,
    SMB2_T_SESSION_ID = 44
};

/* ---- NEGOTIATE: [MS-SMB2] 2.2.3, 2.2.4 -------------------------------------------------------------------------- */

#define SMB2_DIALECT_202      0x0202u
#define SMB2_DIALECT_210      0x0210u
#define SMB2_DIALECT_WILDCARD 0x02ffu
#define SMB2_DIALECT_300      0x0300u
#define SMB2_DIALECT_302      0x0302u
#define SMB2_DIALECT_311      0x0311u

#define SMB2_NEGOTIATE_SIGNING_ENABLED  0x0001u
#define SMB2_NEGOTIATE_SIGNING_REQUIRED 0x0002u

#define SMB2_GLOBAL_CAP_DFS                0x01u
#define SMB2_GLOBAL_CAP_LEASING            0x02u
#define SMB2_GLOBAL_CAP_LARGE_MTU          0x04u
#define SMB2_GLOBAL_CAP_MULTI_CHANNEL      0x08u
#define SMB2_GLOBAL_CAP_PERSISTENT_HANDLES 0x10u
#define SMB2_GLOBAL_CAP_DIRECTORY_LEASING  0x20u
#define SMB2_GLOBAL_CAP_ENCRYPTION         0x40u

#define SMB2_PREAUTH_INTEGRITY_CAPABILITIES 1u
#define SMB2_ENCRYPTION_CAPABILITIES        2u
#define SMB2_COMPRESSION_CAPABILITIES       3u
#define SMB2_NETNAME_NEGOTIATE_CONTEXT_ID   5u
#define SMB2_TRANSPORT_CAPABILITIES         6u
#define SMB2_RDMA_TRANSFORM_CAPABILITIES    7u
#define SMB2_SIGNING_CAPABILITIES           8u
#define SMB2_POSIX_EXTENSIONS_AVAILABLE     0x100u

#define SMB2_PREAUTH_SHA512        1u
#define SMB2_ENCRYPTION_AES128_CCM 1u
#define SMB2_ENCRYPTION_AES128_GCM 2u
#define SMB2_ENCRYPTION_AES256_CCM 3u
#define SMB2_ENCRYPTION_AES256_GCM 4u
#define SMB2_SIGNING_HMAC_SHA256   0u
#define SMB2_SIGNING_AES_CMAC      1u
#define SMB2_SIGNING_AES_GMAC      2u

/* ---- SESSION_SETUP, TREE_CONNECT: [MS-SMB2] 2.2.5, 2.2.6, 2.2.9, 2.2.10 ----------------------------------------- */

#define SMB2_SESSION_FLAG_BINDING 0x01u

#define SMB2_SESSION_FLAG_IS_GUEST     0x0001u
#define SMB2_SESSION_FLAG_IS_NULL      0x0002u
#define SMB2_SESSION_FLAG_ENCRYPT_DATA 0x0004u

#define SMB2_TREE_CONNECT_FLAG_EXTENSION_PRESENT 0x0004u

#define SMB2_SHARE_TYPE_DISK  1u
#define SMB2_SHARE_TYPE_PIPE  2u
#define SMB2_SHARE_TYPE_PRINT 3u

#define SMB2_SHAREFLAG_NO_CACHING                  0x00000030u
#define SMB2_SHAREFLAG_ACCESS_BASED_DIRECTORY_ENUM 0x00000800u
#define SMB2_SHAREFLAG_FORCE_SHARED_DELETE         0x00000200u
#define SMB2_SHAREFLAG_ENCRYPT_DATA                0x00008000u

/* ---- Access masks: [MS-SMB2] 2.2.13.1 --------------------------------------------------------------------------- */

#define SMB2_FILE_READ_DATA         0x00000001u /* directory: LIST */
#define SMB2_FILE_WRITE_DATA        0x00000002u /* directory: ADD_FILE */
#define SMB2_FILE_APPEND_DATA       0x00000004u /* directory: ADD_SUBDIRECTORY */
#define SMB2_FILE_READ_EA           0x00000008u
#define SMB2_FILE_WRITE_EA          0x00000010u
#define SMB2_FILE_EXECUTE           0x00000020u /* directory: TRAVERSE */
#define SMB2_FILE_DELETE_CHILD      0x00000040u
#define SMB2_FILE_READ_ATTRIBUTES   0x00000080u
#define SMB2_FILE_WRITE_ATTRIBUTES  0x00000100u
#define SMB2_DELETE                 0x00010000u
#define SMB2_READ_CONTROL           0x00020000u
#define SMB2_WRITE_DAC              0x00040000u
#define SMB2_WRITE_OWNER            0x00080000u
#define SMB2_SYNCHRONIZE            0x00100000u
#define SMB2_ACCESS_SYSTEM_SECURITY 0x01000000u
#define SMB2_MAXIMUM_ALLOWED        0x02000000u
#define SMB2_GENERIC_ALL            0x10000000u
#define SMB2_GENERIC_EXECUTE        0x20000000u
#define SMB2_GENERIC_WRITE          0x40000000u
#define SMB2_GENERIC_READ           0x80000000u
/* What the generic bits stand for on files and directories ([MS-FSA] via [MS-SMB2] 3.3.5.9). */
#define SMB2_FILE_GENERIC_READ    0x00120089u
#define SMB2_FILE_GENERIC_WRITE   0x00120116u
#define SMB2_FILE_GENERIC_EXECUTE 0x001200a0u
#define SMB2_FILE_ALL_ACCESS      0x001f01ffu

/* ---- CREATE: [MS-SMB2] 2.2.13, 2.2.14 --------------------------------------------------------------------------- */

#define SMB2_SHARE_READ   1u
#define SMB2_SHARE_WRITE  2u
#define SMB2_SHARE_DELETE 4u

#define SMB2_FILE_SUPERSEDE    0u
#define SMB2_FILE_OPEN         1u
#define SMB2_FILE_CREATE       2u
#define SMB2_FILE_OPEN_IF      3u
#define SMB2_FILE_OVERWRITE    4u
#define SMB2_FILE_OVERWRITE_IF 5u

#define SMB2_ACTION_SUPERSEDED  0u
#define SMB2_ACTION_OPENED      1u
#define SMB2_ACTION_CREATED     2u
#define SMB2_ACTION_OVERWRITTEN 3u

#define SMB2_FILE_DIRECTORY_FILE            0x00000001u
#define SMB2_FILE_WRITE_THROUGH             0x00000002u
#define SMB2_FILE_SEQUENTIAL_ONLY           0x00000004u
#define SMB2_FILE_NO_INTERMEDIATE_BUFFERING 0x00000008u
#define SMB2_FILE_SYNCHRONOUS_IO_ALERT      0x00000010u
#define SMB2_FILE_SYNCHRONOUS_IO_NONALERT   0x00000020u
#define SMB2_FILE_NON_DIRECTORY_FILE        0x00000040u
#define SMB2_FILE_COMPLETE_IF_OPLOCKED      0x00000100u
#define SMB2_FILE_NO_EA_KNOWLEDGE           0x00000200u
#define SMB2_FILE_RANDOM_ACCESS             0x00000800u
#define SMB2_FILE_DELETE_ON_CLOSE           0x00001000u
#define SMB2_FILE_OPEN_BY_FILE_ID           0x00002000u
#define SMB2_FILE_OPEN_FOR_BACKUP_INTENT    0x00004000u
#define SMB2_FILE_NO_COMPRESSION            0x00008000u
#define SMB2_FILE_OPEN_REMOTE_INSTANCE      0x00000400u
#define SMB2_FILE_OPEN_REQUIRING_OPLOCK     0x00010000u
#define SMB2_FILE_DISALLOW_EXCLUSIVE        0x00020000u
#define SMB2_FILE_RESERVE_OPFILTER          0x00100000u
#define SMB2_FILE_OPEN_REPARSE_POINT        0x00200000u
#define SMB2_FILE_OPEN_NO_RECALL            0x00400000u
#define SMB2_FILE_OPEN_FOR_FREE_SPACE_QUERY 0x00800000u

#define SMB2_IMPERSONATION_DELEGATE 3u /* the highest ImpersonationLevel */

#define SMB2_OPLOCK_LEVEL_NONE      0x00u
#define SMB2_OPLOCK_LEVEL_II        0x01u
#define SMB2_OPLOCK_LEVEL_EXCLUSIVE 0x08u
#define SMB2_OPLOCK_LEVEL_BATCH     0x09u
#define SMB2_OPLOCK_LEVEL_LEASE     0xffu

#define SMB2_LEASE_READ_CACHING              1u
#define SMB2_LEASE_HANDLE_CACHING            2u
#define SMB2_LEASE_WRITE_CACHING             4u
#define SMB2_LEASE_FLAG_BREAK_IN_PROGRESS    2u
#define SMB2_LEASE_FLAG_PARENT_LEASE_KEY     4u
#define SMB2_NOTIFY_BREAK_LEASE_ACK_REQUIRED 1u

/* ---- Other commands --------------------------------------------------------------------------------------------- */

#define SMB2_CLOSE_FLAG_POSTQUERY_ATTRIB 1u

#define SMB2_READFLAG_READ_UNBUFFERED   1u
#define SMB2_WRITEFLAG_WRITE_THROUGH    1u
#define SMB2_WRITEFLAG_WRITE_UNBUFFERED 2u

#define SMB2_LOCKFLAG_SHARED_LOCK      1u
#define SMB2_LOCKFLAG_EXCLUSIVE_LOCK   2u
#define SMB2_LOCKFLAG_UNLOCK           4u
#define SMB2_LOCKFLAG_FAIL_IMMEDIATELY 16u

#define SMB2_0_IOCTL_IS_FSCTL 1u

#define SMB2_RESTART_SCANS       0x01u
#define SMB2_RETURN_SINGLE_ENTRY 0x02u
#define SMB2_INDEX_SPECIFIED     0x04u
#define SMB2_REOPEN              0x10u

#define SMB2_WATCH_TREE 1u

#define SMB2_0_INFO_FILE       1u
#define SMB2_0_INFO_FILESYSTEM 2u
#define SMB2_0_INFO_SECURITY   3u
#define SMB2_0_INFO_QUOTA      4u

/* ---- File attributes: [MS-FSCC] 2.6 ----------------------------------------------------------------------------- */

#define SMB2_ATTR_READONLY      0x00000001u
#define SMB2_ATTR_HIDDEN        0x00000002u
#define SMB2_ATTR_SYSTEM        0x00000004u
#define SMB2_ATTR_DIRECTORY     0x00000010u
#define SMB2_ATTR_ARCHIVE       0x00000020u
#define SMB2_ATTR_NORMAL        0x00000080u
#define SMB2_ATTR_TEMPORARY     0x00000100u
#define SMB2_ATTR_SPARSE        0x00000200u
#define SMB2_ATTR_REPARSE_POINT 0x00000400u
#define SMB2_ATTR_COMPRESSED    0x00000800u
#define SMB2_ATTR_OFFLINE       0x00001000u
#define SMB2_ATTR_NOT_INDEXED   0x00002000u
#define SMB2_ATTR_ENCRYPTED     0x00004000u

/* ---- Control codes: [MS-FSCC] 2.3, [MS-SMB2] 2.2.31 ------------------------------------------------------------- */

#define FSCTL_DFS_GET_REFERRALS            0x00060194u
#define FSCTL_DFS_GET_REFERRALS_EX         0x000601b0u
#define FSCTL_SET_REPARSE_POINT            0x000900a4u
#define FSCTL_GET_REPARSE_POINT            0x000900a8u
#define FSCTL_DELETE_REPARSE_POINT         0x000900acu
#define FSCTL_SET_SPARSE                   0x000900c4u
#define FSCTL_SET_COMPRESSION              0x0009c040u
#define FSCTL_GET_COMPRESSION              0x0009003cu
#define FSCTL_CREATE_OR_GET_OBJECT_ID      0x000900c0u
#define FSCTL_GET_OBJECT_ID                0x0009009cu
#define FSCTL_SET_ZERO_DATA                0x000980c8u
#define FSCTL_QUERY_ALLOCATED_RANGES       0x000940cfu
#define FSCTL_FILE_LEVEL_TRIM              0x00098208u
#define FSCTL_DUPLICATE_EXTENTS_TO_FILE    0x00098344u
#define FSCTL_DUPLICATE_EXTENTS_TO_FILE_EX 0x000983e8u
#define FSCTL_GET_INTEGRITY_INFORMATION    0x0009027cu
#define FSCTL_SET_INTEGRITY_INFORMATION    0x0009c280u
#define FSCTL_QUERY_FILE_REGIONS           0x00090284u
#define FSCTL_OFFLOAD_READ                 0x00094264u
#define FSCTL_OFFLOAD_WRITE                0x00098268u
#define FSCTL_PIPE_PEEK                    0x0011400cu
#define FSCTL_PIPE_WAIT                    0x00110018u
#define FSCTL_PIPE_TRANSCEIVE              0x0011c017u
#define FSCTL_SRV_ENUMERATE_SNAPSHOTS      0x00144064u
#define FSCTL_SRV_REQUEST_RESUME_KEY       0x00140078u
#define FSCTL_SRV_COPYCHUNK                0x001440f2u
#define FSCTL_SRV_COPYCHUNK_WRITE          0x001480f2u
#define FSCTL_SRV_READ_HASH                0x001441bbu
#define FSCTL_LMR_REQUEST_RESILIENCY       0x001401d4u
#define FSCTL_QUERY_NETWORK_INTERFACE_INFO 0x001401fcu
#define FSCTL_VALIDATE_NEGOTIATE_INFO      0x00140204u

/* ---- Statuses: [MS-ERREF] 2.3.1 --------------------------------------------------------------------------------- */

#define STATUS_SUCCESS                               0x00000000u
#define STATUS_PENDING                               0x00000103u
#define STATUS_NOTIFY_CLEANUP                        0x0000010bu
#define STATUS_NOTIFY_ENUM_DIR                       0x0000010cu
#define STATUS_BUFFER_OVERFLOW                       0x80000005u
#define STATUS_NO_MORE_FILES                         0x80000006u
#define STATUS_NO_MORE_EAS                           0x80000012u
#define STATUS_INVALID_EA_NAME                       0x80000013u
#define STATUS_EA_LIST_INCONSISTENT                  0x80000014u
#define STATUS_STOPPED_ON_SYMLINK                    0x8000002du
#define STATUS_UNSUCCESSFUL                          0xc0000001u
#define STATUS_NOT_IMPLEMENTED                       0xc0000002u
#define STATUS_INVALID_INFO_CLASS                    0xc0000003u
#define STATUS_INFO_LENGTH_MISMATCH                  0xc0000004u
#define STATUS_INVALID_HANDLE                        0xc0000008u
#define STATUS_INVALID_PARAMETER                     0xc000000du
#define STATUS_NO_SUCH_DEVICE                        0xc000000eu
#define STATUS_NO_SUCH_FILE                          0xc000000fu
#define STATUS_INVALID_DEVICE_REQUEST                0xc0000010u
#define STATUS_END_OF_FILE                           0xc0000011u
#define STATUS_MORE_PROCESSING_REQUIRED              0xc0000016u
#define STATUS_INVALID_VIEW_SIZE                     0xc000001fu
#define STATUS_ACCESS_DENIED                         0xc0000022u
#define STATUS_BUFFER_TOO_SMALL                      0xc0000023u
#define STATUS_OBJECT_TYPE_MISMATCH                  0xc0000024u
#define STATUS_OBJECT_NAME_INVALID                   0xc0000033u
#define STATUS_FILE_FORCED_CLOSED                    0xc00000b6u
#define STATUS_OBJECT_NAME_NOT_FOUND                 0xc0000034u
#define STATUS_OBJECT_NAME_COLLISION                 0xc0000035u
#define STATUS_OBJECT_PATH_INVALID                   0xc0000039u
#define STATUS_OBJECT_PATH_NOT_FOUND                 0xc000003au
#define STATUS_OBJECT_PATH_SYNTAX_BAD                0xc000003bu
#define STATUS_SHARING_VIOLATION                     0xc0000043u
#define STATUS_EAS_NOT_SUPPORTED                     0xc000004fu
#define STATUS_EA_TOO_LARGE                          0xc0000050u
#define STATUS_NONEXISTENT_EA_ENTRY                  0xc0000051u
#define STATUS_NO_EAS_ON_FILE                        0xc0000052u
#define STATUS_FILE_LOCK_CONFLICT                    0xc0000054u
#define STATUS_LOCK_NOT_GRANTED                      0xc0000055u
#define STATUS_DELETE_PENDING                        0xc0000056u
#define STATUS_PRIVILEGE_NOT_HELD                    0xc0000061u
#define STATUS_WRONG_PASSWORD                        0xc000006au
#define STATUS_LOGON_FAILURE                         0xc000006du
#define STATUS_ACCOUNT_DISABLED                      0xc0000072u
#define STATUS_NONE_MAPPED                           0xc0000073u
#define STATUS_INVALID_SID                           0xc0000078u
#define STATUS_INVALID_SECURITY_DESCR                0xc0000079u
#define STATUS_INVALID_ACL                           0xc0000077u
#define STATUS_INVALID_OWNER                         0xc000005au
#define STATUS_RANGE_NOT_LOCKED                      0xc000007eu
#define STATUS_DISK_FULL                             0xc000007fu
#define STATUS_INSUFFICIENT_RESOURCES                0xc000009au
#define STATUS_MEDIA_WRITE_PROTECTED                 0xc00000a2u
#define STATUS_BAD_IMPERSONATION_LEVEL               0xc00000a5u
#define STATUS_INSTANCE_NOT_AVAILABLE                0xc00000abu
#define STATUS_PIPE_NOT_AVAILABLE                    0xc00000acu
#define STATUS_INVALID_PIPE_STATE                    0xc00000adu
#define STATUS_PIPE_BUSY                             0xc00000aeu
#define STATUS_PIPE_DISCONNECTED                     0xc00000b0u
#define STATUS_PIPE_CLOSING                          0xc00000b1u
#define STATUS_INVALID_READ_MODE                     0xc00000b4u
#define STATUS_IO_TIMEOUT                            0xc00000b5u
#define STATUS_FILE_IS_A_DIRECTORY                   0xc00000bau
#define STATUS_NOT_SUPPORTED                         0xc00000bbu
#define STATUS_NETWORK_NAME_DELETED                  0xc00000c9u
#define STATUS_NETWORK_ACCESS_DENIED                 0xc00000cau
#define STATUS_BAD_NETWORK_NAME                      0xc00000ccu
#define STATUS_REQUEST_NOT_ACCEPTED                  0xc00000d0u
#define STATUS_PIPE_EMPTY                            0xc00000d9u
#define STATUS_NOT_SAME_DEVICE                       0xc00000d4u
#define STATUS_INVALID_OPLOCK_PROTOCOL               0xc00000e3u
#define STATUS_INTERNAL_ERROR                        0xc00000e5u
#define STATUS_UNEXPECTED_IO_ERROR                   0xc00000e9u
#define STATUS_DIRECTORY_NOT_EMPTY                   0xc0000101u
#define STATUS_NOT_A_DIRECTORY                       0xc0000103u
#define STATUS_NAME_TOO_LONG                         0xc0000106u
#define STATUS_CANCELLED                             0xc0000120u
#define STATUS_CANNOT_DELETE                         0xc0000121u
#define STATUS_FILE_DELETED                          0xc0000123u
#define STATUS_FILE_CLOSED                           0xc0000128u
#define STATUS_INVALID_LEVEL                         0xc0000148u
#define STATUS_PIPE_BROKEN                           0xc000014bu
#define STATUS_IO_DEVICE_ERROR                       0xc0000185u
#define STATUS_TOO_MANY_LINKS                        0xc0000265u
#define STATUS_SHORT_NAMES_NOT_ENABLED_ON_VOLUME     0xc000019fu
#define STATUS_INVALID_LOCK_RANGE                    0xc00001a1u
#define STATUS_NOT_FOUND                             0xc0000225u
#define STATUS_NOT_A_REPARSE_POINT                   0xc0000275u
#define STATUS_IO_REPARSE_TAG_INVALID                0xc0000276u
#define STATUS_IO_REPARSE_TAG_MISMATCH               0xc0000277u
#define STATUS_IO_REPARSE_DATA_INVALID               0xc0000278u
#define STATUS_FS_DRIVER_REQUIRED                    0xc000019cu
#define STATUS_PATH_NOT_COVERED                      0xc0000257u
#define STATUS_NETWORK_SESSION_EXPIRED               0xc000035cu
#define STATUS_USER_SESSION_DELETED                  0xc0000203u
#define STATUS_INSUFF_SERVER_RESOURCES               0xc0000205u
#define STATUS_DUPLICATE_OBJECTID                    0xc000022au
#define STATUS_OBJECTID_NOT_FOUND                    0xc00002f0u
#define STATUS_QUOTA_EXCEEDED                        0xc0000044u
#define STATUS_FILE_TOO_LARGE                        0xc0000904u
#define STATUS_FILE_NOT_AVAILABLE                    0xc0000467u
#define STATUS_HASH_NOT_SUPPORTED                    0xc000a100u
#define STATUS_HASH_NOT_PRESENT                      0xc000a101u
#define STATUS_REQUEST_OUT_OF_SEQUENCE               0xc000042au
#define STATUS_INVALID_TOKEN                         0xc0000465u
#define STATUS_SMB_NO_PREAUTH_INTEGRITY_HASH_OVERLAP 0xc05d0000u
#define STATUS_CANNOT_GRANT_REQUESTED_OPLOCK         0x8000002eu
#define STATUS_OPLOCK_NOT_GRANTED                    0xc00000e2u
#define STATUS_OPLOCK_BREAK_IN_PROGRESS              0x00000108u

/* Severity of a status: an error whose body is an ERROR response, unless the command says otherwise. */
#define SMB2_STATUS_IS_ERROR(status) (((status) >> 30) == 3u)
