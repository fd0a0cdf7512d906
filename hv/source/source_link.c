/* SPDX-License-Identifier: MIT */
/*
 * Another machine as the source. vCPUs put what they wait for into rings, one for each CPU; the
 * boot CPU hands these to the asker, and carries datagrams between it and the transport. See
 * hv/source/source_link.h.
 */
#include "hv/source/source_link.h"

#include "hv/base/clock.h"
#include "hv/base/console.h"
#include "hv/base/smp.h"
#include "mm/percpu.h"

#define DATAGRAMS 64      /* in, and out, in one pump */
#define RETRY_US  1000000 /* between two tries of a link that was silent */

static uint64_t now_us(void)
{
	return cycles_to_us(clock_now());
}

static bool receive(struct source_link *s, uint64_t now)
{
	const void *data;
	unsigned int i;
	size_t bytes;

	for (i = 0; i < DATAGRAMS && (data = s->transport->poll(s->transport, &bytes)); i++)
		if (!s->cut)
			asker_receive(&s->asker, now, data, bytes);
	return i;
}

/* What the asker has no room for stays in the ring. */
static void pass_urgent(struct source_link *s, uint64_t now)
{
	for (unsigned int cpu = 0; cpu < ncpus; cpu++) {
		struct source_request *r;

		while ((r = ring_head(&s->urgent[cpu])) &&
		       !asker_ask(&s->asker, now, r->gfn, r->frames, true))
			ring_take(&s->urgent[cpu]);
	}
}

static bool send(struct source_link *s, uint64_t now)
{
	static uint8_t datagram[LINK_DATAGRAM_MAX];
	unsigned int i;

	for (i = 0; i < DATAGRAMS && s->transport->ready(s->transport); i++) {
		size_t bytes = asker_poll(&s->asker, now, datagram);

		if (!bytes)
			break;
		/* What does not go out is asked for again. */
		if (!s->cut)
			(void)s->transport->send(s->transport, datagram, bytes);
	}
	return i;
}

/* Datagrams of the other side. */
static uint64_t good_datagrams(const struct link_stats *s)
{
	return s->datagrams_received - s->bad_form - s->bad_seal - s->replayed - s->unknown_session;
}

/* Says so once, and tries again from time to time. */
static void mind_silence(struct source_link *s, uint64_t now)
{
	uint64_t good = good_datagrams(&s->asker.stats);

	if (s->silent && good != s->good) {
		con_printf("cleave: link: the other side answers again\n");
		s->silent = false;
	}
	s->good = good;
	if (!asker_is_cut(&s->asker))
		return;
	if (!s->silent) {
		con_printf(
			"cleave: link: no answer for %llu ms; what is owed is kept, and asked for "
			"again\n",
			(unsigned long long)(s->asker.setup.limit / 1000));
		s->silent = true;
	}
	if (now >= s->next_retry) {
		s->next_retry = now + RETRY_US;
		asker_retry(&s->asker, now);
	}
}

/* Somebody answers, but not with what we began with: says so once for each reason. */
static void mind_objection(struct source_link *s)
{
	enum link_reason reason = asker_reason(&s->asker);

	if (asker_phase(&s->asker) != ASKER_RUNS || reason == s->told)
		return;
	s->told = reason;
	if (reason != LINK_REASON_NONE && reason != LINK_REASON_TIME)
		con_printf("cleave: link: %s; asks again until it is so\n",
			   link_reason_text(reason));
}

bool source_link_pump(struct source_link *s)
{
	uint64_t now = now_us();
	bool busy;

	s->before();
	busy = receive(s, now);
	pass_urgent(s, now);
	busy |= send(s, now);
	mind_silence(s, now);
	mind_objection(s);
	return busy;
}

static bool link_now(struct page_source *source, gfn_t gfn, struct page_reply *reply)
{
	return source->staged && source_staged(source, gfn, reply);
}

static int link_request(struct page_source *source, unsigned int cpu, gfn_t gfn, uint64_t frames,
			bool urgent)
{
	struct source_link *s = (struct source_link *)source;
	struct source_request request = { .first = gfn, .gfn = gfn, .frames = frames };

	if (urgent) {
		int err = ring_put(&s->urgent[cpu], &request);

		if (cpu) /* the boot CPU may sleep */
			cpu_kick(0);
		return err;
	}
	/* Not now, for whatever reason: the stream tries again. */
	return asker_ask(&s->asker, now_us(), gfn, frames, false) ? -ENOSPC : 0;
}

/* --- answers -------------------------------------------------------------------------------- */

static struct page_answer answer_of(const struct page_reply *reply, uint64_t completes, bool urgent)
{
	return (struct page_answer){ .reply = *reply, .completes = completes, .urgent = urgent };
}

