/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Receive buffers and spare arenas: chunks for read-ahead, small ones for idle connections, large ones for large
 * records, kept hot because faulting a megabyte in again costs as much as copying it.
 *
 * Thread: any. Locks: the net's, briefly. */
#include "net/net-private.h"

#include <sys/mman.h>

G_STATIC_ASSERT(sizeof(LaresBuffer) % 16 == 0 || sizeof(LaresBuffer) % 8 == 0);

static LaresBuffer *
buffer_alloc(LaresBufferKind kind, size_t cap)
{
    LaresBuffer *b = g_malloc(sizeof(LaresBuffer) + cap);
    *b = (LaresBuffer){.ref = 1, .kind = kind, .cap = cap};
    return b;
}

LaresBuffer *
lares_buffer_chunk(LaresWorker *worker)
{
    LaresBuffer *b = worker->spare;
    if (b) {
        worker->spare = NULL;
    } else {
        LaresNet *net = worker->net;
        g_mutex_lock(&net->lock);
        if ((b = net->chunks)) {
            net->chunks = b->next;
            net->n_chunks--;
        }
        g_mutex_unlock(&net->lock);
    }
    if (!b)
        return buffer_alloc(LARES_BUFFER_CHUNK, LARES_NET_CHUNK);
    b->ref = 1;
    return b;
}

LaresBuffer *
lares_buffer_small(size_t cap)
{
    return buffer_alloc(LARES_BUFFER_SMALL, (cap + 63) & ~(size_t)63);
}

/* Mapped, not from the heap: pages that nothing was received into cost nothing. NULL when there is no memory. */
LaresBuffer *
lares_buffer_big(LaresNet *net, size_t cap)
{
    LaresBuffer *b = NULL;
    g_mutex_lock(&net->lock);
    for (LaresBuffer **at = &net->big; *at; at = &(*at)->next) {
        if ((*at)->cap >= cap && (*at)->cap / 4 <= cap) {
            b = *at;
            *at = b->next;
            net->big_bytes -= b->cap;
            break;
        }
    }
    g_mutex_unlock(&net->lock);
    if (b) {
        b->ref = 1;
        return b;
    }
    size_t size = (cap + sizeof(LaresBuffer) + LARES_NET_CHUNK - 1) & ~(size_t)(LARES_NET_CHUNK - 1);
    b = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (b == MAP_FAILED)
        return NULL;
    *b = (LaresBuffer){.ref = 1, .kind = LARES_BUFFER_BIG, .cap = size - sizeof(LaresBuffer), .reserved = size};
    return b;
}

static void
unmap(LaresBuffer *b)
{
    munmap(b, b->reserved);
}

void
lares_buffer_unref(LaresNet *net, LaresWorker *worker, LaresBuffer *b)
{
    if (!g_atomic_int_dec_and_test(&b->ref))
        return;
    if (b->kind == LARES_BUFFER_SMALL) {
        g_free(b);
    } else if (b->kind == LARES_BUFFER_CHUNK) {
        if (worker && !worker->spare) {
            worker->spare = b;
            return;
        }
        g_mutex_lock(&net->lock);
        gboolean keep = net->n_chunks < LARES_NET_POOL_CHUNK;
        if (keep) {
            b->next = net->chunks;
            net->chunks = b;
            net->n_chunks++;
        }
        g_mutex_unlock(&net->lock);
        if (!keep)
            g_free(b);
    } else {
        g_mutex_lock(&net->lock);
        gboolean keep = net->big_bytes + b->cap <= LARES_NET_POOL_BYTES;
        if (keep) {
            b->next = net->big;
            net->big = b;
            net->big_bytes += b->cap;
        }
        g_mutex_unlock(&net->lock);
        if (!keep)
            unmap(b);
    }
}

/* Gives back what is spare; after a while without work. */
void
lares_buffers_trim(LaresNet *net)
{
    g_mutex_lock(&net->lock);
    LaresBuffer *big = net->big, *chunks = net->chunks;
    net->big = net->chunks = NULL;
    net->big_bytes = 0;
    net->n_chunks = 0;
    GPtrArray *arenas = net->arenas;
    net->arenas = g_ptr_array_new_with_free_func((GDestroyNotify)lares_arena_free);
    g_mutex_unlock(&net->lock);
    for (LaresBuffer *next; big; big = next) {
        next = big->next;
        unmap(big);
    }
    for (LaresBuffer *next; chunks; chunks = next) {
        next = chunks->next;
        g_free(chunks);
    }
    g_ptr_array_unref(arenas);
}

LaresArena *
lares_net_take_arena(LaresNet *net)
{
    LaresArena *arena = NULL;
    g_mutex_lock(&net->lock);
    if (net->arenas->len) /* the one used last is the hottest */
        arena = g_ptr_array_steal_index_fast(net->arenas, net->arenas->len - 1);
    g_mutex_unlock(&net->lock);
    return arena ? arena : lares_arena_new();
}

void
lares_net_give_arena(LaresNet *net, LaresArena *arena)
{
    lares_arena_reset(arena);
    g_mutex_lock(&net->lock);
    if (net->arenas->len < 2 * net->n_workers) {
        g_ptr_array_add(net->arenas, arena);
        arena = NULL;
    }
    g_mutex_unlock(&net->lock);
    lares_arena_free(arena);
}
