/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names and expressions from the wire: a name that is taken can be written as one that means the same. */
#include "smb2-name.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static LaresArena *arena;
    uint8_t buf[32 << 10];
    Smb2Pattern pattern;
    if (!arena)
        arena = lares_arena_new();
    lares_arena_reset(arena);
    size = MIN(size, 1024);
    const char *name = smb2_name_from_wire(arena, data, size);
    if (name) {
        LaresWriter w = {.base = buf, .cap = sizeof buf, .limit = sizeof buf};
        size_t n = smb2_put_name(&w, name, TRUE);
        const char *back = smb2_name_from_wire(arena, buf, n);
        if (w.failed || !back || !g_str_equal(back, name))
            abort();
    }
    if (smb2_pattern_parse(arena, data, size, &pattern)) {
        smb2_pattern_matches(&pattern, "some.Name.txt");
        if (name && strlen(name) <= 255 && !pattern.wild && !smb2_name_is_device(name))
            smb2_pattern_matches(&pattern, name);
    }
    smb2_utf8_from_utf16(arena, data, size);
    return 0;
}
