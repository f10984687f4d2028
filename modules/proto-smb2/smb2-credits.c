/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The window of message ids a client may use. Spec: [MS-SMB2] 3.3.1.1, 3.3.1.2, 3.3.5.2.3. */
#include "smb2-credits.h"

Smb2Credits *
smb2_credits_new(uint32_t max)
{
    uint32_t size = 64;
    while (size < max)
        size *= 2;
    Smb2Credits *credits = g_malloc0(sizeof *credits + size / 8);
    credits->max = size;
    credits->high = 1;
    credits->unused = 1;
    return credits;
}

void
smb2_credits_free(Smb2Credits *c)
{
    g_free(c->early);
    g_free(c);
}

static gboolean
has(const Smb2Credits *c, const uint64_t *bits, uint64_t id)
{
    uint32_t bit = (uint32_t)(id & (c->max - 1));
    return bits[bit / 64] >> (bit % 64) & 1;
}

static void
set(const Smb2Credits *c, uint64_t *bits, uint64_t id, gboolean on)
{
    uint32_t bit = (uint32_t)(id & (c->max - 1));
    if (on)
        bits[bit / 64] |= UINT64_C(1) << (bit % 64);
    else
        bits[bit / 64] &= ~(UINT64_C(1) << (bit % 64));
}

gboolean
smb2_credits_take(Smb2Credits *c, uint64_t id, uint32_t n, gboolean *cancelled)
{
    *cancelled = FALSE;
    if (id < c->low || id >= c->high || n > c->high - id)
        return FALSE;
    for (uint32_t i = 0; i < n; i++)
        if (has(c, c->used, id + i))
            return FALSE;
    if (c->early) {
        *cancelled = has(c, c->early, id);
        for (uint32_t i = 0; i < n; i++)
            set(c, c->early, id + i, FALSE);
    }
    for (uint32_t i = 0; i < n; i++)
        set(c, c->used, id + i, TRUE);
    c->unused -= n;
    while (c->low < c->high && has(c, c->used, c->low))
        set(c, c->used, c->low++, FALSE);
    return TRUE;
}

void
smb2_credits_cancel(Smb2Credits *c, uint64_t id)
{
    if (id < c->low || id >= c->high || has(c, c->used, id))
        return;
    if (!c->early)
        c->early = g_malloc0(c->max / 8);
    set(c, c->early, id, TRUE);
}

uint16_t
smb2_credits_grant(Smb2Credits *c, uint32_t wanted)
{
    uint64_t room = c->max - (c->high - c->low);
    uint64_t n = MIN(MIN((uint64_t)wanted, room), UINT16_MAX);
    if (n == 0 && c->unused == 0)
        n = 1; /* low == high here: there is room */
    if (c->high > UINT64_MAX - 1 - n)
        return 0; /* the ids are used up: the connection ends by itself */
    c->high += n;
    c->unused += (uint32_t)n;
    return (uint16_t)n;
}
