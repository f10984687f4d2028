/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ECHO. Spec: [MS-SMB2] 2.2.28, 2.2.29, 3.3.5.17. */
#include "smb2.h"

SMB2_OP(echo)
{
    smb2_put_u16(op->out, 4);
    smb2_put_u16(op->out, 0);
    return STATUS_SUCCESS;
}
