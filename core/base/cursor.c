/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The writer's slow path: making room. */
#include <lares/cursor.h>

void
lares_writer_init(LaresWriter *w, LaresArena *arena, size_t initial, size_t limit)
{
    *w = (LaresWriter){.arena = arena, .cap = MIN(initial, limit), .limit = limit};
    w->base = lares_arena_alloc(arena, w->cap);
}

gboolean
lares_writer_grow(LaresWriter *w, size_t extra)
{
    if (extra > w->limit || w->len > w->limit - extra) {
        w->failed = TRUE;
        return FALSE;
    }
    size_t want = w->len + extra;
    size_t cap = MIN(MAX(want, w->cap * 2), w->limit);
    uint8_t *base = lares_arena_alloc(w->arena, cap);
    memcpy(base, w->base, w->len);
    w->base = base;
    w->cap = cap;
    return TRUE;
}
