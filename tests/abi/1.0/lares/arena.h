/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Request memory: a bump allocator that is reset, not freed.
 *
 * Thread: one arena belongs to one thread at a time. */
#pragma once

#include <lares/types.h>
#include <string.h>

G_BEGIN_DECLS

LARES_API LaresArena *lares_arena_new(void);
LARES_API void lares_arena_free(LaresArena *arena);
/* Forgets everything handed out; keeps up to a few hundred KiB of blocks for the next request. */
LARES_API void lares_arena_reset(LaresArena *arena);
/* 16-byte aligned, not cleared, valid until reset; aborts like g_malloc when memory is gone. */
LARES_API void *lares_arena_alloc(LaresArena *arena, size_t size);
LARES_API void *lares_arena_alloc0(LaresArena *arena, size_t size);
/* A NUL-terminated copy of `len` bytes. */
LARES_API char *lares_arena_strndup(LaresArena *arena, const void *bytes, size_t len);
LARES_API void *lares_arena_memdup(LaresArena *arena, const void *bytes, size_t len);
/* Bytes handed out since the last reset. */
LARES_API size_t lares_arena_used(const LaresArena *arena);

#define lares_arena_new_n(arena, Type, n) ((Type *)lares_arena_alloc0((arena), sizeof(Type) * (size_t)(n)))

G_DEFINE_AUTOPTR_CLEANUP_FUNC(LaresArena, lares_arena_free)

G_END_DECLS
