/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Record framing from a peer that lies.
 *
 * Input: byte 0 chooses framing and limit, byte 1 how the rest arrives in pieces; the rest is the stream. However it is
 * cut, the records must be the same, and none longer than the limit. */
#include "net/framing.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MOST 4096

typedef struct {
    uint32_t hash;
    guint records;
    gboolean bad;
} Outcome;

static void
mix(Outcome *o, const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        o->hash = (o->hash ^ bytes[i]) * 16777619u;
    o->hash = (o->hash ^ (uint32_t)n) * 16777619u;
    o->records++;
}

static Outcome
run(const uint8_t *data, size_t size, LaresFraming framing, size_t max, size_t step)
{
    /* The exact size: one byte too far is seen by the sanitizer. */
    uint8_t *buffer = malloc(size ? size : 1);
    LaresFrames f = {.base = buffer};
    Outcome o = {2166136261u, 0, FALSE};
    size_t fed = 0;
    for (;;) {
        uint8_t *record;
        size_t len, need = 0;
        LaresFrameResult r = lares_frames_next(&f, framing, max, &record, &len, &need);
        if (r == LARES_FRAME_RECORD) {
            if (len == 0 || len > max || record < buffer || record + len > buffer + f.end)
                abort();
            mix(&o, record, len);
            memset(record, 0xee, len); /* a request may scribble over its record */
            continue;
        }
        if (r == LARES_FRAME_BAD) {
            o.bad = TRUE;
            break;
        }
        if (need == 0 || lares_frames_pending(&f))
            abort();
        if (fed == size)
            break;
        size_t n = MIN(step, size - fed);
        if (step & 1) {
            size_t before = lares_frames_size(&f);
            lares_frames_move(&f, buffer);
            if (lares_frames_size(&f) != before || f.end != before)
                abort();
        }
        memcpy(buffer + f.end, data + fed, n);
        f.end += n;
        fed += n;
    }
    free(buffer);
    return o;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > MOST)
        return 0;
    LaresFraming framing = data[0] & 1 ? LARES_FRAMING_DIRECT_TCP : LARES_FRAMING_RPC;
    size_t max = (size_t)(data[0] >> 1) * 8, step = 1u + data[1];
    Outcome whole = run(data + 2, size - 2, framing, max, size);
    Outcome pieces = run(data + 2, size - 2, framing, max, step);
    if (whole.hash != pieces.hash || whole.records != pieces.records || whole.bad != pieces.bad)
        abort();
    return 0;
}
