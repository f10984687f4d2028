/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Keeps a connection's slots filled with a workload's requests, times them, and finds the
 * replies that never came. */
#include <stdio.h>

#include "nfsload.h"

static bool
wants_verify(Conn *c)
{
    int every = c->opt->verify_every;
    return c->run->needs_results || (every > 0 && c->verify_tick++ % (uint64_t)every == 0);
}

static void
queue_prepared(Conn *c)
{
    /* In order: slot k is used by requests k, k+n, k+2n..., as their sequence ids were made. */
    while (c->next_prepared < c->nprepared) {
        Slot *s = &c->slots[c->next_prepared % (uint64_t)c->opt->inflight];
        if (s->busy)
            return;
        record_clear(&s->rec);
        buf_free(&s->rec.head);
        s->rec = c->prepared[c->next_prepared];
        memset(&c->prepared[c->next_prepared++], 0, sizeof(Record));
        s->verify = wants_verify(c);
        s->sent_ns = now_ns();
        c->active++;
        conn_queue(c, s);
    }
}

/* Gives the slot its next request, unless time or work are over. */
static void
fill_slot(Conn *c, Slot *s)
{
    if (s->step == 0) {
        s->sent_ns = now_ns();
        if (c->deadline_ns != 0 && s->sent_ns >= c->deadline_ns)
            return;
    }
    s->verify = wants_verify(c);
    if (!c->run->next(c, s))
        return;
    c->active++;
    conn_queue(c, s);
}

static void
complain(Conn *c, const char *what, uint32_t status)
{
    c->stats.errors++;
    if (c->complaints++ < 4)
        fprintf(stderr, "nfsload: %s: %s, status %u\n", c->run->name, what, status);
}

static bool
decode(Conn *c, Slot *s, Cur *in, size_t total)
{
    uint32_t status, nops;
    bool error = false, complete;
    if (!s->sequenced) /* NULL */
        return true;
    if (!s->verify && c->opt->sec > SEC_KRB5) {
        c->stats.unverified++;
        complete = c->run->done(c, s, NULL, total, &error);
        if (error)
            complain(c, "a reply of the wrong length", 0);
        return complete;
    }
    if (!res_compound(in, &status, &nops) || !res_sequence(in)) {
        s->seqid -= in->bad ? 0 : 1;
        complain(c, "SEQUENCE failed", status);
        s->step = 0;
        return true;
    }
    complete = c->run->done(c, s, in, total, &error);
    if (error || status != 0) {
        complain(c, "failed", status);
        s->step = 0;
        return true;
    }
    return complete;
}

static void
on_reply(Conn *c, Slot *s, Cur *in, size_t total)
{
    gss_buffer_desc plain = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor;
    bool complete = true;
    uint64_t errors = c->stats.errors;
    c->active--;
    if (reply_open(c, s, in, s->verify, &plain)) {
        complete = decode(c, s, in, total);
    } else {
        complain(c, "unusable reply", 0);
        s->step = 0;
    }
    if (plain.value != NULL)
        gss_release_buffer(&minor, &plain);
    if (complete && c->stats.errors == errors) {
        c->stats.ops++;
        hist_add(&c->stats, c->last_reply_ns - s->sent_ns);
    }
    if (c->prepared != NULL)
        queue_prepared(c);
    else
        fill_slot(c, s);
}

/* Builds all requests of a run beforehand, so that the client's own sealing is not timed. */
void
work_prepare(Conn *c, const Workload *w, uint64_t count)
{
    if (!c->opt->prepare || !w->plain_steps || count == 0)
        return;
    c->prepared = calloc(count, sizeof *c->prepared);
    c->total = count;
    c->issued = 0;
    for (c->nprepared = 0; c->nprepared < count && !c->dead; c->nprepared++) {
        Slot *s = &c->slots[c->nprepared % (uint64_t)c->opt->inflight];
        Record saved = s->rec;
        memset(&s->rec, 0, sizeof s->rec);
        w->next(c, s);
        c->prepared[c->nprepared] = s->rec;
        s->rec = saved;
    }
}

uint64_t
conn_missing(const Conn *c)
{
    uint64_t n = 0;
    for (int i = 0; i < c->opt->inflight; i++)
        n += c->slots[i].busy;
    return n;
}

/* Runs until count operations are answered (0: no limit) or the seconds are over (0: no limit)
 * and then until every request has its reply or nothing has come for the stall time. */
void
work_run(Conn *c, const Workload *w, uint64_t count, double seconds)
{
    if (c->dead || c->broken)
        return;
    c->run = w;
    c->total = count;
    c->active = 0;
    c->last_reply_ns = now_ns();
    c->deadline_ns = seconds > 0 ? c->last_reply_ns + (uint64_t)(seconds * 1e9) : 0;
    c->on_reply = on_reply;
    if (c->prepared != NULL) {
        queue_prepared(c);
    } else {
        c->issued = 0;
        for (int i = 0; i < c->opt->inflight; i++) {
            c->slots[i].step = 0;
            fill_slot(c, &c->slots[i]);
        }
    }
    while (c->active > 0 && !c->dead) {
        if (!conn_pump(c, 100) && now_ns() - c->last_reply_ns > (uint64_t)(c->opt->stall * 1e9))
            break;
    }
    c->end_ns = c->last_reply_ns;
    uint64_t missing = conn_missing(c);
    c->stats.lost += missing;
    c->broken = missing > 0;
    free(c->prepared);
    c->prepared = NULL;
}
