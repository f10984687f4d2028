/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The window of message ids a client may use: a pure machine, no clock and no lock inside.
 *
 * | state                | event                         | then                                                  |
 * |----------------------|-------------------------------|-------------------------------------------------------|
 * | ids low … high-1     | request with ids a … a+n-1    | all inside and unused: used up; else it is refused    |
 * | lowest id was used   |                               | low moves to the next unused one                      |
 * | window smaller than max | response, client wants k   | high grows by at most k, and up to low + max          |
 * | no unused id left    | response                      | high grows by one at least                            |
 * | id inside and unused | CANCEL of it                  | remembered until the id is used                       |
 * | any other            | CANCEL                        | nothing: what it was about is over, or never came     |
 *
 * Spec: [MS-SMB2] 3.3.1.1, 3.3.1.2, 3.3.5.2.3.
 * Locks: the caller's. */
#pragma once

#include "smb2.h"

typedef struct _Smb2Credits {
    uint64_t low, high; /* first id not used yet, first id not granted yet */
    uint32_t unused;    /* ids in between that are not used */
    uint32_t max;       /* high - low never exceeds it; a power of 2 */
    uint64_t *early;    /* bits of unused ids, modulo max, whose CANCEL came first; NULL: none came yet */
    uint64_t used[];    /* bits of ids, modulo max */
} Smb2Credits;

/* `max` is rounded up to a power of 2, at least 64. The window is { 0 }. */
Smb2Credits *smb2_credits_new(uint32_t max);
void smb2_credits_free(Smb2Credits *credits);
/* FALSE: not all of the `n` ids from `id` on are inside the window and unused. *cancelled: `id` was cancelled before.
 */
gboolean smb2_credits_take(Smb2Credits *credits, uint64_t id, uint32_t n, gboolean *cancelled);
/* A CANCEL overtook its request, which a client may still send or a worker is about to look at. */
void smb2_credits_cancel(Smb2Credits *credits, uint64_t id);
/* How many of `wanted` to grant now; they are added to the window. */
uint16_t smb2_credits_grant(Smb2Credits *credits, uint32_t wanted);
