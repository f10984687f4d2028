/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Keeps a connection's slots filled with a workload's requests, times them, and finds the replies that never came. */
#include "smbload.h"

/* What any request of a workload may take at most. */
static int64_t
charge_of(Conn *c)
{
    return c->run->bulk && c->opt->size > 65536 ? (c->opt->size - 1) / 65536 + 1 : PARTS_MAX;
}

/* Gives the slot its next request, unless time or work are over. */
static void
fill_slot(Conn *c, Slot *s)
{
    int every = c->opt->verify_every;
    if (c->credits < charge_of(c)) {
        c->starved[c->nstarved++] = s->index;
        return;
    }
    if (s->step == 0) {
        s->sent_ns = now_ns();
        if (c->deadline_ns != 0 && s->sent_ns >= c->deadline_ns)
            return;
    }
    s->verify = c->run->needs_results || (every > 0 && c->verify_tick++ % (uint64_t)every == 0);
    if (!c->run->next(c, s))
        return;
    c->active++;
    msg_queue(c, s);
}

static void
complain(Conn *c, uint32_t status)
{
    c->stats.errors++;
    if (c->complaints++ < 4)
        fprintf(stderr, "smbload: %s: failed, status 0x%08x\n", c->run->name, status);
}

static void
on_reply(Conn *c, Slot *s, const Reply *r)
{
    bool error = false;
    c->active--;
    bool complete = c->run->done(c, s, r, &error);
    if (error) {
        complain(c, r->status);
        s->step = 0;
    } else if (complete) {
        c->stats.ops++;
        hist_add(&c->stats, c->last_reply_ns - s->sent_ns);
    }
    fill_slot(c, s);
    while (c->nstarved > 0 && c->credits >= charge_of(c))
        fill_slot(c, &c->slots[c->starved[--c->nstarved]]);
}

/* Runs until count operations are answered (0: no limit) or the seconds are over (0: no limit) and then until every
 * request has its reply or nothing has come for the stall time. */
void
work_run(Conn *c, const Workload *w, uint64_t count, double seconds)
{
    if (c->dead || c->broken)
        return;
    c->run = w;
    c->total = count;
    c->issued = 0;
    c->active = c->nstarved = 0;
    c->last_reply_ns = now_ns();
    c->deadline_ns = seconds > 0 ? c->last_reply_ns + (uint64_t)(seconds * 1e9) : 0;
    c->on_reply = on_reply;
    for (int i = 0; i < c->opt->inflight; i++) {
        c->slots[i].step = 0;
        fill_slot(c, &c->slots[i]);
    }
    while (c->active > 0 && !c->dead) {
        if (!conn_pump(c, 100) && now_ns() - c->last_reply_ns > (uint64_t)(c->opt->stall * 1e9))
            break;
    }
    c->end_ns = c->last_reply_ns;
    for (int i = 0; i < c->opt->inflight; i++)
        c->stats.lost += c->slots[i].busy;
    c->broken = c->stats.lost > 0;
}