/* The run that is still to be given out and has this page, or NULL. */
static const struct page_reply *find_rest(const struct source_link *s, gfn_t gfn)
{
	for (unsigned int i = 0; i < s->nrests; i++)
		if (gfn - s->rest[i].gfn < s->rest[i].frames)
			return &s->rest[i];
	return NULL;
}

/* One page of a run. */
static struct page_reply page_of(const struct page_reply *run, gfn_t gfn)
{
	return (struct page_reply){ .gfn = gfn, .frames = 1, .lost = run->lost };
}

static void note_lost(struct source_link *s, const struct page_reply *reply)
{
	if (reply->lost)
		bitmap_set(s->lost, reply->gfn);
}

/* A run of zeros at once, a run of lost pages page by page. */
static void give_rest(struct source_link *s, struct page_answer *a)
{
	struct page_reply *last = &s->rest[s->nrests - 1];

	if (last->lost) {
		struct page_reply page = page_of(last, last->gfn);

		*a = answer_of(&page, NO_REQUEST, false);
		note_lost(s, &page);
		last->gfn++;
		last->frames--;
	} else {
		*a = answer_of(last, NO_REQUEST, false);
		last->frames = 0;
	}
	s->nrests -= !last->frames;
}

/* A vCPU that waits for one page gets just that page; the run around it comes later. Where a run is
 * of 0 frames, another one that came before has the page. */
static void give_run(struct source_link *s, const struct asker_answer *from, struct page_answer *a)
{
	struct page_reply run = { .gfn = from->extent.gfn,
				  .frames = from->extent.frames,
				  .lost = from->extent.what == LINK_LOST };
	bool one = from->urgent || run.lost;
	const struct page_reply *rest;

	if (run.frames > 1 && one)
		s->rest[s->nrests++] = run;
	rest = find_rest(s, from->completes);
	if (one && from->completes != ASKER_NOTHING && (rest || run.frames))
		run = page_of(rest ? rest : &run, from->completes);
	note_lost(s, &run);
	*a = answer_of(&run, from->completes, from->urgent);
}

static void give(struct source_link *s, const struct asker_answer *from, struct page_answer *a)
{
	const struct link_extent *e = &from->extent;
	const struct page_reply page = { .gfn = e->gfn, .frames = 1, .data = e->data };

	if (!e->data) {
		give_run(s, from, a);
		return;
	}
	s->source.sent++;
	*a = answer_of(&page, from->completes, from->urgent);
}

/* Urgent answers, then what is left of earlier ones, then the others. */
static bool link_poll(struct page_source *source, bool urgent_only, struct page_answer *a)
{
	struct source_link *s = (struct source_link *)source;
	struct asker_answer answer;

	(void)source_link_pump(s);
	if (s->nrests < SOURCE_RESTS && asker_take(&s->asker, true, &answer)) {
		give(s, &answer, a);
		return true;
	}
	if (urgent_only)
		return false;
	if (s->nrests) {
		give_rest(s, a);
		return true;
	}
	if (!asker_take(&s->asker, false, &answer))
		return false;
	give(s, &answer, a);
	return true;
}

/* --- the link as a whole -------------------------------------------------------------------- */

static void link_cut(struct page_source *source, bool cut)
{
	((struct source_link *)source)->cut = cut;
}

static bool link_is_cut(const struct page_source *source)
{
	return ((const struct source_link *)source)->cut;
}

static bool link_over(struct page_source *source)
{
	struct source_link *s = (struct source_link *)source;

	if (asker_phase(&s->asker) == ASKER_RUNS)
		asker_finish(&s->asker, now_us());
	(void)source_link_pump(s);
	return asker_phase(&s->asker) == ASKER_DONE;
}

_Static_assert(NO_REQUEST == ASKER_NOTHING, "both say that no request is done");

static const struct source_ops link_ops = {
	.name = "link",
	.now = link_now,
	.request = link_request,
	.poll = link_poll,
	.cut = link_cut,
	.is_cut = link_is_cut,
	.over = link_over,
};

int source_link_init(struct source_link *s, const struct asker_setup *setup,
		     struct transport *transport, struct bitmap *lost, void (*before)(void))
{
	*s = (struct source_link){
		.source.ops = &link_ops,
		.transport = transport,
		.before = before,
		.lost = lost,
	};
	for (unsigned int cpu = 0; cpu < MAX_CPUS; cpu++)
		ring_init(&s->urgent[cpu], s->urgent_slot[cpu], SOURCE_URGENT);
	return asker_init(&s->asker, setup);
}
