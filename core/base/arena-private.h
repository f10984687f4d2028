/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What only the core asks of an arena. */
#pragma once

#include <lares/arena.h>

G_BEGIN_DECLS

/* Bytes it holds from the system, handed out or not. */
size_t lares_arena_size(const LaresArena *arena);

G_END_DECLS
