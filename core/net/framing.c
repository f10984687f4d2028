/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Cuts a stream of bytes into records, in place: fragments that follow the first are moved up against it.
 *
 * Spec: RFC 5531 section 11; [MS-SMB2] 2.1. */
#include "net/framing.h"

#define LAST_FRAGMENT   UINT32_C(0x80000000)
#define FRAGMENT_LENGTH UINT32_C(0x7fffffff)

static uint32_t
header_at(const LaresFrames *f, size_t at)
{
    uint32_t h;
    memcpy(&h, f->base + at, sizeof h);
    return GUINT32_FROM_BE(h);
}

LaresFrameResult
lares_frames_next(LaresFrames *f, LaresFraming framing, size_t max, uint8_t **record, size_t *len, size_t *need)
{
    for (;;) {
        size_t there = f->end - f->next;
        if (there < 4) {
            *need = 4 - there;
            return LARES_FRAME_MORE;
        }
        uint32_t h = header_at(f, f->next);
        size_t n = h & FRAGMENT_LENGTH;
        gboolean last = (h & LAST_FRAGMENT) != 0;
        if (framing == LARES_FRAMING_DIRECT_TCP) {
            if (h >> 24)
                return LARES_FRAME_BAD;
            last = TRUE;
        }
        if (n > max - f->gathered)
            return LARES_FRAME_BAD;
        if (there - 4 < n) {
            *need = n - (there - 4);
            return LARES_FRAME_MORE;
        }
        if (!f->open)
            f->start = f->next;
        else
            memmove(f->base + f->start + 4 + f->gathered, f->base + f->next + 4, n);
        f->open = TRUE;
        f->gathered += n;
        f->next += 4 + n;
        if (!last)
            continue;
        *record = f->base + f->start + 4;
        *len = f->gathered;
        f->open = FALSE;
        f->gathered = 0;
        f->start = f->next;
        if (*len)
            return LARES_FRAME_RECORD;
    }
}

gboolean
lares_frames_pending(const LaresFrames *f)
{
    size_t there = f->end - f->next;
    return there >= 4 && there - 4 >= (header_at(f, f->next) & FRAGMENT_LENGTH);
}

void
lares_frames_move(LaresFrames *f, uint8_t *to)
{
    size_t kept = f->open ? 4 + f->gathered : 0;
    size_t fresh = f->end - f->next;
    if (kept)
        memmove(to, f->base + f->start, kept);
    if (fresh)
        memmove(to + kept, f->base + f->next, fresh);
    f->base = to;
    f->start = 0;
    f->next = kept;
    f->end = kept + fresh;
}
