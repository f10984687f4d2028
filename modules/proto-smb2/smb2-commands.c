/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of commands: one row each. A row without handler answers STATUS_NOT_SUPPORTED.
 *
 * Spec: [MS-SMB2] 2.2 (structure sizes), 3.3.5. */
#include "smb2.h"

#define LENGTHS(input, output) .input_at = (input), .output_at = (output)

const Smb2Command smb2_commands[SMB2_N_COMMANDS] = {
    [SMB2_NEGOTIATE] = {"NEGOTIATE", smb2_op_negotiate, 36, SMB2_NO_SESSION | SMB2_NOT_IN_COMPOUND, .spec = "3.3.5.4"},
    [SMB2_SESSION_SETUP] = {"SESSION_SETUP", smb2_op_session_setup, 25, SMB2_NO_SESSION | SMB2_WHEN_EXPIRED,
                            .spec = "3.3.5.5"},
    [SMB2_LOGOFF] = {"LOGOFF", smb2_op_logoff, 4, SMB2_WHEN_EXPIRED, .spec = "3.3.5.6"},
    [SMB2_TREE_CONNECT] = {"TREE_CONNECT", smb2_op_tree_connect, 9, 0, .spec = "3.3.5.7"},
    [SMB2_TREE_DISCONNECT] = {"TREE_DISCONNECT", smb2_op_tree_disconnect, 4, SMB2_NEEDS_TREE, .spec = "3.3.5.8"},
    [SMB2_CREATE] = {"CREATE", smb2_op_create, 57, SMB2_NEEDS_TREE, .spec = "3.3.5.9"},
    [SMB2_CLOSE] = {"CLOSE", smb2_op_close, 24, SMB2_NEEDS_TREE | SMB2_WHEN_EXPIRED, .spec = "3.3.5.10"},
    [SMB2_FLUSH] = {"FLUSH", smb2_op_flush, 24, SMB2_NEEDS_TREE, .spec = "3.3.5.11"},
    [SMB2_READ] = {"READ", smb2_op_read, 49, SMB2_NEEDS_TREE | SMB2_ANY_LENGTH, LENGTHS(0, 4), .spec = "3.3.5.12"},
    [SMB2_WRITE] = {"WRITE", smb2_op_write, 49, SMB2_NEEDS_TREE | SMB2_ANY_LENGTH, LENGTHS(4, 0), .spec = "3.3.5.13"},
    [SMB2_LOCK] = {"LOCK", smb2_op_lock, 48, SMB2_NEEDS_TREE | SMB2_WHEN_EXPIRED, .spec = "3.3.5.14"},
    [SMB2_IOCTL] = {"IOCTL", smb2_op_ioctl, 57, SMB2_NEEDS_TREE | SMB2_ANY_LENGTH, LENGTHS(28, 44), .spec = "3.3.5.15"},
    [SMB2_CANCEL] = {"CANCEL", NULL, 4, SMB2_NO_SESSION, .spec = "3.3.5.16"}, /* smb2-message.c: it has no response */
    [SMB2_ECHO] = {"ECHO", smb2_op_echo, 4, SMB2_NO_SESSION, .spec = "3.3.5.17"},
    [SMB2_QUERY_DIRECTORY] = {"QUERY_DIRECTORY", smb2_op_query_directory, 33, SMB2_NEEDS_TREE | SMB2_ANY_LENGTH,
                              LENGTHS(0, 28), .spec = "3.3.5.18"},
    [SMB2_CHANGE_NOTIFY] = {"CHANGE_NOTIFY", smb2_op_change_notify, 32, SMB2_NEEDS_TREE | SMB2_ANY_LENGTH,
                            LENGTHS(0, 4), .spec = "3.3.5.19"},
    [SMB2_QUERY_INFO] = {"QUERY_INFO", smb2_op_query_info, 41, SMB2_NEEDS_TREE | SMB2_ANY_LENGTH, LENGTHS(12, 4),
                         .spec = "3.3.5.20"},
    [SMB2_SET_INFO] = {"SET_INFO", smb2_op_set_info, 33, SMB2_NEEDS_TREE | SMB2_ANY_LENGTH, LENGTHS(4, 0),
                       .spec = "3.3.5.21"},
    [SMB2_OPLOCK_BREAK] = {"OPLOCK_BREAK", smb2_op_oplock_break, 24, SMB2_NEEDS_TREE, .spec = "3.3.5.22"},
};
