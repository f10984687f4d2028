/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Counting: each thread in cells of its own.
 *
 * A thread takes a slot when it first counts and gives it back when it ends; the next thread counts on in the same
 * cells. Only the owner writes, so that a plain load and store do; readers may be a moment late. Threads that found no
 * slot share one, with atomic additions.
 *
 * Thread: any. */
#include "metrics/metrics-private.h"

#include <pthread.h>
#include <sys/mman.h>

#define SHARED     0u
#define NOT_CHOSEN UINT_MAX

G_STATIC_ASSERT(LARES_METER_SLOTS == 65); /* one bit of `taken` for each but the shared one */

const uint64_t lares_histogram_bounds[LARES_HISTOGRAM_BOUNDS] = {
    25000,    100000,    250000,    1000000,    2500000,    10000000,
    25000000, 100000000, 250000000, 1000000000, 2500000000, 10000000000,
};

static uint64_t taken; /* atomic: bit n for slot n + 1 */
static pthread_key_t at_end;
static gboolean has_key;
static _Thread_local guint own = NOT_CHOSEN;

static void
give_back(void *data)
{
    guint slot = GPOINTER_TO_UINT(data);
    own = SHARED; /* whatever the thread still counts on its way out */
    __atomic_fetch_and(&taken, ~(UINT64_C(1) << (slot - 1)), __ATOMIC_RELEASE);
}

static void
make_key(void)
{
    has_key = pthread_key_create(&at_end, give_back) == 0;
}

static guint
choose_slot(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    uint64_t now = __atomic_load_n(&taken, __ATOMIC_ACQUIRE);
    guint slot = SHARED;
    pthread_once(&once, make_key);
    while (has_key && slot == SHARED && ~now) {
        guint bit = (guint)__builtin_ctzll(~now);
        if (__atomic_compare_exchange_n(&taken, &now, now | UINT64_C(1) << bit, FALSE, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE))
            slot = bit + 1;
    }
    if (slot != SHARED && pthread_setspecific(at_end, GUINT_TO_POINTER(slot)) != 0) {
        __atomic_fetch_and(&taken, ~(UINT64_C(1) << (slot - 1)), __ATOMIC_RELEASE);
        slot = SHARED;
    }
    return own = slot;
}

static inline uint64_t *
cells_of(LaresMeter *meter, guint series, guint *slot)
{
    *slot = G_LIKELY(own != NOT_CHOSEN) ? own : choose_slot();
    return meter->cells + *slot * meter->stride + (size_t)series * meter->width;
}

static inline void
add(uint64_t *cell, uint64_t n, guint slot)
{
    if (G_LIKELY(slot != SHARED))
        __atomic_store_n(cell, __atomic_load_n(cell, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
    else
        __atomic_fetch_add(cell, n, __ATOMIC_RELAXED);
}

void
lares_meter_add(LaresMeter *meter, guint series, uint64_t n)
{
    guint slot;
    if (!meter || series >= meter->n_series || meter->width != 1)
        return;
    uint64_t *cell = cells_of(meter, series, &slot);
    add(cell, n, slot);
}

void
lares_meter_observe(LaresMeter *meter, guint series, uint64_t nanoseconds)
{
    guint slot, bucket = 0;
    if (!meter || series >= meter->n_series || meter->width != LARES_HISTOGRAM_CELLS)
        return;
    uint64_t *cell = cells_of(meter, series, &slot);
    while (bucket < LARES_HISTOGRAM_BOUNDS && nanoseconds > lares_histogram_bounds[bucket])
        bucket++;
    add(cell + bucket, 1, slot);
    add(cell + LARES_HISTOGRAM_CELLS - 1, nanoseconds, slot);
}

uint64_t
lares_meter_read(const LaresMeter *meter, guint series, guint cell)
{
    uint64_t sum = 0;
    const uint64_t *at = meter->cells + (size_t)series * meter->width + cell;
    for (guint slot = 0; slot < LARES_METER_SLOTS; slot++, at += meter->stride)
        sum += __atomic_load_n(at, __ATOMIC_RELAXED);
    return sum;
}
