/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Cuts a stream of bytes into records, in place.
 *
 * Spec: RFC 5531 section 11 (record marking: fragments of 31-bit length, last-fragment bit);
 *       [MS-SMB2] 2.1 (direct TCP: a zero byte and a 24-bit length).
 * Thread: a LaresFrames belongs to whoever reads the connection. */
#pragma once

#include <lares/net.h>

G_BEGIN_DECLS

typedef struct {
    uint8_t *base;
    size_t start;    /* header slot of the record that is being gathered */
    size_t gathered; /* its bytes behind that slot, from fragments already joined; 0 unless `open` */
    size_t next;     /* first byte not looked at yet */
    size_t end;      /* first byte not received yet */
    gboolean open;   /* at least one fragment was joined and the last one was not */
} LaresFrames;

typedef enum { LARES_FRAME_MORE, LARES_FRAME_RECORD, LARES_FRAME_BAD } LaresFrameResult;

/* Takes the next record out of the buffer: *record points into it. LARES_FRAME_MORE: *need more bytes are wanted before
 * it is worth to ask again. LARES_FRAME_BAD: longer than `max`, or no such framing. Empty records are skipped. */
LaresFrameResult lares_frames_next(LaresFrames *f, LaresFraming framing, size_t max, uint8_t **record, size_t *len,
                                   size_t *need);

/* Whether lares_frames_next() would make progress with what is there. */
gboolean lares_frames_pending(const LaresFrames *f);

/* Bytes that belong to a record not taken yet. */
static inline size_t
lares_frames_size(const LaresFrames *f)
{
    return (f->open ? 4 + f->gathered : 0) + (f->end - f->next);
}

/* Moves those bytes to the start of `to` (which may be the same buffer) and goes on there. */
void lares_frames_move(LaresFrames *f, uint8_t *to);

G_END_DECLS
