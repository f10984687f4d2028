/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Create contexts: what comes out points into what went in, and is as long as it says. */
#include "smb2-create.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_inside(const uint8_t *data, size_t size, const uint8_t *at, size_t len)
{
    if (at && (at < data || at > data + size || len > (size_t)(data + size - at)))
        abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Smb2CreateContexts contexts;
    uint32_t status = smb2_create_contexts_parse(data, size, &contexts);
    if (status != STATUS_SUCCESS && status != STATUS_INVALID_PARAMETER)
        abort();
    if (status != STATUS_SUCCESS)
        return 0;
    check_inside(data, size, contexts.ea, contexts.ea_len);
    check_inside(data, size, contexts.sd, contexts.sd_len);
    check_inside(data, size, contexts.aapl, contexts.aapl_len);
    if (contexts.has_lease && contexts.lease.version != 1 && contexts.lease.version != 2)
        abort();
    return 0;
}
