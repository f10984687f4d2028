/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Counting that does nothing, to be put before liblares by LD_PRELOAD: what is left is what a server without it would
 * take. The clock is still read. */
#include <lares/metrics.h>

void
lares_meter_add(LaresMeter *meter, guint series, uint64_t n)
{
}

void
lares_meter_observe(LaresMeter *meter, guint series, uint64_t nanoseconds)
{
}

void
lares_operations_count(LaresOperations *operations, guint operation, LaresOutcome outcome)
{
}

void
lares_operations_time(LaresOperations *operations, guint operation, uint64_t nanoseconds)
{
}
