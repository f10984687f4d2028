/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Request memory: blocks in a list, handed out by moving one pointer. */
#include "base/arena-private.h"

#define FIRST_BLOCK (64 * 1024)
#define KEEP_BYTES  (2 * 1024 * 1024) /* a worker that just served 1 MiB I/O should not fault its pages in again */
#define ALIGN       16

typedef struct Block Block;
struct Block {
    Block *next;
    size_t size;
    /* data follows, 16-byte aligned */
};
G_STATIC_ASSERT(sizeof(Block) == ALIGN);

struct _LaresArena {
    Block *blocks; /* the newest first; allocation happens in it */
    uint8_t *at, *end;
    size_t used;
};

static Block *
block_new(size_t size)
{
    Block *block = g_malloc(sizeof(Block) + size);
    block->size = size;
    block->next = NULL;
    return block;
}

static void
start_in(LaresArena *arena, Block *block)
{
    arena->at = (uint8_t *)(block + 1);
    arena->end = arena->at + block->size;
}

LaresArena *
lares_arena_new(void)
{
    LaresArena *arena = g_new0(LaresArena, 1);
    arena->blocks = block_new(FIRST_BLOCK);
    start_in(arena, arena->blocks);
    return arena;
}

void
lares_arena_free(LaresArena *arena)
{
    if (!arena)
        return;
    for (Block *block = arena->blocks, *next; block; block = next) {
        next = block->next;
        g_free(block);
    }
    g_free(arena);
}

/* Keeps the largest block that is not too large, frees the others. */
void
lares_arena_reset(LaresArena *arena)
{
    Block *keep = NULL;
    if (arena->blocks->next == NULL && arena->blocks->size <= KEEP_BYTES) {
        keep = arena->blocks;
    } else {
        for (Block *block = arena->blocks, *next; block; block = next) {
            next = block->next;
            if (block->size <= KEEP_BYTES && (!keep || block->size > keep->size)) {
                g_free(keep);
                keep = block;
            } else {
                g_free(block);
            }
        }
        if (!keep)
            keep = block_new(FIRST_BLOCK);
        keep->next = NULL;
        arena->blocks = keep;
    }
    start_in(arena, keep);
    arena->used = 0;
}

static void *
alloc_in_new_block(LaresArena *arena, size_t size)
{
    size_t block_size = MAX(arena->blocks->size * 2, FIRST_BLOCK);
    Block *block = block_new(MAX(MIN(block_size, KEEP_BYTES), size));
    block->next = arena->blocks;
    arena->blocks = block;
    start_in(arena, block);
    void *p = arena->at;
    arena->at += size;
    return p;
}

void *
lares_arena_alloc(LaresArena *arena, size_t size)
{
    if (G_UNLIKELY(size > SIZE_MAX - ALIGN))
        g_error("lares_arena_alloc: %zu bytes", size);
    size = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    arena->used += size;
    if (G_UNLIKELY((size_t)(arena->end - arena->at) < size))
        return alloc_in_new_block(arena, size);
    void *p = arena->at;
    arena->at += size;
    return p;
}

void *
lares_arena_alloc0(LaresArena *arena, size_t size)
{
    return memset(lares_arena_alloc(arena, size), 0, size);
}

char *
lares_arena_strndup(LaresArena *arena, const void *bytes, size_t len)
{
    char *copy = lares_arena_alloc(arena, len + 1);
    if (len)
        memcpy(copy, bytes, len);
    copy[len] = '\0';
    return copy;
}

void *
lares_arena_memdup(LaresArena *arena, const void *bytes, size_t len)
{
    void *copy = lares_arena_alloc(arena, len);
    if (len)
        memcpy(copy, bytes, len);
    return copy;
}

size_t
lares_arena_used(const LaresArena *arena)
{
    return arena->used;
}

size_t
lares_arena_size(const LaresArena *arena)
{
    size_t n = sizeof *arena;
    for (const Block *block = arena->blocks; block; block = block->next)
        n += sizeof *block + block->size;
    return n;
}
