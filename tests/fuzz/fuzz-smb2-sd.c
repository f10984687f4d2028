/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Security descriptors as a client might bend them: what parses becomes an ACL that can be written and read again. */
#include "smb2-sd.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const Smb2Domain domain = {{1, 2, 3}};
    static uint8_t buf[256 << 10];
    Smb2Descriptor sd, again;
    if (!smb2_descriptor_parse(data, size, &sd))
        return 0;
    g_autoptr(LaresAcl) acl = smb2_descriptor_acl(&sd, &domain, 1, 2);
    if (!acl)
        return 0;
    Smb2Sid owner = smb2_sid_of_uid(&domain, 1), group = smb2_sid_of_gid(&domain, 2);
    LaresWriter w = {.base = buf, .cap = sizeof buf, .limit = sizeof buf};
    smb2_put_descriptor(&w, &domain, 7, sd.control, &owner, &group, NULL, 0, acl, 1, 2);
    if (w.failed || !smb2_descriptor_parse(buf, w.len, &again))
        abort();
    return 0;
}
